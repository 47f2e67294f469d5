//! A blueprint taken apart into texts, and put together again: for files of other formats that keep one, such as a USD layer.
//!
//! The parts are what a `.blueprint.ron` file says of each thing, so whoever keeps them needs to know nothing of kinds, and
//! [`GraphParts::join`] finds the same faults as [`read`] does.

use super::{
    Blueprint, BlueprintNode, Problem, Setting,
    read::read,
    write::{bookmark_lines, driver_lines, note_lines, number, parameter_lines, quoted, route_lines},
};
use crate::flow::JoinPolicy;

/// A blueprint, or one of its subgraphs, in parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphParts {
    /// Its name.
    pub name: String,
    /// Its nodes in order.
    pub nodes: Vec<NodeParts>,
    /// Its links in order: `clip.frame -> window.frame`.
    pub links: Vec<String>,
    /// Its notes as RON.
    pub notes: Vec<String>,
    /// Its parameters as entries of a map in RON.
    pub parameters: Vec<String>,
    /// The routes of its links, likewise.
    pub routes: Vec<String>,
    /// Its bookmarks, likewise.
    pub bookmarks: Vec<String>,
    /// The subgraphs that it defines, which have none of their own.
    pub subgraphs: Vec<Self>,
}

/// A node in parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeParts {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// Where it stands on the canvas, in points.
    pub at: [f32; 2],
    /// Its settings: fields and their values as RON.
    pub settings: Vec<(String, String)>,
    /// Values of a subgraph's own, likewise.
    pub values: Vec<(String, String)>,
    /// What moves its numbers, as entries of a map in RON.
    pub drivers: Vec<String>,
    /// Settings with a pin.
    pub exposed: Vec<String>,
    /// Whether it is left out.
    pub bypass: bool,
    /// Whether it holds what it made last.
    pub freeze: bool,
    /// How it waits for its inputs; empty for the default.
    pub join: String,
}

impl GraphParts {
    /// Takes a blueprint apart.
    pub fn of(blueprint: &Blueprint) -> Self {
        Self {
            name: blueprint.name.clone(),
            nodes: blueprint.nodes.iter().map(NodeParts::of).collect(),
            links: blueprint.links.iter().map(|link| link.link.to_string()).collect(),
            notes: note_lines(blueprint),
            parameters: parameter_lines(blueprint),
            routes: route_lines(blueprint),
            bookmarks: bookmark_lines(blueprint),
            subgraphs: (blueprint.subgraphs.iter())
                .map(|subgraph| Self { name: subgraph.name.clone(), ..Self::of(&subgraph.graph) })
                .collect(),
        }
    }

    /// Puts a blueprint together. As much as can be read of faulty parts, with what is wrong with them; places count lines of a text
    /// that nobody has seen, so they mean nothing.
    pub fn join(&self) -> (Blueprint, Vec<Problem>) {
        let subgraphs = self.subgraphs.iter().map(|subgraph| format!("{}: ({})", quoted(&subgraph.name), subgraph.body()));
        let text = format!(
            "(version: {}, name: {}, {}, subgraphs: {{{}}})",
            Blueprint::VERSION,
            quoted(&self.name),
            self.body(),
            subgraphs.collect::<Vec<_>>().join(",\n")
        );
        read(&text)
    }

    fn body(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(NodeParts::entry).collect();
        let links: Vec<String> = self.links.iter().map(|link| quoted(link)).collect();
        format!(
            "nodes: {{{}}}, links: [{}], notes: [{}], parameters: {{{}}}, routes: {{{}}}, bookmarks: {{{}}}",
            nodes.join(",\n"),
            links.join(",\n"),
            self.notes.join(",\n"),
            self.parameters.join(",\n"),
            self.routes.join(",\n"),
            self.bookmarks.join(",\n")
        )
    }
}

impl NodeParts {
    fn of(node: &BlueprintNode) -> Self {
        let pairs =
            |settings: &[Setting]| settings.iter().map(|setting| (setting.field.clone(), setting.value.clone())).collect();
        Self {
            name: node.name.clone(),
            kind: node.kind.clone(),
            at: node.at.to_array(),
            settings: pairs(&node.settings),
            values: pairs(&node.values),
            // A driver is plain data, which RON can always write.
            drivers: driver_lines(node).unwrap_or_default(),
            exposed: node.exposed.iter().map(|exposed| exposed.path.clone()).collect(),
            bypass: node.bypass,
            freeze: node.freeze,
            join: if node.join == JoinPolicy::default() { String::new() } else { format!("{:?}", node.join) },
        }
    }

    fn entry(&self) -> String {
        let map = |pairs: &[(String, String)]| {
            // A value may end with a comment, which goes to the end of its line.
            pairs.iter().map(|(field, value)| format!("{}: {value}\n", quoted(field))).collect::<Vec<_>>().join(", ")
        };
        let exposed: Vec<String> = self.exposed.iter().map(|path| quoted(path)).collect();
        let join = if self.join.is_empty() { String::new() } else { format!(", join: {}", self.join) };
        format!(
            "{}: (kind: {}, at: ({}, {}), settings: {{{}}}, values: {{{}}}, drivers: {{{}}}, exposed: [{}], bypass: {}, freeze: {}{join})",
            quoted(&self.name),
            quoted(&self.kind),
            number(self.at[0]),
            number(self.at[1]),
            map(&self.settings),
            map(&self.values),
            self.drivers.join(", "),
            exposed.join(", "),
            self.bypass,
            self.freeze,
        )
    }
}
