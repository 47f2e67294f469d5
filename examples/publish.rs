//! Publishes a test pattern to viewers: prints the link, which `neural-studio view` opens.
//!
//! `cargo run --example publish` (`-- --headless --frames 120` stops by itself)

use bevy::prelude::*;
use neural_studio::prelude::*;

fn main() -> Result<AppExit> {
    Ok(neural_studio::app_from_args("Publish")?.add_systems(Startup, set_up).run())
}

fn set_up(mut commands: Commands) {
    let pattern = commands.spawn(TestPatternInput::default()).id();
    let convert = commands.spawn(ColorConvert).id();
    let flow = commands.spawn(OpticalFlow::default()).id();
    let encoder = commands.spawn(VideoEncoder::default()).id();
    let output = commands.spawn(WebTransportOutput { bind: "127.0.0.1:0".to_owned(), ..default() }).id();
    commands.connect(pattern, "frame", convert, "frame");
    commands.connect(convert, "frame", flow, "frame");
    commands.connect(convert, "frame", encoder, "frame");
    commands.connect(encoder, "packets", output, "packets");
    commands.connect(flow, "motion", output, "motion");
}
