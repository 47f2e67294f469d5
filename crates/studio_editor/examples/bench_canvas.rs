//! How fast the editor draws a graph of two hundred nodes that run, at 1280×720, and how long one of ten thousand takes to
//! load. Needs no window: the editor is drawn into an image.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_editor --example bench_canvas [PICTURE.png]`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    app::PluginsState,
    camera::RenderTarget,
    log::LogPlugin,
    prelude::*,
    render::{
        pipelined_rendering::PipelinedRenderingPlugin,
        renderer::{RenderAdapterInfo, RenderDevice},
    },
    winit::WinitPlugin,
};
use bytes::Bytes;
use std::time::{Duration, Instant};
use studio_editor::{StudioEditorPlugin, document::Document, editor::Editor, session::SessionFolder};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::{
    blueprint::{Blueprint, BlueprintLink, BlueprintNode, read::read, write::write},
    link::LinkText,
    prelude::*,
};

const SIZE: UVec2 = UVec2::new(1280, 720);
const NODES: usize = 200;
const MANY: usize = 10_000;
const FRAMES: usize = 120;

/// Mixes its inputs: hands the first one on.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Mix {
    /// How much.
    #[reflect(@0.0..=1.0_f32)]
    amount: f32,
}

impl NodeKind for Mix {
    const DISPLAY_NAME: &'static str = "Mix";
    const CATEGORY: &'static str = "Compose";
    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("base", DataType::VIDEO_FRAME),
            PinSpec::input("layer", DataType::VIDEO_FRAME),
            PinSpec::output("frame", DataType::VIDEO_FRAME),
        ]
    }
}

/// Delivers what the bench puts on its pin.
#[derive(Component, Reflect, Clone, Default)]
#[reflect(Component, Default, Node)]
struct Feed;

impl NodeKind for Feed {
    const DISPLAY_NAME: &'static str = "Feed";
    const CATEGORY: &'static str = "Input";
    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("frame", DataType::VIDEO_FRAME)]
    }
}

fn run_mix(In(run): In<GpuNodeRun>) -> Result {
    let frame = run.input("base")?.clone();
    run.set_output("frame", frame)?;
    Ok(())
}

/// Columns of ten nodes; each takes from two of the column before.
fn graph(nodes: usize) -> Blueprint {
    const ROWS: usize = 10;
    let mut blueprint = Blueprint::default();
    let name = |index: usize| if index == 0 { "feed".to_owned() } else { format!("mix {index}") };
    for index in 0..nodes {
        let kind = if index == 0 { "Feed" } else { "Mix" };
        let at = Vec2::new((index / ROWS) as f32 * 260.0, (index % ROWS) as f32 * 200.0);
        blueprint.nodes.push(BlueprintNode { name: name(index), kind: kind.to_owned(), at, ..default() });
        if index == 0 {
            continue;
        }
        for (pin, step) in [("base", 0), ("layer", 1)] {
            let before = (index / ROWS).checked_sub(1).map_or(0, |column| column * ROWS + (index + step) % ROWS);
            let link = LinkText { from: (name(before), "frame".to_owned()), to: (name(index), pin.to_owned()) };
            blueprint.links.push(BlueprintLink { link, place: default() });
        }
    }
    blueprint
}

fn main() -> Result {
    let picture = std::env::args().nth(1);
    let mut app = App::new();
    let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
    app.add_plugins(
        DefaultPlugins.build().disable::<WinitPlugin>().disable::<PipelinedRenderingPlugin>().disable::<LogPlugin>().set(window),
    );
    let mut image = preview_image(SIZE);
    image.texture_descriptor.usage |= wgpu::TextureUsages::COPY_SRC;
    let image = app.world_mut().resource_mut::<Assets<Image>>().add(image);
    let target = RenderTarget::Image(image.clone().into());
    app.add_plugins((GraphPlugin, StudioGpuPlugin))
        .register_node::<Feed>()
        .add_gpu_node::<Mix, _>(run_mix)
        .add_plugins(StudioEditorPlugin { file: None, session: SessionFolder(None), target });
    while app.plugins_state() == PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.finish();
    app.cleanup();
    app.update();
    let adapter = app.world().resource::<RenderAdapterInfo>().clone();
    let software = adapter.device_type == wgpu::DeviceType::Cpu;

    // Loading ten thousand nodes: from text to entities.
    let text = write(&graph(MANY));
    let start = Instant::now();
    let (many, problems) = read(&text);
    assert!(problems.is_empty(), "{problems:?}");
    edit(&mut app, "many", |blueprint| *blueprint = many);
    let load = start.elapsed();
    let load_ms = load.as_secs_f64() * 1e3;
    let passed = load_ms <= 1e3;
    println!(
        "{{\"name\": \"editor: read and spawn {MANY} nodes\", \"p50_ms\": {load_ms:.0}, \"p95_ms\": {load_ms:.0}, \"passed\": {passed}}}"
    );
    edit(&mut app, "few", |blueprint| *blueprint = graph(NODES));
    app.update();
    let (feed, last): (Vec<Entity>, Vec<Entity>) = {
        let mut nodes = app.world_mut().query_filtered::<(Entity, Has<Feed>), Or<(With<Feed>, With<Mix>)>>();
        let all: Vec<(Entity, bool)> = nodes.iter(app.world()).collect();
        (all.iter().filter(|(_, feed)| *feed).map(|(node, _)| *node).collect(), all.iter().map(|(node, _)| *node).collect())
    };
    for node in last {
        app.world_mut().entity_mut(node).insert(Watched);
    }
    let pin = app.world().get::<Pins>(feed[0]).and_then(|pins| pins.iter().next()).ok_or("the feed has a pin")?;
    for (what, zoom) in [("all in view", None), ("own size", Some(1.0))] {
        for _ in 0..10 {
            frame(&mut app, pin, 0, zoom);
        }
        let mut times: Vec<f64> = (0..FRAMES)
            .map(|number| {
                let start = Instant::now();
                frame(&mut app, pin, number as u64, zoom);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let mean_ms = times.iter().sum::<f64>() / FRAMES as f64;
        times.sort_by(f64::total_cmp);
        let frames_per_second = 1e3 / mean_ms;
        let passed = frames_per_second >= if software { 20.0 } else { 90.0 };
        println!(
            "{{\"name\": \"editor: {NODES} nodes, {what}\", \"p50_ms\": {:.2}, \"p95_ms\": {:.2}, \"passed\": {passed}, \
             \"frames_per_second\": {frames_per_second:.1}, \"adapter\": \"{}\"}}",
            times[FRAMES / 2],
            times[FRAMES * 95 / 100],
            adapter.name
        );
        if let Some(picture) = picture.as_deref().filter(|_| zoom.is_none()) {
            save(&mut app, &image, picture);
        }
    }
    Ok(())
}

fn edit(app: &mut App, name: &str, change: impl FnOnce(&mut Blueprint)) {
    app.world_mut().resource_scope(|world, mut document: Mut<Document>| {
        document.edit(world, name, None, change).expect("the graph is right");
    });
}

/// One frame with new pictures on every pin, drawn to its end.
fn frame(app: &mut App, pin: Entity, number: u64, zoom: Option<f32>) {
    let size = UVec2::new(320, 160);
    let stamp = FrameStamp { frame_id: number, captured_at: UnixTime::now(), pts: MediaTime(number * 33_000_000) };
    let data = Bytes::from(vec![(number * 7) as u8; PixelFormat::Rgba8.picture_bytes(size)]);
    let planes = vec![Plane { data, stride: size.x as usize * 4 }];
    let picture = VideoFrame::new(stamp, PixelFormat::Rgba8, size, ColorInfo::BT709, planes).expect("as many bytes as it has");
    if let Some(slot) = app.world().get::<PinFrame>(pin) {
        slot.submit(picture.into());
    }
    let mut editor = app.world_mut().resource_mut::<Editor>();
    editor.canvas.show_all = zoom.is_none();
    if let Some(zoom) = zoom {
        editor.canvas.view.zoom = zoom;
    }
    app.update();
    let device = app.world().resource::<RenderDevice>().wgpu_device().clone();
    device.poll(wgpu::PollType::wait_indefinitely()).expect("the GPU answers");
}

/// Saves what the editor shows.
fn save(app: &mut App, image: &Handle<Image>, path: &str) {
    use bevy::render::view::screenshot::{Screenshot, save_to_disk};
    app.world_mut().spawn(Screenshot::image(image.clone())).observe(save_to_disk(std::path::PathBuf::from(path)));
    for _ in 0..20 {
        app.update();
        std::thread::sleep(Duration::from_millis(20));
    }
}
