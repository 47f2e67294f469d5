//! The `AudioMixer` node.

use crate::{
    audio::{AudioMeters, MixError, Mixer, MixerChannel},
    capture::CaptureClock,
};
use bevy::prelude::*;
use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_graph::prelude::*;

/// Makes one sound of several, by the time they were captured at, as 48 kHz stereo.
///
/// Live, sound that is late or missing is silence and holds nothing up. What would be louder than full scale is bent softly.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[require(AudioMeters)]
#[reflect(Component, Default, Node)]
pub struct AudioMixer {
    /// How many inputs it has.
    #[reflect(@1..=16_u32)]
    pub inputs: u32,
    /// Gain, mute and delay of the inputs, in their order; inputs beyond the list are as they come.
    pub channels: Vec<MixerChannel>,
    /// Gain of the output in dB, from -100 to 20.
    #[reflect(@-100.0..=20.0_f32)]
    pub gain_db: f32,
    /// Whether the output is silenced.
    pub mute: bool,
    /// How long an input may be late live, in milliseconds from 10 to 1000. What comes later is left out.
    #[reflect(@10.0..=1000.0_f32)]
    pub latency_ms: f32,
}

impl Default for AudioMixer {
    fn default() -> Self {
        Self { inputs: 2, channels: Vec::new(), gain_db: 0.0, mute: false, latency_ms: 60.0 }
    }
}

impl AudioMixer {
    fn input_names(&self) -> impl Iterator<Item = String> {
        (1..=self.inputs.clamp(1, 16)).map(|number| format!("input {number}"))
    }
}

impl NodeKind for AudioMixer {
    const DISPLAY_NAME: &'static str = "Audio mixer";
    const CATEGORY: &'static str = "Audio";

    fn pins(&self) -> Vec<PinSpec> {
        let inputs = self.input_names().map(|name| PinSpec::input(name, DataType::AUDIO_BUFFER));
        inputs.chain([PinSpec::output("audio", DataType::AUDIO_BUFFER)]).collect()
    }
}

/// A mixer that was started, and what it was started with.
#[derive(Component)]
pub(super) struct RunningMixer {
    /// Taken off their buses before the mixer ends.
    sinks: Vec<Option<SinkGuard<AudioBlock>>>,
    mixer: Mixer,
    clock: StudioClock,
    latency_ms: f32,
    shown: u64,
}

/// Starts, changes and ends mixers. Runs between the encoders and the sources, so that nobody misses the first block.
pub(super) fn run_mixers(
    mut mixers: Query<(Entity, Ref<AudioMixer>, &mut AudioMeters, Option<&mut RunningMixer>)>,
    mut statuses: Query<&mut NodeStatus>,
    links: GraphLinks,
    buses: Query<&AudioBus>,
    owners: Query<&PinOf>,
    clock: Res<StudioClock>,
    reports: Res<FailureReport>,
    mut commands: Commands,
) {
    for (node, settings, mut meters, running) in &mut mixers {
        let Some(output) = links.output(node, "audio").and_then(|pin| buses.get(pin).ok()) else { continue };
        let sources: Vec<Option<Entity>> = settings.input_names().map(|name| links.source(node, &name)).collect();
        let bus_of = |source: &Option<Entity>| source.and_then(|pin| buses.get(pin).ok());
        let Some(mut running) = running else {
            let may = statuses.get(node).is_ok_and(|status| status.may_run(Instant::now()) && *status != NodeStatus::Ended);
            let may = may && links.runs(node);
            if !may || sources.iter().all(Option::is_none) {
                continue;
            }
            match start(node, &settings, *clock, output, sources.iter().map(bus_of), &reports) {
                Ok(running) => drop(commands.entity(node).insert(running)),
                Err(error) => reports.failure(node, error),
            }
            continue;
        };
        let relinked = running.sinks.len() != sources.len()
            || running.sinks.iter().zip(&sources).any(|(sink, source)| match (sink, bus_of(source)) {
                (Some(sink), Some(bus)) => !sink.is_on(bus),
                (None, None) => false,
                _ => true,
            });
        let failure = running.mixer.failure();
        let other = running.clock != *clock || running.latency_ms != settings.latency_ms;
        if relinked || other || failure.is_some() || !links.runs(node) {
            commands.entity(node).remove::<RunningMixer>();
            meters.set_if_neq(AudioMeters::default());
            if let Some(error) = failure {
                reports.failure(node, error);
            } else if let Ok(mut status) = statuses.get_mut(node) {
                *status = NodeStatus::Idle;
            }
            continue;
        }
        if settings.is_changed()
            && let Err(error) = running.mixer.set(&settings.channels, settings.gain_db, settings.mute)
        {
            reports.failure(node, error);
        }
        if *clock == StudioClock::Offline {
            let status_of = |pin: Entity| statuses.get(owners.get(pin).ok()?.0).ok();
            let has_ended = |pin: &Entity| status_of(*pin) == Some(&NodeStatus::Ended);
            let inputs = running.mixer.inputs().iter().zip(&sources);
            inputs.filter(|(_, source)| source.as_ref().is_some_and(has_ended)).for_each(|(input, _)| input.end());
        }
        meters.set_if_neq(running.mixer.meters());
        let Ok(mut status) = statuses.get_mut(node) else { continue };
        let published = output.stats().items;
        for _ in running.shown..published {
            status.count_frame();
        }
        running.shown = published;
        if running.mixer.has_ended() && *status != NodeStatus::Ended {
            *status = NodeStatus::Ended;
        }
    }
}

/// Starts a mixer and hangs its inputs on the buses that feed it.
fn start<'a>(
    node: Entity,
    settings: &AudioMixer,
    clock: StudioClock,
    output: &AudioBus,
    buses: impl Iterator<Item = Option<&'a AudioBus>>,
    reports: &FailureReport,
) -> Result<RunningMixer, MixError> {
    let buses: Vec<Option<&AudioBus>> = buses.collect();
    let (target, shown) = (output.clone(), output.stats().items);
    target.set_info(AudioFormat::STUDIO);
    let capture_clock = match clock {
        StudioClock::Live => CaptureClock::Live,
        StudioClock::Offline => CaptureClock::Offline,
    };
    if !settings.latency_ms.is_finite() || settings.latency_ms < 0.0 {
        return Err(MixError::Setting(format!("latency {} ms is out of range: it goes from 10 to 1000 ms", settings.latency_ms)));
    }
    let latency = Duration::from_secs_f32(settings.latency_ms.min(1e6) / 1000.0);
    let mixer = Mixer::new(buses.len(), capture_clock, latency, move |block| target.publish(&block))?;
    mixer.set(&settings.channels, settings.gain_db, settings.mute)?;
    let sinks = buses.iter().zip(mixer.inputs()).map(|(bus, input)| {
        let Some(bus) = bus else {
            input.end();
            return None;
        };
        let (input, reports) = (input.clone(), reports.clone());
        Some(bus.add_sink(node, move |_: &AudioFormat, block: &AudioBlock| {
            if let Err(error @ MixError::Audio(_)) = input.push(block) {
                reports.failure(node, error);
            }
        }))
    });
    let sinks = sinks.collect();
    Ok(RunningMixer { sinks, mixer, clock, latency_ms: settings.latency_ms, shown })
}
