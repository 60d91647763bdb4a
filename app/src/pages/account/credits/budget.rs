//! The spending limit of the whole account.

use crate::fail::Fail;
use crate::pages::account::keys::{ResetChoice, parse_limit, parse_reset};
use crate::site::{answer, site};
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::time::Micros;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::Tx;
use store::budgets::{self, Budget};

pub(super) struct Section {
    budget: Option<Budget>,
    /// In the window that the limit counts.
    used: NanoUsd,
}

/// An empty limit lifts it.
#[server(endpoint = "set_budget")]
pub async fn set_budget(#[server(default)] limit: String, #[server(default)] reset: String) -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        let reset = parse_reset(&reset)?;
        let budget = parse_limit(&limit)?.map(|limit| Budget { limit, reset });
        let mut tx = site.store.begin().await?;
        budgets::set(&mut tx, &user.account, budget.as_ref()).await?;
        let keys = store::keys::list(&mut tx, &user.account).await?;
        tx.commit().await?;
        for key in &keys {
            (site.key_changed)(&key.hash);
        }
        leptos_axum::redirect("/account/credits?done=budget");
        Ok(())
    })
    .await
}

impl Section {
    pub(super) async fn load(tx: &mut Tx, account: &AccountId, now: Micros) -> Result<Self, Fail> {
        let budget = budgets::get(tx, account).await?;
        let used = match &budget {
            Some(budget) => used(tx, account, budget, now).await?,
            None => NanoUsd::ZERO,
        };
        Ok(Self { budget, used })
    }

    pub(super) fn view(self) -> impl IntoView {
        let limit = self.budget.as_ref().map(|budget| budget.limit);
        let reset = self.budget.as_ref().and_then(|budget| budget.reset);
        let used = self.used;
        let standing = match limit {
            None => "No limit: all keys together may spend the whole balance.".to_owned(),
            Some(limit) => {
                let window = reset.map(|reset| format!(", {}", reset.name())).unwrap_or_default();
                format!("{used} of {limit} spent{window}.")
            }
        };
        view! {
            <section class="card tight stack-s" id="budget">
                <h2>"Spending limit"</h2>
                <p class="small soft" data-testid="budget-standing">{standing}</p>
                <form class="fields" method="post" action=SetBudget::url()>
                    <div class="fields across">
                        <div class="field">
                            <label for="budget-limit">"All keys together, at most"</label>
                            <div class="money-input">
                                <input
                                    class="input"
                                    id="budget-limit"
                                    name="limit"
                                    inputmode="decimal"
                                    autocomplete="off"
                                    placeholder="none"
                                    value=limit.map(NanoUsd::to_decimal)
                                    data-testid="budget-limit"
                                />
                            </div>
                        </div>
                        <ResetChoice id="budget-reset" chosen=reset/>
                    </div>
                    <div><button class="button quiet" data-testid="budget-save">"Save the limit"</button></div>
                </form>
            </section>
        }
    }
}

/// What was charged in the window that the limit counts.
async fn used(tx: &mut Tx, account: &AccountId, budget: &Budget, now: Micros) -> Result<NanoUsd, Fail> {
    let Some(period) = budget.reset else {
        return Ok(store::ledger::credits(tx, account).await?.used);
    };
    let (from, to) = (period.start(now).day(), now.day());
    let days = store::generations::account_summary(tx, account, &from, &to).await?;
    Ok(days.iter().map(|line| line.cost).sum())
}
