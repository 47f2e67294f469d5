//! Boards filmed by lenses whose model is known, and real ones.

use super::film::{Flaws, SIZE, Stand, film, stands};
use crate::{
    calibrate::{Board, BoardModel, CalibrateError, GrayPicture, LensCalibration, calibrate_lens, find_board},
    lens::{Lens, LensModel, LensProjector},
};
use bevy::math::DVec3;
use std::path::Path;

const BOARD: Board = Board { corners: [9, 6], square_mm: 25.0, markers: None };

fn quiet(pictures: &[GrayPicture], model: BoardModel) -> Result<LensCalibration, CalibrateError> {
    calibrate_lens(pictures, &BOARD, model, &mut |_| ())
}

fn views(lens: &Lens, reach_deg: f64, distance_mm: f64) -> Vec<GrayPicture> {
    let stands = stands(reach_deg, distance_mm);
    stands.iter().zip(0..).map(|(stand, index)| film(lens, &format!("view {index}"), &BOARD, stand, Flaws::default())).collect()
}

/// The largest distance between where two lenses show the same directions, up to an angle from the axis.
pub(super) fn apart_px(a: &Lens, b: &Lens, reach_deg: f64) -> f64 {
    let [a, b] = [a, b].map(|lens| LensProjector::new(lens).expect("valid"));
    let directions = (0..24).flat_map(|around| (0..20).map(move |out| (f64::from(around) * 0.2618, f64::from(out) / 19.0)));
    let distances = directions.map(|(around, out)| {
        let angle = (out * reach_deg).to_radians();
        let ray = DVec3::new(angle.sin() * around.cos(), angle.sin() * around.sin(), angle.cos());
        a.project(ray).zip(b.project(ray)).map_or(f64::INFINITY, |(a, b)| a.distance(b))
    });
    distances.fold(0.0, f64::max)
}

#[test]
fn a_fisheye_is_found_from_boards() {
    let lens = Lens {
        model: LensModel::KannalaBrandt { k: [-0.03, 0.006, -0.002, 0.0003] },
        focal_px: [262.0, 260.0],
        center_px: [407.3, 295.6],
        radial: None,
        max_angle_deg: None,
    };
    let found = quiet(&views(&lens, 55.0, 260.0), BoardModel::Fisheye).expect("enough boards");
    let apart = apart_px(&lens, &found.rig.lenses[0].lens, found.seen_deg);
    println!(
        "rms {:.3} px, seen to {:.0}°, {apart:.3} px off, σ {:.3?} px, {:?}",
        found.residuals.rms_px, found.seen_deg, found.sigma_px, found.rig.lenses[0].lens
    );
    assert!(found.views.iter().filter(|view| view.left_out.is_empty()).count() >= 7, "{:?}", found.views);
    assert!(found.residuals.rms_px < 0.15 && found.seen_deg > 60.0);
    assert!(apart < 0.5, "{apart} px");
}

#[test]
fn a_flat_lens_is_found_from_boards() {
    let lens = Lens {
        model: LensModel::BrownConrady { k: [-0.21, 0.07, -0.01, 0.0, 0.0, 0.0], p: [0.0008, -0.0005] },
        focal_px: [640.0, 642.0],
        center_px: [391.2, 306.4],
        radial: None,
        max_angle_deg: None,
    };
    let found = quiet(&views(&lens, 16.0, 420.0), BoardModel::Pinhole).expect("enough boards");
    let apart = apart_px(&lens, &found.rig.lenses[0].lens, found.seen_deg * 0.95);
    println!(
        "rms {:.3} px, seen to {:.0}°, {apart:.3} px off, σ {:.3?} px",
        found.residuals.rms_px, found.seen_deg, found.sigma_px
    );
    assert!(found.residuals.rms_px < 0.15);
    assert!(apart < 0.7, "{apart} px");
}

#[test]
fn real_boards_are_found_and_fitted() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/stereo/calib_case1"));
    let pictures: Vec<GrayPicture> = [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14]
        .iter()
        .filter_map(|number| {
            let name = format!("left{number:02}.png");
            GrayPicture::new(&name, &image::open(folder.join(&name)).ok()?).ok()
        })
        .collect();
    if pictures.is_empty() {
        return println!("skipped: {} absent", folder.display());
    }
    let found = quiet(&pictures, BoardModel::Pinhole).expect("enough boards");
    for view in &found.views {
        println!("{}: {} corners, rms {:.3} px {}", view.name, view.corners, view.residuals.rms_px, view.left_out);
    }
    println!(
        "rms {:.3} px, median {:.3}, {:?}, σ {:.2?}",
        found.residuals.rms_px, found.residuals.median_px, found.rig.lenses[0].lens, found.sigma_px
    );
    assert!(found.views.iter().filter(|view| view.left_out.is_empty()).count() >= 11);
    assert!(found.residuals.rms_px < 0.4, "{:?}", found.residuals);
}

#[test]
fn what_cannot_be_calibrated_from_is_said() {
    let lens = Lens::ideal(LensModel::Equidistant, 120.0, 800.0, [400.0, 300.0]);
    let refused = |pictures: &[GrayPicture]| {
        quiet(pictures, BoardModel::Fisheye).map(|found| found.sigma_px).expect_err("refused").to_string()
    };
    assert!(refused(&[]).contains("no pictures"));
    let stand = |tilt_deg| Stand { look_deg: [0.0, 0.0], tilt_deg, distance_mm: 300.0 };
    let board = film(&lens, "board", &BOARD, &stand([20.0, 5.0, 0.0]), Flaws::default());
    assert!(refused(std::slice::from_ref(&board)).contains("the board in 1 of 1 pictures"));
    let wall = GrayPicture::new("wall", &image::DynamicImage::new_luma8(SIZE[0], SIZE[1])).expect("a good size");
    let refusal = refused(&[wall.clone(), wall.clone(), wall.clone()]);
    assert!(refusal.contains("the board in 0 of 3 pictures") && refusal.contains("wall: no checkerboard found"), "{refusal}");
    let small = GrayPicture::new("small", &image::DynamicImage::new_luma8(400, 300)).expect("a good size");
    assert!(refused(&[wall, small]).contains("small is 400×300"));
    // The same view again and again says nothing about the focal length.
    let flat = film(&lens, "flat", &BOARD, &stand([0.0; 3]), Flaws::default());
    let refusal = refused(&vec![flat; 4]);
    assert!(refusal.contains("tilt the board") || refusal.contains("converge"), "{refusal}");
    let other = Board::checker([5, 4], 25.0);
    assert!(find_board(&board, &other).expect_err("refused").to_string().contains("a lattice of 54 corners"));
    let bad = Board::checker([1, 6], 25.0);
    assert!(find_board(&board, &bad).expect_err("refused").to_string().contains("inner corners"));
    let bad = Board { square_mm: f64::NAN, ..BOARD };
    assert!(find_board(&board, &bad).expect_err("refused").to_string().contains("mm"));
}
