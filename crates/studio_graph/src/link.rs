//! Making links, with every check that a link must pass.

use crate::{
    blueprint::spawn::InBlueprint,
    compile::CompiledGraph,
    data_type::DataTypes,
    pin::{FedBy, PassThrough, Pin, PinDirection, PinOf, Pins},
    registry::NodeName,
};
use bevy::{
    ecs::{entity::EntityHashMap, system::SystemParam},
    prelude::*,
};
use core::{fmt, str::FromStr};

/// Why two pins cannot be linked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The entity is not a node, or its kind was not registered.
    #[error("{0} is not a node: it has no pins; is its kind registered with `register_node`?")]
    NotANode(Entity),
    /// The node has no such pin.
    #[error("the {node} node has no {direction} “{pin}”; it has: {present}")]
    NoSuchPin {
        /// The node's kind.
        node: String,
        /// `input` or `output`.
        direction: &'static str,
        /// The pin asked for.
        pin: String,
        /// The pins there are.
        present: String,
    },
    /// The types differ.
    #[error("{from} delivers {from_type}, but {to} takes {to_type}")]
    Incompatible {
        /// Node and output.
        from: String,
        /// Its type.
        from_type: String,
        /// Node and input.
        to: String,
        /// Its type.
        to_type: String,
    },
    /// The link would close a circle.
    #[error("linking {from} to {to} would close a cycle: {cycle}")]
    Cycle {
        /// The node that would feed.
        from: String,
        /// The node that would be fed.
        to: String,
        /// The nodes of the cycle in order.
        cycle: String,
    },
}

/// A link as text: `node.pin -> node.pin`. Pins' names may have blanks in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkText {
    /// Node and output that feed.
    pub from: (String, String),
    /// Node and input that are fed.
    pub to: (String, String),
}

/// A text that is no link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no link: write \"node.output -> node.input\"")]
pub struct LinkTextError(String);

impl FromStr for LinkText {
    type Err = LinkTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let end = |end: &str| {
            let (node, pin) = end.trim().split_once('.')?;
            let (node, pin) = (node.trim(), pin.trim());
            (!node.is_empty() && !pin.is_empty()).then(|| (node.to_owned(), pin.to_owned()))
        };
        let ends = text.split_once("->").and_then(|(from, to)| Some((end(from)?, end(to)?)));
        let (from, to) = ends.ok_or_else(|| LinkTextError(text.chars().take(200).collect()))?;
        Ok(Self { from, to })
    }
}

impl fmt::Display for LinkText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{} -> {}.{}", self.from.0, self.from.1, self.to.0, self.to.1)
    }
}

/// The pin of a node with this name and direction.
pub fn find_pin(world: &World, node: Entity, direction: PinDirection, name: &str) -> Result<Entity, ConnectError> {
    let pins = world.get::<Pins>(node).ok_or(ConnectError::NotANode(node))?;
    let of_direction: Vec<(Entity, &Pin)> = pins
        .iter()
        .filter_map(|entity| Some((entity, world.get::<Pin>(entity)?)))
        .filter(|(_, pin)| pin.direction == direction)
        .collect();
    of_direction.iter().find(|(_, pin)| pin.name == name).map(|(entity, _)| *entity).ok_or_else(|| ConnectError::NoSuchPin {
        node: node_label(world, node),
        direction: match direction {
            PinDirection::Input => "input",
            PinDirection::Output => "output",
        },
        pin: name.to_owned(),
        present: of_direction.iter().map(|(_, pin)| pin.name.as_ref()).collect::<Vec<_>>().join(", "),
    })
}

/// What messages call a node: its name, behind those of the subgraphs that it lies in (`left/blur`), or else its kind, or
/// else its entity.
pub fn node_label(world: &World, node: Entity) -> String {
    let subgraph =
        world.get::<InBlueprint>(node).map(|inside| inside.0).filter(|around| world.get::<PassThrough>(*around).is_some());
    match (world.get::<Name>(node), world.get::<NodeName>(node)) {
        (Some(name), _) => match subgraph {
            Some(subgraph) => format!("{}/{name}", node_label(world, subgraph)),
            None => name.to_string(),
        },
        (None, Some(kind)) => kind.0.to_string(),
        (None, None) => node.to_string(),
    }
}

/// Links an output to an input; a link that the input had before is replaced.
///
/// # Errors
/// See [`ConnectError`]; on an error nothing changes.
pub fn connect(world: &mut World, from: Entity, output: &str, to: Entity, input: &str) -> Result<(), ConnectError> {
    let output_pin = find_pin(world, from, PinDirection::Output, output)?;
    let input_pin = find_pin(world, to, PinDirection::Input, input)?;
    let type_of = |pin: Entity| world.get::<Pin>(pin).map(|pin| pin.data_type.clone());
    let (from_type, to_type) = (type_of(output_pin), type_of(input_pin));
    let (Some(from_type), Some(to_type)) = (from_type, to_type) else { return Err(ConnectError::NotANode(from)) };
    let types = world.get_resource::<DataTypes>().cloned().unwrap_or_default();
    let Some(conversion) = types.conversion(&from_type, &to_type) else {
        return Err(ConnectError::Incompatible {
            from: format!("{}.{output}", node_label(world, from)),
            from_type: from_type.name().to_owned(),
            to: format!("{}.{input}", node_label(world, to)),
            to_type: to_type.name().to_owned(),
        });
    };
    if let Some(path) = path_between(world, to, from) {
        let cycle = path.iter().chain([&to]).map(|&node| node_label(world, node)).collect::<Vec<_>>().join(" → ");
        return Err(ConnectError::Cycle { from: node_label(world, from), to: node_label(world, to), cycle });
    }
    world.entity_mut(input_pin).insert((FedBy(output_pin), conversion));
    Ok(())
}

/// The nodes on a way along the links from `start` to `goal`, both included.
fn path_between(world: &World, start: Entity, goal: Entity) -> Option<Vec<Entity>> {
    let mut came_from: EntityHashMap<Entity> = EntityHashMap::default();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        if node == goal {
            let mut path = vec![goal];
            while let Some(&before) = path.last().filter(|node| **node != start).and_then(|node| came_from.get(node)) {
                path.push(before);
            }
            path.reverse();
            return Some(path);
        }
        for next in downstream(world, node) {
            if next != start && !came_from.contains_key(&next) {
                came_from.insert(next, node);
                open.push(next);
            }
        }
    }
    None
}

fn downstream(world: &World, node: Entity) -> Vec<Entity> {
    let pins = world.get::<Pins>(node).into_iter().flat_map(|pins| pins.iter());
    let fed = pins.filter_map(|pin| world.get::<crate::pin::Feeds>(pin)).flat_map(|feeds| feeds.iter());
    fed.filter_map(|input| world.get::<PinOf>(input)).map(|owner| owner.0).collect()
}

/// Finds what feeds a node's inputs, from systems that run after the graph was compiled.
#[derive(SystemParam)]
pub struct GraphLinks<'w> {
    graph: Res<'w, CompiledGraph>,
}

impl GraphLinks<'_> {
    /// Whether a node runs: something takes what it makes, and it is not bypassed, frozen or left out by a solo.
    pub fn runs(&self, node: Entity) -> bool {
        self.graph.runs(node)
    }

    /// The output pin that feeds an input of a node, bypassed nodes skipped; none if the node does not run.
    pub fn source(&self, node: Entity, input: &str) -> Option<Entity> {
        self.graph.node(node).filter(|compiled| compiled.runs)?.input(input)
    }

    /// An output pin of a node.
    pub fn output(&self, node: Entity, output: &str) -> Option<Entity> {
        self.graph.node(node)?.output(output)
    }
}

/// Links nodes from systems.
pub trait GraphCommands {
    /// Like [`connect`], when the commands are applied; an error goes to the app's error handler.
    fn connect(&mut self, from: Entity, output: &'static str, to: Entity, input: &'static str);
}

impl GraphCommands for Commands<'_, '_> {
    fn connect(&mut self, from: Entity, output: &'static str, to: Entity, input: &'static str) {
        self.queue(move |world: &mut World| -> Result { Ok(connect(world, from, output, to, input)?) });
    }
}
