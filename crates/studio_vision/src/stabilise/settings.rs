//! What a stabilisation can be asked for.

use super::{
    Axes, CausalSmoother, ComplementaryFilter, ImuLog, ImuLogError, RotationTrack, Smoothing, attitude, smooth::heading_of,
    smoothed,
};
use bevy::{math::DQuat, prelude::*};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How an IMU's log belongs to the pictures.
#[derive(Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImuMounting {
    /// Which of the IMU's axes point to the rig's right, up, and back, a small letter for an axis reversed: `XYZ`, `YxZ`. Empty: as the log
    /// says, or `XYZ`.
    pub axes: String,
    /// What to add to a picture's time on its clip's time line to get the log's time from its start, in milliseconds. A picture's time is
    /// that of the middle of its exposure and readout.
    pub offset_ms: f64,
}

/// A log, made into a track.
#[derive(Clone, Debug)]
pub struct ImuTrack {
    /// Where the rig looked, by the log's time.
    pub track: RotationTrack,
    /// How long the sensor takes to read a picture, in milliseconds, where the log says so.
    pub readout_ms: Option<f64>,
}

impl ImuTrack {
    /// Reads a log and works out where the rig looked.
    ///
    /// # Errors
    /// [`ImuLogError`] if the file or the axes make no sense.
    pub fn read(path: &Path, mounting: &ImuMounting) -> Result<Self, ImuLogError> {
        let axes = if mounting.axes.trim().is_empty() { None } else { Some(mounting.axes.parse::<Axes>()?) };
        let log = ImuLog::read(path, axes)?;
        Ok(Self { track: attitude(&log, ComplementaryFilter::default()), readout_ms: log.readout_ms })
    }
}

/// Turns a rig's path into what has to be done against it, moment by moment.
#[derive(Clone, Debug)]
pub struct Stabiliser {
    /// `None` follows all of the rig's turns.
    smoothing: Option<Smoothing>,
    level: bool,
    causal: CausalSmoother,
}

impl Stabiliser {
    /// A stabiliser at the start of a path. With `level`, the picture's horizon is that of the track's world whatever the rig does.
    pub fn new(smoothing: Smoothing, level: bool) -> Self {
        Self { smoothing: Some(smoothing), level, causal: CausalSmoother::new(smoothing, level) }
    }

    /// One that follows all of the rig's turns; with `level`, all but its tilts.
    pub fn following(level: bool) -> Self {
        Self { smoothing: None, level, causal: CausalSmoother::new(Smoothing::Lock, level) }
    }

    /// What turns the stabilised picture's frame into the rig's at a moment: to be asked for in the order of time.
    pub fn rig_from_stable(&mut self, track: &RotationTrack, at_s: f64) -> DQuat {
        let world_from_rig = track.at(at_s);
        let world_from_stable = match self.smoothing {
            None if self.level => heading_of(world_from_rig),
            None => world_from_rig,
            Some(Smoothing::LookAhead { time_s }) => smoothed(track, at_s, f64::from(time_s), self.level),
            Some(Smoothing::Lock | Smoothing::Follow { .. }) => self.causal.step(at_s, world_from_rig),
        };
        (world_from_rig.inverse() * world_from_stable).normalize()
    }

    /// Begins anew: after a cut.
    pub fn reset(&mut self) {
        self.causal.reset();
    }
}
