//! `.usda` text that current tools read.
//!
//! `openusd` writes it, but lists of tokens and strings with a single item without brackets, which `OpenUSD` takes for references and the
//! like, not for metadata such as `apiSchemas`. Such lists are handed to it as plain arrays of the name `prepend apiSchemas`. And it writes
//! `uniform rel`, which the grammar does not have: relationships never vary, and that is not said. And it writes strings as they are, while
//! every reader takes a backslash for the beginning of an escape.

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
    let mut has_escapes = false;
    let variability = FieldKey::Variability.as_str();
    for path in layer.spec_paths() {
        for field in layer.list_fields(&path).unwrap_or_default() {
            has_escapes = has_escapes || needs_escapes(&*layer.get_field(&path, &field).map_err(failed)?);
        }
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
    if copy.is_none() && !(lists.is_empty() && uniform.is_empty() && !has_escapes) {
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
    if has_escapes {
        for path in layer.spec_paths() {
            let Some(spec) = copy.spec_mut(&path) else { continue };
            spec.fields.iter_mut().for_each(|(_, value)| escape(value));
        }
    }
    TextWriter::write_to_string(&copy).map_err(failed)
}

/// The strings within a value, in turn, as long as `each` says so.
fn all_strings(value: &Value, each: &impl Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => each(text),
        Value::Token(token) => each(token.as_str()),
        Value::StringVec(texts) => texts.iter().all(|text| each(text)),
        Value::TokenVec(tokens) => tokens.iter().all(|token| each(token.as_str())),
        Value::StringListOp(list) => list.iter().all(|text| each(text)),
        Value::TokenListOp(list) => list.iter().all(|token| each(token.as_str())),
        Value::Dictionary(values) => values.values().all(|value| all_strings(value, each)),
        Value::ValueVec(values) => values.iter().all(|value| all_strings(value, each)),
        Value::TimeSamples(samples) => samples.iter().all(|(_, value)| all_strings(value, each)),
        _ => true,
    }
}

fn needs_escapes(value: &Value) -> bool {
    !all_strings(value, &|text| escaped(text).is_none())
}

/// The strings within a value as text has to write them.
fn escape(value: &mut Value) {
    let in_string = |text: &mut String| {
        if let Some(escaped) = escaped(text) {
            *text = escaped;
        }
    };
    let in_token = |token: &mut Token| {
        if let Some(escaped) = escaped(token.as_str()) {
            *token = escaped.into();
        }
    };
    match value {
        Value::String(text) => in_string(text),
        Value::Token(token) => in_token(token),
        Value::StringVec(texts) => texts.iter_mut().for_each(in_string),
        Value::TokenVec(tokens) => tokens.iter_mut().for_each(in_token),
        Value::Dictionary(values) => values.values_mut().for_each(escape),
        Value::ValueVec(values) => values.iter_mut().for_each(escape),
        Value::TimeSamples(samples) => samples.iter_mut().for_each(|(_, value)| escape(value)),
        _ => {}
    }
}

/// A string with escapes, if it needs any. Quotes do where `openusd`'s writer has no quotation marks left that the string does not hold.
fn escaped(text: &str) -> Option<String> {
    let has_quotes = text.contains('"') && text.contains(['\n', '\'']);
    if !has_quotes && !text.contains(['\\', '\r']) {
        return None;
    }
    let text = text.replace('\\', r"\\").replace('\r', r"\r");
    // By its number: not every lexer knows that `\"` ends no string.
    Some(if has_quotes { text.replace('"', r"\x22") } else { text })
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
