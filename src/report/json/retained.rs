//! The documents of `retained`.

use serde::Serialize;

use crate::analysis::retained::{RetainedGroup, RetainedNode};
use crate::facts::{Facts, ProcessFacts};
use crate::graph::HeapGraph;
use crate::report::units::share;

/// The dominator tree, or groups of its objects.
#[derive(Debug, Serialize)]
pub struct RetainedJson<'a> {
    process: &'a ProcessFacts,
    total_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nodes: Option<Vec<NodeJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<Vec<GroupJson<'a>>>,
}

#[derive(Debug, Serialize)]
struct NodeJson<'a> {
    address: String,
    #[serde(rename = "type")]
    type_name: &'a str,
    label: &'a str,
    shallow_bytes: u64,
    retained_bytes: u64,
    share: f64,
    children: Vec<NodeJson<'a>>,
}

#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    name: &'a str,
    objects: u64,
    own_bytes: u64,
    retained_bytes: u64,
    share: f64,
}

impl<'a> RetainedJson<'a> {
    /// The document of a tree.
    #[must_use]
    pub fn tree(
        facts: &'a Facts,
        graph: &'a HeapGraph,
        nodes: &'a [RetainedNode],
        total: u64,
    ) -> Self {
        let nodes = nodes.iter().map(|node| self::node(graph, node, total)).collect();
        Self { process: &facts.process, total_bytes: total, nodes: Some(nodes), groups: None }
    }

    /// The document of groups.
    #[must_use]
    pub fn groups(facts: &'a Facts, groups: &'a [RetainedGroup], total: u64) -> Self {
        let group = |group: &'a RetainedGroup| GroupJson {
            name: &group.name,
            objects: group.objects,
            own_bytes: group.own_bytes,
            retained_bytes: group.retained_bytes,
            share: share(group.retained_bytes, total),
        };
        let groups = groups.iter().map(group).collect();
        Self { process: &facts.process, total_bytes: total, nodes: None, groups: Some(groups) }
    }
}

/// A node and those below it, which are as deep as the analysis was asked for.
fn node<'a>(graph: &'a HeapGraph, node: &'a RetainedNode, total: u64) -> NodeJson<'a> {
    NodeJson {
        address: graph.addr(node.object).to_string(),
        type_name: graph.type_name_of(node.object),
        label: &node.label,
        shallow_bytes: graph.shallow_bytes_of(node.object),
        retained_bytes: node.retained_bytes,
        share: share(node.retained_bytes, total),
        children: node.children.iter().map(|child| self::node(graph, child, total)).collect(),
    }
}
