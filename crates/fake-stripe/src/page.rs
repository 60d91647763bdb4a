//! The payment page: plain HTML, since it stands for another company's site.

use crate::objects::CARDS;
use serde_json::Value;
use std::fmt::Write as _;

/// The page of an open session, or a word about one that is not open any more. `declined` is said after a failed try.
pub(crate) fn html(session: &Value, declined: bool) -> String {
    let cents = session["amount_total"].as_i64().unwrap_or(0);
    let amount = format!("${}.{:02}", cents / 100, cents % 100);
    let id = escaped(session["id"].as_str().unwrap_or_default());
    let body = match session["status"] == "open" {
        true => form(session),
        false => "<p role=status>This payment page is closed.</p>".to_owned(),
    };
    let said = match declined {
        true => "<p role=alert>Your card was declined. Try another one.</p>",
        false => "",
    };
    PAGE.replace("{amount}", &amount)
        .replace("{id}", &id)
        .replace("{said}", said)
        .replace("{body}", &body)
}

fn form(session: &Value) -> String {
    let takes = |kind: &str| {
        let types = session["payment_method_types"].as_array();
        types.is_some_and(|types| types.iter().any(|taken| taken == kind))
    };
    let mut options = String::new();
    if takes("card") {
        for card in &CARDS {
            // Writing to a string cannot fail.
            let _ = write!(
                options,
                "<option value='{}'>{} •••• {}</option>",
                card.id, card.label, card.last4
            );
        }
    }
    if takes("crypto") {
        options.push_str("<option value='crypto'>Stablecoin wallet</option>");
    }
    format!(
        "<form method=post><label>Pay with <select name=card>{options}</select></label>\
         <button name=choice value=pay class=pay>Pay</button>\
         <button name=choice value=later_succeeds>Pay later succeeds</button>\
         <button name=choice value=later_fails>Pay later fails</button>\
         <button name=choice value=decline>Decline</button>\
         <button name=choice value=cancel>Cancel</button></form>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\'', "&#39;")
        .replace('"', "&quot;")
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Pay {amount} · stand-in of Stripe</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: Canvas; color: CanvasText; }
main { width: min(24rem, calc(100vw - 3rem)); }
.mark { border: 2px dashed; border-radius: .5rem; padding: .75rem 1rem; font-weight: 600; }
h1 { font-size: 2.5rem; margin: 1.5rem 0 0; }
label { display: block; margin-top: 1rem; }
button, select { width: 100%; padding: .75rem; margin-top: .75rem; font: inherit; border-radius: .5rem; border: 1px solid;
  background: Canvas; color: CanvasText; }
.pay { background: #1f5f3a; color: #fff; border-color: #1f5f3a; font-weight: 600; }
code { font-size: .8rem; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<p class="mark">Stand-in of Stripe: no real money</p>
<h1>{amount}</h1>
<p><code>{id}</code></p>
{said}
{body}
</main>
</body>
</html>
"#;
