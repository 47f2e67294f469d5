//! The check of layers in the binary format ("crate"), before `openusd` reads them.
//!
//! The reader of `openusd` 0.6 takes counts, offsets and indices as they are, reads values only when they are asked for, and ends the program
//! or the thread where they are wrong. So all of them are followed here first, with the same rules: the directory of sections, tokens, strings,
//! fields, sets of fields, paths, specs, and every value that a spec has, down to dictionaries within dictionaries. What the layer comes to once
//! it is decompressed is counted against [`Budget::decompressed_bytes`]. The format: Pixar's `crateFile.h`, and *USD Core Specification* 1.0, §16.3.

mod bytes;
mod facts;
mod patch;
mod tables;
mod values;

use super::{Budget, UsdError, scan::LayerFacts};
use bytes::Bytes;
use std::{ops::Range, sync::Arc};
use tables::Tables;

/// What every binary layer begins with.
pub(super) const MAGIC: &[u8] = b"PXR-USDC";

/// Why a layer is refused; the layer is added outside.
enum Refusal {
    Broken(String),
    Over { what: String, found: u64, allowed: u64, budget: &'static str },
}

type Checked<T> = Result<T, Refusal>;

fn broken<T>(message: impl Into<String>) -> Checked<T> {
    Err(Refusal::Broken(message.into()))
}

fn within(found: u64, allowed: u64, what: &str, budget: &'static str) -> Checked<()> {
    if found <= allowed { Ok(()) } else { Err(Refusal::Over { what: what.to_owned(), found, allowed, budget }) }
}

/// Checks a layer: the bytes to read, if those of the file cannot be read as they are, and what it refers to.
///
/// # Errors
/// [`UsdError::Parse`] and [`UsdError::OverBudget`], without a line, for there are none.
pub(super) fn check(layer: &str, bytes: &[u8], budget: &Budget) -> Result<(Option<Arc<[u8]>>, LayerFacts), UsdError> {
    let checked = Layer::open(bytes, budget).and_then(|mut layer| {
        let tables = layer.tables()?;
        let mut values = values::Values::new(&layer, &tables);
        values.check_all()?;
        let facts = facts::facts(&layer, &tables)?;
        Ok((patch::patch(&layer, &tables, &values.misread), facts))
    });
    checked.map_err(|refusal| match refusal {
        Refusal::Broken(message) => UsdError::parse(layer, None, format!("{message}; the file is damaged, write it again")),
        Refusal::Over { what, found, allowed, budget } => UsdError::over(layer, None, &what, found, allowed, budget),
    })
}

/// A layer, with where its sections are.
struct Layer<'a> {
    bytes: &'a [u8],
    budget: &'a Budget,
    minor: u8,
    sections: Vec<(String, Range<usize>)>,
    /// What everything that was decompressed comes to.
    decompressed: u64,
}

impl<'a> Layer<'a> {
    fn open(bytes: &'a [u8], budget: &'a Budget) -> Checked<Self> {
        let mut header = Bytes::new(bytes, 8);
        let version = [header.u8()?, header.u8()?, header.u8()?];
        if version[0] != 0 || version[1] > 12 {
            return broken(format!(
                "version {}.{}.{} of the binary format is newer than 0.12, which is what can be read",
                version[0], version[1], version[2]
            ));
        }
        if version[1] < 4 {
            return broken(format!(
                "version {}.{}.{} of the binary format is older than 0.4, from 2016, and cannot be read",
                version[0], version[1], version[2]
            ));
        }
        let mut toc = Bytes::new(bytes, 16);
        let start = toc.u64()?;
        let mut toc = Bytes::at(bytes, start)?;
        let count = toc.u64()?;
        if !(1..64).contains(&count) {
            return broken("the directory of sections is broken");
        }
        let mut sections = Vec::new();
        for _ in 0..count {
            let name = toc.take(16)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let (start, size) = (toc.u64()?, toc.u64()?);
            let end = start.checked_add(size).filter(|end| *end <= bytes.len() as u64);
            let Some(end) = end else { return broken("a section reaches beyond the end of the file") };
            sections.push((String::from_utf8_lossy(name).into_owned(), start as usize..end as usize));
        }
        Ok(Self { bytes, budget, minor: version[1], sections, decompressed: 0 })
    }

    /// Where a section begins. The reader does not mind its end, so neither does this.
    fn section(&self, name: &str) -> Option<Bytes<'a>> {
        let (_, range) = self.sections.iter().find(|(other, _)| other == name)?;
        Some(Bytes::new(self.bytes, range.start))
    }

    fn tables(&mut self) -> Checked<Tables> {
        Tables::read(self)
    }
}
