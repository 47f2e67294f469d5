//! Serves a stream to viewers.
//!
//! A [`Publisher`] owns a few threads of its own; its methods may be called from any thread and never wait. Access units
//! and motion fields go to the transport as they come: nothing here runs on a timer. A viewer that falls behind loses
//! whole groups of pictures and rejoins at a key frame; it never holds up the others or the caller.

mod motion;
mod page;
mod rate;
mod server;
mod tracks;
mod video;
mod viewers;

use crate::{
    catalog::CatalogError,
    identity::{Identity, IdentityError},
    link::{Conditions, ConditionsError},
    report::GazeMap,
    viewer_link::{ViewerLink, ViewerLinkError, check_name, check_token},
    wire::WireError,
};
use core::time::Duration;
use page::PageServer;
use server::Server;
pub(crate) use server::{CLOSED_FULL, versions};
use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    sync::Arc,
    thread,
};
use studio_frame::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tracks::Tracks;

pub use rate::RateLimit;
pub use video::MAX_RENDITIONS;
pub use viewers::{ViewerLog, ViewerPath, ViewerRecord, ViewerStatus};

/// Threads that move bytes. Encryption of some tens of megabits takes a fraction of one.
const WORKERS: usize = 2;
/// How long stopping waits for the viewers to be told.
const STOP_WAIT: Duration = Duration::from_millis(300);
/// Ports that are tried for one that is free for UDP and TCP both.
const PORT_TRIES: usize = 16;

/// How a publisher serves.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// The UDP address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The stream's name, the path of the viewers' link: letters, digits, `-`, `_`, `.`, in parts parted by `/`.
    pub name: String,
    /// The certificate.
    pub identity: Identity,
    /// The token that viewers must bring, if any.
    pub token: Option<String>,
    /// Viewers served at once, at least 1.
    pub max_sessions: usize,
    /// How far a viewer may fall behind before it is skipped ahead, at most; a viewer may ask for less.
    pub max_age: Duration,
    /// How long a viewer may take nothing of what is sent to it before it is dropped, at least a second. It may come again.
    pub stall_timeout: Duration,
    /// Tiles that one motion field may take, 1 to 96; a field that needs more is sent with a coarser grid.
    pub max_motion_tiles: usize,
    /// Whether the viewer's page is served to browsers, by HTTP and HTTPS on the TCP port of the same number.
    pub page: bool,
    /// Loss and delay added on purpose, to test viewers.
    pub conditions: Conditions,
}

impl PublisherConfig {
    /// Serves `name` on `bind` without a token and without the page, to at most 64 viewers.
    pub fn new(bind: SocketAddr, name: impl Into<String>, identity: Identity) -> Self {
        Self {
            bind,
            name: name.into(),
            identity,
            token: None,
            max_sessions: 64,
            max_age: Duration::from_secs(2),
            stall_timeout: Duration::from_secs(10),
            max_motion_tiles: 48,
            page: false,
            conditions: Conditions::default(),
        }
    }
}

/// Why a stream is not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Another program listens there.
    #[error("UDP port {} is in use on {}; stop the program that uses it, or choose another port (0 takes a free one)", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose an address of this machine, and a port above 1023 or the right to use it"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The stream's name or the token cannot be put in a link.
    #[error(transparent)]
    Link(#[from] ViewerLinkError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Senseless test conditions.
    #[error(transparent)]
    Conditions(#[from] ConditionsError),
    /// A setting outside of its range.
    #[error("{what} must be {range}")]
    Setting {
        /// The setting.
        what: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The threads or the socket cannot be set up.
    #[error("the transport cannot be started: {0}")]
    Start(io::Error),
    /// The stream cannot be described.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The motion field is not a sound one.
    #[error("the motion field cannot be sent: {0}")]
    Motion(#[from] WireError),
    /// An access unit came before the stream was described.
    #[error("an access unit came before its stream was described; call set_stream_info or set_audio_info first")]
    NotDescribed,
    /// There is no rendition of this number.
    #[error("there is no rendition {0}: they are counted from 0 to {last}", last = MAX_RENDITIONS - 1)]
    NoRendition(usize),
    /// Renditions stand in for each other, so they have to show the same.
    #[error(
        "rendition {number} has another projection, stereo layout or colour than those before it; make all of them from one picture", number = .0 + 1
    )]
    RenditionsDiffer(usize),
    /// An access unit is too large.
    #[error("an access unit of {0} bytes is larger than {max}; lower the bit rate", max = crate::wire::unit::MAX_UNIT_BYTES)]
    UnitTooLarge(usize),
    /// An access unit of sound is too large.
    #[error("an access unit of {0} bytes is no sound: they have {max} at most", max = crate::wire::unit::MAX_AUDIO_UNIT_BYTES)]
    AudioUnitTooLarge(usize),
    /// The protocol refuses.
    #[error("the stream cannot be sent: {0}")]
    Protocol(#[from] moq_net::Error),
}

/// What a publisher did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PublisherStats {
    /// Viewers now.
    pub sessions: usize,
    /// Viewers so far.
    pub sessions_total: u64,
    /// Sessions refused: wrong token or name, no common wire, too many.
    pub refused: u64,
    /// Sessions that were ended because the peer broke the protocol.
    pub broken: u64,
    /// Viewers that were dropped because they had stopped reading.
    pub stalled: u64,
    /// Access units published.
    pub access_units: u64,
    /// Access units that could not be published, for want of a key frame before them.
    pub access_units_dropped: u64,
    /// Bytes of the access units published.
    pub access_unit_bytes: u64,
    /// Groups of pictures published.
    pub groups: u64,
    /// Access units of sound published.
    pub audio_units: u64,
    /// Bytes of the access units of sound published.
    pub audio_unit_bytes: u64,
    /// Groups that viewers were skipped over, those from before they came included, summed over the viewers. A unit of
    /// sound is a group too.
    pub groups_skipped: u64,
    /// Motion fields published.
    pub motion_fields: u64,
    /// Motion fields that a newer one replaced before they were sent.
    pub motion_fields_dropped: u64,
    /// Tiles published.
    pub motion_tiles: u64,
    /// Bytes put on the wire to all viewers, headers and repeats included.
    pub bytes_sent: u64,
    /// Packets that were lost on the way and sent again.
    pub packets_lost: u64,
}

/// Serves one stream. Dropping it ends the stream for every viewer.
pub struct Publisher {
    runtime: Option<Runtime>,
    server: Arc<Server>,
    tracks: Arc<Tracks>,
    local_addr: SocketAddr,
    has_page: bool,
    config: PublisherConfig,
}

/// Binds the socket of the stream and, where it is wanted and possible, of the page. Without the page a stream still has its
/// other viewers, so a TCP port that is taken is a warning.
fn bind(config: &PublisherConfig) -> Result<(UdpSocket, Option<TcpListener>), PublishError> {
    let mut tries = if config.page && config.bind.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let socket = UdpSocket::bind(config.bind).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => PublishError::PortInUse(config.bind),
            _ => PublishError::Bind { address: config.bind, source },
        })?;
        if !config.page {
            return Ok((socket, None));
        }
        let address = socket.local_addr().map_err(PublishError::Start)?;
        match TcpListener::bind(address) {
            Ok(listener) => return Ok((socket, Some(listener))),
            Err(_) if tries > 0 => {}
            Err(error) => {
                tracing::warn!(%address, %error, "the viewer's page is not served: its TCP port cannot be listened on");
                return Ok((socket, None));
            }
        }
    }
}

impl Publisher {
    /// Starts listening.
    ///
    /// Fails if the address is taken or not this machine's, or a setting is out of range.
    pub fn start(config: PublisherConfig) -> Result<Self, PublishError> {
        check_name(&config.name)?;
        config.token.as_deref().map_or(Ok(()), check_token)?;
        config.conditions.validate()?;
        if config.max_sessions == 0 {
            return Err(PublishError::Setting { what: "max_sessions", range: "at least 1" });
        }
        if config.stall_timeout < server::STALL_CHECK {
            return Err(PublishError::Setting { what: "stall_timeout", range: "at least 1 s" });
        }
        if !(1..=motion::MAX_TILES_A_FIELD).contains(&config.max_motion_tiles) {
            return Err(PublishError::Setting { what: "max_motion_tiles", range: "1 to 96" });
        }
        let (socket, listener) = bind(&config)?;
        let local_addr = socket.local_addr().map_err(PublishError::Start)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("studio publisher")
            .enable_all()
            .build()
            .map_err(PublishError::Start)?;
        let guard = runtime.enter();
        let tracks = Arc::new(Tracks::create(&config)?);
        let server = Arc::new(Server::bind(&config, socket, tracks.origin())?);
        runtime.spawn(server.clone().run());
        runtime.spawn(motion::run(tracks.clone(), config.max_motion_tiles));
        let has_page = listener.is_some();
        if let Some(listener) = listener {
            runtime.spawn(PageServer::new(listener, server.clone(), &config.identity)?.run());
        }
        drop(guard);
        tracing::info!(address = %local_addr, name = %config.name, "publishing");
        Ok(Self { runtime: Some(runtime), server, tracks, local_addr, has_page, config })
    }

    /// The address listened on, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The link to give to viewers that reach this machine as `host`.
    pub fn viewer_link(&self, host: &str) -> Result<ViewerLink, ViewerLinkError> {
        let PublisherConfig { name, token, identity, .. } = &self.config;
        ViewerLink::new(host, self.local_addr.port(), name, token.as_deref(), identity.pinned_sha256())
    }

    /// The link that shows the stream in a browser, for people that reach this machine as `host`; none if no page is served.
    ///
    /// It is the viewers' link. On this machine itself it begins with `http://`, which browsers trust there; elsewhere with
    /// `https://`, which they ask about unless an authority vouches for the certificate.
    pub fn page_link(&self, host: &str) -> Result<Option<String>, ViewerLinkError> {
        let link = self.viewer_link(host)?;
        let by_http = self.config.identity.pinned_sha256().is_some() && link.is_loopback();
        let shown = link.to_string();
        let page = if by_http { shown.replacen("https://", "http://", 1) } else { shown };
        Ok(self.has_page.then_some(page))
    }

    /// Says what a rendition of the picture is, from 0 to [`MAX_RENDITIONS`] - 1. Asks for a key frame of it where viewers need a
    /// new decoder.
    ///
    /// Most streams have one rendition, 0. Further ones are the same pictures, with the same stamps, at other sizes and bit rates;
    /// each viewer receives one of them, and the one with the lowest number unless it has reason for another.
    ///
    /// Fails if a value is out of range, or the rendition covers the sphere, or has its eyes' pictures or its colours, in another
    /// way than those before it.
    pub fn set_stream_info(&self, rendition: usize, info: StreamInfo) -> Result<(), PublishError> {
        self.tracks.set_stream_info(rendition, info)
    }

    /// Publishes a coded picture of a rendition. Never waits; may be called from any thread. Only viewers that receive the
    /// rendition are sent it.
    ///
    /// Units before the first key frame are dropped and counted. Fails if the rendition was not described yet or the unit is
    /// too large.
    pub fn send_access_unit(&self, rendition: usize, unit: &AccessUnit) -> Result<(), PublishError> {
        self.tracks.send_access_unit(rendition, unit)
    }

    /// Takes a rendition away. Its viewers go on with another one.
    pub fn remove_rendition(&self, rendition: usize) -> Result<(), PublishError> {
        self.tracks.remove_rendition(rendition)
    }

    /// Whether anybody receives a rendition.
    pub fn is_watched(&self, rendition: usize) -> bool {
        self.tracks.is_watched(rendition)
    }

    /// Says what the sound is. A stream may have pictures, sound, or both; either may come first.
    ///
    /// Fails if a value is out of range.
    pub fn set_audio_info(&self, info: AudioStreamInfo) -> Result<(), PublishError> {
        self.tracks.set_audio_info(info)
    }

    /// Publishes a unit of sound. Never waits; may be called from any thread.
    ///
    /// Fails if the sound was not described yet or the unit is too large.
    pub fn send_audio(&self, unit: &AccessUnit) -> Result<(), PublishError> {
        self.tracks.send_audio(unit)
    }

    /// Publishes a motion field. Never waits: it is coded and sent by a thread of the publisher, and if it is still busy
    /// with older ones, the newest win.
    pub fn send_motion(&self, field: &MotionField) {
        self.tracks.send_motion(field.clone());
    }

    /// Whether a key frame of a rendition is needed, since a viewer joined or a group grew too long. Reset by the call.
    ///
    /// True at most some times a second, however many viewers join.
    pub fn take_key_frame_request(&self, rendition: usize) -> bool {
        self.tracks.renditions().key_frames(rendition).is_some_and(|wishes| wishes.take())
    }

    /// The viewers that are here: how their packets fare, and what they last said of themselves.
    pub fn viewers(&self) -> Vec<ViewerStatus> {
        self.server.viewers()
    }

    /// What the viewer of a rendition that can take least believes it can take, in bits a second; none where none says. Reports
    /// older than some seconds do not count.
    pub fn wanted_bitrate_bps(&self, rendition: usize) -> Option<u64> {
        self.server.said().wanted_bps(rendition)
    }

    /// Where viewers look now: a look counts half after ten seconds.
    pub fn gaze(&self) -> GazeMap {
        self.server.said().gaze_now()
    }

    /// All that viewers said so far, and where they looked since the stream began.
    pub fn viewer_log(&self) -> ViewerLog {
        let mut log = self.server.said().log();
        for here in self.server.viewers() {
            if let Some(viewer) = log.viewers.iter_mut().find(|viewer| viewer.connection == here.connection) {
                viewer.path = here.path;
            }
        }
        log
    }

    /// What happened so far.
    pub fn stats(&self) -> PublisherStats {
        let mut stats = self.tracks.stats();
        self.server.add_stats(&mut stats);
        stats
    }

    /// Ends the stream: viewers are told, sockets are closed. Takes a fraction of a second.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.tracks.close();
        self.server.close();
        let Some(runtime) = self.runtime.take() else { return };
        let server = self.server.clone();
        // On a thread of its own: waiting is not allowed where this may be dropped inside of another runtime.
        let goodbye = thread::spawn(move || {
            runtime.block_on(async { tokio::time::timeout(STOP_WAIT, server.wait_idle()).await.ok() });
            runtime.shutdown_background();
        });
        if goodbye.join().is_err() {
            tracing::error!("the publisher's threads ended in a panic");
        }
    }
}
