//! Sound: sources (files, microphones, a test sound), coding, and playing it.
//!
//! [`AudioSource::start`] works as [`CaptureSource::start`](crate::capture::CaptureSource::start) does, but blocks of sound
//! are not queued: they are handed to a function on the source's own thread.

mod decode;
mod encode;
mod file;
mod meter;
mod microphone;
mod mixer;
mod output;
mod pipeline;
mod settings;
#[cfg(test)]
mod tests;
mod tone;

pub use decode::AudioDecoder;
pub use encode::{AudioEncoder, AudioEncoderSettings};
pub use meter::{AudioMeters, InputMeter};
pub use microphone::list_microphones;
pub use mixer::{MixError, Mixer, MixerChannel, MixerInput};
pub use output::{AudioPlayer, OutputError, OutputSettings, OutputStats};
pub(crate) use pipeline::build_tail;
pub(crate) use settings::gain_factor;
pub use settings::{AudioFileInput, MicrophoneInput, Sound, ToneInput};

use crate::capture::{
    CaptureClock, CaptureError, CaptureStatus,
    supervisor::{FrameSink, Session, Shared, Supervisor},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// Takes blocks of sound on their source's thread; `false` if it wants no more.
pub type AudioSink = Box<dyn Fn(AudioBlock) -> bool + Send + Sync>;

/// A source of sound that can be started.
pub trait AudioSource {
    /// Starts to deliver to `sink` on a thread of the source's own. Live, blocks come when they are due; offline as fast as
    /// `sink` takes them, with their place on the time line as `captured_at`.
    ///
    /// # Errors
    /// What can be known at once: settings out of range, a missing or empty file, GStreamer absent.
    fn start(&self, clock: CaptureClock, sink: AudioSink) -> Result<AudioCapture, CaptureError>;
}

/// A running source of sound. Dropping it stops the source and waits until its device is free.
pub struct AudioCapture {
    shared: Arc<Shared>,
    _supervisor: Supervisor,
}

impl AudioCapture {
    fn spawn(
        shared: Arc<Shared>,
        clock: CaptureClock,
        sink: FrameSink<AudioBlock>,
        session: Session<AudioBlock>,
    ) -> Result<Self, CaptureError> {
        let supervisor = Supervisor::spawn(shared.clone(), clock, sink, session)?;
        Ok(Self { shared, _supervisor: supervisor })
    }

    /// How the source is doing.
    pub fn status(&self) -> CaptureStatus {
        self.shared.status()
    }

    /// Waits until the source has ended or failed; at most `timeout`. Returns the status then.
    pub fn wait_ended(&self, timeout: Duration) -> CaptureStatus {
        let goes_on = |status: &CaptureStatus| matches!(status, CaptureStatus::Starting | CaptureStatus::Running);
        self.shared.wait_while(Instant::now() + timeout, goes_on)
    }

    /// Goes to a place in the source, measured from the start of the file. Time stamps go on without a jump.
    ///
    /// # Errors
    /// [`CaptureError::NotSeekable`] for microphones, tones and streams, [`CaptureError::Ended`] after the end.
    pub fn seek(&self, to: Duration) -> Result<(), CaptureError> {
        self.shared.request_seek(to)
    }
}
