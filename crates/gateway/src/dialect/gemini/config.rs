//! `generationConfig`: how Gemini samples, thinks and shapes its answer.

use crate::dialect::json::Json;
use crate::dialect::parameters::{Format, Parameters, Wanted};
use crate::dialect::reasoning::Effort;
use crate::dialect::{Inexpressible, cannot};
use serde::Deserialize;

/// The most that any model of the budgeted generation thinks.
const BUDGET_TOKENS_MAX: u64 = 24_576;
const PRO_BUDGET_TOKENS_MIN: u64 = 128;

pub(super) fn write<'a>(parameters: &Parameters<'a>) -> Result<Json<'a>, Inexpressible> {
    let stop: Vec<Json<'a>> = parameters.stop.iter().cloned().map(Json::from).collect();
    let logprobs = parameters.truth("logprobs")?;
    let config = Json::Object(Vec::new())
        .and("maxOutputTokens", parameters.limit)
        .and("temperature", parameters.number("temperature")?)
        .and("topP", parameters.number("top_p")?)
        .and("topK", parameters.number("top_k")?)
        .and("seed", parameters.number("seed")?)
        .and("presencePenalty", parameters.number("presence_penalty")?)
        .and("frequencyPenalty", parameters.number("frequency_penalty")?)
        .unless_empty("stopSequences", Json::List(stop))
        .and("candidateCount", parameters.raw("n"))
        .and("responseLogprobs", logprobs.then_some(true))
        .and("logprobs", parameters.raw("top_logprobs").filter(|_| logprobs))
        .and("responseModalities", modalities(parameters)?)
        .and("imageConfig", image_config(parameters)?)
        .and("thinkingConfig", thinking(parameters));
    Ok(match &parameters.format {
        Format::Text => config,
        Format::JsonObject => config.with("responseMimeType", "application/json"),
        Format::JsonSchema(schema) => config
            .with("responseMimeType", "application/json")
            .with("responseJsonSchema", Json::raw(schema.schema.get())),
    })
}

/// Whether the model is told a level of thinking; earlier ones are told a number of tokens.
pub(super) fn is_by_level(model: &str) -> bool {
    generation(model).is_none_or(|(major, _)| major >= 3)
}

/// `gemini-2.5-pro`: (2, 5). `None` for names without a version, which stand for the newest.
fn generation(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("gemini-")?;
    let version = name.split('-').next()?;
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    Some((major.parse().ok()?, minor.parse().unwrap_or(0)))
}

fn thinking<'a>(parameters: &Parameters<'a>) -> Option<Json<'a>> {
    let reasoning = &parameters.reasoning;
    let model = parameters.model();
    let thinks = generation(model).is_none_or(|version| version >= (2, 5));
    if !thinks || reasoning.wanted == Wanted::Unsaid {
        return None;
    }
    let limit = parameters.limit_or_most();
    let config = Json::Object(Vec::new()).and(
        "includeThoughts",
        (reasoning.is_on() && !reasoning.exclude).then_some(true),
    );
    Some(match &reasoning.wanted {
        Wanted::Tokens(tokens) => config.with("thinkingBudget", *tokens),
        Wanted::On => config,
        _ if is_by_level(model) => config.with("thinkingLevel", level(reasoning.effort(limit), model)),
        _ => config.with(
            "thinkingBudget",
            reasoning
                .budget(limit)
                .map_or_else(|| least(model), |budget| budget.min(BUDGET_TOKENS_MAX)),
        ),
    })
}

/// The larger ones always think a little.
fn least(model: &str) -> u64 {
    if model.contains("pro") {
        PRO_BUDGET_TOKENS_MIN
    } else {
        0
    }
}

/// These models always think: the least is what comes nearest to none.
fn level(effort: Option<Effort>, model: &str) -> &'static str {
    let least = if model.contains("pro") { "low" } else { "minimal" };
    match effort {
        None | Some(Effort::Minimal) => least,
        Some(Effort::Low) => "low",
        Some(Effort::Medium) => "medium",
        Some(Effort::High | Effort::Xhigh | Effort::Max) => "high",
    }
}

fn modalities<'a>(parameters: &Parameters<'a>) -> Result<Option<Json<'a>>, Inexpressible> {
    let named = parameters.modalities.iter().map(|modality| match modality.as_ref() {
        "text" => Ok("TEXT".into()),
        "image" => Ok("IMAGE".into()),
        _ => Err(cannot(
            "modalities",
            "asks for what this provider does not give: it gives text and images",
        )),
    });
    let named: Vec<Json<'a>> = named.collect::<Result<_, _>>()?;
    Ok((!named.is_empty()).then_some(Json::List(named)))
}

fn image_config<'a>(parameters: &Parameters<'a>) -> Result<Option<Json<'a>>, Inexpressible> {
    #[derive(Deserialize)]
    struct Wishes {
        aspect_ratio: Option<String>,
        image_size: Option<String>,
    }
    let wishes: Option<Wishes> = parameters.read("image_config", "is not a valid set of wishes for images")?;
    let config = wishes.map(|wishes| {
        Json::Object(Vec::new())
            .and("aspectRatio", wishes.aspect_ratio)
            .and("imageSize", wishes.image_size)
    });
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_told_apart_by_generation() {
        assert_eq!(generation("gemini-2.5-flash-lite"), Some((2, 5)));
        assert_eq!(generation("gemini-4-argon"), Some((4, 0)));
        assert!(is_by_level("gemini-3.1-pro-preview") && is_by_level("gemini-flash-latest"));
        assert!(!is_by_level("gemini-2.5-pro"));
    }
}
