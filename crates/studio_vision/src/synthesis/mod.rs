//! Frames that no camera took: the picture between two decoded pictures, from the motion between them.
//!
//! A stream's motion field travels beside its pictures, so a viewer can show more frames than were sent.
//! [`SynthesisPass`] warps both pictures to the moment in question and blends them; where the motion explains a pixel badly
//! it tries the cells around and no motion, and where the pictures still disagree, the nearer one stands alone. With a phase
//! beyond 1 it extrapolates from the newest picture, for when the next one is late.

mod error;
mod grid;
mod pass;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use error::SynthesisError;
pub use grid::MotionGrid;
pub use pass::{SynthesisInputs, SynthesisPass, SynthesisQuality};
