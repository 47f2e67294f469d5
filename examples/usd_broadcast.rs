//! A USD scene with video on a screen in it, filmed all around, and streamed to three headsets at once: prints their links,
//! which `neural-studio view` opens. The scene is filmed once; each headset gets eyes, size and bit rate of its own.
//!
//! `cargo run --example usd_broadcast` (`-- --headless --frames 60` stops by itself)

#![expect(clippy::print_stdout, reason = "an example says where its streams are")]

use bevy::prelude::*;
use neural_studio::{prelude::*, studio_profile::camera::CameraStatus};

const HEADSETS: [&str; 3] = ["quest-3", "vision-pro", "generic-360"];

fn main() -> Result<AppExit> {
    let mut app = neural_studio::app_from_args("Broadcast of a USD scene")?;
    Ok(app.add_systems(Startup, set_up).add_systems(Update, (film, say_links)).run())
}

fn set_up(mut commands: Commands) {
    commands.spawn(UsdScene { source: "scenes/room.usda".to_owned(), ..default() });
}

/// Hangs the screen and films the scene when it is there.
fn film(mut ready: MessageReader<UsdStageReady>, mut commands: Commands) {
    if ready.read().all(|ready| ready.again) {
        return;
    }
    let video = commands.spawn(TestPatternInput { size: UVec2::new(640, 360), rate_hz: 10.0, ..default() }).id();
    let screen = commands.spawn(VideoScreen { screen: "/Room/Screen/Panel".to_owned(), ..default() }).id();
    let view = SceneView {
        camera: "/Room/Viewer".to_owned(),
        projection: SceneProjection::Equirect360Mono,
        // Small enough for a machine without a GPU.
        size: UVec2::new(512, 256),
        density: 0.5,
        samples: 1,
        look: SceneLook { samples: SceneSamples::One, ..default() },
        ..default()
    };
    let view = commands.spawn(view).id();
    commands.connect(video, "frame", screen, "frame");
    // Each picture of the video is filmed, in the same update, and keeps its time.
    commands.connect(video, "frame", view, "pace");
    for profile in HEADSETS {
        let headset =
            VirtualCamera { profile: profile.to_owned(), frame_rate_hz: 10.0, max_size: UVec2::new(512, 512), ..default() };
        let headset = commands.spawn(headset).id();
        commands.connect(view, "frame", headset, "frame");
    }
}

fn say_links(headsets: Query<(&VirtualCamera, &CameraStatus), Changed<CameraStatus>>, mut said: Local<Vec<String>>) {
    for (headset, status) in &headsets {
        let (Some(link), Some(plan)) = (&status.viewer_link, &status.plan) else { continue };
        if !said.contains(link) {
            println!("{}: {}×{} {:?}, {link}", headset.profile, plan.size.x, plan.size.y, plan.projection);
            said.push(link.clone());
        }
    }
}
