//! `record` of a recording made by hand.

use super::*;
use crate::recording::{Census, Collector, EventKind, Frame, Head, Sample, StackId, TypeCount};

/// What is recorded of a process whose line 7 grows.
pub(super) fn recording(order: &Order) -> Recording {
    let facts = heap(order.pid, 0).facts;
    let mut recording = Recording::new(Head {
        process: facts.process,
        interpreter: facts.interpreter,
        command: vec!["python".into(), "app.py".into()],
        seconds: 2.0,
        stack_samples: 200,
        running_samples: 180,
        own_cpu_seconds: 0.01,
        finished: true,
        ..Head::default()
    });
    let growth = &mut recording.growth;
    let mut stack = |line, function: &str| -> StackId {
        let frame = Frame { file: "app.py".into(), line, function: function.into() };
        let frame = growth.stacks.frame(frame);
        growth.stacks.push(None, frame)
    };
    let (grows, passes) = (stack(7, "load"), stack(9, "sort"));
    for (mebibytes, running) in [
        (10, grows),
        (50, grows),
        (50, passes),
        (80, passes),
        (50, passes),
        (50, grows),
        (60, grows),
    ] {
        recording.growth.look(mebibytes << 20, vec![running]);
    }
    for (seconds, mebibytes) in [(0.0, 20_u64), (1.0, 90), (2.0, 70)] {
        let rss_bytes = mebibytes << 20;
        let (rss_min_bytes, rss_max_bytes) = (rss_bytes, rss_bytes);
        recording.push_sample(Sample {
            seconds,
            rss_bytes,
            rss_min_bytes,
            rss_max_bytes,
            ..Sample::default()
        });
    }
    for (millis, young) in [(0, 5), (1500, 12)] {
        let collections = [young, 1, 0];
        recording.push_collector(Collector { millis, collections, ..Collector::default() });
    }
    for (seconds, objects) in [(0.0, 100), (2.0, 5100)] {
        let shallow_bytes = objects * 48;
        let name = "app.Session".into();
        let types = vec![TypeCount { name, objects, shallow_bytes, buffer_bytes: 0 }];
        let pause_seconds = 0.01;
        recording.push_census(Census {
            seconds,
            pause_seconds,
            objects,
            shallow_bytes,
            types,
            ..Census::default()
        });
    }
    recording.events.push(2.0, EventKind::Ended, "the process has ended");
    recording
}

#[test]
fn a_recording_says_what_grew_and_on_which_line() {
    let (out, err, code) = pyheap("record -p 7 -d 2s");
    assert_eq!((code, err.as_str()), (0, "recording process 7\n"));
    let (header, rest) = out.split_once("\n\n").unwrap();
    insta::assert_snapshot!(header, @r"
    process 7  python app.py  Python 3.11.7
    RSS 20.0 MiB → 70.0 MiB (+50.0 MiB), peak 90.0 MiB at 1.0 s; 2.0 s recorded
    collections: 7 young, 0 middle, 0 full
    ");
    let (plot, rest) = rest.split_once("RSS in MiB over seconds\n\n").unwrap();
    assert!(plot.lines().all(|line| line.chars().count() <= 80), "{plot}");
    assert!(plot.contains(" 90.0\n"), "{plot}");
    insta::assert_snapshot!(rest, @r"
      growth      %   at peak     %  seen  line      function
    50.0 MiB  100.0  40.0 MiB  57.1     4  app.py:7  load
         0 B    0.0  30.0 MiB  42.9     3  app.py:9  sort

    50.0 MiB grown and still there, 70.0 MiB up to the peak; a stack was seen for 100.0 % of it,
    no other line beside it for 100.0 %; 200 looks, at 180 Python ran

    objects       bytes  type
     +5,000  +234.4 KiB  app.Session
    from the first of 2 censuses (at 0.0 ms) to the last (at 2.0 s)

    ended: the process has ended (at 2.0 s)
    overhead 1.5 %: stopped for 20.0 ms in 2 censuses, 10.0 ms of processor time of pyheap's own
    ");
}

#[test]
fn what_was_there_at_the_peak_comes_first_when_it_is_asked_for() {
    let (out, _, _) = pyheap("record -p 7 -d 2s --peak");
    assert!(out.contains("in the census nearest to the peak (at 0.0 ms; the peak was at 1.0 s)"));
}

#[test]
fn the_document_of_a_recording_has_the_fields_of_the_contract() {
    let document = json("record -p 7 --json -o /nonexistent/a.parquet");
    assert_eq!((&document["schema"], &document["command"]), (&1.into(), &"record".into()));
    assert_eq!((&document["seconds"], &document["samples"]), (&2.0.into(), &200.into()));
    let rss = &document["rss"];
    assert_eq!(rss["first"], 20 << 20);
    assert_eq!((&rss["last"], &rss["peak"]), (&(70 << 20).into(), &(90 << 20).into()));
    let line = &document["growth"][0];
    assert_eq!((&line["file"], &line["line"]), (&"app.py".into(), &7.into()));
    assert_eq!((&line["function"], &line["bytes"]), (&"load".into(), &(50 << 20).into()));
    assert_eq!((&line["share"], &document["attributed_share"]), (&1.0.into(), &1.0.into()));
    assert_eq!(document["peak_growth"][1]["bytes"], 30 << 20);
    let overhead = document["overhead_share"].as_f64().unwrap();
    assert!((overhead - 0.015).abs() < 1e-9, "{overhead}");
}

#[test]
fn a_recording_needs_a_process_and_a_sensible_interval() {
    for words in ["record -o a.parquet", "record -p 7 --census 10ms", "record -p 7 --resume"] {
        assert_eq!(pyheap(words).2, 2, "{words}");
    }
    let (_, err, code) = pyheap("record -p 7 -o /dev/null");
    assert_eq!(code, 1, "{err}");
}

#[test]
fn a_recording_is_reported_as_text_as_a_page_and_as_pictures() {
    let (out, _, code) = pyheap("report recording.parquet");
    assert_eq!((code, out), (0, pyheap("record -p 7").0));
    let document = json("report recording.parquet --json");
    assert_eq!((&document["command"], &document["samples"]), (&"record".into(), &200.into()));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, options: &str| {
        let file = folder.path().join(name);
        let words = format!("report recording.parquet -o {} {options}", file.display());
        let words = words.trim_end();
        let (_, err, code) = pyheap(words);
        assert_eq!(code, 0, "{err}");
        assert_eq!(pyheap(words).2, 1, "a file that is there stays");
        std::fs::read_to_string(file).unwrap()
    };
    let page = write("a.html", "");
    for part in ["app.py:7", "load", "id=\"memory\"", "uPlot", "app.Session", "default-src 'none'"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"));
    let picture = write("a.svg", "");
    for part in ["<svg", "process 7: memory", "types by bytes", "peak 90.0 MiB", "app.Session"] {
        assert!(picture.contains(part), "{part}");
    }
    let flames = write("b.svg", "--view growth");
    assert!(flames.contains("load (app.py:7)") && !flames.contains("sort (app.py:9)"));
    assert!(write("c.svg", "--view peak").contains("sort (app.py:9)"));
}

#[test]
fn a_heap_is_a_page_and_two_heaps_say_what_grew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("heap.html");
    let (_, err, code) = pyheap(&format!("report old.parquet -o {}", file.display()));
    assert_eq!(code, 0, "{err}");
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("app.Session") && !page.contains("What grew"));
    let words = format!("report old.parquet new.parquet -f -o {}", file.display());
    assert_eq!(pyheap(&words).2, 0);
    let page = std::fs::read_to_string(&file).unwrap();
    for part in ["What grew", "+100 app.Session", "held by module app"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let words = format!("report old.parquet -f -o {} --where type=str", file.display());
    assert_eq!(pyheap(&words).2, 0);
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.contains("<code>type=str</code>") && !page.contains("app.Session"), "{page}");
    for (words, says) in [
        ("report old.parquet -o a.svg", "for recordings"),
        ("report old.parquet", "where does the page go"),
        ("report recording.parquet -o a.pdf", "an .html or an .svg"),
        ("report recording.parquet old.parquet -o a.html", "alone"),
        ("report recording.parquet -o a.html --where type=str", "no objects"),
        ("report old.parquet -o a.html --where size>>3", "not understood"),
    ] {
        let (_, err, code) = pyheap(words);
        assert!(code == 2 && err.contains(says), "{words}: {err}");
    }
}
