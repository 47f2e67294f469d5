//! Where joints are.

use bevy::{
    math::{DMat4, DQuat, DVec3, Mat4},
    platform::collections::HashMap,
    transform::components::Transform,
};
use studio_usd::snapshot::{SkelAnimation, Skeleton};

/// A skeleton at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// From each joint's space to its parent's.
    pub local: Vec<DMat4>,
    /// What the animation says that does not fit the skeleton, one sentence each.
    pub notes: Vec<String>,
}

/// From each joint's space to its parent's at a time: the rest pose, and over it what the animation says of the joints it names.
///
/// A part of the animation (translations, rotations, scales) that has no values leaves that part of the rest pose; one with too few is
/// left out and noted.
pub fn joint_local_transforms(skeleton: &Skeleton, animation: Option<&SkelAnimation>, time: f64) -> Pose {
    let rest = |joint: usize| skeleton.rest_transforms.get(joint).copied().unwrap_or_else(|| bound_local(skeleton, joint));
    let mut local: Vec<DMat4> = (0..skeleton.joints.len()).map(rest).collect();
    let mut notes = Vec::new();
    let Some(animation) = animation else { return Pose { local, notes } };
    let count = animation.joints.len();
    let mut checked = |what: &str, found: Option<usize>| match found {
        Some(found) if found < count => {
            if found > 0 {
                notes.push(format!("{what} of the animation has {found} values for {count} joints; it is left out"));
            }
            false
        }
        Some(_) => true,
        None => false,
    };
    let translations = animation.translations.at(time);
    let translations = translations.filter(|values| checked("translations", Some(values.len())));
    let rotations = animation.rotations.at(time).filter(|values| checked("rotations", Some(values.len())));
    let scales = animation.scales.at(time).filter(|values| checked("scales", Some(values.len())));
    if translations.is_none() && rotations.is_none() && scales.is_none() {
        return Pose { local, notes };
    }
    let places: HashMap<&str, usize> = skeleton.joints.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut unknown = 0;
    for (at, name) in animation.joints.iter().enumerate() {
        let Some(matrix) = places.get(name.as_str()).and_then(|joint| local.get_mut(*joint)) else {
            unknown += 1;
            continue;
        };
        let (rest_scale, rest_rotation, rest_translation) = decompose(*matrix);
        let translation =
            translations.as_ref().and_then(|values| values.get(at)).map_or(rest_translation, |value| value.as_dvec3());
        let rotation = rotations.as_ref().and_then(|values| values.get(at)).map_or(rest_rotation, |value| {
            let rotation = value.as_dquat();
            if rotation.length_squared() > 0.0 && rotation.is_finite() { rotation.normalize() } else { DQuat::IDENTITY }
        });
        let scale = scales.as_ref().and_then(|values| values.get(at)).map_or(rest_scale, |value| value.as_dvec3());
        let moved = DMat4::from_scale_rotation_translation(scale, rotation, translation);
        if moved.is_finite() {
            *matrix = moved;
        }
    }
    if unknown > 0 {
        notes.push(format!("{unknown} of the {count} joints of the animation are not in the skeleton"));
    }
    Pose { local, notes }
}

/// Where a joint was bound, in its parent's space: for skeletons without a rest pose.
fn bound_local(skeleton: &Skeleton, joint: usize) -> DMat4 {
    let bound = |joint: usize| skeleton.bind_transforms.get(joint).copied().unwrap_or_default();
    match parent(skeleton, joint) {
        Some(parent) if bound(parent).determinant() != 0.0 => bound(parent).inverse() * bound(joint),
        _ => bound(joint),
    }
}

/// The parent of a joint. One that does not come before its joint is none, so that nothing goes around in circles.
fn parent(skeleton: &Skeleton, joint: usize) -> Option<usize> {
    skeleton.parents.get(joint).copied().flatten().filter(|parent| *parent < joint)
}

/// From each joint's space to the skeleton's, of transforms to their parents'.
pub fn skeleton_space(skeleton: &Skeleton, local: &[DMat4]) -> Vec<DMat4> {
    let mut placed: Vec<DMat4> = Vec::with_capacity(local.len());
    for (joint, matrix) in local.iter().enumerate() {
        let parent = parent(skeleton, joint).and_then(|parent| placed.get(parent)).copied();
        placed.push(parent.unwrap_or_default() * *matrix);
    }
    placed
}

/// The `Transform`s of the joints' entities, each below its parent's, of transforms to their parents'. A Bevy transform has no shear: what
/// a matrix has of it is lost.
pub fn joint_transforms(local: &[DMat4]) -> Vec<Transform> {
    local
        .iter()
        .map(|matrix| {
            let (scale, rotation, translation) = decompose(*matrix);
            Transform { translation: translation.as_vec3(), rotation: rotation.as_quat(), scale: scale.as_vec3() }
        })
        .collect()
}

/// Scale, rotation and translation of a matrix; also of one that is flat, which has no direction along an axis of no length.
fn decompose(matrix: DMat4) -> (DVec3, DQuat, DVec3) {
    if matrix.determinant().abs() > f64::MIN_POSITIVE {
        let (scale, rotation, translation) = matrix.to_scale_rotation_translation();
        if rotation.is_finite() {
            return (scale, rotation, translation);
        }
    }
    let axes = [matrix.x_axis, matrix.y_axis, matrix.z_axis].map(|axis| axis.truncate().length());
    (DVec3::from_array(axes), DQuat::IDENTITY, matrix.w_axis.truncate())
}

/// What `SkinnedMesh::inverse_bindposes` has to be for a mesh that is held by some joints of a skeleton: from the mesh's space, by where
/// the mesh was bound (`geomBindTransform`), to each joint's. Joints that were bound by a matrix without an inverse hold the mesh where it
/// is, and the second value says so.
pub fn inverse_bindposes(skeleton: &Skeleton, joints: &[u32], geom_bind_transform: DMat4) -> (Vec<Mat4>, Option<String>) {
    let mut flat = 0;
    let poses = joints
        .iter()
        .map(|joint| {
            let bound = skeleton.bind_transforms.get(*joint as usize).copied().unwrap_or_default();
            let inverse = bound.inverse();
            if bound.determinant() != 0.0 && inverse.is_finite() {
                (inverse * geom_bind_transform).as_mat4()
            } else {
                flat += 1;
                geom_bind_transform.as_mat4()
            }
        })
        .collect();
    let problem =
        (flat > 0).then(|| format!("{flat} joints have a bindTransform without an inverse; it is taken for the identity"));
    (poses, problem)
}
