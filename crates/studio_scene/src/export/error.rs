//! Why a scene could not be exported.

use bevy::prelude::*;
use studio_usd::write::WriteError;

/// Why a scene could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// An entity is not there, or no longer.
    #[error("{entity} is no longer there{what}; export before it is despawned, or leave it out with `NotExported`")]
    Despawned {
        /// The entity.
        entity: Entity,
        /// Its name when it was recorded, if it was: ` (Ball)`.
        what: String,
    },
    /// A mesh that USD cannot hold.
    #[error("the mesh of {name} ({entity}) cannot be exported: {reason}")]
    Mesh {
        /// The entity.
        entity: Entity,
        /// Its name.
        name: String,
        /// Why, and the way out.
        reason: String,
    },
    /// Numbers that are none.
    #[error("{what} of {name} ({entity}) has a number that is not finite")]
    NotFinite {
        /// The entity.
        entity: Entity,
        /// Its name.
        name: String,
        /// Which value.
        what: &'static str,
    },
    /// Time codes have to go up.
    #[error("time code {time} does not follow {last}: frames are recorded in order")]
    Time {
        /// The time code.
        time: f64,
        /// The one before.
        last: f64,
    },
    /// Transforms hang together in a circle, or lie too deep.
    #[error("{entity} lies deeper than {limit} parents")]
    TooDeep {
        /// The entity.
        entity: Entity,
        /// The most there may be.
        limit: usize,
    },
    /// The layer or the file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}
