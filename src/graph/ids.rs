//! The small numbers by which the columns of a graph refer to each other.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u32);

        impl $name {
            /// The number as an index of a column.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }

            /// The identifier of a row. A graph never has more than `u32::MAX` rows.
            #[must_use]
            pub const fn from_index(index: usize) -> Self {
                debug_assert!(index <= u32::MAX as usize);
                #[allow(clippy::cast_possible_truncation)]
                Self(index as u32)
            }
        }
    };
}

id! {
    /// An object: its rank among all objects by address, so dense and stable within a graph.
    ObjectId
}
id! {
    /// A type: its row in [`HeapGraph::types`](super::HeapGraph::types).
    TypeId
}
id! {
    /// A text in the graph's [`Interner`](super::Interner).
    StringId
}
id! {
    /// A traceback in the graph's [`Allocations`](super::Allocations).
    SiteId
}
id! {
    /// A list of edge labels in the graph's [`Shapes`](super::Shapes).
    ShapeId
}
