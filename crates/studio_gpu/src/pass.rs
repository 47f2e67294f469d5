//! What every small pass needs: a compute or full-target pipeline with automatic layout, a uniform, and a bind group.

use crate::picture::GpuPicture;
use bevy::math::UVec2;

/// Makes a compute pipeline from WGSL source with the layout that the shader implies.
pub fn compute_pipeline(device: &wgpu::Device, label: &str, source: &str, entry_point: &str) -> wgpu::ComputePipeline {
    let module = shader(device, label, source);
    device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: None,
        module: &module,
        entry_point: Some(entry_point),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    })
}

/// Makes a pipeline that covers its whole target: the vertex entry point is `cover`, drawn as one triangle.
pub fn cover_pipeline(
    device: &wgpu::Device,
    label: &str,
    source: &str,
    fragment: &str,
    format: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let module = shader(device, label, source);
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(label),
        layout: None,
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("cover"),
            compilation_options: Default::default(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some(fragment),
            compilation_options: Default::default(),
            targets: &[Some(format.into())],
        }),
        multiview_mask: None,
        cache: None,
    })
}

fn shader(device: &wgpu::Device, label: &str, source: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// A uniform buffer for one `T`.
pub fn uniform_buffer<T: bytemuck::Pod>(device: &wgpu::Device, label: &str) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: size_of::<T>() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

/// A sampler that interpolates; `wraps` joins the left and right edges.
pub fn linear_sampler(device: &wgpu::Device, label: &str, wraps: bool) -> wgpu::Sampler {
    device.create_sampler(&wgpu::SamplerDescriptor {
        label: Some(label),
        address_mode_u: if wraps { wgpu::AddressMode::Repeat } else { wgpu::AddressMode::ClampToEdge },
        mag_filter: wgpu::FilterMode::Linear,
        min_filter: wgpu::FilterMode::Linear,
        ..Default::default()
    })
}

/// Binds resources at 0, 1, 2, … in their order.
pub fn bind_group(
    device: &wgpu::Device,
    label: &str,
    layout: &wgpu::BindGroupLayout,
    resources: &[wgpu::BindingResource],
) -> wgpu::BindGroup {
    let entries: Vec<_> =
        (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource: resource.clone() }).collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor { label: Some(label), layout, entries: &entries })
}

/// A view of the whole of a picture's first plane.
pub fn view_of(picture: &GpuPicture) -> wgpu::TextureView {
    picture.planes[0].create_view(&wgpu::TextureViewDescriptor::default())
}

/// Binds resources at 0, 1, 2, … and runs a compute pipeline of 8×8 workgroups over `invocations`.
pub fn dispatch(
    device: &wgpu::Device,
    encoder: &mut wgpu::CommandEncoder,
    label: &str,
    pipeline: &wgpu::ComputePipeline,
    resources: &[wgpu::BindingResource],
    invocations: UVec2,
) {
    let bindings = bind_group(device, label, &pipeline.get_bind_group_layout(0), resources);
    let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
    pass.set_pipeline(pipeline);
    pass.set_bind_group(0, &bindings, &[]);
    pass.dispatch_workgroups(invocations.x.div_ceil(8), invocations.y.div_ceil(8), 1);
}
