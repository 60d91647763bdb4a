//! Giving back what is unused of a purchase: an amount, and a tick that says it is meant.

use domain::money::NanoUsd;
use leptos::prelude::*;

/// A plain form that posts `purchase`, `amount` and `confirmed`. The ids for tests begin with `testid`.
#[component]
pub fn RefundForm(
    action: &'static str,
    purchase: String,
    /// Filled in at first.
    most: NanoUsd,
    consent: &'static str,
    testid: &'static str,
) -> impl IntoView {
    let id = |part: &str| format!("{testid}-{part}");
    view! {
        <form class="fields" method="post" action=action>
            <input type="hidden" name="purchase" value=purchase/>
            <div class="field narrow-fields">
                <label for="refund-amount">"Amount"</label>
                <div class="money-input">
                    <input
                        class="input"
                        id="refund-amount"
                        name="amount"
                        inputmode="decimal"
                        autocomplete="off"
                        required=true
                        value=most.to_decimal()
                        data-testid=id("amount")
                    />
                </div>
            </div>
            <label class="check">
                <input type="checkbox" name="confirmed" value="1" required=true data-testid=id("confirm")/>
                {consent}
            </label>
            <div><button class="button danger" data-testid=id("submit")>"Refund"</button></div>
        </form>
    }
}
