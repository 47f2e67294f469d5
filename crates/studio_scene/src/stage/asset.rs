//! A stage as an asset.

use super::{contents::StageContents, settings::UsdLoadSettings};
use bevy::prelude::*;
use std::sync::Arc;
use studio_usd::{host::StageHost, open::Issue, snapshot::StageSnapshot};

/// A composed stage: an asset, loaded from `.usd`, `.usda`, `.usdc` and `.usdz` files. Show it with [`UsdStageRoot`](super::UsdStageRoot).
///
/// All its layers and textures are watched where Bevy watches assets (`AssetPlugin::watch_for_changes_override`): when one of them changes,
/// the stage is loaded again, and what is shown of it changes where it has to. A layer that cannot be read then leaves the stage as it was.
#[derive(Asset, TypePath, Clone)]
pub struct UsdStage {
    pub(super) contents: Arc<StageContents>,
    pub(super) host: Arc<StageHost>,
}

impl UsdStage {
    /// The stage as plain data.
    pub fn snapshot(&self) -> &Arc<StageSnapshot> {
        &self.contents.snapshot
    }

    /// What went wrong, and what could not be shown as it is written, with layer and line where they are known.
    pub fn issues(&self) -> &[Issue] {
        &self.contents.issues
    }

    /// How it was loaded.
    pub fn settings(&self) -> &UsdLoadSettings {
        &self.contents.settings
    }

    /// The live stage, on a thread of its own.
    ///
    /// Variants, payloads, masks and muted layers are better asked for with a [`UsdRequest`](super::UsdRequest), which shows the result too.
    pub fn host(&self) -> &Arc<StageHost> {
        &self.host
    }
}
