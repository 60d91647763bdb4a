//! What the house pays itself: answers that failed or came back empty, and tokens counted for want of the provider's count.

use crate::components::table::{Listing, Row, cells, number, words};
use crate::fail::Fail;
use crate::format;
use crate::site::Site;
use domain::money::NanoUsd;
use domain::time::Micros;
use leptos::prelude::*;
use store::oversight::{self, Estimates, HouseCost};

const DAYS: i64 = 30;
const ROWS_MAX: i64 = 300;

pub(super) async fn view(site: &Site) -> Result<AnyView, Fail> {
    let from = (site.now)().plus(-DAYS * Micros::DAY);
    let mut tx = site.store.read().await?;
    let costs = oversight::house_costs(&mut tx, from, ROWS_MAX).await?;
    let estimates = oversight::estimates(&mut tx, from, ROWS_MAX).await?;
    drop(tx);
    let total: NanoUsd = costs.iter().map(|line| line.cost).sum();
    let generations = costs.iter().map(|line| line.generations).sum();
    let sum = Row {
        testid: "cost-sum",
        id: String::new(),
        cells: cells!["Sum", "", format::grouped(generations), total.to_dollars()],
    };
    let costs: Vec<_> = costs.into_iter().map(cost_row).collect();
    let estimates: Vec<_> = estimates.into_iter().map(estimate_row).collect();
    let view = view! {
        <Listing
            title="Insurance"
            note="The last 30 days: what providers ask for answers that failed, came back empty, or that a lost lease no longer covered. Nobody was charged for it."
            columns=[words("Day (UTC)"), words("Provider"), number("Generations"), number("Cost")]
            rows=costs
            sum=sum
            empty="The house paid for nothing itself."
        />
        <Listing
            title="Counted by us"
            note="The last 30 days: generations for which the provider sent no count of tokens. Many of one endpoint are worth a look."
            columns=[words("Endpoint"), number("Generations"), number("Charged")]
            rows=estimates
            empty="Every provider counted its own tokens."
        />
    };
    Ok(view.into_any())
}

fn cost_row(line: HouseCost) -> Row {
    Row {
        testid: "cost-row",
        id: format!("{} {}", line.day, line.provider),
        cells: cells![
            line.day,
            line.provider,
            format::grouped(line.generations),
            line.cost.to_dollars()
        ],
    }
}

fn estimate_row(line: Estimates) -> Row {
    Row {
        testid: "estimate-row",
        id: line.endpoint.clone(),
        cells: cells![
            view! { <code class="tiny break">{line.endpoint}</code> },
            format::grouped(line.generations),
            line.charged.to_dollars(),
        ],
    }
}
