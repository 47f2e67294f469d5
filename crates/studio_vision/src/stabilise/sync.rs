//! When a log's moments were, by the pictures' time.

use super::RotationTrack;
use bevy::math::DVec3;

/// What a log's time is against the pictures'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeOffset {
    /// Seconds to add to a picture's time to get the log's.
    pub offset_s: f64,
    /// How alike both turn then, −1 to 1.
    pub correlation: f64,
}

/// Steps in which offsets are tried, in seconds.
const STEP_S: f64 = 0.005;

/// Finds the offset at which a log turns most like the pictures: the largest normalised correlation of both angular rates over all three
/// axes, between steps by a parabola. `turns` are, for pairs of consecutive pictures, both their times in seconds and the turn from one to the
/// other in the camera's frame, in radians; offsets are tried up to `within_s` to both sides. `None` where either hardly turns.
pub fn estimate_offset(track: &RotationTrack, turns: &[([f64; 2], DVec3)], within_s: f64) -> Option<TimeOffset> {
    let steps = (within_s.clamp(STEP_S, 60.0) / STEP_S).ceil() as i32;
    let score = |step: i32| {
        let offset_s = f64::from(step) * STEP_S;
        let (mut both, mut own, mut other) = (0.0, 0.0, 0.0);
        for ([from_s, to_s], turn) in turns {
            let span_s = to_s - from_s;
            if span_s <= 0.0 {
                continue;
            }
            let rate = track.rate((from_s + to_s) / 2.0 + offset_s, span_s);
            both += rate.dot(*turn / span_s);
            own += rate.length_squared();
            other += (*turn / span_s).length_squared();
        }
        let product = (own * other).sqrt();
        // Less than a twentieth of a degree a second is noise.
        if product < 1e-6 * turns.len() as f64 { f64::NAN } else { both / product }
    };
    let scores: Vec<f64> = (-steps..=steps).map(score).collect();
    let best = (0..scores.len()).filter(|place| scores[*place].is_finite()).max_by(|a, b| scores[*a].total_cmp(&scores[*b]))?;
    let around = [best.checked_sub(1), Some(best), best.checked_add(1)].map(|place| place.and_then(|place| scores.get(place)));
    let part = match around {
        [Some(before), Some(here), Some(after)] if before + after < 2.0 * here => {
            0.5 * (before - after) / (before + after - 2.0 * here)
        }
        _ => 0.0,
    };
    let offset_s = (best as f64 - f64::from(steps) + part) * STEP_S;
    Some(TimeOffset { offset_s, correlation: scores[best] })
}
