//! Every direction of a known sphere must land where the projections say, in every kind of picture, for each eye.

use crate::{
    camera::{EyeView, pass::EyesPass},
    eye::EyeFov,
    profile::ProfileProjection,
};
use bevy::prelude::*;
use bytes::Bytes;
use core::f32::consts::PI;
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, prelude::*, readback::read_rgba};

/// Colours that tell every direction from every other; the right eye sees the left eye's in another order.
fn color_of(direction: Vec3, eye: usize) -> [u8; 3] {
    let [red, green, blue] = ((direction * 0.5 + 0.5) * 255.0).round().to_array().map(|value| value as u8);
    if eye == 0 { [red, green, blue] } else { [blue, red, green] }
}

fn sphere(longitude: f32, latitude: f32) -> Vec3 {
    Vec3::new(longitude.sin() * latitude.cos(), latitude.sin(), -longitude.cos() * latitude.cos())
}

/// An equirectangular picture of the sphere: the whole of it, or its front half.
fn source(gpu: &HeadlessGpu, eye_size: UVec2, half: bool, stereo: StereoLayout) -> GpuFrame {
    let size = match stereo {
        StereoLayout::Mono => eye_size,
        StereoLayout::TopBottom => eye_size * UVec2::new(1, 2),
        StereoLayout::LeftRight => eye_size * UVec2::new(2, 1),
    };
    let mut rgba = Vec::with_capacity((size.element_product() * 4) as usize);
    for y in 0..size.y {
        for x in 0..size.x {
            let pixel = UVec2::new(x, y);
            let eye = usize::from(pixel.x >= eye_size.x || pixel.y >= eye_size.y);
            let at = ((pixel % eye_size).as_vec2() + 0.5) / eye_size.as_vec2();
            let width = if half { PI } else { 2.0 * PI };
            let [red, green, blue] = color_of(sphere((at.x - 0.5) * width, (0.5 - at.y) * PI), eye);
            rgba.extend([red, green, blue, 255]);
        }
    }
    let stamp = FrameStamp::default();
    let frame = VideoFrame::from_packed(stamp, PixelFormat::Rgba8, size, ColorInfo::default(), Bytes::from(rgba)).expect("whole");
    let picture = GpuPicture::for_upload(&gpu.device, &frame).expect("small");
    picture.upload(&gpu.queue, &frame);
    let projection = if half { PictureProjection::HalfEquirectangular } else { PictureProjection::Equirectangular };
    GpuFrame { picture: Arc::new(picture), stamp, projection, stereo }
}

fn render(gpu: &HeadlessGpu, pass: &mut EyesPass, view: &EyeView, frame: &GpuFrame) -> Vec<u8> {
    let target = GpuPicture::rgba(&gpu.device, "eyes", view.size).expect("small");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    pass.encode(&gpu.device, &gpu.queue, &mut encoder, view, frame, &target);
    gpu.queue.submit([encoder.finish()]);
    read_rgba(&gpu.device, &gpu.queue, &target.planes[0]).expect("read back")
}

/// The direction at a place of an eye's picture, from the definitions of the projections.
fn direction(view: &EyeView, eye: usize, at: Vec2) -> Vec3 {
    let seen = match view.projection {
        ProfileProjection::Equirectangular => sphere((at.x - 0.5) * 2.0 * PI, (0.5 - at.y) * PI),
        ProfileProjection::HalfEquirectangular => sphere((at.x - 0.5) * PI, (0.5 - at.y) * PI),
        ProfileProjection::CubeMap => {
            let cell = at * Vec2::new(3.0, 2.0);
            let Vec2 { x, y } = cell.fract() * 2.0 - 1.0;
            match (cell.x as u32, cell.y as u32) {
                (0, 0) => Vec3::new(1.0, -y, x),
                (1, 0) => Vec3::new(-1.0, -y, -x),
                (2, 0) => Vec3::new(x, 1.0, -y),
                (0, 1) => Vec3::new(x, -1.0, y),
                (1, 1) => Vec3::new(x, -y, -1.0),
                _ => Vec3::new(-x, -y, 1.0),
            }
        }
        ProfileProjection::Rectilinear => {
            let fov = if eye == 0 { view.left_fov } else { view.right_fov };
            let [left, right, up, down] =
                [fov.left_deg, fov.right_deg, fov.up_deg, fov.down_deg].map(|angle| angle.to_radians().tan());
            Vec3::new(at.x * (left + right) - left, up - at.y * (up + down), -1.0)
        }
    };
    // Yaw to the right about Y, then pitch up, then a tilt to the right, written out: what is ahead of the view.
    let turn = Mat3::from_rotation_y(-view.yaw_deg.to_radians())
        * Mat3::from_rotation_x(view.pitch_deg.to_radians())
        * Mat3::from_rotation_z(-view.roll_deg.to_radians());
    (turn * seen).normalize()
}

/// How far a channel may be off: rounded twice, and filtered between the pixels of a smooth picture.
const TOLERANCE: u8 = 2;

/// The largest difference of a channel, over pixels for which the source has a smooth picture.
fn worst(view: &EyeView, rgba: &[u8], frame: &GpuFrame) -> (u8, [u32; 2]) {
    let copies = match view.stereo {
        StereoLayout::Mono => UVec2::ONE,
        StereoLayout::TopBottom => UVec2::new(1, 2),
        StereoLayout::LeftRight => UVec2::new(2, 1),
    };
    let eye_size = view.size / copies;
    let (mut worst, mut compared) = (0, [0; 2]);
    for (index, pixel) in rgba.chunks_exact(4).enumerate() {
        let pixel_at = UVec2::new(index as u32 % view.size.x, index as u32 / view.size.x);
        let eye = usize::from(pixel_at.x >= eye_size.x || pixel_at.y >= eye_size.y);
        let at = ((pixel_at % eye_size).as_vec2() + 0.5) / eye_size.as_vec2();
        let ahead = direction(view, eye, at);
        let half = frame.projection == PictureProjection::HalfEquirectangular;
        // Near a pole a pixel of the source spans many directions; the half sphere ends beside.
        if ahead.y.abs() > 0.99 || (half && ahead.z > -0.05) {
            continue;
        }
        let source_eye = if frame.stereo == StereoLayout::Mono { 0 } else { eye };
        let wanted = color_of(ahead, source_eye);
        let off = wanted.iter().zip(pixel).map(|(wanted, is)| wanted.abs_diff(*is)).max().unwrap_or_default();
        worst = worst.max(off);
        compared[eye] += 1;
    }
    (worst, compared)
}

#[test]
fn every_direction_lands_where_the_projection_says_for_each_eye() {
    let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
    let mut pass = EyesPass::new(&gpu.device);
    let (left_fov, right_fov) = (
        EyeFov { left_deg: 52.0, right_deg: 40.0, up_deg: 44.0, down_deg: 50.0 },
        EyeFov { left_deg: 40.0, right_deg: 52.0, up_deg: 44.0, down_deg: 50.0 },
    );
    let base = EyeView { left_fov, right_fov, ..EyeView::default() };
    let turns = [[25.0, -20.0, 10.0], [-40.0, 0.0, 0.0], [0.0; 3]];
    for (frame, what) in [
        (source(&gpu, UVec2::new(512, 256), false, StereoLayout::Mono), "mono 360"),
        (source(&gpu, UVec2::new(512, 256), false, StereoLayout::TopBottom), "stereo 360, one above the other"),
        (source(&gpu, UVec2::new(512, 256), false, StereoLayout::LeftRight), "stereo 360, side by side"),
        (source(&gpu, UVec2::new(256, 256), true, StereoLayout::LeftRight), "VR180"),
    ] {
        for (projection, eye_size) in [
            (ProfileProjection::Equirectangular, UVec2::new(256, 128)),
            (ProfileProjection::HalfEquirectangular, UVec2::new(128, 128)),
            (ProfileProjection::CubeMap, UVec2::new(192, 128)),
            (ProfileProjection::Rectilinear, UVec2::new(128, 144)),
        ] {
            let layouts = [
                (StereoLayout::Mono, UVec2::ONE),
                (StereoLayout::TopBottom, UVec2::new(1, 2)),
                (StereoLayout::LeftRight, UVec2::new(2, 1)),
            ];
            for ((stereo, copies), [yaw_deg, pitch_deg, roll_deg]) in
                layouts.into_iter().flat_map(|layout| turns.map(|turn| (layout, turn)))
            {
                let view = EyeView { size: eye_size * copies, projection, stereo, yaw_deg, pitch_deg, roll_deg, ..base.clone() };
                let rgba = render(&gpu, &mut pass, &view, &frame);
                let (off, compared) = worst(&view, &rgba, &frame);
                assert!(compared[0] > 4000 && (stereo == StereoLayout::Mono || compared[1] > 4000), "{what}: {compared:?}");
                assert!(off <= TOLERANCE, "{what} to {projection:?} {stereo:?}, turned by {yaw_deg}°: off by {off}");
                // The test would see a view turned by two degrees: 127 × sin 2° is 4.4.
                let turned = EyeView { yaw_deg: view.yaw_deg + 2.0, ..view.clone() };
                assert!(worst(&turned, &rgba, &frame).0 > TOLERANCE, "{what} to {projection:?}: the check is blind");
                if stereo == StereoLayout::LeftRight && projection == ProfileProjection::Equirectangular {
                    let row = |eye: usize| &rgba[60 * 512 * 4 + eye * 256 * 4..][..256 * 4];
                    assert_eq!(row(0) == row(1), frame.stereo == StereoLayout::Mono, "{what}: both eyes the same only if mono");
                }
            }
        }
    }
}

#[test]
fn a_stream_in_the_headset_s_own_view_can_be_resampled_again() {
    let gpu = HeadlessGpu::open().expect("a Vulkan adapter (software will do)");
    let mut pass = EyesPass::new(&gpu.device);
    let frame = source(&gpu, UVec2::new(512, 256), false, StereoLayout::TopBottom);
    let fov = |left_deg, right_deg| EyeFov { left_deg, right_deg, up_deg: 50.0, down_deg: 45.0 };
    let first = EyeView {
        size: UVec2::new(512, 256),
        projection: ProfileProjection::Rectilinear,
        left_fov: fov(60.0, 45.0),
        right_fov: fov(45.0, 60.0),
        ..EyeView::default()
    };
    let target = GpuPicture::rgba(&gpu.device, "eyes", first.size).expect("small");
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    pass.encode(&gpu.device, &gpu.queue, &mut encoder, &first, &frame, &target);
    gpu.queue.submit([encoder.finish()]);
    let eyes =
        GpuFrame { picture: Arc::new(target), stamp: frame.stamp, projection: first.picture_projection(), stereo: first.stereo };
    let fov = EyeFov { left_deg: 30.0, right_deg: 30.0, up_deg: 30.0, down_deg: 30.0 };
    let second = EyeView { size: UVec2::new(256, 128), left_fov: fov, right_fov: fov, ..first.clone() };
    let rgba = render(&gpu, &mut pass, &second, &eyes);
    let (off, compared) = worst(&second, &rgba, &frame);
    assert!(compared == [128 * 128; 2] && off <= TOLERANCE, "off by {off} in {compared:?}");
}
