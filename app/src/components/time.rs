//! Points in time, in UTC.

use crate::format;
use domain::time::Micros;
use leptos::prelude::*;

/// `2026-11-23 08:05`, with the exact time for machines.
#[component]
pub fn At(time: Micros) -> impl IntoView {
    view! { <time class="nowrap" datetime=time.rfc3339() title=format!("{} UTC", time.rfc3339())>{format::minute(time)}</time> }
}
