//! Boards with markers, filmed by lenses that are known.
//!
//! A board as it is printed stands in eight places before a flat lens and before a fisheye; each picture is taken clean, and blurred with noise. Printed are
//! how many boards and corners are found, how far these are from where they are, and how far the focal length that comes of them is off, beside
//! OpenCV's `CharucoDetector` and its `calibrateCamera` or `fisheye.calibrate` on the same pictures. Limits: no fewer boards than OpenCV, and a mean error
//! of at most 0.15 pixels.

use crate::{AnyResult, Bench, peers};
use bevy::math::{DMat3, DVec2, DVec3};
use serde_json::json;
use std::{collections::BTreeMap, fs, time::Instant};
use studio_vision::{
    calibrate::{Board, BoardMarkers, BoardModel, GrayPicture, calibrate_lens, find_board},
    lens::{Lens, LensModel, LensProjector},
};

const SIZE: [u32; 2] = [960, 720];
const SQUARES: [u32; 2] = [8, 6];
const SQUARE_MM: f64 = 25.0;
const MARGIN_MM: f64 = 15.0;
/// Dots of the print a millimetre.
const PER_MM: f64 = 3.0;
/// Yaw and pitch of the direction as shares of the reach, and tilts around the board's three axes in degrees.
const STANDS: [([f64; 2], [f64; 3]); 8] = [
    ([0.0, 0.0], [25.0, 5.0, 3.0]),
    ([-1.0, 0.0], [-20.0, 15.0, 10.0]),
    ([1.0, 0.2], [10.0, -25.0, -8.0]),
    ([0.1, -0.7], [-30.0, 0.0, 90.0]),
    ([-0.1, 0.7], [15.0, 25.0, 4.0]),
    ([0.7, 0.6], [-5.0, -30.0, 12.0]),
    ([-0.7, -0.5], [28.0, -10.0, 0.0]),
    ([0.0, 0.1], [0.0, 35.0, 45.0]),
];

pub fn run(bench: &Bench) -> AnyResult<()> {
    let markers = BoardMarkers { dictionary: "4x4_50".parse()?, marker_mm: 18.0, legacy: false };
    let board = Board::charuco(SQUARES, SQUARE_MM, markers);
    let print = image::load_from_memory(&board.to_png(MARGIN_MM, PER_MM * 25.4)?)?.to_luma8();
    let lens =
        |model, focal_px| Lens { model, focal_px: [focal_px; 2], center_px: [476.3, 364.8], radial: None, max_angle_deg: None };
    let flat = lens(LensModel::BrownConrady { k: [-0.21, 0.07, -0.01, 0.0, 0.0, 0.0], p: [0.0; 2] }, 770.0);
    let fisheye = lens(LensModel::KannalaBrandt { k: [-0.03, 0.006, -0.002, 0.0003] }, 314.0);
    let folder = tempfile::tempdir()?;
    let mut cases = Vec::new();
    for (name, lens, model, reach_deg, distance_mm) in
        [("pinhole", flat, BoardModel::Pinhole, 16.0, 430.0), ("fisheye", fisheye, BoardModel::Fisheye, 55.0, 230.0)]
    {
        for (flaws, blur_px, noise) in [("clean", 0.0, 0.0), ("blurred, noise", 1.2, 6.0)] {
            let case = format!("{name}, {flaws}");
            let (mut pictures, mut truth) = (Vec::new(), Vec::new());
            for (index, stand) in STANDS.iter().enumerate() {
                let (picture, corners) = film(&print, &board, &lens, *stand, reach_deg, distance_mm)?;
                let picture = worsened(&picture, blur_px, noise, index as u64);
                let file = format!("{name}_{}_{index}.png", flaws.split(',').next().unwrap_or_default());
                picture.save(folder.path().join(&file))?;
                pictures.push(GrayPicture::new(&file, &picture.into())?);
                truth.push(json!({ "file": file, "corners": corners.iter().map(DVec2::to_array).collect::<Vec<_>>() }));
            }
            let started = Instant::now();
            let (mut boards, mut errors) = (0, Vec::new());
            for (picture, truth) in pictures.iter().zip(&truth) {
                let Ok(found) = find_board(picture, &board) else { continue };
                boards += 1;
                for corner in found {
                    let at = &truth["corners"][corner.place.y as usize * board.corners[0] as usize + corner.place.x as usize];
                    let at = DVec2::new(at[0].as_f64().unwrap_or(f64::NAN), at[1].as_f64().unwrap_or(f64::NAN));
                    errors.push(corner.pixel.distance(at));
                }
            }
            let took_ms = started.elapsed().as_secs_f64() * 1e3 / pictures.len() as f64;
            let found = calibrate_lens(&pictures, &board, model, &mut |_| ());
            let focal =
                found.map_or(f64::NAN, |found| (found.rig.lenses[0].lens.focal_px[0] / lens.focal_px[0] - 1.0).abs() * 100.0);
            cases.push((case.clone(), boards, errors, focal, took_ms));
            let record = json!({ "name": case, "model": name, "focal_px": lens.focal_px[0], "pictures": truth, "size": SIZE });
            fs::write(folder.path().join(format!("case_{}.json", cases.len())), record.to_string())?;
        }
    }
    let peers: BTreeMap<String, u64> = peers::opencv(bench, "charuco", folder.path())?
        .iter()
        .filter_map(|peer| Some((peer["name"].as_str()?.to_owned(), peer["boards"].as_f64()? as u64)))
        .collect();
    for (case, boards, errors, focal, took_ms) in cases {
        let round = |value: f64| (value * 1e4).round() / 1e4;
        let mean = errors.iter().sum::<f64>() / errors.len().max(1) as f64;
        let peer = peers.iter().find(|(name, _)| name.ends_with(&case)).map_or(0, |(_, boards)| *boards);
        println!(
            "{}",
            json!({
                "name": format!("calibrate ChArUco boards, {case}"), "pictures": STANDS.len(), "boards": boards, "corners": errors.len(),
                "mean_error_px": round(mean), "worst_error_px": round(errors.iter().copied().fold(0.0, f64::max)),
                "focal_error_percent": round(focal), "p50_ms": round(took_ms), "passed": boards >= peer && mean <= 0.15,
            })
        );
    }
    Ok(())
}

/// What a lens sees of a print, and where it sees the board's inner corners, row by row.
fn film(
    print: &image::GrayImage,
    board: &Board,
    lens: &Lens,
    ([yaw, pitch], tilt_deg): ([f64; 2], [f64; 3]),
    reach_deg: f64,
    distance_mm: f64,
) -> AnyResult<(image::GrayImage, Vec<DVec2>)> {
    let projector = LensProjector::new(lens)?;
    let [x, y, spin] = tilt_deg.map(f64::to_radians);
    let look = DMat3::from_rotation_y((yaw * reach_deg).to_radians()) * DMat3::from_rotation_x((pitch * reach_deg).to_radians());
    let turn = look * DMat3::from_rotation_x(x) * DMat3::from_rotation_y(y) * DMat3::from_rotation_z(spin);
    let middle = look * DVec3::Z * distance_mm;
    let half_mm = DVec2::from_array(SQUARES.map(f64::from)) * SQUARE_MM / 2.0;
    let print = GrayPicture::new("the print", &image::DynamicImage::ImageLuma8(print.clone()))?;
    let size = print.size().as_dvec2();
    let normal = turn * DVec3::Z;
    let luma = |pixel: DVec2| {
        let Some(ray) = projector.unproject(pixel) else { return 20.0 };
        let distance = normal.dot(middle) / normal.dot(ray);
        let place = ((turn.transpose() * (ray * distance - middle)).truncate() + half_mm + MARGIN_MM) * PER_MM;
        let is_seen = distance > 0.0 && place.cmpge(DVec2::ZERO).all() && place.cmple(size).all();
        // Black is not all black, and white not all white.
        if is_seen { 25.0 + f64::from(print.luma(place)) * 0.8 } else { 120.0 }
    };
    let picture = image::GrayImage::from_fn(SIZE[0], SIZE[1], |x, y| {
        let samples = (0..9).map(|part| DVec2::new(f64::from(part % 3), f64::from(part / 3)) / 3.0 + 1.0 / 6.0);
        let sum: f64 = samples.map(|part| luma(DVec2::new(f64::from(x), f64::from(y)) + part)).sum();
        image::Luma([(sum / 9.0).round() as u8])
    });
    let [across, down] = board.corners.map(f64::from);
    let mut corners = Vec::new();
    for index in 0..(across * down) as u32 {
        let place = DVec2::new(f64::from(index % board.corners[0]), f64::from(index / board.corners[0])) + 1.0;
        let point = turn * (place * SQUARE_MM - half_mm).extend(0.0) + middle;
        corners.push(projector.project(point).ok_or("a corner behind the lens")?);
    }
    Ok((picture, corners))
}

/// A picture out of focus and with noise, the same for the same seed.
fn worsened(picture: &image::GrayImage, blur_px: f64, noise: f64, seed: u64) -> image::GrayImage {
    let mut picture = picture.clone();
    if blur_px > 0.0 {
        picture = image::imageops::blur(&picture, blur_px as f32);
    }
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24)
    };
    for pixel in picture.pixels_mut() {
        // The sum of twelve evenly distributed numbers is nearly normal.
        let normal = (0..12).map(|_| next()).sum::<f64>() - 6.0;
        pixel.0[0] = (f64::from(pixel.0[0]) + noise * normal).round().clamp(0.0, 255.0) as u8;
    }
    picture
}
