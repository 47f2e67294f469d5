//! Lens models, rigs, stitching, optical flow and frame synthesis, on the GPU.

pub mod flow;
pub mod lens;
pub mod rig;
pub mod stitch;
pub mod synthesis;
