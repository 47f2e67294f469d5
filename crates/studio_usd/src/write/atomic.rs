//! Files that are always whole.

use super::WriteError;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// Puts bytes in place of a file. Until they are all on the disk, and if they cannot be written, the old file stays as it is.
///
/// # Errors
/// [`WriteError::Io`].
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), WriteError> {
    write_atomically_with(path, |file| file.write_all(bytes))
}

/// Puts what `write` writes in place of a file, as [`write_atomically`] does.
///
/// # Errors
/// [`WriteError::Io`], also with what `write` returns.
pub fn write_atomically_with(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<(), WriteError> {
    // A link stays a link: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = temporary_beside(&target);
    let result = replace(&target, &temporary, write);
    if result.is_err() {
        // It may not be there at all; what counts is the first error.
        let _ = fs::remove_file(&temporary);
    }
    result.map_err(|source| WriteError::Io { path: path.to_owned(), source })
}

fn replace(target: &Path, temporary: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let old = fs::metadata(target).ok();
    if let Some(old) = &old {
        if old.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder"));
        }
        // A rename would replace it all the same.
        if old.permissions().readonly() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is write-protected"));
        }
    }
    let mut file = OpenOptions::new().write(true).read(true).create_new(true).open(temporary)?;
    write(&mut file)?;
    if let Some(old) = old {
        file.set_permissions(old.permissions())?;
    }
    file.sync_all()?;
    drop(file);
    fs::rename(temporary, target)
}

/// A name of its own in the same folder: a rename does not cross file systems.
fn temporary_beside(target: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = target.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    target.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()))
}
