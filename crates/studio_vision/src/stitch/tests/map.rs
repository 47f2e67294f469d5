//! The map against the geometry it stands for.

use super::{gear360, turned};
use crate::{
    lens::{Lens, LensModel},
    rig::{Crop, Exposure, Orientation, PreparedRig, Rig, RigLens, RigPicture, YawPitchRoll},
    stitch::{
        StitchBlend, StitchMap, StitchSettings, StitchView,
        weights::{WeightRule, quantise},
    },
};
use bevy::math::{DVec2, DVec3};
use core::f64::consts::{PI, TAU};
use proptest::prelude::*;

/// Four cameras around a car: Kannala–Brandt fisheyes, each with a picture of its own.
fn four_cameras() -> Rig {
    let lens = |index: u32| RigLens {
        name: format!("camera {index}"),
        picture: index,
        region: None,
        lens: Lens {
            model: LensModel::KannalaBrandt { k: [-0.0437, 0.0217, -0.0264, 0.0084] },
            focal_px: [302.5, 320.7],
            center_px: [496.6, 331.2],
            radial: None,
            max_angle_deg: None,
        },
        orientation: Orientation::Angles(YawPitchRoll::new(90.0 * f64::from(index), -20.0, 2.0)),
        translation_m: [0.0; 3],
        crop: Crop::Full,
        vignetting: None,
        exposure: Exposure::default(),
    };
    Rig { name: "car".into(), pictures: vec![RigPicture { size_px: [960, 640] }; 4], lenses: (0..4).map(lens).collect() }
}

#[test]
fn an_equirect_of_two_fisheyes_agrees_with_plain_trigonometry() {
    let (rig, size) = (Rig::dual_fisheye([2560, 1280], 195.0), [1920.0, 960.0]);
    let rig = PreparedRig::new(&rig).expect("valid");
    let map = StitchMap::new(&rig, &StitchSettings::equirectangular(1920, 960)).expect("valid");
    let mut largest = 0_f64;
    map.visit(|lens, pixel, uv| {
        // Longitude and latitude of the pixel, seen from a lens that looks ahead (0) or back (1).
        let (lon, lat) = ((pixel.x / size[0] - 0.5) * TAU + if lens == 1 { PI } else { 0.0 }, (0.5 - pixel.y / size[1]) * PI);
        let (x, y, z) = (lat.cos() * lon.sin(), -lat.sin(), lat.cos() * lon.cos());
        let radius = z.acos() / 97.5_f64.to_radians() * 640.0;
        if radius < 640.0 {
            let scale = radius / x.hypot(y).max(1e-12);
            let expected = DVec2::new(640.0 + 1280.0 * lens as f64 + x * scale, 640.0 + y * scale);
            largest = largest.max((uv * DVec2::new(2560.0, 1280.0)).distance(expected));
        }
    });
    println!("dual fisheye to equirect: largest error {largest:.4} px with tiles of {} px", map.tile_px());
    assert!(largest < 0.1);
}

#[test]
fn every_view_of_every_rig_is_exact_to_a_twentieth_of_a_pixel() {
    let views = [
        (StitchView::Equirectangular, [1280, 640]),
        (StitchView::HalfEquirectangular, [512, 512]),
        (StitchView::Fisheye { fov_deg: 180.0 }, [640, 640]),
        (StitchView::DualFisheye { fov_deg: 200.0 }, [1280, 640]),
        (StitchView::CubeMap, [768, 512]),
        (StitchView::Rectilinear { fov_deg: 100.0 }, [640, 360]),
        (StitchView::RigPicture { picture: 0 }, [960, 480]),
    ];
    for rig in [Rig::dual_fisheye([2560, 1280], 195.0), gear360(), four_cameras()] {
        let prepared = PreparedRig::new(&rig).expect("valid");
        for (view, size_px) in views {
            let settings = turned(StitchSettings { view, size_px, ..StitchSettings::default() }, 33.0, -12.0, 7.0);
            let map = StitchMap::new(&prepared, &settings).expect("valid");
            println!(
                "{}, {view:?}: {:.4} px, tiles {} px, blended {:.3}",
                rig.name,
                map.max_error_px(),
                map.tile_px(),
                map.blended_share()
            );
            assert!(map.max_error_px() < 0.05, "{}, {view:?}: {} px", rig.name, map.max_error_px());
        }
    }
}

#[test]
fn tiles_cover_every_pixel_once_and_weights_add_up() {
    for (view, size_px) in [
        (StitchView::Equirectangular, [1001, 501]),
        (StitchView::CubeMap, [301, 199]),
        (StitchView::RigPicture { picture: 0 }, [643, 321]),
    ] {
        let rig = PreparedRig::new(&gear360()).expect("valid");
        let settings = turned(StitchSettings { view, size_px, ..StitchSettings::default() }, 10.0, 20.0, 30.0);
        let map = StitchMap::new(&rig, &settings).expect("valid");
        let mut covered = vec![0.0; (size_px[0] * size_px[1]) as usize];
        map.visit_weights(|x, y, weight| covered[(y * size_px[0] + x) as usize] += weight);
        let full = covered.iter().filter(|weight| (0.99..1.01).contains(*weight)).count();
        assert!(covered.iter().all(|weight| *weight < 1.01), "{view:?}: no pixel is lit twice");
        assert_eq!(map.drawn_px(), u64::from(size_px[0] * size_px[1]), "{view:?}: every pixel is drawn");
        if view == StitchView::Equirectangular {
            assert!(full as f64 > 0.98 * covered.len() as f64, "{view:?}: {full} of {} lit", covered.len());
        }
    }
}

proptest! {
    #[test]
    fn weights_add_up_to_one_where_anything_is_seen(
        edges in proptest::collection::vec(-20_f64..60.0, 1..16), width in 0_f32..40.0, nearest in any::<bool>(),
    ) {
        let blend = if nearest { StitchBlend::Nearest } else { StitchBlend::Feather { width_deg: width } };
        let mut weights = edges.clone();
        WeightRule::new(blend, 0.5).weigh(&mut weights);
        let seen = edges.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = weights.iter().sum();
        prop_assert!(weights.iter().zip(&edges).all(|(weight, edge)| (0.0..=1.0).contains(weight) && (*edge > 0.0 || *weight == 0.0)));
        prop_assert!((sum - (seen / 0.5).clamp(0.0, 1.0)).abs() < 1e-9);
        let mut bytes = vec![0; weights.len()];
        quantise(&weights, &mut bytes);
        prop_assert_eq!(bytes.iter().map(|byte| i32::from(*byte)).sum::<i32>(), (sum * 255.0).round() as i32);
    }
}

#[test]
fn a_feather_is_as_wide_as_it_says() {
    // Two lenses of 200° back to back: 10° of overlap to each side of the seam.
    let rule = WeightRule::new(StitchBlend::Feather { width_deg: 6.0 }, 0.1);
    let weight_at = |angle_from_seam: f64| {
        let mut weights = [10.0 + angle_from_seam, 10.0 - angle_from_seam];
        rule.weigh(&mut weights);
        weights[0]
    };
    for (angle, expected) in [(-3.0, 0.0), (-1.5, 0.25), (0.0, 0.5), (1.5, 0.75), (3.0, 1.0), (9.0, 1.0)] {
        assert!((weight_at(angle) - expected).abs() < 1e-9, "{angle}°: {}", weight_at(angle));
    }
}

#[test]
fn a_near_scene_shifts_by_the_parallax_of_the_lens() {
    let mut rig = Rig::dual_fisheye([2560, 1280], 195.0);
    rig.lenses[0].translation_m = [0.1, 0.0, 0.0];
    let prepared = PreparedRig::new(&rig).expect("valid");
    let pixel = |distance| prepared.lenses[0].sample(DVec3::Z, distance).expect("seen").pixel;
    assert!(pixel(None).distance(DVec2::new(640.0, 640.0)) < 1e-9);
    let expected = 640.0 - (0.1_f64).atan2(1.0) / 97.5_f64.to_radians() * 640.0;
    assert!((pixel(Some(1.0)).x - expected).abs() < 1e-6, "a point a metre ahead lies left of a lens that stands to the right");
}
