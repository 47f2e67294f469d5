//! Lights, as `UsdLux` has them.

use super::Sampled;
use glam::Vec3;

/// A light. Its photometric meaning is `UsdLux`'s: `intensity * 2^exposure * color` is the luminance of its surface in nits (of a distant
/// light: the illuminance in lux is that times the solid angle of its disk), divided by the light's area if it is `normalize`d.
#[derive(Clone, Debug, PartialEq)]
pub struct Light {
    /// Which one, and how large.
    pub kind: LightKind,
    /// Brightness.
    pub intensity: Sampled<f32>,
    /// Brightness as a power of two on top.
    pub exposure: Sampled<f32>,
    /// Colour, linear.
    pub color: Sampled<Vec3>,
    /// Whether `color_temperature_k` colours it as well.
    pub enable_color_temperature: bool,
    /// Colour temperature in kelvin.
    pub color_temperature_k: Sampled<f32>,
    /// Whether brightness stays the same when the light grows.
    pub normalize: bool,
    /// How much diffuse surfaces get.
    pub diffuse: f32,
    /// How much highlights get.
    pub specular: f32,
    /// Whether it casts shadows (`ShadowAPI`).
    pub casts_shadows: bool,
    /// How it is kept to a cone (`ShapingAPI`).
    pub shaping: Option<LightShaping>,
}

/// Which light, and how large. Lights shine along -Z.
#[derive(Clone, Debug, PartialEq)]
pub enum LightKind {
    /// Far away.
    Distant {
        /// The angle it is seen under, in degrees.
        angle_deg: f32,
    },
    /// A ball.
    Sphere {
        /// Its radius.
        radius: f32,
        /// Whether it is to be taken for a point.
        treat_as_point: bool,
    },
    /// A disk.
    Disk {
        /// Its radius.
        radius: f32,
    },
    /// A rectangle.
    Rect {
        /// Along X.
        width: f32,
        /// Along Y.
        height: f32,
        /// The identifier of its texture, empty for none.
        texture: String,
    },
    /// A cylinder along X.
    Cylinder {
        /// Its length.
        length: f32,
        /// Its radius.
        radius: f32,
        /// Whether it is to be taken for a line.
        treat_as_line: bool,
    },
    /// The sky.
    Dome {
        /// The identifier of its texture, empty for none.
        texture: String,
        /// `automatic`, `latlong`, `mirroredBall`, `angular`, `cubeMapVerticalCross`.
        texture_format: String,
        /// The axis the picture's pole is on: Y for `DomeLight`, as `poleAxis` says for `DomeLight_1`.
        pole_is_stage_up: bool,
    },
    /// Known to USD, not to this: geometry lights, portals, plug-in lights.
    Other,
}

/// How a light is kept to a cone.
#[derive(Clone, Debug, PartialEq)]
pub struct LightShaping {
    /// Half the angle of the cone, in degrees.
    pub cone_angle_deg: f32,
    /// 0 is a hard edge.
    pub cone_softness: f32,
    /// How fast it falls off from the axis.
    pub focus: f32,
    /// The identifier of an IES profile, empty for none.
    pub ies_file: String,
}
