//! Server-sent events as they are written.

use crate::dialect::json::Json;

/// One event. What was taken over as written may be on several lines; no string of JSON is, so that ends of lines are
/// nothing but space.
pub(super) fn event(out: &mut Vec<u8>, name: Option<&str>, data: &Json<'_>) {
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"data: ");
    let space = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
    out.extend(data.to_bytes().into_iter().map(space));
    out.extend_from_slice(b"\n\n");
}
