//! Rotations over time.

use bevy::math::{DQuat, DVec3};

/// Where the rig looked over time: for each moment the rotation from the rig's frame to the world's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RotationTrack {
    times_s: Vec<f64>,
    world_from_rig: Vec<DQuat>,
}

impl RotationTrack {
    /// Adds a moment, in seconds. Moments that are not later than the last one, and rotations that are not finite, are left out.
    pub fn push(&mut self, time_s: f64, world_from_rig: DQuat) {
        let is_later = self.times_s.last().is_none_or(|last| time_s > *last);
        if !is_later || !time_s.is_finite() || !world_from_rig.is_finite() {
            return;
        }
        // Neighbours on one side of the sphere of quaternions can be averaged.
        let near = self.world_from_rig.last().is_none_or(|last| last.dot(world_from_rig) >= 0.0);
        self.times_s.push(time_s);
        self.world_from_rig.push(if near { world_from_rig } else { -world_from_rig }.normalize());
    }

    /// Forgets what was before a moment, all but the last rotation before it.
    pub fn forget_before(&mut self, time_s: f64) {
        let later = self.times_s.partition_point(|time| *time <= time_s);
        let gone = later.saturating_sub(1);
        self.times_s.drain(..gone);
        self.world_from_rig.drain(..gone);
    }

    /// The moments, in seconds, and their rotations, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (f64, DQuat)> + '_ {
        self.times_s.iter().copied().zip(self.world_from_rig.iter().copied())
    }

    /// How many moments there are.
    pub fn len(&self) -> usize {
        self.times_s.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.times_s.is_empty()
    }

    /// The first and the last moment, in seconds.
    pub fn span_s(&self) -> Option<[f64; 2]> {
        Some([*self.times_s.first()?, *self.times_s.last()?])
    }

    /// The rotation at a moment, between its neighbours along the shortest way (slerp); before the first and after the last it stays.
    /// The identity where there are no moments.
    pub fn at(&self, time_s: f64) -> DQuat {
        let next = self.times_s.partition_point(|time| *time <= time_s);
        match (next.checked_sub(1), self.times_s.get(next)) {
            (Some(before), Some(after_s)) => {
                let before_s = self.times_s[before];
                let part = ((time_s - before_s) / (after_s - before_s)).clamp(0.0, 1.0);
                self.world_from_rig[before].slerp(self.world_from_rig[next], part)
            }
            (Some(last), None) => self.world_from_rig[last],
            (None, Some(_)) => self.world_from_rig[0],
            (None, None) => DQuat::IDENTITY,
        }
    }

    /// How fast the rig turns around the axes of its own frame at a moment, in radians a second, as the mean over `over_s` seconds.
    pub fn rate(&self, time_s: f64, over_s: f64) -> DVec3 {
        let [before, after] = [-0.5, 0.5].map(|part| self.at(time_s + part * over_s));
        (before.inverse() * after).to_scaled_axis_short() / over_s
    }
}

/// The shorter of the two ways to write a rotation as an axis times an angle.
pub(super) trait ShortAxis {
    fn to_scaled_axis_short(self) -> DVec3;
}

impl ShortAxis for DQuat {
    fn to_scaled_axis_short(self) -> DVec3 {
        if self.w < 0.0 { -self } else { self }.to_scaled_axis()
    }
}
