//! The bytes of one row group to rows. Nothing here is believed before it is checked, and memory
//! grows with what was decoded, never with what was claimed.

use std::sync::Arc;

use bytes::{Buf, Bytes, buf::Reader};
use parquet::column::reader::get_column_reader;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use rustc_hash::FxHashMap;

use super::columns::list_leaf;
use super::encode::FLAG_COLUMNS;
use super::error::Fault;
use crate::addr::Addr;
use crate::graph::{Csr, Finalizer, ObjectFlags, ObjectId, RootKind, TypeId};

/// What rows may refer to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'m> {
    pub(super) objects: usize,
    pub(super) types: usize,
    /// The first type of each name.
    pub(super) types_by_name: &'m FxHashMap<Vec<u8>, TypeId>,
}

/// The rows of a group of objects.
#[derive(Default)]
pub(super) struct ObjectRows {
    pub(super) addrs: Vec<Addr>,
    pub(super) types: Vec<TypeId>,
    pub(super) shallow_bytes: Vec<u64>,
    pub(super) refcounts: Vec<u32>,
    pub(super) flags: Vec<ObjectFlags>,
    pub(super) referents: Csr,
    pub(super) hidden_referents: Csr,
    /// Rows (counted in the group) and bytes, where there are any.
    pub(super) buffer_bytes: Vec<(usize, u64)>,
    pub(super) payload_bytes: Vec<(usize, u64)>,
    pub(super) values: Vec<(usize, String)>,
    pub(super) content_hashes: Vec<Option<u64>>,
    pub(super) names: Vec<(usize, String)>,
    pub(super) spare_bytes: Vec<Option<u64>>,
    pub(super) finalizers: Vec<(usize, Finalizer)>,
    pub(super) weak_referents: Vec<Option<ObjectId>>,
    /// Each text of a traceback once, and for each row the index of its text; 0 is no text. No rows
    /// if the file has none.
    pub(super) traceback_texts: Vec<String>,
    pub(super) tracebacks: Vec<usize>,
    /// Each text of label runs once, and for each row the index of its text; 0 is no text.
    pub(super) run_texts: Vec<String>,
    pub(super) runs: Vec<usize>,
    pub(super) hidden_runs: Vec<usize>,
}

/// A root.
pub(super) struct RootRow {
    pub(super) kind: RootKind,
    pub(super) name: String,
    pub(super) object: ObjectId,
    pub(super) thread: Option<u64>,
}

/// One row group, its bytes in memory.
pub(super) struct GroupReader<'m> {
    pub(super) metadata: &'m RowGroupMetaData,
    pub(super) rows: usize,
    pub(super) known: Known<'m>,
    window: Arc<Window>,
}

/// What was read of a column.
struct Column<T> {
    values: Vec<T>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl<'m> GroupReader<'m> {
    /// A group whose `bytes` begin at `start` in the file.
    pub(super) fn new(
        metadata: &'m RowGroupMetaData,
        rows: usize,
        known: Known<'m>,
        (start, bytes): (u64, Bytes),
    ) -> Self {
        Self { metadata, rows, known, window: Arc::new(Window { start, bytes }) }
    }

    /// The rows, which are objects.
    pub(super) fn objects(&self) -> Result<ObjectRows, Fault> {
        let mut texts = Texts::default();
        let mut tracebacks = Texts::default();
        Ok(ObjectRows {
            addrs: self.each::<Int64Type, _>("address", |at| Ok(Addr(at.cast_unsigned())))?,
            types: self.types()?,
            shallow_bytes: self.each::<Int64Type, _>("shallow_bytes", |n| Ok(n.cast_unsigned()))?,
            refcounts: self.each::<Int64Type, _>("refcount", |n| {
                u32::try_from(n).map_err(|_| Fault::damaged("a refcount out of range"))
            })?,
            flags: self.flags()?,
            referents: self.edges("referents")?,
            hidden_referents: self.edges("hidden_referents")?,
            buffer_bytes: self.sparse_bytes("buffer_bytes")?,
            payload_bytes: self.sparse_bytes("payload_bytes")?,
            values: self.texts("value")?,
            names: self.texts("name")?,
            content_hashes: self.added_numbers("content_hash")?,
            spare_bytes: self.added_numbers("spare_bytes")?,
            finalizers: self.finalizers()?,
            weak_referents: self.weak_referents()?,
            tracebacks: self.tracebacks(&mut tracebacks)?,
            traceback_texts: tracebacks.texts,
            runs: self.runs("label_runs", &mut texts)?,
            hidden_runs: self.runs("hidden_label_runs", &mut texts)?,
            run_texts: texts.texts,
        })
    }

    /// The rows, which are roots.
    pub(super) fn roots(&self) -> Result<Vec<RootRow>, Fault> {
        let kinds = self.each::<ByteArrayType, _>("root_kind", |word| {
            RootKind::from_name(&text(&word)?).ok_or_else(|| Fault::damaged("unknown kind of root"))
        })?;
        let names = self.each::<ByteArrayType, _>("name", |name| text(&name))?;
        let edges = self.edges("referents")?;
        if edges.edges() != self.rows {
            return Err(Fault::damaged("a root has not one referent"));
        }
        let threads = self.threads()?;
        kinds
            .into_iter()
            .zip(names)
            .zip(threads)
            .enumerate()
            .map(|(row, ((kind, name), thread))| match edges.of(ObjectId::from_index(row)) {
                &[object] => Ok(RootRow { kind, name, object, thread }),
                _ => Err(Fault::damaged("a root has not one referent")),
            })
            .collect()
    }

    /// The threads of roots. Files of older versions have no such column.
    fn threads(&self) -> Result<Vec<Option<u64>>, Fault> {
        let leaf = "thread_id";
        let mut chunks = self.metadata.columns().iter();
        if !chunks.any(|chunk| chunk.column_path().string() == leaf) {
            return Ok(vec![None; self.rows]);
        }
        let column = self.read::<Int64Type>(leaf, 1, 0)?;
        let mut values = column.values.iter();
        let rows = column.definitions.iter();
        Ok(rows
            .map(|&defined| match defined {
                0 => None,
                _ => values.next().map(|thread| thread.cast_unsigned()),
            })
            .collect())
    }

    /// The types: by number where there is one, else by name.
    fn types(&self) -> Result<Vec<TypeId>, Fault> {
        let unknown = || Fault::damaged("a type that is not there");
        let numbers = self.read::<Int32Type>("type_id", 1, 0)?;
        let mut types = self.each::<ByteArrayType, _>("type", |name| {
            self.known.types_by_name.get(name.data()).copied().ok_or_else(unknown)
        })?;
        let defined = types.iter_mut().zip(&numbers.definitions);
        let numbered = defined.filter(|&(_, &defined)| defined == 1);
        for ((ty, _), number) in numbered.zip(numbers.values) {
            *ty = TypeId(number.cast_unsigned());
            if ty.index() >= self.known.types {
                return Err(unknown());
            }
        }
        Ok(types)
    }

    fn flags(&self) -> Result<Vec<ObjectFlags>, Fault> {
        let mut flags = self.each::<Int32Type, _>("generation", |generation| {
            u8::try_from(generation)
                .ok()
                .filter(|&generation| generation <= 3)
                .map(|generation| ObjectFlags::default().with_generation(generation))
                .ok_or_else(|| Fault::damaged("a generation out of range"))
        })?;
        let columns = ["gc_tracked", "gc_frozen", "immortal", "namespace"];
        for (column, flag) in columns.into_iter().zip(FLAG_COLUMNS) {
            let column = self.each::<BoolType, _>(column, Ok)?;
            for (flags, has) in flags.iter_mut().zip(column) {
                if has {
                    *flags = flags.with(flag);
                }
            }
        }
        Ok(flags)
    }

    fn sparse_bytes(&self, leaf: &str) -> Result<Vec<(usize, u64)>, Fault> {
        let bytes = self.each::<Int64Type, _>(leaf, |n| Ok(n.cast_unsigned()))?;
        Ok(bytes.into_iter().enumerate().filter(|&(_, bytes)| bytes != 0).collect())
    }

    /// The rows that have a text, and what it is.
    fn texts(&self, column: &str) -> Result<Vec<(usize, String)>, Fault> {
        let column = self.read::<ByteArrayType>(column, 1, 0)?;
        let rows = column.definitions.iter().enumerate().filter(|&(_, &defined)| defined == 1);
        rows.zip(&column.values).map(|((row, _), value)| Ok((row, text(value)?))).collect()
    }

    /// Nothing for any row of a file from before the column was there.
    fn added_numbers(&self, leaf: &str) -> Result<Vec<Option<u64>>, Fault> {
        if !self.has(leaf) {
            return Ok(vec![None; self.rows]);
        }
        let column = self.read::<Int64Type>(leaf, 1, 0)?;
        let mut values = column.values.into_iter().map(i64::cast_unsigned);
        let rows = column.definitions.iter();
        Ok(rows.map(|&defined| (defined == 1).then(|| values.next()).flatten()).collect())
    }

    /// The rows that have a finalizer. Files of earlier versions have no such column.
    fn finalizers(&self) -> Result<Vec<(usize, Finalizer)>, Fault> {
        if !self.has("finalizer") {
            return Ok(Vec::new());
        }
        let known = |word: &str| {
            Finalizer::from_name(word).ok_or_else(|| Fault::damaged("an unknown finalizer"))
        };
        let words = self.texts("finalizer")?;
        words.into_iter().map(|(row, word)| Ok((row, known(&word)?))).collect()
    }

    fn weak_referents(&self) -> Result<Vec<Option<ObjectId>>, Fault> {
        let numbers = self.added_numbers("weak_referent")?;
        let object = |number: u64| self.object(number.cast_signed());
        numbers.into_iter().map(|number| number.map(object).transpose()).collect()
    }

    /// Nothing for a file from before the column was there.
    fn tracebacks(&self, texts: &mut Texts) -> Result<Vec<usize>, Fault> {
        if self.has("traceback") { self.runs("traceback", texts) } else { Ok(Vec::new()) }
    }

    /// Whether the file has a column, which later versions added.
    fn has(&self, leaf: &str) -> bool {
        self.metadata.columns().iter().any(|chunk| chunk.column_path().string() == leaf)
    }

    fn runs(&self, leaf: &str, texts: &mut Texts) -> Result<Vec<usize>, Fault> {
        let column = self.read::<ByteArrayType>(leaf, 1, 0)?;
        let mut values = column.values.iter();
        column
            .definitions
            .iter()
            .map(|&defined| match defined {
                0 => Ok(0),
                _ => values.next().map_or(Ok(0), |value| texts.number(value)),
            })
            .collect()
    }

    fn edges(&self, column: &str) -> Result<Csr, Fault> {
        let Column { values, definitions, repetitions } =
            self.read::<Int64Type>(&list_leaf(column), 1, 1)?;
        let mut csr = Csr::with_capacity(self.rows.min(values.len()), values.len());
        let mut values = values.into_iter().map(|value| self.object(value));
        // The edges of the row that is being read.
        let mut row: Option<Vec<ObjectId>> = None;
        for (defined, repeated) in definitions.into_iter().zip(repetitions) {
            if repeated == 0
                && let Some(row) = &mut row
            {
                csr.push(row.drain(..));
            }
            let row = row.get_or_insert_default();
            if defined == 1
                && let Some(value) = values.next()
            {
                row.push(value?);
            }
        }
        if let Some(row) = row {
            csr.push(row);
        }
        if csr.objects() != self.rows {
            return Err(Fault::damaged(format!("{column}: not as many lists as rows")));
        }
        Ok(csr)
    }

    fn object(&self, row: i64) -> Result<ObjectId, Fault> {
        match usize::try_from(row) {
            Ok(row) if row < self.known.objects => Ok(ObjectId::from_index(row)),
            _ => Err(Fault::damaged("a referent that is not there")),
        }
    }

    /// A column with a value in every row.
    fn each<T: DataType, O>(
        &self,
        leaf: &str,
        mut convert: impl FnMut(T::T) -> Result<O, Fault>,
    ) -> Result<Vec<O>, Fault> {
        let column = self.read::<T>(leaf, 1, 0)?;
        if column.values.len() != self.rows {
            return Err(Fault::damaged(format!("{leaf}: not as many values as rows")));
        }
        column.values.into_iter().map(&mut convert).collect()
    }

    /// All rows of the column of that path, which must have these most levels.
    fn read<T: DataType>(
        &self,
        leaf: &str,
        definition: i16,
        repetition: i16,
    ) -> Result<Column<T::T>, Fault> {
        let damaged = |error: ParquetError| Fault::damaged(format!("{leaf}: {error}"));
        let other = || Fault::damaged(format!("{leaf}: no such column of that type"));
        let chunk = self
            .metadata
            .columns()
            .iter()
            .find(|chunk| chunk.column_path().string() == leaf)
            .ok_or_else(other)?;
        let descr = chunk.column_descr_ptr();
        if (descr.max_def_level(), descr.max_rep_level()) != (definition, repetition) {
            return Err(other());
        }
        let pages = SerializedPageReader::new(Arc::clone(&self.window), chunk, self.rows, None)
            .map_err(damaged)?;
        let reader = get_column_reader(descr, Box::new(pages));
        let mut reader = T::get_column_reader(reader).ok_or_else(other)?;
        let mut column =
            Column { values: Vec::new(), definitions: Vec::new(), repetitions: Vec::new() };
        let mut records = 0;
        while records < self.rows {
            let repetitions = (repetition > 0).then_some(&mut column.repetitions);
            let definitions = Some(&mut column.definitions);
            let (read, ..) = reader
                .read_records(self.rows - records, definitions, repetitions, &mut column.values)
                .map_err(damaged)?;
            if read == 0 {
                return Err(Fault::damaged(format!("{leaf}: fewer rows than the group has")));
            }
            records += read;
        }
        Ok(column)
    }
}

fn text(bytes: &ByteArray) -> Result<String, Fault> {
    let text = bytes.as_utf8().map_err(|_| Fault::damaged("a text that is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Texts by number, from 1.
#[derive(Default)]
struct Texts {
    texts: Vec<String>,
    by_bytes: FxHashMap<Vec<u8>, usize>,
}

impl Texts {
    fn number(&mut self, value: &ByteArray) -> Result<usize, Fault> {
        if let Some(&number) = self.by_bytes.get(value.data()) {
            return Ok(number);
        }
        self.texts.push(text(value)?);
        self.by_bytes.insert(value.data().to_vec(), self.texts.len());
        Ok(self.texts.len())
    }
}

/// The bytes of a row group at their place in the file.
struct Window {
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn from(&self, start: u64) -> ParquetResult<Bytes> {
        let outside = || ParquetError::EOF("a page outside its row group".to_owned());
        let offset = start.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        let offset = offset.filter(|&offset| offset <= self.bytes.len()).ok_or_else(outside)?;
        Ok(self.bytes.slice(offset..))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

impl ChunkReader for Window {
    type T = Reader<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF("a page outside its row group".to_owned()));
        }
        Ok(bytes.slice(..length))
    }
}
