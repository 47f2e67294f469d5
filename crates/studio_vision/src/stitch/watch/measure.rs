//! Measuring patches on the GPU.

use super::overlap::{Overlaps, Patch};
use crate::stitch::gpu::{self, Program};
use bytemuck::{Pod, Zeroable};
use half::f16;
use std::time::Duration;
use studio_frame::queue::{QueuePolicy, QueueReceiver, QueueSender, queue};
use studio_gpu::{
    picture::GpuPicture,
    readback::{ReadbackRing, ReadbackSlot},
};

const SHADER: &str = include_str!("../../../../../shaders/stitch_measure.wgsl");
/// Threads of a workgroup, as in the shader.
const THREADS: u32 = 64;
/// Measurements under way at most.
const RING: usize = 3;
/// Bytes that are found of a patch.
const PATCH_BYTES: usize = 12;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct PictureRun {
    rgb_from_yuv: [[f32; 4]; 3],
    patches: [u32; 4],
}

const RUN_BYTES: u64 = size_of::<PictureRun>() as u64;
/// Distance of uniforms in their buffer: the largest alignment that a device may ask for.
const RUN_STRIDE: u64 = 256;

/// What was found of a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::stitch) struct PatchColor {
    /// Mean red, green and blue light, 0 to 1.
    pub light: [f32; 3],
    /// The share of it that is neither black nor clipped, 0 to 1.
    pub usable: f32,
    /// Standard deviation of its gamma-coded luma, 0 to 1.
    pub detail: f32,
}

impl PatchColor {
    fn read(bytes: &[u8; PATCH_BYTES]) -> Self {
        let half = |index: usize| f16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]).to_f32();
        Self { light: [half(0), half(1), half(2)], usable: half(3), detail: half(4) }
    }
}

/// A measurement that the GPU was asked for. It is under way once the commands that it was recorded into are submitted and
/// [`deliver`](Self::deliver) was called.
pub struct StitchMeasurement {
    slot: ReadbackSlot,
    at: Duration,
    results: QueueSender<(Duration, Vec<PatchColor>)>,
}

impl StitchMeasurement {
    /// Hands the result to the stitch when the GPU is done. Call it after the submission.
    pub fn deliver(self) {
        let Self { slot, at, results } = self;
        // A lost device is said by whoever notices it first; gains stay as they are.
        slot.deliver(move |bytes| {
            if let Ok(bytes) = bytes {
                results.send((at, bytes.as_chunks::<PATCH_BYTES>().0.iter().map(PatchColor::read).collect()));
            }
        });
    }
}

/// Measures the patches of a rig's pictures.
pub(super) struct MeasurePass {
    program: Program,
    pipelines: Vec<(u32, wgpu::ComputePipeline)>,
    runs: wgpu::Buffer,
    patches: wgpu::Buffer,
    found: wgpu::Buffer,
    ring: ReadbackRing,
    sender: QueueSender<(Duration, Vec<PatchColor>)>,
    receiver: QueueReceiver<(Duration, Vec<PatchColor>)>,
}

impl MeasurePass {
    pub fn new(device: &wgpu::Device, queue_of_device: &wgpu::Queue, overlaps: &Overlaps) -> Self {
        use wgpu::BufferUsages as U;
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let count = overlaps.patches.len().max(1);
        let patches = buffer("stitch patches", (count * size_of::<Patch>()) as u64, U::STORAGE | U::COPY_DST);
        queue_of_device.write_buffer(&patches, 0, bytemuck::cast_slice(&overlaps.patches));
        let bytes = (count * PATCH_BYTES) as u64;
        let (sender, receiver) = queue(1, QueuePolicy::NewestWins);
        let more = [gpu::storage(true, size_of::<Patch>()), gpu::storage(false, PATCH_BYTES)];
        Self {
            program: Program::new(device, "stitch measure", SHADER, RUN_BYTES, true, &more),
            pipelines: Vec::new(),
            runs: buffer("stitch measure", RUN_STRIDE * overlaps.pictures.len() as u64, U::UNIFORM | U::COPY_DST),
            patches,
            found: buffer("stitch measured", bytes, U::STORAGE | U::COPY_SRC),
            ring: ReadbackRing::new(device, "stitch measured", bytes, RING),
            sender,
            receiver,
        }
    }

    /// Records a measurement; none if too many are under way.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        overlaps: &Overlaps,
        inputs: &[&GpuPicture],
        at: Duration,
    ) -> Option<StitchMeasurement> {
        let slot = self.ring.acquire()?;
        let mut runs = vec![0; RUN_STRIDE as usize * inputs.len()];
        for ((input, patches), bytes) in inputs.iter().zip(&overlaps.pictures).zip(runs.chunks_exact_mut(RUN_STRIDE as usize)) {
            let patches = [patches.start, patches.len() as u32, 0, 0];
            let run = PictureRun { rgb_from_yuv: input.uniform().rgb_from_yuv, patches };
            bytes[..size_of::<PictureRun>()].copy_from_slice(bytemuck::bytes_of(&run));
        }
        queue.write_buffer(&self.runs, 0, &runs);
        let pipelines: Vec<_> = inputs.iter().map(|input| self.pipeline(device, input.uniform().plane_layout[0])).collect();
        let more = [self.patches.as_entire_binding(), self.found.as_entire_binding()];
        let groups: Vec<_> = inputs.iter().map(|input| self.program.bind_group(device, input, &self.runs, &more)).collect();
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("stitch measure"), timestamp_writes: None });
        for (index, (pipeline, group)) in pipelines.iter().zip(&groups).enumerate() {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[(RUN_STRIDE as usize * index) as u32]);
            pass.dispatch_workgroups((overlaps.pictures[index].len() as u32).div_ceil(THREADS), 1, 1);
        }
        drop(pass);
        encoder.copy_buffer_to_buffer(&self.found, 0, slot.buffer(), 0, self.ring.bytes());
        Some(StitchMeasurement { slot, at, results: self.sender.clone() })
    }

    /// The newest measurement that has come since, and when its frame was.
    pub fn take(&self) -> Option<(Duration, Vec<PatchColor>)> {
        self.receiver.take_newest().ok()
    }

    fn pipeline(&mut self, device: &wgpu::Device, layout: u32) -> wgpu::ComputePipeline {
        if let Some((_, pipeline)) = self.pipelines.iter().find(|(known, _)| *known == layout) {
            return pipeline.clone();
        }
        let pipeline = self.program.pipeline(device, "measure", &[("LAYOUT", f64::from(layout))]);
        self.pipelines.push((layout, pipeline.clone()));
        pipeline
    }
}
