//! The blueprint that is edited: its file, its entities, its history.

use bevy::prelude::*;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};
use studio_graph::blueprint::{
    Blueprint, BlueprintInstance, BlueprintNode, Problem,
    capture::capture,
    file::{BlueprintFileError, BlueprintFormats, move_paths},
    problem::{has_errors, list},
    spawn::{InBlueprint, apply, node_named},
};

/// One step of the history.
#[derive(Clone, Debug)]
struct Step {
    name: String,
    before: Arc<Blueprint>,
}

/// The blueprint that is edited.
///
/// Its entities are the graph that runs; each edit makes another version of the blueprint and applies the difference to
/// them. A version that the registry refuses is not taken on.
#[derive(Resource)]
pub struct Document {
    /// The root of its entities.
    root: Entity,
    path: Option<PathBuf>,
    modified: Option<SystemTime>,
    blueprint: Arc<Blueprint>,
    saved: Arc<Blueprint>,
    undo: Vec<Step>,
    redo: Vec<Step>,
    /// Edits with the same key in a row are one step, such as those of one drag.
    merge: Option<(String, Instant)>,
    revision: u64,
    warnings: Vec<Problem>,
    /// The subgraph nodes that were entered, from the outside in.
    scope: Vec<String>,
}

/// Why a document cannot be changed, read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The graph would not be right.
    #[error("{}", list(.0))]
    Refused(Vec<Problem>),
    /// The file has faults.
    #[error("{path} is not opened:\n{}", list(.problems))]
    Faults {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problems: Vec<Problem>,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] BlueprintFileError),
}

impl Document {
    /// The most steps that can be undone.
    pub const MAX_STEPS: usize = 500;
    /// Edits with one key further apart than this are steps of their own.
    const MERGE_SECONDS: f32 = 2.0;

    /// An empty document. Nodes that stand in the world without a blueprint become its nodes.
    pub fn new(world: &mut World) -> Self {
        let root = world.spawn((Name::new("blueprint"), BlueprintInstance::default())).id();
        let mut document = Self {
            root,
            path: None,
            modified: None,
            blueprint: Arc::default(),
            saved: Arc::default(),
            undo: Vec::new(),
            redo: Vec::new(),
            merge: None,
            revision: 1,
            warnings: Vec::new(),
            scope: Vec::new(),
        };
        document.adopt(world);
        document
    }

    /// Takes in the nodes that programs spawned themselves.
    fn adopt(&mut self, world: &mut World) {
        let mut strays = world.query_filtered::<(Entity, Option<&Name>, &studio_graph::registry::NodeName), (
            With<studio_graph::pin::Pins>,
            Without<InBlueprint>,
            Without<crate::EditorOwn>,
        )>();
        let found: Vec<(Entity, String)> = strays
            .iter(world)
            .map(|(node, name, kind)| (node, name.map_or_else(|| kind.0.to_string(), ToString::to_string)))
            .collect();
        if found.is_empty() {
            return;
        }
        let mut names = Blueprint::default();
        for (place, (node, label)) in found.into_iter().enumerate() {
            let name = crate::edit::add_node(&mut names, "", &label, Vec2::ZERO);
            let at = studio_graph::blueprint::spawn::CanvasPosition(Vec2::new(240.0 * place as f32, 0.0));
            world.entity_mut(node).insert((Name::new(name), InBlueprint(self.root), at));
        }
        match capture(world, self.root) {
            Ok(mut blueprint) => {
                let places = crate::layout::arrange(&blueprint, &[], |_| Vec2::new(200.0, 120.0));
                for (name, at) in places {
                    if let Some(node) = blueprint.node_mut(&name) {
                        node.at = at;
                    }
                }
                self.blueprint = Arc::new(blueprint);
                self.saved = self.blueprint.clone();
            }
            Err(error) => warn!("the graph that is there cannot be edited: {error}"),
        }
    }

    /// The root of the blueprint's entities.
    pub const fn root(&self) -> Entity {
        self.root
    }

    /// The blueprint as it stands.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// The graph that is looked at and edited: the blueprint's own, or that of the subgraph that was entered.
    pub fn graph(&self) -> &Blueprint {
        let entered = self.definition().and_then(|name| self.blueprint.subgraph(&name));
        entered.map_or(&*self.blueprint, |subgraph| &subgraph.graph)
    }

    /// The subgraph nodes that were entered, from the outside in.
    pub fn scope(&self) -> &[String] {
        &self.scope
    }

    /// The entity whose nodes are looked at: the root, or the subgraph node that was entered.
    pub fn scope_root(&self, world: &World) -> Option<Entity> {
        self.scope.iter().try_fold(self.root, |inside, name| node_named(world, inside, name))
    }

    /// The name of the graph that is looked at, among the blueprint's subgraphs; none for its own.
    pub(crate) fn definition(&self) -> Option<String> {
        let mut graph = &*self.blueprint;
        let mut found = None;
        for name in &self.scope {
            let definition = definition_of(graph.node(name)?)?;
            graph = &self.blueprint.subgraph(&definition)?.graph;
            found = Some(definition);
        }
        found
    }

    /// Enters a subgraph of this blueprint. Returns the file of one that lies in another, which is not entered.
    pub fn enter(&mut self, node: &str) -> Option<PathBuf> {
        let of_file = self.graph().node(node)?;
        let file = of_file.settings.iter().find(|setting| setting.field == "file");
        let file = file.and_then(|setting| ron::from_str::<String>(&setting.value).ok()).filter(|file| !file.is_empty());
        if let Some(file) = file {
            let base = self.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
            return Some(base.join(file));
        }
        let definition = definition_of(of_file)?;
        if self.blueprint.subgraph(&definition).is_some() {
            self.scope.push(node.to_owned());
            self.revision += 1;
        }
        None
    }

    /// Enters the subgraphs of a way, from the outside in. Returns how many of them could be entered.
    pub fn set_scope(&mut self, way: &[String]) -> usize {
        if self.scope != way {
            self.scope = way.to_vec();
            self.leave_what_is_gone();
            self.revision += 1;
        }
        self.scope.len()
    }

    /// Goes back out of subgraphs, until only so many are entered.
    pub fn leave_to(&mut self, depth: usize) {
        if depth < self.scope.len() {
            self.scope.truncate(depth);
            self.revision += 1;
        }
    }

    /// Leaves subgraphs that are no longer there.
    fn leave_what_is_gone(&mut self) {
        while !self.scope.is_empty() && self.definition().is_none() {
            self.scope.pop();
        }
    }

    /// Grows with every change.
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The file that it was read from or saved to.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What titles call it.
    pub fn title(&self) -> String {
        let file = self.path.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        file.unwrap_or_else(|| "Untitled".to_owned())
    }

    /// Whether there are changes that were not saved.
    pub fn is_dirty(&self) -> bool {
        !Arc::ptr_eq(&self.blueprint, &self.saved) && *self.blueprint != *self.saved
    }

    /// What is not right about it, though it runs.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// The names of the steps that can be undone, the latest last.
    pub fn undo_names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.undo.iter().map(|step| step.name.as_str())
    }

    /// The names of the steps that can be done again, the next last.
    pub fn redo_names(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.redo.iter().map(|step| step.name.as_str())
    }

    /// Changes the graph that is looked at, as one named step. Steps with one `merge` key in quick succession become one. Returns whether
    /// anything changed.
    ///
    /// # Errors
    /// [`DocumentError::Refused`] if the graph would not be right; nothing changes then.
    pub fn edit(
        &mut self,
        world: &mut World,
        name: impl Into<String>,
        merge: Option<String>,
        change: impl FnOnce(&mut Blueprint),
    ) -> Result<bool, DocumentError> {
        let definition = self.definition();
        self.edit_whole(world, name, merge, |blueprint| {
            let inner = definition.and_then(|name| blueprint.subgraphs.iter_mut().find(|subgraph| subgraph.name == name));
            match inner {
                Some(subgraph) => change(&mut subgraph.graph),
                None => change(blueprint),
            }
        })
    }

    /// Changes the blueprint with its subgraphs, as one named step.
    ///
    /// # Errors
    /// As [`edit`](Self::edit).
    pub fn edit_whole(
        &mut self,
        world: &mut World,
        name: impl Into<String>,
        merge: Option<String>,
        change: impl FnOnce(&mut Blueprint),
    ) -> Result<bool, DocumentError> {
        let mut blueprint = (*self.blueprint).clone();
        change(&mut blueprint);
        if blueprint == *self.blueprint {
            return Ok(false);
        }
        let before = self.take_on(world, blueprint)?;
        let now = Instant::now();
        let goes_on = self.merge.as_ref().zip(merge.as_ref()).is_some_and(|((key, at), new)| {
            key == new && (now - *at).as_secs_f32() < Self::MERGE_SECONDS && !self.undo.is_empty()
        });
        if !goes_on {
            if self.undo.len() == Self::MAX_STEPS {
                self.undo.remove(0);
            }
            self.undo.push(Step { name: name.into(), before });
        }
        self.redo.clear();
        self.merge = merge.map(|key| (key, now));
        Ok(true)
    }

    /// Ends the present run of edits that become one step: at the end of a drag.
    pub fn seal(&mut self) {
        self.merge = None;
    }

    /// Takes the latest step back. Returns its name.
    ///
    /// # Errors
    /// [`DocumentError::Refused`] if the version before is no longer right, because a plugin or a file is gone.
    pub fn undo(&mut self, world: &mut World) -> Result<Option<String>, DocumentError> {
        let Some(Step { name, before }) = self.undo.pop() else { return Ok(None) };
        let after = self.take_on(world, (*before).clone())?;
        self.redo.push(Step { name: name.clone(), before: after });
        self.merge = None;
        Ok(Some(name))
    }

    /// Does the step again that was undone last. Returns its name.
    ///
    /// # Errors
    /// As [`undo`](Self::undo).
    pub fn redo(&mut self, world: &mut World) -> Result<Option<String>, DocumentError> {
        let Some(Step { name, before: after }) = self.redo.pop() else { return Ok(None) };
        let before = self.take_on(world, (*after).clone())?;
        self.undo.push(Step { name: name.clone(), before });
        self.merge = None;
        Ok(Some(name))
    }

    /// Brings the entities to a version. Returns the version before.
    fn take_on(&mut self, world: &mut World, blueprint: Blueprint) -> Result<Arc<Blueprint>, DocumentError> {
        self.warnings = apply(world, self.root, &blueprint).map_err(DocumentError::Refused)?;
        self.revision += 1;
        let before = core::mem::replace(&mut self.blueprint, Arc::new(blueprint));
        self.leave_what_is_gone();
        Ok(before)
    }

    /// Closes the document for a new, empty one.
    ///
    /// # Errors
    /// None that are known: an empty graph is always right.
    pub fn clear(&mut self, world: &mut World) -> Result<(), DocumentError> {
        self.set_base(world, None);
        self.start_over(world, Blueprint::default(), None)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`DocumentError`] if it cannot be read or is not right; what was open stays open then.
    pub fn open(&mut self, world: &mut World, path: &Path) -> Result<(), DocumentError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let blueprint = load(world, &path)?;
        let base = self.set_base(world, path.parent().map(Path::to_owned));
        let opened = self.start_over(world, blueprint, Some(path.clone()));
        opened.map_err(|error| {
            self.set_base(world, base);
            match error {
                DocumentError::Refused(problems) => DocumentError::Faults { path, problems },
                other => other,
            }
        })
    }

    /// Opens the file again, as one step that can be undone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn reload(&mut self, world: &mut World) -> Result<(), DocumentError> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let blueprint = load(world, &path)?;
        self.edit(world, "Changed by another program", None, |current| *current = blueprint)?;
        self.saved = self.blueprint.clone();
        Ok(())
    }

    /// Names the file that it will be saved to, without a file there yet.
    pub fn name(&mut self, path: PathBuf) {
        self.path = Some(path);
    }

    /// Takes on a version that was kept aside, of the file at `path` if it had one: it counts as changed.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn recover(&mut self, world: &mut World, kept: &Path, path: Option<PathBuf>) -> Result<(), DocumentError> {
        let blueprint = load(world, kept)?;
        self.set_base(world, path.as_deref().and_then(Path::parent).map(Path::to_owned));
        self.start_over(world, blueprint, path)?;
        self.saved = Arc::default();
        Ok(())
    }

    fn start_over(&mut self, world: &mut World, blueprint: Blueprint, path: Option<PathBuf>) -> Result<(), DocumentError> {
        let scope = core::mem::take(&mut self.scope);
        if let Err(error) = self.take_on(world, blueprint) {
            self.scope = scope;
            return Err(error);
        }
        self.saved = self.blueprint.clone();
        self.modified = path.as_deref().and_then(modified);
        self.path = path;
        self.undo.clear();
        self.redo.clear();
        self.merge = None;
        Ok(())
    }

    /// Sets where relative paths start; returns where they started.
    fn set_base(&self, world: &mut World, base: Option<PathBuf>) -> Option<PathBuf> {
        let mut instance = world.get_mut::<BlueprintInstance>(self.root)?;
        core::mem::replace(&mut instance.base, base)
    }

    /// Saves to a file, which becomes the document's own. The file is replaced whole, so that a crash or a full disk leaves
    /// the old one.
    ///
    /// # Errors
    /// [`DocumentError::File`].
    pub fn save(&mut self, world: &mut World, path: &Path) -> Result<(), DocumentError> {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let from = self.path.as_deref().and_then(Path::parent).map(Path::to_owned).or_else(|| std::env::current_dir().ok());
        let to = path.parent().map(Path::to_owned);
        let formats = world.resource::<BlueprintFormats>().clone();
        if let (Some(from), Some(to)) = (&from, &to)
            && from != to
        {
            let mut moved = (*self.blueprint).clone();
            move_paths(&mut moved, &world.resource::<AppTypeRegistry>().read(), from, to);
            formats.write(&path, &moved)?;
            let before = self.set_base(world, Some(to.clone()));
            if let Err(error) = self.take_on(world, moved) {
                self.set_base(world, before);
                return Err(error);
            }
        } else {
            formats.write(&path, &self.blueprint)?;
            self.set_base(world, to);
        }
        self.modified = modified(&path);
        self.saved = self.blueprint.clone();
        self.path = Some(path);
        Ok(())
    }

    /// Whether another program changed the file since it was read or saved.
    pub fn changed_outside(&mut self) -> bool {
        let Some(now) = self.path.as_deref().and_then(modified) else { return false };
        self.modified.replace(now).is_some_and(|known| known != now)
    }
}

/// The subgraph of this blueprint that a node stands for.
pub(crate) fn definition_of(node: &BlueprintNode) -> Option<String> {
    let setting = node.settings.iter().find(|setting| setting.field == "definition").filter(|_| node.kind == "Subgraph")?;
    ron::from_str(&setting.value).ok()
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).ok()?.modified().ok()
}

fn load(world: &World, path: &Path) -> Result<Blueprint, DocumentError> {
    let (blueprint, problems) = world.resource::<BlueprintFormats>().read(path)?;
    if has_errors(&problems) { Err(DocumentError::Faults { path: path.to_owned(), problems }) } else { Ok(blueprint) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use studio_graph::prelude::*;

    /// Plays a file.
    #[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
    #[reflect(Component, Default, Node)]
    struct Player {
        #[reflect(@InputPath)]
        source: String,
    }

    impl NodeKind for Player {
        const DISPLAY_NAME: &'static str = "Player";
        const CATEGORY: &'static str = "Test";
        fn pins(&self) -> Vec<PinSpec> {
            vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
        }
    }

    fn app() -> App {
        let mut app = App::new();
        app.add_plugins(GraphPlugin).register_node::<Player>();
        app
    }

    #[test]
    fn saved_elsewhere_paths_lead_to_the_same_files() {
        let (mut app, folder) = (app(), tempfile::tempdir().expect("a folder"));
        let world = app.world_mut();
        std::fs::write(folder.path().join("clip.mp4"), "").expect("written");
        let mut document = Document::new(world);
        document.save(world, &folder.path().join("a.blueprint.ron")).expect("it can be written");
        let add = |blueprint: &mut Blueprint| {
            let name = crate::edit::add_node(blueprint, "Player", "player", Vec2::ZERO);
            crate::edit::set_setting(blueprint, &name, "source", Some("\"clip.mp4\"".to_owned()));
        };
        document.edit(world, "Add", None, add).expect("it is right");
        let inner = folder.path().join("inner");
        document.save(world, &inner.join("b.blueprint.ron")).expect("it can be written");
        let source = |world: &mut World| world.query::<&Player>().single(world).expect("one player").source.clone();
        assert_eq!(source(world), folder.path().join("clip.mp4").display().to_string());
        document.save(world, &folder.path().join("c.blueprint.ron")).expect("it can be written");
        assert_eq!(
            document.blueprint().nodes[0].settings[0].value,
            "\"clip.mp4\"",
            "below the file's folder it is relative again"
        );
        assert_eq!(source(world), folder.path().join("clip.mp4").display().to_string());
    }

    #[test]
    fn what_is_refused_changes_nothing_and_steps_of_one_drag_are_one() {
        let mut app = app();
        let world = app.world_mut();
        let mut document = Document::new(world);
        let add = |blueprint: &mut Blueprint| drop(crate::edit::add_node(blueprint, "Player", "player", Vec2::ZERO));
        document.edit(world, "Add", None, add).expect("it is right");
        let wrong = |blueprint: &mut Blueprint| crate::edit::set_setting(blueprint, "player", "speed", Some("7".to_owned()));
        assert!(document.edit(world, "Wrong", None, wrong).expect_err("no such setting").to_string().contains("speed"));
        for x in 1..5 {
            let drag = |blueprint: &mut Blueprint| blueprint.nodes[0].at.x = x as f32;
            document.edit(world, "Move", Some("drag".to_owned()), drag).expect("it is right");
        }
        assert_eq!(document.undo_names().collect::<Vec<_>>(), ["Add", "Move"]);
        document.undo(world).expect("it was right before");
        assert_eq!(document.blueprint().nodes[0].at.x, 0.0);
        document.redo(world).expect("it was right before");
        assert_eq!(document.blueprint().nodes[0].at.x, 4.0);
        assert!(document.is_dirty());
    }

    #[test]
    fn a_faulty_file_leaves_what_is_open() {
        let (mut app, folder) = (app(), tempfile::tempdir().expect("a folder"));
        let world = app.world_mut();
        let mut document = Document::new(world);
        let add = |blueprint: &mut Blueprint| drop(crate::edit::add_node(blueprint, "Player", "player", Vec2::ZERO));
        document.edit(world, "Add", None, add).expect("it is right");
        let file = folder.path().join("faulty.blueprint.ron");
        std::fs::write(&file, "(version: 1, nodes: { \"a\": (kind: \"Player\", settings: (speed: 3)) })").expect("written");
        let error = document.open(world, &file).expect_err("it has a fault").to_string();
        assert!(error.contains("faulty.blueprint.ron") && error.contains("speed"), "{error}");
        assert!(document.open(world, &folder.path().join("none.ron")).is_err());
        assert!(document.blueprint().node("player").is_some() && document.undo_names().count() == 1);
    }
}
