//! What is wrong: nodes that failed, warnings of the blueprint, errors of the editor.

use crate::{editor::Frame, theme::Colors};
use bevy::prelude::*;
use bevy_egui::egui;
use std::time::Instant;
use studio_graph::{
    blueprint::{
        spawn::{InBlueprint, descendants},
        subgraph::Subgraph,
    },
    prelude::*,
};

/// A node that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    /// Its name, with the way through the subgraphs that it lies in.
    pub way: String,
    /// What it says.
    pub error: String,
    attempts: u32,
    retry_at: Instant,
}

/// The nodes that failed, those in subgraphs too.
pub(crate) fn failed_nodes(world: &World, root: Entity) -> Vec<Failed> {
    // A subgraph shows the failures of what lies in it, which are listed themselves.
    let own = |node: &Entity| world.get::<Subgraph>(*node).is_none();
    let of_node = |node: Entity| match world.get::<NodeStatus>(node)? {
        NodeStatus::Failed { error, attempts, retry_at } => {
            Some(Failed { way: way_to(world, root, node), error: error.clone(), attempts: *attempts, retry_at: *retry_at })
        }
        _ => None,
    };
    descendants(world, root).into_iter().filter(own).filter_map(of_node).collect()
}

/// A node's name with the way to it, such as `eye/blur`.
pub(crate) fn way_to(world: &World, root: Entity, node: Entity) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut at = Some(node);
    while let Some(node) = at.filter(|node| *node != root) {
        names.extend(world.get::<Name>(node).map(Name::as_str));
        at = world.get::<InBlueprint>(node).map(|inside| inside.0);
    }
    names.reverse();
    names.join("/")
}

pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    let failed = frame.failed.clone();
    if failed.is_empty() && frame.document.warnings().is_empty() && frame.editor.notices.errors.is_empty() {
        ui.weak("Nothing is wrong.");
        return;
    }
    for Failed { way, error, attempts, retry_at } in failed {
        ui.horizontal_wrapped(|ui| {
            if ui.link(egui::RichText::new(&way).color(colors.error).strong()).on_hover_text("Go to the node").clicked() {
                frame.jump_to(&way);
            }
            ui.label(&error);
            let seconds = retry_at.saturating_duration_since(Instant::now()).as_secs_f32();
            ui.weak(format!("failed {attempts}×, tried again in {seconds:.0} s"));
        });
    }
    for warning in frame.document.warnings() {
        ui.colored_label(colors.warning, &warning.message);
    }
    if !frame.editor.notices.errors.is_empty() {
        ui.separator();
        ui.horizontal(|ui| {
            ui.weak("What did not go well");
            if ui.small_button("Clear").clicked() {
                frame.editor.notices.errors.clear();
            }
        });
        for error in frame.editor.notices.errors.iter().rev() {
            ui.label(error);
        }
    }
}

/// The steps that can be undone and done again.
pub(crate) fn history(ui: &mut egui::Ui, frame: &mut Frame) {
    let undo: Vec<String> = frame.document.undo_names().map(str::to_owned).collect();
    let redo: Vec<String> = frame.document.redo_names().map(str::to_owned).collect();
    if undo.is_empty() && redo.is_empty() {
        ui.weak("Nothing was changed yet.");
        return;
    }
    let mut go = 0_isize;
    egui::ScrollArea::vertical().stick_to_bottom(true).auto_shrink([false, false]).show(ui, |ui| {
        if ui.selectable_label(undo.is_empty(), "As it was opened").clicked() {
            go = -(undo.len() as isize);
        }
        for (place, name) in undo.iter().enumerate() {
            if ui.selectable_label(place + 1 == undo.len(), name).clicked() {
                go = place as isize + 1 - undo.len() as isize;
            }
        }
        for (place, name) in redo.iter().rev().enumerate() {
            if ui.selectable_label(false, egui::RichText::new(name).weak()).clicked() {
                go = place as isize + 1;
            }
        }
    });
    for _ in 0..go.unsigned_abs() {
        frame.run(if go < 0 { crate::command::Command::Undo } else { crate::command::Command::Redo });
    }
}
