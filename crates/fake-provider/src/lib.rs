//! A scriptable provider that answers on loopback and keeps its own tally of what it would bill. What it speaks follows
//! from the path: OpenAI chat and Responses, Anthropic Messages, Gemini, Bedrock Converse, Cohere v2, Ollama.
//!
//! Tests run it in-process on a thread of its own. What it does with a request is a [`Plan`], looked up in this order:
//! the next of [`Script::queue`], the plan for the request's model, the script's default plan. A request can change
//! single fields with a JSON object in the header `x-fake-script`, or after `fake:` in its last user message.

mod answer;
mod aws;
mod google;
mod playback;
mod script;
mod server;
mod tally;
mod tokens;
mod voice;

pub use aws::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY};
pub use google::service_account;
pub use script::{Cancel, Plan, Refusal, Script, ToolCall, UsageReport};
pub use tally::{Bill, Outcome, Received, Tally};
pub use tokens::{TOKEN_BYTES, prompt_tokens};
pub use voice::Protocol;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// A running provider. Dropping it ends it, with all its connections.
#[derive(Debug)]
pub struct FakeProvider {
    address: SocketAddr,
    state: Arc<server::State>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeProvider {
    /// Starts on a free port of 127.0.0.1.
    pub fn start(script: Script) -> io::Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// Starts at `address`, which a test needs when a provider must come back where it was.
    pub fn start_at(address: SocketAddr, script: Script) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(server::State::new(script));
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&state);
        let thread = std::thread::Builder::new()
            .name("fake-provider".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    tokio::select! {
                        _ = server::serve(listener, served) => {}
                        _ = stopped => {}
                    }
                });
                runtime.shutdown_background();
            })?;
        Ok(Self {
            address,
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// `http://127.0.0.1:PORT/v1`, as a provider's base URL stands in the catalog.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// A provider's base URL for one protocol.
    #[must_use]
    pub fn base_url_of(&self, protocol: Protocol) -> String {
        let below = match protocol {
            Protocol::OpenaiChat | Protocol::OpenaiResponses | Protocol::AnthropicMessages => "/v1",
            Protocol::Gemini => "/v1beta",
            Protocol::CohereV2 => "/v2",
            Protocol::Ollama => "/api",
            Protocol::BedrockConverse => "",
        };
        format!("http://{}{below}", self.address)
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it would bill so far, one line per request.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.state.ledger.tally()
    }

    /// All requests received so far, with headers and bodies.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.state.ledger.requests()
    }

    /// For requests from now on.
    pub fn set_script(&self, script: Script) {
        self.state.set_script(script);
    }

    /// Waits until no request is being answered, or `patience` is over; says which.
    pub async fn idle(&self, patience: Duration) -> bool {
        let wait = async {
            while self.tally().running() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, wait).await.is_ok()
    }

    /// Closes the port and all connections.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has already failed what it served.
            drop(thread.join());
        }
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.stop();
    }
}
