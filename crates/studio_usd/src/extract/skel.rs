//! Skeletons, their movement, and blend shapes.

use super::{
    read::PrimReader,
    skin::SkelBelow,
    value::{self, F32S, INDICES, MATRICES, QUATS, TOKENS, VEC3S},
};
use crate::snapshot::{BlendShape, SkelAnimation, Skeleton};
use glam::DMat4;
use std::collections::HashMap;

pub(super) fn skeleton(prim: &PrimReader<'_>, own: &SkelBelow) -> Skeleton {
    let joints = prim.uniform_or("joints", TOKENS, Vec::new());
    let parents = parents(prim, &joints);
    let matrices = |name: &str| {
        let matrices = prim.uniform_or(name, MATRICES, Vec::new());
        if !matrices.is_empty() && matrices.len() != joints.len() {
            prim.warn(format!("`{name}` has {} matrices, but there are {} joints", matrices.len(), joints.len()));
        }
        let mut matrices = matrices;
        matrices.truncate(joints.len());
        matrices
    };
    let mut bind_transforms = matrices("bindTransforms");
    let mut rest_transforms = matrices("restTransforms");
    // Where one kind is missing, the other says the same pose.
    if rest_transforms.len() < joints.len() && bind_transforms.len() == joints.len() {
        rest_transforms = local_of(&bind_transforms, &parents);
    } else if bind_transforms.len() < joints.len() && rest_transforms.len() == joints.len() {
        bind_transforms = absolute_of(&rest_transforms, &parents);
    }
    bind_transforms.resize(joints.len(), DMat4::IDENTITY);
    rest_transforms.resize(joints.len(), DMat4::IDENTITY);
    let animation = own.animation.as_ref().map(|path| prim.scope.write(path));
    Skeleton { joints, parents, bind_transforms, rest_transforms, animation }
}

/// The nearest ancestor by path that is a joint itself. One that comes after its child breaks the order, and is no parent.
fn parents(prim: &PrimReader<'_>, joints: &[String]) -> Vec<Option<usize>> {
    let places: HashMap<&str, usize> = joints.iter().enumerate().map(|(place, joint)| (joint.as_str(), place)).collect();
    let mut parents = Vec::with_capacity(joints.len());
    for (place, joint) in joints.iter().enumerate() {
        let mut path = joint.as_str();
        let mut parent = None;
        while let Some((above, _)) = path.rsplit_once('/') {
            if let Some(found) = places.get(above) {
                parent = Some(*found);
                break;
            }
            path = above;
        }
        if parent.is_some_and(|parent| parent >= place) {
            prim.warn(format!("the joint `{joint}` comes before its parent; it is taken for a root"));
            parent = None;
        }
        parents.push(parent);
    }
    parents
}

fn local_of(absolute: &[DMat4], parents: &[Option<usize>]) -> Vec<DMat4> {
    let local = |(matrix, parent): (&DMat4, &Option<usize>)| match parent.and_then(|parent| absolute.get(parent)) {
        Some(parent) if parent.determinant() != 0.0 => parent.inverse() * *matrix,
        _ => *matrix,
    };
    absolute.iter().zip(parents).map(local).collect()
}

fn absolute_of(local: &[DMat4], parents: &[Option<usize>]) -> Vec<DMat4> {
    let mut absolute: Vec<DMat4> = Vec::with_capacity(local.len());
    for (matrix, parent) in local.iter().zip(parents) {
        let above = parent.and_then(|parent| absolute.get(parent)).copied().unwrap_or(DMat4::IDENTITY);
        absolute.push(above * *matrix);
    }
    absolute
}

pub(super) fn animation(prim: &PrimReader<'_>) -> SkelAnimation {
    SkelAnimation {
        joints: prim.uniform_or("joints", TOKENS, Vec::new()),
        translations: prim.sampled("translations", VEC3S),
        rotations: prim.sampled("rotations", QUATS),
        scales: prim.sampled("scales", VEC3S),
        blend_shapes: prim.uniform_or("blendShapes", TOKENS, Vec::new()),
        blend_shape_weights: prim.sampled("blendShapeWeights", F32S),
    }
}

pub(super) fn blend_shape(prim: &PrimReader<'_>) -> BlendShape {
    let offsets = prim.uniform_or("offsets", VEC3S, Vec::new());
    let mut inbetweens = Vec::new();
    for name in &prim.names {
        let Some(short) = name.strip_prefix("inbetweens:").filter(|short| !short.contains(':')) else { continue };
        let Some(weight) = prim.property_metadata(name, "weight").and_then(value::f64) else {
            prim.warn(format!("`{name}` has no `weight` in its metadata; it is left out"));
            continue;
        };
        let shape = prim.uniform_or(name, VEC3S, Vec::new());
        if shape.len() != offsets.len() {
            prim.warn(format!("`{name}` has {} offsets, but `offsets` has {}; it is left out", shape.len(), offsets.len()));
            continue;
        }
        let normals = prim.uniform_or(&format!("{name}:normalOffsets"), VEC3S, Vec::new());
        inbetweens.push((short.to_owned(), weight as f32, shape, normals));
    }
    inbetweens.sort_by(|before, after| before.1.total_cmp(&after.1));
    BlendShape {
        offsets,
        normal_offsets: prim.uniform_or("normalOffsets", VEC3S, Vec::new()),
        point_indices: prim.uniform_or("pointIndices", INDICES, Vec::new()),
        inbetweens,
    }
}
