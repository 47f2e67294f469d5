//! What the registry can say about a blueprint, without running it.

use super::{
    Blueprint, BlueprintNode, Place,
    problem::{Problem, Severity, has_errors, most_like},
    settings::{LoadAsset, no_assets, settings_of},
    subgraph::{Definition, Fault, Key, Library, Scope, Subgraph, SubgraphInput, SubgraphOutput},
    target::Index,
};
use crate::{
    data_type::{Conversion, DataType, DataTypes},
    driver::Drivers,
    pin::{PinDirection, PinSpec},
    registry::{KindEntry, kind_named, kinds},
    value::exposed_pins,
};
use bevy::{
    platform::collections::{HashMap, HashSet},
    prelude::*,
    reflect::TypeRegistry,
};
use core::{any::TypeId, cmp::Ordering};
use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

/// A checked node: ready to become an entity.
pub(super) struct CheckedNode<'a> {
    pub(super) kind: Option<KindEntry<'a>>,
    /// None for kinds that nobody registered.
    pub(super) settings: Option<Box<dyn Reflect>>,
    pub(super) pins: Vec<PinSpec>,
    /// Those of the pins that are not the kind's.
    pub(super) extra: Vec<PinSpec>,
    /// Whether its pins are known from its links alone: a kind or a graph that is not there.
    pub(super) open: bool,
    pub(super) drivers: Drivers,
    /// What lies in it, for a subgraph.
    pub(super) contents: Option<Box<Contents<'a>>>,
}

impl CheckedNode<'_> {
    /// A node of which nothing is known but its links.
    fn unknown() -> Self {
        Self {
            kind: None,
            settings: None,
            pins: Vec::new(),
            extra: Vec::new(),
            open: true,
            drivers: Drivers::default(),
            contents: None,
        }
    }
}

/// The graph that a node stands for, with the node's own values in it.
#[derive(Default)]
pub(super) struct Contents<'a> {
    pub(super) graph: Blueprint,
    pub(super) checked: Checked<'a>,
    /// The pins outside, and the nodes in the graph that they belong to.
    pub(super) interface: Vec<(PinSpec, usize)>,
}

/// A checked link: places in the blueprint's nodes, pins' names, and what becomes of the data.
pub(super) struct CheckedLink {
    pub(super) from: (usize, String),
    pub(super) to: (usize, String),
    pub(super) conversion: Conversion,
}

#[derive(Default)]
pub(super) struct Checked<'a> {
    pub(super) nodes: Vec<CheckedNode<'a>>,
    pub(super) links: Vec<CheckedLink>,
    /// Everything that is wrong; of a graph in the graph it is with the outermost one.
    pub(super) problems: Vec<Problem>,
    /// The files of subgraphs, and when they had been changed last.
    pub(super) files: Vec<(PathBuf, Option<SystemTime>)>,
}

/// Everything that is wrong with a blueprint: kinds and settings that do not exist, values out of range, links that lead
/// nowhere, types that do not fit, inputs fed twice, cycles, subgraphs that contain themselves, and what is wrong in the files
/// that subgraphs name. Nodes of unknown kinds, and subgraphs whose files are not there, are warnings: they are kept as
/// placeholders.
///
/// With a `base`, the folder of the blueprint's file, files that are not there are warned of.
pub fn check(blueprint: &Blueprint, registry: &TypeRegistry, types: &DataTypes, base: Option<&Path>) -> Vec<Problem> {
    examine(blueprint, registry, types, base, &mut no_assets, base.is_some()).problems
}

/// With `look`, assets are looked for as files in the blueprint's folder.
pub(super) fn examine<'a>(
    blueprint: &Blueprint,
    registry: &'a TypeRegistry,
    types: &DataTypes,
    base: Option<&Path>,
    load: &mut LoadAsset,
    look: bool,
) -> Checked<'a> {
    let mut examiner = Examiner {
        registry,
        types,
        load,
        asset_folder: base.filter(|_| look).map(Path::to_owned),
        library: Library::default(),
        problems: Vec::new(),
        kind_names: None,
        way: Vec::new(),
        examined: HashSet::default(),
        said: HashSet::default(),
        errors: 0,
        nodes_left: Blueprint::MAX_NODES.saturating_sub(blueprint.nodes.len()),
        full: false,
    };
    let scope = Scope::top(blueprint, base);
    let mut checked = examiner.graph(blueprint, &scope);
    // Graphs that no node stands for yet have to be right too.
    for subgraph in &blueprint.subgraphs {
        let named = Subgraph { definition: subgraph.name.clone(), ..default() };
        if let Ok(definition) = examiner.library.find(&named, &scope)
            && !examiner.examined.contains(&definition.key)
        {
            let graph = (*definition.graph).clone();
            examiner.enter(&subgraph.name, subgraph.place, definition, graph, &scope);
        }
    }
    checked.files = examiner.library.files();
    checked.problems = examiner.problems;
    checked
}

/// One graph that is being examined, in another one.
struct Step {
    key: Key,
    label: String,
    node: String,
    /// Whether the graph was examined before, so that what is found now is of this node alone.
    again: bool,
}

/// Examines a blueprint with all that lies in it.
pub(super) struct Examiner<'a, 'e> {
    pub(super) registry: &'a TypeRegistry,
    pub(super) types: &'e DataTypes,
    load: &'e mut LoadAsset<'e>,
    asset_folder: Option<PathBuf>,
    pub(super) library: Library,
    problems: Vec<Problem>,
    kind_names: Option<Vec<&'a str>>,
    way: Vec<Step>,
    examined: HashSet<Key>,
    said: HashSet<(Option<PathBuf>, u32, u32, String)>,
    errors: usize,
    nodes_left: usize,
    full: bool,
}

impl<'a> Examiner<'a, '_> {
    /// Past so many problems nobody is helped with guesses, and guessing is slow.
    const MOST_GUESSES: usize = 200;
    /// Past so many errors no more are looked for.
    const MOST_ERRORS: usize = 1000;
    /// The most pins that a subgraph or a placeholder may have.
    pub(super) const MOST_PINS: usize = 1000;

    /// Notes a problem of a graph. What is wrong with a graph is said once, however many nodes stand for it.
    pub(super) fn push(&mut self, scope: &Scope, mut problem: Problem) {
        problem.file.clone_from(&scope.file);
        if let Some(step) = self.way.last() {
            let file = problem.file.as_deref().map(Path::to_owned);
            if !self.said.insert((file, problem.place.line, problem.place.column, problem.message.clone())) {
                return;
            }
            if step.again {
                let names: Vec<&str> = self.way.iter().map(|step| step.node.as_str()).collect();
                problem.message = format!("in “{}”: {}", names.join("/"), problem.message);
            }
        }
        self.errors += usize::from(problem.severity == Severity::Error);
        match self.errors.cmp(&(Self::MOST_ERRORS + 1)) {
            Ordering::Less => self.problems.push(problem),
            Ordering::Equal if problem.severity == Severity::Error => {
                let message = format!("there are more errors than these {}", Self::MOST_ERRORS);
                self.problems.push(Problem { message, ..problem });
            }
            _ => {}
        }
    }

    pub(super) fn error(&mut self, scope: &Scope, place: Place, message: String) {
        self.push(scope, Problem::error(place, message));
    }

    pub(super) fn guess<'w>(&self, word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
        if self.problems.len() < Self::MOST_GUESSES { most_like(word, known) } else { None }
    }

    fn graph(&mut self, blueprint: &Blueprint, scope: &Scope) -> Checked<'a> {
        let mut nodes: Vec<CheckedNode> = Vec::with_capacity(blueprint.nodes.len());
        for node in &blueprint.nodes {
            let checked = if self.errors > Self::MOST_ERRORS { CheckedNode::unknown() } else { self.node(node, scope) };
            nodes.push(checked);
        }
        let index = Index::of(blueprint);
        let links = self.links(blueprint, &mut nodes, &index, scope);
        self.cycles(blueprint, &links, scope);
        for parameter in &blueprint.parameters {
            let fault = match super::target::split(&parameter.setting) {
                Some(_) => self.target(blueprint, &index, scope, &parameter.setting).err(),
                None => Some(format!("“{}” is no setting: write node.field", parameter.setting)),
            };
            if let Some(fault) = fault {
                self.error(scope, parameter.place, format!("the parameter “{}”: {fault}", parameter.name));
            }
        }
        Checked { nodes, links, ..default() }
    }

    fn node(&mut self, node: &BlueprintNode, scope: &Scope) -> CheckedNode<'a> {
        let mut checked = CheckedNode { kind: kind_named(self.registry, &node.kind), open: false, ..CheckedNode::unknown() };
        let Some(kind) = checked.kind else {
            let registry = self.registry;
            let known = self.kind_names.get_or_insert_with(|| kinds(registry).iter().map(|kind| kind.name).collect()).clone();
            let like = self.guess(&node.kind, known.into_iter());
            let help = like.map_or_else(String::new, |like| format!(" Did you mean “{like}”?"));
            let message = format!(
                "node “{}”: no plugin here brings the kind “{}”. The node is kept as a placeholder and does not run.{help}",
                node.name, node.kind
            );
            self.push(scope, Problem::warning(node.place, message));
            checked.open = true;
            return checked;
        };
        let mut found = Vec::new();
        let mut assets = Vec::new();
        let mut load = |type_id: TypeId, path: String| {
            let path = scope.asset(&path);
            assets.push(path.clone());
            (self.load)(type_id, path)
        };
        let settings = settings_of(self.registry, kind, node, scope.base.as_deref(), &mut load, &mut found);
        if settings.is_none() {
            let message = format!("node “{}”: the kind {} has no defaults: derive Default and reflect it", node.name, kind.name);
            found.push(Problem::error(node.place, message));
        }
        if let Some(Err(fault)) = settings.as_deref().filter(|_| !has_errors(&found)).map(|settings| kind.node.check(settings)) {
            found.push(Problem::error(node.place, format!("node “{}”: {fault}", node.name)));
        }
        // Settings out of range must not make a million pins.
        let pins = if has_errors(&found) {
            kind.default_settings().and_then(|defaults| kind.node.pins(&*defaults))
        } else {
            settings.as_deref().and_then(|settings| kind.node.pins(settings))
        };
        checked.pins = pins.unwrap_or_default();
        self.missing_assets(node, assets, &mut found);
        for driven in &node.drivers {
            let Some(settings) = settings.as_deref() else { continue };
            if let Err(error) = checked.drivers.set(self.registry, kind, settings, &driven.path, driven.driver.clone()) {
                found.push(Problem::error(driven.place, format!("node “{}”, driver of “{}”: {error}", node.name, driven.path)));
            }
        }
        let paths = node.exposed.iter().map(|exposed| exposed.path.as_str());
        let (exposed, faults) = exposed_pins(self.registry, kind, &checked.pins, paths);
        for (place, fault) in faults {
            found.push(Problem::error(node.exposed[place].place, format!("node “{}”: {fault}", node.name)));
        }
        checked.extra = exposed;
        let subgraph = settings.as_deref().and_then(|settings| settings.downcast_ref::<Subgraph>());
        if let Some(value) = node.values.first().filter(|_| subgraph.is_none()) {
            let message = format!(
                "node “{}” is no subgraph, so the value “{}” means nothing: set it under `settings`",
                node.name, value.field
            );
            found.push(Problem::error(value.place, message));
        }
        if let Some(name) = settings.as_deref().and_then(interface_type)
            && name != DataType::ANY.name()
            && self.types.named(name).is_none()
        {
            let like = self.guess(name, self.types.iter().map(|(known, _)| known.name()));
            let help = like.map_or_else(String::new, |like| format!("; did you mean “{like}”?"));
            found.push(Problem::error(node.place, format!("node “{}”: there is no type of data “{name}”{help}", node.name)));
        }
        found.into_iter().for_each(|problem| self.push(scope, problem));
        if let Some(subgraph) = subgraph {
            checked.contents = self.contents(node, subgraph, scope).map(Box::new);
            checked.open = checked.contents.is_none();
            let interface = checked.contents.iter().flat_map(|contents| &contents.interface);
            checked.extra.extend(interface.map(|(spec, _)| spec.clone()));
        }
        checked.pins.extend(checked.extra.iter().cloned());
        checked.settings = settings;
        checked
    }

    fn missing_assets(&self, node: &BlueprintNode, assets: Vec<String>, found: &mut Vec<Problem>) {
        let Some(folder) = &self.asset_folder else { return };
        for path in assets.iter().filter(|path| !path.contains("://") && !folder.join(path).exists()) {
            let file = Path::new(path).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            let setting = node.settings.iter().find(|setting| setting.value.contains(&*file));
            let place = setting.map_or(node.place, |setting| setting.place);
            found.push(Problem::warning(place, format!("there is no file “{path}” in the blueprint's folder")));
        }
    }

    /// What lies in a subgraph; none if there is nothing, which has been said then.
    fn contents(&mut self, node: &BlueprintNode, subgraph: &Subgraph, scope: &Scope) -> Option<Contents<'a>> {
        let definition = match self.library.find(subgraph, scope) {
            Ok(definition) => definition,
            Err(fault) => {
                self.say_fault(node, fault, scope);
                return None;
            }
        };
        let mut graph = (*definition.graph).clone();
        for value in &node.values {
            self.put_value(node, &definition, &mut graph, value, scope);
        }
        self.enter(&node.name, node.place, definition, graph, scope)
    }

    fn say_fault(&mut self, node: &BlueprintNode, fault: Fault, scope: &Scope) {
        let name = &node.name;
        let problem = match fault {
            Fault::Unnamed => Problem::error(
                node.place,
                format!("node “{name}” names no graph: set `definition`, or the `file` of another blueprint"),
            ),
            Fault::NotThere(path) => Problem::warning(
                node.place,
                format!("node “{name}”: there is no blueprint {}. The node is kept and does not run", path.display()),
            ),
            Fault::Unreadable(path, reason) => {
                Problem::error(node.place, format!("node “{name}”: {} cannot be read: {reason}", path.display()))
            }
            Fault::Faulty(path, problems) => {
                for problem in problems {
                    let place = (Some(path.clone()), problem.place.line, problem.place.column, problem.message.clone());
                    if self.said.insert(place) {
                        self.problems.push(problem);
                    }
                }
                Problem::error(node.place, format!("node “{name}”: {} has errors", path.display()))
            }
            Fault::NoDefinition(definition, like) => {
                let help = like.map_or_else(String::new, |like| format!("; did you mean “{like}”?"));
                Problem::error(node.place, format!("node “{name}”: the file defines no subgraph “{definition}”{help}"))
            }
        };
        self.push(scope, problem);
    }

    /// Examines the graph that a node stands for.
    fn enter(
        &mut self,
        node: &str,
        place: Place,
        definition: Definition,
        graph: Blueprint,
        scope: &Scope,
    ) -> Option<Contents<'a>> {
        let Definition { key, label, scope: inside, .. } = definition;
        if let Some(begin) = self.way.iter().position(|step| step.key == key) {
            let labels: Vec<&str> = self.way[begin..].iter().map(|step| step.label.as_str()).chain([label.as_str()]).collect();
            self.error(scope, place, format!("node “{node}”: the subgraph “{label}” contains itself: {}", labels.join(" → ")));
            return None;
        }
        if self.way.len() >= Blueprint::MAX_DEPTH {
            let most = Blueprint::MAX_DEPTH;
            self.error(scope, place, format!("node “{node}”: subgraphs lie in subgraphs more than {most} deep"));
            return None;
        }
        let Some(left) = self.nodes_left.checked_sub(graph.nodes.len()).filter(|_| !self.full) else {
            if !core::mem::replace(&mut self.full, true) {
                let most = Blueprint::MAX_NODES;
                self.error(
                    scope,
                    place,
                    format!("node “{node}”: with all that lies in it the blueprint has more than {most} nodes"),
                );
            }
            return None;
        };
        self.nodes_left = left;
        let again = !self.examined.insert(key.clone());
        self.way.push(Step { key, label, node: node.to_owned(), again });
        let checked = self.graph(&graph, &inside);
        let interface = self.interface(&graph, &checked, &inside);
        self.way.pop();
        Some(Contents { graph, checked, interface })
    }

    /// The pins that a graph has outside, in the order of the file.
    fn interface(&mut self, graph: &Blueprint, checked: &Checked, scope: &Scope) -> Vec<(PinSpec, usize)> {
        let mut interface: Vec<(PinSpec, usize)> = Vec::new();
        let mut seen: HashMap<(String, bool), usize> = HashMap::default();
        for (place, (node, known)) in graph.nodes.iter().zip(&checked.nodes).enumerate() {
            let Some(settings) = known.settings.as_deref() else { continue };
            let named = |name: &str| if name.is_empty() { node.name.clone() } else { name.to_owned() };
            let spec = if let Some(input) = settings.downcast_ref::<SubgraphInput>() {
                PinSpec::input(named(&input.name), DataType::from_name(input.data_type.clone()))
            } else if let Some(output) = settings.downcast_ref::<SubgraphOutput>() {
                PinSpec::output(named(&output.name), DataType::from_name(output.data_type.clone()))
            } else {
                continue;
            };
            if interface.len() >= Self::MOST_PINS {
                let message = format!("node “{}”: a subgraph may have {} pins at most", node.name, Self::MOST_PINS);
                self.error(scope, node.place, message);
                break;
            }
            let name = (spec.name.to_string(), spec.direction == PinDirection::Input);
            if let Some(twin) = seen.insert(name, place) {
                let message = format!(
                    "node “{}”: the pin “{}” is there already, by node “{}”: names must differ",
                    node.name, spec.name, graph.nodes[twin].name
                );
                self.error(scope, node.place, message);
                continue;
            }
            if let Some(fault) = super::read::name_fault(&spec.name) {
                self.error(scope, node.place, format!("node “{}”: the pin's name “{}” {fault}", node.name, spec.name));
                continue;
            }
            interface.push((spec, place));
        }
        interface
    }
}

/// The type of data that a node of a subgraph's interface names.
fn interface_type(settings: &dyn Reflect) -> Option<&str> {
    let input = settings.downcast_ref::<SubgraphInput>().map(|input| &input.data_type);
    input.or_else(|| Some(&settings.downcast_ref::<SubgraphOutput>()?.data_type)).map(String::as_str)
}
