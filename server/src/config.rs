//! Settings: the only reader of the environment and of the configuration file. Environment > file > default.

use domain::id::{NodeId, hex};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

mod generated;
mod limits;
mod payments;

pub use limits::{FreeLimits, Limits};
pub use payments::{Fee, Payments, Stripe};

/// Everything an operator can set, checked. See `docs/OPERATIONS.md` for the published table.
#[derive(Clone, Debug)]
pub struct Config {
    pub addr: SocketAddr,
    /// Public URL without a trailing slash: `https://tollway.example`.
    pub base_url: String,
    /// Whether `base_url` was derived from `addr`, and so follows the port that was really bound.
    pub base_url_is_default: bool,
    pub data_dir: PathBuf,
    pub database_url: Secret,
    pub database_connections_max: u32,
    /// Holds `pkg/` and the public files of the site.
    pub site_root: PathBuf,
    /// Development checkout and mailbox exist.
    pub dev: bool,
    /// Replaces the base URL of the provider `local`.
    pub local_model_url: Option<String>,
    /// Catalog files merged over the embedded one, later ones winning.
    pub catalog_files: Vec<PathBuf>,
    /// Every variable that is not ours, and `[provider_keys]` of the file: a provider's `key_setting` picks one by name.
    pub provider_keys: BTreeMap<String, Secret>,
    /// Whether images that callers link are fetched from private addresses too.
    pub fetch_private: bool,
    pub smtp: Option<Smtp>,
    /// Of the development checkout: any of them verifies a webhook, the first one signs. Empty outside development.
    pub webhook_secrets: Vec<Secret>,
    pub payments: Payments,
    pub limits: Limits,
    /// How long responses are kept whose callers do not say otherwise; none are when it is 0.
    pub responses_retention_days: u32,
    pub journal_fsync: Fsync,
    pub body_bytes_max: usize,
    pub connections_max: usize,
    /// How long running streams may go on after a signal to stop.
    pub shutdown_secs: u64,
    /// Whether `X-Forwarded-For` is set by a proxy of our own and can be believed.
    pub trust_proxy: bool,
    /// A filter such as `info` or `tollway=debug,info`.
    pub log: String,
    /// One JSON object per log line instead of text.
    pub log_json: bool,
    /// Stable over restarts: the journal in the data directory belongs to it.
    pub node: NodeId,
    /// Variables that begin with `TOLLWAY_` and are no setting; said once at start.
    pub unknown: Vec<String>,
}

/// When the journal is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// Before an answer goes on.
    Always,
    /// Every so many milliseconds.
    Interval(u64),
}

#[derive(Clone, Debug)]
pub struct Smtp {
    /// `smtps://user:password@host:465` or `smtp://user:password@host:587?tls=required`.
    pub url: Secret,
    /// `Tollway <no-reply@tollway.example>`.
    pub from: String,
}

/// Text that must not be printed: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    ReadFile { path: PathBuf, cause: std::io::Error },
    #[error("the configuration file {} is not valid: {cause}", path.display())]
    ParseFile { path: PathBuf, cause: toml::de::Error },
    #[error("{setting}: {problem}")]
    Setting { setting: &'static str, problem: String },
    #[error("cannot use the data directory file {}: {cause}", path.display())]
    DataDir { path: PathBuf, cause: std::io::Error },
    #[error("{} holds no usable value; delete it to have a new one generated", path.display())]
    Generated { path: PathBuf },
}

pub const WEBHOOK_SECRET_BYTES_MIN: usize = 24;
const BODY_BYTES_MAX: usize = 32 * 1024 * 1024;
const CONNECTIONS_MAX: usize = 20_000;
const DATABASE_CONNECTIONS_MAX: u32 = 16;
const FSYNC_MS: u64 = 10;
const FSYNC_MS_MAX: u64 = 1_000;
const RESPONSES_RETENTION_DAYS: u32 = 30;
const SHUTDOWN_SECS: u64 = 30;
const SETTINGS: &[&str] = &[
    "TOLLWAY_ADDR",
    "TOLLWAY_BASE_URL",
    "TOLLWAY_BODY_BYTES_MAX",
    "TOLLWAY_CATALOG",
    "TOLLWAY_CONFIG",
    "TOLLWAY_CONNECTIONS_MAX",
    "TOLLWAY_DATABASE_CONNECTIONS_MAX",
    "TOLLWAY_DATABASE_URL",
    "TOLLWAY_DATA_DIR",
    "TOLLWAY_DEV",
    "TOLLWAY_FETCH_PRIVATE",
    "TOLLWAY_FREE_REQUESTS_PER_DAY",
    "TOLLWAY_FREE_REQUESTS_PER_DAY_PAID",
    "TOLLWAY_FREE_REQUESTS_PER_MINUTE",
    "TOLLWAY_JOURNAL_FSYNC",
    "TOLLWAY_KEY_CONCURRENCY_MAX",
    "TOLLWAY_LEASE_EXPIRY_SECS",
    "TOLLWAY_LOCAL_MODEL_URL",
    "TOLLWAY_LOG",
    "TOLLWAY_LOG_JSON",
    "TOLLWAY_MAIL_FROM",
    "TOLLWAY_PURCHASE_FEE_BASIS_POINTS",
    "TOLLWAY_PURCHASE_FEE_MIN_CENTS",
    "TOLLWAY_RESPONSES_RETENTION_DAYS",
    "TOLLWAY_SELLER",
    "TOLLWAY_SHUTDOWN_SECS",
    "TOLLWAY_SITE_ROOT",
    "TOLLWAY_SMTP_URL",
    "TOLLWAY_STRIPE_API_URL",
    "TOLLWAY_STRIPE_METHODS",
    "TOLLWAY_STRIPE_SECRET_KEY",
    "TOLLWAY_STRIPE_WEBHOOK_SECRETS",
    "TOLLWAY_TRUST_PROXY",
    "TOLLWAY_WEBHOOK_SECRET",
];

/// The configuration file; each key is the setting's name without `TOLLWAY_`, in lower case.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    addr: Option<String>,
    base_url: Option<String>,
    body_bytes_max: Option<u64>,
    catalog: Option<Vec<PathBuf>>,
    connections_max: Option<u64>,
    database_connections_max: Option<u32>,
    database_url: Option<Secret>,
    data_dir: Option<PathBuf>,
    dev: Option<bool>,
    fetch_private: Option<bool>,
    free_requests_per_day: Option<u32>,
    free_requests_per_day_paid: Option<u32>,
    free_requests_per_minute: Option<u32>,
    journal_fsync: Option<String>,
    key_concurrency_max: Option<u32>,
    lease_expiry_secs: Option<u64>,
    local_model_url: Option<String>,
    log: Option<String>,
    log_json: Option<bool>,
    mail_from: Option<String>,
    purchase_fee_basis_points: Option<u32>,
    purchase_fee_min_cents: Option<u32>,
    responses_retention_days: Option<u32>,
    seller: Option<String>,
    shutdown_secs: Option<u64>,
    site_root: Option<PathBuf>,
    smtp_url: Option<Secret>,
    stripe_api_url: Option<String>,
    stripe_methods: Option<String>,
    stripe_secret_key: Option<Secret>,
    stripe_webhook_secrets: Option<Secret>,
    trust_proxy: Option<bool>,
    webhook_secret: Option<Secret>,
    provider_keys: BTreeMap<String, Secret>,
}

impl Config {
    /// Reads the process environment and the file named by `file` or `TOLLWAY_CONFIG`. Creates the data directory and
    /// the secrets in it that are generated once.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self::from_parts(file, env)
    }

    /// As [`Config::load`], with the environment given.
    pub fn from_parts(file: Option<&Path>, env: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let path = file
            .map(Path::to_owned)
            .or_else(|| env.get("TOLLWAY_CONFIG").map(PathBuf::from));
        let file = path.as_deref().map(read_file).transpose()?.unwrap_or_default();
        assemble(file, &Env(env))
    }

    /// The same settings once the listener has its port.
    #[must_use]
    pub fn bound(mut self, addr: SocketAddr) -> Self {
        self.addr = addr;
        if self.base_url_is_default {
            self.base_url = default_base_url(addr);
        }
        self
    }

    #[must_use]
    pub fn provider_key(&self, setting: &str) -> Option<&Secret> {
        self.provider_keys.get(setting)
    }

    #[must_use]
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }
}

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn assemble(mut file: File, env: &Env) -> Result<Config, ConfigError> {
    let payments = payments::assemble(&mut file, env)?;
    let limits = limits::assemble(&file, env)?;
    let addr = env
        .parsed("TOLLWAY_ADDR", file.addr, parse_addr)?
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000)));
    let base_url = env.parsed("TOLLWAY_BASE_URL", file.base_url, parse_base_url)?;
    let data_dir = env.path("TOLLWAY_DATA_DIR", file.data_dir).unwrap_or("data".into());
    let dev = env.flag("TOLLWAY_DEV", file.dev)?;
    let default_database = || Secret::new(format!("sqlite:{}", data_dir.join("tollway.db").display()));
    generated::create_dir(&data_dir)?;
    Ok(Config {
        addr,
        base_url_is_default: base_url.is_none(),
        base_url: base_url.unwrap_or_else(|| default_base_url(addr)),
        database_url: env
            .secret("TOLLWAY_DATABASE_URL", file.database_url)
            .unwrap_or_else(default_database),
        database_connections_max: env
            .number("TOLLWAY_DATABASE_CONNECTIONS_MAX", file.database_connections_max)?
            .unwrap_or(DATABASE_CONNECTIONS_MAX),
        site_root: env
            .path("TOLLWAY_SITE_ROOT", file.site_root)
            .unwrap_or("target/site".into()),
        dev,
        local_model_url: env.parsed("TOLLWAY_LOCAL_MODEL_URL", file.local_model_url, parse_http_url)?,
        catalog_files: env.paths("TOLLWAY_CATALOG").or(file.catalog).unwrap_or_default(),
        provider_keys: provider_keys(file.provider_keys, env),
        fetch_private: env.flag("TOLLWAY_FETCH_PRIVATE", file.fetch_private)?,
        smtp: smtp(
            env.secret("TOLLWAY_SMTP_URL", file.smtp_url),
            env.text("TOLLWAY_MAIL_FROM", file.mail_from),
        )?,
        webhook_secrets: webhook_secrets(
            env.secret("TOLLWAY_WEBHOOK_SECRET", file.webhook_secret),
            dev,
            &data_dir,
        )?,
        payments,
        limits,
        responses_retention_days: env
            .number("TOLLWAY_RESPONSES_RETENTION_DAYS", file.responses_retention_days)?
            .unwrap_or(RESPONSES_RETENTION_DAYS),
        journal_fsync: env
            .parsed("TOLLWAY_JOURNAL_FSYNC", file.journal_fsync, parse_fsync)?
            .unwrap_or(Fsync::Interval(FSYNC_MS)),
        body_bytes_max: env.size("TOLLWAY_BODY_BYTES_MAX", file.body_bytes_max, BODY_BYTES_MAX)?,
        connections_max: env.size("TOLLWAY_CONNECTIONS_MAX", file.connections_max, CONNECTIONS_MAX)?,
        shutdown_secs: env
            .number("TOLLWAY_SHUTDOWN_SECS", file.shutdown_secs)?
            .unwrap_or(SHUTDOWN_SECS),
        trust_proxy: env.flag("TOLLWAY_TRUST_PROXY", file.trust_proxy)?,
        log: env.text("TOLLWAY_LOG", file.log).unwrap_or_else(|| "info".to_owned()),
        log_json: env.flag("TOLLWAY_LOG_JSON", file.log_json)?,
        node: generated::node_id(&data_dir)?,
        unknown: env.unknown(),
        data_dir,
    })
}

fn read_file(path: &Path) -> Result<File, ConfigError> {
    let path = path.to_owned();
    let text = std::fs::read_to_string(&path).map_err(|cause| ConfigError::ReadFile {
        path: path.clone(),
        cause,
    })?;
    toml::from_str(&text).map_err(|cause| ConfigError::ParseFile { path, cause })
}

/// The environment, asked by name. A variable set to nothing counts as set: `TOLLWAY_WEBHOOK_SECRET=` is refused, not
/// ignored.
struct Env(BTreeMap<String, String>);

impl Env {
    fn text(&self, name: &str, file: Option<String>) -> Option<String> {
        self.0.get(name).cloned().or(file)
    }

    fn secret(&self, name: &str, file: Option<Secret>) -> Option<Secret> {
        self.0.get(name).map(Secret::new).or(file)
    }

    fn path(&self, name: &str, file: Option<PathBuf>) -> Option<PathBuf> {
        self.0
            .get(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
            .or(file)
    }

    /// Several paths, separated as in `PATH`.
    fn paths(&self, name: &str) -> Option<Vec<PathBuf>> {
        let text = self.0.get(name)?;
        Some(
            std::env::split_paths(text)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
        )
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        file: Option<String>,
        parse: fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        let text = self.text(name, file);
        let parsed = text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .map(parse);
        parsed.transpose().map_err(|problem| setting(name, problem))
    }

    fn number<T: std::str::FromStr>(&self, name: &'static str, file: Option<T>) -> Result<Option<T>, ConfigError> {
        match self.0.get(name) {
            Some(text) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(setting(name, format!("{text:?} is not a whole number in range"))),
            },
            None => Ok(file),
        }
    }

    fn size(&self, name: &'static str, file: Option<u64>, default: usize) -> Result<usize, ConfigError> {
        let Some(number) = self.number(name, file)? else {
            return Ok(default);
        };
        match usize::try_from(number) {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(setting(name, "must be at least 1".to_owned())),
        }
    }

    fn flag(&self, name: &'static str, file: Option<bool>) -> Result<bool, ConfigError> {
        match self.0.get(name).map(|text| text.trim().to_ascii_lowercase()).as_deref() {
            None => Ok(file.unwrap_or(false)),
            Some("1" | "true" | "yes" | "on") => Ok(true),
            Some("" | "0" | "false" | "no" | "off") => Ok(false),
            Some(other) => Err(setting(name, format!("{other:?} is neither 1 nor 0"))),
        }
    }

    fn unknown(&self) -> Vec<String> {
        let ours = self.0.keys().filter(|name| name.starts_with("TOLLWAY_"));
        ours.filter(|name| !SETTINGS.contains(&name.as_str()))
            .cloned()
            .collect()
    }
}

fn setting(setting: &'static str, problem: String) -> ConfigError {
    ConfigError::Setting { setting, problem }
}

fn parse_addr(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an address and port such as 127.0.0.1:3000"))
}

fn parse_http_url(text: &str) -> Result<String, String> {
    let refusal = || format!("{text:?} is not a URL such as http://127.0.0.1:8080");
    let url = url::Url::parse(text).map_err(|_| refusal())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(refusal());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn parse_base_url(text: &str) -> Result<String, String> {
    let url = url::Url::parse(&parse_http_url(text)?).map_err(|error| error.to_string())?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(format!(
            "{text:?} must be scheme, host and port only, such as https://tollway.example"
        ));
    }
    Ok(url.origin().ascii_serialization())
}

fn parse_fsync(text: &str) -> Result<Fsync, String> {
    if text.eq_ignore_ascii_case("always") {
        return Ok(Fsync::Always);
    }
    match text.strip_suffix("ms").unwrap_or(text).trim().parse() {
        Ok(ms) if (1..=FSYNC_MS_MAX).contains(&ms) => Ok(Fsync::Interval(ms)),
        _ => Err(format!(
            "{text:?} is neither `always` nor milliseconds from 1 to {FSYNC_MS_MAX}"
        )),
    }
}

fn default_base_url(addr: SocketAddr) -> String {
    match addr.ip().is_unspecified() {
        true => format!("http://127.0.0.1:{}", addr.port()),
        false => format!("http://{addr}"),
    }
}

fn provider_keys(file: BTreeMap<String, Secret>, env: &Env) -> BTreeMap<String, Secret> {
    let mut keys = file;
    let others = env.0.iter().filter(|(name, _)| !name.starts_with("TOLLWAY_"));
    keys.extend(others.map(|(name, value)| (name.clone(), Secret::new(value.trim()))));
    keys.retain(|_, value| !value.reveal().is_empty());
    keys
}

fn smtp(url: Option<Secret>, from: Option<String>) -> Result<Option<Smtp>, ConfigError> {
    let Some(url) = url.filter(|url| !url.reveal().is_empty()) else {
        return Ok(None);
    };
    if !url.reveal().starts_with("smtp://") && !url.reveal().starts_with("smtps://") {
        let problem = "write smtps://user:password@host:465 or smtp://user:password@host:587?tls=required";
        return Err(setting("TOLLWAY_SMTP_URL", problem.to_owned()));
    }
    let Some(from) = from.filter(|from| from.contains('@')) else {
        let problem = "set the sender's address, such as Tollway <no-reply@tollway.example>";
        return Err(setting("TOLLWAY_MAIL_FROM", problem.to_owned()));
    };
    Ok(Some(Smtp { url, from }))
}

fn webhook_secrets(given: Option<Secret>, dev: bool, data_dir: &Path) -> Result<Vec<Secret>, ConfigError> {
    let Some(given) = given else {
        return if dev {
            Ok(vec![generated::webhook_secret(data_dir)?])
        } else {
            Ok(Vec::new())
        };
    };
    let secrets: Vec<Secret> = given.reveal().split(',').map(|part| Secret::new(part.trim())).collect();
    if secrets
        .iter()
        .any(|secret| secret.reveal().len() < WEBHOOK_SECRET_BYTES_MIN)
    {
        let problem = format!(
            "each secret needs at least {WEBHOOK_SECRET_BYTES_MIN} characters; with an empty one anybody could post \
             payments. Unset it to have one generated in development, or set the processor's signing secret"
        );
        return Err(setting("TOLLWAY_WEBHOOK_SECRET", problem));
    }
    Ok(secrets)
}

/// 256 random bits as hex.
pub(crate) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests;
