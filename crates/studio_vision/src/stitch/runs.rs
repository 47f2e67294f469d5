//! A map on the GPU: which tiles are drawn together, from what, and how.

use super::{
    bands::BandsPass,
    gpu,
    map::{CELL_PX, Layer, StitchMap, TileTraits},
    seams::{SeamMap, SeamOffsets},
    tile::Tile,
};
use crate::rig::{MAX_LENSES, PreparedLens, PreparedRig};
use bevy::math::{UVec2, Vec3};
use bytemuck::{Pod, Zeroable};
use core::ops::Range;
use studio_gpu::{pass::linear_sampler, picture::GpuPicture};

/// Distance of uniforms in their buffer: a multiple of the largest alignment that a device may ask for, 256.
pub(super) const UNIFORM_STRIDE: u64 = UNIFORM_BYTES.next_multiple_of(256);
/// Threads of a workgroup that draws layers.
const LAYER_THREADS: u32 = 64;

/// What the shader knows of a lens.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct LensUniform {
    rgb_from_samples: [[f32; 4]; 3],
    region: [f32; 4],
}

/// What the shader knows of the tiles of one dispatch.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RunUniform {
    pub weight_scale: [f32; 2],
    pub tiles: [u32; 2],
    pub lenses: [LensUniform; MAX_LENSES],
}

pub(super) const UNIFORM_BYTES: u64 = size_of::<RunUniform>() as u64;

/// What a run of tiles is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kernel {
    /// The lenses' pictures for the coarse bands.
    Layer {
        aligned: bool,
    },
    Fill(TileTraits),
    Blend(TileTraits),
    Black,
}

/// Tiles that one dispatch draws, all from one picture.
pub(super) struct Run {
    pub tile_px: u32,
    pub kernel: Kernel,
    pub picture: usize,
    pub tiles: Range<u32>,
}

/// A map on the GPU.
pub(super) struct GpuMap {
    pub tiles: wgpu::Buffer,
    pub weights: wgpu::TextureView,
    pub weights_size: UVec2,
    pub sums: wgpu::Buffer,
    pub bands: BandsPass,
    pub correction_sampler: wgpu::Sampler,
    pub tile_px: u32,
    pub runs: Vec<Run>,
    pub uniforms: wgpu::Buffer,
    /// Whether lenses are aligned in their overlaps.
    pub aligned: bool,
    seams: Option<SeamMap>,
}

impl LensUniform {
    pub fn new(lens: &PreparedLens, gain: Vec3, reference: UVec2, input: &GpuPicture) -> Self {
        let rows = input.uniform().rgb_from_yuv;
        // A sample at the region's edge must not reach over it: half a texel of the coarsest plane stays free, but not at the
        // picture's own edge, where the sampler stops.
        let margin = if input.format.is_yuv() { 1.0 } else { 0.5 } / input.size.as_dvec2();
        let low = |axis: usize| match lens.region.min[axis] / f64::from(reference[axis]) {
            edge if edge > 0.0 => edge + margin[axis],
            _ => 0.0,
        };
        let high = |axis: usize| match lens.region.max[axis] / f64::from(reference[axis]) {
            edge if edge < 1.0 => edge - margin[axis],
            _ => 1.0,
        };
        Self {
            rgb_from_samples: core::array::from_fn(|row| rows[row].map(|value| value * lens.color_gain[row] as f32 * gain[row])),
            region: [low(0), low(1), high(0), high(1)].map(|edge| edge as f32),
        }
    }
}

impl Run {
    pub fn workgroups(&self) -> u32 {
        let tiles = self.tiles.len() as u32;
        match self.kernel {
            Kernel::Layer { .. } => (tiles * (self.tile_px / CELL_PX).pow(2)).div_ceil(LAYER_THREADS),
            Kernel::Fill(_) | Kernel::Blend(_) | Kernel::Black => tiles,
        }
    }
}

impl Kernel {
    pub fn entry_point(self) -> &'static str {
        match self {
            Self::Layer { .. } => "layer",
            Self::Fill(_) => "fill",
            Self::Blend(_) => "blend",
            Self::Black => "black",
        }
    }

    pub fn traits(self) -> TileTraits {
        match self {
            Self::Layer { aligned } => TileTraits { corrected: false, aligned },
            Self::Fill(traits) | Self::Blend(traits) => traits,
            Self::Black => TileTraits::default(),
        }
    }
}

impl GpuMap {
    /// Bytes of the buffer that shares of overlaps are added up in.
    pub fn sum_bytes(map: &StitchMap) -> u64 {
        map.sum_px.max(1) * 8
    }

    /// Brings a map to the GPU. A map that takes the place of one `before` takes over what it can.
    pub fn new(device: &wgpu::Device, queue: &wgpu::Queue, rig: &PreparedRig, map: StitchMap, before: Option<&Self>) -> Self {
        use wgpu::BufferUsages as U;
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false })
        };
        let mut runs: Vec<Run> = Vec::new();
        let layer_tiles = map.bands.as_ref().map_or(&[][..], |bands| &bands.tiles);
        for tiles in layer_tiles.chunk_by(|a, b| a.lens == b.lens) {
            let start = runs.last().map_or(0, |run| run.tiles.end);
            let picture = rig.lenses[tiles[0].lens as usize].picture;
            let kernel = Kernel::Layer { aligned: map.aligned };
            runs.push(Run { tile_px: map.tile_px(), kernel, picture, tiles: start..start + tiles.len() as u32 });
        }
        let blend = TileTraits { corrected: map.bands.is_some(), aligned: map.aligned };
        for Layer { tile_px, filled, blended, black } in &map.layers {
            let run = |kernel, lens: usize, tiles: &Range<u32>| Run {
                tile_px: *tile_px,
                kernel,
                picture: rig.lenses[lens].picture,
                tiles: tiles.clone(),
            };
            let begin = runs.len();
            for (lens, parts) in filled.iter().enumerate() {
                for (traits, tiles) in parts.iter().filter(|(_, tiles)| !tiles.is_empty()) {
                    // Lenses in one picture are filled together: each dispatch waits for the one before it.
                    let made = run(Kernel::Fill(*traits), lens, tiles);
                    let continues = |last: &&mut Run| {
                        (last.picture, last.kernel, last.tiles.end) == (made.picture, made.kernel, made.tiles.start)
                    };
                    match runs[begin..].last_mut().filter(continues) {
                        Some(last) => last.tiles.end = made.tiles.end,
                        None => runs.push(made),
                    }
                }
            }
            // A tile's shares are added up in the order of the lenses, each run seeing what the one before it wrote.
            runs.extend(blended.iter().enumerate().map(|(lens, tiles)| run(Kernel::Blend(blend), lens, tiles)));
            runs.push(run(Kernel::Black, 0, black));
        }
        runs.retain(|run| !run.tiles.is_empty());
        let tiles =
            buffer("stitch tiles", size_of::<Tile>().max(size_of_val(map.tiles.as_slice())) as u64, U::STORAGE | U::COPY_DST);
        queue.write_buffer(&tiles, 0, bytemuck::cast_slice(&map.tiles));
        Self {
            tiles,
            weights: gpu::data_texture(
                device,
                queue,
                "stitch weights",
                wgpu::TextureFormat::R8Unorm,
                map.weights_size,
                &map.weights,
            ),
            weights_size: map.weights_size,
            sums: buffer("stitch sums", Self::sum_bytes(&map), U::STORAGE),
            bands: BandsPass::new(device, queue, map.bands.as_ref(), before.map(|before| &before.bands)),
            correction_sampler: linear_sampler(device, "stitch correction", map.bands.as_ref().is_some_and(|bands| bands.wraps)),
            tile_px: map.tile_px(),
            uniforms: buffer("stitch runs", UNIFORM_STRIDE * runs.len().max(1) as u64, U::UNIFORM | U::COPY_DST),
            runs,
            aligned: map.aligned,
            seams: map.seams,
        }
    }

    /// Moves the seams.
    pub fn set_seams(&mut self, queue: &wgpu::Queue, offsets: &[SeamOffsets]) {
        let Some(seams) = &mut self.seams else { return };
        seams.weigh(offsets);
        gpu::write_bytes(queue, self.weights.texture(), &seams.weights);
        if let Some(cells) = &seams.cells {
            self.bands.set_weights(queue, &cells.lenses);
        }
    }
}
