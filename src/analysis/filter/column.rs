//! What a filter can ask of an object, and how the columns are called.

/// A column of texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TextColumn {
    Type,
    Module,
    Label,
    Root,
    Holder,
    Thread,
    Line,
}

/// A column of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NumberColumn {
    Shallow,
    Buffers,
    Bytes,
    Retained,
    Refcount,
    Generation,
    Address,
}

/// A column of facts that hold or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum YesNoColumn {
    Tracked,
    Frozen,
    Immortal,
    Garbage,
}

/// A relation of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) const fn holds(self, a: u64, b: u64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessOrEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterOrEqual => a >= b,
        }
    }
}

/// Any column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Column {
    Text(TextColumn),
    Number(NumberColumn),
    YesNo(YesNoColumn),
}

/// The columns by their names, each with what it is.
pub const COLUMNS: &[(&str, &str)] = &[
    ("type", "the type: its full name, or the last parts of it; * and ? stand for other text"),
    ("module", "the module that defines the type"),
    ("shallow", "what sys.getsizeof says (bytes; `size` is the same)"),
    ("buffers", "memory in blocks beside the object (bytes)"),
    ("bytes", "both, no byte twice"),
    ("retained", "what would be freed with it (bytes)"),
    ("refcount", "its reference count"),
    ("generation", "the collector's generation that it is in: 0, 1, 2"),
    ("address", "id(object): 0x…"),
    ("label", "how the shortest path ends: .name, [3], local x"),
    ("root", "what the path begins with: module, frame, thread, c, garbage, …"),
    ("holder", "the name of that: a module, a function, …"),
    ("thread", "the thread whose frames or state that is, by name"),
    ("line", "the line that allocated it: app.py:12 (needs tracemalloc in the target)"),
    ("tracked", "yes if the collector knows it"),
    ("frozen", "yes if gc.freeze() has put it aside"),
    ("immortal", "yes if its count is fixed"),
    ("garbage", "yes if gc.collect() would free it"),
];

impl Column {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "type" => Self::Text(TextColumn::Type),
            "module" => Self::Text(TextColumn::Module),
            "label" => Self::Text(TextColumn::Label),
            "root" => Self::Text(TextColumn::Root),
            "holder" => Self::Text(TextColumn::Holder),
            "thread" => Self::Text(TextColumn::Thread),
            "line" => Self::Text(TextColumn::Line),
            "shallow" | "size" => Self::Number(NumberColumn::Shallow),
            "buffers" => Self::Number(NumberColumn::Buffers),
            "bytes" => Self::Number(NumberColumn::Bytes),
            "retained" => Self::Number(NumberColumn::Retained),
            "refcount" => Self::Number(NumberColumn::Refcount),
            "generation" => Self::Number(NumberColumn::Generation),
            "address" => Self::Number(NumberColumn::Address),
            "tracked" => Self::YesNo(YesNoColumn::Tracked),
            "frozen" => Self::YesNo(YesNoColumn::Frozen),
            "immortal" => Self::YesNo(YesNoColumn::Immortal),
            "garbage" => Self::YesNo(YesNoColumn::Garbage),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_that_is_told_of_is_there() {
        assert!(COLUMNS.iter().all(|(name, _)| Column::from_name(name).is_some()));
        assert_eq!(Column::from_name("colour"), None);
    }
}
