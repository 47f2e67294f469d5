//! The pictures that wait to be shown.

use super::pace::{Choice, Pace, choose};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

struct Held<T> {
    pts_ms: f64,
    picture: T,
}

/// What to draw, of the pictures themselves.
#[derive(Debug, PartialEq)]
pub struct Chosen<'a, T> {
    /// The picture before, where one between two is wanted.
    pub previous: Option<&'a mut T>,
    /// The picture, or the second of two.
    pub current: &'a mut T,
    /// 1 for a picture as it came, otherwise more than 0 and less than 1.
    pub phase: f64,
    /// How long it is until `current` itself is on.
    pub until_current: Duration,
}

/// The jitter buffer: pictures of any kind, each handed out when it is on.
///
/// Bounded: when it is full, or behind, the oldest give way.
pub struct Playout<T> {
    pace: Pace,
    origin: Instant,
    held: VecDeque<Held<T>>,
    capacity: usize,
    overrun: u64,
}

impl<T> Playout<T> {
    /// An empty buffer for at most `capacity` pictures, at least 2.
    pub fn new(capacity: usize) -> Self {
        Self { pace: Pace::default(), origin: Instant::now(), held: VecDeque::new(), capacity: capacity.max(2), overrun: 0 }
    }

    /// The rhythm that was learnt.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// See [`Pace::set_target_ms`].
    pub fn set_target_ms(&mut self, target_ms: Option<f64>) {
        self.pace.set_target_ms(target_ms);
    }

    /// Forgets pictures and rhythm: another session begins.
    pub fn restart(&mut self) {
        self.held.clear();
        self.pace.restart();
    }

    /// Pictures held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Pictures thrown away because there was no room for them.
    pub fn overrun(&self) -> u64 {
        self.overrun
    }

    /// Takes a picture that was ready at `ready_at`. `pts` is its time on the stream's time line; where that does not rise,
    /// another time line begins and the pictures of the old one go.
    pub fn push(&mut self, picture: T, pts: Duration, ready_at: Instant) {
        let pts_ms = pts.as_secs_f64() * 1000.0;
        if self.held.back().is_some_and(|last| last.pts_ms >= pts_ms) {
            self.held.clear();
        }
        if self.held.len() == self.capacity {
            self.held.pop_front();
            self.overrun += 1;
        }
        self.held.push_back(Held { pts_ms, picture });
        let ready_ms = self.ms(ready_at);
        self.pace.ready(pts_ms, ready_ms);
    }

    fn ms(&self, at: Instant) -> f64 {
        let since = at.saturating_duration_since(self.origin).as_secs_f64();
        (since - self.origin.saturating_duration_since(at).as_secs_f64()) * 1000.0
    }

    /// What to draw for a display that shines at `at`, with `steps` frames for one received. Pictures before it are let go.
    /// `may_generate` says whether there is a way from the first to the second.
    pub fn choose(&mut self, at: Instant, steps: u32, may_generate: impl FnOnce(&T, &T) -> bool) -> Option<Chosen<'_, T>> {
        let moment_ms = self.pace.moment(self.ms(at), steps)?;
        let pts: Vec<f64> = self.held.iter().map(|held| held.pts_ms).collect();
        let held = &self.held;
        let allowed = |previous: usize, current: usize| may_generate(&held[previous].picture, &held[current].picture);
        let Choice { previous, current, phase } = choose(&pts, moment_ms, steps, allowed)?;
        // The one before the moment stays: it is drawn again, or drawn from.
        self.held.drain(..previous.unwrap_or(current));
        let until_ms = (pts[current] - moment_ms).max(0.0);
        let until_current = Duration::from_secs_f64((until_ms / 1000.0).min(60.0));
        let mut from = self.held.iter_mut().map(|held| &mut held.picture);
        let previous = if previous.is_some() { from.next() } else { None };
        from.next().map(|current| Chosen { previous, current, phase, until_current })
    }

    /// When something else is to be drawn than at `at`, if nothing comes until then.
    pub fn next_change(&self, at: Instant, steps: u32) -> Option<Instant> {
        let moment_ms = self.pace.moment(self.ms(at), steps)?;
        let next = self.held.iter().position(|held| held.pts_ms > moment_ms)?;
        let to = self.held[next].pts_ms;
        let due_ms = match next.checked_sub(1).map(|previous| self.held[previous].pts_ms) {
            Some(from) if steps > 1 => {
                let step = (to - from) / f64::from(steps);
                (from + (((moment_ms - from) / step).floor() + 1.0) * step).min(to)
            }
            _ => to,
        };
        let wait_ms = (due_ms - moment_ms).clamp(0.0, 60_000.0);
        // Rounded up: an update a little too early would find the same picture on.
        Some(at + Duration::from_secs_f64(wait_ms / 1000.0) + Duration::from_micros(20))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(40);

    fn ready(playout: &mut Playout<u32>, start: Instant, frame: u32) {
        playout.push(frame, FRAME * frame, start + FRAME * frame + Duration::from_millis(10));
    }

    #[test]
    fn a_picture_is_drawn_once_as_it_came_and_once_halfway_to_it() {
        let start = Instant::now();
        let mut playout = Playout::new(12);
        (0..20).for_each(|frame| ready(&mut playout, start, frame));
        let mut drawn = Vec::new();
        // A headset asks for a moment that is still to come.
        for frame in 20..24 {
            ready(&mut playout, start, frame);
            let mut at = start + FRAME * frame + Duration::from_millis(11);
            for _ in 0..2 {
                let chosen = playout.choose(at, 2, |_, _| true).expect("there are pictures");
                drawn.push((chosen.previous.map(|picture| *picture), *chosen.current, chosen.phase));
                at = playout.next_change(at, 2).unwrap_or(at);
            }
        }
        assert_eq!(drawn[0], (Some(19), 20, 0.5));
        assert_eq!(drawn[1], (None, 20, 1.0));
        assert_eq!(drawn[4], (Some(21), 22, 0.5));
        assert!(playout.len() <= 2 && playout.overrun() == 9, "{} held, {} thrown away", playout.len(), playout.overrun());
    }

    #[test]
    fn without_a_way_between_them_pictures_are_drawn_as_they_came() {
        let start = Instant::now();
        let mut playout = Playout::new(4);
        (0..10).for_each(|frame| ready(&mut playout, start, frame));
        let at = start + FRAME * 9 + Duration::from_millis(12);
        let chosen = playout.choose(at, 2, |_, _| false).expect("there are pictures");
        assert_eq!((chosen.previous, *chosen.current, chosen.phase), (None, 8, 1.0));
    }

    #[test]
    fn a_time_line_that_begins_anew_is_followed() {
        let start = Instant::now();
        let mut playout = Playout::new(4);
        (0..10).for_each(|frame| ready(&mut playout, start, frame));
        playout.push(100, Duration::ZERO, start + Duration::from_secs(60));
        let chosen = playout.choose(start + Duration::from_secs(60), 2, |_, _| true).expect("the new picture");
        assert_eq!((*chosen.current, chosen.phase), (100, 1.0));
    }
}
