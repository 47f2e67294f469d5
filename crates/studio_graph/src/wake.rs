//! Waking the app when something came, so that an idle studio sleeps and a busy one does not wait for a timer.

use bevy::prelude::*;
use parking_lot::{Condvar, Mutex};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct WakeState {
    woken: bool,
    deadline: Option<Instant>,
    hook: Option<Hook>,
}

/// Wakes the app from any thread. Clones wake the same app.
#[derive(Resource, Clone, Default)]
pub struct StudioWaker(Arc<(Mutex<WakeState>, Condvar)>);

impl StudioWaker {
    /// Has the app run an update soon.
    pub fn wake(&self) {
        let hook = {
            let mut state = self.0.0.lock();
            state.woken = true;
            state.hook.clone()
        };
        self.0.1.notify_all();
        if let Some(hook) = hook {
            hook();
        }
    }

    /// Has the app run an update at `at` if nothing wakes it before. The earliest of several times counts; it is
    /// forgotten once it has passed.
    pub fn wake_at(&self, at: Instant) {
        let mut state = self.0.0.lock();
        state.deadline = Some(state.deadline.map_or(at, |present| present.min(at)));
    }

    /// How long until the time given to [`wake_at`](Self::wake_at), at most `idle`. Forgets a time that has passed.
    pub fn time_to_deadline(&self, idle: Duration) -> Duration {
        let mut state = self.0.0.lock();
        let now = Instant::now();
        match state.deadline {
            Some(deadline) if deadline > now => (deadline - now).min(idle),
            Some(_) => {
                state.deadline = None;
                Duration::ZERO
            }
            None => idle,
        }
    }

    /// Calls `hook` with every wake-up: for event loops that sleep elsewhere than in [`wait`](Self::wait).
    pub fn on_wake(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.0.0.lock().hook = Some(Arc::new(hook));
    }

    /// Waits until someone calls [`wake`](Self::wake) or the next deadline, at most `idle`.
    pub fn wait(&self, idle: Duration) {
        let timeout = self.time_to_deadline(idle);
        let mut state = self.0.0.lock();
        if !state.woken {
            self.0.1.wait_for(&mut state, timeout);
        }
        state.woken = false;
    }
}

/// Runs an app without a window: an update whenever the studio is woken, and at least every `idle`.
pub struct WakeRunnerPlugin {
    /// Longest sleep between two updates.
    pub idle: Duration,
}

impl Default for WakeRunnerPlugin {
    fn default() -> Self {
        Self { idle: Duration::from_millis(20) }
    }
}

impl Plugin for WakeRunnerPlugin {
    fn build(&self, app: &mut App) {
        let waker = app.world_mut().get_resource_or_init::<StudioWaker>().clone();
        let idle = self.idle;
        app.set_runner(move |mut app: App| {
            while app.plugins_state() == bevy::app::PluginsState::Adding {
                bevy::tasks::tick_global_task_pools_on_main_thread();
            }
            app.finish();
            app.cleanup();
            loop {
                app.update();
                if let Some(exit) = app.should_exit() {
                    return exit;
                }
                waker.wait(idle);
            }
        });
    }
}
