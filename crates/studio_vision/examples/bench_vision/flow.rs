//! Optical flow against the ground truth of Middlebury.
//!
//! Limits: a mean endpoint error of 0.24 px at the normal quality within the time that Farneback's method takes on the same two cores, and
//! below that of OpenCV's `DeepFlow` at the best.

use crate::{
    AnyResult, Bench, network, peers,
    pictures::{read_flo, stretched},
    timing::Times,
};
use bevy::math::{UVec2, Vec2};
use serde_json::json;
use std::path::Path;
use studio_gpu::{picture::GpuPicture, readback::read_rgba};
use studio_ml::PairTask;
use studio_vision::flow::{FlowPass, FlowQuality, FlowSettings};

/// Pairs with public ground truth.
const PAIRS: [&str; 4] = ["Dimetrodon", "Grove2", "RubberWhale", "Urban2"];
/// The pair whose time is taken, 640×480 pixels.
const TIMED: usize = 1;

/// What a quality has to reach: mean endpoint error in px, and milliseconds at 640×480 on software Vulkan.
const LIMITS: [(FlowQuality, f32, f64); 3] =
    [(FlowQuality::Fast, 0.34, 30.0), (FlowQuality::Balanced, 0.24, 52.0), (FlowQuality::High, 0.187, f64::INFINITY)];
const FULL_HD: UVec2 = UVec2::new(1920, 1080);
/// Milliseconds at that size on a GPU in silicon.
const FULL_HD_MS: f64 = 1.0;

pub fn run(bench: &Bench) -> AnyResult<()> {
    peers::opencv(bench, "flow", &bench.data)?;
    let Some(folder) = bench.data("flow/middlebury") else { return Ok(()) };
    for (quality, limit_px, limit_ms) in LIMITS {
        let pixels =
            PAIRS.iter().map(|pair| endpoint_errors(bench, &folder.join(pair), quality)).collect::<AnyResult<Vec<_>>>()?;
        let mean = |errors: &mut dyn Iterator<Item = f32>| {
            let (sum, count) = errors.fold((0.0_f64, 0.0), |(sum, count), error| (sum + f64::from(error), count + 1.0));
            (sum / f64::max(count, 1.0)) as f32
        };
        let errors: Vec<f32> = pixels.iter().map(|pair| mean(&mut pair.iter().map(|(error, _)| *error))).collect();
        let trusted = pixels.iter().map(|pair| mean(&mut pair.iter().filter(|(_, trusted)| *trusted).map(|(error, _)| *error)));
        let trusted_px = trusted.sum::<f32>() / PAIRS.len() as f32;
        let all = pixels.iter().flatten();
        let trusted_percent = 100.0 * all.clone().filter(|(_, trusted)| *trusted).count() as f32 / all.count().max(1) as f32;
        let mean_px = errors.iter().sum::<f32>() / errors.len() as f32;
        let worst_px = errors.iter().copied().fold(0.0, f32::max);
        let times = time(bench, &pair(bench, &folder.join(PAIRS[TIMED]))?, quality, false)?;
        let both_ways = time(bench, &pair(bench, &folder.join(PAIRS[TIMED]))?, quality, true)?;
        let passed = mean_px <= limit_px && (bench.is_hardware() || times.at(0.5) <= limit_ms);
        let mut record = json!({
            "name": format!("flow {quality:?} 640x480"), "epe_px": mean_px, "limit_px": limit_px, "worst_pair_px": worst_px,
            "epe_of_the_trusted_px": trusted_px, "trusted_percent": trusted_percent, "both_ways_ms": both_ways.at(0.5),
            "passed": passed, "adapter": bench.gpu.adapter.name,
        });
        for (pair, error) in PAIRS.iter().zip(&errors) {
            record[*pair] = json!(error);
        }
        times.add_to(&mut record);
        println!("{record}");
        let times = time(bench, &stretched(bench, &folder.join(PAIRS[TIMED]), FULL_HD)?, quality, false)?;
        let mut record = json!({ "name": format!("flow {quality:?} 1920x1080"), "adapter": bench.gpu.adapter.name });
        if bench.is_hardware() && quality == FlowQuality::Balanced {
            record["passed"] = json!(times.at(0.5) <= FULL_HD_MS);
        }
        times.add_to(&mut record);
        println!("{record}");
    }
    by_network(bench, &folder)
}

/// The same pairs by a network, if one is named.
fn by_network(bench: &Bench, folder: &Path) -> AnyResult<()> {
    let Some((mut model, mut record)) = network::named("NEURAL_STUDIO_FLOW_MODEL", PairTask::Flow)? else { return Ok(()) };
    let mut sum = 0.0;
    for (pair, index) in PAIRS.iter().zip(0..) {
        let read = |name: &str| -> AnyResult<_> { Ok(image::open(folder.join(pair).join(name))?.to_rgb8()) };
        let pictures = [read("frame10.png")?, read("frame11.png")?];
        let (found, times) = network::motion(bench, &mut model, pictures.each_ref(), index == TIMED)?;
        let (_, truth) = read_flo(&folder.join(pair).join("flow10.flo"))?;
        let known = truth.iter().zip(&found).filter(|(motion, _)| motion.abs().max_element() < 1e9);
        let errors: Vec<f32> = known.map(|(truth, found)| (*found + *truth).length()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len().max(1) as f32;
        record[*pair] = json!(mean);
        sum += mean;
        if let Some(times) = times {
            times.add_to(&mut record);
        }
    }
    record["epe_px"] = json!(sum / PAIRS.len() as f32);
    println!("{record}");
    Ok(())
}

fn settings(width: u32, quality: FlowQuality) -> FlowSettings {
    FlowSettings { working_width_px: width, quality, grid: UVec2::new(40, 30), wraps: false, both_ways: false }
}

fn pair(bench: &Bench, folder: &Path) -> AnyResult<[GpuPicture; 2]> {
    Ok([bench.read_picture(&folder.join("frame11.png"))?, bench.read_picture(&folder.join("frame10.png"))?])
}

fn time(bench: &Bench, pair: &[GpuPicture; 2], quality: FlowQuality, both_ways: bool) -> AnyResult<Times> {
    let settings = FlowSettings { both_ways, ..settings(pair[0].size.x, quality) };
    let mut pass = FlowPass::new(&bench.gpu.device, pair[0].size, &settings)?;
    let mut turn = 0;
    bench.time(|encoder| {
        turn = 1 - turn;
        Ok(pass.encode(&bench.gpu.device, encoder, &pair[turn])?)
    })
}

/// The endpoint error in pixels of each pixel whose motion is known, and whether the flow the other way agrees with its own.
///
/// The ground truth is defined on frame 10 and points forward: what is at `p` in frame 10 is at `p + f` in frame 11. Our motion is defined
/// on the current frame and points from the past: what is at `p` now was at `p - m`. With frame 11 as the previous picture and frame 10 as
/// the current one, both speak of the same pixels, and `m = -f`.
fn endpoint_errors(bench: &Bench, folder: &Path, quality: FlowQuality) -> AnyResult<Vec<(f32, bool)>> {
    let pictures = pair(bench, folder)?;
    let settings = FlowSettings { both_ways: true, ..settings(pictures[0].size.x, quality) };
    let mut pass = FlowPass::new(&bench.gpu.device, pictures[0].size, &settings)?;
    for picture in &pictures {
        let mut encoder = bench.gpu.device.create_command_encoder(&Default::default());
        pass.encode(&bench.gpu.device, &mut encoder, picture)?;
        bench.submit(encoder)?;
    }
    let (truth_size, truth) = read_flo(&folder.join("flow10.flo"))?;
    if truth_size != pictures[0].size {
        return Err(format!("the truth in `{}` is {truth_size}, the pictures are {}", folder.display(), pictures[0].size).into());
    }
    let found = bench.read_vectors(pass.motion_texture())?;
    let (size, per_texel) = (pass.plan().flow_size, truth_size.as_vec2() / pass.plan().flow_size.as_vec2());
    let at = |pixel: UVec2| {
        let place = ((pixel.as_vec2() + 0.5) / per_texel - 0.5).clamp(Vec2::ZERO, size.as_vec2() - 1.0);
        let base = place.floor().as_uvec2().min(size - 2);
        let part = place - base.as_vec2();
        let value = |x: u32, y: u32| found[((base.y + y) * size.x + base.x + x) as usize];
        value(0, 0).lerp(value(1, 0), part.x).lerp(value(0, 1).lerp(value(1, 1), part.x), part.y) * per_texel
    };
    let confidence = pass.confidence_picture().ok_or("the flow found no confidence")?;
    let confidence = read_rgba(&bench.gpu.device, &bench.gpu.queue, &confidence.planes[0])?;
    let known = truth.iter().zip(0u32..).filter(|(motion, _)| motion.abs().max_element() < 1e9);
    let errors = known.map(|(motion, index)| {
        let pixel = UVec2::new(index % truth_size.x, index / truth_size.x);
        let texel = ((pixel.as_vec2() + 0.5) / per_texel).as_uvec2().min(size - 1);
        ((at(pixel) + *motion).length(), confidence[4 * (texel.y * size.x + texel.x) as usize] >= 128)
    });
    Ok(errors.collect())
}
