//! Prices and amounts.

use domain::money::{NanoUsd, PicoUsd};
use leptos::prelude::*;

/// A price per million tokens, or a dash where there is none.
#[component]
pub fn PerMillion(price: Option<PicoUsd>) -> impl IntoView {
    match price {
        Some(PicoUsd::ZERO) => "free".to_owned(),
        Some(price) => price.per_million(),
        None => "–".to_owned(),
    }
}

/// A balance as people read it: whole cents, cut towards zero.
#[must_use]
pub fn cents(amount: NanoUsd) -> String {
    whole_cents(amount).to_dollars()
}

/// The whole cents in an amount, cut towards zero.
#[must_use]
pub fn whole_cents(amount: NanoUsd) -> NanoUsd {
    let nano_per_cent = 10_000_000;
    NanoUsd::new(amount.get() / nano_per_cent * nano_per_cent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_is_never_shown_larger_than_it_is() {
        assert_eq!(cents(NanoUsd::new(19_999_999_999)), "$19.99");
        assert_eq!(cents(NanoUsd::new(-5_000_000)), "$0.00");
        assert_eq!(cents(NanoUsd::new(-15_000_000)), "−$0.01");
    }
}
