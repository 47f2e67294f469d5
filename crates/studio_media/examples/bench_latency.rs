//! Measures GStreamer's WebRTC as the studio's own viewers are measured: the test pattern with the mark in it, encoded with the
//! settings that the studio encodes with, from one `webrtcbin` to another over loopback, decoded, and the mark read at the end.
//! Prints one JSON line a case.
//!
//! `cargo run -p studio_media --example bench_latency -- [--seconds N] [--size WIDTHxHEIGHT] [--rate HZ] [--bitrate BPS]`
#![allow(clippy::print_stdout, reason = "the lines are what the program is for")]

use bevy::math::UVec2;
use gstreamer::{self as gst, glib, prelude::*};
use gstreamer_app as gst_app;
use gstreamer_video::{self as gst_video, prelude::*};
use std::{
    error::Error,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use studio_frame::{mark::Mark, picture::VideoFrame, queue::ReceiveError, stamp::UnixTime};
use studio_media::prelude::*;

type AnyResult<T> = Result<T, Box<dyn Error>>;

/// How long a case may take to show its first picture.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is not measured: rate control and jitter buffers settle.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Arguments {
    seconds: u64,
    size: UVec2,
    rate_hz: f32,
    bitrate_bps: u32,
}

impl Arguments {
    fn parse() -> AnyResult<Self> {
        let mut parsed = Self { seconds: 20, size: UVec2::new(640, 320), rate_hz: 30.0, bitrate_bps: 8_000_000 };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a value"))?;
            match argument.as_str() {
                "--seconds" => parsed.seconds = value.parse()?,
                "--size" => {
                    let (width, height) = value.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
                    parsed.size = UVec2::new(width.parse()?, height.parse()?);
                }
                "--rate" => parsed.rate_hz = value.parse()?,
                "--bitrate" => parsed.bitrate_bps = value.parse()?,
                unknown => return Err(format!("{unknown} is not known").into()),
            }
        }
        Ok(parsed)
    }
}

/// How the receiving end is set.
struct Case {
    name: &'static str,
    /// The jitter buffer, in milliseconds.
    latency_ms: u32,
    /// Whether a picture waits for its time, as in a player, or is shown as soon as it is decoded.
    sync: bool,
}

fn main() -> AnyResult<()> {
    let arguments = Arguments::parse()?;
    gst::init()?;
    for element in ["webrtcbin", "nicesrc", "dtlssrtpenc", "srtpenc", "x264enc", "avdec_h264"] {
        gst::ElementFactory::find(element).ok_or_else(|| {
            format!("GStreamer has no `{element}`: `apt install gstreamer1.0-nice gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav`")
        })?;
    }
    for case in [
        Case { name: "as a player, jitter buffer of 200 ms (its default)", latency_ms: 200, sync: true },
        Case { name: "no jitter buffer, shown when decoded", latency_ms: 0, sync: false },
    ] {
        let mut ages = measure(arguments, &case)?;
        ages.sort_by(f64::total_cmp);
        let at = |share: f64| ages[((ages.len() as f64 * share) as usize).min(ages.len() - 1)];
        let Arguments { size, rate_hz, seconds, .. } = arguments;
        println!(
            r#"{{"name": "peer: webrtcbin glass-to-glass {}x{} {rate_hz} Hz, {}", "p50_ms": {:.1}, "p95_ms": {:.1}, "pictures": {}, "drawn_hz": {:.1}}}"#,
            size.x,
            size.y,
            case.name,
            at(0.5),
            at(0.95),
            ages.len(),
            ages.len() as f64 / seconds as f64,
        );
    }
    Ok(())
}

/// The ages of the pictures at the end, in milliseconds.
fn measure(arguments: Arguments, case: &Case) -> AnyResult<Vec<f64>> {
    let Arguments { size, rate_hz, bitrate_bps, seconds } = arguments;
    // What the studio sets on `x264enc`.
    let pipeline = gst::parse::launch(&format!(
        "appsrc name=source is-live=true format=time do-timestamp=true max-buffers=1 leaky-type=downstream \
         caps=video/x-raw,format=NV12,width={},height={},framerate={}/1000,colorimetry=bt709 \
         ! x264enc tune=zerolatency speed-preset=ultrafast bframes=0 aud=true option-string=scenecut=0 vbv-buf-capacity=250 \
           key-int-max=60 bitrate={} \
         ! rtph264pay config-interval=-1 aggregate-mode=zero-latency \
         ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! webrtcbin name=sender bundle-policy=max-bundle \
         webrtcbin name=receiver bundle-policy=max-bundle latency={}",
        size.x,
        size.y,
        (rate_hz * 1000.0).round() as u32,
        bitrate_bps / 1000,
        case.latency_ms,
    ))?
    .downcast::<gst::Pipeline>()
    .map_err(|_| "the pipeline is none")?;
    let by_name = |name: &str| pipeline.by_name(name).ok_or_else(|| format!("the pipeline lacks `{name}`"));
    let (sender, receiver) = (by_name("sender")?, by_name("receiver")?);
    let source = by_name("source")?.downcast::<gst_app::AppSrc>().map_err(|_| "the source is none")?;

    let ages = Arc::new(Mutex::new(Vec::new()));
    let (first, seen) = mpsc::sync_channel(1);
    show(&pipeline, &receiver, case.sync, size, ages.clone(), first);
    connect(&sender, &receiver);
    pipeline.set_state(gst::State::Playing)?;

    let capture = TestPatternInput { size, rate_hz, frames: None, flash: false }.start(CaptureClock::Live)?;
    let stop = AtomicBool::new(false);
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                match capture.frames().recv_timeout(Duration::from_millis(200)) {
                    Ok(frame) if source.push_buffer(buffer_of(&frame)).is_err() => return,
                    Err(ReceiveError::Closed) => return,
                    _ => {}
                }
            }
        });
        let result = watch(&pipeline, &seen, Duration::from_secs(seconds), &ages);
        stop.store(true, Ordering::Relaxed);
        result
    });
    pipeline.set_state(gst::State::Null)?;
    result
}

/// Waits for the first picture, lets things settle, and takes the ages of what follows.
fn watch(pipeline: &gst::Pipeline, seen: &mpsc::Receiver<()>, time: Duration, ages: &Mutex<Vec<f64>>) -> AnyResult<Vec<f64>> {
    let failed = || {
        let message = pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(format!("{}: {}", error.error(), error.debug().unwrap_or_default())),
            _ => None,
        }
    };
    let deadline = Instant::now() + PATIENCE;
    while seen.recv_timeout(Duration::from_millis(200)).is_err() {
        if let Some(error) = failed() {
            return Err(error.into());
        }
        if Instant::now() > deadline {
            return Err("no picture came".into());
        }
    }
    thread::sleep(SETTLE);
    ages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    thread::sleep(time);
    let ages = core::mem::take(&mut *ages.lock().unwrap_or_else(PoisonError::into_inner));
    if ages.is_empty() { Err(failed().unwrap_or_else(|| "no more pictures came".into()).into()) } else { Ok(ages) }
}

fn buffer_of(frame: &VideoFrame) -> gst::Buffer {
    let bytes: Vec<u8> = (0..2)
        .flat_map(|plane| {
            let shape = frame.format.planes(frame.size)[plane];
            (0..shape.size.y).flat_map(move |y| frame.row(plane, y).iter().copied())
        })
        .collect();
    gst::Buffer::from_mut_slice(bytes)
}

/// Decodes what the receiver gives and reads the marks.
fn show(
    pipeline: &gst::Pipeline,
    receiver: &gst::Element,
    sync: bool,
    size: UVec2,
    ages: Arc<Mutex<Vec<f64>>>,
    first: mpsc::SyncSender<()>,
) {
    let pipeline = pipeline.downgrade();
    receiver.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade().filter(|_| pad.direction() == gst::PadDirection::Src) else { return };
        let description =
            format!("rtph264depay ! h264parse ! avdec_h264 ! appsink name=shown sync={sync} max-buffers=2 drop=true");
        let made = gst::parse::bin_from_description(&description, true).map_err(|error| error.to_string()).and_then(|bin| {
            let sink =
                bin.by_name("shown").and_then(|sink| sink.downcast::<gst_app::AppSink>().ok()).ok_or("there is no sink")?;
            let (ages, first) = (ages.clone(), first.clone());
            let read = move |sink: &gst_app::AppSink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                if let Some(age) = age_of(&sample, size) {
                    ages.lock().unwrap_or_else(PoisonError::into_inner).push(age);
                    let _ = first.try_send(());
                }
                Ok(gst::FlowSuccess::Ok)
            };
            sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(read).build());
            pipeline.add(&bin).map_err(|error| error.to_string())?;
            bin.sync_state_with_parent().map_err(|error| error.to_string())?;
            let inlet = bin.static_pad("sink").ok_or("the decoder has no inlet")?;
            pad.link(&inlet).map(|_| ()).map_err(|error| error.to_string())
        });
        if let Err(error) = made {
            gst::element_error!(pipeline, gst::CoreError::Failed, ("{error}"));
        }
    });
}

/// How old a picture is by its mark, in milliseconds.
fn age_of(sample: &gst::Sample, size: UVec2) -> Option<f64> {
    let info = gst_video::VideoInfo::from_caps(sample.caps()?).ok()?;
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(sample.buffer()?, &info).ok()?;
    let (stride, luma) = (usize::try_from(*frame.plane_stride().first()?).ok()?, frame.plane_data(0).ok()?);
    let mark = Mark::read(size, |x, y| f32::from(luma[y as usize * stride + x as usize]))?;
    Some(UnixTime::now().since(mark.captured_at).as_secs_f64() * 1e3)
}

/// Lets two ends find one another. Descriptions go from one to the other as they are.
fn connect(sender: &gst::Element, receiver: &gst::Element) {
    for (from, to) in [(sender, receiver), (receiver, sender)] {
        let to = to.downgrade();
        from.connect("on-ice-candidate", false, move |values| {
            to.upgrade()?.emit_by_name_with_values("add-ice-candidate", &values[1..]);
            None
        });
    }
    let receiver = receiver.downgrade();
    sender.connect("on-negotiation-needed", false, move |values| {
        let sender = values[0].get::<gst::Element>().ok()?;
        let receiver = receiver.upgrade()?;
        describe(&sender.clone(), "create-offer", "offer", move |offer| {
            accept(&sender, "set-local-description", offer);
            accept(&receiver, "set-remote-description", offer);
            describe(&receiver.clone(), "create-answer", "answer", move |answer| {
                accept(&receiver, "set-local-description", answer);
                accept(&sender, "set-remote-description", answer);
            });
        });
        None
    });
}

/// Asks an end for a description.
fn describe(end: &gst::Element, signal: &str, field: &'static str, then: impl FnOnce(&glib::SendValue) + Send + 'static) {
    let promise = gst::Promise::with_change_func(move |reply| {
        if let Ok(Some(reply)) = reply
            && let Ok(description) = reply.value(field)
        {
            then(description);
        }
    });
    end.emit_by_name_with_values(signal, &[None::<gst::Structure>.to_value(), promise.to_value()]);
}

fn accept(end: &gst::Element, signal: &str, description: &glib::SendValue) {
    end.emit_by_name_with_values(signal, &[(**description).clone(), None::<gst::Promise>.to_value()]);
}
