//! A blueprint as a picture: text for Graphviz.

use super::{
    Blueprint,
    check::{Checked, CheckedNode},
};
use crate::{
    data_type::DataTypes,
    pin::{PinDirection, PinSpec},
};
use bevy::reflect::TypeRegistry;
use core::fmt::Write;
use std::path::Path;

/// Describes a blueprint in Graphviz's DOT language: a box a node with its pins, a frame a subgraph with what lies in it, links
/// in the colours of their types. Files of subgraphs start at `base`.
pub fn dot(blueprint: &Blueprint, registry: &TypeRegistry, types: &DataTypes, base: Option<&Path>) -> String {
    let checked = super::check::examine(blueprint, registry, types, base, &mut super::settings::no_assets, false);
    let mut text = String::new();
    line(&mut text, 0, format!("digraph {} {{", label(&blueprint.name)));
    line(&mut text, 1, "rankdir=LR;".to_owned());
    line(&mut text, 1, "node [shape=plain, fontname=\"sans-serif\", fontsize=11];".to_owned());
    graph(&mut text, 1, "n", blueprint, &checked, types);
    line(&mut text, 0, "}".to_owned());
    text
}

fn line(text: &mut String, depth: usize, written: String) {
    // Writing into a string cannot fail.
    writeln!(text, "{:indent$}{written}", "", indent = 4 * depth).unwrap_or_default();
}

/// Writes the nodes and links of a graph; the names of its nodes begin with `prefix`.
fn graph(text: &mut String, depth: usize, prefix: &str, blueprint: &Blueprint, checked: &Checked, types: &DataTypes) {
    for ((index, node), known) in blueprint.nodes.iter().enumerate().zip(&checked.nodes) {
        if let Some(contents) = &known.contents {
            line(text, depth, format!("subgraph cluster_{prefix}{index} {{"));
            line(text, depth + 1, format!("label={};", label(&node.name)));
            line(text, depth + 1, format!("style={};", if node.bypass { "dashed" } else { "rounded" }));
            graph(text, depth + 1, &format!("{prefix}{index}_"), &contents.graph, &contents.checked, types);
            line(text, depth, "}".to_owned());
            continue;
        }
        let side = |direction: PinDirection| {
            let pins: Vec<&PinSpec> = known.pins.iter().filter(|pin| pin.direction == direction).collect();
            let port =
                |pin: &PinSpec| format!("<TR><TD PORT=\"{}\">{}</TD></TR>", port_name(direction, &pin.name), html(&pin.name));
            match pins.as_slice() {
                [] => "<TD></TD>".to_owned(),
                pins => format!(
                    "<TD><TABLE BORDER=\"0\" CELLSPACING=\"0\">{}</TABLE></TD>",
                    pins.iter().map(|pin| port(pin)).collect::<String>()
                ),
            }
        };
        let style = if known.kind.is_none() || node.bypass { " STYLE=\"DASHED\"" } else { "" };
        let written = format!(
            "{prefix}{index} [label=<<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\"{style}><TR><TD COLSPAN=\"2\"><B>{}</B><BR/>{}</TD></TR>\
             <TR>{}{}</TR></TABLE>>];",
            html(&node.name),
            html(&node.kind),
            side(PinDirection::Input),
            side(PinDirection::Output),
        );
        line(text, depth, written);
    }
    for link in &checked.links {
        let from = &checked.nodes[link.from.0];
        let spec = from.pins.iter().find(|pin| pin.direction == PinDirection::Output && pin.name == link.from.1);
        let [red, green, blue] = spec.map_or([0; 3], |spec| types.category(&spec.data_type).color_srgb());
        let end = |(place, pin): &(usize, String), direction: PinDirection| {
            end_of(prefix, *place, pin, direction, &checked.nodes[*place])
        };
        let written = format!(
            "{} -> {} [color=\"#{red:02x}{green:02x}{blue:02x}\", penwidth=2];",
            end(&link.from, PinDirection::Output),
            end(&link.to, PinDirection::Input),
        );
        line(text, depth, written);
    }
}

/// The end of a link: for a subgraph the node of its interface, in the frame.
fn end_of(prefix: &str, place: usize, pin: &str, direction: PinDirection, node: &CheckedNode) -> String {
    let interface = node.contents.iter().flat_map(|contents| &contents.interface);
    let inner = interface.filter(|(spec, _)| spec.direction == direction && spec.name == *pin).map(|(_, inner)| *inner).next();
    match inner {
        Some(inner) => format!("{prefix}{place}_{inner}"),
        None => format!("{prefix}{place}:\"{}\"", port_name(direction, pin)),
    }
}

fn port_name(direction: PinDirection, name: &str) -> String {
    let way = if direction == PinDirection::Input { "in" } else { "out" };
    let plain: String = name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
    format!("{way}_{plain}")
}

fn label(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
