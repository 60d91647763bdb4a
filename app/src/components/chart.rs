//! Charts as SVG that the server draws; each stands beside a table with the same figures.

use leptos::prelude::*;

/// How many series have a colour of their own; the others share one.
pub const SERIES_MAX: usize = 6;

/// The class that colours the series at `at`.
#[must_use]
pub fn series(at: usize) -> String {
    if at < SERIES_MAX {
        format!("series-{at}")
    } else {
        "series-rest".to_owned()
    }
}

/// One horizontal bar: `part` of `whole`.
#[component]
pub fn Bar(part: u64, whole: u64) -> impl IntoView {
    let width = per_mille(part, whole).max(u64::from(part > 0) * 4);
    view! {
        <svg class="bar" viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true">
            <rect class="track" width="1000" height="8"></rect>
            <rect width=width.to_string() height="8"></rect>
        </svg>
    }
}

/// One bar cut into shares, in the colours of [`series`].
#[component]
pub fn ShareBar(parts: Vec<u64>) -> impl IntoView {
    let whole: u64 = parts.iter().sum();
    let mut from = 0;
    let pieces: Vec<_> = parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| {
            let x = per_mille(from, whole);
            from += part;
            let width = per_mille(from, whole) - x;
            view! { <rect class=series(at) x=x.to_string() width=width.to_string() height="20"></rect> }
        })
        .collect();
    view! {
        <svg class="share" viewBox="0 0 1000 20" preserveAspectRatio="none" aria-hidden="true">
            {pieces}
        </svg>
    }
}

/// One column of a [`StackedColumns`] chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub label: String,
    /// One figure per series, bottom first.
    pub parts: Vec<u64>,
}

/// Units of the drawing, which is stretched to the space it gets.
const STEP: u64 = 12;
const GAP: u64 = 2;
const HEIGHT: u64 = 1_000;

/// Columns over time, each stacked from the same series. Words stand outside the drawing, so that they keep their size.
#[component]
pub fn StackedColumns(
    columns: Vec<Column>,
    /// Describes the chart to those who cannot see it.
    #[prop(into)]
    label: String,
    /// Writes the figure of the axis.
    unit: fn(u64) -> String,
) -> impl IntoView {
    let sums = columns.iter().map(|column| column.parts.iter().sum());
    let highest = sums.max().unwrap_or(0).max(1);
    let width = u64::try_from(columns.len()).unwrap_or(1).max(1) * STEP;
    let labels = day_labels(&columns);
    let bars: Vec<_> = (0..)
        .step_by(usize::try_from(STEP).unwrap_or(1))
        .zip(columns)
        .map(|(x, column)| view! { <Bars x column highest unit/> })
        .collect();
    let line = |y: u64| {
        view! { <line class="axis" x1="0" x2=width.to_string() y1=y.to_string() y2=y.to_string()></line> }
    };
    let lines = [line(0), line(HEIGHT / 2), line(HEIGHT)];
    view! {
        <figure class="chart" role="img" aria-label=label>
            <p class="chart-word">{unit(highest)}</p>
            <svg viewBox=format!("0 0 {width} {HEIGHT}") preserveAspectRatio="none">
                {lines} {bars}
            </svg>
            <p class="chart-word chart-days">{labels}</p>
        </figure>
    }
}

#[component]
fn Bars(x: u64, column: Column, highest: u64, unit: fn(u64) -> String) -> impl IntoView {
    let total: u64 = column.parts.iter().sum();
    let scale = |tokens: u64| u64::try_from(u128::from(tokens) * u128::from(HEIGHT) / u128::from(highest)).unwrap_or(0);
    let mut below = 0;
    let pieces: Vec<_> = column
        .parts
        .into_iter()
        .enumerate()
        .map(|(at, part)| {
            let bottom = scale(below);
            below += part;
            let top = scale(below);
            let (y, height) = (HEIGHT - top, top - bottom);
            view! {
                <rect
                    class=series(at)
                    x=(x + GAP / 2).to_string()
                    y=y.to_string()
                    width=(STEP - GAP).to_string()
                    height=height.to_string()
                ></rect>
            }
        })
        .collect();
    view! {
        <g>
            <title>{format!("{}: {}", column.label, unit(total))}</title>
            {pieces}
        </g>
    }
}

/// The first, the middle and the last day.
fn day_labels(columns: &[Column]) -> Vec<AnyView> {
    let mut at = vec![0, columns.len() / 2, columns.len().saturating_sub(1)];
    at.dedup();
    let label = |at: usize| columns.get(at).map(|column| short_day(&column.label));
    at.into_iter()
        .filter_map(label)
        .map(|label| view! { <span>{label}</span> }.into_any())
        .collect()
}

fn per_mille(part: u64, whole: u64) -> u64 {
    let share = u128::from(part) * 1_000 / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(1_000).min(1_000)
}

/// `2026-11-23` → `11-23`.
fn short_day(label: &str) -> String {
    label.get(5..).filter(|_| label.len() == 10).unwrap_or(label).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_within_the_whole() {
        assert_eq!(
            [per_mille(1, 3), per_mille(5, 0), per_mille(u64::MAX, u64::MAX)],
            [333, 1_000, 1_000]
        );
        assert_eq!([short_day("2026-11-23"), short_day("week 3")], ["11-23", "week 3"]);
    }
}
