//! `ps`, `doctor` and `demo`.

use super::*;

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
      --pause cow makes it fork: a pause of some 3.0 ms
      and could kill it only by a SIGKILL to its guardian, a second pyheap, in the instant of the fork
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
    fn write(&self, path: &Path, _: &[u8]) -> Result<(), Error> {
        Err(Error::Exists(path.to_owned()))
    }
    fn create(
        &self,
        _: &Path,
        _: bool,
        _: &mut dyn FnMut(&mut dyn Write) -> Result<(), Error>,
    ) -> Result<(), Error> {
        Ok(())
    }
    fn processes(&self) -> Vec<PythonProcess> {
        Vec::new()
    }
    fn process_tree(&self, pid: u32) -> Vec<u32> {
        vec![pid]
    }
    fn sharing(&self, _: u32) -> Option<SharingFacts> {
        None
    }
    fn diagnose(&self, _: u32) -> Diagnosis {
        Diagnosis::default()
    }
    fn record(
        &self,
        _: &Order,
        _: &AtomicBool,
        _: &mut dyn FnMut(&str),
    ) -> Result<Vec<Recorded>, Error> {
        Ok(Vec::new())
    }
    fn show(&self, _: &View) -> Result<(), Error> {
        Ok(())
    }
    fn recording(&self, _: &Path) -> Result<Option<Recording>, Error> {
        Ok(None)
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
