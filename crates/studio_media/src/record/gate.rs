//! Keeps pictures and sound together offline, where each comes as fast as it is taken.

use parking_lot::{Condvar, Mutex};
use std::{
    thread::{self, ThreadId},
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// How far one side may be ahead of the other.
pub(super) const AHEAD: Duration = Duration::from_secs(1);
/// How long a side waits for one that does not move.
const PATIENCE: Duration = Duration::from_secs(10);

/// One of the two tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Pictures,
    Sound,
}

/// How far a side is.
#[derive(Default)]
struct Reached {
    first: Option<UnixTime>,
    newest: Option<UnixTime>,
    moved: Option<Instant>,
    thread: Option<ThreadId>,
    /// Waited for in vain since it last moved.
    given_up: bool,
    over: bool,
}

#[derive(Default)]
struct State {
    sides: [Reached; 2],
    open: bool,
}

/// Where a side that is ahead waits for the other one.
pub(super) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
    patience: Duration,
}

impl Gate {
    /// `waits`: whether anybody waits at all.
    pub fn new(waits: bool) -> Self {
        Self::with_patience(waits, PATIENCE)
    }

    fn with_patience(waits: bool, patience: Duration) -> Self {
        let state = State { open: !waits, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new(), patience }
    }

    /// Lets everybody pass from now on.
    pub fn open(&self) {
        self.state.lock().open = true;
        self.changed.notify_all();
    }

    /// Says that nothing more comes on a side for now: the other one need not wait.
    pub fn end(&self, side: Side) {
        self.state.lock().sides[side as usize].over = true;
        self.changed.notify_all();
    }

    /// Passes with something of a moment; waits while that is too far ahead of the other side. A thread that brings both sides
    /// never waits for itself, and nobody waits for a side that is over, or that has not moved for ten seconds.
    pub fn pass(&self, side: Side, at: UnixTime) {
        let other = 1 - side as usize;
        let mut state = self.state.lock();
        if state.open {
            return;
        }
        let begun = Instant::now();
        let me = thread::current().id();
        let first = *state.sides[side as usize].first.get_or_insert(at);
        loop {
            let waited_for = &state.sides[other];
            let reached = waited_for.newest.unwrap_or(first);
            let is_near = at.0 <= reached.0.saturating_add(AHEAD.as_nanos() as u64);
            if state.open || is_near || waited_for.over || waited_for.given_up || waited_for.thread == Some(me) {
                break;
            }
            let moved = waited_for.moved.unwrap_or(begun).max(begun);
            if self.changed.wait_until(&mut state, moved + self.patience).timed_out() {
                let other = &mut state.sides[other];
                // Pictures that stop hold the sound back: what lies behind the last one is of no use.
                other.given_up =
                    other.moved.is_none_or(|late| late <= moved) && (side == Side::Pictures || other.newest.is_none());
                break;
            }
        }
        let own = &mut state.sides[side as usize];
        own.newest = Some(own.newest.map_or(at, |newest| newest.max(at)));
        (own.moved, own.thread, own.given_up, own.over) = (Some(Instant::now()), Some(me), false, false);
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    };

    fn millis(millis: u64) -> UnixTime {
        UnixTime::from_micros(millis * 1000)
    }

    /// A gate, and how far (in ms) the sound of another thread has come through it.
    fn with_sound(patience: Duration) -> (Arc<Gate>, Arc<AtomicU64>, thread::JoinHandle<()>) {
        let (gate, reached) = (Arc::new(Gate::with_patience(true, patience)), Arc::new(AtomicU64::new(0)));
        let (through, place) = (gate.clone(), reached.clone());
        let sound = thread::spawn(move || {
            for at in (0..10_000).step_by(100) {
                through.pass(Side::Sound, millis(at));
                place.store(at, Ordering::Release);
            }
        });
        (gate, reached, sound)
    }

    #[test]
    fn who_is_ahead_waits_and_is_let_go() {
        let (gate, reached, sound) = with_sound(Duration::from_secs(60));
        for at in [0, 500, 1000] {
            gate.pass(Side::Pictures, millis(at));
            thread::sleep(Duration::from_millis(30));
            assert!(reached.load(Ordering::Acquire) <= at + 1000);
        }
        gate.end(Side::Pictures);
        sound.join().unwrap();
    }

    #[test]
    fn an_open_gate_holds_nobody() {
        let (gate, _, sound) = with_sound(Duration::from_secs(60));
        gate.open();
        sound.join().unwrap();
    }

    #[test]
    fn a_side_that_never_comes_is_waited_for_once() {
        let begun = Instant::now();
        let (_gate, _, sound) = with_sound(Duration::from_millis(50));
        sound.join().unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(50));
    }

    #[test]
    fn one_thread_may_bring_both_in_any_order() {
        let gate = Gate::with_patience(true, Duration::from_secs(60));
        gate.pass(Side::Pictures, millis(0));
        gate.pass(Side::Sound, millis(9000));
        gate.pass(Side::Pictures, millis(30_000));
    }
}
