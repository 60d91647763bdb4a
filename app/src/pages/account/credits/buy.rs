//! Buying credits: the form that shows what is paid, and the way to the payment processor.

use crate::attempts::Action;
use crate::components::field::Field;
use crate::fail::Fail;
use crate::query::Query;
use crate::site::{CheckoutOptions, Site, answer, client_ip, parts, site};
use domain::id::PurchaseId;
use domain::money::NanoUsd;
use domain::purchase::{PURCHASE_MAX, PURCHASE_MIN, Purchase, PurchaseKind, PurchaseState, parse_amount};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::users::User;

/// Offered at a glance, in dollars.
const PRESETS: [&str; 3] = ["10", "25", "100"];
const OTHER: &str = "other";

/// Stores the purchase and sends the buyer to the payment processor's page. An amount of the buyer's own is shown with
/// its fee before; `shown` is the amount for which that was done.
#[server(endpoint = "buy_credits")]
pub async fn buy_credits(
    #[server(default)] amount: String,
    #[server(default)] choice: String,
    #[server(default)] shown: String,
    #[server(default)] method: String,
    #[server(default)] save: String,
) -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        if !site.allow(Action::Checkout, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let is_preset = PRESETS.contains(&choice.as_str());
        let typed = if is_preset { &choice } else { &amount };
        let bought = parse_amount(typed.trim())?;
        let fee = (site.fee)(bought);
        if !is_preset && fee.is_positive() && shown != bought.to_decimal() {
            leptos_axum::redirect(&format!("/account/credits?amount={}#buy", bought.to_decimal()));
            return Ok(());
        }
        let options = CheckoutOptions {
            save_method: !save.is_empty(),
            method: chosen_method(&site, &method)?,
        };
        let purchase = purchase(&site, user, bought, fee);
        let mut tx = site.store.begin().await?;
        store::purchases::create(&mut tx, &purchase).await?;
        tx.commit().await?;
        let address = (site.start_checkout)(&purchase, options).await.map_err(|error| {
            tracing::error!(purchase = %purchase.id, error, "a checkout could not be started");
            Fail::CheckoutUnavailable
        })?;
        leptos_axum::redirect(&address);
        Ok(())
    })
    .await
}

/// Where the buyer comes back from the checkout: asks the processor how it went, so that the page need not wait for its
/// message. The page shows what is stored, whatever came of this.
pub(super) async fn check_payment(site: &Site, user: &User, query: &Query) {
    let id = PurchaseId::stored(query.get("purchase"));
    let stored = async {
        let mut tx = site.store.read().await?;
        store::purchases::by_id(&mut tx, &id).await
    };
    let Ok(Some(purchase)) = stored.await else {
        return;
    };
    if purchase.account == user.account && is_unfinished(purchase.state) {
        let checked = (site.check_purchase)(&purchase).await;
        if let Err(error) = checked {
            tracing::warn!(purchase = %purchase.id, error, "a purchase could not be checked");
        }
    }
}

/// What is paid for each amount stands beside it before anything is paid.
pub(super) fn view(site: &Site, query: &Query) -> impl IntoView + use<> {
    let wanted = parse_amount(query.get("amount")).ok();
    let presets: Vec<_> = PRESETS
        .iter()
        .map(|dollars| preset(site, dollars, wanted.is_none()))
        .collect();
    let typed = wanted.map(NanoUsd::to_decimal).unwrap_or_default();
    let total = wanted.map(|amount| price_line(amount, (site.fee)(amount)));
    let has_fee = (site.fee)(PURCHASE_MIN).is_positive();
    view! {
        <section class="card stack" id="buy">
            <h2>"Buy credits"</h2>
            <form class="stack" method="post" action=BuyCredits::url()>
                <fieldset class="plain">
                    <legend class="legend">"Amount"</legend>
                    <div class="choices">
                        {presets}
                        <label class="choice">
                            <input type="radio" name="choice" value=OTHER checked=wanted.is_some() data-testid="buy-other"/>
                            <span>
                                <strong>"Another amount"</strong>
                                <span class="small soft" data-testid="buy-other-total">
                                    {total.unwrap_or_else(|| format!("{PURCHASE_MIN} to {PURCHASE_MAX}"))}
                                </span>
                            </span>
                        </label>
                    </div>
                </fieldset>
                <div class="other-amount narrow-fields">
                    <input type="hidden" name="shown" value=typed.clone()/>
                    <Field
                        name="amount"
                        label="Dollars"
                        money=true
                        inputmode="decimal"
                        autocomplete="off"
                        placeholder="20"
                        value=typed
                        testid="buy-amount"
                    />
                </div>
                {methods(site)}
                <div class="row">
                    <button class="button" data-testid="buy-submit">"Go to checkout"</button>
                    <p class="small soft" data-testid="buy-fee">
                        {if has_fee {
                            "The fee is for taking the payment; it buys no credits and is not refunded. The total of an amount of your own is shown before you pay."
                        } else {
                            "No fee: what you pay is what you get."
                        }}
                    </p>
                </div>
            </form>
        </section>
    }
}

const fn is_unfinished(state: PurchaseState) -> bool {
    matches!(
        state,
        PurchaseState::Created | PurchaseState::Open | PurchaseState::Pending
    )
}

fn preset(site: &Site, dollars: &'static str, may_be_chosen: bool) -> impl IntoView + use<> {
    let amount = parse_amount(dollars).unwrap_or_default();
    let checked = may_be_chosen && dollars == PRESETS[0];
    view! {
        <label class="choice">
            <input type="radio" name="choice" value=dollars checked=checked data-testid=format!("buy-{dollars}")/>
            <span>
                <strong>{format!("${dollars}")}</strong>
                <span class="small soft" data-testid=format!("buy-{dollars}-total")>
                    {price_line(amount, (site.fee)(amount))}
                </span>
            </span>
        </label>
    }
}

fn price_line(amount: NanoUsd, fee: NanoUsd) -> String {
    if fee.is_positive() {
        let total = amount.saturating_add(fee);
        format!("{amount} + {fee} fee = {total}")
    } else {
        format!("{amount}, no fee")
    }
}

/// The choice between ways to pay, where there is one, and the offer to keep a card.
fn methods(site: &Site) -> impl IntoView + use<> {
    let choices = (site.methods.len() > 1).then(|| {
        let choices: Vec<_> = site
            .methods
            .iter()
            .enumerate()
            .map(|(at, method)| {
                view! {
                    <label class="check">
                        <input type="radio" name="method" value=*method checked=at == 0 data-testid=format!("method-{method}")/>
                        {method_name(method)}
                    </label>
                }
            })
            .collect();
        view! {
            <fieldset class="plain">
                <legend class="legend">"Pay with"</legend>
                <div class="row">{choices}</div>
            </fieldset>
        }
    });
    let keep = site.keeps_methods.then(|| {
        view! {
            <label class="check">
                <input type="checkbox" name="save" value="1" data-testid="buy-save"/>
                "Keep this card for automatic top-ups"
            </label>
        }
    });
    view! {
        {choices}
        {keep}
    }
}

fn method_name(method: &str) -> String {
    match method {
        "card" => "Card".to_owned(),
        "crypto" => "Stablecoin".to_owned(),
        other => other.to_owned(),
    }
}

/// None unless one of the methods is asked for.
fn chosen_method(site: &Site, method: &str) -> Result<Option<String>, Fail> {
    if method.is_empty() {
        return Ok(None);
    }
    let is_offered = site.methods.contains(&method);
    is_offered.then(|| Some(method.to_owned())).ok_or(Fail::Malformed)
}

fn purchase(site: &Site, user: User, amount: NanoUsd, fee: NanoUsd) -> Purchase {
    let now = (site.now)();
    Purchase {
        id: PurchaseId::new(site.bytes()),
        account: user.account,
        user: user.id,
        amount,
        fee,
        kind: PurchaseKind::Checkout,
        state: PurchaseState::Created,
        processor: site.processor.to_owned(),
        processor_ref: None,
        payment: None,
        refunded: NanoUsd::ZERO,
        created: now,
        updated: now,
    }
}
