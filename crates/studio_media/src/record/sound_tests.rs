use super::*;
use crate::{
    audio::{AudioEncoder, AudioEncoderSettings, AudioFileInput, AudioSource},
    capture::{CaptureClock, CaptureSource, CaptureStatus, VideoFileInput},
    testing::{claps, flashes, lateness_ms, record_claps},
};
use std::{fs, sync::mpsc};

const LONG: Duration = Duration::from_secs(20);

/// All pictures and all sound of a file.
fn play(path: &Path) -> (Vec<VideoFrame>, Vec<AudioBlock>) {
    let source = path.display().to_string();
    let capture = VideoFileInput { source: source.clone(), ..default() }.start(CaptureClock::Offline).unwrap();
    let frames = std::iter::from_fn(|| capture.frames().recv_timeout(LONG).ok()).collect();
    (frames, hear(path).0)
}

fn hear(path: &Path) -> (Vec<AudioBlock>, CaptureStatus) {
    let (sender, receiver) = mpsc::sync_channel(10_000);
    let input = AudioFileInput { source: path.display().to_string(), ..default() };
    let capture = input.start(CaptureClock::Offline, Box::new(move |block| sender.try_send(block).is_ok())).unwrap();
    let status = capture.wait_ended(LONG);
    drop(capture);
    let blocks: Vec<AudioBlock> = receiver.iter().collect();
    assert!(!blocks.is_empty(), "{}: no sound: {status:?}", path.display());
    (blocks, status)
}

/// Coded sound of so many milliseconds, and what it is.
fn sound(codec: AudioCodec, millis: u64) -> Vec<(PacketInfo, AccessUnit)> {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let settings = AudioEncoderSettings { codec, ..default() };
    let encoder = AudioEncoder::new(&settings, AudioFormat::STUDIO, QueuePolicy::Block, move |info, unit| {
        sender.send((PacketInfo::Audio(info.clone()), unit)).unwrap();
    })
    .unwrap();
    for index in 0..millis / 10 {
        let pts = index * 10_000_000;
        let stamp = FrameStamp { frame_id: index, captured_at: UnixTime(pts), pts: MediaTime(pts) };
        let samples: Vec<f32> = (0..960).map(|place| ((place / 2) as f32 * 0.13).sin() * 0.25).collect();
        encoder.push(&AudioBlock::new(stamp, AudioFormat::STUDIO, samples).unwrap()).unwrap();
    }
    encoder.finish().unwrap();
    receiver.iter().collect()
}

/// Coded pictures at the same times.
fn pictures(count: u64) -> Vec<(PacketInfo, AccessUnit)> {
    let (info, mut units) = tests::plain(VideoCodec::H264, count);
    for (index, unit) in units.iter_mut().enumerate() {
        let pts = index as u64 * 33_333_333;
        (unit.stamp.pts, unit.stamp.captured_at) = (MediaTime(pts), UnixTime(pts));
    }
    units.into_iter().map(|unit| (info.clone(), unit)).collect()
}

fn start(path: &Path, pictures: bool, sound: bool, policy: QueuePolicy) -> Recorder {
    Recorder::start(path, Expected { pictures, sound, policy }, &RecordSettings::default()).unwrap()
}

#[test]
fn lip_sync_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, codec) in [("mp4", AudioCodec::Aac), ("mp4", AudioCodec::Opus), ("mkv", AudioCodec::Opus)] {
        // Live the sound comes later, so that it begins in the middle of the pictures.
        for (clock, delay) in [(CaptureClock::Offline, 0), (CaptureClock::Live, 300)] {
            let path = folder.path().join(format!("{clock:?}{codec:?}.{ending}"));
            let clapper = record_claps(&path, codec, clock, 2.6, Duration::from_millis(delay));
            assert!(clapper.summary.frames >= 75 && clapper.summary.sound_packets > 100, "{:?}", clapper.summary);
            let (frames, blocks) = play(&path);
            let (seen, heard) = (flashes(&frames), claps(&blocks));
            assert!(seen.len() == 3 && heard.len() >= 2, "{ending}, {codec:?}, {clock:?}: {seen:?}, {heard:?}");
            let late = lateness_ms(&seen, &heard, clapper.late_s);
            eprintln!("{ending}, {codec:?}, {clock:?}: claps come {late:.2?} ms after their flashes");
            assert!(late.iter().all(|late| late.abs() <= 20.0), "{ending}, {codec:?}, {clock:?}: {late:?}");
        }
    }
}

#[test]
fn a_recording_that_breaks_off_plays_its_pictures_and_its_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (ending, codec) in
        [("mp4", AudioCodec::Aac), ("mp4", AudioCodec::Opus), ("mkv", AudioCodec::Opus), ("mkv", AudioCodec::Aac)]
    {
        let path = folder.path().join(format!("{codec:?}.{ending}"));
        record_claps(&path, codec, CaptureClock::Offline, 4.0, Duration::ZERO);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 7 / 10]).unwrap();
        let (frames, blocks) = play(&path);
        let heard: Duration = blocks.iter().map(AudioBlock::duration).sum();
        assert!(frames.len() > 55 && heard.as_secs_f32() > 1.8, "{ending}, {codec:?}: {} pictures, {heard:?}", frames.len());
        // Of the last clap the flash may be in what is lost.
        let (seen, mut heard) = (flashes(&frames), claps(&blocks));
        heard.retain(|clap| frames.last().is_some_and(|last| *clap < last.stamp.captured_at.0 as f64 / 1e9));
        let late = lateness_ms(&seen, &heard, 0.0);
        assert!(!late.is_empty() && late.iter().all(|late| late.abs() <= 20.0), "{ending}, {codec:?}: {late:?}");
    }
}

#[test]
fn sound_that_never_comes_or_ends_does_not_hold_the_pictures() {
    let folder = tempfile::tempdir().unwrap();
    for (name, millis, policy) in [
        ("never.mp4", 0, QueuePolicy::NewestWins),
        ("never.mkv", 0, QueuePolicy::Block),
        ("ends.mp4", 500, QueuePolicy::NewestWins),
        ("ends.mkv", 500, QueuePolicy::Block),
    ] {
        let path = folder.path().join(name);
        let recorder = start(&path, true, true, policy);
        let sound = sound(AudioCodec::Opus, millis);
        sound.iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
        recorder.end_sound();
        pictures(90).iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
        let summary = recorder.finish().unwrap();
        assert_eq!((summary.frames, summary.sound_packets), (90, sound.len() as u64), "{name}");
        let capture = VideoFileInput { source: path.display().to_string(), ..default() }.start(CaptureClock::Offline).unwrap();
        assert_eq!(std::iter::from_fn(|| capture.frames().recv_timeout(LONG).ok()).count(), 90, "{name}");
    }
}

#[test]
fn pictures_that_are_as_far_ahead_as_they_may_still_wait_for_the_first_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ahead.mp4");
    let recorder = start(&path, true, true, QueuePolicy::Block);
    let pictures = pictures(60);
    // The picture at one second sharp is let through before there is any sound.
    pictures[..31].iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    let sound = sound(AudioCodec::Opus, 2000);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            sound.iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
            recorder.end_sound();
        });
        pictures[31..].iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
    });
    let summary = recorder.finish().unwrap();
    assert_eq!((summary.frames, summary.sound_packets, summary.sound_skipped), (60, sound.len() as u64, 0));
}

#[test]
fn sound_is_cut_in_front_of_the_pictures_and_pauses_stay() {
    let folder = tempfile::tempdir().unwrap();
    for ending in ["mp4", "mkv"] {
        let path = folder.path().join(format!("pause.{ending}"));
        let recorder = start(&path, true, true, QueuePolicy::NewestWins);
        let sound = sound(AudioCodec::Opus, 2500);
        // The file begins half a second in; the sound pauses for half a second.
        let spoken = sound.iter().filter(|(_, unit)| !(1_000_000_000..1_500_000_000).contains(&unit.stamp.pts.0));
        spoken.for_each(|(info, unit)| recorder.push(info, unit).unwrap());
        pictures(75)[15..].iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
        let summary = recorder.finish().unwrap();
        let early = sound.iter().filter(|(_, unit)| unit.stamp.pts.0 < 15 * 33_333_333).count() as u64;
        assert_eq!((summary.frames, summary.sound_skipped), (60, early), "{summary:?}");
        let (blocks, _) = hear(&path);
        let loud = |from: f64, to: f64| {
            let within = |block: &&AudioBlock| (from..to).contains(&(block.stamp.pts.0 as f64 / 1e9));
            blocks.iter().filter(within).map(|block| block.level().rms_dbfs).fold(f32::MIN, f32::max)
        };
        assert!(loud(0.1, 0.4) > -20.0 && loud(0.6, 0.9) < -30.0 && loud(1.1, 1.8) > -20.0, "{ending}");
        assert!(blocks.iter().all(|block| block.end().0 < 2_100_000_000), "{ending}");
    }
}

#[test]
fn sound_alone_becomes_a_sound_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, codec) in [("a.m4a", AudioCodec::Aac), ("a.mp4", AudioCodec::Opus), ("a.mka", AudioCodec::Opus)] {
        let path = folder.path().join(name);
        let recorder = start(&path, false, true, QueuePolicy::Block);
        sound(codec, 1500).iter().for_each(|(info, unit)| recorder.push(info, unit).unwrap());
        let summary = recorder.finish().unwrap();
        let (blocks, status) = hear(&path);
        let heard: Duration = blocks.iter().map(AudioBlock::duration).sum();
        assert_eq!(status, CaptureStatus::EndOfStream, "{name}");
        assert!((1.4..1.6).contains(&heard.as_secs_f64()), "{name}: {heard:?}");
        assert!(summary.frames == 0 && summary.duration.as_millis().abs_diff(1500) < 60, "{summary:?}");
    }
}

#[test]
fn other_sound_than_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(&folder.path().join("a.mp4"), false, true, QueuePolicy::Block);
    let outcome = [AudioCodec::Opus, AudioCodec::Aac].into_iter().try_for_each(|codec| {
        let units = sound(codec, 200);
        units.iter().try_for_each(|(info, unit)| recorder.push(info, unit))
    });
    assert!(matches!(outcome, Err(RecordError::Changed { .. })), "{outcome:?}");
}
