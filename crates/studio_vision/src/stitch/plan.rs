//! What a stitch goes by, worked out away from the GPU.

use super::{StitchError, StitchMap, StitchSettings};
use crate::{
    rig::{PreparedRig, Rig},
    stabilise::RowMotion,
};

/// A map with the rig and the settings that it was made for: made on any thread, drawn with [`StitchPass`](super::StitchPass).
#[derive(Clone, Debug)]
pub struct StitchPlan {
    pub(super) calibration: Rig,
    pub(super) rig: PreparedRig,
    pub(super) settings: StitchSettings,
    pub(super) rows: Option<RowMotion>,
    pub(super) map: StitchMap,
}

impl StitchPlan {
    /// Works out the map. `rows` says how the rig turned while its pictures were read. `tile_px` is the size of tiles of a map of much the
    /// same, which saves finding it out; `None` finds it.
    ///
    /// # Errors
    /// [`StitchError`] if the rig or a setting is unusable.
    pub fn new(
        rig: &Rig,
        settings: &StitchSettings,
        rows: Option<&RowMotion>,
        tile_px: Option<u32>,
    ) -> Result<Self, StitchError> {
        let (calibration, rig) = (rig.clone(), PreparedRig::new(rig)?);
        let map = match tile_px {
            Some(tile_px) => StitchMap::with_tiles(&rig, settings, rows, tile_px)?,
            None => StitchMap::with_rows(&rig, settings, rows)?,
        };
        Ok(Self { calibration, rig, settings: settings.clone(), rows: rows.cloned(), map })
    }
}
