//! What the effects share: one shader, one dispatch, a picture to write.

use bevy::prelude::*;
use core::marker::PhantomData;
use std::sync::Arc;
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, linear_sampler, parameter_buffer, shader},
    picture::GpuPicture,
};

/// Parameters of an entry point of `effects.wgsl`, laid out as there.
pub trait EffectParameters: bytemuck::Pod {
    /// The entry point.
    const ENTRY_POINT: &'static str;
    /// How many pictures it reads: 1 or 2.
    const PICTURES: usize;
    /// Whether it reads a mask.
    const MASK: bool = false;
}

/// One effect with the picture that it writes.
pub struct EffectPass<P> {
    kernel: ComputeKernel,
    sampler: wgpu::Sampler,
    parameters: wgpu::Buffer,
    target: Arc<GpuPicture>,
    of: PhantomData<P>,
}

impl<P: EffectParameters> EffectPass<P> {
    /// Makes the pass, which writes pictures of `size` pixels.
    ///
    /// # Errors
    /// [`GpuError::PictureTooLarge`] if the GPU's textures cannot be as large.
    pub fn new(device: &wgpu::Device, size: UVec2) -> Result<Self, GpuError> {
        let module = shader(device, "effects", include_str!("../../../shaders/effects.wgsl"));
        Ok(Self {
            kernel: ComputeKernel::of_module(device, &module, P::ENTRY_POINT, &[], ComputeKernel::PIXELS_8X8),
            sampler: linear_sampler(device, "effects", false),
            parameters: parameter_buffer::<P>(device, P::ENTRY_POINT),
            target: Arc::new(GpuPicture::rgba(device, P::ENTRY_POINT, size)?),
            of: PhantomData,
        })
    }

    /// The picture that is written.
    pub const fn target(&self) -> &Arc<GpuPicture> {
        &self.target
    }

    /// Records the effect. `second` is read by effects of two pictures, `mask` by those that have one; the first picture
    /// stands in where there is none.
    pub fn encode(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        parameters: &P,
        first: &GpuPicture,
        second: Option<&GpuPicture>,
        mask: Option<&GpuPicture>,
    ) {
        queue.write_buffer(&self.parameters, 0, bytemuck::bytes_of(parameters));
        let mut resources = vec![(0, self.parameters.as_entire_binding()), (1, wgpu::BindingResource::Sampler(&self.sampler))];
        let pictures = [first, second.unwrap_or(first)];
        let views = pictures.iter().take(P::PICTURES).flat_map(|picture| picture.plane_views());
        resources.extend((2..).zip(views.map(wgpu::BindingResource::TextureView)));
        if P::MASK {
            resources.push((8, wgpu::BindingResource::TextureView(mask.unwrap_or(first).view())));
        }
        resources.push((9, wgpu::BindingResource::TextureView(self.target.view())));
        let dispatch = self.kernel.prepare(device, &resources, self.target.size);
        let label = Some(P::ENTRY_POINT);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label, timestamp_writes: None });
        dispatch.record(&mut pass);
    }
}

/// A setting that an effect cannot use.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the setting {name} is {value}: it must be {range}")]
pub struct SettingError {
    /// The setting.
    pub name: &'static str,
    /// Its value.
    pub value: f32,
    /// What it may be.
    pub range: &'static str,
}

/// Refuses what is no number or out of its range.
pub(crate) fn check(name: &'static str, value: f32, low: f32, high: f32, range: &'static str) -> Result<(), SettingError> {
    if (low..=high).contains(&value) { Ok(()) } else { Err(SettingError { name, value, range }) }
}
