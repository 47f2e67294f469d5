//! Publishers that go and come back.

use crate::{PATIENCE, config, event, info, link, loopback, next, start, unit, until_seen, view};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use studio_stream::prelude::*;

const CHILD_DIRECTORY: &str = "STUDIO_STREAM_TEST_DIRECTORY";
const CHILD_PORT: &str = "STUDIO_STREAM_TEST_PORT";

#[test]
fn a_publisher_that_stops_and_starts_again_is_found_again() {
    let publisher = start(config());
    let address = publisher.local_addr();
    let viewer = view(link(&publisher));
    until_seen(&publisher, &[&viewer], 0);
    let session = next(&viewer).session;
    let stopped = Instant::now();
    publisher.stop();
    event(&viewer, |event| matches!(event, ViewerEvent::Disconnected { .. }).then_some(()));
    assert!(stopped.elapsed() < Duration::from_secs(2), "told at once, not by a timeout");
    while viewer.units().try_recv().is_ok() {}
    let publisher = start(PublisherConfig { bind: address, ..config() });
    until_seen(&publisher, &[&viewer], 1000);
    let first = next(&viewer);
    assert!(first.unit.key_frame && first.after_gap && first.session != session);
    assert_eq!(viewer.stats().reconnects, 1);
}

/// Not a test by itself: the publisher that the test below kills.
#[test]
fn child_that_publishes_until_killed() {
    let (Ok(directory), Ok(port)) = (std::env::var(CHILD_DIRECTORY), std::env::var(CHILD_PORT)) else { return };
    let identity = Identity::load_or_create(directory).expect("an identity");
    let publisher =
        Publisher::start(PublisherConfig::new(loopback(port.parse().expect("a port")), "live", identity)).expect("a publisher");
    publisher.set_stream_info(0, info(1280)).expect("sound");
    eprintln!("{}", publisher.viewer_link("127.0.0.1").expect("a link"));
    let began = Instant::now();
    for frame_id in 0.. {
        publisher.send_access_unit(0, &unit(frame_id, frame_id % 10 == 0)).expect("sent");
        thread::sleep(Duration::from_millis(10));
        assert!(began.elapsed() < Duration::from_secs(60), "nobody killed this publisher");
    }
}

fn spawn(directory: &Path, port: u16) -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "restart::child_that_publishes_until_killed", "--nocapture"])
        .env(CHILD_DIRECTORY, directory)
        .env(CHILD_PORT, port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut lines = BufReader::new(child.stderr.take().expect("its output")).lines();
    let link = lines.find_map(|line| line.ok().filter(|line| line.starts_with("https://"))).expect("its link");
    (child, link)
}

#[test]
fn a_publisher_that_is_killed_and_started_again_is_found_by_the_same_link() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut child, link) = spawn(directory.path(), 0);
    let link: ViewerLink = link.parse().expect("a link");
    let viewer = view(link.clone());
    let session = (0..20).map(|_| next(&viewer)).last().expect("units").session;
    child.kill().expect("killed");
    child.wait().expect("gone");
    let (mut child, again) = spawn(directory.path(), link.port());
    assert_eq!(again, link.to_string(), "the same certificate");
    let killed = Instant::now();
    let received = loop {
        let received = next(&viewer);
        if received.session != session {
            break received;
        }
        assert!(killed.elapsed() < PATIENCE);
    };
    println!("receiving again {:?} after the publisher was started again", killed.elapsed());
    assert!(received.unit.key_frame && received.after_gap);
    child.kill().expect("killed");
    child.wait().expect("gone");
}
