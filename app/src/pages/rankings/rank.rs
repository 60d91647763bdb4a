//! Building the rankings page from daily totals.

use super::{ModelRank, RankingsPage, Share, Span};
use crate::components::chart::SERIES_MAX;
use crate::fail::Fail;
use domain::catalog::Catalog;
use domain::slug::ModelSlug;
use domain::time::Micros;
use std::collections::{BTreeMap, HashMap};
use store::{Tx, rankings};

const MODELS_MAX: i64 = 50;
const OTHERS_MAX: i64 = 20;

pub async fn page(tx: &mut Tx, catalog: &Catalog, span: Span, now: Micros) -> Result<RankingsPage, Fail> {
    let from = now.plus(-(span.days() - 1) * Micros::DAY);
    let (from_day, to_day) = (from.day(), now.day());
    let models = rankings::models(tx, &from_day, &to_day, MODELS_MAX).await?;
    let earlier = earlier(tx, span, from).await?;
    let providers = rankings::providers(tx, &from_day, &to_day, OTHERS_MAX).await?;
    let apps = rankings::apps(tx, &from_day, &to_day, OTHERS_MAX).await?;
    let totals = rankings::totals(tx, &from_day, &to_day).await?;
    let daily = rankings::daily(tx, &from_day, &to_day).await?;
    let models: Vec<ModelRank> = models
        .into_iter()
        .map(|row| ModelRank {
            name: catalog
                .model(&row.model)
                .map(|entry| entry.model.name.clone())
                .unwrap_or_default(),
            before: earlier.get(&row.model).copied().unwrap_or_default(),
            slug: row.model.to_string(),
            requests: row.requests,
            prompt: row.prompt,
            completion: row.completion,
        })
        .collect();
    Ok(RankingsPage {
        span,
        days: days(&daily, &models, from, span.days()),
        authors: authors(&models),
        providers: providers
            .into_iter()
            .map(|row| Share {
                href: Some(format!("/models?providers={}", row.provider)),
                name: catalog
                    .provider(&row.provider)
                    .map_or(row.provider, |provider| provider.name.clone()),
                requests: row.requests,
                tokens: row.prompt.saturating_add(row.completion),
            })
            .collect(),
        apps: apps
            .into_iter()
            .map(|row| Share {
                name: row.name,
                href: row.url.filter(|url| url.starts_with("https://")),
                requests: row.requests,
                tokens: row.prompt.saturating_add(row.completion),
            })
            .collect(),
        models,
        requests: totals.requests,
        tokens: totals.prompt.saturating_add(totals.completion),
        from_day,
        to_day,
    })
}

/// Tokens of each model in the span before.
async fn earlier(tx: &mut Tx, span: Span, from: Micros) -> Result<HashMap<ModelSlug, u64>, Fail> {
    const ALL_MAX: i64 = 10_000;
    let (start, end) = (from.plus(-span.days() * Micros::DAY), from.plus(-Micros::DAY));
    let rows = rankings::models(tx, &start.day(), &end.day(), ALL_MAX).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.model, row.prompt.saturating_add(row.completion)))
        .collect())
}

fn authors(models: &[ModelRank]) -> Vec<Share> {
    let mut sums: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for model in models {
        let author = model.slug.split('/').next().unwrap_or_default();
        let sum = sums.entry(author).or_default();
        sum.0 += model.requests;
        sum.1 += model.prompt + model.completion;
    }
    let mut shares: Vec<Share> = sums
        .into_iter()
        .map(|(author, (requests, tokens))| Share {
            name: author.to_owned(),
            href: Some(format!("/models?model_authors={author}")),
            requests,
            tokens,
        })
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.tokens));
    shares
}

/// Tokens of each day: the first models alone, the others together.
fn days(daily: &[(String, ModelSlug, u64)], models: &[ModelRank], from: Micros, count: i64) -> Vec<(String, Vec<u64>)> {
    let series: HashMap<&str, usize> = models
        .iter()
        .take(SERIES_MAX)
        .enumerate()
        .map(|(at, model)| (model.slug.as_str(), at))
        .collect();
    (0..count)
        .map(|at| {
            let day = from.plus(at * Micros::DAY).day();
            let mut parts = vec![0; SERIES_MAX + 1];
            for (_, model, tokens) in daily.iter().filter(|(of, ..)| *of == day) {
                let at = series.get(model.as_str()).copied().unwrap_or(SERIES_MAX);
                if let Some(part) = parts.get_mut(at) {
                    *part += tokens;
                }
            }
            (day, parts)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(slug: &str, tokens: u64) -> ModelRank {
        ModelRank {
            slug: slug.to_owned(),
            name: String::new(),
            requests: 1,
            prompt: tokens,
            completion: 0,
            before: 0,
        }
    }

    #[test]
    fn every_day_of_the_span_has_its_tokens() {
        let from = Micros::from_datetime("2026-11-21T23:00:00Z".parse().unwrap());
        let slug = |text: &str| ModelSlug::parse(text).unwrap();
        let daily = [
            ("2026-11-21".to_owned(), slug("a/a"), 3),
            ("2026-11-23".to_owned(), slug("z/z"), 4),
        ];
        let days = days(&daily, &[rank("a/a", 3)], from, 3);
        let sums: Vec<(&str, u64, u64)> = days
            .iter()
            .map(|(day, parts)| (day.as_str(), parts[0], parts[SERIES_MAX]))
            .collect();
        assert_eq!(sums, [("2026-11-21", 3, 0), ("2026-11-22", 0, 0), ("2026-11-23", 0, 4)]);
    }

    #[test]
    fn authors_share_what_their_models_have() {
        let shares = authors(&[rank("a/x", 5), rank("b/y", 9), rank("a/z", 6)]);
        let shares: Vec<(&str, u64)> = shares.iter().map(|share| (share.name.as_str(), share.tokens)).collect();
        assert_eq!(shares, [("a", 11), ("b", 9)]);
    }
}
