//! Sources as nodes: each starts, is polled, shows its failures, and puts its newest frame on its output pin.

use super::audio::publish_on;
use crate::capture::{
    CameraInput, Capture, CaptureClock, CaptureSource, CaptureStatus, StillInput, TestPatternInput, VideoFileInput,
};
use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_frame::queue::ReceiveError;
use studio_gpu::prelude::*;
use studio_graph::{prelude::*, wake::StudioWaker};

macro_rules! source_kind {
    ($kind:ty, $name:literal $(, $pin:literal: $type:ident)?) => {
        impl NodeKind for $kind {
            const DISPLAY_NAME: &'static str = $name;
            const CATEGORY: &'static str = "Input";

            fn pins(&self) -> Vec<PinSpec> {
                vec![PinSpec::output("frame", DataType::VIDEO_FRAME) $(, PinSpec::output($pin, DataType::$type))?]
            }
        }
    };
}

source_kind!(CameraInput, "Camera input");
source_kind!(VideoFileInput, "Video file input", "audio": AUDIO_BUFFER);
source_kind!(StillInput, "Still input");
source_kind!(TestPatternInput, "Test pattern input");

/// A source's frames: how many came, and how many newer ones pushed out.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceStats {
    /// Frames that the source captured.
    pub captured: u64,
    /// Frames that went into the graph.
    pub taken: u64,
    /// Frames that were dropped because a newer one came before the graph was ready for them.
    pub dropped: u64,
}

/// A source that was started, and the settings it was started with.
#[derive(Component)]
struct RunningSource<S> {
    capture: Capture,
    settings: S,
    clock: StudioClock,
    /// Whether its sound is played too.
    with_sound: bool,
}

pub(super) fn add_source<S>(app: &mut App)
where
    S: NodeKind + CaptureSource + Clone + PartialEq,
{
    app.register_node::<S>()
        // After the encoders of sound have put their sinks on the buses, so that they hear the first block.
        .add_systems(
            Update,
            (start_sources::<S>, ApplyDeferred, take_frames::<S>)
                .chain()
                .in_set(StudioSystems::Capture)
                .after(super::audio::run_encoders),
        );
}

fn start_sources<S: NodeKind + CaptureSource + Clone + PartialEq>(
    mut sources: Query<(Entity, &S, &mut NodeStatus, Option<&RunningSource<S>>)>,
    links: GraphLinks,
    sounds: Query<(&AudioBus, Has<Feeds>)>,
    clock: Res<StudioClock>,
    waker: Res<StudioWaker>,
    mut commands: Commands,
) {
    for (node, settings, mut status, running) in &mut sources {
        // Sound is decoded only where something is linked to its pin.
        let sound = links.output(node, "audio").and_then(|pin| sounds.get(pin).ok()).filter(|(_, linked)| *linked);
        let stale = running.is_some_and(|running| {
            running.settings != *settings || running.clock != *clock || running.with_sound != sound.is_some()
        });
        if stale {
            commands.entity(node).remove::<RunningSource<S>>();
            *status = NodeStatus::Idle;
        }
        // A source starts when something takes its frames.
        if (running.is_some() && !stale) || !links.runs(node) || !status.may_run(Instant::now()) || *status == NodeStatus::Ended {
            continue;
        }
        let capture_clock = match *clock {
            StudioClock::Live => CaptureClock::Live,
            StudioClock::Offline => CaptureClock::Offline,
        };
        match settings.start_with_sound(capture_clock, sound.map(|(bus, _)| publish_on(bus))) {
            Ok(capture) => {
                let waker = waker.clone();
                capture.frames().on_send(move || waker.wake());
                let running = RunningSource { capture, settings: settings.clone(), clock: *clock, with_sound: sound.is_some() };
                commands.entity(node).insert((running, SourceStats::default()));
            }
            Err(error) => {
                let error = error.to_string();
                if status.error() != Some(&error) {
                    error!("{}: {error}", S::DISPLAY_NAME);
                }
                status.fail(error);
            }
        }
    }
}

/// How long an offline graph waits for one frame before it looks around again.
const OFFLINE_WAIT: Duration = Duration::from_millis(200);

fn take_frames<S: NodeKind>(
    mut sources: Query<(Entity, &RunningSource<S>, &Pins, &mut NodeStatus, &mut SourceStats)>,
    pins: Query<&PinFrame>,
    links: GraphLinks,
    mut time: ResMut<StudioTime>,
) {
    for (node, running, list, mut status, mut stats) in &mut sources {
        if !links.runs(node) {
            continue;
        }
        let Some(pin) = list.iter().find_map(|pin| pins.get(pin).ok()) else { continue };
        // A frame that still waits for the GPU is not pushed out here: the source's own queue drops and counts.
        if pin.has_pending() {
            continue;
        }
        let frames = running.capture.frames();
        let frame = match running.clock {
            StudioClock::Live => frames.take_newest(),
            StudioClock::Offline => frames.recv_timeout(OFFLINE_WAIT),
        };
        stats.captured = frames.sent();
        stats.dropped = frames.dropped();
        match frame {
            Ok(frame) => {
                time.note_frame(frame.stamp.pts);
                pin.submit(frame.into());
                stats.taken += 1;
                status.count_frame();
            }
            Err(closed) => follow_status(&mut status, running.capture.status(), closed == ReceiveError::Closed, S::DISPLAY_NAME),
        }
    }
}

fn follow_status(status: &mut Mut<NodeStatus>, capture: CaptureStatus, closed: bool, name: &str) {
    match capture {
        CaptureStatus::Failed { error, .. } => {
            let error = error.to_string();
            if status.error() != Some(&error) {
                warn!("{name}: {error}");
                status.fail(error);
            }
        }
        CaptureStatus::EndOfStream if closed && **status != NodeStatus::Ended => **status = NodeStatus::Ended,
        _ => {}
    }
}
