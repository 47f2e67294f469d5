//! The clock that a graph runs by: the only thing in which live and offline differ.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use studio_frame::{queue::QueuePolicy, stamp::MediaTime};

/// Whether frames are taken as they come or waited for.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
#[reflect(Resource, Default)]
pub enum StudioClock {
    /// Frames come in real time; the newest wins and late ones are dropped and counted.
    #[default]
    Live,
    /// Every frame is waited for and none is dropped; the result does not depend on the machine's speed.
    Offline,
}

impl StudioClock {
    /// What a full queue does under this clock.
    pub const fn queue_policy(self) -> QueuePolicy {
        match self {
            Self::Live => QueuePolicy::NewestWins,
            Self::Offline => QueuePolicy::Block,
        }
    }
}

/// The time that driven settings go by: the time stamp of the newest frame that a source delivered, or, before the first
/// one, the time since the app began.
#[derive(Resource, Clone, Copy, Debug)]
pub struct StudioTime {
    started: Instant,
    frames: Option<Duration>,
}

impl Default for StudioTime {
    fn default() -> Self {
        Self { started: Instant::now(), frames: None }
    }
}

impl StudioTime {
    /// Notes a frame that a source delivered.
    pub fn note_frame(&mut self, pts: MediaTime) {
        let pts = pts.as_duration();
        self.frames = Some(self.frames.map_or(pts, |newest| newest.max(pts)));
    }

    /// The time in seconds.
    pub fn seconds(&self) -> f64 {
        self.frames.unwrap_or_else(|| self.started.elapsed()).as_secs_f64()
    }
}
