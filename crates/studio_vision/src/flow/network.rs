//! Flow that a network found: on its way to the same confidence and grid.

use super::{FlowError, FlowPlan, output::FlowOutput};
use half::f16;
use std::sync::Arc;
use studio_gpu::{pass::Dispatch, picture::GpuPicture};
use studio_ml::{Dense, PairResult};

/// What becomes of the motion that a network found: texture, confidence and grid, as after [`FlowPass`](super::FlowPass).
pub struct NetworkFlow {
    plan: FlowPlan,
    output: FlowOutput,
    dispatches: Vec<Dispatch>,
}

impl NetworkFlow {
    /// Makes it for the sizes of [`FlowPlan::for_network`].
    ///
    /// # Errors
    /// [`FlowError::Gpu`] where the working size is larger than the GPU's textures.
    pub fn new(device: &wgpu::Device, plan: FlowPlan, both_ways: bool) -> Result<Self, FlowError> {
        plan.check_limits(device)?;
        let output = FlowOutput::new(device, &plan, both_ways)?;
        let dispatches = output.dispatches(device, &plan);
        Ok(Self { plan, output, dispatches })
    }

    /// Hands over what a network found in the current and the previous picture, in this order, and the pictures themselves: four bytes a
    /// pixel, red, green, blue and luma. All of [`FlowPlan::flow_size`].
    pub fn write(&self, queue: &wgpu::Queue, pictures: [&[u8]; 2], found: &PairResult) {
        let motion = self.motion(pictures, &found.forward);
        self.fill(queue, self.output.motion_texture(), &motion);
        if let (Some(back), Some(found)) = (self.output.back_texture(), &found.backward) {
            let (x, y) = found.values.split_at(found.values.len() / 2);
            let texels: Vec<_> = x.iter().zip(y).flat_map(|(x, y)| [-x, -y, 0.0, 0.0].map(f16::from_f32)).collect();
            self.fill(queue, back, &texels);
        }
    }

    /// Records what makes confidence and grid of it.
    pub fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.clear_buffer(self.output.grid(), 0, None);
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("network's flow"), timestamp_writes: None });
        for dispatch in &self.dispatches {
            dispatch.record(&mut pass);
        }
    }

    /// The sizes, and how to read the grid.
    pub fn plan(&self) -> &FlowPlan {
        &self.plan
    }

    /// The dense flow, as in [`FlowPass::motion_texture`](super::FlowPass::motion_texture).
    pub fn motion_texture(&self) -> &wgpu::Texture {
        self.output.motion_texture()
    }

    /// How far each motion can be trusted, as in [`FlowPass::confidence_picture`](super::FlowPass::confidence_picture).
    pub fn confidence_picture(&self) -> Option<&Arc<GpuPicture>> {
        self.output.confidence()
    }

    /// The reduced field, for a copy into a readback buffer.
    pub fn grid_buffer(&self) -> &wgpu::Buffer {
        self.output.grid()
    }

    /// Motion and what it leaves unexplained. A network says where the current picture's content is in the previous one; motion is
    /// where it came from.
    fn motion(&self, [current, previous]: [&[u8]; 2], found: &Dense) -> Vec<f16> {
        let (width, height) = (i64::from(self.plan.flow_size.x), i64::from(self.plan.flow_size.y));
        let luma = |bytes: &[u8], x: i64, y: i64| {
            let x = if self.plan.wraps { x.rem_euclid(width) } else { x.clamp(0, width - 1) };
            let pixel = (y.clamp(0, height - 1) * width + x) as usize;
            bytes.get(pixel * 4 + 3).copied().map_or(0.0, |luma| f32::from(luma) / 255.0)
        };
        let between = |x: f32, y: f32| {
            let (left, up) = (x.floor(), y.floor());
            let (across, down) = (x - left, y - up);
            let row = |y: i64| {
                let left = left as i64;
                luma(previous, left, y) * (1.0 - across) + luma(previous, left + 1, y) * across
            };
            row(up as i64) * (1.0 - down) + row(up as i64 + 1) * down
        };
        let (along, down) = found.values.split_at(found.values.len() / 2);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let texels = places.zip(along.iter().zip(down)).flat_map(|((x, y), (along, down))| {
            let here = luma(current, x, y);
            let moved = (here - between(x as f32 + along, y as f32 + down)).abs();
            let still = (here - luma(previous, x, y)).abs();
            [-along, -down, moved, still].map(f16::from_f32)
        });
        texels.collect()
    }

    fn fill(&self, queue: &wgpu::Queue, texture: &wgpu::Texture, texels: &[f16]) {
        let bytes: Vec<u8> = texels.iter().flat_map(|value| value.to_le_bytes()).collect();
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(texture.width() * 8), rows_per_image: None };
        queue.write_texture(texture.as_image_copy(), &bytes, layout, texture.size());
    }
}
