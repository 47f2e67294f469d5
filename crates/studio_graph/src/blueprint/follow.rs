//! Keeping what lies in subgraphs in line with its files and with the nodes that stand for it.

use super::{
    asset::BlueprintState,
    capture::capture,
    problem,
    spawn::{BlueprintFiles, BlueprintInstance, InBlueprint, MadeFrom, apply},
    subgraph::{Subgraph, SubgraphValues},
};
use bevy::{
    platform::collections::{HashMap, HashSet},
    prelude::*,
};
use std::{
    path::PathBuf,
    time::{Duration, Instant, SystemTime},
};

/// How often files of subgraphs are looked at.
const PAUSE: Duration = Duration::from_millis(300);

/// The files of subgraphs as they were last seen.
#[derive(Default)]
pub(super) struct SeenFiles {
    looked_at: Option<Instant>,
    modified: HashMap<PathBuf, Option<SystemTime>>,
}

type ChangedSubgraphs =
    (Entity, &'static Subgraph, Option<&'static SubgraphValues>, Option<&'static MadeFrom>, &'static InBlueprint);

/// Applies a blueprint again when a file of its subgraphs was saved, and when a subgraph was made to stand for something else.
pub(super) fn follow_subgraphs(
    world: &mut World,
    mut changed: Local<Option<QueryState<ChangedSubgraphs, Or<(Changed<Subgraph>, Changed<SubgraphValues>)>>>>,
    mut roots: Local<Option<QueryState<(Entity, Ref<'static, BlueprintFiles>)>>>,
    mut seen: Local<SeenFiles>,
) {
    let changed = changed.get_or_insert_with(|| QueryState::new(world));
    let differs = |(_, subgraph, values, made_from, _): &<ChangedSubgraphs as bevy::ecs::query::QueryData>::Item<'_, '_>| {
        made_from.is_none_or(|made| made.0 != **subgraph || values.is_some_and(|values| made.1 != *values))
    };
    let mut stale: HashSet<Entity> = changed.iter(world).filter(differs).map(|(.., inside)| inside.0).collect();
    let roots = roots.get_or_insert_with(|| QueryState::new(world));
    let due = seen.looked_at.is_none_or(|last| last.elapsed() >= PAUSE);
    if due {
        seen.looked_at = Some(Instant::now());
    }
    for (root, files) in roots.iter(world) {
        // A blueprint that was applied just now has read the files.
        if !(due || files.is_changed()) {
            continue;
        }
        for file in &files.0 {
            let now = file.metadata().and_then(|about| about.modified()).ok();
            if seen.modified.insert(file.clone(), now).is_some_and(|before| before != now) {
                stale.insert(root);
            }
        }
    }
    for root in stale {
        if world.get::<BlueprintInstance>(root).is_some() {
            apply_again(world, root);
        }
    }
}

fn apply_again(world: &mut World, root: Entity) {
    let blueprint = match capture(world, root) {
        Ok(blueprint) => blueprint,
        Err(error) => return error!("a subgraph changed, but the blueprint cannot be read off its nodes: {error}"),
    };
    let state = match apply(world, root, &blueprint) {
        Ok(warnings) => BlueprintState::Spawned(warnings),
        Err(problems) => {
            error!("the changed subgraph is refused; what ran before runs on:\n{}", problem::list(&problems));
            BlueprintState::Refused(problems)
        }
    };
    world.entity_mut(root).insert(state);
}
