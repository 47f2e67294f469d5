//! Plays sound on a sound card.
//!
//! Blocks come from other threads, in bursts and on clocks of their own. A [`Placement`] gives each its moment on the
//! pipeline's clock, a little ahead of now; GStreamer's sink plays it then, and fits the card's own clock to the pipeline's.

use super::pipeline::float_caps;
use crate::runtime::{self, RuntimeError};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use studio_frame::{prelude::*, queue::ReceiveError};

/// Blocks that may wait for the card to open; the newest win.
const QUEUED: usize = 64;
/// How often the thread looks whether the card failed while nothing is played.
const LOOK_AROUND: Duration = Duration::from_millis(200);
/// What the card's own buffer holds: its latency.
const CARD_BUFFER_US: u32 = 40_000;
/// How far ahead of its moment a block lies when it comes on time.
const CUSHION: Duration = Duration::from_millis(30);
/// A block further ahead than this beyond the cushion is of a source that jumped.
const FAR_AHEAD: Duration = Duration::from_millis(200);
/// How far the source's clock may run away from the card's before sound is left out or held.
const DRIFT: Duration = Duration::from_millis(20);
/// How long the drift is watched before it is believed.
const DRIFT_WINDOW: Duration = Duration::from_secs(5);
/// The longest additional delay.
pub(crate) const MAX_DELAY_MS: f32 = 5_000.0;

/// Where sound is played.
#[derive(Clone, Debug, PartialEq)]
pub struct OutputSettings {
    /// `auto` (the sink that GStreamer ranks highest and that opens), the name of a sink such as `pulsesink`, or `fakesink`, which keeps
    /// time and plays nothing.
    pub provider: String,
    /// The device, as the sink names it; empty for its own choice.
    pub device: String,
    /// Added delay in milliseconds, from 0 to 5 000.
    pub delay_ms: f32,
}

/// Why no sound is played.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OutputError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Nothing that plays.
    #[error(
        "there is no sound card that plays: start PulseAudio or PipeWire, install gstreamer1.0-alsa for a card without them, \
         name another `provider`, or choose `fakesink` to play nothing"
    )]
    NoCard,
    /// The sink does not start, or stopped.
    #[error("{element} does not play: {reason}; choose another `provider` or `device`, or `fakesink` to play nothing")]
    Failed {
        /// The sink.
        element: String,
        /// What it says.
        reason: String,
    },
    /// A setting out of range.
    #[error("{0}")]
    Setting(String),
}

/// What a player did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputStats {
    /// Blocks played.
    pub blocks: u64,
    /// Blocks dropped because the card took none.
    pub dropped: u64,
    /// Times that sound was left out or held to keep in step with the source.
    pub steps: u64,
}

#[derive(Default)]
struct Shared {
    failure: Mutex<Option<OutputError>>,
    /// Bits of the factor that samples are multiplied by.
    gain: AtomicU32,
    blocks: AtomicU64,
    steps: AtomicU64,
}

/// Plays blocks of sound on a thread of its own. Dropping it ends the sound.
pub struct AudioPlayer {
    blocks: QueueSender<AudioBlock>,
    shared: Arc<Shared>,
}

impl AudioPlayer {
    /// Starts a player, which opens the card with the first block. `gain` is the factor to begin with; 0 is silence.
    ///
    /// # Errors
    /// A delay out of range, or no thread. That no card plays is told by [`failure`](Self::failure).
    pub fn start(settings: OutputSettings, gain: f32) -> Result<Self, OutputError> {
        if !(0.0..=MAX_DELAY_MS).contains(&settings.delay_ms) {
            let text = format!("delay {} ms is out of range: it goes from 0 to {MAX_DELAY_MS} ms", settings.delay_ms);
            return Err(OutputError::Setting(text));
        }
        let (sender, blocks) = queue(QUEUED, QueuePolicy::NewestWins);
        let shared = Arc::new(Shared { gain: AtomicU32::new(gain.to_bits()), ..Shared::default() });
        let state = shared.clone();
        let run = move || {
            if let Err(error) = play(&settings, &blocks, &state) {
                *state.failure.lock() = Some(error);
            }
        };
        // Not waited for when the player goes: a sound server that hangs holds up this thread alone.
        thread::Builder::new()
            .name("studio sound".into())
            .spawn(run)
            .map_err(|error| OutputError::Setting(format!("a thread for sound cannot be started: {error}")))?;
        Ok(Self { blocks: sender, shared })
    }

    /// Plays a block after those before it. Never waits.
    pub fn play(&self, block: &AudioBlock) {
        self.blocks.send(block.clone());
    }

    /// The factor that samples are multiplied by from now on; it is reached over the length of a block.
    pub fn set_gain(&self, gain: f32) {
        self.shared.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    /// Why it plays no more, if it does not.
    pub fn failure(&self) -> Option<OutputError> {
        self.shared.failure.lock().clone()
    }

    /// What it did so far.
    pub fn stats(&self) -> OutputStats {
        OutputStats {
            blocks: self.shared.blocks.load(Ordering::Relaxed),
            dropped: self.blocks.dropped(),
            steps: self.shared.steps.load(Ordering::Relaxed),
        }
    }
}

/// Plays until nobody sends blocks any more.
fn play(settings: &OutputSettings, blocks: &QueueReceiver<AudioBlock>, shared: &Shared) -> Result<(), OutputError> {
    runtime::init()?;
    let mut card: Option<Card> = None;
    let mut gain = f32::from_bits(shared.gain.load(Ordering::Relaxed));
    loop {
        let block = match blocks.recv_timeout(LOOK_AROUND) {
            Ok(block) => Some(block),
            Err(ReceiveError::Empty) => None,
            Err(ReceiveError::Closed) => return Ok(()),
        };
        if let Some(error) = card.as_ref().and_then(Card::failure) {
            return Err(error);
        }
        let Some(mut block) = block.filter(|block| block.frames() > 0) else { continue };
        if card.as_ref().is_none_or(|card| card.format != block.format()) {
            // The old one lets go of the device first.
            drop(card.take());
            card = Some(Card::open(settings, block.format())?);
            // What came while it opened is old; to play it would put off all that follows.
            while let Ok(newer) = blocks.try_recv() {
                let same = newer.format() == block.format();
                block = newer;
                if !same {
                    break;
                }
            }
        }
        let Some(card) = card.as_mut().filter(|card| card.format == block.format()) else { continue };
        let target = f32::from_bits(shared.gain.load(Ordering::Relaxed));
        card.push(&block, gain, target)?;
        gain = target;
        shared.blocks.fetch_add(1, Ordering::Relaxed);
        shared.steps.fetch_add(core::mem::take(&mut card.placement.steps), Ordering::Relaxed);
    }
}

/// An open sound card.
struct Card {
    element: String,
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    format: AudioFormat,
    placement: Placement,
    failed: Arc<Mutex<Option<String>>>,
}

impl Card {
    fn open(settings: &OutputSettings, format: AudioFormat) -> Result<Self, OutputError> {
        let delay = Duration::from_secs_f32(settings.delay_ms / 1000.0);
        let caps = float_caps().field("rate", format.rate_hz as i32).field("channels", i32::from(format.channels)).build();
        let longest = gst::ClockTime::try_from(delay + Duration::from_secs(1)).unwrap_or(gst::ClockTime::SECOND);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .max_buffers(0)
            .max_bytes(0)
            .max_time(longest)
            .leaky_type(gst_app::AppLeakyType::Downstream)
            .build();
        let sink = choose(settings)?;
        let element = sink.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        let pipeline = gst::Pipeline::new();
        // The card follows the system's clock, as everything else here does.
        pipeline.use_clock(Some(&gst::SystemClock::obtain()));
        let (convert, resample) = (runtime::make("audioconvert")?, runtime::make("audioresample")?);
        runtime::chain(&pipeline, &[source.clone().upcast(), convert, resample, sink])?;
        let failed = Arc::<Mutex<Option<String>>>::default();
        if let Some(bus) = pipeline.bus() {
            let failed = failed.clone();
            bus.set_sync_handler(move |_, message| {
                if let gst::MessageView::Error(error) = message.view() {
                    failed.lock().get_or_insert_with(|| runtime::describe(error));
                }
                gst::BusSyncReply::Drop
            });
        }
        let placement = Placement::new(CUSHION + delay);
        let card = Self { element, pipeline, source, format, placement, failed };
        if let Err(error) = card.pipeline.set_state(gst::State::Playing) {
            return Err(card.failure().unwrap_or_else(|| card.refused(error.to_string())));
        }
        Ok(card)
    }

    fn refused(&self, reason: String) -> OutputError {
        OutputError::Failed { element: self.element.clone(), reason }
    }

    fn failure(&self) -> Option<OutputError> {
        self.failed.lock().clone().map(|reason| self.refused(reason))
    }

    fn push(&mut self, block: &AudioBlock, from: f32, to: f32) -> Result<(), OutputError> {
        let now_ns = self.pipeline.current_running_time().map_or(0, gst::ClockTime::nseconds);
        let (at_ns, stepped) = self.placement.place(block.stamp.pts.0, now_ns);
        let mut buffer = gst::Buffer::from_slice(amplified(block, from, to));
        if let Some(target) = buffer.get_mut() {
            target.set_pts(gst::ClockTime::from_nseconds(at_ns));
            target.set_duration(gst::ClockTime::from_nseconds(block.duration().as_nanos() as u64));
            if stepped {
                target.set_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
            }
        }
        self.source
            .push_buffer(buffer)
            .map(drop)
            .map_err(|error| self.failure().unwrap_or_else(|| self.refused(format!("it takes no more ({error})"))))
    }
}

impl Drop for Card {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("{} did not stop cleanly", self.element);
        }
    }
}

/// A sink that is set up: the one that was asked for, or of all the one that GStreamer ranks highest and that opens.
fn choose(settings: &OutputSettings) -> Result<gst::Element, OutputError> {
    let configured = |sink: gst::Element| {
        runtime::set_if_present(&sink, "sync", "true");
        runtime::set_if_present(&sink, "buffer-time", &CARD_BUFFER_US.to_string());
        if !settings.device.is_empty() && !runtime::set_if_present(&sink, "device", &settings.device) {
            tracing::debug!("{} has no devices to choose from", sink.name());
        }
        sink
    };
    match settings.provider.trim() {
        "" | "auto" => {}
        name => return Ok(configured(runtime::make(name)?)),
    }
    let kind = gst::ElementFactoryType::SINK | gst::ElementFactoryType::MEDIA_AUDIO;
    let mut factories: Vec<_> = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL).into_iter().collect();
    factories.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    // GStreamer's own automatic sink does the same, but plays to nobody where no card is found. OpenAL only goes through the
    // others, and complains aloud when they do not play.
    for factory in factories.iter().filter(|factory| !["autoaudiosink", "openalsink"].contains(&factory.name().as_str())) {
        let Ok(sink) = factory.create().build().map(configured) else { continue };
        if sink.set_state(gst::State::Ready).is_ok() {
            return Ok(sink);
        }
        tracing::debug!("{} is installed but does not open", factory.name());
        if sink.set_state(gst::State::Null).is_err() {
            tracing::debug!("{} did not stop cleanly", factory.name());
        }
    }
    Err(OutputError::NoCard)
}

/// A block's samples as bytes, times a factor that goes from one value to another within it.
fn amplified(block: &AudioBlock, from: f32, to: f32) -> Vec<u8> {
    let channels = usize::from(block.format().channels);
    let step = (to - from) / block.frames().max(1) as f32;
    let frames = block.samples().chunks_exact(channels).enumerate();
    let samples = frames.flat_map(|(place, frame)| {
        let gain = from + step * (place + 1) as f32;
        frame.iter().map(move |sample| (sample * gain).clamp(-1.0, 1.0))
    });
    samples.flat_map(f32::to_ne_bytes).collect()
}

/// Gives each block its moment on the clock that it is played by.
///
/// The blocks' own time line says how they follow each other; only its distance to the clock is learnt here, from when they
/// come. It changes in single steps: when a block comes too late, when the source jumps, and when the clocks have run apart.
struct Placement {
    cushion_ns: i64,
    /// What is added to a block's time.
    offset_ns: Option<i64>,
    /// Where the present window of watching began, and the least and the most time that a block had left in it.
    window: Option<(u64, i64, i64)>,
    /// Steps since they were last counted.
    steps: u64,
}

impl Placement {
    fn new(cushion: Duration) -> Self {
        Self { cushion_ns: nanos(cushion), offset_ns: None, window: None, steps: 0 }
    }

    /// When a block of the time line is played, and whether the sound does not go on from what is before.
    fn place(&mut self, pts_ns: u64, now_ns: u64) -> (u64, bool) {
        let (pts, now) = (pts_ns as i64, now_ns as i64);
        let started = self.offset_ns.is_none();
        let offset = *self.offset_ns.get_or_insert(now + self.cushion_ns - pts);
        let left = pts + offset - now;
        let (began, least, most) = self.window.unwrap_or((now_ns, left, left));
        let (least, most) = (least.min(left), most.max(left));
        self.window = Some((began, least, most));
        let watched = now_ns.saturating_sub(began) >= DRIFT_WINDOW.as_nanos() as u64;
        let missing = if left < 0 || left > self.cushion_ns + nanos(FAR_AHEAD) {
            self.cushion_ns - left
        } else if watched && least - self.cushion_ns > nanos(DRIFT) {
            self.cushion_ns - least
        } else if watched && self.cushion_ns - most > nanos(DRIFT) {
            self.cushion_ns - most
        } else {
            // One late block that still came in time is no drift.
            0
        };
        if watched || missing != 0 {
            self.window = None;
        }
        self.offset_ns = Some(offset + missing);
        self.steps += u64::from(missing != 0);
        ((pts + offset + missing).max(0) as u64, started || missing != 0)
    }
}

fn nanos(duration: Duration) -> i64 {
    duration.as_nanos() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Blocks of 20 ms whose source's clock runs `speed` times as fast, each up to 10 ms late; returns the times left.
    fn run(placement: &mut Placement, blocks: core::ops::Range<u64>, speed: f64) -> Vec<i64> {
        let arrival = |block: u64| ((block * 20 * MS) as f64 / speed) as u64 + (block * 7919 % 11) * MS + 1000 * MS;
        blocks.map(|block| placement.place(block * 20 * MS, arrival(block)).0 as i64 - arrival(block) as i64).collect()
    }

    #[test]
    fn a_source_on_time_is_never_interrupted() {
        let mut placement = Placement::new(CUSHION);
        let left = run(&mut placement, 0..5000, 1.0);
        assert_eq!(placement.steps, 0);
        assert!(left.iter().all(|left| (15..=45).contains(&(left / MS as i64))));
    }

    #[test]
    fn a_source_on_another_clock_is_kept_in_step() {
        for speed in [0.999, 1.001] {
            let mut placement = Placement::new(CUSHION);
            let left = run(&mut placement, 0..10_000, speed);
            // 200 s at 1 in 1000 are 200 ms: some steps of about 20 ms, not one for each block.
            assert!((4..=14).contains(&placement.steps), "{speed}: {} steps", placement.steps);
            assert!(left.iter().all(|left| (0..=80).contains(&(left / MS as i64))), "{speed}");
        }
    }

    #[test]
    fn a_pause_and_a_jump_are_one_step_each() {
        let mut placement = Placement::new(CUSHION);
        assert_eq!(placement.place(0, 100 * MS), (130 * MS, true));
        assert_eq!(placement.place(20 * MS, 120 * MS), (150 * MS, false));
        assert_eq!(placement.place(40 * MS, 900 * MS), (930 * MS, true), "a pause");
        assert_eq!(placement.place(9_000 * MS, 920 * MS), (950 * MS, true), "another time line");
        assert_eq!(placement.place(0, 940 * MS), (970 * MS, true), "and back");
        assert_eq!(placement.steps, 3);
    }

    #[test]
    fn a_gain_is_reached_without_a_jump() {
        let block = AudioBlock::new(FrameStamp::default(), AudioFormat::STUDIO, vec![0.5; 8]).unwrap();
        let samples = |from, to| -> Vec<f32> {
            let bytes = amplified(&block, from, to);
            bytes.chunks(4).map(|word| f32::from_ne_bytes(word.try_into().unwrap())).collect()
        };
        assert_eq!(samples(0.0, 1.0), [0.125, 0.125, 0.25, 0.25, 0.375, 0.375, 0.5, 0.5]);
        assert_eq!(samples(4.0, 4.0), [1.0; 8], "no more than full scale");
    }
}
