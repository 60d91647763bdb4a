//! Webhooks: signs events and delivers them, as well or as badly as it is told to.

use crate::chance::Chance;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::Sha256;
use std::fmt::Write as _;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

/// Where events go by themselves, and how.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Plain HTTP. Without it nothing is delivered.
    pub url: Option<String>,
    /// Each signs every event, as Stripe does while a secret is being rotated.
    pub secrets: Vec<String>,
    /// Events wait until they are delivered on demand.
    pub paused: bool,
    /// How often each event comes.
    pub copies: u32,
    /// Of a hundred events, how many are never delivered.
    pub loss_percent: u64,
    /// Waits of this length at most shuffle events that are close together, in milliseconds.
    pub jitter_ms: u64,
    /// Tries again this often what was not answered with 2xx.
    pub retries: u32,
    pub seed: u64,
}

/// A delivery on demand of events that happened already.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Demand {
    /// Ids; all events when empty.
    pub(crate) events: Vec<String>,
    pub(crate) order: Order,
    pub(crate) times: u32,
    pub(crate) loss_percent: u64,
    pub(crate) seed: u64,
    pub(crate) signature: Signature,
    /// How long ago the signature was made.
    pub(crate) age_secs: i64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    #[default]
    Happened,
    Reversed,
    Shuffled,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Signature {
    #[default]
    Right,
    /// By a secret that nobody was told.
    Wrong,
    /// By the empty secret.
    Empty,
    /// None at all.
    Missing,
}

const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const RETRY_FIRST: Duration = Duration::from_millis(200);

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            url: None,
            secrets: Vec::new(),
            paused: false,
            copies: 1,
            loss_percent: 0,
            jitter_ms: 0,
            retries: 3,
            seed: 1,
        }
    }
}

impl Default for Demand {
    fn default() -> Self {
        Self {
            events: Vec::new(),
            order: Order::default(),
            times: 1,
            loss_percent: 0,
            seed: 1,
            signature: Signature::default(),
            age_secs: 0,
        }
    }
}

/// Delivers one event by itself, with what `webhooks` does to it.
pub(crate) async fn deliver(webhooks: Webhooks, event: Value, mut chance: Chance) {
    let Some(url) = webhooks.url.as_deref().filter(|_| !webhooks.paused) else {
        return;
    };
    if chance.hits(webhooks.loss_percent) {
        return;
    }
    for _ in 0..webhooks.copies {
        if webhooks.jitter_ms > 0 {
            tokio::time::sleep(Duration::from_millis(chance.next() % webhooks.jitter_ms)).await;
        }
        let mut wait = RETRY_FIRST;
        for _ in 0..=webhooks.retries {
            if matches!(
                send(url, &webhooks.secrets, &event, Signature::Right, 0).await,
                Ok(200..=299)
            ) {
                break;
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
}

/// Delivers `events` one after the other; tells what each delivery was answered.
pub(crate) async fn deliver_now(webhooks: &Webhooks, demand: &Demand, mut events: Vec<Value>) -> Value {
    let mut chance = Chance::new(demand.seed);
    match demand.order {
        Order::Happened => {}
        Order::Reversed => events.reverse(),
        Order::Shuffled => chance.shuffle(&mut events),
    }
    let url = webhooks.url.as_deref().unwrap_or_default();
    let mut told = Vec::new();
    for event in events {
        let mut line = json!({"event": event["id"], "type": event["type"]});
        if chance.hits(demand.loss_percent) {
            line["lost"] = true.into();
        } else {
            let mut statuses = Vec::new();
            for _ in 0..demand.times {
                let sent = send(url, &webhooks.secrets, &event, demand.signature, demand.age_secs).await;
                statuses.push(sent.unwrap_or(0));
            }
            line["statuses"] = statuses.into();
        }
        told.push(line);
    }
    told.into()
}

async fn send(url: &str, secrets: &[String], event: &Value, signature: Signature, age_secs: i64) -> io::Result<u16> {
    let url = Url::parse(url).map_err(io::Error::other)?;
    let body = event.to_string();
    let time = crate::bank::now_secs() - age_secs;
    let wrong = ["whsec_of_somebody_else_altogether".to_owned()];
    let empty = [String::new()];
    let header = match signature {
        Signature::Right => header(secrets, time, &body),
        Signature::Wrong => header(&wrong, time, &body),
        Signature::Empty => header(&empty, time, &body),
        Signature::Missing => String::new(),
    };
    let answered = post(&url, &header, &body);
    tokio::time::timeout(ANSWER_LIMIT, answered)
        .await
        .map_err(io::Error::other)?
}

/// `t=<unix seconds>,v1=<hex>`, one `v1` for each secret.
fn header(secrets: &[String], time: i64, body: &str) -> String {
    let mut header = format!("t={time}");
    for secret in secrets {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
            continue;
        };
        mac.update(format!("{time}.{body}").as_bytes());
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            // Writing to a string cannot fail.
            let _ = write!(header, "{byte:02x}");
        }
    }
    header
}

/// One request on a connection of its own; only the status of the answer is read.
async fn post(url: &Url, signature: &str, body: &str) -> io::Result<u16> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let mut stream = TcpStream::connect((host, port)).await?;
    let signed = match signature {
        "" => String::new(),
        signature => format!("stripe-signature: {signature}\r\n"),
    };
    let request = format!(
        "POST {} HTTP/1.1\r\nhost: {host}:{port}\r\nuser-agent: Stripe/1.0\r\ncontent-type: application/json; charset=utf-8\r\n\
         {signed}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        url.path(),
        body.len(),
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("no HTTP answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf '1795421106.{}' | openssl dgst -sha256 -hmac 'new secret'`
    #[test]
    fn the_scheme_is_the_documented_one() {
        let header = header(&["new secret".to_owned()], 1_795_421_106, "{}");
        let code = "576cca4e4133f83e10640a32cbe73e704f858b812da0973f23e8cb5053c14132";
        assert_eq!(header, format!("t=1795421106,v1={code}"));
    }
}
