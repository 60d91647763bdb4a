//! Where a provider is reached and by what right: its address with the operator's settings filled in, and its credentials.

use super::google::ServiceAccounts;
use crate::config::{Config, Secret};
use domain::catalog::{Auth, Endpoint, Provider};
use gateway::dialect::Call;
use std::time::SystemTime;

/// A call with everything it needs to leave.
#[derive(Debug)]
pub struct Authorized {
    pub url: String,
    pub headers: Vec<(&'static str, Secret)>,
}

/// Why a call can't leave. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    #[error("the operator has not set {0}")]
    Missing(String),
    #[error("{0} holds something that can't stand in an address")]
    Unusable(String),
    #[error("{0} is not a service account's key")]
    NotAServiceAccount(String),
    #[error("the provider's token service refused: {0}")]
    NoToken(String),
    #[error("the request can't be signed")]
    Unsigned,
}

/// Settings that other software knows under a name of its own, by provider and placeholder.
const KNOWN_NAMES: &[(&str, &str, &str)] = &[
    ("amazon-bedrock", "region", "AWS_REGION"),
    ("azure", "resource", "AZURE_RESOURCE_NAME"),
    ("cloudflare", "account", "CLOUDFLARE_ACCOUNT_ID"),
    ("google-vertex", "location", "GOOGLE_CLOUD_LOCATION"),
    ("google-vertex", "project", "GOOGLE_CLOUD_PROJECT"),
];

/// What signatures are made for.
const AWS_SERVICE: &str = "bedrock";
/// Vertex' address without a location.
const VERTEX_ANYWHERE: (&str, &str) = ("://global-aiplatform.", "://aiplatform.");

/// The name of the first setting that is missing to call the endpoint.
pub fn missing(config: &Config, provider: &Provider, endpoint: Option<&Endpoint>) -> Option<String> {
    if let Some(setting) = &provider.key_setting
        && config.provider_key(setting).is_none()
        && !(provider.auth == Auth::AwsSigv4 && bedrock_key(config, setting).is_some())
    {
        return Some(setting.clone());
    }
    if let (Auth::AwsSigv4, Some(setting)) = (provider.auth, &provider.key_setting)
        && bedrock_key(config, setting).is_none()
    {
        let secret = sibling(setting, "SECRET_ACCESS_KEY");
        if config.provider_key(&secret).is_none() {
            return Some(secret);
        }
    }
    let base = base_url(provider, endpoint);
    let wanted: &[&str] = match provider.auth {
        Auth::AwsSigv4 => &["region"],
        Auth::GoogleOauth2 => &["location"],
        _ => &[],
    };
    if wanted.is_empty() && !base.contains('{') {
        return None;
    }
    let wanted = wanted.iter().copied().chain(placeholders(base));
    let mut missing = wanted.filter(|name| filled(config, provider, name).is_none());
    missing.next().map(|name| setting_name(provider, name))
}

/// The address of `call` and the headers that open it.
pub async fn authorize(
    config: &Config,
    accounts: &ServiceAccounts,
    provider: &Provider,
    endpoint: &Endpoint,
    call: &Call,
) -> Result<Authorized, AccessError> {
    let account = match (provider.auth, key(config, provider)) {
        (Auth::GoogleOauth2, Some((setting, key))) => Some(accounts.account(setting, key).await?),
        _ => None,
    };
    let project = account.as_ref().and_then(|account| account.project());
    let template = format!("{}{}", base_url(provider, Some(endpoint)), call.path);
    let url = fill(&template, |name| match filled(config, provider, name) {
        Some(value) => Ok(value.to_owned()),
        None if name == "project" => project.map(str::to_owned).ok_or_else(|| setting_name(provider, name)),
        None => Err(setting_name(provider, name)),
    })?;
    let url = url.replacen(VERTEX_ANYWHERE.0, VERTEX_ANYWHERE.1, 1);
    let headers = match (provider.auth, key(config, provider)) {
        (Auth::None | Auth::Other, _) => Vec::new(),
        (Auth::GoogleOauth2, _) => match account {
            Some(account) => vec![bearer(account.token().await?.reveal())],
            None => Vec::new(),
        },
        (Auth::AwsSigv4, _) => aws(config, provider, call, &url)?,
        (_, None) => Vec::new(),
        (Auth::Bearer, Some((_, key))) => vec![bearer(key.reveal())],
        (Auth::XApiKey, Some((_, key))) => vec![("x-api-key", key.clone())],
        (Auth::XGoogApiKey, Some((_, key))) => vec![("x-goog-api-key", key.clone())],
        (Auth::ApiKey, Some((_, key))) => vec![("api-key", key.clone())],
    };
    Ok(Authorized { url, headers })
}

fn bearer(token: &str) -> (&'static str, Secret) {
    ("authorization", Secret::new(format!("Bearer {token}")))
}

fn key<'a>(config: &'a Config, provider: &'a Provider) -> Option<(&'a str, &'a Secret)> {
    let setting = provider.key_setting.as_deref()?;
    Some((setting, config.provider_key(setting)?))
}

fn base_url<'a>(provider: &'a Provider, endpoint: Option<&'a Endpoint>) -> &'a str {
    let own = endpoint.and_then(|endpoint| endpoint.base_url.as_deref());
    own.unwrap_or(&provider.base_url)
}

fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let parts = template.split('{').skip(1);
    parts.filter_map(|part| part.split_once('}').map(|(name, _)| name))
}

/// `AMAZON_BEDROCK_REGION` for `{region}` of `amazon-bedrock`.
fn setting_name(provider: &Provider, placeholder: &str) -> String {
    format!("{}_{placeholder}", provider.slug)
        .replace('-', "_")
        .to_ascii_uppercase()
}

fn filled<'a>(config: &'a Config, provider: &Provider, placeholder: &str) -> Option<&'a str> {
    let own = config.provider_key(&setting_name(provider, placeholder));
    let known = || {
        let known = KNOWN_NAMES
            .iter()
            .find(|(slug, name, _)| (*slug, *name) == (&*provider.slug, placeholder));
        known.and_then(|(_, _, setting)| config.provider_key(setting))
    };
    own.or_else(known).map(|value| value.reveal().trim())
}

/// `template` with its placeholders replaced; a value stays within its host label or path segment.
fn fill(template: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, AccessError> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else {
            break;
        };
        let value = value(name).map_err(AccessError::Missing)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if value.is_empty() || !value.chars().all(is_plain) || value.split('.').any(str::is_empty) {
            return Err(AccessError::Unusable(name.to_owned()));
        }
        out.push_str(before);
        out.push_str(&value);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `AWS_SECRET_ACCESS_KEY` beside `AWS_ACCESS_KEY_ID`.
fn sibling(setting: &str, name: &str) -> String {
    format!("{}{name}", setting.strip_suffix("ACCESS_KEY_ID").unwrap_or(setting))
}

/// An API key of Bedrock, which wins over signing.
fn bedrock_key<'a>(config: &'a Config, setting: &str) -> Option<&'a Secret> {
    config.provider_key(&sibling(setting, "BEARER_TOKEN_BEDROCK"))
}

fn aws(
    config: &Config,
    provider: &Provider,
    call: &Call,
    url: &str,
) -> Result<Vec<(&'static str, Secret)>, AccessError> {
    let setting = provider.key_setting.as_deref().unwrap_or("AWS_ACCESS_KEY_ID");
    if let Some(key) = bedrock_key(config, setting) {
        return Ok(vec![bearer(key.reveal())]);
    }
    let named = |name: String| {
        let value = config.provider_key(&name).map(|secret| secret.reveal().trim());
        value.ok_or(AccessError::Missing(name))
    };
    let session = config.provider_key(&sibling(setting, "SESSION_TOKEN"));
    let keys = AwsKeys {
        id: named(setting.to_owned())?,
        secret: named(sibling(setting, "SECRET_ACCESS_KEY"))?,
        session: session.map(Secret::reveal),
        region: filled(config, provider, "region")
            .ok_or_else(|| AccessError::Missing(setting_name(provider, "region")))?,
        service: AWS_SERVICE,
    };
    let content_type = ("content-type", "application/json");
    let headers = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let headers: Vec<_> = headers.chain([content_type]).collect();
    signed(&keys, call.method, url, &headers, &call.body, SystemTime::now())
}

struct AwsKeys<'a> {
    id: &'a str,
    secret: &'a str,
    session: Option<&'a str>,
    region: &'a str,
    service: &'a str,
}

/// The headers that sign a request by Signature Version 4.
fn signed(
    keys: &AwsKeys<'_>,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    now: SystemTime,
) -> Result<Vec<(&'static str, Secret)>, AccessError> {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let session = keys.session.map(str::to_owned);
    let credentials = aws_credential_types::Credentials::new(keys.id, keys.secret, session, None, "settings");
    let identity = credentials.into();
    let parameters = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(keys.region)
        .name(keys.service)
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|_| AccessError::Unsigned)?
        .into();
    let request = SignableRequest::new(method, url, headers.iter().copied(), SignableBody::Bytes(body))
        .map_err(|_| AccessError::Unsigned)?;
    let output = sign(request, &parameters).map_err(|_| AccessError::Unsigned)?;
    let (instructions, _) = output.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers
        .iter()
        .map(|header| (header.name(), Secret::new(header.value())))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn of(name: &str) -> Result<String, String> {
        match name {
            "region" => Ok("eu-west-1".to_owned()),
            "evil" => Ok("evil.example/x?".to_owned()),
            _ => Err(name.to_uppercase()),
        }
    }

    #[test]
    fn settings_fill_an_address_and_cannot_change_its_form() {
        let fill = |template| fill(template, of);
        assert_eq!(
            fill("https://bedrock-runtime.{region}.amazonaws.com/model/a%3A0").unwrap(),
            "https://bedrock-runtime.eu-west-1.amazonaws.com/model/a%3A0"
        );
        assert_eq!(fill("https://{host}/x"), Err(AccessError::Missing("HOST".to_owned())));
        assert_eq!(fill("https://{evil}/x"), Err(AccessError::Unusable("evil".to_owned())));
    }

    /// `get-vanilla` and `post-vanilla` of the published test suite.
    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let keys = AwsKeys {
            id: "AKIDEXAMPLE",
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            session: None,
            region: "us-east-1",
            service: "service",
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160);
        for (method, signature) in [
            (
                "GET",
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
        ] {
            let headers = signed(&keys, method, "https://example.amazonaws.com/", &[], b"", at).unwrap();
            let (_, value) = headers.iter().find(|(name, _)| *name == "authorization").unwrap();
            assert_eq!(
                value.reveal(),
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=host;x-amz-date, Signature={signature}"
                )
            );
        }
    }
}
