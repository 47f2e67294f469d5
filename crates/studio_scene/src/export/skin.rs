//! Skins: Bevy's joints to a skeleton.
//!
//! Bevy places a vertex at `joint * inverse bind pose * vertex`, in the world, wherever the mesh's entity is; USD at
//! `joint * inverse bind transform * vertex` in the space of the `SkelRoot`. So joints are written as the mesh's entity sees them, and each
//! one beside the others: where they are is all that is seen of how they hang together.

use super::{
    ExportError,
    state::{MAX_DEPTH, Recording},
};
use bevy::{
    ecs::hierarchy::ChildOf,
    mesh::{
        VertexAttributeValues,
        skinning::{SkinnedMesh, SkinnedMeshInverseBindposes},
    },
    prelude::*,
};
use studio_usd::write::{
    LayerBuilder, WriteError, gf,
    sdf::{Path, Value},
};

/// Joints that hold a vertex.
const INFLUENCES: i32 = 4;

/// A skin, read and checked.
pub(super) struct Skin<'a> {
    inverse_binds: &'a [Mat4],
    indices: Vec<i32>,
    weights: &'a [[f32; 4]],
    /// Each joint as the mesh's entity sees it, over time.
    joints: Vec<(f64, Vec<Transform>)>,
}

impl<'a> Skin<'a> {
    /// Reads an entity's skin, if it has one.
    ///
    /// # Errors
    /// [`ExportError::Mesh`] if it does not fit its mesh or is not loaded, [`ExportError::NotFinite`].
    pub fn read(
        world: &'a World,
        recording: &Recording,
        mesh: &'a Mesh,
        entity: Entity,
        name: &str,
    ) -> Result<Option<Self>, ExportError> {
        let wrong = |reason: &str| ExportError::Mesh { entity, name: name.to_owned(), reason: reason.to_owned() };
        let Some(skin) = world.get::<SkinnedMesh>(entity) else { return Ok(None) };
        let binds =
            world.get_resource::<Assets<SkinnedMeshInverseBindposes>>().and_then(|binds| binds.get(&skin.inverse_bindposes));
        let inverse_binds: &[Mat4] = binds.ok_or_else(|| wrong("its bind poses are not loaded yet; wait until they are"))?;
        if inverse_binds.len() != skin.joints.len() || skin.joints.is_empty() {
            return Err(wrong("it has another number of joints than of bind poses"));
        }
        let Some(VertexAttributeValues::Uint16x4(indices)) = mesh.attribute(Mesh::ATTRIBUTE_JOINT_INDEX) else {
            return Err(wrong("it has a skeleton, but no joint indices of the vertex format Uint16x4"));
        };
        let Some(VertexAttributeValues::Float32x4(weights)) = mesh.attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT) else {
            return Err(wrong("it has a skeleton, but no joint weights of the vertex format Float32x4"));
        };
        let vertices = mesh.count_vertices();
        if indices.len() != vertices || weights.len() != vertices {
            return Err(wrong("its joint indices and weights are not one for each vertex"));
        }
        if indices.as_flattened().iter().any(|joint| usize::from(*joint) >= skin.joints.len()) {
            return Err(wrong("a joint index is beyond its joints"));
        }
        if let Some(gone) = skin.joints.iter().find(|joint| world.get_entity(**joint).is_err()) {
            return Err(ExportError::Despawned { entity: *gone, what: format!(" (a joint of {name})") });
        }
        let own = worlds_from(world, recording, entity);
        let joints: Vec<Vec<(f64, Mat4)>> = skin.joints.iter().map(|joint| worlds_from(world, recording, *joint)).collect();
        let at = |frame: usize, matrices: &[(f64, Mat4)]| {
            matrices.get(frame).or(matrices.last()).map(|(_, matrix)| *matrix).unwrap_or_default()
        };
        let seen = |(frame, (time, own)): (usize, &(f64, Mat4))| {
            let from_world = own.inverse();
            (*time, joints.iter().map(|joint| Transform::from_matrix(from_world * at(frame, joint))).collect())
        };
        let joints: Vec<(f64, Vec<Transform>)> = own.iter().enumerate().map(seen).collect();
        let is_finite = joints.iter().flat_map(|(_, joints)| joints).all(Transform::is_finite)
            && inverse_binds.iter().all(|bind| bind.is_finite() && bind.determinant() != 0.0)
            && weights.as_flattened().iter().all(|weight| weight.is_finite());
        if !is_finite {
            return Err(ExportError::NotFinite { entity, name: name.to_owned(), what: "the skin" });
        }
        let indices = indices.as_flattened().iter().map(|joint| i32::from(*joint)).collect();
        Ok(Some(Self { inverse_binds, indices, weights, joints }))
    }

    /// Writes the skeleton, its animation, and how the mesh is bound to it.
    pub fn write(&self, layer: &mut LayerBuilder, mesh: &Path, skeleton: &Path, animation: &Path) -> Result<(), WriteError> {
        let names = || Value::token_vec((0..self.inverse_binds.len()).map(|joint| format!("Joint{joint}")));
        layer.uniform(skeleton, "joints", "token[]", names())?;
        let binds = self.inverse_binds.iter().map(|bind| matrix(bind.inverse())).collect();
        layer.uniform(skeleton, "bindTransforms", "matrix4d[]", Value::Matrix4dVec(binds))?;
        let rest = self.joints.first().map(|(_, joints)| joints.iter().map(|joint| matrix(joint.to_matrix())).collect());
        layer.uniform(skeleton, "restTransforms", "matrix4d[]", Value::Matrix4dVec(rest.unwrap_or_default()))?;

        layer.uniform(animation, "joints", "token[]", names())?;
        let mut put = |name: &str, type_name: &str, of: &dyn Fn(&[Transform]) -> Value| {
            let mut samples: Vec<(f64, Value)> = self.joints.iter().map(|(time, joints)| (*time, of(joints))).collect();
            let stays = samples.windows(2).all(|pair| matches!(pair, [(_, a), (_, b)] if a == b));
            match samples.pop() {
                Some((_, value)) if stays => layer.attribute(animation, name, type_name, value).map(|_| ()),
                Some(last) => {
                    samples.push(last);
                    layer.samples(animation, name, type_name, samples).map(|_| ())
                }
                None => Ok(()),
            }
        };
        put("translations", "float3[]", &|joints| {
            Value::Vec3fVec(joints.iter().map(|joint| super::picture::vec3f(joint.translation)).collect())
        })?;
        put("rotations", "quatf[]", &|joints| {
            let turn = |turn: Quat| gf::Quatf { w: turn.w, x: turn.x, y: turn.y, z: turn.z };
            Value::QuatfVec(joints.iter().map(|joint| turn(joint.rotation.normalize())).collect())
        })?;
        put("scales", "half3[]", &|joints| {
            let half = gf::f16::from_f32;
            Value::Vec3hVec(
                joints.iter().map(|joint| gf::vec3h(half(joint.scale.x), half(joint.scale.y), half(joint.scale.z))).collect(),
            )
        })?;

        for (name, type_name, value) in [
            ("primvars:skel:jointIndices", "int[]", Value::IntVec(self.indices.clone())),
            ("primvars:skel:jointWeights", "float[]", Value::FloatVec(self.weights.as_flattened().to_vec())),
        ] {
            let path = layer.attribute(mesh, name, type_name, value)?;
            layer.set_property_metadata(&path, "interpolation", Value::token("vertex"))?;
            layer.set_property_metadata(&path, "elementSize", Value::Int(INFLUENCES))?;
        }
        layer.attribute(mesh, "primvars:skel:geomBindTransform", "matrix4d", Value::Matrix4d(matrix(Mat4::IDENTITY)))?;
        Ok(())
    }
}

/// A skeleton for blend shapes alone.
pub(super) fn write_no_joints(layer: &mut LayerBuilder, skeleton: &Path) -> Result<(), WriteError> {
    layer.uniform(skeleton, "joints", "token[]", Value::token_vec(["Root"]))?;
    layer.uniform(skeleton, "bindTransforms", "matrix4d[]", Value::Matrix4dVec(vec![matrix(Mat4::IDENTITY)]))?;
    layer.uniform(skeleton, "restTransforms", "matrix4d[]", Value::Matrix4dVec(vec![matrix(Mat4::IDENTITY)]))?;
    Ok(())
}

/// USD's rows are glam's columns.
fn matrix(matrix: Mat4) -> gf::Matrix4d {
    gf::Matrix4d(matrix.to_cols_array().map(f64::from))
}

/// From an entity's space to the world's, over time.
fn worlds_from(world: &World, recording: &Recording, entity: Entity) -> Vec<(f64, Mat4)> {
    let mut matrices: Vec<(f64, Mat4)> =
        recording.states(world, entity).iter().map(|(time, state)| (*time, state.transform.to_matrix())).collect();
    let mut above = entity;
    for _ in 0..MAX_DEPTH {
        let Some(parent) = world.get::<ChildOf>(above).map(ChildOf::parent) else { break };
        let states = recording.states(world, parent);
        for (frame, (_, matrix)) in matrices.iter_mut().enumerate() {
            if let Some((_, state)) = states.get(frame).or(states.last()) {
                *matrix = state.transform.to_matrix() * *matrix;
            }
        }
        above = parent;
    }
    matrices
}
