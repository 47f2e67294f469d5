//! A prim's geometry: what it is made from, and the meshes that come out.

use super::settings::UsdLoadSettings;
use crate::geometry::{self, GeometryError, MeshOptions, MeshPart, VertexColors};
use bevy::{
    mesh::{PrimitiveTopology, skinning::SkinnedMeshInverseBindposes},
    prelude::*,
};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use studio_usd::snapshot::{BlendShape, Mesh as UsdMesh, PrimData, Skeleton, SkinBinding};

/// A prim's geometry as meshes, one for each material. All entities that show it share them.
#[derive(Debug)]
pub(super) struct Drawn {
    pub parts: Vec<DrawnPart>,
    /// Whether it changes its shape over time.
    pub is_animated: bool,
    pub inputs: DrawnInputs,
}

/// A mesh.
#[derive(Debug)]
pub(super) struct DrawnPart {
    /// All but the mesh itself, which is moved to Bevy's assets when it is first shown.
    pub info: MeshPart,
    mesh: Mutex<Option<Mesh>>,
    handle: OnceLock<Handle<Mesh>>,
    pub bindposes: OnceLock<Handle<SkinnedMeshInverseBindposes>>,
}

impl DrawnPart {
    pub(super) fn new(mut info: MeshPart) -> Self {
        let nothing = Mesh::new(PrimitiveTopology::TriangleList, info.mesh.asset_usage);
        let mut mesh = std::mem::replace(&mut info.mesh, nothing);
        if info.skin.is_some() {
            // Without them a skinned mesh is not culled; a mesh that no joint holds has none.
            _ = mesh.generate_skinned_mesh_bounds();
        }
        Self { info, mesh: Mutex::new(Some(mesh)), handle: OnceLock::new(), bindposes: OnceLock::new() }
    }

    /// The mesh among Bevy's assets.
    pub(super) fn handle(&self, meshes: &mut Assets<Mesh>) -> Handle<Mesh> {
        let take = || self.mesh.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.handle
            .get_or_init(|| match take() {
                Some(mesh) => meshes.add(mesh),
                None => Handle::default(),
            })
            .clone()
    }
}

/// All that geometry is made from.
#[derive(Clone, Debug)]
pub(super) struct DrawnInputs {
    pub data: PrimData,
    pub refine_level: u8,
    pub uv_sets: Vec<String>,
    pub tangents: bool,
    pub vertex_colors: VertexColors,
    pub skeleton: Option<Arc<Skeleton>>,
    pub blend_shapes: Vec<Option<Arc<BlendShape>>>,
}

impl DrawnInputs {
    fn options(&self, time: f64) -> MeshOptions {
        MeshOptions {
            time,
            refine_level: self.refine_level.min(UsdLoadSettings::MAX_REFINE_LEVEL),
            uv_sets: self.uv_sets.clone(),
            tangents: self.tangents,
            vertex_colors: self.vertex_colors,
            skeleton: self.skeleton.clone(),
            blend_shapes: self.blend_shapes.clone(),
            ..MeshOptions::default()
        }
    }

    pub(super) fn make(&self, time: f64) -> Result<Vec<MeshPart>, GeometryError> {
        let options = self.options(time);
        match &self.data {
            PrimData::Mesh(mesh) => geometry::mesh_parts(mesh, &options),
            PrimData::Shape(shape) => geometry::shape_mesh(shape, &options).map(|part| vec![part]),
            PrimData::Curves(curves) => geometry::curves_mesh(curves, &options).map(|part| vec![part]),
            PrimData::Points(points) => geometry::points_mesh(points, &options).map(|part| vec![part]),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether other inputs make the same meshes.
    pub(super) fn makes_the_same(&self, other: &Self) -> bool {
        let Self { data, refine_level, uv_sets, tangents, vertex_colors, skeleton, blend_shapes } = self;
        let same_data = match (data, &other.data) {
            (PrimData::Mesh(a), PrimData::Mesh(b)) => {
                Arc::ptr_eq(a, b) || same_mesh(a, b, !matches!(vertex_colors, VertexColors::Never))
            }
            (a, b) => a == b,
        };
        same_data
            && *refine_level == other.refine_level
            && *uv_sets == other.uv_sets
            && *tangents == other.tangents
            && *vertex_colors == other.vertex_colors
            && *skeleton == other.skeleton
            && *blend_shapes == other.blend_shapes
    }

    pub(super) fn is_animated(&self) -> bool {
        use studio_usd::snapshot::ShapeKind as Kind;
        match &self.data {
            PrimData::Mesh(mesh) => {
                mesh.points.is_animated()
                    || mesh.face_vertex_counts.is_animated()
                    || mesh.face_vertex_indices.is_animated()
                    || mesh.display_color.as_ref().is_some_and(|color| color.values.is_animated())
                    || mesh.normals.as_ref().is_some_and(|normals| normals.values.is_animated())
            }
            PrimData::Curves(curves) => {
                curves.points.is_animated() || curves.widths.as_ref().is_some_and(|widths| widths.values.is_animated())
            }
            PrimData::Points(points) => {
                points.points.is_animated() || points.widths.as_ref().is_some_and(|widths| widths.values.is_animated())
            }
            PrimData::Shape(shape) => match &shape.kind {
                Kind::Cube { size } => size.is_animated(),
                Kind::Sphere { radius } => radius.is_animated(),
                Kind::Cylinder { height, radius, radius_top } | Kind::Capsule { height, radius, radius_top } => {
                    height.is_animated() || radius.is_animated() || radius_top.is_animated()
                }
                Kind::Cone { height, radius } => height.is_animated() || radius.is_animated(),
                Kind::Plane { width, length } => width.is_animated() || length.is_animated(),
            },
            _ => false,
        }
    }
}

/// Whether two meshes are the same, with or without their colours.
fn same_mesh(a: &UsdMesh, b: &UsdMesh, with_colors: bool) -> bool {
    let UsdMesh {
        points,
        face_vertex_counts,
        face_vertex_indices,
        hole_indices,
        left_handed,
        double_sided,
        subdivision,
        normals,
        uvs,
        display_color,
        display_opacity,
        subsets,
        skin,
        extent,
    } = a;
    *points == b.points
        && *face_vertex_counts == b.face_vertex_counts
        && *face_vertex_indices == b.face_vertex_indices
        && *hole_indices == b.hole_indices
        && *left_handed == b.left_handed
        && *double_sided == b.double_sided
        && *subdivision == b.subdivision
        && *normals == b.normals
        && *uvs == b.uvs
        && *subsets == b.subsets
        && *skin == b.skin
        && *extent == b.extent
        && (!with_colors || (*display_color == b.display_color && *display_opacity == b.display_opacity))
}

impl Drawn {
    pub(super) fn blend_shapes(&self) -> &[Option<Arc<BlendShape>>] {
        &self.inputs.blend_shapes
    }

    /// What holds it.
    pub(super) fn skin(&self) -> Option<&SkinBinding> {
        match &self.inputs.data {
            PrimData::Mesh(mesh) => mesh.skin.as_ref(),
            _ => None,
        }
    }

    /// Gives its meshes the shape of a time.
    pub(super) fn set_time(&self, time: f64, meshes: &mut Assets<Mesh>) -> Result<(), GeometryError> {
        if self.move_points(time, meshes) {
            return Ok(());
        }
        for (part, now) in self.parts.iter().zip(self.inputs.make(time)?) {
            // What is not shown has no handle yet.
            if let Some(handle) = part.handle.get() {
                // The asset is ours as long as the handle is, so it can be replaced.
                let _ = meshes.insert(handle, now.mesh);
            }
        }
        Ok(())
    }

    /// Moves the points of its meshes, if that is all that a time asks for. `false` if they have to be made anew.
    fn move_points(&self, time: f64, meshes: &mut Assets<Mesh>) -> bool {
        let PrimData::Mesh(mesh) = &self.inputs.data else { return false };
        let Some(update) = self.parts.first().and_then(|part| part.info.update.as_ref()) else { return false };
        // Another number of points needs other faces.
        let Ok(moved) = update.moved(mesh, time) else { return false };
        self.parts.iter().all(|part| {
            let Some(mut mesh) = part.handle.get().and_then(|handle| meshes.get_mut(handle)) else { return true };
            part.info.update.as_ref().is_some_and(|update| geometry::update_points(&mut mesh, update, &moved).is_ok())
        })
    }
}
