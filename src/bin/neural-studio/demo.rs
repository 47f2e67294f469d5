//! `neural-studio demo`: a dual-fisheye recording → stitch → flow → encode → WebTransport → viewer, with a table at the end.

use crate::{
    Failure,
    report::{DemoReport, StudioReport, ViewerReport, complain, resident_mib, say, say_links, stages, write_json},
};
use bevy::{app::AppExit, prelude::*};
use clap::Args;
use neural_studio::{
    app::{app_in, has_display},
    prelude::*,
    quality::{Machine, Quality},
    studio_gpu::device::HeadlessGpu,
    studio_graph::{
        blueprint::{
            Problem,
            overrides::Override,
            problem,
            read::read,
            spawn::{node_named, spawn},
        },
        wake::StudioWaker,
    },
    studio_media::encode::has_hardware_encoder,
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long to stream, in seconds; without it, until the viewer is closed with Q (headless: 20)
    #[arg(long)]
    seconds: Option<f32>,
    /// Open no window, even where there is a display
    #[arg(long)]
    headless: bool,
    /// The fisheye recording: a file or an address
    #[arg(long)]
    source: Option<String>,
    /// The rig that it was shot with: a .rig.ron file or a Hugin project (.pto)
    #[arg(long)]
    rig: Option<PathBuf>,
    /// Address to serve on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Width of the stitched picture in pixels (default: chosen from the GPU)
    #[arg(long)]
    width: Option<u32>,
    /// Frames a second (default: the recording's own, fewer on software Vulkan)
    #[arg(long)]
    rate: Option<f32>,
    /// Bit rate in bits a second (default: chosen from the GPU)
    #[arg(long)]
    bitrate: Option<u32>,
    /// Video codec
    #[arg(long, value_enum, default_value = "h264")]
    codec: Codec,
    /// Word that viewers must know
    #[arg(long)]
    token: Option<String>,
    /// Folder for the recording, the viewer's picture and the report
    #[arg(long, default_value = "out")]
    out: PathBuf,
    /// Start no viewer; print the link for one
    #[arg(long)]
    no_view: bool,
    /// Frames that the viewer draws between received ones
    #[arg(long, value_enum, default_value = "on")]
    generate: crate::view::Generate,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Codec {
    H264,
    H265,
    Av1,
}

/// The demo's graph, in the folder of the shipped assets.
const BLUEPRINT: &str = "live360.blueprint.ron";

/// What the demo's systems share.
#[derive(Resource)]
struct Demo {
    args: DemoArgs,
    source: Entity,
    output: Entity,
    viewer: Option<Child>,
    streaming_since: Option<Instant>,
    resident_at_start: Option<f32>,
    said_link: bool,
}

pub fn run(args: DemoArgs) -> Result<(), Failure> {
    let gpu = HeadlessGpu::open()?;
    std::fs::create_dir_all(&args.out).map_err(|error| format!("the folder {} cannot be made: {error}", args.out.display()))?;
    // A report of an earlier run must not be taken for this one's.
    for stale in ["viewer.json", "viewer.png", "report.json"] {
        std::fs::remove_file(args.out.join(stale)).ok();
    }
    let assets = asset_folder();
    let rig = Rig::read(&args.rig.clone().unwrap_or_else(|| assets.join("rigs/gear360.rig.ron")))?;
    let source_size = UVec2::from(rig.pictures[0].size_px);
    let machine = Machine {
        device_type: gpu.adapter.device_type,
        max_side_px: gpu.device.limits().max_texture_dimension_2d,
        hardware_encoder: has_hardware_encoder(args.codec.into())?,
    };
    let adapter = gpu.adapter.name.clone();
    drop(gpu);
    let mut quality = Quality::choose(&machine, source_size);
    if let Some(width) = args.width {
        quality.picture_size = UVec2::new(width, width / 2);
    }
    if args.rate.is_some() {
        quality.frame_rate_hz = args.rate;
    }
    if let Some(bitrate_bps) = args.bitrate {
        quality.bitrate_bps = bitrate_bps;
    }
    let recording = args.out.join("demo.mp4");
    say(&format!("{adapter}: preset {}, {} → {}", quality.name, source_size, quality.picture_size));
    say(&format!("blueprint {}", assets.join(BLUEPRINT).display()));

    let rig = args.rig.is_some().then_some(rig);
    let mut app = app_in(AppWindow::None, &assets)?;
    let demo = build_graph(&mut app, args, &assets, rig, &quality, &recording)?;
    app.insert_resource(demo).add_systems(
        Update,
        (start_viewer, stop_when_done).chain().in_set(StudioSystems::Report).run_if(resource_exists::<Demo>),
    );
    let start = Instant::now();
    let outcome = drive(&mut app);
    let report = finish(&mut app, adapter, quality, start)?;
    say(&report.table());
    outcome?;
    if report.studio.encoded == 0 {
        return Err("no frame went through: see the messages above".into());
    }
    Ok(())
}

/// Runs the app and keeps it, so that its figures can be read afterwards.
fn drive(app: &mut App) -> Result<(), Failure> {
    let waker = app.world().resource::<StudioWaker>().clone();
    app.finish();
    app.cleanup();
    loop {
        app.update();
        match app.should_exit() {
            Some(AppExit::Success) => return Ok(()),
            Some(AppExit::Error(_)) => return Err("the demo ended with an error: see the messages above".into()),
            None => waker.wait(Duration::from_millis(20)),
        }
    }
}

/// Spawns the shipped blueprint with what the command line and the machine ask for in place of its own settings.
fn build_graph(
    app: &mut App,
    args: DemoArgs,
    folder: &Path,
    rig: Option<Rig>,
    quality: &Quality,
    recording: &Path,
) -> Result<Demo, Failure> {
    let file = folder.join(BLUEPRINT);
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (mut blueprint, problems) = read(&text);
    let refused = |problems: &[Problem]| format!("{}:\n{}", file.display(), problem::list(problems));
    if problem::has_errors(&problems) {
        return Err(refused(&problems).into());
    }
    let UVec2 { x: width, y: height } = quality.picture_size;
    let mut overrides = vec![
        Override::new("stitch", "settings.size_px", format!("({width}, {height})")),
        Override::new("flow", "quality", format!("{:?}", quality.flow)),
        Override::new("encoder", "codec", format!("{:?}", VideoCodec::from(args.codec))),
        Override::new("encoder", "bitrate_bps", quality.bitrate_bps),
        Override::new("encoder", "frame_rate_hz", format!("{:?}", quality.frame_rate_hz.unwrap_or(30.0))),
        Override::new("stream", "bind", args.bind),
        Override::new("recorder", "path", recording.display()),
    ];
    if let Some(source) = &args.source {
        // The program's own folder counts on its command line, not the blueprint's.
        let here = Path::new(source).canonicalize().map_or_else(|_| source.clone(), |path| path.display().to_string());
        overrides.push(Override::new("clip", "source", here));
    }
    if let Some(rate_hz) = quality.frame_rate_hz {
        overrides.push(Override::new("clip", "picture.rate_hz", format!("{rate_hz:?}")));
    }
    if let Some(token) = &args.token {
        overrides.push(Override::new("stream", "token", format!("{token:?}")));
    }
    if let Some(rig) = &rig {
        overrides.push(Override::new("stitch", "pictures", rig.pictures.len()));
    }
    {
        let registry = app.world().resource::<AppTypeRegistry>().read();
        for given in &overrides {
            given.apply(&mut blueprint, &registry)?;
        }
    }
    let world = app.world_mut();
    let root = spawn(world, &blueprint, Some(folder.to_owned())).map_err(|problems| refused(&problems))?;
    let named = |world: &World, name: &str| {
        node_named(world, root, name)
            .ok_or_else(|| format!("{}: there is no node “{name}”, which the demo needs", file.display()))
    };
    let (source, output) = (named(world, "clip")?, named(world, "stream")?);
    if let Some(rig) = rig {
        let stitch = named(world, "stitch")?;
        let rig = world.resource_mut::<Assets<Rig>>().add(rig);
        if let Some(mut stitch) = world.get_mut::<Stitch>(stitch) {
            stitch.rig = rig;
        }
    }
    Ok(Demo { args, source, output, viewer: None, streaming_since: None, resident_at_start: None, said_link: false })
}

/// Starts the viewer as a program of its own once the server listens.
fn start_viewer(
    mut demo: ResMut<Demo>,
    outputs: Query<&WebTransportStatus>,
    nodes: Query<&NodeStatus>,
    mut exit: MessageWriter<AppExit>,
) {
    for node in [demo.source, demo.output] {
        if let Some(error) = nodes.get(node).ok().and_then(NodeStatus::error) {
            complain(error);
            exit.write(AppExit::error());
            return;
        }
    }
    if demo.said_link {
        return;
    }
    let Ok(status) = outputs.get(demo.output) else { return };
    let Some(link) = status.viewer_link.clone() else { return };
    demo.said_link = true;
    demo.streaming_since = Some(Instant::now());
    say_links(status);
    if demo.args.no_view {
        return;
    }
    match viewer_command(&demo.args, &link).and_then(|mut command| command.spawn()) {
        Ok(child) => demo.viewer = Some(child),
        Err(error) => {
            complain(&format!("the viewer cannot be started: {error}"));
            exit.write(AppExit::error());
        }
    }
}

fn viewer_command(args: &DemoArgs, link: &str) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["view", link, "--quiet", "--report"])
        .arg(args.out.join("viewer.json"))
        .arg("--picture")
        .arg(args.out.join("viewer.png"));
    let headless = args.headless || !has_display();
    if headless {
        command.arg("--headless");
    }
    if let Some(seconds) = args.seconds.or(headless.then_some(20.0)) {
        command.args(["--seconds", &seconds.to_string()]);
    }
    command.args(["--generate", args.generate.name()]).stdin(Stdio::null());
    Ok(command)
}

/// Ends the demo when the viewer has ended, or when its time is up and there is none.
fn stop_when_done(mut demo: ResMut<Demo>, mut exit: MessageWriter<AppExit>) {
    let Some(since) = demo.streaming_since else { return };
    if demo.resident_at_start.is_none() && since.elapsed() > Duration::from_secs(3) {
        demo.resident_at_start = resident_mib();
    }
    let grace = Duration::from_secs(30);
    let time_is_up = demo.args.seconds.is_some_and(|seconds| {
        since.elapsed() > Duration::from_secs_f32(seconds.max(0.0)) + if demo.viewer.is_some() { grace } else { Duration::ZERO }
    });
    let ended = demo.viewer.as_mut().map(Child::try_wait);
    match ended {
        Some(Ok(Some(status))) if status.success() => drop(exit.write(AppExit::Success)),
        Some(Ok(Some(status))) => {
            complain(&format!("the viewer ended with {status}"));
            exit.write(AppExit::error());
        }
        _ if time_is_up => drop(exit.write(AppExit::Success)),
        _ => {}
    }
}

fn finish(app: &mut App, adapter: String, quality: Quality, start: Instant) -> Result<DemoReport, Failure> {
    let Some(demo) = app.world_mut().remove_resource::<Demo>() else { return Err("the demo lost its state".into()) };
    if let Some(mut viewer) = demo.viewer {
        // It has ended by itself unless its time was up; then it must not outlive the demo.
        viewer.kill().ok();
        viewer.wait().ok();
    }
    let world = app.world_mut();
    let source = world.get::<SourceStats>(demo.source).copied().unwrap_or_default();
    let encoded = world.query::<&PacketBus>().iter(world).next().map(PacketBus::stats).unwrap_or_default();
    let recording =
        world.query::<&RecorderStatus>().iter(world).next().and_then(|status| Some(status.path.as_ref()?.display().to_string()));
    let seconds = demo.streaming_since.unwrap_or(start).elapsed().as_secs_f32();
    let studio = StudioReport {
        adapter,
        quality,
        seconds,
        stages: stages(world.resource::<LatencyLedger>()),
        captured: source.captured,
        dropped: source.dropped + encoded.dropped,
        encoded: encoded.items,
        bitrate_bps: encoded.bytes as f64 * 8.0 / f64::from(seconds.max(0.001)),
        copies_per_frame: world.resource::<CopyCounters>().mean_per_frame(),
        recording: recording.unwrap_or_default(),
        resident_mib: demo.resident_at_start.zip(resident_mib()).map(|(first, last)| [first, last]),
    };
    // Despawning the nodes closes the recording and the stream before the figures are printed.
    let nodes: Vec<Entity> = world.query_filtered::<Entity, With<NodeStatus>>().iter(world).collect();
    for node in nodes {
        world.despawn(node);
    }
    app.update();
    let viewer_report = demo.args.out.join("viewer.json");
    let viewer = match std::fs::read(&viewer_report) {
        Ok(json) if !demo.args.no_view => serde_json::from_slice(&json)?,
        _ => ViewerReport::default(),
    };
    let report = DemoReport { studio, viewer };
    write_json(&demo.args.out.join("report.json"), &report)?;
    say(&format!("left in {}: {}, viewer.png, report.json", demo.args.out.display(), report.studio.recording));
    Ok(report)
}

/// The folder of the shipped assets: beside the program, in the working folder, or in the source tree.
fn asset_folder() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("assets")));
    let candidates = [beside, Some(PathBuf::from("assets"))];
    let shipped = |folder: &PathBuf| folder.join("rigs").is_dir();
    candidates
        .into_iter()
        .flatten()
        .find(shipped)
        .unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")))
}

impl From<Codec> for VideoCodec {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::H264 => Self::H264,
            Codec::H265 => Self::H265,
            Codec::Av1 => Self::Av1,
        }
    }
}
