//! What can be wrong with a calibration.

use crate::rig::RigError;

/// Why a calibration has no result. What went wrong with a part of it, while the rest is good, is in the report.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// The rig is unusable.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// More or fewer pictures than the rig has.
    #[error("the rig “{rig}” has {expected} pictures, and {got} were given: give one for each, in the rig's order")]
    PictureCount {
        /// The rig.
        rig: String,
        /// Pictures of the rig.
        expected: usize,
        /// Pictures given.
        got: usize,
    },
    /// A picture has another shape than it should.
    #[error(
        "{picture} is {width}×{height}, but pictures shaped like {expected_width}×{expected_height} belong here: all must come from the same camera and mode"
    )]
    PictureShape {
        /// The picture.
        picture: String,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// The width that it should have, or a multiple.
        expected_width: u32,
        /// The height that it should have, or a multiple.
        expected_height: u32,
    },
    /// A picture is empty or huge.
    #[error("{picture} is {width}×{height}: both sides must be 16 to {} pixels", super::MAX_SIDE_PX)]
    PictureSize {
        /// The picture.
        picture: String,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// Nothing can be solved from what was found.
    #[error("{found} is too little to calibrate from: {reason}")]
    TooLittle {
        /// What was found.
        found: String,
        /// What is needed and what to do.
        reason: String,
    },
    /// A setting is out of range.
    #[error("{setting} {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The equations have no good solution.
    #[error(
        "the calibration did not converge ({reason}): the start is too far from the truth, or the pictures do not belong together"
    )]
    Diverged {
        /// What the solver said.
        reason: String,
    },
    /// A file's control points cannot be used.
    #[error("{file}: {reason}")]
    ControlPoints {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A picture cannot be written.
    #[error("the picture of residuals cannot be written: {0}")]
    Picture(#[from] image::ImageError),
}
