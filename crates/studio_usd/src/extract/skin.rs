//! How a skeleton and blend shapes move a mesh: `SkelBindingAPI`, whose properties prims hand down to those below them.

use super::{
    Below,
    primvars::{element_size, primvar},
    read::PrimReader,
    value::{F32S, INDICES, MATRIX, TOKENS},
};
use crate::snapshot::{Interpolation, SkinBinding};
use glam::DMat4;
use openusd::sdf;

/// What prims hand down: `None` where nobody says anything, an empty path where a prim says "none".
#[derive(Clone, Default)]
pub(super) struct SkelBelow {
    pub skeleton: Option<sdf::Path>,
    pub animation: Option<sdf::Path>,
}

impl SkelBelow {
    /// What a prim with its own relationships hands down.
    pub fn with(&self, prim: &PrimReader<'_>) -> Self {
        let own = |name: &str, above: &Option<sdf::Path>| match prim.has(name) {
            // A relationship without a target ends what is inherited.
            true => prim.targets(name).into_iter().next(),
            false => above.clone(),
        };
        Self { skeleton: own("skel:skeleton", &self.skeleton), animation: own("skel:animationSource", &self.animation) }
    }
}

/// The binding of a mesh, if it has joints or blend shapes.
pub(super) fn binding<'a>(prim: &PrimReader<'a>, above: &Below<'a>, own: &SkelBelow) -> Option<SkinBinding> {
    let indices = primvar(prim, &above.primvars, "skel:jointIndices", INDICES);
    let weights = primvar(prim, &above.primvars, "skel:jointWeights", F32S);
    let shapes = prim.uniform_or("skel:blendShapes", TOKENS, Vec::new());
    let shape_targets = prim.targets("skel:blendShapeTargets");
    if indices.is_none() && shapes.is_empty() {
        return None;
    }
    if shapes.len() != shape_targets.len() {
        prim.warn(format!(
            "`skel:blendShapes` has {} names, but `skel:blendShapeTargets` {} targets; those without the other are left out",
            shapes.len(),
            shape_targets.len()
        ));
    }
    let mut binding = SkinBinding {
        skeleton: own.skeleton.as_ref().map(|path| prim.scope.write(path)),
        geom_bind_transform: geom_bind_transform(prim, above),
        joints: prim.uniform_or("skel:joints", TOKENS, Vec::new()),
        influences_per_point: 0,
        interpolation: Interpolation::Vertex,
        blend_shapes: shapes.into_iter().zip(shape_targets.iter().map(|path| prim.scope.write(path))).collect(),
        ..SkinBinding::default()
    };
    if let (Some(indices), Some(weights)) = (indices, weights) {
        let holder = |name: &str| if prim.has(name) { element_size(prim, name) } else { above.primvars.element_size(name) };
        let (per_index, per_weight) = (holder("primvars:skel:jointIndices"), holder("primvars:skel:jointWeights"));
        let joint_indices = earliest(indices.values);
        let joint_weights = earliest(weights.values);
        if per_index != per_weight || joint_indices.len() != joint_weights.len() || joint_indices.len() % per_index != 0 {
            prim.warn(format!(
                "`skel:jointIndices` ({} of {per_index} each) and `skel:jointWeights` ({} of {per_weight} each) do not fit together; the mesh is not skinned",
                joint_indices.len(),
                joint_weights.len()
            ));
        } else {
            binding.influences_per_point = per_index;
            binding.joint_indices = joint_indices;
            binding.joint_weights = joint_weights;
            if indices.interpolation == Interpolation::Constant {
                binding.interpolation = Interpolation::Constant;
            }
        }
    }
    let method = primvar_token(prim, above, "skel:skinningMethod");
    binding.dual_quaternion = method.as_deref() == Some("dualQuaternion");
    Some(binding)
}

fn earliest<T>(value: crate::snapshot::Sampled<Vec<T>>) -> Vec<T> {
    value.default.or_else(|| value.samples.into_iter().next().map(|(_, value)| value)).unwrap_or_default()
}

/// A primvar of one matrix; inherited as all constant ones.
fn geom_bind_transform<'a>(prim: &PrimReader<'a>, above: &Below<'a>) -> DMat4 {
    const NAME: &str = "primvars:skel:geomBindTransform";
    let own = prim.uniform(NAME, MATRIX);
    own.or_else(|| above.primvars.holder(NAME)?.uniform(NAME, MATRIX)).unwrap_or(DMat4::IDENTITY)
}

fn primvar_token<'a>(prim: &PrimReader<'a>, above: &Below<'a>, name: &str) -> Option<String> {
    let name = format!("primvars:{name}");
    prim.uniform(&name, super::value::TOKEN).or_else(|| above.primvars.holder(&name)?.uniform(&name, super::value::TOKEN))
}
