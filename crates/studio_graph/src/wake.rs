//! Waking the app when something came, so that an idle studio sleeps and a busy one does not wait for a timer.

use bevy::prelude::*;
use parking_lot::{Condvar, Mutex};
use std::{sync::Arc, time::Duration};

/// Wakes the app from any thread. Clones wake the same app.
#[derive(Resource, Clone, Default)]
pub struct StudioWaker(Arc<(Mutex<bool>, Condvar)>);

impl StudioWaker {
    /// Has the app run an update soon.
    pub fn wake(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }

    /// Waits until someone calls [`wake`](Self::wake), at most `timeout`.
    pub fn wait(&self, timeout: Duration) {
        let mut woken = self.0.0.lock();
        if !*woken {
            self.0.1.wait_for(&mut woken, timeout);
        }
        *woken = false;
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
