//! What people who wire values rely on.

use super::*;
use crate::{
    GraphPlugin,
    blueprint::{capture::capture, check::check, problem, read::read, spawn, write::write},
    clock::StudioTime,
    data_type::{AppDataTypeExt, DataCategory, DataTypes},
    flow::{Freeze, Watched},
    pin::{PinSpec, Pins},
    registry::{AppNodeExt, NodeKind, ReflectNode},
    status::NodeStatus,
};
use std::{
    sync::atomic::AtomicUsize,
    time::{Duration, Instant},
};

/// Has a setting of every type that a wire feeds.
#[derive(Component, Reflect, Clone, Debug, PartialEq, Default)]
#[reflect(Component, Default, Node)]
struct Lamp {
    #[reflect(@0.0..=10.0_f32)]
    power: f32,
    count: u8,
    on: bool,
    words: String,
    size: UVec2,
    place: Vec3,
    tint: Color,
    inner: Inner,
    none: Option<u32>,
}

#[derive(Reflect, Clone, Debug, PartialEq, Default)]
struct Inner {
    glow: f64,
}

impl NodeKind for Lamp {
    const DISPLAY_NAME: &'static str = "Lamp";
    const CATEGORY: &'static str = "Test";
    fn pins(&self) -> Vec<PinSpec> {
        Vec::new()
    }
}

/// Counts its runs, fails when told so, and hands on what came.
#[derive(Component, Reflect, Clone, Debug, PartialEq, Default)]
#[reflect(Component, Default, Node)]
struct Counting {
    fails: bool,
    panics: bool,
    pause_ms: u64,
}

impl NodeKind for Counting {
    const DISPLAY_NAME: &'static str = "Counting";
    const CATEGORY: &'static str = "Test";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("in", DataType::SCALAR), PinSpec::output("out", DataType::SCALAR)]
    }
}

#[derive(Resource, Default, Clone)]
struct Runs(Arc<AtomicUsize>, Arc<Mutex<Vec<std::thread::ThreadId>>>);

fn app() -> (App, Runs) {
    let mut app = App::new();
    let runs = Runs::default();
    let counted = runs.clone();
    app.add_plugins(GraphPlugin).register_node::<Lamp>().add_cpu_node(move |node: &Counting, run| {
        counted.0.fetch_add(1, Ordering::Relaxed);
        counted.1.lock().push(std::thread::current().id());
        std::thread::sleep(Duration::from_millis(node.pause_ms));
        *run.state::<u32>() += 1;
        assert!(!node.panics, "as it was told");
        if node.fails {
            return Err("as it was told".into());
        }
        let value = run.scalar("in").unwrap_or(-1.0);
        Ok(run.set("out", Value::Scalar(value))?)
    });
    (app, runs)
}

fn spawned(nodes: &str, links: &str) -> (App, Runs, Entity) {
    let (mut app, runs) = app();
    let (blueprint, problems) = read(&format!("(version: 1, nodes: {{ {nodes} }}, links: [ {links} ])"));
    assert_eq!(problems, []);
    let root = spawn::spawn(app.world_mut(), &blueprint, None).unwrap_or_else(|problems| panic!("{}", problem::list(&problems)));
    app.update();
    (app, runs, root)
}

fn node(app: &App, root: Entity, name: &str) -> Entity {
    spawn::node_named(app.world(), root, name).unwrap_or_else(|| panic!("{name} is there"))
}

fn value(app: &App, root: Entity, name: &str) -> Option<Value> {
    let pins = app.world().get::<Pins>(node(app, root, name))?.iter();
    pins.filter_map(|pin| app.world().get::<PinValue>(pin)).next()?.get()
}

fn at(app: &mut App, seconds: f64) {
    let pts = studio_frame::stamp::MediaTime::from_micros((seconds * 1e6) as u64);
    app.world_mut().resource_mut::<StudioTime>().note_frame(pts);
    app.update();
}

#[test]
fn every_value_node_delivers() {
    let (mut app, _, root) = spawned(
        r#""n": (kind: "Number", settings: (value: 3.0)), "sum": (kind: "Math", settings: (formula: "a * b + t", b_else: 2.0)),
        "clock": (kind: "Clock", settings: (speed: 2.0, start_s: 10.0)), "yes": (kind: "BooleanValue", settings: (value: true)),
        "wave": (kind: "Oscillator", settings: (wave: Triangle, frequency_hz: 1.0, low: -1.0, high: 1.0)),
        "saw": (kind: "Oscillator", settings: (wave: Saw)), "sine": (kind: "Oscillator"), "square": (kind: "Oscillator", settings: (wave: Square)),
        "words": (kind: "StringValue", settings: (value: "hello")), "v": (kind: "VectorValue", settings: (value: (1, 2, 3, 4))),
        "c": (kind: "ColorValue", settings: (value: (red: 1.0, green: 0.5, blue: 0.0, alpha: 1.0)))"#,
        r#""n.value -> sum.a""#,
    );
    let all = ["n", "sum", "clock", "yes", "wave", "saw", "sine", "square", "words", "v", "c"];
    assert_eq!(value(&app, root, "sum"), None, "nobody takes it");
    for name in all {
        let node = node(&app, root, name);
        app.world_mut().entity_mut(node).insert(Watched);
    }
    at(&mut app, 0.5);
    let values = all.map(|name| value(&app, root, name).unwrap_or_else(|| panic!("{name} delivers")));
    let expected = [
        Value::Scalar(3.0),
        Value::Scalar(6.5),
        Value::Scalar(11.0),
        Value::Boolean(true),
        Value::Scalar(1.0),
        Value::Scalar(0.25),
        Value::Scalar(1.0),
        Value::Scalar(1.0),
        Value::String("hello".into()),
        Value::Vector(Vec4::new(1.0, 2.0, 3.0, 4.0)),
        Value::Color(LinearRgba::rgb(1.0, 0.5, 0.0)),
    ];
    assert_eq!(values, expected);
    at(&mut app, 1.5);
    assert_eq!((value(&app, root, "sum"), value(&app, root, "clock")), (Some(Value::Scalar(7.5)), Some(Value::Scalar(13.0))));
    let sum = node(&app, root, "sum");
    app.world_mut().get_mut::<Math>(sum).expect("a formula").formula = "1 / (a - 3)".to_owned();
    app.update();
    let status = app.world().get::<NodeStatus>(sum).and_then(|status| status.error().map(str::to_owned));
    assert!(status.is_some_and(|error| error.contains("has no value at [3.0]")));
    assert_eq!(value(&app, root, "sum"), Some(Value::Scalar(7.5)), "the last good value stays");
    app.world_mut().get_mut::<Math>(sum).expect("a formula").formula = "a + speed".to_owned();
    app.update();
    let status = app.world().get::<NodeStatus>(sum).and_then(|status| status.error().map(str::to_owned));
    assert!(status.is_some_and(|error| error.contains("unknown name “speed”: it may use a, b, c, d, t")));
    app.world_mut().get_mut::<Math>(sum).expect("a formula").formula = "a + 1".to_owned();
    app.update();
    assert_eq!(value(&app, root, "sum"), Some(Value::Scalar(4.0)), "a change is tried at once");
}

#[test]
fn links_feed_settings_with_the_conversions_of_the_table() {
    let (mut app, _, root) = spawned(
        r#""n": (kind: "Number", settings: (value: 99.0)), "yes": (kind: "BooleanValue", settings: (value: true)),
        "v": (kind: "VectorValue", settings: (value: (1, 2.6, 3, 4))), "words": (kind: "StringValue", settings: (value: "on air")),
        "lamp": (kind: "Lamp", exposed: ["power", "count", "on", "words", "size", "place", "tint", "inner.glow"], settings: (power: 5.0))"#,
        r#""n.value -> lamp.power", "yes.value -> lamp.count", "yes.value -> lamp.on", "words.value -> lamp.words",
        "v.value -> lamp.size", "n.value -> lamp.place", "n.value -> lamp.tint", "n.value -> lamp.inner.glow""#,
    );
    let lamp = node(&app, root, "lamp");
    let is = app.world().get::<Lamp>(lamp).cloned();
    let expected = Lamp {
        power: 10.0,
        count: 1,
        on: true,
        words: "on air".to_owned(),
        size: UVec2::new(1, 3),
        place: Vec3::splat(99.0),
        tint: Color::LinearRgba(LinearRgba::gray(99.0)),
        inner: Inner { glow: 99.0 },
        none: None,
    };
    assert_eq!(is, Some(expected), "and the range holds");
    let changed = |app: &App| app.world().entity(lamp).get_change_ticks::<Lamp>().map(|ticks| ticks.changed.get());
    let before = changed(&app);
    app.update();
    assert_eq!(changed(&app), before, "what does not change is not touched");
    let captured = capture(app.world(), root).expect("it can be written");
    let text = write(&captured);
    assert!(text.contains("power: 5.0,") && !text.contains("99.0, 99.0"), "the file keeps what was set by hand: {text}");
    spawn::apply(app.world_mut(), root, &captured).expect("it is right");
    app.update();
    assert_eq!(app.world().get::<Lamp>(lamp).map(|lamp| lamp.power), Some(10.0));
    // Exposing and linking while it runs.
    app.world_mut().get_mut::<ExposedSettings>(lamp).expect("some").0.retain(|path| path != "power");
    app.update();
    let pins = |app: &App| app.world().get::<Pins>(lamp).map_or(0, |pins| pins.len());
    assert_eq!(pins(&app), 7);
    app.world_mut().get_mut::<ExposedSettings>(lamp).expect("some").0.push("power".to_owned());
    app.world_mut().get_mut::<Lamp>(lamp).expect("a lamp").power = 1.0;
    app.update();
    let number = node(&app, root, "n");
    crate::link::connect(app.world_mut(), number, "value", lamp, "power").expect("it fits");
    app.update();
    assert_eq!((pins(&app), app.world().get::<Lamp>(lamp).map(|lamp| lamp.power)), (8, Some(10.0)));
    let (app, _) = self::app();
    for (exposed, said) in [
        ("\"none\"", "Lamp's setting “none” is a Option<u32>; a pin takes numbers"),
        ("\"pwer\"", "Lamp has no setting “pwer”; did you mean “power”?"),
        ("\"power\", \"power\"", "is exposed twice"),
        ("7", "an exposed setting: Expected string"),
    ] {
        let (blueprint, mut problems) =
            read(&format!("(version: 1, nodes: {{ \"l\": (kind: \"Lamp\", exposed: [{exposed}]) }})"));
        let registry = app.world().resource::<AppTypeRegistry>().read();
        problems.extend(check(&blueprint, &registry, app.world().resource::<DataTypes>(), None));
        let said_of = problem::list(&problems);
        assert!(said_of.contains(said) && said_of.starts_with("1:"), "{exposed}: {said_of}");
    }
}

#[test]
fn values_go_through_subgraphs_and_types_of_plugins() {
    let (mut app, _) = app();
    let smell = DataType::new("smell");
    app.register_data_type(smell.clone(), DataCategory::Plugin);
    app.register_value_conversion(DataType::SCALAR, smell.clone(), "its strength", |value| {
        Some(Value::data(value.scalar()? as u64))
    });
    let types = app.world().resource::<DataTypes>();
    let converted = types.convert(Value::Scalar(7.0), &DataType::SCALAR, &smell).and_then(|value| value.get::<u64>());
    assert_eq!(converted.as_deref(), Some(&7));
    assert_eq!(types.convert(Value::Scalar(7.0), &DataType::STRING, &DataType::COLOR), None);
    let text = r#"(version: 1, nodes: {
        "yes": (kind: "BooleanValue", settings: (value: true)),
        "in it": (kind: "Subgraph", settings: (definition: "lamp")),
    }, links: ["yes.value -> in it.light"], subgraphs: { "lamp": (nodes: {
        "light": (kind: "SubgraphInput", settings: (data_type: "scalar")),
        "lamp": (kind: "Lamp", exposed: ["place"]),
    }, links: ["light.value -> lamp.place"]) })"#;
    let (blueprint, problems) = read(text);
    assert_eq!(problems, []);
    let root = spawn::spawn(app.world_mut(), &blueprint, None).unwrap_or_else(|problems| panic!("{}", problem::list(&problems)));
    app.update();
    let lamp = app.world().get::<Lamp>(node(&app, root, "in it/lamp")).map(|lamp| lamp.place);
    assert_eq!(lamp, Some(Vec3::ONE), "a switch, as a number, in every component");
}

#[test]
fn a_node_runs_only_when_something_changed() {
    let (mut app, runs, root) = spawned(
        r#""n": (kind: "Number", settings: (value: 1.0)), "c": (kind: "Counting"), "d": (kind: "Counting")"#,
        r#""n.value -> c.in", "c.out -> d.in""#,
    );
    let [n, c, d] = ["n", "c", "d"].map(|name| node(&app, root, name));
    app.world_mut().entity_mut(d).insert(Watched);
    let count = |runs: &Runs| runs.0.swap(0, Ordering::Relaxed);
    app.update();
    assert_eq!(count(&runs), 2);
    (0..5).for_each(|_| app.update());
    assert_eq!(count(&runs), 0, "nothing changed");
    app.world_mut().get_mut::<Number>(n).expect("a number").value = 2.0;
    app.update();
    assert_eq!((count(&runs), value(&app, root, "d")), (2, Some(Value::Scalar(2.0))));
    app.world_mut().get_mut::<Counting>(c).expect("its kind").pause_ms = 1;
    app.update();
    assert_eq!(count(&runs), 1, "what it makes is the same, so the next one rests");
    app.world_mut().entity_mut(c).insert(Freeze);
    app.world_mut().get_mut::<Number>(n).expect("a number").value = 3.0;
    app.update();
    assert_eq!((count(&runs), value(&app, root, "d")), (0, Some(Value::Scalar(2.0))), "a frozen node holds");
    app.world_mut().entity_mut(c).remove::<Freeze>();
    app.update();
    assert_eq!(value(&app, root, "d"), Some(Value::Scalar(3.0)));
    assert!(matches!(app.world().get::<NodeStatus>(c), Some(NodeStatus::Running { frames: 4 })));
    assert!(!is_source(app.world(), n) && !is_source(app.world(), c));
}

#[test]
fn a_node_that_fails_or_panics_keeps_its_output_and_is_tried_again() {
    let (mut app, runs, root) =
        spawned(r#""n": (kind: "Number", settings: (value: 1.0)), "c": (kind: "Counting")"#, r#""n.value -> c.in""#);
    let [n, c] = ["n", "c"].map(|name| node(&app, root, name));
    app.world_mut().entity_mut(c).insert(Watched);
    app.update();
    for panics in [false, true] {
        *app.world_mut().get_mut::<Counting>(c).expect("its kind") = Counting { fails: !panics, panics, pause_ms: 0 };
        app.update();
        runs.0.store(0, Ordering::Relaxed);
        app.world_mut().get_mut::<Number>(n).expect("a number").value += 1.0;
        (0..20).for_each(|_| app.update());
        assert_eq!(runs.0.load(Ordering::Relaxed), 0, "it waits before it is tried again");
        let status = app.world().get::<NodeStatus>(c).and_then(|status| status.error().map(str::to_owned));
        assert!(status.as_ref().is_some_and(|error| error.contains("as it was told")), "{status:?}");
        assert_eq!(value(&app, root, "c"), Some(Value::Scalar(1.0)));
    }
    let start = Instant::now();
    while runs.0.load(Ordering::Relaxed) == 0 {
        assert!(start.elapsed() < NodeStatus::FIRST_RETRY * 20, "it is tried again");
        std::thread::sleep(Duration::from_millis(20));
        app.update();
    }
    *app.world_mut().get_mut::<Counting>(c).expect("its kind") = Counting::default();
    app.update();
    assert_eq!(value(&app, root, "c"), Some(Value::Scalar(3.0)));
    assert!(matches!(app.world().get::<NodeStatus>(c), Some(NodeStatus::Running { .. })));
}

#[test]
fn nodes_that_take_their_time_run_side_by_side() {
    let (mut app, runs, root) = spawned(
        r#""n": (kind: "Number"), "a": (kind: "Counting", settings: (pause_ms: 150)), "b": (kind: "Counting", settings: (pause_ms: 150))"#,
        r#""n.value -> a.in", "n.value -> b.in""#,
    );
    let [n, a, b] = ["n", "a", "b"].map(|name| node(&app, root, name));
    app.world_mut().entity_mut(a).insert(Watched);
    app.world_mut().entity_mut(b).insert(Watched);
    app.update();
    runs.1.lock().clear();
    app.world_mut().get_mut::<Number>(n).expect("a number").value = 1.0;
    let start = Instant::now();
    app.update();
    let took = start.elapsed();
    let threads = runs.1.lock().clone();
    assert_eq!(threads.len(), 2);
    assert_ne!(threads[0], threads[1], "one after the other would be 300 ms; it took {took:?}");
}
