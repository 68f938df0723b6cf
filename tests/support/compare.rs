//! pyheap's claims against the process's own truth.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;

use super::claims::{ClaimedObject, Claims};
use super::fixture::Fixture;
use super::pythons::Python;
use super::report::{Difference, Report};
use super::truth_file::{TrueObject, Truth};

/// Starts a fixture, lets pyheap read it and the process tell itself, and compares.
///
/// # Errors
/// If the fixture, pyheap or the telling fails; a difference is no error.
pub(crate) fn compare_fixture(
    python: &Python,
    sources: &Path,
    pyheap: &Path,
    name: &str,
    args: &[&str],
) -> Result<Report> {
    compare_fixture_by(python, sources, pyheap, name, args, &[])
}

/// The same with further arguments for pyheap, such as `--pause none`.
///
/// # Errors
/// As [`compare_fixture`].
pub(crate) fn compare_fixture_by(
    python: &Python,
    sources: &Path,
    pyheap: &Path,
    name: &str,
    args: &[&str],
    capture: &[&str],
) -> Result<Report> {
    let mut fixture = Fixture::start(python, sources, name, args)?;
    let words = [&[name], args, capture].concat().join(" ");
    compare_process_by(&mut fixture, pyheap, &format!("{} {words}", python.label()), capture)
}

/// The same for a fixture that runs already.
///
/// # Errors
/// As [`compare_fixture`].
pub(crate) fn compare_process(
    fixture: &mut Fixture,
    pyheap: &Path,
    subject: &str,
) -> Result<Report> {
    compare_process_by(fixture, pyheap, subject, &[])
}

/// The same with further arguments for pyheap.
///
/// # Errors
/// As [`compare_fixture`].
pub(crate) fn compare_process_by(
    fixture: &mut Fixture,
    pyheap: &Path,
    subject: &str,
    capture: &[&str],
) -> Result<Report> {
    fixture.settle()?;
    let claims = Claims::with(pyheap, fixture.pid(), capture)?;
    let mut addresses: Vec<u64> = claims.objects.keys().copied().collect();
    addresses.sort_unstable();
    let truth = fixture.tell(&addresses)?;
    Ok(compare(&truth, &claims, subject))
}

/// The same for a server: what is compared is a fork of it that stands still.
///
/// # Errors
/// As [`compare_fixture`].
pub(crate) fn compare_server(
    python: &Python,
    sources: &Path,
    pyheap: &Path,
    name: &str,
) -> Result<Report> {
    let mut fixture = Fixture::start(python, sources, name, &[])?;
    fixture.stand_still()?;
    compare_process(&mut fixture, pyheap, &format!("{} {name} standing still", python.label()))
}

/// The same for a process that runs on meanwhile: what pyheap saw may be gone when the process tells, so nothing beyond
/// the closure is looked at.
///
/// # Errors
/// As [`compare_fixture`].
pub(crate) fn compare_running(
    python: &Python,
    sources: &Path,
    pyheap: &Path,
    name: &str,
    args: &[&str],
) -> Result<Report> {
    let mut fixture = Fixture::start(python, sources, name, args)?;
    let claims = Claims::of(pyheap, fixture.pid())?;
    let truth = fixture.tell(&[])?;
    Ok(compare(&truth, &claims, &format!("{} {name} {}", python.label(), args.join(" "))))
}

/// Compares all that both say.
pub(crate) fn compare(truth: &Truth, claims: &Claims, subject: &str) -> Report {
    let mut report = Report::default();
    report.subject = subject.to_owned();
    report.claimed = claims.objects.len() as u64;
    report.anomalies = claims.anomalies.iter().map(ToString::to_string).collect();
    for &address in &claims.repeated {
        let name = claims.objects.get(&address).map_or("?", |claim| claims.type_name(claim));
        report.note(Difference::Repeated, name, || format!("{address:#x}"));
    }
    for name in &claims.inferred {
        report.type_facts(name).inferred = true;
    }
    for name in &claims.estimated {
        report.type_facts(name).estimated = true;
    }
    let holders = holders_of_missing(truth, claims);
    let beyond = beyond_inferred(truth, claims);
    for (&address, object) in &truth.objects {
        report.told += u64::from(object.in_closure);
        match claims.objects.get(&address) {
            Some(claim) => compare_object(truth, claims, (address, object, claim), &mut report),
            None if beyond.contains(&address) => report.beyond_inferred += 1,
            None if object.in_closure && !truth.excluded.contains(&address) => {
                report.note(Difference::Missing, truth.type_name(object), || {
                    let held = holders.get(&address).map_or_else(String::new, |(at, name)| {
                        format!(", referent of {name} at {at:#x}")
                    });
                    format!("{address:#x}{held}")
                });
            }
            None => {}
        }
    }
    for (&address, claim) in &claims.objects {
        if !truth.objects.contains_key(&address) && !truth.excluded.contains(&address) {
            let why = truth.refuted.get(&address).map_or("not told", String::as_str);
            report.note(Difference::Invented, claims.type_name(claim), || {
                format!("{address:#x}: {why}")
            });
        }
    }
    report
}

/// For each object that pyheap misses, one that refers to it: where the decoder to look at is.
fn holders_of_missing<'a>(truth: &'a Truth, claims: &Claims) -> HashMap<u64, (u64, &'a str)> {
    let mut holders = HashMap::new();
    for (&address, object) in &truth.objects {
        for &referent in &object.referents {
            if !claims.objects.contains_key(&referent) {
                // A holder that pyheap does have says more than one that is missing itself.
                if claims.objects.contains_key(&address) || !holders.contains_key(&referent) {
                    holders.insert(referent, (address, truth.type_name(object)));
                }
            }
        }
    }
    holders
}

/// Missing objects that only objects of inferred types lead to, directly or through each other: they hang on memory of C
/// code that no scan of an object sees. What the collector lists is never among them.
fn beyond_inferred(truth: &Truth, claims: &Claims) -> HashSet<u64> {
    let missing = |address: &u64| !claims.objects.contains_key(address);
    let mut beyond: HashSet<u64> = HashSet::new();
    let mut exact: HashSet<u64> = HashSet::new();
    for (address, object) in &truth.objects {
        if missing(address) {
            continue;
        }
        let inferred = claims.inferred.contains(truth.type_name(object));
        let held = object.referents.iter().copied().filter(missing);
        if inferred { beyond.extend(held) } else { exact.extend(held) }
    }
    beyond.retain(|address| !exact.contains(address));
    let mut left: Vec<u64> = beyond.iter().copied().collect();
    while let Some(address) = left.pop() {
        let Some(object) = truth.objects.get(&address) else { continue };
        for &referent in object.referents.iter().filter(|referent| missing(referent)) {
            if !exact.contains(&referent) && beyond.insert(referent) {
                left.push(referent);
            }
        }
    }
    beyond.retain(|address| truth.objects.get(address).is_some_and(|object| !object.listed));
    beyond
}

fn compare_object(
    truth: &Truth,
    claims: &Claims,
    (address, object, claim): (u64, &TrueObject, &ClaimedObject),
    report: &mut Report,
) {
    report.compared += 1;
    let name = truth.type_name(object);
    let claimed_name = claims.type_name(claim);
    report.type_facts(claimed_name).objects += 1;
    if name != claimed_name {
        report.note(Difference::WrongType, name, || {
            format!("{address:#x}: pyheap says {claimed_name}")
        });
    }
    match object.bytes {
        Some(bytes) if !claims.estimated.contains(claimed_name) => {
            if bytes != claim.bytes {
                let said = claim.bytes;
                report.note(Difference::WrongSize, name, || {
                    format!("{address:#x}: getsizeof {bytes}, pyheap {said}")
                });
            }
        }
        _ => report.sizes_left_out += 1,
    }
    compare_tracking(address, object, claim, (name, claims.interpreters > 1), report);
    if claim.refcount.is_some_and(|count| count != object.refcount) {
        report.refcounts_apart += 1;
    }
    if truth.excluded.contains(&address) {
        return;
    }
    let edges = Edges::between(&object.referents, &claim.referents);
    if claims.inferred.contains(claimed_name) {
        report.inferred_edges += object.referents.len() as u64;
        report.inferred_right += edges.right;
        report.inferred_extra += edges.extra.len() as u64;
        let facts = report.type_facts(claimed_name);
        facts.right += edges.right;
        facts.lacking += edges.lacking.len() as u64;
        facts.extra += edges.extra.len() as u64;
    } else {
        report.exact_edges += object.referents.len() as u64;
        if !edges.lacking.is_empty() || !edges.extra.is_empty() {
            report.note(Difference::WrongReferents, name, || {
                let show = |list: &[u64]| describe(truth, list);
                format!(
                    "{address:#x}: lacking [{}], extra [{}]",
                    show(&edges.lacking),
                    show(&edges.extra)
                )
            });
        }
    }
}

fn compare_tracking(
    address: u64,
    object: &TrueObject,
    claim: &ClaimedObject,
    (name, several): (&str, bool),
    report: &mut Report,
) {
    // What is tracked but in no generation is frozen, or belongs to another interpreter, of which static types know
    // subclasses by weak references.
    let right = match (object.listed, object.tracked) {
        (true, _) => claim.tracked && !claim.frozen,
        (false, true) if object.in_closure => claim.frozen || (several && claim.tracked),
        (false, true) => claim.frozen || claim.tracked,
        (false, false) => !claim.tracked && !claim.frozen,
    };
    if !right {
        let (listed, tracked) = (object.listed, object.tracked);
        let (said, frozen) = (claim.tracked, claim.frozen);
        report.note(Difference::WrongTracking, name, || {
            format!("{address:#x}: listed {listed}, tracked {tracked}; pyheap: tracked {said}, frozen {frozen}")
        });
    }
}

/// Two lists of referents as multisets.
struct Edges {
    right: u64,
    lacking: Vec<u64>,
    extra: Vec<u64>,
}

impl Edges {
    fn between(told: &[u64], claimed: &[u64]) -> Self {
        let (mut told, mut claimed) = (told.to_vec(), claimed.to_vec());
        told.sort_unstable();
        claimed.sort_unstable();
        let mut edges = Self { right: 0, lacking: Vec::new(), extra: Vec::new() };
        let (mut left, mut right) = (told.iter().peekable(), claimed.iter().peekable());
        loop {
            match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if a == b => {
                    edges.right += 1;
                    left.next();
                    right.next();
                }
                (Some(a), Some(b)) if a < b => edges.lacking.extend(left.next()),
                (Some(_), None) => edges.lacking.extend(left.next()),
                (_, Some(_)) => edges.extra.extend(right.next()),
                (None, None) => return edges,
            }
        }
    }
}

/// The first few of a list of addresses, with their types.
fn describe(truth: &Truth, list: &[u64]) -> String {
    let one = |address: &u64| {
        let name = truth.objects.get(address).map_or("?", |object| truth.type_name(object));
        format!("{address:#x} {name}")
    };
    let mut shown: Vec<String> = list.iter().take(5).map(one).collect();
    if list.len() > shown.len() {
        shown.push(format!("… {} in all", list.len()));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::report::TypeFacts;
    use super::*;

    fn told(address: u64, bytes: u64, referents: &[u64]) -> (u64, TrueObject) {
        let object = TrueObject {
            type_at: 1,
            bytes: Some(bytes),
            listed: true,
            tracked: true,
            refcount: 1,
            referents: referents.to_vec(),
            in_closure: true,
        };
        (address, object)
    }

    fn claimed(address: u64, bytes: u64, referents: &[u64]) -> (u64, ClaimedObject) {
        let object = ClaimedObject {
            type_index: 0,
            tracked: true,
            frozen: false,
            refcount: Some(1),
            bytes,
            referents: referents.to_vec(),
            hidden: Vec::new(),
        };
        (address, object)
    }

    fn both(truth: &[(u64, TrueObject)], claims: &[(u64, ClaimedObject)]) -> Report {
        let truth = Truth {
            types: HashMap::from([(1, "m.T".to_owned())]),
            objects: truth.iter().cloned().collect(),
            ..Truth::default()
        };
        let claims = Claims {
            objects: claims.iter().cloned().collect(),
            type_names: vec!["m.T".to_owned()],
            ..Claims::default()
        };
        compare(&truth, &claims, "test")
    }

    #[test]
    fn what_is_the_same_has_no_difference() {
        let report = both(
            &[told(16, 56, &[32, 32]), told(32, 1, &[])],
            &[claimed(16, 56, &[32, 32]), claimed(32, 1, &[])],
        );
        assert!(report.is_exact(), "{report}");
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let report = both(
            &[told(16, 56, &[32, 32]), told(32, 1, &[])],
            &[claimed(16, 57, &[32]), claimed(48, 1, &[])],
        );
        for kind in [
            Difference::Missing,
            Difference::Invented,
            Difference::WrongSize,
            Difference::WrongReferents,
        ] {
            assert_eq!(report.count(kind), 1, "{kind:?} in\n{report}");
        }
        assert!(!report.is_exact());
    }

    #[test]
    fn inferred_references_are_counted_by_type() {
        let (told, claimed) = (told(16, 56, &[16, 32, 32]), claimed(16, 56, &[16, 32, 64]));
        let truth = Truth {
            types: HashMap::from([(1, "m.T".to_owned())]),
            objects: HashMap::from([told]),
            ..Truth::default()
        };
        let claims = Claims {
            objects: HashMap::from([claimed]),
            type_names: vec!["m.T".to_owned()],
            inferred: HashSet::from(["m.T".to_owned()]),
            ..Claims::default()
        };
        let mut facts = *compare(&truth, &claims, "test").type_facts("m.T");
        let once = TypeFacts {
            objects: 1,
            inferred: true,
            estimated: false,
            right: 2,
            lacking: 1,
            extra: 1,
        };
        assert_eq!(facts, once);
        facts.merge(once);
        assert_eq!((facts.objects, facts.right, facts.edges()), (2, 4, 8));
    }

    #[test]
    fn nothing_compared_is_not_exact() {
        assert!(!both(&[], &[]).is_exact());
    }
}
