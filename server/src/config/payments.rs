//! Settings of buying credits: Stripe, and the fee on top.

use super::{ConfigError, Env, File, Secret, WEBHOOK_SECRET_BYTES_MIN, parse_http_url, setting};
use domain::money::NanoUsd;

/// How credits are sold.
#[derive(Clone, Debug)]
pub struct Payments {
    pub stripe: Option<Stripe>,
    pub fee: Fee,
    /// Name and address on receipts, lines separated by ` | `.
    pub seller: String,
}

#[derive(Clone, Debug)]
pub struct Stripe {
    pub secret_key: Secret,
    /// Any of them verifies a webhook. Empty: no webhook is taken, and what was paid is learnt by asking alone.
    pub webhook_secrets: Vec<Secret>,
    /// Replaces Stripe's own address, without a trailing slash.
    pub api_url: Option<String>,
    /// What a buyer may pay with: `card`, `crypto`.
    pub methods: Vec<&'static str>,
}

/// What is paid on top of the credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fee {
    pub basis_points: u32,
    pub min_cents: u32,
}

/// The address of Stripe's payment pages.
const PAYMENT_PAGES: &str = "https://checkout.stripe.com";
const SELLER: &str = "Tollway";
const METHODS: [&str; 2] = ["card", "crypto"];
const SECRET_KEY_BYTES_MIN: usize = 12;
const BASIS_POINTS_MAX: u32 = 5_000;
const MIN_CENTS_MAX: u32 = 10_000;

impl Stripe {
    /// Whether real money moves.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.secret_key.reveal().contains("_live_")
    }

    /// The origin of the pages where buyers pay.
    #[must_use]
    pub fn payment_pages(&self) -> &str {
        self.api_url.as_deref().unwrap_or(PAYMENT_PAGES)
    }
}

impl Fee {
    /// Of `amount`, rounded up to a whole cent.
    #[must_use]
    pub fn of(self, amount: NanoUsd) -> NanoUsd {
        let share = amount
            .to_cents()
            .unwrap_or(0)
            .saturating_mul(i64::from(self.basis_points));
        let cents = share.saturating_add(9_999) / 10_000;
        NanoUsd::from_cents(cents.max(i64::from(self.min_cents))).unwrap_or(NanoUsd::ZERO)
    }
}

pub(super) fn assemble(file: &mut File, env: &Env) -> Result<Payments, ConfigError> {
    Ok(Payments {
        stripe: stripe(file, env)?,
        seller: env
            .text("TOLLWAY_SELLER", file.seller.take())
            .unwrap_or_else(|| SELLER.to_owned()),
        fee: Fee {
            basis_points: at_most(
                "TOLLWAY_PURCHASE_FEE_BASIS_POINTS",
                env.number("TOLLWAY_PURCHASE_FEE_BASIS_POINTS", file.purchase_fee_basis_points)?,
                BASIS_POINTS_MAX,
            )?,
            min_cents: at_most(
                "TOLLWAY_PURCHASE_FEE_MIN_CENTS",
                env.number("TOLLWAY_PURCHASE_FEE_MIN_CENTS", file.purchase_fee_min_cents)?,
                MIN_CENTS_MAX,
            )?,
        },
    })
}

fn stripe(file: &mut File, env: &Env) -> Result<Option<Stripe>, ConfigError> {
    let secrets = env.secret("TOLLWAY_STRIPE_WEBHOOK_SECRETS", file.stripe_webhook_secrets.take());
    let webhook_secrets = secrets.as_ref().map(webhook_secrets).transpose()?.unwrap_or_default();
    let api_url = env.parsed("TOLLWAY_STRIPE_API_URL", file.stripe_api_url.take(), parse_api_url)?;
    let methods = env.parsed("TOLLWAY_STRIPE_METHODS", file.stripe_methods.take(), parse_methods)?;
    let Some(secret_key) = env.secret("TOLLWAY_STRIPE_SECRET_KEY", file.stripe_secret_key.take()) else {
        return Ok(None);
    };
    let secret_key = Secret::new(secret_key.reveal().trim());
    let text = secret_key.reveal();
    let is_secret = ["sk_live_", "sk_test_", "rk_live_", "rk_test_"]
        .iter()
        .any(|start| text.starts_with(start));
    if !is_secret || text.len() < SECRET_KEY_BYTES_MIN || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let problem = "write a secret or restricted key such as sk_live_… or rk_test_…, or unset it";
        return Err(setting("TOLLWAY_STRIPE_SECRET_KEY", problem.to_owned()));
    }
    Ok(Some(Stripe {
        secret_key,
        webhook_secrets,
        api_url,
        methods: methods.unwrap_or_else(|| METHODS.to_vec()),
    }))
}

fn webhook_secrets(given: &Secret) -> Result<Vec<Secret>, ConfigError> {
    let secrets: Vec<Secret> = given.reveal().split(',').map(|part| Secret::new(part.trim())).collect();
    let is_short = |secret: &Secret| secret.reveal().len() < WEBHOOK_SECRET_BYTES_MIN;
    if secrets.iter().any(is_short) {
        let problem = format!(
            "each secret needs at least {WEBHOOK_SECRET_BYTES_MIN} characters; with an empty one anybody could post \
             payments. Copy the signing secrets (whsec_…) of the webhook endpoint, separated by commas"
        );
        return Err(setting("TOLLWAY_STRIPE_WEBHOOK_SECRETS", problem));
    }
    Ok(secrets)
}

/// The key goes there, so nothing but a stand-in on this machine is asked without TLS.
fn parse_api_url(text: &str) -> Result<String, String> {
    let text = parse_http_url(text)?;
    let url = url::Url::parse(&text).map_err(|error| error.to_string())?;
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if url.scheme() == "http" && !is_here {
        return Err(format!("{text:?} must begin with https://, or name this machine"));
    }
    if url.path() != "/" || url.query().is_some() || !url.username().is_empty() {
        return Err(format!("{text:?} must be scheme, host and port only"));
    }
    Ok(url.origin().ascii_serialization())
}

fn parse_methods(text: &str) -> Result<Vec<&'static str>, String> {
    let known = |part: &str| METHODS.into_iter().find(|method| *method == part);
    text.split(',')
        .map(|part| known(part.trim()).ok_or_else(|| format!("{part:?} is neither card nor crypto")))
        .collect()
}

fn at_most(name: &'static str, given: Option<u32>, max: u32) -> Result<u32, ConfigError> {
    match given.unwrap_or(0) {
        number if number <= max => Ok(number),
        number => Err(setting(name, format!("{number} is more than {max}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_up_and_has_a_least() {
        let fee = |basis_points, min_cents, cents| {
            let fee = Fee {
                basis_points,
                min_cents,
            };
            fee.of(NanoUsd::from_cents(cents).unwrap()).to_cents().unwrap()
        };
        assert_eq!(fee(0, 0, 2_000), 0);
        assert_eq!(fee(550, 80, 500), 80);
        assert_eq!(fee(550, 80, 2_000), 110);
        assert_eq!(fee(550, 0, 1_001), 56, "55.055 cents");
    }
}
