//! `/account/credits`: the balance and its parts, buying more, and what was bought.

use super::AccountFrame;
use crate::components::layout::loaded;
use crate::components::rendered::{Markup, Rendered};
use crate::fail::Fail;
use crate::wire::data;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

#[cfg(feature = "ssr")]
mod budget;
#[cfg(feature = "ssr")]
mod buy;
#[cfg(feature = "ssr")]
mod lots;
#[cfg(feature = "ssr")]
pub(in crate::pages) mod purchases;
pub mod receipt;
#[cfg(feature = "ssr")]
pub(in crate::pages) mod redeem;
#[cfg(feature = "ssr")]
pub(in crate::pages) mod refund;
#[cfg(feature = "ssr")]
mod standing;
#[cfg(feature = "ssr")]
mod top_up;

/// The page as its address asks for it: `purchase` is the one that the buyer comes back from, `left` says that they left
/// the checkout, `amount` is to be bought, `done` is what a form has just done.
#[server(endpoint = "credits")]
pub async fn load_credits(#[server(default)] query: String) -> Result<Markup, Fail> {
    use crate::query::Query;
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        render(&*site()?, &user, &Query::parse(&query)).await
    })
    .await
}

#[component]
pub fn CreditsPageView() -> impl IntoView {
    let search = use_location().search;
    let page = data(move || search.get(), load_credits);
    view! {
        <AccountFrame title="Credits" lead="Credits pay for tokens at the providers' own prices. What you buy does not expire.">
            {loaded(page, |markup| view! { <Rendered markup/> })}
        </AccountFrame>
    }
}

#[cfg(feature = "ssr")]
async fn render(
    site: &crate::site::Site,
    user: &store::users::User,
    query: &crate::query::Query,
) -> Result<Markup, Fail> {
    use crate::components::fault::Notices;
    buy::check_payment(site, user, query).await;
    (site.settled)().await;
    let account = &user.account;
    let mut tx = site.store.read().await?;
    let purchases = purchases::Purchases::load(&mut tx, account).await?;
    let standing = standing::Standing::load(&mut tx, account, &purchases).await?;
    let lots = store::lots::open(&mut tx, account).await?;
    let top_up = top_up::Section::load(&mut tx, account, &purchases).await?;
    let budget = budget::Section::load(&mut tx, account, (site.now)()).await?;
    drop(tx);
    let outcome = purchases.outcome(query);
    Ok(Markup::of(view! {
        <Notices fail=query.fail() done=done(query.get("done"))/>
        {outcome}
        {standing.view(&lots)}
        {buy::view(site, query)}
        <div class="cards-grid wide">
            {top_up.view(site)}
            <div class="stack">{budget.view()} {redeem::view()}</div>
        </div>
        {lots::view(&lots)}
        {purchases.view()}
    }))
}

/// What a form has done, by the word in the address.
#[cfg(feature = "ssr")]
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "top-up" => "The automatic top-up is saved.",
        "forgotten" => "The card is forgotten, and nothing is bought automatically any more.",
        "budget" => "The spending limit is saved.",
        "redeemed" => "The code is redeemed: its credits are in your balance.",
        "refunded" => "The refund is on its way: its credits are out of your balance.",
        _ => return None,
    })
}
