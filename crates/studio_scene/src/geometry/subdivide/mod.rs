//! Subdivision surfaces, refined by level.
//!
//! The rules are `OpenSubdiv`'s (its `Sdc` masks), with uniform creases: Catmull and Clark 1978 and Loop 1987 inside, cubic B-spline curves
//! along creases and borders (Hoppe et al. 1994), sharpness that falls by one a level with blended rules in between (`DeRose`, Kass and Truong
//! 1998). Points are those of the refined polygons, as Hydra draws them, and not moved on to the limit.
//!
//! A level is a table of weights, so all that belongs to points is refined by the same [`Level::refine`]: positions now and at other times,
//! colours, offsets of blend shapes, holds of joints.

mod divide;
mod face_varying;
mod net;

#[cfg(test)]
mod tests;

pub(crate) use face_varying::{FaceVarying, refine_face_varying};

use super::{GeometryError, MAX_REFINE_LEVEL, polygons::Polygons};
use bevy::math::{Vec2, Vec3, Vec4};
use net::Net;
use studio_usd::snapshot::{InterpolateBoundary, Subdivision, SubdivisionScheme};

/// A value that can be mixed.
pub(crate) trait Blend: Clone + Default {
    /// Adds another one times a weight.
    fn add_weighted(&mut self, other: &Self, weight: f32);
}

macro_rules! blend {
    ($($kind:ty),*) => {$(
        impl Blend for $kind {
            fn add_weighted(&mut self, other: &Self, weight: f32) {
                *self += *other * weight;
            }
        }
    )*};
}

blend!(f32, Vec2, Vec3, Vec4);

/// What faces are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    CatmullClark { smooth_triangles: bool },
    Loop,
    Bilinear,
}

/// One level of refinement: each new point as a mix of the points before. New points are in order: one for each point, for each edge, for
/// each face (not with Loop's scheme).
#[derive(Clone, Debug)]
pub(crate) struct Level {
    /// The faces before.
    parents: Polygons,
    /// Ends of the edges before.
    edge_ends: Vec<[u32; 2]>,
    /// Where the mix of each new point and edge begins in `sources`, and the end of the last.
    starts: Vec<u32>,
    /// Points before, or, counted on from them, the middles of faces.
    sources: Vec<u32>,
    weights: Vec<f32>,
    /// Whether faces have a point in the middle.
    has_face_points: bool,
}

impl Level {
    /// How many points there are after it.
    pub fn point_count(&self) -> usize {
        let faces = if self.has_face_points { self.parents.face_count() } else { 0 };
        self.parents.point_count + self.edge_ends.len() + faces
    }

    fn face_points<T: Blend>(&self, values: &[T]) -> Vec<T> {
        let middle = |face: usize| {
            let corners = self.parents.face(face);
            let weight = 1.0 / corners.len().max(1) as f32;
            mix(corners.iter().map(|corner| (values.get(*corner as usize), weight)))
        };
        if self.has_face_points { (0..self.parents.face_count()).map(middle).collect() } else { Vec::new() }
    }

    /// Values of the points after, from those before.
    pub fn refine<T: Blend>(&self, values: &[T]) -> Vec<T> {
        let middles = self.face_points(values);
        let points = self.parents.point_count;
        let source = |index: u32| {
            let index = index as usize;
            if index < points { values.get(index) } else { middles.get(index - points) }
        };
        let mut refined: Vec<T> = Vec::with_capacity(self.point_count());
        refined.extend(self.starts.windows(2).map(|range| {
            let range = match range {
                [start, end] => *start as usize..*end as usize,
                _ => 0..0,
            };
            let sources = self.sources.get(range.clone()).unwrap_or_default();
            let weights = self.weights.get(range).unwrap_or_default();
            mix(sources.iter().zip(weights).map(|(index, weight)| (source(*index), *weight)))
        }));
        refined.extend(middles);
        refined
    }

    /// The same for values that are linear within faces (`varying`).
    pub fn refine_linearly<T: Blend>(&self, values: &[T]) -> Vec<T> {
        let middles = self.face_points(values);
        let mut refined = values.to_vec();
        refined.resize(self.parents.point_count, T::default());
        refined.extend(self.edge_ends.iter().map(|ends| mix(ends.iter().map(|end| (values.get(*end as usize), 0.5)))));
        refined.extend(middles);
        refined
    }
}

fn mix<'a, T: Blend + 'a>(parts: impl Iterator<Item = (Option<&'a T>, f32)>) -> T {
    let mut sum = T::default();
    for (value, weight) in parts {
        if let Some(value) = value {
            sum.add_weighted(value, weight);
        }
    }
    sum
}

/// A surface refined a number of times; none for one that is drawn as it is.
#[derive(Clone, Debug)]
pub(crate) struct Refined {
    /// The levels, the first one first.
    pub levels: Vec<Level>,
    /// The faces after them.
    pub polygons: Polygons,
    /// The face of the file that each face is of.
    pub base_face: Vec<u32>,
    /// Whether the file's faces are seen.
    pub visible: Vec<bool>,
    /// What face-varying values need to know about the file's faces.
    base: Option<Net>,
    scheme: Scheme,
}

impl Refined {
    /// Values of the refined points.
    pub fn refine<T: Blend>(&self, values: Vec<T>) -> Vec<T> {
        self.levels.iter().fold(values, |values, level| level.refine(&values))
    }

    /// The same for `varying` values.
    pub fn refine_linearly<T: Blend>(&self, values: Vec<T>) -> Vec<T> {
        self.levels.iter().fold(values, |values, level| level.refine_linearly(&values))
    }
}

/// Refines faces at most `level` times. It stops earlier, and notes it, where there would be more than `max_faces`.
pub(crate) fn refine(
    polygons: Polygons,
    mut visible: Vec<bool>,
    subdivision: &Subdivision,
    level: u8,
    max_faces: usize,
    notes: &mut Vec<String>,
) -> Result<Refined, GeometryError> {
    let base_face: Vec<u32> = (0..polygons.face_count() as u32).collect();
    let mut scheme = match subdivision.scheme {
        SubdivisionScheme::CatmullClark => Scheme::CatmullClark { smooth_triangles: subdivision.smooth_triangles },
        SubdivisionScheme::Loop => Scheme::Loop,
        SubdivisionScheme::Bilinear | SubdivisionScheme::None => Scheme::Bilinear,
    };
    if level == 0 || subdivision.scheme == SubdivisionScheme::None || polygons.face_count() == 0 {
        return Ok(Refined { levels: Vec::new(), polygons, base_face, visible, base: None, scheme });
    }
    if scheme == Scheme::Loop && (0..polygons.face_count()).any(|face| polygons.face(face).len() != 3) {
        notes.push("subdivisionScheme is loop but not all faces are triangles; it is refined as catmullClark".to_owned());
        scheme = Scheme::CatmullClark { smooth_triangles: false };
    }
    if level > MAX_REFINE_LEVEL {
        notes.push(format!("refinement level {level} was asked for; {MAX_REFINE_LEVEL} is the most"));
    }
    let mut net = Net::new(polygons, subdivision, notes)?;
    if subdivision.interpolate_boundary == InterpolateBoundary::None {
        net.hide_border(&mut visible);
    }
    let (base, mut base_face) = (net.clone(), base_face);
    let mut levels = Vec::new();
    for level_done in 0..level.min(MAX_REFINE_LEVEL) {
        // The parts of an edge, and one more for each corner: the edges after. Points and faces are fewer.
        let faces = if scheme == Scheme::Loop { 4 * net.polygons.face_count() } else { net.polygons.corners.len() };
        if faces > max_faces {
            notes.push(format!(
                "refined {level_done} times rather than {level}: {faces} faces are more than the {max_faces} allowed"
            ));
            break;
        }
        let (divided, after, parent_face) = divide::divide(net, scheme)?;
        base_face = parent_face.iter().map(|face| base_face.get(*face as usize).copied().unwrap_or_default()).collect();
        levels.push(divided);
        net = after;
    }
    Ok(Refined { levels, polygons: net.polygons, base_face, visible, base: Some(base), scheme })
}
