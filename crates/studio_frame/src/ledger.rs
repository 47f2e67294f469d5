//! Where a frame's latency went, and how often its pixels were copied.

use bevy::prelude::*;
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// A named stage of the pipeline. Plugins make their own with `Stage("name")`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Stage(pub &'static str);

impl Stage {
    /// From the frame's capture until the pipeline took it.
    pub const CAPTURE: Self = Self("capture");
    /// Planes to the GPU.
    pub const UPLOAD: Self = Self("upload");
    /// Fisheye pictures to one picture.
    pub const STITCH: Self = Self("Stitch");
    /// Optical flow.
    pub const FLOW: Self = Self("Optical flow");
    /// Colour conversion and copy back from the GPU.
    pub const READBACK: Self = Self("readback");
    /// From the encoder's input to its access unit.
    pub const ENCODE: Self = Self("encode");
    /// From the access unit until it was handed to the transport.
    pub const SEND: Self = Self("send");
    /// From the sender's hand-over until the viewer had all of the access unit.
    pub const NETWORK: Self = Self("network");
    /// From the access unit to a decoded picture in the viewer.
    pub const DECODE: Self = Self("decode");
    /// From capture until a viewer uploads the decoded picture.
    pub const ARRIVAL: Self = Self("capture to viewer");
    /// From capture until the GPU had drawn the frame into a local window.
    pub const WINDOW: Self = Self("window");
    /// From capture to the picture in the viewer, read from the mark in the picture.
    pub const GLASS_TO_GLASS: Self = Self("glass to glass");
}

const SAMPLES_KEPT: usize = 4096;
const FRAMES_KEPT: usize = 512;

#[derive(Default)]
struct LedgerState {
    samples: BTreeMap<Stage, VecDeque<f32>>,
    counts: BTreeMap<Stage, u64>,
    order: Vec<Stage>,
    frames: BTreeMap<u64, Vec<(Stage, f32)>>,
}

/// Collects the time that each stage spent on each frame. Clones share one ledger; any thread may write.
#[derive(Resource, Clone, Default)]
pub struct LatencyLedger(Arc<Mutex<LedgerState>>);

/// The durations of one stage over the latest frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct StageSummary {
    /// The stage.
    pub stage: Stage,
    /// Frames recorded since the start.
    pub count: u64,
    /// Median in milliseconds.
    pub p50_ms: f32,
    /// 95th percentile in milliseconds.
    pub p95_ms: f32,
    /// Largest in milliseconds.
    pub max_ms: f32,
}

impl LatencyLedger {
    /// Adds a stage's duration to a frame.
    pub fn record(&self, frame_id: u64, stage: Stage, duration: Duration) {
        let duration_ms = duration.as_secs_f32() * 1e3;
        let mut state = self.0.lock();
        if !state.order.contains(&stage) {
            state.order.push(stage);
        }
        *state.counts.entry(stage).or_default() += 1;
        let samples = state.samples.entry(stage).or_default();
        if samples.len() == SAMPLES_KEPT {
            samples.pop_front();
        }
        samples.push_back(duration_ms);
        state.frames.entry(frame_id).or_default().push((stage, duration_ms));
        while state.frames.len() > FRAMES_KEPT {
            state.frames.pop_first();
        }
    }

    /// What is known of one of the latest frames, in the order it was recorded, in milliseconds.
    pub fn frame(&self, frame_id: u64) -> Vec<(Stage, f32)> {
        self.0.lock().frames.get(&frame_id).cloned().unwrap_or_default()
    }

    /// The summary of one stage, if it was ever recorded.
    pub fn stage(&self, stage: Stage) -> Option<StageSummary> {
        self.summary().into_iter().find(|summary| summary.stage == stage)
    }

    /// A summary of every stage, in the order in which the stages first appeared.
    pub fn summary(&self) -> Vec<StageSummary> {
        let state = self.0.lock();
        let summarise = |stage: &Stage| {
            let mut sorted: Vec<f32> = state.samples.get(stage)?.iter().copied().collect();
            sorted.sort_by(f32::total_cmp);
            Some(StageSummary {
                stage: *stage,
                count: state.counts.get(stage).copied().unwrap_or_default(),
                p50_ms: percentile(&sorted, 0.50)?,
                p95_ms: percentile(&sorted, 0.95)?,
                max_ms: percentile(&sorted, 1.0)?,
            })
        };
        state.order.iter().filter_map(summarise).collect()
    }
}

/// The nearest-rank percentile of sorted values; `share` from 0 to 1.
pub fn percentile(sorted: &[f32], share: f32) -> Option<f32> {
    let rank = (share * sorted.len() as f32).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied()
}

/// How often a frame's pixels were copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CopyCount {
    /// Copies from system memory to system memory.
    pub cpu: u32,
    /// Pictures written from system memory to the GPU.
    pub upload: u32,
    /// Pictures read from the GPU to system memory.
    pub readback: u32,
}

/// One way of copying pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyKind {
    /// System memory to system memory.
    Cpu,
    /// System memory to the GPU.
    Upload,
    /// GPU to system memory.
    Readback,
}

#[derive(Default)]
struct CopyState {
    frames: BTreeMap<u64, CopyCount>,
    totals: [u64; 3],
    bytes: [u64; 3],
    frame_count: u64,
}

/// Counts the copies of each frame. Clones share the counters; any thread may write.
#[derive(Resource, Clone, Default)]
pub struct CopyCounters(Arc<Mutex<CopyState>>);

impl CopyCounters {
    /// Counts one copied picture of `bytes` bytes.
    pub fn count(&self, frame_id: u64, kind: CopyKind, bytes: usize) {
        let mut state = self.0.lock();
        if !state.frames.contains_key(&frame_id) {
            state.frame_count += 1;
        }
        let count = state.frames.entry(frame_id).or_default();
        match kind {
            CopyKind::Cpu => count.cpu += 1,
            CopyKind::Upload => count.upload += 1,
            CopyKind::Readback => count.readback += 1,
        }
        state.totals[kind as usize] += 1;
        state.bytes[kind as usize] += bytes as u64;
        while state.frames.len() > FRAMES_KEPT {
            state.frames.pop_first();
        }
    }

    /// The copies of one of the latest frames.
    pub fn frame(&self, frame_id: u64) -> CopyCount {
        self.0.lock().frames.get(&frame_id).copied().unwrap_or_default()
    }

    /// The latest frames and their copies, oldest first.
    pub fn frames(&self) -> Vec<(u64, CopyCount)> {
        self.0.lock().frames.iter().map(|(id, count)| (*id, *count)).collect()
    }

    /// Mean copies a frame since the start: `[cpu, upload, readback]`.
    pub fn mean_per_frame(&self) -> [f32; 3] {
        let state = self.0.lock();
        state.totals.map(|total| total as f32 / state.frame_count.max(1) as f32)
    }

    /// Bytes copied since the start: `[cpu, upload, readback]`.
    pub fn bytes(&self) -> [u64; 3] {
        self.0.lock().bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<f32> = (1..=100).map(|value| value as f32).collect();
        assert_eq!(
            (percentile(&values, 0.5), percentile(&values, 0.95), percentile(&values, 1.0)),
            (Some(50.0), Some(95.0), Some(100.0))
        );
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.0), Some(7.0));
    }

    #[test]
    fn the_ledger_stays_bounded_and_in_order() {
        let ledger = LatencyLedger::default();
        for frame in 0..10_000 {
            ledger.record(frame, Stage::UPLOAD, Duration::from_millis(1));
            ledger.record(frame, Stage::STITCH, Duration::from_millis(frame % 10));
        }
        let summary = ledger.summary();
        assert_eq!(summary.iter().map(|stage| stage.stage).collect::<Vec<_>>(), [Stage::UPLOAD, Stage::STITCH]);
        assert_eq!(summary[1].count, 10_000);
        assert!(ledger.frame(0).is_empty() && ledger.frame(9_999).len() == 2);
    }
}
