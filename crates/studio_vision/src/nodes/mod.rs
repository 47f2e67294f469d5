//! The vision nodes: stitching, motion, generated frames.

mod flow;
mod stitch;
mod synthesis;

pub use flow::OpticalFlow;
pub use stitch::Stitch;
pub use synthesis::{FrameSynthesis, SynthesisCounts, SynthesisMode};

use bevy::prelude::*;
use studio_gpu::prelude::*;

/// Adds the vision nodes: [`Stitch`], [`OpticalFlow`], [`FrameSynthesis`].
pub struct StudioVisionPlugin;

impl Plugin for StudioVisionPlugin {
    fn build(&self, app: &mut App) {
        stitch::add_stitch(app);
        app.add_gpu_node::<OpticalFlow, _>(flow::run_optical_flow);
        synthesis::add_synthesis(app);
    }
}
