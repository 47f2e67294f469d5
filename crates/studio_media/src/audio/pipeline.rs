//! The end of a GStreamer pipeline that delivers stamped blocks of sound.

use crate::{
    capture::{
        CaptureClock, CaptureError,
        pipeline::{Medium, Playback, Progress, Track, join_stretches, play_track},
        supervisor::{Feed, SessionEnd},
    },
    runtime::{self, RuntimeError},
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::{sync::Arc, time::Duration};
use studio_frame::prelude::*;

/// Samples as blocks hold them.
pub(super) fn float_caps() -> gst::caps::Builder<gst::caps::NoFeature> {
    let native = if cfg!(target_endian = "big") { "F32BE" } else { "F32LE" };
    gst::Caps::builder("audio/x-raw").field("format", native).field("layout", "interleaved")
}

/// Samples of a block of a format.
///
/// # Errors
/// More channels than there are places for: what is where would be unknown.
pub(super) fn sound_caps(format: AudioFormat) -> Result<gst::Caps, AudioError> {
    format.check()?;
    let caps = float_caps().field("rate", format.rate_hz as i32).field("channels", i32::from(format.channels));
    // Bits as GstAudioChannelPosition counts them: the usual layouts from mono to 7.1.
    let mask = match format.channels {
        1 | 2 => return Ok(caps.build()),
        3 => 0x7,
        4 => 0x33,
        5 => 0x37,
        6 => 0x3f,
        7 => 0x13f,
        8 => 0xc3f,
        channels => return Err(AudioError::Layout(channels)),
    };
    Ok(caps.field("channel-mask", gst::Bitmask::new(mask)).build())
}

/// Rate and channels of raw sound.
pub(super) fn format_of(caps: &gst::CapsRef) -> Option<AudioFormat> {
    let structure = caps.structure(0)?;
    let (rate, channels) = (structure.get::<i32>("rate").ok()?, structure.get::<i32>("channels").ok()?);
    Some(AudioFormat { rate_hz: u32::try_from(rate).ok()?, channels: u16::try_from(channels).ok()? })
}

/// Samples of a buffer whose caps are [`float_caps`], times `gain`.
pub(super) fn samples_of(buffer: &gst::BufferRef, gain: f32) -> Option<Vec<f32>> {
    let mapped = buffer.map_readable().ok()?;
    let (words, rest) = mapped.as_chunks::<4>();
    rest.is_empty().then(|| words.iter().map(|word| f32::from_ne_bytes(*word) * gain).collect())
}

/// Plays the first sound track that `decoder` (already in the pipeline, with its source) decodes.
pub(super) fn play_sound(
    feed: &Arc<Feed<AudioBlock>>,
    pipeline: gst::Pipeline,
    decoder: &gst::Element,
    gain: f32,
    playback: &Playback,
) -> Result<SessionEnd, CaptureError> {
    let progress = Arc::new(Progress::default());
    let (tail, _) = build_tail(&pipeline, playback, feed, &progress, gain)?;
    play_track(Track { medium: Medium::Sound, tail, sound: None }, feed, pipeline, decoder, progress, playback)
}

/// Builds what follows the decoder; returns its first and its last element.
pub(crate) fn build_tail(
    pipeline: &gst::Pipeline,
    playback: &Playback,
    feed: &Arc<Feed<AudioBlock>>,
    progress: &Arc<Progress>,
    gain: f32,
) -> Result<(gst::Element, gst::Element), RuntimeError> {
    let (taking, progress) = (feed.clone(), progress.clone());
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        match take(&taking, &progress, sink, &sample, gain) {
            Ok(true) => Ok(gst::FlowSuccess::Ok),
            Ok(false) => Err(gst::FlowError::Flushing),
            Err(reason) => {
                gst::element_error!(sink, gst::StreamError::Format, ("{reason}"));
                Err(gst::FlowError::Error)
            }
        }
    });
    let sink = gst_app::AppSink::builder()
        .caps(&float_caps().build())
        .sync(feed.clock == CaptureClock::Live && !playback.device)
        .max_buffers(8)
        .callbacks(callbacks.build())
        .build();
    join_stretches(feed, &sink);
    let (first, last) = (runtime::make("audioconvert")?, sink.upcast::<gst::Element>());
    runtime::chain(pipeline, &[first.clone(), last.clone()])?;
    Ok((first, last))
}

/// Stamps one buffer and hands it over; `false` if nobody takes sound any more.
fn take(
    feed: &Feed<AudioBlock>,
    progress: &Progress,
    sink: &gst_app::AppSink,
    sample: &gst::Sample,
    gain: f32,
) -> Result<bool, String> {
    let buffer = sample.buffer().ok_or("a sample without a buffer")?;
    let format = sample.caps().and_then(format_of).ok_or("sound without a rate or channels")?;
    let samples = samples_of(buffer, gain).ok_or("a buffer that is no whole number of samples")?;
    format.check().map_err(|error| error.to_string())?;
    let duration = format.duration_of((samples.len() / usize::from(format.channels)) as u64);
    let duration_ns = duration.as_nanos() as u64;
    feed.set_frame_duration(duration_ns);
    let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>().cloned());
    let running = segment.as_ref().and_then(|segment| segment.to_running_time(buffer.pts()));
    let place = segment.as_ref().and_then(|segment| segment.to_stream_time(buffer.pts()));
    progress.note(place.map(|place| place.nseconds() + duration_ns), duration_ns);
    let age =
        sink.current_running_time().zip(running).map_or(Duration::ZERO, |(now, running)| now.saturating_sub(running).into());
    let stamp = feed.stamp(running.map(gst::ClockTime::nseconds), age.min(Duration::from_secs(1)));
    Ok(feed.deliver(AudioBlock::new(stamp, format, samples).map_err(|error| error.to_string())?))
}
