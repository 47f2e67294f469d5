//! Faces with their edges, and how sharp edges and points are.

use crate::geometry::{GeometryError, polygons::Polygons};
use bevy::platform::collections::HashMap;
use studio_usd::snapshot::{InterpolateBoundary, Subdivision};

/// Sharp for ever. USD writes it as 10.
pub(super) const INFINITE: f32 = f32::INFINITY;
const USD_INFINITE: f32 = 10.0;

/// No face.
pub(super) const NONE: u32 = u32::MAX;

/// Edges of faces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges {
    /// The edge from each corner to the next corner of its face.
    pub of_corner: Vec<u32>,
    /// The two ends of each edge.
    pub ends: Vec<[u32; 2]>,
    /// The first two faces at each edge, or [`NONE`].
    pub faces: Vec<[u32; 2]>,
    /// How many faces there are at each edge.
    pub face_counts: Vec<u32>,
}

impl Edges {
    /// Finds the edges of faces.
    pub fn find(polygons: &Polygons) -> Self {
        let mut ids: HashMap<[u32; 2], u32> = HashMap::with_capacity(polygons.corners.len() / 2 + 1);
        let mut ends = Vec::with_capacity(polygons.corners.len() / 2 + 1);
        let mut of_corner = Vec::with_capacity(polygons.corners.len());
        for face in 0..polygons.face_count() {
            let corners = polygons.face(face);
            for (from, to) in corners.iter().zip(corners.iter().cycle().skip(1)) {
                let key = [*from.min(to), *from.max(to)];
                of_corner.push(*ids.entry(key).or_insert_with(|| {
                    ends.push(key);
                    ends.len() as u32 - 1
                }));
            }
        }
        Self::with_faces(polygons, of_corner, ends)
    }

    /// Adds the faces to edges that are known.
    pub fn with_faces(polygons: &Polygons, of_corner: Vec<u32>, ends: Vec<[u32; 2]>) -> Self {
        let mut faces = vec![[NONE; 2]; ends.len()];
        let mut face_counts = vec![0; ends.len()];
        for face in 0..polygons.face_count() {
            for corner in polygons.range(face) {
                let edge = of_corner.get(corner).copied().unwrap_or_default() as usize;
                if let (Some(faces), Some(count)) = (faces.get_mut(edge), face_counts.get_mut(edge)) {
                    if let Some(slot) = faces.get_mut(*count as usize) {
                        *slot = face as u32;
                    }
                    *count += 1;
                }
            }
        }
        Self { of_corner, ends, faces, face_counts }
    }
}

/// Faces, edges, and how sharp they are.
#[derive(Clone, Debug)]
pub(crate) struct Net {
    pub polygons: Polygons,
    pub edges: Edges,
    /// How sharp each edge is; borders and edges of more than two faces are sharp for ever.
    pub edge_sharpness: Vec<f32>,
    /// How sharp each point is.
    pub point_sharpness: Vec<f32>,
}

/// A sharpness of the file as a number of levels.
fn sharpness(value: f32) -> f32 {
    if value >= USD_INFINITE {
        INFINITE
    } else if value > 0.0 {
        value
    } else {
        0.0
    }
}

impl Net {
    /// Faces with the creases and corners of a file. What does not fit is noted and left out.
    pub fn new(polygons: Polygons, subdivision: &Subdivision, notes: &mut Vec<String>) -> Result<Self, GeometryError> {
        let edges = Edges::find(&polygons);
        let mut net = Self::smooth(polygons, edges);
        net.crease(subdivision, notes);
        net.sharpen_corners(subdivision, notes);
        if subdivision.interpolate_boundary == InterpolateBoundary::EdgeAndCorner {
            let (faces, borders) = (net.faces_of_points(), net.borders_of_points());
            for ((sharpness, faces), borders) in net.point_sharpness.iter_mut().zip(faces).zip(borders) {
                if faces == 1 && borders > 0 {
                    *sharpness = INFINITE;
                }
            }
        }
        Ok(net)
    }

    /// Faces that are smooth except at their borders.
    pub fn smooth(polygons: Polygons, edges: Edges) -> Self {
        let edge_sharpness = edges.face_counts.iter().map(|count| if *count == 2 { 0.0 } else { INFINITE }).collect();
        let point_sharpness = vec![0.0; polygons.point_count];
        Self { polygons, edges, edge_sharpness, point_sharpness }
    }

    /// How many faces there are at each point.
    pub fn faces_of_points(&self) -> Vec<u32> {
        let mut counts = vec![0; self.polygons.point_count];
        for point in &self.polygons.corners {
            if let Some(count) = counts.get_mut(*point as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// How many edges that are not between two faces there are at each point.
    pub fn borders_of_points(&self) -> Vec<u32> {
        let mut counts = vec![0; self.polygons.point_count];
        for (ends, _) in self.edges.ends.iter().zip(&self.edges.face_counts).filter(|(_, count)| **count != 2) {
            for end in ends {
                if let Some(count) = counts.get_mut(*end as usize) {
                    *count += 1;
                }
            }
        }
        counts
    }

    /// Hides faces with a point on a border: what `interpolateBoundary = "none"` asks for.
    pub fn hide_border(&self, visible: &mut [bool]) {
        let borders = self.borders_of_points();
        for (face, visible) in visible.iter_mut().enumerate() {
            let at_border = |point: &u32| borders.get(*point as usize).is_some_and(|count| *count > 0);
            *visible &= !self.polygons.face(face).iter().any(at_border);
        }
    }

    fn crease(&mut self, subdivision: &Subdivision, notes: &mut Vec<String>) {
        let (indices, lengths, sharpnesses) =
            (&subdivision.crease_indices, &subdivision.crease_lengths, &subdivision.crease_sharpnesses);
        if lengths.is_empty() && indices.is_empty() {
            return;
        }
        let total: u64 = lengths.iter().map(|length| u64::from(*length)).sum();
        let edge_total: u64 = lengths.iter().map(|length| u64::from(length.saturating_sub(1))).sum();
        let by_crease = sharpnesses.len() == lengths.len();
        if total != indices.len() as u64 || !(by_crease || sharpnesses.len() as u64 == edge_total) {
            notes.push(format!(
                "creases are left out: creaseLengths ({}) add up to {total}, creaseIndices has {}, creaseSharpnesses has {} (one for \
                 each crease or each of the {edge_total} edges is needed)",
                lengths.len(),
                indices.len(),
                sharpnesses.len()
            ));
            return;
        }
        let ids: HashMap<[u32; 2], usize> = self.edges.ends.iter().enumerate().map(|(id, ends)| (*ends, id)).collect();
        let (mut start, mut edge, mut missing) = (0, 0, 0);
        for (crease, length) in lengths.iter().enumerate() {
            let end = start + *length as usize;
            for pair in indices.get(start..end).unwrap_or_default().windows(2) {
                let [from, to] = pair else { continue };
                let value = sharpnesses.get(if by_crease { crease } else { edge }).copied().map_or(0.0, sharpness);
                edge += 1;
                let id = ids.get(&[*from.min(to), *from.max(to)]);
                match id.and_then(|id| self.edge_sharpness.get_mut(*id)) {
                    Some(sharpness) => *sharpness = sharpness.max(value),
                    None => missing += 1,
                }
            }
            start = end;
        }
        if missing > 0 {
            notes.push(format!(
                "{missing} of the {edge_total} edges in creaseIndices are no edges of the mesh; they are left out"
            ));
        }
    }

    fn sharpen_corners(&mut self, subdivision: &Subdivision, notes: &mut Vec<String>) {
        let (corners, sharpnesses) = (&subdivision.corner_indices, &subdivision.corner_sharpnesses);
        if corners.len() != sharpnesses.len() {
            let (corners, sharpnesses) = (corners.len(), sharpnesses.len());
            notes.push(format!("corners are left out: cornerIndices has {corners} and cornerSharpnesses has {sharpnesses}"));
            return;
        }
        for (at, (corner, value)) in corners.iter().zip(sharpnesses).enumerate() {
            match self.point_sharpness.get_mut(*corner as usize) {
                Some(point) => *point = sharpness(*value),
                None => notes.push(format!("cornerIndices[{at}] is {corner}, which is no point; it is left out")),
            }
            if notes.len() > 32 {
                break;
            }
        }
    }
}
