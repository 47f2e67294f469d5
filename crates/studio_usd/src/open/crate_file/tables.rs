//! The tables of a binary layer: tokens, strings, fields, paths, specs.

use super::{Checked, Layer, broken, bytes::Bytes, within};
use crate::open::path::is_balanced;
use openusd::sdf::SpecType;

/// An index that stands for none.
const NONE: u32 = u32::MAX;

/// The tables, all indices of which are within bounds.
#[derive(Default)]
pub(super) struct Tables {
    pub(super) tokens: Vec<String>,
    /// Indices of tokens.
    pub(super) strings: Vec<u32>,
    /// Token of the name, value.
    pub(super) fields: Vec<(u32, u64)>,
    /// Indices of fields, each set ended by `None`.
    pub(super) sets: Vec<Option<u32>>,
    pub(super) paths: Vec<Path>,
    pub(super) specs: Vec<Spec>,
}

/// A path, as its last element.
#[derive(Clone, Copy, Default)]
pub(super) struct Path {
    pub(super) parent: u32,
    pub(super) token: u32,
    pub(super) is_property: bool,
    pub(super) is_known: bool,
    depth: u32,
    length: u64,
}

/// What a layer says about a path.
pub(super) struct Spec {
    pub(super) path: u32,
    pub(super) set: u32,
    pub(super) kind: SpecType,
}

impl Tables {
    pub(super) fn read(layer: &mut Layer<'_>) -> Checked<Self> {
        let mut tables = Self::default();
        tables.read_tokens(layer)?;
        tables.read_strings(layer)?;
        tables.read_fields(layer)?;
        tables.read_sets(layer)?;
        tables.read_paths(layer)?;
        tables.read_specs(layer)?;
        Ok(tables)
    }

    fn read_tokens(&mut self, layer: &mut Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("TOKENS") else { return Ok(()) };
        let (count, size) = (section.u64()?, section.u64()?);
        within(size, layer.budget.decompressed_bytes, "bytes of tokens", "decompressed_bytes")?;
        let bytes = section.decompress(size, layer.budget.decompressed_bytes, &mut layer.decompressed)?;
        if bytes.len() as u64 != size {
            return broken("the tokens are not as many bytes as they should be");
        }
        let Some((last, tokens)) = bytes.split_last() else {
            return if count == 0 { Ok(()) } else { broken("the tokens are missing") };
        };
        if *last != 0 || tokens.split(|byte| *byte == 0).count() as u64 != count {
            return broken("the tokens are not as many as they should be");
        }
        for token in tokens.split(|byte| *byte == 0) {
            let Ok(token) = std::str::from_utf8(token) else { return broken("a token is not in UTF-8") };
            self.tokens.push(token.to_owned());
        }
        Ok(())
    }

    fn read_strings(&mut self, layer: &Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("STRINGS") else { return Ok(()) };
        for _ in 0..section.count(4)? {
            let token = section.u32()?;
            self.is_token(token)?;
            self.strings.push(token);
        }
        Ok(())
    }

    fn integers(section: &mut Bytes<'_>, count: u64, layer: &mut Layer<'_>) -> Checked<Vec<u32>> {
        section.integers(count, layer.budget.decompressed_bytes, &mut layer.decompressed)
    }

    fn read_fields(&mut self, layer: &mut Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("FIELDS") else { return Ok(()) };
        let count = section.u64()?;
        let names = Self::integers(&mut section, count, layer)?;
        within(count.saturating_mul(8), layer.budget.decompressed_bytes, "bytes of fields", "decompressed_bytes")?;
        let values = section.decompress(count * 8, layer.budget.decompressed_bytes, &mut layer.decompressed)?;
        if values.len() as u64 != count * 8 {
            return broken("the fields are not as many as they should be");
        }
        for (name, value) in names.into_iter().zip(values.as_chunks::<8>().0) {
            self.is_token(name)?;
            self.fields.push((name, u64::from_le_bytes(*value)));
        }
        Ok(())
    }

    fn read_sets(&mut self, layer: &mut Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("FIELDSETS") else { return Ok(()) };
        let count = section.u64()?;
        for index in Self::integers(&mut section, count, layer)? {
            if index != NONE && index as usize >= self.fields.len() {
                return broken("a set names a field that is not there");
            }
            self.sets.push(Some(index).filter(|index| *index != NONE));
        }
        Ok(())
    }

    fn read_paths(&mut self, layer: &mut Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("PATHS") else { return Ok(()) };
        let count = section.u64()?;
        let encoded = section.u64()?;
        // The reader makes room for `count` paths of 24 bytes whatever there is.
        if count > encoded.saturating_mul(2).saturating_add(16) {
            return broken("more paths are promised than there are");
        }
        within(count.saturating_mul(24), layer.budget.decompressed_bytes, "bytes of paths", "decompressed_bytes")?;
        let places = Self::integers(&mut section, encoded, layer)?;
        let elements = Self::integers(&mut section, encoded, layer)?;
        let jumps = Self::integers(&mut section, encoded, layer)?;
        self.paths = vec![Path::default(); count as usize];
        self.build_paths(&places, &elements, &jumps, layer)
    }

    /// Follows the tree of paths as the reader does, and sees that it is one.
    fn build_paths(&mut self, places: &[u32], elements: &[u32], jumps: &[u32], layer: &mut Layer<'_>) -> Checked<()> {
        if places.is_empty() {
            return Ok(());
        }
        if places.first() != Some(&0) {
            return broken("the first path is not the root");
        }
        let most_depth = 2 * layer.budget.namespace_depth as u64;
        let mut is_seen = vec![false; places.len()];
        let mut pending = vec![(0_usize, None::<u32>)];
        while let Some((mut index, mut parent)) = pending.pop() {
            loop {
                let (Some(place), Some(element), Some(jump), Some(is_seen)) =
                    (places.get(index), elements.get(index), jumps.get(index), is_seen.get_mut(index))
                else {
                    return broken("the tree of paths leads out of itself");
                };
                if std::mem::replace(is_seen, true) {
                    return broken("the tree of paths is none");
                }
                let (element, jump) = (*element as i32, *jump as i32);
                let mut path = Path { parent: parent.unwrap_or(0), is_known: true, length: 1, ..Path::default() };
                if let Some(parent) = parent {
                    let above = self.paths.get(parent as usize).copied().unwrap_or_default();
                    path.token = element.unsigned_abs();
                    path.is_property = element < 0;
                    path.depth = above.depth + 1;
                    path.length = above.length + 1 + self.element(path, above)?;
                    within(u64::from(path.depth), most_depth, "parts of a path", "namespace_depth")?;
                }
                layer.decompressed = layer.decompressed.saturating_add(path.length);
                within(layer.decompressed, layer.budget.decompressed_bytes, "bytes of paths", "decompressed_bytes")?;
                match self.paths.get_mut(*place as usize) {
                    Some(slot) if !slot.is_known => *slot = path,
                    Some(_) => return broken("a path is there twice"),
                    None => return broken("a path has no place"),
                }
                let (has_child, has_sibling) = (jump > 0 || jump == -1, jump >= 0);
                if has_child && has_sibling {
                    pending.push((index + jump as usize, parent));
                }
                if parent.is_none() || has_child {
                    parent = Some(*place);
                }
                if !has_child && !has_sibling {
                    break;
                }
                index += 1;
            }
        }
        Ok(())
    }

    /// The bytes of a path's last element, which has to be one: a name, `{set=variant}` or `[target]`.
    fn element(&self, path: Path, above: Path) -> Checked<u64> {
        let Some(token) = self.tokens.get(path.token as usize) else { return broken("a path names a token that is not there") };
        let is_nested = token.starts_with(['{', '[']);
        let is_bad = |c: char| c.is_control() || (c.is_whitespace() || c == '/') && !is_nested;
        if token.is_empty() || token.chars().any(is_bad) || token == "." || above.is_property && !path.is_property && !is_nested {
            return broken(format!("`{}` is no part of a path", token.chars().take(40).collect::<String>()));
        }
        let is_open = is_nested && !(is_balanced(token) && token.ends_with(['}', ']']));
        let is_odd =
            is_open || token.contains("..") || path.is_property && !is_nested && token.contains(['.', '{', '}', '[', ']']);
        if is_odd || !path.is_property && !is_nested && token.contains(['.', '{', '}', '[', ']']) {
            return broken(format!("`{}` is no name for a prim", token.chars().take(40).collect::<String>()));
        }
        Ok(token.len() as u64)
    }

    fn read_specs(&mut self, layer: &mut Layer<'_>) -> Checked<()> {
        let Some(mut section) = layer.section("SPECS") else { return Ok(()) };
        let count = section.u64()?;
        let paths = Self::integers(&mut section, count, layer)?;
        let sets = Self::integers(&mut section, count, layer)?;
        let kinds = Self::integers(&mut section, count, layer)?;
        let mut prims = 0;
        for ((path, set), kind) in paths.into_iter().zip(sets).zip(kinds) {
            if !self.paths.get(path as usize).is_some_and(|path| path.is_known) {
                return broken("a spec has no path");
            }
            let is_start = set == 0 || self.sets.get(set as usize - 1).is_some_and(Option::is_none);
            if set as usize >= self.sets.len() || !is_start {
                return broken("a spec has no set of fields");
            }
            let Some(kind) = SpecType::from_repr(kind).filter(|kind| *kind != SpecType::Unknown) else {
                return broken("a spec is of no known kind");
            };
            prims += u64::from(matches!(kind, SpecType::Prim | SpecType::Variant));
            within(prims, layer.budget.prims as u64, "prims in one layer", "prims")?;
            self.specs.push(Spec { path, set, kind });
        }
        Ok(())
    }

    pub(super) fn is_token(&self, index: u32) -> Checked<()> {
        if (index as usize) < self.tokens.len() { Ok(()) } else { broken("a token is asked for that is not there") }
    }

    pub(super) fn is_string(&self, index: u32) -> Checked<()> {
        if (index as usize) < self.strings.len() { Ok(()) } else { broken("a string is asked for that is not there") }
    }

    pub(super) fn is_path(&self, index: u32) -> Checked<()> {
        if (index as usize) < self.paths.len() { Ok(()) } else { broken("a path is asked for that is not there") }
    }

    /// As [`is_path`](Self::is_path), of a path that is not empty. Arcs to default prims have the empty one; elsewhere `openusd` 0.6 climbs from
    /// it without an end.
    pub(super) fn is_known_path(&self, index: u32) -> Checked<()> {
        if self.paths.get(index as usize).is_some_and(|path| path.is_known) {
            Ok(())
        } else {
            broken("a path is asked for that is not there")
        }
    }

    pub(super) fn token(&self, index: u32) -> &str {
        self.tokens.get(index as usize).map_or("", String::as_str)
    }

    pub(super) fn string(&self, index: u32) -> &str {
        self.strings.get(index as usize).map_or("", |token| self.token(*token))
    }

    /// The fields of a set.
    pub(super) fn fields_of(&self, set: u32) -> impl Iterator<Item = u32> + '_ {
        self.sets.get(set as usize..).unwrap_or_default().iter().map_while(|field| *field)
    }

    /// A path as text. Only for few of them: each is built anew.
    pub(super) fn path(&self, index: u32) -> String {
        let mut parts = Vec::new();
        let mut at = index;
        while let Some(path) = self.paths.get(at as usize).filter(|path| path.depth > 0) {
            parts.push(path);
            at = path.parent;
        }
        let mut out = String::new();
        for path in parts.iter().rev() {
            let token = self.token(path.token);
            if path.is_property {
                out.push('.');
            } else if !token.starts_with(['{', '[']) && !out.ends_with('}') {
                out.push('/');
            }
            out.push_str(token);
        }
        out
    }
}
