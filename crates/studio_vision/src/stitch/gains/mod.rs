//! Exposure compensation: what each lens's colours are multiplied by so that neighbours agree where both see the same.
//!
//! Gains of lenses, or of a coarse grid of blocks within each, are solved for from measured patches ([`solve`]), and the gains in use follow
//! them over time ([`follow`]).

mod follow;
mod solve;
#[cfg(test)]
mod tests;

pub(super) use follow::Follower;
pub use follow::LensHealth;

use crate::rig::PreparedLens;
use bevy::math::{UVec2, Vec3};
use half::f16;

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

    pub fn write(&self, queue: &wgpu::Queue, follower: &Follower) {
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
