//! Distances of a scene that is known.

use super::Picture;
use crate::{
    disparity::{DepthPass, DepthSettings, DisparityError, DisparitySettings, Rectification, StereoCameras},
    flow::testing::{gpu, read_buffer, read_texture},
    rig::{PreparedRig, Rig},
};
use bevy::math::{DVec2, DVec3, Rect, UVec2, Vec2};
use core::f64::consts::{PI, TAU};
use studio_frame::projection::PictureProjection;
use studio_gpu::{device::HeadlessGpu, rgba::RgbaPass};

/// A smooth solid texture, 0 to 1.
fn solid(place: DVec3, cell_m: f64) -> f64 {
    let at = place / cell_m;
    let (base, part) = (at.floor(), at - at.floor());
    let part = part * part * (3.0 - 2.0 * part);
    let value = |x: i64, y: i64, z: i64| {
        let [x, y, z] = [base.x as i64 + x, base.y as i64 + y, base.z as i64 + z].map(|cell| cell as u32);
        let mut hash = x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77) ^ z.wrapping_mul(0xC2B2_AE3D);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
        hash = (hash ^ (hash >> 12)).wrapping_mul(0x297A_2D39);
        f64::from(hash >> 8) / f64::from(1 << 24)
    };
    let mix = |a: f64, b: f64, t: f64| a + (b - a) * t;
    let along_x = |y, z| mix(value(0, y, z), value(1, y, z), part.x);
    let along_y = |z| mix(along_x(0, z), along_x(1, z), part.y);
    mix(along_y(0), along_y(1), part.z)
}

/// A room, the inside of a ball around the middle, and balls in it. X is right, Y down, Z ahead.
struct Scene {
    room_m: f64,
    balls: Vec<(DVec3, f64)>,
}

impl Scene {
    /// How far along a ray of length 1 something is.
    fn distance_m(&self, from: DVec3, direction: DVec3) -> f64 {
        let meets = |center: DVec3, radius: f64, inside: bool| {
            let offset = from - center;
            let b = offset.dot(direction);
            let root = b * b - offset.length_squared() + radius * radius;
            let distance = if inside { -b + root.max(0.0).sqrt() } else { -b - root.max(0.0).sqrt() };
            (root >= 0.0 && distance > 0.0).then_some(distance)
        };
        let room = meets(DVec3::ZERO, self.room_m, true).expect("the eye is in the room");
        self.balls.iter().filter_map(|&(center, radius)| meets(center, radius, false)).fold(room, f64::min)
    }

    fn color(&self, from: DVec3, direction: DVec3) -> [u8; 4] {
        let distance = self.distance_m(from, direction);
        let place = from + direction * distance;
        let channel = |offset: f64| {
            let place = place + DVec3::splat(offset);
            // Grains of a few pixels wherever they are.
            let grain = if place.length() > self.room_m * 0.9 { 0.025 * self.room_m } else { 0.02 };
            ((0.5 * solid(place, grain) + 0.5 * solid(place, grain * 2.3)) * 255.0) as u8
        };
        [channel(0.0), channel(7.0), channel(31.0), 255]
    }

    /// A picture whose pixels see along rays: origin and direction for a place in shares.
    fn film(&self, size: UVec2, ray: impl Fn(DVec2) -> Option<(DVec3, DVec3)>) -> Picture {
        let places = places(size);
        let rgba = places.flat_map(|place| ray(place).map_or([0, 0, 0, 255], |(from, direction)| self.color(from, direction)));
        Picture { size, rgba: rgba.collect() }
    }
}

fn places(size: UVec2) -> impl Iterator<Item = DVec2> {
    (0..size.y).flat_map(move |y| (0..size.x).map(move |x| (DVec2::new(f64::from(x), f64::from(y)) + 0.5) / size.as_dvec2()))
}

fn scene() -> Scene {
    Scene { room_m: 3.0, balls: vec![(DVec3::new(0.25, 0.1, 1.6), 0.35), (DVec3::new(-0.7, -0.2, 1.9), 0.3)] }
}

/// Where a direction of longitude and latitude goes.
fn direction(longitude: f64, latitude: f64) -> DVec3 {
    DVec3::new(longitude.sin() * latitude.cos(), latitude.sin(), longitude.cos() * latitude.cos())
}

/// Both eyes in one picture, the right one below.
fn stacked(left: &Picture, right: &Picture) -> Picture {
    Picture { size: left.size * UVec2::new(1, 2), rgba: [left.rgba.as_slice(), &right.rgba].concat() }
}

/// Distances that the pass finds, with the size of their picture. The eyes come in one picture if `together`.
fn distances(
    eyes: [&Picture; 2],
    together: bool,
    projection: PictureProjection,
    rig: Option<&Rig>,
    settings: &DepthSettings,
) -> (DepthPass, Vec<f32>) {
    let HeadlessGpu { device, queue, .. } = gpu();
    let whole = RgbaPass::WHOLE;
    let (pictures, parts) = if together {
        let picture = stacked(eyes[0], eyes[1]).upload();
        let half = |from| Rect { min: Vec2::new(0.0, from), max: Vec2::new(1.0, from + 0.5) };
        ([picture.clone(), picture], [half(0.0), half(0.5)])
    } else {
        (eyes.map(Picture::upload), [whole; 2])
    };
    let frames = [(pictures[0].size, parts[0]), (pictures[1].size, parts[1])];
    let mut pass = DepthPass::new(device, queue, frames, projection, rig, settings).expect("settings fit");
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    pass.encode(device, queue, &mut encoder, (&pictures[0], parts[0]), (&pictures[1], parts[1])).expect("pictures fit");
    queue.submit([encoder.finish()]);
    let found = bytemuck::pod_collect_to_vec(&read_buffer(pass.distance_buffer()));
    (pass, found)
}

/// The median relative error, and the share of pixels within 5 %, of the pixels whose place has a true distance.
fn errors(size: UVec2, found: &[f32], truth: impl Fn(DVec2) -> Option<f64>) -> (f64, f64) {
    let mut errors: Vec<f64> = places(size)
        .zip(found)
        .filter_map(|(place, found)| truth(place).map(|truth| (f64::from(*found) / truth - 1.0).abs()))
        .collect();
    assert!(errors.len() > 1000);
    errors.sort_by(f64::total_cmp);
    (errors[errors.len() / 2], errors.iter().filter(|error| **error < 0.05).count() as f64 / errors.len() as f64)
}

const BASELINE_M: f64 = 0.2;

fn depth_settings(cameras: StereoCameras) -> DepthSettings {
    let matching = DisparitySettings { range_px: 64, ..Default::default() };
    DepthSettings { matching, cameras, baseline_m: BASELINE_M, near_m: 0.5 }
}

/// The share of the front that counts: what the eyes' own line is far from.
fn off_axis(direction: DVec3, axis: DVec3) -> bool {
    direction.dot(axis).abs() < 0.7
}

#[test]
fn vr180_gives_metres() {
    let scene = scene();
    let size = UVec2::splat(480);
    let eye = |at: DVec3| scene.film(size, |p| Some((at, direction((p.x - 0.5) * PI, (p.y - 0.5) * PI))));
    let [left, right] = [eye(DVec3::ZERO), eye(DVec3::X * BASELINE_M)];
    let settings = depth_settings(StereoCameras::Auto);
    let (pass, found) = distances([&left, &right], true, PictureProjection::HalfEquirectangular, None, &settings);
    let (median, good) = errors(pass.depth_picture().size, &found, |p| {
        let direction = direction((p.x - 0.5) * PI, (p.y - 0.5) * PI);
        (off_axis(direction, DVec3::X) && direction.z > 0.3).then(|| scene.distance_m(DVec3::ZERO, direction))
    });
    eprintln!("VR180: median error {:.2} %, {:.1} % within 5 %", median * 100.0, good * 100.0);
    assert!(median < 0.02 && good > 0.9, "{median} {good}");
    // The picture of distances says the same, in eighths of a bit.
    let texels = read_texture(&pass.depth_picture().planes[0], 4);
    for (texel, distance) in texels.as_chunks::<4>().0.iter().zip(&found).step_by(97) {
        let expected = if *distance == 0.0 { 0.0 } else { (0.5 / distance).min(1.0) * 255.0 };
        assert!((f32::from(texel[0]) - expected).abs() < 1.01, "{texel:?} for {distance} m");
    }
}

#[test]
fn cameras_above_each_other_see_along_meridians() {
    let scene = scene();
    let size = UVec2::new(768, 384);
    let eye = |at: DVec3| scene.film(size, |p| Some((at, direction((p.x - 0.5) * TAU, (p.y - 0.5) * PI))));
    let [upper, lower] = [eye(DVec3::ZERO), eye(DVec3::Y * BASELINE_M)];
    let settings = depth_settings(StereoCameras::Stacked);
    let (pass, found) = distances([&upper, &lower], false, PictureProjection::Equirectangular, None, &settings);
    let (median, good) = errors(pass.depth_picture().size, &found, |p| {
        let direction = direction((p.x - 0.5) * TAU, (p.y - 0.5) * PI);
        off_axis(direction, DVec3::Y).then(|| scene.distance_m(DVec3::ZERO, direction))
    });
    eprintln!("stacked: median error {:.2} %, {:.1} % within 5 %", median * 100.0, good * 100.0);
    assert!(median < 0.025 && good > 0.85, "{median} {good}");
}

#[test]
fn omnidirectional_stereo_gives_metres_all_around() {
    let scene = scene();
    let size = UVec2::new(768, 384);
    let eye = |side: f64| {
        scene.film(size, |p| {
            let longitude = (p.x - 0.5) * TAU;
            let right = DVec3::new(longitude.cos(), 0.0, -longitude.sin());
            Some((right * (side * BASELINE_M / 2.0), direction(longitude, (p.y - 0.5) * PI)))
        })
    };
    let [left, right] = [eye(-1.0), eye(1.0)];
    let settings = depth_settings(StereoCameras::Auto);
    let (pass, found) = distances([&left, &right], true, PictureProjection::Equirectangular, None, &settings);
    let (median, good) = errors(pass.depth_picture().size, &found, |p| {
        let (longitude, latitude) = ((p.x - 0.5) * TAU, (p.y - 0.5) * PI);
        let from = DVec3::new(longitude.cos(), 0.0, -longitude.sin()) * (-BASELINE_M / 2.0);
        let ray = direction(longitude, latitude);
        // From the middle of the circle, as the distances are told.
        let point = from + ray * scene.distance_m(from, ray);
        (latitude.abs() < 0.9).then(|| point.length())
    });
    eprintln!("omnidirectional: median error {:.2} %, {:.1} % within 5 %", median * 100.0, good * 100.0);
    assert!(median < 0.025 && good > 0.85, "{median} {good}");
}

/// An OpenCV stereo calibration of two cameras with distortion, turned towards each other.
const CALIBRATION: &str = "%YAML:1.0
---
image_size: [ 480, 360 ]
M1: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 402., 0., 236.5, 0., 401., 182.5, 0., 0., 1. ]
D1: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -0.21, 0.06, 0.001, -0.0015, 0. ]
M2: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 398., 0., 244.5, 0., 399., 176.5, 0., 0., 1. ]
D2: !!opencv-matrix
   rows: 1
   cols: 5
   dt: d
   data: [ -0.18, 0.04, -0.0008, 0.001, 0. ]
R: !!opencv-matrix
   rows: 3
   cols: 3
   dt: d
   data: [ 0.9981351, -0.0174225, 0.0585049, 0.0174524, 0.9998477, 0.0000000, -0.0584960, 0.0010211, 0.9982871 ]
T: !!opencv-matrix
   rows: 3
   cols: 1
   dt: d
   data: [ -200., 4., 3. ]
";

fn calibrated() -> Rig {
    Rig::from_opencv_stereo("stereo.yml", CALIBRATION, 0.001).expect("a calibration")
}

/// What the calibration's cameras see.
fn filmed(scene: &Scene, rig: &Rig) -> [Picture; 2] {
    let prepared = PreparedRig::new(rig).expect("a rig");
    [0, 1].map(|eye| {
        let size = prepared.pictures[eye];
        let at = DVec3::from_array(rig.lenses[eye].translation_m);
        scene.film(size, |p| Some((at, prepared.lenses[eye].direction(p * size.as_dvec2())?)))
    })
}

#[test]
fn a_calibration_rectifies_and_gives_metres() {
    let (scene, rig) = (scene(), calibrated());
    let rectified = Rectification::new(&rig).expect("two cameras");
    assert!((rectified.baseline_m - 0.200_06).abs() < 1e-4, "{}", rectified.baseline_m);
    let [left, right] = filmed(&scene, &rig);
    let flat = PictureProjection::Rectilinear { fov_deg: 60.0 };
    let (pass, found) = distances([&left, &right], false, flat, Some(&rig), &depth_settings(StereoCameras::Auto));
    let edges = rectified.edges();
    let PictureProjection::OffAxis { left: told, .. } = pass.projection() else { panic!("{:?}", pass.projection()) };
    assert!(edges.iter().zip(told).all(|(edge, told)| (edge - f64::from(told)).abs() < 1e-6));
    let ray = |p: DVec2| {
        let across = DVec2::new(edges[0] + edges[1], edges[2] + edges[3]);
        (p * across - DVec2::new(edges[0], edges[2])).extend(1.0)
    };
    let size = pass.depth_picture().size;
    let (median, good) = errors(size, &found, |p| {
        // Near the sides, the other camera sees nothing.
        let inside = p.x > 0.2 && (p - 0.5).abs().max_element() < 0.42;
        inside.then(|| scene.distance_m(DVec3::ZERO, rectified.rig_direction(ray(p).normalize())))
    });
    eprintln!("calibrated: median error {:.2} %, {:.1} % within 5 %", median * 100.0, good * 100.0);
    assert!(median < 0.015 && good > 0.93, "{median} {good}");
    // z = f B / d, with the disparity in pixels of the rectified picture.
    let disparities: Vec<i32> = bytemuck::pod_collect_to_vec(&read_buffer(pass.matching().disparity_buffer()));
    let middle = (size.y / 2 * size.x + size.x / 2) as usize;
    let z = f64::from(found[middle])
        / ray((DVec2::new(f64::from(size.x / 2), f64::from(size.y / 2)) + 0.5) / size.as_dvec2()).length();
    assert!((z / rectified.depth_m(f64::from(disparities[middle]) / 16.0) - 1.0).abs() < 1e-3, "{z}");
}

#[test]
fn bad_geometry_is_refused_with_the_way_out() {
    let HeadlessGpu { device, queue, .. } = gpu();
    let frames = [(UVec2::new(128, 64), RgbaPass::WHOLE); 2];
    let refusal = |projection, cameras, rig: Option<&Rig>| {
        let settings = DepthSettings { cameras, ..Default::default() };
        DepthPass::new(device, queue, frames, projection, rig, &settings).err().expect("refused").to_string()
    };
    let flat = PictureProjection::Rectilinear { fov_deg: 90.0 };
    assert!(refusal(flat, StereoCameras::Stacked, None).contains("calibration"));
    assert!(refusal(PictureProjection::CubeMap, StereoCameras::Auto, None).contains("convert it first"));
    assert!(refusal(PictureProjection::CubeMap, StereoCameras::Omnidirectional, None).contains("equirectangular"));
    assert!(refusal(PictureProjection::Fisheye { fov_deg: 0.0 }, StereoCameras::Auto, None).contains("Fisheye"));
    let changed = |change: fn(&mut Rig)| {
        let mut rig = calibrated();
        change(&mut rig);
        refusal(flat, StereoCameras::Auto, Some(&rig))
    };
    assert!(changed(|rig| rig.lenses.truncate(1)).contains("takes two"));
    assert!(changed(|rig| rig.lenses[1].translation_m = [0.0; 3]).contains("same place"));
    assert!(changed(|rig| rig.lenses.swap(0, 1)).contains("put the left one first"));
    assert!(changed(|rig| rig.lenses[1].translation_m = [0.0, 0.0, 1.0]).contains("behind"));
    assert!(
        changed(|rig| rig.lenses[1].orientation = crate::rig::Orientation::Quaternion([0.0, 1.0, 0.0, 0.0])).contains("apart")
    );
    let (near, far) = (f32::NAN, f64::INFINITY);
    for settings in [
        DepthSettings { near_m: near, ..Default::default() },
        DepthSettings { baseline_m: far, ..Default::default() },
        DepthSettings { baseline_m: 0.0, ..Default::default() },
    ] {
        let refused = DepthPass::new(device, queue, frames, flat, None, &settings);
        assert!(matches!(refused, Err(DisparityError::Geometry(_))));
    }
}

#[test]
fn bad_calibrations_are_refused_with_what_they_lack() {
    let refusal = |text: &str| Rig::from_opencv_stereo("stereo.yml", text, 1.0).expect_err("refused").to_string();
    for (from, to, says) in [
        ("M2:", "M3:", "M2"),
        ("D1:", "D9:", "D1"),
        ("R:", "Q:", "R and T"),
        ("T:", "U:", "R and T"),
        ("0.9981351", "1.5", "no rotation"),
        ("[ -200., 4., 3. ]", "[ -200., 4. ]", "R and T"),
        ("[ -200.,", "[ .nan,", "translation_m"),
        ("image_size", "size", "picture size"),
        ("402.", "forty", "line 8"),
    ] {
        let error = refusal(&CALIBRATION.replacen(from, to, 1));
        assert!(error.contains(says) && error.contains("stereo.yml"), "{to}: {error}");
    }
    assert!(Rig::from_opencv_stereo("stereo.json", "{", 1.0).is_err());
}
