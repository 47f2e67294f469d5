//! What every pass needs: a compute or full-target pipeline with automatic layout, uniforms, samplers and bind groups.

use bevy::math::UVec2;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// A compute pipeline with the layout that its shader implies, and the bind groups it was dispatched with.
pub struct ComputeKernel {
    pipeline: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bind_groups: BindGroupCache,
    workgroup: UVec2,
}

/// One dispatch of a [`ComputeKernel`], ready to be recorded.
pub struct Dispatch {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: UVec2,
}

impl ComputeKernel {
    /// Threads of a workgroup across and down, where a shader has no reason for another shape.
    pub const PIXELS_8X8: UVec2 = UVec2::new(8, 8);

    /// Makes a kernel of workgroups of 8×8 threads from WGSL source.
    pub fn new(device: &wgpu::Device, label: &str, source: &str, entry_point: &str) -> Self {
        Self::of_module(device, &shader(device, label, source), entry_point, &[], Self::PIXELS_8X8)
    }

    /// Makes a kernel from an entry point of a module, with pipeline constants; `workgroup` as the shader declares it. The shader writes
    /// its workgroup memory before it reads it: clearing that takes longer than some kernels work.
    pub fn of_module(
        device: &wgpu::Device,
        module: &wgpu::ShaderModule,
        entry_point: &str,
        constants: &[(&str, f64)],
        workgroup: UVec2,
    ) -> Self {
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(entry_point),
            layout: None,
            module,
            entry_point: Some(entry_point),
            compilation_options: wgpu::PipelineCompilationOptions { constants, zero_initialize_workgroup_memory: false },
            cache: None,
        });
        let layout = pipeline.get_bind_group_layout(0);
        Self { pipeline, layout, bind_groups: BindGroupCache::default(), workgroup }
    }

    /// The same kernel for another user, with bind groups of its own: those of one that is gone hold no textures.
    pub fn for_another(&self) -> Self {
        let bind_groups = BindGroupCache::default();
        Self { pipeline: self.pipeline.clone(), layout: self.layout.clone(), bind_groups, workgroup: self.workgroup }
    }

    /// Binds resources, each at its number, for a dispatch of at least `threads` threads.
    pub fn prepare(&self, device: &wgpu::Device, resources: &[(u32, wgpu::BindingResource)], threads: UVec2) -> Dispatch {
        let bind_group = self.bind_groups.get(device, &self.layout, resources);
        let workgroups = (threads + self.workgroup - UVec2::ONE) / self.workgroup;
        Dispatch { pipeline: self.pipeline.clone(), bind_group, workgroups }
    }

    /// Binds resources at 0, 1, 2, … and records a pass of this one dispatch, of at least `threads` threads.
    pub fn dispatch(
        &self,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
        label: &str,
        resources: &[wgpu::BindingResource],
        threads: UVec2,
    ) {
        let dispatch = self.prepare(device, &numbered(resources), threads);
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some(label), timestamp_writes: None });
        dispatch.record(&mut pass);
    }
}

/// A kernel whose shader has pipeline constants that change now and then: one pipeline for each set of values, made when it is first
/// asked for, and shared with the kernels [`for_another`](Self::for_another) user.
///
/// What a shader branches on for a whole dispatch belongs into such constants: Mesa 22's software Vulkan computes every side of a
/// branch on a value from a buffer.
pub struct SpecializedKernel<const N: usize> {
    family: Arc<KernelFamily<N>>,
    current: Option<([u32; N], ComputeKernel)>,
}

struct KernelFamily<const N: usize> {
    module: wgpu::ShaderModule,
    entry_point: &'static str,
    constants: [&'static str; N],
    made: Mutex<HashMap<[u32; N], ComputeKernel>>,
}

impl<const N: usize> SpecializedKernel<N> {
    /// Takes in WGSL source with workgroups of 8×8 threads and constants of these names.
    pub fn new(
        device: &wgpu::Device,
        label: &str,
        source: &str,
        entry_point: &'static str,
        constants: [&'static str; N],
    ) -> Self {
        let family = KernelFamily { module: shader(device, label, source), entry_point, constants, made: Mutex::default() };
        Self { family: Arc::new(family), current: None }
    }

    /// The same for another user, with bind groups of its own.
    pub fn for_another(&self) -> Self {
        Self { family: self.family.clone(), current: None }
    }

    /// The kernel with these values of the constants.
    pub fn with(&mut self, device: &wgpu::Device, values: [u32; N]) -> &ComputeKernel {
        let current = match self.current.take() {
            Some(current) if current.0 == values => current,
            _ => (values, self.family.kernel(device, values)),
        };
        &self.current.insert(current).1
    }
}

impl<const N: usize> KernelFamily<N> {
    fn kernel(&self, device: &wgpu::Device, values: [u32; N]) -> ComputeKernel {
        let make = || {
            let constants: Vec<_> = self.constants.into_iter().zip(values.map(f64::from)).collect();
            ComputeKernel::of_module(device, &self.module, self.entry_point, &constants, ComputeKernel::PIXELS_8X8)
        };
        self.made.lock().entry(values).or_insert_with(make).for_another()
    }
}

impl Dispatch {
    /// Records the dispatch.
    pub fn record(&self, pass: &mut wgpu::ComputePass<'_>) {
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.bind_group, &[]);
        pass.dispatch_workgroups(self.workgroups.x, self.workgroups.y, 1);
    }
}

/// Resources with their numbers: 0, 1, 2, …
pub fn numbered<'a>(resources: &[wgpu::BindingResource<'a>]) -> Vec<(u32, wgpu::BindingResource<'a>)> {
    (0..).zip(resources.iter().cloned()).collect()
}

/// Bind groups by what they bind.
///
/// Frames travel through a few textures that are used again and again, so a pass meets few combinations. Making a bind
/// group for each frame costs time in every driver, and memory that Mesa 22's software Vulkan never gives back.
#[derive(Default)]
pub struct BindGroupCache(Mutex<VecDeque<(Vec<Bound>, wgpu::BindGroup)>>);

/// A resource that a bind group holds on to.
#[derive(PartialEq)]
enum Bound {
    Buffer(u32, wgpu::Buffer, u64, Option<wgpu::BufferSize>),
    Sampler(u32, wgpu::Sampler),
    View(u32, wgpu::TextureView),
}

impl Bound {
    fn new((binding, resource): &(u32, wgpu::BindingResource)) -> Option<Self> {
        Some(match resource {
            wgpu::BindingResource::Buffer(part) => Self::Buffer(*binding, part.buffer.clone(), part.offset, part.size),
            wgpu::BindingResource::Sampler(sampler) => Self::Sampler(*binding, (*sampler).clone()),
            wgpu::BindingResource::TextureView(view) => Self::View(*binding, (*view).clone()),
            _ => return None,
        })
    }
}

impl BindGroupCache {
    /// More combinations than rings of textures bring about; the one unused for longest goes first.
    const MOST: usize = 64;

    /// The bind group of these resources, each at its number. Arrays of resources are bound anew each time.
    pub fn get(
        &self,
        device: &wgpu::Device,
        layout: &wgpu::BindGroupLayout,
        resources: &[(u32, wgpu::BindingResource)],
    ) -> wgpu::BindGroup {
        let make = || {
            let entries: Vec<_> = resources
                .iter()
                .map(|(binding, resource)| wgpu::BindGroupEntry { binding: *binding, resource: resource.clone() })
                .collect();
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries: &entries })
        };
        let Some(key) = resources.iter().map(Bound::new).collect::<Option<Vec<_>>>() else { return make() };
        let mut groups = self.0.lock();
        let known = groups.iter().position(|(bound, _)| *bound == key).and_then(|index| groups.remove(index));
        let (key, group) = known.unwrap_or_else(|| (key, make()));
        groups.truncate(Self::MOST - 1);
        groups.push_front((key, group.clone()));
        group
    }

    /// Lets go of all of them: where what they bind was replaced.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
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

/// Makes a shader module from WGSL source.
pub fn shader(device: &wgpu::Device, label: &str, source: &str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

/// A buffer for the parameters of a pass, one `T`: for `var<uniform>` or `var<storage, read>` in the shader.
///
/// Where a shader branches on a parameter, it must be `var<storage, read>`: Mesa 22's software Vulkan compiles a shader that
/// branches on a uniform anew for each dispatch, with the values put in, and keeps every one of them.
pub fn parameter_buffer<T: bytemuck::Pod>(device: &wgpu::Device, label: &str) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: size_of::<T>() as u64,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
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
