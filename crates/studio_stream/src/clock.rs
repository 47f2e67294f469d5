//! How far the clocks of two machines are apart, and how fast they part.
//!
//! Every unit carries the moment at which it was sent, by the sender's clock. Its arrival by the local clock, less that, is the
//! clocks' difference and the time on the way. The fastest unit of some seconds spent least on the way: nearly half the fastest
//! round trip, where both ways are alike (NTP's assumption, RFC 5905 §8, and its minimum filter). So the minimum less half a round
//! trip is the difference. Quartz drifts by some ten parts in a million: a line through the minima of a minute (least squares)
//! gives the drift, and the difference now.

use core::time::Duration;
use std::{collections::VecDeque, time::Instant};
use studio_frame::prelude::*;

/// One minimum is taken over this long.
const SLOT: Duration = Duration::from_secs(2);
/// Minima that the line goes through: those of a minute.
const SLOTS: usize = 30;
/// A slot whose minimum is off the last one's by more is another clock's: it was set, or the machine slept.
const JUMP_MS: f64 = 250.0;
/// Slots before a drift is believed.
const DRIFT_SLOTS: usize = 8;
/// The largest drift believed, in parts in a million: beyond it is no quartz, but a queue that fills.
const MAX_DRIFT_PPM: f64 = 500.0;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// Seconds since the first unit.
    at_s: f64,
    minimum_ms: f64,
}

/// Estimates a peer's clock from what it sends.
#[derive(Clone, Debug, Default)]
pub struct ClockEstimator {
    origin: Option<Instant>,
    slots: VecDeque<Slot>,
    fastest_round_trip: Option<Duration>,
    jumps: u64,
}

/// How the peer's clock stands to this one's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockEstimate {
    /// This machine's clock less the peer's, in milliseconds.
    pub offset_ms: f64,
    /// How fast that grows, in parts in a million; 0 until it is known.
    pub drift_ppm: f64,
}

impl ClockEstimator {
    /// Notes the network's round trip.
    pub fn note_round_trip(&mut self, round_trip: Duration) {
        if !round_trip.is_zero() {
            self.fastest_round_trip = Some(self.fastest_round_trip.map_or(round_trip, |fastest| fastest.min(round_trip)));
        }
    }

    /// Notes a unit that was sent at `sent_at` by the peer's clock, and came at `arrived_at` by this one's; `now` is a steady clock.
    pub fn note(&mut self, sent_at: UnixTime, arrived_at: UnixTime, now: Instant) {
        let difference_ms = (i128::from(arrived_at.0) - i128::from(sent_at.0)) as f64 / 1e6;
        let origin = *self.origin.get_or_insert(now);
        let at_s = now.saturating_duration_since(origin).as_secs_f64();
        if self.slots.back().is_some_and(|last| difference_ms < last.minimum_ms - JUMP_MS) {
            // Sooner than possible: the clock was set back, or the peer's forward.
            self.slots.clear();
            self.jumps += 1;
        }
        match self.slots.back_mut() {
            Some(slot) if at_s - slot.at_s < SLOT.as_secs_f64() => slot.minimum_ms = slot.minimum_ms.min(difference_ms),
            _ => self.begin(at_s, difference_ms),
        }
    }

    /// The slot before is over.
    fn begin(&mut self, at_s: f64, minimum_ms: f64) {
        if let [.., before, over] = self.slots.make_contiguous()
            && over.minimum_ms > before.minimum_ms + JUMP_MS
        {
            // Later than before for a whole slot: a queue is shorter than that, so a clock was set.
            self.slots.drain(..self.slots.len() - 1);
            self.jumps += 1;
        }
        if self.slots.len() == SLOTS {
            self.slots.pop_front();
        }
        self.slots.push_back(Slot { at_s, minimum_ms });
    }

    /// Times that a clock was set while it was looked at.
    pub fn jumps(&self) -> u64 {
        self.jumps
    }

    /// The estimate; none before the first unit.
    pub fn estimate(&self) -> Option<ClockEstimate> {
        let newest = self.slots.back()?;
        let half_ms = self.fastest_round_trip.map_or(0.0, |round_trip| round_trip.as_secs_f64() * 500.0);
        let minimum = self.slots.iter().map(|slot| slot.minimum_ms).fold(f64::INFINITY, f64::min);
        let plain = ClockEstimate { offset_ms: minimum - half_ms, drift_ppm: 0.0 };
        // The newest slot is not over: its minimum may still fall.
        let full = self.slots.len() - 1;
        if full < DRIFT_SLOTS {
            return Some(plain);
        }
        let mean = |value: fn(&Slot) -> f64| self.slots.iter().take(full).map(value).sum::<f64>() / full as f64;
        let (mean_s, mean_ms) = (mean(|slot| slot.at_s), mean(|slot| slot.minimum_ms));
        let of_mean = |slot: &Slot| (slot.at_s - mean_s, slot.minimum_ms - mean_ms);
        let (products, squares) = self
            .slots
            .iter()
            .take(full)
            .map(of_mean)
            .fold((0.0, 0.0), |(products, squares), (s, ms)| (products + s * ms, squares + s * s));
        // Milliseconds a second are thousands of parts in a million.
        let drift_ppm = products / squares * 1000.0;
        if !(-MAX_DRIFT_PPM..=MAX_DRIFT_PPM).contains(&drift_ppm) {
            return Some(plain);
        }
        // The line's slope, but through the lowest of the points: above it is only waiting.
        let lowest = self
            .slots
            .iter()
            .map(|slot| slot.minimum_ms - drift_ppm / 1000.0 * (slot.at_s - newest.at_s))
            .fold(f64::INFINITY, f64::min);
        Some(ClockEstimate { offset_ms: lowest - half_ms, drift_ppm })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(seconds: u32, offset_ms: f64, drift_ppm: f64, delay_ms: impl Fn(u32) -> f64) -> ClockEstimator {
        let (start, mut clock) = (Instant::now(), ClockEstimator::default());
        clock.note_round_trip(Duration::from_millis(60));
        for frame in 0..seconds * 30 {
            let at = Duration::from_secs_f64(f64::from(frame) / 30.0);
            let sent = 1e15 + at.as_secs_f64() * 1e9;
            let ahead = offset_ms + drift_ppm * 1e-3 * at.as_secs_f64() + 30.0 + delay_ms(frame);
            clock.note(UnixTime(sent as u64), UnixTime((sent + ahead * 1e6) as u64), start + at);
        }
        clock
    }

    #[test]
    fn offset_and_drift_are_found_below_the_jitter() {
        let jitter = |frame: u32| f64::from(frame.wrapping_mul(2_654_435_761) >> 24) / 255.0 * 20.0;
        for (offset_ms, drift_ppm) in [(0.0, 0.0), (1234.5, 40.0), (-987_654.0, -80.0)] {
            let estimate = run(60, offset_ms, drift_ppm, jitter).estimate().expect("units came");
            let now = offset_ms + drift_ppm * 1e-3 * 60.0;
            assert!((estimate.offset_ms - now).abs() < 3.0, "{estimate:?} for {now} ms");
            assert!((estimate.drift_ppm - drift_ppm).abs() < 25.0, "{estimate:?} for {drift_ppm} ppm");
        }
    }

    #[test]
    fn a_clock_that_is_set_is_another_clock() {
        for jump_ms in [-5000.0, 5000.0, 1e9] {
            let clock = run(30, 0.0, 0.0, |frame| if frame < 450 { 0.0 } else { jump_ms });
            let estimate = clock.estimate().expect("units came");
            assert!((estimate.offset_ms - jump_ms).abs() < 2.0, "{estimate:?} after a jump of {jump_ms} ms");
            assert!(clock.jumps() >= 1);
        }
        // Whatever a stranger's stamps say.
        let mut clock = ClockEstimator::default();
        let start = Instant::now();
        for (index, sent) in [u64::MAX, 0, 1, u64::MAX / 2].into_iter().cycle().take(400).enumerate() {
            clock.note(UnixTime(sent), UnixTime(u64::MAX - sent), start + Duration::from_millis(500) * index as u32);
        }
        let estimate = clock.estimate().expect("units came");
        assert!(estimate.offset_ms.is_finite() && estimate.drift_ppm.is_finite());
    }

    #[test]
    fn a_queue_that_fills_for_a_while_is_no_clock() {
        let clock = run(60, 100.0, 0.0, |frame| if (900..1000).contains(&frame) { 180.0 } else { 1.0 });
        let estimate = clock.estimate().expect("units came");
        assert!((estimate.offset_ms - 101.0).abs() < 3.0, "{estimate:?}");
    }
}
