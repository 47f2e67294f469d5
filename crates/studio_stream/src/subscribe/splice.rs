//! Goes from one rendition to another in the middle of a stream.
//!
//! The old one goes on until the new one has a key frame of a later moment. From that moment on the new one's pictures are handed
//! out, and before it the old one's, for as long as they can be waited for: none twice, none out of order, none left out where
//! the old one is in time.

use super::ReceivedUnit;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// How long the old rendition's last pictures are waited for once the new one has begun.
const HOLD: Duration = Duration::from_millis(120);
/// How far behind what was shown a picture may be that a full path held back. What is farther behind has another clock.
const STALE_NS: u64 = 10_000_000_000;
/// Pictures of the new one that are held meanwhile, at most.
const HELD: usize = 64;
/// A group may begin so long before the newest picture: what was shown already is only decoded.
pub(super) const OVERLAP_NS: u64 = 250_000_000;

struct Next {
    track: String,
    held: VecDeque<ReceivedUnit>,
    since: Option<Instant>,
}

/// Joins the access units of renditions to one sequence.
#[derive(Default)]
pub(super) struct Splice {
    current: Option<String>,
    next: Option<Next>,
    newest: Option<MediaTime>,
    interval_ns: u64,
    /// Up to here the rendition before showed the pictures; and how far behind that, in nanoseconds, a picture may be that is decoded only.
    shown: Option<(MediaTime, u64)>,
}

impl Splice {
    /// The rendition whose pictures are handed out.
    pub(super) fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// The one that is gone over to.
    pub(super) fn next(&self) -> Option<&str> {
        self.next.as_ref().map(|next| next.track.as_str())
    }

    /// The time of the newest picture that was handed out.
    pub(super) fn newest(&self) -> Option<MediaTime> {
        self.newest
    }

    /// Goes over to `track` when it has a key frame; `None` stays.
    pub(super) fn go_to(&mut self, track: Option<&str>) {
        self.next = track.map(|track| Next { track: track.to_owned(), held: VecDeque::new(), since: None });
    }

    /// Takes a unit of a track, and hands out those whose turn it is.
    pub(super) fn take(&mut self, track: &str, unit: ReceivedUnit, now: Instant, mut out: impl FnMut(ReceivedUnit)) {
        if self.current.as_deref() == Some(track) {
            let begins = self.next.as_ref().and_then(|next| next.held.front()).map(|first| first.unit.stamp.pts);
            if begins.is_some_and(|begins| begins <= unit.unit.stamp.pts) {
                self.switch(&mut out);
            } else {
                self.hand_out(unit, &mut out);
            }
        } else if let Some(next) = self.next.as_mut().filter(|next| next.track == track) {
            next.held.push_back(unit);
            next.since.get_or_insert(now);
            self.poll(now, out);
        }
    }

    /// Ends a wait that is over.
    pub(super) fn poll(&mut self, now: Instant, mut out: impl FnMut(ReceivedUnit)) {
        let Some(next) = &self.next else { return };
        let (Some(first), Some(since)) = (next.held.front(), next.since) else { return };
        let missing_ns = self.newest.map_or(0, |newest| first.unit.stamp.pts.0.saturating_sub(newest.0));
        let complete = missing_ns * 2 <= self.interval_ns * 3;
        if self.current.is_none() || complete || next.held.len() >= HELD || now.saturating_duration_since(since) >= HOLD {
            self.switch(&mut out);
        }
    }

    /// When [`poll`](Self::poll) is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        Some(self.next.as_ref()?.since? + HOLD)
    }

    /// A track is over.
    pub(super) fn ended(&mut self, track: &str, now: Instant, out: impl FnMut(ReceivedUnit)) {
        if self.current.as_deref() == Some(track) {
            self.current = None;
            self.poll(now, out);
        }
        self.next.take_if(|next| next.track == track);
    }

    fn switch(&mut self, out: &mut impl FnMut(ReceivedUnit)) {
        let Some(Next { track, held, .. }) = self.next.take() else { return };
        let continues = self.current.replace(track).is_some();
        self.shown = self.newest.map(|newest| (newest, if continues { STALE_NS } else { OVERLAP_NS }));
        for (at, mut unit) in held.into_iter().enumerate() {
            unit.after_gap &= at > 0 || !continues;
            self.hand_out(unit, out);
        }
    }

    fn hand_out(&mut self, mut unit: ReceivedUnit, out: &mut impl FnMut(ReceivedUnit)) {
        let pts = unit.unit.stamp.pts;
        unit.decode_only = self.shown.is_some_and(|(shown, behind_ns)| shown >= pts && shown.0 - pts.0 <= behind_ns);
        if !unit.decode_only
            && let Some(newest) = self.newest.replace(pts)
        {
            self.interval_ns = pts.0.saturating_sub(newest.0);
        }
        out(unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    const FRAME_NS: u64 = 33_000_000;

    fn unit(frame_id: u64, key_frame: bool) -> ReceivedUnit {
        let stamp = FrameStamp { frame_id, pts: MediaTime(frame_id * FRAME_NS), ..Default::default() };
        ReceivedUnit {
            unit: AccessUnit { stamp, key_frame, data: bytes::Bytes::new() },
            track: Arc::from("video.0"),
            info: Arc::default(),
            session: 1,
            sent_at: UnixTime(0),
            arrived_at: UnixTime(0),
            after_gap: key_frame,
            decode_only: false,
        }
    }

    struct Run {
        splice: Splice,
        start: Instant,
        out: Vec<u64>,
    }

    impl Run {
        fn new() -> Self {
            let mut splice = Splice::default();
            splice.go_to(Some("a"));
            Self { splice, start: Instant::now(), out: Vec::new() }
        }

        fn take(&mut self, track: &str, frame_id: u64, key_frame: bool, ms: u64) -> &mut Self {
            let out = &mut self.out;
            self.splice.take(track, unit(frame_id, key_frame), self.start + Duration::from_millis(ms), |unit| {
                // Those that are only decoded count from 100.
                out.push(unit.unit.stamp.frame_id + if unit.decode_only { 100 } else { 0 });
            });
            self
        }
    }

    #[test]
    fn a_group_that_begins_with_what_was_shown_is_decoded_from_its_beginning() {
        let mut run = Run::new();
        for id in 0..5 {
            run.take("a", id, id == 0, id * 33);
        }
        run.splice.go_to(Some("b"));
        run.take("b", 3, true, 140)
            .take("b", 4, false, 141)
            .take("a", 5, false, 165)
            .take("b", 5, false, 166)
            .take("b", 6, false, 199);
        assert_eq!(run.out, [0, 1, 2, 3, 4, 103, 104, 5, 6]);
    }

    #[test]
    fn both_in_time_leave_nothing_out_and_show_nothing_twice() {
        let mut run = Run::new();
        for id in 0..5 {
            run.take("a", id, id == 0, id * 33);
        }
        run.splice.go_to(Some("b"));
        run.take("a", 5, false, 165).take("b", 6, true, 200);
        assert_eq!(run.splice.current(), Some("b"));
        run.take("a", 6, false, 201).take("b", 7, false, 233).take("a", 7, false, 234);
        assert_eq!(run.out, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn what_the_old_one_still_owes_is_waited_for_but_not_for_long() {
        let mut run = Run::new();
        for id in 0..5 {
            run.take("a", id, id == 0, id * 33);
        }
        run.splice.go_to(Some("b"));
        // The new one is ahead by three pictures.
        run.take("b", 8, true, 200).take("a", 5, false, 201).take("b", 9, false, 233).take("a", 6, false, 234);
        run.take("a", 7, false, 240).take("b", 10, false, 250);
        assert_eq!((run.out.as_slice(), run.splice.current()), (&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10][..], Some("b")));
        // Back, with an old one that never comes.
        run.splice.go_to(Some("a"));
        run.take("a", 14, true, 400);
        assert_eq!(run.out.len(), 11);
        let due = run.splice.deadline().expect("a wait");
        let out = &mut run.out;
        run.splice.poll(due, |unit| out.push(unit.unit.stamp.frame_id));
        run.take("b", 11, false, 600).take("a", 15, false, 601);
        assert_eq!(run.out[11..], [14, 15]);
    }

    #[test]
    fn a_track_that_is_gone_is_waited_for_no_more() {
        let mut run = Run::new();
        for id in 0..5 {
            run.take("a", id, id == 0, id * 33);
        }
        run.splice.go_to(Some("b"));
        run.take("b", 9, true, 170);
        let (out, now) = (&mut run.out, run.start + Duration::from_millis(171));
        run.splice.ended("a", now, |unit| out.push(unit.unit.stamp.frame_id));
        assert_eq!(run.out, [0, 1, 2, 3, 4, 9]);
        run.splice.ended("b", now, |_| {});
        run.splice.go_to(Some("c"));
        run.take("c", 1, true, 400);
        assert_eq!((run.out.last(), run.splice.current()), (Some(&1), Some("c")), "another time line is better than nothing");
    }

    #[test]
    fn little_is_held_whatever_a_publisher_sends() {
        let mut run = Run::new();
        run.take("a", 0, true, 0).take("a", 1, false, 1);
        run.splice.go_to(Some("b"));
        for id in 0..1000 {
            run.take("b", 100 + id, id == 0, 2);
        }
        assert_eq!(run.out.len(), 1002);
    }
}
