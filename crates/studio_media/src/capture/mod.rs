//! Sources of pictures: video files, cameras, stills and a test pattern.
//!
//! [`CaptureSource::start`] checks what can be checked at once and leaves the rest to a thread. A [`Capture`] then hands
//! frames over through a bounded queue, tells how it is doing ([`Capture::status`]) and stops when it is dropped. A
//! source that fails for a reason that may pass (a device unplugged, a stream gone) is tried again after 0.5 s, 1 s, … at
//! most 10 s.

pub(crate) mod camera;
pub(crate) mod file;
mod pattern;
pub(crate) mod pipeline;
mod settings;
mod sound;
pub(crate) mod still;
pub(crate) mod supervisor;

#[cfg(test)]
mod tests;

pub use camera::{CameraDevice, list_cameras};
pub use pattern::Pattern;
pub use settings::{CameraInput, Flip, MAX_SIDE_PX, PictureSettings, Rotation, StillInput, TestPatternInput, VideoFileInput};

use crate::{audio::AudioSink, runtime::RuntimeError};
use std::{
    any::Any,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use supervisor::Shared;

/// Which clock paces a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureClock {
    /// The wall clock: frames come when they are due, and a frame nobody took makes room for the next.
    #[default]
    Live,
    /// The render clock: every frame is delivered, as fast as it is taken. `captured_at` is the frame's place on the
    /// source's time line instead of the wall clock, so that two runs give the same bytes.
    Offline,
}

impl CaptureClock {
    /// A queue as this clock wants it: two frames, newest wins (live) or every frame waits (offline).
    pub(crate) fn queue(self) -> (QueueSender<VideoFrame>, QueueReceiver<VideoFrame>) {
        let policy = match self {
            Self::Live => QueuePolicy::NewestWins,
            Self::Offline => QueuePolicy::Block,
        };
        queue(2, policy)
    }
}

/// How a source is doing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CaptureStatus {
    /// Opening; no frame yet.
    #[default]
    Starting,
    /// Frames come.
    Running,
    /// The last frame is delivered; no more come.
    EndOfStream,
    /// Something went wrong.
    Failed {
        /// What, and what to do about it.
        error: CaptureError,
        /// When the source is tried again; `None`: not by itself, because the same would happen.
        retry_at: Option<UnixTime>,
    },
}

/// Why a source has no pictures.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CaptureError {
    /// GStreamer is not there or not complete.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No source is given.
    #[error("no {0} is chosen: set its path or name")]
    NothingChosen(&'static str),
    /// A setting is out of range.
    #[error("{0}")]
    Setting(String),
    /// There is no such file.
    #[error("{path}: there is no such file; check the path (it is taken from {folder})")]
    Missing {
        /// The path as given.
        path: PathBuf,
        /// Where relative paths start.
        folder: PathBuf,
    },
    /// A folder where a file is needed.
    #[error("{0} is a folder: give a file in it (picture sequences are shown by the still input)")]
    Folder(PathBuf),
    /// A file of zero bytes.
    #[error("{0} is empty (0 bytes): copy or record it again")]
    Empty(PathBuf),
    /// The file may not be read.
    #[error("{path} cannot be read: {reason}; check its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file has no video.
    #[error("{0} has no video track (only sound or data): choose a file with video")]
    NoVideo(String),
    /// The file has no sound.
    #[error("{0} has no sound track (only pictures or data): choose a file with sound")]
    NoSound(String),
    /// No installed decoder reads it.
    #[error(
        "{source_name}: no decoder for {needed}; install the Debian packages gstreamer1.0-libav gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly, or convert the file to H.264"
    )]
    Unsupported {
        /// The source.
        source_name: String,
        /// What GStreamer misses.
        needed: String,
    },
    /// The data is no video that GStreamer recognises.
    #[error("{source_name} is no video that can be read: {reason}")]
    Damaged {
        /// The source.
        source_name: String,
        /// What GStreamer says.
        reason: String,
    },
    /// The file stops before its own end; what decodes was delivered.
    #[error("{source_name} ended early, after {played_s:.2} s{}: the file is cut off or damaged; its readable frames were delivered, copy it again for the rest", .expected_s.map_or_else(String::new, |expected| format!(" of {expected:.2} s")))]
    EndedEarly {
        /// The source.
        source_name: String,
        /// Where the last frame ended, in seconds.
        played_s: f64,
        /// Where it should have ended, in seconds.
        expected_s: Option<f64>,
    },
    /// A stream or device broke.
    #[error("{source_name} failed: {reason}")]
    Lost {
        /// The source.
        source_name: String,
        /// What GStreamer says.
        reason: String,
    },
    /// Nothing came in time.
    #[error("{source_name} gave no picture or sound within {seconds} s: check that it is reachable and not in use elsewhere")]
    Timeout {
        /// The source.
        source_name: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// There is no such camera.
    #[error("no such camera: {wanted:?}; {}", if .present.is_empty() { "no camera is connected".to_owned() } else { format!("there are: {}", .present.join(", ")) })]
    NoCamera {
        /// What was asked for.
        wanted: String,
        /// The names of the cameras that are there.
        present: Vec<String>,
    },
    /// There is no such microphone.
    #[error("no such microphone: {wanted:?}; {}", if .present.is_empty() { "no microphone is connected".to_owned() } else { format!("there are: {}", .present.join(", ")) })]
    NoMicrophone {
        /// What was asked for.
        wanted: String,
        /// The names of the microphones that are there.
        present: Vec<String>,
    },
    /// Another node has the camera open with other settings.
    #[error(
        "camera {0} is already open with another size, rate, turn or mirror image: give all nodes that show it the same settings"
    )]
    CameraSettings(String),
    /// The source cannot be positioned.
    #[error("{0} cannot seek")]
    NotSeekable(String),
    /// The source has ended.
    #[error("the source has ended: start it again")]
    Ended,
}

impl CaptureError {
    /// Whether trying again without changing anything would fail again.
    pub const fn is_permanent(&self) -> bool {
        !matches!(self, Self::Lost { .. } | Self::Timeout { .. } | Self::NoCamera { .. } | Self::NoMicrophone { .. })
    }
}

/// A source that can be started.
pub trait CaptureSource {
    /// Starts to capture on threads of its own. Returns at once; what shows only later is told by [`Capture::status`].
    ///
    /// # Errors
    /// What can be known at once: settings out of range, a missing or empty file, no such camera, GStreamer absent.
    fn start(&self, clock: CaptureClock) -> Result<Capture, CaptureError>;

    /// As [`start`](Self::start), and hands the source's sound to `sound`, with stamps on the pictures' time line. Live,
    /// blocks that `sound` is late for are dropped; offline it is waited for, and the pictures with it. A source without
    /// sound, which most are, never calls it.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    fn start_with_sound(&self, clock: CaptureClock, sound: Option<AudioSink>) -> Result<Capture, CaptureError> {
        drop(sound);
        self.start(clock)
    }
}

/// A running source. Dropping it stops the source and waits until its device is free.
pub struct Capture {
    // First, so that a source waiting for room in the queue wakes up before it is asked to stop.
    frames: QueueReceiver<VideoFrame>,
    shared: Arc<Shared>,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Capture {
    fn new(frames: QueueReceiver<VideoFrame>, shared: Arc<Shared>, keep: impl Any + Send + Sync) -> Self {
        Self { frames, shared, _keep: Box::new(keep) }
    }

    /// Where the frames come out. It is closed after the last frame.
    pub fn frames(&self) -> &QueueReceiver<VideoFrame> {
        &self.frames
    }

    /// How the source is doing.
    pub fn status(&self) -> CaptureStatus {
        self.shared.status()
    }

    /// Waits until the first frame was made or the source failed; at most `timeout`. Returns the status then.
    pub fn wait_started(&self, timeout: Duration) -> CaptureStatus {
        self.shared.wait_while(Instant::now() + timeout, |status| *status == CaptureStatus::Starting)
    }

    /// How long the source is, if it says so.
    pub fn duration(&self) -> Option<Duration> {
        self.shared.duration()
    }

    /// Goes to a place in the source, measured from the start of the file. Time stamps of the frames go on without a jump.
    ///
    /// # Errors
    /// [`CaptureError::NotSeekable`] for cameras, patterns and streams, [`CaptureError::Ended`] after the end.
    pub fn seek(&self, to: Duration) -> Result<(), CaptureError> {
        self.shared.request_seek(to)
    }
}
