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

struct State {
    began: Instant,
    stats: SubscriberStats,
    arrivals: VecDeque<(Instant, u64)>,
    clock: ClockEstimator,
    rate: WantedRate,
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
        state.rate.note((i128::from(arrived_at.0) - i128::from(sent_at.0)) as f64 / 1e6);
    }

    /// Notes the network's round trip.
    pub(super) fn round_trip(&self, round_trip: Duration) {
        let mut state = self.0.lock();
        state.stats.rtt = round_trip;
        state.clock.note_round_trip(round_trip);
    }

    /// Estimates what the viewer can take; to be called once a second. `waiting` coded pictures wait for the decoder.
    pub(super) fn estimate(&self, waiting: u64) {
        let stats = self.stats();
        let seen = Seen { received_bps: stats.bitrate_bps as f64, groups_skipped: stats.groups_skipped, waiting };
        let mut state = self.0.lock();
        let now_s = state.began.elapsed().as_secs_f64();
        state.rate.update(seen, now_s);
    }

    /// What the viewer believes that it can take, in bits a second; none where it has no opinion.
    pub(super) fn wanted_bps(&self) -> Option<f64> {
        self.0.lock().rate.wanted_bps()
    }

    /// Forgets the clock and the path: another session begins.
    pub(super) fn restart(&self) {
        let mut state = self.0.lock();
        (state.clock, state.rate) = Default::default();
    }

    /// The counters now.
    pub(super) fn stats(&self) -> SubscriberStats {
        let (state, now) = (self.0.lock(), Instant::now());
        let recent: u64 = state.arrivals.iter().filter(|(at, _)| now.duration_since(*at) <= WINDOW).map(|(_, bytes)| bytes).sum();
        let bitrate_bps = recent * 8 * 1000 / WINDOW.as_millis() as u64;
        SubscriberStats { bitrate_bps, clock: state.clock.estimate(), ..state.stats }
    }
}
