//! The graph editor: a canvas for the blueprint, a live view of what it makes, managers, an inspector.
//!
//! Everything it edits is the running graph: a [`Document`] is a blueprint with its entities, and each
//! edit applies the difference to them. [`StudioEditorPlugin`] works inside any Bevy app with a window; nodes that the app
//! spawned itself become the document's.
//!
//! | module | what it holds |
//! |---|---|
//! | [`document`] | the blueprint, its file, its history |
//! | [`edit`], [`layout`] | changes of a blueprint, as functions on data |
//! | [`canvas`], [`shown`], [`selection`] | the canvas |
//! | [`command`], [`picker`] | what the editor can be told, and the list that is searched by typing |
//! | [`session`] | preferences, recent files, copies of unsaved work |

pub mod canvas;
pub mod command;
pub mod document;
pub mod edit;
pub mod editor;
mod files;
mod inspector;
pub mod layout;
mod live;
mod managers;
mod notice;
pub mod picker;
mod pictures;
mod problems;
mod run;
pub mod selection;
pub mod session;
pub mod shown;
mod theme;
mod tour;
mod window;

use bevy::{
    camera::{RenderTarget, visibility::RenderLayers},
    prelude::*,
    window::WindowCloseRequested,
};
use bevy_egui::{EguiGlobalSettings, EguiPlugin, EguiPreUpdateSet, EguiPrimaryContextPass, PrimaryEguiContext};
use document::Document;
use editor::{Editor, Question, Then};
use session::{Session, SessionFolder};
use std::path::PathBuf;
use studio_gpu::present::WindowTaken;
use studio_graph::{blueprint::file::BlueprintFileError, schedule::StudioSystems};

/// The types nearly every user of this crate needs.
pub mod prelude {
    #[doc(hidden)]
    pub use crate::{StudioEditorPlugin, document::Document, editor::Editor};
}

/// On entities that belong to the editor and not to the document.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct EditorOwn;

/// Adds the editor to an app. Needs the studio's plugins before it.
///
/// The editor takes up the whole window, or the image that it is given as target; window outputs of the graph are shown in its live view instead of the window.
#[derive(Clone, Debug, Default)]
pub struct StudioEditorPlugin {
    /// A blueprint to open at the start.
    pub file: Option<PathBuf>,
    /// Where preferences and copies of unsaved work are kept; the user's own folder unless given.
    pub session: SessionFolder,
    /// What it is drawn on: the primary window, unless given.
    pub target: RenderTarget,
}

/// What the editor is drawn on.
#[derive(Resource)]
struct EditorTarget(RenderTarget);

/// The blueprint to open once the app runs.
#[derive(Resource)]
struct OpenAtStart(Option<PathBuf>);

impl Plugin for StudioEditorPlugin {
    fn build(&self, app: &mut App) {
        if !app.is_plugin_added::<EguiPlugin>() {
            // Bindless textures save nothing with so few of them, and software Vulkan pays for them.
            app.add_plugins(EguiPlugin { bindless_mode_array_size: None });
        }
        inspector::register_defaults(app);
        app.world_mut().resource_mut::<EguiGlobalSettings>().auto_create_primary_context = false;
        app.insert_resource(WindowTaken)
            .insert_resource(Session::new(self.session.0.clone()))
            .insert_resource(OpenAtStart(self.file.clone()))
            .insert_resource(EditorTarget(self.target.clone()))
            .init_resource::<Editor>()
            .init_resource::<shown::ShownGraph>()
            .init_resource::<window::TabPressed>()
            .add_systems(Startup, spawn_camera)
            .add_systems(PostStartup, open_document)
            .add_systems(
                PreUpdate,
                window::keep_tab_for_canvas.after(EguiPreUpdateSet::ProcessInput).before(EguiPreUpdateSet::BeginPass),
            )
            .add_systems(
                Update,
                (ask_before_closing, follow_file).before(StudioSystems::Compile).run_if(resource_exists::<Document>),
            )
            .add_systems(EguiPrimaryContextPass, window::draw_editor.run_if(resource_exists::<Document>));
    }
}

fn spawn_camera(target: Res<EditorTarget>, mut commands: Commands) {
    commands.spawn((
        Name::new("Editor camera"),
        EditorOwn,
        PrimaryEguiContext,
        Camera2d,
        Msaa::Off,
        RenderLayers::none(),
        target.0.clone(),
        Camera { order: 1000, ..default() },
    ));
}

fn open_document(world: &mut World) {
    let file = world.remove_resource::<OpenAtStart>().and_then(|open| open.0);
    let mut document = Document::new(world);
    let mut editor = world.remove_resource::<Editor>().unwrap_or_default();
    if let Some(file) = file {
        match document.open(world, &file) {
            Ok(()) => {
                let path = document.path().map(PathBuf::from);
                if let (Some(path), Some(mut session)) = (path, world.get_resource_mut::<Session>()) {
                    session.preferences.add_recent(&path);
                }
            }
            Err(document::DocumentError::File(BlueprintFileError::Read { path, .. })) if !path.exists() => {
                // As other editors do: a file that is not there yet is a new one.
                editor.notices.add(notice::Notice::info(format!("{} is new.", path.display())));
                document.name(path);
            }
            Err(error) => editor.notices.add(notice::Notice::error(error.to_string())),
        }
    }
    if let Some(session) = world.get_resource::<Session>() {
        editor.question = session.left_over().into_iter().next().map(Question::Recover);
        if !session.preferences.tour_seen {
            editor.tour = Some(tour::Tour::default());
        }
    }
    world.insert_resource(document);
    world.insert_resource(editor);
}

/// Keeps the window open until unsaved work is safe. Needs a window plugin that does not close it by itself.
fn ask_before_closing(
    mut requests: MessageReader<WindowCloseRequested>,
    document: Res<Document>,
    mut editor: ResMut<Editor>,
    mut commands: Commands,
) {
    if requests.read().count() == 0 {
        return;
    }
    if document.is_dirty() {
        editor.question = Some(Question::Unsaved(Then::Quit));
    } else {
        let root = document.root();
        commands.entity(root).despawn();
        commands.write_message(AppExit::Success);
    }
}

/// Opens the document's file again when another program changed it.
fn follow_file(world: &mut World, mut last: Local<Option<std::time::Instant>>) {
    const EVERY: core::time::Duration = core::time::Duration::from_secs(1);
    if last.is_some_and(|last| last.elapsed() < EVERY) {
        return;
    }
    *last = Some(std::time::Instant::now());
    world.resource_scope(|world, mut document: Mut<Document>| {
        if !document.bypass_change_detection().changed_outside() {
            return;
        }
        let Some(path) = document.path().map(PathBuf::from) else { return };
        let notice = if document.is_dirty() {
            notice::Notice::error(format!(
                "{} was changed by another program. Saving replaces that; opening it again drops your changes.",
                path.display()
            ))
        } else {
            match document.reload(world) {
                Ok(()) => notice::Notice::info(format!("{} was changed by another program and is opened again.", path.display())),
                Err(error) => notice::Notice::error(format!("What ran before runs on. {error}")),
            }
        };
        if let Some(mut editor) = world.get_resource_mut::<Editor>() {
            editor.notices.add(notice);
        }
    });
}
