//! Values, at one time or over time.

use glam::{DMat4, DQuat, DVec2, DVec3, DVec4};

/// A value that may change over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled<T> {
    /// The value where there are no samples.
    pub default: Option<T>,
    /// Samples as (time code, value), sorted by time. Value clips and layer offsets are worked in.
    pub samples: Vec<(f64, T)>,
    /// Whether each sample holds until the next, rather than moving towards it.
    pub held: bool,
}

impl<T> Default for Sampled<T> {
    fn default() -> Self {
        Self { default: None, samples: Vec::new(), held: false }
    }
}

impl<T> From<T> for Sampled<T> {
    fn from(value: T) -> Self {
        Self { default: Some(value), samples: Vec::new(), held: false }
    }
}

impl<T> Sampled<T> {
    /// Whether the value changes over time.
    pub fn is_animated(&self) -> bool {
        self.samples.len() > 1
    }

    /// Whether anything says what the value is.
    pub fn is_some(&self) -> bool {
        self.default.is_some() || !self.samples.is_empty()
    }

    /// The samples around a time, and how far the time is from the first to the second (0 to 1).
    pub fn around(&self, time: f64) -> Option<(&T, &T, f64)> {
        let after = self.samples.partition_point(|(at, _)| *at <= time);
        let Some(before) = after.checked_sub(1).and_then(|before| self.samples.get(before)) else {
            let first = self.samples.first().map(|(_, value)| value).or(self.default.as_ref())?;
            return Some((first, first, 0.0));
        };
        match self.samples.get(after) {
            Some(next) if !self.held => Some((&before.1, &next.1, (time - before.0) / (next.0 - before.0))),
            _ => Some((&before.1, &before.1, 0.0)),
        }
    }

    /// The sample that holds at a time, without moving between samples.
    pub fn held_at(&self, time: f64) -> Option<&T> {
        self.around(time).map(|(before, _, _)| before)
    }

    /// The value at a time. Before the first sample and after the last these hold.
    pub fn at(&self, time: f64) -> Option<T>
    where
        T: Interpolate,
    {
        let (before, after, fraction) = self.around(time)?;
        Some(if fraction == 0.0 { before.clone() } else { before.interpolate(after, fraction) })
    }

    /// The same value in another form.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Sampled<U> {
        Sampled {
            default: self.default.map(&mut change),
            samples: self.samples.into_iter().map(|(time, value)| (time, change(value))).collect(),
            held: self.held,
        }
    }
}

/// A value between two others.
pub trait Interpolate: Clone {
    /// The value at `fraction` (0 to 1) of the way to `next`.
    fn interpolate(&self, next: &Self, fraction: f64) -> Self;
}

macro_rules! interpolate_linearly {
    ($($kind:ty => $scalar:ty),*) => {$(
        impl Interpolate for $kind {
            fn interpolate(&self, next: &Self, fraction: f64) -> Self {
                *self + (*next - *self) * (fraction as $scalar)
            }
        }
    )*};
}

interpolate_linearly!(f32 => f32, f64 => f64, DVec2 => f64, DVec3 => f64, DVec4 => f64, glam::Vec2 => f32, glam::Vec3 => f32, glam::Vec4 => f32);

impl Interpolate for bool {
    fn interpolate(&self, _next: &Self, _fraction: f64) -> Self {
        *self
    }
}

impl Interpolate for DQuat {
    fn interpolate(&self, next: &Self, fraction: f64) -> Self {
        self.slerp(*next, fraction)
    }
}

impl Interpolate for glam::Quat {
    fn interpolate(&self, next: &Self, fraction: f64) -> Self {
        self.slerp(*next, fraction as f32)
    }
}

impl Interpolate for DMat4 {
    fn interpolate(&self, next: &Self, fraction: f64) -> Self {
        *self + (*next - *self) * fraction
    }
}

/// Arrays of one length move element by element; where the length changes, the earlier one holds.
impl<T: Interpolate> Interpolate for Vec<T> {
    fn interpolate(&self, next: &Self, fraction: f64) -> Self {
        if self.len() != next.len() {
            return self.clone();
        }
        self.iter().zip(next).map(|(before, after)| before.interpolate(after, fraction)).collect()
    }
}

/// An attribute, as it is in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    /// Its name, with its namespaces: `primvars:st`.
    pub name: String,
    /// The USD type name: `color3f[]`.
    pub type_name: String,
    /// Whether the file says that no schema knows it.
    pub is_custom: bool,
    /// Its value.
    pub value: Sampled<AttributeValue>,
    /// Where its value comes from, as paths of other attributes.
    pub connections: Vec<String>,
}

/// A value of any type.
#[derive(Clone, Debug, PartialEq)]
pub enum AttributeValue {
    /// `bool`.
    Bool(bool),
    /// Any integer.
    Int(i64),
    /// `half`, `float`, `double`, `timecode`.
    Double(f64),
    /// `string`.
    String(String),
    /// `token`.
    Token(String),
    /// `asset`: as written, and the identifier of what it stands for, empty if it was not found.
    Asset {
        /// As written in the layer.
        authored: String,
        /// Anchored to the layer it was written in; empty if there is nothing there.
        resolved: String,
    },
    /// Vectors of two, three or four numbers, quaternions (imaginary part first) and matrices (rows in order).
    Numbers(Vec<f64>),
    /// Arrays of numbers or vectors, one after another; `width` numbers each.
    Array {
        /// Numbers in an element.
        width: usize,
        /// All of them.
        numbers: Vec<f64>,
    },
    /// Arrays of strings and tokens.
    Strings(Vec<String>),
    /// Anything else, as the text format writes it, cut to a sensible length.
    Other(String),
}
