//! Frames become access units.

mod bits;
pub(crate) mod codec_string;
mod provider;
#[cfg(test)]
mod tests;

use crate::{
    runtime::{self, RuntimeError},
    sample,
    stamped::{Layout, OnSample, Stamped},
};
use bevy::prelude::*;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;
use parking_lot::Mutex;
use provider::Provider;
use serde::{Deserialize, Serialize};
use std::{sync::Arc, time::Duration};
use studio_frame::prelude::*;

const DRAIN: Duration = Duration::from_secs(10);

/// What an encoder spends its time on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum EncoderPreset {
    /// The least time a frame.
    #[default]
    Speed,
    /// Between the two.
    Balanced,
    /// The best picture at the bit rate that still runs live on a fast machine.
    Quality,
}

/// What the user may set on an encoder; everything may change while it runs.
#[derive(Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct EncoderSettings {
    /// Coding standard.
    pub codec: VideoCodec,
    /// `auto` (hardware if present, else software) or the name of a GStreamer element such as `x264enc`.
    pub provider: String,
    /// Target bit rate, from 10 000 to 1 000 000 000 bits a second.
    pub bitrate_bps: u32,
    /// At most this many frames from one key frame to the next, from 1 to 100 000.
    pub key_frame_interval_frames: u32,
    /// Speed against quality.
    pub preset: EncoderPreset,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        let preset = EncoderPreset::default();
        Self { codec: VideoCodec::H264, provider: "auto".into(), bitrate_bps: 8_000_000, key_frame_interval_frames: 60, preset }
    }
}

impl EncoderSettings {
    fn check(&self) -> Result<(), EncodeError> {
        if !(10_000..=1_000_000_000).contains(&self.bitrate_bps) {
            return Err(EncodeError::Setting(format!(
                "bit rate {} is out of range: it goes from 10000 to 1000000000 bit/s",
                self.bitrate_bps
            )));
        }
        if !(1..=100_000).contains(&self.key_frame_interval_frames) {
            let text =
                format!("key frame interval {} is out of range: it goes from 1 to 100000 frames", self.key_frame_interval_frames);
            return Err(EncodeError::Setting(text));
        }
        Ok(())
    }
}

/// The frames that an encoder is given. They must not change while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EncoderInput {
    /// NV12, I420 or P010; RGBA is converted on the CPU.
    pub format: PixelFormat,
    /// Width and height in pixels: even numbers, 16 to 16384.
    pub size: UVec2,
    /// What the code values mean; written into the stream.
    pub color: ColorInfo,
    /// Nominal frames a second, for the rate control.
    pub frame_rate_hz: f32,
    /// How the picture covers the sphere; told on in [`StreamInfo`].
    pub projection: PictureProjection,
    /// Where the eyes' pictures lie; told on in [`StreamInfo`].
    pub stereo: StereoLayout,
}

impl EncoderInput {
    fn check(&self) -> Result<(), EncodeError> {
        let UVec2 { x, y } = self.size;
        if self.size.min_element() < 16 || self.size.max_element() > 16_384 || x % 2 + y % 2 != 0 {
            return Err(EncodeError::Setting(format!(
                "picture size {x}×{y} cannot be encoded: even numbers from 16 to 16384 can"
            )));
        }
        if !(self.frame_rate_hz > 0.0 && self.frame_rate_hz <= 1000.0) {
            let text = format!("frame rate {} is out of range: it goes from above 0 to 1000 frames a second", self.frame_rate_hz);
            return Err(EncodeError::Setting(text));
        }
        Ok(())
    }
}

/// One coded picture and the stream it belongs to.
#[derive(Clone, Debug)]
pub struct EncoderOutput {
    /// The coded picture, with the stamp of the frame it was made from.
    pub unit: AccessUnit,
    /// The stream. The same `Arc` until something in it changes, which is never between two key frames.
    pub info: Arc<StreamInfo>,
    /// From the frame's hand-over until the picture was coded.
    pub took: Duration,
}

/// Why pictures are not encoded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// A setting is out of range.
    #[error("{0}")]
    Setting(String),
    /// There is no encoder of this name for this codec.
    #[error("no {codec:?} encoder is called {wanted:?}; choose `auto` or one of {known}")]
    UnknownProvider {
        /// The name that was asked for.
        wanted: String,
        /// The codec it was asked for.
        codec: VideoCodec,
        /// The names there are.
        known: String,
    },
    /// There is no encoder of this name for this audio codec.
    #[error("no {codec:?} encoder is called {wanted:?}; choose `auto` or one of {known}")]
    UnknownAudioProvider {
        /// The name that was asked for.
        wanted: String,
        /// The codec it was asked for.
        codec: AudioCodec,
        /// The names that are installed.
        known: String,
    },
    /// A frame of another shape than the encoder was made for.
    #[error("the encoder takes {expected} and got {got}: make a new encoder when frames change")]
    OtherFrame {
        /// Shape it was made for.
        expected: String,
        /// Shape it was given.
        got: String,
    },
    /// The encoder stopped.
    #[error("the encoder {element} failed: {reason}")]
    Failed {
        /// Its element.
        element: String,
        /// What GStreamer says.
        reason: String,
    },
}

/// Receives each access unit on the encoder's own thread, in order.
type OnUnit = Box<dyn FnMut(EncoderOutput) + Send>;

struct Output {
    on_unit: Mutex<OnUnit>,
    info: Mutex<Arc<StreamInfo>>,
}

impl Output {
    fn deliver(&self, sample: &gst::Sample, stamp: FrameStamp, took: Duration) -> Result<(), String> {
        let buffer = sample.buffer_owned().ok_or("it gave a sample without a buffer")?;
        let key_frame = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mapped = buffer.into_mapped_buffer_readable().map_err(|_| "its output cannot be read")?;
        let data = Bytes::from_owner(mapped);
        let info = {
            let mut info = self.info.lock();
            if key_frame
                && let Some(codec_string) = codec_string::codec_string(info.codec, &data)
                && codec_string != info.codec_string
            {
                Arc::make_mut(&mut info).codec_string = codec_string;
            }
            info.clone()
        };
        (self.on_unit.lock())(EncoderOutput { unit: AccessUnit { stamp, key_frame, data }, info, took });
        Ok(())
    }
}

struct Running {
    settings: EncoderSettings,
    provider: &'static Provider,
    encoder: gst::Element,
    stage: Stamped,
    /// Lost in stages that were replaced.
    lost_before: u64,
}

/// Encodes frames on GStreamer's threads. Frames may come from any thread, in the order in which they are to be coded.
///
/// Nothing is reordered, so each access unit comes out before the next frame has to go in. Planes are wrapped, not copied;
/// a software encoder that does not take the frames' format converts them first.
pub struct VideoEncoder {
    input: EncoderInput,
    policy: QueuePolicy,
    output: Arc<Output>,
    running: Mutex<Running>,
}

impl VideoEncoder {
    /// Opens an encoder.
    ///
    /// `on_unit` is called on the encoder's thread as soon as an access unit exists; what it does delays the next one. It
    /// must not drop the encoder. With [`QueuePolicy::NewestWins`] at most two frames wait and the oldest makes room;
    /// with [`QueuePolicy::Block`] [`push`](Self::push) waits.
    ///
    /// # Errors
    /// Settings out of range, no such encoder, or none that starts.
    pub fn new(
        settings: EncoderSettings,
        input: EncoderInput,
        policy: QueuePolicy,
        on_unit: impl FnMut(EncoderOutput) + Send + 'static,
    ) -> Result<Self, EncodeError> {
        runtime::init()?;
        input.check()?;
        let info = Mutex::new(stream_info(&settings, &input));
        let output = Arc::new(Output { on_unit: Mutex::new(Box::new(on_unit)), info });
        let running = start(settings, &input, policy, &output)?;
        Ok(Self { input, policy, output, running: Mutex::new(running) })
    }

    /// Gives a frame to the encoder.
    ///
    /// # Errors
    /// [`EncodeError::OtherFrame`] for a frame of another shape; [`EncodeError::Failed`] once the encoder has stopped: make a
    /// new one.
    pub fn push(&self, frame: &VideoFrame) -> Result<(), EncodeError> {
        if (frame.format, frame.size) != (self.input.format, self.input.size) {
            let shape = |format: PixelFormat, size: UVec2| format!("{format:?} {}×{}", size.x, size.y);
            let (expected, got) = (shape(self.input.format, self.input.size), shape(frame.format, frame.size));
            return Err(EncodeError::OtherFrame { expected, got });
        }
        let running = self.running.lock();
        let failed = |reason| EncodeError::Failed { element: running.provider.element.into(), reason };
        let buffer = sample::buffer_from_frame(frame).map_err(|error| failed(error.to_string()))?;
        running.stage.push(buffer, frame.stamp, self.policy == QueuePolicy::Block).map_err(failed)
    }

    /// Makes the next frame a key frame. An encoder that cannot do that on demand (libaom's) is replaced by a fresh one.
    ///
    /// # Errors
    /// [`EncodeError::Failed`] once the encoder has stopped.
    pub fn request_key_frame(&self) -> Result<(), EncodeError> {
        let mut running = self.running.lock();
        if !running.provider.forces_key_frames {
            let settings = running.settings.clone();
            return self.replace(&mut running, settings);
        }
        let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
        match running.encoder.static_pad("src") {
            Some(pad) if pad.send_event(event) => Ok(()),
            _ => Err(EncodeError::Failed {
                element: running.provider.element.into(),
                reason: "it takes no wish for a key frame".into(),
            }),
        }
    }

    /// Changes settings while running. The bit rate is changed in place where the encoder can; anything else finishes what
    /// is under way and goes on with a fresh encoder at a key frame. No frame is lost either way.
    ///
    /// # Errors
    /// As [`VideoEncoder::new`]; the encoder then goes on with the old settings.
    pub fn set_settings(&self, settings: EncoderSettings) -> Result<(), EncodeError> {
        settings.check()?;
        let mut running = self.running.lock();
        if running.settings == settings {
            return Ok(());
        }
        let only_bitrate = EncoderSettings { bitrate_bps: settings.bitrate_bps, ..running.settings.clone() } == settings;
        if only_bitrate && running.provider.change_bitrate(&running.encoder, settings.bitrate_bps) {
            Arc::make_mut(&mut self.output.info.lock()).bitrate_bps = settings.bitrate_bps;
            running.settings = settings;
            return Ok(());
        }
        self.replace(&mut running, settings)
    }

    /// Finishes what is under way and goes on with a fresh encoder, whose first picture is a key frame.
    fn replace(&self, running: &mut Running, settings: EncoderSettings) -> Result<(), EncodeError> {
        // Started before the working encoder is given up, so that a failure changes nothing.
        let fresh = start(settings, &self.input, self.policy, &self.output)?;
        if let Err(reason) = running.stage.drain(DRAIN) {
            return Err(EncodeError::Failed { element: running.provider.element.into(), reason });
        }
        let lost_before = running.lost_before + running.stage.lost();
        if running.settings != fresh.settings {
            *self.output.info.lock() = stream_info(&fresh.settings, &self.input);
        }
        *running = Running { lost_before, ..fresh };
        Ok(())
    }

    /// The settings in force.
    pub fn settings(&self) -> EncoderSettings {
        self.running.lock().settings.clone()
    }

    /// The element that encodes.
    pub fn element(&self) -> &'static str {
        self.running.lock().provider.element
    }

    /// The stream as it is now; its codec string is empty until the first key frame.
    pub fn stream_info(&self) -> StreamInfo {
        StreamInfo::clone(&self.output.info.lock())
    }

    /// Frames that were given and not encoded because newer ones came.
    pub fn dropped(&self) -> u64 {
        let running = self.running.lock();
        running.lost_before + running.stage.lost()
    }

    /// Why the encoder stopped, if it did.
    pub fn failure(&self) -> Option<EncodeError> {
        let running = self.running.lock();
        running.stage.failure().map(|reason| EncodeError::Failed { element: running.provider.element.into(), reason })
    }

    /// Encodes what was given and ends. Every access unit has been delivered when this returns.
    ///
    /// # Errors
    /// The encoder failed, or did not finish within 10 s.
    pub fn finish(self) -> Result<(), EncodeError> {
        let running = self.running.into_inner();
        running.stage.drain(DRAIN).map_err(|reason| EncodeError::Failed { element: running.provider.element.into(), reason })
    }
}

/// Whether `auto` finds an encoder in hardware for a codec.
///
/// # Errors
/// GStreamer is absent, or there is no encoder at all.
pub fn has_hardware_encoder(codec: VideoCodec) -> Result<bool, EncodeError> {
    runtime::init()?;
    let settings = EncoderSettings { codec, ..EncoderSettings::default() };
    let (_, element) = Provider::choose(&settings, UVec2::new(1280, 640))?;
    let class = element.factory().and_then(|factory| factory.metadata("klass").map(str::to_owned));
    element.set_state(gst::State::Null).ok();
    Ok(class.is_some_and(|class| class.contains("Hardware")))
}

fn stream_info(settings: &EncoderSettings, input: &EncoderInput) -> Arc<StreamInfo> {
    Arc::new(StreamInfo {
        codec: settings.codec,
        codec_string: String::new(),
        size: input.size,
        frame_rate_hz: input.frame_rate_hz,
        color: input.color,
        projection: input.projection,
        stereo: input.stereo,
        bitrate_bps: settings.bitrate_bps,
    })
}

fn start(
    settings: EncoderSettings,
    input: &EncoderInput,
    policy: QueuePolicy,
    output: &Arc<Output>,
) -> Result<Running, EncodeError> {
    settings.check()?;
    let (provider, encoder) = Provider::choose(&settings, input.size)?;
    let converter = runtime::make("videoconvert")?;
    let formats = runtime::make("capsfilter")?;
    // An encoder offered everything may take 4:4:4 or gray.
    let accepted: &[&str] =
        if input.format.bit_depth() > 8 { &["P010_10LE", "I420_10LE", "NV12", "I420"] } else { &["NV12", "I420"] };
    formats.set_property("caps", gst::Caps::builder("video/x-raw").field("format", gst::List::new(accepted)).build());
    let (parser, caps) = stream_caps(settings.codec);
    let parser = runtime::make(parser)?;
    // Parameter sets in front of every key frame.
    runtime::set_if_present(&parser, "config-interval", "-1");
    let target = output.clone();
    let on_sample: OnSample = Arc::new(move |sample, stamp, took| target.deliver(sample, stamp, took));
    let layout = Layout {
        input: sample::frame_caps(input.format, input.size, input.frame_rate_hz, input.color),
        middle: vec![converter, formats, encoder.clone(), parser],
        output: caps,
        rate_hz: input.frame_rate_hz,
        reorder: 0,
        newest_wins: policy == QueuePolicy::NewestWins,
    };
    let stage = Stamped::start(layout, on_sample)?;
    Ok(Running { settings, provider, encoder, stage, lost_before: 0 })
}

/// The parser of a codec and the form its stream has in [`AccessUnit`].
pub(crate) fn stream_caps(codec: VideoCodec) -> (&'static str, gst::Caps) {
    let (parser, name, format, alignment) = match codec {
        VideoCodec::H264 => ("h264parse", "video/x-h264", "byte-stream", "au"),
        VideoCodec::H265 => ("h265parse", "video/x-h265", "byte-stream", "au"),
        VideoCodec::Av1 => ("av1parse", "video/x-av1", "obu-stream", "tu"),
    };
    (parser, gst::Caps::builder(name).field("stream-format", format).field("alignment", alignment).build())
}
