//! USD stages as entities: loading, showing, changing, playing.
//!
//! ```no_run
//! use bevy::prelude::*;
//! use studio_scene::stage::{UsdPlugin, UsdStageRoot};
//!
//! fn main() {
//!     App::new().add_plugins((DefaultPlugins, UsdPlugin)).add_systems(Startup, set_up).run();
//! }
//!
//! fn set_up(mut commands: Commands, assets: Res<AssetServer>) {
//!     commands.spawn(UsdStageRoot(assets.load("teapot.usda")));
//! }
//! ```
//!
//! | what | where |
//! |---|---|
//! | files | [`UsdStageLoader`] reads them through Bevy's asset server, with [`UsdLoadSettings`], and makes a [`UsdStage`] |
//! | entities | below an entity with [`UsdStageRoot`]: one for each prim ([`UsdPrim`], [`UsdPrimInfo`], [`UsdVariants`], [`UsdAttributes`]) |
//! | state | [`UsdStageStatus`] on the root; [`UsdStageReady`], [`UsdPrimAdded`], [`UsdPrimChanged`], [`UsdPrimRemoved`] as messages |
//! | changes | [`UsdRequest`]: variants, payloads, mask, layers |
//! | time | [`UsdTime`] on the root |
//!
//! **What is shared.** Instances are entities of their own, below each instance, with the paths of its own copy ([`UsdInstanceProxy`]); their
//! meshes and materials are one of each. So it is with the copies of point instancers ([`UsdPointInstance`]). Bevy draws what shares a mesh
//! and a material in batches.
//!
//! **What a change touches.** When a layer is saved or a variant chosen, the stage is composed anew beside the one that is shown, and then
//! compared with it. Entities are known by path: prims that are the same keep their entities, with all that others put on them, and their
//! meshes; of prims that changed, what changed; those that are gone are despawned with all below them.
//!
//! **What it costs.** A stage in which nothing moves costs nothing: systems look at what was marked as changed. One that plays costs what
//! moves in it.

mod animate;
mod asset;
mod components;
mod contents;
mod drawn;
mod framing;
mod live;
mod loader;
mod message;
mod prepare;
mod project;
mod settings;
mod source;
mod surface;
mod time;
mod transform;

pub use asset::UsdStage;
pub use components::{
    UsdAttributes, UsdInstanceProxy, UsdJoint, UsdPart, UsdPointInstance, UsdPrim, UsdPrimInfo, UsdShearFrame, UsdSheared,
    UsdStageRoot, UsdStageSpace, UsdStageStatus, UsdVariants,
};
pub use framing::{bounds_below, frame};
pub(crate) use live::Changing;
pub use loader::{UsdLoadError, UsdStageLoader};
pub use message::{UsdChange, UsdPrimAdded, UsdPrimChanged, UsdPrimRemoved, UsdRequest, UsdStageReady};
pub use project::UsdStageEntities;
pub(crate) use project::{PrimTransforms, ValueTargets};
pub use settings::{UsdLoadSettings, UsdPayloads, UsdPurposes, UsdSceneBudget};
pub use time::UsdTime;

use crate::look::LookPlugin;
use bevy::{
    asset::io::file::FileAssetReader, mesh::skinning::SkinnedMeshInverseBindposes, prelude::*, transform::TransformSystems,
};

/// When stages are worked on.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsdSystems {
    /// In `PreUpdate`: requests are taken, stages that were loaded or changed are shown, time goes on.
    Show,
    /// In `PostUpdate`, before transforms are propagated: what changes over time is set to the time shown.
    Animate,
}

/// Loads, shows and plays USD stages. Add it after `DefaultPlugins` (or at least `AssetPlugin`).
///
/// It renders nothing itself: Bevy's PBR does, where it is there. Without a stage it costs nothing but a few looks at empty queues.
pub struct UsdPlugin;

impl Plugin for UsdPlugin {
    fn build(&self, app: &mut App) {
        // Without rendering, as on a server or in a test, stages are there all the same.
        init_asset::<Mesh>(app);
        init_asset::<Image>(app);
        init_asset::<StandardMaterial>(app);
        init_asset::<SkinnedMeshInverseBindposes>(app);
        if !app.is_plugin_added::<LookPlugin>() {
            app.add_plugins(LookPlugin);
        }
        let folder =
            app.get_added_plugins::<AssetPlugin>().first().map(|plugin| FileAssetReader::get_base_path().join(&plugin.file_path));
        let loaded = loader::LoadedStages::default();
        let loader = UsdStageLoader::new(app.world().resource::<AssetServer>().clone(), folder, loaded.clone());
        app.insert_resource(loaded);
        app.init_asset::<UsdStage>()
            .register_asset_loader(loader)
            .init_resource::<project::PendingRoots>()
            .init_resource::<animate::PendingCopies>()
            .init_resource::<Changing>()
            .add_message::<UsdRequest>()
            .add_message::<UsdStageReady>()
            .add_message::<UsdPrimAdded>()
            .add_message::<UsdPrimChanged>()
            .add_message::<UsdPrimRemoved>()
            .add_systems(
                PreUpdate,
                (
                    live::take_requests.run_if(on_message::<UsdRequest>),
                    live::make_changes.run_if(Changing::any),
                    project::find_changed_roots,
                    project::project_pending.run_if(project::PendingRoots::any),
                    time::advance_time,
                )
                    .chain()
                    .in_set(UsdSystems::Show),
            )
            .add_systems(
                PostUpdate,
                (animate::animate, animate::copy_anew.run_if(animate::PendingCopies::any))
                    .chain()
                    .in_set(UsdSystems::Animate)
                    .before(TransformSystems::Propagate),
            );
    }
}

fn init_asset<A: Asset>(app: &mut App) {
    if !app.world().contains_resource::<Assets<A>>() {
        app.init_asset::<A>();
    }
}
