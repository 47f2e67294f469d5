//! How nodes fare: running, failed, retrying.

use bevy::prelude::*;
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// How a node fares. A failed node keeps its last good output downstream and is tried again.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub enum NodeStatus {
    /// Nothing came through it yet.
    #[default]
    Idle,
    /// It runs.
    Running {
        /// Frames it has delivered.
        frames: u64,
    },
    /// Its source came to its end.
    Ended,
    /// It failed.
    Failed {
        /// What went wrong, for people.
        error: String,
        /// Failures in a row.
        attempts: u32,
        /// When it is tried again.
        retry_at: Instant,
    },
}

impl NodeStatus {
    /// Shortest wait before a failed node is tried again.
    pub const FIRST_RETRY: Duration = Duration::from_millis(500);
    /// Longest wait before a failed node is tried again.
    pub const LAST_RETRY: Duration = Duration::from_secs(10);

    /// Notes one more frame.
    pub fn count_frame(&mut self) {
        *self = match self {
            Self::Running { frames } => Self::Running { frames: *frames + 1 },
            _ => Self::Running { frames: 1 },
        };
    }

    /// Notes a failure; the wait doubles with every failure in a row.
    pub fn fail(&mut self, error: String) {
        let attempts = match self {
            Self::Failed { attempts, .. } => attempts.saturating_add(1),
            _ => 1,
        };
        *self = Self::Failed { error, attempts, retry_at: Instant::now() + Self::wait_after(attempts) };
    }

    /// How long is waited after so many failures in a row before a node is tried again.
    pub fn wait_after(failures: u32) -> Duration {
        Self::FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(Self::LAST_RETRY)
    }

    /// Whether the node may run now: it has not failed, or its wait is over.
    pub fn may_run(&self, now: Instant) -> bool {
        !matches!(self, Self::Failed { retry_at, .. } if *retry_at > now)
    }

    /// The error of a failed node.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// What other threads and the render world say of nodes; bounded, applied to [`NodeStatus`] once a frame.
#[derive(Resource, Clone, Default)]
pub struct FailureReport(Arc<Mutex<Vec<(Entity, Result<(), String>)>>>);

impl FailureReport {
    const MAX_PENDING: usize = 4096;

    /// Notes that a node delivered a frame.
    pub fn success(&self, node: Entity) {
        self.push(node, Ok(()));
    }

    /// Notes that a node failed.
    pub fn failure(&self, node: Entity, error: impl ToString) {
        self.push(node, Err(error.to_string()));
    }

    fn push(&self, node: Entity, outcome: Result<(), String>) {
        let mut pending = self.0.lock();
        if pending.len() < Self::MAX_PENDING {
            pending.push((node, outcome));
        }
    }
}

/// Whether [`apply_reports`] has something to do.
pub fn are_there_reports(reports: Res<FailureReport>) -> bool {
    !reports.0.lock().is_empty()
}

/// Writes the reports onto the nodes. A change of error is logged once, not every retry.
pub fn apply_reports(world: &mut World) {
    let reports = core::mem::take(&mut *world.resource::<FailureReport>().0.lock());
    for (node, outcome) in reports {
        let is_news = |error: &str| world.get::<NodeStatus>(node).is_some_and(|status| status.error() != Some(error));
        if let Err(error) = &outcome
            && is_news(error)
        {
            warn!("{}: {error}", crate::link::node_label(world, node));
        }
        let Some(mut status) = world.get_mut::<NodeStatus>(node) else { continue };
        match outcome {
            Ok(()) => status.count_frame(),
            Err(error) => status.fail(error),
        }
    }
}
