//! Gyroflow's lens profiles: a JSON file with OpenCV's fisheye model of one lens.

use super::{OpenCvCamera, OpenCvModel, Rig, RigError, RigLens, RigPicture, YawPitchRoll};
use serde_json::Value;

impl Rig {
    /// Reads a lens profile of Gyroflow as a rig of one lens that looks ahead; its picture has the size that the profile was
    /// calibrated at. Profiles of lenses that are no `opencv_fisheye`, and of stretched pictures, are refused. `file` is its name for
    /// messages.
    ///
    /// # Errors
    /// [`RigError`] with what the file lacks or asks for.
    pub fn from_gyroflow(file: &str, text: &str) -> Result<Self, RigError> {
        let profile = super::opencv::parse_json(file, text)?;
        let fail = |reason: String| Err(RigError::Missing { file: file.to_owned(), reason });
        if !is_profile(&profile) {
            return fail("no `fisheye_params`: this is no lens profile of Gyroflow".to_owned());
        }
        let model = profile["distortion_model"].as_str().unwrap_or("opencv_fisheye");
        if model != "opencv_fisheye" {
            return fail(format!("the distortion model `{model:.40}` is not supported: use a profile of an `opencv_fisheye`"));
        }
        if let Some(lens) = profile["digital_lens"].as_str().filter(|lens| !lens.is_empty()) {
            return fail(format!(
                "the camera's own correction `{lens:.40}` is not supported: switch it off and use that mode's profile"
            ));
        }
        for field in ["input_horizontal_stretch", "input_vertical_stretch"] {
            let stretch = profile[field].as_f64().unwrap_or(1.0);
            if stretch != 1.0 {
                return fail(format!("`{field}` is {stretch}: stretched (anamorphic) pictures are not supported"));
            }
        }
        // Only what the lens needs: other parts of a profile repeat the same keys for other modes.
        let needed = serde_json::json!({
            "camera_matrix": profile["fisheye_params"]["camera_matrix"],
            "distortion_coeffs": profile["fisheye_params"]["distortion_coeffs"],
            "calib_dimension": profile["calib_dimension"],
        })
        .to_string();
        let camera = OpenCvCamera { file, text: &needed, model: OpenCvModel::Fisheye, orientation: YawPitchRoll::default() };
        let (size_px, lens) = super::opencv::read_camera(&camera)?;
        let name = profile["name"].as_str().filter(|name| !name.is_empty()).unwrap_or(file);
        let name: String = name.chars().take(120).collect();
        let lens = RigLens::new(name.as_str(), 0, lens);
        let rig = Self { name, pictures: vec![RigPicture { size_px }], lenses: vec![lens] };
        rig.validate()?;
        Ok(rig)
    }
}

/// Whether a JSON file is a lens profile.
pub(super) fn is_profile(value: &Value) -> bool {
    value["fisheye_params"].is_object()
}
