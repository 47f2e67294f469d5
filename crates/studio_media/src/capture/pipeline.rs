//! A GStreamer pipeline that ends in stamped frames, and the loop that watches over it.

use super::{
    CaptureClock, CaptureError, Flip, PictureSettings, Rotation,
    sound::SoundBranch,
    supervisor::{Feed, SessionEnd},
};
use crate::{
    runtime::{self, RuntimeError},
    sample,
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long a source may take to give its first picture, and a live one any later picture.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the watching thread looks whether it is to stop or to seek.
const LOOK: gst::ClockTime = gst::ClockTime::from_mseconds(20);
const NOTHING_LINKED: &str = "studio-nothing-linked";

/// How a source is played.
#[derive(Clone, Debug, Default)]
pub(crate) struct Playback {
    pub repeat: bool,
    pub start: Duration,
    pub end: Option<Duration>,
    /// A file of this machine: what fails once fails again.
    pub local: bool,
    /// A camera or microphone: what it delivers is taken as it comes.
    pub device: bool,
}

/// Which of a source's tracks are played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Medium {
    Picture,
    Sound,
}

impl Medium {
    const fn name(self) -> &'static str {
        match self {
            Self::Picture => "picture",
            Self::Sound => "sound",
        }
    }

    const fn raw(self) -> &'static str {
        match self {
            Self::Picture => "video/x-raw",
            Self::Sound => "audio/x-raw",
        }
    }

    /// Whether tracks of this kind are exposed as they come and never decoded; `with_sound`: pictures' sound is wanted too.
    fn skips(self, kind: &str, with_sound: bool) -> bool {
        let starts = |kinds: &[&str]| kinds.iter().any(|start| kind.starts_with(start));
        // Containers are called video/… too, so the coded pictures are named one by one.
        let others = match self {
            Self::Picture => !with_sound && starts(&["audio/"]),
            Self::Sound => starts(&["image/", "video/x-h26", "video/x-av1", "video/x-vp", "video/x-prores", "video/x-theora"]),
        };
        others || starts(&["text/", "subpicture/", "application/x-subtitle"])
    }
}

/// What the streaming thread tells the watching thread.
#[derive(Default)]
pub(crate) struct Progress {
    /// Frames of this session.
    frames: AtomicU64,
    /// Where the last frame ends on the source's own time line.
    end_ns: AtomicU64,
    frame_ns: AtomicU64,
    linked: AtomicBool,
}

impl Progress {
    /// Notes a frame or block that ends at `end_ns` of the source's own time line.
    pub fn note(&self, end_ns: Option<u64>, duration_ns: u64) {
        if let Some(end_ns) = end_ns {
            self.end_ns.store(end_ns, Ordering::Relaxed);
        }
        self.frame_ns.store(duration_ns, Ordering::Relaxed);
        self.frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sets a pipeline to NULL when it goes out of scope, so that its device is free and its threads are gone.
struct Running(gst::Pipeline);

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.set_state(gst::State::Null).is_err() {
            tracing::warn!("a capture pipeline did not stop cleanly");
        }
    }
}

/// Builds what follows the decoder; returns its first element.
fn build_tail(
    pipeline: &gst::Pipeline,
    picture: &PictureSettings,
    playback: &Playback,
    feed: &Arc<Feed>,
    progress: &Arc<Progress>,
) -> Result<gst::Element, RuntimeError> {
    let mut elements = vec![runtime::make("videoconvert")?];
    let turn = match picture.rotation {
        Rotation::None => None,
        Rotation::Deg90 => Some("90r"),
        Rotation::Deg180 => Some("180"),
        Rotation::Deg270 => Some("90l"),
    };
    let mirror = match picture.flip {
        Flip::None => None,
        Flip::Horizontal => Some("horiz"),
        Flip::Vertical => Some("vert"),
    };
    for direction in [turn, mirror].into_iter().flatten() {
        let flip = runtime::make("videoflip")?;
        runtime::set_if_present(&flip, "video-direction", direction);
        elements.push(flip);
    }
    if elements.len() > 1 {
        elements.push(runtime::make("videoconvert")?);
    }
    let mut caps =
        gst::Caps::builder("video/x-raw").field("format", gst::List::new(sample::FORMATS.map(|format| format.to_str())));
    if let Some(size) = picture.size {
        elements.push(runtime::make("videoscale")?);
        caps = caps
            .field("width", size.x as i32)
            .field("height", size.y as i32)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1));
    }
    if let Some(rate_hz) = picture.rate_hz {
        elements.push(runtime::make("videorate")?);
        caps = caps.field("framerate", sample::rate_fraction(rate_hz));
    }
    let sink = gst_app::AppSink::builder()
        .caps(&caps.build())
        .sync(feed.clock == CaptureClock::Live && !playback.device)
        .max_buffers(2)
        .callbacks(callbacks(feed, progress))
        .build();
    sample::accept_padded_rows(sink.upcast_ref());
    join_stretches(feed, &sink);
    elements.push(sink.upcast());
    runtime::chain(pipeline, &elements)?;
    Ok(elements.swap_remove(0))
}

/// Joins the stretches of a source's time line: each seek, loop and restart begins a new one.
///
/// Running time alone would not do: after a loop it goes on from the last frame's start with one demuxer and from its end
/// with another.
pub(crate) fn join_stretches<T: 'static>(feed: &Arc<Feed<T>>, sink: &gst_app::AppSink) {
    let Some(pad) = sink.static_pad("sink") else { return };
    // The number of the newest segment, and where it lies: base, start and time. Demuxers send a segment again, under another
    // number, when they learn how long the source is; that begins nothing.
    let (feed, current) = (feed.clone(), Mutex::new((None, None)));
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let mut current = current.lock();
        match info.event().map(|event| event.view()) {
            Some(gst::EventView::FlushStop(_) | gst::EventView::StreamStart(_)) => current.1 = None,
            Some(gst::EventView::Segment(event)) => {
                let segment = event.segment().downcast_ref::<gst::ClockTime>();
                let place = segment.map(|segment| (segment.base(), segment.start(), segment.time()));
                let goes_on = current.0 == Some(event.seqnum()) || place.is_some() && current.1 == place;
                *current = (Some(event.seqnum()), place);
                if !goes_on {
                    let base = segment.and_then(|segment| segment.base());
                    feed.begin_stretch(event.seqnum(), base.map_or(0, gst::ClockTime::nseconds));
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
}

fn callbacks(feed: &Arc<Feed>, progress: &Arc<Progress>) -> gst_app::AppSinkCallbacks {
    let (feed, progress) = (feed.clone(), progress.clone());
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            match take(&feed, &progress, sink, &sample) {
                Ok(true) => Ok(gst::FlowSuccess::Ok),
                Ok(false) => Err(gst::FlowError::Flushing),
                Err(error) => {
                    gst::element_error!(sink, gst::StreamError::Format, ("{error}"));
                    Err(gst::FlowError::Error)
                }
            }
        })
        .build()
}

/// Stamps one sample and hands it over; `false` if nobody takes frames any more.
fn take(feed: &Feed, progress: &Progress, sink: &gst_app::AppSink, sample: &gst::Sample) -> Result<bool, sample::SampleError> {
    let pts = sample.buffer().and_then(gst::BufferRef::pts);
    let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>().cloned());
    let running = segment.as_ref().and_then(|segment| segment.to_running_time(pts));
    let fps = sample::sample_info(sample)?.fps();
    let rate_duration = (fps.numer() > 0).then(|| 1_000_000_000 * fps.denom() as u64 / fps.numer() as u64);
    let duration = rate_duration.or_else(|| sample.buffer()?.duration().map(gst::ClockTime::nseconds)).unwrap_or(33_333_333);
    feed.set_frame_duration(duration);
    let place = segment.as_ref().and_then(|segment| segment.to_stream_time(pts));
    progress.note(place.map(|place| place.nseconds() + duration), duration);
    let now = sink.current_running_time();
    let age = now.zip(running).map_or(Duration::ZERO, |(now, running)| now.saturating_sub(running).into());
    let stamp = feed.stamp(running.map(gst::ClockTime::nseconds), age.min(Duration::from_secs(1)));
    Ok(feed.deliver(sample::frame_from_sample(sample, stamp, None)?))
}

/// Keeps AV1 parsers from starting anew, and losing the pictures in front of the next key frame, when nothing but the frame
/// rate changes: GStreamer 1.22 guesses another one for each fragment of an MP4.
fn steady_av1_parsers(pipeline: &gst::Pipeline) {
    pipeline.connect_deep_element_added(|_, _, element| {
        let is_parser = element.factory().is_some_and(|factory| factory.name() == "av1parse");
        let Some(pad) = element.static_pad("sink").filter(|_| is_parser) else { return };
        let current = Mutex::new(None);
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(gst::EventView::Caps(event)) = info.event().map(|event| event.view()) else {
                return gst::PadProbeReturn::Ok;
            };
            let mut caps = event.caps_owned();
            caps.make_mut().iter_mut().for_each(|structure| structure.remove_field("framerate"));
            let repeated = current.lock().replace(caps.clone()).is_some_and(|before: gst::Caps| before == caps);
            if repeated { gst::PadProbeReturn::Drop } else { gst::PadProbeReturn::Ok }
        });
    });
}

/// Links the first pad of the medium that appears, and says so when none appears.
fn link_track(track: &Track, decoder: &gst::Element, pipeline: &gst::Pipeline, progress: &Arc<Progress>) {
    let (medium, with_sound) = (track.medium, track.sound.is_some());
    if decoder.find_property("low-latency").is_some() {
        runtime::set_if_present(decoder, "low-latency", "true");
    }
    decoder.connect("autoplug-continue", false, move |values| {
        let caps = values.get(2)?.get::<gst::Caps>().ok()?;
        let name = caps.structure(0).map(|structure| structure.name().to_string()).unwrap_or_default();
        Some((!medium.skips(&name, with_sound)).to_value())
    });
    let (target, seen) = (track.tail.downgrade(), progress.clone());
    let (sound, around) = (track.sound.clone(), pipeline.downgrade());
    decoder.connect_pad_added(move |_, pad| {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let is = |medium: Medium| caps.structure(0).is_some_and(|structure| structure.name() == medium.raw());
        if let Some((sound, pipeline)) = sound.as_ref().filter(|_| is(Medium::Sound)).zip(around.upgrade()) {
            if let Err(error) = sound.link(&pipeline, pad) {
                tracing::warn!("{error}");
            }
            return;
        }
        let fits = is(medium);
        let Some(sink) = target.upgrade().and_then(|tail| tail.static_pad("sink")).filter(|sink| fits && !sink.is_linked())
        else {
            return;
        };
        match pad.link(&sink) {
            Ok(_) => seen.linked.store(true, Ordering::Release),
            Err(error) => tracing::warn!("a {} track could not be linked: {error}", medium.name()),
        }
    });
    let (pipeline, seen) = (pipeline.downgrade(), progress.clone());
    decoder.connect_no_more_pads(move |_| {
        if seen.linked.load(Ordering::Acquire) {
            return;
        }
        if let Some(pipeline) = pipeline.upgrade() {
            let told = pipeline.post_message(gst::message::Application::new(gst::Structure::new_empty(NOTHING_LINKED)));
            if told.is_err() {
                tracing::debug!("the pipeline stopped before it could say that there is no {}", medium.name());
            }
        }
    });
}

/// Plays the pictures that `decoder` (already in the pipeline, with its source) decodes, until they end, fail or are to stop.
pub(crate) fn play(
    feed: &Arc<Feed>,
    pipeline: gst::Pipeline,
    decoder: &gst::Element,
    picture: &PictureSettings,
    playback: &Playback,
    sound: Option<Arc<SoundBranch>>,
) -> Result<SessionEnd, CaptureError> {
    let progress = Arc::new(Progress::default());
    let tail = build_tail(&pipeline, picture, playback, feed, &progress)?;
    steady_av1_parsers(&pipeline);
    play_track(Track { medium: Medium::Picture, tail, sound }, feed, pipeline, decoder, progress, playback)
}

/// What of a source is played, and into what.
pub(crate) struct Track {
    pub medium: Medium,
    /// The first element behind the decoder, already in the pipeline.
    pub tail: gst::Element,
    /// Where the sound of pictures goes.
    pub sound: Option<Arc<SoundBranch>>,
}

/// Plays one track of what `decoder` (already in the pipeline) decodes into its tail, whose callbacks keep `progress`.
pub(crate) fn play_track<T>(
    track: Track,
    feed: &Arc<Feed<T>>,
    pipeline: gst::Pipeline,
    decoder: &gst::Element,
    progress: Arc<Progress>,
    playback: &Playback,
) -> Result<SessionEnd, CaptureError> {
    link_track(&track, decoder, &pipeline, &progress);
    let bus = pipeline.bus().ok_or_else(|| RuntimeError::Link("a pipeline has no bus".into()))?;
    let mut watch = Watch {
        medium: track.medium,
        feed,
        pipeline: Running(pipeline),
        playback,
        progress,
        state: State::default(),
        missing: Mutex::default(),
    };
    watch.open()?;
    loop {
        if feed.shared.stopping() {
            return Ok(SessionEnd::Stopped);
        }
        if let Some(to) = feed.shared.take_seek() {
            watch.seek(to)?;
        }
        watch.check_patience()?;
        let Some(message) = bus.timed_pop(LOOK) else { continue };
        if let Some(end) = watch.handle(&message)? {
            return Ok(end);
        }
    }
}

#[derive(Default)]
struct State {
    /// Whether the in point is reached and the pipeline plays.
    playing: bool,
    /// Whether the seek to the in point was sent.
    positioned: bool,
    live: bool,
    /// Whether loops are joined by segment seeks.
    segments: bool,
    duration: Option<Duration>,
    frames_seen: u64,
    last_news: Option<Instant>,
}

struct Watch<'a, T> {
    medium: Medium,
    feed: &'a Arc<Feed<T>>,
    pipeline: Running,
    playback: &'a Playback,
    progress: Arc<Progress>,
    state: State,
    missing: Mutex<Option<String>>,
}

impl<T> Watch<'_, T> {
    fn name(&self) -> String {
        self.feed.shared.name().to_owned()
    }

    fn lost(&self, reason: impl Into<String>) -> CaptureError {
        CaptureError::Lost { source_name: self.name(), reason: reason.into() }
    }

    fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, CaptureError> {
        self.pipeline.0.set_state(state).map_err(|_| {
            // The reason is an error message on the bus; it is read there before this one would be shown.
            let bus = self.pipeline.0.bus();
            match bus.and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error])).as_ref().map(|message| message.view()) {
                Some(gst::MessageView::Error(error)) => self.explain(error),
                _ => self.lost(format!("it cannot go to the state {state:?}")),
            }
        })
    }

    fn open(&mut self) -> Result<(), CaptureError> {
        self.state.last_news = Some(Instant::now());
        self.state.playing = false;
        self.state.positioned = false;
        if self.set_state(gst::State::Paused)? == gst::StateChangeSuccess::NoPreroll {
            self.state.live = true;
            self.start_playing()?;
        }
        Ok(())
    }

    fn start_playing(&mut self) -> Result<(), CaptureError> {
        self.state.playing = true;
        self.state.last_news = Some(Instant::now());
        self.set_state(gst::State::Playing).map(drop)
    }

    fn check_patience(&mut self) -> Result<(), CaptureError> {
        let frames = self.progress.frames.load(Ordering::Relaxed);
        if frames != self.state.frames_seen {
            self.state.frames_seen = frames;
            self.state.last_news = Some(Instant::now());
        }
        let waiting_for_start = !self.state.playing || frames == 0;
        let waited_for = self.state.last_news.is_some_and(|news| news.elapsed() > PATIENCE);
        // Offline, a frame that nobody takes yet is no reason to give up.
        if waited_for && (waiting_for_start || self.state.live && self.feed.clock == CaptureClock::Live) {
            return Err(match self.playback.local && frames == 0 {
                // GStreamer's decodebin now and then swallows a demuxer's error about a file that ends in its header.
                true => CaptureError::Damaged {
                    source_name: self.name(),
                    reason: format!("no {} is found in it", self.medium.name()),
                },
                false => CaptureError::Timeout { source_name: self.name(), seconds: PATIENCE.as_secs() },
            });
        }
        Ok(())
    }

    /// Where playing starts and stops, in GStreamer's terms.
    fn seek_between(&self, flags: gst::SeekFlags, start: Duration) -> bool {
        let clock_time = |duration: Duration| gst::ClockTime::from_nseconds(duration.as_nanos() as u64);
        let flags = flags
            | gst::SeekFlags::ACCURATE
            | if self.state.segments { gst::SeekFlags::SEGMENT } else { gst::SeekFlags::empty() };
        let (stop_type, stop) = match self.playback.end {
            Some(end) => (gst::SeekType::Set, Some(clock_time(end))),
            None => (gst::SeekType::Set, gst::ClockTime::NONE),
        };
        self.pipeline.0.seek(1.0, flags, gst::SeekType::Set, clock_time(start), stop_type, stop).is_ok()
    }

    fn seek(&mut self, to: Duration) -> Result<(), CaptureError> {
        let latest = self.playback.end.or(self.state.duration).unwrap_or(to);
        if !self.seek_between(gst::SeekFlags::FLUSH, to.clamp(self.playback.start, latest.max(self.playback.start))) {
            tracing::warn!("{}", CaptureError::NotSeekable(self.name()));
        }
        Ok(())
    }

    /// Called when the pipeline has its first picture, and again when it has the picture at the in point.
    fn prerolled(&mut self) -> Result<(), CaptureError> {
        if self.state.playing {
            return Ok(());
        }
        if self.state.positioned {
            return self.start_playing();
        }
        self.state.positioned = true;
        let pipeline = &self.pipeline.0;
        let mut query = gst::query::Seeking::new(gst::Format::Time);
        let seekable = pipeline.query(&mut query) && query.result().0;
        self.state.duration = pipeline.query_duration::<gst::ClockTime>().map(Duration::from);
        self.feed.shared.set_duration(self.state.duration, seekable);
        let Playback { repeat, start, end, .. } = *self.playback;
        if let Some(length) = self.state.duration.filter(|length| start >= *length) {
            let text = format!(
                "{}: the in point {:.2} s lies after its end at {:.2} s",
                self.name(),
                start.as_secs_f64(),
                length.as_secs_f64()
            );
            return Err(CaptureError::Setting(text));
        }
        let has_points = start > Duration::ZERO || end.is_some();
        if !has_points && !repeat {
            return self.start_playing();
        }
        self.state.segments = repeat && seekable;
        if seekable && self.seek_between(gst::SeekFlags::FLUSH, start) {
            return Ok(());
        }
        self.state.segments = false;
        if has_points {
            return Err(CaptureError::Setting(format!("{} cannot seek: clear its in and out points", self.name())));
        }
        self.start_playing()
    }

    fn handle(&mut self, message: &gst::Message) -> Result<Option<SessionEnd>, CaptureError> {
        match message.view() {
            gst::MessageView::AsyncDone(_) => self.prerolled()?,
            gst::MessageView::SegmentDone(_) if !self.seek_between(gst::SeekFlags::empty(), self.playback.start) => {
                return self.ended();
            }
            gst::MessageView::Eos(_) => return self.ended(),
            gst::MessageView::Error(error) => return Err(self.explain(error)),
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure().filter(|structure| structure.name() == "missing-plugin") {
                    *self.missing.lock() = structure.get::<String>("name").ok();
                }
            }
            gst::MessageView::Application(application)
                if application.structure().is_some_and(|structure| structure.name() == NOTHING_LINKED) =>
            {
                return Err(self.without_track());
            }
            gst::MessageView::Latency(_) if self.pipeline.0.recalculate_latency().is_err() => {
                tracing::debug!("{} did not take a new latency", self.name());
            }
            _ => {}
        }
        Ok(None)
    }

    fn without_track(&self) -> CaptureError {
        match self.missing.lock().clone() {
            Some(needed) => CaptureError::Unsupported { source_name: self.name(), needed },
            None if self.medium == Medium::Sound => CaptureError::NoSound(self.name()),
            None => CaptureError::NoVideo(self.name()),
        }
    }

    fn ended(&mut self) -> Result<Option<SessionEnd>, CaptureError> {
        let frames = self.progress.frames.load(Ordering::Relaxed);
        if frames == 0 {
            return Err(CaptureError::Damaged {
                source_name: self.name(),
                reason: format!("it ends before its first {}", self.medium.name()),
            });
        }
        let early = self.ended_early();
        if self.playback.repeat {
            if let Some(error) = early {
                tracing::warn!("{error}");
            }
            // Without segment seeks the pipeline starts over; the time line goes on.
            self.set_state(gst::State::Ready)?;
            self.open()?;
            return Ok(None);
        }
        early.map_or(Ok(Some(SessionEnd::Ended)), Err)
    }

    /// Whether the source stopped well before its own length or out point.
    fn ended_early(&self) -> Option<CaptureError> {
        let played = Duration::from_nanos(self.progress.end_ns.load(Ordering::Relaxed));
        let length = self.state.duration?;
        let expected = self.playback.end.map_or(length, |end| end.min(length));
        // A last frame or two may be missing in a whole file: edit lists and rounding.
        let tolerance = Duration::from_nanos(3 * self.progress.frame_ns.load(Ordering::Relaxed)).max(Duration::from_millis(200));
        (self.playback.local && played + tolerance < expected).then(|| CaptureError::EndedEarly {
            source_name: self.name(),
            played_s: played.as_secs_f64(),
            expected_s: Some(expected.as_secs_f64()),
        })
    }

    fn explain(&self, message: &gst::message::Error) -> CaptureError {
        let reason = runtime::describe(message);
        let error = message.error();
        if let Some(needed) = self.missing.lock().clone() {
            return CaptureError::Unsupported { source_name: self.name(), needed };
        }
        if error.kind::<gst::StreamError>() == Some(gst::StreamError::CodecNotFound) {
            return CaptureError::Unsupported { source_name: self.name(), needed: error.to_string() };
        }
        if !self.playback.local {
            return self.lost(reason);
        }
        if self.progress.frames.load(Ordering::Relaxed) > 0 {
            let played_s = Duration::from_nanos(self.progress.end_ns.load(Ordering::Relaxed)).as_secs_f64();
            let expected_s = self.state.duration.map(|duration| duration.as_secs_f64());
            return CaptureError::EndedEarly { source_name: self.name(), played_s, expected_s };
        }
        CaptureError::Damaged { source_name: self.name(), reason }
    }
}
