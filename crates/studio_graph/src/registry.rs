//! The registry of node kinds: registering a reflected component as a node is all it takes for the node to exist.

use crate::{
    pin::{ExtraPins, Pin, PinOf, PinSpec, Pins},
    status::NodeStatus,
};
use bevy::{
    prelude::*,
    reflect::{FromType, GetTypeRegistration, TypeRegistration, TypeRegistry},
};
use std::borrow::Cow;

/// A kind of node. The component's reflected fields are the node's settings.
pub trait NodeKind: Component + Reflect + TypePath + GetTypeRegistration + Default {
    /// Name shown to people.
    const DISPLAY_NAME: &'static str;
    /// Where palettes list the kind.
    const CATEGORY: &'static str;

    /// The pins of a node with these settings. When settings change, pins that stay keep their links.
    fn pins(&self) -> Vec<PinSpec>;

    /// Says what is wrong with settings that their types and ranges allow, such as a formula that cannot be read; a blueprint
    /// with such a node is refused with these words.
    ///
    /// # Errors
    /// What is wrong, for people.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Type data that marks a registered component as a node kind.
#[derive(Clone)]
pub struct ReflectNode {
    /// Name shown to people.
    pub display_name: &'static str,
    /// Where palettes list the kind.
    pub category: &'static str,
    pins: fn(&dyn Reflect) -> Option<Vec<PinSpec>>,
    check: fn(&dyn Reflect) -> Result<(), String>,
}

impl ReflectNode {
    /// The pins of a node with these settings; none if they are of another kind.
    pub fn pins(&self, settings: &dyn Reflect) -> Option<Vec<PinSpec>> {
        (self.pins)(settings)
    }

    /// Says what is wrong with the settings of a node of this kind beyond their types and ranges.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check(&self, settings: &dyn Reflect) -> Result<(), String> {
        (self.check)(settings)
    }
}

impl<K: NodeKind> FromType<K> for ReflectNode {
    fn from_type() -> Self {
        let pins = |settings: &dyn Reflect| settings.downcast_ref::<K>().map(K::pins);
        let check = |settings: &dyn Reflect| settings.downcast_ref::<K>().map_or(Ok(()), K::check);
        Self { display_name: K::DISPLAY_NAME, category: K::CATEGORY, pins, check }
    }
}

/// Marks a string setting as the path of a file that is read. In a blueprint, a relative one starts at the blueprint's folder.
///
/// ```
/// # use bevy::prelude::*;
/// #[derive(Reflect)]
/// struct Player {
///     #[reflect(@studio_graph::registry::InputPath)]
///     source: String,
/// }
/// ```
#[derive(Reflect, Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPath;

/// A registered kind of node.
#[derive(Clone, Copy)]
pub struct KindEntry<'a> {
    /// The kind's name in files: the component's own name, without its path.
    pub name: &'a str,
    /// What the registry knows of the component.
    pub registration: &'a TypeRegistration,
    /// What the registry knows of it as a node.
    pub node: &'a ReflectNode,
}

impl KindEntry<'_> {
    /// The settings of a fresh node.
    pub fn default_settings(&self) -> Option<Box<dyn Reflect>> {
        Some(self.registration.data::<ReflectDefault>()?.default())
    }

    /// The kind's documentation, as written in its source.
    pub fn docs(&self) -> String {
        trim_docs(self.registration.type_info().docs())
    }

    /// The first sentence of the documentation, without its full stop.
    pub fn summary(&self) -> String {
        let docs = self.docs().replace('\n', " ");
        let first = docs.split(". ").next().unwrap_or_default().split("  ").next().unwrap_or_default();
        first.trim_end_matches('.').to_owned()
    }
}

/// A setting's documentation, as written in its source.
pub fn docs_of(field: &bevy::reflect::NamedField) -> String {
    trim_docs(field.docs())
}

/// Documentation for people: without the blank that starts each line, and with links' words in place of links.
pub(crate) fn trim_docs(docs: Option<&str>) -> String {
    let lines: Vec<&str> = docs.unwrap_or_default().lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    let text = lines.join("\n");
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.trim();
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        let link = after.split_once(']').and_then(|(words, after)| Some((words, after.strip_prefix('(')?.split_once(')')?.1)));
        match link {
            Some((words, after)) => {
                plain.push_str(words);
                rest = after;
            }
            None => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain + rest
}

/// Every registered kind, by name.
pub fn kinds(registry: &TypeRegistry) -> Vec<KindEntry<'_>> {
    let mut kinds: Vec<KindEntry> = registry.iter().filter_map(kind_entry).collect();
    kinds.sort_unstable_by_key(|kind| (kind.name, kind.registration.type_info().type_path()));
    kinds
}

/// The kind of this name, or of this full type path where two crates have kinds of one name. Types of that name that are no
/// kinds of nodes do not matter.
pub fn kind_named<'a>(registry: &'a TypeRegistry, name: &str) -> Option<KindEntry<'a>> {
    let only = registry.get_with_short_type_path(name).or_else(|| registry.get_with_type_path(name));
    if only.is_some() {
        return only.and_then(kind_entry);
    }
    let mut of_name = registry.iter().filter(|of| of.type_info().type_path_table().short_path() == name).filter_map(kind_entry);
    of_name.next().filter(|_| of_name.next().is_none())
}

fn kind_entry(registration: &TypeRegistration) -> Option<KindEntry<'_>> {
    let node = registration.data::<ReflectNode>()?;
    Some(KindEntry { name: registration.type_info().type_path_table().short_path(), registration, node })
}

/// Tells what kind of node an entity is, for messages and displays.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
pub struct NodeName(pub Cow<'static, str>);

/// Registers node kinds.
pub trait AppNodeExt {
    /// Makes `K` a node kind: entities that get the component get its pins and a [`NodeStatus`].
    fn register_node<K: NodeKind>(&mut self) -> &mut Self;
}

impl AppNodeExt for App {
    fn register_node<K: NodeKind>(&mut self) -> &mut Self {
        self.register_type::<K>().register_type_data::<K, ReflectNode>().add_observer(set_up_node::<K>);
        let mut changed: Option<
            QueryState<(Entity, &'static K, Option<&'static ExtraPins>), Or<(Changed<K>, Changed<ExtraPins>)>>,
        > = None;
        let sync = move |world: &mut World| {
            let changed = changed.get_or_insert_with(|| QueryState::new(world));
            let pins = |kind: &K, extra: Option<&ExtraPins>| {
                kind.pins().into_iter().chain(extra.into_iter().flat_map(|extra| extra.0.iter().cloned())).collect()
            };
            let wanted: Vec<(Entity, Vec<PinSpec>)> =
                changed.iter(world).map(|(node, kind, extra)| (node, pins(kind, extra))).collect();
            wanted.into_iter().for_each(|(node, pins)| set_pins(world, node, pins));
        };
        self.world_mut().get_resource_or_init::<PinSyncs>().0.push(Box::new(sync));
        self
    }
}

/// What adds and removes pins when nodes' settings change which they have, for each kind.
#[derive(Resource, Default)]
pub(crate) struct PinSyncs(Vec<Box<dyn FnMut(&mut World) + Send + Sync>>);

/// Brings the pins of nodes whose settings changed up to date.
pub(crate) fn sync_pins(world: &mut World) {
    let mut syncs = world.get_resource_mut::<PinSyncs>().map(|mut syncs| core::mem::take(&mut syncs.0)).unwrap_or_default();
    syncs.iter_mut().for_each(|sync| sync(world));
    if let Some(mut present) = world.get_resource_mut::<PinSyncs>() {
        // A kind that was registered meanwhile comes behind.
        syncs.append(&mut present.0);
        present.0 = syncs;
    }
}

/// Gives a new node its pins at once, so that it can be connected in the same breath.
fn set_up_node<K: NodeKind>(added: On<Add, K>, nodes: Query<(&K, Has<NodeStatus>)>, mut commands: Commands) {
    let Ok((kind, has_status)) = nodes.get(added.entity) else { return };
    let mut node = commands.entity(added.entity);
    node.insert_if_new(NodeName(Cow::Borrowed(K::DISPLAY_NAME)));
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

/// Gives a node exactly these pins, in this order; those that it had keep their links.
pub(crate) fn set_pins(world: &mut World, node: Entity, wanted: Vec<PinSpec>) {
    let present: Vec<(Entity, PinSpec)> = world
        .get::<Pins>(node)
        .into_iter()
        .flat_map(|pins| pins.iter())
        .filter_map(|pin| Some((pin, world.get::<Pin>(pin)?.into())))
        .collect();
    if present.iter().map(|(_, spec)| spec).eq(wanted.iter()) || world.get_entity(node).is_err() {
        return;
    }
    let mut left = present;
    let order: Vec<Entity> = wanted
        .into_iter()
        .map(|spec| match left.iter().position(|(_, present)| *present == spec) {
            Some(place) => left.swap_remove(place).0,
            None => {
                let PinSpec { name, direction, data_type } = spec;
                world.spawn((Pin { name, direction, data_type }, PinOf(node))).id()
            }
        })
        .collect();
    for (gone, _) in left {
        world.despawn(gone);
    }
    world.entity_mut(node).replace_related::<PinOf>(&order);
}
