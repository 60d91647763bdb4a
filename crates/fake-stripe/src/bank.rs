//! Everything the stand-in remembers: its objects, the events they gave rise to, and the answers kept by idempotency key.

use crate::chance::Chance;
use crate::error::Refusal;
use crate::form::Form;
use crate::objects::{self, Card};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

/// The kinds of objects, as in their field `object`, and how their ids begin.
pub(crate) const SESSION: Kind = Kind("checkout.session", "cs_test");
pub(crate) const INTENT: Kind = Kind("payment_intent", "pi");
pub(crate) const CHARGE: Kind = Kind("charge", "ch");
pub(crate) const REFUND: Kind = Kind("refund", "re");
pub(crate) const DISPUTE: Kind = Kind("dispute", "dp");
pub(crate) const WARNING: Kind = Kind("radar.early_fraud_warning", "issfr");
pub(crate) const CUSTOMER: Kind = Kind("customer", "cus");
pub(crate) const METHOD: Kind = Kind("payment_method", "pm");
pub(crate) const EVENT: Kind = Kind("event", "evt");
pub(crate) const BALANCE: Kind = Kind("balance_transaction", "txn");
const KINDS: [Kind; 9] = [
    SESSION, INTENT, CHARGE, REFUND, DISPUTE, WARNING, CUSTOMER, METHOD, EVENT,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(&'static str, &'static str);

#[derive(Debug)]
pub(crate) struct Bank {
    /// Oldest first.
    objects: BTreeMap<Kind, Vec<Value>>,
    /// What a payment method does when it is charged.
    pub(crate) cards: BTreeMap<String, Card>,
    /// `payment_intent_data` of open checkouts.
    pub(crate) intent_data: BTreeMap<String, Value>,
    pub(crate) kept: BTreeMap<String, Kept>,
    pub(crate) requests: Vec<Value>,
    /// New refunds stay `pending` until told otherwise.
    pub(crate) refunds_pending: bool,
    /// How many of the next calls fail, and with which status. Status 0 closes without doing anything.
    pub(crate) outage: Option<(u32, u16)>,
    /// Of the last request.
    pub(crate) version: String,
    /// Where the payment pages are, without a trailing slash.
    pub(crate) url: String,
    /// Events not yet handed to delivery.
    undelivered: Vec<Value>,
    chance: Chance,
}

/// The answer to the first request with an idempotency key.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) request: String,
    pub(crate) status: u16,
    pub(crate) body: Value,
}

const PAGE_DEFAULT: i64 = 10;
const PAGE_MAX: i64 = 100;

impl Bank {
    pub(crate) fn new(seed: u64, url: String) -> Self {
        Self {
            objects: BTreeMap::new(),
            cards: BTreeMap::new(),
            intent_data: BTreeMap::new(),
            kept: BTreeMap::new(),
            requests: Vec::new(),
            refunds_pending: false,
            outage: None,
            version: "2026-09-30.endive".to_owned(),
            url,
            undelivered: Vec::new(),
            chance: Chance::new(seed),
        }
    }

    pub(crate) fn new_id(&mut self, kind: Kind) -> String {
        format!("{}_{:016x}{:08x}", kind.1, self.chance.next(), self.chance.next() >> 32)
    }

    pub(crate) fn add(&mut self, kind: Kind, object: Value) -> Value {
        self.objects.entry(kind).or_default().push(object.clone());
        object
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Result<&Value, Refusal> {
        let found = self.all(kind).iter().find(|object| object["id"] == id);
        found.ok_or_else(|| Refusal::no_such(kind.0, id))
    }

    /// Replaces the fields that `changes` names; gives the object after it.
    pub(crate) fn change(&mut self, kind: Kind, id: &str, changes: &Value) -> Result<Value, Refusal> {
        let objects = self.objects.entry(kind).or_default();
        let Some(object) = objects.iter_mut().find(|object| object["id"] == id) else {
            return Err(Refusal::no_such(kind.0, id));
        };
        for (key, value) in changes.as_object().into_iter().flatten() {
            object[key.as_str()] = value.clone();
        }
        Ok(object.clone())
    }

    pub(crate) fn all(&self, kind: Kind) -> &[Value] {
        self.objects.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// A page of objects, newest first, as `limit`, `starting_after`, `ending_before` and `created` say, and of those
    /// only where each of `equal` is as asked.
    pub(crate) fn list(&self, kind: Kind, url: &str, form: &Form, equal: &[&str]) -> Result<Value, Refusal> {
        let limit = form.number("/limit").unwrap_or(PAGE_DEFAULT);
        if !(1..=PAGE_MAX).contains(&limit) {
            return Err(Refusal::invalid("Invalid integer: limit must be between 1 and 100.").with("param", "limit"));
        }
        let limit = usize::try_from(limit).unwrap_or(1);
        let fits = |object: &&Value| {
            let is_equal = |field: &&str| match form.text(&format!("/{field}")) {
                Some(wanted) => object[*field] == wanted,
                None => true,
            };
            equal.iter().all(is_equal) && is_created(object, form) && is_of_type(object, form)
        };
        let found: Vec<&Value> = self.all(kind).iter().rev().filter(fits).collect();
        let place = |id: &str| match found.iter().position(|object| object["id"] == id) {
            Some(place) => Ok(place),
            None => Err(Refusal::no_such(kind.0, id)),
        };
        let (from, to) = match (form.text("/starting_after"), form.text("/ending_before")) {
            (Some(after), _) => {
                let from = place(after)? + 1;
                (from, (from + limit).min(found.len()))
            }
            (None, Some(before)) => {
                let to = place(before)?;
                (to.saturating_sub(limit), to)
            }
            (None, None) => (0, limit.min(found.len())),
        };
        let is_backward = form.text("/ending_before").is_some();
        let has_more = if is_backward { from > 0 } else { to < found.len() };
        let page: Vec<Value> = found.iter().take(to).skip(from).copied().cloned().collect();
        Ok(objects::list(url, &page, has_more))
    }

    /// Tells the world what happened to `object`.
    pub(crate) fn emit(&mut self, kind: &str, object: &Value) {
        let id = self.new_id(EVENT);
        let event = objects::event(&id, now_secs(), kind, &self.version, object);
        self.add(EVENT, event.clone());
        self.undelivered.push(event);
    }

    pub(crate) fn take_undelivered(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.undelivered)
    }

    /// Replaces ids by objects along the paths of `expand[]`, such as `data.payment_intent.payment_method`.
    pub(crate) fn expand(&self, mut answer: Value, form: &Form) -> Value {
        for path in form.list("/expand").iter().filter_map(Value::as_str) {
            self.expand_path(&mut answer, path);
        }
        answer
    }

    fn expand_path(&self, value: &mut Value, path: &str) {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        if let Value::Array(items) = value {
            items.iter_mut().for_each(|item| self.expand_path(item, path));
            return;
        }
        let Some(field) = value.get_mut(first) else { return };
        if let Some(found) = field.as_str().and_then(|id| self.find(id)) {
            *field = found.clone();
        }
        if !rest.is_empty() {
            self.expand_path(field, rest);
        }
    }

    fn find(&self, id: &str) -> Option<&Value> {
        KINDS.iter().find_map(|kind| self.get(*kind, id).ok())
    }
}

/// The tables keep no order that a caller could rely on beyond "later is newer"; whole seconds, as at Stripe.
pub(crate) fn now_secs() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn is_created(object: &Value, form: &Form) -> bool {
    let Some(created) = object["created"].as_i64() else {
        return false;
    };
    let limit = |name: &str| form.number(&format!("/created/{name}"));
    form.number("/created").is_none_or(|exactly| created == exactly)
        && limit("gte").is_none_or(|least| created >= least)
        && limit("gt").is_none_or(|less| created > less)
        && limit("lte").is_none_or(|most| created <= most)
        && limit("lt").is_none_or(|more| created < more)
}

/// Events can be asked for by `type` or `types[]`.
fn is_of_type(object: &Value, form: &Form) -> bool {
    if object["object"] != json!("event") {
        return true;
    }
    let kind = object["type"].as_str().unwrap_or_default();
    let matches = |wanted: &str| match wanted.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == wanted,
    };
    let types = form.list("/types");
    form.text("/type").is_none_or(matches) && (types.is_empty() || types.iter().filter_map(Value::as_str).any(matches))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank() -> Bank {
        let mut bank = Bank::new(1, "http://127.0.0.1:1".to_owned());
        for (index, kind) in ["a.b", "a.c", "b.b", "a.b", "a.b"].iter().enumerate() {
            let id = format!("evt_{index}");
            bank.add(
                EVENT,
                objects::event(&id, 100 + i64::try_from(index).unwrap(), kind, "v", &json!({})),
            );
        }
        bank
    }

    #[track_caller]
    fn check(query: &str, expected: &[&str], has_more: bool) {
        let list = bank()
            .list(EVENT, "/v1/events", &Form::parse(query.as_bytes()), &[])
            .unwrap();
        let ids: Vec<&str> = list["data"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|event| event["id"].as_str())
            .collect();
        assert_eq!(
            (ids.as_slice(), list["has_more"] == true),
            (expected, has_more),
            "{query}"
        );
    }

    #[test]
    fn pages_go_from_newest_to_oldest() {
        check("limit=2", &["evt_4", "evt_3"], true);
        check("limit=2&starting_after=evt_3", &["evt_2", "evt_1"], true);
        check("limit=2&starting_after=evt_1", &["evt_0"], false);
        check("limit=2&ending_before=evt_1", &["evt_3", "evt_2"], true);
        check("limit=2&ending_before=evt_3", &["evt_4"], false);
        check("created[gte]=102&created[lt]=104", &["evt_3", "evt_2"], false);
        check("type=a.*&limit=3", &["evt_4", "evt_3", "evt_1"], true);
        check("types[]=b.b&types[]=a.c", &["evt_2", "evt_1"], false);
    }

    #[test]
    fn an_unknown_cursor_is_refused() {
        let form = Form::parse(b"starting_after=evt_9");
        assert_eq!(bank().list(EVENT, "/v1/events", &form, &[]).unwrap_err().status, 404);
    }
}
