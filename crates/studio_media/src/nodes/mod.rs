//! The media nodes: sources, encoder and recorder as entities of the graph.

mod encoder;
mod recorder;
mod source;

pub use encoder::VideoEncoder;
pub use recorder::{Recorder, RecorderStatus};
pub use source::SourceStats;

use crate::capture::{CameraInput, StillInput, TestPatternInput, VideoFileInput};
use bevy::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Adds the media nodes: [`CameraInput`], [`VideoFileInput`], [`StillInput`], [`TestPatternInput`], [`VideoEncoder`],
/// [`Recorder`].
pub struct StudioMediaPlugin;

impl Plugin for StudioMediaPlugin {
    fn build(&self, app: &mut App) {
        source::add_source::<CameraInput>(app);
        source::add_source::<VideoFileInput>(app);
        source::add_source::<StillInput>(app);
        source::add_source::<TestPatternInput>(app);
        app.add_gpu_node::<VideoEncoder, _>(encoder::run_video_encoder)
            .add_systems(Update, encoder::follow_motion.in_set(StudioSystems::Send));
        recorder::add_recorder(app);
    }
}
