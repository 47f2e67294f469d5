//! Settings between text and reflected values.

use super::{
    BlueprintNode, Setting,
    problem::{Problem, most_like},
    read::options,
};
use crate::registry::{InputPath, KindEntry};
use bevy::{
    asset::ReflectHandle,
    prelude::*,
    reflect::{
        NamedField, ReflectMut, ReflectRef, TypeInfo, TypeRegistration, TypeRegistry,
        attributes::CustomAttributes,
        enums::VariantInfo,
        serde::{ReflectDeserializerProcessor, ReflectSerializerProcessor, TypedReflectDeserializer, TypedReflectSerializer},
    },
};
use core::{any::TypeId, ops::RangeInclusive};
use ron::ser::PrettyConfig;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _, ser::Error as _};
use std::path::Path;

/// Says which asset a path in a setting stands for.
pub type LoadAsset<'a> = dyn FnMut(TypeId, String) -> UntypedHandle + 'a;

/// Stands for assets where nothing is to be loaded: for checks.
pub fn no_assets(type_id: TypeId, _path: String) -> UntypedHandle {
    UntypedHandle::Uuid { type_id, uuid: AssetId::<Image>::DEFAULT_UUID }
}

struct PathsToHandles<'a>(&'a mut LoadAsset<'a>);

impl ReflectDeserializerProcessor for PathsToHandles<'_> {
    fn try_deserialize<'de, D: Deserializer<'de>>(
        &mut self,
        registration: &TypeRegistration,
        _registry: &TypeRegistry,
        deserializer: D,
    ) -> Result<Result<Box<dyn PartialReflect>, D>, D::Error> {
        let Some(handle) = registration.data::<ReflectHandle>() else { return Ok(Err(deserializer)) };
        let path = String::deserialize(deserializer)?;
        if path.is_empty() {
            return Err(D::Error::custom("an asset's path is empty: leave the setting out where there is none"));
        }
        Ok(Ok(handle.typed((self.0)(handle.asset_type_id(), path)).into_partial_reflect()))
    }
}

/// Paths below the folder become relative to it.
struct HandlesToPaths<'a>(Option<&'a Path>);

impl ReflectSerializerProcessor for HandlesToPaths<'_> {
    fn try_serialize<S: Serializer>(
        &self,
        value: &dyn PartialReflect,
        registry: &TypeRegistry,
        serializer: S,
    ) -> Result<Result<S::Ok, S>, S::Error> {
        let handle = value.try_as_reflect().and_then(|value| {
            let handle = registry.get(value.as_any().type_id())?.data::<ReflectHandle>()?;
            handle.downcast_handle_untyped(value.as_any())
        });
        let Some(handle) = handle else { return Ok(Err(serializer)) };
        match handle.path() {
            Some(path) => {
                let own = self.0.and_then(|base| path.path().strip_prefix(base).ok());
                serializer.serialize_str(&own.map_or_else(|| path.to_string(), |own| own.display().to_string())).map(Ok)
            }
            None => Err(S::Error::custom("the asset was made in memory and has no file to be named by: save it first")),
        }
    }
}

/// The settings of a node: the kind's defaults with the node's own in their place, and what is wrong with them. Relative
/// [`InputPath`]s start at `base`. `None` if the kind has no defaults or is no struct.
pub fn settings_of<'a>(
    registry: &'a TypeRegistry,
    kind: KindEntry<'a>,
    node: &BlueprintNode,
    base: Option<&Path>,
    load: &mut LoadAsset,
    problems: &mut Vec<Problem>,
) -> Option<Box<dyn Reflect>> {
    let mut settings = kind.default_settings()?;
    let TypeInfo::Struct(info) = kind.registration.type_info() else {
        if let Some(setting) = node.settings.first() {
            let message = format!("node “{}”: {} has no settings, so “{}” means nothing", node.name, kind.name, setting.field);
            problems.push(Problem::error(setting.place, message));
        }
        return Some(settings);
    };
    for setting in &node.settings {
        let Some(field) = info.field(&setting.field) else {
            let like = most_like(&setting.field, info.field_names().iter().copied());
            let help = match like {
                Some(like) => format!("did you mean “{like}”?"),
                None if info.field_len() == 0 => "it has none".to_owned(),
                None => format!("it has {}", info.field_names().join(", ")),
            };
            let message = format!("node “{}”: {} has no setting “{}”; {help}", node.name, kind.name, setting.field);
            problems.push(Problem::error(setting.place, message));
            continue;
        };
        let outcome = value_of(registry, field, setting, base, load).and_then(|value| put(&mut *settings, &setting.field, value));
        if let Err(mut problem) = outcome {
            problem.message = format!("node “{}”, setting “{}”: {}", node.name, setting.field, problem.message);
            problems.push(problem);
            continue;
        }
        let ReflectRef::Struct(shape) = settings.reflect_ref() else { continue };
        if let Some(value) = shape.field(&setting.field) {
            let mut faults = Vec::new();
            if let Some(path) = missing_file(field, value).filter(|_| base.is_some()) {
                let message = format!("node “{}”, setting “{}”: there is no file {path}", node.name, setting.field);
                problems.push(Problem::warning(setting.place, message));
            }
            range_faults(value, Some(field.custom_attributes()), &setting.field, 0, &mut faults);
            problems
                .extend(faults.into_iter().map(|fault| Problem::error(setting.place, format!("node “{}”: {fault}", node.name))));
        }
    }
    Some(settings)
}

/// The path of an input file that is not there. Addresses, and patterns that stand for several files, are not looked for.
fn missing_file<'a>(field: &NamedField, value: &'a dyn PartialReflect) -> Option<&'a str> {
    let path = value.try_downcast_ref::<String>().filter(|_| field.has_attribute::<InputPath>())?;
    let is_file = !path.is_empty() && !path.contains("://") && !path.contains(['*', '%']);
    (is_file && !Path::new(path).exists()).then_some(path)
}

fn value_of(
    registry: &TypeRegistry,
    field: &NamedField,
    setting: &Setting,
    base: Option<&Path>,
    load: &mut LoadAsset,
) -> Result<Box<dyn PartialReflect>, Problem> {
    let registration = registry.get(field.type_id()).ok_or_else(|| {
        Problem::error(setting.place, format!("its type {} is not registered, so no file can set it", field.type_path()))
    })?;
    let mut load = |type_id: TypeId, path: String| load(type_id, path);
    let mut processor = PathsToHandles(&mut load);
    let seed = TypedReflectDeserializer::with_processor(registration, registry, &mut processor);
    let value = options().from_str_seed(&setting.value, seed).map_err(|error| {
        Problem::error(setting.place.inside(error.span.start.line, error.span.start.col), error.code.to_string())
    })?;
    let path = value.try_downcast_ref::<String>().filter(|_| field.has_attribute::<InputPath>());
    match path.zip(base) {
        Some((path, base)) if !path.is_empty() && !path.contains("://") && Path::new(path).is_relative() => {
            Ok(Box::new(base.join(path).display().to_string()))
        }
        _ => Ok(value),
    }
}

fn put(settings: &mut dyn Reflect, field: &str, value: Box<dyn PartialReflect>) -> Result<(), Problem> {
    let ReflectMut::Struct(shape) = settings.reflect_mut() else { return Ok(()) };
    let Some(slot) = shape.field_mut(field) else { return Ok(()) };
    let failed = |reason: String| Problem::error(super::Place::default(), reason);
    // A whole value takes the field's place (handles can only be set that way); a description of one is applied to it.
    match value.try_into_reflect() {
        Ok(value) => match slot.try_as_reflect_mut() {
            Some(slot) => slot.set(value).map_err(|value| failed(format!("it cannot be a {}", value.reflect_type_path()))),
            None => Ok(()),
        },
        Err(value) => slot.try_apply(&*value).map_err(|error| failed(error.to_string())),
    }
}

/// A number as people wrote it: 0.1 of type `f32` is 0.1, not 0.10000000149.
fn exact(number: &impl ToString) -> Option<f64> {
    number.to_string().parse().ok()
}

/// A numeric value as a number.
pub fn number(value: &dyn PartialReflect) -> Option<f64> {
    macro_rules! first_of {
        ($($number:ty),*) => { $(if let Some(value) = value.try_downcast_ref::<$number>() { return exact(value); })* };
    }
    first_of!(f32, f64, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
    None
}

/// The range that a field's attribute allows.
pub fn range(attributes: &CustomAttributes) -> Option<(f64, f64)> {
    macro_rules! first_of {
        ($($number:ty),*) => {
            $(if let Some(range) = attributes.get::<RangeInclusive<$number>>() {
                return exact(range.start()).zip(exact(range.end()));
            })*
        };
    }
    first_of!(f32, f64, u8, u16, u32, u64, usize, i8, i16, i32, i64, isize);
    None
}

/// Numbers out of their ranges, anywhere in a value.
fn range_faults(
    value: &dyn PartialReflect,
    attributes: Option<&CustomAttributes>,
    path: &str,
    depth: u32,
    faults: &mut Vec<String>,
) {
    const DEEPEST: u32 = 64;
    if depth > DEEPEST {
        return;
    }
    if let Some(number) = number(value) {
        match attributes.and_then(range) {
            Some((low, high)) if !(low..=high).contains(&number) => {
                faults.push(format!("“{path}” is {number}; it must lie between {low} and {high}"));
            }
            None if number.is_nan() => faults.push(format!("“{path}” is not a number")),
            _ => {}
        }
        return;
    }
    let attributes_of = |name: &str| match value.get_represented_type_info()? {
        TypeInfo::Struct(info) => Some(info.field(name)?.custom_attributes()),
        TypeInfo::Enum(info) => {
            let ReflectRef::Enum(current) = value.reflect_ref() else { return None };
            match info.variant(current.variant_name())? {
                VariantInfo::Struct(variant) => Some(variant.field(name)?.custom_attributes()),
                _ => None,
            }
        }
        _ => None,
    };
    match value.reflect_ref() {
        ReflectRef::Struct(shape) => {
            for index in 0..shape.field_len() {
                let (Some(name), Some(field)) = (shape.name_at(index), shape.field_at(index)) else { continue };
                range_faults(field, attributes_of(name), &format!("{path}.{name}"), depth + 1, faults);
            }
        }
        ReflectRef::Enum(current) => {
            // What an option holds is what its field says.
            let inherits = current.field_len() == 1 && current.name_at(0).is_none();
            for index in 0..current.field_len() {
                let Some(field) = current.field_at(index) else { continue };
                let name = current.name_at(index).unwrap_or_default();
                let of_field = if inherits { attributes } else { attributes_of(name) };
                range_faults(field, of_field, &format!("{path}.{name}"), depth + 1, faults);
            }
        }
        ReflectRef::List(list) => {
            for (index, item) in list.iter().enumerate() {
                range_faults(item, attributes, &format!("{path}[{index}]"), depth + 1, faults);
            }
        }
        ReflectRef::Array(array) => {
            for (index, item) in array.iter().enumerate() {
                range_faults(item, attributes, &format!("{path}[{index}]"), depth + 1, faults);
            }
        }
        _ => {}
    }
}

/// How values are written: on one line, with blanks.
pub(super) fn one_line() -> PrettyConfig {
    PrettyConfig::new().compact_arrays(true).compact_structs(true).compact_maps(true)
}

/// A value as RON text on one line.
///
/// # Errors
/// Says why a value cannot be written: an asset without a file, a type that nobody registered.
pub fn text_of(registry: &TypeRegistry, value: &dyn PartialReflect) -> Result<String, String> {
    text_below(registry, value, None)
}

fn text_below(registry: &TypeRegistry, value: &dyn PartialReflect, base: Option<&Path>) -> Result<String, String> {
    let processor = HandlesToPaths(base);
    let serializer = TypedReflectSerializer::with_processor(value, registry, &processor);
    options().to_string_pretty(&serializer, one_line()).map_err(|error| error.to_string())
}

/// The settings that differ from the kind's defaults, as text, in the order of the kind's fields. Paths below `base` become
/// relative to it.
///
/// # Errors
/// As [`text_of`], with the field's name.
pub fn settings_text(
    registry: &TypeRegistry,
    kind: KindEntry,
    settings: &dyn Reflect,
    base: Option<&Path>,
) -> Result<Vec<Setting>, String> {
    let (ReflectRef::Struct(shape), TypeInfo::Struct(info)) = (settings.reflect_ref(), kind.registration.type_info()) else {
        return Ok(Vec::new());
    };
    let defaults = kind.default_settings();
    let default_of = |name: &str| match defaults.as_deref().map(|defaults| defaults.reflect_ref()) {
        Some(ReflectRef::Struct(defaults)) => defaults.field(name),
        _ => None,
    };
    let mut written = Vec::new();
    for field in info.iter() {
        let Some(value) = shape.field(field.name()) else { continue };
        if default_of(field.name()).is_some_and(|default| value.reflect_partial_eq(default) == Some(true)) {
            continue;
        }
        let relative = value.try_downcast_ref::<String>().zip(base).filter(|_| field.has_attribute::<InputPath>());
        let relative = relative.and_then(|(path, base)| Path::new(path).strip_prefix(base).ok());
        let text = match relative {
            Some(path) => text_of(registry, &path.display().to_string()),
            None => text_below(registry, value, base),
        };
        let value = text.map_err(|reason| format!("the setting “{}” cannot be written: {reason}", field.name()))?;
        written.push(Setting { field: field.name().to_owned(), value, place: super::Place::default() });
    }
    Ok(written)
}
