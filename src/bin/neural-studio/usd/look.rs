//! `neural-studio usd view`.

use crate::{Failure, report::complain};
use bevy::{
    app::AppExit,
    camera::primitives::Aabb,
    input::mouse::{AccumulatedMouseMotion, AccumulatedMouseScroll},
    prelude::*,
    render::renderer::{RenderDevice, RenderQueue},
};
use clap::Args;
use neural_studio::{
    app::{AppWindow, app_in, has_display},
    prelude::*,
    studio_gpu::readback::read_rgba,
    studio_scene::{
        look::exposure,
        stage::{UsdStageSpace, bounds_below, frame},
        stereo::SceneLook,
    },
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[derive(Args, Clone, Debug)]
#[command(after_help = "Drag with the mouse, or press the arrow keys, to turn; the wheel, or + and -, to come nearer.")]
pub struct ViewArgs {
    /// The scene: .usda, .usdc, .usd or .usdz
    file: PathBuf,
    /// Look through this camera of the scene, such as /World/Camera, rather than at all of it
    #[arg(long, value_name = "PRIM")]
    camera: Option<String>,
    /// The time code to show; the scene stands still then
    #[arg(long, value_name = "CODE", allow_negative_numbers = true)]
    time: Option<f64>,
    /// Width and height of the picture in pixels
    #[arg(long, default_value = "1280x720", value_parser = crate::view::parse_size)]
    size: UVec2,
    /// Write a picture to this file (.png or .jpg), and end
    #[arg(long, value_name = "FILE")]
    screenshot: Option<PathBuf>,
    /// Open no window, even where there is a display
    #[arg(long, requires = "screenshot")]
    headless: bool,
}

/// How long a scene may take until it can be seen.
const PATIENCE: Duration = Duration::from_secs(120);
/// Textures, skies and shaders come one after another: two pictures this far apart are the same when all are there.
const SETTLED: Duration = Duration::from_millis(700);
/// How long it is waited for that.
const SETTLE_AT_MOST: Duration = Duration::from_secs(20);
const VIEWER: &str = "neural-studio viewer";
const FOV_Y: f32 = 0.8;

/// Where the viewer is: about a point, at a distance.
#[derive(Resource)]
struct Viewer {
    args: ViewArgs,
    root: Entity,
    view: Entity,
    started: Instant,
    framed: Option<Instant>,
    about: Vec3,
    yaw: f32,
    pitch: f32,
    distance_m: f32,
    last: Option<(Instant, Vec<u8>)>,
}

pub fn run(args: ViewArgs) -> Result<(), Failure> {
    std::fs::metadata(&args.file).map_err(|error| format!("{}: {error}", args.file.display()))?;
    let named = || format!("{} is not the name of a file", args.file.display());
    let name = args.file.file_name().and_then(|name| name.to_str()).ok_or_else(named)?.to_owned();
    let folder = args.file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let windowed = !args.headless && has_display();
    if !windowed && args.screenshot.is_none() {
        return Err("there is no display to open a window on; --screenshot FILE writes a picture".into());
    }
    let window =
        if windowed { AppWindow::Titled { title: format!("{name} - Neural Studio"), size: args.size } } else { AppWindow::None };
    let mut app = app_in(window, folder)?;
    let stage = app.world().resource::<AssetServer>().load(name);
    let world = app.world_mut();
    let mut root = world.spawn(UsdStageRoot(stage));
    if let Some(time_code) = args.time {
        root.insert(UsdTime { time_code, playing: false, ..default() });
    }
    let root = root.id();
    if args.camera.is_none() {
        let camera = Camera { is_active: false, ..default() };
        let lens = Projection::Perspective(PerspectiveProjection { fov: FOV_Y, ..default() });
        world.spawn((Name::new(VIEWER), Camera3d::default(), camera, lens, exposure(0.0), Orbit));
    }
    let camera = args.camera.clone().unwrap_or_else(|| VIEWER.to_owned());
    let look = SceneLook { background: Color::srgb(0.12, 0.13, 0.15), ..default() };
    let view = world.spawn((SceneView { camera, size: args.size, look, ..default() }, Watched)).id();
    world.flush();
    if windowed {
        let window = world.spawn(WindowOutput::default()).id();
        world.flush();
        connect(world, view, "frame", window, "frame")?;
    }
    app.insert_resource(Viewer {
        args,
        root,
        view,
        started: Instant::now(),
        framed: None,
        about: Vec3::ZERO,
        yaw: 0.5,
        pitch: 0.35,
        distance_m: 1.0,
        last: None,
    })
    .add_systems(Update, (frame_scene, orbit.run_if(resource_exists::<ButtonInput<KeyCode>>), end).chain());
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(_) => Err("the scene was not shown: see the messages above".into()),
    }
}

/// Marks where an orbiting viewer looks from.
#[derive(Component)]
struct Orbit;

/// Updates after which everything drawn has been placed and measured, what joints move last.
const MEASURED_AFTER: u32 = 4;

/// Once the scene is there, puts the viewer where all that is shown of it is seen.
fn frame_scene(
    mut viewer: ResMut<Viewer>,
    mut updates: Local<u32>,
    children: Query<&Children>,
    drawn: Query<(&Aabb, &GlobalTransform, &InheritedVisibility)>,
    mut roots: Query<(&UsdStageRoot, &UsdStageStatus, &UsdStageSpace, &mut UsdTime)>,
    stages: Res<Assets<UsdStage>>,
    mut lens: Query<(&mut Transform, &mut Projection), With<Orbit>>,
    mut views: Query<&mut SceneView>,
) {
    let Ok((root, UsdStageStatus::Ready, space, mut time)) = roots.get_mut(viewer.root) else { return };
    let (None, Some(stage)) = (viewer.framed, stages.get(&root.0)) else { return };
    if viewer.args.screenshot.is_some() {
        // A scene that stands still is the same in two pictures.
        time.playing = false;
    }
    *updates += 1;
    if *updates < MEASURED_AFTER {
        return;
    }
    viewer.framed = Some(Instant::now());
    for issue in stage.issues() {
        complain(&issue.to_string());
    }
    let Ok((mut place, mut projection)) = lens.single_mut() else { return };
    // Of lights alone there is a box too, though nothing is drawn.
    let of_stage = || {
        let bounds = stage.snapshot().world_bound(time.time_code)?;
        let to_world = space.bevy_from_stage();
        let corners = [bounds.min, bounds.max].map(|corner| to_world.transform_point(corner.as_vec3()));
        Some((corners[0].min(corners[1]), corners[0].max(corners[1])))
    };
    let Some(bounds) = bounds_below(viewer.root, &children, &drawn).or_else(of_stage) else {
        complain("there is nothing to see in this scene");
        return;
    };
    viewer.about = (bounds.0 + bounds.1) / 2.0;
    let size = viewer.args.size.as_vec2();
    viewer.distance_m = frame(bounds, Vec3::Z, FOV_Y, size.x / size.y).translation.distance(viewer.about);
    *place = viewer.place();
    *projection = Projection::Perspective(PerspectiveProjection { fov: FOV_Y, far: viewer.distance_m * 100.0, ..default() });
    if let Ok(mut view) = views.get_mut(viewer.view) {
        view.near_m = (viewer.distance_m * 0.005).clamp(0.001, 10.0);
    }
}

impl Viewer {
    fn place(&self) -> Transform {
        let turn = Quat::from_euler(EulerRot::YXZ, self.yaw, -self.pitch, 0.0);
        Transform { translation: self.about + turn * Vec3::Z * self.distance_m, rotation: turn, scale: Vec3::ONE }
    }
}

/// Turns about the scene, and comes nearer.
fn orbit(
    mut viewer: ResMut<Viewer>,
    mut places: Query<&mut Transform, With<Orbit>>,
    keys: Res<ButtonInput<KeyCode>>,
    buttons: Res<ButtonInput<MouseButton>>,
    dragged: Res<AccumulatedMouseMotion>,
    scrolled: Res<AccumulatedMouseScroll>,
    time: Res<Time>,
) {
    let pressed = |more: &[KeyCode], less: &[KeyCode]| {
        f32::from(u8::from(keys.any_pressed(more.iter().copied()))) - f32::from(u8::from(keys.any_pressed(less.iter().copied())))
    };
    let step = time.delta_secs();
    let mut turn =
        Vec2::new(pressed(&[KeyCode::ArrowRight], &[KeyCode::ArrowLeft]), pressed(&[KeyCode::ArrowUp], &[KeyCode::ArrowDown]))
            * step;
    if buttons.pressed(MouseButton::Left) {
        turn += dragged.delta * Vec2::new(-0.006, 0.006);
    }
    let plus = [KeyCode::Equal, KeyCode::NumpadAdd];
    let nearer = pressed(&plus, &[KeyCode::Minus, KeyCode::NumpadSubtract]) * step + scrolled.delta.y * 0.1;
    if turn == Vec2::ZERO && nearer == 0.0 {
        return;
    }
    viewer.yaw += turn.x;
    viewer.pitch = (viewer.pitch + turn.y).clamp(-1.55, 1.55);
    viewer.distance_m *= (-nearer.clamp(-1.0, 1.0)).exp();
    if let Ok(mut place) = places.single_mut() {
        *place = viewer.place();
    }
}

/// Ends the program: when the scene cannot be shown, and when the picture that was asked for is there.
fn end(
    mut viewer: ResMut<Viewer>,
    stages: Query<&UsdStageStatus>,
    nodes: Query<(&NodeStatus, &Pins)>,
    frames: Query<&PinFrame>,
    device: Res<RenderDevice>,
    queue: Res<RenderQueue>,
    mut exit: MessageWriter<AppExit>,
) {
    let node = nodes.get(viewer.view).ok();
    let failure = match (stages.get(viewer.root), node) {
        (Ok(UsdStageStatus::Failed { error }), _) if viewer.framed.is_none() => Some(error.clone()),
        (_, Some((status, _))) if status.error().is_some() => status.error().map(str::to_owned),
        _ if viewer.framed.is_none() && viewer.started.elapsed() > PATIENCE => {
            Some(format!("the scene was not there within {} s", PATIENCE.as_secs()))
        }
        _ => None,
    };
    if let Some(failure) = failure {
        complain(&failure);
        exit.write(AppExit::error());
        return;
    }
    let (Some(path), Some(framed)) = (viewer.args.screenshot.clone(), viewer.framed) else { return };
    if viewer.last.as_ref().map_or(framed, |(taken, _)| *taken).elapsed() < SETTLED {
        return;
    }
    let newest = node.and_then(|(_, pins)| pins.iter().find_map(|pin| frames.get(pin).ok())).and_then(PinFrame::get);
    let Some(newest) = newest else { return };
    let Ok(rgba) = read_rgba(device.wgpu_device(), &queue.0, &newest.picture.planes[0]) else { return };
    let settled = viewer.last.as_ref().is_some_and(|(_, before)| *before == rgba) || framed.elapsed() > SETTLE_AT_MOST;
    if !settled {
        viewer.last = Some((Instant::now(), rgba));
        return;
    }
    let size = newest.picture.size;
    let picture = image::RgbaImage::from_raw(size.x, size.y, rgba).map(image::DynamicImage::ImageRgba8);
    match picture.map(|picture| picture.to_rgb8().save(&path)) {
        Some(Ok(())) => {
            exit.write(AppExit::Success);
        }
        Some(Err(error)) => {
            complain(&format!("{} cannot be written: {error}", path.display()));
            exit.write(AppExit::error());
        }
        None => {}
    }
}
