//! The node kinds as JSON Schema 2020-12: what a file or a remote program may say.

use crate::{
    blueprint::settings::{number, range},
    data_type::DataTypes,
    pin::PinDirection,
    registry::{KindEntry, kinds, trim_docs},
};
use bevy::{
    asset::ReflectHandle,
    prelude::*,
    reflect::{
        NamedField, ReflectRef, TypeInfo, TypeRegistry,
        attributes::CustomAttributes,
        enums::{VariantInfo, VariantType},
    },
};
use core::any::TypeId;
use serde_json::{Map, Value, json};

/// What units the ends of settings' names stand for.
const UNITS: &[(&str, &str)] = &[
    ("_deg", "°"),
    ("_rad", "rad"),
    ("_px", "px"),
    ("_s", "s"),
    ("_ms", "ms"),
    ("_us", "µs"),
    ("_hz", "Hz"),
    ("_bps", "bit/s"),
    ("_db", "dB"),
    ("_ev", "EV"),
    ("_m", "m"),
    ("_mm", "mm"),
    ("_k", "K"),
];

/// The unit that a setting's name states.
pub fn unit_of(name: &str) -> Option<&'static str> {
    UNITS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, unit)| *unit)
}

/// Every registered kind: a document whose `$defs` hold one schema a kind, with pins, documentation, ranges, units and
/// defaults.
pub fn schema(registry: &TypeRegistry, types: &DataTypes) -> Value {
    let definitions: Map<String, Value> =
        kinds(registry).into_iter().map(|kind| (kind.name.to_owned(), kind_schema(registry, types, kind))).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Neural Studio node kinds",
        "type": "object",
        "oneOf": definitions.keys().map(|name| json!({"$ref": format!("#/$defs/{name}")})).collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

/// The schema of one kind's settings.
pub fn kind_schema(registry: &TypeRegistry, types: &DataTypes, kind: KindEntry) -> Value {
    let defaults = kind.default_settings();
    let mut schema =
        type_schema(registry, kind.registration.type_id(), None, defaults.as_deref().map(|value| value.as_partial_reflect()), 0);
    let pins = defaults.as_deref().and_then(|settings| kind.node.pins(settings)).unwrap_or_default();
    let side = |direction: PinDirection| -> Vec<Value> {
        let of_side = pins.iter().filter(|pin| pin.direction == direction);
        of_side
            .map(|pin| json!({"name": pin.name, "type": pin.data_type.name(), "category": types.category(&pin.data_type).name()}))
            .collect()
    };
    if let Value::Object(object) = &mut schema {
        object.insert("title".to_owned(), kind.node.display_name.into());
        object.insert("description".to_owned(), kind.docs().into());
        object.insert("x-kind".to_owned(), kind.name.into());
        object.insert("x-category".to_owned(), kind.node.category.into());
        object.insert("x-inputs".to_owned(), side(PinDirection::Input).into());
        object.insert("x-outputs".to_owned(), side(PinDirection::Output).into());
    }
    schema
}

/// Deeper nesting than any settings have.
const DEEPEST: u32 = 16;

fn type_schema(
    registry: &TypeRegistry,
    type_id: TypeId,
    attributes: Option<&CustomAttributes>,
    default: Option<&dyn PartialReflect>,
    depth: u32,
) -> Value {
    let Some(registration) = registry.get(type_id) else { return json!({}) };
    if depth > DEEPEST {
        return json!({});
    }
    if registration.contains::<ReflectHandle>() {
        return json!({"type": "string", "format": "uri-reference", "description": "path of an asset"});
    }
    let info = registration.type_info();
    if let Some(primitive) = primitive_schema(info, attributes) {
        return primitive;
    }
    match info {
        TypeInfo::Struct(shape) => {
            let values = default.map(|default| default.reflect_ref());
            let fields = shape.iter().map(|field| {
                let value = match &values {
                    Some(ReflectRef::Struct(values)) => values.field(field.name()),
                    _ => None,
                };
                (field.name().to_owned(), field_schema(registry, field, value, depth))
            });
            json!({"type": "object", "properties": fields.collect::<Map<_, _>>(), "additionalProperties": false})
        }
        TypeInfo::Enum(info) if info.type_path_table().ident() == Some("Option") => {
            let inner = match info.variant("Some") {
                Some(VariantInfo::Tuple(variant)) => variant.field_at(0),
                _ => None,
            };
            let inner =
                inner.map_or_else(|| json!({}), |field| type_schema(registry, field.type_id(), attributes, None, depth + 1));
            json!({"anyOf": [{"type": "null"}, inner]})
        }
        TypeInfo::Enum(info) => {
            let variants = info.iter().map(|variant| {
                let docs = trim_docs(variant.docs());
                match variant {
                    VariantInfo::Unit(unit) => json!({"const": unit.name(), "description": docs}),
                    VariantInfo::Tuple(tuple) => {
                        let fields: Vec<Value> =
                            tuple.iter().map(|field| type_schema(registry, field.type_id(), Some(field.custom_attributes()), None, depth + 1)).collect();
                        let value = match fields.as_slice() {
                            [one] => one.clone(),
                            all => json!({"type": "array", "prefixItems": all}),
                        };
                        json!({"type": "object", "properties": {tuple.name(): value}, "required": [tuple.name()], "description": docs})
                    }
                    VariantInfo::Struct(shape) => {
                        let fields = shape.iter().map(|field| (field.name().to_owned(), field_schema(registry, field, None, depth)));
                        let value = json!({"type": "object", "properties": fields.collect::<Map<_, _>>()});
                        json!({"type": "object", "properties": {shape.name(): value}, "required": [shape.name()], "description": docs})
                    }
                }
            });
            json!({"oneOf": variants.collect::<Vec<_>>()})
        }
        TypeInfo::List(list) => {
            json!({"type": "array", "items": type_schema(registry, list.item_ty().id(), attributes, None, depth + 1)})
        }
        TypeInfo::Array(array) => {
            let items = type_schema(registry, array.item_ty().id(), attributes, None, depth + 1);
            json!({"type": "array", "items": items, "minItems": array.capacity(), "maxItems": array.capacity()})
        }
        TypeInfo::Tuple(tuple) => {
            let items: Vec<Value> =
                tuple.iter().map(|field| type_schema(registry, field.type_id(), None, None, depth + 1)).collect();
            json!({"type": "array", "prefixItems": items})
        }
        TypeInfo::TupleStruct(shape) if shape.field_len() == 1 => shape.field_at(0).map_or_else(
            || json!({}),
            |field| type_schema(registry, field.type_id(), Some(field.custom_attributes()), None, depth + 1),
        ),
        TypeInfo::TupleStruct(_) | TypeInfo::Set(_) => json!({"type": "array"}),
        TypeInfo::Map(map) => {
            json!({"type": "object", "additionalProperties": type_schema(registry, map.value_ty().id(), None, None, depth + 1)})
        }
        TypeInfo::Opaque(_) => json!({}),
    }
}

fn field_schema(registry: &TypeRegistry, field: &NamedField, default: Option<&dyn PartialReflect>, depth: u32) -> Value {
    let mut schema = type_schema(registry, field.type_id(), Some(field.custom_attributes()), default, depth + 1);
    if let Value::Object(object) = &mut schema {
        let docs = trim_docs(field.docs());
        if !docs.is_empty() {
            object.insert("description".to_owned(), docs.into());
        }
        if let Some(unit) = unit_of(field.name()) {
            object.insert("x-unit".to_owned(), unit.into());
        }
        if let Some(default) = default.and_then(plain_value) {
            object.insert("default".to_owned(), default);
        }
    }
    schema
}

fn primitive_schema(info: &TypeInfo, attributes: Option<&CustomAttributes>) -> Option<Value> {
    let is = |types: &[TypeId]| types.contains(&info.type_id());
    let mut schema = if is(&[TypeId::of::<bool>()]) {
        json!({"type": "boolean"})
    } else if is(&[TypeId::of::<String>(), TypeId::of::<std::path::PathBuf>()]) {
        json!({"type": "string"})
    } else if is(&[TypeId::of::<f32>(), TypeId::of::<f64>()]) {
        json!({"type": "number"})
    } else if is(&[TypeId::of::<u8>(), TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<u64>(), TypeId::of::<usize>()]) {
        json!({"type": "integer", "minimum": 0})
    } else if is(&[TypeId::of::<i8>(), TypeId::of::<i16>(), TypeId::of::<i32>(), TypeId::of::<i64>(), TypeId::of::<isize>()]) {
        json!({"type": "integer"})
    } else if is(&[TypeId::of::<Vec2>()]) {
        numbers("number", 2)
    } else if is(&[TypeId::of::<Vec3>()]) {
        numbers("number", 3)
    } else if is(&[TypeId::of::<Vec4>(), TypeId::of::<Quat>()]) {
        numbers("number", 4)
    } else if is(&[TypeId::of::<UVec2>(), TypeId::of::<IVec2>()]) {
        numbers("integer", 2)
    } else if is(&[TypeId::of::<UVec3>(), TypeId::of::<IVec3>()]) {
        numbers("integer", 3)
    } else {
        return None;
    };
    if let (Some((low, high)), Value::Object(object)) = (attributes.and_then(range), &mut schema) {
        object.insert("minimum".to_owned(), plain_number(low));
        object.insert("maximum".to_owned(), plain_number(high));
    }
    Some(schema)
}

fn numbers(of: &str, count: usize) -> Value {
    json!({"type": "array", "items": {"type": of}, "minItems": count, "maxItems": count})
}

/// A default that JSON can say: numbers, switches, words, names of variants, and lists of those.
fn plain_value(value: &dyn PartialReflect) -> Option<Value> {
    if let Some(number) = number(value) {
        return Some(plain_number(number));
    }
    if let Some(switch) = value.try_downcast_ref::<bool>() {
        return Some((*switch).into());
    }
    if let Some(words) = value.try_downcast_ref::<String>() {
        return Some(words.clone().into());
    }
    match value.reflect_ref() {
        ReflectRef::Enum(current) if current.variant_type() == VariantType::Unit => match current.variant_name() {
            "None" => Some(Value::Null),
            name => Some(name.into()),
        },
        ReflectRef::Array(array) => array.iter().map(plain_value).collect::<Option<Vec<_>>>().map(Value::Array),
        ReflectRef::Struct(shape) if value.reflect_short_type_path().contains("Vec") => {
            (0..shape.field_len()).map(|index| plain_value(shape.field_at(index)?)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => None,
    }
}

fn plain_number(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 { (number as i64).into() } else { json!((number * 1e6).round() / 1e6) }
}
