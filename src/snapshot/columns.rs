//! The columns of the file: their names, types, encodings and order.

use std::sync::Arc;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::Result;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

/// The number of the format. It changes when a reader of the old one would misread a file.
pub(super) const SCHEMA: u64 = 1;

/// The most rows of a row group: enough for dictionaries to pay, few enough that two encoders and
/// what they hold fit into tens of megabytes.
pub(super) const ROWS_PER_GROUP: usize = 1 << 18;

/// A row group ends at the object that reaches so many edges.
pub(super) const EDGES_PER_GROUP: usize = 1 << 20;

/// The schema. A root is a row without the facts of an object.
const MESSAGE: &str = "
message pyheap_snapshot {
  required int64 id;
  required binary kind (STRING);
  optional int64 address;
  optional binary type (STRING);
  optional int32 type_id;
  optional boolean gc_tracked;
  optional boolean gc_frozen;
  optional boolean immortal;
  optional boolean namespace;
  optional int32 generation;
  optional int64 refcount;
  optional int64 shallow_bytes;
  optional int64 buffer_bytes;
  optional int64 payload_bytes;
  required group referents (LIST) { repeated group list { required int64 element; } }
  required group labels (LIST) { repeated group list { optional binary element (STRING); } }
  required group hidden_referents (LIST) { repeated group list { required int64 element; } }
  required group hidden_labels (LIST) { repeated group list { optional binary element (STRING); } }
  optional binary label_runs (STRING);
  optional binary hidden_label_runs (STRING);
  optional binary value (STRING);
  optional binary root_kind (STRING);
  optional binary name (STRING);
  optional int64 content_hash;
  optional int64 thread_id;
  optional int64 spare_bytes;
  optional binary allocated_at (STRING);
  optional binary traceback (STRING);
  optional binary finalizer (STRING);
  optional int64 weak_referent;
}";

/// The leaf below a list column.
pub(super) fn list_leaf(column: &str) -> String {
    format!("{column}.list.element")
}

/// The schema of a file.
pub(super) fn schema() -> Result<SchemaDescriptor> {
    Ok(SchemaDescriptor::new(Arc::new(parse_message_type(MESSAGE)?)))
}

/// How the columns are encoded.
///
/// Row numbers and addresses hardly repeat but lie close together, so differences without a
/// dictionary are half the size. All other columns repeat; their dictionaries may grow until they
/// hold the names of a row group.
pub(super) fn properties() -> Result<WriterProperties> {
    let path = |parts: &[&str]| ColumnPath::new(parts.iter().map(|&part| part.into()).collect());
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("pyheap {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_dictionary_page_size_limit(16 << 20)
        .set_data_page_row_count_limit(ROWS_PER_GROUP)
        .set_statistics_enabled(EnabledStatistics::None)
        // Indexes would lie outside the row groups and so outside their checksums.
        .set_offset_index_disabled(true);
    for parts in [
        &["id"][..],
        &["address"],
        &["referents", "list", "element"],
        &["hidden_referents", "list", "element"],
    ] {
        builder = builder
            .set_column_dictionary_enabled(path(parts), false)
            .set_column_encoding(path(parts), Encoding::DELTA_BINARY_PACKED);
    }
    // Random numbers, of which few repeat.
    builder = builder.set_column_dictionary_enabled(path(&["content_hash"]), false);
    for column in ["id", "kind", "address"] {
        builder = builder.set_column_statistics_enabled(path(&[column]), EnabledStatistics::Chunk);
    }
    Ok(builder.build())
}
