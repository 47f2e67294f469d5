//! Calibration: what a rig's lenses are like and where they look, from boards and from what overlapping pictures have in common.
//!
//! - [`refine_rig`] finds the same things in the pictures of neighbouring lenses and turns the lenses until they agree.
//! - [`calibrate_lens`] finds a lens's model from pictures of a board: a checkerboard, or one with markers in its squares.
//! - [`adjust`] is the solver below the first, for control points that come from elsewhere.
//!
//! Pixels are at the rig's size, and the first pixel's centre is at a half. Everything runs on the CPU and is the same on every machine.

mod board;
mod bundle;
mod consensus;
mod error;
mod features;
mod frames;
mod matching;
mod overlap;
mod picture;
mod points;
mod refine;
mod report;
mod surface;
#[cfg(test)]
mod tests;

pub use board::{
    Board, BoardCorner, BoardMarkers, BoardModel, LensCalibration, MarkerDictionary, ViewReport, calibrate_lens, find_board,
};
pub use bundle::{Adjusted, BundleSettings, Free, Prior, adjust};
pub use error::CalibrateError;
pub use frames::SharpFrames;
pub use overlap::Disagreement;
pub use picture::GrayPicture;
pub use points::{ControlPoint, MAX_CONTROL_POINTS};
pub use refine::{LensReport, Match, RefineSettings, Refinement, Residuals, refine_rig};
pub use report::{draw_lens, draw_refinement};
pub use surface::Surface;

/// The largest side of a picture that is calibrated from, in pixels.
pub const MAX_SIDE_PX: u32 = 16384;
