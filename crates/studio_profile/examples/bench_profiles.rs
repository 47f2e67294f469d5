//! What a further headset costs: the GPU's time for its eyes, its textures, and the program's memory.
//!
//! Prints one JSON object a line: none to three headsets, each number of them in a process of its own, and what each headset
//! added. `cargo run --release -p studio_profile --example bench_profiles [-- --no-stream]`
//!
//! The source is a picture of the whole sphere at 3840×1920, each headset gets what its profile asks for. With `--no-stream` the
//! eyes' pictures are made but neither coded nor sent, as on machines without GStreamer. The GPU's times are from its own
//! timestamps, so that a build without optimisation tells them too; the other times are not.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    app::PluginsState, log::LogPlugin, prelude::*, render::pipelined_rendering::PipelinedRenderingPlugin, winit::WinitPlugin,
};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::{StudioGpuPlugin, prelude::*, timer::NodeTimes};
use studio_graph::{GraphPlugin, prelude::*};
use studio_media::{capture::TestPatternInput, nodes::StudioMediaPlugin};
use studio_profile::{
    StudioProfilePlugin,
    camera::{CameraNodes, EyeView, VirtualCamera},
    library::HeadsetLibrary,
    plan::PlanRequest,
};
use studio_stream::nodes::StudioStreamPlugin;
use studio_vision::{
    nodes::{Stitch, StudioVisionPlugin},
    rig::Rig,
    stitch::StitchSettings,
};

const SOURCE: UVec2 = UVec2::new(3840, 1920);
const FRAMES: u64 = 40;
const PROFILES: [&str; 3] = ["quest-3", "valve-index", "generic-flat"];

fn app() -> App {
    let mut app = App::new();
    let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
    let plugins = DefaultPlugins.build().disable::<WinitPlugin>().disable::<PipelinedRenderingPlugin>().disable::<LogPlugin>();
    app.add_plugins(plugins.set(window));
    app.add_plugins((GraphPlugin, StudioGpuPlugin, StudioMediaPlugin, StudioVisionPlugin, StudioStreamPlugin));
    app.add_plugins(StudioProfilePlugin).insert_resource(HeadsetLibrary::with_folder(None));
    app.insert_resource(StudioClock::Offline);
    while app.plugins_state() == PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.finish();
    app.cleanup();
    app
}

/// Resident memory of this program in megabytes; 0 where the system does not say.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1e3
}

fn run(profiles: &[&str], stream: bool) -> Result {
    let mut app = app();
    let world = app.world_mut();
    let rig = Rig::read(Path::new("assets/rigs/gear360.rig.ron"))?;
    let rig = world.resource_mut::<Assets<Rig>>().add(rig);
    let pattern = TestPatternInput { size: UVec2::new(1920, 960), rate_hz: 30.0, frames: Some(FRAMES), flash: false };
    let source = world.spawn(pattern).id();
    let settings = StitchSettings::equirectangular(SOURCE.x, SOURCE.y);
    let stitch = world.spawn(Stitch { rig, pictures: 1, settings, ..default() }).id();
    world.flush();
    connect(world, source, "frame", stitch, "picture 1")?;
    let (mut cameras, mut views) = (Vec::new(), Vec::new());
    for id in profiles {
        let node = if stream {
            world.spawn(VirtualCamera { profile: (*id).to_owned(), ..default() }).id()
        } else {
            let library = world.resource::<HeadsetLibrary>();
            let profile = library.get(id).ok_or_else(|| library.no_such(id))?;
            let density = SOURCE.x as f32 / 360.0;
            let plan =
                profile.plan(&PlanRequest { source_px_per_deg: Some(density), codecs: vec![VideoCodec::H264], ..default() })?;
            let view = EyeView {
                size: plan.size,
                projection: plan.projection,
                stereo: plan.stereo,
                left_fov: *profile.left_fov,
                right_fov: *profile.right_fov,
                ..default()
            };
            let node = world.spawn((view, Watched)).id();
            views.push(node);
            node
        };
        world.flush();
        connect(world, stitch, "picture", node, "frame")?;
        cameras.push(node);
    }
    let start = Instant::now();
    // Without a headset nothing asks for the stitched picture.
    if profiles.is_empty() {
        app.world_mut().entity_mut(stitch).insert(Watched);
    }
    while app.world().get::<NodeStatus>(source) != Some(&NodeStatus::Ended) {
        app.update();
        std::thread::sleep(Duration::from_micros(200));
        if start.elapsed() > Duration::from_secs(300) {
            return Err("the source did not end within 300 s".into());
        }
    }
    for _ in 0..50 {
        app.update();
        std::thread::sleep(Duration::from_millis(2));
    }
    let seconds = start.elapsed().as_secs_f64();
    let world = app.world();
    for camera in cameras {
        views.extend(world.get::<CameraNodes>(camera).and_then(|nodes| nodes.iter().next()));
    }
    let gpu = world.resource::<NodeTimes>().all();
    let view_ms: Vec<f64> = views.iter().map(|view| gpu.get(view).copied().map_or(f64::NAN, f64::from)).collect();
    let size = |view: &Entity| world.get::<EyeView>(*view).map(|view| format!("{}×{}", view.size.x, view.size.y));
    let sizes: Vec<String> = views.iter().filter_map(size).collect();
    let ledger = world.resource::<LatencyLedger>();
    let times = |stage: Stage| ledger.stage(stage).map(|summary| (summary.count, summary.p50_ms)).unwrap_or_default();
    let pool = world.resource::<TexturePool>().stats();
    let stitched = match world.get::<NodeStatus>(stitch) {
        Some(NodeStatus::Running { frames }) => *frames,
        _ => 0,
    };
    let (_, stitch_p50_ms) = times(Stage::STITCH);
    let (coded, encode_p50_ms) = times(Stage::ENCODE);
    println!(
        "{}",
        serde_json::json!({
            "name": format!("headsets {}", profiles.len()), "profiles": profiles, "sizes": sizes, "gpu_ms": view_ms,
            "gpu_ms_all": view_ms.iter().sum::<f64>(), "stitched": stitched, "stitch_p50_ms": stitch_p50_ms,
            "encode_p50_ms": encode_p50_ms, "coded": coded, "pool_mb": pool.used_bytes as f64 / 1e6,
            "resident_mb": resident_mb(), "seconds": seconds, "streamed": stream,
            // The graph before the cameras ran once for each frame.
            "passed": stitched == FRAMES,
        })
    );
    Ok(())
}

/// Runs with so many headsets in a process of its own: what one run leaves behind in memory would count for the next.
fn run_apart(count: usize, stream: bool) -> Result<serde_json::Value> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--headsets", &count.to_string()]).args((!stream).then_some("--no-stream")).stderr(Stdio::inherit());
    let output = command.output()?;
    let said = String::from_utf8(output.stdout)?;
    let line = said.lines().last().filter(|_| output.status.success()).ok_or("the run failed")?;
    println!("{line}");
    Ok(serde_json::from_str(line)?)
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let stream = !arguments.iter().any(|argument| argument == "--no-stream");
    if let Some(place) = arguments.iter().position(|argument| argument == "--headsets") {
        let count: usize = arguments.get(place + 1).ok_or("--headsets wants a number")?.parse()?;
        return run(PROFILES.get(..count).ok_or("there are three headsets")?, stream);
    }
    let mut before = run_apart(0, stream)?;
    for (added, profile) in PROFILES.iter().enumerate() {
        let now = run_apart(added + 1, stream)?;
        let more = |field: &str| Some(now.get(field)?.as_f64()? - before.get(field)?.as_f64()?);
        let (pool_mb, resident_mb, seconds) = (more("pool_mb"), more("resident_mb"), more("seconds"));
        let of_last = |field: &str| now.get(field).and_then(|values| values.get(added)).cloned();
        println!(
            "{}",
            serde_json::json!({
                "name": format!("headset added: {profile}"), "size": of_last("sizes"), "gpu_ms": of_last("gpu_ms"),
                "pool_mb": pool_mb, "resident_mb": resident_mb, "ms_a_frame": seconds.map(|more| more * 1e3 / FRAMES as f64),
            })
        );
        before = now;
    }
    Ok(())
}
