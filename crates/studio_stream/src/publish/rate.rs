//! The bit rate that an encoder is held to, so that the viewer that can take least can take it.

use core::time::Duration;
use std::time::Instant;

/// Wishes this close to what there is change nothing: an encoder that cannot change while it runs begins anew with each change.
const LOWER: f64 = 0.92;
const HIGHER: f64 = 1.1;
/// A limit rises by this much at once, at most.
const STEP: f64 = 1.25;
/// Lowered at most this often, and raised at most that often.
const LOWER_EVERY: Duration = Duration::from_secs(1);
const RAISE_EVERY: Duration = Duration::from_secs(3);

/// Follows what viewers want, slowly upwards.
#[derive(Clone, Debug, Default)]
pub struct RateLimit {
    limit_bps: Option<u32>,
    changed_at: Option<Instant>,
}

impl RateLimit {
    /// The limit now; none: the encoder's own setting counts.
    pub fn limit_bps(&self) -> Option<u32> {
        self.limit_bps
    }

    /// Follows one wish: `wanted_bps` of the viewer that can take least (none: nobody says), while the encoder makes `present_bps`.
    /// Never below `floor_bps`. Returns the limit.
    pub fn follow(&mut self, wanted_bps: Option<u64>, present_bps: u32, floor_bps: u32, now: Instant) -> Option<u32> {
        let since = self.changed_at.map_or(Duration::MAX, |at| now.saturating_duration_since(at));
        let limit = match (self.limit_bps, wanted_bps) {
            (None, None) => None,
            (Some(limit), None) if since < RAISE_EVERY => Some(limit),
            // Nobody believes in a limit any more. It goes in steps, too.
            (Some(limit), None) => Self::raised(limit, u32::MAX, present_bps),
            (limit, Some(wanted)) => {
                let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(floor_bps);
                let base = limit.unwrap_or(present_bps).min(present_bps.max(floor_bps));
                if f64::from(wanted) < f64::from(base) * LOWER && since >= LOWER_EVERY {
                    Some(wanted)
                } else if let Some(limit) = limit
                    && f64::from(wanted) > f64::from(limit) * HIGHER
                    && since >= RAISE_EVERY
                {
                    Self::raised(limit, wanted, present_bps)
                } else {
                    limit
                }
            }
        };
        if limit != self.limit_bps {
            (self.limit_bps, self.changed_at) = (limit, Some(now));
        }
        limit
    }

    /// A step up, towards `wanted_bps`.
    fn raised(limit_bps: u32, wanted_bps: u32, present_bps: u32) -> Option<u32> {
        // Where the encoder makes less than it might, its own setting holds it: there is nothing to limit.
        let held_back = f64::from(present_bps) > f64::from(limit_bps) * LOWER;
        held_back.then(|| wanted_bps.min((f64::from(limit_bps) * STEP) as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_falls_at_once_rises_in_steps_and_goes_in_the_end() {
        let (mut limit, start, setting) = (RateLimit::default(), Instant::now(), 4_000_000_u32);
        let mut present = setting;
        let mut second = |wanted: Option<u64>, at: u64| {
            let now = limit.follow(wanted, present, 500_000, start + Duration::from_secs(at));
            present = now.map_or(setting, |now| now.min(setting));
            now
        };
        assert_eq!(second(Some(6_000_000), 0), None, "viewers can take more than there is");
        assert_eq!(second(Some(1_500_000), 1), Some(1_500_000));
        assert_eq!(second(Some(1_480_000), 2), Some(1_500_000), "close enough");
        assert_eq!(second(Some(10_000), 3), Some(500_000), "but not below the floor");
        assert_eq!(second(Some(9_000_000), 4), Some(500_000), "not so soon");
        let rises: Vec<_> = (5..60).map(|at| second(Some(9_000_000), at)).collect();
        let changes = rises.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes < 18 && rises.last() == Some(&None), "{rises:?}");
        assert_eq!(second(Some(1_000_000), 61), Some(1_000_000));
        assert_eq!((second(None, 62), second(None, 66)), (Some(1_000_000), Some(1_250_000)), "nobody is left");
        assert_eq!((67..100).map(|at| second(None, at)).last(), Some(None));
    }
}
