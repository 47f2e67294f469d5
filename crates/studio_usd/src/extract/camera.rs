//! Cameras.

use super::{
    primvars::token_or,
    read::PrimReader,
    value::{F32, F64, VEC2},
};
use crate::snapshot::{Camera, StereoRole};
use glam::Vec2;

pub(super) fn camera(prim: &PrimReader<'_>) -> Camera {
    let number = |name: &str, fallback: f32| prim.sampled_or(name, F32, fallback);
    let orthographic = match token_or(prim, "projection", "perspective").as_str() {
        "orthographic" => true,
        "perspective" => false,
        other => {
            prim.warn(format!("`projection` cannot be `{other}`; perspective is used"));
            false
        }
    };
    let stereo_role = match token_or(prim, "stereoRole", "mono").as_str() {
        "left" => StereoRole::Left,
        "right" => StereoRole::Right,
        "mono" => StereoRole::Mono,
        other => {
            prim.warn(format!("`stereoRole` cannot be `{other}`; mono is used"));
            StereoRole::Mono
        }
    };
    Camera {
        orthographic,
        focal_length: number("focalLength", 50.0),
        horizontal_aperture: number("horizontalAperture", 20.955),
        vertical_aperture: number("verticalAperture", 15.2908),
        horizontal_aperture_offset: number("horizontalApertureOffset", 0.0),
        vertical_aperture_offset: number("verticalApertureOffset", 0.0),
        clipping_range: prim.sampled_or("clippingRange", VEC2, Vec2::new(1.0, 1_000_000.0)),
        f_stop: number("fStop", 0.0),
        focus_distance: number("focusDistance", 0.0),
        exposure: number("exposure", 0.0),
        shutter: (prim.uniform_or("shutter:open", F64, 0.0), prim.uniform_or("shutter:close", F64, 0.0)),
        stereo_role,
    }
}
