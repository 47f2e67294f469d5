//! What the graph itself costs: compiling, an idle frame, a node that does nothing, beside GStreamer's cheapest elements.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_gpu --example bench_graph`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    app::PluginsState, log::LogPlugin, prelude::*, render::pipelined_rendering::PipelinedRenderingPlugin, winit::WinitPlugin,
};
use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::{
    blueprint::{Blueprint, BlueprintLink, BlueprintNode, spawn::spawn},
    link::LinkText,
    prelude::*,
};

const NODES: usize = 1000;
const UPDATES: usize = 1000;

/// Hands its input on.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Nothing;

impl NodeKind for Nothing {
    const DISPLAY_NAME: &'static str = "Nothing";
    const CATEGORY: &'static str = "Bench";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("frame", DataType::VIDEO_FRAME), PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

/// Delivers what the bench puts on its pin.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Feed;

impl NodeKind for Feed {
    const DISPLAY_NAME: &'static str = "Feed";
    const CATEGORY: &'static str = "Bench";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

fn run_nothing(In(run): In<GpuNodeRun>) -> Result {
    let frame = run.input("frame")?.clone();
    run.set_output("frame", frame)?;
    Ok(())
}

fn app(gpu: bool) -> App {
    let mut app = App::new();
    if gpu {
        let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
        app.add_plugins(
            DefaultPlugins
                .build()
                .disable::<WinitPlugin>()
                .disable::<PipelinedRenderingPlugin>()
                .disable::<LogPlugin>()
                .set(window),
        );
        app.add_plugins((GraphPlugin, StudioGpuPlugin)).register_node::<Feed>().add_gpu_node::<Nothing, _>(run_nothing);
        while app.plugins_state() == PluginsState::Adding {
            std::thread::sleep(Duration::from_millis(1));
        }
        app.finish();
        app.cleanup();
    } else {
        app.add_plugins((MinimalPlugins, GraphPlugin)).register_node::<Feed>().register_node::<Nothing>();
    }
    app
}

/// Rows of ten nodes behind one feed.
fn graph() -> Blueprint {
    let mut blueprint = Blueprint::default();
    let node = |name: String, kind: &str| BlueprintNode { name, kind: kind.to_owned(), ..default() };
    blueprint.nodes.push(node("feed".to_owned(), "Feed"));
    for index in 0..NODES {
        blueprint.nodes.push(node(format!("n{index}"), "Nothing"));
        let from = if index % 10 == 0 { "feed".to_owned() } else { format!("n{}", index - 1) };
        let link = LinkText { from: (from, "frame".to_owned()), to: (format!("n{index}"), "frame".to_owned()) };
        blueprint.links.push(BlueprintLink { link, place: default() });
    }
    blueprint
}

/// The lower quartile in microseconds: what is above it is mostly the executor's threads being woken, with or without a graph.
fn quartile(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 4].as_secs_f64() * 1e6
}

fn updates(app: &mut App, mut before: impl FnMut(&mut App)) -> f64 {
    let times = (0..UPDATES).map(|_| {
        before(app);
        let start = Instant::now();
        app.update();
        start.elapsed()
    });
    quartile(times.collect())
}

fn main() -> Result {
    // The graph alone.
    let mut bevy = App::new();
    // An update without any system is skipped, which no real app's is.
    bevy.add_plugins(MinimalPlugins).add_systems(Update, |_: &mut World| {});
    let bevy_us = updates(&mut bevy, |_| {});
    let mut empty = app(false);
    let bare_us = updates(&mut empty, |_| {});
    let mut alone = app(false);
    let root = spawn(alone.world_mut(), &graph(), None).map_err(|problems| format!("{problems:?}"))?;
    alone.update();
    let idle_us = updates(&mut alone, |_| {});
    let nodes = studio_graph::blueprint::spawn::children(alone.world(), root);
    for node in &nodes {
        alone.world_mut().entity_mut(*node).insert(Watched);
    }
    alone.update();
    let mut turn = 0;
    let compile_us = updates(&mut alone, |app| {
        // Any change compiles the whole graph again.
        turn += 1;
        let mut node = app.world_mut().entity_mut(nodes[turn % nodes.len()]);
        if node.contains::<Solo>() {
            node.remove::<Solo>()
        } else {
            node.insert(Solo)
        };
    });
    println!(
        "{}",
        serde_json::json!({"name": "graph compile", "nodes": NODES, "us_p25": compile_us - bare_us, "limit_us": 10_000, "passed": compile_us - bare_us <= 10_000.0})
    );
    println!(
        "{}",
        serde_json::json!({"name": "graph idle frame", "nodes": NODES, "us_p25": idle_us - bevy_us, "us_without_nodes": bare_us - bevy_us, "us_of_bevy": bevy_us, "limit_us": 50, "passed": idle_us - bevy_us <= 50.0})
    );

    // With the driver of GPU nodes.
    let mut driven = app(true);
    driven.insert_resource(StudioClock::Offline);
    let empty_us = updates(&mut driven, |_| {});
    let root = spawn(driven.world_mut(), &graph(), None).map_err(|problems| format!("{problems:?}"))?;
    for node in studio_graph::blueprint::spawn::children(driven.world(), root) {
        driven.world_mut().entity_mut(node).insert(Watched);
    }
    driven.update();
    let idle_us = updates(&mut driven, |_| {});
    let device = driven.world().resource::<bevy::render::renderer::RenderDevice>().wgpu_device().clone();
    let picture = Arc::new(GpuPicture::rgba(&device, "bench", UVec2::splat(16))?);
    let feed = studio_graph::blueprint::spawn::node_named(driven.world(), root, "feed").ok_or("no feed")?;
    let pin = driven.world().get::<Pins>(feed).and_then(|pins| pins.iter().next()).ok_or("no pin")?;
    let pin = driven.world().get::<PinFrame>(pin).cloned().ok_or("no frame")?;
    let frame = GpuFrame {
        picture,
        stamp: FrameStamp::default(),
        projection: PictureProjection::Equirectangular,
        stereo: StereoLayout::Mono,
    };
    let busy_us = updates(&mut driven, |_| pin.set(frame.clone()));
    let count = driven
        .world_mut()
        .query::<&NodeStatus>()
        .iter(driven.world())
        .filter(|status| matches!(status, NodeStatus::Running { .. }))
        .count();
    assert_eq!(count, NODES, "every node ran");
    println!(
        "{}",
        serde_json::json!({"name": "driver idle frame", "nodes": NODES, "us_p25": idle_us - empty_us, "app_us_p25": empty_us})
    );
    let each_us = (busy_us - idle_us) / NODES as f64;
    println!(
        "{}",
        serde_json::json!({"name": "node that does nothing", "us_each": each_us, "limit_us": 2.0, "passed": each_us <= 2.0})
    );
    for element in ["identity", "queue"] {
        match gstreamer_us_each(element) {
            Some(us_each) => println!("{}", serde_json::json!({"name": format!("GStreamer {element}"), "us_each": us_each})),
            None => println!(
                "{}",
                serde_json::json!({"name": format!("GStreamer {element}"), "skipped": "gst-launch-1.0 is not installed"})
            ),
        }
    }
    Ok(())
}

/// What an element costs a buffer: a pipeline with many of them against one with none.
fn gstreamer_us_each(element: &str) -> Option<f64> {
    const ELEMENTS: usize = 50;
    const BUFFERS: usize = 20_000;
    let run = |count: usize| {
        let chain = format!("! {element} ").repeat(count);
        let pipeline = format!("fakesrc num-buffers={BUFFERS} {chain}! fakesink sync=false");
        let start = Instant::now();
        let status = Command::new("gst-launch-1.0").arg("-q").args(pipeline.split_whitespace()).status().ok()?;
        status.success().then(|| start.elapsed())
    };
    let (without, with) = (run(0)?, run(ELEMENTS)?);
    Some(with.saturating_sub(without).as_secs_f64() * 1e6 / (ELEMENTS * BUFFERS) as f64)
}
