//! What can be wrong with a rig.

use crate::lens::LensError;

/// Why a rig cannot be used or read.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// No lens, or too many.
    #[error("the rig “{rig}” has {count} lenses: it must have 1 to {}", super::MAX_LENSES)]
    LensCount {
        /// The rig.
        rig: String,
        /// Lenses given.
        count: usize,
    },
    /// No picture, or too many.
    #[error("the rig “{rig}” has {count} pictures: it must have 1 to {}", super::MAX_LENSES)]
    PictureCount {
        /// The rig.
        rig: String,
        /// Pictures given.
        count: usize,
    },
    /// A picture without pixels, or a huge one.
    #[error("picture {index} of the rig “{rig}” is {width}×{height}: both sides must be 1 to 32768 pixels")]
    PictureSize {
        /// The rig.
        rig: String,
        /// Which picture.
        index: usize,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The intrinsics of a lens are unusable.
    #[error("lens {index} (“{name}”): {source}")]
    Lens {
        /// Which lens, from 0.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        source: LensError,
    },
    /// A field of a lens is unusable.
    #[error("lens {index} (“{name}”): {field} {reason}")]
    Field {
        /// Which lens, from 0.
        index: usize,
        /// Its name.
        name: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The file could not be read.
    #[error("cannot read {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than any rig.
    #[error("{file} is larger than {} KiB: this is no rig", super::MAX_FILE_BYTES / 1024)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// The file is not text.
    #[error("{file} is not text: a rig is a .rig.ron, .pto, .ptv, .json or .yaml file")]
    NotText {
        /// The file.
        file: String,
    },
    /// A place in a text file cannot be understood.
    #[error("{file}, line {line}: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// The file lacks something.
    #[error("{file}: {reason}")]
    Missing {
        /// The file.
        file: String,
        /// What is missing and what to do.
        reason: String,
    },
}
