//! Receives a stream.
//!
//! A [`Subscriber`] has a thread of its own that connects, receives, and connects again when the connection is lost. What
//! it receives lies in bounded queues: access units ready for a decoder, sound, motion fields, and events. It falls behind in
//! whole groups only: what comes out of [`Subscriber::units`] can always be decoded.

mod connect;
mod inbox;
mod meter;
mod motion;
mod quality;
mod rate;
mod report;
mod selection;
mod session;
mod sound;
mod splice;
mod video;

use crate::catalog::VideoTrack;
use crate::{
    catalog::CatalogError,
    clock::ClockEstimate,
    link::{Conditions, ConditionsError},
    viewer_link::ViewerLink,
    wire::assemble::AssembledMotion,
};
use connect::Client;
use core::time::Duration;
use inbox::Outbox;
use meter::Meter;
use selection::Selection;
use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
};
use studio_frame::prelude::*;
use tokio::{runtime::Builder, sync::Notify};

pub use inbox::UnitReceiver;
pub use quality::{Offer, QualityChooser, QualityRoom, StreamQuality};
pub use report::{Reporter, percentiles_ms};
pub use selection::Rendition;

/// Events waiting to be read.
const EVENTS: usize = 64;
/// A session that lasted this long was a good one: the next retry comes soon again.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// How a subscriber receives.
#[derive(Clone, Debug)]
pub struct SubscriberConfig {
    /// How far behind the newest group an older one may be before it is skipped.
    pub max_age: Duration,
    /// Whether to receive sound.
    pub audio: bool,
    /// Whether to receive motion fields.
    pub motion: bool,
    /// How long the tiles of a motion field are waited for after the first.
    pub motion_deadline: Duration,
    /// Access units kept for a slow reader, at least 1.
    pub unit_queue: usize,
    /// Units of sound kept for a slow reader, at least 1; the newest win.
    pub audio_queue: usize,
    /// Motion fields kept for a slow reader, at least 1.
    pub motion_queue: usize,
    /// How long one attempt to connect may take.
    pub connect_timeout: Duration,
    /// Waited before the second attempt; doubles with each further one.
    pub first_retry: Duration,
    /// Waited between attempts at most.
    pub last_retry: Duration,
    /// Whether the publisher is told how the viewer fares and where it looks. Without, it cannot ask for key frames.
    pub report: bool,
    /// Which rendition to begin with; [`Subscriber::set_quality`] changes it.
    pub quality: StreamQuality,
    /// Loss and delay added on purpose.
    pub conditions: Conditions,
}

impl Default for SubscriberConfig {
    fn default() -> Self {
        Self {
            max_age: Duration::from_millis(500),
            audio: true,
            motion: true,
            motion_deadline: Duration::from_millis(30),
            unit_queue: 128,
            audio_queue: 64,
            motion_queue: 8,
            connect_timeout: Duration::from_secs(3),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(3),
            report: true,
            quality: StreamQuality::Auto,
            conditions: Conditions::default(),
        }
    }
}

/// Why a stream is not received.
#[derive(Debug, thiserror::Error)]
pub enum SubscribeError {
    /// Nobody answers.
    #[error("{address} does not answer: {reason}; is the publisher running, and does UDP reach it?")]
    Unreachable {
        /// Who was called.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The host's name is not known.
    #[error("the name `{host}` cannot be resolved: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// The publisher does not let this viewer in.
    #[error(
        "the publisher refused the viewer: the token is missing or wrong, or there is no stream `{name}`; ask for a new link"
    )]
    Refused {
        /// The stream asked for.
        name: String,
    },
    /// The certificate is not the one that the link names, or no authority vouches for it.
    #[error(
        "the publisher's certificate is not trusted ({0}); it may have started anew with another one: ask for a new link, or find out who answers there"
    )]
    Certificate(String),
    /// There is no room.
    #[error("the publisher serves as many viewers as it may")]
    Full,
    /// The connection ended.
    #[error("the connection ended: {0}")]
    Lost(String),
    /// Connected, but the stream does not come.
    #[error("connected, but the stream `{0}` does not come")]
    Silent(String),
    /// The stream's description cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// Senseless test conditions.
    #[error(transparent)]
    Conditions(#[from] ConditionsError),
    /// The thread or the socket cannot be set up.
    #[error("the transport cannot be started: {0}")]
    Start(io::Error),
}

impl SubscribeError {
    /// Whether trying again is of no use.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Certificate(_) | Self::Conditions(_) => true,
            Self::Catalog(error) => {
                matches!(error, CatalogError::NotImmersive | CatalogError::Version(_) | CatalogError::Codec(_))
            }
            Self::Unreachable { .. } | Self::Resolve { .. } | Self::Full | Self::Lost(_) | Self::Silent(_) | Self::Start(_) => {
                false
            }
        }
    }
}

/// What happened to the connection.
#[derive(Clone, Debug)]
pub enum ViewerEvent {
    /// Connected; access units follow.
    Connected {
        /// The publisher's address.
        address: SocketAddr,
        /// The publisher's session: another one has other frame numbers.
        session: u64,
    },
    /// The pictures were described, or described anew.
    Described(Arc<StreamInfo>),
    /// The sound was described, or described anew.
    AudioDescribed(Arc<AudioStreamInfo>),
    /// The connection was lost or could not be made; another attempt follows.
    Disconnected {
        /// Why.
        error: Arc<SubscribeError>,
        /// When the next attempt follows.
        retry_in: Duration,
    },
    /// Given up: another attempt would fail as well.
    Failed(Arc<SubscribeError>),
}

/// An access unit that arrived.
#[derive(Clone, Debug)]
pub struct ReceivedUnit {
    /// The access unit.
    pub unit: AccessUnit,
    /// The name of the track that it came on: the rendition.
    pub track: Arc<str>,
    /// What the stream is: set the decoder up anew when this changes.
    pub info: Arc<StreamInfo>,
    /// The publisher's session.
    pub session: u64,
    /// When the publisher handed it to the transport, by its clock.
    pub sent_at: UnixTime,
    /// When all of it was here.
    pub arrived_at: UnixTime,
    /// Whether units are missing in front of it. It is a key frame then.
    pub after_gap: bool,
    /// Whether its picture was shown from another rendition already: later ones refer to it, so it is decoded and not shown.
    pub decode_only: bool,
}

/// A unit of sound that arrived. Each can be decoded by itself.
#[derive(Clone, Debug)]
pub struct ReceivedSound {
    /// The access unit.
    pub unit: AccessUnit,
    /// What the sound is: set the decoder up anew when this changes.
    pub info: Arc<AudioStreamInfo>,
    /// The publisher's session.
    pub session: u64,
    /// When the publisher handed it to the transport, by its clock.
    pub sent_at: UnixTime,
    /// When all of it was here.
    pub arrived_at: UnixTime,
    /// Whether units are missing in front of it.
    pub after_gap: bool,
}

/// A motion field that arrived, complete or as complete as it gets.
#[derive(Clone, Debug)]
pub struct ReceivedMotion {
    /// The field, and what of it was lost.
    pub motion: AssembledMotion,
    /// The publisher's session.
    pub session: u64,
    /// When it was put together.
    pub arrived_at: UnixTime,
}

/// What a subscriber received so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SubscriberStats {
    /// Whether there is a connection now.
    pub connected: bool,
    /// Connections made so far, less one.
    pub reconnects: u64,
    /// Bytes of access units, sound and motion received.
    pub bytes: u64,
    /// The same over the last second, in bits a second.
    pub bitrate_bps: u64,
    /// Access units received.
    pub access_units: u64,
    /// Access units thrown away because nobody read them, or for want of a key frame in front.
    pub access_units_dropped: u64,
    /// Groups of pictures begun.
    pub groups: u64,
    /// Groups skipped or broken off because they were too old.
    pub groups_skipped: u64,
    /// Units of sound received.
    pub audio_units: u64,
    /// Units of sound that were skipped because they were too old, or thrown away because nobody read them.
    pub audio_units_dropped: u64,
    /// Motion fields handed out.
    pub motion_fields: u64,
    /// Tiles that those fields were sent in.
    pub tiles: u64,
    /// Tiles of theirs that did not come in time.
    pub lost_tiles: u64,
    /// Frames and datagrams that were not understood.
    pub garbage: u64,
    /// The round trip to the publisher.
    pub rtt: Duration,
    /// How this machine's clock stands to the publisher's, once something came.
    pub clock: Option<ClockEstimate>,
}

/// Receives one stream. Dropping it ends the connection.
pub struct Subscriber {
    events: QueueReceiver<ViewerEvent>,
    units: UnitReceiver,
    audio: QueueReceiver<ReceivedSound>,
    motion: QueueReceiver<ReceivedMotion>,
    meter: Arc<Meter>,
    reporter: Reporter,
    selection: Arc<Selection>,
    stop: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

impl Subscriber {
    /// Starts connecting to `link`; what becomes of it is told by events.
    ///
    /// Fails only if the thread cannot be started or a setting is senseless.
    pub fn connect(link: ViewerLink, config: SubscriberConfig) -> Result<Self, SubscribeError> {
        config.conditions.validate()?;
        let (event_in, events) = queue(EVENTS, QueuePolicy::NewestWins);
        let (unit_in, units) = inbox::inbox(config.unit_queue);
        let (audio_in, audio) = queue(config.audio_queue, QueuePolicy::NewestWins);
        let (motion_in, motion) = queue(config.motion_queue, QueuePolicy::NewestWins);
        let (meter, stop) = (Arc::new(Meter::default()), Arc::new(Notify::new()));
        let runtime = Builder::new_current_thread().enable_all().build().map_err(SubscribeError::Start)?;
        let outbox = Outbox { events: event_in, units: unit_in, audio: audio_in, motion: motion_in, meter: meter.clone() };
        let reporter = Reporter::new();
        let selection = Arc::new(Selection::new(config.quality.clone()));
        let client = Client::new(link, config, outbox, reporter.clone(), selection.clone());
        let stopped = stop.clone();
        let run = move || {
            runtime.block_on(run(client, stopped));
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("studio subscriber".into()).spawn(run).map_err(SubscribeError::Start)?;
        Ok(Self { events, units, audio, motion, meter, reporter, selection, stop, thread: Some(thread) })
    }

    /// What happens to the connection.
    pub fn events(&self) -> &QueueReceiver<ViewerEvent> {
        &self.events
    }

    /// The access units, in order and decodable.
    pub fn units(&self) -> &UnitReceiver {
        &self.units
    }

    /// The units of sound, in order; some may be missing.
    pub fn audio(&self) -> &QueueReceiver<ReceivedSound> {
        &self.audio
    }

    /// The motion fields, in order.
    pub fn motion(&self) -> &QueueReceiver<ReceivedMotion> {
        &self.motion
    }

    /// What the publisher is told of this viewer.
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }

    /// Receives another rendition from its next key frame on; until then the one before goes on.
    pub fn set_quality(&self, quality: StreamQuality) {
        self.selection.set_wanted(quality);
    }

    /// Says how many pixels across the view needs of the whole picture; none where that is not known. No rendition is taken by
    /// itself that shows no more than a smaller one.
    pub fn set_view_width_px(&self, width_px: Option<f64>) {
        self.selection.set_wanted_px(width_px);
    }

    /// Says that a rendition's track cannot be decoded here: it is left for another one where there is one.
    pub fn cannot_decode(&self, track: &str) {
        self.selection.cannot_decode(track);
    }

    /// The rendition that is received now.
    pub fn rendition(&self) -> Option<Rendition> {
        self.selection.received()
    }

    /// The renditions that there are, that which the studio prefers first.
    pub fn renditions(&self) -> Vec<VideoTrack> {
        self.selection.offered()
    }

    /// What was received so far.
    pub fn stats(&self) -> SubscriberStats {
        let mut stats = self.meter.stats();
        stats.access_units_dropped += self.units.dropped();
        stats.audio_units_dropped += self.audio.dropped();
        stats
    }

    /// Ends the connection.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.stop.notify_one();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the subscriber's thread ended in a panic");
        }
    }
}

/// Connects, and connects again, until stopped or without hope.
async fn run(mut client: Client, stop: Arc<Notify>) {
    let first_retry = client.config().first_retry.max(Duration::from_millis(1));
    let mut retry_in = first_retry;
    loop {
        let began = std::time::Instant::now();
        let error = tokio::select! {
            biased;
            () = stop.notified() => break,
            error = client.session() => error,
        };
        client.disconnected().await;
        let error = Arc::new(error);
        if error.is_final() {
            tracing::error!(%error, "giving up");
            client.outbox().events.send(ViewerEvent::Failed(error));
            return;
        }
        if began.elapsed() >= GOOD_SESSION {
            retry_in = first_retry;
        }
        tracing::warn!(%error, ?retry_in, "not connected");
        client.outbox().events.send(ViewerEvent::Disconnected { error, retry_in });
        tokio::select! {
            () = stop.notified() => break,
            () = tokio::time::sleep(retry_in) => {}
        }
        retry_in = (retry_in * 2).min(client.config().last_retry);
    }
    client.disconnected().await;
}
