//! The panel beside the picture: what the desktop viewer's head-up display says, where someone with a headset sees it.

use crate::{Headset, HeadsetPhase, HeadsetStatus};
use bevy::prelude::*;
use std::fmt::Write;
use std::time::{Duration, Instant};
use studio_graph::prelude::*;
use studio_view::{input::StreamInputStats, stats::ViewStats};
use studio_vision::nodes::SynthesisCounts;

/// Whether the panel hangs below the picture.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadsetPanel(pub bool);

impl Default for HeadsetPanel {
    fn default() -> Self {
        Self(true)
    }
}

/// How often the figures are written anew.
const EVERY: Duration = Duration::from_secs(1);

/// Counters of a second ago.
#[derive(Default)]
pub(crate) struct Before {
    at: Option<Instant>,
    decoded: u64,
    generated: u64,
    repeated: u64,
}

pub(crate) fn write_panel(
    headset: Res<Headset>,
    status: Res<HeadsetStatus>,
    panel: Res<HeadsetPanel>,
    stats: Res<ViewStats>,
    counts: Option<Res<SynthesisCounts>>,
    inputs: Query<(&StreamInputStats, &NodeStatus)>,
    mut before: Local<Before>,
) {
    if !panel.0 || !matches!(status.phase, HeadsetPhase::On(_)) {
        headset.show_panel(None);
        return;
    }
    if before.at.is_some_and(|at| at.elapsed() < EVERY) {
        return;
    }
    let decoded = stats.get().decoded;
    let generated = counts.map_or(0, |counts| counts.generated());
    let seconds = before.at.map_or(f32::INFINITY, |at| at.elapsed().as_secs_f32());
    let rate = |now: u64, then: u64| now.saturating_sub(then) as f32 / seconds;
    let mut text = format!("display {:.0} Hz", status.display_hz);
    let rates = [
        ("decoded", rate(decoded, before.decoded)),
        ("generated", rate(generated, before.generated)),
        ("repeated", rate(status.repeated, before.repeated)),
    ];
    for (name, hz) in rates {
        let _written = write!(text, "\n{name} {hz:.1} Hz");
    }
    if let Some(age_ms) = status.age_ms {
        let _written = write!(text, "\nage when seen {age_ms:.0} ms");
    }
    for (input, node) in &inputs {
        let _written = write!(text, "\n{} · {:.2} Mbit/s", input.connection, input.bitrate_bps / 1e6);
        if input.renditions.len() > 1 {
            let _written = write!(text, "\nquality {}, of {}", input.rendition, input.renditions.len());
        }
        if let Some(error) = node.error() {
            let _written = write!(text, "\n{error}");
        }
    }
    *before = Before { at: Some(Instant::now()), decoded, generated, repeated: status.repeated };
    headset.show_panel(Some(text));
}
