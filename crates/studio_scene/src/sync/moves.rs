//! Entities that move, and prims that do.

use crate::stage::{
    Changing, PrimTransforms, UsdChange, UsdPrim, UsdPrimChanged, UsdRequest, UsdStage, UsdStageEntities, UsdStageRoot,
    UsdSystems, UsdTime, ValueTargets,
};
use bevy::{ecs::entity::EntityHashSet, platform::collections::HashMap, prelude::*};
use std::collections::BTreeSet;
use studio_usd::{
    host::{EditLayer, Move, StageChange},
    open::UsdError,
    snapshot::Xform,
};

/// Keeps the stage below a root and its entities in step. On the entity with [`UsdStageRoot`].
#[derive(Component, Clone, Debug, Default, PartialEq)]
#[require(UsdSyncReport)]
pub struct UsdSync {
    /// The layer that edits are made in. The session layer, which no file keeps, unless something else is asked for.
    pub edit_layer: EditLayer,
    /// Who follows whom.
    pub direction: SyncDirection,
}

/// Who follows whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncDirection {
    /// Each the other.
    #[default]
    Both,
    /// Entities follow the stage.
    ToEntities,
    /// The stage follows its entities.
    ToStage,
}

/// What could not be kept in step, in words for people. The last ones; on the entity with [`UsdSync`].
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct UsdSyncReport {
    /// What went wrong, the latest last.
    pub messages: Vec<String>,
    /// Edits made by entities that moved, since the root was shown.
    pub edits: u64,
    /// Entities that still have to be told to the stage, for it is busy.
    waiting: EntityHashSet,
    /// Revisions that are our own doing.
    own: BTreeSet<u64>,
}

impl UsdSyncReport {
    const MOST: usize = 32;

    pub(super) fn say(&mut self, message: String) {
        if self.messages.last() == Some(&message) {
            return;
        }
        warn!("{message}");
        if self.messages.len() == Self::MOST {
            self.messages.remove(0);
        }
        self.messages.push(message);
    }
}

/// When stages and entities are brought in step: in `PostUpdate`, before what is animated is set and transforms are propagated.
#[derive(SystemSet, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UsdSyncSystems {
    /// Diffs of other processes are applied.
    Receive,
    /// Entities follow the stage.
    Pull,
    /// The stage follows entities.
    Push,
    /// Diffs are sent to other processes.
    Send,
}

pub(super) fn add(app: &mut App) {
    use UsdSyncSystems::{Pull, Push, Receive, Send};
    app.configure_sets(PostUpdate, (Receive, Pull, Push, Send).chain().before(UsdSystems::Animate)).add_systems(
        PostUpdate,
        (follow_stages.in_set(Pull), follow_entities.in_set(Push)).run_if(any_with_component::<UsdSync>),
    );
}

type Synced<'a> = (Entity, &'a UsdStageRoot, &'a UsdSync, &'a mut UsdSyncReport, &'a mut UsdStageEntities, &'a UsdTime);

/// Brings the entities of prims that were edited up to date.
fn follow_stages(
    stages: Res<Assets<UsdStage>>,
    changing: Res<Changing>,
    mut roots: Query<Synced>,
    mut transforms: Query<&mut Transform>,
    mut targets: ValueTargets,
    mut requests: MessageWriter<UsdRequest>,
    mut told: MessageWriter<UsdPrimChanged>,
) {
    // Several roots may show one stage, and what changed is told once.
    let mut changes: HashMap<AssetId<UsdStage>, Vec<StageChange>> = HashMap::default();
    for (_, root, ..) in &roots {
        let id = root.0.id();
        if changing.is_changing(id) || changes.contains_key(&id) {
            continue;
        }
        if let Some(stage) = stages.get(id) {
            changes.insert(id, stage.host().take_changes());
        }
    }
    changes.retain(|_, changes| !changes.is_empty());
    if changes.is_empty() {
        return;
    }
    for (entity, root, sync, mut report, mut shown, time) in &mut roots {
        let time = shown.time_shown().unwrap_or(time.time_code);
        let (Some(changes), Some(stage)) = (changes.get(&root.0.id()), stages.get(&root.0)) else { continue };
        let known = shown.revision();
        let others = changes.iter().filter(|change| change.revision > known && !report.own.contains(&change.revision));
        let (mut moved, mut revalued) = (BTreeSet::new(), BTreeSet::new());
        let mut is_more = false;
        for change in others {
            moved.extend(change.moved.iter().cloned());
            revalued.extend(change.revalued.iter().cloned());
            is_more |= !change.is_in_place;
        }
        let newest = changes.iter().map(|change| change.revision).max().unwrap_or_default();
        report.own.retain(|revision| *revision > newest);
        if sync.direction == SyncDirection::ToStage {
            continue;
        }
        if !is_more && !revalued.is_empty() {
            match stage.host().values(revalued.iter().cloned().collect()) {
                Ok(values) => {
                    for (prim, values) in revalued.iter().zip(values) {
                        let index = shown.index_of(prim);
                        is_more |= match (index, values) {
                            (Some(index), Some(values)) if shown.set_values(index, &values, &mut targets) => {
                                let target = shown.entities_of(index).map(|(target, _)| target);
                                told.write_batch(target.map(|target| UsdPrimChanged {
                                    root: entity,
                                    entity: target,
                                    path: prim.as_str().into(),
                                }));
                                false
                            }
                            (None, None) => false,
                            _ => true,
                        };
                    }
                }
                Err(error) => report.say(format!("{}: what was edited cannot be read: {error}", stage.host().root())),
            }
        }
        if is_more {
            // More than places and values: the stage is taken apart anew, away from this thread.
            requests.write(UsdRequest { root: entity, change: UsdChange::Refresh });
        }
        let prims: Vec<String> = moved.into_iter().collect();
        if prims.is_empty() {
            continue;
        }
        match stage.host().transforms(prims.clone()) {
            Ok(xforms) => {
                for (prim, xform) in prims.iter().zip(xforms) {
                    show_moved(&mut shown, &mut transforms, prim, xform, time);
                }
            }
            Err(error) => report.say(format!("{}: what moved cannot be read: {error}", stage.host().root())),
        }
    }
}

/// Notes where a prim is now, and brings its entity there, unless somebody moved that in this very update.
fn show_moved(shown: &mut UsdStageEntities, transforms: &mut Query<&mut Transform>, prim: &str, xform: Option<Xform>, time: f64) {
    let Some(index) = shown.index_of(prim) else { return };
    let Some(before) = shown.transforms_at(index, time) else { return };
    let is_ours = is_moved(shown, transforms, index, &before);
    shown.set_moved(index, xform);
    if !is_ours {
        place(shown, transforms, index, time);
    }
}

fn is_moved(shown: &UsdStageEntities, transforms: &Query<&mut Transform>, index: usize, says: &PrimTransforms) -> bool {
    let Some((entity, frame)) = shown.entities_of(index) else { return false };
    let differs = |entity, says: &Transform| transforms.get(entity).is_ok_and(|is| is != says && !is_close(is, says));
    differs(entity, &says.0) || frame.zip(says.1.as_ref()).is_some_and(|(frame, says)| differs(frame, says))
}

/// Whether two transforms differ by no more than rounding does on its way through the attributes of a prim.
fn is_close(a: &Transform, b: &Transform) -> bool {
    const TOLERANCE: f32 = 2e-6;
    let close =
        |a: Vec3, b: Vec3| a.abs_diff_eq(b, TOLERANCE * a.abs().max_element().max(b.abs().max_element()).max(f32::MIN_POSITIVE));
    let turned = a.rotation.abs_diff_eq(b.rotation, TOLERANCE) || a.rotation.abs_diff_eq(-b.rotation, TOLERANCE);
    close(a.translation, b.translation) && turned && close(a.scale, b.scale)
}

/// Brings a prim's entities to where the stage says.
fn place(shown: &UsdStageEntities, transforms: &mut Query<&mut Transform>, index: usize, time: f64) {
    let (Some((entity, frame)), Some((own, outer))) = (shown.entities_of(index), shown.transforms_at(index, time)) else {
        return;
    };
    let mut set = |entity, to| {
        if let Ok(mut transform) = transforms.get_mut(entity) {
            transform.set_if_neq(to);
        }
    };
    set(entity, own);
    if let Some((frame, outer)) = frame.zip(outer) {
        set(frame, outer);
    }
}

/// Edits the prims of entities that were moved.
fn follow_entities(
    stages: Res<Assets<UsdStage>>,
    changing: Res<Changing>,
    prims: Query<&UsdPrim>,
    mut roots: Query<Synced>,
    mut places: ParamSet<(Query<Entity, (Changed<Transform>, With<UsdPrim>)>, Query<&mut Transform>)>,
) {
    let changed: Vec<Entity> = places.p0().iter().collect();
    if changed.is_empty() && roots.iter().all(|(_, _, _, report, ..)| report.waiting.is_empty()) {
        return;
    }
    let mut transforms = places.p1();
    for (_, root, sync, mut report, mut shown, time) in &mut roots {
        if sync.direction == SyncDirection::ToEntities {
            continue;
        }
        let Some(stage) = stages.get(&root.0) else { continue };
        // Entities are where they were last set to be, and where the program moved them from there.
        let time = shown.time_shown().unwrap_or(time.time_code);
        let waiting = std::mem::take(&mut report.waiting);
        let mut moves: Vec<(usize, Move)> = Vec::new();
        for entity in changed.iter().copied().chain(waiting) {
            let Ok(prim) = prims.get(entity) else { continue };
            let Some(index) = shown.index_of(&prim.path) else { continue };
            // What plays was not set to the time yet since the stage was taken apart: where it is means nothing.
            if shown.time_shown().is_none() && shown.is_animated(index) {
                continue;
            }
            // Another root may show a prim of the same path.
            let Some((own, frame)) = shown.entities_of(index).filter(|(own, _)| *own == entity) else { continue };
            let Some(says) = shown.transforms_at(index, time).filter(|says| is_moved(&shown, &transforms, index, says)) else {
                continue;
            };
            if moves.iter().any(|(other, _)| *other == index) {
                continue;
            }
            if shown.is_proxy(index) {
                report.say(format!(
                    "{}: it belongs to what instances share and cannot be moved by itself; move its instance",
                    prim.path
                ));
                place(&shown, &mut transforms, index, time);
                continue;
            }
            let Ok(is) = transforms.get(own) else { continue };
            let outer = frame.and_then(|frame| transforms.get(frame).ok()).or(says.1.as_ref());
            let parent_from_prim = shown.matrix_for(index, is, outer, time);
            moves.push((index, Move { prim: prim.path.to_string(), parent_from_prim, time }));
            if changing.is_changing(root.0.id()) {
                report.waiting.insert(entity);
            }
        }
        if moves.is_empty() || !report.waiting.is_empty() {
            continue;
        }
        let (indices, asked): (Vec<usize>, Vec<Move>) = moves.into_iter().unzip();
        match stage.host().move_prims(&sync.edit_layer, asked.clone()) {
            Ok(moved) => {
                report.edits += moved.transforms.len() as u64;
                if !moved.change.is_empty() {
                    report.own.insert(moved.change.revision);
                }
                for ((index, asked), xform) in indices.into_iter().zip(asked).zip(moved.transforms) {
                    let holds = xform.as_ref().is_some_and(|xform| is_near(xform, &asked));
                    shown.set_moved(index, xform);
                    if !holds {
                        report.say(format!(
                            "{}: a layer that is stronger than the one that is edited says where it is; edit a stronger one, such as the session",
                            asked.prim
                        ));
                        place(&shown, &mut transforms, index, time);
                    }
                }
            }
            Err(error) => refuse(&mut report, &shown, &mut transforms, &indices, &error, time),
        }
    }
}

/// Puts back what could not be moved.
fn refuse(
    report: &mut UsdSyncReport,
    shown: &UsdStageEntities,
    transforms: &mut Query<&mut Transform>,
    indices: &[usize],
    error: &UsdError,
    time: f64,
) {
    report.say(format!("what was moved cannot be written to the stage: {error}"));
    for index in indices {
        place(shown, transforms, *index, time);
    }
}

/// Whether the composed stage says what was asked for, as near as single precision can tell.
fn is_near(xform: &Xform, asked: &Move) -> bool {
    let is = xform.parent_from_prim(asked.time);
    let largest = asked.parent_from_prim.to_cols_array().into_iter().fold(1e-9_f64, |largest, number| largest.max(number.abs()));
    is.abs_diff_eq(asked.parent_from_prim, 1e-4 * largest)
}
