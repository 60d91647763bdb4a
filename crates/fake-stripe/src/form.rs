//! Stripe's way of writing nested values in a form: `line_items[0][price_data][currency]=usd`, `expand[]=customer`.

use serde_json::{Map, Value};

/// The parameters of one request. Every leaf is text; a list is an array.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form(Value);

impl Form {
    /// Of a body or a query. Keys that make no sense together overwrite each other, as in any form.
    pub(crate) fn parse(text: &[u8]) -> Self {
        let mut root = Value::Object(Map::new());
        for (key, value) in url::form_urlencoded::parse(text) {
            insert(&mut root, &path(&key), Value::String(value.into_owned()));
        }
        Self(lists(root))
    }

    pub(crate) const fn value(&self) -> &Value {
        &self.0
    }

    /// The text at a pointer such as `/payment_intent_data/setup_future_usage`.
    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.0.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
    }

    pub(crate) fn number(&self, pointer: &str) -> Option<i64> {
        self.text(pointer)?.parse().ok()
    }

    pub(crate) fn flag(&self, pointer: &str) -> bool {
        self.text(pointer) == Some("true")
    }

    pub(crate) fn list(&self, pointer: &str) -> &[Value] {
        self.0
            .pointer(pointer)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// An object of texts, such as `metadata`; empty when it is missing.
    pub(crate) fn object(&self, pointer: &str) -> Value {
        let object = self.0.pointer(pointer).filter(|value| value.is_object());
        object.cloned().unwrap_or_else(|| Value::Object(Map::new()))
    }
}

/// `a[b][]` → `a`, `b`, ``.
fn path(key: &str) -> Vec<&str> {
    let (first, rest) = key.split_at(key.find('[').unwrap_or(key.len()));
    let rest = rest
        .strip_prefix('[')
        .map(|rest| rest.strip_suffix(']').unwrap_or(rest));
    let mut path = vec![first];
    path.extend(rest.into_iter().flat_map(|rest| rest.split("][")));
    path
}

fn insert(target: &mut Value, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *target = value;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Some(object) = target.as_object_mut() {
        // `a[]=1&a[]=2` are a[0] and a[1].
        let key = match *first {
            "" => object.len().to_string(),
            key => key.to_owned(),
        };
        insert(object.entry(key).or_insert(Value::Null), rest, value);
    }
}

/// Objects whose keys are 0, 1, 2, … become arrays.
fn lists(value: Value) -> Value {
    let Value::Object(object) = value else { return value };
    let is_list = !object.is_empty() && (0..object.len()).all(|index| object.contains_key(&index.to_string()));
    if is_list {
        let mut object = object;
        let items = (0..object.len()).filter_map(|index| object.remove(&index.to_string()));
        return items.map(lists).collect::<Vec<_>>().into();
    }
    object.into_iter().map(|(key, value)| (key, lists(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nested_keys_become_objects_and_lists() {
        let form = Form::parse(
            b"mode=payment&line_items[0][quantity]=1&line_items[0][price_data][unit_amount]=2000\
              &expand[]=a&expand[]=b.c&metadata[purchase]=pur_1&line_items[1][quantity]=2",
        );
        assert_eq!(
            *form.value(),
            json!({"mode": "payment", "expand": ["a", "b.c"], "metadata": {"purchase": "pur_1"},
                "line_items": [{"quantity": "1", "price_data": {"unit_amount": "2000"}}, {"quantity": "2"}]})
        );
        assert_eq!(form.number("/line_items/0/price_data/unit_amount"), Some(2000));
        assert_eq!(form.text("/nothing"), None);
    }

    #[test]
    fn more_than_ten_items_keep_their_order() {
        let text: Vec<String> = (0..12).map(|index| format!("a[]={index}")).collect();
        let form = Form::parse(text.join("&").as_bytes());
        assert_eq!(form.list("/a").last(), Some(&json!("11")));
    }
}
