//! The viewer's page, as browsers ask for it.

use crate::{PATIENCE, config, loopback};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::{Duration, Instant},
};
use studio_stream::prelude::*;

fn served(token: Option<&str>) -> Publisher {
    Publisher::start(PublisherConfig { page: true, token: token.map(str::to_owned), ..config() }).expect("a publisher")
}

/// Sends bytes and reads all that comes back.
fn raw(publisher: &Publisher, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(publisher.local_addr()).expect("the page's port is the stream's");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // A server that has enough may close before it has read everything.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(publisher: &Publisher, path: &str) -> String {
    raw(publisher, format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").as_bytes())
}

#[test]
fn the_link_that_is_given_out_opens_the_page() {
    let publisher = served(Some("secret"));
    let link = publisher.page_link("127.0.0.1").expect("a host").expect("a page");
    let address = publisher.local_addr();
    assert!(link.starts_with(&format!("http://{address}/live?token=secret#sha256=")), "{link}");
    let elsewhere = publisher.page_link("studio.test").expect("a host").expect("a page");
    assert!(elsewhere.starts_with("https://studio.test:"), "{elsewhere}: secure pages alone play streams");
    let page = get(&publisher, "/live?token=secret");
    assert!(page.starts_with("HTTP/1.1 200") && page.contains("<title>Neural Studio</title>"), "{page}");
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    for (part, kind) in [("viewer.js", "text/javascript"), ("worker.js", "text/javascript"), ("viewer.css", "text/css")] {
        // The script loads its worker.
        assert!(part == "worker.js" || page.contains(&format!("/-/{part}")), "{part} is not in the page");
        let answer = get(&publisher, &format!("/-/{part}"));
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(kind) && answer.len() > 1000, "{part}");
        assert!(answer.len() < 300_000, "{part} has {} bytes", answer.len());
    }
    let tag = page.split("etag: ").nth(1).and_then(|rest| rest.split("\r\n").next()).expect("a tag");
    let again = format!("GET /live HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\nConnection: close\r\n\r\n");
    assert!(raw(&publisher, again.as_bytes()).starts_with("HTTP/1.1 304"));
    assert!(get(&publisher, "/-/nothing").starts_with("HTTP/1.1 404"));
    assert!(raw(&publisher, b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 405"));
}

#[test]
fn a_page_is_told_whether_the_stream_would_let_it_in() {
    let publisher = served(Some("se cret"));
    let sha256: String = crate::identity().sha256().iter().map(|byte| format!("{byte:02x}")).collect();
    let welcome = get(&publisher, "/-/admission/live?token=se%20cret");
    assert!(
        welcome.starts_with("HTTP/1.1 200") && welcome.contains(&format!("{{\"sha256\":\"{sha256}\",\"expiresInS\":")),
        "{welcome}"
    );
    let expires_in_s: i64 = welcome.rsplit(':').next().expect("a number").trim_end_matches('}').parse().expect("a number");
    assert!((13 * 24 * 3600..14 * 24 * 3600).contains(&expires_in_s), "{expires_in_s} s: signed just now, for 14 days");
    for (path, status) in [("live", 403), ("live?token=secret", 403), ("other?token=se%20cret", 404), ("?token=se%20cret", 404)] {
        let answer = get(&publisher, &format!("/-/admission/{path}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && !answer.contains(&sha256), "{path}: {answer}");
    }
}

#[test]
fn peers_that_send_garbage_or_nothing_harm_nobody() {
    let publisher = served(None);
    // Silent ones, as many as are served at once.
    let silent: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(publisher.local_addr()).expect("connected")).collect();
    let long = [b"GET /".as_slice(), &vec![b'x'; 200_000], b" HTTP/1.1\r\n\r\n"].concat();
    for garbage in [b"\x16\x03\x01\xff\xff\x01".as_slice(), b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &long] {
        let mut stream = TcpStream::connect(publisher.local_addr()).expect("connected");
        let _ = stream.write_all(garbage);
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    let started = Instant::now();
    assert!(get(&publisher, "/live").starts_with("HTTP/1.1 200"), "a browser is served beside them");
    assert!(started.elapsed() < Duration::from_secs(4), "and does not wait for them");
    drop(silent);
}

#[test]
fn a_page_whose_port_is_taken_leaves_the_stream_alone() {
    let taken = TcpListener::bind(loopback(0)).expect("a port");
    let bind = taken.local_addr().expect("an address");
    let publisher = Publisher::start(PublisherConfig { page: true, bind, ..config() }).expect("a publisher without a page");
    assert_eq!(publisher.page_link("127.0.0.1"), Ok(None));
    let viewer = crate::view(crate::link(&publisher));
    crate::event(&viewer, |event| matches!(event, ViewerEvent::Connected { .. }).then_some(()));
}
