//! `pyheap snapshot -s` and `pyheap histogram -s`: a file for each process, and one table of all.

use super::histogram::{Output, save};
use super::worker_tree::{self, Outcome};
use crate::analysis::{Filter, Histogram};
use crate::cli::args::HeapArgs;
use crate::cli::{Context, selecting};
use crate::error::Error;
use crate::report::json::histogram::HistogramJson;
use crate::report::json::processes::{MemberJson, TreeJson};
use crate::report::text::histogram::Counted;
use crate::report::text::tree::Member;
use crate::report::{csv, json, text};
use crate::snapshot::{self, Snapshot};
use crate::source::Options;

pub(super) fn report(
    command: &str,
    root: u32,
    args: &HeapArgs,
    filter: Option<&Filter>,
    output: Option<&Output<'_>>,
    context: &mut Context<'_>,
) -> Result<(), Error> {
    if let Some(output) = output.filter(|output| !output.force) {
        worker_tree::check_files(root, output.file, context)?;
    }
    let mut documents = Vec::new();
    let mut members = Vec::new();
    let one = |snapshot: Snapshot, context: &mut Context<'_>| {
        let Snapshot { facts, graph } = &snapshot;
        let pid = facts.process.pid;
        let sharing = context.backend.sharing(pid);
        let file = output.map(|output| snapshot::numbered(output.file, pid));
        let output = output.zip(file.as_deref());
        let output = output.map(|(output, file)| Output { file, ..*output });
        save(&snapshot, output.as_ref(), context)?;
        let counts = selecting::counts(args, filter, &snapshot)?;
        if args.read.output.json {
            let file = file.map(|file| file.display().to_string());
            let document = HistogramJson::new(facts, graph, &counts.types, file)
                .with_groups(counts.by, counts.groups.as_ref());
            documents.push(json::value(MemberJson { document, sharing })?);
        } else {
            let histogram = counts.groups.unwrap_or(counts.types);
            members.push(Member { facts: facts.clone(), sharing, histogram, file });
        }
        Ok(())
    };
    // A file is to answer every command.
    let options = Options { contents: output.is_some(), ..args.read.capture.options() };
    let outcome = worker_tree::each(root, &options, context, one)?;
    let Outcome { left_out, result } = outcome;
    if args.read.output.json {
        json::write(context.out, command, TreeJson { processes: documents, left_out })?;
    } else if args.csv {
        csv::histograms(
            context.out,
            members.iter().map(|member| (member.facts.process.pid, &member.histogram)),
            selecting::by(args.by),
        )?;
    } else {
        let layout = context.layout(&args.read.output);
        let all = Histogram::sum(members.iter().map(|member| &member.histogram), args.sort());
        let all = Counted { histogram: &all, by: selecting::by(args.by) };
        text::tree::write(context.out, &members, &left_out, all, &layout)?;
    }
    result
}
