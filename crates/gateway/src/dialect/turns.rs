//! What the shape of several dialects has in common: alternating turns, safe ids, kinds of media, paths.

use super::json::Json;
use std::borrow::Cow;

/// The turns of a conversation in the making: what the same side says in a row is one turn.
#[derive(Default)]
pub(super) struct Turns<'a>(Vec<(&'static str, Vec<Json<'a>>)>);

impl<'a> Turns<'a> {
    pub fn say(&mut self, role: &'static str, parts: Vec<Json<'a>>) {
        if parts.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some((last, said)) if *last == role => said.extend(parts),
            _ => self.0.push((role, parts)),
        }
    }

    /// The parts of the last turn.
    pub fn last_mut(&mut self) -> Option<&mut Vec<Json<'a>>> {
        self.0.last_mut().map(|(_, parts)| parts)
    }

    pub fn finish(self, parts_name: &'static str) -> Json<'a> {
        let turn = |(role, parts): (&'static str, Vec<Json<'a>>)| {
            Json::object([("role", role.into()), (parts_name, Json::List(parts))])
        };
        Json::List(self.0.into_iter().map(turn).collect())
    }
}

/// Ids as providers insist on them: letters, digits, `_` and `-`. The same id always becomes the same.
pub(super) fn safe_id<'a>(id: &Cow<'a, str>, chars_max: usize) -> Cow<'a, str> {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !id.is_empty() && id.len() <= chars_max && id.chars().all(is_safe) {
        return id.clone();
    }
    let replaced = id.chars().map(|c| if is_safe(c) { c } else { '_' });
    let mut safe: String = replaced.collect();
    // The end of an id is what tells it from others.
    safe.drain(..safe.len().saturating_sub(chars_max));
    if safe.is_empty() {
        safe.push('_');
    }
    safe.into()
}

/// The media type that a URL's or a file's name ends in.
pub(super) fn media_type_of(name: &str) -> Option<&'static str> {
    let path = name.split(['?', '#']).next().unwrap_or(name);
    let ending = path.rsplit('.').next()?.to_ascii_lowercase();
    let known = MEDIA_TYPES.iter().find(|(known, _)| *known == ending);
    known.map(|(_, media_type)| *media_type)
}

const MEDIA_TYPES: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("aiff", "audio/aiff"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/opus"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "text/xml"),
];

/// A segment of a path, percent-encoded where it must be.
pub(super) fn path_segment(text: &str) -> String {
    use std::fmt::Write;
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'@') {
            segment.push(char::from(byte));
        } else {
            // Writing to a string can't fail.
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_made_safe_and_stay_apart() {
        assert_eq!(safe_id(&"toolu_01-A".into(), 64), "toolu_01-A");
        assert_eq!(safe_id(&"functions.f:0".into(), 64), "functions_f_0");
        assert_eq!(safe_id(&"aaaa1".into(), 3), "aa1");
        assert_eq!(safe_id(&"".into(), 64), "_");
    }

    #[test]
    fn media_types_follow_from_names() {
        assert_eq!(media_type_of("https://x/a.b/c.PNG?x=.gif"), Some("image/png"));
        assert_eq!(media_type_of("https://x/image"), None);
    }

    #[test]
    fn segments_hold_no_slash() {
        assert_eq!(path_segment("arn:aws/x.y:0"), "arn%3Aaws%2Fx.y%3A0");
    }
}
