//! What was edited, as plain data that another process can apply to its own stage of the same layers.

use super::{
    StageChange, StageValue,
    history::{Done, LayerEdits, is_bookkeeping},
    live::{JOURNAL, Live},
};
use crate::open::UsdError;
use openusd::{
    sdf::{self, SpecType, Value},
    usd::{Edit, FieldValue},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{Hash as _, Hasher},
};

/// The version of the form; another one is not read.
const VERSION: u32 = 1;

/// What was edited: opinions of layers, as they are now. Made by [`StageHost::diff_since`](super::StageHost::diff_since).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageDiff {
    version: u32,
    root_layer: String,
    /// The revision that it leads to.
    revision: u64,
    edits: Vec<SpecEdit>,
}

/// An edit of a spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SpecEdit {
    layer: String,
    path: String,
    kind: u32,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum What {
    /// The spec is made, with these fields and no others.
    Create(BTreeMap<String, StageValue>),
    /// A field is set; `before` is a digest of what it was, 0 for nothing.
    Set { field: String, value: StageValue, before: u64 },
    /// A field is taken out.
    Erase { field: String, before: u64 },
    /// The spec is taken out, with all below it.
    Remove,
}

/// What to do where both sides edited the same opinion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictPolicy {
    /// The diff's opinion wins.
    #[default]
    Theirs,
    /// The opinion that is here stays.
    Ours,
}

/// An opinion that both sides edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffConflict {
    /// The layer.
    pub layer: String,
    /// The prim or property.
    pub path: String,
    /// The field; empty for the whole of it.
    pub field: String,
    /// What was done.
    pub message: String,
}

/// What came of applying a diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiffOutcome {
    /// What changed; empty if everything was as the diff says already.
    pub change: StageChange,
    /// Opinions that both sides edited.
    pub conflicts: Vec<DiffConflict>,
}

impl StageDiff {
    /// Whether nothing was edited.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    #[cfg(test)]
    pub(super) fn edits_len(&self) -> usize {
        self.edits.len()
    }

    /// The revision that it leads to, from which the next diff begins.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}

/// A digest of a value that is the same in every process; 0 for none.
fn digest(value: Option<&Value>) -> u64 {
    let Some(value) = value else { return 0 };
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    digest_into(value, &mut hasher);
    hasher.finish().max(1)
}

/// The hash of Fowler, Noll and Vo, FNV-1a with 64 bits: the standard library's may differ between programs.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

fn digest_into(value: &Value, hasher: &mut Fnv) {
    match value {
        Value::Dictionary(dictionary) => {
            for (key, value) in dictionary.iter().collect::<BTreeMap<_, _>>() {
                key.hash(hasher);
                digest_into(value, hasher);
            }
        }
        Value::VariantSelectionMap(variants) => variants.iter().collect::<BTreeMap<_, _>>().hash(hasher),
        other => format!("{other:?}").hash(hasher),
    }
}

fn spec_kind(kind: u32) -> Result<SpecType, UsdError> {
    SpecType::from_repr(kind).ok_or_else(|| UsdError::Diff { message: format!("there is no kind {kind} of specs") })
}

impl Live {
    pub(super) fn diff_since(&self, revision: u64) -> Result<StageDiff, UsdError> {
        let oldest = self.journal.front().map_or(1, |(revision, _)| *revision);
        if self.journal.len() >= JOURNAL && revision + 1 < oldest {
            return Err(UsdError::Diff {
                message: format!("revision {revision} is too long ago, {oldest} is the oldest; send the layers as a whole"),
            });
        }
        // The last opinion of each field counts, against what was there before the first; specs that were made or taken out stay in order.
        let mut edits: Vec<SpecEdit> = Vec::new();
        let mut places: HashMap<(String, String, String), usize> = HashMap::new();
        let newer = self.journal.iter().filter(|(at, _)| *at > revision).flat_map(|(_, edits)| edits);
        for edit in newer {
            let field = match &edit.what {
                What::Set { field, .. } | What::Erase { field, .. } => field.clone(),
                What::Create(_) | What::Remove => {
                    edits.push(edit.clone());
                    places.clear();
                    continue;
                }
            };
            let key = (edit.layer.clone(), edit.path.clone(), field);
            match places.get(&key).and_then(|place| edits.get_mut(*place)) {
                Some(place) => {
                    let first = place.before();
                    *place = edit.clone();
                    place.set_before(first);
                }
                None => {
                    places.insert(key, edits.len());
                    edits.push(edit.clone());
                }
            }
        }
        Ok(StageDiff { version: VERSION, root_layer: self.store.root().to_owned(), revision: self.revision, edits })
    }

    pub(super) fn apply(&mut self, diff: &StageDiff, policy: ConflictPolicy) -> Result<DiffOutcome, UsdError> {
        if diff.version != VERSION {
            return Err(UsdError::Diff {
                message: format!(
                    "it is of version {}, and {VERSION} is what is known here; bring both programs up to date",
                    diff.version
                ),
            });
        }
        if diff.root_layer != self.store.root() {
            return Err(UsdError::Diff {
                message: format!("it is of the stage {}, and this is {}", diff.root_layer, self.store.root()),
            });
        }
        let mut outcome = DiffOutcome::default();
        let mut changes: Vec<LayerEdits> = Vec::new();
        for edit in &diff.edits {
            let Some(edit) = self.resolve(edit, policy, &mut outcome.conflicts)? else { continue };
            let (layer, edit) = edit;
            match changes.last_mut() {
                Some(last)
                    if last.layer == layer
                        && !matches!(edit, Edit::RemoveSpec { .. })
                        && !matches!(last.edits.last(), Some(Edit::RemoveSpec { .. })) =>
                {
                    last.edits.push(edit)
                }
                _ => changes.push(LayerEdits { layer, edits: vec![edit] }),
            }
        }
        outcome.change = self.replay_change(&changes)?;
        Ok(outcome)
    }

    /// What of an edit is still to be done here; `None` if nothing is, or ours stays.
    fn resolve(
        &self,
        edit: &SpecEdit,
        policy: ConflictPolicy,
        conflicts: &mut Vec<DiffConflict>,
    ) -> Result<Option<(String, Edit)>, UsdError> {
        let kind = spec_kind(edit.kind)?;
        let path = sdf::path(&edit.path).map_err(|_| UsdError::Diff { message: format!("`{}` is no path", edit.path) })?;
        let Some(layer) = self.stage.layer(&edit.layer) else {
            return Err(UsdError::Diff { message: format!("the layer {} is not part of this stage", edit.layer) });
        };
        let data = layer.data();
        let mut conflict = |field: &str| {
            let message = if policy == ConflictPolicy::Theirs { "replaced by the diff's" } else { "left as it is here" };
            conflicts.push(DiffConflict {
                layer: edit.layer.clone(),
                path: edit.path.clone(),
                field: field.to_owned(),
                message: message.to_owned(),
            });
            policy == ConflictPolicy::Theirs
        };
        let field_of = |field: &str| data.try_field(&path, field).ok().flatten().map(std::borrow::Cow::into_owned);
        let resolved = match &edit.what {
            What::Remove => data.has_spec(&path).then(|| Edit::RemoveSpec { path: path.clone() }),
            What::Create(fields) => {
                let there: BTreeMap<String, u64> = data
                    .list_fields(&path)
                    .unwrap_or_default()
                    .into_iter()
                    .filter(|field| !is_bookkeeping(field))
                    .map(|field| (field.clone(), digest(field_of(&field).as_ref())))
                    .collect();
                let theirs: BTreeMap<String, u64> =
                    fields.iter().map(|(field, value)| (field.clone(), digest(Some(&value.to_usd())))).collect();
                let is_same = data.has_spec(&path) && there == theirs;
                // A bare `over` above what was edited is nobody's opinion.
                let is_bare = there.keys().all(|field| field == "specifier");
                let wins = is_same || !data.has_spec(&path) || is_bare || conflict("");
                let fields =
                    fields.iter().map(|(field, value)| FieldValue { field: field.as_str().into(), value: value.to_usd() });
                (!is_same && wins).then(|| Edit::Create { path: path.clone(), spec_type: kind, fields: fields.collect() })
            }
            What::Set { field, value, before } => {
                let (value, there) = (value.to_usd(), digest(field_of(field).as_ref()));
                let is_same = there == digest(Some(&value));
                let wins = is_same || there == *before || conflict(field);
                (!is_same && wins).then(|| Edit::SetField {
                    path: path.clone(),
                    spec_type: kind,
                    field: field.as_str().into(),
                    value,
                })
            }
            What::Erase { field, before } => {
                let there = digest(field_of(field).as_ref());
                let wins = there == 0 || there == *before || conflict(field);
                let is_same = there == 0;
                (!is_same && wins).then(|| Edit::EraseField { path: path.clone(), field: field.as_str().into() })
            }
        };
        Ok(resolved.map(|resolved| (edit.layer.clone(), resolved)))
    }
}

impl SpecEdit {
    fn before(&self) -> u64 {
        match &self.what {
            What::Set { before, .. } | What::Erase { before, .. } => *before,
            What::Create(_) | What::Remove => 0,
        }
    }

    fn set_before(&mut self, first: u64) {
        if let What::Set { before, .. } | What::Erase { before, .. } = &mut self.what {
            *before = first;
        }
    }
}

/// What a change did, as plain data.
pub(super) fn spec_edits(done: &Done) -> Vec<SpecEdit> {
    let mut before: HashMap<(&str, &str, &str), u64> = HashMap::new();
    for edits in &done.inverse {
        for edit in &edits.edits {
            let (field, value) = match edit {
                Edit::SetField { field, value, .. } => (field.as_str(), Some(value)),
                Edit::EraseField { field, .. } => (field.as_str(), None),
                Edit::Create { .. } | Edit::RemoveSpec { .. } => continue,
            };
            // The first of a change says what was before it.
            before.entry((&edits.layer, edit.path().as_str(), field)).or_insert_with(|| digest(value));
        }
    }
    let mut out = Vec::new();
    for edits in &done.forward {
        for edit in &edits.edits {
            let before_of =
                |field: &str| before.get(&(edits.layer.as_str(), edit.path().as_str(), field)).copied().unwrap_or_default();
            let (kind, what) = match edit {
                Edit::Create { spec_type, fields, .. } => {
                    let fields = fields
                        .iter()
                        .filter_map(|field| Some((field.field.as_str().to_owned(), StageValue::from_usd(&field.value)?)));
                    (*spec_type, What::Create(fields.collect()))
                }
                Edit::SetField { spec_type, field, value, .. } => {
                    let Some(value) = StageValue::from_usd(value) else { continue };
                    (*spec_type, What::Set { field: field.as_str().to_owned(), value, before: before_of(field.as_str()) })
                }
                Edit::EraseField { field, .. } => {
                    (SpecType::Prim, What::Erase { field: field.as_str().to_owned(), before: before_of(field.as_str()) })
                }
                Edit::RemoveSpec { .. } => (SpecType::Prim, What::Remove),
            };
            out.push(SpecEdit { layer: edits.layer.clone(), path: edit.path().as_str().to_owned(), kind: kind as u32, what });
        }
    }
    out
}
