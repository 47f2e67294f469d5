//! Stereo matching against the ground truth of Middlebury.
//!
//! A pixel is bad if it is more than 1 px off, or has no disparity. Counted are the pixels with known disparity right of a margin as wide as the
//! range (64 px), where OpenCV finds nothing. The same settings for all pairs. Limits: below what OpenCV's SGBM leaves, by a third.

use crate::{AnyResult, Bench, network, peers};
use bevy::math::UVec2;
use serde_json::json;
use std::path::Path;
use studio_gpu::{picture::GpuPicture, rgba::RgbaPass};
use studio_ml::PairTask;
use studio_vision::disparity::{DisparityPass, DisparityPaths, DisparityQuality, DisparitySettings};

/// A pair, the files of its left and right pictures and of its truth, what a pixel of disparity is there, and the limit in percent.
struct Pair(&'static str, [&'static str; 3], f32, Option<f64>);

const MIDDLEBURY: [&str; 3] = ["im2.png", "im6.png", "disp2.png"];
const PAIRS: [Pair; 4] = [
    Pair("middlebury/tsukuba", MIDDLEBURY, 16.0, Some(6.0)),
    Pair("middlebury/teddy", MIDDLEBURY, 4.0, Some(11.0)),
    Pair("middlebury/poster", MIDDLEBURY, 8.0, Some(4.0)),
    // Halved in size, for 128 disparities to reach.
    Pair("aloe", ["aloeL.jpg", "aloeR.jpg", "aloeGT.png"], 2.0, None),
];
/// The pair whose time is taken.
const TIMED: &str = "middlebury/teddy";
const RANGE: u32 = 64;

pub fn run(bench: &Bench) -> AnyResult<()> {
    peers::opencv(bench, "disparity", &bench.data)?;
    let Some(folder) = bench.data("stereo") else { return Ok(()) };
    for (quality, paths) in [
        (DisparityQuality::Fast, DisparityPaths::Four),
        (DisparityQuality::Balanced, DisparityPaths::Eight),
        (DisparityQuality::High, DisparityPaths::Eight),
    ] {
        let is_default = (quality, paths) == (DisparityQuality::default(), DisparityPaths::default());
        let mut record = json!({
            "name": format!("disparity {quality:?}, {paths:?} paths 450x375"), "adapter": bench.gpu.adapter.name,
        });
        let mut passed = true;
        for Pair(name, files, scale, limit) in PAIRS {
            let [left, right, truth] = files.map(|file| folder.join(name).join(file));
            if !left.exists() {
                eprintln!("skipped: {} is absent", left.display());
                continue;
            }
            let halved = limit.is_none();
            let range_px = if halved { 2 * RANGE } else { RANGE };
            let settings = DisparitySettings { working_width_px: 4096, range_px, quality, paths, ..Default::default() };
            let eyes = [read(bench, &left, halved)?, read(bench, &right, halved)?];
            let size = eyes[0].size;
            let mut pass = DisparityPass::new(&bench.gpu.device, size, &settings)?;
            let (device, queue, whole) = (&bench.gpu.device, &bench.gpu.queue, RgbaPass::WHOLE);
            let mut match_eyes = |encoder: &mut wgpu::CommandEncoder| -> AnyResult<()> {
                Ok(pass.encode(device, queue, encoder, (&eyes[0], whole), (&eyes[1], whole))?)
            };
            if name == TIMED {
                bench.time(match_eyes)?.add_to(&mut record);
            } else {
                let mut encoder = device.create_command_encoder(&Default::default());
                match_eyes(&mut encoder)?;
                bench.submit(encoder)?;
            }
            let found: Vec<i32> = bytemuck::pod_collect_to_vec(&bench.read_buffer(pass.disparity_buffer())?);
            let bad_percent = bad_percent(&truth, halved, size, [range_px as f32, scale], &found)?;
            let name = name.trim_start_matches("middlebury/");
            record[format!("{name}_bad_percent")] = json!(bad_percent);
            // The limits are for the default.
            if let Some(limit) = limit.filter(|_| is_default) {
                record[format!("{name}_limit_percent")] = json!(limit);
                passed &= bad_percent <= limit;
            }
        }
        if is_default {
            record["passed"] = json!(passed);
        }
        println!("{record}");
    }
    by_network(bench, &folder)
}

/// The same pairs by a network, if one is named.
fn by_network(bench: &Bench, folder: &Path) -> AnyResult<()> {
    let Some((mut model, mut record)) = network::named("NEURAL_STUDIO_STEREO_MODEL", PairTask::Disparity)? else { return Ok(()) };
    for Pair(name, files, scale, limit) in PAIRS {
        let [left, right, truth] = files.map(|file| folder.join(name).join(file));
        if !left.exists() {
            continue;
        }
        let halved = limit.is_none();
        let range_px = if halved { 2 * RANGE } else { RANGE };
        let eyes = [read(bench, &left, halved)?, read(bench, &right, halved)?];
        let Some((found, times)) = network::disparities(bench, &mut model, &eyes, range_px, name == TIMED)? else { continue };
        let bad_percent = bad_percent(&truth, halved, eyes[0].size, [range_px as f32, scale], &found)?;
        record[format!("{}_bad_percent", name.trim_start_matches("middlebury/"))] = json!(bad_percent);
        if let Some(times) = times {
            times.add_to(&mut record);
        }
    }
    println!("{record}");
    Ok(())
}

fn read(bench: &Bench, path: &Path, halved: bool) -> AnyResult<GpuPicture> {
    let picture = image::open(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?.to_rgba8();
    let (width, height) = picture.dimensions();
    let area = image::imageops::FilterType::Triangle;
    bench.upload_rgba(if halved { image::imageops::resize(&picture, width / 2, height / 2, area) } else { picture })
}

/// Percent of the known pixels right of the margin that are more than a pixel off.
fn bad_percent(truth: &Path, halved: bool, size: UVec2, [margin, scale]: [f32; 2], found: &[i32]) -> AnyResult<f64> {
    let truth = image::open(truth).map_err(|error| format!("cannot read `{}`: {error}", truth.display()))?.to_rgb8();
    let step = if halved { 2 } else { 1 };
    let (mut known, mut bad) = (0_u32, 0_u32);
    for y in 0..size.y {
        for x in margin as u32..size.x {
            let value = truth.get_pixel(x * step, y * step).0[0];
            if value > 0 {
                known += 1;
                let off = (found[(y * size.x + x) as usize] as f32 / 16.0 - f32::from(value) / scale).abs();
                bad += u32::from(off > 1.0);
            }
        }
    }
    Ok((1e4 * f64::from(bad) / f64::from(known.max(1))).round() / 100.0)
}
