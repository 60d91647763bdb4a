//! Tables of what the server renders alone; on a phone each row is a card whose cells carry their column's name.

use leptos::prelude::*;

#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    is_number: bool,
    /// On a phone it has a line of the card to itself.
    is_alone: bool,
}

/// The first cell names the row.
pub struct Row {
    /// `data-testid` of the row.
    pub testid: &'static str,
    /// `data-id` of the row.
    pub id: String,
    pub cells: Vec<AnyView>,
}

#[must_use]
pub const fn words(name: &'static str) -> Column {
    Column {
        name,
        is_number: false,
        is_alone: true,
    }
}

#[must_use]
pub const fn number(name: &'static str) -> Column {
    Column {
        name,
        is_number: true,
        is_alone: false,
    }
}

/// Cells of a row, whatever each of them is.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$(::leptos::prelude::IntoAny::into_any($cell)),*] };
}
pub(crate) use cells;

/// A section with a heading, an explanation, and the table, or a sentence where there are no rows.
#[component]
pub fn Listing<const N: usize>(
    title: &'static str,
    #[prop(optional, into)] note: Option<String>,
    columns: [Column; N],
    rows: Vec<Row>,
    /// The last row, set apart.
    #[prop(optional)]
    sum: Option<Row>,
    empty: &'static str,
) -> impl IntoView {
    let note = note.map(|note| view! { <p class="small soft">{note}</p> });
    if rows.is_empty() {
        return view! {
            <section class="stack-s">
                <h2>{title}</h2>
                {note}
                <p class="soft">{empty}</p>
            </section>
        }
        .into_any();
    }
    let columns = in_pairs(columns);
    let rows: Vec<_> = rows.into_iter().map(|row| body_row(columns, row)).collect();
    let sum = sum.map(|sum| view! { <tfoot>{body_row(columns, sum)}</tfoot> });
    view! {
        <section class="stack">
            <div class="stack-s">
                <h2>{title}</h2>
                {note}
            </div>
            <div class="table-box">
                <table class="table cards two">
                    <thead>
                        <tr>{columns.map(|column| view! { <th scope="col" class:number=column.is_number>{column.name}</th> })}</tr>
                    </thead>
                    <tbody>{rows}</tbody>
                    {sum}
                </table>
            </div>
        </section>
    }
    .into_any()
}

/// Numbers stand beside each other on a phone; an odd one is alone.
fn in_pairs<const N: usize>(mut columns: [Column; N]) -> [Column; N] {
    let is_odd = columns.iter().filter(|column| column.is_number).count() % 2 == 1;
    if let Some(last) = columns.iter_mut().rfind(|column| column.is_number) {
        last.is_alone = is_odd;
    }
    columns
}

fn body_row<const N: usize>(columns: [Column; N], row: Row) -> impl IntoView {
    let cells: Vec<_> = row
        .cells
        .into_iter()
        .zip(columns)
        .enumerate()
        .map(|(at, (cell, column))| match at {
            0 => view! { <th scope="row">{cell}</th> }.into_any(),
            _ => view! { <td class:number=column.is_number class:full=column.is_alone data-label=column.name>{cell}</td> }
                .into_any(),
        })
        .collect();
    view! { <tr data-testid=row.testid data-id=row.id>{cells}</tr> }
}
