//! `/admin`: people, the proof of the books, and mail on its way. For administrators.

use crate::components::badge::{Badge, Tone};
use crate::components::layout::{Page, loaded};
use crate::components::time::At;
use crate::fail::Fail;
use crate::format;
use crate::wire::data;
use domain::money::NanoUsd;
use domain::time::Micros;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminPage {
    pub users: Vec<UserRow>,
    /// The proof that the books agree, or the first difference found.
    pub books: Result<BooksProof, String>,
    pub mails: Vec<MailRow>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    pub email: String,
    pub is_verified: bool,
    pub is_admin: bool,
    pub created: Micros,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BooksProof {
    pub transfers: u64,
    pub legs: u64,
    pub generations: u64,
    pub purchases_paid: u64,
    pub sums: Vec<(String, NanoUsd)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRow {
    pub to: String,
    pub subject: String,
    pub created: Micros,
    pub is_sent: bool,
    pub attempts: i64,
}

#[cfg(feature = "ssr")]
const USERS_MAX: i64 = 100;
#[cfg(feature = "ssr")]
const MAILS_MAX: i64 = 30;

#[server(endpoint = "admin")]
pub async fn load_admin() -> Result<AdminPage, Fail> {
    use crate::site::{answer, site};
    answer(async {
        let (_, user) = crate::session::require().await?;
        if !user.is_admin {
            return Err(Fail::Forbidden);
        }
        let site = site()?;
        (site.settled)().await;
        let mut tx = site.store.read().await?;
        let users = store::users::list(&mut tx, USERS_MAX).await?;
        let mails = store::outbox::recent(&mut tx, MAILS_MAX).await?;
        let books = store::ledger::verify(&mut tx).await?;
        Ok(AdminPage {
            users: users
                .into_iter()
                .map(|user| UserRow {
                    email: user.email.as_str().to_owned(),
                    is_verified: user.verified.is_some(),
                    is_admin: user.is_admin,
                    created: user.created,
                })
                .collect(),
            books: books.as_ref().map(proof).map_err(ToString::to_string),
            mails: mails
                .into_iter()
                .map(|mail| MailRow {
                    to: mail.to.as_str().to_owned(),
                    subject: mail.subject,
                    created: mail.created,
                    is_sent: mail.sent.is_some(),
                    attempts: mail.attempts,
                })
                .collect(),
        })
    })
    .await
}

#[cfg(feature = "ssr")]
fn proof(proof: &store::ledger::Proof) -> BooksProof {
    let sums = [
        ("Customers", proof.customer_total),
        ("Set aside for running requests", proof.escrow_total),
        ("Owed to providers", proof.provider_total),
        ("With payment processors", proof.processor_total),
        ("Borne by the house", proof.house_total),
        ("Given away", proof.promotions_total),
    ];
    BooksProof {
        transfers: proof.transfers,
        legs: proof.legs,
        generations: proof.generations,
        purchases_paid: proof.purchases_paid,
        sums: sums.into_iter().map(|(name, sum)| (name.to_owned(), sum)).collect(),
    }
}

#[component]
pub fn AdminPageView() -> impl IntoView {
    let page = data(|| (), |()| load_admin());
    view! { <Page title="Admin">{loaded(page, |page| view! { <Admin page/> })}</Page> }
}

#[component]
fn Admin(page: AdminPage) -> impl IntoView {
    view! {
        <div class="stack-l">
            <Books books=page.books/>
            <Users rows=page.users/>
            <Outbox rows=page.mails/>
        </div>
    }
}

#[component]
fn Books(books: Result<BooksProof, String>) -> impl IntoView {
    match books {
        Err(difference) => view! {
            <section class="stack">
                <h2>"Books"</h2>
                <div class="notice bad" role="alert" data-testid="books-difference"><p>{difference}</p></div>
            </section>
        }
        .into_any(),
        Ok(proof) => {
            let rows: Vec<_> = proof
                .sums
                .iter()
                .map(|(name, sum)| {
                    view! {
                        <tr>
                            <th scope="row">{name.clone()}</th>
                            <td class="number">{sum.to_dollars()}</td>
                        </tr>
                    }
                })
                .collect();
            let total: NanoUsd = proof.sums.iter().map(|(_, sum)| *sum).sum();
            let facts = format!(
                "{} transfers with {} legs, {} generations and {} paid purchases were checked one by one.",
                format::grouped(proof.transfers),
                format::grouped(proof.legs),
                format::grouped(proof.generations),
                format::grouped(proof.purchases_paid),
            );
            view! {
                <section class="stack">
                    <h2 class="row">"Books" <Badge text="agree" tone=Tone::Good/></h2>
                    <p class="small soft" data-testid="books-proof">{facts}</p>
                    <div class="table-box">
                        <table class="table">
                            <thead>
                                <tr>
                                    <th scope="col">"Held by"</th>
                                    <th scope="col" class="number">"Balance"</th>
                                </tr>
                            </thead>
                            <tbody>{rows}</tbody>
                            <tfoot>
                                <tr>
                                    <th scope="row">"Sum"</th>
                                    <td class="number" data-testid="books-sum">{total.to_dollars()}</td>
                                </tr>
                            </tfoot>
                        </table>
                    </div>
                </section>
            }
            .into_any()
        }
    }
}

#[component]
fn Users(rows: Vec<UserRow>) -> impl IntoView {
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            view! {
                <tr data-testid="user-row">
                    <th scope="row" class="break">{row.email}</th>
                    <td data-label="Signed up"><At time=row.created/></td>
                    <td data-label="Is">
                        <span class="badges">
                            {row.is_admin.then(|| view! { <Badge text="admin" tone=Tone::Accent/> })}
                            {if row.is_verified {
                                view! { <Badge text="confirmed" tone=Tone::Good/> }
                            } else {
                                view! { <Badge text="not confirmed" tone=Tone::Warn/> }
                            }}
                        </span>
                    </td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <h2>"Newest people"</h2>
            <div class="table-box">
                <table class="table cards">
                    <thead>
                        <tr>
                            <th scope="col">"E-mail"</th>
                            <th scope="col">"Signed up (UTC)"</th>
                            <th scope="col">"Is"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn Outbox(rows: Vec<MailRow>) -> impl IntoView {
    if rows.is_empty() {
        return view! { <section class="stack"><h2>"Mail"</h2><p class="soft">"Nothing was sent yet."</p></section> }
            .into_any();
    }
    let rows: Vec<_> = rows
        .into_iter()
        .map(|row| {
            let state = if row.is_sent {
                view! { <Badge text="sent" tone=Tone::Good/> }
            } else if row.attempts > 0 {
                view! { <Badge text=format::count(usize::try_from(row.attempts).unwrap_or_default(), "failed attempt") tone=Tone::Bad/> }
            } else {
                view! { <Badge text="waiting" tone=Tone::Warn/> }
            };
            view! {
                <tr>
                    <th scope="row" class="break">{row.to}</th>
                    <td data-label="Subject">{row.subject}</td>
                    <td data-label="Written"><At time=row.created/></td>
                    <td data-label="State">{state}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <section class="stack">
            <h2>"Mail"</h2>
            <div class="table-box">
                <table class="table cards">
                    <thead>
                        <tr>
                            <th scope="col">"To"</th>
                            <th scope="col">"Subject"</th>
                            <th scope="col">"Written (UTC)"</th>
                            <th scope="col">"State"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
    .into_any()
}
