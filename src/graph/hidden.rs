//! References that are found when the graph stands already.

use super::{Csr, EdgeLabel, HeapGraph, LabelRun, ObjectId, ShapeColumn};

impl HeapGraph {
    /// Adds hidden references: from an object, to an object, and their label. They come behind those
    /// that the object has, in the order of their targets.
    pub fn add_hidden(&mut self, mut edges: Vec<(ObjectId, ObjectId, EdgeLabel)>) {
        if edges.is_empty() {
            return;
        }
        edges.sort_by_key(|&(from, to, _)| (from, to));
        let all = self.hidden_referents.edges().saturating_add(edges.len());
        let mut referents = Csr::with_capacity(self.len(), all);
        let mut shapes_of = ShapeColumn::default();
        let mut edges = edges.into_iter().peekable();
        for object in self.ids() {
            let mut shape = self.hidden_shapes_of.get(object.index()).copied().unwrap_or_default();
            let mut more = Vec::new();
            let mut runs = Vec::new();
            while let Some((_, to, label)) = edges.next_if(|&(from, ..)| from == object) {
                more.push(to);
                runs.push(LabelRun::One(label));
            }
            if !runs.is_empty() {
                let known = self.shapes.runs(shape).iter().copied();
                shape = self.shapes.intern(&known.chain(runs).collect::<Vec<_>>());
            }
            referents.push(self.hidden_referents.of(object).iter().copied().chain(more));
            shapes_of.push(shape);
        }
        self.hidden_referents = referents;
        self.hidden_shapes_of = shapes_of;
    }
}

#[cfg(test)]
mod tests {
    use crate::graph::{EdgeLabel, GraphBuilder};

    #[test]
    fn hidden_references_come_behind_those_that_are_known_and_change_no_other() {
        let mut builder = GraphBuilder::new();
        let [one, two, three] = [0x10, 0x20, 0x30].map(|at| builder.object(at, "app.Map", 64));
        builder.hidden_edge(one, EdgeLabel::Inferred(16), two);
        builder.hidden_edge(three, EdgeLabel::Index(7), one);
        let mut graph = builder.build();
        let id = |addr| graph.find(addr).unwrap();
        let edges = vec![
            (id(three), id(two), EdgeLabel::Native(4096)),
            (id(one), id(three), EdgeLabel::Native(64)),
            (id(one), id(one), EdgeLabel::Native(1_048_592)),
        ];
        graph.add_hidden(edges);
        let told = |object| -> Vec<String> {
            let referents = graph.hidden_referents.of(object).iter().enumerate();
            referents
                .map(|(nth, &to)| format!("{} {}", graph.hidden_label(object, nth), graph.addr(to)))
                .collect()
        };
        let all: Vec<Vec<String>> = graph.ids().map(told).collect();
        let block = "native block of";
        assert_eq!(
            all,
            [
                vec![
                    "+16 0x20".to_owned(),
                    format!("{block} 1,048,592 bytes 0x10"),
                    format!("{block} 64 bytes 0x30"),
                ],
                vec![],
                vec!["[7] 0x10".to_owned(), format!("{block} 4,096 bytes 0x20")],
            ]
        );
        assert_eq!(graph.shapes_of.len(), 3);
    }
}
