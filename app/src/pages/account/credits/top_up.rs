//! Automatic top-ups: credits bought with a kept card whenever the balance falls below a threshold.

use super::purchases::Purchases;
use crate::components::badge::{Badge, Tone};
use crate::components::time::At;
use crate::fail::Fail;
use crate::site::{Site, answer, site};
use domain::id::AccountId;
use domain::money::NanoUsd;
use domain::purchase::{Purchase, parse_amount};
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::Tx;
use store::topups::{self, PaymentMethod, Setting};

pub(super) struct Section {
    setting: Option<Setting>,
    last_failure: Option<Purchase>,
}

#[server(endpoint = "set_top_up")]
pub async fn set_top_up(
    #[server(default)] enabled: String,
    threshold: String,
    amount: String,
    daily_cap: String,
) -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        let mut tx = site.store.begin().await?;
        let kept = topups::get(&mut tx, &user.account).await?;
        let method = kept.and_then(|setting| setting.method);
        if method.is_none() {
            return Err(Fail::TopUpNoCard);
        }
        let setting = Setting {
            account: user.account,
            enabled: !enabled.is_empty(),
            threshold: parse_positive(&threshold)?,
            amount: parse_amount(amount.trim())?,
            daily_cap: parse_positive(&daily_cap)?,
            failures: 0,
            method,
            updated: (site.now)(),
        };
        if setting.daily_cap < setting.amount {
            return Err(Fail::TopUpCap);
        }
        topups::set(&mut tx, &setting).await?;
        tx.commit().await?;
        leptos_axum::redirect("/account/credits?done=top-up");
        Ok(())
    })
    .await
}

/// The processor forgets the card too; if it does not answer, we forget it all the same, and nobody can use it any more.
#[server(endpoint = "forget_card")]
pub async fn forget_card() -> Result<(), Fail> {
    answer(async {
        let (_, user) = crate::session::require().await?;
        let site = site()?;
        let mut tx = site.store.begin().await?;
        let kept = topups::get(&mut tx, &user.account).await?;
        topups::forget_method(&mut tx, &user.account, (site.now)()).await?;
        tx.commit().await?;
        if let Some(method) = kept.and_then(|setting| setting.method)
            && let Err(error) = (site.forget_method)(&method).await
        {
            tracing::warn!(error, "a forgotten card is still known to the processor");
        }
        leptos_axum::redirect("/account/credits?done=forgotten");
        Ok(())
    })
    .await
}

impl Section {
    pub(super) async fn load(tx: &mut Tx, account: &AccountId, purchases: &Purchases) -> Result<Self, Fail> {
        let setting = topups::get(tx, account).await?;
        let last_failure = purchases.last_failed_top_up().cloned();
        Ok(Self { setting, last_failure })
    }

    pub(super) fn view(self, site: &Site) -> impl IntoView + use<> {
        let can_keep = site.keeps_methods;
        let last_failure = self.last_failure;
        let card = self.setting.as_ref().and_then(|setting| setting.method.clone());
        let body = match (self.setting, card) {
            (Some(setting), Some(card)) => kept(&setting, &card, last_failure.as_ref()).into_any(),
            _ => nothing_kept(can_keep).into_any(),
        };
        view! {
            <section class="card tight stack" id="top-up">
                <h2>"Automatic top-up"</h2>
                {body}
            </section>
        }
    }
}

fn nothing_kept(can_keep: bool) -> impl IntoView {
    view! {
        <p class="soft small" data-testid="top-up-none">
            {if can_keep {
                "Credits can be bought by themselves before they run out. Keep a card for it: tick “Keep this card for automatic top-ups” when you buy."
            } else {
                "This server keeps no cards, so there is nothing to top up from."
            }}
        </p>
    }
}

fn kept(setting: &Setting, card: &PaymentMethod, last_failure: Option<&Purchase>) -> impl IntoView + use<> {
    let (text, tone) = if setting.enabled {
        ("on", Tone::Good)
    } else {
        ("off", Tone::Plain)
    };
    let name = format!("{} ending in {}", card_name(&card.brand), card.last4);
    let fields = [
        ("threshold", "Below this balance", setting.threshold),
        ("amount", "buy", setting.amount),
        ("daily_cap", "on one day at most", setting.daily_cap),
    ]
    .map(|(name, label, amount)| money_field(name, label, amount));
    view! {
        <p class="row" data-testid="top-up-card">
            <strong>{name}</strong>
            <Badge text=text tone/>
        </p>
        {failure(setting, last_failure)}
        <form class="fields" method="post" action=SetTopUp::url()>
            <label class="check">
                <input type="checkbox" name="enabled" value="1" checked=setting.enabled data-testid="top-up-enabled"/>
                "Buy credits automatically with this card"
            </label>
            <div class="fields across thirds">{fields}</div>
            <div><button class="button quiet" data-testid="top-up-save">"Save the top-up"</button></div>
        </form>
        <form method="post" action=ForgetCard::url()>
            <button class="link-button small" data-testid="top-up-forget">"Forget this card"</button>
        </form>
    }
}

fn failure(setting: &Setting, last: Option<&Purchase>) -> impl IntoView + use<> {
    let is_off = !setting.enabled;
    let last = last.map(|purchase| {
        let amount = purchase.amount.to_dollars();
        let time = purchase.updated;
        view! { <span>"The last attempt to buy " {amount} " failed at " <At time/> " (UTC). "</span> }
    });
    (setting.failures > 0).then(|| {
        view! {
            <div class="notice warn" data-testid="top-up-failure">
                <p class="small">
                    {last}
                    {if is_off {
                        "The top-up was switched off, so that your bank is not asked again and again. Check the card or keep another one, then switch it on."
                    } else {
                        "It is tried again while the balance is too low."
                    }}
                </p>
            </div>
        }
    })
}

fn money_field(name: &'static str, label: &'static str, amount: NanoUsd) -> impl IntoView {
    let id = format!("top-up-{name}");
    view! {
        <div class="field">
            <label for=id.clone()>{label}</label>
            <div class="money-input">
                <input
                    class="input"
                    id=id.clone()
                    name=name
                    inputmode="decimal"
                    autocomplete="off"
                    required=true
                    value=amount.to_decimal()
                    data-testid=id
                />
            </div>
        </div>
    }
}

fn card_name(brand: &str) -> String {
    match brand {
        "visa" => "Visa".to_owned(),
        "mastercard" => "Mastercard".to_owned(),
        "amex" => "American Express".to_owned(),
        "" => "Card".to_owned(),
        other => other.to_owned(),
    }
}

/// Dollars above zero, as fine as one likes.
fn parse_positive(text: &str) -> Result<NanoUsd, Fail> {
    let amount = NanoUsd::parse_usd(text.trim()).map_err(|_| Fail::AmountNotANumber)?;
    if amount.is_positive() {
        Ok(amount)
    } else {
        Err(Fail::AmountNotANumber)
    }
}
