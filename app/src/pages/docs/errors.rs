//! The published table of errors, from the one list the API itself uses.

use crate::components::code::CodeBlock;
use domain::error_type::ErrorType;
use leptos::prelude::*;

#[component]
pub fn ErrorTable() -> impl IntoView {
    let rows: Vec<_> = ErrorType::ALL
        .iter()
        .map(|kind| {
            view! {
                <tr data-testid="error-row">
                    <th scope="row"><code>{kind.name()}</code></th>
                    <td class="number">{kind.status()}</td>
                    <td>{advice(*kind)}</td>
                </tr>
            }
        })
        .collect();
    let example = r#"{
  "error": {
    "code": 402,
    "message": "…",
    "metadata": { "error_type": "payment_required" }
  }
}"#;
    view! {
        <section class="stack" id="errors">
            <h2>"Errors"</h2>
            <p>
                "Every error has the same shape. Decide by " <code>"error_type"</code>
                ", which stays the same; the message is for people."
            </p>
            <CodeBlock code=example label="An error"/>
            <div class="table-box" tabindex="0" role="region" aria-label="Errors">
                <table class="table">
                    <thead>
                        <tr>
                            <th scope="col">"error_type"</th>
                            <th scope="col" class="number">"Status"</th>
                            <th scope="col">"What it means"</th>
                        </tr>
                    </thead>
                    <tbody>{rows}</tbody>
                </table>
            </div>
        </section>
    }
}

const fn advice(kind: ErrorType) -> &'static str {
    match kind {
        ErrorType::ContextLengthExceeded => {
            "The prompt is longer than the model's context. Shorten it, or choose a longer context."
        }
        ErrorType::MaxTokensExceeded => "max_tokens is more than the endpoint gives. Ask for less.",
        ErrorType::TokenLimitExceeded => "Prompt and max_tokens together exceed a limit. Ask for less.",
        ErrorType::StringTooLong => "A field is too long. The message names it.",
        ErrorType::Authentication => {
            "The key is missing, mistyped, unknown, disabled or expired. The message says which."
        }
        ErrorType::PaymentRequired => "Credits or the key's limit do not suffice. The message says what is affordable.",
        ErrorType::PermissionDenied => "The key may not do this.",
        ErrorType::NotFound => "There is no such model or generation. Near names come along.",
        ErrorType::MethodNotAllowed => "The address exists, for another method.",
        ErrorType::RateLimitExceeded => "Too many requests. Wait for Retry-After.",
        ErrorType::ProviderOverloaded => "The providers are at their limit. Try again, or allow more of them.",
        ErrorType::ProviderUnavailable => {
            "No provider could answer. With 503: the operator has set no key for any of them."
        }
        ErrorType::InvalidRequest => "The request makes no sense. The message says where.",
        ErrorType::InvalidPrompt => "The provider refuses the form of the messages.",
        ErrorType::PreconditionFailed => "A condition you set does not hold.",
        ErrorType::PayloadTooLarge => "The body is too large.",
        ErrorType::Unprocessable => "The request is well formed and cannot be carried out.",
        ErrorType::ContentPolicyViolation => "The provider's moderation refused the prompt.",
        ErrorType::Refusal => "The model refused to answer.",
        ErrorType::InvalidImage => "An image could not be read or fetched.",
        ErrorType::Server => "A fault of ours. Nothing was charged.",
        ErrorType::ServiceUnavailable => "Our database does not answer. Try again after Retry-After.",
        ErrorType::Timeout => "The provider took too long.",
        ErrorType::Unmapped => "The provider failed in a way we do not know yet. Its own words come along.",
    }
}
