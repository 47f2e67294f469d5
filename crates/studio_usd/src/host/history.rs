//! What was changed, how it is taken back, and what it is called.

use super::StageChange;
use crate::open::is_list_of_specs;
use openusd::{
    sdf::{self, ChangeFlags, SpecType},
    usd::{CommittedChange, Edit, FieldValue, PendingChange, Stage, StageSink},
};
use std::{
    cell::RefCell,
    collections::{BTreeSet, VecDeque},
    rc::Rc,
};

/// Changes that can be taken back.
const DEPTH: usize = 256;

/// The edits of one layer.
#[derive(Clone, Debug)]
pub(super) struct LayerEdits {
    pub(super) layer: String,
    pub(super) edits: Vec<Edit>,
}

/// A change that was made.
#[derive(Clone, Debug, Default)]
pub(super) struct Done {
    /// What takes it back, in the order it was made.
    pub(super) inverse: Vec<LayerEdits>,
    pub(super) change: StageChange,
    /// Whether something of it could not be read, so that it cannot be taken back.
    pub(super) is_final: bool,
}

/// Writes down what happens to a stage.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    current: Rc<RefCell<Current>>,
}

#[derive(Default)]
struct Current {
    done: Done,
    paths: BTreeSet<String>,
    resynced: BTreeSet<String>,
    layers: BTreeSet<String>,
}

impl Recorder {
    /// What happened since this was asked last.
    pub(super) fn take(&self) -> Done {
        let Current { mut done, paths, resynced, layers } = std::mem::take(&mut *self.current.borrow_mut());
        done.change.paths = paths.into_iter().collect();
        done.change.resynced = resynced.into_iter().collect();
        done.change.layers = layers.into_iter().collect();
        done
    }
}

impl StageSink for Recorder {
    fn before_commit(&self, _stage: &Stage, change: &PendingChange<'_>) {
        let mut current = self.current.borrow_mut();
        match inverse(change) {
            Some(edits) if edits.is_empty() => {}
            Some(edits) => current.done.inverse.push(LayerEdits { layer: change.layer_identifier.to_owned(), edits }),
            None => current.done.is_final = true,
        }
    }

    fn after_commit(&self, _stage: &Stage, change: &CommittedChange<'_>) {
        let mut current = self.current.borrow_mut();
        current.resynced.extend(change.resynced.iter().map(|path| path.as_str().to_owned()));
        current.paths.extend(change.changed_info_only.iter().map(|path| path.as_str().to_owned()));
        current.layers.extend(change.layer_changes.iter().map(|(layer, _)| layer.clone()));
    }

    fn layer_muting_changed(&self, _stage: &Stage, layer: &str, _muted: bool) {
        let mut current = self.current.borrow_mut();
        current.layers.insert(layer.to_owned());
        current.resynced.insert("/".to_owned());
    }

    fn load_rules_changed(&self, _stage: &Stage, resynced: &[sdf::Path]) {
        self.current.borrow_mut().resynced.extend(resynced.iter().map(|path| path.as_str().to_owned()));
    }
}

/// What takes an edit back, read while what was before is still there. `None` if it cannot be read.
fn inverse(change: &PendingChange<'_>) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    for (path, entry) in change.change_list.entries() {
        if entry.is_child_bookkeeping() {
            continue;
        }
        let before = change.base.spec_type(path);
        if entry.flags.intersects(ChangeFlags::ADD) {
            edits.push(match before {
                Some(kind) => create(change.base, path, kind)?,
                None => Edit::RemoveSpec { path: path.clone() },
            });
        } else if entry.flags.intersects(ChangeFlags::REMOVE) {
            if let Some(kind) = before {
                edits.push(create(change.base, path, kind)?);
            }
        } else if let Some(kind) = before {
            for field in entry.authored_fields() {
                edits.push(set_or_erase(change.base, path, kind, field.as_str())?);
            }
        }
    }
    // What is above comes before what is below it.
    edits.sort_by(|a, b| a.path().cmp(b.path()));
    Some(edits)
}

fn create(data: &dyn sdf::AbstractData, path: &sdf::Path, spec_type: SpecType) -> Option<Edit> {
    let names = data.list_fields(path).unwrap_or_default();
    let mut fields = Vec::with_capacity(names.len());
    for name in names.into_iter().filter(|name| !is_list_of_specs(name)) {
        if let Some(value) = data.try_field(path, &name).ok()? {
            fields.push(FieldValue { field: name.as_str().into(), value: value.into_owned() });
        }
    }
    Some(Edit::Create { path: path.clone(), spec_type, fields })
}

fn set_or_erase(data: &dyn sdf::AbstractData, path: &sdf::Path, spec_type: SpecType, field: &str) -> Option<Edit> {
    Some(match data.try_field(path, field).ok()? {
        Some(value) => Edit::SetField { path: path.clone(), spec_type, field: field.into(), value: value.into_owned() },
        None => Edit::EraseField { path: path.clone(), field: field.into() },
    })
}

/// The changes of a stage.
#[derive(Default)]
pub(super) struct History {
    pub(super) undo: VecDeque<Done>,
    pub(super) redo: Vec<Done>,
}

impl History {
    /// A change was made that nobody asked to take back.
    pub(super) fn push(&mut self, done: Done) {
        self.redo.clear();
        self.push_undo(done);
    }

    pub(super) fn push_undo(&mut self, done: Done) {
        if done.is_final {
            // What came before is of no use without it.
            self.clear();
            return;
        }
        if done.inverse.is_empty() {
            return;
        }
        self.undo.push_back(done);
        if self.undo.len() > DEPTH {
            self.undo.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.undo.clear();
        self.redo.clear();
    }
}
