//! What goes wrong, with where and the way out.

use std::fmt;

/// Why a stage, a layer or a request failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UsdError {
    /// There is no such layer.
    #[error("{layer}: not found; check the path, and that it is inside of the folder or package that layers are read from")]
    NotFound {
        /// Its identifier.
        layer: String,
    },
    /// The path leads out of where layers may be read from.
    #[error(
        "{path}: leads out of the folder or package that layers are read from; open the stage with a folder that holds all of it"
    )]
    OutsideRoot {
        /// The path as written.
        path: String,
    },
    /// Layers are not here yet: fetch them, then open again.
    #[error("{} layers are not here yet, first {}; fetch them and open again", .layers.len(), .layers.first().map_or("", String::as_str))]
    LayersPending {
        /// Their identifiers.
        layers: Vec<String>,
    },
    /// The source failed.
    #[error("{layer}: {message}")]
    Read {
        /// The layer's identifier.
        layer: String,
        /// What the source said.
        message: String,
    },
    /// The layer says something that it may not.
    #[error("{layer}{}: {message}", Line(.line))]
    Parse {
        /// The layer's identifier.
        layer: String,
        /// The line, from 1; `None` in binary layers.
        line: Option<u32>,
        /// What is wrong.
        message: String,
    },
    /// More than the budget allows.
    #[error("{layer}{}: {what}: {found} is over the budget of {allowed}; raise Budget::{budget} if you trust the file", Line(.line))]
    OverBudget {
        /// The layer's identifier.
        layer: String,
        /// The line, from 1, where there is one.
        line: Option<u32>,
        /// What there is too much of.
        what: String,
        /// How much, or the least that it is.
        found: u64,
        /// How much is allowed.
        allowed: u64,
        /// The field of [`Budget`](super::Budget) to raise.
        budget: &'static str,
    },
    /// Composing took longer than [`Budget::open_time`](super::Budget::open_time).
    #[error(
        "{layer}: took longer than {seconds} s to open; raise Budget::open_time, or leave payloads unloaded or mask the stage"
    )]
    TimedOut {
        /// The root layer's identifier.
        layer: String,
        /// The limit.
        seconds: f64,
    },
    /// The composer panicked. The stage is gone; nothing else is.
    #[error("{layer}: the composer failed on this file ({message}); please report it with the file")]
    Panicked {
        /// The root layer's identifier.
        layer: String,
        /// The panic's message.
        message: String,
    },
    /// The composer refused.
    #[error("{layer}: {message}")]
    Compose {
        /// The root layer's identifier.
        layer: String,
        /// What it said.
        message: String,
    },
    /// An edit cannot be made.
    #[error("{path}: {message}")]
    Edit {
        /// The prim or property.
        path: String,
        /// Why, and what to do instead.
        message: String,
    },
    /// A layer could not be written; the file is as it was.
    #[error("{path}: cannot be saved: {message}; the file there is unchanged")]
    Save {
        /// The file.
        path: String,
        /// Why.
        message: String,
    },
    /// A diff cannot be read.
    #[error("this diff cannot be read: {message}")]
    Diff {
        /// Why.
        message: String,
    },
    /// The thread that held the stage is gone: open the stage again.
    #[error("{layer}: the stage is closed{}; open it again", .reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())]
    HostGone {
        /// The root layer's identifier.
        layer: String,
        /// Why, if it did not end by itself.
        reason: Option<String>,
    },
    /// The stage has more requests waiting than it takes.
    #[error("{layer}: too many requests wait for this stage; try again")]
    Busy {
        /// The root layer's identifier.
        layer: String,
    },
}

impl UsdError {
    pub(crate) fn parse(layer: &str, line: Option<u32>, message: impl Into<String>) -> Self {
        Self::Parse { layer: layer.to_owned(), line, message: message.into() }
    }

    /// An [`UsdError::OverBudget`] of what is in one place.
    pub(crate) fn over(layer: &str, line: Option<u32>, what: &str, found: u64, allowed: u64, budget: &'static str) -> Self {
        Self::OverBudget { layer: layer.to_owned(), line, what: what.to_owned(), found, allowed, budget }
    }

    /// The layer it is about; empty where it is not about one.
    pub fn layer(&self) -> &str {
        match self {
            Self::NotFound { layer }
            | Self::Read { layer, .. }
            | Self::Parse { layer, .. }
            | Self::OverBudget { layer, .. }
            | Self::TimedOut { layer, .. }
            | Self::Panicked { layer, .. }
            | Self::Compose { layer, .. }
            | Self::HostGone { layer, .. }
            | Self::Busy { layer } => layer,
            Self::OutsideRoot { path } | Self::Save { path, .. } => path,
            Self::LayersPending { layers } => layers.first().map_or("", String::as_str),
            Self::Edit { .. } | Self::Diff { .. } => "",
        }
    }

    /// The line it is about, from 1.
    pub fn line(&self) -> Option<u32> {
        match self {
            Self::Parse { line, .. } | Self::OverBudget { line, .. } => *line,
            _ => None,
        }
    }
}

struct Line<'a>(&'a Option<u32>);

impl fmt::Display for Line<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(out, ":{line}"))
    }
}

/// Something about a stage that people should know; the stage is there all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: IssueSeverity,
    /// The identifier of the layer it is about; empty where that is not known.
    pub layer: String,
    /// The line, from 1; `None` in binary layers.
    pub line: Option<u32>,
    /// The path of the prim or property it is about; empty for none.
    pub prim: String,
    /// What it is, and the way out.
    pub message: String,
}

/// How bad an issue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IssueSeverity {
    /// Nothing is lost.
    Note,
    /// Something is shown otherwise than it was meant.
    Warning,
    /// Something is missing from the stage.
    Error,
}

impl fmt::Display for Issue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}: ", self.layer, Line(&self.line))?;
        if !self.prim.is_empty() {
            write!(out, "{}: ", self.prim)?;
        }
        write!(out, "{}", self.message)
    }
}
