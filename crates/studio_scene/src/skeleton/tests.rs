//! Poses.

use super::*;
use bevy::math::{DMat4, DVec3, Quat, Vec3};
use std::f32::consts::FRAC_PI_2;
use studio_usd::snapshot::{Sampled, SkelAnimation, Skeleton};

fn arm() -> Skeleton {
    let up = DMat4::from_translation(DVec3::Y);
    Skeleton {
        joints: vec!["shoulder".into(), "shoulder/elbow".into(), "shoulder/elbow/hand".into()],
        parents: vec![None, Some(0), Some(1)],
        bind_transforms: vec![DMat4::IDENTITY, up, up * up],
        rest_transforms: vec![DMat4::IDENTITY, up, up],
        animation: None,
    }
}

#[test]
fn an_animation_moves_the_joints_it_names_and_the_others_rest() {
    let animation = SkelAnimation {
        joints: vec!["shoulder/elbow".into()],
        rotations: Sampled {
            default: None,
            samples: vec![(0.0, vec![Quat::IDENTITY]), (10.0, vec![Quat::from_rotation_z(FRAC_PI_2)])],
            held: false,
        },
        ..Default::default()
    };
    let hand = |time: f64| {
        let pose = joint_local_transforms(&arm(), Some(&animation), time);
        assert!(pose.notes.is_empty());
        skeleton_space(&arm(), &pose.local)[2].transform_point3(DVec3::ZERO)
    };
    assert!(hand(0.0).abs_diff_eq(DVec3::Y * 2.0, 1e-6));
    assert!(hand(10.0).abs_diff_eq(DVec3::new(-1.0, 1.0, 0.0), 1e-6), "the elbow is bent, and where it was");
    let half = std::f64::consts::FRAC_1_SQRT_2;
    assert!(hand(5.0).abs_diff_eq(DVec3::new(-half, 1.0 + half, 0.0), 1e-6));
}

#[test]
fn a_skeleton_at_rest_holds_its_mesh_where_it_was_bound() {
    let skeleton = arm();
    let local = joint_local_transforms(&skeleton, None, 0.0).local;
    let placed = skeleton_space(&skeleton, &local);
    let bind = DMat4::from_translation(DVec3::new(3.0, 4.0, 5.0));
    let (inverse, problem) = inverse_bindposes(&skeleton, &[0, 1, 2], bind);
    assert_eq!(problem, None);
    for (placed, inverse) in placed.iter().zip(inverse) {
        let at = (placed.as_mat4() * inverse).transform_point3(Vec3::ONE);
        assert!(at.abs_diff_eq(Vec3::new(4.0, 5.0, 6.0), 1e-5));
    }
    let transforms = joint_transforms(&local);
    assert_eq!(transforms[1].translation, Vec3::Y);
}

#[test]
fn a_skeleton_without_a_rest_pose_rests_as_it_was_bound() {
    let skeleton = Skeleton { rest_transforms: Vec::new(), ..arm() };
    assert_eq!(joint_local_transforms(&skeleton, None, 0.0).local, arm().rest_transforms);
}

#[test]
fn hostile_skeletons_end() {
    let skeleton = Skeleton { parents: vec![Some(2), Some(1), Some(9)], bind_transforms: vec![DMat4::ZERO; 2], ..arm() };
    let animation = SkelAnimation {
        joints: vec!["shoulder".into(), "nobody".into()],
        translations: vec![Vec3::NAN, Vec3::X].into(),
        rotations: vec![Quat::from_xyzw(0.0, 0.0, 0.0, 0.0); 1].into(),
        ..Default::default()
    };
    let pose = joint_local_transforms(&skeleton, Some(&animation), 0.0);
    assert_eq!(pose.notes.len(), 2, "{:?}", pose.notes);
    assert!(skeleton_space(&skeleton, &pose.local).iter().all(|matrix| matrix.is_finite()));
    let (poses, problem) = inverse_bindposes(&skeleton, &[0, 7], DMat4::IDENTITY);
    assert_eq!(poses.len(), 2);
    assert!(problem.is_some());
}
