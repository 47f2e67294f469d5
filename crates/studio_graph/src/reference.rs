//! The node reference: every registered kind as Markdown, from the same schema that programs read.

use crate::{data_type::DataTypes, registry::kinds, schema::kind_schema};
use bevy::reflect::TypeRegistry;
use core::fmt::Write;
use serde_json::Value;

/// Describes every kind by category: what it does, its pins, its settings with types, defaults, ranges and units.
pub fn markdown(registry: &TypeRegistry, types: &DataTypes) -> String {
    let mut text = String::from(
        "# Nodes\n\nEvery kind of node, as `neural-studio nodes --markdown` prints it. The same as JSON Schema: `neural-studio nodes --json`.\n",
    );
    let mut kinds = kinds(registry);
    kinds.sort_by_key(|kind| (kind.node.category, kind.name));
    let mut category = "";
    for kind in kinds {
        if kind.node.category != category {
            category = kind.node.category;
            line(&mut text, format!("\n## {category}"));
        }
        line(&mut text, format!("\n### {} (`{}`)\n\n{}\n", kind.node.display_name, kind.name, kind.docs()));
        let schema = kind_schema(registry, types, kind);
        for (word, side) in [("Inputs", "x-inputs"), ("Outputs", "x-outputs")] {
            let pins: Vec<String> = schema[side]
                .as_array()
                .into_iter()
                .flatten()
                .map(|pin| {
                    format!("`{}` ({})", pin["name"].as_str().unwrap_or_default(), pin["type"].as_str().unwrap_or_default())
                })
                .collect();
            if !pins.is_empty() {
                line(&mut text, format!("{word}: {}.\n", pins.join(", ")));
            }
        }
        let mut rows = Vec::new();
        settings("", &schema, &mut rows);
        if !rows.is_empty() {
            line(&mut text, "| setting | | default | |\n|---|---|---|---|".to_owned());
            rows.into_iter().for_each(|row| line(&mut text, row));
        }
    }
    text
}

fn line(text: &mut String, line: String) {
    // Writing into a string cannot fail.
    writeln!(text, "{line}").unwrap_or_default();
}

fn settings(prefix: &str, schema: &Value, rows: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        let default = if field["default"].is_null() { String::new() } else { format!("`{}`", field["default"]) };
        let docs = field["description"].as_str().unwrap_or_default().replace('\n', " ").replace('|', "\\|");
        rows.push(format!("| `{path}` | {} | {default} | {docs} |", kind_of(field)));
        if field["properties"].is_object() {
            settings(&format!("{path}."), field, rows);
        }
    }
}

/// What a setting takes, in a few words.
fn kind_of(field: &Value) -> String {
    let unit = field["x-unit"].as_str().map(|unit| format!(" {unit}")).unwrap_or_default();
    if let Some(variants) = field["oneOf"].as_array() {
        let name = |variant: &Value| {
            let named = variant["const"].as_str().or_else(|| variant["required"][0].as_str());
            named.map(|name| format!("`{name}`"))
        };
        return variants.iter().filter_map(name).collect::<Vec<_>>().join(", ");
    }
    if let Some(options) = field["anyOf"].as_array() {
        let inner = options.last().map(kind_of).unwrap_or_default();
        return format!("{inner}{unit} or nothing");
    }
    let of = match field["type"].as_str() {
        Some("array") => match (field["items"]["type"].as_str(), field["minItems"].as_u64()) {
            (Some(item), Some(count)) => format!("{count} {item}s"),
            _ => "list".to_owned(),
        },
        Some("string") if field["format"] == "uri-reference" => "path of an asset".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("object") => "parts below".to_owned(),
        Some(number) => number.to_owned(),
        None => String::new(),
    };
    match (field["minimum"].as_f64(), field["maximum"].as_f64()) {
        (Some(low), Some(high)) => format!("{of}, {low} to {high}{unit}"),
        _ => format!("{of}{unit}"),
    }
}
