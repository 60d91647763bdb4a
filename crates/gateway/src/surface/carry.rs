//! Reasoning that an API has no words for, carried in what it hands back unread: the signature of a thought.
//!
//! Callers give thoughts back as they got them. Where the model's provider is not the API's own vendor, its
//! `reasoning_details` travel in the field that the vendor signs with.

use crate::dialect::json::Json;
use crate::dialect::reasoning::Detail;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const PREFIX: &str = "tollway1:";
/// What every carried text begins with: the prefix in base64, whose length is a multiple of three.
const MARK: &str = "dG9sbHdheTE6";

/// The details as one text of letters, digits, `+`, `/` and `=`.
pub(crate) fn pack(details: &[Detail<'_>]) -> String {
    let list = Json::List(details.iter().map(Detail::json).collect());
    STANDARD.encode(format!("{PREFIX}{}", list.into_text()))
}

/// `None` for what was signed by somebody else.
pub(crate) fn unpack(signature: &str) -> Option<Vec<Detail<'static>>> {
    if !signature.starts_with(MARK) {
        return None;
    }
    // Some clients hold it as bytes, and write it in the other alphabet.
    let standard: String = signature
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    let bytes = STANDARD.decode(standard).ok()?;
    let details: Vec<Detail<'_>> = serde_json::from_slice(bytes.strip_prefix(PREFIX.as_bytes())?).ok()?;
    Some(details.into_iter().map(Detail::into_owned).collect())
}

/// Whether a raw request carries such reasoning, which no vendor would understand.
pub(crate) fn is_in(raw: &[u8]) -> bool {
    let mark = MARK.as_bytes();
    let mut from = 0;
    while let Some(at) = raw[from..].iter().position(|byte| *byte == mark[0]) {
        if raw[from + at..].starts_with(mark) {
            return true;
        }
        from += at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_out_again_in_either_alphabet() {
        let raw = r#"[{"type":"reasoning.encrypted","data":"a+/b?","id":"rs_1","format":"xai-responses-v1","index":3},
            {"type":"reasoning.summary","summary":"??>>é","index":4}]"#;
        let details: Vec<Detail<'_>> = serde_json::from_str(raw).unwrap();
        let packed = pack(&details);
        assert!(packed.starts_with(MARK) && is_in(format!("[\"{packed}\"]").as_bytes()));
        assert_eq!(unpack(&packed).unwrap(), details);
        assert_eq!(unpack(&packed.replace('+', "-").replace('/', "_")).unwrap(), details);
        assert_eq!(unpack("EqQBCgIYAhIM"), None);
        assert!(!is_in(b"dG9sbHdhe") && unpack("dG9sbHdheTE6????").is_none());
    }
}
