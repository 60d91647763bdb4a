//! What happens to money: payments, refunds, disputes and warnings, and the events each step gives rise to.

use crate::bank::{BALANCE, Bank, CHARGE, CUSTOMER, DISPUTE, INTENT, METHOD, REFUND, SESSION, WARNING, now_secs};
use crate::error::Refusal;
use crate::form::Form;
use crate::objects::{self, CARDS, Card};
use serde_json::{Value, json};

/// What the buyer does on the payment page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Pay,
    /// The page is done; the money comes or fails to come later.
    PayLater,
    Decline,
}

/// Cents that a dispute costs beside its amount.
const DISPUTE_FEE: i64 = 1_500;

type Answer = Result<Value, Refusal>;

impl Bank {
    pub(crate) fn create_session(&mut self, form: &Form) -> Answer {
        if form.text("/mode") != Some("payment") {
            return Err(Refusal::invalid("The stand-in knows mode=payment only.").with("param", "mode"));
        }
        let cents = total(form)?;
        let wants_to_keep = form.text("/payment_intent_data/setup_future_usage").is_some();
        // The newer name first.
        let types = match form.list("/allowed_payment_method_types") {
            [] => form.list("/payment_method_types").to_vec(),
            allowed => allowed.to_vec(),
        };
        if wants_to_keep && types.iter().any(|kind| kind == "crypto") {
            let message = "setup_future_usage cannot be used with one or more of the values you specified in payment_method_types";
            return Err(Refusal::invalid(message).with("param", "payment_intent_data[setup_future_usage]"));
        }
        if let Some(customer) = form.text("/customer") {
            self.get(CUSTOMER, customer)?;
        }
        let id = self.new_id(SESSION);
        let mut session = objects::checkout_session(&id, now_secs(), cents);
        for field in [
            "cancel_url",
            "client_reference_id",
            "customer",
            "customer_email",
            "success_url",
            "customer_creation",
        ] {
            if let Some(text) = form.text(&format!("/{field}")) {
                session[field] = text.into();
            }
        }
        if session["success_url"].is_null() {
            return Err(Refusal::missing_param("success_url"));
        }
        if !types.is_empty() {
            session["payment_method_types"] = types.into();
        }
        session["metadata"] = form.object("/metadata");
        session["url"] = format!("{}/c/pay/{id}", self.url).into();
        self.intent_data.insert(id, form.object("/payment_intent_data"));
        Ok(self.add(SESSION, session))
    }

    /// The buyer's choice on the payment page; `card` is one of [`CARDS`], or `crypto`.
    pub(crate) fn choose(&mut self, session: &str, choice: Choice, card: &str) -> Answer {
        let session = self.open_session(session)?;
        let id = session["id"].as_str().unwrap_or_default().to_owned();
        let data = self.intent_data.get(&id).cloned().unwrap_or_default();
        let intent = self.intent_of(&session, &data);
        let intent_id = intent["id"].as_str().unwrap_or_default().to_owned();
        self.change(SESSION, &id, &json!({"payment_intent": intent_id}))?;
        let found = (card != "crypto").then(|| known_card(card)).transpose()?;
        if choice == Choice::Decline || found.is_some_and(|card| card.declines_always) {
            let (code, decline) = found
                .and_then(|card| card.declines)
                .unwrap_or(("card_declined", "generic_decline"));
            self.fail_intent(&intent_id, code, decline)?;
            return Ok(self.get(SESSION, &id)?.clone());
        }
        let customer = self.customer_for(&session, &data);
        let method = self.new_method(found, data["setup_future_usage"].as_str().and(customer.as_deref()));
        self.change(
            INTENT,
            &intent_id,
            &json!({"customer": customer, "payment_method": method["id"]}),
        )?;
        let done = json!({"status": "complete", "customer": customer, "url": null,
            "customer_details": {"address": null, "business_name": null, "email": "buyer@example.org", "individual_name": null,
                "name": null, "phone": null, "tax_exempt": "none", "tax_ids": []}});
        let mut session = self.change(SESSION, &id, &done)?;
        if choice == Choice::Pay {
            self.succeed_intent(&intent_id)?;
            session = self.change(SESSION, &id, &json!({"payment_status": "paid"}))?;
        } else {
            let intent = self.change(INTENT, &intent_id, &json!({"status": "processing"}))?;
            self.emit("payment_intent.processing", &intent);
        }
        self.emit("checkout.session.completed", &session);
        Ok(session)
    }

    /// What becomes of a payment that was to come later.
    pub(crate) fn finish_later(&mut self, session: &str, succeeds: bool) -> Answer {
        let found = self.get(SESSION, session)?;
        let intent = found["payment_intent"].as_str().unwrap_or_default().to_owned();
        if self.get(INTENT, &intent)?["status"] != "processing" {
            return Err(Refusal::invalid("This payment is not being processed."));
        }
        if succeeds {
            self.succeed_intent(&intent)?;
            let session = self.change(SESSION, session, &json!({"payment_status": "paid"}))?;
            self.emit("checkout.session.async_payment_succeeded", &session);
            return Ok(session);
        }
        self.fail_intent(&intent, "payment_intent_payment_attempt_failed", "generic_decline")?;
        let session = self.get(SESSION, session)?.clone();
        self.emit("checkout.session.async_payment_failed", &session);
        Ok(session)
    }

    pub(crate) fn expire_session(&mut self, session: &str) -> Answer {
        self.open_session(session)?;
        let session = self.change(SESSION, session, &json!({"status": "expired", "url": null}))?;
        self.emit("checkout.session.expired", &session);
        Ok(session)
    }

    /// Off-session payment intents, confirmed in the same call; others only wait.
    pub(crate) fn create_intent(&mut self, form: &Form) -> Answer {
        let cents = positive(form, "amount")?;
        if form.text("/currency") != Some("usd") {
            return Err(Refusal::missing_param("currency"));
        }
        if let Some(customer) = form.text("/customer") {
            self.get(CUSTOMER, customer)?;
        }
        let id = self.new_id(INTENT);
        let mut intent = objects::payment_intent(&id, now_secs(), cents);
        intent["customer"] = form.text("/customer").into();
        intent["description"] = form.text("/description").into();
        intent["metadata"] = form.object("/metadata");
        let intent = self.add(INTENT, intent);
        self.emit("payment_intent.created", &intent);
        match form.flag("/confirm") {
            true => self.confirm(&id, form),
            false => Ok(intent),
        }
    }

    pub(crate) fn cancel_intent(&mut self, id: &str) -> Answer {
        let status = self.get(INTENT, id)?["status"].clone();
        if status == "succeeded" || status == "canceled" {
            let message = format!("You cannot cancel this PaymentIntent because it has a status of {status}.");
            return Err(Refusal::invalid(message).with("code", "payment_intent_unexpected_state"));
        }
        let intent = self.change(INTENT, id, &json!({"status": "canceled", "canceled_at": now_secs()}))?;
        self.emit("payment_intent.canceled", &intent);
        Ok(intent)
    }

    fn confirm(&mut self, id: &str, form: &Form) -> Answer {
        let method = form
            .text("/payment_method")
            .ok_or_else(|| Refusal::missing_param("payment_method"))?;
        let customer = form.text("/customer");
        let method = match known_card(method) {
            Ok(card) => self.new_method(Some(card), customer),
            Err(_) => self.get(METHOD, method)?.clone(),
        };
        if method["customer"].as_str() != customer {
            let message = "The payment method you provided is attached to another customer, or to none.";
            return Err(Refusal::invalid(message).with("param", "payment_method"));
        }
        let method = method["id"].as_str().unwrap_or_default().to_owned();
        let declines = self.cards.get(&method).and_then(|card| card.declines);
        self.change(INTENT, id, &json!({"payment_method": method}))?;
        match declines {
            Some((code, decline)) => {
                let intent = self.fail_intent(id, code, decline)?;
                Err(Refusal::declined(code, decline, intent))
            }
            None => self.succeed_intent(id),
        }
    }

    fn succeed_intent(&mut self, id: &str) -> Answer {
        let charge_id = self.new_id(CHARGE);
        let charge = objects::charge(&charge_id, now_secs(), self.get(INTENT, id)?);
        let changes = json!({"status": "succeeded", "amount_received": charge["amount"], "latest_charge": charge_id,
            "last_payment_error": null});
        let charge = self.add(CHARGE, charge);
        let intent = self.change(INTENT, id, &changes)?;
        self.emit("charge.succeeded", &charge);
        self.emit("payment_intent.succeeded", &intent);
        Ok(intent)
    }

    fn fail_intent(&mut self, id: &str, code: &str, decline_code: &str) -> Answer {
        let error = json!({"type": "card_error", "code": code, "decline_code": decline_code,
            "message": "Your card was declined."});
        let changes = json!({"status": "requires_payment_method", "payment_method": null, "last_payment_error": error});
        let intent = self.change(INTENT, id, &changes)?;
        self.emit("payment_intent.payment_failed", &intent);
        Ok(intent)
    }

    /// Refuses to give back more than was paid.
    pub(crate) fn create_refund(&mut self, form: &Form) -> Answer {
        let charge = match (form.text("/charge"), form.text("/payment_intent")) {
            (Some(charge), _) => charge.to_owned(),
            (None, Some(intent)) => self.charge_of(intent)?,
            (None, None) => return Err(Refusal::missing_param("payment_intent")),
        };
        let charge = self.get(CHARGE, &charge)?.clone();
        let number = |field: &str| charge[field].as_i64().unwrap_or(0);
        let left = number("amount") - number("amount_refunded");
        let cents = match form.text("/amount") {
            Some(_) => positive(form, "amount")?,
            None => left,
        };
        if charge["disputed"] == true {
            let message = "This charge has been charged back and cannot be refunded.";
            return Err(Refusal::invalid(message).with("code", "charge_disputed"));
        }
        if left <= 0 {
            let message = "The charge has already been refunded.";
            return Err(Refusal::invalid(message).with("code", "charge_already_refunded"));
        }
        if cents > left {
            let message = format!("Refund amount ({cents}) is greater than unrefunded amount on charge ({left})");
            return Err(Refusal::invalid(message).with("param", "amount"));
        }
        let id = self.new_id(REFUND);
        let mut refund = objects::refund(&id, now_secs(), &charge, cents);
        refund["metadata"] = form.object("/metadata");
        refund["reason"] = form.text("/reason").into();
        if self.refunds_pending {
            refund["status"] = "pending".into();
        }
        let refund = self.add(REFUND, refund);
        self.emit("refund.created", &refund);
        let charge = self.refunded(&charge, cents)?;
        self.emit("charge.refunded", &charge);
        Ok(refund)
    }

    /// A pending refund arrives, or any refund turns out not to have arrived.
    pub(crate) fn finish_refund(&mut self, id: &str, succeeds: bool) -> Answer {
        let found = self.get(REFUND, id)?.clone();
        if found["status"] == "failed" || (succeeds && found["status"] != "pending") {
            return Err(Refusal::invalid("This refund has ended already."));
        }
        let refund = match succeeds {
            true => self.change(REFUND, id, &json!({"status": "succeeded"}))?,
            false => {
                let cents = found["amount"].as_i64().unwrap_or(0);
                let charge = self.get(CHARGE, found["charge"].as_str().unwrap_or_default())?.clone();
                self.refunded(&charge, -cents)?;
                let changes = json!({"status": "failed", "failure_reason": "lost_or_stolen_card"});
                self.change(REFUND, id, &changes)?
            }
        };
        self.emit("refund.updated", &refund);
        self.emit("charge.refund.updated", &refund);
        if !succeeds {
            self.emit("refund.failed", &refund);
        }
        Ok(refund)
    }

    /// `inquiry` moves no money before it escalates.
    pub(crate) fn create_dispute(&mut self, intent: &str, cents: Option<i64>, inquiry: bool) -> Answer {
        let charge = self.charge_of(intent)?;
        let charge = self.change(CHARGE, &charge, &json!({"disputed": true}))?;
        let cents = cents.or_else(|| charge["amount"].as_i64()).unwrap_or(0);
        let status = if inquiry {
            "warning_needs_response"
        } else {
            "needs_response"
        };
        let id = self.new_id(DISPUTE);
        let dispute = self.add(DISPUTE, objects::dispute(&id, now_secs(), &charge, cents, status));
        self.emit("charge.dispute.created", &dispute);
        match inquiry {
            true => Ok(dispute),
            false => self.withdraw(&id),
        }
    }

    /// One step of a dispute's life: `escalate`, `review`, `win`, `lose`, or `close` for an inquiry.
    pub(crate) fn step_dispute(&mut self, id: &str, step: &str) -> Answer {
        let status = match step {
            "escalate" => "needs_response",
            "review" => "under_review",
            "win" => "won",
            "lose" => "lost",
            "close" => "warning_closed",
            _ => return Err(Refusal::invalid(format!("No such step of a dispute: {step}"))),
        };
        let dispute = self.change(DISPUTE, id, &json!({"status": status}))?;
        match step {
            "escalate" => {
                self.emit("charge.dispute.updated", &dispute);
                self.withdraw(id)
            }
            "review" => {
                self.emit("charge.dispute.updated", &dispute);
                Ok(dispute)
            }
            "win" => {
                let dispute = self.move_funds(id, 1, 0, "charge.dispute.funds_reinstated")?;
                self.emit("charge.dispute.closed", &dispute);
                Ok(dispute)
            }
            _ => {
                self.emit("charge.dispute.closed", &dispute);
                Ok(dispute)
            }
        }
    }

    pub(crate) fn create_warning(&mut self, intent: &str) -> Answer {
        let charge = self.charge_of(intent)?;
        let id = self.new_id(WARNING);
        let warning = objects::early_fraud_warning(&id, now_secs(), self.get(CHARGE, &charge)?);
        let warning = self.add(WARNING, warning);
        self.emit("radar.early_fraud_warning.created", &warning);
        Ok(warning)
    }

    pub(crate) fn create_customer(&mut self, form: &Form) -> Value {
        let id = self.new_id(CUSTOMER);
        let mut customer = objects::customer(&id, now_secs());
        for field in ["email", "name", "description"] {
            customer[field] = form.text(&format!("/{field}")).into();
        }
        customer["metadata"] = form.object("/metadata");
        let customer = self.add(CUSTOMER, customer);
        self.emit("customer.created", &customer);
        customer
    }

    /// Attaching one of Stripe's test ids makes a payment method of its own.
    pub(crate) fn attach_method(&mut self, id: &str, customer: &str) -> Answer {
        self.get(CUSTOMER, customer)?;
        match known_card(id) {
            Ok(card) => Ok(self.new_method(Some(card), Some(customer))),
            Err(_) => self.change(METHOD, id, &json!({"customer": customer})),
        }
    }

    pub(crate) fn detach_method(&mut self, id: &str) -> Answer {
        self.change(METHOD, id, &json!({"customer": null}))
    }

    fn withdraw(&mut self, dispute: &str) -> Answer {
        self.move_funds(dispute, -1, DISPUTE_FEE, "charge.dispute.funds_withdrawn")
    }

    fn move_funds(&mut self, dispute: &str, sign: i64, fee: i64, event: &str) -> Answer {
        let found = self.get(DISPUTE, dispute)?.clone();
        let cents = found["amount"].as_i64().unwrap_or(0);
        let id = self.new_id(BALANCE);
        let mut moves = found["balance_transactions"].as_array().cloned().unwrap_or_default();
        moves.push(objects::balance_transaction(
            &id,
            now_secs(),
            dispute,
            sign * cents,
            fee,
        ));
        let dispute = self.change(DISPUTE, dispute, &json!({"balance_transactions": moves}))?;
        self.emit(event, &dispute);
        Ok(dispute)
    }

    fn refunded(&mut self, charge: &Value, cents: i64) -> Answer {
        let id = charge["id"].as_str().unwrap_or_default();
        let refunded = charge["amount_refunded"].as_i64().unwrap_or(0) + cents;
        let is_all = charge["amount"] == refunded;
        self.change(CHARGE, id, &json!({"amount_refunded": refunded, "refunded": is_all}))
    }

    fn open_session(&self, id: &str) -> Answer {
        let session = self.get(SESSION, id)?;
        match session["status"] == "open" {
            true => Ok(session.clone()),
            false => Err(Refusal::invalid(
                "Only Checkout Sessions with a status in [\"open\"] can do this.",
            )),
        }
    }

    /// The intent of an earlier, declined try, or a new one.
    fn intent_of(&mut self, session: &Value, data: &Value) -> Value {
        let earlier = session["payment_intent"]
            .as_str()
            .and_then(|id| self.get(INTENT, id).ok().cloned());
        if let Some(intent) = earlier {
            return intent;
        }
        let id = self.new_id(INTENT);
        let cents = session["amount_total"].as_i64().unwrap_or(0);
        let mut intent = objects::payment_intent(&id, now_secs(), cents);
        intent["payment_method_types"] = session["payment_method_types"].clone();
        intent["setup_future_usage"] = data["setup_future_usage"].clone();
        intent["description"] = data["description"].clone();
        if data["metadata"].is_object() {
            intent["metadata"] = data["metadata"].clone();
        }
        let intent = self.add(INTENT, intent);
        self.emit("payment_intent.created", &intent);
        intent
    }

    fn customer_for(&mut self, session: &Value, data: &Value) -> Option<String> {
        if let Some(customer) = session["customer"].as_str() {
            return Some(customer.to_owned());
        }
        let is_wanted = session["customer_creation"] == "always" || data["setup_future_usage"].is_string();
        let customer = is_wanted.then(|| self.create_customer(&Form::default()))?;
        customer["id"].as_str().map(str::to_owned)
    }

    fn new_method(&mut self, card: Option<&'static Card>, customer: Option<&str>) -> Value {
        let id = self.new_id(METHOD);
        let mut method = match card {
            Some(card) => objects::payment_method(&id, now_secs(), card),
            None => objects::crypto_method(&id, now_secs()),
        };
        method["customer"] = customer.into();
        if let Some(card) = card {
            self.cards.insert(id, *card);
        }
        self.add(METHOD, method)
    }

    fn charge_of(&self, intent: &str) -> Result<String, Refusal> {
        let charge = self.get(INTENT, intent)?["latest_charge"].as_str();
        charge.map(str::to_owned).ok_or_else(|| {
            let message = format!("This PaymentIntent ({intent}) does not have a successful charge to refund.");
            Refusal::invalid(message).with("code", "resource_missing")
        })
    }
}

fn known_card(id: &str) -> Result<&'static Card, Refusal> {
    let found = CARDS.iter().find(|card| card.id == id);
    found.ok_or_else(|| Refusal::no_such("PaymentMethod", id))
}

fn positive(form: &Form, param: &str) -> Result<i64, Refusal> {
    match form.number(&format!("/{param}")) {
        Some(number) if number > 0 => Ok(number),
        Some(_) => Err(Refusal::invalid("Invalid positive integer").with("param", param)),
        None => Err(Refusal::missing_param(param)),
    }
}

/// Cents of all line items.
fn total(form: &Form) -> Result<i64, Refusal> {
    let items = form.list("/line_items");
    if items.is_empty() {
        return Err(Refusal::missing_param("line_items"));
    }
    let mut cents: i64 = 0;
    for (index, _) in items.iter().enumerate() {
        let field = |name: &str| format!("/line_items/{index}/{name}");
        for required in [
            "price_data/currency",
            "price_data/product_data/name",
            "price_data/unit_amount",
            "quantity",
        ] {
            if form.text(&field(required)).is_none() {
                return Err(Refusal::missing_param(&format!("line_items[{index}][{required}]")));
            }
        }
        if form.text(&field("price_data/currency")) != Some("usd") {
            return Err(Refusal::invalid("The stand-in takes usd only.").with("param", "currency"));
        }
        let number = |name: &str| form.number(&field(name)).unwrap_or(0);
        cents = cents.saturating_add(number("price_data/unit_amount").saturating_mul(number("quantity")));
    }
    match cents {
        50.. => Ok(cents),
        _ => Err(
            Refusal::invalid("The total amount due must add up to at least $0.50 usd").with("code", "amount_too_small"),
        ),
    }
}
