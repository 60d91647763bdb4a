//! Images that a request only links, and the same request with the images in it, for providers that take them no other
//! way. Everything else stays as it is written.

use crate::request::ChatRequest;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// An image's address, and where it stands in the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    /// `messages[0].content[1].image_url`
    pub field: String,
    place: Range<usize>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    image_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Image<'a> {
    #[serde(borrow)]
    url: &'a RawValue,
}

/// Every image that stands in `request` as an http or https address, in order.
#[must_use]
pub fn images(request: &ChatRequest) -> Vec<Link> {
    let Some(messages) = request.field("messages") else {
        return Vec::new();
    };
    let all: Vec<Message<'_>> = serde_json::from_slice(messages).unwrap_or_default();
    let mut links = Vec::new();
    for (at, message) in all.iter().enumerate() {
        let Some(content) = message.content.filter(|content| content.get().starts_with('[')) else {
            continue;
        };
        let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
        for (part_at, part) in parts.iter().enumerate() {
            let Some(raw) = part.image_url else { continue };
            let url = match serde_json::from_str::<Image<'_>>(raw.get()) {
                Ok(image) => image.url,
                Err(_) => raw,
            };
            links.extend(link(messages, url).map(|(url, place)| Link {
                url,
                field: format!("messages[{at}].content[{part_at}].image_url"),
                place,
            }));
        }
    }
    links
}

/// `request` with each of [`images`] replaced by a `data:` URL, in the same order.
#[must_use]
pub fn inlined(request: &ChatRequest, links: &[Link], data: &[String]) -> ChatRequest {
    let Some(messages) = request.field("messages") else {
        return request.clone();
    };
    let more: usize = data.iter().map(String::len).sum();
    let mut out = Vec::with_capacity(messages.len() + more);
    let mut from = 0;
    for (link, data) in links.iter().zip(data) {
        out.extend_from_slice(&messages[from..link.place.start]);
        out.push(b'"');
        // Base64 needs no escapes.
        out.extend_from_slice(data.as_bytes());
        out.push(b'"');
        from = link.place.end;
    }
    out.extend_from_slice(&messages[from..]);
    request.with_field("messages", out.into())
}

fn link(messages: &Bytes, raw: &RawValue) -> Option<(String, Range<usize>)> {
    let url: Cow<'_, str> = serde_json::from_str(raw.get()).ok()?;
    let scheme = url.get(..8)?.to_ascii_lowercase();
    if !scheme.starts_with("http://") && !scheme.starts_with("https://") {
        return None;
    }
    let start = raw.get().as_ptr().addr() - messages.as_ptr().addr();
    Some((url.into_owned(), start..start + raw.get().len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_images_and_the_rest_stays_as_written() {
        let body = r#"{"model":"a/b","n":1,"messages":[{"role":"user", "x":1.0,"content":"http://no"},{"role":"user","content":[{"type":"text","text":"caf\u00e9"},
            {"type":"image_url","image_url":{"detail":"low","url":"https:\/\/x.example\/a.png"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}},
            {"type":"image_url","image_url":"HTTP://y.example/b"}]}]}"#;
        let request = ChatRequest::parse(&Bytes::from_static(body.as_bytes())).unwrap();
        let links = images(&request);
        let found: Vec<(&str, &str)> = links.iter().map(|link| (&*link.url, &*link.field)).collect();
        assert_eq!(
            found,
            [
                ("https://x.example/a.png", "messages[1].content[1].image_url"),
                ("HTTP://y.example/b", "messages[1].content[3].image_url")
            ]
        );
        let data = [
            "data:image/png;base64,AAAA".to_owned(),
            "data:image/gif;base64,BBBB".to_owned(),
        ];
        let whole = inlined(&request, &links, &data);
        let expected = body[body.find("\"messages\":").unwrap() + 11..body.len() - 1]
            .replace(r"https:\/\/x.example\/a.png", &data[0])
            .replace("HTTP://y.example/b", &data[1]);
        assert_eq!(whole.field("messages").unwrap().as_ref(), expected.as_bytes());
        assert_eq!(whole.field("n"), request.field("n"));
        assert!(images(&whole).is_empty());
    }

    #[test]
    fn strange_messages_have_no_links() {
        for messages in [
            "[1]",
            r#"[{"content":[1]}]"#,
            r#"[{"content":[{"image_url":{"url":7}}]}]"#,
            r#"[{"content":{}}]"#,
        ] {
            let body = format!(r#"{{"model":"a/b","messages":{messages}}}"#);
            let request = ChatRequest::parse(&Bytes::from(body)).unwrap();
            assert!(images(&request).is_empty(), "{messages}");
        }
    }
}
