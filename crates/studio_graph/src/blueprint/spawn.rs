//! From a blueprint to entities, and from a changed blueprint to changed entities.

use super::{
    Blueprint, BlueprintBookmark, BlueprintNode, BlueprintNote, BlueprintParameter, BlueprintRoute, BlueprintSubgraph, Setting,
    asset::BlueprintFolder,
    check::{Checked, CheckedNode, Contents, examine},
    problem::{Problem, has_errors},
    subgraph::{INTERFACE_PIN, Subgraph, SubgraphValues},
};
use crate::{
    data_type::{Conversion, DataTypes},
    driver::Drivers,
    flow::{Bypass, Freeze, JoinPolicy},
    pin::{Delivers, ExtraPins, FedBy, Pin, PinDirection, Pins},
    registry::{NodeName, set_pins},
    status::NodeStatus,
    value::{ExposedSettings, RestingSettings},
};
use bevy::{
    asset::LoadFromPath,
    ecs::{entity::EntityHashMap, reflect::ReflectComponent},
    platform::collections::HashMap,
    prelude::*,
    reflect::TypeRegistry,
};
use core::any::TypeId;
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// The root of a blueprint's entities. Despawning it despawns the nodes.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct BlueprintInstance {
    /// What people call the blueprint.
    pub name: String,
    /// The folder at which relative paths of input files start.
    pub base: Option<PathBuf>,
    /// Notes on the canvas.
    pub notes: Vec<BlueprintNote>,
    /// Settings that are meant to be changed from outside.
    pub parameters: Vec<BlueprintParameter>,
    /// Links that take a way of their own over the canvas.
    pub routes: Vec<BlueprintRoute>,
    /// Places of the canvas to come back to.
    pub bookmarks: Vec<BlueprintBookmark>,
    /// Graphs that nodes stand for.
    pub subgraphs: Vec<BlueprintSubgraph>,
}

/// On the root: the files of subgraphs, and when each had been changed last as it was read; none for one that was not there.
/// When one of them is saved, or appears, the blueprint is applied again.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct BlueprintFiles(pub Vec<(PathBuf, Option<SystemTime>)>);

/// On a [`Subgraph`] node: what its contents were made from.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub(super) struct MadeFrom(pub(super) Subgraph, pub(super) SubgraphValues);

/// The root of the blueprint that a node belongs to, or the [`Subgraph`] node that it lies in.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = BlueprintNodes)]
pub struct InBlueprint(pub Entity);

/// The nodes of a blueprint or of a subgraph, in its order.
#[derive(Component, Default, Debug)]
#[relationship_target(relationship = InBlueprint, linked_spawn)]
pub struct BlueprintNodes(Vec<Entity>);

/// Where a node stands on the canvas, in points; x to the right, y down.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq)]
pub struct CanvasPosition(pub Vec2);

/// Stands for a node whose kind nobody registered: does not run, keeps its settings and links for the file.
#[derive(Component, Clone, Debug, PartialEq)]
pub struct Placeholder {
    /// The kind's name.
    pub kind: String,
    /// Its settings as they stood in the file.
    pub settings: Vec<Setting>,
}

/// Makes a blueprint's nodes and links. Returns the root.
///
/// # Errors
/// Everything that is wrong with it, warnings included, if there is an error among that; nothing is made then.
pub fn spawn(world: &mut World, blueprint: &Blueprint, base: Option<PathBuf>) -> Result<Entity, Vec<Problem>> {
    let root = world.spawn(BlueprintInstance { base, ..default() }).id();
    match apply(world, root, blueprint) {
        Ok(_) => Ok(root),
        Err(problems) => {
            world.despawn(root);
            Err(problems)
        }
    }
}

/// Changes the entities of a blueprint into those of another version of it: nodes of the same name and kind stay and take
/// on the new settings, so that what did not change runs on undisturbed. Returns the warnings.
///
/// # Errors
/// As [`spawn`]; on an error nothing changes and what ran before runs on.
pub fn apply(world: &mut World, root: Entity, blueprint: &Blueprint) -> Result<Vec<Problem>, Vec<Problem>> {
    let registry = world.resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    let types = world.get_resource::<DataTypes>().cloned().unwrap_or_default();
    let base = world.get::<BlueprintInstance>(root).and_then(|instance| instance.base.clone());
    let mut assets = world.get_resource::<AssetServer>().cloned();
    // Assets' paths start at the blueprint's folder, wherever the asset server looks for its own.
    let folder = world.get_resource::<BlueprintFolder>().and_then(|folder| folder.0.clone());
    let whole = base.as_deref().and_then(|base| std::path::absolute(base).ok());
    let elsewhere = whole.filter(|base| folder.as_deref().is_some_and(|folder| folder != base));
    let mut load = |type_id: TypeId, path: String| match &mut assets {
        Some(assets) => {
            let own = elsewhere.as_deref().filter(|_| !path.contains("://") && Path::new(&path).is_relative());
            let path = own.map_or(path.clone(), |base| base.join(&path).display().to_string());
            assets.load_from_path_erased(type_id, path.into())
        }
        None => super::settings::no_assets(type_id, path),
    };
    let mut checked = examine(blueprint, &registry, &types, base.as_deref(), &mut load, false);
    let problems = core::mem::take(&mut checked.problems);
    if has_errors(&problems) {
        // What is wrong may be put right in one of the files.
        let mut files = world.get::<BlueprintFiles>(root).cloned().unwrap_or_default();
        files.0.retain(|(file, _)| !checked.files.iter().any(|(read, _)| read == file));
        files.0.extend(checked.files);
        if !files.0.is_empty() {
            world.entity_mut(root).insert(files);
        }
        return Err(problems);
    }
    if let Some(mut instance) = world.get_mut::<BlueprintInstance>(root) {
        instance.name.clone_from(&blueprint.name);
        instance.notes.clone_from(&blueprint.notes);
        instance.parameters.clone_from(&blueprint.parameters);
        instance.routes.clone_from(&blueprint.routes);
        instance.bookmarks.clone_from(&blueprint.bookmarks);
        instance.subgraphs.clone_from(&blueprint.subgraphs);
    }
    let files = BlueprintFiles(core::mem::take(&mut checked.files));
    if world.get::<BlueprintFiles>(root).map_or(!files.0.is_empty(), |present| *present != files) {
        world.entity_mut(root).insert(files);
    }
    apply_graph(world, root, blueprint, checked, &registry);
    Ok(problems)
}

/// Brings the nodes and links below `root`, a blueprint's root or a subgraph, in line with a graph without errors. Returns the
/// nodes in the graph's order.
fn apply_graph(
    world: &mut World,
    root: Entity,
    blueprint: &Blueprint,
    checked: Checked,
    registry: &TypeRegistry,
) -> Vec<Option<Entity>> {
    let mut present: HashMap<String, Entity> =
        children(world, root).into_iter().filter_map(|node| Some((world.get::<Name>(node)?.to_string(), node))).collect();
    let mut entities = Vec::with_capacity(checked.nodes.len());
    for (node, checked) in blueprint.nodes.iter().zip(checked.nodes) {
        let before = present.remove(&node.name);
        let entity = apply_node(world, root, before, node, checked, registry);
        entities.push(entity);
    }
    for gone in present.into_values() {
        world.despawn(gone);
    }
    let pins: Vec<PinTable> = entities.iter().map(|entity| PinTable::of(world, *entity)).collect();
    let mut wanted: EntityHashMap<(Entity, Conversion)> = EntityHashMap::default();
    for link in checked.links {
        let output = pins[link.from.0].pin(PinDirection::Output, &link.from.1);
        let input = pins[link.to.0].pin(PinDirection::Input, &link.to.1);
        if let (Some(output), Some(input)) = (output, input) {
            wanted.insert(input, (output, link.conversion));
        }
    }
    for &(_, input, direction) in pins.iter().flat_map(|table| &table.0) {
        if direction != PinDirection::Input {
            continue;
        }
        let is = world.get::<FedBy>(input).map(|link| link.0);
        match wanted.remove(&input) {
            Some((output, conversion)) if is != Some(output) => drop(world.entity_mut(input).insert((FedBy(output), conversion))),
            None if is.is_some() => drop(world.entity_mut(input).remove::<(FedBy, Conversion)>()),
            _ => {}
        }
    }
    entities
}

/// Makes a node, or changes the one there was. None if its kind cannot be put on an entity.
fn apply_node(
    world: &mut World,
    root: Entity,
    before: Option<Entity>,
    node: &BlueprintNode,
    checked: CheckedNode,
    registry: &TypeRegistry,
) -> Option<Entity> {
    let entity = match (checked.kind, checked.settings) {
        (Some(kind), Some(settings)) => {
            let component = kind.registration.data::<ReflectComponent>()?;
            let old = before.filter(|entity| component.contains(world.entity(*entity)));
            let unchanged = old.is_some_and(|entity| {
                let value = component.reflect(world.entity(entity));
                value.is_some_and(|value| value.reflect_partial_eq(settings.as_partial_reflect()) == Some(true))
            });
            let entity = old.unwrap_or_else(|| replace(world, root, before, &node.name));
            if !unchanged {
                component.insert(&mut world.entity_mut(entity), settings.as_partial_reflect(), registry);
            }
            if !(node.exposed.is_empty() && node.drivers.is_empty()) {
                world.entity_mut(entity).insert(RestingSettings(settings.into()));
            }
            entity
        }
        _ => {
            let placeholder = Placeholder { kind: node.kind.clone(), settings: node.settings.clone() };
            let old = before.filter(|entity| world.get::<Placeholder>(*entity).is_some());
            let entity = old.unwrap_or_else(|| replace(world, root, before, &node.name));
            world.entity_mut(entity).insert((placeholder, NodeName(node.kind.clone().into()), NodeStatus::default()));
            entity
        }
    };
    let driven = world.get::<Drivers>(entity);
    if driven.is_some_and(|driven| *driven != checked.drivers) || (driven.is_none() && !node.drivers.is_empty()) {
        world.entity_mut(entity).insert(checked.drivers);
    }
    let exposed = ExposedSettings(node.exposed.iter().map(|exposed| exposed.path.clone()).collect());
    if world.get::<ExposedSettings>(entity).map_or(!exposed.0.is_empty(), |present| *present != exposed) {
        world.entity_mut(entity).insert(exposed);
    }
    let extra = ExtraPins(checked.extra);
    if world.get::<ExtraPins>(entity).map_or(!extra.0.is_empty(), |present| *present != extra) {
        world.entity_mut(entity).insert(extra);
    }
    set_pins(world, entity, checked.pins);
    take_part(world, entity, node);
    if world.get::<Subgraph>(entity).is_some() {
        apply_contents(world, entity, node, checked.contents, registry);
    }
    Some(entity)
}

/// Makes what lies in a subgraph, and leads its pins to the pins of the node.
fn apply_contents(
    world: &mut World,
    subgraph: Entity,
    node: &BlueprintNode,
    contents: Option<Box<Contents>>,
    registry: &TypeRegistry,
) {
    let values = SubgraphValues(node.values.clone());
    let made_from = MadeFrom(world.get::<Subgraph>(subgraph).cloned().unwrap_or_default(), values.clone());
    world.entity_mut(subgraph).insert((values, made_from));
    let Contents { graph, checked, interface } = contents.map_or_else(Contents::default, |contents| *contents);
    let inner = apply_graph(world, subgraph, &graph, checked, registry);
    let outside = PinTable::of(world, Some(subgraph));
    for (spec, place) in interface {
        let inside = PinTable::of(world, inner[place]);
        let (delivering, fed) = match spec.direction {
            PinDirection::Input => {
                (inside.pin(PinDirection::Output, INTERFACE_PIN), outside.pin(PinDirection::Input, &spec.name))
            }
            PinDirection::Output => {
                (outside.pin(PinDirection::Output, &spec.name), inside.pin(PinDirection::Input, INTERFACE_PIN))
            }
        };
        if let (Some(delivering), Some(fed)) = (delivering, fed)
            && world.get::<Delivers>(delivering) != Some(&Delivers(fed))
        {
            world.entity_mut(delivering).insert(Delivers(fed));
        }
    }
}

/// The nodes of a blueprint.
pub fn children(world: &World, root: Entity) -> Vec<Entity> {
    world.get::<BlueprintNodes>(root).map(|nodes| nodes.iter().collect()).unwrap_or_default()
}

/// The nodes of a blueprint with those in its subgraphs, each subgraph before what lies in it.
pub fn descendants(world: &World, root: Entity) -> Vec<Entity> {
    let mut found = Vec::new();
    let mut open = children(world, root);
    open.reverse();
    while let Some(node) = open.pop() {
        found.push(node);
        open.extend(children(world, node).into_iter().rev());
    }
    found
}

/// The node of a blueprint with this name; what lies in a subgraph is `subgraph/node`.
pub fn node_named(world: &World, root: Entity, name: &str) -> Option<Entity> {
    name.split('/').try_fold(root, |root, name| {
        children(world, root).into_iter().find(|node| world.get::<Name>(*node).is_some_and(|of_node| of_node.as_str() == name))
    })
}

fn replace(world: &mut World, root: Entity, old: Option<Entity>, name: &str) -> Entity {
    if let Some(old) = old {
        world.despawn(old);
    }
    world.spawn((Name::new(name.to_owned()), InBlueprint(root))).id()
}

/// Sets how a node takes part, touching only what differs.
fn take_part(world: &mut World, entity: Entity, node: &BlueprintNode) {
    let mut entity = world.entity_mut(entity);
    entity.insert(CanvasPosition(node.at));
    match (node.bypass, entity.contains::<Bypass>()) {
        (true, false) => drop(entity.insert(Bypass)),
        (false, true) => drop(entity.remove::<Bypass>()),
        _ => {}
    }
    match (node.freeze, entity.contains::<Freeze>()) {
        (true, false) => drop(entity.insert(Freeze)),
        (false, true) => drop(entity.remove::<Freeze>()),
        _ => {}
    }
    if entity.get::<JoinPolicy>().copied().unwrap_or_default() != node.join {
        entity.insert(node.join);
    }
}

/// A node's pins by name.
struct PinTable(Vec<(String, Entity, PinDirection)>);

impl PinTable {
    fn of(world: &World, node: Option<Entity>) -> Self {
        let pins = node.and_then(|node| world.get::<Pins>(node)).into_iter().flat_map(|pins| pins.iter());
        Self(pins.filter_map(|pin| world.get::<Pin>(pin).map(|it| (it.name.to_string(), pin, it.direction))).collect())
    }

    fn pin(&self, direction: PinDirection, name: &str) -> Option<Entity> {
        self.0.iter().find(|(of_pin, _, way)| *way == direction && of_pin == name).map(|(_, pin, _)| *pin)
    }
}
