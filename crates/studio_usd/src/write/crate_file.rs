//! `.usdc` crates that current tools read.
//!
//! `openusd` writes them, and three things are mended in what it has written:
//!
//! - The version. It writes the structure that has been the same since 0.8.0 but calls it 0.12.0, which tools that do not know that version
//!   refuse. The version that each kind of value came with is in `OpenUSD`'s `crateFile.cpp`.
//! - Lists of children. It writes them as arrays of tokens, as attributes have them; `OpenUSD` takes only its type `TokenVector` for such
//!   fields and sees no children otherwise. Both are stored alike, so changing the field's type is enough.
//! - Short arrays of integers. It compresses them from 4 integers on; `OpenUSD` takes those with less than 16 as they are.

use super::{WriteError, retyped};
use openusd::{
    sdf::{AbstractData, ChildrenKey, FieldKey, Value},
    usdc::{CrateFile, CrateWriter},
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
    let mut bytes = mend(bytes.into_inner())?;
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

/// Fields that `OpenUSD` takes only as `TokenVector`. Within crates the children that are properties have a name of their own.
const TOKEN_LISTS: [&str; 6] = [
    ChildrenKey::PrimChildren.as_str(),
    "properties",
    ChildrenKey::VariantSetChildren.as_str(),
    ChildrenKey::VariantChildren.as_str(),
    FieldKey::PrimOrder.as_str(),
    FieldKey::PropertyOrder.as_str(),
];
/// Fields that it takes only as `StringVector`.
const STRING_LISTS: [&str; 1] = [FieldKey::SubLayers.as_str()];

/// `TypeEnum` of `crateDataTypes.h`.
const TYPE_INT: u64 = 3;
const TYPE_UINT: u64 = 4;
const TYPE_INT64: u64 = 5;
const TYPE_UINT64: u64 = 6;
const TYPE_DICTIONARY: u64 = 31;
const TYPE_TIME_SAMPLES: u64 = 46;
const TYPE_STRING: u64 = 10;
const TYPE_TOKEN: u64 = 11;
const TYPE_TOKEN_VECTOR: u64 = 41;
const TYPE_STRING_VECTOR: u64 = 50;
/// A value's representation: flags, its type, where it is.
const IS_ARRAY: u64 = 1 << 63;
const IS_INLINED: u64 = 1 << 62;
const IS_COMPRESSED: u64 = 1 << 61;
const PAYLOAD_MASK: u64 = (1 << 48) - 1;
/// `MinCompressedArraySize` of `crateFile.cpp`.
const LEAST_COMPRESSED: u64 = 16;
const TYPE_SHIFT: u32 = 48;
const TYPE_MASK: u64 = 0xFF << TYPE_SHIFT;
/// `PXR-USDC`, the version in eight bytes, and where the table of contents is.
const CONTENTS_AT: std::ops::Range<usize> = 16..24;

/// Changes what `OpenUSD` would misread.
fn mend(bytes: Vec<u8>) -> Result<Vec<u8>, WriteError> {
    let lost = || failed("its values are not where they were written");
    let file = CrateFile::open(Cursor::new(bytes.clone())).map_err(failed)?;
    let mut sections = Vec::with_capacity(file.sections.len());
    for section in &file.sections {
        let place = usize::try_from(section.start).ok().zip(usize::try_from(section.size).ok());
        let (start, size) = place.ok_or_else(lost)?;
        sections.push((section.name().to_owned(), start, size));
    }
    let first = sections.iter().map(|(_, start, _)| *start).min().ok_or_else(lost)?;
    let mut mender = Mender { heap: bytes.get(..first).ok_or_else(lost)?.to_vec(), file };
    let mut representations = Vec::with_capacity(mender.file.fields.len() * 8);
    for at in 0..mender.file.fields.len() {
        let Some(field) = mender.file.fields.get(at).copied() else { break };
        let name = mender.file.tokens.get(field.token_index).cloned().unwrap_or_default();
        let new = mender.field(&name, field.value_rep.0).ok_or_else(lost)?;
        representations.extend_from_slice(&new.to_le_bytes());
    }
    assemble(mender.heap, &bytes, &sections, &representations).ok_or_else(lost)
}

struct Mender {
    /// All values; what is new is at the end.
    heap: Vec<u8>,
    file: CrateFile<Cursor<Vec<u8>>>,
}

impl Mender {
    /// A field's representation as it has to be.
    fn field(&mut self, name: &str, old: u64) -> Option<u64> {
        let of = |from: u64, to: u64| {
            let is_array_of = old & (IS_ARRAY | TYPE_MASK) == IS_ARRAY | from << TYPE_SHIFT;
            if is_array_of { old & !(IS_ARRAY | TYPE_MASK) | to << TYPE_SHIFT } else { old }
        };
        if TOKEN_LISTS.contains(&name) {
            Some(of(TYPE_TOKEN, TYPE_TOKEN_VECTOR))
        } else if STRING_LISTS.contains(&name) {
            Some(of(TYPE_STRING, TYPE_STRING_VECTOR))
        } else {
            self.value(old, MAX_DEPTH)
        }
    }

    /// A value's representation as it has to be; values within it are mended in place.
    fn value(&mut self, old: u64, depth: usize) -> Option<u64> {
        let deeper = depth.checked_sub(1)?;
        let at = usize::try_from(old & PAYLOAD_MASK).ok()?;
        match (old & TYPE_MASK) >> TYPE_SHIFT {
            TYPE_INT | TYPE_UINT | TYPE_INT64 | TYPE_UINT64 if old & IS_ARRAY != 0 && old & IS_COMPRESSED != 0 => {
                if self.number(at)? < LEAST_COMPRESSED { self.uncompressed(old) } else { Some(old) }
            }
            TYPE_DICTIONARY if old & (IS_ARRAY | IS_INLINED) == 0 => {
                let mut entry = at.checked_add(8)?;
                for _ in 0..self.number(at)? {
                    // The key, then how far from here the value's representation is, which ends the entry.
                    let slot = entry.checked_add(4)?;
                    let place = slot.checked_add(usize::try_from(self.number(slot)?).ok()?)?;
                    self.mend_at(place, deeper)?;
                    entry = place.checked_add(8)?;
                }
                Some(old)
            }
            TYPE_TIME_SAMPLES if old & IS_INLINED == 0 => {
                // How far the times are, and after them how far the values are.
                let times = at.checked_add(usize::try_from(self.number(at)?).ok()?)?;
                let slot = times.checked_add(8)?;
                let values = slot.checked_add(usize::try_from(self.number(slot)?).ok()?)?;
                for index in 0..usize::try_from(self.number(values)?).ok()? {
                    self.mend_at(values.checked_add(8)?.checked_add(index.checked_mul(8)?)?, deeper)?;
                }
                Some(old)
            }
            _ => Some(old),
        }
    }

    fn mend_at(&mut self, place: usize, depth: usize) -> Option<()> {
        let old = self.number(place)?;
        let new = self.value(old, depth)?;
        if new != old {
            self.heap.get_mut(place..place.checked_add(8)?)?.copy_from_slice(&new.to_le_bytes());
        }
        Some(())
    }

    /// Writes a short array of integers once more, as it is.
    fn uncompressed(&mut self, old: u64) -> Option<u64> {
        let mut representation = self.file.fields.first()?.value_rep;
        representation.0 = old;
        let value = self.file.value(representation).ok()?;
        let at = self.heap.len() as u64;
        let mut put = |count: usize, bytes: &mut dyn Iterator<Item = u8>| {
            self.heap.extend_from_slice(&(count as u64).to_le_bytes());
            self.heap.extend(bytes);
        };
        match value {
            Value::IntVec(values) => put(values.len(), &mut values.iter().flat_map(|value| value.to_le_bytes())),
            Value::UintVec(values) => put(values.len(), &mut values.iter().flat_map(|value| value.to_le_bytes())),
            Value::Int64Vec(values) => put(values.len(), &mut values.iter().flat_map(|value| value.to_le_bytes())),
            Value::Uint64Vec(values) => put(values.len(), &mut values.iter().flat_map(|value| value.to_le_bytes())),
            _ => return None,
        }
        Some(old & !(IS_COMPRESSED | PAYLOAD_MASK) | at)
    }

    fn number(&self, at: usize) -> Option<u64> {
        let bytes = self.heap.get(at..at.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// The file again with other values. Sections hold no places in the file other than those, so they can be moved.
fn assemble(mut out: Vec<u8>, bytes: &[u8], sections: &[(String, usize, usize)], representations: &[u8]) -> Option<Vec<u8>> {
    let mut contents = (sections.len() as u64).to_le_bytes().to_vec();
    for (name, start, size) in sections {
        let section = bytes.get(*start..start.checked_add(*size)?)?;
        let at = out.len();
        if name == "FIELDS" {
            // How many, the names (their size and they themselves), then the representations in the same way.
            let names = usize::try_from(u64::from_le_bytes(section.get(8..16)?.try_into().ok()?)).ok()?;
            out.extend_from_slice(section.get(..names.checked_add(16)?)?);
            let stored = stored_lz4(representations);
            out.extend_from_slice(&(stored.len() as u64).to_le_bytes());
            out.extend_from_slice(&stored);
        } else {
            out.extend_from_slice(section);
        }
        let mut padded = [0_u8; 16];
        padded.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        contents.extend_from_slice(&padded);
        contents.extend_from_slice(&(at as u64).to_le_bytes());
        contents.extend_from_slice(&((out.len() - at) as u64).to_le_bytes());
    }
    let at = out.len() as u64;
    out.extend_from_slice(&contents);
    out.get_mut(CONTENTS_AT)?.copy_from_slice(&at.to_le_bytes());
    Some(out)
}

/// Bytes in the frame of `TfFastCompression` (a zero for a single chunk) as one LZ4 sequence of literals (LZ4 Block Format Description).
fn stored_lz4(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 255 + 8);
    out.push(0);
    match bytes.len().checked_sub(15) {
        None => out.push((bytes.len() as u8) << 4),
        Some(mut rest) => {
            out.push(0xF0);
            while rest >= 255 {
                out.push(255);
                rest -= 255;
            }
            out.push(rest as u8);
        }
    }
    out.extend_from_slice(bytes);
    out
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
