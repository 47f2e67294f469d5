//! What an IMU's log says of a moment.

use super::{Stitch, StitchNodeError};
use crate::stabilise::{ImuMounting, ImuTrack, RowMotion, Smoothing, Stabiliser};
use bevy::{math::DMat3, prelude::*};
use std::path::Path;
use studio_frame::prelude::*;

/// How the rig moves, by a log.
pub(super) struct ImuMotion {
    log: String,
    mounting: ImuMounting,
    follows: (Option<Smoothing>, bool),
    imu: ImuTrack,
    stabiliser: Stabiliser,
}

/// What a moment asks of the map.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Moment {
    /// From the steadied picture's frame to the rig's; `None` where nothing is steadied.
    pub rig_from_stable: Option<DMat3>,
    /// How the rig turns while its pictures are read.
    pub rows: Option<RowMotion>,
}

impl ImuMotion {
    /// Reads the log that a node wants, if it wants one and has another.
    pub fn keep(present: &mut Option<Self>, wanted: &Stitch) -> Result {
        let follows = (wanted.stabilise, wanted.level_horizon);
        if wanted.imu_log.is_empty() {
            *present = None;
            return Ok(());
        }
        if let Some(smoothing) = wanted.stabilise {
            smoothing.validate().map_err(|reason| StitchNodeError::Setting { setting: "stabilise:", reason })?;
        }
        if let Some(readout_ms) = wanted.shutter.readout_ms
            && !(0.0..=200.0).contains(&readout_ms)
        {
            let reason = format!("is {readout_ms}: it must be 0 to 200 milliseconds");
            return Err(StitchNodeError::Setting { setting: "shutter.readout_ms", reason }.into());
        }
        let stabiliser = || match wanted.stabilise {
            Some(smoothing) => Stabiliser::new(smoothing, wanted.level_horizon),
            None => Stabiliser::following(wanted.level_horizon),
        };
        match present {
            Some(motion) if motion.log == wanted.imu_log && motion.mounting == wanted.imu => {
                if motion.follows != follows {
                    motion.follows = follows;
                    motion.stabiliser = stabiliser();
                }
            }
            _ => {
                let imu = ImuTrack::read(Path::new(&wanted.imu_log), &wanted.imu)?;
                let (log, mounting) = (wanted.imu_log.clone(), wanted.imu.clone());
                *present = Some(Self { log, mounting, follows, imu, stabiliser: stabiliser() });
            }
        }
        Ok(())
    }

    /// What a picture asks of the map: to be asked for in the order of time.
    pub fn at(&mut self, wanted: &Stitch, stamp: FrameStamp) -> Moment {
        let at_s = stamp.pts.as_duration().as_secs_f64() + self.mounting.offset_ms / 1e3;
        let steadies = wanted.stabilise.is_some() || wanted.level_horizon;
        let turn = steadies.then(|| DMat3::from_quat(self.stabiliser.rig_from_stable(&self.imu.track, at_s)));
        let readout_ms = wanted.shutter.readout_ms.map(f64::from).or(self.imu.readout_ms).unwrap_or(0.0);
        let rows = (readout_ms > 0.0).then(|| RowMotion::new(&self.imu.track, at_s, readout_ms / 1e3, wanted.shutter.direction));
        Moment { rig_from_stable: turn, rows }
    }
}
