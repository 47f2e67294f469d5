//! How much of what is to be sent waits in QUIC.
//!
//! What QUIC has taken it sends, however old: a group of pictures can only be left for a newer one while it is not all in QUIC's
//! buffers. So there is room for what is on its way and little more.

use core::time::Duration;
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use wtransport::quinn;

/// Bytes in QUIC's buffers at most, sent and unacknowledged ones among them: bounds what one stalled viewer pins in memory.
pub(super) const MOST_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes that may wait, whatever the path is: about a picture.
const WAITING_BYTES: u64 = 16 * 1024;
/// How often the path is looked at.
const EVERY: Duration = Duration::from_millis(5);

/// Room for `window` bytes on their way, and half as much to fill it from.
fn room(window: u64) -> u64 {
    window.saturating_add(window / 2 + WAITING_BYTES).min(MOST_BYTES)
}

#[derive(Debug, Default)]
struct State {
    looked_at: Option<Instant>,
    room: u64,
}

/// Keeps a connection's buffers as large as its path needs. Clones keep the same connection's.
#[derive(Clone, Debug)]
pub(super) struct SendRoom {
    connection: quinn::Connection,
    state: Arc<Mutex<State>>,
}

impl SendRoom {
    pub(super) fn new(connection: quinn::Connection) -> Self {
        Self { connection, state: Arc::default() }
    }

    /// Follows the path; to be called before anything is written.
    pub(super) fn follow(&self, now: Instant) {
        let mut state = self.state.lock();
        if state.looked_at.is_some_and(|at| now.saturating_duration_since(at) < EVERY) {
            return;
        }
        state.looked_at = Some(now);
        let room = room(self.connection.stats().path.cwnd);
        if core::mem::replace(&mut state.room, room) != room {
            self.connection.set_send_window(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_path_has_little_room_and_none_has_too_much() {
        assert!(room(6_000) < 32 * 1024);
        assert!(room(1024 * 1024) > 1024 * 1024);
        assert_eq!(room(u64::MAX), MOST_BYTES);
    }
}
