//! The biggest holders as a picture for Graphviz: the top of the dominator tree.

use std::io::{self, Write};

use super::text::path;
use super::{short_type, units};
use crate::analysis::retained::RetainedNode;
use crate::analysis::{Path, Paths};
use crate::graph::HeapGraph;

/// What is drawn.
#[derive(Debug)]
pub struct Picture<'a> {
    /// The heap.
    pub graph: &'a HeapGraph,
    /// The trees of the holders.
    pub nodes: &'a [RetainedNode],
    /// The bytes of the whole heap.
    pub total_bytes: u64,
    /// How many nodes are drawn at most.
    pub limit: usize,
    /// How the holders are held, if that is not told by the labels of the trees.
    pub paths: Option<&'a Paths>,
}

/// Writes the picture: a box for each object, with what it retains, and an arrow from the object that
/// dominates it. A dashed arrow comes from what holds the topmost ones.
///
/// # Errors
/// Those of the writer.
pub fn write(out: &mut dyn Write, picture: &Picture<'_>) -> io::Result<()> {
    writeln!(out, "digraph heap {{")?;
    writeln!(out, "  rankdir=LR;")?;
    writeln!(out, "  node [shape=box, style=filled, fontname=\"sans-serif\", fontsize=11];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=9];")?;
    let mut number = 0;
    // A level at a time, so that the limit takes the deepest ones.
    let mut level: Vec<(Option<usize>, &RetainedNode)> =
        picture.nodes.iter().map(|node| (None, node)).collect();
    while !level.is_empty() {
        level.sort_by_key(|(_, node)| std::cmp::Reverse(node.retained_bytes));
        let mut below = Vec::new();
        for (above, node) in level {
            if number >= picture.limit {
                break;
            }
            number += 1;
            object(out, picture, number, above, node)?;
            below.extend(node.children.iter().map(|child| (Some(number), child)));
        }
        level = below;
    }
    writeln!(out, "}}")
}

fn object(
    out: &mut dyn Write,
    picture: &Picture<'_>,
    number: usize,
    above: Option<usize>,
    node: &RetainedNode,
) -> io::Result<()> {
    let graph = picture.graph;
    let share = units::share(node.retained_bytes, picture.total_bytes);
    let name = short_type(graph.type_name_of(node.object));
    let (name, place) = match node.count {
        1 => (name.to_owned(), format!("at {}", graph.addr(node.object))),
        count => (format!("{} × {name}", units::count(count)), "together".to_owned()),
    };
    let retained = units::bytes(node.retained_bytes);
    let own = units::bytes(node.own_bytes);
    let lines = [name, format!("retains {retained} ({:.1} %), own {own}", share * 100.0), place];
    // The more it retains, the redder.
    writeln!(
        out,
        "  n{number} [label=\"{}\", fillcolor=\"0.05 {share:.3} 1.0\"];",
        lines.map(|line| quoted(&line)).join("\\n")
    )?;
    if let Some(above) = above {
        let label = quoted(path::label(&node.label).trim_start());
        return writeln!(out, "  n{above} -> n{number} [label=\"{label}\"];");
    }
    let holder = match picture.paths {
        Some(paths) => holder(&paths.to(graph, node.object)),
        None if node.label.is_empty() => return Ok(()),
        None => node.label.clone(),
    };
    writeln!(
        out,
        "  r{number} [label=\"{}\", style=solid, shape=plaintext];\n  r{number} -> n{number} [style=dashed];",
        quoted(&holder)
    )
}

/// A path without its last object, which has a box.
fn holder(path: &Path) -> String {
    let mut path = path.clone();
    let last = path.steps.pop();
    let label = last.map(|last| path::label(&last.label)).unwrap_or_default();
    format!("{}{label}", path::line(&path, false))
}

/// A text between quotation marks: Graphviz knows two characters that must be told apart.
fn quoted(text: &str) -> String {
    let text = text.replace(char::is_control, "\u{fffd}");
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
