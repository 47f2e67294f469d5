//! The editor's window: menus, docked panels, status line, dialogs.

use crate::{
    canvas,
    command::Command,
    document::Document,
    editor::{Editor, Frame, Panel, Question, Then},
    files::Purpose,
    inspector, live, managers,
    notice::Notice,
    picker, problems,
    session::Session,
    shown::ShownGraph,
    theme::{self, Colors},
    tour,
};
use bevy::prelude::*;
use bevy_egui::{EguiContext, PrimaryEguiContext, egui};
use egui_dock::{DockArea, TabViewer};
use studio_gpu::timer::NodeTimes;
use studio_graph::{blueprint::file::BlueprintFormats, wake::StudioWaker};

struct Panels<'a, 'b>(&'a mut Frame<'b>);

impl TabViewer for Panels<'_, '_> {
    type Tab = Panel;

    fn id(&mut self, panel: &mut Panel) -> egui::Id {
        egui::Id::new(("panel", *panel))
    }

    fn title(&mut self, panel: &mut Panel) -> egui::WidgetText {
        let failed = if *panel == Panel::Problems { self.0.failed.len() } else { 0 };
        if failed > 0 { format!("{} ({failed})", panel.title()).into() } else { panel.title().into() }
    }

    fn ui(&mut self, ui: &mut egui::Ui, panel: &mut Panel) {
        let pressed = ui.input(|input| {
            input.pointer.any_pressed() && input.pointer.interact_pos().is_some_and(|at| ui.clip_rect().contains(at))
        });
        if pressed && self.0.editor.picker.is_none() {
            self.0.editor.active = *panel;
        }
        match panel {
            Panel::Blueprint => canvas::show(ui, self.0),
            Panel::Live => live::show(ui, self.0),
            Panel::Managers => managers::show(ui, self.0),
            Panel::Inspector => inspector::show(ui, self.0),
            Panel::Problems => problems::show(ui, self.0),
            Panel::History => problems::history(ui, self.0),
        }
    }

    /// The canvas covers its whole panel itself.
    fn clear_background(&self, panel: &Panel) -> bool {
        *panel != Panel::Blueprint
    }

    fn scroll_bars(&self, panel: &Panel) -> [bool; 2] {
        [false, *panel == Panel::Problems]
    }
}

/// Draws the editor and does what it is told.
pub(crate) fn draw_editor(
    world: &mut World,
    mut contexts: Local<Option<QueryState<&'static mut EguiContext, With<PrimaryEguiContext>>>>,
) {
    let contexts = contexts.get_or_insert_with(|| QueryState::new(world));
    let Ok(mut context) = contexts.single_mut(world) else { return };
    let ctx = context.get_mut().clone();
    let times = world.get_resource::<NodeTimes>().map(NodeTimes::all).unwrap_or_default();
    world.resource_scope(|world, mut editor: Mut<Editor>| {
        world.resource_scope(|world, mut document: Mut<Document>| {
            world.resource_scope(|world, mut session: Mut<Session>| {
                world.resource_scope(|world, mut shown: Mut<ShownGraph>| {
                    let (editor, document, session, shown) = (&mut *editor, &mut *document, &mut *session, &mut *shown);
                    if world.get_entity(document.root()).is_err() {
                        return;
                    }
                    shown.refresh(world, document, &session.preferences);
                    editor.selection.keep_what_is_in(document.graph());
                    let failed = problems::failed_nodes(world, document.root());
                    let mut frame = Frame { ctx: &ctx, world, editor, document, shown, session, times, failed };
                    frame.arrive();
                    draw(&ctx, &mut frame);
                });
            });
        });
    });
}

fn draw(ctx: &egui::Context, frame: &mut Frame) {
    theme::apply(ctx, frame.session.preferences.light, frame.session.preferences.scale);
    take_dropped_files(ctx, frame);
    let blocked = frame.editor.question.is_some() || frame.editor.files.is_open();
    if !blocked && frame.editor.picker.is_none() {
        let pressed = Command::pressed(ctx);
        let tab = core::mem::take(&mut *frame.world.get_resource_or_init::<TabPressed>()).0;
        for command in pressed.into_iter().chain(tab.then_some(Command::AddNode)) {
            // Escape closes what lies on top.
            if command == Command::SelectNone && (frame.editor.sheet || frame.editor.tour.is_some()) {
                frame.editor.sheet = false;
                tour::end(frame);
                continue;
            }
            frame.run(command);
        }
    }
    if frame.world.get_entity(frame.document.root()).is_err() {
        return;
    }
    let mut whole = egui::Ui::new(
        ctx.clone(),
        egui::Id::new("editor"),
        egui::UiBuilder::new().layer_id(egui::LayerId::background()).max_rect(ctx.content_rect()),
    );
    egui::Panel::top("menus").show(&mut whole, |ui| menus(ui, frame));
    egui::Panel::bottom("status").show(&mut whole, |ui| status(ui, frame));
    if let Some(mut dock) = frame.editor.dock.take() {
        let style = egui_dock::Style::from_egui(whole.style());
        DockArea::new(&mut dock).style(style).show_leaf_collapse_buttons(false).show_inside(&mut whole, &mut Panels(frame));
        // A command may have put other panels there meanwhile.
        frame.editor.dock.get_or_insert(dock);
    }
    let sees = frame.editor.dock.as_ref().is_some_and(|dock| dock.find_tab(&Panel::Live).is_some());
    live::tidy(frame.world, &mut frame.editor.live, sees);
    picker::show(ctx, frame);
    questions(ctx, frame);
    sheet(ctx, frame);
    tour::show(ctx, frame);
    if let Some((purpose, path)) = frame.editor.files.show(ctx) {
        take_file(frame, purpose, path);
    }
    frame.watch_what_is_viewed();
    frame.editor.pictures.forget_unused(frame.world);
    frame.editor.notices.show(ctx);
    if let Err(error) = frame.session.keep(frame.document) {
        frame.editor.notices.add(Notice::error(format!("Unsaved work is not kept: {error}")));
    }
    // While something moves the next update must come, also where the event loop sleeps.
    if ctx.has_requested_repaint()
        && let Some(waker) = frame.world.get_resource::<StudioWaker>()
    {
        waker.wake();
    }
}

/// Whether Tab was pressed for the canvas, rather than to go from one field to the next.
#[derive(Resource, Default)]
pub(crate) struct TabPressed(bool);

/// Takes Tab away from the interface while the canvas has the keys.
pub(crate) fn keep_tab_for_canvas(
    mut inputs: Query<(&mut bevy_egui::EguiInput, &mut EguiContext), With<PrimaryEguiContext>>,
    editor: Res<Editor>,
    mut tab: ResMut<TabPressed>,
) {
    let Ok((mut input, mut context)) = inputs.single_mut() else { return };
    let free =
        editor.active == Panel::Blueprint && editor.picker.is_none() && editor.question.is_none() && !editor.files.is_open();
    if !free || context.get_mut().text_edit_focused() {
        return;
    }
    let is_tab =
        |event: &egui::Event| matches!(event, egui::Event::Key { key: egui::Key::Tab, modifiers, .. } if !modifiers.any());
    let pressed = input
        .0
        .events
        .iter()
        .any(|event| is_tab(event) && matches!(event, egui::Event::Key { pressed: true, repeat: false, .. }));
    if input.0.events.iter().any(is_tab) {
        input.0.events.retain(|event| !is_tab(event));
    }
    if pressed {
        tab.0 = true;
    }
}

fn take_dropped_files(ctx: &egui::Context, frame: &mut Frame) {
    let dropped: Vec<std::path::PathBuf> =
        ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
    for path in dropped {
        if path.to_string_lossy().ends_with(".blueprint.ron") {
            frame.unless_unsaved(Then::Open(path));
            return;
        }
        let at = frame.editor.canvas.insertion_point();
        match managers::node_of_file(frame, &path) {
            Some(node) => frame.add_node(&node, at, None),
            None => frame.complain(format!("{}: no node here takes such a file in", path.display())),
        }
    }
}

fn take_file(frame: &mut Frame, purpose: Purpose, path: std::path::PathBuf) {
    match purpose {
        Purpose::Open => frame.go_on(Then::Open(path)),
        Purpose::SaveAs => {
            let formats = frame.world.resource::<BlueprintFormats>();
            let named = path.to_string_lossy().ends_with(".ron") || formats.format_of(&path).is_some();
            let path = if named { path } else { path.with_extension(studio_graph::blueprint::Blueprint::EXTENSION) };
            frame.save(&path);
        }
        Purpose::Setting { node, field } => {
            let base = frame.document.path().and_then(std::path::Path::parent);
            let shown = base.and_then(|base| path.strip_prefix(base).ok()).unwrap_or(&path).display().to_string();
            frame.edit(format!("Set {node}.{field} to {shown}"), None, |blueprint| {
                crate::edit::set_setting(blueprint, &node, &field, Some(format!("{shown:?}")));
            });
        }
    }
}

fn item(ui: &mut egui::Ui, frame: &mut Frame, command: Command, ticked: Option<bool>) {
    let name = match command {
        Command::Undo => {
            frame.document.undo_names().next_back().map_or_else(|| "Undo".to_owned(), |step| format!("Undo: {step}"))
        }
        Command::Redo => {
            frame.document.redo_names().next_back().map_or_else(|| "Redo".to_owned(), |step| format!("Redo: {step}"))
        }
        _ => command.name().to_owned(),
    };
    let enabled = match command {
        Command::Undo => frame.document.undo_names().next().is_some(),
        Command::Redo => frame.document.redo_names().next().is_some(),
        _ => true,
    };
    let name = match ticked {
        Some(true) => format!("✔ {name}"),
        Some(false) => format!("     {name}"),
        None => name,
    };
    let button = egui::Button::new(name).shortcut_text(command.keys_text());
    if ui.add_enabled(enabled, button).clicked() {
        ui.close();
        frame.run(command);
    }
}

fn menus(ui: &mut egui::Ui, frame: &mut Frame) {
    use Command as C;
    egui::MenuBar::new().ui(ui, |ui| {
        ui.menu_button("File", |ui| {
            ui.set_min_width(220.0);
            item(ui, frame, C::New, None);
            item(ui, frame, C::Open, None);
            item(ui, frame, C::OpenRecent, None);
            ui.separator();
            item(ui, frame, C::Save, None);
            item(ui, frame, C::SaveAs, None);
            ui.separator();
            item(ui, frame, C::Quit, None);
        });
        let preferences = frame.session.preferences.clone();
        let ticked = |command: Command| match command {
            C::Minimap => Some(preferences.minimap),
            C::Thumbnails => Some(preferences.thumbnails),
            C::Snap => Some(preferences.snap),
            C::Light => Some(preferences.light),
            _ => None,
        };
        for (menu, groups) in [
            ("Edit", &["Edit", "Select", "Find"][..]),
            ("Graph", &["Graph", "Arrange"]),
            ("View", &["View", "Panels"]),
            ("Live", &["Live"]),
            ("Help", &["Help"]),
        ] {
            ui.menu_button(menu, |ui| {
                ui.set_min_width(240.0);
                for (place, group) in groups.iter().enumerate() {
                    if place > 0 {
                        ui.separator();
                    }
                    for command in Command::all().filter(|command| command.group() == *group) {
                        item(ui, frame, command, ticked(command));
                    }
                }
            });
        }
        ui.separator();
        let dirty = if frame.document.is_dirty() { "•" } else { "" };
        ui.strong(format!("{}{dirty}", frame.document.title()));
    });
}

fn status(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    ui.horizontal(|ui| {
        let selected = frame.editor.selection.nodes().len();
        ui.label(format!("{} nodes, {} links", frame.shown.nodes.len(), frame.shown.links.len()));
        if selected > 0 {
            ui.weak(format!("{selected} selected"));
        }
        ui.weak(format!("{:.0} %", frame.editor.canvas.view.zoom * 100.0));
        if let Some(problems::Failed { way: name, error, .. }) = frame.failed.first().cloned() {
            let short: String = error.chars().take(90).collect();
            if ui.link(egui::RichText::new(format!("{name}: {short}")).color(colors.error)).on_hover_text(error).clicked() {
                frame.jump_to(&name);
            }
        }
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let frame_ms = ui.input(|input| input.stable_dt) * 1e3;
            ui.weak(format!("{frame_ms:.0} ms")).on_hover_text("from one update of the window to the next");
            ui.weak("F1 keys   Ctrl+P commands");
        });
    });
}

/// What is asked before something goes on.
fn questions(ctx: &egui::Context, frame: &mut Frame) {
    let Some(mut question) = frame.editor.question.take() else { return };
    let mut answered = false;
    let escape = ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape));
    let enter = ctx.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Enter));
    egui::Modal::new(egui::Id::new("question")).show(ctx, |ui| {
        ui.set_width(420.0);
        match &mut question {
            Question::Unsaved(then) => {
                ui.heading(format!("Save {}?", frame.document.title()));
                ui.label("It has changes that were not saved.");
                ui.horizontal(|ui| {
                    let save = ui.button("Save").clicked() || enter;
                    if save {
                        answered = true;
                        match frame.document.path().map(std::path::PathBuf::from) {
                            Some(path) => {
                                if frame.save(&path) {
                                    frame.go_on(then.clone());
                                }
                            }
                            None => frame.run(Command::SaveAs),
                        }
                    }
                    if ui.button("Do not save").clicked() {
                        answered = true;
                        frame.go_on(then.clone());
                    }
                    answered |= ui.button("Cancel").clicked();
                });
            }
            Question::Recover(kept) => {
                ui.heading("Take up unsaved work?");
                let of =
                    kept.of.as_ref().map_or_else(|| "a blueprint without a name".to_owned(), |path| path.display().to_string());
                ui.label(format!("The program ended before {of} was saved."));
                ui.horizontal(|ui| {
                    if ui.button("Take it up").clicked() || enter {
                        answered = true;
                        match frame.document.recover(frame.world, &kept.copy, kept.of.clone()) {
                            Ok(()) => frame.editor.canvas.show_all = true,
                            Err(error) => frame.complain(error),
                        }
                    }
                    if ui.button("Throw it away").clicked() {
                        answered = true;
                        if let Err(error) = std::fs::remove_file(&kept.copy) {
                            frame.complain(format!("{} cannot be removed: {error}", kept.copy.display()));
                        }
                    }
                    answered |= ui.button("Later").clicked();
                });
            }
            Question::Rename { node, name } => {
                ui.heading(format!("Rename {node}"));
                line(ui, name);
                if enter || ui.button("Rename").clicked() {
                    answered = true;
                    inspector::rename(frame, node, name.trim());
                }
            }
            Question::Note { note, text } => {
                ui.heading("Words of the frame");
                let edit = ui.add(egui::TextEdit::multiline(text).desired_width(f32::INFINITY).desired_rows(3));
                edit.request_focus();
                ui.weak("The first line is the title. Shift+Enter begins another.");
                if enter || ui.button("Done").clicked() {
                    answered = true;
                    let (note, text) = (*note, text.trim().to_owned());
                    frame.edit("Name a frame", None, |blueprint| {
                        if let Some(note) = blueprint.notes.get_mut(note) {
                            note.text = text;
                        }
                    });
                }
            }
            Question::Bookmark { name } => {
                ui.heading("Set a bookmark");
                line(ui, name);
                if enter || ui.button("Set").clicked() {
                    answered = true;
                    let view = frame.editor.canvas.view;
                    let name = name.trim().to_owned();
                    frame.edit(format!("Bookmark {name}"), None, |blueprint| {
                        crate::edit::set_bookmark(blueprint, &name, view.center, view.zoom);
                    });
                }
            }
        }
    });
    if !answered && !escape {
        frame.editor.question.get_or_insert(question);
    }
}

/// A line that has the keys. What stands there at first is selected, so that typing replaces it.
fn line(ui: &mut egui::Ui, text: &mut String) {
    let mut output = egui::TextEdit::singleline(text).desired_width(f32::INFINITY).show(ui);
    if !output.response.has_focus() {
        output.response.request_focus();
        let all = egui::text::CCursorRange::select_all(&output.galley);
        output.state.cursor.set_char_range(Some(all));
        output.state.store(ui.ctx(), output.response.id);
    }
}

/// The sheet of keys.
fn sheet(ctx: &egui::Context, frame: &mut Frame) {
    if !frame.editor.sheet {
        return;
    }
    let mut open = true;
    let room = ctx.content_rect().size() * 0.9;
    egui::Window::new("Keys")
        .open(&mut open)
        .collapsible(false)
        .resizable(false)
        .fixed_size(egui::vec2(room.x.min(1040.0), room.y.min(760.0)))
        .anchor(egui::Align2::CENTER_CENTER, egui::Vec2::ZERO)
        .show(ctx, |ui| {
            egui::ScrollArea::vertical().show(ui, |ui| {
                let mut groups: Vec<(&str, Vec<Command>)> = Vec::new();
                for command in Command::all() {
                    match groups.iter_mut().find(|(group, _)| *group == command.group()) {
                        Some((_, commands)) => commands.push(command),
                        None => groups.push((command.group(), vec![command])),
                    }
                }
                let rows: usize = groups.iter().map(|(_, commands)| commands.len() + 2).sum();
                ui.columns(3, |columns| {
                    let mut used = 0;
                    for (group, commands) in groups {
                        let ui = &mut columns[(used * 3 / rows).min(2)];
                        used += commands.len() + 2;
                        ui.strong(group);
                        egui::Grid::new(group).num_columns(2).spacing([12.0, 3.0]).show(ui, |ui| {
                            for command in commands {
                                let keys: Vec<String> = command.keys().map(|keys| crate::command::text_of(&keys)).collect();
                                ui.monospace(keys.join("  "));
                                ui.label(command.name());
                                ui.end_row();
                            }
                        });
                        ui.add_space(10.0);
                    }
                });
                ui.separator();
                ui.label(
                    "Mouse: left drags nodes and wires and draws a selection, middle or right moves the view, the wheel zooms. \
                     Alt+click on a pin or a wire unlinks it. Double-click: on the canvas adds a node, on a wire bends it, on a \
                     node renames it.",
                );
            });
        });
    frame.editor.sheet = open;
}
