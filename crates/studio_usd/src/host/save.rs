//! Saving layers: the file is the old one or the new one, never half of either.

use super::{EditLayer, live::Live};
use crate::open::UsdError;
use openusd::sdf::{self, LayerRegistry};
use std::{
    fs::{self, File},
    io::{self, Cursor, Write as _},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
};

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
        let fail = |message: String| UsdError::Save { path: file.display().to_string(), message };
        let Some(layer) = self.stage.layer(&identifier) else { return Err(UsdError::NotFound { layer: identifier }) };
        let bytes = encode(layer.data(), file).map_err(fail)?;
        drop(layer);
        write_atomically(file, &bytes).map_err(|error| fail(error.to_string()))
    }
}

/// A layer in the format of a file: that of the extension, or for `.usd` that of the file that is there.
fn encode(data: &dyn sdf::AbstractData, file: &Path) -> Result<Vec<u8>, String> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    let format = match extension.as_str() {
        "usda" | "usdc" => extension.as_str(),
        "usd" if is_binary(file) => "usdc",
        "usd" => "usda",
        _ => return Err("layers are saved as .usda, .usdc or .usd".into()),
    };
    let format = LayerRegistry::find_by_id(format).ok_or("the format is not known")?;
    let mut bytes = Cursor::new(Vec::new());
    format.write(data, &mut bytes).map_err(|error| format!("{error:#}"))?;
    Ok(bytes.into_inner())
}

fn is_binary(file: &Path) -> bool {
    let mut magic = [0; 8];
    File::open(file).and_then(|mut file| io::Read::read_exact(&mut file, &mut magic)).is_ok_and(|()| magic == *b"PXR-USDC")
}

/// Writes beside the file, waits until it is on the disk, and puts it in the file's place.
fn write_atomically(file: &Path, bytes: &[u8]) -> io::Result<()> {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let name = file.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidFilename)?;
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let beside = file.with_file_name(format!(".{name}.{}.{serial}.new", process::id()));
    let written = write(&beside, bytes).and_then(|()| {
        if let Ok(there) = fs::metadata(file) {
            fs::set_permissions(&beside, there.permissions())?;
        }
        fs::rename(&beside, file)
    });
    if written.is_err() {
        // What is not whole is not left behind.
        _ = fs::remove_file(&beside);
        return written;
    }
    // The name is on the disk as well, where folders can be synced.
    if let Some(Ok(folder)) = file.parent().map(File::open) {
        _ = folder.sync_all();
    }
    Ok(())
}

fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).open(file)?;
    file.write_all(bytes)?;
    file.sync_all()
}
