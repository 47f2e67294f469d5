//! What a second eye costs: a scene of a million triangles with shadows, seen by one eye and by two of a head that moves.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_scene --example bench_stereo` chooses its sizes by the adapter;
//! `-- --gpu` has a headset's, whatever the adapter. `-- --passes` prints a table of what each pass takes, under several settings.
//! `-- --pictures FOLDER` writes what the two eyes see, as PNG files; `-- --segments N` has balls of `N` segments around: their number
//! of triangles grows with its square.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

mod passes;
mod scene;
mod stamps;

use bevy::{
    app::PluginsState,
    log::LogPlugin,
    prelude::*,
    render::{
        RenderApp, RenderPlugin,
        pipelined_rendering::PipelinedRenderingPlugin,
        render_asset::RenderAssets,
        renderer::{RenderAdapterInfo, RenderDevice, RenderQueue},
        texture::GpuImage,
    },
    winit::WinitPlugin,
};
use scene::{Eyes, HEADSET, SOFTWARE, Size, move_head, roll_ball, scene, set_eyes};
use stamps::Stamped;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use studio_gpu::{prelude::*, readback::read_rgba};
use studio_graph::prelude::*;
use studio_scene::stereo::{SceneLook, SceneSamples, SceneShading, SceneViewPlugin, StereoTargets};

fn app() -> App {
    let mut app = App::new();
    let window = WindowPlugin { primary_window: None, exit_condition: bevy::window::ExitCondition::DontExit, ..default() };
    app.add_plugins(
        DefaultPlugins
            .build()
            .disable::<WinitPlugin>()
            .disable::<PipelinedRenderingPlugin>()
            .disable::<LogPlugin>()
            .set(RenderPlugin { synchronous_pipeline_compilation: true, ..default() })
            .set(window),
    )
    .add_plugins((GraphPlugin, StudioGpuPlugin, SceneViewPlugin, stamps::plugin));
    app
}

fn finish(app: &mut App) {
    while app.plugins_state() == PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.finish();
    app.cleanup();
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// The time that 95 of 100 frames stay below.
fn percentile_95(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() * 95 / 100).copied().unwrap_or_default()
}

struct Measured {
    /// Frames a second with two frames under way.
    fps: f64,
    /// The GPU's own time of a frame, and what 95 of 100 frames stay below.
    gpu_ms: Option<(f64, f64)>,
    /// From the start of an update to the end of its work on the GPU.
    frame_ms: f64,
    /// An update on the CPU alone.
    cpu_ms: f64,
}

fn measure(app: &mut App, frames: u32, rolls: bool) -> Result<Measured> {
    let device = app.world().resource::<RenderDevice>().wgpu_device().clone();
    let queue = (**app.world().resource::<RenderQueue>().0).clone();
    let stamped = app.world().resource::<Stamped>().clone();
    let update = |app: &mut App, frame: u32| {
        move_head(app.world_mut(), frame);
        if rolls {
            roll_ball(app.world_mut(), frame);
        }
        app.update();
    };
    // Shadow maps in which nothing moves are kept after some frames.
    (0..12).for_each(|frame| update(app, frame));
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let (mut frame_ms, mut cpu_ms, mut gpu_ms) = (Vec::new(), Vec::new(), Vec::new());
    for frame in 0..(frames / 2).max(5) {
        let start = Instant::now();
        update(app, frame);
        cpu_ms.push(start.elapsed().as_secs_f64() * 1e3);
        device.poll(wgpu::PollType::wait_indefinitely())?;
        frame_ms.push(start.elapsed().as_secs_f64() * 1e3);
        let intervals = stamped.read(&device).unwrap_or_default();
        gpu_ms.extend(intervals.iter().filter(|(name, _)| *name == "frame").map(|(_, ms)| *ms));
    }
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    for frame in 0..frames as usize {
        while frame >= done.load(Ordering::Acquire) + 2 {
            device.poll(wgpu::PollType::Poll)?;
            std::thread::yield_now();
        }
        update(app, frame as u32);
        let done = done.clone();
        queue.on_submitted_work_done(move || {
            done.fetch_add(1, Ordering::AcqRel);
        });
    }
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let fps = f64::from(frames) / start.elapsed().as_secs_f64();
    let gpu_ms = (!gpu_ms.is_empty()).then(|| (median(gpu_ms.clone()), percentile_95(gpu_ms)));
    Ok(Measured { fps, gpu_ms, frame_ms: median(frame_ms), cpu_ms: median(cpu_ms) })
}

/// Writes what the eyes see.
fn save_pictures(app: &mut App, folder: &Path, name: &str) -> Result {
    let targets = app.world_mut().query::<&StereoTargets>().single(app.world())?.clone();
    let device = app.world().resource::<RenderDevice>().wgpu_device().clone();
    let queue = (**app.world().resource::<RenderQueue>().0).clone();
    for (eye, target) in [("left", &targets.left), ("right", &targets.right)] {
        let Some(handle) = target.as_image() else { continue };
        let images = app.sub_app(RenderApp).world().resource::<RenderAssets<GpuImage>>();
        let Some(image) = images.get(handle) else { continue };
        let rgba = read_rgba(&device, &queue, &image.texture)?;
        let path = folder.join(format!("{name}-{eye}.png"));
        image::save_buffer(path, &rgba, image.texture.width(), image.texture.height(), image::ColorType::Rgba8)?;
    }
    Ok(())
}

fn compare_eyes(size: Size, software: bool, look: SceneLook, pictures: Option<&Path>) -> Result {
    let mut app = app();
    finish(&mut app);
    let adapter = app.world().resource::<RenderAdapterInfo>().0.clone();
    let triangles = scene(app.world_mut(), size, look);
    // Meshes and pipelines come with the first frames.
    (0..3).for_each(|_| app.update());
    let label = format!("{:?}", look.samples);
    let shading = format!("{:?}", look.shading);
    let mut seconds = Vec::new();
    for (motion, rolls) in [("head", false), ("head and an object", true)] {
        let mut measured = Vec::new();
        let own = Eyes::TwoWithShadowsOfTheirOwn;
        for (name, eyes) in [("mono", Eyes::One), ("stereo", Eyes::Two), ("stereo, shadows drawn twice", own)] {
            set_eyes(app.world_mut(), eyes);
            let result = measure(&mut app, size.frames, rolls)?;
            println!(
                "{}",
                serde_json::json!({
                    "name": name, "moves": motion, "adapter": adapter.name, "width": size.eye.x, "height": size.eye.y,
                    "triangles": triangles, "samples": label, "shading": shading, "fps": result.fps,
                    "gpu_ms": result.gpu_ms.map(|(ms, _)| ms), "gpu_ms_95": result.gpu_ms.map(|(_, ms)| ms),
                    "frame_ms": result.frame_ms, "cpu_ms": result.cpu_ms,
                })
            );
            measured.push(result);
            if let (Some(folder), Eyes::Two, false) = (pictures, eyes, rolls) {
                save_pictures(&mut app, folder, &format!("{shading}-samples-{label}"))?;
            }
        }
        let [mono, stereo, twice] = &measured[..] else { return Ok(()) };
        let share = |two: &Measured| {
            let time = |measured: &Measured| measured.gpu_ms.map_or(1e3 / measured.fps, |(ms, _)| ms);
            time(two) / time(mono) - 1.0
        };
        seconds.push((share(stereo), share(twice), stereo.fps));
    }
    // Where nothing but the head moves, neither eye draws shadows, and the eyes cost the same.
    let [(still, _, fps), (moving, moving_twice, moving_fps)] = seconds[..] else { return Ok(()) };
    println!(
        "{}",
        serde_json::json!({
            "name": "second eye", "samples": label, "shading": shading, "ratio_head_moves": still, "ratio_object_moves": moving,
            "ratio_object_moves_shadows_drawn_twice": moving_twice, "limit_ratio_object_moves": 1.0, "fps": fps,
            "fps_object_moves": moving_fps, "limit_fps": 90.0, "passed": moving < 1.0 && (software || fps >= 90.0),
        })
    );
    Ok(())
}

fn main() -> Result {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let pictures = arguments.iter().position(|argument| argument == "--pictures").and_then(|at| arguments.get(at + 1));
    let pictures = pictures.map(Path::new);
    let software = !has("--gpu") && {
        let mut app = app();
        finish(&mut app);
        app.world().resource::<RenderAdapterInfo>().0.device_type == wgpu::DeviceType::Cpu
    };
    let mut size = if software { SOFTWARE } else { HEADSET };
    let segments = arguments.iter().position(|argument| argument == "--segments").and_then(|at| arguments.get(at + 1));
    if let Some(segments) = segments.and_then(|segments| segments.parse().ok()) {
        size.segments = segments;
    }
    if has("--passes") {
        return passes::table(size, pictures);
    }
    let one = SceneLook { samples: SceneSamples::One, ..default() };
    for look in [SceneLook { shading: SceneShading::Deferred, ..one }, one, SceneLook::default()] {
        compare_eyes(size, software, look, pictures)?;
    }
    Ok(())
}
