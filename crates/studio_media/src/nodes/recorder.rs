//! The `Recorder` node.

use crate::record::{self, Container, RecordError, RecordSettings};
use bevy::prelude::*;
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc, time::Instant};
use studio_frame::packet::{AccessUnit, PacketInfo};
use studio_graph::prelude::*;

/// Writes the coded pictures that come in to a file that plays whenever the program dies, and that players show as 360°
/// where it is. Nothing is left out: while the disk is behind, the encoder waits.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[require(RecorderStatus)]
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
    /// The file that is written, once the first picture came.
    pub path: Option<PathBuf>,
}

/// The recording, shared with the sink on the encoder's thread: opened with the first access unit, so that none is missed,
/// and taken out when it ends.
#[derive(Default)]
struct Recording {
    recorder: Option<record::Recorder>,
    path: Option<PathBuf>,
    failed: bool,
}

#[derive(Component)]
struct RunningRecorder {
    settings: Recorder,
    recording: Arc<Mutex<Recording>>,
    sink: Option<SinkGuard>,
}

impl Drop for RunningRecorder {
    fn drop(&mut self) {
        // First off the bus, so that nothing comes while the file is closed.
        self.sink = None;
        let Some(recorder) = self.recording.lock().recorder.take() else { return };
        match recorder.finish() {
            Ok(done) => info!("{}: {} frames, {:.1} s", done.path.display(), done.frames, done.duration.as_secs_f32()),
            Err(error) => error!("{}: {error}", Recorder::DISPLAY_NAME),
        }
    }
}

pub(super) fn add_recorder(app: &mut App) {
    app.register_node::<Recorder>().add_systems(Update, run_recorders.in_set(StudioSystems::Send));
}

fn run_recorders(
    mut recorders: Query<(Entity, &Recorder, &mut RecorderStatus, &NodeStatus, Option<&RunningRecorder>)>,
    links: GraphLinks,
    buses: Query<&PacketBus>,
    reports: Res<FailureReport>,
    mut commands: Commands,
) {
    for (node, settings, mut shown, status, running) in &mut recorders {
        let bus = links.source(node, "packets").and_then(|pin| buses.get(pin).ok());
        if let Some(running) = running {
            let unplugged = bus.is_none_or(|bus| running.sink.as_ref().is_none_or(|sink| !sink.is_on(bus)));
            let recording = running.recording.lock();
            if shown.path != recording.path {
                shown.path.clone_from(&recording.path);
            }
            if running.settings != *settings || unplugged || recording.failed {
                commands.entity(node).remove::<RunningRecorder>();
            }
            continue;
        }
        let Some(bus) = bus else { continue };
        if settings.path.is_empty() || !status.may_run(Instant::now()) {
            continue;
        }
        let recording = Arc::<Mutex<Recording>>::default();
        let sink = bus.add_sink(node, packet_sink(node, settings.clone(), recording.clone(), reports.clone()));
        commands.entity(node).insert(RunningRecorder { settings: settings.clone(), recording, sink: Some(sink) });
    }
}

fn packet_sink(
    node: Entity,
    settings: Recorder,
    recording: Arc<Mutex<Recording>>,
    reports: FailureReport,
) -> impl Fn(&PacketInfo, &AccessUnit) + Send + Sync {
    let write = move |recording: &mut Recording, info: &PacketInfo, unit: &AccessUnit| -> Result<(), RecordError> {
        if recording.recorder.is_none() {
            let info = info.video().ok_or(RecordError::NotVideo)?;
            let record_settings = RecordSettings { container: settings.container, overwrite: settings.overwrite };
            let recorder = record::Recorder::start(&settings.path, info, &record_settings)?;
            recording.path = Some(recorder.path().to_owned());
            recording.recorder = Some(recorder);
        }
        recording.recorder.as_ref().map_or(Ok(()), |recorder| recorder.push(unit))
    };
    move |info, unit| {
        let mut recording = recording.lock();
        // A recording that stopped says why once; the node then opens another file.
        if recording.failed {
            return;
        }
        match write(&mut recording, info, unit) {
            Ok(()) => reports.success(node),
            Err(error) => {
                recording.failed = true;
                reports.failure(node, error);
            }
        }
    }
}
