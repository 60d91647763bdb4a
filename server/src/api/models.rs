//! `GET /models` and its relatives: the catalog as the API shows it.

use super::openapi::failure::Failure;
use super::{Data, unknown_model};
use crate::data_plane::DataPlane;
use crate::error::ApiError;
use arc_swap::ArcSwapOption;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use domain::catalog::{Catalog, ModelEntry};
use domain::slug::ModelRef;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use listing::{Listing, Page};
use rows::{Count, EndpointList, ModelList, ModelRow};
use std::collections::BTreeMap;
use std::sync::Arc;

mod listing;
mod rows;

/// The catalog with its list kept in serialised form, made anew when the catalog changes.
pub struct Models {
    data: Arc<DataPlane>,
    listing: ArcSwapOption<Listing>,
}

impl Models {
    #[must_use]
    pub fn new(data: Arc<DataPlane>) -> Self {
        Self {
            data,
            listing: ArcSwapOption::empty(),
        }
    }

    fn listing(&self) -> Arc<Listing> {
        let catalog = self.data.catalog.load();
        if let Some(listing) = self
            .listing
            .load_full()
            .filter(|listing| listing.version == catalog.version)
        {
            return listing;
        }
        let listing = Arc::new(Listing::new(&catalog));
        self.listing.store(Some(Arc::clone(&listing)));
        listing
    }
}

/// Models
///
/// All that have an endpoint, newest first; filtered, sorted and cut as asked.
#[utoipa::path(
    get,
    path = "/models",
    operation_id = "listModels",
    tag = "Catalog",
    security(()),
    params(
        ("q" = Option<String>, Query, description = "Words in name, slug or description."),
        ("supported_parameters" = Option<String>, Query, description = "Comma-separated; a model needs all of them."),
        ("input_modalities" = Option<String>, Query, description = "Comma-separated; a model needs all of them."),
        ("output_modalities" = Option<String>, Query, description = "Comma-separated, any of them, or `all`; `text` by default."),
        ("model_authors" = Option<String>, Query, description = "Comma-separated, any of them."),
        ("providers" = Option<String>, Query, description = "Comma-separated, any of them."),
        ("context" = Option<u64>, Query, description = "Least context length."),
        ("sort" = Option<String>, Query),
        ("offset" = Option<u64>, Query),
        ("limit" = Option<u64>, Query),
    ),
    responses(
        (status = 200, description = "A page of the list; all of it without `limit`.", body = ModelList),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn list(
    State(models): State<Arc<Models>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let listing = models.listing();
    let page = Page::parse(&query)?;
    Ok(match page.is_standard() {
        true => kept(&headers, &listing.standard),
        false => conditional(&headers, listing.page(&page, &query)),
    })
}

/// How many models the same parameters find
#[utoipa::path(
    get,
    path = "/models/count",
    operation_id = "countModels",
    tag = "Catalog",
    security(()),
    params(
        ("q" = Option<String>, Query, description = "Words in name, slug or description."),
        ("supported_parameters" = Option<String>, Query, description = "Comma-separated; a model needs all of them."),
        ("input_modalities" = Option<String>, Query, description = "Comma-separated; a model needs all of them."),
        ("output_modalities" = Option<String>, Query, description = "Comma-separated, any of them, or `all`; `text` by default."),
        ("model_authors" = Option<String>, Query, description = "Comma-separated, any of them."),
        ("providers" = Option<String>, Query, description = "Comma-separated, any of them."),
        ("context" = Option<u64>, Query, description = "Least context length."),
        ("sort" = Option<String>, Query),
        ("offset" = Option<u64>, Query),
        ("limit" = Option<u64>, Query),
    ),
    responses(
        (status = 200, description = "Their number.", body = Data<Count>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn count(
    State(models): State<Arc<Models>>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Json<Data<Count>>, ApiError> {
    let count = models.listing().count(&Page::parse(&query)?);
    Ok(Json(Data { data: Count { count } }))
}

/// One model
#[utoipa::path(
    get,
    path = "/model/{author}/{slug}",
    operation_id = "getModel",
    tag = "Catalog",
    security(()),
    params(("author" = String, Path), ("slug" = String, Path)),
    responses(
        (status = 200, description = "The model.", body = Data<ModelRow>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn get(
    State(models): State<Arc<Models>>,
    Path((author, slug)): Path<(String, String)>,
) -> Result<Json<Data<ModelRow>>, ApiError> {
    let catalog = models.data.catalog.load();
    let data = ModelRow::new(find(&catalog, &author, &slug)?);
    Ok(Json(Data { data }))
}

/// A model with its endpoints
#[utoipa::path(
    get,
    path = "/models/{author}/{slug}/endpoints",
    operation_id = "listEndpoints",
    tag = "Catalog",
    security(()),
    params(("author" = String, Path), ("slug" = String, Path)),
    responses(
        (status = 200, description = "The model, and what each provider offers.", body = Data<EndpointList>),
        (status = "default", description = "A failure.", body = Failure),
    )
)]
pub async fn endpoints(
    State(models): State<Arc<Models>>,
    Path((author, slug)): Path<(String, String)>,
) -> Result<Json<Data<EndpointList>>, ApiError> {
    let catalog = models.data.catalog.load();
    let data = EndpointList::new(&catalog, find(&catalog, &author, &slug)?);
    Ok(Json(Data { data }))
}

fn find<'a>(catalog: &'a Catalog, author: &str, slug: &str) -> Result<&'a ModelEntry, ApiError> {
    let wanted = format!("{author}/{slug}");
    let found = ModelRef::parse(&wanted)
        .ok()
        .and_then(|model| catalog.model(&model.slug));
    found.ok_or_else(|| unknown_model(catalog, &wanted))
}

fn conditional(headers: &HeaderMap, body: Bytes) -> Response {
    kept(headers, &listing::Encoded::plain(body))
}

/// The body, compressed where that is kept and taken, or 304 when the caller has it.
fn kept(headers: &HeaderMap, encoded: &listing::Encoded) -> Response {
    let etag = encoded.etag.clone();
    let has = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let fresh = has.is_some_and(|has| has.split(',').any(|one| one.trim().as_bytes() == etag.as_bytes()));
    let common = [
        (ETAG, etag),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if fresh {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let json = [(CONTENT_TYPE, "application/json")];
    match encoded.gzip.clone().filter(|_| takes_gzip(headers)) {
        Some(gzip) => (common, json, [(CONTENT_ENCODING, "gzip")], gzip).into_response(),
        None => (common, json, encoded.body.clone()).into_response(),
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers
        .get(ACCEPT_ENCODING)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut codings = accepted.split(',').map(|coding| coding.split(';').map(str::trim));
    codings.any(|mut coding| coding.next() == Some("gzip") && !coding.any(|weight| matches!(weight, "q=0" | "q=0.0")))
}

#[cfg(test)]
mod tests;
