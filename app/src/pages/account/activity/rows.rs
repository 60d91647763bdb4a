//! The table of generations.

use super::{ActivityPage, ActivityQuery, ActivityRow};
use crate::components::badge::{Badge, Tone};
use crate::components::pager::Pager;
use crate::components::time::At;
use crate::format;
use leptos::prelude::*;

#[cfg(feature = "ssr")]
pub fn row(generation: domain::generation::Generation, keys: &[store::keys::Key]) -> ActivityRow {
    let key_name = keys
        .iter()
        .find(|key| key.hash == generation.key)
        .map(|key| key.name.clone());
    let finish = generation
        .finish_reason
        .unwrap_or_else(|| generation.outcome.name().to_owned());
    ActivityRow {
        id: generation.id.as_str().to_owned(),
        created: generation.created,
        model: generation.model,
        provider: generation.provider,
        key_name,
        app: generation.app_name,
        prompt: generation.usage.prompt,
        completion: generation.usage.completion,
        cost: generation.cost,
        duration_us: generation.duration_us,
        first_token_us: generation.first_token_us,
        finish,
        is_charged: generation.outcome.is_charged(),
    }
}

#[component]
pub fn Rows(page: ActivityPage) -> impl IntoView {
    if page.rows.is_empty() {
        return view! { <Empty is_filtered=page.query != ActivityQuery::default()/> }.into_any();
    }
    let older = page.older.map(|before| {
        ActivityQuery {
            before,
            ..page.query.clone()
        }
        .href()
    });
    let newest = (page.query.before > 0).then(|| {
        ActivityQuery {
            before: 0,
            ..page.query.clone()
        }
        .href()
    });
    let shown = format::count(page.rows.len(), "generation");
    let rows: Vec<_> = page.rows.into_iter().map(|row| view! { <Line row/> }).collect();
    view! {
        <section class="stack">
            <h2>"Generations"</h2>
            <div class="table-box">
                <table class="table cards two">
                    <thead>
                        <tr>
                            <th scope="col">"Time (UTC)"</th>
                            <th scope="col">"Model"</th>
                            <th scope="col">"Provider"</th>
                            <th scope="col">"Key or app"</th>
                            <th scope="col" class="number">"Tokens in"</th>
                            <th scope="col" class="number">"out"</th>
                            <th scope="col" class="number">"Cost"</th>
                            <th scope="col" class="number">"Speed"</th>
                            <th scope="col">"Finish"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
            <Pager shown previous=newest next=older previous_label="Newest" next_label="Older"/>
        </section>
    }
    .into_any()
}

#[component]
fn Line(row: ActivityRow) -> impl IntoView {
    let after_first = row.duration_us.saturating_sub(row.first_token_us.unwrap_or_default());
    let speed = format::speed(row.completion, after_first).unwrap_or_else(|| "–".to_owned());
    let who = row.app.or(row.key_name).unwrap_or_else(|| "playground".to_owned());
    let tone = match row.finish.as_str() {
        "stop" | "tool_calls" => Tone::Plain,
        "error" | "failed" | "empty" => Tone::Bad,
        _ => Tone::Warn,
    };
    view! {
        <tr data-testid="activity-row" data-id=row.id.clone()>
            <th scope="row">
                <a href=format!("/account/activity/{}", row.id)><At time=row.created/></a>
            </th>
            <td data-label="Model" class="break">
                <a href=format!("/{}", row.model)>{row.model.to_string()}</a>
            </td>
            <td data-label="Provider" class="full">{row.provider}</td>
            <td data-label="Key or app" class="break">{who}</td>
            <td class="number" data-label="Tokens in">{format::grouped(row.prompt)}</td>
            <td class="number" data-label="Tokens out" data-testid="activity-completion">{format::grouped(row.completion)}</td>
            <td class="number" data-label="Cost" data-testid="activity-cost">{row.cost.to_dollars()}</td>
            <td class="number" data-label="Speed">{speed}</td>
            <td data-label="Finish" class="full">
                <span class="badges">
                    <Badge text=row.finish tone/>
                    {(!row.is_charged).then(|| view! { <Badge text="not charged" tone=Tone::Good/> })}
                </span>
            </td>
        </tr>
    }
}

#[component]
fn Empty(is_filtered: bool) -> impl IntoView {
    if is_filtered {
        return view! {
            <div class="empty">
                <h2>"Nothing fits this filter"</h2>
                <a class="button quiet" href="/account/activity">"Show all activity"</a>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="empty">
            <h2>"No requests yet"</h2>
            <p class="soft">"They appear here the moment they finish, with tokens, cost and speed."</p>
            <div class="row">
                <a class="button" href="/chat">"Chat with a model"</a>
                <a class="button quiet" href="/docs">"Make the first call"</a>
            </div>
        </div>
    }
    .into_any()
}
