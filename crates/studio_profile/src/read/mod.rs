//! From text to a profile: the studio's own form, and the one that other tools use.
//!
//! Every fault is a [`Problem`] with its line, so that a list of them is told as one tells a blueprint's.

mod json;
mod ron;
#[cfg(test)]
mod tests;

use crate::profile::HeadsetProfile;
use std::path::Path;
use studio_graph::blueprint::{
    Problem,
    problem::{has_errors, list_of_file},
};

/// Why a file gives no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// It could not be read.
    #[error("{file}: it cannot be read: {source}")]
    Read {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is too large.
    #[error("{file}: a profile has {} bytes at most, this file has {bytes}", HeadsetProfile::MAX_BYTES)]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
    },
    /// It is no text.
    #[error("{0}: it is no text in UTF-8")]
    NoText(String),
    /// It has faults; one a line, with file, line and column.
    #[error("{0}")]
    Faults(String),
}

/// Reads a profile in either form: the studio's own (`.headset.ron`), or a JSON object as other tools write it. Bounded: texts
/// above [`HeadsetProfile::MAX_BYTES`] are refused unread, values may be nested 128 deep at most.
///
/// The profile is there if no problem is an error; every value of it is in its range then.
pub fn read(text: &str) -> (Option<HeadsetProfile>, Vec<Problem>) {
    if text.len() > HeadsetProfile::MAX_BYTES {
        let message = format!("a profile has {} bytes at most, this one has {}", HeadsetProfile::MAX_BYTES, text.len());
        return (None, vec![Problem::error(Default::default(), message)]);
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (profile, problems) = if text.trim_start().starts_with('{') { json::read(text) } else { ron::read(text) };
    (profile.filter(|_| !has_errors(&problems)), problems)
}

/// Reads a profile from a file, with the warnings.
///
/// # Errors
/// Everything that is wrong with it, each with file and line.
pub fn read_file(path: &Path) -> Result<(HeadsetProfile, Vec<Problem>), ProfileError> {
    let file = path.display().to_string();
    let unreadable = |source| ProfileError::Read { file: file.clone(), source };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > HeadsetProfile::MAX_BYTES as u64 {
        return Err(ProfileError::TooLarge { file, bytes });
    }
    let text = String::from_utf8(std::fs::read(path).map_err(unreadable)?).map_err(|_| ProfileError::NoText(file.clone()))?;
    match read(&text) {
        (Some(profile), problems) => Ok((profile, problems)),
        (None, problems) => Err(ProfileError::Faults(list_of_file(&problems, path))),
    }
}
