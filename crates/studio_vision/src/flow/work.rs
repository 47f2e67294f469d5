//! The pipelines and textures between the pyramids and the grid.

use super::{
    FlowPlan, FlowQuality,
    compute::{CELLS_8X4, storage_texture},
    output::FlowOutput,
};
use bevy::math::UVec2;
use studio_gpu::{
    device::GpuError,
    pass::{ComputeKernel, Dispatch, shader},
};

/// Pixels from patch to patch.
const STRIDE: u32 = 4;

/// What a quality means for the shaders.
pub(super) struct Effort {
    /// Whether the luma is smoothed by half a pixel first.
    pub(super) soften: bool,
    /// Evaluations of a patch's descent.
    steps: u32,
    /// Samples in a row of a patch, 4 or 8.
    row_samples: u32,
    /// Whether a patch tries nine coarser ones or only five.
    corners: bool,
    /// Passes of the filter over the patches of the finest level, and of the other levels.
    filters: [usize; 2],
    /// What a patch's own motion counts in the filter.
    own: f64,
    /// Passes of refinement over the dense flow, each with the pixels from one motion to the next.
    refinements: &'static [i32],
}

/// How threads share the search of patches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PatchSearch {
    /// One thread a patch: quickest in software.
    Alone,
    /// Many threads a patch, as coarse levels have too few patches to keep a GPU busy.
    Together,
}

impl PatchSearch {
    /// Threads of a workgroup that search together.
    const THREADS: u32 = 64;
    /// Threads a patch on the coarsest level, where 170 motions are tried.
    const COARSEST_LANES: u32 = 32;
    /// Threads that keep a GPU busy.
    const BUSY: u32 = 1 << 15;

    pub(super) fn of(device: &wgpu::Device) -> Self {
        if device.adapter_info().device_type == wgpu::DeviceType::Cpu { Self::Alone } else { Self::Together }
    }

    /// Threads a patch on a level of so many. The fewer, the less is said between them.
    fn lanes(self, patches: UVec2, coarsest: bool) -> u32 {
        match self {
            Self::Alone => 1,
            Self::Together if coarsest => Self::COARSEST_LANES,
            Self::Together => (Self::BUSY / patches.element_product()).next_power_of_two().clamp(4, 16),
        }
    }

    /// The kernels of all levels, the finest first.
    fn kernels(self, device: &wgpu::Device, constants: &[(&str, f64)], levels: &[UVec2]) -> Vec<ComputeKernel> {
        let module = shader(device, "flow search", include_str!("../../../../shaders/flow_search.wgsl"));
        let mut made: Vec<((u32, bool), ComputeKernel)> = Vec::new();
        for (patches, level) in levels.iter().zip(1..) {
            let coarsest = level == levels.len();
            let lanes = self.lanes(*patches, coarsest);
            let kernel = match made.last().filter(|(same, _)| *same == (lanes, coarsest)) {
                Some((_, same)) => same.for_another(),
                None => {
                    let more = [("COARSEST", f64::from(u8::from(coarsest))), ("LANES", f64::from(lanes.max(4)))];
                    let (entry, workgroup) = match self {
                        Self::Alone => ("search", CELLS_8X4),
                        Self::Together => ("search_together", UVec2::new(Self::THREADS / lanes, 1)),
                    };
                    ComputeKernel::of_module(device, &module, entry, &[constants, more.as_slice()].concat(), workgroup)
                }
            };
            made.push(((lanes, coarsest), kernel));
        }
        made.into_iter().map(|(_, kernel)| kernel).collect()
    }
}

impl FlowQuality {
    pub(super) fn effort(self) -> Effort {
        match self {
            Self::Fast => {
                Effort { soften: false, steps: 3, row_samples: 4, corners: false, filters: [0, 1], own: 1.0, refinements: &[] }
            }
            Self::Balanced => {
                Effort { soften: true, steps: 5, row_samples: 8, corners: true, filters: [1, 1], own: 4.0, refinements: &[] }
            }
            Self::High => {
                Effort { soften: true, steps: 8, row_samples: 8, corners: true, filters: [2, 2], own: 2.0, refinements: &[4, 1] }
            }
        }
    }
}

/// The pipelines and textures between the pyramids and the grid.
pub(super) struct FlowWork {
    /// One for each level.
    search: Vec<ComputeKernel>,
    filter: ComputeKernel,
    densify: ComputeKernel,
    /// One for each pass of refinement.
    refine: Vec<ComputeKernel>,
    /// The patches of each level: how many, and textures for what the search finds and for what each pass of the filter makes of it.
    patches: Vec<(UVec2, Vec<wgpu::TextureView>)>,
    /// What each refinement reads.
    rough: Vec<wgpu::TextureView>,
    /// Stands in for the patches of a level coarser than the coarsest.
    no_patches: wgpu::TextureView,
    output: FlowOutput,
}

impl FlowWork {
    pub(super) fn new(
        device: &wgpu::Device,
        plan: &FlowPlan,
        effort: &Effort,
        search: PatchSearch,
        both_ways: bool,
    ) -> Result<Self, GpuError> {
        let wraps = ("WRAPS", f64::from(u8::from(plan.wraps)));
        let stride = ("STRIDE", f64::from(STRIDE));
        let steps = ("STEPS", f64::from(effort.steps));
        let row_samples = ("ROW_SAMPLES", f64::from(effort.row_samples));
        let corners = ("CORNERS", f64::from(u8::from(effort.corners)));
        let filter_shader = shader(device, "flow filter", include_str!("../../../../shaders/flow_filter.wgsl"));
        let densify_shader = shader(device, "flow densify", include_str!("../../../../shaders/flow_densify.wgsl"));
        let refine_shader = shader(device, "flow refine", include_str!("../../../../shaders/flow_refine.wgsl"));
        let counts: Vec<UVec2> = (0..plan.levels).map(|level| (plan.level_size(level) + STRIDE - 1) / STRIDE).collect();
        let patch_texture = |size| storage_texture(device, "flow patches", size, wgpu::TextureFormat::Rgba32Float).1;
        let pixels = |module: &wgpu::ShaderModule, entry: &str, constants: &[(&str, f64)]| {
            ComputeKernel::of_module(device, module, entry, constants, ComputeKernel::PIXELS_8X8)
        };
        let cells = |module: &wgpu::ShaderModule, entry: &str, constants: &[(&str, f64)]| {
            ComputeKernel::of_module(device, module, entry, constants, CELLS_8X4)
        };
        let dense = |label| storage_texture(device, label, plan.flow_size, wgpu::TextureFormat::Rgba16Float);
        Ok(Self {
            search: search.kernels(device, &[wraps, stride, steps, row_samples, corners], &counts),
            filter: cells(&filter_shader, "filter_patches", &[wraps, ("OWN", effort.own)]),
            densify: pixels(&densify_shader, "densify", &[wraps, stride]),
            refine: effort
                .refinements
                .iter()
                .map(|&spacing| pixels(&refine_shader, "refine", &[wraps, ("SPACING", f64::from(spacing))]))
                .collect(),
            patches: (counts.iter().zip(0..))
                .map(|(&count, level)| {
                    let filters = effort.filters[usize::from(level > 0)];
                    (count, (0..=filters).map(|_| patch_texture(count)).collect())
                })
                .collect(),
            rough: (0..effort.refinements.len()).map(|_| dense("rough flow").1).collect(),
            no_patches: patch_texture(UVec2::ONE),
            output: FlowOutput::new(device, plan, both_ways)?,
        })
    }

    /// What the flow is written into, and what becomes of it.
    pub(super) fn output(&self) -> &FlowOutput {
        &self.output
    }

    /// What turns two pyramids into the grid.
    pub(super) fn dispatches(
        &self,
        device: &wgpu::Device,
        plan: &FlowPlan,
        current: &[wgpu::TextureView],
        previous: &[wgpu::TextureView],
    ) -> Vec<Dispatch> {
        let mut dispatches = Vec::new();
        if let Some(back) = self.output.back() {
            dispatches.extend(self.dense(device, plan, [previous, current], back));
        }
        dispatches.extend(self.dense(device, plan, [current, previous], self.output.motion()));
        dispatches.extend(self.output.dispatches(device, plan));
        dispatches
    }

    /// What finds one motion a pixel, from the coarsest level to the finest.
    fn dense(
        &self,
        device: &wgpu::Device,
        plan: &FlowPlan,
        [current, previous]: [&[wgpu::TextureView]; 2],
        found: &wgpu::TextureView,
    ) -> Vec<Dispatch> {
        use wgpu::BindingResource::TextureView;
        let mut dispatches = Vec::new();
        let mut coarser = &self.no_patches;
        let levels = current.iter().zip(previous).zip(&self.patches).zip(&self.search);
        for (((current, previous), (count, patches)), search) in levels.rev() {
            let resources =
                [(0, TextureView(current)), (1, TextureView(previous)), (2, TextureView(coarser)), (3, TextureView(&patches[0]))];
            dispatches.push(search.prepare(device, &resources, *count));
            for pair in patches.windows(2) {
                let resources = [(0, TextureView(&pair[0])), (1, TextureView(&pair[1]))];
                dispatches.push(self.filter.prepare(device, &resources, *count));
            }
            coarser = patches.last().unwrap_or(coarser);
        }
        // Each stage reads what the one before wrote; the last writes what is found.
        let mut source = coarser;
        let stages = core::iter::once(&self.densify).chain(&self.refine);
        for (stage, target) in stages.zip(self.rough.iter().chain([found])) {
            let resources = [
                (0, TextureView(&current[0])),
                (1, TextureView(&previous[0])),
                (2, TextureView(source)),
                (3, TextureView(target)),
            ];
            dispatches.push(stage.prepare(device, &resources, plan.flow_size));
            source = target;
        }
        dispatches
    }
}
