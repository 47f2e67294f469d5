//! A rig whose answer is known: an Orah 4i with the control points, the presets and the solution of stitchEm's own test.

use crate::{
    calibrate::{BundleSettings, ControlPoint, Free, Prior, Surface, adjust},
    rig::{Orientation, PreparedRig, Rig, YawPitchRoll},
};
use std::{fs, path::Path};

/// stitchEm's own test lets the cost differ by as much.
const ITS_TOLERANCE: f64 = 150.0;

fn read(file: &str) -> Option<String> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fisheye/stitchem_rigs")).join(file);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} absent", path.display());
    }
    text
}

/// What stitchEm writes as a calibration's cost: half of the squared residuals, both ways, for each point, less 10 for each point.
fn stitchem_cost(rig: &Rig, points: &[ControlPoint], surface: Surface) -> f64 {
    let prepared = PreparedRig::new(rig).expect("valid");
    let half_square = |from: usize, to: usize, pixels| {
        let (from, to) = (&prepared.lenses[from], &prepared.lenses[to]);
        super::super::bundle::residual(&surface, from, to, pixels).expect("seen").length_squared() / 2.0
    };
    let sum = points.iter().map(|point| {
        let ([a, b], [p, q]) = (point.lenses, point.pixels);
        half_square(a, b, [p, q]) + half_square(b, a, [q, p])
    });
    sum.sum::<f64>() / points.len() as f64 - 10.0 * points.len() as f64
}

/// The rig with the presets' angles, focal lengths and centres: what stitchEm started from.
fn with_presets(rig: &Rig, presets: &str) -> Rig {
    let presets: serde_json::Value = serde_json::from_str(presets).expect("JSON");
    let config = &presets["algorithms"][0]["config"];
    let mut start = rig.clone();
    for (index, lens) in start.lenses.iter_mut().enumerate() {
        let (pose, camera) = (&config["rig"]["rigcameras"][index], &config["cameras"][index]);
        let number = |value: &serde_json::Value, name: &str| value[name].as_f64().expect("a number");
        lens.orientation = Orientation::Angles(YawPitchRoll::new(
            number(pose, "yaw_mean"),
            number(pose, "pitch_mean"),
            number(pose, "roll_mean"),
        ));
        // The optimised fisheye's r is tan(θ/2), ours 2 tan(θ/2).
        lens.lens.focal_px = [number(camera, "fu_mean") / 2.0, number(camera, "fv_mean") / 2.0];
        lens.lens.center_px = [number(camera, "cu_mean"), number(camera, "cv_mean")];
        if let Some(radial) = &mut lens.lens.radial {
            radial.reference_px = number(camera, "fu_mean");
        }
    }
    start
}

#[test]
fn recorded_costs_are_understood() {
    for (file, surface, recorded, points) in [
        ("calibration_AQ1610012338_ref.ptv", Surface::Sphere { radius_m: 3.0 }, -753.776, 77),
        ("H3PRO6_ref.ptv", Surface::Infinity, -2225.03, 366),
    ] {
        let Some(text) = read(file) else { return };
        let rig = Rig::from_ptv(file, &text).expect("readable");
        let found = ControlPoint::from_ptv(file, &text).expect("readable");
        assert_eq!(found.len(), points);
        let cost = stitchem_cost(&rig, &found, surface);
        println!("{file}: cost {cost:.3}, recorded {recorded}");
        assert!((cost - recorded).abs() < 0.05, "{file}: {cost}");
    }
}

#[test]
fn an_orah_is_solved_as_well_as_its_maker_did() {
    let file = "calibration_AQ1610012338_ref.ptv";
    let (Some(text), Some(presets)) = (read(file), read("calibration_AQ1610012338.json")) else { return };
    let recorded = Rig::from_ptv(file, &text).expect("readable");
    let points = ControlPoint::from_ptv(file, &text).expect("readable");
    let surface = Surface::Sphere { radius_m: 3.0 };
    let start = with_presets(&recorded, &presets);
    let (its, first) = (stitchem_cost(&recorded, &points, surface), stitchem_cost(&start, &points, surface));
    // Free is what differs between its presets and its solution, and its presets say how far: 1° of direction, 200 pixels of focal length, 150
    // of centre, of 1073. Its points are 4 pixels off: what it films is not 3 m away everywhere.
    let free = Free { focal: true, center: true, ..Free::default() };
    let prior = Prior { point_px: 4.0, angle_deg: 1.0, focal: 0.19, center: 0.14, ..Prior::default() };
    for (name, free, prior) in [
        ("directions", Free::default(), None),
        ("directions, focal lengths and centres", free, None),
        ("the same within its presets", free, Some(prior)),
    ] {
        let settings = BundleSettings { free, surface, anchor: 0, robust_px: None, prior };
        let solved = adjust(&start, &points, &settings).expect("solvable");
        let ours = stitchem_cost(&solved.rig, &points, surface);
        let apart: Vec<f64> = (0..4)
            .map(|lens| {
                let turn = |rig: &Rig| rig.lenses[lens].orientation.rig_from_lens();
                let quat = bevy::math::DQuat::from_mat3(&(turn(&solved.rig).transpose() * turn(&recorded)));
                quat.to_axis_angle().1.to_degrees()
            })
            .collect();
        println!(
            "free {name}: cost {ours:.3} (recorded {its:.3}, presets {first:.3}), {} evaluations, {apart:.3?}° apart, σ {:.3?}°",
            solved.evaluations, solved.angle_sigma_deg
        );
        assert!((ours - its).abs() < ITS_TOLERANCE && ours < first);
        if prior.is_some() {
            assert!(apart.iter().all(|degrees| *degrees < 3.0), "{apart:?}");
        } else if free.focal {
            assert!(ours <= its + 0.01, "{ours} is worse than {its}");
        }
    }
}
