//! Faces and their corners.

use super::GeometryError;
use bevy::math::Vec3;

/// Faces as runs of corners, each corner being of a point. Every index is valid.
#[derive(Clone, Debug, Default)]
pub(crate) struct Polygons {
    /// Where each face's corners begin, and the end of the last.
    pub starts: Vec<u32>,
    /// The point of each corner.
    pub corners: Vec<u32>,
    /// How many points there are.
    pub point_count: usize,
}

impl Polygons {
    /// Checks counts and indices against each other and the number of points.
    pub fn new(counts: &[u32], indices: &[u32], point_count: usize) -> Result<Self, GeometryError> {
        let corners: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        if corners != indices.len() as u64 {
            return Err(GeometryError::CornerCount { corners, indices: indices.len() });
        }
        for (what, count) in [("corners", indices.len()), ("points", point_count)] {
            if count >= u32::MAX as usize {
                return Err(GeometryError::TooLarge { what: what.to_owned(), count: count as u64, limit: u64::from(u32::MAX) });
            }
        }
        if let Some((at, index)) = indices.iter().enumerate().find(|(_, index)| **index as usize >= point_count) {
            let what = "faceVertexIndices".to_owned();
            return Err(GeometryError::Index { what, at, index: u64::from(*index), count: point_count });
        }
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut start = 0;
        starts.push(start);
        for count in counts {
            start += count;
            starts.push(start);
        }
        Ok(Self { starts, corners: indices.to_vec(), point_count })
    }

    /// How many faces there are.
    pub fn face_count(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The corners of a face, as places in `corners`.
    pub fn range(&self, face: usize) -> std::ops::Range<usize> {
        match self.starts.get(face..face + 2) {
            Some([start, end]) => *start as usize..*end as usize,
            _ => 0..0,
        }
    }

    /// The points of a face's corners.
    pub fn face(&self, face: usize) -> &[u32] {
        self.corners.get(self.range(face)).unwrap_or_default()
    }

    /// The normal of a face times twice its area (Newell's method), for corners that run counter-clockwise.
    pub fn area_normal(&self, face: usize, points: &[Vec3]) -> Vec3 {
        area_normal(self.face(face), points)
    }
}

/// The normal of a polygon times twice its area (Newell's method). Points are taken relative to the first so that places far from the
/// origin do not cost digits.
pub(crate) fn area_normal(corners: &[u32], points: &[Vec3]) -> Vec3 {
    let at = |corner: &u32| points.get(*corner as usize).copied().unwrap_or_default();
    let Some((first, rest)) = corners.split_first() else { return Vec3::ZERO };
    let origin = at(first);
    rest.windows(2).fold(Vec3::ZERO, |sum, pair| match pair {
        [a, b] => sum + (at(a) - origin).cross(at(b) - origin),
        _ => sum,
    })
}
