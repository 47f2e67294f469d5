//! A lens's model from pictures of a board.

mod detect;
mod dictionary;
mod intrinsics;
mod layout;
mod markers;
mod pose;
mod print;
mod spread;

pub use detect::{BoardCorner, find_board};
pub use dictionary::MarkerDictionary;
pub use intrinsics::{BoardModel, LensCalibration, ViewReport, calibrate_lens};
pub use layout::{Board, BoardMarkers};
