//! A lens's model from pictures of a checkerboard.

mod detect;
mod intrinsics;
mod pose;

pub use detect::{Board, BoardCorner, find_board};
pub use intrinsics::{BoardModel, LensCalibration, ViewReport, calibrate_lens};
