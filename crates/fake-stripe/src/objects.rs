//! The JSON of Stripe's objects, complete enough for its official clients and typed bindings.

use serde_json::{Value, json};

/// What a card does when it is charged: the numbers of Stripe's test cards, by the ids of their payment methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Card {
    /// The payment method's id in Stripe's documentation.
    pub(crate) id: &'static str,
    pub(crate) label: &'static str,
    pub(crate) brand: &'static str,
    pub(crate) last4: &'static str,
    /// `code` and `decline_code` when it is charged without its owner.
    pub(crate) declines: Option<(&'static str, &'static str)>,
    /// Whether it declines its owner too.
    pub(crate) declines_always: bool,
}

pub(crate) const CARDS: [Card; 6] = [
    card("pm_card_visa", "Visa, pays", "visa", "4242", None, false),
    card(
        "pm_card_mastercard",
        "Mastercard, pays",
        "mastercard",
        "4444",
        None,
        false,
    ),
    card(
        "pm_card_authenticationRequired",
        "Visa, asks its owner each time",
        "visa",
        "3184",
        Some(("authentication_required", "authentication_required")),
        false,
    ),
    card(
        "pm_card_chargeCustomerFail",
        "Visa, can be kept but declines later",
        "visa",
        "0341",
        Some(("card_declined", "generic_decline")),
        false,
    ),
    card(
        "pm_card_chargeDeclined",
        "Visa, declines",
        "visa",
        "0002",
        Some(("card_declined", "generic_decline")),
        true,
    ),
    card(
        "pm_card_chargeDeclinedInsufficientFunds",
        "Visa, has no money",
        "visa",
        "9995",
        Some(("card_declined", "insufficient_funds")),
        true,
    ),
];

const fn card(
    id: &'static str,
    label: &'static str,
    brand: &'static str,
    last4: &'static str,
    declines: Option<(&'static str, &'static str)>,
    declines_always: bool,
) -> Card {
    Card {
        id,
        label,
        brand,
        last4,
        declines,
        declines_always,
    }
}

pub(crate) fn checkout_session(id: &str, created: i64, cents: i64) -> Value {
    json!({
        "id": id, "object": "checkout.session", "adaptive_pricing": {"enabled": false}, "after_expiration": null,
        "allow_promotion_codes": null, "amount_subtotal": cents, "amount_total": cents,
        "automatic_tax": {"enabled": false, "liability": null, "provider": null, "status": null},
        "billing_address_collection": null, "cancel_url": null, "client_reference_id": null, "client_secret": null,
        "collected_information": null, "consent": null, "consent_collection": null, "created": created,
        "currency": "usd", "currency_conversion": null, "custom_fields": [],
        "custom_text": {"after_submit": null, "shipping_address": null, "submit": null,
            "terms_of_service_acceptance": null},
        "customer": null, "customer_creation": "if_required", "customer_details": null, "customer_email": null,
        "discounts": [], "expires_at": created + 24 * 60 * 60, "invoice": null,
        "invoice_creation": {"enabled": false, "invoice_data": {"account_tax_ids": null, "custom_fields": null,
            "description": null, "footer": null, "issuer": null, "metadata": {}, "rendering_options": null}},
        "livemode": false, "locale": null, "metadata": {}, "mode": "payment", "origin_context": null,
        "payment_intent": null, "payment_link": null, "payment_method_collection": "if_required",
        "payment_method_configuration_details": null, "payment_method_options": {}, "payment_method_types": ["card"],
        "payment_status": "unpaid", "permissions": null, "phone_number_collection": {"enabled": false},
        "recovered_from": null, "saved_payment_method_options": null, "setup_intent": null,
        "shipping_address_collection": null, "shipping_cost": null, "shipping_options": [], "status": "open",
        "submit_type": null, "subscription": null, "success_url": null,
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0}, "ui_mode": "hosted_page",
        "url": null, "wallet_options": null,
    })
}

pub(crate) fn payment_intent(id: &str, created: i64, cents: i64) -> Value {
    json!({
        "id": id, "object": "payment_intent", "amount": cents, "amount_capturable": 0, "amount_details": {"tip": {}},
        "amount_received": 0, "application": null, "application_fee_amount": null, "automatic_payment_methods": null,
        "canceled_at": null, "cancellation_reason": null, "capture_method": "automatic_async",
        "client_secret": format!("{id}_secret_standin"), "confirmation_method": "automatic", "created": created,
        "currency": "usd", "customer": null, "description": null, "excluded_payment_method_types": null,
        "last_payment_error": null, "latest_charge": null, "livemode": false, "metadata": {}, "next_action": null,
        "on_behalf_of": null, "payment_method": null, "payment_method_configuration_details": null,
        "payment_method_options": {}, "payment_method_types": ["card"], "processing": null, "receipt_email": null,
        "review": null, "setup_future_usage": null, "shipping": null, "source": null, "statement_descriptor": null,
        "statement_descriptor_suffix": null, "status": "requires_payment_method", "transfer_data": null,
        "transfer_group": null,
    })
}

pub(crate) fn charge(id: &str, created: i64, intent: &Value) -> Value {
    json!({
        "id": id, "object": "charge", "amount": intent["amount"], "amount_captured": intent["amount"],
        "amount_refunded": 0, "application": null, "application_fee": null, "application_fee_amount": null,
        "balance_transaction": null, "billing_details": billing_details(), "calculated_statement_descriptor": "TOLLWAY",
        "captured": true, "created": created, "currency": intent["currency"], "customer": intent["customer"],
        "description": null, "disputed": false, "failure_balance_transaction": null, "failure_code": null,
        "failure_message": null, "fraud_details": {}, "livemode": false, "metadata": intent["metadata"],
        "on_behalf_of": null, "outcome": null, "paid": true, "payment_intent": intent["id"],
        "payment_method": intent["payment_method"], "payment_method_details": null, "receipt_email": null,
        "receipt_number": null, "receipt_url": null, "refunded": false, "review": null, "shipping": null,
        "source": null, "source_transfer": null, "statement_descriptor": null, "statement_descriptor_suffix": null,
        "status": "succeeded", "transfer_data": null, "transfer_group": null,
    })
}

pub(crate) fn refund(id: &str, created: i64, charge: &Value, cents: i64) -> Value {
    json!({
        "id": id, "object": "refund", "amount": cents, "balance_transaction": null, "charge": charge["id"],
        "created": created, "currency": charge["currency"],
        "destination_details": {"card": {"type": "refund"}, "type": "card"}, "metadata": {},
        "payment_intent": charge["payment_intent"], "reason": null, "receipt_number": null,
        "source_transfer_reversal": null, "status": "succeeded", "transfer_reversal": null,
    })
}

pub(crate) fn dispute(id: &str, created: i64, charge: &Value, cents: i64, status: &str) -> Value {
    json!({
        "id": id, "object": "dispute", "amount": cents, "balance_transactions": [], "charge": charge["id"],
        "created": created, "currency": charge["currency"], "enhanced_eligibility_types": [], "evidence": evidence(),
        "evidence_details": {"due_by": created + 7 * 24 * 60 * 60, "enhanced_eligibility": {}, "has_evidence": false,
            "past_due": false, "submission_count": 0},
        "is_charge_refundable": false, "livemode": false, "metadata": {}, "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": {"brand": "visa", "case_type": "chargeback", "network": "visa",
            "network_reason_code": "10.4"},
            "type": "card"},
        "reason": "fraudulent", "status": status,
    })
}

pub(crate) fn balance_transaction(id: &str, created: i64, dispute: &str, cents: i64, fee: i64) -> Value {
    let fees = match fee {
        0 => json!([]),
        fee => json!([{"amount": fee, "application": null, "currency": "usd", "description": "Dispute fee",
            "type": "stripe_fee"}]),
    };
    json!({
        "id": id, "object": "balance_transaction", "amount": cents, "available_on": created, "balance_type": "payments",
        "created": created, "currency": "usd", "description": "Chargeback", "exchange_rate": null, "fee": fee,
        "fee_details": fees, "net": cents - fee,
        "reporting_category": if cents < 0 { "dispute" } else { "dispute_reversal" },
        "source": dispute, "status": "available", "type": "adjustment",
    })
}

pub(crate) fn early_fraud_warning(id: &str, created: i64, charge: &Value) -> Value {
    json!({
        "id": id, "object": "radar.early_fraud_warning", "actionable": true, "charge": charge["id"], "created": created,
        "fraud_type": "made_with_stolen_card", "livemode": false, "payment_intent": charge["payment_intent"],
    })
}

pub(crate) fn customer(id: &str, created: i64) -> Value {
    json!({
        "id": id, "object": "customer", "address": null, "balance": 0, "created": created, "currency": null,
        "default_source": null, "delinquent": false, "description": null, "email": null, "invoice_prefix": "STANDIN",
        "invoice_settings": {"custom_fields": null, "default_payment_method": null, "footer": null,
            "rendering_options": null},
        "livemode": false, "metadata": {}, "name": null, "next_invoice_sequence": 1, "phone": null,
        "preferred_locales": [], "shipping": null, "tax_exempt": "none", "test_clock": null,
    })
}

pub(crate) fn payment_method(id: &str, created: i64, card: &Card) -> Value {
    json!({
        "id": id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": billing_details(),
        "card": {"brand": card.brand, "checks": {"address_line1_check": null, "address_postal_code_check": null,
                "cvc_check": "pass"},
            "country": "US", "display_brand": card.brand, "exp_month": 12, "exp_year": 2034,
            "fingerprint": format!("fp{}", card.last4), "funding": "credit", "generated_from": null,
            "last4": card.last4, "networks": {"available": [card.brand], "preferred": null},
            "regulated_status": "unregulated", "three_d_secure_usage": {"supported": true}, "wallet": null},
        "created": created, "customer": null, "livemode": false, "metadata": {}, "type": "card",
    })
}

/// A stablecoin wallet.
pub(crate) fn crypto_method(id: &str, created: i64) -> Value {
    json!({
        "id": id, "object": "payment_method", "allow_redisplay": "unspecified", "billing_details": billing_details(),
        "crypto": {}, "created": created, "customer": null, "livemode": false, "metadata": {}, "type": "crypto",
    })
}

pub(crate) fn event(id: &str, created: i64, kind: &str, version: &str, object: &Value) -> Value {
    json!({
        "id": id, "object": "event", "api_version": version, "created": created, "data": {"object": object},
        "livemode": false, "pending_webhooks": 1, "request": {"id": null, "idempotency_key": null}, "type": kind,
    })
}

pub(crate) fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}

fn billing_details() -> Value {
    json!({"address": {"city": null, "country": null, "line1": null, "line2": null, "postal_code": null, "state": null},
        "email": null, "name": null, "phone": null, "tax_id": null})
}

fn evidence() -> Value {
    json!({
        "access_activity_log": null, "billing_address": null, "cancellation_policy": null,
        "cancellation_policy_disclosure": null, "cancellation_rebuttal": null, "customer_communication": null,
        "customer_email_address": null, "customer_name": null, "customer_purchase_ip": null, "customer_signature": null,
        "duplicate_charge_documentation": null, "duplicate_charge_explanation": null, "duplicate_charge_id": null,
        "enhanced_evidence": {}, "product_description": null, "receipt": null, "refund_policy": null,
        "refund_policy_disclosure": null, "refund_refusal_explanation": null, "service_date": null,
        "service_documentation": null, "shipping_address": null, "shipping_carrier": null, "shipping_date": null,
        "shipping_documentation": null, "shipping_tracking_number": null, "uncategorized_file": null,
        "uncategorized_text": null,
    })
}
