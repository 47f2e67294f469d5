//! A studio of real encoders: one moving picture, encoded by x264 in one or several renditions, each of which follows the viewer
//! that can take least, as the stream output does.

use bevy::math::UVec2;
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_media::encode::{EncoderInput, EncoderOutput, EncoderSettings, VideoEncoder};
use studio_stream::{prelude::*, publish::RateLimit};

/// Pictures a second.
const RATE_HZ: f64 = 30.0;
/// How often the bit rates follow the viewers.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);
/// No bit rate is lowered below this.
const LEAST_BPS: u32 = 300_000;

/// Publishes until it is dropped.
pub struct Studio {
    stop: Arc<AtomicBool>,
    /// Pictures taken so far.
    pub sent: Arc<AtomicU64>,
    /// The bit rates that the encoders are set to.
    pub rates_bps: Vec<Arc<AtomicU32>>,
    thread: Option<thread::JoinHandle<()>>,
}

struct Rendition {
    encoder: VideoEncoder,
    settings: EncoderSettings,
    own_bps: u32,
    limit: RateLimit,
    rate_bps: Arc<AtomicU32>,
    wanted: Arc<AtomicBool>,
}

impl Studio {
    /// Encodes a picture in `renditions` of these sizes and bit rates, the best first.
    pub fn start(publisher: &Arc<Publisher>, renditions: &[(UVec2, u32)]) -> Self {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let rates_bps: Vec<_> = renditions.iter().map(|(_, bps)| Arc::new(AtomicU32::new(*bps))).collect();
        let opened: Vec<_> = renditions
            .iter()
            .zip(&rates_bps)
            .enumerate()
            .map(|(at, ((size, bps), rate_bps))| open(publisher.clone(), at, *size, *bps, rate_bps.clone()))
            .collect();
        let sizes: Vec<UVec2> = renditions.iter().map(|(size, _)| *size).collect();
        let (publisher, stopped, taken) = (publisher.clone(), stop.clone(), sent.clone());
        let thread = thread::spawn(move || run(&publisher, opened, &sizes, &stopped, &taken));
        Self { stop, sent, rates_bps, thread: Some(thread) }
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the studio's thread ends");
        }
    }
}

fn open(publisher: Arc<Publisher>, at: usize, size: UVec2, own_bps: u32, rate_bps: Arc<AtomicU32>) -> Rendition {
    let settings = EncoderSettings { provider: "x264enc".into(), bitrate_bps: own_bps, ..Default::default() };
    let input = EncoderInput {
        format: PixelFormat::I420,
        size,
        color: ColorInfo::BT709,
        frame_rate_hz: RATE_HZ as f32,
        projection: PictureProjection::Equirectangular,
        stereo: StereoLayout::Mono,
    };
    let wanted = Arc::new(AtomicBool::new(false));
    let key_frame = wanted.clone();
    let publish = move |EncoderOutput { unit, info, .. }: EncoderOutput| {
        if unit.key_frame {
            publisher.set_stream_info(at, StreamInfo::clone(&info)).expect("a sound description");
        }
        publisher.send_access_unit(at, &unit).expect("sent");
        if publisher.take_key_frame_request(at) {
            key_frame.store(true, Ordering::Release);
        }
    };
    let encoder = VideoEncoder::new(settings.clone(), input, QueuePolicy::NewestWins, publish).expect("x264");
    Rendition { encoder, settings, own_bps, limit: RateLimit::default(), rate_bps, wanted }
}

fn run(publisher: &Publisher, mut renditions: Vec<Rendition>, sizes: &[UVec2], stop: &AtomicBool, sent: &AtomicU64) {
    let (start, mut followed) = (Instant::now(), Instant::now());
    for frame_id in 0_u64.. {
        let due = Duration::from_secs_f64(frame_id as f64 / RATE_HZ);
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Acquire) {
            return;
        }
        let stamp = FrameStamp { frame_id, captured_at: UnixTime::now(), pts: MediaTime(due.as_nanos() as u64) };
        let floors: Vec<u32> =
            (1..=renditions.len()).map(|at| renditions.get(at).map_or(LEAST_BPS, |lower| lower.own_bps)).collect();
        let follow = followed.elapsed() >= FOLLOW_EVERY;
        if follow {
            followed = Instant::now();
        }
        for (at, rendition) in renditions.iter_mut().enumerate() {
            if follow {
                let present = rendition.settings.bitrate_bps;
                let limit = rendition.limit.follow(publisher.wanted_bitrate_bps(at), present, floors[at], Instant::now());
                let bitrate_bps = limit.map_or(rendition.own_bps, |limit| limit.min(rendition.own_bps));
                if bitrate_bps != present {
                    rendition.settings.bitrate_bps = bitrate_bps;
                    rendition.rate_bps.store(bitrate_bps, Ordering::Relaxed);
                    rendition.encoder.set_settings(rendition.settings.clone()).expect("x264 changes while it runs");
                }
            }
            if rendition.wanted.swap(false, Ordering::AcqRel) {
                rendition.encoder.request_key_frame().expect("asked for");
            }
            rendition.encoder.push(&picture(stamp, sizes[at])).expect("taken");
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
}

/// Blocks that move to the right over noise that changes: something to do for an encoder of some megabits.
fn picture(stamp: FrameStamp, size: UVec2) -> VideoFrame {
    let shift = stamp.frame_id as u32 * size.x / 320;
    let mut chance = stamp.frame_id | 1;
    let luma: Vec<u8> = (0..size.y)
        .flat_map(|y| (0..size.x).map(move |x| (x, y)))
        .map(|(x, y)| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            let cell = 16 * size.x / 640;
            let block = ((((x + shift) / cell.max(1)) * 7 + (y / cell.max(1)) * 13) % 11) as u8 * 18;
            24 + block + (chance >> 60) as u8
        })
        .collect();
    let half = size / 2;
    let chroma = Plane { data: Bytes::from(vec![128; (half.x * half.y) as usize]), stride: half.x as usize };
    let planes = vec![Plane { data: luma.into(), stride: size.x as usize }, chroma.clone(), chroma];
    VideoFrame { stamp, format: PixelFormat::I420, size, color: ColorInfo::BT709, planes }
}
