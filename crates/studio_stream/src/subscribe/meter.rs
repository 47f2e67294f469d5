//! Counts what comes in.

use super::SubscriberStats;
use core::time::Duration;
use parking_lot::Mutex;
use std::{collections::VecDeque, time::Instant};

/// The bit rate is taken over this long.
const WINDOW: Duration = Duration::from_secs(1);
/// Arrivals remembered for it at most; older ones are forgotten first.
const ARRIVALS: usize = 4096;

#[derive(Default)]
struct State {
    stats: SubscriberStats,
    arrivals: VecDeque<(Instant, u64)>,
}

/// Counters that the thread writes and anybody reads.
#[derive(Default)]
pub(super) struct Meter(Mutex<State>);

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

    /// The counters now.
    pub(super) fn stats(&self) -> SubscriberStats {
        let (state, now) = (self.0.lock(), Instant::now());
        let recent: u64 = state.arrivals.iter().filter(|(at, _)| now.duration_since(*at) <= WINDOW).map(|(_, bytes)| bytes).sum();
        SubscriberStats { bitrate_bps: recent * 8 * 1000 / WINDOW.as_millis() as u64, ..state.stats }
    }
}
