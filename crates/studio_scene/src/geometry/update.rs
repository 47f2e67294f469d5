//! Points that move: new positions and normals for a mesh whose faces stay.

use super::{
    GeometryError,
    normals::{direction, face_normals, smooth_normals},
    primvar::{Elements, resolve},
    subdivide::Refined,
    tangents::insert_tangents,
};
use bevy::{
    math::Vec3,
    mesh::{Mesh, VertexAttributeValues},
};
use std::sync::Arc;
use studio_usd::snapshot;

/// Where the normals of a mesh come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NormalRule {
    /// From the file.
    Authored,
    /// One for each face.
    Flat,
    /// One for each point.
    Smooth,
}

/// A surface and how its points and normals are computed.
#[derive(Debug)]
pub(crate) struct Surface {
    pub refined: Refined,
    pub source_points: usize,
    pub left_handed: bool,
    pub normals: NormalRule,
}

/// What moves the points of a part, made together with it. Cheap to clone: parts of a mesh share most of it.
#[derive(Clone, Debug)]
pub struct MeshUpdate {
    pub(crate) surface: Arc<Surface>,
    pub(crate) point_of_vertex: Arc<[u32]>,
    /// For each vertex, its face if normals are flat, or its place in the values of the file's normals.
    pub(crate) normal_of_vertex: Arc<[u32]>,
}

/// The points and normals of a whole mesh at another time, for all of its parts.
#[derive(Clone, Debug)]
pub struct MovedPoints {
    /// Positions, refined if the mesh is.
    pub points: Vec<Vec3>,
    /// One for each point, face or value of the file, as the mesh has them; empty if normals stay as they are.
    normals: Vec<Vec3>,
}

impl MovedPoints {
    /// The normals, as the mesh has them; empty if they are the file's.
    pub(crate) fn normals(&self) -> &[Vec3] {
        &self.normals
    }

    /// The normal of a point or a face.
    pub(crate) fn normal(&self, place: u32) -> Vec3 {
        self.normals.get(place as usize).copied().unwrap_or(Vec3::Y)
    }
}

impl Surface {
    /// Points and normals for the file's points at a time.
    pub fn moved(&self, points: Vec<Vec3>) -> MovedPoints {
        let points = self.refined.refine(points);
        let normals = match self.normals {
            NormalRule::Authored => Vec::new(),
            NormalRule::Flat => face_normals(&self.refined.polygons, &points, self.left_handed),
            NormalRule::Smooth => smooth_normals(&self.refined.polygons, &points, self.left_handed),
        };
        MovedPoints { points, normals }
    }
}

impl MeshUpdate {
    /// Computes the points of the mesh at another time: once for all of its parts.
    ///
    /// # Errors
    /// If the number of points is another one then, or a position is no number: the mesh has to be made anew.
    pub fn moved(&self, mesh: &snapshot::Mesh, time: f64) -> Result<MovedPoints, GeometryError> {
        let points = mesh.points.at(time).unwrap_or_default();
        let expected = self.surface.source_points;
        if points.len() != expected {
            return Err(GeometryError::Length { what: "points".to_owned(), found: points.len(), expected });
        }
        if let Some(at) = points.iter().position(|point| !point.is_finite()) {
            return Err(GeometryError::NotFinite { what: "points".to_owned(), at });
        }
        let mut moved = self.surface.moved(points);
        if self.surface.normals == NormalRule::Authored
            && let Some(normals) = mesh.normals.as_ref().filter(|normals| normals.values.is_animated())
        {
            // Their number was checked when the mesh was made, and is again for each vertex.
            let any = Elements { faces: 0, points: 0, corners: 0 };
            moved.normals = resolve(normals, time, any)?.map(|channel| channel.values).unwrap_or_default();
        }
        Ok(moved)
    }
}

/// Moves the vertices of a part's mesh. Tangents, if there are any, are computed anew.
///
/// # Errors
/// If `mesh` is not the part's, or has left the main world.
pub fn update_points(mesh: &mut Mesh, update: &MeshUpdate, moved: &MovedPoints) -> Result<(), GeometryError> {
    let wrong = |reason: &str| GeometryError::Update(reason.to_owned());
    match mesh.try_attribute_mut(Mesh::ATTRIBUTE_POSITION) {
        Ok(VertexAttributeValues::Float32x3(positions)) if positions.len() == update.point_of_vertex.len() => {
            for (position, point) in positions.iter_mut().zip(update.point_of_vertex.iter()) {
                if let Some(moved) = moved.points.get(*point as usize) {
                    *position = moved.to_array();
                }
            }
        }
        Ok(_) => return Err(wrong("it has other vertices than the part it should be of")),
        Err(error) => return Err(GeometryError::Update(error.to_string())),
    }
    if moved.normals.is_empty() {
        return Ok(());
    }
    let by_point = update.surface.normals == NormalRule::Smooth;
    let sources = if by_point { &update.point_of_vertex } else { &update.normal_of_vertex };
    match mesh.try_attribute_mut(Mesh::ATTRIBUTE_NORMAL) {
        Ok(VertexAttributeValues::Float32x3(normals)) => {
            for (normal, source) in normals.iter_mut().zip(sources.iter()) {
                if let Some(moved) = moved.normals.get(*source as usize) {
                    *normal = direction(*moved).to_array();
                }
            }
        }
        Ok(_) => return Err(wrong("its normals are not three numbers each")),
        Err(error) => return Err(GeometryError::Update(error.to_string())),
    }
    if mesh.contains_attribute(Mesh::ATTRIBUTE_TANGENT) {
        insert_tangents(mesh);
    }
    Ok(())
}
