//! The stages of a studio frame in the main world.

use bevy::prelude::*;

/// The stages of a frame in [`Update`], in this order.
///
/// The GPU's share of a frame (upload, processing, scene rendering, present, the encoder's colour conversion) runs in the
/// render world afterwards; coded pictures leave from the encoders' own threads as soon as they exist.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StudioSystems {
    /// The graph is compiled if it changed.
    Compile,
    /// Sources start, stop and retry; captured and decoded frames are put on their output pins.
    Capture,
    /// Results of earlier GPU work (motion fields) are put on their output pins.
    Collect,
    /// Encoders, recorders and outputs start, stop and follow their settings; fields and packets are handed on.
    Send,
    /// Failures and statistics are written onto the nodes.
    Report,
}

pub(crate) fn configure(app: &mut App) {
    use StudioSystems::{Capture, Collect, Compile, Report, Send};
    app.configure_sets(Update, (Compile, Capture, Collect, Send, Report).chain());
}
