//! The editor's state, and what each command does to it.

use crate::{
    EditorOwn,
    canvas::{Canvas, NewNode},
    document::Document,
    edit,
    files::Files,
    layout,
    live::Live,
    notice::{Notice, Notices},
    picker::Picker,
    pictures::Pictures,
    session::{Kept, Session},
    shown::ShownGraph,
    tour::Tour,
};
use bevy::{ecs::entity::EntityHashMap, prelude::*};
use bevy_egui::egui;
use egui_dock::{DockState, NodeIndex};
use std::path::PathBuf;
use studio_graph::{blueprint::Blueprint, link::LinkText, prelude::*, wake::StudioWaker};

/// A panel of the editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Panel {
    /// The canvas.
    Blueprint,
    /// The picture, the sound and the figures of what runs.
    Live,
    /// Kinds of nodes, devices, files.
    Managers,
    /// Settings of the selected node.
    Inspector,
    /// What is wrong.
    Problems,
    /// Steps that can be undone.
    History,
}

impl Panel {
    /// The panel's title.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Blueprint => "Blueprint",
            Self::Live => "Live view",
            Self::Managers => "Managers",
            Self::Inspector => "Inspector",
            Self::Problems => "Problems",
            Self::History => "History",
        }
    }
}

/// What waits for an answer before work that is not saved would be lost.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Question {
    /// Save before this is done?
    Unsaved(Then),
    /// Take up work that an earlier run did not save?
    Recover(Kept),
    /// A new name for a node.
    Rename { node: String, name: String },
    /// New words for a note.
    Note { note: usize, text: String },
    /// A name for a bookmark.
    Bookmark { name: String },
}

/// What is done once unsaved work is safe.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Then {
    New,
    Open(PathBuf),
    ChooseFile,
    Quit,
}

/// The editor's state.
#[derive(Resource)]
pub struct Editor {
    /// The canvas.
    pub canvas: Canvas,
    /// What is selected.
    pub selection: crate::selection::Selection,
    /// The output that is viewed: node and pin.
    pub viewed: Option<(String, String)>,
    /// The panel that keys go to.
    pub active: Panel,
    pub(crate) picker: Option<Picker>,
    pub(crate) notices: Notices,
    pub(crate) question: Option<Question>,
    pub(crate) files: Files,
    pub(crate) pictures: Pictures,
    pub(crate) live: Live,
    pub(crate) tour: Option<Tour>,
    pub(crate) sheet: bool,
    pub(crate) scrolled: f32,
    pub(crate) managers_search: String,
    pub(crate) drafts: crate::inspector::Drafts,
    /// Whether the first setting gets the keys.
    pub(crate) focus_settings: bool,
    /// The node that is gone to, once the graph that it is in is drawn.
    pub(crate) jump: Option<String>,
    pub(crate) dock: Option<DockState<Panel>>,
    pub(crate) problem: usize,
    pub(crate) watched: Option<Entity>,
}

impl Default for Editor {
    fn default() -> Self {
        Self {
            canvas: Canvas::default(),
            selection: default(),
            viewed: None,
            active: Panel::Blueprint,
            picker: None,
            notices: default(),
            question: None,
            files: default(),
            pictures: default(),
            live: default(),
            tour: None,
            sheet: false,
            scrolled: 0.0,
            managers_search: String::new(),
            drafts: default(),
            focus_settings: false,
            jump: None,
            dock: Some(panels()),
            problem: 0,
            watched: None,
        }
    }
}

impl Editor {
    /// Whether a list is open that is searched by typing.
    pub const fn is_picking(&self) -> bool {
        self.picker.is_some()
    }

    /// Whether something is asked that keeps everything else waiting.
    pub const fn is_asking(&self) -> bool {
        self.question.is_some() || self.files.is_open()
    }
}

/// Where panels are at first.
pub(crate) fn panels() -> DockState<Panel> {
    let mut dock = DockState::new(vec![Panel::Blueprint]);
    let surface = dock.main_surface_mut();
    let [canvas, _] = surface.split_right(NodeIndex::root(), 0.76, vec![Panel::Inspector, Panel::History]);
    let [canvas, _] = surface.split_left(canvas, 0.2, vec![Panel::Managers]);
    surface.split_below(canvas, 0.62, vec![Panel::Live, Panel::Problems]);
    dock
}

/// One run of the editor's interface.
pub(crate) struct Frame<'a> {
    pub ctx: &'a egui::Context,
    pub world: &'a mut World,
    pub editor: &'a mut Editor,
    pub document: &'a mut Document,
    pub shown: &'a mut ShownGraph,
    pub session: &'a mut Session,
    /// How long the GPU works on each node, in milliseconds.
    pub times: EntityHashMap<f32>,
    /// The nodes that failed.
    pub failed: Vec<crate::problems::Failed>,
}

impl Frame<'_> {
    /// Changes the document as one named step; a refusal is shown. Returns whether it was changed.
    pub fn edit(&mut self, name: impl Into<String>, merge: Option<String>, change: impl FnOnce(&mut Blueprint)) -> bool {
        let outcome = self.document.edit(self.world, name, merge, change);
        self.wake();
        match outcome {
            Ok(changed) => changed,
            Err(error) => {
                self.complain(error);
                false
            }
        }
    }

    pub fn complain(&mut self, error: impl ToString) {
        self.editor.notices.add(Notice::error(error.to_string()));
    }

    pub fn tell(&mut self, words: impl Into<String>) {
        self.editor.notices.add(Notice::info(words));
    }

    /// Has what was changed taken up soon, also while nothing else happens.
    pub fn wake(&self) {
        if let Some(waker) = self.world.get_resource::<StudioWaker>() {
            waker.wake();
        }
        self.ctx.request_repaint();
    }

    /// Adds a node, linked to a wire's end if there is one, and selects it.
    pub fn add_node(&mut self, node: &NewNode, at: Vec2, wire: Option<((String, String), PinDirection, String)>) {
        let at = if self.session.preferences.snap { layout::snapped(at) } else { at };
        let mut name = String::new();
        let added = self.edit(format!("Add {}", node.label), None, |blueprint| {
            name = edit::add_node(blueprint, &node.kind, &node.label, at);
            for (field, value) in &node.settings {
                edit::set_setting(blueprint, &name, field, Some(value.clone()));
            }
            if let Some((start, direction, pin)) = wire {
                let end = (name.clone(), pin);
                let link = match direction {
                    PinDirection::Output => LinkText { from: start, to: end },
                    PinDirection::Input => LinkText { from: end, to: start },
                };
                edit::connect(blueprint, link);
            }
        });
        if added {
            self.editor.selection.set([name]);
            self.editor.active = Panel::Blueprint;
        }
    }

    /// Selects a node and moves the view to it; `way` is its name with the way through subgraphs, such as `eye/blur`.
    pub fn jump_to(&mut self, way: &str) {
        let mut names: Vec<String> = way.split('/').map(str::to_owned).collect();
        let Some(name) = names.pop() else { return };
        // What lies in another file is not entered: its subgraph is gone to.
        let reached = self.document.set_scope(&names);
        self.editor.jump = Some(names.get(reached).cloned().unwrap_or(name));
        self.show_panel(Panel::Blueprint);
        self.ctx.request_repaint();
    }

    /// The way to a node of the graph that is looked at.
    pub fn way_to(&self, name: &str) -> String {
        self.document.scope().iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("/")
    }

    /// Ends a jump, now that the graph that it leads to is drawn.
    pub fn arrive(&mut self) {
        let Some(name) = self.editor.jump.take() else { return };
        let Some(node) = self.shown.node(&name) else { return };
        self.editor.canvas.view.center = node.rect.center();
        self.editor.canvas.view.zoom = self.editor.canvas.view.zoom.max(0.7);
        self.editor.canvas.show_all = false;
        self.editor.selection.set([name]);
    }

    /// Shows an output in the live view.
    pub fn view(&mut self, node: &str, pin: &str) {
        self.editor.viewed = Some((node.to_owned(), pin.to_owned()));
    }

    /// Brings a panel to the front, and back if it was closed.
    pub fn show_panel(&mut self, panel: Panel) {
        self.editor.active = panel;
        let Some(dock) = &mut self.editor.dock else { return };
        match dock.find_tab(&panel) {
            Some(path) => {
                if let Err(error) = dock.set_active_tab(path) {
                    debug!("the panel {panel:?} is not shown: {error:?}");
                }
            }
            None => dock.push_to_first_leaf(panel),
        }
    }

    /// Keeps the viewed node running, as long as it is viewed, and nothing else that was.
    pub fn watch_what_is_viewed(&mut self) {
        let wanted = self.editor.viewed.as_ref().and_then(|(node, _)| Some(self.shown.node(node)?.entity));
        if wanted == self.editor.watched {
            return;
        }
        if let Some(mut before) = self.editor.watched.take().and_then(|node| self.world.get_entity_mut(node).ok())
            && before.contains::<EditorWatches>()
        {
            before.remove::<(Watched, EditorWatches)>();
        }
        if let Some(mut node) = wanted.and_then(|node| self.world.get_entity_mut(node).ok())
            && !node.contains::<Watched>()
        {
            node.insert((Watched, EditorWatches));
        }
        self.editor.watched = wanted;
    }
}

/// On nodes that run only because the editor shows what they make.
#[derive(Component)]
struct EditorWatches;

/// Spawns something that belongs to the editor, not to the document.
pub(crate) fn own(world: &mut World, bundle: impl Bundle) -> Entity {
    world.spawn((EditorOwn, bundle)).id()
}
