//! OpenCV calibrations: the camera matrix and distortion coefficients in the YAML and JSON that OpenCV, its samples and
//! ROS write.

use super::{Orientation, Rig, RigError, RigLens, RigPicture, YawPitchRoll};
use crate::lens::{Lens, LensModel};
use serde_json::Value;
use std::collections::BTreeMap;

/// Which of OpenCV's lens models the coefficients are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OpenCvModel {
    /// What the file says (`distortion_model`); without a word, four coefficients are the fisheye model's, and five or
    /// more the pinhole model's.
    #[default]
    Auto,
    /// `cv::fisheye`: k₁ to k₄.
    Fisheye,
    /// `cv::calibrateCamera`: k₁, k₂, p₁, p₂, k₃, k₄, k₅, k₆.
    Pinhole,
}

/// One calibration file of a rig. OpenCV's files say nothing about where a camera looks.
#[derive(Clone, Copy, Debug)]
pub struct OpenCvCamera<'a> {
    /// The file's name, for messages and as the lens's name.
    pub file: &'a str,
    /// The file's text.
    pub text: &'a str,
    /// The model of its coefficients.
    pub model: OpenCvModel,
    /// Where the camera looks.
    pub orientation: YawPitchRoll,
}

const MATRIX_KEYS: [&str; 4] = ["camera_matrix", "cameraMatrix", "K", "M1"];
const COEFFICIENT_KEYS: [&str; 7] =
    ["dist_coeffs", "distortion_coefficients", "distortion_coeffs", "dist_coeff", "distCoeffs", "D", "D1"];
const SIZE_KEYS: [&str; 4] = ["resolution", "image_size", "img_shape", "calib_dimension"];

impl Rig {
    /// Makes a rig of one calibration file a camera; each camera delivers a picture of its own, in the same order.
    ///
    /// # Errors
    /// [`RigError`] with the file and what it lacks, or the line that cannot be understood.
    pub fn from_opencv(name: &str, cameras: &[OpenCvCamera]) -> Result<Self, RigError> {
        let mut rig = Self { name: name.to_owned(), pictures: Vec::new(), lenses: Vec::new() };
        for (index, camera) in cameras.iter().enumerate() {
            let (size_px, lens) = read_camera(camera)?;
            rig.pictures.push(RigPicture { size_px });
            let orientation = Orientation::Angles(camera.orientation);
            rig.lenses.push(RigLens { orientation, ..RigLens::new(camera.file, index as u32, lens) });
        }
        rig.validate()?;
        Ok(rig)
    }
}

pub(super) fn read_camera(camera: &OpenCvCamera) -> Result<([u32; 2], Lens), RigError> {
    let values = read_entries(camera.file, camera.text)?;
    camera_of(&values, camera, &MATRIX_KEYS, &COEFFICIENT_KEYS)
}

/// What a calibration file says, by key.
pub(crate) fn read_entries(file: &str, text: &str) -> Result<BTreeMap<String, Entry>, RigError> {
    if text.len() > super::MAX_FILE_BYTES {
        return Err(RigError::TooLarge { file: file.to_owned() });
    }
    if text.trim_start().starts_with('{') { read_json(file, text) } else { read_yaml(file, text) }
}

/// The picture's size and the lens that a file's entries describe under these keys.
pub(crate) fn camera_of(
    values: &BTreeMap<String, Entry>,
    camera: &OpenCvCamera,
    matrix_keys: &[&str],
    coefficient_keys: &[&str],
) -> Result<([u32; 2], Lens), RigError> {
    let missing = |reason: String| RigError::Missing { file: camera.file.to_owned(), reason };
    let numbers = |keys: &[&str]| keys.iter().find_map(|key| values.get(*key)).map(|entry| entry.numbers.as_slice());
    let matrix =
        numbers(matrix_keys).ok_or_else(|| missing(format!("no camera matrix (looked for {})", matrix_keys.join(", "))))?;
    let [fx, skew, cx, z0, fy, cy, z1, z2, one] = *matrix else {
        return Err(missing(format!("the camera matrix has {} numbers instead of 9", matrix.len())));
    };
    if [z0, z1, z2] != [0.0; 3] || one != 1.0 {
        return Err(missing("the camera matrix must be [fx 0 cx, 0 fy cy, 0 0 1]".to_owned()));
    }
    if skew != 0.0 {
        return Err(missing(format!("the camera matrix has a skew of {skew}, which is not supported: calibrate without it")));
    }
    let coefficients = numbers(coefficient_keys)
        .ok_or_else(|| missing(format!("no distortion coefficients (looked for {})", coefficient_keys.join(", "))))?;
    let size = match (numbers(&SIZE_KEYS), numbers(&["image_width"]), numbers(&["image_height"])) {
        (Some(&[width, height]), _, _) | (None, Some(&[width]), Some(&[height])) => [width, height],
        _ => return Err(missing(format!("no picture size (looked for {}, image_width and image_height)", SIZE_KEYS.join(", ")))),
    };
    if size.iter().any(|side| side.fract() != 0.0 || !(1.0..=32768.0).contains(side)) {
        return Err(missing(format!("the picture size {}×{} must be whole numbers from 1 to 32768", size[0], size[1])));
    }
    let said =
        ["distortion_model", "camera_model"].iter().find_map(|key| values.get(*key)).map_or("", |entry| entry.text.as_str());
    let fisheye = match camera.model {
        OpenCvModel::Fisheye => true,
        OpenCvModel::Pinhole => false,
        OpenCvModel::Auto => match said {
            "fisheye" | "equidistant" => true,
            "plumb_bob" | "rational_polynomial" | "pinhole" => false,
            _ => coefficients.len() == 4,
        },
    };
    let model = match (fisheye, coefficients) {
        (true, &[k1, k2, k3, k4]) => LensModel::KannalaBrandt { k: [k1, k2, k3, k4] },
        (false, coefficients) if [4, 5, 8].contains(&coefficients.len()) || zero_beyond_8(coefficients) => {
            let at = |index: usize| coefficients.get(index).copied().unwrap_or(0.0);
            LensModel::BrownConrady { k: [at(0), at(1), at(4), at(5), at(6), at(7)], p: [at(2), at(3)] }
        }
        (_, coefficients) => {
            let (kind, wanted) =
                if fisheye { ("fisheye", "4") } else { ("pinhole", "4, 5 or 8 (thin prism and tilt are not supported)") };
            return Err(missing(format!("{} distortion coefficients: the {kind} model has {wanted}", coefficients.len())));
        }
    };
    // OpenCV counts pixels from the centre of the first one.
    let center_px = [cx + 0.5, cy + 0.5];
    Ok((size.map(|side| side as u32), Lens { model, focal_px: [fx, fy], center_px, radial: None, max_angle_deg: None }))
}

fn zero_beyond_8(coefficients: &[f64]) -> bool {
    [12, 14].contains(&coefficients.len()) && coefficients[8..].iter().all(|value| *value == 0.0)
}

/// A top-level entry of a calibration file.
#[derive(Default)]
pub(crate) struct Entry {
    /// Its numbers, in order.
    pub numbers: Vec<f64>,
    /// Its words.
    pub text: String,
}

/// Reads the numbers and words under each key, at any depth; the keys in one file are distinct.
fn read_json(file: &str, text: &str) -> Result<BTreeMap<String, Entry>, RigError> {
    fn numbers(value: &Value, into: &mut Vec<f64>) {
        match value {
            Value::Number(number) => into.extend(number.as_f64()),
            Value::Array(values) => values.iter().for_each(|value| numbers(value, into)),
            // {"rows": 3, "cols": 3, "dt": "d", "data": […]} and {"w": 3840, "h": 2160}
            Value::Object(fields) => match fields.get("data") {
                Some(data) => numbers(data, into),
                None => ["w", "h"].iter().filter_map(|key| fields.get(*key)).for_each(|value| numbers(value, into)),
            },
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    fn visit(value: &Value, entries: &mut BTreeMap<String, Entry>) {
        let Value::Object(fields) = value else { return };
        for (key, value) in fields {
            let mut entry = Entry::default();
            numbers(value, &mut entry.numbers);
            entry.text = value.as_str().unwrap_or_default().to_owned();
            entries.insert(key.clone(), entry);
            visit(value, entries);
        }
    }
    let value = parse_json(file, text)?;
    let mut entries = BTreeMap::new();
    visit(&value, &mut entries);
    Ok(entries)
}

/// A JSON file's value.
pub(crate) fn parse_json(file: &str, text: &str) -> Result<Value, RigError> {
    if text.len() > super::MAX_FILE_BYTES {
        return Err(RigError::TooLarge { file: file.to_owned() });
    }
    serde_json::from_str(text).map_err(|error| RigError::Syntax {
        file: file.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })
}

/// Reads the YAML of OpenCV's `FileStorage` and of ROS: top-level keys, each with a scalar, a `[…]` list, or a matrix
/// whose numbers follow `data:`.
fn read_yaml(file: &str, text: &str) -> Result<BTreeMap<String, Entry>, RigError> {
    let mut entries: BTreeMap<String, Entry> = BTreeMap::new();
    let mut key = String::new();
    let mut in_list = false;
    for (index, line) in text.lines().enumerate() {
        let fail = |reason: String| RigError::Syntax { file: file.to_owned(), line: index + 1, reason };
        let content = line.split(" #").next().unwrap_or_default().trim();
        if content.is_empty() || line.starts_with(['%', '#', '-']) {
            continue;
        }
        let mut rest = content;
        if !in_list && let Some((name, value)) = content.split_once(':') {
            if !line.starts_with(char::is_whitespace) {
                key = name.trim().to_owned();
                entries.insert(key.clone(), Entry::default());
                rest = value.trim();
            } else if name.trim() == "data" {
                rest = value.trim();
            } else {
                continue;
            }
            rest = if rest.starts_with("!!") {
                rest.split_once(char::is_whitespace).map_or("", |(_, value)| value.trim())
            } else {
                rest
            };
        }
        let entry = entries.get_mut(&key).ok_or_else(|| fail(format!("“{content}” belongs to no key")))?;
        if in_list || rest.starts_with('[') {
            in_list = !rest.ends_with(']');
            for number in rest.split(['[', ']', ',']).map(str::trim).filter(|number| !number.is_empty()) {
                let value = match number.to_ascii_lowercase().as_str() {
                    ".nan" => f64::NAN,
                    ".inf" => f64::INFINITY,
                    "-.inf" => f64::NEG_INFINITY,
                    _ => number.parse().map_err(|_| fail(format!("{key}: “{number}” is no number")))?,
                };
                entry.numbers.push(value);
            }
        } else if let Ok(number) = rest.parse() {
            entry.numbers.push(number);
        } else {
            entry.text = rest.trim_matches(['"', '\'']).to_owned();
        }
    }
    Ok(entries)
}
