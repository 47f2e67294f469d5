//! Why a frame cannot be made.

use bevy::math::UVec2;
use studio_frame::{format::PixelFormat, motion::MotionField};

/// Why a frame cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SynthesisError {
    /// A field with no cells, too many, or another number of vectors than cells.
    #[error(
        "a motion field of {columns}×{rows} cells with {vectors} vectors cannot be used: it needs one vector a cell and 1 to {max} cells",
        max = MotionField::MAX_CELLS
    )]
    Field {
        /// Columns of the field.
        columns: u32,
        /// Rows of the field.
        rows: u32,
        /// Vectors of the field.
        vectors: usize,
    },
    /// A field measured in a picture without pixels.
    #[error("the motion field was measured in a picture of {0}×{1} pixels: its picture size must be at least 1×1")]
    FieldPicture(u32, u32),
    /// A grid longer than a texture may be.
    #[error("the motion field is {longest} cells long, but the GPU's textures hold at most {limit}: use a coarser grid")]
    FieldTooLong {
        /// Its longer side in cells.
        longest: u32,
        /// The longest side of a texture.
        limit: u32,
    },
    /// Pictures of different sizes.
    #[error("the pictures differ in size: previous {previous}, current {current}, made {made}; all three must be equal")]
    Sizes {
        /// Size of the previous picture in pixels.
        previous: UVec2,
        /// Size of the current picture in pixels.
        current: UVec2,
        /// Size of the picture to make in pixels.
        made: UVec2,
    },
    /// A target that is not RGBA.
    #[error("frames are made as Rgba8, not {0:?}: make the target with GpuPicture::rgba")]
    Target(PixelFormat),
    /// A phase that is no number or too far away.
    #[error("the phase is {0}: it must lie between 0 (previous picture) and 2 (one frame after the current picture)")]
    Phase(f32),
}
