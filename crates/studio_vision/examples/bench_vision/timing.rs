//! How long the GPU takes.

use crate::{AnyResult, Bench};
use serde_json::{Value, json};
use std::time::Instant;

/// Runs recorded into one submission on a GPU in silicon: the queue is busy while the later ones are timed.
const BURST: u32 = 16;

/// Milliseconds of runs, sorted.
pub struct Times(Vec<f64>);

impl Times {
    /// The time that a share of the runs stayed below.
    pub fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share).round() as usize]
    }

    /// Of times as they came, at least one.
    pub fn new(mut ms: Vec<f64>) -> Self {
        ms.sort_by(f64::total_cmp);
        Self(ms)
    }

    /// Adds `p50_ms` and `p95_ms` to a record.
    pub fn add_to(&self, record: &mut Value) {
        let rounded = |share| json!((self.at(share) * 1e3).round() / 1e3);
        record["p50_ms"] = rounded(0.5);
        record["p95_ms"] = rounded(0.95);
    }
}

impl Bench {
    /// Times what `record` records, after a few runs for warmth: by the GPU's own clock in bursts where it is one in silicon, else from
    /// submission to completion one at a time.
    pub fn time(&self, mut record: impl FnMut(&mut wgpu::CommandEncoder) -> AnyResult<()>) -> AnyResult<Times> {
        let wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        if self.is_hardware() && self.gpu.device.features().contains(wanted) {
            return self.time_by_stamps(record);
        }
        let mut ms = Vec::new();
        for run in 0..self.frames + 3 {
            let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
            record(&mut encoder)?;
            let start = Instant::now();
            self.submit(encoder)?;
            if run >= 3 {
                ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(Times::new(ms))
    }

    /// Submits and waits.
    pub fn submit(&self, encoder: wgpu::CommandEncoder) -> AnyResult<()> {
        self.gpu.queue.submit([encoder.finish()]);
        self.gpu.device.poll(wgpu::PollType::wait_indefinitely())?;
        Ok(())
    }

    fn time_by_stamps(&self, mut record: impl FnMut(&mut wgpu::CommandEncoder) -> AnyResult<()>) -> AnyResult<Times> {
        use wgpu::BufferUsages as U;
        let device = &self.gpu.device;
        let (count, size) = (BURST + 1, 8 * u64::from(BURST + 1));
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count });
        let buffer =
            |usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
        let (resolved, read) = (buffer(U::QUERY_RESOLVE | U::COPY_SRC), buffer(U::COPY_DST | U::MAP_READ));
        let mut ms = Vec::new();
        let bursts = self.frames.div_ceil(BURST as usize) + 4;
        for burst in 0..bursts {
            let mut encoder = device.create_command_encoder(&Default::default());
            encoder.write_timestamp(&queries, 0);
            for run in 1..=BURST {
                record(&mut encoder)?;
                encoder.write_timestamp(&queries, run);
            }
            encoder.resolve_query_set(&queries, 0..count, &resolved, 0);
            encoder.copy_buffer_to_buffer(&resolved, 0, &read, 0, size);
            self.submit(encoder)?;
            read.slice(..).map_async(wgpu::MapMode::Read, |_| ());
            device.poll(wgpu::PollType::wait_indefinitely())?;
            let bytes = read.slice(..).get_mapped_range();
            let stamps: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            drop(bytes);
            read.unmap();
            if burst >= 4 {
                let period_ms = f64::from(self.gpu.queue.get_timestamp_period()) * 1e-6;
                ms.extend(stamps.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 * period_ms));
            }
        }
        Ok(Times::new(ms))
    }
}
