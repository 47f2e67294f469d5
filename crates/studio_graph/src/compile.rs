//! Compiling the graph: from entities and relationships to an order in which nodes can run.

use crate::pin::{FedBy, Pin, PinDirection, Pins};
use bevy::{
    ecs::entity::{EntityHashMap, EntityHashSet},
    prelude::*,
};
use std::{borrow::Cow, sync::Arc};

/// One node in the compiled order.
#[derive(Clone, Debug)]
pub struct CompiledNode {
    /// The node.
    pub node: Entity,
    /// Its inputs in order of declaration: name, and the output pin that feeds it.
    pub inputs: Vec<(Cow<'static, str>, Option<Entity>)>,
    /// Its outputs in order of declaration: name and pin.
    pub outputs: Vec<(Cow<'static, str>, Entity)>,
}

impl CompiledNode {
    /// The output pin that feeds an input.
    pub fn input(&self, name: &str) -> Option<Entity> {
        self.inputs.iter().find(|(input, _)| input == name).and_then(|(_, source)| *source)
    }

    /// An output pin.
    pub fn output(&self, name: &str) -> Option<Entity> {
        self.outputs.iter().find(|(output, _)| output == name).map(|(_, pin)| *pin)
    }
}

/// The nodes in an order in which every node comes after those that feed it. Rebuilt when nodes, pins or links change.
#[derive(Resource, Clone, Default, Debug)]
pub struct CompiledGraph {
    /// The nodes in order; shared, so that handing the graph to another world copies nothing.
    pub nodes: Arc<[CompiledNode]>,
    /// Counts the compilations.
    pub generation: u64,
}

/// Rebuilds [`CompiledGraph`] when something changed.
///
/// Cycles cannot occur through [`connect`](crate::link::connect); nodes on one that was made by inserting [`FedBy`]
/// directly, and the nodes behind them, are left out and named in an error.
pub fn compile_graph(
    nodes: Query<(Entity, &Pins)>,
    pins: Query<(&Pin, Option<&FedBy>)>,
    owners: Query<&crate::pin::PinOf>,
    names: Query<(Option<&Name>, Option<&crate::registry::NodeName>)>,
    changed: Query<(), Or<(Changed<Pins>, Changed<FedBy>, Added<Pin>)>>,
    mut removed_links: RemovedComponents<FedBy>,
    mut removed_nodes: RemovedComponents<Pins>,
    mut graph: ResMut<CompiledGraph>,
) -> Result {
    let removed = removed_links.read().count() + removed_nodes.read().count();
    if changed.is_empty() && removed == 0 {
        return Ok(());
    }
    let mut waiting: Vec<CompiledNode> = nodes.iter().map(|(node, list)| describe(node, list, &pins)).collect();
    // Entities are compared so that equal graphs compile to equal orders.
    waiting.sort_by_key(|node| node.node);
    let feeders: EntityHashMap<EntityHashSet> = waiting
        .iter()
        .map(|node| {
            let sources = node.inputs.iter().filter_map(|(_, source)| owners.get((*source)?).ok()).map(|owner| owner.0);
            (node.node, sources.collect())
        })
        .collect();
    let mut done = EntityHashSet::default();
    let mut order = Vec::with_capacity(waiting.len());
    loop {
        let (ready, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|node| feeders[&node.node].iter().all(|feeder| done.contains(feeder)));
        waiting = rest;
        if ready.is_empty() {
            break;
        }
        done.extend(ready.iter().map(|node| node.node));
        order.extend(ready);
    }
    graph.nodes = order.into();
    graph.generation += 1;
    if waiting.is_empty() {
        return Ok(());
    }
    let label = |node: &CompiledNode| match names.get(node.node) {
        Ok((Some(name), _)) => name.to_string(),
        Ok((None, Some(kind))) => kind.0.to_owned(),
        _ => node.node.to_string(),
    };
    let stuck: Vec<String> = waiting.iter().map(label).collect();
    Err(BevyError::error(format!("these nodes feed each other in a cycle, or hang on one, and do not run: {}", stuck.join(", "))))
}

fn describe(node: Entity, list: &Pins, pins: &Query<(&Pin, Option<&FedBy>)>) -> CompiledNode {
    let mut compiled = CompiledNode { node, inputs: Vec::new(), outputs: Vec::new() };
    for entity in list.iter() {
        let Ok((pin, source)) = pins.get(entity) else { continue };
        match pin.direction {
            PinDirection::Input => compiled.inputs.push((pin.name.clone(), source.map(|link| link.0))),
            PinDirection::Output => compiled.outputs.push((pin.name.clone(), entity)),
        }
    }
    compiled
}
