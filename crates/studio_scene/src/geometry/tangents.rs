//! Tangents for normal maps, as `MikkTSpace` has them (Mikkelsen 2008): where the texture's u grows, turned into the plane of the normal, and
//! weighted by the angles of the triangles around.
//!
//! Bevy can compute them, but finds for every corner anew which others are the same as it. Here vertices say it: corners are one only
//! where all they have is equal and the texture is not mirrored. It is several times as fast, which points that move need every frame.

use bevy::{
    math::{Vec2, Vec3},
    mesh::{Indices, Mesh, VertexAttributeValues},
};

/// Gives a mesh of triangles with normals and coordinates its tangents. Others stay as they are.
pub(crate) fn insert_tangents(mesh: &mut Mesh) {
    let (
        Some(VertexAttributeValues::Float32x3(positions)),
        Some(VertexAttributeValues::Float32x3(normals)),
        Some(VertexAttributeValues::Float32x2(uvs)),
        Some(Indices::U32(indices)),
    ) = (
        mesh.attribute(Mesh::ATTRIBUTE_POSITION),
        mesh.attribute(Mesh::ATTRIBUTE_NORMAL),
        mesh.attribute(Mesh::ATTRIBUTE_UV_0),
        mesh.indices(),
    )
    else {
        return;
    };
    let tangents = tangents(positions, normals, uvs, indices);
    mesh.insert_attribute(Mesh::ATTRIBUTE_TANGENT, tangents);
}

fn tangents(positions: &[[f32; 3]], normals: &[[f32; 3]], uvs: &[[f32; 2]], indices: &[u32]) -> Vec<[f32; 4]> {
    // The direction, and how much of it has the texture mirrored.
    let mut sums = vec![(Vec3::ZERO, 0.0_f32); positions.len()];
    let at3 = |values: &[[f32; 3]], at: u32| values.get(at as usize).copied().map(Vec3::from_array).unwrap_or_default();
    for corners in indices.chunks_exact(3) {
        let [a, b, c] = [0, 1, 2].map(|corner| corners.get(corner).copied().unwrap_or_default());
        let places = [a, b, c].map(|corner| at3(positions, corner));
        let [uv, uv_b, uv_c] =
            [a, b, c].map(|corner| uvs.get(corner as usize).copied().map(Vec2::from_array).unwrap_or_default());
        let (one, other) = (uv_b - uv, uv_c - uv);
        let area = one.perp_dot(other);
        let along = ((places[1] - places[0]) * other.y - (places[2] - places[0]) * one.y) * area.signum();
        if area == 0.0 || !along.is_finite() {
            continue;
        }
        for (corner, [before, at, after]) in [(a, [2, 0, 1]), (b, [0, 1, 2]), (c, [1, 2, 0])] {
            let normal = at3(normals, corner);
            let flat = |vector: Vec3| (vector - normal * normal.dot(vector)).normalize_or_zero();
            let edges = [before, after].map(|end: usize| flat(places[end] - places[at]));
            let angle = edges[0].dot(edges[1]).clamp(-1.0, 1.0).acos();
            if let Some((sum, sign)) = sums.get_mut(corner as usize) {
                *sum += flat(along) * angle;
                *sign += angle * area.signum();
            }
        }
    }
    let tangent = |((sum, sign), normal): (&(Vec3, f32), &[f32; 3])| {
        let across = sum.normalize_or(Vec3::from_array(*normal).any_orthonormal_vector());
        // Normal cross tangent times this points to the top of the picture. Coordinates count from the top.
        across.extend(if *sign > 0.0 { -1.0 } else { 1.0 }).to_array()
    };
    sums.iter().zip(normals).map(tangent).collect()
}
