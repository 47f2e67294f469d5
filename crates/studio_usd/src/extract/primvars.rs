//! Primvars: indexed or not, of every interpolation, with constant ones inherited from parents.

use super::{
    read::PrimReader,
    value::{self, As, INDICES, TOKEN},
};
use crate::snapshot::{Interpolation, Primvar, Sampled};
use openusd::tf::Token;
use std::{
    cell::OnceCell,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    rc::Rc,
};

/// The constant primvars that a prim hands down to those below it.
#[derive(Clone, Default)]
pub(super) struct Inherited<'a>(Option<Rc<Level<'a>>>);

struct Level<'a> {
    prim: Rc<PrimReader<'a>>,
    above: Inherited<'a>,
    /// What [`Inherited::digest`] says of it, once it was asked.
    digest: OnceCell<u64>,
}

/// The primvars that pictures are made of, beside texture coordinates.
const SHOWN: [&str; 8] = [
    "displayColor",
    "displayOpacity",
    "normals",
    "widths",
    "skel:jointIndices",
    "skel:jointWeights",
    "skel:geomBindTransform",
    "skel:skinningMethod",
];

/// Types of texture coordinates.
const UV_TYPES: [&str; 7] = ["float2[]", "texCoord2f[]", "double2[]", "texCoord2d[]", "half2[]", "texCoord2h[]", "float2"];

impl<'a> Inherited<'a> {
    /// What the prims below this one inherit.
    pub fn with(&self, prim: &Rc<PrimReader<'a>>) -> Self {
        let hands_down = prim.names.iter().any(|name| name.starts_with("primvars:"));
        match hands_down {
            true => Self(Some(Rc::new(Level { prim: Rc::clone(prim), above: self.clone(), digest: OnceCell::new() }))),
            false => self.clone(),
        }
    }

    /// The nearest prim above that has a constant primvar of this name. A primvar of another interpolation hides those above it.
    pub fn holder(&self, name: &str) -> Option<Rc<PrimReader<'a>>> {
        let mut level = self.0.as_ref();
        while let Some(here) = level {
            if here.prim.has(name) {
                return (interpolation(&here.prim, name) == Some(Interpolation::Constant)).then(|| Rc::clone(&here.prim));
            }
            level = here.above.0.as_ref();
        }
        None
    }

    /// How many elements make one value of a primvar above.
    pub fn element_size(&self, name: &str) -> usize {
        self.holder(name).map_or(1, |holder| element_size(&holder, name))
    }

    /// A number that is another one where something is handed down that pictures show.
    pub fn digest(&self) -> u64 {
        // With a list instead of calls, so that depth costs no stack.
        let mut levels = Vec::new();
        let mut next = self.0.as_ref();
        while let Some(here) = next.filter(|here| here.digest.get().is_none()) {
            levels.push(here);
            next = here.above.0.as_ref();
        }
        let mut above = next.and_then(|here| here.digest.get()).copied().unwrap_or(0);
        for here in levels.into_iter().rev() {
            above = *here.digest.get_or_init(|| here.own_digest(above));
        }
        above
    }

    /// Names of all primvars above.
    fn names(&self) -> Vec<Token> {
        let mut names: Vec<Token> = Vec::new();
        let mut level = self.0.as_ref();
        while let Some(here) = level {
            names.extend(here.prim.names.iter().filter(|name| name.starts_with("primvars:")).cloned());
            level = here.above.0.as_ref();
        }
        names
    }
}

impl Level<'_> {
    fn own_digest(&self, above: u64) -> u64 {
        let is_shown = |full: &&Token| {
            let name = full.strip_prefix("primvars:").map(|name| name.trim_end_matches(":indices"));
            let is_uv = || self.prim.type_name(full).is_some_and(|type_name| UV_TYPES.contains(&type_name.as_str()));
            name.is_some_and(|name| SHOWN.contains(&name) || full.ends_with(":indices") || is_uv())
        };
        let mut shown = self.prim.names.iter().filter(is_shown).peekable();
        if shown.peek().is_none() {
            return above;
        }
        let mut hasher = DefaultHasher::new();
        above.hash(&mut hasher);
        for name in shown {
            let metadata = ["interpolation", "elementSize"].map(|key| self.prim.property_metadata(name, key));
            format!("{name} {:?} {metadata:?}", self.prim.raw(name)).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// What each element of a primvar belongs to, where that is said and known. The fallback is `constant`.
fn interpolation(prim: &PrimReader<'_>, name: &str) -> Option<Interpolation> {
    match prim.property_metadata(name, "interpolation").map(value::text) {
        None => Some(Interpolation::Constant),
        Some(text) => match text.as_deref() {
            Some("constant") => Some(Interpolation::Constant),
            Some("uniform") => Some(Interpolation::Uniform),
            Some("varying") => Some(Interpolation::Varying),
            Some("vertex") => Some(Interpolation::Vertex),
            Some("faceVarying") => Some(Interpolation::FaceVarying),
            _ => {
                prim.warn(format!("`{name}` has an interpolation that USD does not know; it is taken for constant"));
                Some(Interpolation::Constant)
            }
        },
    }
}

/// How many elements of the array make one of the primvar.
pub(super) fn element_size(prim: &PrimReader<'_>, name: &str) -> usize {
    let size = prim.property_metadata(name, "elementSize").and_then(value::f64).unwrap_or(1.0);
    // Larger ones than this fit no array.
    size.clamp(1.0, 65_536.0) as usize
}

/// A primvar of the prim or, if it is constant, of one above it. `name` is without `primvars:`.
pub(super) fn primvar<'a, T>(
    prim: &PrimReader<'a>,
    inherited: &Inherited<'a>,
    name: &str,
    kind: As<Vec<T>>,
) -> Option<Primvar<T>> {
    let full = format!("primvars:{name}");
    if prim.has(&full) {
        let primvar = own_primvar(prim, &full, kind);
        // One without a value says nothing, and the one above shows through.
        if primvar.is_some() {
            return primvar;
        }
    }
    own_primvar(&*inherited.holder(&full)?, &full, kind)
}

fn own_primvar<T>(prim: &PrimReader<'_>, full: &str, kind: As<Vec<T>>) -> Option<Primvar<T>> {
    let values = prim.sampled(full, kind);
    if !values.is_some() {
        return None;
    }
    let indices_name = format!("{full}:indices");
    let indices = prim.has(&indices_name).then(|| prim.sampled(&indices_name, INDICES)).filter(Sampled::is_some);
    let name = full.strip_prefix("primvars:").unwrap_or(full).to_owned();
    let primvar = Primvar { name, interpolation: interpolation(prim, full).unwrap_or_default(), values, indices };
    check_indices(prim, full, &primvar);
    Some(primvar)
}

/// Notes indices that point past the values. They stay: who draws them decides what stands for a missing value.
fn check_indices<T>(prim: &PrimReader<'_>, full: &str, primvar: &Primvar<T>) {
    let Some(indices) = &primvar.indices else { return };
    let longest =
        primvar.values.default.iter().chain(primvar.values.samples.iter().map(|(_, values)| values)).map(Vec::len).max();
    let largest = indices.default.iter().chain(indices.samples.iter().map(|(_, values)| values)).flatten().max();
    if let (Some(longest), Some(largest)) = (longest, largest)
        && usize::try_from(*largest).is_ok_and(|largest| largest >= longest)
    {
        prim.warn(format!("`{full}:indices` goes up to {largest}, but `{full}` has {longest} values"));
    }
}

/// An attribute that is no primvar, but has an interpolation as one: `normals`, `widths`.
pub(super) fn builtin<T>(prim: &PrimReader<'_>, name: &str, kind: As<Vec<T>>) -> Option<Primvar<T>> {
    if !prim.has(name) {
        return None;
    }
    let values = prim.sampled(name, kind);
    if !values.is_some() {
        return None;
    }
    // The fallback of these is `vertex`, unlike that of primvars.
    let interpolation = match prim.property_metadata(name, "interpolation") {
        None => Interpolation::Vertex,
        Some(_) => interpolation(prim, name).unwrap_or_default(),
    };
    Some(Primvar { name: name.to_owned(), interpolation, values, indices: None })
}

/// `primvars:NAME`, which goes before `NAME`.
pub(super) fn primvar_or_builtin<'a, T>(
    prim: &PrimReader<'a>,
    inherited: &Inherited<'a>,
    name: &str,
    kind: As<Vec<T>>,
) -> Option<Primvar<T>> {
    let own = builtin(prim, name, kind);
    primvar(prim, inherited, name, kind).or(own)
}

/// Names (without `primvars:`) of all primvars of pairs of numbers, the prim's own and those it inherits, in order.
pub(super) fn uv_names<'a>(prim: &PrimReader<'a>, inherited: &Inherited<'a>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let candidates = prim.names.iter().filter(|name| name.starts_with("primvars:")).cloned().chain(inherited.names());
    for full in candidates {
        let Some(name) = full.strip_prefix("primvars:").filter(|name| !name.ends_with(":indices")) else { continue };
        let type_name = match prim.has(&full) {
            true => prim.type_name(&full),
            false => inherited.holder(&full).and_then(|holder| holder.type_name(&full)),
        };
        if type_name.is_some_and(|type_name| UV_TYPES.contains(&type_name.as_str())) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// A token's interpolation, for attributes that carry it themselves.
pub(super) fn token_or(prim: &PrimReader<'_>, name: &str, fallback: &str) -> String {
    prim.uniform(name, TOKEN).unwrap_or_else(|| fallback.to_owned())
}
