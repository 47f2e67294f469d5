//! Saving layers: the file is the old one or the new one, never half of either.

use super::{EditLayer, live::Live};
use crate::{
    open::UsdError,
    write::{LayerFormat, to_bytes, write_atomically},
};
use openusd::sdf::{AbstractData, Data, Value};
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
        let fail = |message: String| UsdError::Save { path: file.display().to_string(), message };
        let Some(layer) = self.stage.layer(&identifier) else { return Err(UsdError::NotFound { layer: identifier }) };
        let format = format_of(file).map_err(fail)?;
        let bytes = encode(layer.data(), format).map_err(fail)?;
        drop(layer);
        write_atomically(file, &bytes).map_err(|error| fail(error.to_string()))
    }
}

/// The format of a file: that of the extension, or for `.usd` that of the file that is there.
fn format_of(file: &Path) -> Result<LayerFormat, String> {
    let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "usda" => Ok(LayerFormat::Usda),
        "usdc" => Ok(LayerFormat::Usdc),
        "usd" if is_binary(file) || !file.exists() => Ok(LayerFormat::Usdc),
        "usd" => Ok(LayerFormat::Usda),
        _ => Err("layers are saved as .usda, .usdc or .usd".into()),
    }
}

fn is_binary(file: &Path) -> bool {
    let mut magic = [0; 8];
    File::open(file).and_then(|mut file| file.read_exact(&mut magic)).is_ok_and(|()| magic == *b"PXR-USDC")
}

/// A layer as bytes.
pub(super) fn encode(data: &dyn AbstractData, format: LayerFormat) -> Result<Vec<u8>, String> {
    let bytes = match format {
        LayerFormat::Usda => to_bytes(&escaped(data)?, format),
        _ => to_bytes(data, format),
    };
    bytes.map_err(|error| error.to_string())
}

/// The layer with its strings as text has to write them: `openusd` writes a backslash as it is, and every reader takes it for an escape.
fn escaped(data: &dyn AbstractData) -> Result<Data, String> {
    let mut copy = Data::from_abstract(data).map_err(|error| format!("{error:#}"))?;
    for path in data.spec_paths() {
        let Some(spec) = copy.spec_mut(&path) else { continue };
        spec.fields.iter_mut().for_each(|(_, value)| escape(value));
    }
    Ok(copy)
}

fn escape(value: &mut Value) {
    let double = |text: &mut String| {
        if text.contains('\\') {
            *text = text.replace('\\', r"\\");
        }
    };
    match value {
        Value::String(text) => double(text),
        Value::StringVec(texts) => texts.iter_mut().for_each(double),
        Value::Token(token) if token.as_str().contains('\\') => *token = token.as_str().replace('\\', r"\\").into(),
        Value::TokenVec(tokens) => {
            for token in tokens.iter_mut().filter(|token| token.as_str().contains('\\')) {
                *token = token.as_str().replace('\\', r"\\").into();
            }
        }
        Value::Dictionary(dictionary) => dictionary.values_mut().for_each(escape),
        Value::ValueVec(values) => values.iter_mut().for_each(escape),
        Value::TimeSamples(samples) => samples.iter_mut().for_each(|(_, value)| escape(value)),
        _ => {}
    }
}
