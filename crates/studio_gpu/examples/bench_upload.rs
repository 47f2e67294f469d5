//! How fast captured frames reach the GPU: the studio's upload against one plain `write_texture` a plane.
//!
//! `cargo run -p studio_gpu --example bench_upload`; prints one JSON object a line.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use bevy::math::UVec2;
use bytes::Bytes;
use std::time::Instant;
use studio_frame::{ledger::percentile, prelude::*};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, upload::Uploader};

const FRAMES: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let gpu = HeadlessGpu::open()?;
    for (format, size) in [
        (PixelFormat::I420, UVec2::new(1920, 960)),
        (PixelFormat::Nv12, UVec2::new(5760, 2880)),
        (PixelFormat::Rgba8, UVec2::new(5760, 2880)),
    ] {
        let data = Bytes::from((0..format.picture_bytes(size)).map(|index| (index * 31) as u8).collect::<Vec<u8>>());
        let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, ColorInfo::default(), data)?;
        let picture = GpuPicture::for_upload(&gpu.device, &frame)?;
        let mut uploader = Uploader::new();
        let plain = measure(&gpu, || {
            picture.upload(&gpu.queue, &frame);
            gpu.queue.submit([]);
        });
        let ours = measure(&gpu, || {
            let mut encoder = gpu.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            uploader.upload(&gpu.device, &gpu.queue, &mut encoder, &picture, &frame);
            gpu.queue.submit([encoder.finish()]);
            uploader.submitted();
        });
        for (name, (p50_ms, p95_ms)) in [("plain write_texture", plain), ("upload", ours)] {
            let gb_per_s = format.picture_bytes(size) as f32 / p50_ms / 1e6;
            println!(
                r#"{{"name":"{name}, {format:?} {}x{}","p50_ms":{p50_ms:.3},"p95_ms":{p95_ms:.3},"gb_per_s":{gb_per_s:.2}}}"#,
                size.x, size.y
            );
        }
    }
    Ok(())
}

/// Median and 95th percentile in milliseconds, from the call until the GPU has the frame.
fn measure(gpu: &HeadlessGpu, mut upload: impl FnMut()) -> (f32, f32) {
    let mut times: Vec<f32> = (0..FRAMES + 4)
        .map(|_| {
            let start = Instant::now();
            upload();
            gpu.device.poll(wgpu::PollType::wait_indefinitely()).ok();
            start.elapsed().as_secs_f32() * 1e3
        })
        .skip(4)
        .collect();
    times.sort_by(f32::total_cmp);
    (percentile(&times, 0.5).unwrap_or_default(), percentile(&times, 0.95).unwrap_or_default())
}
