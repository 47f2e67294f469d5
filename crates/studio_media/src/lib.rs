//! Capture, decoding, encoding and recording with GStreamer.
//!
//! Everything here runs on its own threads and hands its results over through bounded queues or callbacks; nothing here
//! knows the graph. Pixels are not copied on the way: a decoder's buffer is mapped and stands behind the
//! [`VideoFrame`](studio_frame::picture::VideoFrame), a frame's planes are wrapped for the encoder, an encoder's buffer
//! stands behind the [`AccessUnit`](studio_frame::packet::AccessUnit).
//!
//! | module | what it does |
//! |---|---|
//! | [`runtime`] | starts GStreamer, names missing elements and the package that has them |
//! | [`audio`] | sound files, microphones and a test sound become stamped blocks; blocks become access units, and back; sound is played |
//! | [`capture`] | video files, cameras, stills and a test pattern become stamped frames |
//! | [`decode`] | access units become frames |
//! | [`encode`] | frames become access units |
//! | [`record`] | access units become a file that plays even if its last part is missing |

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod audio;
pub mod capture;
pub mod decode;
pub mod encode;
pub mod nodes;
pub mod record;
pub mod runtime;
mod sample;
mod stamped;
#[cfg(test)]
mod testing;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        audio::{
            AudioEncoderSettings, AudioFileInput, AudioMeters, InputMeter, MicrophoneInput, MixerChannel, Sound, ToneInput,
            list_microphones,
        },
        capture::{
            CameraDevice, CameraInput, Capture, CaptureClock, CaptureError, CaptureSource, CaptureStatus, Flip, PictureSettings,
            Rotation, StillInput, TestPatternInput, VideoFileInput, list_cameras,
        },
        encode::{EncodeError, EncoderPreset, EncoderSettings},
        nodes::{
            AudioEncoder, AudioMixer, AudioOutput, AudioOutputStats, Recorder, RecorderStatus, SourceStats, StudioMediaPlugin,
            VideoEncoder,
        },
        record::{Container, RecordError},
    };
}
