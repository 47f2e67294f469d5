//! The nodes of sound: sources publish on their bus, the encoder listens there.

use crate::{
    audio::{self, AudioCapture, AudioEncoderSettings, AudioFileInput, AudioSource, MicrophoneInput, ToneInput},
    capture::{CaptureClock, CaptureStatus},
    encode::EncodeError,
};
use bevy::prelude::*;
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use studio_frame::prelude::*;
use studio_graph::prelude::*;

macro_rules! sound_source {
    ($kind:ty, $name:literal) => {
        impl NodeKind for $kind {
            const DISPLAY_NAME: &'static str = $name;
            const CATEGORY: &'static str = "Audio";

            fn pins(&self) -> Vec<PinSpec> {
                vec![PinSpec::output("audio", DataType::AUDIO_BUFFER)]
            }
        }
    };
}

sound_source!(AudioFileInput, "Audio file input");
sound_source!(MicrophoneInput, "Microphone input");
sound_source!(ToneInput, "Tone input");

/// A source of sound that was started, and what it was started with.
#[derive(Component)]
struct RunningSound<S> {
    capture: AudioCapture,
    settings: S,
    clock: StudioClock,
    shown: u64,
}

pub(super) fn add_sound_nodes(app: &mut App) {
    add_sound_source::<AudioFileInput>(app);
    add_sound_source::<MicrophoneInput>(app);
    add_sound_source::<ToneInput>(app);
    app.register_node::<AudioEncoder>().add_systems(Update, run_encoders.in_set(StudioSystems::Capture));
}

fn add_sound_source<S: NodeKind + AudioSource + Clone + PartialEq>(app: &mut App) {
    // After the encoders have put their sinks on the buses, so that they hear the first block.
    app.register_node::<S>().add_systems(Update, run_sound_sources::<S>.in_set(StudioSystems::Capture).after(run_encoders));
}

fn run_sound_sources<S: NodeKind + AudioSource + Clone + PartialEq>(
    mut sources: Query<(Entity, &S, &mut NodeStatus, Option<&mut RunningSound<S>>)>,
    links: GraphLinks,
    buses: Query<&AudioBus>,
    clock: Res<StudioClock>,
    mut commands: Commands,
) {
    for (node, settings, mut status, running) in &mut sources {
        let Some(bus) = links.output(node, "audio").and_then(|pin| buses.get(pin).ok()) else { continue };
        if let Some(mut running) = running {
            if running.settings != *settings || running.clock != *clock || !links.runs(node) {
                commands.entity(node).remove::<RunningSound<S>>();
                *status = NodeStatus::Idle;
                continue;
            }
            let published = bus.stats().items;
            for _ in running.shown..published {
                status.count_frame();
            }
            running.shown = published;
            match running.capture.status() {
                CaptureStatus::Failed { error, .. } if status.error() != Some(&error.to_string()) => {
                    warn!("{}: {error}", S::DISPLAY_NAME);
                    status.fail(error.to_string());
                }
                CaptureStatus::EndOfStream if *status != NodeStatus::Ended => *status = NodeStatus::Ended,
                _ => {}
            }
            continue;
        }
        // A source starts when something takes its sound.
        if !links.runs(node) || !status.may_run(Instant::now()) || *status == NodeStatus::Ended {
            continue;
        }
        let capture_clock = match *clock {
            StudioClock::Live => CaptureClock::Live,
            StudioClock::Offline => CaptureClock::Offline,
        };
        let (target, shown) = (bus.clone(), bus.stats().items);
        let sink = Box::new(move |block: AudioBlock| {
            target.set_info(block.format());
            target.publish(&block);
            true
        });
        match settings.start(capture_clock, sink) {
            Ok(capture) => {
                let running = RunningSound { capture, settings: settings.clone(), clock: *clock, shown };
                commands.entity(node).insert(running);
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

/// Codes sound, as 48 kHz stereo, for files and streams.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct AudioEncoder {
    /// Coding standard.
    pub codec: AudioCodec,
    /// `auto` (the installed one that GStreamer ranks highest) or the name of a GStreamer element such as `avenc_aac`.
    pub provider: String,
    /// Target bit rate, from 16 000 to 320 000 bits a second.
    pub bitrate_bps: u32,
}

impl Default for AudioEncoder {
    fn default() -> Self {
        let AudioEncoderSettings { codec, provider, bitrate_bps } = default();
        Self { codec, provider, bitrate_bps }
    }
}

impl NodeKind for AudioEncoder {
    const DISPLAY_NAME: &'static str = "Audio encoder";
    const CATEGORY: &'static str = "Audio";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("audio", DataType::AUDIO_BUFFER), PinSpec::output("packets", DataType::PACKET)]
    }
}

/// An encoder on its source's thread: opened with the first block, whose format it takes.
#[derive(Default)]
struct Encoding {
    encoder: Option<audio::AudioEncoder>,
    failed: bool,
}

#[derive(Component)]
pub(super) struct RunningEncoder {
    settings: AudioEncoder,
    clock: StudioClock,
    encoding: Arc<Mutex<Encoding>>,
    sink: SinkGuard<AudioBlock>,
}

pub(super) fn run_encoders(
    mut encoders: Query<(Entity, &AudioEncoder, &NodeStatus, Option<&RunningEncoder>)>,
    links: GraphLinks,
    sounds: Query<&AudioBus>,
    packets: Query<&PacketBus>,
    reports: Res<FailureReport>,
    clock: Res<StudioClock>,
    mut commands: Commands,
) {
    for (node, settings, status, running) in &mut encoders {
        let bus = links.source(node, "audio").and_then(|pin| sounds.get(pin).ok()).filter(|_| links.runs(node));
        if let Some(running) = running {
            let unplugged = bus.is_none_or(|bus| !running.sink.is_on(bus));
            // A sink that waits for room holds the lock; it has not failed then.
            let failed = running.encoding.try_lock().is_some_and(|encoding| encoding.failed);
            if unplugged || failed || running.settings != *settings || running.clock != *clock {
                commands.entity(node).remove::<RunningEncoder>();
            }
            continue;
        }
        let Some((bus, target)) = bus.zip(links.output(node, "packets").and_then(|pin| packets.get(pin).ok())) else { continue };
        if !status.may_run(Instant::now()) {
            continue;
        }
        let encoding = Arc::<Mutex<Encoding>>::default();
        let (state, target, reports, policy) = (encoding.clone(), target.clone(), reports.clone(), clock.queue_policy());
        let AudioEncoder { codec, provider, bitrate_bps } = settings.clone();
        let wanted = AudioEncoderSettings { codec, provider, bitrate_bps };
        let sink = bus.add_sink(node, move |format: &AudioFormat, block: &AudioBlock| {
            let mut state = state.lock();
            if state.failed {
                return;
            }
            match encode(&mut state, &wanted, *format, policy, &target, block) {
                Ok(()) => reports.success(node),
                Err(error) => {
                    state.failed = true;
                    reports.failure(node, error);
                }
            }
        });
        commands.entity(node).insert(RunningEncoder { settings: settings.clone(), clock: *clock, encoding, sink });
    }
}

fn encode(
    state: &mut Encoding,
    settings: &AudioEncoderSettings,
    format: AudioFormat,
    policy: QueuePolicy,
    target: &PacketBus,
    block: &AudioBlock,
) -> Result<(), EncodeError> {
    // Another format needs another encoder; what the old one holds is let out first.
    if let Some(old) = state.encoder.take_if(|encoder| encoder.format() != format) {
        old.finish()?;
    }
    if state.encoder.is_none() {
        let target = target.clone();
        let publish = move |info: &Arc<AudioStreamInfo>, unit: AccessUnit| {
            target.set_info(PacketInfo::Audio(info.clone()));
            target.publish(&unit);
        };
        state.encoder = Some(audio::AudioEncoder::new(settings, format, policy, publish)?);
    }
    state.encoder.as_ref().map_or(Ok(()), |encoder| encoder.push(block))
}
