//! The list that is searched by typing: nodes to add, links to make, commands, nodes to find.

use crate::{
    canvas::NewNode,
    command::Command,
    editor::{Frame, Then},
    problems::way_to,
    theme::{Colors, category_color},
};
use bevy::{platform::collections::HashMap, prelude::*};
use bevy_egui::egui::{self, Key};
use std::path::PathBuf;
use studio_graph::{
    blueprint::spawn::descendants,
    data_type::DataTypes,
    link::LinkText,
    pin::PinDirection,
    prelude::DataType,
    registry::{KindEntry, NodeName, kinds},
};

/// What is being looked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Mode {
    /// A kind of node to add.
    Add {
        /// Where the node goes, in points of the canvas.
        at: Vec2,
        /// The pin that it is linked to: node, pin, direction. Only kinds that fit are listed.
        wire: Option<(String, String, PinDirection)>,
    },
    /// A link to make from the selected node.
    Link,
    /// A node of the graph.
    Find,
    /// A command.
    Commands,
    /// A bookmark.
    Bookmarks,
    /// A file that was opened before.
    Recent,
}

/// What becomes of a choice.
#[derive(Clone, Debug, PartialEq)]
enum Choice {
    Add { kind: String, label: String, pin: Option<String> },
    Link(LinkText),
    Node(String),
    Command(Command),
    Bookmark(Vec2, f32),
    File(PathBuf),
}

struct Item {
    label: String,
    detail: String,
    docs: String,
    category: String,
    choice: Choice,
}

/// The open list.
#[derive(Clone, Debug, PartialEq)]
pub struct Picker {
    mode: Mode,
    /// What was typed.
    pub text: String,
    marked: usize,
    fresh: bool,
    place: Option<egui::Pos2>,
}

impl Picker {
    /// A list that was just opened.
    pub const fn new(mode: Mode) -> Self {
        Self { mode, text: String::new(), marked: 0, fresh: true, place: None }
    }
}

/// How well a text matches what was typed: every letter in order; the start of the text and starts of words weigh more.
/// Higher is better; `None`: not at all.
pub fn score(text: &str, typed: &str) -> Option<i32> {
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    let wanted: Vec<char> = typed.to_lowercase().chars().filter(|letter| !letter.is_whitespace()).collect();
    if wanted.is_empty() {
        return Some(0);
    }
    // The best over every start: "st" is the start of "Stitch", and somewhere inside of "Test pattern".
    let from = |start: usize| -> Option<i32> {
        let (mut score, mut at, mut before) = (0, start, None::<usize>);
        for letter in &wanted {
            let found = at + letters[at..].iter().position(|there| there == letter)?;
            let word_start = found == 0 || !letters[found - 1].is_alphanumeric();
            score += if before.is_some_and(|before| before + 1 == found) { 8 } else { 0 };
            score += if word_start { 6 } else { 0 };
            score -= (found - at) as i32;
            before = Some(found);
            at = found + 1;
        }
        Some(score + if start == 0 && letters[..].starts_with(&wanted) { 20 } else { 0 } - letters.len() as i32 / 8)
    };
    (0..letters.len()).filter(|start| letters[*start] == wanted[0]).filter_map(from).max()
}

/// The first pin of a kind that a wire from a pin may end at.
fn fitting_pin(types: &DataTypes, kind: KindEntry, data_type: &DataType, direction: PinDirection) -> Option<String> {
    let pins = kind.default_settings().and_then(|settings| kind.node.pins(&*settings))?;
    let fits = |pin: &&studio_graph::pin::PinSpec| match direction {
        PinDirection::Output => pin.direction == PinDirection::Input && types.conversion(data_type, &pin.data_type).is_some(),
        PinDirection::Input => pin.direction == PinDirection::Output && types.conversion(&pin.data_type, data_type).is_some(),
    };
    pins.iter().find(fits).map(|pin| pin.name.to_string())
}

fn items(frame: &Frame, mode: &Mode) -> Vec<Item> {
    match mode {
        Mode::Add { wire, .. } => {
            let registry = frame.world.resource::<AppTypeRegistry>().read();
            let types = frame.world.resource::<DataTypes>();
            let of_wire = wire.as_ref().and_then(|(node, pin, direction)| {
                let node = frame.shown.node(node)?;
                Some((node.pins(*direction)[node.pin_named(*direction, pin)?].data_type.clone(), *direction))
            });
            kinds(&registry)
                .into_iter()
                .filter_map(|kind| {
                    let pin = match &of_wire {
                        Some((data_type, direction)) => Some(fitting_pin(types, kind, data_type, *direction)?),
                        None => None,
                    };
                    Some(Item {
                        label: kind.node.display_name.to_owned(),
                        detail: kind.node.category.to_owned(),
                        docs: kind.summary(),
                        category: kind.node.category.to_owned(),
                        choice: Choice::Add { kind: kind.name.to_owned(), label: kind.node.display_name.to_owned(), pin },
                    })
                })
                .collect()
        }
        Mode::Link => links(frame),
        Mode::Find => found_nodes(frame),
        Mode::Commands => Command::all()
            .map(|command| Item {
                label: command.name().to_owned(),
                detail: format!("{}  {}", command.group(), command.keys_text()),
                docs: String::new(),
                category: command.group().to_owned(),
                choice: Choice::Command(command),
            })
            .collect(),
        Mode::Recent => frame
            .session
            .preferences
            .recent
            .iter()
            .map(|path| Item {
                label: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                detail: path.parent().unwrap_or(path).display().to_string(),
                docs: String::new(),
                category: "Input".to_owned(),
                choice: Choice::File(path.clone()),
            })
            .collect(),
        Mode::Bookmarks => frame
            .document
            .graph()
            .bookmarks
            .iter()
            .map(|mark| Item {
                label: mark.name.clone(),
                detail: format!("{:.0}, {:.0}", mark.at.x, mark.at.y),
                docs: String::new(),
                category: "View".to_owned(),
                choice: Choice::Bookmark(mark.at, mark.zoom),
            })
            .collect(),
    }
}

/// Every node, those in subgraphs too, each with the way to it.
fn found_nodes(frame: &Frame) -> Vec<Item> {
    let registry = frame.world.resource::<AppTypeRegistry>().read();
    let root = frame.document.root();
    let labels: HashMap<&str, &str> =
        kinds(&registry).into_iter().map(|kind| (kind.node.display_name, kind.node.category)).collect();
    let item = |node: Entity| {
        let way = way_to(frame.world, root, node);
        let label = frame.world.get::<NodeName>(node).map(|kind| kind.0.to_string()).unwrap_or_default();
        let category = labels.get(label.as_str()).copied().unwrap_or("unknown").to_owned();
        Item { label: way.clone(), detail: label, docs: String::new(), category, choice: Choice::Node(way) }
    };
    descendants(frame.world, root).into_iter().map(item).collect()
}

/// Every link that can be made from or to the selected node.
fn links(frame: &Frame) -> Vec<Item> {
    let types = frame.world.resource::<DataTypes>();
    let mut found = Vec::new();
    let Some(node) = frame.editor.selection.last().and_then(|name| frame.shown.node(name)) else { return found };
    for other in frame.shown.nodes.iter().filter(|other| other.name != node.name) {
        for (from, to) in [(node, other), (other, node)] {
            for output in &from.outputs {
                for input in &to.inputs {
                    if types.conversion(&output.data_type, &input.data_type).is_none() {
                        continue;
                    }
                    let link =
                        LinkText { from: (from.name.clone(), output.name.clone()), to: (to.name.clone(), input.name.clone()) };
                    found.push(Item {
                        label: format!("{} . {}  →  {} . {}", from.name, output.name, to.name, input.name),
                        detail: if input.linked { "replaces a link".to_owned() } else { input.data_type.name().to_owned() },
                        docs: String::new(),
                        category: to.category.clone(),
                        choice: Choice::Link(link),
                    });
                }
            }
        }
    }
    // First those from the node to inputs that are free.
    found.sort_by_key(|item| match &item.choice {
        Choice::Link(link) => (link.from.0 != node.name, item.detail == "replaces a link"),
        _ => (true, true),
    });
    found
}

/// Draws the open list and carries a choice out.
pub(crate) fn show(ctx: &egui::Context, frame: &mut Frame) {
    const WIDTH: f32 = 360.0;
    const ROWS: usize = 12;
    let Some(mut picker) = frame.editor.picker.take() else { return };
    let mut items: Vec<(i32, Item)> = items(frame, &picker.mode)
        .into_iter()
        .filter_map(|item| {
            let direct = score(&item.label, &picker.text);
            let wider = score(&format!("{} {}", item.detail, item.label), &picker.text).map(|score| score - 15);
            Some((direct.max(wider)?, item))
        })
        .collect();
    if !picker.text.is_empty() {
        items.sort_by_key(|(score, _)| core::cmp::Reverse(*score));
    }
    let (up, down, chosen, closed) = ctx.input_mut(|input| {
        let none = egui::Modifiers::NONE;
        (
            input.consume_key(none, Key::ArrowUp),
            input.consume_key(none, Key::ArrowDown),
            input.consume_key(none, Key::Enter),
            input.consume_key(none, Key::Escape),
        )
    });
    let last = items.len().saturating_sub(1);
    picker.marked = picker.marked.min(last);
    picker.marked = if up { picker.marked.checked_sub(1).unwrap_or(last) } else { picker.marked };
    picker.marked = if down { if picker.marked == last { 0 } else { picker.marked + 1 } } else { picker.marked };
    let area = ctx.content_rect();
    let pointer = ctx.pointer_latest_pos().filter(|_| matches!(picker.mode, Mode::Add { .. }));
    let wanted = *picker.place.get_or_insert(pointer.unwrap_or(egui::pos2(area.center().x - WIDTH / 2.0, area.min.y + 90.0)));
    let mut clicked = None;
    let response = egui::Area::new(egui::Id::new("picker"))
        .order(egui::Order::Foreground)
        .constrain_to(area)
        .fixed_pos(wanted)
        .show(ctx, |ui| {
            let colors = Colors::of(ui);
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.set_width(WIDTH);
                let hint = match &picker.mode {
                    Mode::Add { wire: Some((node, pin, _)), .. } => format!("Add a node that fits {node}.{pin}"),
                    Mode::Add { wire: None, .. } => "Add a node".to_owned(),
                    Mode::Link => "Link".to_owned(),
                    Mode::Find => "Find a node".to_owned(),
                    Mode::Commands => "Do".to_owned(),
                    Mode::Bookmarks => "Go to".to_owned(),
                    Mode::Recent => "Open".to_owned(),
                };
                let edit = ui.add(egui::TextEdit::singleline(&mut picker.text).hint_text(hint).desired_width(f32::INFINITY));
                if edit.changed() {
                    picker.marked = 0;
                }
                edit.request_focus();
                ui.separator();
                if items.is_empty() {
                    ui.label(egui::RichText::new("nothing of that name").color(colors.weak));
                }
                let row = ui.spacing().interact_size.y;
                egui::ScrollArea::vertical().max_height(row * ROWS as f32 * 1.25).auto_shrink([false, true]).show(ui, |ui| {
                    for (place, (_, item)) in items.iter().enumerate() {
                        let (rect, response) =
                            ui.allocate_exact_size(egui::vec2(ui.available_width(), row), egui::Sense::click());
                        let marked = place == picker.marked;
                        if marked && (up || down) {
                            response.scroll_to_me(None);
                        }
                        if response.hovered() && ui.input(|input| input.pointer.is_moving()) {
                            picker.marked = place;
                        }
                        if marked {
                            ui.painter().rect_filled(rect, 3, ui.visuals().selection.bg_fill);
                        }
                        let chip = egui::Rect::from_center_size(rect.left_center() + egui::vec2(8.0, 0.0), egui::vec2(8.0, 8.0));
                        ui.painter().rect_filled(chip, 2, category_color(&item.category, colors.dark));
                        let font = egui::TextStyle::Body.resolve(ui.style());
                        let at = rect.left_center() + egui::vec2(20.0, 0.0);
                        let text = if marked { ui.visuals().strong_text_color() } else { colors.text };
                        let used = ui.painter().text(at, egui::Align2::LEFT_CENTER, &item.label, font, text);
                        let small = egui::TextStyle::Small.resolve(ui.style());
                        let room = rect.right() - used.right() - 12.0;
                        let galley = ui.painter().layout_no_wrap(item.detail.clone(), small, colors.weak);
                        if galley.size().x < room {
                            let at = egui::pos2(rect.right() - galley.size().x - 4.0, rect.center().y - galley.size().y / 2.0);
                            ui.painter().galley(at, galley, colors.weak);
                        }
                        if response.clicked() {
                            clicked = Some(place);
                        }
                    }
                });
                if let Some((_, item)) = items.get(picker.marked).filter(|(_, item)| !item.docs.is_empty()) {
                    ui.separator();
                    ui.label(egui::RichText::new(&item.docs).small().color(colors.weak));
                }
            });
        })
        .response;
    let fresh = core::mem::take(&mut picker.fresh);
    let choice = if chosen { Some(picker.marked) } else { clicked };
    if let Some((_, item)) = choice.and_then(|place| (place < items.len()).then(|| items.swap_remove(place))) {
        carry_out(frame, &picker.mode, item.choice);
    } else if !(closed || (!fresh && response.clicked_elsewhere())) {
        frame.editor.picker.get_or_insert(picker);
    }
}

fn carry_out(frame: &mut Frame, mode: &Mode, choice: Choice) {
    match (choice, mode) {
        (Choice::Add { kind, label, pin }, Mode::Add { at, wire }) => {
            let wire = wire.clone().zip(pin).map(|((node, of, direction), pin)| ((node, of), direction, pin));
            frame.add_node(&NewNode { kind, label, settings: Vec::new() }, *at, wire);
        }
        (Choice::Link(link), _) => {
            frame.edit(format!("Link {link}"), None, |blueprint| crate::edit::connect(blueprint, link));
        }
        (Choice::Node(name), _) => frame.jump_to(&name),
        (Choice::Command(command), _) => frame.run(command),
        (Choice::Bookmark(at, zoom), _) => {
            frame.editor.canvas.view = crate::canvas::CanvasView { center: at, zoom };
        }
        (Choice::File(path), _) => frame.unless_unsaved(Then::Open(path)),
        (Choice::Add { .. }, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::score;

    #[test]
    fn the_better_match_comes_first() {
        let best = |typed: &str, among: &[&'static str]| {
            let mut found: Vec<(i32, &str)> = among.iter().filter_map(|text| Some((score(text, typed)?, *text))).collect();
            found.sort_by_key(|(score, _)| core::cmp::Reverse(*score));
            found.first().map(|(_, text)| *text)
        };
        let kinds = ["Test pattern", "Stitch", "Still picture", "Optical flow", "Video encoder", "Video file", "Window output"];
        assert_eq!(best("st", &kinds), Some("Stitch"));
        assert_eq!(best("still", &kinds), Some("Still picture"));
        assert_eq!(best("flow", &kinds), Some("Optical flow"));
        assert_eq!(best("ve", &kinds), Some("Video encoder"));
        assert_eq!(best("vf", &kinds), Some("Video file"));
        assert_eq!(best("test p", &kinds), Some("Test pattern"));
        assert_eq!(best("zzz", &kinds), None);
    }
}
