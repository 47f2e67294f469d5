//! Short messages that come and go.

use crate::theme::Colors;
use bevy_egui::egui;
use std::time::{Duration, Instant};

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    text: String,
    error: bool,
    at: Instant,
}

impl Notice {
    /// Something that went wrong: stays longer, and until it is read in the list of problems.
    pub fn error(text: impl Into<String>) -> Self {
        Self { text: text.into(), error: true, at: Instant::now() }
    }

    /// Something worth knowing.
    pub fn info(text: impl Into<String>) -> Self {
        Self { text: text.into(), error: false, at: Instant::now() }
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(if self.error { 12 } else { 4 })
    }
}

/// The latest messages.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    shown: Vec<Notice>,
    /// The latest errors, the last one last.
    pub errors: Vec<String>,
}

impl Notices {
    const SHOWN: usize = 4;
    const ERRORS: usize = 50;

    pub fn add(&mut self, notice: Notice) {
        if notice.error {
            if self.errors.len() == Self::ERRORS {
                self.errors.remove(0);
            }
            self.errors.push(notice.text.clone());
        }
        self.shown.retain(|shown| shown.text != notice.text);
        if self.shown.len() == Self::SHOWN {
            self.shown.remove(0);
        }
        self.shown.push(notice);
    }

    /// Draws the messages that are still fresh, above the window's lower edge.
    pub fn show(&mut self, ctx: &egui::Context) {
        let now = Instant::now();
        self.shown.retain(|notice| now - notice.at < notice.lasts());
        if self.shown.is_empty() {
            return;
        }
        ctx.request_repaint_after(Duration::from_millis(500));
        let mut read = None;
        egui::Area::new(egui::Id::new("notices"))
            .order(egui::Order::Foreground)
            .anchor(egui::Align2::RIGHT_BOTTOM, egui::vec2(-16.0, -40.0))
            .show(ctx, |ui| {
                let colors = Colors::of(ui);
                for (place, notice) in self.shown.iter().enumerate() {
                    let edge = if notice.error { colors.error } else { colors.edge };
                    let frame = egui::Frame::popup(ui.style()).stroke(egui::Stroke::new(1.5, edge));
                    let response = frame.show(ui, |ui| {
                        ui.set_max_width(460.0);
                        let short: String = notice.text.lines().take(8).collect::<Vec<_>>().join("\n");
                        ui.label(short);
                    });
                    if response.response.interact(egui::Sense::click()).clicked() {
                        read = Some(place);
                    }
                }
            });
        if let Some(place) = read {
            self.shown.remove(place);
        }
    }
}
