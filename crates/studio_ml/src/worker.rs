//! A model on a thread of its own.

use crate::{Dense, ModelError, ModelSettings, PackedPicture, PairModel, PairSignature, PairTask};
use bevy::math::UVec2;
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::{path::PathBuf, sync::Arc, thread, time::Duration};
use studio_frame::queue::{QueuePolicy, QueueReceiver, QueueSender, ReceiveError, Sent, queue};

/// What a model found in two pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct PairResult {
    /// From the first picture to the second one; the left picture's disparities.
    pub forward: Dense,
    /// From the second picture to the first one; the right picture's disparities (what is at `x` there is at `x + disparity` in the left
    /// one). If it was asked for.
    pub backward: Option<Dense>,
}

/// Two pictures to compare.
pub struct PairJob {
    /// Width and height of both in pixels.
    pub size: UVec2,
    /// The first and the second picture, as in [`PackedPicture`].
    pub pictures: [Bytes; 2],
    /// Whether the left and right edges meet.
    pub wraps: bool,
    /// Whether the second picture is compared with the first one too.
    pub both_ways: bool,
    /// Gets what is found, on the model's thread. Not called for a job that a newer one took the place of.
    pub done: Box<dyn FnOnce(Result<PairResult, ModelError>) + Send>,
}

type Opened = Option<Result<PairSignature, ModelError>>;

/// A model on a thread of its own. The thread ends when this is dropped and the run under way is done.
pub struct ModelWorker {
    jobs: QueueSender<PairJob>,
    opened: Arc<(Mutex<Opened>, Condvar)>,
}

impl ModelWorker {
    /// Starts opening a model. `policy` says what becomes of a job while another one waits: live, the newest wins; offline, the sender
    /// waits. `notify` is called on the model's thread when [`opened`](Self::opened) knows something.
    ///
    /// # Errors
    /// [`ModelError::Thread`] if the system gives no thread.
    pub fn start(
        path: PathBuf,
        task: PairTask,
        settings: ModelSettings,
        policy: QueuePolicy,
        notify: impl FnOnce() + Send + 'static,
    ) -> Result<Self, ModelError> {
        let (jobs, waiting) = queue(1, policy);
        let opened = Arc::new((Mutex::new(None), Condvar::new()));
        let shared = opened.clone();
        thread::Builder::new()
            .name("model".to_owned())
            .spawn(move || {
                let model = PairModel::open(&path, task, &settings);
                let (state, changed) = &*shared;
                *state.lock() = Some(model.as_ref().map(|model| model.signature().clone()).map_err(Clone::clone));
                changed.notify_all();
                notify();
                if let Ok(model) = model {
                    work(model, &waiting);
                }
            })
            .map_err(|error| ModelError::Thread(error.to_string()))?;
        Ok(Self { jobs, opened })
    }

    /// The model's signature, or why it cannot be opened; none while it is being opened.
    pub fn opened(&self) -> Option<Result<PairSignature, ModelError>> {
        self.opened.0.lock().clone()
    }

    /// Waits until the model is open: for offline work.
    ///
    /// # Errors
    /// Why it cannot be opened, or [`ModelError::Thread`] if that takes longer than [`PairModel::TIME_LIMIT`] and some.
    pub fn wait_opened(&self) -> Result<PairSignature, ModelError> {
        let (state, changed) = &*self.opened;
        let mut state = state.lock();
        changed.wait_while_for(&mut state, |state| state.is_none(), PairModel::TIME_LIMIT + Duration::from_secs(10));
        state.clone().unwrap_or_else(|| Err(ModelError::Thread("the model does not open".to_owned())))
    }

    /// Hands over two pictures.
    pub fn send(&self, job: PairJob) -> Sent {
        self.jobs.send(job)
    }

    /// Compares two pictures and waits for it: for offline work.
    ///
    /// # Errors
    /// What [`PairModel::compare`] says, or [`ModelError::Thread`] if nothing comes back within both runs' limits and some.
    pub fn compare(&self, size: UVec2, pictures: [Bytes; 2], wraps: bool, both_ways: bool) -> Result<PairResult, ModelError> {
        let (sender, result) = queue(1, QueuePolicy::Block);
        let done = Box::new(move |found| {
            sender.send(found);
        });
        self.send(PairJob { size, pictures, wraps, both_ways, done });
        let longest = 2 * PairModel::TIME_LIMIT + Duration::from_secs(10);
        result.recv_timeout(longest).unwrap_or_else(|error| Err(ModelError::Thread(error.to_string())))
    }

    /// Jobs that newer ones took the place of.
    pub fn dropped(&self) -> u64 {
        self.jobs.dropped()
    }
}

fn work(mut model: PairModel, waiting: &QueueReceiver<PairJob>) {
    loop {
        match waiting.recv_timeout(Duration::from_secs(3600)) {
            Ok(PairJob { size, pictures, wraps, both_ways, done }) => {
                let pictures = pictures.each_ref().map(|bytes| PackedPicture { size, bytes });
                done(model.compare(pictures, wraps, both_ways));
            }
            Err(ReceiveError::Empty) => {}
            Err(ReceiveError::Closed) => return,
        }
    }
}
