//! The dispatches of stereo matching and the buffers they work in.

use super::{
    DisparityError, DisparityPlan, DisparitySettings,
    plan::{EDGE, ISLAND_STEP, REACH},
};
use crate::pixels::PackedPixels;
use bevy::math::{Rect, UVec2, Vec2};
use studio_gpu::{
    pass::{ComputeKernel, Dispatch, shader},
    picture::GpuPicture,
};

/// Threads of a workgroup where each has eight disparities of a pixel.
const CHUNKS_64: UVec2 = UVec2::new(64, 1);
/// Threads of a workgroup where each has a row.
const ROWS_32: UVec2 = UVec2::new(1, 32);
/// Threads of a workgroup where each has a line of a path.
const LINES_8: UVec2 = UVec2::new(8, 1);
/// Threads of a workgroup of paths at most, as in `disparity_aggregate.wgsl`.
const MOST_PATH_THREADS: u32 = 64;

/// Disparities of a rectified pair of pictures, on the GPU.
pub struct DisparityPass {
    plan: DisparityPlan,
    eyes: [PackedPixels; 2],
    dispatches: Vec<Dispatch>,
    disparities: wgpu::Buffer,
}

impl DisparityPass {
    /// Makes the pass for pictures of one size.
    ///
    /// # Errors
    /// What [`DisparityPlan::new`] says, or [`DisparityError::TooMuch`] where the GPU cannot hold the costs.
    pub fn new(device: &wgpu::Device, picture_size: UVec2, settings: &DisparitySettings) -> Result<Self, DisparityError> {
        let alone = device.adapter_info().device_type == wgpu::DeviceType::Cpu;
        Self::with_lines(device, picture_size, settings, alone)
    }

    /// The same, with lines that one thread walks along `alone`, or many together: the results are the same.
    pub(super) fn with_lines(
        device: &wgpu::Device,
        picture_size: UVec2,
        settings: &DisparitySettings,
        alone: bool,
    ) -> Result<Self, DisparityError> {
        let plan = DisparityPlan::new(picture_size, settings)?;
        plan.check_limits(device)?;
        let module = PackedPixels::module(device);
        let eyes = Self::eyes(device, &module, &plan);
        let disparities = plan.disparity_buffer(device);
        let matching = Matching { device, plan: &plan, prepare: &module, alone };
        let dispatches = matching.dispatches(&eyes, &disparities);
        Ok(Self { eyes, dispatches, disparities, plan })
    }

    /// Makes a pass that gets its disparities from a network: it makes the eyes' pixels, of `network_size` if the network has a size of its
    /// own, and takes islands out, fills holes and smooths.
    ///
    /// # Errors
    /// What [`DisparityPlan::new`] says.
    pub(super) fn of_network(
        device: &wgpu::Device,
        picture_size: UVec2,
        settings: &DisparitySettings,
        network_size: Option<UVec2>,
    ) -> Result<Self, DisparityError> {
        let plan = DisparityPlan::new(picture_size, settings)?;
        let plan = DisparityPlan { size: network_size.unwrap_or(plan.size), ..plan };
        let module = PackedPixels::module(device);
        let eyes = Self::eyes(device, &module, &plan);
        let disparities = plan.disparity_buffer(device);
        let mut dispatches = Vec::new();
        let matching = Matching { device, plan: &plan, prepare: &module, alone: true };
        matching.refine(&disparities, &mut dispatches);
        Ok(Self { eyes, dispatches, disparities, plan })
    }

    fn eyes(device: &wgpu::Device, module: &wgpu::ShaderModule, plan: &DisparityPlan) -> [PackedPixels; 2] {
        let kernel = PackedPixels::kernel(device, module, plan.size);
        ["left pixels", "right pixels"].map(|label| PackedPixels::new(device, label, &kernel, plan.picture_size, plan.size))
    }

    /// Records the matching of one frame. `left` and `right` give a picture and the part of it that shows the eye, in shares of
    /// its width and height; both may lie in one picture.
    ///
    /// # Errors
    /// [`DisparityError::SizesDiffer`] if the parts differ in size, [`DisparityError::SizeChanged`] if they have another size than
    /// the pass was made for.
    pub fn encode(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        left: (&GpuPicture, Rect),
        right: (&GpuPicture, Rect),
    ) -> Result<(), DisparityError> {
        self.encode_pixels(device, queue, encoder, left, right)?;
        self.encode_disparities(encoder);
        Ok(())
    }

    /// Records the first half of [`encode`](Self::encode): both eyes' pixels at the working size.
    pub(super) fn encode_pixels(
        &mut self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        encoder: &mut wgpu::CommandEncoder,
        left: (&GpuPicture, Rect),
        right: (&GpuPicture, Rect),
    ) -> Result<(), DisparityError> {
        let [left_size, right_size] = [left, right].map(|(picture, part)| eye_size(picture.size, part));
        if left_size != right_size {
            return Err(DisparityError::sizes_differ(left_size, right_size));
        }
        let expected = self.plan.picture_size;
        if left_size != expected {
            return Err(DisparityError::SizeChanged {
                expected_width: expected.x,
                expected_height: expected.y,
                width: left_size.x,
                height: left_size.y,
            });
        }
        for (eye, (picture, part)) in self.eyes.iter_mut().zip([left, right]) {
            eye.encode(device, queue, encoder, picture, part)?;
        }
        Ok(())
    }

    /// Records what turns the eyes' pixels, or what [`write_disparities`](Self::write_disparities) wrote, into disparities.
    pub(super) fn encode_disparities(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass =
            encoder.begin_compute_pass(&wgpu::ComputePassDescriptor { label: Some("disparity"), timestamp_writes: None });
        for dispatch in &self.dispatches {
            dispatch.record(&mut pass);
        }
    }

    /// The left and the right eye's pixels at the working size, as `PackedPixels` has them.
    pub(super) fn pixel_buffers(&self) -> [&wgpu::Buffer; 2] {
        self.eyes.each_ref().map(PackedPixels::buffer)
    }

    /// Hands over disparities that were found elsewhere, as [`disparity_buffer`](Self::disparity_buffer) holds them.
    pub(super) fn write_disparities(&self, queue: &wgpu::Queue, disparities: &[i32]) {
        queue.write_buffer(&self.disparities, 0, bytemuck::cast_slice(disparities));
    }

    /// The sizes the pass works at.
    pub fn plan(&self) -> &DisparityPlan {
        &self.plan
    }

    /// The disparities of the left picture: one `i32` a pixel of [`DisparityPlan::size`], row by row, in sixteenths of such a
    /// pixel; [`NO_DISPARITY`](super::NO_DISPARITY) in holes. What is at `x` in the left picture is at `x − disparity` in the right
    /// one.
    pub fn disparity_buffer(&self) -> &wgpu::Buffer {
        &self.disparities
    }
}

/// Size in pixels of a part of a picture.
pub(super) fn eye_size(picture: UVec2, part: Rect) -> UVec2 {
    (part.size() * picture.as_vec2()).max(Vec2::ZERO).round().as_uvec2()
}

pub(super) fn storage_buffer(device: &wgpu::Device, label: &str, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: bytes,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}

/// Makes the dispatches from pixels to disparities.
struct Matching<'a> {
    device: &'a wgpu::Device,
    plan: &'a DisparityPlan,
    prepare: &'a wgpu::ShaderModule,
    /// Whether each line of a path is one thread's.
    alone: bool,
}

impl Matching<'_> {
    fn kernel(&self, module: &wgpu::ShaderModule, entry: &str, more: &[(&str, f64)], workgroup: UVec2) -> ComputeKernel {
        // A module takes only the constants that it declares; these it always does.
        let size = [("WIDTH", f64::from(self.plan.size.x)), ("HEIGHT", f64::from(self.plan.size.y))];
        let constants: Vec<(&str, f64)> = size.into_iter().chain(more.iter().copied()).collect();
        ComputeKernel::of_module(self.device, module, entry, &constants, workgroup)
    }

    fn dispatches(&self, eyes: &[PackedPixels; 2], disparities: &wgpu::Buffer) -> Vec<Dispatch> {
        let Self { device, plan, prepare, alone } = *self;
        let words = |label, count: u64| storage_buffer(device, label, count * plan.pixels() * 4);
        let [left, right] = eyes.each_ref().map(PackedPixels::buffer);
        let ranks = [words("left ranks", 2), words("right ranks", 2)];
        let arms = words("arms", 1);
        let support = words("support", 1);
        let costs = storage_buffer(device, "costs", plan.pixels() * u64::from(plan.range));
        let sums = storage_buffer(device, "sums", plan.largest_buffer_bytes());
        let right_best = words("right disparities", 1);

        let chunks = plan.range / 8;
        let settings = &plan.settings;
        let flag = |value: bool| f64::from(u8::from(value));
        let wraps = ("WRAPS", flag(settings.wraps));
        let first = ("FIRST", f64::from(plan.first));
        let pixels = ComputeKernel::PIXELS_8X8;
        let size = plan.size;
        let mut dispatches = Vec::new();
        let mut add = |kernel: &ComputeKernel, threads: UVec2, buffers: &[(u32, &wgpu::Buffer)]| {
            let resources: Vec<_> = buffers.iter().map(|(at, buffer)| (*at, buffer.as_entire_binding())).collect();
            dispatches.push(kernel.prepare(device, &resources, threads));
        };

        let census = self.kernel(prepare, "census", &[wraps], pixels);
        add(&census, size, &[(1, left), (3, &ranks[0])]);
        add(&census, size, &[(1, right), (3, &ranks[1])]);

        let module = shader(device, "disparity cost", include_str!("../../../../shaders/disparity_cost.wgsl"));
        let cost = |entry| self.kernel(&module, entry, &[("CHUNKS", f64::from(chunks)), first, wraps], CHUNKS_64);
        let by_chunk = UVec2::new(size.x * chunks, size.y);
        let cost_buffers = [(0, left), (1, right), (2, &ranks[0]), (3, &ranks[1]), (4, &costs)];
        add(&cost("match_cost"), by_chunk, &cost_buffers);
        if plan.averagings > 0 {
            add(&self.kernel(prepare, "arms", &[wraps, ("REACH", f64::from(REACH))], pixels), size, &[(1, left), (4, &arms)]);
            add(&self.kernel(prepare, "support", &[wraps], pixels), size, &[(4, &arms), (5, &support)]);
            let (across, down) = (cost("sum_across"), cost("average_down"));
            for _ in 0..plan.averagings {
                add(&across, by_chunk, &[(4, &costs), (5, &sums), (6, &arms)]);
                add(&down, by_chunk, &[(4, &costs), (5, &sums), (6, &arms), (7, &support)]);
            }
        }

        let module = shader(device, "disparity aggregate", include_str!("../../../../shaders/disparity_aggregate.wgsl"));
        let lines = MOST_PATH_THREADS / chunks;
        let before = storage_buffer(device, "costs before", u64::from(size.max_element()) * u64::from(plan.range) * 2);
        for (index, &[dx, dy]) in plan.directions.iter().enumerate() {
            let [small, large, least_large] = plan.penalties.map(f64::from);
            let constants = [
                ("CHUNKS", f64::from(chunks)),
                ("LINES", f64::from(lines)),
                ("DX", f64::from(dx)),
                ("DY", f64::from(dy)),
                ("SMALL", small),
                ("LARGE", large),
                ("LEAST_LARGE", least_large),
                ("EDGE", f64::from(EDGE)),
                ("OPENS", flag(index == 0)),
            ];
            let count = if dy == 0 { size.y } else { size.x };
            let buffers = [(0, &costs), (1, &sums), (2, left), (3, &before)];
            if alone {
                add(&self.kernel(&module, "gather_alone", &constants, LINES_8), UVec2::new(count, 1), &buffers);
            } else {
                let gather = self.kernel(&module, "gather", &constants, UVec2::new(chunks, lines));
                add(&gather, UVec2::new(chunks, count), &buffers[..3]);
            }
        }

        let module = shader(device, "disparity select", include_str!("../../../../shaders/disparity_select.wgsl"));
        let selection = [
            ("RANGE", f64::from(plan.range)),
            first,
            wraps,
            ("UNIQUENESS", f64::from(settings.uniqueness_percent)),
            ("AGREEMENT", f64::from(settings.left_right_px)),
        ];
        add(&self.kernel(&module, "select_right", &selection, pixels), size, &[(0, &sums), (1, &right_best)]);
        let select_left = self.kernel(&module, "select_left", &selection, pixels);
        add(&select_left, size, &[(0, &sums), (1, &right_best), (2, disparities)]);

        self.refine(disparities, &mut dispatches);
        dispatches
    }

    /// What takes islands out, fills holes and smooths.
    fn refine(&self, disparities: &wgpu::Buffer, dispatches: &mut Vec<Dispatch>) {
        let Self { device, plan, .. } = *self;
        let words = |label| storage_buffer(device, label, plan.pixels() * 4);
        let (found, labels, sizes) = (words("found disparities"), words("labels"), words("sizes"));
        let settings = &plan.settings;
        let flag = |value: bool| f64::from(u8::from(value));
        let (pixels, size) = (ComputeKernel::PIXELS_8X8, plan.size);
        let mut add = |kernel: &ComputeKernel, threads: UVec2, buffers: &[(u32, &wgpu::Buffer)]| {
            let resources: Vec<_> = buffers.iter().map(|(at, buffer)| (*at, buffer.as_entire_binding())).collect();
            dispatches.push(kernel.prepare(device, &resources, threads));
        };
        let module = shader(device, "disparity refine", include_str!("../../../../shaders/disparity_refine.wgsl"));
        let refinement = [
            ("STEP", f64::from(ISLAND_STEP)),
            ("LEAST", f64::from(settings.speckle_px)),
            ("FILLS", flag(settings.fill_holes)),
            ("WRAPS", flag(settings.wraps)),
            ("FAREST", f64::from(plan.first * 16)),
        ];
        let refine = |entry, workgroup| self.kernel(&module, entry, &refinement, workgroup);
        let islands = [(0, disparities), (2, &labels), (3, &sizes)];
        add(&refine("label_rows", ROWS_32), UVec2::new(1, size.y), &islands);
        add(&refine("join_rows", pixels), size, &islands[..2]);
        add(&refine("count_pixels", pixels), size, &islands);
        add(&refine("fill_holes", pixels), size, &[(0, disparities), (1, &found), (2, &labels), (3, &sizes)]);
        add(&refine("median", pixels), size, &[(0, &found), (1, disparities)]);
    }
}
