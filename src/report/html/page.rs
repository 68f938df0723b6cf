//! What all pages have: the frame, the style, tables, and the numbers that are drawn.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// uPlot 1.6.32, which draws; licence beside it.
const PLOT_SCRIPT: &str = include_str!("vendor/uPlot.iife.min.js");
const PLOT_STYLE: &str = include_str!("vendor/uPlot.min.css");
/// The page may load nothing from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      img-src data:; frame-src 'self'";

/// A page. With `data`, `page.js` draws it.
pub(super) fn page(title: &str, body: &Markup, data: Option<&impl Serialize>) -> String {
    let data = data.map(|data| serde_json::to_string(data).unwrap_or_default());
    // Inside a script element only these characters could end it.
    let data = data.map(|data| data.replace('<', "\\u003c"));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
                @if data.is_some() { style { (PreEscaped(PLOT_STYLE)) } }
            }
            body {
                (body)
                footer { "pyheap " (env!("CARGO_PKG_VERSION")) ", one page, nothing is loaded" }
                @if let Some(data) = data {
                    script type="application/json" id="data" { (PreEscaped(data)) }
                    script { (PreEscaped(PLOT_SCRIPT)) }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        }
    }
    .into_string()
}

/// A table; columns whose heading begins with `#` hold numbers.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> Markup {
    let is_number = |nth: usize| headings.get(nth).is_some_and(|text| text.starts_with('#'));
    html! {
        table {
            thead { tr {
                @for (nth, text) in headings.iter().enumerate() {
                    th.n[is_number(nth)] { (text.trim_start_matches('#')) }
                }
            } }
            tbody {
                @for row in rows {
                    tr {
                        @for (nth, cell) in row.iter().enumerate() {
                            td.n[is_number(nth)] { (cell) }
                        }
                    }
                }
            }
        }
    }
}

/// A share of a whole in percent.
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1}", crate::report::units::share(part, whole) * 100.0)
}
