//! The `StreamInput` node: receives a stream, decodes it, and puts pictures, sound and motion on its pins.

use crate::{
    playing::{DisplayTime, Playing, Step},
    receive::{Receiver, ReceiverPins, ReceiverState},
    sphere::SphereView,
    stats::ViewStats,
};
use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_gpu::{driver::GpuBacklog, prelude::*};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_stream::{
    playout::MAX_JITTER_MS,
    subscribe::{Reporter, StreamQuality},
};
use studio_vision::nodes::{FrameSynthesis, SynthesisCounts, SynthesisMode};

/// Watches a stream: connects, decodes, and connects again when the stream breaks off. Sound leaves with the picture that was
/// captured with it.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct StreamInput {
    /// The link that the server gave.
    pub link: String,
    /// Share of the datagrams that is lost on purpose, 0 to 1: for trying how a viewer takes it.
    #[reflect(@0.0..=1.0_f32)]
    pub datagram_loss: f32,
    /// What the code values mean, against what the stream says: for streams that are labelled wrongly.
    pub color: Option<ColorInfo>,
    /// How long pictures are held beyond the fastest of them so that they are shown evenly, in milliseconds, 0 to 400: 0 shows the
    /// newest at once. `None` holds them for as long as their jitter wants.
    #[reflect(@0.0..=MAX_JITTER_MS as f32)]
    pub target_delay_ms: Option<f32>,
    /// Which rendition is received, where the stream has several. Another one is taken at its next key frame, and the one before
    /// goes on until then.
    pub quality: StreamQuality,
    /// Whether the studio is told how this viewer fares (latency, loss, rates) and where it looks. Without, it cannot ask for key
    /// frames after a loss and waits for the next one.
    pub report: bool,
    /// How the picture covers the sphere, against what the stream says.
    pub projection: Option<PictureProjection>,
    /// Where the eyes' pictures lie, against what the stream says.
    pub stereo: Option<StereoLayout>,
}

impl Default for StreamInput {
    fn default() -> Self {
        Self {
            link: String::new(),
            datagram_loss: 0.0,
            color: None,
            target_delay_ms: None,
            quality: StreamQuality::Auto,
            report: true,
            projection: None,
            stereo: None,
        }
    }
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
    /// How long pictures are held to be shown evenly, in milliseconds.
    pub target_delay_ms: f32,
    /// This machine's clock less the studio's, in milliseconds, once it is known.
    pub clock_offset_ms: Option<f64>,
    /// How fast that grows, in parts in a million.
    pub clock_drift_ppm: f64,
    /// The network's round trip, in milliseconds.
    pub round_trip_ms: f32,
    /// Key frames asked for after a loss.
    pub key_frame_requests: u64,
    /// The rendition that is received, for people; empty before the first.
    pub rendition: String,
    /// The names of the renditions there are, as [`StreamInput::quality`] takes them, those of the highest bit rates first.
    pub renditions: Vec<String>,
}

#[derive(Component)]
pub(crate) struct RunningInput {
    receiver: Receiver,
    playing: Playing,
    settings: StreamInput,
}

impl RunningInput {
    pub(crate) fn reporter(&self) -> &Reporter {
        self.receiver.reporter()
    }

    pub(crate) fn target_delay_ms(&self) -> f64 {
        self.playing.target_delay_ms()
    }

    /// Says how many pixels across a view needs of the whole picture.
    pub(crate) fn fit_view(&self, view: Option<&SphereView>) {
        let info = self.receiver.state().info;
        let (projection, stereo) =
            (self.settings.projection.unwrap_or(info.projection), self.settings.stereo.unwrap_or(info.stereo));
        self.receiver.set_view_width_px(view.map(|view| f64::from(view.wanted_width_px(projection, stereo))));
    }

    pub(crate) fn clock_offset_ms(&self) -> Option<f64> {
        self.receiver.stats().clock_offset_ms
    }
}

pub(crate) fn add_stream_input(app: &mut App) {
    app.register_node::<StreamInput>().add_systems(
        Update,
        (
            (start_inputs, ApplyDeferred, take_pictures).chain().in_set(StudioSystems::Capture),
            (report_inputs, crate::reporting::tell_studio).in_set(StudioSystems::Report),
        ),
    );
}

fn start_inputs(
    mut inputs: Query<(Entity, &StreamInput, &mut NodeStatus, Option<&mut RunningInput>)>,
    links: GraphLinks,
    motions: Query<&PinMotion>,
    buses: Query<&PacketBus>,
    sounds: Query<&AudioBus>,
    waker: Res<StudioWaker>,
    stats: Res<ViewStats>,
    ledger: Res<LatencyLedger>,
    mut commands: Commands,
) {
    for (node, settings, mut status, mut running) in &mut inputs {
        if let Some(running) = &mut running
            && (StreamInput { quality: settings.quality.clone(), ..running.settings.clone() }) == *settings
        {
            if running.settings.quality != settings.quality {
                running.settings.quality = settings.quality.clone();
                running.receiver.set_quality(settings.quality.clone());
            }
            continue;
        }
        if settings.link.is_empty() {
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
                let playing = Playing::new(settings.target_delay_ms);
                let running = RunningInput { receiver, playing, settings: settings.clone() };
                commands.entity(node).insert((running, StreamInputStats::default()));
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

/// Puts decoded pictures on the pin when they are on, and says which moment is wanted of a synthesis node that follows.
fn take_pictures(
    mut inputs: Query<(Entity, &mut RunningInput, &mut NodeStatus)>,
    links: GraphLinks,
    pins: Query<(&PinFrame, Option<&Feeds>)>,
    motions: Query<&PinMotion>,
    owners: Query<&PinOf>,
    mut synthesis: Query<&mut FrameSynthesis>,
    counts: Option<Res<SynthesisCounts>>,
    display: Res<DisplayTime>,
    waker: Res<StudioWaker>,
    stats: Res<ViewStats>,
    backlog: Res<GpuBacklog>,
) {
    for (node, mut running, mut status) in &mut inputs {
        let Some((pin, feeds)) = links.output(node, "frame").and_then(|pin| pins.get(pin).ok()) else { continue };
        let RunningInput { receiver, playing, settings } = &mut *running;
        while let Ok(decoded) = receiver.frames().try_recv() {
            if playing.push(decoded) {
                stats.restart();
            }
        }
        // What was set for the last update must be drawn before anything is set anew.
        if backlog.is_behind() || pin.has_pending() {
            continue;
        }
        let fed =
            feeds.into_iter().flat_map(|feeds| feeds.iter()).filter_map(|input| owners.get(input).ok()).map(|owner| owner.0);
        let follower = fed.into_iter().find(|node| synthesis.contains(*node));
        let synthesis = follower.and_then(|node| synthesis.get_mut(node).ok());
        let generates = synthesis.as_ref().is_some_and(|synthesis| synthesis.mode != SynthesisMode::Off);
        let motion = links.output(node, "motion").and_then(|pin| motions.get(pin).ok());
        let at = display.at.unwrap_or_else(Instant::now);
        let step = playing.step(at, generates, display.interval, motion);
        if let Some(due) = playing.next_change(at, generates, display.interval) {
            waker.wake_at(due);
        }
        let Some(Step { submit, phase, until_current, lacked_motion }) = step else { continue };
        if lacked_motion && let Some(counts) = &counts {
            counts.count_without_motion();
        }
        if let Some(mut frame) = submit {
            status.count_frame();
            if let Some(color) = settings.color {
                frame.color = color;
            }
            let ahead = at.saturating_duration_since(Instant::now()) + until_current;
            receiver.delay().note(frame.stamp.captured_at, ahead.min(Duration::from_secs(1)));
            let state = receiver.state();
            pin.submit(SourceFrame {
                frame,
                projection: settings.projection.unwrap_or(state.info.projection),
                stereo: settings.stereo.unwrap_or(state.info.stereo),
                stage: Stage::ARRIVAL,
            });
        }
        if let Some(mut synthesis) = synthesis
            && synthesis.phase != phase
        {
            synthesis.phase = phase;
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
        let mut now = running.receiver.stats();
        now.target_delay_ms = running.playing.target_delay_ms() as f32;
        // Of a stream of sound alone, the units of sound are what shows that it runs.
        if now.access_units == 0 && now.audio_units > stats.audio_units {
            status.count_frame();
        }
        stats.set_if_neq(now);
    }
}
