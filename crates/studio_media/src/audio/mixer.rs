//! Several sounds become one.

use super::{
    meter::{AudioMeters, Gain, InputMeter, Meter, limit},
    pipeline::{samples_of, sound_caps},
};
use crate::{
    capture::CaptureClock,
    runtime::{self, RuntimeError},
};
use bevy::prelude::*;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// Sound that may wait in front of the mixer beyond the input's own delay.
const QUEUED: Duration = Duration::from_secs(1);
/// Length of the blocks that come out.
const BLOCK: Duration = Duration::from_millis(10);
/// How far an input's times may wander from the count of its samples before it is aligned anew.
const ALIGNMENT: Duration = Duration::from_millis(15);
/// How long the note that the limiter worked is kept.
const LIMITED_FOR: Duration = Duration::from_secs(1);

/// What is set for one input of a mixer.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[reflect(Default)]
#[serde(default)]
pub struct MixerChannel {
    /// Gain in dB, from -100 to 20.
    #[reflect(@-100.0..=20.0_f32)]
    pub gain_db: f32,
    /// Whether it is silenced.
    pub mute: bool,
    /// How much later than it was captured it sounds, in milliseconds from 0 to 5000: what its pictures need longer.
    #[reflect(@0.0..=5000.0_f32)]
    pub delay_ms: f32,
}

impl MixerChannel {
    fn check(&self, what: &str) -> Result<(), MixError> {
        if !(-100.0..=20.0).contains(&self.gain_db) {
            return Err(MixError::Setting(format!(
                "gain {} dB of {what} is out of range: it goes from -100 to 20 dB",
                self.gain_db
            )));
        }
        if !(0.0..=5000.0).contains(&self.delay_ms) {
            return Err(MixError::Setting(format!(
                "delay {} ms of {what} is out of range: it goes from 0 to 5000 ms",
                self.delay_ms
            )));
        }
        Ok(())
    }

    fn factor(&self) -> f32 {
        if self.mute { 0.0 } else { 10_f32.powf(self.gain_db / 20.0) }
    }
}

/// Why nothing is mixed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A setting is out of range.
    #[error("{0}")]
    Setting(String),
    /// Sound that cannot be mixed.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// It stopped.
    #[error("the mixer stopped: {0}")]
    Failed(String),
}

/// A factor that several threads share.
#[derive(Debug, Default)]
struct SharedFactor(AtomicU32);

impl SharedFactor {
    fn set(&self, factor: f32) {
        self.0.store(factor.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Default)]
struct Outcome {
    failure: Option<String>,
    ended: bool,
}

/// Gain and meter of an input or of the output.
#[derive(Default)]
struct Strip {
    gain: SharedFactor,
    meter: Meter,
}

#[derive(Default)]
struct Shared {
    outcome: Mutex<Outcome>,
    output: Strip,
    limited_at: Mutex<Option<Instant>>,
}

/// One input of a running [`Mixer`].
pub struct MixerInput {
    source: gst_app::AppSrc,
    live: bool,
    zero: UnixTime,
    latency: Duration,
    strip: Arc<Strip>,
    delay_ns: AtomicU64,
    late_ns: AtomicU64,
    warned: AtomicBool,
    format: Mutex<Option<AudioFormat>>,
}

impl MixerInput {
    /// Hands a block over. Offline it waits for room; live the oldest sound makes room. Sound that comes too late to be mixed
    /// is left out.
    ///
    /// # Errors
    /// The mixer stopped or failed.
    pub fn push(&self, block: &AudioBlock) -> Result<(), MixError> {
        let delay_ns = self.delay_ns.load(Ordering::Relaxed);
        if self.live {
            let age = UnixTime::now().since(block.stamp.captured_at).as_nanos() as i128 - block.duration().as_nanos() as i128;
            let late_ns = (age - i128::from(delay_ns) - self.latency.as_nanos() as i128).max(0) as u64;
            self.late_ns.store(late_ns, Ordering::Relaxed);
            if late_ns > 0 && !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "sound comes {} ms too late to be mixed; raise `latency_ms` of the mixer by that",
                    late_ns / 1_000_000
                );
            }
        }
        // A clock that is set wrong would silence the input for as long as it is ahead.
        let ahead = Duration::from_nanos(block.stamp.captured_at.0.saturating_sub(UnixTime::now().0));
        if self.live && ahead > QUEUED {
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!("sound is stamped {:.0} s in the future and left out: set the clocks", ahead.as_secs_f64());
            }
            return Ok(());
        }
        // Where it begins, seen from the mixer's start; the part before that is left out.
        let at_ns = i128::from(block.stamp.captured_at.0) + i128::from(delay_ns) - i128::from(self.zero.0);
        let format = block.format();
        let skipped = if at_ns < 0 { format.frames_in(Duration::from_nanos((-at_ns).min(1 << 62) as u64)) } else { 0 };
        let skipped = skipped as usize * usize::from(format.channels);
        let Some(samples) = block.samples().get(skipped..).filter(|samples| !samples.is_empty()) else { return Ok(()) };
        let mut present = self.format.lock();
        if *present != Some(format) {
            self.source.set_caps(Some(&sound_caps(format)?));
            *present = Some(format);
        }
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(target) = buffer.get_mut() {
            target.set_pts(gst::ClockTime::from_nseconds(at_ns.clamp(0, 1 << 62) as u64));
            let frames = samples.len() / usize::from(format.channels);
            target.set_duration(gst::ClockTime::from_nseconds(format.duration_of(frames as u64).as_nanos() as u64));
        }
        drop(present);
        self.source.push_buffer(buffer).map(drop).map_err(|error| MixError::Failed(format!("it takes no more ({error})")))
    }

    /// Says that no more sound comes.
    pub fn end(&self) {
        // An input that has ended already, or a mixer that stopped, needs no end.
        self.source.end_of_stream().ok();
    }
}

/// Mixes sounds by the time they were captured at, as 48 kHz stereo. GStreamer's `audiomixer` adds; what is resampled goes
/// through `audioresample`.
///
/// Live, an input that is late or silent does not hold the others up; offline, every input is waited for until it ends.
pub struct Mixer {
    pipeline: gst::Pipeline,
    inputs: Vec<Arc<MixerInput>>,
    shared: Arc<Shared>,
    closed: Arc<AtomicBool>,
}

impl Mixer {
    /// Starts a mixer for 1 to 16 inputs. `on_block` is called on the mixer's thread with blocks of 10 ms, whose
    /// `captured_at` is when their sound was captured.
    ///
    /// `latency` is how long an input may be late live, from 10 to 1000 ms.
    ///
    /// # Errors
    /// A number or a latency out of range, GStreamer or an element absent.
    pub fn new(
        inputs: usize,
        clock: CaptureClock,
        latency: Duration,
        on_block: impl Fn(AudioBlock) + Send + Sync + 'static,
    ) -> Result<Self, MixError> {
        runtime::init()?;
        if !(1..=16).contains(&inputs) {
            return Err(MixError::Setting(format!("{inputs} inputs are out of range: a mixer has 1 to 16")));
        }
        if !(Duration::from_millis(10)..=Duration::from_secs(1)).contains(&latency) {
            return Err(MixError::Setting(format!(
                "latency {} ms is out of range: it goes from 10 to 1000 ms",
                latency.as_secs_f32() * 1000.0
            )));
        }
        let live = clock == CaptureClock::Live;
        let studio = sound_caps(AudioFormat::STUDIO)?;
        let latency_ns = latency.as_nanos() as u64;
        let mixer = gst::ElementFactory::make("audiomixer")
            .property("force-live", live)
            .property("latency", if live { latency_ns } else { 0 })
            .property("output-buffer-duration", BLOCK.as_nanos() as u64)
            .property("alignment-threshold", ALIGNMENT.as_nanos() as u64)
            .build()
            .map_err(|_| runtime::missing("audiomixer"))?;
        let sink = gst_app::AppSink::builder().caps(&studio).sync(false).max_buffers(8).build();
        let pipeline = gst::Pipeline::new();
        runtime::chain(&pipeline, &[mixer.clone(), sink.clone().upcast()])?;
        // Live, the pipeline's time starts now, and both clocks are read together.
        let system = gst::SystemClock::obtain();
        pipeline.use_clock(Some(&system));
        let zero = if live { UnixTime::now() } else { UnixTime(0) };
        if live {
            pipeline.set_base_time(system.time());
            pipeline.set_start_time(gst::ClockTime::NONE);
        }
        let shared = Arc::new(Shared::default());
        shared.output.gain.set(1.0);
        let closed = Arc::new(AtomicBool::new(false));
        sink.set_callbacks(deliver(&shared, &closed, zero, on_block));
        let inputs = (0..inputs)
            .map(|_| add_input(&pipeline, &mixer, &studio, live, zero, latency).map(Arc::new))
            .collect::<Result<Vec<_>, RuntimeError>>()?;
        if let Some(bus) = pipeline.bus() {
            let shared = shared.clone();
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Error(error) => {
                        shared.outcome.lock().failure.get_or_insert(runtime::describe(error));
                    }
                    gst::MessageView::Eos(_) => shared.outcome.lock().ended = true,
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
        let mixer = Self { pipeline, inputs, shared, closed };
        mixer.pipeline.set_state(gst::State::Playing).map_err(|error| MixError::Failed(error.to_string()))?;
        Ok(mixer)
    }

    /// Its inputs, in order.
    pub fn inputs(&self) -> &[Arc<MixerInput>] {
        &self.inputs
    }

    /// Changes gain, mute and delay of inputs while it runs; inputs without a channel are as they come. Gains move within
    /// 10 ms, so that no change clicks.
    ///
    /// # Errors
    /// A value out of range, by the input's number; nothing is changed then.
    pub fn set(&self, channels: &[MixerChannel], gain_db: f32, mute: bool) -> Result<(), MixError> {
        let output = MixerChannel { gain_db, mute, delay_ms: 0.0 };
        output.check("the output")?;
        for (place, channel) in channels.iter().enumerate().take(self.inputs.len()) {
            channel.check(&format!("input {}", place + 1))?;
        }
        self.shared.output.gain.set(output.factor());
        for (place, input) in self.inputs.iter().enumerate() {
            let channel = channels.get(place).copied().unwrap_or_default();
            input.strip.gain.set(channel.factor());
            let delay = Duration::from_secs_f32(channel.delay_ms / 1000.0);
            let before = input.delay_ns.swap(delay.as_nanos() as u64, Ordering::Relaxed);
            if before != delay.as_nanos() as u64 {
                input.source.set_max_time(gst::ClockTime::from_nseconds((delay + QUEUED).as_nanos() as u64));
            }
        }
        Ok(())
    }

    /// How loud everything is.
    pub fn meters(&self) -> AudioMeters {
        let input = |input: &Arc<MixerInput>| InputMeter {
            level: input.strip.meter.level(),
            late_ms: input.late_ns.load(Ordering::Relaxed) as f32 / 1e6,
        };
        let limited = self.shared.limited_at.lock().is_some_and(|at| at.elapsed() < LIMITED_FOR);
        AudioMeters { inputs: self.inputs.iter().map(input).collect(), output: self.shared.output.meter.level(), limited }
    }

    /// Whether all inputs have ended and everything was delivered.
    pub fn has_ended(&self) -> bool {
        self.shared.outcome.lock().ended
    }

    /// Why it stopped, if it did.
    pub fn failure(&self) -> Option<MixError> {
        self.shared.outcome.lock().failure.clone().map(MixError::Failed)
    }
}

impl Drop for Mixer {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a mixer did not stop cleanly");
        }
    }
}

fn add_input(
    pipeline: &gst::Pipeline,
    mixer: &gst::Element,
    studio: &gst::Caps,
    live: bool,
    zero: UnixTime,
    latency: Duration,
) -> Result<MixerInput, RuntimeError> {
    let source = gst_app::AppSrc::builder()
        .format(gst::Format::Time)
        .is_live(live)
        .max_bytes(0)
        .max_time(gst::ClockTime::from_nseconds(QUEUED.as_nanos() as u64))
        .block(!live)
        .leaky_type(if live { gst_app::AppLeakyType::Downstream } else { gst_app::AppLeakyType::None })
        .build();
    let filter = runtime::make("capsfilter")?;
    filter.set_property("caps", studio);
    runtime::chain(
        pipeline,
        &[source.clone().upcast(), runtime::make("audioconvert")?, runtime::make("audioresample")?, filter.clone()],
    )?;
    filter.link(mixer).map_err(|error| RuntimeError::Link(error.to_string()))?;
    let strip = Arc::<Strip>::default();
    strip.gain.set(1.0);
    let (hearing, gain) = (strip.clone(), Mutex::new(Gain::default()));
    let probe = move |_: &gst::Pad, info: &mut gst::PadProbeInfo<'_>| {
        if let Some(buffer) = info.buffer_mut()
            && let Some(mut samples) = samples_of(buffer, 1.0)
        {
            gain.lock().apply(hearing.gain.get(), &mut samples);
            hearing.meter.hear(&samples, AudioFormat::STUDIO.duration_of(samples.len() as u64 / 2));
            if let Ok(mut mapped) = buffer.make_mut().map_writable() {
                mapped.as_chunks_mut::<4>().0.iter_mut().zip(samples).for_each(|(word, sample)| *word = sample.to_ne_bytes());
            }
        }
        gst::PadProbeReturn::Ok
    };
    filter.static_pad("src").and_then(|pad| pad.add_probe(gst::PadProbeType::BUFFER, probe));
    Ok(MixerInput {
        source,
        live,
        zero,
        latency,
        strip,
        delay_ns: AtomicU64::new(0),
        late_ns: AtomicU64::new(0),
        warned: AtomicBool::new(false),
        format: Mutex::new(None),
    })
}

/// Makes blocks of what the mixer puts out.
fn deliver(
    shared: &Arc<Shared>,
    closed: &Arc<AtomicBool>,
    zero: UnixTime,
    on_block: impl Fn(AudioBlock) + Send + Sync + 'static,
) -> gst_app::AppSinkCallbacks {
    let (shared, closed) = (shared.clone(), closed.clone());
    let (gain, next_id) = (Mutex::new(Gain::default()), AtomicU64::new(0));
    let take = move |sample: &gst::Sample| -> Option<AudioBlock> {
        let buffer = sample.buffer()?;
        let mut samples = samples_of(buffer, 1.0)?;
        gain.lock().apply(shared.output.gain.get(), &mut samples);
        if limit(&mut samples) {
            *shared.limited_at.lock() = Some(Instant::now());
        }
        let duration = AudioFormat::STUDIO.duration_of(samples.len() as u64 / 2);
        shared.output.meter.hear(&samples, duration);
        let pts = buffer.pts()?.nseconds();
        let stamp = FrameStamp {
            frame_id: next_id.fetch_add(1, Ordering::Relaxed),
            captured_at: UnixTime(zero.0.saturating_add(pts)),
            pts: MediaTime(pts),
        };
        AudioBlock::new(stamp, AudioFormat::STUDIO, samples).ok()
    };
    let callback = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if closed.load(Ordering::Acquire) {
            return Err(gst::FlowError::Flushing);
        }
        on_block(take(&sample).ok_or(gst::FlowError::Error)?);
        Ok(gst::FlowSuccess::Ok)
    };
    gst_app::AppSinkCallbacks::builder().new_sample(callback).build()
}
