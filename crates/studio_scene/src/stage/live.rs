//! Changes of a stage while it is shown.

use super::{
    asset::UsdStage,
    components::{UsdStageRoot, UsdStageStatus},
    contents::StageContents,
    loader::{self, LoadedStages},
    message::{UsdChange, UsdRequest},
};
use bevy::{platform::collections::HashMap, prelude::*};
use std::{collections::VecDeque, sync::Arc, thread::JoinHandle};
use studio_usd::{host::StageHost, open::UsdError};

/// Does what a change asks for.
pub(super) fn apply(host: &StageHost, change: &UsdChange) -> Result<(), UsdError> {
    match change {
        UsdChange::SelectVariant { prim, set, variant } => host.select_variant(prim, set, variant),
        UsdChange::LoadPayload { prim } => host.load(prim),
        UsdChange::UnloadPayload { prim } => host.unload(prim),
        UsdChange::SetMask { prims } => host.set_mask(prims),
        UsdChange::MuteLayer { layer, muted } => host.mute_layer(layer, *muted),
        UsdChange::Refresh => Ok(()),
    }
}

/// Changes that were asked for: of each stage one after another.
#[derive(Resource, Default)]
pub(crate) struct Changing {
    stages: HashMap<AssetId<UsdStage>, Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<UsdChange>,
    running: Option<Running>,
}

struct Running {
    host: Arc<StageHost>,
    change: UsdChange,
    /// Of its own: it waits for the stage and for the pools.
    thread: JoinHandle<Result<StageContents, UsdError>>,
}

impl Changing {
    pub(super) fn any(changing: Res<Self>) -> bool {
        !changing.stages.is_empty()
    }

    /// Whether a stage is being changed, so that asking its live stage anything would mean to wait.
    pub(crate) fn is_changing(&self, stage: AssetId<UsdStage>) -> bool {
        self.stages.contains_key(&stage)
    }
}

/// Notes what is asked for.
pub(super) fn take_requests(
    mut requests: MessageReader<UsdRequest>,
    mut roots: Query<(&UsdStageRoot, &mut UsdStageStatus)>,
    stages: Res<Assets<UsdStage>>,
    mut changing: ResMut<Changing>,
) {
    for UsdRequest { root, change } in requests.read() {
        let Ok((stage, mut status)) = roots.get_mut(*root) else {
            warn!("a change was asked of {root}, which shows no stage");
            continue;
        };
        let refused = match stages.get(&stage.0) {
            None => Some("a change was asked for before the stage was loaded; wait for UsdStageReady".to_owned()),
            Some(stage) => refuse(&stage.contents, change),
        };
        if let Some(error) = refused {
            *status = UsdStageStatus::Failed { error };
            continue;
        }
        changing.stages.entry(stage.0.id()).or_default().waiting.push_back(change.clone());
    }
}

/// Why a variant cannot be chosen. The composer would take any name, and show nothing.
fn refuse(contents: &StageContents, change: &UsdChange) -> Option<String> {
    let UsdChange::SelectVariant { prim, set, variant } = change else { return None };
    let layer = &contents.snapshot.root_layer;
    let Some(found) = contents.resolve(None, prim).and_then(|place| contents.prim(place)) else {
        return Some(format!("{layer}: there is no prim at {prim}"));
    };
    let Some(found) = found.variant_sets.iter().find(|found| found.name == *set) else {
        let sets: Vec<&str> = found.variant_sets.iter().map(|set| set.name.as_str()).collect();
        return Some(format!("{layer}: {prim} has no variant set `{set}`; it has: {}", sets.join(", ")));
    };
    let is_there = variant.is_empty() || found.variants.contains(variant);
    (!is_there)
        .then(|| format!("{layer}: {prim}: the set `{set}` has no variant `{variant}`; it has: {}", found.variants.join(", ")))
}

/// Makes changes, away from the main thread, and shows their results.
pub(super) fn make_changes(
    mut changing: ResMut<Changing>,
    mut stages: ResMut<Assets<UsdStage>>,
    assets: Res<AssetServer>,
    loader: Res<LoadedStages>,
    mut roots: Query<(&UsdStageRoot, &mut UsdStageStatus)>,
) {
    changing.stages.retain(|id, queue| {
        if let Some(Running { host, change, thread }) = queue.running.take_if(|running| running.thread.is_finished()) {
            let panicked = || UsdError::Panicked { layer: host.root().to_owned(), message: "a change was not made".to_owned() };
            let result = thread.join().unwrap_or_else(|_| Err(panicked()));
            let is_current = stages.get(*id).is_some_and(|stage| Arc::ptr_eq(&stage.host, &host));
            match result {
                // The stage was loaded again meanwhile, without this change.
                _ if !is_current => queue.waiting.push_front(change),
                Ok(contents) => {
                    let contents = Arc::new(contents);
                    if let Some(path) = assets.get_path(*id) {
                        loader.note(path.into_owned(), &contents);
                    }
                    if let Some(mut stage) = stages.get_mut(*id) {
                        stage.contents = contents;
                    }
                }
                Err(error) => {
                    for (_, mut status) in roots.iter_mut().filter(|(root, _)| root.0.id() == *id) {
                        *status = UsdStageStatus::Failed { error: error.to_string() };
                    }
                }
            }
        }
        if queue.running.is_none()
            && let Some(change) = queue.waiting.pop_front()
        {
            let Some(stage) = stages.get(*id).cloned() else { return false };
            match start(stage, change, assets.clone()) {
                Ok(running) => queue.running = Some(running),
                Err(error) => error!("a stage was not changed: cannot start a thread: {error}"),
            }
        }
        queue.running.is_some()
    });
}

fn start(stage: UsdStage, change: UsdChange, assets: AssetServer) -> std::io::Result<Running> {
    let UsdStage { contents, host } = stage;
    let (asked, worker) = (change.clone(), host.clone());
    let thread = std::thread::Builder::new().name("usd change".to_owned()).spawn(move || {
        apply(&worker, &asked)?;
        let taken = loader::extract(&worker)?;
        let mut choices = contents.choices.clone();
        // Edits are kept by themselves.
        if asked != UsdChange::Refresh {
            choices.push(asked);
        }
        let settings = contents.settings.clone();
        Ok(loader::make(&assets, &worker, taken, settings, choices, Some(contents)))
    })?;
    Ok(Running { host, change, thread })
}
