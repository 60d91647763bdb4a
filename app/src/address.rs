//! Addresses of our own pages, written the same by server and browser.

/// `path` with the pairs that have a value: `/models?q=llama&page=2`.
#[must_use]
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let filled = pairs.iter().filter(|(_, value)| !value.is_empty());
    let query: Vec<String> = filled.map(|(key, value)| format!("{key}={}", escape(value))).collect();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

/// Percent-encodes everything that RFC 3986 does not call unreserved, but leaves `/` and `:` readable.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_empty_ones_left_out() {
        let pairs = [("q", "a&b ü"), ("author", ""), ("model", "openai/gpt-4.1")];
        assert_eq!(with_query("/x", &pairs), "/x?q=a%26b%20%C3%BC&model=openai/gpt-4.1");
        assert_eq!(with_query("/x", &[("q", "")]), "/x");
    }
}
