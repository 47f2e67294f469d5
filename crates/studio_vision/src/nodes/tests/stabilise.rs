//! Whole spheres, steadied.

use super::*;
use crate::{
    flow::{FlowQuality, FlowSettings, testing::FlowRunner},
    nodes::{OpticalFlow, Stabilise},
    stabilise::{
        CausalSmoother, Smoothing, camera_rotation,
        testing::{Cinema, jitter_deg, shaken},
    },
};

const SIZE: UVec2 = UVec2::new(512, 256);
const FRAMES: u64 = 40;

/// How much consecutive pictures still turn, in degrees, as their own motion says.
fn turns(frames: &[VideoFrame]) -> f64 {
    let settings =
        FlowSettings { working_width_px: SIZE.x, quality: FlowQuality::Balanced, grid: UVec2::new(32, 16), ..Default::default() };
    let mut runner = FlowRunner::new(SIZE, &settings);
    let mut path = vec![DQuat::IDENTITY];
    for pair in frames.windows(2) {
        let mut field = runner.run(&[&pair[0], &pair[1]]).field;
        field.stamp.frame_id = 1;
        let turn = camera_rotation(&field).expect("a turn").older_from_newer;
        path.push(path[path.len() - 1] * turn);
    }
    jitter_deg(&path)
}

/// Runs a shaken clip through the node; what comes out, with numbers.
fn run(clock: StudioClock, settings: Stabilise, frames: &[VideoFrame]) -> (Vec<(u64, VideoFrame)>, Vec<MotionField>) {
    let mut studio = Studio::new(clock, Path::new("."));
    let feed = studio.node(Feed);
    let flow = studio.node(OpticalFlow { working_width_px: SIZE.x, cell_px: 16, ..default() });
    let stabilise = studio.node(settings);
    studio.link((feed, "frame"), (flow, "frame"));
    studio.link((feed, "frame"), (stabilise, "frame"));
    studio.link((flow, "motion"), (stabilise, "motion"));
    let motion: PinMotion = studio.output(stabilise, "motion");
    let (mut seen, mut fields): (Vec<(u64, VideoFrame)>, Vec<MotionField>) = default();
    for (frame, index) in frames.iter().zip(0..) {
        studio.feed(feed, frame, index, PictureProjection::Equirectangular);
        assert_eq!(studio.error(stabilise), None);
        seen.extend(studio.picture(stabilise, "frame").filter(|(id, _)| seen.last().is_none_or(|(last, _)| last != id)));
        fields.extend(motion.newest().map(|(field, _)| field));
    }
    (seen, fields)
}

#[test]
fn a_shaken_clip_comes_out_steady() {
    let mut cinema = Cinema::new(SIZE);
    let path = |time_s: f64| shaken(time_s, 0.0);
    let frames: Vec<VideoFrame> = (0..FRAMES).map(|index| cinema.film(path(index as f64 / 30.0))).collect();
    let before = turns(&frames);
    for (name, settings) in [
        ("locked", Stabilise { smoothing: Smoothing::Lock, ..default() }),
        ("live", Stabilise { smoothing: Smoothing::Follow { time_s: 1.0 }, ..default() }),
        ("looking ahead", Stabilise { smoothing: Smoothing::LookAhead { time_s: 0.4 }, ..default() }),
    ] {
        let settings_smoothing = settings.smoothing;
        let look_ahead = (settings.smoothing.look_ahead_s() * 30.0).ceil() as u64;
        let (seen, fields) = run(StudioClock::Offline, settings, &frames);
        let numbers: Vec<u64> = seen.iter().map(|(id, _)| *id).collect();
        let expected: Vec<u64> = (0..FRAMES - 1 - look_ahead.saturating_sub(1)).collect();
        assert!(numbers.len() >= expected.len() - 1 && numbers.iter().zip(&expected).all(|(a, b)| a == b), "{numbers:?}");
        // Where little lies ahead or behind, looking ahead smooths little.
        let margin = look_ahead as usize;
        let steady: Vec<VideoFrame> = seen[margin..].iter().map(|(_, frame)| frame.clone()).collect();
        let after = turns(&steady);
        println!("{name}: {before:.3}° a frame become {after:.4}° (×{:.0}), {} of {FRAMES} pictures", before / after, seen.len());
        let least = if margin == 0 { 10.0 } else { 4.0 };
        assert!(before > least * after, "{name}: {before} {after}");
        if name == "live" {
            // Steady, and not just standing still: where the smoothed path looks.
            let mut smoother = CausalSmoother::new(settings_smoothing, false);
            let looks: Vec<DQuat> =
                (0..FRAMES).map(|index| index as f64 / 30.0).map(|at_s| smoother.step(at_s, path(at_s))).collect();
            let last = seen.len() - 1;
            let [beside, first] = [looks[last], looks[0]].map(|look| difference(&seen[last].1, &cinema.film(look)));
            println!("live: {beside:.2} code values beside the picture from where it should look, {first:.2} beside the first");
            assert!(beside < 4.0 && first > 2.0 * beside, "{beside} {first}");
        }
        if name == "locked" {
            let left = fields.last().expect("motion").mean_speed_px();
            assert!(left < 0.5, "the carried motion is {left} pixels");
        }
    }
}

#[test]
fn live_pictures_keep_coming_and_end_steady() {
    let mut cinema = Cinema::new(SIZE);
    let frames: Vec<VideoFrame> = (0..FRAMES).map(|index| cinema.film(shaken(index as f64 / 30.0, 0.0))).collect();
    let (seen, _) = run(StudioClock::Live, Stabilise::default(), &frames);
    // What a busy GPU leaves out, it leaves out; what comes is in order.
    assert!(seen.len() as u64 > FRAMES / 2 && seen.is_sorted_by_key(|(id, _)| *id), "{} pictures", seen.len());
}

#[test]
fn a_log_steadies_at_once_and_finds_its_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("clip.gcsv");
    // The log began 0.2 s before the clip.
    let path = |time_s: f64| shaken(time_s, 0.0);
    std::fs::write(&log, gcsv(path, 12.0)).expect("written");
    let mut cinema = Cinema::new(SIZE);
    let frames: Vec<VideoFrame> = (0..140).map(|index| cinema.film(path(f64::from(index) / 30.0 + 0.2))).collect();
    let before = turns(&frames[..30]);
    let of_log = Stabilise { smoothing: Smoothing::Lock, imu_log: log.display().to_string(), ..default() };
    let mut known = of_log.clone();
    known.imu.offset_ms = 200.0;
    let (seen, _) = run(StudioClock::Offline, known, &frames[..30]);
    assert_eq!(seen.len(), 30, "nothing is held back");
    let steady: Vec<VideoFrame> = seen.into_iter().map(|(_, frame)| frame).collect();
    let after = turns(&steady);
    let (seen, _) = run(StudioClock::Offline, Stabilise { find_offset_ms: 500.0, ..of_log }, &frames);
    let end: Vec<VideoFrame> = seen[seen.len() - 20..].iter().map(|(_, frame)| frame.clone()).collect();
    let found = turns(&end);
    println!("log: {before:.3}° a frame become {after:.4}°; with its time found after 3 s {found:.4}°");
    assert!(before > 10.0 * after && before > 10.0 * found, "{before} {after} {found}");
}

#[test]
fn what_cannot_be_steadied_is_said() {
    let mut studio = Studio::new(StudioClock::Offline, Path::new("."));
    let feed = studio.node(Feed);
    let alone = studio.node(Stabilise::default());
    let lost = studio.node(Stabilise { imu_log: "no/such.gcsv".to_owned(), ..default() });
    studio.link((feed, "frame"), (alone, "frame"));
    studio.link((feed, "frame"), (lost, "frame"));
    let frame = crate::flow::testing::grey_frame(UVec2::new(64, 32), |_| 0.5);
    studio.feed(feed, &frame, 0, PictureProjection::Equirectangular);
    studio.app.update();
    let error = |studio: &Studio, node| studio.error(node).expect("it failed");
    assert!(error(&studio, alone).contains("OpticalFlow"), "{}", error(&studio, alone));
    assert!(error(&studio, lost).contains("no/such.gcsv"), "{}", error(&studio, lost));
    // Another shape of picture is tried at once.
    let flat = crate::flow::testing::grey_frame(UVec2::new(64, 36), |_| 0.5);
    studio.feed(feed, &flat, 1, PictureProjection::Rectilinear { fov_deg: 90.0 });
    studio.app.update();
    assert!(error(&studio, alone).contains("equirectangular"), "{}", error(&studio, alone));
}
