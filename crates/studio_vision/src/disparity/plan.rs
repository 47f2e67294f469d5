//! The sizes and numbers that the passes work with.

use super::{DisparityError, DisparityPaths, DisparityQuality, DisparitySettings};
use bevy::math::UVec2;

/// What follows from a picture's size and the settings.
#[derive(Clone, Debug, PartialEq)]
pub struct DisparityPlan {
    /// Size of one eye's picture, in pixels.
    pub picture_size: UVec2,
    /// Size at which pictures are matched, in pixels.
    pub size: UVec2,
    /// The smallest disparity, in pixels of that size.
    pub first: i32,
    /// How many disparities are tried, a multiple of 8.
    pub range: u32,
    /// Penalties of a small and a large change, and what the large one shrinks to.
    pub penalties: [u32; 3],
    /// How often costs are averaged over crosses.
    pub averagings: u32,
    /// The directions of the paths.
    pub directions: &'static [[i32; 2]],
    /// The rest, as it was asked for.
    pub settings: DisparitySettings,
}

/// The directions of the paths; each gathers from the pixels that it comes from.
const DIRECTIONS: [[i32; 2]; 8] = [[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1], [1, -1], [-1, 1]];
/// Costs that are not averaged are as much noisier: changes must be worth more.
const UNAVERAGED_PENALTY_FACTOR: u32 = 3;
/// Difference of luma from which the large penalty shrinks.
pub(super) const EDGE: i32 = 15;
/// The longest arm of a cross.
pub(super) const REACH: i32 = 11;
/// The largest difference of neighbours in one island, in sixteenths of a pixel.
pub(super) const ISLAND_STEP: i32 = 16;
/// What stands for no disparity.
pub(super) const HOLE: i32 = -1_000_000;

impl DisparityPlan {
    /// Checks the settings against the size of one eye's picture and fixes the working size.
    ///
    /// # Errors
    /// [`DisparityError`] for a picture below 32 pixels a side and for settings out of range.
    pub fn new(picture_size: UVec2, settings: &DisparitySettings) -> Result<Self, DisparityError> {
        let UVec2 { x: width, y: height } = picture_size;
        if picture_size.min_element() < DisparityError::MIN_SIDE_PX {
            return Err(DisparityError::PictureTooSmall { width, height });
        }
        let s = settings;
        let ranges = [
            ("working_width_px", i64::from(s.working_width_px), 32, 4096, "32 to 4096"),
            ("first_disparity_px", i64::from(s.first_disparity_px), -256, 256, "−256 to 256"),
            ("range_px", i64::from(s.range_px), 8, 256, "8 to 256"),
            ("small_penalty", i64::from(s.small_penalty), 0, 1000, "0 to 1000"),
            ("large_penalty", i64::from(s.large_penalty), i64::from(s.small_penalty), 1000, "the small penalty to 1000"),
            ("uniqueness_percent", i64::from(s.uniqueness_percent), 0, 90, "0 to 90"),
            ("left_right_px", i64::from(s.left_right_px), -1, 16, "−1 to 16"),
            ("speckle_px", i64::from(s.speckle_px), 0, 100_000, "0 to 100000"),
        ];
        for (field, value, least, most, range) in ranges {
            if !(least..=most).contains(&value) {
                return Err(DisparityError::Setting { field, value, range });
            }
        }
        let working_width = s.working_width_px.min(width);
        if s.wraps && s.first_disparity_px.unsigned_abs() + s.range_px.next_multiple_of(8) > working_width {
            let range = "at most the working width less the first disparity, where the picture's edges meet";
            return Err(DisparityError::Setting { field: "range_px", value: i64::from(s.range_px), range });
        }
        let working_height = (height as f32 * working_width as f32 / width as f32).round() as u32;
        let factor = if s.quality == DisparityQuality::Fast { UNAVERAGED_PENALTY_FACTOR } else { 1 };
        let large = s.large_penalty * factor;
        Ok(Self {
            picture_size,
            size: UVec2::new(working_width, working_height.max(8)),
            first: s.first_disparity_px,
            range: s.range_px.next_multiple_of(8),
            penalties: [s.small_penalty * factor, large, (2 * s.small_penalty * factor).min(large)],
            averagings: match s.quality {
                DisparityQuality::Fast => 0,
                DisparityQuality::Balanced => 1,
                DisparityQuality::High => 2,
            },
            directions: match s.paths {
                DisparityPaths::Four => &DIRECTIONS[..4],
                DisparityPaths::Eight => &DIRECTIONS,
            },
            settings: *settings,
        })
    }

    /// Pixels at the working size.
    pub fn pixels(&self) -> u64 {
        u64::from(self.size.x) * u64::from(self.size.y)
    }

    /// Bytes of the largest buffer: the sums of all paths, two bytes a disparity.
    pub fn largest_buffer_bytes(&self) -> u64 {
        self.pixels() * u64::from(self.range) * 2
    }

    /// Makes the buffer that disparities come into.
    pub(super) fn disparity_buffer(&self, device: &wgpu::Device) -> wgpu::Buffer {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("disparities"),
            size: self.pixels() * 4,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }

    /// Checks that a GPU can hold it.
    pub(super) fn check_limits(&self, device: &wgpu::Device) -> Result<(), DisparityError> {
        let limits = device.limits();
        let limit = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let bytes = self.largest_buffer_bytes();
        if bytes <= limit {
            return Ok(());
        }
        let shrink = (limit as f64 / bytes as f64).sqrt();
        Err(DisparityError::TooMuch {
            width: self.size.x,
            height: self.size.y,
            range: self.range,
            mib: bytes >> 20,
            adapter: device.adapter_info().name,
            limit_mib: limit >> 20,
            most_width: (f64::from(self.size.x) * shrink) as u32,
        })
    }
}
