//! What a setting's name stands for: in a graph, under a parameter's name, or in the graphs of subgraphs.

use super::{
    Blueprint, BlueprintNode, Setting,
    check::Examiner,
    problem::{Problem, has_errors, most_like},
    settings::{no_assets, settings_of},
    subgraph::{Definition, Scope, Subgraph},
    write::quoted,
};
use crate::registry::{InputPath, KindEntry, kind_named};
use bevy::{
    asset::ReflectHandle,
    platform::collections::HashMap,
    prelude::*,
    reflect::{GetPath, NamedField, TypeInfo, TypeRegistry},
};
use core::any::TypeId;

/// The setting that a name stands for.
pub(super) struct Target<'a> {
    /// The node, behind the names of the subgraphs that it lies in.
    pub(super) node: String,
    /// None for a kind that nobody registered.
    pub(super) kind: Option<KindEntry<'a>>,
    /// The field, and the parts of it.
    pub(super) path: Vec<String>,
    pub(super) field: Option<SettingField<'a>>,
}

/// What the registry knows of a setting.
#[derive(Clone, Copy)]
pub(crate) struct SettingField<'a> {
    pub(crate) field: &'a NamedField,
    pub(crate) info: &'a TypeInfo,
}

impl SettingField<'_> {
    fn is_asset(self, registry: &TypeRegistry) -> bool {
        registry.get(self.info.type_id()).is_some_and(|registration| registration.contains::<ReflectHandle>())
    }

    fn is_path(self) -> bool {
        self.info.type_id() == TypeId::of::<String>() && self.field.has_attribute::<InputPath>()
    }

    /// A value as RON: words for a text need no quotation marks.
    pub(super) fn quote(self, registry: &TypeRegistry, value: &str) -> String {
        let is_text = self.info.type_id() == TypeId::of::<String>() || self.is_asset(registry);
        if is_text && !["\"", "r\"", "r#"].iter().any(|quote| value.starts_with(quote)) {
            quoted(value)
        } else {
            value.to_owned()
        }
    }
}

/// The setting of a kind at this path; none if its type is not registered.
///
/// # Errors
/// What is there instead.
pub(crate) fn setting_at<'a>(
    registry: &'a TypeRegistry,
    kind: KindEntry<'a>,
    path: &[String],
) -> Result<Option<SettingField<'a>>, String> {
    let mut info = kind.registration.type_info();
    let mut found = None;
    for part in path {
        let TypeInfo::Struct(shape) = info else {
            return Err(format!("{} has no setting “{part}”; it has no parts", kind.name));
        };
        let field = shape.field(part).ok_or_else(|| {
            let names = shape.field_names();
            let help = match most_like(part, names.iter().copied()) {
                Some(like) => format!("did you mean “{like}”?"),
                None => format!("it has {}", names.join(", ")),
            };
            format!("{} has no setting “{part}”; {help}", kind.name)
        })?;
        let Some(of_field) = registry.get_type_info(field.type_id()) else { return Ok(None) };
        info = of_field;
        found = Some(SettingField { field, info });
    }
    Ok(found)
}

/// Whether a kind stands for a graph.
pub(crate) fn is_subgraph(kind: KindEntry) -> bool {
    kind.registration.type_id() == TypeId::of::<Subgraph>()
}

/// Whether a setting of a node is one of the graph that it stands for, and not one of its own.
pub(super) fn is_value(registry: &TypeRegistry, node: &BlueprintNode, path: &[String]) -> bool {
    let kind = kind_named(registry, &node.kind).filter(|kind| is_subgraph(*kind));
    kind.zip(path.first()).is_some_and(|(kind, first)| setting_at(registry, kind, core::slice::from_ref(first)).is_err())
}

/// The words behind the first full stop, apart.
pub(super) fn split(setting: &str) -> Option<(&str, Vec<String>)> {
    let (node, path) = setting.split_once('.')?;
    let path: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
    (!node.is_empty() && path.iter().all(|part| !part.is_empty())).then_some((node, path))
}

/// Where the nodes and parameters of a graph are, by name; of two of one name the first.
#[derive(Default)]
pub(super) struct Index {
    nodes: HashMap<String, usize>,
    parameters: HashMap<String, usize>,
}

impl Index {
    pub(super) fn of(blueprint: &Blueprint) -> Self {
        let mut index = Self::default();
        for (place, node) in blueprint.nodes.iter().enumerate() {
            index.nodes.entry(node.name.clone()).or_insert(place);
        }
        for (place, parameter) in blueprint.parameters.iter().enumerate() {
            index.parameters.entry(parameter.name.clone()).or_insert(place);
        }
        index
    }

    /// The place of a node.
    pub(super) fn node(&self, name: &str) -> Option<usize> {
        self.nodes.get(name).copied()
    }
}

/// Puts a value where a parameter's name, `node.field` or `subgraph/node.field` leads, behind what is there. Returns whether
/// there is such a node.
pub(super) fn put_value(
    blueprint: &mut Blueprint,
    index: &Index,
    registry: &TypeRegistry,
    setting: &str,
    value: &Setting,
) -> bool {
    let exposed = index.parameters.get(setting).map(|place| &blueprint.parameters[*place]);
    let setting = exposed.map_or(setting, |parameter| &parameter.setting).to_owned();
    let Some((name, path)) = split(&setting) else { return false };
    let (name, inner) = match name.split_once('/') {
        Some((subgraph, inner)) => (subgraph, Some(format!("{inner}.{}", path.join(".")))),
        None => (name, None),
    };
    let Some(node) = index.node(name).map(|place| &mut blueprint.nodes[place]) else { return false };
    let inner = inner.or_else(|| is_value(registry, node, &path).then(|| path.join(".")));
    match inner {
        Some(field) => match node.values.iter_mut().find(|present| present.field == field) {
            Some(present) => present.value.clone_from(&value.value),
            None => node.values.push(Setting { field, ..value.clone() }),
        },
        None => node.settings.push(Setting { field: path[0].clone(), value: in_parts(&path, &value.value), place: value.place }),
    }
    true
}

/// A value for a part of a field as one for the field.
fn in_parts(path: &[String], value: &str) -> String {
    path[1..].iter().rev().fold(value.to_owned(), |value, part| format!("({part}: {value})"))
}

impl<'a> Examiner<'a, '_> {
    /// What a parameter's name, `node.field` or `subgraph/node.field` stands for.
    ///
    /// # Errors
    /// What is missing on the way, and what there is.
    pub(super) fn target(
        &mut self,
        blueprint: &Blueprint,
        index: &Index,
        scope: &Scope,
        setting: &str,
    ) -> Result<Target<'a>, String> {
        self.target_in(blueprint, index, scope, setting, "", 0)
    }

    fn target_in(
        &mut self,
        blueprint: &Blueprint,
        index: &Index,
        scope: &Scope,
        setting: &str,
        around: &str,
        depth: usize,
    ) -> Result<Target<'a>, String> {
        if depth > 2 * Blueprint::MAX_DEPTH {
            return Err(format!("it goes through more than {} subgraphs", Blueprint::MAX_DEPTH));
        }
        if let Some(parameter) = index.parameters.get(setting).map(|place| &blueprint.parameters[*place]) {
            return self.target_in(blueprint, index, scope, &parameter.setting, around, depth + 1);
        }
        let Some((name, path)) = split(setting) else {
            let parameters = few(blueprint.parameters.iter().map(|parameter| parameter.name.as_str()));
            return Err(format!("there is no parameter “{setting}”; there is {parameters}"));
        };
        let (name, inner) = match name.split_once('/') {
            Some((subgraph, inner)) => (subgraph, Some(format!("{inner}.{}", path.join(".")))),
            None => (name, None),
        };
        let Some(node) = index.node(name).map(|place| &blueprint.nodes[place]) else {
            let nodes = few(blueprint.nodes.iter().map(|node| node.name.as_str()));
            return Err(format!("there is no node “{name}”; there is {nodes}"));
        };
        let label = if around.is_empty() { name.to_owned() } else { format!("{around}/{name}") };
        let inner = inner.or_else(|| is_value(self.registry, node, &path).then(|| path.join(".")));
        if let Some(inner) = inner {
            let definition = self.definition_of(node, scope)?;
            return self.target_in(&definition.graph, &definition.index, &definition.scope, &inner, &label, depth + 1);
        }
        let kind = kind_named(self.registry, &node.kind);
        let field = kind.map(|kind| setting_at(self.registry, kind, &path)).transpose()?.flatten();
        Ok(Target { node: label, kind, path, field })
    }

    fn definition_of(&mut self, node: &BlueprintNode, scope: &Scope) -> Result<Definition, String> {
        let kind = kind_named(self.registry, &node.kind).filter(|kind| is_subgraph(*kind));
        let settings =
            kind.and_then(|kind| settings_of(self.registry, kind, node, scope.base.as_deref(), &mut no_assets, &mut Vec::new()));
        let Some(subgraph) = settings.as_deref().and_then(|settings| settings.downcast_ref::<Subgraph>()) else {
            return Err(format!("“{}” is no subgraph", node.name));
        };
        self.library.find(subgraph, scope).map_err(|_| format!("the graph of “{}” is not there", node.name))
    }

    /// Puts a value of a node into the graph that the node stands for.
    pub(super) fn put_value(
        &mut self,
        node: &BlueprintNode,
        definition: &Definition,
        graph: &mut Blueprint,
        value: &Setting,
        scope: &Scope,
    ) {
        let target = match self.target(&definition.graph, &definition.index, &definition.scope, &value.field) {
            Ok(target) => target,
            Err(reason) => {
                let message = format!("node “{}”, value “{}”: {reason}", node.name, value.field);
                return self.push(scope, Problem::error(value.place, message));
            }
        };
        let mut put = Setting { place: super::Place::default(), ..value.clone() };
        if let (Some(kind), Some(field)) = (target.kind, target.field) {
            put.value = field.quote(self.registry, &value.value);
            // The value is the outer file's: what is wrong with it stands there, and its paths start there.
            let name = format!("{}/{}", node.name, target.node);
            let setting =
                Setting { field: target.path[0].clone(), value: in_parts(&target.path, &put.value), place: value.place };
            let probe = BlueprintNode { name, kind: kind.name.to_owned(), settings: vec![setting], ..default() };
            let mut found = Vec::new();
            let settings = settings_of(self.registry, kind, &probe, scope.base.as_deref(), &mut no_assets, &mut found);
            let faulty = has_errors(&found);
            for mut problem in found {
                problem.message = format!("value “{}”: {}", value.field, problem.message);
                self.push(scope, problem);
            }
            if faulty {
                return;
            }
            let path = settings.as_deref().filter(|_| field.is_path() && scope.base.is_some());
            let path = path.and_then(|settings| settings.path::<String>(target.path.join(".").as_str()).ok());
            if let Some(path) = path.filter(|path| !path.is_empty() && !path.contains("://")) {
                let absolute = std::path::absolute(path).map(|path| path.display().to_string());
                put.value = quoted(absolute.as_ref().unwrap_or(path));
            } else if field.is_asset(self.registry)
                && let Ok(path) = super::read::options().from_str::<String>(&put.value)
                && !path.contains("://")
            {
                put.value = quoted(&format!("/{}", scope.asset(&path)));
            }
        }
        put_value(graph, &definition.index, self.registry, &value.field, &put);
    }
}

/// Some names, for messages.
pub(super) fn few<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 20;
    let mut some: Vec<&str> = names.take(MOST + 1).collect();
    match some.len() {
        0 => "none".to_owned(),
        count if count > MOST => {
            some[MOST] = "…";
            some.join(", ")
        }
        _ => some.join(", "),
    }
}
