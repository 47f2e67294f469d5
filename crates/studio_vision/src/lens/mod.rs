//! Lens models: from a direction to a pixel and back.
//!
//! Directions are in the lens's own frame: **x right, y down, z forward** (the convention of OpenCV). Pixels are in the
//! picture's frame with the origin at the top left *corner* of the picture, so that the centre of the first pixel is
//! (0.5, 0.5); calibrations that count from the first pixel's centre (OpenCV) are half a pixel less.
//!
//! [`Lens`] is what a file says; [`LensProjector`] is the same, checked and ready to compute.

mod model;
mod projector;
#[cfg(test)]
mod tests;

pub use model::{Lens, LensError, LensModel, PanoRadial};
pub use projector::LensProjector;
