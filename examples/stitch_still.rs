//! Stitches one dual-fisheye picture to 360° and writes it as a PNG.
//!
//! `cargo run --example stitch_still -- [--feather] [PICTURE] [RIG] [RESULT.png]`
//!
//! With `--feather` lenses fade into each other over five degrees, instead of in bands.

#![expect(clippy::print_stdout, reason = "a command-line tool says where the result is")]

use bevy::math::UVec2;
use bytes::Bytes;
use neural_studio::{
    studio_frame::prelude::*,
    studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba},
    studio_vision::{
        rig::Rig,
        stitch::{StitchBlend, StitchPass, StitchSampling, StitchSeams, StitchSettings},
    },
};
use std::{path::PathBuf, time::Duration};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let blend = match std::env::args().any(|argument| argument == "--feather") {
        true => StitchBlend::Feather { width_deg: 5.0 },
        false => StitchBlend::MultiBand { bands: 5 },
    };
    let mut arguments =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--") && argument.parse::<u64>().is_err());
    let assets = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets"));
    let picture = arguments.next().map_or_else(|| assets.join("stills/gear360.jpg"), PathBuf::from);
    let rig = Rig::read(&arguments.next().map_or_else(|| assets.join("rigs/gear360.rig.ron"), PathBuf::from))?;
    let result = arguments.next().map_or_else(|| std::env::temp_dir().join("stitched.png"), PathBuf::from);

    let source = image::open(&picture).map_err(|error| format!("{}: {error}", picture.display()))?.to_rgba8();
    let size = UVec2::new(source.width(), source.height());
    let frame = VideoFrame::from_packed(
        FrameStamp::default(),
        PixelFormat::Rgba8,
        size,
        ColorInfo::default(),
        Bytes::from(source.into_raw()),
    )?;

    let HeadlessGpu { device, queue, .. } = HeadlessGpu::open()?;
    let input = GpuPicture::for_upload(&device, &frame)?;
    input.upload(&queue, &frame);
    let sampling = StitchSampling::Cubic;
    let settings =
        StitchSettings { blend, seams: StitchSeams::Adaptive, sampling, ..StitchSettings::equirectangular(2048, 1024) };
    let mut stitch = StitchPass::new(&device, &queue, &rig, &settings)?;
    let output = stitch.output_picture(&device, "stitched")?;
    let mut pixels = Vec::new();
    // The first time it is measured what both lenses see; the second time exposures and the seam follow from that.
    for _ in 0..2 {
        let mut encoder = device.create_command_encoder(&Default::default());
        let measurement = stitch.measure(&device, &queue, &mut encoder, &[&input], Duration::ZERO)?;
        stitch.encode(&device, &queue, &mut encoder, &[&input], &output, None)?;
        queue.submit([encoder.finish()]);
        if let Some(measurement) = measurement {
            measurement.deliver();
        }
        pixels = read_rgba(&device, &queue, &output.planes[0])?;
    }
    image::RgbaImage::from_raw(2048, 1024, pixels).ok_or("a whole picture")?.save(&result)?;
    println!("{} → {}", picture.display(), result.display());
    Ok(())
}
