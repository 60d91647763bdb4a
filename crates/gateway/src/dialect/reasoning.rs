//! Reasoning as the chat API tells it: how much is wanted, and the details that go back to the model that wrote them.

use super::json::Json;
use serde::Deserialize;
use std::borrow::Cow;

/// An entry of `reasoning_details`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Detail<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub summary: Option<Cow<'a, str>>,
    /// What only the provider can read.
    #[serde(borrow, default)]
    pub data: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub signature: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    /// Whose it is: details of one format mean nothing to a provider of another.
    #[serde(borrow, default)]
    pub format: Option<Cow<'a, str>>,
    /// Place in the answer. Fragments of one text share it.
    #[serde(default)]
    pub index: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Effort {
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

/// Fewest and most tokens that are ever asked for as a budget.
const BUDGET_TOKENS_MIN: u64 = 1_024;
const BUDGET_TOKENS_MAX: u64 = 128_000;

impl Effort {
    pub const ALL: [Self; 6] = [
        Self::Minimal,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Xhigh,
        Self::Max,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name() == name)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// Of the answer's limit, in hundredths, as the API documents it.
    const fn share(self) -> u64 {
        match self {
            Self::Minimal => 10,
            Self::Low => 20,
            Self::Medium => 50,
            Self::High => 80,
            Self::Xhigh | Self::Max => 95,
        }
    }

    /// Tokens for an answer of at most `limit` tokens.
    pub fn budget(self, limit: u64) -> u64 {
        let share = limit.saturating_mul(self.share()) / 100;
        share.clamp(BUDGET_TOKENS_MIN, BUDGET_TOKENS_MAX)
    }

    /// The least effort whose budget reaches `tokens`.
    pub fn of(tokens: u64, limit: u64) -> Self {
        let reaching = Self::ALL.into_iter().find(|effort| effort.budget(limit) >= tokens);
        reaching.unwrap_or(Self::Xhigh)
    }
}

impl<'a> Detail<'a> {
    /// Whether it was written by a model of this format.
    pub fn is_of(&self, format: &str) -> bool {
        self.format.as_deref() == Some(format)
    }

    pub fn into_owned(self) -> Detail<'static> {
        let owned = |text: Option<Cow<'a, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        Detail {
            kind: Cow::Owned(self.kind.into_owned()),
            text: owned(self.text),
            summary: owned(self.summary),
            data: owned(self.data),
            signature: owned(self.signature),
            id: owned(self.id),
            format: owned(self.format),
            index: self.index,
        }
    }

    /// As an entry of `reasoning_details`.
    pub fn json(&self) -> Json<'a> {
        Json::object([("type", self.kind.clone().into())])
            .and("text", self.text.clone())
            .and("summary", self.summary.clone())
            .and("data", self.data.clone())
            .and("signature", self.signature.clone())
            .and("id", self.id.clone())
            .and("format", self.format.clone())
            .and("index", self.index)
    }

    /// Adds another fragment of the same.
    pub fn merge(&mut self, more: Self) {
        append(&mut self.text, more.text);
        append(&mut self.summary, more.summary);
        append(&mut self.signature, more.signature);
        self.id = self.id.take().or(more.id);
        self.format = self.format.take().or(more.format);
    }
}

/// Callers may hand back the fragments of a stream as they came: those of one text become one again.
pub(crate) fn joined(details: Vec<Detail<'_>>) -> Vec<Detail<'_>> {
    let mut whole: Vec<Detail<'_>> = Vec::with_capacity(details.len());
    for detail in details {
        let same = whole
            .last_mut()
            .filter(|last| last.index.is_some() && last.index == detail.index)
            .filter(|last| last.kind == detail.kind && detail.kind != "reasoning.encrypted");
        match same {
            None => whole.push(detail),
            Some(last) => last.merge(detail),
        }
    }
    whole
}

/// An entry as it is told to callers; `what` is `text`, `summary` or `data`, `raw` a JSON string.
pub(crate) fn entry<'a>(what: &'static str, raw: &'a str, format: &'a str, index: u64) -> Json<'a> {
    let kind = match what {
        "data" => "reasoning.encrypted",
        "summary" => "reasoning.summary",
        _ => "reasoning.text",
    };
    Json::object([
        ("type", kind.into()),
        (what, Json::raw(raw)),
        ("format", format.into()),
        ("index", index.into()),
    ])
}

/// Puts `placed` where their indices say and fills the gaps between them with `others` in order.
///
/// Details of an answer carry the places of its blocks, so that what came between them can go back there.
pub(crate) fn interleaved<T>(placed: Vec<(Option<u64>, T)>, others: Vec<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(placed.len() + others.len());
    let mut others = others.into_iter();
    for (index, item) in placed {
        let gaps = index.map_or(0, |index| {
            usize::try_from(index).unwrap_or(usize::MAX).saturating_sub(all.len())
        });
        all.extend(others.by_ref().take(gaps));
        all.push(item);
    }
    all.extend(others);
    all
}

fn append<'a>(whole: &mut Option<Cow<'a, str>>, more: Option<Cow<'a, str>>) {
    match (whole.as_mut(), more) {
        (Some(text), Some(more)) => text.to_mut().push_str(&more),
        (None, more) => *whole = more,
        (Some(_), None) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_and_budgets_are_converted_both_ways() {
        assert_eq!(Effort::High.budget(10_000), 8_000);
        assert_eq!(Effort::Low.budget(1_000), BUDGET_TOKENS_MIN);
        assert_eq!(Effort::Max.budget(1_000_000), BUDGET_TOKENS_MAX);
        for effort in [
            Effort::Minimal,
            Effort::Low,
            Effort::Medium,
            Effort::High,
            Effort::Xhigh,
        ] {
            assert_eq!(Effort::of(effort.budget(60_000), 60_000), effort);
        }
        assert_eq!(Effort::of(u64::MAX, 10_000), Effort::Xhigh);
    }

    #[test]
    fn fragments_become_one_again() {
        let details: Vec<Detail<'_>> = serde_json::from_str(
            r#"[{"type":"reasoning.text","text":"a","format":"f","index":0},{"type":"reasoning.text","text":"b","index":0},
                {"type":"reasoning.text","signature":"s","index":0},{"type":"reasoning.encrypted","data":"x","index":1},
                {"type":"reasoning.text","text":"c","index":2}]"#,
        )
        .unwrap();
        let joined = joined(details);
        assert_eq!(joined.len(), 3);
        assert_eq!(joined[0].text.as_deref(), Some("ab"));
        assert_eq!(joined[0].signature.as_deref(), Some("s"));
        assert!(joined[0].is_of("f"));
    }

    #[test]
    fn gaps_between_details_are_filled_in_order() {
        let order = |placed: &[(u64, &'static str)], others: &[&'static str]| {
            let placed = placed.iter().map(|(index, item)| (Some(*index), *item)).collect();
            interleaved(placed, others.to_vec()).concat()
        };
        assert_eq!(order(&[(0, "t"), (2, "u")], &["a", "b"]), "taub");
        assert_eq!(order(&[(0, "t")], &["a", "b"]), "tab");
        assert_eq!(order(&[(5, "t")], &["a"]), "at");
    }
}
