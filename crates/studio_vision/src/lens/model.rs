//! What is written down about a lens.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};

/// How far from the axis (angle θ) becomes how far from the picture's centre (radius r, in focal lengths).
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
pub enum LensModel {
    /// `r = θ`: most 180° to 220° lenses, and Hugin's “fisheye”.
    #[default]
    Equidistant,
    /// `r = 2 sin(θ/2)`: keeps areas.
    Equisolid,
    /// `r = 2 tan(θ/2)`: keeps angles.
    Stereographic,
    /// `r = sin θ`, at most 90° from the axis.
    Orthographic,
    /// `r = θ + k₁θ³ + k₂θ⁵ + k₃θ⁷ + k₄θ⁹`, OpenCV's fisheye model (Kannala and Brandt, “A generic camera model and
    /// calibration method for conventional, wide-angle, and fish-eye lenses”, PAMI 2006).
    KannalaBrandt {
        /// The coefficients k₁ to k₄.
        k: [f64; 4],
    },
    /// A flat picture (`r = tan θ`, less than 90° from the axis) with rational radial and tangential distortion, OpenCV's
    /// pinhole model (Brown, “Close-range camera calibration”, 1971). All zero is an ideal rectilinear lens.
    BrownConrady {
        /// The radial coefficients k₁ to k₆; k₄ to k₆ stand in the denominator.
        k: [f64; 6],
        /// The tangential coefficients p₁ and p₂.
        p: [f64; 2],
    },
}

/// The radial correction of Panorama Tools and Hugin: `r' = r (a ρ³ + b ρ² + c ρ + 1 − a − b − c)` with
/// `ρ = r / reference_px`, applied after the lens model, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Reflect, Serialize, Deserialize)]
pub struct PanoRadial {
    /// Coefficient of ρ³.
    pub a: f64,
    /// Coefficient of ρ².
    pub b: f64,
    /// Coefficient of ρ.
    pub c: f64,
    /// The radius in pixels at which the correction is 1; Hugin's is half of the picture's shorter side.
    pub reference_px: f64,
}

/// A lens's intrinsics: the model, the focal length and the principal point.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lens {
    /// The lens model.
    pub model: LensModel,
    /// Horizontal and vertical focal length in pixels, above zero. For an equidistant lens: pixels a radian.
    pub focal_px: [f64; 2],
    /// The principal point in pixels from the picture's top left corner.
    pub center_px: [f64; 2],
    /// Hugin's radial correction on top of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub radial: Option<PanoRadial>,
    /// The widest usable angle from the axis in degrees, above 0 and at most 180; `None` is as far as the model goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_angle_deg: Option<f64>,
}

/// Why a lens cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LensError {
    /// A number that is NaN or infinite.
    #[error("{field} is {value}: it must be a finite number")]
    NotFinite {
        /// The field.
        field: String,
        /// Its value.
        value: f64,
    },
    /// A number outside of its range.
    #[error("{field} is {value}: it must be {range}")]
    OutOfRange {
        /// The field.
        field: String,
        /// Its value.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// The distortion folds the picture over near its centre.
    #[error(
        "the distortion turns back {angle_deg:.2}° from the axis, so there is no picture to use: check the coefficients' order and sign"
    )]
    Folded {
        /// Where the radius stops growing.
        angle_deg: f64,
    },
}

impl Lens {
    /// An ideal lens that shows `fov_deg` degrees across `diameter_px` pixels around `center_px`.
    pub fn ideal(model: LensModel, fov_deg: f64, diameter_px: f64, center_px: [f64; 2]) -> Self {
        let focal = diameter_px / 2.0 / model.ideal_radius((fov_deg / 2.0).to_radians());
        Self { model, focal_px: [focal; 2], center_px, radial: None, max_angle_deg: None }
    }

    /// Checks that every number is finite and in its range; [`LensProjector::new`](super::LensProjector::new) also
    /// checks that the distortion does not fold.
    ///
    /// # Errors
    /// [`LensError`] with the field's name.
    pub fn validate(&self) -> Result<(), LensError> {
        for (field, value) in self.numbers() {
            if !value.is_finite() {
                return Err(LensError::NotFinite { field, value });
            }
        }
        let out_of_range = |field: &str, value, range| Err(LensError::OutOfRange { field: field.to_owned(), value, range });
        for focal in self.focal_px {
            if !(1e-3..=1e6).contains(&focal) {
                return out_of_range("focal_px", focal, "from 0.001 to 1000000 pixels");
            }
        }
        for center in self.center_px {
            if center.abs() > 1e6 {
                return out_of_range("center_px", center, "within 1000000 pixels of the picture");
            }
        }
        if let Some(radial) = self.radial
            && !(1e-3..=1e6).contains(&radial.reference_px)
        {
            return out_of_range("radial.reference_px", radial.reference_px, "from 0.001 to 1000000 pixels");
        }
        match self.max_angle_deg {
            Some(angle) if !(angle > 0.0 && angle <= 180.0) => {
                out_of_range("max_angle_deg", angle, "above 0 and at most 180 degrees")
            }
            _ => Ok(()),
        }
    }

    fn numbers(&self) -> Vec<(String, f64)> {
        let mut numbers = Vec::new();
        let mut list = |name: &str, values: &[f64]| {
            numbers.extend(values.iter().enumerate().map(|(index, &value)| (format!("{name}[{index}]"), value)));
        };
        list("focal_px", &self.focal_px);
        list("center_px", &self.center_px);
        match &self.model {
            LensModel::KannalaBrandt { k } => list("model.k", k),
            LensModel::BrownConrady { k, p } => {
                list("model.k", k);
                list("model.p", p);
            }
            LensModel::Equidistant | LensModel::Equisolid | LensModel::Stereographic | LensModel::Orthographic => {}
        }
        if let Some(PanoRadial { a, b, c, reference_px }) = self.radial {
            list("radial", &[a, b, c, reference_px]);
        }
        list("max_angle_deg", self.max_angle_deg.as_slice());
        numbers
    }
}

impl LensModel {
    /// The widest angle from the axis that the undistorted model can show, in radians. The models that go to infinity
    /// stop where the radius is some hundred focal lengths.
    pub(super) fn widest_angle(&self) -> f64 {
        match self {
            Self::Equidistant | Self::Equisolid | Self::KannalaBrandt { .. } => 180_f64.to_radians(),
            Self::Stereographic => 179_f64.to_radians(),
            Self::Orthographic => 90_f64.to_radians(),
            Self::BrownConrady { .. } => 89.5_f64.to_radians(),
        }
    }

    /// The radius in focal lengths of a ray `theta` radians from the axis, without tangential distortion.
    pub(super) fn ideal_radius(&self, theta: f64) -> f64 {
        match self {
            Self::Equidistant => theta,
            Self::Equisolid => 2.0 * (theta / 2.0).sin(),
            Self::Stereographic => 2.0 * (theta / 2.0).tan(),
            Self::Orthographic => theta.sin(),
            Self::KannalaBrandt { k } => {
                let t = theta * theta;
                theta * (1.0 + t * (k[0] + t * (k[1] + t * (k[2] + t * k[3]))))
            }
            Self::BrownConrady { k, .. } => {
                let tan = theta.tan();
                tan * brown_radial(k, tan * tan)
            }
        }
    }
}

/// The radial factor of the Brown–Conrady model for a squared radius.
pub(super) fn brown_radial(k: &[f64; 6], r2: f64) -> f64 {
    (1.0 + r2 * (k[0] + r2 * (k[1] + r2 * k[2]))) / (1.0 + r2 * (k[3] + r2 * (k[4] + r2 * k[5])))
}
