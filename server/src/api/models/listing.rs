//! The list of models, serialised once per catalog, and pages of it.

use super::rows::ModelRow;
use crate::error::ApiError;
use axum::body::Bytes;
use domain::catalog::{Catalog, ModelEntry};
use domain::error_type::ErrorType;
use domain::id::hex;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

/// All rows of one catalog version.
pub struct Listing {
    pub version: i64,
    /// What a request without any parameter gets.
    pub standard: Encoded,
    rows: Vec<Row>,
}

/// A body with its entity tag and, if it is kept, its compressed form.
pub struct Encoded {
    pub body: Bytes,
    pub gzip: Option<Bytes>,
    pub etag: HeaderValue,
}

struct Row {
    json: String,
    slug: String,
    /// Name, slug and description in lower case.
    text: String,
    created: i64,
    context_length: u64,
    /// Pico-dollars for one prompt and one completion token.
    price: i64,
    inputs: Vec<String>,
    outputs: Vec<String>,
    parameters: BTreeSet<String>,
    providers: BTreeSet<String>,
}

/// What part of the list is asked for.
#[derive(Debug, PartialEq)]
pub struct Page {
    q: Option<String>,
    parameters: Vec<String>,
    inputs: Vec<String>,
    /// Any of them; empty for all.
    outputs: Vec<String>,
    authors: Vec<String>,
    providers: Vec<String>,
    context_min: u64,
    sort: Sort,
    offset: usize,
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Newest,
    PriceUp,
    PriceDown,
    ContextDown,
}

const LIMIT_MAX: usize = 1_000;
/// Documented orders by figures that are not measured here yet: "models without data go last", which is all of them.
const UNMEASURED_SORTS: &[&str] = &[
    "most-popular",
    "top-weekly",
    "throughput-high-to-low",
    "latency-low-to-high",
    "intelligence-high-to-low",
    "coding-high-to-low",
    "agentic-high-to-low",
    "design-arena-elo-high-to-low",
];

impl Listing {
    #[must_use]
    pub fn new(catalog: &Catalog) -> Self {
        let mut rows: Vec<Row> = catalog
            .models()
            .filter(|entry| !entry.endpoints.is_empty())
            .filter_map(Row::new)
            .collect();
        rows.sort_by(|a, b| (Reverse(a.created), &a.slug).cmp(&(Reverse(b.created), &b.slug)));
        let mut listing = Self {
            version: catalog.version,
            standard: Encoded::plain(Bytes::new()),
            rows,
        };
        let standard = Page::default();
        let body = listing.page(&standard, &BTreeMap::new());
        listing.standard = Encoded {
            gzip: gzipped(&body),
            ..Encoded::plain(body)
        };
        listing
    }

    /// `{"data": […], "total_count", "links": {"next"}}`; `query` is repeated in the link to the next page.
    #[must_use]
    pub fn page(&self, page: &Page, query: &BTreeMap<String, String>) -> Bytes {
        let mut found: Vec<&Row> = self.rows.iter().filter(|row| page.takes(row)).collect();
        match page.sort {
            Sort::Newest => {}
            Sort::PriceUp => found.sort_by_key(|row| row.price),
            Sort::PriceDown => found.sort_by_key(|row| Reverse(row.price)),
            Sort::ContextDown => found.sort_by_key(|row| Reverse(row.context_length)),
        }
        let shown: Vec<&str> = found
            .iter()
            .skip(page.offset)
            .take(page.limit)
            .map(|row| row.json.as_str())
            .collect();
        let end = page.offset.saturating_add(shown.len());
        let next = if end < found.len() {
            serde_json::Value::from(next_link(query, end))
        } else {
            serde_json::Value::Null
        };
        let rows = shown.join(",");
        Bytes::from(format!(
            "{{\"data\":[{rows}],\"total_count\":{},\"links\":{{\"next\":{next}}}}}",
            found.len()
        ))
    }

    #[must_use]
    pub fn count(&self, page: &Page) -> usize {
        self.rows.iter().filter(|row| page.takes(row)).count()
    }
}

impl Encoded {
    #[must_use]
    pub fn plain(body: Bytes) -> Self {
        let digest = hex(Sha256::digest(&body).get(..16).unwrap_or_default());
        // Weak, since the compressed form has the same tag.
        let etag = HeaderValue::from_str(&format!("W/\"{digest}\""));
        Self {
            body,
            gzip: None,
            etag: etag.unwrap_or(HeaderValue::from_static("W/\"\"")),
        }
    }
}

impl Row {
    fn new(entry: &ModelEntry) -> Option<Self> {
        let row = ModelRow::new(entry);
        let cheapest = entry.endpoints.first().map(|endpoint| &endpoint.prices);
        Some(Self {
            json: serde_json::to_string(&row).ok()?,
            slug: row.id,
            text: format!("{} {} {}", entry.model.name, entry.model.slug, entry.model.description).to_lowercase(),
            created: row.created,
            context_length: row.context_length,
            price: cheapest.map_or(0, |prices| prices.prompt.get().saturating_add(prices.completion.get())),
            inputs: row.architecture.input_modalities,
            outputs: row.architecture.output_modalities,
            parameters: row.supported_parameters,
            providers: entry
                .endpoints
                .iter()
                .map(|endpoint| endpoint.provider.clone())
                .collect(),
        })
    }
}

impl Default for Page {
    fn default() -> Self {
        Self {
            q: None,
            parameters: Vec::new(),
            inputs: Vec::new(),
            outputs: vec!["text".to_owned()],
            authors: Vec::new(),
            providers: Vec::new(),
            context_min: 0,
            sort: Sort::Newest,
            offset: 0,
            limit: usize::MAX,
        }
    }
}

impl Page {
    /// Parameters that are not known here are ignored, as clients send many.
    ///
    /// # Errors
    /// 400 for a number or an order that makes no sense.
    pub fn parse(query: &BTreeMap<String, String>) -> Result<Self, ApiError> {
        let list = |name: &str| query.get(name).map(|text| listed(text));
        let outputs = list("output_modalities").unwrap_or_else(|| vec!["text".to_owned()]);
        Ok(Self {
            q: query
                .get("q")
                .map(|text| text.trim().to_lowercase())
                .filter(|text| !text.is_empty()),
            parameters: list("supported_parameters").unwrap_or_default(),
            inputs: list("input_modalities").unwrap_or_default(),
            outputs: if outputs.iter().any(|one| one == "all") {
                Vec::new()
            } else {
                outputs
            },
            authors: list("model_authors").unwrap_or_default(),
            providers: list("providers").unwrap_or_default(),
            context_min: number(query, "context")?.unwrap_or(0),
            sort: sort(query.get("sort").map(String::as_str))?,
            offset: size(query, "offset")?.unwrap_or(0),
            limit: size(query, "limit")?.map_or(usize::MAX, |limit| limit.clamp(1, LIMIT_MAX)),
        })
    }

    #[must_use]
    pub fn is_standard(&self) -> bool {
        *self == Self::default()
    }

    fn takes(&self, row: &Row) -> bool {
        let author = || row.slug.split('/').next().unwrap_or_default().to_owned();
        self.q
            .as_ref()
            .is_none_or(|q| q.split_whitespace().all(|word| row.text.contains(word)))
            && self.parameters.iter().all(|one| row.parameters.contains(one))
            && self.inputs.iter().all(|one| row.inputs.contains(one))
            && (self.outputs.is_empty() || self.outputs.iter().any(|one| row.outputs.contains(one)))
            && (self.authors.is_empty() || self.authors.contains(&author()))
            && (self.providers.is_empty() || self.providers.iter().any(|one| row.providers.contains(one)))
            && row.context_length >= self.context_min
    }
}

fn sort(name: Option<&str>) -> Result<Sort, ApiError> {
    match name {
        None | Some("" | "newest") => Ok(Sort::Newest),
        Some("pricing-low-to-high") => Ok(Sort::PriceUp),
        Some("pricing-high-to-low") => Ok(Sort::PriceDown),
        Some("context-high-to-low") => Ok(Sort::ContextDown),
        Some(other) if UNMEASURED_SORTS.contains(&other) => Ok(Sort::Newest),
        Some(other) => Err(invalid(format!(
            "sort={other} is not known; use newest, pricing-low-to-high, pricing-high-to-low or context-high-to-low"
        ))),
    }
}

fn number(query: &BTreeMap<String, String>, name: &str) -> Result<Option<u64>, ApiError> {
    let text = query.get(name).filter(|text| !text.is_empty());
    let parsed = text.map(|text| {
        text.parse()
            .map_err(|_| invalid(format!("{name}={text} is not a whole number")))
    });
    parsed.transpose()
}

fn size(query: &BTreeMap<String, String>, name: &str) -> Result<Option<usize>, ApiError> {
    Ok(number(query, name)?.map(|number| usize::try_from(number).unwrap_or(usize::MAX)))
}

fn invalid(message: String) -> ApiError {
    ApiError::new(ErrorType::InvalidRequest, message)
}

fn listed(text: &str) -> Vec<String> {
    text.split(',')
        .map(|part| part.trim().to_lowercase())
        .filter(|part| !part.is_empty())
        .collect()
}

fn next_link(query: &BTreeMap<String, String>, offset: usize) -> String {
    let mut link = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in query.iter().filter(|(name, _)| *name != "offset") {
        link.append_pair(name, value);
    }
    link.append_pair("offset", &offset.to_string());
    format!("/api/v1/models?{}", link.finish())
}

fn gzipped(body: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
