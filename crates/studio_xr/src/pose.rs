//! OpenXR's poses and angles as Bevy's, and back. Both have X to the right, Y up and -Z ahead, in metres.

use bevy::prelude::*;
use openxr::{Fovf, Posef, Quaternionf, Vector3f};
use studio_profile::eye::EyeTangents;

/// Where an eye is and what it sees, for one display time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct XrView {
    /// The eye's place and direction in the base space.
    pub eye: Isometry3d,
    /// The edges of its view.
    pub tangents: EyeTangents,
    pub(crate) fov: Fovf,
}

impl XrView {
    pub(crate) fn new(view: &openxr::View) -> Self {
        let Fovf { angle_left, angle_right, angle_up, angle_down } = view.fov;
        let tangents =
            EyeTangents { left: -angle_left.tan(), right: angle_right.tan(), up: angle_up.tan(), down: -angle_down.tan() };
        Self { eye: isometry(view.pose), tangents, fov: view.fov }
    }
}

/// A pose from OpenXR; what is not finite or not a rotation counts as none.
pub(crate) fn isometry(pose: Posef) -> Isometry3d {
    let Quaternionf { x, y, z, w } = pose.orientation;
    let rotation = Quat::from_xyzw(x, y, z, w);
    let rotation = if rotation.is_finite() && rotation.length_squared() > 0.5 { rotation.normalize() } else { Quat::IDENTITY };
    let Vector3f { x, y, z } = pose.position;
    let place = Vec3::new(x, y, z);
    Isometry3d::new(if place.is_finite() { place } else { Vec3::ZERO }, rotation)
}

/// A pose for OpenXR.
pub(crate) fn posef(isometry: Isometry3d) -> Posef {
    let (place, turn) = (isometry.translation, isometry.rotation);
    Posef {
        orientation: Quaternionf { x: turn.x, y: turn.y, z: turn.z, w: turn.w },
        position: Vector3f { x: place.x, y: place.y, z: place.z },
    }
}

/// Where "ahead" is for someone who looks along `head`: the direction without looking up or down and without tilting, so that
/// the horizon stays level. Looking straight up or down, what is ahead of the body counts.
pub(crate) fn level(head: Isometry3d) -> Isometry3d {
    let ahead = head.rotation * Vec3::NEG_Z;
    // Near the poles the top of the head tells the direction better than the nose.
    let flat = if ahead.y.abs() < 0.99 { ahead } else { head.rotation * Vec3::Y * -ahead.y.signum() };
    Isometry3d::new(head.translation, Quat::from_rotation_y(f32::atan2(-flat.x, -flat.z)))
}

/// Yaw to the right and pitch up of a direction, in degrees.
pub(crate) fn yaw_pitch_deg(direction: Vec3) -> (f32, f32) {
    let direction = direction.normalize_or(Vec3::NEG_Z);
    (f32::atan2(direction.x, -direction.z).to_degrees(), direction.y.clamp(-1.0, 1.0).asin().to_degrees())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_stays_level_wherever_the_head_points() {
        let turned = Quat::from_euler(EulerRot::YXZ, -0.7, 0.4, 0.3);
        let ahead = level(Isometry3d::new(Vec3::new(0.1, 1.6, 0.2), turned));
        assert!((ahead.rotation * Vec3::Y - Vec3::Y).length() < 1e-6);
        assert!((yaw_pitch_deg(ahead.rotation * Vec3::NEG_Z).0 - 0.7_f32.to_degrees()).abs() < 1e-3);
        for up in [1.0, -1.0] {
            let gazing = Quat::from_euler(EulerRot::YXZ, -0.7, up * std::f32::consts::FRAC_PI_2, 0.0);
            let ahead = level(Isometry3d::from_rotation(gazing));
            assert!((yaw_pitch_deg(ahead.rotation * Vec3::NEG_Z).0 - 0.7_f32.to_degrees()).abs() < 0.1, "{up}");
        }
    }

    #[test]
    fn a_pose_goes_there_and_back_and_rubbish_is_harmless() {
        let pose = Isometry3d::new(Vec3::new(1.0, 2.0, 3.0), Quat::from_rotation_x(0.5));
        assert!(isometry(posef(pose)).translation.distance(pose.translation) < 1e-6);
        let mut rubbish = posef(pose);
        rubbish.orientation.w = f32::NAN;
        rubbish.position.x = f32::INFINITY;
        assert_eq!(isometry(rubbish), Isometry3d::IDENTITY);
    }

    #[test]
    fn right_is_positive_yaw_and_up_is_positive_pitch() {
        assert_eq!(yaw_pitch_deg(Vec3::X).0.round(), 90.0);
        assert_eq!(yaw_pitch_deg(Vec3::new(0.0, 1.0, -1.0)).1.round(), 45.0);
    }
}
