//! Nodes that change and compose pictures.
//!
//! Each takes pictures of any pixel format, makes one RGBA picture in one dispatch, and hands stamp, projection and stereo
//! layout on. Colours are gamma-coded R′G′B′ with straight alpha; encoders do not look at alpha.
//!
//! | module | nodes |
//! |---|---|
//! | [`transform`] | [`Transform2d`](transform::Transform2d), [`Crop`](transform::Crop) |
//! | [`blend`] | [`Blend`](blend::Blend): a layer over a base |
//! | [`switch`] | [`Switch`](switch::Switch): one of several, with a transition |
//! | [`color`] | [`ColorCorrection`](color::ColorCorrection) |
//! | [`text`] | [`TextOverlay`](text::TextOverlay) |
//! | [`pass`] | what they share |

pub mod blend;
pub mod color;
pub mod pass;
mod raster;
pub mod switch;
pub mod text;
pub mod transform;

use bevy::prelude::*;
use studio_gpu::prelude::*;

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{
        StudioEffectsPlugin,
        blend::{Blend, BlendMode, LayerPlace},
        color::ColorCorrection,
        switch::{Switch, Transition},
        text::{TextAnchor, TextOverlay},
        transform::{Crop, Transform2d},
    };
}

/// Adds the nodes of this crate. Needs the GPU driver's plugin before it.
pub struct StudioEffectsPlugin;

impl Plugin for StudioEffectsPlugin {
    fn build(&self, app: &mut App) {
        app.add_gpu_node::<transform::Transform2d, _>(transform::run_transform)
            .add_gpu_node::<transform::Crop, _>(transform::run_crop)
            .add_gpu_node::<blend::Blend, _>(blend::run_blend)
            .add_gpu_node::<switch::Switch, _>(switch::run_switch)
            .add_gpu_node::<color::ColorCorrection, _>(color::run_color_correction)
            .add_gpu_node::<text::TextOverlay, _>(text::run_text);
    }
}
