//! Making an app: with a window or without one, set up for low latency.

use crate::NeuralStudioPlugins;
use bevy::{
    app::AppExit,
    asset::{AssetPlugin, UnapprovedPathMode},
    log::LogPlugin,
    prelude::*,
    render::{
        RenderPlugin,
        error_handler::{RenderErrorHandler, RenderErrorPolicy},
        pipelined_rendering::PipelinedRenderingPlugin,
    },
    window::{ExitCondition, PresentMode, WindowResolution},
    winit::{EventLoopProxyWrapper, UpdateMode, WinitPlugin, WinitSettings, WinitUserEvent},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use studio_gpu::device::{GpuError, HeadlessGpu, render_creation};
use studio_graph::{
    blueprint::asset::BlueprintFolder,
    prelude::*,
    registry::NodeName,
    wake::{StudioWaker, WakeRunnerPlugin},
};
use studio_xr::{Headset, StudioXrPlugin};

/// Whether an app has a window.
#[derive(Clone, Debug, PartialEq)]
pub enum AppWindow {
    /// No window and no display needed: for servers, tests and offline work.
    None,
    /// One window; closing it ends the app.
    Titled {
        /// The title.
        title: String,
        /// Width and height in pixels.
        size: UVec2,
    },
    /// One window that a plugin closes when it wants to, such as an editor that asks before unsaved work is lost.
    Kept {
        /// The title.
        title: String,
        /// Width and height in pixels.
        size: UVec2,
    },
}

impl AppWindow {
    /// A window of 1280×720 where there is a display, none elsewhere.
    pub fn where_possible(title: &str) -> Self {
        if has_display() { Self::Titled { title: title.to_owned(), size: UVec2::new(1280, 720) } } else { Self::None }
    }
}

/// The GPU that an app runs on, known before the first frame.
#[derive(Resource, Clone, Debug)]
pub struct StudioAdapter(pub wgpu::AdapterInfo);

/// Whether a window could be opened.
pub fn has_display() -> bool {
    cfg!(any(windows, target_os = "macos")) || std::env::var_os("DISPLAY").is_some_and(|display| !display.is_empty())
}

/// Makes an app with Bevy's default plugins and [`NeuralStudioPlugins`].
///
/// Rendering is not pipelined: a frame is drawn in the update that received it, which is one frame less latency. A lost
/// GPU is opened again.
///
/// # Errors
/// [`GpuError::NoAdapter`] if there is no GPU, not even a software one.
pub fn app(window: AppWindow) -> Result<App, GpuError> {
    build(window, AssetPlugin::default(), None)
}

/// The same for someone who wears a headset: on the headset's GPU, with [`StudioXrPlugin`]. Where there is no headset, it is an app like
/// any other; [`Headset::status`] says why. With a folder, its assets are taken instead of those of Bevy's `assets`.
///
/// # Errors
/// As [`app()`].
pub fn app_with_headset(window: AppWindow, headset: Headset, asset_folder: Option<&Path>) -> Result<App, GpuError> {
    let folder = asset_folder.map(absolute);
    let assets = folder.as_deref().map_or_else(AssetPlugin::default, assets_in);
    let mut app = build(window, assets, Some(headset))?;
    if folder.is_some() {
        app.insert_resource(BlueprintFolder(folder));
    }
    Ok(app)
}

/// The same, with the assets of a folder instead of Bevy's `assets`.
///
/// # Errors
/// As [`app()`].
pub fn app_in(window: AppWindow, asset_folder: &Path) -> Result<App, GpuError> {
    let folder = absolute(asset_folder);
    let mut app = build(window, assets_in(&folder), None)?;
    app.insert_resource(BlueprintFolder(Some(folder)));
    Ok(app)
}

/// Bevy starts a relative folder beside the program, people start it where they are.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

fn assets_in(folder: &Path) -> AssetPlugin {
    // Blueprints of other folders name their own assets, which lie beside them.
    let elsewhere = UnapprovedPathMode::Allow;
    AssetPlugin { file_path: folder.display().to_string(), unapproved_path_mode: elsewhere, ..default() }
}

fn build(window: AppWindow, assets: AssetPlugin, headset: Option<Headset>) -> Result<App, GpuError> {
    let adapter = match headset.as_ref().and_then(Headset::adapter) {
        Some(adapter) => adapter,
        None => HeadlessGpu::open()?.adapter,
    };
    let render = headset.as_ref().map_or_else(
        || RenderPlugin { render_creation: render_creation(), synchronous_pipeline_compilation: true, ..default() },
        Headset::render_plugin,
    );
    let mut app = App::new();
    app.insert_resource(StudioAdapter(adapter));
    let defaults = DefaultPlugins
        .build()
        .disable::<PipelinedRenderingPlugin>()
        .set(assets)
        .set(render)
        .set(LogPlugin {
            filter: format!(
                "warn,{}=info,neural_studio=info,studio_frame=info,studio_graph=info,studio_gpu=info,studio_media=info,\
                 studio_vision=info,studio_stream=info,studio_view=info,\
                 studio_usd=info,studio_scene=info,studio_profile=info,studio_xr=info,moq_net=error,wgpu_hal=error,wgpu_core=error,calloop=error",
                program_name()
            ),
            ..default()
        });
    match window {
        AppWindow::None => {
            let no_window = WindowPlugin { primary_window: None, exit_condition: ExitCondition::DontExit, ..default() };
            app.add_plugins(defaults.set(no_window).disable::<WinitPlugin>()).add_plugins(WakeRunnerPlugin::default());
        }
        AppWindow::Titled { .. } | AppWindow::Kept { .. } => {
            let close_when_requested = matches!(window, AppWindow::Titled { .. });
            let (AppWindow::Titled { title, size } | AppWindow::Kept { title, size }) = window else { return Ok(app) };
            let window = Window {
                title,
                resolution: WindowResolution::new(size.x, size.y),
                present_mode: PresentMode::AutoNoVsync,
                ..default()
            };
            // Tests and embedders may run the event loop on a thread of its own where the system can.
            let winit = WinitPlugin { run_on_any_thread: cfg!(any(target_os = "linux", windows)) };
            app.add_plugins(defaults.set(winit).set(WindowPlugin {
                primary_window: Some(window),
                close_when_requested,
                ..default()
            }))
            .insert_resource(WinitSettings::desktop_app())
            .add_systems(Startup, wake_event_loop)
            .add_systems(Last, sleep_until_deadline);
        }
    }
    app.set_error_handler(bevy::ecs::error::warn)
        .insert_resource(RenderErrorHandler(recover_gpu))
        .insert_resource(ClearColor(Color::BLACK))
        .add_plugins(NeuralStudioPlugins);
    if let Some(headset) = headset {
        app.add_plugins(StudioXrPlugin(headset));
    }
    Ok(app)
}

/// The name under which the program's own messages are logged.
fn program_name() -> String {
    let program = std::env::current_exe().ok();
    let name = program.as_deref().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str());
    let name = name.unwrap_or("neural_studio");
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

/// Has the event loop run an update whenever the studio is woken.
fn wake_event_loop(waker: Res<StudioWaker>, event_loop: Res<EventLoopProxyWrapper>) {
    let event_loop = (**event_loop).clone();
    // The loop is gone only when the app ends.
    waker.on_wake(move || event_loop.send_event(WinitUserEvent::WakeUp).unwrap_or_default());
}

/// Has the event loop sleep no longer than to the studio's next deadline.
fn sleep_until_deadline(waker: Res<StudioWaker>, mut settings: ResMut<WinitSettings>) {
    const IDLE: Duration = Duration::from_millis(50);
    let mode = UpdateMode::reactive(waker.time_to_deadline(IDLE));
    *settings = WinitSettings { focused_mode: mode, unfocused_mode: mode };
}

/// A lost device is opened again; anything else is a fault of one frame and was logged.
fn recover_gpu(error: &bevy::render::error_handler::RenderError, _main: &mut World, _render: &mut World) -> RenderErrorPolicy {
    match error.ty {
        bevy::render::error_handler::ErrorType::DeviceLost => RenderErrorPolicy::Recover(render_creation()),
        _ => RenderErrorPolicy::Ignore,
    }
}

/// Makes an app as the command line asks: `--headless` opens no window, `--frames N` ends after N updates that showed
/// something new. For examples and small tools.
///
/// # Errors
/// As [`app()`].
pub fn app_from_args(title: &str) -> Result<App, GpuError> {
    from_args(title, app)
}

/// The same for someone who wears a headset.
///
/// # Errors
/// As [`app_with_headset`].
pub fn headset_app_from_args(title: &str, headset: Headset) -> Result<App, GpuError> {
    from_args(title, |window| app_with_headset(window, headset, None))
}

fn from_args(title: &str, make: impl FnOnce(AppWindow) -> Result<App, GpuError>) -> Result<App, GpuError> {
    let arguments: Vec<String> = std::env::args().collect();
    let headless = arguments.iter().any(|argument| argument == "--headless");
    let frames = arguments.iter().position(|argument| argument == "--frames").and_then(|at| arguments.get(at + 1)?.parse().ok());
    let mut app = make(if headless { AppWindow::None } else { AppWindow::where_possible(title) })?;
    if let Some(frames) = frames {
        app.insert_resource(FrameLimit { frames, started: Instant::now() })
            .add_systems(Update, stop_after_frames.in_set(StudioSystems::Report));
    }
    Ok(app)
}

/// Ends the app after so many frames.
#[derive(Resource)]
struct FrameLimit {
    frames: u64,
    started: Instant,
}

fn stop_after_frames(limit: Res<FrameLimit>, nodes: Query<(&NodeStatus, &NodeName)>, mut exit: MessageWriter<AppExit>) {
    const PATIENCE: Duration = Duration::from_secs(60);
    let busiest = nodes.iter().filter_map(|(status, _)| match status {
        NodeStatus::Running { frames } => Some(*frames),
        _ => None,
    });
    if busiest.max().is_some_and(|frames| frames >= limit.frames) || nodes.iter().any(|(status, _)| *status == NodeStatus::Ended)
    {
        exit.write(AppExit::Success);
    } else if limit.started.elapsed() > PATIENCE {
        for (status, name) in &nodes {
            error!("{}: {}", name.0, status.error().unwrap_or("no frame came"));
        }
        exit.write(AppExit::error());
    }
}
