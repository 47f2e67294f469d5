//! Turns found in pictures.

use super::super::{
    CausalSmoother, Smoothing, camera_rotation,
    picture::{direction_of, place_of},
    testing::{Cinema, jitter_deg, shaken},
    turned_motion,
};
use crate::flow::{FlowQuality, FlowSettings, testing::FlowRunner};
use bevy::math::{DQuat, DVec2, DVec3, UVec2};
use studio_frame::{
    motion::{MotionField, MotionVector},
    picture::VideoFrame,
    stamp::FrameStamp,
};

const SIZE: UVec2 = UVec2::new(512, 256);

/// The motion of a sphere that is seen by a camera turning so, with a share of the cells moving as they like.
fn field_of(older_from_newer: DQuat, astray: f64) -> MotionField {
    let (picture_size, grid) = (UVec2::new(2048, 1024), UVec2::new(64, 32));
    let size = picture_size.as_dvec2();
    let vectors = (0..grid.element_product()).map(|index| {
        let cell = UVec2::new(index % grid.x, index / grid.x);
        let pixel = (cell.as_dvec2() + 0.5) * 32.0;
        let mut motion = pixel - place_of(older_from_newer * direction_of(pixel, size), size);
        motion.x -= (motion.x / 2048.0).round() * 2048.0;
        // One part of the sphere moves together: a passer-by is no noise.
        if f64::from(cell.x) < astray * f64::from(grid.x) {
            motion = DVec2::new(11.0, -4.0);
        }
        MotionVector::from_pixels(motion.as_vec2())
    });
    MotionField {
        stamp: FrameStamp { frame_id: 2, ..FrameStamp::default() },
        previous_frame_id: 1,
        picture_size,
        grid,
        wraps: true,
        vectors: vectors.collect(),
    }
}

#[test]
fn the_turn_is_found_whatever_else_moves() {
    for (angles, astray, most_deg) in [
        (DVec3::new(0.4, -1.1, 0.7), 0.0, 0.005),
        (DVec3::new(3.0, 2.0, -3.0), 0.0, 0.005),
        (DVec3::new(0.4, -1.1, 0.7), 0.35, 0.02),
        (DVec3::ZERO, 0.4, 0.02),
    ] {
        let turn = DQuat::from_scaled_axis(angles * 1_f64.to_radians());
        let found = camera_rotation(&field_of(turn, astray)).expect("a turn");
        let error = found.older_from_newer.angle_between(turn).to_degrees();
        println!(
            "{angles}° with {astray} astray: {error:.5}° off, {:.2} explained, {:.4}° left",
            found.explained, found.residual_deg
        );
        assert!(error < most_deg, "{error}°");
        assert!((found.explained - (1.0 - astray)).abs() < 0.1, "{found:?}");
    }
    let mut cut = field_of(DQuat::IDENTITY, 0.0);
    cut.previous_frame_id = 2;
    assert_eq!(camera_rotation(&cut), None, "a cut is no motion");
    assert_eq!(camera_rotation(&MotionField { wraps: false, previous_frame_id: 1, ..cut }), None, "no whole sphere");
}

#[test]
fn motion_is_carried_over_to_the_turned_picture() {
    // The world stands still, and the pictures are turned against the camera: nothing is left to move.
    let turn = DQuat::from_scaled_axis(DVec3::new(0.02, -0.03, 0.01));
    let (now, before) = (DQuat::from_rotation_x(0.2), turn * DQuat::from_rotation_x(0.2));
    let carried = turned_motion(&field_of(turn, 0.0), now, before);
    // Away from the poles, where directions crowd.
    let rows = (6..26).flat_map(|row| (0..64).map(move |column| (column, row)));
    let worst = rows.map(|(column, row)| carried.at(column, row).to_pixels().length()).fold(0.0, f32::max);
    println!("{worst} pixels are left of {:.1}", field_of(turn, 0.0).mean_speed_px());
    assert!(worst < 0.7, "{worst}");
    assert_eq!((carried.stamp, carried.previous_frame_id), (field_of(turn, 0.0).stamp, 1));
}

#[test]
fn a_shaken_sphere_is_steadied_from_its_own_motion() {
    const FRAMES: u32 = 90;
    let mut cinema = Cinema::new(SIZE);
    let path: Vec<DQuat> = (0..FRAMES).map(|frame| shaken(f64::from(frame) / 30.0, 0.0)).collect();
    let frames: Vec<VideoFrame> = path.iter().map(|rotation| cinema.film(*rotation)).collect();
    let settings =
        FlowSettings { working_width_px: 512, quality: FlowQuality::Balanced, grid: UVec2::new(32, 16), ..Default::default() };
    let mut runner = FlowRunner::new(SIZE, &settings);
    let mut found = vec![path[0]];
    for pair in frames.windows(2) {
        let mut field = runner.run(&[&pair[0], &pair[1]]).field;
        field.stamp.frame_id = 1;
        let turn = camera_rotation(&field).expect("a turn");
        found.push(found[found.len() - 1] * turn.older_from_newer);
    }
    // What the world does in the corrected picture.
    let left = |smoothing| -> Vec<DQuat> {
        let mut smoother = CausalSmoother::new(smoothing, false);
        let corrected = found.iter().zip(&path).zip(0..).map(|((found, truth), frame)| {
            let stable = smoother.step(f64::from(frame) / 30.0, *found);
            *truth * found.inverse() * stable
        });
        corrected.collect()
    };
    let before = jitter_deg(&path);
    let (locked, live) = (left(Smoothing::Lock), left(Smoothing::Follow { time_s: 1.0 }));
    let drift = locked.iter().map(|rotation| rotation.angle_between(locked[0]).to_degrees()).fold(0.0, f64::max);
    let (after, after_live) = (jitter_deg(&locked), jitter_deg(&live));
    println!(
        "{before:.3}° a frame; locked {after:.4}° (×{:.0}), drift {drift:.3}° in 3 s; live {after_live:.4}° (×{:.0})",
        before / after,
        before / after_live
    );
    assert!(before > 10.0 * after && before > 10.0 * after_live, "{before} {after} {after_live}");
    assert!(drift < 0.5, "{drift}°");
}
