//! The media nodes: sources, encoder and recorder as entities of the graph.

mod audio;
mod audio_mixer;
mod audio_output;
mod encoder;
mod recorder;
mod source;

pub use audio::AudioEncoder;
pub use audio_mixer::AudioMixer;
pub use audio_output::{AudioOutput, AudioOutputStats};
pub use encoder::VideoEncoder;
pub use recorder::{Recorder, RecorderStatus};
pub use source::SourceStats;

use crate::capture::{CameraInput, StillInput, TestPatternInput, VideoFileInput};
use bevy::{
    prelude::*,
    render::{ExtractSchedule, RenderApp},
};
use studio_gpu::{driver::GpuNodes, prelude::*};
use studio_graph::prelude::*;

/// Adds the media nodes: [`CameraInput`], [`VideoFileInput`], [`StillInput`], [`TestPatternInput`], [`VideoEncoder`],
/// [`Recorder`], and for sound [`AudioFileInput`](crate::audio::AudioFileInput), [`MicrophoneInput`](crate::audio::MicrophoneInput),
/// [`ToneInput`](crate::audio::ToneInput), [`AudioMixer`], [`AudioEncoder`], [`AudioOutput`].
pub struct StudioMediaPlugin;

impl Plugin for StudioMediaPlugin {
    fn build(&self, app: &mut App) {
        source::add_source::<CameraInput>(app);
        source::add_source::<VideoFileInput>(app);
        source::add_source::<StillInput>(app);
        source::add_source::<TestPatternInput>(app);
        app.add_gpu_node::<VideoEncoder, _>(encoder::run_video_encoder)
            .add_systems(Update, encoder::follow_motion.in_set(StudioSystems::Send));
        if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
            render_app
                .init_resource::<encoder::EncoderStates>()
                .add_systems(ExtractSchedule, encoder::close_encoders.run_if(resource_exists::<GpuNodes>));
        }
        audio::add_sound_nodes(app);
        audio_output::add_audio_output(app);
        recorder::add_recorder(app);
    }
}
