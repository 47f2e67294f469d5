//! From openusd's values to plain ones: what each kind of value may be written as, and what is a wrong type.

use crate::snapshot::AttributeValue;
use glam::{DMat4, DQuat, DVec3, Quat, Vec2, Vec3, Vec4};
use openusd::{gf, sdf::Value};

/// A kind of value: its name for messages, how it is read, and whether it holds between samples.
pub(super) struct As<T> {
    /// For messages: "a number".
    pub what: &'static str,
    /// `None` for a value of another type.
    pub convert: fn(Value) -> Option<T>,
    /// Whether samples hold until the next.
    pub held: bool,
}

// A derive would ask for `T: Copy`.
impl<T> Clone for As<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for As<T> {}

const fn kind<T>(what: &'static str, convert: fn(Value) -> Option<T>) -> As<T> {
    As { what, convert, held: false }
}

const fn held<T>(what: &'static str, convert: fn(Value) -> Option<T>) -> As<T> {
    As { what, convert, held: true }
}

pub(super) const F32: As<f32> = kind("a number", f32);
pub(super) const F64: As<f64> = kind("a number", f64);
pub(super) const BOOL: As<bool> = held("true or false", bool);
pub(super) const TOKEN: As<String> = held("a token", text);
pub(super) const VEC2: As<Vec2> = kind("two numbers", vec2);
pub(super) const VEC3: As<Vec3> = kind("three numbers", vec3);
pub(super) const DVEC3: As<DVec3> = kind("three numbers", dvec3);
pub(super) const DQUAT: As<DQuat> = kind("a quaternion", dquat);
pub(super) const MATRIX: As<DMat4> = kind("a matrix of four rows", matrix);
pub(super) const ASSET: As<Asset> = held("an asset path", asset);
pub(super) const F32S: As<Vec<f32>> = kind("an array of numbers", f32s);
pub(super) const F64S: As<Vec<f64>> = kind("an array of numbers", f64s);
pub(super) const INTS: As<Vec<i64>> = held("an array of integers", ints);
pub(super) const INDICES: As<Vec<u32>> = held("an array of integers of at least 0", indices);
pub(super) const TOKENS: As<Vec<String>> = held("an array of tokens", texts);
pub(super) const VEC2S: As<Vec<Vec2>> = kind("an array of pairs of numbers", vec2s);
pub(super) const VEC3S: As<Vec<Vec3>> = kind("an array of triples of numbers", vec3s);
pub(super) const QUATS: As<Vec<Quat>> = kind("an array of quaternions", quats);
pub(super) const MATRICES: As<Vec<DMat4>> = kind("an array of matrices of four rows", matrices);

/// An asset as written, and the identifier of what it stands for (empty if there is nothing there).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asset {
    pub authored: String,
    pub resolved: String,
}

pub(super) fn f64(value: Value) -> Option<f64> {
    Some(match value {
        Value::Half(value) => value.to_f64(),
        Value::Float(value) => value.into(),
        Value::Double(value) => value,
        Value::TimeCode(value) => value.0,
        Value::Int(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Uchar(value) => value.into(),
        Value::Int64(value) => value as f64,
        Value::Uint64(value) => value as f64,
        _ => return None,
    })
}

fn f32(value: Value) -> Option<f32> {
    f64(value).map(|value| value as f32)
}

fn bool(value: Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(value),
        Value::Uchar(value) => Some(value != 0),
        Value::Int(value) => Some(value != 0),
        _ => None,
    }
}

/// Tokens and strings are taken for one another.
pub(super) fn text(value: Value) -> Option<String> {
    match value {
        Value::Token(value) => Some(value.into()),
        Value::String(value) => Some(value),
        _ => None,
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::TokenVec(values) => Some(values.into_iter().map(Into::into).collect()),
        Value::StringVec(values) => Some(values),
        Value::ValueVec(values) if values.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

fn asset(value: Value) -> Option<Asset> {
    match value {
        Value::AssetPath(path) => {
            Some(Asset { authored: path.asset_path().to_owned(), resolved: path.resolved_path().unwrap_or_default().to_owned() })
        }
        Value::String(authored) => Some(Asset { authored, resolved: String::new() }),
        _ => None,
    }
}

fn dvec2(value: Value) -> Option<[f64; 2]> {
    Some(match value {
        Value::Vec2h(v) => [v.x.to_f64(), v.y.to_f64()],
        Value::Vec2f(v) => [v.x.into(), v.y.into()],
        Value::Vec2d(v) => [v.x, v.y],
        Value::Vec2i(v) => [v.x.into(), v.y.into()],
        _ => return None,
    })
}

fn vec2(value: Value) -> Option<Vec2> {
    dvec2(value).map(|[x, y]| Vec2::new(x as f32, y as f32))
}

fn dvec3(value: Value) -> Option<DVec3> {
    Some(match value {
        Value::Vec3h(v) => DVec3::new(v.x.to_f64(), v.y.to_f64(), v.z.to_f64()),
        Value::Vec3f(v) => DVec3::new(v.x.into(), v.y.into(), v.z.into()),
        Value::Vec3d(v) => DVec3::new(v.x, v.y, v.z),
        Value::Vec3i(v) => DVec3::new(v.x.into(), v.y.into(), v.z.into()),
        _ => return None,
    })
}

fn vec3(value: Value) -> Option<Vec3> {
    dvec3(value).map(|v| v.as_vec3())
}

/// Two, three or four numbers, or one, filled up with what `rest` says.
pub(super) fn vec4_from_any(value: Value, rest: Vec4) -> Option<Vec4> {
    Some(match value {
        Value::Vec4h(v) => Vec4::new(v.x.to_f32(), v.y.to_f32(), v.z.to_f32(), v.w.to_f32()),
        Value::Vec4f(v) => Vec4::new(v.x, v.y, v.z, v.w),
        Value::Vec4d(v) => Vec4::new(v.x as f32, v.y as f32, v.z as f32, v.w as f32),
        other => match (f32(other.clone()), vec2(other.clone()), vec3(other)) {
            (Some(x), ..) => Vec4::new(x, x, x, rest.w),
            (_, Some(v), _) => Vec4::new(v.x, v.y, rest.z, rest.w),
            (_, _, Some(v)) => v.extend(rest.w),
            _ => return None,
        },
    })
}

fn dquat(value: Value) -> Option<DQuat> {
    Some(match value {
        Value::Quath(q) => DQuat::from_xyzw(q.x.to_f64(), q.y.to_f64(), q.z.to_f64(), q.w.to_f64()),
        Value::Quatf(q) => DQuat::from_xyzw(q.x.into(), q.y.into(), q.z.into(), q.w.into()),
        Value::Quatd(q) => DQuat::from_xyzw(q.x, q.y, q.z, q.w),
        _ => return None,
    })
}

/// Of row vectors to one of column vectors: the rows become columns.
fn matrix4(m: &gf::Matrix4d) -> DMat4 {
    DMat4::from_cols_array(&m.0)
}

fn matrix(value: Value) -> Option<DMat4> {
    match value {
        Value::Matrix4d(m) => Some(matrix4(&m)),
        _ => None,
    }
}

fn matrices(value: Value) -> Option<Vec<DMat4>> {
    match value {
        Value::Matrix4dVec(values) => Some(values.iter().map(matrix4).collect()),
        Value::ValueVec(values) if values.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

fn f32s(value: Value) -> Option<Vec<f32>> {
    Some(match value {
        Value::FloatVec(values) => values,
        other => f64s(other)?.into_iter().map(|value| value as f32).collect(),
    })
}

fn f64s(value: Value) -> Option<Vec<f64>> {
    Some(match value {
        Value::HalfVec(values) => values.into_iter().map(gf::f16::to_f64).collect(),
        Value::FloatVec(values) => values.into_iter().map(f64::from).collect(),
        Value::DoubleVec(values) => values,
        Value::TimeCodeVec(values) => values.into_iter().map(|value| value.0).collect(),
        Value::IntVec(values) => values.into_iter().map(f64::from).collect(),
        Value::ValueVec(values) => values.into_iter().map(f64).collect::<Option<_>>()?,
        _ => return None,
    })
}

fn ints(value: Value) -> Option<Vec<i64>> {
    Some(match value {
        Value::IntVec(values) => values.into_iter().map(i64::from).collect(),
        Value::UintVec(values) => values.into_iter().map(i64::from).collect(),
        Value::UcharVec(values) => values.into_iter().map(i64::from).collect(),
        Value::Int64Vec(values) => values,
        Value::Uint64Vec(values) => values.into_iter().map(i64::try_from).collect::<Result<_, _>>().ok()?,
        Value::ValueVec(values) if values.is_empty() => Vec::new(),
        _ => return None,
    })
}

fn indices(value: Value) -> Option<Vec<u32>> {
    Some(match value {
        Value::IntVec(values) => values.into_iter().map(u32::try_from).collect::<Result<_, _>>().ok()?,
        Value::UintVec(values) => values,
        other => ints(other)?.into_iter().map(u32::try_from).collect::<Result<_, _>>().ok()?,
    })
}

fn vec2s(value: Value) -> Option<Vec<Vec2>> {
    Some(match value {
        Value::Vec2hVec(values) => values.into_iter().map(|v| Vec2::new(v.x.to_f32(), v.y.to_f32())).collect(),
        Value::Vec2fVec(values) => values.into_iter().map(|v| Vec2::new(v.x, v.y)).collect(),
        Value::Vec2dVec(values) => values.into_iter().map(|v| Vec2::new(v.x as f32, v.y as f32)).collect(),
        Value::ValueVec(values) if values.is_empty() => Vec::new(),
        _ => return None,
    })
}

fn vec3s(value: Value) -> Option<Vec<Vec3>> {
    Some(match value {
        Value::Vec3hVec(values) => values.into_iter().map(|v| Vec3::new(v.x.to_f32(), v.y.to_f32(), v.z.to_f32())).collect(),
        Value::Vec3fVec(values) => values.into_iter().map(|v| Vec3::new(v.x, v.y, v.z)).collect(),
        Value::Vec3dVec(values) => values.into_iter().map(|v| Vec3::new(v.x as f32, v.y as f32, v.z as f32)).collect(),
        Value::ValueVec(values) if values.is_empty() => Vec::new(),
        _ => return None,
    })
}

fn quats(value: Value) -> Option<Vec<Quat>> {
    Some(match value {
        Value::QuathVec(values) => {
            values.into_iter().map(|q| Quat::from_xyzw(q.x.to_f32(), q.y.to_f32(), q.z.to_f32(), q.w.to_f32())).collect()
        }
        Value::QuatfVec(values) => values.into_iter().map(|q| Quat::from_xyzw(q.x, q.y, q.z, q.w)).collect(),
        Value::QuatdVec(values) => {
            values.into_iter().map(|q| Quat::from_xyzw(q.x as f32, q.y as f32, q.z as f32, q.w as f32)).collect()
        }
        Value::ValueVec(values) if values.is_empty() => Vec::new(),
        _ => return None,
    })
}

/// Texts of values that nothing here has a form for are cut to this many bytes.
const OTHER_TEXT_BYTES: usize = 4096;

/// Any value, as the snapshot keeps those that it has no better place for.
pub(super) fn any(value: Value) -> Option<AttributeValue> {
    use AttributeValue as A;
    let numbers = |numbers: Vec<f64>| A::Numbers(numbers);
    let array = |width: usize, numbers: Vec<f64>| A::Array { width, numbers };
    Some(match value {
        Value::None | Value::ValueBlock => return None,
        Value::Bool(value) => A::Bool(value),
        Value::Uchar(value) => A::Int(value.into()),
        Value::Int(value) => A::Int(value.into()),
        Value::Uint(value) => A::Int(value.into()),
        Value::Int64(value) => A::Int(value),
        Value::Uint64(value) => i64::try_from(value).map_or(A::Double(value as f64), A::Int),
        Value::Half(_) | Value::Float(_) | Value::Double(_) | Value::TimeCode(_) => A::Double(f64(value)?),
        Value::String(value) => A::String(value),
        Value::Token(value) => A::Token(value.into()),
        Value::AssetPath(_) => asset(value).map(|asset| A::Asset { authored: asset.authored, resolved: asset.resolved })?,
        Value::StringVec(_) | Value::TokenVec(_) => A::Strings(texts(value)?),
        Value::AssetPathVec(values) => A::Strings(values.into_iter().map(|path| path.asset_path().to_owned()).collect()),
        Value::Vec2h(_) | Value::Vec2f(_) | Value::Vec2d(_) | Value::Vec2i(_) => numbers(dvec2(value)?.to_vec()),
        Value::Vec3h(_) | Value::Vec3f(_) | Value::Vec3d(_) | Value::Vec3i(_) => numbers(dvec3(value)?.to_array().to_vec()),
        Value::Vec4h(v) => numbers([v.x, v.y, v.z, v.w].map(gf::f16::to_f64).to_vec()),
        Value::Vec4f(v) => numbers([v.x, v.y, v.z, v.w].map(f64::from).to_vec()),
        Value::Vec4d(v) => numbers(vec![v.x, v.y, v.z, v.w]),
        Value::Vec4i(v) => numbers([v.x, v.y, v.z, v.w].map(f64::from).to_vec()),
        Value::Quath(_) | Value::Quatf(_) | Value::Quatd(_) => numbers(dquat(value)?.to_array().to_vec()),
        Value::Matrix2d(m) => numbers(m.0.to_vec()),
        Value::Matrix3d(m) => numbers(m.0.to_vec()),
        Value::Matrix4d(m) => numbers(m.0.to_vec()),
        Value::BoolVec(values) => array(1, values.into_iter().map(|value| f64::from(u8::from(value))).collect()),
        Value::UcharVec(values) => array(1, values.into_iter().map(f64::from).collect()),
        Value::IntVec(values) => array(1, values.into_iter().map(f64::from).collect()),
        Value::UintVec(values) => array(1, values.into_iter().map(f64::from).collect()),
        Value::Int64Vec(values) => array(1, values.into_iter().map(|value| value as f64).collect()),
        Value::Uint64Vec(values) => array(1, values.into_iter().map(|value| value as f64).collect()),
        Value::HalfVec(_) | Value::FloatVec(_) | Value::DoubleVec(_) | Value::TimeCodeVec(_) => array(1, f64s(value)?),
        Value::Vec2hVec(v) => array(2, v.into_iter().flat_map(|v| [v.x, v.y].map(gf::f16::to_f64)).collect()),
        Value::Vec2fVec(v) => array(2, v.into_iter().flat_map(|v| [v.x, v.y].map(f64::from)).collect()),
        Value::Vec2dVec(v) => array(2, v.into_iter().flat_map(|v| [v.x, v.y]).collect()),
        Value::Vec2iVec(v) => array(2, v.into_iter().flat_map(|v| [v.x, v.y].map(f64::from)).collect()),
        Value::Vec3hVec(v) => array(3, v.into_iter().flat_map(|v| [v.x, v.y, v.z].map(gf::f16::to_f64)).collect()),
        Value::Vec3fVec(v) => array(3, v.into_iter().flat_map(|v| [v.x, v.y, v.z].map(f64::from)).collect()),
        Value::Vec3dVec(v) => array(3, v.into_iter().flat_map(|v| [v.x, v.y, v.z]).collect()),
        Value::Vec3iVec(v) => array(3, v.into_iter().flat_map(|v| [v.x, v.y, v.z].map(f64::from)).collect()),
        Value::Vec4hVec(v) => array(4, v.into_iter().flat_map(|v| [v.x, v.y, v.z, v.w].map(gf::f16::to_f64)).collect()),
        Value::Vec4fVec(v) => array(4, v.into_iter().flat_map(|v| [v.x, v.y, v.z, v.w].map(f64::from)).collect()),
        Value::Vec4dVec(v) => array(4, v.into_iter().flat_map(|v| [v.x, v.y, v.z, v.w]).collect()),
        Value::Vec4iVec(v) => array(4, v.into_iter().flat_map(|v| [v.x, v.y, v.z, v.w].map(f64::from)).collect()),
        Value::QuathVec(v) => array(4, v.into_iter().flat_map(|q| [q.x, q.y, q.z, q.w].map(gf::f16::to_f64)).collect()),
        Value::QuatfVec(v) => array(4, v.into_iter().flat_map(|q| [q.x, q.y, q.z, q.w].map(f64::from)).collect()),
        Value::QuatdVec(v) => array(4, v.into_iter().flat_map(|q| [q.x, q.y, q.z, q.w]).collect()),
        Value::Matrix2dVec(v) => array(4, v.into_iter().flat_map(|m| m.0).collect()),
        Value::Matrix3dVec(v) => array(9, v.into_iter().flat_map(|m| m.0).collect()),
        Value::Matrix4dVec(v) => array(16, v.into_iter().flat_map(|m| m.0).collect()),
        Value::PathExpression(text) => A::Other(cut(text)),
        other => A::Other(cut(format!("{other:?}"))),
    })
}

fn cut(mut text: String) -> String {
    if text.len() > OTHER_TEXT_BYTES {
        let mut end = OTHER_TEXT_BYTES;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}
