//! Publishers and viewers on the loopback interface, over real QUIC.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "live/hostile.rs"]
mod hostile;
#[path = "live/page.rs"]
mod page;
#[path = "live/path.rs"]
mod path;
#[path = "live/renditions.rs"]
mod renditions;
#[path = "live/report.rs"]
mod report;
#[path = "live/restart.rs"]
mod restart;
#[path = "live/sound.rs"]
mod sound;
#[path = "live/vectors.rs"]
mod vectors;

use bevy::math::UVec2;
use bytes::Bytes;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_stream::{prelude::*, subscribe::SubscribeError, viewer_link::ViewerLink};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
const TICK: Duration = Duration::from_millis(2);

pub(crate) fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

pub(crate) fn identity() -> Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(|| Identity::self_signed(["studio.test"]).expect("a certificate")).clone()
}

pub(crate) fn config() -> PublisherConfig {
    PublisherConfig::new(loopback(0), "live", identity())
}

pub(crate) fn info(width: u32) -> StreamInfo {
    StreamInfo {
        codec_string: "avc1.42c01f".into(),
        size: UVec2::new(width, width / 2),
        frame_rate_hz: 30.0,
        ..Default::default()
    }
}

pub(crate) fn start(config: PublisherConfig) -> Publisher {
    let publisher = Publisher::start(config).expect("a publisher");
    publisher.set_stream_info(0, info(1280)).expect("a sound description");
    publisher
}

pub(crate) fn link(publisher: &Publisher) -> ViewerLink {
    publisher.viewer_link("127.0.0.1").expect("a link")
}

pub(crate) fn view(link: ViewerLink) -> Subscriber {
    Subscriber::connect(link, SubscriberConfig::default()).expect("a subscriber")
}

pub(crate) fn stamp(frame_id: u64) -> FrameStamp {
    FrameStamp {
        frame_id,
        captured_at: UnixTime(1_800_000_000_000_000_000 + frame_id * 33_333_333),
        pts: MediaTime(frame_id * 33_333_333),
    }
}

/// An access unit of some kilobytes whose bytes depend on its number.
pub(crate) fn unit(frame_id: u64, key_frame: bool) -> AccessUnit {
    let size = if key_frame { 40_000 } else { 3_000 + (frame_id as usize * 131) % 2000 };
    AccessUnit { stamp: stamp(frame_id), key_frame, data: Bytes::from(vec![frame_id as u8; size]) }
}

pub(crate) fn field(frame_id: u64, grid: UVec2) -> MotionField {
    let vectors: Vec<_> = (0..grid.x * grid.y)
        .map(|index| {
            let noise = (index.wrapping_mul(0x9e37_79b1) >> 29) as i16;
            MotionVector { x: (frame_id as i16 % 50) + noise, y: (index / grid.x) as i16 - noise }
        })
        .collect();
    MotionField {
        stamp: stamp(frame_id),
        previous_frame_id: frame_id.wrapping_sub(1),
        picture_size: grid * 8,
        grid,
        wraps: true,
        vectors: vectors.into(),
    }
}

/// Waits for a unit and checks that it holds what was sent.
pub(crate) fn next(viewer: &Subscriber) -> ReceivedUnit {
    let received = viewer
        .units()
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{error}; {:?}; {:?}", viewer.stats(), viewer.events().try_recv()));
    let sent = unit(received.unit.stamp.frame_id, received.unit.key_frame);
    assert_eq!((received.unit.stamp, &received.unit.data), (sent.stamp, &sent.data), "the unit changed on the way");
    received
}

/// Waits for an event that `wanted` says yes to.
pub(crate) fn event<T>(viewer: &Subscriber, mut wanted: impl FnMut(ViewerEvent) -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let event = viewer
            .events()
            .recv_timeout(left)
            .unwrap_or_else(|error| panic!("the event did not come: {error}; {:?}", viewer.stats()));
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

pub(crate) fn failed(viewer: &Subscriber) -> std::sync::Arc<SubscribeError> {
    event(viewer, |event| match event {
        ViewerEvent::Failed(error) => Some(error),
        ViewerEvent::Disconnected { error, .. } => panic!("tried again after: {error}"),
        ViewerEvent::Connected { .. } | ViewerEvent::Described(_) | ViewerEvent::AudioDescribed(_) => None,
    })
}

/// Publishes a key frame each time until every viewer has received something, and returns the number of the next frame.
pub(crate) fn until_seen(publisher: &Publisher, viewers: &[&Subscriber], first: u64) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let mut frame_id = first;
    while viewers.iter().any(|viewer| viewer.units().is_empty()) {
        assert!(
            Instant::now() < deadline,
            "a viewer sees nothing: {:?}",
            viewers.iter().map(|viewer| viewer.stats()).collect::<Vec<_>>()
        );
        publisher.send_access_unit(0, &unit(frame_id, true)).expect("sent");
        frame_id += 1;
        thread::sleep(Duration::from_millis(20));
    }
    frame_id
}

#[test]
fn eight_viewers_each_get_every_access_unit_in_order_with_equal_stamps() {
    let publisher = start(config());
    let viewers: Vec<_> = (0..8).map(|_| view(link(&publisher))).collect();
    let first = until_seen(&publisher, &viewers.iter().collect::<Vec<_>>(), 0);
    // Groups from before a viewer came count as skipped for it.
    let skipped_at_first = publisher.stats().groups_skipped;
    let last = first + 120;
    let mut latencies_us: Vec<u64> = Vec::new();
    let mut expected: Vec<Option<u64>> = vec![None; viewers.len()];
    for frame_id in first..last {
        publisher.send_access_unit(0, &unit(frame_id, frame_id % 15 == 0)).expect("sent");
        thread::sleep(Duration::from_millis(8));
    }
    for (viewer, expected) in viewers.iter().zip(&mut expected) {
        while *expected != Some(last) {
            let received = next(viewer);
            let frame_id = received.unit.stamp.frame_id;
            match *expected {
                None => assert!(received.unit.key_frame && received.after_gap, "starts at a key frame"),
                Some(expected) => assert_eq!((frame_id, received.after_gap), (expected, false)),
            }
            assert_eq!(received.info.size, UVec2::new(1280, 640));
            *expected = Some(frame_id + 1);
            latencies_us.push(received.arrived_at.since(received.sent_at).as_micros() as u64);
        }
    }
    latencies_us.sort_unstable();
    let at = |share: usize| latencies_us[latencies_us.len() * share / 100];
    println!("send to arrival with 8 viewers: p50 {} µs, p95 {} µs, p99 {} µs", at(50), at(95), at(99));
    let stats = publisher.stats();
    assert_eq!(
        (stats.sessions, stats.sessions_total, stats.refused, stats.broken, stats.groups_skipped - skipped_at_first),
        (8, 8, 0, 0, 0),
        "{stats:?}"
    );
    assert!(stats.bytes_sent > 8 * stats.access_unit_bytes / 2, "{stats:?}");
}

#[test]
fn a_late_joiner_starts_at_a_key_frame_and_asks_for_one() {
    let publisher = start(config());
    (0..40).for_each(|frame_id| publisher.send_access_unit(0, &unit(frame_id, frame_id % 30 == 0)).expect("sent"));
    while publisher.take_key_frame_request(0) {}
    let viewer = view(link(&publisher));
    let first = next(&viewer);
    assert_eq!((first.unit.stamp.frame_id, first.unit.key_frame), (30, true));
    for frame_id in 31..40 {
        assert_eq!(next(&viewer).unit.stamp.frame_id, frame_id);
    }
    let deadline = Instant::now() + PATIENCE;
    while !publisher.take_key_frame_request(0) {
        assert!(Instant::now() < deadline, "no key frame was asked for");
        thread::sleep(TICK);
    }
}

#[test]
fn a_wrong_or_missing_token_is_refused_for_good() {
    let publisher = start(PublisherConfig { token: Some("open sesame & co".into()), ..config() });
    let right = link(&publisher);
    for wrong in [None, Some("open sesame"), Some("open sesame & cx")] {
        let viewer = view(right.clone().with_token(wrong).expect("a link"));
        let error = failed(&viewer);
        assert!(matches!(*error, SubscribeError::Refused { .. }), "{error}");
    }
    let other = ViewerLink::new("127.0.0.1", right.port(), "other", right.token(), right.sha256()).expect("a link");
    assert!(matches!(*failed(&view(other)), SubscribeError::Refused { .. }));
    assert_eq!((publisher.stats().refused, publisher.stats().sessions_total), (4, 0));
    let viewer = view(right.to_string().parse().expect("its own text"));
    until_seen(&publisher, &[&viewer], 0);
}

#[test]
fn another_certificate_than_the_link_names_is_refused() {
    let publisher = start(config());
    let ours = link(&publisher);
    for sha256 in [Some([7; 32]), None] {
        let other = ViewerLink::new("127.0.0.1", ours.port(), "live", None, sha256).expect("a link");
        let error = failed(&view(other));
        assert!(matches!(*error, SubscribeError::Certificate(_)), "{error}");
    }
    assert_eq!(publisher.stats().sessions_total, 0);
}

#[test]
fn a_port_in_use_is_named_with_a_way_out() {
    let publisher = start(config());
    let taken = publisher.local_addr();
    let error = Publisher::start(PublisherConfig { bind: taken, ..config() }).err().expect("taken");
    let text = error.to_string();
    assert!(
        matches!(error, PublishError::PortInUse(_)) && text.contains(&taken.port().to_string()) && text.contains("another port"),
        "{text}"
    );
    publisher.stop();
    // The system frees the port when the last task that holds the socket is gone.
    let freed = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(20));
        Publisher::start(PublisherConfig { bind: taken, ..config() }).is_ok()
    });
    assert!(freed, "{taken} is still in use two seconds after the publisher ended");
    let elsewhere = PublisherConfig { bind: "192.0.2.1:0".parse().unwrap(), ..config() };
    assert!(matches!(Publisher::start(elsewhere).err(), Some(PublishError::Bind { .. })));
}

#[test]
fn five_percent_of_lost_datagrams_are_counted_and_the_motion_still_comes() {
    let grid = UVec2::new(160, 80);
    let conditions = Conditions { datagram_loss: 0.05, seed: 11, ..Default::default() };
    let publisher = start(PublisherConfig { conditions, ..config() });
    let viewer = view(link(&publisher));
    let first = until_seen(&publisher, &[&viewer], 0);
    // The motion tracks are subscribed to when the catalog names them.
    let deadline = Instant::now() + PATIENCE;
    let mut frame_id = first;
    while viewer.motion().is_empty() {
        assert!(Instant::now() < deadline, "no motion: {:?}", viewer.stats());
        publisher.send_motion(&field(frame_id, grid));
        frame_id += 1;
        thread::sleep(Duration::from_millis(33));
    }
    let (mut seen, mut worst_px, mut after_us) = (Vec::new(), 0.0_f32, Vec::new());
    let last = frame_id + 100;
    let mut take = |seen: &mut Vec<u64>| {
        while let Ok(received) = viewer.motion().try_recv() {
            let sent = field(received.motion.field.stamp.frame_id, grid);
            assert_eq!((received.motion.field.stamp, received.motion.field.grid), (sent.stamp, grid));
            seen.push(sent.stamp.frame_id);
            if received.motion.missing_cells == 0 {
                let error_px =
                    sent.vectors.iter().zip(&*received.motion.field.vectors).map(|(a, b)| a.to_pixels().distance(b.to_pixels()));
                worst_px = error_px.fold(worst_px, f32::max);
            }
        }
    };
    for frame_id in frame_id..last {
        publisher.send_motion(&field(frame_id, grid));
        let sent = Instant::now();
        thread::sleep(Duration::from_millis(25));
        take(&mut seen);
        after_us.push(sent.elapsed().as_micros());
    }
    thread::sleep(Duration::from_millis(200));
    take(&mut seen);
    let stats = viewer.stats();
    let share = stats.lost_tiles as f64 / stats.tiles as f64;
    println!(
        "motion: {} fields of {} tiles each, {:.1} % of the tiles lost, worst {worst_px} px off",
        seen.len(),
        stats.tiles / stats.motion_fields,
        share * 100.0
    );
    assert!(seen.is_sorted_by(|a, b| a < b), "in order, none twice");
    assert!(seen.iter().filter(|id| **id >= frame_id).count() >= 95, "{} of 100 fields came", seen.len());
    assert!((0.01..0.15).contains(&share), "{stats:?}");
    assert!(worst_px < 1.0, "{worst_px} px off");
}

#[test]
fn without_loss_every_tile_comes() {
    let grid = UVec2::new(160, 80);
    let publisher = start(config());
    let viewer = view(link(&publisher));
    until_seen(&publisher, &[&viewer], 0);
    let deadline = Instant::now() + PATIENCE;
    let mut frame_id = 0;
    let mut complete = 0;
    while complete < 20 {
        assert!(Instant::now() < deadline, "{:?} {:?}", viewer.stats(), publisher.stats());
        publisher.send_motion(&field(frame_id, grid));
        frame_id += 1;
        thread::sleep(Duration::from_millis(20));
        while let Ok(received) = viewer.motion().try_recv() {
            let motion = received.motion;
            if motion.lost_tiles == 0 {
                assert_eq!(motion.field.vectors, field(motion.field.stamp.frame_id, grid).vectors);
                complete += 1;
            }
        }
    }
    assert!(frame_id < 60, "{complete} complete fields of {frame_id}: {:?}", viewer.stats());
}

#[test]
fn another_picture_size_reaches_the_decoder_with_its_first_key_frame() {
    let publisher = start(config());
    let viewer = view(link(&publisher));
    let mut frame_id = until_seen(&publisher, &[&viewer], 0);
    publisher.set_stream_info(0, info(640)).expect("sound");
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "{:?}", viewer.stats());
        publisher.send_access_unit(0, &unit(frame_id, frame_id.is_multiple_of(5))).expect("sent");
        frame_id += 1;
        thread::sleep(Duration::from_millis(10));
        let Ok(received) = viewer.units().try_recv() else { continue };
        if received.info.size == UVec2::new(640, 320) {
            assert!(received.unit.key_frame, "a new decoder needs a key frame");
            break;
        }
    }
}

#[test]
fn a_full_house_lets_the_next_one_in_when_somebody_leaves() {
    let publisher = start(PublisherConfig { max_sessions: 1, ..config() });
    let first = view(link(&publisher));
    let frame_id = until_seen(&publisher, &[&first], 0);
    let second = view(link(&publisher));
    event(&second, |event| matches!(event, ViewerEvent::Disconnected { .. }).then_some(()));
    assert!(publisher.stats().refused >= 1);
    drop(first);
    until_seen(&publisher, &[&second], frame_id);
}

#[test]
fn nobody_there_is_said_and_tried_again() {
    let socket = std::net::UdpSocket::bind(loopback(0)).expect("a port");
    let port = socket.local_addr().expect("bound").port();
    let link = ViewerLink::new("127.0.0.1", port, "live", None, Some([1; 32])).expect("a link");
    let settings = SubscriberConfig { connect_timeout: Duration::from_millis(200), ..Default::default() };
    let viewer = Subscriber::connect(link, settings).expect("a subscriber");
    let mut waits = Vec::new();
    while waits.len() < 3 {
        waits.push(event(&viewer, |event| match event {
            ViewerEvent::Disconnected { error, retry_in } => {
                assert!(matches!(*error, SubscribeError::Unreachable { .. }), "{error}");
                Some(retry_in)
            }
            other => panic!("{other:?}"),
        }));
    }
    assert!(waits.is_sorted_by(|a, b| a < b), "{waits:?}");
}

#[test]
fn added_delay_delays_and_loses_nothing() {
    let publisher = start(config());
    let delay = Duration::from_millis(60);
    let settings = SubscriberConfig { conditions: Conditions { delay, ..Default::default() }, ..Default::default() };
    let viewer = Subscriber::connect(link(&publisher), settings).expect("a subscriber");
    let first = until_seen(&publisher, &[&viewer], 0);
    for frame_id in first..first + 20 {
        publisher.send_access_unit(0, &unit(frame_id, frame_id == first)).expect("sent");
        thread::sleep(Duration::from_millis(10));
    }
    let mut received = next(&viewer);
    while received.unit.stamp.frame_id < first + 19 {
        let later = next(&viewer);
        assert_eq!(later.unit.stamp.frame_id, received.unit.stamp.frame_id + 1);
        received = later;
        assert!(received.arrived_at.since(received.sent_at) >= delay);
    }
}
