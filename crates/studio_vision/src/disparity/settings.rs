//! What the disparity can be asked for, and how it says no.

use crate::stitch::{StMapError, StitchError};
use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use studio_gpu::device::GpuError;

/// How much work goes into the matching costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum DisparityQuality {
    /// Each pixel's own cost: for software Vulkan beside other work.
    Fast,
    /// Costs averaged over each pixel's cross of like colour.
    #[default]
    Balanced,
    /// Averaged twice.
    High,
}

/// The directions along which costs are gathered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum DisparityPaths {
    /// Along rows and columns.
    Four,
    /// Along the diagonals too: twice the work, fewer streaks where there is little texture.
    #[default]
    Eight,
}

/// What [`DisparityPass`](super::DisparityPass) should compute.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub struct DisparitySettings {
    /// Width at which pictures are matched, in pixels, from 32; the height follows the picture's shape. Narrower pictures are
    /// matched at their own width.
    #[reflect(@32..=4096_u32)]
    pub working_width_px: u32,
    /// The smallest disparity, in pixels of the working width, −256 to 256: 0 is what lies infinitely far before parallel cameras,
    /// below it what lies beyond the point at which cameras are turned towards each other.
    #[reflect(@-256..=256_i32)]
    pub first_disparity_px: i32,
    /// How many disparities are tried, 8 to 256; rounded up to a multiple of 8. The largest tells how near things may come.
    #[reflect(@8..=256_u32)]
    pub range_px: u32,
    /// How much work goes into the costs.
    pub quality: DisparityQuality,
    /// The directions along which costs are gathered.
    pub paths: DisparityPaths,
    /// What a change of disparity by one from pixel to pixel costs (P₁), 0 to 1000; a pixel's own cost is 0 to 100.
    #[reflect(@0..=1000_u32)]
    pub small_penalty: u32,
    /// What a larger change costs (P₂), at least the small penalty, up to 1000. Across an edge of the picture it shrinks, down to
    /// twice the small penalty.
    #[reflect(@0..=1000_u32)]
    pub large_penalty: u32,
    /// By how many percent the best disparity must be better than any other, or there is a hole; 0 to 90.
    #[reflect(@0..=90_u32)]
    pub uniqueness_percent: u32,
    /// How many pixels the disparities found from the left and from the right may differ, or there is a hole; below 0 does not
    /// compare them. −1 to 16.
    #[reflect(@-1..=16_i32)]
    pub left_right_px: i32,
    /// Islands of fewer pixels become holes; 0 keeps all. 0 to 100000.
    #[reflect(@0..=100_000_u32)]
    pub speckle_px: u32,
    /// Whether holes are filled from the background beside them.
    pub fill_holes: bool,
    /// Whether the left and right edges of the pictures meet, as in an equirectangular one. [`DepthPass`](super::DepthPass) knows it
    /// from the projection.
    #[reflect(ignore)]
    pub wraps: bool,
}

impl Default for DisparitySettings {
    fn default() -> Self {
        Self {
            working_width_px: 640,
            first_disparity_px: 0,
            range_px: 64,
            quality: DisparityQuality::default(),
            paths: DisparityPaths::default(),
            small_penalty: 6,
            large_penalty: 60,
            uniqueness_percent: 5,
            left_right_px: 1,
            speckle_px: 60,
            fill_holes: true,
            wraps: false,
        }
    }
}

/// Why there is no disparity.
#[derive(Debug, thiserror::Error)]
pub enum DisparityError {
    /// A picture too small to match.
    #[error("stereo matching needs pictures of at least {min}×{min} pixels, this one is {width}×{height}: feed it larger ones", min = DisparityError::MIN_SIDE_PX)]
    PictureTooSmall {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A setting out of range.
    #[error("the disparity's {field} is {value}: choose {range}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// Its value.
        value: i64,
        /// What is allowed.
        range: &'static str,
    },
    /// Left and right differ in size.
    #[error(
        "the left picture is {left_width}×{left_height} and the right one {right_width}×{right_height}: both eyes must have the same size"
    )]
    SizesDiffer {
        /// Width of the left picture.
        left_width: u32,
        /// Height of the left picture.
        left_height: u32,
        /// Width of the right picture.
        right_width: u32,
        /// Height of the right picture.
        right_height: u32,
    },
    /// Pictures of another size than the pass was made for.
    #[error(
        "the disparity was made for pictures of {expected_width}×{expected_height} and got {width}×{height}: make a new pass when the size changes"
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
    /// The GPU's buffers cannot hold all the costs.
    #[error(
        "matching {width}×{height} pixels at {range} disparities takes buffers of {mib} MiB, and {adapter} holds at most {limit_mib}: \
         choose a working width of at most {most_width}, or fewer disparities"
    )]
    TooMuch {
        /// Working width.
        width: u32,
        /// Working height.
        height: u32,
        /// Disparities.
        range: u32,
        /// Size of the largest buffer.
        mib: u64,
        /// The adapter.
        adapter: String,
        /// What it holds.
        limit_mib: u64,
        /// The width that would fit.
        most_width: u32,
    },
    /// The cameras and the pictures do not fit each other.
    #[error("{0}")]
    Geometry(String),
    /// A rectifying map could not be made.
    #[error(transparent)]
    Map(#[from] StMapError),
    /// A picture could not be drawn through a map.
    #[error(transparent)]
    Remap(#[from] StitchError),
    /// The calibration cannot be used.
    #[error(transparent)]
    Rig(#[from] crate::rig::RigError),
    /// The GPU cannot hold the textures.
    #[error(transparent)]
    Gpu(#[from] GpuError),
}

impl DisparityError {
    /// The smallest side of a picture, in pixels.
    pub const MIN_SIDE_PX: u32 = 32;

    pub(super) fn sizes_differ(left: UVec2, right: UVec2) -> Self {
        Self::SizesDiffer { left_width: left.x, left_height: left.y, right_width: right.x, right_height: right.y }
    }
}
