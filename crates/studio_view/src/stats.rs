//! What the viewer counts.

use bevy::prelude::*;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::{mark::Mark, prelude::*};

/// The viewer's counters. Clones share them; any thread may write.
#[derive(Resource, Clone, Default)]
pub struct ViewStats(Arc<Mutex<Counters>>);

/// Pictures whose age is remembered.
const AGES_KEPT: usize = 60;
/// The ages of a session's first pictures tell how long it took to begin, not how old pictures are.
const BEGINNING: Duration = Duration::from_millis(333);
/// A picture that is so much younger than the one before is one of those that a late joiner catches up with.
const CATCHING_UP_MS: f64 = 4.0;

/// A copy of the viewer's counters.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Pictures that the decoder delivered.
    pub decoded: u64,
    /// Received pictures that were drawn.
    pub shown: u64,
    /// Pictures in which the mark was found and agreed with the packet's stamp.
    pub marks_read: u64,
    /// Pictures whose mark disagreed with the packet's stamp.
    pub marks_wrong: u64,
    /// Pictures whose frame number did not grow.
    pub out_of_order: u64,
    /// Frame number of the newest picture drawn.
    pub newest_shown: Option<u64>,
    /// Frame numbers between the first and the newest drawn picture that were never drawn.
    pub skipped: u64,
    /// Ages of the last pictures when they were drawn, by both clocks as they are, in milliseconds.
    pub ages_ms: VecDeque<f64>,
    marks: BTreeMap<u64, Mark>,
    first_at: Option<Instant>,
    /// When the first picture of this session was drawn, and how old the last one of its beginning was.
    begun: Option<(Instant, f64)>,
    newest_at: Option<Instant>,
}

impl Counters {
    /// Received pictures drawn a second, over the whole time.
    pub fn shown_hz(&self) -> f32 {
        self.rate(self.shown)
    }

    /// All pictures drawn a second over the whole time, `generated` ones included.
    pub fn drawn_hz(&self, generated: u64) -> f32 {
        self.rate(self.shown + generated)
    }

    fn note_age(&mut self, age_ms: f64, now: Instant) {
        let (begun_at, before_ms) = *self.begun.get_or_insert((now, f64::INFINITY));
        if self.ages_ms.is_empty() {
            let catches_up = age_ms < before_ms - CATCHING_UP_MS;
            self.begun = Some((begun_at, age_ms));
            if catches_up || now.saturating_duration_since(begun_at) < BEGINNING {
                return;
            }
        }
        if self.ages_ms.len() == AGES_KEPT {
            self.ages_ms.pop_front();
        }
        self.ages_ms.push_back(age_ms);
    }

    fn rate(&self, count: u64) -> f32 {
        match (self.first_at, self.newest_at) {
            (Some(first), Some(newest)) if newest > first => count.saturating_sub(1) as f32 / (newest - first).as_secs_f32(),
            _ => 0.0,
        }
    }
}

impl ViewStats {
    /// The counters now.
    pub fn get(&self) -> Counters {
        self.0.lock().clone()
    }

    /// Notes a decoded picture and the mark found in it.
    pub fn decoded(&self, frame: &VideoFrame) {
        const MARKS_KEPT: usize = 256;
        let mark = Mark::read_frame(frame);
        let mut counters = self.0.lock();
        counters.decoded += 1;
        let Some(mark) = mark else { return };
        if mark == Mark::from(frame.stamp) {
            counters.marks_read += 1;
            counters.marks.insert(frame.stamp.frame_id, mark);
            while counters.marks.len() > MARKS_KEPT {
                counters.marks.pop_first();
            }
        } else {
            counters.marks_wrong += 1;
        }
    }

    /// Notes that a picture was drawn; the glass-to-glass time is taken from the mark that was in it.
    pub fn shown(&self, stamp: FrameStamp, ledger: &LatencyLedger) {
        let now = UnixTime::now();
        let mut counters = self.0.lock();
        match counters.newest_shown {
            Some(newest) if stamp.frame_id == newest => return,
            // A generated picture carries the stamp of the frame before it; a restarted server starts anew.
            Some(newest) if stamp.frame_id < newest => counters.out_of_order += 1,
            Some(newest) => counters.skipped += stamp.frame_id - newest - 1,
            None => counters.first_at = Some(Instant::now()),
        }
        counters.newest_shown = Some(stamp.frame_id);
        counters.newest_at = Some(Instant::now());
        counters.shown += 1;
        let age_ms = (i128::from(now.0) - i128::from(stamp.captured_at.0)) as f64 / 1e6;
        counters.note_age(age_ms, Instant::now());
        if let Some(mark) = counters.marks.remove(&stamp.frame_id) {
            ledger.record(stamp.frame_id, Stage::GLASS_TO_GLASS, now.since(mark.captured_at));
        }
    }

    /// Forgets which frame was shown last: the stream starts anew.
    pub fn restart(&self) {
        let mut counters = self.0.lock();
        counters.newest_shown = None;
        counters.marks.clear();
        counters.ages_ms.clear();
        counters.begun = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_late_joiner_catches_up_with_is_in_no_figure() {
        let (mut counters, start) = (Counters::default(), Instant::now());
        for picture in 0..60_u32 {
            // Two seconds of the past come at once, and are drawn in 500 ms.
            let age_ms = f64::max(2000.0 - f64::from(picture) * 133.0, 60.0);
            counters.note_age(age_ms, start + Duration::from_millis(33) * picture);
        }
        assert!(counters.ages_ms.len() > 35 && counters.ages_ms.iter().all(|age| *age == 60.0), "{:?}", counters.ages_ms);
    }
}
