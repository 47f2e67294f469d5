//! Cameras.

use super::Sampled;
use glam::Vec2;

/// A camera. It looks along -Z, Y is up. Apertures and focal length are in tenths of a unit (so they are millimetres where a unit is a
/// centimetre), as USD has them; only their ratio matters for what is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Whether it is orthographic; then the apertures say how much is seen.
    pub orthographic: bool,
    /// Focal length, tenths of a unit.
    pub focal_length: Sampled<f32>,
    /// Film width, tenths of a unit.
    pub horizontal_aperture: Sampled<f32>,
    /// Film height, tenths of a unit.
    pub vertical_aperture: Sampled<f32>,
    /// How far the film is moved to the right, tenths of a unit.
    pub horizontal_aperture_offset: Sampled<f32>,
    /// How far the film is moved up, tenths of a unit.
    pub vertical_aperture_offset: Sampled<f32>,
    /// Nearest and farthest, units.
    pub clipping_range: Sampled<Vec2>,
    /// f-number; 0 means that everything is in focus.
    pub f_stop: Sampled<f32>,
    /// Distance in focus, units.
    pub focus_distance: Sampled<f32>,
    /// Stops: the picture is brighter by two to their power.
    pub exposure: Sampled<f32>,
    /// When the shutter opens and closes, in time codes about the frame's.
    pub shutter: (f64, f64),
    /// Which eye it stands for.
    pub stereo_role: StereoRole,
}

/// Which eye a camera stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StereoRole {
    /// Both.
    #[default]
    Mono,
    /// The left one.
    Left,
    /// The right one.
    Right,
}
