//! Access units become blocks of sound.

use super::pipeline::{float_caps, format_of, samples_of};
use crate::{
    decode::DecodeError,
    runtime,
    stamped::{Layout, OnSample, Stamped},
};
use gstreamer as gst;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use studio_frame::prelude::*;

const DRAIN: Duration = Duration::from_secs(10);
/// The time line inside of the pipeline counts units, not samples: it only has to tell them apart.
const UNITS_HZ: f32 = 50.0;
/// The smallest `OpusHead` (RFC 7845 §5.1).
const OPUS_HEAD_BYTES: usize = 19;
/// The rate that Opus counts its pre-skip in, whatever it is decoded at.
const OPUS_RATE_HZ: u64 = 48_000;

/// The decoders of a codec that GStreamer may have, the best first. `faad` keeps its first unit to itself.
const fn elements(codec: AudioCodec) -> &'static [&'static str] {
    match codec {
        AudioCodec::Opus => &["opusdec", "avdec_opus"],
        AudioCodec::Aac => &["avdec_aac", "faad"],
    }
}

/// Samples, counted at 48 kHz, that lie in front of what was given to the encoder (RFC 7845 §4.2).
fn pre_skip(info: &AudioStreamInfo) -> u64 {
    match (info.codec, info.config.get(10..12)) {
        (AudioCodec::Opus, Some(field)) => u64::from(field[0]) | u64::from(field[1]) << 8,
        _ => 0,
    }
}

/// Decodes access units of sound on GStreamer's threads. A block has the stamp of the access unit it comes from.
///
/// Every unit is decoded for itself, so decoding may start anywhere and goes on after a gap.
pub struct AudioDecoder {
    info: AudioStreamInfo,
    policy: QueuePolicy,
    element: String,
    on_sample: OnSample,
    stage: Mutex<Stamped>,
    restarts: AtomicU64,
}

impl AudioDecoder {
    /// Opens a decoder.
    ///
    /// `on_block` is called on the decoder's thread with each block; what it does delays the next one. It must not drop the
    /// decoder. With [`QueuePolicy::NewestWins`] the oldest waiting unit makes room; with [`QueuePolicy::Block`]
    /// [`push`](Self::push) waits.
    ///
    /// # Errors
    /// [`DecodeError::Sound`] for a description that cannot be, [`DecodeError::Runtime`] without an installed decoder.
    pub fn new(
        info: &AudioStreamInfo,
        policy: QueuePolicy,
        on_block: impl FnMut(AudioBlock) + Send + 'static,
    ) -> Result<Self, DecodeError> {
        runtime::init()?;
        check(info)?;
        let (skip, on_block) = (pre_skip(info), Mutex::new(on_block));
        let on_sample: OnSample = Arc::new(move |sample, stamp, _| {
            let format = sample.caps().and_then(format_of).ok_or("the decoder does not say what it made")?;
            let mut samples = sample.buffer().and_then(|buffer| samples_of(buffer, 1.0)).ok_or("decoded sound cannot be read")?;
            // Only the encoder's first unit begins in front of the time line; the others' stamps say where they begin.
            if stamp.frame_id == 0 {
                let frames = (skip * u64::from(format.rate_hz) / OPUS_RATE_HZ) as usize;
                samples.drain(..(frames * usize::from(format.channels)).min(samples.len()));
            }
            let block = AudioBlock::new(stamp, format, samples).map_err(|error| error.to_string())?;
            (on_block.lock())(block);
            Ok(())
        });
        let (element, stage) = start(info, policy, &on_sample)?;
        Ok(Self { info: info.clone(), policy, element, on_sample, stage: Mutex::new(stage), restarts: AtomicU64::new(0) })
    }

    /// Gives an access unit to the decoder. Damaged data is never an error: its sound is missing, and some beside it.
    ///
    /// # Errors
    /// The decoder stopped and could not be opened again.
    pub fn push(&self, unit: &AccessUnit) -> Result<(), DecodeError> {
        let mut stage = self.stage.lock();
        if let Some(reason) = stage.failure() {
            tracing::debug!("the decoder {} stopped and is opened again: {reason}", self.element);
            *stage = start(&self.info, self.policy, &self.on_sample)?.1;
            self.restarts.fetch_add(1, Ordering::Relaxed);
        }
        let buffer = gst::Buffer::from_slice(unit.data.clone());
        if let Err(reason) = stage.push(buffer, unit.stamp, self.policy == QueuePolicy::Block) {
            tracing::debug!("the decoder {} refused a unit: {reason}", self.element);
        }
        Ok(())
    }

    /// The element that decodes.
    pub fn element(&self) -> &str {
        &self.element
    }

    /// How often the decoder was opened again after a failure.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    /// Decodes what was given and ends. Every block has been delivered when this returns.
    pub fn finish(self) {
        if let Err(reason) = self.stage.lock().drain(DRAIN) {
            tracing::debug!("the decoder {} ended with: {reason}", self.element);
        }
    }
}

fn check(info: &AudioStreamInfo) -> Result<(), DecodeError> {
    let refused = |reason: String| Err(DecodeError::Sound(reason));
    if let Err(error) = info.format.check() {
        return refused(error.to_string());
    }
    match info.codec {
        AudioCodec::Opus if info.format.channels > 2 => {
            refused(format!("Opus with {} channels: 1 and 2 are decoded", info.format.channels))
        }
        AudioCodec::Opus if info.config.len() < OPUS_HEAD_BYTES || !info.config.starts_with(b"OpusHead") => {
            refused("Opus without its OpusHead".into())
        }
        AudioCodec::Aac if info.config.len() < 2 => refused("AAC without its AudioSpecificConfig".into()),
        _ => Ok(()),
    }
}

fn coded_caps(info: &AudioStreamInfo) -> gst::Caps {
    let caps = match info.codec {
        // Without the header in the caps no element takes the pre-skip off by itself, at every start.
        AudioCodec::Opus => gst::Caps::builder("audio/x-opus").field("channel-mapping-family", 0),
        AudioCodec::Aac => gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4)
            .field("framed", true)
            .field("stream-format", "raw")
            .field("codec_data", gst::Buffer::from_slice(info.config.clone())),
    };
    caps.field("rate", info.format.rate_hz as i32).field("channels", i32::from(info.format.channels)).build()
}

fn start(info: &AudioStreamInfo, policy: QueuePolicy, on_sample: &OnSample) -> Result<(String, Stamped), DecodeError> {
    let known = elements(info.codec);
    let element = known.iter().find(|element| runtime::has(element)).unwrap_or(&known[0]);
    let decoder = runtime::make(element)?;
    // After a damaged unit that it passes over, an element gives its times to the wrong units: better a new one.
    runtime::set_if_present(&decoder, "max-errors", "0");
    let layout = Layout {
        input: coded_caps(info),
        middle: vec![decoder, runtime::make("audioconvert")?],
        output: float_caps().build(),
        rate_hz: UNITS_HZ,
        reorder: 0,
        newest_wins: policy == QueuePolicy::NewestWins,
    };
    Ok(((*element).to_owned(), Stamped::start(layout, on_sample.clone())?))
}
