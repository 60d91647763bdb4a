//! The tables of the rankings page.

use super::{ModelRank, Share, Span};
use crate::components::chart::{Bar, ShareBar, series};
use crate::components::monogram::Monogram;
use crate::format;
use leptos::prelude::*;

#[component]
pub fn Models(rows: Vec<ModelRank>, span: Span) -> impl IntoView {
    let highest = rows.iter().map(tokens).max().unwrap_or_default();
    let total: u64 = rows.iter().map(tokens).sum();
    let rows: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(at, row)| view! { <Line at row highest total/> })
        .collect();
    let change = match span {
        Span::Day => "Against yesterday",
        Span::Week => "Against the 7 days before",
        Span::Month => "Against the 30 days before",
    };
    view! {
        <section class="stack">
            <h2>"Models by tokens"</h2>
            <div class="table-box">
                <table class="table cards rank-table">
                    <thead>
                        <tr>
                            <th scope="col">"Model"</th>
                            <th scope="col" class="wide"><span class="out-of-sight">"Bar"</span></th>
                            <th scope="col" class="number">"Tokens"</th>
                            <th scope="col" class="number">"Share"</th>
                            <th scope="col" class="number">"Prompt"</th>
                            <th scope="col" class="number">"Answer"</th>
                            <th scope="col" class="number">"Requests"</th>
                            <th scope="col" class="number">{change}</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

fn tokens(row: &ModelRank) -> u64 {
    row.prompt.saturating_add(row.completion)
}

#[component]
fn Line(at: usize, row: ModelRank, highest: u64, total: u64) -> impl IntoView {
    let all = tokens(&row);
    let author = row.slug.split('/').next().unwrap_or_default().to_owned();
    let name = if row.name.is_empty() {
        row.slug.clone()
    } else {
        row.name.clone()
    };
    view! {
        <tr data-testid="rank-row" data-slug=row.slug.clone()>
            <th scope="row">
                <span class="named">
                    <span class="rank-place">{at + 1}</span>
                    <Monogram name=author/>
                    <span class="break">
                        <a href=format!("/{}", row.slug)>{name}</a>
                        <br/>
                        <code class="tiny faint">{row.slug.clone()}</code>
                    </span>
                </span>
            </th>
            <td class="wide"><Bar part=all whole=highest/></td>
            <td class="number" data-label="Tokens" data-testid="rank-tokens">{format::grouped(all)}</td>
            <td class="number" data-label="Share">{format::percent(all, total)}</td>
            <td class="number" data-label="Prompt">{format::short(row.prompt)}</td>
            <td class="number" data-label="Answer">{format::short(row.completion)}</td>
            <td class="number" data-label="Requests">{format::grouped(row.requests)}</td>
            <td class="number" data-label="Change">{change(all, row.before)}</td>
        </tr>
    }
}

/// `+12.5%`, or `new` where nothing was before.
fn change(now: u64, before: u64) -> String {
    if before == 0 {
        return "new".to_owned();
    }
    if now >= before {
        format!("+{}", format::percent(now - before, before))
    } else {
        format!("−{}", format::percent(before - now, before))
    }
}

#[component]
pub fn Shares(title: &'static str, rows: Vec<Share>) -> impl IntoView {
    let total: u64 = rows.iter().map(|row| row.tokens).sum();
    let parts: Vec<u64> = rows.iter().map(|row| row.tokens).collect();
    let is_empty = rows.is_empty();
    let lines: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(at, row)| {
            let name = row.name.clone();
            view! {
                <tr>
                    <th scope="row">
                        <span class="named">
                            <span class=format!("swatch {}", series(at)) aria-hidden="true"></span>
                            {match row.href {
                                Some(href) if href.starts_with('/') => view! { <a href=href>{name}</a> }.into_any(),
                                Some(href) => view! { <a href=href rel="external noopener nofollow">{name}</a> }.into_any(),
                                None => name.into_any(),
                            }}
                        </span>
                    </th>
                    <td class="number">{format::short(row.tokens)}</td>
                    <td class="number">{format::percent(row.tokens, total)}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <h2>{title}</h2>
            {if is_empty {
                view! { <p class="small soft">"No request named its app in this span."</p> }.into_any()
            } else {
                view! {
                    <ShareBar parts/>
                    <div class="table-box">
                        <table class="table">
                            <thead>
                                <tr>
                                    <th scope="col">"Name"</th>
                                    <th scope="col" class="number">"Tokens"</th>
                                    <th scope="col" class="number">"Share"</th>
                                </tr>
                            </thead>
                            <tbody>{lines}</tbody>
                        </table>
                    </div>
                }
                    .into_any()
            }}
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::change;

    #[test]
    fn a_change_is_told_against_what_was() {
        assert_eq!(
            [change(150, 100), change(50, 100), change(7, 0)],
            ["+50.0%", "−50.0%", "new"]
        );
    }
}
