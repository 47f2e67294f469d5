//! From a blueprint to entities, and from a changed blueprint to changed entities.

use super::{
    Blueprint, BlueprintBookmark, BlueprintNode, BlueprintNote, BlueprintParameter, BlueprintRoute, Setting,
    asset::BlueprintFolder,
    check::{Checked, examine},
    problem::{Problem, has_errors},
};
use crate::{
    data_type::{Conversion, DataTypes},
    driver::Drivers,
    flow::{Bypass, Freeze, JoinPolicy},
    pin::{FedBy, Pin, PinDirection, Pins},
    registry::{NodeName, set_pins},
    status::NodeStatus,
};
use bevy::{
    asset::LoadFromPath,
    ecs::{entity::EntityHashMap, reflect::ReflectComponent},
    platform::collections::HashMap,
    prelude::*,
};
use core::any::TypeId;
use std::path::{Path, PathBuf};

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
}

/// The blueprint that a node belongs to.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = BlueprintNodes)]
pub struct InBlueprint(pub Entity);

/// The nodes of a blueprint, in its order.
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
    let elsewhere = base.as_deref().filter(|base| folder.as_deref() != Some(*base) && folder.is_some());
    let mut load = |type_id: TypeId, path: String| match &mut assets {
        Some(assets) => {
            let own = elsewhere.filter(|_| !path.contains("://") && Path::new(&path).is_relative());
            let path = own.map_or(path.clone(), |base| base.join(&path).display().to_string());
            assets.load_from_path_erased(type_id, path.into())
        }
        None => super::settings::no_assets(type_id, path),
    };
    let Checked { nodes, links, problems } = examine(blueprint, &registry, &types, base.as_deref(), &mut load);
    if has_errors(&problems) {
        return Err(problems);
    }
    if let Some(mut instance) = world.get_mut::<BlueprintInstance>(root) {
        instance.name.clone_from(&blueprint.name);
        instance.notes.clone_from(&blueprint.notes);
        instance.parameters.clone_from(&blueprint.parameters);
        instance.routes.clone_from(&blueprint.routes);
        instance.bookmarks.clone_from(&blueprint.bookmarks);
    }
    let mut present: HashMap<String, Entity> =
        children(world, root).into_iter().filter_map(|node| Some((world.get::<Name>(node)?.to_string(), node))).collect();
    let mut entities = Vec::with_capacity(nodes.len());
    for (node, checked) in blueprint.nodes.iter().zip(nodes) {
        let before = present.remove(&node.name);
        let entity = match (checked.kind, checked.settings) {
            (Some(kind), Some(settings)) => {
                let component = kind.registration.data::<ReflectComponent>();
                let Some(component) = component else { continue };
                let old = before.filter(|entity| component.contains(world.entity(*entity)));
                let unchanged = old.is_some_and(|entity| {
                    let value = component.reflect(world.entity(entity));
                    value.is_some_and(|value| value.reflect_partial_eq(settings.as_partial_reflect()) == Some(true))
                });
                let entity = old.unwrap_or_else(|| replace(world, root, before, &node.name));
                if !unchanged {
                    component.insert(&mut world.entity_mut(entity), settings.as_partial_reflect(), &registry);
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
        set_pins(world, entity, checked.pins);
        take_part(world, entity, node);
        entities.push(entity);
    }
    for gone in present.into_values() {
        world.despawn(gone);
    }
    let pins: Vec<PinTable> = entities.iter().map(|entity| PinTable::of(world, *entity)).collect();
    let mut wanted: EntityHashMap<(Entity, Conversion)> = EntityHashMap::default();
    for link in links {
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
    Ok(problems)
}

/// The nodes of a blueprint.
pub fn children(world: &World, root: Entity) -> Vec<Entity> {
    world.get::<BlueprintNodes>(root).map(|nodes| nodes.iter().collect()).unwrap_or_default()
}

/// The node of a blueprint with this name.
pub fn node_named(world: &World, root: Entity, name: &str) -> Option<Entity> {
    children(world, root).into_iter().find(|node| world.get::<Name>(*node).is_some_and(|of_node| of_node.as_str() == name))
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
    fn of(world: &World, node: Entity) -> Self {
        let pins = world.get::<Pins>(node).into_iter().flat_map(|pins| pins.iter());
        Self(pins.filter_map(|pin| world.get::<Pin>(pin).map(|it| (it.name.to_string(), pin, it.direction))).collect())
    }

    fn pin(&self, direction: PinDirection, name: &str) -> Option<Entity> {
        self.0.iter().find(|(of_pin, _, way)| *way == direction && of_pin == name).map(|(_, pin, _)| *pin)
    }
}
