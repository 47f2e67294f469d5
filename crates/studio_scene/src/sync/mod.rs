//! Keeping a stage, its entities and the graph in step.
//!
//! | what | where |
//! |---|---|
//! | an entity that is moved edits its prim, a prim that is edited moves its entity | [`UsdSync`] on the root |
//! | edits go to other processes and come from them | [`UsdShare`] on the root |
//! | the blueprint in the stage, and scenes as files that have one | [`blueprint`], [`BlueprintFormats`](studio_graph::blueprint::file::BlueprintFormats) |
//! | prims as nodes | [`nodes`] |
//!
//! **Within one update.** Whatever moved in `Update`, on either side, has reached the other before transforms are propagated.
//!
//! **No echo, no drift.** What the stage says is compared with where entities are; only what differs is written, and what was written is
//! read back from the composed stage. An entity that nobody moves is never written again, however often it makes the round.
//!
//! **Conflicts.** Of an entity that the program moved in the very update in which its prim was edited, the entity's place is written last and
//! holds. Where a layer that is stronger than the edited one has an opinion, the composed stage holds: the entity goes back there, and
//! [`UsdSyncReport`] says why. Between processes, the edit that arrives later holds, on both sides. When a file changes on disk, it wins
//! over edits of the same opinion; all other edits stay.

pub mod blueprint;
mod blueprint_file;
mod moves;
pub mod nodes;
mod share;

pub use moves::{SyncDirection, UsdSync, UsdSyncReport, UsdSyncSystems};
pub use share::{ShareError, UsdShare};

use bevy::prelude::*;

/// Keeps stages, their entities and the graph in step. Add it after [`UsdPlugin`](crate::stage::UsdPlugin).
pub struct UsdSyncPlugin;

impl Plugin for UsdSyncPlugin {
    fn build(&self, app: &mut App) {
        blueprint_file::add(app);
        moves::add(app);
        share::add(app);
        nodes::add(app);
    }
}
