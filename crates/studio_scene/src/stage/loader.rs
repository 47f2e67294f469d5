//! From files to a stage.

use super::{
    asset::UsdStage,
    contents::StageContents,
    live,
    message::UsdChange,
    prepare::make_contents,
    settings::UsdLoadSettings,
    source::{AssetLayers, ClosedOnDrop},
    surface::SurfaceMaker,
};
use bevy::{
    asset::{
        AssetLoader, AssetPath, AssetServer, LoadContext,
        io::{AssetSourceId, Reader},
    },
    prelude::*,
    tasks::block_on,
};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use studio_usd::{
    extract::{ExtractOptions, Extracted},
    host::{ConflictPolicy, DiffConflict, StageHost},
    open::{Issue, IssueSeverity, UsdError},
    snapshot::StageSnapshot,
};

/// Loads `.usd`, `.usda`, `.usdc` and `.usdz` files as [`UsdStage`], with [`UsdLoadSettings`].
///
/// Files are read from the asset source that the root layer is in, and nothing outside of it. Composition, meshes and textures are made on
/// threads of their own. A file that is refused fails the load; what else is wrong is in [`UsdStage::issues`].
#[derive(TypePath)]
pub struct UsdStageLoader {
    assets: AssetServer,
    /// The folder of the default asset source.
    folder: Option<PathBuf>,
    loaded: LoadedStages,
    /// The files that each stage is loaded again for.
    dependencies: Mutex<HashMap<AssetPath<'static>, HashSet<AssetPath<'static>>>>,
}

/// Why a stage was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UsdLoadError {
    /// A file was refused.
    #[error(transparent)]
    Usd(#[from] UsdError),
    /// The root layer could not be read.
    #[error("{path}: {error}")]
    Read {
        /// The asset.
        path: String,
        /// What the asset source says.
        error: std::io::Error,
    },
    /// A layer that was good when the stage was loaded first is not any more.
    #[error("{0}; the stage stays as it was")]
    LayerBroke(String),
    /// There is no thread for it.
    #[error("{path}: cannot start a thread: {error}")]
    Thread {
        /// The asset.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Loading panicked.
    #[error("{path}: loading failed; please report it with the file")]
    Panicked {
        /// The asset.
        path: String,
    },
}

impl UsdStageLoader {
    /// A loader; `folder` is the folder of the default asset source, if it is one.
    pub(super) fn new(assets: AssetServer, folder: Option<PathBuf>, loaded: LoadedStages) -> Self {
        Self { assets, folder, loaded, dependencies: Mutex::default() }
    }

    /// Whether a stage may be loaded again for a file, and notes that it is. Bevy follows such dependencies without looking for circles,
    /// which there are where stages refer to each other.
    fn may_depend(&self, stage: &AssetPath<'static>, file: &AssetPath<'static>) -> bool {
        let mut dependencies = self.dependencies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = HashSet::new();
        let mut open = vec![file];
        while let Some(next) = open.pop() {
            if next == stage {
                return false;
            }
            if seen.insert(next) {
                open.extend(dependencies.get(next).into_iter().flatten());
            }
        }
        dependencies.entry(stage.clone()).or_default().insert(file.clone());
        true
    }
}

/// Stages that are there, for what can be taken over when they are loaded again.
#[derive(Resource, Clone, Default)]
pub(super) struct LoadedStages(Arc<Mutex<HashMap<AssetPath<'static>, Weak<StageContents>>>>);

impl LoadedStages {
    fn previous(&self, path: &AssetPath<'static>) -> Option<Arc<StageContents>> {
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, contents| contents.strong_count() > 0);
        loaded.get(path).and_then(Weak::upgrade)
    }

    /// Notes what a stage is now.
    pub(super) fn note(&self, path: AssetPath<'static>, contents: &Arc<StageContents>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path, Arc::downgrade(contents));
    }
}

impl AssetLoader for UsdStageLoader {
    type Asset = UsdStage;
    type Settings = UsdLoadSettings;
    type Error = UsdLoadError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        settings: &UsdLoadSettings,
        context: &mut LoadContext<'_>,
    ) -> Result<UsdStage, UsdLoadError> {
        let path = context.path().clone_owned();
        let previous = self.loaded.previous(&path);
        let folder = self.folder.clone().filter(|_| *path.source() == AssetSourceId::Default);
        let (layers, root) = AssetLayers::new(self.assets.clone(), &path, folder, settings.budget.max_file_bytes);
        let layers = Arc::new(layers);
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes).await;
        read.map_err(|error| UsdLoadError::Read { path: path.to_string(), error })?;
        self.dependencies.lock().unwrap_or_else(PoisonError::into_inner).remove(&path);
        let opening = Opening {
            assets: self.assets.clone(),
            layers: layers.clone(),
            root: root.clone(),
            settings: settings.clone(),
            previous,
        };
        let named = path.to_string();
        let thread = std::thread::Builder::new().name("usd load".to_owned()).spawn(move || {
            let layers = opening.layers.clone();
            let _closing = ClosedOnDrop(&layers);
            opening.open()
        });
        let thread = thread.map_err(|error| UsdLoadError::Thread { path: named.clone(), error })?;
        layers.serve(context, (&root, bytes), |file| self.may_depend(&path, file)).await;
        let (host, contents) = thread.join().map_err(|_| UsdLoadError::Panicked { path: named.clone() })??;
        let contents = Arc::new(contents);
        for issue in contents.issues.iter().filter(|issue| issue.severity != IssueSeverity::Note).take(MOST_LOGGED) {
            warn!("{named}: {}", in_words(issue));
        }
        if contents.issues.len() > MOST_LOGGED {
            warn!("{named}: {} issues in all; see UsdStage::issues", contents.issues.len());
        }
        self.loaded.note(path, &contents);
        Ok(UsdStage { contents, host })
    }

    fn extensions(&self) -> &[&str] {
        &["usd", "usda", "usdc", "usdz"]
    }
}

/// Issues of one stage that are logged one by one.
const MOST_LOGGED: usize = 20;

/// An issue in one line.
pub(super) fn in_words(issue: &Issue) -> String {
    let line = issue.line.map(|line| format!(":{line}")).unwrap_or_default();
    let prim = if issue.prim.is_empty() { String::new() } else { format!(": {}", issue.prim) };
    format!("{}{line}{prim}: {}", issue.layer, issue.message)
}

struct Opening {
    assets: AssetServer,
    layers: Arc<AssetLayers>,
    root: String,
    settings: UsdLoadSettings,
    previous: Option<Arc<StageContents>>,
}

impl Opening {
    fn open(self) -> Result<(Arc<StageHost>, StageContents), UsdLoadError> {
        let Self { assets, layers, root, settings, previous } = self;
        let host = Arc::new(StageHost::open(layers, &root, &settings.open_options())?);
        let choices = previous.as_ref().map(|previous| previous.choices.clone()).unwrap_or_default();
        let mut kept = Vec::with_capacity(choices.len());
        for choice in choices {
            // What was chosen may be gone from the layers; then it is no longer chosen.
            match live::apply(&host, &choice) {
                Ok(()) => kept.push(choice),
                Err(error) => warn!("{root}: {error}"),
            }
        }
        if let Some(old) = previous.as_ref().and_then(|previous| previous.host.upgrade()) {
            keep_edits(&old, &host);
        }
        let taken = extract(&host)?;
        if let Some(previous) = &previous {
            refuse_broken(&taken.issues, &previous.issues)?;
        }
        let contents = make(&assets, &host, taken, settings, kept, previous);
        Ok((host, contents))
    }
}

/// Makes the edits of a stage that was loaded before in the one that takes its place. Where a file says something else now of what was edited,
/// the file wins.
fn keep_edits(old: &StageHost, new: &StageHost) {
    let kept = old.diff_since(0).and_then(|diff| {
        if diff.is_empty() { Ok(Vec::new()) } else { new.apply(&diff, ConflictPolicy::Ours).map(|outcome| outcome.conflicts) }
    });
    match kept {
        Ok(conflicts) => {
            for DiffConflict { layer, path, .. } in conflicts.iter().take(MOST_LOGGED) {
                warn!("{layer}: {path}: it was edited here and in the file; the file's opinion holds");
            }
        }
        Err(error) => warn!("{}: what was edited since it was loaded is lost: {error}", new.root()),
    }
}

/// A stage, taken apart.
pub(super) struct Taken {
    pub snapshot: StageSnapshot,
    pub issues: Vec<Issue>,
    /// The live stage's revision, or an earlier one.
    pub revision: u64,
}

/// Makes what is shown of a stage as it is now. Blocks until it is made.
pub(super) fn make(
    assets: &AssetServer,
    host: &Arc<StageHost>,
    taken: Taken,
    settings: UsdLoadSettings,
    choices: Vec<UsdChange>,
    previous: Option<Arc<StageContents>>,
) -> StageContents {
    let files = host.files();
    let read = move |identifier: &str| files.read(identifier).map_err(|error| error.to_string());
    let surfaces = SurfaceMaker::new(assets.clone(), Arc::new(read), settings.budget.max_texture_bytes, previous.as_deref());
    block_on(make_contents(taken, Arc::downgrade(host), settings, choices, previous, surfaces))
}

/// The stage as plain data, with all that is wrong with it.
pub(super) fn extract(host: &StageHost) -> Result<Taken, UsdError> {
    // What is edited meanwhile is looked at again.
    let revision = host.revision();
    let Extracted { snapshot, issues } = host.extract(&ExtractOptions::default())?;
    let mut all = host.report()?.issues;
    all.extend(issues);
    Ok(Taken { snapshot, issues: all, revision })
}

/// Refuses a stage in which a layer broke since it was loaded last.
fn refuse_broken(now: &[Issue], before: &[Issue]) -> Result<(), UsdLoadError> {
    let broke = now.iter().find(|issue| {
        issue.severity == IssueSeverity::Error
            && !before.iter().any(|before| before.severity == IssueSeverity::Error && before.layer == issue.layer)
    });
    broke.map_or(Ok(()), |issue| Err(UsdLoadError::LayerBroke(in_words(issue))))
}
