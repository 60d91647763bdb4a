//! The state of the model browser: everything in the address, under the names clients of this API family know.

use crate::address::with_query;
use leptos_router::params::ParamsMap;
use serde::{Deserialize, Serialize};

/// What is asked of the list of models. The default asks for everything, most used first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelQuery {
    pub q: String,
    /// `text`, `image` …: the model takes it.
    pub input: String,
    /// The model produces it.
    pub output: String,
    pub author: String,
    pub provider: String,
    /// The model takes at least so many tokens.
    pub context_min: u64,
    pub free: bool,
    /// Some endpoint can be called right now.
    pub ready: bool,
    /// Some endpoint takes all of these request parameters.
    pub supports: Vec<String>,
    pub order: Order,
    /// From 1.
    pub page: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    #[default]
    Popular,
    Newest,
    Cheapest,
    Dearest,
    Context,
    Name,
}

impl Order {
    pub const ALL: [Self; 6] = [
        Self::Popular,
        Self::Newest,
        Self::Cheapest,
        Self::Dearest,
        Self::Context,
        Self::Name,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Popular => "top-weekly",
            Self::Newest => "newest",
            Self::Cheapest => "pricing-low-to-high",
            Self::Dearest => "pricing-high-to-low",
            Self::Context => "context-high-to-low",
            Self::Name => "name",
        }
    }

    /// The value of its option in the form: empty for the default, which stays out of the address.
    #[must_use]
    pub fn value(self) -> &'static str {
        if self == Self::default() { "" } else { self.name() }
    }

    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Popular => "Most used this week",
            Self::Newest => "Newest",
            Self::Cheapest => "Price, low to high",
            Self::Dearest => "Price, high to low",
            Self::Context => "Longest context",
            Self::Name => "Name",
        }
    }

    fn parse(text: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|order| order.name() == text)
            .unwrap_or_default()
    }
}

impl ModelQuery {
    #[must_use]
    pub fn from_params(params: &ParamsMap) -> Self {
        let text = |key: &str| params.get(key).unwrap_or_default();
        let is_on = |key: &str| {
            params
                .get_str(key)
                .is_some_and(|value| !matches!(value, "" | "0" | "false"))
        };
        Self {
            q: text("q"),
            input: text("input_modalities"),
            output: text("output_modalities"),
            author: text("model_authors"),
            provider: text("providers"),
            context_min: text("context").parse().unwrap_or_default(),
            free: is_on("free") || params.get_str("max_price") == Some("0"),
            ready: is_on("ready"),
            supports: split(&params.get_all("supported_parameters").unwrap_or_default()),
            order: Order::parse(&text("order")),
            page: text("page").parse().unwrap_or(1).max(1),
        }
    }

    /// The address of this state; whatever has its default stays out of it.
    #[must_use]
    pub fn href(&self) -> String {
        let context = self.context_min.to_string();
        let page = self.page.to_string();
        let flag = |is_on: bool| if is_on { "1" } else { "" };
        let mut pairs = vec![
            ("q", self.q.as_str()),
            ("input_modalities", self.input.as_str()),
            ("output_modalities", self.output.as_str()),
            ("model_authors", self.author.as_str()),
            ("providers", self.provider.as_str()),
            ("context", if self.context_min > 0 { context.as_str() } else { "" }),
            ("free", flag(self.free)),
            ("ready", flag(self.ready)),
        ];
        pairs.extend(self.supports.iter().map(|name| ("supported_parameters", name.as_str())));
        pairs.push(("order", self.order.value()));
        pairs.push(("page", if self.page > 1 { page.as_str() } else { "" }));
        with_query("/models", &pairs)
    }

    #[must_use]
    pub fn at_page(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }

    /// Whether anything narrows the list.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        let everything = Self {
            order: self.order,
            page: self.page,
            ..Self::default()
        };
        *self != everything
    }
}

/// `tools,reasoning` and repeated parameters mean the same.
fn split(values: &[String]) -> Vec<String> {
    let parts = values.iter().flat_map(|value| value.split(','));
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&'static str, &str)]) -> ParamsMap {
        let mut params = ParamsMap::new();
        for (key, value) in pairs {
            params.insert(*key, (*value).to_owned());
        }
        params
    }

    #[test]
    fn an_address_and_its_state_say_the_same() {
        let pairs = [
            ("q", "llama"),
            ("context", "128000"),
            ("max_price", "0"),
            ("supported_parameters", "tools,seed"),
        ];
        let query = ModelQuery::from_params(&params(&pairs));
        assert_eq!((query.context_min, query.free, query.page), (128_000, true, 1));
        assert_eq!(query.supports, ["tools", "seed"]);
        assert_eq!(
            query.href(),
            "/models?q=llama&context=128000&free=1&supported_parameters=tools&supported_parameters=seed"
        );
        assert_eq!(ModelQuery::from_params(&ParamsMap::new()).href(), "/models");
    }

    #[test]
    fn sorting_and_paging_narrow_nothing() {
        let query = ModelQuery {
            order: Order::Newest,
            page: 3,
            ..ModelQuery::default()
        };
        assert!(!query.is_narrowed());
        assert!(ModelQuery { ready: true, ..query }.is_narrowed());
    }
}
