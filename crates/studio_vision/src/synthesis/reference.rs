//! The synthesis on the CPU, for RGBA pictures: what the shader must agree with.

use super::SynthesisQuality;
use bevy::math::{IVec2, UVec2, Vec2, Vec3};
use studio_frame::{motion::MotionField, picture::VideoFrame};

const AGREE: f32 = 5.0 / 255.0;
const STILL_PX: f32 = 1.0 / 32.0;

fn wrap_or_clamp(index: i32, count: u32, wraps: bool) -> u32 {
    if wraps { index.rem_euclid(count as i32) as u32 } else { index.clamp(0, count as i32 - 1) as u32 }
}

/// Bilinear colour (0..1) at a position in pixels, where pixel centres lie at halves.
fn sample(frame: &VideoFrame, position: Vec2, wraps: bool) -> Vec3 {
    let place = position - 0.5;
    let base = place.floor();
    let part = place - base;
    let texel = |dx: i32, dy: i32| {
        let x = wrap_or_clamp(base.x as i32 + dx, frame.size.x, wraps);
        let y = wrap_or_clamp(base.y as i32 + dy, frame.size.y, false);
        let row = frame.row(0, y);
        Vec3::from_array(core::array::from_fn(|channel| f32::from(row[x as usize * 4 + channel]) / 255.0))
    };
    texel(0, 0).lerp(texel(1, 0), part.x).lerp(texel(0, 1).lerp(texel(1, 1), part.x), part.y)
}

/// Catmull-Rom's cubic without its corner taps at a position in pixels.
fn sample_cubic(frame: &VideoFrame, position: Vec2, wraps: bool) -> Vec3 {
    let center = (position - 0.5).floor() + 0.5;
    let weights = |part: f32| {
        let (square, cube) = (part * part, part * part * part);
        [
            -0.5 * part + square - 0.5 * cube,
            1.0 - 2.5 * square + 1.5 * cube,
            0.5 * part + 2.0 * square - 1.5 * cube,
            0.5 * (cube - square),
        ]
    };
    let part = position - center;
    let (across, down) = (weights(part.x), weights(part.y));
    let (mut sum, mut total) = (Vec3::ZERO, 0.0);
    for (row, down) in down.into_iter().enumerate() {
        for (column, across) in across.into_iter().enumerate() {
            if [0, 3].contains(&row) && [0, 3].contains(&column) {
                continue;
            }
            let tap = center + Vec2::new(column as f32, row as f32) - 1.0;
            sum += across * down * sample(frame, tap, wraps);
            total += across * down;
        }
    }
    sum / total
}

fn cell_motion(field: &MotionField, cell: IVec2) -> Vec2 {
    field.at(wrap_or_clamp(cell.x, field.grid.x, field.wraps), wrap_or_clamp(cell.y, field.grid.y, false)).to_pixels()
}

fn in_cells(field: &MotionField, position: Vec2) -> Vec2 {
    let mut share = position / field.picture_size.as_vec2();
    if field.wraps {
        share.x -= share.x.floor();
    }
    share.clamp(Vec2::ZERO, Vec2::ONE) * field.grid.as_vec2() - 0.5
}

fn motion_at(field: &MotionField, position: Vec2) -> Vec2 {
    let place = in_cells(field, position);
    let base = place.floor();
    let part = place - base;
    let cell = |dx, dy| cell_motion(field, base.as_ivec2() + IVec2::new(dx, dy));
    cell(0, 0).lerp(cell(1, 0), part.x).lerp(cell(0, 1).lerp(cell(1, 1), part.x), part.y)
}

/// The colour (0..1) of one pixel of the made frame.
pub(super) fn synthesize(
    quality: SynthesisQuality,
    previous: &VideoFrame,
    current: &VideoFrame,
    field: &MotionField,
    phase: f32,
    pixel: UVec2,
) -> Vec3 {
    let block = (pixel / 2 * 2).as_vec2();
    let center = block + 1.0;
    let rest = 1.0 - phase;
    let mut motion = motion_at(field, center);
    for _ in 0..2 {
        motion = motion_at(field, center + rest * motion);
    }
    let before = |place: Vec2, motion: Vec2| sample(previous, place - phase * motion, field.wraps);
    let after = |place: Vec2, motion: Vec2| sample(current, place + rest * motion, field.wraps);
    let luma = Vec3::new(0.2126, 0.7152, 0.0722);
    let difference_at = |place: Vec2, motion: Vec2| (before(place, motion).dot(luma) - after(place, motion).dot(luma)).abs();
    let difference_of = |motion: Vec2| {
        let pixels = [Vec2::ZERO, Vec2::X, Vec2::Y, Vec2::ONE].map(|side| block + 0.5 + side);
        pixels.into_iter().map(|place| 0.25 * difference_at(place, motion)).sum::<f32>()
    };
    let mut difference = difference_of(motion);
    if difference > AGREE && phase < 1.0 {
        let base = in_cells(field, center + rest * motion).floor().as_ivec2();
        // Halves of cells from the place, the nearest first.
        let mut around: Vec<IVec2> = [-1, 0, 1, 2].into_iter().flat_map(|y| [-1, 0, 1, 2].map(|x| IVec2::new(x, y))).collect();
        around.sort_by_key(|cell| (cell * 2 - 1).length_squared());
        let count = if quality == SynthesisQuality::Sharp { 16 } else { 4 };
        let cells = around.into_iter().take(count).map(|cell| cell_motion(field, base + cell)).enumerate();
        let cells = cells.map(|(place, motion)| (motion, if place < 4 { 0.5 } else { 1.0 } * AGREE));
        for (candidate, margin) in cells.chain([(Vec2::ZERO, 0.5 * AGREE)]) {
            if difference_of(candidate) < difference - margin {
                difference = difference_of(candidate);
                motion = candidate;
            }
        }
    }
    let place = pixel.as_vec2() + 0.5;
    let disagree = if quality == SynthesisQuality::Sharp { 96.0 } else { 48.0 } / 255.0;
    let doubt = ((difference_at(place, motion) - AGREE) / (disagree - AGREE)).clamp(0.0, 1.0);
    let doubt = doubt * doubt * (3.0 - 2.0 * doubt);
    let nearer = if phase >= 0.5 { 1.0 } else { 0.0 };
    let share = if phase >= 1.0 { 1.0 } else { phase + (nearer - phase) * doubt };
    let sharpen = quality == SynthesisQuality::Sharp && phase != 0.0 && phase != 1.0 && motion.abs().max_element() >= STILL_PX;
    let (before, after) = if sharpen {
        let at = |frame, place| sample_cubic(frame, place, field.wraps).clamp(Vec3::ZERO, Vec3::ONE);
        (at(previous, place - phase * motion), at(current, place + rest * motion))
    } else {
        (before(place, motion), after(place, motion))
    };
    before.lerp(after, share)
}
