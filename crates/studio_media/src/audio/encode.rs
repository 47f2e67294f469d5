//! Blocks of sound become access units.

use super::pipeline::{format_of, sound_caps};
use crate::{
    encode::EncodeError,
    runtime::{self, RuntimeError},
};
use bevy::prelude::*;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// Blocks that may wait in front of the encoder.
const QUEUED: u64 = 16;
const DRAIN: Duration = Duration::from_secs(10);

/// What the user may set on an encoder of sound.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct AudioEncoderSettings {
    /// Coding standard.
    pub codec: AudioCodec,
    /// `auto` (the installed one that GStreamer ranks highest) or the name of a GStreamer element such as `avenc_aac`.
    pub provider: String,
    /// Target bit rate, from 16 000 to 320 000 bits a second.
    pub bitrate_bps: u32,
}

impl Default for AudioEncoderSettings {
    fn default() -> Self {
        Self { codec: AudioCodec::Opus, provider: "auto".into(), bitrate_bps: 128_000 }
    }
}

const fn coded_caps(codec: AudioCodec) -> &'static str {
    match codec {
        AudioCodec::Opus => "audio/x-opus",
        AudioCodec::Aac => "audio/mpeg,mpegversion=4,stream-format=raw",
    }
}

/// How much later than its access units' times an element's sound comes out of a decoder, in sample frames at 48 kHz: AAC
/// codes silence first and GStreamer 1.22 does not subtract it. Measured with claps; Opus says so in its header, and
/// decoders subtract it themselves.
fn priming(element: &str) -> u64 {
    match element {
        "voaacenc" => 1600,
        "avenc_aac" => 1024,
        _ => 0,
    }
}

/// The installed encoders of a codec, the highest-ranked first.
fn encoders(codec: AudioCodec) -> Vec<gst::ElementFactory> {
    let Ok(caps) = coded_caps(codec).parse::<gst::Caps>() else { return Vec::new() };
    let mut found: Vec<gst::ElementFactory> =
        gst::ElementFactory::factories_with_type(gst::ElementFactoryType::AUDIO_ENCODER, gst::Rank::NONE)
            .into_iter()
            .filter(|factory| factory.can_src_any_caps(&caps))
            .collect();
    found.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    found
}

fn choose(settings: &AudioEncoderSettings) -> Result<gst::Element, EncodeError> {
    let known = encoders(settings.codec);
    let wanted = settings.provider.trim();
    let any = wanted.is_empty() || wanted == "auto";
    for factory in known.iter().filter(|factory| any || factory.name() == wanted) {
        let Ok(element) = factory.create().build() else { continue };
        runtime::set_if_present(&element, "bitrate", &settings.bitrate_bps.to_string());
        if element.set_state(gst::State::Ready).is_ok() {
            return Ok(element);
        }
        tracing::info!("{} is installed but does not start", factory.name());
    }
    if any {
        let software = if settings.codec == AudioCodec::Opus { "opusenc" } else { "avenc_aac" };
        return Err(runtime::missing(software).into());
    }
    Err(EncodeError::UnknownAudioProvider {
        wanted: wanted.into(),
        codec: settings.codec,
        known: known.iter().map(|factory| factory.name().to_string()).collect::<Vec<_>>().join(", "),
    })
}

#[derive(Default)]
struct State {
    /// Wall-clock time of the time line's zero, by the newest block.
    zero_ns: i128,
    next_id: u64,
    info: Option<Arc<AudioStreamInfo>>,
    failure: Option<String>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn fail(&self, reason: String) {
        self.state.lock().failure.get_or_insert(reason);
        self.changed.notify_all();
    }
}

/// Receives each access unit on the encoder's own thread, in order.
type OnUnit = Box<dyn FnMut(&Arc<AudioStreamInfo>, AccessUnit) + Send>;

/// Encodes blocks of sound on GStreamer's threads, as 48 kHz stereo. The access units' stamps lie on the blocks' time line.
pub struct AudioEncoder {
    name: String,
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    shared: Arc<Shared>,
    format: AudioFormat,
}

impl AudioEncoder {
    /// Opens an encoder for blocks of a format.
    ///
    /// `on_unit` is called on the encoder's thread; what it does delays the next unit. With [`QueuePolicy::NewestWins`] the
    /// oldest waiting block makes room; with [`QueuePolicy::Block`] [`push`](Self::push) waits.
    ///
    /// # Errors
    /// Settings out of range, no such encoder, or none that starts.
    pub fn new(
        settings: &AudioEncoderSettings,
        format: AudioFormat,
        policy: QueuePolicy,
        on_unit: impl FnMut(&Arc<AudioStreamInfo>, AccessUnit) + Send + 'static,
    ) -> Result<Self, EncodeError> {
        runtime::init()?;
        if !(16_000..=320_000).contains(&settings.bitrate_bps) {
            let text = format!("bit rate {} is out of range: it goes from 16000 to 320000 bit/s", settings.bitrate_bps);
            return Err(EncodeError::Setting(text));
        }
        let encoder = choose(settings)?;
        let name = encoder.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
        let input = sound_caps(format).map_err(|error| EncodeError::Setting(error.to_string()))?;
        let source = gst_app::AppSrc::builder()
            .caps(&input)
            .format(gst::Format::Time)
            .max_buffers(QUEUED)
            .max_bytes(0)
            .block(policy == QueuePolicy::Block)
            .leaky_type(match policy {
                QueuePolicy::NewestWins => gst_app::AppLeakyType::Downstream,
                QueuePolicy::Block => gst_app::AppLeakyType::None,
            })
            .build();
        let studio = runtime::make("capsfilter")?;
        let studio_caps = gst::Caps::builder("audio/x-raw")
            .field("rate", AudioFormat::STUDIO.rate_hz as i32)
            .field("channels", i32::from(AudioFormat::STUDIO.channels));
        studio.set_property("caps", studio_caps.build());
        let coded: gst::Caps = coded_caps(settings.codec).parse().map_err(|_| RuntimeError::Link("coded sound".into()))?;
        let sink = gst_app::AppSink::builder().caps(&coded).sync(false).max_buffers(8).build();
        let shared = Arc::<Shared>::default();
        let priming_ns = AudioFormat::STUDIO.duration_of(priming(&name)).as_nanos() as u64;
        sink.set_callbacks(callbacks(&shared, settings, priming_ns, Mutex::new(Box::new(on_unit))));
        let mut elements =
            vec![source.clone().upcast(), runtime::make("audioconvert")?, runtime::make("audioresample")?, studio, encoder];
        if settings.codec == AudioCodec::Aac {
            elements.push(runtime::make("aacparse")?);
        }
        elements.push(sink.upcast());
        let pipeline = gst::Pipeline::new();
        runtime::chain(&pipeline, &elements)?;
        if let Some(bus) = pipeline.bus() {
            let shared = shared.clone();
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Error(error) => shared.fail(runtime::describe(error)),
                    gst::MessageView::Eos(_) => {
                        shared.state.lock().ended = true;
                        shared.changed.notify_all();
                    }
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
        let made = Self { name, pipeline, source, shared, format };
        made.pipeline.set_state(gst::State::Playing).map_err(|error| made.failed(&error.to_string()))?;
        Ok(made)
    }

    fn failed(&self, reason: &str) -> EncodeError {
        let reason = self.shared.state.lock().failure.clone().unwrap_or_else(|| reason.into());
        EncodeError::Failed { element: self.name.clone(), reason }
    }

    /// The element that encodes.
    pub fn element(&self) -> &str {
        &self.name
    }

    /// What it was opened for.
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// Gives a block to the encoder.
    ///
    /// # Errors
    /// [`EncodeError::OtherFrame`] for a block of another format; [`EncodeError::Failed`] once the encoder has stopped.
    pub fn push(&self, block: &AudioBlock) -> Result<(), EncodeError> {
        if block.format() != self.format {
            let shape = |format: AudioFormat| format!("{} Hz with {} channels", format.rate_hz, format.channels);
            return Err(EncodeError::OtherFrame { expected: shape(self.format), got: shape(block.format()) });
        }
        {
            let mut state = self.shared.state.lock();
            if let Some(reason) = &state.failure {
                return Err(EncodeError::Failed { element: self.name.clone(), reason: reason.clone() });
            }
            state.zero_ns = i128::from(block.stamp.captured_at.0) - i128::from(block.stamp.pts.0);
        }
        let bytes: Vec<u8> = block.samples().iter().flat_map(|sample| sample.to_ne_bytes()).collect();
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(target) = buffer.get_mut() {
            target.set_pts(gst::ClockTime::from_nseconds(block.stamp.pts.0));
            target.set_duration(gst::ClockTime::from_nseconds(block.duration().as_nanos() as u64));
        }
        self.source.push_buffer(buffer).map(drop).map_err(|error| self.failed(&format!("it takes no more ({error})")))
    }

    /// Encodes what was given and ends. Every access unit has been delivered when this returns.
    ///
    /// # Errors
    /// The encoder failed, or did not finish within 10 s.
    pub fn finish(self) -> Result<(), EncodeError> {
        self.source.end_of_stream().map_err(|error| self.failed(&error.to_string()))?;
        let deadline = Instant::now() + DRAIN;
        let mut state = self.shared.state.lock();
        while !state.ended && state.failure.is_none() {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                drop(state);
                return Err(self.failed(&format!("it did not finish within {} s", DRAIN.as_secs())));
            }
        }
        let failed = state.failure.is_some();
        drop(state);
        if failed { Err(self.failed("it stopped")) } else { Ok(()) }
    }
}

impl Drop for AudioEncoder {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("an encoder of sound did not stop cleanly");
        }
    }
}

/// What the encoder's caps say of the stream.
fn describe(caps: &gst::CapsRef, settings: &AudioEncoderSettings) -> Option<AudioStreamInfo> {
    let structure = caps.structure(0)?;
    let config = match settings.codec {
        AudioCodec::Opus => structure.get::<gst::Array>("streamheader").ok()?.first()?.get::<gst::Buffer>().ok()?,
        AudioCodec::Aac => structure.get::<gst::Buffer>("codec_data").ok()?,
    };
    Some(AudioStreamInfo {
        codec: settings.codec,
        format: format_of(caps)?,
        bitrate_bps: settings.bitrate_bps,
        config: Bytes::copy_from_slice(&config.map_readable().ok()?),
    })
}

fn callbacks(
    shared: &Arc<Shared>,
    settings: &AudioEncoderSettings,
    priming_ns: u64,
    on_unit: Mutex<OnUnit>,
) -> gst_app::AppSinkCallbacks {
    let (failing, shared, settings) = (shared.clone(), shared.clone(), settings.clone());
    let deliver = move |sample: &gst::Sample| -> Result<(), &'static str> {
        let buffer = sample.buffer_owned().ok_or("it gave a sample without a buffer")?;
        let coded_at = buffer.pts().ok_or("it gave sound without a time")?.nseconds();
        // What would begin in front of the time line is left out: silence, but for the first sound's own fade-in.
        let Some(pts) = coded_at.checked_sub(priming_ns) else { return Ok(()) };
        let (stamp, info) = {
            let mut state = shared.state.lock();
            if state.info.is_none() {
                let info = sample.caps().and_then(|caps| describe(caps, &settings)).ok_or("it does not say how to decode it")?;
                state.info = Some(Arc::new(info));
            }
            let captured_at = UnixTime(u64::try_from(state.zero_ns + i128::from(pts)).unwrap_or_default());
            let stamp = FrameStamp { frame_id: state.next_id, captured_at, pts: MediaTime(pts) };
            state.next_id += 1;
            (stamp, state.info.clone().ok_or("it does not say how to decode it")?)
        };
        let data = Bytes::from_owner(buffer.into_mapped_buffer_readable().map_err(|_| "its output cannot be read")?);
        (on_unit.lock())(&info, AccessUnit { stamp, key_frame: true, data });
        Ok(())
    };
    let take = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        deliver(&sample).map(|()| gst::FlowSuccess::Ok).map_err(|reason| {
            failing.fail(reason.into());
            gst::FlowError::Error
        })
    };
    gst_app::AppSinkCallbacks::builder().new_sample(take).build()
}
