//! Settings given beside the file: on a command line, by a program that runs a blueprint.

use super::{
    Blueprint, Place, Setting,
    read::options,
    target::{Index, few, is_subgraph, is_value, put_value, setting_at},
    write::quoted,
};
use crate::registry::kind_named;
use bevy::{prelude::*, reflect::TypeRegistry};
use core::{fmt, str::FromStr};
use ron::value::RawValue;

/// One setting given beside the file: `node.field=value`, `node.field.part=value` for a part of a setting, or
/// `parameter=value` for one that the blueprint exposes. What lies in a subgraph is `subgraph/node.field`, and the parameters of
/// its graph are `subgraph.parameter`. The value is RON; words for a text setting need no quotation marks.
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
    /// The node is no subgraph, so that nothing lies in it.
    #[error("“{given}”: the node “{node}” is no subgraph, so there is nothing in it to be set")]
    NoSubgraph {
        /// The override.
        given: String,
        /// The node.
        node: String,
    },
    /// The kind has no such setting.
    #[error("“{given}”: {reason}")]
    NoSetting {
        /// The override.
        given: String,
        /// What the kind is asked for and what it has.
        reason: String,
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

    /// Puts the setting into a blueprint, after what the file says.
    ///
    /// # Errors
    /// [`OverrideError`] if there is no such node or setting. Whether the value fits, and whether the graph of a subgraph has
    /// such a setting, is found out with the rest of the blueprint.
    pub fn apply(&self, blueprint: &mut Blueprint, registry: &TypeRegistry) -> Result<(), OverrideError> {
        let exposed = blueprint.parameters.iter().find(|parameter| self.path.is_empty() && parameter.name == self.node);
        let target = match exposed {
            Some(parameter) => Self::of_setting(&parameter.setting, self.value.clone())?,
            None => self.clone(),
        };
        let (name, inner) = target.node.split_once('/').map_or((target.node.as_str(), false), |(name, _)| (name, true));
        let Some(node) = blueprint.node(name) else {
            let known = few(blueprint.nodes.iter().map(|node| node.name.as_str()));
            return Err(OverrideError::NoNode { given: self.to_string(), node: name.to_owned(), known });
        };
        if target.path.is_empty() {
            return Err(OverrideError::Form(self.to_string()));
        }
        let mut value = self.value.clone();
        let kind = kind_named(registry, &node.kind);
        if inner && kind.is_some_and(|kind| !is_subgraph(kind)) {
            return Err(OverrideError::NoSubgraph { given: self.to_string(), node: name.to_owned() });
        }
        if inner || is_value(registry, node, &target.path) {
            // What it is the graph says, later; but a file takes it only as RON.
            if options().from_str::<&RawValue>(&value).is_err() {
                value = quoted(&value);
            }
        } else if let Some(kind) = kind {
            let no_setting = |reason: String| OverrideError::NoSetting { given: self.to_string(), reason };
            if let Some(field) = setting_at(registry, kind, &target.path).map_err(no_setting)? {
                value = field.quote(registry, &value);
            }
        }
        let setting = format!("{}.{}", target.node, target.path.join("."));
        let index = Index::of(blueprint);
        put_value(blueprint, &index, registry, &setting, &Setting { field: String::new(), value, place: Place::default() });
        Ok(())
    }
}
