//! Lens models, rigs, stitching, stabilisation, optical flow, disparity and frame synthesis, on the GPU.

pub mod calibrate;
pub mod disparity;
pub mod flow;
pub mod lens;
pub mod network;
pub mod nodes;
mod pixels;
pub mod rig;
pub mod stabilise;
pub mod stitch;
pub mod synthesis;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        flow::FlowQuality,
        network::VisionProvider,
        nodes::{Disparity, FrameSynthesis, OpticalFlow, Stabilise, Stitch, StudioVisionPlugin, SynthesisMode},
        rig::Rig,
        stabilise::Smoothing,
        stitch::{StitchBlend, StitchSettings, StitchView},
    };
}
