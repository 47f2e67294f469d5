//! Compute pipelines and the dispatches made of them.

use bevy::math::UVec2;

/// Threads of a workgroup across and down, as the shaders declare them.
pub(crate) const PIXELS_8X8: UVec2 = UVec2::new(8, 8);
/// Threads of a workgroup for the shaders whose threads do much each.
pub(crate) const CELLS_8X4: UVec2 = UVec2::new(8, 4);

/// One dispatch, ready to run.
pub(crate) struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: UVec2,
}

impl Dispatch {
    /// Binds resources to a pipeline, each with its binding number, for `threads` threads.
    pub(crate) fn new(
        device: &wgpu::Device,
        pipeline: &wgpu::ComputePipeline,
        resources: &[(u32, wgpu::BindingResource<'_>)],
        threads: UVec2,
        workgroup: UVec2,
    ) -> Self {
        let entries: Vec<_> = resources
            .iter()
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding: *binding, resource: resource.clone() })
            .collect();
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        let workgroups = (threads + workgroup - UVec2::ONE) / workgroup;
        Self { pipeline: pipeline.clone(), bind_group, workgroups }
    }

    /// Records the dispatch.
    pub(crate) fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.workgroups.x, self.workgroups.y, 1);
    }
}

/// Makes a shader module.
pub(crate) fn shader(device: &wgpu::Device, label: &str, source: &'static str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// Makes the pipeline of an entry point; its layout is the one the shader states.
pub(crate) fn pipeline(
    device: &wgpu::Device,
    module: &wgpu::ShaderModule,
    entry_point: &str,
    constants: &[(&str, f64)],
) -> wgpu::ComputePipeline {
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(entry_point),
        layout: None,
        module,
        entry_point: Some(entry_point),
        compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
        cache: None,
    })
}

/// Makes a texture that compute shaders write and read, and its view.
pub(crate) fn storage_texture(
    device: &wgpu::Device,
    label: &str,
    size: UVec2,
    format: wgpu::TextureFormat,
) -> (wgpu::Texture, wgpu::TextureView) {
    let texture = device.create_texture(&wgpu::TextureDescriptor {
        label: Some(label),
        size: wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::STORAGE_BINDING | wgpu::TextureUsages::COPY_SRC,
        view_formats: &[],
    });
    let view = texture.create_view(&wgpu::TextureViewDescriptor::default());
    (texture, view)
}
