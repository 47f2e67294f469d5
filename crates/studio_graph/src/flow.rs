//! How nodes take part in the graph: bypassed, frozen, solo, watched, and how they wait for their inputs.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// The node is left out: each of its outputs delivers what comes into its first connected input of the same type. An output
/// without such an input delivers nothing.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[reflect(Component, Default)]
pub struct Bypass;

/// The node does not run and holds what it made last.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[reflect(Component, Default)]
pub struct Freeze;

/// While any node is solo, only solo nodes run, and those that feed them.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[reflect(Component, Default)]
pub struct Solo;

/// Something outside of the graph looks at the node's outputs (a preview, a viewer, a test), so it runs even though no link
/// takes what it makes. Nodes without outputs need no such mark.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[reflect(Component, Default)]
pub struct Watched;

/// How a node with several inputs waits for them. Offline, `Latest` is `Match`, and `Match` waits for longer.
#[derive(Component, Reflect, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[reflect(Component, Default)]
pub enum JoinPolicy {
    /// Waits until every input has something new, but no longer than 50 ms; then it takes the late ones' last frames, and
    /// waits for those no more until they deliver again: a picture that stays holds nothing up.
    #[default]
    Match,
    /// Runs as soon as any input has something new.
    Latest,
    /// Waits until every input has something new, however long that takes.
    Wait,
}

/// On nodes of kinds that take whichever input is new, such as a switch: `Match`, the default, is `Latest` there.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakesLatest;
