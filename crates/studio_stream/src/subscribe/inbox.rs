//! The queue of access units between the network and a decoder.
//!
//! A live queue drops its oldest items when nobody reads them. For pictures that lean on the ones before, that would leave
//! a reader with a rest that cannot be decoded; so the reading end sees the gap and goes on at the next key frame.

use super::{ReceivedMotion, ReceivedSound, ReceivedUnit, ViewerEvent, meter::Meter};
use core::time::Duration;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use studio_frame::{prelude::*, queue::ReceiveError};

struct Numbered {
    order: u64,
    unit: ReceivedUnit,
}

/// The network's end.
pub(super) struct UnitSender {
    queue: QueueSender<Numbered>,
    next: AtomicU64,
    taken: Arc<AtomicU64>,
}

/// The decoder's end: access units in order, each decodable after the one before.
pub struct UnitReceiver {
    queue: QueueReceiver<Numbered>,
    state: Mutex<State>,
    skipped: AtomicU64,
    /// One more than the number of the newest unit that was taken.
    taken: Arc<AtomicU64>,
}

#[derive(Default)]
struct State {
    expected: u64,
    after_gap: bool,
}

/// Where a session puts what it receives.
pub(super) struct Outbox {
    pub(super) events: QueueSender<ViewerEvent>,
    pub(super) units: UnitSender,
    pub(super) audio: QueueSender<ReceivedSound>,
    pub(super) motion: QueueSender<ReceivedMotion>,
    pub(super) meter: Arc<Meter>,
}

/// A queue of at most `capacity` units.
pub(super) fn inbox(capacity: usize) -> (UnitSender, UnitReceiver) {
    let (sender, receiver) = queue(capacity, QueuePolicy::NewestWins);
    let taken = Arc::new(AtomicU64::new(0));
    let sender = UnitSender { queue: sender, next: AtomicU64::new(0), taken: taken.clone() };
    (sender, UnitReceiver { queue: receiver, state: Mutex::default(), skipped: AtomicU64::new(0), taken })
}

impl UnitSender {
    pub(super) fn send(&self, unit: ReceivedUnit) {
        let order = self.next.fetch_add(1, Ordering::Relaxed);
        self.queue.send(Numbered { order, unit });
    }

    /// Units that the reader did not come to yet, those that gave way included.
    pub(super) fn waiting(&self) -> u64 {
        self.next.load(Ordering::Relaxed).saturating_sub(self.taken.load(Ordering::Relaxed))
    }
}

impl UnitReceiver {
    /// Passes a unit on unless it cannot be decoded.
    fn admit(&self, Numbered { order, mut unit }: Numbered) -> Option<ReceivedUnit> {
        let mut state = self.state.lock();
        state.after_gap |= order != state.expected || unit.after_gap;
        state.expected = order + 1;
        self.taken.store(order + 1, Ordering::Relaxed);
        if state.after_gap && !unit.unit.key_frame {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        unit.after_gap = core::mem::take(&mut state.after_gap);
        Some(unit)
    }

    /// Takes the next unit without waiting.
    pub fn try_recv(&self) -> Result<ReceivedUnit, ReceiveError> {
        loop {
            if let Some(unit) = self.admit(self.queue.try_recv()?) {
                return Ok(unit);
            }
        }
    }

    /// Takes the next unit, waiting at most `timeout` for one.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<ReceivedUnit, ReceiveError> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(unit) = self.admit(self.queue.recv_timeout(left)?) {
                return Ok(unit);
            }
        }
    }

    /// Calls `wake` after every unit that came and when no more can come. It must not block and not touch this queue.
    pub fn on_send(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.queue.on_send(wake);
    }

    /// Units waiting now.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits now.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Units thrown away here, because they were not read in time or lacked those before them.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped() + self.skipped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(frame_id: u64, key_frame: bool) -> ReceivedUnit {
        ReceivedUnit {
            unit: AccessUnit { stamp: FrameStamp { frame_id, ..Default::default() }, key_frame, data: bytes::Bytes::new() },
            track: Arc::from("video.0"),
            info: Arc::default(),
            session: 1,
            sent_at: UnixTime(0),
            arrived_at: UnixTime(0),
            after_gap: false,
            decode_only: false,
        }
    }

    #[test]
    fn a_reader_that_slept_goes_on_at_a_key_frame() {
        let (sender, receiver) = inbox(8);
        // Key frames at 0, 5, 10; the queue keeps 4 to 11.
        (0..12).for_each(|id| sender.send(unit(id, id % 5 == 0)));
        let read: Vec<_> =
            core::iter::from_fn(|| receiver.try_recv().ok()).map(|unit| (unit.unit.stamp.frame_id, unit.after_gap)).collect();
        assert_eq!(read, [(5, true), (6, false), (7, false), (8, false), (9, false), (10, false), (11, false)]);
        assert_eq!(receiver.dropped(), 5);
    }

    #[test]
    fn a_reader_that_keeps_up_gets_everything() {
        let (sender, receiver) = inbox(2);
        for id in 0..20 {
            sender.send(unit(id, id % 7 == 0));
            let got = receiver.recv_timeout(Duration::from_secs(1)).expect("one is there");
            assert_eq!((got.unit.stamp.frame_id, got.after_gap), (id, false));
        }
        assert_eq!(receiver.dropped(), 0);
        drop(sender);
        assert_eq!(receiver.recv_timeout(Duration::from_secs(1)).err(), Some(ReceiveError::Closed));
    }
}
