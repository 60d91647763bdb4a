//! What every page knows about the person in front of it.

use crate::fail::Fail;
use crate::wire::{Data, data};
use domain::money::NanoUsd;
use leptos::prelude::*;
use leptos_router::hooks::use_location;
use serde::{Deserialize, Serialize};

/// A signed-in person, as the header shows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    pub email: String,
    pub is_admin: bool,
    pub is_verified: bool,
    /// Credits, those that a node holds for running requests included.
    pub balance: NanoUsd,
}

pub type ViewerResource = Data<Option<Viewer>>;

#[server(endpoint = "viewer")]
pub async fn load_viewer() -> Result<Option<Viewer>, Fail> {
    crate::site::answer(async {
        let Some((_, user)) = crate::session::current().await? else {
            return Ok(None);
        };
        let mut tx = crate::site::site()?.store.read().await?;
        let credits = store::ledger::credits(&mut tx, &user.account).await?;
        Ok(Some(Viewer {
            email: user.email.as_str().to_owned(),
            is_admin: user.is_admin,
            is_verified: user.verified.is_some(),
            balance: credits.available.saturating_add(credits.in_escrow),
        }))
    })
    .await
}

/// Provides the viewer to the header and to pages; asked for anew at every navigation, so that the balance is fresh.
pub fn provide_viewer() {
    let path = use_location().pathname;
    let resource: ViewerResource = data(move || path.get(), |_| load_viewer());
    provide_context(resource);
}

/// The viewer of this page.
#[must_use]
pub fn use_viewer() -> ViewerResource {
    expect_context()
}
