//! Joints and blend shapes.

use super::*;
use crate::skeleton;
use bevy::math::{DMat4, DVec3};
use proptest::prelude::*;
use std::sync::Arc;
use studio_usd::snapshot::{BlendShape, SkelAnimation, Skeleton, SkinBinding};

fn skeleton() -> Skeleton {
    let up = DMat4::from_translation(DVec3::Y);
    Skeleton {
        joints: vec!["a".into(), "a/b".into(), "a/b/c".into()],
        parents: vec![None, Some(0), Some(1)],
        bind_transforms: vec![DMat4::IDENTITY, up, up * up],
        rest_transforms: vec![DMat4::IDENTITY, up, up],
        animation: None,
    }
}

fn bound(binding: SkinBinding) -> (snapshot::Mesh, MeshOptions) {
    let mut mesh = square();
    mesh.skin = Some(binding);
    (mesh, MeshOptions { skeleton: Some(Arc::new(skeleton())), ..Default::default() })
}

fn holds(mesh: &Mesh) -> Vec<([u16; 4], [f32; 4])> {
    match (mesh.attribute(Mesh::ATTRIBUTE_JOINT_INDEX), mesh.attribute(Mesh::ATTRIBUTE_JOINT_WEIGHT)) {
        (Some(VertexAttributeValues::Uint16x4(joints)), Some(VertexAttributeValues::Float32x4(weights))) => {
            joints.iter().copied().zip(weights.iter().copied()).collect()
        }
        other => panic!("no joints: {other:?}"),
    }
}

#[test]
fn joints_are_those_of_the_skeleton_by_name_and_only_those_that_hold_something() {
    let (mesh, options) = bound(SkinBinding {
        joints: vec!["a/b/c".into(), "nowhere".into(), "a".into()],
        joint_indices: [0, 2, 1].repeat(4),
        joint_weights: [3.0, 1.0, 4.0].repeat(4),
        influences_per_point: 3,
        interpolation: Interpolation::Vertex,
        geom_bind_transform: DMat4::from_scale(DVec3::splat(2.0)),
        dual_quaternion: true,
        ..Default::default()
    });
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    let skin = made.skin.expect("a skin");
    assert_eq!(skin.joints, [0, 2]);
    for (joints, weights) in holds(&made.mesh) {
        assert_eq!((joints[0], joints[1]), (1, 0));
        assert_eq!(weights, [0.75, 0.25, 0.0, 0.0]);
    }
    // A point at the place of `c`, two up, in a mesh that is half as large.
    let at = skin.inverse_bindposes[1].transform_point3(Vec3::Y);
    assert!(at.abs_diff_eq(Vec3::ZERO, 1e-6), "{at}");
    assert!(
        made.notes.iter().any(|note| note.contains("nowhere")) && made.notes.iter().any(|note| note.contains("dualQuaternion"))
    );
    assert!(made.mesh.skinned_mesh_bounds().is_some());
}

#[test]
fn a_rigid_mesh_follows_its_joint() {
    let (mesh, options) = bound(SkinBinding {
        joint_indices: vec![1],
        joint_weights: vec![1.0],
        influences_per_point: 1,
        interpolation: Interpolation::Constant,
        ..Default::default()
    });
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    assert_eq!(made.skin.expect("a skin").joints, [1]);
    assert!(holds(&made.mesh).iter().all(|hold| *hold == ([0; 4], [1.0, 0.0, 0.0, 0.0])));
}

#[test]
fn the_strongest_four_joints_stay() {
    let names: Vec<String> = (0..6).map(|at| format!("j{at}")).collect();
    let (mesh, mut options) = bound(SkinBinding {
        joint_indices: [0, 1, 2, 3, 4, 5].repeat(4),
        joint_weights: [0.05, 0.3, 0.2, 0.25, 0.05, 0.15].repeat(4),
        influences_per_point: 6,
        interpolation: Interpolation::Vertex,
        ..Default::default()
    });
    options.skeleton = Some(Arc::new(Skeleton {
        joints: names,
        parents: vec![None; 6],
        bind_transforms: vec![DMat4::IDENTITY; 6],
        ..Default::default()
    }));
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    let skin = made.skin.expect("a skin");
    for (joints, weights) in holds(&made.mesh) {
        assert_eq!(joints.map(|joint| skin.joints[joint as usize]), [1, 3, 2, 5]);
        assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((weights[0] - 0.3 / 0.9).abs() < 1e-6);
    }
    assert!(made.notes[0].contains("at most 10.0 %"), "{:?}", made.notes);
}

#[test]
fn holds_are_refined_with_the_surface() {
    let (mut mesh, mut options) = bound(SkinBinding {
        joint_indices: vec![0, 1, 1, 0],
        joint_weights: vec![1.0; 4],
        influences_per_point: 1,
        interpolation: Interpolation::Vertex,
        ..Default::default()
    });
    mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
    options.refine_level = 1;
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    for (position, (joints, weights)) in positions(&made.mesh).iter().zip(holds(&made.mesh)) {
        // The right side is held by joint 1, the left by 0, the middle by both.
        let right: f32 = joints.iter().zip(weights).filter(|(joint, _)| **joint == 1).map(|(_, weight)| weight).sum();
        assert!((right - (position.x + 1.0) / 2.0).abs() < 1e-6, "{position}: {right}");
    }
}

#[test]
fn a_binding_that_does_not_fit_leaves_the_mesh_as_it_is() {
    for (indices, width) in [(vec![0, 1], 1), (vec![0; 4], 0), (vec![0; 4], usize::MAX)] {
        let (mesh, options) = bound(SkinBinding {
            joint_weights: vec![1.0; indices.len()],
            joint_indices: indices,
            influences_per_point: width,
            interpolation: Interpolation::Vertex,
            ..Default::default()
        });
        let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
        assert!(made.skin.is_none() && made.notes[0].contains("not skinned"));
    }
}

fn smile() -> (snapshot::Mesh, MeshOptions, SkinBinding) {
    let binding = SkinBinding {
        blend_shapes: vec![("smile".into(), "/smile".into()), ("gone".into(), "/gone".into())],
        ..Default::default()
    };
    let shape = BlendShape {
        offsets: vec![Vec3::Z, Vec3::Z * 2.0],
        normal_offsets: vec![Vec3::X, Vec3::X],
        point_indices: vec![3, 1],
        inbetweens: vec![("half".into(), 0.5, vec![Vec3::Y, Vec3::ZERO], vec![])],
    };
    let (mesh, mut options) = bound(binding.clone());
    options.blend_shapes = vec![Some(Arc::new(shape)), None];
    (mesh, options, binding)
}

#[test]
fn blend_shapes_are_morph_targets_with_those_on_the_way() {
    let (mesh, options, _) = smile();
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    assert_eq!(made.morph_targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>(), ["smile", "smile:half"]);
    assert_eq!(made.mesh.morph_target_names().expect("names").len(), 2);
    let attributes = made.mesh.morph_targets().expect("targets");
    let count = made.mesh.count_vertices();
    assert_eq!(attributes.len(), 2 * count);
    for (vertex, point) in made.point_of_vertex.iter().enumerate() {
        let expected = [Vec3::ZERO, Vec3::Z * 2.0, Vec3::ZERO, Vec3::Z][*point as usize];
        assert_eq!(attributes[vertex].position, expected);
        assert_eq!(attributes[count + vertex].position, if *point == 3 { Vec3::Y } else { Vec3::ZERO });
    }
    assert!(made.notes.iter().any(|note| note.contains("/gone")), "{:?}", made.notes);
}

#[test]
fn weights_are_shared_with_the_shapes_on_the_way() {
    let (mesh, options, binding) = smile();
    let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
    let weights = |weight: f32| {
        let animation = SkelAnimation {
            blend_shapes: vec!["other".into(), "smile".into()],
            blend_shape_weights: vec![9.0, weight].into(),
            ..Default::default()
        };
        skeleton::morph_weights(&made.morph_targets, &binding, &options.blend_shapes, Some(&animation), 0.0)
    };
    assert_eq!(weights(0.0), [0.0, 0.0]);
    assert_eq!(weights(0.25), [0.0, 0.5]);
    assert_eq!(weights(0.5), [0.0, 1.0]);
    assert_eq!(weights(0.75), [0.5, 0.5]);
    assert_eq!(weights(1.0), [1.0, 0.0]);
    assert_eq!(weights(1.5), [2.0, -1.0], "beyond the end the last pair goes on");
    assert_eq!(skeleton::morph_weights(&made.morph_targets, &binding, &options.blend_shapes, None, 0.0), [0.0, 0.0]);
}

proptest! {
    /// Whatever a binding says, weights add up to one and joints are those that are listed.
    #[test]
    fn no_numbers_break_a_skin(
        indices in proptest::collection::vec(0_u32..5, 0..40),
        weights in proptest::collection::vec(prop_oneof![Just(f32::NAN), Just(f32::INFINITY), -1.0_f32..2.0], 0..40),
        width in 0..12_usize,
        named in any::<bool>(),
        constant in any::<bool>(),
        level in 0..3_u8,
    ) {
        let (mut mesh, mut options) = bound(SkinBinding {
            joints: if named { vec!["a/b".into(), "x".into(), "a".into()] } else { Vec::new() },
            joint_indices: indices,
            joint_weights: weights,
            influences_per_point: width,
            interpolation: if constant { Interpolation::Constant } else { Interpolation::Vertex },
            ..Default::default()
        });
        mesh.subdivision.scheme = SubdivisionScheme::CatmullClark;
        options.refine_level = level;
        let made = only(mesh_parts(&mesh, &options).expect("a mesh"));
        if let Some(skin) = &made.skin {
            for (joints, weights) in holds(&made.mesh) {
                prop_assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{weights:?}");
                prop_assert!(joints.iter().zip(weights).all(|(joint, weight)| weight == 0.0 || (*joint as usize) < skin.joints.len()));
            }
            prop_assert!(skin.joints.iter().all(|joint| *joint < 3));
            prop_assert_eq!(skin.joints.len(), skin.inverse_bindposes.len());
        }
    }
}
