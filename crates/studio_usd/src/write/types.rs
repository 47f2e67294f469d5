//! Value types: what an attribute says and what its value is.
//!
//! USD's roles (`color3f`, `point3f`, `normal3f`, …) are in an attribute's type name alone; the value is the same `float3`. The reader of
//! text turns some values into a neighbouring type (`string[]` into tokens), which a crate would keep.

use super::WriteError;
use openusd::{
    sdf::{AbstractData, Data, FieldKey, SpecType, Value},
    tf::Token,
};

/// Whether a value is one of an attribute of a type. A block is a value of every type, and of types that are not USD's own nothing is known.
pub fn fits(type_name: &str, value: &Value) -> bool {
    let (base, is_array) = match type_name.strip_suffix("[]") {
        Some(base) => (base, true),
        None => (type_name, false),
    };
    macro_rules! is {
        ($one:ident, $many:ident) => {
            if is_array { matches!(value, Value::$many(_)) } else { matches!(value, Value::$one(_)) }
        };
    }
    if matches!(value, Value::ValueBlock) {
        return true;
    }
    match base {
        "bool" => is!(Bool, BoolVec),
        "uchar" => is!(Uchar, UcharVec),
        "int" => is!(Int, IntVec),
        "uint" => is!(Uint, UintVec),
        "int64" => is!(Int64, Int64Vec),
        "uint64" => is!(Uint64, Uint64Vec),
        "half" => is!(Half, HalfVec),
        "float" => is!(Float, FloatVec),
        "double" => is!(Double, DoubleVec),
        "timecode" => is!(TimeCode, TimeCodeVec),
        "string" => is!(String, StringVec),
        "token" => is!(Token, TokenVec),
        "asset" => is!(AssetPath, AssetPathVec),
        "int2" => is!(Vec2i, Vec2iVec),
        "int3" => is!(Vec3i, Vec3iVec),
        "int4" => is!(Vec4i, Vec4iVec),
        "half2" | "texCoord2h" => is!(Vec2h, Vec2hVec),
        "float2" | "texCoord2f" => is!(Vec2f, Vec2fVec),
        "double2" | "texCoord2d" => is!(Vec2d, Vec2dVec),
        "half3" | "point3h" | "normal3h" | "vector3h" | "color3h" | "texCoord3h" => is!(Vec3h, Vec3hVec),
        "float3" | "point3f" | "normal3f" | "vector3f" | "color3f" | "texCoord3f" => is!(Vec3f, Vec3fVec),
        "double3" | "point3d" | "normal3d" | "vector3d" | "color3d" | "texCoord3d" => is!(Vec3d, Vec3dVec),
        "half4" | "color4h" => is!(Vec4h, Vec4hVec),
        "float4" | "color4f" => is!(Vec4f, Vec4fVec),
        "double4" | "color4d" => is!(Vec4d, Vec4dVec),
        "quath" => is!(Quath, QuathVec),
        "quatf" => is!(Quatf, QuatfVec),
        "quatd" => is!(Quatd, QuatdVec),
        "matrix2d" => is!(Matrix2d, Matrix2dVec),
        "matrix3d" => is!(Matrix3d, Matrix3dVec),
        "matrix4d" | "frame4d" => is!(Matrix4d, Matrix4dVec),
        _ => true,
    }
}

/// A copy of a layer whose values have the types that their attributes say, or `None` if they have them already.
///
/// Strings and tokens are told apart again; other differences are the file's own and stay.
///
/// # Errors
/// [`WriteError::Layer`] if a value cannot be read.
pub fn retyped(layer: &dyn AbstractData) -> Result<Option<Data>, WriteError> {
    let failed = |error: &dyn std::fmt::Display| WriteError::Layer { format: "USD", reason: format!("{error:#}") };
    let mut changes = Vec::new();
    for path in layer.spec_paths() {
        if layer.spec_type(&path) != Some(SpecType::Attribute) {
            continue;
        }
        let type_name = match layer.try_field(&path, FieldKey::TypeName.as_str()).map_err(|error| failed(&error))?.as_deref() {
            Some(Value::Token(name)) => name.clone(),
            _ => continue,
        };
        if !matches!(type_name.as_str(), "string" | "string[]" | "token" | "token[]") {
            continue;
        }
        for field in [FieldKey::Default.as_str(), FieldKey::TimeSamples.as_str()] {
            let Some(value) = layer.try_field(&path, field).map_err(|error| failed(&error))? else {
                continue;
            };
            if let Some(changed) = retype(type_name.as_str(), &value) {
                changes.push((path.clone(), field, changed));
            }
        }
    }
    if changes.is_empty() {
        return Ok(None);
    }
    let mut copy = Data::from_abstract(layer).map_err(|error| failed(&error))?;
    for (path, field, value) in changes {
        copy.set_field(&path, field, value);
    }
    Ok(Some(copy))
}

fn retype(type_name: &str, value: &Value) -> Option<Value> {
    match (type_name, value) {
        ("string", Value::Token(token)) => Some(Value::String(token.as_str().to_owned())),
        ("token", Value::String(text)) => Some(Value::Token(Token::from(text.clone()))),
        ("string[]", Value::TokenVec(tokens)) => {
            Some(Value::StringVec(tokens.iter().map(|token| token.as_str().to_owned()).collect()))
        }
        ("token[]", Value::StringVec(texts)) => Some(Value::TokenVec(texts.iter().cloned().map(Token::from).collect())),
        (_, Value::TimeSamples(samples)) => {
            let change = |(time, value): &(f64, Value)| Some((*time, retype(type_name, value)?));
            // They are all of one type.
            samples.iter().map(change).collect::<Option<Vec<_>>>().map(Value::TimeSamples)
        }
        _ => None,
    }
}
