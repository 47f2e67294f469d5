//! What the browser's synthesis, a port of `synthesis.wgsl` to GLSL, must agree with: `web/test/vectors/synthesis.json`, made by
//! the CPU reference.
//!
//! This test says when the file is old; `NEURAL_STUDIO_BLESS=1 cargo test -p studio_vision --lib vectors` writes it.

use super::{SynthesisQuality, reference};
use crate::flow::testing::rgba_frame;
use bevy::math::{IVec2, UVec2, Vec2};
use std::{env, fs, path::Path};
use studio_frame::{
    motion::{MotionField, MotionVector},
    picture::VideoFrame,
    stamp::FrameStamp,
};

const SIZE: UVec2 = UVec2::new(32, 16);
const GRID: UVec2 = UVec2::new(4, 2);

fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    bytes.into_iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A soft background that moves by `shift` pixels, and a bright square in front of it that moves by four times as much.
fn picture(shift: Vec2) -> VideoFrame {
    let pixels = (0..SIZE.y).flat_map(|y| (0..SIZE.x).map(move |x| UVec2::new(x, y)));
    let data: Vec<u8> = pixels
        .flat_map(|pixel| {
            let at = pixel.as_vec2() - shift;
            let wave = |scale: f32, offset: f32| (110.0 + 80.0 * (at.x * scale + at.y * 0.31 + offset).sin()) as u8;
            let square = (pixel.as_ivec2() - (4.0 * shift).as_ivec2() - IVec2::new(9, 4)).cmpge(IVec2::ZERO).all()
                && (pixel.as_ivec2() - (4.0 * shift).as_ivec2() - IVec2::new(16, 11)).cmplt(IVec2::ZERO).all();
            // Multiples of a 32nd turn, so that the background goes on at the other side.
            let turn = core::f32::consts::TAU / 32.0;
            if square { [250, 240, 60, 255] } else { [wave(turn, 0.0), wave(2.0 * turn, 1.0), wave(3.0 * turn, 2.0), 255] }
        })
        .collect();
    rgba_frame(SIZE, data)
}

fn rgb(frame: &VideoFrame) -> String {
    hex((0..SIZE.y).flat_map(|y| frame.row(0, y).chunks(4).flat_map(|texel| texel[..3].to_vec()).collect::<Vec<_>>()))
}

fn case(wraps: bool) -> String {
    let shift = Vec2::new(1.5, 0.5);
    let (previous, current) = (picture(Vec2::ZERO), picture(shift));
    // The cells that the square covers say its motion, all others the background's.
    let vectors: Vec<MotionVector> = (0..GRID.y)
        .flat_map(|row| (0..GRID.x).map(move |column| (column, row)))
        .map(|(column, _)| MotionVector::from_pixels(if (1..3).contains(&column) { 4.0 * shift } else { shift }))
        .collect();
    let numbers: Vec<String> = vectors.iter().map(|vector| format!("{},{}", vector.x, vector.y)).collect();
    let field = MotionField {
        stamp: FrameStamp::default(),
        previous_frame_id: 0,
        picture_size: SIZE,
        grid: GRID,
        wraps,
        vectors: vectors.into(),
    };
    let frames = [0.25_f32, 0.5, 0.75].map(|phase| {
        let pixels = (0..SIZE.y).flat_map(|y| (0..SIZE.x).map(move |x| UVec2::new(x, y)));
        let made = pixels.flat_map(|pixel| {
            let color = reference::synthesize(SynthesisQuality::Fast, &previous, &current, &field, phase, pixel);
            color.to_array().map(|channel| (channel * 255.0).round() as u8)
        });
        format!(r#"{{"phase":{phase},"rgb":"{}"}}"#, hex(made))
    });
    format!(
        r#"{{"width":{},"height":{},"columns":{},"rows":{},"wraps":{wraps},"vectors":[{}],"previous":"{}","current":"{}","frames":[{}]}}"#,
        SIZE.x,
        SIZE.y,
        GRID.x,
        GRID.y,
        numbers.join(","),
        rgb(&previous),
        rgb(&current),
        frames.join(",")
    )
}

#[test]
fn the_browsers_vectors_are_the_references() {
    let json = format!("[\n{},\n{}\n]\n", case(true), case(false));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/test/vectors/synthesis.json");
    if env::var_os("NEURAL_STUDIO_BLESS").is_some() {
        fs::write(&path, &json).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == json, "{} is old: NEURAL_STUDIO_BLESS=1 cargo test -p studio_vision --lib vectors", path.display());
}
