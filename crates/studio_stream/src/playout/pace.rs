//! The rhythm of a stream, and the choice between its pictures.

use std::collections::VecDeque;

/// Pictures that the delay is learnt from.
const WINDOW: usize = 90;
/// The share of pictures that are ready in time: at least, and beyond which none is waited for.
const READY: [f64; 2] = [0.75, 0.95];
/// What one more picture of a hundred in time is worth, in milliseconds of waiting for all.
const WORTH_MS: f64 = 6.0;
/// How fast the delay falls: in milliseconds a picture, or as a share of what it is too much, whichever is more. Nobody sees time run so
/// little faster.
const FALL_MS: f64 = 1.0;
const FALL_SHARE: f64 = 0.05;
/// A picture that is off by more begins another time line.
const JUMP_MS: f64 = 1500.0;
/// A picture that is ready so much sooner than the one before was sent with it: the sender's backlog is not over yet.
const BACKLOG_MS: f64 = 4.0;
/// A picture that is ready so much sooner than the fastest before it ends a backlog: what those told is of no use any more.
const CAUGHT_UP_MS: f64 = 8.0;
/// No jitter is followed beyond this, in milliseconds: a stream that is later stalls.
pub const MAX_JITTER_MS: f64 = 400.0;
/// Nor beyond so many pictures, as viewers do not hold more of them decoded.
const MAX_JITTER_PICTURES: f64 = 4.0;
/// Frames drawn for one received, at most.
const MAX_STEPS: u32 = 8;

/// What to draw: `current` as it is, or the picture at `phase` between `previous` and `current`. Both are places in the list
/// that was chosen from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The picture before, where one between two is wanted.
    pub previous: Option<usize>,
    /// The picture, or the second of two.
    pub current: usize,
    /// 1 for a picture as it came, otherwise more than 0 and less than 1.
    pub phase: f64,
}

/// Learns a stream's rhythm. Times are in milliseconds, of the stream's own time line or of one steady local clock.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    offsets: VecDeque<f64>,
    intervals: VecDeque<f64>,
    last_pts: Option<f64>,
    delay: Option<f64>,
    /// Whether the pictures come as they are captured: who joins gets those since the last key frame at once.
    live: bool,
    target_ms: Option<f64>,
}

impl Pace {
    /// Forgets the rhythm: another time line begins.
    pub fn restart(&mut self) {
        *self = Self { target_ms: self.target_ms, ..Self::default() };
    }

    /// Holds pictures for so long beyond the fastest of them, from 0 to [`MAX_JITTER_MS`]; `None` holds them for as long as their
    /// jitter wants.
    pub fn set_target_ms(&mut self, target_ms: Option<f64>) {
        self.target_ms = target_ms.filter(|target| target.is_finite()).map(|target| target.clamp(0.0, MAX_JITTER_MS));
    }

    /// Notes that the picture of `pts_ms` was ready to be shown at `now_ms`.
    pub fn ready(&mut self, pts_ms: f64, now_ms: f64) {
        let offset = now_ms - pts_ms;
        if self.delay.is_some_and(|delay| (offset - delay).abs() > JUMP_MS) {
            self.restart();
        }
        if let Some(last) = self.last_pts
            && pts_ms > last
        {
            push(&mut self.intervals, pts_ms - last);
        }
        self.last_pts = Some(pts_ms);
        if !self.live
            && let Some(before) = self.offsets.back()
        {
            self.live = offset > before - BACKLOG_MS;
            self.offsets.clear();
            self.delay = None;
        }
        if self.offsets.iter().all(|before| offset < before - CAUGHT_UP_MS) {
            self.offsets.clear();
            self.delay = None;
        }
        push(&mut self.offsets, offset);
        let mut sorted: Vec<f64> = self.offsets.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let best = sorted[0];
        let wanted = match self.target_ms {
            Some(target) => best + target,
            None => {
                let most = self.interval_ms().map_or(MAX_JITTER_MS, |interval| MAX_JITTER_MS.min(MAX_JITTER_PICTURES * interval));
                worthwhile(&sorted).min(best + most)
            }
        };
        self.delay = Some(match self.delay {
            Some(delay) if wanted <= delay => wanted.max(delay - FALL_MS.max((delay - wanted) * FALL_SHARE)),
            _ => wanted,
        });
    }

    /// Time between two pictures: the median, so that lost ones do not count.
    pub fn interval_ms(&self) -> Option<f64> {
        let mut sorted: Vec<f64> = self.intervals.iter().copied().collect();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied()
    }

    /// How long pictures are held beyond the fastest of them.
    pub fn jitter_ms(&self) -> f64 {
        let best = self.offsets.iter().copied().fold(f64::INFINITY, f64::min);
        self.delay.map_or(0.0, |delay| delay - best)
    }

    /// Frames that a display shows for one of the stream, if frames are generated.
    pub fn steps(&self, display_ms: f64) -> u32 {
        let steps = self.interval_ms().map_or(1.0, |interval| (interval / display_ms).round());
        // Not a number becomes 0, and 1 then.
        (steps as u32).clamp(1, MAX_STEPS)
    }

    /// What is added to the time line to come to the local clock, once a picture came. With `steps` above 1 the pictures in
    /// between need the next one: it waits.
    pub fn delay_ms(&self, steps: u32) -> Option<f64> {
        let hold = if steps > 1 { self.interval_ms().unwrap_or(0.0) * (1.0 - 1.0 / f64::from(steps)) } else { 0.0 };
        Some(self.delay? + hold)
    }

    /// The moment of the stream that is on at `now_ms`.
    pub fn moment(&self, now_ms: f64, steps: u32) -> Option<f64> {
        Some(now_ms - self.delay_ms(steps)?)
    }
}

/// The moment that it is worth to wait for, of those at which pictures were ready, earliest first: as long as waiting longer lets
/// enough more of them be in time. Few that come very late hold up none of the others.
fn worthwhile(ready: &[f64]) -> f64 {
    let place = |share: f64| (ready.len() as f64 * share).ceil() as usize - 1;
    let missed = |index: usize| (1.0 - (index + 1) as f64 / ready.len() as f64) * 100.0;
    let (mut chosen, mut least) = (0.0, f64::INFINITY);
    for index in (place(READY[0])..=place(READY[1])).rev() {
        let cost = ready[index] + missed(index) * WORTH_MS;
        if cost < least {
            (chosen, least) = (ready[index], cost);
        }
    }
    chosen
}

fn push(values: &mut VecDeque<f64>, value: f64) {
    if values.len() == WINDOW {
        values.pop_front();
    }
    values.push_back(value);
}

/// Which of the pictures, whose times `pts_ms` rise, to draw at a moment. The phases are multiples of 1 / `steps`, so that each
/// received picture is drawn once as it came. `may_generate` says whether there is motion from the first to the second.
pub fn choose(pts_ms: &[f64], moment_ms: f64, steps: u32, may_generate: impl FnOnce(usize, usize) -> bool) -> Option<Choice> {
    let previous = pts_ms.iter().take_while(|pts| **pts <= moment_ms).count().checked_sub(1)?;
    let current = previous + 1;
    if steps > 1 && current < pts_ms.len() {
        let span = pts_ms[current] - pts_ms[previous];
        let phase = ((moment_ms - pts_ms[previous]) / span * f64::from(steps)).floor() / f64::from(steps);
        if phase > 0.0 && may_generate(previous, current) {
            return Some(Choice { previous: Some(previous), current, phase });
        }
    }
    Some(Choice { previous: None, current: previous, phase: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearly_all_pictures_are_in_time_and_the_delay_falls_slowly_after_a_burst() {
        let mut pace = Pace::default();
        let mut at = |frame: u32, late: f64| {
            pace.ready(f64::from(frame) * 33.0, f64::from(frame) * 33.0 + 50.0 + late);
            pace.jitter_ms()
        };
        assert!((0..30).map(|frame| at(frame, f64::from(frame % 3))).fold(0.0, f64::max) <= 2.0);
        assert!((30..40).map(|frame| at(frame, 80.0)).fold(0.0, f64::max) >= 78.0, "risen at once");
        let after = at(40, 0.0);
        assert!((70.0..=80.0).contains(&after), "{after}");
        assert!((41..300).map(|frame| at(frame, 0.0)).fold(f64::INFINITY, f64::min) < 1.0, "and fallen in the end");
    }

    #[test]
    fn a_wanted_delay_is_kept_and_bounded() {
        let mut pace = Pace::default();
        pace.set_target_ms(Some(120.0));
        for frame in 0..60 {
            pace.ready(f64::from(frame) * 33.0, f64::from(frame) * 33.0 + f64::from(frame % 5) * 4.0);
        }
        assert!((pace.jitter_ms() - 120.0).abs() < 1e-9);
        pace.set_target_ms(Some(f64::INFINITY));
        assert_eq!(pace.target_ms, None);
        pace.set_target_ms(Some(1e9));
        assert_eq!(pace.target_ms, Some(MAX_JITTER_MS));
    }

    #[test]
    fn who_joins_late_on_a_slow_machine_is_soon_where_the_others_are() {
        let mut pace = Pace::default();
        // Sixty pictures of the past; a decoder that has to start takes longer for the first of them than they last.
        for frame in 0..200 {
            let late = ((60.0 - f64::from(frame)) * 65.0 + f64::from(frame.min(5)) * 70.0).max(0.0);
            pace.ready(f64::from(frame) * 66.0, f64::from(frame) * 66.0 + 30.0 + late);
            if frame == 70 {
                assert!(pace.jitter_ms() < 10.0, "{}", pace.jitter_ms());
            }
        }
        assert!(pace.jitter_ms() < 1.0, "{}", pace.jitter_ms());
    }

    #[test]
    fn a_clock_that_jumps_begins_another_time_line() {
        let mut pace = Pace::default();
        (0..40).for_each(|frame| pace.ready(f64::from(frame) * 33.0, f64::from(frame) * 33.0 + 50.0));
        // The stream's time line is an hour further on, or begins anew, or is not even a number.
        for jump in [3_600_000.0, 0.0, 9e15, -9e15] {
            let base = 5000.0;
            (0..40).for_each(|frame| {
                pace.ready(jump + f64::from(frame) * 33.0, base + f64::from(frame) * 33.0 + 50.0);
            });
            let moment = pace.moment(base + 39.0 * 33.0 + 50.0, 1).expect("a moment");
            assert!((moment - (jump + 39.0 * 33.0)).abs() < 8.0, "{moment} after a jump to {jump}");
        }
    }
}
