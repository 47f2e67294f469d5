//! Tells the publisher how this viewer fares.

use super::inbox::Outbox;
use crate::report::{GazeSample, MAX_GAZE_SAMPLES, Percentiles, REPORT_TRACK, ViewerId, ViewerReport};
use bytes::Bytes;
use core::time::Duration;
use moq_net::{Error, Timescale, Timestamp, broadcast, origin, track};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc, time::Instant};
use tokio::{
    sync::Notify,
    time::{sleep_until, timeout_at},
};

/// How often a report is sent.
const EVERY: Duration = Duration::from_secs(1);
/// Reports that ask for a key frame are this far apart at least.
const URGENT_EVERY: Duration = Duration::from_millis(100);
/// Directions are remembered this far apart.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a report may wait to be read.
const MAX_AGE: Duration = Duration::from_secs(2);

#[derive(Default)]
struct State {
    report: ViewerReport,
    looks: VecDeque<(Instant, f64, f64)>,
    key_frame_requests: u64,
}

struct Shared {
    id: ViewerId,
    state: Mutex<State>,
    urgent: Notify,
}

/// What a viewer's program tells of itself, put into the reports that its [`Subscriber`](super::Subscriber) sends. Clones
/// share it; any thread may write.
#[derive(Clone)]
pub struct Reporter(Arc<Shared>);

impl Reporter {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { id: ViewerId::random(), state: Mutex::default(), urgent: Notify::new() }))
    }

    /// Whom the viewer reports as.
    pub fn id(&self) -> ViewerId {
        self.0.id
    }

    /// Changes what the next report says. Session, track, round trip, bits received and counts of what was received are the
    /// subscriber's own and set by it; so are directions, which [`look`](Self::look) takes.
    pub fn update(&self, change: impl FnOnce(&mut ViewerReport)) {
        change(&mut self.0.state.lock().report);
    }

    /// Notes where the viewer looks, in degrees to the right from the picture's middle and up. Ten a second are kept.
    pub fn look(&self, yaw_deg: f64, pitch_deg: f64) {
        let (mut state, now) = (self.0.state.lock(), Instant::now());
        if !(yaw_deg.is_finite() && pitch_deg.is_finite())
            || state.looks.back().is_some_and(|(last, ..)| now.duration_since(*last) < LOOK_EVERY)
        {
            return;
        }
        if state.looks.len() == MAX_GAZE_SAMPLES {
            state.looks.pop_front();
        }
        let yaw_deg = (yaw_deg + 180.0).rem_euclid(360.0) - 180.0;
        state.looks.push_back((now, yaw_deg, pitch_deg.clamp(-90.0, 90.0)));
    }

    /// Asks for a key frame instead of waiting for the next one: what came cannot be decoded. The report leaves at once; the
    /// publisher joins the wishes of its viewers.
    pub fn request_key_frame(&self) {
        self.0.state.lock().key_frame_requests += 1;
        self.0.urgent.notify_one();
    }

    /// Key frames asked for so far.
    pub fn key_frame_requests(&self) -> u64 {
        self.0.state.lock().key_frame_requests
    }

    /// The report that is due, and forgets the directions in it.
    fn take(&self, fill: impl FnOnce(&mut ViewerReport)) -> ViewerReport {
        let now = Instant::now();
        let mut state = self.0.state.lock();
        let mut report = state.report.clone();
        report.key_frame_requests = Some(state.key_frame_requests);
        report.gaze = state
            .looks
            .drain(..)
            .map(|(at, yaw_deg, pitch_deg)| {
                let ms_before_report = now.duration_since(at).as_secs_f64() * 1000.0;
                GazeSample { ms_before_report, yaw_deg, pitch_deg }
            })
            .collect();
        fill(&mut report);
        report
    }
}

/// The broadcast of one session's reports. It is over when this is dropped.
pub(super) struct Reports {
    broadcast: broadcast::Producer,
    track: track::Producer,
    started: Instant,
}

impl Reports {
    /// Makes and announces it.
    pub(super) fn announce(origin: &origin::Producer, id: ViewerId) -> Result<Self, Error> {
        let broadcast = origin.create_broadcast(id.broadcast())?;
        let info = track::Info::default().with_timescale(Timescale::MICRO).with_max_age(MAX_AGE);
        let track = broadcast.create_track(REPORT_TRACK, info)?;
        broadcast.announce(origin::Route::default())?;
        Ok(Self { broadcast, track, started: Instant::now() })
    }

    /// Sends reports for as long as the session lasts.
    pub(super) async fn run(
        mut self,
        reporter: Reporter,
        outbox: &Outbox,
        session: u64,
        video: impl Fn() -> Option<String>,
        round_trip: impl Fn() -> Duration,
    ) -> Result<(), Error> {
        let meter = &outbox.meter;
        let mut asked = reporter.key_frame_requests();
        let mut last = tokio::time::Instant::now() - EVERY;
        loop {
            // A wish may have come while the last report was written: the counter tells, the notice only wakes.
            while reporter.key_frame_requests() == asked && timeout_at(last + EVERY, reporter.0.urgent.notified()).await.is_ok() {
            }
            sleep_until(last + URGENT_EVERY).await;
            last = tokio::time::Instant::now();
            let stats = meter.stats();
            let rtt = round_trip();
            meter.round_trip(rtt);
            let report = reporter.take(|report| {
                report.session = Some(format!("{session:016x}"));
                report.video = video();
                report.round_trip_ms = Some(rtt.as_secs_f64() * 1000.0);
                report.clock_offset_ms = stats.clock.map(|clock| clock.offset_ms);
                report.received_bps = Some(stats.bitrate_bps as f64);
                report.wanted_bps = meter.wanted_bps();
                report.pictures = Some(stats.access_units);
                report.pictures_lost = Some(stats.access_units_dropped);
                report.groups_skipped = Some(stats.groups_skipped);
                (report.tiles, report.tiles_lost) = (Some(stats.tiles), Some(stats.lost_tiles));
                report.garbage = Some(stats.garbage);
            });
            asked = report.key_frame_requests.unwrap_or(0);
            match report.to_json() {
                Ok(json) => {
                    let now = Timestamp::from_micros(self.started.elapsed().as_micros() as u64)
                        .map_err(|_| Error::TimestampMismatch)?;
                    self.track.write_frame(now, Bytes::from(json))?;
                }
                Err(error) => tracing::warn!(%error, "the viewer's report is not sent"),
            }
        }
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.broadcast.close();
    }
}

/// Percentiles of some times in milliseconds; none of none. Sorts them.
pub fn percentiles_ms(times_ms: &mut [f64]) -> Option<Percentiles> {
    times_ms.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times_ms.get(((times_ms.len() as f64 * share).ceil() as usize).saturating_sub(1)).copied();
    Some(Percentiles { p50: at(0.5)?, p95: at(0.95)? })
}
