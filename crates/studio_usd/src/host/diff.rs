//! What was edited, as plain data that another process can apply to its own stage of the same layers.

use super::{
    StageChange, StageValue,
    history::{Done, LayerEdits},
    live::{JOURNAL, Live},
};
use crate::open::{UsdError, is_list_of_specs};
use openusd::{
    sdf::{self, SpecType, Value},
    usd::{Edit, FieldValue},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SpecEdit {
    layer: String,
    path: String,
    kind: u32,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum What {
    /// The spec is made, with these fields and no others; `before` is a digest of what it was, 0 for nothing.
    Create { fields: BTreeMap<String, StageValue>, before: u64 },
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
    let mut hasher = Fnv::default();
    digest_into(value, &mut hasher);
    hasher.finish().max(1)
}

/// The hash of Fowler, Noll and Vo, FNV-1a with 64 bits: the standard library's may differ between programs.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

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
    /// What is different from what was there before the changes after a revision: of each spec and field what it is now.
    pub(super) fn diff_since(&self, revision: u64) -> Result<StageDiff, UsdError> {
        let oldest = self.journal.front().map_or(1, |(revision, _)| *revision);
        if self.journal.len() >= JOURNAL && revision + 1 < oldest {
            return Err(UsdError::Diff {
                message: format!("revision {revision} is too long ago, {oldest} is the oldest; send the layers as a whole"),
            });
        }
        let mut specs: BTreeMap<(&str, &str), Touched> = BTreeMap::new();
        for touch in self.journal.iter().filter(|(at, _)| *at > revision).flat_map(|(_, touches)| touches) {
            let before = if touch.field.is_none() { touch.before } else { 0 };
            let spec = specs.entry((&touch.layer, &touch.path)).or_insert_with(|| Touched {
                existed: touch.existed,
                before,
                ..Touched::default()
            });
            match &touch.field {
                Some(field) => _ = spec.fields.entry(field).or_insert(touch.before),
                None => spec.is_whole = true,
            }
        }
        let mut edits = Vec::new();
        for ((layer, path), touched) in specs {
            let Some(data) = self.stage.layer(layer) else { continue };
            let (data, at) = (data.data(), sdf::Path::from(path));
            let field_of = |field: &str| data.try_field(&at, field).ok().flatten().and_then(|value| StageValue::from_usd(&value));
            let edit =
                |kind: SpecType, what: What| SpecEdit { layer: layer.to_owned(), path: path.to_owned(), kind: kind as u32, what };
            match data.spec_type(&at) {
                None if touched.existed => edits.push(edit(SpecType::Prim, What::Remove)),
                None => {}
                Some(kind) if touched.is_whole => {
                    let names = data.list_fields(&at).unwrap_or_default();
                    let fields = names.into_iter().filter(|field| !is_list_of_specs(field));
                    let fields = fields.filter_map(|field| field_of(&field).map(|value| (field, value))).collect();
                    edits.push(edit(kind, What::Create { fields, before: touched.before }));
                }
                Some(kind) => edits.extend(touched.fields.into_iter().map(|(field, before)| {
                    let field = field.to_owned();
                    edit(
                        kind,
                        match field_of(&field) {
                            Some(value) => What::Set { field, value, before },
                            None => What::Erase { field, before },
                        },
                    )
                })),
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
        let is_fine = match &edit.what {
            What::Create { fields, .. } => fields.iter().all(|(field, value)| value.is_sound_as(field)),
            What::Set { field, value, .. } => value.is_sound_as(field),
            What::Erase { field, .. } => !is_list_of_specs(field),
            What::Remove => true,
        };
        if !is_fine || !edit.path.starts_with('/') || !crate::open::is_sound(&edit.path, 0) {
            return Err(UsdError::Diff { message: format!("<{}> is no path, or holds one that is none", edit.path) });
        }
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
            What::Create { fields, before } => {
                let there = spec_digest(data, &path);
                let fields: Vec<_> = fields.iter().map(|(field, value)| (field.as_str(), value.to_usd())).collect();
                let is_same = data.has_spec(&path) && there == fields_digest(fields.iter().map(|(field, value)| (*field, value)));
                // A bare `over` above what was edited is nobody's opinion.
                let is_bare = data
                    .list_fields(&path)
                    .unwrap_or_default()
                    .iter()
                    .all(|field| field == "specifier" || is_list_of_specs(field));
                let wins = is_same || is_bare || there == *before || conflict("");
                let fields = fields.into_iter().map(|(field, value)| FieldValue { field: field.into(), value });
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

/// A digest of all that a spec says; 0 for no spec.
fn spec_digest(data: &dyn sdf::AbstractData, path: &sdf::Path) -> u64 {
    if !data.has_spec(path) {
        return 0;
    }
    let names = data.list_fields(path).unwrap_or_default();
    let fields: Vec<_> = names
        .iter()
        .filter(|field| !is_list_of_specs(field))
        .filter_map(|field| Some((field.as_str(), data.try_field(path, field).ok()??)))
        .collect();
    fields_digest(fields.iter().map(|(field, value)| (*field, &**value)))
}

fn fields_digest<'v>(fields: impl Iterator<Item = (&'v str, &'v Value)>) -> u64 {
    let digests: BTreeMap<&str, u64> = fields.map(|(field, value)| (field, digest(Some(value)))).collect();
    let mut hasher = Fnv::default();
    digests.hash(&mut hasher);
    hasher.finish().max(1)
}

/// What changes after a revision did to a spec.
#[derive(Default)]
struct Touched<'j> {
    existed: bool,
    before: u64,
    is_whole: bool,
    fields: BTreeMap<&'j str, u64>,
}

/// A spec, or a field of one, that a change touched, with a digest of what it was.
pub(super) struct Touch {
    layer: String,
    path: String,
    field: Option<String>,
    existed: bool,
    before: u64,
}

/// What a change touched.
pub(super) fn touches(done: &Done) -> Vec<Touch> {
    let all = done.inverse.iter().flat_map(|edits| edits.edits.iter().map(|edit| (&edits.layer, edit)));
    let touches = all.map(|(layer, edit)| {
        let (field, existed, before) = match edit {
            Edit::SetField { field, value, .. } => (Some(field.as_str().to_owned()), true, digest(Some(value))),
            Edit::EraseField { field, .. } => (Some(field.as_str().to_owned()), true, 0),
            Edit::Create { fields, .. } => {
                let fields = fields.iter().map(|field| (field.field.as_str(), &field.value));
                (None, true, fields_digest(fields))
            }
            Edit::RemoveSpec { .. } => (None, false, 0),
        };
        Touch { layer: layer.clone(), path: edit.path().as_str().to_owned(), field, existed, before }
    });
    touches.collect()
}
