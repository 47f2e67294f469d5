//! The test sound.

use super::{AudioCapture, AudioSink, AudioSource, Sound, ToneInput};
use crate::capture::{
    CaptureClock, CaptureError,
    still::deliver_at_rate,
    supervisor::{Feed, Shared},
};
use core::f64::consts::TAU;
use std::sync::Arc;
use studio_frame::prelude::*;

/// Blocks a second.
const RATE_HZ: f32 = 100.0;
/// Sample frames of a block.
const BLOCK: u64 = 480;
/// Sample frames of a clap.
const BURST: u64 = 480;

impl ToneInput {
    fn check(&self) -> Result<(), CaptureError> {
        let refuse = |text: String| Err(CaptureError::Setting(text));
        if !(20.0..=20_000.0).contains(&self.frequency_hz) {
            return refuse(format!("frequency {} Hz is out of range: it goes from 20 to 20000 Hz", self.frequency_hz));
        }
        if !(-100.0..=0.0).contains(&self.level_dbfs) {
            return refuse(format!("level {} dBFS is out of range: it goes from -100 to 0 dBFS", self.level_dbfs));
        }
        match self.duration_s {
            Some(duration_s) if !(0.0..=1e6).contains(&duration_s) => {
                refuse(format!("duration {duration_s} s is out of range: it goes from 0 to 1000000 s"))
            }
            _ => Ok(()),
        }
    }

    /// The sample of sample frame `index`; it depends on nothing else.
    fn sample(&self, index: u64) -> f32 {
        let rate = u64::from(AudioFormat::STUDIO.rate_hz);
        let sounds = match self.sound {
            Sound::Sine => true,
            Sound::Silence => false,
            Sound::Clap => index % rate < BURST,
        };
        if !sounds {
            return 0.0;
        }
        // The phase within the second in double precision, so that hours later it is as exact; whole seconds add whole turns
        // of whole frequencies only, hence both parts.
        let (second, place) = ((index / rate) as f64, (index % rate) as f64 / rate as f64);
        let frequency = f64::from(self.frequency_hz);
        let turns = (second * frequency).fract() + place * frequency;
        (f64::from(10_f32.powf(self.level_dbfs / 20.0)) * (turns * TAU).sin()) as f32
    }
}

impl AudioSource for ToneInput {
    fn start(&self, clock: CaptureClock, sink: AudioSink) -> Result<AudioCapture, CaptureError> {
        self.check()?;
        let tone = self.clone();
        let format = AudioFormat::STUDIO;
        let blocks = tone.duration_s.map(|duration_s| (duration_s * f64::from(RATE_HZ)).round() as u64);
        let session = move |feed: &Arc<Feed<AudioBlock>>| {
            deliver_at_rate(feed, RATE_HZ, |index, stamp| {
                if blocks.is_some_and(|blocks| index >= blocks) {
                    return Ok(None);
                }
                let samples: Vec<f32> = (index * BLOCK..(index + 1) * BLOCK).flat_map(|frame| [tone.sample(frame); 2]).collect();
                AudioBlock::new(stamp, format, samples).map(Some).map_err(|error| CaptureError::Setting(error.to_string()))
            })
        };
        AudioCapture::spawn(Shared::new("tone"), clock, sink, Box::new(session))
    }
}
