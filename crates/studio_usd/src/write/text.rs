//! `.usda` text that current tools read.
//!
//! `openusd` writes it, but lists of tokens and strings with a single item without brackets, which `OpenUSD` takes for references and the
//! like, not for metadata such as `apiSchemas`. Such lists are handed to it as plain arrays of the name `prepend apiSchemas`. And it writes
//! `uniform rel`, which the grammar does not have: relationships never vary, and that is not said.

use super::{WriteError, retyped};
use openusd::{
    sdf::{AbstractData, Data, FieldKey, ListOp, SpecType, Value},
    tf::Token,
    usda::TextWriter,
};

/// A layer as text.
///
/// # Errors
/// [`WriteError::Layer`] if a value cannot be told in text.
pub fn to_text(layer: &dyn AbstractData) -> Result<String, WriteError> {
    let mut copy = retyped(layer)?;
    let mut lists = Vec::new();
    let mut uniform = Vec::new();
    let variability = FieldKey::Variability.as_str();
    for path in layer.spec_paths() {
        if layer.spec_type(&path) == Some(SpecType::Relationship) && layer.has_field(&path, variability) {
            uniform.push(path);
            continue;
        }
        if !matches!(layer.spec_type(&path), Some(SpecType::Prim | SpecType::Variant)) {
            continue;
        }
        for field in layer.list_fields(&path).unwrap_or_default() {
            // The grammar of these has single items.
            if field == FieldKey::VariantSetNames.as_str() {
                continue;
            }
            let value = layer.get_field(&path, &field).map_err(failed)?;
            if matches!(*value, Value::TokenListOp(_) | Value::StringListOp(_)) {
                lists.push((path.clone(), field, value.into_owned()));
            }
        }
    }
    if copy.is_none() && !(lists.is_empty() && uniform.is_empty()) {
        copy = Some(Data::from_abstract(layer).map_err(failed)?);
    }
    let Some(mut copy) = copy else {
        return TextWriter::write_to_string(layer).map_err(failed);
    };
    uniform.iter().for_each(|path| copy.erase_field(path, variability));
    for (path, field, value) in lists {
        copy.erase_field(&path, &field);
        match value {
            Value::TokenListOp(list) => put(&mut copy, &path, &field, list, |tokens: Vec<Token>| Value::TokenVec(tokens)),
            Value::StringListOp(list) => put(&mut copy, &path, &field, list, |texts: Vec<String>| Value::StringVec(texts)),
            _ => {}
        }
    }
    TextWriter::write_to_string(&copy).map_err(failed)
}

fn put<T>(layer: &mut Data, path: &openusd::sdf::Path, field: &str, list: ListOp<T>, array: impl Fn(Vec<T>) -> Value)
where
    T: Default + Clone + PartialEq,
{
    if list.explicit {
        layer.set_field(path, field, array(list.explicit_items));
        return;
    }
    let edits = [
        ("delete", list.deleted_items),
        ("add", list.added_items),
        ("prepend", list.prepended_items),
        ("append", list.appended_items),
        ("reorder", list.ordered_items),
    ];
    for (edit, items) in edits {
        if !items.is_empty() {
            layer.set_field(path, &format!("{edit} {field}"), array(items));
        }
    }
}

fn failed(error: impl std::fmt::Display) -> WriteError {
    WriteError::Layer { format: "text", reason: format!("{error:#}") }
}
