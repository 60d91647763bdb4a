//! The gate for addresses that callers name: what they link is fetched here for providers that only take it whole, and
//! never from inside the operator's network.
//!
//! Names are resolved once, every address that comes of it must be global, and the connection goes to exactly those.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use gateway::linked;
use gateway::request::ChatRequest;
use http::header::CONTENT_LENGTH;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use url::{Host, Url};

pub struct Outbound {
    client: reqwest::Client,
    /// Private addresses too.
    allows_private: bool,
}

struct Fetched {
    media_type: &'static str,
    bytes: Vec<u8>,
}

/// Why nothing was. Says nothing about what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchError {
    NotAnAddress,
    Unreachable,
    TooLarge,
    TooMany,
    NotAnImage,
}

const IMAGE_BYTES_MAX: usize = 20_000_000;
/// Of all that one request links.
const IMAGES_BYTES_MAX: usize = 50_000_000;
const IMAGES_MAX: usize = 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);
const PORTS: [u16; 4] = [80, 443, 8080, 8443];

impl FetchError {
    /// The rest of a sentence that begins with what was to be fetched.
    #[must_use]
    pub const fn why(self) -> &'static str {
        match self {
            Self::NotAnAddress => "is not an http or https address that can be fetched",
            Self::Unreachable => "could not be fetched",
            Self::TooLarge => "is larger than 20 MB, or all images together than 50 MB",
            Self::TooMany => "is one of more than 20 images",
            Self::NotAnImage => "is not a PNG, JPEG, GIF or WebP image",
        }
    }
}

/// Resolves names to addresses that may be connected to.
struct Gate {
    allows_private: bool,
}

impl Outbound {
    pub fn new(allows_private: bool) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .dns_resolver(Arc::new(Gate { allows_private }))
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .user_agent(concat!("tollway/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, allows_private })
    }

    /// `request` with all images in it that it links; fails with the field of the first that cannot be had.
    pub async fn inlined(&self, request: &ChatRequest) -> Result<Option<ChatRequest>, (String, FetchError)> {
        let links = linked::images(request);
        let Some(last) = links.last() else { return Ok(None) };
        if links.len() > IMAGES_MAX {
            return Err((last.field.clone(), FetchError::TooMany));
        }
        let fetched_bytes = &AtomicUsize::new(0);
        let fetched = links.iter().map(|link| async move {
            let image = self
                .image(&link.url, fetched_bytes)
                .await
                .map_err(|error| (link.field.clone(), error))?;
            Ok(format!(
                "data:{};base64,{}",
                image.media_type,
                STANDARD.encode(image.bytes)
            ))
        });
        let data = futures_util::future::try_join_all(fetched).await?;
        Ok(Some(linked::inlined(request, &links, &data)))
    }

    /// The image at `address`, told by its own first bytes. `fetched` counts what is fetched for one request.
    async fn image(&self, address: &str, fetched: &AtomicUsize) -> Result<Fetched, FetchError> {
        let url = checked(address, self.allows_private)?;
        let response = self.client.get(url).send().await.map_err(|_| FetchError::Unreachable)?;
        if !response.status().is_success() {
            return Err(FetchError::Unreachable);
        }
        let announced = response.headers().get(CONTENT_LENGTH);
        let announced = announced.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if announced.is_some_and(|length| length > IMAGE_BYTES_MAX) {
            return Err(FetchError::TooLarge);
        }
        let mut bytes = Vec::new();
        let mut body = response.bytes_stream();
        while let Some(part) = body.next().await {
            let part = part.map_err(|_| FetchError::Unreachable)?;
            let all = fetched.fetch_add(part.len(), Ordering::Relaxed) + part.len();
            if bytes.len() + part.len() > IMAGE_BYTES_MAX || all > IMAGES_BYTES_MAX {
                return Err(FetchError::TooLarge);
            }
            bytes.extend_from_slice(&part);
        }
        let media_type = image_type(&bytes).ok_or(FetchError::NotAnImage)?;
        Ok(Fetched { media_type, bytes })
    }
}

impl Resolve for Gate {
    fn resolve(&self, name: Name) -> Resolving {
        let allows_private = self.allows_private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            // One that is not global is enough: whoever names such a host has nothing good in mind.
            if !allows_private && !found.iter().all(|address| is_global(address.ip())) {
                return Err(io::Error::from(io::ErrorKind::PermissionDenied).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The address parsed once; what the parser understood is what is fetched.
fn checked(address: &str, allows_private: bool) -> Result<Url, FetchError> {
    let url = Url::parse(address).map_err(|_| FetchError::NotAnAddress)?;
    let port = url.port_or_known_default().ok_or(FetchError::NotAnAddress)?;
    let is_plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if !is_plain || !(allows_private || PORTS.contains(&port)) {
        return Err(FetchError::NotAnAddress);
    }
    let literal = match url.host() {
        None => return Err(FetchError::NotAnAddress),
        Some(Host::Domain(_)) => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
    };
    // A literal address is never resolved.
    match literal {
        Some(ip) if !allows_private && !is_global(ip) => Err(FetchError::Unreachable),
        _ => Ok(url),
    }
}

/// Whether anybody on the Internet could reach it (IANA's registries of special-purpose addresses).
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_global_v4(ip),
        IpAddr::V6(ip) => is_global_v6(ip),
    }
}

fn is_global_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let is_special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 240..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=239, _, _)
    );
    !is_special
}

fn is_global_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    // Only 2000::/3 is given out at all; within it, what stands for another address or for none.
    let is_given_out = segments[0] & 0xe000 == 0x2000;
    let is_special = matches!(
        segments,
        // Teredo, benchmarks, ORCHID and the rest of 2001::/23.
        [0x2001, 0..=0x01ff, ..]
            // Documentation.
            | [0x2001, 0x0db8, ..]
            | [0x3fff, 0..=0x0fff, ..]
            // 6to4.
            | [0x2002, ..]
    );
    is_given_out && !is_special
}

fn image_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_global_addresses_pass() {
        for ip in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(is_global(ip.parse().unwrap()), "{ip}");
        }
        for ip in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_global(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn an_address_is_what_the_parser_makes_of_it() {
        for refused in [
            "ftp://example.com/a.png",
            "file:///etc/passwd",
            "http://user@example.com/",
            "http://example.com:22/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::ffff:7f00:1]/",
            "http://[::1]/",
            "http://169.254.169.254/latest/meta-data",
            "not an address",
        ] {
            assert!(checked(refused, false).is_err(), "{refused}");
        }
        assert!(checked("https://example.com/a.png", false).is_ok());
        assert!(checked("http://127.0.0.1:9000/a.png", true).is_ok());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_refused() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let outbound = Outbound::new(false).unwrap();
        let refused = outbound.image("http://localhost/a.png", &AtomicUsize::new(0)).await;
        assert!(matches!(refused, Err(FetchError::Unreachable)));
    }
}
