//! Dense optical flow on the GPU, and the motion field it is reduced to.
//!
//! [`FlowPass`] compares each picture with the one before it, in these stages:
//!
//! 1. A pyramid of luma, softened by a Gaussian of half a pixel (all qualities but `Fast`).
//! 2. From the coarsest level to the finest, 8×8 patches slide down the gradient of their difference to the previous frame, without its
//!    mean, starting from the best of the coarser patches around them: Kroeger, Timofte, Dai and Van Gool, *Fast Optical Flow using Dense
//!    Inverse Search* (ECCV 2016).
//! 3. At each level the patches agree: each takes the weighted median of the motions around it, where the weights fall with difference of
//!    luma and with what a motion leaves unexplained. Without it a patch whose content is covered in the other frame, or which has no
//!    texture, takes whatever happens to look alike. Sun, Roth and Black, *Secrets of Optical Flow Estimation and Their Principles* (CVPR
//!    2010), filter the flow between warps so; on patches it costs a sixteenth.
//! 4. The finest patches are merged into one motion a pixel, weighted by how well each explains it.
//! 5. [`FlowQuality::High`] refines that: a median along the picture's edges and a robust step of Lucas and Kanade's take turns, as in Zach,
//!    Pock and Bischof, *A Duality Based Approach for Realtime TV-L1 Optical Flow* (DAGM 2007).
//! 6. With [`FlowSettings::both_ways`], the same from this frame to the previous one: where the two do not lead back to where they
//!    came from, the motion is not to be trusted (Sundaram, Brox and Keutzer, ECCV 2010).
//!
//! A picture whose left and right edges meet is treated as a ring throughout.
//!
//! The dense flow stays on the GPU. What leaves it is a grid of [`MotionVector`](studio_frame::motion::MotionVector)s with
//! two residuals, in one small buffer that a readback ring can copy.

pub(crate) mod compute;
mod network;
mod output;
mod pass;
mod plan;
mod readback;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod work;

pub use network::NetworkFlow;
pub use pass::FlowPass;
pub use plan::FlowPlan;
pub use readback::FlowStats;
pub use settings::{FlowError, FlowQuality, FlowSettings};
