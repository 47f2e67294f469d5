//! `.usdc` crates in the oldest version that holds what is in them.
//!
//! `openusd` writes the structure that has been the same since 0.8.0 but calls it 0.12.0, which tools that do not know that version
//! refuse. The version that each kind of value came with is in `OpenUSD`'s `crateFile.cpp`.

use super::{WriteError, retyped};
use openusd::{
    sdf::{AbstractData, Value},
    usdc::CrateWriter,
};
use std::io::Cursor;

/// A version of the crate format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrateVersion(pub u8, pub u8, pub u8);

impl CrateVersion {
    /// Payloads in lists, with layer offsets: what everyone reads, and what `OpenUSD` itself writes if nothing newer is needed.
    pub const BASE: Self = Self(0, 8, 0);
    /// `timecode` values.
    pub const TIME_CODES: Self = Self(0, 9, 0);
    /// Path expressions.
    pub const PATH_EXPRESSIONS: Self = Self(0, 10, 0);
    /// Relocates.
    pub const RELOCATES: Self = Self(0, 11, 0);
    /// Splines.
    pub const SPLINES: Self = Self(0, 12, 0);
}

/// Where the version is: after `PXR-USDC`.
const VERSION_AT: std::ops::Range<usize> = 8..11;
/// Dictionaries within dictionaries that are looked into.
const MAX_DEPTH: usize = 64;

/// A layer as a crate.
///
/// # Errors
/// [`WriteError::Layer`] if there is a value that crates cannot hold.
pub fn to_crate(layer: &dyn AbstractData) -> Result<Vec<u8>, WriteError> {
    let copy = retyped(layer)?;
    let layer = copy.as_ref().map_or(layer, |copy| copy as &dyn AbstractData);
    let version = crate_version(layer)?;
    let mut bytes = Cursor::new(Vec::new());
    CrateWriter::write(layer, &mut bytes).map_err(failed)?;
    let mut bytes = bytes.into_inner();
    let Some(stamp) = bytes.get_mut(VERSION_AT) else {
        return Err(WriteError::Layer { format: "a crate", reason: "it came out empty".to_owned() });
    };
    stamp.copy_from_slice(&[version.0, version.1, version.2]);
    Ok(bytes)
}

/// The oldest version of the crate format that holds all of a layer.
///
/// # Errors
/// [`WriteError::Layer`] if a value cannot be read.
pub fn crate_version(layer: &dyn AbstractData) -> Result<CrateVersion, WriteError> {
    let mut version = CrateVersion::BASE;
    for path in layer.spec_paths() {
        for field in layer.list_fields(&path).unwrap_or_default() {
            let value = layer.get_field(&path, &field).map_err(failed)?;
            let needed = if field == "spline" { CrateVersion::SPLINES } else { of_value(&value, MAX_DEPTH) };
            version = version.max(needed);
        }
    }
    Ok(version)
}

fn of_value(value: &Value, depth: usize) -> CrateVersion {
    let Some(deeper) = depth.checked_sub(1) else {
        return CrateVersion::SPLINES;
    };
    let all = |values: &mut dyn Iterator<Item = &Value>| {
        values.map(|value| of_value(value, deeper)).max().unwrap_or(CrateVersion::BASE)
    };
    match value {
        Value::TimeCode(_) | Value::TimeCodeVec(_) => CrateVersion::TIME_CODES,
        Value::PathExpression(_) => CrateVersion::PATH_EXPRESSIONS,
        Value::Relocates(_) => CrateVersion::RELOCATES,
        Value::Dictionary(values) => all(&mut values.values()),
        // All samples of an attribute are of its type.
        Value::TimeSamples(samples) => all(&mut samples.iter().take(1).map(|(_, value)| value)),
        Value::ValueVec(values) => all(&mut values.iter()),
        _ => CrateVersion::BASE,
    }
}

fn failed(error: impl std::fmt::Display) -> WriteError {
    WriteError::Layer { format: "a crate", reason: format!("{error:#}") }
}
