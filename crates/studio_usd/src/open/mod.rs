//! Opening a stage within budgets: layers from any source, nothing outside of it, errors with their layer and line.
//!
//! Files are hostile until shown otherwise. Composition is `openusd`'s, whose readers trust what a file says, so every layer is checked
//! before it gets there:
//!
//! - `text`: layers in the text format, with `openusd`'s own tokens, so that check and parser see the same file;
//! - `crate_file`: layers in the binary format, with every offset, count and index, also those of values that are read later;
//! - `package`: `.usdz`, of which only entries that are stored as the standard says are read.
//!
//! The checks know what a layer refers to, which is how a loader that fetches layers one by one knows what to fetch: [`scan_references`]
//! and [`scan_assets`].
//!
//! A stage stays on the thread that opened it. [`open_stage`] opens one on the calling thread; [`StageHost`](crate::host::StageHost)
//! keeps one on a thread of its own, with a stack of a known size and a limit in time that the caller can rely on.
//!
//! What `openusd` 0.6 cannot read and other programs can is rewritten on the way in, line by line: see `text`.

mod arcs;
mod budget;
mod crate_file;
mod error;
mod layers;
mod options;
mod package;
mod panic;
mod path;
mod scan;
mod source;
mod stage;
mod text;

pub use budget::Budget;
pub use error::{Issue, IssueSeverity, UsdError};
pub use options::{OpenOptions, Payloads, VariantChoice};
pub use path::{anchor, package_of};
pub use scan::{ReferenceKind, ScannedReference, scan_assets, scan_layer, scan_references};
pub use source::{FolderSource, LayerSource, MemorySource};
pub use stage::{OpenReport, OpenedStage, open_stage};

pub(crate) use layers::{LayerStore, StoreResolver};
pub(crate) use panic::catch;
pub(crate) use path::{SESSION_LAYER, extension, is_default_prim, is_list_of_specs, is_sound};
pub(crate) use stage::{open_with, prim_path, report, store_for, walk};

#[cfg(test)]
pub(crate) mod tests;
