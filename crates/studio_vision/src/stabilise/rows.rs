//! Rolling shutters: every row of a picture has a moment of its own.

use super::RotationTrack;
use crate::rig::{LensSample, PreparedLens};
use bevy::{
    math::{DMat3, DVec2, DVec3},
    prelude::*,
};
use serde::{Deserialize, Serialize};

/// The way in which a sensor is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Reflect, Serialize, Deserialize)]
pub enum ReadoutDirection {
    /// Rows, the top one first.
    #[default]
    TopToBottom,
    /// Rows, the bottom one first.
    BottomToTop,
    /// Columns, the left one first.
    LeftToRight,
    /// Columns, the right one first.
    RightToLeft,
}

/// Where the rig looked while a picture was read, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct RowMotion {
    direction: ReadoutDirection,
    /// From the rig's frame in the middle of the readout to its frame at moments of it, evenly from the first row to the last.
    rig_from_middle: [DMat3; Self::MOMENTS],
}

impl RowMotion {
    const MOMENTS: usize = 9;
    /// Rounds that find the row on which a direction is seen: each leaves the share of a picture by which it turns during the readout.
    const ROUNDS: usize = 4;

    /// The motion while a picture is read for `readout_s` seconds around the moment `middle_s` of a track.
    pub fn new(track: &RotationTrack, middle_s: f64, readout_s: f64, direction: ReadoutDirection) -> Self {
        let middle = track.at(middle_s);
        let rig_from_middle = core::array::from_fn(|moment| {
            let part = moment as f64 / (Self::MOMENTS - 1) as f64 - 0.5;
            DMat3::from_quat(track.at(middle_s + part * readout_s).inverse() * middle)
        });
        Self { direction, rig_from_middle }
    }

    /// How far through the readout a pixel is read, 0 to 1.
    fn part(&self, pixel: DVec2, picture: DVec2) -> f64 {
        let share = (pixel / picture).clamp(DVec2::ZERO, DVec2::ONE);
        match self.direction {
            ReadoutDirection::TopToBottom => share.y,
            ReadoutDirection::BottomToTop => 1.0 - share.y,
            ReadoutDirection::LeftToRight => share.x,
            ReadoutDirection::RightToLeft => 1.0 - share.x,
        }
    }

    /// A direction of the rig's frame in the middle of the readout, in its frame at a part of it.
    fn turned(&self, direction: DVec3, part: f64) -> DVec3 {
        let place = part * (Self::MOMENTS - 1) as f64;
        let low = (place as usize).min(Self::MOMENTS - 2);
        let [a, b] = [low, low + 1].map(|moment| self.rig_from_middle[moment] * direction);
        a.lerp(b, place - low as f64).normalize()
    }

    /// Where a lens sees a direction of the rig's frame in the middle of the readout (of length 1), each row at its own moment: the way from
    /// direction to row to the rotation at that row's moment is gone until it stays. `picture` is the size of the lens's picture in pixels.
    pub(crate) fn sample(
        &self,
        lens: &PreparedLens,
        picture: DVec2,
        direction: DVec3,
        distance_m: Option<f64>,
    ) -> Option<LensSample> {
        let mut sample = lens.sample(direction, distance_m)?;
        for _ in 0..Self::ROUNDS {
            sample = lens.sample(self.turned(direction, self.part(sample.pixel, picture)), distance_m)?;
        }
        Some(sample)
    }
}
