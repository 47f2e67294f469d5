//! What nodes on the CPU cost, and what two independent ones gain by running side by side.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_graph --example bench_parallel`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_graph::{
    blueprint::{
        Blueprint, BlueprintLink, BlueprintNode,
        spawn::{children, node_named, spawn},
    },
    link::LinkText,
    prelude::*,
};

const SIDE: usize = 512;
const NODES: usize = 1000;
const ROUNDS: usize = 200;

/// Delivers what the bench puts on its pin.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Feed;

impl NodeKind for Feed {
    const DISPLAY_NAME: &'static str = "Feed";
    const CATEGORY: &'static str = "Bench";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("picture", DataType::ARRAY)]
    }
}

/// Hands its input on.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Nothing;

impl NodeKind for Nothing {
    const DISPLAY_NAME: &'static str = "Nothing";
    const CATEGORY: &'static str = "Bench";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("picture", DataType::ARRAY), PinSpec::output("picture", DataType::ARRAY)]
    }
}

/// A box blur of 512×512 numbers.
#[derive(Component, Reflect, Clone)]
#[reflect(Component, Default, Node)]
struct Blur {
    radius_px: u32,
}

impl Default for Blur {
    fn default() -> Self {
        Self { radius_px: 7 }
    }
}

impl NodeKind for Blur {
    const DISPLAY_NAME: &'static str = "Blur";
    const CATEGORY: &'static str = "Bench";
    fn pins(&self) -> Vec<PinSpec> {
        Nothing.pins()
    }
}

fn run_nothing(_: &Nothing, run: &mut CpuRun) -> Result {
    let Some(picture) = run.input("picture") else { return Ok(()) };
    Ok(run.set("picture", picture)?)
}

fn run_blur(blur: &Blur, run: &mut CpuRun) -> Result {
    let picture = run.data::<Vec<f32>>("picture")?;
    let radius = blur.radius_px as usize;
    // Every sum is made anew, as a kernel with weights would have to.
    let along = |from: &[f32], step: usize, across: usize| {
        let mut to = vec![0.0_f32; from.len()];
        for line in 0..SIDE {
            for at in 0..SIDE {
                let window = at.saturating_sub(radius)..(at + radius + 1).min(SIDE);
                let count = window.len() as f32;
                to[line * across + at * step] = window.map(|near| from[line * across + near * step]).sum::<f32>() / count;
            }
        }
        to
    };
    let rows = along(&picture, 1, SIDE);
    Ok(run.set("picture", Value::data(along(&rows, SIDE, 1)))?)
}

fn app(nodes: &[(&str, String)], links: &[(String, String)]) -> Result<(App, Entity)> {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, GraphPlugin)).register_node::<Feed>().add_cpu_node(run_nothing).add_cpu_node(run_blur);
    let mut blueprint = Blueprint::default();
    for (kind, name) in nodes {
        blueprint.nodes.push(BlueprintNode { name: name.clone(), kind: (*kind).to_owned(), ..default() });
    }
    for (from, to) in links {
        let end = |name: &String| (name.clone(), "picture".to_owned());
        blueprint.links.push(BlueprintLink { link: LinkText { from: end(from), to: end(to) }, place: default() });
    }
    let root = spawn(app.world_mut(), &blueprint, None).map_err(|problems| format!("{problems:?}"))?;
    for node in children(app.world(), root) {
        app.world_mut().entity_mut(node).insert(Watched);
    }
    let feed = node_named(app.world(), root, "feed").ok_or("no feed")?;
    let pin = app.world().get::<Pins>(feed).and_then(|pins| pins.iter().next()).ok_or("no pin")?;
    app.world_mut().entity_mut(pin).insert(PinValue::default());
    app.update();
    Ok((app, pin))
}

/// Puts something new on the pin and times the update that works it off.
fn round(app: &mut App, pin: Entity, picture: Option<Vec<f32>>) -> Duration {
    if let (Some(pin), Some(picture)) = (app.world().get::<PinValue>(pin), picture) {
        pin.set(Value::data(picture));
    }
    let start = Instant::now();
    app.update();
    start.elapsed()
}

fn sorted_ms(mut times: Vec<Duration>) -> impl Fn(usize) -> f64 {
    times.sort_unstable();
    move |percent| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

fn main() -> Result {
    let name = |name: &str| name.to_owned();
    let nodes = [("Feed", name("feed")), ("Blur", name("a")), ("Blur", name("b"))];
    let (mut side, side_pin) = app(&nodes, &[(name("feed"), name("a")), (name("feed"), name("b"))])?;
    let (mut chain, chain_pin) = app(&nodes, &[(name("feed"), name("a")), (name("a"), name("b"))])?;
    let picture: Vec<f32> = (0..SIDE * SIDE).map(|at| (at % 251) as f32).collect();
    // By turns, so that what disturbs the machine disturbs both.
    let (mut beside, mut after) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        beside.push(round(&mut side, side_pin, Some(picture.clone())));
        after.push(round(&mut chain, chain_pin, Some(picture.clone())));
    }
    let cores = std::thread::available_parallelism()?.get();
    let (beside, after) = (sorted_ms(beside), sorted_ms(after));
    let gain = after(50) / beside(50);
    println!(
        "{}",
        serde_json::json!({
            "name": "two CPU branches side by side", "cores": cores, "p50_ms": beside(50), "p95_ms": beside(95),
            "one_after_the_other_p50_ms": after(50), "one_after_the_other_p95_ms": after(95), "gain": gain, "limit_gain": 1.7, "passed": gain >= 1.7,
        })
    );

    // Rows of ten nodes that hand their input on.
    let nodes: Vec<(&str, String)> =
        core::iter::once(("Feed", name("feed"))).chain((0..NODES).map(|index| ("Nothing", format!("n{index}")))).collect();
    let from = |index: usize| if index.is_multiple_of(10) { name("feed") } else { format!("n{}", index - 1) };
    let links: Vec<(String, String)> = (0..NODES).map(|index| (from(index), format!("n{index}"))).collect();
    let (mut rows, pin) = app(&nodes, &links)?;
    let (mut idle, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        busy.push(round(&mut rows, pin, Some(vec![0.0])));
        idle.push(round(&mut rows, pin, None));
    }
    let mut statuses = rows.world_mut().query::<&NodeStatus>();
    let ran = |status: &&NodeStatus| matches!(status, NodeStatus::Running { frames } if *frames >= ROUNDS as u64);
    let all_ran = statuses.iter(rows.world()).filter(ran).count() == NODES;
    let (idle, busy) = (sorted_ms(idle), sorted_ms(busy));
    let us_each = (busy(50) - idle(50)) * 1e3 / NODES as f64;
    println!(
        "{}",
        serde_json::json!({
            "name": "CPU node that does nothing", "nodes": NODES, "us_each": us_each, "p50_ms": busy(50), "p95_ms": busy(95),
            "idle_p50_ms": idle(50), "limit_us": 2.0, "passed": us_each <= 2.0 && all_ran,
        })
    );
    Ok(())
}
