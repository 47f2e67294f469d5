//! Exposure compensation: what each lens's colours are multiplied by so that neighbours agree where both see the same.
//!
//! Some 1500 patches of the sphere that two lenses see are measured on the GPU ([`measure`]), a dozen times a second; what is found, eight
//! bytes a patch and lens, comes back through a ring of buffers without anyone waiting for it. Gains of lenses, or of a coarse grid of blocks
//! within each, are solved for from that ([`solve`]), and the gains in use follow them over time ([`follow`]).

mod follow;
mod measure;
mod overlap;
mod solve;
#[cfg(test)]
mod tests;

pub use follow::LensHealth;
pub use measure::StitchMeasurement;

use super::{StitchExposure, StitchSettings};
use crate::rig::{PreparedLens, PreparedRig};
use bevy::math::{UVec2, Vec3};
use follow::Follower;
use half::f16;
use measure::MeasurePass;
use overlap::Overlaps;
use std::time::Duration;
use studio_gpu::picture::GpuPicture;

/// Shortest time from one measurement to the next.
const INTERVAL: Duration = Duration::from_millis(80);

/// What a stitch keeps for the compensation of exposures.
pub(super) struct Gains {
    overlaps: Overlaps,
    pass: MeasurePass,
    follower: Follower,
    blocks: BlockTexture,
    measured_at: Option<Duration>,
}

impl Gains {
    /// What the settings ask for; none if exposures are fixed or the rig has one lens only.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, rig: &PreparedRig, settings: &StitchSettings) -> Option<Self> {
        if settings.exposure == StitchExposure::Fixed || rig.lenses.len() < 2 {
            return None;
        }
        let overlaps = Overlaps::new(rig, settings.distance_m.map(f64::from));
        let side = settings.exposure.side();
        let blocks = BlockTexture::new(device, queue, side, rig.lenses.len());
        let pass = MeasurePass::new(device, queue, &overlaps);
        let follower = Follower::new(rig.lenses.len(), side as usize, settings.exposure_settle_s);
        Some(Self { overlaps, pass, follower, blocks, measured_at: None })
    }

    /// Goes on from the gains of another compensation of the same rig.
    pub fn go_on_from(&mut self, queue: &wgpu::Queue, before: &Self) {
        self.follower.go_on_from(&before.follower);
        self.blocks.write(queue, &self.follower);
    }

    /// Records a measurement of the frame of a moment; none where the one before is not long ago.
    pub fn measure(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &[&GpuPicture],
        at: Duration,
    ) -> Option<StitchMeasurement> {
        // A moment before the last one: a clip that starts again.
        if self.measured_at.is_some_and(|last| at.checked_sub(last).is_some_and(|passed| passed < INTERVAL)) {
            return None;
        }
        let measurement = self.pass.encode(device, queue, encoder, &self.overlaps, inputs, at)?;
        self.measured_at = Some(at);
        Some(measurement)
    }

    /// Takes in what has been measured. Says whether a lens dropped out or came back.
    pub fn take(&mut self, queue: &wgpu::Queue) -> bool {
        let Some((at, colors)) = self.pass.take() else { return false };
        let changed = self.follower.follow(&self.overlaps, &colors, at);
        self.blocks.write(queue, &self.follower);
        changed
    }

    /// Factors of a lens's gamma-coded red, green and blue.
    pub fn of_lens(&self, lens: usize) -> Vec3 {
        (self.follower.lens_gain(lens) / PreparedLens::GAMMA as f32).exp()
    }

    /// How the lenses fare.
    pub fn health(&self) -> &[LensHealth] {
        self.follower.health()
    }

    /// The blocks: a layer for each lens.
    pub fn blocks(&self) -> &wgpu::TextureView {
        &self.blocks.view
    }
}

/// Factors of gamma-coded colours on a grid over each lens's region, beside its own gain.
pub(super) struct BlockTexture {
    texture: wgpu::Texture,
    pub view: wgpu::TextureView,
}

impl BlockTexture {
    const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;

    /// All of them one.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, side: u32, lenses: usize) -> Self {
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("stitch gains"),
            size: wgpu::Extent3d { width: side, height: side, depth_or_array_layers: lenses as u32 },
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: Self::FORMAT,
            usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
            view_formats: &[],
        });
        let dimension = Some(wgpu::TextureViewDimension::D2Array);
        let view = texture.create_view(&wgpu::TextureViewDescriptor { dimension, ..Default::default() });
        let made = Self { texture, view };
        made.put(queue, &vec![Vec3::ONE; (side * side) as usize * lenses]);
        made
    }

    fn write(&self, queue: &wgpu::Queue, follower: &Follower) {
        if let Some(blocks) = follower.blocks() {
            let factors: Vec<Vec3> = blocks.iter().map(|log| (*log / PreparedLens::GAMMA as f32).exp()).collect();
            self.put(queue, &factors);
        }
    }

    fn put(&self, queue: &wgpu::Queue, factors: &[Vec3]) {
        let halves: Vec<u16> =
            factors.iter().flat_map(|factor| factor.extend(1.0).to_array()).map(|value| f16::from_f32(value).to_bits()).collect();
        let size = UVec2::new(self.texture.width(), self.texture.height());
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(8 * size.x), rows_per_image: Some(size.y) };
        queue.write_texture(self.texture.as_image_copy(), bytemuck::cast_slice(&halves), layout, self.texture.size());
    }
}
