//! Calibration against what is known or published.
//!
//! - **Orah 4i**: stitchEm's own test, its 77 control points and the cost that it recorded for its solution: our solver from its presets, within
//!   them. Limit: a cost that is not above the recorded one.
//! - **Surround view**: four real fisheyes around a car. Published are intrinsics and, for each camera, a homography to the ground. The
//!   rig is refined on the ground plane, from poses that the homographies come nearest to, by two matches in three; the third is what is
//!   compared: how far the other camera sees it from where it was found, in pixels of the camera's picture, by the homographies themselves, by
//!   the poses, and refined; and the luma of all places on the ground that two cameras see by all three. Limit: refined is nearer than
//!   both in pixels, and no worse than the published one in luma.
//! - **Gear 360**: a real dual fisheye's shipped rig, refined with the scene infinitely far away. Limit: what was held out fits better.
//! - **Boards**: thirteen real pictures of a checkerboard, beside OpenCV's `calibrateCamera` on corners of its own detector. Limit: an RMS that is
//!   not above a tenth more than OpenCV's.
//! - **Boards with markers**: in `charuco.rs`.

use crate::{AnyResult, Bench, charuco, peers};
use bevy::math::{DMat3, DQuat, DVec2, DVec3};
use serde_json::json;
use std::{fs, path::Path, time::Instant};
use studio_vision::{
    calibrate::{
        Board, BoardModel, BundleSettings, ControlPoint, Free, GrayPicture, Prior, RefineSettings, Residuals, Surface, adjust,
        calibrate_lens, draw_refinement, refine_rig,
    },
    lens::LensProjector,
    rig::{OpenCvCamera, OpenCvModel, Orientation, PreparedRig, Rig, YawPitchRoll},
};

/// The cameras around the car, and how each one's ground picture lies in the whole one of 1200×1600 pixels of a centimetre: rows of an
/// affine map.
const CAMERAS: [(&str, [[f64; 3]; 2]); 4] = [
    ("front", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    ("right", [[0.0, -1.0, 1199.0], [1.0, 0.0, 0.0]]),
    ("back", [[-1.0, 0.0, 1199.0], [0.0, -1.0, 1599.0]]),
    ("left", [[0.0, 1.0, 0.0], [-1.0, 0.0, 1599.0]]),
];
/// What the car covers of it.
const CAR: [DVec2; 2] = [DVec2::new(500.0, 550.0), DVec2::new(700.0, 1050.0)];
/// The height of the rig's origin, and so its distance to the ground, in metres.
const HEIGHT_M: f64 = 1.0;

pub fn run(bench: &Bench) -> AnyResult<()> {
    if let Some(folder) = bench.data("fisheye/stitchem_rigs") {
        orah(&folder)?;
    }
    if let Some(folder) = bench.data("fisheye/surround_view_4cam") {
        surround_view(&folder)?;
    }
    if let Some(path) = bench.data("fisheye/gear360_dual/extract.png") {
        gear360(&path)?;
    }
    if let Some(folder) = bench.data("stereo/calib_case1") {
        boards(bench, &folder)?;
    }
    charuco::run(bench)
}

fn round(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn gray(path: &Path) -> AnyResult<GrayPicture> {
    Ok(GrayPicture::new(&path.display().to_string(), &image::open(path)?)?)
}

/// stitchEm's cost: half of the squared residuals both ways, for each point, less 10 for each point.
fn stitchem_cost(rig: &Rig, points: &[ControlPoint], surface: &Surface) -> AnyResult<f64> {
    let prepared = PreparedRig::new(rig)?;
    let sum: f64 = points.iter().map(|point| point.residual_px(&prepared, surface).powi(2)).sum();
    Ok(sum / points.len() as f64 - 10.0 * points.len() as f64)
}

fn orah(folder: &Path) -> AnyResult<()> {
    let file = "calibration_AQ1610012338_ref.ptv";
    let text = fs::read_to_string(folder.join(file))?;
    let presets: serde_json::Value = serde_json::from_str(&fs::read_to_string(folder.join("calibration_AQ1610012338.json"))?)?;
    let recorded: serde_json::Value = serde_json::from_str(&text)?;
    let recorded_cost = recorded["pano"]["calibration_cost"].as_f64().unwrap_or(f64::NAN);
    let (solution, points) = (Rig::from_ptv(file, &text)?, ControlPoint::from_ptv(file, &text)?);
    let surface = Surface::Sphere { radius_m: 3.0 };
    let config = &presets["algorithms"][0]["config"];
    let mut start = solution.clone();
    for (index, lens) in start.lenses.iter_mut().enumerate() {
        let (pose, camera) = (&config["rig"]["rigcameras"][index], &config["cameras"][index]);
        let number = |value: &serde_json::Value, name: &str| value[name].as_f64().unwrap_or(f64::NAN);
        let angle = |name: &str| number(pose, name);
        lens.orientation = Orientation::Angles(YawPitchRoll::new(angle("yaw_mean"), angle("pitch_mean"), angle("roll_mean")));
        lens.lens.focal_px = [number(camera, "fu_mean") / 2.0, number(camera, "fv_mean") / 2.0];
        lens.lens.center_px = [number(camera, "cu_mean"), number(camera, "cv_mean")];
        if let Some(radial) = &mut lens.lens.radial {
            radial.reference_px = number(camera, "fu_mean");
        }
    }
    let free = Free { focal: true, center: true, ..Free::default() };
    let prior = Prior { point_px: 4.0, angle_deg: 1.0, focal: 0.19, center: 0.14, ..Prior::default() };
    let settings = BundleSettings { free, surface, anchor: 0, robust_px: None, prior: Some(prior) };
    let started = Instant::now();
    let solved = adjust(&start, &points, &settings)?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let its = stitchem_cost(&solution, &points, &surface)?;
    let ours = stitchem_cost(&solved.rig, &points, &surface)?;
    let apart = (1..4).map(|lens| {
        let turn = |rig: &Rig| rig.lenses[lens].orientation.rig_from_lens();
        DQuat::from_mat3(&(turn(&solved.rig).transpose() * turn(&solution))).to_axis_angle().1.to_degrees()
    });
    let apart: Vec<f64> = apart.map(round).collect();
    println!(
        "{}",
        json!({
            "name": "calibrate Orah 4i, 77 control points", "points": points.len(), "cost": round(ours), "cost_of_recorded": round(its),
            "cost_recorded": recorded_cost, "cost_of_presets": round(stitchem_cost(&start, &points, &surface)?), "apart_deg": apart,
            "p50_ms": round(took_ms), "passed": (its - recorded_cost).abs() < 0.05 && ours <= recorded_cost,
        })
    );
    Ok(())
}

/// A camera around the car as it was published.
struct Published {
    lens: LensProjector,
    /// From a ray (x / z, y / z, 1) to the ground in centimetres.
    ground_from_ray: DMat3,
}

impl Published {
    fn ground(&self, pixel: DVec2) -> Option<DVec2> {
        let ray = self.lens.unproject(pixel)?;
        let ground = self.ground_from_ray * ray;
        Some(ground.truncate() / ground.z)
    }

    fn pixel(&self, ground: DVec2) -> Option<DVec2> {
        let ray = self.ground_from_ray.inverse() * ground.extend(1.0);
        self.lens.project(ray * ray.z.signum())
    }
}

fn numbers(text: &str, key: &str) -> AnyResult<Vec<f64>> {
    let rest = text.split_once(key).and_then(|(_, rest)| rest.split_once("data: [")).and_then(|(_, rest)| rest.split_once(']'));
    let (list, _) = rest.ok_or_else(|| format!("no {key}"))?;
    Ok(list.split(',').map(|number| number.trim().parse()).collect::<Result<_, _>>()?)
}

fn surround_view(folder: &Path) -> AnyResult<()> {
    let mut texts = Vec::new();
    for (name, _) in CAMERAS {
        texts.push(fs::read_to_string(folder.join(format!("{name}.yaml")))?);
    }
    let cameras: Vec<_> = CAMERAS
        .iter()
        .zip(&texts)
        .map(|((file, _), text)| OpenCvCamera { file, text, model: OpenCvModel::Fisheye, orientation: YawPitchRoll::default() })
        .collect();
    let mut rig = Rig::from_opencv("surround view", &cameras)?;
    let mut published = Vec::new();
    for (index, (_, affine)) in CAMERAS.iter().enumerate() {
        let (text, lens) = (&texts[index], &mut rig.lenses[index]);
        let (matrix, scale, shift) = (numbers(text, "project_matrix")?, numbers(text, "scale_xy")?, numbers(text, "shift_xy")?);
        let rows = |m: &[f64]| DMat3::from_cols_array(&[m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]]).transpose();
        let [fx, fy] = lens.lens.focal_px;
        // The flattened picture that the homography is for counts from the centre of its first pixel.
        let [cx, cy] = lens.lens.center_px.map(|center| center - 0.5);
        let flat = rows(&[fx * scale[0], 0.0, cx + shift[0], 0.0, fy * scale[1], cy + shift[1], 0.0, 0.0, 1.0]);
        let [across, down] = affine;
        let whole = rows(&[across[0], across[1], across[2], down[0], down[1], down[2], 0.0, 0.0, 1.0]);
        let ground_from_ray = whole * rows(&matrix) * flat;
        // The pose whose homography is nearest. Ground: right and back in metres from the middle of the car, and down.
        let metres = rows(&[100.0, 0.0, 600.0, 0.0, 100.0, 800.0, 0.0, 0.0, 1.0]);
        let plane = ground_from_ray.inverse() * metres;
        let size = (plane.x_axis.length() * plane.y_axis.length()).sqrt();
        let pose = |sign: f64| {
            let (right, back) = (plane.x_axis / size * sign, plane.y_axis / size * sign);
            let middle = ((right.normalize() + back.normalize()) / 2.0).normalize();
            let apart = ((right.normalize() - back.normalize()) / 2.0).normalize();
            let (right, back) = ((middle + apart).normalize(), (middle - apart).normalize());
            let camera_from_ground = DMat3::from_cols(right, back, right.cross(back));
            let stands = -(camera_from_ground.transpose() * plane.z_axis / size * sign);
            (camera_from_ground, stands)
        };
        // The camera is above the ground.
        let (camera_from_ground, stands) = if pose(1.0).1.z < 0.0 { pose(1.0) } else { pose(-1.0) };
        // The rig: right, down, ahead, a metre above the ground.
        let rig_from_ground = DMat3::from_cols(DVec3::X, DVec3::NEG_Z, DVec3::Y);
        lens.orientation =
            Orientation::Quaternion(DQuat::from_mat3(&(rig_from_ground * camera_from_ground.transpose())).to_array());
        lens.translation_m = (rig_from_ground * stands + DVec3::Y * HEIGHT_M).to_array();
        published.push(Published { lens: LensProjector::new(&lens.lens)?, ground_from_ray });
    }
    let mut pictures = Vec::new();
    for (name, _) in CAMERAS {
        pictures.push(gray(&folder.join(format!("{name}.png")))?);
    }
    let surface = Surface::Plane { normal: DVec3::Y, distance_m: HEIGHT_M };
    for (what, free) in [
        ("poses", Free { translation: true, ..Free::default() }),
        ("poses and lenses", Free { translation: true, focal: true, center: true, distortion: true }),
    ] {
        let settings = RefineSettings { free, surface, ..RefineSettings::default() };
        let started = Instant::now();
        let refined = refine_rig(&rig, &pictures, &settings, &mut |_| ())?;
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        if let Some(folder) = std::env::var_os("NEURAL_STUDIO_BENCH_PICTURES") {
            draw_refinement(&refined, &pictures)?
                .save(Path::new(&folder).join(format!("surround_{}.png", what.replace(' ', "_"))))?;
        }
        let lengths = refined.matches.iter().filter(|found| found.held_out).map(|found| {
            let ([a, b], [p, q]) = (found.point.lenses.map(|lens| &published[lens]), found.point.pixels);
            let ways = [
                a.ground(p).and_then(|ground| b.pixel(ground)).map(|pixel| pixel.distance(q)),
                b.ground(q).and_then(|ground| a.pixel(ground)).map(|pixel| pixel.distance(p)),
            ];
            let square = |way: Option<f64>| way.map_or(f64::INFINITY, |length| length * length);
            (ways.map(square).iter().sum::<f64>() / 2.0).sqrt()
        });
        let by_homography = Residuals::of(lengths.filter(|length| length.is_finite()));
        let luma = ground_luma(&published, [&rig, &refined.rig], &pictures, &surface)?;
        let [poses, after] = refined.held_out;
        println!(
            "{}",
            json!({
                "name": format!("calibrate surround view, {what} free"), "matches": refined.matches.len(), "held_out": after.count,
                "published_median_px": round(by_homography.median_px), "published_rms_px": round(by_homography.rms_px),
                "poses_median_px": round(poses.median_px), "poses_rms_px": round(poses.rms_px),
                "median_px": round(after.median_px), "rms_px": round(after.rms_px),
                "published_luma": round(luma[0]), "poses_luma": round(luma[1]), "luma": round(luma[2]),
                "warnings": refined.warnings, "p50_ms": round(took_ms),
                "passed": after.median_px < by_homography.median_px && after.median_px < poses.median_px && luma[2] < luma[0],
            })
        );
    }
    Ok(())
}

/// The mean difference of luma, its mean and contrast made equal for each pair of cameras, at all places of the ground that two cameras see:
/// by the published homographies, and by two rigs.
fn ground_luma(published: &[Published], rigs: [&Rig; 2], pictures: &[GrayPicture], surface: &Surface) -> AnyResult<[f64; 3]> {
    let rigs = [PreparedRig::new(rigs[0])?, PreparedRig::new(rigs[1])?];
    let inside = |pixel: DVec2| pixel.cmpgt(DVec2::splat(8.0)).all() && pixel.cmplt(DVec2::new(952.0, 632.0)).all();
    let (mut sums, mut count) = ([0.0; 3], 0_usize);
    for a in 0..4 {
        for b in a + 1..4 {
            let mut pairs: [Vec<[f64; 2]>; 3] = Default::default();
            for y in (4..1600).step_by(4) {
                for x in (4..1200).step_by(4) {
                    let ground = DVec2::new(f64::from(x), f64::from(y));
                    // Where the car is there is no ground.
                    if ground.cmpgt(CAR[0]).all() && ground.cmplt(CAR[1]).all() {
                        continue;
                    }
                    let point = DVec3::new((ground.x - 600.0) / 100.0, HEIGHT_M, -(ground.y - 800.0) / 100.0);
                    let seen = |way: usize, camera: usize| {
                        let pixel = if way == 0 {
                            published[camera].pixel(ground)?
                        } else {
                            let lens = &rigs[way - 1].lenses[camera];
                            let ahead = lens.direction(lens.projector.center())?.dot(point - lens.position_m()) > 0.0;
                            surface.project(lens, point).filter(|_| ahead)?
                        };
                        inside(pixel).then(|| f64::from(pictures[camera].luma(pixel)))
                    };
                    let ways: Vec<[f64; 2]> = (0..3).filter_map(|way| Some([seen(way, a)?, seen(way, b)?])).collect();
                    if ways.len() == 3 {
                        (0..3).for_each(|way| pairs[way].push(ways[way]));
                    }
                }
            }
            count += pairs[0].len();
            for (sum, pairs) in sums.iter_mut().zip(&pairs) {
                let n = pairs.len().max(1) as f64;
                let mean = [0, 1].map(|side: usize| pairs.iter().map(|pair| pair[side]).sum::<f64>() / n);
                let deviation = [0, 1].map(|side: usize| {
                    (pairs.iter().map(|pair| (pair[side] - mean[side]).powi(2)).sum::<f64>() / n).sqrt().max(1e-6)
                });
                let common = (deviation[0] * deviation[1]).sqrt();
                let differ = |[p, q]: &[f64; 2]| ((p - mean[0]) / deviation[0] - (q - mean[1]) / deviation[1]).abs() * common;
                *sum += pairs.iter().map(differ).sum::<f64>();
            }
        }
    }
    Ok(sums.map(|sum| sum / count.max(1) as f64))
}

fn gear360(path: &Path) -> AnyResult<()> {
    let rig = Rig::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/rigs/gear360.rig.ron")))?;
    let pictures = [gray(path)?];
    for (what, free) in [
        ("directions", Free::default()),
        ("directions and lenses", Free { focal: true, center: true, distortion: true, translation: false }),
    ] {
        let settings = RefineSettings { free, agree_deg: 1.5, robust_px: 2.0, ..RefineSettings::default() };
        let started = Instant::now();
        let refined = refine_rig(&rig, &pictures, &settings, &mut |_| ())?;
        let took_ms = started.elapsed().as_secs_f64() * 1e3;
        if let Some(folder) = std::env::var_os("NEURAL_STUDIO_BENCH_PICTURES") {
            draw_refinement(&refined, &pictures)?
                .save(Path::new(&folder).join(format!("gear360_{}.png", what.replace(' ', "_"))))?;
        }
        let ([before, after], [first, last]) = (refined.held_out, refined.overlap);
        println!(
            "{}",
            json!({
                "name": format!("calibrate Gear 360, {what} free"), "matches": refined.matches.len(), "held_out": after.count,
                "shipped_median_px": round(before.median_px), "median_px": round(after.median_px), "shipped_rms_px": round(before.rms_px),
                "rms_px": round(after.rms_px), "shipped_luma": round(first.luma_matched), "luma": round(last.luma_matched),
                "warnings": refined.warnings, "p50_ms": round(took_ms), "passed": after.median_px <= before.median_px,
            })
        );
    }
    Ok(())
}

fn boards(bench: &Bench, folder: &Path) -> AnyResult<()> {
    let mut paths: Vec<_> = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("left")));
    paths.sort();
    let pictures = paths.iter().map(|path| gray(path)).collect::<AnyResult<Vec<_>>>()?;
    let peers = peers::opencv(bench, "calibrate", folder)?;
    let board = Board::checker([9, 6], 25.0);
    let started = Instant::now();
    let found = calibrate_lens(&pictures, &board, BoardModel::Pinhole, &mut |_| ())?;
    let took_ms = started.elapsed().as_secs_f64() * 1e3;
    let lens = &found.rig.lenses[0].lens;
    let mut record = json!({
        "name": "calibrate 13 real boards, pinhole", "views": found.views.iter().filter(|view| view.left_out.is_empty()).count(),
        "corners": found.residuals.count, "rms_px": round(found.residuals.rms_px), "fx_px": round(lens.focal_px[0]),
        "fy_px": round(lens.focal_px[1]), "cx_px": round(lens.center_px[0]), "cy_px": round(lens.center_px[1]),
        "sigma_px": found.sigma_px.map(round), "p50_ms": round(took_ms),
    });
    if let Some(rms) = peers.first().and_then(|peer| peer["rms_px"].as_f64()) {
        record["passed"] = json!(found.residuals.rms_px <= rms * 1.1);
    }
    println!("{record}");
    Ok(())
}
