//! A stand-in of Stripe on loopback: the part of its API that selling credits needs, its payment page, and webhooks that
//! come late, twice, in the wrong order or never, as a test wants.
//!
//! `POST /_control/{command}` with a JSON body makes things happen:
//!
//! | command | body |
//! | --- | --- |
//! | `choose` | `session`, `choice` (`pay`, `decline`, `later`, `later_succeeds`, `later_fails`), `card` (`pm_card_visa`, …, `crypto`) |
//! | `finish_later` | `session`, `succeeds` |
//! | `expire` | `session` |
//! | `refunds_pending` | `pending`: whether refunds made from now on wait for `finish_refund` |
//! | `finish_refund` | `refund`, `succeeds` |
//! | `dispute` | `payment_intent`, `amount` in cents, `inquiry`: moves no money yet |
//! | `dispute_step` | `dispute`, `step` (`escalate`, `review`, `win`, `lose`, `close`) |
//! | `early_fraud_warning` | `payment_intent` |
//! | `outage` | `calls`, `status`: so many API calls fail |
//! | `webhooks` | see [`Webhooks`] |
//! | `deliver` | `events`, `order` (`happened`, `reversed`, `shuffled`), `times`, `loss_percent`, `seed`, `signature` (`right`, `wrong`, `empty`, `missing`), `age_secs` |
//!
//! `GET /_control/requests` lists the API calls so far.

// One of Stripe's objects is one `json!`, and has more fields than that macro takes otherwise.
#![recursion_limit = "256"]

mod api;
mod bank;
mod chance;
mod delivery;
mod error;
mod form;
mod money;
mod objects;
mod page;
mod server;

pub use delivery::Webhooks;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How it starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub address: SocketAddr,
    /// What callers must send as bearer.
    pub secret_key: String,
    pub webhooks: Webhooks,
    /// How long a payment takes whose buyer chose to pay later.
    pub later: Duration,
}

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct FakeStripe {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The key that callers need unless another one is set.
pub const SECRET_KEY: &str = "sk_test_standin";

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            secret_key: SECRET_KEY.to_owned(),
            webhooks: Webhooks::default(),
            later: Duration::from_millis(1_500),
        }
    }
}

impl FakeStripe {
    /// Starts on a thread of its own.
    pub fn start(options: Options) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(options.address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let url = format!("http://{address}");
        let stripe = server::Stripe::new(options.secret_key, url, options.webhooks, options.later);
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new()
            .name("fake-stripe".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        _ = server::serve(listener, Arc::new(stripe)) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT/`, as the base of API calls.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for FakeStripe {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed what it served.
            drop(thread.join());
        }
    }
}
