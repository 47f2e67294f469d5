//! The file on disk.

use super::{RecordError, track::Patch};
use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A file that always ends with a whole part.
pub(super) struct Disk {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Disk {
    /// Makes the file and its folders, under another name if there is one already.
    pub fn create(path: &Path, overwrite: bool) -> Result<Self, RecordError> {
        let refuse = |path: &Path, error: io::Error| RecordError::Create { path: path.into(), reason: error.to_string() };
        let path = if path.extension().is_some() { path.to_owned() } else { path.with_extension("mp4") };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| refuse(folder, error))?;
        }
        let made = |path, file| Self { path, file, written: 0 };
        if overwrite {
            return File::create(&path).map_err(|error| refuse(&path, error)).map(|file| made(path, file));
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        for number in 1..10_000 {
            let candidate = if number == 1 { path.clone() } else { path.with_file_name(format!("{stem}-{number}.{ending}")) };
            match OpenOptions::new().write(true).create_new(true).open(&candidate) {
                Ok(file) => return Ok(made(candidate, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refuse(&candidate, error)),
            }
        }
        Err(RecordError::Create { path, reason: "there are 9999 recordings of this name".into() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the parts that are whole.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Appends a part. What could be written of it only in part is cut off again.
    pub fn append(&mut self, part: &[u8]) -> Result<(), RecordError> {
        if let Err(error) = self.file.write_all(part) {
            if let Err(error) = self.file.set_len(self.written) {
                tracing::debug!("{} could not be cut to its whole parts: {error}", self.path.display());
            }
            return Err(self.stopped(&error));
        }
        self.written += part.len() as u64;
        Ok(())
    }

    /// Writes over what was left open, and waits until all is on disk.
    pub fn close(&mut self, patch: &Patch) -> Result<(), RecordError> {
        let mut write = || {
            self.file.seek(SeekFrom::Start(patch.at))?;
            self.file.write_all(&patch.data)?;
            self.file.seek(SeekFrom::End(0))?;
            self.file.sync_all()
        };
        write().map_err(|error| self.stopped(&error))
    }

    /// Removes a file that nothing was written to.
    pub fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("{} could not be removed: {error}", self.path.display());
        }
    }

    fn stopped(&self, error: &io::Error) -> RecordError {
        RecordError::Write { path: self.path.clone(), reason: error.to_string(), written_bytes: self.written }
    }
}
