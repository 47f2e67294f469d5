//! Lenses that stand apart in a room with a known answer: the sphere is painted on walls near by, two lenses film it from beside the middle, and
//! what is stitched is compared with the sphere where both lenses see it, as the calibration says and aligned by flow.
//!
//! A second room is so far away that nothing lies apart: there the alignment must not cost anything.
//! Limits: near by, four decibels better around the middle of the overlap, where lenses meet, and two in all of it; far away, not a tenth worse.

use crate::{
    AnyResult, Bench,
    stitch::{BANDS, FOV_DEG, RIG_SIZE, SETTLED, SIZE, film},
};
use bevy::math::{DVec2, DVec3};
use core::f64::consts::{PI, TAU};
use serde_json::json;
use std::time::Duration;
use studio_gpu::{device::HeadlessGpu, readback::read_rgba};
use studio_vision::{
    rig::{PreparedRig, Rig},
    stitch::{StitchAlignment, StitchBlend, StitchMeasurement, StitchPass, StitchSettings},
};

/// Half of what the lenses are apart, in metres: together six centimetres, as in many cameras of two lenses.
const APART_M: f64 = 0.03;
/// How far the walls are, in metres.
const ROOMS: [(&str, f64); 2] = [("near", 1.2), ("far", 1e4)];
const FLOW: StitchAlignment = StitchAlignment::Flow { max_disparity_deg: 10.0 };
/// How far inside of both lenses a pixel is, in degrees, to lie in the overlap and around its middle.
const OVERLAP_DEG: f64 = 1.5;
const MIDDLE_DEG: f64 = 8.5;

pub fn run(bench: &Bench, sphere: &image::RgbImage) -> AnyResult<()> {
    let HeadlessGpu { device, queue, .. } = &bench.gpu;
    let rig = Rig::dual_fisheye(RIG_SIZE.to_array(), FOV_DEG);
    let prepared = PreparedRig::new(&rig)?;
    let inside = inside_deg(&prepared);
    for (room, radius_m) in ROOMS {
        let stands = [APART_M, -APART_M].map(|ahead| DVec3::Z * (ahead / radius_m));
        let filmed = film(&prepared, sphere, &[DVec3::ONE; 2], &stands);
        let picture = bench.upload_rgba(filmed)?;
        for blend in [StitchBlend::default(), StitchBlend::MultiBand { bands: BANDS }] {
            let mut fixed = [f64::NAN; 2];
            for alignment in [StitchAlignment::Fixed, FLOW] {
                let settings = StitchSettings { blend, alignment, ..StitchSettings::equirectangular(SIZE.x, SIZE.y) };
                let mut pass = StitchPass::new(device, queue, &rig, &settings)?;
                let output = pass.output_picture(device, "stitched")?;
                for frame in 0..SETTLED {
                    let mut encoder = device.create_command_encoder(&Default::default());
                    let at = Duration::from_millis(100 * u64::from(frame));
                    let measurement = pass.measure(device, queue, &mut encoder, &[&picture], at)?;
                    pass.encode(device, queue, &mut encoder, &[&picture], &output, None)?;
                    queue.submit([encoder.finish()]);
                    measurement.into_iter().for_each(StitchMeasurement::deliver);
                    device.poll(wgpu::PollType::wait_indefinitely())?;
                }
                let times = bench.time(|encoder| Ok(pass.encode(device, queue, encoder, &[&picture], &output, None)?))?;
                let stitched = read_rgba(device, queue, &output.planes[0])?;
                let [overlap_db, middle_db] =
                    [OVERLAP_DEG, MIDDLE_DEG].map(|least_deg| psnr(&stitched, sphere, |index| inside[index] > least_deg));
                if let Some(folder) = std::env::var_os("NEURAL_STUDIO_BENCH_PICTURES") {
                    let name = format!("align_{room}_{blend:?}_{alignment:?}.png").replace([' ', '{', '}', ':'], "");
                    let picture = image::RgbaImage::from_raw(SIZE.x, SIZE.y, stitched).ok_or("a whole picture")?;
                    picture.save(std::path::Path::new(&folder).join(name))?;
                }
                let mut record = json!({
                    "name": format!("stitch {blend:?}, alignment {alignment:?}, {room}"), "overlap_db": round(overlap_db),
                    "middle_db": round(middle_db), "adapter": bench.gpu.adapter.name,
                });
                times.add_to(&mut record);
                match (alignment, room) {
                    (StitchAlignment::Fixed, _) => fixed = [overlap_db, middle_db],
                    (_, "near") => record["passed"] = json!(overlap_db >= fixed[0] + 2.0 && middle_db >= fixed[1] + 4.0),
                    _ => record["passed"] = json!(overlap_db >= fixed[0] - 0.1 && middle_db >= fixed[1] - 0.1),
                }
                println!("{record}");
            }
        }
    }
    Ok(())
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// For each pixel of the stitched picture, how far inside of both lenses it is, in degrees.
fn inside_deg(rig: &PreparedRig) -> Vec<f64> {
    let pixels = (0..SIZE.element_product()).map(|index| DVec2::new(f64::from(index % SIZE.x), f64::from(index / SIZE.x)) + 0.5);
    let inside = |pixel: DVec2| {
        let (longitude, latitude) = ((pixel.x / f64::from(SIZE.x) - 0.5) * TAU, (pixel.y / f64::from(SIZE.y) - 0.5) * PI);
        let direction = DVec3::new(latitude.cos() * longitude.sin(), latitude.sin(), latitude.cos() * longitude.cos());
        let edges = rig.lenses.iter().map(|lens| lens.sample(direction, None).map_or(-180.0, |sample| sample.edge_deg));
        edges.fold(f64::MAX, f64::min)
    };
    pixels.map(inside).collect()
}

/// PSNR against the sphere of the pixels that count.
fn psnr(stitched: &[u8], sphere: &image::RgbImage, counts: impl Fn(usize) -> bool) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for (_, (found, truth)) in stitched.chunks_exact(4).zip(sphere.pixels()).enumerate().filter(|(index, _)| counts(*index)) {
        sum += found.iter().zip(truth.0).map(|(found, truth)| (f64::from(*found) - f64::from(truth)).powi(2)).sum::<f64>();
        count += 3.0;
    }
    10.0 * (255.0_f64.powi(2) * count / sum).log10()
}
