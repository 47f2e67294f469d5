//! Painting the canvas.

use super::{
    Drag, Screen,
    interact::{Hit, NOTE_TITLE, dragged_by, fits, hit, link_ends, opposite},
    wire,
};
use crate::{
    editor::{Frame, Panel},
    layout::GRID,
    shown::{ShownNode, measures},
    theme::{Colors, category_color},
};
use bevy::prelude::*;
use bevy_egui::egui::{self, Align2, Color32, CornerRadius, FontId, Stroke, StrokeKind};
use studio_gpu::prelude::PinFrame;
use studio_graph::prelude::*;

/// Below this zoom pins have no labels, below the other one nodes have no words at all.
const LABELS_FROM: f32 = 0.45;
const WORDS_FROM: f32 = 0.22;

struct Brush<'a> {
    painter: &'a egui::Painter,
    screen: Screen,
    colors: Colors,
    /// Where nodes are while some are dragged.
    shift: Vec2,
}

impl Brush<'_> {
    fn zoom(&self) -> f32 {
        self.screen.view.zoom
    }

    fn font(&self, size: f32) -> FontId {
        FontId::proportional(size * self.zoom())
    }

    /// Words on one line, cut to a width in points of the canvas.
    fn words(&self, at: egui::Pos2, align: Align2, text: &str, size: f32, color: Color32, width: f32) -> egui::Rect {
        let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), self.font(size), color);
        job.wrap = egui::text::TextWrapping::truncate_at_width(width * self.zoom());
        let galley = self.painter.layout_job(job);
        let rect = align.anchor_size(at, galley.size());
        self.painter.galley(rect.min, galley, color);
        rect
    }
}

pub(super) fn draw(ui: &egui::Ui, painter: &egui::Painter, screen: Screen, frame: &mut Frame) {
    let colors = Colors::of(ui);
    let shift = match frame.editor.canvas.drag {
        Drag::Nodes(so_far) => dragged_by(frame, so_far),
        _ => Vec2::ZERO,
    };
    let brush = Brush { painter, screen, colors, shift };
    painter.rect_filled(screen.rect, CornerRadius::ZERO, colors.canvas);
    draw_grid(&brush);
    draw_notes(&brush, frame);
    let pointer = frame.editor.canvas.pointer.map(|at| screen.to_screen(at)).filter(|_| ui.rect_contains_pointer(screen.rect));
    let under = pointer.map_or(Hit::Nothing, |at| hit(frame.shown, &frame.document.graph().notes, &screen, at));
    draw_links(&brush, frame, &under);
    let visible = screen.visible();
    for place in 0..frame.shown.nodes.len() {
        let node = &frame.shown.nodes[place];
        let moved = if frame.editor.selection.contains(&node.name) { brush.shift } else { Vec2::ZERO };
        let rect = Rect::from_corners(node.rect.min + moved, node.rect.max + moved);
        if rect.inflate(40.0).intersect(visible).is_empty() {
            continue;
        }
        draw_node(&brush, frame, place, rect, &under);
    }
    draw_drag(ui, &brush, frame, pointer, &under);
    if frame.shown.nodes.is_empty() && frame.document.graph().notes.is_empty() {
        let help = "Double-click or press Tab to add a node.  F1 shows every key.";
        painter.text(screen.rect.center(), Align2::CENTER_CENTER, help, FontId::proportional(16.0), colors.weak);
    }
    if frame.editor.active == Panel::Blueprint {
        painter.rect_stroke(screen.rect.shrink(0.5), CornerRadius::ZERO, Stroke::new(1.0, colors.selection), StrokeKind::Inside);
    }
    if frame.editor.picker.is_none() && frame.editor.canvas.drag == Drag::None {
        tooltip(ui, frame, &under);
    }
}

fn draw_grid(brush: &Brush) {
    let mut step = GRID * 4.0;
    while step * brush.zoom() < 24.0 {
        step *= 4.0;
    }
    let seen = brush.screen.visible();
    let stroke = Stroke::new(1.0, brush.colors.grid);
    let first = (seen.min / step).floor() * step;
    for column in 0..=(seen.width() / step) as u32 + 1 {
        let x = brush.screen.to_screen(Vec2::new(first.x + column as f32 * step, 0.0)).x;
        brush.painter.vline(x, brush.screen.rect.y_range(), stroke);
    }
    for row in 0..=(seen.height() / step) as u32 + 1 {
        let y = brush.screen.to_screen(Vec2::new(0.0, first.y + row as f32 * step)).y;
        brush.painter.hline(brush.screen.rect.x_range(), y, stroke);
    }
}

fn draw_notes(brush: &Brush, frame: &Frame) {
    for (place, note) in frame.document.graph().notes.iter().enumerate() {
        let selected = frame.editor.selection.note == Some(place);
        let shift = if selected { brush.shift } else { Vec2::ZERO };
        let grown = match frame.editor.canvas.drag {
            Drag::NoteSize(dragged, so_far) if dragged == place => so_far,
            _ => Vec2::ZERO,
        };
        let size = (note.size + grown).max(Vec2::new(80.0, NOTE_TITLE + 20.0));
        let rect = brush.screen.rect_to_screen(Rect::from_corners(note.at + shift, note.at + shift + size));
        let radius = CornerRadius::same((6.0 * brush.zoom()) as u8);
        let edge = if selected { brush.colors.selection } else { brush.colors.frame_edge };
        brush.painter.rect(rect, radius, brush.colors.frame, Stroke::new(1.5, edge), StrokeKind::Inside);
        if brush.zoom() >= WORDS_FROM {
            let at = rect.left_top() + egui::vec2(10.0, NOTE_TITLE / 2.0) * brush.zoom();
            let mut lines = note.text.lines();
            brush.words(at, Align2::LEFT_CENTER, lines.next().unwrap_or_default(), 15.0, brush.colors.text, size.x - 20.0);
            for (line, text) in lines.enumerate().take(40) {
                let at = at + egui::vec2(0.0, NOTE_TITLE / 2.0 + 12.0 + 17.0 * line as f32) * brush.zoom();
                brush.words(at, Align2::LEFT_CENTER, text, 13.0, brush.colors.weak, size.x - 20.0);
            }
        }
        let corner = rect.right_bottom();
        let reach = 10.0 * brush.zoom();
        brush.painter.line_segment([corner - egui::vec2(reach, 3.0), corner - egui::vec2(3.0, reach)], Stroke::new(1.5, edge));
    }
}

fn draw_links(brush: &Brush, frame: &Frame, under: &Hit) {
    for (place, link) in frame.shown.links.iter().enumerate() {
        let (from, to) = link_ends(frame.shown, link);
        let node = |place: usize| &frame.shown.nodes[place];
        let shift = |name: &str| if frame.editor.selection.contains(name) { brush.shift } else { Vec2::ZERO };
        let (from_shift, to_shift) = (shift(&node(link.from.0).name), shift(&node(link.to.0).name));
        let via: Vec<Vec2> = link.via.iter().map(|at| if from_shift == to_shift { *at + from_shift } else { *at }).collect();
        let pieces = wire::pieces(&brush.screen, from + from_shift, &via, to + to_shift);
        if !wire::bounds(&pieces).expand(8.0).intersects(brush.screen.rect) {
            continue;
        }
        let output = &node(link.from.0).outputs[link.from.1];
        let selected = frame.editor.selection.link.as_ref() == Some(&link.link);
        let hovered = matches!(under, Hit::Link(at) | Hit::Waypoint { link: at, .. } if *at == place);
        let quiet = !frame.world.resource::<CompiledGraph>().runs(node(link.to.0).entity);
        let own = Color32::from_rgb(output.color[0], output.color[1], output.color[2]);
        let color = if selected {
            brush.colors.selection
        } else if quiet {
            own.gamma_multiply(0.45)
        } else {
            own
        };
        let width = if selected || hovered { 3.5 } else { 2.2 };
        let stroke = Stroke::new((width * brush.zoom()).max(1.0), color);
        for piece in &pieces {
            brush.painter.add(egui::epaint::CubicBezierShape::from_points_stroke(*piece, false, Color32::TRANSPARENT, stroke));
        }
        // What flows: a bead moves on with every frame that leaves the output.
        let frames = frame.world.get::<PinFrame>(output.entity).map(PinFrame::generation).filter(|generation| *generation > 0);
        if let Some(frames) = frames.filter(|_| !quiet && brush.zoom() >= WORDS_FROM) {
            let (whole, beads) = (pieces.len() as f32, 3.0);
            for bead in 0..3 {
                let share = ((frames % 1_000_000) as f32 * 0.04 + bead as f32 / beads).fract() * whole;
                let piece = (share as usize).min(pieces.len() - 1);
                let at = wire::point(&pieces[piece], share - piece as f32);
                brush.painter.circle_filled(at, (3.2 * brush.zoom()).max(1.5), brush.colors.bead);
            }
        }
        for at in &via {
            let at = brush.screen.to_screen(*at);
            brush.painter.circle(at, 5.0 * brush.zoom(), color, Stroke::new(1.0, brush.colors.canvas));
        }
        if link.conversion.is_some() && brush.zoom() >= WORDS_FROM {
            let at = wire::point(&pieces[pieces.len() / 2], 0.5);
            brush.painter.circle(at, 7.0 * brush.zoom(), brush.colors.node, Stroke::new(1.5, color));
            brush.painter.text(at, Align2::CENTER_CENTER, "~", brush.font(12.0), color);
        }
    }
}

fn draw_node(brush: &Brush, frame: &mut Frame, place: usize, rect: Rect, under: &Hit) {
    let node = &frame.shown.nodes[place];
    let (colors, zoom) = (&brush.colors, brush.zoom());
    let on_screen = brush.screen.rect_to_screen(rect);
    let selected = frame.editor.selection.contains(&node.name);
    let status = frame.world.get::<NodeStatus>(node.entity);
    let error = status.and_then(NodeStatus::error);
    let warning = frame.world.get::<NodeWarning>(node.entity).map(|warning| warning.0.as_str());
    let runs = frame.world.resource::<CompiledGraph>().runs(node.entity) || node.kind == "Subgraph";
    let radius = CornerRadius::same((6.0 * zoom).min(20.0) as u8);
    let fade = if node.bypass || node.placeholder { 0.5 } else { 1.0 };
    let body = if node.freeze { colors.frozen } else { colors.node };
    let edge = match (selected, error, matches!(under, Hit::Node(at) if *at == place)) {
        (true, ..) => Stroke::new(2.5, colors.selection),
        (_, Some(_), _) => Stroke::new(2.0, colors.error),
        _ if warning.is_some() => Stroke::new(2.0, colors.warning),
        (.., true) => Stroke::new(1.5, colors.hovered),
        _ => Stroke::new(1.0, colors.edge),
    };
    brush.painter.rect_filled(on_screen.translate(egui::vec2(0.0, 3.0 * zoom)).expand(1.5 * zoom), radius, colors.shadow);
    brush.painter.rect_filled(on_screen, radius, body.gamma_multiply(fade));
    let title = egui::Rect::from_min_size(on_screen.min, egui::vec2(on_screen.width(), measures::TITLE * zoom));
    let top = CornerRadius { sw: 0, se: 0, ..radius };
    brush.painter.rect_filled(title, top, category_color(&node.category, colors.dark).gamma_multiply(fade));
    brush.painter.rect_stroke(on_screen, radius, edge, StrokeKind::Middle);
    if zoom >= WORDS_FROM {
        draw_title(brush, frame, node, title, status, runs);
        draw_pins(brush, frame, node, rect, under, place);
    }
    if node.bypass {
        let stroke = Stroke::new(2.0 * zoom, colors.warning);
        brush
            .painter
            .line_segment([on_screen.left_bottom(), on_screen.right_top() + egui::vec2(0.0, measures::TITLE * zoom)], stroke);
    }
    let words = error.map(|error| (error, colors.error)).or(warning.map(|warning| (warning, colors.warning)));
    if let Some((words, color)) = words.filter(|_| zoom >= LABELS_FROM) {
        let at = on_screen.left_bottom() + egui::vec2(0.0, 4.0 * zoom);
        brush.words(at, Align2::LEFT_TOP, words, 12.0, color, 320.0);
    }
    let Some(picture) = node.picture_rect().filter(|_| zoom >= WORDS_FROM) else { return };
    let shift = rect.min - node.rect.min;
    let area = brush.screen.rect_to_screen(Rect::from_corners(picture.min + shift, picture.max + shift));
    brush.painter.rect_filled(area, CornerRadius::ZERO, Color32::BLACK);
    let (pin, name) = (node.picture, node.name.clone());
    if let Some(texture) = pin.and_then(|pin| frame.editor.pictures.thumbnail(frame.world, pin, area.width())) {
        let size = area.size() * (texture.aspect / area.aspect_ratio()).min(1.0);
        let shown = egui::Rect::from_center_size(
            area.center(),
            egui::vec2(size.y.min(area.height()) * texture.aspect, size.y.min(area.height())),
        );
        let shown = if texture.aspect > area.aspect_ratio() {
            egui::Rect::from_center_size(area.center(), egui::vec2(area.width(), area.width() / texture.aspect))
        } else {
            shown
        };
        let whole = egui::Rect::from_min_max(egui::pos2(0.0, 0.0), egui::pos2(1.0, 1.0));
        brush.painter.image(texture.id, shown, whole, Color32::WHITE);
    } else {
        let why = if runs { "waits for a frame" } else { "does not run" };
        brush.painter.text(area.center(), Align2::CENTER_CENTER, why, brush.font(11.0), Color32::GRAY);
    }
    if frame.editor.viewed.as_ref().is_some_and(|(viewed, _)| *viewed == name) {
        brush.painter.rect_stroke(area, CornerRadius::ZERO, Stroke::new(2.0, brush.colors.viewed), StrokeKind::Outside);
    }
}

fn draw_title(brush: &Brush, frame: &Frame, node: &ShownNode, title: egui::Rect, status: Option<&NodeStatus>, runs: bool) {
    let (colors, zoom) = (&brush.colors, brush.zoom());
    let light = match status {
        Some(NodeStatus::Failed { .. }) => colors.error,
        Some(NodeStatus::Running { .. }) if runs => colors.good,
        Some(NodeStatus::Ended) => colors.warning,
        _ => colors.weak,
    };
    let dot = title.left_center() + egui::vec2(11.0 * zoom, 0.0);
    brush.painter.circle_filled(dot, 4.0 * zoom, light);
    let mut marks = String::new();
    if node.freeze {
        marks.push_str(" held");
    }
    if node.solo {
        marks.push_str(" solo");
    }
    let time = frame.times.get(&node.entity).filter(|_| runs).map(|ms| format!("{ms:.1} ms"));
    let right = format!("{}{marks}", time.unwrap_or_default());
    let mut room = measures::NODE_WIDTH - 30.0;
    if !right.is_empty() {
        let at = title.right_center() - egui::vec2(8.0 * zoom, 0.0);
        let used = brush.words(at, Align2::RIGHT_CENTER, right.trim(), 10.5, colors.title_weak, 90.0);
        room -= used.width() / zoom + 6.0;
    }
    let at = title.left_center() + egui::vec2(21.0 * zoom, 0.0);
    brush.words(at, Align2::LEFT_CENTER, &node.name, 13.0, colors.title, room);
}

fn draw_pins(brush: &Brush, frame: &Frame, node: &ShownNode, rect: Rect, under: &Hit, place: usize) {
    let zoom = brush.zoom();
    let shift = rect.min - node.rect.min;
    for direction in [PinDirection::Input, PinDirection::Output] {
        for (row, pin) in node.pins(direction).iter().enumerate() {
            let at = brush.screen.to_screen(node.pin_at(direction, row) + shift);
            let color = Color32::from_rgb(pin.color[0], pin.color[1], pin.color[2]);
            let hovered = *under == Hit::Pin { node: place, pin: row, direction };
            // While a wire is drawn, only pins that it fits stand out.
            let suits = match &frame.editor.canvas.drag {
                Drag::Wire { node: start, pin: of, direction: way } => {
                    *way == opposite(direction) && *start != node.name && fits(frame, (start, of), *way, pin)
                }
                _ => true,
            };
            let color = if suits { color } else { color.gamma_multiply(0.2) };
            let radius = measures::PIN * zoom * if hovered && suits { 1.5 } else { 1.0 };
            let fill = if pin.linked { color } else { brush.colors.node };
            brush.painter.circle(at, radius, fill, Stroke::new(1.8 * zoom, color));
            if frame.editor.viewed.as_ref().is_some_and(|(name, of)| *name == node.name && *of == pin.name)
                && direction == PinDirection::Output
            {
                brush.painter.circle_stroke(at, radius + 3.0 * zoom, Stroke::new(2.0 * zoom, brush.colors.viewed));
            }
            if zoom >= LABELS_FROM {
                let (offset, align) = match direction {
                    PinDirection::Input => (10.0, Align2::LEFT_CENTER),
                    PinDirection::Output => (-10.0, Align2::RIGHT_CENTER),
                };
                let both = !node.inputs.is_empty() && !node.outputs.is_empty();
                let room = if both { measures::NODE_WIDTH / 2.0 - 12.0 } else { measures::NODE_WIDTH - 24.0 };
                let at = at + egui::vec2(offset * zoom, 0.0);
                let color = if suits { brush.colors.text } else { brush.colors.weak };
                brush.words(at, align, &pin.name, 12.0, color, room);
            }
        }
    }
}

fn draw_drag(ui: &egui::Ui, brush: &Brush, frame: &Frame, pointer: Option<egui::Pos2>, under: &Hit) {
    match &frame.editor.canvas.drag {
        Drag::Select(start) => {
            let Some(at) = pointer else { return };
            let area = egui::Rect::from_two_pos(brush.screen.to_screen(*start), at);
            let fill = brush.colors.selection.gamma_multiply(0.12);
            brush.painter.rect(area, CornerRadius::ZERO, fill, Stroke::new(1.0, brush.colors.selection), StrokeKind::Inside);
        }
        Drag::Wire { node, pin, direction } => {
            let Some((shown, place)) = frame.shown.node(node).and_then(|shown| Some((shown, shown.pin_named(*direction, pin)?)))
            else {
                return;
            };
            let Some(at) = pointer else { return };
            let (start, end) = (shown.pin_at(*direction, place), brush.screen.to_canvas(at));
            let (from, to) = if *direction == PinDirection::Output { (start, end) } else { (end, start) };
            let color = shown.pins(*direction)[place].color;
            let mut color = Color32::from_rgb(color[0], color[1], color[2]);
            let mut words = None;
            if let Hit::Pin { node: other, pin: end, direction: way } = under {
                let other = &frame.shown.nodes[*other];
                let end = &other.pins(*way)[*end];
                let name = shown.pins(*direction)[place].data_type.name().to_owned();
                if *way == *direction {
                    words = Some("both are the same end of a wire".to_owned());
                } else if !fits(frame, (node, pin), *direction, end) {
                    words = Some(format!("{name} does not fit {}", end.data_type.name()));
                } else {
                    words = Some(format!("{name} → {}.{}", other.name, end.name));
                }
                if *way == *direction || !fits(frame, (node, pin), *direction, end) {
                    color = brush.colors.error;
                }
            }
            for piece in wire::pieces(&brush.screen, from, &[], to) {
                let stroke = Stroke::new((2.5 * brush.zoom()).max(1.0), color);
                let shape = egui::epaint::CubicBezierShape::from_points_stroke(piece, false, Color32::TRANSPARENT, stroke);
                brush.painter.add(shape);
            }
            if let Some(words) = words {
                let at = at + egui::vec2(14.0, 18.0);
                let galley = ui.painter().layout_no_wrap(words, FontId::proportional(13.0), brush.colors.text);
                let around = egui::Rect::from_min_size(at, galley.size()).expand(4.0);
                brush.painter.rect(around, CornerRadius::same(3), brush.colors.node, Stroke::new(1.0, color), StrokeKind::Inside);
                brush.painter.galley(at, galley, brush.colors.text);
            }
        }
        _ => {}
    }
}

/// What is under the pointer, in words.
fn tooltip(ui: &egui::Ui, frame: &Frame, under: &Hit) {
    let words = match under {
        Hit::Pin { node, pin, direction } => {
            let node = &frame.shown.nodes[*node];
            let pin = &node.pins(*direction)[*pin];
            format!("{}.{}: {}", node.name, pin.name, pin.data_type.name())
        }
        Hit::Link(link) => {
            let link = &frame.shown.links[*link];
            match &link.conversion {
                Some(how) => format!("{}\nturned into {how}", link.link),
                None => link.link.to_string(),
            }
        }
        Hit::Node(node) => {
            let node = &frame.shown.nodes[*node];
            match frame.world.get::<NodeStatus>(node.entity).and_then(NodeStatus::error) {
                Some(error) => format!("{}: {error}", node.label),
                None if node.placeholder => format!("{}: no plugin here brings this kind", node.kind),
                None => return,
            }
        }
        _ => return,
    };
    egui::Tooltip::always_open(ui.ctx().clone(), ui.layer_id(), egui::Id::new("canvas words"), egui::PopupAnchor::Pointer).show(
        |ui| {
            ui.set_max_width(420.0);
            ui.label(words);
        },
    );
}
