//! Values on wires: numbers, vectors, colours, switches, words, and what plugins bring; nodes that work on the CPU; settings
//! that links feed.

mod cpu;
mod expose;
mod nodes;
mod plan;

pub use cpu::{AppCpuNodeExt, CpuNodeError, CpuRun};
pub use expose::{ExposeError, ExposedSettings};
pub use nodes::{BooleanValue, Clock, ColorValue, Math, Number, Oscillator, StringValue, VectorValue, Wave};

#[cfg(test)]
mod tests;

pub(crate) use expose::{RestingSettings, exposed_pins, sync_exposed, without_fed};

use crate::{
    data_type::DataType,
    pin::{PassThrough, Pin, PinDirection, Pins},
    schedule::StudioSystems,
};
use bevy::prelude::*;
use core::any::Any;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// What flows through a pin that is no picture, sound or stream.
#[derive(Clone)]
pub enum Value {
    /// A number; [`DataType::SCALAR`].
    Scalar(f64),
    /// Two to four numbers, 0 where there are fewer; [`DataType::VECTOR`].
    Vector(Vec4),
    /// A linear colour; [`DataType::COLOR`].
    Color(LinearRgba),
    /// Yes or no; [`DataType::BOOLEAN`].
    Boolean(bool),
    /// Words; [`DataType::STRING`].
    String(Arc<str>),
    /// Anything else that nodes on the CPU hand on, shared and not copied.
    Data(Arc<dyn Any + Send + Sync>),
}

impl Value {
    /// Wraps data of a type of its own.
    pub fn data<T: Send + Sync + 'static>(data: T) -> Self {
        Self::Data(Arc::new(data))
    }

    /// The data, if it is of this type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        match self {
            Self::Data(data) => data.clone().downcast().ok(),
            _ => None,
        }
    }

    /// The number, if it is one.
    pub fn scalar(&self) -> Option<f64> {
        match self {
            Self::Scalar(number) => Some(*number),
            _ => None,
        }
    }
}

/// Numbers are equal by their bits, so that a value which is not a number does not seem to change all the time; data only if it
/// is the very same.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Scalar(one), Self::Scalar(two)) => one.to_bits() == two.to_bits(),
            (Self::Vector(one), Self::Vector(two)) => one.to_array().map(f32::to_bits) == two.to_array().map(f32::to_bits),
            (Self::Color(one), Self::Color(two)) => one.to_f32_array().map(f32::to_bits) == two.to_f32_array().map(f32::to_bits),
            (Self::Boolean(one), Self::Boolean(two)) => one == two,
            (Self::String(one), Self::String(two)) => one == two,
            (Self::Data(one), Self::Data(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl core::fmt::Debug for Value {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Scalar(number) => write!(formatter, "{number}"),
            Self::Vector(vector) => write!(formatter, "{vector}"),
            Self::Color(color) => write!(formatter, "{color:?}"),
            Self::Boolean(switch) => write!(formatter, "{switch}"),
            Self::String(words) => write!(formatter, "{words:?}"),
            Self::Data(_) => formatter.write_str("data"),
        }
    }
}

/// How a value becomes one of another type; none if it is not of the type that it should be.
pub type ConvertValue = fn(&Value) -> Option<Value>;

/// What becomes of values under the conversions that every table has.
pub(crate) const CONVERSIONS: [(DataType, DataType, &str, ConvertValue); 4] = [
    (DataType::SCALAR, DataType::VECTOR, "the number in every component", |value| match value {
        Value::Scalar(number) => Some(Value::Vector(Vec4::splat(*number as f32))),
        _ => None,
    }),
    (DataType::SCALAR, DataType::COLOR, "a grey", |value| match value {
        Value::Scalar(number) => Some(Value::Color(LinearRgba::gray(*number as f32))),
        _ => None,
    }),
    (DataType::BOOLEAN, DataType::SCALAR, "0 or 1", |value| match value {
        Value::Boolean(switch) => Some(Value::Scalar(f64::from(u8::from(*switch)))),
        _ => None,
    }),
    (DataType::COLOR, DataType::VECTOR, "red, green, blue and alpha", |value| match value {
        Value::Color(color) => Some(Value::Vector(color.to_vec4())),
        _ => None,
    }),
];

#[derive(Default)]
struct Slot {
    generation: AtomicU64,
    value: Mutex<Option<Value>>,
}

/// The value on an output pin. Every output of a primitive type has one, and every output of a node that works on the CPU.
/// Clones share it, so that other threads may set it.
#[derive(Component, Clone, Default)]
pub struct PinValue(Arc<Slot>);

impl PinValue {
    /// The value, once there is one.
    pub fn get(&self) -> Option<Value> {
        self.0.value.lock().clone()
    }

    /// Grows whenever the value changes; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// Puts a value on the pin. Returns whether it differs from the one that was there; if not, nobody runs because of it.
    pub fn set(&self, value: Value) -> bool {
        let mut slot = self.0.value.lock();
        if slot.as_ref() == Some(&value) {
            return false;
        }
        *slot = Some(value);
        self.0.generation.fetch_add(1, Ordering::AcqRel);
        true
    }
}

/// Gives outputs of primitive types their component.
fn give_value_to_pin(added: On<Add, Pin>, pins: Query<&Pin>, mut commands: Commands) {
    const PRIMITIVE: [DataType; 5] = [DataType::SCALAR, DataType::VECTOR, DataType::COLOR, DataType::BOOLEAN, DataType::STRING];
    if let Ok(pin) = pins.get(added.entity)
        && pin.direction == PinDirection::Output
        && PRIMITIVE.contains(&pin.data_type)
    {
        commands.entity(added.entity).insert(PinValue::default());
    }
}

/// Whether a node delivers frames of its own accord: its kind has no inputs, and it does not just work on values.
pub fn is_source(world: &World, node: Entity) -> bool {
    let exposed = world.get::<ExposedSettings>(node);
    let is_exposed = |pin: &Pin| exposed.is_some_and(|exposed| exposed.0.iter().any(|path| *path == pin.name));
    let pins = world.get::<Pins>(node).into_iter().flat_map(|pins| pins.iter()).filter_map(|pin| world.get::<Pin>(pin));
    let mut inputs = pins.filter(|pin| pin.direction == PinDirection::Input);
    let works = world.get::<cpu::CpuNode>(node).is_some() || world.get::<PassThrough>(node).is_some();
    !works && inputs.all(is_exposed)
}

pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<cpu::CpuKinds>().init_resource::<plan::ValuePlan>().add_observer(give_value_to_pin).add_systems(
        Update,
        plan::run_values.run_if(plan::has_work).after(crate::driver::drive_settings).in_set(StudioSystems::Collect),
    );
    nodes::register(app);
}
