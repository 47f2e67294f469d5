//! The settings of the selected node, with widgets made from its reflected fields.

mod drivers;
mod widgets;

pub(crate) use widgets::{Drafts, register_defaults};

use crate::{document::definition_of, edit, editor::Frame, files::Purpose, shown::ShownNode, theme::Colors};
use bevy::{
    prelude::*,
    reflect::{NamedField, ReflectMut, ReflectRef, TypeInfo},
};
use bevy_egui::egui;
use std::path::Path;
use studio_frame::prelude::LatencyLedger;
use studio_graph::{
    blueprint::{
        BlueprintNode, Place, Setting,
        file::is_path,
        settings::{no_assets, number, settings_of, text_of},
    },
    prelude::*,
    registry::kind_named,
};
use widgets::{Field, label_of};

pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let Some(node) = frame.editor.selection.last().and_then(|name| frame.shown.node(name)).cloned() else {
        nothing_selected(ui, frame);
        return;
    };
    egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        head(ui, frame, &node);
        ui.separator();
        settings(ui, frame, &node);
        ui.separator();
        taking_part(ui, frame, &node);
        pins(ui, frame, &node);
    });
}

fn nothing_selected(ui: &mut egui::Ui, frame: &mut Frame) {
    ui.weak("Select a node to see its settings.");
    let parameters = frame.document.graph().parameters.clone();
    if parameters.is_empty() {
        return;
    }
    ui.separator();
    ui.strong("Exposed settings");
    for parameter in parameters {
        ui.horizontal(|ui| {
            ui.label(&parameter.name);
            let node = parameter.setting.split('.').next().unwrap_or_default().to_owned();
            if ui.link(&parameter.setting).clicked() {
                let way = frame.way_to(&node);
                frame.jump_to(&way);
            }
        });
    }
}

fn head(ui: &mut egui::Ui, frame: &mut Frame, node: &ShownNode) {
    let typed = frame.editor.drafts.line(ui, &format!("{}\u{1}name", node.name), &node.name, "Name");
    if let Some(typed) = typed {
        rename(frame, &node.name, typed.trim());
    }
    let docs = {
        let registry = frame.world.resource::<AppTypeRegistry>().read();
        kind_named(&registry, &node.kind).map(|kind| kind.docs())
    };
    ui.horizontal_wrapped(|ui| {
        ui.strong(&node.label);
        ui.weak(&node.category);
    });
    if let Some(docs) = docs {
        let first = docs.split("\n\n").next().unwrap_or_default().replace('\n', " ");
        ui.weak(first).on_hover_text(docs);
    }
    let colors = Colors::of(ui);
    match frame.world.get::<NodeStatus>(node.entity) {
        Some(NodeStatus::Failed { error, attempts, .. }) => {
            let words = format!("Failed {attempts}×: {error}");
            ui.colored_label(colors.error, words);
        }
        Some(NodeStatus::Running { frames }) => {
            let time = frame.times.get(&node.entity).map(|ms| format!(", {ms:.2} ms on the GPU")).unwrap_or_default();
            ui.colored_label(colors.good, format!("Runs: {frames} frames{time}"));
        }
        Some(NodeStatus::Ended) => drop(ui.colored_label(colors.warning, "Came to its end")),
        Some(NodeStatus::Idle) | None => drop(ui.weak("Idle")),
    }
    if let Some(stage) = frame
        .world
        .get_resource::<LatencyLedger>()
        .and_then(|ledger| ledger.summary().into_iter().find(|summary| summary.stage.0 == node.label))
    {
        ui.weak(format!("p50 {:.2} ms, p95 {:.2} ms", stage.p50_ms, stage.p95_ms));
    }
}

/// Gives a node another name; what is wrong with it is shown.
pub(crate) fn rename(frame: &mut Frame, old: &str, new: &str) {
    let mut outcome = Ok(());
    let renamed =
        frame.edit(format!("Rename {old} to {new}"), None, |blueprint| outcome = edit::rename_node(blueprint, old, new));
    if let Err(error) = outcome {
        frame.complain(error);
    } else if renamed {
        frame.editor.selection.set([new.to_owned()]);
        if let Some((viewed, _)) = &mut frame.editor.viewed
            && viewed == old
        {
            *viewed = new.to_owned();
        }
    }
}

/// A change of a setting that the widgets asked for.
enum Change {
    Value { field: String, value: Option<String>, done: bool },
    Expose(String),
    Pin(String),
    OwnValue(String, Option<String>),
    Drive(String, Option<Driver>),
    Choose(String),
    Done,
}

fn settings(ui: &mut egui::Ui, frame: &mut Frame, node: &ShownNode) {
    let Some(of_file) = frame.document.graph().node(&node.name).cloned() else { return };
    let registry = frame.world.resource::<AppTypeRegistry>().clone();
    let registry = registry.read();
    let Some(kind) = kind_named(&registry, &node.kind) else {
        ui.weak("No plugin here brings this kind. Its settings are kept as they are:");
        for setting in &of_file.settings {
            ui.monospace(format!("{}: {}", setting.field, setting.value));
        }
        return;
    };
    let mut problems = Vec::new();
    let values = settings_of(&registry, kind, &of_file, None, &mut no_assets, &mut problems);
    let (Some(mut values), Some(defaults)) = (values, kind.default_settings()) else { return };
    let TypeInfo::Struct(info) = kind.registration.type_info() else { return };
    if info.field_len() == 0 {
        ui.weak("It has no settings.");
    }
    let mut changes = Vec::new();
    frame.editor.drafts.focus = core::mem::take(&mut frame.editor.focus_settings);
    for named in info.iter() {
        let ReflectMut::Struct(shape) = values.reflect_mut() else { continue };
        let Some(value) = shape.field_mut(named.name()) else { continue };
        let ReflectRef::Struct(plain) = defaults.reflect_ref() else { continue };
        let default = plain.field(named.name());
        let set = of_file.settings.iter().find(|setting| setting.field == named.name());
        let is_default = set.is_none();
        let exposed = frame
            .document
            .graph()
            .parameters
            .iter()
            .any(|parameter| parameter.setting == format!("{}.{}", node.name, named.name()));
        let (label, _) = label_of(named.name());
        let label = if is_default { egui::RichText::new(label) } else { egui::RichText::new(label).strong() };
        let docs = studio_graph::registry::docs_of(named);
        let narrow = ui.available_width() < 320.0;
        let mut row = |ui: &mut egui::Ui| {
            let width = if narrow { ui.available_width() } else { 110.0 };
            let height = ui.spacing().interact_size.y;
            let left = egui::Layout::left_to_right(egui::Align::Center);
            let response = ui
                .allocate_ui_with_layout(egui::vec2(width, height), left, |ui| {
                    ui.set_min_width(width);
                    ui.add(egui::Label::new(label.clone()).truncate().sense(egui::Sense::click()))
                })
                .inner
                .on_hover_text(if docs.is_empty() { named.name().to_owned() } else { docs.clone() });
            menu(&response, named, value, !is_default, exposed, &mut changes);
            if exposed {
                ui.weak("↗").on_hover_text("exposed to the outside");
            }
            let is_path = is_path(&registry, named);
            ui.vertical(|ui| {
                if is_path {
                    let current = set.and_then(|setting| ron::from_str::<String>(&setting.value).ok()).unwrap_or_default();
                    path(ui, frame, node, named, &current, &mut changes);
                    return;
                }
                let field = Field {
                    registry: &registry,
                    attributes: Some(named.custom_attributes()),
                    name: named.name(),
                    key: format!("{}\u{1}{}", node.name, named.name()),
                };
                let outcome = widgets::value(ui, &mut frame.editor.drafts, &field, value);
                if outcome.changed {
                    let same = default.is_some_and(|default| value.reflect_partial_eq(default) == Some(true));
                    match text_of(&registry, value) {
                        Ok(text) => changes.push(Change::Value {
                            field: named.name().to_owned(),
                            value: (!same).then_some(text),
                            done: outcome.done,
                        }),
                        Err(error) => frame.editor.notices.add(crate::notice::Notice::error(error)),
                    }
                } else if outcome.done {
                    changes.push(Change::Done);
                }
                drivers::show(ui, frame, &of_file, named.name(), &mut |path, driver| changes.push(Change::Drive(path, driver)));
            });
        };
        if narrow {
            ui.vertical(|ui| row(ui));
        } else {
            ui.horizontal_top(|ui| row(ui));
        }
    }
    own_values(ui, frame, &of_file, &mut changes);
    drop(registry);
    frame.editor.drafts.focus = false;
    for change in changes {
        carry_out(frame, node, change);
    }
}

/// What a subgraph's graph exposes, with this node's own values.
fn own_values(ui: &mut egui::Ui, frame: &mut Frame, node: &BlueprintNode, changes: &mut Vec<Change>) {
    let Some(definition) = definition_of(node) else { return };
    let Some(subgraph) = frame.document.blueprint().subgraph(&definition).cloned() else { return };
    if subgraph.graph.parameters.is_empty() {
        ui.weak("The subgraph exposes no settings: enter it, and expose one from its menu.");
    }
    for parameter in &subgraph.graph.parameters {
        let own = node.values.iter().find(|own| own.field == parameter.name);
        let (of, field) = parameter.setting.split_once('.').unwrap_or_default();
        let inner = subgraph.graph.node(of).and_then(|of| of.settings.iter().find(|setting| setting.field == field));
        ui.horizontal(|ui| {
            let label = egui::RichText::new(&parameter.name);
            ui.label(if own.is_some() { label.strong() } else { label }).on_hover_text(&parameter.setting);
            let current = own.map_or("", |own| own.value.as_str());
            let hint = inner.map_or("as it is in the subgraph", |inner| inner.value.as_str());
            let key = format!("{}\u{1}own\u{1}{}", node.name, parameter.name);
            if let Some(typed) = frame.editor.drafts.line(ui, &key, current, hint) {
                let typed = typed.trim();
                changes.push(Change::OwnValue(parameter.name.clone(), (!typed.is_empty()).then(|| typed.to_owned())));
            }
        });
    }
}

fn carry_out(frame: &mut Frame, node: &ShownNode, change: Change) {
    let name = node.name.clone();
    match change {
        Change::Value { field, value, done } => {
            let step = match &value {
                Some(value) if value.len() < 24 => format!("Set {name}.{field} to {value}"),
                Some(_) => format!("Set {name}.{field}"),
                None => format!("Reset {name}.{field}"),
            };
            frame.edit(step, Some(format!("set {name}.{field}")), |blueprint| edit::set_setting(blueprint, &name, &field, value));
            if done {
                frame.document.seal();
            }
        }
        Change::Expose(path) => {
            frame.edit(format!("Expose {name}.{path}"), None, |blueprint| {
                edit::toggle_parameter(blueprint, &name, &path);
            });
        }
        Change::Pin(path) => {
            frame.edit(format!("Give {name}.{path} a pin"), None, |blueprint| edit::toggle_exposed(blueprint, &name, &path));
        }
        Change::OwnValue(of, value) => {
            frame.edit(format!("Set {name}.{of}"), None, |blueprint| {
                let Some(node) = blueprint.node_mut(&name) else { return };
                node.values.retain(|own| own.field != of);
                node.values.extend(value.map(|value| Setting { field: of, value, place: Place::default() }));
            });
        }
        Change::Drive(path, driver) => {
            let step = if driver.is_some() { format!("Drive {name}.{path}") } else { format!("Stop driving {name}.{path}") };
            frame.edit(step, None, |blueprint| edit::set_driver(blueprint, &name, &path, driver));
        }
        Change::Choose(field) => {
            let near = frame.document.path().map(Path::to_owned);
            frame.editor.files.open(Purpose::Setting { node: name, field }, near.as_deref(), &[]);
        }
        Change::Done => frame.document.seal(),
    }
}

fn path(ui: &mut egui::Ui, frame: &mut Frame, node: &ShownNode, named: &NamedField, current: &str, changes: &mut Vec<Change>) {
    ui.horizontal(|ui| {
        if ui.button("…").on_hover_text("Choose a file").clicked() {
            changes.push(Change::Choose(named.name().to_owned()));
        }
        let key = format!("{}\u{1}{}", node.name, named.name());
        if let Some(typed) = frame.editor.drafts.line(ui, &key, current, "a file") {
            let value = (!typed.is_empty()).then(|| format!("{typed:?}"));
            changes.push(Change::Value { field: named.name().to_owned(), value, done: true });
        }
    });
}

/// The menu of a setting's name.
fn menu(
    response: &egui::Response,
    named: &NamedField,
    value: &dyn PartialReflect,
    is_set: bool,
    exposed: bool,
    changes: &mut Vec<Change>,
) {
    let mut parts = Vec::new();
    numbers_in(named.name(), value, &mut parts);
    response.context_menu(|ui| {
        if ui.add_enabled(is_set, egui::Button::new("Reset to the default")).clicked() {
            changes.push(Change::Value { field: named.name().to_owned(), value: None, done: true });
            ui.close();
        }
        if ui.button(if exposed { "Hide from the outside" } else { "Expose to the outside" }).clicked() {
            changes.push(Change::Expose(named.name().to_owned()));
            ui.close();
        }
        let whole = [named.name().to_owned()];
        // What lies in a list comes and goes; a pin would lose its setting.
        let fixed: Vec<String> = parts.iter().map(|(path, _)| path.clone()).filter(|path| !path.contains('[')).collect();
        for path in if fixed.is_empty() { &whole[..] } else { &fixed } {
            if ui.button(format!("An input pin for {path}, or none")).clicked() {
                changes.push(Change::Pin(path.clone()));
                ui.close();
            }
        }
        for (path, now) in &parts {
            let now = *now;
            if ui.button(format!("Drive {path} by a formula")).clicked() {
                changes.push(Change::Drive(path.clone(), Some(Driver::Expression(format!("{now} + sin(t)")))));
                ui.close();
            }
            if ui.button(format!("Drive {path} by keys")).clicked() {
                let keys = vec![(0.0, now), (2.0, now)];
                changes.push(Change::Drive(
                    path.clone(),
                    Some(Driver::Keys { keys, between: Interpolation::Smooth, repeat: false }),
                ));
                ui.close();
            }
        }
    });
}

/// The numbers that a driver may move, each with its path: the value itself, its parts, those of a list's first items.
fn numbers_in(path: &str, value: &dyn PartialReflect, found: &mut Vec<(String, f64)>) {
    const MOST: usize = 48;
    if found.len() >= MOST {
        return;
    }
    if let Some(number) = number(value) {
        found.push((path.to_owned(), number));
        return;
    }
    match value.reflect_ref() {
        ReflectRef::Struct(shape) => {
            for place in 0..shape.field_len() {
                if let (Some(name), Some(part)) = (shape.name_at(place), shape.field_at(place)) {
                    numbers_in(&format!("{path}.{name}"), part, found);
                }
            }
        }
        ReflectRef::List(list) => {
            for (place, item) in list.iter().enumerate() {
                numbers_in(&format!("{path}[{place}]"), item, found);
            }
        }
        _ => {}
    }
}

fn taking_part(ui: &mut egui::Ui, frame: &mut Frame, node: &ShownNode) {
    let Some(of_file) = frame.document.graph().node(&node.name).cloned() else { return };
    ui.horizontal_wrapped(|ui| {
        let (mut bypass, mut freeze) = (of_file.bypass, of_file.freeze);
        if ui.checkbox(&mut bypass, "Bypass").on_hover_text("Hand the input on as it is").changed() {
            frame.edit(format!("Bypass {}", node.name), None, |blueprint| {
                if let Some(node) = blueprint.node_mut(&node.name) {
                    node.bypass = bypass;
                }
            });
        }
        if ui.checkbox(&mut freeze, "Hold").on_hover_text("Keep what it made last").changed() {
            frame.edit(format!("Hold {}", node.name), None, |blueprint| {
                if let Some(node) = blueprint.node_mut(&node.name) {
                    node.freeze = freeze;
                }
            });
        }
        if node.inputs.len() > 1 {
            let mut join = of_file.join;
            egui::ComboBox::from_id_salt("join").selected_text(format!("{join:?}")).width(80.0).show_ui(ui, |ui| {
                for (policy, docs) in [
                    (JoinPolicy::Match, "Waits for every input, 50 ms at most"),
                    (JoinPolicy::Latest, "Runs as soon as any input has something new"),
                    (JoinPolicy::Wait, "Waits for every input, however long"),
                ] {
                    ui.selectable_value(&mut join, policy, format!("{policy:?}")).on_hover_text(docs);
                }
            });
            ui.weak("inputs");
            if join != of_file.join {
                frame.edit(format!("Join the inputs of {}", node.name), None, |blueprint| {
                    if let Some(node) = blueprint.node_mut(&node.name) {
                        node.join = join;
                    }
                });
            }
        }
    });
}

fn pins(ui: &mut egui::Ui, frame: &mut Frame, node: &ShownNode) {
    egui::CollapsingHeader::new("Pins").id_salt("pins").show(ui, |ui| {
        for (pins, direction) in [(&node.inputs, PinDirection::Input), (&node.outputs, PinDirection::Output)] {
            for pin in pins {
                let end = (node.name.clone(), pin.name.clone());
                let links = frame.document.graph().links.iter().map(|link| link.link.clone());
                let mine: Vec<_> = links
                    .filter(|link| if direction == PinDirection::Input { link.to == end } else { link.from == end })
                    .collect();
                ui.horizontal_wrapped(|ui| {
                    let color = egui::Color32::from_rgb(pin.color[0], pin.color[1], pin.color[2]);
                    ui.colored_label(color, "●");
                    ui.label(&pin.name).on_hover_text(pin.data_type.name());
                    for link in mine {
                        let (arrow, other) =
                            if direction == PinDirection::Input { ("←", &link.from) } else { ("→", &link.to) };
                        ui.weak(arrow);
                        if ui.link(format!("{}.{}", other.0, other.1)).clicked() {
                            let other = other.0.clone();
                            let way = frame.way_to(&other);
                            frame.jump_to(&way);
                        }
                    }
                });
            }
        }
    });
}
