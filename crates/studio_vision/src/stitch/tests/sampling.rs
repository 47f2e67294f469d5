//! How sharp a picture is that is read between its pixels.

use super::{stitch_on_gpu, upload_rgba};
use crate::{
    rig::{PreparedRig, Rig},
    stitch::{StitchBlend, StitchSampling, StitchSettings, reference::Image},
};
use bevy::math::{DVec2, DVec3, UVec2};
use core::f64::consts::{PI, TAU};

/// Waves in all directions, of four to eight pixels of the rig's picture.
fn waves(direction: DVec3) -> DVec3 {
    DVec3::new((direction.x * 90.0).sin(), (direction.y * 90.0).sin(), ((direction.x + direction.y + direction.z) * 60.0).sin())
        * 0.35
        + 0.5
}

#[test]
fn cubic_sampling_keeps_details_in_every_blend() {
    let rig = Rig::dual_fisheye([1024, 512], 200.0);
    let prepared = PreparedRig::new(&rig).expect("valid");
    let filmed = Image::from_fn(prepared.pictures[0], |pixel| {
        let lens = usize::from(pixel.x >= f64::from(prepared.pictures[0].x) / 2.0);
        prepared.lenses[lens].direction(pixel).map_or(DVec3::ZERO, waves)
    });
    let size = UVec2::new(1024, 512);
    let sphere = Image::from_fn(size, |pixel: DVec2| {
        let (longitude, latitude) = ((pixel.x / f64::from(size.x) - 0.5) * TAU, (pixel.y / f64::from(size.y) - 0.5) * PI);
        waves(DVec3::new(latitude.cos() * longitude.sin(), latitude.sin(), latitude.cos() * longitude.cos()))
    });
    let input = upload_rgba(&filmed);
    for blend in [StitchBlend::Nearest, StitchBlend::default(), StitchBlend::MultiBand { bands: 3 }] {
        let psnr_db = |sampling| {
            let settings = StitchSettings { blend, sampling, ..StitchSettings::equirectangular(size.x, size.y) };
            stitch_on_gpu(&rig, &settings, &[&input]).psnr(&sphere)
        };
        let (linear, cubic) = (psnr_db(StitchSampling::Linear), psnr_db(StitchSampling::Cubic));
        println!("{blend:?}: linear {linear:.1} dB, cubic {cubic:.1} dB");
        assert!(cubic > linear + 4.0, "{blend:?}: linear {linear:.1} dB, cubic {cubic:.1} dB");
    }
}

#[test]
fn a_plain_colour_stays_what_it_is() {
    let rig = Rig::dual_fisheye([512, 256], 200.0);
    let input = upload_rgba(&Image::from_fn(UVec2::new(512, 256), |_| DVec3::new(0.2, 0.9, 1.0)));
    let settings = StitchSettings { sampling: StitchSampling::Cubic, ..StitchSettings::equirectangular(512, 256) };
    let picture = stitch_on_gpu(&rig, &settings, &[&input]);
    let wrong = picture
        .rgba
        .chunks_exact(4)
        .filter(|pixel| pixel[0].abs_diff(51) > 1 || pixel[1].abs_diff(230) > 1 || pixel[2] < 254)
        .count();
    assert_eq!(wrong, 0, "pixels of another colour");
}
