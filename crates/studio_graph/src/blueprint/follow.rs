//! Keeping what lies in subgraphs in line with its files and with the nodes that stand for it.

use super::{
    Blueprint,
    asset::{BlueprintRoot, BlueprintState},
    capture::capture,
    problem,
    spawn::{BlueprintFiles, BlueprintInstance, InBlueprint, MadeFrom, apply},
    subgraph::{Subgraph, SubgraphValues, modified},
};
use bevy::{platform::collections::HashSet, prelude::*};
use std::time::{Duration, Instant};

/// How often files of subgraphs are looked at.
const PAUSE: Duration = Duration::from_millis(300);

type ChangedSubgraphs =
    (Entity, &'static Subgraph, Option<&'static SubgraphValues>, Option<&'static MadeFrom>, &'static InBlueprint);

/// Applies a blueprint again when a file of its subgraphs was saved, and when a subgraph was made to stand for something else.
pub(super) fn follow_subgraphs(
    world: &mut World,
    mut changed: Local<Option<QueryState<ChangedSubgraphs, Or<(Changed<Subgraph>, Changed<SubgraphValues>)>>>>,
    mut roots: Local<Option<QueryState<(Entity, &'static mut BlueprintFiles)>>>,
    mut looked_at: Local<Option<Instant>>,
) {
    let changed = changed.get_or_insert_with(|| QueryState::new(world));
    let differs = |(_, subgraph, values, made_from, _): &<ChangedSubgraphs as bevy::ecs::query::QueryData>::Item<'_, '_>| {
        made_from.is_none_or(|made| made.0 != **subgraph || values.is_some_and(|values| made.1 != *values))
    };
    let mut stale: HashSet<Entity> = changed.iter(world).filter(differs).map(|(.., inside)| inside.0).collect();
    let roots = roots.get_or_insert_with(|| QueryState::new(world));
    if looked_at.is_none_or(|last| last.elapsed() >= PAUSE) {
        *looked_at = Some(Instant::now());
        for (root, mut files) in roots.iter_mut(world) {
            for (file, before) in &mut files.bypass_change_detection().0 {
                let now = modified(file);
                // Even if nothing comes of it, it is one change.
                if core::mem::replace(before, now) != now {
                    stale.insert(root);
                }
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
    // A loaded version that was refused is tried again as it was loaded.
    if let (Some(loaded), Some(BlueprintState::Refused(_))) =
        (world.get::<BlueprintRoot>(root), world.get::<BlueprintState>(root))
    {
        let id = loaded.0.id();
        world.write_message(AssetEvent::<Blueprint>::Modified { id });
        return;
    }
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
