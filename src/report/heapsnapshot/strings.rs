//! The texts of the file.

use std::io::{self, Write};

use rustc_hash::FxHashMap;

use crate::graph::{HeapGraph, StringId};

/// The texts that are used, each once, in the order of their numbers.
pub(super) struct Strings<'g> {
    graph: &'g HeapGraph,
    /// The number of each text of the graph, or [`u32::MAX`].
    of_graph: Vec<u32>,
    own: FxHashMap<String, u32>,
    order: Vec<Text>,
}

enum Text {
    Graph(StringId),
    Own(String),
}

impl<'g> Strings<'g> {
    pub(super) fn new(graph: &'g HeapGraph) -> Self {
        let of_graph = vec![u32::MAX; graph.strings.len()];
        Self { graph, of_graph, own: FxHashMap::default(), order: Vec::new() }
    }

    fn number(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    /// The number of a text of the graph.
    pub(super) fn of_graph(&mut self, id: StringId) -> u32 {
        let number = self.number();
        let Some(slot) = self.of_graph.get_mut(id.index()) else { return self.own("?") };
        if *slot == u32::MAX {
            *slot = number;
            self.order.push(Text::Graph(id));
        }
        *slot
    }

    /// The number of a text of ours.
    pub(super) fn own(&mut self, text: &str) -> u32 {
        if let Some(&number) = self.own.get(text) {
            return number;
        }
        let number = self.number();
        self.order.push(Text::Own(text.to_owned()));
        self.own.insert(text.to_owned(), number);
        number
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for (nth, text) in self.order.iter().enumerate() {
            if nth > 0 {
                out.write_all(b",\n")?;
            }
            let text = match text {
                Text::Graph(id) => self.graph.strings.text(*id),
                Text::Own(text) => text,
            };
            serde_json::to_writer(&mut *out, text)?;
        }
        Ok(())
    }
}
