//! What a user of the disparity relies on.

mod geometry;
mod middlebury;
mod refusals;

use super::{DisparityPass, DisparitySettings, reference};
use crate::flow::testing::{gpu, read_buffer, rgba_frame, upload};
use bevy::math::UVec2;
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture, rgba::RgbaPass};

/// An RGBA picture in memory.
pub(super) struct Picture {
    pub size: UVec2,
    pub rgba: Vec<u8>,
}

impl Picture {
    fn read(path: &std::path::Path) -> Self {
        let picture = image::open(path).expect("a readable picture").to_rgba8();
        Self { size: UVec2::new(picture.width(), picture.height()), rgba: picture.into_raw() }
    }

    fn upload(&self) -> GpuPicture {
        upload(&rgba_frame(self.size, self.rgba.clone()))
    }
}

/// Matches two pictures on the GPU.
pub(super) fn disparities(left: &Picture, right: &Picture, settings: &DisparitySettings) -> Vec<i32> {
    let pass = DisparityPass::new(&gpu().device, left.size, settings).expect("settings fit");
    run(pass, left, right)
}

fn run(mut pass: DisparityPass, left: &Picture, right: &Picture) -> Vec<i32> {
    let HeadlessGpu { device, queue, .. } = gpu();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let whole = RgbaPass::WHOLE;
    pass.encode(device, queue, &mut encoder, (&left.upload(), whole), (&right.upload(), whole)).expect("pictures fit");
    queue.submit([encoder.finish()]);
    bytemuck::pod_collect_to_vec(&read_buffer(pass.disparity_buffer()))
}

/// A picture of coloured noise whose grain is a few pixels, different for each seed.
pub(super) fn noise(size: UVec2, seed: u32) -> Picture {
    let hash = |x: u32, y: u32, channel: u32| {
        let mut hash = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ (channel + 5 * seed).wrapping_mul(0xC2B2_AE3D);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
        (hash ^ (hash >> 12)) >> 24
    };
    let pixels = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y)));
    let rgba = pixels.flat_map(|(x, y)| {
        let coarse = [0, 1, 2].map(|channel| hash(x / 5, y / 4, channel) * 3 / 4 + hash(x, y, channel) / 4);
        [coarse[0] as u8, coarse[1] as u8, coarse[2] as u8, 255]
    });
    Picture { size, rgba: rgba.collect() }
}

/// The right picture of a left one with each pixel moved by its disparity; nearer pixels win, and what nothing covers is noise.
pub(super) fn moved(left: &Picture, disparity: impl Fn(u32, u32) -> i32) -> Picture {
    let mut right = noise(left.size, 99);
    let width = left.size.x;
    for y in 0..left.size.y {
        let mut order: Vec<u32> = (0..width).collect();
        order.sort_by_key(|&x| disparity(x, y));
        for x in order {
            let to = x as i32 - disparity(x, y);
            if (0..width as i32).contains(&to) {
                let (from, to) = ((y * width + x) as usize * 4, (y * width + to as u32) as usize * 4);
                right.rgba[to..to + 4].copy_from_slice(&left.rgba[from..from + 4]);
            }
        }
    }
    right
}

/// Settings that make every branch of the shaders count.
fn varied_settings() -> Vec<DisparitySettings> {
    use super::{DisparityPaths::*, DisparityQuality::*};
    let base = DisparitySettings { range_px: 32, ..Default::default() };
    vec![
        base,
        DisparitySettings { quality: Fast, paths: Four, uniqueness_percent: 0, left_right_px: -1, fill_holes: false, ..base },
        DisparitySettings { quality: High, first_disparity_px: -8, range_px: 27, speckle_px: 200, small_penalty: 0, ..base },
        DisparitySettings { wraps: true, range_px: 128, large_penalty: 1000, paths: Four, ..base },
        DisparitySettings { range_px: 8, first_disparity_px: 3, uniqueness_percent: 40, speckle_px: 0, left_right_px: 0, ..base },
        DisparitySettings { range_px: 256, paths: Four, quality: Fast, ..base },
    ]
}

#[test]
fn the_gpu_gives_what_the_cpu_gives() {
    let left = noise(UVec2::new(147, 61), 1);
    let right = moved(&left, |x, y| if (40..90).contains(&x) && (15..45).contains(&y) { 14 } else { 3 + (y / 20) as i32 });
    for settings in varied_settings() {
        let plan = super::DisparityPlan::new(left.size, &settings).expect("settings fit");
        let expected = reference::disparities(&plan, &left.rgba, &right.rgba);
        for alone in [false, true] {
            let pass = DisparityPass::with_lines(&gpu().device, left.size, &settings, alone).expect("settings fit");
            let found = run(pass, &left, &right);
            let differing = expected.iter().zip(&found).filter(|(a, b)| a != b).count();
            assert_eq!(differing, 0, "{settings:?}, alone {alone}: {differing} of {} pixels differ", expected.len());
        }
        assert!(expected.iter().collect::<std::collections::BTreeSet<_>>().len() > 3, "{settings:?}: nothing to compare");
    }
}

#[test]
fn known_disparities_are_found() {
    let left = noise(UVec2::new(240, 120), 2);
    let truth = |x: u32, y: u32| if (90..170).contains(&x) && (30..90).contains(&y) { 20 } else { 4 };
    let settings = DisparitySettings { range_px: 32, ..Default::default() };
    let found = disparities(&left, &moved(&left, truth), &settings);
    let good = |(index, value): (usize, &i32)| {
        let (x, y) = (index as u32 % left.size.x, index as u32 / left.size.x);
        (*value - truth(x, y) * 16).abs() <= 8
    };
    let share = found.iter().enumerate().filter(|pixel| good(*pixel)).count() as f32 / found.len() as f32;
    // What only the left eye sees, 16 columns beside the near part, is background too.
    assert!(share > 0.985, "{share}");
}

#[test]
fn a_smaller_working_size_finds_the_same_in_its_own_pixels() {
    let left = noise(UVec2::new(320, 160), 3);
    let right = moved(&left, |_, _| 12);
    let settings = DisparitySettings { working_width_px: 160, range_px: 16, ..Default::default() };
    let found = disparities(&left, &right, &settings);
    assert_eq!(found.len(), 160 * 80);
    let good = found.iter().filter(|value| (**value - 6 * 16).abs() <= 4).count() as f32 / found.len() as f32;
    assert!(good > 0.97, "{good}");
}

#[test]
fn planes_of_luma_and_chroma_give_what_rgba_gives() {
    use studio_frame::{color::ColorInfo, format::PixelFormat, picture::VideoFrame, stamp::FrameStamp};
    let left = noise(UVec2::new(200, 120), 4);
    let right = moved(&left, |x, _| if (80..140).contains(&x) { 15 } else { 5 });
    // Both eyes in one picture of luma alone, side by side.
    let width = left.size.x as usize;
    let luma = |picture: &Picture, y: usize| -> Vec<u8> {
        let row = &picture.rgba.as_chunks::<4>().0[y * width..][..width];
        row.iter().map(|pixel| 16 + (u32::from(pixel[1]) * 219 / 255) as u8).collect()
    };
    let size = left.size * UVec2::new(2, 1);
    let mut data: Vec<u8> = (0..left.size.y as usize).flat_map(|y| [luma(&left, y), luma(&right, y)].concat()).collect();
    data.resize(PixelFormat::I420.picture_bytes(size), 128);
    let frame = VideoFrame::from_packed(FrameStamp::default(), PixelFormat::I420, size, ColorInfo::BT709, data.into());
    let picture = upload(&frame.expect("size fits"));

    let HeadlessGpu { device, queue, .. } = gpu();
    let settings = DisparitySettings { range_px: 24, ..Default::default() };
    let mut pass = DisparityPass::new(device, left.size, &settings).expect("settings fit");
    let half = |from| bevy::math::Rect::new(from, 0.0, from + 0.5, 1.0);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    pass.encode(device, queue, &mut encoder, (&picture, half(0.0)), (&picture, half(0.5))).expect("pictures fit");
    queue.submit([encoder.finish()]);
    let found: Vec<i32> = bytemuck::pod_collect_to_vec(&read_buffer(pass.disparity_buffer()));
    let expected = disparities(&left, &right, &settings);
    let alike = found.iter().zip(&expected).filter(|(a, b)| (**a - **b).abs() <= 8).count() as f32 / found.len() as f32;
    assert!(alike > 0.96, "{alike}");
}
