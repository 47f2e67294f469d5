//! Putting nodes of a graph into a subgraph.

use super::{
    Blueprint, BlueprintLink, BlueprintNode, BlueprintSubgraph, Place, Problem, Setting, check::examine, problem,
    read::name_fault, settings::no_assets, subgraph::INTERFACE_PIN, write::quoted,
};
use crate::{
    data_type::{DataType, DataTypes},
    link::LinkText,
    pin::PinDirection,
};
use bevy::{platform::collections::HashSet, prelude::*, reflect::TypeRegistry};
use std::path::Path;

/// Why nodes cannot be put into a subgraph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// There is no node to be put into it.
    #[error("choose at least one node to be grouped")]
    NoNodes,
    /// There is no such node.
    #[error("there is no node “{0}” to be grouped")]
    NoNode(String),
    /// The name cannot be used.
    #[error("the name “{0}” {1}")]
    Name(String, String),
    /// The graph would not be right any more: a way leads out of the group and back into it.
    #[error("grouped, the graph has errors:\n{}", problem::list(.0))]
    Faults(Vec<Problem>),
}

/// Moves nodes of a blueprint into a new subgraph of this name, with the links between them, and puts a node of the same name
/// in their place. Links that lead in or out go through its interface, and parameters reach their settings through it.
///
/// # Errors
/// [`GroupError`]; the blueprint is as it was then.
pub fn group(
    blueprint: &mut Blueprint,
    nodes: &[&str],
    name: &str,
    registry: &TypeRegistry,
    types: &DataTypes,
    base: Option<&Path>,
) -> Result<(), GroupError> {
    let chosen: HashSet<&str> = nodes.iter().copied().collect();
    if chosen.is_empty() {
        return Err(GroupError::NoNodes);
    }
    if let Some(missing) = nodes.iter().find(|node| blueprint.node(node).is_none()) {
        return Err(GroupError::NoNode((*missing).to_owned()));
    }
    let is_taken =
        blueprint.subgraph(name).is_some() || blueprint.nodes.iter().any(|node| node.name == name && !chosen.contains(name));
    let fault = if is_taken { Some("is taken: choose another one".to_owned()) } else { name_fault(name) };
    if let Some(fault) = fault {
        return Err(GroupError::Name(name.to_owned(), fault));
    }
    let before = examine(blueprint, registry, types, base, &mut no_assets, false);
    let type_of = |(node, pin): &(String, String), direction: PinDirection| {
        let place = blueprint.nodes.iter().position(|known| known.name == *node)?;
        let pins = &before.nodes[place].pins;
        Some(pins.iter().find(|spec| spec.direction == direction && spec.name == *pin)?.data_type.clone())
    };
    let mut outer = blueprint.clone();
    let mut inner = Blueprint::default();
    let (inside, outside) = outer.nodes.into_iter().partition(|node: &BlueprintNode| chosen.contains(node.name.as_str()));
    (inner.nodes, outer.nodes) = (inside, outside);
    let corner = inner.nodes.iter().map(|node| node.at).reduce(Vec2::min).unwrap_or_default();
    let far = inner.nodes.iter().map(|node| node.at).reduce(Vec2::max).unwrap_or_default();
    let definition = Setting { field: "definition".to_owned(), value: quoted(name), place: Place::default() };
    let settings = vec![definition];
    outer.nodes.push(BlueprintNode { name: name.to_owned(), kind: "Subgraph".to_owned(), at: corner, settings, ..default() });
    let mut interface = Interface { corner, far, inputs: Vec::new(), outputs: Vec::new() };
    let mut through = HashSet::new();
    for link in core::mem::take(&mut outer.links) {
        let LinkText { from, to } = link.link.clone();
        match (chosen.contains(from.0.as_str()), chosen.contains(to.0.as_str())) {
            (true, true) => inner.links.push(link),
            (false, false) => outer.links.push(link),
            (false, true) => {
                let data_type = type_of(&from, PinDirection::Output).or_else(|| type_of(&to, PinDirection::Input));
                let pin = interface.pin(&mut inner, PinDirection::Input, &from, &to.1, data_type);
                if through.insert(pin.clone()) {
                    outer.links.push(link_of(from, (name.to_owned(), pin.clone())));
                }
                inner.links.push(link_of((pin, INTERFACE_PIN.to_owned()), to));
            }
            (true, false) => {
                let data_type = type_of(&from, PinDirection::Output).or_else(|| type_of(&to, PinDirection::Input));
                let pin = interface.pin(&mut inner, PinDirection::Output, &from, &from.1, data_type);
                if through.insert(pin.clone()) {
                    inner.links.push(link_of(from, (pin.clone(), INTERFACE_PIN.to_owned())));
                }
                outer.links.push(link_of((name.to_owned(), pin), to));
            }
        }
    }
    for parameter in &mut outer.parameters {
        let node = parameter.setting.split(['.', '/']).next().unwrap_or_default();
        if chosen.contains(node) {
            inner.parameters.push(parameter.clone());
            parameter.setting = format!("{name}.{}", parameter.name);
        }
    }
    outer.subgraphs.push(BlueprintSubgraph { name: name.to_owned(), graph: inner, place: Place::default() });
    let after = examine(&outer, registry, types, base, &mut no_assets, false).problems;
    if problem::has_errors(&after) && !problem::has_errors(&before.problems) {
        return Err(GroupError::Faults(after));
    }
    *blueprint = outer;
    Ok(())
}

fn link_of(from: (String, String), to: (String, String)) -> BlueprintLink {
    BlueprintLink { link: LinkText { from, to }, place: Place::default() }
}

/// The interface of a group: for each output that feeds it or that it delivers, the node that stands for it.
struct Interface {
    corner: Vec2,
    far: Vec2,
    inputs: Vec<((String, String), String)>,
    outputs: Vec<((String, String), String)>,
}

impl Interface {
    /// How far the interface stands from the nodes, and its nodes from each other, in points.
    const APART: Vec2 = Vec2::new(260.0, 80.0);

    /// The name of the pin for an output outside, or in the group; made if it is not there.
    fn pin(
        &mut self,
        graph: &mut Blueprint,
        direction: PinDirection,
        output: &(String, String),
        wanted: &str,
        data_type: Option<DataType>,
    ) -> String {
        let (kind, known, x) = match direction {
            PinDirection::Input => ("SubgraphInput", &mut self.inputs, self.corner.x - Self::APART.x),
            PinDirection::Output => ("SubgraphOutput", &mut self.outputs, self.far.x + Self::APART.x),
        };
        if let Some((_, pin)) = known.iter().find(|(of, _)| of == output) {
            return pin.clone();
        }
        // Parts of settings have full stops, which nodes' names must not have.
        let wanted = wanted.replace(['.', '/'], " ");
        let mut name = wanted.clone();
        let mut number = 1;
        while graph.node(&name).is_some() {
            number += 1;
            name = format!("{wanted} {number}");
        }
        let at = Vec2::new(x, self.corner.y + known.len() as f32 * Self::APART.y);
        let data_type = data_type.unwrap_or(DataType::ANY);
        let setting = Setting { field: "data_type".to_owned(), value: quoted(data_type.name()), place: Place::default() };
        let settings = if data_type == DataType::VIDEO_FRAME { Vec::new() } else { vec![setting] };
        graph.nodes.push(BlueprintNode { name: name.clone(), kind: kind.to_owned(), at, settings, ..default() });
        known.push((output.clone(), name.clone()));
        name
    }
}
