//! The live view: what is seen, where its time goes, and the buttons to go on air.

mod figures;
mod sound;
mod viewers;

use crate::{
    EditorOwn, edit,
    editor::{Frame, own},
    shown::{ShownNode, delivered},
    theme::Colors,
};
use bevy::prelude::*;
use bevy_egui::egui::{self, Color32, CornerRadius, Stroke, StrokeKind};
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;
use studio_media::nodes::{Recorder, RecorderStatus};
use studio_stream::nodes::{WebTransportOutput, WebTransportStatus};
use studio_view::prelude::SphereView;

/// Which eye's half of a stereo picture is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Eye {
    #[default]
    Both,
    Left,
    Right,
}

/// The live view's state.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Whether a sphere is looked around in, instead of being shown flat.
    flat: bool,
    eye: Eye,
    /// The node that looks around, and the output pin that it looks at.
    look: Option<(Entity, Entity)>,
    /// The input that the switch goes to next.
    next: usize,
    rates: Vec<(Entity, figures::Rate)>,
    /// Since when each recorder writes which file.
    recordings: Vec<(Entity, PathBuf, Instant)>,
}

/// What goes on air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sink {
    Recorder,
    Stream,
}

impl Sink {
    const fn kind(self) -> &'static str {
        match self {
            Self::Recorder => "Recorder",
            Self::Stream => "WebTransportOutput",
        }
    }
}

/// Starts or stops every recorder or stream of the graph.
pub(crate) fn toggle(frame: &mut Frame, sink: Sink) {
    let nodes: Vec<(String, bool)> = frame
        .document
        .graph()
        .nodes
        .iter()
        .filter(|node| node.kind == sink.kind())
        .map(|node| (node.name.clone(), node.bypass))
        .collect();
    if nodes.is_empty() {
        let what = match sink {
            Sink::Recorder => "The graph has no recorder: add a “Recorder” node and link an encoder's packets to it.",
            Sink::Stream => "The graph has no stream: add a “WebTransport output” node and link an encoder's packets to it.",
        };
        frame.tell(what);
        return;
    }
    let stops = nodes.iter().any(|(_, bypass)| !bypass);
    let step = match (sink, stops) {
        (Sink::Recorder, true) => "Stop recording",
        (Sink::Recorder, false) => "Record",
        (Sink::Stream, true) => "Stop streaming",
        (Sink::Stream, false) => "Stream",
    };
    frame.edit(step, None, |blueprint| {
        for (name, _) in &nodes {
            if let Some(node) = blueprint.node_mut(name) {
                node.bypass = stops;
            }
        }
    });
}

/// The graph's first switch: its node, how many inputs it has, and which is active (from 1).
fn switch(frame: &Frame) -> Option<(ShownNode, usize, usize)> {
    let node = frame.shown.nodes.iter().find(|node| node.kind == "Switch")?;
    let of_file = frame.document.graph().node(&node.name)?;
    let active = of_file.settings.iter().find(|setting| setting.field == "active").and_then(|setting| setting.value.parse().ok());
    Some((node.clone(), node.inputs.len(), active.unwrap_or(1)))
}

/// Has the switch go to the input in the preview.
pub(crate) fn take(frame: &mut Frame, fade: bool) {
    let Some((node, inputs, active)) = switch(frame) else {
        frame.tell("The graph has no switch: add a “Switch” node, link pictures to it, and cut between them here.");
        return;
    };
    let next = frame.editor.live.next;
    let next = if (1..=inputs).contains(&next) && next != active { next } else { active % inputs + 1 };
    frame.editor.live.next = active;
    let transition = if fade { "Fade" } else { "Cut" };
    frame.edit(format!("{transition} to {}", node.inputs[next - 1].name), None, |blueprint| {
        edit::set_setting(blueprint, &node.name, "transition", Some(transition.to_owned()));
        edit::set_setting(blueprint, &node.name, "active", Some(next.to_string()));
    });
}

/// The output that is shown: the viewed one, or else what leaves the graph.
fn program(frame: &Frame) -> Option<(String, String, Entity)> {
    let of = |name: &str, pin: &str| {
        let node = frame.shown.node(name)?;
        let place = node.pin_named(PinDirection::Output, pin)?;
        let entity = delivered(frame.world, node.outputs[place].entity)?;
        Some((name.to_owned(), pin.to_owned(), entity))
    };
    if let Some((name, pin)) = &frame.editor.viewed {
        return of(name, pin);
    }
    let leaves = |kind: &str| frame.shown.links.iter().find(|link| frame.shown.nodes[link.to.0].kind == kind);
    let link = ["Preview", "WindowOutput", "VideoEncoder"].into_iter().find_map(leaves)?;
    of(&link.link.from.0, &link.link.from.1)
}

pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    buttons(ui, frame);
    ui.separator();
    let wide = ui.available_width() > 720.0;
    let height = ui.available_height();
    if wide {
        ui.horizontal_top(|ui| {
            let room = egui::vec2(ui.available_width() - 300.0, height);
            let down = egui::Layout::top_down(egui::Align::Min);
            ui.allocate_ui_with_layout(room, down, |ui| pictures(ui, frame));
            ui.allocate_ui_with_layout(egui::vec2(290.0, height), down, |ui| figures::show(ui, frame));
        });
    } else {
        ui.allocate_ui(egui::vec2(ui.available_width(), height * 0.6), |ui| pictures(ui, frame));
        figures::show(ui, frame);
    }
}

fn buttons(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    ui.horizontal_wrapped(|ui| {
        if switch(frame).is_some() {
            if ui.button("Cut").on_hover_text("Ctrl+Enter").clicked() {
                take(frame, false);
            }
            if ui.button("Fade").on_hover_text("Ctrl+Shift+Enter").clicked() {
                take(frame, true);
            }
            ui.separator();
        }
        for sink in [Sink::Recorder, Sink::Stream] {
            on_air(ui, frame, sink, &colors);
        }
        ui.separator();
        ui.toggle_value(&mut frame.editor.live.flat, "Flat")
            .on_hover_text("Show the whole sphere flat instead of looking around in it");
        for (eye, name) in [(Eye::Both, "Both eyes"), (Eye::Left, "Left"), (Eye::Right, "Right")] {
            ui.selectable_value(&mut frame.editor.live.eye, eye, name);
        }
        if let Some((node, pin)) = frame.editor.viewed.clone() {
            ui.separator();
            ui.colored_label(colors.viewed, format!("{node}.{pin}"));
            if ui.small_button("×").on_hover_text("Back to the program").clicked() {
                frame.editor.viewed = None;
            }
        }
    });
}

fn on_air(ui: &mut egui::Ui, frame: &mut Frame, sink: Sink, colors: &Colors) {
    let nodes: Vec<&ShownNode> = frame.shown.nodes.iter().filter(|node| node.kind == sink.kind()).collect();
    let on = nodes.iter().any(|node| frame.world.resource::<CompiledGraph>().runs(node.entity));
    let name = match (sink, on) {
        (Sink::Recorder, false) => "● Record",
        (Sink::Recorder, true) => "■ Stop recording",
        (Sink::Stream, false) => "▶ Stream",
        (Sink::Stream, true) => "■ Stop streaming",
    };
    let entities: Vec<Entity> = nodes.iter().map(|node| node.entity).filter(|_| on).collect();
    let recordings = &mut frame.editor.live.recordings;
    let words = entities.iter().find_map(|node| state_of(frame.world, recordings, *node));
    let text = egui::RichText::new(name).color(if on { colors.error } else { colors.text });
    if ui.add(egui::Button::new(text)).on_hover_text(if sink == Sink::Recorder { "F9" } else { "F10" }).clicked() {
        toggle(frame, sink);
    }
    if let Some(words) = words {
        ui.label(words);
    }
}

/// What a recorder or a stream does, in words.
fn state_of(world: &World, recordings: &mut Vec<(Entity, PathBuf, Instant)>, node: Entity) -> Option<String> {
    if let Some(path) = world.get::<RecorderStatus>(node).and_then(|status| status.path.as_deref()) {
        let metadata = std::fs::metadata(path).ok()?;
        if recordings.iter().all(|(of, file, _)| *of != node || file != path) {
            recordings.retain(|(of, ..)| *of != node && world.get_entity(*of).is_ok());
            recordings.push((node, path.to_owned(), Instant::now()));
        }
        let since = recordings.iter().find(|(of, ..)| *of == node).map(|(.., since)| since.elapsed());
        let seconds = since.unwrap_or_default().as_secs();
        let free =
            fs4::available_space(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))).ok();
        let free = free.map(|bytes| format!(", {} free", bytes_text(bytes))).unwrap_or_default();
        return Some(format!("{}:{:02}, {}{free}", seconds / 60, seconds % 60, bytes_text(metadata.len())));
    }
    if world.get::<Recorder>(node).is_some_and(|recorder| recorder.path.is_empty()) {
        return Some("has no file: choose one in the inspector".to_owned());
    }
    let status = world.get::<WebTransportStatus>(node)?;
    world.get::<WebTransportOutput>(node)?;
    status.viewer_link.as_ref()?;
    Some(format!("{} viewers", status.stats.sessions))
}

/// A count of bytes for people.
fn bytes_text(bytes: u64) -> String {
    let steps = ["B", "kB", "MB", "GB", "TB"];
    let mut size = bytes as f64;
    let mut step = 0;
    while size >= 1000.0 && step < steps.len() - 1 {
        size /= 1000.0;
        step += 1;
    }
    if step == 0 { format!("{bytes} B") } else { format!("{size:.1} {}", steps[step]) }
}

fn pictures(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    let room = ui.available_size().max(egui::vec2(64.0, 36.0));
    let Some((node, pin, entity)) = program(frame) else {
        let (rect, _) = ui.allocate_exact_size(room, egui::Sense::hover());
        ui.painter().rect_filled(rect, CornerRadius::ZERO, Color32::BLACK);
        let words = "Nothing to see yet: press V on a node, or link something to a window or an encoder.";
        let font = egui::FontId::proportional(13.0);
        let galley = ui.painter().layout(words.to_owned(), font, Color32::GRAY, rect.width() - 20.0);
        ui.painter().galley(rect.center() - galley.size() / 2.0, galley, Color32::GRAY);
        return;
    };
    match switch(frame) {
        Some((switch, inputs, active)) => {
            let half = egui::vec2(room.x / 2.0 - 6.0, room.y);
            let next = frame.editor.live.next;
            let next = if (1..=inputs).contains(&next) && next != active { next } else { active % inputs + 1 };
            let preview =
                frame.shown.links.iter().find(|link| link.link.to == (switch.name.clone(), switch.inputs[next - 1].name.clone()));
            let preview = preview.map(|link| frame.shown.nodes[link.from.0].outputs[link.from.1].entity);
            ui.horizontal_top(|ui| {
                picture(ui, frame, "Program", entity, half, colors.error);
                ui.vertical(|ui| {
                    let half = half - egui::vec2(0.0, ui.spacing().interact_size.y + 6.0);
                    match preview {
                        Some(preview) => picture(ui, frame, "Preview", preview, half, colors.good),
                        None => drop(ui.weak("The next input is not linked.")),
                    }
                    ui.horizontal_wrapped(|ui| {
                        for input in (1..=inputs).filter(|input| *input != active) {
                            ui.selectable_value(&mut frame.editor.live.next, input, format!("{input}"));
                        }
                    });
                });
            });
        }
        None => picture(ui, frame, &format!("{node}.{pin}"), entity, room, colors.edge),
    }
}

/// One picture, as large as the room allows. A sphere is looked around in with the mouse.
fn picture(ui: &mut egui::Ui, frame: &mut Frame, title: &str, pin: Entity, room: egui::Vec2, edge: Color32) {
    let (rect, response) = ui.allocate_exact_size(room, egui::Sense::click_and_drag());
    ui.painter().rect_filled(rect, CornerRadius::ZERO, Color32::BLACK);
    let shown = frame.world.get::<PinFrame>(pin).and_then(PinFrame::get);
    let sphere = shown.as_ref().is_some_and(|frame| frame.projection == PictureProjection::Equirectangular);
    let looks = sphere && !frame.editor.live.flat && title != "Preview";
    let scale = ui.ctx().pixels_per_point();
    let pixels = UVec2::new((rect.width() * scale) as u32, (rect.height() * scale) as u32).max(UVec2::splat(16));
    let source = if looks { look_around(ui, frame, pin, pixels, &response) } else { Some(pin) };
    let texture = source.and_then(|source| frame.editor.pictures.large(frame.world, source, pixels));
    if let Some(texture) = texture {
        let stereo = shown.as_ref().map_or(StereoLayout::Mono, |frame| frame.stereo);
        let (uv, squeeze) = half_of(stereo, if looks { Eye::Both } else { frame.editor.live.eye });
        let aspect = texture.aspect * squeeze;
        let size = if aspect > rect.aspect_ratio() {
            egui::vec2(rect.width(), rect.width() / aspect)
        } else {
            egui::vec2(rect.height() * aspect, rect.height())
        };
        ui.painter().image(texture.id, egui::Rect::from_center_size(rect.center(), size), uv, Color32::WHITE);
    } else {
        let words = if shown.is_none() { "waits for a frame" } else { "" };
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, words, egui::FontId::proportional(13.0), Color32::GRAY);
    }
    ui.painter().rect_stroke(rect, CornerRadius::ZERO, Stroke::new(1.5, edge), StrokeKind::Inside);
    let details = shown.map(|frame| format!("{title}   {}×{}", frame.picture.size.x, frame.picture.size.y));
    let words = details.unwrap_or_else(|| title.to_owned());
    let at = rect.left_top() + egui::vec2(8.0, 6.0);
    let galley = ui.painter().layout_no_wrap(words, egui::FontId::proportional(12.0), Color32::WHITE);
    let behind = egui::Rect::from_min_size(at, galley.size()).expand(3.0);
    ui.painter().rect_filled(behind, CornerRadius::same(2), Color32::from_black_alpha(150));
    ui.painter().galley(at, galley, Color32::WHITE);
}

/// The part of a stereo picture that one eye sees, and what that does to its shape.
fn half_of(stereo: StereoLayout, eye: Eye) -> (egui::Rect, f32) {
    let part = |x: f32, y: f32, width: f32, height: f32| egui::Rect::from_min_size(egui::pos2(x, y), egui::vec2(width, height));
    let first = eye == Eye::Left;
    match (stereo, eye) {
        (_, Eye::Both) | (StereoLayout::Mono, _) => (part(0.0, 0.0, 1.0, 1.0), 1.0),
        (StereoLayout::TopBottom, _) => (part(0.0, if first { 0.0 } else { 0.5 }, 1.0, 0.5), 2.0),
        (StereoLayout::LeftRight, _) => (part(if first { 0.0 } else { 0.5 }, 0.0, 0.5, 1.0), 0.5),
    }
}

/// Has a node of the editor's own look around in a pin's sphere. Returns the pin of what it sees.
fn look_around(ui: &egui::Ui, frame: &mut Frame, pin: Entity, pixels: UVec2, response: &egui::Response) -> Option<Entity> {
    // As many pixels as are seen, in steps, so that resizing a panel does not make new textures each frame.
    let size = (pixels.as_vec2() / 32.0).round().as_uvec2().max(UVec2::ONE) * 32;
    let alive = frame.editor.live.look.filter(|(node, of)| *of == pin && frame.world.get_entity(*node).is_ok());
    let (node, _) = match alive {
        Some(look) => look,
        None => {
            if let Some((before, _)) = frame.editor.live.look.take() {
                frame.world.despawn(before);
            }
            let node = own(frame.world, SphereView { size, ..default() });
            let of = frame.world.get::<PinOf>(pin)?.0;
            let output = frame.world.get::<Pin>(pin)?.name.to_string();
            if let Err(error) = connect(frame.world, of, &output, node, "frame") {
                frame.complain(error);
                frame.world.despawn(node);
                return None;
            }
            *frame.editor.live.look.insert((node, pin))
        }
    };
    let mut view = frame.world.get_mut::<SphereView>(node)?;
    let moved = response.drag_delta();
    let zoom = if response.hovered() { ui.input(|input| input.smooth_scroll_delta().y) } else { 0.0 };
    if moved != egui::Vec2::ZERO || zoom != 0.0 {
        // The picture sticks to the pointer.
        let per_point = view.fov_deg / response.rect.width().max(1.0);
        view.turn(-moved.x * per_point, moved.y * per_point, -zoom * 0.1);
    }
    if view.size != size {
        view.size = size;
    }
    let pins = frame.world.get::<Pins>(node)?;
    pins.iter().find(|pin| frame.world.get::<Pin>(*pin).is_some_and(|pin| pin.direction == PinDirection::Output))
}

/// Lets go of what looks around when nothing is looked at.
pub(crate) fn tidy(world: &mut World, live: &mut Live, shown: bool) {
    if shown {
        return;
    }
    if let Some((node, _)) = live.look.take() {
        let mut mine = world.query_filtered::<Entity, With<EditorOwn>>();
        if mine.get(world, node).is_ok() {
            world.despawn(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_said_shortly() {
        assert_eq!(bytes_text(512), "512 B");
        assert_eq!(bytes_text(1_500_000), "1.5 MB");
        assert_eq!(bytes_text(u64::MAX), "18446744.1 TB");
    }

    #[test]
    fn each_eye_gets_its_half() {
        let (left, shape) = half_of(StereoLayout::TopBottom, Eye::Left);
        assert_eq!((left.max.y, shape), (0.5, 2.0));
        let (right, shape) = half_of(StereoLayout::LeftRight, Eye::Right);
        assert_eq!((right.min.x, shape), (0.5, 0.5));
    }
}
