//! The stage on its thread.

use super::{
    EditLayer, ReloadOutcome, StageChange, StageEdit,
    diff::{Touch, touches},
    history::{Done, History, LayerEdits, Recorder},
    in_place::arc_sources,
};
use crate::{
    extract::{ExtractOptions, Extracted, extract},
    open::{
        LayerStore, OpenOptions, OpenReport, Payloads, SESSION_LAYER, UsdError, extension, open_with, prim_path, report, walk,
    },
    write::{LayerFormat, to_bytes, to_text},
};
use openusd::{
    pcp, sdf,
    usd::{ApplyMode, Diff, EditTarget, LoadPolicy, NamespaceEditor, Stage},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
    time::Instant,
};

/// Changes that can be sent to others.
pub(super) const JOURNAL: usize = 4096;

/// A live stage.
pub(super) struct Live {
    pub(super) stage: Stage,
    pub(super) store: Arc<LayerStore>,
    options: OpenOptions,
    report: OpenReport,
    recorder: Recorder,
    history: History,
    /// Changes for others, with their revisions.
    pub(super) journal: VecDeque<(u64, Vec<Touch>)>,
    pub(super) revision: u64,
    /// Layers with edits that are not saved.
    pub(super) unsaved: BTreeSet<String>,
    told: StageChange,
    /// Prims that arcs bring in elsewhere, once they were looked for.
    arc_sources: Option<HashSet<String>>,
}

impl Live {
    pub(super) fn open(store: &Arc<LayerStore>, options: OpenOptions) -> Result<Self, UsdError> {
        let opened = open_with(store, &options)?;
        let recorder = Recorder::default();
        opened.stage.add_sink(recorder.clone());
        Ok(Self {
            stage: opened.stage,
            store: opened.store,
            options,
            report: opened.report,
            recorder,
            history: History::default(),
            journal: VecDeque::new(),
            revision: 0,
            unsaved: BTreeSet::new(),
            told: StageChange::default(),
            arc_sources: None,
        })
    }

    /// What is to be told of the last request.
    pub(super) fn take_told(&mut self) -> StageChange {
        std::mem::take(&mut self.told)
    }

    /// Within the time that a request has.
    pub(super) fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, UsdError>) -> Result<T, UsdError> {
        self.store.set_deadline(Some(Instant::now() + self.options.budget.open_time));
        let done = work(self);
        self.store.set_deadline(None);
        done
    }

    pub(super) fn extract(&mut self, options: &ExtractOptions) -> Result<Extracted, UsdError> {
        self.timed(|live| {
            let mut extracted = extract(&live.stage, options);
            extracted.snapshot.layers.retain(|layer| layer != SESSION_LAYER);
            Ok(extracted)
        })
    }

    pub(super) fn report(&mut self) -> Result<OpenReport, UsdError> {
        self.compose()?;
        Ok(self.report.clone())
    }

    /// Composes what has changed, and says what came of it.
    fn compose(&mut self) -> Result<(), UsdError> {
        self.timed(|live| {
            let prims = walk(&live.stage, &live.store)?;
            live.report = report(&live.stage, &live.store, prims)?;
            live.store.release();
            Ok(())
        })
    }

    pub(super) fn retry(&mut self) -> Result<OpenReport, UsdError> {
        self.reopen(|_| {})?;
        Ok(self.report.clone())
    }

    pub(super) fn layer_of(&self, layer: &EditLayer) -> String {
        match layer {
            EditLayer::Session => SESSION_LAYER.to_owned(),
            EditLayer::Root => self.store.root().to_owned(),
            EditLayer::Layer(layer) => layer.clone(),
        }
    }

    /// A change is made; it counts, can be taken back and is told.
    pub(super) fn finish(&mut self, is_undo: Option<bool>) -> StageChange {
        let mut done = self.recorder.take();
        if done.change.is_empty() {
            return StageChange { revision: self.revision, ..StageChange::default() };
        }
        self.revision += 1;
        done.change.revision = self.revision;
        if !done.change.resynced.is_empty() {
            self.arc_sources = None;
        }
        let stage = &self.stage;
        done.find_in_place(stage, self.arc_sources.get_or_insert_with(|| arc_sources(stage)));
        let edited = done.inverse.iter().map(|edits| edits.layer.clone());
        self.unsaved.extend(edited.filter(|layer| layer != SESSION_LAYER));
        self.journal.push_back((self.revision, touches(&done)));
        if self.journal.len() > JOURNAL {
            self.journal.pop_front();
        }
        let change = done.change.clone();
        match is_undo {
            None => self.history.push(done),
            Some(true) => self.history.redo.push(done),
            Some(false) => self.history.push_undo(done),
        }
        self.told.merge(change.clone());
        change
    }

    pub(super) fn edit(&mut self, layer: &EditLayer, edits: &[StageEdit]) -> Result<StageChange, UsdError> {
        edits.iter().try_for_each(StageEdit::check)?;
        let layer = self.layer_of(layer);
        if self.stage.layer(&layer).is_none() {
            return Err(UsdError::NotFound { layer });
        }
        let made = self.timed(|live| live.author(&layer, edits));
        if let Err(error) = made {
            self.roll_back();
            return Err(error);
        }
        Ok(self.finish(None))
    }

    /// Makes edits, one run after another: those in the layer itself together, moves by themselves.
    fn author(&mut self, layer: &str, edits: &[StageEdit]) -> Result<(), UsdError> {
        for run in edits.chunk_by(|a, b| !matches!(a, StageEdit::MovePrim { .. }) && !matches!(b, StageEdit::MovePrim { .. })) {
            if let [StageEdit::MovePrim { path, to }] = run {
                self.move_prim(layer, path, to)?;
                continue;
            }
            let mut at = "";
            let made = self.stage.batch_edit(&[layer], |batch| {
                let Some(layer) = batch.first_mut() else { return Ok(()) };
                run.iter().try_for_each(|edit| {
                    at = edit.path();
                    edit.author(layer)
                })
            });
            made.map_err(|error| UsdError::Edit { path: at.to_owned(), message: error.to_string() })?;
        }
        Ok(())
    }

    fn move_prim(&mut self, layer: &str, from: &str, to: &str) -> Result<(), UsdError> {
        let before = self.stage.edit_target();
        let fail = |message: String| UsdError::Edit { path: from.to_owned(), message };
        self.stage.set_edit_target(EditTarget::for_layer(layer)).map_err(|error| fail(error.to_string()))?;
        let mut editor = NamespaceEditor::new(&self.stage);
        let moved = editor.move_prim(from, to).apply().map_err(|error| fail(error.to_string()));
        self.stage.set_edit_target(before).map_err(|error| fail(error.to_string()))?;
        moved
    }

    /// Takes back what was made before something failed.
    fn roll_back(&mut self) {
        let done = self.recorder.take();
        for edits in done.inverse.iter().rev() {
            // What was just made can be taken back; if not, the layer says what it says.
            _ = self.replay(edits);
        }
        self.recorder.take();
    }

    pub(super) fn replay(&self, edits: &LayerEdits) -> Result<(), UsdError> {
        let diff = Diff { edits: edits.edits.clone(), mapping: None };
        let path = edits.edits.first().map(|edit| edit.path().as_str().to_owned()).unwrap_or_default();
        self.stage
            .apply_diff(&diff, ApplyMode::ExactLayer(&edits.layer))
            .map_err(|error| UsdError::Edit { path, message: error.to_string() })
    }

    /// Replays edits, all or none.
    fn replay_all<'e>(&mut self, edits: impl Iterator<Item = &'e LayerEdits>) -> Result<(), UsdError> {
        for edits in edits {
            if let Err(error) = self.replay(edits) {
                self.roll_back();
                return Err(error);
            }
        }
        Ok(())
    }

    pub(super) fn undo(&mut self) -> Result<Option<StageChange>, UsdError> {
        let Some(done) = self.history.undo.pop_back() else { return Ok(None) };
        if let Err(error) = self.replay_all(done.inverse.iter().rev()) {
            self.history.undo.push_back(done);
            return Err(error);
        }
        Ok(Some(self.finish(Some(true))))
    }

    pub(super) fn redo(&mut self) -> Result<Option<StageChange>, UsdError> {
        let Some(undone) = self.history.redo.pop() else { return Ok(None) };
        if let Err(error) = self.replay_all(undone.inverse.iter().rev()) {
            self.history.redo.push(undone);
            return Err(error);
        }
        Ok(Some(self.finish(Some(false))))
    }

    /// Applies edits from elsewhere as one change.
    pub(super) fn replay_change(&mut self, edits: &[LayerEdits]) -> Result<StageChange, UsdError> {
        self.replay_all(edits.iter())?;
        Ok(self.finish(None))
    }

    /// A change that is no edit: told, but not taken back by undo.
    fn finish_other(&mut self) {
        let Done { mut change, .. } = self.recorder.take();
        self.arc_sources = None;
        if !change.is_empty() {
            self.revision += 1;
            change.revision = self.revision;
            self.told.merge(change);
        }
    }

    pub(super) fn load(&mut self, prim: &str, is_loaded: bool) -> Result<(), UsdError> {
        let path = prim_path(prim)?;
        self.timed(|live| {
            if is_loaded {
                live.stage.load(path, LoadPolicy::WithDescendants)
            } else {
                live.stage.unload(path)
            }
            Ok(())
        })?;
        self.finish_other();
        self.compose()
    }

    pub(super) fn set_payloads(&mut self, payloads: Payloads) -> Result<(), UsdError> {
        let paths = match &payloads {
            Payloads::Of(paths) => paths.iter().map(|path| prim_path(path)).collect::<Result<Vec<_>, _>>()?,
            Payloads::All | Payloads::None => Vec::new(),
        };
        self.stage.set_load_rules(if payloads == Payloads::All { pcp::LoadRules::all() } else { pcp::LoadRules::none() });
        if !paths.is_empty() {
            self.stage
                .load_and_unload(paths.into_iter().map(|path| (path, LoadPolicy::WithDescendants)), Vec::<sdf::Path>::new());
        }
        self.options.load_payloads = payloads;
        self.finish_other();
        self.compose()
    }

    pub(super) fn mute(&mut self, layer: &str, is_muted: bool) -> Result<(), UsdError> {
        if layer == self.store.root() {
            return Err(UsdError::Edit {
                path: layer.to_owned(),
                message: "the root layer cannot be muted; open another".into(),
            });
        }
        let whole = LayerStore::whole(layer);
        if is_muted {
            self.stage.mute_layer(whole)
        } else {
            self.stage.unmute_layer(&whole)
        }
        self.options.muted_layers.retain(|muted| muted != layer);
        if is_muted {
            self.options.muted_layers.push(layer.to_owned());
        }
        self.finish_other();
        self.compose()
    }

    pub(super) fn export(&self, layer: &EditLayer) -> Result<String, UsdError> {
        let identifier = self.layer_of(layer);
        let Some(layer) = self.stage.layer(&identifier) else { return Err(UsdError::NotFound { layer: identifier }) };
        to_text(layer.data()).map_err(|error| UsdError::Compose { layer: identifier, message: error.to_string() })
    }

    /// A layer as its reader wants it, under the name that it is read by.
    fn overlay(&self, layer: &EditLayer) -> Result<(String, Arc<[u8]>), UsdError> {
        let identifier = self.layer_of(layer);
        let Some(layer) = self.stage.layer(&identifier) else { return Err(UsdError::NotFound { layer: identifier }) };
        // A package goes by its first layer.
        let read_by = self.store.layer_of(&identifier)?.unwrap_or_else(|| identifier.clone());
        let format = if extension(&read_by).eq_ignore_ascii_case("usdc") { LayerFormat::Usdc } else { LayerFormat::Usda };
        let bytes = to_bytes(layer.data(), format)
            .map_err(|error| UsdError::Compose { layer: identifier, message: error.to_string() })?;
        Ok((read_by, bytes.into()))
    }

    pub(super) fn unsaved(&self) -> Vec<String> {
        self.unsaved.iter().cloned().collect()
    }

    /// Opens the stage anew with other options, and with everything that is not saved. If that fails the stage is as before.
    pub(super) fn reopen(&mut self, change: impl FnOnce(&mut OpenOptions)) -> Result<(), UsdError> {
        self.reopen_with(change, &BTreeMap::new()).map(drop)
    }

    fn reopen_with(
        &mut self,
        change: impl FnOnce(&mut OpenOptions),
        replaced: &BTreeMap<String, Option<Arc<[u8]>>>,
    ) -> Result<(), UsdError> {
        let mut options = self.options.clone();
        change(&mut options);
        // Chosen when the stage was opened; by now in the session layer.
        let variants = std::mem::take(&mut options.variants);
        let store = Arc::new(LayerStore::new(self.store.source().clone(), self.store.root(), options.budget.clone()));
        let kept =
            self.unsaved.iter().filter(|layer| !replaced.contains_key(*layer)).map(|layer| EditLayer::Layer(layer.clone()));
        for layer in kept.chain([EditLayer::Session]) {
            let (identifier, bytes) = self.overlay(&layer)?;
            store.set_overlay(&identifier, Some(bytes));
        }
        for (layer, bytes) in replaced {
            store.set_overlay(layer, bytes.clone());
        }
        let rules = self.stage.load_rules();
        let opened = open_with(&store, &options)?;
        if rules != opened.stage.load_rules() {
            opened.stage.set_load_rules(rules);
        }
        options.variants = variants;
        self.recorder.take();
        opened.stage.add_sink(self.recorder.clone());
        self.stage = opened.stage;
        self.store = opened.store;
        self.report = opened.report;
        self.options = options;
        self.history.clear();
        self.arc_sources = None;
        self.revision += 1;
        let layers = replaced.keys().cloned().collect();
        self.told.merge(StageChange { revision: self.revision, resynced: vec!["/".into()], layers, ..StageChange::default() });
        self.compose()
    }

    pub(super) fn reload(&mut self, layers: BTreeMap<String, Option<Arc<[u8]>>>) -> Result<ReloadOutcome, UsdError> {
        let dropped_edits: Vec<String> = self.unsaved.iter().filter(|layer| layers.contains_key(*layer)).cloned().collect();
        self.reopen_with(|_| {}, &layers)?;
        for layer in layers.keys() {
            self.unsaved.remove(layer);
        }
        Ok(ReloadOutcome { change: self.told.clone(), dropped_edits, report: self.report.clone() })
    }
}
