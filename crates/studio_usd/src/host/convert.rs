//! A stage as one file.

use super::{
    StageHost,
    live::Live,
    save::{failed, format_of},
};
use crate::{
    open::UsdError,
    write::{Flattened, LayerFormat, Packaged, flatten, package_stage, to_bytes, write_atomically},
};
use std::{path::Path, sync::Arc};

impl StageHost {
    /// Writes the stage as it is composed now to one file, at once or not at all: as one layer without arcs to others, or for `.usdz` as a
    /// package with its textures. What is chosen, loaded and edited counts. The extension says the format: `.usda`, `.usdc`, `.usd`
    /// (binary if it is new) or `.usdz`.
    ///
    /// Returns what was left out: paths of values or of textures, with why.
    ///
    /// # Errors
    /// [`UsdError::Save`]; a file that was there is as it was.
    pub fn write_flattened(&self, file: &Path) -> Result<Vec<(String, String)>, UsdError> {
        let file = file.to_owned();
        self.request(move |live| live.timed(|live| live.write_flattened(&file)))
    }
}

impl Live {
    fn write_flattened(&self, file: &Path) -> Result<Vec<(String, String)>, UsdError> {
        let Some(format) = format_of(file) else {
            return Err(failed(file, "stages are written as .usda, .usdc, .usd or .usdz"));
        };
        let (bytes, left_out) = match format {
            LayerFormat::Usda | LayerFormat::Usdc => {
                let Flattened { layer, left_out } = flatten(&self.stage).map_err(|error| failed(file, error))?;
                (to_bytes(&layer, format).map_err(|error| failed(file, error))?, left_out)
            }
            LayerFormat::Usdz => {
                let mut read = |asset: &str| self.texture(asset);
                let Packaged { bytes, left_out, .. } =
                    package_stage(&self.stage, &mut read).map_err(|error| failed(file, error))?;
                (bytes, left_out)
            }
        };
        self.store.check_time()?;
        write_atomically(file, &bytes).map_err(|error| failed(file, error))?;
        Ok(left_out)
    }

    /// A file that the stage reads, by its identifier.
    fn texture(&self, asset: &str) -> Result<Option<Arc<[u8]>>, String> {
        self.store.check_time().and_then(|()| self.store.bytes(asset)).map_err(|error| error.to_string())
    }
}
