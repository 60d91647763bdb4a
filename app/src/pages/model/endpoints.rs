//! The table of endpoints on a model's page.

use super::{EndpointRow, Readiness};
use crate::components::badge::{Badge, Tone};
use crate::components::monogram::Monogram;
use crate::components::price::PerMillion;
use crate::format;
use domain::catalog::{CancelPolicy, DataPolicy};
use leptos::prelude::*;

#[component]
pub fn Endpoints(rows: Vec<EndpointRow>) -> impl IntoView {
    let count = format::count(rows.len(), "endpoint");
    let rows: Vec<_> = rows.into_iter().map(|row| view! { <Row row/> }).collect();
    view! {
        <section class="stack" id="endpoints">
            <div class="section-head">
                <h2>"Endpoints"</h2>
                <p class="small faint">{format!("{count}, cheapest first. Prices in dollars per million tokens.")}</p>
            </div>
            <div class="table-box" tabindex="0" role="region" aria-label="Endpoints">
                <table class="table cards two">
                    <thead>
                        <tr>
                            <th scope="col">"Provider"</th>
                            <th scope="col" class="number">"Input"</th>
                            <th scope="col" class="number">"Output"</th>
                            <th scope="col" class="number">"Cache read"</th>
                            <th scope="col" class="number">"write"</th>
                            <th scope="col" class="number">"Context"</th>
                            <th scope="col" class="number">"Max output"</th>
                            <th scope="col">"On hang-up"</th>
                            <th scope="col">"Your prompts"</th>
                            <th scope="col">"Here"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn Row(row: EndpointRow) -> impl IntoView {
    let variants = [row.quantization.clone(), row.region.clone()];
    let variants: Vec<_> = variants
        .into_iter()
        .flatten()
        .map(|text| view! { <Badge text/> })
        .collect();
    let tiers: Vec<_> = row
        .prices
        .tiers
        .iter()
        .map(|tier| {
            let at = row.prices.at(tier.min_prompt_tokens.saturating_add(1));
            let over = format::context(tier.min_prompt_tokens);
            let text = format!(
                "over {over}: {} / {}",
                at.prompt.per_million(),
                at.completion.per_million()
            );
            view! { <p class="tiny faint nowrap">{text}</p> }
        })
        .collect();
    let sources = (!row.sources.is_empty()).then(|| format!("Figures from {}", row.sources.join(", ")));
    view! {
        <tr data-testid="endpoint-row">
            <th scope="row">
                <span class="named" title=sources>
                    <Monogram name=row.provider_name.clone()/>
                    <span>
                        <span class="row tight">{row.provider_name.clone()} {variants}</span> <code class="tiny faint break">{row.tag.clone()}</code>
                    </span>
                </span>
            </th>
            <td class="number" data-label="Input">
                <PerMillion price=Some(row.prices.prompt)/>
                {tiers}
            </td>
            <td class="number" data-label="Output">
                <PerMillion price=Some(row.prices.completion)/>
            </td>
            <td class="number" data-label="Cache read">
                <PerMillion price=row.prices.cache_read/>
            </td>
            <td class="number" data-label="Cache write">
                <PerMillion price=row.prices.cache_write/>
            </td>
            <td class="number" data-label="Context">
                {format::context(row.context)}
            </td>
            <td class="number" data-label="Max output">
                {row.max_output.map_or_else(|| "–".to_owned(), format::context)}
            </td>
            <td data-label="On hang-up" class="full">
                <Cancel policy=row.cancel/>
            </td>
            <td data-label="Your prompts" class="full">
                <Data policy=row.data_policy.clone() terms=row.privacy_policy_url.or(row.terms_of_service_url)/>
            </td>
            <td data-label="Here" class="full">
                <Here readiness=row.readiness/>
            </td>
        </tr>
    }
}

#[component]
fn Cancel(policy: CancelPolicy) -> impl IntoView {
    match policy {
        CancelPolicy::Stops => view! { <Badge text="stops billing" tone=Tone::Good/> },
        CancelPolicy::BillsToEnd => view! { <Badge text="bills to the end" tone=Tone::Warn/> },
        CancelPolicy::Unknown => {
            view! { <Badge text="unknown" title="Until it is measured, the provider is taken to bill to the end"/> }
        }
    }
}

#[component]
fn Data(policy: DataPolicy, terms: Option<String>) -> impl IntoView {
    let trains = match policy.trains {
        Some(true) => ("trains on them", Tone::Bad),
        Some(false) => ("no training", Tone::Good),
        None => ("unknown", Tone::Plain),
    };
    let kept = match (policy.logs_prompts, policy.retention) {
        (Some(true), Some(retention)) => Some((format!("kept {retention}"), Tone::Warn)),
        (Some(true), None) => Some(("logged".to_owned(), Tone::Warn)),
        (Some(false), _) => Some(("not logged".to_owned(), Tone::Good)),
        (None, Some(retention)) => Some((format!("kept {retention}"), Tone::Plain)),
        (None, None) => None,
    };
    let terms = terms.filter(|url| url.starts_with("https://"));
    view! {
        <span class="badges">
            <Badge text=trains.0 tone=trains.1/>
            {kept.map(|(text, tone)| view! { <Badge text tone/> })}
            {terms.map(|url| view! { <a class="tiny" href=url rel="external noopener nofollow">"policy"</a> })}
        </span>
    }
}

#[component]
fn Here(readiness: Readiness) -> impl IntoView {
    match readiness {
        Readiness::Ready => view! { <Badge text="ready" tone=Tone::Good/> }.into_any(),
        Readiness::NeedsKey(setting) => {
            let title = format!("The operator of this server makes it callable by setting {setting}");
            view! {
                <span class="tiny faint" title=title>
                    "set " <code class="break">{setting}</code>
                </span>
            }
            .into_any()
        }
        Readiness::NotRunning => view! { <Badge text="not running" title="The server started without it"/> }.into_any(),
        Readiness::NotSpoken => {
            view! { <Badge text="listed only" title="Its protocol is not spoken here yet"/> }.into_any()
        }
    }
}
