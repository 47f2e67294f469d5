//! Sound: blocks of samples, and how loud they are.

use crate::stamp::{FrameStamp, MediaTime};
use bevy::prelude::*;
use core::time::Duration;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How the samples of a stretch of sound follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub struct AudioFormat {
    /// Sample frames a second, from 8 000 to 384 000.
    pub rate_hz: u32,
    /// Channels of a sample frame, from 1 to 64.
    pub channels: u16,
}

impl Default for AudioFormat {
    fn default() -> Self {
        Self::STUDIO
    }
}

impl AudioFormat {
    /// What the studio mixes and encodes: 48 kHz stereo.
    pub const STUDIO: Self = Self { rate_hz: 48_000, channels: 2 };

    /// Says which value is out of range.
    ///
    /// # Errors
    /// A rate or a number of channels out of its range.
    pub const fn check(self) -> Result<(), AudioError> {
        if self.rate_hz < 8_000 || self.rate_hz > 384_000 {
            return Err(AudioError::Rate(self.rate_hz));
        }
        if self.channels == 0 || self.channels > 64 {
            return Err(AudioError::Channels(self.channels));
        }
        Ok(())
    }

    /// How long so many sample frames last; rounded down to nanoseconds.
    pub const fn duration_of(self, frames: u64) -> Duration {
        Duration::from_nanos((frames as u128 * 1_000_000_000 / self.rate_hz as u128) as u64)
    }

    /// How many sample frames a duration has, to the nearest.
    pub const fn frames_in(self, duration: Duration) -> u64 {
        ((duration.as_nanos() * self.rate_hz as u128 + 500_000_000) / 1_000_000_000) as u64
    }
}

/// Why samples are no block of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AudioError {
    /// The rate is out of range.
    #[error("sample rate {0} Hz is out of range: it goes from 8000 to 384000 Hz")]
    Rate(u32),
    /// The number of channels is out of range.
    #[error("{0} channels are out of range: sound has 1 to 64")]
    Channels(u16),
    /// It is not known which channel is where.
    #[error("sound of {0} channels has no usual layout, so it is not known which is left and which right: use 1 to 8")]
    Layout(u16),
    /// The last sample frame is not whole.
    #[error("{samples} samples are no whole number of frames of {channels} channels: cut the block between sample frames")]
    Uneven {
        /// Samples that there are.
        samples: usize,
        /// Channels of a frame.
        channels: u16,
    },
}

/// A stretch of sound. Clones share the samples.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioBlock {
    /// When the first sample was captured, and where it lies on the source's time line. `frame_id` counts the source's blocks.
    pub stamp: FrameStamp,
    format: AudioFormat,
    samples: Arc<[f32]>,
}

impl AudioBlock {
    /// Makes a block of interleaved samples; full scale is from -1 to 1.
    ///
    /// # Errors
    /// A format out of range, or samples that are no whole number of sample frames.
    pub fn new(stamp: FrameStamp, format: AudioFormat, samples: impl Into<Arc<[f32]>>) -> Result<Self, AudioError> {
        format.check()?;
        let samples = samples.into();
        if !samples.len().is_multiple_of(usize::from(format.channels)) {
            return Err(AudioError::Uneven { samples: samples.len(), channels: format.channels });
        }
        Ok(Self { stamp, format, samples })
    }

    /// Rate and channels.
    pub const fn format(&self) -> AudioFormat {
        self.format
    }

    /// The samples, all channels of a moment next to each other.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Sample frames: moments, whatever the number of channels.
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.format.channels)
    }

    /// How long it sounds.
    pub fn duration(&self) -> Duration {
        self.format.duration_of(self.frames() as u64)
    }

    /// Where the next block begins on the time line.
    pub fn end(&self) -> MediaTime {
        MediaTime(self.stamp.pts.0.saturating_add(self.duration().as_nanos() as u64))
    }

    /// How loud it is.
    pub fn level(&self) -> AudioLevel {
        AudioLevel::of(&self.samples)
    }
}

/// How loud a stretch of sound is.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub struct AudioLevel {
    /// The largest sample, in dB below full scale (dBFS); [`AudioLevel::SILENT_DBFS`] for silence.
    pub peak_dbfs: f32,
    /// Root mean square of all samples in dBFS, where a full-scale square wave has 0.
    pub rms_dbfs: f32,
}

impl Default for AudioLevel {
    fn default() -> Self {
        Self { peak_dbfs: Self::SILENT_DBFS, rms_dbfs: Self::SILENT_DBFS }
    }
}

impl AudioLevel {
    /// What is shown for silence, and the least that is shown: about the step of 24 bits.
    pub const SILENT_DBFS: f32 = -144.0;

    /// Measures samples of any number of channels.
    pub fn of(samples: &[f32]) -> Self {
        let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let energy: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
        let rms = (energy / samples.len().max(1) as f64).sqrt() as f32;
        Self { peak_dbfs: dbfs(peak), rms_dbfs: dbfs(rms) }
    }
}

/// A level relative to full scale in dB, at least [`AudioLevel::SILENT_DBFS`].
fn dbfs(level: f32) -> f32 {
    if level > 0.0 { (20.0 * level.log10()).max(AudioLevel::SILENT_DBFS) } else { AudioLevel::SILENT_DBFS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::f32::consts::TAU;

    #[test]
    fn a_block_knows_how_long_it_sounds() {
        let stamp = FrameStamp { pts: MediaTime(1_000_000_000), ..default() };
        let block = AudioBlock::new(stamp, AudioFormat::STUDIO, vec![0.0; 960]).expect("whole frames");
        assert_eq!((block.frames(), block.duration(), block.end()), (480, Duration::from_millis(10), MediaTime(1_010_000_000)));
        assert_eq!(AudioFormat::STUDIO.frames_in(block.duration()), 480);
    }

    #[test]
    fn what_is_no_sound_is_refused_by_name() {
        let make = |rate_hz, channels, samples| {
            AudioBlock::new(FrameStamp::default(), AudioFormat { rate_hz, channels }, vec![0.0; samples]).map(|_| ())
        };
        assert_eq!(make(0, 2, 4), Err(AudioError::Rate(0)));
        assert_eq!(make(48_000, 0, 4), Err(AudioError::Channels(0)));
        assert_eq!(make(48_000, 2, 5), Err(AudioError::Uneven { samples: 5, channels: 2 }));
        assert_eq!(make(48_000, 2, 0), Ok(()));
    }

    #[test]
    fn levels_are_those_of_known_sounds() {
        let sine: Vec<f32> = (0..48_000).map(|n| 0.5 * (TAU * 1000.0 * n as f32 / 48_000.0).sin()).collect();
        let level = AudioLevel::of(&sine);
        // Half of full scale is -6.02 dB, a sine's RMS 3.01 dB below its peak.
        assert!((level.peak_dbfs + 6.02).abs() < 0.01 && (level.rms_dbfs + 9.03).abs() < 0.01, "{level:?}");
        assert_eq!(AudioLevel::of(&[]), AudioLevel::default());
        assert_eq!(AudioLevel::of(&[0.0; 8]).peak_dbfs, AudioLevel::SILENT_DBFS);
    }
}
