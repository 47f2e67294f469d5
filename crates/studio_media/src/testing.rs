//! What several tests need: clips made on the spot, pictures compared, the files of the shared data folder.

use crate::{
    audio::{AudioEncoder, AudioEncoderSettings, AudioSource, Sound, ToneInput},
    capture::{CaptureClock, CaptureSource, TestPatternInput},
    encode::{EncoderInput, EncoderSettings, VideoEncoder},
    record::{Expected, RecordSettings, RecordSummary, Recorder},
    runtime,
};
use gstreamer as gst;
use gstreamer::prelude::*;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use studio_frame::prelude::*;

/// Runs a pipeline, given in launch syntax, to its end.
pub fn run_pipeline(description: &str) {
    runtime::init().unwrap();
    let pipeline = gst::parse::launch(description).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(30), &[gst::MessageType::Eos, gst::MessageType::Error])
        .expect("the test's pipeline ends in time");
    pipeline.set_state(gst::State::Null).unwrap();
    if let gst::MessageView::Error(error) = message.view() {
        panic!("{description}: {}", runtime::describe(error));
    }
}

/// Makes an H.264 clip of `frames` frames at 30 a second, a key frame every 10, and returns its path.
pub fn make_clip(folder: &Path, name: &str, frames: u32, width: u32, height: u32) -> PathBuf {
    let path = folder.join(name);
    let muxer = if name.ends_with(".mkv") { "matroskamux" } else { "mp4mux faststart=true" };
    run_pipeline(&format!(
        "videotestsrc pattern=ball num-buffers={frames} ! video/x-raw,format=I420,width={width},height={height},framerate=30/1,colorimetry=bt709 \
         ! x264enc speed-preset=ultrafast bframes=2 key-int-max=10 ! h264parse ! {muxer} ! filesink location={}",
        path.display()
    ));
    path
}

/// A file of the shared data folder; says so and returns `None` where it is absent.
pub fn shared_data(path: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(path);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} absent", path.display());
    None
}

/// Peak signal to noise ratio of two 8-bit pictures' luma, in dB.
pub fn luma_psnr(a: &VideoFrame, b: &VideoFrame) -> f64 {
    assert_eq!(a.size, b.size);
    let sum: f64 = (0..a.size.y)
        .flat_map(|y| a.row(0, y).iter().zip(b.row(0, y)))
        .map(|(&left, &right)| (f64::from(left) - f64::from(right)).powi(2))
        .sum();
    let mean = sum / f64::from(a.size.x * a.size.y);
    10.0 * (255.0_f64.powi(2) / mean.max(1e-9)).log10()
}

/// A recording of flashes and claps, and how much later than the flashes the claps were made, in seconds.
pub struct Clapper {
    pub summary: RecordSummary,
    pub late_s: f64,
}

/// Records the test pattern's flashes and the tone's claps, coded on threads of their own, for so many seconds.
pub fn record_claps(path: &Path, codec: AudioCodec, clock: CaptureClock, seconds: f64, tone_delay: Duration) -> Clapper {
    let policy = if clock == CaptureClock::Live { QueuePolicy::NewestWins } else { QueuePolicy::Block };
    let expected = Expected { pictures: true, sound: true, policy };
    let recorder = Arc::new(Recorder::start(path, expected, &RecordSettings::default()).unwrap());
    let zeros = Arc::new(Mutex::new([None; 2]));
    let note = |zeros: &Mutex<[Option<f64>; 2]>, side: usize, stamp: FrameStamp| {
        zeros.lock()[side].get_or_insert((stamp.captured_at.0 as i128 - i128::from(stamp.pts.0)) as f64 / 1e9);
    };
    let pattern =
        TestPatternInput { size: (256, 128).into(), frames: Some((seconds * 30.0) as u64), flash: true, ..Default::default() };
    let (takes, seen) = (recorder.clone(), zeros.clone());
    let pictures = std::thread::spawn(move || {
        let capture = pattern.start(clock).unwrap();
        let input = EncoderInput {
            format: PixelFormat::Nv12,
            size: (256, 128).into(),
            color: ColorInfo::BT709,
            frame_rate_hz: 30.0,
            projection: PictureProjection::Equirectangular,
            stereo: StereoLayout::Mono,
        };
        let settings = EncoderSettings { key_frame_interval_frames: 15, ..Default::default() };
        let encoder = VideoEncoder::new(settings, input, QueuePolicy::Block, move |output| {
            takes.push(&PacketInfo::Video(output.info), &output.unit).unwrap();
        })
        .unwrap();
        while let Ok(frame) = capture.frames().recv_timeout(Duration::from_secs(20)) {
            note(&seen, 0, frame.stamp);
            encoder.push(&frame).unwrap();
        }
        encoder.finish().unwrap();
    });
    std::thread::sleep(tone_delay);
    let tone = ToneInput { sound: Sound::Clap, duration_s: Some(seconds - tone_delay.as_secs_f64()), ..Default::default() };
    let (takes, seen) = (recorder.clone(), zeros.clone());
    let settings = AudioEncoderSettings { codec, ..Default::default() };
    let encoder = AudioEncoder::new(&settings, AudioFormat::STUDIO, QueuePolicy::Block, move |info, unit| {
        takes.push(&PacketInfo::Audio(info.clone()), &unit).unwrap();
    });
    let encoder = Arc::new(encoder.unwrap());
    let feeding = encoder.clone();
    let hear = move |block: AudioBlock| {
        note(&seen, 1, block.stamp);
        feeding.push(&block).is_ok()
    };
    let capture = tone.start(clock, Box::new(hear)).unwrap();
    capture.wait_ended(Duration::from_secs(30));
    drop(capture);
    Arc::into_inner(encoder).unwrap().finish().unwrap();
    recorder.end_sound();
    pictures.join().unwrap();
    let [Some(picture_zero), Some(sound_zero)] = *zeros.lock() else { panic!("both were made") };
    Clapper { summary: recorder.finish().unwrap(), late_s: sound_zero - picture_zero }
}

/// When the white pictures among these are shown, in seconds of their `captured_at`.
pub fn flashes<'a>(frames: impl IntoIterator<Item = &'a VideoFrame>) -> Vec<f64> {
    let is_white = |frame: &VideoFrame| frame.row(0, frame.size.y - 1).iter().all(|luma| *luma > 220);
    frames.into_iter().filter(|frame| is_white(frame)).map(|frame| frame.stamp.captured_at.0 as f64 / 1e9).collect()
}

/// When these blocks become loud after half a second of quiet, in seconds of their `captured_at`.
pub fn claps<'a>(blocks: impl IntoIterator<Item = &'a AudioBlock>) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    for block in blocks {
        let channels = usize::from(block.format().channels);
        for (place, frame) in block.samples().chunks(channels).enumerate() {
            let time = block.stamp.captured_at.0 as f64 / 1e9 + place as f64 / f64::from(block.format().rate_hz);
            if frame[0].abs() > 0.1 && found.last().is_none_or(|last| time - last > 0.5) {
                found.push(time);
            }
        }
    }
    found
}

/// How much later than their flashes claps are heard, in milliseconds, where they should be `late_s` late. Each clap belongs
/// to the nearest flash.
pub fn lateness_ms(flashes: &[f64], claps: &[f64], late_s: f64) -> Vec<f64> {
    let nearest = |clap: &f64| {
        let off = flashes.iter().map(|flash| clap - late_s - flash);
        off.min_by(|a, b| a.abs().total_cmp(&b.abs())).expect("there are flashes") * 1e3
    };
    claps.iter().map(nearest).collect()
}
