//! The `Recorder` node.

use crate::record::{self, Container, RecordError, RecordSettings};
use bevy::prelude::*;
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc, time::Instant};
use studio_graph::prelude::*;

/// Writes the coded pictures that come in to a file that plays whenever the program dies, and that players show as 360°
/// where it is. Nothing is left out: while the disk is behind, the encoder waits.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Recorder {
    /// The file; its folders are made.
    pub path: String,
    /// Layout of the file.
    pub container: Container,
    /// Whether an existing file of that name is overwritten. Otherwise `name-2.mp4`, `name-3.mp4`, … is written.
    pub overwrite: bool,
}

impl NodeKind for Recorder {
    const DISPLAY_NAME: &'static str = "Recorder";
    const CATEGORY: &'static str = "Output";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("packets", DataType::PACKET)]
    }
}

/// What a [`Recorder`] writes now.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderStatus {
    /// The file that is written.
    pub path: PathBuf,
}

/// The recording, shared with the sink on the encoder's thread. Taken out when it ends.
type Shared = Arc<Mutex<Option<record::Recorder>>>;

#[derive(Component)]
struct RunningRecorder {
    settings: Recorder,
    recording: Shared,
    sink: Option<SinkGuard>,
}

impl Drop for RunningRecorder {
    fn drop(&mut self) {
        // First off the bus, so that nothing comes while the file is closed.
        self.sink = None;
        let Some(recording) = self.recording.lock().take() else { return };
        match recording.finish() {
            Ok(done) => info!("{}: {} frames, {:.1} s", done.path.display(), done.frames, done.duration.as_secs_f32()),
            Err(error) => error!("{}: {error}", Recorder::DISPLAY_NAME),
        }
    }
}

pub(super) fn add_recorder(app: &mut App) {
    app.register_node::<Recorder>().add_systems(Update, run_recorders.in_set(StudioSystems::Send));
}

fn run_recorders(
    mut recorders: Query<(Entity, &Recorder, &mut NodeStatus, Option<&RunningRecorder>)>,
    links: GraphLinks,
    buses: Query<&PacketBus>,
    reports: Res<FailureReport>,
    mut commands: Commands,
) {
    for (node, settings, mut status, running) in &mut recorders {
        let bus = links.source(node, "packets").and_then(|pin| buses.get(pin).ok());
        if let Some(running) = running {
            let failed = running.recording.lock().as_ref().and_then(record::Recorder::failure);
            let unplugged = bus.is_none_or(|bus| running.sink.as_ref().is_none_or(|sink| !sink.is_on(bus)));
            if running.settings != *settings || unplugged || failed.is_some() {
                commands.entity(node).remove::<(RunningRecorder, RecorderStatus)>();
            }
            if let Some(error) = failed {
                reports.failure(node, error);
            }
            continue;
        }
        // The stream is known once the encoder has made its first picture.
        let (Some(bus), Some(info)) = (bus, bus.and_then(PacketBus::info)) else { continue };
        if settings.path.is_empty() || !status.may_run(Instant::now()) {
            continue;
        }
        let record_settings = RecordSettings { container: settings.container, overwrite: settings.overwrite };
        match record::Recorder::start(&settings.path, &info, &record_settings) {
            Ok(recording) => {
                let path = recording.path().to_owned();
                let recording: Shared = Arc::new(Mutex::new(Some(recording)));
                let sink = bus.add_sink(node, packet_sink(node, recording.clone(), reports.clone()));
                let running = RunningRecorder { settings: settings.clone(), recording, sink: Some(sink) };
                commands.entity(node).insert((running, RecorderStatus { path }));
                status.count_frame();
            }
            Err(error) => fail(&mut status, &error),
        }
    }
}

fn fail(status: &mut NodeStatus, error: &RecordError) {
    let error = error.to_string();
    if status.error() != Some(&error) {
        error!("{}: {error}", Recorder::DISPLAY_NAME);
    }
    status.fail(error);
}

fn packet_sink(
    node: Entity,
    recording: Shared,
    reports: FailureReport,
) -> impl Fn(&studio_frame::packet::StreamInfo, &studio_frame::packet::AccessUnit) + Send + Sync {
    move |_, unit| {
        let recording = recording.lock();
        // A recording that stopped says why once; the node then opens another file.
        let Some(writer) = recording.as_ref().filter(|writer| writer.failure().is_none()) else { return };
        match writer.push(unit) {
            Ok(()) => reports.success(node),
            Err(error) => reports.failure(node, error),
        }
    }
}
