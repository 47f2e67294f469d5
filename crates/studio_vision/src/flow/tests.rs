//! What a user of the flow relies on.

use super::{FlowError, FlowPass, FlowPlan, FlowQuality, FlowSettings, testing::*, work::PatchSearch};
use bevy::math::{Mat2, Mat3, UVec2, Vec2, Vec3};
use std::{
    f32::consts::{PI, TAU},
    fs,
    path::Path,
};
use studio_frame::{
    color::{ColorInfo, ColorRange},
    format::PixelFormat,
    motion::{MotionField, MotionVector},
    picture::VideoFrame,
    stamp::FrameStamp,
};

/// The four Middlebury pairs with public ground truth in the shared data.
const PAIRS: [&str; 4] = ["RubberWhale", "Dimetrodon", "Grove2", "Urban2"];

fn read_png(path: &Path) -> VideoFrame {
    let picture = image::open(path).expect("a readable PNG").to_rgba8();
    rgba_frame(UVec2::new(picture.width(), picture.height()), picture.into_raw())
}

/// Reads a `.flo` file: the number 202021.25, width, height, then x and y of each pixel, all little-endian
/// (Baker et al., *A Database and Evaluation Methodology for Optical Flow*). Unknown motions are huge.
fn read_flo(path: &Path) -> Vec<Vec2> {
    let bytes = fs::read(path).expect("a readable flow file");
    let (words, _) = bytes.as_chunks::<4>();
    assert_eq!(f32::from_le_bytes(words[0]), 202_021.25, "{} is not a .flo file", path.display());
    words[3..].chunks_exact(2).map(|pair| Vec2::new(f32::from_le_bytes(pair[0]), f32::from_le_bytes(pair[1]))).collect()
}

/// Mean endpoint error in pixels over the pixels whose motion is known.
///
/// The ground truth is defined on frame 10 and points forward: what is at `p` in frame 10 is at `p + f` in frame 11. Our
/// motion is defined on the current frame and points from the past: what is at `p` now was at `p - m`. With frame 11 as
/// the previous picture and frame 10 as the current one, both speak of the same pixels, and `m = -f`.
fn endpoint_error(pair: &Path, settings: &FlowSettings) -> f32 {
    let errors = endpoint_errors(pair, settings);
    errors.iter().map(|(error, _)| error).sum::<f32>() / errors.len() as f32
}

/// The endpoint error in pixels of each pixel whose motion is known, and how far it can be trusted (0 where that is not asked for).
fn endpoint_errors(pair: &Path, settings: &FlowSettings) -> Vec<(f32, f32)> {
    let (frame10, frame11) = (read_png(&pair.join("frame10.png")), read_png(&pair.join("frame11.png")));
    let flow = flow_of(&[&frame11, &frame10], settings);
    let truth = read_flo(&pair.join("flow10.flo"));
    let width = frame10.size.x as usize;
    let known = truth.iter().enumerate().filter(|(_, motion)| motion.abs().max_element() < 1e9);
    known
        .map(|(index, motion)| {
            let pixel = UVec2::new((index % width) as u32, (index / width) as u32);
            ((flow.at(pixel.as_vec2()) + *motion).length(), flow.confidence_at(pixel))
        })
        .collect()
}

#[test]
fn endpoint_errors_on_middlebury() {
    let Some(pairs) = shared_data("flow/middlebury") else { return };
    // For comparison, OpenCV 5.0 on the same pairs: DIS 0.529 px fast and 0.336 medium, Farneback 0.716, DeepFlow 0.187.
    for (quality, working_width_px, worst_px, mean_px) in [
        (FlowQuality::Fast, 320, 1.0, 0.60),
        (FlowQuality::Fast, 640, 0.75, 0.34),
        (FlowQuality::Balanced, 640, 0.55, 0.24),
        (FlowQuality::High, 640, 0.45, 0.187),
    ] {
        let settings = FlowSettings { working_width_px, quality, grid: UVec2::new(40, 30), wraps: false, ..Default::default() };
        let errors = PAIRS.map(|pair| endpoint_error(&pairs.join(pair), &settings));
        let average = errors.iter().sum::<f32>() / errors.len() as f32;
        eprintln!("{quality:?} at {working_width_px}: mean endpoint error {average:.3} px, {PAIRS:?} {errors:.3?}");
        assert!(errors.iter().all(|&error| error <= worst_px), "{quality:?}: a pair is worse than {worst_px} px: {errors:?}");
        assert!(average <= mean_px, "{quality:?}: {average} px on average, expected at most {mean_px}");
    }
}

#[test]
fn what_can_be_trusted_is_more_often_right() {
    let Some(pairs) = shared_data("flow/middlebury") else { return };
    for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
        let [mut all, mut trusted, mut share] = [0.0; 3];
        for pair in PAIRS {
            let settings =
                FlowSettings { quality, grid: UVec2::new(40, 30), wraps: false, both_ways: true, ..Default::default() };
            let errors = endpoint_errors(&pairs.join(pair), &settings);
            let mean = |errors: &[(f32, f32)]| errors.iter().map(|(error, _)| error).sum::<f32>() / errors.len() as f32;
            let agreed: Vec<_> = errors.iter().copied().filter(|(_, confidence)| *confidence >= 0.5).collect();
            all += mean(&errors) / PAIRS.len() as f32;
            trusted += mean(&agreed) / PAIRS.len() as f32;
            share += agreed.len() as f32 / errors.len() as f32 / PAIRS.len() as f32;
        }
        eprintln!("{quality:?}: {trusted:.3} px in the {:.1} % that are trusted, {all:.3} px in all", share * 100.0);
        assert!(share > 0.9 && trusted < 0.75 * all, "{quality:?}: {trusted} px of {all} px in {share}");
    }
}

const SIZE: UVec2 = UVec2::new(480, 240);

fn settings(quality: FlowQuality, working_width_px: u32) -> FlowSettings {
    FlowSettings { working_width_px, quality, grid: UVec2::new(20, 10), wraps: true, ..Default::default() }
}

/// A panorama whose content moved by `motion` pixels; it meets itself at the seam.
fn panorama(motion: Vec2) -> VideoFrame {
    grey_frame(SIZE, |pixel| 0.5 + 0.4 * texture_at(SIZE.x, pixel.as_vec2() - motion))
}

/// The largest distance in pixels of the cells' vectors from one motion, in the rows whose content both pictures show.
fn worst_cell_px(field: &MotionField, motion: Vec2) -> f32 {
    let rows = 2..field.grid.y - 2;
    let vectors = rows.flat_map(|row| (0..field.grid.x).map(move |column| field.at(column, row).to_pixels()));
    vectors.map(|vector| vector.distance(motion)).fold(0.0, f32::max)
}

#[test]
fn what_does_not_move_has_no_motion() {
    let frame = panorama(Vec2::ZERO);
    for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
        let flow = flow_of(&[&frame, &frame], &settings(quality, 240));
        assert!(flow.field.vectors.iter().all(|&vector| vector == MotionVector::default()), "{quality:?}");
        assert!(flow.dense.iter().all(|&motion| motion == Vec2::ZERO), "{quality:?}");
        assert_eq!((flow.stats.residual_still, flow.stats.residual_moved), (0.0, 0.0));
    }
}

#[test]
fn threads_that_search_together_find_what_one_finds_alone() {
    // Two pictures that differ by more than a shift, so that descents end in different places.
    let center = SIZE.as_vec2() / 2.0;
    let turned = |pixel: UVec2| center + Mat2::from_angle(0.08) * (pixel.as_vec2() - center) * 1.04;
    let frames = [panorama(Vec2::ZERO), grey_frame(SIZE, |pixel| 0.5 + 0.4 * texture_at(SIZE.x, turned(pixel)))];
    for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
        for wraps in [true, false] {
            let settings = FlowSettings { wraps, ..settings(quality, 480) };
            let [alone, together] = [PatchSearch::Alone, PatchSearch::Together]
                .map(|search| FlowRunner::with_search(SIZE, &settings, search).run(&[&frames[0], &frames[1]]).dense);
            let apart: Vec<f32> = alone.iter().zip(&together).map(|(alone, together)| alone.distance(*together)).collect();
            let (mean, far) =
                (apart.iter().sum::<f32>() / apart.len() as f32, apart.iter().filter(|&&apart| apart > 0.1).count());
            eprintln!("{quality:?}, wraps {wraps}: {mean} px apart, {far} of {} pixels more than 0.1", apart.len());
            // Sums in another order round otherwise; where two motions are as good, that may choose.
            assert!(mean < 0.002 && far < apart.len() / 500, "{quality:?}, wraps {wraps}: {mean} px apart, {far} pixels far");
        }
    }
}

#[test]
fn the_seam_is_no_edge() {
    for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
        for working_width_px in [240, 480] {
            let mut flow = FlowRunner::new(SIZE, &settings(quality, working_width_px));
            for motion in [Vec2::new(13.0, -4.0), Vec2::new(-30.5, 6.25), Vec2::new(3.3, 0.0)] {
                let result = flow.run(&[&panorama(Vec2::ZERO), &panorama(motion)]);
                // Every column counts, the first and the last as much as those in the middle.
                let worst = worst_cell_px(&result.field, motion);
                assert!(worst < 0.25, "{quality:?} at {working_width_px}: a cell is {worst} px off {motion}");
                assert!(!result.stats.is_scene_cut(), "{quality:?}: {:?}", result.stats);
            }
        }
    }
}

#[test]
fn what_one_picture_alone_sees_is_not_trusted() {
    // A square passes over a still background: what it covers now has no past, and its past place nothing that came from there.
    let (square, jump) = (UVec2::splat(120), 14.0);
    let scene = |left: f32| {
        grey_frame(SIZE, |pixel| {
            let inside = pixel.as_vec2() - Vec2::new(left, 60.0);
            let over = inside.cmpge(Vec2::ZERO).all() && inside.cmplt(square.as_vec2()).all();
            let content = if over { inside + 1000.0 } else { pixel.as_vec2() };
            0.5 + 0.4 * texture_at(SIZE.x, content)
        })
    };
    for quality in [FlowQuality::Fast, FlowQuality::Balanced, FlowQuality::High] {
        let settings = FlowSettings { both_ways: true, ..settings(quality, 480) };
        let flow = flow_of(&[&scene(200.0), &scene(200.0 + jump)], &settings);
        let mean = |x: core::ops::Range<u32>, y: core::ops::Range<u32>| {
            let pixels: Vec<f32> =
                y.flat_map(|y| x.clone().map(move |x| UVec2::new(x, y))).map(|p| flow.confidence_at(p)).collect();
            pixels.iter().sum::<f32>() / pixels.len() as f32
        };
        // Uncovered: the strip that the square left. The square's middle and the far background agree both ways.
        let (uncovered, middle, still) = (mean(203..211, 80..160), mean(250..300, 90..150), mean(20..120, 20..220));
        eprintln!("{quality:?}: uncovered {uncovered:.2}, square {middle:.2}, background {still:.2}");
        assert!(uncovered < 0.3 && middle > 0.9 && still > 0.95, "{quality:?}: {uncovered}, {middle}, {still}");
        let seam = flow_of(&[&panorama(Vec2::ZERO), &panorama(Vec2::new(30.0, 0.0))], &settings);
        let agreed =
            (0..SIZE.y).flat_map(|y| [0, 1, SIZE.x - 1].map(|x| UVec2::new(x, y))).filter(|p| seam.confidence_at(*p) > 0.9);
        assert!(agreed.count() > 3 * SIZE.y as usize * 97 / 100, "{quality:?}: the seam is an edge");
    }
}

#[test]
fn a_picture_that_does_not_wrap_has_edges() {
    // The same content, but told that the edges do not meet: the middle still moves, the entering edge has nothing to go by.
    let motion = Vec2::new(12.0, 0.0);
    let settings = FlowSettings { wraps: false, ..settings(FlowQuality::Balanced, 240) };
    let field = flow_of(&[&panorama(Vec2::ZERO), &panorama(motion)], &settings).field;
    for column in 3..field.grid.x - 3 {
        let vector = field.at(column, 5).to_pixels();
        assert!(vector.distance(motion) < 0.25, "column {column} moves by {vector}");
    }
    assert!(!field.wraps);
}

#[test]
fn rotation_and_zoom_are_followed() {
    let center = SIZE.as_vec2() / 2.0;
    let turn = Mat2::from_angle(0.05) * 1.03;
    let back = turn.inverse();
    let previous = panorama(Vec2::ZERO);
    let current = grey_frame(SIZE, |pixel| 0.5 + 0.4 * texture_at(SIZE.x, center + back * (pixel.as_vec2() - center)));
    let settings = FlowSettings { wraps: false, ..settings(FlowQuality::Balanced, 480) };
    let flow = flow_of(&[&previous, &current], &settings);
    let inner = (40..SIZE.y - 40).step_by(4).flat_map(|y| (40..SIZE.x - 40).step_by(4).map(move |x| UVec2::new(x, y).as_vec2()));
    let errors: Vec<f32> = inner.map(|p| flow.at(p).distance(p - center - back * (p - center))).collect();
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    assert!(mean < 0.15, "mean endpoint error {mean} px");
}

#[test]
fn a_change_of_brightness_is_no_motion() {
    let motion = Vec2::new(7.0, 3.0);
    let brighter = grey_frame(SIZE, |pixel| 0.58 + 0.4 * texture_at(SIZE.x, pixel.as_vec2() - motion));
    let field = flow_of(&[&panorama(Vec2::ZERO), &brighter], &settings(FlowQuality::Balanced, 240)).field;
    let worst = worst_cell_px(&field, motion);
    assert!(worst < 0.4, "a cell is {worst} px off");
}

#[test]
fn another_scene_is_told_from_a_moving_one() {
    let other = grey_frame(SIZE, |pixel| 0.5 + 0.4 * texture_at(SIZE.x, pixel.as_vec2() * 1.3 + Vec2::splat(1000.0)));
    let mut flow = FlowRunner::new(SIZE, &settings(FlowQuality::Fast, 240));
    let cut = flow.run(&[&panorama(Vec2::ZERO), &other]).stats;
    assert!(cut.is_scene_cut(), "{cut:?}");
    let moving = flow.run(&[&panorama(Vec2::ZERO), &panorama(Vec2::new(20.0, 5.0))]).stats;
    assert!(!moving.is_scene_cut(), "{moving:?}");
}

#[test]
fn the_same_pictures_give_the_same_bytes() {
    let frames = [panorama(Vec2::ZERO), panorama(Vec2::new(5.5, 2.0))];
    let settings = settings(FlowQuality::Balanced, 240);
    let [first, second] = [(); 2].map(|()| flow_of(&[&frames[0], &frames[1]], &settings));
    assert_eq!(first.field.vectors, second.field.vectors);
    assert_eq!(first.dense, second.dense);
    assert_eq!(first.stats, second.stats);
}

#[test]
fn the_first_picture_and_the_first_after_a_reset_do_not_move() {
    let mut flow = FlowRunner::new(SIZE, &settings(FlowQuality::Fast, 240));
    let moved = flow.run(&[&panorama(Vec2::ZERO), &panorama(Vec2::new(9.0, 0.0))]);
    assert!(moved.field.mean_speed_px() > 8.0);
    let first = flow.run(&[&panorama(Vec2::new(30.0, 0.0))]);
    assert_eq!(first.field.mean_speed_px(), 0.0);
}

#[test]
fn luma_planes_give_what_rgba_gives() {
    let full = ColorInfo { range: ColorRange::Full, ..ColorInfo::BT709 };
    let planar = |frame: &VideoFrame| {
        let mut data: Vec<u8> = frame.planes[0].data.iter().copied().step_by(4).collect();
        data.resize(PixelFormat::I420.picture_bytes(SIZE), 128);
        VideoFrame::from_packed(FrameStamp::default(), PixelFormat::I420, SIZE, full, data.into()).expect("size fits")
    };
    let frames = [panorama(Vec2::ZERO), panorama(Vec2::new(-6.0, 2.5))];
    let planes = frames.each_ref().map(planar);
    let mut flow = FlowRunner::new(SIZE, &settings(FlowQuality::Balanced, 240));
    let [rgba, yuv] = [&frames, &planes].map(|pair| flow.run(&[&pair[0], &pair[1]]).field);
    let worst = rgba.vectors.iter().zip(&yuv.vectors[..]).map(|(a, b)| a.to_pixels().distance(b.to_pixels())).fold(0.0, f32::max);
    assert!(worst < 0.15, "a cell differs by {worst} px");
}

#[test]
fn bad_input_is_refused() {
    let fine = settings(FlowQuality::Fast, 240);
    let plan = |size, settings: &FlowSettings| FlowPlan::new(size, settings);
    assert!(matches!(plan(UVec2::new(480, 16), &fine), Err(FlowError::PictureTooSmall { .. })));
    assert!(matches!(plan(SIZE, &FlowSettings { working_width_px: 0, ..fine }), Err(FlowError::WorkingWidthTooSmall(0))));
    for grid in [UVec2::ZERO, UVec2::new(481, 1), UVec2::MAX] {
        assert!(matches!(plan(SIZE, &FlowSettings { grid, ..fine }), Err(FlowError::Grid { .. })), "{grid}");
    }
    let device = &gpu().device;
    let mut pass = FlowPass::new(device, SIZE, &fine).expect("settings fit");
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let other = upload(&grey_frame(UVec2::new(64, 64), |_| 0.5));
    assert!(matches!(pass.encode(device, &mut encoder, &other), Err(FlowError::SizeChanged { .. })));
    let short = pass.plan().motion_field(FrameStamp::default(), 0, &[0; 7]);
    assert!(matches!(short, Err(FlowError::ReadbackSize { got: 7, .. })));
}

#[test]
fn every_level_is_half_of_the_finer_one() {
    for (size, working_width_px) in
        [(UVec2::new(7680, 3840), 1920), (UVec2::new(1280, 640), 500), (UVec2::new(584, 388), 640), (SIZE, 33)]
    {
        let plan =
            FlowPlan::new(size, &FlowSettings { working_width_px, ..settings(FlowQuality::Fast, 240) }).expect("settings fit");
        for level in 1..plan.levels {
            assert_eq!(plan.level_size(level) * 2, plan.level_size(level - 1), "{size} at {working_width_px}");
        }
        assert!(plan.level_size(plan.levels - 1).min_element() >= 16, "{plan:?}");
    }
}

#[test]
fn a_sphere_that_turns_is_followed_towards_its_poles() {
    let size = UVec2::new(960, 480);
    let direction = |pixel: Vec2| {
        let [x, y] = ((pixel + 0.5) / size.as_vec2()).to_array();
        let (yaw, pitch) = (x * TAU, (0.5 - y) * PI);
        Vec3::new(pitch.cos() * yaw.sin(), pitch.sin(), pitch.cos() * yaw.cos())
    };
    // Three pictures of the lattice, one for each axis, by how much the direction leans to it: no seam and no pole.
    let content = |direction: Vec3| {
        let at = |x: f32, y: f32| texture_at(4096, Vec2::splat(1000.0) + 150.0 * Vec2::new(x, y));
        let Vec3 { x, y, z } = direction;
        x * x * at(y, z) + y * y * at(z, x) + z * z * at(x, y)
    };
    let sphere = |turn: Mat3| grey_frame(size, |pixel| 0.5 + 0.4 * content(turn * direction(pixel.as_vec2())));
    for (name, axis) in [("yaw", Vec3::Y), ("pitch", Vec3::X), ("roll", Vec3::Z)] {
        let turn = Mat3::from_axis_angle(axis, 2_f32.to_radians());
        let settings = FlowSettings { working_width_px: 960, ..settings(FlowQuality::Balanced, 960) };
        let flow = flow_of(&[&sphere(Mat3::IDENTITY), &sphere(turn)], &settings);
        // Mean error in degrees on the sphere, by nine bands of latitude.
        let bands: [f32; 9] = core::array::from_fn(|band| {
            let rows = (band as u32 * size.y / 9 + 2..(band as u32 + 1) * size.y / 9).step_by(3);
            let pixels: Vec<Vec2> = rows.flat_map(|y| (0..size.x).step_by(5).map(move |x| UVec2::new(x, y).as_vec2())).collect();
            let error = |p: &Vec2| direction(*p - flow.at(*p)).angle_between(turn * direction(*p)).to_degrees();
            pixels.iter().map(error).sum::<f32>() / pixels.len() as f32
        });
        eprintln!("{name}: {bands:.3?} degrees of 2");
        assert!(bands[1..8].iter().all(|error| *error < 0.06), "{name}: {bands:?}");
        assert!(bands.iter().all(|error| *error < 0.5), "{name}: {bands:?}");
    }
}
