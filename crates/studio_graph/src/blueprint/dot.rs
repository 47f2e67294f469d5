//! A blueprint as a picture: text for Graphviz.

use super::Blueprint;
use crate::{
    data_type::DataTypes,
    pin::{PinDirection, PinSpec},
};
use bevy::reflect::TypeRegistry;
use core::fmt::Write;

/// Describes a blueprint in Graphviz's DOT language: a box a node with its pins, links in the colours of their types.
pub fn dot(blueprint: &Blueprint, registry: &TypeRegistry, types: &DataTypes) -> String {
    let checked = super::check::examine(blueprint, registry, types, None, &mut super::settings::no_assets);
    let mut text = String::new();
    // Writing into a string cannot fail.
    let mut line = |written: String| writeln!(text, "{written}").unwrap_or_default();
    line(format!("digraph {} {{", label(&blueprint.name)));
    line("    rankdir=LR;".to_owned());
    line("    node [shape=plain, fontname=\"sans-serif\", fontsize=11];".to_owned());
    for ((index, node), known) in blueprint.nodes.iter().enumerate().zip(&checked.nodes) {
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
        line(format!(
            "    n{index} [label=<<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\"{style}><TR><TD COLSPAN=\"2\"><B>{}</B><BR/>{}</TD></TR>\
             <TR>{}{}</TR></TABLE>>];",
            html(&node.name),
            html(&node.kind),
            side(PinDirection::Input),
            side(PinDirection::Output),
        ));
    }
    for link in &checked.links {
        let (from, to) = (link.from.0, link.to.0);
        let spec = checked.nodes[from].pins.iter().find(|pin| pin.direction == PinDirection::Output && pin.name == link.from.1);
        let [red, green, blue] = spec.map_or([0; 3], |spec| types.category(&spec.data_type).color_srgb());
        line(format!(
            "    n{from}:\"{}\" -> n{to}:\"{}\" [color=\"#{red:02x}{green:02x}{blue:02x}\", penwidth=2];",
            port_name(PinDirection::Output, &link.from.1),
            port_name(PinDirection::Input, &link.to.1),
        ));
    }
    line("}".to_owned());
    text
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
