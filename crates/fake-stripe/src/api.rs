//! Stripe's API below `/v1`: who may call, what is answered twice, and which call is which.

use crate::bank::{Bank, CHARGE, CUSTOMER, DISPUTE, EVENT, INTENT, Kept, METHOD, REFUND, SESSION, WARNING};
use crate::error::Refusal;
use crate::form::Form;
use serde_json::{Value, json};

/// One request, taken apart.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    /// Below `/v1/`.
    pub(crate) path: &'a str,
    /// Of the body, or of the query of a GET.
    pub(crate) form: Form,
    pub(crate) bearer: Option<&'a str>,
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// It was given before, to the same idempotency key.
    pub(crate) is_replay: bool,
}

/// Answers a call and remembers that it was made.
pub(crate) fn answer(bank: &mut Bank, secret_key: &str, call: &Call<'_>) -> Answer {
    bank.requests.push(
        json!({"method": call.method, "path": call.path, "parameters": call.form.value(),
        "idempotency_key": call.idempotency_key, "version": call.version}),
    );
    if call.bearer != Some(secret_key) {
        return refused(&Refusal::new(401, "invalid_request_error", "Invalid API Key provided."));
    }
    if let Some(version) = call.version {
        version.clone_into(&mut bank.version);
    }
    let key = call.idempotency_key.filter(|_| call.method == "POST");
    let Some(key) = key else {
        return once(bank, call);
    };
    let request = format!("{} {}", call.path, call.form.value());
    match bank.kept.get(key) {
        Some(kept) if kept.request == request => Answer {
            status: kept.status,
            body: kept.body.clone(),
            is_replay: true,
        },
        Some(_) => {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                 Try using a key other than '{key}' if you meant to execute a different request."
            );
            refused(&Refusal::new(400, "idempotency_error", message))
        }
        None => {
            let answer = once(bank, call);
            // What was refused before anything was done may be tried again with the same key.
            if matches!(answer.status, 200..=299 | 402) {
                let kept = Kept {
                    request,
                    status: answer.status,
                    body: answer.body.clone(),
                };
                bank.kept.insert(key.to_owned(), kept);
            }
            answer
        }
    }
}

fn once(bank: &mut Bank, call: &Call<'_>) -> Answer {
    match dispatch(bank, call) {
        Ok(body) => Answer {
            status: 200,
            body: bank.expand(body, &call.form),
            is_replay: false,
        },
        Err(refusal) => refused(&refusal),
    }
}

fn refused(refusal: &Refusal) -> Answer {
    Answer {
        status: refusal.status,
        body: refusal.body(),
        is_replay: false,
    }
}

fn dispatch(bank: &mut Bank, call: &Call<'_>) -> Result<Value, Refusal> {
    let segments: Vec<&str> = call.path.split('/').collect();
    let form = &call.form;
    let url = format!("/v1/{}", call.path);
    let page = |bank: &Bank, kind, equal: &[&str]| bank.list(kind, &url, form, equal);
    match (call.method, segments.as_slice()) {
        ("POST", ["checkout", "sessions"]) => bank.create_session(form),
        ("GET", ["checkout", "sessions"]) => page(bank, SESSION, &["customer", "payment_intent", "status"]),
        ("GET", ["checkout", "sessions", id]) => bank.get(SESSION, id).cloned(),
        ("POST", ["checkout", "sessions", id, "expire"]) => bank.expire_session(id),
        ("POST", ["payment_intents"]) => bank.create_intent(form),
        ("GET", ["payment_intents"]) => page(bank, INTENT, &["customer"]),
        ("GET", ["payment_intents", id]) => bank.get(INTENT, id).cloned(),
        ("POST", ["payment_intents", id, "cancel"]) => bank.cancel_intent(id),
        ("POST", ["refunds"]) => bank.create_refund(form),
        ("GET", ["refunds"]) => page(bank, REFUND, &["charge", "payment_intent"]),
        ("GET", ["refunds", id]) => bank.get(REFUND, id).cloned(),
        ("GET", ["charges"]) => page(bank, CHARGE, &["customer", "payment_intent"]),
        ("GET", ["charges", id]) => bank.get(CHARGE, id).cloned(),
        ("GET", ["disputes"]) => page(bank, DISPUTE, &["charge", "payment_intent"]),
        ("GET", ["disputes", id]) => bank.get(DISPUTE, id).cloned(),
        ("GET", ["radar", "early_fraud_warnings"]) => page(bank, WARNING, &["charge", "payment_intent"]),
        ("GET", ["radar", "early_fraud_warnings", id]) => bank.get(WARNING, id).cloned(),
        ("POST", ["customers"]) => Ok(bank.create_customer(form)),
        ("GET", ["customers"]) => page(bank, CUSTOMER, &["email"]),
        ("GET", ["customers", id]) => bank.get(CUSTOMER, id).cloned(),
        ("GET", ["customers", id, "payment_methods"]) => methods_of(bank, &url, id),
        ("GET", ["payment_methods", id]) => bank.get(METHOD, id).cloned(),
        ("POST", ["payment_methods", id, "attach"]) => {
            let customer = form
                .text("/customer")
                .ok_or_else(|| Refusal::missing_param("customer"))?;
            bank.attach_method(id, customer)
        }
        ("POST", ["payment_methods", id, "detach"]) => bank.detach_method(id),
        ("GET", ["events"]) => page(bank, EVENT, &[]),
        ("GET", ["events", id]) => bank.get(EVENT, id).cloned(),
        (method, _) => {
            let message = format!("Unrecognized request URL ({method}: {url}).");
            Err(Refusal::new(404, "invalid_request_error", message))
        }
    }
}

fn methods_of(bank: &Bank, url: &str, customer: &str) -> Result<Value, Refusal> {
    bank.get(CUSTOMER, customer)?;
    let form = Form::parse(format!("customer={customer}&limit=100").as_bytes());
    bank.list(METHOD, url, &form, &["customer"])
}
