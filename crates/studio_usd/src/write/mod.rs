//! Layers to bytes and to files: `.usda` text, `.usdc` crates that current tools read, `.usdz` packages with their textures.
//!
//! [`LayerBuilder`] makes layers whose values have the types that their attributes say. [`to_bytes`] writes any layer, [`flatten`] makes
//! one layer of a composed stage, [`package`] puts a layer and all that it reads into one file, and [`write_atomically`] puts bytes in
//! place of a file so that there is always a whole one, the old or the new.

mod atomic;
mod builder;
mod crate_file;
mod flatten;
mod names;
mod package;
mod text;
mod types;

pub use atomic::{write_atomically, write_atomically_with};
pub use builder::LayerBuilder;
pub use crate_file::{CrateVersion, crate_version, to_crate};
pub use flatten::{Flattened, flatten};
pub use names::{UniqueNames, prim_name};
pub use package::{Package, Packaged, package, package_stage};
pub use text::to_text;
pub use types::retyped;

/// The types that layers are made of.
pub use openusd::{gf, sdf, usd};

use openusd::sdf::AbstractData;
use std::path::{Path, PathBuf};

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file's extension says nothing about its format.
    #[error("`{}` has no extension of a USD file; use .usda, .usdc, .usd (binary) or .usdz", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A value that the format cannot hold.
    #[error("the layer cannot be written as {format}: {reason}")]
    Layer {
        /// `text`, `a crate`.
        format: &'static str,
        /// Why, with the path where that is known.
        reason: String,
    },
    /// A value does not have the type that its attribute says.
    #[error("<{path}> is `{type_name}` but was given {value}")]
    Type {
        /// The attribute.
        path: String,
        /// What it says.
        type_name: String,
        /// What it was given.
        value: &'static str,
    },
    /// A name or a path that USD does not know as one.
    #[error("`{path}` is no path of a prim or property: {reason}")]
    Path {
        /// As it was given.
        path: String,
        /// Why.
        reason: String,
    },
    /// A file that does not fit into a package.
    #[error("`{entry}` cannot go into the package: {reason}")]
    Package {
        /// Its name.
        entry: String,
        /// Why.
        reason: String,
    },
    /// The composed stage could not be read.
    #[error("<{path}> cannot be flattened: {reason}")]
    Flatten {
        /// The prim or property.
        path: String,
        /// Why.
        reason: String,
    },
}

/// How a layer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerFormat {
    /// Text.
    Usda,
    /// Binary ("crate").
    Usdc,
    /// A package: a stored ZIP archive with the layer first.
    Usdz,
}

impl LayerFormat {
    /// What a file's extension asks for; `.usd` is binary, as other tools write it.
    ///
    /// # Errors
    /// [`WriteError::Extension`] for all others.
    pub fn of_path(path: &Path) -> Result<Self, WriteError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("usda") => Ok(Self::Usda),
            Some("usdc" | "usd") => Ok(Self::Usdc),
            Some("usdz") => Ok(Self::Usdz),
            _ => Err(WriteError::Extension { path: path.to_owned() }),
        }
    }
}

/// A layer in a format. A package made by this holds nothing but the layer; [`package`] brings along what it reads.
///
/// # Errors
/// [`WriteError::Layer`] if the format cannot hold a value (splines in a crate).
pub fn to_bytes(layer: &dyn AbstractData, format: LayerFormat) -> Result<Vec<u8>, WriteError> {
    match format {
        LayerFormat::Usda => to_text(layer).map(String::into_bytes),
        LayerFormat::Usdc => to_crate(layer),
        LayerFormat::Usdz => Package::new("scene.usdc", to_crate(layer)?)?.to_bytes(),
    }
}

#[cfg(test)]
mod tests;
