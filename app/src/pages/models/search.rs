//! Finding models in the catalog: pure, over the snapshot.

use super::query::{ModelQuery, Order};
use super::{Facet, ModelRow, ModelsPage, ROWS_PER_PAGE};
use domain::catalog::{Catalog, Endpoint, Model, ModelEntry, Provider};
use domain::slug::ModelSlug;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Enough words to be precise, few enough to bound the work.
const SEARCH_WORDS_MAX: usize = 8;

/// What a search may look at besides the query.
pub struct Shelf<'a> {
    pub catalog: &'a Catalog,
    pub callable: &'a dyn Fn(&Provider) -> bool,
    /// Tokens of the last seven days.
    pub week: &'a HashMap<ModelSlug, u64>,
}

/// One page of the models that fit, and what the filters can be set to.
#[must_use]
pub fn search(shelf: &Shelf<'_>, query: &ModelQuery) -> ModelsPage {
    let words: Vec<String> = query
        .q
        .to_lowercase()
        .split_whitespace()
        .take(SEARCH_WORDS_MAX)
        .map(str::to_owned)
        .collect();
    let mut found: Vec<(u8, &ModelEntry)> = shelf
        .catalog
        .models()
        .filter(|entry| fits(shelf, entry, query))
        .filter_map(|entry| relevance(&entry.model, &words).map(|rank| (rank, entry)))
        .collect();
    sort(&mut found, query.order, shelf.week);
    let total = found.len();
    let start = (query.page.max(1) - 1).saturating_mul(ROWS_PER_PAGE);
    let rows = found
        .iter()
        .skip(start)
        .take(ROWS_PER_PAGE)
        .map(|(_, entry)| row(shelf, entry))
        .collect();
    ModelsPage {
        query: query.clone(),
        rows,
        total,
        all: shelf.catalog.models().len(),
        authors: authors(shelf),
        providers: providers(shelf),
    }
}

/// One model as lists show it.
#[must_use]
pub fn row(shelf: &Shelf<'_>, entry: &ModelEntry) -> ModelRow {
    let model = &entry.model;
    let cheapest = entry.endpoints.first();
    ModelRow {
        slug: model.slug.clone(),
        name: model.name.clone(),
        summary: summary(&model.description),
        context: model.context_length,
        input: model.input_modalities.clone(),
        output: model.output_modalities.clone(),
        prompt: cheapest.map(|endpoint| endpoint.prices.prompt),
        completion: cheapest.map(|endpoint| endpoint.prices.completion),
        providers: provider_count(entry),
        released: model.released.map(|day| day.to_string()),
        week_tokens: shelf.week.get(&model.slug).copied().unwrap_or_default(),
        ready: is_ready(shelf, entry),
        tools: supports(entry, "tools"),
    }
}

fn fits(shelf: &Shelf<'_>, entry: &ModelEntry, query: &ModelQuery) -> bool {
    let model = &entry.model;
    let has = |list: &[String], wanted: &str| wanted.is_empty() || list.iter().any(|item| item == wanted);
    has(&model.input_modalities, &query.input)
        && has(&model.output_modalities, &query.output)
        && (query.author.is_empty() || model.slug.author() == query.author)
        && (query.provider.is_empty()
            || entry
                .endpoints
                .iter()
                .any(|endpoint| endpoint.provider == query.provider))
        && model.context_length >= query.context_min
        && (!query.free || entry.endpoints.iter().any(|endpoint| endpoint.prices.is_free()))
        && (!query.ready || is_ready(shelf, entry))
        && (query.supports.is_empty()
            || entry
                .endpoints
                .iter()
                .any(|endpoint| takes_all(endpoint, &query.supports)))
}

/// How well a model answers the words, best first; `None` when one of them is nowhere.
fn relevance(model: &Model, words: &[String]) -> Option<u8> {
    let slug = model.slug.as_str();
    let name = model.name.to_lowercase();
    let mut worst = 0;
    for word in words {
        let rank = if model.slug.name().starts_with(word.as_str()) || name.starts_with(word.as_str()) {
            0
        } else if slug.contains(word.as_str()) || name.contains(word.as_str()) {
            1
        } else if model.description.to_lowercase().contains(word.as_str()) {
            2
        } else {
            return None;
        };
        worst = worst.max(rank);
    }
    Some(worst)
}

fn sort(found: &mut [(u8, &ModelEntry)], order: Order, week: &HashMap<ModelSlug, u64>) {
    let tokens = |entry: &ModelEntry| week.get(&entry.model.slug).copied().unwrap_or_default();
    let newest = |entry: &ModelEntry| Reverse(entry.model.released);
    let price = |entry: &ModelEntry| {
        let prices = entry.endpoints.first().map(|endpoint| &endpoint.prices);
        prices.map(|prices| prices.prompt.get().saturating_add(prices.completion.get()))
    };
    match order {
        Order::Popular => {
            found.sort_by_key(|(rank, entry)| (*rank, Reverse(tokens(entry)), newest(entry)));
        }
        Order::Newest => found.sort_by_key(|(_, entry)| newest(entry)),
        Order::Cheapest => found.sort_by_key(|(_, entry)| price(entry).unwrap_or(i64::MAX)),
        Order::Dearest => found.sort_by_key(|(_, entry)| Reverse(price(entry))),
        Order::Context => found.sort_by_key(|(_, entry)| Reverse(entry.model.context_length)),
        Order::Name => found.sort_by_key(|(_, entry)| entry.model.name.to_lowercase()),
    }
}

fn takes_all(endpoint: &Endpoint, wanted: &[String]) -> bool {
    wanted.iter().all(|name| endpoint.supported_parameters.contains(name))
}

fn supports(entry: &ModelEntry, name: &str) -> bool {
    entry
        .endpoints
        .iter()
        .any(|endpoint| endpoint.supported_parameters.iter().any(|item| item == name))
}

fn is_ready(shelf: &Shelf<'_>, entry: &ModelEntry) -> bool {
    let mut providers = entry
        .endpoints
        .iter()
        .filter_map(|endpoint| shelf.catalog.provider(&endpoint.provider));
    providers.any(|provider| provider.is_spoken() && (shelf.callable)(provider))
}

fn provider_count(entry: &ModelEntry) -> usize {
    let mut names: Vec<&str> = entry
        .endpoints
        .iter()
        .map(|endpoint| endpoint.provider.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len()
}

fn authors(shelf: &Shelf<'_>) -> Vec<Facet> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in shelf.catalog.models() {
        *counts.entry(entry.model.slug.author()).or_default() += 1;
    }
    let facet = |(author, count): (&str, usize)| Facet {
        value: author.to_owned(),
        label: author.to_owned(),
        count,
    };
    counts.into_iter().map(facet).collect()
}

fn providers(shelf: &Shelf<'_>) -> Vec<Facet> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in shelf.catalog.models() {
        let mut names: Vec<&str> = entry
            .endpoints
            .iter()
            .map(|endpoint| endpoint.provider.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            *counts.entry(name).or_default() += 1;
        }
    }
    let mut facets: Vec<Facet> = counts
        .into_iter()
        .map(|(slug, count)| {
            let label = shelf
                .catalog
                .provider(slug)
                .map_or(slug, |provider| provider.name.as_str());
            Facet {
                value: slug.to_owned(),
                label: label.to_owned(),
                count,
            }
        })
        .collect();
    facets.sort_by_key(|facet| facet.label.to_lowercase());
    facets
}

const SUMMARY_CHARS_MAX: usize = 180;

/// The first sentences of a description.
fn summary(description: &str) -> String {
    if description.chars().count() <= SUMMARY_CHARS_MAX {
        return description.to_owned();
    }
    let cut: String = description.chars().take(SUMMARY_CHARS_MAX).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{}…", cut.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::catalog::CatalogData;
    use serde_json::json;

    fn catalog() -> Catalog {
        let provider = |slug: &str| {
            json!({"slug": slug, "name": slug.to_uppercase(), "base_url": "http://127.0.0.1:1", "dialect": "openai-chat",
                   "auth": "none"})
        };
        let model = |slug: &str, name: &str, context: u64, released: &str| {
            json!({"slug": slug, "name": name, "kind": "chat", "context_length": context, "released": released,
                   "description": "For tests.", "input_modalities": ["text"], "output_modalities": ["text"]})
        };
        let endpoint = |model: &str, provider: &str, price: i64, supports: &[&str]| {
            json!({"id": format!("{model}|{provider}"), "model": model, "provider": provider, "provider_model_id": "m",
                   "context_length": 10, "prices": {"prompt": price, "completion": price},
                   "supported_parameters": supports})
        };
        let data: CatalogData = serde_json::from_value(json!({
            "providers": [provider("p"), provider("q")],
            "models": [
                model("ada/small", "Small", 8_000, "2024-01-01"),
                model("ada/large", "Large", 200_000, "2025-01-01"),
                model("bob/large-eye", "Large Eye", 32_000, "2023-01-01"),
            ],
            "endpoints": [
                endpoint("ada/small", "p", 0, &[]),
                endpoint("ada/large", "p", 500, &["tools", "seed"]),
                endpoint("ada/large", "q", 400, &["tools"]),
                endpoint("bob/large-eye", "q", 100, &["seed"]),
            ],
        }))
        .unwrap();
        Catalog::new(1, data).unwrap()
    }

    fn check(query: &ModelQuery, expected: &[&str]) {
        let week = HashMap::from([(ModelSlug::parse("bob/large-eye").unwrap(), 7)]);
        let catalog = catalog();
        let shelf = Shelf {
            catalog: &catalog,
            callable: &|provider| provider.slug == "q",
            week: &week,
        };
        let page = search(&shelf, query);
        let slugs: Vec<&str> = page.rows.iter().map(|row| row.slug.as_str()).collect();
        assert_eq!(slugs, expected, "{query:?}");
        assert_eq!(page.total, expected.len());
    }

    #[test]
    fn the_most_used_come_first_and_then_the_newest() {
        check(&ModelQuery::default(), &["bob/large-eye", "ada/large", "ada/small"]);
    }

    #[test]
    fn every_word_must_be_found() {
        let of = |q: &str| ModelQuery {
            q: q.to_owned(),
            ..ModelQuery::default()
        };
        check(&of("large"), &["bob/large-eye", "ada/large"]);
        check(&of(" LARGE ada "), &["ada/large"]);
        check(&of("large nowhere"), &[]);
    }

    #[test]
    fn filters_narrow_and_orders_sort() {
        let all = ModelQuery::default;
        check(&ModelQuery { free: true, ..all() }, &["ada/small"]);
        check(&ModelQuery { ready: true, ..all() }, &["bob/large-eye", "ada/large"]);
        check(
            &ModelQuery {
                context_min: 100_000,
                ..all()
            },
            &["ada/large"],
        );
        check(
            &ModelQuery {
                author: "ada".to_owned(),
                order: Order::Name,
                ..all()
            },
            &["ada/large", "ada/small"],
        );
        check(
            &ModelQuery {
                supports: vec!["tools".to_owned(), "seed".to_owned()],
                ..all()
            },
            &["ada/large"],
        );
        check(
            &ModelQuery {
                order: Order::Cheapest,
                ..all()
            },
            &["ada/small", "bob/large-eye", "ada/large"],
        );
        check(
            &ModelQuery {
                order: Order::Newest,
                ..all()
            },
            &["ada/large", "ada/small", "bob/large-eye"],
        );
        check(
            &ModelQuery {
                input: "image".to_owned(),
                ..all()
            },
            &[],
        );
    }

    #[test]
    fn facets_count_models() {
        let catalog = catalog();
        let shelf = Shelf {
            catalog: &catalog,
            callable: &|_| false,
            week: &HashMap::new(),
        };
        let page = search(&shelf, &ModelQuery::default());
        let counts = |facets: &[Facet]| {
            facets
                .iter()
                .map(|facet| (facet.value.clone(), facet.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(counts(&page.authors), [("ada".to_owned(), 2), ("bob".to_owned(), 1)]);
        assert_eq!(counts(&page.providers), [("p".to_owned(), 2), ("q".to_owned(), 2)]);
    }
}
