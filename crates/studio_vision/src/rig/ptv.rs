//! stitchEm and VideoStitch projects (`.ptv`): JSON with one entry of `inputs` a lens.
//!
//! Facts are those of stitchEm's own reader and camera models: yaw, pitch and roll are Hugin's; a translation belongs to the way
//! from the rig to the camera; the principal point counts from the middle of the crop; `circular_fisheye_opt` and `ff_fisheye_opt` are
//! stereographic with `r = tan(θ/2)`, the other fisheyes equidistant. What changes over time (curves of exposure and geometry) is taken as
//! it is at its first key. Panorama, masks, response curves and synchronisation are left aside.

use super::{Crop, Exposure, MAX_LENSES, Orientation, PixelRect, Rig, RigError, RigLens, RigPicture, Vignetting, YawPitchRoll};
use crate::lens::{Lens, LensModel, PanoRadial};
use bevy::math::DVec3;
use serde_json::Value;

/// Coefficients of distortions that a rig cannot say.
const UNSUPPORTED: [&str; 8] =
    ["distort_p1", "distort_p2", "distort_s1", "distort_s2", "distort_s3", "distort_s4", "distort_tau1", "distort_tau2"];

impl Rig {
    /// Reads a stitchEm or VideoStitch project: lens types rectilinear, `circular_fisheye`, `ff_fisheye` and their `_opt` kin, crop, focal
    /// lengths or field of view, centre, radial distortion, yaw, pitch, roll, translation, exposure, white balance and vignetting. `file` is
    /// its name for messages.
    ///
    /// # Errors
    /// [`RigError`] with the input and the field if something is missing or asks for what this rig cannot say.
    pub fn from_ptv(file: &str, text: &str) -> Result<Self, RigError> {
        let project = super::opencv::parse_json(file, text)?;
        let inputs = inputs(&project).ok_or_else(|| RigError::Missing {
            file: file.to_owned(),
            reason: "no `inputs`: this is no .ptv project".to_owned(),
        })?;
        if inputs.is_empty() || inputs.len() > MAX_LENSES {
            let reason = format!("{} inputs: a rig has 1 to {MAX_LENSES} lenses", inputs.len());
            return Err(RigError::Missing { file: file.to_owned(), reason });
        }
        let mut images: Vec<(Option<&str>, [u32; 2])> = Vec::new();
        let mut lenses = Vec::new();
        for (index, value) in inputs.iter().enumerate() {
            let input = Input { file, index, value };
            let size_px = [input.size("width")?, input.size("height")?];
            // Lenses of one file are lenses in one picture. A reader that is not a file makes a picture of its own.
            let reader = value["reader_config"].as_str().filter(|reader| !reader.is_empty() && !reader.contains(':'));
            let known = images.iter().position(|image| reader.is_some() && *image == (reader, size_px));
            let picture = known.unwrap_or_else(|| {
                images.push((reader, size_px));
                images.len() - 1
            });
            lenses.push(input.lens(picture as u32, size_px)?);
        }
        let pictures = images.into_iter().map(|(_, size_px)| RigPicture { size_px }).collect();
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".ptv").to_owned();
        let rig = Self { name, pictures, lenses };
        rig.validate()?;
        Ok(rig)
    }
}

/// The inputs of a project, which is a panorama or has one.
pub(super) fn inputs(project: &Value) -> Option<&Vec<Value>> {
    panorama(project)["inputs"].as_array()
}

/// The panorama of a project.
fn panorama(project: &Value) -> &Value {
    project.get("pano").unwrap_or(project)
}

/// One lens of a project.
struct Input<'a> {
    file: &'a str,
    index: usize,
    value: &'a Value,
}

/// The value of a curve at its first key: a curve is `[type, frame, value, type, frame, value, …]`.
fn first_key(value: &Value) -> &Value {
    value.as_array().and_then(|keys| keys.get(2)).unwrap_or(value)
}

impl Input<'_> {
    fn fail(&self, reason: String) -> RigError {
        RigError::Missing { file: self.file.to_owned(), reason: format!("input {}: {reason}", self.index) }
    }

    /// A number of an object; `default` where it is absent, an error where it is none or without a default.
    fn number(&self, object: &Value, name: &str, default: Option<f64>) -> Result<f64, RigError> {
        let value = first_key(&object[name]);
        match (value, default) {
            (Value::Null, Some(default)) => Ok(default),
            (Value::Null, None) => Err(self.fail(format!("no `{name}`"))),
            (value, _) => value.as_f64().ok_or_else(|| self.fail(format!("`{name}` is {value:.40}: it must be a number"))),
        }
    }

    fn size(&self, name: &str) -> Result<u32, RigError> {
        let value = self.number(self.value, name, None)?;
        if value.fract() == 0.0 && (1.0..=32768.0).contains(&value) {
            return Ok(value as u32);
        }
        Err(self.fail(format!("`{name}` is {value}: it must be a whole number from 1 to 32768")))
    }

    fn lens(&self, picture: u32, size_px: [u32; 2]) -> Result<RigLens, RigError> {
        let geometry = first_key(&self.value["geometries"]);
        if !geometry.is_object() {
            return Err(self.fail("no `geometries`: the project was never calibrated".to_owned()));
        }
        let of_geometry = |name: &str, default| self.number(geometry, name, default);
        for name in UNSUPPORTED {
            if of_geometry(name, Some(0.0))? != 0.0 {
                return Err(
                    self.fail(format!("`{name}` is not 0: tangential, thin prism and tilt distortions are not supported"))
                );
            }
        }
        let [width, height] = size_px.map(f64::from);
        let edge = |name: &str, default: f64| self.number(self.value, name, Some(default));
        let crop = [edge("crop_left", 0.0)?, edge("crop_top", 0.0)?, edge("crop_right", width)?, edge("crop_bottom", height)?];
        let [left, top, right, bottom] = crop;
        let (crop_width, crop_height) = (right - left, bottom - top);
        if !(crop_width > 0.0 && crop_height > 0.0) {
            return Err(self.fail(format!("the crop from {left}, {top} to {right}, {bottom} is empty")));
        }
        let kind = self.value["proj"].as_str().unwrap_or_default();
        // What makes stitchEm's focal lengths ours: its optimised fisheyes have r = tan(θ/2), ours 2 tan(θ/2).
        let (model, scale) = match kind {
            "rectilinear" => (LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] }, 1.0),
            "circular_fisheye" | "ff_fisheye" => (LensModel::Equidistant, 1.0),
            "circular_fisheye_opt" | "ff_fisheye_opt" => (LensModel::Stereographic, 0.5),
            other => {
                return Err(self.fail(format!(
                    "the lens type `{other}` is not supported: use rectilinear, circular_fisheye, ff_fisheye, circular_fisheye_opt or \
                     ff_fisheye_opt"
                )));
            }
        };
        let focal_px = match (&geometry["horizontalFocal"], &geometry["horizontalFov"]) {
            (Value::Null, Value::Null) => return Err(self.fail("neither `horizontalFocal` nor `horizontalFov`".to_owned())),
            (Value::Null, _) => {
                let fov_deg = of_geometry("horizontalFov", None)?;
                if !(fov_deg > 0.0 && fov_deg < if kind == "rectilinear" { 180.0 } else { 360.0 }) {
                    return Err(self.fail(format!("`horizontalFov` is {fov_deg}: a `{kind}` lens cannot show as much")));
                }
                Lens::ideal(model, fov_deg, crop_width, [0.0; 2]).focal_px
            }
            _ => {
                let horizontal = of_geometry("horizontalFocal", None)?;
                [horizontal * scale, of_geometry("verticalFocal", Some(horizontal))? * scale]
            }
        };
        let center_px = [
            (left + right) / 2.0 + of_geometry("center_x", Some(0.0))?,
            (top + bottom) / 2.0 + of_geometry("center_y", Some(0.0))?,
        ];
        let [a, b, c] =
            [of_geometry("distort_a", Some(0.0))?, of_geometry("distort_b", Some(0.0))?, of_geometry("distort_c", Some(0.0))?];
        // “Meter distortion” counts radii in focal lengths, the older one in halves of the shorter side, as Hugin does.
        let reference_px = if self.value["useMeterDistortion"].as_bool().unwrap_or(false) {
            focal_px[0] / scale
        } else {
            crop_width.min(crop_height) / 2.0
        };
        let radial = ([a, b, c] != [0.0; 3]).then_some(PanoRadial { a, b, c, reference_px });
        let is_cropped = crop != [0.0, 0.0, width, height];
        let crop = if is_cropped && kind.starts_with("circular") {
            Crop::Circle { center_px: [(left + right) / 2.0, (top + bottom) / 2.0], radius_px: crop_width.min(crop_height) / 2.0 }
        } else if is_cropped {
            Crop::Rectangle(PixelRect { min: [left, top], max: [right, bottom] })
        } else {
            Crop::Full
        };
        let orientation = Orientation::Angles(YawPitchRoll::new(
            of_geometry("yaw", Some(0.0))?,
            of_geometry("pitch", Some(0.0))?,
            of_geometry("roll", Some(0.0))?,
        ));
        let camera_from_rig = DVec3::new(
            of_geometry("translation_x", Some(0.0))?,
            of_geometry("translation_y", Some(0.0))?,
            of_geometry("translation_z", Some(0.0))?,
        );
        let (vignetting, center_gain_ev) = self.vignetting(crop_width.hypot(crop_height) / 2.0)?;
        let exposure = Exposure {
            gain_ev: self.number(self.value, "ev", Some(0.0))? + center_gain_ev,
            white_balance: [self.inverse("red_corr")?, self.inverse("green_corr")?, self.inverse("blue_corr")?],
        };
        let reader =
            self.value["reader_config"].as_str().and_then(|reader| reader.rsplit(['/', '\\']).next()).unwrap_or_default();
        Ok(RigLens {
            name: if reader.is_empty() { format!("input {}", self.index) } else { reader.chars().take(64).collect() },
            picture,
            region: None,
            lens: Lens { model, focal_px, center_px, radial, max_angle_deg: None },
            orientation,
            // Adding 0 makes a zero without a sign.
            translation_m: (-(orientation.rig_from_lens() * camera_from_rig) + DVec3::ZERO).to_array(),
            crop,
            vignetting,
            exposure,
        })
    }

    /// What undoes a colour correction.
    fn inverse(&self, name: &str) -> Result<f64, RigError> {
        let value = self.number(self.value, name, Some(1.0))?;
        if (0.1..=10.0).contains(&value) {
            Ok(1.0 / value)
        } else {
            Err(self.fail(format!("`{name}` is {value}: it must be 0.1 to 10")))
        }
    }

    /// The vignetting and the stops by which the centre is brightened. It is taken to be centred on the principal point.
    fn vignetting(&self, radius_px: f64) -> Result<(Option<Vignetting>, f64), RigError> {
        let coefficient = |name: &str, default| self.number(self.value, name, Some(default));
        let at_center = coefficient("vign_a", 1.0)?;
        if !(0.01..=100.0).contains(&at_center) {
            return Err(self.fail(format!("`vign_a` is {at_center}: it must be 0.01 to 100")));
        }
        let coefficients = [coefficient("vign_b", 0.0)?, coefficient("vign_c", 0.0)?, coefficient("vign_d", 0.0)?];
        let vignetting = Vignetting { coefficients: coefficients.map(|value| value / at_center), radius_px };
        Ok(((coefficients != [0.0; 3]).then_some(vignetting), 0.0 - at_center.log2()))
    }
}
