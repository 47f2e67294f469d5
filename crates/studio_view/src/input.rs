//! The `StreamInput` node: receives a stream, decodes it, and puts pictures, sound and motion on its pins.

use crate::{
    pace::{self, Pace},
    receive::{Receiver, ReceiverPins, ReceiverState},
    stats::ViewStats,
};
use bevy::prelude::*;
use std::time::Instant;
use studio_frame::prelude::*;
use studio_gpu::{driver::GpuBacklog, prelude::*};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_vision::nodes::FrameSynthesis;

/// Watches a stream: connects, decodes, and connects again when the stream breaks off. Sound leaves with the picture that was
/// captured with it.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct StreamInput {
    /// The link that the server gave.
    pub link: String,
    /// Share of the datagrams that is lost on purpose, 0 to 1: for trying how a viewer takes it.
    #[reflect(@0.0..=1.0_f32)]
    pub datagram_loss: f32,
    /// What the code values mean, against what the stream says: for streams that are labelled wrongly.
    pub color: Option<ColorInfo>,
}

impl NodeKind for StreamInput {
    const DISPLAY_NAME: &'static str = "Stream input";
    const CATEGORY: &'static str = "Input";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::output("frame", DataType::VIDEO_FRAME),
            PinSpec::output("motion", DataType::MOTION_FIELD),
            PinSpec::output("packets", DataType::PACKET),
            PinSpec::output("audio", DataType::AUDIO_BUFFER),
        ]
    }
}

/// What a [`StreamInput`] received so far.
#[derive(Component, Clone, Debug, Default, PartialEq)]
pub struct StreamInputStats {
    /// How the connection fares, for people.
    pub connection: String,
    /// Whether the server refused the viewer: trying again would not help.
    pub refused: bool,
    /// Access units received.
    pub access_units: u64,
    /// Bits received a second, over the last seconds.
    pub bitrate_bps: f32,
    /// Motion tiles received or known to be lost.
    pub tiles: u64,
    /// Motion tiles lost.
    pub lost_tiles: u64,
    /// Groups of pictures skipped to catch up.
    pub groups_skipped: u64,
    /// Times the viewer connected again.
    pub reconnects: u64,
    /// What the sound is, or why it cannot be heard, for people; empty where there is none.
    pub sound: String,
    /// Units of sound received.
    pub audio_units: u64,
    /// Units of sound that came too late or were not taken in time.
    pub audio_units_lost: u64,
}

#[derive(Component)]
struct RunningInput {
    receiver: Receiver,
    settings: StreamInput,
    sessions: u64,
}

pub(crate) fn add_stream_input(app: &mut App) {
    app.register_node::<StreamInput>().add_systems(
        Update,
        (
            (start_inputs, ApplyDeferred, take_pictures).chain().in_set(StudioSystems::Capture),
            report_inputs.in_set(StudioSystems::Report),
        ),
    );
}

fn start_inputs(
    mut inputs: Query<(Entity, &StreamInput, &mut NodeStatus, Option<&RunningInput>)>,
    links: GraphLinks,
    motions: Query<&PinMotion>,
    buses: Query<&PacketBus>,
    sounds: Query<&AudioBus>,
    waker: Res<StudioWaker>,
    stats: Res<ViewStats>,
    ledger: Res<LatencyLedger>,
    mut commands: Commands,
) {
    for (node, settings, mut status, running) in &mut inputs {
        if running.is_some_and(|running| running.settings == *settings) || settings.link.is_empty() {
            continue;
        }
        if running.is_none() && !status.may_run(Instant::now()) {
            continue;
        }
        let motion = links.output(node, "motion").and_then(|pin| motions.get(pin).ok());
        let bus = links.output(node, "packets").and_then(|pin| buses.get(pin).ok());
        let sound = links.output(node, "audio").and_then(|pin| sounds.get(pin).ok());
        let (Some(motion), Some(bus), Some(sound)) = (motion, bus, sound) else { continue };
        let pins = ReceiverPins { motion: motion.clone(), packets: bus.clone(), audio: sound.clone() };
        match Receiver::start(settings, pins, waker.clone(), stats.clone(), ledger.clone()) {
            Ok(receiver) => {
                let running = RunningInput { receiver, settings: settings.clone(), sessions: 0 };
                commands.entity(node).insert((running, StreamInputStats::default(), Pace::default()));
            }
            Err(error) => {
                let error = error.to_string();
                if status.error() != Some(&error) {
                    error!("{}: {error}", StreamInput::DISPLAY_NAME);
                }
                status.fail(error);
            }
        }
    }
}

/// Puts decoded pictures on the pin, paced for frame generation if a synthesis node follows.
fn take_pictures(
    mut inputs: Query<(Entity, &mut RunningInput, &mut Pace, &mut NodeStatus)>,
    links: GraphLinks,
    pins: Query<(&PinFrame, Option<&Feeds>)>,
    owners: Query<&PinOf>,
    mut synthesis: Query<&mut FrameSynthesis>,
    waker: Res<StudioWaker>,
    stats: Res<ViewStats>,
    backlog: Res<GpuBacklog>,
) {
    for (node, mut running, mut pace, mut status) in &mut inputs {
        let Some((pin, feeds)) = links.output(node, "frame").and_then(|pin| pins.get(pin).ok()) else { continue };
        let fed: Vec<Entity> = feeds
            .into_iter()
            .flat_map(|feeds| feeds.iter())
            .filter_map(|input| owners.get(input).ok())
            .map(|owner| owner.0)
            .collect();
        let follower = fed.into_iter().find(|node| synthesis.contains(*node));
        let synthesis = follower.and_then(|node| synthesis.get_mut(node).ok());
        let state = running.receiver.state();
        if state.sessions != running.sessions {
            running.sessions = state.sessions;
            stats.restart();
        }
        // What was set for the last update must be drawn before anything is set anew.
        if backlog.is_behind() || pin.has_pending() {
            continue;
        }
        match pace::is_due(&mut pace, !running.receiver.frames().is_empty(), &waker) {
            Some(true) => {
                if let Some(mut synthesis) = synthesis {
                    synthesis.phase = 1.0;
                }
                continue;
            }
            Some(false) => continue,
            None => {}
        }
        let Ok(mut frame) = running.receiver.frames().try_recv() else { continue };
        if let Some(color) = running.settings.color {
            frame.color = color;
        }
        status.count_frame();
        let captured_at = frame.stamp.captured_at;
        let frame = SourceFrame { frame, projection: state.info.projection, stereo: state.info.stereo, stage: Stage::ARRIVAL };
        let behind = !running.receiver.frames().is_empty();
        pace::show(&mut pace, pin, frame, behind, synthesis, &waker);
        running.receiver.delay().note(captured_at, pace.until_due());
        if behind {
            waker.wake();
        }
    }
}

fn report_inputs(mut inputs: Query<(&RunningInput, &mut StreamInputStats, &mut NodeStatus)>) {
    for (running, mut stats, mut status) in &mut inputs {
        let state: ReceiverState = running.receiver.state();
        if let Some(error) = &state.error
            && status.error() != Some(error.as_str())
        {
            warn!("{}: {error}", StreamInput::DISPLAY_NAME);
            status.fail(error.clone());
        }
        let now = running.receiver.stats();
        // Of a stream of sound alone, the units of sound are what shows that it runs.
        if now.access_units == 0 && now.audio_units > stats.audio_units {
            status.count_frame();
        }
        stats.set_if_neq(now);
    }
}
