//! A stage and its entities in step, both ways: a layer that is saved moves an entity, and an entity that is moved edits its prim.
//!
//! `cargo run --example usd_live_edit` (`-- --headless` without a window; it ends then when both have happened)

#![expect(clippy::print_stdout, reason = "an example says what it does")]

use bevy::prelude::*;
use neural_studio::{
    app::{app_in, has_display},
    prelude::*,
    studio_usd::host::EditLayer,
};
use std::{fs, path::PathBuf, time::Instant};

/// A copy of the scene, which the example may change as an editor would.
#[derive(Resource)]
struct Scene {
    layer: PathBuf,
    started: Instant,
    step: u32,
    headless: bool,
}

fn main() -> Result<AppExit> {
    let folder = tempfile::tempdir()?;
    for layer in ["room.usda", "furniture.usda"] {
        fs::copy(format!("{}/assets/scenes/{layer}", env!("CARGO_MANIFEST_DIR")), folder.path().join(layer))?;
    }
    let headless = std::env::args().any(|argument| argument == "--headless") || !has_display();
    let window = if headless { AppWindow::None } else { AppWindow::where_possible("Live edit of a USD layer") };
    let mut app = app_in(window, folder.path())?;
    let layer = folder.path().join("furniture.usda");
    app.insert_resource(Scene { layer, started: Instant::now(), step: 0, headless });
    Ok(app.add_systems(Startup, set_up).add_systems(Update, edit).run())
}

fn set_up(mut commands: Commands) {
    let scene = commands.spawn(UsdScene { source: "room.usda".to_owned(), ..default() }).id();
    let camera = commands.spawn(SceneCamera { prim: "/Room/Camera".to_owned(), ..default() }).id();
    let view = commands.spawn(SceneView { size: UVec2::new(960, 540), ..default() }).id();
    let window = commands.spawn(WindowOutput::default()).id();
    commands.connect(scene, "scene", camera, "scene");
    commands.connect(camera, "camera", view, "camera");
    commands.connect(view, "frame", window, "frame");
}

/// Saves the layer, waits until the table has moved, moves the screen, and asks the stage where that is.
fn edit(
    mut scene: ResMut<Scene>,
    roots: Query<(&UsdStageEntities, &UsdStageRoot, &UsdStageStatus)>,
    stages: Res<Assets<UsdStage>>,
    mut transforms: Query<&mut Transform>,
    mut exit: MessageWriter<AppExit>,
) -> Result {
    if scene.started.elapsed().as_secs() > 90 {
        println!("nothing happened for too long");
        exit.write(AppExit::error());
    }
    let Ok((entities, root, status)) = roots.single() else { return Ok(()) };
    if let UsdStageStatus::Failed { error } = status {
        return Err(error.clone().into());
    }
    let (Some(table), Some(screen)) = (entities.entity("/Room/Table"), entities.entity("/Room/Screen")) else { return Ok(()) };
    let host = stages.get(&root.0).ok_or("the stage is shown")?.host();
    match scene.step {
        0 => {
            println!("the table is at {}", transforms.get(table)?.translation);
            let text = fs::read_to_string(&scene.layer)?;
            fs::write(&scene.layer, text.replace("(0.3, 0, -0.9)", "(1.1, 0, -0.4)"))?;
            println!("furniture.usda is saved with the table at (1.1, 0, -0.4)");
        }
        1 if transforms.get(table)?.translation.x > 1.0 => {
            println!("the layer was loaded again: the table's entity is at {}", transforms.get(table)?.translation);
            transforms.get_mut(screen)?.translation.y -= 0.25;
            println!("the screen's entity is moved down by 0.25");
        }
        2 => {
            let session = host.export_layer(&EditLayer::Session)?;
            let edited: Vec<&str> = session.lines().map(str::trim).filter(|line| line.contains("xformOp:translate")).collect();
            if edited.is_empty() {
                return Ok(());
            }
            println!("the stage's session layer now says of it: {}", edited.join(", "));
            if scene.headless {
                exit.write(AppExit::Success);
            }
        }
        _ => return Ok(()),
    }
    scene.step += 1;
    Ok(())
}
