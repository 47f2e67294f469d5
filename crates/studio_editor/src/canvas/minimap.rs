//! The overview of the whole canvas.

use super::Drag;
use crate::{
    editor::Frame,
    theme::{Colors, category_color},
};
use bevy::prelude::*;
use bevy_egui::egui::{self, CornerRadius, Stroke, StrokeKind};

const SIZE: egui::Vec2 = egui::vec2(180.0, 110.0);
const MARGIN: f32 = 10.0;

/// Where the overview lies in the canvas.
fn place(canvas: egui::Rect) -> egui::Rect {
    egui::Rect::from_min_size(canvas.right_bottom() - SIZE - egui::vec2(MARGIN, MARGIN), SIZE)
}

pub(super) fn show(ui: &egui::Ui, painter: &egui::Painter, frame: &mut Frame) {
    let canvas = frame.editor.canvas.rect;
    let room = canvas.width() > SIZE.x * 2.5 && canvas.height() > SIZE.y * 2.5;
    let (true, true, Some(bounds)) = (frame.session.preferences.minimap, room, frame.shown.bounds()) else { return };
    let area = place(canvas);
    let colors = Colors::of(ui);
    let seen = frame.editor.canvas.screen().visible();
    let all = bounds.union(seen).inflate(40.0);
    let scale = (SIZE.x / all.width()).min(SIZE.y / all.height());
    let to_map = |at: Vec2| {
        let at = (at - all.center()) * scale;
        area.center() + egui::vec2(at.x, at.y)
    };
    painter.rect(area, CornerRadius::same(4), colors.node.gamma_multiply(0.9), Stroke::new(1.0, colors.edge), StrokeKind::Inside);
    let painter = painter.with_clip_rect(area);
    for node in &frame.shown.nodes {
        let rect = egui::Rect::from_min_max(to_map(node.rect.min), to_map(node.rect.max));
        let failed =
            frame.world.get::<studio_graph::prelude::NodeStatus>(node.entity).is_some_and(|status| status.error().is_some());
        let color = match (failed, frame.editor.selection.contains(&node.name)) {
            (true, _) => colors.error,
            (_, true) => colors.selection,
            _ => category_color(&node.category, colors.dark),
        };
        painter.rect_filled(rect.expand(0.5), CornerRadius::ZERO, color);
    }
    let window = egui::Rect::from_min_max(to_map(seen.min), to_map(seen.max));
    painter.rect_stroke(window, CornerRadius::ZERO, Stroke::new(1.5, colors.text), StrokeKind::Inside);
    let response = ui.interact(area, ui.id().with("overview"), egui::Sense::click_and_drag());
    if response.drag_started() {
        frame.editor.canvas.drag = Drag::Overview;
    }
    if let Some(at) = response.interact_pointer_pos().filter(|_| response.dragged() || response.clicked()) {
        let at = (at - area.center()) / scale;
        frame.editor.canvas.view.center = all.center() + Vec2::new(at.x, at.y);
    }
    if response.drag_stopped() {
        frame.editor.canvas.drag = Drag::None;
    }
}
