//! One connection's protocol: the catalog, and the tracks that it names.

use super::{
    SubscribeError, SubscriberConfig, ViewerEvent,
    inbox::Outbox,
    motion::motions,
    report::{Reporter, Reports},
    selection::Selection,
    sound::sounds,
    video::videos,
};
use crate::{
    catalog::{MAX_CATALOG_BYTES, StreamCatalog},
    link::Link,
    publish::versions,
    wire::WireError,
};
use core::time::Duration;
use hang::catalog::Catalog;
use moq_net::{Error, cache, origin};
use std::{sync::Arc, time::Instant};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long the stream's catalog may take after the connection stands.
const CATALOG_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a track that a newer one replaced may still end by itself.
const TRACK_LINGER: Duration = Duration::from_millis(300);
/// Bytes that received groups may take; the newest group of a track is kept whatever it takes.
const CACHE_BYTES: u64 = 32 * 1024 * 1024;
/// How long a received group that was read is kept. The protocol's own half a minute is made for relays.
const CACHE_EXPIRY: Duration = Duration::from_secs(1);

/// What a session needs to know and where it puts what it receives.
pub(super) struct Served<'a> {
    pub(super) name: &'a str,
    pub(super) config: &'a SubscriberConfig,
    pub(super) outbox: &'a Arc<Outbox>,
    pub(super) reporter: &'a Reporter,
    pub(super) selection: &'a Arc<Selection>,
    /// The network's round trip now.
    pub(super) round_trip: &'a (dyn Fn() -> Duration + Sync),
    /// Called with the publisher's session number when the stream stands.
    pub(super) connected: &'a (dyn Fn(u64) + Sync),
}

fn lost(error: Error) -> SubscribeError {
    SubscribeError::Lost(error.to_string())
}

/// Receives until the connection ends, and says why it did.
pub(super) async fn receive<L: Link>(link: L, served: Served<'_>) -> SubscribeError {
    let mut settings = origin::Config::default();
    settings.pool = cache::Pool::new(cache::Config::default().with_capacity(CACHE_BYTES).with_expiry(CACHE_EXPIRY));
    let (origin, origin_driver) = origin::Producer::new(settings);
    let (said, said_driver) = origin::Producer::new(origin::Config::default());
    let mut client = moq_net::Client::new().with_subscriber(origin.clone()).with_versions(versions());
    if served.config.report {
        client = client.with_publisher(&said);
    }
    let (session, driver) = match timeout(served.config.connect_timeout, client.connect(Instant::now(), link)).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) => return lost(error),
        Err(_) => return SubscribeError::Silent(served.name.to_owned()),
    };
    let mut drivers = JoinSet::new();
    drivers.spawn(moq_net::time::run(origin_driver));
    drivers.spawn(moq_net::time::run(said_driver));
    drivers.spawn(moq_net::time::run(driver));
    let ended = tokio::select! {
        ended = follow(&origin, &said, served) => ended,
        error = drivers.join_next() => match error {
            Some(Ok(error)) => lost(error),
            _ => SubscribeError::Lost("the transport's task ended".into()),
        },
    };
    drop(session);
    ended
}

/// Follows the catalog and receives what it names.
async fn follow(origin: &origin::Producer, said: &origin::Producer, served: Served<'_>) -> SubscribeError {
    match try_follow(origin, said, served).await {
        Ok(()) => SubscribeError::Lost("the publisher ended the stream".into()),
        Err(error) => error,
    }
}

async fn try_follow(
    origin: &origin::Producer,
    said: &origin::Producer,
    Served { name, config, outbox, reporter, selection, round_trip, connected }: Served<'_>,
) -> Result<(), SubscribeError> {
    let silent = |_| SubscribeError::Silent(name.to_owned());
    let consumer = origin.consume();
    let broadcast = timeout(CATALOG_TIMEOUT, consumer.routed_broadcast(name)).await.map_err(silent)?.map_err(lost)?;
    let catalog = broadcast.track(Catalog::DEFAULT_NAME).map_err(lost)?;
    let subscribed = timeout(CATALOG_TIMEOUT, catalog.subscribe(Catalog::default_subscription())).await;
    let mut catalogs = subscribed.map_err(silent)?.map_err(lost)?.ordered();
    let (video_in, video) = watch::channel(Vec::new());
    let (audio_in, audio) = watch::channel(None);
    let (motion_in, motion) = watch::channel(None);
    // Tasks of this session end with it: the set aborts them when it goes.
    let mut tasks = JoinSet::new();
    let mut known: Option<StreamCatalog> = None;
    let mut reports = None;
    loop {
        let next = async {
            let Some(mut group) = catalogs.next_group().await? else { return Ok(None) };
            let Some(frame) = group.next_frame().await? else { return Ok(Some(None)) };
            if frame.size > MAX_CATALOG_BYTES as u64 {
                return Err(Error::FrameTooLarge);
            }
            let mut frame = frame;
            frame.read_all().await.map(|json| Some(Some(json)))
        };
        let next = match &mut reports {
            None => timeout(CATALOG_TIMEOUT, next).await.map_err(silent)?,
            Some(reports) => tokio::select! {
                next = next => next,
                never = reports => match never {},
            },
        };
        let json = match next {
            Ok(Some(Some(json))) => json,
            // A newer one replaced it.
            Ok(Some(None)) | Err(Error::Old) => continue,
            Ok(None) => return Ok(()),
            Err(error) => return Err(lost(error)),
        };
        let catalog = StreamCatalog::parse(&json)?;
        if known.is_none() {
            connected(catalog.session);
            let session = catalog.session;
            let (selection, reporter) = (selection.clone(), reporter.clone());
            let to = Receiving { session, config: config.clone(), outbox: outbox.clone(), reporter, selection };
            tasks.spawn(videos(broadcast.clone(), video.clone(), to.clone()));
            if config.audio {
                tasks.spawn(sounds(broadcast.clone(), audio.clone(), to.clone()));
            }
            if config.motion {
                tasks.spawn(motions(broadcast.clone(), motion.clone(), to));
            }
        }
        if reports.is_none() {
            let session = catalog.session;
            reports = Some(Box::pin(report(said, config.report, reporter, outbox, session, || selection.target(), round_trip)));
        }
        let info = catalog.renditions.first().map(|video| Arc::new(video.info.clone()));
        if let Some(info) = info.filter(|_| known.as_ref().map(|known| &known.renditions) != Some(&catalog.renditions)) {
            outbox.events.send(ViewerEvent::Described(info));
        }
        let info = catalog.audio.as_ref().map(|audio| Arc::new(audio.info.clone()));
        if let Some(info) = info.filter(|_| known.as_ref().map(|known| &known.audio) != Some(&catalog.audio)) {
            outbox.events.send(ViewerEvent::AudioDescribed(info));
        }
        video_in.send_replace(catalog.renditions.clone());
        audio_in.send_replace(catalog.audio.clone());
        motion_in.send_replace(catalog.motion.clone());
        known = Some(catalog);
    }
}

/// Reports for as long as the session lasts, if that is wanted and possible.
async fn report(
    said: &origin::Producer,
    wanted: bool,
    reporter: &Reporter,
    outbox: &Outbox,
    session: u64,
    video: impl Fn() -> Option<String>,
    round_trip: &(dyn Fn() -> Duration + Sync),
) -> core::convert::Infallible {
    if wanted {
        let ended = match Reports::announce(said, reporter.id()) {
            Ok(reports) => reports.run(reporter.clone(), outbox, session, video, round_trip).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the publisher is not told how this viewer fares");
        }
    }
    core::future::pending().await
}

/// What every track's task needs.
#[derive(Clone)]
pub(super) struct Receiving {
    pub(super) session: u64,
    pub(super) config: SubscriberConfig,
    pub(super) outbox: Arc<Outbox>,
    pub(super) reporter: Reporter,
    pub(super) selection: Arc<Selection>,
}

impl Receiving {
    pub(super) fn garbage(&self, error: WireError) {
        tracing::debug!(%error, "not understood");
        self.outbox.meter.count(|stats| stats.garbage += 1);
    }
}

/// A track as the catalog describes it.
pub(super) trait NamedTrack: Clone + Send + Sync {
    fn name(&self) -> &str;
}

/// Runs `receive` for the track that the catalog names, whichever that is at the time.
pub(super) async fn follow_track<T: NamedTrack, F: Future<Output = Result<(), Error>>>(
    mut wanted: watch::Receiver<Option<T>>,
    receive: impl Fn(String, watch::Receiver<Option<T>>) -> F,
) {
    loop {
        let Ok(track) = wanted.wait_for(Option::is_some).await.map(|track| track.clone()) else { return };
        let Some(name) = track.map(|track| track.name().to_owned()) else { continue };
        let mut superseded = wanted.clone();
        let ended = tokio::select! {
            ended = receive(name.clone(), wanted.clone()) => ended,
            () = replaced(&mut superseded, &name) => Ok(()),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, track = name, "the track ended");
        }
        // Not again until the catalog names another one.
        if wanted.wait_for(|track| track.as_ref().is_some_and(|track| track.name() != name)).await.is_err() {
            return;
        }
    }
}

/// Waits until the catalog has named another track for a while.
async fn replaced<T: NamedTrack>(wanted: &mut watch::Receiver<Option<T>>, name: &str) {
    if wanted.wait_for(|track| track.as_ref().is_none_or(|track| track.name() != name)).await.is_err() {
        return core::future::pending().await;
    }
    sleep(TRACK_LINGER).await;
}
