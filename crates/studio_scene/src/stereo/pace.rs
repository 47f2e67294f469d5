//! When a scene's pictures are due where no picture on an input sets the pace.

use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_graph::prelude::*;

/// The pace of one node's own pictures.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pace {
    /// Pictures asked for so far.
    count: u64,
    /// When the first was due, and ticks of the clock since.
    started: Option<Instant>,
    tick: u64,
}

impl Pace {
    /// The stamp of the picture that is due now, if one is, and when the next will be. Live, ticks that passed unused are left
    /// out; offline every picture is made, at exact times.
    pub fn due(&mut self, clock: StudioClock, fps: f32, now: Instant) -> (Option<FrameStamp>, Option<Instant>) {
        let fps = f64::from(fps.clamp(0.1, 1000.0));
        let at = |tick: u64| Duration::from_secs_f64(tick as f64 / fps);
        if clock == StudioClock::Offline {
            let pts = at(self.count).as_nanos() as u64;
            return (Some(FrameStamp { frame_id: self.count, captured_at: UnixTime(pts), pts: MediaTime(pts) }), None);
        }
        let started = *self.started.get_or_insert(now);
        let passed = (now.saturating_duration_since(started).as_secs_f64() * fps + 1e-3) as u64;
        if passed < self.tick {
            return (None, Some(started + at(self.tick)));
        }
        self.tick = passed;
        let pts = MediaTime(at(passed).as_nanos() as u64);
        let late = now.saturating_duration_since(started + at(passed)).as_nanos() as u64;
        // The moment that the picture shows is the tick, not when the loop came round to it.
        let captured_at = UnixTime(UnixTime::now().0.saturating_sub(late));
        (Some(FrameStamp { frame_id: self.count, captured_at, pts }), Some(started + at(passed + 1)))
    }

    /// The picture that was due was asked for.
    pub fn taken(&mut self) {
        self.count += 1;
        self.tick += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offline_pictures_come_at_exact_times_however_long_they_take() {
        let mut pace = Pace::default();
        let stamps: Vec<FrameStamp> = (0..3)
            .filter_map(|_| {
                let (stamp, _) = pace.due(StudioClock::Offline, 50.0, Instant::now());
                pace.taken();
                stamp
            })
            .collect();
        let times: Vec<u64> = stamps.iter().map(|stamp| stamp.pts.as_micros()).collect();
        assert_eq!(times, [0, 20_000, 40_000]);
        assert_eq!(stamps.iter().map(|stamp| stamp.frame_id).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn live_ticks_that_passed_are_left_out_and_frames_are_counted_without_gaps() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let first = pace.due(StudioClock::Live, 10.0, start).0.expect("at once");
        pace.taken();
        assert_eq!(pace.due(StudioClock::Live, 10.0, start + Duration::from_millis(50)).0, None);
        let third = pace.due(StudioClock::Live, 10.0, start + Duration::from_millis(230)).0.expect("due");
        assert_eq!((first.frame_id, third.frame_id, third.pts.as_micros()), (0, 1, 200_000));
        pace.taken();
        let (none, next) = pace.due(StudioClock::Live, 10.0, start + Duration::from_millis(240));
        assert_eq!((none, next), (None, Some(start + Duration::from_millis(300))));
    }
}
