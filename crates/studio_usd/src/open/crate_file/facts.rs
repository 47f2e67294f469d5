//! What a binary layer, of which everything is checked, refers to.

use super::{
    Checked, Layer,
    bytes::Bytes,
    tables::Tables,
    values::{Rep, kind},
};
use crate::open::scan::{Fact, LayerFacts, ReferenceKind, template_clips};
use openusd::sdf::SpecType;

pub(super) fn facts(layer: &Layer<'_>, tables: &Tables) -> Checked<LayerFacts> {
    let mut reader = Reader { layer, tables, facts: LayerFacts::default() };
    for spec in &tables.specs {
        reader.facts.prims += usize::from(matches!(spec.kind, SpecType::Prim | SpecType::Variant));
        for field in tables.fields_of(spec.set) {
            let Some((name, value)) = tables.fields.get(field as usize) else { continue };
            reader.field(tables.token(*name), Rep(*value), spec.path)?;
        }
    }
    Ok(reader.facts)
}

struct Reader<'a> {
    layer: &'a Layer<'a>,
    tables: &'a Tables,
    facts: LayerFacts,
}

impl<'a> Reader<'a> {
    fn at(&self, rep: Rep) -> Checked<Bytes<'a>> {
        Bytes::at(self.layer.bytes, rep.payload())
    }

    fn field(&mut self, name: &str, rep: Rep, path: u32) -> Checked<()> {
        match (name, rep.kind()) {
            // Written either way.
            ("subLayers", kind::STRING_VECTOR | kind::STRING) if rep.payload() > 0 => {
                for asset in self.strings(rep)? {
                    self.refers(path, asset, String::new(), ReferenceKind::SubLayer);
                }
            }
            ("defaultPrim", kind::TOKEN) if rep.is_inlined() => {
                self.facts.default_prim = Some(self.tables.token(rep.payload() as u32).trim_start_matches('/').to_owned());
            }
            (_, kind::REFERENCE_LIST_OP) => self.arcs(rep, path, ReferenceKind::Reference)?,
            (_, kind::PAYLOAD_LIST_OP) => self.arcs(rep, path, ReferenceKind::Payload)?,
            (_, kind::PAYLOAD) if !rep.is_inlined() => {
                let mut at = self.at(rep)?;
                self.arc(&mut at, path, ReferenceKind::Payload)?;
            }
            ("inheritPaths", kind::PATH_LIST_OP) => self.paths(rep, path, ReferenceKind::Inherit)?,
            ("specializes", kind::PATH_LIST_OP) => self.paths(rep, path, ReferenceKind::Specialize)?,
            ("clips", kind::DICTIONARY) => self.clip_sets(rep, path)?,
            _ => self.assets(rep, path, 0)?,
        }
        Ok(())
    }

    fn refers(&mut self, path: u32, asset: &str, target: String, kind: ReferenceKind) {
        let prim = self.tables.path(path);
        self.facts.references.push(Fact { asset: asset.to_owned(), target, prim, line: None, kind });
    }

    fn strings(&self, rep: Rep) -> Checked<Vec<&'a str>> {
        let mut at = self.at(rep)?;
        (0..at.count(4)?).map(|_| at.u32().map(|index| self.tables.string(index))).collect()
    }

    /// The lists of a list operation that add something: all but those deleted and ordered.
    fn lists(&mut self, rep: Rep, mut item: impl FnMut(&mut Self, &mut Bytes<'a>, bool) -> Checked<()>) -> Checked<()> {
        let mut at = self.at(rep)?;
        let bits = at.u8()?;
        // Explicit, added, prepended, appended, deleted, ordered: in this order they are written.
        for (bit, adds) in [(1, true), (2, true), (5, true), (6, true), (3, false), (4, false)] {
            if bits >> bit & 1 == 1 {
                for _ in 0..at.u64()? {
                    item(self, &mut at, adds)?;
                }
            }
        }
        Ok(())
    }

    fn arcs(&mut self, rep: Rep, path: u32, kind: ReferenceKind) -> Checked<()> {
        self.lists(rep, |reader, at, adds| {
            let before = reader.facts.references.len();
            reader.arc(at, path, kind)?;
            if !adds {
                reader.facts.references.truncate(before);
            }
            Ok(())
        })
    }

    fn arc(&mut self, at: &mut Bytes<'a>, path: u32, kind: ReferenceKind) -> Checked<()> {
        let (asset, target) = (at.u32()?, at.u32()?);
        let (asset, target) = (self.tables.string(asset), self.tables.path(target));
        if kind == ReferenceKind::Reference {
            at.take(16)?;
            for _ in 0..at.u64()? {
                at.u32()?;
                at.jump()?;
                at.u64()?;
            }
        } else if self.layer.minor >= 8 {
            at.take(16)?;
        }
        self.refers(path, asset, target, kind);
        Ok(())
    }

    fn paths(&mut self, rep: Rep, path: u32, kind: ReferenceKind) -> Checked<()> {
        self.lists(rep, |reader, at, adds| {
            let target = at.u32()?;
            if adds {
                let target = reader.tables.path(target);
                reader.refers(path, "", target, kind);
            }
            Ok(())
        })
    }

    /// Assets in values, in dictionaries and in samples.
    fn assets(&mut self, rep: Rep, path: u32, depth: usize) -> Checked<()> {
        match rep.kind() {
            // An empty array has no place in the file.
            kind::ASSET_PATH if rep.is_array() && rep.payload() == 0 => {}
            kind::ASSET_PATH if rep.is_array() => {
                for asset in self.strings(rep)? {
                    self.asset(asset, path);
                }
            }
            kind::ASSET_PATH => {
                let asset = self.asset_of(rep)?;
                self.asset(asset, path);
            }
            kind::DICTIONARY if !rep.is_inlined() && depth < 8 => {
                for (_, value) in self.entries(rep)? {
                    self.assets(value, path, depth + 1)?;
                }
            }
            kind::TIME_SAMPLES if !rep.is_inlined() && depth < 8 => {
                let mut at = self.at(rep)?;
                at.jump()?;
                at.u64()?;
                at.jump()?;
                for _ in 0..at.count(8)? {
                    let value = Rep(at.u64()?);
                    if value.kind() != kind::ASSET_PATH {
                        break;
                    }
                    self.assets(value, path, depth + 1)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn asset_of(&self, rep: Rep) -> Checked<&'a str> {
        if rep.is_inlined() { Ok(self.tables.token(rep.payload() as u32)) } else { Ok(self.tables.string(self.at(rep)?.u32()?)) }
    }

    fn asset(&mut self, asset: &str, path: u32) {
        if !asset.is_empty() {
            self.facts.assets.push((asset.to_owned(), self.tables.path(path), None));
        }
    }

    fn entries(&self, rep: Rep) -> Checked<Vec<(&'a str, Rep)>> {
        if rep.is_inlined() {
            return Ok(Vec::new());
        }
        let mut at = self.at(rep)?;
        let mut entries = Vec::new();
        for _ in 0..at.count(20)? {
            let key = at.u32()?;
            at.jump()?;
            entries.push((self.tables.string(key), Rep(at.u64()?)));
        }
        Ok(entries)
    }

    fn clip_sets(&mut self, rep: Rep, path: u32) -> Checked<()> {
        for (_, set) in self.entries(rep)? {
            if set.kind() != kind::DICTIONARY || set.is_array() {
                continue;
            }
            let (mut template, mut times) = (None, [None; 3]);
            for (key, value) in self.entries(set)? {
                let time = match key {
                    "templateStartTime" => 0,
                    "templateEndTime" => 1,
                    "templateStride" => 2,
                    "templateAssetPath" if value.kind() == kind::STRING && !value.is_array() => {
                        let index = if value.is_inlined() { value.payload() as u32 } else { self.at(value)?.u32()? };
                        template = Some(self.tables.string(index));
                        continue;
                    }
                    _ => continue,
                };
                if let Some(slot) = times.get_mut(time) {
                    *slot = self.double(value);
                }
            }
            if let (Some(template), [Some(start), Some(end), Some(stride)]) = (template, times) {
                for asset in template_clips(template, start, end, stride) {
                    self.refers(path, &asset, String::new(), ReferenceKind::Clip);
                }
            }
        }
        self.assets(rep, path, 0)
    }

    fn double(&self, rep: Rep) -> Option<f64> {
        match (rep.kind(), rep.is_inlined()) {
            (9, true) => Some(f64::from(f32::from_bits(rep.payload() as u32))),
            (9, false) => self.at(rep).ok()?.u64().ok().map(f64::from_bits),
            (3, true) => Some(f64::from(rep.payload() as u32 as i32)),
            _ => None,
        }
    }
}
