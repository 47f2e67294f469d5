//! A stage as entities: what comes, what changes, what goes.
//!
//! A stage that changes (a layer was saved, a variant chosen, a payload loaded) is compared prim by prim with what is shown. Entities are
//! known by path: of a prim that is the same, nothing is touched; of one that changed, only what changed.

mod animated;
mod apply;
mod bound;
mod copies;
mod moved;

pub(super) use animated::Animated;
pub(super) use apply::{local_matrix, visibility};
pub(super) use copies::{Copies, move_copies, spawn as spawn_copies};
pub(crate) use moved::{PrimTransforms, ValueTargets};

use super::{
    asset::UsdStage,
    components::{UsdInstanceProxy, UsdPrim, UsdStageRoot, UsdStageSpace, UsdStageStatus},
    contents::{Node, StageContents, expand},
    message::{UsdPrimAdded, UsdPrimChanged, UsdPrimRemoved, UsdStageReady},
    prepare::PrimContent,
    time::UsdTime,
};
use bevy::{asset::AssetLoadFailedEvent, platform::collections::HashSet, prelude::*};
use std::{collections::HashMap, sync::Arc};
use studio_usd::{extract::PrimValues, snapshot::Xform};

/// What is shown below a root. On the entity with [`UsdStageRoot`].
#[derive(Component)]
pub struct UsdStageEntities {
    stage: AssetId<UsdStage>,
    pub(super) contents: Arc<StageContents>,
    shown: Vec<Shown>,
    by_path: HashMap<Arc<str>, usize>,
    pub(super) animated: Animated,
}

/// A prim that is shown.
pub(super) struct Shown {
    pub node: Node,
    pub entity: Entity,
    pub content: Arc<PrimContent>,
    /// Its transform, if it was moved since the stage was last taken apart.
    pub moved: Option<Arc<Xform>>,
    /// Its values, if they were edited since.
    pub edited: Option<Arc<PrimValues>>,
    /// The entity between it and its parent, if its transform is sheared.
    pub frame: Option<Entity>,
    /// The entity of each part of its geometry: its own, subsets', ones made for the purpose.
    pub parts: Vec<Entity>,
    /// Of a skeleton, in its order.
    pub joints: Vec<Entity>,
    /// Of a point instancer.
    pub copies: Copies,
}

impl UsdStageEntities {
    /// The entity of a prim.
    pub fn entity(&self, path: &str) -> Option<Entity> {
        self.by_path.get(path).and_then(|index| self.shown.get(*index)).map(|shown| shown.entity)
    }

    /// The entities of all prims with their paths, parents first.
    pub fn prims(&self) -> impl Iterator<Item = (&str, Entity)> {
        self.shown.iter().map(|shown| (&*shown.node.path, shown.entity))
    }

    /// The name of the stage's default prim.
    pub(crate) fn default_prim(&self) -> Option<&str> {
        self.contents.snapshot.default_prim.as_deref()
    }

    /// The first and last time code of a stage in which something moves.
    pub fn animated_range(&self) -> Option<(f64, f64)> {
        self.animated.range
    }

    pub(super) fn time_codes_per_second(&self) -> f64 {
        self.contents.snapshot.time_codes_per_second
    }

    /// How many more entities there may be.
    pub(super) fn entities_left(&self) -> usize {
        let copied: usize = self.shown.iter().map(|shown| shown.copies.cost).sum();
        self.contents.settings.budget.max_entities.saturating_sub(self.shown.len() + copied)
    }

    pub(super) fn shown_mut(&mut self, index: usize) -> Option<&mut Shown> {
        self.shown.get_mut(index)
    }

    /// Makes the lists of what is animated anew, all of it set to a time already.
    pub(super) fn list_animated(&mut self, time: Option<f64>) {
        self.animated = Animated { time, ..Animated::of(self) };
    }

    pub(super) fn all_shown(&self) -> &[Shown] {
        &self.shown
    }

    pub(super) fn shown(&self, index: usize) -> Option<&Shown> {
        self.shown.get(index)
    }
}

/// Marks roots whose stage is loaded, or was loaded again, and notes failures.
pub(super) fn find_changed_roots(
    mut changes: MessageReader<AssetEvent<UsdStage>>,
    mut failures: MessageReader<AssetLoadFailedEvent<UsdStage>>,
    stages: Res<Assets<UsdStage>>,
    added: Query<Entity, Changed<UsdStageRoot>>,
    mut roots: Query<(Entity, &UsdStageRoot, &mut UsdStageStatus)>,
    mut pending: ResMut<PendingRoots>,
) {
    let mut changed = HashSet::new();
    for change in changes.read() {
        if let AssetEvent::Added { id } | AssetEvent::Modified { id } = change {
            changed.insert(*id);
        }
    }
    let failed: HashMap<AssetId<UsdStage>, String> =
        failures.read().map(|failure| (failure.id, failure.error.to_string())).collect();
    if changed.is_empty() && failed.is_empty() && added.is_empty() {
        return;
    }
    for (entity, root, mut status) in &mut roots {
        if let Some(error) = failed.get(&root.0.id()) {
            *status = UsdStageStatus::Failed { error: error.clone() };
        }
        if changed.contains(&root.0.id()) || added.contains(entity) {
            if stages.contains(&root.0) {
                pending.0.push(entity);
            } else if added.contains(entity) && !matches!(*status, UsdStageStatus::Failed { .. }) {
                status.set_if_neq(UsdStageStatus::Loading);
            }
        }
    }
}

/// Roots whose stage is to be shown.
#[derive(Resource, Default)]
pub(super) struct PendingRoots(Vec<Entity>);

impl PendingRoots {
    pub(super) fn any(pending: Res<Self>) -> bool {
        !pending.0.is_empty()
    }
}

/// Shows the stages of the roots that are pending.
pub(super) fn project_pending(world: &mut World) {
    let mut pending = std::mem::take(&mut world.resource_mut::<PendingRoots>().0);
    pending.sort();
    pending.dedup();
    for root in pending {
        let Some(stage) = world.get::<UsdStageRoot>(root).map(|root| root.0.id()) else { continue };
        let Some(contents) = world.resource::<Assets<UsdStage>>().get(stage).map(|stage| stage.contents.clone()) else {
            continue;
        };
        let is_shown = world
            .get::<UsdStageEntities>(root)
            .is_some_and(|shown| shown.stage == stage && Arc::ptr_eq(&shown.contents, &contents));
        if !is_shown {
            let old = world.get_entity_mut(root).ok().and_then(|mut root| root.take::<UsdStageEntities>());
            project(world, root, stage, contents, old);
        }
        if let Some(mut status) = world.get_mut::<UsdStageStatus>(root) {
            status.set_if_neq(UsdStageStatus::Ready);
        }
    }
}

/// What was shown before, taken piece by piece.
struct Before {
    contents: Option<Arc<StageContents>>,
    shown: Vec<Option<Shown>>,
    by_path: HashMap<Arc<str>, usize>,
}

impl Before {
    fn take(&mut self, path: &str) -> Option<Shown> {
        self.by_path.get(path).and_then(|index| self.shown.get_mut(*index)).and_then(Option::take)
    }
}

fn project(
    world: &mut World,
    root: Entity,
    stage: AssetId<UsdStage>,
    contents: Arc<StageContents>,
    old: Option<UsdStageEntities>,
) {
    let again = old.is_some();
    let mut before = match old {
        Some(old) => {
            Before { contents: Some(old.contents), shown: old.shown.into_iter().map(Some).collect(), by_path: old.by_path }
        }
        None => Before { contents: None, shown: Vec::new(), by_path: HashMap::new() },
    };
    let (nodes, is_cut) = expand(&contents, contents.settings.budget.max_entities);
    if is_cut {
        warn!(
            "{}: more than {} entities; what is beyond is left out. Raise UsdSceneBudget::max_entities, or leave payloads unloaded",
            contents.snapshot.root_layer, contents.settings.budget.max_entities
        );
    }
    place_root(world, root, &contents);
    let time = start_time(world, root, &contents);
    let mut shown: Vec<Shown> = Vec::with_capacity(nodes.len());
    let mut changed = Vec::with_capacity(nodes.len());
    for node in nodes {
        let Some(content) = contents.content(node.place).cloned() else { continue };
        let parent = node.parent.and_then(|parent| shown.get(parent)).map_or(root, |parent| parent.entity);
        // Someone may have despawned an entity of ours: then the prim is new.
        let old = before.take(&node.path).filter(|old| world.get_entity(old.entity).is_ok());
        let path = node.path.clone();
        match old {
            Some(old)
                if Arc::ptr_eq(&old.content, &content)
                    && old.node.copied == node.copied
                    && old.moved.is_none()
                    && old.edited.is_none() =>
            {
                shown.push(Shown { node, ..old });
                changed.push(false);
            }
            Some(old) => {
                let mut before = before.contents.as_ref().and_then(|contents| contents.prim(old.node.place)).cloned();
                if let Some(before) = &mut before {
                    // What was edited since is what the entity shows.
                    before.xform = old.moved.as_deref().cloned().or(before.xform.take());
                    if let Some(edited) = &old.edited {
                        before.visible = edited.visible.clone();
                    }
                }
                shown.push(Shown { node, content, moved: None, edited: None, ..old });
                let index = shown.len() - 1;
                apply::apply_prim(world, &contents, &mut shown, index, parent, before.as_ref(), time);
                let entity = shown.get(index).map_or(root, |shown| shown.entity);
                world.write_message(UsdPrimChanged { root, entity, path });
                changed.push(true);
            }
            None => {
                let entity = world.spawn((UsdPrim { path: path.clone() }, ChildOf(parent))).id();
                if node.instance.is_some() {
                    world.entity_mut(entity).insert(UsdInstanceProxy);
                }
                shown.push(Shown {
                    node,
                    entity,
                    content,
                    moved: None,
                    edited: None,
                    frame: None,
                    parts: Vec::new(),
                    joints: Vec::new(),
                    copies: Copies::default(),
                });
                let index = shown.len() - 1;
                apply::apply_prim(world, &contents, &mut shown, index, parent, None, time);
                world.write_message(UsdPrimAdded { root, entity, path });
                changed.push(true);
            }
        }
    }
    remove(world, root, before);
    let by_path: HashMap<Arc<str>, usize> =
        shown.iter().enumerate().map(|(index, shown)| (shown.node.path.clone(), index)).collect();
    let mut projection = UsdStageEntities { stage, contents, shown, by_path, animated: Animated::default() };
    bound::apply_bound(world, &mut projection, &changed, time);
    projection.list_animated(None);
    if let Ok(mut root) = world.get_entity_mut(root) {
        root.insert(projection);
    }
    // Whatever is animated is set to the time anew.
    if let Some(mut time) = world.get_mut::<UsdTime>(root) {
        time.set_changed();
    }
    world.write_message(UsdStageReady { root, again });
}

/// Despawns what is no longer there.
fn remove(world: &mut World, root: Entity, before: Before) {
    for old in before.shown.into_iter().flatten() {
        for entity in old.frame.into_iter().chain([old.entity]) {
            if let Ok(entity) = world.get_entity_mut(entity) {
                entity.despawn();
            }
        }
        world.write_message(UsdPrimRemoved { root, entity: old.entity, path: old.node.path });
    }
}

/// Gives the root the stage's axis and unit.
fn place_root(world: &mut World, root: Entity, contents: &StageContents) {
    let space = UsdStageSpace::of(&contents.snapshot);
    let Ok(mut root) = world.get_entity_mut(root) else { return };
    let old = root.get::<UsdStageSpace>().copied();
    if old == Some(space) {
        return;
    }
    let undo = old.map_or(Mat4::IDENTITY, |old| old.bevy_from_stage().to_matrix().inverse());
    let placed = root.get::<Transform>().copied().unwrap_or_default().to_matrix() * undo * space.bevy_from_stage().to_matrix();
    root.insert((space, Transform::from_matrix(placed)));
}

/// The time shown; the stage's first if nobody has set one.
fn start_time(world: &mut World, root: Entity, contents: &StageContents) -> f64 {
    if let Some(time) = world.get::<UsdTime>(root) {
        return time.time_code;
    }
    let time = UsdTime { time_code: contents.snapshot.default_time(), ..default() };
    if let Ok(mut root) = world.get_entity_mut(root) {
        root.insert(time);
    }
    time.time_code
}
