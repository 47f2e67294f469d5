//! USD stages within budgets: opening, composing, plain snapshots of them, live edits, writing. No rendering, no Bevy.
//!
//! Composition is `openusd`'s. Its stages stay on one thread; what leaves that thread is a [`snapshot`], plain data that any thread may
//! read: every prim with its transform, geometry, look and time samples, in the stage's own units and axes.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod extract;
pub mod host;
pub mod open;
pub mod snapshot;
pub mod write;
