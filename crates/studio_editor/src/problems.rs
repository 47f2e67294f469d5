//! What is wrong: nodes that failed, warnings of the blueprint, errors of the editor.

use crate::{editor::Frame, theme::Colors};
use bevy_egui::egui;
use std::time::Instant;
use studio_graph::prelude::*;

/// The nodes that failed, with what they say.
pub(crate) fn failed_nodes(frame: &Frame) -> Vec<(String, String)> {
    let failed = |node: &crate::shown::ShownNode| {
        let error = frame.world.get::<NodeStatus>(node.entity)?.error()?.to_owned();
        Some((node.name.clone(), error))
    };
    frame.shown.nodes.iter().filter_map(failed).collect()
}

pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    let failed = failed_nodes(frame);
    if failed.is_empty() && frame.document.warnings().is_empty() && frame.editor.notices.errors.is_empty() {
        ui.weak("Nothing is wrong.");
        return;
    }
    for (name, error) in failed {
        ui.horizontal_wrapped(|ui| {
            if ui.link(egui::RichText::new(&name).color(colors.error).strong()).on_hover_text("Go to the node").clicked() {
                frame.jump_to(&name);
            }
            ui.label(&error);
            let retry = frame.shown.node(&name).and_then(|node| match frame.world.get::<NodeStatus>(node.entity)? {
                NodeStatus::Failed { attempts, retry_at, .. } => {
                    Some((*attempts, retry_at.saturating_duration_since(Instant::now()).as_secs_f32()))
                }
                _ => None,
            });
            if let Some((attempts, seconds)) = retry {
                ui.weak(format!("failed {attempts}×, tried again in {seconds:.0} s"));
            }
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
