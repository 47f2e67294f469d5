//! The parts in which a graph with [filming nodes](crate::film) runs.

use bevy::{ecs::entity::EntityHashMap, prelude::*};
use std::sync::Arc;
use studio_graph::prelude::*;

/// One part of the graph: nodes that have as many filming nodes before them, at most, as parts lie before this one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct GraphPart {
    /// The places of the nodes that do not film, in the graph's order.
    pub nodes: Vec<usize>,
    /// The places of those that do: their cameras render once the others of this part are submitted.
    pub filming: Vec<usize>,
}

/// The parts of the compiled graph.
#[derive(Default)]
pub(crate) struct GraphParts {
    parts: Arc<[GraphPart]>,
    made_for: Option<(u64, u64)>,
}

impl GraphParts {
    /// The parts; worked out anew if `made_for` changed.
    pub fn of(&mut self, nodes: &[CompiledNode], made_for: (u64, u64), films: impl Fn(Entity) -> bool) -> Arc<[GraphPart]> {
        if self.made_for != Some(made_for) {
            *self = Self { parts: split(nodes, films).into(), made_for: Some(made_for) };
        }
        self.parts.clone()
    }
}

fn split(nodes: &[CompiledNode], films: impl Fn(Entity) -> bool) -> Vec<GraphPart> {
    let mut parts = vec![GraphPart::default()];
    // Only pins that lie behind filming nodes are noted: for most graphs, none.
    let mut part_of_pin: EntityHashMap<usize> = EntityHashMap::default();
    for (place, compiled) in nodes.iter().enumerate() {
        let sources = compiled.inputs.iter().filter_map(|(_, source)| part_of_pin.get(&(*source)?));
        let part = sources.max().copied().unwrap_or_default();
        let films = films(compiled.node);
        let behind = part + usize::from(films);
        part_of_pin.extend(compiled.outputs.iter().map(|(_, pin)| (*pin, behind)).filter(|(_, behind)| *behind > 0));
        if !compiled.runs {
            continue;
        }
        if parts.len() <= behind {
            parts.resize_with(behind + 1, Default::default);
        }
        if let Some(part) = parts.get_mut(part) {
            if films { part.filming.push(place) } else { part.nodes.push(place) }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(number: u32) -> Entity {
        Entity::from_raw_u32(number).expect("a number that entities may have")
    }

    /// A node that reads the outputs of others; its own output is its number and a hundred.
    fn node(number: u32, sources: &[u32]) -> CompiledNode {
        CompiledNode {
            node: entity(number),
            inputs: sources.iter().map(|source| ("in".into(), Some(entity(source + 100)))).collect(),
            outputs: vec![("out".into(), entity(number + 100))],
            join: JoinPolicy::default(),
            level: 0,
            runs: true,
        }
    }

    #[test]
    fn a_graph_that_films_nothing_is_one_part() {
        let nodes = [node(0, &[]), node(1, &[0]), node(2, &[1])];
        assert_eq!(split(&nodes, |_| false), [GraphPart { nodes: vec![0, 1, 2], filming: vec![] }]);
    }

    #[test]
    fn what_depends_on_a_filming_node_runs_after_its_cameras_and_nothing_else_does() {
        // Source 0 feeds what the scene shows, 1, and a blend, 4. View 2 films; 3 and 4 take its picture; view 5 films after 3.
        let nodes = [node(0, &[]), node(1, &[0]), node(2, &[]), node(3, &[2]), node(4, &[0, 2]), node(5, &[3]), node(6, &[5])];
        let parts = split(&nodes, |node| node == entity(2) || node == entity(5));
        let expected = [
            GraphPart { nodes: vec![0, 1], filming: vec![2] },
            GraphPart { nodes: vec![3, 4], filming: vec![5] },
            GraphPart { nodes: vec![6], filming: vec![] },
        ];
        assert_eq!(parts, expected);
    }
}
