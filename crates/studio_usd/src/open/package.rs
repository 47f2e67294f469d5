//! Packages: `.usdz`, which is a zip archive of files that are stored as they are (*USDZ File Format Specification*).

use super::{Budget, UsdError, path};
use std::{collections::HashMap, ops::Range, sync::Arc};

const END: [u8; 4] = *b"PK\x05\x06";
const CENTRAL: [u8; 4] = *b"PK\x01\x02";
const LOCAL: [u8; 4] = *b"PK\x03\x04";

/// A package in memory.
pub(super) struct Package {
    bytes: Arc<[u8]>,
    /// In the order of the archive.
    names: Vec<String>,
    places: HashMap<String, Range<usize>>,
}

impl Package {
    /// Reads the directory of a package, and nothing else.
    ///
    /// # Errors
    /// [`UsdError::Parse`] where it is not as the standard says: compressed, encrypted, outside of the file, with names that lead out of it.
    pub(super) fn read(layer: &str, bytes: Arc<[u8]>, budget: &Budget) -> Result<Self, UsdError> {
        let fail = |message: String| UsdError::parse(layer, None, message);
        let broken = || fail("the directory of this package is broken; make the package again".into());
        let end =
            find_end(&bytes).ok_or_else(|| fail("this is no package: it is no zip archive, or its end is missing".into()))?;
        let count = usize::from(u16_at(&bytes, end + 10).ok_or_else(broken)?);
        let start = u32_at(&bytes, end + 16).ok_or_else(broken)? as usize;
        if count == 0xffff || start == 0xffff_ffff {
            return Err(fail("this package has a directory of the 64-bit kind, which packages may not have".into()));
        }
        if count > budget.package_entries {
            return Err(UsdError::over(
                layer,
                None,
                "files in a package",
                count as u64,
                budget.package_entries as u64,
                "package_entries",
            ));
        }
        let mut package = Self { bytes, names: Vec::with_capacity(count), places: HashMap::with_capacity(count) };
        let mut at = start;
        for _ in 0..count {
            at = package.entry_at(at).ok_or_else(broken)?.map_err(fail)?;
        }
        Ok(package)
    }

    /// Reads an entry of the directory; where the next one is. `None` if the directory is broken.
    fn entry_at(&mut self, at: usize) -> Option<Result<usize, String>> {
        let bytes = self.bytes.clone();
        (bytes.get(at..at + 4)? == CENTRAL.as_slice()).then_some(())?;
        let flags = u16_at(&bytes, at + 8)?;
        let method = u16_at(&bytes, at + 10)?;
        let (stored, size) = (u32_at(&bytes, at + 20)? as usize, u32_at(&bytes, at + 24)? as usize);
        let name_length = usize::from(u16_at(&bytes, at + 28)?);
        let next = at + 46 + name_length + usize::from(u16_at(&bytes, at + 30)?) + usize::from(u16_at(&bytes, at + 32)?);
        let local = u32_at(&bytes, at + 42)? as usize;
        let Ok(name) = std::str::from_utf8(bytes.get(at + 46..at + 46 + name_length)?) else {
            return Some(Err("a file in this package has no name in UTF-8".into()));
        };
        if name.ends_with('/') {
            return Some(Ok(next));
        }
        if path::join("", name).as_deref() != Some(name) {
            return Some(Err(format!(
                "the file `{name}` in this package leads out of it; make the package again with plain names"
            )));
        }
        if flags & 1 != 0 || method != 0 || stored != size {
            let how = if flags & 1 != 0 { "encrypted" } else { "compressed" };
            return Some(Err(format!("the file `{name}` in this package is {how}; packages hold files as they are (zip -0)")));
        }
        (bytes.get(local..local.checked_add(4)?)? == LOCAL.as_slice()).then_some(())?;
        let data = local + 30 + usize::from(u16_at(&bytes, local + 26)?) + usize::from(u16_at(&bytes, local + 28)?);
        let place = data..data.checked_add(size)?;
        bytes.get(place.clone())?;
        if self.places.insert(name.to_owned(), place).is_some() {
            return Some(Err(format!("the file `{name}` is in this package twice")));
        }
        self.names.push(name.to_owned());
        Some(Ok(next))
    }

    /// The names of all files, in the order of the archive.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The bytes of a file.
    pub(super) fn entry(&self, name: &str) -> Option<&[u8]> {
        self.bytes.get(self.places.get(name)?.clone())
    }

    /// The layer that stands for the package: its first file.
    ///
    /// # Errors
    /// [`UsdError::Parse`] if the first file is no layer.
    pub(super) fn default_layer(&self, layer: &str) -> Result<&str, UsdError> {
        match self.names.first() {
            Some(name) if super::scan::is_layer(name) => Ok(name),
            Some(name) => {
                Err(UsdError::parse(layer, None, format!("the first file of a package has to be a layer; here it is `{name}`")))
            }
            None => Err(UsdError::parse(layer, None, "this package is empty")),
        }
    }
}

fn find_end(bytes: &[u8]) -> Option<usize> {
    // 22 bytes and a comment of up to 65 535.
    let last = bytes.len().checked_sub(22)?;
    (last.saturating_sub(65_535)..=last).rev().find(|at| bytes.get(*at..*at + 4) == Some(END.as_slice()))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at.checked_add(2)?)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}
