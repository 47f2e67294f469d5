//! Reading and writing rig files.

use super::{Rig, RigError};
use bevy::{
    asset::{AssetLoader, LoadContext, io::Reader},
    prelude::*,
};
use std::{fs::File, io::Read as _, path::Path};

/// The largest file that is read as a rig.
pub const MAX_FILE_BYTES: usize = 1 << 20;

impl Rig {
    /// Reads a rig from a `.rig.ron` or Hugin `.pto` file.
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

    /// Reads a rig from the bytes of a `.rig.ron` or `.pto` file; `file` is its name for messages and tells which it is.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn from_bytes(file: &str, bytes: &[u8]) -> Result<Self, RigError> {
        if bytes.len() > MAX_FILE_BYTES {
            return Err(RigError::TooLarge { file: file.to_owned() });
        }
        let text = core::str::from_utf8(bytes).map_err(|_| RigError::NotText { file: file.to_owned() })?;
        if file.ends_with(".pto") { Self::from_pto(file, text) } else { Self::from_ron(file, text) }
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

/// Loads [`Rig`] assets from `.rig.ron` and Hugin `.pto` files.
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
        &["rig.ron", "pto"]
    }
}
