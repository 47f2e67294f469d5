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

/// What a node that runs has to say to people: something is wrong that it makes up for.
#[derive(Component, Clone, Debug, PartialEq, Eq)]
pub struct NodeWarning(pub String);

/// What other threads and the render world say of nodes; bounded, applied to [`NodeStatus`] and [`NodeWarning`] once a frame.
#[derive(Resource, Clone, Default)]
pub struct FailureReport(Arc<Mutex<Vec<(Entity, Report)>>>);

/// One thing that is said of a node.
enum Report {
    Success,
    Failure(String),
    Warning(Option<String>),
}

impl FailureReport {
    const MAX_PENDING: usize = 4096;

    /// Notes that a node delivered a frame.
    pub fn success(&self, node: Entity) {
        self.push(node, Report::Success);
    }

    /// Notes that a node failed.
    pub fn failure(&self, node: Entity, error: impl ToString) {
        self.push(node, Report::Failure(error.to_string()));
    }

    /// Notes what a node that runs has to say, in place of what it said before; none takes that back. Say it when it changes.
    pub fn warning(&self, node: Entity, words: Option<String>) {
        self.push(node, Report::Warning(words));
    }

    fn push(&self, node: Entity, report: Report) {
        let mut pending = self.0.lock();
        if pending.len() < Self::MAX_PENDING {
            pending.push((node, report));
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
    for (node, report) in reports {
        match report {
            Report::Success => {
                if let Some(mut status) = world.get_mut::<NodeStatus>(node) {
                    status.count_frame();
                }
            }
            Report::Failure(error) => {
                if world.get::<NodeStatus>(node).is_some_and(|status| status.error() != Some(&error)) {
                    warn!("{}: {error}", crate::link::node_label(world, node));
                }
                if let Some(mut status) = world.get_mut::<NodeStatus>(node) {
                    status.fail(error);
                }
            }
            Report::Warning(words) => {
                if let Some(words) = &words {
                    warn!("{}: {words}", crate::link::node_label(world, node));
                }
                let Ok(mut entity) = world.get_entity_mut(node) else { continue };
                match words {
                    Some(words) => entity.insert(NodeWarning(words)),
                    None => entity.remove::<NodeWarning>(),
                };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_stays_until_it_is_taken_back_and_the_node_runs_on() {
        let mut world = World::new();
        world.init_resource::<FailureReport>();
        let node = world.spawn(NodeStatus::default()).id();
        let gone = world.spawn_empty().id();
        world.despawn(gone);
        let report = world.resource::<FailureReport>().clone();
        report.warning(node, Some("a lens is black".to_owned()));
        report.warning(gone, Some("nobody hears this".to_owned()));
        report.success(node);
        apply_reports(&mut world);
        assert_eq!(world.get::<NodeWarning>(node), Some(&NodeWarning("a lens is black".to_owned())));
        assert_eq!(world.get::<NodeStatus>(node), Some(&NodeStatus::Running { frames: 1 }));
        report.warning(node, None);
        apply_reports(&mut world);
        assert_eq!(world.get::<NodeWarning>(node), None);
    }
}
