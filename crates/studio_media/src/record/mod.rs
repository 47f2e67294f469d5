//! Access units become a file that plays even if its last part is missing.

mod ebml;
mod mp4;
mod spherical;
#[cfg(test)]
mod tests;

use crate::{
    encode::stream_caps,
    runtime::{self, RuntimeError},
    sample,
};
use bevy::prelude::*;
use ebml::EbmlPatcher;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use mp4::Mp4Patcher;
use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// Access units that may wait in front of the muxer.
const QUEUED: u64 = 8;
const DRAIN: Duration = Duration::from_secs(10);
/// The longest fragment, and so what a crash may cost at most. Every key frame starts a new one, too.
const FRAGMENT_MS: u32 = 500;
/// The same for AV1 in MP4: its fragments start at key frames only. Players on GStreamer 1.22 guess another frame rate for
/// each fragment, start their AV1 parser anew and lose what comes in front of the next key frame: so one picture instead
/// of up to half a second.
const AV1_FRAGMENT_MS: u32 = 10_000;

/// How a recording is laid out on disk. Both play up to their last half second (AV1 in MP4: up
/// to the last key frame, 10 s at most) whenever the program dies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Container {
    /// By the file's ending: `.mkv` and `.webm` are Matroska, all others MP4.
    #[default]
    Auto,
    /// Fragmented MP4 with Spherical Video V2 boxes.
    Mp4,
    /// Matroska with projection elements.
    Matroska,
}

/// What the user may set on a recording.
#[derive(Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordSettings {
    /// Layout of the file.
    pub container: Container,
    /// Whether an existing file of that name is overwritten. Otherwise `name-2.mp4`, `name-3.mp4`, … is written.
    pub overwrite: bool,
}

/// Why something is not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// GStreamer or an element is absent.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The file cannot be made.
    #[error("{path} cannot be written: {reason}; choose another folder or change its permissions")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Writing stopped.
    #[error(
        "writing {path} stopped: {reason}; what was written so far ({written_bytes} bytes) plays; make room or choose another disk"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
        /// Bytes that are on disk.
        written_bytes: u64,
    },
    /// The stream cannot be put into the file.
    #[error("{path}: the stream cannot be recorded: {reason}")]
    Mux {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Sound where pictures belong.
    #[error("sound comes in at `packets`: connect a video encoder there")]
    NotVideo,
    /// No key frame came.
    #[error("{0}: nothing was recorded, because no key frame came")]
    Nothing(PathBuf),
}

/// What was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSummary {
    /// The file that was written.
    pub path: PathBuf,
    /// Access units in it.
    pub frames: u64,
    /// Access units in front of the first key frame, which are not in it.
    pub skipped: u64,
    /// Its size.
    pub bytes: u64,
    /// Its length.
    pub duration: Duration,
}

enum Patcher {
    Mp4(Mp4Patcher),
    Matroska(EbmlPatcher),
    /// Nothing to add.
    None,
}

struct Writer {
    path: PathBuf,
    file: File,
    patcher: Patcher,
    /// Bytes on disk.
    written: u64,
    scratch: Vec<u8>,
}

impl Writer {
    fn write(&mut self, data: &[u8]) -> Result<(), RecordError> {
        let mux = |reason: String| RecordError::Mux { path: self.path.clone(), reason };
        self.scratch.clear();
        match &mut self.patcher {
            Patcher::Mp4(patcher) => patcher.push(data, &mut self.scratch).map_err(|error| mux(error.to_string()))?,
            Patcher::Matroska(patcher) => patcher.push(data, &mut self.scratch).map_err(|error| mux(error.to_string()))?,
            Patcher::None => self.scratch.extend_from_slice(data),
        }
        match self.file.write_all(&self.scratch) {
            Ok(()) => {
                self.written += self.scratch.len() as u64;
                Ok(())
            }
            Err(error) => Err(self.give_up(&error)),
        }
    }

    /// Cuts off what was written in part.
    fn give_up(&mut self, error: &io::Error) -> RecordError {
        if let Patcher::Mp4(patcher) = &self.patcher {
            self.written = self.written.min(patcher.whole());
        }
        if let Err(error) = self.file.set_len(self.written) {
            tracing::debug!("{} could not be cut to whole fragments: {error}", self.path.display());
        }
        RecordError::Write { path: self.path.clone(), reason: error.to_string(), written_bytes: self.written }
    }
}

#[derive(Default)]
struct State {
    failure: Option<RecordError>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn fail(&self, error: RecordError) {
        self.state.lock().failure.get_or_insert(error);
        self.changed.notify_all();
    }
}

#[derive(Default)]
struct Progress {
    first_pts: Option<MediaTime>,
    last_ns: u64,
    frames: u64,
    skipped: u64,
}

/// A recording. Units may come from any thread, in order; it starts at the first key frame.
pub struct Recorder {
    path: PathBuf,
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    shared: Arc<Shared>,
    writer: Arc<Mutex<Writer>>,
    progress: Mutex<Progress>,
    frame_ns: u64,
    finished: bool,
}

impl Recorder {
    /// Opens the file (missing folders are made) and a muxer for the stream.
    ///
    /// # Errors
    /// The file cannot be made, or GStreamer lacks a muxer.
    pub fn start(path: impl AsRef<Path>, info: &StreamInfo, settings: &RecordSettings) -> Result<Self, RecordError> {
        runtime::init()?;
        let path = path.as_ref();
        let matroska = match settings.container {
            Container::Matroska => true,
            Container::Mp4 => false,
            Container::Auto => {
                let ending = path.extension().map(|ending| ending.to_ascii_lowercase()).unwrap_or_default();
                ending == "mkv" || ending == "webm"
            }
        };
        let (muxer, patcher) = make_muxer(matroska, info)?;
        let rate_hz = if info.frame_rate_hz > 0.0 && info.frame_rate_hz <= 1000.0 { info.frame_rate_hz } else { 30.0 };
        let (parser, mut caps) = stream_caps(info.codec);
        // Without it the AV1 parser forgets how long a picture lasts, and the last one of a file would not be shown.
        caps.make_mut().set("framerate", sample::rate_fraction(rate_hz));
        let parser = runtime::make(parser)?;
        let source = gst_app::AppSrc::builder().caps(&caps).format(gst::Format::Time).max_buffers(QUEUED).max_bytes(0).build();
        let sink = gst_app::AppSink::builder().sync(false).build();
        let pipeline = gst::Pipeline::new();
        runtime::chain(&pipeline, &[source.clone().upcast(), parser, muxer, sink.clone().upcast()])?;

        let (path, file) = create(path, settings.overwrite)?;
        let shared = Arc::new(Shared::default());
        let writer = Arc::new(Mutex::new(Writer { path: path.clone(), file, patcher, written: 0, scratch: Vec::new() }));
        write_from(&sink, &shared, &writer);
        watch(&pipeline, &shared, &path);
        let frame_ns = (1e9 / f64::from(rate_hz)) as u64;
        let progress = Mutex::default();
        let recorder = Self { path, pipeline, source, shared, writer, progress, frame_ns, finished: false };
        if recorder.pipeline.set_state(gst::State::Playing).is_err() {
            return Err(recorder
                .failure()
                .unwrap_or_else(|| RecordError::Mux { path: recorder.path.clone(), reason: "the muxer does not start".into() }));
        }
        Ok(recorder)
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why recording stopped, if it did.
    pub fn failure(&self) -> Option<RecordError> {
        self.shared.state.lock().failure.clone()
    }

    /// Adds an access unit; waits while the disk is behind. Units in front of the first key frame are left out.
    ///
    /// # Errors
    /// Writing stopped; the file is whole up to there.
    pub fn push(&self, unit: &AccessUnit) -> Result<(), RecordError> {
        let mut progress = self.progress.lock();
        if progress.first_pts.is_none() && !unit.key_frame {
            progress.skipped += 1;
            return Ok(());
        }
        let first = *progress.first_pts.get_or_insert(unit.stamp.pts);
        let wanted = unit.stamp.pts.0.saturating_sub(first.0);
        let time = if progress.frames == 0 { 0 } else { wanted.max(progress.last_ns + 1_000_000) };
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        if let Some(target) = buffer.get_mut() {
            let time = gst::ClockTime::from_nseconds(time);
            target.set_pts(time);
            target.set_dts(time);
            target.set_duration(gst::ClockTime::from_nseconds(self.frame_ns));
            if !unit.key_frame {
                target.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        self.wait_for_room()?;
        self.source.push_buffer(buffer).map_err(|error| self.stopped(&format!("the muxer takes no more ({error})")))?;
        progress.last_ns = time;
        progress.frames += 1;
        Ok(())
    }

    fn stopped(&self, reason: &str) -> RecordError {
        self.failure().unwrap_or_else(|| RecordError::Mux { path: self.path.clone(), reason: reason.into() })
    }

    fn wait_for_room(&self) -> Result<(), RecordError> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if self.source.current_level_buffers() < QUEUED {
                return Ok(());
            }
            // Room is made without a word.
            self.shared.changed.wait_for(&mut state, Duration::from_millis(2));
        }
    }

    /// Writes what is left and closes the file.
    ///
    /// # Errors
    /// Nothing was recorded (the empty file is removed), or writing stopped on the way.
    pub fn finish(mut self) -> Result<RecordSummary, RecordError> {
        self.finished = true;
        let Progress { frames, skipped, last_ns, .. } = *self.progress.lock();
        if frames == 0 {
            if let Err(error) = std::fs::remove_file(&self.path) {
                tracing::debug!("{} could not be removed: {error}", self.path.display());
            }
            return Err(RecordError::Nothing(self.path.clone()));
        }
        self.drain()?;
        let mut writer = self.writer.lock();
        writer.file.flush().and_then(|()| writer.file.sync_all()).map_err(|error| writer.give_up(&error))?;
        let duration = Duration::from_nanos(last_ns + self.frame_ns);
        Ok(RecordSummary { path: self.path.clone(), frames, skipped, bytes: writer.written, duration })
    }

    fn drain(&self) -> Result<(), RecordError> {
        self.source.end_of_stream().map_err(|error| self.stopped(&error.to_string()))?;
        let deadline = Instant::now() + DRAIN;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.ended {
                return Ok(());
            }
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                drop(state);
                return Err(self.stopped(&format!("the file was not finished within {} s", DRAIN.as_secs())));
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.finished
            && self.progress.lock().frames > 0
            && let Err(error) = self.drain()
        {
            tracing::warn!("{error}");
        }
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("the muxer of {} did not stop cleanly", self.path.display());
        }
    }
}

fn make_muxer(matroska: bool, info: &StreamInfo) -> Result<(gst::Element, Patcher), RecordError> {
    if matches!(info.projection, PictureProjection::Fisheye { .. }) {
        tracing::warn!("players show a recorded fisheye picture flat: there is no standard description for it without a mesh");
    }
    if matroska {
        let muxer = runtime::make("matroskamux")?;
        runtime::set_if_present(&muxer, "streamable", "true");
        runtime::set_if_present(&muxer, "min-cluster-duration", &(u64::from(FRAGMENT_MS) * 1_000_000).to_string());
        let extra = spherical::matroska_elements(info.projection, info.stereo);
        return Ok((muxer, if extra.is_empty() { Patcher::None } else { Patcher::Matroska(EbmlPatcher::new(extra)) }));
    }
    let muxer = runtime::make("mp4mux")?;
    let fragment_ms = if info.codec == VideoCodec::Av1 { AV1_FRAGMENT_MS } else { FRAGMENT_MS };
    runtime::set_if_present(&muxer, "fragment-duration", &fragment_ms.to_string());
    runtime::set_if_present(&muxer, "streamable", "true");
    // Fine enough for any frame rate, and a multiple of the usual ones.
    runtime::set_if_present(&muxer, "trak-timescale", "90000");
    Ok((muxer, Patcher::Mp4(Mp4Patcher::new(spherical::mp4_boxes(info.projection, info.stereo)))))
}

/// Makes the file, under another name if there is one already.
fn create(path: &Path, overwrite: bool) -> Result<(PathBuf, File), RecordError> {
    let refuse = |path: &Path, error: io::Error| RecordError::Create { path: path.into(), reason: error.to_string() };
    let path = if path.extension().is_some() { path.to_owned() } else { path.with_extension("mp4") };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| refuse(folder, error))?;
    }
    if overwrite {
        return File::create(&path).map_err(|error| refuse(&path, error)).map(|file| (path, file));
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    for number in 1..10_000 {
        let candidate = if number == 1 { path.clone() } else { path.with_file_name(format!("{stem}-{number}.{ending}")) };
        match OpenOptions::new().write(true).create_new(true).open(&candidate) {
            Ok(file) => return Ok((candidate, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(refuse(&candidate, error)),
        }
    }
    Err(RecordError::Create { path, reason: "there are 9999 recordings of this name".into() })
}

fn write_from(sink: &gst_app::AppSink, shared: &Arc<Shared>, writer: &Arc<Mutex<Writer>>) {
    let (shared, writer) = (shared.clone(), writer.clone());
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let pulled = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let mapped = pulled.buffer().and_then(|buffer| buffer.map_readable().ok()).ok_or(gst::FlowError::Error)?;
        let outcome = writer.lock().write(&mapped);
        shared.changed.notify_all();
        outcome.map(|()| gst::FlowSuccess::Ok).map_err(|error| {
            tracing::error!("{error}");
            shared.fail(error);
            gst::FlowError::Error
        })
    });
    sink.set_callbacks(callbacks.build());
}

fn watch(pipeline: &gst::Pipeline, shared: &Arc<Shared>, path: &Path) {
    let Some(bus) = pipeline.bus() else { return };
    let (shared, path) = (shared.clone(), path.to_owned());
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                shared.fail(RecordError::Mux { path: path.clone(), reason: runtime::describe(error) })
            }
            gst::MessageView::Eos(_) => {
                shared.state.lock().ended = true;
                shared.changed.notify_all();
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });
}
