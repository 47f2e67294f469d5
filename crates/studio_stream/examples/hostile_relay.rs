//! A relay between a studio and a viewer that damages what passes, on command. The page's tests watch studios through it.
//!
//! `cargo run -p studio_stream --example hostile_relay -- LINK [expired]` prints the link to watch by; with `expired` its
//! certificate is out of date. What is to be done is read from the standard input, one order a line:
//!
//! | order | what happens |
//! |---|---|
//! | `TRACK HARM COUNT` | the next `COUNT` messages of a track are harmed; `TRACK` is `pictures`, `tiles`, `coarse`, `sound` or `catalog` |
//! | `rate BPS` | the way to the viewer carries so many bits a second; 0: all there is |
//! | `shift MS` | capture and sending of pictures and sound are told as so much later, as by a clock that was set |
//!
//! `HARM` is `flip` (some bytes in the middle), `head` (bytes of the header), `cut` (half of it), `empty`, `noise`, `twice`,
//! `swap` (sent after the next one) or `drop`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests read the link on stdout, people the end on stderr")]

use bytes::Bytes;
use moq_net::{broadcast, group, origin, track};
use std::{
    io::BufRead,
    net::{Ipv4Addr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_stream::{
    link::{
        OFFERED_PROTOCOLS_HEADER, PROTOCOLS, PathConditions, SELECTED_PROTOCOL_HEADER, UdpRelay, WebTransportLink, offer, select,
        transport_config,
    },
    prelude::*,
    wire::unit::{decode_unit, encode_unit},
};
use wtransport::{
    ClientConfig, Endpoint, ServerConfig,
    endpoint::{ConnectOptions, IncomingSession},
    tls::{Sha256Digest, Sha256DigestFmt, self_signed::time},
};

type Error = Box<dyn core::error::Error + Send + Sync>;

/// How far a group may fall behind before it is skipped.
const MAX_AGE: Duration = Duration::from_secs(2);
/// Bytes of a message that `flip` and `head` change.
const FLIPPED: usize = 12;

#[derive(Clone, Copy, PartialEq)]
enum Harm {
    Flip,
    Head,
    Cut,
    Empty,
    Noise,
    Twice,
    Swap,
    Drop,
}

/// How often a message is passed on.
const fn times(harm: Option<Harm>) -> usize {
    match harm {
        Some(Harm::Drop) => 0,
        Some(Harm::Twice) => 2,
        _ => 1,
    }
}

/// What is to be done.
#[derive(Default)]
struct Orders {
    harms: Vec<(String, Harm, u64)>,
    shift_ms: i64,
    random: u64,
    path: Option<UdpRelay>,
}

#[derive(Clone, Default)]
struct Hostile(Arc<Mutex<Orders>>);

impl Hostile {
    fn with<T>(&self, act: impl FnOnce(&mut Orders) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn obey(&self, line: &str) -> Option<()> {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if first == "shift" {
            let shift_ms = words.next()?.parse().ok()?;
            self.with(|orders| orders.shift_ms = shift_ms);
            return Some(());
        }
        if first == "rate" {
            let rate_bps = words.next()?.parse().ok()?;
            let conditions = PathConditions { rate_bps: Some(rate_bps).filter(|bps| *bps > 0), ..Default::default() };
            return self.with(|orders| orders.path.as_ref().map(|path| path.set_conditions(conditions)));
        }
        let harm = match words.next()? {
            "flip" => Harm::Flip,
            "head" => Harm::Head,
            "cut" => Harm::Cut,
            "empty" => Harm::Empty,
            "noise" => Harm::Noise,
            "twice" => Harm::Twice,
            "swap" => Harm::Swap,
            "drop" => Harm::Drop,
            _ => return None,
        };
        let count = words.next()?.parse().ok()?;
        self.with(|orders| orders.harms.push((first.to_owned(), harm, count)));
        Some(())
    }

    /// The harm to do to a message of a kind of track.
    fn next(&self, kind: &str) -> Option<Harm> {
        self.with(|orders| {
            let (_, harm, left) = orders.harms.iter_mut().find(|(track, _, left)| track == kind && *left > 0)?;
            *left -= 1;
            Some(*harm)
        })
    }

    fn random(&self) -> u64 {
        self.with(|orders| {
            orders.random = orders.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            orders.random >> 33
        })
    }

    /// A message as it goes on.
    fn harmed(&self, kind: &str, payload: &Bytes, harm: Option<Harm>) -> Bytes {
        let mut bytes = self.shifted(kind, payload).to_vec();
        let length = bytes.len();
        let mut flip = |from: usize, to: usize| {
            for _ in 0..FLIPPED.min(to.saturating_sub(from)) {
                bytes[from + self.random() as usize % (to - from)] ^= 1 << (self.random() % 8);
            }
        };
        match harm {
            Some(Harm::Flip) => flip(length / 2, length),
            Some(Harm::Head) => flip(0, length.min(24)),
            Some(Harm::Cut) => bytes.truncate(length / 2),
            Some(Harm::Empty) => bytes.clear(),
            Some(Harm::Noise) => bytes.iter_mut().for_each(|byte| *byte = self.random() as u8),
            Some(Harm::Twice | Harm::Swap | Harm::Drop) | None => {}
        }
        bytes.into()
    }

    fn shifted(&self, kind: &str, payload: &Bytes) -> Bytes {
        let shift_ns = self.with(|orders| orders.shift_ms) * 1_000_000;
        if shift_ns == 0 || !["pictures", "sound"].contains(&kind) {
            return payload.clone();
        }
        let Ok(mut unit) = decode_unit(payload) else { return payload.clone() };
        let later = |time: UnixTime| UnixTime(time.0.saturating_add_signed(shift_ns));
        unit.unit.stamp.captured_at = later(unit.unit.stamp.captured_at);
        encode_unit(&unit.unit, later(unit.sent_at))
    }
}

fn kind_of(track: &str) -> &'static str {
    match track {
        "catalog.json" => "catalog",
        "motion.coarse" => "coarse",
        name if name.starts_with("motion.") => "tiles",
        name if name.starts_with("audio.") => "sound",
        _ => "pictures",
    }
}

/// Hands a track of the studio's on.
async fn track(consumer: track::Consumer, request: track::Request, hostile: Hostile) -> Result<(), moq_net::Error> {
    let kind = kind_of(consumer.name());
    let wish = track::Subscription::default().with_max_age(MAX_AGE);
    let mut from = consumer.subscribe(wish).await?;
    let mut to = request.accept(from.info().clone());
    if kind == "tiles" {
        let mut held = None;
        while let Some(datagram) = from.recv_datagram().await? {
            let harm = hostile.next(kind);
            if harm == Some(Harm::Swap) && held.is_none() {
                held = Some(datagram);
                continue;
            }
            let payload = hostile.harmed(kind, &datagram.payload, harm);
            for _ in 0..times(harm) {
                to.append_datagram(datagram.timestamp, payload.clone())?;
            }
            if let Some(late) = held.take() {
                to.append_datagram(late.timestamp, late.payload)?;
            }
        }
        return to.finish();
    }
    while let Some(group) = from.recv_group().await? {
        let producer = to.create_group(group::Info { sequence: group.sequence })?;
        tokio::spawn(frames(group, producer, kind, hostile.clone()));
    }
    to.finish()
}

async fn frames(mut from: group::Consumer, mut to: group::Producer, kind: &'static str, hostile: Hostile) {
    let copied = async {
        let mut held: Option<moq_net::frame::Frame> = None;
        while let Some(frame) = from.read_frame().await? {
            let harm = hostile.next(kind);
            if harm == Some(Harm::Swap) && held.is_none() {
                held = Some(frame);
                continue;
            }
            let payload = hostile.harmed(kind, &frame.payload, harm);
            for _ in 0..times(harm) {
                to.write_frame(frame.timestamp, payload.clone())?;
            }
            if let Some(late) = held.take() {
                to.write_frame(late.timestamp, hostile.harmed(kind, &late.payload, None))?;
            }
        }
        Ok::<_, moq_net::Error>(())
    };
    match copied.await {
        Ok(()) => drop(to.finish()),
        Err(error) => drop(to.abort(error)),
    }
}

/// Serves one viewer until it goes.
async fn viewer(incoming: IncomingSession, served: origin::Consumer, said: origin::Producer) -> Result<(), Error> {
    let request = incoming.await?;
    let protocol = request.headers().get(OFFERED_PROTOCOLS_HEADER).and_then(|offered| select(offered)).ok_or("no common wire")?;
    let connection = request.accept_with_headers([(SELECTED_PROTOCOL_HEADER, offer(protocol))]).await?;
    let server = moq_net::Server::new().with_publisher(served).with_subscriber(said);
    let (_session, driver) = server.accept(Instant::now(), WebTransportLink::new(connection, Some(protocol))).await?;
    Err(moq_net::time::run(driver).await.into())
}

/// A new origin, whose work is done in the background.
fn new_origin() -> origin::Producer {
    let (origin, driver) = origin::Producer::new(origin::Config::default());
    tokio::spawn(moq_net::time::run(driver));
    origin
}

async fn relay(link: ViewerLink, expired: bool, hostile: Hostile) -> Result<(), Error> {
    let url = link.to_string().split('#').next().unwrap_or_default().to_owned();
    let digest = Sha256Digest::new(link.sha256().ok_or("the link names no certificate")?);
    let settings = ClientConfig::builder().with_bind_default().with_server_certificate_hashes([digest]).build();
    let call = ConnectOptions::builder(url).add_header(OFFERED_PROTOCOLS_HEADER, offer(PROTOCOLS[0])).build();
    let connection = Endpoint::client(settings)?.connect(call).await?;
    let (studio, said, served) = (new_origin(), new_origin(), new_origin());
    let client = moq_net::Client::new().with_subscriber(studio.clone()).with_publisher(&said);
    let (_session, driver) = client.connect(Instant::now(), WebTransportLink::new(connection, Some(PROTOCOLS[0]))).await?;
    let ended = tokio::spawn(moq_net::time::run(driver));
    let from: broadcast::Consumer = studio.consume().routed_broadcast(link.name()).await?;
    let to = served.create_broadcast(link.name())?;
    let mut requests = to.dynamic();
    to.announce(origin::Route::default())?;

    let made = wtransport::Identity::self_signed_builder().subject_alt_names(["localhost", "127.0.0.1"]);
    let now = time::OffsetDateTime::now_utc();
    let begin = now - time::Duration::days(if expired { 10 } else { 0 }) - time::Duration::hours(1);
    let identity = made.not_before(begin).validity_days(if expired { 9 } else { 13 }).build()?;
    let sha256 = identity.certificate_chain().as_slice()[0].hash().fmt(Sha256DigestFmt::DottedHex).replace(':', "");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let path = UdpRelay::start(socket.local_addr()?, PathConditions::default())?;
    let port = path.address().port();
    hostile.with(|orders| orders.path = Some(path));
    let tls = wtransport::tls::server::build_default_tls_config(identity);
    let settings =
        ServerConfig::builder().with_bind_socket(socket).with_custom_tls_and_transport(tls, transport_config()).build();
    let endpoint = Endpoint::server(settings)?;
    println!("relay: https://127.0.0.1:{port}/{}#sha256={sha256}", link.name());
    let tracks = async {
        while let Ok(request) = requests.requested_track().await {
            match from.track(request.name()) {
                Ok(consumer) => drop(tokio::spawn(track(consumer, request, hostile.clone()))),
                Err(error) => request.reject(error),
            }
        }
    };
    let viewers = async {
        loop {
            let incoming = endpoint.accept().await;
            tokio::spawn(viewer(incoming, served.consume(), said.clone()));
        }
    };
    tokio::select! {
        _ = ended => Ok(()),
        () = tracks => Ok(()),
        () = viewers => Ok(()),
    }
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let link = arguments.next().ok_or("usage: hostile_relay LINK [expired]")?;
    let link: ViewerLink = link.replacen("http://", "https://", 1).parse()?;
    let expired = arguments.next().is_some_and(|word| word == "expired");
    let hostile = Hostile::default();
    let obeyed = hostile.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            println!("{} {line}", obeyed.obey(&line).map_or("not understood:", |()| "obeyed:"));
        }
        // Whoever started it is gone.
        std::process::exit(0);
    });
    // `wtransport` takes a runtime that ends before its sessions do for a fault: this one outlives the program.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let ended = runtime.block_on(relay(link, expired, hostile));
    if let Err(error) = &ended {
        eprintln!("relay: {error}");
    }
    std::process::exit(i32::from(ended.is_err()))
}
