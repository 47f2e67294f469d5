//! Boards filmed by lenses whose model is known, and real ones.

use crate::{
    calibrate::{Board, BoardModel, CalibrateError, GrayPicture, LensCalibration, calibrate_lens, find_board},
    lens::{Lens, LensModel, LensProjector},
};
use bevy::math::{DMat3, DVec2, DVec3};
use std::path::Path;

const SIZE: [u32; 2] = [800, 600];
const BOARD: Board = Board { corners: [9, 6], square_mm: 25.0 };

/// A picture of the board, its middle `distance_mm` away in a direction, turned by angles around its own axes.
fn film(lens: &Lens, name: &str, [yaw, pitch]: [f64; 2], [tilt_x, tilt_y, spin]: [f64; 3], distance_mm: f64) -> GrayPicture {
    let projector = LensProjector::new(lens).expect("valid");
    let look = DMat3::from_rotation_y(f64::to_radians(yaw)) * DMat3::from_rotation_x(f64::to_radians(pitch));
    let turn = look
        * DMat3::from_rotation_x(f64::to_radians(tilt_x))
        * DMat3::from_rotation_y(f64::to_radians(tilt_y))
        * DMat3::from_rotation_z(f64::to_radians(spin));
    let middle = look * DVec3::Z * distance_mm;
    let normal = turn * DVec3::Z;
    let luma = |pixel: DVec2| {
        let Some(ray) = projector.unproject(pixel) else { return 20.0 };
        let distance = normal.dot(middle) / normal.dot(ray);
        if distance.is_nan() || distance <= 0.0 {
            return 120.0;
        }
        let place = (turn.transpose() * (ray * distance - middle)).truncate() / BOARD.square_mm + DVec2::new(5.0, 3.5);
        let square = place.floor();
        if place.cmplt(DVec2::splat(-0.7)).any() || place.cmpgt(DVec2::new(10.7, 7.7)).any() {
            120.0
        } else if place.cmplt(DVec2::ZERO).any() || place.cmpgt(DVec2::new(10.0, 7.0)).any() || (square.x + square.y) % 2.0 != 0.0
        {
            230.0
        } else {
            25.0
        }
    };
    // Only where a pixel's corners differ there is an edge in it, which takes more than one sample.
    let corners: Vec<Vec<f64>> =
        (0..=SIZE[1]).map(|y| (0..=SIZE[0]).map(|x| luma(DVec2::new(f64::from(x), f64::from(y)))).collect()).collect();
    let picture = image::GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| {
        let (left, top) = (x as usize, y as usize);
        let first = corners[top][left];
        if [corners[top][left + 1], corners[top + 1][left], corners[top + 1][left + 1]].iter().all(|corner| *corner == first) {
            return image::Luma([first as u8]);
        }
        let samples = (0..16).map(|part| DVec2::new(f64::from(part % 4), f64::from(part / 4)) / 4.0 + 0.125);
        let sum: f64 = samples.map(|part| luma(DVec2::new(f64::from(x), f64::from(y)) + part)).sum();
        image::Luma([(sum / 16.0).round() as u8])
    });
    GrayPicture::new(name, &image::DynamicImage::ImageLuma8(picture)).expect("a good size")
}

fn quiet(pictures: &[GrayPicture], model: BoardModel) -> Result<LensCalibration, CalibrateError> {
    calibrate_lens(pictures, &BOARD, model, &mut |_| ())
}

fn views(lens: &Lens, reach: f64, distance_mm: f64) -> Vec<GrayPicture> {
    let places = [[0.0, 0.0], [-1.0, 0.0], [1.0, 0.2], [0.1, -0.7], [-0.1, 0.7], [0.7, 0.6], [-0.7, -0.5], [0.0, 0.1]];
    let tilts = [
        [25.0, 5.0, 3.0],
        [-20.0, 15.0, 10.0],
        [10.0, -25.0, -8.0],
        [-30.0, 0.0, 90.0],
        [15.0, 25.0, 4.0],
        [-5.0, -30.0, 12.0],
        [28.0, -10.0, 0.0],
        [0.0, 35.0, 45.0],
    ];
    let views = places.iter().zip(&tilts).zip(0..);
    views
        .map(|(([x, y], tilt), index)| film(lens, &format!("view {index}"), [x * reach, y * reach], *tilt, distance_mm))
        .collect()
}

/// The largest distance between where two lenses show the same directions, up to an angle from the axis.
fn apart_px(a: &Lens, b: &Lens, reach_deg: f64) -> f64 {
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
    let board = film(&lens, "board", [0.0, 0.0], [20.0, 5.0, 0.0], 300.0);
    assert!(refused(std::slice::from_ref(&board)).contains("the board in 1 of 1 pictures"));
    let wall = GrayPicture::new("wall", &image::DynamicImage::new_luma8(SIZE[0], SIZE[1])).expect("a good size");
    let refusal = refused(&[wall.clone(), wall.clone(), wall.clone()]);
    assert!(refusal.contains("the board in 0 of 3 pictures") && refusal.contains("wall: no checkerboard found"), "{refusal}");
    let small = GrayPicture::new("small", &image::DynamicImage::new_luma8(400, 300)).expect("a good size");
    assert!(refused(&[wall, small]).contains("small is 400×300"));
    // The same view again and again says nothing about the focal length.
    let flat = film(&lens, "flat", [0.0, 0.0], [0.0, 0.0, 0.0], 300.0);
    let refusal = refused(&vec![flat; 4]);
    assert!(refusal.contains("tilt the board") || refusal.contains("converge"), "{refusal}");
    let other = Board { corners: [5, 4], square_mm: 25.0 };
    assert!(find_board(&board, &other).expect_err("refused").to_string().contains("a lattice of 54 corners"));
    let bad = Board { corners: [1, 6], square_mm: 25.0 };
    assert!(find_board(&board, &bad).expect_err("refused").to_string().contains("inner corners"));
    let bad = Board { square_mm: f64::NAN, ..BOARD };
    assert!(find_board(&board, &bad).expect_err("refused").to_string().contains("mm"));
}
