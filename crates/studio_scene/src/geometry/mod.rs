//! Bevy meshes from the geometry of a stage, in the stage's own units and axes.
//!
//! [`mesh_parts`] makes one Bevy mesh for each material of a polygon mesh, refined as a subdivision surface if asked to; [`shape_mesh`],
//! [`curves_mesh`] and [`points_mesh`] make meshes of the other kinds of geometry. All are functions of plain data: no world, no assets,
//! safe to call on any thread.
//!
//! Two things differ from the file. Texture coordinates are Bevy's: `(s, 1 - t)`, because Bevy's pictures begin at the top and USD's at the
//! bottom. And vertices are ours: a point has as many as its corners have different normals, coordinates and colours.
//!
//! Normals: those of the file where the surface is drawn as the polygons it is written as; without any, a subdivision surface
//! (`catmullClark`, `loop`) is smooth (normals of its faces weighted by their area) and a mesh of plain polygons (`none`, `bilinear`) shows
//! its facets, as OpenUSD's own viewer has it. Once refined, normals of the file mean nothing.

mod balls;
mod curves;
mod error;
mod morph;
mod normals;
mod parts;
mod plain;
mod polygons;
mod primvar;
mod shapes;
mod skin;
mod subdivide;
mod tangents;
mod triangulate;
mod update;

#[cfg(test)]
mod tests;

pub use balls::points_mesh;
pub use curves::curves_mesh;
pub use error::GeometryError;
pub use parts::mesh_parts;
pub use shapes::shape_mesh;
pub use update::{MeshUpdate, MovedPoints, update_points};

use bevy::{asset::RenderAssetUsages, math::Mat4, mesh::Mesh};
use std::sync::Arc;
use studio_usd::snapshot::{BlendShape, Skeleton};

/// How geometry becomes a mesh.
#[derive(Clone, Debug)]
pub struct MeshOptions {
    /// The time code that points, sizes and primvars are taken at.
    pub time: f64,
    /// How often a subdivision surface is refined, 0 to [`MAX_REFINE_LEVEL`]. Each level has about four times the faces of the one before.
    pub refine_level: u8,
    /// Refinement stops before a mesh would have more faces than this.
    pub max_faces: usize,
    /// The triangles that curves and points may have, together; beyond it they get fewer sides.
    pub max_triangles: usize,
    /// Sides of round shapes: spheres, cylinders and so on. At least 3.
    pub shape_sides: u32,
    /// Sides of the tubes that stand for curves. At least 3.
    pub tube_sides: u32,
    /// Segments that a cubic piece of a curve is drawn with. At least 1.
    pub curve_segments: u32,
    /// Names of the texture coordinates that materials read, most important first. The first two that the mesh has become `UV_0` and
    /// `UV_1`; what is left over is filled up from `st`, then `uv` and `UVMap`, then the others in order.
    pub uv_sets: Vec<String>,
    /// Whether meshes with texture coordinates get tangents, for normal maps.
    pub tangents: bool,
    /// Which parts get `displayColor` and `displayOpacity` as vertex colours. Bevy multiplies them with a material's colour.
    pub vertex_colors: VertexColors,
    /// The skeleton that the mesh is bound to. Without it the mesh gets no joints.
    pub skeleton: Option<Arc<Skeleton>>,
    /// The blend shapes of the mesh, in the order of its binding, `None` for those that are not there.
    pub blend_shapes: Vec<Option<Arc<BlendShape>>>,
    /// Where Bevy keeps the mesh. [`update_points`] needs the main world.
    pub asset_usage: RenderAssetUsages,
}

/// The most that [`MeshOptions::refine_level`] can be.
pub const MAX_REFINE_LEVEL: u8 = 8;

impl Default for MeshOptions {
    fn default() -> Self {
        Self {
            time: 0.0,
            refine_level: 0,
            max_faces: 1 << 21,
            max_triangles: 1 << 21,
            shape_sides: 32,
            tube_sides: 6,
            curve_segments: 8,
            uv_sets: Vec::new(),
            tangents: false,
            vertex_colors: VertexColors::default(),
            skeleton: None,
            blend_shapes: Vec::new(),
            asset_usage: RenderAssetUsages::default(),
        }
    }
}

/// Which parts of a mesh get vertex colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VertexColors {
    /// Those whose subset has no material of its own. Right for a mesh that has no material bound to the whole of it.
    #[default]
    WithoutMaterial,
    /// All: right where materials read `displayColor`.
    Always,
    /// None: right for a mesh with a material for the whole of it.
    Never,
}

/// A mesh, or the part of one that has a material of its own.
#[derive(Clone, Debug)]
pub struct MeshPart {
    /// Triangles, with joints and morph targets if there are any.
    pub mesh: Mesh,
    /// The material of the part's subset; `None` where the mesh's own holds.
    pub material: Option<String>,
    /// The path of the subset; `None` for faces in no subset.
    pub subset: Option<String>,
    /// The point that each vertex is of: of the file's points, or of the refined ones where `refined_level` is not 0.
    pub point_of_vertex: Vec<u32>,
    /// Whether both sides are seen: a material's `double_sided`, and no culling.
    pub double_sided: bool,
    /// Names of the primvars in `UV_0` and `UV_1`.
    pub uv_sets: Vec<String>,
    /// Whether vertices have colours.
    pub has_colors: bool,
    /// Whether a vertex colour is less than opaque.
    pub is_translucent: bool,
    /// How often the surface was refined.
    pub refined_level: u8,
    /// The joints that hold the part.
    pub skin: Option<PartSkin>,
    /// What its morph targets are, in order.
    pub morph_targets: Vec<MorphTarget>,
    /// How the mesh changes over time.
    pub animation: MeshAnimation,
    /// What moves its points; only where `animation` is [`MeshAnimation::Points`].
    pub update: Option<MeshUpdate>,
    /// What could not be shown as it is written, one sentence each; those of the whole mesh are with its first part.
    pub notes: Vec<String>,
}

/// How a mesh changes over time by itself (joints and blend shapes not counted).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeshAnimation {
    /// Not at all.
    #[default]
    Still,
    /// Points and normals move: [`MeshPart::update`] moves the vertices.
    Points,
    /// Faces, coordinates or colours change: the parts have to be made anew for each time.
    Everything,
}

/// The joints that hold a part of a mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct PartSkin {
    /// The joints that `JOINT_INDEX` counts, as places in the skeleton's joints: what `SkinnedMesh::joints` has to list.
    pub joints: Vec<u32>,
    /// For each of them, from the mesh's space to the joint's when it was bound: what `SkinnedMesh::inverse_bindposes` has to be. The
    /// mesh's own transform has no part in where a skinned mesh is, in USD as in Bevy: the joints alone place it.
    pub inverse_bindposes: Vec<Mat4>,
}

/// A morph target: a blend shape, or a shape on the way to one.
#[derive(Clone, Debug, PartialEq)]
pub struct MorphTarget {
    /// Its name: the blend shape's as the animation has it, followed by `:` and the inbetween's own.
    pub name: String,
    /// The blend shape, as a place in the binding's.
    pub blend_shape: usize,
    /// The inbetween, as a place in the blend shape's; `None` for the shape itself.
    pub inbetween: Option<usize>,
}
