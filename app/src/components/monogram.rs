//! A generated mark for authors and providers: up to two letters on a hue that depends on the name alone.

use leptos::prelude::*;

const HUES: u32 = 12;

#[component]
pub fn Monogram(#[prop(into)] name: String, #[prop(optional)] large: bool) -> impl IntoView {
    let size = if large { " large" } else { "" };
    let class = format!("monogram hue-{}{size}", hue(&name));
    let letters = letters(&name);
    view! { <span class=class aria-hidden="true" title=name>{letters}</span> }
}

/// FNV-1a, 32 bits.
fn hue(name: &str) -> u32 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 15)) % HUES
}

/// The first letters of the first two words, or the first two letters of a single word.
fn letters(name: &str) -> String {
    let mut words = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let first = words.next().unwrap_or("?");
    match words.next().and_then(|word| word.chars().next()) {
        Some(second) => first
            .chars()
            .take(1)
            .chain([second])
            .flat_map(char::to_uppercase)
            .collect(),
        None => {
            let mut chars = first.chars();
            let head = chars.next().into_iter().flat_map(char::to_uppercase);
            head.chain(chars.take(1)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_from_words() {
        assert_eq!(
            [letters("meta-llama"), letters("openai"), letters("z"), letters("")],
            ["ML", "Op", "Z", "?"]
        );
        assert_eq!(hue("openai"), hue("openai"));
    }
}
