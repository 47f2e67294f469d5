//! What mouse and keys do on the canvas.

use super::{CanvasView, Screen, wire};
use crate::{
    command::Command,
    edit,
    editor::{Frame, Panel},
    layout::{GRID, snapped},
    picker::{Mode, Picker},
    shown::{ShownGraph, ShownPin, measures},
};
use bevy::prelude::*;
use bevy_egui::egui::{self, PointerButton};
use studio_graph::{data_type::DataTypes, link::LinkText, prelude::*};

/// What the mouse is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum Drag {
    /// Nothing.
    None,
    /// Moving the view.
    Pan,
    /// Moving nodes and notes, so far by this much.
    Nodes(Vec2),
    /// Drawing a wire from a pin: node, pin, direction.
    Wire {
        /// The node.
        node: String,
        /// The pin.
        pin: String,
        /// Its direction.
        direction: PinDirection,
    },
    /// Drawing a rectangle around what is to be selected, from this point of the canvas.
    Select(Vec2),
    /// Moving a waypoint of a link.
    Waypoint {
        /// The link.
        link: LinkText,
        /// The waypoint's place on it.
        place: usize,
    },
    /// Changing the size of a note, so far by this much.
    NoteSize(usize, Vec2),
    /// Moving the view in the overview.
    Overview,
}

/// What is under the pointer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Hit {
    Pin { node: usize, pin: usize, direction: PinDirection },
    Node(usize),
    Waypoint { link: usize, place: usize },
    Link(usize),
    NoteCorner(usize),
    NoteTitle(usize),
    Nothing,
}

/// Height of a note's title, in points of the canvas.
pub(super) const NOTE_TITLE: f32 = 26.0;
const NOTE_CORNER: f32 = 14.0;

pub(super) fn hit(shown: &ShownGraph, notes: &[studio_graph::blueprint::BlueprintNote], screen: &Screen, at: egui::Pos2) -> Hit {
    let on_canvas = screen.to_canvas(at);
    let reach = (measures::PIN + 4.0).max(7.0 / screen.view.zoom);
    for (place, node) in shown.nodes.iter().enumerate().rev() {
        if !node.rect.inflate(reach).contains(on_canvas) {
            continue;
        }
        for direction in [PinDirection::Input, PinDirection::Output] {
            let near = |pin: &usize| node.pin_at(direction, *pin).distance(on_canvas) <= reach;
            if let Some(pin) = (0..node.pins(direction).len()).find(near) {
                return Hit::Pin { node: place, pin, direction };
            }
        }
        if node.rect.contains(on_canvas) {
            return Hit::Node(place);
        }
    }
    for (place, link) in shown.links.iter().enumerate() {
        if let Some(point) = link.via.iter().position(|via| screen.to_screen(*via).distance(at) < 8.0) {
            return Hit::Waypoint { link: place, place: point };
        }
    }
    let near = shown.links.iter().enumerate().filter_map(|(place, link)| {
        let (from, to) = link_ends(shown, link);
        let pieces = wire::pieces(screen, from, &link.via, to);
        let around = wire::bounds(&pieces).expand(6.0);
        around.contains(at).then(|| (wire::distance(&pieces, at).0, place))
    });
    if let Some((far, place)) = near.min_by(|one, other| one.0.total_cmp(&other.0))
        && far < 6.0
    {
        return Hit::Link(place);
    }
    for (place, note) in notes.iter().enumerate().rev() {
        let rect = Rect::from_corners(note.at, note.at + note.size);
        if rect.contains(on_canvas) && (rect.max - on_canvas).max_element() < NOTE_CORNER {
            return Hit::NoteCorner(place);
        }
        if rect.contains(on_canvas) && on_canvas.y < rect.min.y + NOTE_TITLE {
            return Hit::NoteTitle(place);
        }
    }
    Hit::Nothing
}

/// Where a link's wire starts and ends.
pub(super) fn link_ends(shown: &ShownGraph, link: &crate::shown::ShownLink) -> (Vec2, Vec2) {
    let from = shown.nodes[link.from.0].pin_at(PinDirection::Output, link.from.1);
    (from, shown.nodes[link.to.0].pin_at(PinDirection::Input, link.to.1))
}

pub(super) fn interact(ui: &egui::Ui, response: &egui::Response, frame: &mut Frame) {
    let pointer = response.hover_pos().or_else(|| response.interact_pointer_pos());
    let screen = frame.editor.canvas.screen();
    frame.editor.canvas.pointer = pointer.map(|at| screen.to_canvas(at));
    if response.clicked() || response.drag_started() || response.secondary_clicked() {
        frame.editor.active = Panel::Blueprint;
        ui.memory_mut(|memory| {
            if let Some(focused) = memory.focused() {
                memory.surrender_focus(focused);
            }
        });
    }
    zoom(ui, response, frame);
    let Some(at) = pointer else {
        frame.editor.canvas.drag = Drag::None;
        return;
    };
    let under = || hit(frame.shown, &frame.document.graph().notes, &screen, at);
    // A drag is of what was pressed, not of what the pointer has moved over since.
    let pressed = ui.input(|input| input.pointer.press_origin()).unwrap_or(at);
    let modifiers = ui.input(|input| input.modifiers);
    if response.drag_started_by(PointerButton::Middle) || response.drag_started_by(PointerButton::Secondary) {
        frame.editor.canvas.drag = Drag::Pan;
    } else if response.drag_started_by(PointerButton::Primary) {
        let target = hit(frame.shown, &frame.document.graph().notes, &screen, pressed);
        begin_drag(frame, target, screen.to_canvas(pressed), modifiers);
    } else if response.double_clicked() {
        double_click(frame, under(), screen.to_canvas(at));
    } else if response.clicked() {
        click(frame, under(), modifiers);
    } else if response.secondary_clicked() {
        match under() {
            Hit::Node(node) => {
                let name = frame.shown.nodes[node].name.clone();
                if !frame.editor.selection.contains(&name) {
                    frame.editor.selection.set([name]);
                }
            }
            Hit::Link(link) | Hit::Waypoint { link, .. } => {
                frame.editor.selection.clear();
                frame.editor.selection.link = Some(frame.shown.links[link].link.clone());
            }
            _ => {}
        }
        frame.editor.picker = None;
    }
    context_menu(response, frame);
    drag(ui, response, frame, at);
    if response.drag_stopped() {
        end_drag(frame, at, modifiers);
        frame.editor.canvas.drag = Drag::None;
        frame.document.seal();
    }
    take_drops(response, frame, at);
}

fn zoom(ui: &egui::Ui, response: &egui::Response, frame: &mut Frame) {
    if !response.contains_pointer() {
        return;
    }
    let (scroll, pinch, shift) = ui.input(|input| (input.smooth_scroll_delta(), input.zoom_delta(), input.modifiers.shift));
    let canvas = &mut frame.editor.canvas;
    let Some(at) = response.hover_pos() else { return };
    if shift {
        canvas.view.center.x -= (scroll.x + scroll.y) / canvas.view.zoom;
        return;
    }
    canvas.view.center.x -= scroll.x / canvas.view.zoom;
    // A notch of the wheel is 40 to 50 points; what is less adds up.
    frame.editor.scrolled += scroll.y / 25.0 + (pinch.ln() / CanvasView::ZOOM_STEP.ln());
    let steps = frame.editor.scrolled.trunc();
    if steps != 0.0 {
        frame.editor.scrolled -= steps;
        let screen = frame.editor.canvas.screen();
        frame.editor.canvas.view.zoom_around(&screen, at, steps);
    }
}

fn click(frame: &mut Frame, target: Hit, modifiers: egui::Modifiers) {
    let selection = &mut frame.editor.selection;
    let adds = modifiers.shift || modifiers.command;
    match target {
        Hit::Node(node) => {
            let name = frame.shown.nodes[node].name.clone();
            if adds {
                selection.toggle(&name);
            } else {
                selection.set([name]);
            }
        }
        Hit::Pin { node, pin, direction } => {
            let shown = &frame.shown.nodes[node];
            let (name, pin) = (shown.name.clone(), shown.pins(direction)[pin].name.clone());
            selection.set([name.clone()]);
            if modifiers.alt {
                unlink(frame, &name, &pin, direction);
            } else if direction == PinDirection::Output {
                frame.view(&name, &pin);
            }
        }
        Hit::Link(link) | Hit::Waypoint { link, .. } => {
            let link = frame.shown.links[link].link.clone();
            if modifiers.alt {
                frame.edit(format!("Unlink {link}"), None, |blueprint| edit::disconnect(blueprint, &link));
            } else {
                selection.clear();
                selection.link = Some(link);
            }
        }
        Hit::NoteTitle(note) | Hit::NoteCorner(note) => {
            selection.clear();
            selection.note = Some(note);
        }
        Hit::Nothing if !adds => selection.clear(),
        Hit::Nothing => {}
    }
}

fn unlink(frame: &mut Frame, node: &str, pin: &str, direction: PinDirection) {
    let end = (node.to_owned(), pin.to_owned());
    let of_pin = |link: &LinkText| if direction == PinDirection::Input { link.to == end } else { link.from == end };
    let links: Vec<LinkText> =
        frame.document.graph().links.iter().map(|link| link.link.clone()).filter(|link| of_pin(link)).collect();
    frame.edit(format!("Unlink {node}.{pin}"), None, |blueprint| links.iter().for_each(|link| edit::disconnect(blueprint, link)));
}

fn double_click(frame: &mut Frame, target: Hit, at: Vec2) {
    match target {
        Hit::Nothing => frame.editor.picker = Some(Picker::new(Mode::Add { at, wire: None })),
        Hit::Link(place) => {
            let shown = &frame.shown.links[place];
            let screen = frame.editor.canvas.screen();
            let (from, to) = link_ends(frame.shown, shown);
            let pieces = wire::pieces(&screen, from, &shown.via, to);
            let (_, piece) = wire::distance(&pieces, screen.to_screen(at));
            let mut via = shown.via.clone();
            via.insert(piece, at);
            let link = shown.link.clone();
            frame.edit(format!("Bend {link}"), None, |blueprint| edit::set_route(blueprint, &link, via));
        }
        Hit::Waypoint { link, place } => {
            let shown = &frame.shown.links[link];
            let (link, mut via) = (shown.link.clone(), shown.via.clone());
            via.remove(place);
            frame.edit(format!("Straighten {link}"), None, |blueprint| edit::set_route(blueprint, &link, via));
        }
        Hit::Node(node) if frame.shown.nodes[node].kind == "Subgraph" => {
            let name = frame.shown.nodes[node].name.clone();
            frame.enter(&name);
        }
        Hit::Node(_) => frame.run(Command::Rename),
        Hit::Pin { node, pin, direction } => {
            let shown = &frame.shown.nodes[node];
            let (name, pin) = (shown.name.clone(), shown.pins(direction)[pin].name.clone());
            frame.editor.picker = Some(Picker::new(Mode::Add { at, wire: Some((name, pin, direction)) }));
        }
        Hit::NoteTitle(_) | Hit::NoteCorner(_) => frame.run(Command::Rename),
    }
}

fn begin_drag(frame: &mut Frame, target: Hit, at: Vec2, modifiers: egui::Modifiers) {
    let adds = modifiers.shift || modifiers.command;
    frame.editor.canvas.drag = match target {
        Hit::Pin { node, pin, direction } => {
            let shown = &frame.shown.nodes[node];
            let (name, pin) = (shown.name.clone(), shown.pins(direction)[pin].name.clone());
            let end = (name.clone(), pin.clone());
            let linked = frame.document.graph().links.iter().map(|link| &link.link).find(|link| link.to == end).cloned();
            match linked.filter(|_| direction == PinDirection::Input) {
                // A wire that is taken at its end goes on from its start.
                Some(link) => {
                    frame.edit(format!("Unlink {link}"), None, |blueprint| edit::disconnect(blueprint, &link));
                    Drag::Wire { node: link.from.0, pin: link.from.1, direction: PinDirection::Output }
                }
                None => Drag::Wire { node: name, pin, direction },
            }
        }
        Hit::Node(node) => {
            let name = frame.shown.nodes[node].name.clone();
            if !frame.editor.selection.contains(&name) {
                if adds {
                    frame.editor.selection.add(&name);
                } else {
                    frame.editor.selection.set([name]);
                }
            }
            Drag::Nodes(Vec2::ZERO)
        }
        Hit::Waypoint { link, place } => Drag::Waypoint { link: frame.shown.links[link].link.clone(), place },
        Hit::Link(link) => {
            frame.editor.selection.clear();
            frame.editor.selection.link = Some(frame.shown.links[link].link.clone());
            Drag::None
        }
        Hit::NoteTitle(note) => {
            // A frame takes along what stands in it.
            let inside = frame.document.graph().notes.get(note).map(|note| Rect::from_corners(note.at, note.at + note.size));
            let nodes = frame.shown.nodes.iter().filter(|node| inside.is_some_and(|inside| inside.contains(node.rect.center())));
            frame.editor.selection.set(nodes.map(|node| node.name.clone()).collect::<Vec<_>>());
            frame.editor.selection.note = Some(note);
            Drag::Nodes(Vec2::ZERO)
        }
        Hit::NoteCorner(note) => {
            frame.editor.selection.clear();
            frame.editor.selection.note = Some(note);
            Drag::NoteSize(note, Vec2::ZERO)
        }
        Hit::Nothing => {
            if !adds {
                frame.editor.selection.clear();
            }
            Drag::Select(at)
        }
    };
}

fn drag(ui: &egui::Ui, response: &egui::Response, frame: &mut Frame, at: egui::Pos2) {
    let moved = Vec2::new(response.drag_delta().x, response.drag_delta().y) / frame.editor.canvas.view.zoom;
    let canvas = &mut frame.editor.canvas;
    // Near the border the view follows what is dragged.
    let wanders = matches!(canvas.drag, Drag::Nodes(_) | Drag::Wire { .. } | Drag::Select(_));
    if wanders && response.dragged() {
        const BORDER: f32 = 24.0;
        const STEP: f32 = 12.0;
        let rect = canvas.rect.shrink(BORDER);
        let push = Vec2::new(at.x - at.x.clamp(rect.min.x, rect.max.x), at.y - at.y.clamp(rect.min.y, rect.max.y));
        if push != Vec2::ZERO {
            let step = push.clamp_length_max(BORDER) / BORDER * STEP / canvas.view.zoom;
            canvas.view.center += step;
            if let Drag::Nodes(so_far) = &mut canvas.drag {
                *so_far += step;
            }
            ui.ctx().request_repaint();
        }
    }
    match &mut canvas.drag {
        Drag::Pan => canvas.view.center -= moved,
        Drag::Nodes(so_far) | Drag::NoteSize(_, so_far) => *so_far += moved,
        Drag::Waypoint { link, place } => {
            let (link, place) = (link.clone(), *place);
            let to = frame.editor.canvas.screen().to_canvas(at);
            if response.dragged() && moved != Vec2::ZERO {
                let via = frame.shown.links.iter().find(|shown| shown.link == link).map(|shown| shown.via.clone());
                if let Some(mut via) = via.filter(|via| place < via.len()) {
                    via[place] = to;
                    frame.edit(format!("Bend {link}"), Some(format!("bend {link} {place}")), |blueprint| {
                        edit::set_route(blueprint, &link, via);
                    });
                }
            }
        }
        _ => {}
    }
}

/// How far dragged nodes go, on the grid if that is wanted: the node taken last comes to stand on it.
pub(super) fn dragged_by(frame: &Frame, so_far: Vec2) -> Vec2 {
    if !frame.session.preferences.snap {
        return so_far.round();
    }
    let first = frame.editor.selection.last().and_then(|name| frame.shown.node(name)).map(|node| node.rect.min);
    first.map_or_else(|| (so_far / GRID).round() * GRID, |first| snapped(first + so_far) - first)
}

fn end_drag(frame: &mut Frame, at: egui::Pos2, modifiers: egui::Modifiers) {
    let screen = frame.editor.canvas.screen();
    match frame.editor.canvas.drag.clone() {
        Drag::Nodes(so_far) => {
            let by = dragged_by(frame, so_far);
            if by == Vec2::ZERO {
                return;
            }
            let (names, note) = (frame.editor.selection.nodes().to_vec(), frame.editor.selection.note);
            let what = match names.as_slice() {
                [one] => one.clone(),
                many => format!("{} nodes", many.len()),
            };
            frame.edit(format!("Move {what}"), None, |blueprint| {
                blueprint.nodes.iter_mut().filter(|node| names.contains(&node.name)).for_each(|node| node.at += by);
                if let Some(note) = note.and_then(|note| blueprint.notes.get_mut(note)) {
                    note.at += by;
                }
                // Wires between moved nodes keep their shape.
                let moved = |name: &str| names.iter().any(|moved| moved == name);
                for route in blueprint.routes.iter_mut().filter(|route| moved(&route.link.from.0) && moved(&route.link.to.0)) {
                    route.via.iter_mut().for_each(|point| *point += by);
                }
            });
        }
        Drag::NoteSize(note, so_far) => {
            frame.edit("Resize a frame", None, |blueprint| {
                if let Some(note) = blueprint.notes.get_mut(note) {
                    note.size = (note.size + so_far).max(Vec2::new(80.0, NOTE_TITLE + 20.0)).round();
                }
            });
        }
        Drag::Select(start) => {
            let area = Rect::from_corners(start, screen.to_canvas(at));
            let inside: Vec<String> = frame
                .shown
                .nodes
                .iter()
                .filter(|node| !node.rect.intersect(area).is_empty())
                .map(|node| node.name.clone())
                .collect();
            if !(modifiers.shift || modifiers.command) {
                frame.editor.selection.clear();
            }
            inside.iter().for_each(|name| frame.editor.selection.add(name));
        }
        Drag::Wire { node, pin, direction } => {
            match hit(frame.shown, &frame.document.graph().notes, &screen, at) {
                Hit::Pin { node: other, pin: place, direction: way } if way != direction => {
                    let shown = &frame.shown.nodes[other];
                    let end = (shown.name.clone(), shown.pins(way)[place].name.clone());
                    link(frame, (node, pin), direction, end);
                }
                // Let go over a node: its first pin that fits.
                Hit::Node(other) => {
                    let shown = &frame.shown.nodes[other];
                    let fits = |candidate: &&ShownPin| fits(frame, (&node, &pin), direction, candidate);
                    let other_way = opposite(direction);
                    let candidates = shown.pins(other_way);
                    let chosen = candidates.iter().filter(|pin| !pin.linked).find(fits).or_else(|| candidates.iter().find(fits));
                    let end = chosen.map(|pin| (shown.name.clone(), pin.name.clone()));
                    if let Some(end) = end {
                        link(frame, (node, pin), direction, end);
                    }
                }
                Hit::Nothing | Hit::Link(_) | Hit::NoteTitle(_) => {
                    let at = screen.to_canvas(at);
                    frame.editor.picker = Some(Picker::new(Mode::Add { at, wire: Some((node, pin, direction)) }));
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// The other direction.
pub(crate) fn opposite(direction: PinDirection) -> PinDirection {
    if direction == PinDirection::Input { PinDirection::Output } else { PinDirection::Input }
}

fn link(frame: &mut Frame, start: (String, String), direction: PinDirection, end: (String, String)) {
    let link = match direction {
        PinDirection::Output => LinkText { from: start, to: end },
        PinDirection::Input => LinkText { from: end, to: start },
    };
    frame.edit(format!("Link {link}"), None, |blueprint| edit::connect(blueprint, link));
}

/// Whether a wire from a pin may end at another.
pub(super) fn fits(frame: &Frame, start: (&str, &str), direction: PinDirection, end: &ShownPin) -> bool {
    let Some(node) = frame.shown.node(start.0) else { return false };
    let Some(place) = node.pin_named(direction, start.1) else { return false };
    let (one, other) = (&node.pins(direction)[place].data_type, &end.data_type);
    let types = frame.world.resource::<DataTypes>();
    let conversion = if direction == PinDirection::Output { types.conversion(one, other) } else { types.conversion(other, one) };
    conversion.is_some()
}

fn context_menu(response: &egui::Response, frame: &mut Frame) {
    use Command as C;
    response.context_menu(|ui| {
        let mut chosen = None;
        let mut item = |ui: &mut egui::Ui, command: Command| {
            let button = egui::Button::new(command.name()).shortcut_text(command.keys_text());
            if ui.add(button).clicked() {
                chosen = Some(command);
                ui.close();
            }
        };
        if frame.editor.selection.is_empty() {
            for command in [C::AddNode, C::Paste, C::AddFrame, C::SelectAll, C::Arrange, C::ShowAll] {
                item(ui, command);
            }
        } else if frame.editor.selection.link.is_some() {
            item(ui, C::Delete);
        } else {
            for command in [C::View, C::Link, C::Rename, C::Group, C::Ungroup, C::Bypass, C::Freeze, C::Solo, C::AddFrame] {
                item(ui, command);
            }
            ui.separator();
            for command in [C::Cut, C::Copy, C::Paste, C::Duplicate, C::Delete, C::Dissolve] {
                item(ui, command);
            }
            ui.separator();
            ui.menu_button("Align", |ui| {
                for command in Command::ALIGNMENTS {
                    item(ui, command);
                }
            });
        }
        if let Some(command) = chosen {
            frame.run(command);
        }
    });
}

/// What was dragged here from a manager: a kind of node with some settings.
#[derive(Clone, Debug, PartialEq)]
pub struct NewNode {
    /// The kind.
    pub kind: String,
    /// What it is called.
    pub label: String,
    /// Settings as RON.
    pub settings: Vec<(String, String)>,
}

fn take_drops(response: &egui::Response, frame: &mut Frame, at: egui::Pos2) {
    if let Some(node) = response.dnd_release_payload::<NewNode>() {
        let at = frame.editor.canvas.screen().to_canvas(at);
        frame.add_node(&node, at, None);
    }
}
