//! `.usdz` packages: stored ZIP archives whose files begin at multiples of 64 bytes, the layer first.
//!
//! What may be in one, and how, is in the specification (<https://openusd.org/release/spec_usdz.html>) and the rules of `usdchecker`.

use super::{Flattened, WriteError, flatten, to_crate};
use openusd::{
    sdf::{AbstractData, AssetPath, Data, FieldKey, Path, Value},
    usd::Stage,
    usdz::ArchiveWriter,
};
use std::{
    collections::{HashMap, HashSet},
    io::Cursor,
    sync::Arc,
};

/// Kinds of files that a package may hold beside layers.
const ASSETS: [&str; 8] = ["png", "jpg", "jpeg", "exr", "avif", "m4a", "mp3", "wav"];
const LAYERS: [&str; 3] = ["usdc", "usda", "usd"];
/// Tiles of textures named with `<UDIM>`: ten columns, at most this many rows.
const UDIM_TILES: std::ops::Range<u32> = 1001..1200;
const UDIM: &str = "<UDIM>";
/// Without the 64-bit extension of ZIP, which the specification does not have.
const MAX_BYTES: usize = u32::MAX as usize;

/// A package in the making.
#[derive(Debug)]
pub struct Package {
    entries: Vec<(String, Arc<[u8]>)>,
    names: HashSet<String>,
    by_content: HashMap<Arc<[u8]>, String>,
}

/// A package with all that its layer reads.
#[derive(Clone, Debug)]
pub struct Packaged {
    /// The file.
    pub bytes: Vec<u8>,
    /// The names of the files in it, the layer first.
    pub entries: Vec<String>,
    /// What could not be brought along, as the asset and why.
    pub left_out: Vec<(String, String)>,
}

impl Package {
    /// A package with its default layer.
    ///
    /// # Errors
    /// [`WriteError::Package`] if the name is not one of a layer.
    pub fn new(name: &str, layer: Vec<u8>) -> Result<Self, WriteError> {
        if !LAYERS.contains(&extension(name).as_str()) {
            return Err(refused(name, "the first file has to be a layer"));
        }
        let mut package = Self { entries: Vec::new(), names: HashSet::new(), by_content: HashMap::new() };
        package.put(entry_name("", name), layer.into());
        Ok(package)
    }

    /// Adds a texture or a sound under a name like the one wanted, and returns its path in the package. Folders of the wanted name are
    /// left out, and what is in the package already is not added again.
    ///
    /// # Errors
    /// [`WriteError::Package`] if packages do not hold files of that kind.
    pub fn add(&mut self, wanted: &str, bytes: impl Into<Arc<[u8]>>) -> Result<String, WriteError> {
        let bytes = bytes.into();
        let extension = extension(wanted);
        if !ASSETS.contains(&extension.as_str()) {
            let reason = format!("packages hold {} only", ASSETS.join(", "));
            return Err(refused(wanted, &reason));
        }
        if let Some(name) = self.by_content.get(&bytes).filter(|name| self::extension(name) == extension) {
            return Ok(name.clone());
        }
        let name = self.free_name(&entry_name("textures/", wanted));
        self.by_content.insert(Arc::clone(&bytes), name.clone());
        self.put(name.clone(), bytes);
        Ok(name)
    }

    /// Puts another layer in place of the default one.
    pub fn set_layer(&mut self, layer: Vec<u8>) {
        if let Some((_, bytes)) = self.entries.first_mut() {
            *bytes = layer.into();
        }
    }

    /// The names of the files so far, the layer first.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The package.
    ///
    /// # Errors
    /// [`WriteError::Package`] if it would be larger than 4 GiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let size: usize = self.entries.iter().map(|(name, bytes)| bytes.len() + 2 * name.len() + 256).sum();
        if size > MAX_BYTES {
            return Err(refused("all of it", "a package is at most 4 GiB"));
        }
        let mut archive = ArchiveWriter::new(Cursor::new(Vec::with_capacity(size)));
        for (name, bytes) in &self.entries {
            archive.add_layer(name, bytes).map_err(|error| refused(name, &format!("{error:#}")))?;
        }
        let archive = archive.finish().map_err(|error| refused("all of it", &format!("{error:#}")))?;
        Ok(archive.into_inner())
    }

    fn put(&mut self, name: String, bytes: Arc<[u8]>) {
        self.names.insert(name.to_ascii_lowercase());
        self.entries.push((name, bytes));
    }

    /// Names that differ in case alone are one file on some systems.
    fn free_name(&self, wanted: &str) -> String {
        if !self.names.contains(&wanted.to_ascii_lowercase()) {
            return wanted.to_owned();
        }
        let (stem, extension) = wanted.rsplit_once('.').unwrap_or((wanted, ""));
        let mut count = 1_u32;
        loop {
            let name = format!("{stem}_{count}.{extension}");
            if !self.names.contains(&name.to_ascii_lowercase()) {
                return name;
            }
            count += 1;
        }
    }
}

/// Puts a layer that reads no other layers into a package with its textures. `read` gets an asset's path, resolved if that is known, and
/// gives its bytes, `None` if it is not there, or why it cannot be read. What is not there is left out and said.
///
/// # Errors
/// [`WriteError::Package`] if the layer reads other layers (then [`package_stage`] helps) or the package would be too large,
/// [`WriteError::Layer`] if the layer cannot be written.
pub fn package(
    layer: &dyn AbstractData,
    read: &mut dyn FnMut(&str) -> Result<Option<Arc<[u8]>>, String>,
) -> Result<Packaged, WriteError> {
    let failed = |error: &dyn std::fmt::Display| WriteError::Layer { format: "a package", reason: format!("{error:#}") };
    let mut data = Data::from_abstract(layer).map_err(|error| failed(&error))?;
    let mut collector =
        Collector { package: Package::new("scene.usdc", Vec::new())?, read, known: HashMap::new(), left_out: Vec::new() };
    for path in layer.spec_paths() {
        let Some(spec) = data.spec_mut(&path) else { continue };
        for (field, value) in &mut spec.fields {
            refuse_layers(&path, field, value)?;
            collector.rewrite(value);
        }
    }
    let Collector { mut package, left_out, .. } = collector;
    package.set_layer(to_crate(&data)?);
    let entries = package.entries().map(str::to_owned).collect();
    Ok(Packaged { bytes: package.to_bytes()?, entries, left_out })
}

/// Puts a composed stage into a package: [`flatten`]ed, with its textures, as [`package`] does.
///
/// # Errors
/// As [`flatten`] and [`package`].
pub fn package_stage(
    stage: &Stage,
    read: &mut dyn FnMut(&str) -> Result<Option<Arc<[u8]>>, String>,
) -> Result<Packaged, WriteError> {
    let Flattened { layer, left_out } = flatten(stage)?;
    let mut packaged = package(&layer, read)?;
    packaged.left_out.splice(0..0, left_out);
    Ok(packaged)
}

struct Collector<'a> {
    package: Package,
    read: &'a mut dyn FnMut(&str) -> Result<Option<Arc<[u8]>>, String>,
    known: HashMap<String, String>,
    left_out: Vec<(String, String)>,
}

impl Collector<'_> {
    fn rewrite(&mut self, value: &mut Value) {
        match value {
            Value::AssetPath(asset) => *asset = self.place(asset),
            Value::AssetPathVec(assets) => assets.iter_mut().for_each(|asset| *asset = self.place(asset)),
            Value::TimeSamples(samples) => samples.iter_mut().for_each(|(_, value)| self.rewrite(value)),
            // Metadata such as `assetInfo` names files that are not read to show anything, and that would not be there.
            Value::Dictionary(values) => values.values_mut().for_each(forget_assets),
            _ => {}
        }
    }

    fn place(&mut self, asset: &AssetPath) -> AssetPath {
        let path = asset.resolved_path().filter(|path| !path.is_empty()).unwrap_or(asset.asset_path()).to_owned();
        if path.is_empty() {
            return AssetPath::default();
        }
        let entry = match self.known.get(&path) {
            Some(entry) => entry.clone(),
            None => {
                let entry = self.bring(&path);
                let entry = entry.unwrap_or_else(|reason| {
                    self.left_out.push((path.clone(), reason));
                    String::new()
                });
                self.known.insert(path, entry.clone());
                entry
            }
        };
        AssetPath::new(entry)
    }

    fn bring(&mut self, path: &str) -> Result<String, String> {
        if path.contains(UDIM) {
            return self.bring_tiles(path);
        }
        let bytes = (self.read)(path)?.ok_or("it is not there")?;
        self.package.add(path, bytes).map_err(|error| error.to_string())
    }

    /// All tiles have to have names of one pattern, so that identical ones are not shared.
    fn bring_tiles(&mut self, path: &str) -> Result<String, String> {
        let mut pattern = entry_name("textures/", &path.replace(UDIM, "UDIM"));
        let mut number = 0_u32;
        while self.package.names.contains(&pattern.to_ascii_lowercase()) {
            number += 1;
            pattern = entry_name("textures/", &path.replace(UDIM, &format!("{number}.UDIM")));
        }
        if !ASSETS.contains(&extension(&pattern).as_str()) {
            return Err(format!("packages hold {} only", ASSETS.join(", ")));
        }
        let mut found = Vec::new();
        for tile in UDIM_TILES {
            if let Some(bytes) = (self.read)(&path.replace(UDIM, &tile.to_string()))? {
                found.push((pattern.replacen("UDIM", &tile.to_string(), 1), bytes));
            }
        }
        if found.is_empty() {
            return Err("none of its tiles is there".to_owned());
        }
        self.package.names.insert(pattern.to_ascii_lowercase());
        found.into_iter().for_each(|(name, bytes)| self.package.put(name, bytes));
        Ok(pattern.replacen("UDIM", UDIM, 1))
    }
}

fn forget_assets(value: &mut Value) {
    match value {
        Value::AssetPath(asset) => *asset = AssetPath::default(),
        Value::AssetPathVec(assets) => assets.clear(),
        Value::Dictionary(values) => values.values_mut().for_each(forget_assets),
        _ => {}
    }
}

/// Other layers would have to be brought along and their paths changed too.
fn refuse_layers(path: &Path, field: &str, value: &Value) -> Result<(), WriteError> {
    let external = match value {
        Value::ReferenceListOp(list) => list.iter().find(|item| !item.asset_path.is_empty()).map(|item| &item.asset_path),
        Value::PayloadListOp(list) => list.iter().find(|item| !item.asset_path.is_empty()).map(|item| &item.asset_path),
        Value::Payload(payload) => Some(&payload.asset_path).filter(|path| !path.is_empty()),
        Value::StringVec(layers) if field == FieldKey::SubLayers.as_str() => layers.first(),
        _ => None,
    };
    match external {
        Some(external) => {
            Err(refused(external, &format!("it is a layer that <{}> reads; flatten the stage first", path.as_str())))
        }
        None => Ok(()),
    }
}

/// The last part of a path, in a folder, in characters that every system knows. What is within another package is named by its inner path.
fn entry_name(folder: &str, path: &str) -> String {
    let path = path.strip_suffix(']').unwrap_or(path);
    let file = path.rsplit(['/', '\\', '[']).next().unwrap_or_default();
    let plain = |char: char| if char.is_ascii_alphanumeric() || "-_.".contains(char) { char } else { '_' };
    let file: String = file.chars().map(plain).collect();
    let file = file.trim_start_matches('.');
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
    let stem: String = stem.chars().take(100).collect();
    let stem = if stem.is_empty() { "file" } else { &stem };
    format!("{folder}{stem}.{}", extension.to_ascii_lowercase())
}

fn extension(name: &str) -> String {
    let name = name.strip_suffix(']').unwrap_or(name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

fn refused(entry: &str, reason: &str) -> WriteError {
    WriteError::Package { entry: entry.to_owned(), reason: reason.to_owned() }
}
