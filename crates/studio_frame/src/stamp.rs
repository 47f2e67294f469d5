//! Frame stamps and the two clocks they are written in.

use bevy::prelude::*;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// A moment of the wall clock, in nanoseconds since the Unix epoch.
///
/// Wall-clock time is what two programs on one machine (or on machines that keep time by NTP or PTP) share, so it is
/// what glass-to-glass latency is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect, Serialize, Deserialize)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The present moment.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(since_epoch.as_nanos() as u64)
    }

    /// Builds a time from microseconds since the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The time that went by since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A position on a stream's own time line, in nanoseconds from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Reflect, Serialize, Deserialize)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// Builds a position from microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// Whole microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0 / 1_000
    }

    /// The position as a duration from the stream's start.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// Identifies one captured frame through the whole pipeline.
///
/// Written once, where the frame is captured; carried unchanged by the stitched picture, the motion field, the access
/// unit, the datagrams and the picture in the viewer. Nodes with several inputs join them by stamp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub struct FrameStamp {
    /// Counts the frames that this source delivered, from 0, without gaps at the source.
    pub frame_id: u64,
    /// When the frame was captured (for a file played live: when it was due).
    pub captured_at: UnixTime,
    /// Where the frame lies on its source's time line. Grows monotonically, also when a file loops.
    pub pts: MediaTime,
}
