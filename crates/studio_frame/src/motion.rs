//! Motion fields: dense flow reduced to one vector a grid cell.

use crate::stamp::FrameStamp;
use bevy::prelude::*;
use std::sync::Arc;

/// How the content of one grid cell moved since the previous frame, in 1/16 pixel.
///
/// `x` grows to the right, `y` down. The content now at `p` was at `p - motion` in the previous frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(C)]
pub struct MotionVector {
    /// Horizontal motion in 1/16 pixel.
    pub x: i16,
    /// Vertical motion in 1/16 pixel.
    pub y: i16,
}

impl MotionVector {
    /// Units of a vector in one pixel.
    pub const UNITS_PER_PIXEL: f32 = 16.0;

    /// Rounds a motion in pixels to the nearest vector; values out of range saturate at ±2048 pixels, NaN becomes 0.
    pub fn from_pixels(motion_px: Vec2) -> Self {
        let scaled = (motion_px * Self::UNITS_PER_PIXEL).round();
        Self { x: scaled.x as i16, y: scaled.y as i16 }
    }

    /// The motion in pixels.
    pub fn to_pixels(self) -> Vec2 {
        Vec2::new(f32::from(self.x), f32::from(self.y)) / Self::UNITS_PER_PIXEL
    }
}

/// The motion of one frame against the frame before it.
///
/// Computed once a frame; the encoder side, the datagrams, the viewer's frame generation and temporal filters all read
/// this same field.
#[derive(Component, Clone, Debug)]
pub struct MotionField {
    /// The frame whose content moved.
    pub stamp: FrameStamp,
    /// `frame_id` of the frame it moved from; the frame's own where there is none (the first frame, a scene cut).
    pub previous_frame_id: u64,
    /// Size of the picture that the vectors are measured in, in pixels.
    pub picture_size: UVec2,
    /// Columns and rows of the grid; cell `(i, j)` covers the picture's share `i/columns..(i+1)/columns`.
    pub grid: UVec2,
    /// Whether the left and right edges of the picture meet (equirectangular).
    pub wraps: bool,
    /// The vectors, row by row from the top left.
    pub vectors: Arc<[MotionVector]>,
}

impl MotionField {
    /// The largest grid accepted from outside, in cells: enough for 7680×3840 in 8-pixel cells.
    pub const MAX_CELLS: u32 = 960 * 480;

    /// The vector of a cell; zero outside of the grid.
    pub fn at(&self, column: u32, row: u32) -> MotionVector {
        if column >= self.grid.x || row >= self.grid.y {
            return MotionVector::default();
        }
        self.vectors.get((row * self.grid.x + column) as usize).copied().unwrap_or_default()
    }

    /// Whether there is no frame that the content moved from: the first frame, or a scene cut.
    pub const fn starts_scene(&self) -> bool {
        self.previous_frame_id == self.stamp.frame_id
    }

    /// Mean length of the vectors in pixels.
    pub fn mean_speed_px(&self) -> f32 {
        let sum: f32 = self.vectors.iter().map(|vector| vector.to_pixels().length()).sum();
        sum / self.vectors.len().max(1) as f32
    }
}
