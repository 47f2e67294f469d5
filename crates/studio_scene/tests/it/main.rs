//! Stages in a running app.

mod changes;
mod corpus;
mod pictures;
mod show;
mod sync;
mod time;

use bevy::{app::Plugins, asset::AssetPlugin, prelude::*, transform::TransformPlugin};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use studio_scene::stage::{UsdLoadSettings, UsdPlugin, UsdPrim, UsdStage, UsdStageEntities, UsdStageRoot, UsdStageStatus};

/// The corpus of USD files beside the repository, if it is there.
pub fn corpus() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/usd/usd-wg-assets");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} absent", folder.display());
    None
}

/// An app without rendering, with the assets of a folder.
pub fn app(folder: &Path) -> App {
    app_with(folder, ())
}

/// The same with further plugins.
pub fn app_with<M>(folder: &Path, plugins: impl Plugins<M>) -> App {
    let mut app = App::new();
    let assets = AssetPlugin { file_path: folder.display().to_string(), watch_for_changes_override: Some(true), ..default() };
    app.add_plugins((MinimalPlugins, assets, TransformPlugin, UsdPlugin)).add_plugins(plugins);
    app.finish();
    app.cleanup();
    app
}

/// Runs an app until something is so.
pub fn run_until(app: &mut App, what: &str, mut is_so: impl FnMut(&mut World) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so(app.world_mut()) {
        assert!(Instant::now() < end, "waited too long for: {what}");
        app.update();
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Shows a stage, and waits until it is there.
pub fn show(app: &mut App, path: &str) -> Entity {
    show_with(app, path, |_| {})
}

/// Shows a stage loaded with settings.
pub fn show_with(app: &mut App, path: &str, set: impl Fn(&mut UsdLoadSettings) + Send + Sync + 'static) -> Entity {
    let assets = app.world().resource::<AssetServer>().clone();
    let stage: Handle<UsdStage> =
        assets.load_builder().with_settings(move |settings: &mut UsdLoadSettings| set(settings)).load(path.to_owned());
    let root = app.world_mut().spawn(UsdStageRoot(stage)).id();
    run_until(app, path, |world| match world.get::<UsdStageStatus>(root) {
        Some(UsdStageStatus::Failed { error }) => panic!("{path}: {error}"),
        status => status == Some(&UsdStageStatus::Ready),
    });
    // What was spawned is placed.
    app.update();
    root
}

/// The stage that a root shows.
pub fn stage(app: &App, root: Entity) -> &UsdStage {
    let handle = &app.world().get::<UsdStageRoot>(root).expect("a root").0;
    app.world().resource::<Assets<UsdStage>>().get(handle).expect("a stage that is loaded")
}

/// The entity of a prim.
pub fn prim(app: &App, root: Entity, path: &str) -> Entity {
    let entities = app.world().get::<UsdStageEntities>(root).expect("a stage that is shown");
    let entity = entities.entity(path).unwrap_or_else(|| panic!("no prim at {path}"));
    assert_eq!(&*app.world().get::<UsdPrim>(entity).expect("its component").path, path);
    entity
}

/// Where an entity is in the world.
pub fn place(app: &App, entity: Entity) -> Vec3 {
    app.world().get::<GlobalTransform>(entity).expect("a place").translation()
}

/// A folder with files in it.
pub fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).expect("a file");
}
