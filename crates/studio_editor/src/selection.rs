//! What is selected.

use bevy::platform::collections::HashSet;
use studio_graph::{blueprint::Blueprint, link::LinkText};

/// What is selected on the canvas; the node chosen last comes last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    nodes: Vec<String>,
    /// A link.
    pub link: Option<LinkText>,
    /// A note or frame, by its place in the blueprint.
    pub note: Option<usize>,
}

impl Selection {
    /// The names of the selected nodes.
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The node chosen last.
    pub fn last(&self) -> Option<&str> {
        self.nodes.last().map(String::as_str)
    }

    /// Whether a node is selected.
    pub fn contains(&self, name: &str) -> bool {
        self.nodes.iter().any(|selected| selected == name)
    }

    /// Whether nothing is selected.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty() && self.link.is_none() && self.note.is_none()
    }

    /// Selects nothing.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Selects these nodes and nothing else.
    pub fn set(&mut self, nodes: impl IntoIterator<Item = String>) {
        self.clear();
        self.nodes.extend(nodes);
    }

    /// Adds a node, or moves it to the end.
    pub fn add(&mut self, name: &str) {
        self.nodes.retain(|selected| selected != name);
        self.nodes.push(name.to_owned());
    }

    /// Adds a node that is not selected, takes one away that is.
    pub fn toggle(&mut self, name: &str) {
        if self.contains(name) {
            self.nodes.retain(|selected| selected != name);
        } else {
            self.add(name);
        }
    }

    /// Forgets what is no longer there.
    pub fn keep_what_is_in(&mut self, blueprint: &Blueprint) {
        if !self.nodes.is_empty() {
            let there: HashSet<&str> = blueprint.nodes.iter().map(|node| node.name.as_str()).collect();
            self.nodes.retain(|name| there.contains(name.as_str()));
        }
        if self.link.as_ref().is_some_and(|link| blueprint.links.iter().all(|present| present.link != *link)) {
            self.link = None;
        }
        if self.note.is_some_and(|note| note >= blueprint.notes.len()) {
            self.note = None;
        }
    }
}
