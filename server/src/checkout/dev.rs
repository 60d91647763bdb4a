//! The development checkout: a payment page of our own that moves no money, yet pays by the same signed webhook.

use super::converge::{PaymentState, PurchaseSeen, Seen};
use super::hint::Event;
use super::{CURRENCY, SIGNATURE_HEADER, signature};
use crate::clock;
use crate::config::{Config, Secret};
use domain::id::{PurchaseId, hex};
use domain::purchase::{Purchase, PurchaseKind, PurchaseState, Refund, RefundState};
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use store::refunds::RefundSeen;

pub const NAME: &str = "dev";

/// Plays the payment processor. Exists in development mode only.
pub struct Dev {
    /// The first one signs.
    secrets: Vec<Secret>,
    /// Our own webhook, over the loopback interface.
    webhook_url: String,
    client: reqwest::Client,
}

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(15);

impl Dev {
    pub(super) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        Ok(Self {
            secrets: config.webhook_secrets.clone(),
            webhook_url: format!("http://{}/webhooks/{NAME}", loopback(config.addr)),
            // No connection is kept: a payment must not meet one that the listener is just closing for idleness.
            client: reqwest::Client::builder()
                .no_proxy()
                .pool_max_idle_per_host(0)
                .timeout(DELIVERY_TIMEOUT)
                .build()?,
        })
    }

    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The processor's name for the checkout, and where the buyer goes.
    pub(super) fn start(&self, purchase: &Purchase) -> (String, String) {
        (reference(&purchase.id), format!("/checkout/{}", purchase.id))
    }

    /// Pays: signs an event as a processor would and delivers it to our own webhook over HTTP.
    ///
    /// # Errors
    /// What the webhook answered, when it did not take the event.
    pub async fn pay(&self, purchase: &Purchase) -> Result<(), String> {
        let now_secs = clock::now().seconds();
        let body = paid_event(purchase, now_secs).to_string();
        let secret = self.secrets.first().ok_or("there is no secret to sign with")?;
        let request = self
            .client
            .post(&self.webhook_url)
            .header(CONTENT_TYPE, "application/json")
            .header(SIGNATURE_HEADER, signature::sign(secret, now_secs, body.as_bytes()));
        let response = request.body(body).send().await.map_err(|error| error.to_string())?;
        match response.status().is_success() {
            true => Ok(()),
            false => Err(format!("the webhook answered {}", response.status())),
        }
    }
}

/// A checkout session inside an event.
#[derive(Debug, Deserialize)]
struct Session {
    id: String,
    client_reference_id: Option<String>,
    /// Cents.
    amount_total: Option<i64>,
    currency: Option<String>,
    payment_status: Option<String>,
    payment_intent: Option<String>,
}

/// What an event tells. Nobody is asked again: who signed it is ourselves.
///
/// # Errors
/// When the checkout inside is unreadable.
pub(super) fn seen(event: &Event) -> Result<Option<Seen>, String> {
    let is_paid = match event.kind.as_str() {
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => true,
        "checkout.session.expired" | "checkout.session.async_payment_failed" => false,
        _ => return Ok(None),
    };
    let session: Session = serde_json::from_value(event.data.object.clone())
        .map_err(|error| format!("unreadable checkout session: {error}"))?;
    let state = match (is_paid, session.payment_status.as_deref()) {
        (true, Some("paid")) => PaymentState::Paid,
        (true, _) => PaymentState::Pending,
        (false, _) => PaymentState::Closed,
    };
    Ok(Some(Seen::Purchase(PurchaseSeen {
        kind: PurchaseKind::Checkout,
        reference: session.id,
        purchase: session.client_reference_id.map(PurchaseId::stored),
        state,
        cents: session.amount_total,
        currency: session.currency,
        fits: true,
        payment: session.payment_intent,
        kept: None,
    })))
}

/// A refund that arrives at once.
pub(super) fn refund(refund: &Refund, payment: String) -> RefundSeen {
    RefundSeen {
        processor: NAME.to_owned(),
        reference: format!("re_dev_{}", refund.id),
        ours: Some(refund.id.clone()),
        payment,
        amount: refund.amount,
        state: RefundState::Succeeded,
    }
}

/// The page for the purchase's owner. Plain HTML: it stands for another company's site.
#[must_use]
pub fn page(purchase: &Purchase) -> String {
    let (id, amount) = (escaped(purchase.id.as_str()), escaped(&purchase.price().to_dollars()));
    let action = match purchase.state {
        PurchaseState::Created | PurchaseState::Open | PurchaseState::Pending => format!(
            "<form method=post action='/checkout/{id}/pay'><button class=pay>Pay {amount}</button></form>\
             <form method=post action='/checkout/{id}/cancel'><button>Cancel</button></form>"
        ),
        PurchaseState::Paid => "<p role=status>This purchase is paid.</p>".to_owned(),
        PurchaseState::Cancelled | PurchaseState::Failed => {
            "<p role=status>This purchase was cancelled.</p>".to_owned()
        }
    };
    PAGE.replace("{amount}", &amount)
        .replace("{id}", &id)
        .replace("{action}", &action)
}

/// What the page is allowed to do: show itself and post to us.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
                                           base-uri 'none'; frame-ancestors 'none'";

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Development checkout · {amount}</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }
main { width: min(24rem, calc(100vw - 3rem)); }
.mark { border: 2px dashed; border-radius: .5rem; padding: .75rem 1rem; font-weight: 600; }
.amount { font-size: 2.5rem; font-weight: 700; margin: 1.5rem 0 0; }
button { width: 100%; padding: .75rem; margin-top: .75rem; font: inherit; border-radius: .5rem; border: 1px solid; cursor: pointer;
  background: Canvas; color: CanvasText; }
.pay { background: #1f5f3a; color: #fff; border-color: #1f5f3a; font-weight: 600; }
code { font-size: .8rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<p class="mark">Development checkout: no real money</p>
<h1 class="amount">{amount}</h1>
<p>Credits<br><code>{id}</code></p>
{action}
<p><a href="/account/credits">Back to credits</a></p>
</main>
</body>
</html>
"#;

fn paid_event(purchase: &Purchase, now_secs: i64) -> Value {
    let random = hex(&clock::random::<12>());
    json!({
        "id": format!("evt_dev_{random}"),
        "object": "event",
        "type": "checkout.session.completed",
        "created": now_secs,
        "livemode": false,
        "data": {"object": {
            "id": reference(&purchase.id),
            "object": "checkout.session",
            "mode": "payment",
            "livemode": false,
            "client_reference_id": purchase.id,
            "amount_total": purchase.price().to_cents(),
            "currency": CURRENCY,
            "payment_status": "paid",
            "payment_intent": format!("pi_dev_{random}"),
        }}
    })
}

fn reference(id: &PurchaseId) -> String {
    format!("cs_dev_{id}")
}

fn loopback(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, addr.port())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::id::{AccountId, UserId};
    use domain::money::NanoUsd;
    use domain::time::Micros;

    pub(crate) fn purchase(state: PurchaseState) -> Purchase {
        Purchase {
            id: PurchaseId::stored("pur_<1>"),
            account: AccountId::stored("acc_1"),
            user: UserId::stored("usr_1"),
            amount: NanoUsd::new(20_000_000_000),
            fee: NanoUsd::ZERO,
            kind: PurchaseKind::Checkout,
            state,
            processor: NAME.to_owned(),
            processor_ref: None,
            payment: None,
            refunded: NanoUsd::ZERO,
            created: Micros::new(0),
            updated: Micros::new(0),
        }
    }

    #[test]
    fn the_page_is_marked_and_offers_to_pay_only_what_is_open() {
        let open = page(&purchase(PurchaseState::Open));
        assert!(open.contains("no real money") && open.contains("Pay $20.00") && open.contains("/cancel"));
        assert!(!open.contains("pur_<1>") && open.contains("pur_&lt;1&gt;"));
        for state in [PurchaseState::Paid, PurchaseState::Cancelled] {
            assert!(!page(&purchase(state)).contains("<form"));
        }
    }

    #[test]
    fn the_webhook_is_reached_over_loopback() {
        assert_eq!(loopback("0.0.0.0:80".parse().unwrap()).to_string(), "127.0.0.1:80");
        assert_eq!(loopback("[::]:80".parse().unwrap()).to_string(), "[::1]:80");
        assert_eq!(loopback("10.0.0.7:80".parse().unwrap()).to_string(), "10.0.0.7:80");
    }
}
