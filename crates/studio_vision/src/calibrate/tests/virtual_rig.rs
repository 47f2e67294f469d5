//! A rig whose answer is known: virtual fisheyes film a sphere with a pattern on it.

use crate::{
    calibrate::{CalibrateError, GrayPicture, RefineSettings, Refinement, refine_rig},
    lens::{Lens, LensModel},
    rig::{Crop, Orientation, PreparedRig, Rig, YawPitchRoll},
};
use bevy::math::{DVec2, DVec3};

const SIDE: u32 = 480;

/// Four lenses of 140° that look around, each in a picture of its own.
pub fn rig() -> Rig {
    let mut rig = Rig::dual_fisheye([SIDE * 2, SIDE], 140.0);
    let mut lens = rig.lenses.remove(0);
    let center_px = [f64::from(SIDE) / 2.0; 2];
    lens.region = None;
    lens.lens = Lens::ideal(LensModel::KannalaBrandt { k: [0.02, -0.004, 0.001, 0.0] }, 140.0, f64::from(SIDE), center_px);
    lens.crop = Crop::Circle { center_px, radius_px: f64::from(SIDE) / 2.0 };
    rig.pictures = vec![crate::rig::RigPicture { size_px: [SIDE; 2] }; 4];
    rig.lenses = (0..4_u32)
        .map(|index| {
            let mut lens = lens.clone();
            lens.name = format!("lens {index}");
            lens.picture = index;
            lens.orientation = Orientation::Angles(YawPitchRoll::new(f64::from(index) * 90.0, 2.0 * f64::from(index) - 3.0, 1.0));
            lens
        })
        .collect();
    rig
}

/// A pattern of soft blobs of several sizes, 0 to 255.
fn pattern(direction: DVec3) -> f64 {
    let hash = |cell: DVec3, seed: u32| {
        let mut value = seed;
        for part in cell.to_array() {
            value = (value ^ (part as i32 as u32)).wrapping_mul(0x9E37_79B1).rotate_left(13);
        }
        f64::from((value ^ (value >> 15)).wrapping_mul(0x85EB_CA6B) >> 8) / f64::from(1 << 24)
    };
    let noise = |point: DVec3, seed: u32| {
        let low = point.floor();
        let part = point - low;
        let part = part * part * (3.0 - 2.0 * part);
        let corner = |x: f64, y: f64, z: f64| hash(low + DVec3::new(x, y, z), seed);
        let across = |y: f64, z: f64| corner(0.0, y, z) + (corner(1.0, y, z) - corner(0.0, y, z)) * part.x;
        let down = |z: f64| across(0.0, z) + (across(1.0, z) - across(0.0, z)) * part.y;
        down(0.0) + (down(1.0) - down(0.0)) * part.z
    };
    let sum = [(9.0, 1.0), (23.0, 0.8), (51.0, 0.5)]
        .iter()
        .zip(1..)
        .map(|((scale, share), seed)| share * noise(direction * *scale, seed));
    sum.sum::<f64>() / 2.3 * 255.0
}

/// What a rig sees of the pattern.
pub fn film(rig: &Rig) -> Vec<GrayPicture> {
    let prepared = PreparedRig::new(rig).expect("valid");
    let film = |(index, lens): (usize, &crate::rig::PreparedLens)| {
        let picture = image::GrayImage::from_fn(SIDE, SIDE, |x, y| {
            let pixel = DVec2::new(f64::from(x), f64::from(y)) + 0.5;
            let seen = lens.direction(pixel).filter(|_| lens.edge_deg(pixel) > -1.0);
            image::Luma([seen.map_or(0.0, pattern).round() as u8])
        });
        GrayPicture::new(&format!("lens {index}"), &image::DynamicImage::ImageLuma8(picture)).expect("a good size")
    };
    prepared.lenses.iter().enumerate().map(film).collect()
}

/// The rig with its lenses turned by a few degrees, all but the first.
pub fn turned(rig: &Rig) -> Rig {
    let mut turned = rig.clone();
    for (lens, off) in turned.lenses.iter_mut().zip([[0.0; 3], [1.5, -0.8, 1.0], [-2.0, 1.0, -1.5], [0.7, 2.0, 0.4]]) {
        let from = YawPitchRoll::from_matrix(lens.orientation.rig_from_lens());
        lens.orientation =
            Orientation::Angles(YawPitchRoll::new(from.yaw_deg + off[0], from.pitch_deg + off[1], from.roll_deg + off[2]));
    }
    turned
}

/// The largest angle between the lenses of two rigs, in degrees.
pub fn apart_deg(a: &Rig, b: &Rig) -> f64 {
    let lenses = a.lenses.iter().zip(&b.lenses);
    let angles = lenses.map(|(a, b)| {
        let turn = a.orientation.rig_from_lens().transpose() * b.orientation.rig_from_lens();
        let angle = bevy::math::DQuat::from_mat3(&turn).to_axis_angle().1.to_degrees();
        angle.min(360.0 - angle)
    });
    angles.fold(0.0, f64::max)
}

fn refine(rig: &Rig, pictures: &[GrayPicture]) -> Result<Refinement, CalibrateError> {
    refine_rig(rig, pictures, &RefineSettings::default(), &mut |_| ())
}

#[test]
fn turned_lenses_are_turned_back() {
    let truth = rig();
    let pictures = film(&truth);
    let start = turned(&truth);
    let refined = refine(&start, &pictures).expect("enough in common");
    let (before, after) = (apart_deg(&truth, &start), apart_deg(&truth, &refined.rig));
    println!("{before:.2}° became {after:.4}°; held out {:?}; overlap {:?}", refined.held_out, refined.overlap);
    assert!(refined.warnings.is_empty(), "{:?}", refined.warnings);
    assert!(after < 0.02, "{after}°");
    assert!(refined.held_out[1].median_px < 0.15 && refined.held_out[0].median_px > 3.0, "{:?}", refined.held_out);
    assert!(refined.overlap[1].luma < refined.overlap[0].luma / 3.0, "{:?}", refined.overlap);
    let again = refine(&start, &pictures).expect("the same");
    assert_eq!(again.rig, refined.rig, "the same input gives the same rig");
}

#[test]
fn focal_lengths_and_centres_are_found_too() {
    let truth = rig();
    let pictures = film(&truth);
    let mut start = turned(&truth);
    for (lens, share) in start.lenses.iter_mut().zip([1.01, 0.992, 1.006, 0.99]) {
        lens.lens.focal_px = lens.lens.focal_px.map(|focal| focal * share);
        lens.lens.center_px[0] += 2.0;
    }
    let free = crate::calibrate::Free { focal: true, center: true, ..Default::default() };
    let settings = RefineSettings { free, ..RefineSettings::default() };
    let refined = refine_rig(&start, &pictures, &settings, &mut |_| ()).expect("enough in common");
    let directions_only = refine(&start, &pictures).expect("enough in common");
    println!("directions alone {:?}, with lenses {:?}", directions_only.held_out[1], refined.held_out[1]);
    assert!(refined.held_out[1].median_px < 0.2 && refined.held_out[1].median_px < directions_only.held_out[1].median_px / 2.0);
    let focal = refined
        .rig
        .lenses
        .iter()
        .zip(&truth.lenses)
        .map(|(found, truth)| (found.lens.focal_px[0] / truth.lens.focal_px[0] - 1.0).abs());
    assert!(
        focal.fold(0.0, f64::max) < 0.003,
        "{:?}",
        refined.rig.lenses.iter().map(|lens| lens.lens.focal_px).collect::<Vec<_>>()
    );
}

#[test]
fn a_dark_lens_stays_and_the_others_are_refined() {
    let truth = rig();
    let mut pictures = film(&truth);
    let black = image::DynamicImage::ImageLuma8(image::GrayImage::new(SIDE, SIDE));
    pictures[3] = GrayPicture::new("black", &black).expect("a good size");
    let start = turned(&truth);
    let refined = refine(&start, &pictures).expect("enough in common");
    assert_eq!(refined.rig.lenses[3], start.lenses[3]);
    assert!(refined.lenses[3].kept.contains("black: is its cap on"), "{:?}", refined.lenses[3]);
    assert!(refined.warnings.iter().any(|warning| warning.contains("lens 3")), "{:?}", refined.warnings);
    let (mut found, mut wanted) = (refined.rig, truth);
    found.lenses.pop();
    wanted.lenses.pop();
    assert!(apart_deg(&found, &wanted) < 0.03);
}

#[test]
fn pictures_that_do_not_belong_are_refused() {
    let truth = rig();
    let mut pictures = film(&truth);
    let refused =
        |pictures: &[GrayPicture]| refine(&truth, pictures).map(|refined| refined.lenses).expect_err("refused").to_string();
    assert!(refused(&pictures[..3]).contains("has 4 pictures, and 3 were given"));
    pictures.swap(0, 1);
    let exchanged = refused(&pictures);
    assert!(exchanged.contains("pictures 0 and 1 (counted from 0) seem to be exchanged"), "{exchanged}");
    pictures.swap(0, 1);
    let flat = image::DynamicImage::ImageLuma8(image::GrayImage::from_pixel(SIDE, SIDE, image::Luma([128])));
    let flat = GrayPicture::new("flat", &flat).expect("a good size");
    assert!(refused(&vec![flat; 4]).contains("0 matches"));
    let wide = image::DynamicImage::ImageLuma8(image::GrayImage::new(640, 480));
    pictures[2] = GrayPicture::new("wide.png", &wide).expect("a good size");
    assert!(refused(&pictures).contains("wide.png is 640×480"));
    let white = image::DynamicImage::ImageLuma8(image::GrayImage::from_pixel(SIDE, SIDE, image::Luma([255])));
    let white = GrayPicture::new("white", &white).expect("a good size");
    assert!(refused(&vec![white; 4]).contains("4 of the lenses are black or overexposed"));
    assert!(GrayPicture::new("tiny", &image::DynamicImage::new_luma8(4, 4)).is_err());
}
