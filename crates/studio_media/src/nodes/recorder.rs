//! The `Recorder` node.

use crate::record::{self, Container, Expected, RecordError, RecordSettings};
use bevy::{
    ecs::{entity::EntityHashSet, system::SystemParam},
    prelude::*,
};
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc, time::Instant};
use studio_frame::packet::{AccessUnit, PacketInfo};
use studio_graph::{compile::CompiledGraph, prelude::*};

/// Writes the coded pictures and the coded sound that come in to one file that plays whenever the program dies, and that
/// players show as 360° where it is. Nothing is left out: while the disk is behind, the encoders wait.
///
/// The file begins with the first key frame. What has the same moment of capture stays together. Pictures wait at most a second
/// for the first sound (offline ten); a file whose sound comes later than that has none. Sound that pauses or ends does not
/// stop the pictures. With sound alone, a sound file is written.
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
        vec![PinSpec::input("packets", DataType::PACKET), PinSpec::input("audio", DataType::PACKET)]
    }
}

/// What a [`Recorder`] writes now.
#[derive(Component, Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderStatus {
    /// The file that is written, once the first picture or sound came.
    pub path: Option<PathBuf>,
}

/// The recording, shared with the sinks on the encoders' threads: opened with the first access unit, so that none is missed.
#[derive(Default)]
struct Recording {
    recorder: Option<Arc<record::Recorder>>,
    path: Option<PathBuf>,
    failed: bool,
    /// Nothing is opened any more.
    closed: bool,
}

/// What a sink needs to write.
#[derive(Clone)]
struct Target {
    node: Entity,
    settings: Recorder,
    expected: Expected,
    recording: Arc<Mutex<Recording>>,
    reports: FailureReport,
}

#[derive(Component)]
struct RunningRecorder {
    target: Target,
    pictures: Option<SinkGuard>,
    sound: Option<SinkGuard>,
}

impl RunningRecorder {
    /// Whether each sink is still on the bus that its pin is linked to.
    fn is_plugged(&self, pictures: Option<&PacketBus>, sound: Option<&PacketBus>) -> bool {
        let fits = |sink: &Option<SinkGuard>, bus: Option<&PacketBus>| match (sink, bus) {
            (Some(sink), Some(bus)) => sink.is_on(bus),
            (None, None) => true,
            _ => false,
        };
        fits(&self.pictures, pictures) && fits(&self.sound, sound)
    }
}

impl Drop for RunningRecorder {
    fn drop(&mut self) {
        // First off the buses, so that nothing comes while the file is closed.
        (self.pictures, self.sound) = (None, None);
        let recorder = {
            let mut recording = self.target.recording.lock();
            recording.closed = true;
            recording.recorder.take()
        };
        let Some(recorder) = recorder else { return };
        match recorder.finish() {
            Ok(done) => {
                let (path, seconds) = (done.path.display(), done.duration.as_secs_f32());
                info!("{path}: {} frames, {} packets of sound, {seconds:.1} s", done.frames, done.sound_packets);
            }
            Err(error) => error!("{}: {error}", Recorder::DISPLAY_NAME),
        }
    }
}

pub(super) fn add_recorder(app: &mut App) {
    // Before the encoders of sound and their sources start, so that the first packet is not missed.
    let order = run_recorders.in_set(StudioSystems::Capture).before(super::audio::run_encoders);
    app.register_node::<Recorder>().add_systems(Update, order);
}

/// Looks for the sources that feed an input.
#[derive(SystemParam)]
struct Upstream<'w, 's> {
    graph: Res<'w, CompiledGraph>,
    owners: Query<'w, 's, &'static PinOf>,
    statuses: Query<'w, 's, &'static NodeStatus>,
}

impl Upstream<'_, '_> {
    /// Whether every source of what comes in there has ended.
    fn is_over(&self, node: Entity, input: &str) -> bool {
        let source = self.graph.node(node).and_then(|compiled| compiled.input(input));
        let mut open: Vec<Entity> = source.into_iter().collect();
        if open.is_empty() {
            return false;
        }
        let mut seen = EntityHashSet::default();
        while let Some(pin) = open.pop() {
            let Some(owner) = self.owners.get(pin).ok().filter(|owner| seen.insert(owner.0)) else { continue };
            let Some(compiled) = self.graph.node(owner.0) else { continue };
            let before = open.len();
            open.extend(compiled.inputs.iter().filter_map(|(_, source)| *source));
            let is_source = open.len() == before;
            if is_source && self.statuses.get(owner.0) != Ok(&NodeStatus::Ended) {
                return false;
            }
        }
        true
    }
}

fn run_recorders(
    mut recorders: Query<(Entity, &Recorder, &mut RecorderStatus, &NodeStatus, Option<&RunningRecorder>)>,
    links: GraphLinks,
    upstream: Upstream,
    buses: Query<&PacketBus>,
    reports: Res<FailureReport>,
    clock: Res<StudioClock>,
    mut commands: Commands,
) {
    for (node, settings, mut shown, status, running) in &mut recorders {
        let bus_of = |pin| links.source(node, pin).and_then(|pin| buses.get(pin).ok());
        let (pictures, sound) = (bus_of("packets"), bus_of("audio"));
        if let Some(running) = running {
            let failed = {
                let recording = running.target.recording.lock();
                if shown.path != recording.path {
                    shown.path.clone_from(&recording.path);
                }
                if let Some(recorder) = recording.recorder.as_ref().filter(|_| upstream.is_over(node, "audio")) {
                    recorder.end_sound();
                }
                recording.failed
            };
            let other = running.target.settings != *settings || running.target.expected.policy != clock.queue_policy();
            if failed || other || !running.is_plugged(pictures, sound) {
                commands.entity(node).remove::<RunningRecorder>();
            }
            continue;
        }
        if (pictures.is_none() && sound.is_none()) || settings.path.is_empty() || !status.may_run(Instant::now()) {
            continue;
        }
        let expected = Expected { pictures: pictures.is_some(), sound: sound.is_some(), policy: clock.queue_policy() };
        let (recording, reports) = (Arc::default(), reports.clone());
        let target = Target { node, settings: settings.clone(), expected, recording, reports };
        let sound = sound.map(|bus| bus.add_sink(node, target.sink(false)));
        let pictures = pictures.map(|bus| bus.add_sink(node, target.sink(true)));
        commands.entity(node).insert(RunningRecorder { target, pictures, sound });
    }
}

impl Target {
    /// What takes the units of one pin, on their encoder's thread.
    fn sink(&self, takes_pictures: bool) -> impl Fn(&PacketInfo, &AccessUnit) + Send + Sync + 'static {
        let target = self.clone();
        move |info, unit| {
            let outcome = match (info, takes_pictures) {
                (PacketInfo::Audio(_), true) => Err(RecordError::NotVideo),
                (PacketInfo::Video(_), false) => Err(RecordError::NotSound),
                _ => target.open(),
            };
            // Written without the lock: one side may have to wait for the other.
            let outcome =
                outcome.and_then(|recorder| recorder.map_or(Ok(false), |recorder| recorder.push(info, unit).map(|()| true)));
            match outcome {
                Ok(true) => target.reports.success(target.node),
                Ok(false) => {}
                Err(error) => target.fail(error),
            }
        }
    }

    /// The recorder, opened by the first who asks; none if it is closed or has failed.
    fn open(&self) -> Result<Option<Arc<record::Recorder>>, RecordError> {
        let mut recording = self.recording.lock();
        if recording.failed || recording.closed {
            return Ok(None);
        }
        if recording.recorder.is_none() {
            let Recorder { path, container, overwrite } = &self.settings;
            let settings = RecordSettings { container: *container, overwrite: *overwrite };
            let recorder = record::Recorder::start(path, self.expected, &settings)?;
            recording.path = Some(recorder.path().to_owned());
            recording.recorder = Some(Arc::new(recorder));
        }
        Ok(recording.recorder.clone())
    }

    /// A recording that stopped says why once; the node then opens another file.
    fn fail(&self, error: RecordError) {
        let mut recording = self.recording.lock();
        if !recording.failed && !recording.closed {
            recording.failed = true;
            self.reports.failure(self.node, error);
        }
    }
}
