//! Saving layers: the file is the old one or the new one, never half of either.

use super::{EditLayer, live::Live};
use crate::{
    open::UsdError,
    write::{LayerFormat, to_bytes, write_atomically},
};
use std::{fs::File, io::Read as _, path::Path};

impl Live {
    pub(super) fn save(&mut self) -> Result<Vec<String>, UsdError> {
        let mut saved = Vec::new();
        for layer in self.unsaved() {
            let Some(file) = self.store.source().file(&layer) else {
                let message =
                    "it has no file of its own, for it comes from memory or is in a package; save it as another file".into();
                return Err(UsdError::Save { path: layer, message });
            };
            self.save_as(&EditLayer::Layer(layer.clone()), &file)?;
            self.unsaved.remove(&layer);
            saved.push(layer);
        }
        Ok(saved)
    }

    pub(super) fn save_as(&self, layer: &EditLayer, file: &Path) -> Result<(), UsdError> {
        let identifier = self.layer_of(layer);
        let Some(layer) = self.stage.layer(&identifier) else { return Err(UsdError::NotFound { layer: identifier }) };
        let format = match format_of(file) {
            Some(LayerFormat::Usdz) => {
                return Err(failed(
                    file,
                    "layers are saved as .usda, .usdc or .usd; a package holds a whole stage, written flattened",
                ));
            }
            Some(format) => format,
            None => return Err(failed(file, "layers are saved as .usda, .usdc or .usd")),
        };
        let bytes = to_bytes(layer.data(), format).map_err(|error| failed(file, error))?;
        drop(layer);
        write_atomically(file, &bytes).map_err(|error| failed(file, error))
    }
}

pub(super) fn failed(file: &Path, error: impl ToString) -> UsdError {
    UsdError::Save { path: file.display().to_string(), message: error.to_string() }
}

/// The format of a file: that of the extension, or for `.usd` that of the file that is there.
pub(super) fn format_of(file: &Path) -> Option<LayerFormat> {
    let format = LayerFormat::of_path(file).ok()?;
    let is_either = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("usd"));
    Some(if is_either && file.exists() && !is_binary(file) { LayerFormat::Usda } else { format })
}

fn is_binary(file: &Path) -> bool {
    let mut magic = [0; 8];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok_and(|()| magic == *b"PXR-USDC")
}
