//! Every way for an answer to end, each with its own provider's bill beside the ledger: the cancel policy in the catalog ×
//! what the provider really does × when the caller goes away × how usage is reported × whether the provider fails.
//!
//! The provider pauses where the caller is to go away, so that nothing depends on who is faster.

use crate::support::http::text_of;
use crate::support::{Customer, Db, PATIENCE, TestApp, eventually};
use domain::generation::{Generation, Outcome};
use domain::ledger::LedgerAccount;
use domain::usage::Usage;
use fake_provider::{Bill, Cancel, FakeProvider, Plan, Script, UsageReport};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

on_both_databases!(whatever_happens_the_ledger_says_what_the_provider_bills);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    policy: Policy,
    gone: Gone,
    usage: Report,
    fails: bool,
}

/// As the catalog says / as the provider does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Stops,
    BillsToEnd,
    UnknownAndStops,
    UnknownAndBillsToEnd,
}

/// When the caller goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gone {
    /// The provider has the request, and it never says so where it stops with its caller.
    WithoutHead,
    /// The provider has the request, and says so when the caller is gone.
    BeforeHead,
    BeforeFirstToken,
    MidStream,
    AfterLastToken,
    Never,
}

/// When the provider says what was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    AtEnd,
    /// Long after the finish reason.
    Late,
    Never,
    /// In every chunk.
    Continuous,
}

/// What must be in the ledger.
#[derive(Debug, PartialEq, Eq)]
struct Expected {
    outcome: Outcome,
    completion: u64,
    estimated: bool,
    /// The customer pays; otherwise the house.
    charged: bool,
}

const POLICIES: [Policy; 4] = [
    Policy::Stops,
    Policy::BillsToEnd,
    Policy::UnknownAndStops,
    Policy::UnknownAndBillsToEnd,
];
const GONE: [Gone; 6] = [
    Gone::WithoutHead,
    Gone::BeforeHead,
    Gone::BeforeFirstToken,
    Gone::MidStream,
    Gone::AfterLastToken,
    Gone::Never,
];
const REPORTS: [Report; 4] = [Report::AtEnd, Report::Late, Report::Never, Report::Continuous];

/// Of a whole answer; where the caller leaves in mid-stream; where the provider fails.
const TOKENS: u64 = 24;
const TOKENS_SEEN: u64 = 10;
const TOKENS_BEFORE_FAILURE: u64 = 16;
/// Odd prices in pico-dollars per token, so that rounding shows.
const PROMPT_PICO: u64 = 1_234_567;
const COMPLETION_PICO: u64 = 7_654_321;
/// Longer than any caller here waits.
const FOR_EVER_MS: u64 = 120_000;
/// Long enough for a caller to be gone before it is over.
const PAUSE_MS: u64 = 4_000;
const AT_ONCE: usize = 40;
const QUESTION: &str =
    "A ship leaves the harbour at noon and sails east. When does it see the lighthouse on the far cape?";

impl Case {
    fn all() -> Vec<Self> {
        let mut cases = Vec::new();
        for policy in POLICIES {
            for gone in GONE {
                for usage in REPORTS {
                    for fails in [false, true] {
                        cases.push(Self {
                            policy,
                            gone,
                            usage,
                            fails,
                        });
                    }
                }
            }
        }
        cases
    }

    /// The table.
    fn expected(self) -> Expected {
        let stopped = self.policy == Policy::Stops && self.gone != Gone::Never;
        let charged = |outcome, completion, estimated| Expected {
            outcome,
            completion,
            estimated,
            charged: true,
        };
        let told_along = self.usage == Report::Continuous;
        let never_told = self.usage == Report::Never;
        match (stopped, self.gone, self.fails) {
            // Nobody knows whether the provider works on it: the house sets the prompt's price aside.
            (true, Gone::WithoutHead, _) => Expected {
                charged: false,
                ..charged(Outcome::Empty, 0, true)
            },
            // The provider stops with the caller: what was produced until then.
            (true, Gone::BeforeHead | Gone::BeforeFirstToken, _) => charged(Outcome::Cancelled, 0, true),
            (true, Gone::MidStream, _) => charged(Outcome::Cancelled, TOKENS_SEEN, !told_along),
            // After the finish reason nothing more is produced, so the usage can be waited for.
            (true, Gone::AfterLastToken, false) if self.usage == Report::Late => {
                charged(Outcome::Cancelled, TOKENS, false)
            }
            (true, Gone::AfterLastToken, _) => charged(Outcome::Cancelled, TOKENS, !told_along),
            // The provider works on: to its failure, which is free, or to its end.
            (_, gone, true) => Expected {
                outcome: Outcome::Failed,
                completion: match gone {
                    Gone::AfterLastToken => TOKENS,
                    _ => TOKENS_BEFORE_FAILURE,
                },
                estimated: !told_along,
                charged: false,
            },
            (_, Gone::Never, false) => charged(Outcome::Completed, TOKENS, never_told),
            (_, _, false) => charged(Outcome::Cancelled, TOKENS, never_told),
        }
    }

    fn plan(self) -> Plan {
        let stops = self.policy == Policy::Stops;
        let wait_ms = if stops { FOR_EVER_MS } else { PAUSE_MS };
        let plan = Plan {
            tokens: TOKENS,
            cancel: match self.policy {
                Policy::Stops | Policy::UnknownAndStops => Cancel::Stops,
                Policy::BillsToEnd | Policy::UnknownAndBillsToEnd => Cancel::BillsToEnd,
            },
            usage: match self.usage {
                Report::Late => UsageReport::Late,
                Report::Never => UsageReport::Omit,
                Report::AtEnd | Report::Continuous => UsageReport::Normal,
            },
            continuous_usage: self.usage == Report::Continuous,
            error_after_tokens: match (self.fails, self.gone) {
                (false, _) => None,
                (true, Gone::AfterLastToken) => Some(TOKENS),
                (true, _) => Some(TOKENS_BEFORE_FAILURE),
            },
            usage_delay_ms: 200,
            ..Plan::default()
        };
        match self.gone {
            Gone::WithoutHead => Plan {
                headers_ms: wait_ms,
                ..plan
            },
            Gone::BeforeHead => Plan {
                headers_ms: PAUSE_MS,
                first_token_ms: if stops { FOR_EVER_MS } else { 0 },
                ..plan
            },
            Gone::BeforeFirstToken => Plan {
                first_token_ms: wait_ms,
                ..plan
            },
            Gone::MidStream => Plan {
                pause_after_tokens: Some(TOKENS_SEEN),
                pause_ms: wait_ms,
                ..plan
            },
            Gone::AfterLastToken if self.usage == Report::Late && !self.fails => Plan {
                usage_delay_ms: PAUSE_MS,
                ..plan
            },
            Gone::AfterLastToken => Plan {
                pause_after_tokens: Some(TOKENS),
                pause_ms: wait_ms,
                ..plan
            },
            Gone::Never => plan,
        }
    }

    fn provider(self) -> &'static str {
        match (self.policy, self.usage == Report::Continuous) {
            (Policy::Stops, false) => "stops",
            (Policy::Stops, true) => "stops-telling",
            (Policy::BillsToEnd, false) => "bills",
            (Policy::BillsToEnd, true) => "bills-telling",
            (_, false) => "unknown",
            (_, true) => "unknown-telling",
        }
    }
}

async fn whatever_happens_the_ledger_says_what_the_provider_bills(db: Db) {
    let cases = Case::all();
    let fake = FakeProvider::start(Script::always(Plan {
        tokens: TOKENS,
        ..Plan::default()
    }))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let catalog = dir.path().join("matrix.json");
    std::fs::write(&catalog, self::catalog(&fake, &cases).to_string()).unwrap();
    let app = TestApp::start_with(db, &[("TOLLWAY_CATALOG", catalog.to_str().unwrap())]).await;
    let customer = app.customer("1000").await;

    learn(&app, &fake, &customer, cases.len()).await;
    let plans = cases
        .iter()
        .enumerate()
        .map(|(n, case)| (upstream_model(n), case.plan()));
    fake.set_script(Script {
        models: plans.collect(),
        ..Script::default()
    });
    let answered = fake.tally().bills.len();
    let known = app.generations(&customer, answered).await.len();
    let before = Totals::of(&app, &customer).await;
    let calls = cases
        .iter()
        .enumerate()
        .map(|(n, case)| call(&app, &fake, &customer, n, *case));
    futures_util::stream::iter(calls)
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<()>>()
        .await;
    assert!(fake.idle(PATIENCE).await, "the provider is left or has finished");

    let generations = app.generations(&customer, known + cases.len()).await;
    let mut newest: BTreeMap<String, Generation> = BTreeMap::new();
    for generation in generations.iter().rev() {
        newest.insert(generation.model.to_string(), generation.clone());
    }
    let bills = fake.tally().bills.split_off(answered);
    let wrong: Vec<String> = (0..)
        .zip(&cases)
        .filter_map(|(n, case)| {
            let bill = bills.iter().find(|bill| bill.model == upstream_model(n)).unwrap();
            difference(*case, &newest[&model(n)], bill)
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );

    let after = Totals::of(&app, &customer).await;
    let price_of_all: i64 = bills.iter().map(price).sum();
    assert_eq!(
        after.payable - before.payable,
        price_of_all,
        "what providers are owed is what they bill"
    );
    assert_eq!(before.balance - after.balance, after.charged - before.charged);
    assert_eq!(
        price_of_all - (after.charged - before.charged),
        after.house - before.house
    );
    app.finish().await;
}

/// One answer with usage from each endpoint, which teaches how it counts, until what is estimated is exact.
async fn learn(app: &TestApp, fake: &FakeProvider, customer: &Customer, endpoints: usize) {
    for n in 0..endpoints {
        let reply = app.chat(&customer.key, &question(n)).await.expect_ok();
        assert_eq!(reply.body["usage"]["completion_tokens"], TOKENS, "{}", reply.text);
    }
    fake.set_script(Script::always(Plan {
        usage: UsageReport::Omit,
        ..Plan::default()
    }));
    // Lessons are learned on a thread of their own, in the order of the answers.
    eventually("the last lesson is learned", async || {
        let reply = app.chat(&customer.key, &question(endpoints - 1)).await.expect_ok();
        let billed = fake.tally().bills.last().unwrap().billed_prompt_tokens;
        (reply.body["usage"]["prompt_tokens"] == billed).then_some(())
    })
    .await;
}

async fn call(app: &TestApp, fake: &FakeProvider, customer: &Customer, n: usize, case: Case) {
    let mut body = question(n);
    body["stream"] = json!(true);
    let post = app.stream(&customer.key, &body);
    if matches!(case.gone, Gone::WithoutHead | Gone::BeforeHead | Gone::BeforeFirstToken) {
        let asked = eventually("the provider has the request", async || {
            let bills = fake.tally().bills;
            let last = bills.iter().rfind(|bill| bill.model == upstream_model(n));
            last.filter(|bill| bill.outcome == fake_provider::Outcome::Running)
                .map(|_| ())
        });
        tokio::select! {
            stream = post => panic!("{case:?} was answered {}", stream.status),
            () = async { asked.await; tokio::time::sleep(Duration::from_millis(300)).await } => return,
        }
    }
    let mut stream = post.await;
    assert_eq!(stream.status.as_u16(), 200, "{case:?}");
    match case.gone {
        Gone::MidStream => drop(stream.read_text(10).await),
        Gone::AfterLastToken => {
            drop(stream.read_text(24).await);
            if case.usage == Report::Late && !case.fails {
                let finish = stream.next().await.unwrap();
                assert_eq!(
                    finish.data().unwrap()["choices"][0]["finish_reason"],
                    "stop",
                    "{case:?}"
                );
            }
        }
        _ => {
            let events = stream.rest().await;
            let text = events.iter().filter_map(text_of).count() as u64;
            let expected = if case.fails { TOKENS_BEFORE_FAILURE } else { TOKENS };
            assert_eq!(text, expected, "{case:?}: {events:?}");
        }
    }
}

/// What is wrong, if anything is.
fn difference(case: Case, generation: &Generation, bill: &Bill) -> Option<String> {
    let expected = case.expected();
    let found = Expected {
        outcome: generation.outcome,
        completion: generation.usage.completion,
        estimated: generation.estimated,
        charged: generation.house_cost.get() == 0,
    };
    let billed = Usage {
        prompt: bill.billed_prompt_tokens,
        completion: bill.billed_completion_tokens,
        ..Usage::default()
    };
    let price = price(bill);
    let (cost, house_cost) = if expected.charged { (price, 0) } else { (0, price) };
    let exact =
        generation.usage == billed && (generation.cost.get(), generation.house_cost.get()) == (cost, house_cost);
    (found != expected || !exact).then(|| {
        format!(
            "{case:?}\n  expected {expected:?}\n  found    {found:?}\n  usage {:?}, cost {}, house {}\n  bill {bill:?}, price {price}",
            generation.usage, generation.cost, generation.house_cost
        )
    })
}

/// In nano-dollars, from the provider's own tally.
fn price(bill: &Bill) -> i64 {
    let pico = bill.billed_prompt_tokens * PROMPT_PICO + bill.billed_completion_tokens * COMPLETION_PICO;
    i64::try_from(pico.div_ceil(1_000)).unwrap()
}

/// The ledger's accounts, in nano-dollars.
struct Totals {
    payable: i64,
    house: i64,
    charged: i64,
    balance: i64,
}

impl Totals {
    async fn of(app: &TestApp, customer: &Customer) -> Self {
        let mut tx = app.store.read().await.unwrap();
        let mut payable = 0;
        for (provider, ..) in PROVIDERS {
            let account = LedgerAccount::ProviderPayable(provider.to_owned());
            payable += store::ledger::balance(&mut tx, &account).await.unwrap().get();
        }
        let house = store::ledger::balance(&mut tx, &LedgerAccount::HouseCost)
            .await
            .unwrap();
        drop(tx);
        let credits = customer.credits(&app.store).await;
        Self {
            payable,
            house: -house.get(),
            charged: credits.used.get(),
            balance: credits.available.get() + credits.in_escrow.get(),
        }
    }
}

/// Slug, cancel policy, how usage is followed.
const PROVIDERS: [(&str, &str, &str); 6] = [
    ("stops", "stops", "at-end"),
    ("stops-telling", "stops", "continuous-usage"),
    ("bills", "bills-to-end", "at-end"),
    ("bills-telling", "bills-to-end", "continuous-usage"),
    ("unknown", "unknown", "at-end"),
    ("unknown-telling", "unknown", "continuous-usage"),
];

/// Each case has a model of its own.
fn catalog(fake: &FakeProvider, cases: &[Case]) -> Value {
    let providers = PROVIDERS.map(|(slug, cancel, progress)| {
        json!({"slug": slug, "name": slug, "base_url": fake.base_url(), "dialect": "openai-chat", "auth": "none",
            "cancel": cancel, "progress": progress})
    });
    let models: Vec<Value> = (0..cases.len())
        .map(|n| {
            json!({"slug": model(n), "name": "Case", "kind": "chat", "context_length": 8_192,
                "input_modalities": ["text"], "output_modalities": ["text"]})
        })
        .collect();
    let endpoints: Vec<Value> = (0..)
        .zip(cases)
        .map(|(n, case)| {
            json!({"id": format!("{}|{}", model(n), case.provider()), "model": model(n), "provider": case.provider(),
                "provider_model_id": upstream_model(n), "context_length": 8_192, "max_completion_tokens": 1_024,
                "prices": {"prompt": PROMPT_PICO, "completion": COMPLETION_PICO}})
        })
        .collect();
    json!({"providers": providers, "models": models, "endpoints": endpoints})
}

fn model(n: usize) -> String {
    format!("matrix/case-{n}")
}

fn upstream_model(n: usize) -> String {
    format!("case-{n}")
}

fn question(n: usize) -> Value {
    json!({"model": model(n), "messages": [{"role": "user", "content": QUESTION}]})
}
