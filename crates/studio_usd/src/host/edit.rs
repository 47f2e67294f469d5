//! Edits of a stage as plain data, and how they are made in a layer.

use super::StageValue;
use crate::open::{UsdError, VariantChoice};
use openusd::{
    sdf::{self, Value},
    usd::StageAuthoringError,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The layer that edits go to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EditLayer {
    /// The session layer: stronger than all others, and never saved by itself.
    #[default]
    Session,
    /// The root layer.
    Root,
    /// A layer by its identifier. Paths are that layer's own, which differ from the stage's where it is referenced.
    Layer(String),
}

/// An edit. Paths are absolute: `/World/Car`, `/World/Car.xformOp:translate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StageEdit {
    /// Makes a prim, or gives one its type.
    DefinePrim {
        /// The path.
        path: String,
        /// The type; empty for none.
        type_name: String,
    },
    /// Takes a prim, and all below it, out of the layer. What weaker layers say of it remains; see [`SetActive`](Self::SetActive).
    RemovePrim {
        /// The path.
        path: String,
    },
    /// Gives an attribute a value.
    SetAttribute {
        /// The path.
        path: String,
        /// The type, such as `double3` or `uniform token[]`, for an attribute that the layer does not have yet.
        type_name: String,
        /// The value.
        value: StageValue,
        /// When, as a time code of the layer; `None` for the default.
        time: Option<f64>,
    },
    /// Takes an attribute's value out of the layer: one sample, or the default and all samples.
    ClearAttribute {
        /// The path.
        path: String,
        /// The sample; `None` for all of it.
        time: Option<f64>,
    },
    /// Connects an attribute to others, or to none.
    SetConnections {
        /// The path.
        path: String,
        /// The type, for an attribute that the layer does not have yet.
        type_name: String,
        /// What it is connected to; `None` takes the opinion out of the layer.
        targets: Option<Vec<String>>,
    },
    /// Points a relationship at others.
    SetRelationship {
        /// The path.
        path: String,
        /// What it points at; `None` takes the opinion out of the layer.
        targets: Option<Vec<String>>,
    },
    /// Chooses a variant.
    SetVariant(VariantChoice),
    /// Makes a prim, with all below it, count or not.
    SetActive {
        /// The path.
        path: String,
        /// Whether it counts.
        is_active: bool,
    },
    /// Sets metadata of a prim, of a property, or with the path `/` of the layer: `kind`, `instanceable`, `apiSchemas`, `customData:ns:key`.
    SetMetadata {
        /// The path.
        path: String,
        /// The field; parts behind a `:` are keys within a dictionary.
        key: String,
        /// The value; `None` takes the opinion out of the layer.
        value: Option<StageValue>,
    },
    /// Moves a prim, with all below it, to another place or name; what points at it follows.
    MovePrim {
        /// The path.
        path: String,
        /// The new path.
        to: String,
    },
}

impl StageEdit {
    /// The path that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::DefinePrim { path, .. }
            | Self::RemovePrim { path }
            | Self::SetAttribute { path, .. }
            | Self::ClearAttribute { path, .. }
            | Self::SetConnections { path, .. }
            | Self::SetRelationship { path, .. }
            | Self::SetActive { path, .. }
            | Self::SetMetadata { path, .. }
            | Self::MovePrim { path, .. } => path,
            Self::SetVariant(choice) => &choice.prim,
        }
    }

    /// Whether all of it can be said in a layer; a wrong path or name is an error before anything is changed.
    pub(super) fn check(&self) -> Result<(), UsdError> {
        let path = self.path();
        let is_property = matches!(
            self,
            Self::SetAttribute { .. } | Self::ClearAttribute { .. } | Self::SetConnections { .. } | Self::SetRelationship { .. }
        );
        match self {
            Self::SetMetadata { .. } if path == "/" => {}
            Self::SetMetadata { .. } if path.contains('.') => property_path(path).map(drop)?,
            _ if is_property => property_path(path).map(drop)?,
            _ => crate::open::prim_path(path).map(drop)?,
        }
        if path == "/" && !matches!(self, Self::SetMetadata { .. }) {
            return Err(fail(path, "the root itself cannot be edited; name a prim below it"));
        }
        if let Self::SetRelationship { targets: Some(targets), .. } | Self::SetConnections { targets: Some(targets), .. } = self
            && let Some(target) = targets.iter().find(|target| !target.starts_with('/') || !crate::open::is_sound(target, 0))
        {
            return Err(fail(path, &format!("<{target}> is no absolute path")));
        }
        match self {
            Self::SetAttribute { time: Some(time), .. } | Self::ClearAttribute { time: Some(time), .. } if !time.is_finite() => {
                Err(fail(path, "the time of a sample has to be a number"))
            }
            Self::MovePrim { to, .. } => crate::open::prim_path(to).map(drop),
            Self::SetMetadata { key, value: Some(value), .. } if !value.is_sound_as(key) => {
                Err(fail(path, "the value is none for this field, holds paths that are none, or goes too deep"))
            }
            Self::SetMetadata { key, .. } if crate::open::is_list_of_specs(key) => {
                Err(fail(path, "which prims and properties there are is not said in metadata"))
            }
            Self::SetAttribute { value, .. } if !value.has_sound_paths() => {
                Err(fail(path, "the value holds paths that are none, or values within values too deep"))
            }
            Self::SetMetadata { key, .. } if key.is_empty() || key.split(':').any(str::is_empty) => {
                Err(fail(path, "the metadata has no name"))
            }
            _ => Ok(()),
        }
    }

    /// Makes the edit in a layer. Moves are not made here.
    pub(super) fn author(&self, layer: &mut sdf::LayerEdit<'_>) -> Result<(), StageAuthoringError> {
        match self {
            Self::DefinePrim { path, type_name } => {
                sdf::PrimSpec::new(layer.data_mut(), path.as_str(), sdf::Specifier::Def, type_name.as_str())?;
            }
            Self::RemovePrim { path } => {
                layer.remove_spec(&sdf::Path::from(path.as_str()))?;
            }
            Self::SetAttribute { path, type_name, value, time } => {
                attribute(layer, path, type_name)?;
                if let Some(mut attribute) = layer.attribute_mut(path.as_str()) {
                    match time {
                        Some(time) => attribute.set_time_sample(*time, value.to_usd()),
                        None => attribute.set_default(value.to_usd()),
                    }
                }
            }
            Self::ClearAttribute { path, time } => {
                if let Some(mut attribute) = layer.attribute_mut(path.as_str()) {
                    match time {
                        Some(time) => _ = attribute.erase_time_sample(*time),
                        None => {
                            attribute.clear_default();
                            attribute.erase(sdf::FieldKey::TimeSamples.as_str());
                        }
                    }
                }
            }
            Self::SetConnections { path, type_name, targets } => match targets {
                Some(targets) => {
                    attribute(layer, path, type_name)?;
                    if let Some(mut attribute) = layer.attribute_mut(path.as_str()) {
                        attribute.set_connection_paths(targets.iter().map(|target| sdf::Path::from(target.as_str())));
                    }
                }
                None => {
                    if let Some(mut attribute) = layer.attribute_mut(path.as_str()) {
                        attribute.erase(sdf::FieldKey::ConnectionPaths.as_str());
                    }
                }
            },
            Self::SetRelationship { path, targets } => match targets {
                Some(targets) => {
                    if layer.relationship_mut(path.as_str()).is_none() {
                        sdf::RelationshipSpec::new(layer.data_mut(), path.as_str(), sdf::Variability::Varying, false)?;
                    }
                    if let Some(mut relationship) = layer.relationship_mut(path.as_str()) {
                        relationship.set_target_paths(targets.iter().map(|target| sdf::Path::from(target.as_str())));
                    }
                }
                None => {
                    if let Some(mut relationship) = layer.relationship_mut(path.as_str()) {
                        relationship.erase(sdf::FieldKey::TargetPaths.as_str());
                    }
                }
            },
            Self::SetVariant(choice) => {
                let key = sdf::FieldKey::VariantSelection.as_str();
                let mut prim = sdf::PrimSpec::over(layer.data_mut(), choice.prim.as_str())?;
                let mut chosen = match prim.field(key) {
                    Ok(Some(Value::VariantSelectionMap(chosen))) => chosen,
                    _ => HashMap::new(),
                };
                chosen.insert(choice.set.clone(), choice.variant.clone());
                prim.set(key, Value::VariantSelectionMap(chosen));
            }
            Self::SetActive { path, is_active } => {
                sdf::PrimSpec::over(layer.data_mut(), path.as_str())?.set_active(*is_active);
            }
            Self::SetMetadata { path, key, value } => metadata(layer, path, key, value.as_ref())?,
            Self::MovePrim { .. } => {}
        }
        Ok(())
    }
}

fn attribute(layer: &mut sdf::LayerEdit<'_>, path: &str, type_name: &str) -> Result<(), StageAuthoringError> {
    if layer.attribute_mut(path).is_none() {
        let (variability, type_name) = match type_name.strip_prefix("uniform ") {
            Some(type_name) => (sdf::Variability::Uniform, type_name),
            None => (sdf::Variability::Varying, type_name),
        };
        sdf::AttributeSpec::new(layer.data_mut(), path, type_name, variability, false)?;
    }
    Ok(())
}

fn metadata(
    layer: &mut sdf::LayerEdit<'_>,
    path: &str,
    key: &str,
    value: Option<&StageValue>,
) -> Result<(), StageAuthoringError> {
    let (field, keys) = key.split_once(':').map_or((key, None), |(field, keys)| (field, Some(keys)));
    let at = sdf::Path::from(path);
    let data = layer.data_mut();
    if path != "/" && !path.contains('.') && value.is_some() {
        sdf::PrimSpec::over(data, path)?;
    }
    if !data.has_spec(&at) {
        if value.is_none() {
            return Ok(());
        }
        return Err(sdf::AuthoringError::InvalidPath {
            path: at,
            reason: "this layer has no such property; give it a value first",
        }
        .into());
    }
    let new = match keys {
        None => value.map(StageValue::to_usd),
        Some(keys) => {
            let mut dictionary = match data.try_field(&at, field) {
                Ok(Some(value)) => match value.into_owned() {
                    Value::Dictionary(dictionary) => dictionary,
                    _ => HashMap::new(),
                },
                _ => HashMap::new(),
            };
            set_within(&mut dictionary, keys, value);
            if dictionary.is_empty() { None } else { Some(Value::Dictionary(dictionary)) }
        }
    };
    match new {
        Some(value) => data.set_field(&at, field, value),
        None => data.erase_field(&at, field),
    }
    Ok(())
}

fn set_within(dictionary: &mut HashMap<String, Value>, keys: &str, value: Option<&StageValue>) {
    let Some((first, rest)) = keys.split_once(':') else {
        match value {
            Some(value) => _ = dictionary.insert(keys.to_owned(), value.to_usd()),
            None => _ = dictionary.remove(keys),
        }
        return;
    };
    let mut inner = match dictionary.remove(first) {
        Some(Value::Dictionary(inner)) => inner,
        _ => HashMap::new(),
    };
    set_within(&mut inner, rest, value);
    if !inner.is_empty() {
        dictionary.insert(first.to_owned(), Value::Dictionary(inner));
    }
}

fn fail(path: &str, message: &str) -> UsdError {
    UsdError::Edit { path: path.to_owned(), message: message.to_owned() }
}

/// A path of a property, checked.
fn property_path(path: &str) -> Result<sdf::Path, UsdError> {
    let bad = || fail(path, "this is no absolute path of a property, such as /World/Car.visibility");
    let (prim, property) = path.split_once('.').ok_or_else(bad)?;
    crate::open::prim_path(prim).map_err(|_| bad())?;
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if prim == "/" || !property.split(':').all(is_name) {
        return Err(bad());
    }
    sdf::path(path).map_err(|_| bad())
}
