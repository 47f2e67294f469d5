//! What nothing else of the snapshot says: raw attributes, relationships and metadata.

use super::{read::PrimReader, read::flatten, value};
use crate::snapshot::{Attribute, AttributeValue};
use openusd::sdf::Value;
use std::collections::BTreeMap;

/// The attributes and relationships that were not taken.
pub(super) fn properties(prim: &PrimReader<'_>) -> (Vec<Attribute>, Vec<(String, Vec<String>)>) {
    let mut attributes = Vec::new();
    let mut relationships = Vec::new();
    for name in &prim.names {
        if prim.is_taken(name) {
            continue;
        }
        // Relationships have no type.
        match prim.type_name(name) {
            Some(type_name) => attributes.push(prim.raw_attribute(name, type_name)),
            None => {
                let targets = prim.targets(name).iter().map(|path| prim.scope.write(path)).collect();
                relationships.push((name.to_string(), targets));
            }
        }
    }
    (attributes, relationships)
}

/// Dictionaries in the metadata, flattened, and what else people wrote about the prim.
pub(super) fn metadata(prim: &PrimReader<'_>) -> BTreeMap<String, AttributeValue> {
    let mut metadata = BTreeMap::new();
    for key in ["customData", "assetInfo", "sdrMetadata", "clips"] {
        if let Some(Value::Dictionary(entries)) = prim.metadata(key) {
            flatten(key, entries, &mut |name, value| {
                metadata.extend(value::any(value).map(|value| (name, value)));
            });
        }
    }
    for key in ["displayName", "comment", "documentation", "hidden", "instanceable"] {
        let value = prim.metadata(key).and_then(value::any);
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    }
    metadata
}
