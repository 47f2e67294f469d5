//! What the registry can say about a blueprint, without running it.

use super::{
    Blueprint, BlueprintNode, Setting,
    overrides::Override,
    problem::{Problem, has_errors, most_like},
    settings::{LoadAsset, no_assets, settings_of},
};
use crate::{
    data_type::{Conversion, DataTypes},
    driver::Drivers,
    pin::{PinDirection, PinSpec},
    registry::{KindEntry, kind_named, kinds},
};
use bevy::{platform::collections::HashMap, prelude::*, reflect::TypeRegistry};
use core::any::TypeId;
use std::path::Path;

/// A checked node: ready to become an entity.
pub(super) struct CheckedNode<'a> {
    pub(super) kind: Option<KindEntry<'a>>,
    /// None for kinds that nobody registered.
    pub(super) settings: Option<Box<dyn Reflect>>,
    pub(super) pins: Vec<PinSpec>,
    pub(super) drivers: Drivers,
}

/// A checked link: places in the blueprint's nodes, pins' names, and what becomes of the data.
pub(super) struct CheckedLink {
    pub(super) from: (usize, String),
    pub(super) to: (usize, String),
    pub(super) conversion: Conversion,
}

pub(super) struct Checked<'a> {
    pub(super) nodes: Vec<CheckedNode<'a>>,
    pub(super) links: Vec<CheckedLink>,
    pub(super) problems: Vec<Problem>,
}

/// Everything that is wrong with a blueprint: kinds and settings that do not exist, values out of range, links that lead
/// nowhere, types that do not fit, inputs fed twice, cycles. Nodes of unknown kinds are warnings: they are kept as
/// placeholders.
///
/// With a `base`, the folder of the blueprint's file, files that are not there are warned of.
pub fn check(blueprint: &Blueprint, registry: &TypeRegistry, types: &DataTypes, base: Option<&Path>) -> Vec<Problem> {
    let mut missing = Vec::new();
    let mut look = |type_id: TypeId, path: String| {
        if base.is_some_and(|base| !path.contains("://") && !base.join(&path).exists()) {
            missing.push(path.clone());
        }
        no_assets(type_id, path)
    };
    let mut problems = examine(blueprint, registry, types, base, &mut look).problems;
    for path in missing {
        let names_it = |setting: &&Setting| setting.value.contains(&path);
        let place = blueprint.nodes.iter().flat_map(|node| &node.settings).find(names_it).map(|setting| setting.place);
        problems
            .push(Problem::warning(place.unwrap_or_default(), format!("there is no file “{path}” in the blueprint's folder")));
    }
    problems
}

pub(super) fn examine<'a>(
    blueprint: &Blueprint,
    registry: &'a TypeRegistry,
    types: &DataTypes,
    base: Option<&Path>,
    load: &mut LoadAsset,
) -> Checked<'a> {
    let mut problems = Vec::new();
    let mut nodes: Vec<CheckedNode> =
        blueprint.nodes.iter().map(|node| check_node(node, registry, base, load, &mut problems)).collect();
    let mut places: HashMap<&str, usize> = HashMap::default();
    for (place, node) in blueprint.nodes.iter().enumerate() {
        places.entry(node.name.as_str()).or_insert(place);
    }
    let links = check_links(blueprint, &mut nodes, &places, types, &mut problems);
    check_cycles(blueprint, &links, &mut problems);
    for parameter in &blueprint.parameters {
        let target = Override::of_setting(&parameter.setting, String::new());
        let fault = target.and_then(|target| target.target(blueprint, registry).map(drop));
        if let Err(error) = fault {
            problems.push(Problem::error(parameter.place, format!("the parameter “{}”: {error}", parameter.name)));
        }
    }
    Checked { nodes, links, problems }
}

fn check_node<'a>(
    node: &BlueprintNode,
    registry: &'a TypeRegistry,
    base: Option<&Path>,
    load: &mut LoadAsset,
    problems: &mut Vec<Problem>,
) -> CheckedNode<'a> {
    let Some(kind) = kind_named(registry, &node.kind) else {
        let known = kinds(registry);
        let like = most_like(&node.kind, known.iter().map(|kind| kind.name));
        let help = like.map_or_else(String::new, |like| format!(" Did you mean “{like}”?"));
        let message = format!(
            "node “{}”: no plugin here brings the kind “{}”. The node is kept as a placeholder and does not run.{help}",
            node.name, node.kind
        );
        problems.push(Problem::warning(node.place, message));
        return CheckedNode { kind: None, settings: None, pins: Vec::new(), drivers: Drivers::default() };
    };
    let before = problems.len();
    let settings = settings_of(registry, kind, node, base, load, problems);
    if settings.is_none() {
        let message = format!("node “{}”: the kind {} has no defaults: derive Default and reflect it", node.name, kind.name);
        problems.push(Problem::error(node.place, message));
    }
    // Settings out of range must not make a million pins.
    let pins = if has_errors(&problems[before..]) {
        kind.default_settings().and_then(|defaults| kind.node.pins(&*defaults))
    } else {
        settings.as_deref().and_then(|settings| kind.node.pins(settings))
    };
    let pins = pins.unwrap_or_default();
    let mut drivers = Drivers::default();
    for driven in &node.drivers {
        if let Err(error) = drivers.set(registry, kind, &driven.path, driven.driver.clone()) {
            problems.push(Problem::error(driven.place, format!("node “{}”, driver of “{}”: {error}", node.name, driven.path)));
        }
    }
    CheckedNode { kind: Some(kind), settings, pins, drivers }
}

fn check_links(
    blueprint: &Blueprint,
    nodes: &mut [CheckedNode],
    places: &HashMap<&str, usize>,
    types: &DataTypes,
    problems: &mut Vec<Problem>,
) -> Vec<CheckedLink> {
    let mut fed: HashMap<(usize, &str), super::Place> = HashMap::default();
    let mut links = Vec::with_capacity(blueprint.links.len());
    for link in &blueprint.links {
        let mut end = |(node, pin): &(String, String), direction: PinDirection| {
            let Some(&place) = places.get(node.as_str()) else {
                let like = most_like(node, places.keys().copied());
                let help = like.map_or_else(String::new, |like| format!("; did you mean “{like}”?"));
                problems.push(Problem::error(
                    link.place,
                    format!("the link {} names no node of this blueprint: “{node}”{help}", link.link),
                ));
                return None;
            };
            let checked = &nodes[place];
            let found = checked.pins.iter().find(|spec| spec.direction == direction && spec.name == *pin).cloned();
            // What a placeholder's pins are is known from its links alone.
            if found.is_none() && checked.settings.is_some() {
                let (word, other) = match direction {
                    PinDirection::Input => ("input", "output"),
                    PinDirection::Output => ("output", "input"),
                };
                let present: Vec<&str> =
                    checked.pins.iter().filter(|spec| spec.direction == direction).map(|spec| spec.name.as_ref()).collect();
                let help = if checked.pins.iter().any(|spec| spec.name == *pin) {
                    format!("“{pin}” is an {other}")
                } else if present.is_empty() {
                    format!("it has no {word}s")
                } else {
                    format!("it has: {}", present.join(", "))
                };
                let message = format!("the link {}: node “{node}” has no {word} “{pin}”; {help}", link.link);
                problems.push(Problem::error(link.place, message));
                return None;
            }
            Some((place, found.map(|spec| spec.data_type)))
        };
        let from = end(&link.link.from, PinDirection::Output);
        let to = end(&link.link.to, PinDirection::Input);
        let (Some((from, from_type)), Some((to, to_type))) = (from, to) else { continue };
        if let Some(before) = fed.insert((to, link.link.to.1.as_str()), link.place) {
            let message = format!(
                "the link {}: the input is already fed by the link at line {}: an input takes one link",
                link.link, before.line
            );
            problems.push(Problem::error(link.place, message));
            continue;
        }
        let conversion = match from_type.clone().zip(to_type.clone()) {
            None => Conversion::None,
            Some((from_type, to_type)) => match types.conversion(&from_type, &to_type) {
                Some(conversion) => conversion,
                None => {
                    let message = format!("the link {}: {} does not fit {}", link.link, from_type.name(), to_type.name());
                    problems.push(Problem::error(link.place, message));
                    continue;
                }
            },
        };
        let (from_pin, to_pin) = (link.link.from.1.clone(), link.link.to.1.clone());
        // A placeholder gets the pins that its links name.
        let any = |data_type: &Option<crate::pin::DataType>| data_type.clone().unwrap_or(crate::pin::DataType::ANY);
        let (output, input) = (PinSpec::output(from_pin.clone(), any(&to_type)), PinSpec::input(to_pin.clone(), any(&from_type)));
        for (place, spec) in [(from, output), (to, input)] {
            let pins = &mut nodes[place];
            let present = pins.pins.iter().any(|pin| pin.direction == spec.direction && pin.name == spec.name);
            if pins.kind.is_none() && !present {
                pins.pins.push(spec);
            }
        }
        links.push(CheckedLink { from: (from, from_pin), to: (to, to_pin), conversion });
    }
    links
}

/// Names the nodes of cycles: of one for each group of nodes that hang together in them.
fn check_cycles(blueprint: &Blueprint, links: &[CheckedLink], problems: &mut Vec<Problem>) {
    let count = blueprint.nodes.len();
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut missing = vec![0_usize; count];
    for link in links {
        next[link.from.0].push(link.to.0);
        missing[link.to.0] += 1;
    }
    // What hangs on no cycle falls away.
    let mut ready: Vec<usize> = (0..count).filter(|place| missing[*place] == 0).collect();
    let mut stuck = vec![true; count];
    while let Some(place) = ready.pop() {
        stuck[place] = false;
        for &reader in &next[place] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    let mut feeder = vec![None; count];
    for link in links.iter().filter(|link| stuck[link.from.0] && stuck[link.to.0]) {
        feeder[link.to.0].get_or_insert((link.from.0, link));
    }
    let mut seen = vec![false; count];
    for start in (0..count).filter(|place| stuck[*place]) {
        let mut way: Vec<usize> = Vec::new();
        let mut at = start;
        while !seen[at] {
            seen[at] = true;
            way.push(at);
            let Some((from, _)) = feeder[at] else { break };
            at = from;
        }
        let Some(begin) = way.iter().position(|place| *place == at).filter(|_| feeder[at].is_some()) else { continue };
        let mut names: Vec<&str> = way[begin..].iter().rev().map(|place| blueprint.nodes[*place].name.as_str()).collect();
        names.extend(names.first().copied());
        let place = blueprint.nodes[at].place;
        problems.push(Problem::error(place, format!("these nodes feed each other in a cycle: {}", names.join(" → "))));
    }
}
