//! The GPU's share of a frame against the same thing worked out on the CPU.

use bevy::math::{UVec2, Vec3};
use bytes::Bytes;
use studio_frame::{mark::Mark, prelude::*};
use studio_gpu::{
    device::HeadlessGpu,
    mark::MarkPass,
    picture::GpuPicture,
    readback::{ReadbackRing, read_rgba},
    rgba::RgbaPass,
    upload::Uploader,
    yuv::YuvPass,
};

fn gpu() -> HeadlessGpu {
    HeadlessGpu::open().expect("a Vulkan adapter (software will do)")
}

/// A picture with smooth colours all over the cube, so that chroma subsampling costs little.
fn rainbow(size: UVec2) -> Vec<u8> {
    let level = |at: u32, of: u32| (at * 255 / (of - 1)) as u8;
    let pixel = |x: u32, y: u32| [level(x, size.x), level(y, size.y), level(size.x - 1 - x, size.x), 255];
    (0..size.y).flat_map(|y| (0..size.x).flat_map(move |x| pixel(x, y))).collect()
}

fn upload(gpu: &HeadlessGpu, format: PixelFormat, size: UVec2, color: ColorInfo, data: Vec<u8>) -> GpuPicture {
    let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, color, Bytes::from(data)).expect("whole picture");
    let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small picture");
    picture.upload(&gpu.queue, &frame);
    picture
}

fn to_planes(gpu: &HeadlessGpu, picture: &GpuPicture, format: PixelFormat, color: ColorInfo) -> VideoFrame {
    let pass = YuvPass::new(&gpu.device, &gpu.queue, format, picture.size, color);
    let ring = ReadbackRing::new(&gpu.device, "test", pass.bytes(), 1);
    let slot = ring.acquire().expect("free");
    assert!(ring.acquire().is_none(), "a ring of one gives one");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    pass.encode(&gpu.device, &mut encoder, picture, slot.buffer());
    gpu.queue.submit([encoder.finish()]);
    let (sender, receiver) = queue(1, QueuePolicy::Block);
    slot.deliver(move |bytes| {
        sender.send(bytes);
    });
    gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU finishes");
    let bytes = receiver.try_recv().expect("delivered").expect("mapped");
    let frame = pass.layout().frame(FrameStamp::default(), bytes).expect("planes");
    assert!(ring.acquire().is_none(), "the frame still holds the buffer");
    frame
}

#[test]
fn planes_and_back_keep_the_colours() {
    let gpu = gpu();
    let size = UVec2::new(250, 122);
    let source = rainbow(size);
    let matrices = [ColorMatrix::Bt601, ColorMatrix::Bt709, ColorMatrix::Bt2020];
    for (matrix, range) in
        matrices.into_iter().flat_map(|matrix| [ColorRange::Limited, ColorRange::Full].map(|range| (matrix, range)))
    {
        let color = ColorInfo { matrix, range, ..Default::default() };
        for format in [PixelFormat::Nv12, PixelFormat::P010] {
            if format == PixelFormat::P010 && !gpu.device.features().contains(wgpu::Features::TEXTURE_FORMAT_16BIT_NORM) {
                println!("skipped: this adapter has no 16-bit textures");
                continue;
            }
            let picture = upload(&gpu, PixelFormat::Rgba8, size, ColorInfo::default(), source.clone());
            let planes = to_planes(&gpu, &picture, format, color);
            let back = GpuPicture::for_upload(&gpu.device, &planes).expect("small");
            back.upload(&gpu.queue, &planes);
            let target = GpuPicture::rgba(&gpu.device, "back", planes.size).expect("small");
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            RgbaPass::new(&gpu.device).encode(&gpu.device, &gpu.queue, &mut encoder, &back, &target, RgbaPass::WHOLE);
            gpu.queue.submit([encoder.finish()]);
            let rgba = read_rgba(&gpu.device, &gpu.queue, &target.planes[0]).expect("read back");
            let worst = source.iter().zip(&rgba).map(|(was, is)| was.abs_diff(*is)).max().expect("pixels");
            assert!(worst <= 5, "{matrix:?} {range:?} {format:?}: a channel is off by {worst}");
        }
    }
}

#[test]
fn luma_is_what_the_matrix_says() {
    let gpu = gpu();
    let size = UVec2::new(64, 32);
    let source = rainbow(size);
    let picture = upload(&gpu, PixelFormat::Rgba8, size, ColorInfo::default(), source.clone());
    let planes = to_planes(&gpu, &picture, PixelFormat::Nv12, ColorInfo::BT709);
    let map = ColorInfo::BT709.yuv_from_rgb(8);
    for y in 0..size.y {
        for (x, luma) in planes.row(0, y).iter().enumerate() {
            let pixel = &source[(y as usize * size.x as usize + x) * 4..][..3];
            let rgb = Vec3::new(f32::from(pixel[0]), f32::from(pixel[1]), f32::from(pixel[2])) / 255.0;
            assert!((map.apply(rgb).x * 255.0 - f32::from(*luma)).abs() <= 0.75, "luma at {x},{y}");
        }
    }
}

#[test]
fn a_mark_drawn_on_the_gpu_is_read_on_the_cpu() {
    let gpu = gpu();
    for size in [UVec2::new(256, 128), UVec2::new(1280, 640), UVec2::new(1922, 962)] {
        let picture = GpuPicture::rgba(&gpu.device, "marked", size).expect("small");
        let stamp = FrameStamp { frame_id: 123_456, captured_at: UnixTime::now(), pts: MediaTime(0) };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        MarkPass::new(&gpu.device).encode(&gpu.device, &gpu.queue, &mut encoder, &picture, stamp);
        gpu.queue.submit([encoder.finish()]);
        let planes = to_planes(&gpu, &picture, PixelFormat::Nv12, ColorInfo::BT709);
        assert_eq!(Mark::read_frame(&planes), Some(Mark::from(stamp)), "at {size}");
    }
}

#[test]
fn a_picture_beyond_the_gpu_is_refused_by_size() {
    let gpu = gpu();
    let limit = gpu.device.limits().max_texture_dimension_2d;
    let error = GpuPicture::rgba(&gpu.device, "huge", UVec2::new(limit + 1, 16)).expect_err("too large");
    assert!(error.to_string().contains(&format!("at most {limit} pixels")), "{error}");
}

#[test]
fn a_large_frame_arrives_whole_through_the_staging_buffers() {
    let gpu = gpu();
    // Large enough for several threads, with rows that are no multiple of anything.
    let size = UVec2::new(2047, 1031);
    let mut uploader = Uploader::with_threads(4);
    for round in 0..4_u32 {
        let stride = size.x as usize * 4 + 12;
        let data: Vec<u8> = (0..stride * size.y as usize)
            .map(|index| (index as u32).wrapping_mul(2_654_435_761 + round).to_be_bytes()[0])
            .collect();
        let planes = vec![Plane { data: Bytes::from(data), stride }];
        let frame =
            VideoFrame::new(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), planes).expect("whole");
        let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small");
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        uploader.upload(&gpu.device, &gpu.queue, &mut encoder, &picture, &frame);
        gpu.queue.submit([encoder.finish()]);
        uploader.submitted();
        let rgba = read_rgba(&gpu.device, &gpu.queue, &picture.planes[0]).expect("read back");
        for y in 0..size.y {
            assert_eq!(frame.row(0, y), &rgba[(y * size.x) as usize * 4..][..size.x as usize * 4], "round {round}, row {y}");
        }
    }
}
