//! The credits there are, in the order in which they are spent.

use crate::components::badge::{Badge, Tone};
use crate::components::table::{Listing, Row, cells, number, words};
use crate::components::time::At;
use domain::lot::{Lot, LotKind};
use leptos::prelude::*;

pub(super) fn view(lots: &[Lot]) -> impl IntoView + use<> {
    let rows: Vec<_> = lots.iter().enumerate().map(|(at, lot)| row(at, lot)).collect();
    (!rows.is_empty()).then(|| {
        view! {
            <Listing
                title="Credits left"
                note="Spent from top to bottom: promotional credits first, those that end soonest before the others, then what was bought first."
                columns=[words("Came (UTC)"), words("As"), number("Of"), number("Left"), words("Ends (UTC)")]
                rows
                empty=""
            />
        }
    })
}

fn row(at: usize, lot: &Lot) -> Row {
    let (text, tone) = match lot.kind {
        LotKind::Promotional => ("promotional", Tone::Accent),
        LotKind::Paid => ("bought", Tone::Plain),
    };
    let is_next = (at == 0).then(|| view! { <Badge text="spent next" tone=Tone::Good/> });
    let ends = match lot.expires {
        Some(time) => view! { <At time/> }.into_any(),
        None => "never".into_any(),
    };
    Row {
        testid: "lot-row",
        id: lot.id.as_str().to_owned(),
        cells: cells![
            view! { <At time=lot.created/> },
            view! { <span class="badges"><Badge text tone/> {is_next}</span> },
            lot.amount.to_dollars(),
            lot.remaining.to_dollars(),
            ends,
        ],
    }
}
