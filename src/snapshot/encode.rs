//! Rows to the compressed columns of one row group, in memory.

use std::sync::Arc;

use bytes::Bytes;
use parquet::column::writer::{ColumnCloseResult, get_column_writer};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::SchemaDescriptor;
use rustc_hash::{FxHashMap, FxHashSet};

use super::allocations;
use super::error::Fault;
use super::label_runs;
use super::label_texts::{LabelTexts, ListColumn};
use super::plan::{RowGroup, RowKind};
use crate::graph::{Csr, HeapGraph, ObjectFlags, ObjectId, Root, ShapeColumn, ShapeId, SiteId};

/// A column of a row group, as it goes into the file.
pub(super) struct EncodedColumn {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Encodes row groups. Each thread has its own, so that the caches need no locks.
pub(super) struct Encoder<'g> {
    graph: &'g HeapGraph,
    schema: Arc<SchemaDescriptor>,
    properties: WriterPropertiesPtr,
    type_names: Vec<ByteArray>,
    /// The number of each type whose name an earlier type has: the others are known by their name,
    /// so that the column is all but empty.
    type_ids: Vec<Option<i32>>,
    label_texts: LabelTexts<'g>,
    /// The text of each shape that was met.
    label_runs: Vec<Option<Option<ByteArray>>>,
    /// The text of each traceback that was met.
    tracebacks: FxHashMap<SiteId, ByteArray>,
}

impl<'g> Encoder<'g> {
    pub(super) fn new(
        graph: &'g HeapGraph,
        schema: Arc<SchemaDescriptor>,
        properties: WriterPropertiesPtr,
    ) -> Self {
        let type_names = graph.types.iter().map(|row| graph.strings.text(row.name).into());
        let mut names = FxHashSet::default();
        let type_ids = (0_u32..).zip(&graph.types).map(|(id, row)| {
            let is_first = names.insert(graph.strings.text(row.name));
            (!is_first).then_some(id.cast_signed())
        });
        Self {
            graph,
            schema,
            properties,
            type_names: type_names.collect(),
            type_ids: type_ids.collect(),
            label_texts: LabelTexts::new(graph),
            label_runs: vec![None; graph.shapes.len()],
            tracebacks: FxHashMap::default(),
        }
    }

    /// All columns of a row group, in the order of the schema.
    pub(super) fn encode(&mut self, group: &RowGroup) -> Result<Vec<EncodedColumn>, Fault> {
        let mut columns = ColumnsWriter {
            schema: &Arc::clone(&self.schema),
            properties: &Arc::clone(&self.properties),
            rows: group.rows.len(),
            done: Vec::new(),
        };
        match group.kind {
            RowKind::Object => {
                let ids: Vec<ObjectId> = group.rows.clone().map(ObjectId::from_index).collect();
                self.objects(&ids, &mut columns)?;
            }
            RowKind::Root => self.roots(group, &mut columns)?,
        }
        Ok(columns.done)
    }

    fn objects(&mut self, ids: &[ObjectId], out: &mut ColumnsWriter<'_>) -> Result<(), Fault> {
        let graph = self.graph;
        out.required::<Int64Type>(ids.iter().map(|id| i64::from(id.0)))?;
        let kind = ByteArray::from(RowKind::Object.name());
        out.required::<ByteArrayType>(ids.iter().map(|_| kind.clone()))?;
        out.optional::<Int64Type>(ids.iter().map(|&id| Some(graph.addr(id).0.cast_signed())))?;
        let type_name = |id| self.type_names.get(graph.type_of(id).index()).cloned();
        out.optional::<ByteArrayType>(ids.iter().map(|&id| type_name(id)))?;
        let type_id = |id| self.type_ids.get(graph.type_of(id).index()).copied().flatten();
        out.optional::<Int32Type>(ids.iter().map(|&id| type_id(id)))?;
        for flag in FLAG_COLUMNS {
            let has = |id| Some(graph.flags_of(id).has(flag));
            out.optional::<BoolType>(ids.iter().map(|&id| has(id)))?;
        }
        let generation = |id| Some(i32::from(graph.flags_of(id).generation()));
        out.optional::<Int32Type>(ids.iter().map(|&id| generation(id)))?;
        let refcount = |id: ObjectId| graph.refcounts.get(id.index()).map(|&n| i64::from(n));
        out.optional::<Int64Type>(ids.iter().map(|&id| refcount(id)))?;
        let shallow = |id| Some(graph.shallow_bytes_of(id).cast_signed());
        out.optional::<Int64Type>(ids.iter().map(|&id| shallow(id)))?;
        for column in [&graph.buffer_bytes, &graph.payload_bytes] {
            let bytes = |id| Some(column.get(&id).copied().unwrap_or_default().cast_signed());
            out.optional::<Int64Type>(ids.iter().map(|&id| bytes(id)))?;
        }
        for (edges, shapes_of) in [
            (&graph.referents, &graph.shapes_of),
            (&graph.hidden_referents, &graph.hidden_shapes_of),
        ] {
            out.list::<Int64Type>(referents(ids, edges))?;
            let labels = self.labels(ids, edges, shapes_of);
            out.list::<ByteArrayType>(labels)?;
        }
        for shapes_of in [&graph.shapes_of, &graph.hidden_shapes_of] {
            let mut runs = Vec::with_capacity(ids.len());
            for id in ids {
                runs.push(self.runs(shapes_of.get(id.index()).copied().unwrap_or_default())?);
            }
            out.optional::<ByteArrayType>(runs.into_iter())?;
        }
        let value = |id| graph.values.get(&id).map(|&text| graph.strings.text(text).into());
        out.optional::<ByteArrayType>(ids.iter().map(|&id| value(id)))?;
        out.nulls::<ByteArrayType>(1)?;
        let name = |id| graph.names.get(&id).map(|&text| graph.strings.text(text).into());
        out.optional::<ByteArrayType>(ids.iter().map(|&id| name(id)))?;
        let content = |id| graph.content_hashes.get(id).map(u64::cast_signed);
        out.optional::<Int64Type>(ids.iter().map(|&id| content(id)))?;
        out.nulls::<Int64Type>(1)?;
        let spare = |id| graph.spare_bytes.get(id).map(u64::cast_signed);
        out.optional::<Int64Type>(ids.iter().map(|&id| spare(id)))?;
        let line = |id| allocations::line(graph, id).map(|text| text.as_str().into());
        out.optional::<ByteArrayType>(ids.iter().map(|&id| line(id)))?;
        let mut tracebacks = Vec::with_capacity(ids.len());
        for &id in ids {
            tracebacks.push(self.traceback(id)?);
        }
        out.optional::<ByteArrayType>(tracebacks.into_iter())?;
        let finalizer = |id| graph.finalizers.get(id).map(|finalizer| finalizer.name().into());
        out.optional::<ByteArrayType>(ids.iter().map(|&id| finalizer(id)))?;
        let referent = |id| graph.weak_referents.get(id).map(|object| i64::from(object.0));
        out.optional::<Int64Type>(ids.iter().map(|&id| referent(id)))
    }

    fn roots(&self, group: &RowGroup, out: &mut ColumnsWriter<'_>) -> Result<(), Fault> {
        let graph = self.graph;
        let roots = graph.roots.get(group.rows.clone()).unwrap_or(&[]);
        let first = graph.len() + group.rows.start;
        out.required::<Int64Type>((first..).zip(roots).map(|(row, _)| row as i64))?;
        let kind = ByteArray::from(RowKind::Root.name());
        out.required::<ByteArrayType>(roots.iter().map(|_| kind.clone()))?;
        out.nulls::<Int64Type>(1)?;
        out.nulls::<ByteArrayType>(1)?;
        out.nulls::<Int32Type>(1)?;
        out.nulls::<BoolType>(FLAG_COLUMNS.len())?;
        out.nulls::<Int32Type>(1)?;
        out.nulls::<Int64Type>(4)?;
        let mut referent = ListColumn::default();
        let mut label = ListColumn::default();
        for root in roots {
            referent.push(true, Some(i64::from(root.object.0)), 1);
            label.push(true, None, 2);
        }
        out.list::<Int64Type>(referent)?;
        out.list::<ByteArrayType>(label)?;
        out.list::<Int64Type>(empty(roots))?;
        out.list::<ByteArrayType>(empty(roots))?;
        out.nulls::<ByteArrayType>(3)?;
        out.optional::<ByteArrayType>(roots.iter().map(|root| Some(root.kind.name().into())))?;
        let name = |root: &Root| Some(graph.strings.text(root.name).into());
        out.optional::<ByteArrayType>(roots.iter().map(name))?;
        out.nulls::<Int64Type>(1)?;
        let thread = |root: &Root| root.thread.map(u64::cast_signed);
        out.optional::<Int64Type>(roots.iter().map(thread))?;
        out.nulls::<Int64Type>(1)?;
        out.nulls::<ByteArrayType>(3)?;
        out.nulls::<Int64Type>(1)
    }

    fn labels(
        &mut self,
        ids: &[ObjectId],
        edges: &Csr,
        shapes_of: &ShapeColumn,
    ) -> ListColumn<ByteArray> {
        let mut column = ListColumn::default();
        for &id in ids {
            let shape = shapes_of.get(id.index()).copied().unwrap_or_default();
            self.label_texts.push_row(&mut column, id, edges.of(id), shape);
        }
        column
    }

    /// The text of the traceback of an object; each is made once.
    fn traceback(&mut self, object: ObjectId) -> Result<Option<ByteArray>, Fault> {
        let Some(site) = self.graph.allocations.site_of(object) else { return Ok(None) };
        if let Some(known) = self.tracebacks.get(&site) {
            return Ok(Some(known.clone()));
        }
        let text = allocations::encode(self.graph, site).map_err(Fault::Inconsistent)?;
        let text = ByteArray::from(text.into_bytes());
        self.tracebacks.insert(site, text.clone());
        Ok(Some(text))
    }

    /// The text of a shape, made once.
    fn runs(&mut self, shape: ShapeId) -> Result<Option<ByteArray>, Fault> {
        if let Some(Some(known)) = self.label_runs.get(shape.index()) {
            return Ok(known.clone());
        }
        let text = label_runs::encode(self.graph, shape).map_err(Fault::Inconsistent)?;
        let text = text.map(|text| ByteArray::from(text.into_bytes()));
        if let Some(slot) = self.label_runs.get_mut(shape.index()) {
            *slot = Some(text.clone());
        }
        Ok(text)
    }
}

/// The flags in the order of their columns.
pub(super) const FLAG_COLUMNS: [u8; 4] = [
    ObjectFlags::GC_TRACKED,
    ObjectFlags::GC_FROZEN,
    ObjectFlags::IMMORTAL,
    ObjectFlags::NAMESPACE,
];

fn referents(ids: &[ObjectId], edges: &Csr) -> ListColumn<i64> {
    let mut column = ListColumn::default();
    for &id in ids {
        let edges = edges.of(id);
        if edges.is_empty() {
            column.push_empty();
        }
        for (nth, edge) in edges.iter().enumerate() {
            column.push(nth == 0, Some(i64::from(edge.0)), 1);
        }
    }
    column
}

fn empty<T>(roots: &[Root]) -> ListColumn<T> {
    let none = vec![0; roots.len()];
    ListColumn { values: Vec::new(), definitions: none.clone(), repetitions: none }
}

/// Columns are written in the order of the schema, whose next leaf gives the type and encoding.
struct ColumnsWriter<'a> {
    schema: &'a SchemaDescriptor,
    properties: &'a WriterPropertiesPtr,
    rows: usize,
    done: Vec<EncodedColumn>,
}

impl ColumnsWriter<'_> {
    fn required<T: DataType>(&mut self, values: impl Iterator<Item = T::T>) -> Result<(), Fault> {
        let values: Vec<T::T> = values.collect();
        self.write::<T>(&values, None, None)
    }

    fn optional<T: DataType>(
        &mut self,
        values: impl Iterator<Item = Option<T::T>>,
    ) -> Result<(), Fault> {
        let mut present = Vec::with_capacity(self.rows);
        let mut definitions = Vec::with_capacity(self.rows);
        for value in values {
            definitions.push(i16::from(value.is_some()));
            present.extend(value);
        }
        self.write::<T>(&present, Some(&definitions), None)
    }

    /// The next columns have no value in any row.
    fn nulls<T: DataType>(&mut self, columns: usize) -> Result<(), Fault> {
        let definitions = vec![0; self.rows];
        (0..columns).try_for_each(|_| self.write::<T>(&[], Some(&definitions), None))
    }

    fn list<T: DataType>(&mut self, list: ListColumn<T::T>) -> Result<(), Fault> {
        self.write::<T>(&list.values, Some(&list.definitions), Some(&list.repetitions))
    }

    fn write<T: DataType>(
        &mut self,
        values: &[T::T],
        definitions: Option<&[i16]>,
        repetitions: Option<&[i16]>,
    ) -> Result<(), Fault> {
        let mismatch = || Fault::Inconsistent("a column of another type".to_owned());
        let column = self.schema.columns().get(self.done.len()).ok_or_else(mismatch)?;
        let mut sink = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut sink));
        let writer = get_column_writer(Arc::clone(column), Arc::clone(self.properties), pages);
        let mut writer = T::get_column_writer(writer).ok_or_else(mismatch)?;
        writer.write_batch(values, definitions, repetitions)?;
        let close = writer.close()?;
        self.done.push(EncodedColumn { bytes: sink.into_inner()?.into(), close });
        Ok(())
    }
}
