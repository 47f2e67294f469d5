//! Skeletons and blend shapes.

use super::{Interpolation, Sampled};
use glam::{DMat4, Quat, Vec3};

/// A skeleton: joints as paths, `Hips/Spine/Head`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Skeleton {
    /// The joints' paths, parents before children.
    pub joints: Vec<String>,
    /// The parent of each joint, as a place in `joints`.
    pub parents: Vec<Option<usize>>,
    /// From each joint's space to the skeleton's, when skins were bound.
    pub bind_transforms: Vec<DMat4>,
    /// From each joint's space to its parent's, when nothing moves it.
    pub rest_transforms: Vec<DMat4>,
    /// The path of the animation that moves it; inherited.
    pub animation: Option<String>,
}

/// A skeleton's movement. Its joints are some of the skeleton's, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkelAnimation {
    /// The joints' paths.
    pub joints: Vec<String>,
    /// To their parents.
    pub translations: Sampled<Vec<Vec3>>,
    /// To their parents.
    pub rotations: Sampled<Vec<Quat>>,
    /// To their parents.
    pub scales: Sampled<Vec<Vec3>>,
    /// Names of blend shapes.
    pub blend_shapes: Vec<String>,
    /// Their weights.
    pub blend_shape_weights: Sampled<Vec<f32>>,
}

/// How a skeleton and blend shapes move a mesh.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SkinBinding {
    /// The path of the skeleton; inherited.
    pub skeleton: Option<String>,
    /// From the mesh's space to the skeleton's, when it was bound.
    pub geom_bind_transform: DMat4,
    /// The joints that the indices count; empty if they are the skeleton's own.
    pub joints: Vec<String>,
    /// Joints that hold each point (or the whole mesh, if `Constant`).
    pub joint_indices: Vec<u32>,
    /// And how much each does.
    pub joint_weights: Vec<f32>,
    /// Joints a point.
    pub influences_per_point: usize,
    /// `Vertex`, or `Constant` for a mesh that moves as one.
    pub interpolation: Interpolation,
    /// Whether dual quaternions are asked for instead of linear blending.
    pub dual_quaternion: bool,
    /// Names of blend shapes, as the animation has them, and the paths of their prims.
    pub blend_shapes: Vec<(String, String)>,
}

/// A shape that a mesh can be blended towards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlendShape {
    /// How far each point moves at weight 1.
    pub offsets: Vec<Vec3>,
    /// How normals change.
    pub normal_offsets: Vec<Vec3>,
    /// The points that move; empty for all in order.
    pub point_indices: Vec<u32>,
    /// Shapes on the way, as (name, weight, offsets, normal offsets), sorted by weight.
    pub inbetweens: Vec<(String, f32, Vec<Vec3>, Vec<Vec3>)>,
}
