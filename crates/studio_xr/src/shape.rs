//! What a picture is to the compositor: a part of a sphere, a screen, or something that we must draw for each eye.

use bevy::prelude::*;
use std::f32::consts::{FRAC_PI_2, PI};
use studio_frame::prelude::*;

/// How a picture is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A part of a sphere, handed to the compositor as it is (`XR_KHR_composition_layer_equirect2`).
    Sphere(SphereAngles),
    /// A flat screen, handed to the compositor as it is; width and height in metres.
    Screen { size_m: Vec2, distance_m: f32 },
    /// Both eyes' views are drawn for each frame of the display.
    EyeViews,
}

/// The part of a sphere that a picture covers, in radians, by OpenXR's names.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SphereAngles {
    /// How far it reaches across.
    pub central_horizontal: f32,
    /// Its upper and lower edge above the horizon.
    pub upper_vertical: f32,
    pub lower_vertical: f32,
}

/// How to show a picture of one eye's size in pixels. With `equirect2`, the compositor takes equirectangular pictures.
pub(crate) fn shape(projection: PictureProjection, eye_px: Vec2, equirect2: bool, distance_m: f32) -> Shape {
    match projection {
        PictureProjection::Equirectangular | PictureProjection::HalfEquirectangular if equirect2 => {
            let central_horizontal = if projection == PictureProjection::Equirectangular { 2.0 * PI } else { PI };
            Shape::Sphere(SphereAngles { central_horizontal, upper_vertical: FRAC_PI_2, lower_vertical: -FRAC_PI_2 })
        }
        PictureProjection::Rectilinear { fov_deg } => {
            // As large as it was filmed, but nobody wants to turn the head to see a screen's edges.
            let angle = fov_deg.clamp(1.0, Screen::LARGEST_DEG).to_radians();
            let width = 2.0 * distance_m * (angle / 2.0).tan();
            Shape::Screen { size_m: Vec2::new(width, width * eye_px.y / eye_px.x.max(1.0)), distance_m }
        }
        _ => Shape::EyeViews,
    }
}

/// What screens are like.
pub(crate) struct Screen;

impl Screen {
    /// The widest angle that a screen takes.
    const LARGEST_DEG: f32 = 100.0;
}

/// The part of a picture that is one eye's, in shares of its width and height.
pub(crate) fn eye_part(stereo: StereoLayout, eye: usize) -> Rect {
    let at = eye.min(1) as f32 * 0.5;
    match stereo {
        StereoLayout::Mono => Rect::new(0.0, 0.0, 1.0, 1.0),
        StereoLayout::TopBottom => Rect::new(0.0, at, 1.0, at + 0.5),
        StereoLayout::LeftRight => Rect::new(at, 0.0, at + 0.5, 1.0),
    }
}

/// The size of one eye's part in pixels, within what the compositor takes, in its own shape.
pub(crate) fn eye_size(size: UVec2, stereo: StereoLayout, largest: UVec2) -> UVec2 {
    let part = size.as_vec2() * eye_part(stereo, 0).size();
    let scale = (largest.as_vec2() / part.max(Vec2::ONE)).min_element().min(1.0);
    (part * scale).round().as_uvec2().clamp(UVec2::ONE, largest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Vec2 = Vec2::new(1920.0, 1080.0);

    #[test]
    fn what_the_compositor_does_not_take_is_drawn_for_each_eye() {
        assert_eq!(shape(PictureProjection::Equirectangular, SIZE, false, 2.0), Shape::EyeViews);
        for projection in [PictureProjection::CubeMap, PictureProjection::Fisheye { fov_deg: 190.0 }] {
            assert_eq!(shape(projection, SIZE, true, 2.0), Shape::EyeViews, "{projection:?}");
        }
    }

    #[test]
    fn a_screen_is_seen_under_the_angle_it_was_filmed_at() {
        let Shape::Screen { size_m, distance_m } = shape(PictureProjection::Rectilinear { fov_deg: 90.0 }, SIZE, false, 3.0)
        else {
            panic!("no screen")
        };
        assert!((size_m - Vec2::new(6.0, 3.375)).length() < 1e-4 && distance_m == 3.0, "{size_m}");
        let Shape::Screen { size_m, .. } = shape(PictureProjection::Rectilinear { fov_deg: 179.9 }, SIZE, false, 3.0) else {
            panic!("no screen")
        };
        assert!(size_m.x < 7.2, "{size_m}");
    }

    #[test]
    fn each_eye_has_its_part_and_large_pictures_are_made_to_fit() {
        assert_eq!(eye_part(StereoLayout::TopBottom, 1), Rect::new(0.0, 0.5, 1.0, 1.0));
        assert_eq!(eye_part(StereoLayout::LeftRight, 0), Rect::new(0.0, 0.0, 0.5, 1.0));
        assert_eq!(eye_size(UVec2::new(3840, 3840), StereoLayout::TopBottom, UVec2::splat(4096)), UVec2::new(3840, 1920));
        assert_eq!(eye_size(UVec2::new(8192, 4096), StereoLayout::Mono, UVec2::splat(4096)), UVec2::new(4096, 2048));
    }
}
