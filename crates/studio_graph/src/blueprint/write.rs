//! From a blueprint to text: one setting a line, in a stable order, so that two versions can be compared line by line.

use super::{
    Blueprint, BlueprintBookmark, BlueprintDriver, BlueprintNode, BlueprintNote, BlueprintParameter, BlueprintRoute,
    read::options, settings::one_line,
};
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
    put_section(text, indent, "notes", '[', &note_lines(blueprint), ']')?;
    put_section(text, indent, "parameters", '{', &parameter_lines(blueprint), '}')?;
    put_section(text, indent, "routes", '{', &route_lines(blueprint), '}')?;
    put_section(text, indent, "bookmarks", '{', &bookmark_lines(blueprint), '}')
}

/// Writes a list of lines under a name, if there are any.
fn put_section(text: &mut String, indent: &str, name: &str, open: char, lines: &[String], close: char) -> core::fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(text, "{indent}{name}: {open}")?;
    for line in lines {
        writeln!(text, "{indent}    {line},")?;
    }
    writeln!(text, "{indent}{close},")
}

/// Each note as RON.
pub(super) fn note_lines(blueprint: &Blueprint) -> Vec<String> {
    let line = |note: &BlueprintNote| {
        let [x, y, width, height] = [note.at.x, note.at.y, note.size.x, note.size.y].map(number);
        format!("(text: {}, at: ({x}, {y}), size: ({width}, {height}))", quoted(&note.text))
    };
    blueprint.notes.iter().map(line).collect()
}

/// Each parameter as an entry of a map in RON.
pub(super) fn parameter_lines(blueprint: &Blueprint) -> Vec<String> {
    let line = |parameter: &BlueprintParameter| format!("{}: {}", quoted(&parameter.name), quoted(&parameter.setting));
    blueprint.parameters.iter().map(line).collect()
}

/// Each route as an entry of a map in RON.
pub(super) fn route_lines(blueprint: &Blueprint) -> Vec<String> {
    let line = |route: &BlueprintRoute| {
        let via: Vec<String> = route.via.iter().map(|at| format!("({}, {})", number(at.x), number(at.y))).collect();
        format!("{}: [{}]", quoted(&route.link.to_string()), via.join(", "))
    };
    blueprint.routes.iter().map(line).collect()
}

/// Each bookmark as an entry of a map in RON.
pub(super) fn bookmark_lines(blueprint: &Blueprint) -> Vec<String> {
    let line = |mark: &BlueprintBookmark| {
        let [x, y, zoom] = [mark.at.x, mark.at.y, mark.zoom].map(number);
        format!("{}: (at: ({x}, {y}), zoom: {zoom})", quoted(&mark.name))
    };
    blueprint.bookmarks.iter().map(line).collect()
}

/// Each driver of a node as an entry of a map in RON.
pub(super) fn driver_lines(node: &BlueprintNode) -> Result<Vec<String>, core::fmt::Error> {
    let line = |driven: &BlueprintDriver| {
        let driver = options().to_string_pretty(&driven.driver, one_line()).map_err(|_| core::fmt::Error)?;
        Ok(format!("{}: {driver}", quoted(&driven.path)))
    };
    node.drivers.iter().map(line).collect()
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
        for driver in driver_lines(node)? {
            writeln!(text, "{indent}        {driver},")?;
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
pub(super) fn number(value: f32) -> String {
    if value.is_finite() { format!("{value}") } else { "0".to_owned() }
}
