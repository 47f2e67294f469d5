//! The view into the sphere against the same thing worked out on the CPU.

use bevy::math::{UVec2, Vec2, Vec3};
use bytes::Bytes;
use std::{f32::consts::PI, process::Command, sync::Arc};
use studio_frame::{
    motion::{MotionField, MotionVector},
    prelude::*,
};
use studio_gpu::{device::HeadlessGpu, frame::GpuFrame, picture::GpuPicture, readback::read_rgba, rgba::RgbaPass};
use studio_view::sphere::{SpherePass, SphereView};
use studio_vision::synthesis::{MotionGrid, SynthesisInputs, SynthesisPass, SynthesisQuality};

/// Colours that tell every direction from every other.
fn color_of(direction: Vec3) -> [u8; 3] {
    ((direction * 0.5 + 0.5) * 255.0).round().to_array().map(|value| value as u8)
}

/// The direction of a point (0..1) of a picture, if it shows one.
fn direction(projection: PictureProjection, at: Vec2) -> Option<Vec3> {
    let sphere = |longitude: f32, latitude: f32| {
        Vec3::new(longitude.sin() * latitude.cos(), latitude.sin(), -longitude.cos() * latitude.cos())
    };
    let centered = at - 0.5;
    match projection {
        PictureProjection::Equirectangular => Some(sphere(centered.x * 2.0 * PI, -centered.y * PI)),
        PictureProjection::HalfEquirectangular => Some(sphere(centered.x * PI, -centered.y * PI)),
        PictureProjection::Fisheye { fov_deg } => {
            let radius = centered.length();
            let from_axis = radius * fov_deg.to_radians();
            let across = centered / radius.max(1e-9);
            (radius <= 0.5).then(|| Vec3::new(across.x * from_axis.sin(), -across.y * from_axis.sin(), -from_axis.cos()))
        }
        PictureProjection::CubeMap => {
            let cell = at * Vec2::new(3.0, 2.0);
            let face = cell.floor();
            let Vec2 { x, y } = (cell - face) * 2.0 - 1.0;
            Some(
                match (face.x as u32, face.y as u32) {
                    (0, 0) => Vec3::new(1.0, -y, x),
                    (1, 0) => Vec3::new(-1.0, -y, -x),
                    (2, 0) => Vec3::new(x, 1.0, -y),
                    (0, 1) => Vec3::new(x, -1.0, y),
                    (1, 1) => Vec3::new(x, -y, -1.0),
                    _ => Vec3::new(-x, -y, 1.0),
                }
                .normalize(),
            )
        }
        PictureProjection::OffAxis { left: [left, right, up, down], .. } => {
            Some(Vec3::new(at.x * (left + right) - left, up - at.y * (up + down), -1.0).normalize())
        }
        PictureProjection::Rectilinear { .. } => None,
    }
}

fn picture(gpu: &HeadlessGpu, projection: PictureProjection, size: UVec2, as_planes: bool) -> GpuFrame {
    let pixel = |x: u32, y: u32| {
        let at = (Vec2::new(x as f32, y as f32) + 0.5) / size.as_vec2();
        direction(projection, at).map_or([0; 3], color_of)
    };
    let rgb: Vec<[u8; 3]> = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect();
    let (format, data) = if as_planes {
        let map = ColorInfo::BT709.yuv_from_rgb(8);
        let yuv = |index: usize| (map.apply(Vec3::from(rgb[index].map(f32::from)) / 255.0) * 255.0).round();
        let mut data: Vec<u8> = (0..rgb.len()).map(|index| yuv(index).x as u8).collect();
        for channel in 1..3 {
            for (y, x) in (0..size.y / 2).flat_map(|y| (0..size.x / 2).map(move |x| (y, x))) {
                data.push(yuv((y * 2 * size.x + x * 2) as usize)[channel] as u8);
            }
        }
        (PixelFormat::I420, data)
    } else {
        (PixelFormat::Rgba8, rgb.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect())
    };
    let frame = VideoFrame::from_packed(FrameStamp::default(), format, size, ColorInfo::BT709, Bytes::from(data))
        .expect("a whole picture");
    let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small");
    picture.upload(&gpu.queue, &frame);
    GpuFrame { picture: Arc::new(picture), stamp: FrameStamp::default(), projection, stereo: StereoLayout::Mono }
}

#[test]
fn every_projection_shows_every_direction_where_it_is() {
    let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
    let size = UVec2::new(320, 180);
    let mut pass = SpherePass::new(&gpu.device, size).expect("small");
    let cases = [
        (PictureProjection::Equirectangular, UVec2::new(1024, 512), 400.0),
        (PictureProjection::HalfEquirectangular, UVec2::new(512, 512), 85.0),
        (PictureProjection::Fisheye { fov_deg: 200.0 }, UVec2::new(512, 512), 95.0),
        (PictureProjection::CubeMap, UVec2::new(768, 512), 400.0),
    ];
    for ((projection, picture_size, shown_deg), as_planes) in cases.into_iter().flat_map(|case| [(case, false), (case, true)]) {
        let frame = picture(&gpu, projection, picture_size, as_planes);
        for (yaw_deg, pitch_deg) in [(0.0, 0.0), (75.0, 20.0), (-170.0, -40.0), (10.0, 85.0), (30.0, -88.0)] {
            let view = SphereView { size, yaw_deg, pitch_deg, fov_deg: 70.0, split: 0.0 };
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            pass.encode(&gpu.device, &gpu.queue, &mut encoder, &view, &frame, None);
            gpu.queue.submit([encoder.finish()]);
            let rgba = read_rgba(&gpu.device, &gpu.queue, &pass.target().planes[0]).expect("read back");
            let mut worst = 0;
            for (y, x) in (2..size.y).step_by(7).flat_map(|y| (2..size.x).step_by(7).map(move |x| (y, x))) {
                let at = (Vec2::new(x as f32, y as f32) + 0.5) / size.as_vec2() * 2.0 - 1.0;
                let direction = view.direction(at * Vec2::new(1.0, -1.0));
                let from_axis_deg = (-direction.z).clamp(-1.0, 1.0).acos().to_degrees();
                let cube_edge = matches!(projection, PictureProjection::CubeMap) && {
                    let mut axes = direction.abs().to_array();
                    axes.sort_by(f32::total_cmp);
                    axes[1] / axes[2] > 0.97
                };
                // Near a pole, a pixel of an equirectangular picture spans many directions.
                if from_axis_deg > shown_deg || direction.y.abs() > 0.998 || cube_edge {
                    continue;
                }
                let pixel = &rgba[((y * size.x + x) * 4) as usize..][..3];
                worst =
                    worst.max(color_of(direction).iter().zip(pixel).map(|(is, was)| is.abs_diff(*was)).max().unwrap_or_default());
            }
            assert!(worst <= 6, "{projection:?} planes {as_planes} at yaw {yaw_deg} pitch {pitch_deg}: off by {worst}");
        }
    }
}

#[test]
fn the_reference_is_left_of_the_split() {
    let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
    let size = UVec2::new(64, 32);
    let grey = |value: u8| {
        let data = Bytes::from(vec![value; 64 * 32 * 4]);
        let frame =
            VideoFrame::from_packed(FrameStamp::default(), PixelFormat::Rgba8, size, ColorInfo::default(), data).expect("whole");
        let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small");
        picture.upload(&gpu.queue, &frame);
        let projection = PictureProjection::Equirectangular;
        GpuFrame { picture: Arc::new(picture), stamp: FrameStamp::default(), projection, stereo: StereoLayout::Mono }
    };
    let mut pass = SpherePass::new(&gpu.device, size).expect("small");
    let view = SphereView { size, split: 0.5, ..Default::default() };
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    pass.encode(&gpu.device, &gpu.queue, &mut encoder, &view, &grey(200), Some(&grey(50)));
    gpu.queue.submit([encoder.finish()]);
    let rgba = read_rgba(&gpu.device, &gpu.queue, &pass.target().planes[0]).expect("read back");
    assert_eq!((rgba[4 * 10], rgba[4 * 50]), (50, 200));
}

#[test]
fn the_visible_region_holds_every_direction_of_the_view() {
    for (yaw_deg, pitch_deg, fov_deg) in
        [(0.0, 0.0, 90.0), (179.0, 10.0, 60.0), (-95.0, -35.0, 100.0), (40.0, 50.0, 70.0), (0.0, 89.0, 90.0)]
    {
        let view = SphereView { size: UVec2::new(640, 360), yaw_deg, pitch_deg, fov_deg, split: 0.0 };
        let Some(region) = view.visible_region(PictureProjection::Equirectangular) else {
            assert!(pitch_deg > 80.0, "yaw {yaw_deg} pitch {pitch_deg}: no region");
            continue;
        };
        for (x, y) in (0..=40).flat_map(|x| (0..=40).map(move |y| (x, y))) {
            let direction = view.direction(Vec2::new(x as f32, y as f32) / 20.0 - 1.0);
            let u = (0.5 + direction.x.atan2(-direction.z) / (2.0 * PI)).rem_euclid(1.0);
            let v = 0.5 - direction.y.asin() / PI;
            let inside = (u >= region.min.x && u <= region.max.x) || u + 1.0 <= region.max.x;
            assert!(
                inside && v >= region.min.y && v <= region.max.y,
                "yaw {yaw_deg} pitch {pitch_deg}: {u},{v} is not in {region:?}"
            );
        }
        assert!(region.width() * region.height() < 0.5, "{region:?} is most of the picture");
    }
}

/// Memory of this process in MiB, all tests that run in it together.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// Draws and generates frames over and over, in a process of its own, and looks at what is left behind.
#[test]
#[cfg(target_os = "linux")]
fn a_viewer_that_draws_for_long_needs_no_more_memory() {
    const FRAMES: u32 = 300;
    const NAME: &str = "a_viewer_that_draws_for_long_needs_no_more_memory";
    if std::env::var_os("STUDIO_TEST_ALONE").is_none() {
        let program = std::env::current_exe().expect("this test");
        let out = Command::new(program).args(["--exact", NAME, "--nocapture"]).env("STUDIO_TEST_ALONE", "1").output();
        let out = out.expect("it starts");
        let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{said}");
        return;
    }
    let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
    let (size, grid) = (UVec2::new(256, 128), UVec2::new(16, 8));
    let frames: Vec<GpuFrame> =
        [false, true, false, true].map(|planes| picture(&gpu, PictureProjection::Equirectangular, size, planes)).into();
    let mut view_pass = SpherePass::new(&gpu.device, UVec2::new(160, 90)).expect("small");
    let rgba_pass = RgbaPass::new(&gpu.device);
    let synthesis = [SynthesisQuality::Fast, SynthesisQuality::Sharp].map(|quality| SynthesisPass::new(&gpu.device, quality));
    let made = GpuPicture::rgba(&gpu.device, "made", size).expect("small");
    let field = MotionField {
        stamp: FrameStamp::default(),
        previous_frame_id: 0,
        picture_size: size,
        grid,
        wraps: true,
        vectors: vec![MotionVector { x: 40, y: 8 }; 128].into(),
    };
    let mut motion = MotionGrid::upload(&gpu.device, &gpu.queue, &field).expect("it fits");
    let mut before = 0.0;
    for turn in 0..FRAMES + 50 {
        if turn == 50 {
            before = resident_mib();
        }
        let [previous, current] = [turn, turn + 1].map(|turn| &frames[turn as usize % frames.len()]);
        let view = SphereView { size: UVec2::new(160, 90), yaw_deg: turn as f32, split: 0.5, ..Default::default() };
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        motion.replace(&gpu.device, &gpu.queue, &field).expect("it fits");
        for pass in &synthesis {
            let (previous, current) = (&*previous.picture, &*current.picture);
            let inputs = SynthesisInputs { previous, current, motion: &motion, phase: 0.5, region: None };
            pass.encode(&gpu.device, &gpu.queue, &mut encoder, &inputs, &made).expect("it fits");
        }
        view_pass.encode(&gpu.device, &gpu.queue, &mut encoder, &view, current, Some(previous));
        rgba_pass.encode(&gpu.device, &gpu.queue, &mut encoder, &current.picture, &made, RgbaPass::WHOLE);
        gpu.queue.submit([encoder.finish()]);
        gpu.device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU finishes");
    }
    let grown = resident_mib() - before;
    println!("{FRAMES} frames left {grown:.1} MiB behind");
    assert!(grown < 8.0, "{FRAMES} frames left {grown:.1} MiB behind");
}
