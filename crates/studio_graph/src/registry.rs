//! The registry of node kinds: registering a reflected component as a node is all it takes for the node to exist.

use crate::{
    pin::{Pin, PinOf, PinSpec, Pins},
    status::NodeStatus,
};
use bevy::{
    prelude::*,
    reflect::{FromType, GetTypeRegistration},
};

/// A kind of node. The component's reflected fields are the node's settings.
pub trait NodeKind: Component + Reflect + TypePath + GetTypeRegistration + Default {
    /// Name shown to people.
    const DISPLAY_NAME: &'static str;
    /// Where palettes list the kind.
    const CATEGORY: &'static str;

    /// The pins of a node with these settings. When settings change, pins that stay keep their links.
    fn pins(&self) -> Vec<PinSpec>;
}

/// Type data that marks a registered component as a node kind.
#[derive(Clone)]
pub struct ReflectNode {
    /// Name shown to people.
    pub display_name: &'static str,
    /// Where palettes list the kind.
    pub category: &'static str,
    /// The pins of a node with default settings.
    pub default_pins: fn() -> Vec<PinSpec>,
}

impl<K: NodeKind> FromType<K> for ReflectNode {
    fn from_type() -> Self {
        Self { display_name: K::DISPLAY_NAME, category: K::CATEGORY, default_pins: || K::default().pins() }
    }
}

/// Tells what kind of node an entity is, for messages and displays.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeName(pub &'static str);

/// Registers node kinds.
pub trait AppNodeExt {
    /// Makes `K` a node kind: entities that get the component get its pins and a [`NodeStatus`].
    fn register_node<K: NodeKind>(&mut self) -> &mut Self;
}

impl AppNodeExt for App {
    fn register_node<K: NodeKind>(&mut self) -> &mut Self {
        self.register_type::<K>().register_type_data::<K, ReflectNode>().add_observer(set_up_node::<K>).add_systems(
            Update,
            sync_pins::<K>.before(crate::compile::compile_graph).in_set(crate::schedule::StudioSystems::Compile),
        )
    }
}

/// Gives a new node its pins at once, so that it can be connected in the same breath.
fn set_up_node<K: NodeKind>(added: On<Add, K>, nodes: Query<(&K, Has<NodeStatus>)>, mut commands: Commands) {
    let Ok((kind, has_status)) = nodes.get(added.entity) else { return };
    let mut node = commands.entity(added.entity);
    node.insert_if_new(NodeName(K::DISPLAY_NAME));
    if !has_status {
        node.insert(NodeStatus::default());
    }
    for spec in kind.pins() {
        spawn_pin(&mut commands, added.entity, spec);
    }
}

fn spawn_pin(commands: &mut Commands, node: Entity, spec: PinSpec) {
    let PinSpec { name, direction, data_type } = spec;
    commands.spawn((Pin { name, direction, data_type }, PinOf(node)));
}

/// Adds and removes pins when a node's settings change which it has.
fn sync_pins<K: NodeKind>(nodes: Query<(Entity, &K, Option<&Pins>), Changed<K>>, pins: Query<&Pin>, mut commands: Commands) {
    for (node, kind, present) in &nodes {
        let wanted = kind.pins();
        let present: Vec<(Entity, &Pin)> =
            present.into_iter().flat_map(|list| list.iter()).filter_map(|pin| Some((pin, pins.get(pin).ok()?))).collect();
        let same = |pin: &Pin, spec: &PinSpec| {
            pin.name == spec.name && pin.direction == spec.direction && pin.data_type == spec.data_type
        };
        for (entity, pin) in &present {
            if !wanted.iter().any(|spec| same(pin, spec)) {
                commands.entity(*entity).despawn();
            }
        }
        for spec in wanted {
            if !present.iter().any(|(_, pin)| same(pin, &spec)) {
                spawn_pin(&mut commands, node, spec);
            }
        }
    }
}
