//! A path that loses and delays UDP packets on purpose, between real sockets.
//!
//! [`Conditioned`](super::Conditioned) changes what the protocol sees; this changes what QUIC sees: packets. Each is lost, delayed
//! and queued by itself and by chance from a seed, so they overtake each other as they do with `tc netem`, whose words the
//! settings are.

use core::time::Duration;
use parking_lot::{Condvar, Mutex};
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

/// Largest UDP packet.
const PACKET_BYTES: usize = 65_536;
/// How often a waiting thread looks whether it is to stop.
const LOOK_AROUND: Duration = Duration::from_millis(50);
/// Packets on the way at most; beyond it they are lost, as in any router.
const MAX_WAITING: usize = 50_000;
/// Peers at one relay at most.
const MAX_PEERS: usize = 256;

/// What a path does to packets, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PathConditions {
    /// Share of the packets that is lost, 0 to 1.
    pub loss: f64,
    /// How long a packet takes.
    pub delay: Duration,
    /// How much more or less it takes at most, by chance.
    pub jitter: Duration,
    /// What the narrowest part carries, in bits a second; none: all there is.
    pub rate_bps: Option<u64>,
    /// How long a packet waits before that part at most; what would wait longer is lost.
    pub queue: Duration,
    /// The beginning of chance.
    pub seed: u64,
}

impl Default for PathConditions {
    fn default() -> Self {
        Self {
            loss: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate_bps: None,
            queue: Duration::from_millis(200),
            seed: 1,
        }
    }
}

struct Waiting {
    due: Instant,
    order: u64,
    socket: Arc<UdpSocket>,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.order) == (other.due, other.order)
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.due, self.order).cmp(&(other.due, other.order))
    }
}

/// One direction.
struct Lane {
    chance: u64,
    busy_until: Instant,
}

impl Lane {
    fn new(seed: u64) -> Self {
        // Spread, so that small seeds differ; never 0, where chance would stay.
        Self { chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, busy_until: Instant::now() }
    }

    /// From 0 to 1 (xorshift64).
    fn next(&mut self) -> f64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// When a packet comes out; none if it is lost.
    fn due(&mut self, conditions: &PathConditions, bytes: usize, now: Instant) -> Option<Instant> {
        let (lost, wobble) = (self.next(), self.next());
        if lost < conditions.loss {
            return None;
        }
        let mut out = now;
        if let Some(rate_bps) = conditions.rate_bps {
            let begin = self.busy_until.max(now);
            if begin - now > conditions.queue {
                return None;
            }
            out = begin + Duration::from_secs_f64(bytes as f64 * 8.0 / rate_bps.max(1) as f64);
            self.busy_until = out;
        }
        let late = conditions.delay.as_secs_f64() + (wobble * 2.0 - 1.0) * conditions.jitter.as_secs_f64();
        Some(out + Duration::from_secs_f64(late.max(0.0)))
    }
}

struct Shared {
    front: Arc<UdpSocket>,
    target: SocketAddr,
    conditions: Mutex<PathConditions>,
    lanes: Mutex<[Lane; 2]>,
    waiting: Mutex<BinaryHeap<Reverse<Waiting>>>,
    changed: Condvar,
    stop: AtomicBool,
    passed: AtomicU64,
    lost: AtomicU64,
    order: AtomicU64,
}

/// Packets that went through a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Passed on.
    pub passed: u64,
    /// Lost on purpose, or for want of room.
    pub lost: u64,
}

/// Passes packets on to a target, badly, for tests and benches. Every peer that sends to it gets a socket of its own.
pub struct UdpRelay {
    shared: Arc<Shared>,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
}

impl UdpRelay {
    /// Listens on a free port of the loopback interface, for packets to `target`.
    ///
    /// # Errors
    /// A socket or a thread cannot be had.
    pub fn start(target: SocketAddr, conditions: PathConditions) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        front.set_read_timeout(Some(LOOK_AROUND))?;
        let address = front.local_addr()?;
        let shared = Arc::new(Shared {
            front,
            target,
            conditions: Mutex::new(conditions),
            lanes: Mutex::new([Lane::new(conditions.seed), Lane::new(!conditions.seed)]),
            waiting: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
            passed: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            order: AtomicU64::new(0),
        });
        let (taking, sending) = (shared.clone(), shared.clone());
        let threads = vec![
            thread::Builder::new().name("relay in".into()).spawn(move || take(&taking))?,
            thread::Builder::new().name("relay out".into()).spawn(move || send(&sending))?,
        ];
        Ok(Self { shared, address, threads })
    }

    /// Where to send.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the path, from the next packet on.
    pub fn set_conditions(&self, conditions: PathConditions) {
        *self.shared.conditions.lock() = conditions;
    }

    /// What went through so far.
    pub fn stats(&self) -> RelayStats {
        RelayStats { passed: self.shared.passed.load(Ordering::Relaxed), lost: self.shared.lost.load(Ordering::Relaxed) }
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the relay ended in a panic");
            }
        }
    }
}

impl Shared {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn pass(&self, lane: usize, socket: &Arc<UdpSocket>, to: SocketAddr, bytes: &[u8]) {
        let now = Instant::now();
        let conditions = *self.conditions.lock();
        let due = self.lanes.lock()[lane].due(&conditions, bytes.len(), now);
        let mut waiting = self.waiting.lock();
        match due {
            Some(due) if waiting.len() < MAX_WAITING => {
                let order = self.order.fetch_add(1, Ordering::Relaxed);
                waiting.push(Reverse(Waiting { due, order, socket: socket.clone(), to, bytes: bytes.to_vec() }));
                self.changed.notify_one();
            }
            _ => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
        }
    }
}

fn take(shared: &Arc<Shared>) {
    let mut bytes = vec![0; PACKET_BYTES];
    let mut peers: HashMap<SocketAddr, (Arc<UdpSocket>, JoinHandle<()>)> = HashMap::new();
    while !shared.stopped() {
        let Ok((length, peer)) = shared.front.recv_from(&mut bytes) else { continue };
        if !peers.contains_key(&peer) && peers.len() < MAX_PEERS {
            match open(shared, peer) {
                Ok(opened) => drop(peers.insert(peer, opened)),
                Err(error) => tracing::warn!(%error, "the relay has no socket for another peer"),
            }
        }
        if let Some((socket, _)) = peers.get(&peer) {
            shared.pass(0, socket, shared.target, &bytes[..length]);
        }
    }
    for (_, thread) in peers.into_values() {
        drop(thread.join());
    }
}

/// A socket for one peer, and a thread that brings back what comes to it.
fn open(shared: &Arc<Shared>, peer: SocketAddr) -> io::Result<(Arc<UdpSocket>, JoinHandle<()>)> {
    let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    socket.set_read_timeout(Some(LOOK_AROUND))?;
    let (back, shared) = (socket.clone(), shared.clone());
    let thread = thread::Builder::new().name("relay back".into()).spawn(move || {
        let mut bytes = vec![0; PACKET_BYTES];
        while !shared.stopped() {
            if let Ok((length, _)) = back.recv_from(&mut bytes) {
                shared.pass(1, &shared.front, peer, &bytes[..length]);
            }
        }
    })?;
    Ok((socket, thread))
}

fn send(shared: &Shared) {
    let mut waiting = shared.waiting.lock();
    while !shared.stopped() {
        let now = Instant::now();
        let due = waiting.peek().map(|Reverse(next)| next.due);
        match due {
            Some(due) if due <= now => {
                if let Some(Reverse(packet)) = waiting.pop() {
                    parking_lot::MutexGuard::unlocked(&mut waiting, || drop(packet.socket.send_to(&packet.bytes, packet.to)));
                    shared.passed.fetch_add(1, Ordering::Relaxed);
                }
            }
            due => {
                let until = due.unwrap_or(now + LOOK_AROUND).min(now + LOOK_AROUND);
                shared.changed.wait_until(&mut waiting, until);
            }
        }
    }
}
