//! Meshes that are made rather than read: shapes, tubes, balls.

use super::{MeshAnimation, MeshOptions, MeshPart, tangents::insert_tangents};
use bevy::{
    math::{Vec2, Vec3, Vec4},
    mesh::{Indices, Mesh, PrimitiveTopology},
};

/// Vertices and triangles that grow. The same number of each attribute.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    pub positions: Vec<[f32; 3]>,
    pub normals: Vec<[f32; 3]>,
    /// Bevy's: the second one from the top.
    pub uvs: Vec<[f32; 2]>,
    /// Empty if there are no colours.
    pub colors: Vec<[f32; 4]>,
    pub points: Vec<u32>,
    pub indices: Vec<u32>,
}

impl Plain {
    /// Adds a vertex. `uv` counts from the bottom, as USD does.
    pub fn vertex(&mut self, position: Vec3, normal: Vec3, uv: Vec2, point: u32) -> u32 {
        self.positions.push(position.to_array());
        self.normals.push(normal.to_array());
        self.uvs.push([uv.x, 1.0 - uv.y]);
        self.points.push(point);
        self.positions.len() as u32 - 1
    }

    /// Adds a triangle, unless two of its corners are in the same place.
    pub fn triangle(&mut self, corners: [u32; 3]) {
        let [a, b, c] = corners.map(|corner| self.positions.get(corner as usize));
        if a != b && b != c && c != a {
            self.indices.extend(corners);
        }
    }

    /// The part that is this mesh.
    pub fn part(self, options: &MeshOptions, double_sided: bool, is_animated: bool, notes: Vec<String>) -> MeshPart {
        let mut mesh = Mesh::new(PrimitiveTopology::TriangleList, options.asset_usage);
        let has_colors = !self.colors.is_empty();
        let is_translucent = self.colors.iter().any(|[_, _, _, alpha]| *alpha < 1.0);
        mesh.insert_attribute(Mesh::ATTRIBUTE_POSITION, self.positions);
        mesh.insert_attribute(Mesh::ATTRIBUTE_NORMAL, self.normals);
        mesh.insert_attribute(Mesh::ATTRIBUTE_UV_0, self.uvs);
        if has_colors {
            mesh.insert_attribute(Mesh::ATTRIBUTE_COLOR, self.colors);
        }
        mesh.insert_indices(Indices::U32(self.indices));
        if options.tangents {
            insert_tangents(&mut mesh);
        }
        MeshPart {
            mesh,
            material: None,
            subset: None,
            point_of_vertex: self.points,
            double_sided,
            uv_sets: vec!["st".to_owned()],
            has_colors,
            is_translucent,
            refined_level: 0,
            skin: None,
            morph_targets: Vec::new(),
            animation: if is_animated { MeshAnimation::Everything } else { MeshAnimation::Still },
            update: None,
            notes,
        }
    }

    /// Gives all vertices one colour.
    pub fn paint(&mut self, color: Vec4) {
        self.colors = vec![color.to_array(); self.positions.len()];
    }
}
