//! The callers: what each of them asks, and what became of it as they saw it.

use super::providers::Model;
use crate::random::Random;
use anyhow::{Context as _, Result};
use domain::money::NanoUsd;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// One caller's intentions, all drawn before anything runs.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Of its first try; the others follow.
    number: usize,
    model: Model,
    node: usize,
    streamed: bool,
    /// Of the whole answer.
    tokens: u64,
    token_ms: u64,
    /// What the caller allows; `None` leaves the cap to the server.
    max_tokens: Option<u64>,
    hang_up: Option<HangUp>,
    /// How long to wait before asking again, once for each try.
    patience_ms: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
enum HangUp {
    AfterTokens(u64),
    AfterMillis(u64),
}

/// What a caller saw of one try.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub number: usize,
    /// 0 when there was no answer.
    pub status: u16,
    /// The generation's id, from the header.
    pub generation: Option<String>,
    /// Tokens of the answer that arrived.
    pub received: u64,
    /// The answer came to its proper end, and cost this.
    pub told: Option<NanoUsd>,
}

pub struct Crowd {
    tasks: JoinSet<Vec<Seen>>,
    begun: watch::Receiver<usize>,
}

const QUESTION: &str = "question ";
const TITLE: &str = "caller-";
/// Connections at once; the others queue.
const CONNECTIONS_MAX: usize = 256;
/// Callers who were refused or cut ask again, this often in all.
const TRIES: usize = 5;
/// While a server is down, nothing was sent: the caller tries again.
const CONNECT_TRIES: usize = 300;
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Draws what `count` callers of `nodes` servers do.
pub fn plan(count: usize, nodes: usize, random: &Random) -> Vec<Ask> {
    (0..count)
        .map(|caller| draw(caller * TRIES, nodes, random.part(u64::try_from(caller).unwrap_or(0))))
        .collect()
}

/// The number in a question.
pub fn asked_by(question: &str) -> Option<usize> {
    question.strip_prefix(QUESTION)?.split(' ').next()?.parse().ok()
}

/// The number in the name of the caller's app, which the server keeps with the generation.
pub fn titled(title: &str) -> Option<usize> {
    title.strip_prefix(TITLE)?.parse().ok()
}

impl Ask {
    fn question(&self) -> String {
        let plan = json!({"tokens": self.tokens, "token_ms": self.token_ms});
        format!("{QUESTION}{} fake:{plan}", self.number)
    }

    fn body(&self) -> Value {
        let mut body = json!({"model": self.model.slug(), "stream": self.streamed,
            "messages": [{"role": "user", "content": self.question()}]});
        if let Some(tokens) = self.max_tokens {
            body["max_tokens"] = json!(tokens);
        }
        body
    }
}

impl Crowd {
    /// All at once, as far as there are connections.
    pub fn start(asks: Vec<Ask>, addresses: &[String], key: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .timeout(ANSWER_TIMEOUT)
            .build()?;
        let (count, begun) = watch::channel(0);
        let (count, room) = (Arc::new(count), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        let mut tasks = JoinSet::new();
        for ask in asks {
            let url = format!("http://{}/api/v1/chat/completions", addresses[ask.node]);
            let caller = Caller {
                http: http.clone(),
                url,
                key: key.to_owned(),
                ask,
            };
            let (count, room) = (Arc::clone(&count), Arc::clone(&room));
            tasks.spawn(async move {
                // Never closed.
                let _room = room.acquire().await;
                count.send_modify(|count| *count += 1);
                caller.insist().await
            });
        }
        Ok(Self { tasks, begun })
    }

    /// Resolves when more than `count` callers have begun.
    pub async fn begun(&self, count: usize) {
        // An error means that all callers have ended.
        let mut begun = self.begun.clone();
        let _ended = begun.wait_for(|begun| *begun > count).await;
    }

    /// What all of them saw.
    pub async fn ended(mut self) -> Result<Vec<Seen>> {
        let mut seen = Vec::new();
        while let Some(one) = self.tasks.join_next().await {
            seen.extend(one.context("a caller died")?);
        }
        Ok(seen)
    }
}

fn draw(number: usize, nodes: usize, mut random: Random) -> Ask {
    let tokens = random.between(1, 90);
    let streamed = random.chance(65);
    let hang_up = random.chance(20).then(|| {
        if streamed && random.chance(70) {
            HangUp::AfterTokens(random.between(1, tokens))
        } else {
            HangUp::AfterMillis(random.between(1, 600))
        }
    });
    Ask {
        number,
        model: Model::ALL[random.below(Model::ALL.len())],
        node: random.below(nodes),
        streamed,
        tokens,
        token_ms: random.between(0, 25),
        max_tokens: random.chance(60).then(|| random.between(1, 200)),
        hang_up,
        patience_ms: (0..TRIES).map(|_| random.between(20, 600)).collect(),
    }
}

struct Caller {
    http: reqwest::Client,
    url: String,
    key: String,
    ask: Ask,
}

impl Caller {
    /// Asks until an answer comes, or patience is over; what it saw each time.
    async fn insist(mut self) -> Vec<Seen> {
        let mut all = Vec::new();
        for pause in self.ask.patience_ms.clone() {
            let seen = match self.ask.hang_up {
                Some(HangUp::AfterMillis(millis)) => self.try_for(Duration::from_millis(millis)).await,
                _ => self.ask_once().await,
            };
            let goes_on = seen.status != 200 && self.ask.hang_up.is_none();
            all.push(seen);
            if !goes_on {
                break;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
            self.ask.number += 1;
        }
        all
    }

    async fn try_for(&self, time: Duration) -> Seen {
        let hung_up = Seen {
            number: self.ask.number,
            ..Seen::default()
        };
        tokio::time::timeout(time, self.ask_once()).await.unwrap_or(hung_up)
    }

    async fn ask_once(&self) -> Seen {
        let mut seen = Seen {
            number: self.ask.number,
            ..Seen::default()
        };
        let Some(mut response) = self.send().await else {
            return seen;
        };
        seen.status = response.status().as_u16();
        let id = response.headers().get("x-generation-id");
        seen.generation = id.and_then(|id| Some(id.to_str().ok()?.to_owned()));
        if seen.status != 200 {
            return seen;
        }
        if !self.ask.streamed {
            let whole = response.bytes().await.ok();
            if let Some(whole) = whole.and_then(|whole| serde_json::from_slice::<Value>(&whole).ok()) {
                let text = whole["choices"][0]["message"]["content"].as_str().unwrap_or_default();
                seen.received = tokens_of(text);
                seen.told = cost_of(&whole);
            }
            return seen;
        }
        let mut buffer = Vec::new();
        while let Ok(Some(bytes)) = response.chunk().await {
            buffer.extend_from_slice(&bytes);
            while let Some(end) = buffer.windows(2).position(|two| two == b"\n\n") {
                let event: Vec<u8> = buffer.drain(..end + 2).collect();
                seen.take(&event);
                if matches!(self.ask.hang_up, Some(HangUp::AfterTokens(limit)) if seen.received >= limit) {
                    return seen;
                }
            }
        }
        seen
    }

    /// `None` when the connection broke before the answer began.
    async fn send(&self) -> Option<reqwest::Response> {
        let body = self.ask.body().to_string();
        for _ in 0..CONNECT_TRIES {
            let request = self.http.post(&self.url).bearer_auth(&self.key);
            let request = request
                .header("content-type", "application/json")
                .header("x-title", format!("{TITLE}{}", self.ask.number));
            match request.body(body.clone()).send().await {
                Ok(response) => return Some(response),
                Err(error) if error.is_connect() => tokio::time::sleep(CONNECT_PAUSE).await,
                Err(_) => return None,
            }
        }
        None
    }
}

impl Seen {
    fn take(&mut self, event: &[u8]) {
        let Some(data) = std::str::from_utf8(event)
            .ok()
            .and_then(|event| event.trim_end().strip_prefix("data: "))
        else {
            return;
        };
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            return;
        };
        let text = chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        self.received += tokens_of(text);
        self.told = self.told.or(cost_of(&chunk));
    }
}

fn tokens_of(text: &str) -> u64 {
    u64::try_from(text.len().div_ceil(fake_provider::TOKEN_BYTES)).unwrap_or(0)
}

fn cost_of(reply: &Value) -> Option<NanoUsd> {
    let cost = reply["usage"]["cost"].as_f64()?;
    NanoUsd::parse_usd(&format!("{cost:.9}")).ok()
}
