//! The exact labels of an object's edges as text: a JSON list of runs.
//!
//! `[["attribute","x"],["items",0,1000000]]` names one attribute and a million items. The text is
//! what the columns `label_runs` and `hidden_label_runs` hold; Parquet's dictionaries keep each one
//! once in a row group.

use serde::{Deserialize, Serialize};

use crate::graph::{EdgeLabel, HeapGraph, Interner, LabelRun, ShapeId};

/// A run as JSON: a word, then a name, a number, or a first number and a length.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RunText<'a> {
    Named(#[serde(borrow)] std::borrow::Cow<'a, str>, #[serde(borrow)] std::borrow::Cow<'a, str>),
    Numbered(#[serde(borrow)] std::borrow::Cow<'a, str>, u32),
    Span(#[serde(borrow)] std::borrow::Cow<'a, str>, u32, u32),
}

/// The text of a shape; none for the empty shape.
pub(super) fn encode(graph: &HeapGraph, shape: ShapeId) -> Result<Option<String>, String> {
    let runs = graph.shapes.runs(shape);
    if runs.is_empty() {
        return Ok(None);
    }
    let runs: Vec<RunText<'_>> = runs.iter().map(|&run| run_text(&graph.strings, run)).collect();
    serde_json::to_string(&runs).map(Some).map_err(|error| error.to_string())
}

fn run_text(strings: &Interner, run: LabelRun) -> RunText<'_> {
    let named = |word: &'static str, name| RunText::Named(word.into(), strings.text(name).into());
    let numbered = |word: &'static str, number| RunText::Numbered(word.into(), number);
    let span = |word: &'static str, first, len| RunText::Span(word.into(), first, len);
    match run {
        LabelRun::One(EdgeLabel::Attribute(name)) => named("attribute", name),
        LabelRun::One(EdgeLabel::Field(name)) => named("field", name),
        LabelRun::One(EdgeLabel::Local(name)) => named("local", name),
        LabelRun::One(EdgeLabel::Cell(name)) => named("cell", name),
        LabelRun::One(EdgeLabel::Index(number)) => numbered("index", number),
        LabelRun::One(EdgeLabel::Value(number)) => numbered("value", number),
        LabelRun::One(EdgeLabel::Key(number)) => numbered("key", number),
        LabelRun::One(EdgeLabel::Member(number)) => numbered("member", number),
        LabelRun::One(EdgeLabel::Stack(number)) => numbered("stack", number),
        LabelRun::One(EdgeLabel::Inferred(offset)) => numbered("inferred", offset),
        LabelRun::One(EdgeLabel::Native(bytes)) => numbered("native", bytes),
        LabelRun::Items { first, len } => span("items", first, len),
        LabelRun::Values { first, len } => span("values", first, len),
        LabelRun::Keys { first, len } => span("keys", first, len),
        LabelRun::ValueKeys { first, len } => span("entries", first, len),
        LabelRun::Members { first, len } => span("members", first, len),
    }
}

/// The runs of a text. Names are added to `strings`.
pub(super) fn decode(text: &str, strings: &mut Interner) -> Result<Vec<LabelRun>, String> {
    let runs: Vec<RunText<'_>> =
        serde_json::from_str(text).map_err(|error| format!("label runs: {error}"))?;
    runs.iter().map(|run| run_of_text(run, strings)).collect()
}

fn run_of_text(run: &RunText<'_>, strings: &mut Interner) -> Result<LabelRun, String> {
    let unknown = |word: &str| Err(format!("label runs: unknown word {word:?}"));
    Ok(match run {
        RunText::Named(word, name) => {
            let label = match word.as_ref() {
                "attribute" => EdgeLabel::Attribute,
                "field" => EdgeLabel::Field,
                "local" => EdgeLabel::Local,
                "cell" => EdgeLabel::Cell,
                other => return unknown(other),
            };
            LabelRun::One(label(strings.intern(name)))
        }
        &RunText::Numbered(ref word, number) => LabelRun::One(match word.as_ref() {
            "index" => EdgeLabel::Index(number),
            "value" => EdgeLabel::Value(number),
            "key" => EdgeLabel::Key(number),
            "member" => EdgeLabel::Member(number),
            "stack" => EdgeLabel::Stack(number),
            "inferred" => EdgeLabel::Inferred(number),
            "native" => EdgeLabel::Native(number),
            other => return unknown(other),
        }),
        &RunText::Span(ref word, first, len) => match word.as_ref() {
            "items" => LabelRun::Items { first, len },
            "values" => LabelRun::Values { first, len },
            "keys" => LabelRun::Keys { first, len },
            "entries" => LabelRun::ValueKeys { first, len },
            "members" => LabelRun::Members { first, len },
            other => return unknown(other),
        },
    })
}
