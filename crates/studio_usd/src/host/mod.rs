//! The thread that a live stage stays on, and what can be asked of it.
//!
//! A [`StageHost`] may be shared and called from any thread; each request is done on the stage's own thread, one after another, and waited for.
//! A request on which the composer panics fails with [`UsdError::Panicked`], one that takes longer than
//! [`Budget::open_time`](crate::open::Budget::open_time) with [`UsdError::TimedOut`]; in both cases the stage is given up and every later
//! request says [`UsdError::HostGone`]. Nothing waits for ever.
//!
//! Edits go to the session layer, the root layer or any other, several as one change ([`StageHost::edit`]). What changed is told in
//! [`StageChange`]s and can be undone, and sent as a [`StageDiff`] to another process that has the same layers open.
//!
//! # When a layer changes on disk
//!
//! [`StageHost::reload`] reads layers again. The rule: the file wins over unsaved edits of the *same* layer, which are dropped and named in the
//! outcome; unsaved edits of all other layers stay, the session layer's with them. Edits before a reload cannot be undone after it.

mod convert;
mod diff;
mod edit;
mod history;
mod in_place;
mod live;
mod save;
mod transform;
mod value;
mod values;

pub use diff::{ConflictPolicy, DiffConflict, DiffOutcome, StageDiff};
pub use edit::{EditLayer, StageEdit};
pub use transform::{Move, Moved};
pub use value::{ArcTarget, ListEdit, Number, StageValue};

use crate::{
    extract::{ExtractOptions, Extracted},
    open::{LayerSource, LayerStore, OpenOptions, OpenReport, Payloads, UsdError, VariantChoice, catch, store_for},
};
use live::Live;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

/// Requests that wait before the next caller has to wait too.
const QUEUE: usize = 64;
/// Changes that nobody has taken yet; above, the oldest are put together.
const CHANGES: usize = 256;

type Request = Box<dyn FnOnce(&mut Live) -> Result<(), UsdError> + Send>;

/// What changed on a stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StageChange {
    /// Counts the changes of a stage, from 1.
    pub revision: u64,
    /// Prims and properties of which only values changed.
    pub paths: Vec<String>,
    /// Prims that were composed anew, with all below them. `/` stands for the whole stage.
    pub resynced: Vec<String>,
    /// The layers that were edited.
    pub layers: Vec<String>,
    /// Prims of which transforms were edited: see [`StageHost::transforms`].
    pub moved: Vec<String>,
    /// Prims of which visibility, or what a light or camera says of itself, was edited: see [`StageHost::values`].
    pub revalued: Vec<String>,
    /// Whether the prims in `moved` and `revalued` are all that have to be looked at again, for nothing else was edited.
    pub is_in_place: bool,
}

impl StageChange {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && self.resynced.is_empty() && self.layers.is_empty()
    }

    fn merge(&mut self, other: Self) {
        self.is_in_place = other.is_in_place && (self.is_in_place || self.is_empty());
        self.revision = self.revision.max(other.revision);
        for (ours, theirs) in [
            (&mut self.paths, other.paths),
            (&mut self.resynced, other.resynced),
            (&mut self.layers, other.layers),
            (&mut self.moved, other.moved),
            (&mut self.revalued, other.revalued),
        ] {
            ours.extend(theirs);
            ours.sort();
            ours.dedup();
        }
    }
}

/// What reading layers again brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// What changed.
    pub change: StageChange,
    /// Layers of which unsaved edits were dropped, for the file won.
    pub dropped_edits: Vec<String>,
    /// The report of the stage as it is now.
    pub report: OpenReport,
}

/// A live stage. It may be shared; dropping the last handle closes it.
#[derive(Debug)]
pub struct StageHost {
    requests: SyncSender<Request>,
    shared: Arc<Shared>,
}

struct Shared {
    store: Mutex<Arc<LayerStore>>,
    root: String,
    limit: Duration,
    gone: Mutex<Option<String>>,
    changes: Mutex<Vec<StageChange>>,
    revision: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Shared {
    fn store(&self) -> Arc<LayerStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn give_up(&self, reason: String) {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        self.store().stop();
    }

    fn gone(&self) -> UsdError {
        let reason = self.gone.lock().unwrap_or_else(PoisonError::into_inner).clone();
        UsdError::HostGone { layer: self.root.clone(), reason }
    }

    fn tell(&self, change: &StageChange) {
        if change.is_empty() {
            return;
        }
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = changes.len() >= CHANGES;
        match changes.last_mut() {
            Some(last) if is_full => last.merge(change.clone()),
            _ => changes.push(change.clone()),
        }
    }
}

/// The files of a stage: layers, packages and what is in them, textures.
#[derive(Clone)]
pub struct StageFiles {
    shared: Arc<Shared>,
}

impl StageFiles {
    /// The bytes of a file, or of a file in a package: `a.usdz[b.png]`. `None` if there is none.
    ///
    /// # Errors
    /// See [`LayerSource::read`].
    pub fn read(&self, identifier: &str) -> Result<Option<Arc<[u8]>>, UsdError> {
        self.shared.store().bytes(identifier)
    }
}

impl StageHost {
    /// Opens a stage on a thread of its own and composes all of it.
    ///
    /// The answer comes within [`Budget::open_time`](crate::open::Budget::open_time) whatever the file is. A thread that is late is told to stop
    /// and left to itself: it ends when it next reads a layer or comes to a prim.
    ///
    /// # Errors
    /// See [`open_stage`](crate::open::open_stage).
    pub fn open(source: Arc<dyn LayerSource>, root: &str, options: &OpenOptions) -> Result<Self, UsdError> {
        let store = store_for(source, root, options)?;
        let (requests, queue) = mpsc::sync_channel::<Request>(QUEUE);
        let (opened, is_open) = mpsc::sync_channel(1);
        let shared = Arc::new(Shared {
            root: store.root().to_owned(),
            limit: options.budget.open_time,
            store: Mutex::new(store.clone()),
            gone: Mutex::default(),
            changes: Mutex::default(),
            revision: AtomicU64::new(0),
        });
        let (of_thread, options) = (shared.clone(), options.clone());
        let thread = thread::Builder::new().name("usd stage".into()).stack_size(options.budget.stack_bytes);
        let spawned = thread.spawn(move || {
            let live = catch(&of_thread.root, || Live::open(&store, options));
            let mut live = match live {
                Ok(live) => live,
                Err(error) => {
                    // Nobody waits any more if it took too long.
                    _ = opened.send(Err(error));
                    return;
                }
            };
            if opened.send(Ok(())).is_err() {
                return;
            }
            while let Ok(request) = queue.recv() {
                if let Err(error) = request(&mut live) {
                    of_thread.give_up(error.to_string());
                    break;
                }
            }
            // What a panic left behind may panic again.
            let root = of_thread.root.clone();
            _ = catch(&root, move || {
                drop(live);
                Ok(())
            });
        });
        if let Err(error) = spawned {
            return Err(UsdError::Compose { layer: shared.root.clone(), message: format!("no thread can be started: {error}") });
        }
        match is_open.recv_timeout(shared.limit) {
            Ok(done) => done.map(|()| Self { requests, shared }),
            Err(RecvTimeoutError::Timeout) => {
                shared.store().stop();
                Err(UsdError::TimedOut { layer: shared.root.clone(), seconds: shared.limit.as_secs_f64() })
            }
            Err(RecvTimeoutError::Disconnected) => Err(shared.gone()),
        }
    }

    /// Does something with the live stage on its thread, and waits for it.
    fn request<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Live) -> Result<T, UsdError> + Send + 'static,
    ) -> Result<T, UsdError> {
        let (answer, answered) = mpsc::sync_channel(1);
        let root = self.shared.root.clone();
        let shared = self.shared.clone();
        let request: Request = Box::new(move |live| {
            let done = catch(&root, || work(live));
            shared.tell(&live.take_told());
            shared.revision.store(live.revision, Ordering::Release);
            let fatal = match &done {
                Err(error @ UsdError::Panicked { .. }) => Err(error.clone()),
                _ => Ok(()),
            };
            // Whoever asked may have given up.
            let _ = answer.send(done);
            fatal
        });
        self.requests.send(request).map_err(|_| self.shared.gone())?;
        match answered.recv_timeout(self.shared.limit) {
            Ok(done) => done,
            Err(RecvTimeoutError::Disconnected) => Err(self.shared.gone()),
            Err(RecvTimeoutError::Timeout) => {
                let error = UsdError::TimedOut { layer: self.shared.root.clone(), seconds: self.shared.limit.as_secs_f64() };
                self.shared.give_up(error.to_string());
                Err(error)
            }
        }
    }

    /// The identifier of the root layer.
    pub fn root(&self) -> &str {
        &self.shared.root
    }

    /// How often the stage has changed, as of the last request that was done. Does not wait for the stage.
    pub fn revision(&self) -> u64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    /// Whether the stage can still be asked.
    pub fn is_alive(&self) -> bool {
        self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// The stage's files.
    pub fn files(&self) -> StageFiles {
        StageFiles { shared: self.shared.clone() }
    }

    /// The changes since they were last taken, the oldest first. Does not wait for the stage.
    pub fn take_changes(&self) -> Vec<StageChange> {
        std::mem::take(&mut *self.shared.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The stage as plain data, as it is now.
    ///
    /// # Errors
    /// See the [module](self), as for all requests.
    pub fn extract(&self, options: &ExtractOptions) -> Result<Extracted, UsdError> {
        let options = options.clone();
        self.request(move |live| live.extract(&options))
    }

    /// What is wrong with the stage, and which layers take part, as it is now.
    ///
    /// # Errors
    /// [`UsdError::LayersPending`] if layers that are needed by now are still to be fetched: fetch them, then [`retry`](Self::retry).
    pub fn report(&self) -> Result<OpenReport, UsdError> {
        self.request(|live| live.report())
    }

    /// Composes again what layers were missing for, after they were fetched.
    ///
    /// # Errors
    /// See [`open_stage`](crate::open::open_stage).
    pub fn retry(&self) -> Result<OpenReport, UsdError> {
        self.request(Live::retry)
    }

    /// Chooses a variant, by an opinion in the session layer; an empty variant chooses none.
    ///
    /// # Errors
    /// [`UsdError::Edit`] for a path that is none.
    pub fn select_variant(&self, prim: &str, set: &str, variant: &str) -> Result<(), UsdError> {
        let choice = VariantChoice { prim: prim.to_owned(), set: set.to_owned(), variant: variant.to_owned() };
        self.edit(&EditLayer::Session, vec![StageEdit::SetVariant(choice)]).map(drop)
    }

    /// Loads the payloads of a prim, of what is above it and of all below it.
    ///
    /// # Errors
    /// [`UsdError::Edit`] for a path that is none.
    pub fn load(&self, prim: &str) -> Result<(), UsdError> {
        let prim = prim.to_owned();
        self.request(move |live| live.load(&prim, true))
    }

    /// Unloads the payloads of a prim and of all below it.
    ///
    /// # Errors
    /// [`UsdError::Edit`] for a path that is none.
    pub fn unload(&self, prim: &str) -> Result<(), UsdError> {
        let prim = prim.to_owned();
        self.request(move |live| live.load(&prim, false))
    }

    /// Limits the stage to these prims, with all above and below them; to none for no limit. The stage is opened again for that, with all edits.
    ///
    /// # Errors
    /// See [`open_stage`](crate::open::open_stage); the stage is as before then.
    pub fn set_mask(&self, prims: &[String]) -> Result<(), UsdError> {
        let prims = prims.to_vec();
        self.request(move |live| live.reopen(|options| options.mask = prims))
    }

    /// Mutes a layer, so that it takes no part, or unmutes it. The root layer cannot be muted.
    ///
    /// # Errors
    /// [`UsdError::Edit`] for the root layer.
    pub fn mute_layer(&self, layer: &str, is_muted: bool) -> Result<(), UsdError> {
        let layer = layer.to_owned();
        self.request(move |live| live.mute(&layer, is_muted))
    }

    /// Makes edits in a layer: all of them, as one change, or none.
    ///
    /// # Errors
    /// [`UsdError::Edit`] if one of them cannot be made; nothing is changed then.
    pub fn edit(&self, layer: &EditLayer, edits: Vec<StageEdit>) -> Result<StageChange, UsdError> {
        let layer = layer.clone();
        self.request(move |live| live.edit(&layer, &edits))
    }

    /// Takes the last change back. `None` if there is none.
    ///
    /// # Errors
    /// [`UsdError::Edit`] if it cannot be taken back; nothing is changed then.
    pub fn undo(&self) -> Result<Option<StageChange>, UsdError> {
        self.request(Live::undo)
    }

    /// Makes the change again that was taken back last. `None` if there is none.
    ///
    /// # Errors
    /// [`UsdError::Edit`] if it cannot be made; nothing is changed then.
    pub fn redo(&self) -> Result<Option<StageChange>, UsdError> {
        self.request(Live::redo)
    }

    /// What was edited after a revision, for another process that has the same layers open; from 0, all edits since the stage was opened.
    ///
    /// # Errors
    /// [`UsdError::Diff`] if the revision is too long ago.
    pub fn diff_since(&self, revision: u64) -> Result<StageDiff, UsdError> {
        self.request(move |live| live.diff_since(revision))
    }

    /// Applies what was edited elsewhere. Opinions that are the same already are left alone, so applying twice is applying once.
    ///
    /// # Errors
    /// [`UsdError::Diff`] if it is of another version, or of a stage with another root layer; [`UsdError::Edit`] if it cannot be applied. Nothing
    /// is changed then.
    pub fn apply(&self, diff: &StageDiff, policy: ConflictPolicy) -> Result<DiffOutcome, UsdError> {
        let diff = diff.clone();
        self.request(move |live| live.apply(&diff, policy))
    }

    /// A layer as text.
    ///
    /// # Errors
    /// [`UsdError::NotFound`] if the stage has no such layer.
    pub fn export_layer(&self, layer: &EditLayer) -> Result<String, UsdError> {
        let layer = layer.clone();
        self.request(move |live| live.export(&layer))
    }

    /// The layers with edits that are not saved, the session layer left out.
    ///
    /// # Errors
    /// As for all requests.
    pub fn unsaved_layers(&self) -> Result<Vec<String>, UsdError> {
        self.request(|live| Ok(live.unsaved()))
    }

    /// Saves all layers with unsaved edits over their files, each at once or not at all; returns what was saved.
    ///
    /// # Errors
    /// [`UsdError::Save`] for the first that cannot be saved: its file is as it was, and those before it are saved.
    pub fn save(&self) -> Result<Vec<String>, UsdError> {
        self.request(Live::save)
    }

    /// Saves a layer to another file, at once or not at all. The extension says the format: `.usda`, or `.usdc`.
    ///
    /// # Errors
    /// [`UsdError::Save`]; a file that was there is as it was.
    pub fn save_layer_as(&self, layer: &EditLayer, file: &Path) -> Result<(), UsdError> {
        let (layer, file) = (layer.clone(), file.to_owned());
        self.request(move |live| live.save_as(&layer, &file))
    }

    /// Reads layers again, after their files changed. See the [module](self) for what happens to unsaved edits.
    ///
    /// # Errors
    /// See [`open_stage`](crate::open::open_stage); the stage is as before then, so a file that is saved half-way does no harm.
    pub fn reload(&self, layers: &[String]) -> Result<ReloadOutcome, UsdError> {
        let layers = layers.iter().map(|layer| (layer.clone(), None)).collect();
        self.request(move |live| live.reload(layers))
    }

    /// As [`reload`](Self::reload), of one layer that has these bytes rather than those of its source.
    ///
    /// # Errors
    /// As for [`reload`](Self::reload).
    pub fn replace_layer(&self, layer: &str, bytes: impl Into<Arc<[u8]>>) -> Result<ReloadOutcome, UsdError> {
        let layers = BTreeMap::from([(layer.to_owned(), Some(bytes.into()))]);
        self.request(move |live| live.reload(layers))
    }

    /// Which payloads are loaded from now on, besides those asked for by path.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn set_payloads(&self, payloads: &Payloads) -> Result<(), UsdError> {
        let payloads = payloads.clone();
        self.request(move |live| live.set_payloads(payloads))
    }
}

#[cfg(test)]
mod tests;
