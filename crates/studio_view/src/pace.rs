//! Pacing: when a received picture is shown, and when the one halfway before it.

use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_gpu::prelude::*;
use studio_graph::wake::StudioWaker;
use studio_vision::nodes::{FrameSynthesis, SynthesisMode};

/// What is known of the stream's rhythm.
#[derive(Component, Clone, Copy, Debug, Default)]
pub struct Pace {
    last_arrival: Option<Instant>,
    interval: Option<Duration>,
    /// When the newest received picture itself is due, while the one halfway before it is shown.
    due: Option<Instant>,
}

impl Pace {
    /// Longest interval believed: a longer gap is a stall, not a frame rate.
    const LONGEST: Duration = Duration::from_millis(250);

    /// Notes that a picture came.
    pub fn arrived(&mut self, now: Instant) {
        if let Some(gap) = self.last_arrival.replace(now).map(|last| now - last)
            && gap < Self::LONGEST
        {
            // A running mean over some eight pictures: arrival jitters, the rate does not.
            self.interval = Some(self.interval.map_or(gap, |mean| (mean * 7 + gap) / 8));
        }
    }

    /// Half the time between two pictures, if the rhythm is known.
    pub fn half_interval(&self) -> Option<Duration> {
        self.interval.map(|interval| interval / 2)
    }

    /// How long it is until the newest received picture itself is shown.
    pub(crate) fn until_due(&self) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()))
    }
}

/// Shows a new picture: first the picture halfway before it and itself half a frame later, or itself at once where none is
/// generated or the viewer is `behind` (the next picture waits already).
pub(crate) fn show(
    pace: &mut Pace,
    pin: &PinFrame,
    frame: SourceFrame,
    behind: bool,
    synthesis: Option<Mut<FrameSynthesis>>,
    waker: &StudioWaker,
) {
    let now = Instant::now();
    pace.arrived(now);
    pin.submit(frame);
    let Some(mut synthesis) = synthesis else { return };
    let halfway = synthesis.mode != SynthesisMode::Off && !behind && pace.half_interval().is_some();
    let phase = if halfway { 0.5 } else { 1.0 };
    if synthesis.phase != phase {
        synthesis.phase = phase;
    }
    pace.due = if halfway { pace.half_interval().map(|half| now + half) } else { None };
    if let Some(due) = pace.due {
        waker.wake_at(due);
    }
}

/// Whether the newest picture itself is still to be shown: its half frame is over, or the next picture is already there.
/// Asks for an update when the half frame is over.
pub(crate) fn is_due(pace: &mut Pace, next_is_there: bool, waker: &StudioWaker) -> Option<bool> {
    let due = pace.due?;
    if Instant::now() < due && !next_is_there {
        waker.wake_at(due);
        return Some(false);
    }
    pace.due = None;
    // The picture after it waits for the next update, which should come at once.
    waker.wake();
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rhythm_is_learnt_and_survives_a_stall() {
        let mut pace = Pace::default();
        let start = Instant::now();
        assert_eq!(pace.half_interval(), None);
        for frame in 0..30 {
            pace.arrived(start + Duration::from_millis(33 * frame));
        }
        pace.arrived(start + Duration::from_secs(5));
        let half = pace.half_interval().expect("a rhythm");
        assert!((half.as_secs_f64() - 0.0165).abs() < 0.001, "{half:?}");
    }
}
