//! Virtual cameras: one graph, seen through many headset profiles at once.
//!
//! A [`VirtualCamera`] names a profile. While it takes part in the graph, it has nodes of its own: an [`EyeView`] that makes the
//! eyes' pictures, a [`VideoEncoder`](studio_media::nodes::VideoEncoder), and a
//! [`WebTransportOutput`](studio_stream::nodes::WebTransportOutput). What lies before it (capture, stitch, flow) runs once, however
//! many cameras there are. A camera that is bypassed or removed takes its nodes with it: it costs nothing then.

mod eye_view;
mod follow;
mod motion;
pub mod pass;
#[cfg(test)]
mod tests;

pub use eye_view::{EyeView, EyeViewDrops};

use crate::plan::StreamPlan;
use bevy::prelude::*;
use studio_frame::prelude::*;
use studio_graph::prelude::*;
use studio_media::encode::EncoderPreset;

/// A viewer of the graph with a headset of its own: what comes in goes out as a stream that suits the headset's profile, over
/// WebTransport. Bypass it to switch it off while the others go on.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct VirtualCamera {
    /// Id of the headset's profile, such as `quest-3`; `neural-studio headsets` lists them.
    pub profile: String,
    /// Looking direction, degrees to the right.
    pub yaw_deg: f32,
    /// Looking direction, degrees up, from -90 to 90.
    #[reflect(@-90.0..=90.0_f32)]
    pub pitch_deg: f32,
    /// How far the view is tilted to the right, in degrees.
    pub roll_deg: f32,
    /// The largest width and height of the stream's picture in pixels; 0 where only the profile counts.
    pub max_size: UVec2,
    /// Frames a second of what comes in.
    #[reflect(@1.0..=1000.0_f32)]
    pub frame_rate_hz: f32,
    /// Coding standard; a profile that does not decode it is refused.
    pub codec: VideoCodec,
    /// `auto` (hardware if present, else software) or the name of a GStreamer element such as `x264enc`.
    pub provider: String,
    /// Speed against quality.
    pub preset: EncoderPreset,
    /// Most bits a second; 0 where only the profile counts.
    pub max_bitrate_bps: u32,
    /// Address and port to serve on, such as `0.0.0.0:4434`; port 0 takes a free one. Each camera has its own port.
    pub bind: String,
    /// The stream's name, the path of the viewers' link; empty for the profile's id.
    pub name: String,
    /// The host that viewers know this machine by, for their link.
    pub host: String,
    /// The word that viewers must know; `None` lets everyone in.
    pub token: Option<String>,
}

impl Default for VirtualCamera {
    fn default() -> Self {
        Self {
            profile: "generic-360".to_owned(),
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
            max_size: UVec2::ZERO,
            frame_rate_hz: 30.0,
            codec: VideoCodec::H264,
            provider: "auto".to_owned(),
            preset: EncoderPreset::default(),
            max_bitrate_bps: 0,
            bind: "127.0.0.1:0".to_owned(),
            name: String::new(),
            host: "127.0.0.1".to_owned(),
            token: None,
        }
    }
}

impl NodeKind for VirtualCamera {
    const DISPLAY_NAME: &'static str = "Virtual camera";
    const CATEGORY: &'static str = "Output";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("motion", DataType::MOTION_FIELD),
            PinSpec::input("audio", DataType::PACKET),
        ]
    }
}

/// What a [`VirtualCamera`] does now.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct CameraStatus {
    /// The stream that its profile gets, while it is on.
    pub plan: Option<StreamPlan>,
    /// The link for viewers, while it listens.
    pub viewer_link: Option<String>,
    /// Viewers now.
    pub viewers: usize,
}

/// The nodes of a camera, in the order of the frames' way: eyes, encoder, output. Despawned with it.
#[derive(Component, Default, Debug)]
#[relationship_target(relationship = OfCamera, linked_spawn)]
pub struct CameraNodes(Vec<Entity>);

/// The camera that a node belongs to.
#[derive(Component, Clone, Copy, Debug, PartialEq, Eq)]
#[relationship(relationship_target = CameraNodes)]
pub struct OfCamera(pub Entity);

pub(crate) fn plugin(app: &mut App) {
    app.register_node::<VirtualCamera>().add_observer(follow::switch_off_removed);
    eye_view::add_eye_view(app);
    app.add_systems(Update, motion::carry_motion.in_set(StudioSystems::Collect))
        .add_systems(Update, follow::follow_cameras.after(StudioSystems::Compile).before(StudioSystems::Capture))
        .add_systems(Update, follow::show_cameras.in_set(StudioSystems::Report));
}
