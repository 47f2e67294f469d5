//! What the cameras of rigs have in common.

use super::frustum::OffAxisProjection;
use bevy::{
    camera::RenderTarget,
    core_pipeline::tonemapping::{DebandDither, Tonemapping},
    light::cluster::{ClusterConfig, ClusterZConfig},
    prelude::*,
};

/// How light becomes a picture's colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum SceneToneMapping {
    /// Light is shown as it is and clips at white: unlit surfaces keep their exact colours.
    None,
    /// Reinhard's curve over luminance.
    Reinhard,
    /// The film-like curve of ACES, fitted.
    #[default]
    Aces,
}

/// Samples of each pixel, against jagged edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum SceneSamples {
    /// One sample.
    One,
    /// Two samples, where the GPU can.
    Two,
    /// Four samples.
    #[default]
    Four,
    /// Eight samples, where the GPU can.
    Eight,
}

impl From<SceneSamples> for Msaa {
    fn from(samples: SceneSamples) -> Self {
        match samples {
            SceneSamples::One => Self::Off,
            SceneSamples::Two => Self::Sample2,
            SceneSamples::Four => Self::Sample4,
            SceneSamples::Eight => Self::Sample8,
        }
    }
}

/// When surfaces are lit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect)]
pub enum SceneShading {
    /// Where they are drawn.
    #[default]
    Forward,
    /// Each pixel once, after all opaque objects are drawn, by a compute shader (see [`deferred`](super::deferred)). For scenes of
    /// many small triangles and lights, and for graphics processors made for computing. Each pixel has one sample then, whatever
    /// [`SceneLook::samples`] says.
    Deferred,
}

/// How the pictures of a scene look: the same for all cameras of a rig, so that their pictures fit together.
#[derive(Clone, Copy, Debug, PartialEq, Reflect)]
pub struct SceneLook {
    /// How light becomes colours.
    pub tone_mapping: SceneToneMapping,
    /// Samples of each pixel, where surfaces are lit as they are drawn.
    pub samples: SceneSamples,
    /// When surfaces are lit.
    pub shading: SceneShading,
    /// Whether light is kept in 16-bit floats until it is tone mapped. Backdrops and screens are then tone mapped too.
    pub hdr: bool,
    /// Colour where there is nothing.
    pub background: Color,
}

impl Default for SceneLook {
    fn default() -> Self {
        Self {
            tone_mapping: SceneToneMapping::default(),
            samples: SceneSamples::default(),
            shading: SceneShading::default(),
            hdr: false,
            background: Color::BLACK,
        }
    }
}

impl SceneLook {
    /// What a camera has of it, its background apart.
    pub fn components(&self) -> impl Bundle + use<> {
        let tonemapping = match self.tone_mapping {
            SceneToneMapping::None => Tonemapping::None,
            SceneToneMapping::Reinhard => Tonemapping::ReinhardLuminance,
            SceneToneMapping::Aces => Tonemapping::AcesFitted,
        };
        let samples = if self.shading == SceneShading::Deferred { SceneSamples::One } else { self.samples };
        // No dither: a picture of the same scene is the same picture, and seams would show a pattern that starts anew.
        (Msaa::from(samples), tonemapping, DebandDither::Disabled)
    }
}

/// A camera of a rig. Lights are sorted into clusters of a fixed number, so that two cameras of one shape may share the
/// description of their lights.
pub(super) fn film_camera(
    projection: OffAxisProjection,
    target: RenderTarget,
    order: isize,
    look: &SceneLook,
) -> impl Bundle + use<> {
    let camera = Camera { order, clear_color: ClearColorConfig::Custom(look.background), ..default() };
    let clusters =
        ClusterConfig::FixedZ { total: 4096, z_slices: 24, z_config: ClusterZConfig::default(), dynamic_resizing: false };
    (Camera3d::default(), camera, target, Projection::custom(projection), clusters)
}
