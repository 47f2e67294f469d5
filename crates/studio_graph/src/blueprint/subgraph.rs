//! Subgraphs: nodes that stand for a whole blueprint, of the same file or of another one.

use super::{
    Blueprint, BlueprintSubgraph, Problem, Setting,
    problem::{has_errors, most_like},
    read::read,
    spawn::InBlueprint,
    target::Index,
};
use crate::{
    pin::{DataType, PassThrough, PinSpec},
    registry::{AppNodeExt, InputPath, NodeKind, ReflectNode},
    schedule::StudioSystems,
    status::{NodeStatus, apply_reports},
};
use bevy::{platform::collections::HashMap, prelude::*};
use std::{
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

/// A graph as one node: what lies in it runs as if it stood here. Its pins are the `SubgraphInput` and `SubgraphOutput`
/// nodes in it. Every node that names the same graph changes with it; values of its own come under `values`.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(PassThrough)]
pub struct Subgraph {
    /// The blueprint file that has the graph; empty for the file that this node is in.
    #[reflect(@InputPath)]
    pub file: String,
    /// The graph's name among the `subgraphs` of the file; empty for the whole of another file.
    pub definition: String,
}

impl NodeKind for Subgraph {
    const DISPLAY_NAME: &'static str = "Subgraph";
    const CATEGORY: &'static str = "Graph";
    fn pins(&self) -> Vec<PinSpec> {
        Vec::new()
    }
}

/// What comes into a subgraph: an input of the node that stands for it.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(PassThrough)]
pub struct SubgraphInput {
    /// The input's name; empty for the name of this node.
    pub name: String,
    /// The type of its data, such as `video frame`, `audio buffer`, `scalar`.
    pub data_type: String,
}

/// What a subgraph delivers: an output of the node that stands for it.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
#[require(PassThrough)]
pub struct SubgraphOutput {
    /// The output's name; empty for the name of this node.
    pub name: String,
    /// The type of its data, such as `video frame`, `audio buffer`, `scalar`.
    pub data_type: String,
}

/// The pin of the nodes of a subgraph's interface.
pub const INTERFACE_PIN: &str = "value";

macro_rules! interface {
    ($kind:ident, $display:literal, $pin:ident) => {
        impl Default for $kind {
            fn default() -> Self {
                Self { name: String::new(), data_type: DataType::VIDEO_FRAME.name().to_owned() }
            }
        }

        impl NodeKind for $kind {
            const DISPLAY_NAME: &'static str = $display;
            const CATEGORY: &'static str = "Graph";
            fn pins(&self) -> Vec<PinSpec> {
                vec![PinSpec::$pin(INTERFACE_PIN, DataType::from_name(self.data_type.clone()))]
            }
        }
    };
}

interface!(SubgraphInput, "Subgraph input", output);
interface!(SubgraphOutput, "Subgraph output", input);

/// On a [`Subgraph`] node: values that are this node's own, by the name of a parameter of the graph or by the setting in it.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct SubgraphValues(pub Vec<Setting>);

pub(super) fn register(app: &mut App) {
    app.register_node::<Subgraph>().register_node::<SubgraphInput>().register_node::<SubgraphOutput>().add_systems(
        Update,
        show_how_the_inside_fares.run_if(any_with_component::<Subgraph>).in_set(StudioSystems::Report).after(apply_reports),
    );
}

/// Has a node that stands for a graph show how the nodes in it fare: a failure of any of them, or else that they run.
fn show_how_the_inside_fares(
    nodes: Query<(&InBlueprint, &Name, &NodeStatus), Without<Subgraph>>,
    mut subgraphs: Query<(Entity, &mut NodeStatus, &Name, Option<&InBlueprint>), With<Subgraph>>,
) {
    let mut fares: HashMap<Entity, NodeStatus> = HashMap::default();
    for (inside, name, status) in &nodes {
        let (mut inside, mut way) = (inside.0, name.to_string());
        // Through every graph around it, the innermost first.
        while let Ok((subgraph, _, name, around)) = subgraphs.get(inside) {
            let shown = fares.entry(subgraph).or_default();
            match (&mut *shown, status) {
                (NodeStatus::Failed { .. }, _) | (_, NodeStatus::Idle) | (NodeStatus::Running { .. }, NodeStatus::Ended) => {}
                (_, NodeStatus::Failed { error, attempts, retry_at }) => {
                    let error = format!("{way}: {error}");
                    *shown = NodeStatus::Failed { error, attempts: *attempts, retry_at: *retry_at };
                }
                (NodeStatus::Running { frames: most }, NodeStatus::Running { frames }) => *most = (*most).max(*frames),
                (NodeStatus::Idle | NodeStatus::Ended, _) => *shown = status.clone(),
            }
            way = format!("{name}/{way}");
            let Some(around) = around else { break };
            inside = around.0;
        }
    }
    for (subgraph, mut status, ..) in &mut subgraphs {
        status.set_if_neq(fares.remove(&subgraph).unwrap_or_default());
    }
}

/// What tells graphs apart: the file, none for the blueprint's own, and the name in it.
pub(super) type Key = (Option<PathBuf>, String);

/// What the names in a graph go by.
#[derive(Clone, Default)]
pub(super) struct Scope {
    /// The file as messages name it; none for the blueprint's own.
    pub(super) file: Option<Arc<Path>>,
    /// The same file as the system names it.
    canonical: Option<PathBuf>,
    /// The folder at which relative paths start.
    pub(super) base: Option<PathBuf>,
    /// Where that folder lies in the asset folder: empty, or with a slash at its end.
    pub(super) assets: String,
    /// The subgraphs of the file.
    definitions: Arc<[BlueprintSubgraph]>,
}

impl Scope {
    pub(super) fn top(blueprint: &Blueprint, base: Option<&Path>) -> Self {
        Self { base: base.map(Path::to_owned), definitions: blueprint.subgraphs.clone().into(), ..default() }
    }

    /// An asset's path as the asset server takes it. A path that begins with a slash starts at the asset folder, unless it
    /// leads to a file of the system.
    pub(super) fn asset(&self, path: &str) -> String {
        match path.strip_prefix('/') {
            Some(_) if Path::new(path).exists() => path.to_owned(),
            Some(rooted) => rooted.to_owned(),
            None if path.contains("://") => path.to_owned(),
            None => format!("{}{path}", self.assets),
        }
    }
}

/// A graph that nodes stand for.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) key: Key,
    pub(super) label: String,
    pub(super) graph: Arc<Blueprint>,
    pub(super) index: Arc<Index>,
    pub(super) scope: Scope,
}

/// Why there is no graph for a node to stand for.
#[derive(Clone)]
pub(super) enum Fault {
    /// The node names nothing.
    Unnamed,
    /// There is no such file.
    NotThere(PathBuf),
    /// The file cannot be read.
    Unreadable(PathBuf, String),
    /// The file has faults.
    Faulty(PathBuf, Vec<Problem>),
    /// The file defines no such subgraph.
    NoDefinition(String, Option<String>),
}

/// When a file was changed last; none if it is not there.
pub(super) fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|about| about.modified()).ok()
}

/// The graphs that nodes stand for; every file is read once.
#[derive(Default)]
pub(super) struct Library {
    files: HashMap<PathBuf, Result<Definition, Fault>>,
    modified: HashMap<PathBuf, Option<SystemTime>>,
    definitions: HashMap<Key, Definition>,
    bytes: usize,
}

impl Library {
    /// The most bytes that a blueprint's files may have together.
    const MAX_BYTES: usize = 4 * Blueprint::MAX_BYTES;
    /// The most files.
    const MAX_FILES: usize = 1000;

    /// The files that were read or looked for, and when each had been changed last, if it was there.
    pub(super) fn files(&self) -> Vec<(PathBuf, Option<SystemTime>)> {
        let mut files: Vec<_> = self.modified.iter().map(|(file, modified)| (file.clone(), *modified)).collect();
        files.sort_unstable();
        files
    }

    /// The graph that a node stands for.
    pub(super) fn find(&mut self, node: &Subgraph, scope: &Scope) -> Result<Definition, Fault> {
        let whole = (!node.file.is_empty()).then(|| self.file(Path::new(&node.file), scope)).transpose()?;
        let name = &node.definition;
        let scope = match whole {
            Some(whole) if name.is_empty() => return Ok(whole),
            Some(whole) => whole.scope,
            None if name.is_empty() => return Err(Fault::Unnamed),
            None => scope.clone(),
        };
        let key = (scope.canonical.clone(), name.clone());
        if let Some(definition) = self.definitions.get(&key) {
            return Ok(definition.clone());
        }
        let Some(found) = scope.definitions.iter().find(|definition| definition.name == *name) else {
            let like = most_like(name, scope.definitions.iter().map(|definition| definition.name.as_str()));
            return Err(Fault::NoDefinition(name.clone(), like.map(str::to_owned)));
        };
        let (index, graph) = (Arc::new(Index::of(&found.graph)), Arc::new(found.graph.clone()));
        let definition = Definition { key: key.clone(), label: name.clone(), graph, index, scope };
        self.definitions.insert(key, definition.clone());
        Ok(definition)
    }

    fn file(&mut self, path: &Path, scope: &Scope) -> Result<Definition, Fault> {
        // One file by two ways is one file: otherwise a circle of files would not be seen.
        let canonical = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(known) = self.files.get(&canonical) {
            return known.clone();
        }
        // Before it is read: what is written meanwhile is seen as a change.
        self.modified.insert(canonical.clone(), modified(&canonical));
        let loaded = self.load(path, &canonical, scope);
        self.files.insert(canonical, loaded.clone());
        loaded
    }

    fn load(&mut self, path: &Path, canonical: &Path, scope: &Scope) -> Result<Definition, Fault> {
        let unreadable = |reason: String| Fault::Unreadable(path.to_owned(), reason);
        let Ok(about) = path.metadata() else { return Err(Fault::NotThere(path.to_owned())) };
        if !about.is_file() {
            return Err(unreadable("it is no file".to_owned()));
        }
        if self.files.len() >= Self::MAX_FILES {
            return Err(unreadable(format!("a blueprint may be made of {} files at most", Self::MAX_FILES)));
        }
        let left = Self::MAX_BYTES.saturating_sub(self.bytes).min(Blueprint::MAX_BYTES);
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
        file.take(left as u64 + 1).read_to_string(&mut text).map_err(|error| unreadable(error.to_string()))?;
        self.bytes += text.len();
        if text.len() > left {
            return Err(unreadable(format!(
                "a blueprint's file may have {} bytes at most, and all its files together {}",
                Blueprint::MAX_BYTES,
                Self::MAX_BYTES
            )));
        }
        let (blueprint, mut problems) = read(&text);
        let file: Arc<Path> = path.into();
        if has_errors(&problems) {
            problems.iter_mut().for_each(|problem| problem.file = Some(file.clone()));
            return Err(Fault::Faulty(path.to_owned(), problems));
        }
        let base = path.parent().map(Path::to_owned);
        let inner = base.as_deref().zip(scope.base.as_deref()).and_then(|(base, around)| base.strip_prefix(around).ok());
        let assets = match inner {
            Some(inner) if !inner.as_os_str().is_empty() => format!("{}{}/", scope.assets, inner.display()),
            _ => scope.assets.clone(),
        };
        let definitions = blueprint.subgraphs.clone().into();
        let scope = Scope { file: Some(file), canonical: Some(canonical.to_owned()), base, assets, definitions };
        let label = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (index, key) = (Arc::new(Index::of(&blueprint)), (Some(canonical.to_owned()), String::new()));
        Ok(Definition { key, label, graph: Arc::new(blueprint), index, scope })
    }
}
