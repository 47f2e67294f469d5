//! Receives the pictures of a session: one rendition, or two while it goes from one to the other.

use super::{
    ReceivedUnit,
    quality::QualityChooser,
    session::Receiving,
    splice::{OVERLAP_NS, Splice},
};
use crate::{catalog::VideoTrack, wire::unit::decode_unit};
use core::time::Duration;
use hang::catalog::PRIORITY;
use moq_net::{Error, broadcast, frame, group, track};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};
use studio_frame::prelude::*;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep_until},
};

/// How long a track that the catalog no longer names may still end by itself.
const TRACK_LINGER: Duration = Duration::from_millis(300);
/// Units between the tracks' tasks and what joins them.
const PARTS: usize = 64;
/// How often a rendition is chosen.
const SECOND: Duration = Duration::from_secs(1);
/// Pictures that wait so long on the way, in milliseconds, are passed over at a key frame that is asked for, not more often than
/// this.
const LATE_MS: f64 = 350.0;
const SKIP_EVERY: Duration = Duration::from_secs(2);
/// A group that brings nothing for so long while a newer one is there already is left for it.
const STALLED: Duration = Duration::from_millis(200);
/// How far behind a newer group an older one may be then.
const LATE_AGE: Duration = Duration::from_millis(60);
/// How long a key frame of a later moment is waited for, while another rendition is shown and while none is. After that the times
/// of the two do not compare.
const JOIN_PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];

/// What came of a track, or that it is over.
struct Part {
    track: Arc<str>,
    unit: Option<ReceivedUnit>,
}

/// What is shown now, for the task of a track that is to follow.
#[derive(Default)]
struct Shown {
    /// One more than the time of the newest picture; 0 for none.
    newest_ns: AtomicU64,
    /// Whether no other track is shown.
    alone: AtomicBool,
}

/// The task of a track, and the hold on its subscription once it has one.
struct Running {
    task: AbortHandle,
    control: Arc<OnceLock<track::Control>>,
}

struct Videos {
    broadcast: broadcast::Consumer,
    offered: watch::Receiver<Vec<VideoTrack>>,
    to: Receiving,
    splice: Splice,
    shown: Arc<Shown>,
    tasks: JoinSet<()>,
    running: BTreeMap<String, Running>,
    /// Tracks that ended: names are not used twice.
    over: BTreeSet<String>,
    parts_in: mpsc::Sender<Part>,
    chooser: QualityChooser,
    began: Instant,
    gone_since: Option<Instant>,
    skipped_at: Option<Instant>,
}

/// Receives the rendition that is chosen, of those that the catalog names, for as long as the session lasts.
pub(super) async fn videos(broadcast: broadcast::Consumer, offered: watch::Receiver<Vec<VideoTrack>>, to: Receiving) {
    let (parts_in, mut parts) = mpsc::channel(PARTS);
    let mut videos = Videos {
        broadcast,
        offered: offered.clone(),
        to,
        splice: Splice::default(),
        shown: Arc::default(),
        tasks: JoinSet::new(),
        running: BTreeMap::new(),
        over: BTreeSet::new(),
        parts_in,
        chooser: QualityChooser::default(),
        began: Instant::now(),
        gone_since: None,
        skipped_at: None,
    };
    let mut changes = offered;
    let mut seconds = interval(SECOND);
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    videos.to.selection.restart();
    videos.choose();
    loop {
        let due = videos.due();
        let wait = async {
            match due {
                Some(at) => sleep_until(at.into()).await,
                None => core::future::pending().await,
            }
        };
        let selection = videos.to.selection.clone();
        tokio::select! {
            part = parts.recv() => match part {
                Some(part) => videos.take(part),
                None => return,
            },
            () = wait => videos.poll(),
            () = selection.changed() => videos.choose(),
            changed = changes.changed() => match changed {
                Ok(()) => videos.choose(),
                Err(_) => return,
            },
            _ = seconds.tick() => videos.second(),
        }
    }
}

impl Videos {
    /// Estimates what can be taken, and chooses by that.
    fn second(&mut self) {
        let lowered_before = self.to.outbox.meter.wanted_bps().is_some();
        let queue_ms = self.to.outbox.meter.estimate(self.to.outbox.units.waiting());
        self.choose();
        // The studio has had a second to send less. What still waits in front of its pictures is passed over: the next group goes
        // before the one that is late.
        let late = lowered_before && queue_ms > LATE_MS && self.splice.next().is_none();
        if late && self.skipped_at.is_none_or(|at| at.elapsed() > SKIP_EVERY) {
            self.skipped_at = Some(Instant::now());
            self.to.reporter.request_key_frame();
        }
        let max_age = if late { LATE_AGE } else { self.to.config.max_age };
        if let Some(control) = self.splice.current().and_then(|track| self.running.get(track)?.control.get())
            && (late || queue_ms < LATE_MS / 4.0)
            && control.subscription().max_age != max_age
            && let Err(error) = control.update(control.subscription().with_max_age(max_age))
        {
            tracing::debug!(%error, "the track takes no other age");
        }
    }

    /// Chooses a rendition, and goes over to it.
    fn choose(&mut self) {
        let offered = self.offered.borrow_and_update().clone();
        let now = Instant::now();
        let now_s = (now - self.began).as_secs_f64();
        let wanted_bps = self.to.outbox.meter.wanted_bps();
        let target = self.to.selection.choose(&mut self.chooser, &offered, &self.over, wanted_bps, now_s);
        let named = |track: &str| offered.iter().any(|video| video.track == track);
        self.over.retain(|track| named(track));
        match self.splice.current() {
            Some(current) if !named(current) => drop(self.gone_since.get_or_insert(now)),
            _ => self.gone_since = None,
        }
        if target.as_deref() == self.splice.current() {
            self.splice.go_to(None);
        } else if let Some(target) = &target
            && self.splice.next() != Some(target)
        {
            self.splice.go_to(Some(target));
            self.receive(target.as_str().into());
        }
        self.settle();
    }

    fn receive(&mut self, track: Arc<str>) {
        let control = Arc::default();
        let joins = Joining { shown: self.shown.clone(), control: Arc::clone(&control), since: Instant::now() };
        let (broadcast, described, to, parts) =
            (self.broadcast.clone(), self.offered.clone(), self.to.clone(), self.parts_in.clone());
        let name = track.clone();
        let task = async move {
            if let Err(error) = receive_video(broadcast, &name, described, joins, &parts, to).await {
                tracing::debug!(%error, track = &*name, "the track ended");
            }
            // An error says that the session is over.
            let _ = parts.send(Part { track: name, unit: None }).await;
        };
        let task = self.tasks.spawn(task);
        if let Some(before) = self.running.insert(track.to_string(), Running { task, control }) {
            before.task.abort();
        }
    }

    fn take(&mut self, Part { track, unit }: Part) {
        let (units, now) = (&self.to.outbox.units, Instant::now());
        match unit {
            Some(unit) => self.splice.take(&track, unit, now, |unit| units.send(unit)),
            // What was left on purpose may come again.
            None if !self.running.contains_key(&*track) => return,
            None => {
                self.splice.ended(&track, now, |unit| units.send(unit));
                self.over.insert(track.to_string());
                self.choose();
            }
        }
        self.settle();
    }

    fn due(&self) -> Option<Instant> {
        let gone = self.gone_since.map(|since| since + TRACK_LINGER);
        self.splice.deadline().into_iter().chain(gone).min()
    }

    fn poll(&mut self) {
        let (units, now) = (&self.to.outbox.units, Instant::now());
        self.splice.poll(now, |unit| units.send(unit));
        if self.gone_since.is_some_and(|since| now >= since + TRACK_LINGER)
            && let Some(gone) = self.splice.current().map(str::to_owned)
        {
            self.gone_since = None;
            self.splice.ended(&gone, now, |unit| units.send(unit));
        }
        self.settle();
    }

    /// Ends what is of no use any more, and tells what is.
    fn settle(&mut self) {
        let (current, next) = (self.splice.current(), self.splice.next());
        self.running.retain(|track, running| {
            let useful = Some(track.as_str()) == current || Some(track.as_str()) == next;
            if !useful {
                running.task.abort();
            }
            useful
        });
        while self.tasks.try_join_next().is_some() {}
        self.shown.newest_ns.store(self.splice.newest().map_or(0, |newest| newest.0.saturating_add(1)), Ordering::Relaxed);
        self.shown.alone.store(current.is_none(), Ordering::Relaxed);
        self.to.selection.note(current.or(next));
    }
}

/// A track that is to follow what is shown.
struct Joining {
    shown: Arc<Shown>,
    control: Arc<OnceLock<track::Control>>,
    since: Instant,
}

impl Joining {
    /// Whether older groups are left for newer ones at once.
    fn catches_up(&self) -> bool {
        self.control.get().is_some_and(|control| control.subscription().max_age == LATE_AGE)
    }

    /// Whether a group that begins at `pts` goes on from what is shown.
    fn may_begin(&self, pts: MediaTime) -> bool {
        let alone = self.shown.alone.load(Ordering::Relaxed);
        let newest_ns = self.shown.newest_ns.load(Ordering::Relaxed);
        newest_ns <= pts.0.saturating_add(OVERLAP_NS / 2) || self.since.elapsed() > JOIN_PATIENCE[usize::from(alone)]
    }
}

/// The next frame of a group. The group is too old when nothing of it comes for a while although a newer one is there, which is
/// left in `ahead`: what the studio has handed to the network it sends, newer groups first, so on a path that has become narrow the
/// last pictures of a group may come long after the next group's.
async fn in_time(
    group: &mut group::Consumer,
    groups: &mut track::Ordered,
    ahead: &mut Option<group::Consumer>,
) -> Result<Option<frame::Frame>, Error> {
    loop {
        tokio::select! {
            biased;
            frame = group.read_frame() => return frame,
            next = groups.next_group(), if ahead.is_none() => match next {
                Ok(Some(next)) => *ahead = Some(next),
                // The track's end, or what went wrong with it, is met again once this group is read.
                Ok(None) | Err(_) => return group.read_frame().await,
            },
            () = tokio::time::sleep(STALLED), if ahead.is_some() => return Err(Error::Old),
        }
    }
}

async fn receive_video(
    broadcast: broadcast::Consumer,
    name: &Arc<str>,
    described: watch::Receiver<Vec<VideoTrack>>,
    joins: Joining,
    parts: &mpsc::Sender<Part>,
    to: Receiving,
) -> Result<(), Error> {
    // A late joiner starts with the newest group; only from then on may one be as late as the settings allow. Until then what
    // is gone over to goes before what is left.
    let wish = track::Subscription::default().with_priority(PRIORITY.video + 1);
    let subscriber = broadcast.track(name)?.subscribe(wish).await?;
    let control = joins.control.get_or_init(|| subscriber.control());
    let mut groups = subscriber.ordered();
    let mut info: Arc<StreamInfo> = Arc::default();
    let (mut last_group, mut gap): (Option<u64>, bool) = (None, true);
    let mut ahead = None;
    'groups: loop {
        let next = match ahead.take() {
            Some(group) => Some(group),
            None => groups.next_group().await?,
        };
        let Some(mut group) = next else { return Ok(()) };
        let sequence = group.sequence;
        let mut begins = last_group.is_none();
        if !begins {
            let skipped = last_group.map_or(0, |last| sequence.saturating_sub(last + 1));
            gap |= skipped > 0;
            last_group = Some(sequence);
            if joins.catches_up() {
                to.outbox.meter.passed_over(skipped);
            }
            to.outbox.meter.count(|stats| {
                stats.groups += 1;
                stats.groups_skipped += skipped;
            });
        }
        loop {
            let frame = match in_time(&mut group, &mut groups, &mut ahead).await {
                Ok(Some(frame)) => frame.payload,
                Ok(None) => break,
                Err(error) => {
                    // Too old, or lost on the way; the next group starts afresh.
                    tracing::debug!(%error, sequence, "a group broke off");
                    // One that was joined in its middle, and gives way before anything of it is of use, is no loss.
                    to.outbox.meter.count(|stats| stats.groups_skipped += u64::from(!begins));
                    gap = true;
                    if matches!(error, Error::Old) {
                        // The one that it gave way to is there.
                        to.outbox.meter.passed_over(u64::from(joins.catches_up() && !begins));
                    } else {
                        to.reporter.request_key_frame();
                    }
                    break;
                }
            };
            let arrived_at = UnixTime::now();
            to.outbox.meter.arrived(frame.len());
            let unit = match decode_unit(&frame) {
                Ok(unit) => unit,
                Err(error) => {
                    to.garbage(error);
                    gap = true;
                    to.reporter.request_key_frame();
                    continue;
                }
            };
            if gap && !unit.unit.key_frame {
                to.outbox.meter.count(|stats| stats.access_units_dropped += 1);
                continue;
            }
            if begins {
                if !joins.may_begin(unit.unit.stamp.pts) {
                    // It began before what is shown already: the rest of it would only be decoded. The next one does.
                    to.reporter.request_key_frame();
                    continue 'groups;
                }
                begins = false;
                last_group = Some(sequence);
                to.outbox.meter.count(|stats| stats.groups += 1);
                let wish = track::Subscription::default().with_priority(PRIORITY.video);
                control.update(wish.with_max_age(to.config.max_age))?;
            }
            if let Some(video) = described.borrow().iter().find(|video| *video.track == **name && video.info != *info) {
                info = Arc::new(video.info.clone());
            }
            to.outbox.meter.count(|stats| stats.access_units += 1);
            to.outbox.meter.travelled(unit.sent_at, arrived_at);
            let received = ReceivedUnit {
                unit: unit.unit,
                track: name.clone(),
                info: info.clone(),
                session: to.session,
                sent_at: unit.sent_at,
                arrived_at,
                after_gap: core::mem::take(&mut gap),
                decode_only: false,
            };
            if parts.send(Part { track: name.clone(), unit: Some(received) }).await.is_err() {
                return Ok(());
            }
        }
    }
}
