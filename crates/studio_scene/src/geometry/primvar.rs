//! Primvars at a time, checked against the faces they belong to.

use super::GeometryError;
use studio_usd::snapshot::{Interpolate, Interpolation, Primvar};

/// How many elements of each kind a mesh has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements {
    pub faces: usize,
    pub points: usize,
    pub corners: usize,
}

impl Elements {
    /// How many values a primvar needs at least.
    pub fn of(&self, interpolation: Interpolation) -> usize {
        match interpolation {
            Interpolation::Constant => 1,
            Interpolation::Uniform => self.faces,
            Interpolation::Varying | Interpolation::Vertex => self.points,
            Interpolation::FaceVarying => self.corners,
        }
    }
}

/// A primvar at a time. Every element has a valid value.
#[derive(Clone, Debug)]
pub(crate) struct Channel<T> {
    pub interpolation: Interpolation,
    pub values: Vec<T>,
    pub indices: Option<Vec<u32>>,
}

/// A corner of a face, in all the ways that a primvar may count it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub face: u32,
    pub point: u32,
    pub corner: u32,
}

impl<T: Copy + Default> Channel<T> {
    /// The element's number for a corner.
    fn element(&self, place: Place) -> u32 {
        match self.interpolation {
            Interpolation::Constant => 0,
            Interpolation::Uniform => place.face,
            Interpolation::Varying | Interpolation::Vertex => place.point,
            Interpolation::FaceVarying => place.corner,
        }
    }

    /// The place of a corner's value in `values`.
    pub fn index(&self, place: Place) -> u32 {
        let element = self.element(place);
        match &self.indices {
            Some(indices) => indices.get(element as usize).copied().unwrap_or_default(),
            None => element,
        }
    }

    /// The value at a corner.
    pub fn at(&self, place: Place) -> T {
        self.values.get(self.index(place) as usize).copied().unwrap_or_default()
    }

    /// The values one for each element, without indices.
    pub fn flattened(self) -> Vec<T> {
        let Some(indices) = self.indices else { return self.values };
        indices.iter().map(|index| self.values.get(*index as usize).copied().unwrap_or_default()).collect()
    }
}

/// A value that may be infinite or not a number.
pub(crate) trait Finite {
    /// Whether it is neither.
    fn finite(&self) -> bool;
}

macro_rules! finite {
    ($($kind:ty),*) => {$(impl Finite for $kind { fn finite(&self) -> bool { self.is_finite() } })*};
}

finite!(f32, bevy::math::Vec2, bevy::math::Vec3, bevy::math::Vec4);

/// A primvar at a time; `None` if it has no value then. Values beyond those needed are left alone, as Hydra does.
pub(crate) fn resolve<T: Interpolate + Finite + Default + Copy>(
    primvar: &Primvar<T>,
    time: f64,
    elements: Elements,
) -> Result<Option<Channel<T>>, GeometryError> {
    let what = || format!("primvars:{}", primvar.name);
    let Some(values) = primvar.values.at(time) else { return Ok(None) };
    let indices = match &primvar.indices {
        Some(indices) => indices.held_at(time).cloned(),
        None => None,
    };
    let expected = elements.of(primvar.interpolation);
    let found = indices.as_ref().map_or(values.len(), Vec::len);
    if found < expected {
        // An array that is empty on purpose says nothing.
        if found == 0 && values.is_empty() {
            return Ok(None);
        }
        return Err(GeometryError::Values { what: what(), interpolation: primvar.interpolation, found, expected });
    }
    if let Some(at) = values.iter().position(|value| !value.finite()) {
        return Err(GeometryError::NotFinite { what: what(), at });
    }
    let wrong = indices.iter().flatten().take(expected).enumerate().find(|(_, index)| **index as usize >= values.len());
    if let Some((at, index)) = wrong {
        let what = format!("{}:indices", what());
        return Err(GeometryError::Index { what, at, index: u64::from(*index), count: values.len() });
    }
    Ok(Some(Channel { interpolation: primvar.interpolation, values, indices }))
}

/// As [`resolve`], where a mistake leaves the primvar out and is noted.
pub(crate) fn resolve_or_note<T: Interpolate + Finite + Default + Copy>(
    primvar: Option<&Primvar<T>>,
    time: f64,
    elements: Elements,
    notes: &mut Vec<String>,
) -> Option<Channel<T>> {
    match resolve(primvar?, time, elements) {
        Ok(channel) => channel,
        Err(error) => {
            notes.push(format!("{error}; it is left out"));
            None
        }
    }
}
