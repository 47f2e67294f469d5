//! What can be wrong with geometry.

use studio_usd::snapshot::Interpolation;
use thiserror::Error;

/// Geometry that cannot be made into a mesh.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GeometryError {
    /// The faces have more or fewer corners than there are indices.
    #[error("faceVertexCounts add up to {corners} corners but faceVertexIndices has {indices}; both have to agree")]
    CornerCount {
        /// The sum of the counts.
        corners: u64,
        /// How many indices there are.
        indices: usize,
    },
    /// An index points past the end.
    #[error("{what}[{at}] is {index}, but there are only {count}")]
    Index {
        /// The attribute that has the index.
        what: String,
        /// Where in it.
        at: usize,
        /// The index.
        index: u64,
        /// How many there are to point at.
        count: usize,
    },
    /// An attribute has too few values.
    #[error("{what} is {interpolation:?} and has {found} values where {expected} are needed")]
    Values {
        /// The attribute.
        what: String,
        /// What its values belong to.
        interpolation: Interpolation,
        /// How many values it has.
        found: usize,
        /// How many it has to have.
        expected: usize,
    },
    /// A number is infinite or not a number.
    #[error("{what}[{at}] is not a finite number")]
    NotFinite {
        /// The attribute.
        what: String,
        /// Where in it.
        at: usize,
    },
    /// The lengths of two attributes do not go together.
    #[error("{what} has {found} values where {expected} are needed")]
    Length {
        /// The attribute.
        what: String,
        /// How many values it has.
        found: usize,
        /// How many it has to have.
        expected: usize,
    },
    /// More than can be held.
    #[error("{what}: {count} is more than the {limit} that a mesh can have; split it")]
    TooLarge {
        /// What there is too much of.
        what: String,
        /// How much there is.
        count: u64,
        /// How much there may be.
        limit: u64,
    },
    /// The mesh is not what the update was made for, or has left the main world.
    #[error("the mesh cannot be changed: {0}")]
    Update(String),
}
