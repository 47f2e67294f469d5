//! What is left of a shake.

use super::super::{
    CausalSmoother, RotationTrack, Smoothing, smoothed,
    testing::{jitter_deg, shaken, track_of},
};
use bevy::math::{DQuat, DVec3};

const RATE_HZ: f64 = 30.0;
const DURATION_S: f64 = 20.0;

/// Where the picture looks, from two seconds after the start on.
fn causal(smoothing: Smoothing, level: bool, path: impl Fn(f64) -> DQuat) -> Vec<DQuat> {
    let mut smoother = CausalSmoother::new(smoothing, level);
    let track = track_of(path, DURATION_S, RATE_HZ);
    track.iter().map(|(time_s, rotation)| smoother.step(time_s, rotation)).skip(60).collect()
}

fn looking_ahead(time_s: f64, path: impl Fn(f64) -> DQuat) -> Vec<DQuat> {
    let track = track_of(path, DURATION_S, RATE_HZ);
    let moments = track.iter().map(|(time_s, _)| time_s).filter(|time_s| (2.0..DURATION_S - 2.0).contains(time_s));
    moments.map(|at_s| smoothed(&track, at_s, time_s, false)).collect()
}

fn raw(path: impl Fn(f64) -> DQuat) -> Vec<DQuat> {
    track_of(path, DURATION_S, RATE_HZ).iter().map(|(_, rotation)| rotation).skip(60).collect()
}

#[test]
fn a_shake_shrinks_tenfold_live_and_more_with_look_ahead() {
    let path = |time_s: f64| shaken(time_s, 0.0);
    let before = jitter_deg(&raw(path));
    let live = jitter_deg(&causal(Smoothing::Follow { time_s: 1.0 }, false, path));
    let ahead = jitter_deg(&looking_ahead(1.5, path));
    println!("{before:.3}° a frame; live {live:.4}°, ×{:.0}; looking ahead {ahead:.4}°, ×{:.0}", before / live, before / ahead);
    assert!(before > 20.0 * live && before > 100.0 * ahead, "{before} {live} {ahead}");
}

#[test]
fn a_pan_is_followed() {
    // 20° a second, for all of the clip.
    let pan = |time_s: f64| DQuat::from_rotation_y((20.0 * time_s).to_radians());
    let behind = |looks: &[DQuat], from: usize| {
        let rig = track_of(pan, DURATION_S, RATE_HZ).iter().map(|(_, rotation)| rotation).collect::<Vec<_>>();
        let last = looks.len() - 1;
        looks[last].angle_between(rig[from + last]).to_degrees()
    };
    let live = behind(&causal(Smoothing::Follow { time_s: 0.5 }, false, pan), 60);
    let ahead = behind(&looking_ahead(1.0, pan), 60);
    println!("a pan of 20°/s is followed {live:.2}° behind live, {ahead:.4}° looking ahead");
    assert!((live - 20.0).abs() < 1.0, "two time constants behind: {live}°");
    assert!(ahead < 0.01, "{ahead}°");
}

#[test]
fn a_locked_picture_stays_and_a_level_one_is_level() {
    let path = |time_s: f64| shaken(time_s, 15.0);
    let locked = causal(Smoothing::Lock, false, path);
    assert!(jitter_deg(&locked) < 1e-9 && locked[0].angle_between(path(0.0)) < 1e-9);
    for look in causal(Smoothing::Follow { time_s: 0.3 }, true, path) {
        assert!((look * DVec3::Y).angle_between(DVec3::Y).to_degrees() < 1e-6, "{look:?}");
    }
    // At the very ends of a track the picture looks where the rig does.
    let track = track_of(path, 2.0, RATE_HZ);
    assert!(smoothed(&track, 0.0, 1.0, false).angle_between(path(0.0)) < 1e-6);
    assert_eq!(smoothed(&RotationTrack::default(), 1.0, 1.0, false), DQuat::IDENTITY);
}

#[test]
fn a_track_keeps_order_and_forgets() {
    let mut track = track_of(DQuat::from_rotation_x, 1.0, 10.0);
    track.push(0.3, DQuat::IDENTITY);
    track.push(f64::NAN, DQuat::IDENTITY);
    track.push(2.0, DQuat::from_xyzw(f64::NAN, 0.0, 0.0, 1.0));
    assert_eq!(track.len(), 10);
    assert!((track.rate(0.45, 0.1) - DVec3::X).length() < 1e-9, "a radian a second");
    track.forget_before(0.55);
    assert_eq!(track.span_s().map(|span| span.map(|time_s| (time_s * 10.0).round())), Some([5.0, 9.0]));
    assert_eq!(track.at(-1.0), track.at(0.5));
}
