//! What is refused, and how clearly.

use super::{GPU, upload};
use crate::{
    rig::{Rig, YawPitchRoll},
    stitch::{StMap, StitchBlend, StitchExposure, StitchPass, StitchSettings, StitchView},
};
use bevy::math::UVec2;
use studio_frame::{color::ColorInfo, format::PixelFormat};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

fn refuse(change: impl FnOnce(&mut StitchSettings)) -> String {
    let mut settings = StitchSettings::equirectangular(64, 32);
    change(&mut settings);
    let result = StitchPass::new(&GPU.device, &GPU.queue, &Rig::dual_fisheye([64, 32], 190.0), &settings);
    result.err().expect("refused").to_string()
}

#[test]
fn settings_out_of_range_are_named() {
    assert!(refuse(|s| s.size_px = [0, 32]).contains("size_px"));
    assert!(refuse(|s| s.orientation = YawPitchRoll::new(f64::NAN, 0.0, 0.0)).contains("orientation"));
    assert!(refuse(|s| s.blend = StitchBlend::Feather { width_deg: f32::NAN }).contains("blend.width_deg"));
    assert!(refuse(|s| s.blend = StitchBlend::Feather { width_deg: 91.0 }).contains("blend.width_deg"));
    assert!(refuse(|s| s.blend = StitchBlend::MultiBand { bands: 1 }).contains("blend.bands is 1: it must be 2 to 8"));
    let gaps = |s: &mut StitchSettings| (s.blend, s.view) = (StitchBlend::MultiBand { bands: 5 }, StitchView::CubeMap);
    assert!(refuse(gaps).contains("choose Feather, or the view Equirectangular"));
    assert!(refuse(|s| s.distance_m = Some(0.0)).contains("distance_m"));
    assert!(refuse(|s| s.exposure = StitchExposure::Blocks { side: 17 }).contains("exposure.side is 17: it must be 2 to 16"));
    assert!(refuse(|s| s.exposure_settle_s = f32::NAN).contains("exposure_settle_s"));
    assert!(refuse(|s| s.view = StitchView::Rectilinear { fov_deg: 180.0 }).contains("view.fov_deg"));
    assert!(refuse(|s| s.view = StitchView::Fisheye { fov_deg: f32::INFINITY }).contains("view.fov_deg"));
    assert!(refuse(|s| s.view = StitchView::RigPicture { picture: 2 }).contains("has 1 pictures"));
    let limit = GPU.device.limits().max_texture_dimension_2d;
    assert!(refuse(|s| s.size_px = [limit + 1, 8]).contains(&limit.to_string()));
}

#[test]
fn pictures_that_do_not_fit_are_named() {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let rig = Rig::dual_fisheye([64, 32], 190.0);
    let mut pass = StitchPass::new(device, queue, &rig, &StitchSettings::equirectangular(64, 32)).expect("valid");
    let gray = |size: UVec2| upload(PixelFormat::Nv12, ColorInfo::BT709, size, vec![128; PixelFormat::Nv12.picture_bytes(size)]);
    let (fitting, square) = (gray(UVec2::new(128, 64)), gray(UVec2::new(64, 64)));
    let output = pass.output_picture(device, "test").expect("fits");
    let mut refuse = |inputs: &[&GpuPicture], output: &GpuPicture| {
        let mut encoder = device.create_command_encoder(&Default::default());
        pass.encode(device, queue, &mut encoder, inputs, output, None).expect_err("refused").to_string()
    };
    assert!(refuse(&[], &output).contains("takes 1 pictures, got 0"));
    assert!(refuse(&[&fitting, &fitting], &output).contains("takes 1 pictures, got 2"));
    assert!(refuse(&[&square], &output).contains("picture 0 is 64×64"));
    assert!(refuse(&[&fitting], &fitting).contains("Nv12"));
    let other = GpuPicture::rgba(device, "other", UVec2::new(32, 32)).expect("fits");
    assert!(refuse(&[&fitting], &other).contains("32×32"));
}

#[test]
fn broken_stmaps_are_named() {
    let refuse = |bytes: &[u8]| StMap::from_png("map.png", bytes).expect_err("refused").to_string();
    assert!(refuse(b"").contains("map.png"));
    assert!(refuse(b"\x89PNG\r\n\x1a\n and then nothing").contains("map.png is no readable STMap"));
    let mut eight_bit = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(4, 4).write_to(&mut eight_bit, image::ImageFormat::Png).expect("written");
    assert!(refuse(&eight_bit.into_inner()).contains("16 bits"));
    assert!(StMap::new(UVec2::new(4, 4), vec![[0.0; 2]; 15]).is_err());
    assert!(StMap::new(UVec2::ZERO, Vec::new()).is_err());
}

#[test]
fn settings_survive_their_text() {
    let settings = StitchSettings {
        view: StitchView::Rectilinear { fov_deg: 75.0 },
        blend: StitchBlend::Nearest,
        distance_m: Some(2.5),
        ..StitchSettings::default()
    };
    let text = ron::to_string(&settings).expect("writable");
    assert_eq!(ron::from_str::<StitchSettings>(&text).expect("readable"), settings);
    assert_eq!(ron::from_str::<StitchSettings>("()").expect("all by default"), StitchSettings::default());
}
