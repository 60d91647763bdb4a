//! What a request must be granted before it may leave: a seat, room for its outcome, a free request or money.

use super::admission::Admission;
use super::refusal;
use super::told::Told;
use crate::allowance::{Hold, Refused};
use crate::auth::Caller;
use crate::clock;
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use crate::free_tier::{FreeRefused, Left};
use crate::seats::Seat;
use crate::settlement::Place;
use gateway::request::ChatRequest;
use gateway::route::{Candidate, Route};

/// All that a request holds while it runs.
pub struct Admitted {
    pub hold: Hold,
    pub seat: Seat,
    pub place: Place,
    pub told: Told,
}

/// Admits a request to its route, or says why not. What was taken before a refusal goes back by itself.
pub async fn admit(
    state: &DataPlane,
    caller: &Caller,
    request: &ChatRequest,
    route: &mut Route,
) -> Result<Admitted, ApiError> {
    let seat = state.seats.take(&caller.key.hash);
    let seat = seat.ok_or_else(|| refusal::all_seats_taken(state))?;
    let place = state.settlements.reserve().await?;
    if state.beats.is_fenced() {
        return Err(refusal::out_of_touch());
    }
    let free = take_free(state, caller, route).await?;
    let hold = hold(state, caller, request, &Admission::of(request, route)).await?;
    let told = Told {
        known: state.allowances.known(&caller.key),
        seats_left: seat.left,
        free,
    };
    Ok(Admitted {
        hold,
        seat,
        place,
        told,
    })
}

/// Counts a request that can go to a free endpoint. Where the account's free requests are used up, the route goes on
/// without free endpoints, if others are on it.
async fn take_free(state: &DataPlane, caller: &Caller, route: &mut Route) -> Result<Option<Left>, ApiError> {
    let is_free = |candidate: &Candidate| candidate.endpoint.prices.is_free();
    if !route.attempts.iter().any(is_free) {
        return Ok(None);
    }
    let known = state.allowances.known(&caller.key).credits;
    let taken = match known.filter(|credits| credits.is_negative()) {
        Some(balance) => Err(FreeRefused::Owing { balance }),
        None => state.free_tier.take(&caller.account, clock::now()).await,
    };
    match taken {
        Ok(left) => Ok(Some(left)),
        Err(_) if !route.attempts.iter().all(is_free) => {
            route.attempts.retain(|candidate| !is_free(candidate));
            Ok(None)
        }
        Err(refused) => Err(refusal::no_more_for_free(state, refused)),
    }
}

async fn hold(
    state: &DataPlane,
    caller: &Caller,
    request: &ChatRequest,
    admission: &Admission,
) -> Result<Hold, ApiError> {
    if admission.wanted.is_positive() && !state.beats.may_spend() {
        return Err(refusal::out_of_touch());
    }
    let held = state
        .allowances
        .hold(&caller.key, admission.wanted, admission.least)
        .await;
    held.map_err(|refused| match refused {
        Refused::Store(error) => error.into(),
        Refused::Credits { available } => refusal::no_credits(state, request, admission, available),
        Refused::Budget { available } => refusal::budget(state, request, admission, available),
        Refused::KeyLimit { available } => refusal::key_limit(state, caller, request, admission, available),
    })
}
