//! `GET /providers`: who runs models here.

use super::Data;
use super::openapi::failure::Failure;
use crate::data_plane::DataPlane;
use axum::Json;
use axum::extract::State;
use domain::catalog::Provider;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

#[derive(Serialize, ToSchema)]
pub struct ProviderRow {
    name: String,
    slug: String,
    privacy_policy_url: Option<String>,
    terms_of_service_url: Option<String>,
    status_page_url: Option<String>,
    headquarters: Option<String>,
    /// Not known to us for any provider yet.
    datacenters: Option<Vec<String>>,
}

/// Providers
#[utoipa::path(
    get,
    path = "/providers",
    operation_id = "listProviders",
    tag = "Catalog",
    security(()),
    responses(
        (status = 200, description = "Those that models here run at.", body = Data<Vec<ProviderRow>>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn list(State(state): State<Arc<DataPlane>>) -> Json<Data<Vec<ProviderRow>>> {
    let catalog = state.catalog.load();
    Json(Data {
        data: catalog.providers().map(|provider| row(provider)).collect(),
    })
}

fn row(provider: &Provider) -> ProviderRow {
    ProviderRow {
        name: provider.name.clone(),
        slug: provider.slug.clone(),
        privacy_policy_url: provider.privacy_policy_url.clone(),
        terms_of_service_url: provider.terms_of_service_url.clone(),
        status_page_url: provider.status_page_url.clone(),
        headquarters: provider.headquarters.clone(),
        datacenters: None,
    }
}
