//! What a viewer relies on.

use super::{MotionGrid, SynthesisError, SynthesisInputs, SynthesisPass, SynthesisQuality, reference};
use crate::flow::{FlowQuality, FlowSettings, testing::*};
use bevy::math::{UVec2, Vec2};
use std::{
    path::Path,
    process::Command,
    sync::{Arc, OnceLock},
};
use studio_frame::{
    color::ColorInfo,
    format::PixelFormat,
    motion::{MotionField, MotionVector},
    picture::VideoFrame,
    stamp::FrameStamp,
};
use studio_gpu::{device::HeadlessGpu, picture::GpuPicture};

fn field_of(picture_size: UVec2, grid: UVec2, wraps: bool, motion_px: impl Fn(u32, u32) -> Vec2) -> MotionField {
    let cells = (0..grid.y).flat_map(|row| (0..grid.x).map(move |column| (column, row)));
    let vectors: Arc<[_]> = cells.map(|(column, row)| MotionVector::from_pixels(motion_px(column, row))).collect();
    MotionField { stamp: FrameStamp::default(), previous_frame_id: 0, picture_size, grid, wraps, vectors }
}

/// Makes a frame and reads it back as RGBA.
fn make(previous: &VideoFrame, current: &VideoFrame, field: &MotionField, phase: f32) -> Result<Vec<u8>, SynthesisError> {
    make_as(SynthesisQuality::Sharp, previous, current, field, phase, None)
}

fn make_as(
    quality: SynthesisQuality,
    previous: &VideoFrame,
    current: &VideoFrame,
    field: &MotionField,
    phase: f32,
    region: Option<[UVec2; 2]>,
) -> Result<Vec<u8>, SynthesisError> {
    static PASSES: OnceLock<[SynthesisPass; 2]> = OnceLock::new();
    let HeadlessGpu { device, queue, .. } = gpu();
    let qualities = [SynthesisQuality::Fast, SynthesisQuality::Sharp];
    let [fast, sharp] = PASSES.get_or_init(|| qualities.map(|quality| SynthesisPass::new(device, quality)));
    let pass = if quality == SynthesisQuality::Fast { fast } else { sharp };
    let made = GpuPicture::rgba(device, "made", current.size).expect("picture fits");
    let (previous, current) = (upload(previous), upload(current));
    let motion = &MotionGrid::upload(device, queue, field)?;
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let inputs = SynthesisInputs { previous: &previous, current: &current, motion, phase, region };
    pass.encode(device, queue, &mut encoder, &inputs, &made)?;
    queue.submit([encoder.finish()]);
    Ok(read_texture(&made.planes[0], 4))
}

/// Peak signal-to-noise ratio of RGBA pictures in dB, over red, green and blue.
fn psnr_db(mean_squared_error: f64) -> f64 {
    10.0 * (255.0 * 255.0 / mean_squared_error.max(1e-9)).log10()
}

fn mean_squared_error(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .enumerate()
        .filter(|(index, _)| index % 4 != 3)
        .map(|(_, (&a, &b))| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>() / (a.len() as f64 * 0.75)
}

/// A texture that repeats across after `size.x` pixels, moved by `motion` pixels.
fn ring(size: UVec2, motion: Vec2) -> VideoFrame {
    grey_frame(size, |pixel| 0.5 + 0.4 * texture_at(size.x, pixel.as_vec2() - motion))
}

#[test]
fn shader_agrees_with_the_cpu() {
    let size = UVec2::new(96, 48);
    let previous = grey_frame(size, |pixel| 0.5 + 0.4 * texture_at(size.x, pixel.as_vec2()));
    let current = grey_frame(size, |pixel| 0.5 + 0.4 * texture_at(size.x, pixel.as_vec2() * 0.97 - 2.0));
    for (wraps, quality) in [(false, SynthesisQuality::Fast), (true, SynthesisQuality::Fast), (true, SynthesisQuality::Sharp)] {
        let field = field_of(size, UVec2::new(6, 3), wraps, |column, row| Vec2::new(3.0 - column as f32, row as f32 * 2.0 - 1.5));
        for phase in [0.0, 0.25, 0.5, 0.8, 1.0, 1.5] {
            let made = make_as(quality, &previous, &current, &field, phase, None).expect("sizes fit");
            let mut far = 0;
            for (index, texel) in made.as_chunks::<4>().0.iter().enumerate() {
                let pixel = UVec2::new(index as u32 % size.x, index as u32 / size.x);
                let expected = (reference::synthesize(quality, &previous, &current, &field, phase, pixel) * 255.0).round();
                far += u32::from((f32::from(texel[0]) - expected.x).abs() > 2.0);
            }
            // A choice between nearly equal candidates may fall either way by rounding; nothing else may differ.
            assert!(far <= size.x * size.y / 50, "{quality:?}, wraps {wraps}, phase {phase}: {far} pixels differ by more than 2");
        }
    }
}

#[test]
fn the_ends_are_the_pictures_themselves() {
    let size = UVec2::new(64, 32);
    let (previous, current) = (ring(size, Vec2::ZERO), ring(size, Vec2::new(5.0, 1.0)));
    let field = field_of(size, UVec2::new(4, 2), true, |_, _| Vec2::new(5.0, 1.0));
    assert_eq!(make(&previous, &current, &field, 0.0).expect("sizes fit"), &previous.planes[0].data[..]);
    assert_eq!(make(&previous, &current, &field, 1.0).expect("sizes fit"), &current.planes[0].data[..]);
}

#[test]
fn content_lies_where_it_was_at_the_moment_also_across_the_seam() {
    let size = UVec2::new(128, 64);
    let motion = Vec2::new(8.0, 0.0);
    let field = field_of(size, UVec2::new(8, 4), true, |_, _| motion);
    for phase in [0.25, 0.5, 0.75, 1.5] {
        let made = make(&ring(size, Vec2::ZERO), &ring(size, motion), &field, phase).expect("sizes fit");
        let truth = ring(size, motion * phase);
        let worst = made.iter().zip(&truth.planes[0].data[..]).map(|(&a, &b)| a.abs_diff(b)).max();
        assert!(worst <= Some(2), "phase {phase}: a pixel is {worst:?} code values off");
    }
}

#[test]
fn what_does_not_move_stays_beside_what_does() {
    // A bar stands still in front of a moving background; the field only knows the background.
    let size = UVec2::new(128, 64);
    let motion = Vec2::new(6.0, 0.0);
    let scene =
        |motion: Vec2| {
            grey_frame(size, move |pixel| {
                if (60..68).contains(&pixel.x) { 1.0 } else { 0.4 + 0.3 * texture_at(size.x, pixel.as_vec2() - motion) }
            })
        };
    let field = field_of(size, UVec2::new(8, 4), true, |_, _| motion);
    let made = make(&scene(Vec2::ZERO), &scene(motion), &field, 0.5).expect("sizes fit");
    let rows = made.chunks_exact(size.x as usize * 4);
    let dim = rows.flat_map(|row| row[60 * 4..68 * 4].as_chunks::<4>().0).filter(|texel| texel[0] < 250).count();
    assert_eq!(dim, 0, "{dim} pixels of the standing bar were mixed with the background");
}

#[test]
fn a_region_is_made_alone_also_over_the_seam() {
    let size = UVec2::new(128, 64);
    let motion = Vec2::new(6.0, 1.0);
    let (previous, current) = (ring(size, Vec2::ZERO), ring(size, motion));
    let field = field_of(size, UVec2::new(8, 4), true, |_, _| motion);
    let whole = make(&previous, &current, &field, 0.5).expect("sizes fit");
    for [origin, extent] in
        [[UVec2::new(20, 10), UVec2::new(30, 16)], [UVec2::new(101, 7), UVec2::new(60, 20)], [UVec2::ZERO, UVec2::MAX]]
    {
        let part = make_as(SynthesisQuality::Sharp, &previous, &current, &field, 0.5, Some([origin, extent])).expect("sizes fit");
        for (index, (part, whole)) in part.as_chunks::<4>().0.iter().zip(whole.as_chunks::<4>().0).enumerate() {
            let pixel = UVec2::new(index as u32 % size.x, index as u32 / size.x);
            // How far right of and below the region's first pixel, around the seam.
            let within = (pixel + size - origin) % size;
            let grown = (pixel + size + 2 - origin) % size;
            if within.cmplt(extent).all() {
                assert_eq!(part, whole, "{pixel} of the region at {origin}");
            } else if grown.cmpgt(extent.saturating_add(UVec2::splat(4))).any() {
                // Regions grow to whole blocks, by two pixels at most.
                assert_eq!(part, &[0; 4], "{pixel} lies outside of the region at {origin}");
            }
        }
    }
}

#[test]
fn planes_are_read_with_their_own_matrix() {
    // Limited-range BT.709 red: Y 63, Cb 102, Cr 240 (ITU-R BT.709-6 §3).
    let size = UVec2::new(32, 32);
    let red = |format: PixelFormat| {
        let data: Vec<u8> = match format {
            PixelFormat::I420 => [vec![63; 1024], vec![102; 256], vec![240; 256]].concat(),
            _ => [vec![63; 1024], [102, 240].repeat(256)].concat(),
        };
        VideoFrame::from_packed(FrameStamp::default(), format, size, ColorInfo::BT709, data.into()).expect("size fits")
    };
    let field = field_of(size, UVec2::new(2, 2), false, |_, _| Vec2::new(1.0, 0.0));
    let made = make(&red(PixelFormat::I420), &red(PixelFormat::Nv12), &field, 0.5).expect("sizes fit");
    for texel in made.as_chunks::<4>().0 {
        assert!(texel[0] >= 253 && texel[1] <= 2 && texel[2] <= 2, "red became {texel:?}");
    }
}

#[test]
fn bad_input_is_refused() {
    let size = UVec2::new(64, 32);
    let frame = ring(size, Vec2::ZERO);
    let field = field_of(size, UVec2::new(4, 2), true, |_, _| Vec2::ZERO);
    assert!(matches!(make(&frame, &frame, &field, f32::NAN), Err(SynthesisError::Phase(_))));
    assert_eq!(make(&frame, &frame, &field, -0.1), Err(SynthesisError::Phase(-0.1)));
    assert!(matches!(make(&ring(size * 2, Vec2::ZERO), &frame, &field, 0.5), Err(SynthesisError::Sizes { .. })));
    let short = MotionField { vectors: field.vectors[1..].into(), ..field.clone() };
    assert_eq!(make(&frame, &frame, &short, 0.5), Err(SynthesisError::Field { columns: 4, rows: 2, vectors: 7 }));
    let empty = MotionField { grid: UVec2::ZERO, vectors: [].into(), ..field.clone() };
    assert!(matches!(make(&frame, &frame, &empty, 0.5), Err(SynthesisError::Field { .. })));
    let nowhere = MotionField { picture_size: UVec2::ZERO, ..field };
    assert_eq!(make(&frame, &frame, &nowhere, 0.5), Err(SynthesisError::FieldPicture(0, 0)));
}

/// Decodes some frames of a clip to I420 of a given size; `None`, with a line that says so, without ffmpeg.
fn decode(clip: &Path, size: UVec2, first: usize, frames: usize) -> Option<Vec<VideoFrame>> {
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(clip)
        .args([
            "-vf",
            &format!("select=gte(n\\,{first}),scale={}:{}", size.x, size.y),
            "-vsync",
            "0",
            "-frames:v",
            &frames.to_string(),
            "-f",
            "rawvideo",
            "-pix_fmt",
            "yuv420p",
            "-",
        ])
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: ffmpeg is absent");
        return None;
    };
    assert!(output.status.success(), "ffmpeg: {}", String::from_utf8_lossy(&output.stderr));
    let bytes = PixelFormat::I420.picture_bytes(size);
    let frame = |data: &[u8]| {
        VideoFrame::from_packed(FrameStamp::default(), PixelFormat::I420, size, ColorInfo::BT709, data.to_vec().into())
            .expect("whole frame")
    };
    Some(output.stdout.chunks_exact(bytes).map(frame).collect())
}

#[test]
fn withheld_frames_of_real_footage() {
    let Some(clip) = shared_data("video/VID_1280x720_cavlc_temporal_direct.264") else { return };
    let size = UVec2::new(640, 360);
    // What a software encoder sends: the cheapest flow, a coarse grid.
    let settings = FlowSettings {
        working_width_px: 320,
        quality: FlowQuality::Fast,
        grid: UVec2::new(40, 22),
        wraps: false,
        ..Default::default()
    };
    let mut flow = FlowRunner::new(size, &settings);
    for first in [0, 30, 60] {
        let Some(frames) = decode(&clip, size, first, 11) else { return };
        let triples: Vec<_> = frames.windows(3).step_by(2).collect();
        let [mut repeat, mut blend, mut fast, mut sharp] = [0.0; 4];
        for triple in &triples {
            let [a, b, c] = [&triple[0], &triple[1], &triple[2]];
            let field = flow.run(&[a, c]).field;
            let rgb = |frame| make(frame, frame, &field, 1.0).expect("sizes fit");
            let (before, truth, after) = (rgb(a), rgb(b), rgb(c));
            let mean: Vec<u8> = before.iter().zip(&after).map(|(&a, &b)| a.midpoint(b)).collect();
            repeat += mean_squared_error(&before, &truth);
            blend += mean_squared_error(&mean, &truth);
            fast += mean_squared_error(&make_as(SynthesisQuality::Fast, a, c, &field, 0.5, None).expect("sizes fit"), &truth);
            sharp += mean_squared_error(&make(a, c, &field, 0.5).expect("sizes fit"), &truth);
        }
        let [repeat, blend, fast, sharp] = [repeat, blend, fast, sharp].map(|sum| psnr_db(sum / triples.len() as f64));
        eprintln!("from frame {first}: sharp {sharp:.2} dB, fast {fast:.2} dB, blend {blend:.2} dB, repeat {repeat:.2} dB");
        assert!(
            sharp > blend + 0.8 && sharp > repeat + 5.0 && fast > repeat + 4.0,
            "from frame {first}: {sharp} {fast} {blend} {repeat}"
        );
    }
}
