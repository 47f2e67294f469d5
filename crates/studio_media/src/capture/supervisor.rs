//! The thread behind a source: stamps its frames, shows its state, tries again after failures.

use super::{CaptureClock, CaptureError, CaptureStatus};
use gstreamer as gst;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(10);

#[derive(Default)]
struct State {
    status: CaptureStatus,
    duration: Option<Duration>,
    seekable: bool,
    seek: Option<Duration>,
}

/// What the source's thread and the holder of the [`Capture`](super::Capture) both see.
#[derive(Default)]
pub(crate) struct Shared {
    name: String,
    state: Mutex<State>,
    changed: Condvar,
    stop: AtomicBool,
}

impl Shared {
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), ..Self::default() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn status(&self) -> CaptureStatus {
        self.state.lock().status.clone()
    }

    pub fn duration(&self) -> Option<Duration> {
        self.state.lock().duration
    }

    pub fn set_duration(&self, duration: Option<Duration>, seekable: bool) {
        let mut state = self.state.lock();
        (state.duration, state.seekable) = (duration, seekable);
    }

    fn set_status(&self, status: CaptureStatus) {
        self.state.lock().status = status;
        self.changed.notify_all();
    }

    pub fn wait_while(&self, deadline: Instant, condition: impl Fn(&CaptureStatus) -> bool) -> CaptureStatus {
        let mut state = self.state.lock();
        while condition(&state.status) && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        state.status.clone()
    }

    pub fn request_seek(&self, to: Duration) -> Result<(), CaptureError> {
        let mut state = self.state.lock();
        match &state.status {
            CaptureStatus::EndOfStream => Err(CaptureError::Ended),
            CaptureStatus::Failed { retry_at: None, error } => Err(error.clone()),
            CaptureStatus::Starting | CaptureStatus::Running | CaptureStatus::Failed { .. } if state.seekable => {
                state.seek = Some(to);
                self.changed.notify_all();
                Ok(())
            }
            _ => Err(CaptureError::NotSeekable(self.name.clone())),
        }
    }

    pub fn take_seek(&self) -> Option<Duration> {
        self.state.lock().seek.take()
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn stop(&self) {
        // Under the lock, so that a thread between its check and its wait does not miss it.
        let _state = self.state.lock();
        self.stop.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    /// Sleeps until `deadline`; `false` if the source is to stop.
    pub fn sleep_until(&self, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        while !self.stopping() && !self.changed.wait_until(&mut state, deadline).timed_out() {}
        !self.stopping()
    }
}

/// Numbers frames and places them on one growing time line, also across loops, seeks and restarts.
struct Stamper {
    clock: CaptureClock,
    next_id: u64,
    last_pts_ns: Option<u64>,
    frame_ns: u64,
    offset_ns: u64,
    base_ns: u64,
}

impl Stamper {
    fn restart(&mut self, base_ns: u64) {
        if let Some(last) = self.last_pts_ns {
            self.offset_ns = last + self.frame_ns;
            self.base_ns = base_ns;
        }
    }

    fn follow(&mut self, stretch: Stretch) {
        (self.offset_ns, self.base_ns) = (stretch.offset_ns, stretch.base_ns);
    }

    fn next(&mut self, running_ns: Option<u64>, age: Duration) -> FrameStamp {
        let following = self.last_pts_ns.map_or(self.offset_ns, |last| last + self.frame_ns);
        let wanted =
            running_ns.map_or(following, |running_ns| self.offset_ns.saturating_add(running_ns.saturating_sub(self.base_ns)));
        let pts_ns = self.last_pts_ns.map_or(wanted, |last| wanted.max(last + 1));
        self.last_pts_ns = Some(pts_ns);
        let captured_at = match self.clock {
            CaptureClock::Live => UnixTime(UnixTime::now().0.saturating_sub(age.as_nanos() as u64)),
            CaptureClock::Offline => UnixTime(pts_ns),
        };
        let stamp = FrameStamp { frame_id: self.next_id, captured_at, pts: MediaTime(pts_ns) };
        self.next_id += 1;
        stamp
    }
}

/// Where a stretch of running time lies on a source's time line.
#[derive(Clone, Copy)]
struct Stretch {
    offset_ns: u64,
    base_ns: u64,
}

/// The newest stretches of a source's pictures, by the number of the segment that began each: its sound lies on the same time
/// line, though its own tracks end a little earlier or later.
#[derive(Default)]
struct Stretches {
    newest: Mutex<VecDeque<(gst::Seqnum, Stretch)>>,
    changed: Condvar,
}

impl Stretches {
    /// How many are kept: sound and pictures are seldom more than one apart.
    const KEPT: usize = 8;
    /// How long sound waits for the pictures to begin a stretch. Containers that number their tracks' segments differently
    /// have to wait in vain.
    const PATIENCE: Duration = Duration::from_millis(500);

    fn note(&self, segment: gst::Seqnum, stretch: Stretch) {
        let mut newest = self.newest.lock();
        if newest.len() == Self::KEPT {
            newest.pop_front();
        }
        newest.push_back((segment, stretch));
        drop(newest);
        self.changed.notify_all();
    }

    /// The stretch of a segment, or the newest one if the pictures know of no such segment.
    fn wait_for(&self, segment: gst::Seqnum) -> Option<Stretch> {
        let deadline = Instant::now() + Self::PATIENCE;
        let mut newest = self.newest.lock();
        loop {
            if let Some((_, stretch)) = newest.iter().find(|(number, _)| *number == segment) {
                return Some(*stretch);
            }
            if self.changed.wait_until(&mut newest, deadline).timed_out() {
                return newest.back().map(|(_, stretch)| *stretch);
            }
        }
    }
}

/// Where frames (or blocks of sound) go; `false` if nobody takes them any more.
pub(crate) type FrameSink<T = VideoFrame> = Box<dyn Fn(T) -> bool + Send + Sync>;

/// What a running source works with.
pub(crate) struct Feed<T = VideoFrame> {
    pub shared: Arc<Shared>,
    pub clock: CaptureClock,
    stamper: Mutex<Stamper>,
    stretches: Arc<Stretches>,
    /// Whether the stretches are another feed's.
    follows: bool,
    delivered: AtomicU64,
    sink: FrameSink<T>,
}

impl<T> Feed<T> {
    fn new(shared: Arc<Shared>, clock: CaptureClock, sink: FrameSink<T>) -> Self {
        let stamper = Stamper { clock, next_id: 0, last_pts_ns: None, frame_ns: 33_333_333, offset_ns: 0, base_ns: 0 };
        let (stretches, delivered) = (Arc::default(), AtomicU64::new(0));
        Self { shared, clock, stamper: Mutex::new(stamper), stretches, follows: false, delivered, sink }
    }

    /// A feed for something else of the same source, on the same time line. Its own state is nobody's concern.
    pub fn beside<U>(&self, sink: FrameSink<U>) -> Feed<U> {
        let shared = Shared::new(self.shared.name());
        Feed { stretches: self.stretches.clone(), follows: true, ..Feed::new(shared, self.clock, sink) }
    }

    /// Begins the stretch of a segment, which starts at the running time `base_ns`.
    pub fn begin_stretch(&self, segment: gst::Seqnum, base_ns: u64) {
        if self.follows {
            match self.stretches.wait_for(segment) {
                Some(stretch) => self.stamper.lock().follow(stretch),
                None => self.restart_time(base_ns),
            }
            return;
        }
        let stretch = {
            let mut stamper = self.stamper.lock();
            stamper.restart(base_ns);
            Stretch { offset_ns: stamper.offset_ns, base_ns: stamper.base_ns }
        };
        self.stretches.note(segment, stretch);
    }

    /// Begins a new stretch of the source's time line, which starts at the running time `base_ns`. Its first frame follows
    /// the last one at the distance of a frame.
    pub fn restart_time(&self, base_ns: u64) {
        self.stamper.lock().restart(base_ns);
    }

    /// Says how long a frame lasts, for the joint between two stretches.
    pub fn set_frame_duration(&self, duration_ns: u64) {
        self.stamper.lock().frame_ns = duration_ns.max(1);
    }

    /// Stamps a frame of a running time (`None`: right after the frame before it) and
    /// that was due, or captured, `age` ago.
    pub fn stamp(&self, running_ns: Option<u64>, age: Duration) -> FrameStamp {
        self.stamper.lock().next(running_ns, age)
    }

    /// Hands a frame over; `false` if nobody takes frames any more.
    pub fn deliver(&self, frame: T) -> bool {
        if self.delivered.fetch_add(1, Ordering::Relaxed) == 0 || self.shared.status() != CaptureStatus::Running {
            self.shared.set_status(CaptureStatus::Running);
        }
        (self.sink)(frame)
    }

    /// Frames handed over since the start.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }
}

/// How a session ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionEnd {
    /// There are no more frames.
    Ended,
    /// It was asked to stop.
    Stopped,
}

/// Work that opens a source and delivers its frames until it ends, fails, or is to stop.
pub(crate) type Session<T = VideoFrame> = Box<dyn FnMut(&Arc<Feed<T>>) -> Result<SessionEnd, CaptureError> + Send>;

/// Stops the thread and waits for it when dropped.
pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Supervisor {
    pub fn spawn<T: 'static>(
        shared: Arc<Shared>,
        clock: CaptureClock,
        sink: FrameSink<T>,
        session: Session<T>,
    ) -> Result<Self, CaptureError> {
        let feed = Arc::new(Feed::new(shared.clone(), clock, sink));
        let thread = thread::Builder::new()
            .name("capture".into())
            .spawn(move || supervise(&feed, session))
            .map_err(|error| CaptureError::Lost { source_name: shared.name().into(), reason: format!("no thread: {error}") })?;
        Ok(Self { shared, thread: Some(thread) })
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.shared.stop();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the capture thread of {} panicked", self.shared.name());
        }
    }
}

fn supervise<T>(feed: &Arc<Feed<T>>, mut session: Session<T>) {
    let shared = &feed.shared;
    let mut pause = FIRST_RETRY;
    while !shared.stopping() {
        let before = feed.delivered();
        let error = match session(feed) {
            Ok(SessionEnd::Stopped) => return,
            Ok(SessionEnd::Ended) => return shared.set_status(CaptureStatus::EndOfStream),
            Err(error) => error,
        };
        if error.is_permanent() {
            tracing::warn!("{error}");
            return shared.set_status(CaptureStatus::Failed { error, retry_at: None });
        }
        if feed.delivered() > before {
            pause = FIRST_RETRY;
        }
        tracing::warn!("{error}; next try in {:.1} s", pause.as_secs_f32());
        let retry_at = UnixTime(UnixTime::now().0 + pause.as_nanos() as u64);
        shared.set_status(CaptureStatus::Failed { error, retry_at: Some(retry_at) });
        if !shared.sleep_until(Instant::now() + pause) {
            return;
        }
        pause = (pause * 2).min(LAST_RETRY);
        feed.restart_time(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(session: Session, clock: CaptureClock) -> (QueueReceiver<VideoFrame>, Arc<Shared>, Supervisor) {
        let (sender, receiver) = clock.queue();
        let shared = Shared::new("a source");
        let sink: FrameSink = Box::new(move |frame| sender.send(frame) != studio_frame::queue::Sent::Closed);
        let supervisor = Supervisor::spawn(shared.clone(), clock, sink, session).unwrap();
        (receiver, shared, supervisor)
    }

    fn frame(stamp: FrameStamp) -> VideoFrame {
        let size = bevy::math::UVec2::splat(2);
        VideoFrame::from_packed(stamp, PixelFormat::Nv12, size, ColorInfo::BT709, vec![0; 6].into()).unwrap()
    }

    #[test]
    fn a_lost_source_is_tried_again_and_its_stamps_go_on() {
        let mut attempt = 0;
        let session: Session = Box::new(move |feed| {
            attempt += 1;
            feed.set_frame_duration(10);
            feed.deliver(frame(feed.stamp(Some(0), Duration::ZERO)));
            feed.deliver(frame(feed.stamp(None, Duration::ZERO)));
            if attempt == 1 {
                Err(CaptureError::Lost { source_name: "it".into(), reason: "unplugged".into() })
            } else {
                Ok(SessionEnd::Ended)
            }
        });
        let (receiver, shared, supervisor) = source(session, CaptureClock::Offline);
        let stamps: Vec<_> = (0..4).map(|_| receiver.recv_timeout(Duration::from_secs(5)).unwrap().stamp).collect();
        assert_eq!(stamps.iter().map(|stamp| stamp.frame_id).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(stamps.iter().map(|stamp| stamp.pts.0).collect::<Vec<_>>(), [0, 10, 20, 30]);
        drop(supervisor);
        assert_eq!(shared.status(), CaptureStatus::EndOfStream);
    }

    #[test]
    fn a_failed_source_says_when_it_is_tried_again_and_stops_at_once() {
        let session: Session = Box::new(|_| Err(CaptureError::Timeout { source_name: "it".into(), seconds: 1 }));
        let (_receiver, shared, supervisor) = source(session, CaptureClock::Live);
        let status = shared.wait_while(Instant::now() + Duration::from_secs(5), |status| *status == CaptureStatus::Starting);
        assert!(matches!(status, CaptureStatus::Failed { retry_at: Some(_), .. }), "{status:?}");
        let start = Instant::now();
        drop(supervisor);
        assert!(start.elapsed() < Duration::from_millis(300));
    }
}
