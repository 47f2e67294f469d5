//! The graph meets the stage: a stage is a node, and so are prims of it.
//!
//! `UsdScene` loads a stage and shows it. `SceneModel`, `SceneCamera` and `SceneLight` each stand for a prim of it: their settings say where
//! it is and how bright, in the stage's own units, and both sides follow each other. Settings that are still the kind's defaults say
//! nothing, so that a new node takes the place of its prim and not the other way round.

mod prims;
mod scene;

pub use prims::{SceneCamera, SceneLight, SceneModel, ScenePlace};
pub use scene::{PrimNodes, SceneLayer, SceneOf, UsdScene};

use bevy::prelude::*;

pub(super) fn add(app: &mut App) {
    scene::add(app);
    prims::add(app);
}
