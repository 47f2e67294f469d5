//! The sizes the flow works at.

use super::{FlowError, FlowSettings};
use bevy::math::UVec2;
use studio_frame::motion::MotionField;
use studio_gpu::device::GpuError;

/// The sizes that follow from a picture's size and the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct FlowPlan {
    /// Size of the pictures, in pixels.
    pub picture_size: UVec2,
    /// Size of the dense flow, in pixels.
    pub flow_size: UVec2,
    /// Levels of the pyramid; the coarsest is at least 16 pixels a side.
    pub levels: u32,
    /// Columns and rows of the reduced grid.
    pub grid: UVec2,
    /// Whether the left and right edges meet.
    pub wraps: bool,
}

/// Shortest side of the coarsest level, in pixels: two patches.
const COARSEST_SIDE_PX: u32 = 16;

impl FlowPlan {
    /// Checks the settings against a picture's size and fixes the working sizes.
    ///
    /// # Errors
    /// [`FlowError`] for a picture or working width below 32 pixels a side and for a grid that does not fit.
    pub fn new(picture_size: UVec2, settings: &FlowSettings) -> Result<Self, FlowError> {
        let UVec2 { x: width, y: height } = picture_size;
        if picture_size.min_element() < FlowError::MIN_SIDE_PX {
            return Err(FlowError::PictureTooSmall { width, height });
        }
        if settings.working_width_px < FlowError::MIN_SIDE_PX {
            return Err(FlowError::WorkingWidthTooSmall(settings.working_width_px));
        }
        let grid = settings.grid;
        let cells = u64::from(grid.x) * u64::from(grid.y);
        if grid.min_element() == 0 || grid.cmpgt(picture_size).any() || cells > u64::from(MotionField::MAX_CELLS) {
            return Err(FlowError::Grid { columns: grid.x, rows: grid.y, width, height });
        }
        let working_width = settings.working_width_px.min(width);
        let working = picture_size.as_vec2() * (working_width as f32 / width as f32);
        let levels = (working.min_element() / COARSEST_SIDE_PX as f32).max(1.0).log2() as u32 + 1;
        // Every level is exactly half of the finer one, so that the seam lies on a texel's edge in all of them.
        let granule = 1 << (levels - 1);
        let rounded = (working / granule as f32).round().as_uvec2() * granule;
        Ok(Self { picture_size, flow_size: rounded.max(UVec2::splat(COARSEST_SIDE_PX)), levels, grid, wraps: settings.wraps })
    }

    /// The sizes where a network finds the flow: at its own size if it has one, else at the working width. Nothing is rounded, there are no
    /// levels.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn for_network(picture_size: UVec2, settings: &FlowSettings, network_size: Option<UVec2>) -> Result<Self, FlowError> {
        let plan = Self::new(picture_size, settings)?;
        let width = settings.working_width_px.min(picture_size.x);
        let height = (picture_size.y as f32 * width as f32 / picture_size.x as f32).round() as u32;
        Ok(Self { flow_size: network_size.unwrap_or(UVec2::new(width, height.max(COARSEST_SIDE_PX))), levels: 1, ..plan })
    }

    /// Checks that a GPU's textures can be as large.
    pub(super) fn check_limits(&self, device: &wgpu::Device) -> Result<(), FlowError> {
        let limit = device.limits().max_texture_dimension_2d;
        if self.flow_size.max_element() <= limit {
            return Ok(());
        }
        Err(GpuError::PictureTooLarge {
            what: "the flow's working size".to_owned(),
            width: self.flow_size.x,
            height: self.flow_size.y,
            adapter: "this GPU".to_owned(),
            limit,
        }
        .into())
    }

    /// Size of a level of the pyramid, in pixels; level 0 is the finest.
    pub fn level_size(&self, level: u32) -> UVec2 {
        self.flow_size >> level
    }
}
