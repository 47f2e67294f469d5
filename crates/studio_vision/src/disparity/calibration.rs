//! Stereo calibrations of OpenCV.

use super::DisparityError;
use crate::rig::{
    MAX_FILE_BYTES, OpenCvCamera, OpenCvModel, Orientation, Rig, RigError, RigLens, RigPicture, YawPitchRoll, camera_of,
    is_chain, read_entries,
};
use bevy::math::{DMat3, DQuat, DVec3};
use std::{fs::File, io::Read as _, path::Path};

/// How far a matrix may be from a rotation.
const ROTATION_TOLERANCE: f64 = 1e-3;

impl Rig {
    /// Makes a rig of two lenses from the text of an OpenCV stereo calibration, as `cv::stereoCalibrate` gives it and its samples
    /// write it: `M1`, `D1`, `M2`, `D2`, and `R` and `T`, which bring points from the first camera's frame to the second's. YAML or
    /// JSON; `file` is its name for messages. Each camera delivers a picture of its own. `unit_m` is the length in metres of what
    /// `T` counts: the unit in which the board's squares were given.
    ///
    /// # Errors
    /// [`RigError`] with what the file lacks, or the line that cannot be understood.
    pub fn from_opencv_stereo(file: &str, text: &str, unit_m: f64) -> Result<Self, RigError> {
        let missing = |reason: String| RigError::Missing { file: file.to_owned(), reason };
        let values = read_entries(file, text)?;
        let numbers = |keys: [&str; 2]| keys.iter().find_map(|key| values.get(*key)).map_or(&[][..], |entry| &entry.numbers);
        let (rotation, translation) = (numbers(["R", "rotation"]), numbers(["T", "translation"]));
        let (Ok(rows), &[x, y, z]) = (<[f64; 9]>::try_from(rotation), translation) else {
            return Err(missing(format!(
                "R and T must have 9 and 3 numbers, they have {} and {}: put the cameras (M1, D1, M2, D2) and R and T into one file",
                rotation.len(),
                translation.len()
            )));
        };
        let second_from_first = DMat3::from_cols_array(&rows).transpose();
        let error = second_from_first * second_from_first.transpose() - DMat3::IDENTITY;
        let off = error.to_cols_array().into_iter().fold(0.0, |most: f64, value| most.max(value.abs()));
        if !(off < ROTATION_TOLERANCE && second_from_first.determinant() > 0.0) {
            return Err(missing("R is no rotation".to_owned()));
        }
        let first_from_second = second_from_first.transpose();
        let at_second = first_from_second * -DVec3::new(x, y, z) * unit_m;
        let camera = OpenCvCamera { file, text, model: OpenCvModel::Auto, orientation: YawPitchRoll::default() };
        let lens = |name: &str, picture: u32, keys: [&[&str]; 2], turn: DMat3, at: DVec3| -> Result<_, RigError> {
            let (size_px, lens) = camera_of(&values, &camera, keys[0], keys[1])?;
            let lens = RigLens {
                orientation: Orientation::Quaternion(DQuat::from_mat3(&turn).to_array()),
                translation_m: at.to_array(),
                ..RigLens::new(format!("{file}, {name}"), picture, lens)
            };
            Ok((RigPicture { size_px }, lens))
        };
        let first = lens("left", 0, [&["M1", "K1", "camera_matrix_1"], &["D1", "dist_coeffs_1"]], DMat3::IDENTITY, DVec3::ZERO)?;
        let second =
            lens("right", 1, [&["M2", "K2", "camera_matrix_2"], &["D2", "dist_coeffs_2"]], first_from_second, at_second)?;
        let rig = Self { name: file.to_owned(), pictures: vec![first.0, second.0], lenses: vec![first.1, second.1] };
        rig.validate()?;
        Ok(rig)
    }
}

/// Reads the rig of a stereo pair: a `.rig.ron`, `.pto` or `.ptv` file of two lenses, a camera chain of Kalibr, or an OpenCV stereo
/// calibration.
///
/// # Errors
/// [`DisparityError::Rig`] naming the file and what is wrong with it.
pub fn read_stereo_rig(path: &Path, unit_m: f64) -> Result<Rig, DisparityError> {
    let file = path.display().to_string();
    if [".ron", ".pto", ".ptv"].iter().any(|ending| file.ends_with(ending)) {
        return Ok(Rig::read(path)?);
    }
    let io = |source| RigError::Io { file: file.clone(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(RigError::TooLarge { file }.into());
    }
    let text = String::from_utf8(bytes).map_err(|_| RigError::NotText { file: file.clone() })?;
    let rig = if is_chain(&text) { Rig::from_kalibr(&file, &text) } else { Rig::from_opencv_stereo(&file, &text, unit_m) };
    Ok(rig?)
}
