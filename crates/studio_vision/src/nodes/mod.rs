//! The vision nodes: stitching, motion, depth, generated frames.

mod disparity;
mod disparity_network;
mod flow;
mod flow_network;
mod stabilise;
mod stitch;
mod synthesis;
#[cfg(test)]
mod tests;

pub use disparity::Disparity;
pub use flow::OpticalFlow;
pub use stabilise::Stabilise;
pub use stitch::{RollingShutter, Stitch};
pub use synthesis::{FrameSynthesis, SynthesisCounts, SynthesisMode};

use bevy::prelude::*;
use studio_gpu::prelude::*;

/// Adds the vision nodes: [`Stitch`], [`OpticalFlow`], [`Disparity`], [`FrameSynthesis`], [`Stabilise`].
pub struct StudioVisionPlugin;

impl Plugin for StudioVisionPlugin {
    fn build(&self, app: &mut App) {
        stitch::add_stitch(app);
        app.add_gpu_node::<OpticalFlow, _>(flow::run_optical_flow);
        app.add_gpu_node::<Disparity, _>(disparity::run_disparity);
        app.add_gpu_node::<Stabilise, _>(stabilise::run_stabilise);
        synthesis::add_synthesis(app);
    }
}
