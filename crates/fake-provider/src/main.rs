//! The fake provider as a program, for trying things out by hand.

use clap::Parser;
use fake_provider::{FakeProvider, Script};
use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A scriptable OpenAI-compatible provider. `GET /tally` shows what it would bill; `PUT /script` changes what it does.
#[derive(Debug, Parser)]
struct Args {
    /// Where to answer; only loopback makes sense.
    #[arg(long, default_value = "127.0.0.1:8900")]
    addr: SocketAddr,
    /// A JSON file with a script.
    #[arg(long)]
    script: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let script = match &args.script {
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => Script::default(),
    };
    let provider = FakeProvider::start_at(args.addr, script)?;
    writeln!(std::io::stdout(), "{}", provider.base_url())?;
    tokio::signal::ctrl_c().await?;
    provider.shutdown();
    Ok(())
}
