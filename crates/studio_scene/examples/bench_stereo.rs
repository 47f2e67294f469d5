//! What a second eye costs: a scene of a million triangles with shadows, seen by one eye and by two.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_scene --example bench_stereo` chooses its sizes by the adapter;
//! `-- --gpu` has a headset's, whatever the adapter.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{
    app::PluginsState,
    camera::RenderTarget,
    log::LogPlugin,
    prelude::*,
    render::{
        RenderPlugin,
        pipelined_rendering::PipelinedRenderingPlugin,
        renderer::{RenderAdapterInfo, RenderDevice, RenderQueue},
    },
    winit::WinitPlugin,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use studio_gpu::prelude::*;
use studio_graph::prelude::*;
use studio_scene::stereo::{Eye, EyeView, SceneLook, SceneSamples, SceneViewPlugin, SharesShadowsOf, StereoRig, StereoTargets};

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    eye: UVec2,
    /// Objects along each side of the field of objects.
    side: u32,
    /// Segments around each object's ball, of half as many rings.
    segments: u32,
    frames: u32,
}

const HEADSET: Size = Size { eye: UVec2::new(2064, 2208), side: 8, segments: 128, frames: 300 };
const SOFTWARE: Size = Size { eye: UVec2::new(258, 276), side: 8, segments: 24, frames: 6 };

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
    .add_plugins((GraphPlugin, StudioGpuPlugin, SceneViewPlugin));
    while app.plugins_state() == PluginsState::Adding {
        std::thread::sleep(Duration::from_millis(1));
    }
    app.finish();
    app.cleanup();
    app
}

/// Balls of eight materials on a floor, a sun and two lamps with shadows, and a rig among them. Returns the triangles.
fn scene(world: &mut World, size: Size, look: SceneLook) -> u32 {
    let ball = Sphere::new(0.45).mesh().uv(size.segments, size.segments / 2);
    let triangles_of_ball = ball.indices().map_or(0, |indices| indices.len() as u32 / 3);
    // A mesh for each row, so that not all of it is one instanced draw.
    let balls: Vec<Handle<Mesh>> = (0..size.side).map(|_| world.resource_mut::<Assets<Mesh>>().add(ball.clone())).collect();
    let floor = world.resource_mut::<Assets<Mesh>>().add(Plane3d::default().mesh().size(60.0, 60.0).build());
    let materials: Vec<Handle<StandardMaterial>> = (0..8_u32)
        .map(|index| {
            world.resource_mut::<Assets<StandardMaterial>>().add(StandardMaterial {
                base_color: Color::hsl(index as f32 * 45.0, 0.7, 0.5),
                perceptual_roughness: 0.1 + 0.1 * index as f32,
                metallic: if index % 2 == 0 { 0.0 } else { 1.0 },
                ..default()
            })
        })
        .collect();
    let grey = world.resource_mut::<Assets<StandardMaterial>>().add(Color::srgb(0.4, 0.4, 0.4));
    world.spawn((Mesh3d(floor), MeshMaterial3d(grey), Transform::from_xyz(0.0, -1.0, -8.0)));
    for (row, ball) in balls.iter().enumerate() {
        for column in 0..size.side {
            let place =
                Vec3::new(column as f32 - size.side as f32 / 2.0 + 0.5, (row % 2) as f32 * 0.6 - 0.5, -3.0 - row as f32 * 1.2);
            let material = &materials[(row + column as usize) % materials.len()];
            world.spawn((Mesh3d(ball.clone()), MeshMaterial3d(material.clone()), Transform::from_translation(place)));
        }
    }
    let sun = DirectionalLight { illuminance: 3000.0, shadow_maps_enabled: true, ..default() };
    world.spawn((sun, Transform::default().looking_to(Vec3::new(-1.0, -2.0, -1.0), Vec3::Y)));
    let lamp = PointLight { intensity: 400_000.0, range: 20.0, shadow_maps_enabled: true, ..default() };
    world.spawn((lamp, Transform::from_xyz(2.0, 3.0, -5.0)));
    let spot = SpotLight { intensity: 800_000.0, range: 30.0, shadow_maps_enabled: true, outer_angle: 0.6, ..default() };
    world.spawn((spot, Transform::from_xyz(-4.0, 5.0, -2.0).looking_at(Vec3::new(0.0, -1.0, -8.0), Vec3::Y)));
    let target = |world: &mut World| {
        let mut image = Image::new_target_texture(size.eye.x, size.eye.y, wgpu::TextureFormat::Rgba8UnormSrgb, None);
        image.data = None;
        RenderTarget::Image(world.resource_mut::<Assets<Image>>().add(image).into())
    };
    let targets = StereoTargets { left: target(world), right: target(world), order: 0 };
    let aspect = size.eye.x as f32 / size.eye.y as f32;
    let view = EyeView::Symmetric { vertical_deg: 95.0, aspect };
    world.spawn((StereoRig { view, look, ..default() }, targets));
    triangles_of_ball * size.side * size.side + 2
}

/// Which eyes render, and whose shadows they use.
#[derive(Clone, Copy, PartialEq)]
enum Eyes {
    One,
    Two,
    TwoWithShadowsOfTheirOwn,
}

fn set_eyes(world: &mut World, eyes: Eyes) {
    let mut cameras = world.query::<(Entity, &Eye, &mut Camera)>();
    let mut right = None;
    let mut left = None;
    for (entity, eye, mut camera) in cameras.iter_mut(world) {
        if *eye == Eye::Right {
            camera.is_active = eyes != Eyes::One;
            right = Some(entity);
        } else {
            left = Some(entity);
        }
    }
    if let (Some(left), Some(right)) = (left, right) {
        let mut right = world.entity_mut(right);
        if eyes == Eyes::TwoWithShadowsOfTheirOwn {
            right.remove::<SharesShadowsOf>();
        } else {
            right.insert(SharesShadowsOf(left));
        }
    }
}

/// Time stamps around an update's work on the GPU.
struct Stopwatch {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    read: wgpu::Buffer,
    ns_per_tick: f64,
}

impl Stopwatch {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Option<Self> {
        let needed = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS;
        let buffer =
            |usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false });
        device.features().contains(needed).then(|| Self {
            set: device.create_query_set(&wgpu::QuerySetDescriptor { label: None, ty: wgpu::QueryType::Timestamp, count: 2 }),
            resolved: buffer(wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC),
            read: buffer(wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ),
            ns_per_tick: f64::from(queue.get_timestamp_period()),
        })
    }

    fn stamp(&self, device: &wgpu::Device, queue: &wgpu::Queue, index: u32) {
        let mut encoder = device.create_command_encoder(&Default::default());
        encoder.write_timestamp(&self.set, index);
        if index == 1 {
            encoder.resolve_query_set(&self.set, 0..2, &self.resolved, 0);
            encoder.copy_buffer_to_buffer(&self.resolved, 0, &self.read, 0, 16);
        }
        queue.submit([encoder.finish()]);
    }

    fn milliseconds(&self, device: &wgpu::Device) -> Option<f64> {
        self.read.map_async(wgpu::MapMode::Read, .., |_| {});
        device.poll(wgpu::PollType::wait_indefinitely()).ok()?;
        let view = self.read.get_mapped_range(..);
        let ticks: Vec<u64> = view.chunks_exact(8).filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))).collect();
        drop(view);
        self.read.unmap();
        Some(ticks.get(1)?.saturating_sub(*ticks.first()?) as f64 * self.ns_per_tick / 1e6)
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

struct Measured {
    /// Frames a second with two frames under way.
    fps: f64,
    /// The GPU's own time of a frame.
    gpu_ms: Option<f64>,
    /// From the start of an update to the end of its work on the GPU.
    frame_ms: f64,
}

fn measure(app: &mut App, frames: u32) -> Result<Measured> {
    let device = app.world().resource::<RenderDevice>().wgpu_device().clone();
    let queue = (**app.world().resource::<RenderQueue>().0).clone();
    (0..4).for_each(|_| app.update());
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let stopwatch = Stopwatch::new(&device, &queue);
    let (mut frame_ms, mut gpu_ms) = (Vec::new(), Vec::new());
    for _ in 0..(frames / 3).max(5) {
        let start = Instant::now();
        if let Some(stopwatch) = &stopwatch {
            stopwatch.stamp(&device, &queue, 0);
        }
        app.update();
        if let Some(stopwatch) = &stopwatch {
            stopwatch.stamp(&device, &queue, 1);
        }
        device.poll(wgpu::PollType::wait_indefinitely())?;
        frame_ms.push(start.elapsed().as_secs_f64() * 1e3);
        gpu_ms.extend(stopwatch.as_ref().and_then(|stopwatch| stopwatch.milliseconds(&device)));
    }
    let done = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    for frame in 0..frames as usize {
        while frame >= done.load(Ordering::Acquire) + 2 {
            device.poll(wgpu::PollType::Poll)?;
            std::thread::yield_now();
        }
        app.update();
        let done = done.clone();
        queue.on_submitted_work_done(move || {
            done.fetch_add(1, Ordering::AcqRel);
        });
    }
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let fps = f64::from(frames) / start.elapsed().as_secs_f64();
    Ok(Measured { fps, gpu_ms: (!gpu_ms.is_empty()).then(|| median(gpu_ms)), frame_ms: median(frame_ms) })
}

fn main() -> Result {
    for samples in [SceneSamples::One, SceneSamples::Four] {
        let mut app = app();
        let adapter = app.world().resource::<RenderAdapterInfo>().0.clone();
        let software = adapter.device_type == wgpu::DeviceType::Cpu && !std::env::args().any(|argument| argument == "--gpu");
        let size = if software { SOFTWARE } else { HEADSET };
        let triangles = scene(app.world_mut(), size, SceneLook { samples, ..default() });
        // Meshes and pipelines come with the first frames.
        (0..3).for_each(|_| app.update());
        let mut measured = Vec::new();
        for (name, eyes) in
            [("mono", Eyes::One), ("stereo", Eyes::Two), ("stereo, shadows drawn twice", Eyes::TwoWithShadowsOfTheirOwn)]
        {
            set_eyes(app.world_mut(), eyes);
            let result = measure(&mut app, size.frames)?;
            println!(
                "{}",
                serde_json::json!({
                    "name": name, "adapter": adapter.name, "width": size.eye.x, "height": size.eye.y, "triangles": triangles,
                    "samples": format!("{samples:?}"), "fps": result.fps, "gpu_ms": result.gpu_ms, "frame_ms": result.frame_ms,
                })
            );
            measured.push(result);
        }
        let [mono, stereo, twice] = &measured[..] else { return Ok(()) };
        let share = |two: &Measured| {
            let time = |measured: &Measured| measured.gpu_ms.unwrap_or(1e3 / measured.fps);
            time(two) / time(mono) - 1.0
        };
        println!(
            "{}",
            serde_json::json!({
                "name": "second eye", "samples": format!("{samples:?}"), "ratio": share(stereo), "ratio_shadows_drawn_twice": share(twice),
                "limit_ratio": 1.0, "fps": stereo.fps, "limit_fps": 90.0,
                "passed": share(stereo) < 1.0 && (software || stereo.fps >= 90.0),
            })
        );
    }
    Ok(())
}
