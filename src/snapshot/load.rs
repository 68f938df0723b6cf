//! A file to a snapshot: every byte is covered by a checksum before it is decoded, and every number
//! is checked before it is used.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use rustc_hash::FxHashMap;

use super::checksum::{self, Seal};
use super::columns::SCHEMA;
use super::decode::{GroupReader, Known, ObjectRows, RootRow};
use super::error::{Fault, SnapshotError};
use super::footer::{self, RowGroupText};
use super::plan::RowKind;
use super::{Snapshot, allocations, columns, label_runs, pipeline};
use crate::graph::{Csr, HeapGraph, LabelRun, ObjectId, Root, ShapeId, TypeId};

/// What every Parquet file begins and ends with.
const MAGIC: &[u8] = b"PAR1";
/// What a Parquet file with an encrypted footer ends with.
const MAGIC_ENCRYPTED: &[u8] = b"PARE";
/// The length of the footer and the magic, behind the footer.
const TAIL_BYTES: u64 = 8;

/// Reads a snapshot file.
///
/// # Errors
///
/// If the file cannot be read, is no snapshot, is from a later pyheap, or is not exactly what was
/// written.
pub fn load(path: &Path) -> Result<Snapshot, SnapshotError> {
    let failed = |source| SnapshotError::Read { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(SnapshotError::NotAFile { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    let (metadata, footer_at) = read_footer(&file, metadata.len(), path)?;
    read_rows(&file, &metadata, footer_at).map_err(|fault| fault.reading(path))
}

/// The metadata of the file and where the footer begins, if it is a snapshot that we can read.
fn read_footer(
    file: &File,
    len: u64,
    path: &Path,
) -> Result<(ParquetMetaData, u64), SnapshotError> {
    let owned = || path.to_owned();
    let read = |at, len| read_at(file, at, len).map_err(|fault| fault.reading(path));
    if len == 0 {
        return Err(SnapshotError::Empty { path: owned() });
    }
    let head = read(0, len.min(4))?;
    if !MAGIC.starts_with(&head) {
        return Err(SnapshotError::NotParquet { path: owned() });
    }
    let Some(tail_at) = len.checked_sub(TAIL_BYTES).filter(|&at| at >= 4) else {
        return Err(SnapshotError::Truncated { path: owned() });
    };
    let tail = read(tail_at, TAIL_BYTES)?;
    let (footer_len, magic) = match tail.as_slice() {
        &[a, b, c, d, ref magic @ ..] => (u64::from(u32::from_le_bytes([a, b, c, d])), magic),
        _ => (0, &[][..]),
    };
    if magic == MAGIC_ENCRYPTED {
        return Err(SnapshotError::Foreign { path: owned() });
    }
    if magic != MAGIC {
        return Err(SnapshotError::Truncated { path: owned() });
    }
    let damaged = |what: String| SnapshotError::Damaged { path: owned(), what };
    let Some(footer_at) = tail_at.checked_sub(footer_len).filter(|&at| at >= 4) else {
        return Err(damaged("the footer is longer than the file".to_owned()));
    };
    let footer = read(footer_at, len - footer_at)?;
    let seal = checksum::check(footer.clone());
    if seal == Seal::Broken {
        return Err(damaged("the footer does not match its checksum".to_owned()));
    }
    let metadata = decode_metadata(&footer).map_err(|fault| fault.reading(path))?;
    let pairs = metadata.file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let Some(schema) = footer::find(pairs, footer::SCHEMA_KEY) else {
        return Err(SnapshotError::Foreign { path: owned() });
    };
    match schema.parse::<u64>() {
        Ok(SCHEMA) if seal == Seal::Holds => Ok((metadata, footer_at)),
        Ok(found) if found > SCHEMA => {
            Err(SnapshotError::LaterSchema { path: owned(), found, known: SCHEMA })
        }
        Ok(SCHEMA) => Err(damaged("the footer has no checksum".to_owned())),
        _ => Err(damaged(format!("{schema:?} is no snapshot format"))),
    }
}

/// Decodes the footer, on a thread of its own: a foreign file has no checksum that would keep the
/// decoder from surprises, and a panic must stay an error.
fn decode_metadata(footer: &[u8]) -> Result<ParquetMetaData, Fault> {
    let thrift = footer.len().checked_sub(8).and_then(|len| footer.get(..len)).unwrap_or(&[]);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| ParquetMetaDataReader::decode_metadata(thrift));
        match thread.join() {
            Ok(Ok(metadata)) => Ok(metadata),
            Ok(Err(error)) => Err(Fault::damaged(format!("the footer: {error}"))),
            Err(_) => Err(Fault::damaged("the footer cannot be decoded")),
        }
    })
}

fn read_at(file: &File, at: u64, len: u64) -> Result<Vec<u8>, Fault> {
    let len = usize::try_from(len).map_err(|_| Fault::OutOfMemory)?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len)?;
    bytes.resize(len, 0);
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// A row group to read.
struct Group<'m> {
    kind: RowKind,
    rows: usize,
    at: u64,
    bytes: u64,
    xxh3: String,
    metadata: &'m RowGroupMetaData,
}

/// The rows of a group.
enum Rows {
    Objects(Box<ObjectRows>),
    Roots(Vec<RootRow>),
}

fn read_rows(file: &File, metadata: &ParquetMetaData, footer_at: u64) -> Result<Snapshot, Fault> {
    let pairs = metadata.file_metadata().key_value_metadata().map_or(&[][..], Vec::as_slice);
    let mut graph = HeapGraph::default();
    let footer = footer::decode(pairs, &mut graph)?;
    graph.anomalies = footer.anomalies;
    let groups = row_groups(&footer.row_groups, metadata.row_groups(), footer_at)?;
    let rows_of = |kind| {
        let groups = groups.iter().filter(move |group| group.kind == kind);
        groups.map(|group| group.rows).fold(0_usize, usize::saturating_add)
    };
    let objects = rows_of(RowKind::Object);
    if u32::try_from(objects).is_err() {
        return Err(Fault::damaged("more than 2^32 - 1 objects"));
    }
    let mut types_by_name = FxHashMap::default();
    for (row, id) in graph.types.iter().zip(0..) {
        let name = graph.strings.text(row.name).as_bytes().to_vec();
        types_by_name.entry(name).or_insert(TypeId(id));
    }
    let known = Known { objects, types: graph.types.len(), types_by_name: &types_by_name };
    reserve(&mut graph, objects, metadata, footer_at)?;
    pipeline::in_order(
        &groups,
        || |group: &Group<'_>| read_group(file, group, known),
        |_, rows| match rows {
            Rows::Objects(rows) => append_objects(&mut graph, *rows),
            Rows::Roots(rows) => {
                append_roots(&mut graph, rows);
                Ok(())
            }
        },
    )?;
    if !graph.addrs.is_sorted_by(|a, b| a < b) {
        return Err(Fault::damaged("addresses are not in ascending order"));
    }
    Ok(Snapshot { facts: footer.facts, graph })
}

/// Makes room for what the file claims to hold, as far as its length makes that likely: an honest
/// object takes more than a byte. Beyond that the columns grow with what is decoded.
fn reserve(
    graph: &mut HeapGraph,
    objects: usize,
    metadata: &ParquetMetaData,
    file_bytes: u64,
) -> Result<(), Fault> {
    let likely = |claimed: usize| claimed.min(usize::try_from(file_bytes).unwrap_or(usize::MAX));
    let edges = |column: &str| {
        let leaf = columns::list_leaf(column);
        let chunks = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
        let edges = chunks
            .filter(|chunk| chunk.column_path().string() == leaf)
            .map(|chunk| usize::try_from(chunk.num_values()).unwrap_or(0))
            .fold(0, usize::saturating_add);
        // An object without edges counts as one value.
        likely(edges)
    };
    let objects = likely(objects);
    graph.referents = Csr::with_capacity(objects, edges("referents"));
    let hidden = edges("hidden_referents").saturating_sub(objects);
    graph.hidden_referents = Csr::with_capacity(objects, hidden);
    graph.addrs.try_reserve_exact(objects)?;
    graph.object_types.try_reserve_exact(objects)?;
    graph.shallow_bytes.try_reserve_exact(objects)?;
    graph.refcounts.try_reserve_exact(objects)?;
    graph.flags.try_reserve_exact(objects)?;
    Ok(())
}

/// The row groups, if what our metadata and Parquet's say about them agrees and covers the file.
fn row_groups<'m>(
    texts: &[RowGroupText],
    metadata: &'m [RowGroupMetaData],
    footer_at: u64,
) -> Result<Vec<Group<'m>>, Fault> {
    let wrong = || Fault::damaged("the list of row groups contradicts itself");
    if texts.len() != metadata.len() {
        return Err(wrong());
    }
    let mut at = MAGIC.len() as u64;
    let mut groups: Vec<Group<'m>> = Vec::with_capacity(texts.len());
    for (text, metadata) in texts.iter().zip(metadata) {
        let kind = RowKind::from_name(&text.kind).ok_or_else(wrong)?;
        let rows = usize::try_from(text.rows).map_err(|_| wrong())?;
        let objects_follow_roots = kind == RowKind::Object
            && groups.last().is_some_and(|group| group.kind == RowKind::Root);
        let negative = metadata.columns().iter().any(|chunk| {
            chunk.data_page_offset() < 0
                || chunk.compressed_size() < 0
                || chunk.num_values() < 0
                || chunk.dictionary_page_offset().is_some_and(|at| at < 0)
        });
        if i64::try_from(rows) != Ok(metadata.num_rows()) || objects_follow_roots || negative {
            return Err(wrong());
        }
        groups.push(Group { kind, rows, at, bytes: text.bytes, xxh3: text.xxh3.clone(), metadata });
        at = at.checked_add(text.bytes).filter(|&at| at <= footer_at).ok_or_else(wrong)?;
    }
    if at == footer_at { Ok(groups) } else { Err(wrong()) }
}

fn read_group(file: &File, group: &Group<'_>, known: Known<'_>) -> Result<Rows, Fault> {
    let bytes = read_at(file, group.at, group.bytes)?;
    if checksum::of(&bytes) != group.xxh3 {
        return Err(Fault::damaged(format!(
            "the row group at byte {} does not match its checksum",
            group.at
        )));
    }
    let bytes = (group.at, Bytes::from(bytes));
    let reader = GroupReader::new(group.metadata, group.rows, known, bytes);
    Ok(match group.kind {
        RowKind::Object => Rows::Objects(Box::new(reader.objects()?)),
        RowKind::Root => Rows::Roots(reader.roots()?),
    })
}

fn append_objects(graph: &mut HeapGraph, rows: ObjectRows) -> Result<(), Fault> {
    let first = graph.addrs.len();
    let mut shapes = vec![ShapeId::default()];
    for text in &rows.run_texts {
        let runs: Vec<LabelRun> =
            label_runs::decode(text, &mut graph.strings).map_err(Fault::Damaged)?;
        shapes.push(graph.shapes.intern(&runs));
    }
    let shape = |&runs: &usize| shapes.get(runs).copied().unwrap_or_default();
    graph.shapes_of.extend(rows.runs.iter().map(shape));
    graph.hidden_shapes_of.extend(rows.hidden_runs.iter().map(shape));
    graph.addrs.extend(rows.addrs);
    graph.object_types.extend(rows.types);
    graph.shallow_bytes.extend(rows.shallow_bytes);
    graph.refcounts.extend(rows.refcounts);
    graph.flags.extend(rows.flags);
    graph.referents.append(&rows.referents);
    graph.hidden_referents.append(&rows.hidden_referents);
    let object = |row| ObjectId::from_index(first + row);
    graph.buffer_bytes.extend(rows.buffer_bytes.iter().map(|&(row, n)| (object(row), n)));
    graph.payload_bytes.extend(rows.payload_bytes.iter().map(|&(row, n)| (object(row), n)));
    graph.content_hashes.extend(rows.content_hashes);
    graph.spare_bytes.extend(rows.spare_bytes);
    for (row, finalizer) in rows.finalizers {
        graph.finalizers.push_at(object(row), finalizer);
    }
    graph.weak_referents.extend(rows.weak_referents);
    let mut sites = vec![None];
    for text in &rows.traceback_texts {
        sites.push(Some(allocations::decode(text, graph).map_err(Fault::Damaged)?));
    }
    let site = |&number: &usize| sites.get(number).copied().flatten();
    graph.allocations.extend(rows.tracebacks.iter().map(site));
    for (row, value) in rows.values {
        let value = graph.strings.intern(&value);
        graph.values.insert(object(row), value);
    }
    for (row, name) in rows.names {
        let name = graph.strings.intern(&name);
        graph.names.insert(object(row), name);
    }
    Ok(())
}

fn append_roots(graph: &mut HeapGraph, rows: Vec<RootRow>) {
    for RootRow { kind, name, object, thread } in rows {
        let name = graph.strings.intern(&name);
        graph.roots.push(Root { kind, name, object, thread });
    }
}
