//! A network beside the program's own methods, where one is named: `NEURAL_STUDIO_FLOW_MODEL` or `NEURAL_STUDIO_STEREO_MODEL`.
//!
//! Its time is that of ONNX Runtime on the CPU, one way.

use crate::{AnyResult, Bench, timing::Times};
use bevy::math::{Rect, UVec2, Vec2};
use serde_json::{Value, json};
use std::{path::PathBuf, time::Instant};
use studio_frame::projection::PictureProjection;
use studio_gpu::{picture::GpuPicture, rgba::RgbaPass};
use studio_ml::{ModelSettings, PackedPicture, PairModel, PairResult, PairTask};
use studio_vision::{
    disparity::{DepthSettings, DisparitySettings, NetworkDepth},
    flow::{FlowPlan, FlowSettings, NetworkFlow},
};

/// The model that a variable names, opened.
pub fn named(variable: &str, task: PairTask) -> AnyResult<Option<(PairModel, Value)>> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from) else {
        eprintln!("skipped: no network (name one in {variable})");
        return Ok(None);
    };
    let start = Instant::now();
    let model = PairModel::open(&path, task, &ModelSettings::default())?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let record = json!({ "name": format!("{} by network {name}", task.name()), "open_ms": start.elapsed().as_secs_f64() * 1e3 });
    Ok(Some((model, record)))
}

/// Compares again and again.
fn time(bench: &Bench, mut compare: impl FnMut() -> AnyResult<()>) -> AnyResult<Times> {
    let mut ms = Vec::new();
    // A network takes its time.
    for _ in 0..bench.frames.min(5) {
        let start = Instant::now();
        compare()?;
        ms.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Times::new(ms))
}

/// Four bytes a pixel, the last one luma.
fn packed(picture: &image::RgbImage) -> Vec<u8> {
    let luma =
        |[red, green, blue]: [u8; 3]| ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue) + 128) >> 8) as u8;
    picture.pixels().flat_map(|pixel| [pixel.0[0], pixel.0[1], pixel.0[2], luma(pixel.0)]).collect()
}

/// The motion of each pixel of the current picture since the previous one, in pixels of it, by the way that the node goes; with it, the time
/// of the network.
pub fn motion(
    bench: &Bench,
    model: &mut PairModel,
    [current, previous]: [&image::RgbImage; 2],
    is_timed: bool,
) -> AnyResult<(Vec<Vec2>, Option<Times>)> {
    let size = UVec2::from(current.dimensions());
    let settings = FlowSettings { working_width_px: size.x, grid: UVec2::new(40, 30), wraps: false, ..Default::default() };
    let plan = FlowPlan::for_network(size, &settings, model.signature().fixed_size)?;
    let working = plan.flow_size;
    let pictures = [current, previous].map(|picture| {
        let filter = image::imageops::FilterType::Triangle;
        packed(&image::imageops::resize(picture, working.x, working.y, filter))
    });
    let packed = pictures.each_ref().map(|bytes| PackedPicture { size: working, bytes });
    let found = model.compare(packed, false, false)?;
    let times =
        is_timed.then(|| time(bench, || model.compare(packed, false, false).map(drop).map_err(Into::into))).transpose()?;
    let flow = NetworkFlow::new(&bench.gpu.device, plan, false)?;
    flow.write(&bench.gpu.queue, pictures.each_ref().map(Vec::as_slice), &found);
    let motion = bench.read_vectors(flow.motion_texture())?;
    let per_texel = size.as_vec2() / working.as_vec2();
    let places = (0..size.y).flat_map(|y| (0..size.x).map(move |x| Vec2::new(x as f32, y as f32)));
    let at = |place: Vec2| {
        let texel = ((place + 0.5) / per_texel).as_uvec2().min(working - 1);
        motion[(texel.y * working.x + texel.x) as usize] * per_texel
    };
    Ok((places.map(at).collect(), times))
}

/// The disparities of the left picture in sixteenths of a pixel, by the way that the node goes: both eyes compared, holes filled. With it,
/// the time that one way takes. None, with a line that says so, for a network of another size.
pub fn disparities(
    bench: &Bench,
    model: &mut PairModel,
    eyes: &[GpuPicture; 2],
    range_px: u32,
    is_timed: bool,
) -> AnyResult<Option<(Vec<i32>, Option<Times>)>> {
    let (device, queue, size) = (&bench.gpu.device, &bench.gpu.queue, eyes[0].size);
    let network_size = model.signature().fixed_size;
    if network_size.is_some_and(|network| network != size) {
        eprintln!("skipped: the network takes other pictures than {size}");
        return Ok(None);
    }
    let whole: Rect = RgbaPass::WHOLE;
    let matching = DisparitySettings { working_width_px: 4096, range_px, ..Default::default() };
    let settings = DepthSettings { matching, ..Default::default() };
    let flat = PictureProjection::Rectilinear { fov_deg: 60.0 };
    let mut depth = NetworkDepth::new(device, queue, [(size, whole); 2], flat, None, &settings, network_size)?;
    let pixels = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("eyes' pixels"),
        size: depth.pixel_bytes(),
        usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    });
    let mut encoder = device.create_command_encoder(&Default::default());
    depth.encode_pixels(device, queue, &mut encoder, [(&eyes[0], whole), (&eyes[1], whole)], &pixels)?;
    bench.submit(encoder)?;
    let bytes = bench.read_buffer(&pixels)?;
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let packed = [left, right].map(|bytes| PackedPicture { size, bytes });
    let found: PairResult = model.compare(packed, false, true)?;
    let times =
        is_timed.then(|| time(bench, || model.compare(packed, false, false).map(drop).map_err(Into::into))).transpose()?;
    let mut encoder = device.create_command_encoder(&Default::default());
    depth.encode_distances(queue, &mut encoder, &found);
    bench.submit(encoder)?;
    let found = bench.read_buffer(depth.depth().matching().disparity_buffer())?;
    Ok(Some((bytemuck::pod_collect_to_vec(&found), times)))
}
