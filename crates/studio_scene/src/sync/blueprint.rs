//! The blueprint in the stage: its own scope, typed prims, and the same blueprint when it is read again.
//!
//! | prim | type | what it says |
//! |---|---|---|
//! | the scope, `/NeuralStudio` by default | `NeuralStudioBlueprint` | version, name, links, notes, parameters, routes, bookmarks |
//! | below it, one a node | `NeuralStudioNode` | name, kind, place on the canvas, settings, drivers, exposed settings, how it takes part |
//! | below it, one a subgraph | `NeuralStudioBlueprint` | as the scope |
//!
//! The types are declared in `assets/usd/neural_studio/generatedSchema.usda`, which programs built on OpenUSD load as a plug-in. Values of
//! settings are texts in the notation of blueprint files, so that settings of kinds nobody registered survive.

use studio_graph::blueprint::{
    Blueprint, Problem,
    parts::{GraphParts, NodeParts},
};
use studio_usd::{
    host::{EditLayer, Number, StageChange, StageEdit, StageHost, StageValue},
    open::UsdError,
    snapshot::{Attribute, AttributeValue, Prim, StageSnapshot},
    write::UniqueNames,
};

/// Where a blueprint is kept unless something else is asked for.
pub const BLUEPRINT_SCOPE: &str = "/NeuralStudio";
/// The type of the scope and of subgraphs.
pub const BLUEPRINT_TYPE: &str = "NeuralStudioBlueprint";
/// The type of nodes.
pub const NODE_TYPE: &str = "NeuralStudioNode";
/// What attributes of settings begin with.
const SETTING: &str = "settings:";
/// What attributes of a subgraph's own values begin with.
const VALUE: &str = "values:";

/// A prim that stands for a part of a blueprint.
#[derive(Clone, Debug, PartialEq)]
pub struct BlueprintPrim {
    /// Its path.
    pub path: String,
    /// Its type.
    pub type_name: &'static str,
    /// Its attributes: name, USD type, value.
    pub attributes: Vec<(String, &'static str, AttributeValue)>,
}

/// The prims that say a blueprint, parents first, below `scope`.
pub fn blueprint_prims(blueprint: &Blueprint, scope: &str) -> Vec<BlueprintPrim> {
    let mut prims = Vec::new();
    put_graph(&mut prims, &GraphParts::of(blueprint), scope);
    prims
}

/// The blueprint in a stage, with what is wrong with it; `None` if there is none at `scope`.
pub fn blueprint_in(stage: &StageSnapshot, scope: &str) -> Option<(Blueprint, Vec<Problem>)> {
    let at = stage.prims.iter().position(|prim| prim.path == scope && prim.type_name == BLUEPRINT_TYPE)?;
    Some(graph_at(stage, at).join())
}

/// Writes a blueprint into a layer of a stage, in place of one that was there at `scope`; as one change, which can be taken back.
///
/// # Errors
/// As for [`StageHost::edit`].
pub fn store_blueprint(host: &StageHost, layer: &EditLayer, scope: &str, blueprint: &Blueprint) -> Result<StageChange, UsdError> {
    let mut edits = vec![StageEdit::RemovePrim { path: scope.to_owned() }];
    for BlueprintPrim { path, type_name, attributes } in blueprint_prims(blueprint, scope) {
        edits.push(StageEdit::DefinePrim { path: path.clone(), type_name: type_name.to_owned() });
        for (name, of_type, value) in attributes {
            // What the schema says anyway is not written.
            let is_fallback = match &value {
                AttributeValue::Bool(value) => !value,
                AttributeValue::Token(text) | AttributeValue::String(text) => {
                    text.is_empty() && name.starts_with("neuralStudio:")
                }
                AttributeValue::Strings(texts) => texts.is_empty(),
                _ => false,
            };
            if is_fallback {
                continue;
            }
            edits.push(StageEdit::SetAttribute {
                path: format!("{path}.{name}"),
                type_name: format!("uniform {of_type}"),
                value: stage_value(value),
                time: None,
            });
        }
    }
    host.edit(layer, edits)
}

fn stage_value(value: AttributeValue) -> StageValue {
    match value {
        AttributeValue::Bool(value) => StageValue::Bool(value),
        AttributeValue::Int(value) => StageValue::Int(i32::try_from(value).unwrap_or(i32::MAX)),
        AttributeValue::Token(text) => StageValue::Token(text),
        AttributeValue::Strings(texts) => StageValue::TokenVec(texts),
        AttributeValue::Numbers(numbers) => {
            let at = |axis: usize| Number(numbers.get(axis).copied().unwrap_or_default());
            StageValue::Vec2f([at(0), at(1)])
        }
        AttributeValue::String(text) => StageValue::String(text),
        // A blueprint's prims have no others.
        other => StageValue::String(format!("{other:?}")),
    }
}

fn put_graph(prims: &mut Vec<BlueprintPrim>, graph: &GraphParts, path: &str) {
    let version = AttributeValue::Int(i64::from(Blueprint::VERSION));
    prims.push(BlueprintPrim {
        path: path.to_owned(),
        type_name: BLUEPRINT_TYPE,
        attributes: vec![
            ("neuralStudio:version".to_owned(), "int", version),
            text("neuralStudio:name", &graph.name),
            texts("neuralStudio:links", &graph.links),
            texts("neuralStudio:notes", &graph.notes),
            texts("neuralStudio:parameters", &graph.parameters),
            texts("neuralStudio:routes", &graph.routes),
            texts("neuralStudio:bookmarks", &graph.bookmarks),
        ],
    });
    let mut names = UniqueNames::default();
    for node in &graph.nodes {
        let path = format!("{path}/{}", names.take(&node.name));
        prims.push(BlueprintPrim { path, type_name: NODE_TYPE, attributes: node_attributes(node) });
    }
    for subgraph in &graph.subgraphs {
        let path = format!("{path}/{}", names.take(&subgraph.name));
        put_graph(prims, subgraph, &path);
    }
}

fn node_attributes(node: &NodeParts) -> Vec<(String, &'static str, AttributeValue)> {
    let place = AttributeValue::Numbers(node.at.iter().copied().map(f64::from).collect());
    let mut attributes = vec![
        text("neuralStudio:name", &node.name),
        ("neuralStudio:kind".to_owned(), "token", AttributeValue::Token(node.kind.clone())),
        ("neuralStudio:position".to_owned(), "float2", place),
        ("neuralStudio:bypass".to_owned(), "bool", AttributeValue::Bool(node.bypass)),
        ("neuralStudio:freeze".to_owned(), "bool", AttributeValue::Bool(node.freeze)),
        ("neuralStudio:join".to_owned(), "token", AttributeValue::Token(node.join.clone())),
        texts("neuralStudio:drivers", &node.drivers),
        texts("neuralStudio:exposed", &node.exposed),
    ];
    for (prefix, pairs) in [(SETTING, &node.settings), (VALUE, &node.values)] {
        // Names that no attribute may have are written down beside them; the order is the file's.
        let order: Vec<String> = pairs.iter().map(|(field, _)| field.clone()).collect();
        attributes.push(texts(&format!("neuralStudio:{}", prefix.trim_end_matches(':')), &order));
        let mut names = UniqueNames::default();
        for (field, value) in pairs {
            attributes.push(text(&format!("{prefix}{}", names.take(field)), value));
        }
    }
    attributes
}

fn text(name: &str, value: &str) -> (String, &'static str, AttributeValue) {
    (name.to_owned(), "string", AttributeValue::String(value.to_owned()))
}

fn texts(name: &str, values: &[String]) -> (String, &'static str, AttributeValue) {
    (name.to_owned(), "token[]", AttributeValue::Strings(values.to_vec()))
}

fn graph_at(stage: &StageSnapshot, at: usize) -> GraphParts {
    let Some(prim) = stage.prims.get(at) else { return GraphParts::default() };
    let mut graph = GraphParts {
        name: read_text(prim, "neuralStudio:name"),
        links: read_texts(prim, "neuralStudio:links"),
        notes: read_texts(prim, "neuralStudio:notes"),
        parameters: read_texts(prim, "neuralStudio:parameters"),
        routes: read_texts(prim, "neuralStudio:routes"),
        bookmarks: read_texts(prim, "neuralStudio:bookmarks"),
        ..GraphParts::default()
    };
    for (place, child) in stage.prims.iter().enumerate().skip(at + 1) {
        match (child.parent == Some(at), child.type_name.as_str()) {
            (true, NODE_TYPE) => graph.nodes.push(node_of(child)),
            // A parent's place is before its children's, so this ends.
            (true, BLUEPRINT_TYPE) => graph.subgraphs.push(graph_at(stage, place)),
            _ => {}
        }
    }
    graph
}

fn node_of(prim: &Prim) -> NodeParts {
    let pairs = |prefix: &str| {
        let fields = read_texts(prim, &format!("neuralStudio:{}", prefix.trim_end_matches(':')));
        let mut names = UniqueNames::default();
        let pair = |field: String| {
            let value = read_text(prim, &format!("{prefix}{}", names.take(&field)));
            (field, value)
        };
        fields.into_iter().map(pair).collect()
    };
    let place = match value_of(prim, "neuralStudio:position") {
        Some(AttributeValue::Numbers(numbers)) => numbers.clone(),
        _ => Vec::new(),
    };
    let coordinate = |axis: usize| place.get(axis).copied().unwrap_or_default() as f32;
    NodeParts {
        name: read_text(prim, "neuralStudio:name"),
        kind: read_text(prim, "neuralStudio:kind"),
        at: [coordinate(0), coordinate(1)],
        settings: pairs(SETTING),
        values: pairs(VALUE),
        drivers: read_texts(prim, "neuralStudio:drivers"),
        exposed: read_texts(prim, "neuralStudio:exposed"),
        bypass: value_of(prim, "neuralStudio:bypass") == Some(&AttributeValue::Bool(true)),
        freeze: value_of(prim, "neuralStudio:freeze") == Some(&AttributeValue::Bool(true)),
        join: read_text(prim, "neuralStudio:join"),
    }
}

fn value_of<'a>(prim: &'a Prim, name: &str) -> Option<&'a AttributeValue> {
    let attribute: &Attribute = prim.attributes.iter().find(|attribute| attribute.name == name)?;
    attribute.value.held_at(f64::NEG_INFINITY)
}

fn read_text(prim: &Prim, name: &str) -> String {
    match value_of(prim, name) {
        Some(AttributeValue::String(text) | AttributeValue::Token(text)) => text.clone(),
        _ => String::new(),
    }
}

fn read_texts(prim: &Prim, name: &str) -> Vec<String> {
    match value_of(prim, name) {
        Some(AttributeValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use studio_graph::blueprint::read::read;

    /// The stage that those prims would be.
    fn stage_of(prims: &[BlueprintPrim]) -> StageSnapshot {
        let place = |path: &str| prims.iter().position(|prim| prim.path == path);
        let prim = |prim: &BlueprintPrim| Prim {
            path: prim.path.clone(),
            parent: prim.path.rsplit_once('/').and_then(|(parent, _)| place(parent)),
            type_name: prim.type_name.to_owned(),
            attributes: (prim.attributes.iter())
                .map(|(name, type_name, value)| Attribute {
                    name: name.clone(),
                    type_name: (*type_name).to_owned(),
                    is_custom: false,
                    value: value.clone().into(),
                    connections: Vec::new(),
                })
                .collect(),
            ..Prim::default()
        };
        StageSnapshot { prims: prims.iter().map(prim).collect(), ..StageSnapshot::default() }
    }

    #[test]
    fn a_blueprint_comes_back_identical() {
        let text = r#"(
            version: 1,
            name: "Odd “names”",
            nodes: {
                "a b": (kind: "Math", at: (-3.5, 7), settings: (formula: "a // no comment"), exposed: ["a_else"], drivers: {
                    "b_else": Expression("20 + sin(t)"),
                }),
                "a_b": (kind: "Storm", bypass: true, freeze: true, join: Latest, settings: {"wind speed": [Gale(9)], "wind_speed": 2}),
                "part": (kind: "Subgraph", values: {"own.rate_hz": 3.5}, settings: (definition: "part")),
            },
            links: ["a b.value -> a_b.picture 1"],
            notes: [(text: "two\nlines", at: (0, 0), size: (200, 80.25))],
            parameters: {"speed": "part.pace"},
            bookmarks: {"all": (at: (0, 1), zoom: 0.5)},
            subgraphs: {"part": (nodes: {"own": (kind: "Source")}, links: [], parameters: {"pace": "own.rate_hz"})},
        )"#;
        let (blueprint, problems) = read(text);
        assert_eq!(problems, []);
        let prims = blueprint_prims(&blueprint, BLUEPRINT_SCOPE);
        let mut paths: Vec<&str> = prims.iter().map(|prim| prim.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), prims.len(), "two names never share a path");
        let (again, problems) = blueprint_in(&stage_of(&prims), BLUEPRINT_SCOPE).expect("it is there");
        assert_eq!(problems, []);
        assert!(again == blueprint);
    }

    #[test]
    fn what_somebody_spoilt_is_named() {
        let (blueprint, _) = read("(version: 1, nodes: {\"a\": (kind: \"Math\")}, links: [])");
        let mut prims = blueprint_prims(&blueprint, BLUEPRINT_SCOPE);
        prims[0].attributes[2].2 = AttributeValue::Strings(vec!["no arrow".to_owned()]);
        let (_, problems) = blueprint_in(&stage_of(&prims), BLUEPRINT_SCOPE).expect("it is there");
        assert!(!problems.is_empty());
    }
}
