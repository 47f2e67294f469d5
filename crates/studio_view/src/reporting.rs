//! Tells the studio how this viewer fares: once a second, through its stream input's subscriber.

use crate::{input::RunningInput, sphere::SphereView, stats::ViewStats};
use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_stream::{
    report::{ViewerInfo, ViewerKind},
    subscribe::percentiles_ms,
};
use studio_vision::nodes::SynthesisCounts;

/// How often the figures of the reports are made.
const EVERY: Duration = Duration::from_millis(500);
/// Rates are taken over this many of them.
const RATES: usize = 4;

/// Whom the studio sees. A headset's viewer says that it is one.
#[derive(Resource, Clone, Debug, PartialEq, Eq)]
pub struct ViewerIdentity(pub ViewerInfo);

impl ViewerIdentity {
    /// This program as a viewer of a kind.
    pub fn of_kind(kind: ViewerKind) -> Self {
        let name = format!("Neural Studio {}, {}", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
        Self(ViewerInfo { kind, name })
    }
}

impl Default for ViewerIdentity {
    fn default() -> Self {
        Self::of_kind(ViewerKind::Desktop)
    }
}

/// Where someone looks, in degrees on the picture's sphere.
#[derive(Resource, Clone, Copy, Debug, Default, PartialEq)]
pub enum ViewerLook {
    /// Where the [`SphereView`] does.
    #[default]
    View,
    /// A headset's wearer: to the right of the picture's middle, from -180 to 180, and up, from -90 to 90.
    At {
        /// To the right of the picture's middle.
        yaw_deg: f32,
        /// Up from the horizon.
        pitch_deg: f32,
    },
    /// Nobody knows, or nobody looks.
    Unknown,
}

/// Counters at a moment: drawn, decoded, generated.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    at: Instant,
    counts: [u64; 3],
}

/// Fills the next reports, and notes where is looked.
pub(crate) fn tell_studio(
    inputs: Query<&RunningInput>,
    views: Query<&SphereView>,
    look: Res<ViewerLook>,
    identity: Res<ViewerIdentity>,
    stats: Res<ViewStats>,
    counts: Option<Res<SynthesisCounts>>,
    ledger: Res<LatencyLedger>,
    mut samples: Local<Vec<Sample>>,
) {
    let Some(first) = inputs.iter().next() else { return };
    let looked = match *look {
        ViewerLook::View => views.iter().next().map(|view| (view.yaw_deg, view.pitch_deg)),
        ViewerLook::At { yaw_deg, pitch_deg } => Some((yaw_deg, pitch_deg)),
        ViewerLook::Unknown => None,
    };
    if let Some((yaw_deg, pitch_deg)) = looked {
        first.reporter().look(f64::from(yaw_deg), f64::from(pitch_deg));
    }
    let now = Instant::now();
    if samples.last().is_some_and(|last| now - last.at < EVERY) {
        return;
    }
    let mut counters = stats.get();
    let generated = counts.as_ref().map_or(0, |counts| counts.generated());
    samples.push(Sample { at: now, counts: [counters.shown + generated, counters.decoded, generated] });
    if samples.len() > RATES {
        samples.remove(0);
    }
    let (from, to) = (samples[0], samples[samples.len() - 1]);
    let seconds = (to.at - from.at).as_secs_f64();
    let rate = |which: usize| (seconds > 0.0).then(|| (to.counts[which].saturating_sub(from.counts[which])) as f64 / seconds);
    let decode_ms = ledger.summary().into_iter().find(|stage| stage.stage == Stage::DECODE).map(|stage| f64::from(stage.p95_ms));
    // A headset shows the whole picture, whatever a window beside it does.
    let view = views.iter().next().filter(|_| *look == ViewerLook::View);
    for input in &inputs {
        input.fit_view(view);
        let offset_ms = input.clock_offset_ms().unwrap_or(0.0);
        let mut ages_ms: Vec<f64> = counters.ages_ms.make_contiguous().iter().map(|age| age - offset_ms).collect();
        let latency_ms = percentiles_ms(&mut ages_ms);
        input.reporter().update(|report| {
            report.viewer = Some(identity.0.clone());
            report.latency_ms = latency_ms;
            (report.display_hz, report.decoded_hz, report.generated_hz) = (rate(0), rate(1), rate(2));
            report.decode_ms = decode_ms;
            report.target_delay_ms = Some(input.target_delay_ms());
        });
    }
}
