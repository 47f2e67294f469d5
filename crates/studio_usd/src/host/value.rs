//! Values of any type as plain data that can be written down and read again.

use crate::open::{is_default_prim, is_list_of_specs, is_sound};
use openusd::{
    gf,
    sdf::{self, Value},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::{BTreeMap, HashMap};

/// A number that stays what it is in formats without infinities: those are written as `"inf"`, `"-inf"` and `"nan"`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() { serializer.serialize_f64(self.0) } else { serializer.collect_str(&self.0) }
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Number;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Number, E> {
                Ok(Number(value))
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Number, E> {
                Ok(Number(value as f64))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Number, E> {
                value.parse().map(Number).map_err(de::Error::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A list operation: what is put in front of, behind or in place of what weaker layers say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListEdit<T> {
    /// In place of everything; `None` if this only adds and removes.
    pub explicit: Option<Vec<T>>,
    /// Added behind, as old files do.
    pub added: Vec<T>,
    /// Put in front.
    pub prepended: Vec<T>,
    /// Put behind.
    pub appended: Vec<T>,
    /// Taken out.
    pub deleted: Vec<T>,
    /// In this order.
    pub ordered: Vec<T>,
}

/// A layer that is referred to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ArcTarget {
    /// The layer, as written; empty for the same.
    pub asset: String,
    /// The prim there; empty for the default prim.
    pub prim: String,
    /// Time offset and scale.
    pub offset: Option<(Number, Number)>,
    /// What the arc says about itself.
    pub custom_data: BTreeMap<String, StageValue>,
}

macro_rules! values {
    (
        $($(#[$note:meta])* $name:ident($kind:ty) = $into:expr, $from:expr;)*
    ) => {
        /// A value of any type that a layer can hold. The name of the type goes with it where there are several of one form
        /// (`color3f`, `point3f`).
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum StageValue {
            $($(#[$note])* $name($kind),)*
            /// A value that is blocked: as if nobody had given one.
            Blocked,
            /// `dictionary`.
            Dictionary(BTreeMap<String, StageValue>),
            /// A list of different values.
            List(Vec<StageValue>),
            /// Values over time.
            TimeSamples(Vec<(Number, StageValue)>),
            /// A list operation on references.
            References(ListEdit<ArcTarget>),
            /// A list operation on payloads.
            Payloads(ListEdit<ArcTarget>),
            /// A payload alone.
            Payload(ArcTarget),
            /// `def`, `over` or `class`, as 0, 1 and 2.
            Specifier(i32),
            /// Public or private, as 0 and 1.
            Permission(i32),
            /// Varying or uniform, as 0 and 1.
            Variability(i32),
            /// Variants chosen, by their sets.
            Variants(BTreeMap<String, String>),
            /// Prims that are moved: from, to.
            Relocates(Vec<(String, String)>),
            /// Time offsets and scales of sublayers.
            Offsets(Vec<(Number, Number)>),
        }

        impl StageValue {
            /// From `openusd`'s; `None` for what no layer holds.
            pub(crate) fn from_usd(value: &Value) -> Option<Self> {
                Some(match value {
                    $(Value::$name(value) => Self::$name(convert(value, $from)),)*
                    other => return Self::from_other(other),
                })
            }

            /// To `openusd`'s.
            pub(crate) fn to_usd(&self) -> Value {
                match self {
                    $(Self::$name(value) => Value::$name(convert(value, $into)),)*
                    other => other.to_other(),
                }
            }
        }
    };
}

/// Takes a value first, so that its type is known where the change is written.
fn convert<A: Clone, B>(value: &A, change: impl Fn(A) -> B) -> B {
    change(value.clone())
}

fn wide<const N: usize>(numbers: [f32; N]) -> [Number; N] {
    numbers.map(|number| Number(f64::from(number)))
}

fn narrow<const N: usize>(numbers: [Number; N]) -> [f32; N] {
    numbers.map(|number| number.0 as f32)
}

fn doubles<const N: usize>(numbers: [f64; N]) -> [Number; N] {
    numbers.map(Number)
}

fn plain<const N: usize>(numbers: [Number; N]) -> [f64; N] {
    numbers.map(|number| number.0)
}

fn from_halves<const N: usize>(numbers: [gf::f16; N]) -> [Number; N] {
    numbers.map(|number| Number(f64::from(number.to_f32())))
}

fn to_halves<const N: usize>(numbers: [Number; N]) -> [gf::f16; N] {
    numbers.map(|number| gf::f16::from_f32(number.0 as f32))
}

fn each<A, B>(items: Vec<A>, change: impl FnMut(A) -> B) -> Vec<B> {
    items.into_iter().map(change).collect()
}

fn paths(list: sdf::PathListOp) -> ListEdit<String> {
    list_from(list, |path| path.as_str().to_owned())
}

fn list_from<A: Default + Clone + PartialEq, B>(list: sdf::ListOp<A>, mut change: impl FnMut(A) -> B) -> ListEdit<B> {
    let mut all = |items: Vec<A>| items.into_iter().map(&mut change).collect::<Vec<B>>();
    ListEdit {
        explicit: if list.explicit { Some(all(list.explicit_items)) } else { None },
        added: all(list.added_items),
        prepended: all(list.prepended_items),
        appended: all(list.appended_items),
        deleted: all(list.deleted_items),
        ordered: all(list.ordered_items),
    }
}

fn list_to<A, B: Default + Clone + PartialEq>(list: ListEdit<A>, change: impl Fn(A) -> B) -> sdf::ListOp<B> {
    let all = |items: Vec<A>| items.into_iter().map(&change).collect::<Vec<B>>();
    sdf::ListOp {
        explicit: list.explicit.is_some(),
        explicit_items: all(list.explicit.unwrap_or_default()),
        added_items: all(list.added),
        prepended_items: all(list.prepended),
        appended_items: all(list.appended),
        deleted_items: all(list.deleted),
        ordered_items: all(list.ordered),
    }
}

values! {
    /// `bool`.
    Bool(bool) = |v| v, |v| v;
    /// `bool[]`.
    BoolVec(Vec<bool>) = |v| v, |v| v;
    /// `uchar`.
    Uchar(u8) = |v| v, |v| v;
    /// `uchar[]`.
    UcharVec(Vec<u8>) = |v| v, |v| v;
    /// `int`.
    Int(i32) = |v| v, |v| v;
    /// `int[]`.
    IntVec(Vec<i32>) = |v| v, |v| v;
    /// `uint`.
    Uint(u32) = |v| v, |v| v;
    /// `uint[]`.
    UintVec(Vec<u32>) = |v| v, |v| v;
    /// `int64`.
    Int64(i64) = |v| v, |v| v;
    /// `int64[]`.
    Int64Vec(Vec<i64>) = |v| v, |v| v;
    /// `uint64`.
    Uint64(u64) = |v| v, |v| v;
    /// `uint64[]`.
    Uint64Vec(Vec<u64>) = |v| v, |v| v;
    /// `half`.
    Half(Number) = |v| gf::f16::from_f32(v.0 as f32), |v| Number(f64::from(v.to_f32()));
    /// `half[]`.
    HalfVec(Vec<Number>) = |v| each(v, |v| gf::f16::from_f32(v.0 as f32)), |v| each(v, |v| Number(f64::from(v.to_f32())));
    /// `float`.
    Float(Number) = |v| v.0 as f32, |v| Number(f64::from(v));
    /// `float[]`.
    FloatVec(Vec<Number>) = |v| each(v, |v| v.0 as f32), |v| each(v, |v| Number(f64::from(v)));
    /// `double`.
    Double(Number) = |v| v.0, Number;
    /// `double[]`.
    DoubleVec(Vec<Number>) = |v| each(v, |v| v.0), |v| each(v, Number);
    /// `timecode`.
    TimeCode(Number) = |v| sdf::TimeCode(v.0), |v| Number(v.0);
    /// `timecode[]`.
    TimeCodeVec(Vec<Number>) = |v| each(v, |v| sdf::TimeCode(v.0)), |v| each(v, |v| Number(v.0));
    /// `string`.
    String(String) = |v| v, |v| v;
    /// `string[]`.
    StringVec(Vec<String>) = |v| v, |v| v;
    /// `token`.
    Token(String) = |v| v.into(), |v| v.as_str().to_owned();
    /// `token[]`.
    TokenVec(Vec<String>) = |v| each(v, Into::into), |v| each(v, |v| v.as_str().to_owned());
    /// `asset`, as written.
    AssetPath(String) = sdf::AssetPath::new, |v| v.authored_path;
    /// `asset[]`, as written.
    AssetPathVec(Vec<String>) = |v| each(v, sdf::AssetPath::new), |v| each(v, |v| v.authored_path);
    /// `quath`: real part, then i, j, k.
    Quath([Number; 4]) = |v| to_halves(v).into(), |v| from_halves(v.into());
    /// `quatf`: real part, then i, j, k.
    Quatf([Number; 4]) = |v| narrow(v).into(), |v| wide(v.into());
    /// `quatd`: real part, then i, j, k.
    Quatd([Number; 4]) = |v| plain(v).into(), |v| doubles(v.into());
    /// `quath[]`.
    QuathVec(Vec<[Number; 4]>) = |v| each(v, |v| to_halves(v).into()), |v| each(v, |v| from_halves(v.into()));
    /// `quatf[]`.
    QuatfVec(Vec<[Number; 4]>) = |v| each(v, |v| narrow(v).into()), |v| each(v, |v| wide(v.into()));
    /// `quatd[]`.
    QuatdVec(Vec<[Number; 4]>) = |v| each(v, |v| plain(v).into()), |v| each(v, |v| doubles(v.into()));
    /// `half2` and its roles.
    Vec2h([Number; 2]) = |v| to_halves(v).into(), |v| from_halves(v.into());
    /// `float2` and its roles.
    Vec2f([Number; 2]) = |v| narrow(v).into(), |v| wide(v.into());
    /// `double2` and its roles.
    Vec2d([Number; 2]) = |v| plain(v).into(), |v| doubles(v.into());
    /// `int2`.
    Vec2i([i32; 2]) = Into::into, Into::into;
    /// `half2[]` and its roles.
    Vec2hVec(Vec<[Number; 2]>) = |v| each(v, |v| to_halves(v).into()), |v| each(v, |v| from_halves(v.into()));
    /// `float2[]` and its roles.
    Vec2fVec(Vec<[Number; 2]>) = |v| each(v, |v| narrow(v).into()), |v| each(v, |v| wide(v.into()));
    /// `double2[]` and its roles.
    Vec2dVec(Vec<[Number; 2]>) = |v| each(v, |v| plain(v).into()), |v| each(v, |v| doubles(v.into()));
    /// `int2[]`.
    Vec2iVec(Vec<[i32; 2]>) = |v| each(v, Into::into), |v| each(v, Into::into);
    /// `half3` and its roles.
    Vec3h([Number; 3]) = |v| to_halves(v).into(), |v| from_halves(v.into());
    /// `float3` and its roles.
    Vec3f([Number; 3]) = |v| narrow(v).into(), |v| wide(v.into());
    /// `double3` and its roles.
    Vec3d([Number; 3]) = |v| plain(v).into(), |v| doubles(v.into());
    /// `int3`.
    Vec3i([i32; 3]) = Into::into, Into::into;
    /// `half3[]` and its roles.
    Vec3hVec(Vec<[Number; 3]>) = |v| each(v, |v| to_halves(v).into()), |v| each(v, |v| from_halves(v.into()));
    /// `float3[]` and its roles.
    Vec3fVec(Vec<[Number; 3]>) = |v| each(v, |v| narrow(v).into()), |v| each(v, |v| wide(v.into()));
    /// `double3[]` and its roles.
    Vec3dVec(Vec<[Number; 3]>) = |v| each(v, |v| plain(v).into()), |v| each(v, |v| doubles(v.into()));
    /// `int3[]`.
    Vec3iVec(Vec<[i32; 3]>) = |v| each(v, Into::into), |v| each(v, Into::into);
    /// `half4` and its roles.
    Vec4h([Number; 4]) = |v| to_halves(v).into(), |v| from_halves(v.into());
    /// `float4` and its roles.
    Vec4f([Number; 4]) = |v| narrow(v).into(), |v| wide(v.into());
    /// `double4` and its roles.
    Vec4d([Number; 4]) = |v| plain(v).into(), |v| doubles(v.into());
    /// `int4`.
    Vec4i([i32; 4]) = Into::into, Into::into;
    /// `half4[]` and its roles.
    Vec4hVec(Vec<[Number; 4]>) = |v| each(v, |v| to_halves(v).into()), |v| each(v, |v| from_halves(v.into()));
    /// `float4[]` and its roles.
    Vec4fVec(Vec<[Number; 4]>) = |v| each(v, |v| narrow(v).into()), |v| each(v, |v| wide(v.into()));
    /// `double4[]` and its roles.
    Vec4dVec(Vec<[Number; 4]>) = |v| each(v, |v| plain(v).into()), |v| each(v, |v| doubles(v.into()));
    /// `int4[]`.
    Vec4iVec(Vec<[i32; 4]>) = |v| each(v, Into::into), |v| each(v, Into::into);
    /// `matrix2d`, row by row.
    Matrix2d([Number; 4]) = |v| gf::Mat2d(plain(v)), |v| doubles(v.0);
    /// `matrix3d`, row by row.
    Matrix3d([Number; 9]) = |v| gf::Mat3d(plain(v)), |v| doubles(v.0);
    /// `matrix4d`, row by row.
    Matrix4d([Number; 16]) = |v| gf::Matrix4d(plain(v)), |v| doubles(v.0);
    /// `matrix2d[]`.
    Matrix2dVec(Vec<[Number; 4]>) = |v| each(v, |v| gf::Mat2d(plain(v))), |v| each(v, |v| doubles(v.0));
    /// `matrix3d[]`.
    Matrix3dVec(Vec<[Number; 9]>) = |v| each(v, |v| gf::Mat3d(plain(v))), |v| each(v, |v| doubles(v.0));
    /// `matrix4d[]`.
    Matrix4dVec(Vec<[Number; 16]>) = |v| each(v, |v| gf::Matrix4d(plain(v))), |v| each(v, |v| doubles(v.0));
    /// A list operation on tokens.
    TokenListOp(ListEdit<String>) = |v| list_to(v, Into::into), |v| list_from(v, |v| v.as_str().to_owned());
    /// A list operation on strings.
    StringListOp(ListEdit<String>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
    /// A list operation on paths.
    PathListOp(ListEdit<String>) = |v| list_to(v, sdf::Path::from), paths;
    /// A list operation on integers of 32 bits.
    IntListOp(ListEdit<i32>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
    /// A list operation on integers of 64 bits.
    Int64ListOp(ListEdit<i64>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
    /// A list operation on unsigned integers of 32 bits.
    UIntListOp(ListEdit<u32>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
    /// A list operation on unsigned integers of 64 bits.
    UInt64ListOp(ListEdit<u64>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
    /// Paths.
    PathVec(Vec<String>) = |v| each(v, sdf::Path::from), |v| each(v, |v| v.as_str().to_owned());
    /// An expression of paths.
    PathExpression(String) = |v| v, |v| v;
    /// A value of a type that is not known, as text.
    UnregisteredValue(String) = |v| v, |v| v;
    /// A list operation on values of types that are not known, as text.
    UnregisteredValueListOp(ListEdit<String>) = |v| list_to(v, |v| v), |v| list_from(v, |v| v);
}

fn offset_from(offset: &sdf::LayerOffset) -> (Number, Number) {
    (Number(offset.offset), Number(offset.scale))
}

fn offset_to((offset, scale): (Number, Number)) -> sdf::LayerOffset {
    sdf::LayerOffset { offset: offset.0, scale: scale.0 }
}

fn dictionary_from(dictionary: &HashMap<String, Value>) -> BTreeMap<String, StageValue> {
    dictionary.iter().filter_map(|(key, value)| Some((key.clone(), StageValue::from_usd(value)?))).collect()
}

fn dictionary_to(dictionary: &BTreeMap<String, StageValue>) -> HashMap<String, Value> {
    dictionary.iter().map(|(key, value)| (key.clone(), value.to_usd())).collect()
}

fn payload_from(payload: sdf::Payload) -> ArcTarget {
    let offset = payload.layer_offset.as_ref().map(offset_from);
    ArcTarget { asset: payload.asset_path, prim: payload.prim_path.as_str().to_owned(), offset, custom_data: BTreeMap::new() }
}

fn payload_to(target: ArcTarget) -> sdf::Payload {
    sdf::Payload { asset_path: target.asset, prim_path: sdf::Path::from(target.prim), layer_offset: target.offset.map(offset_to) }
}

/// Values within values that are followed.
const NESTING: usize = 64;

fn are_sound<'p>(paths: impl IntoIterator<Item = &'p String>) -> bool {
    // Relative paths are not anchored any more here.
    paths.into_iter().all(|path| is_sound(path, 0))
}

impl<T> ListEdit<T> {
    fn items(&self) -> impl Iterator<Item = &T> {
        let lists = [&self.added, &self.prepended, &self.appended, &self.deleted, &self.ordered];
        self.explicit.iter().chain(lists).flatten()
    }
}

impl StageValue {
    /// Whether a field may have this value: paths in it can be followed, and it does not say which specs there are.
    pub(crate) fn is_sound_as(&self, field: &str) -> bool {
        let is_default_prim = match self {
            Self::Token(name) | Self::String(name) if field == "defaultPrim" => is_default_prim(name),
            _ => true,
        };
        is_default_prim && !is_list_of_specs(field) && self.has_sound_paths()
    }

    /// Whether every path in it can be followed, and it goes only so deep: it may come from anywhere.
    pub(crate) fn has_sound_paths(&self) -> bool {
        self.is_sound(0)
    }

    fn is_sound(&self, depth: usize) -> bool {
        let is_target =
            |target: &ArcTarget| is_sound(&target.prim, 0) && target.custom_data.values().all(|value| value.is_sound(depth + 1));
        depth < NESTING
            && match self {
                Self::PathListOp(list) => are_sound(list.items()),
                Self::PathVec(paths) => are_sound(paths),
                Self::Relocates(moves) => moves.iter().all(|(from, to)| is_sound(from, 0) && is_sound(to, 0)),
                Self::References(list) | Self::Payloads(list) => list.items().all(is_target),
                Self::Payload(target) => is_target(target),
                Self::Dictionary(dictionary) => dictionary.values().all(|value| value.is_sound(depth + 1)),
                Self::List(values) => values.iter().all(|value| value.is_sound(depth + 1)),
                Self::TimeSamples(samples) => samples.iter().all(|(_, value)| value.is_sound(depth + 1)),
                _ => true,
            }
    }

    fn from_other(value: &Value) -> Option<Self> {
        Some(match value {
            Value::ValueBlock => Self::Blocked,
            Value::Dictionary(dictionary) => Self::Dictionary(dictionary_from(dictionary)),
            Value::ValueVec(values) => Self::List(values.iter().filter_map(Self::from_usd).collect()),
            Value::TimeSamples(samples) => Self::TimeSamples(
                samples.iter().filter_map(|(time, value)| Some((Number(*time), Self::from_usd(value)?))).collect(),
            ),
            Value::ReferenceListOp(list) => Self::References(list_from(list.clone(), |reference| ArcTarget {
                offset: Some(offset_from(&reference.layer_offset)),
                custom_data: dictionary_from(&reference.custom_data),
                asset: reference.asset_path,
                prim: reference.prim_path.as_str().to_owned(),
            })),
            Value::PayloadListOp(list) => Self::Payloads(list_from(list.clone(), payload_from)),
            Value::Payload(payload) => Self::Payload(payload_from(payload.clone())),
            Value::Specifier(specifier) => Self::Specifier(*specifier as i32),
            Value::Permission(permission) => Self::Permission(*permission as i32),
            Value::Variability(variability) => Self::Variability(*variability as i32),
            Value::VariantSelectionMap(variants) => Self::Variants(variants.clone().into_iter().collect()),
            Value::Relocates(moves) => {
                Self::Relocates(moves.iter().map(|(from, to)| (from.as_str().to_owned(), to.as_str().to_owned())).collect())
            }
            Value::LayerOffsetVec(offsets) => Self::Offsets(offsets.iter().map(offset_from).collect()),
            _ => return None,
        })
    }

    fn to_other(&self) -> Value {
        match self {
            Self::Dictionary(dictionary) => Value::Dictionary(dictionary_to(dictionary)),
            Self::List(values) => Value::ValueVec(values.iter().map(Self::to_usd).collect()),
            Self::TimeSamples(samples) => {
                Value::TimeSamples(samples.iter().map(|(time, value)| (time.0, value.to_usd())).collect())
            }
            Self::References(list) => Value::ReferenceListOp(list_to(list.clone(), |target| sdf::Reference {
                asset_path: target.asset,
                prim_path: sdf::Path::from(target.prim),
                layer_offset: target.offset.map(offset_to).unwrap_or_default(),
                custom_data: dictionary_to(&target.custom_data),
            })),
            Self::Payloads(list) => Value::PayloadListOp(list_to(list.clone(), payload_to)),
            Self::Payload(target) => Value::Payload(payload_to(target.clone())),
            Self::Specifier(specifier) => sdf::Specifier::from_repr(*specifier).map_or(Value::ValueBlock, Value::Specifier),
            Self::Permission(permission) => sdf::Permission::from_repr(*permission).map_or(Value::ValueBlock, Value::Permission),
            Self::Variability(variability) => {
                sdf::Variability::from_repr(*variability).map_or(Value::ValueBlock, Value::Variability)
            }
            Self::Variants(variants) => Value::VariantSelectionMap(variants.clone().into_iter().collect()),
            Self::Relocates(moves) => Value::Relocates(
                moves.iter().map(|(from, to)| (sdf::Path::from(from.as_str()), sdf::Path::from(to.as_str()))).collect(),
            ),
            Self::Offsets(offsets) => Value::LayerOffsetVec(offsets.iter().copied().map(offset_to).collect()),
            _ => Value::ValueBlock,
        }
    }
}
