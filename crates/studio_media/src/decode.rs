//! Access units become frames.

use crate::{
    encode::stream_caps,
    runtime::{self, RuntimeError},
    sample,
    stamped::{Layout, OnSample, Stamped},
};
use bevy::prelude::*;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use studio_frame::prelude::*;

const DRAIN: Duration = Duration::from_secs(10);
/// The largest picture that is decoded, in pixels a side.
const MAX_SIDE_PX: u32 = 16_384;

/// What the user may set on a decoder.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct DecoderSettings {
    /// `auto` (GStreamer's ranking, which puts hardware first) or the name of an element such as `avdec_h264`.
    pub provider: String,
    /// When units come faster than they are decoded: drop up to the next key frame, or make the sender wait.
    pub policy: QueuePolicy,
}

impl Default for DecoderSettings {
    fn default() -> Self {
        Self { provider: "auto".into(), policy: QueuePolicy::NewestWins }
    }
}

/// Why access units are not decoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DecodeError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// No decoder for the codec, or not the one asked for.
    #[error("no decoder for {codec:?}{}; install the Debian packages gstreamer1.0-libav gstreamer1.0-plugins-bad", if .wanted == "auto" { String::new() } else { format!(" is called {:?}", .wanted) })]
    NoDecoder {
        /// The codec.
        codec: VideoCodec,
        /// The name that was asked for.
        wanted: String,
    },
    /// The stream says something that cannot be.
    #[error("the stream says that its pictures are {0}×{1} pixels: 1 to 16384 are decoded")]
    Size(u32, u32),
    /// The sound is described in a way that cannot be decoded.
    #[error("the stream's sound cannot be decoded: {0}")]
    Sound(String),
}

/// What became of an access unit that was given to a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderInput {
    /// It is on its way.
    Taken,
    /// It was dropped: decoding can only go on at a key frame. Ask the sender for one.
    WaitsForKeyFrame,
}

/// One decoded picture.
#[derive(Clone, Debug)]
pub struct DecoderOutput {
    /// The picture, with the stamp of the access unit it came in.
    pub frame: VideoFrame,
    /// From the access unit's hand-over until the picture was there.
    pub took: Duration,
}

#[derive(Default)]
struct Sync {
    needs_key: AtomicBool,
    skipped: AtomicU64,
    restarts: AtomicU64,
}

/// Decodes access units on GStreamer's threads, with the least delay: a picture comes out before the next unit has to go
/// in, if the stream does not reorder pictures.
pub struct VideoDecoder {
    info: StreamInfo,
    settings: DecoderSettings,
    element: String,
    on_sample: OnSample,
    sync: Arc<Sync>,
    stage: Mutex<Stamped>,
}

impl VideoDecoder {
    /// Opens a decoder.
    ///
    /// `on_frame` is called on the decoder's thread with each picture; what it does delays the next one. It must not drop the
    /// decoder. Colour metadata that the stream does not have is taken from `info`.
    ///
    /// # Errors
    /// No decoder for the codec, or an impossible size.
    pub fn new(
        info: &StreamInfo,
        settings: DecoderSettings,
        on_frame: impl FnMut(DecoderOutput) + Send + 'static,
    ) -> Result<Self, DecodeError> {
        runtime::init()?;
        if info.size.max_element() > MAX_SIDE_PX {
            return Err(DecodeError::Size(info.size.x, info.size.y));
        }
        let (color, on_frame) = (info.color, Mutex::new(on_frame));
        let on_sample: OnSample = Arc::new(move |sample, stamp, took| {
            let frame = sample::frame_from_sample(sample, stamp, Some(color)).map_err(|error| error.to_string())?;
            (on_frame.lock())(DecoderOutput { frame, took });
            Ok(())
        });
        let sync = Arc::new(Sync { needs_key: true.into(), ..Sync::default() });
        let (element, stage) = start(info, &settings, &on_sample, &sync)?;
        Ok(Self { info: info.clone(), settings, element, on_sample, sync, stage: Mutex::new(stage) })
    }

    /// Gives an access unit to the decoder. Damaged data is never an error: the decoder goes on at the next key frame.
    ///
    /// # Errors
    /// The decoder stopped and could not be opened again.
    pub fn push(&self, unit: &AccessUnit) -> Result<DecoderInput, DecodeError> {
        let mut stage = self.stage.lock();
        if let Some(reason) = stage.failure() {
            tracing::warn!("the decoder {} stopped and is opened again: {reason}", self.element);
            *stage = start(&self.info, &self.settings, &self.on_sample, &self.sync)?.1;
            self.sync.restarts.fetch_add(1, Ordering::Relaxed);
            self.sync.needs_key.store(true, Ordering::Release);
        }
        let wait = self.settings.policy == QueuePolicy::Block;
        if unit.key_frame {
            self.sync.needs_key.store(false, Ordering::Release);
        }
        // A key frame is let in even then; the queue is bounded because all others are not.
        if !wait && stage.is_full() && !unit.key_frame {
            self.sync.needs_key.store(true, Ordering::Release);
        }
        if self.sync.needs_key.load(Ordering::Acquire) {
            self.sync.skipped.fetch_add(1, Ordering::Relaxed);
            return Ok(DecoderInput::WaitsForKeyFrame);
        }
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        if let Some(target) = buffer.get_mut().filter(|_| !unit.key_frame) {
            target.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        match stage.push(buffer, unit.stamp, wait || unit.key_frame) {
            Ok(()) => Ok(DecoderInput::Taken),
            Err(reason) => {
                tracing::debug!("the decoder {} refused a unit: {reason}", self.element);
                self.sync.needs_key.store(true, Ordering::Release);
                Ok(DecoderInput::WaitsForKeyFrame)
            }
        }
    }

    /// Says that units are missing before the next one: nothing is decoded until a key frame comes.
    pub fn discontinuity(&self) {
        self.sync.needs_key.store(true, Ordering::Release);
    }

    /// Whether decoding can only go on at a key frame.
    pub fn needs_key_frame(&self) -> bool {
        self.sync.needs_key.load(Ordering::Acquire) || self.stage.lock().failure().is_some()
    }

    /// Units that were dropped while a key frame was waited for.
    pub fn skipped(&self) -> u64 {
        self.sync.skipped.load(Ordering::Relaxed)
    }

    /// How often the decoder was opened again after a failure.
    pub fn restarts(&self) -> u64 {
        self.sync.restarts.load(Ordering::Relaxed)
    }

    /// The element that decodes.
    pub fn element(&self) -> &str {
        &self.element
    }

    /// Decodes what was given and ends. Every picture has been delivered when this returns; after damaged data some may be
    /// missing.
    pub fn finish(self) {
        if let Err(reason) = self.stage.lock().drain(DRAIN) {
            tracing::debug!("the decoder {} ended with: {reason}", self.element);
        }
    }
}

/// Sets what makes a decoder give each picture at once. Which of these an element has depends on its maker.
fn set_low_delay(element: &gst::Element) {
    // Frame threads would hold back as many pictures as there are threads.
    runtime::set_if_present(element, "thread-type", "slice");
    runtime::set_if_present(element, "output-corrupt", "false");
    runtime::set_if_present(element, "low-latency", "true");
    runtime::set_if_present(element, "max-display-delay", "0");
    runtime::set_if_present(element, "qos", "false");
    runtime::set_if_present(element, "discard-corrupted-frames", "true");
    runtime::set_if_present(element, "automatic-request-sync-points", "true");
}

fn choose(codec: VideoCodec, caps: &gst::Caps, wanted: &str) -> Result<gst::Element, DecodeError> {
    let refused = || DecodeError::NoDecoder { codec, wanted: wanted.into() };
    if wanted != "auto" && !wanted.is_empty() {
        let element = runtime::make(wanted)?;
        set_low_delay(&element);
        return Ok(element);
    }
    let kind = gst::ElementFactoryType::DECODER | gst::ElementFactoryType::MEDIA_VIDEO;
    let mut factories: Vec<_> = gst::ElementFactory::factories_with_type(kind, gst::Rank::MARGINAL)
        .into_iter()
        .filter(|factory| factory.can_sink_any_caps(caps))
        .collect();
    factories.sort_by_key(|factory| std::cmp::Reverse(factory.rank()));
    for factory in factories {
        let Ok(element) = factory.create().build() else { continue };
        set_low_delay(&element);
        if element.set_state(gst::State::Ready).is_ok() {
            return Ok(element);
        }
        tracing::info!("{} is installed but does not start; another decoder is tried", factory.name());
        if element.set_state(gst::State::Null).is_err() {
            tracing::debug!("{} did not stop cleanly", factory.name());
        }
    }
    Err(refused())
}

fn start(
    info: &StreamInfo,
    settings: &DecoderSettings,
    on_sample: &OnSample,
    sync: &Arc<Sync>,
) -> Result<(String, Stamped), DecodeError> {
    let (parser, caps) = stream_caps(info.codec);
    let decoder = choose(info.codec, &caps, settings.provider.trim())?;
    let name = decoder.factory().map(|factory| factory.name().to_string()).unwrap_or_default();
    let rate_hz = if info.frame_rate_hz > 0.0 && info.frame_rate_hz <= 1000.0 { info.frame_rate_hz } else { 30.0 };
    let output =
        gst::Caps::builder("video/x-raw").field("format", gst::List::new(sample::FORMATS.map(|format| format.to_str()))).build();
    let layout = Layout {
        input: caps,
        middle: vec![runtime::make(parser)?, decoder, runtime::make("videoconvert")?],
        output,
        rate_hz,
        reorder: 16,
        newest_wins: false,
    };
    let stage = Stamped::start(layout, on_sample.clone())?;
    if let Some(pad) = stage.source().static_pad("src") {
        let sync = sync.clone();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, probe| {
            if probe.event().is_some_and(|event| gst_video::UpstreamForceKeyUnitEvent::parse(event).is_ok()) {
                sync.needs_key.store(true, Ordering::Release);
            }
            gst::PadProbeReturn::Ok
        });
    }
    Ok((name, stage))
}
