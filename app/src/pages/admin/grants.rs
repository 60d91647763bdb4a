//! Giving credits: to one person, or to whoever redeems a code.

use super::admin;
use crate::components::table::{Listing, Row, cells, number, words};
use crate::components::time::At;
use crate::fail::Fail;
use crate::pages::account::credits::redeem::normal;
use crate::session::{cookie, set_cookie};
use crate::site::{Site, answer, parts};
use domain::account::Email;
use domain::api_key::secret_hash;
use domain::id::{GrantId, TransferId};
use domain::money::NanoUsd;
use domain::time::Micros;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::grants::{self, Code, Grant};
use store::oversight::email_of;

const ROWS_MAX: i64 = 100;
const NOTE_CHARS_MAX: usize = 200;
const DAYS_MAX: i64 = 36_500;
const USES_MAX: i64 = 100_000;
const GRANT_MAX: NanoUsd = NanoUsd::new(100_000_000_000_000);
/// Without letters and digits that look alike: 20 of them are 97 bits.
const ALPHABET: &[u8; 29] = b"23456789ABCDEFGHJKMNPQRTUVWXY";
const CODE_CHARS: usize = 20;
const GROUP_CHARS: usize = 5;
/// Carries a new code over the redirect to the page that shows it.
const COOKIE: &str = "tollway-new-code";
const COOKIE_LIFETIME_US: i64 = 2 * Micros::MINUTE;

#[server(endpoint = "admin_grant")]
pub async fn grant_credits(
    email: String,
    amount: String,
    #[server(default)] days: String,
    note: String,
) -> Result<(), Fail> {
    answer(async {
        let (site, admin) = admin().await?;
        let now = (site.now)();
        let email = Email::parse(email.trim()).map_err(|_| Fail::NoSuchPerson)?;
        let mut tx = site.store.begin().await?;
        let found = store::users::by_email(&mut tx, &email).await?;
        let (user, _) = found.ok_or(Fail::NoSuchPerson)?;
        let grant = Grant {
            id: GrantId::new(site.bytes()),
            account: user.account,
            amount: parse_amount(&amount)?,
            expires: parse_days(&days)?.map(|days| now.plus(days * Micros::DAY)),
            note: parse_note(&note)?,
            by: admin.id,
            created: now,
        };
        let mut ids = || TransferId::new(site.bytes());
        grants::grant(&mut tx, &grant, &mut ids, now).await?;
        tx.commit().await?;
        leptos_axum::redirect("/admin/grants?done=granted");
        Ok(())
    })
    .await
}

/// The code is shown once, on the page that follows; only its hash is stored.
#[server(endpoint = "admin_code")]
pub async fn create_code(
    label: String,
    amount: String,
    #[server(default)] days: String,
    #[server(default)] lot_days: String,
    uses: String,
) -> Result<(), Fail> {
    answer(async {
        let (site, _) = admin().await?;
        let now = (site.now)();
        let secret = new_code(&site.bytes());
        let code = Code {
            hash: secret_hash(&normal(&secret)),
            label: parse_note(&label)?,
            amount: parse_amount(&amount)?,
            expires: parse_days(&days)?.map(|days| now.plus(days * Micros::DAY)),
            lot_days: parse_days(&lot_days)?,
            redemptions: 0,
            redemptions_max: parse_uses(&uses)?,
            created: now,
        };
        let mut tx = site.store.begin().await?;
        grants::create_code(&mut tx, &code).await?;
        tx.commit().await?;
        set_cookie(&site, COOKIE, &format!("{}.{secret}", now.get()), None);
        leptos_axum::redirect("/admin/grants");
        Ok(())
    })
    .await
}

pub(super) async fn view(site: &Site) -> Result<AnyView, Fail> {
    let mut tx = site.store.read().await?;
    let mut given = Vec::new();
    for grant in grants::recent(&mut tx, ROWS_MAX).await? {
        let email = email_of(&mut tx, &grant.account).await?;
        given.push(grant_row(&grant, email.as_ref()));
    }
    let codes = grants::codes(&mut tx, ROWS_MAX).await?;
    drop(tx);
    let codes: Vec<_> = codes.iter().map(code_row).collect();
    let fresh = take_fresh(site).map(new_secret);
    let view = view! {
        {fresh}
        <div class="cards-grid wide">
            {grant_form()}
            {code_form()}
        </div>
        <Listing
            title="Granted"
            columns=[words("Time (UTC)"), words("To"), number("Amount"), words("Ends (UTC)"), words("For")]
            rows=given
            empty="Nothing was granted yet."
        />
        <Listing
            title="Codes"
            columns=[words("Made (UTC)"), words("For"), number("Amount"), number("Redeemed"), words("Until (UTC)")]
            rows=codes
            empty="No codes yet."
        />
    };
    Ok(view.into_any())
}

fn take_fresh(site: &Site) -> Option<String> {
    let parts = parts().ok()?;
    let value = cookie(&parts.headers, COOKIE)?;
    set_cookie(site, COOKIE, "", Some(0));
    let (made, code) = value.split_once('.')?;
    let age = (site.now)().since(Micros::new(made.parse().ok()?));
    let is_code = code.bytes().all(|byte| byte == b'-' || ALPHABET.contains(&byte));
    (age < COOKIE_LIFETIME_US && is_code).then(|| code.to_owned())
}

fn new_secret(code: String) -> impl IntoView {
    view! {
        <div class="notice" role="status">
            <p>
                <strong>"Copy the code now."</strong>
                " It is stored as a hash, so nobody can show it again."
            </p>
            <p><code class="secret-code" data-testid="code-secret">{code}</code></p>
        </div>
    }
}

fn grant_form() -> impl IntoView {
    view! {
        <section class="card tight stack">
            <h2>"Grant credits"</h2>
            <form class="fields" method="post" action=GrantCredits::url()>
                {field("grant-email", "email", "To", "person@example.org", true)}
                <div class="fields across">
                    {field("grant-amount", "amount", "Dollars", "5", true)}
                    {field("grant-days", "days", "Lasts, in days", "for ever", false)}
                </div>
                {field("grant-note", "note", "What for", "Welcome", true)}
                <div><button class="button" data-testid="grant-submit">"Grant"</button></div>
            </form>
        </section>
    }
}

fn code_form() -> impl IntoView {
    view! {
        <section class="card tight stack">
            <h2>"New code"</h2>
            <form class="fields" method="post" action=CreateCode::url()>
                {field("code-label", "label", "What for", "Conference", true)}
                <div class="fields across">
                    {field("code-amount", "amount", "Dollars each", "5", true)}
                    {field("code-uses", "uses", "How many people", "100", true)}
                </div>
                <div class="fields across">
                    {field("code-days", "days", "Redeemable, in days", "for ever", false)}
                    {field("code-lot-days", "lot_days", "Credits last, in days", "for ever", false)}
                </div>
                <div><button class="button" data-testid="code-submit">"Make the code"</button></div>
            </form>
        </section>
    }
}

fn field(
    id: &'static str,
    name: &'static str,
    label: &'static str,
    placeholder: &'static str,
    required: bool,
) -> impl IntoView {
    view! {
        <div class="field">
            <label for=id>{label}</label>
            <input class="input" id=id name=name placeholder=placeholder autocomplete="off" required=required data-testid=id/>
        </div>
    }
}

fn grant_row(grant: &Grant, email: Option<&Email>) -> Row {
    let email = email.map_or_else(|| "–".to_owned(), |email| email.as_str().to_owned());
    Row {
        testid: "grant-row",
        id: grant.id.as_str().to_owned(),
        cells: cells![
            view! { <At time=grant.created/> },
            view! { <span class="break">{email}</span> },
            grant.amount.to_dollars(),
            end(grant.expires),
            grant.note.clone(),
        ],
    }
}

fn code_row(code: &Code) -> Row {
    Row {
        testid: "code-row",
        id: code.label.clone(),
        cells: cells![
            view! { <At time=code.created/> },
            code.label.clone(),
            code.amount.to_dollars(),
            format!("{} of {}", code.redemptions, code.redemptions_max),
            end(code.expires),
        ],
    }
}

fn end(time: Option<Micros>) -> AnyView {
    match time {
        Some(time) => view! { <At time/> }.into_any(),
        None => "never".into_any(),
    }
}

/// Groups of five, so that it can be read aloud. Bytes that would favour some letters are passed over.
fn new_code(random: &[u8; 64]) -> String {
    let fair = |byte: &&u8| usize::from(**byte) < 256 / ALPHABET.len() * ALPHABET.len();
    let letters: Vec<char> = random
        .iter()
        .filter(fair)
        .map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]))
        .take(CODE_CHARS)
        .collect();
    let groups: Vec<String> = letters
        .chunks(GROUP_CHARS)
        .map(|group| group.iter().collect())
        .collect();
    groups.join("-")
}

fn parse_amount(text: &str) -> Result<NanoUsd, Fail> {
    let amount = NanoUsd::parse_usd(text.trim()).map_err(|_| Fail::AmountNotANumber)?;
    if amount.is_positive() && amount <= GRANT_MAX {
        Ok(amount)
    } else {
        Err(Fail::AmountNotANumber)
    }
}

fn parse_days(text: &str) -> Result<Option<i64>, Fail> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let days = text.trim().parse().ok();
    let days = days.filter(|days| (1..=DAYS_MAX).contains(days));
    days.map(Some).ok_or(Fail::Days)
}

fn parse_uses(text: &str) -> Result<i64, Fail> {
    let uses = text.trim().parse().ok();
    uses.filter(|uses| (1..=USES_MAX).contains(uses)).ok_or(Fail::Uses)
}

fn parse_note(text: &str) -> Result<String, Fail> {
    let note = text.trim();
    let fits = !note.is_empty() && note.chars().count() <= NOTE_CHARS_MAX && !note.chars().any(char::is_control);
    if fits { Ok(note.to_owned()) } else { Err(Fail::Note) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_four_groups_and_is_what_is_hashed() {
        let random: [u8; 64] = std::array::from_fn(|at| u8::try_from(at * 3).unwrap());
        let code = new_code(&random);
        assert_eq!((code.len(), code.split('-').count()), (23, 4));
        assert_eq!(normal(&code.to_lowercase()), code.replace('-', ""));
    }

    #[test]
    fn fields_left_empty_mean_for_ever() {
        assert_eq!(parse_days(" "), Ok(None));
        assert_eq!(parse_days("30"), Ok(Some(30)));
        assert_eq!(parse_days("0"), Err(Fail::Days));
        assert_eq!(parse_uses("0"), Err(Fail::Uses));
        assert_eq!(parse_amount("-5"), Err(Fail::AmountNotANumber));
    }
}
