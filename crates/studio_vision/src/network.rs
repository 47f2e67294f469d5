//! Networks that nodes use in place of their own methods.

use bevy::prelude::*;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::queue::QueuePolicy;
use studio_gpu::{driver::RunAgain, prelude::*};
use studio_graph::prelude::{FailureReport, StudioClock};
use studio_ml::{ModelError, ModelSettings, ModelWorker, PairSignature, PairTask};

/// Who finds motion or disparities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum VisionProvider {
    /// The network, where a model is named. Live, the program's own method goes on while it is being opened and where it fails, and the
    /// node says so. Offline the node waits, and fails where the network does: a result must not depend on that.
    #[default]
    Auto,
    /// The program's own method, on the GPU.
    Classical,
    /// The network and nothing else: where it fails, the node fails.
    OnnxRuntime,
}

/// A network that a node is to use.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NetworkChoice {
    path: PathBuf,
    task: PairTask,
    settings: ModelSettings,
    /// Whether nothing may take its place.
    is_required: bool,
}

impl NetworkChoice {
    /// What the settings of a node ask for; none: the node's own method.
    pub(crate) fn of(provider: VisionProvider, model: &str, settings: ModelSettings, task: PairTask) -> Result<Option<Self>> {
        let is_required = provider == VisionProvider::OnnxRuntime;
        if model.is_empty() && is_required {
            return Err(
                "the provider OnnxRuntime runs a network: name its ONNX file in “model”, or choose another provider".into()
            );
        }
        let choice = Self { path: model.into(), task, settings, is_required };
        Ok((provider != VisionProvider::Classical && !model.is_empty()).then_some(choice))
    }
}

/// When a network that failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// Who works now.
pub(crate) enum Provided {
    /// The node's own method.
    Classical,
    /// Nobody: the network is being opened.
    Nobody,
    /// The network.
    Network(OpenNetwork),
}

/// A network that takes pictures.
pub(crate) struct OpenNetwork {
    pub(crate) worker: Arc<ModelWorker>,
    pub(crate) signature: PairSignature,
    /// Where jobs say that they failed.
    pub(crate) failure: NetworkFailure,
}

/// Why a network does not work, and since when.
#[derive(Clone)]
pub(crate) struct NetworkFailure {
    since: Arc<Mutex<Option<(ModelError, Instant)>>>,
    again: RunAgain,
}

impl NetworkFailure {
    /// Has the node run again, to say so and to do without.
    pub(crate) fn set(&self, error: ModelError) {
        self.since.lock().get_or_insert_with(|| (error, Instant::now()));
        self.again.ask();
    }
}

/// A node's network.
pub(crate) struct Network {
    choice: NetworkChoice,
    is_live: bool,
    worker: Arc<ModelWorker>,
    failure: NetworkFailure,
    node: Entity,
    reports: FailureReport,
    /// The warning that is on the node.
    said: Option<String>,
}

impl Network {
    /// Who works for a node, live without waiting. The node says why if it is not the network.
    ///
    /// # Errors
    /// Why the network does not work, where nothing may take its place: offline, a frame must not depend on that.
    pub(crate) fn provide(
        networks: &mut NodeStates<Self>,
        gpu: &GpuContext,
        node: Entity,
        choice: Option<NetworkChoice>,
        reports: &FailureReport,
    ) -> Result<Provided> {
        let Some(choice) = choice else {
            networks.retain(|other| other != node);
            return Ok(Provided::Classical);
        };
        let is_live = *gpu.clock == StudioClock::Live;
        let fits = |network: &Self| network.choice == choice && network.is_live == is_live && !network.is_due_again();
        let network =
            networks.get_or_make(gpu, node, fits, || Self::start(choice.clone(), is_live, node, gpu.run_again(node), reports))?;
        network.provided()
    }

    fn start(choice: NetworkChoice, is_live: bool, node: Entity, again: RunAgain, reports: &FailureReport) -> Result<Self> {
        let policy = if is_live { QueuePolicy::NewestWins } else { QueuePolicy::Block };
        let opened = again.clone();
        let notify = move || opened.ask();
        let worker = Arc::new(ModelWorker::start(choice.path.clone(), choice.task, choice.settings, policy, notify)?);
        let failure = NetworkFailure { since: Arc::default(), again };
        Ok(Self { choice, is_live, worker, failure, node, reports: reports.clone(), said: None })
    }

    /// Whether it failed and is to be opened anew.
    fn is_due_again(&self) -> bool {
        self.failure.since.lock().as_ref().is_some_and(|(_, at)| at.elapsed() > RETRY_AFTER)
    }

    fn provided(&mut self) -> Result<Provided> {
        let opened = if self.is_live { self.worker.opened() } else { Some(self.worker.wait_opened()) };
        if let Some(Err(error)) = &opened {
            self.failure.since.lock().get_or_insert_with(|| (error.clone(), Instant::now()));
        }
        let failed = self.failure.since.lock().as_ref().map(|(error, _)| error.clone());
        let is_strict = self.choice.is_required || !self.is_live;
        let instead = format!("the classical {} goes on meanwhile", self.choice.task.name());
        let (provided, words) = match (failed, opened) {
            (Some(error), _) if is_strict => (Err(error.into()), None),
            (Some(error), _) => (Ok(Provided::Classical), Some(format!("{error}; {instead}"))),
            (None, Some(Ok(signature))) => {
                let (worker, failure) = (self.worker.clone(), self.failure.clone());
                (Ok(Provided::Network(OpenNetwork { worker, signature, failure })), None)
            }
            (None, _) if is_strict => (Ok(Provided::Nobody), None),
            (None, _) => {
                let words = format!("the model `{}` is being opened; {instead}", self.choice.path.display());
                (Ok(Provided::Classical), Some(words))
            }
        };
        self.say(words);
        provided
    }

    fn say(&mut self, words: Option<String>) {
        if self.said != words {
            self.reports.warning(self.node, words.clone());
            self.said = words;
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.say(None);
    }
}
