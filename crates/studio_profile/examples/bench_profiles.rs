//! What a further headset costs: the GPU's time for its eyes, its textures, and the program's memory.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_profile --example bench_profiles [-- --no-stream]`
//!
//! The source is a picture of the whole sphere at 3840×1920, each headset gets what its profile asks for. With `--no-stream` the
//! eyes' pictures are made but neither coded nor sent, as on machines without GStreamer.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    app::PluginsState, log::LogPlugin, prelude::*, render::pipelined_rendering::PipelinedRenderingPlugin, winit::WinitPlugin,
};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;
use studio_gpu::{StudioGpuPlugin, prelude::*};
use studio_graph::{GraphPlugin, prelude::*};
use studio_media::{capture::TestPatternInput, nodes::StudioMediaPlugin};
use studio_profile::{StudioProfilePlugin, camera::EyeView, library::HeadsetLibrary, plan::PlanRequest, prelude::VirtualCamera};
use studio_stream::nodes::StudioStreamPlugin;
use studio_vision::{
    nodes::{Stitch, StudioVisionPlugin},
    rig::Rig,
    stitch::StitchSettings,
};

const SOURCE: UVec2 = UVec2::new(3840, 1920);
const FRAMES: u64 = 30;
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
    let mut sizes = Vec::new();
    for id in profiles {
        let node = if stream {
            world.spawn(VirtualCamera { profile: (*id).to_owned(), ..default() }).id()
        } else {
            let library = world.resource::<HeadsetLibrary>();
            let profile = library.get(id).ok_or_else(|| library.no_such(id))?;
            let density = SOURCE.x as f32 / 360.0;
            let plan = profile.plan(&PlanRequest { source_px_per_deg: Some(density), codecs: vec![VideoCodec::H264], ..default() })?;
            sizes.push(format!("{}×{}", plan.size.x, plan.size.y));
            let view = EyeView {
                size: plan.size,
                projection: plan.projection,
                stereo: plan.stereo,
                left_fov: *profile.left_fov,
                right_fov: *profile.right_fov,
                ..default()
            };
            world.spawn((view, Watched)).id()
        };
        world.flush();
        connect(world, stitch, "picture", node, "frame")?;
    }
    let start = Instant::now();
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
    let ledger = app.world().resource::<LatencyLedger>().clone();
    let times = |stage: Stage| ledger.stage(stage).map(|summary| (summary.count, summary.p50_ms, summary.p95_ms));
    let pool = app.world().resource::<TexturePool>().stats();
    let (views, p50_ms, p95_ms) = times(Stage("Eye view")).unwrap_or_default();
    let (stitched, stitch_p50_ms, _) = times(Stage::STITCH).unwrap_or_default();
    let coded = times(Stage::ENCODE).unwrap_or_default();
    println!(
        "{}",
        serde_json::json!({
            "name": format!("headsets {}", profiles.len()), "profiles": profiles, "sizes": sizes, "p50_ms": p50_ms, "p95_ms": p95_ms,
            "views": views, "stitched": stitched, "stitch_p50_ms": stitch_p50_ms, "encode_p50_ms": coded.1, "coded": coded.0,
            "pool_mb": pool.used_bytes as f64 / 1e6, "pool_mb_each": pool.used_bytes as f64 / 1e6 / profiles.len().max(1) as f64,
            "resident_mb": resident_mb(), "seconds": seconds, "streamed": stream,
            // The graph before the cameras ran once for each frame.
            "passed": stitched <= FRAMES,
        })
    );
    Ok(())
}

fn main() -> Result {
    let stream = !std::env::args().any(|argument| argument == "--no-stream");
    for count in 0..=PROFILES.len() {
        run(PROFILES.get(..count).unwrap_or_default(), stream)?;
    }
    Ok(())
}
