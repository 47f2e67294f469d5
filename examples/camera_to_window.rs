//! The first camera in a window: one upload a frame, no other copy.
//!
//! `cargo run --example camera_to_window` (`-- --camera NAME` takes another one; `neural-studio cameras` lists them)

use bevy::prelude::*;
use neural_studio::prelude::*;

fn main() -> Result<AppExit> {
    Ok(neural_studio::app_from_args("Camera")?.add_systems(Startup, set_up).add_systems(Last, say_copies).run())
}

fn set_up(mut commands: Commands) {
    let arguments: Vec<String> = std::env::args().collect();
    let asked = arguments.iter().position(|argument| argument == "--camera").and_then(|at| arguments.get(at + 1));
    // Where there is no camera, GStreamer's test source stands in for one.
    let device = match studio_camera() {
        true => String::new(),
        false => "gst:videotestsrc is-live=true".to_owned(),
    };
    let camera = commands.spawn(CameraInput { device: asked.cloned().unwrap_or(device), ..default() }).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(camera, "frame", window, "frame");
}

fn studio_camera() -> bool {
    list_cameras().is_ok_and(|cameras| !cameras.is_empty())
}

fn say_copies(copies: Res<CopyCounters>, ledger: Res<LatencyLedger>, mut exits: MessageReader<AppExit>) {
    if exits.read().next().is_some() {
        let [cpu, upload, readback] = copies.mean_per_frame();
        info!("copies a frame: CPU {cpu}, upload {upload}, readback {readback}");
        if let Some(window) = ledger.stage(Stage::WINDOW) {
            info!("from capture to drawn in the window: p50 {:.1} ms, p95 {:.1} ms", window.p50_ms, window.p95_ms);
        }
    }
}
