//! From a blueprint to text: one setting a line, in a stable order, so that two versions can be compared line by line.

use super::{Blueprint, BlueprintNode, read::options, settings::one_line};
use crate::flow::JoinPolicy;
use core::fmt::Write;

/// Writes a blueprint. Reading the text gives the same blueprint again.
pub fn write(blueprint: &Blueprint) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    put(&mut text, blueprint).unwrap_or_default();
    text
}

fn put(text: &mut String, blueprint: &Blueprint) -> core::fmt::Result {
    writeln!(text, "(\n    version: {},", Blueprint::VERSION)?;
    if !blueprint.name.is_empty() {
        writeln!(text, "    name: {},", quoted(&blueprint.name))?;
    }
    put_graph(text, blueprint, "    ")?;
    if !blueprint.subgraphs.is_empty() {
        writeln!(text, "    subgraphs: {{")?;
        for subgraph in &blueprint.subgraphs {
            writeln!(text, "        {}: (", quoted(&subgraph.name))?;
            put_graph(text, &subgraph.graph, "            ")?;
            writeln!(text, "        ),")?;
        }
        writeln!(text, "    }},")?;
    }
    writeln!(text, ")")
}

/// Writes nodes, links, notes, parameters, routes and bookmarks; every line begins with `indent`.
fn put_graph(text: &mut String, blueprint: &Blueprint, indent: &str) -> core::fmt::Result {
    writeln!(text, "{indent}nodes: {{")?;
    for node in &blueprint.nodes {
        put_node(text, node, indent)?;
    }
    writeln!(text, "{indent}}},\n{indent}links: [")?;
    for link in &blueprint.links {
        writeln!(text, "{indent}    {},", quoted(&link.link.to_string()))?;
    }
    writeln!(text, "{indent}],")?;
    if !blueprint.notes.is_empty() {
        writeln!(text, "{indent}notes: [")?;
        for note in &blueprint.notes {
            let [x, y, width, height] = [note.at.x, note.at.y, note.size.x, note.size.y].map(number);
            writeln!(text, "{indent}    (text: {}, at: ({x}, {y}), size: ({width}, {height})),", quoted(&note.text))?;
        }
        writeln!(text, "{indent}],")?;
    }
    if !blueprint.parameters.is_empty() {
        writeln!(text, "{indent}parameters: {{")?;
        for parameter in &blueprint.parameters {
            writeln!(text, "{indent}    {}: {},", quoted(&parameter.name), quoted(&parameter.setting))?;
        }
        writeln!(text, "{indent}}},")?;
    }
    if !blueprint.routes.is_empty() {
        writeln!(text, "{indent}routes: {{")?;
        for route in &blueprint.routes {
            let via: Vec<String> = route.via.iter().map(|at| format!("({}, {})", number(at.x), number(at.y))).collect();
            writeln!(text, "{indent}    {}: [{}],", quoted(&route.link.to_string()), via.join(", "))?;
        }
        writeln!(text, "{indent}}},")?;
    }
    if !blueprint.bookmarks.is_empty() {
        writeln!(text, "{indent}bookmarks: {{")?;
        for mark in &blueprint.bookmarks {
            let [x, y, zoom] = [mark.at.x, mark.at.y, mark.zoom].map(number);
            writeln!(text, "{indent}    {}: (at: ({x}, {y}), zoom: {zoom}),", quoted(&mark.name))?;
        }
        writeln!(text, "{indent}}},")?;
    }
    Ok(())
}

fn put_node(text: &mut String, node: &BlueprintNode, indent: &str) -> core::fmt::Result {
    write!(text, "{indent}    {}: (kind: {}", quoted(&node.name), quoted(&node.kind))?;
    write!(text, ", at: ({}, {})", number(node.at.x), number(node.at.y))?;
    if node.bypass {
        write!(text, ", bypass: true")?;
    }
    if node.freeze {
        write!(text, ", freeze: true")?;
    }
    if node.join != JoinPolicy::default() {
        write!(text, ", join: {:?}", node.join)?;
    }
    if !node.exposed.is_empty() {
        let paths: Vec<String> = node.exposed.iter().map(|exposed| quoted(&exposed.path)).collect();
        write!(text, ", exposed: [{}]", paths.join(", "))?;
    }
    if !node.drivers.is_empty() {
        writeln!(text, ", drivers: {{")?;
        for driven in &node.drivers {
            let driver = options().to_string_pretty(&driven.driver, one_line()).map_err(|_| core::fmt::Error)?;
            writeln!(text, "{indent}        {}: {driver},", quoted(&driven.path))?;
        }
        write!(text, "{indent}    }}")?;
    }
    if !node.values.is_empty() {
        writeln!(text, ", values: {{")?;
        for value in &node.values {
            writeln!(text, "{indent}        {}: {},", quoted(&value.field), value.value)?;
        }
        write!(text, "{indent}    }}")?;
    }
    if !node.settings.is_empty() {
        // Fields of kinds that nobody knows may have names that only a map can say.
        let plain = node.settings.iter().all(|setting| is_identifier(&setting.field));
        let (open, close) = if plain { ("(", ")") } else { ("{", "}") };
        writeln!(text, ", settings: {open}")?;
        for setting in &node.settings {
            let field = if plain { setting.field.clone() } else { quoted(&setting.field) };
            writeln!(text, "{indent}        {field}: {},", setting.value)?;
        }
        write!(text, "{indent}    {close}")?;
    }
    writeln!(text, "),")
}

/// Whether RON takes a word as a field's name.
fn is_identifier(word: &str) -> bool {
    let starts = word.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_');
    starts && word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A string as RON writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(letter))),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// A number as short as it can be said.
fn number(value: f32) -> String {
    if value.is_finite() { format!("{value}") } else { "0".to_owned() }
}
