//! Whole pipelines, as a user runs them.

#![expect(clippy::print_stdout, reason = "figures and skipped cases are told to whoever reads the tests")]

mod blueprint;
mod calibrate;
mod clap;
#[expect(dead_code, reason = "the example's own program")]
#[path = "../../examples/custom_node.rs"]
mod custom_node;
mod editor;
mod faults;
mod gate;
mod kinds;
mod lip_sync;
mod preview;
mod programs;
mod shaders;
mod sound;
mod tap;

/// Held by tests that stream: two at once would measure each other's load on a small machine.
static STREAMING: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Waits until no other test streams.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    STREAMING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
