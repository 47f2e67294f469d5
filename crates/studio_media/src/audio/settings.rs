//! What the user may set on a source of sound.

use crate::capture::CaptureError;
use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use studio_graph::registry::InputPath;

/// Turns a gain in dB, from -100 to 40, into a factor.
pub(crate) fn gain_factor(gain_db: f32) -> Result<f32, CaptureError> {
    if (-100.0..=40.0).contains(&gain_db) {
        return Ok(10_f32.powf(gain_db / 20.0));
    }
    Err(CaptureError::Setting(format!("gain {gain_db} dB is out of range: it goes from -100 to 40 dB")))
}

/// Plays the sound of a file or URL: anything that GStreamer decodes.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct AudioFileInput {
    /// A path, or an address such as `https://…`. Of a file with pictures, only the sound is decoded.
    #[reflect(@InputPath)]
    pub source: String,
    /// Start again at the in point when the out point is reached; time stamps go on.
    pub repeat: bool,
    /// In point, in seconds from the start of the file.
    pub start_s: f64,
    /// Out point, in seconds from the start of the file; `None`: the end of the file.
    pub end_s: Option<f64>,
    /// Gain in dB, from -100 to 40.
    pub gain_db: f32,
}

/// Takes the sound of a microphone or another input of the sound card.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct MicrophoneInput {
    /// The device's name as [`list_microphones`](super::list_microphones) gives it, its place in that list (`0`, `1`, …), or
    /// `gst:` and a GStreamer description such as `gst:audiotestsrc is-live=true`. Empty: the first device.
    pub device: String,
    /// Gain in dB, from -100 to 40.
    pub gain_db: f32,
}

/// What a [`ToneInput`] sounds like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Sound {
    /// A sine, all the time.
    #[default]
    Sine,
    /// Nothing.
    Silence,
    /// A burst of 10 ms at the start of every second: what the test pattern's `flash` sounds like.
    Clap,
}

/// Makes a test sound, 48 kHz stereo in blocks of 10 ms.
#[derive(Component, Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct ToneInput {
    /// What it sounds like.
    pub sound: Sound,
    /// Pitch of the sine and of the burst, from 20 to 20 000 Hz.
    pub frequency_hz: f32,
    /// Level of its peaks in dBFS, from -100 to 0.
    pub level_dbfs: f32,
    /// How long it sounds in seconds, from 0 to 1 000 000; `None`: no end.
    pub duration_s: Option<f64>,
}

impl Default for ToneInput {
    fn default() -> Self {
        Self { sound: Sound::Sine, frequency_hz: 1000.0, level_dbfs: -12.0, duration_s: None }
    }
}
