//! Settings given beside the file: on a command line, by a program that runs a blueprint.

use super::{Blueprint, Place, Setting, problem::most_like};
use crate::registry::kind_named;
use bevy::{
    asset::ReflectHandle,
    prelude::*,
    reflect::{TypeInfo, TypeRegistry},
};
use core::{any::TypeId, fmt, str::FromStr};

/// One setting given beside the file: `node.field=value`, `node.field.part=value` for a part of a setting, or
/// `parameter=value` for one that the blueprint exposes. The value is RON; words for a text setting need no quotation marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The name of the node, or of the parameter.
    pub node: String,
    /// The field, and the parts of it; empty for a parameter.
    pub path: Vec<String>,
    /// The value.
    pub value: String,
}

/// The overrides of a blueprint that an asset server loads; they hold for every version of it.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct BlueprintOverrides(pub Vec<Override>);

/// A text that is no override, or one that fits no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// It is not `node.field=value`.
    #[error("“{0}” is no setting: write node.field=value, such as encoder.bitrate_bps=8000000")]
    Form(String),
    /// There is no such node.
    #[error("“{given}”: the blueprint has no node “{node}”; it has {known}")]
    NoNode {
        /// The override.
        given: String,
        /// The node asked for.
        node: String,
        /// The nodes there are.
        known: String,
    },
    /// The kind has no such setting.
    #[error("“{given}”: {kind} has no setting “{field}”; {help}")]
    NoSetting {
        /// The override.
        given: String,
        /// The node's kind.
        kind: String,
        /// The setting asked for.
        field: String,
        /// What there is.
        help: String,
    },
}

impl FromStr for Override {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let form = || OverrideError::Form(text.to_owned());
        let (target, value) = text.split_once('=').ok_or_else(form)?;
        Self::of_setting(target, value.trim().to_owned()).map_err(|_| form())
    }
}

impl fmt::Display for Override {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target: Vec<&str> = core::iter::once(&self.node).chain(&self.path).map(String::as_str).collect();
        write!(formatter, "{}={}", target.join("."), self.value)
    }
}

impl Override {
    /// An override made in a program.
    pub fn new(node: &str, path: &str, value: impl ToString) -> Self {
        Self { node: node.to_owned(), path: path.split('.').map(str::to_owned).collect(), value: value.to_string() }
    }

    /// A value for `node.field`, `node.field.part` or `parameter`.
    ///
    /// # Errors
    /// [`OverrideError::Form`] if a part of the name is empty.
    pub fn of_setting(setting: &str, value: String) -> Result<Self, OverrideError> {
        let mut parts = setting.split('.').map(|part| part.trim().to_owned());
        let node = parts.next().unwrap_or_default();
        let path: Vec<String> = parts.collect();
        if node.is_empty() || path.iter().any(String::is_empty) {
            return Err(OverrideError::Form(setting.to_owned()));
        }
        Ok(Self { node, path, value })
    }

    /// Finds the node and the type of what is set; none for a node of an unknown kind.
    pub(super) fn target<'a>(
        &self,
        blueprint: &Blueprint,
        registry: &'a TypeRegistry,
    ) -> Result<(usize, Option<&'a TypeInfo>), OverrideError> {
        let Some(place) = blueprint.nodes.iter().position(|node| node.name == self.node) else {
            let known = blueprint.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(OverrideError::NoNode { given: self.to_string(), node: self.node.clone(), known });
        };
        if self.path.is_empty() {
            return Err(OverrideError::Form(self.to_string()));
        }
        let kind = &blueprint.nodes[place].kind;
        let mut at = kind_named(registry, kind).map(|kind| kind.registration.type_info());
        for field in &self.path {
            let Some(info) = at else { break };
            let next = match info {
                TypeInfo::Struct(shape) => shape.field(field).map(|found| found.type_id()).ok_or_else(|| {
                    let like = most_like(field, shape.field_names().iter().copied());
                    like.map_or_else(
                        || format!("it has {}", shape.field_names().join(", ")),
                        |like| format!("did you mean “{like}”?"),
                    )
                }),
                _ => Err("it has no parts".to_owned()),
            };
            let type_id = next.map_err(|help| OverrideError::NoSetting {
                given: self.to_string(),
                kind: kind.clone(),
                field: field.clone(),
                help,
            })?;
            at = registry.get(type_id).map(|registration| registration.type_info());
        }
        Ok((place, at))
    }

    /// Puts the setting into a blueprint, after what the file says.
    ///
    /// # Errors
    /// [`OverrideError`] if there is no such node or setting. Whether the value fits is found out with the rest of the
    /// blueprint.
    pub fn apply(&self, blueprint: &mut Blueprint, registry: &TypeRegistry) -> Result<(), OverrideError> {
        let exposed = blueprint.parameters.iter().find(|parameter| self.path.is_empty() && parameter.name == self.node);
        let target = match exposed {
            Some(parameter) => Self::of_setting(&parameter.setting, self.value.clone())?,
            None => self.clone(),
        };
        let (place, at) = target.target(blueprint, registry)?;
        let mut value = self.value.clone();
        let is_text = at.is_some_and(|info| {
            info.type_id() == TypeId::of::<String>()
                || registry.get(info.type_id()).is_some_and(|registration| registration.contains::<ReflectHandle>())
        });
        if is_text && !value.starts_with('"') {
            value = format!("{value:?}");
        }
        for part in target.path[1..].iter().rev() {
            value = format!("({part}: {value})");
        }
        blueprint.nodes[place].settings.push(Setting { field: target.path[0].clone(), value, place: Place::default() });
        Ok(())
    }
}
