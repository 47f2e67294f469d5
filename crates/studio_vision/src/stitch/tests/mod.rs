pub(super) mod feed;
mod map;
mod picture;
mod refusals;
mod rows;
mod sampling;

pub(super) use picture::coloured_sphere;

use super::{StitchPass, StitchSettings, reference::Image};
use crate::rig::{Rig, YawPitchRoll};
use bevy::math::UVec2;
use bytes::Bytes;
use std::{path::PathBuf, sync::LazyLock};
use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba};

pub(super) static GPU: LazyLock<HeadlessGpu> = LazyLock::new(|| HeadlessGpu::open().expect("the tests need a Vulkan driver"));

pub(super) fn gear360() -> Rig {
    Rig::read(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/rigs/gear360.rig.ron"))).expect("the shipped rig")
}

/// A real frame of a Samsung Gear 360, halved for speed.
pub(super) fn gear360_frame() -> Option<Image> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fisheye/gear360_dual/extract.png"));
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} absent", path.display());
        return None;
    };
    let picture = image::load_from_memory(&bytes).expect("a PNG").into_rgba8();
    let half =
        image::imageops::resize(&picture, picture.width() / 2, picture.height() / 2, image::imageops::FilterType::Triangle);
    Some(Image { size: UVec2::new(half.width(), half.height()), rgba: half.into_raw() })
}

fn upload(format: PixelFormat, color: ColorInfo, size: UVec2, data: Vec<u8>) -> GpuPicture {
    let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, color, Bytes::from(data)).expect("whole");
    let picture = GpuPicture::for_upload(&GPU.device, &frame).expect("fits");
    picture.upload(&GPU.queue, &frame);
    picture
}

pub(super) fn upload_rgba(image: &Image) -> GpuPicture {
    upload(PixelFormat::Rgba8, ColorInfo::default(), image.size, image.rgba.clone())
}

pub(super) fn stitch_on_gpu(rig: &Rig, settings: &StitchSettings, inputs: &[&GpuPicture]) -> Image {
    let HeadlessGpu { device, queue, .. } = &*GPU;
    let mut pass = StitchPass::new(device, queue, rig, settings).expect("valid");
    let output = pass.output_picture(device, "test").expect("fits");
    let mut encoder = device.create_command_encoder(&Default::default());
    pass.encode(device, queue, &mut encoder, inputs, &output, None).expect("pictures fit");
    queue.submit([encoder.finish()]);
    Image { size: output.size, rgba: read_rgba(device, queue, &output.planes[0]).expect("readable") }
}

pub(super) fn turned(settings: StitchSettings, yaw_deg: f64, pitch_deg: f64, roll_deg: f64) -> StitchSettings {
    StitchSettings { orientation: YawPitchRoll::new(yaw_deg, pitch_deg, roll_deg), ..settings }
}
