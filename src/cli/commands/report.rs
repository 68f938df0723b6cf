//! `pyheap report`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::analysis::garbage::Garbage;
use crate::analysis::{
    Collection, Diff, Groups, Histogram, Hops, SortBy, Suspect, cycles, suspects,
};
use crate::cli::args::{ReportArgs, View};
use crate::cli::{Context, operands, selecting};
use crate::error::Error;
use crate::recording::Recording;
use crate::report::html::{self, snapshot::Page};
use crate::report::json::record::RecordJson;
use crate::report::{flame, json, plot, text};
use crate::snapshot::Snapshot;
use crate::source::Source;

/// What is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    Svg,
}

impl Form {
    fn of(file: &Path) -> Result<Self, Error> {
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("html" | "htm") => Ok(Self::Html),
            Some("svg") => Ok(Self::Svg),
            _ => {
                let message = format!("{}: a report is an .html or an .svg file", file.display());
                Err(Error::usage(message, None))
            }
        }
    }
}

pub(super) fn run(args: &ReportArgs, context: &mut Context<'_>) -> Result<(), Error> {
    let (source, rest) = operands::split(&args.read.source, &args.positional, 1)?;
    let form = args.file.as_deref().map(Form::of).transpose()?;
    if let Some(file) = args.file.as_deref()
        && !args.force
        && file.exists()
    {
        return Err(Error::Exists(file.to_owned()));
    }
    if let Source::File(path) = &source
        && let Some(recording) = context.backend.recording(path)?
    {
        if let Some(extra) = rest.first() {
            return Err(Error::usage(format!("{extra}: a recording is reported alone"), None));
        }
        if args.select.filter.is_some() {
            return Err(Error::usage("a recording has no objects: no --where", None));
        }
        return of_recording(args, &recording, form, context);
    }
    match (form, args.file.as_deref()) {
        (Some(Form::Html), Some(file)) => of_heaps(args, &source, rest, file, context),
        (Some(Form::Svg), _) => Err(Error::usage("an .svg file is for recordings", None)),
        _ => Err(Error::usage("where does the page go? give -o FILE.html", None)),
    }
}

fn of_recording(
    args: &ReportArgs,
    recording: &Recording,
    form: Option<Form>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let (Some(form), Some(file)) = (form, args.file.as_deref()) else {
        if args.read.output.json {
            return Ok(json::write(context.out, "record", RecordJson::new(recording, None))?);
        }
        let layout = context.layout(&args.read.output);
        let peak = args.view == View::Peak;
        return Ok(text::record::write(context.out, recording, peak, &layout)?);
    };
    let nothing = || Error::usage("no stack was seen while memory grew", None);
    let text = match (form, args.view) {
        (Form::Html, _) => html::recording::write(recording),
        (Form::Svg, View::Memory) => plot::svg(recording)?,
        (Form::Svg, View::Growth) => {
            flame::growth(recording, "Growth that is still there", false).ok_or_else(nothing)?
        }
        (Form::Svg, View::Peak) => {
            flame::growth(recording, "Growth when memory was highest", true).ok_or_else(nothing)?
        }
    };
    save(file, &text, args.force, context)
}

fn of_heaps(
    args: &ReportArgs,
    source: &Source,
    rest: &[String],
    file: &Path,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    let filter = selecting::filter(&args.select)?;
    let options = args.read.capture.options();
    // The later heap is the one that is told; with a process it is the process, and the file is older.
    let second = rest.first().map(|text| operands::file(text)).transpose()?;
    let (before, after) = match (source, second) {
        (Source::File(_), Some(second)) => (Some(source.clone()), second),
        (_, second) => (second, source.clone()),
    };
    let before = before.map(|before| context.backend.load(&before, &options)).transpose()?;
    let after = context.backend.load(&after, &options)?;
    let Snapshot { facts, graph } = &after;
    let selection = selecting::selection(filter.as_ref(), graph, facts)?;
    let growth: Option<(Diff, Vec<Suspect>)> = match &before {
        None => None,
        Some(before) => {
            let filter = filter.as_ref();
            let of_before = selecting::selection(filter, &before.graph, &before.facts)?;
            let diff = super::diff::compare((before, &of_before), (&after, &selection));
            let suspects = suspects::suspects(graph, &diff, None);
            Some((diff, suspects))
        }
    };
    let collection = Collection::new(graph);
    let types = Groups::by_type(graph);
    let page = html::snapshot::write(&Page {
        facts,
        filter: args.select.filter.as_deref(),
        graph,
        histogram: &Histogram::grouped(graph, &types, &selection, SortBy::Bytes),
        garbage: &Garbage::grouped(graph, &collection, &types, &selection),
        cycles: &cycles(graph, &collection, &selection, Hops::Folded),
        growth: growth.as_ref().map(|(diff, suspects)| (diff, suspects.as_slice())),
    });
    save(file, &page, args.force, context)?;
    context.check(graph)
}

fn save(file: &Path, text: &str, force: bool, context: &mut Context<'_>) -> Result<(), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(file.to_owned()),
        _ => Error::File { path: file.to_owned(), source },
    };
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut out = options.open(file).map_err(failed)?;
    out.write_all(text.as_bytes()).map_err(failed)?;
    context.note(&format!("written to {}", file.display()))
}
