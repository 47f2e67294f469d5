//! Changes of a stage while it is shown.

use super::{
    asset::UsdStage,
    components::{UsdStageRoot, UsdStageStatus},
    contents::StageContents,
    loader,
    message::{UsdChange, UsdRequest},
};
use bevy::{
    platform::collections::HashMap,
    prelude::*,
    tasks::{AsyncComputeTaskPool, Task, block_on, futures_lite::future},
};
use std::{collections::VecDeque, sync::Arc};
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
    task: Task<Result<StageContents, UsdError>>,
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
        if !stages.contains(&stage.0) {
            let error = "a change was asked for before the stage was loaded; wait for UsdStageReady".to_owned();
            *status = UsdStageStatus::Failed { error };
            continue;
        }
        changing.stages.entry(stage.0.id()).or_default().waiting.push_back(change.clone());
    }
}

/// Makes changes, away from the main thread, and shows their results.
pub(super) fn make_changes(
    mut changing: ResMut<Changing>,
    mut stages: ResMut<Assets<UsdStage>>,
    assets: Res<AssetServer>,
    mut roots: Query<(&UsdStageRoot, &mut UsdStageStatus)>,
) {
    changing.stages.retain(|id, queue| {
        if let Some(running) = &mut queue.running
            && let Some(result) = block_on(future::poll_once(&mut running.task))
        {
            let Some(Running { host, change, .. }) = queue.running.take() else { return true };
            let is_current = stages.get(*id).is_some_and(|stage| Arc::ptr_eq(&stage.host, &host));
            match result {
                // The stage was loaded again meanwhile, without this change.
                _ if !is_current => queue.waiting.push_front(change),
                Ok(contents) => {
                    if let Some(mut stage) = stages.get_mut(*id) {
                        stage.contents = Arc::new(contents);
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
            queue.running = Some(start(stage, change, assets.clone()));
        }
        queue.running.is_some()
    });
}

fn start(stage: UsdStage, change: UsdChange, assets: AssetServer) -> Running {
    let UsdStage { contents, host } = stage;
    let (asked, worker) = (change.clone(), host.clone());
    let task = AsyncComputeTaskPool::get().spawn(async move {
        apply(&worker, &asked)?;
        let taken = loader::extract(&worker)?;
        let mut choices = contents.choices.clone();
        // Edits are kept by themselves.
        if asked != UsdChange::Refresh {
            choices.push(asked);
        }
        let settings = contents.settings.clone();
        Ok(loader::make(&assets, &worker, taken, settings, choices, Some(contents)))
    });
    Running { host, change, task }
}
