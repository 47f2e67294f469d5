//! Bounded queues that say what they drop.
//!
//! Live, the newest item wins: a full queue drops its oldest item and counts it. Recording and offline, a full queue
//! makes the sender wait. There is no third way and no unbounded queue.

use bevy::prelude::*;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// What a full queue does with one more item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
pub enum QueuePolicy {
    /// Drop the oldest item and count it.
    #[default]
    NewestWins,
    /// Make the sender wait until there is room.
    Block,
}

/// What became of an item that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It lies in the queue.
    Queued,
    /// It lies in the queue, and the oldest item was dropped for it.
    DroppedOldest,
    /// The receiver is gone; the item was dropped.
    Closed,
}

type Wake = Arc<dyn Fn() + Send + Sync>;

struct State<T> {
    items: VecDeque<T>,
    senders: usize,
    receiver_gone: bool,
    wake: Option<Wake>,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    capacity: usize,
    policy: QueuePolicy,
    sent: AtomicU64,
    dropped: AtomicU64,
}

/// The sending end; clones feed the same queue.
pub struct QueueSender<T>(Arc<Shared<T>>);

/// The receiving end; there is one.
pub struct QueueReceiver<T>(Arc<Shared<T>>);

/// Makes a queue of at most `capacity` items (at least one).
pub fn queue<T>(capacity: usize, policy: QueuePolicy) -> (QueueSender<T>, QueueReceiver<T>) {
    let capacity = capacity.max(1);
    let shared = Arc::new(Shared {
        state: Mutex::new(State { items: VecDeque::with_capacity(capacity), senders: 1, receiver_gone: false, wake: None }),
        changed: Condvar::new(),
        capacity,
        policy,
        sent: AtomicU64::new(0),
        dropped: AtomicU64::new(0),
    });
    (QueueSender(shared.clone()), QueueReceiver(shared))
}

impl<T> QueueSender<T> {
    /// Puts an item in. Waits for room only under [`QueuePolicy::Block`].
    pub fn send(&self, item: T) -> Sent {
        let mut state = self.0.state.lock();
        let mut outcome = Sent::Queued;
        while state.items.len() >= self.0.capacity && !state.receiver_gone {
            match self.0.policy {
                QueuePolicy::NewestWins => {
                    state.items.pop_front();
                    self.0.dropped.fetch_add(1, Ordering::Relaxed);
                    outcome = Sent::DroppedOldest;
                }
                QueuePolicy::Block => self.0.changed.wait(&mut state),
            }
        }
        if state.receiver_gone {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Sent::Closed;
        }
        state.items.push_back(item);
        self.0.sent.fetch_add(1, Ordering::Relaxed);
        let wake = state.wake.clone();
        drop(state);
        self.0.changed.notify_all();
        if let Some(wake) = wake {
            wake();
        }
        outcome
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.0.state.lock().receiver_gone
    }

    /// Items dropped so far, by either end.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl<T> Clone for QueueSender<T> {
    fn clone(&self) -> Self {
        self.0.state.lock().senders += 1;
        Self(self.0.clone())
    }
}

impl<T> Drop for QueueSender<T> {
    fn drop(&mut self) {
        let wake = {
            let mut state = self.0.state.lock();
            state.senders -= 1;
            (state.senders == 0).then(|| state.wake.clone()).flatten()
        };
        self.0.changed.notify_all();
        if let Some(wake) = wake {
            wake();
        }
    }
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    /// Nothing is there now.
    #[error("the queue is empty")]
    Empty,
    /// Nothing is there and nothing can come: every sender is gone.
    #[error("the queue's senders are gone")]
    Closed,
}

impl<T> QueueReceiver<T> {
    /// Takes the oldest item without waiting.
    pub fn try_recv(&self) -> Result<T, ReceiveError> {
        let mut state = self.0.state.lock();
        match state.items.pop_front() {
            Some(item) => {
                drop(state);
                self.0.changed.notify_all();
                Ok(item)
            }
            None if state.senders == 0 => Err(ReceiveError::Closed),
            None => Err(ReceiveError::Empty),
        }
    }

    /// Takes the oldest item, waiting at most `timeout` for one.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, ReceiveError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.state.lock();
        loop {
            if let Some(item) = state.items.pop_front() {
                drop(state);
                self.0.changed.notify_all();
                return Ok(item);
            }
            if state.senders == 0 {
                return Err(ReceiveError::Closed);
            }
            if self.0.changed.wait_until(&mut state, deadline).timed_out() {
                return state.items.pop_front().ok_or(ReceiveError::Empty);
            }
        }
    }

    /// Takes the newest item and drops the older ones, counting them.
    pub fn take_newest(&self) -> Result<T, ReceiveError> {
        let mut state = self.0.state.lock();
        let skipped = state.items.len().saturating_sub(1);
        self.0.dropped.fetch_add(skipped as u64, Ordering::Relaxed);
        let newest = state.items.pop_back();
        state.items.clear();
        let senders = state.senders;
        drop(state);
        self.0.changed.notify_all();
        newest.ok_or(if senders == 0 { ReceiveError::Closed } else { ReceiveError::Empty })
    }

    /// Calls `wake` after every item sent and when the last sender goes. It must not block and not touch this queue.
    pub fn on_send(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.0.state.lock().wake = Some(Arc::new(wake));
    }

    /// Items waiting now.
    pub fn len(&self) -> usize {
        self.0.state.lock().items.len()
    }

    /// Whether nothing waits now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items sent so far.
    pub fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Items dropped so far, by either end.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl<T> Drop for QueueReceiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.receiver_gone = true;
        state.items.clear();
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn live_queue_keeps_the_newest_and_counts_the_dropped() {
        let (sender, receiver) = queue(2, QueuePolicy::NewestWins);
        for item in 0..5 {
            sender.send(item);
        }
        assert_eq!((receiver.try_recv(), receiver.try_recv(), receiver.try_recv()), (Ok(3), Ok(4), Err(ReceiveError::Empty)));
        assert_eq!((receiver.sent(), receiver.dropped()), (5, 3));
    }

    #[test]
    fn blocking_queue_delivers_everything_in_order() {
        let (sender, receiver) = queue(1, QueuePolicy::Block);
        let worker = thread::spawn(move || (0..1000).for_each(|item| assert_eq!(sender.send(item), Sent::Queued)));
        for expected in 0..1000 {
            assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Ok(expected));
        }
        worker.join().expect("the sender does not panic");
        assert_eq!(receiver.recv_timeout(Duration::from_secs(10)), Err(ReceiveError::Closed));
    }

    #[test]
    fn a_blocked_sender_wakes_when_the_receiver_goes() {
        let (sender, receiver) = queue(1, QueuePolicy::Block);
        sender.send(0);
        let worker = thread::spawn(move || sender.send(1));
        thread::sleep(Duration::from_millis(20));
        drop(receiver);
        assert_eq!(worker.join().ok(), Some(Sent::Closed));
    }
}
