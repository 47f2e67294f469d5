//! Real networks on real pictures, and files that are none.

use super::*;
use bevy::math::{UVec2, Vec2};
use bytes::Bytes;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};
use studio_frame::queue::QueuePolicy;

/// A network of `tests/onnx`.
fn network(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/onnx").join(name)
}

/// Whether models can be run. A machine that tests everything must have ONNX Runtime.
fn has_runtime() -> bool {
    let Err(error) = runtime::check() else { return true };
    let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
    assert!(!ci, "{error}");
    eprintln!("skipped: {error}");
    false
}

fn shared_data(path: &str) -> Option<PathBuf> {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data").join(path);
    if !full.exists() {
        eprintln!("skipped: {path} is absent from the shared data");
        return None;
    }
    Some(full)
}

struct Picture {
    size: UVec2,
    bytes: Vec<u8>,
}

impl Picture {
    fn of(size: UVec2, color: impl Fn(u32, u32) -> [u8; 3]) -> Self {
        let pixels = (0..size.y).flat_map(|y| (0..size.x).map(move |x| (x, y)));
        let bytes = pixels.flat_map(|(x, y)| {
            let [red, green, blue] = color(x, y);
            [red, green, blue, green]
        });
        Self { size, bytes: bytes.collect() }
    }

    fn read(path: &Path) -> Self {
        let picture = image::open(path).expect("a picture").to_rgb8();
        let size = UVec2::from(picture.dimensions());
        Self::of(size, |x, y| picture.get_pixel(x, y).0)
    }

    fn packed(&self) -> PackedPicture<'_> {
        PackedPicture { size: self.size, bytes: &self.bytes }
    }
}

/// A texture of a few pixels' grain that meets itself after `width` columns, moved by `by`.
fn texture(size: UVec2, by: Vec2) -> Picture {
    let value = |x: i64, y: i64| {
        let x = x.rem_euclid(i64::from(size.x)) as u32;
        let mut hash = x.wrapping_mul(0x9E37_79B1) ^ (y as u32).wrapping_mul(0x85EB_CA77);
        hash = (hash ^ (hash >> 15)).wrapping_mul(0x2C1B_3C6D);
        (hash ^ (hash >> 12)) % 256
    };
    Picture::of(size, |x, y| {
        let at = (Vec2::new(x as f32, y as f32) - by).round().as_i64vec2();
        // Averaged over 3×3, so that coarse levels see something too.
        let sum: u32 = (-1..=1).flat_map(|j| (-1..=1).map(move |i| (i, j))).map(|(i, j)| value(at.x + i, at.y + j)).sum();
        [(sum / 9) as u8; 3]
    })
}

fn open(name: &str, task: PairTask) -> PairModel {
    PairModel::open(&network(name), task, &ModelSettings::default()).expect("a network")
}

/// What ONNX Runtime's own Python gives; none, with a line that says so, without it.
fn peer(model: &str, pair: [&Picture; 2]) -> Option<Vec<f32>> {
    let Some(python) = std::env::var_os("NEURAL_STUDIO_ONNXRUNTIME_PYTHON").filter(|python| !python.is_empty()) else {
        eprintln!(
            "skipped: no comparison with ONNX Runtime's Python (`cargo xtask test` names it in NEURAL_STUDIO_ONNXRUNTIME_PYTHON)"
        );
        return None;
    };
    let mut child = Command::new(python)
        .arg(network("run.py"))
        .arg(network(model))
        .args([pair[0].size.x.to_string(), pair[0].size.y.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut input = child.stdin.take().expect("piped");
    pair.iter().for_each(|picture| input.write_all(&picture.bytes).expect("read"));
    drop(input);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    Some(output.stdout.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect())
}

fn assert_like_peer(model: &str, pair: [&Picture; 2], found: &Dense) {
    let Some(expected) = peer(model, pair) else { return };
    assert_eq!(expected.len(), found.values.len());
    let worst = expected.iter().zip(&found.values).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    eprintln!("{model}: at most {worst:.6} px beside ONNX Runtime's Python");
    assert!(worst < 1e-3, "{worst}");
}

#[test]
fn flow_of_real_pictures_is_what_onnx_runtime_says_and_near_the_truth() {
    if !has_runtime() {
        return;
    }
    let mut model = open("block_flow.onnx", PairTask::Flow);
    let mut sum = 0.0;
    let pairs = ["Dimetrodon", "Grove2", "RubberWhale", "Urban2"];
    for pair in pairs {
        let Some(folder) = shared_data("flow/middlebury").map(|folder| folder.join(pair)) else { return };
        let pictures = ["frame10.png", "frame11.png"].map(|name| Picture::read(&folder.join(name)));
        let found = model.compare(pictures.each_ref().map(Picture::packed), false, false).expect("runs").forward;
        let flo = fs::read(folder.join("flow10.flo")).expect("the truth");
        let truth: Vec<f32> = flo[12..].as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        let plane = found.values.len() / 2;
        let known = truth.as_chunks::<2>().0.iter().enumerate().filter(|(_, truth)| truth.iter().all(|value| value.abs() < 1e9));
        let errors: Vec<_> =
            known.map(|(index, &[x, y])| Vec2::new(found.values[index] - x, found.values[plane + index] - y).length()).collect();
        let mean = errors.iter().sum::<f32>() / errors.len() as f32;
        eprintln!("block_flow, {pair}: endpoint error {mean:.3} px");
        sum += mean;
        if pair == "Grove2" {
            assert_like_peer("block_flow.onnx", pictures.each_ref(), &found);
        }
    }
    let mean = sum / pairs.len() as f32;
    assert!(mean < 0.85, "{mean}");
}

#[test]
fn disparity_of_real_pictures_is_what_onnx_runtime_says_and_near_the_truth() {
    let Some(folder) = shared_data("stereo/middlebury/tsukuba").filter(|_| has_runtime()) else { return };
    let eyes = ["im2.png", "im6.png"].map(|name| Picture::read(&folder.join(name)));
    let mut model = open("block_stereo.onnx", PairTask::Disparity);
    let PairResult { forward, backward } = model.compare(eyes.each_ref().map(Picture::packed), false, true).expect("runs");
    assert_like_peer("block_stereo.onnx", eyes.each_ref(), &forward);
    let truth = Picture::read(&folder.join("disp2.png"));
    let backward = backward.expect("asked for");
    let (mut known, mut bad, mut disagree, mut bad_of_agreeing) = (0, 0, 0, 0);
    for (index, texel) in truth.bytes.as_chunks::<4>().0.iter().enumerate() {
        let x = index % truth.size.x as usize;
        if texel[0] == 0 || x < 64 {
            continue;
        }
        let found = forward.values[index];
        let is_bad = (found - f32::from(texel[0]) / 16.0).abs() > 1.0;
        let there = index - (found.round().max(0.0) as usize).min(x);
        let agrees = (backward.values[there] - found).abs() <= 1.0;
        known += 1;
        bad += i32::from(is_bad);
        disagree += i32::from(!agrees);
        bad_of_agreeing += i32::from(is_bad && agrees);
    }
    let percent = |count: i32, of: i32| 100.0 * f64::from(count) / f64::from(of);
    let (all, agreeing) = (percent(bad, known), percent(bad_of_agreeing, known - disagree));
    eprintln!(
        "block_stereo, tsukuba: {all:.1} % bad, {agreeing:.1} % of those on which both eyes agree, {:.1} % disagree",
        percent(disagree, known)
    );
    assert!(all < 17.0 && agreeing < 0.7 * all, "{all} {agreeing}");
}

/// The median of a plane inside of a margin.
fn median(dense: &Dense, plane: u32, columns: core::ops::Range<u32>) -> f32 {
    let UVec2 { x: width, y: height } = dense.size;
    let mut values: Vec<_> = (16..height - 16)
        .flat_map(|y| columns.clone().map(move |x| (y, x)))
        .map(|(y, x)| dense.values[((plane * height + y) * width + x) as usize])
        .collect();
    values.sort_by(f32::total_cmp);
    values[values.len() / 2]
}

#[test]
fn sizes_of_the_models_own_and_coarse_results_come_back_in_pixels_of_the_picture() {
    if !has_runtime() {
        return;
    }
    let size = UVec2::new(128, 96);
    let pair = |size| [texture(size, Vec2::ZERO), texture(size, Vec2::new(6.0, -4.0))];
    let mut fixed = open("fixed_flow.onnx", PairTask::Flow);
    assert_eq!(fixed.signature().fixed_size, Some(size));
    let pictures = pair(size);
    let found = fixed.compare(pictures.each_ref().map(Picture::packed), false, false).expect("runs").forward;
    // Both outputs fit; the fine one is taken.
    assert_like_peer("fixed_flow.onnx", pictures.each_ref(), &found);
    let other = pair(UVec2::new(160, 96));
    let error = fixed.compare(other.each_ref().map(Picture::packed), false, false).expect_err("another size").to_string();
    assert!(error.contains("[128, 96]") && error.contains("[160, 96]"), "{error}");

    let mut coarse = open("coarse_flow.onnx", PairTask::Flow);
    // No multiple of the model's 4, and half as many results in each direction.
    let pictures = pair(UVec2::new(150, 101));
    let found = coarse.compare(pictures.each_ref().map(Picture::packed), false, false).expect("runs").forward;
    assert_eq!((found.size, found.values.len()), (UVec2::new(150, 101), 2 * 150 * 101));
    let motion = Vec2::new(median(&found, 0, 24..126), median(&found, 1, 24..126));
    assert!((motion - Vec2::new(6.0, -4.0)).length() < 0.5, "{motion}");
}

#[test]
fn motion_goes_on_across_a_seam() {
    if !has_runtime() {
        return;
    }
    let size = UVec2::new(256, 96);
    let pictures = [texture(size, Vec2::ZERO), texture(size, Vec2::new(-8.0, 0.0))];
    let mut model = open("block_flow.onnx", PairTask::Flow);
    let mut at_the_left = |wraps| {
        let found = model.compare(pictures.each_ref().map(Picture::packed), wraps, false).expect("runs").forward;
        (median(&found, 0, 0..4) - -8.0).abs()
    };
    let (ring, strip) = (at_the_left(true), at_the_left(false));
    assert!(ring < 0.5 && ring < strip, "{ring} px off as a ring, {strip} as a strip");
}

#[test]
fn files_that_are_no_models_are_refused_by_name() {
    if !has_runtime() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let whole = fs::read(network("block_flow.onnx")).expect("a network");
    for (name, bytes) in [
        ("empty.onnx", Vec::new()),
        ("cut.onnx", whole[..whole.len() / 2].to_vec()),
        ("noise.onnx", (0..20_000_u32).map(|byte| (byte.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).expect("written");
        let error = PairModel::open(&path, PairTask::Flow, &ModelSettings::default()).err().expect(name).to_string();
        assert!(error.contains(name), "{error}");
    }
    for path in [folder.path().join("absent.onnx"), folder.path().to_owned()] {
        let error = PairModel::open(&path, PairTask::Flow, &ModelSettings::default()).err().expect("no file").to_string();
        assert!(error.contains("cannot be read") && error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn models_of_something_else_are_told_what_is_expected() {
    if !has_runtime() {
        return;
    }
    let refused =
        |name: &str, task| PairModel::open(&network(name), task, &ModelSettings::default()).err().expect("refused").to_string();
    let error = refused("classifier.onnx", PairTask::Flow);
    assert!(error.contains("“picture” has 3 channels") && error.contains("1×6×height×width"), "{error}");
    assert!(error.contains("picture f32 1×3×224×224") && error.contains("classes f32"), "{error}");
    let error = refused("block_stereo.onnx", PairTask::Flow);
    assert!(error.contains("no output of it fits") && error.contains("disparity f32 1×1×?×?"), "{error}");
    let error = refused("huge_input.onnx", PairTask::Flow);
    assert!(error.contains("200000×200000"), "{error}");
}

#[test]
fn models_that_go_wrong_end_with_an_error() {
    if !has_runtime() {
        return;
    }
    let pictures = [texture(UVec2::new(64, 64), Vec2::ZERO), texture(UVec2::new(64, 64), Vec2::ONE)];
    let pictures = pictures.each_ref().map(Picture::packed);
    let error = open("not_a_number.onnx", PairTask::Flow).compare(pictures, false, false).expect_err("not finite").to_string();
    assert!(error.contains("not finite") && error.contains("not_a_number.onnx"), "{error}");
    let start = Instant::now();
    let mut endless = open("endless.onnx", PairTask::Flow).with_time_limit(Duration::from_millis(300));
    let error = endless.compare(pictures, false, false).expect_err("stopped").to_string();
    assert!(error.contains("endless.onnx") && error.contains("stopped"), "{error}");
    // And the next time as well: the model is not broken by it.
    assert!(endless.compare(pictures, false, false).is_err());
    assert!(start.elapsed() < Duration::from_secs(60));
    for name in ["huge_output.onnx", "large_output.onnx"] {
        let error = open(name, PairTask::Flow).compare(pictures, false, false).expect_err("no room").to_string();
        assert!(error.contains(name) && error.contains("failed"), "{error}");
    }
    let short = PackedPicture { size: UVec2::new(64, 64), bytes: &[0; 64] };
    assert!(open("block_flow.onnx", PairTask::Flow).compare([short; 2], false, false).is_err());
    let large = PackedPicture { size: UVec2::new(100_000, 100_000), bytes: &[] };
    let error = open("block_flow.onnx", PairTask::Flow).compare([large; 2], false, false).expect_err("large").to_string();
    assert!(error.contains("100000×100000"), "{error}");
}

#[test]
fn a_worker_says_how_the_model_opened_and_drops_what_is_stale() {
    if !has_runtime() {
        return;
    }
    let start = |name: &str, policy| {
        ModelWorker::start(network(name), PairTask::Flow, ModelSettings::default(), policy, || ()).expect("a thread")
    };
    assert!(start("classifier.onnx", QueuePolicy::Block).wait_opened().is_err());
    let size = UVec2::new(320, 192);
    let bytes = Bytes::from(texture(size, Vec2::ZERO).bytes);
    for (policy, at_least) in [(QueuePolicy::NewestWins, 1), (QueuePolicy::Block, 6)] {
        let worker = start("block_flow.onnx", policy);
        let (sender, results) = sync_channel(8);
        for index in 0..6 {
            let sender = sender.clone();
            let done = Box::new(move |result: Result<PairResult, ModelError>| {
                sender.send((index, result.is_ok())).expect("waited for");
            });
            worker.send(PairJob { size, pictures: [bytes.clone(), bytes.clone()], wraps: false, both_ways: false, done });
        }
        let dropped = worker.dropped();
        drop((worker, sender));
        let done: Vec<_> = results.iter().collect();
        assert!(done.iter().all(|(_, good)| *good) && done.last() == Some(&(5, true)), "{done:?}");
        assert!(done.len() >= at_least && done.len() as u64 + dropped == 6, "{done:?} and {dropped} dropped");
    }
}

#[test]
fn pictures_become_planes_in_the_models_range_and_order() {
    let path = Path::new("model.onnx");
    let mut signature = PairSignature {
        task: PairTask::Flow,
        inputs: vec!["a".to_owned(), "b".to_owned()],
        channels: 3,
        fixed_size: None,
        multiple: 16,
        pixel_range: PixelRange::Unit,
        outputs: Vec::new(),
    };
    let picture = Picture::of(UVec2::new(17, 16), |x, _| [x as u8, 100, 255]);
    let placement = pictures::Placement::new(path, &signature, picture.size, false).expect("fits");
    assert_eq!(placement.padded, UVec2::new(32, 16));
    let planes = |signature: &PairSignature, bgr, mirrored| {
        let mut planes = Vec::new();
        placement.write(&picture.packed(), signature, bgr, mirrored, &mut planes);
        planes
    };
    let unit = planes(&signature, false, false);
    assert_eq!(unit.len(), 3 * 32 * 16);
    // The last column goes on.
    assert_eq!([unit[0], unit[16], unit[31]], [0.0, 16.0 / 255.0, 16.0 / 255.0]);
    assert_eq!(unit[2 * 32 * 16], 1.0);
    assert_eq!(planes(&signature, true, false)[0], 1.0);
    assert_eq!(planes(&signature, false, true)[0], 16.0 / 255.0);
    signature.pixel_range = PixelRange::ImageNet;
    let white_blue = planes(&signature, false, false)[2 * 32 * 16];
    assert!((white_blue - (1.0 - 0.406) / 0.225).abs() < 1e-5, "{white_blue}");
}
