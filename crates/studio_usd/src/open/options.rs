//! How a stage is opened.

use super::Budget;
use serde::{Deserialize, Serialize};

/// How a stage is opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenOptions {
    /// How much it may take.
    pub budget: Budget,
    /// Which payloads are loaded.
    pub load_payloads: Payloads,
    /// The paths of prims to which the stage is limited, with all above and below them; empty for no limit.
    pub mask: Vec<String>,
    /// Variants chosen over what the layers say, by opinions in the session layer.
    pub variants: Vec<VariantChoice>,
    /// Variants for sets of which no layer chooses one: the name of the set, and variants in the order they are tried. Where none is there,
    /// nothing is chosen.
    pub variant_fallbacks: Vec<(String, Vec<String>)>,
    /// Identifiers of layers that take no part.
    pub muted_layers: Vec<String>,
}

/// Which payloads are loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Payloads {
    /// All of them.
    #[default]
    All,
    /// None of them.
    None,
    /// Those of these prims, of what is above them, and of all below them.
    Of(Vec<String>),
}

/// A variant chosen for a prim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VariantChoice {
    /// The path of the prim.
    pub prim: String,
    /// The name of the set.
    pub set: String,
    /// The name of the variant; empty for none.
    pub variant: String,
}
