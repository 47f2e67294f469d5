//! Windows against those of `GfCamera`, depth, culling, tiles.

use super::*;
use bevy::math::Vec4Swizzles;
use proptest::prelude::*;

fn camera(focal: f32, film: Vec2, offset: Vec2, range: Vec2, orthographic: bool) -> snapshot::Camera {
    snapshot::Camera {
        orthographic,
        horizontal_aperture_offset: offset.x.into(),
        vertical_aperture_offset: offset.y.into(),
        clipping_range: range.into(),
        ..crate::look::rendered::camera(focal, film)
    }
}

/// `Gf.Camera.frustum.ComputeProjectionMatrix()` of usd-core 26.11, transposed: x, y, and their offsets.
#[test]
fn the_window_is_that_of_gf_camera() {
    let plain = camera(50.0, Vec2::new(20.955, 15.2908), Vec2::ZERO, Vec2::new(1.0, 1e6), false);
    let made = projection(&plain, 0.0, 1.0, ApertureFit::Fit);
    let matrix = made.get_clip_from_view();
    assert!((matrix.x_axis.x - 4.772_131).abs() < 1e-5 && (matrix.y_axis.y - 6.539_88).abs() < 1e-5);
    assert_eq!((matrix.z_axis.x, matrix.z_axis.y), (0.0, 0.0));

    let shifted = camera(35.0, Vec2::new(36.0, 24.0), Vec2::new(3.0, -2.0), Vec2::new(0.5, 100.0), false);
    let made = projection(&shifted, 0.0, 0.01, ApertureFit::Fit);
    assert!(made.window.min.abs_diff_eq(Vec2::new(-0.428_571_43, -0.4), 1e-6));
    assert!(made.window.max.abs_diff_eq(Vec2::new(0.6, 0.285_714_3), 1e-6));
    let matrix = made.get_clip_from_view();
    assert!((matrix.x_axis.x - 1.944_444_4).abs() < 1e-5 && (matrix.y_axis.y - 2.916_666_7).abs() < 1e-5);
    assert!((matrix.z_axis.x - 0.166_666_67).abs() < 1e-6 && (matrix.z_axis.y + 0.166_666_67).abs() < 1e-6);
    // Near and far in metres, where a unit is a centimetre.
    assert!((made.near - 0.005).abs() < 1e-9 && (made.far - 1.0).abs() < 1e-6);

    let ortho = camera(50.0, Vec2::new(100.0, 50.0), Vec2::new(10.0, 5.0), Vec2::new(2.0, 50.0), true);
    let made = projection(&ortho, 0.0, 1.0, ApertureFit::Fit);
    assert_eq!(made.window, Rect { min: Vec2::new(-4.0, -2.0), max: Vec2::new(6.0, 3.0) });
    let matrix = made.get_clip_from_view();
    assert!((matrix.x_axis.x - 0.2).abs() < 1e-6 && (matrix.y_axis.y - 0.4).abs() < 1e-6);
    assert!((matrix.w_axis.xy() - Vec2::new(-0.2, -0.2)).length() < 1e-6);
}

#[test]
fn depth_is_reversed() {
    for orthographic in [false, true] {
        let lens = camera(50.0, Vec2::splat(20.0), Vec2::ZERO, Vec2::new(0.1, 10.0), orthographic);
        let made = projection(&lens, 0.0, 1.0, ApertureFit::Fit);
        let matrix = made.get_clip_from_view();
        assert!((matrix.project_point3(Vec3::new(0.0, 0.0, -0.1)).z - 1.0).abs() < 1e-5);
        let far = matrix.project_point3(Vec3::new(0.0, 0.0, -10.0)).z;
        assert!(if orthographic { far.abs() < 1e-5 } else { far > 0.0 && far < 0.02 });
        assert_eq!(Projection::custom(made).is_perspective(), !orthographic);
    }
}

#[test]
fn what_the_shifted_window_shows_is_not_culled_and_what_it_does_not_is() {
    let lens = camera(35.0, Vec2::new(36.0, 24.0), Vec2::new(18.0, 0.0), Vec2::new(0.1, 100.0), false);
    let made = projection(&lens, 0.0, 1.0, ApertureFit::Fit);
    let frustum = made.compute_frustum(&GlobalTransform::IDENTITY);
    let sees = |center: Vec3| {
        let ball = bevy::camera::primitives::Sphere { center: center.into(), radius: 0.01 };
        frustum.intersects_sphere(&ball, true)
    };
    // The window is from 0 to 36/35 of the distance: all to the right of the middle.
    assert!(sees(Vec3::new(10.0, 0.0, -10.0)) && !sees(Vec3::new(-1.0, 0.0, -10.0)) && !sees(Vec3::new(0.0, 0.0, -200.0)));
}

#[test]
fn a_picture_of_other_proportions_follows_the_rule() {
    let window = Rect::from_center_size(Vec2::new(0.1, 0.0), Vec2::new(2.0, 1.0));
    let size = |fit, aspect| fit_window(window, aspect, fit).size();
    // A square picture of a wide film.
    assert_eq!(size(ApertureFit::Fit, 1.0), Vec2::new(2.0, 2.0));
    assert_eq!(size(ApertureFit::Crop, 1.0), Vec2::new(1.0, 1.0));
    assert_eq!(size(ApertureFit::Horizontal, 1.0), Vec2::new(2.0, 2.0));
    assert_eq!(size(ApertureFit::Vertical, 1.0), Vec2::new(1.0, 1.0));
    assert_eq!(size(ApertureFit::Stretch, 1.0), Vec2::new(2.0, 1.0));
    // A very wide picture.
    assert_eq!(size(ApertureFit::Fit, 4.0), Vec2::new(4.0, 1.0));
    assert_eq!(size(ApertureFit::Crop, 4.0), Vec2::new(2.0, 0.5));
}

#[test]
fn tiles_of_a_picture_are_parts_of_the_whole() {
    let lens = camera(35.0, Vec2::new(36.0, 24.0), Vec2::new(3.0, -2.0), Vec2::new(0.5, 100.0), false);
    let mut made = projection(&lens, 0.0, 1.0, ApertureFit::Fit);
    made.update(300.0, 200.0);
    let whole = made.get_clip_from_view();
    // The upper right quarter.
    let tile = SubCameraView { full_size: UVec2::new(300, 200), offset: Vec2::new(150.0, 0.0), size: UVec2::new(150, 100) };
    let part = made.get_clip_from_view_for_sub(&tile);
    for point in [Vec3::new(0.3, 0.1, -1.0), Vec3::new(1.0, -0.2, -4.0)] {
        let (of_whole, of_part) = (whole.project_point3(point), part.project_point3(point));
        assert!((of_whole.xy() * 2.0 - Vec2::ONE).abs_diff_eq(of_part.xy(), 1e-5), "{of_whole} {of_part}");
    }
}

#[test]
fn exposure_makes_a_nit_a_one() {
    assert!((exposure(0.0).exposure() - 1.0).abs() < 1e-6);
    assert!((exposure(2.0).exposure() - 4.0).abs() < 1e-5 && (exposure(-1.0).exposure() - 0.5).abs() < 1e-6);
}

proptest! {
    #[test]
    fn corners_are_the_corners_of_the_picture(
        focal in 1.0_f32..200.0, width in 1.0_f32..100.0, height in 1.0_f32..100.0, x in -20.0_f32..20.0, y in -20.0_f32..20.0,
        orthographic: bool, aspect in 0.2_f32..5.0,
    ) {
        let lens = camera(focal, Vec2::new(width, height), Vec2::new(x, y), Vec2::new(0.1, 100.0), orthographic);
        let mut made = projection(&lens, 0.0, 1.0, ApertureFit::Fit);
        made.update(aspect, 1.0);
        let matrix = made.get_clip_from_view();
        let expected = [Vec2::new(1.0, -1.0), Vec2::ONE, Vec2::new(-1.0, 1.0), Vec2::NEG_ONE];
        for (corner, expected) in made.get_frustum_corners(-0.1, -100.0).into_iter().zip(expected.into_iter().cycle()) {
            let clip = matrix.project_point3(Vec3::from(corner)).xy();
            prop_assert!(clip.abs_diff_eq(expected, 2e-3), "{clip} rather than {expected}");
        }
    }

    #[test]
    fn nonsense_gives_a_matrix_that_can_be_inverted(
        focal: f32, width: f32, height: f32, x: f32, y: f32, near: f32, far: f32, orthographic: bool,
    ) {
        let lens = camera(focal, Vec2::new(width, height), Vec2::new(x, y), Vec2::new(near, far), orthographic);
        let made = projection(&lens, 0.0, 0.01, ApertureFit::Fit);
        let matrix = made.get_clip_from_view();
        prop_assert!(!made.window.size().is_nan() && !made.near.is_nan() && made.far > made.near, "{made:?}");
        prop_assert!(matrix.x_axis.x.is_finite() && matrix.y_axis.y.is_finite(), "{matrix}");
    }
}
