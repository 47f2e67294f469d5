//! The time of a stage.

use super::project::UsdStageEntities;
use bevy::prelude::*;
use studio_graph::clock::StudioTime;

/// What time it is in a stage. On the entity with [`UsdStageRoot`](super::UsdStageRoot); put there when the stage is shown, unless it is
/// there already.
///
/// Time follows the studio's ([`StudioTime`]) where there is one, else Bevy's [`Time`]. Of a stage that does not change over time it stands
/// still, and costs nothing.
#[derive(Component, Clone, Copy, Debug, PartialEq)]
pub struct UsdTime {
    /// The time code shown.
    pub time_code: f64,
    /// Whether time goes on.
    pub playing: bool,
    /// Whether it begins again after the last time code.
    pub looping: bool,
    /// How fast: 1 is the stage's own time codes per second, negative is backwards.
    pub rate: f64,
}

impl Default for UsdTime {
    fn default() -> Self {
        Self { time_code: 0.0, playing: true, looping: true, rate: 1.0 }
    }
}

impl UsdTime {
    /// The time `delta_time_codes` later, within a range.
    fn later(self, delta_time_codes: f64, first: f64, last: f64) -> f64 {
        let time = self.time_code + delta_time_codes;
        if (first..=last).contains(&time) {
            time
        } else if self.looping && last > first {
            first + (time - first).rem_euclid(last - first)
        } else {
            time.clamp(first, last.max(first))
        }
    }
}

/// Lets time go on.
pub(super) fn advance_time(
    time: Res<Time>,
    studio_time: Option<Res<StudioTime>>,
    mut last_seconds: Local<Option<f64>>,
    mut roots: Query<(&UsdStageEntities, &mut UsdTime)>,
) {
    if roots.is_empty() {
        *last_seconds = None;
        return;
    }
    let delta_seconds = match studio_time {
        Some(studio) => {
            let seconds = studio.seconds();
            // The studio's time jumps back when a source begins again.
            last_seconds.replace(seconds).map_or(0.0, |last| (seconds - last).max(0.0))
        }
        None => time.delta_secs_f64(),
    };
    for (projection, mut now) in &mut roots {
        let Some((first, last)) = projection.animated_range() else { continue };
        let delta = delta_seconds * now.rate * projection.time_codes_per_second();
        if !now.playing || delta == 0.0 || !delta.is_finite() {
            continue;
        }
        let later = now.later(delta, first, last);
        if later != now.time_code {
            now.time_code = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_begins_again_or_stays_at_the_end() {
        let time = UsdTime { time_code: 9.0, ..UsdTime::default() };
        assert_eq!(time.later(3.0, 1.0, 10.0), 3.0);
        assert_eq!(time.later(-10.0, 1.0, 10.0), 8.0);
        let time = UsdTime { looping: false, ..time };
        assert_eq!(time.later(3.0, 1.0, 10.0), 10.0);
        assert_eq!(time.later(-20.0, 1.0, 10.0), 1.0);
        assert_eq!(time.later(3.0, 5.0, 5.0), 5.0);
    }
}
