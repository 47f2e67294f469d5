//! `neural-studio view`.

use crate::{
    Failure,
    headset::{self, HeadsetArgs, Projection, Stereo},
    report::{ViewerReport, resident_mib, say, stages, write_json},
};
use bevy::{
    app::AppExit,
    prelude::*,
    render::renderer::{RenderDevice, RenderQueue},
};
use clap::Args;
use neural_studio::{
    app::{StudioAdapter, has_display},
    prelude::*,
    studio_gpu::readback::read_rgba,
    studio_stream::{subscribe::StreamQuality, viewer_link::ViewerLink},
    studio_view::{controls::ViewScale, stats::ViewStats},
    studio_vision::{nodes::SynthesisCounts, synthesis::SynthesisQuality},
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[derive(Args, Clone, Debug)]
pub struct ViewArgs {
    /// The link that the server printed
    link: String,
    /// Open no window; the view goes into the files asked for
    #[arg(long)]
    headless: bool,
    #[command(flatten)]
    headset: HeadsetArgs,
    /// How long to watch, in seconds from the first picture (of a stream of sound alone: from the first sound)
    #[arg(long)]
    seconds: Option<f32>,
    /// How many received pictures to watch
    #[arg(long)]
    frames: Option<u64>,
    /// Give up if neither picture nor sound came within this many seconds
    #[arg(long, default_value_t = 30.0)]
    patience: f32,
    /// How the picture covers the sphere, for a stream that says it wrongly
    #[arg(long, value_enum)]
    projection: Option<Projection>,
    /// Where the eyes' pictures lie, for a stream that says it wrongly
    #[arg(long, value_enum)]
    stereo: Option<Stereo>,
    /// Width and height of the view in pixels, such as 1280x720
    #[arg(long, value_parser = parse_size)]
    size: Option<UVec2>,
    /// Frames drawn between received ones
    #[arg(long, value_enum, default_value = "on")]
    generate: Generate,
    /// Looking direction in degrees to the right
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    yaw: f32,
    /// Looking direction in degrees up
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pitch: f32,
    /// Angle of view in degrees
    #[arg(long, default_value_t = 90.0)]
    fov: f32,
    /// Start without sound; the key M lets it be heard
    #[arg(long)]
    mute: bool,
    /// Volume in percent, from 0 to 400
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(0..=400))]
    volume: u16,
    /// GStreamer sink that plays the sound, such as pulsesink; fakesink plays nothing [default: auto, with --headless and no --xr none]
    #[arg(long)]
    audio_output: Option<String>,
    /// Write the last view as a PNG
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Write a view a second as PNGs into this folder
    #[arg(long)]
    out: Option<PathBuf>,
    /// Record what is received, as it is, into this file (.mp4 or .mkv)
    #[arg(long)]
    record: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long)]
    report: Option<PathBuf>,
    /// Lose this share of the datagrams on purpose, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    simulate_loss: f32,
    /// Hold pictures for so many milliseconds to show them evenly, 0 to 400 [default: as long as their jitter wants]
    #[arg(long, value_name = "MS")]
    target_delay: Option<f32>,
    /// Which rendition to receive: auto (with --record high), low, high, or one by its size such as 1280x640
    #[arg(long, value_name = "QUALITY", default_value = "auto")]
    quality: StreamQuality,
    /// Print no figures at the end
    #[arg(long)]
    quiet: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generate {
    Off,
    On,
    SideBySide,
}

impl Generate {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::SideBySide => "side-by-side",
        }
    }
}

pub fn parse_size(text: &str) -> Result<UVec2, String> {
    let parse = || {
        let (width, height) = text.split_once(['x', '×'])?;
        Some(UVec2::new(width.parse().ok()?, height.parse().ok()?))
    };
    match parse() {
        Some(size) if size.min_element() >= 16 && size.max_element() <= 16_384 => Ok(size),
        _ => Err("give width and height from 16 to 16384, such as 1280x720".to_owned()),
    }
}

/// What the viewer's systems share.
#[derive(Resource)]
struct Viewer {
    args: ViewArgs,
    view: Entity,
    started: Instant,
    first_picture: Option<Instant>,
    pictures_written: u32,
    resident_first_minute: Option<f32>,
    asked_to_leave: Option<Instant>,
}

pub fn run(args: ViewArgs) -> Result<(), Failure> {
    let link: ViewerLink = args.link.parse()?;
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).map_err(|error| format!("the folder {} cannot be made: {error}", folder.display()))?;
    }
    let windowed = !args.headless && has_display();
    if !args.headless && !windowed {
        say("there is no display: watching without a window (--headless says so on purpose)");
    }
    let window = if windowed { AppWindow::where_possible("Neural Studio viewer") } else { AppWindow::None };
    let mut app = if args.headset.xr { headset::app(window, &args.headset)? } else { app(window)? };
    let world = app.world_mut();
    let size = args.size.unwrap_or(if windowed { UVec2::new(1280, 720) } else { UVec2::new(640, 360) });
    let mode = match args.generate {
        Generate::Off => SynthesisMode::Off,
        Generate::On => SynthesisMode::On,
        Generate::SideBySide => SynthesisMode::SideBySide,
    };
    let split = if mode == SynthesisMode::SideBySide { 0.5 } else { 0.0 };
    // A file has pictures of one size.
    let stays = args.record.is_some() && args.quality == StreamQuality::Auto;
    let input = StreamInput {
        link: link.to_string(),
        datagram_loss: args.simulate_loss.clamp(0.0, 1.0),
        target_delay_ms: args.target_delay,
        quality: if stays { StreamQuality::High } else { args.quality.clone() },
        projection: args.projection.map(Into::into),
        stereo: args.stereo.map(Into::into),
        ..default()
    };
    let input = world.spawn(input).id();
    // Software Vulkan has no time for the sharper filter.
    let software = world.resource::<StudioAdapter>().0.device_type == wgpu::DeviceType::Cpu;
    let quality = if software { SynthesisQuality::Fast } else { SynthesisQuality::Sharp };
    let synthesis = world.spawn(FrameSynthesis { mode, quality, ..default() }).id();
    let view = SphereView {
        size,
        yaw_deg: args.yaw,
        pitch_deg: args.pitch.clamp(-90.0, 90.0),
        fov_deg: args.fov.clamp(20.0, 150.0),
        split,
    };
    let view = world.spawn(view).id();
    world.flush();
    connect(world, input, "frame", synthesis, "frame")?;
    connect(world, input, "motion", synthesis, "motion")?;
    connect(world, synthesis, "frame", view, "frame")?;
    connect(world, synthesis, "original", view, "reference")?;
    if args.headset.xr {
        headset::show(world, synthesis, &args.headset)?;
    }
    if windowed {
        if software {
            world.insert_resource(ViewScale(0.5));
        }
        let output = world.spawn(WindowOutput::default()).id();
        world.flush();
        connect(world, view, "view", output, "frame")?;
    }
    if let Some(path) = &args.record {
        let recorder = world.spawn(Recorder { path: path.display().to_string(), ..default() }).id();
        world.flush();
        connect(world, input, "packets", recorder, "packets")?;
    }
    if let Some(provider) = args.audio_output.clone().or_else(|| (windowed || args.headset.xr).then(|| "auto".to_owned())) {
        // It opens the sound card when sound comes, so a stream without sound needs none.
        let gain_db = 20.0 * (f32::from(args.volume) / 100.0).log10().max(-5.0);
        let output = AudioOutput { provider, gain_db, mute: args.mute || args.volume == 0, ..default() };
        let output = world.spawn(output).id();
        world.flush();
        connect(world, input, "audio", output, "audio")?;
    }
    let viewer = Viewer {
        args,
        view,
        started: Instant::now(),
        first_picture: None,
        pictures_written: 0,
        resident_first_minute: None,
        asked_to_leave: None,
    };
    app.insert_resource(viewer).add_systems(Update, watch.in_set(StudioSystems::Report));
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(_) => Err("the viewer ended with an error: see the messages above".into()),
    }
}

/// Writes pictures as they are due, and ends the app when it is time.
fn watch(
    mut viewer: ResMut<Viewer>,
    stats: Res<ViewStats>,
    counts: Res<SynthesisCounts>,
    ledger: Res<LatencyLedger>,
    inputs: Query<(&StreamInputStats, &NodeStatus)>,
    pins: Query<&Pins>,
    frames: Query<&PinFrame>,
    (device, queue): (Res<RenderDevice>, Res<RenderQueue>),
    (headset, status): (Option<Res<Headset>>, Option<Res<HeadsetStatus>>),
    mut exits: ParamSet<(MessageReader<AppExit>, MessageWriter<AppExit>)>,
) {
    let counters = stats.get();
    let heard_only = inputs.iter().any(|(input, _)| input.access_units == 0 && input.audio_units > 0);
    if viewer.first_picture.is_none() && (counters.shown > 0 || heard_only) {
        viewer.first_picture = Some(Instant::now());
    }
    let watched = viewer.first_picture.map_or(Duration::ZERO, |first| first.elapsed());
    if viewer.resident_first_minute.is_none() && watched > Duration::from_secs(3) {
        viewer.resident_first_minute = resident_mib();
    }
    let failure = inputs.iter().find(|(input, _)| input.refused).and_then(|(_, status)| status.error().map(str::to_owned));
    let impatient = viewer.first_picture.is_none() && viewer.started.elapsed().as_secs_f32() > viewer.args.patience;
    let time_is_up =
        viewer.args.seconds.is_some_and(|seconds| watched.as_secs_f32() >= seconds && viewer.first_picture.is_some())
            || viewer.args.frames.is_some_and(|frames| counters.shown >= frames);
    let leaving = exits.p0().read().next().is_some();
    // Who took the headset off for good has watched enough, unless there is a window.
    let phase = status.map(|status| status.phase.clone()).unwrap_or_default();
    let taken_off = phase == HeadsetPhase::Ended;
    let time_is_up = time_is_up || (taken_off && (viewer.args.headless || !has_display()));
    if time_is_up && let (HeadsetPhase::On(_), Some(headset)) = (&phase, headset) {
        // The session ends as OpenXR wants it, if its runtime answers.
        let asked = viewer.asked_to_leave.get_or_insert_with(|| {
            headset.leave();
            Instant::now()
        });
        if asked.elapsed() < Duration::from_secs(3) {
            return;
        }
    }
    let view_node = viewer.view;
    let snapshot = || {
        let view = pins.get(view_node).ok()?.iter().find_map(|pin| frames.get(pin).ok())?.get()?;
        let rgba = read_rgba(device.wgpu_device(), &queue.0, &view.picture.planes[0]).ok()?;
        image::RgbaImage::from_raw(view.picture.size.x, view.picture.size.y, rgba)
    };
    let due = viewer
        .args
        .out
        .clone()
        .filter(|_| watched.as_secs_f32() >= viewer.pictures_written as f32 && viewer.first_picture.is_some());
    // Reading the view back makes the GPU wait: only when a picture is really due.
    if let Some(folder) = due
        && let Some(picture) = snapshot()
    {
        save(&folder.join(format!("view_{:04}.png", viewer.pictures_written)), &picture);
        viewer.pictures_written += 1;
    }
    if !(failure.is_some() || impatient || time_is_up || leaving) {
        return;
    }
    if let Some(path) = &viewer.args.picture
        && let Some(picture) = snapshot()
    {
        save(path, &picture);
    }
    let report = viewer_report(&viewer, &stats, &counts, &ledger, inputs.iter().map(|(input, _)| input));
    if let Some(path) = &viewer.args.report
        && let Err(error) = write_json(path, &report)
    {
        crate::report::complain(&error.to_string());
    }
    if !viewer.args.quiet {
        say_report(&report);
    }
    let failure = failure
        .or_else(|| impatient.then(|| format!("no picture came within {} s: {}", viewer.args.patience, connection(&inputs))));
    match failure {
        Some(failure) => {
            crate::report::complain(&failure);
            exits.p1().write(AppExit::error());
        }
        None if !leaving => drop(exits.p1().write(AppExit::Success)),
        None => {}
    }
}

fn connection(inputs: &Query<(&StreamInputStats, &NodeStatus)>) -> String {
    inputs.iter().map(|(input, _)| input.connection.clone()).collect::<Vec<_>>().join(", ")
}

fn save(path: &Path, picture: &image::RgbaImage) {
    if let Err(error) = picture.save(path) {
        crate::report::complain(&format!("{} cannot be written: {error}", path.display()));
    }
}

fn viewer_report<'a>(
    viewer: &Viewer,
    stats: &ViewStats,
    counts: &SynthesisCounts,
    ledger: &LatencyLedger,
    inputs: impl Iterator<Item = &'a StreamInputStats>,
) -> ViewerReport {
    let counters = stats.get();
    let mut report = ViewerReport {
        stages: stages(ledger),
        decoded: counters.decoded,
        shown: counters.shown,
        never_shown: counters.skipped,
        out_of_order: counters.out_of_order,
        generated: counts.generated(),
        without_motion: counts.without_motion(),
        marks_read: counters.marks_read,
        marks_wrong: counters.marks_wrong,
        shown_hz: counters.shown_hz(),
        drawn_hz: counters.drawn_hz(counts.generated()),
        resident_mib: viewer.resident_first_minute.zip(resident_mib()).map(|(first, last)| [first, last]),
        ..ViewerReport::default()
    };
    for input in inputs {
        report.received += input.access_units;
        report.bitrate_bps += f64::from(input.bitrate_bps);
        report.tiles += input.tiles;
        report.lost_tiles += input.lost_tiles;
        report.reconnects += input.reconnects;
        report.audio_units += input.audio_units;
        report.audio_units_lost += input.audio_units_lost;
    }
    report
}

fn say_report(report: &ViewerReport) {
    say(&format!(
        "received {} · shown {} ({:.1} Hz) · generated {} · lost tiles {} of {}",
        report.received, report.shown, report.shown_hz, report.generated, report.lost_tiles, report.tiles
    ));
    if report.audio_units > 0 {
        say(&format!("sound: received {} units · too late {}", report.audio_units, report.audio_units_lost));
    }
    for stage in &report.stages {
        say(&format!("{:<24}{:>9}{:>11.2}{:>11.2}", stage.stage, stage.count, stage.p50_ms, stage.p95_ms));
    }
}
