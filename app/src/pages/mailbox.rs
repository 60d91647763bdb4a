//! `/dev/mailbox`: the mails this server would send. Exists in dev mode only.

use crate::components::badge::{Badge, Tone};
use crate::components::layout::{Page, loaded};
use crate::components::time::At;
use crate::fail::Fail;
use crate::wire::data;
use domain::time::Micros;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRow {
    pub to: String,
    pub subject: String,
    pub body: String,
    pub created: Micros,
    pub is_sent: bool,
}

#[server(endpoint = "mailbox")]
pub async fn load_mailbox() -> Result<Vec<MailRow>, Fail> {
    use crate::site::{answer, site};
    const MAILS_MAX: i64 = 50;
    answer(async {
        let site = site()?;
        if !site.dev {
            return Err(Fail::NotFound);
        }
        let mut tx = site.store.read().await?;
        let mails = store::outbox::recent(&mut tx, MAILS_MAX).await?;
        let row = |mail: store::outbox::Mail| MailRow {
            to: mail.to.as_str().to_owned(),
            subject: mail.subject,
            body: mail.body,
            created: mail.created,
            is_sent: mail.sent.is_some(),
        };
        Ok(mails.into_iter().map(row).collect())
    })
    .await
}

#[component]
pub fn MailboxPage() -> impl IntoView {
    let page = data(|| (), |()| load_mailbox());
    view! {
        <Page title="Dev mailbox" lead="What would be mailed. This page exists in dev mode only.">
            {loaded(page, |mails| view! { <Mails mails/> })}
        </Page>
    }
}

#[component]
fn Mails(mails: Vec<MailRow>) -> impl IntoView {
    if mails.is_empty() {
        return view! { <p class="soft">"No mail yet. Sign up, and the first one appears here."</p> }.into_any();
    }
    let items: Vec<_> = mails
        .into_iter()
        .map(|mail| {
            view! {
                <li class="card tight stack-s" data-testid="mail" data-to=mail.to.clone() data-subject=mail.subject.clone()>
                    <div class="row between">
                        <h2>{mail.subject.clone()}</h2>
                        <span class="row small faint">
                            <At time=mail.created/>
                            {mail.is_sent.then(|| view! { <Badge text="sent" tone=Tone::Good/> })}
                        </span>
                    </div>
                    <p class="small faint break">{format!("To {}", mail.to)}</p>
                    <div class="mail-body">{lines(&mail.body)}</div>
                </li>
            }
        })
        .collect();
    view! { <ul class="plain stack">{items}</ul> }.into_any()
}

/// Paragraphs, with lines that are links made so.
fn lines(body: &str) -> Vec<AnyView> {
    let paragraphs = body.split('\n').filter(|line| !line.trim().is_empty());
    paragraphs
        .map(|line| {
            let words: Vec<_> = line.split_inclusive(' ').map(word).collect();
            view! { <p>{words}</p> }.into_any()
        })
        .collect()
}

fn word(word: &str) -> AnyView {
    let address = word.trim_end();
    if address.starts_with("http://") || address.starts_with("https://") {
        let (href, text) = (address.to_owned(), word.to_owned());
        return view! { <a class="break" href=href data-testid="mail-link">{text}</a> }.into_any();
    }
    word.to_owned().into_any()
}
