//! What a decoder says about the references of an object: to whom, and by what name.
//!
//! Names are left as addresses here; the walk reads each once, when all edges are known.

use crate::addr::Addr;

/// A name that labels an edge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Name {
    /// The text of a `str` object.
    Str(Addr),
    /// A C string in the target.
    CStr(Addr),
    /// A name that we know.
    Known(&'static str),
}

/// What one edge is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Label {
    /// An attribute.
    Attribute(Name),
    /// The dictionary of a module, class or instance: its keys are names from code.
    Namespace(&'static str),
    /// The value of a namespace's n-th entry, whose key is the `str` at this address.
    Entry(Addr, u32),
    /// A field of the C structure.
    Field(&'static str),
    /// A local variable of a frame.
    Local(Name),
    /// A dictionary of keyword arguments in a frame: its keys are names from code.
    Keywords(Name),
    /// A closure cell, by the name of its variable.
    Cell(Name),
    /// A word of a frame's evaluation stack.
    Stack(u32),
    /// Found by scanning, at this offset.
    Inferred(u32),
}

/// Consecutive edges of one kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Run {
    /// Items of a sequence.
    Items,
    /// Values of dictionary entries.
    Values,
    /// Keys of dictionary entries.
    Keys,
    /// Value and key of dictionary entries in turn.
    ValueKeys,
    /// Members of a set.
    Members,
}

/// Who knows of an edge.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sight {
    /// `tp_traverse` visits it: the collector knows it.
    Visited,
    /// The object keeps the other alive, but its `tp_traverse` does not say so.
    Hidden,
}

/// Takes the edges of one object.
pub trait EdgeSink {
    /// One edge.
    fn edge(&mut self, sight: Sight, target: Addr, label: Label);

    /// The next edge of a run; `nth` is the item's, entry's or member's number.
    fn in_run(&mut self, sight: Sight, target: Addr, run: Run, nth: u32);

    /// The object's own code could not be followed: what it visits besides has to be guessed.
    fn guessed(&mut self) {}
}
