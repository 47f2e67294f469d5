//! Blueprints as files: in their own format, and in those that plugins add.
//!
//! | extension | what it is | who reads it |
//! |---|---|---|
//! | `.blueprint.ron`, and any that nobody else takes | the text itself | this module |
//! | others, such as `.usda` | a file that has a blueprint in it | whoever added a [`BlueprintFormat`] |

use super::{Blueprint, Problem, read::read, write::write};
use crate::registry::{InputPath, kind_named};
use bevy::{
    asset::ReflectHandle,
    prelude::*,
    reflect::{NamedField, TypeInfo, TypeRegistry},
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A format of files that have a blueprint in them.
#[derive(Clone, Copy, Debug)]
pub struct BlueprintFormat {
    /// What people call it.
    pub name: &'static str,
    /// The extensions of its files, in lower case and without the dot.
    pub extensions: &'static [&'static str],
    /// Reads the blueprint in a file, as much of it as can be read, with what is wrong; or says why there is none.
    pub read: fn(&Path) -> Result<(Blueprint, Vec<Problem>), String>,
    /// Puts a blueprint into a file, in place of the one that is there; all else in the file stays. Makes the file if there is none.
    pub write: fn(&Path, &Blueprint) -> Result<(), String>,
}

/// The formats that plugins add to blueprints' own.
#[derive(Resource, Clone, Debug, Default)]
pub struct BlueprintFormats(Vec<BlueprintFormat>);

/// Why a file with a blueprint is not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlueprintFileError {
    /// It cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It cannot be written.
    #[error("{path} cannot be written: {reason}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl BlueprintFormats {
    /// Adds a format. Of two with the same extension the later one holds.
    pub fn add(&mut self, format: BlueprintFormat) {
        self.0.push(format);
    }

    /// The format of a file that is not blueprints' own.
    pub fn format_of(&self, path: &Path) -> Option<&BlueprintFormat> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        self.0.iter().rev().find(|format| format.extensions.contains(&extension.as_str()))
    }

    /// All extensions of files that may have a blueprint in them, blueprints' own first.
    pub fn extensions(&self) -> Vec<&'static str> {
        let others = self.0.iter().flat_map(|format| format.extensions.iter().copied());
        core::iter::once(Blueprint::EXTENSION).chain(others).collect()
    }

    /// The blueprint in a file, as much of it as can be read, with what is wrong.
    ///
    /// # Errors
    /// [`BlueprintFileError::Read`], with the file's name.
    pub fn read(&self, path: &Path) -> Result<(Blueprint, Vec<Problem>), BlueprintFileError> {
        let refuse = |reason: String| BlueprintFileError::Read { path: path.to_owned(), reason };
        if let Some(format) = self.format_of(path) {
            return (format.read)(path).map_err(refuse);
        }
        let size = std::fs::metadata(path).map_err(|error| refuse(error.to_string()))?.len();
        if size > Blueprint::MAX_BYTES as u64 {
            return Err(refuse(format!("it has {size} bytes; a blueprint may have {} at most", Blueprint::MAX_BYTES)));
        }
        Ok(read(&std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?))
    }

    /// Writes a blueprint to a file. A crash or a full disk leaves the old one.
    ///
    /// # Errors
    /// [`BlueprintFileError::Write`], with the file's name.
    pub fn write(&self, path: &Path, blueprint: &Blueprint) -> Result<(), BlueprintFileError> {
        let refuse = |reason: String| BlueprintFileError::Write { path: path.to_owned(), reason };
        match self.format_of(path) {
            Some(format) => (format.write)(path, blueprint).map_err(refuse),
            None => write_whole(path, &write(blueprint)),
        }
    }
}

/// Writes a file beside its place and moves it there, so that a crash or a full disk leaves the old one.
///
/// # Errors
/// [`BlueprintFileError::Write`], with the file's name.
pub fn write_whole(path: &Path, text: &str) -> Result<(), BlueprintFileError> {
    let refuse = |error: io::Error| BlueprintFileError::Write {
        path: path.to_owned(),
        reason: format!("{error}; choose another folder or change its permissions"),
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(refuse)?;
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, path)).map_err(|error| {
        // What is half written is of no use; that it cannot be removed either changes nothing.
        std::fs::remove_file(&beside).ok();
        refuse(error)
    })
}

/// Has relative paths of files lead to the same files from another folder: those below it stay relative. Both folders are absolute.
pub fn move_paths(blueprint: &mut Blueprint, registry: &TypeRegistry, from: &Path, to: &Path) {
    let graphs = blueprint.subgraphs.iter_mut().map(|subgraph| &mut subgraph.graph.nodes);
    for node in graphs.chain([&mut blueprint.nodes]).flatten() {
        let Some(kind) = kind_named(registry, &node.kind) else { continue };
        let TypeInfo::Struct(info) = kind.registration.type_info() else { continue };
        for setting in &mut node.settings {
            if !info.field(&setting.field).is_some_and(|field| is_path(registry, field)) {
                continue;
            }
            let Ok(text) = ron::from_str::<String>(&setting.value) else { continue };
            if text.is_empty() || text.contains("://") {
                continue;
            }
            // Joining an absolute path gives that path.
            let file = from.join(&text);
            let file = file.strip_prefix(to).unwrap_or(&file);
            setting.value = format!("{:?}", file.display().to_string());
        }
    }
}

/// Whether a setting names a file: an asset, or one that is marked as such.
pub fn is_path(registry: &TypeRegistry, field: &NamedField) -> bool {
    let handle = registry.get(field.type_id()).is_some_and(|known| known.contains::<ReflectHandle>());
    handle || field.has_attribute::<InputPath>()
}
