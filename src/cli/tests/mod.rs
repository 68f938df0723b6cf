//! The command line, over heaps made by hand.

mod diff;
mod export;
mod heaps;
mod holders;
mod machine;
mod orphans;
mod record;
mod selecting;
mod strings;
mod top;
mod usage;

use std::collections::BTreeMap;

use super::*;
use crate::facts::{Facts, InterpreterFacts, Pause, ProcessFacts, Timings};
use crate::graph::{GraphBuilder, ObjectFlags, RootKind, UNREAD_CONTENT};
use crate::source::{Finding, Forecast};

/// Heaps made by hand, by pid or file name.
struct Heaps(BTreeMap<String, Snapshot>);

impl Backend for Heaps {
    fn load(&self, source: &Source, _: &Options) -> Result<Snapshot, Error> {
        let name = match source {
            Source::Pid(pid) => pid.to_string(),
            Source::File(path) | Source::Core { core: path, .. } => path.display().to_string(),
        };
        self.0.get(&name).cloned().ok_or(Error::NotPython(format!("no heap {name}")))
    }
    fn save(&self, _: &Snapshot, path: &Path, _: bool) -> Result<(), Error> {
        Err(Error::Exists(path.to_owned()))
    }
    fn write(&self, path: &Path, _: &[u8]) -> Result<(), Error> {
        Err(Error::Exists(path.to_owned()))
    }
    fn create(
        &self,
        path: &Path,
        _: bool,
        _: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Err(Error::Exists(path.to_owned()))
    }
    fn processes(&self) -> Vec<PythonProcess> {
        vec![PythonProcess {
            pid: 7,
            user: "web".into(),
            readable: true,
            ..PythonProcess::default()
        }]
    }
    fn process_tree(&self, pid: u32) -> Vec<u32> {
        vec![pid, pid + 1, pid + 2]
    }
    fn sharing(&self, pid: u32) -> Option<SharingFacts> {
        let own = u64::from(pid) << 20;
        (pid != 9).then_some(SharingFacts {
            rss_bytes: own + (20 << 20),
            proportional_bytes: own + (10 << 20),
            private_bytes: own,
            shared_bytes: 20 << 20,
            swapped_bytes: 0,
        })
    }
    fn record(
        &self,
        order: &Order,
        _: &AtomicBool,
        note: &mut dyn FnMut(&str),
    ) -> Result<Vec<Recorded>, Error> {
        note(&format!("recording process {}", order.pid));
        let recording = record::recording(order);
        Ok(vec![Recorded { recording, file: order.plan.file.clone(), failure: None }])
    }
    fn show(&self, view: &View) -> Result<(), Error> {
        // There is no terminal to show it on: what would be shown is told.
        Err(Error::Refused(format!("{view:?}")))
    }
    fn recording(&self, path: &Path) -> Result<Option<Recording>, Error> {
        let order = Order { pid: 7, ..Order::default() };
        Ok((path == Path::new("recording.parquet")).then(|| record::recording(&order)))
    }
    fn diagnose(&self, pid: u32) -> Diagnosis {
        let fix = Some(format!("sudo pyheap snapshot -p {pid}"));
        let findings = vec![Finding { what: "no capability".into(), ok: false, fix }];
        if pid != 7 {
            let message = "not permitted to read mem".to_owned();
            let failure = Some(Error::Permission { message, fix: None });
            return Diagnosis { findings, failure, ..Diagnosis::default() };
        }
        let (copied_bytes, block_bytes) = (30 << 20, 5 << 30);
        Diagnosis {
            findings,
            interpreter: Some(heap(7, 0).facts.interpreter),
            binary: Some("/usr/bin/python3.11".into()),
            forecast: Some(Forecast {
                copied_bytes,
                block_bytes,
                swapped_bytes: 8192,
                ..Forecast::default()
            }),
            cow: Some(Ok(Duration::from_millis(3))),
            failure: None,
        }
    }
}

/// A module `app` with a cache of sessions, each with a text.
fn heap(pid: u32, sessions: u64) -> Snapshot {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 72);
    let names = b.object(0x110, "builtins.dict", 200);
    let cache = b.object(0x120, "builtins.list", 56 + 8 * sessions);
    b.flag(names, ObjectFlags::NAMESPACE);
    b.attribute(module, "__dict__", names);
    b.attribute(names, "cache", cache);
    b.root(RootKind::Module, "app", module);
    for n in 0..sessions {
        let session = b.object(0x1000 + n * 0x20, "app.Session", 48);
        let text = b.object(0x1010 + n * 0x20, "builtins.str", 100);
        b.flag(session, ObjectFlags::GC_TRACKED);
        b.refcount(session, 1);
        b.payload(text, 50);
        b.item(cache, u32::try_from(n).unwrap(), session);
        b.attribute(session, "user", text);
    }
    let facts = Facts {
        process: ProcessFacts {
            pid,
            executable: "/usr/bin/python3.11".into(),
            rss_bytes: 62_914_560,
            start_ticks: 5,
            boot_id: "boot".into(),
        },
        interpreter: InterpreterFacts {
            version: "3.11.7".into(),
            build: "default".into(),
            interpreters: 1,
        },
        pause: Pause { mode: "stop".into(), seconds: 0.0123, stops: 1, cow_seconds: None },
        timings: Timings { total: 0.25, ..Timings::default() },
        ..Facts::default()
    };
    Snapshot { facts, graph: b.build() }
}

/// Two dictionaries that hold each other, and nothing else.
fn lost() -> Snapshot {
    let mut b = GraphBuilder::new();
    let pair = [b.object(0x100, "builtins.dict", 200), b.object(0x200, "builtins.dict", 200)];
    for (from, to) in [(pair[0], pair[1]), (pair[1], pair[0])] {
        b.flag(from, ObjectFlags::GC_TRACKED);
        b.refcount(from, 1);
        b.item(from, 0, to);
    }
    Snapshot { graph: b.build(), ..heap(7, 0) }
}

/// A list with three equal texts, a fourth, and one that was not read.
fn texts() -> Snapshot {
    let mut b = GraphBuilder::new();
    let module = b.object(0x100, "builtins.module", 72);
    let names = b.object(0x110, "builtins.dict", 200);
    let list = b.object(0x120, "builtins.list", 96);
    b.flag(names, ObjectFlags::NAMESPACE);
    b.attribute(module, "__dict__", names);
    b.attribute(names, "tags", list);
    b.root(RootKind::Module, "app", module);
    for (n, (bytes, hash)) in [(2000, 5), (2000, 5), (2000, 5), (60, 6), (3 << 20, UNREAD_CONTENT)]
        .into_iter()
        .enumerate()
    {
        let text = b.object(0x1000 + n as u64 * 0x20, "builtins.str", bytes);
        b.content_hash(text, hash);
        b.value(text, &format!("\"text {hash}\""));
        b.item(list, n as u32, text);
    }
    Snapshot { graph: b.build(), ..heap(7, 0) }
}

/// Runs a command line; gives stdout, stderr and the exit code.
fn pyheap(words: &str) -> (String, String, u8) {
    let mut damaged = heap(9, 1);
    damaged.graph.anomalies.note("a list whose items are not mapped", crate::addr::Addr(0x99));
    let heaps = Heaps(BTreeMap::from([
        ("7".to_owned(), heap(7, 2)),
        ("8".to_owned(), heap(8, 4)),
        ("9".to_owned(), damaged),
        ("lost.parquet".to_owned(), lost()),
        ("texts.parquet".to_owned(), texts()),
        ("leaky.parquet".to_owned(), orphans::leaky(990)),
        ("leakier.parquet".to_owned(), orphans::leaky(2000)),
        ("old.parquet".to_owned(), heap(7, 2)),
        ("mid.parquet".to_owned(), heap(7, 3)),
        ("new.parquet".to_owned(), heap(7, 102)),
    ]));
    let cli = match args::Cli::try_parse_from(["pyheap"].into_iter().chain(words.split(' '))) {
        Ok(cli) => cli,
        Err(error) => return (String::new(), error.to_string(), 2),
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut context = Context {
        backend: &heaps,
        out: &mut out,
        err: &mut err,
        style: Style::PLAIN,
        width: None,
        quiet: cli.global.quiet,
        strict: cli.global.strict,
        interactive: false,
    };
    let result = commands::run(&cli.command, &mut context);
    let code = result.as_ref().map_or_else(Error::exit_code, |()| 0);
    let mut err = String::from_utf8(err).unwrap();
    if let Err(error) = result {
        err.push_str(&format!("{error}; {}", error.hint().unwrap_or_default()));
    }
    (String::from_utf8(out).unwrap(), err, code)
}

fn json(words: &str) -> serde_json::Value {
    let (out, err, code) = pyheap(words);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

/// A report without its first lines, which are of the process.
fn body(out: &str) -> &str {
    out.split_once("\n\n").map_or(out, |(_, body)| body)
}
