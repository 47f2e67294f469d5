//! The coarse bands on the GPU.

use super::{BandsMap, LayerTile, pyramid};
use bevy::math::UVec2;
use half::f16;
use studio_gpu::pass::{ComputeKernel, Dispatch, shader};

const FORMAT: wgpu::TextureFormat = wgpu::TextureFormat::Rgba16Float;

/// What the coarse bands of a map need on the GPU, or, without any, what stands in for it in a stitch's bindings.
pub(crate) struct BandsPass {
    /// The lenses' pictures at level 0, an array; they are drawn by the stitch's own program.
    pub layers: wgpu::TextureView,
    pub tiles: wgpu::Buffer,
    /// What is added to each lens's picture in the plain stitch, an array with a texel for each cell.
    pub correction: wgpu::TextureView,
    dispatches: Vec<Dispatch>,
    sizes: Vec<UVec2>,
    wraps: bool,
    weights: Vec<wgpu::TextureView>,
    kernels: Option<Kernels>,
}

/// What the bands are worked out with; of pairs, the second is for the coarsest level.
struct Kernels {
    wraps: bool,
    halve: ComputeKernel,
    continue_layers: [ComputeKernel; 2],
    blend: [ComputeKernel; 2],
    correct: ComputeKernel,
}

impl Kernels {
    fn new(device: &wgpu::Device, wraps: bool) -> Self {
        let module = shader(device, "stitch bands", include_str!("../../../../../shaders/stitch_bands.wgsl"));
        let kernel = |entry: &str, coarsest: bool| {
            let constants = [("WRAPS", wraps), ("COARSEST", coarsest)].map(|(name, value)| (name, f64::from(u8::from(value))));
            ComputeKernel::of_module(device, &module, entry, &constants, ComputeKernel::PIXELS_8X8)
        };
        Self {
            wraps,
            halve: kernel("halve", false),
            continue_layers: [false, true].map(|coarsest| kernel("continue_layers", coarsest)),
            blend: [false, true].map(|coarsest| kernel("blend", coarsest)),
            correct: kernel("correct", false),
        }
    }

    /// The same for the textures of another map.
    fn for_another(&self) -> Self {
        Self {
            wraps: self.wraps,
            halve: self.halve.for_another(),
            continue_layers: self.continue_layers.each_ref().map(ComputeKernel::for_another),
            blend: self.blend.each_ref().map(ComputeKernel::for_another),
            correct: self.correct.for_another(),
        }
    }
}

impl BandsPass {
    /// Makes the textures of a map. A view that turns has a new map with every picture: it takes its kernels from the one `before`.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, map: Option<&BandsMap>, before: Option<&Self>) -> Self {
        let tiles = map.map_or(&[][..], |map| &map.tiles);
        let bytes = size_of::<LayerTile>().max(size_of_val(tiles)) as u64;
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("stitch layer tiles"),
            size: bytes,
            usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&buffer, 0, bytemuck::cast_slice(tiles));
        let Some(map) = map else {
            let [layers, correction] = core::array::from_fn(|_| array(device, FORMAT, UVec2::ONE, 1).1);
            let (sizes, weights) = (Vec::new(), Vec::new());
            return Self {
                layers,
                tiles: buffer,
                correction,
                dispatches: Vec::new(),
                sizes,
                wraps: false,
                weights,
                kernels: None,
            };
        };
        // As they are seen, and continued where they are not.
        let [layers, continued]: [Vec<_>; 2] =
            core::array::from_fn(|_| map.sizes.iter().map(|&size| array(device, FORMAT, size, map.lenses).1).collect());
        let weights: Vec<_> = (map.sizes.iter().zip(&map.weights))
            .map(|(&size, weights)| weight_array(device, queue, size, map.lenses, weights))
            .collect();
        let blended: Vec<_> = map.sizes.iter().map(|&size| plain(device, size)).collect();
        let same = before.and_then(|before| before.kernels.as_ref()).filter(|kernels| kernels.wraps == map.wraps);
        let kernels = same.map_or_else(|| Kernels::new(device, map.wraps), Kernels::for_another);
        use wgpu::BindingResource::TextureView;
        let mut dispatches = Vec::new();
        for (pair, size) in layers.windows(2).zip(&map.sizes[1..]) {
            let resources = [(0, TextureView(&pair[0])), (4, TextureView(&pair[1]))];
            dispatches.push(kernels.halve.prepare(device, &resources, *size));
        }
        let top = layers.len() - 1;
        // The coarsest level has none above it: the finest stands in, and is not read.
        let levels = || (1..=top).rev().map(|level| (level, if level == top { 0 } else { level + 1 }));
        for (level, above) in levels() {
            let resources =
                [(0, TextureView(&layers[level])), (1, TextureView(&continued[above])), (4, TextureView(&continued[level]))];
            dispatches.push(kernels.continue_layers[usize::from(level == top)].prepare(device, &resources, map.sizes[level]));
        }
        for (level, above) in levels() {
            let resources = [
                (0, TextureView(&continued[level])),
                (1, TextureView(&continued[above])),
                (2, TextureView(&weights[level])),
                (3, TextureView(&blended[above])),
                (5, TextureView(&blended[level])),
            ];
            dispatches.push(kernels.blend[usize::from(level == top)].prepare(device, &resources, map.sizes[level]));
        }
        // Where there is one level only, nothing lacks: the corrections stay zero.
        if let ([correction, layers, ..], [_, blend, ..]) = (continued.as_slice(), blended.as_slice()) {
            let resources = [(1, TextureView(layers)), (3, TextureView(blend)), (4, TextureView(correction))];
            dispatches.push(kernels.correct.prepare(device, &resources, map.sizes[0]));
        }
        Self {
            layers: layers[0].clone(),
            tiles: buffer,
            correction: continued[0].clone(),
            dispatches,
            sizes: map.sizes.clone(),
            wraps: map.wraps,
            weights,
            kernels: Some(kernels),
        }
    }

    /// Blends with other weights of each lens in each cell from now on.
    pub fn set_weights(&self, queue: &wgpu::Queue, cells: &[Vec<f32>]) {
        for (view, weights) in self.weights.iter().zip(pyramid(&self.sizes, cells, self.wraps)) {
            write_weights(queue, view.texture(), &weights);
        }
    }

    /// Records what comes between the layers and the stitch.
    pub fn record(&self, pass: &mut wgpu::ComputePass) {
        self.dispatches.iter().for_each(|dispatch| dispatch.record(pass));
    }
}

fn texture(device: &wgpu::Device, format: wgpu::TextureFormat, size: UVec2, layers: u32) -> wgpu::Texture {
    use wgpu::TextureUsages as U;
    let storage = if format == FORMAT { U::STORAGE_BINDING } else { U::COPY_DST };
    device.create_texture(&wgpu::TextureDescriptor {
        label: Some("stitch band"),
        size: wgpu::Extent3d { width: size.x, height: size.y, depth_or_array_layers: layers },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: U::TEXTURE_BINDING | storage,
        view_formats: &[],
    })
}

fn plain(device: &wgpu::Device, size: UVec2) -> wgpu::TextureView {
    texture(device, FORMAT, size, 1).create_view(&wgpu::TextureViewDescriptor::default())
}

fn array(device: &wgpu::Device, format: wgpu::TextureFormat, size: UVec2, layers: u32) -> (wgpu::Texture, wgpu::TextureView) {
    let texture = texture(device, format, size, layers);
    let dimension = Some(wgpu::TextureViewDimension::D2Array);
    let view = texture.create_view(&wgpu::TextureViewDescriptor { dimension, ..Default::default() });
    (texture, view)
}

fn weight_array(device: &wgpu::Device, queue: &wgpu::Queue, size: UVec2, lenses: u32, weights: &[f32]) -> wgpu::TextureView {
    let (texture, view) = array(device, wgpu::TextureFormat::R16Float, size, lenses);
    write_weights(queue, &texture, weights);
    view
}

fn write_weights(queue: &wgpu::Queue, texture: &wgpu::Texture, weights: &[f32]) {
    let size = UVec2::new(texture.width(), texture.height());
    let halves: Vec<u16> = weights.iter().map(|weight| f16::from_f32(*weight).to_bits()).collect();
    let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(2 * size.x), rows_per_image: Some(size.y) };
    queue.write_texture(texture.as_image_copy(), bytemuck::cast_slice(&halves), layout, texture.size());
}
