use std::collections::BTreeMap;

use super::*;
use crate::facts::{Facts, InterpreterFacts, Pause, ProcessFacts, Timings};
use crate::graph::{GraphBuilder, ObjectFlags, RootKind};
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
        pause: Pause { mode: "stop".into(), seconds: 0.0123, stops: 1 },
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

/// Runs a command line; gives stdout, stderr and the exit code.
fn pyheap(words: &str) -> (String, String, u8) {
    let mut damaged = heap(9, 1);
    damaged.graph.anomalies.note("a list whose items are not mapped", crate::addr::Addr(0x99));
    let heaps = Heaps(BTreeMap::from([
        ("7".to_owned(), heap(7, 2)),
        ("8".to_owned(), heap(8, 4)),
        ("9".to_owned(), damaged),
        ("lost.parquet".to_owned(), lost()),
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

#[test]
fn a_histogram_is_what_a_tired_engineer_wants() {
    let (out, err, code) = pyheap("hist -p 7");
    assert_eq!((code, err.as_str()), (0, "next: pyheap diff -p 7 --interval 30s\n"));
    insta::assert_snapshot!(out, @r"
    process 7  /usr/bin/python3.11  Python 3.11.7
    RSS 60.0 MiB, paused for 12.3 ms (stop), 250.0 ms in all

    count     %  shallow  buffers     %   cum%  type
        2  28.6    200 B    100 B  31.2   31.2  str
        1  14.3    200 B        -  31.2   62.5  dict
        2  28.6     96 B        -  15.0   77.5  app.Session
        1  14.3     72 B        -  11.2   88.8  list
        1  14.3     72 B        -  11.2  100.0  module

    7 objects (2 tracked by the collector, 0 frozen), 640 B shallow, 100 B in buffers
    ");
}

#[test]
fn a_histogram_says_in_one_line_what_waits_for_the_collector() {
    let line = "\n400 B in 2 objects wait for the collector: pyheap garbage names them\n";
    let (out, _, _) = pyheap("hist lost.parquet");
    assert!(out.contains(line), "{out}");
    let (out, _, _) = pyheap("hist old.parquet");
    assert!(!out.contains("wait for the collector"), "{out}");
}

#[test]
fn garbage_and_its_cycle_are_told_with_their_bytes() {
    let (out, _, code) = pyheap("garbage lost.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    400 B in 2 objects wait for the collector: 2 in cycles, 0 that hang on them

    count  shallow  buffers  type
        2    400 B        -  dict
    ");
    let (out, ..) = pyheap("cycles lost.parquet");
    insta::assert_snapshot!(body(&out), @r"
    garbage  1 cycle of 2 objects, 400 B
        dict[*] → dict[*] → dict
    ");
    let (out, ..) = pyheap("garbage lost.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["objects"], 2);
    assert_eq!(document["types"][0]["type"], "builtins.dict");
    let (out, ..) = pyheap("cycles lost.parquet --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["cycles"][0]["state"], "garbage");
    assert_eq!(document["cycles"][0]["shape"][1]["label"], "[*]");
    let (out, ..) = pyheap("garbage old.parquet");
    assert!(out.contains("no garbage: a collection would free nothing"), "{out}");
}

#[test]
fn why_names_the_way_to_all_objects_of_a_type_or_to_one() {
    let (out, _, code) = pyheap("why old.parquet Session");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    2 app.Session, 96 B
      100.0 %          2  module app.cache → list[*] → Session
    ");
    let (out, ..) = pyheap("why old.parquet 0x1020");
    insta::assert_snapshot!(body(&out), @r"
    1 app.Session, 48 B
      100.0 %          1  module app.cache → list[1] → Session
    ");
    let (out, ..) = pyheap("why old.parquet 0x1020 --raw --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["paths"][0]["root"]["name"], "app");
    assert_eq!(document["paths"][0]["steps"][1]["label"], ".__dict__");
    assert_eq!(pyheap("why old.parquet").2, 2);
    assert_eq!(pyheap("why old.parquet 0x99").2, 2);
}

#[test]
fn retained_bytes_are_told_as_a_tree_and_by_type() {
    let (out, _, code) = pyheap("retained old.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(body(&out), @r"
    retained      %    own  address  object
       640 B  100.0   72 B  0x100    module app → module
       568 B   88.8  200 B  0x110      .__dict__ → dict
       368 B   57.5   72 B  0x120        .cache → list
       148 B   23.1   48 B  0x1000         [0] → app.Session
       148 B   23.1   48 B  0x1020         [1] → app.Session

    retained: what would be freed with the object; pyheap retained SOURCE ADDRESS goes deeper
    ");
    let (out, ..) = pyheap("retained old.parquet --by type");
    insta::assert_snapshot!(body(&out), @r"
    count    own  retained      %  name
        1   72 B     640 B  100.0  module
        1  200 B     568 B   88.8  dict
        1   72 B     368 B   57.5  list
        2   96 B     296 B   46.2  app.Session
        2  200 B     200 B   31.2  str
    ");
    let (out, ..) = pyheap("retained old.parquet 0x120 --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["nodes"][0]["retained_bytes"], 148);
    assert_eq!(document["nodes"][0]["label"], "[0]");
    assert_eq!(pyheap("retained old.parquet 0x120 --by type").2, 2);
}

#[test]
fn a_rule_that_does_not_hold_is_exit_code_3_with_the_reason() {
    let (out, _, code) =
        pyheap("check new.parquet old.parquet --max Session=200 --max-growth Session=10");
    assert_eq!(code, 3);
    insta::assert_snapshot!(out, @r"
    ok      --max Session=200: 102
    FAILED  --max-growth Session=10: 100, more than 10
            102 held by module app.cache → list[*] → Session
    ");
    let (out, _, code) = pyheap("check new.parquet --max Session=10 --json");
    assert_eq!(code, 3);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["failures"][0]["found"], 102);
    assert_eq!(document["failures"][0]["held_by"][0]["root"]["name"], "app");
    assert_eq!(pyheap("check new.parquet --max Session=102 --max-garbage 1M").2, 0);
    assert_eq!(pyheap("check lost.parquet --max-garbage 399").2, 3);
    assert_eq!(pyheap("check new.parquet --max-growth Session=1").2, 2);
    assert_eq!(pyheap("check new.parquet").2, 2);
}

/// A report without its first lines, which are of the process.
fn body(out: &str) -> &str {
    out.split_once("\n\n").map_or(out, |(_, body)| body)
}

#[test]
fn a_diff_names_the_holder_of_what_grew() {
    let (out, _, code) = pyheap("diff old.parquet new.parquet");
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    +100 app.Session, +4.7 KiB (14.5 KiB with what they hold)
        100.0 % held by module app.cache → list[*] → Session
    list grew by 800 B
        100.0 % held by module app.cache → list

    objects  new  gone     bytes       now  type
       +100  100     0  +9.8 KiB  10.0 KiB  str
       +100  100     0  +4.7 KiB   4.8 KiB  app.Session
          0    0     0    +800 B     872 B  list
    ");
}

#[test]
fn the_document_of_a_snapshot_has_the_fields_of_the_contract() {
    let document = json("snapshot -p 7 --json -n 1");
    assert_eq!(document["schema"], 1);
    assert_eq!(document["command"], "snapshot");
    assert_eq!(document["process"]["pid"], 7);
    assert_eq!(document["totals"]["objects"], 7);
    assert_eq!(document["totals"]["gc_tracked"], 2);
    // -n limits people, never --json.
    let types: Vec<&str> =
        document["types"].as_array().unwrap().iter().map(|t| t["type"].as_str().unwrap()).collect();
    let all = ["builtins.str", "builtins.dict", "app.Session", "builtins.list", "builtins.module"];
    assert_eq!(types, all);
}

#[test]
fn the_document_of_a_diff_has_suspects_with_paths() {
    let document = json("diff old.parquet new.parquet --json");
    let suspect = &document["suspects"][0];
    assert_eq!(suspect["type"], "app.Session");
    assert_eq!(suspect["objects_delta"], 100);
    assert_eq!(suspect["held_by"][0]["share"], 1.0);
    assert_eq!(suspect["held_by"][0]["root"]["name"], "app");
    assert_eq!(suspect["held_by"][0]["path"][0]["label"], ".cache");
    let session = document["types"].as_array().unwrap().iter().find(|t| t["type"] == "app.Session");
    assert_eq!(session.unwrap()["new"], 100);
    let other = json("diff -p 7 -p 8 --json");
    assert_eq!(other["same_process"], false);
    assert!(other["types"][0]["new"].is_null());
}

#[test]
fn three_heaps_say_what_grew_at_every_step() {
    let document = json("diff old.parquet mid.parquet new.parquet --json");
    let session = document["types"].as_array().unwrap().iter().find(|t| t["type"] == "app.Session");
    assert_eq!(session.unwrap()["grew_at_every_step"], true);
    assert_eq!(session.unwrap()["series"].as_array().unwrap().len(), 3);
}

#[test]
fn objects_are_json_lines_behind_a_line_of_their_own_kind() {
    let (out, _, code) = pyheap("objects -p 7 Session --json -n 1");
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0], serde_json::json!({"schema": 1, "command": "objects"}));
    assert_eq!(lines[1]["address"], "0x1000");
    assert_eq!(lines[1]["referents"], serde_json::json!(["0x1010"]));
    assert_eq!(lines[1]["labels"], serde_json::json!([".user"]));
    assert_eq!(lines[1]["unexplained_refs"], 0);
}

#[test]
fn objects_and_show_for_people() {
    let (out, _, _) = pyheap("objects old.parquet Session");
    insta::assert_snapshot!(out, @r"
    address  refs  shallow  buffers  type         first referrer
    0x1000      1     48 B        -  app.Session  list[0] at 0x120
    0x1020      1     48 B        -  app.Session  list[1] at 0x120
    ");
    let (out, _, _) = pyheap("show old.parquet 0x1000");
    insta::assert_snapshot!(out, @r"
    app.Session at 0x1000
      size      48 B shallow, 0 B in buffers
      refcount  1, all found
      collector tracked, generation 0

    refers to 1
      .user  str at 0x1010

    referred to by 1
      list[0] at 0x120
    ");
}

#[test]
fn wrong_use_is_exit_2_with_a_hint() {
    for (words, hint) in [
        ("hist 4242", "-p 4242"),
        ("hist", "-p PID"),
        ("hist -p 7 old.parquet", "no argument is a source"),
        ("diff -p 7", "--interval"),
        ("diff old.parquet", "two heaps"),
        ("diff 7 8", "-p 7"),
        ("objects -p 7 Missing", "no type"),
        ("show -p 7 1000", "0x"),
        ("show -p 7", "address"),
        ("hist -p app", "process id"),
        ("s -p 7", "unrecognized subcommand"),
    ] {
        let (_, err, code) = pyheap(words);
        assert_eq!(code, 2, "{words}: {err}");
        assert!(err.contains(hint), "{words}: {err}");
    }
}

#[test]
fn other_failures_have_their_exit_codes() {
    assert_eq!(pyheap("hist -p 4242").2, 4);
    assert_eq!(pyheap("snapshot -p 7 -o a.parquet").2, 1);
    assert_eq!(pyheap("hist -p 9").2, 0);
    let (out, _, code) = pyheap("hist -p 9 --strict");
    assert_eq!(code, 1);
    assert!(out.contains("anomaly: a list whose items are not mapped (1 times, first at 0x99)"));
}

#[test]
fn a_tree_is_a_list_without_what_is_no_python() {
    let document = json("hist -p 7 -s --json");
    assert_eq!(document["processes"].as_array().unwrap().len(), 3);
    let (out, err, _) = pyheap("hist -p 8 -s --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(document["processes"].as_array().unwrap().len(), 2);
    assert!(err.contains("process 10 is left out"));
}

#[test]
fn pids_may_be_hexadecimal_and_csv_has_a_heading() {
    let (out, _, _) = pyheap("hist -p 0x7 --csv --sort count");
    let mut lines = out.lines();
    let heading = lines.next().unwrap();
    assert!(heading.starts_with("type,objects,gc_tracked"), "{heading}");
    assert_eq!(lines.next().unwrap(), "builtins.str,2,0,0,200,100,0");
}

#[test]
fn ps_completions_and_man_answer() {
    assert_eq!(json("ps --json")["processes"][0]["user"], "web");
    assert!(pyheap("completions bash").0.contains("_pyheap"));
    assert!(pyheap("man").0.contains(".TH pyheap"));
    assert!(pyheap("man diff").0.contains("interval"));
}

#[test]
fn doctor_says_what_a_snapshot_would_cost_or_what_would_help() {
    let (out, _, code) = pyheap("doctor 7");
    assert_eq!(code, 0);
    insta::assert_snapshot!(out, @r"
    process 7 can be read
      CPython 3.11.7, 1 interpreter, in /usr/bin/python3.11
      a snapshot copies 30.0 MiB: a pause of some 21.0 ms (at 1.5 GB/s)
      big blocks of malloc: 5.0 GiB, copied only where they hold references
      swapped out: 2 pages (8.0 KiB), read only where they are needed
    -   no capability
    ");
    let document = json("doctor -p 7 --json");
    assert_eq!((&document["pid"], &document["ok"]), (&7.into(), &true.into()));
    assert_eq!(document["interpreter"]["binary"], "/usr/bin/python3.11");
    assert_eq!(document["interpreter"]["version"], "3.11.7");
    assert_eq!(document["forecast"]["copied_bytes"], 30 << 20);
    assert_eq!(document["exit_code"], 0);

    let (out, err, code) = pyheap("doctor 8");
    assert_eq!((code, err.as_str()), (5, "process 8 cannot be read, as reported; "));
    insta::assert_snapshot!(out, @r"
    process 8 cannot be read
      not permitted to read mem
      exit code of a snapshot: 5
    no  no capability
         sudo pyheap snapshot -p 8
    or from a core file, which whoever may trace the process can write:
         sudo gcore -o core 8   (where you may: on the host, as the user)
         pyheap snapshot -c core.8
    ");
    let (out, _, code) = pyheap("doctor -p 8 --json");
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &document["exit_code"], &document["ok"]), (5, &5.into(), &false.into()));
    assert!(document["forecast"].is_null());
    assert_eq!(document["otherwise"][1], "pyheap snapshot -c core.8");
    // Without a pid, no process was asked for that could fail.
    assert_eq!(json("doctor --json")["processes"][0]["pid"], 7);
}

/// A writer whose reader has gone.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_closed_pipe_is_success() {
    let error = crate::report::json::write(&mut Closed, "ps", ()).map_err(Error::from).unwrap_err();
    assert!(error.is_closed_pipe(), "{error:?}");
    assert_eq!(format!("{:?}", exit::code(&Err(error))), format!("{:?}", ExitCode::SUCCESS));
}

/// A backend whose heaps grow, and which remembers the process it was asked for.
struct Growing(std::cell::RefCell<Vec<u32>>);

impl Backend for Growing {
    fn load(&self, source: &Source, _: &Options) -> Result<Snapshot, Error> {
        let &Source::Pid(pid) = source else { return Err(Error::NotSupported("a file")) };
        assert!(Path::new(&format!("/proc/{pid}/stat")).exists(), "the program runs");
        self.0.borrow_mut().push(pid);
        Ok(heap(pid, 100 * self.0.borrow().len() as u64))
    }
    fn save(&self, _: &Snapshot, path: &Path, _: bool) -> Result<(), Error> {
        Err(Error::Exists(path.to_owned()))
    }
    fn processes(&self) -> Vec<PythonProcess> {
        Vec::new()
    }
    fn process_tree(&self, pid: u32) -> Vec<u32> {
        vec![pid]
    }
    fn diagnose(&self, _: u32) -> Diagnosis {
        Diagnosis::default()
    }
}

#[test]
fn the_demonstration_names_the_culprit_and_leaves_no_child_behind() {
    let backend = Growing(std::cell::RefCell::default());
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut context = Context {
        backend: &backend,
        out: &mut out,
        err: &mut err,
        style: Style::PLAIN,
        width: None,
        quiet: false,
        strict: false,
        interactive: false,
    };
    let cli = args::Cli::try_parse_from(["pyheap", "demo"]).unwrap();
    commands::run(&cli.command, &mut context).unwrap();
    let out = String::from_utf8(out).unwrap();
    let culprit = "The culprit: app.Session, kept by module app.cache → list[*] → Session";
    assert!(out.contains(culprit), "{out}");
    let pids = backend.0.into_inner();
    assert_eq!(pids.len(), 2);
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} is left behind");
    }
}

#[test]
fn the_help_lists_what_there_is() {
    let (_, help, _) = pyheap("--help");
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    insta::assert_snapshot!(commands.join(" "), @"ps snapshot histogram objects show why retained cycles garbage stacks diff check doctor demo completions man");
    assert!(help.contains("Exit codes:\n  0 done"));
}
