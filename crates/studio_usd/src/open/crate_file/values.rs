//! The values of a binary layer.

use super::{Checked, Layer, broken, bytes::Bytes, patch::is_misread, tables::Tables, within};
use crate::open::path::{is_default_prim, is_one_name};
use std::collections::HashMap;

/// Numbers of types, from Pixar's `crateDataTypes.h`.
pub(super) mod kind {
    pub(crate) const STRING: u8 = 10;
    pub(crate) const TOKEN: u8 = 11;
    pub(crate) const ASSET_PATH: u8 = 12;
    pub(crate) const DICTIONARY: u8 = 31;
    pub(crate) const REFERENCE_LIST_OP: u8 = 35;
    pub(crate) const PATH_LIST_OP: u8 = 34;
    pub(crate) const TOKEN_VECTOR: u8 = 41;
    pub(crate) const TIME_SAMPLES: u8 = 46;
    pub(crate) const PAYLOAD: u8 = 47;
    pub(crate) const STRING_VECTOR: u8 = 50;
    pub(crate) const PATH_EXPRESSION: u8 = 57;
    pub(crate) const PAYLOAD_LIST_OP: u8 = 55;
}

/// A value, as a field holds it.
#[derive(Clone, Copy)]
pub(super) struct Rep(pub(super) u64);

impl Rep {
    pub(super) fn kind(self) -> u8 {
        (self.0 >> 48) as u8
    }

    pub(super) fn payload(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }

    pub(super) fn is_array(self) -> bool {
        self.0 >> 63 == 1
    }

    pub(super) fn is_inlined(self) -> bool {
        self.0 >> 62 & 1 == 1
    }

    fn is_compressed(self) -> bool {
        self.0 >> 61 & 1 == 1
    }
}

/// Follows values, each once.
pub(super) struct Values<'a> {
    layer: &'a Layer<'a>,
    tables: &'a Tables,
    /// Bytes that each value comes to; `None` while it is being followed.
    sizes: HashMap<u64, Option<u64>>,
    /// Where values within values are that have to be changed.
    pub(super) misread: Vec<usize>,
}

impl<'a> Values<'a> {
    pub(super) fn new(layer: &'a Layer<'a>, tables: &'a Tables) -> Self {
        Self { layer, tables, sizes: HashMap::new(), misread: Vec::new() }
    }

    /// Follows every value that a spec has. Values may be shared; counted they are for each spec, for that is what memory they come to.
    pub(super) fn check_all(&mut self) -> Checked<()> {
        let mut of_sets: HashMap<u32, u64> = HashMap::new();
        let mut total = self.layer.decompressed;
        for spec in &self.tables.specs {
            let size = match of_sets.get(&spec.set) {
                Some(size) => *size,
                None => {
                    let mut size = 0_u64;
                    for field in self.tables.fields_of(spec.set) {
                        let Some((name, value)) = self.tables.fields.get(field as usize) else { continue };
                        size = size.saturating_add(self.value(Rep(*value), 0)?);
                        self.names(self.tables.token(*name), Rep(*value))?;
                    }
                    of_sets.insert(spec.set, size);
                    size
                }
            };
            total = total.saturating_add(size);
            within(total, self.layer.budget.decompressed_bytes, "bytes once decompressed", "decompressed_bytes")?;
        }
        Ok(())
    }

    /// Names in fields that the reader makes paths of.
    fn names(&self, field: &str, rep: Rep) -> Checked<()> {
        let is_fine = |index: u32| match field {
            "primChildren" | "properties" => is_one_name(self.tables.token(index)),
            "defaultPrim" => is_default_prim(self.tables.token(index)),
            _ => true,
        };
        if !matches!(field, "primChildren" | "properties" | "defaultPrim") {
            return Ok(());
        }
        let mut names = Vec::new();
        match (rep.kind(), rep.is_array()) {
            (kind::TOKEN, false) if rep.is_inlined() => names.push(rep.payload() as u32),
            (kind::TOKEN, true) => {
                let (count, mut at) = self.length(rep)?;
                for _ in 0..count {
                    names.push(at.u32()?);
                }
            }
            (kind::TOKEN_VECTOR, false) if !rep.is_inlined() => {
                let mut at = self.at(rep)?;
                for _ in 0..at.count(4)? {
                    names.push(at.u32()?);
                }
            }
            _ => return broken(format!("`{field}` is of a type that it cannot be of")),
        }
        match names.into_iter().find(|name| !is_fine(*name)) {
            Some(name) => {
                let name = self.tables.token(name);
                broken(format!("`{}` in `{field}` is no name", name.chars().take(40).collect::<String>()))
            }
            None => Ok(()),
        }
    }

    fn value(&mut self, rep: Rep, depth: usize) -> Checked<u64> {
        within(depth as u64, self.layer.budget.nesting as u64, "values within values", "nesting")?;
        match self.sizes.insert(rep.0, None) {
            Some(Some(size)) => {
                self.sizes.insert(rep.0, Some(size));
                return Ok(size);
            }
            Some(None) => return broken("a value contains itself"),
            None => {}
        }
        let size = if rep.is_array() { self.array(rep)? } else { self.single(rep, depth)? };
        // Counted with a margin for what holds it.
        let size = size.saturating_add(32);
        within(size, self.layer.budget.decompressed_bytes, "bytes of one value", "decompressed_bytes")?;
        self.sizes.insert(rep.0, Some(size));
        Ok(size)
    }

    fn at(&self, rep: Rep) -> Checked<Bytes<'a>> {
        Bytes::at(self.layer.bytes, rep.payload())
    }

    fn array(&mut self, rep: Rep) -> Checked<u64> {
        if rep.is_inlined() {
            return broken("an array is said to be within its field");
        }
        if rep.is_compressed() && !matches!(rep.kind(), 3..=9 | 48 | 56) {
            return broken("an array is said to be compressed that cannot be");
        }
        let width = match rep.kind() {
            1 | 2 => 1,
            3 | 4 => return self.numbers(rep, 4, true),
            5 | 6 => return self.numbers(rep, 8, true),
            7 => return self.numbers(rep, 2, false),
            8 => return self.numbers(rep, 4, false),
            // `double`, `DoubleVector`, `timecode`
            9 | 48 | 56 => return self.numbers(rep, 8, false),
            kind::STRING | kind::ASSET_PATH | kind::STRING_VECTOR | kind::PATH_EXPRESSION => {
                let mut at = self.at(rep)?;
                if rep.payload() == 0 {
                    return Ok(0);
                }
                return self.strings(&mut at);
            }
            kind::TOKEN => {
                let (count, mut at) = self.length(rep)?;
                at.has(count, 4)?;
                for _ in 0..count {
                    self.tables.is_token(at.u32()?)?;
                }
                return Ok(count.saturating_mul(24));
            }
            13 => 32,      // matrix2d
            14 => 72,      // matrix3d
            15 => 128,     // matrix4d
            16 => 32,      // quatd
            17 => 16,      // quatf
            18 => 8,       // quath
            19 => 16,      // double2
            20 | 22 => 8,  // float2, int2
            21 => 4,       // half2
            23 => 24,      // double3
            24 | 26 => 12, // float3, int3
            25 => 6,       // half3
            27 => 32,      // double4
            28 | 30 => 16, // float4, int4
            29 => 8,       // half4
            kind::DICTIONARY..=47 | 49..=55 | 58 => {
                return broken("a value is said to be an array that cannot be one");
            }
            // The reader refuses what it does not know.
            _ => return Ok(0),
        };
        let (count, at) = self.length(rep)?;
        at.has(count, width)?;
        Ok(count.saturating_mul(width))
    }

    /// The length of an array, and where its elements begin.
    fn length(&self, rep: Rep) -> Checked<(u64, Bytes<'a>)> {
        let mut at = self.at(rep)?;
        if rep.payload() == 0 {
            return Ok((0, at));
        }
        if self.layer.minor < 5 {
            at.u32()?;
        }
        let count = if self.layer.minor < 7 { u64::from(at.u32()?) } else { at.u64()? };
        within(count, self.layer.budget.array_elements, "elements of an array", "array_elements")?;
        Ok((count, at))
    }

    fn numbers(&self, rep: Rep, width: u64, is_integer: bool) -> Checked<u64> {
        let (count, mut at) = self.length(rep)?;
        let is_compressed = rep.is_compressed() && count >= 4 && self.layer.minor >= if is_integer { 5 } else { 6 };
        let size = count.saturating_mul(width);
        if !is_compressed {
            at.has(count, width)?;
            return Ok(size);
        }
        // Freed once it is checked, so it counts for itself alone.
        let (budget, spent) = (self.layer.budget.decompressed_bytes, &mut 0);
        within(size, budget, "bytes of an array", "decompressed_bytes")?;
        if is_integer {
            at.coded(count, width, budget, spent)?;
            return Ok(size);
        }
        match at.u8()? {
            b'i' => {
                at.coded(count, 4, budget, spent)?;
            }
            b't' => {
                let table = u64::from(at.u32()?);
                at.has(table, width)?;
                at.take(table * width)?;
                if at.integers(count, budget, spent)?.iter().any(|index| u64::from(*index) >= table) {
                    return broken("a compressed array asks for a number that is not there");
                }
            }
            _ => return broken("an array is compressed in a way that is not known"),
        }
        Ok(size)
    }

    fn single(&mut self, rep: Rep, depth: usize) -> Checked<u64> {
        let index = || -> Checked<u32> { if rep.is_inlined() { Ok(rep.payload() as u32) } else { self.at(rep)?.u32() } };
        match rep.kind() {
            kind::STRING => {
                let index = index()?;
                self.tables.is_string(index)?;
                return Ok(self.tables.string(index).len() as u64);
            }
            // `token`, `UnregisteredValue`
            kind::TOKEN | 53 => {
                let index = if rep.is_inlined() { u64::from(rep.payload() as u32) } else { self.at(rep)?.u64()? };
                let Ok(index) = u32::try_from(index) else { return broken("a token is asked for that is not there") };
                self.tables.is_token(index)?;
                return Ok(self.tables.token(index).len() as u64);
            }
            kind::ASSET_PATH | kind::PATH_EXPRESSION => {
                let index = index()?;
                if rep.is_inlined() {
                    self.tables.is_token(index)?
                } else {
                    self.tables.is_string(index)?
                }
                return Ok(64);
            }
            kind::DICTIONARY if rep.is_inlined() => return Ok(0),
            48 if !rep.is_inlined() => return self.numbers(rep, 8, false),
            // Fixed sizes: the reader sees the end of the file by itself.
            0..=30 | 42..=44 | 51 | 52 | 56 => return Ok(128),
            59.. => return Ok(0),
            _ => {}
        }
        if rep.is_inlined() && rep.kind() != kind::PAYLOAD_LIST_OP {
            // The reader says so by itself.
            return Ok(0);
        }
        let mut at = self.at(rep)?;
        match rep.kind() {
            kind::DICTIONARY => self.dictionary(&mut at, depth),
            32 => self.list_op(at, |values, at| values.tokens(at)),
            33 | 54 => self.list_op(at, |values, at| values.strings(at)),
            kind::PATH_LIST_OP => self.list_op(at, |values, at| values.paths(at)),
            kind::REFERENCE_LIST_OP => self.list_op(at, |values, at| {
                let count = at.count(32)?;
                (0..count).try_fold(count * 96, |size, _| {
                    values.tables.is_string(at.u32()?)?;
                    values.tables.is_path(at.u32()?)?;
                    at.take(16)?;
                    Ok(size.saturating_add(values.dictionary(at, depth)?))
                })
            }),
            kind::PAYLOAD_LIST_OP => self.list_op(at, |values, at| {
                let count = at.count(if values.layer.minor < 8 { 8 } else { 24 })?;
                (0..count).try_fold(0_u64, |size, _| Ok(size.saturating_add(values.payload(at)?)))
            }),
            36 | 38 => self.list_op(at, |_, at| Self::plain(at, 4)),
            37 | 39 => self.list_op(at, |_, at| Self::plain(at, 8)),
            40 => self.paths(&mut at),
            kind::TOKEN_VECTOR => self.tokens(&mut at),
            45 => {
                let count = at.count(8)?;
                for _ in 0..2 * count {
                    self.tables.is_string(at.u32()?)?;
                }
                Ok(count * 64)
            }
            kind::TIME_SAMPLES => self.time_samples(at, depth),
            kind::PAYLOAD => self.payload(&mut at),
            49 => Self::plain(&mut at, 16),
            kind::STRING_VECTOR => self.strings(&mut at),
            58 => {
                let count = at.count(8)?;
                for _ in 0..2 * count {
                    self.tables.is_known_path(at.u32()?)?;
                }
                Ok(count * 64)
            }
            _ => Ok(0),
        }
    }

    fn plain(at: &mut Bytes<'_>, width: u64) -> Checked<u64> {
        let count = at.count(width)?;
        at.take(count * width)?;
        Ok(count * width)
    }

    fn indices(&self, at: &mut Bytes<'_>, check: impl Fn(&Tables, u32) -> Checked<u64>) -> Checked<u64> {
        let count = at.count(4)?;
        within(count, self.layer.budget.array_elements, "elements of a list", "array_elements")?;
        (0..count).try_fold(count * 24, |size, _| Ok(size.saturating_add(check(self.tables, at.u32()?)?)))
    }

    fn tokens(&self, at: &mut Bytes<'_>) -> Checked<u64> {
        self.indices(at, |tables, index| tables.is_token(index).map(|()| tables.token(index).len() as u64))
    }

    fn strings(&self, at: &mut Bytes<'_>) -> Checked<u64> {
        self.indices(at, |tables, index| tables.is_string(index).map(|()| tables.string(index).len() as u64))
    }

    fn paths(&self, at: &mut Bytes<'_>) -> Checked<u64> {
        self.indices(at, |tables, index| tables.is_known_path(index).map(|()| 64))
    }

    fn payload(&self, at: &mut Bytes<'_>) -> Checked<u64> {
        self.tables.is_string(at.u32()?)?;
        self.tables.is_path(at.u32()?)?;
        if self.layer.minor >= 8 {
            at.take(16)?;
        }
        Ok(96)
    }

    fn list_op(&mut self, mut at: Bytes<'a>, mut read: impl FnMut(&mut Self, &mut Bytes<'a>) -> Checked<u64>) -> Checked<u64> {
        let lists = at.u8()? >> 1;
        let mut size = 0_u64;
        for _ in 0..(lists & 0b11_1111).count_ones() {
            size = size.saturating_add(read(self, &mut at)?);
        }
        Ok(size)
    }

    /// A value within another.
    fn inner(&mut self, at: &mut Bytes<'a>) -> Checked<Rep> {
        let place = at.place();
        let rep = Rep(at.u64()?);
        if is_misread(rep) {
            self.misread.push(place);
        }
        Ok(rep)
    }

    fn dictionary(&mut self, at: &mut Bytes<'a>, depth: usize) -> Checked<u64> {
        let count = at.count(20)?;
        let mut size = 0_u64;
        for _ in 0..count {
            self.tables.is_string(at.u32()?)?;
            at.jump()?;
            let rep = self.inner(at)?;
            size = size.saturating_add(64).saturating_add(self.value(rep, depth + 1)?);
            within(size, self.layer.budget.decompressed_bytes, "bytes of a dictionary", "decompressed_bytes")?;
        }
        Ok(size)
    }

    fn time_samples(&mut self, mut at: Bytes<'a>, depth: usize) -> Checked<u64> {
        at.jump()?;
        let times = Rep(at.u64()?);
        let is_times = times.kind() == 48 || times.kind() == 9 && times.is_array();
        if !is_times || times.is_inlined() {
            return broken("the times of samples are no times");
        }
        let mut size = self.value(times, depth + 1)?;
        at.jump()?;
        let count = at.count(8)?;
        for _ in 0..count {
            let rep = self.inner(&mut at)?;
            size = size.saturating_add(self.value(rep, depth + 1)?);
            within(size, self.layer.budget.decompressed_bytes, "bytes of samples", "decompressed_bytes")?;
        }
        Ok(size)
    }
}
