//! The canvas: nodes, wires, frames, and what mouse and keys do to them.
//!
//! Everything is painted straight from [`ShownGraph`](crate::shown::ShownGraph), at the zoom's own font size, and only what
//! is in view: two hundred nodes cost little more than twenty.

mod draw;
mod interact;
mod minimap;
mod wire;

pub use interact::{Drag, NewNode};

use crate::editor::Frame;
use bevy::prelude::*;
use bevy_egui::egui;

/// Which part of the canvas is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanvasView {
    /// What lies in the middle, in points of the canvas.
    pub center: Vec2,
    /// How large the canvas is drawn; 1 is its own size.
    pub zoom: f32,
}

impl Default for CanvasView {
    fn default() -> Self {
        Self { center: Vec2::ZERO, zoom: 1.0 }
    }
}

impl CanvasView {
    /// Smallest and largest zoom.
    pub const ZOOMS: core::ops::RangeInclusive<f32> = 0.05..=3.0;
    /// One step of zooming. Steps keep the number of font sizes small.
    pub const ZOOM_STEP: f32 = 1.125;

    /// Zooms by steps around a point of the screen.
    pub fn zoom_around(&mut self, screen: &Screen, at: egui::Pos2, steps: f32) {
        let before = screen.to_canvas(at);
        self.zoom = stepped(self.zoom * Self::ZOOM_STEP.powf(steps.round()));
        let after = Screen { view: *self, ..*screen }.to_canvas(at);
        self.center += before - after;
    }

    /// Shows a rectangle of the canvas whole, not larger than its own size.
    pub fn show(&mut self, rect: Rect, screen: egui::Rect) {
        const MARGIN: f32 = 60.0;
        self.center = rect.center();
        let room = (Vec2::new(screen.width(), screen.height()) - MARGIN).max(Vec2::splat(50.0));
        let fits = (room / rect.size().max(Vec2::ONE)).min_element().min(1.0);
        self.zoom = stepped(fits / Self::ZOOM_STEP.sqrt());
    }
}

/// The nearest whole step of zoom.
fn stepped(zoom: f32) -> f32 {
    let steps = zoom.clamp(*CanvasView::ZOOMS.start(), *CanvasView::ZOOMS.end()).log(CanvasView::ZOOM_STEP).round();
    CanvasView::ZOOM_STEP.powf(steps).clamp(*CanvasView::ZOOMS.start(), *CanvasView::ZOOMS.end())
}

/// Where the canvas is on the screen.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// The canvas' part of the screen.
    pub rect: egui::Rect,
    /// The part of the canvas.
    pub view: CanvasView,
}

impl Screen {
    /// From the canvas to the screen.
    pub fn to_screen(&self, at: Vec2) -> egui::Pos2 {
        let at = (at - self.view.center) * self.view.zoom;
        self.rect.center() + egui::vec2(at.x, at.y)
    }

    /// From the screen to the canvas.
    pub fn to_canvas(&self, at: egui::Pos2) -> Vec2 {
        let from = at - self.rect.center();
        self.view.center + Vec2::new(from.x, from.y) / self.view.zoom
    }

    /// A rectangle from the canvas to the screen.
    pub fn rect_to_screen(&self, rect: Rect) -> egui::Rect {
        egui::Rect::from_min_max(self.to_screen(rect.min), self.to_screen(rect.max))
    }

    /// The part of the canvas that is seen.
    pub fn visible(&self) -> Rect {
        Rect::from_corners(self.to_canvas(self.rect.min), self.to_canvas(self.rect.max))
    }
}

/// The canvas' state.
#[derive(Debug)]
pub struct Canvas {
    /// Which part is seen.
    pub view: CanvasView,
    /// What the mouse is doing.
    pub drag: Drag,
    /// Where the canvas was on the screen last.
    pub rect: egui::Rect,
    /// Whether everything is to be shown once the canvas' size is known.
    pub show_all: bool,
    /// Where the pointer was over the canvas last, in points of the canvas.
    pub pointer: Option<Vec2>,
}

impl Default for Canvas {
    fn default() -> Self {
        Self { view: CanvasView::default(), drag: Drag::None, rect: egui::Rect::ZERO, show_all: true, pointer: None }
    }
}

impl Canvas {
    /// Where the canvas is on the screen.
    pub const fn screen(&self) -> Screen {
        Screen { rect: self.rect, view: self.view }
    }

    /// Where new nodes go: under the pointer, or else into the middle.
    pub fn insertion_point(&self) -> Vec2 {
        self.pointer.unwrap_or(self.view.center)
    }
}

/// Draws the canvas and does what mouse and keys ask for.
pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let (response, painter) = ui.allocate_painter(ui.available_size(), egui::Sense::click_and_drag());
    frame.editor.canvas.rect = response.rect;
    // What was entered in this frame is only drawn in the next.
    if frame.editor.canvas.show_all && frame.shown.revision() == frame.document.revision() {
        frame.editor.canvas.show_all = false;
        if let Some(bounds) = frame.shown.bounds() {
            frame.editor.canvas.view.show(bounds, response.rect);
        }
    }
    interact::interact(ui, &response, frame);
    let screen = frame.editor.canvas.screen();
    draw::draw(ui, &painter, screen, frame);
    minimap::show(ui, &painter, frame);
    way_here(ui, frame);
}

/// The subgraphs that were entered, to go back to.
fn way_here(ui: &mut egui::Ui, frame: &mut Frame) {
    let scope = frame.document.scope().to_vec();
    if scope.is_empty() {
        return;
    }
    let at = frame.editor.canvas.rect.left_top() + egui::vec2(10.0, 8.0);
    let line = egui::Rect::from_min_size(at, egui::vec2(frame.editor.canvas.rect.width() - 20.0, 24.0));
    let mut chosen = None;
    ui.scope_builder(egui::UiBuilder::new().max_rect(line), |ui| {
        ui.horizontal(|ui| {
            let title = frame.document.title();
            for (depth, name) in core::iter::once(&title).chain(&scope).enumerate() {
                if depth > 0 {
                    ui.weak("›");
                }
                if depth == scope.len() {
                    ui.strong(name);
                } else if ui.link(name).clicked() {
                    chosen = Some(depth);
                }
            }
        });
    });
    if let Some(depth) = chosen {
        frame.leave_to(depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen() -> Screen {
        Screen {
            rect: egui::Rect::from_min_size(egui::pos2(10.0, 20.0), egui::vec2(800.0, 600.0)),
            view: CanvasView { center: Vec2::new(100.0, -50.0), zoom: 1.0 },
        }
    }

    #[test]
    fn screen_and_canvas_are_each_others_inverse() {
        let mut screen = screen();
        screen.view.zoom = stepped(0.37);
        for at in [Vec2::ZERO, Vec2::new(-300.0, 77.0), Vec2::new(1e4, -1e4)] {
            assert!((screen.to_canvas(screen.to_screen(at)) - at).length() < 0.1);
        }
    }

    #[test]
    fn zooming_keeps_the_point_under_the_pointer() {
        let screen = screen();
        let pointer = egui::pos2(333.0, 444.0);
        let before = screen.to_canvas(pointer);
        let mut view = screen.view;
        for steps in [3.0, -7.0, 20.0, -60.0] {
            let now = Screen { view, ..screen };
            view.zoom_around(&now, pointer, steps);
            let after = Screen { view, ..screen }.to_canvas(pointer);
            assert!((after - before).length() < 0.5, "{after} is not {before} at zoom {}", view.zoom);
            assert!(CanvasView::ZOOMS.contains(&view.zoom));
        }
    }

    #[test]
    fn showing_everything_shows_everything() {
        let mut view = CanvasView::default();
        let everything = Rect::new(-2000.0, 300.0, 4000.0, 1200.0);
        view.show(everything, screen().rect);
        let seen = Screen { view, ..screen() }.visible();
        assert!(seen.contains(everything.min) && seen.contains(everything.max));
    }
}
