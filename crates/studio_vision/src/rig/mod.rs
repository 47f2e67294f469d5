//! Rigs: which lenses look where, and where their pictures are.
//!
//! A [`Rig`] is an asset kept in a text file (`.rig.ron`). Projects of Hugin (`.pto`) and stitchEm (`.ptv`), lens profiles of Gyroflow,
//! camera chains of Kalibr and OpenCV calibrations can be read too ([`Rig::from_bytes`] tells them apart). [`PreparedRig`] is a checked rig
//! that can compute.
//!
//! The rig's frame is like a lens's: x right, y down, z forward. **Yaw** turns to the right, **pitch** up, **roll**
//! clockwise as seen from behind, applied in this order from the outside in, as in Hugin.

mod error;
mod file;
mod geometry;
mod gyroflow;
mod kalibr;
mod opencv;
mod pto;
mod ptv;
#[cfg(test)]
mod tests;

pub use error::RigError;
pub use file::{MAX_FILE_BYTES, RigLoader};
pub use geometry::{LensSample, PreparedLens, PreparedRig};
pub(crate) use kalibr::is_chain;
pub use opencv::{OpenCvCamera, OpenCvModel};
pub(crate) use opencv::{camera_of, parse_json, read_entries};

use crate::lens::Lens;
use bevy::{
    math::{DMat3, DQuat, EulerRot},
    prelude::*,
};
use serde::{Deserialize, Serialize};

/// The most lenses (and the most pictures) a rig may have.
pub const MAX_LENSES: usize = 16;

/// A direction to look in, in degrees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct YawPitchRoll {
    /// To the right.
    pub yaw_deg: f64,
    /// Up.
    pub pitch_deg: f64,
    /// Clockwise, as seen from behind.
    pub roll_deg: f64,
}

impl YawPitchRoll {
    /// A direction from its three angles in degrees.
    pub const fn new(yaw_deg: f64, pitch_deg: f64, roll_deg: f64) -> Self {
        Self { yaw_deg, pitch_deg, roll_deg }
    }

    /// The rotation that turns what looks straight ahead into this direction.
    pub fn matrix(self) -> DMat3 {
        DMat3::from_rotation_y(self.yaw_deg.to_radians())
            * DMat3::from_rotation_x(self.pitch_deg.to_radians())
            * DMat3::from_rotation_z(self.roll_deg.to_radians())
    }

    /// The angles of a rotation: yaw and roll from −180 to 180, pitch from −90 to 90. The inverse of
    /// [`matrix`](Self::matrix).
    pub fn from_matrix(rotation: DMat3) -> Self {
        let (yaw, pitch, roll) = rotation.to_euler(EulerRot::YXZ);
        Self::new(yaw.to_degrees(), pitch.to_degrees(), roll.to_degrees())
    }
}

/// How a lens is turned in its rig.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub enum Orientation {
    /// By angles.
    Angles(YawPitchRoll),
    /// By a quaternion `(x, y, z, w)`, normalised when used.
    Quaternion([f64; 4]),
}

impl Default for Orientation {
    fn default() -> Self {
        Self::Angles(YawPitchRoll::default())
    }
}

impl Orientation {
    /// The rotation from the lens's frame to the rig's.
    pub fn rig_from_lens(&self) -> DMat3 {
        match self {
            Self::Angles(angles) => angles.matrix(),
            Self::Quaternion(xyzw) => DMat3::from_quat(DQuat::from_array(*xyzw).normalize()),
        }
    }
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PixelRect {
    /// Left and top.
    pub min: [f64; 2],
    /// Right and bottom, outside of the rectangle.
    pub max: [f64; 2],
}

/// The part of a lens's picture that is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
pub enum Crop {
    /// All of the lens's region.
    #[default]
    Full,
    /// The image circle.
    Circle {
        /// Centre in pixels.
        center_px: [f64; 2],
        /// Radius in pixels.
        radius_px: f64,
    },
    /// A rectangle.
    Rectangle(PixelRect),
}

/// How the lens darkens towards its edge: `1 + a ρ² + b ρ⁴ + c ρ⁶` of the light of the centre arrives, with
/// `ρ = r / radius_px` from the principal point (Hugin's Vb, Vc, Vd).
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vignetting {
    /// Coefficients of ρ², ρ⁴ and ρ⁶.
    pub coefficients: [f64; 3],
    /// The radius in pixels where ρ is 1; Hugin's is half of the picture's diagonal.
    pub radius_px: f64,
}

/// What to do to a lens's colours so that they match its neighbours'.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exposure {
    /// Brightens by this many stops, −8 to 8.
    pub gain_ev: f64,
    /// Factors of red, green and blue light, 0.1 to 10.
    pub white_balance: [f64; 3],
}

impl Default for Exposure {
    fn default() -> Self {
        Self { gain_ev: 0.0, white_balance: [1.0; 3] }
    }
}

/// One of the pictures that a rig delivers, at the size that its lenses' pixels are given in. A picture of another size
/// but the same shape is fine: all pixels scale.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigPicture {
    /// Width and height in pixels.
    pub size_px: [u32; 2],
}

/// A lens, where it looks, and where its picture is.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RigLens {
    /// What people call it.
    pub name: String,
    /// Index of the picture that it is in.
    #[serde(default)]
    pub picture: u32,
    /// The part of the picture that belongs to this lens; nothing outside of it is ever read for it. `None` is all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<PixelRect>,
    /// The intrinsics, in pixels of the whole picture.
    pub lens: Lens,
    /// Where it looks.
    #[serde(default)]
    pub orientation: Orientation,
    /// Where it stands in the rig's frame, in metres. Counts only if the stitch has a finite distance.
    #[serde(default)]
    pub translation_m: [f64; 3],
    /// The part of its picture that is good.
    #[serde(default)]
    pub crop: Crop,
    /// How it darkens towards its edge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vignetting: Option<Vignetting>,
    /// Colour correction.
    #[serde(default)]
    pub exposure: Exposure,
}

impl RigLens {
    /// A lens that looks ahead from where the rig stands, with all of its picture good and its colours as they are.
    pub fn new(name: impl Into<String>, picture: u32, lens: Lens) -> Self {
        Self {
            name: name.into(),
            picture,
            region: None,
            lens,
            orientation: Orientation::default(),
            translation_m: [0.0; 3],
            crop: Crop::Full,
            vignetting: None,
            exposure: Exposure::default(),
        }
    }
}

/// Cameras that look around from (nearly) one place: up to 16 lenses in up to 16 pictures.
#[derive(Asset, Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rig {
    /// What people call it.
    pub name: String,
    /// The pictures, in the order in which the stitch gets them.
    pub pictures: Vec<RigPicture>,
    /// The lenses.
    pub lenses: Vec<RigLens>,
}

impl Rig {
    /// A camera with two ideal equidistant lenses back to back, side by side in one picture of `size_px`, each circle
    /// showing `fov_deg` degrees and touching the edges of its half.
    pub fn dual_fisheye(size_px: [u32; 2], fov_deg: f64) -> Self {
        let (half, height) = (f64::from(size_px[0]) / 2.0, f64::from(size_px[1]));
        let diameter = half.min(height);
        let lens = |name: &str, left: f64, yaw_deg: f64| {
            let center_px = [left + half / 2.0, height / 2.0];
            RigLens {
                region: Some(PixelRect { min: [left, 0.0], max: [left + half, height] }),
                orientation: Orientation::Angles(YawPitchRoll::new(yaw_deg, 0.0, 0.0)),
                crop: Crop::Circle { center_px, radius_px: diameter / 2.0 },
                ..RigLens::new(name, 0, Lens::ideal(crate::lens::LensModel::Equidistant, fov_deg, diameter, center_px))
            }
        };
        Self {
            name: format!("dual fisheye {fov_deg}°"),
            pictures: vec![RigPicture { size_px }],
            lenses: vec![lens("front", 0.0, 0.0), lens("back", half, 180.0)],
        }
    }
}
