//! Nodes that make and change values.

use super::{AppCpuNodeExt, CpuRun, Value};
use crate::{
    driver::Driver,
    pin::{DataType, PinSpec},
    registry::{NodeKind, ReflectNode},
};
use bevy::prelude::*;
use core::f64::consts::TAU;
use exmex::{Express, FlatEx};

const CATEGORY: &str = "Values";

/// A number.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Number {
    /// The number.
    pub value: f64,
}

/// Two to four numbers.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct VectorValue {
    /// The numbers; what takes fewer leaves the last ones out.
    pub value: Vec4,
}

/// A colour.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct ColorValue {
    /// The colour, linear.
    pub value: LinearRgba,
}

/// Yes or no.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct BooleanValue {
    /// Which of the two.
    pub value: bool,
}

/// Words.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct StringValue {
    /// The words.
    pub value: String,
}

macro_rules! constant {
    ($kind:ident, $display:literal, $data_type:ident, |$value:ident| $wrapped:expr) => {
        impl NodeKind for $kind {
            const DISPLAY_NAME: &'static str = $display;
            const CATEGORY: &'static str = CATEGORY;
            fn pins(&self) -> Vec<PinSpec> {
                vec![PinSpec::output("value", DataType::$data_type)]
            }
        }

        impl $kind {
            fn run(&self, run: &mut CpuRun) -> Result {
                let $value = &self.value;
                Ok(run.set("value", $wrapped)?)
            }
        }
    };
}

constant!(Number, "Number", SCALAR, |value| Value::Scalar(*value));
constant!(VectorValue, "Vector", VECTOR, |value| Value::Vector(*value));
constant!(ColorValue, "Colour", COLOR, |value| Value::Color(*value));
constant!(BooleanValue, "Yes or no", BOOLEAN, |value| Value::Boolean(*value));
constant!(StringValue, "Words", STRING, |value| Value::String(value.as_str().into()));

/// A formula of up to four numbers and of time, such as `a * sin(2 * PI * t) + b`.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Math {
    /// The formula: `a`, `b`, `c` and `d` are the inputs, `t` the time of the newest frame in seconds.
    pub formula: String,
    /// `a`, where nothing is linked to it.
    pub a_else: f64,
    /// `b`, where nothing is linked to it.
    pub b_else: f64,
    /// `c`, where nothing is linked to it.
    pub c_else: f64,
    /// `d`, where nothing is linked to it.
    pub d_else: f64,
}

impl Default for Math {
    fn default() -> Self {
        Self { formula: "a + b".to_owned(), a_else: 0.0, b_else: 0.0, c_else: 0.0, d_else: 0.0 }
    }
}

impl NodeKind for Math {
    const DISPLAY_NAME: &'static str = "Math";
    const CATEGORY: &'static str = CATEGORY;
    fn pins(&self) -> Vec<PinSpec> {
        let inputs = ["a", "b", "c", "d"].into_iter().map(|name| PinSpec::input(name, DataType::SCALAR));
        inputs.chain([PinSpec::output("value", DataType::SCALAR)]).collect()
    }

    fn check(&self) -> Result<(), String> {
        Driver::read_formula(&self.formula, Self::NAMES).map(drop).map_err(|error| error.to_string())
    }
}

/// A formula that was read, with its text.
type ReadFormula = Option<(String, FlatEx<f64>)>;

impl Math {
    const NAMES: &[&str] = &["a", "b", "c", "d", "t"];

    fn run(&self, run: &mut CpuRun) -> Result {
        let read = run.state::<ReadFormula>().take().filter(|(text, _)| *text == self.formula);
        let (text, formula) = match read {
            Some(read) => read,
            None => (self.formula.clone(), Driver::read_formula(&self.formula, Self::NAMES)?),
        };
        let mut arguments = Vec::with_capacity(Self::NAMES.len());
        for name in formula.var_names() {
            arguments.push(match name.as_str() {
                "a" => run.scalar("a").unwrap_or(self.a_else),
                "b" => run.scalar("b").unwrap_or(self.b_else),
                "c" => run.scalar("c").unwrap_or(self.c_else),
                "d" => run.scalar("d").unwrap_or(self.d_else),
                _ => run.seconds(),
            });
        }
        let value = formula.eval(&arguments).ok().filter(|value| value.is_finite());
        *run.state::<ReadFormula>() = Some((text, formula));
        match value {
            Some(value) => Ok(run.set("value", Value::Scalar(value))?),
            None => Err(format!("the formula “{}” has no value at {arguments:?}", self.formula).into()),
        }
    }
}

/// The time of the newest frame.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Clock {
    /// How fast it goes: 1 is real time, a negative number goes back.
    #[reflect(@-1000.0..=1000.0_f64)]
    pub speed: f64,
    /// What it shows at the first frame, in seconds.
    pub start_s: f64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { speed: 1.0, start_s: 0.0 }
    }
}

impl NodeKind for Clock {
    const DISPLAY_NAME: &'static str = "Clock";
    const CATEGORY: &'static str = CATEGORY;
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("seconds", DataType::SCALAR)]
    }
}

impl Clock {
    fn run(&self, run: &mut CpuRun) -> Result {
        let seconds = self.start_s + run.seconds() * self.speed;
        Ok(run.set("seconds", Value::Scalar(seconds))?)
    }
}

/// The course of an oscillator between its two ends.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wave {
    /// Softly to and fro; starts in the middle, upwards.
    #[default]
    Sine,
    /// Evenly to and fro; starts low.
    Triangle,
    /// Evenly up, and down at once; starts low.
    Saw,
    /// One half high, one half low.
    Square,
}

/// A number that goes to and fro with the time of the frames.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Oscillator {
    /// Its course.
    pub wave: Wave,
    /// How often it goes to and fro in a second.
    #[reflect(@0.0..=1000.0_f64)]
    pub frequency_hz: f64,
    /// One end.
    pub low: f64,
    /// The other end.
    pub high: f64,
    /// Where it starts, in turns.
    #[reflect(@0.0..=1.0_f64)]
    pub phase: f64,
}

impl Default for Oscillator {
    fn default() -> Self {
        Self { wave: Wave::Sine, frequency_hz: 0.5, low: 0.0, high: 1.0, phase: 0.0 }
    }
}

impl NodeKind for Oscillator {
    const DISPLAY_NAME: &'static str = "Oscillator";
    const CATEGORY: &'static str = CATEGORY;
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("value", DataType::SCALAR)]
    }
}

impl Oscillator {
    fn run(&self, run: &mut CpuRun) -> Result {
        let turn = (run.seconds() * self.frequency_hz + self.phase).rem_euclid(1.0);
        let share = match self.wave {
            Wave::Sine => 0.5 + 0.5 * (turn * TAU).sin(),
            Wave::Triangle => 1.0 - (2.0 * turn - 1.0).abs(),
            Wave::Saw => turn,
            Wave::Square => f64::from(u8::from(turn < 0.5)),
        };
        Ok(run.set("value", Value::Scalar(self.low + (self.high - self.low) * share))?)
    }
}

pub(super) fn register(app: &mut App) {
    app.add_cpu_node(Number::run)
        .add_cpu_node(VectorValue::run)
        .add_cpu_node(ColorValue::run)
        .add_cpu_node(BooleanValue::run)
        .add_cpu_node(StringValue::run)
        .add_cpu_node(Math::run)
        .add_cpu_node(Clock::run)
        .add_cpu_node(Oscillator::run);
}
