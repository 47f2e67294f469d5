use super::*;
use bevy::math::{DVec2, DVec3};
use proptest::prelude::*;

fn lens(model: LensModel) -> Lens {
    Lens { model, focal_px: [390.0, 384.0], center_px: [641.5, 638.25], radial: None, max_angle_deg: None }
}

fn any_lens() -> impl Strategy<Value = Lens> {
    let model = prop_oneof![
        Just(LensModel::Equidistant),
        Just(LensModel::Equisolid),
        Just(LensModel::Stereographic),
        Just(LensModel::Orthographic),
        [-0.1_f64..0.1, -0.05_f64..0.05, -0.02_f64..0.02, -0.005_f64..0.005].prop_map(|k| LensModel::KannalaBrandt { k }),
        (
            [-0.4_f64..0.2, -0.1_f64..0.2, -0.05_f64..0.05, -0.05_f64..0.2, -0.05_f64..0.1, 0_f64..0.05],
            [-0.002_f64..0.002, -0.002_f64..0.002]
        )
            .prop_map(|(k, p)| LensModel::BrownConrady { k, p }),
    ];
    let radial = proptest::option::of((-0.02_f64..0.02, -0.02_f64..0.02, -0.02_f64..0.02).prop_map(|(a, b, c)| PanoRadial {
        a,
        b,
        c,
        reference_px: 640.0,
    }));
    (model, radial).prop_map(|(model, radial)| Lens { radial, ..lens(model) })
}

fn ray(theta: f64, phi: f64) -> DVec3 {
    DVec3::new(theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos())
}

proptest! {
    #[test]
    fn pixel_and_back_is_the_same_direction(lens in any_lens(), share in 0_f64..0.97, phi in 0_f64..core::f64::consts::TAU) {
        let projector = LensProjector::new(&lens).expect("the coefficients are mild");
        let direction = ray(projector.max_angle() * share, phi);
        let pixel = projector.project(direction).expect("inside of the limit");
        let back = projector.unproject(pixel).expect("a projected pixel has a direction");
        prop_assert!(back.distance(direction) < 1e-6, "{direction} became {back} by way of {pixel}");
        let again = projector.project(back).expect("still inside");
        prop_assert!(again.distance(pixel) < 1e-6 * (1.0 + pixel.length()));
    }

    #[test]
    fn beyond_the_limit_there_is_no_pixel(lens in any_lens(), over in 1.001_f64..2.0, phi in 0_f64..6.2) {
        let projector = LensProjector::new(&lens).expect("the coefficients are mild");
        let theta = projector.max_angle() * over;
        prop_assume!(theta < core::f64::consts::PI);
        prop_assert_eq!(projector.project(ray(theta, phi)), None);
    }

    #[test]
    fn the_extension_joins_the_picture_smoothly(lens in any_lens(), phi in 0_f64..6.2) {
        let projector = LensProjector::new(&lens).expect("the coefficients are mild");
        prop_assume!(projector.max_angle() < 3.1);
        let limit = projector.max_angle();
        let at = |theta| projector.project_extended(ray(theta, phi)).expect("finite");
        let (inside, outside) = (at(limit - 1e-7), at(limit + 1e-7));
        prop_assert!(inside.distance(outside) < 0.01 * (1.0 + inside.length()));
    }
}

#[test]
fn the_models_have_their_textbook_radius() {
    let theta = 60_f64.to_radians();
    let radius = |model| {
        let projector = LensProjector::new(&Lens { focal_px: [100.0; 2], center_px: [0.0; 2], ..lens(model) }).expect("valid");
        projector.project(ray(theta, 0.0)).expect("seen").x
    };
    assert!((radius(LensModel::Equidistant) - 104.719_755).abs() < 1e-4);
    assert!((radius(LensModel::Equisolid) - 100.0).abs() < 1e-9);
    assert!((radius(LensModel::Stereographic) - 115.470_054).abs() < 1e-4);
    assert!((radius(LensModel::Orthographic) - 86.602_54).abs() < 1e-4);
    assert!((radius(LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] }) - 173.205_08).abs() < 1e-4);
    // θ + 0.1 θ³ at 60°: 1.047198 + 0.114838.
    assert!((radius(LensModel::KannalaBrandt { k: [0.1, 0.0, 0.0, 0.0] }) - 116.203_5).abs() < 1e-3);
}

#[test]
fn axes_are_right_down_forward() {
    let projector = LensProjector::new(&lens(LensModel::Equidistant)).expect("valid");
    let center = DVec2::new(641.5, 638.25);
    assert_eq!(projector.project(DVec3::Z), Some(center));
    assert!(projector.project(DVec3::new(0.1, 0.0, 1.0)).expect("seen").x > center.x);
    assert!(projector.project(DVec3::new(0.0, 0.1, 1.0)).expect("seen").y > center.y);
}

#[test]
fn a_folding_distortion_ends_the_picture_where_it_folds() {
    // r = θ − 0.2 θ³ turns back where 1 = 0.6 θ².
    let projector =
        LensProjector::new(&lens(LensModel::KannalaBrandt { k: [-0.2, 0.0, 0.0, 0.0] })).expect("usable near the axis");
    assert!((projector.max_angle() - (1.0 / 0.6_f64).sqrt()).abs() < 1e-3);
    assert_eq!(projector.project(ray(1.5, 0.0)), None);
    let too_far = projector.project(ray(projector.max_angle(), 0.0)).expect("the edge") + DVec2::X;
    assert_eq!(projector.unproject(too_far), None);
}

#[test]
fn broken_numbers_are_named() {
    let broken = |change: fn(&mut Lens)| {
        let mut lens = lens(LensModel::KannalaBrandt { k: [0.0; 4] });
        change(&mut lens);
        LensProjector::new(&lens).expect_err("refused").to_string()
    };
    assert!(broken(|lens| lens.focal_px[0] = f64::NAN).contains("focal_px[0] is NaN"));
    assert!(broken(|lens| lens.focal_px[1] = 0.0).contains("focal_px is 0"));
    assert!(broken(|lens| lens.center_px[1] = f64::INFINITY).contains("center_px[1]"));
    assert!(broken(|lens| lens.model = LensModel::KannalaBrandt { k: [0.0, f64::NAN, 0.0, 0.0] }).contains("model.k[1]"));
    assert!(broken(|lens| lens.max_angle_deg = Some(0.0)).contains("max_angle_deg"));
    assert!(broken(|lens| lens.model = LensModel::KannalaBrandt { k: [-1e9, 0.0, 0.0, 0.0] }).contains("turns back"));
}

#[test]
fn rays_without_a_direction_have_no_pixel() {
    let projector = LensProjector::new(&lens(LensModel::Equidistant)).expect("valid");
    for bad in [DVec3::ZERO, DVec3::NAN, DVec3::new(f64::INFINITY, 0.0, 1.0)] {
        assert_eq!(projector.project(bad), None);
        assert_eq!(projector.project_extended(bad), None);
    }
    assert_eq!(projector.unproject(DVec2::NAN), None);
}
