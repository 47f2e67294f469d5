//! Peers that misbehave, and the others that must not notice.

use crate::{PATIENCE, identity, link, next, start, unit, until_seen, view};
use std::{
    net::UdpSocket,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use studio_stream::{
    link::{OFFERED_PROTOCOLS_HEADER, PROTOCOLS, WebTransportLink, offer},
    prelude::*,
};
use tokio::runtime::{Builder, Runtime};
use wtransport::{ClientConfig, Connection, Endpoint, endpoint::ConnectOptions, tls::Sha256Digest};

pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// A WebTransport session without anything of ours on it.
pub(crate) async fn raw(publisher: &Publisher) -> Connection {
    let settings = ClientConfig::builder()
        .with_bind_default()
        .with_server_certificate_hashes([Sha256Digest::new(identity().sha256())])
        .build();
    let url = format!("https://127.0.0.1:{}/live", publisher.local_addr().port());
    let request = ConnectOptions::builder(url).add_header(OFFERED_PROTOCOLS_HEADER, offer(PROTOCOLS[0])).build();
    Endpoint::client(settings).expect("a socket").connect(request).await.expect("let in")
}

/// Publishes for a while and checks that `viewer` gets all of it; returns the number of the next frame.
pub(crate) fn undisturbed(publisher: &Publisher, viewer: &Subscriber, first: u64, frames: u64) -> u64 {
    publisher.send_access_unit(0, &unit(first, true)).expect("sent");
    while next(viewer).unit.stamp.frame_id != first {}
    for frame_id in first + 1..first + frames {
        publisher.send_access_unit(0, &unit(frame_id, frame_id % 10 == 0)).expect("sent");
        let received = next(viewer);
        assert_eq!((received.unit.stamp.frame_id, received.after_gap), (frame_id, false));
        let delay = received.arrived_at.since(received.sent_at);
        assert!(delay < Duration::from_secs(2), "{delay:?} late");
    }
    first + frames
}

#[test]
fn garbage_on_streams_and_datagrams_harms_only_its_sender() {
    let publisher = start(crate::config());
    let viewer = view(link(&publisher));
    let mut frame_id = until_seen(&publisher, &[&viewer], 0);
    let runtime = runtime();
    let noise: Vec<u8> = (0..4000_u32).map(|index| (index.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();

    for kind in 0..4 {
        let noise = noise.clone();
        runtime.block_on(async {
            let peer = raw(&publisher).await;
            for round in 0..20 {
                // The peer may be thrown out at any point, which is what is hoped for.
                match kind {
                    0 => {
                        let Ok(opening) = peer.open_uni().await else { break };
                        let Ok(mut stream) = opening.await else { break };
                        let _ = stream.write_all(&noise[round..]).await;
                    }
                    1 => {
                        let Ok(opening) = peer.open_bi().await else { break };
                        let Ok((mut stream, _)) = opening.await else { break };
                        let _ = stream.write_all(&noise[round..]).await;
                    }
                    2 => {
                        let _ = peer.send_datagram(&noise[round..round + 900]);
                    }
                    // Raw QUIC datagrams that are not even WebTransport's.
                    _ => {
                        let _ = peer.quic_connection().send_datagram(bytes::Bytes::from(noise[round..round + 300].to_vec()));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        frame_id = undisturbed(&publisher, &viewer, frame_id, 20);
    }
    // Not even QUIC.
    let socket = UdpSocket::bind(crate::loopback(0)).expect("a socket");
    for round in 0..200 {
        let _ = socket.send_to(&noise[round..round + 1200], publisher.local_addr());
    }
    frame_id = undisturbed(&publisher, &viewer, frame_id, 20);
    // Newcomers are still let in.
    let newcomer = view(link(&publisher));
    until_seen(&publisher, &[&newcomer], frame_id);
    let deadline = Instant::now() + PATIENCE;
    while publisher.stats().sessions > 2 {
        assert!(Instant::now() < deadline, "the senders of garbage are still there: {:?}", publisher.stats());
        thread::sleep(Duration::from_millis(20));
    }
}

/// A viewer that subscribes, takes a group and then never reads again, while its QUIC connection stays alive.
///
/// It sleeps until what is returned is dropped.
fn stalled_viewer(publisher: &Publisher) -> (Runtime, mpsc::SyncSender<()>) {
    // QUIC runs on this runtime; the protocol on a thread of its own, which stops polling it.
    let quic = runtime();
    let connection = quic.block_on(raw(publisher));
    let (wake, asleep) = mpsc::sync_channel::<()>(1);
    let (stalled, is_stalled) = mpsc::sync_channel(1);
    thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(async {
            let (origin, driver) = moq_net::origin::Producer::new(moq_net::origin::Config::default());
            tokio::spawn(moq_net::time::run(driver));
            let client = moq_net::Client::new().with_subscriber(origin.clone());
            let link = WebTransportLink::new(connection, Some(PROTOCOLS[0]));
            let (_session, driver) = client.connect(Instant::now(), link).await.expect("connected");
            tokio::spawn(moq_net::time::run(driver));
            let broadcast = origin.consume().routed_broadcast("live").await.expect("announced");
            let wish = moq_net::track::Subscription::default().with_max_age(Duration::from_secs(60));
            let mut track = broadcast.track("video.0").expect("a track").subscribe(wish).await.expect("subscribed").ordered();
            let _group = track.next_group().await.expect("a group");
            stalled.send(()).expect("the test waits for it");
            // Blocks the only thread that polls the protocol.
            let _ = asleep.recv();
        });
    });
    is_stalled.recv_timeout(PATIENCE).expect("a viewer that stalls");
    (quic, wake)
}

#[test]
fn a_viewer_that_stops_reading_holds_up_nobody_and_is_dropped() {
    let publisher = start(PublisherConfig { stall_timeout: Duration::from_secs(1), ..crate::config() });
    let viewer = view(link(&publisher));
    // Fills the caches, whose size is bounded, before memory is measured.
    let mut frame_id = undisturbed(&publisher, &viewer, until_seen(&publisher, &[&viewer], 0), 12_000);
    let (quic, wake) = stalled_viewer(&publisher);
    let (before, began, first) = (resident_bytes(), Instant::now(), frame_id);
    while publisher.stats().stalled == 0 {
        assert!(began.elapsed() < PATIENCE, "{:?}", publisher.stats());
        frame_id = undisturbed(&publisher, &viewer, frame_id, 50);
    }
    let grown = resident_bytes().saturating_sub(before) / (1024 * 1024);
    println!("{} units until a stalled viewer was dropped, memory grew by {grown} MiB", frame_id - first);
    // Room for the other tests, which run in this process too.
    assert!(grown < 150, "{grown} MiB more");
    drop(wake);
    quic.shutdown_background();
    undisturbed(&publisher, &viewer, frame_id, 50);
}

fn resident_bytes() -> u64 {
    let pages =
        std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

#[test]
fn peers_that_never_ask_for_anything_do_not_block_the_door() {
    let publisher = start(PublisherConfig { max_sessions: 2, ..crate::config() });
    let runtime = runtime();
    let _silent = runtime.block_on(async {
        let mut silent = Vec::new();
        for _ in 0..4 {
            let settings = ClientConfig::builder().with_bind_default().with_no_cert_validation().build();
            let socket = UdpSocket::bind(crate::loopback(0)).expect("a socket");
            let mut endpoint = wtransport::quinn::Endpoint::new(
                Default::default(),
                None,
                socket,
                std::sync::Arc::new(wtransport::quinn::TokioRuntime),
            )
            .expect("an endpoint");
            endpoint.set_default_client_config(settings.quic_config().clone());
            silent.push(endpoint.connect(publisher.local_addr(), "localhost").expect("a call").await.expect("connected"));
        }
        silent
    });
    let viewer = view(link(&publisher));
    until_seen(&publisher, &[&viewer], 0);
}

#[test]
fn a_hundred_viewers_that_connect_and_vanish_leave_nothing_behind() {
    let publisher = start(crate::config());
    let viewer = view(link(&publisher));
    let frame_id = until_seen(&publisher, &[&viewer], 0);
    let mut before = 0;
    for round in 0..4 {
        let (polite, rude) = (runtime(), runtime());
        let leaving = polite.block_on(futures::future::join_all((0..13).map(|_| raw(&publisher))));
        let vanishing = rude.block_on(futures::future::join_all((0..12).map(|_| raw(&publisher))));
        leaving.iter().for_each(|peer| peer.close(0_u32.into(), b""));
        // Nothing polls these any more: the publisher never hears of them again.
        rude.shutdown_background();
        drop(vanishing);
        let deadline = Instant::now() + PATIENCE;
        while publisher.stats().sessions > 1 {
            assert!(Instant::now() < deadline, "{:?}", publisher.stats());
            thread::sleep(Duration::from_millis(20));
        }
        if round == 0 {
            before = resident_bytes();
        }
    }
    let grown = resident_bytes().saturating_sub(before) / (1024 * 1024);
    // Room for the other tests, which run in this process too.
    assert!(grown < 150, "{grown} MiB more");
    assert_eq!(publisher.viewers().len(), 1, "{:?}", publisher.viewers());
    assert!(publisher.viewer_log().viewers.len() <= 101);
    undisturbed(&publisher, &viewer, frame_id, 20);
}
