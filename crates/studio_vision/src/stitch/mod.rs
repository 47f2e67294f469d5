//! Stitching: the pictures of a rig become one picture of everything around it, on the GPU.
//!
//! A [`StitchMap`] is worked out once for a rig, a view and an orientation: the picture is cut into square tiles, and
//! within a tile the way from an output pixel to a lens's pixel is a biquadratic polynomial through 3 × 3 exact points.
//! It stays within hundredths of a pixel of the lens model (measured when the map is made: [`StitchMap::max_error_px`]),
//! joins its neighbours without a step, costs a few multiplications a pixel, and needs no map to be fetched from memory. Nine
//! tiles in ten see one lens only; the others, in the overlap, carry weights on a coarse grid. A
//! [`StitchPass`] keeps the map on the GPU and draws the tiles: one resample a pixel, two in the overlap. A turn of the
//! view is a new map, which takes milliseconds.
//!
//! What neighbouring lenses see of the same is measured now and then ([`StitchPass::measure`]), and their exposures are brought together.
//!
//! Where lenses stand apart, what is near lies at different places in their pictures. [`StitchAlignment::Flow`] finds by how much, in every
//! frame, and bends both towards each other.
//!
//! An [`StMap`] in place of a rig is any other mapping, given pixel by pixel.

mod align;
mod bands;
mod crossfade;
mod gains;
mod glide;
mod gpu;
mod map;
mod nadir;
mod pass;
mod plan;
#[cfg(test)]
mod reference;
mod runs;
mod seams;
mod settings;
mod stmap;
#[cfg(test)]
mod tests;
mod tile;
mod view;
mod watch;
mod weights;

pub use crossfade::CrossfadePass;
pub use gains::LensHealth;
pub use glide::between;
pub(crate) use gpu::data_texture;
pub use map::StitchMap;
pub use nadir::{NadirFill, NadirPass};
pub use pass::StitchPass;
pub use plan::StitchPlan;
pub use settings::{StitchAlignment, StitchBlend, StitchError, StitchExposure, StitchSampling, StitchSeams, StitchSettings};
pub use stmap::{StMap, StMapError, StMapPass};
pub use view::StitchView;
pub use watch::StitchMeasurement;
