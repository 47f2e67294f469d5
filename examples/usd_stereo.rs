//! A USD scene seen by two eyes, side by side in a window. The scene's own camera says from where, its clock what moves.
//!
//! `cargo run --example usd_stereo -- [SCENE.usda]` (`-- --headless --frames 60` without a window)

use bevy::prelude::*;
use neural_studio::prelude::*;

fn main() -> Result<AppExit> {
    Ok(neural_studio::app_from_args("USD in stereo")?.add_systems(Startup, set_up).run())
}

fn set_up(mut commands: Commands) {
    let scene = std::env::args().skip(1).find(|argument| argument.contains(".usd"));
    let source = scene.unwrap_or_else(|| "scenes/room.usda".to_owned());
    let scene = commands.spawn(UsdScene { source, ..default() }).id();
    // An empty path would do as well: the first camera of the scene.
    let camera = commands.spawn(SceneCamera { prim: "/Room/Camera".to_owned(), ..default() }).id();
    let view = SceneView {
        projection: SceneProjection::StereoFlat { packing: StereoPacking::SideBySide },
        // Small enough for a machine without a GPU.
        size: UVec2::new(640, 240),
        look: SceneLook { samples: SceneSamples::One, ..default() },
        // What is as far as the table is neither before the window nor behind it.
        convergence_m: 4.0,
        ..default()
    };
    let view = commands.spawn(view).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(scene, "scene", camera, "scene");
    commands.connect(camera, "camera", view, "camera");
    commands.connect(view, "frame", window, "frame");
}
