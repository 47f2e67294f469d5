//! The `AudioOutput` node.

use crate::audio::{AudioPlayer, OutputSettings, OutputStats, gain_factor};
use bevy::prelude::*;
use std::{sync::Arc, time::Instant};
use studio_frame::audio::{AudioBlock, AudioFormat};
use studio_graph::prelude::*;

/// Plays the sound that comes in, live. Offline nothing is played.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[require(AudioOutputStats)]
#[reflect(Component, Default, Node)]
pub struct AudioOutput {
    /// `auto` (the sink that GStreamer ranks highest and that opens), the name of one such as `pulsesink` or `alsasink`, or
    /// `fakesink`: keeps time and plays nothing, for machines without sound.
    pub provider: String,
    /// The device as the sink names it, such as `hw:1`; empty for its own choice.
    pub device: String,
    /// Gain in dB, from -100 to 40. May change while it plays.
    #[reflect(@-100.0..=40.0_f32)]
    pub gain_db: f32,
    /// Whether it is silent. May change while it plays.
    pub mute: bool,
    /// Added delay in milliseconds, from 0 to 5 000.
    #[reflect(@0.0..=5000.0_f32)]
    pub delay_ms: f32,
}

impl Default for AudioOutput {
    fn default() -> Self {
        Self { provider: "auto".into(), device: String::new(), gain_db: 0.0, mute: false, delay_ms: 0.0 }
    }
}

impl NodeKind for AudioOutput {
    const DISPLAY_NAME: &'static str = "Audio output";
    const CATEGORY: &'static str = "Audio";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::input("audio", DataType::AUDIO_BUFFER)]
    }
}

/// What an [`AudioOutput`] played so far.
#[derive(Component, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioOutputStats(pub OutputStats);

#[derive(Component)]
struct RunningOutput {
    player: Arc<AudioPlayer>,
    settings: OutputSettings,
    sink: SinkGuard<AudioBlock>,
}

pub(super) fn add_audio_output(app: &mut App) {
    // Before the sources start, so that the first block is heard.
    app.register_node::<AudioOutput>()
        .add_systems(Update, run_outputs.in_set(StudioSystems::Capture).before(super::audio::run_encoders));
}

fn run_outputs(
    mut outputs: Query<(Entity, &AudioOutput, &mut NodeStatus, &mut AudioOutputStats, Option<&RunningOutput>)>,
    links: GraphLinks,
    sounds: Query<&AudioBus>,
    clock: Res<StudioClock>,
    mut commands: Commands,
) {
    for (node, output, mut status, mut shown, running) in &mut outputs {
        let plays = links.runs(node) && *clock == StudioClock::Live;
        let bus = links.source(node, "audio").and_then(|pin| sounds.get(pin).ok()).filter(|_| plays);
        let settings =
            OutputSettings { provider: output.provider.clone(), device: output.device.clone(), delay_ms: output.delay_ms };
        let gain = gain_factor(output.gain_db).map(|gain| if output.mute { 0.0 } else { gain });
        if let Some(running) = running {
            if let Ok(gain) = gain {
                running.player.set_gain(gain);
            }
            let stats = running.player.stats();
            for _ in shown.0.blocks..stats.blocks {
                status.count_frame();
            }
            shown.set_if_neq(AudioOutputStats(stats));
            let failure = running.player.failure();
            if let Some(failure) = &failure {
                fail(&mut status, failure.to_string());
            }
            let unplugged = bus.is_none_or(|bus| !running.sink.is_on(bus));
            if failure.is_some() || unplugged || running.settings != settings {
                commands.entity(node).remove::<RunningOutput>();
            }
            continue;
        }
        let Some(bus) = bus.filter(|_| status.may_run(Instant::now())) else { continue };
        let started = gain
            .map_err(|error| error.to_string())
            .and_then(|gain| AudioPlayer::start(settings.clone(), gain).map_err(|error| error.to_string()));
        match started {
            Ok(player) => {
                let player = Arc::new(player);
                let target = player.clone();
                let sink = bus.add_sink(node, move |_: &AudioFormat, block: &AudioBlock| target.play(block));
                *shown = AudioOutputStats::default();
                commands.entity(node).insert(RunningOutput { player, settings, sink });
            }
            Err(error) => fail(&mut status, error),
        }
    }
}

/// A failure that lasts is logged once, not at every try.
fn fail(status: &mut NodeStatus, error: String) {
    if status.error() != Some(&error) {
        warn!("{}: {error}", AudioOutput::DISPLAY_NAME);
    }
    status.fail(error);
}
