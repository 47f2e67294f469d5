//! The recording itself: what comes in from any thread goes through the parser to the intake.

use super::{
    Expected, RecordError, RecordSettings, RecordSummary,
    disk::Disk,
    gate::{Gate, Side},
    intake::{Counts, Intake},
    rate_hz,
    track::PictureTrack,
};
use crate::{
    encode::{codec_string::av1_configuration, stream_caps},
    runtime, sample,
    stamped::{Layout, OnSample, Stamped},
};
use bytes::Bytes;
use gstreamer as gst;
use parking_lot::Mutex;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use studio_frame::prelude::*;

const DRAIN: Duration = Duration::from_secs(10);

/// The parser that brings pictures into the form they have in files.
struct PictureStage {
    stage: Stamped,
    info: Arc<StreamInfo>,
}

/// A recording. Units may come from any thread, those of each track in order. It starts at the first key frame, or with the
/// first sound where no pictures are expected.
///
/// Pictures and sound are joined by their stamps' `captured_at`. Sound in front of the first key frame is left out, sound that
/// starts late or pauses leaves a gap, and sound that never comes, or ends, does not hold the pictures back: live they wait
/// for the first packet until a second of them is held, offline as [`Expected::policy`] says. If no packet came by then, the
/// file has no sound.
pub struct Recorder {
    path: PathBuf,
    expected: Expected,
    stage: Mutex<Option<PictureStage>>,
    intake: Arc<Mutex<Intake>>,
    gate: Arc<Gate>,
    skipped: AtomicU64,
    finished: Mutex<bool>,
}

impl Recorder {
    /// Opens the file; missing folders are made.
    ///
    /// # Errors
    /// The file cannot be made, or GStreamer does not start.
    pub fn start(path: impl AsRef<Path>, expected: Expected, settings: &RecordSettings) -> Result<Self, RecordError> {
        runtime::init()?;
        let path = path.as_ref();
        let matroska = settings.container.is_matroska(path);
        let disk = Disk::create(path, settings.overwrite)?;
        Ok(Self {
            path: disk.path().to_owned(),
            expected,
            stage: Mutex::default(),
            intake: Arc::new(Mutex::new(Intake::new(disk, matroska, expected))),
            gate: Arc::new(Gate::new(expected.pictures && expected.sound && expected.policy == QueuePolicy::Block)),
            skipped: AtomicU64::new(0),
            finished: Mutex::new(false),
        })
    }

    /// The file that is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why recording stopped, if it did.
    pub fn failure(&self) -> Option<RecordError> {
        self.intake.lock().failure().cloned()
    }

    /// Adds a picture or a packet of sound; waits while the disk is behind. Pictures in front of the first key frame and what
    /// was not [expected](Expected) are left out.
    ///
    /// Under [`QueuePolicy::Block`] it also waits while the unit is more than a second ahead of the other track: until that
    /// comes along, [ends](Self::end_sound), is brought by this very thread, has not moved for ten seconds, or the recording
    /// is finished.
    ///
    /// # Errors
    /// Writing stopped, or the stream is another than before; the file is whole up to there.
    pub fn push(&self, info: &PacketInfo, unit: &AccessUnit) -> Result<(), RecordError> {
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let outcome = match info {
            PacketInfo::Video(info) if self.expected.pictures => self.push_picture(info, unit),
            PacketInfo::Audio(info) if self.expected.sound => self.push_sound(info, unit),
            _ => Ok(()),
        };
        outcome.map_err(|error| {
            self.gate.open();
            self.intake.lock().fail(error)
        })
    }

    /// Says that no more sound comes for now, so that pictures do not wait for it.
    pub fn end_sound(&self) {
        self.gate.end(Side::Sound);
    }

    /// Lets every [`push`](Self::push) that waits go on, as [`finish`](Self::finish) does first.
    pub fn release(&self) {
        self.gate.open();
    }

    fn push_sound(&self, info: &Arc<AudioStreamInfo>, unit: &AccessUnit) -> Result<(), RecordError> {
        {
            // Told first: pictures that wait for the first sound need no more than this.
            let mut intake = self.intake.lock();
            intake.describe_sound(info)?;
        }
        self.gate.pass(Side::Sound, unit.stamp.captured_at);
        let finished = self.finished.lock();
        if *finished { Ok(()) } else { self.intake.lock().sound(unit) }
    }

    fn push_picture(&self, info: &Arc<StreamInfo>, unit: &AccessUnit) -> Result<(), RecordError> {
        let mut stage = self.stage.lock();
        if *self.finished.lock() {
            return Ok(());
        }
        let stage = match &mut *stage {
            Some(stage) => stage,
            None if !unit.key_frame => {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            none => none.insert(self.start_stage(info)?),
        };
        let same = |a: &StreamInfo, b: &StreamInfo| {
            (a.codec, a.size, a.projection, a.stereo) == (b.codec, b.size, b.projection, b.stereo)
        };
        if !Arc::ptr_eq(&stage.info, info) && !same(&stage.info, info) {
            return Err(RecordError::Changed { path: self.path.clone(), what: "the pictures' size, codec or projection" });
        }
        self.gate.pass(Side::Pictures, unit.stamp.captured_at);
        if *self.finished.lock() {
            return Ok(());
        }
        let mut buffer = gst::Buffer::from_slice(unit.data.clone());
        if let Some(target) = buffer.get_mut().filter(|_| !unit.key_frame) {
            target.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        stage.stage.push(buffer, unit.stamp, true).map_err(|reason| self.stopped(reason))
    }

    fn start_stage(&self, info: &Arc<StreamInfo>) -> Result<PictureStage, RecordError> {
        if matches!(info.projection, PictureProjection::Fisheye { .. }) {
            tracing::warn!(
                "players show a recorded fisheye picture flat: there is no standard description for it without a mesh"
            );
        }
        let (parser, mut input) = stream_caps(info.codec);
        // Without it the AV1 parser forgets how long a picture lasts.
        input.make_mut().set("framerate", sample::rate_fraction(rate_hz(info)));
        let mut output = stream_caps(info.codec).1;
        // Lengths instead of start codes, parameter sets in the header.
        match info.codec {
            VideoCodec::H264 => output.make_mut().set("stream-format", "avc"),
            VideoCodec::H265 => output.make_mut().set("stream-format", "hvc1"),
            VideoCodec::Av1 => {}
        }
        let (intake, gate, path, described) = (self.intake.clone(), self.gate.clone(), self.path.clone(), info.clone());
        let on_sample: OnSample = Arc::new(move |sample, stamp, _| {
            let mut intake = intake.lock();
            take_picture(&mut intake, &described, sample, stamp, &path).map_err(|error| {
                gate.open();
                tracing::error!("{error}");
                intake.fail(error).to_string()
            })
        });
        let middle = vec![runtime::make(parser)?];
        let layout = Layout { input, middle, output, rate_hz: rate_hz(info), reorder: 0, newest_wins: false };
        Ok(PictureStage { stage: Stamped::start(layout, on_sample)?, info: info.clone() })
    }

    fn stopped(&self, reason: String) -> RecordError {
        self.failure().unwrap_or_else(|| RecordError::Mux { path: self.path.clone(), reason })
    }

    /// Writes what is left and closes the file. Units that come later are left out.
    ///
    /// # Errors
    /// Nothing was recorded (the empty file is removed), writing stopped on the way, or it was finished before.
    pub fn finish(&self) -> Result<RecordSummary, RecordError> {
        self.gate.open();
        let stage = {
            // Under the lock of the stage, so that no other one is started.
            let mut stage = self.stage.lock();
            if std::mem::replace(&mut *self.finished.lock(), true) {
                return Err(self.stopped("it is finished already".into()));
            }
            stage.take()
        };
        let drained = stage.map_or(Ok(()), |stage| stage.stage.drain(DRAIN).map_err(|reason| self.stopped(reason)));
        let mut intake = self.intake.lock();
        if let Some(failure) = intake.failure() {
            return Err(failure.clone());
        }
        drained?;
        let counts = intake.finish()?.ok_or_else(|| RecordError::Nothing(self.path.clone()))?;
        let Counts { frames, sound_packets, sound_skipped, end_ns } = counts;
        Ok(RecordSummary {
            path: self.path.clone(),
            frames,
            skipped: self.skipped.load(Ordering::Relaxed),
            sound_packets,
            sound_skipped,
            bytes: intake.written(),
            duration: Duration::from_nanos(end_ns),
        })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let finished = *self.finished.lock();
        if !finished
            && let Err(error) = self.finish()
            && !matches!(error, RecordError::Nothing(_))
        {
            tracing::warn!("{error}");
        }
    }
}

/// Takes a parsed picture, and how it is decoded from the first one.
fn take_picture(
    intake: &mut Intake,
    info: &Arc<StreamInfo>,
    sample: &gst::Sample,
    stamp: FrameStamp,
    path: &Path,
) -> Result<(), RecordError> {
    let wrong = |reason: &str| RecordError::Mux { path: path.into(), reason: reason.into() };
    let buffer = sample.buffer_owned().ok_or_else(|| wrong("the parser gave a sample without a buffer"))?;
    let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
    let mapped = buffer.into_mapped_buffer_readable().map_err(|_| wrong("the parser's output cannot be read"))?;
    let mut data = Bytes::from_owner(mapped);
    if info.codec == VideoCodec::Av1 && data.starts_with(&[0x12, 0]) {
        // Files have no temporal delimiters (AV1 codec ISO media file format binding §2.4).
        data = data.slice(2..);
    }
    if !intake.has_pictures() {
        let config = if info.codec == VideoCodec::Av1 {
            av1_configuration(&data)
        } else {
            let structure = sample.caps().and_then(|caps| caps.structure(0));
            let config = structure.and_then(|structure| structure.get::<gst::Buffer>("codec_data").ok());
            config.and_then(|config| config.map_readable().ok().map(|config| config.to_vec()))
        };
        let config = config.ok_or_else(|| wrong("it does not say how it is decoded"))?;
        intake.describe_pictures(PictureTrack { info: info.clone(), config });
    }
    intake.picture(stamp, key, data)
}
