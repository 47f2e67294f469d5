//! How long the GPU worked on each node, by timestamp queries.

use bevy::{ecs::entity::EntityHashMap, prelude::*};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use studio_frame::prelude::*;

/// Nodes timed in one frame; further ones go untimed.
const MAX_SPANS: u32 = 64;
const BUFFERS: usize = 4;

/// How long the GPU worked on each node's latest frames, in milliseconds. Clones share the times.
#[derive(Resource, Clone, Default)]
pub struct NodeTimes(Arc<Mutex<EntityHashMap<f32>>>);

impl NodeTimes {
    /// Share of a new frame's time in the mean.
    const SHARE: f32 = 0.1;
    const MOST: usize = 16_384;

    /// The time of every node that ran, as a sliding mean.
    pub fn all(&self) -> EntityHashMap<f32> {
        self.0.lock().clone()
    }

    fn record(&self, node: Entity, time: Duration) {
        let mut times = self.0.lock();
        // Nodes come and go; what is forgotten comes back with its next frame.
        if times.len() >= Self::MOST {
            times.clear();
        }
        let new = time.as_secs_f32() * 1e3;
        let mean = times.entry(node).or_insert(new);
        *mean += (new - *mean) * Self::SHARE;
    }
}

/// Times spans of a frame's commands on the GPU's own clock and writes them into the ledger when they are known.
///
/// Without the timestamp features it does nothing.
pub struct GpuTimer {
    queries: Option<Queries>,
    spans: Vec<(u64, Stage, Entity)>,
    open: bool,
}

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    free: Arc<Mutex<Vec<wgpu::Buffer>>>,
    target: Option<wgpu::Buffer>,
    ns_per_tick: f32,
}

impl GpuTimer {
    /// Makes a timer for a device.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let needed = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        let queries = device.features().contains(needed).then(|| {
            let size = u64::from(MAX_SPANS) * 2 * 8;
            let buffer = |usage| {
                device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("timestamps"),
                    size,
                    usage,
                    mapped_at_creation: false,
                })
            };
            Queries {
                set: device.create_query_set(&wgpu::QuerySetDescriptor {
                    label: Some("timestamps"),
                    ty: wgpu::QueryType::Timestamp,
                    count: MAX_SPANS * 2,
                }),
                resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
                free: Arc::new(Mutex::new(
                    (0..BUFFERS).map(|_| buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ)).collect(),
                )),
                target: None,
                ns_per_tick: queue.get_timestamp_period(),
            }
        });
        Self { queries, spans: Vec::new(), open: false }
    }

    /// Starts a span.
    pub fn begin(&mut self, encoder: &mut wgpu::CommandEncoder, frame_id: u64, stage: Stage, node: Entity) {
        let Some(queries) = &self.queries else { return };
        if self.spans.len() < MAX_SPANS as usize {
            encoder.write_timestamp(&queries.set, self.spans.len() as u32 * 2);
            self.spans.push((frame_id, stage, node));
            self.open = true;
        }
    }

    /// Ends the span begun last.
    pub fn end(&mut self, encoder: &mut wgpu::CommandEncoder) {
        let Some(queries) = &self.queries else { return };
        if core::mem::take(&mut self.open) {
            encoder.write_timestamp(&queries.set, self.spans.len() as u32 * 2 - 1);
        }
    }

    /// Records the copy of the timestamps; call it last before the encoder is finished. While every buffer is under way,
    /// the frame goes untimed.
    pub fn resolve(&mut self, encoder: &mut wgpu::CommandEncoder) {
        let Some(queries) = &mut self.queries else { return };
        let count = self.spans.len() as u32 * 2;
        queries.target = if count > 0 { queries.free.lock().pop() } else { None };
        if let Some(target) = &queries.target {
            encoder.resolve_query_set(&queries.set, 0..count, &queries.resolved, 0);
            encoder.copy_buffer_to_buffer(&queries.resolved, 0, target, 0, u64::from(count) * 8);
        }
    }

    /// Has the spans written into the ledger once the GPU is through; call it after the submission.
    pub fn deliver(&mut self, ledger: LatencyLedger, times: NodeTimes) {
        let spans = core::mem::take(&mut self.spans);
        let Some(queries) = &mut self.queries else { return };
        let Some(target) = queries.target.take() else { return };
        let (free, ns_per_tick, buffer) = (queries.free.clone(), queries.ns_per_tick, target.clone());
        target.map_async(wgpu::MapMode::Read, .., move |mapped| {
            if mapped.is_ok() {
                let ticks: Vec<u64> = buffer
                    .get_mapped_range(..)
                    .chunks_exact(8)
                    .map(|bytes| bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
                    .collect();
                for (pair, (frame_id, stage, node)) in ticks.chunks_exact(2).zip(spans) {
                    let nanos = pair[1].saturating_sub(pair[0]) as f64 * f64::from(ns_per_tick);
                    let time = Duration::from_nanos(nanos as u64);
                    ledger.record(frame_id, stage, time);
                    times.record(node, time);
                }
                buffer.unmap();
            }
            free.lock().push(buffer);
        });
    }
}
