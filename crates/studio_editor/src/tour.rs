//! The first-run tour over an example.

use crate::{
    command::Command,
    editor::{Frame, Panel},
};
use bevy_egui::egui;

/// How far the tour is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tour {
    step: usize,
}

struct Step {
    title: &'static str,
    text: &'static str,
    panel: Option<Panel>,
}

const STEPS: &[Step] = &[
    Step {
        title: "Welcome to Neural Studio",
        text: "Cameras and files go in on the left, pictures flow along the wires, streams, recordings and windows come out on \
               the right. What you see runs: every change takes effect at once.",
        panel: None,
    },
    Step {
        title: "The blueprint",
        text: "Drag with the left button to select and to move, with the middle or right one to pan, turn the wheel to zoom. \
               Double-click the empty canvas, or press Tab, to add a node by typing its name.",
        panel: Some(Panel::Blueprint),
    },
    Step {
        title: "Wires",
        text: "Drag from a pin to another; pins that fit stay bright. Let go over the empty canvas for a list of the nodes that \
               fit. Double-click a wire to bend it. With the keyboard: select a node and press L.",
        panel: Some(Panel::Blueprint),
    },
    Step {
        title: "The live view",
        text: "Press V on a node to see what it makes. 360° pictures can be looked around in: drag in the picture. Below it are \
               where the time goes, what was dropped, and the buttons to record and to stream.",
        panel: Some(Panel::Live),
    },
    Step {
        title: "The inspector",
        text: "The selected node's settings. Right-click a setting to go back to its default, to expose it to the outside, or to \
               have a formula or keys move it.",
        panel: Some(Panel::Inspector),
    },
    Step {
        title: "Managers",
        text: "Every kind of node, the cameras that are plugged in and the files beside the blueprint: drag them onto the canvas.",
        panel: Some(Panel::Managers),
    },
    Step {
        title: "That is all",
        text: "Ctrl+Z takes anything back. F1 shows every key, Ctrl+P finds every command. Help → Tour brings this back.",
        panel: None,
    },
];

/// Ends the tour; it does not come back by itself.
pub(crate) fn end(frame: &mut Frame) {
    if frame.editor.tour.take().is_some() {
        frame.session.preferences.tour_seen = true;
    }
}

/// Draws the tour.
pub(crate) fn show(ctx: &egui::Context, frame: &mut Frame) {
    let Some(mut tour) = frame.editor.tour else { return };
    let Some(step) = STEPS.get(tour.step) else {
        end(frame);
        return;
    };
    let before = tour.step;
    let mut ends = false;
    egui::Window::new(step.title)
        .id(egui::Id::new("tour"))
        .collapsible(false)
        .resizable(false)
        .anchor(egui::Align2::CENTER_BOTTOM, egui::vec2(0.0, -60.0))
        .show(ctx, |ui| {
            ui.set_width(460.0);
            ui.label(step.text);
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                ui.weak(format!("{} of {}", tour.step + 1, STEPS.len()));
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let last = tour.step + 1 == STEPS.len();
                    if ui.button(if last { "Done" } else { "Next" }).clicked() {
                        tour.step += 1;
                    }
                    if ui.add_enabled(tour.step > 0, egui::Button::new("Back")).clicked() {
                        tour.step -= 1;
                    }
                    ends |= !last && ui.button("Skip").clicked();
                });
            });
        });
    if ends {
        tour.step = STEPS.len();
    }
    if tour.step != before
        && let Some(panel) = STEPS.get(tour.step).and_then(|step| step.panel)
    {
        frame.show_panel(panel);
        if panel == Panel::Blueprint {
            frame.run(Command::ShowAll);
        }
    }
    frame.editor.tour = Some(tour);
}
