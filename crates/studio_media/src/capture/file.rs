//! Video files and streams.

use super::{
    Capture, CaptureClock, CaptureError, CaptureSource, VideoFileInput,
    pipeline::{self, Playback},
    sound::{self, SoundBranch},
    supervisor::{Feed, FrameSink, Shared, Supervisor},
};
use crate::{audio::AudioSink, runtime};
use gstreamer as gst;
use gstreamer::prelude::*;
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};
use studio_frame::{audio::AudioBlock, queue::Sent};

/// Says why a file cannot be opened, before anything is started for it.
pub(super) fn check_file(path: &Path) -> Result<(), CaptureError> {
    let unreadable = |error: io::Error| CaptureError::Unreadable { path: path.into(), reason: error.to_string() };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            CaptureError::Missing { path: path.into(), folder: std::env::current_dir().unwrap_or_default() }
        }
        _ => unreadable(error),
    })?;
    if metadata.is_dir() {
        return Err(CaptureError::Folder(path.into()));
    }
    if metadata.is_file() && metadata.len() == 0 {
        return Err(CaptureError::Empty(path.into()));
    }
    File::open(path).map(drop).map_err(unreadable)
}

/// The address of a source: as given if it is one, else the file's.
pub(crate) fn uri_of(source: &str) -> Result<(String, bool), CaptureError> {
    let scheme = source.split_once("://").map(|(scheme, _)| scheme);
    // A single letter is a drive, not a scheme.
    if let Some(scheme) = scheme.filter(|scheme| scheme.len() > 1 && *scheme != "file") {
        if gst::Element::make_from_uri(gst::URIType::Src, source, None).is_err() {
            let text = format!(
                "{source}: no GStreamer element opens `{scheme}` addresses; install gstreamer1.0-plugins-bad, or give a file"
            );
            return Err(CaptureError::Setting(text));
        }
        return Ok((source.into(), false));
    }
    let path = match scheme {
        Some(_) => gst::glib::filename_from_uri(source).map_err(|error| CaptureError::Setting(format!("{source}: {error}")))?.0,
        None => source.into(),
    };
    check_file(&path)?;
    let absolute =
        fs::canonicalize(&path).map_err(|error| CaptureError::Unreadable { path: path.clone(), reason: error.to_string() })?;
    let uri = gst::glib::filename_to_uri(absolute, None).map_err(|error| CaptureError::Setting(format!("{source}: {error}")))?;
    Ok((uri.into(), true))
}

impl Playback {
    /// Checks the points between which a file is played.
    pub(crate) fn between(start_s: f64, end_s: Option<f64>, repeat: bool, local: bool) -> Result<Self, CaptureError> {
        let seconds = |name, value: f64| {
            Duration::try_from_secs_f64(value).ok().filter(|duration| duration.as_secs() < 1_000_000).ok_or_else(|| {
                CaptureError::Setting(format!("{name} point {value} s is out of range: it goes from 0 to 1000000 s"))
            })
        };
        let start = seconds("in", start_s)?;
        let end = end_s.map(|end_s| seconds("out", end_s)).transpose()?;
        if end.is_some_and(|end| end <= start) {
            let text = format!("the out point {:.3} s must lie after the in point {:.3} s", end_s.unwrap_or_default(), start_s);
            return Err(CaptureError::Setting(text));
        }
        Ok(Self { repeat, start, end, local, device: false })
    }
}

impl CaptureSource for VideoFileInput {
    fn start(&self, clock: CaptureClock) -> Result<Capture, CaptureError> {
        self.start_with_sound(clock, None)
    }

    fn start_with_sound(&self, clock: CaptureClock, sound: Option<AudioSink>) -> Result<Capture, CaptureError> {
        runtime::init()?;
        if self.source.is_empty() {
            return Err(CaptureError::NothingChosen("video file"));
        }
        self.picture.check().map_err(CaptureError::Setting)?;
        let (uri, local) = uri_of(&self.source)?;
        let playback = Playback::between(self.start_s, self.end_s, self.repeat, local)?;
        let picture = self.picture;
        let shared = Shared::new(&self.source);
        let (sender, frames) = clock.queue();
        let sink: FrameSink = Box::new(move |frame| sender.send(frame) != Sent::Closed);
        let mut sound = sound.map(|sound| sound::decouple(clock, sound));
        let mut beside: Option<Arc<Feed<AudioBlock>>> = None;
        let session = move |feed: &Arc<Feed>| {
            if let Some(sound) = sound.take() {
                beside = Some(Arc::new(feed.beside(sound)));
            }
            let branch = beside.as_ref().map(|beside| SoundBranch::new(beside.clone(), &playback));
            let pipeline = gst::Pipeline::new();
            let decoder = runtime::make("uridecodebin")?;
            decoder.set_property("uri", &uri);
            runtime::chain(&pipeline, std::slice::from_ref(&decoder))?;
            pipeline::play(feed, pipeline, &decoder, &picture, &playback, branch)
        };
        let supervisor = Supervisor::spawn(shared.clone(), clock, sink, Box::new(session))?;
        Ok(Capture::new(frames, shared, supervisor))
    }
}
