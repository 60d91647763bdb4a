//! The stand-in of Stripe as a program, for browser journeys and for trying things out by hand.

use clap::Parser;
use fake_stripe::{FakeStripe, Options, SECRET_KEY, Webhooks};
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// A stand-in of Stripe. It has a payment page, signs and delivers webhooks, and moves no money.
#[derive(Debug, Parser)]
struct Args {
    /// Where to answer; only loopback makes sense.
    #[arg(long, default_value = "127.0.0.1:8910")]
    addr: SocketAddr,
    /// What callers must send as bearer.
    #[arg(long, default_value = SECRET_KEY)]
    secret_key: String,
    /// Where events go: http://127.0.0.1:3000/webhooks/stripe
    #[arg(long)]
    webhook_url: Option<String>,
    /// Signs events; may be given several times.
    #[arg(long)]
    webhook_secret: Vec<String>,
    /// How long a payment takes whose buyer chose to pay later.
    #[arg(long, default_value_t = 1_500)]
    later_ms: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let stripe = FakeStripe::start(Options {
        address: args.addr,
        secret_key: args.secret_key,
        webhooks: Webhooks {
            url: args.webhook_url,
            secrets: args.webhook_secret,
            ..Webhooks::default()
        },
        later: Duration::from_millis(args.later_ms),
    })?;
    writeln!(std::io::stdout(), "{}", stripe.url())?;
    tokio::signal::ctrl_c().await?;
    drop(stripe);
    Ok(())
}
