//! The file of a recording: one Parquet file that is whole at every moment (`docs/recording-format.md`).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::SerializedFileWriter;
use rustc_hash::FxHashMap;

use super::growth::Grown;
use super::stacks::{Frame, StackId};
use super::table::{self, Row};
use super::{Census, Collector, EventKind, Head, Recording, Sample, TypeCount};
use crate::new_file::{Existing, NewFile, NewFileError};

/// The number of the format. It changes when a reader of the old one would misread a file.
pub(super) const SCHEMA: u64 = 1;
/// The key of the number of the format.
const SCHEMA_KEY: &str = "pyheap.recording.schema";
/// The key of what is known of the recording as a whole, as JSON.
const HEAD_KEY: &str = "pyheap.recording";
/// The most rows that a file may have; our own bounds make fewer.
const MOST_ROWS: usize = 1 << 20;

/// Why a recording could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file cannot be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file cannot be written: no directory, no permission, a full disk.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The name is that of a directory, a device or a pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// It is a file of something else.
    #[error("{} is no recording of pyheap", .0.display())]
    Foreign(PathBuf),
    /// Written by a later pyheap, in a format that this one does not know.
    #[error("{} has recording format {found}; this pyheap reads format {SCHEMA}", path.display())]
    LaterSchema {
        /// The file.
        path: PathBuf,
        /// The format of the file.
        found: u64,
    },
    /// The bytes contradict each other.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
}

impl RecordingError {
    /// The error of making this file.
    fn making(path: &Path, error: NewFileError) -> Self {
        let path = path.to_owned();
        let source = match error {
            NewFileError::NotAFile => return Self::NotAFile(path),
            NewFileError::Exists => io::ErrorKind::AlreadyExists.into(),
            NewFileError::Write(source) => source,
        };
        Self::Write { path, source }
    }
}

/// Writes a recording, so that the file under this name is a whole one at every moment. With mode 0600. Gives back its size in bytes.
///
/// # Errors
/// The file cannot be written; the one that was there before stays.
pub fn save(recording: &Recording, path: &Path) -> Result<u64, RecordingError> {
    let failed = |error| RecordingError::making(path, error);
    let mut file = NewFile::create(path, Existing::Replace).map_err(failed)?;
    let written = write(recording, file.as_file());
    let bytes = written.map_err(|source| failed(source.into()))?;
    file.publish_soon().map_err(failed)?;
    Ok(bytes)
}

fn write(recording: &Recording, file: &File) -> io::Result<u64> {
    let mut out = BufWriter::new(file);
    encode(recording, &mut out).map_err(|error| match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    })?;
    out.flush()?;
    Ok(out.get_ref().metadata()?.len())
}

fn encode(recording: &Recording, out: impl Write + Send) -> parquet::errors::Result<()> {
    let properties = Arc::new(table::properties()?);
    let mut writer = SerializedFileWriter::new(out, table::schema()?, properties)?;
    for rows in [
        samples(recording),
        collectors(recording),
        censuses(recording),
        stacks(recording),
        events(recording),
    ] {
        if !rows.is_empty() {
            table::write(&mut writer, &rows)?;
        }
    }
    let head = serde_json::to_string(&recording.head)
        .map_err(|error| ParquetError::General(error.to_string()))?;
    let pair = |key: &str, value| KeyValue::new(key.to_owned(), value);
    writer.append_key_value_metadata(pair(SCHEMA_KEY, Some(SCHEMA.to_string())));
    writer.append_key_value_metadata(pair(HEAD_KEY, Some(head)));
    writer.close()?;
    Ok(())
}

fn samples(recording: &Recording) -> Vec<Row> {
    let every = u64::from(recording.samples.every());
    let row = |sample: &Sample| {
        let mut row = Row::new("sample")
            .real("seconds", sample.seconds)
            .with("rss_bytes", sample.rss_bytes)
            .with("rss_min_bytes", sample.rss_min_bytes)
            .with("rss_max_bytes", sample.rss_max_bytes)
            .with("private_bytes", sample.private_bytes)
            .with("swap_bytes", sample.swap_bytes)
            .with("minor_faults", sample.minor_faults)
            .with("major_faults", sample.major_faults)
            .with("threads", sample.threads)
            .with("every", every)
            .real("cpu_seconds", sample.cpu_seconds);
        if let Some(pss) = sample.pss_bytes {
            row = row.with("pss_bytes", pss);
        }
        row
    };
    recording.samples.points().iter().map(row).collect()
}

fn collectors(recording: &Recording) -> Vec<Row> {
    let row = |every: u32, point: &Collector| {
        let mut row = Row::new("collector")
            .real("seconds", seconds(point.millis))
            .with("millis", point.millis)
            .with("every", every.into())
            .with("interpreter", point.interpreter);
        for (nth, (collections, count)) in point.collections.iter().zip(point.counts).enumerate() {
            row.put(&format!("collections_{nth}"), *collections);
            row.put(&format!("count_{nth}"), count);
        }
        row
    };
    let all = recording.collectors.values();
    all.flat_map(|one| one.points().iter().map(|point| row(one.every(), point))).collect()
}

fn censuses(recording: &Recording) -> Vec<Row> {
    let mut rows = Vec::new();
    for (nth, census) in (0_u64..).zip(recording.censuses.all()) {
        let counts = |row: Row, objects, shallow, buffers| {
            row.real("seconds", census.seconds)
                .with("census", nth)
                .with("objects", objects)
                .with("shallow_bytes", shallow)
                .with("buffer_bytes", buffers)
        };
        let mut all = Row::new("census").real("pause_seconds", census.pause_seconds);
        if let Some(garbage) = census.garbage_bytes {
            all = all.with("garbage_bytes", garbage);
        }
        rows.push(counts(all, census.objects, census.shallow_bytes, census.buffer_bytes));
        for row in &census.types {
            let named = Row::new("type").text("type", Arc::clone(&row.name));
            rows.push(counts(named, row.objects, row.shallow_bytes, row.buffer_bytes));
        }
    }
    rows
}

fn stacks(recording: &Recording) -> Vec<Row> {
    let growth = &recording.growth;
    let (now, peak) = (growth.now(), growth.at_peak());
    let ids = (0..growth.stacks.len()).filter_map(|nth| u32::try_from(nth).ok()).map(StackId);
    let mut rows = Vec::with_capacity(growth.stacks.len() + 1);
    for stack in ids.map(Some).chain([None]) {
        let now = now.get(&stack).copied().unwrap_or_default();
        let peak = peak.get(&stack).copied().unwrap_or_default();
        let mut row = Row::new("stack");
        if let Some(stack) = stack {
            row = row.with("id", stack.0.into()).with("samples", growth.seen(stack));
            if let Some(caller) = growth.stacks.caller(stack) {
                row = row.with("caller", caller.0.into());
            }
            if let Some(id) = growth.stacks.innermost(stack)
                && let Some(frame) = growth.stacks.line(id)
            {
                row = row
                    .with("rests", u64::from(growth.rests(id)))
                    .text("file", &*frame.file)
                    .text("function", &*frame.function)
                    .with("line", frame.line.into());
            }
        } else if now.bytes == 0 && peak.bytes == 0 {
            continue;
        }
        rows.push(
            row.with("growth_bytes", now.bytes)
                .with("growth_sure_bytes", now.sure_bytes)
                .with("peak_bytes", peak.bytes)
                .with("peak_sure_bytes", peak.sure_bytes),
        );
    }
    rows
}

fn events(recording: &Recording) -> Vec<Row> {
    let row = |event: &super::Event| {
        Row::new("event")
            .real("seconds", event.seconds)
            .text("event", event.kind.word())
            .text("text", &*event.text)
    };
    recording.events.iter().map(row).collect()
}

#[allow(clippy::cast_precision_loss)]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

/// Whether a file says that it is a recording.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    guarded(|| open(path).is_ok_and(|reader| text(&reader, SCHEMA_KEY).is_some())) == Some(true)
}

fn open(path: &Path) -> Result<SerializedFileReader<File>, RecordingError> {
    let failed = |source| RecordingError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(RecordingError::Foreign(path.to_owned()));
    }
    SerializedFileReader::new(file).map_err(|_| RecordingError::Foreign(path.to_owned()))
}

fn text(reader: &SerializedFileReader<File>, key: &str) -> Option<String> {
    let pairs = reader.metadata().file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.clone()
}

/// Reads a recording.
///
/// # Errors
/// The file cannot be read, is no recording, is from a later pyheap, or is damaged.
pub fn load(path: &Path) -> Result<Recording, RecordingError> {
    // On a thread of its own: the library panics at some of what a damaged file may claim, and that
    // must stay an error.
    guarded(|| read(path)).unwrap_or_else(|| {
        let what = "it cannot be decoded".to_owned();
        Err(RecordingError::Damaged { path: path.to_owned(), what })
    })
}

/// What comes of a task; nothing if it panics.
fn guarded<T: Send>(task: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| scope.spawn(task).join().ok())
}

fn read(path: &Path) -> Result<Recording, RecordingError> {
    let damaged = |what: String| RecordingError::Damaged { path: path.to_owned(), what };
    let reader = open(path)?;
    let schema = text(&reader, SCHEMA_KEY).and_then(|number| number.parse().ok());
    match schema {
        Some(SCHEMA) => {}
        Some(found) => return Err(RecordingError::LaterSchema { path: path.to_owned(), found }),
        None => return Err(RecordingError::Foreign(path.to_owned())),
    }
    let head = text(&reader, HEAD_KEY).ok_or_else(|| damaged(format!("{HEAD_KEY} is missing")))?;
    let head: Head = serde_json::from_str(&head).map_err(|error| damaged(error.to_string()))?;
    let rows = table::read(&reader, MOST_ROWS).map_err(|error| damaged(error.to_string()))?;
    decode(head, &rows).map_err(damaged)
}

fn decode(head: Head, rows: &[Row]) -> Result<Recording, String> {
    let peak_at = head.peak_at;
    let mut recording = Recording::new(head);
    let of = |kind: &'static str| rows.iter().filter(move |row| &*row.kind == kind);
    let every = |row: Option<&Row>| row.map_or(1, |row| row.number("every"));
    let every = |row| u32::try_from(every(row)).unwrap_or(1);
    recording.samples.restore(of("sample").map(sample).collect(), every(of("sample").next()));
    for row in of("collector") {
        recording.push_collector(collector(row));
    }
    for (&interpreter, series) in &mut recording.collectors {
        let row = of("collector").find(|row| row.number("interpreter") == interpreter);
        series.thinned(every(row));
    }
    let mut types: FxHashMap<u64, Vec<TypeCount>> = FxHashMap::default();
    for row in of("type") {
        types.entry(row.number("census")).or_default().push(TypeCount {
            name: row.word("type"),
            objects: row.number("objects"),
            shallow_bytes: row.number("shallow_bytes"),
            buffer_bytes: row.number("buffer_bytes"),
        });
    }
    for row in of("census") {
        let census = Census {
            seconds: row.seconds("seconds"),
            pause_seconds: row.seconds("pause_seconds"),
            objects: row.number("objects"),
            shallow_bytes: row.number("shallow_bytes"),
            buffer_bytes: row.number("buffer_bytes"),
            garbage_bytes: row.optional("garbage_bytes"),
            types: types.remove(&row.number("census")).unwrap_or_default(),
        };
        recording.censuses.push(census, peak_at);
    }
    let growth = &mut recording.growth;
    for row in of("stack") {
        let stack = match row.optional("id") {
            None => None,
            Some(id) => {
                let frame = growth.stacks.frame(Frame {
                    file: row.word("file").to_string(),
                    line: u32::try_from(row.number("line")).unwrap_or(0),
                    function: row.word("function").to_string(),
                });
                if row.number("rests") > 0 {
                    growth.rest(frame);
                }
                let caller = row.optional("caller");
                if caller.is_some_and(|caller| caller >= id) {
                    return Err("a stack that is called by a later one".to_owned());
                }
                let caller = caller.and_then(|caller| u32::try_from(caller).ok()).map(StackId);
                let stack = growth.stacks.push(caller, frame);
                if u64::from(stack.0) != id {
                    return Err("stacks that are not in their order".to_owned());
                }
                Some(stack)
            }
        };
        let grown = |bytes, sure| Grown { bytes: row.number(bytes), sure_bytes: row.number(sure) };
        growth.restore(
            stack,
            grown("growth_bytes", "growth_sure_bytes"),
            grown("peak_bytes", "peak_sure_bytes"),
            row.number("samples"),
        );
    }
    for row in of("event") {
        let kind = EventKind::from_word(&row.word("event"));
        if let Some(kind) = kind {
            recording.events.push(row.seconds("seconds"), kind, &*row.word("text"));
        }
    }
    Ok(recording)
}

fn sample(row: &Row) -> Sample {
    Sample {
        seconds: row.seconds("seconds"),
        rss_bytes: row.number("rss_bytes"),
        rss_min_bytes: row.number("rss_min_bytes"),
        rss_max_bytes: row.number("rss_max_bytes"),
        private_bytes: row.number("private_bytes"),
        swap_bytes: row.number("swap_bytes"),
        pss_bytes: row.optional("pss_bytes"),
        minor_faults: row.number("minor_faults"),
        major_faults: row.number("major_faults"),
        cpu_seconds: row.seconds("cpu_seconds"),
        threads: row.number("threads"),
    }
}

fn collector(row: &Row) -> Collector {
    let three = |name: &str| [0, 1, 2].map(|nth| row.signed(&format!("{name}_{nth}")));
    Collector {
        millis: row.number("millis"),
        interpreter: row.number("interpreter"),
        collections: three("collections"),
        counts: three("count"),
    }
}

#[cfg(test)]
mod tests;
