//! Sound beside pictures, and by itself.

use crate::{PATIENCE, config, event, link, loopback, next, start, unit, until_seen, view};
use std::{
    thread,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_stream::{prelude::*, publish::PublishError, subscribe::ReceivedSound};

const UNIT: Duration = Duration::from_millis(20);

fn sound_info() -> AudioStreamInfo {
    AudioStreamInfo {
        bitrate_bps: 128_000,
        config: (&b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"[..]).into(),
        ..Default::default()
    }
}

/// A unit of sound whose bytes depend on its number.
fn sound(id: u64) -> AccessUnit {
    let pts = id * UNIT.as_nanos() as u64;
    let stamp = FrameStamp { frame_id: id, captured_at: UnixTime(1_800_000_000_000_000_000 + pts), pts: MediaTime(pts) };
    let data: Vec<u8> = (0..200 + id % 100).map(|at| (at * 31 + id) as u8).collect();
    AccessUnit { stamp, key_frame: true, data: data.into() }
}

/// Waits for a unit of sound and checks that it holds what was sent.
fn hear(viewer: &Subscriber) -> ReceivedSound {
    let received = viewer
        .audio()
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|error| panic!("{error}; {:?}; {:?}", viewer.stats(), viewer.events().try_recv()));
    let sent = sound(received.unit.stamp.frame_id);
    assert_eq!((received.unit.stamp, &received.unit.data), (sent.stamp, &sent.data), "the unit changed on the way");
    received
}

/// Sends sound in its own time until `viewer` has some; the number of the next unit.
fn until_heard(publisher: &Publisher, viewer: &Subscriber, first: u64) -> u64 {
    let (began, mut id) = (Instant::now(), first);
    while viewer.audio().is_empty() {
        assert!(began.elapsed() < PATIENCE, "nothing is heard: {:?}", viewer.stats());
        publisher.send_audio(&sound(id)).expect("sent");
        id += 1;
        thread::sleep(UNIT);
    }
    id
}

#[test]
fn a_stream_of_sound_alone_is_described_and_heard_at_once_by_whoever_joins() {
    let publisher = Publisher::start(config()).expect("a publisher");
    assert!(matches!(publisher.send_audio(&sound(0)), Err(PublishError::NotDescribed)));
    publisher.set_audio_info(sound_info()).expect("a sound description");
    let large = AccessUnit { data: vec![0; 70_000].into(), ..sound(0) };
    assert!(matches!(publisher.send_audio(&large), Err(PublishError::AudioUnitTooLarge(70_000))));
    // What was sent before a viewer came is not what it hears first.
    (0..200).for_each(|id| publisher.send_audio(&sound(id)).expect("sent"));
    let (joined, viewer) = (Instant::now(), view(link(&publisher)));
    let info = event(&viewer, |event| match event {
        ViewerEvent::AudioDescribed(info) => Some(info),
        _ => None,
    });
    assert_eq!(*info, sound_info());
    let last = until_heard(&publisher, &viewer, 200);
    let first = hear(&viewer);
    println!("a late joiner hears sound {:?} after it calls", joined.elapsed());
    assert!(joined.elapsed() < Duration::from_secs(1), "{:?}", joined.elapsed());
    assert!(first.unit.stamp.frame_id >= 199 && first.after_gap, "old sound: {:?}", first.unit.stamp);
    assert_eq!((&*first.info, first.unit.key_frame), (&sound_info(), true));
    for id in last..last + 20 {
        publisher.send_audio(&sound(id)).expect("sent");
    }
    let mut expected = first.unit.stamp.frame_id + 1;
    while expected < last + 20 {
        let received = hear(&viewer);
        assert_eq!((received.unit.stamp.frame_id, received.after_gap), (expected, false));
        expected += 1;
    }
    assert!(viewer.units().is_empty());
    assert_eq!((viewer.stats().audio_units_dropped, viewer.stats().garbage), (0, 0));
}

#[test]
fn sound_goes_on_beside_pictures_and_after_they_stop() {
    let publisher = start(config());
    publisher.set_audio_info(sound_info()).expect("a sound description");
    let viewer = view(link(&publisher));
    let mut id = until_heard(&publisher, &viewer, 0);
    let mut frame = until_seen(&publisher, &[&viewer], 0);
    let mut latencies_us = Vec::new();
    let mut heard = hear(&viewer);
    for round in 0..150 {
        publisher.send_audio(&sound(id)).expect("sent");
        id += 1;
        while let Ok(later) = viewer.audio().try_recv() {
            assert_eq!((later.unit.stamp.frame_id, later.after_gap), (heard.unit.stamp.frame_id + 1, false));
            latencies_us.push(later.arrived_at.since(later.sent_at).as_micros());
            heard = later;
        }
        // Pictures for two thirds of the time.
        if round < 100 {
            publisher.send_access_unit(0, &unit(frame, frame.is_multiple_of(15))).expect("sent");
            frame += 1;
        }
        thread::sleep(Duration::from_millis(5));
    }
    while heard.unit.stamp.frame_id + 1 < id {
        heard = hear(&viewer);
    }
    while next(&viewer).unit.stamp.frame_id + 1 < frame {}
    latencies_us.sort_unstable();
    println!("sound, send to arrival: p50 {} µs, worst {:?} µs", latencies_us[latencies_us.len() / 2], latencies_us.last());
    let stats = publisher.stats();
    assert_eq!((stats.audio_units, viewer.stats().audio_units_dropped), (id, 0));
}

#[test]
fn another_codec_is_a_track_of_its_own_and_a_restart_is_found_again() {
    let publisher = Publisher::start(config()).expect("a publisher");
    publisher.set_audio_info(sound_info()).expect("a sound description");
    let address = publisher.local_addr();
    let viewer = view(link(&publisher));
    let mut id = until_heard(&publisher, &viewer, 0);
    let aac = AudioStreamInfo { codec: AudioCodec::Aac, config: (&[0x11, 0x90][..]).into(), ..sound_info() };
    publisher.set_audio_info(aac.clone()).expect("a sound description");
    let began = Instant::now();
    while *hear(&viewer).info != aac {
        assert!(began.elapsed() < PATIENCE, "{:?}", viewer.stats());
        publisher.send_audio(&sound(id)).expect("sent");
        id += 1;
        thread::sleep(UNIT);
        if viewer.audio().is_empty() {
            id = until_heard(&publisher, &viewer, id);
        }
    }
    let session = hear_session(&publisher, &viewer, &mut id);
    publisher.stop();
    event(&viewer, |event| matches!(event, ViewerEvent::Disconnected { .. }).then_some(()));
    while viewer.audio().try_recv().is_ok() {}
    let publisher = Publisher::start(PublisherConfig { bind: loopback(address.port()), ..config() }).expect("the port is free");
    publisher.set_audio_info(sound_info()).expect("a sound description");
    assert_ne!(hear_session(&publisher, &viewer, &mut id), session);
    assert_eq!(viewer.stats().reconnects, 1);
}

fn hear_session(publisher: &Publisher, viewer: &Subscriber, id: &mut u64) -> u64 {
    *id = until_heard(publisher, viewer, *id);
    hear(viewer).session
}

#[test]
fn a_slow_link_delays_sound_and_loses_none() {
    let publisher = Publisher::start(config()).expect("a publisher");
    publisher.set_audio_info(sound_info()).expect("a sound description");
    let conditions = Conditions { delay: Duration::from_millis(60), datagram_loss: 0.2, seed: 3 };
    let viewer =
        Subscriber::connect(link(&publisher), SubscriberConfig { conditions, ..Default::default() }).expect("a subscriber");
    let id = until_heard(&publisher, &viewer, 0);
    for id in id..id + 30 {
        publisher.send_audio(&sound(id)).expect("sent");
        thread::sleep(UNIT);
    }
    let mut heard = hear(&viewer);
    while heard.unit.stamp.frame_id < id + 29 {
        let later = hear(&viewer);
        assert_eq!(later.unit.stamp.frame_id, heard.unit.stamp.frame_id + 1);
        heard = later;
    }
}
