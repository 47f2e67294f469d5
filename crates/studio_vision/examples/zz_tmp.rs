//! tmp
use bevy::math::UVec2;
use bytes::Bytes;
use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, stamp::FrameStamp};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, readback::read_rgba};
use studio_vision::{rig::*, stitch::*};
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let rig = Rig::read(std::path::Path::new(&a[1])).unwrap();
    let HeadlessGpu { device, queue, .. } = HeadlessGpu::open().unwrap();
    let mut s = StitchSettings::equirectangular(a[2].parse().unwrap(), a[3].parse().unwrap());
    s.orientation.yaw_deg = a[4].parse().unwrap();
    let mut pass = StitchPass::new(&device, &queue, &rig, &s).unwrap();
    let output = pass.output_picture(&device, "x").unwrap();
    for io in a[5..].chunks(2) {
        let still = image::open(&io[0]).unwrap().into_rgba8();
        let size = UVec2::new(still.width(), still.height());
        let f = VideoFrame::from_packed(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), Bytes::from(still.into_raw())).unwrap();
        let input = GpuPicture::for_upload(&device, &f).unwrap();
        input.upload(&queue, &f);
        let mut c = device.create_command_encoder(&Default::default());
        pass.encode(&device, &queue, &mut c, &[&input], &output, None).unwrap();
        queue.submit([c.finish()]);
        image::save_buffer(&io[1], &read_rgba(&device, &queue, &output.planes[0]).unwrap(), output.size.x, output.size.y, image::ColorType::Rgba8).unwrap();
    }
}
