//! Replies compared with descriptions of the API: always the server's own, and another one where the variable
//! `TOLLWAY_OPENAPI_SPEC` names its file.

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, OnceLock};

const BASE: &str = "/api/v1";
const RULE_VALUES_MAX: usize = 60;
const URL: &str = "http://openapi/";

/// Of the server under test: nothing in a JSON reply may be unmentioned.
static OWN: OnceLock<Mutex<Spec>> = OnceLock::new();
/// Somebody else's: only what it describes is compared, and replies may say more.
static OTHER: OnceLock<Option<Mutex<Spec>>> = OnceLock::new();

struct Spec {
    name: String,
    document: Value,
    schemas: Schemas,
    /// What is compiled already, by its place in the document.
    compiled: HashMap<String, SchemaIndex>,
}

/// What a reply is called in a description.
struct Place<'a> {
    path: &'a str,
    status: u16,
    media: &'a str,
}

/// Asks a server for its description, once for all tests of this process.
pub async fn learn(base_url: &str, http: &reqwest::Client) {
    if OWN.get().is_none() {
        let text = http.get(format!("{base_url}{BASE}/openapi.json")).send().await.unwrap();
        let mut document: Value = serde_json::from_str(&text.text().await.unwrap()).unwrap();
        close(&mut document["components"]["schemas"]);
        let _ = OWN.set(Mutex::new(Spec::new("openapi.json", document)));
    }
}

/// Panics when a JSON reply from `path` is not as described.
pub fn check_reply(path: &str, status: u16, body: &Value) {
    check(path, status, "application/json", |_| vec![body.clone()]);
}

/// The same for one event of a stream.
pub fn check_event(path: &str, name: Option<&str>, data: &Value) {
    // Some describe an event's data, some the event.
    let whole = json!({"event": name, "data": data});
    check(path, 200, "text/event-stream", |own| match own {
        true => vec![data.clone()],
        false => vec![data.clone(), whole.clone()],
    });
}

fn check(path: &str, status: u16, media: &str, forms: impl Fn(bool) -> Vec<Value>) {
    let Some(path) = path.strip_prefix(BASE) else { return };
    let place = Place { path, status, media };
    if let Some(own) = OWN.get() {
        let mut own = own.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        own.check(&place, &forms(true));
    }
    if let Some(other) = OTHER.get_or_init(Spec::other) {
        let mut other = other.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        other.check(&place, &forms(false));
    }
}

impl Spec {
    fn new(name: &str, document: Value) -> Self {
        Self {
            name: name.to_owned(),
            document,
            schemas: Schemas::new(),
            compiled: HashMap::new(),
        }
    }

    fn other() -> Option<Mutex<Self>> {
        let file = std::env::var("TOLLWAY_OPENAPI_SPEC")
            .ok()
            .filter(|file| !file.is_empty())?;
        let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut document: Value = yaml_serde::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        open(&mut document);
        Some(Mutex::new(Self::new(&file, document)))
    }

    /// Panics when the place is described and none of the reply's forms is as described.
    fn check(&mut self, place: &Place<'_>, forms: &[Value]) {
        let pointers = self.schemas_of(place);
        let mut complaints = String::new();
        for pointer in &pointers {
            let schema = self.compile(pointer);
            for form in forms {
                match self.schemas.validate(form, schema) {
                    Ok(()) => return,
                    Err(error) => writeln!(complaints, "{error:#}").unwrap(),
                }
            }
        }
        let Place { path, status, media } = place;
        assert!(
            pointers.is_empty(),
            "{path} ({status}, {media}) is not as {} describes it:\n{complaints}{}",
            self.name,
            forms[0]
        );
    }

    fn compile(&mut self, pointer: &str) -> SchemaIndex {
        if let Some(compiled) = self.compiled.get(pointer) {
            return *compiled;
        }
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.add_resource(URL, self.document.clone()).unwrap();
        let schema = compiler.compile(&format!("{URL}#{pointer}"), &mut self.schemas);
        let schema = schema.unwrap_or_else(|error| panic!("{}: {error:#}", self.name));
        self.compiled.insert(pointer.to_owned(), schema);
        schema
    }

    /// Where the schemas for a reply stand. More than one where several methods share the address.
    fn schemas_of(&self, place: &Place<'_>) -> Vec<String> {
        let paths = self.document["paths"].as_object().unwrap();
        // The address itself comes before one with parameters that fits as well.
        let template = paths.keys().find(|template| *template == place.path);
        let template = template.or_else(|| paths.keys().find(|template| fits(template, place.path)));
        let Some(template) = template else { return Vec::new() };
        let mut found = Vec::new();
        for (method, operation) in paths[template].as_object().unwrap() {
            let status = place.status.to_string();
            let statuses = [status.as_str(), "default"];
            let known = statuses
                .iter()
                .find(|status| operation["responses"].get(status).is_some());
            let Some(status) = known else { continue };
            if !operation["responses"][status]["content"][place.media]["schema"].is_null() {
                let (template, media) = (escaped(template), escaped(place.media));
                found.push(format!(
                    "/paths/{template}/{method}/responses/{status}/content/{media}/schema"
                ));
            }
        }
        found
    }
}

/// `/models/{author}/{slug}` fits `/models/a/b`.
fn fits(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if pattern == part || pattern.starts_with('{') => {}
            _ => return false,
        }
    }
}

/// As part of a JSON pointer in an address.
fn escaped(name: &str) -> String {
    let name = name.replace('~', "~0").replace('/', "~1");
    name.replace('{', "%7B").replace('}', "%7D")
}

/// Forbids what is not mentioned in objects whose members are.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.entry("additionalProperties").or_insert(false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

/// Lists of values that are marked as growing are no rule, nor are long ones: those are of somebody's providers.
fn open(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            let grows = members
                .get("x-speakeasy-unknown-values")
                .is_some_and(|mark| mark == "allow");
            let values = members.get("enum").and_then(Value::as_array);
            if grows || values.is_some_and(|values| values.len() > RULE_VALUES_MAX) {
                members.remove("enum");
            }
            members.values_mut().for_each(open);
        }
        Value::Array(list) => list.iter_mut().for_each(open),
        _ => {}
    }
}
