//! What comes back from the GPU.

use super::{FlowError, FlowPlan};
use bevy::prelude::*;
use studio_frame::{
    motion::{MotionField, MotionVector},
    stamp::FrameStamp,
};

/// How well the motion explains the picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect)]
pub struct FlowStats {
    /// Mean absolute luma difference to the previous frame where nothing is moved, 0..1.
    pub residual_still: f32,
    /// The same where the previous frame is moved along the flow, 0..1.
    pub residual_moved: f32,
}

impl FlowStats {
    /// Whether the frame most likely shows another scene than the one before: motion explains little of a large
    /// difference. Then the field is better not used.
    pub fn is_scene_cut(&self) -> bool {
        self.residual_moved > 0.06 && self.residual_moved > 0.4 * self.residual_still
    }
}

/// Words before the cells in the grid buffer.
pub(super) const HEADER_WORDS: usize = 4;
/// Units of a residual in the full range of luma, as in `flow_reduce.wgsl`.
const RESIDUAL_UNITS: f32 = 4096.0;

impl FlowPlan {
    /// Bytes of the grid buffer: a header of 16 bytes and 4 bytes a cell.
    pub fn readback_bytes(&self) -> usize {
        (HEADER_WORDS + (self.grid.x * self.grid.y) as usize) * size_of::<u32>()
    }

    /// Reads the bytes of the grid buffer, as a readback brought them.
    ///
    /// # Errors
    /// [`FlowError::ReadbackSize`] if there are more or fewer bytes than [`readback_bytes`](Self::readback_bytes).
    pub fn motion_field(
        &self,
        stamp: FrameStamp,
        previous_frame_id: u64,
        bytes: &[u8],
    ) -> Result<(MotionField, FlowStats), FlowError> {
        if bytes.len() != self.readback_bytes() {
            return Err(FlowError::ReadbackSize { expected: self.readback_bytes(), got: bytes.len() });
        }
        let mut words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let mut next = || words.next().unwrap_or_default();
        let [still, moved, counted, _] = [next(), next(), next(), next()];
        let per_cell = 1.0 / (RESIDUAL_UNITS * counted.max(1) as f32);
        let stats = FlowStats { residual_still: still as f32 * per_cell, residual_moved: moved as f32 * per_cell };
        let vectors = words.map(|word| MotionVector { x: word as u16 as i16, y: (word >> 16) as u16 as i16 }).collect();
        let field = MotionField {
            stamp,
            previous_frame_id,
            picture_size: self.picture_size,
            grid: self.grid,
            wraps: self.wraps,
            vectors,
        };
        Ok((field, stats))
    }
}
