//! What each command does.

use crate::{
    command::Command,
    document::{DocumentError, definition_of},
    edit,
    editor::{Frame, Panel, Question, Then, panels},
    files::Purpose,
    layout::{self, Alignment, GRID},
    picker::{Mode, Picker},
    tour::Tour,
};
use bevy::{app::AppExit, prelude::*};
use bevy_egui::egui;
use std::path::{Path, PathBuf};
use studio_graph::{
    blueprint::{Blueprint, BlueprintSubgraph, file::BlueprintFormats, group::group},
    data_type::DataTypes,
    prelude::*,
};

impl Frame<'_> {
    /// The rectangles of the selected nodes.
    fn selected_rects(&self) -> Vec<(String, Rect)> {
        let nodes = self.editor.selection.nodes().iter().filter_map(|name| self.shown.node(name));
        nodes.map(|node| (node.name.clone(), node.rect)).collect()
    }

    fn place(&mut self, name: &str, places: Vec<(String, Vec2)>) {
        self.edit(name, None, |blueprint| {
            for (name, at) in places {
                if let Some(node) = blueprint.node_mut(&name) {
                    node.at = at;
                }
            }
        });
    }

    /// Does what a command says.
    pub fn run(&mut self, command: Command) {
        use Command as C;
        match command {
            C::OpenRecent => self.editor.picker = Some(Picker::new(Mode::Recent)),
            C::Settings => {
                self.show_panel(Panel::Inspector);
                self.editor.focus_settings = true;
            }
            C::New | C::Open | C::Save | C::SaveAs | C::Quit => self.run_file(command),
            C::Undo => {
                let outcome = self.document.undo(self.world);
                self.tell_step("Undone", outcome);
            }
            C::Redo => {
                let outcome = self.document.redo(self.world);
                self.tell_step("Done again", outcome);
            }
            C::Cut | C::Copy | C::Paste | C::Duplicate | C::Delete | C::Dissolve | C::Rename => self.run_edit(command),
            C::SelectAll => self.editor.selection.set(self.shown.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>()),
            C::SelectNone => self.editor.selection.clear(),
            C::SelectUpstream | C::SelectDownstream => self.grow_selection(command == C::SelectUpstream),
            C::SelectLeft => self.select_next(Vec2::NEG_X),
            C::SelectRight => self.select_next(Vec2::X),
            C::SelectUp => self.select_next(Vec2::NEG_Y),
            C::SelectDown => self.select_next(Vec2::Y),
            C::NudgeLeft => self.nudge(Vec2::NEG_X),
            C::NudgeRight => self.nudge(Vec2::X),
            C::NudgeUp => self.nudge(Vec2::NEG_Y),
            C::NudgeDown => self.nudge(Vec2::Y),
            C::AddNode => {
                let at = self.editor.canvas.insertion_point();
                self.editor.picker = Some(Picker::new(Mode::Add { at, wire: None }));
            }
            C::Link if self.editor.selection.last().is_none() => self.tell("Select a node first, then link it."),
            C::Link => self.editor.picker = Some(Picker::new(Mode::Link)),
            C::AddFrame => self.add_frame(),
            C::Group => self.group(),
            C::Ungroup => self.ungroup(),
            C::Enter => {
                if let Some(node) = self.editor.selection.last().map(str::to_owned) {
                    self.enter(&node);
                }
            }
            C::Leave => self.leave_to(self.document.scope().len().saturating_sub(1)),
            C::Bypass | C::Freeze => self.toggle_part(command),
            C::Solo => self.toggle_solo(),
            C::View => self.view_selected(),
            C::AlignLeft => self.align(command, Alignment::Left),
            C::AlignRight => self.align(command, Alignment::Right),
            C::AlignTop => self.align(command, Alignment::Top),
            C::AlignBottom => self.align(command, Alignment::Bottom),
            C::AlignRow => self.align(command, Alignment::Row),
            C::AlignColumn => self.align(command, Alignment::Column),
            C::DistributeHorizontally => self.place(command.name(), layout::distribute(&self.selected_rects(), true)),
            C::DistributeVertically => self.place(command.name(), layout::distribute(&self.selected_rects(), false)),
            C::Arrange => {
                let chosen = self.editor.selection.nodes().to_vec();
                let places = layout::arrange(self.document.graph(), &chosen, |name| self.shown.size_of(name));
                self.place(command.name(), places);
            }
            C::Find => self.editor.picker = Some(Picker::new(Mode::Find)),
            C::Commands => self.editor.picker = Some(Picker::new(Mode::Commands)),
            C::GoToBookmark => self.editor.picker = Some(Picker::new(Mode::Bookmarks)),
            C::SetBookmark => {
                let name = format!("place {}", self.document.graph().bookmarks.len() + 1);
                self.editor.question = Some(Question::Bookmark { name });
            }
            C::NextProblem => self.next_problem(),
            C::ShowAll | C::ShowSelection | C::ZoomIn | C::ZoomOut | C::ActualSize => self.run_view(command),
            C::Minimap => self.session.preferences.minimap ^= true,
            C::Thumbnails => self.session.preferences.thumbnails ^= true,
            C::Snap => {
                self.session.preferences.snap ^= true;
                let on = self.session.preferences.snap;
                self.tell(if on { "Nodes keep to the grid." } else { "Nodes move freely." });
            }
            C::Light => self.session.preferences.light ^= true,
            C::ScaleUp => self.scale_by(1.1),
            C::ScaleDown => self.scale_by(1.0 / 1.1),
            C::PanelBlueprint => self.show_panel(Panel::Blueprint),
            C::PanelLive => self.show_panel(Panel::Live),
            C::PanelManagers => self.show_panel(Panel::Managers),
            C::PanelInspector => self.show_panel(Panel::Inspector),
            C::PanelProblems => self.show_panel(Panel::Problems),
            C::PanelHistory => self.show_panel(Panel::History),
            C::RestorePanels => self.editor.dock = Some(panels()),
            C::Take => crate::live::take(self, false),
            C::Fade => crate::live::take(self, true),
            C::Record => crate::live::toggle(self, crate::live::Sink::Recorder),
            C::Stream => crate::live::toggle(self, crate::live::Sink::Stream),
            C::Shortcuts => self.editor.sheet ^= true,
            C::Tour => self.editor.tour = Some(Tour::default()),
        }
        self.ctx.request_repaint();
    }

    fn tell_step(&mut self, what: &str, outcome: Result<Option<String>, DocumentError>) {
        match outcome {
            Ok(Some(name)) => self.tell(format!("{what}: {name}")),
            Ok(None) => self.tell("There is no further step."),
            Err(error) => self.complain(error),
        }
        self.wake();
    }

    fn run_file(&mut self, command: Command) {
        match command {
            Command::New => self.unless_unsaved(Then::New),
            Command::Open => self.unless_unsaved(Then::ChooseFile),
            Command::Save => match self.document.path().map(PathBuf::from) {
                Some(path) => drop(self.save(&path)),
                None => self.run_file(Command::SaveAs),
            },
            Command::SaveAs => {
                let name = self.document.path().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
                self.editor.files.save(
                    Purpose::SaveAs,
                    self.document.path(),
                    name.as_deref().unwrap_or("untitled.blueprint.ron"),
                );
            }
            _ => self.unless_unsaved(Then::Quit),
        }
    }

    /// Saves to a file. Returns whether that went well.
    pub fn save(&mut self, path: &Path) -> bool {
        match self.document.save(self.world, path) {
            Ok(()) => {
                self.session.preferences.add_recent(path);
                self.tell(format!("Saved as {}", path.display()));
                if let Err(error) = self.session.keep_now(self.document) {
                    self.complain(error);
                }
                true
            }
            Err(error) => {
                self.complain(error);
                false
            }
        }
    }

    /// Does what would lose unsaved work at once if there is none, and asks else.
    pub fn unless_unsaved(&mut self, then: Then) {
        if self.document.is_dirty() {
            self.editor.question = Some(Question::Unsaved(then));
        } else {
            self.go_on(then);
        }
    }

    /// Does what unsaved work was in the way of.
    pub fn go_on(&mut self, then: Then) {
        match then {
            Then::New => {
                if let Err(error) = self.document.clear(self.world) {
                    self.complain(error);
                }
                self.opened();
            }
            Then::Open(path) => match self.document.open(self.world, &path) {
                Ok(()) => {
                    let path = self.document.path().map_or(path, PathBuf::from);
                    self.session.preferences.add_recent(&path);
                    self.opened();
                }
                Err(error) => {
                    self.complain(error);
                    self.show_panel(Panel::Problems);
                }
            },
            Then::ChooseFile => {
                let mut endings = self.world.resource::<BlueprintFormats>().extensions();
                endings.push("ron");
                self.editor.files.open(Purpose::Open, self.document.path(), &endings);
            }
            Then::Quit => {
                self.session.forget();
                // Takes the nodes down in order, so that recordings and streams are closed.
                let root = self.document.root();
                self.world.despawn(root);
                self.world.write_message(AppExit::Success);
            }
        }
        self.wake();
    }

    fn opened(&mut self) {
        self.editor.selection.clear();
        self.editor.viewed = None;
        self.editor.canvas.show_all = true;
        self.editor.drafts = default();
        self.session.forget();
    }

    fn run_edit(&mut self, command: Command) {
        use Command as C;
        let names = self.editor.selection.nodes().to_vec();
        let what = match names.as_slice() {
            [one] => one.clone(),
            many => format!("{} nodes", many.len()),
        };
        match command {
            C::Cut | C::Copy | C::Duplicate if names.is_empty() => {}
            C::Copy => {
                self.ctx.copy_text(edit::copy(self.document.graph(), &names));
                self.tell(format!("Copied {what} as text."));
            }
            C::Cut => {
                self.ctx.copy_text(edit::copy(self.document.graph(), &names));
                self.edit(format!("Cut {what}"), None, |blueprint| edit::remove_nodes(blueprint, &names));
            }
            C::Duplicate => {
                let text = edit::copy(self.document.graph(), &names);
                let middle = self.document.graph().nodes.iter().filter(|node| names.contains(&node.name)).map(|node| node.at);
                let bounds = middle.fold(None, |bounds: Option<Rect>, at| {
                    Some(bounds.map_or(Rect::from_corners(at, at), |all| all.union_point(at)))
                });
                let at = bounds.map(|bounds| bounds.center()).unwrap_or_default() + Vec2::splat(GRID * 2.0);
                self.paste(&text, at, format!("Duplicate {what}"));
            }
            C::Paste => {
                let text = self.ctx.input(|input| {
                    input.events.iter().find_map(|event| match event {
                        egui::Event::Paste(text) => Some(text.clone()),
                        _ => None,
                    })
                });
                match text {
                    Some(text) => {
                        let at = self.editor.canvas.insertion_point();
                        self.paste(&text, at, "Paste".to_owned());
                    }
                    None => self.tell("Press Ctrl+V to paste nodes that were copied as text."),
                }
            }
            C::Delete => self.delete(&what, &names),
            C::Dissolve => {
                self.edit(format!("Bridge {what}"), None, |blueprint| edit::dissolve_nodes(blueprint, &names));
            }
            _ => {
                if let Some(note) = self.editor.selection.note {
                    let text = self.document.graph().notes.get(note).map(|note| note.text.clone()).unwrap_or_default();
                    self.editor.question = Some(Question::Note { note, text });
                } else if let Some(node) = self.editor.selection.last().map(str::to_owned) {
                    self.editor.question = Some(Question::Rename { name: node.clone(), node });
                }
            }
        }
    }

    fn delete(&mut self, what: &str, names: &[String]) {
        if let Some(link) = self.editor.selection.link.take() {
            self.edit(format!("Unlink {link}"), None, |blueprint| edit::disconnect(blueprint, &link));
        } else if let Some(note) = self.editor.selection.note.take() {
            self.edit("Delete a frame", None, |blueprint| {
                if note < blueprint.notes.len() {
                    blueprint.notes.remove(note);
                }
            });
        } else if !names.is_empty() {
            self.edit(format!("Delete {what}"), None, |blueprint| edit::remove_nodes(blueprint, names));
        }
    }

    /// Adds nodes that were copied as text.
    pub fn paste(&mut self, text: &str, at: Vec2, step: String) {
        let mut pasted = Ok(Vec::new());
        self.edit(step, None, |blueprint| pasted = edit::paste(blueprint, text, at));
        match pasted {
            Ok(names) => self.editor.selection.set(names),
            Err(problems) => {
                let first = problems.first().map(ToString::to_string).unwrap_or_default();
                self.complain(format!("What was copied is no text of nodes: {first}"));
            }
        }
    }

    fn grow_selection(&mut self, upstream: bool) {
        let mut names = self.editor.selection.nodes().to_vec();
        for link in &self.document.graph().links {
            let (from, to) = (&link.link.from.0, &link.link.to.0);
            let (known, new) = if upstream { (to, from) } else { (from, to) };
            if self.editor.selection.contains(known) && !names.contains(new) {
                names.push(new.clone());
            }
        }
        self.editor.selection.set(names);
    }

    /// Selects the nearest node in a direction.
    fn select_next(&mut self, way: Vec2) {
        let here = self
            .editor
            .selection
            .last()
            .and_then(|name| self.shown.node(name))
            .map(|node| (node.name.clone(), node.rect.center()));
        let Some((name, here)) = here else {
            self.editor.selection.set(self.shown.nodes.first().map(|node| node.name.clone()));
            return;
        };
        let cost = |center: Vec2| {
            let along = (center - here).dot(way);
            let aside = (center - here).dot(way.perp()).abs();
            (along > 1.0).then_some(along + aside * 2.0)
        };
        let next =
            self.shown.nodes.iter().filter(|node| node.name != name).filter_map(|node| Some((cost(node.rect.center())?, node)));
        if let Some((_, node)) = next.min_by(|one, other| one.0.total_cmp(&other.0)) {
            let (name, rect) = (node.name.clone(), node.rect);
            self.editor.selection.set([name]);
            if !self.editor.canvas.screen().visible().contains(rect.center()) {
                self.editor.canvas.view.center = rect.center();
            }
        }
    }

    fn nudge(&mut self, way: Vec2) {
        let names = self.editor.selection.nodes().to_vec();
        let by = way * if self.session.preferences.snap { GRID } else { 4.0 };
        self.edit(format!("Move {} nodes", names.len()), Some(format!("nudge {way}")), |blueprint| {
            blueprint.nodes.iter_mut().filter(|node| names.contains(&node.name)).for_each(|node| node.at += by);
        });
    }

    fn align(&mut self, command: Command, alignment: Alignment) {
        self.place(command.name(), layout::align(&self.selected_rects(), alignment));
    }

    fn add_frame(&mut self) {
        let around = self.selected_rects().into_iter().map(|(_, rect)| rect).reduce(|all, rect| all.union(rect));
        let at = self.editor.canvas.insertion_point();
        let around = around.map_or(Rect::from_corners(at, at + Vec2::new(240.0, 120.0)), |around| {
            Rect::from_corners(around.min - Vec2::new(20.0, 46.0), around.max + 20.0)
        });
        if self.edit("Add a frame", None, |blueprint| edit::add_note(blueprint, "Frame", around)) {
            let note = self.document.graph().notes.len() - 1;
            self.editor.selection.clear();
            self.editor.selection.note = Some(note);
            self.editor.question = Some(Question::Note { note, text: "Frame".to_owned() });
        }
    }

    fn group(&mut self) {
        let names = self.editor.selection.nodes().to_vec();
        let chosen: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = {
            let whole = self.document.blueprint();
            let free = |name: &String| whole.subgraph(name).is_none() && self.document.graph().node(name).is_none();
            (1_u32..).map(|number| if number == 1 { "group".to_owned() } else { format!("group {number}") }).find(free)
        };
        let Some(name) = name else { return };
        // A graph with the whole file's subgraphs around it, as the grouping needs it.
        let mut graph = Blueprint { subgraphs: self.document.blueprint().subgraphs.clone(), ..self.document.graph().clone() };
        let base = self.document.path().and_then(Path::parent);
        let outcome = {
            let registry = self.world.resource::<AppTypeRegistry>().read();
            group(&mut graph, &chosen, &name, &registry, self.world.resource::<DataTypes>(), base)
        };
        if let Err(error) = outcome {
            self.complain(error);
            return;
        }
        let subgraphs = core::mem::take(&mut graph.subgraphs);
        let grouped = self.edit_with_subgraphs(format!("Group {} nodes", names.len()), subgraphs, graph);
        if grouped {
            self.editor.selection.set([name]);
        }
    }

    /// Replaces the graph that is looked at, and the subgraphs that were added to the file.
    fn edit_with_subgraphs(&mut self, step: String, subgraphs: Vec<BlueprintSubgraph>, graph: Blueprint) -> bool {
        let known: Vec<String> = self.document.blueprint().subgraphs.iter().map(|subgraph| subgraph.name.clone()).collect();
        let added: Vec<BlueprintSubgraph> = subgraphs.into_iter().filter(|subgraph| !known.contains(&subgraph.name)).collect();
        let own = self.document.definition();
        let outcome = self.document.edit_whole(self.world, step, None, |blueprint| {
            match own.and_then(|name| blueprint.subgraphs.iter_mut().find(|subgraph| subgraph.name == name)) {
                Some(subgraph) => subgraph.graph = graph,
                None => {
                    let subgraphs = core::mem::take(&mut blueprint.subgraphs);
                    *blueprint = Blueprint { subgraphs, ..graph };
                }
            }
            blueprint.subgraphs.extend(added);
        });
        self.wake();
        outcome.unwrap_or_else(|error| {
            self.complain(error);
            false
        })
    }

    fn ungroup(&mut self) {
        let names = self.editor.selection.nodes().to_vec();
        let mut taken = Vec::new();
        for name in names {
            let definition = self.document.graph().node(&name).and_then(definition_of);
            let Some(inner) = definition.and_then(|definition| self.document.blueprint().subgraph(&definition)).cloned() else {
                self.tell(format!("{name} is no subgraph of this file."));
                continue;
            };
            self.edit(format!("Take {name} apart"), None, |blueprint| {
                taken.extend(edit::take_apart(blueprint, &inner.graph, &name));
            });
        }
        if !taken.is_empty() {
            self.editor.selection.set(taken);
        }
    }

    /// Enters a subgraph; one that lies in another file is opened.
    pub fn enter(&mut self, node: &str) {
        let depth = self.document.scope().len();
        if let Some(file) = self.document.enter(node) {
            self.unless_unsaved(Then::Open(file));
        } else if self.document.scope().len() > depth {
            self.editor.selection.clear();
            self.editor.canvas.show_all = true;
        } else {
            self.tell(format!("{node} is no subgraph."));
        }
    }

    /// Goes back out of subgraphs.
    pub fn leave_to(&mut self, depth: usize) {
        let left = self.document.scope().get(depth).cloned();
        self.document.leave_to(depth);
        if let Some(left) = left {
            self.editor.selection.set([left]);
            self.editor.canvas.show_all = true;
        }
    }

    fn toggle_part(&mut self, command: Command) {
        let names = self.editor.selection.nodes().to_vec();
        let bypass = command == Command::Bypass;
        let on = |node: &studio_graph::blueprint::BlueprintNode| if bypass { node.bypass } else { node.freeze };
        let chosen = || self.document.graph().nodes.iter().filter(|node| names.contains(&node.name));
        if names.is_empty() {
            return;
        }
        let turn_on = !chosen().all(on);
        let step = format!("{} {}", if turn_on { command.name() } else { "Release" }, names.join(", "));
        self.edit(step, None, |blueprint| {
            for node in blueprint.nodes.iter_mut().filter(|node| names.contains(&node.name)) {
                if bypass { node.bypass = turn_on } else { node.freeze = turn_on }
            }
        });
    }

    /// Solo is how a graph is looked at, not part of it: it is not saved and not undone.
    fn toggle_solo(&mut self) {
        let entities: Vec<Entity> =
            self.editor.selection.nodes().iter().filter_map(|name| Some(self.shown.node(name)?.entity)).collect();
        let all = entities.iter().all(|node| self.world.get::<Solo>(*node).is_some());
        for node in entities {
            let Ok(mut node) = self.world.get_entity_mut(node) else { continue };
            if all {
                node.remove::<Solo>();
            } else {
                node.insert(Solo);
            }
        }
        self.wake();
    }

    /// Views the selected node's next output.
    fn view_selected(&mut self) {
        let Some(node) = self.editor.selection.last().and_then(|name| self.shown.node(name)) else { return };
        let outputs: Vec<&str> =
            node.outputs.iter().filter(|pin| pin.data_type == DataType::VIDEO_FRAME).map(|pin| pin.name.as_str()).collect();
        let now = self.editor.viewed.as_ref().filter(|(name, _)| *name == node.name).map(|(_, pin)| pin.clone());
        let place = now.and_then(|now| outputs.iter().position(|pin| *pin == now)).map_or(0, |place| place + 1);
        let name = node.name.clone();
        match outputs.get(place).map(|pin| (*pin).to_owned()) {
            Some(pin) => {
                self.view(&name, &pin);
                self.show_panel(Panel::Live);
                self.editor.active = Panel::Blueprint;
            }
            None if place > 0 => self.editor.viewed = None,
            None => self.tell(format!("{name} makes no pictures.")),
        }
    }

    fn next_problem(&mut self) {
        let failed: Vec<String> = self.failed.iter().map(|failed| failed.way.clone()).collect();
        if failed.is_empty() {
            self.tell("No node has failed.");
            return;
        }
        self.editor.problem = (self.editor.problem + 1) % failed.len();
        let name = failed[self.editor.problem].clone();
        self.jump_to(&name);
    }

    fn run_view(&mut self, command: Command) {
        let screen = self.editor.canvas.screen();
        let middle = screen.rect.center();
        match command {
            Command::ShowAll => {
                if let Some(bounds) = self.shown.bounds() {
                    self.editor.canvas.view.show(bounds, screen.rect);
                }
            }
            Command::ShowSelection => {
                let bounds = self.selected_rects().into_iter().map(|(_, rect)| rect).reduce(|all, rect| all.union(rect));
                match bounds {
                    Some(bounds) => self.editor.canvas.view.show(bounds, screen.rect),
                    None => self.run_view(Command::ShowAll),
                }
            }
            Command::ZoomIn => self.editor.canvas.view.zoom_around(&screen, middle, 2.0),
            Command::ZoomOut => self.editor.canvas.view.zoom_around(&screen, middle, -2.0),
            _ => self.editor.canvas.view.zoom = 1.0,
        }
    }

    fn scale_by(&mut self, by: f32) {
        let scales = crate::session::Preferences::SCALES;
        let scale = &mut self.session.preferences.scale;
        *scale = ((*scale * by).clamp(*scales.start(), *scales.end()) * 20.0).round() / 20.0;
    }
}
