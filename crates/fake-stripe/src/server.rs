//! The HTTP side: Stripe's API below `/v1`, payment pages below `/c/pay`, and what a test controls below `/_control`.

use crate::api::{self, Call};
use crate::bank::{Bank, EVENT, SESSION};
use crate::chance::Chance;
use crate::delivery::{self, Demand, Webhooks};
use crate::error::Refusal;
use crate::form::Form;
use crate::money::Choice;
use crate::page;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Everything that runs.
#[derive(Debug)]
pub(crate) struct Stripe {
    bank: Mutex<Bank>,
    webhooks: Mutex<Webhooks>,
    /// For the deliveries that happen by themselves.
    chance: Mutex<Chance>,
    secret_key: String,
    /// How long a payment that comes later takes.
    later: Duration,
}

type Shared = State<Arc<Stripe>>;

impl Stripe {
    pub(crate) fn new(secret_key: String, url: String, webhooks: Webhooks, later: Duration) -> Self {
        Self {
            chance: Mutex::new(Chance::new(webhooks.seed)),
            bank: Mutex::new(Bank::new(webhooks.seed, url)),
            webhooks: Mutex::new(webhooks),
            secret_key,
            later,
        }
    }

    fn bank(&self) -> MutexGuard<'_, Bank> {
        self.bank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn webhooks(&self) -> Webhooks {
        self.webhooks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does something to the bank and sends out what follows from it.
    fn act<T>(&self, action: impl FnOnce(&mut Bank) -> T) -> T {
        let (done, events) = {
            let mut bank = self.bank();
            let done = action(&mut bank);
            (done, bank.take_undelivered())
        };
        let webhooks = self.webhooks();
        for event in events {
            let seed = self.chance.lock().unwrap_or_else(PoisonError::into_inner).next();
            tokio::spawn(delivery::deliver(webhooks.clone(), event, Chance::new(seed)));
        }
        done
    }
}

pub(crate) async fn serve(listener: TcpListener, stripe: Arc<Stripe>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, router(stripe)).await
}

fn router(stripe: Arc<Stripe>) -> Router {
    Router::new()
        .route("/v1/{*path}", any(call))
        .route("/c/pay/{session}", get(show).post(choose))
        .route("/_control/webhooks", post(set_webhooks))
        .route("/_control/deliver", post(deliver))
        .route("/_control/requests", get(requests))
        .route("/_control/{command}", post(control))
        .with_state(stripe)
}

async fn call(
    State(stripe): Shared,
    method: Method,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = stripe.act(outage) {
        return refused;
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let form = match method == Method::GET {
        true => Form::parse(query.unwrap_or_default().as_bytes()),
        false => Form::parse(&body),
    };
    let call = Call {
        method: method.as_str(),
        path: &path,
        form,
        bearer: text("authorization").and_then(|value| value.strip_prefix("Bearer ")),
        idempotency_key: text("idempotency-key"),
        version: text("stripe-version"),
    };
    let (answer, version) = stripe.act(|bank| (api::answer(bank, &stripe.secret_key, &call), bank.version.clone()));
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(answer.body)).into_response();
    let mut add = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    add("request-id", "req_standin");
    add("stripe-version", &version);
    if let Some(key) = call.idempotency_key {
        add("idempotency-key", key);
    }
    if answer.is_replay {
        add("idempotent-replayed", "true");
    }
    response
}

/// The failure that a test has asked for.
fn outage(bank: &mut Bank) -> Option<Response> {
    let (left, status) = bank.outage.filter(|(left, _)| *left > 0)?;
    bank.outage = Some((left - 1, status));
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let refusal = Refusal::new(status.as_u16(), "api_error", "The stand-in fails as told.");
    Some((status, Json(refusal.body())).into_response())
}

async fn show(State(stripe): Shared, Path(session): Path<String>, RawQuery(query): RawQuery) -> Response {
    let declined = query.as_deref() == Some("declined");
    match stripe.bank().get(SESSION, &session) {
        Ok(session) => Html(page::html(session, declined)).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The buyer's choice, by the page's form.
async fn choose(State(stripe): Shared, Path(id): Path<String>, body: Bytes) -> Response {
    let form = Form::parse(&body);
    let session = match stripe.bank().get(SESSION, &id) {
        Ok(session) => session.clone(),
        Err(_) => return StatusCode::NOT_FOUND.into_response(),
    };
    let leads = |field: &str| {
        let url = session[field]
            .as_str()
            .unwrap_or("/")
            .replace("{CHECKOUT_SESSION_ID}", &id);
        see_other(&url)
    };
    let choice = form.text("/choice").unwrap_or_default();
    if choice == "cancel" {
        return leads("cancel_url");
    }
    match decide(&stripe, &id, choice, form.text("/card").unwrap_or("pm_card_visa")) {
        Ok(session) if session["status"] == "complete" => leads("success_url"),
        Ok(_) => see_other(&format!("/c/pay/{id}?declined")),
        Err(refusal) => refused(&refusal),
    }
}

fn decide(stripe: &Arc<Stripe>, session: &str, choice: &str, card: &str) -> Result<Value, Refusal> {
    let made = match choice {
        "pay" => Choice::Pay,
        "decline" => Choice::Decline,
        "later" | "later_succeeds" | "later_fails" => Choice::PayLater,
        _ => return Err(Refusal::invalid("No such choice.")),
    };
    let session = stripe.act(|bank| bank.choose(session, made, card))?;
    if choice == "later_succeeds" || choice == "later_fails" {
        let (stripe, id, succeeds) = (Arc::clone(stripe), session["id"].clone(), choice == "later_succeeds");
        tokio::spawn(async move {
            tokio::time::sleep(stripe.later).await;
            drop(stripe.act(|bank| bank.finish_later(id.as_str().unwrap_or_default(), succeeds)));
        });
    }
    Ok(session)
}

async fn set_webhooks(State(stripe): Shared, Json(webhooks): Json<Webhooks>) -> StatusCode {
    *stripe.chance.lock().unwrap_or_else(PoisonError::into_inner) = Chance::new(webhooks.seed);
    *stripe.webhooks.lock().unwrap_or_else(PoisonError::into_inner) = webhooks;
    StatusCode::NO_CONTENT
}

async fn deliver(State(stripe): Shared, Json(demand): Json<Demand>) -> Json<Value> {
    let mut events = stripe.bank().all(EVENT).to_vec();
    if !demand.events.is_empty() {
        events.retain(|event| demand.events.iter().any(|id| event["id"] == id.as_str()));
    }
    Json(delivery::deliver_now(&stripe.webhooks(), &demand, events).await)
}

/// All calls of the API so far.
async fn requests(State(stripe): Shared) -> Json<Value> {
    Json(stripe.bank().requests.clone().into())
}

/// What a test makes happen; answers with the object that it happened to.
async fn control(State(stripe): Shared, Path(command): Path<String>, Json(order): Json<Value>) -> Response {
    let text = |field: &str| order[field].as_str().unwrap_or_default();
    let done = match command.as_str() {
        "choose" => decide(
            &stripe,
            text("session"),
            text("choice"),
            order["card"].as_str().unwrap_or("pm_card_visa"),
        ),
        "finish_later" => stripe.act(|bank| bank.finish_later(text("session"), order["succeeds"] == true)),
        "expire" => stripe.act(|bank| bank.expire_session(text("session"))),
        "finish_refund" => stripe.act(|bank| bank.finish_refund(text("refund"), order["succeeds"] == true)),
        "dispute" => stripe.act(|bank| {
            bank.create_dispute(
                text("payment_intent"),
                order["amount"].as_i64(),
                order["inquiry"] == true,
            )
        }),
        "dispute_step" => stripe.act(|bank| bank.step_dispute(text("dispute"), text("step"))),
        "early_fraud_warning" => stripe.act(|bank| bank.create_warning(text("payment_intent"))),
        "refunds_pending" => stripe.act(|bank| {
            bank.refunds_pending = order["pending"] == true;
            Ok(json!({}))
        }),
        "outage" => stripe.act(|bank| {
            let number = |field: &str| order[field].as_u64().unwrap_or(0);
            let status = u16::try_from(number("status")).unwrap_or(500);
            bank.outage = Some((u32::try_from(number("calls")).unwrap_or(u32::MAX), status));
            Ok(json!({}))
        }),
        _ => Err(Refusal::new(
            404,
            "invalid_request_error",
            format!("No such command: {command}"),
        )),
    };
    match done {
        Ok(object) => Json(object).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

fn see_other(url: &str) -> Response {
    match HeaderValue::from_str(url) {
        Ok(_) => Redirect::to(url).into_response(),
        Err(_) => (
            StatusCode::BAD_REQUEST,
            [(header::CONTENT_TYPE, "text/plain")],
            "no such address",
        )
            .into_response(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    (status, Json(refusal.body())).into_response()
}
