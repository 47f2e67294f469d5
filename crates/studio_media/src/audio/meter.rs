//! Gain without clicks, a ceiling without cracks, and how loud it is.

use bevy::prelude::*;
use parking_lot::Mutex;
use std::time::{Duration, Instant};
use studio_frame::prelude::*;

/// Sample frames that a change of gain takes: 10 ms, below which it is heard as a click.
const RAMP: usize = 480;
/// How fast a peak falls, as digital peak meters do (IEC 60268-18: 20 dB in 1.7 s; here 20 dB in 1 s).
const FALL_DB_PER_S: f32 = 20.0;
/// Time constant of the mean level, that of a VU meter (IEC 60268-17).
const MEAN_S: f32 = 0.3;
/// After so long without sound, a meter shows silence.
const SILENT_AFTER: Duration = Duration::from_millis(300);

/// A factor that moves to where it is told in [`RAMP`] sample frames.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gain {
    now: Option<f32>,
}

impl Gain {
    /// Multiplies interleaved stereo samples.
    pub fn apply(&mut self, target: f32, samples: &mut [f32]) {
        let start = *self.now.get_or_insert(target);
        let step = (target - start) / RAMP as f32;
        for (place, frame) in samples.chunks_exact_mut(2).enumerate() {
            let factor = if place < RAMP { start + step * place as f32 } else { target };
            frame.iter_mut().for_each(|sample| *sample *= factor);
        }
        let passed = (samples.len() / 2).min(RAMP);
        self.now = Some(if passed == RAMP { target } else { start + step * passed as f32 });
    }
}

/// Bends what comes near full scale, so that no sum of sounds is cut off: up to -2 dBFS nothing changes, above it a
/// hyperbolic tangent leads up to full scale. Returns whether it had to.
pub(super) fn limit(samples: &mut [f32]) -> bool {
    const KNEE: f32 = 0.794;
    let mut bent = false;
    for sample in samples {
        // Not a number would stay one in everything that follows.
        if !sample.is_finite() {
            *sample = 0.0;
        }
        let level = sample.abs();
        if level > KNEE {
            let room = 1.0 - KNEE;
            *sample = sample.signum() * (KNEE + room * ((level - KNEE) / room).tanh());
            bent = true;
        }
    }
    bent
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    level: AudioLevel,
    at: Instant,
}

/// A level meter: its peak jumps up and falls slowly, its mean follows within 0.3 s.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<Reading>>);

impl Meter {
    pub fn hear(&self, samples: &[f32], duration: Duration) {
        let heard = AudioLevel::of(samples);
        let mut reading = self.0.lock();
        let before = reading.map_or_else(AudioLevel::default, |reading| reading.level);
        let seconds = duration.as_secs_f32();
        let peak_dbfs = heard.peak_dbfs.max(before.peak_dbfs - FALL_DB_PER_S * seconds);
        let power = |level_dbfs: f32| 10_f32.powf(level_dbfs / 10.0);
        let share = 1.0 - (-seconds / MEAN_S).exp();
        let mean = power(before.rms_dbfs) + (power(heard.rms_dbfs) - power(before.rms_dbfs)) * share;
        let rms_dbfs = (10.0 * mean.log10()).max(AudioLevel::SILENT_DBFS);
        *reading = Some(Reading { level: AudioLevel { peak_dbfs, rms_dbfs }, at: Instant::now() });
    }

    pub fn level(&self) -> AudioLevel {
        self.0
            .lock()
            .filter(|reading| reading.at.elapsed() < SILENT_AFTER)
            .map_or_else(AudioLevel::default, |reading| reading.level)
    }
}

/// How loud a mixer's inputs and its output are. Written once a frame while it runs.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default)]
pub struct AudioMeters {
    /// Each input behind its gain, in the order of the pins; silent where nothing is linked.
    pub inputs: Vec<InputMeter>,
    /// The output behind its gain and the limiter.
    pub output: AudioLevel,
    /// Whether the limiter had to bend the output within the last second.
    pub limited: bool,
}

/// How loud an input is, and whether it comes in time.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq)]
pub struct InputMeter {
    /// How loud it is.
    pub level: AudioLevel,
    /// By how much the newest sound missed the mixer's latency, in milliseconds: it was left out. 0: it comes in time.
    pub late_ms: f32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gain_moves_without_a_step() {
        let mut gain = Gain::default();
        let mut loud = vec![1.0; 2000];
        gain.apply(0.5, &mut loud);
        assert!(loud.iter().all(|sample| *sample == 0.5), "the first gain holds at once");
        let mut sound = vec![1.0; 400];
        gain.apply(0.0, &mut sound);
        let mut rest = vec![1.0; 1600];
        gain.apply(0.0, &mut rest);
        sound.extend(rest);
        let left: Vec<f32> = sound.iter().step_by(2).copied().collect();
        assert!(left.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.003), "a step of gain clicks");
        assert_eq!(left.last(), Some(&0.0));
    }

    #[test]
    fn the_limiter_leaves_quiet_sound_alone_and_keeps_loud_sound_in() {
        let mut quiet = [0.1, -0.7, 0.79];
        assert!(!limit(&mut quiet));
        assert_eq!(quiet, [0.1, -0.7, 0.79]);
        let mut loud = [0.9, -3.0, f32::NAN, f32::INFINITY];
        assert!(limit(&mut loud));
        assert!(
            loud[0] > 0.85 && loud[0] < 0.9 && (-1.0..-0.99).contains(&loud[1]) && loud[2] == 0.0 && loud[3] == 0.0,
            "{loud:?}"
        );
    }

    #[test]
    fn a_meter_rises_at_once_and_falls_slowly() {
        let meter = Meter::default();
        let tenth = Duration::from_millis(100);
        (0..30).for_each(|_| meter.hear(&[0.5; 9600], tenth));
        let level = meter.level();
        assert!((level.peak_dbfs + 6.02).abs() < 0.01 && (level.rms_dbfs + 6.02).abs() < 0.1, "{level:?}");
        meter.hear(&[0.0; 9600], tenth);
        let level = meter.level();
        assert!((level.peak_dbfs + 8.02).abs() < 0.01 && (-8.0..-7.0).contains(&level.rms_dbfs), "{level:?}");
    }
}
