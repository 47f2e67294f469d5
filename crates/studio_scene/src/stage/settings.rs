//! How a stage is loaded and shown.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use studio_usd::{
    open::{Budget, OpenOptions, Payloads, VariantChoice},
    snapshot::Purpose,
};

/// How a stage is loaded and shown: settings of [`UsdStageLoader`](super::UsdStageLoader).
///
/// ```
/// # use bevy::prelude::*;
/// # use studio_scene::stage::{UsdLoadSettings, UsdStage, UsdStageRoot};
/// fn show(mut commands: Commands, assets: Res<AssetServer>) {
///     let stage: Handle<UsdStage> =
///         assets.load_builder().with_settings(|settings: &mut UsdLoadSettings| settings.refine_level = 2).load("teapot.usda");
///     commands.spawn(UsdStageRoot(stage));
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsdLoadSettings {
    /// Which payloads are loaded.
    pub payloads: UsdPayloads,
    /// Only these prims, their ancestors and what is below them are composed; all if empty.
    pub mask: Vec<String>,
    /// Variants chosen on top of what the layers choose.
    pub variants: Vec<VariantChoice>,
    /// Identifiers of layers that say nothing.
    pub muted_layers: Vec<String>,
    /// How often surfaces are refined: each level has four times the faces. At most [`UsdLoadSettings::MAX_REFINE_LEVEL`].
    pub refine_level: u8,
    /// What is drawn.
    pub purposes: UsdPurposes,
    /// Limits.
    pub budget: UsdSceneBudget,
}

impl UsdLoadSettings {
    /// The highest level of refinement.
    pub const MAX_REFINE_LEVEL: u8 = 5;
}

impl UsdLoadSettings {
    /// The same for the composer.
    pub(super) fn open_options(&self) -> OpenOptions {
        let budget = &self.budget;
        OpenOptions {
            budget: Budget {
                layer_bytes: budget.max_file_bytes,
                total_bytes: budget.max_total_bytes,
                layers: budget.max_layers,
                prims: budget.max_prims,
                open_time: Duration::from_secs(budget.max_seconds.into()),
                ..Budget::default()
            },
            load_payloads: match &self.payloads {
                UsdPayloads::All => Payloads::All,
                UsdPayloads::None => Payloads::None,
                UsdPayloads::Of(prims) => Payloads::Of(prims.clone()),
            },
            mask: self.mask.clone(),
            variants: self.variants.clone(),
            muted_layers: self.muted_layers.clone(),
            ..OpenOptions::default()
        }
    }
}

impl Default for UsdLoadSettings {
    fn default() -> Self {
        Self {
            payloads: UsdPayloads::All,
            mask: Vec::new(),
            variants: Vec::new(),
            muted_layers: Vec::new(),
            refine_level: 0,
            purposes: UsdPurposes::default(),
            budget: UsdSceneBudget::default(),
        }
    }
}

/// Which payloads are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsdPayloads {
    /// All.
    #[default]
    All,
    /// None; each can be loaded later ([`UsdChange::LoadPayload`](super::UsdChange::LoadPayload)).
    None,
    /// Those of these prims, of what is above them, and of all below them.
    Of(Vec<String>),
}

/// What is drawn, besides what is for all purposes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsdPurposes {
    /// What is for the final picture.
    pub render: bool,
    /// What stands for heavy things.
    pub proxy: bool,
    /// Aids for people who edit.
    pub guide: bool,
}

impl Default for UsdPurposes {
    fn default() -> Self {
        Self { render: true, proxy: false, guide: false }
    }
}

impl UsdPurposes {
    /// Whether something for a purpose is drawn.
    pub fn show(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Default => true,
            Purpose::Render => self.render,
            Purpose::Proxy => self.proxy,
            Purpose::Guide => self.guide,
        }
    }
}

/// Limits on what a stage may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsdSceneBudget {
    /// Bytes of one file.
    pub max_file_bytes: u64,
    /// Bytes of all layers.
    pub max_total_bytes: u64,
    /// Layers.
    pub max_layers: usize,
    /// Prims, those of instances counted once each.
    pub max_prims: usize,
    /// Entities below a root, with those of instances and of copies by point instancers. What is beyond is left out, with a warning.
    pub max_entities: usize,
    /// Bytes of all textures with their mipmaps; what comes when they are full is made smaller.
    pub max_texture_bytes: u64,
    /// Seconds that composing may take.
    pub max_seconds: u32,
}

impl Default for UsdSceneBudget {
    fn default() -> Self {
        Self {
            max_file_bytes: 2 << 30,
            max_total_bytes: 4 << 30,
            max_layers: 10_000,
            max_prims: 2_000_000,
            max_entities: 500_000,
            max_texture_bytes: 2 << 30,
            max_seconds: 120,
        }
    }
}
