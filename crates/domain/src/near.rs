//! Near matches for a mistyped name.

/// The `count` candidates closest to `wanted`, best first; those too far off are left out.
#[must_use]
pub fn nearest<'a>(wanted: &str, candidates: impl Iterator<Item = &'a str>, count: usize) -> Vec<&'a str> {
    let wanted = wanted.to_ascii_lowercase();
    let tail = wanted.rsplit('/').next().unwrap_or(&wanted).to_owned();
    let mut scored: Vec<(usize, &str)> = candidates
        .filter_map(|candidate| {
            let name = candidate.rsplit('/').next().unwrap_or(candidate);
            let whole = distance(&wanted, candidate);
            let within = if tail.len() > 2 && name.contains(&tail) {
                1
            } else {
                distance(&tail, name).saturating_add(1)
            };
            let score = whole.min(within);
            (score <= wanted.len().div_euclid(3).max(2)).then_some((score, candidate))
        })
        .collect();
    scored.sort();
    scored.into_iter().take(count).map(|(_, candidate)| candidate).collect()
}

/// Levenshtein distance in bytes (Levenshtein 1966), with one row of memory.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (to, above) in b.bytes().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal.saturating_add(usize::from(from != to));
            diagonal = *above;
            left = replaced.min(above.saturating_add(1)).min(left.saturating_add(1));
            *above = left;
        }
    }
    row.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_what_was_meant() {
        let known = [
            "openai/gpt-4o",
            "openai/gpt-4o-mini",
            "anthropic/claude-sonnet-4.5",
            "local/smollm2-135m-instruct",
        ];
        assert_eq!(nearest("openai/gpt-4oo", known.into_iter(), 1), ["openai/gpt-4o"]);
        assert_eq!(
            nearest("smollm2", known.into_iter(), 3),
            ["local/smollm2-135m-instruct"]
        );
        assert!(nearest("zzzzzz/qqqqqqqqqq", known.into_iter(), 3).is_empty());
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
