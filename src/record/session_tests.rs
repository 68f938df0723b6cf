use std::cell::Cell;
use std::rc::Rc;

use super::*;
use crate::facts::GenerationFacts;
use crate::recording::{Frame, FrameId, Head, StackId, Stacks, TypeCount};
use crate::target::usage::Resident;

/// A clock that only goes on when somebody waits, or works.
#[derive(Clone, Default)]
struct Simulated(Rc<Cell<Duration>>);

impl Clock for Simulated {
    fn now(&self) -> Duration {
        self.0.get()
    }
    fn sleep_until(&mut self, then: Duration) {
        self.0.set(self.0.get().max(then));
    }
}

/// A process whose line 1 grows by a page each time that it is looked at.
struct Process {
    clock: Simulated,
    bytes: u64,
    looks: u64,
    ends_at: Option<(Duration, End)>,
    /// How long a census takes, and pauses.
    census: (Duration, f64),
    census_from: Option<Duration>,
    files: Vec<PathBuf>,
}

impl Process {
    fn new(clock: &Simulated) -> Self {
        Self {
            clock: clock.clone(),
            bytes: 100 << 20,
            looks: 0,
            ends_at: None,
            census: (Duration::from_millis(300), 0.01),
            census_from: None,
            files: Vec::new(),
        }
    }
}

impl Watched for Process {
    fn resident(&mut self) -> Result<Resident, End> {
        if let Some((at, end)) = self.ends_at
            && self.clock.now() >= at
        {
            return Err(end);
        }
        self.looks += 1;
        self.bytes += 4096;
        let anonymous_bytes = self.bytes;
        Ok(Resident { rss_bytes: self.bytes + 1000, anonymous_bytes, code_bytes: 4096 })
    }
    fn free(&mut self, _: Duration) -> u64 {
        0
    }
    fn usage(&mut self) -> Result<Usage, End> {
        Ok(Usage { threads: 3, ..Usage::default() })
    }
    fn pss(&mut self) -> Option<u64> {
        Some(self.bytes / 2)
    }
    fn collectors(&mut self) -> Vec<(u64, Vec<GenerationFacts>)> {
        let collections = i64::try_from(self.looks / 100).unwrap();
        vec![(0, vec![GenerationFacts { collections, ..GenerationFacts::default() }; 3])]
    }
    fn running(&mut self, _: Duration, _: bool, stacks: &mut Stacks) -> Vec<StackId> {
        // Each look sees another stack, as of a program that never does the same twice.
        let line = u32::try_from(self.looks % 100_000).unwrap();
        let frame = |line| Frame { file: "app.py".into(), line, function: "f".into() };
        let outer = stacks.frame(frame(line));
        let outer = stacks.push(None, outer);
        let inner = stacks.frame(frame(1));
        vec![stacks.push(Some(outer), inner)]
    }
    fn resting(&mut self, _: &mut Stacks) -> Vec<FrameId> {
        Vec::new()
    }
    fn check(&mut self) -> Result<(), End> {
        Ok(())
    }
    fn start_census(&mut self, file: Option<PathBuf>) {
        self.census_from = Some(self.clock.now());
        self.files.extend(file);
    }
    fn finished_census(&mut self, wait: bool) -> Option<Outcome> {
        let from = self.census_from?;
        if !wait && self.clock.now() < from + self.census.0 {
            return None;
        }
        self.census_from = None;
        let row = |nth: u64| TypeCount {
            name: format!("app.T{nth}").into(),
            objects: self.looks,
            shallow_bytes: 1000 * nth,
            buffer_bytes: 0,
        };
        let types = (0..500).map(row).collect();
        let pause_seconds = self.census.1;
        Some(Outcome::Taken(Census { types, pause_seconds, ..Census::default() }, None))
    }
    fn own_cpu(&mut self) -> Duration {
        self.clock.now() / 200
    }
}

fn record(
    plan: &Plan,
    arrange: impl FnOnce(&mut Process),
) -> (Recording, Result<(), RecordingError>, Process) {
    let mut clock = Simulated::default();
    let mut process = Process::new(&clock);
    arrange(&mut process);
    let recording = Recording::new(Head::default());
    let stop = AtomicBool::new(false);
    let session = Session::new(&mut clock, &mut process, plan, recording, Duration::ZERO);
    let (recording, result) = session.run(&stop);
    (recording, result, process)
}

fn plan(seconds: u64, rate: u32) -> Plan {
    Plan {
        duration: Some(Duration::from_secs(seconds)),
        rate,
        census: Some(Duration::from_secs(30)),
        ..Plan::default()
    }
}

fn kinds(recording: &Recording) -> Vec<EventKind> {
    recording.events.iter().map(|event| event.kind).collect()
}

#[test]
fn a_minute_has_its_samples_stacks_and_censuses() {
    let (recording, result, _) = record(&plan(60, 100), |_| {});
    assert!(result.is_ok() && recording.head.finished);
    let head = &recording.head;
    assert_eq!((head.samples, head.stack_samples), (601, 6001));
    let censuses: Vec<f64> = recording.censuses.all().iter().map(|c| c.seconds.round()).collect();
    assert_eq!(censuses, [0.0, 30.0, 60.0]);
    assert!((recording.overhead_share() - (0.005 + 0.03 / 60.0)).abs() < 1e-3);
    let lines = recording.growth.lines();
    assert_eq!((lines.bytes, lines.attributed_bytes), (6000 * 4096, 6000 * 4096));
    let first = &lines.lines[0];
    assert_eq!((first.frame.line, first.bytes, first.sure_bytes), (1, 6000 * 4096, 6000 * 4096));
    assert!(kinds(&recording).is_empty());
}

#[test]
fn ten_hours_fit_into_bounded_memory_and_a_bounded_file() {
    let (recording, result, _) = record(&plan(36_000, 10), |_| {});
    assert!(result.is_ok());
    assert_eq!(recording.head.samples, 360_001);
    let points = recording.samples.points();
    assert!(points.len() <= 36_000 && points.len() > 17_000, "{}", points.len());
    // A point has the time of the last sample that it holds.
    assert!(points[0].seconds < 4.0 && points.last().unwrap().seconds == 36_000.0);
    assert!(recording.censuses.all().len() <= 400);
    assert!(recording.growth.stacks.len() <= (1 << 16) + 1);
    // All growth is known, though most of its stacks are not told apart any more.
    assert_eq!(recording.growth.lines().bytes, 360_000 * 4096);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    let bytes = crate::recording::save(&recording, &path).unwrap();
    assert!(bytes < 8 << 20, "{bytes}");
    let read = crate::recording::load(&path).unwrap();
    assert_eq!(read.growth.lines().bytes, 360_000 * 4096);
}

#[test]
fn the_end_of_the_process_ends_the_recording_and_is_told() {
    for (end, kind) in [(End::Ended, EventKind::Ended), (End::Replaced, EventKind::Replaced)] {
        let (recording, result, _) = record(&plan(60, 100), |process| {
            process.ends_at = Some((Duration::from_secs(12), end));
        });
        assert!(result.is_ok() && recording.head.finished);
        assert_eq!(kinds(&recording), [kind]);
        assert!((recording.head.seconds - 12.0).abs() < 0.1);
    }
}

#[test]
fn a_census_that_is_slower_than_its_interval_is_left_out_and_that_is_told() {
    let (recording, _, _) = record(&plan(200, 10), |process| {
        process.census.0 = Duration::from_secs(70);
    });
    let skipped = kinds(&recording).iter().filter(|&&kind| kind == EventKind::Skipped).count();
    assert!(skipped >= 2, "{:?}", recording.events);
    let seconds: Vec<f64> = recording.censuses.all().iter().map(|c| c.seconds.round()).collect();
    assert!(seconds.len() >= 2 && seconds[0] == 0.0, "{seconds:?}");
    assert!(seconds.windows(2).all(|pair| pair[1] - pair[0] >= 70.0), "{seconds:?}");
}

#[test]
fn a_machine_that_slept_leaves_a_gap_that_is_nobodys() {
    let mut clock = Simulated::default();
    let mut process = Process::new(&clock);
    let plan = plan(60, 100);
    let mut session = Session::new(
        &mut clock,
        &mut process,
        &plan,
        Recording::new(Head::default()),
        Duration::ZERO,
    );
    session.look(Duration::ZERO).unwrap();
    session.noticed(Duration::ZERO, Duration::from_secs(20), Duration::from_millis(10));
    session.look(Duration::from_secs(20)).unwrap();
    assert_eq!(kinds(&session.recording), [EventKind::Gap]);
}

#[test]
fn a_file_that_cannot_be_written_ends_the_recording_with_all_that_was_recorded() {
    let plan = Plan { file: Some("/nonexistent/a.parquet".into()), ..plan(60, 10) };
    let (recording, result, _) = record(&plan, |_| {});
    assert!(matches!(result, Err(RecordingError::Write { .. })));
    assert_eq!(kinds(&recording), [EventKind::Stopped]);
    assert_eq!(recording.head.samples, 1);
}

#[test]
fn the_file_is_whole_while_the_recording_runs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.parquet");
    let plan = Plan { file: Some(file.clone()), ..plan(5, 10) };
    let (recording, result, _) = record(&plan, |_| {});
    assert!(result.is_ok());
    let read = crate::recording::load(&file).unwrap();
    assert_eq!(read.head, recording.head);
    assert_eq!(read.samples.points(), recording.samples.points());
}

#[test]
fn a_condition_that_comes_true_has_a_snapshot_and_may_end_the_recording() {
    let rule = |then| Some(Rule { when: "private > 101M".parse().unwrap(), then });
    let with = |then| Plan { rule: rule(then), file: None, ..plan(60, 100) };
    let (recording, _, process) = record(&with(Then::Snapshot), |_| {});
    assert_eq!(kinds(&recording), [EventKind::Trigger]);
    assert_eq!(process.files.len(), 1);
    assert!((recording.head.seconds - 60.0).abs() < 0.1);
    let (recording, _, process) = record(&with(Then::Stop), |_| {});
    assert_eq!(process.files.len(), 1);
    assert!(recording.head.seconds < 5.0, "{}", recording.head.seconds);
}
