use super::*;
use crate::{
    capture::{CaptureClock, CaptureSource, CaptureStatus, Pattern, VideoFileInput},
    encode::{EncoderInput, EncoderSettings, VideoEncoder},
};
use std::{fs, process::Command, sync::mpsc, time::Instant};
use studio_frame::{mark::Mark, queue::ReceiveError};

const SIZE: UVec2 = UVec2::new(512, 256);

fn encode(codec: VideoCodec, count: u64, projection: PictureProjection, stereo: StereoLayout) -> (PacketInfo, Vec<AccessUnit>) {
    let pattern = Pattern::new(SIZE);
    let (sender, receiver) = mpsc::sync_channel(256);
    let input =
        EncoderInput { format: PixelFormat::Nv12, size: SIZE, color: ColorInfo::BT709, frame_rate_hz: 30.0, projection, stereo };
    let settings = EncoderSettings { codec, key_frame_interval_frames: 15, bitrate_bps: 8_000_000, ..default() };
    let encoder =
        VideoEncoder::new(settings, input, QueuePolicy::Block, move |output| sender.send(output).unwrap_or_default()).unwrap();
    for index in 0..count {
        let stamp = FrameStamp {
            frame_id: index,
            captured_at: UnixTime::from_micros(index),
            pts: MediaTime(7_000_000_000 + index * 33_333_333),
        };
        encoder.push(&pattern.draw(stamp).unwrap()).unwrap();
    }
    encoder.finish().unwrap();
    let outputs: Vec<_> = receiver.into_iter().collect();
    (PacketInfo::Video(outputs[0].info.clone()), outputs.into_iter().map(|output| output.unit).collect())
}

pub(super) fn plain(codec: VideoCodec, count: u64) -> (PacketInfo, Vec<AccessUnit>) {
    encode(codec, count, PictureProjection::Equirectangular, StereoLayout::Mono)
}

const PICTURES: Expected = Expected { pictures: true, sound: false, policy: QueuePolicy::Block };

fn record(path: &Path, info: &PacketInfo, units: &[AccessUnit]) -> RecordSummary {
    let recorder = Recorder::start(path, PICTURES, &RecordSettings::default()).unwrap();
    units.iter().for_each(|unit| recorder.push(info, unit).unwrap());
    recorder.finish().unwrap()
}

/// The frame numbers in a file's pictures, read from their marks.
fn numbers_in(path: &Path) -> (Vec<u32>, CaptureStatus) {
    let capture = VideoFileInput { source: path.display().to_string(), ..default() }.start(CaptureClock::Offline).unwrap();
    let mut numbers = Vec::new();
    loop {
        match capture.frames().recv_timeout(Duration::from_secs(20)) {
            Ok(frame) => numbers.push(Mark::read_frame(&frame).expect("every picture has its mark").frame_id),
            Err(ReceiveError::Closed) => return (numbers, capture.status()),
            Err(ReceiveError::Empty) => panic!("{} plays no further: {:?}", path.display(), capture.status()),
        }
    }
}

/// What ffprobe says of a file; `None` where there is no ffprobe.
fn ffprobe(path: &Path) -> Option<String> {
    let output = Command::new("ffprobe").args(["-v", "error", "-show_streams", "-show_format"]).arg(path).output();
    let Ok(output) = output else {
        eprintln!("skipped: ffprobe absent");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}: {}", path.display(), String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_codec_is_recorded_whole_in_both_containers() {
    let folder = tempfile::tempdir().unwrap();
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        let (info, units) = plain(codec, 40);
        for ending in ["mp4", "mkv"] {
            let path = folder.path().join(format!("{codec:?}.{ending}"));
            let summary = record(&path, &info, &units);
            assert_eq!((summary.frames, summary.bytes), (40, fs::metadata(&path).unwrap().len()));
            assert_eq!(numbers_in(&path), ((0..40).collect(), CaptureStatus::EndOfStream), "{}", path.display());
            let Some(told) = ffprobe(&path) else { continue };
            for line in ["projection=equirectangular", "width=512", "avg_frame_rate=30/1"] {
                assert!(told.contains(line), "{}: no {line} in\n{told}", path.display());
            }
        }
    }
}

#[test]
fn players_are_told_how_the_picture_lies_on_the_sphere() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        (PictureProjection::Equirectangular, StereoLayout::TopBottom, vec!["projection=equirectangular", "type=top and bottom"]),
        // Half a sphere, side by side: VR180.
        (
            PictureProjection::HalfEquirectangular,
            StereoLayout::LeftRight,
            vec!["projection=tiled equirectangular", "bound_left=25", "bound_right=25", "bound_top=0", "type=side by side"],
        ),
        (PictureProjection::CubeMap, StereoLayout::Mono, vec!["projection=cubemap"]),
        (PictureProjection::Rectilinear { fov_deg: 90.0 }, StereoLayout::Mono, vec!["!projection="]),
    ];
    for (index, (projection, stereo, lines)) in cases.into_iter().enumerate() {
        let (info, units) = encode(VideoCodec::H264, 5, projection, stereo);
        for ending in ["mp4", "mkv"] {
            let path = folder.path().join(format!("{index}.{ending}"));
            record(&path, &info, &units);
            let Some(told) = ffprobe(&path) else { continue };
            for line in &lines {
                match line.strip_prefix('!') {
                    Some(absent) => assert!(!told.contains(absent), "{}: {absent} in\n{told}", path.display()),
                    None => assert!(told.contains(line), "{}: no {line} in\n{told}", path.display()),
                }
            }
        }
    }
}

#[test]
fn a_recording_cut_anywhere_plays_up_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let (info, units) = plain(VideoCodec::H264, 90);
    for ending in ["mp4", "mkv"] {
        let path = folder.path().join(format!("whole.{ending}"));
        record(&path, &info, &units);
        let bytes = fs::read(&path).unwrap();
        let cut = folder.path().join(format!("cut.{ending}"));
        let mut last = 0;
        for share in [30, 47, 61, 75, 88, 99] {
            fs::write(&cut, &bytes[..bytes.len() * share / 100]).unwrap();
            let (numbers, _) = numbers_in(&cut);
            assert!(numbers.iter().copied().eq(0..numbers.len() as u32), "{ending} at {share} %: {numbers:?}");
            // At most a fragment is missing.
            assert!(numbers.len() + 20 >= 90 * share / 100, "{ending} at {share} %: {} frames", numbers.len());
            assert!(numbers.len() >= last);
            last = numbers.len();
        }
    }
}

#[test]
fn what_is_written_is_on_disk_within_a_second_of_video() {
    let folder = tempfile::tempdir().unwrap();
    let (info, units) = plain(VideoCodec::H264, 90);
    for ending in ["mp4", "mkv"] {
        let path = folder.path().join(format!("live.{ending}"));
        let recorder = Recorder::start(&path, PICTURES, &RecordSettings::default()).unwrap();
        units.iter().for_each(|unit| recorder.push(&info, unit).unwrap());
        // Not finished: as a killed program would leave it.
        let copy = folder.path().join(format!("copy.{ending}"));
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut found = 0;
        while found < 60 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(50));
            fs::copy(&path, &copy).unwrap();
            if fs::metadata(&copy).unwrap().len() > 2000 {
                found = numbers_in(&copy).0.len();
            }
        }
        assert!(found >= 60, "{ending}: {found} of 90 frames on disk");
    }
}

#[test]
fn a_recording_starts_at_a_key_frame_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (info, units) = plain(VideoCodec::H264, 30);
    let path = folder.path().join("new/folder/take.mp4");
    let first = record(&path, &info, &units[5..]);
    assert_eq!((first.skipped, first.frames, first.path.as_path()), (10, 15, path.as_path()));
    assert_eq!(first.duration.as_millis(), 499);
    let second = record(&path, &info, &units);
    assert_eq!(second.path.file_name().unwrap(), "take-2.mp4");
    assert_eq!(numbers_in(&first.path).0, (15..30).collect::<Vec<_>>());
    let again = RecordSettings { overwrite: true, ..default() };
    let recorder = Recorder::start(&path, PICTURES, &again).unwrap();
    recorder.push(&info, &units[1]).unwrap();
    assert_eq!(recorder.finish(), Err(RecordError::Nothing(path.clone())));
    assert!(!path.exists());
}

#[test]
fn a_full_disk_and_a_forbidden_place_are_errors_in_words() {
    let (info, units) = plain(VideoCodec::H264, 60);
    let error = Recorder::start("/proc/nowhere/take.mp4", PICTURES, &RecordSettings::default()).err().unwrap();
    assert!(matches!(error, RecordError::Create { .. }), "{error}");
    if !Path::new("/dev/full").exists() {
        eprintln!("skipped: /dev/full absent");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("full.mp4");
    std::os::unix::fs::symlink("/dev/full", &link).unwrap();
    let recorder = Recorder::start(&link, PICTURES, &RecordSettings { overwrite: true, ..default() }).unwrap();
    let outcome = units.iter().try_for_each(|unit| recorder.push(&info, unit));
    let error = outcome.and_then(|()| recorder.finish().map(drop)).unwrap_err();
    assert!(matches!(error, RecordError::Write { written_bytes: 0, .. }), "{error}");
}

#[test]
fn rubbish_is_refused_and_nothing_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let (info, _) = plain(VideoCodec::H264, 1);
    let recorder = Recorder::start(folder.path().join("rubbish.mp4"), PICTURES, &RecordSettings::default()).unwrap();
    let unit = AccessUnit { stamp: FrameStamp::default(), key_frame: true, data: vec![0x5A; 4000].into() };
    let outcome = (0..40).try_for_each(|_| recorder.push(&info, &unit));
    let outcome = outcome.and_then(|()| recorder.finish().map(drop));
    assert!(matches!(outcome, Err(RecordError::Mux { .. })), "{outcome:?}");
}
