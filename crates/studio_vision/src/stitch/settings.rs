//! What to make of a rig, and what can go wrong.

use super::{StitchView, bands::BANDS};
use crate::{
    flow::FlowError,
    rig::{RigError, YawPitchRoll},
};
use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// How pictures become one where lenses overlap.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchBlend {
    /// Each pixel from the lens that sees it farthest from its picture's edge. The seam is softened over a few pixels.
    Nearest,
    /// Lenses fade into each other across the seam.
    Feather {
        /// How wide the fade is, in degrees, 0 to 90. Where the overlap is narrower, the fade is as wide as the overlap.
        width_deg: f32,
    },
    /// Coarse differences fade over a wide band, fine details over a narrow one, so that neither an edge nor a double image shows
    /// (Burt and Adelson, 1983). For pictures without gaps: the sphere, half of it, one fisheye, or a flat picture.
    MultiBand {
        /// How many bands, 2 to 8: the finest is of details below 16 pixels, each further one of details twice as large. The lenses' overlap
        /// should be as wide as the coarsest. The width of a whole sphere should be a multiple of 8 · 2^(bands − 1) pixels, for its edges
        /// to meet in all bands.
        bands: u32,
    },
}

impl Default for StitchBlend {
    fn default() -> Self {
        Self::Feather { width_deg: 5.0 }
    }
}

/// How lenses of unequal exposure and colour are brought together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchExposure {
    /// As the rig says.
    Fixed,
    /// A gain of red, green and blue for each lens, by what neighbours see of the same, over time.
    #[default]
    Lens,
    /// The same, and beside it a coarse grid of gains over each lens's picture: for lenses that differ in vignetting, flare or tint.
    Blocks {
        /// How many gains in a row and in a column, 2 to 16. 6 is a good choice.
        side: u32,
    },
}

/// Where lenses meet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchSeams {
    /// Where both see equally deep into their pictures.
    #[default]
    Fixed,
    /// Where both see the same and nothing moves: around people and things near by, as far as the overlap is wide. Holds still where nothing
    /// changes. All of the overlap is drawn from both lenses.
    Adaptive,
}

/// How pictures are read between their pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchSampling {
    /// From the four nearest pixels, in proportion: quick, a little soft.
    #[default]
    Linear,
    /// Catmull-Rom over 16 pixels (Keys, 1981), in nine reads of the GPU's sampler: details stay sharp. Chroma planes, which have half the size,
    /// are read linearly.
    Cubic,
}

/// How what lenses see of the same is brought together where they stand apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StitchAlignment {
    /// As the calibration says, for a scene at [`StitchSettings::distance_m`]: what is nearer or farther shows twice, or is cut.
    #[default]
    Fixed,
    /// The optical flow between neighbouring lenses is found in their overlap in every frame, and both are bent towards each other. What is
    /// at another distance meets itself there. Where the flow cannot be trusted, nothing is bent. Needs lenses whose rows are read at
    /// the same time: with a rolling shutter that is put right it does nothing.
    Flow {
        /// The largest parallax that is made up for, in degrees, 0.1 to 45; never more than three eighths of an overlap's width. What is farther
        /// apart stays as it is. 10 is a good choice.
        max_disparity_deg: f32,
    },
}

impl StitchAlignment {
    /// The largest parallax to be made up for in degrees; none where nothing is bent.
    pub(super) fn max_disparity_deg(self) -> Option<f32> {
        match self {
            Self::Fixed => None,
            Self::Flow { max_disparity_deg } => Some(max_disparity_deg),
        }
    }
}

impl StitchExposure {
    /// Gains in a row of a lens.
    pub(super) fn side(self) -> u32 {
        match self {
            Self::Blocks { side } => side,
            Self::Fixed | Self::Lens => 1,
        }
    }
}

/// What to make of a rig's pictures.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StitchSettings {
    /// What kind of picture to write.
    pub view: StitchView,
    /// Width and height of the picture in pixels.
    pub size_px: [u32; 2],
    /// Where in the rig's frame the middle of the view looks: levels a horizon, moves a virtual camera.
    pub orientation: YawPitchRoll,
    /// How lenses are blended.
    pub blend: StitchBlend,
    /// Where lenses meet.
    pub seams: StitchSeams,
    /// How the lenses' pictures are read between their pixels.
    pub sampling: StitchSampling,
    /// How what lenses see of the same is brought together where they stand apart.
    pub alignment: StitchAlignment,
    /// How lenses of unequal exposure and colour are brought together.
    pub exposure: StitchExposure,
    /// How long gains take to follow a change, in seconds, 0 to 60: after this time 63 % of it is made up for.
    pub exposure_settle_s: f32,
    /// How far away the scene is, in metres, for lenses that do not stand in one place; `None` is infinitely far.
    pub distance_m: Option<f32>,
}

impl Default for StitchSettings {
    fn default() -> Self {
        Self {
            view: StitchView::Equirectangular,
            size_px: [3840, 1920],
            orientation: YawPitchRoll::default(),
            blend: StitchBlend::default(),
            seams: StitchSeams::default(),
            sampling: StitchSampling::default(),
            alignment: StitchAlignment::default(),
            exposure: StitchExposure::default(),
            exposure_settle_s: 1.0,
            distance_m: None,
        }
    }
}

impl StitchSettings {
    /// An equirectangular picture of a size, everything else by default.
    pub fn equirectangular(width_px: u32, height_px: u32) -> Self {
        Self { size_px: [width_px, height_px], ..Self::default() }
    }

    /// Checks that every number is finite and in its range.
    ///
    /// # Errors
    /// [`StitchError::Setting`] with the setting's name.
    pub fn validate(&self) -> Result<(), StitchError> {
        let fail = |setting, reason| Err(StitchError::Setting { setting, reason });
        if self.size_px.iter().any(|side| !(1..=32768).contains(side)) {
            return fail("size_px", format!("is {}×{}: both sides must be 1 to 32768 pixels", self.size_px[0], self.size_px[1]));
        }
        let YawPitchRoll { yaw_deg, pitch_deg, roll_deg } = self.orientation;
        if [yaw_deg, pitch_deg, roll_deg].iter().any(|angle| !angle.is_finite() || angle.abs() > 1e6) {
            return fail("orientation", format!("{:?} must be finite numbers", self.orientation));
        }
        if let StitchBlend::Feather { width_deg } = self.blend
            && !(0.0..=90.0).contains(&width_deg)
        {
            return fail("blend.width_deg", format!("is {width_deg}: it must be 0 to 90 degrees"));
        }
        if let StitchBlend::MultiBand { bands } = self.blend {
            if !BANDS.contains(&bands) {
                return fail("blend.bands", format!("is {bands}: it must be {} to {}", BANDS.start(), BANDS.end()));
            }
            if matches!(self.view, StitchView::CubeMap | StitchView::DualFisheye { .. } | StitchView::RigPicture { .. }) {
                let reason = "is MultiBand, which needs a picture without gaps: choose Feather, or the view Equirectangular, \
                              HalfEquirectangular, Fisheye or Rectilinear";
                return fail("blend", reason.to_owned());
            }
        }
        if let StitchExposure::Blocks { side } = self.exposure
            && !(2..=16).contains(&side)
        {
            return fail("exposure.side", format!("is {side}: it must be 2 to 16"));
        }
        if let StitchAlignment::Flow { max_disparity_deg } = self.alignment
            && !(0.1..=45.0).contains(&max_disparity_deg)
        {
            return fail("alignment.max_disparity_deg", format!("is {max_disparity_deg}: it must be 0.1 to 45 degrees"));
        }
        if !(0.0..=60.0).contains(&self.exposure_settle_s) {
            return fail("exposure_settle_s", format!("is {}: it must be 0 to 60 seconds", self.exposure_settle_s));
        }
        if let Some(distance) = self.distance_m
            && !(0.01..=1e6).contains(&distance)
        {
            return fail("distance_m", format!("is {distance}: it must be 0.01 to 1000000 metres, or none"));
        }
        self.view.validate()
    }
}

/// Why there is no stitched picture.
#[derive(Debug, thiserror::Error)]
pub enum StitchError {
    /// The rig is unusable.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// A setting is out of range.
    #[error("the stitch setting {setting} {reason}")]
    Setting {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// More or fewer pictures than the rig has.
    #[error(
        "the rig “{rig}” takes {expected} pictures, got {got}: connect one input for each picture of the rig, or choose the rig of this camera"
    )]
    PictureCount {
        /// The rig.
        rig: String,
        /// Pictures of the rig.
        expected: usize,
        /// Pictures given.
        got: usize,
    },
    /// A picture has another shape than the rig says.
    #[error(
        "picture {index} is {width}×{height}, but the rig “{rig}” is for pictures shaped like {rig_width}×{rig_height}: choose the rig of \
         this camera and mode"
    )]
    PictureShape {
        /// The rig.
        rig: String,
        /// Which picture.
        index: usize,
        /// Width of the picture given.
        width: u32,
        /// Height of the picture given.
        height: u32,
        /// Width that the rig says.
        rig_width: u32,
        /// Height that the rig says.
        rig_height: u32,
    },
    /// The output picture does not fit.
    #[error(
        "the stitch writes an RGBA picture of {width}×{height}, not {format} of {got_width}×{got_height}: make it with StitchPass::output_picture"
    )]
    Output {
        /// Width to be written.
        width: u32,
        /// Height to be written.
        height: u32,
        /// Format given.
        format: String,
        /// Width given.
        got_width: u32,
        /// Height given.
        got_height: u32,
    },
    /// The flow between lenses cannot be found.
    #[error(transparent)]
    Flow(#[from] FlowError),
    /// The GPU cannot hold what is needed.
    #[error(transparent)]
    Gpu(#[from] studio_gpu::device::GpuError),
}
