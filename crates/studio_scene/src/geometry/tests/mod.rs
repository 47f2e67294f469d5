//! What users of the geometry rely on.

mod animation;
mod corpus;
mod curves;
mod mesh;
mod shapes;
mod skin;

use super::*;
use bevy::{
    math::{Vec2, Vec3},
    mesh::{Indices, VertexAttributeValues},
};
use studio_usd::snapshot::{self, Interpolation, Primvar, Sampled, Subdivision, SubdivisionScheme};

/// Polygons without refinement.
pub(super) fn polygons(points: Vec<Vec3>, counts: Vec<u32>, indices: Vec<u32>) -> snapshot::Mesh {
    snapshot::Mesh {
        points: points.into(),
        face_vertex_counts: counts.into(),
        face_vertex_indices: indices.into(),
        subdivision: Subdivision { scheme: SubdivisionScheme::None, ..Default::default() },
        ..Default::default()
    }
}

/// A square in the XY plane that faces +Z, -1 to 1.
pub(super) fn square() -> snapshot::Mesh {
    let points = vec![Vec3::new(-1., -1., 0.), Vec3::new(1., -1., 0.), Vec3::new(1., 1., 0.), Vec3::new(-1., 1., 0.)];
    polygons(points, vec![4], vec![0, 1, 2, 3])
}

/// A cube, -1 to 1.
pub(super) fn cube() -> snapshot::Mesh {
    let points = (0..8).map(|corner| {
        let side = |bit: u32| if corner >> bit & 1 == 1 { 1.0 } else { -1.0 };
        Vec3::new(side(0), side(1), side(2))
    });
    #[rustfmt::skip]
    let indices = vec![0, 4, 6, 2,  1, 3, 7, 5,  0, 1, 5, 4,  2, 6, 7, 3,  0, 2, 3, 1,  4, 5, 7, 6];
    polygons(points.collect(), vec![4; 6], indices)
}

/// Quads in the XY plane, from (0, 0).
pub(super) fn grid(columns: u32, rows: u32) -> snapshot::Mesh {
    let points = (0..=rows).flat_map(|y| (0..=columns).map(move |x| Vec3::new(x as f32, y as f32, 0.0))).collect();
    let corner = |x: u32, y: u32| y * (columns + 1) + x;
    let quads = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y)));
    let indices = quads.flat_map(|(x, y)| [corner(x, y), corner(x + 1, y), corner(x + 1, y + 1), corner(x, y + 1)]).collect();
    polygons(points, vec![4; (columns * rows) as usize], indices)
}

pub(super) fn primvar<T>(name: &str, interpolation: Interpolation, values: Vec<T>) -> Primvar<T> {
    Primvar { name: name.to_owned(), interpolation, values: values.into(), indices: None }
}

pub(super) fn attribute3(mesh: &Mesh, attribute: bevy::mesh::MeshVertexAttribute) -> Vec<Vec3> {
    match mesh.attribute(attribute) {
        Some(VertexAttributeValues::Float32x3(values)) => values.iter().copied().map(Vec3::from_array).collect(),
        other => panic!("not three floats: {other:?}"),
    }
}

pub(super) fn positions(mesh: &Mesh) -> Vec<Vec3> {
    attribute3(mesh, Mesh::ATTRIBUTE_POSITION)
}

pub(super) fn normals(mesh: &Mesh) -> Vec<Vec3> {
    attribute3(mesh, Mesh::ATTRIBUTE_NORMAL)
}

pub(super) fn uvs(mesh: &Mesh, attribute: bevy::mesh::MeshVertexAttribute) -> Vec<Vec2> {
    match mesh.attribute(attribute) {
        Some(VertexAttributeValues::Float32x2(values)) => values.iter().copied().map(Vec2::from_array).collect(),
        other => panic!("not two floats: {other:?}"),
    }
}

pub(super) fn colors(mesh: &Mesh) -> Vec<[f32; 4]> {
    match mesh.attribute(Mesh::ATTRIBUTE_COLOR) {
        Some(VertexAttributeValues::Float32x4(values)) => values.clone(),
        other => panic!("not four floats: {other:?}"),
    }
}

pub(super) fn triangles(mesh: &Mesh) -> Vec<[u32; 3]> {
    match mesh.indices() {
        Some(Indices::U32(indices)) => indices.chunks_exact(3).map(|corners| [corners[0], corners[1], corners[2]]).collect(),
        other => panic!("not 32-bit indices: {other:?}"),
    }
}

/// The normal of each triangle times its area.
pub(super) fn areas(mesh: &Mesh) -> Vec<Vec3> {
    let positions = positions(mesh);
    let area = |[a, b, c]: [u32; 3]| {
        let [a, b, c] = [a, b, c].map(|corner| positions[corner as usize]);
        (b - a).cross(c - a) / 2.0
    };
    triangles(mesh).into_iter().map(area).collect()
}

/// The volume inside of closed triangles: positive if they face outwards.
pub(super) fn volume(mesh: &Mesh) -> f32 {
    let positions = positions(mesh);
    let part = |[a, b, c]: [u32; 3]| {
        let [a, b, c] = [a, b, c].map(|corner| positions[corner as usize]);
        a.dot(b.cross(c)) / 6.0
    };
    triangles(mesh).into_iter().map(part).sum()
}

pub(super) fn only(mut parts: Vec<MeshPart>) -> MeshPart {
    assert_eq!(parts.len(), 1);
    parts.remove(0)
}

pub(super) fn part(mesh: &snapshot::Mesh) -> MeshPart {
    only(mesh_parts(mesh, &MeshOptions::default()).expect("a mesh"))
}

/// A value that is one thing at time 0 and another at time 10.
pub(super) fn moving<T>(from: T, to: T) -> Sampled<T> {
    Sampled { default: None, samples: vec![(0.0, from), (10.0, to)], held: false }
}
