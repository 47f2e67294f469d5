//! Which of the rig's turns the picture follows.

use super::RotationTrack;
use bevy::{math::DQuat, prelude::*};
use serde::{Deserialize, Serialize};

/// Which of the rig's turns the picture follows.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub enum Smoothing {
    /// None: the picture looks where the first frame did.
    Lock,
    /// Slow ones, from what was so far: for live pictures. Two low-pass filters of first order one after the other; a turn at f Hz is left
    /// with 1 / (1 + (2π f T)²) of its angle, and a steady pan is followed 2 T later.
    Follow {
        /// The filters' time constant T in seconds, 0.01 to 30.
        time_s: f32,
    },
    /// Slow ones, from what was and what will be: a Gaussian of half that time, cut off at that time to both sides. Steady pans are followed
    /// without delay. Of a log all is known; pictures are held back for as long.
    LookAhead {
        /// How far it looks, in seconds, 0.05 to 10.
        time_s: f32,
    },
}

impl Default for Smoothing {
    fn default() -> Self {
        Self::Follow { time_s: 1.0 }
    }
}

impl Smoothing {
    /// How far it must look ahead, in seconds.
    pub fn look_ahead_s(self) -> f64 {
        match self {
            Self::LookAhead { time_s } => f64::from(time_s),
            Self::Lock | Self::Follow { .. } => 0.0,
        }
    }

    /// Whether its number is finite and in range; else what is wrong with it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn validate(self) -> Result<(), String> {
        let (time_s, range) = match self {
            Self::Lock => return Ok(()),
            Self::Follow { time_s } => (time_s, 0.01..=30.0),
            Self::LookAhead { time_s } => (time_s, 0.05..=10.0),
        };
        if range.contains(&time_s) {
            return Ok(());
        }
        Err(format!("the smoothing's time_s is {time_s}: it must be {} to {} seconds", range.start(), range.end()))
    }
}

/// The rotation about the world's vertical in a rotation (the twist of its swing–twist decomposition): a heading with a level horizon.
pub(super) fn heading_of(world_from_rig: DQuat) -> DQuat {
    let twist = DQuat::from_xyzw(0.0, world_from_rig.y, 0.0, world_from_rig.w);
    if twist.length_squared() < 1e-12 { DQuat::IDENTITY } else { twist.normalize() }
}

/// Where the picture shall look, step by step, from what was so far.
#[derive(Clone, Debug)]
pub struct CausalSmoother {
    smoothing: Smoothing,
    level: bool,
    /// The last moment and the filters' states.
    state: Option<(f64, [DQuat; 2])>,
}

impl CausalSmoother {
    /// A smoother at the start. With `level`, the horizon is level whatever the rig does, and only its heading is smoothed.
    pub fn new(smoothing: Smoothing, level: bool) -> Self {
        Self { smoothing, level, state: None }
    }

    /// Where the picture shall look at a moment at which the rig looks there: the rotation from the picture's frame to the world's.
    /// [`Smoothing::LookAhead`] is filtered like `Follow` with half its time: what will be is not known here.
    pub fn step(&mut self, time_s: f64, world_from_rig: DQuat) -> DQuat {
        let target = if self.level { heading_of(world_from_rig) } else { world_from_rig };
        let Some((last_s, states)) = &mut self.state else {
            self.state = Some((time_s, [target; 2]));
            return target;
        };
        let step_s = (time_s - *last_s).max(0.0);
        *last_s = time_s;
        let constant_s = match self.smoothing {
            Smoothing::Lock => return states[1],
            Smoothing::Follow { time_s } => f64::from(time_s),
            Smoothing::LookAhead { time_s } => f64::from(time_s) / 2.0,
        };
        let part = 1.0 - (-step_s / constant_s.max(1e-3)).exp();
        states[0] = states[0].slerp(target, part).normalize();
        states[1] = states[1].slerp(states[0], part).normalize();
        states[1]
    }

    /// Begins anew: after a cut.
    pub fn reset(&mut self) {
        self.state = None;
    }
}

/// Samples of a window of a Gaussian, to each side.
const WINDOW: i32 = 24;

/// Where the picture shall look at a moment of a track that goes on beyond it, by [`Smoothing::LookAhead`] over `time_s` seconds to both
/// sides; at the ends of the track, over as much as there is on both.
pub fn smoothed(track: &RotationTrack, at_s: f64, time_s: f64, level: bool) -> DQuat {
    let look = |time_s: f64| {
        let rotation = track.at(time_s);
        if level { heading_of(rotation) } else { rotation }
    };
    let Some([first_s, last_s]) = track.span_s() else { return DQuat::IDENTITY };
    // As far to one side as to the other, so that a steady pan at the end of a track is no turn away from it.
    let reach_s = time_s.min(at_s - first_s).min(last_s - at_s);
    let middle = look(at_s);
    if reach_s <= 0.0 {
        return middle;
    }
    let mut sum = DQuat::from_xyzw(0.0, 0.0, 0.0, 0.0);
    for place in -WINDOW..=WINDOW {
        let part = f64::from(place) / f64::from(WINDOW);
        let weight = (-2.0 * part * part).exp();
        let rotation = look(at_s + part * reach_s);
        let near = if rotation.dot(middle) < 0.0 { -rotation } else { rotation };
        sum += near * weight;
    }
    // The mean of rotations that lie close together is the normalised sum of their quaternions.
    if sum.length_squared() > 0.0 { sum.normalize() } else { middle }
}
