//! The clock that a graph runs by: the only thing in which live and offline differ.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use studio_frame::queue::QueuePolicy;

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
