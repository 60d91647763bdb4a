//! Redeeming a code for promotional credits.

use crate::attempts::Action;
use crate::fail::Fail;
use crate::site::{answer, client_ip, parts, site};
use domain::api_key::secret_hash;
use domain::id::TransferId;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::grants::Redeemed;

const CODE_CHARS_MAX: usize = 64;

#[server(endpoint = "redeem")]
pub async fn redeem_code(code: String) -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        // A code can be guessed only as often as a password.
        if !site.allow(Action::SignIn, client_ip(&parts()?)) {
            return Err(Fail::TooManyAttempts);
        }
        let mut tx = site.store.begin().await?;
        let mut ids = || TransferId::new(site.bytes());
        let hash = secret_hash(&normal(&code));
        match store::grants::redeem(&mut tx, &hash, &user.account, &mut ids, (site.now)()).await? {
            Redeemed::Ok(_) => tx.commit().await?,
            Redeemed::Unknown => return Err(Fail::CodeUnknown),
            Redeemed::Expired => return Err(Fail::CodeExpired),
            Redeemed::UsedUp => return Err(Fail::CodeUsedUp),
            Redeemed::Already => return Err(Fail::CodeRedeemed),
        }
        leptos_axum::redirect("/account/credits?done=redeemed");
        Ok(())
    })
    .await
}

/// A code as it is hashed, however it was typed.
pub(in crate::pages) fn normal(code: &str) -> String {
    let written = code.chars().filter(char::is_ascii_alphanumeric);
    written.take(CODE_CHARS_MAX).collect::<String>().to_ascii_uppercase()
}

pub(super) fn view() -> impl IntoView {
    view! {
        <section class="card tight stack-s" id="redeem">
            <h2>"Redeem a code"</h2>
            <form class="row grow" method="post" action=RedeemCode::url()>
                <label class="out-of-sight" for="code">"Code"</label>
                <input
                    class="input"
                    id="code"
                    name="code"
                    placeholder="ABCDE-FGHJK-…"
                    autocomplete="off"
                    maxlength=CODE_CHARS_MAX.to_string()
                    required=true
                    data-testid="redeem-code"
                />
                <button class="button quiet" data-testid="redeem-submit">"Redeem"</button>
            </form>
        </section>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed() {
        assert_eq!(normal(" abcd-efgh 12\u{2013}34"), "ABCDEFGH1234");
    }
}
