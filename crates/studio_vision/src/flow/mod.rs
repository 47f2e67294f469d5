//! Dense optical flow on the GPU, and the motion field it is reduced to.
//!
//! [`FlowPass`] compares each picture with the one before it. It follows the inverse-search scheme of Kroeger,
//! Timofte, Dai and Van Gool, *Fast Optical Flow using Dense Inverse Search* (ECCV 2016): from the coarsest level of a
//! luma pyramid to the finest, 8×8 patches slide down the gradient of their difference to the previous frame, starting
//! from the best of the coarser patches around them; the finest patches are then merged into one motion a pixel, weighted
//! by how well each explains it. [`FlowQuality::High`] and [`FlowQuality::Balanced`] also smooth the result along, not
//! across, the edges of the picture. A picture whose left and right edges meet is treated as a ring throughout.
//!
//! The dense flow stays on the GPU. What leaves it is a grid of [`MotionVector`](studio_frame::motion::MotionVector)s with
//! two residuals, in one small buffer that a readback ring can copy.

pub(crate) mod compute;
mod pass;
mod plan;
mod readback;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use pass::FlowPass;
pub use plan::FlowPlan;
pub use readback::FlowStats;
pub use settings::{FlowError, FlowQuality, FlowSettings};
