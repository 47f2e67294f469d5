//! A Bevy world, or a part of it, as a USD file that any tool opens.
//!
//! [`UsdExport`] makes a layer and its textures of what is there now, [`UsdBake`] of what happens over a range of frames. Send the message
//! [`ExportUsd`] to have it done within a running app ([`UsdExportPlugin`]).
//!
//! | Bevy | USD |
//! |---|---|
//! | an entity with a `Transform` | an `Xform` of its name, below its parent's; `translate`, `orient`, `scale` |
//! | `Mesh3d` | `Mesh`; one that several entities share is written once, and they are its instances |
//! | `MeshMaterial3d<StandardMaterial>` | `Material` with `UsdPreviewSurface`, textures as PNG files |
//! | `PointLight`, `SpotLight`, `DirectionalLight`, `RectLight` | `SphereLight`, the same with a cone, `DistantLight`, `RectLight` |
//! | [`DomeLight`](crate::look::DomeLight) | `DomeLight`, its picture by name |
//! | a camera with any projection | `Camera` with apertures and their offsets |
//! | `Visibility::Hidden` | `visibility = "invisible"` |
//! | morph targets | `BlendShape`s with their weights |
//! | `SkinnedMesh` | `Skeleton` with one `SkelAnimation` of where its joints are |
//!
//! A stage that is exported by its root ([`UsdStageRoot`](crate::stage::UsdStageRoot)) comes out as it was: its prims keep their paths, its
//! lights and cameras their values, and its axis and unit are its own. Shapes and instances become meshes; materials stand in a scope of
//! their own.
//!
//! Any other has Y up, metres, and its default prim around everything. What has no counterpart is told in [`ExportedScene::notes`].

mod animated;
mod camera;
mod error;
mod light;
mod material;
mod mesh;
mod picture;
mod plugin;
mod scene;
mod skin;
mod state;

pub use error::ExportError;
pub use plugin::{ExportUsd, UsdExportPlugin, UsdExported};
pub use scene::{ExportedScene, ExportedTexture};

use bevy::prelude::*;
use state::Recording;

/// Entities with this, and all below them, are not exported.
#[derive(Component, Clone, Copy, Debug, Default, Reflect)]
#[reflect(Component, Default)]
pub struct NotExported;

/// How a scene is written.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The name of the default prim, which holds everything.
    pub root_name: String,
    /// The default prim's kind: `assembly`, `group`, `component`.
    pub kind: String,
    /// Time codes in a second, for what is baked.
    pub time_codes_per_second: f64,
    /// Whether entities that share a mesh become instances of one prim. Otherwise each has its own copy.
    pub instances: bool,
    /// Whether cameras are written.
    pub cameras: bool,
    /// Whether lights are written.
    pub lights: bool,
}

impl Default for ExportOptions {
    fn default() -> Self {
        Self {
            root_name: "World".to_owned(),
            kind: "assembly".to_owned(),
            time_codes_per_second: 24.0,
            instances: true,
            cameras: true,
            lights: true,
        }
    }
}

/// What of a world is exported, and how.
///
/// ```no_run
/// # use bevy::prelude::*;
/// # use studio_scene::export::{ExportError, UsdExport};
/// fn save(world: &World, chair: Entity) -> Result<(), ExportError> {
///     UsdExport::subtree(chair).export(world)?.write("chair.usdz")
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct UsdExport {
    /// The entity that is exported with all below it; `None` for all there are.
    pub root: Option<Entity>,
    /// How.
    pub options: ExportOptions,
}

impl UsdExport {
    /// All entities with a transform.
    pub fn scene() -> Self {
        Self::default()
    }

    /// An entity and all below it, placed as it is in its parent.
    pub fn subtree(root: Entity) -> Self {
        Self { root: Some(root), ..Self::default() }
    }

    /// The same with other options.
    pub fn with_options(self, options: ExportOptions) -> Self {
        Self { options, ..self }
    }

    /// Makes a layer of the world as it is.
    ///
    /// # Errors
    /// [`ExportError`] if an entity cannot be written.
    pub fn export(&self, world: &World) -> Result<ExportedScene, ExportError> {
        UsdBake { export: self.clone(), frames: Recording::default() }.finish(world)
    }
}

/// Records a world's movement: transforms, visibility, lights, cameras and the weights of morph targets.
///
/// Call [`UsdBake::record`] once for each frame, then [`UsdBake::finish`].
#[derive(Clone, Debug)]
pub struct UsdBake {
    export: UsdExport,
    frames: Recording,
}

impl UsdBake {
    /// A bake without any frame yet.
    pub fn new(export: UsdExport) -> Self {
        Self { export, frames: Recording::default() }
    }

    /// Records the world as it is for a time code, which has to be later than the last one.
    ///
    /// # Errors
    /// [`ExportError::Time`] if it is not, [`ExportError::Despawned`] if the root is gone.
    pub fn record(&mut self, world: &World, time_code: f64) -> Result<(), ExportError> {
        self.frames.record(world, &self.export, time_code)
    }

    /// How many frames have been recorded.
    pub fn frame_count(&self) -> usize {
        self.frames.frame_count()
    }

    /// Makes a layer. Shapes and looks are those of the world now, movement is what has been recorded; without any, the world as it is.
    /// An entity that was there in some frames only is invisible in the others.
    ///
    /// # Errors
    /// [`ExportError`] if an entity cannot be written, or was recorded and is gone.
    pub fn finish(&self, world: &World) -> Result<ExportedScene, ExportError> {
        scene::export(world, &self.export, &self.frames)
    }
}

#[cfg(test)]
mod tests;
