//! Counts what comes in.

use super::{
    SubscriberStats,
    rate::{Seen, WantedRate},
};
use crate::clock::ClockEstimator;
use core::time::Duration;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Instant};
use studio_frame::prelude::*;

/// The bit rate is taken over this long.
const WINDOW: Duration = Duration::from_secs(1);
/// Arrivals remembered for it at most; older ones are forgotten first.
const ARRIVALS: usize = 4096;
/// Times on the way of two units that follow each other do not differ by more than this, in milliseconds, unless a clock was set.
const CLOCK_SET_MS: f64 = 5000.0;

struct State {
    began: Instant,
    stats: SubscriberStats,
    arrivals: VecDeque<(Instant, u64)>,
    clock: ClockEstimator,
    rate: WantedRate,
    passed_over: u64,
    /// The last unit's time on the way, the clocks' difference in it.
    delay_ms: Option<f64>,
}

/// Counters that the thread writes and anybody reads.
pub(super) struct Meter(Mutex<State>);

impl Default for Meter {
    fn default() -> Self {
        let state = State {
            began: Instant::now(),
            stats: SubscriberStats::default(),
            arrivals: VecDeque::new(),
            clock: ClockEstimator::default(),
            rate: WantedRate::default(),
            passed_over: 0,
            delay_ms: None,
        };
        Self(Mutex::new(state))
    }
}

impl Meter {
    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut SubscriberStats)) {
        change(&mut self.0.lock().stats);
    }

    /// Counts bytes that arrived.
    pub(super) fn arrived(&self, bytes: usize) {
        let (mut state, now) = (self.0.lock(), Instant::now());
        state.stats.bytes += bytes as u64;
        state.arrivals.push_back((now, bytes as u64));
        while state.arrivals.len() > ARRIVALS || state.arrivals.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            state.arrivals.pop_front();
        }
    }

    /// Notes when a coded picture was sent and came.
    pub(super) fn travelled(&self, sent_at: UnixTime, arrived_at: UnixTime) {
        let mut state = self.0.lock();
        state.clock.note(sent_at, arrived_at, Instant::now());
        let delay_ms = (i128::from(arrived_at.0) - i128::from(sent_at.0)) as f64 / 1e6;
        // A clock was set: what was learnt by the old one says nothing, and is no queue.
        if state.delay_ms.replace(delay_ms).is_some_and(|before| (delay_ms - before).abs() > CLOCK_SET_MS) {
            state.rate = WantedRate::default();
        }
        state.rate.note(delay_ms);
    }

    /// Notes the network's round trip.
    pub(super) fn round_trip(&self, round_trip: Duration) {
        let mut state = self.0.lock();
        state.stats.rtt = round_trip;
        state.clock.note_round_trip(round_trip);
    }

    /// Notes groups that were left on purpose, to catch up: they tell nothing of the path that is not known.
    pub(super) fn passed_over(&self, groups: u64) {
        self.0.lock().passed_over += groups;
    }

    /// Estimates what the viewer can take; to be called once a second. `waiting` coded pictures wait for the decoder. Returns how
    /// long units waited on the way, in milliseconds.
    pub(super) fn estimate(&self, waiting: u64) -> f64 {
        let stats = self.stats();
        let mut state = self.0.lock();
        let groups_skipped = stats.groups_skipped.saturating_sub(state.passed_over);
        let seen = Seen { received_bps: stats.bitrate_bps as f64, groups_skipped, waiting };
        let now_s = state.began.elapsed().as_secs_f64();
        state.rate.update(seen, now_s);
        state.rate.queue_ms()
    }

    /// What the viewer believes that it can take, in bits a second; none where it has no opinion.
    pub(super) fn wanted_bps(&self) -> Option<f64> {
        self.0.lock().rate.wanted_bps()
    }

    /// Forgets the clock and the path: another session begins.
    pub(super) fn restart(&self) {
        let mut state = self.0.lock();
        (state.clock, state.rate, state.delay_ms) = Default::default();
    }

    /// The counters now.
    pub(super) fn stats(&self) -> SubscriberStats {
        let (state, now) = (self.0.lock(), Instant::now());
        let recent: u64 = state.arrivals.iter().filter(|(at, _)| now.duration_since(*at) <= WINDOW).map(|(_, bytes)| bytes).sum();
        let bitrate_bps = recent * 8 * 1000 / WINDOW.as_millis() as u64;
        SubscriberStats { bitrate_bps, clock: state.clock.estimate(), ..state.stats }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_no_queue() {
        let meter = Meter::default();
        for second in 0..8_u64 {
            // The viewer's clock is put forward by ten minutes.
            let ahead = if second < 4 { 0 } else { 600_000_000_000 };
            for unit in 0..30 {
                let sent = second * 1_000_000_000 + unit * 33_000_000;
                meter.arrived(10_000);
                meter.travelled(UnixTime(sent), UnixTime(sent + 40_000_000 + ahead));
            }
            meter.estimate(0);
            assert_eq!(meter.wanted_bps(), None, "second {second}");
        }
    }
}
