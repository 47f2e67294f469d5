//! Settings that move by themselves: expressions and keyframes on any number of a node.

use crate::{
    blueprint::settings::{number, range},
    clock::StudioTime,
    registry::{KindEntry, kinds},
};
use bevy::{
    ecs::reflect::ReflectComponent,
    prelude::*,
    reflect::{Access, GetPath, ParsedPath, TypeInfo, TypeRegistry},
};
use exmex::{Express, FlatEx};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What gives a number its value at a moment. Time runs with the frames: `t` is the time stamp of the newest frame in seconds,
/// so that an offline run gives the same pictures again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub enum Driver {
    /// A formula of `t`, such as `10 * sin(2 * PI * t / 8)`.
    Expression(String),
    /// Values at moments.
    Keys {
        /// Seconds and values, in the order of time.
        keys: Vec<(f64, f64)>,
        /// What lies between two keys.
        #[serde(default)]
        between: Interpolation,
        /// Whether it begins again after the last key.
        #[serde(default)]
        repeat: bool,
    },
}

/// What lies between two keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interpolation {
    /// A straight line.
    #[default]
    Linear,
    /// Starts and ends softly (smoothstep, 3x² - 2x³).
    Smooth,
    /// The earlier value until the later one.
    Step,
}

/// Why a driver cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The formula is too long.
    #[error("a formula may have {most} letters at most, this one has {0}", most = Driver::MAX_LETTERS)]
    TooLong(usize),
    /// The formula cannot be read.
    #[error("the formula “{formula}” cannot be read: {reason}")]
    Formula {
        /// The formula.
        formula: String,
        /// What the parser says.
        reason: String,
    },
    /// The formula asks for something else than it is given.
    #[error(
        "the formula “{formula}” has the unknown name “{name}”: it may use {known} (t is the time in seconds), and functions such as sin(t)"
    )]
    UnknownName {
        /// The formula.
        formula: String,
        /// The name.
        name: String,
        /// What it may use.
        known: String,
    },
    /// There are no keys, too many, or they are not in order.
    #[error("keys must be 1 to {} finite pairs of seconds and value, in the order of time", Driver::MAX_KEYS)]
    Keys,
    /// The kind has no such number.
    #[error("{kind} has no number “{path}” to be driven")]
    NoNumber {
        /// The kind.
        kind: String,
        /// What was asked for.
        path: String,
    },
}

/// A driver that is ready to be asked.
#[derive(Clone, Debug)]
enum Curve {
    Expression(Arc<FlatEx<f64>>),
    Keys(Vec<(f64, f64)>, Interpolation, bool),
}

impl Driver {
    /// The most letters of a formula.
    pub const MAX_LETTERS: usize = 500;
    /// The most keys.
    pub const MAX_KEYS: usize = 100_000;

    /// The value at a moment in seconds; none if the driver cannot be used, or has no value there.
    pub fn value_at(&self, seconds: f64) -> Option<f64> {
        self.compile().ok()?.at(seconds)
    }

    /// Reads a formula that may use these names.
    pub(crate) fn read_formula(formula: &str, names: &[&str]) -> Result<FlatEx<f64>, DriverError> {
        if formula.len() > Self::MAX_LETTERS {
            return Err(DriverError::TooLong(formula.len()));
        }
        let failed = |error: exmex::ExError| DriverError::Formula { formula: formula.to_owned(), reason: error.msg().to_owned() };
        let expression = FlatEx::<f64>::parse(formula).map_err(failed)?;
        match expression.var_names().iter().find(|name| !names.contains(&name.as_str())) {
            Some(name) => {
                let (formula, name, known) = (formula.to_owned(), name.clone(), names.join(", "));
                Err(DriverError::UnknownName { formula, name, known })
            }
            None => Ok(expression),
        }
    }

    fn compile(&self) -> Result<Curve, DriverError> {
        match self {
            Self::Expression(formula) => Ok(Curve::Expression(Arc::new(Self::read_formula(formula, &["t"])?))),
            Self::Keys { keys, between, repeat } => {
                let finite = keys.iter().all(|(time, value)| time.is_finite() && value.is_finite());
                let ordered = keys.windows(2).all(|pair| pair[0].0 < pair[1].0);
                if keys.is_empty() || keys.len() > Self::MAX_KEYS || !finite || !ordered {
                    return Err(DriverError::Keys);
                }
                Ok(Curve::Keys(keys.clone(), *between, *repeat))
            }
        }
    }
}

impl Curve {
    /// The value at a moment; none where a formula has none (a division by zero).
    fn at(&self, seconds: f64) -> Option<f64> {
        match self {
            Self::Expression(expression) => {
                let value = if expression.var_names().is_empty() { expression.eval(&[]) } else { expression.eval(&[seconds]) };
                value.ok().filter(|value| value.is_finite())
            }
            Self::Keys(keys, between, repeat) => {
                let (first, last) = (keys.first()?, keys.last()?);
                let length = last.0 - first.0;
                let seconds = if *repeat && length > 0.0 { first.0 + (seconds - first.0).rem_euclid(length) } else { seconds };
                let next = keys.partition_point(|(time, _)| *time <= seconds);
                if next == 0 {
                    return Some(first.1);
                }
                let before = keys[next - 1];
                let Some(after) = keys.get(next) else { return Some(last.1) };
                let share = (seconds - before.0) / (after.0 - before.0);
                let share = match between {
                    Interpolation::Linear => share,
                    Interpolation::Smooth => share * share * (3.0 - 2.0 * share),
                    Interpolation::Step => 0.0,
                };
                Some(before.1 + (after.1 - before.1) * share)
            }
        }
    }
}

/// One driven setting.
#[derive(Clone, Debug)]
struct Driven {
    path: String,
    driver: Driver,
    curve: Curve,
    range: Option<(f64, f64)>,
}

/// The driven settings of a node.
#[derive(Component, Clone, Debug, Default)]
pub struct Drivers(Vec<Driven>);

impl PartialEq for Drivers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Drivers {
    /// Has a number of a node driven: `field`, `field.part`, `list[2].part`. Replaces the driver it had.
    ///
    /// # Errors
    /// [`DriverError`] if the driver cannot be used or there is no such number among the node's `settings`.
    pub fn set(
        &mut self,
        registry: &TypeRegistry,
        kind: KindEntry,
        settings: &dyn Reflect,
        path: &str,
        driver: Driver,
    ) -> Result<(), DriverError> {
        if settings.reflect_path(path).ok().and_then(number).is_none() {
            return Err(DriverError::NoNumber { kind: kind.name.to_owned(), path: path.to_owned() });
        }
        let range = range_at(registry, kind, path);
        let curve = driver.compile()?;
        self.0.retain(|driven| driven.path != path);
        self.0.push(Driven { path: path.to_owned(), driver, curve, range });
        Ok(())
    }

    /// The driven settings with their drivers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Driver)> {
        self.0.iter().map(|driven| (driven.path.as_str(), &driven.driver))
    }
}

/// The range of a number of a kind, if one is declared where it lies.
fn range_at(registry: &TypeRegistry, kind: KindEntry, path: &str) -> Option<(f64, f64)> {
    let mut info = kind.registration.type_info();
    let mut allowed = None;
    for step in ParsedPath::parse(path).ok()?.0 {
        info = match (step.access, info) {
            (Access::Field(name), TypeInfo::Struct(shape)) => {
                let field = shape.field(&name)?;
                allowed = range(field.custom_attributes());
                registry.get_type_info(field.type_id())?
            }
            (Access::ListIndex(_), TypeInfo::List(list)) => registry.get_type_info(list.item_ty().id())?,
            (Access::ListIndex(_), TypeInfo::Array(array)) => registry.get_type_info(array.item_ty().id())?,
            _ => return None,
        };
    }
    allowed
}

/// Gives driven settings their values of this moment. Only what changes is touched.
pub(crate) fn drive_settings(world: &mut World, mut nodes: Local<Option<QueryState<(Entity, &'static Drivers)>>>) {
    let nodes = nodes.get_or_insert_with(|| QueryState::new(world));
    let driven: Vec<(Entity, Drivers)> = nodes.iter(world).map(|(node, drivers)| (node, drivers.clone())).collect();
    if driven.is_empty() {
        return;
    }
    let seconds = world.resource::<StudioTime>().seconds();
    let registry = world.resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    let components: Vec<&ReflectComponent> =
        kinds(&registry).iter().filter_map(|kind| kind.registration.data::<ReflectComponent>()).collect();
    for (node, drivers) in driven {
        let Some(component) = components.iter().find(|component| component.contains(world.entity(node))) else { continue };
        let changes: Vec<(&str, f64)> = {
            let Some(settings) = component.reflect(world.entity(node)) else { continue };
            let wanted = |driven: &'_ Driven| {
                let value = driven.curve.at(seconds)?;
                Some(driven.range.map_or(value, |(low, high)| value.clamp(low, high)))
            };
            let differs = |path: &str, wanted: f64| {
                let slot = settings.reflect_path(path).ok();
                slot.and_then(|slot| Some(number(slot)? != stored(slot, wanted))).unwrap_or_default()
            };
            drivers
                .0
                .iter()
                .filter_map(|driven| Some((driven.path.as_str(), wanted(driven)?)))
                .filter(|(path, value)| differs(path, *value))
                .collect()
        };
        if changes.is_empty() {
            continue;
        }
        let Ok(mut entity) = world.get_entity_mut(node) else { continue };
        let Some(mut settings) = component.reflect_mut(&mut entity) else { continue };
        for (path, value) in changes {
            if let Ok(slot) = settings.reflect_path_mut(path) {
                set_number(slot, value);
            }
        }
    }
}

/// A value as a slot of this type would keep it.
pub(crate) fn stored(slot: &dyn PartialReflect, value: f64) -> f64 {
    if slot.try_downcast_ref::<f64>().is_some() {
        value
    } else if slot.try_downcast_ref::<f32>().is_some() {
        // As `number` reads it back.
        (value as f32).to_string().parse().unwrap_or(value)
    } else {
        value.round()
    }
}

pub(crate) fn set_number(slot: &mut dyn PartialReflect, value: f64) {
    macro_rules! first_of {
        ($($float:ty),*; $($integer:ty),*) => {
            $(if let Some(slot) = slot.try_downcast_mut::<$float>() { *slot = value as $float; return; })*
            $(if let Some(slot) = slot.try_downcast_mut::<$integer>() { *slot = value.round() as $integer; return; })*
        };
    }
    first_of!(f32, f64; u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
}
