//! What people rely on when they open stages from anywhere.

mod budgets;
mod corpus;
mod hostile;
mod packages;
mod sources;
mod text;

use super::*;
use std::{path::PathBuf, sync::Arc};

/// Files in memory.
pub(crate) fn memory(files: &[(&str, &str)]) -> Arc<MemorySource> {
    Arc::new(MemorySource::new(files.iter().map(|(name, text)| (*name, text.as_bytes().to_vec()))))
}

/// Opens `root.usda` of files in memory.
fn open(files: &[(&str, &str)]) -> Result<OpenedStage, UsdError> {
    open_stage(memory(files), "root.usda", &OpenOptions::default())
}

/// The folder of test data, if it is there.
pub(crate) fn corpus() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/usd");
    if folder.join("EXPECTED.json").is_file() {
        return Some(folder);
    }
    eprintln!("skipped: shared/data/usd absent");
    None
}
