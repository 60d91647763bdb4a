//! An answer in JSON from providers that can only be held to a schema by a tool: a tool whose arguments are the answer.

use super::json::Json;
use super::parameters::{Choice, Format, Parameters};
use super::{Inexpressible, cannot};

/// What the tool is called. Decoders know it again.
pub(super) const NAME: &str = "tollway_json_answer";
pub(super) const DESCRIPTION: &str = "Gives the answer. Its input is the whole answer.";

/// Which tools to offer, and how they are chosen among.
pub(super) struct Offer<'a> {
    /// Whether the caller's own are among them.
    pub has_own: bool,
    pub choice: Choice<'a>,
    /// Schema of the tool to answer with.
    pub answer: Option<Json<'a>>,
}

/// Where the caller may have tools called too, some tool must be chosen: one of the caller's, or the answer.
pub(super) fn offer<'a>(parameters: &Parameters<'a>, thinks: bool) -> Result<Offer<'a>, Inexpressible> {
    let has_own = !parameters.tools.is_empty();
    let choice = parameters.choice.clone();
    let forced = |choice: &Choice<'_>| matches!(choice, Choice::Required | Choice::Function(_));
    let answer = match &parameters.format {
        Format::Text => None,
        Format::JsonObject => Some(Json::raw(r#"{"type":"object"}"#)),
        Format::JsonSchema(_) if parameters.has_schemas() => None,
        Format::JsonSchema(schema) => Some(Json::raw(schema.schema.get())),
    };
    let Some(schema) = answer.filter(|_| !forced(&choice)) else {
        if thinks && forced(&choice) {
            return Err(cannot(
                "tool_choice",
                "can't be forced at this provider while the model reasons",
            ));
        }
        return Ok(Offer {
            has_own,
            choice,
            answer: None,
        });
    };
    if thinks {
        let why = "can't be kept to by this provider while the model reasons";
        return Err(cannot("response_format", why));
    }
    let has_own = has_own && choice != Choice::None;
    Ok(Offer {
        has_own,
        choice: if has_own {
            Choice::Required
        } else {
            Choice::Function(NAME.into())
        },
        answer: Some(schema),
    })
}
