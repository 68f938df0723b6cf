//! `memory`: where it is, and what that means.

use std::io::{self, Write};

use crate::facts::{Facts, MemoryFacts, MemoryPart};
use crate::report::table::{Align, Table};
use crate::report::{Layout, units};

/// How many pieces of a part are shown.
const PIECES: usize = 3;
/// A piece is shown if it is at least one part in so many of all.
const MATERIAL: u64 = 100;

/// What it means, the parts, and what could be given back.
///
/// # Errors
/// Those of the writer.
pub fn write(
    out: &mut dyn Write,
    facts: &Facts,
    memory: &MemoryFacts,
    layout: &Layout,
) -> io::Result<()> {
    super::histogram::header(out, facts, layout)?;
    for (nth, sentence) in verdict(memory).iter().enumerate() {
        let sentence = wrapped(&sentence.replace(char::is_control, "\u{fffd}"), layout.width);
        let sentence = if nth == 0 { layout.style.bold(&sentence) } else { sentence };
        writeln!(out, "{sentence}")?;
    }
    writeln!(out)?;
    table(out, memory, layout)?;
    writeln!(out)?;
    footer(out, memory, layout)
}

fn table(out: &mut dyn Write, memory: &MemoryFacts, layout: &Layout) -> io::Result<()> {
    let all = total(memory);
    let mut table =
        Table::new(&[("memory", Align::Right), ("%", Align::Right), ("where", Align::Name)]);
    let share = |bytes| format!("{:.1}", units::share(bytes, all) * 100.0);
    for part in &memory.parts {
        table.row([units::bytes(part.bytes), share(part.bytes), words(&part.name).to_owned()]);
        let pieces = part.detail.iter().filter(|piece| piece.bytes >= all / MATERIAL);
        // One piece that is all of it says nothing new, unless it has a name of its own.
        let is_said = part.detail.len() == 1 && !has_names(part);
        for piece in pieces.take(if is_said { 0 } else { PIECES }) {
            let count = piece.count.map(|count| format!(" ({})", units::count(count)));
            let name = format!("    {}{}", piece.name, count.unwrap_or_default());
            table.row([
                String::new(),
                String::new(),
                format!("{}  {name}", units::bytes(piece.bytes)),
            ]);
        }
    }
    let unexplained = memory.unexplained_bytes;
    if unexplained.unsigned_abs() >= all / (2 * MATERIAL) {
        let share = format!("{:.1}", units::share(unexplained.unsigned_abs(), all) * 100.0);
        table.row([units::signed_bytes(unexplained), share, "unexplained".to_owned()]);
    }
    table.write(out, layout.style, layout.name_width())
}

fn has_names(part: &MemoryPart) -> bool {
    matches!(part.name.as_str(), "anonymous_mappings" | "file_mappings" | "stacks")
}

fn footer(out: &mut dyn Write, memory: &MemoryFacts, layout: &Layout) -> io::Result<()> {
    if let (Some(pss), Some(private), Some(shared), Some(swap)) =
        (memory.pss_bytes, memory.private_dirty_bytes, memory.shared_bytes, memory.swap_bytes)
    {
        writeln!(
            out,
            "PSS {}, private dirty {}, shared with other processes {}, in swap {}",
            units::bytes(pss),
            units::bytes(private),
            units::bytes(shared),
            units::bytes(swap),
        )?;
    }
    writeln!(out, "{}", wrapped(&malloc(memory), layout.width))?;
    let given = &memory.reclaimable;
    let text = format!(
        "malloc_trim(0) would give back {}, a restart up to {}",
        units::bytes(given.malloc_trim_bytes),
        units::bytes(given.restart_bytes),
    );
    writeln!(out, "{}", wrapped(&text, layout.width))?;
    for unknown in &memory.unknown {
        writeln!(out, "{}", layout.style.dim(&wrapped(unknown, layout.width)))?;
    }
    Ok(())
}

/// What the C library's allocator has, in a line.
fn malloc(memory: &MemoryFacts) -> String {
    let malloc = &memory.malloc;
    if malloc.arenas.is_empty() {
        return format!(
            "malloc is {}: what it has free cannot be told from what is in use",
            malloc.allocator
        );
    }
    let sum = |of: &dyn Fn(&crate::facts::MallocArenaFacts) -> u64| {
        malloc.arenas.iter().map(of).fold(0, u64::saturating_add)
    };
    let (system, used): (u64, u64) =
        (sum(&|arena| arena.system_bytes), sum(&|arena| arena.used_bytes));
    format!(
        "malloc is {}: {} with {}, of which {} in use; {} with mappings of their own, {}",
        malloc.allocator,
        counted(malloc.arenas.len() as u64, "arena"),
        units::bytes(system),
        units::bytes(used),
        counted(malloc.mapped_blocks, "block"),
        units::bytes(malloc.mapped_bytes),
    )
}

fn counted(count: u64, what: &str) -> String {
    format!("{} {what}{}", units::count(count), if count == 1 { "" } else { "s" })
}

/// What is in memory, as far as that is known.
fn total(memory: &MemoryFacts) -> u64 {
    memory
        .rss_bytes
        .unwrap_or_else(|| memory.parts.iter().map(|part| part.bytes).fold(0, u64::saturating_add))
}

/// The parts in words.
#[must_use]
pub fn words(part: &str) -> &str {
    match part {
        "python_objects" => "Python objects",
        "python_free" => "free in Python's own arenas",
        "buffers" => "buffers of Python objects (arrays, bytearrays)",
        "malloc_used" => "allocated by C code (malloc), no Python object",
        "malloc_free" => "free in malloc's arenas",
        "anonymous_mappings" => "other mappings (mmap)",
        "file_mappings" => "mapped files: programs, libraries, shared memory",
        "stacks" => "stacks of threads",
        other => other,
    }
}

/// What it means, the answer to "is it Python?" first.
#[must_use]
pub fn verdict(memory: &MemoryFacts) -> Vec<String> {
    let all = total(memory);
    let said = |bytes: u64| {
        format!("{} of {} ({})", units::bytes(bytes), units::bytes(all), units::percent(bytes, all))
    };
    let [objects, buffers] = ["python_objects", "buffers"].map(|name| memory.part(name));
    let python = objects + buffers;
    let biggest = memory.parts.iter().max_by_key(|part| part.bytes);
    let Some(biggest) = biggest.filter(|part| part.bytes > 0) else { return Vec::new() };
    let most = said(biggest.bytes);
    let piece = biggest.detail.first();
    let largest = piece.map_or_else(String::new, |piece| {
        format!(", the largest is {} with {}", piece.name, units::bytes(piece.bytes))
    });
    let first = match biggest.name.as_str() {
        "python_objects" => format!("It is Python: {most} are Python objects."),
        "buffers" => format!(
            "It is Python: {most} are buffers that Python objects own, such as the data of arrays."
        ),
        _ => {
            format!("It is not live Python objects: these and their buffers are {}.", said(python))
        }
    };
    let next = match biggest.name.as_str() {
        "python_objects" | "buffers" => "pyheap histogram says of which types.".to_owned(),
        "python_free" => format!(
            "{most} are free in Python's own arenas: fragmentation. An arena stays as long as one \
             object in it lives."
        ),
        "malloc_used" => format!(
            "{most} were allocated by C code with malloc, and no Python object is known to own them: \
             a C library or extension holds them."
        ),
        "malloc_free" => format!(
            "{most} are free, and kept by malloc in {}: fragmentation of the C heap.",
            counted(memory.malloc.arenas.len() as u64, "arena")
        ),
        "anonymous_mappings" => format!("{most} were mapped with mmap{largest}."),
        "file_mappings" => format!("{most} are mapped files or shared memory{largest}."),
        _ => format!(
            "{most} are stacks of {}{largest}.",
            counted(biggest.detail.len() as u64, "thread")
        ),
    };
    let mut sentences = vec![first, next];
    let free = [("python_free", "Python's own arenas"), ("malloc_free", "malloc's arenas")];
    for (name, place) in free {
        let bytes = memory.part(name);
        if biggest.name != name && bytes >= all / 10 {
            sentences.push(format!("{} are free in {place}.", said(bytes)));
        }
    }
    let trim = memory.reclaimable.malloc_trim_bytes;
    if trim >= all / 20 && trim > 1 << 20 {
        sentences.push(format!(
            "malloc_trim(0) would give back {}: ctypes.CDLL(None).malloc_trim(0).",
            units::bytes(trim)
        ));
    }
    sentences
}

/// Which part grew the most between two looks, in a line; nothing if none did.
#[must_use]
pub fn growth(before: &MemoryFacts, after: &MemoryFacts) -> Option<String> {
    let grew = |part: &MemoryPart| {
        let before = i64::try_from(before.part(&part.name)).unwrap_or(i64::MAX);
        i64::try_from(part.bytes).unwrap_or(i64::MAX) - before
    };
    let most = after.parts.iter().max_by_key(|part| grew(part))?;
    let by = grew(most);
    // A page here and there says nothing.
    (by >= 1 << 16)
        .then(|| format!("Most in memory grew: {}, {}", words(&most.name), units::signed_bytes(by)))
}

/// A table of processes, the totals last.
///
/// # Errors
/// Those of the writer.
pub fn workers(
    out: &mut dyn Write,
    found: &[(u32, MemoryFacts)],
    layout: &Layout,
) -> io::Result<()> {
    let right = ["pid", "RSS", "PSS", "private", "shared", "Python", "free"];
    let columns: Vec<_> = right.into_iter().map(|name| (name, Align::Right)).collect();
    let columns = [columns, vec![("most of it in", Align::Name)]].concat();
    let mut table = Table::new(&columns);
    let mut sums = [0_u64; 6];
    for (pid, memory) in found {
        let numbers = [
            memory.rss_bytes.unwrap_or_default(),
            memory.pss_bytes.unwrap_or_default(),
            memory.private_dirty_bytes.unwrap_or_default(),
            memory.shared_bytes.unwrap_or_default(),
            memory.part("python_objects") + memory.part("buffers"),
            memory.part("python_free") + memory.part("malloc_free"),
        ];
        for (sum, number) in sums.iter_mut().zip(numbers) {
            *sum += number;
        }
        let biggest = memory.parts.iter().max_by_key(|part| part.bytes);
        let cells = numbers.map(units::bytes).into_iter();
        let name = biggest.map_or("", |part| words(&part.name)).to_owned();
        table.row([pid.to_string()].into_iter().chain(cells).chain([name]));
    }
    // Shared pages are in the numbers of each process, but for these two.
    let [_, pss, private, ..] = sums.map(units::bytes);
    let none = || "-".to_owned();
    let all = ["all".to_owned(), none(), pss, private, none(), none(), none(), String::new()];
    table.row(all);
    table.write(out, layout.style, layout.name_width())?;
    writeln!(
        out,
        "\nPSS divides shared pages by how many processes have them: its sum is what all cost together."
    )
}

/// Text in lines of the terminal's width.
fn wrapped(text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > width {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}
