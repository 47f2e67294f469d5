//! A stream over a bad path: real publisher, QUIC, viewer and jitter buffer; a relay that loses and delays packets between them.

#[path = "studio.rs"]
mod studio;

use bevy::math::UVec2;
use bytes::Bytes;
use std::{
    net::Ipv4Addr,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use studio::Studio;
use studio_frame::prelude::*;
use studio_stream::{
    link::{PathConditions, UdpRelay},
    playout::Playout,
    prelude::*,
};

/// Pictures a second.
const RATE_HZ: f64 = 30.0;
/// Pictures from one key frame to the next, unless one is asked for.
const KEY_FRAME_INTERVAL: u64 = 60;
/// A key frame takes as many times the bits of another picture.
const KEY_FRAME_WEIGHT: f64 = 5.0;
/// The display.
const DISPLAY: Duration = Duration::from_micros(16_667);
/// What happens while the viewer joins does not count.
const JOINING: Duration = Duration::from_secs(3);
/// How long anything may take to begin.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a viewer saw.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Pictures sent since the viewer had joined.
    pub sent: u64,
    /// Pictures of these that were shown.
    pub shown: u64,
    /// The longest that one picture stood, in milliseconds.
    pub longest_stall_ms: f64,
    /// From capture to display, in milliseconds: half of the pictures.
    pub p50_ms: f64,
    /// 19 of 20 pictures.
    pub p95_ms: f64,
    /// What the jitter buffer held pictures for in the end, in milliseconds.
    pub target_delay_ms: f64,
    /// Groups that were skipped or broke off.
    pub groups_skipped: u64,
    /// Key frames that the viewer asked for.
    pub key_frame_requests: u64,
    /// The share of the packets that the relay lost.
    pub packets_lost: f64,
    /// The mean of what the studio sent, in bits a second.
    pub sent_bps: f64,
    /// The bit rate that the stream had at the end, in bits a second.
    pub final_bps: u64,
    /// The lowest that it had.
    pub lowest_bps: u64,
    /// The network's round trip as the studio saw it in the end, in milliseconds.
    pub round_trip_ms: f64,
    /// The widths of the renditions that were shown, each as often as it was gone over to.
    pub widths_px: Vec<u32>,
    /// Pictures that were shown after a later one.
    pub out_of_order: u64,
}

/// Streams for `watched` over a path. The bit rate is `bitrate_bps`, or with `adapts` what the viewer wants of it. `during` is
/// called again and again with the relay and the time since the viewer joined.
pub fn stream(
    conditions: PathConditions,
    watched: Duration,
    bitrate_bps: u64,
    adapts: bool,
    mut during: impl FnMut(&UdpRelay, Duration),
) -> Outcome {
    let (publisher, identity) = publisher();
    let info =
        StreamInfo { codec_string: "avc1.42c01f".into(), size: UVec2::new(1280, 640), frame_rate_hz: 30.0, ..Default::default() };
    publisher.set_stream_info(0, info).expect("a sound description");
    let (stop, sent, rate) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(bitrate_bps)));
    let encoder = {
        let (publisher, stop, sent, rate) = (publisher.clone(), stop.clone(), sent.clone(), rate.clone());
        thread::spawn(move || encode(&publisher, &stop, &sent, &rate))
    };
    let mut adapted = Instant::now();
    let follow = |publisher: &Publisher| {
        if adapts && adapted.elapsed() > Duration::from_secs(1) {
            adapted = Instant::now();
            let wanted = publisher.wanted_bitrate_bps(0).map_or(bitrate_bps, |wanted| wanted.clamp(300_000, bitrate_bps));
            rate.store(wanted, Ordering::Relaxed);
        }
        rate.load(Ordering::Relaxed)
    };
    let outcome = watch(&publisher, &identity, &sent, conditions, watched, follow, |relay, _, since| {
        during(relay, since);
        ControlFlow::Continue(())
    });
    stop.store(true, Ordering::Release);
    encoder.join().expect("the encoder's thread ends");
    outcome
}

/// The same with x264, in `renditions` of these sizes and bit rates, which follow the viewer as the stream output has them do.
/// `final_bps` and `lowest_bps` are the first one's. `during` may end it before its time.
pub fn stream_x264(
    conditions: PathConditions,
    watched: Duration,
    renditions: &[(UVec2, u32)],
    during: impl FnMut(&UdpRelay, &Subscriber, Duration) -> ControlFlow<()>,
) -> Outcome {
    let (publisher, identity) = publisher();
    let studio = Studio::start(&publisher, renditions);
    let rate = studio.rates_bps[0].clone();
    let follow = |_: &Publisher| u64::from(rate.load(Ordering::Relaxed));
    watch(&publisher, &identity, &studio.sent, conditions, watched, follow, during)
}

fn publisher() -> (Arc<Publisher>, Identity) {
    let identity = Identity::self_signed(["studio.test"]).expect("a certificate");
    let config = PublisherConfig::new((Ipv4Addr::LOCALHOST, 0).into(), "live", identity.clone());
    (Arc::new(Publisher::start(config).expect("a publisher")), identity)
}

/// Watches a stream of `sent` pictures over a path. `follow` has the encoder follow the viewer, and tells its bit rate.
fn watch(
    publisher: &Publisher,
    identity: &Identity,
    sent: &AtomicU64,
    conditions: PathConditions,
    watched: Duration,
    mut follow: impl FnMut(&Publisher) -> u64,
    mut during: impl FnMut(&UdpRelay, &Subscriber, Duration) -> ControlFlow<()>,
) -> Outcome {
    let relay = UdpRelay::start(publisher.local_addr(), conditions).expect("a relay");
    let link = ViewerLink::new("127.0.0.1", relay.address().port(), "live", None, Some(identity.sha256())).expect("a link");
    let viewer = Subscriber::connect(link, SubscriberConfig::default()).expect("a viewer");

    let mut playout: Playout<(FrameStamp, u32, bool)> = Playout::new(64);
    let mut outcome = Outcome { lowest_bps: u64::MAX, ..Default::default() };
    let mut latencies_ms: Vec<f64> = Vec::new();
    let (mut joined, mut last_shown): (Option<Instant>, Option<(u64, Instant)>) = (None, None);
    let (mut sent_before, mut requests_before, mut skipped_before) = (0, 0, 0);
    let (mut display, started) = (Instant::now(), Instant::now());
    loop {
        let now = Instant::now();
        if joined.is_none_or(|joined| now < joined + JOINING) {
            (sent_before, requests_before) = (sent.load(Ordering::Relaxed), viewer.reporter().key_frame_requests());
            skipped_before = viewer.stats().groups_skipped;
            last_shown = last_shown.map(|(frame, _)| (frame, now));
        } else if joined.is_some_and(|joined| now > joined + JOINING + watched) {
            break;
        }
        assert!(joined.is_some() || started.elapsed() < PATIENCE, "nothing came: {:?}", viewer.events().try_recv());
        if during(&relay, &viewer, joined.map_or(Duration::ZERO, |joined| joined.elapsed())).is_break() {
            break;
        }
        if let Ok(received) = viewer.units().recv_timeout(display.saturating_duration_since(now)) {
            joined.get_or_insert_with(Instant::now);
            if received.decode_only {
                continue;
            }
            let picture = (received.unit.stamp, received.info.size.x, false);
            playout.push(picture, received.unit.stamp.pts.as_duration(), Instant::now());
            continue;
        }
        display += DISPLAY;
        outcome.final_bps = follow(publisher);
        outcome.lowest_bps = outcome.lowest_bps.min(outcome.final_bps);
        let now = Instant::now();
        let Some(chosen) = playout.choose(now, 1, |_, _| false) else { continue };
        let (stamp, width_px, shown) = chosen.current;
        if !core::mem::replace(shown, true) {
            if outcome.widths_px.last() != Some(width_px) {
                outcome.widths_px.push(*width_px);
            }
            if let Some((last, since)) = last_shown
                && joined.is_some_and(|joined| now > joined + JOINING)
            {
                outcome.shown += 1;
                outcome.out_of_order += u64::from(stamp.frame_id <= last);
                outcome.longest_stall_ms = outcome.longest_stall_ms.max((now - since).as_secs_f64() * 1000.0);
                latencies_ms.push(UnixTime::now().since(stamp.captured_at).as_secs_f64() * 1000.0);
            }
            last_shown = Some((stamp.frame_id, now));
        }
    }
    let standing = last_shown.map_or(watched, |(_, since)| since.elapsed());
    outcome.longest_stall_ms = outcome.longest_stall_ms.max(standing.as_secs_f64() * 1000.0);
    outcome.sent = sent.load(Ordering::Relaxed) - sent_before;
    let latency = percentiles_ms(&mut latencies_ms).unwrap_or_default();
    (outcome.p50_ms, outcome.p95_ms) = (latency.p50, latency.p95);
    outcome.target_delay_ms = playout.pace().jitter_ms();
    outcome.groups_skipped = viewer.stats().groups_skipped - skipped_before;
    outcome.key_frame_requests = viewer.reporter().key_frame_requests() - requests_before;
    let (relayed, stats) = (relay.stats(), publisher.stats());
    outcome.packets_lost = relayed.lost as f64 / (relayed.lost + relayed.passed).max(1) as f64;
    outcome.sent_bps = stats.bytes_sent as f64 * 8.0 / started.elapsed().as_secs_f64();
    outcome.round_trip_ms = publisher.viewers().first().map_or(0.0, |viewer| viewer.path.round_trip.as_secs_f64() * 1000.0);
    outcome
}

/// Sends pictures in their time, as large as an encoder's at the rate would be.
fn encode(publisher: &Publisher, stop: &AtomicBool, sent: &AtomicU64, rate_bps: &AtomicU64) {
    let (start, mut key_frame_at) = (Instant::now(), 0);
    let mut chance = 0x5eed_u64;
    for frame_id in 0_u64.. {
        let due = Duration::from_secs_f64(frame_id as f64 / RATE_HZ);
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Acquire) {
            return;
        }
        let key_frame = frame_id == 0 || frame_id - key_frame_at >= KEY_FRAME_INTERVAL || publisher.take_key_frame_request(0);
        if key_frame {
            key_frame_at = frame_id;
        }
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let interval = KEY_FRAME_INTERVAL as f64;
        let share = interval / (interval - 1.0 + KEY_FRAME_WEIGHT) * if key_frame { KEY_FRAME_WEIGHT } else { 1.0 };
        let spread = 0.75 + (chance >> 33) as f64 / (1_u64 << 31) as f64 * 0.5;
        let bytes = rate_bps.load(Ordering::Relaxed) as f64 / 8.0 / RATE_HZ * share * spread;
        let stamp = FrameStamp { frame_id, captured_at: UnixTime::now(), pts: MediaTime(due.as_nanos() as u64) };
        let unit = AccessUnit { stamp, key_frame, data: Bytes::from(vec![frame_id as u8; bytes as usize]) };
        publisher.send_access_unit(0, &unit).expect("sent");
        sent.fetch_add(1, Ordering::Relaxed);
    }
}
