//! Compiling the graph: from entities and relationships to an order in which nodes can run.

use crate::{
    blueprint::{Blueprint, spawn::InBlueprint},
    flow::{Bypass, Freeze, JoinPolicy, Solo, TakesLatest, Watched},
    pin::{Delivers, FedBy, PassThrough, Pin, PinDirection, PinOf, Pins},
    value::{ExposedSettings, sync_exposed},
};
use bevy::{
    ecs::{
        entity::EntityHashMap,
        query::QueryData,
        system::{SystemParam, SystemState},
    },
    prelude::*,
};
use std::{borrow::Cow, sync::Arc};

/// One node in the compiled order.
#[derive(Clone, Debug)]
pub struct CompiledNode {
    /// The node.
    pub node: Entity,
    /// Its inputs in order of declaration: name, and the output pin that feeds it, bypassed nodes skipped.
    pub inputs: Vec<(Cow<'static, str>, Option<Entity>)>,
    /// Its outputs in order of declaration: name and pin; for a subgraph and its interface the pin that is delivered.
    pub outputs: Vec<(Cow<'static, str>, Entity)>,
    /// How it waits for its inputs.
    pub join: JoinPolicy,
    /// How many nodes lie before it on the longest way from a source: nodes of one level do not feed each other.
    pub level: u32,
    /// Whether it runs: something takes what it makes, and it is neither bypassed nor frozen nor left out by a solo.
    pub runs: bool,
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

/// The nodes in an order in which every node comes after those that feed it. Rebuilt when nodes, pins, links or how nodes
/// take part change.
#[derive(Resource, Clone, Default, Debug)]
pub struct CompiledGraph {
    /// The nodes in order; shared, so that handing the graph to another world copies nothing.
    pub nodes: Arc<[CompiledNode]>,
    /// Where each node is in the order.
    places: Arc<EntityHashMap<u32>>,
    /// Counts the compilations.
    pub generation: u64,
}

impl CompiledGraph {
    /// A node of the graph; none if it hangs on a cycle.
    pub fn node(&self, node: Entity) -> Option<&CompiledNode> {
        self.nodes.get(*self.places.get(&node)? as usize)
    }

    /// Whether a node runs.
    pub fn runs(&self, node: Entity) -> bool {
        self.node(node).is_some_and(|compiled| compiled.runs)
    }
}

/// What compiling reads.
#[derive(SystemParam)]
pub struct GraphParts<'w, 's> {
    nodes: Query<'w, 's, NodeData>,
    pins: Query<'w, 's, (&'static Pin, &'static PinOf, Option<&'static FedBy>, Option<&'static Delivers>)>,
    subgraphs: Query<'w, 's, (Has<Bypass>, Has<Freeze>, Has<Solo>, Option<&'static InBlueprint>), With<PassThrough>>,
    names: Query<'w, 's, (Option<&'static Name>, Option<&'static crate::registry::NodeName>, Option<&'static InBlueprint>)>,
}

/// What compiling reads of a node.
#[derive(QueryData)]
pub struct NodeData {
    node: Entity,
    pins: &'static Pins,
    bypass: Has<Bypass>,
    freeze: Has<Freeze>,
    solo: Has<Solo>,
    watched: Has<Watched>,
    passes: Has<PassThrough>,
    join: Option<&'static JoinPolicy>,
    takes_latest: Has<TakesLatest>,
    inside: Option<&'static InBlueprint>,
}

/// What makes a new compilation necessary.
#[derive(SystemParam)]
pub struct GraphChanges<'w, 's> {
    changed: Query<
        'w,
        's,
        (),
        Or<(
            Changed<Pins>,
            Changed<FedBy>,
            Added<Pin>,
            Changed<Delivers>,
            Changed<InBlueprint>,
            Added<Bypass>,
            Added<Freeze>,
            Added<Solo>,
            Added<Watched>,
            Changed<JoinPolicy>,
        )>,
    >,
    links: RemovedComponents<'w, 's, FedBy>,
    nodes: RemovedComponents<'w, 's, Pins>,
    bypassed: RemovedComponents<'w, 's, Bypass>,
    frozen: RemovedComponents<'w, 's, Freeze>,
    solo: RemovedComponents<'w, 's, Solo>,
    watched: RemovedComponents<'w, 's, Watched>,
}

impl GraphChanges<'_, '_> {
    /// Whether anything changed since the last call.
    fn any(&mut self) -> bool {
        let removed = [
            self.links.read().count(),
            self.nodes.read().count(),
            self.bypassed.read().count(),
            self.frozen.read().count(),
            self.solo.read().count(),
            self.watched.read().count(),
        ];
        removed.iter().any(|count| *count > 0) || !self.changed.is_empty()
    }
}

/// What [`compile_graph`] works on.
pub type CompileParams = (GraphParts<'static, 'static>, GraphChanges<'static, 'static>, ResMut<'static, CompiledGraph>);

/// Brings pins in line with settings and rebuilds [`CompiledGraph`] when something changed.
///
/// Cycles cannot occur through [`connect`](crate::link::connect); nodes on one that was made by inserting [`FedBy`]
/// directly, and the nodes behind them, are left out, and the error names the nodes of the cycle in order.
///
/// Exclusive, like all of the graph's own systems: handing so little work to other threads costs more than doing it.
pub fn compile_graph(
    world: &mut World,
    mut state: Local<Option<SystemState<CompileParams>>>,
    mut exposed: Local<Option<QueryState<Entity, Changed<ExposedSettings>>>>,
) -> Result {
    let exposed = exposed.get_or_insert_with(|| QueryState::new(world));
    sync_exposed(world, exposed);
    crate::registry::sync_pins(world);
    let state = state.get_or_insert_with(|| SystemState::new(world));
    let (parts, mut changes, mut graph) = state.get_mut(world)?;
    if !changes.any() {
        return Ok(());
    }
    let (nodes, cycle) = parts.compile();
    graph.places = Arc::new((0..).zip(&nodes).map(|(place, compiled)| (compiled.node, place)).collect());
    graph.nodes = nodes.into();
    graph.generation += 1;
    match cycle {
        None => Ok(()),
        Some(cycle) => {
            let names: Vec<String> = cycle.iter().chain(cycle.first()).map(|node| parts.label(*node)).collect();
            let names = names.join(" → ");
            Err(BevyError::error(format!(
                "these nodes feed each other in a cycle and do not run, nor does what hangs on them: {names}"
            )))
        }
    }
}

/// How a node takes part.
struct Part {
    compiled: CompiledNode,
    feeders: Vec<usize>,
    held: bool,
    /// Itself, or a subgraph that it lies in.
    solo: bool,
    wanted: bool,
    passes: bool,
}

impl GraphParts<'_, '_> {
    fn label(&self, node: Entity) -> String {
        match self.names.get(node) {
            Ok((Some(name), _, Some(inside))) if self.subgraphs.contains(inside.0) => format!("{}/{name}", self.label(inside.0)),
            Ok((Some(name), ..)) => name.to_string(),
            Ok((None, Some(kind), _)) => kind.0.to_string(),
            _ => node.to_string(),
        }
    }

    /// The nodes in order, and the nodes of a cycle if there is one.
    fn compile(&self) -> (Vec<CompiledNode>, Option<Vec<Entity>>) {
        let mut parts: Vec<Part> = self.nodes.iter().map(|node| self.describe(node)).collect();
        // Entities are compared so that equal graphs compile to equal orders.
        parts.sort_unstable_by_key(|part| part.compiled.node);
        let places: EntityHashMap<usize> = parts.iter().enumerate().map(|(place, part)| (part.compiled.node, place)).collect();
        for part in &mut parts {
            let owner = |pin: Entity| places.get(&self.pins.get(pin).ok()?.1.0).copied();
            part.feeders = if part.passes {
                let (itself, outputs) = (places.get(&part.compiled.node).copied(), &part.compiled.outputs);
                outputs.iter().filter_map(|(_, pin)| owner(*pin)).filter(|feeder| Some(*feeder) != itself).collect()
            } else {
                part.compiled.inputs.iter().filter_map(|(_, source)| owner((*source)?)).collect()
            };
            part.feeders.sort_unstable();
            part.feeders.dedup();
        }
        let order = Self::order(&mut parts);
        let cycle = (order.len() < parts.len()).then(|| Self::cycle(&parts, &order));
        Self::demand(&mut parts, &order);
        let cycle = cycle.map(|cycle| cycle.into_iter().map(|place| parts[place].compiled.node).collect());
        let mut compiled: Vec<Option<CompiledNode>> = parts.into_iter().map(|part| Some(part.compiled)).collect();
        (order.into_iter().filter_map(|place| compiled[place].take()).collect(), cycle)
    }

    fn describe(&self, node: NodeDataItem) -> Part {
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for entity in node.pins.iter() {
            let Ok((pin, _, link, _)) = self.pins.get(entity) else { continue };
            match pin.direction {
                PinDirection::Input => inputs.push((pin.name.clone(), link.and_then(|link| self.delivered(link.0)))),
                PinDirection::Output => {
                    let delivered = if node.passes { self.delivered(entity) } else { None };
                    outputs.push((pin.name.clone(), delivered.unwrap_or(entity)));
                }
            }
        }
        // What is said of a subgraph holds for all that lies in it.
        let (mut bypass, mut freeze, mut solo) = (node.bypass, node.freeze, node.solo);
        let mut around = node.inside;
        for _ in 0..=Blueprint::MAX_DEPTH {
            let subgraph = around.and_then(|inside| self.subgraphs.get(inside.0).ok());
            let Some((bypassed, frozen, alone, outer)) = subgraph else { break };
            bypass |= bypassed;
            freeze |= frozen;
            solo |= alone;
            around = outer;
        }
        let wanted = node.watched || (outputs.is_empty() && !node.passes);
        // A solo subgraph delivers, and its outputs in it run; not everything in it delivers.
        let solo = solo && (node.solo || wanted);
        let join = match node.join.copied().unwrap_or_default() {
            JoinPolicy::Match if node.takes_latest => JoinPolicy::Latest,
            join => join,
        };
        let compiled = CompiledNode { node: node.node, inputs, outputs, join, level: 0, runs: false };
        Part { compiled, feeders: Vec::new(), held: bypass || freeze, solo, wanted: wanted && !bypass, passes: node.passes }
    }

    /// The pin whose data an output delivers: its own; if it passes something through, that; or, if its node is bypassed,
    /// what feeds the node's first fed input of the same type.
    fn delivered(&self, output: Entity) -> Option<Entity> {
        let mut output = output;
        // A way past nodes is never longer than there are pins, unless it is a cycle.
        for _ in 0..=self.pins.iter().len() {
            let (pin, owner, _, delivers) = self.pins.get(output).ok()?;
            let fed_by = |input: Entity| Some(self.pins.get(input).ok()?.2?.0);
            match (self.nodes.get(owner.0), delivers) {
                (Ok(node), _) if node.bypass => {
                    let through = |input: Entity| {
                        let candidate = self.pins.get(input).ok()?.0;
                        let fits = candidate.direction == PinDirection::Input && candidate.data_type == pin.data_type;
                        fed_by(input).filter(|_| fits)
                    };
                    output = node.pins.iter().find_map(through)?;
                }
                (_, Some(delivers)) => output = fed_by(delivers.0)?,
                _ => return Some(output),
            }
        }
        None
    }

    /// An order in which feeders come first (Kahn's algorithm), and each node's level; nodes on cycles are missing.
    fn order(parts: &mut [Part]) -> Vec<usize> {
        let mut fed: Vec<Vec<usize>> = vec![Vec::new(); parts.len()];
        let mut missing: Vec<usize> = Vec::with_capacity(parts.len());
        for (place, part) in parts.iter().enumerate() {
            missing.push(part.feeders.len());
            for feeder in &part.feeders {
                fed[*feeder].push(place);
            }
        }
        let mut order: Vec<usize> = (0..parts.len()).filter(|place| missing[*place] == 0).collect();
        let mut next = 0;
        while let Some(&place) = order.get(next) {
            next += 1;
            let level = parts[place].compiled.level + 1;
            for &reader in &fed[place] {
                parts[reader].compiled.level = parts[reader].compiled.level.max(level);
                missing[reader] -= 1;
                if missing[reader] == 0 {
                    order.push(reader);
                }
            }
        }
        // Level by level, so that what can run at the same time lies together.
        order.sort_by_key(|place| parts[*place].compiled.level);
        order
    }

    /// The nodes of one cycle in the order of its links.
    fn cycle(parts: &[Part], order: &[usize]) -> Vec<usize> {
        let mut stuck = vec![true; parts.len()];
        for place in order {
            stuck[*place] = false;
        }
        // Every stuck node has a stuck feeder, so going from feeder to feeder must come round.
        let mut way: Vec<usize> = stuck.iter().position(|stuck| *stuck).into_iter().collect();
        while let Some(feeder) = way.last().and_then(|place| parts[*place].feeders.iter().find(|feeder| stuck[**feeder])) {
            if let Some(start) = way.iter().position(|place| place == feeder) {
                way.drain(..start);
                break;
            }
            way.push(*feeder);
        }
        way.reverse();
        way
    }

    /// Finds out which nodes run, from those that deliver somewhere back to those that feed them.
    fn demand(parts: &mut [Part], order: &[usize]) {
        if parts.iter().any(|part| part.solo) {
            for part in parts.iter_mut() {
                part.wanted = part.solo;
            }
        }
        for &place in order.iter().rev() {
            if !parts[place].wanted {
                continue;
            }
            parts[place].compiled.runs = !(parts[place].held || parts[place].passes);
            // A frozen node needs nothing: it holds what it made.
            if !parts[place].held {
                for feeder in parts[place].feeders.clone() {
                    parts[feeder].wanted = true;
                }
            }
        }
    }
}
