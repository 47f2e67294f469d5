//! The viewers as they tell of themselves: one report a second each, where they look, and their wishes for key frames.
//!
//! Nothing here trusts a viewer. Reports are bounded in size and rate, and only their sender's are read from its session: a
//! viewer speaks for itself alone.

use super::video::Renditions;
use crate::report::{GazeMap, MAX_REPORT_BYTES, REPORT_TRACK, VIEWERS_PREFIX, ViewerId, ViewerReport};
use core::time::Duration;
use moq_net::{Error, Pattern, Patterns, broadcast, cache, origin, track};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};
use studio_frame::prelude::*;

/// Reports that are read of one viewer in a second; the rest is dropped.
const REPORTS_A_SECOND: u32 = 20;
/// Directions that are taken of one viewer in a second.
const LOOKS_A_SECOND: u32 = 32;
/// Broadcasts that a session may announce at once. One is read; a few more may be an old one that is on its way out.
const MAX_ANNOUNCED: usize = 4;
/// Bytes of a viewer's reports that may wait to be read.
const CACHE_BYTES: u64 = 256 * 1024;
/// Reports kept for the log, of all viewers together: those of 3 viewers over an hour.
const LOG_RECORDS: usize = 10_800;
/// Older reports say nothing of what a viewer can take now.
const FRESH: Duration = Duration::from_secs(5);
/// Viewers that left and are remembered.
const GONE_KEPT: usize = 256;
/// Cells of the heat map: 2.8° a side.
const MAP_CELLS: (usize, usize) = (128, 64);
/// What was looked at so long ago counts half in the map of what is looked at now.
const HALF_LIFE: Duration = Duration::from_secs(10);
/// How often that map fades.
const FADE_EVERY: Duration = Duration::from_millis(200);

/// How the packets of one viewer fare, as the publisher's end of the connection sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ViewerPath {
    /// The smoothed round trip.
    pub round_trip: Duration,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets of these that were lost, and sent again where that was of use.
    pub packets_lost: u64,
    /// Bytes sent, headers and repeats included.
    pub bytes_sent: u64,
    /// What congestion control lets be on its way at once, in bytes.
    pub window_bytes: u64,
}

/// A viewer, and what it said last.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewerStatus {
    /// Counts the sessions of this publisher.
    pub connection: u64,
    /// Whom the viewer reports as; none until it does.
    pub id: Option<ViewerId>,
    /// Where it is.
    pub address: SocketAddr,
    /// When it came.
    pub joined_at: UnixTime,
    /// When it left; none while it is here.
    pub left_at: Option<UnixTime>,
    /// When its newest report came.
    pub reported_at: Option<UnixTime>,
    /// The newest report.
    pub report: Option<Arc<ViewerReport>>,
    /// Reports read.
    pub reports: u64,
    /// Reports that were not understood.
    pub garbage: u64,
    /// Reports dropped because they came too fast.
    pub dropped: u64,
    /// How its packets fare.
    pub path: ViewerPath,
}

/// A report in the log.
#[derive(Clone, Debug)]
pub struct ViewerRecord {
    /// When it came.
    pub at: UnixTime,
    /// The session that it came on: [`ViewerStatus::connection`].
    pub connection: u64,
    /// The report.
    pub report: Arc<ViewerReport>,
}

/// All that is known of the viewers of a stream, those that left included.
#[derive(Clone, Debug)]
pub struct ViewerLog {
    /// The viewers, in the order they came: those that are here, and the latest that left.
    pub viewers: Vec<ViewerStatus>,
    /// The reports, oldest first.
    pub records: Vec<ViewerRecord>,
    /// Older reports that are not kept any more.
    pub records_dropped: u64,
    /// Where the viewers looked since the stream began.
    pub gaze: GazeMap,
}

struct State {
    present: BTreeMap<u64, ViewerStatus>,
    gone: VecDeque<ViewerStatus>,
    records: VecDeque<ViewerRecord>,
    records_dropped: u64,
    now: GazeMap,
    faded_at: Instant,
    ever: GazeMap,
}

/// Collects what viewers say. Shared by the sessions' tasks.
pub(super) struct Viewers {
    state: Mutex<State>,
    renditions: Arc<Renditions>,
}

impl Viewers {
    pub(super) fn new(renditions: Arc<Renditions>) -> Self {
        let map = GazeMap::new(MAP_CELLS.0, MAP_CELLS.1);
        let state = State {
            present: BTreeMap::new(),
            gone: VecDeque::new(),
            records: VecDeque::new(),
            records_dropped: 0,
            now: map.clone(),
            faded_at: Instant::now(),
            ever: map,
        };
        Self { state: Mutex::new(state), renditions }
    }

    pub(super) fn join(&self, connection: u64, address: SocketAddr) {
        let status = ViewerStatus {
            connection,
            id: None,
            address,
            joined_at: UnixTime::now(),
            left_at: None,
            reported_at: None,
            report: None,
            reports: 0,
            garbage: 0,
            dropped: 0,
            path: ViewerPath::default(),
        };
        self.state.lock().present.insert(connection, status);
    }

    pub(super) fn leave(&self, connection: u64, path: ViewerPath) {
        let mut state = self.state.lock();
        if let Some(mut status) = state.present.remove(&connection) {
            status.left_at = Some(UnixTime::now());
            status.path = path;
            if state.gone.len() == GONE_KEPT {
                state.gone.pop_front();
            }
            state.gone.push_back(status);
        }
    }

    /// The viewers that are here.
    pub(super) fn present(&self) -> Vec<ViewerStatus> {
        self.state.lock().present.values().cloned().collect()
    }

    /// What the viewer of a rendition that can take least can take.
    pub(super) fn wanted_bps(&self, rendition: usize) -> Option<u64> {
        let now = UnixTime::now();
        let state = self.state.lock();
        let fresh = state.present.values().filter(|status| status.reported_at.is_some_and(|at| now.since(at) < FRESH));
        let wanted = fresh.filter_map(|status| {
            let report = status.report.as_ref()?;
            report.wanted_bps.filter(|_| self.renditions.meant(report.video.as_deref()) == Some(rendition))
        });
        wanted.map(|bps| bps as u64).min()
    }

    /// Where viewers look now: the last seconds count most.
    pub(super) fn gaze_now(&self) -> GazeMap {
        let mut state = self.state.lock();
        state.fade(Instant::now());
        state.now.clone()
    }

    pub(super) fn log(&self) -> ViewerLog {
        let state = self.state.lock();
        let mut viewers: Vec<_> = state.gone.iter().chain(state.present.values()).cloned().collect();
        viewers.sort_by_key(|viewer| viewer.connection);
        let records = state.records.iter().cloned().collect();
        ViewerLog { viewers, records, records_dropped: state.records_dropped, gaze: state.ever.clone() }
    }

    fn count(&self, connection: u64, change: impl FnOnce(&mut ViewerStatus)) {
        if let Some(status) = self.state.lock().present.get_mut(&connection) {
            change(status);
        }
    }

    fn take(&self, connection: u64, report: ViewerReport, looks: usize) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.fade(Instant::now());
        for sample in report.gaze.iter().take(looks) {
            state.now.add(sample);
            state.ever.add(sample);
        }
        let (at, report) = (UnixTime::now(), Arc::new(report));
        if let Some(status) = state.present.get_mut(&connection) {
            status.reports += 1;
            status.reported_at = Some(at);
            status.report = Some(report.clone());
        }
        if state.records.len() == LOG_RECORDS {
            state.records.pop_front();
            state.records_dropped += 1;
        }
        state.records.push_back(ViewerRecord { at, connection, report });
    }

    /// Reads what the viewer at the other end of a session says of itself, until the session ends. Fails if it announces more
    /// than it may.
    pub(super) async fn listen(&self, connection: u64, announced: &origin::Consumer) -> Result<(), Error> {
        let mut updates = announced.announced();
        let mut names = std::collections::HashSet::new();
        let mut reading: Option<(String, core::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>)> = None;
        loop {
            let update = tokio::select! {
                update = updates.next() => update,
                () = async {
                    match &mut reading {
                        Some((_, read)) => read.await,
                        None => core::future::pending().await,
                    }
                } => {
                    // Its broadcast is over; another may be announced.
                    reading = None;
                    continue;
                }
            };
            let Some(update) = update else { return Ok(()) };
            let name = update.prefix.as_str().to_owned();
            if !update.kind.is_active() {
                names.remove(&name);
                reading.take_if(|(read, _)| *read == name);
                continue;
            }
            names.insert(name.clone());
            if names.len() > MAX_ANNOUNCED {
                return Err(Error::BoundsExceeded(moq_net::BoundsExceeded));
            }
            if let Some(id) = ViewerId::of_broadcast(&name)
                && reading.is_none()
            {
                let route = announced.clone();
                let wanted = name.clone();
                let read = async move {
                    let read = async { self.read(connection, id, route.routed_broadcast(wanted).await?).await };
                    if let Err(error) = read.await {
                        tracing::debug!(%error, viewer = %id, "the reports ended");
                    }
                };
                reading = Some((name, Box::pin(read)));
            }
        }
    }

    async fn read(&self, connection: u64, id: ViewerId, broadcast: broadcast::Consumer) -> Result<(), Error> {
        self.count(connection, |status| status.id = Some(id));
        let mut groups = broadcast.track(REPORT_TRACK)?.subscribe(track::Subscription::default()).await?.ordered();
        let (mut reports, mut looks) = (Allowance::new(REPORTS_A_SECOND), Allowance::new(LOOKS_A_SECOND));
        let mut requests = 0;
        while let Some(mut group) = groups.next_group().await? {
            // One that became too old while it was read is replaced by the next.
            let Ok(Some(mut frame)) = group.next_frame().await else { continue };
            if reports.take(1) == 0 {
                self.count(connection, |status| status.dropped += 1);
                continue;
            }
            let parsed = if frame.size > MAX_REPORT_BYTES as u64 {
                Err(crate::report::ReportError::TooLarge(usize::try_from(frame.size).unwrap_or(usize::MAX)))
            } else {
                let Ok(json) = frame.read_all().await else { continue };
                ViewerReport::parse(&json)
            };
            match parsed {
                Ok(report) => {
                    let wanted = report.key_frame_requests.unwrap_or(0);
                    if wanted > requests {
                        self.renditions.request_key_frame(report.video.as_deref());
                    }
                    requests = wanted;
                    let looks = looks.take(report.gaze.len() as u32) as usize;
                    self.take(connection, report, looks);
                }
                Err(error) => {
                    tracing::debug!(%error, connection, "a report was not understood");
                    self.count(connection, |status| status.garbage += 1);
                }
            }
        }
        Ok(())
    }
}

impl State {
    fn fade(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.faded_at);
        if elapsed >= FADE_EVERY {
            self.now.decay(elapsed, HALF_LIFE);
            self.faded_at = now;
        }
    }
}

/// So many in a second, and no more.
struct Allowance {
    a_second: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(a_second: u32) -> Self {
        Self { a_second, left: a_second, since: Instant::now() }
    }

    /// Takes as many of `wanted` as are left.
    fn take(&mut self, wanted: u32) -> u32 {
        if self.since.elapsed() >= Duration::from_secs(1) {
            (self.left, self.since) = (self.a_second, Instant::now());
        }
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }
}

/// A place for what the viewer of one session announces: below [`VIEWERS_PREFIX`] and nowhere else, and not much of it.
pub(super) fn viewer_origin() -> Result<(origin::Producer, origin::Driver), Error> {
    let mut settings = origin::Config::default();
    settings.pool = cache::Pool::new(cache::Config::default().with_capacity(CACHE_BYTES).with_expiry(Duration::from_secs(2)));
    settings.cache_duration = Duration::from_secs(2);
    let (origin, driver) = origin::Producer::new(settings);
    let below = Pattern::subtree(VIEWERS_PREFIX)?;
    Ok((origin.scope("", &Patterns::from(below))?, driver))
}
