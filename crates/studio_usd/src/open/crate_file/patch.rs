//! Empty arrays of strings and assets, which `openusd` 0.6 takes for arrays as long as the beginning of the file says.
//!
//! An array without elements has no place in the file. Of the arrays that are lists of indices only those of tokens are read so; what is
//! empty is the same of any type, so these are said to be of tokens. Values within dictionaries and samples are changed where they are;
//! fields are compressed, so they are written anew behind the end of the file, without compression.

use super::{
    Layer,
    bytes::Bytes,
    tables::Tables,
    values::{Rep, kind},
};
use std::sync::Arc;

/// What an empty array becomes.
const EMPTY: u64 = 1 << 63 | (kind::TOKEN as u64) << 48;

/// Whether a value is an empty array that is not read as one.
pub(super) fn is_misread(rep: Rep) -> bool {
    let is_list = matches!(rep.kind(), kind::STRING | kind::ASSET_PATH | kind::PATH_EXPRESSION);
    rep.is_array() && !rep.is_inlined() && rep.payload() == 0 && is_list
}

/// The layer with such arrays changed; `None` if it has none.
pub(super) fn patch(layer: &Layer<'_>, tables: &Tables, nested: &[usize]) -> Option<Arc<[u8]>> {
    let has_field = tables.fields.iter().any(|(_, value)| is_misread(Rep(*value)));
    if !has_field && nested.is_empty() {
        return None;
    }
    let mut bytes = layer.bytes.to_vec();
    for at in nested {
        bytes.get_mut(*at..*at + 8)?.copy_from_slice(&EMPTY.to_le_bytes());
    }
    if has_field {
        let start = bytes.len();
        let mut old = layer.section("FIELDS")?;
        let count = old.u64().ok()?;
        let size = old.u64().ok()?;
        let names = old.take(size).ok()?;
        bytes.extend(count.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(names);
        let values = tables.fields.iter().map(|(_, value)| if is_misread(Rep(*value)) { EMPTY } else { *value });
        let values: Vec<u8> = values.flat_map(u64::to_le_bytes).collect();
        let block = literals(&values);
        bytes.extend((block.len() as u64).to_le_bytes());
        bytes.extend(block);
        let size = bytes.len() - start;
        let mut header = Bytes::new(layer.bytes, 16);
        let place = header.u64().ok()? as usize + 8 + 32 * layer.sections.iter().position(|(name, _)| name == "FIELDS")? + 16;
        bytes.get_mut(place..place + 8)?.copy_from_slice(&(start as u64).to_le_bytes());
        bytes.get_mut(place + 8..place + 16)?.copy_from_slice(&(size as u64).to_le_bytes());
    }
    Some(bytes.into())
}

/// Bytes as a block of LZ4 that repeats nothing, in one piece (*LZ4 Block Format Description*).
fn literals(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0];
    match bytes.len().checked_sub(15) {
        None => out.push((bytes.len() as u8) << 4),
        Some(mut rest) => {
            out.push(0xf0);
            while rest >= 255 {
                out.push(255);
                rest -= 255;
            }
            out.push(rest as u8);
        }
    }
    out.extend(bytes);
    out
}
