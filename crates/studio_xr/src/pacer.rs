//! The thread that waits for the headset's next frame, so that the app's loop does not have to.

use crate::error::XrError;
use openxr::{FrameState, FrameWaiter};
use parking_lot::{Condvar, Mutex};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use studio_graph::wake::StudioWaker;

#[derive(Default)]
struct State {
    wanted: bool,
    closed: bool,
    waiting_since: Option<Instant>,
    outcome: Option<openxr::Result<FrameState>>,
}

/// Asks the runtime when to draw. The runtime holds the asker until then, which may be a whole period of the display.
pub(crate) struct Pacer(Arc<(Mutex<State>, Condvar)>);

impl Pacer {
    pub fn start(mut waiter: FrameWaiter, waker: StudioWaker) -> Result<Self, XrError> {
        let shared = Arc::<(Mutex<State>, Condvar)>::default();
        let theirs = shared.clone();
        let work = move || {
            let (state, signal) = &*theirs;
            loop {
                let mut asked = state.lock();
                while !asked.wanted && !asked.closed {
                    signal.wait(&mut asked);
                }
                if asked.closed {
                    return;
                }
                asked.wanted = false;
                asked.waiting_since = Some(Instant::now());
                drop(asked);
                let outcome = waiter.wait();
                let mut answered = state.lock();
                answered.waiting_since = None;
                answered.outcome = Some(outcome);
                drop(answered);
                waker.wake();
            }
        };
        std::thread::Builder::new()
            .name("headset frames".to_owned())
            .spawn(work)
            .map_err(|error| XrError::NoThread(error.to_string()))?;
        Ok(Self(shared))
    }

    /// Has the thread wait for the next frame, unless it does or an answer lies there.
    pub fn ask(&self) {
        let mut state = self.0.0.lock();
        if state.waiting_since.is_none() && state.outcome.is_none() {
            state.wanted = true;
            self.0.1.notify_one();
        }
    }

    /// The runtime's answer, if it has come.
    pub fn take(&self) -> Option<openxr::Result<FrameState>> {
        self.0.0.lock().outcome.take()
    }

    /// How long the runtime has been silent by now.
    pub fn silence(&self) -> Duration {
        self.0.0.lock().waiting_since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        // Not joined: a runtime that hangs would hang us too. The thread ends with the runtime's answer.
        self.0.0.lock().closed = true;
        self.0.1.notify_one();
    }
}
