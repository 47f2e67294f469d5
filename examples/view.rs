//! Watches a stream inside an app of your own, twice as smooth as it was sent.
//!
//! `cargo run --example view -- LINK`; without a link it publishes a test pattern and watches that.

use bevy::prelude::*;
use neural_studio::prelude::*;

fn main() -> Result<AppExit> {
    Ok(neural_studio::app_from_args("View")?.add_systems(Startup, publish).add_systems(Update, watch).run())
}

fn publish(mut commands: Commands) {
    if let Some(link) = std::env::args().find(|argument| argument.starts_with("https://")) {
        open(&mut commands, link);
        return;
    }
    let pattern = commands.spawn(TestPatternInput::default()).id();
    let convert = commands.spawn(ColorConvert).id();
    let encoder = commands.spawn(VideoEncoder::default()).id();
    let output = commands.spawn(WebTransportOutput { bind: "127.0.0.1:0".to_owned(), ..default() }).id();
    commands.connect(pattern, "frame", convert, "frame");
    commands.connect(convert, "frame", encoder, "frame");
    commands.connect(encoder, "packets", output, "packets");
}

/// Opens the link of our own output as soon as it listens.
fn watch(outputs: Query<&WebTransportStatus, Changed<WebTransportStatus>>, inputs: Query<&StreamInput>, mut commands: Commands) {
    if let Some(link) = outputs.iter().find_map(|status| status.viewer_link.clone())
        && inputs.is_empty()
    {
        open(&mut commands, link);
    }
}

fn open(commands: &mut Commands, link: String) {
    let input = commands.spawn(StreamInput { link, ..default() }).id();
    let synthesis = commands.spawn(FrameSynthesis::default()).id();
    let view = commands.spawn(SphereView { size: UVec2::new(640, 360), ..default() }).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(input, "frame", synthesis, "frame");
    commands.connect(input, "motion", synthesis, "motion");
    commands.connect(synthesis, "frame", view, "frame");
    commands.connect(view, "view", window, "frame");
}
