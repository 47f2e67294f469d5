//! Access units become a file that plays even if its last part is missing.
//!
//! Pictures and sound come from different threads, each when it exists. Both are placed on one time line, which begins at the
//! first key frame, and are written in fragments of half a second. Nothing here waits for a track that has nothing to say:
//! a fragment holds what there is.

mod disk;
mod ebml;
mod gate;
mod intake;
mod matroska;
mod mp4;
mod recorder;
#[cfg(test)]
mod sound_tests;
mod spherical;
#[cfg(test)]
mod tests;
mod track;

pub use recorder::Recorder;

use crate::runtime::RuntimeError;
use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use studio_frame::prelude::*;

/// How a recording is laid out on disk. Both play up to their last half second (AV1 in MP4: up
/// to the last key frame, 10 s at most) whenever the program dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Container {
    /// By the file's ending: `.mkv`, `.mka` and `.webm` are Matroska, all others MP4.
    #[default]
    Auto,
    /// Fragmented MP4 with Spherical Video V2 boxes.
    Mp4,
    /// Matroska with projection elements.
    Matroska,
}

impl Container {
    /// Whether a file of this name becomes Matroska.
    fn is_matroska(self, path: &Path) -> bool {
        match self {
            Self::Matroska => true,
            Self::Mp4 => false,
            Self::Auto => path
                .extension()
                .is_some_and(|ending| ["mkv", "mka", "webm"].iter().any(|matroska| ending.eq_ignore_ascii_case(matroska))),
        }
    }
}

/// What the user may set on a recording.
#[derive(Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordSettings {
    /// Layout of the file.
    pub container: Container,
    /// Whether an existing file of that name is overwritten. Otherwise `name-2.mp4`, `name-3.mp4`, … is written.
    pub overwrite: bool,
}

/// What a recording waits for, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Whether pictures will come. Then the file begins at their first key frame.
    pub pictures: bool,
    /// Whether sound will come.
    pub sound: bool,
    /// [`QueuePolicy::Block`] (offline): pictures and sound come as fast as they are taken, so each waits while it is a
    /// second ahead of the other. [`QueuePolicy::NewestWins`] (live): neither ever waits for the other.
    pub policy: QueuePolicy,
}

/// Why something is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file cannot be made.
    #[error("{path} cannot be written: {reason}; choose another folder or change its permissions")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Writing stopped.
    #[error(
        "writing {path} stopped: {reason}; what was written so far ({written_bytes} bytes) plays; make room or choose another disk"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
        /// Bytes that are on disk.
        written_bytes: u64,
    },
    /// The stream cannot be put into the file.
    #[error("{path}: the stream cannot be recorded: {reason}")]
    Mux {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Sound where pictures belong.
    #[error("sound comes in at `packets`: connect a video encoder there, and the audio encoder to `audio`")]
    NotVideo,
    /// Pictures where sound belongs.
    #[error("pictures come in at `audio`: connect an audio encoder there, and the video encoder to `packets`")]
    NotSound,
    /// The stream is not the one that the file was begun with.
    #[error("{path}: {what} changed while it was recorded; it goes on in a new file")]
    Changed {
        /// The file.
        path: PathBuf,
        /// Which stream.
        what: &'static str,
    },
    /// Nothing came that a file can begin with.
    #[error("{0}: nothing was recorded, because no key frame and no sound came")]
    Nothing(PathBuf),
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSummary {
    /// The file that was written.
    pub path: PathBuf,
    /// Pictures in it.
    pub frames: u64,
    /// Pictures in front of the first key frame, which are not in it.
    pub skipped: u64,
    /// Packets of sound in it.
    pub sound_packets: u64,
    /// Packets of sound that are not in it: in front of the first picture, or behind a source that lost time.
    pub sound_skipped: u64,
    /// Its size.
    pub bytes: u64,
    /// Its length.
    pub duration: Duration,
}

/// How long a picture nominally lasts, in nanoseconds.
fn frame_ns(info: &StreamInfo) -> u64 {
    (1e9 / f64::from(rate_hz(info))) as u64
}

/// Nominal frames a second, 30 where the stream does not say.
fn rate_hz(info: &StreamInfo) -> f32 {
    if info.frame_rate_hz > 0.0 && info.frame_rate_hz <= 1000.0 { info.frame_rate_hz } else { 30.0 }
}
