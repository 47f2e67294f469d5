//! Sound and pictures through the graph into a file, offline and live.

use crate::tap;
use bevy::prelude::*;
use neural_studio::{prelude::*, studio_frame::prelude::AudioBlock};
use std::{
    path::Path,
    sync::mpsc,
    time::{Duration, Instant},
};

/// Records 2.5 s of flashes and claps.
fn record(path: &Path, clock: StudioClock) {
    let mut app = tap::app();
    app.insert_resource(clock);
    let world = app.world_mut();
    let pattern = TestPatternInput { size: UVec2::new(256, 128), frames: Some(75), flash: true, ..default() };
    let pattern = world.spawn(pattern).id();
    let tone = world.spawn(ToneInput { sound: Sound::Clap, duration_s: Some(2.5), ..default() }).id();
    let convert = world.spawn(ColorConvert).id();
    let pictures = world.spawn(VideoEncoder::default()).id();
    let sound = world.spawn(AudioEncoder::default()).id();
    let recorder = world.spawn(Recorder { path: path.display().to_string(), ..default() }).id();
    world.flush();
    for (from, output, to, input) in [
        (pattern, "frame", convert, "frame"),
        (convert, "frame", pictures, "frame"),
        (tone, "audio", sound, "audio"),
        (pictures, "packets", recorder, "packets"),
        (sound, "packets", recorder, "audio"),
    ] {
        connect(world, from, output, to, input).expect("links");
    }
    let start = Instant::now();
    let over = |app: &App, node| app.world().get::<NodeStatus>(node) == Some(&NodeStatus::Ended);
    while !(over(&app, pattern) && over(&app, tone)) {
        assert!(start.elapsed() < Duration::from_secs(60), "the sources do not end");
        app.update();
        std::thread::sleep(Duration::from_millis(2));
    }
    for _ in 0..20 {
        app.update();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_clap_stays_with_its_flash_through_the_graph() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    for clock in [StudioClock::Offline, StudioClock::Live] {
        let path = folder.path().join(format!("{clock:?}.mp4"));
        record(&path, clock);
        let (sender, receiver) = mpsc::sync_channel(10_000);
        let hear = Box::new(move |block: AudioBlock| sender.try_send(block).is_ok());
        let file = VideoFileInput { source: path.display().to_string(), ..default() };
        let capture = file.start_with_sound(CaptureClock::Offline, Some(hear)).expect("the file is there");
        let frames: Vec<_> = std::iter::from_fn(|| capture.frames().recv_timeout(Duration::from_secs(20)).ok()).collect();
        drop(capture);
        let white = frames.iter().filter(|frame| frame.row(0, 127).iter().all(|luma| *luma > 200));
        let flashes: Vec<f64> = white.map(|frame| frame.stamp.pts.0 as f64 / 1e6).collect();
        let loud = |block: &AudioBlock| {
            let place = block.samples().chunks(2).position(|frame| frame[0].abs() > 0.1)?;
            Some(block.stamp.pts.0 as f64 / 1e6 + place as f64 / 48.0)
        };
        let mut claps: Vec<f64> = receiver.iter().filter_map(|block| loud(&block)).collect();
        claps.dedup_by(|later, earlier| *later - *earlier < 500.0);
        assert!(flashes.len() >= 2 && claps.len() >= 2, "{clock:?}: {flashes:?}, {claps:?}");
        // Live, two sources start one after the other: a few milliseconds are theirs.
        let off = |clap: &f64| flashes.iter().map(|flash| clap - flash).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        let late: Vec<f64> = claps.iter().filter_map(off).filter(|late| late.abs() < 500.0).collect();
        eprintln!("{clock:?}: claps come {late:.2?} ms after their flashes");
        assert!(late.len() >= 2 && late.iter().all(|late| late.abs() <= 20.0), "{clock:?}: {late:?}");
    }
}
