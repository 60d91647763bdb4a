//! A chat request: parsed at its top level only, so that large parts are forwarded without being looked at.

use crate::dialect::Inexpressible;
use crate::estimate::Prompt;
use crate::surface::Form;
use bytes::Bytes;
use domain::catalog::Dialect;
use domain::slug::ModelRef;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::OnceLock;

/// What routing, money and relaying need to know, beside the fields as the caller wrote them.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// In the words of the chat API. Every top-level field in the caller's order, each value a slice of the body where
    /// the caller speaks that API.
    chat: OnceLock<Result<Vec<Field>, Inexpressible>>,
    /// The same as the caller wrote it, if in the words of a provider's other dialect.
    pub native: Option<Native>,
    /// In which words the answer is told.
    pub form: Form,
    /// Who the caller says asks, as raw JSON.
    pub user: Option<Bytes>,
    /// The wanted models, the first choice first.
    pub models: Vec<ModelRef>,
    /// Whether the caller wants server-sent events.
    pub stream: bool,
    /// The smaller of `max_tokens` and `max_completion_tokens`.
    pub max_tokens: Option<u64>,
    /// Completions asked for; 1 unless `n` says otherwise.
    pub choices: u64,
    pub preferences: Preferences,
    /// Upper estimate of the prompt, in tokens.
    pub prompt_tokens_estimate: u64,
    /// The prompt's size, kept until the answer is over.
    pub prompt: Prompt,
}

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub value: Bytes,
}

/// A request that an endpoint of `dialect` takes as it is.
#[derive(Debug, Clone)]
pub struct Native {
    pub dialect: Dialect,
    /// What to forward: every top-level field in the caller's order, a slice of the body, without those that are only
    /// for us. Model, `stream`, limit of the answer and end user stand in it as the caller wrote them.
    pub fields: Vec<Field>,
    /// Which of the chat API's parameters it sets, by their names there.
    pub(crate) says: Vec<&'static str>,
    /// To the words of the chat API.
    pub(crate) translate: fn(&[Field]) -> Result<Vec<Field>, Inexpressible>,
}

/// The `provider` object of a request.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Preferences {
    pub order: Vec<String>,
    pub only: Vec<String>,
    pub ignore: Vec<String>,
    pub allow_fallbacks: Option<bool>,
    pub require_parameters: bool,
    pub data_collection: Option<DataCollection>,
    pub quantizations: Vec<String>,
    pub sort: Option<Sort>,
    pub max_price: Option<MaxPrice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataCollection {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sort {
    Price,
    Throughput,
    Latency,
}

/// Dollars per million tokens, as decimal numbers or text.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct MaxPrice {
    pub prompt: Option<Dollars>,
    pub completion: Option<Dollars>,
}

/// An amount as the caller wrote it; kept as text so that no float touches it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Dollars {
    Number(serde_json::Number),
    Text(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("The body is not valid JSON: {message} at line {line}, column {column}.")]
    Json {
        message: String,
        line: usize,
        column: usize,
    },
    #[error("The body must be a JSON object.")]
    NotAnObject,
    #[error("The field \"{0}\" is given twice. Send it once.")]
    Duplicate(String),
    #[error("The field \"{field}\" {problem}.")]
    Field { field: &'static str, problem: String },
    #[error("The request can't be understood: {0}.")]
    Unclear(Inexpressible),
}

/// Longest list of fallback models.
pub const MODELS_MAX: usize = 16;

impl ChatRequest {
    /// A request in the words of the chat API.
    pub fn parse(body: &Bytes) -> Result<Self, RequestError> {
        Self::of_chat(top_level(body)?, Form::Chat)
    }

    /// Whether the caller speaks `dialect`, so that a provider of it can be sent what the caller wrote.
    #[must_use]
    pub fn is_native(&self, dialect: Dialect) -> bool {
        self.native.as_ref().is_some_and(|native| native.dialect == dialect)
    }

    /// The service tier that the caller asks for, if any.
    #[must_use]
    pub fn service_tier(&self) -> Option<String> {
        // What other APIs call it is the same word: nothing need be translated to find it.
        let own = self
            .native
            .as_ref()
            .map_or_else(|| self.fields(), |native| native.fields.as_slice());
        serde_json::from_slice(present(own, "service_tier")?).ok()
    }

    /// The raw JSON of a top-level field of the chat API; a `null` counts as absent.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Bytes> {
        present(self.fields(), name)
    }

    /// The top-level fields in the words of the chat API; none when it has no words for the request.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.chat_form().unwrap_or_default()
    }

    /// As [`Self::fields`], and what the chat API cannot say. Made when it is first asked for.
    pub fn chat_form(&self) -> Result<&[Field], Inexpressible> {
        let made = self.chat.get_or_init(|| match &self.native {
            Some(native) => (native.translate)(&native.fields),
            None => Ok(Vec::new()),
        });
        made.as_deref().map_err(Clone::clone)
    }

    /// The same in the words of the chat API, with another value for a field that it has.
    pub(crate) fn with_field(&self, name: &str, value: Bytes) -> Self {
        let mut fields = self.fields().to_vec();
        if let Some(field) = fields.iter_mut().find(|field| field.name == name) {
            field.value = value;
        }
        Self {
            chat: OnceLock::from(Ok(fields)),
            native: None,
            ..self.clone()
        }
    }

    /// Whether the caller set a parameter of the chat API, in whatever words.
    #[must_use]
    pub fn says(&self, parameter: &str) -> bool {
        match &self.native {
            Some(native) => native.says.contains(&parameter),
            None => self.field(parameter).is_some(),
        }
    }

    /// A request in the words of another API. `fields` are all of the caller's: those that are ours are read from them.
    pub(crate) fn of_native(
        fields: &[Field],
        native: Native,
        form: Form,
        prompt: Prompt,
        limit: Option<u64>,
    ) -> Result<Self, RequestError> {
        if limit == Some(0) {
            return Err(wrong("max_tokens", "must be at least 1"));
        }
        Ok(Self {
            chat: OnceLock::new(),
            form,
            user: None,
            models: models(fields)?,
            stream: typed(fields, "stream", "must be true or false")?.unwrap_or(false),
            max_tokens: limit,
            choices: 1,
            preferences: preferences(fields)?,
            prompt_tokens_estimate: prompt.tokens_by_size(),
            prompt,
            native: Some(native),
        })
    }

    /// Lets endpoints of the request's own dialect take it translated, too.
    pub(crate) fn translated(mut self) -> Result<Self, Inexpressible> {
        if let Some(native) = &self.native {
            self.chat = OnceLock::from(Ok((native.translate)(&native.fields)?));
            self.native = None;
        }
        Ok(self)
    }

    /// A request in the words of the chat API, to be answered in `form`.
    pub(crate) fn of_chat(fields: Vec<Field>, form: Form) -> Result<Self, RequestError> {
        let models = models(&fields)?;
        let messages = present(&fields, "messages").ok_or_else(|| wrong("messages", "is missing"))?;
        if messages.first() != Some(&b'[') || messages[1..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b']') {
            return Err(wrong("messages", "must be an array with at least one message"));
        }
        // The messages first, since they are what is kept.
        let prompt = Prompt::named(&fields, &["messages", "tools", "response_format"]);
        let max_tokens: Option<u64> = typed(&fields, "max_tokens", "must be a whole number of tokens")?;
        let max_completion: Option<u64> = typed(&fields, "max_completion_tokens", "must be a whole number of tokens")?;
        if max_tokens == Some(0) || max_completion == Some(0) {
            return Err(wrong("max_tokens", "must be at least 1"));
        }
        let choices = typed(&fields, "n", "must be a whole number")?.unwrap_or(1);
        if !(1..=128).contains(&choices) {
            return Err(wrong("n", "must be between 1 and 128"));
        }
        Ok(Self {
            models,
            stream: typed(&fields, "stream", "must be true or false")?.unwrap_or(false),
            max_tokens: max_tokens.into_iter().chain(max_completion).min(),
            choices,
            preferences: preferences(&fields)?,
            prompt_tokens_estimate: prompt.tokens_by_size(),
            prompt,
            user: present(&fields, "user").cloned(),
            native: None,
            form,
            chat: OnceLock::from(Ok(fields)),
        })
    }
}

/// The fields of a body, each value a slice of it.
pub(crate) fn top_level(body: &Bytes) -> Result<Vec<Field>, RequestError> {
    let top: TopLevel<'_> = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
    let mut fields: Vec<Field> = Vec::with_capacity(top.0.len());
    for (name, value) in top.0 {
        if fields.iter().any(|field| field.name == name) {
            return Err(RequestError::Duplicate(name));
        }
        fields.push(Field {
            name,
            value: body.slice_ref(value.get().as_bytes()),
        });
    }
    Ok(fields)
}

/// The members of a JSON object in order, their values unparsed.
pub(crate) struct TopLevel<'a>(pub Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for TopLevel<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = TopLevel<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(TopLevel(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

fn preferences(fields: &[Field]) -> Result<Preferences, RequestError> {
    let told = typed(fields, "provider", "is not a valid set of provider preferences")?;
    Ok(told.unwrap_or_default())
}

fn models(fields: &[Field]) -> Result<Vec<ModelRef>, RequestError> {
    let first: Option<String> = typed(fields, "model", "must be text, such as \"openai/gpt-4.1\"")?;
    let others: Vec<String> = typed(fields, "models", "must be an array of model names")?.unwrap_or_default();
    if others.len() > MODELS_MAX {
        return Err(wrong("models", &format!("has more than {MODELS_MAX} entries")));
    }
    let mut models: Vec<ModelRef> = Vec::new();
    for name in first.into_iter().chain(others) {
        let model = ModelRef::parse(&name).map_err(|error| wrong("model", &format!("is {name:?}, but {error}")))?;
        if !models.contains(&model) {
            models.push(model);
        }
    }
    if models.is_empty() {
        return Err(wrong("model", "is missing; name a model such as \"openai/gpt-4.1\""));
    }
    Ok(models)
}

pub(crate) fn present<'a>(fields: &'a [Field], name: &str) -> Option<&'a Bytes> {
    fields
        .iter()
        .find(|field| field.name == name)
        .map(|field| &field.value)
        .filter(|value| value.as_ref() != b"null")
}

pub(crate) fn typed<'a, T: Deserialize<'a>>(
    fields: &'a [Field],
    name: &'static str,
    problem: &str,
) -> Result<Option<T>, RequestError> {
    match present(fields, name) {
        None => Ok(None),
        Some(value) => serde_json::from_slice(value)
            .map(Some)
            .map_err(|_| wrong(name, problem)),
    }
}

pub(crate) fn wrong(field: &'static str, problem: &str) -> RequestError {
    RequestError::Field {
        field,
        problem: problem.to_owned(),
    }
}

fn json_error(error: &serde_json::Error) -> RequestError {
    if error.is_data() {
        return RequestError::NotAnObject;
    }
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text).to_owned();
    RequestError::Json {
        message,
        line: error.line(),
        column: error.column(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<ChatRequest, RequestError> {
        ChatRequest::parse(&Bytes::copy_from_slice(body.as_bytes()))
    }

    fn refused(body: &str) -> String {
        parse(body).unwrap_err().to_string()
    }

    const MESSAGES: &str = r#""messages":[{"role":"user","content":"hi"}]"#;

    #[test]
    fn the_top_level_is_parsed_and_the_rest_is_kept_as_written() {
        let request = parse(&format!(
            r#"{{"model":"A/b:nitro","models":["c/d","a/b:nitro"],"stream":true,"max_tokens":5,"max_completion_tokens":3,
                "n":2,"provider":{{"order":["x"],"sort":"price"}},"odd": {{ "k" : 1.0 }},{MESSAGES}}}"#
        ))
        .unwrap();
        assert_eq!(request.models.len(), 2);
        assert!(request.stream);
        assert_eq!((request.max_tokens, request.choices), (Some(3), 2));
        assert_eq!(request.preferences.order, ["x"]);
        assert_eq!(request.field("odd").unwrap().as_ref(), br#"{ "k" : 1.0 }"#);
    }

    #[test]
    fn bad_input_is_named() {
        assert!(
            refused("{\"model\":\n  \"a/b\",,}").contains("line 2, column 9"),
            "{}",
            refused("{\"model\":\n  \"a/b\",,}")
        );
        assert_eq!(refused("[]"), "The body must be a JSON object.");
        assert!(refused(r#"{"model":"a/b","model":"c/d"}"#).contains("\"model\" is given twice"));
        assert!(refused(r#"{"model":"a/b"}"#).contains("\"messages\" is missing"));
        assert!(refused(r#"{"model":"a/b","messages":[ ]}"#).contains("at least one message"));
        assert!(refused(&format!(r#"{{{MESSAGES}}}"#)).contains("\"model\" is missing"));
        assert!(refused(&format!(r#"{{"model":"gpt-4",{MESSAGES}}}"#)).contains("author/name"));
        assert!(
            refused(&format!(r#"{{"model":"a/b","max_tokens":-1,{MESSAGES}}}"#)).contains("\"max_tokens\" must be")
        );
        assert!(refused(&format!(r#"{{"model":"a/b","stream":1,{MESSAGES}}}"#)).contains("true or false"));
        assert!(refused(&format!(r#"{{"model":"a/b","n":0,{MESSAGES}}}"#)).contains("between 1 and 128"));
    }

    #[test]
    fn null_is_the_same_as_absent() {
        let request = parse(&format!(
            r#"{{"model":"a/b","stream":null,"max_tokens":null,"provider":null,{MESSAGES}}}"#
        ))
        .unwrap();
        assert_eq!((request.stream, request.max_tokens), (false, None));
    }

    #[test]
    fn deep_nesting_is_forwarded_unread_and_not_a_crash() {
        let body = format!(
            r#"{{"model":"a/b","messages":[{}1{}]}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        assert!(parse(&body).is_ok());
    }
}
