//! From rates and accelerations to rotations.

use super::{ImuLog, RotationTrack};
use bevy::math::{DQuat, DVec3};

/// The explicit complementary filter on the rotation group: the gyroscope's rate is added up, and the accelerometer's idea of “up” pulls
/// slowly at it and teaches the gyroscope's bias (Mahony, Hamel and Pflimlin, *Nonlinear Complementary Filters on the Special Orthogonal
/// Group*, IEEE TAC 2008). The heading comes from the gyroscope alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComplementaryFilter {
    /// How strongly the accelerometer pulls, in 1/s.
    pub pull_hz: f64,
    /// How strongly it teaches the bias, in 1/s².
    pub bias_pull: f64,
}

impl Default for ComplementaryFilter {
    fn default() -> Self {
        Self { pull_hz: 0.5, bias_pull: 0.05 }
    }
}

/// Largest share by which an acceleration may differ from gravity and still say where “up” is.
const STEADY: f64 = 0.15;
/// Seconds at the start whose mean acceleration says where “up” is.
const START_S: f64 = 0.25;
/// A longer gap between measurements is no rotation that anybody knows.
const LONGEST_STEP_S: f64 = 1.0;

/// Where the rig looked over a log: heading 0 at its start, the world's y down along gravity. Without accelerations, the rig is level at
/// the start and gravity corrects nothing.
pub fn attitude(log: &ImuLog, filter: ComplementaryFilter) -> RotationTrack {
    let start = log.samples.iter().take_while(|sample| sample.time_s <= START_S);
    let up = start.map(|sample| sample.acceleration).sum::<DVec3>().normalize_or_zero();
    // Down in the rig's frame becomes the world's y, by the shortest way: the heading stays.
    let mut world_from_rig = if up == DVec3::ZERO { DQuat::IDENTITY } else { DQuat::from_rotation_arc(-up, DVec3::Y) };
    let mut bias = DVec3::ZERO;
    let mut track = RotationTrack::default();
    let mut before = log.samples.first().copied();
    for sample in &log.samples {
        if let Some(last) = before {
            let step_s = (sample.time_s - last.time_s).min(LONGEST_STEP_S);
            let strength = sample.acceleration.length() / ImuLog::GRAVITY;
            let mut pull = DVec3::ZERO;
            if (strength - 1.0).abs() < STEADY {
                let expected_up = world_from_rig.inverse() * DVec3::NEG_Y;
                pull = (sample.acceleration.normalize_or_zero()).cross(expected_up);
            }
            bias -= pull * filter.bias_pull * step_s;
            let rate = (last.rate + sample.rate) / 2.0 - bias + pull * filter.pull_hz;
            world_from_rig = (world_from_rig * DQuat::from_scaled_axis(rate * step_s)).normalize();
        }
        track.push(sample.time_s, world_from_rig);
        before = Some(*sample);
    }
    track
}
