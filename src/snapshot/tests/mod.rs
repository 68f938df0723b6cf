//! What is loaded is what was saved, and nothing else is loaded.

mod damage;
mod disk;
mod graphs;
mod labels;
mod outside;

use std::path::PathBuf;

use proptest::prelude::*;

use self::graphs::{assert_same, random_snapshot};
use super::save::write_to;
use super::{Snapshot, SnapshotError, load, save};

/// A directory for one test, and the path of a file in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot.parquet");
    (directory, path)
}

/// The bytes of the file of a snapshot.
fn file_of(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_to(snapshot, &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_loaded_is_what_was_saved(seed in any::<u64>(), objects in 0..200_usize, roots in 0..20_usize) {
        let (_directory, path) = place();
        let snapshot = random_snapshot(seed, objects, roots);
        save(&snapshot, &path, false).unwrap();
        assert_same(&load(&path).unwrap(), &snapshot);
    }
}

#[test]
fn several_row_groups_keep_their_order() {
    let (_directory, path) = place();
    // More edges than a row group takes, three times over.
    let snapshot = random_snapshot(7, 160_000, 300_000);
    save(&snapshot, &path, false).unwrap();
    let groups = super::plan::row_groups(&snapshot.graph).len();
    assert!(groups > 4, "{groups} row groups");
    assert_same(&load(&path).unwrap(), &snapshot);
}

#[test]
fn the_same_snapshot_gives_the_same_bytes() {
    let snapshot = random_snapshot(3, 500, 5);
    assert_eq!(file_of(&snapshot), file_of(&snapshot));
}

#[test]
fn a_file_is_kept_unless_it_may_be_replaced() {
    let (_directory, path) = place();
    let (first, second) = (random_snapshot(1, 3, 1), random_snapshot(2, 4, 1));
    save(&first, &path, false).unwrap();
    let error = save(&second, &path, false).unwrap_err();
    assert!(matches!(error, SnapshotError::Exists { .. }), "{error}");
    assert!(error.hint().unwrap().contains("--force"));
    assert_same(&load(&path).unwrap(), &first);
    save(&second, &path, true).unwrap();
    assert_same(&load(&path).unwrap(), &second);
}

#[test]
fn a_graph_that_contradicts_itself_is_not_written() {
    let wrong: [fn(&mut Snapshot); 7] = [
        |snapshot| snapshot.graph.addrs.reverse(),
        |snapshot| snapshot.graph.flags.truncate(5),
        |snapshot| snapshot.graph.types.clear(),
        |snapshot| snapshot.graph.flags[0].0 |= 0x80,
        |snapshot| snapshot.graph.roots[0].object.0 = 10,
        |snapshot| snapshot.facts.taken_at = f64::NAN,
        |snapshot| snapshot.graph.referents = crate::graph::Csr::default(),
    ];
    for (nth, change) in wrong.into_iter().enumerate() {
        let (directory, path) = place();
        let mut snapshot = random_snapshot(9, 10, 2);
        change(&mut snapshot);
        let error = save(&snapshot, &path, false).unwrap_err();
        assert!(matches!(error, SnapshotError::Inconsistent(_)), "{nth}: {error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
