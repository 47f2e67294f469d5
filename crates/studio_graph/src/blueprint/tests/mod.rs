//! What people who write blueprints rely on.

mod hostile;
mod subgraphs;

use super::{
    check::check,
    problem::{Problem, has_errors},
    read::read,
    spawn::{apply, children, node_named, spawn},
    *,
};
use crate::{
    GraphPlugin,
    compile::CompiledGraph,
    data_type::{Conversion, DataType, DataTypes},
    flow::*,
    pin::{FedBy, PinSpec, Pins},
    registry::{AppNodeExt, InputPath, NodeKind, ReflectNode},
};
use proptest::prelude::*;

#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq)]
enum Shape {
    #[default]
    Round,
    Square {
        #[reflect(@0.0..=90.0_f32)]
        turn_deg: f32,
    },
}

/// Where pictures come from.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
struct Source {
    /// The file.
    #[reflect(@InputPath)]
    source: String,
    /// How fast.
    #[reflect(@0.1..=240.0_f32)]
    rate_hz: f32,
    shape: Shape,
    limit: Option<u32>,
    #[reflect(@1..=8_u32)]
    outputs: u32,
}

impl Default for Source {
    fn default() -> Self {
        Self { source: String::new(), rate_hz: 30.0, shape: Shape::Round, limit: None, outputs: 1 }
    }
}

impl NodeKind for Source {
    const DISPLAY_NAME: &'static str = "Source";
    const CATEGORY: &'static str = "Test";
    fn pins(&self) -> Vec<PinSpec> {
        (1..=self.outputs).map(|number| PinSpec::output(format!("frame {number}"), DataType::VIDEO_FRAME)).collect()
    }
}

macro_rules! kind {
    ($name:ident, $($pin:expr),*) => {
        #[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
        #[reflect(Component, Default, Node)]
        struct $name;
        impl NodeKind for $name {
            const DISPLAY_NAME: &'static str = stringify!($name);
            const CATEGORY: &'static str = "Test";
            fn pins(&self) -> Vec<PinSpec> {
                vec![$($pin),*]
            }
        }
    };
}

kind!(Effect, PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME));
kind!(Sink, PinSpec::input("frame", DataType::VIDEO_FRAME));
kind!(Speaker, PinSpec::input("sound", DataType::AUDIO_BUFFER));
kind!(Still, PinSpec::output("picture", DataType::TEXTURE));

fn app() -> App {
    let mut app = App::new();
    app.add_plugins(GraphPlugin)
        .register_node::<Source>()
        .register_node::<Effect>()
        .register_node::<Sink>()
        .register_node::<Speaker>()
        .register_node::<Still>();
    app
}

fn problems_of(app: &App, text: &str) -> Vec<Problem> {
    let (blueprint, mut problems) = read(text);
    let registry = app.world().resource::<AppTypeRegistry>().read();
    problems.extend(check(&blueprint, &registry, app.world().resource::<DataTypes>(), None));
    problems
}

fn parsed(text: &str) -> Blueprint {
    let (blueprint, problems) = read(text);
    assert_eq!(problems, []);
    blueprint
}

const CHAIN: &str = r#"(
    version: 1,
    name: "A chain",
    nodes: {
        "clip": (kind: "Source", at: (0, 0), settings: (
            source: "a.mp4",
            shape: Square(turn_deg: 45.0),
            limit: 3,
        )),
        "tint": (kind: "Effect", at: (200, 10.5)),
        "out": (kind: "Sink", at: (400, 0)),
    },
    links: [
        "clip.frame 1 -> tint.frame",
        "tint.frame -> out.frame",
    ],
)
"#;

#[test]
fn a_file_becomes_entities_and_the_same_file_again() {
    let mut app = app();
    let root = spawn(app.world_mut(), &parsed(CHAIN), Some("clips".into())).expect("it is right");
    app.update();
    let clip = node_named(app.world(), root, "clip").expect("it is there");
    let settings = app.world().get::<Source>(clip).expect("of its kind");
    let source = std::path::Path::new("clips").join("a.mp4").display().to_string();
    assert_eq!(*settings, Source { source, shape: Shape::Square { turn_deg: 45.0 }, limit: Some(3), ..Source::default() });
    let order = app.world().resource::<CompiledGraph>();
    assert_eq!(order.nodes.iter().map(|node| (node.level, node.runs)).collect::<Vec<_>>(), [(0, true), (1, true), (2, true)]);
    let again = capture::capture(app.world(), root).expect("it can be written");
    assert_eq!(write::write(&again), CHAIN);
}

#[test]
fn every_fault_is_found_at_once_with_its_line() {
    let text = r#"(
    version: 1,
    nodes: {
        "clip": (kind: "Source", settings: (
            sauce: "a.mp4",
            rate_hz: 500.0,
            shape: Square(turn_deg: 91.0),
            limit: "many",
        )),
        "clip": (kind: "Sink"),
        "b.c": (kind: "Sink"),
        "fx": (kind: "Efect"),
        "loud": (kind: "Speaker"),
        "one": (kind: "Effect"), "two": (kind: "Effect"),
        "odd": (kind: "Sink", volume: 3),
        "out": (kind: "Sink"),
    },
    links: [
        "clip.frame 9 -> out.frame",
        "nobody.frame -> out.frame",
        "nonsense",
        "one.frame -> loud.sound",
        "one.frame -> two.frame",
        "two.frame -> one.frame",
        "two.frame -> out.frame",
        "one.frame -> out.frame",
        "out.frame -> one.frame",
    ],
)"#;
    let said = problem::list(&problems_of(&app(), text));
    for expected in [
        "5:20: error: node “clip”: Source has no setting “sauce”; did you mean “source”?",
        "6:22: error: node “clip”: “rate_hz” is 500; it must lie between 0.1 and 240",
        "7:20: error: node “clip”: “shape.turn_deg” is 91; it must lie between 0 and 90",
        "8:20: error: node “clip”, setting “limit”: ",
        "10:17: error: there is another node named “clip”: names must differ",
        "11:16: error: the node's name “b.c” has a full stop",
        "12:15: warning: node “fx”: no plugin here brings the kind “Efect”. The node is kept as a placeholder and does not run. Did you \
         mean “Effect”?",
        "error: node “odd”: Unexpected field named `volume` in `node`",
        "20:9: error: the link nobody.frame -> out.frame names no node of this blueprint: “nobody”",
        "21:9: error: “nonsense” is no link: write \"node.output -> node.input\"",
        "22:9: error: the link one.frame -> loud.sound: video frame does not fit audio buffer",
        "26:9: error: the link one.frame -> out.frame: the input is already fed by the link at line 25",
        "27:9: error: the link out.frame -> one.frame: node “out” has no output “frame”; “frame” is an input",
        "error: these nodes feed each other in a cycle: ",
    ] {
        assert!(said.contains(expected), "not said: {expected}\n--- said:\n{said}");
    }
}

#[test]
fn files_that_cannot_be_read_say_so_in_one_line() {
    for (text, expected) in [
        ("(version: 7, wires: [])", "1:1: error: the file is of version 7, this program reads up to version 1"),
        ("(nodes: {})", "the file says no version"),
        ("(version: 1,\n  nodes: {\n", "2:11: error: "),
        ("", "1:1: error: "),
        ("(version: 1, nodes: { \"a\": 7 })", "1:28: error: node “a”: "),
        (
            "(version: 1, notes: [(text: \"a\", size: (NaN, 1))])",
            "1:22: error: a note stands at (0.0, 0.0) and is (NaN, 1.0) large",
        ),
        ("(version: 1, lynx: [])", "error: Unexpected field named `lynx`"),
    ] {
        let said = problem::list(&problems_of(&app(), text));
        assert!(said.contains(expected) && said.lines().count() == 1, "{text}: {said}");
    }
    let many = "(version: 1, nodes: { \"a\": (kind: \"Source\", settings: (outputs: 4000000000)) })";
    assert!(has_errors(&problems_of(&app(), many)));
    let deep = format!("(version: 1, nodes: {{ \"a\": {}1{} }})", "[".repeat(100_000), "]".repeat(100_000));
    assert!(has_errors(&read(&deep).1));
}

#[test]
fn a_changed_file_touches_only_what_changed_and_a_wrong_one_nothing() {
    let mut app = app();
    let root = spawn(app.world_mut(), &parsed(CHAIN), None).expect("it is right");
    app.update();
    let [clip, tint, out] = ["clip", "tint", "out"].map(|name| node_named(app.world(), root, name).expect("there"));
    let tick = |app: &App, node: Entity| app.world().entity(node).get_change_ticks::<Source>().map(|ticks| ticks.changed.get());
    let before = tick(&app, clip);
    let text = CHAIN.replace("\"Effect\"", "\"Effect\", bypass: true").replace("(400, 0)", "(410, 0)");
    apply(app.world_mut(), root, &parsed(&text)).expect("it is right");
    app.update();
    assert_eq!(tick(&app, clip), before, "the source's settings are the same");
    assert!(app.world().get::<Bypass>(tint).is_some());
    assert_eq!(node_named(app.world(), root, "out"), Some(out));
    let graph = app.world().resource::<CompiledGraph>();
    let fed = graph.node(out).and_then(|node| node.input("frame"));
    assert_eq!(fed, app.world().get::<Pins>(clip).and_then(|pins| pins.iter().next()), "the bypassed node is skipped");
    assert!(!graph.runs(tint) && graph.runs(clip));

    let generation = graph.generation;
    let broken = parsed(&CHAIN.replace("45.0", "450.0"));
    let problems = apply(app.world_mut(), root, &broken).expect_err("out of range");
    assert!(has_errors(&problems));
    app.update();
    assert_eq!(app.world().resource::<CompiledGraph>().generation, generation);

    apply(app.world_mut(), root, &parsed("(version: 1, nodes: { \"out\": (kind: \"Sink\") })")).expect("right");
    app.update();
    assert_eq!(children(app.world(), root), [out]);
    let pin = app.world().get::<Pins>(out).and_then(|pins| pins.iter().next()).expect("one");
    assert!(app.world().get::<FedBy>(pin).is_none());
}

#[test]
fn nodes_of_missing_plugins_survive_with_settings_and_links() {
    let mut app = app();
    let text = CHAIN.replace(
        "\"Effect\", at: (200, 10.5))",
        "\"ParticleStorm\", at: (200, 10.5), settings: (\n            wind: Gale(9),\n        ))",
    );
    let root = spawn(app.world_mut(), &parsed(&text), None).expect("only warned of");
    app.update();
    let storm = node_named(app.world(), root, "tint").expect("kept");
    assert_eq!(app.world().get::<Placeholder>(storm).map(|placeholder| placeholder.kind.as_str()), Some("ParticleStorm"));
    assert_eq!(write::write(&capture::capture(app.world(), root).expect("it can be written")), text);
}

#[test]
fn implicit_conversions_show_on_the_link() {
    let mut app = app();
    let text = "(version: 1, nodes: { \"photo\": (kind: \"Still\"), \"out\": (kind: \"Sink\") }, links: [\"photo.picture -> out.frame\"])";
    let root = spawn(app.world_mut(), &parsed(text), None).expect("it is right");
    let out = node_named(app.world(), root, "out").expect("there");
    let pin = app.world().get::<Pins>(out).and_then(|pins| pins.iter().next()).expect("one");
    assert!(matches!(app.world().get::<Conversion>(pin), Some(Conversion::Implicit(_))));
}

#[test]
fn settings_are_given_beside_the_file_and_under_exposed_names() {
    let text = CHAIN.replace(
        "\n)\n",
        "\n    parameters: {\n        \"speed\": \"clip.rate_hz\",\n        \"angle\": \"clip.shape\",\n    },\n)\n",
    );
    let app = app();
    assert_eq!(problems_of(&app, &text), []);
    let mut blueprint = parsed(&text);
    assert_eq!(write::write(&blueprint), text);
    let registry = app.world().resource::<AppTypeRegistry>().read();
    for given in ["speed=12.5", "clip.source=b c.mp4", "angle=Round", "clip.limit=None"] {
        given.parse::<overrides::Override>().expect("a setting").apply(&mut blueprint, &registry).expect("it is there");
    }
    let kind = crate::registry::kind_named(&registry, "Source").expect("registered");
    let mut problems = Vec::new();
    let node = blueprint.node("clip").expect("there");
    let settings = settings::settings_of(&registry, kind, node, None, &mut settings::no_assets, &mut problems).expect("a struct");
    assert_eq!(problems, []);
    let expected = Source { source: "b c.mp4".to_owned(), rate_hz: 12.5, ..Source::default() };
    assert_eq!(settings.downcast_ref::<Source>(), Some(&expected));
    for (given, said) in [
        ("loudness=3", "no node “loudness”"),
        ("clip.sped=3", "no setting “sped”"),
        ("clip.rate_hz.x=3", "it has no parts"),
        ("clip", "is no setting"),
        ("=3", "is no setting"),
    ] {
        let error = given.parse::<overrides::Override>().and_then(|given| given.apply(&mut blueprint, &registry));
        assert!(error.as_ref().is_err_and(|error| error.to_string().contains(said)), "{given}: {error:?}");
    }
    let wrong = problem::list(&problems_of(&app, &text.replace("clip.rate_hz", "clap.rate_hz")));
    assert!(wrong.contains("the parameter “speed”") && wrong.contains("no node “clap”"), "{wrong}");
}

#[test]
fn only_what_somebody_takes_runs() {
    let mut app = app();
    let text = r#"(version: 1, nodes: {
        "used": (kind: "Source"), "out": (kind: "Sink"),
        "idle": (kind: "Source"), "fx": (kind: "Effect"),
        "held": (kind: "Effect", freeze: true), "shown": (kind: "Sink"), "behind": (kind: "Source"),
    }, links: ["used.frame 1 -> out.frame", "idle.frame 1 -> fx.frame", "behind.frame 1 -> held.frame", "held.frame -> shown.frame"])"#;
    let root = spawn(app.world_mut(), &parsed(text), None).expect("it is right");
    let runs =
        |app: &App, name| app.world().resource::<CompiledGraph>().runs(node_named(app.world(), root, name).expect("there"));
    app.update();
    let running = ["used", "out", "idle", "fx", "held", "shown", "behind"].map(|name| runs(&app, name));
    assert_eq!(running, [true, true, false, false, false, true, false]);
    let [fx, out] = ["fx", "out"].map(|name| node_named(app.world(), root, name).expect("there"));
    app.world_mut().entity_mut(fx).insert(Watched);
    app.update();
    assert!(runs(&app, "idle") && runs(&app, "fx"));
    app.world_mut().entity_mut(out).insert(Solo);
    app.update();
    assert_eq!(["used", "out", "idle", "fx"].map(|name| runs(&app, name)), [true, true, false, false]);
}

#[test]
fn the_schema_says_ranges_units_docs_and_defaults() {
    let app = app();
    let registry = app.world().resource::<AppTypeRegistry>().read();
    let schema = crate::schema::schema(&registry, app.world().resource::<DataTypes>());
    let source = &schema["$defs"]["Source"];
    assert_eq!(source["description"], "Where pictures come from.");
    let rate = &source["properties"]["rate_hz"];
    assert_eq!(
        (rate["type"].as_str(), rate["x-unit"].as_str(), rate["description"].as_str()),
        (Some("number"), Some("Hz"), Some("How fast."))
    );
    assert_eq!(
        (rate["minimum"].as_f64(), rate["maximum"].as_f64(), rate["default"].as_f64()),
        (Some(0.1), Some(240.0), Some(30.0))
    );
    assert_eq!(source["properties"]["shape"]["oneOf"][0]["const"], "Round");
    assert_eq!(source["x-outputs"][0]["type"], "video frame");
}

#[test]
fn ten_thousand_nodes_load_in_under_a_second() {
    let mut nodes = String::new();
    let mut links = String::new();
    for index in 0..10_000 {
        nodes += &format!("\"n{index}\": (kind: \"Effect\", at: ({index}, 0)),\n");
        if index > 0 {
            links += &format!("\"n{}.frame -> n{index}.frame\",\n", index - 1);
        }
    }
    let text = format!("(version: 1, nodes: {{ {nodes} }}, links: [ {links} ])");
    let mut app = app();
    let start = std::time::Instant::now();
    let blueprint = parsed(&text);
    let read_in = start.elapsed();
    spawn(app.world_mut(), &blueprint, None).expect("it is right");
    let spawned_in = start.elapsed();
    app.update();
    let all = start.elapsed();
    println!("10,000 nodes: read in {read_in:.0?}, spawned after {spawned_in:.0?}, compiled after {all:.0?}");
    assert_eq!(app.world().resource::<CompiledGraph>().nodes.len(), 10_000);
    assert!(all.as_secs_f32() < 1.0, "{all:?}");
}

#[test]
fn driven_settings_follow_the_frames() {
    let text = CHAIN.replace(
        "\"Source\", at: (0, 0),",
        "\"Source\", at: (0, 0), drivers: {\n            \"rate_hz\": Expression(\"20 + 10 * sin(PI / 2 * t)\"),\n            \
         \"outputs\": Keys(keys: [(0.0, 1.0), (4.0, 3.0)], between: Linear, repeat: false),\n        },",
    );
    let mut app = app();
    let root = spawn(app.world_mut(), &parsed(&text), None).expect("it is right");
    let clip = node_named(app.world(), root, "clip").expect("there");
    for (seconds, rate_hz, outputs) in [(0.0, 20.0, 1), (1.0, 30.0, 2), (3.0, 10.0, 3), (9.0, 30.0, 3)] {
        let pts = studio_frame::stamp::MediaTime::from_micros((seconds * 1e6) as u64);
        app.world_mut().resource_mut::<crate::clock::StudioTime>().note_frame(pts);
        app.update();
        app.update();
        let source = app.world().get::<Source>(clip).expect("of its kind");
        assert!((source.rate_hz - rate_hz).abs() < 1e-3, "{seconds}: {}", source.rate_hz);
        assert_eq!(source.outputs, outputs, "at {seconds} s");
        assert_eq!(app.world().get::<Pins>(clip).map(|pins| pins.len()), Some(outputs as usize));
        let ticks = |app: &App| app.world().entity(clip).get_change_ticks::<Source>().map(|ticks| ticks.changed.get());
        let before = ticks(&app);
        app.update();
        assert_eq!(ticks(&app), before, "what does not move is not touched");
    }
    let captured = capture::capture(app.world(), root).expect("it can be written");
    assert_eq!(captured.node("clip").map(|node| &node.drivers), parsed(&text).node("clip").map(|node| &node.drivers));
    for (driver, said) in [
        ("\"rate_hz\": Expression(\"2 *\")", "cannot be read"),
        ("\"rate_hz\": Expression(\"speed + 1\")", "unknown name “speed”"),
        ("\"source\": Expression(\"t\")", "Source has no number “source” to be driven"),
        ("\"nothing.x\": Expression(\"t\")", "Source has no number “nothing.x” to be driven"),
        ("\"rate_hz\": Keys(keys: [(1, 1), (1, 2)])", "in the order of time"),
        ("\"rate_hz\": Wobble", "driver of “rate_hz”"),
    ] {
        let text = CHAIN.replace("\"Source\", at: (0, 0),", &format!("\"Source\", drivers: {{ {driver} }},"));
        let found = problem::list(&problems_of(&app, &text));
        assert!(found.contains(said) && found.starts_with("5:"), "{driver}: {found}");
    }
    let clamped = CHAIN.replace("\"Source\", at: (0, 0),", "\"Source\", drivers: { \"rate_hz\": Expression(\"1000 * t\") },");
    apply(app.world_mut(), root, &parsed(&clamped)).expect("it is right");
    app.update();
    assert_eq!(app.world().get::<Source>(clip).map(|source| source.rate_hz), Some(240.0), "no driver leaves the range");
}

fn blueprints() -> impl Strategy<Value = Blueprint> {
    let word = "[a-zA-Zäß\"\\\\\n ]{0,12}";
    let node = ("[a-z][a-z0-9 _]{0,10}[a-z]", "[A-Z][a-z]{1,8}", any::<(i16, i16)>(), any::<bool>(), any::<bool>());
    (word, prop::collection::vec(node, 0..8), prop::collection::vec((0_usize..8, 0_usize..8), 0..8), word).prop_map(
        |(name, nodes, links, note)| {
            let mut blueprint = Blueprint { name, ..default() };
            for (name, kind, at, bypass, freeze) in nodes {
                if blueprint.node(&name).is_none() {
                    let at = Vec2::new(f32::from(at.0), f32::from(at.1)) / 4.0;
                    blueprint.nodes.push(BlueprintNode { name, kind, at, bypass, freeze, ..default() });
                }
            }
            let count = blueprint.nodes.len();
            for (from, to) in links.into_iter().filter(|(from, to)| *from < count && *to < count) {
                let end = |place: usize, pin: &str| (blueprint.nodes[place].name.clone(), pin.to_owned());
                let link = LinkText { from: end(from, "picture 1"), to: end(to, "frame") };
                blueprint.links.push(BlueprintLink { link, place: Place::default() });
            }
            blueprint.routes = blueprint
                .links
                .iter()
                .map(|link| BlueprintRoute { link: link.link.clone(), via: vec![Vec2::new(-1.5, 7.0)] })
                .collect();
            blueprint.bookmarks.push(BlueprintBookmark { name: note.clone(), at: Vec2::ONE, zoom: 0.25 });
            blueprint.notes.push(BlueprintNote { text: note, at: Vec2::ONE, size: Vec2::new(100.0, 50.5) });
            blueprint
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read_again(blueprint in blueprints()) {
        let text = write::write(&blueprint);
        let (again, problems) = read(&text);
        prop_assert_eq!(problems, vec![], "{}", text);
        prop_assert_eq!(&again, &blueprint);
        prop_assert_eq!(write::write(&again), text);
    }
}
