//! What a stage tells the rest of the program, and what the program asks of a stage.

use bevy::prelude::*;
use std::sync::Arc;

/// A stage is shown for the first time, or again after a change.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct UsdStageReady {
    /// The entity with [`UsdStageRoot`](super::UsdStageRoot).
    pub root: Entity,
    /// Whether it was shown before.
    pub again: bool,
}

/// A prim has come.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct UsdPrimAdded {
    /// The entity with [`UsdStageRoot`](super::UsdStageRoot).
    pub root: Entity,
    /// The prim's entity.
    pub entity: Entity,
    /// Its path.
    pub path: Arc<str>,
}

/// A prim's layers say something else of it, and its entity was changed.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct UsdPrimChanged {
    /// The entity with [`UsdStageRoot`](super::UsdStageRoot).
    pub root: Entity,
    /// The prim's entity: the same as before.
    pub entity: Entity,
    /// Its path.
    pub path: Arc<str>,
}

/// A prim has gone, and its entity with it.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct UsdPrimRemoved {
    /// The entity with [`UsdStageRoot`](super::UsdStageRoot).
    pub root: Entity,
    /// What was its entity.
    pub entity: Entity,
    /// Its path.
    pub path: Arc<str>,
}

/// Asks for a change of a stage while it is shown. The answer is a new stage below the root, with the entities of all prims that are still
/// there, or [`UsdStageStatus::Failed`](super::UsdStageStatus).
///
/// Nothing is written to a file: it is the session that changes. When a layer is loaded again, what was asked for holds still.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
pub struct UsdRequest {
    /// The entity with [`UsdStageRoot`](super::UsdStageRoot).
    pub root: Entity,
    /// The change.
    pub change: UsdChange,
}

/// A change of a stage while it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsdChange {
    /// Chooses a variant.
    SelectVariant {
        /// The path of the prim with the variant set.
        prim: String,
        /// The set.
        set: String,
        /// The variant; empty for none.
        variant: String,
    },
    /// Loads the payloads of a prim and all below it.
    LoadPayload {
        /// The path of the prim.
        prim: String,
    },
    /// Unloads them.
    UnloadPayload {
        /// The path of the prim.
        prim: String,
    },
    /// Shows only these prims, their ancestors and what is below them; all if empty.
    SetMask {
        /// Paths of prims.
        prims: Vec<String>,
    },
    /// Mutes a layer, so that it says nothing, or no longer does.
    MuteLayer {
        /// The layer's identifier, as the report has it.
        layer: String,
        /// Whether it is muted.
        muted: bool,
    },
    /// Shows the live stage as it is now, after it was edited.
    Refresh,
}
