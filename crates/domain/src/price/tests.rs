use super::*;
use crate::time::Micros;
use proptest::prelude::*;

fn pico(value: i64) -> Option<PicoUsd> {
    Some(PicoUsd::new(value))
}

fn prices() -> Prices {
    Prices {
        prompt: PicoUsd::new(135_000),
        completion: PicoUsd::new(400_000),
        cache_read: pico(13_500),
        ..Prices::default()
    }
}

#[test]
fn cached_tokens_cost_their_own_price() {
    let usage = Usage {
        prompt: 1_000,
        cache_read: 400,
        completion: 10,
        ..Usage::default()
    };
    let pico = 600 * 135_000 + 400 * 13_500 + 10 * 400_000;
    assert_eq!(prices().cost(&usage).total, NanoUsd::new(pico / 1_000));
}

#[test]
fn a_fraction_of_a_nano_dollar_is_rounded_up_once() {
    let prices = Prices {
        prompt: PicoUsd::new(1),
        completion: PicoUsd::new(1),
        audio_second: pico(1),
        ..Prices::default()
    };
    let usage = Usage {
        prompt: 1,
        completion: 1,
        audio_ms: 1,
        ..Usage::default()
    };
    assert_eq!(prices.cost(&usage).total, NanoUsd::new(1));
}

#[test]
fn a_tier_applies_above_its_threshold_only() {
    let tier = PriceTier {
        min_prompt_tokens: 100,
        prompt: pico(2_000),
        ..PriceTier::default()
    };
    let prices = Prices {
        prompt: PicoUsd::new(1_000),
        tiers: vec![tier],
        ..Prices::default()
    };
    let cost = |prompt| {
        let usage = Usage {
            prompt,
            ..Usage::default()
        };
        prices.cost(&usage).total.get()
    };
    assert_eq!((cost(100), cost(101)), (100, 202));
}

/// Each part with its own price, so that the sum says what was charged by which.
#[test]
fn each_kind_of_unit_costs_its_own_price_and_no_token_is_charged_twice() {
    let prices = Prices {
        prompt: PicoUsd::new(1_000),
        completion: PicoUsd::new(10_000),
        cache_read: pico(100),
        cache_write: pico(2_000),
        cache_write_1h: pico(3_000),
        audio_in: pico(4_000),
        image_in: pico(5_000),
        audio_out: pico(40_000),
        image_out: pico(50_000),
        image: pico(1_000_000),
        web_search: pico(2_000_000),
        audio_second: pico(3_000_000),
        character: pico(7_000),
        search_unit: pico(4_000_000),
        request: pico(5_000_000),
        ..Prices::default()
    };
    let usage = Usage {
        prompt: 100,
        cache_read: 10,
        cache_write: 20,
        cache_write_1h: 5,
        audio_in: 30,
        image_in: 1_000,
        completion: 50,
        reasoning: 10,
        audio_out: 20,
        image_out: 5,
        images: 1,
        web_searches: 2,
        audio_ms: 500,
        characters: 3,
        search_units: 1,
    };
    let cost = prices.cost(&usage);
    // 40 of the prompt remain for images, and nothing for text.
    let input = 10 * 100 + 15 * 2_000 + 5 * 3_000 + 30 * 4_000 + 40 * 5_000 + 3 * 7_000 + 1_500_000;
    let output = 15 * 10_000 + 10 * 10_000 + 20 * 40_000 + 5 * 50_000 + 1_000_000;
    let other = 4_000_000 + 2 * 2_000_000 + 5_000_000;
    assert_eq!(cost.prompt, NanoUsd::new(input / 1_000));
    assert_eq!(cost.completion, NanoUsd::new(output / 1_000));
    assert_eq!(cost.other, NanoUsd::new(other / 1_000));
    assert_eq!(cost.total, NanoUsd::new((input + output + other) / 1_000));
}

#[test]
fn old_prices_and_usage_read_as_they_did() {
    let prices: Prices = serde_json::from_str(r#"{"prompt":1000,"completion":2000,"image":5}"#).unwrap();
    let usage: Usage = serde_json::from_str(r#"{"prompt":3,"completion":2,"images":1}"#).unwrap();
    assert_eq!(prices.cost(&usage).total, NanoUsd::new(8));
    let written = serde_json::to_string(&usage).unwrap();
    assert!(!written.contains("audio"), "{written}");
}

fn at(hour: i64, minute: i64) -> Micros {
    Micros::new(1_795_392_000_000_000 + hour * Micros::HOUR + minute * Micros::MINUTE)
}

/// Half the price from 16:30 to 00:30 UTC; `flex` for half, `priority` for double with its own long prompts.
fn scheduled() -> Prices {
    serde_json::from_str(
        r#"{"prompt":1000,"completion":4000,"tiers":[{"min_prompt_tokens":10,"prompt":2000}],
            "windows":[{"from_minute":990,"until_minute":30,"prompt":500}],
            "services":[{"name":"flex","completion":2000},
                        {"name":"priority","prompt":3000,"tiers":[{"min_prompt_tokens":10,"prompt":6000}]}]}"#,
    )
    .unwrap()
}

fn check_chosen(now: Micros, service: Option<&str>, short: (i64, i64), long_prompt: i64) {
    let chosen = scheduled().chosen(now, service);
    assert!(chosen.windows.is_empty() && chosen.services.is_empty());
    assert_eq!(
        (chosen.prompt.get(), chosen.completion.get()),
        short,
        "{now:?} {service:?}"
    );
    assert_eq!(chosen.at(11).prompt.get(), long_prompt, "{now:?} {service:?}");
}

#[test]
fn the_time_of_the_day_and_the_service_tier_choose_the_prices() {
    check_chosen(at(16, 29), None, (1_000, 4_000), 2_000);
    check_chosen(at(16, 30), None, (500, 4_000), 2_000);
    check_chosen(at(0, 29), None, (500, 4_000), 2_000);
    check_chosen(at(0, 30), None, (1_000, 4_000), 2_000);
    check_chosen(at(12, 0), Some("flex"), (1_000, 2_000), 2_000);
    check_chosen(at(12, 0), Some("priority"), (3_000, 4_000), 6_000);
    check_chosen(at(23, 0), Some("priority"), (3_000, 4_000), 6_000);
    check_chosen(at(12, 0), Some("auto"), (1_000, 4_000), 2_000);
}

fn any_prices() -> impl Strategy<Value = Prices> {
    let price = || 0i64..100_000_000;
    let part = || proptest::option::of(price().prop_map(PicoUsd::new));
    let tier = (0u64..1_500, part(), part(), part(), part()).prop_map(
        |(min_prompt_tokens, prompt, completion, cache_read, cache_write_1h)| PriceTier {
            min_prompt_tokens,
            prompt,
            completion,
            cache_read,
            cache_write_1h,
            ..PriceTier::default()
        },
    );
    let tiers = proptest::collection::vec(tier, 0..3).prop_map(|mut tiers| {
        tiers.sort_by_key(|tier| tier.min_prompt_tokens);
        tiers
    });
    (price(), price(), proptest::collection::vec(part(), 14), tiers).prop_map(|(prompt, completion, parts, tiers)| {
        Prices {
            prompt: PicoUsd::new(prompt),
            completion: PicoUsd::new(completion),
            cache_read: parts[0],
            cache_write: parts[1],
            cache_write_1h: parts[2],
            reasoning: parts[3],
            audio_in: parts[4],
            audio_out: parts[5],
            image_in: parts[6],
            image_out: parts[7],
            request: parts[8],
            image: parts[9],
            web_search: parts[10],
            audio_second: parts[11],
            character: parts[12],
            search_unit: parts[13],
            tiers,
            ..Prices::default()
        }
    })
}

fn any_bounds() -> impl Strategy<Value = Usage> {
    proptest::collection::vec(0u64..2_000, 11).prop_map(|counts| Usage {
        prompt: counts[0],
        completion: counts[1],
        images: counts[2],
        cache_write_1h: counts[3],
        audio_in: counts[4],
        audio_out: counts[5],
        image_in: counts[6],
        image_out: counts[7],
        web_searches: counts[8],
        audio_ms: counts[9],
        characters: counts[10],
        search_units: counts[2],
        ..Usage::default()
    })
}

/// Usage within `bounds`: each count cut to a share of its bound, and parts within their whole.
fn within(bounds: &Usage, shares: &[u64]) -> Usage {
    let cut = |bound: u64, place: usize| bound * shares[place] / 100;
    let prompt = cut(bounds.prompt, 0);
    let completion = cut(bounds.completion, 1);
    let cache_read = cut(prompt, 2);
    let cache_write = cut(prompt - cache_read, 3);
    Usage {
        prompt,
        completion,
        cache_read,
        cache_write,
        reasoning: cut(completion, 4),
        images: cut(bounds.images, 5),
        cache_write_1h: cut(bounds.cache_write_1h, 6),
        audio_in: cut(bounds.audio_in, 7),
        audio_out: cut(bounds.audio_out, 8),
        image_in: cut(bounds.image_in, 9),
        image_out: cut(bounds.image_out, 10),
        web_searches: cut(bounds.web_searches, 11),
        audio_ms: cut(bounds.audio_ms, 12),
        characters: cut(bounds.characters, 13),
        search_units: cut(bounds.search_units, 14),
    }
}

fn any_shares() -> impl Strategy<Value = Vec<u64>> {
    proptest::collection::vec(0u64..=100, 15)
}

proptest! {
    #[test]
    fn what_is_affordable_never_costs_more_than_the_budget(
        prices in any_prices(), prompt in 0u64..3_000, budget in 0i64..1_000_000_000_000
    ) {
        let budget = NanoUsd::new(budget);
        prop_assume!(prices.ceiling(prompt, 0) <= budget);
        let tokens = prices.affordable_completion(prompt, budget).unwrap_or(1_000_000);
        prop_assert!(prices.ceiling(prompt, tokens) <= budget);
    }

    #[test]
    fn no_usage_within_its_bounds_costs_more_than_their_ceiling(
        prices in any_prices(), bounds in any_bounds(), shares in any_shares()
    ) {
        let usage = within(&bounds, &shares);
        prop_assert!(prices.cost(&usage).total <= prices.ceiling_of(&bounds));
    }

    #[test]
    fn the_ceiling_of_a_request_holds_for_tokens_of_any_kind(
        prices in any_prices(), prompt in 0u64..3_000, completion in 0u64..3_000, shares in any_shares()
    ) {
        let kinds = Usage {
            prompt,
            completion,
            cache_write_1h: prompt,
            audio_in: prompt,
            image_in: prompt,
            audio_out: completion,
            image_out: completion,
            ..Usage::default()
        };
        prop_assert!(prices.cost(&within(&kinds, &shares)).total <= prices.ceiling(prompt, completion));
    }

    #[test]
    fn the_lines_of_a_bill_add_up_to_the_charge(prices in any_prices(), bounds in any_bounds(), shares in any_shares()) {
        let usage = within(&bounds, &shares);
        let femto: i128 = prices.bill(&usage).iter().map(Line::femto).sum();
        prop_assert_eq!(i128::from(prices.cost(&usage).total.get()), (femto + 999_999) / 1_000_000);
    }
}
