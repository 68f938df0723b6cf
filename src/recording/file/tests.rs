use std::fs;

use super::*;
use crate::recording::Merge;

fn recording() -> Recording {
    let mut recording = Recording::new(Head::default());
    recording.head.command = vec!["python".into(), "app.py".into()];
    let growth = &mut recording.growth;
    let mut stack = |lines: &[u32]| {
        let mut stack = None;
        for &line in lines {
            let frame = Frame { file: "app.py".into(), line, function: format!("f{line}") };
            let frame = growth.stacks.frame(frame);
            stack = Some(growth.stacks.push(stack, frame));
        }
        stack.unwrap()
    };
    let (a, b) = (stack(&[1, 2]), stack(&[1, 3]));
    for (bytes, running) in
        [(0, vec![]), (50, vec![]), (100, vec![a]), (300, vec![b]), (900, vec![b]), (400, vec![b])]
    {
        recording.growth.look(bytes, running);
    }
    for nth in 0..10_u32 {
        recording.push_sample(Sample {
            seconds: f64::from(nth) / 10.0,
            rss_bytes: u64::from(nth) << 20,
            rss_max_bytes: u64::from(nth) << 20,
            pss_bytes: (nth % 5 == 0).then_some(7),
            ..Sample::default()
        });
    }
    recording.push_collector(Collector {
        millis: 1500,
        interpreter: 1,
        collections: [9, 3, 1],
        counts: [700, -1, 2],
    });
    for seconds in [0.0, 1.0] {
        let row =
            TypeCount { name: "app.Row".into(), objects: 7, shallow_bytes: 336, buffer_bytes: 1 };
        let types = vec![row];
        recording.push_census(Census { seconds, objects: 9, types, ..Census::default() });
    }
    recording.events.push(0.5, EventKind::Skipped, "the one before took too long");
    recording
}

#[test]
fn what_was_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    let written = recording();
    let bytes = save(&written, &path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
    assert!(is_recording(&path));
    let read = load(&path).unwrap();
    assert_eq!(read.head, written.head);
    assert_eq!(read.samples.points(), written.samples.points());
    assert_eq!(read.collectors, written.collectors);
    assert_eq!(read.censuses, written.censuses);
    assert_eq!(read.events, written.events);
    assert_eq!(read.growth.lines(), written.growth.lines());
    assert_eq!(read.growth.by_stack(true), written.growth.by_stack(true));
    // Only the file is left.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn an_empty_recording_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    save(&Recording::new(Head::default()), &path).unwrap();
    assert_eq!(load(&path).unwrap(), Recording::new(Head::default()));
}

#[test]
fn what_is_no_recording_is_told_apart_and_nothing_panics() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    save(&recording(), &path).unwrap();
    let bytes = fs::read(&path).unwrap();
    let broken = directory.path().join("b.parquet");
    for len in (0..bytes.len()).step_by(997) {
        fs::write(&broken, &bytes[..len]).unwrap();
        assert!(load(&broken).is_err() && !is_recording(&broken));
    }
    for at in (0..bytes.len()).step_by(307) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        fs::write(&broken, &damaged).unwrap();
        // Some bytes are numbers of which any is right.
        let _ = load(&broken);
    }
    assert!(matches!(load(directory.path()), Err(RecordingError::Foreign(_))));
    assert!(matches!(load(&directory.path().join("c")), Err(RecordingError::Read { .. })));
}

#[test]
fn a_full_disk_keeps_the_file_that_was_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.parquet");
    save(&recording(), &path).unwrap();
    let before = fs::read(&path).unwrap();
    let full = write(&recording(), &File::options().write(true).open("/dev/full").unwrap());
    assert_eq!(full.unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let nowhere = directory.path().join("nowhere/a.parquet");
    assert!(matches!(save(&recording(), &nowhere), Err(RecordingError::Write { .. })));
}

#[test]
fn a_device_or_a_directory_is_not_replaced() {
    let directory = tempfile::tempdir().unwrap();
    for path in [Path::new("/dev/null"), directory.path()] {
        assert!(matches!(save(&recording(), path), Err(RecordingError::NotAFile(_))));
    }
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}

#[test]
fn merged_samples_keep_their_extremes() {
    let mut sample = Sample { rss_min_bytes: 5, rss_max_bytes: 9, ..Sample::default() };
    sample.merge(Sample { rss_bytes: 7, rss_min_bytes: 7, rss_max_bytes: 7, ..Sample::default() });
    assert_eq!((sample.rss_bytes, sample.rss_min_bytes, sample.rss_max_bytes), (7, 5, 9));
}
