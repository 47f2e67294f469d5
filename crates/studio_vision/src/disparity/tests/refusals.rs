//! Bad input is refused with words.

use super::{noise, varied_settings};
use crate::{
    disparity::{DisparityError, DisparityPass, DisparityPlan, DisparitySettings},
    flow::testing::gpu,
};
use bevy::math::{Rect, UVec2, Vec2};
use studio_gpu::{device::HeadlessGpu, rgba::RgbaPass};

#[test]
fn bad_settings_are_refused() {
    let fine = DisparitySettings::default();
    let size = UVec2::new(320, 200);
    assert!(matches!(DisparityPlan::new(UVec2::new(320, 31), &fine), Err(DisparityError::PictureTooSmall { .. })));
    for (field, settings) in [
        ("working_width_px", DisparitySettings { working_width_px: 0, ..fine }),
        ("first_disparity_px", DisparitySettings { first_disparity_px: i32::MIN, ..fine }),
        ("range_px", DisparitySettings { range_px: 257, ..fine }),
        ("small_penalty", DisparitySettings { small_penalty: u32::MAX, ..fine }),
        ("large_penalty", DisparitySettings { large_penalty: 5, ..fine }),
        ("uniqueness_percent", DisparitySettings { uniqueness_percent: 100, ..fine }),
        ("left_right_px", DisparitySettings { left_right_px: -2, ..fine }),
        ("speckle_px", DisparitySettings { speckle_px: u32::MAX, ..fine }),
        ("range_px", DisparitySettings { wraps: true, working_width_px: 64, range_px: 128, ..fine }),
    ] {
        let error = DisparityPlan::new(size, &settings).expect_err(field).to_string();
        assert!(error.contains(field), "{error}");
    }
    for settings in varied_settings() {
        DisparityPlan::new(size, &settings).expect("these are in range");
    }
}

#[test]
fn more_than_the_gpu_holds_is_refused_with_what_would_fit() {
    let settings = DisparitySettings { working_width_px: 4096, range_px: 256, ..Default::default() };
    let size = UVec2::splat(4096);
    let bytes = DisparityPlan::new(size, &settings).expect("in range").largest_buffer_bytes();
    let limits = gpu().device.limits();
    if bytes <= limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) {
        eprintln!("skipped: this GPU holds {bytes} bytes in one buffer");
        return;
    }
    let Err(DisparityError::TooMuch { most_width, .. }) = DisparityPass::new(&gpu().device, size, &settings) else {
        panic!("buffers of {bytes} bytes do not fit");
    };
    let smaller = DisparityPlan::new(size, &DisparitySettings { working_width_px: most_width, ..settings }).expect("in range");
    assert!(smaller.check_limits(&gpu().device).is_ok(), "{most_width} does not fit either");
}

#[test]
fn eyes_of_other_sizes_are_refused() {
    let HeadlessGpu { device, queue, .. } = gpu();
    let settings = DisparitySettings { range_px: 16, ..Default::default() };
    let [small, large] = [UVec2::new(64, 48), UVec2::new(80, 48)].map(|size| noise(size, 1).upload());
    let mut pass = DisparityPass::new(device, small.size, &settings).expect("settings fit");
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let whole = RgbaPass::WHOLE;
    let differ = pass.encode(device, queue, &mut encoder, (&small, whole), (&large, whole));
    assert!(matches!(differ, Err(DisparityError::SizesDiffer { right_width: 80, .. })), "{differ:?}");
    let half = Rect { min: Vec2::ZERO, max: Vec2::new(0.5, 1.0) };
    let changed = pass.encode(device, queue, &mut encoder, (&small, half), (&small, half));
    assert!(matches!(changed, Err(DisparityError::SizeChanged { width: 32, .. })), "{changed:?}");
}
