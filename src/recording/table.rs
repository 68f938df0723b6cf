//! The rows of a file as one table of columns: each column says how it is got from a row and put back.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

/// The numbers of a row, by the places of their columns; a column that a kind of row has not is empty.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Row {
    pub(super) kind: Arc<str>,
    integers: [Option<i64>; INTEGERS.len()],
    reals: [Option<f64>; REALS.len()],
    texts: [Option<Arc<str>>; TEXTS.len()],
}

/// The columns of whole numbers.
const INTEGERS: [&str; 32] = [
    "rss_bytes",
    "rss_min_bytes",
    "rss_max_bytes",
    "private_bytes",
    "swap_bytes",
    "pss_bytes",
    "minor_faults",
    "major_faults",
    "threads",
    "interpreter",
    "collections_0",
    "collections_1",
    "collections_2",
    "count_0",
    "count_1",
    "count_2",
    "census",
    "objects",
    "shallow_bytes",
    "buffer_bytes",
    "garbage_bytes",
    "id",
    "caller",
    "line",
    "samples",
    "rests",
    "growth_bytes",
    "growth_sure_bytes",
    "peak_bytes",
    "peak_sure_bytes",
    "millis",
    "every",
];

/// The columns of real numbers.
const REALS: [&str; 3] = ["seconds", "cpu_seconds", "pause_seconds"];

/// The columns of texts.
const TEXTS: [&str; 5] = ["type", "file", "function", "event", "text"];

impl Row {
    pub(super) fn new(kind: &'static str) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Sets a whole number. A number that no Parquet file can hold is the highest that one can.
    pub(super) fn with(mut self, column: &str, value: u64) -> Self {
        self.put(column, i64::try_from(value).unwrap_or(i64::MAX));
        self
    }

    pub(super) fn put(&mut self, column: &str, value: i64) {
        if let Some(cell) = place(&INTEGERS, column).and_then(|nth| self.integers.get_mut(nth)) {
            *cell = Some(value);
        }
    }

    pub(super) fn real(mut self, column: &str, value: f64) -> Self {
        if let Some(cell) = place(&REALS, column).and_then(|nth| self.reals.get_mut(nth)) {
            *cell = Some(value);
        }
        self
    }

    pub(super) fn text(mut self, column: &str, value: impl Into<Arc<str>>) -> Self {
        if let Some(cell) = place(&TEXTS, column).and_then(|nth| self.texts.get_mut(nth)) {
            *cell = Some(value.into());
        }
        self
    }

    pub(super) fn signed(&self, column: &str) -> i64 {
        let cell = place(&INTEGERS, column).and_then(|nth| self.integers.get(nth));
        cell.copied().flatten().unwrap_or(0)
    }

    pub(super) fn number(&self, column: &str) -> u64 {
        u64::try_from(self.signed(column)).unwrap_or(0)
    }

    pub(super) fn optional(&self, column: &str) -> Option<u64> {
        let cell = place(&INTEGERS, column).and_then(|nth| self.integers.get(nth));
        cell.copied().flatten().and_then(|number| u64::try_from(number).ok())
    }

    pub(super) fn seconds(&self, column: &str) -> f64 {
        let cell = place(&REALS, column).and_then(|nth| self.reals.get(nth));
        cell.copied().flatten().filter(|seconds| seconds.is_finite()).unwrap_or(0.0)
    }

    pub(super) fn word(&self, column: &str) -> Arc<str> {
        let cell = place(&TEXTS, column).and_then(|nth| self.texts.get(nth));
        cell.cloned().flatten().unwrap_or_default()
    }
}

fn place(names: &[&str], column: &str) -> Option<usize> {
    let found = names.iter().position(|&name| name == column);
    debug_assert!(found.is_some(), "no column {column}");
    found
}

/// The schema of the file.
pub(super) fn schema() -> Result<TypePtr> {
    let mut message = "message pyheap_recording { required binary kind (STRING);".to_owned();
    for (names, of, logical) in
        [(&INTEGERS[..], "int64", ""), (&REALS, "double", ""), (&TEXTS, "binary", "(STRING)")]
    {
        for name in names {
            message.push_str(&format!(" optional {of} {name} {logical};"));
        }
    }
    message.push_str(" }");
    Ok(Arc::new(parse_message_type(&message)?))
}

/// How the columns are encoded.
pub(super) fn properties() -> Result<WriterProperties> {
    Ok(WriterProperties::builder()
        .set_created_by(format!("pyheap {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build())
}

/// Writes rows of one kind as a row group.
pub(super) fn write<W: std::io::Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    rows: &[Row],
) -> Result<()> {
    let mut group = writer.next_row_group()?;
    let kinds: Vec<ByteArray> = rows.iter().map(|row| ByteArray::from(&*row.kind)).collect();
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<ByteArrayType>().write_batch(&kinds, None, None)?;
    column.close()?;
    for nth in 0..INTEGERS.len() {
        let cells = rows.iter().map(|row| row.integers.get(nth).copied().flatten());
        optional::<Int64Type, _>(&mut group, cells)?;
    }
    for nth in 0..REALS.len() {
        let cells = rows.iter().map(|row| row.reals.get(nth).copied().flatten());
        optional::<DoubleType, _>(&mut group, cells)?;
    }
    for nth in 0..TEXTS.len() {
        let cells = rows.iter().map(|row| row.texts.get(nth).and_then(|text| text.as_deref()));
        optional::<ByteArrayType, _>(&mut group, cells.map(|text| text.map(ByteArray::from)))?;
    }
    group.close()?;
    Ok(())
}

fn optional<D: parquet::data_type::DataType, W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    cells: impl Iterator<Item = Option<D::T>>,
) -> Result<()> {
    let mut values = Vec::new();
    let mut definitions = Vec::new();
    for cell in cells {
        definitions.push(i16::from(cell.is_some()));
        values.extend(cell);
    }
    let mut column = group.next_column()?.ok_or_else(missing)?;
    column.typed::<D>().write_batch(&values, Some(&definitions), None)?;
    column.close()
}

fn missing() -> ParquetError {
    ParquetError::General("a column is missing".to_owned())
}

/// Reads all rows of a file, at most so many.
pub(super) fn read(reader: &dyn FileReader, most: usize) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    for nth in 0..reader.num_row_groups() {
        let group = reader.get_row_group(nth)?;
        let claimed = usize::try_from(group.metadata().num_rows()).unwrap_or(usize::MAX);
        if claimed > most.saturating_sub(all.len()) {
            return Err(ParquetError::General("more rows than a recording has".to_owned()));
        }
        all.extend(read_group(&*group)?);
    }
    Ok(all)
}

fn read_group(group: &dyn RowGroupReader) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for nth in 0..group.num_columns() {
        let name = group.metadata().column(nth).column_descr().name().to_owned();
        match group.get_column_reader(nth)? {
            ColumnReader::Int64ColumnReader(mut reader) => {
                each(
                    |v, d| reader.read_records(BATCH, Some(d), None, v),
                    |nth, value| {
                        if let Some(row) = at(&mut rows, nth)
                            && INTEGERS.contains(&&*name)
                        {
                            row.put(&name, value);
                        }
                    },
                )?;
            }
            ColumnReader::DoubleColumnReader(mut reader) => {
                each(
                    |v, d| reader.read_records(BATCH, Some(d), None, v),
                    |nth, value| {
                        if let Some(row) = at(&mut rows, nth)
                            && let Some(place) = REALS.iter().position(|&known| known == name)
                            && let Some(cell) = row.reals.get_mut(place)
                        {
                            *cell = Some(value);
                        }
                    },
                )?;
            }
            ColumnReader::ByteArrayColumnReader(mut reader) => {
                // Names repeat, and one text serves all that are equal.
                let mut known: rustc_hash::FxHashSet<Arc<str>> = rustc_hash::FxHashSet::default();
                let is_kind = name == "kind";
                let mut failed = None;
                let mut put = |nth: usize, value: ByteArray| {
                    let text = match value.as_utf8() {
                        Ok(text) => text,
                        Err(error) => {
                            failed = Some(error);
                            return;
                        }
                    };
                    let text = known.get(text).cloned().unwrap_or_else(|| {
                        let text: Arc<str> = text.into();
                        known.insert(Arc::clone(&text));
                        text
                    });
                    let Some(row) = at(&mut rows, nth) else { return };
                    if is_kind {
                        row.kind = text;
                    } else if let Some(place) = TEXTS.iter().position(|&known| known == name)
                        && let Some(cell) = row.texts.get_mut(place)
                    {
                        *cell = Some(text);
                    }
                };
                if is_kind {
                    required(|v| reader.read_records(BATCH, None, None, v), &mut put)?;
                } else {
                    each(|v, d| reader.read_records(BATCH, Some(d), None, v), &mut put)?;
                }
                if let Some(error) = failed {
                    return Err(error);
                }
            }
            // A column of a later format.
            _ => {}
        }
    }
    Ok(rows)
}

/// How many records are read at once.
const BATCH: usize = 4096;
/// The most rows of a group: more than any recording has.
const MOST_ROWS: usize = 1 << 22;

/// A row; rows appear with the first column, which every row has.
fn at(rows: &mut Vec<Row>, nth: usize) -> Option<&mut Row> {
    if nth >= rows.len() && nth < MOST_ROWS {
        rows.resize_with(nth + 1, Row::default);
    }
    rows.get_mut(nth)
}

/// The values of a column that every row has.
fn required<T>(
    mut read: impl FnMut(&mut Vec<T>) -> Result<(usize, usize, usize)>,
    put: &mut impl FnMut(usize, T),
) -> Result<()> {
    let mut nth = 0;
    loop {
        let mut values = Vec::new();
        let (records, _, _) = read(&mut values)?;
        if records == 0 {
            return Ok(());
        }
        for value in values {
            put(nth, value);
            nth += 1;
        }
    }
}

/// The values of a column that some rows have, each with the number of its row.
fn each<T>(
    mut read: impl FnMut(&mut Vec<T>, &mut Vec<i16>) -> Result<(usize, usize, usize)>,
    mut put: impl FnMut(usize, T),
) -> Result<()> {
    let mut nth = 0;
    loop {
        let (mut values, mut definitions) = (Vec::new(), Vec::new());
        let (records, _, _) = read(&mut values, &mut definitions)?;
        if records == 0 {
            return Ok(());
        }
        let mut values = values.into_iter();
        for definition in definitions {
            if definition > 0
                && let Some(value) = values.next()
            {
                put(nth, value);
            }
            nth += 1;
        }
    }
}
