//! From a blueprint to text: one setting a line, in a stable order, so that two versions can be compared line by line.

use super::{Blueprint, read::options, settings::one_line};
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
    writeln!(text, "    nodes: {{")?;
    for node in &blueprint.nodes {
        write!(text, "        {}: (kind: {}", quoted(&node.name), quoted(&node.kind))?;
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
        if !node.drivers.is_empty() {
            writeln!(text, ", drivers: {{")?;
            for driven in &node.drivers {
                let driver = options().to_string_pretty(&driven.driver, one_line()).map_err(|_| core::fmt::Error)?;
                writeln!(text, "            {}: {driver},", quoted(&driven.path))?;
            }
            write!(text, "        }}")?;
        }
        match node.settings.as_slice() {
            [] => writeln!(text, "),")?,
            settings => {
                writeln!(text, ", settings: (")?;
                for setting in settings {
                    writeln!(text, "            {}: {},", setting.field, setting.value)?;
                }
                writeln!(text, "        )),")?;
            }
        }
    }
    writeln!(text, "    }},\n    links: [")?;
    for link in &blueprint.links {
        writeln!(text, "        {},", quoted(&link.link.to_string()))?;
    }
    writeln!(text, "    ],")?;
    if !blueprint.notes.is_empty() {
        writeln!(text, "    notes: [")?;
        for note in &blueprint.notes {
            let [x, y, width, height] = [note.at.x, note.at.y, note.size.x, note.size.y].map(number);
            writeln!(text, "        (text: {}, at: ({x}, {y}), size: ({width}, {height})),", quoted(&note.text))?;
        }
        writeln!(text, "    ],")?;
    }
    if !blueprint.parameters.is_empty() {
        writeln!(text, "    parameters: {{")?;
        for parameter in &blueprint.parameters {
            writeln!(text, "        {}: {},", quoted(&parameter.name), quoted(&parameter.setting))?;
        }
        writeln!(text, "    }},")?;
    }
    if !blueprint.routes.is_empty() {
        writeln!(text, "    routes: {{")?;
        for route in &blueprint.routes {
            let via: Vec<String> = route.via.iter().map(|at| format!("({}, {})", number(at.x), number(at.y))).collect();
            writeln!(text, "        {}: [{}],", quoted(&route.link.to_string()), via.join(", "))?;
        }
        writeln!(text, "    }},")?;
    }
    if !blueprint.bookmarks.is_empty() {
        writeln!(text, "    bookmarks: {{")?;
        for mark in &blueprint.bookmarks {
            let [x, y, zoom] = [mark.at.x, mark.at.y, mark.zoom].map(number);
            writeln!(text, "        {}: (at: ({x}, {y}), zoom: {zoom}),", quoted(&mark.name))?;
        }
        writeln!(text, "    }},")?;
    }
    writeln!(text, ")")
}

/// A string as RON writes it.
fn quoted(text: &str) -> String {
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
