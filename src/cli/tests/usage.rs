//! Wrong use, exit codes and help.

use super::*;

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
fn pids_may_be_hexadecimal_and_csv_has_a_heading() {
    let (out, _, _) = pyheap("hist -p 0x7 --csv --sort count");
    let mut lines = out.lines();
    let heading = lines.next().unwrap();
    assert!(heading.starts_with("type,objects,gc_tracked"), "{heading}");
    assert_eq!(lines.next().unwrap(), "builtins.str,2,0,0,200,100,0");
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
    insta::assert_snapshot!(commands.join(" "), @"ps snapshot histogram objects show why retained cycles garbage orphans strings memory stacks diff record top report export check doctor demo completions man");
    assert!(help.contains("Exit codes:\n  0 done"));
}
