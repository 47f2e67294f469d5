//! Kalibr's camera chains (`camchain.yaml`): intrinsics of each camera and the way from the camera before it.

use super::{MAX_LENSES, Orientation, Rig, RigError, RigLens, RigPicture};
use crate::lens::{Lens, LensModel};
use bevy::math::{DMat3, DQuat, DVec3};
use nalgebra::{DMatrix, DVector};
use std::collections::BTreeMap;

/// How far a fitted model may be from the one of the file, in pixels.
const LARGEST_FIT_ERROR_PX: f64 = 0.1;

impl Rig {
    /// Reads a camera chain of Kalibr: cameras `pinhole` with the distortions `radtan`, `equidistant` and `none`, and `omni` (Mei's unified
    /// model), which becomes a Kannala–Brandt lens where that is within a tenth of a pixel of it. The rig's frame is the first
    /// camera's. `file` is its name for messages.
    ///
    /// # Errors
    /// [`RigError`] with the camera and what it lacks or asks for, or the line that cannot be understood.
    pub fn from_kalibr(file: &str, text: &str) -> Result<Self, RigError> {
        if text.len() > super::MAX_FILE_BYTES {
            return Err(RigError::TooLarge { file: file.to_owned() });
        }
        let cameras = read_chain(file, text)?;
        let name = file.rsplit('/').next().unwrap_or(file).trim_end_matches(".yaml").trim_end_matches(".yml").to_owned();
        let mut rig = Self { name, pictures: Vec::new(), lenses: Vec::new() };
        let mut camera_from_rig = (DMat3::IDENTITY, DVec3::ZERO);
        for (index, camera) in cameras.iter().enumerate() {
            if index > 0 {
                let (turn, shift) = camera.transform("T_cn_cnm1")?;
                camera_from_rig = (turn * camera_from_rig.0, turn * camera_from_rig.1 + shift);
            }
            let (turn, shift) = camera_from_rig;
            let (size_px, lens) = camera.lens()?;
            rig.pictures.push(RigPicture { size_px });
            rig.lenses.push(RigLens {
                orientation: Orientation::Quaternion(DQuat::from_mat3(&turn.transpose()).to_array()),
                translation_m: (-(turn.transpose() * shift) + DVec3::ZERO).to_array(),
                ..RigLens::new(camera.name.as_str(), index as u32, lens)
            });
        }
        rig.validate()?;
        Ok(rig)
    }
}

/// Whether a YAML file is a camera chain.
pub(crate) fn is_chain(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "cam0:")
}

/// One camera of a chain: its values as text, by key.
struct Camera<'a> {
    file: &'a str,
    name: String,
    values: BTreeMap<&'a str, (usize, String)>,
}

/// Reads the part of YAML that Kalibr writes: sections, and in them keys with a scalar, a `[…]` list, or a list of such.
fn read_chain<'a>(file: &'a str, text: &'a str) -> Result<Vec<Camera<'a>>, RigError> {
    let mut cameras: Vec<Camera> = Vec::new();
    let mut key: Option<&str> = None;
    let mut open = 0;
    let mut in_camera = false;
    for (index, line) in text.lines().enumerate() {
        let fail = |reason: String| RigError::Syntax { file: file.to_owned(), line: index + 1, reason };
        let content = line.split(" #").next().unwrap_or_default();
        let is_indented = content.starts_with([' ', '\t', '-']);
        let content = content.trim();
        if content.is_empty() || content.starts_with(['#', '%']) || content == "---" {
            continue;
        }
        if !is_indented && open == 0 {
            in_camera = content.starts_with("cam") && content.ends_with(':');
            if in_camera {
                let name = content.trim_end_matches(':').to_owned();
                if name != format!("cam{}", cameras.len()) || cameras.len() == MAX_LENSES {
                    let expected = cameras.len();
                    return Err(fail(format!(
                        "“{name}” in place of “cam{expected}”: cameras are cam0 to cam{}, in order",
                        MAX_LENSES - 1
                    )));
                }
                cameras.push(Camera { file, name, values: BTreeMap::new() });
                key = None;
            }
            continue;
        }
        let Some(camera) = cameras.last_mut().filter(|_| in_camera) else { continue };
        let mut rest = content;
        if open == 0
            && !content.starts_with("- ")
            && let Some((name, value)) = content.split_once(':')
        {
            key = Some(name.trim());
            rest = value.trim();
            if camera.values.insert(name.trim(), (index + 1, String::new())).is_some() {
                return Err(fail(format!("“{}” stands twice in {}", name.trim(), camera.name)));
            }
        }
        let (_, value) =
            key.and_then(|key| camera.values.get_mut(key)).ok_or_else(|| fail(format!("“{content:.40}” belongs to no key")))?;
        open = (open + rest.matches('[').count()).saturating_sub(rest.matches(']').count());
        value.push_str(rest.strip_prefix("- ").unwrap_or(rest));
        value.push(' ');
    }
    if cameras.is_empty() {
        return Err(RigError::Missing {
            file: file.to_owned(),
            reason: "no `cam0:`: this is no camera chain of Kalibr".to_owned(),
        });
    }
    Ok(cameras)
}

impl Camera<'_> {
    fn missing(&self, reason: String) -> RigError {
        RigError::Missing { file: self.file.to_owned(), reason: format!("{}: {reason}", self.name) }
    }

    fn word(&self, key: &str) -> Result<&str, RigError> {
        let (_, text) = self.values.get(key).ok_or_else(|| self.missing(format!("no `{key}`")))?;
        Ok(text.trim().trim_matches(['"', '\'']))
    }

    fn numbers<const N: usize>(&self, key: &str) -> Result<[f64; N], RigError> {
        let (line, text) = self.values.get(key).ok_or_else(|| self.missing(format!("no `{key}`")))?;
        let fail = |reason| RigError::Syntax { file: self.file.to_owned(), line: *line, reason };
        let words = text.split(['[', ']', ',', ' ']).filter(|word| !word.is_empty());
        let numbers: Vec<f64> = words
            .map(|word| word.parse().map_err(|_| fail(format!("{key}: “{word:.40}” is no number"))))
            .collect::<Result<_, _>>()?;
        <[f64; N]>::try_from(numbers.as_slice()).map_err(|_| fail(format!("{key} has {} numbers instead of {N}", numbers.len())))
    }

    /// A rigid transform, its rotation made proper.
    fn transform(&self, key: &str) -> Result<(DMat3, DVec3), RigError> {
        let m: [f64; 16] = self.numbers(key)?;
        let turn = DMat3::from_cols_array(&[m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]]).transpose();
        let is_rotation = (turn * turn.transpose()).abs_diff_eq(DMat3::IDENTITY, 1e-3) && turn.determinant() > 0.0;
        if !is_rotation || [m[12], m[13], m[14], m[15]] != [0.0, 0.0, 0.0, 1.0] {
            return Err(
                self.missing(format!("`{key}` is no rigid transform: its upper left must be a rotation, its last row 0 0 0 1"))
            );
        }
        Ok((DMat3::from_quat(DQuat::from_mat3(&turn).normalize()), DVec3::new(m[3], m[7], m[11])))
    }

    fn lens(&self) -> Result<([u32; 2], Lens), RigError> {
        let size: [f64; 2] = self.numbers("resolution")?;
        if size.iter().any(|side| side.fract() != 0.0 || !(1.0..=32768.0).contains(side)) {
            return Err(self.missing(format!("the resolution {}×{} must be whole numbers from 1 to 32768", size[0], size[1])));
        }
        let distortion = self.word("distortion_model")?;
        let camera = self.word("camera_model")?;
        let coefficients = |known: bool| if known { self.numbers("distortion_coeffs") } else { Ok([0.0; 4]) };
        let radtan = |[k1, k2, p1, p2]: [f64; 4]| LensModel::BrownConrady { k: [k1, k2, 0.0, 0.0, 0.0, 0.0], p: [p1, p2] };
        // Pixels count from the centre of the first one.
        let lens = |model, focal_px, center: [f64; 2]| Lens {
            model,
            focal_px,
            center_px: center.map(|center| center + 0.5),
            radial: None,
            max_angle_deg: None,
        };
        let lens = match (camera, distortion) {
            ("pinhole", "radtan" | "none" | "equidistant") => {
                let [fx, fy, cx, cy] = self.numbers("intrinsics")?;
                let coefficients = coefficients(distortion != "none")?;
                let model =
                    if distortion == "equidistant" { LensModel::KannalaBrandt { k: coefficients } } else { radtan(coefficients) };
                lens(model, [fx, fy], [cx, cy])
            }
            ("omni", "radtan" | "none") => {
                let [xi, fx, fy, cx, cy] = self.numbers("intrinsics")?;
                let coefficients = coefficients(distortion != "none")?;
                let corner = (cx.max(size[0] - cx) / fx).hypot(cy.max(size[1] - cy) / fy);
                let (model, share) = self.fit_omni(xi, coefficients, corner, fx.max(fy))?;
                lens(model, [fx * share, fy * share], [cx, cy])
            }
            _ => {
                return Err(self.missing(format!(
                    "the model `{camera}-{distortion}` is not supported: calibrate as pinhole-radtan, pinhole-equi or omni-radtan"
                )));
            }
        };
        Ok((size.map(|side| side as u32), lens))
    }

    /// The Kannala–Brandt coefficients, and the share of the focal length, that come nearest to Mei's model up to a radius in focal lengths
    /// (Mei and Rives, “Single View Point Omnidirectional Camera Calibration from Planar Grids”, ICRA 2007).
    fn fit_omni(&self, xi: f64, [k1, k2, p1, p2]: [f64; 4], largest: f64, focal_px: f64) -> Result<(LensModel, f64), RigError> {
        if !(0.0..=5.0).contains(&xi) || ![k1, k2, p1, p2, largest, focal_px].iter().all(|value| value.is_finite()) {
            return Err(self.missing(format!("the omni model with ξ = {xi} is not supported: it must be 0 to 5")));
        }
        let radius = |theta: f64| {
            let m = theta.sin() / (theta.cos() + xi);
            m * (1.0 + m * m * (k1 + m * m * k2))
        };
        let end = if xi > 1.0 { (-1.0 / xi).acos() } else { (-xi).acos() } - 0.02;
        let reach =
            (1..=400).map(|step| end * f64::from(step) / 400.0).take_while(|theta| radius(*theta) <= largest).count().max(8);
        let samples: Vec<f64> = (1..=reach).map(|step| end * step as f64 / 400.0).collect();
        let powers = DMatrix::from_fn(samples.len(), 5, |row, column| samples[row].powi(2 * column as i32 + 1));
        let wanted = DVector::from_iterator(samples.len(), samples.iter().map(|theta| radius(*theta)));
        let solution = powers.clone().svd(true, true).solve(&wanted, 1e-14).map_err(|reason| self.missing(reason.to_owned()))?;
        let error_px = (powers * &solution - wanted).amax() * focal_px;
        let reach = radius(samples[samples.len() - 1]);
        let tangential_px = 3.0 * p1.hypot(p2) * reach * reach * focal_px;
        if error_px + tangential_px > LARGEST_FIT_ERROR_PX {
            return Err(self.missing(format!(
                "the omni model would be {error_px:.2} pixels off as a Kannala–Brandt lens, and its tangential distortion {tangential_px:.2}: \
                 calibrate as pinhole-equi"
            )));
        }
        let share = solution[0];
        Ok((LensModel::KannalaBrandt { k: [1, 2, 3, 4].map(|index| solution[index] / share) }, share))
    }
}
