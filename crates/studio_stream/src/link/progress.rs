//! Whether the peer still takes what it is sent.

use core::{task::Poll, time::Duration};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};

/// A wait this recent means that there is something to send now.
const RECENT: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct State {
    /// Since when nothing was taken although something waited.
    stuck_since: Option<Instant>,
    last_wait: Option<Instant>,
}

/// Follows a session's outgoing streams: a peer whose connection answers but that reads nothing any more can only be told
/// by this. Clones follow the same session.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Mutex<State>>);

impl Progress {
    /// Notes how an attempt to send went at `now`.
    pub(super) fn note<T>(&self, attempt: &Poll<T>, now: Instant) {
        match attempt {
            Poll::Ready(_) => self.moved(),
            Poll::Pending => self.waits(now),
        }
    }

    /// Something was taken.
    fn moved(&self) {
        self.0.lock().stuck_since = None;
    }

    /// Something has to wait for the peer.
    fn waits(&self, now: Instant) {
        let mut state = self.0.lock();
        state.stuck_since.get_or_insert(now);
        state.last_wait = Some(now);
    }

    /// How long the peer has taken nothing of what waits for it; zero if nothing waits.
    pub fn stuck_for(&self, now: Instant) -> Duration {
        let state = self.0.lock();
        let waiting = state.last_wait.is_some_and(|last| now.saturating_duration_since(last) <= RECENT);
        // A stream that pauses while something waits is no reason to suspect the peer.
        state.stuck_since.filter(|_| waiting).map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_peer_that_takes_nothing_of_what_comes_is_stuck() {
        let (progress, start) = (Progress::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(progress.stuck_for(at(9)), Duration::ZERO);
        (0..=9).for_each(|second| progress.waits(at(second)));
        assert_eq!(progress.stuck_for(at(9)), Duration::from_secs(9));
        assert_eq!(progress.stuck_for(at(20)), Duration::ZERO, "nothing was to be sent of late");
        progress.moved();
        progress.waits(at(21));
        assert_eq!(progress.stuck_for(at(22)), Duration::from_secs(1));
    }
}
