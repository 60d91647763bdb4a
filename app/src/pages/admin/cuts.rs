//! What providers do when a caller hangs up, measured by their own records.

use super::admin;
use super::providers::is_name;
use crate::components::badge::{Badge, Tone};
use crate::components::table::{Listing, Row, cells, number, words};
use crate::fail::Fail;
use crate::site::answer;
use domain::catalog::CancelPolicy;
use leptos::prelude::*;
use leptos::server_fn::ServerFn;
use store::cuts::{self, Evidence, RecordLine, TELLING_MIN};

const LINES_MAX: usize = 50_000;

/// `provider,id,completion_tokens` per line; a first line of these words, and empty lines, are passed over. All or nothing.
#[server(endpoint = "admin_cuts")]
pub async fn import_records(csv: String) -> Result<(), Fail> {
    answer(async {
        let (site, _) = admin().await?;
        let lines = parse_csv(&csv).ok_or(Fail::RecordLines)?;
        let mut tx = site.store.begin().await?;
        cuts::import(&mut tx, &lines, (site.now)()).await?;
        tx.commit().await?;
        leptos_axum::redirect("/admin/providers?done=records");
        Ok(())
    })
    .await
}

pub(super) fn view(evidence: &[Evidence]) -> impl IntoView + use<> {
    let rows: Vec<_> = evidence.iter().map(row).collect();
    view! {
        <Listing
            title="When a caller hangs up"
            note="Answers whose connection was closed in the middle, beside what their provider's records of the last 90 days bill for them. A verdict stands above what the catalog says."
            columns=[
                words("Endpoint"),
                number("Compared"),
                number("Telling"),
                number("Billed on"),
                words("Verdict"),
            ]
            rows=rows
            empty="No record of such an answer was imported."
        />
        <section class="card tight stack-s">
            <h2>"Import providers' records"</h2>
            <form class="fields" method="post" action=ImportRecords::url()>
                <div class="field">
                    <label for="records">"CSV, one request per line: provider,id,completion_tokens"</label>
                    <textarea
                        class="input mono"
                        id="records"
                        name="csv"
                        rows="5"
                        required=true
                        placeholder="openai,chatcmpl-9bV0,412"
                        data-testid="records-csv"
                    ></textarea>
                    <p class="hint">"The id is the provider's own, as on the generation's page."</p>
                </div>
                <div><button class="button" data-testid="records-import">"Compare"</button></div>
            </form>
        </section>
    }
}

fn row(one: &Evidence) -> Row {
    let verdict = match one.verdict() {
        Some(CancelPolicy::Stops) => view! { <Badge text="stops billing" tone=Tone::Good/> },
        Some(CancelPolicy::BillsToEnd) => view! { <Badge text="bills to the end" tone=Tone::Warn/> },
        Some(CancelPolicy::Unknown) | None if one.telling < TELLING_MIN => view! { <Badge text="too few"/> },
        Some(CancelPolicy::Unknown) | None => view! { <Badge text="now this, now that"/> },
    };
    Row {
        testid: "cuts-row",
        id: one.endpoint.clone(),
        cells: cells![
            one.endpoint.clone(),
            one.cuts.to_string(),
            one.telling.to_string(),
            one.billed_on.to_string(),
            verdict,
        ],
    }
}

fn parse_csv(text: &str) -> Option<Vec<RecordLine>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let is_head = |line: &str| line.eq_ignore_ascii_case("provider,id,completion_tokens");
    let lines: Option<Vec<_>> = lines
        .enumerate()
        .filter(|(at, line)| *at > 0 || !is_head(line))
        .map(|(_, line)| parse_line(line))
        .collect();
    lines.filter(|lines| !lines.is_empty() && lines.len() <= LINES_MAX)
}

fn parse_line(line: &str) -> Option<RecordLine> {
    let mut fields = line.split(',').map(|field| field.trim().trim_matches('"'));
    let (provider, id, completion) = (fields.next()?, fields.next()?, fields.next()?);
    let completion = completion.parse::<u32>().ok()?;
    let fits = fields.next().is_none() && is_name(provider) && is_name(id);
    fits.then(|| RecordLine {
        provider: provider.to_owned(),
        upstream_id: id.to_owned(),
        completion: completion.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_line_by_line_and_one_bad_line_refuses_them() {
        let text = "provider,id,completion_tokens\r\nacme,chatcmpl-1,412\n\n\"acme\", chatcmpl-2 ,0\n";
        let line = |id: &str, completion| RecordLine {
            provider: "acme".to_owned(),
            upstream_id: id.to_owned(),
            completion,
        };
        assert_eq!(
            parse_csv(text),
            Some(vec![line("chatcmpl-1", 412), line("chatcmpl-2", 0)])
        );
        for bad in [
            "acme,chatcmpl-3",
            "acme,chatcmpl-3,-1",
            "acme,chatcmpl-3,1,2",
            ",chatcmpl-3,1",
        ] {
            assert_eq!(parse_csv(&format!("{text}{bad}")), None, "{bad}");
        }
    }
}
