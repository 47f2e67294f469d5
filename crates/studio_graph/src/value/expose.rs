//! Settings that have a pin, so that links feed them.

use super::{PinValue, Value, cpu::Input};
use crate::{
    blueprint::{
        settings::{number, range},
        target::{is_subgraph, setting_at},
    },
    data_type::{DataType, DataTypes},
    driver::{Drivers, set_number, stored},
    pin::{ExtraPins, FedBy, Pin, PinDirection, PinSpec, Pins},
    registry::{KindEntry, kinds},
};
use bevy::{
    ecs::reflect::ReflectComponent,
    prelude::*,
    reflect::{GetPath, ParsedPath, TypeRegistry},
};
use core::any::TypeId;
use std::sync::Arc;

/// The settings of a node that have an input pin of the same name: `field`, or `field.part`. What is linked to it sets them,
/// within their ranges.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExposedSettings(pub Vec<String>);

/// Why a setting cannot have a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExposeError {
    /// The kind has no such setting.
    #[error("{0}")]
    NoSetting(String),
    /// No wire carries values of the setting's type.
    #[error("{kind}'s setting “{path}” is a {is}; a pin takes numbers, switches, words, vectors and colours")]
    NoWire {
        /// The kind.
        kind: String,
        /// The setting.
        path: String,
        /// Its type.
        is: String,
    },
    /// The kind has an input of that name.
    #[error("{kind} has an input “{path}” already")]
    Taken {
        /// The kind.
        kind: String,
        /// The setting.
        path: String,
    },
    /// It was named before.
    #[error("the setting “{0}” is exposed twice: keep one")]
    Twice(String),
    /// What lies in a subgraph is fed through its interface.
    #[error("a subgraph's own settings have no pins: link to a SubgraphInput in its graph")]
    Subgraph,
}

/// The type of what a setting takes from a wire.
fn wire_type(of: TypeId) -> Option<DataType> {
    let is = |types: &[TypeId]| types.contains(&of);
    macro_rules! ids { ($($of:ty),*) => { &[$(TypeId::of::<$of>()),*] }; }
    if is(ids!(f32, f64, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize)) {
        Some(DataType::SCALAR)
    } else if is(ids!(bool)) {
        Some(DataType::BOOLEAN)
    } else if is(ids!(String)) {
        Some(DataType::STRING)
    } else if is(ids!(Vec2, Vec3, Vec4, UVec2, UVec3, IVec2, IVec3)) {
        Some(DataType::VECTOR)
    } else if is(ids!(Color, LinearRgba, Srgba)) {
        Some(DataType::COLOR)
    } else {
        None
    }
}

fn exposed_pin(registry: &TypeRegistry, kind: KindEntry, path: &str) -> Result<PinSpec, ExposeError> {
    if is_subgraph(kind) {
        return Err(ExposeError::Subgraph);
    }
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    let field = setting_at(registry, kind, &parts).map_err(ExposeError::NoSetting)?;
    let (kind, path) = (kind.name.to_owned(), path.to_owned());
    let Some(field) = field else { return Err(ExposeError::NoWire { kind, path, is: "type that is not registered".to_owned() }) };
    match wire_type(field.info.type_id()) {
        Some(data_type) => Ok(PinSpec::input(path, data_type)),
        None => Err(ExposeError::NoWire { kind, path, is: field.info.type_path_table().short_path().to_owned() }),
    }
}

/// The pins of exposed settings beside those of the kind, and what is wrong with the others.
pub(crate) fn exposed_pins<'p>(
    registry: &TypeRegistry,
    kind: KindEntry,
    present: &[PinSpec],
    paths: impl Iterator<Item = &'p str>,
) -> (Vec<PinSpec>, Vec<(usize, ExposeError)>) {
    let (mut pins, mut faults): (Vec<PinSpec>, _) = (Vec::new(), Vec::new());
    for (place, path) in paths.enumerate() {
        let is_there = |pins: &[PinSpec]| pins.iter().any(|pin| pin.direction == PinDirection::Input && pin.name == path);
        match exposed_pin(registry, kind, path) {
            Ok(_) if is_there(&pins) => faults.push((place, ExposeError::Twice(path.to_owned()))),
            Ok(_) if is_there(present) => {
                faults.push((place, ExposeError::Taken { kind: kind.name.to_owned(), path: path.to_owned() }));
            }
            Ok(pin) => pins.push(pin),
            Err(error) => faults.push((place, error)),
        }
    }
    (pins, faults)
}

/// Gives nodes whose exposed settings changed their pins.
pub(crate) fn sync_exposed(world: &mut World, changed: &mut QueryState<Entity, Changed<ExposedSettings>>) {
    let changed: Vec<Entity> = changed.iter(world).collect();
    if changed.is_empty() {
        return;
    }
    let registry = world.resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    for node in changed {
        let Some((kind, settings)) = kind_of(world, &registry, node) else { continue };
        let present = kind.node.pins(settings).unwrap_or_default();
        let exposed = world.get::<ExposedSettings>(node).cloned().unwrap_or_default();
        let (pins, faults) = exposed_pins(&registry, kind, &present, exposed.0.iter().map(String::as_str));
        for (_, fault) in faults {
            warn!("{}: {fault}", crate::link::node_label(world, node));
        }
        if !is_subgraph(kind) && world.get::<ExtraPins>(node).is_none_or(|extra| extra.0 != pins) {
            world.entity_mut(node).insert(ExtraPins(pins));
        }
    }
}

fn kind_of<'a, 'w>(world: &'w World, registry: &'a TypeRegistry, node: Entity) -> Option<(KindEntry<'a>, &'w dyn Reflect)> {
    let entity = world.get_entity(node).ok()?;
    kinds(registry).into_iter().find_map(|kind| {
        let settings = kind.registration.data::<ReflectComponent>()?.reflect(entity)?;
        Some((kind, settings))
    })
}

/// A setting that a link feeds.
pub(super) struct Feed {
    pub(super) node: Entity,
    input: (PinValue, DataType, DataType),
    path: ParsedPath,
    range: Option<(f64, f64)>,
    component: ReflectComponent,
}

/// The settings of a node that are fed by something that has a value.
pub(super) fn feeds_of(world: &World, node: Entity, inputs: &[Input]) -> Vec<Feed> {
    let Some(exposed) = world.get::<ExposedSettings>(node) else { return Vec::new() };
    let registry = world.resource::<AppTypeRegistry>().read();
    let Some((kind, _)) = kind_of(world, &registry, node) else { return Vec::new() };
    let feed = |path: &String| {
        let input = inputs.iter().find(|input| input.name == path.as_str())?;
        let (source, from) = input.source.clone()?;
        let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
        let field = setting_at(&registry, kind, &parts).ok()??;
        Some(Feed {
            node,
            input: (source, from, input.data_type.clone()),
            path: ParsedPath::parse(path).ok()?,
            range: range(field.field.custom_attributes()),
            component: kind.registration.data::<ReflectComponent>()?.clone(),
        })
    };
    exposed.0.iter().filter_map(feed).collect()
}

impl Feed {
    /// Gives the setting the value on the wire. Returns whether that changed it; what is equal is not touched.
    pub(super) fn apply(&self, world: &mut World, types: &DataTypes) -> bool {
        let (source, from, to) = &self.input;
        let Some(value) = source.get().and_then(|value| types.convert(value, from, to)) else { return false };
        let Ok(mut entity) = world.get_entity_mut(self.node) else { return false };
        let differs = {
            let settings = self.component.reflect(entity.as_readonly());
            let slot = settings.and_then(|settings| settings.reflect_path(&self.path).ok());
            slot.is_some_and(|slot| self.wanted(slot, &value).is_some())
        };
        if !differs {
            return false;
        }
        let Some(mut settings) = self.component.reflect_mut(&mut entity) else { return false };
        let Ok(slot) = settings.reflect_path_mut(&self.path) else { return false };
        let Some(wanted) = self.wanted(slot, &value) else { return false };
        match wanted {
            Wanted::Number(number) => set_number(slot, number),
            Wanted::Whole(whole) => return slot.try_apply(&*whole).is_ok(),
        }
        true
    }

    /// What a slot is to become; none if it is that already, or cannot be.
    fn wanted(&self, slot: &dyn PartialReflect, value: &Value) -> Option<Wanted> {
        let within = |number: f64| self.range.map_or(number, |(low, high)| number.clamp(low, high));
        if let (Some(is), Value::Scalar(wanted)) = (number(slot), value) {
            let wanted = Some(*wanted).filter(|wanted| wanted.is_finite()).map(within)?;
            return (is != stored(slot, wanted)).then_some(Wanted::Number(wanted));
        }
        let whole: Box<dyn PartialReflect> = match value {
            Value::Boolean(switch) => Box::new(*switch),
            Value::String(words) => Box::new(words.to_string()),
            Value::Vector(vector) if vector.is_finite() => {
                let vector = Vec4::from_array(vector.to_array().map(|part| within(f64::from(part)) as f32));
                vector_for(slot, vector)?
            }
            Value::Color(color) => color_for(slot, *color)?,
            _ => return None,
        };
        (slot.reflect_partial_eq(&*whole) == Some(false)).then_some(Wanted::Whole(whole))
    }
}

enum Wanted {
    Number(f64),
    Whole(Box<dyn PartialReflect>),
}

fn vector_for(slot: &dyn PartialReflect, vector: Vec4) -> Option<Box<dyn PartialReflect>> {
    macro_rules! first_of {
        ($($kind:ty => $value:expr),*) => { $(if slot.try_downcast_ref::<$kind>().is_some() { return Some(Box::new($value)); })* };
    }
    let (flat, deep, rounded) = (vector.xy(), vector.xyz(), vector.round());
    first_of!(
        Vec2 => flat, Vec3 => deep, Vec4 => vector,
        UVec2 => rounded.xy().as_uvec2(), UVec3 => rounded.xyz().as_uvec3(),
        IVec2 => rounded.xy().as_ivec2(), IVec3 => rounded.xyz().as_ivec3()
    );
    None
}

fn color_for(slot: &dyn PartialReflect, color: LinearRgba) -> Option<Box<dyn PartialReflect>> {
    if slot.try_downcast_ref::<LinearRgba>().is_some() {
        Some(Box::new(color))
    } else if slot.try_downcast_ref::<Srgba>().is_some() {
        Some(Box::new(Srgba::from(color)))
    } else if slot.try_downcast_ref::<Color>().is_some() {
        Some(Box::new(Color::LinearRgba(color)))
    } else {
        None
    }
}

/// On a node: its settings as the file has them, while links and drivers move some of them.
#[derive(Component, Clone)]
pub(crate) struct RestingSettings(pub(crate) Arc<dyn Reflect>);

/// The settings of a node as a file should have them: what links and drivers move is as it was before they did.
pub(crate) fn without_fed(world: &World, node: Entity, settings: &dyn Reflect) -> Option<Box<dyn Reflect>> {
    let resting = &*world.get::<RestingSettings>(node)?.0;
    let pins = world.get::<Pins>(node).into_iter().flat_map(|pins| pins.iter());
    let linked: Vec<&Pin> = pins.filter(|pin| world.get::<FedBy>(*pin).is_some()).filter_map(|pin| world.get(pin)).collect();
    let exposed = world.get::<ExposedSettings>(node).into_iter().flat_map(|exposed| &exposed.0).map(String::as_str);
    let fed = exposed.filter(|path| linked.iter().any(|pin| pin.name == *path));
    let driven = world.get::<Drivers>(node).into_iter().flat_map(Drivers::iter).map(|(path, _)| path);
    let mut settings = settings.reflect_clone().ok()?;
    for path in fed.chain(driven) {
        if let (Ok(slot), Ok(before)) = (settings.reflect_path_mut(path), resting.reflect_path(path)) {
            slot.try_apply(before).ok()?;
        }
    }
    Some(settings)
}
