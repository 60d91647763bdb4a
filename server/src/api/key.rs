//! `GET /key`: what the calling key is and may still spend.

use super::openapi::failure::Failure;
use super::{Data, Usd, settled};
use crate::auth::Caller;
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use axum::Json;
use axum::extract::State;
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::period::Period;
use domain::time::Micros;
use serde::Serialize;
use std::sync::Arc;
use store::budgets::{self, Budget};
use store::keys::{Key, KeyUsage};
use store::ledger::Credits;
use store::{StoreError, Tx};
use utoipa::ToSchema;

/// All amounts in dollars. The fields about own provider keys are always zero: there are none here.
#[derive(Serialize, ToSchema)]
pub struct KeyInfo {
    label: String,
    name: String,
    limit: Option<Usd>,
    limit_remaining: Option<Usd>,
    #[schema(value_type = Option<String>)]
    limit_reset: Option<Period>,
    /// What the key can really spend: the least of its limit, its account's budget and its account's balance. Never below
    /// zero.
    limit_effective_remaining: Usd,
    /// Of the budget that all keys of the account share; `null` where there is none.
    account_budget: Option<Usd>,
    account_budget_remaining: Option<Usd>,
    #[schema(value_type = Option<String>)]
    account_budget_reset: Option<Period>,
    /// What the account has left, running requests not deducted.
    account_balance: Usd,
    include_byok_in_limit: bool,
    usage: Usd,
    usage_daily: Usd,
    usage_weekly: Usd,
    usage_monthly: Usd,
    byok_usage: Usd,
    byok_usage_daily: Usd,
    byok_usage_weekly: Usd,
    byok_usage_monthly: Usd,
    is_free_tier: bool,
    is_management_key: bool,
    is_provisioning_key: bool,
    creator_user_id: String,
    expires_at: Option<String>,
    rate_limit: RateLimit,
}

/// Kept for clients that still read it.
#[derive(Serialize, ToSchema)]
struct RateLimit {
    requests: i64,
    interval: &'static str,
    note: &'static str,
}

const NO_RATE_LIMIT: RateLimit = RateLimit {
    requests: -1,
    interval: "10s",
    note: "This field is deprecated and safe to ignore.",
};

/// The calling key
#[utoipa::path(
    get,
    path = "/key",
    operation_id = "getCurrentKey",
    tag = "Account",
    responses(
        (status = 200, description = "What it is and may still spend.", body = Data<KeyInfo>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn get(State(state): State<Arc<DataPlane>>, caller: Caller) -> Result<Json<Data<KeyInfo>>, ApiError> {
    settled(&state).await;
    let now = clock::now();
    let mut tx = state.store.read().await?;
    let usage = store::keys::usage(&mut tx, &caller.key.hash, now).await?;
    let credits = store::ledger::credits(&mut tx, &caller.account).await?;
    let budget = match budgets::get(&mut tx, &caller.account).await? {
        Some(budget) => {
            let used = used_of(&mut tx, &caller.account, &budget, now).await?;
            Some((budget, used))
        }
        None => None,
    };
    Ok(Json(Data {
        data: info(&caller.key, &usage, &credits, budget),
    }))
}

/// The calling key, at its older address
#[utoipa::path(
    get,
    path = "/auth/key",
    operation_id = "getCurrentKeyByOldAddress",
    tag = "Account",
    responses(
        (status = 200, description = "As at `/key`.", body = Data<KeyInfo>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn get_by_old_address(state: State<Arc<DataPlane>>, caller: Caller) -> Result<Json<Data<KeyInfo>>, ApiError> {
    get(state, caller).await
}

/// What all keys of the account together have used in the budget's current period.
async fn used_of(tx: &mut Tx, account: &AccountId, budget: &Budget, now: Micros) -> Result<NanoUsd, StoreError> {
    let from = budget.reset.map_or(Micros::new(0), |reset| reset.start(now));
    let lines = store::generations::account_summary(tx, account, &from.day(), &now.day()).await?;
    Ok(lines
        .iter()
        .fold(NanoUsd::ZERO, |total, line| total.saturating_add(line.cost)))
}

fn info(key: &Key, usage: &KeyUsage, credits: &Credits, budget: Option<(Budget, NanoUsd)>) -> KeyInfo {
    let balance = credits.available.saturating_add(credits.in_escrow);
    let remaining = remaining(key, usage);
    let of_budget = budget.map(|(budget, used)| budget.limit.saturating_sub(used).max(NanoUsd::ZERO));
    let limits = [remaining, of_budget].into_iter().flatten();
    let effective = limits.fold(balance, NanoUsd::min);
    let none = Usd(NanoUsd::ZERO);
    KeyInfo {
        label: key.label.clone(),
        name: key.name.clone(),
        limit: key.limit.map(Usd),
        limit_remaining: remaining.map(Usd),
        limit_reset: key.reset,
        limit_effective_remaining: Usd(effective.max(NanoUsd::ZERO)),
        account_budget: budget.map(|(budget, _)| Usd(budget.limit)),
        account_budget_remaining: of_budget.map(Usd),
        account_budget_reset: budget.and_then(|(budget, _)| budget.reset),
        account_balance: Usd(balance),
        include_byok_in_limit: false,
        usage: Usd(usage.total),
        usage_daily: Usd(usage.daily),
        usage_weekly: Usd(usage.weekly),
        usage_monthly: Usd(usage.monthly),
        byok_usage: none,
        byok_usage_daily: none,
        byok_usage_weekly: none,
        byok_usage_monthly: none,
        is_free_tier: !credits.purchased.is_positive(),
        is_management_key: false,
        is_provisioning_key: false,
        creator_user_id: key.user.to_string(),
        expires_at: key.expires.map(domain::time::Micros::rfc3339),
        rate_limit: NO_RATE_LIMIT,
    }
}

/// The limit less what was used in the current period; never below zero.
fn remaining(key: &Key, usage: &KeyUsage) -> Option<NanoUsd> {
    let used = match key.reset {
        None => usage.total,
        Some(Period::Daily) => usage.daily,
        Some(Period::Weekly) => usage.weekly,
        Some(Period::Monthly) => usage.monthly,
    };
    key.limit.map(|limit| limit.saturating_sub(used).max(NanoUsd::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::api_key::ApiKey;
    use domain::id::UserId;

    fn key(limit: Option<i64>, reset: Option<Period>) -> Key {
        let api_key = ApiKey::new(&[1; 32]);
        Key {
            hash: api_key.hash(),
            account: AccountId::stored("acc_1"),
            user: UserId::stored("usr_1"),
            name: "n".to_owned(),
            label: api_key.label(),
            limit: limit.map(NanoUsd::new),
            reset,
            expires: None,
            disabled: false,
            deleted: false,
            internal: false,
            created: Micros::new(0),
            updated: Micros::new(0),
            last_used: None,
        }
    }

    fn budget(limit: i64, used: i64) -> (Budget, NanoUsd) {
        let budget = Budget {
            limit: NanoUsd::new(limit),
            reset: None,
        };
        (budget, NanoUsd::new(used))
    }

    fn check(limit: Option<i64>, reset: Option<Period>, balance: i64, remaining: Option<i64>, effective: i64) {
        let nano = NanoUsd::new;
        let usage = KeyUsage {
            total: nano(90),
            daily: nano(10),
            weekly: nano(20),
            monthly: nano(30),
        };
        let credits = Credits {
            available: nano(balance),
            ..Credits::default()
        };
        let told = info(&key(limit, reset), &usage, &credits, None);
        assert_eq!(told.limit_remaining, remaining.map(|nano| Usd(NanoUsd::new(nano))));
        assert_eq!(told.limit_effective_remaining, Usd(nano(effective)));
        assert_eq!(told.account_budget_remaining, None);
        let wide = info(&key(limit, reset), &usage, &credits, Some(budget(1_000, 10)));
        assert_eq!(wide.limit_effective_remaining, Usd(nano(effective)));
        let tight = info(&key(limit, reset), &usage, &credits, Some(budget(12, 10)));
        assert_eq!(tight.account_budget_remaining, Some(Usd(nano(2))));
        assert_eq!(tight.limit_effective_remaining, Usd(nano(effective.min(2))));
        let over = info(&key(limit, reset), &usage, &credits, Some(budget(10, 12)));
        assert_eq!(over.limit_effective_remaining, Usd(nano(0)));
    }

    #[test]
    fn the_effective_remainder_is_the_least_of_limit_budget_and_balance() {
        check(None, None, 50, None, 50);
        check(Some(100), None, 50, Some(10), 10);
        check(Some(100), Some(Period::Daily), 50, Some(90), 50);
        check(Some(25), Some(Period::Monthly), 50, Some(0), 0);
        check(Some(100), Some(Period::Weekly), -5, Some(80), 0);
    }
}
