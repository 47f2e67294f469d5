//! Reading and writing rig files.

use super::{OpenCvCamera, OpenCvModel, Rig, RigError, YawPitchRoll};
use bevy::{
    asset::{AssetLoader, LoadContext, io::Reader},
    prelude::*,
};
use std::{fs::File, io::Read as _, path::Path};

/// The largest file that is read as a rig.
pub const MAX_FILE_BYTES: usize = 1 << 20;

impl Rig {
    /// Reads a rig from a file of any format that [`from_bytes`](Self::from_bytes) knows.
    ///
    /// # Errors
    /// [`RigError`] naming the file and, where it is known, the line.
    pub fn read(path: &Path) -> Result<Self, RigError> {
        let file = path.display().to_string();
        let io = |source| RigError::Io { file: file.clone(), source };
        let mut bytes = Vec::new();
        // A device or an endless pipe must not fill the memory.
        File::open(path).map_err(io)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        Self::from_bytes(&file, &bytes)
    }

    /// Reads a rig from the bytes of a file; `file` is its name for messages and its ending tells which it is: `.rig.ron`, `.pto` (Hugin),
    /// `.ptv` (stitchEm), or `.json`, `.yaml` and `.yml`, whose content tells whether it is a project of stitchEm, a lens profile of
    /// Gyroflow, a camera chain of Kalibr or, where it is none of these, OpenCV's calibration of one camera.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Self, RigError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(RigError::TooLarge { file: file.to_owned() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| RigError::NotText { file: file.to_owned() })?;
        let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
        match ending.as_str() {
            "pto" => Self::from_pto(file, text),
            "ptv" => Self::from_ptv(file, text),
            "json" => {
                let value = super::parse_json(file, text)?;
                if super::gyroflow::is_profile(&value) {
                    Self::from_gyroflow(file, text)
                } else if super::ptv::inputs(&value).is_some() {
                    Self::from_ptv(file, text)
                } else {
                    Self::from_one_opencv(file, text)
                }
            }
            "yaml" | "yml" if super::kalibr::is_chain(text) => Self::from_kalibr(file, text),
            "yaml" | "yml" => Self::from_one_opencv(file, text),
            _ => Self::from_ron(file, text),
        }
    }

    /// One camera of OpenCV's that looks ahead.
    fn from_one_opencv(file: &str, text: &str) -> Result<Self, RigError> {
        let camera = OpenCvCamera { file, text, model: OpenCvModel::Auto, orientation: YawPitchRoll::default() };
        Self::from_opencv(file.rsplit('/').next().unwrap_or(file), &[camera])
    }

    /// Reads a rig from the text of a `.rig.ron` file; `file` is its name for messages.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn from_ron(file: &str, text: &str) -> Result<Self, RigError> {
        let rig: Self = ron::from_str(text).map_err(|error| RigError::Syntax {
            file: file.to_owned(),
            line: error.span.start.line,
            reason: error.code.to_string(),
        })?;
        rig.validate()?;
        Ok(rig)
    }

    /// The text of a `.rig.ron` file.
    ///
    /// # Errors
    /// [`RigError::Missing`] if the rig cannot be written down.
    pub fn to_ron(&self) -> Result<String, RigError> {
        let config = ron::ser::PrettyConfig::new().compact_arrays(true);
        let text = ron::ser::to_string_pretty(self, config).map_err(|error| RigError::Missing {
            file: self.name.clone(),
            reason: format!("cannot be written as RON: {error}"),
        })?;
        Ok(text + "\n")
    }
}

/// Loads [`Rig`] assets from the files that [`Rig::from_bytes`] knows.
#[derive(Default, TypePath)]
pub struct RigLoader;

impl AssetLoader for RigLoader {
    type Asset = Rig;
    type Settings = ();
    type Error = RigError;

    async fn load(&self, reader: &mut dyn Reader, _settings: &(), context: &mut LoadContext<'_>) -> Result<Rig, RigError> {
        use bevy::tasks::futures_lite::AsyncReadExt as _;
        let file = context.path().to_string();
        let mut bytes = Vec::new();
        reader
            .take(MAX_FILE_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .await
            .map_err(|source| RigError::Io { file: file.clone(), source })?;
        Rig::from_bytes(&file, &bytes)
    }

    fn extensions(&self) -> &[&str] {
        &["rig.ron", "pto", "ptv", "json", "yaml", "yml"]
    }
}
