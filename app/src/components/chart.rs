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

const WIDTH: u64 = 720;
const HEIGHT: u64 = 200;
const LABELS_MAX: usize = 8;

/// Columns over time, each stacked from the same series.
#[component]
pub fn StackedColumns(
    columns: Vec<Column>,
    /// Describes the chart to those who cannot see it.
    #[prop(into)]
    label: String,
    /// Writes the figure of the axis.
    unit: fn(u64) -> String,
) -> impl IntoView {
    let highest = columns
        .iter()
        .map(|column| column.parts.iter().sum())
        .max()
        .unwrap_or(0)
        .max(1);
    let slots = u64::try_from(columns.len()).unwrap_or(1).max(1);
    let step = WIDTH / slots;
    let gap = (step / 6).max(1);
    let label_every = columns.len().div_ceil(LABELS_MAX).max(1);
    let bars: Vec<_> = columns
        .into_iter()
        .enumerate()
        .map(|(at, column)| {
            let x = u64::try_from(at).unwrap_or(0) * step;
            let total: u64 = column.parts.iter().sum();
            let mut below = 0;
            let pieces: Vec<_> = column
                .parts
                .iter()
                .enumerate()
                .filter(|(_, part)| **part > 0)
                .map(|(series_at, part)| {
                    let bottom = HEIGHT * below / highest;
                    below += part;
                    let top = HEIGHT * below / highest;
                    view! {
                        <rect
                            class=series(series_at)
                            x=(x + gap / 2).to_string()
                            y=(HEIGHT - top).to_string()
                            width=(step - gap).max(1).to_string()
                            height=(top - bottom).to_string()
                        ></rect>
                    }
                })
                .collect();
            let text = (at % label_every == 0).then(|| {
                view! {
                    <text x=(x + step / 2).to_string() y=(HEIGHT + 16).to_string() text-anchor="middle">
                        {short_day(&column.label)}
                    </text>
                }
            });
            view! { <g><title>{format!("{}: {}", column.label, unit(total))}</title>{pieces}{text}</g> }
        })
        .collect();
    view! {
        <svg class="chart" viewBox=format!("0 -16 {WIDTH} {}", HEIGHT + 40) role="img" aria-label=label>
            <line class="axis" x1="0" x2=WIDTH.to_string() y1="0" y2="0"></line>
            <line class="axis" x1="0" x2=WIDTH.to_string() y1=(HEIGHT / 2).to_string() y2=(HEIGHT / 2).to_string()></line>
            <line class="axis" x1="0" x2=WIDTH.to_string() y1=HEIGHT.to_string() y2=HEIGHT.to_string()></line>
            <text x="0" y="-4">{unit(highest)}</text>
            {bars}
        </svg>
    }
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
