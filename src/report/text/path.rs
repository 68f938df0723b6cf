//! A path in one line: `module app.cache → dict[*] → Session`.

use std::cmp::Ordering;

use crate::analysis::{HeldBy, Origin, Path, PathRoot, Step};
use crate::graph::RootKind;
use crate::report::short_type;

/// Between two objects.
const ARROW: &str = " → ";

/// A label behind the type it belongs to: `.name`, `[3]`, ` key`, ` local x`.
#[must_use]
pub fn label(label: &str) -> String {
    match label.chars().next() {
        None => String::new(),
        Some('.' | '[' | '{') => label.to_owned(),
        // A field of the C structure.
        Some('<') => format!(".{label}"),
        // An offset in an object whose references were found by scanning.
        Some('+') => format!(" at {label}"),
        Some(_) => format!(" {}", label.strip_suffix(" *").unwrap_or(label)),
    }
}

/// The line of a path; without `full_names` a class is shown without its module.
#[must_use]
pub fn line(path: &Path, full_names: bool) -> String {
    let root = root(&path.root, full_names);
    clean(&append(root, &path.steps, full_names))
}

/// What a path begins with.
#[must_use]
pub fn root(root: &PathRoot, full_names: bool) -> String {
    let word = root.origin.name().replace('_', " ");
    match root.origin {
        // The place where the address stands, or how many references are not explained.
        Origin::Root(RootKind::C) if root.name.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("C code ({})", root.name)
        }
        Origin::Root(RootKind::C) => format!("C code: {}", root.name),
        _ if root.name.is_empty() => word,
        _ if full_names => format!("{word} {}", root.name),
        _ => format!("{word} {}", short_place(&root.name)),
    }
}

/// One object of a path, with the label by which it is held: `.rows list`.
#[must_use]
pub fn step(step: &Step, full_names: bool) -> String {
    let label = label(&step.label);
    match label.trim_start() {
        "" => object(step, full_names),
        label => format!("{label} {}", object(step, full_names)),
    }
}

/// The line of a circle, whose last step is its first object again.
#[must_use]
pub fn circle(steps: &[Step], full_names: bool) -> String {
    clean(&append(String::new(), steps, full_names))
}

/// How a group of objects is held, in a list of such: by a path from a root, or by a reference cycle
/// alone, which is told with the path from it.
#[must_use]
pub fn holder(held: &HeldBy, full_names: bool) -> String {
    let beginning = match held.path.root.origin {
        Origin::Garbage if !held.cycle.is_empty() => "garbage: nothing but a reference cycle",
        Origin::Uncollectable if !held.cycle.is_empty() => {
            "nothing but a reference cycle that no collection frees:"
        }
        Origin::Root(RootKind::C) => return format!("held by {}", line(&held.path, full_names)),
        _ => return line(&held.path, full_names),
    };
    let cycle = append(String::new(), &held.cycle, full_names);
    let mut text = format!("{beginning} {cycle}");
    if held.path.steps.len() > 1 {
        text.push_str(", then ");
        text.push_str(&append(String::new(), &held.path.steps, full_names));
    }
    clean(&text)
}

/// The same after the objects that are held: `held by module app.cache → …`.
#[must_use]
pub fn held_by(held: &HeldBy, full_names: bool) -> String {
    let text = holder(held, full_names);
    match held.path.root.origin {
        Origin::Garbage | Origin::Uncollectable | Origin::Root(RootKind::C) => text,
        Origin::Root(_) => format!("held by {text}"),
    }
}

/// The steps behind a beginning; where there is none, the first object is the beginning. What nobody
/// reads is left out of the middle.
fn append(beginning: String, steps: &[Step], full_names: bool) -> String {
    const MOST: usize = 24;
    const LAST: usize = 6;
    let mut line = beginning;
    let left_out = steps.len().saturating_sub(MOST);
    for (nth, step) in steps.iter().enumerate() {
        match (MOST - LAST).cmp(&nth) {
            Ordering::Equal if left_out > 0 => {
                line.push_str(&format!("{ARROW}… {left_out} steps …"));
                continue;
            }
            Ordering::Less if nth < MOST - LAST + left_out => continue,
            _ => {}
        }
        match step.label.as_str() {
            // It lies between the two objects, and is none.
            block if block.starts_with("native block") => line.push_str(&format!("{ARROW}{block}")),
            named => line.push_str(&label(named)),
        }
        if !line.is_empty() {
            line.push_str(ARROW);
        }
        line.push_str(&object(step, full_names));
    }
    line
}

/// An object by its type, and by what code calls it: `function render (views.py:31)`, `class Pool`.
fn object(step: &Step, full_names: bool) -> String {
    let last = |name: &str| -> String {
        let name = short_type(name);
        let short = name.rsplit('.').next().unwrap_or(name);
        if full_names { name.to_owned() } else { short.to_owned() }
    };
    let ty = last(&step.type_name);
    let Some(name) = &step.name else { return ty };
    let place = name.rfind(')').and_then(|end| name.get(..=end));
    match place {
        // What follows the place are the variables of enclosing functions.
        Some(place) if full_names => format!("{ty} {place}"),
        Some(place) => format!("{ty} {}", short_place(place)),
        None => format!("class {}", last(name)),
    }
}

/// `run (/srv/app/server.py:58) self` without the folders of the file.
pub(super) fn short_place(text: &str) -> String {
    let Some((before, rest)) = text.split_once(" (") else { return text.to_owned() };
    let end = rest.find(')').unwrap_or(rest.len());
    let folders = rest.get(..end).and_then(|place| place.rfind('/')).map_or(0, |slash| slash + 1);
    format!("{before} ({}", rest.get(folders..).unwrap_or_default())
}

/// A sentence in lines of at most `width` characters.
#[must_use]
pub fn words(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut at = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if at > 0 && at + 1 + length > width {
            lines.push('\n');
            at = 0;
        } else if at > 0 {
            lines.push(' ');
            at += 1;
        }
        lines.push_str(word);
        at += length;
    }
    lines
}

/// What a terminal may be shown: names from a target may hold anything.
fn clean(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// The text in lines of at most `width` characters, broken before its arrows, each behind `indent`
/// spaces but the first, which begins at column `column`. A longer piece stays whole.
#[must_use]
pub fn wrapped(text: &str, width: Option<usize>, column: usize, indent: usize) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut at = column;
    for (index, piece) in text.split_inclusive(ARROW).enumerate() {
        let length = piece.trim_end().chars().count();
        if index > 0 && at + length > width {
            lines.truncate(lines.trim_end().len());
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            at = indent;
        }
        lines.push_str(piece);
        at += piece.chars().count();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::ObjectId;

    fn steps(words: &[(&str, &str)]) -> Vec<Step> {
        let step = |&(label, name): &(&str, &str)| Step {
            label: label.to_owned(),
            type_name: name.to_owned(),
            name: None,
        };
        words.iter().map(step).collect()
    }

    #[test]
    fn labels_read_like_python() {
        for (given, shown) in [
            ("", ""),
            (".name", ".name"),
            ("[3]", "[3]"),
            ("[*]", "[*]"),
            ("{*}", "{*}"),
            ("key *", " key"),
            ("local x", " local x"),
            ("<it_seq>", ".<it_seq>"),
            ("+16", " at +16"),
        ] {
            assert_eq!(label(given), shown);
        }
    }

    #[test]
    fn a_cycle_is_told_before_what_hangs_on_it() {
        let root = PathRoot { origin: Origin::Garbage, name: String::new() };
        let path = Path { root, steps: steps(&[("", "pandas.DataFrame")]) };
        let cycle = steps(&[
            ("", "pandas.DataFrame"),
            (".ww", "woodwork.Accessor"),
            ("._dataframe", "pandas.DataFrame"),
        ]);
        let mut held = HeldBy { path, objects: 1, bytes: 1, example: ObjectId::default(), cycle };
        let told = "garbage: nothing but a reference cycle \
                    DataFrame.ww → Accessor._dataframe → DataFrame";
        assert_eq!(holder(&held, false), told);
        held.path.steps = steps(&[("", "pandas.DataFrame"), (".data", "numpy.ndarray")]);
        assert_eq!(holder(&held, false), format!("{told}, then DataFrame.data → ndarray"));
        held.cycle.clear();
        assert_eq!(holder(&held, false), "garbage → DataFrame.data → ndarray");
    }

    #[test]
    fn the_words_before_a_path_say_who_holds() {
        let held = |origin, name: &str, cycle: &[(&str, &str)]| {
            let root = PathRoot { origin, name: name.to_owned() };
            let path = Path { root, steps: steps(&[("", "app.Node")]) };
            let cycle = steps(cycle);
            let held = HeldBy { path, objects: 1, bytes: 1, example: ObjectId::default(), cycle };
            (holder(&held, false), held_by(&held, false))
        };
        let (alone, after) = held(Origin::Root(RootKind::C), "2 references", &[]);
        assert_eq!(alone, "held by C code (2 references) → Node");
        assert_eq!(after, alone);
        let (alone, after) = held(Origin::Root(RootKind::Thread), "context", &[]);
        assert_eq!(alone, "thread context → Node");
        assert_eq!(after, "held by thread context → Node");
        let circle = &[("", "app.Node"), (".me", "app.Node")];
        let (alone, after) = held(Origin::Uncollectable, "", circle);
        let told = "nothing but a reference cycle that no collection frees: Node.me → Node";
        assert_eq!((alone.as_str(), after.as_str()), (told, told));
    }

    #[test]
    fn of_a_long_path_both_ends_are_told() {
        let words: Vec<(String, String)> =
            (0..40).map(|nth| (format!(".n{nth}"), format!("app.T{nth}"))).collect();
        let words: Vec<(&str, &str)> =
            words.iter().map(|(label, name)| (label.as_str(), name.as_str())).collect();
        let told = circle(&steps(&words), false);
        assert!(told.contains(".n17 → T17 → … 16 steps ….n34 → T34"), "{told}");
        assert!(told.ends_with(".n39 → T39"), "{told}");
        assert!(!circle(&steps(&words[..24]), false).contains('…'));
    }

    #[test]
    fn native_memory_is_a_stop_on_the_way() {
        let words = [("", "rpds.HashTrieMap"), ("native block of 64 bytes", "app.Node")];
        let told = circle(&steps(&words), false);
        assert_eq!(told, "HashTrieMap → native block of 64 bytes → Node");
    }

    #[test]
    fn a_long_path_is_broken_before_its_objects() {
        let text = "module app.cache → SessionCache.by_token → dict[*] → Session";
        assert_eq!(
            wrapped(text, Some(40), 4, 6),
            "module app.cache →\n      SessionCache.by_token → dict[*] →\n      Session"
        );
        assert_eq!(wrapped(text, None, 4, 6), text);
    }
}
