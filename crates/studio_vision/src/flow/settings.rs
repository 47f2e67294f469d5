//! What the flow can be asked for, and how it says no.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use studio_frame::motion::MotionField;
use studio_gpu::device::GpuError;

/// How much work goes into the flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum FlowQuality {
    /// Half of a patch's pixels and few steps: for software Vulkan beside other work. At equal width it takes two thirds of the time of
    /// `Balanced`.
    Fast,
    /// Whole patches in softened pictures.
    #[default]
    Balanced,
    /// The same with more agreement between patches, and the dense flow refined: four times as long.
    High,
}

/// What [`FlowPass`](super::FlowPass) should compute.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub struct FlowSettings {
    /// Width at which the flow is computed, in pixels, from 32; the height follows the picture's shape. Pictures that are
    /// narrower are computed at their own width, and both sides are rounded so that every level of the pyramid is exactly half
    /// of the finer one. A quarter to a half of the picture's width is a good choice.
    pub working_width_px: u32,
    /// How much work goes into it.
    pub quality: FlowQuality,
    /// Columns and rows of the reduced grid; at most [`MotionField::MAX_CELLS`] cells, and no more than pixels of the
    /// picture.
    pub grid: UVec2,
    /// Whether the left and right edges of the picture meet, as in an equirectangular one.
    pub wraps: bool,
    /// Whether the flow the other way is found too, which says how far each motion can be trusted
    /// ([`FlowPass::confidence_picture`](super::FlowPass::confidence_picture)), and keeps those that cannot be out of the grid. Twice
    /// the work.
    pub both_ways: bool,
}

impl Default for FlowSettings {
    fn default() -> Self {
        Self { working_width_px: 640, quality: FlowQuality::default(), grid: UVec2::new(40, 20), wraps: true, both_ways: false }
    }
}

/// Why there is no flow.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    /// A picture too small for a pyramid.
    #[error("the flow needs pictures of at least {min}×{min} pixels, this one is {width}×{height}: feed it a larger picture", min = FlowError::MIN_SIDE_PX)]
    PictureTooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A working width out of range.
    #[error("the flow's working width is {0} pixels: choose at least {min}", min = FlowError::MIN_SIDE_PX)]
    WorkingWidthTooSmall(u32),
    /// A grid without cells or with too many.
    #[error(
        "a motion grid of {columns}×{rows} cells does not fit a picture of {width}×{height} pixels: choose from 1×1 up to one cell a \
         pixel, and at most {max} cells", max = MotionField::MAX_CELLS
    )]
    Grid {
        /// Columns asked for.
        columns: u32,
        /// Rows asked for.
        rows: u32,
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
    },
    /// A picture of another size than the pass was made for.
    #[error(
        "the flow was made for {expected_width}×{expected_height} pixels and got {width}×{height}: make a new pass when the size changes"
    )]
    SizeChanged {
        /// Width the pass was made for.
        expected_width: u32,
        /// Height the pass was made for.
        expected_height: u32,
        /// Width of the picture.
        width: u32,
        /// Height of the picture.
        height: u32,
    },
    /// Bytes that are not what the pass's grid buffer holds.
    #[error("the motion grid takes {expected} bytes, got {got}: read back the whole grid buffer")]
    ReadbackSize {
        /// Bytes of the grid buffer.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// The GPU cannot hold the textures.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl FlowError {
    /// The smallest side of a picture and of the working size, in pixels.
    pub const MIN_SIDE_PX: u32 = 32;
}
