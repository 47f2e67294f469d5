//! Export within a running app.

use super::{ExportError, ExportOptions, UsdExport};
use bevy::{
    prelude::*,
    tasks::{IoTaskPool, Task, futures_lite::future},
};
use std::path::PathBuf;

/// Exports a scene: send it as a message, from `Commands` too (`commands.write_message`). [`UsdExported`] says when it is done.
#[derive(Message, Clone, Debug)]
pub struct ExportUsd {
    /// The entity to export with all below it; `None` for all there are.
    pub root: Option<Entity>,
    /// The file: `.usda`, `.usdc`, `.usd` or `.usdz`.
    pub path: PathBuf,
    /// How.
    pub options: ExportOptions,
}

impl ExportUsd {
    /// All entities, into a file.
    pub fn scene(path: impl Into<PathBuf>) -> Self {
        Self { root: None, path: path.into(), options: ExportOptions::default() }
    }

    /// An entity and all below it, into a file.
    pub fn subtree(root: Entity, path: impl Into<PathBuf>) -> Self {
        Self { root: Some(root), ..Self::scene(path) }
    }
}

/// A file has been written, or has not.
#[derive(Message, Clone, Debug)]
pub struct UsdExported {
    /// The file.
    pub path: PathBuf,
    /// What was left out, or why there is no new file.
    pub result: Result<Vec<String>, String>,
}

/// Does what [`ExportUsd`] asks for, at the end of the frame. Files are written on another thread.
#[derive(Debug, Default)]
pub struct UsdExportPlugin;

impl Plugin for UsdExportPlugin {
    fn build(&self, app: &mut App) {
        app.add_message::<ExportUsd>()
            .add_message::<UsdExported>()
            .init_resource::<Exporting>()
            .register_type::<super::NotExported>()
            .add_systems(Last, (export_scenes, report_exports).chain());
    }
}

#[derive(Resource, Default)]
struct Exporting(Vec<(PathBuf, Task<Result<Vec<String>, ExportError>>)>);

fn export_scenes(world: &mut World) {
    let wanted: Vec<ExportUsd> =
        world.get_resource_mut::<Messages<ExportUsd>>().map(|mut messages| messages.drain().collect()).unwrap_or_default();
    for ExportUsd { root, path, options } in wanted {
        let scene = UsdExport { root, options }.export(world);
        let target = path.clone();
        let write = async move {
            let scene = scene?;
            scene.write(&target)?;
            Ok(scene.notes)
        };
        let task = IoTaskPool::get().spawn(write);
        if let Some(mut exporting) = world.get_resource_mut::<Exporting>() {
            exporting.0.push((path, task));
        }
    }
}

fn report_exports(mut exporting: ResMut<Exporting>, mut exported: MessageWriter<UsdExported>) {
    if exporting.0.is_empty() {
        return;
    }
    exporting.0.retain_mut(|(path, task)| {
        let Some(result) = future::block_on(future::poll_once(task)) else { return true };
        let result = result.map_err(|error| error.to_string());
        match &result {
            Ok(notes) => notes.iter().for_each(|note| warn!("{}: {note}", path.display())),
            Err(error) => error!("{error}"),
        }
        exported.write(UsdExported { path: path.clone(), result });
        false
    });
}
