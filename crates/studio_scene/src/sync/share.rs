//! Edits of a stage shared between processes: diffs over a TCP connection, one JSON text a line.
//!
//! Both sides have the same layers open. Each sends what was edited on its side, and applies what comes; opinions that are the same already
//! are left alone, so nothing goes round in circles. A peer that is slow gets fewer and larger diffs, never a queue that grows.

use super::{UsdSync, UsdSyncReport, moves::UsdSyncSystems};
use crate::stage::{Changing, UsdStage, UsdStageEntities, UsdStageRoot};
use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::Duration,
};
use studio_graph::wake::StudioWaker;
use studio_usd::host::{ConflictPolicy, StageDiff};
use subtle::ConstantTimeEq as _;

/// The version of the protocol.
const VERSION: u32 = 1;
/// The most bytes of a line.
const MOST_LINE_BYTES: u64 = 64 << 20;
/// The most peers at a time.
const MOST_PEERS: usize = 16;
/// Diffs that wait to be applied; whoever sends more has to wait.
const WAITING: usize = 16;
/// Diffs applied in one update.
const MOST_AN_UPDATE: usize = 32;
/// How long a peer may take to say who it is.
const GREETING_TIME: Duration = Duration::from_secs(5);
/// How long a write may take before the peer is given up.
const WRITE_TIME: Duration = Duration::from_secs(10);
/// The longest wait before a lost connection is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Shares the edits of a stage with other processes. On the entity with [`UsdStageRoot`]; dropping it ends the connections.
#[derive(Component)]
#[require(UsdSync)]
pub struct UsdShare {
    shared: Arc<Shared>,
    incoming: Mutex<Receiver<(u64, StageDiff)>>,
    address: SocketAddr,
}

/// Why edits cannot be shared.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The port cannot be listened on.
    #[error("cannot listen on {address}: {error}; choose another port")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// There is no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// Anyone could edit.
    #[error("the token has {0} letters; it needs 8 at least, for whoever has it can edit the stage")]
    WeakToken(usize),
}

struct Shared {
    token: String,
    peers: Mutex<Vec<Peer>>,
    next_peer: AtomicU64,
    arrived: SyncSender<(u64, StageDiff)>,
    is_closing: AtomicBool,
    waker: OnceLock<StudioWaker>,
}

struct Peer {
    id: u64,
    outgoing: SyncSender<Arc<str>>,
    /// The revision of our stage that it has.
    sent: u64,
    stream: TcpStream,
}

#[derive(Serialize, Deserialize)]
struct Greeting {
    neural_studio_usd: u32,
    token: String,
}

impl UsdShare {
    /// Waits for others at an address; port 0 takes a free one, see [`address`](Self::address).
    ///
    /// # Errors
    /// [`ShareError`].
    pub fn listen(address: SocketAddr, token: &str) -> Result<Self, ShareError> {
        let failed = |error| ShareError::Listen { address, error };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let share = Self::new(address, token)?;
        let shared = share.shared.clone();
        thread::Builder::new()
            .name("usd share".to_owned())
            .spawn(move || {
                for stream in listener.incoming() {
                    if shared.is_closing.load(Ordering::Acquire) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let shared = shared.clone();
                    // Without a thread this peer is not served; the next may be.
                    let served = thread::Builder::new().name("usd peer".to_owned()).spawn(move || serve(&shared, stream, false));
                    drop(served);
                }
            })
            .map_err(ShareError::Thread)?;
        Ok(share)
    }

    /// Connects to one who listens, and again whenever the connection is lost.
    ///
    /// # Errors
    /// [`ShareError`]; that nobody listens is none.
    pub fn connect(address: SocketAddr, token: &str) -> Result<Self, ShareError> {
        let share = Self::new(address, token)?;
        let shared = share.shared.clone();
        thread::Builder::new()
            .name("usd share".to_owned())
            .spawn(move || {
                let mut wait = Duration::from_millis(50);
                while !shared.is_closing.load(Ordering::Acquire) {
                    if let Ok(stream) = TcpStream::connect_timeout(&address, GREETING_TIME)
                        && serve(&shared, stream, true)
                    {
                        wait = Duration::from_millis(50);
                    }
                    thread::sleep(wait);
                    wait = (wait * 2).min(LONGEST_RETRY);
                }
            })
            .map_err(ShareError::Thread)?;
        Ok(share)
    }

    fn new(address: SocketAddr, token: &str) -> Result<Self, ShareError> {
        let letters = token.chars().count();
        if letters < 8 {
            return Err(ShareError::WeakToken(letters));
        }
        let (arrived, incoming) = sync_channel(WAITING);
        let shared = Shared {
            token: token.to_owned(),
            peers: Mutex::default(),
            next_peer: AtomicU64::new(1),
            arrived,
            is_closing: AtomicBool::new(false),
            waker: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared), incoming: Mutex::new(incoming), address })
    }

    /// The address that is listened on or connected to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many others there are.
    pub fn peers(&self) -> usize {
        self.shared.peers().len()
    }
}

impl Drop for UsdShare {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Release);
        for peer in self.shared.peers().drain(..) {
            // It may be closed already.
            peer.stream.shutdown(Shutdown::Both).ok();
        }
        // Wakes the thread that waits for others.
        TcpStream::connect_timeout(&self.address, Duration::from_millis(200)).ok();
    }
}

impl Shared {
    fn peers(&self) -> std::sync::MutexGuard<'_, Vec<Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.wake();
        }
    }
}

/// Talks to a peer until it leaves. Returns whether it was let in.
fn serve(shared: &Arc<Shared>, stream: TcpStream, is_ours: bool) -> bool {
    let address = stream.peer_addr().map(|address| address.to_string()).unwrap_or_default();
    match talk(shared, stream, is_ours) {
        Ok(was_in) => was_in,
        Err(error) => {
            debug!("the peer {address} has gone: {error}");
            true
        }
    }
}

fn talk(shared: &Arc<Shared>, stream: TcpStream, is_ours: bool) -> std::io::Result<bool> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(GREETING_TIME))?;
    stream.set_write_timeout(Some(WRITE_TIME))?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream.try_clone()?);
    if is_ours {
        let greeting = Greeting { neural_studio_usd: VERSION, token: shared.token.clone() };
        writeln!(writer, "{}", serde_json::to_string(&greeting)?)?;
    } else if !is_welcome(shared, &mut reader)? {
        return Ok(false);
    }
    stream.set_read_timeout(None)?;
    // Diffs hold all that is not sent yet, so one that waits is enough.
    let (outgoing, lines) = sync_channel::<Arc<str>>(1);
    let id = shared.next_peer.fetch_add(1, Ordering::Relaxed);
    {
        let mut peers = shared.peers();
        if peers.len() >= MOST_PEERS || shared.is_closing.load(Ordering::Acquire) {
            return Ok(false);
        }
        peers.push(Peer { id, outgoing, sent: 0, stream: stream.try_clone()? });
    }
    shared.wake();
    let writing = thread::Builder::new().name("usd peer".to_owned()).spawn(move || {
        for line in lines {
            if writer.write_all(line.as_bytes()).and_then(|()| writer.write_all(b"\n")).is_err() {
                writer.shutdown(Shutdown::Both).ok();
                return;
            }
        }
    });
    let read = writing.map(|_| read_diffs(shared, id, &mut reader));
    shared.peers().retain(|peer| peer.id != id);
    stream.shutdown(Shutdown::Both).ok();
    read?.map(|()| true)
}

fn is_welcome(shared: &Shared, reader: &mut impl BufRead) -> std::io::Result<bool> {
    let mut line = String::new();
    reader.by_ref().take(4096).read_line(&mut line)?;
    let Ok(greeting) = serde_json::from_str::<Greeting>(&line) else { return Ok(false) };
    let is_token = bool::from(greeting.token.as_bytes().ct_eq(shared.token.as_bytes()));
    if !is_token || greeting.neural_studio_usd != VERSION {
        warn!("somebody asked to edit the stage and was refused: the token or the version is another");
    }
    Ok(is_token && greeting.neural_studio_usd == VERSION)
}

/// Hands over what a peer sends until it leaves.
fn read_diffs(shared: &Shared, id: u64, reader: &mut impl BufRead) -> std::io::Result<()> {
    loop {
        let mut line = Vec::new();
        if reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return Err(std::io::Error::other("a line is too long or was cut off"));
        }
        let diff: StageDiff = serde_json::from_slice(&line)?;
        if shared.arrived.send((id, diff)).is_err() {
            return Ok(());
        }
        shared.wake();
    }
}

pub(super) fn add(app: &mut App) {
    app.add_systems(
        PostUpdate,
        (apply_diffs.in_set(UsdSyncSystems::Receive), send_diffs.in_set(UsdSyncSystems::Send))
            .run_if(any_with_component::<UsdShare>),
    );
}

type Sharing<'a> = (&'a UsdStageRoot, &'a UsdShare, &'a mut UsdSyncReport);

/// Applies what others edited.
fn apply_diffs(
    stages: Res<Assets<UsdStage>>,
    changing: Res<Changing>,
    waker: Option<Res<StudioWaker>>,
    mut roots: Query<Sharing, With<UsdStageEntities>>,
) {
    for (root, share, mut report) in &mut roots {
        if let Some(waker) = &waker {
            share.shared.waker.get_or_init(|| (**waker).clone());
        }
        let Some(stage) = stages.get(&root.0).filter(|_| !changing.is_changing(root.0.id())) else { continue };
        let incoming = share.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        for (id, diff) in incoming.try_iter().take(MOST_AN_UPDATE) {
            let before = stage.host().revision();
            match stage.host().apply(&diff, ConflictPolicy::Theirs) {
                Ok(outcome) => {
                    // It has what it sent, if it has all that was here before.
                    if let Some(peer) = share.shared.peers().iter_mut().find(|peer| peer.id == id && peer.sent == before) {
                        peer.sent = stage.host().revision();
                    }
                    for conflict in outcome.conflicts.iter().take(4) {
                        report.say(format!("{}: both sides edited it; the edit that came last holds", conflict.path));
                    }
                }
                Err(error) => report.say(format!("an edit of another process cannot be applied: {error}")),
            }
        }
    }
}

/// Sends what was edited here.
fn send_diffs(stages: Res<Assets<UsdStage>>, changing: Res<Changing>, mut roots: Query<Sharing, With<UsdStageEntities>>) {
    for (root, share, mut report) in &mut roots {
        let Some(stage) = stages.get(&root.0).filter(|_| !changing.is_changing(root.0.id())) else { continue };
        let revision = stage.host().revision();
        for peer in share.shared.peers().iter_mut().filter(|peer| peer.sent < revision) {
            let line = match stage.host().diff_since(peer.sent) {
                Ok(diff) if diff.is_empty() => {
                    peer.sent = diff.revision();
                    continue;
                }
                Ok(diff) => serde_json::to_string(&diff).map(|line| (line, diff.revision())).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match line {
                Ok((line, revision)) => match peer.outgoing.try_send(line.into()) {
                    Ok(()) => peer.sent = revision,
                    // It is asked again with the next update, for all that came together meanwhile.
                    Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
                },
                Err(error) => {
                    report.say(format!("edits cannot be sent to another process: {error}"));
                    peer.sent = revision;
                }
            }
        }
    }
}
