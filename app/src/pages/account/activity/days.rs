//! What each of the last days cost: a chart, and the table behind it.

use super::Day;
use crate::components::chart::{Column, SERIES_MAX, StackedColumns, series};
use crate::format;
use domain::money::NanoUsd;
use domain::slug::ModelSlug;
use leptos::prelude::*;

/// The models by cost, dearest first, and one entry for each of `count` days from `from`.
#[cfg(feature = "ssr")]
pub fn of(lines: &[store::generations::DayLine], from: domain::time::Micros, count: i64) -> (Vec<ModelSlug>, Vec<Day>) {
    use domain::time::Micros;
    use std::collections::BTreeMap;
    let mut totals: BTreeMap<&ModelSlug, NanoUsd> = BTreeMap::new();
    for line in lines {
        let total = totals.entry(&line.model).or_default();
        *total = total.saturating_add(line.cost);
    }
    let mut models: Vec<(&ModelSlug, NanoUsd)> = totals.into_iter().collect();
    models.sort_by_key(|(slug, cost)| (std::cmp::Reverse(*cost), *slug));
    let models: Vec<ModelSlug> = models.into_iter().map(|(slug, _)| slug.clone()).collect();
    let day = |at: i64| {
        let day = from.plus(at * Micros::DAY).day();
        let of_day = || lines.iter().filter(|line| line.day == day);
        let cost_of = |model: &ModelSlug| of_day().filter(|line| line.model == *model).map(|line| line.cost).sum();
        Day {
            requests: of_day().map(|line| line.requests).sum(),
            tokens: of_day().map(|line| line.prompt + line.completion).sum(),
            cost: of_day().map(|line| line.cost).sum(),
            costs: models.iter().map(cost_of).collect(),
            day: day.clone(),
        }
    };
    let days = (0..count).map(day).collect();
    (models, days)
}

#[component]
pub fn Days(days: Vec<Day>, models: Vec<ModelSlug>) -> impl IntoView {
    let total: NanoUsd = days.iter().map(|day| day.cost).sum();
    if days.iter().all(|day| day.requests == 0) {
        return ().into_any();
    }
    let columns: Vec<Column> = days
        .iter()
        .map(|day| Column {
            label: day.day.clone(),
            parts: parts(&day.costs),
        })
        .collect();
    let has_others = models.len() > SERIES_MAX;
    let legend: Vec<_> = models
        .into_iter()
        .take(SERIES_MAX)
        .enumerate()
        .map(|(at, slug)| (series(at), slug.to_string()))
        .chain(has_others.then(|| (series(SERIES_MAX), "others".to_owned())))
        .map(|(class, name)| {
            view! {
                <li>
                    <span class=format!("swatch {class}") aria-hidden="true"></span>
                    {name}
                </li>
            }
        })
        .collect();
    let rows: Vec<_> = days
        .into_iter()
        .rev()
        .filter(|day| day.requests > 0)
        .map(|day| {
            view! {
                <tr data-testid="day-row">
                    <th scope="row">{day.day}</th>
                    <td class="number">{format::grouped(day.requests)}</td>
                    <td class="number">{format::grouped(day.tokens)}</td>
                    <td class="number">{day.cost.to_dollars()}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <div class="section-head">
                <h2>"Spend per day"</h2>
                <p class="small faint">{format!("{total} in 30 days, UTC")}</p>
            </div>
            <StackedColumns columns label="Spend per day over the last 30 days, by model" unit=dollars/>
            <ul class="legend-list">{legend}</ul>
            <details class="disclosure">
                <summary>"As a table"</summary>
                <div class="table-box">
                    <table class="table">
                        <thead>
                            <tr>
                                <th scope="col">"Day (UTC)"</th>
                                <th scope="col" class="number">"Requests"</th>
                                <th scope="col" class="number">"Tokens"</th>
                                <th scope="col" class="number">"Cost"</th>
                            </tr>
                        </thead>
                        <tbody>{rows}</tbody>
                    </table>
                </div>
            </details>
        </section>
    }
    .into_any()
}

/// The dearest models alone, the others together.
fn parts(costs: &[NanoUsd]) -> Vec<u64> {
    let nano = |cost: &NanoUsd| u64::try_from(cost.get()).unwrap_or_default();
    let rest: u64 = costs.iter().skip(SERIES_MAX).map(nano).sum();
    costs
        .iter()
        .take(SERIES_MAX)
        .map(nano)
        .chain((rest > 0).then_some(rest))
        .collect()
}

fn dollars(nano: u64) -> String {
    NanoUsd::new(i64::try_from(nano).unwrap_or(i64::MAX)).to_dollars()
}

#[cfg(test)]
#[cfg(feature = "ssr")]
mod tests {
    use super::*;
    use domain::time::Micros;
    use store::generations::DayLine;

    fn line(day: &str, model: &str, cost: i64) -> DayLine {
        DayLine {
            day: day.to_owned(),
            model: ModelSlug::parse(model).unwrap(),
            requests: 1,
            prompt: 2,
            completion: 3,
            cost: NanoUsd::new(cost),
        }
    }

    #[test]
    fn days_without_use_are_there_and_the_dearest_model_comes_first() {
        let lines = [
            line("2026-11-21", "a/a", 1),
            line("2026-11-23", "b/b", 5),
            line("2026-11-23", "a/a", 2),
        ];
        let from = Micros::from_datetime("2026-11-21T10:00:00Z".parse().unwrap());
        let (models, days) = of(&lines, from, 3);
        assert_eq!(models.iter().map(ModelSlug::as_str).collect::<Vec<_>>(), ["b/b", "a/a"]);
        let costs: Vec<i64> = days.iter().map(|day| day.cost.get()).collect();
        assert_eq!(costs, [1, 0, 7]);
        assert_eq!(days[2].costs, [NanoUsd::new(5), NanoUsd::new(2)]);
        assert_eq!((days[2].requests, days[2].tokens), (2, 10));
    }
}
