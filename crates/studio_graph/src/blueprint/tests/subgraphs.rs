//! What people who put graphs into graphs rely on.

use super::*;
use crate::{
    link::node_label,
    status::{FailureReport, NodeStatus},
};
use overrides::Override;
use spawn::descendants;

/// Two instances of one graph, which has another one in it.
pub(super) const NESTED: &str = r#"(
    version: 1,
    name: "Two eyes",
    nodes: {
        "clip": (kind: "Source", at: (0, 0)),
        "left": (kind: "Subgraph", at: (200, 0), values: {
            "speed": 12.5,
        }, settings: (
            definition: "eye",
        )),
        "right": (kind: "Subgraph", at: (200, 100), settings: (
            definition: "eye",
        )),
        "out": (kind: "Sink", at: (400, 0)),
        "out 2": (kind: "Sink", at: (400, 100)),
    },
    links: [
        "clip.frame 1 -> left.picture",
        "clip.frame 1 -> right.picture",
        "left.frame -> out.frame",
        "right.frame -> out 2.frame",
    ],
    subgraphs: {
        "eye": (
            nodes: {
                "picture": (kind: "SubgraphInput", at: (0, 0)),
                "tint": (kind: "Effect", at: (100, 0)),
                "deep": (kind: "Subgraph", at: (200, 0), settings: (
                    definition: "twice",
                )),
                "own": (kind: "Source", at: (0, 100), settings: (
                    rate_hz: 25.0,
                )),
                "kept": (kind: "Sink", at: (100, 100)),
                "frame": (kind: "SubgraphOutput", at: (300, 0)),
            },
            links: [
                "picture.value -> tint.frame",
                "tint.frame -> deep.in",
                "deep.out -> frame.value",
                "own.frame 1 -> kept.frame",
            ],
            parameters: {
                "speed": "own.rate_hz",
                "deep speed": "deep.speed",
            },
        ),
        "twice": (
            nodes: {
                "in": (kind: "SubgraphInput", at: (0, 0)),
                "a": (kind: "Effect", at: (100, 0)),
                "b": (kind: "Effect", at: (200, 0)),
                "idle": (kind: "Source", at: (0, 100)),
                "out": (kind: "SubgraphOutput", at: (300, 0)),
            },
            links: [
                "in.value -> a.frame",
                "a.frame -> b.frame",
                "b.frame -> out.value",
            ],
            parameters: {
                "speed": "idle.rate_hz",
            },
        ),
    },
)
"#;

fn node(app: &App, root: Entity, name: &str) -> Entity {
    node_named(app.world(), root, name).unwrap_or_else(|| panic!("{name} is there"))
}

fn feeds(app: &App, root: Entity, name: &str) -> Option<String> {
    let graph = app.world().resource::<CompiledGraph>();
    let source = graph.node(node(app, root, name))?.input("frame")?;
    Some(node_label(app.world(), app.world().get::<crate::pin::PinOf>(source)?.0))
}

fn running(app: &App, root: Entity) -> Vec<String> {
    let graph = app.world().resource::<CompiledGraph>();
    let runs = descendants(app.world(), root).into_iter().filter(|node| graph.runs(*node));
    runs.map(|node| node_label(app.world(), node)).collect()
}

fn spawned(text: &str) -> (App, Entity) {
    let mut app = app();
    let root = spawn(app.world_mut(), &parsed(text), None).unwrap_or_else(|problems| panic!("{}", problem::list(&problems)));
    app.update();
    (app, root)
}

#[test]
fn what_lies_in_subgraphs_runs_as_if_it_stood_outside() {
    let (app, root) = spawned(NESTED);
    assert_eq!(problems_of(&app, NESTED), []);
    assert_eq!(feeds(&app, root, "left/tint").as_deref(), Some("clip"));
    assert_eq!(feeds(&app, root, "left/deep/a").as_deref(), Some("left/tint"));
    assert_eq!(feeds(&app, root, "out").as_deref(), Some("left/deep/b"));
    assert_eq!(feeds(&app, root, "out 2").as_deref(), Some("right/deep/b"));
    let eye = ["tint", "deep/a", "deep/b", "own", "kept"];
    let mut expected: Vec<String> = ["clip", "out", "out 2"].map(str::to_owned).to_vec();
    expected.extend(["left", "right"].iter().flat_map(|side| eye.iter().map(move |node| format!("{side}/{node}"))));
    let mut runs = running(&app, root);
    runs.sort_unstable();
    expected.sort_unstable();
    assert_eq!(runs, expected, "and the interface does no work");
    let levels = |name| app.world().resource::<CompiledGraph>().node(node(&app, root, name)).map(|node| node.level);
    assert_eq!(levels("out"), Some(4), "clip, tint, a and b lie before it: links through an interface cost nothing");
    assert_eq!(write::write(&capture::capture(app.world(), root).expect("it can be written")), NESTED);
}

#[test]
fn bypass_freeze_and_solo_of_a_subgraph_hold_for_all_in_it() {
    let (mut app, root) = spawned(NESTED);
    let left = node(&app, root, "left");
    let in_left = |app: &App| running(app, root).iter().filter(|name| name.starts_with("left/")).count();
    app.world_mut().entity_mut(left).insert(Bypass);
    app.update();
    assert_eq!((in_left(&app), feeds(&app, root, "out").as_deref()), (0, Some("clip")));
    app.world_mut().entity_mut(left).remove::<Bypass>().insert(Freeze);
    app.update();
    assert_eq!((in_left(&app), feeds(&app, root, "out").as_deref()), (0, Some("left/deep/b")), "it holds what it made");
    app.world_mut().entity_mut(left).remove::<Freeze>().insert(Solo);
    app.update();
    let mut runs = running(&app, root);
    runs.sort_unstable();
    assert_eq!(runs, ["clip", "left/deep/a", "left/deep/b", "left/kept", "left/own", "left/tint"]);
    let deep = node(&app, root, "right/deep");
    app.world_mut().entity_mut(left).remove::<Solo>();
    app.world_mut().entity_mut(deep).insert(Bypass);
    app.update();
    assert_eq!(feeds(&app, root, "out 2").as_deref(), Some("right/tint"));
    for name in ["out", "out 2", "left/kept", "right/kept"] {
        let sink = node(&app, root, name);
        app.world_mut().entity_mut(sink).insert(Bypass);
    }
    let right = node(&app, root, "right");
    app.world_mut().entity_mut(right).insert(Watched);
    app.update();
    assert_eq!(running(&app, root), ["clip", "right/tint"], "who looks at a subgraph looks at what it delivers");
}

#[test]
fn every_instance_has_values_of_its_own() {
    let rate = |app: &App, root, name| app.world().get::<Source>(node(app, root, name)).map(|source| source.rate_hz);
    let (app, root) = spawned(NESTED);
    assert_eq!((rate(&app, root, "left/own"), rate(&app, root, "right/own")), (Some(12.5), Some(25.0)));
    let mut blueprint = parsed(NESTED);
    {
        let registry = app.world().resource::<AppTypeRegistry>().read();
        for given in ["left.speed=50", "right/own.source=x y.mp4", "right/deep.speed=60", "left.deep speed=70", "clip.rate_hz=80"]
        {
            let given = given.parse::<Override>().expect("a setting");
            given.apply(&mut blueprint, &registry).unwrap_or_else(|error| panic!("{error}"));
        }
        for (given, said) in [("clip/own.rate_hz=3", "“clip” is no subgraph"), ("middle/own.rate_hz=3", "no node “middle”")]
        {
            let error = given.parse::<Override>().and_then(|given| given.apply(&mut blueprint, &registry));
            assert!(error.as_ref().is_err_and(|error| error.to_string().contains(said)), "{given}: {error:?}");
        }
    }
    let mut app = self::app();
    let root = spawn(app.world_mut(), &blueprint, None).expect("it is right");
    assert_eq!(rate(&app, root, "left/own"), Some(50.0));
    assert_eq!(rate(&app, root, "left/deep/idle"), Some(70.0));
    assert_eq!(rate(&app, root, "right/deep/idle"), Some(60.0));
    assert_eq!(rate(&app, root, "clip"), Some(80.0));
    let source = app.world().get::<Source>(node(&app, root, "right/own")).map(|source| source.source.clone());
    assert_eq!(source.as_deref(), Some("x y.mp4"));
    let written = write::write(&capture::capture(app.world(), root).expect("it can be written"));
    assert_eq!(read(&written).1, [], "{written}");
    assert!(written.contains("\"speed\": 50,") && written.contains("\"deep.speed\": 60,"), "{written}");
    for (value, said) in [
        ("\"speed\": 500", "7:22: error: value “speed”: node “left/own”: “rate_hz” is 500; it must lie between 0.1 and 240"),
        ("\"speed\": \"fast\"", "7:22: error: value “speed”: node “left/own”, setting “rate_hz”: Expected float"),
        ("\"sped\": 5", "7:21: error: node “left”, value “sped”: there is no parameter “sped”; there is speed, deep speed"),
        ("\"own.rate_h\": 5", "node “left”, value “own.rate_h”: Source has no setting “rate_h”; did you mean"),
        ("\"deep/idle.rate_hz\": 0", "7:34: error: value “deep/idle.rate_hz”: node “left/deep/idle”: “rate_hz” is 0;"),
        ("\"deep.spede\": 5", "there is no parameter “spede”"),
    ] {
        let said_of = problem::list(&problems_of(&app, &NESTED.replace("\"speed\": 12.5", value)));
        assert!(said_of.contains(said) && said_of.lines().count() == 1, "{value}: {said_of}");
    }
    let outer =
        NESTED.replace("    subgraphs:", "    parameters: {\n        \"all\": \"left.deep speed\",\n    },\n    subgraphs:");
    assert_eq!(problems_of(&app, &outer), []);
    let wrong = problem::list(&problems_of(&app, &outer.replace("left.deep speed", "left.deep sped")));
    assert!(wrong.contains("the parameter “all”: there is no parameter “deep sped”"), "{wrong}");
}

#[test]
fn subgraphs_that_contain_themselves_are_named_with_the_way() {
    let app = app();
    let text = NESTED
        .replace("\"idle\": (kind: \"Source\"", "\"idle\": (kind: \"Subgraph\", settings: (definition: \"eye\")")
        .replace("\"speed\": \"idle.rate_hz\",", "");
    let said = problem::list(&problems_of(&app, &text));
    assert!(said.contains("the subgraph “eye” contains itself: eye → twice → eye"), "{said}");
    let mut deep =
        String::from("(version: 1, nodes: {\"top\": (kind: \"Subgraph\", settings: (definition: \"s0\"))}, subgraphs: {");
    for level in 0..40 {
        deep += &format!("\"s{level}\": (nodes: {{");
        // Ten to the forty nodes, if they were made.
        for copy in 0..10 {
            deep += &format!("\"c{copy}\": (kind: \"Subgraph\", settings: (definition: \"s{}\")),", level + 1);
        }
        deep += "}),";
    }
    deep += "\"s40\": ()})";
    let start = std::time::Instant::now();
    let said = problem::list(&problems_of(&app, &deep));
    assert!(said.contains("more than 16 deep") || said.contains("more than 100000 nodes"), "{said}");
    println!("a blueprint of 10^40 nodes is refused in {:.1?}", start.elapsed());
    assert!(start.elapsed().as_secs() < 20);
    for (text, said) in [
        ("\"a\": (kind: \"Subgraph\")", "node “a” names no graph: set `definition`, or the `file`"),
        ("\"a\": (kind: \"Subgraph\", settings: (definition: \"ey\"))", "the file defines no subgraph “ey”; did you mean “eye”?"),
        ("\"a\": (kind: \"Source\", values: {\"x\": 1})", "node “a” is no subgraph, so the value “x” means nothing"),
        ("\"a\": (kind: \"SubgraphInput\", settings: (data_type: \"scalr\"))", "no type of data “scalr”; did you mean “scalar”?"),
    ] {
        let text = format!("(version: 1, nodes: {{ {text} }}, subgraphs: {{ \"eye\": (nodes: {{ \"e\": (kind: \"Sink\") }}) }})");
        let problems = problem::list(&problems_of(&app, &text));
        assert!(problems.contains(said) && problems.lines().count() == 1, "{text}: {problems}");
    }
    let twins = "(version: 1, subgraphs: {\"eye\": (nodes: {\"a\": (kind: \"SubgraphInput\"), \"b\": (kind: \"SubgraphInput\", settings: (name: \"a\"))})})";
    let said = problem::list(&problems_of(&app, twins));
    assert!(
        said.contains("node “b”: the pin “a” is there already, by node “a”"),
        "graphs without instances are checked too: {said}"
    );
}

#[test]
fn changing_a_definition_changes_every_instance_and_only_what_differs() {
    let text = NESTED
        .replace(
            "\"in\": (kind: \"SubgraphInput\", at: (0, 0))",
            "\"in\": (kind: \"SubgraphInput\", settings: (name: \"picture\"))",
        )
        .replace(
            "\"out\": (kind: \"SubgraphOutput\", at: (300, 0))",
            "\"out\": (kind: \"SubgraphOutput\", settings: (name: \"frame\"))",
        )
        .replace("tint.frame -> deep.in", "tint.frame -> deep.picture")
        .replace("deep.out -> frame.value", "deep.frame -> frame.value");
    let (mut app, root) = spawned(&text);
    let keeps = ["clip", "left", "left/own", "right/deep/a"].map(|name| node(&app, root, name));
    let text = text.replace("rate_hz: 25.0", "rate_hz: 24.0").replace(
        "                \"b\": (kind: \"Effect\", at: (200, 0)),",
        "                \"b\": (kind: \"Effect\", at: (200, 0), bypass: true),",
    );
    apply(app.world_mut(), root, &parsed(&text)).expect("it is right");
    app.update();
    assert_eq!(["clip", "left", "left/own", "right/deep/a"].map(|name| node(&app, root, name)), keeps);
    let rate = |app: &App, name| app.world().get::<Source>(node(app, root, name)).map(|source| source.rate_hz);
    assert_eq!((rate(&app, "left/own"), rate(&app, "right/own")), (Some(12.5), Some(24.0)));
    assert_eq!(feeds(&app, root, "out").as_deref(), Some("left/deep/a"));
    // Another graph for a node, set on the entity as an inspector does.
    let right = node(&app, root, "right");
    app.world_mut().get_mut::<Subgraph>(right).expect("a subgraph").definition = "twice".to_owned();
    app.update();
    app.update();
    assert!(node_named(app.world(), root, "right/a").is_some() && node_named(app.world(), root, "right/tint").is_none());
    let count = app.world_mut().query::<&Source>().iter(app.world()).count();
    assert_eq!(count, 4, "clip, left/own, left/deep/idle and right/idle");
    app.world_mut().despawn(right);
    app.update();
    assert_eq!(app.world_mut().query::<&Source>().iter(app.world()).count(), 3, "what lies in it goes with it");
}

#[test]
fn graphs_of_other_files_are_linked_watched_and_checked() {
    let folder = std::env::temp_dir().join(format!("studio_graph_subgraphs_{}", std::process::id()));
    std::fs::create_dir_all(folder.join("parts")).expect("a folder");
    let eye = folder.join("parts/eye.blueprint.ron");
    let inner = r#"(version: 1, nodes: {
        "in": (kind: "SubgraphInput"),
        "tint": (kind: "Effect"),
        "clip": (kind: "Source", settings: (source: "eye.mp4")),
        "out": (kind: "SubgraphOutput"),
    }, links: ["in.value -> tint.frame", "tint.frame -> out.value"], parameters: {"clip": "clip.source"})"#;
    let top = r#"(
    version: 1,
    nodes: {
        "clip": (kind: "Source", at: (0, 0)),
        "eye": (kind: "Subgraph", at: (200, 0), settings: (
            file: "parts/eye.blueprint.ron",
        )),
        "out": (kind: "Sink", at: (400, 0)),
    },
    links: [
        "clip.frame 1 -> eye.in",
        "eye.out -> out.frame",
    ],
)
"#;
    let mut app = app();
    let root = spawn(app.world_mut(), &parsed(top), Some(folder.clone())).expect("a missing file is only warned of");
    app.update();
    assert_eq!(feeds(&app, root, "out").as_deref(), Some("eye"), "what is not there keeps its links");
    assert_eq!(write::write(&capture::capture(app.world(), root).expect("it can be written")), top);
    std::fs::write(&eye, inner).expect("written");
    let wait = |app: &mut App, what: &str, done: &dyn Fn(&App) -> bool| {
        let start = std::time::Instant::now();
        while !done(app) {
            assert!(start.elapsed().as_secs() < 20, "{what} did not come about");
            app.update();
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    wait(&mut app, "the file's graph", &|app| node_named(app.world(), root, "eye/tint").is_some());
    app.update();
    assert_eq!(feeds(&app, root, "eye/tint").as_deref(), Some("clip"));
    let source = app.world().get::<Source>(node(&app, root, "eye/clip")).map(|source| source.source.clone());
    assert_eq!(source, Some(folder.join("parts/eye.mp4").display().to_string()), "paths start at the folder of their own file");
    assert_eq!(write::write(&capture::capture(app.world(), root).expect("it can be written")), top);
    // A wrong version is refused, and what ran runs on.
    std::fs::write(&eye, inner.replace("tint.frame -> out", "tint.sound -> out")).expect("written");
    wait(&mut app, "the refusal", &|app| matches!(app.world().get(root), Some(asset::BlueprintState::Refused(_))));
    assert_eq!(feeds(&app, root, "eye/tint").as_deref(), Some("clip"));
    let check_in = |app: &App, text: &str| {
        let (blueprint, mut problems) = read(text);
        let registry = app.world().resource::<AppTypeRegistry>().read();
        problems.extend(check(&blueprint, &registry, app.world().resource::<DataTypes>(), Some(&folder)));
        problem::list_of_file(&problems, &folder.join("top.blueprint.ron"))
    };
    let said = check_in(&app, top);
    let place = format!("{}:6:42: error: the link tint.sound -> out.value: node “tint” has no output “sound”", eye.display());
    assert!(said.contains(&place), "{said}");
    // Values of the outer file start at its own folder.
    std::fs::write(&eye, inner).expect("written");
    let given = top.replace("(200, 0), settings", "(200, 0), values: {\"clip\": \"top.mp4\"}, settings");
    let blueprint = parsed(&given);
    apply(app.world_mut(), root, &blueprint).expect("it is right");
    let source = app.world().get::<Source>(node(&app, root, "eye/clip")).map(|source| source.source.clone());
    assert_eq!(source, Some(folder.join("top.mp4").display().to_string()));
    std::fs::write(
        &eye,
        inner
            .replace("(source: \"eye.mp4\")", "(sauce: 1)")
            .replace("kind: \"Effect\"", "kind: \"Subgraph\", settings: (file: \"eye.blueprint.ron\")"),
    )
    .expect("written");
    let said = check_in(&app, top);
    assert!(said.contains("contains itself: eye.blueprint.ron → eye.blueprint.ron"), "{said}");
    assert!(said.contains("eye.blueprint.ron:4:") && said.contains("no setting “sauce”"), "{said}");
    std::fs::write(&eye, "(version: 1, nodes: {").expect("written");
    let said = check_in(&app, top);
    assert!(
        said.contains("top.blueprint.ron:5:16: error: node “eye”:") && said.contains("eye.blueprint.ron:1:21: error:"),
        "{said}"
    );
    std::fs::remove_dir_all(&folder).expect("it was there");
}

#[test]
fn subgraphs_are_frames_in_the_picture() {
    let app = app();
    let registry = app.world().resource::<AppTypeRegistry>().read();
    let picture = dot::dot(&parsed(NESTED), &registry, app.world().resource::<DataTypes>(), None);
    assert_eq!(picture.matches("subgraph cluster_").count(), 4, "{picture}");
    assert!(picture.contains("n0:\"out_frame_1\" -> n1_0 ["), "{picture}");
    assert_eq!(picture.matches('{').count(), picture.matches('}').count());
}

#[test]
fn nodes_are_put_into_a_subgraph_with_their_links_and_parameters() {
    let text = r#"(version: 1, nodes: {
        "clip": (kind: "Source"), "a": (kind: "Effect", at: (100, 50)), "b": (kind: "Effect", at: (200, 0)), "own": (kind: "Source"),
        "c": (kind: "Effect"), "out": (kind: "Sink"), "out 2": (kind: "Sink"), "photo": (kind: "Still"), "frame": (kind: "Effect"),
    }, links: [
        "clip.frame 1 -> a.frame", "clip.frame 1 -> b.frame", "a.frame -> out.frame", "b.frame -> c.frame", "c.frame -> out 2.frame",
        "photo.picture -> frame.frame",
    ], parameters: {"speed": "own.rate_hz", "other": "clip.rate_hz"})"#;
    let app = app();
    let registry = app.world().resource::<AppTypeRegistry>().read();
    let types = app.world().resource::<DataTypes>();
    let mut blueprint = parsed(text);
    group::group(&mut blueprint, &["a", "b", "own", "frame"], "both", &registry, types, None).expect("they can be grouped");
    let written = write::write(&blueprint);
    assert_eq!(problem::list(&problems_of(&app, &written)), "");
    let links: Vec<String> = blueprint.links.iter().map(|link| link.link.to_string()).collect();
    assert_eq!(
        links,
        [
            "clip.frame 1 -> both.frame 2",
            "both.frame 3 -> out.frame",
            "both.frame 4 -> c.frame",
            "c.frame -> out 2.frame",
            "photo.picture -> both.frame 5"
        ]
    );
    let setting = |graph: &Blueprint, name: &str| {
        graph.parameters.iter().find(|parameter| parameter.name == name).map(|parameter| parameter.setting.clone())
    };
    assert_eq!(setting(&blueprint, "speed").as_deref(), Some("both.speed"));
    assert_eq!(setting(&blueprint, "other").as_deref(), Some("clip.rate_hz"));
    let inner = &blueprint.subgraph("both").expect("made").graph;
    assert_eq!((inner.nodes.len(), inner.links.len(), setting(inner, "speed").as_deref()), (8, 5, Some("own.rate_hz")));
    let (app, root) = spawned(&written);
    assert_eq!(feeds(&app, root, "out").as_deref(), Some("both/a"));
    assert_eq!(feeds(&app, root, "both/b").as_deref(), Some("clip"));
    let mut ring = parsed(text);
    let before = ring.clone();
    let said = |result: Result<(), group::GroupError>| result.expect_err("it cannot be").to_string();
    let around = said(group::group(&mut ring, &["clip", "c", "out 2"], "x", &registry, types, None));
    assert!(around.contains("cycle"), "a way leads out and back in: {around}");
    assert!(said(group::group(&mut ring, &["d"], "x", &registry, types, None)).contains("no node “d”"));
    assert!(said(group::group(&mut ring, &["a"], "b", &registry, types, None)).contains("is taken"));
    assert!(said(group::group(&mut ring, &["a"], "b.c", &registry, types, None)).contains("full stop"));
    assert!(said(group::group(&mut ring, &[], "x", &registry, types, None)).contains("at least one"));
    assert_eq!(ring, before);
}

#[test]
fn a_loaded_blueprint_is_tried_again_when_a_faulty_file_is_put_right() {
    let folder = std::env::temp_dir().join(format!("studio_graph_refused_{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let part = folder.join("part.blueprint.ron");
    std::fs::write(&part, "(version: 1, nodes: {\"a\": (kind: \"Source\", settings: (rate_hz: 999))})").expect("written");
    let mut app = App::new();
    app.add_plugins((TaskPoolPlugin::default(), AssetPlugin::default(), GraphPlugin)).register_node::<Source>();
    app.insert_resource(asset::BlueprintFolder(Some(folder.clone())));
    let blueprint = parsed("(version: 1, nodes: {\"part\": (kind: \"Subgraph\", settings: (file: \"part.blueprint.ron\"))})");
    let handle = app.world_mut().resource_mut::<Assets<Blueprint>>().add(blueprint);
    let root = app.world_mut().spawn(asset::BlueprintRoot(handle)).id();
    app.update();
    assert!(matches!(app.world().get(root), Some(asset::BlueprintState::Refused(_))));
    std::fs::write(&part, "(version: 1, nodes: {\"a\": (kind: \"Source\", settings: (rate_hz: 99))})").expect("written");
    let start = std::time::Instant::now();
    while node_named(app.world(), root, "part/a").is_none() {
        assert!(start.elapsed().as_secs() < 20, "it is tried again");
        app.update();
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(matches!(app.world().get(root), Some(asset::BlueprintState::Spawned(_))));
    std::fs::remove_dir_all(&folder).expect("it was there");
}

#[test]
fn a_subgraph_shows_how_the_nodes_in_it_fare() {
    let text = r#"(version: 1, nodes: {"outer": (kind: "Subgraph", settings: (definition: "outer"))}, subgraphs: {
        "outer": (nodes: {"a": (kind: "Source"), "inner": (kind: "Subgraph", settings: (definition: "inner"))}),
        "inner": (nodes: {"b": (kind: "Source")}),
    })"#;
    let (mut app, root) = spawned(text);
    let node = |app: &App, name: &str| node_named(app.world(), root, name).expect("it is there");
    let (outer, inner, a, b) =
        (node(&app, "outer"), node(&app, "outer/inner"), node(&app, "outer/a"), node(&app, "outer/inner/b"));
    let status = |app: &App, node: Entity| app.world().get::<NodeStatus>(node).cloned().expect("a node has one");
    app.update();
    assert_eq!((status(&app, outer), status(&app, inner)), (NodeStatus::Idle, NodeStatus::Idle));
    let reports = app.world().resource::<FailureReport>().clone();
    reports.success(b);
    app.update();
    assert_eq!(
        (status(&app, outer), status(&app, inner)),
        (NodeStatus::Running { frames: 1 }, NodeStatus::Running { frames: 1 })
    );
    reports.failure(b, "no lamp");
    reports.success(a);
    app.update();
    assert_eq!((status(&app, outer).error(), status(&app, inner).error()), (Some("inner/b: no lamp"), Some("b: no lamp")));
    reports.success(b);
    app.update();
    assert!(matches!(status(&app, outer), NodeStatus::Running { .. }));
}
