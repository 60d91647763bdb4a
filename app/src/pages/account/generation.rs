//! `/account/activity/{id}`: one generation, its cost recomputed from the prices of the moment.

use super::AccountFrame;
use crate::components::badge::{Badge, Tone};
use crate::components::layout::loaded;
use crate::components::time::At;
use crate::fail::Fail;
use crate::format;
use crate::wire::data;
use domain::generation::{Attempt, Generation};
use domain::money::PicoUsd;
use domain::price::{Line, Part, Prices};
use domain::usage::Usage;
use leptos::prelude::*;
use leptos_router::hooks::use_params_map;

/// A generation of the account of whoever asks.
#[server(endpoint = "generation")]
pub async fn load_generation(id: String) -> Result<Generation, Fail> {
    use crate::site::{answer, site};
    use domain::id::GenerationId;
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        (site.settled)().await;
        let mut tx = site.store.read().await?;
        let found = store::generations::by_id(&mut tx, &GenerationId::stored(id)).await?;
        found
            .filter(|generation| generation.account == user.account)
            .ok_or(Fail::NotFound)
    })
    .await
}

#[component]
pub fn GenerationPage() -> impl IntoView {
    let params = use_params_map();
    let id = Memo::new(move |_| params.read().get("id").unwrap_or_default());
    let page = data(move || id.get(), load_generation);
    view! {
        <AccountFrame title="Generation">
            <p class="row small">
                <a href="/account/activity">"Back to activity"</a>
                <code class="faint break">{move || id.get()}</code>
            </p>
            {loaded(page, |generation| view! { <Detail generation/> })}
        </AccountFrame>
    }
}

#[component]
fn Detail(generation: Generation) -> impl IntoView {
    let after_first = generation
        .duration_us
        .saturating_sub(generation.first_token_us.unwrap_or_default());
    let facts = [
        (
            "Finish",
            generation.finish_reason.clone().unwrap_or_else(|| "–".to_owned()),
        ),
        (
            "Provider's own word",
            generation
                .native_finish_reason
                .clone()
                .unwrap_or_else(|| "–".to_owned()),
        ),
        ("Endpoint", generation.endpoint.clone()),
        (
            "Surface",
            format!(
                "{}{}",
                generation.surface,
                if generation.streamed { ", streamed" } else { "" }
            ),
        ),
        ("App", generation.app_name.clone().unwrap_or_else(|| "–".to_owned())),
        (
            "Provider's id",
            generation.upstream_id.clone().unwrap_or_else(|| "–".to_owned()),
        ),
    ];
    let figures = [
        ("Cost", generation.cost.to_dollars()),
        ("Tokens in", format::grouped(generation.usage.prompt)),
        ("Tokens out", format::grouped(generation.usage.completion)),
        (
            "First token",
            generation
                .first_token_us
                .map_or_else(|| "–".to_owned(), format::duration),
        ),
        ("Whole answer", format::duration(generation.duration_us)),
        (
            "Speed after the first token",
            format::speed(generation.usage.completion, after_first).unwrap_or_else(|| "–".to_owned()),
        ),
    ];
    view! {
        <div class="row">
            <a class="model-name" href=format!("/{}", generation.model)>{generation.model.to_string()}</a>
            <Badge text=generation.outcome.name() tone=if generation.outcome.is_charged() { Tone::Plain } else { Tone::Warn }/>
            {(!generation.outcome.is_charged()).then(|| view! { <Badge text="not charged" tone=Tone::Good/> })}
            {generation.estimated.then(|| view! { <Badge text="tokens counted by us" tone=Tone::Warn title="The provider's own count did not arrive"/> })}
            <At time=generation.created/>
        </div>
        <dl class="figures">
            {figures.map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })}
        </dl>
        <Parts generation=generation.clone()/>
        <Attempts attempts=generation.attempts.clone()/>
        <dl class="facts">
            {facts.map(|(name, value)| view! { <dt>{name}</dt><dd>{value}</dd> })}
        </dl>
    }
}

/// The lines of the bill that say something.
fn lines(prices: &Prices, usage: &Usage) -> Vec<Line> {
    let says = |line: &Line| line.units > 0 && (line.price != PicoUsd::ZERO || line.part == Part::Completion);
    prices.bill(usage).into_iter().filter(says).collect()
}

const fn name(part: Part) -> &'static str {
    match part {
        Part::Prompt => "Prompt",
        Part::CacheRead => "Prompt, read from cache",
        Part::CacheWrite => "Prompt, written to cache",
        Part::CacheWrite1h => "Prompt, written to cache for an hour",
        Part::AudioIn => "Prompt, audio",
        Part::ImageIn => "Prompt, images",
        Part::Characters => "Characters",
        Part::AudioTime => "Audio, milliseconds",
        Part::Completion => "Answer",
        Part::Reasoning => "Reasoning",
        Part::AudioOut => "Answer, audio",
        Part::ImageOut => "Answer, images",
        Part::Images => "Images",
        Part::SearchUnits => "Search units",
        Part::WebSearches => "Web searches",
        Part::Request => "Request",
    }
}

/// Dollars for a million units.
fn per_million(line: &Line) -> String {
    let price = line
        .price
        .get()
        .checked_div(i64::try_from(line.part.units_per_price()).unwrap_or(1));
    PicoUsd::new(price.unwrap_or_default()).per_million()
}

/// Dollars of one line, to the pico-dollar.
fn product(line: &Line) -> String {
    i64::try_from(line.femto() / 1_000).map_or_else(
        |_| "–".to_owned(),
        |pico| format!("${}", PicoUsd::new(pico).to_decimal()),
    )
}

#[component]
fn Parts(generation: Generation) -> impl IntoView {
    let recomputed = generation.prices.cost(&generation.usage).total;
    let charged = if generation.outcome.is_charged() {
        recomputed
    } else {
        domain::money::NanoUsd::ZERO
    };
    let agrees = charged == generation.cost;
    let rows: Vec<_> = lines(&generation.prices, &generation.usage)
        .into_iter()
        .map(|line| {
            view! {
                <tr>
                    <th scope="row">{name(line.part)}</th>
                    <td class="number" data-label="Units">{format::grouped(line.units)}</td>
                    <td class="number" data-label="Price per million">{per_million(&line)}</td>
                    <td class="number" data-label="Product">{product(&line)}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <h2>"How the cost came about"</h2>
            <div class="table-box">
                <table class="table cards">
                    <thead>
                        <tr>
                            <th scope="col">"Part"</th>
                            <th scope="col" class="number">"Units"</th>
                            <th scope="col" class="number">"Price per million"</th>
                            <th scope="col" class="number">"Product"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                    <tfoot>
                        <tr>
                            <th scope="row">"Charged"</th>
                            <td></td>
                            <td></td>
                            <td class="number" data-testid="generation-cost">{generation.cost.to_dollars()}</td>
                        </tr>
                    </tfoot>
                </table>
            </div>
            <p class="small soft" data-testid="cost-check">
                {if !agrees {
                    "The charge differs from what these prices give. Please report this generation."
                } else if generation.outcome.is_charged() {
                    "The products are summed exactly and rounded up once, to the nano-dollar. The prices are those of the moment the request was admitted."
                } else {
                    "Nothing is charged for an answer that failed or came back empty."
                }}
            </p>
        </section>
    }
}

#[component]
fn Attempts(attempts: Vec<Attempt>) -> impl IntoView {
    let rows: Vec<_> = attempts
        .into_iter()
        .enumerate()
        .map(|(at, attempt)| {
            let status = attempt
                .status
                .map_or_else(|| "no answer".to_owned(), |status| status.to_string());
            let is_good = attempt.error_type.is_none();
            let result = attempt.error_type.unwrap_or_else(|| "answered".to_owned());
            view! {
                <tr>
                    <th scope="row">{format!("{}. {}", at + 1, attempt.provider)}</th>
                    <td data-label="Endpoint" class="break"><code class="tiny">{attempt.endpoint}</code></td>
                    <td class="number" data-label="Status">{status}</td>
                    <td data-label="Result"><Badge text=result tone=if is_good { Tone::Good } else { Tone::Bad }/></td>
                    <td class="number" data-label="After">{format::duration(attempt.latency_us)}</td>
                </tr>
            }
        })
        .collect();
    (!rows.is_empty()).then(|| {
        view! {
            <section class="stack">
                <h2>"Route"</h2>
                <div class="table-box">
                    <table class="table cards">
                        <thead>
                            <tr>
                                <th scope="col">"Provider"</th>
                                <th scope="col">"Endpoint"</th>
                                <th scope="col" class="number">"Status"</th>
                                <th scope="col">"Result"</th>
                                <th scope="col" class="number">"After"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </section>
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_add_up_to_the_charge() {
        let prices = Prices {
            prompt: PicoUsd::new(1_500_000),
            completion: PicoUsd::new(6_000_001),
            cache_read: Some(PicoUsd::new(150_000)),
            request: Some(PicoUsd::new(77)),
            ..Prices::default()
        };
        let usage = Usage {
            prompt: 1_000,
            completion: 321,
            reasoning: 21,
            cache_read: 400,
            ..Usage::default()
        };
        let femto: i128 = lines(&prices, &usage).iter().map(Line::femto).sum();
        assert_eq!(
            i128::from(prices.cost(&usage).total.get()),
            (femto + 999_999) / 1_000_000
        );
    }
}
