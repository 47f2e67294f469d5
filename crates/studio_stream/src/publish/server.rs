//! Lets viewers in and serves them.

use super::{
    PublishError, PublisherConfig, PublisherStats,
    tracks::ServedOrigin,
    viewers::{ViewerPath, ViewerStatus, Viewers, viewer_origin},
};
use crate::{
    link::{
        Conditioned, Conditions, Link, OFFERED_PROTOCOLS_HEADER, PROTOCOLS, Progress, SELECTED_PROTOCOL_HEADER, WebTransportLink,
        offer, select, transport_config,
    },
    viewer_link::token_of,
};
use core::{str::FromStr, time::Duration};
use moq_net::{Version, Versions, stats};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use subtle::ConstantTimeEq;
use tokio::{
    sync::{Notify, Semaphore},
    time::{sleep, timeout},
};
use wtransport::{
    Connection, Endpoint, ServerConfig, VarInt,
    endpoint::{IncomingSession, SessionRequest, endpoint_side},
    quinn,
};

/// How long a peer may take to get in.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(8);
/// How long a refused peer may take to hear it.
const REFUSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Peers that may be on their way in at once.
const HANDSHAKES: usize = 64;
/// Connections that wait for their first look at most.
const MAX_INCOMING: usize = 256;
/// Session code for a publisher that ends.
const CLOSED_STOPPED: VarInt = VarInt::from_u32(0);
/// Session code for a viewer that stopped reading, HTTP's 408.
const CLOSED_STALLED: u32 = 408;
/// How often viewers are looked at.
pub(super) const STALL_CHECK: Duration = Duration::from_secs(1);
/// Session code for a publisher with no room, HTTP's 503.
pub(crate) const CLOSED_FULL: u32 = 503;

/// The wires that are served, in the protocol's own words.
pub(crate) fn versions() -> Versions {
    Versions::from(PROTOCOLS.iter().filter_map(|protocol| Version::from_str(protocol).ok()).collect::<Vec<_>>())
}

#[derive(Default)]
struct Connections {
    next: u64,
    open: HashMap<u64, quinn::Connection>,
    /// Bytes and lost packets of those that went.
    gone: (u64, u64),
}

/// The listening end.
pub(super) struct Server {
    endpoint: Endpoint<endpoint_side::Server>,
    served: ServedOrigin,
    viewers: Viewers,
    name: String,
    token: Option<String>,
    conditions: Conditions,
    stall_timeout: Duration,
    handshakes: Arc<Semaphore>,
    sessions: Arc<Semaphore>,
    registry: stats::Registry,
    connections: Mutex<Connections>,
    stop: Notify,
    sessions_total: AtomicU64,
    refused: AtomicU64,
    broken: AtomicU64,
    stalled: AtomicU64,
}

fn count(counter: &AtomicU64) -> u64 {
    counter.fetch_add(1, Ordering::Relaxed)
}

fn path(connection: &quinn::Connection) -> ViewerPath {
    let stats = connection.stats();
    ViewerPath {
        round_trip: stats.path.rtt,
        packets_sent: stats.path.sent_packets,
        packets_lost: stats.path.lost_packets,
        bytes_sent: stats.udp_tx.bytes,
        window_bytes: stats.path.cwnd,
    }
}

impl Server {
    /// Takes over a bound socket. Runs inside of the publisher's runtime.
    pub(super) fn bind(config: &PublisherConfig, socket: UdpSocket, served: ServedOrigin) -> Result<Self, PublishError> {
        let mut settings = ServerConfig::builder()
            .with_bind_socket(socket)
            .with_custom_tls_and_transport(config.identity.tls()?, transport_config())
            .build();
        settings.quic_config_mut().max_incoming(MAX_INCOMING);
        Ok(Self {
            endpoint: Endpoint::server(settings).map_err(PublishError::Start)?,
            viewers: Viewers::new(served.renditions.clone()),
            served,
            name: config.name.clone(),
            token: config.token.clone(),
            conditions: config.conditions,
            stall_timeout: config.stall_timeout,
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            sessions: Arc::new(Semaphore::new(config.max_sessions)),
            registry: stats::Registry::new(stats::Config::new()),
            connections: Mutex::default(),
            stop: Notify::new(),
            sessions_total: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            stalled: AtomicU64::new(0),
        })
    }

    /// Lets peers in until the endpoint is closed.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            let incoming = tokio::select! {
                // First, because accepting from a closed endpoint panics.
                biased;
                () = self.stop.notified() => return,
                incoming = self.endpoint.accept() => incoming,
            };
            let Ok(permit) = self.handshakes.clone().try_acquire_owned() else {
                count(&self.refused);
                incoming.refuse();
                continue;
            };
            // A full house is told at once, before any work is done for it.
            if self.sessions.available_permits() == 0 {
                count(&self.refused);
                incoming.refuse();
                continue;
            }
            let server = self.clone();
            // A task for each peer: whatever it sends, it only harms itself.
            tokio::spawn(async move {
                let peer = incoming.remote_address();
                let admitted = server.admit(incoming).await;
                drop(permit);
                match admitted {
                    Some((connection, protocol)) => server.session(connection, protocol).await,
                    None => tracing::debug!(%peer, "not let in"),
                }
            });
        }
    }

    /// Whether a viewer that asks for `path` (a stream's name and, behind `?`, its token) would be let in now.
    pub(super) fn admission(&self, path: &str) -> Result<(), Refusal> {
        let (name, query) = path.split_once('?').unwrap_or((path, ""));
        if name.trim_start_matches('/') != self.name {
            return Err(Refusal::NotFound);
        }
        if !self.token_fits(query) {
            return Err(Refusal::Forbidden);
        }
        if self.sessions.available_permits() == 0 { Err(Refusal::Full) } else { Ok(()) }
    }

    /// Checks who comes and what it wants.
    async fn admit(&self, incoming: IncomingSession) -> Option<(Connection, &'static str)> {
        let request = match timeout(HANDSHAKE_TIMEOUT, incoming).await {
            Ok(Ok(request)) => request,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a peer gave up before it asked for anything");
                return None;
            }
            Err(_) => return None,
        };
        let peer = request.remote_address();
        // A full house is told by the session's own code, which a viewer takes as a reason to come again.
        if let Err(refusal @ (Refusal::NotFound | Refusal::Forbidden)) = self.admission(request.path()) {
            count(&self.refused);
            tracing::warn!(%peer, "refused: {}", refusal.reason());
            refuse(request, refusal).await;
            return None;
        }
        let Some(protocol) = request.headers().get(OFFERED_PROTOCOLS_HEADER).and_then(|offered| select(offered)) else {
            count(&self.refused);
            tracing::warn!(%peer, "refused: offers none of {PROTOCOLS:?}");
            refuse(request, Refusal::NotFound).await;
            return None;
        };
        let accepted = request.accept_with_headers([(SELECTED_PROTOCOL_HEADER, offer(protocol))]);
        let connection = timeout(HANDSHAKE_TIMEOUT, accepted).await.ok()?.ok()?;
        Some((connection, protocol))
    }

    fn token_fits(&self, query: &str) -> bool {
        let Some(wanted) = &self.token else { return true };
        let given = token_of(query).unwrap_or_default();
        // In constant time for tokens of equal length: the answer's delay tells nothing about how much is right.
        given.as_bytes().ct_eq(wanted.as_bytes()).into()
    }

    /// Serves one viewer until it goes.
    async fn session(&self, connection: Connection, protocol: &str) {
        let Ok(_permit) = self.sessions.clone().try_acquire_owned() else {
            count(&self.refused);
            connection.close(VarInt::from_u32(CLOSED_FULL), b"the publisher serves as many viewers as it may");
            return;
        };
        let peer = connection.remote_address();
        let quic = connection.quic_connection().clone();
        let id = {
            let mut connections = self.connections.lock();
            connections.next += 1;
            let id = connections.next;
            connections.open.insert(id, quic);
            id
        };
        self.viewers.join(id, peer);
        let link = WebTransportLink::new(connection, Some(protocol));
        let (progress, quic) = (link.progress(), link.quic().clone());
        let served = async {
            if self.conditions.is_clear() {
                self.serve(id, link).await
            } else {
                match Conditioned::new(link, self.conditions) {
                    Ok(link) => self.serve(id, link).await,
                    Err(error) => Err(moq_net::Error::Transport(error.to_string())),
                }
            }
        };
        let ended = tokio::select! {
            ended = served => ended,
            () = self.stall(&progress) => {
                count(&self.stalled);
                tracing::warn!(%peer, "a viewer stopped reading");
                quic.close(CLOSED_STALLED.into(), b"the viewer stopped reading");
                Ok(())
            }
        };
        self.forget(id);
        match ended {
            Ok(()) => tracing::info!(%peer, "a viewer left"),
            Err(error) => {
                count(&self.broken);
                tracing::warn!(%peer, %error, "a viewer was dropped");
            }
        }
    }

    /// Waits until the viewer has taken nothing for too long. Until then it is only skipped ahead; but for each group that it
    /// was skipped over a little is kept to tell it so, which must end some time.
    async fn stall(&self, progress: &Progress) {
        while progress.stuck_for(Instant::now()) < self.stall_timeout {
            sleep(STALL_CHECK / 4).await;
        }
    }

    fn forget(&self, id: u64) {
        let mut connections = self.connections.lock();
        if let Some(quic) = connections.open.remove(&id) {
            let path = path(&quic);
            connections.gone = (connections.gone.0 + path.bytes_sent, connections.gone.1 + path.packets_lost);
            self.viewers.leave(id, path);
            // The peer hears of the end even if the protocol did not close by itself.
            quic.close(0_u32.into(), b"");
        }
    }

    /// Speaks Media over QUIC on whatever link. `Ok` if the peer or the network ended it, an error if the peer broke the
    /// protocol.
    async fn serve<L: Link>(&self, id: u64, link: L) -> Result<(), moq_net::Error> {
        let (viewer, viewer_driver) = viewer_origin()?;
        let said = viewer.consume();
        let server = moq_net::Server::new()
            .with_publisher(&self.served.origin)
            .with_subscriber(viewer)
            .with_versions(versions())
            .with_stats(self.registry.tier(stats::Tier::default()).session(""));
        let handshake = timeout(HANDSHAKE_TIMEOUT, server.accept(Instant::now(), link));
        let (session, driver) = handshake.await.map_err(|_| moq_net::Error::Timeout)??;
        count(&self.sessions_total);
        // Most begin with the one that is preferred; those that do not ask for theirs.
        self.served.renditions.request_key_frame(None);
        let ended = tokio::select! {
            ended = moq_net::time::run(driver) => ended,
            ended = moq_net::time::run(viewer_driver) => ended,
            Err(error) = self.viewers.listen(id, &said) => error,
        };
        drop(session);
        match ended {
            moq_net::Error::Transport(_) | moq_net::Error::Session(_) | moq_net::Error::Closed | moq_net::Error::Cancel => Ok(()),
            broken => Err(broken),
        }
    }

    /// What viewers said.
    pub(super) fn said(&self) -> &Viewers {
        &self.viewers
    }

    /// The viewers that are here, and how their packets fare.
    pub(super) fn viewers(&self) -> Vec<ViewerStatus> {
        let connections = self.connections.lock();
        let mut viewers = self.viewers.present();
        for viewer in &mut viewers {
            if let Some(quic) = connections.open.get(&viewer.connection) {
                viewer.path = path(quic);
            }
        }
        viewers
    }

    /// Adds what is counted here.
    pub(super) fn add_stats(&self, stats: &mut PublisherStats) {
        let connections = self.connections.lock();
        let paths = connections.open.values().map(path);
        let (bytes, lost) = paths.fold(connections.gone, |sum, path| (sum.0 + path.bytes_sent, sum.1 + path.packets_lost));
        stats.sessions = connections.open.len();
        (stats.bytes_sent, stats.packets_lost) = (bytes, lost);
        stats.sessions_total = self.sessions_total.load(Ordering::Relaxed);
        stats.refused = self.refused.load(Ordering::Relaxed);
        stats.broken = self.broken.load(Ordering::Relaxed);
        stats.stalled = self.stalled.load(Ordering::Relaxed);
        let snapshot = self.registry.snapshot();
        stats.groups_skipped = snapshot
            .traffic()
            .iter()
            .filter(|(_, role, _)| *role == stats::Role::Publisher)
            .map(|(_, _, traffic)| traffic.stale.groups)
            .sum();
    }

    /// Tells every peer that it is over.
    pub(super) fn close(&self) {
        self.stop.notify_one();
        self.endpoint.close(CLOSED_STOPPED, b"the publisher stopped");
    }

    /// Waits until the peers were told.
    pub(super) async fn wait_idle(&self) {
        self.endpoint.wait_idle().await;
    }
}

/// Why a viewer is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// HTTP's 403.
    Forbidden,
    /// HTTP's 404.
    NotFound,
    /// HTTP's 503.
    Full,
}

impl Refusal {
    const fn reason(self) -> &'static str {
        match self {
            Self::Forbidden => "wrong or missing token",
            Self::NotFound => "asked for a stream that is not here",
            Self::Full => "there are as many viewers as there may be",
        }
    }
}

async fn refuse(request: SessionRequest, refusal: Refusal) {
    let answered = async {
        match refusal {
            Refusal::Forbidden => request.forbidden().await,
            Refusal::NotFound | Refusal::Full => request.not_found().await,
        }
    };
    // A peer that does not listen is not waited for.
    let _ = timeout(REFUSE_TIMEOUT, answered).await;
}
