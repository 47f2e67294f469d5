//! Neural Studio in an app of your own: a test pattern in a window.
//!
//! `cargo run --example add_plugins` (`-- --headless --frames 60` without a window)

use bevy::prelude::*;
use neural_studio::prelude::*;

fn main() -> Result<AppExit> {
    Ok(neural_studio::app_from_args("Test pattern")?.add_systems(Startup, set_up).run())
}

fn set_up(mut commands: Commands) {
    let pattern = commands.spawn(TestPatternInput::default()).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(pattern, "frame", window, "frame");
}
