//! Who has signed up, and mail on its way.

use crate::components::badge::{Badge, Tone};
use crate::components::table::{Listing, Row, cells, words};
use crate::components::time::At;
use crate::fail::Fail;
use crate::format;
use crate::site::Site;
use leptos::prelude::*;
use store::outbox::Mail;
use store::users::User;

const USERS_MAX: i64 = 100;
const MAILS_MAX: i64 = 30;

pub(super) async fn view(site: &Site) -> Result<AnyView, Fail> {
    let mut tx = site.store.read().await?;
    let users = store::users::list(&mut tx, USERS_MAX).await?;
    let mails = store::outbox::recent(&mut tx, MAILS_MAX).await?;
    drop(tx);
    let users: Vec<_> = users.iter().map(user_row).collect();
    let mails: Vec<_> = mails.into_iter().map(mail_row).collect();
    let view = view! {
        <Listing
            title="Newest people"
            columns=[words("E-mail"), words("Signed up (UTC)"), words("Is"), words("Purchases")]
            rows=users
            empty=""
        />
        <Listing
            title="Mail"
            columns=[words("To"), words("Subject"), words("Written (UTC)"), words("State")]
            rows=mails
            empty="Nothing was sent yet."
        />
    };
    Ok(view.into_any())
}

fn user_row(user: &User) -> Row {
    let email = user.email.as_str().to_owned();
    let purchases = crate::address::with_query("/admin/purchases", &[("email", &email)]);
    let confirmed = if user.verified.is_some() {
        view! { <Badge text="confirmed" tone=Tone::Good/> }
    } else {
        view! { <Badge text="not confirmed" tone=Tone::Warn/> }
    };
    let is_admin = user.is_admin.then(|| view! { <Badge text="admin" tone=Tone::Accent/> });
    Row {
        testid: "user-row",
        id: user.id.as_str().to_owned(),
        cells: cells![
            view! { <span class="break">{email}</span> },
            view! { <At time=user.created/> },
            view! { <span class="badges">{is_admin} {confirmed}</span> },
            view! { <a href=purchases>"Show"</a> },
        ],
    }
}

fn mail_row(mail: Mail) -> Row {
    let failures = usize::try_from(mail.attempts).unwrap_or_default();
    let state = if mail.sent.is_some() {
        view! { <Badge text="sent" tone=Tone::Good/> }
    } else if failures > 0 {
        view! { <Badge text=format::count(failures, "failed attempt") tone=Tone::Bad/> }
    } else {
        view! { <Badge text="waiting" tone=Tone::Warn/> }
    };
    Row {
        testid: "mail-row",
        id: String::new(),
        cells: cells![
            view! { <span class="break">{mail.to.as_str().to_owned()}</span> },
            mail.subject,
            view! { <At time=mail.created/> },
            state,
        ],
    }
}
