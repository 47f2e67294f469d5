//! What viewers tell the studio, honest ones and others.

use crate::{PATIENCE, TICK, config, hostile, link, start, unit, until_seen, view};
use bytes::Bytes;
use moq_net::{Timescale, Timestamp, origin, track};
use std::{thread, time::Instant};
use studio_stream::{
    link::{Link, WebTransportLink},
    prelude::*,
    publish::ViewerStatus,
    report::{MAX_REPORT_BYTES, Percentiles, REPORT_TRACK, ViewerInfo},
};

/// Waits until the publisher's viewers are as wanted.
fn until(publisher: &Publisher, wanted: impl Fn(&[ViewerStatus]) -> bool) -> Vec<ViewerStatus> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let viewers = publisher.viewers();
        if wanted(&viewers) {
            return viewers;
        }
        assert!(Instant::now() < deadline, "{viewers:?}");
        thread::sleep(TICK);
    }
}

fn until_key_frame_is_wanted(publisher: &Publisher) {
    let deadline = Instant::now() + PATIENCE;
    while !publisher.take_key_frame_request(0) {
        assert!(Instant::now() < deadline, "no key frame was asked for: {:?}", publisher.viewers());
        thread::sleep(TICK);
    }
}

#[test]
fn the_studio_hears_how_a_viewer_fares_and_where_it_looks() {
    let publisher = start(config());
    let viewer = view(link(&publisher));
    let silent = SubscriberConfig { report: false, ..Default::default() };
    let silent = Subscriber::connect(link(&publisher), silent).expect("a subscriber");
    viewer.reporter().update(|report| {
        report.viewer = Some(ViewerInfo { kind: ViewerKind::Desktop, name: "test".into() });
        report.latency_ms = Some(Percentiles { p50: 40.0, p95: 55.0 });
    });
    viewer.reporter().look(370.0, 20.0);
    let frame_id = until_seen(&publisher, &[&viewer, &silent], 0);
    let viewers = until(&publisher, |viewers| viewers.len() == 2 && viewers.iter().any(|viewer| viewer.reports > 1));
    let told = viewers.iter().find(|viewer| viewer.id == Some(viewer_id(&viewers))).expect("one reports");
    let report = told.report.as_ref().expect("told");
    assert_eq!(told.id, Some(viewer.reporter().id()));
    assert_eq!(report.viewer.as_ref().map(|viewer| viewer.name.as_str()), Some("test"));
    assert_eq!(report.latency_ms.map(|latency| latency.p95), Some(55.0));
    assert_eq!(report.video.as_deref(), Some("video.0"));
    assert!(report.pictures >= Some(1) && report.received_bps.is_some(), "{report:?}");
    assert!(told.path.packets_sent > 0 && told.path.round_trip > core::time::Duration::ZERO, "{told:?}");
    assert_eq!(viewers.iter().filter(|viewer| viewer.id.is_none() && viewer.reports == 0).count(), 1, "one tells nothing");
    let (yaw, pitch) = publisher.gaze().peak_deg().expect("somebody looked somewhere");
    assert!((yaw - 10.0).abs() < 3.0 && (pitch - 20.0).abs() < 3.0, "{yaw}, {pitch}");

    // A viewer that left stays in the log.
    drop(viewer);
    until(&publisher, |viewers| viewers.len() == 1);
    let log = publisher.viewer_log();
    assert_eq!((log.viewers.len(), log.gaze.samples()), (2, 1));
    assert_eq!(log.viewers.iter().filter(|viewer| viewer.left_at.is_some() && viewer.path.packets_sent > 0).count(), 1);
    assert!(log.records.len() >= 2 && log.records.is_sorted_by_key(|record| record.at), "{}", log.records.len());
    publisher.send_access_unit(0, &unit(frame_id, true)).expect("the others go on");
}

fn viewer_id(viewers: &[ViewerStatus]) -> ViewerId {
    viewers.iter().find_map(|viewer| viewer.id).expect("one reports")
}

#[test]
fn a_viewer_that_cannot_decode_gets_a_key_frame_and_a_crowd_of_them_no_more_than_four_a_second() {
    let publisher = start(config());
    let viewers: Vec<_> = (0..4).map(|_| view(link(&publisher))).collect();
    let mut frame_id = until_seen(&publisher, &viewers.iter().collect::<Vec<_>>(), 0);
    until(&publisher, |viewers| viewers.len() == 4 && viewers.iter().all(|viewer| viewer.reports > 0));
    while publisher.take_key_frame_request(0) {}
    viewers[0].reporter().request_key_frame();
    until_key_frame_is_wanted(&publisher);
    let began = Instant::now();
    let mut asked = 0;
    while began.elapsed().as_secs() < 2 {
        viewers.iter().for_each(|viewer| viewer.reporter().request_key_frame());
        publisher.send_access_unit(0, &unit(frame_id, frame_id.is_multiple_of(10))).expect("sent");
        frame_id += 1;
        asked += u32::from(publisher.take_key_frame_request(0));
        thread::sleep(TICK * 5);
    }
    assert!((1..=9).contains(&asked), "{asked} key frames in 2 s");
}

/// Speaks Media over QUIC as a viewer that announces `names`, and writes `frames` on each one's track of reports. `hold` ends it.
async fn speak<L: Link>(link: L, names: &[String], frames: &[Bytes], hold: impl Future<Output = ()>) {
    let (said, driver) = origin::Producer::new(origin::Config::default());
    tokio::spawn(moq_net::time::run(driver));
    let info = track::Info::default().with_timescale(Timescale::MICRO).with_max_age(core::time::Duration::from_secs(2));
    let mut tracks = Vec::new();
    for name in names {
        let broadcast = said.create_broadcast(name.as_str()).expect("a broadcast");
        let track = broadcast.create_track(REPORT_TRACK, info.clone()).expect("a track");
        broadcast.announce(origin::Route::default()).expect("announced");
        tracks.push((broadcast, track));
    }
    let client = moq_net::Client::new().with_publisher(&said);
    let (session, driver) = client.connect(Instant::now(), link).await.expect("a session");
    tokio::spawn(moq_net::time::run(driver));
    for (at, frame) in (0..).zip(frames) {
        for (_, track) in &mut tracks {
            let _ = track.write_frame(Timestamp::from_micros(at * 20_000).expect("small"), frame.clone());
        }
        tokio::time::sleep(core::time::Duration::from_millis(20)).await;
    }
    hold.await;
    drop(session);
}

#[test]
fn hostile_reports_are_counted_and_harm_nobody() {
    let publisher = start(config());
    let viewer = view(link(&publisher));
    let frame_id = until_seen(&publisher, &[&viewer], 0);
    let honest = Bytes::from_static(br#"{"version":1,"gaze":[[0,45,0]],"viewer":{"kind":"browser","name":"honest"}}"#);
    let mut frames = vec![
        honest.clone(),
        Bytes::from_static(b"noise"),
        Bytes::from_static(br#"{"version":1,"displayHz":1e300}"#),
        Bytes::from(vec![b' '; MAX_REPORT_BYTES + 1]),
        Bytes::new(),
    ];
    // More than twenty in a second.
    frames.extend(core::iter::repeat_n(honest, 60));
    let runtime = hostile::runtime();
    runtime.block_on(async {
        let peer = hostile::raw(&publisher).await;
        let link = WebTransportLink::new(peer, Some(studio_stream::link::PROTOCOLS[0]));
        let name = ViewerId(7).broadcast();
        let seen = async {
            tokio::task::block_in_place(|| {
                let viewers = until(&publisher, |viewers| viewers.iter().any(|viewer| viewer.reports > 1 && viewer.dropped > 0));
                let hostile = viewers.iter().find(|viewer| viewer.id == Some(ViewerId(7))).expect("it is there");
                assert!(hostile.garbage >= 2, "{hostile:?}");
                assert!(hostile.reports < 60, "{hostile:?}");
            });
        };
        speak(link, &[name], &frames, seen).await;
    });
    // Others speak below names that are not theirs, or announce without end: those are thrown out.
    let broken = publisher.stats().broken;
    runtime.block_on(async {
        let peer = hostile::raw(&publisher).await;
        let quic = peer.quic_connection().clone();
        let link = WebTransportLink::new(peer, Some(studio_stream::link::PROTOCOLS[0]));
        let names: Vec<String> = (0..200).map(|index| format!("viewers/{index}/deeper")).collect();
        let thrown_out = async {
            tokio::time::timeout(PATIENCE, quic.closed()).await.expect("it is thrown out");
        };
        speak(link, &names, &[], thrown_out).await;
    });
    assert_eq!(publisher.stats().broken, broken + 1);
    let next_id = hostile::undisturbed(&publisher, &viewer, frame_id, 20);
    // What is published is still the studio's own: a viewer cannot publish the stream.
    assert!(next_id > frame_id && publisher.viewers().len() == 1);
}

#[test]
fn what_a_viewer_says_of_tracks_that_are_not_there_changes_nothing() {
    let publisher = start(config());
    let viewer = view(link(&publisher));
    let frame_id = until_seen(&publisher, &[&viewer], 0);
    let says = |video: &str| format!(r#"{{"version":1,"video":{video},"wantedBps":1000,"keyFrameRequests":9}}"#);
    let long = format!(r#""{}""#, "v".repeat(64));
    let garbage = [r#""../../../etc/passwd""#, r#""""#, "\"video.0\u{202e}\"", r#""video.99""#, r#""catalog.json""#, &long];
    let frames: Vec<Bytes> = garbage.iter().map(|video| says(video).into()).collect();
    let runtime = hostile::runtime();
    runtime.block_on(async {
        let peer = hostile::raw(&publisher).await;
        let link = WebTransportLink::new(peer, Some(studio_stream::link::PROTOCOLS[0]));
        let seen = async {
            tokio::task::block_in_place(|| {
                until(&publisher, |viewers| {
                    viewers.iter().any(|viewer| viewer.id == Some(ViewerId(9)) && viewer.reports + viewer.garbage > 3)
                });
                // Its own coming was a wish; what it says of tracks is none.
                while publisher.take_key_frame_request(0) {
                    thread::sleep(core::time::Duration::from_millis(300));
                }
                assert_eq!((publisher.wanted_bitrate_bps(0), publisher.wanted_bitrate_bps(7)), (None, None));
            });
        };
        speak(link, &[ViewerId(9).broadcast()], &frames, seen).await;
        let peer = hostile::raw(&publisher).await;
        let link = WebTransportLink::new(peer, Some(studio_stream::link::PROTOCOLS[0]));
        let seen = async {
            tokio::task::block_in_place(|| {
                until(&publisher, |_| publisher.wanted_bitrate_bps(0) == Some(1000));
            });
        };
        speak(link, &[ViewerId(10).broadcast()], &[says(r#""video.0""#).into()], seen).await;
    });
    publisher.send_access_unit(0, &unit(frame_id, true)).expect("the others go on");
}
