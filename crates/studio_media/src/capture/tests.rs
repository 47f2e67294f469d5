use super::*;
use crate::testing::{make_clip, run_pipeline, shared_data};
use bevy::math::UVec2;
use std::{fs, path::Path};
use studio_frame::{mark::Mark, queue::ReceiveError};

const LONG: Duration = Duration::from_secs(20);

/// Everything a source delivers, and its last status.
fn drain(capture: &Capture) -> (Vec<VideoFrame>, CaptureStatus) {
    let mut frames = Vec::new();
    loop {
        match capture.frames().recv_timeout(LONG) {
            Ok(frame) => frames.push(frame),
            Err(ReceiveError::Closed) => return (frames, capture.status()),
            Err(ReceiveError::Empty) => panic!("nothing more after {} frames: {:?}", frames.len(), capture.status()),
        }
    }
}

fn file(path: &Path) -> VideoFileInput {
    VideoFileInput { source: path.display().to_string(), ..Default::default() }
}

fn play_offline(input: &VideoFileInput) -> (Vec<VideoFrame>, CaptureStatus) {
    drain(&input.start(CaptureClock::Offline).unwrap())
}

fn assert_in_order(frames: &[VideoFrame]) {
    for (index, pair) in frames.windows(2).enumerate() {
        assert_eq!(pair[1].stamp.frame_id, pair[0].stamp.frame_id + 1, "a gap in the numbers after frame {index}");
        assert!(pair[1].stamp.pts > pair[0].stamp.pts, "time stands still after frame {index}");
    }
}

fn step_ms(frames: &[VideoFrame]) -> Vec<f64> {
    frames.windows(2).map(|pair| (pair[1].stamp.pts.0 - pair[0].stamp.pts.0) as f64 / 1e6).collect()
}

fn error_of(input: &impl CaptureSource) -> CaptureError {
    let capture = match input.start(CaptureClock::Offline) {
        Ok(capture) => capture,
        Err(error) => return error,
    };
    match drain(&capture).1 {
        CaptureStatus::Failed { error, .. } => error,
        other => panic!("no error but {other:?}"),
    }
}

#[test]
fn every_frame_of_a_file_comes_offline_in_the_decoders_own_memory() {
    let folder = tempfile::tempdir().unwrap();
    // Sides that are multiples of 16, so that nothing is cropped; of cropped pictures gst-libav makes a copy.
    let clip = make_clip(folder.path(), "clip.mp4", 40, 336, 192);
    let (frames, status) = play_offline(&file(&clip));
    assert_eq!(status, CaptureStatus::EndOfStream);
    assert_eq!(frames.len(), 40);
    assert_in_order(&frames);
    let first = &frames[0];
    assert_eq!((first.size, first.format, first.color), (UVec2::new(336, 192), PixelFormat::I420, ColorInfo::BT709));
    assert_eq!((first.stamp.frame_id, first.stamp.pts.0), (0, 0));
    assert!(first.planes[0].stride > 336, "the decoder's padded rows were repacked: stride {}", first.planes[0].stride);
    assert!(step_ms(&frames).iter().all(|step| (step - 33.33).abs() < 0.1));
}

#[test]
fn live_files_keep_time_and_the_newest_frame_wins() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make_clip(folder.path(), "clip.mkv", 30, 160, 90);
    let capture = file(&clip).start(CaptureClock::Live).unwrap();
    assert_eq!(capture.wait_started(LONG), CaptureStatus::Running);
    let start = Instant::now();
    while capture.status() == CaptureStatus::Running {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(start.elapsed() > Duration::from_millis(700), "played in {:?}", start.elapsed());
    let (frames, status) = drain(&capture);
    assert_eq!(status, CaptureStatus::EndOfStream);
    assert_eq!(frames.iter().map(|frame| frame.stamp.frame_id).collect::<Vec<_>>(), [28, 29]);
    assert_eq!(capture.frames().dropped(), 28);
    assert!(UnixTime::now().since(frames[0].stamp.captured_at) < Duration::from_secs(10));
}

#[test]
fn in_and_out_points_cut_to_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make_clip(folder.path(), "clip.mp4", 60, 160, 90);
    let whole = play_offline(&file(&clip)).0;
    let (cut, status) = play_offline(&VideoFileInput { start_s: 0.5, end_s: Some(1.0), ..file(&clip) });
    assert_eq!(status, CaptureStatus::EndOfStream);
    assert_eq!((cut.len(), cut[0].stamp.pts.0), (15, 0));
    assert_eq!(cut[0].row(0, 45), whole[15].row(0, 45));
    assert_eq!(cut[14].row(0, 45), whole[29].row(0, 45));
}

#[test]
fn a_loop_has_no_seam() {
    let folder = tempfile::tempdir().unwrap();
    for (name, points) in [("clip.mp4", Some((0.5, 1.0))), ("clip.mkv", None)] {
        let clip = make_clip(folder.path(), name, 30, 160, 90);
        let (start_s, end_s) = points.map_or((0.0, None), |(start, end)| (start, Some(end)));
        let period = if points.is_some() { 15 } else { 30 };
        let capture = VideoFileInput { repeat: true, start_s, end_s, ..file(&clip) }.start(CaptureClock::Offline).unwrap();
        let frames: Vec<_> = (0..100).map(|_| capture.frames().recv_timeout(LONG).unwrap()).collect();
        assert_in_order(&frames);
        let steps = step_ms(&frames);
        assert!(steps.iter().all(|step| (step - 33.33).abs() < 1.5), "{name}: {steps:?}");
        for index in 0..100 - period {
            assert_eq!(frames[index].row(0, 45), frames[index + period].row(0, 45), "{name}: frame {index} and one loop later");
        }
    }
}

#[test]
fn seeking_shows_the_place_and_time_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make_clip(folder.path(), "clip.mp4", 90, 160, 90);
    let whole = play_offline(&file(&clip)).0;
    let capture = file(&clip).start(CaptureClock::Offline).unwrap();
    let mut frames: Vec<_> = (0..5).map(|_| capture.frames().recv_timeout(LONG).unwrap()).collect();
    assert_eq!(capture.duration().map(|duration| duration.as_millis()), Some(3000));
    capture.seek(Duration::from_secs(2)).unwrap();
    frames.extend(drain(&capture).0);
    assert_in_order(&frames);
    // A few frames were under way when the seek came.
    assert!((35..=42).contains(&frames.len()), "{} frames", frames.len());
    assert_eq!(frames.last().unwrap().row(0, 45), whole[89].row(0, 45));
    assert_eq!(frames[frames.len() - 30].row(0, 45), whole[60].row(0, 45));
    assert_eq!(capture.seek(Duration::ZERO), Err(CaptureError::Ended));
}

#[test]
fn turning_by_quarters_swaps_the_sides() {
    let folder = tempfile::tempdir().unwrap();
    let clip = make_clip(folder.path(), "clip.mp4", 5, 160, 90);
    let with = |picture| play_offline(&VideoFileInput { picture, ..file(&clip) }).0;
    let plain = with(PictureSettings::default());
    let (upright, turned) = (&plain[0], &with(PictureSettings { rotation: Rotation::Deg90, ..Default::default() })[0]);
    assert_eq!(turned.size, UVec2::new(90, 160));
    // Clockwise: the left column, from below, becomes the top row.
    let left_column: Vec<u8> = (0..90).rev().map(|y| upright.row(0, y)[0]).collect();
    assert_eq!(turned.row(0, 0), left_column);
    let mirrored = &with(PictureSettings { flip: Flip::Horizontal, ..Default::default() })[0];
    assert_eq!(mirrored.row(0, 30).iter().rev().copied().collect::<Vec<_>>(), upright.row(0, 30));
    let scaled = with(PictureSettings { size: Some(UVec2::new(80, 60)), rate_hz: Some(60.0), ..Default::default() });
    assert_eq!(scaled[0].size, UVec2::new(80, 60));
    assert!((9..=10).contains(&scaled.len()), "{} frames at twice the rate", scaled.len());
}

#[test]
fn ten_bit_files_come_as_p010() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ten.mkv");
    run_pipeline(&format!(
        "videotestsrc num-buffers=3 ! video/x-raw,format=I420_10LE,width=320,height=180,colorimetry=bt2100-pq ! x265enc speed-preset=ultrafast \
         ! h265parse ! matroskamux ! filesink location={}",
        path.display()
    ));
    let (frames, _) = play_offline(&file(&path));
    assert_eq!((frames.len(), frames[0].format), (3, PixelFormat::P010));
    assert_eq!((frames[0].color.matrix, frames[0].color.transfer), (ColorMatrix::Bt2020, TransferFunction::Pq));
}

#[test]
fn bad_files_are_named_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert!(matches!(error_of(&file(&at("none.mp4"))), CaptureError::Missing { .. }));
    assert!(matches!(error_of(&file(folder.path())), CaptureError::Folder(_)));
    assert!(matches!(error_of(&VideoFileInput::default()), CaptureError::NothingChosen(_)));
    fs::write(at("empty.mp4"), []).unwrap();
    assert!(matches!(error_of(&file(&at("empty.mp4"))), CaptureError::Empty(_)));
    fs::write(at("text.mp4"), "this is not a video, whatever its name says. ".repeat(100)).unwrap();
    let error = error_of(&file(&at("text.mp4")));
    assert!(matches!(error, CaptureError::Damaged { .. } | CaptureError::NoVideo(_)), "{error}");
    run_pipeline(&format!("audiotestsrc num-buffers=50 ! vorbisenc ! oggmux ! filesink location={}", at("sound.ogg").display()));
    let error = error_of(&file(&at("sound.ogg")));
    assert!(matches!(error, CaptureError::NoVideo(_)), "{error}");
    assert!(error.to_string().contains("sound.ogg"));
    let clip = make_clip(folder.path(), "clip.mp4", 10, 160, 90);
    let error = error_of(&VideoFileInput { start_s: 60.0, ..file(&clip) });
    assert!(error.to_string().contains("in point"), "{error}");
    let error = error_of(&VideoFileInput { start_s: 1.0, end_s: Some(0.5), ..file(&clip) });
    assert!(error.to_string().contains("out point"), "{error}");
    let picture = PictureSettings { rate_hz: Some(f32::NAN), ..Default::default() };
    assert!(error_of(&VideoFileInput { picture, ..file(&clip) }).to_string().contains("rate"));
    assert!(matches!(error_of(&VideoFileInput { source: "nosuch://x".into(), ..Default::default() }), CaptureError::Setting(_)));
}

#[test]
fn a_truncated_file_plays_as_far_as_it_goes_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["clip.mp4", "clip.mkv"] {
        let clip = make_clip(folder.path(), name, 90, 320, 180);
        let bytes = fs::read(&clip).unwrap();
        fs::write(&clip, &bytes[..bytes.len() / 2]).unwrap();
        let (frames, status) = play_offline(&file(&clip));
        assert!((10..85).contains(&frames.len()), "{name}: {} frames", frames.len());
        let CaptureStatus::Failed { error: error @ CaptureError::EndedEarly { .. }, retry_at: None } = status else {
            panic!("{name}: {status:?}")
        };
        assert!(error.to_string().contains("ended early"), "{error}");
        // The head alone has nothing to show.
        fs::write(&clip, &bytes[..200]).unwrap();
        let error = error_of(&file(&clip));
        assert!(matches!(error, CaptureError::Damaged { .. } | CaptureError::NoVideo(_)), "{name}: {error}");
    }
}

#[test]
fn real_clips_play() {
    for (path, count, size) in
        [("video/test_cif_P_CABAC_slice.264", 300, UVec2::new(352, 288)), ("chroma/mdn/video.mp4", 1400, UVec2::new(320, 192))]
    {
        let Some(path) = shared_data(path) else { continue };
        let (frames, status) = play_offline(&file(&path));
        assert_eq!(status, CaptureStatus::EndOfStream, "{}", path.display());
        assert_eq!(frames[0].size, size);
        assert!(frames.len() >= count, "{}: {} frames", path.display(), frames.len());
        assert_in_order(&frames);
    }
    // An elementary stream cannot be positioned; its loop starts the decoder over.
    let Some(path) = shared_data("video/test_cif_P_CABAC_slice.264") else { return };
    let capture = VideoFileInput { repeat: true, ..file(&path) }.start(CaptureClock::Offline).unwrap();
    let frames: Vec<_> = (0..320).map(|_| capture.frames().recv_timeout(LONG).unwrap()).collect();
    assert_in_order(&frames);
    assert_eq!(frames[10].row(0, 100), frames[310].row(0, 100));
}

#[test]
fn a_camera_has_one_owner_however_many_show_it() {
    let camera = CameraInput {
        device: "gst:videotestsrc is-live=true ! video/x-raw,format=NV12,width=160,height=120,framerate=60/1".into(),
        ..Default::default()
    };
    let first = camera.start(CaptureClock::Live).unwrap();
    let a = first.frames().recv_timeout(LONG).unwrap();
    let second = camera.start(CaptureClock::Live).unwrap();
    let b = second.frames().recv_timeout(LONG).unwrap();
    assert!(b.stamp.frame_id > a.stamp.frame_id, "the second node sees the first one's frames");
    let (mut of_first, mut of_second) = (Vec::new(), vec![b]);
    let same = (0..100).any(|_| {
        of_first.push(first.frames().recv_timeout(LONG).unwrap());
        of_second.push(second.frames().recv_timeout(LONG).unwrap());
        let shared =
            |a: &VideoFrame, b: &VideoFrame| a.stamp == b.stamp && a.planes[0].data.as_ptr() == b.planes[0].data.as_ptr();
        of_first.iter().any(|a| of_second.iter().any(|b| shared(a, b)))
    });
    assert!(same, "both nodes share stamps and memory");
    let other = CameraInput { picture: PictureSettings { flip: Flip::Vertical, ..Default::default() }, ..camera.clone() };
    assert!(matches!(other.start(CaptureClock::Live), Err(CaptureError::CameraSettings(_))));
    drop(first);
    assert!(second.frames().recv_timeout(LONG).is_ok(), "the camera stays open for the second node");
    drop(second);
    assert_eq!(
        other.start(CaptureClock::Live).unwrap().wait_started(LONG),
        CaptureStatus::Running,
        "closed, it opens with other settings"
    );
}

#[test]
fn cameras_that_are_not_there_are_named_with_those_that_are() {
    let listed = list_cameras().unwrap();
    let error = CameraInput { device: "no such camera".into(), ..Default::default() }.start(CaptureClock::Live).err().unwrap();
    let CaptureError::NoCamera { wanted, present } = &error else { panic!("{error}") };
    assert_eq!((wanted.as_str(), present.len()), ("no such camera", listed.len()));
    assert!(error.to_string().starts_with("no such camera: \"no such camera\"; "), "{error}");
    let error = CameraInput { device: "gst:nosuchelement".into(), ..Default::default() }.start(CaptureClock::Live).err().unwrap();
    assert!(error.to_string().contains("nosuchelement"), "{error}");
}

#[test]
fn a_camera_that_breaks_is_tried_again() {
    let device = "gst:videotestsrc is-live=true num-buffers=40 ! video/x-raw,framerate=100/1 ! identity error-after=20".into();
    let capture = CameraInput { device, ..Default::default() }.start(CaptureClock::Live).unwrap();
    let deadline = Instant::now() + LONG;
    let mut failed = false;
    let mut last_id = 0;
    while Instant::now() < deadline && !(failed && last_id > 20) {
        failed |= matches!(capture.status(), CaptureStatus::Failed { retry_at: Some(_), .. });
        if let Ok(frame) = capture.frames().recv_timeout(Duration::from_millis(5)) {
            last_id = frame.stamp.frame_id;
        }
    }
    assert!(failed && last_id > 20, "failed: {failed}, last frame {last_id}, {:?}", capture.status());
}

#[test]
fn stills_repeat_with_fresh_stamps_and_sequences_go_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for index in 8..12_u8 {
        let picture = image::RgbaImage::from_fn(6, 4, |x, y| image::Rgba([index, x as u8, y as u8, 255]));
        picture.save(folder.path().join(format!("shot_{index}.png"))).unwrap();
    }
    let still =
        |name: &str| StillInput { path: folder.path().join(name).display().to_string(), repeat: false, ..Default::default() };
    for pattern in ["shot_%d.png", "shot_*.png", ""] {
        let (frames, status) = drain(&still(pattern).start(CaptureClock::Offline).unwrap());
        assert_eq!(status, CaptureStatus::EndOfStream);
        assert_eq!(frames.iter().map(|frame| frame.row(0, 0)[0]).collect::<Vec<_>>(), [8, 9, 10, 11], "{pattern}");
        assert_in_order(&frames);
    }
    let picture = PictureSettings { rotation: Rotation::Deg90, rate_hz: Some(50.0), ..Default::default() };
    let capture = StillInput { picture, ..still("shot_8.png") }.start(CaptureClock::Offline).unwrap();
    let frames: Vec<_> = (0..3).map(|_| capture.frames().recv_timeout(LONG).unwrap()).collect();
    assert_eq!(frames[2].stamp, FrameStamp { frame_id: 2, captured_at: UnixTime(40_000_000), pts: MediaTime(40_000_000) });
    assert_eq!(frames[0].size, UVec2::new(4, 6));
    assert_eq!(&frames[0].row(0, 0)[..4], [8, 0, 3, 255], "the bottom left corner comes to the top left");
    assert_eq!(frames[0].planes[0].data.as_ptr(), frames[2].planes[0].data.as_ptr(), "a still is decoded once");
    assert!(matches!(error_of(&still("shot_99.png")), CaptureError::Missing { .. }));
    assert!(matches!(error_of(&still("none_*.png")), CaptureError::Setting(_)));
    fs::write(folder.path().join("bad.png"), b"\x89PNG\r\n\x1a\nrubbish").unwrap();
    assert!(matches!(error_of(&still("bad.png")), CaptureError::Damaged { .. }));
}

#[test]
fn the_test_pattern_is_the_same_every_time_offline_and_on_time_live() {
    let pattern = TestPatternInput { size: UVec2::new(320, 160), rate_hz: 25.0, frames: Some(6), ..Default::default() };
    let run = || drain(&pattern.start(CaptureClock::Offline).unwrap()).0;
    let (first, second) = (run(), run());
    assert_eq!(first.len(), 6);
    for (a, b) in first.iter().zip(&second) {
        assert_eq!((a.stamp, &a.planes[0].data), (b.stamp, &b.planes[0].data));
        assert_eq!(Mark::read_frame(a), Some(a.stamp.into()));
    }
    assert_eq!(first[5].stamp.pts.0, 200_000_000);
    let capture = TestPatternInput { frames: None, ..pattern }.start(CaptureClock::Live).unwrap();
    let frame = capture.frames().recv_timeout(LONG).unwrap();
    assert!(UnixTime::now().since(frame.stamp.captured_at) < Duration::from_millis(500));
    let start = Instant::now();
    drop(capture);
    assert!(start.elapsed() < Duration::from_secs(1), "stopping took {:?}", start.elapsed());
}

mod with_sound {
    use super::*;
    use crate::testing::{claps, flashes, lateness_ms, record_claps};
    use std::sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    };
    use studio_frame::audio::AudioBlock;

    /// So many pictures of a clip, and the sound that came with them.
    fn play(input: &VideoFileInput, count: usize) -> (Vec<VideoFrame>, Vec<AudioBlock>) {
        let (sender, receiver) = mpsc::sync_channel(10_000);
        let reached = Arc::new(AtomicU64::new(0));
        let newest = reached.clone();
        let sink = Box::new(move |block: AudioBlock| {
            newest.store(block.stamp.captured_at.0, Ordering::Release);
            sender.try_send(block).is_ok()
        });
        let capture = input.start_with_sound(CaptureClock::Offline, Some(sink)).unwrap();
        let next = || capture.frames().recv_timeout(LONG).ok();
        let frames: Vec<VideoFrame> = std::iter::from_fn(next).take(count).collect();
        // The sound may be a little behind; it comes along as long as pictures are taken.
        let last = frames.last().map_or(0, |frame| frame.stamp.captured_at.0);
        while reached.load(Ordering::Acquire) < last && next().is_some() {}
        drop(capture);
        (frames, receiver.iter().collect())
    }

    #[test]
    fn a_clip_keeps_its_claps_with_its_flashes() {
        let folder = tempfile::tempdir().unwrap();
        for (ending, codec) in [("mp4", AudioCodec::Aac), ("mp4", AudioCodec::Opus), ("mkv", AudioCodec::Opus)] {
            let path = folder.path().join(format!("{codec:?}.{ending}"));
            record_claps(&path, codec, CaptureClock::Offline, 3.3, Duration::ZERO);
            let whole = VideoFileInput { source: path.display().to_string(), ..Default::default() };
            let part = VideoFileInput { start_s: 0.6, end_s: Some(2.4), repeat: true, ..whole.clone() };
            let again = VideoFileInput { repeat: true, ..whole.clone() };
            for (name, input, count, least) in [("whole", whole, 99, 3), ("part", part, 200, 5), ("again", again, 280, 6)] {
                // Matroska is written without an index and cannot be entered in the middle.
                if (ending, name) == ("mkv", "part") {
                    continue;
                }
                let (frames, blocks) = play(&input, count);
                let (seen, heard) = (flashes(&frames), claps(&blocks));
                assert!(seen.len() >= least && heard.len() >= least, "{ending}, {codec:?}, {name}: {seen:?}, {heard:?}");
                let last = seen[seen.len() - 1] + 0.1;
                let heard: Vec<f64> = heard.into_iter().filter(|clap| *clap < last).collect();
                let late = lateness_ms(&seen, &heard, 0.0);
                eprintln!("{ending}, {codec:?}, {name}: claps come {late:.2?} ms after their flashes");
                assert!(late.iter().all(|late| late.abs() <= 20.0), "{ending}, {codec:?}, {name}: {late:?}");
            }
        }
    }

    #[test]
    fn a_reader_that_takes_no_sound_does_not_hold_the_pictures_live() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        record_claps(&path, AudioCodec::Aac, CaptureClock::Offline, 2.5, Duration::ZERO);
        let input = VideoFileInput { source: path.display().to_string(), repeat: true, ..Default::default() };
        let (release, held) = mpsc::sync_channel::<()>(0);
        let held = Arc::new(parking_lot::Mutex::new(held));
        let sink = Box::new(move |_| held.lock().recv().is_ok());
        let capture = input.start_with_sound(CaptureClock::Live, Some(sink)).unwrap();
        for index in 0..120 {
            let frame = capture.frames().recv_timeout(Duration::from_secs(2));
            assert!(frame.is_ok(), "picture {index} does not come: {:?}", capture.status());
        }
        drop(capture);
        drop(release);
    }

    #[test]
    fn a_clip_without_sound_plays_where_sound_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let source = make_clip(folder.path(), "mute.mp4", 20, 320, 160).display().to_string();
        let (frames, blocks) = play(&VideoFileInput { source, ..Default::default() }, 100);
        assert_eq!((frames.len(), blocks.len()), (20, 0));
    }
}
