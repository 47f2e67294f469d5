//! Places pictures and sound on the time line of the file, and writes them fragment by fragment.

use super::{
    Expected, RecordError,
    disk::Disk,
    frame_ns,
    matroska::Matroska,
    mp4::Mp4,
    track::{Fragment, PICTURE_TICKS_HZ, Patch, PictureTrack, Sample, SoundTrack, Tracks},
};
use bytes::Bytes;
use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};
use studio_frame::prelude::*;

/// The longest fragment, and so what a crash may cost at most. Every key frame starts a new one, too.
const FRAGMENT: Duration = Duration::from_millis(500);
/// The same for AV1 in MP4: its fragments start at key frames only. Players on GStreamer 1.22 guess another frame rate for
/// each fragment, start their AV1 parser anew and lose what comes in front of the next key frame: so one picture instead
/// of up to half a second.
const AV1_FRAGMENT: Duration = Duration::from_secs(10);
/// How long pictures wait for the first sound, which the header has to describe. Longer than pictures may be ahead offline: one that is
/// just as far ahead may be here before the first sound.
const FIRST_SOUND: Duration = super::gate::AHEAD.saturating_add(Duration::from_millis(100));
/// The most that is held in memory: of pictures while the first sound is waited for, of sound while the first picture is.
const MAX_HELD_BYTES: usize = 64 << 20;
/// Packets of sound that are held live while the first picture is waited for: 10 s of Opus.
const MAX_HELD_PACKETS: usize = 500;
/// How long sound waits for the second picture, and with it for the first fragment.
const LONGEST_START: Duration = Duration::from_secs(10);
/// A difference to where sound should lie that is left as it is: clocks tremble.
const TREMBLE_MS: u32 = 20;
/// A clock that is further off than this has been set anew.
const JUMP_NS: i128 = 200_000_000;
/// Over how many units a source's clock is followed.
const FOLLOW: i128 = 64;

/// Where a source's time line lies on the clock that all share: `captured_at` minus `pts`, smoothed.
#[derive(Clone, Copy, Default)]
struct Zero(Option<i128>);

impl Zero {
    fn follow(&mut self, stamp: FrameStamp) -> i128 {
        let seen = i128::from(stamp.captured_at.0) - i128::from(stamp.pts.0);
        let zero = match self.0 {
            Some(zero) if (seen - zero).abs() < JUMP_NS => zero + (seen - zero) / FOLLOW,
            _ => seen,
        };
        self.0 = Some(zero);
        zero
    }
}

enum Layout {
    Mp4(Mp4),
    Matroska(Matroska),
}

impl Layout {
    fn fragment(&mut self, fragment: &Fragment) -> Vec<u8> {
        match self {
            Self::Mp4(mp4) => mp4.fragment(fragment),
            Self::Matroska(matroska) => matroska.fragment(fragment),
        }
    }

    fn length(&self, length_ns: u64) -> Patch {
        match self {
            Self::Mp4(mp4) => mp4.length(length_ns),
            Self::Matroska(matroska) => matroska.length(length_ns),
        }
    }

    fn has_sound(&self) -> bool {
        let tracks = match self {
            Self::Mp4(mp4) => mp4.tracks(),
            Self::Matroska(matroska) => matroska.tracks(),
        };
        tracks.sound.is_some()
    }
}

/// What became of the recording's units.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub frames: u64,
    pub sound_packets: u64,
    pub sound_skipped: u64,
    /// Where the file ends, in nanoseconds.
    pub end_ns: u64,
}

/// Everything between the codecs and the disk. Used by several threads, one at a time; nothing in here waits but the disk.
pub(super) struct Intake {
    disk: Disk,
    matroska: bool,
    expected: Expected,
    tracks: Tracks,
    /// Once the header is written.
    layout: Option<Layout>,
    fragment: Fragment,
    /// The newest picture, whose length the next one tells.
    newest: Option<Sample>,
    held: VecDeque<AccessUnit>,
    /// `pts` of the unit that the file begins with.
    first_pts: Option<MediaTime>,
    picture_zero: Zero,
    sound_zero: Zero,
    /// Where the sound has come to, in ticks.
    sound_end: Option<u64>,
    counts: Counts,
    failure: Option<RecordError>,
}

fn ticks_of(ns: u64, ticks_hz: u32) -> u64 {
    ((u128::from(ns) * u128::from(ticks_hz) + 500_000_000) / 1_000_000_000) as u64
}

fn ns_of(ticks: u64, ticks_hz: u32) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(ticks_hz)) as u64
}

fn bytes_of<'a>(data: impl Iterator<Item = &'a Bytes>) -> usize {
    data.map(Bytes::len).sum()
}

impl Intake {
    pub fn new(disk: Disk, matroska: bool, expected: Expected) -> Self {
        Self {
            disk,
            matroska,
            expected,
            tracks: Tracks::default(),
            layout: None,
            fragment: Fragment::default(),
            newest: None,
            held: VecDeque::new(),
            first_pts: None,
            picture_zero: Zero::default(),
            sound_zero: Zero::default(),
            sound_end: None,
            counts: Counts::default(),
            failure: None,
        }
    }

    pub fn failure(&self) -> Option<&RecordError> {
        self.failure.as_ref()
    }

    /// Notes why recording stopped, unless it stopped before.
    pub fn fail(&mut self, error: RecordError) -> RecordError {
        self.failure.get_or_insert(error).clone()
    }

    fn mux(&self, reason: impl Into<String>) -> RecordError {
        RecordError::Mux { path: self.path(), reason: reason.into() }
    }

    fn path(&self) -> PathBuf {
        self.disk.path().to_owned()
    }

    pub fn written(&self) -> u64 {
        self.disk.written()
    }

    /// Whether a picture's track is known.
    pub fn has_pictures(&self) -> bool {
        self.tracks.pictures.is_some()
    }

    /// Says how the pictures are decoded, before the first one.
    pub fn describe_pictures(&mut self, track: PictureTrack) {
        self.tracks.pictures = Some(track);
    }

    /// Says how sound is decoded. Sound whose description comes too late is not recorded.
    pub fn describe_sound(&mut self, info: &Arc<AudioStreamInfo>) -> Result<(), RecordError> {
        match &self.tracks.sound {
            Some(track) if track.info == *info => Ok(()),
            Some(_) => Err(RecordError::Changed { path: self.path(), what: "the sound" }),
            None => {
                self.tracks.sound = Some(SoundTrack::new(info.clone()).map_err(|reason| self.mux(reason))?);
                Ok(())
            }
        }
    }

    /// Takes the next picture.
    pub fn picture(&mut self, stamp: FrameStamp, key: bool, data: Bytes) -> Result<(), RecordError> {
        let Some(frame) = self.tracks.pictures.as_ref().map(|track| frame_ns(&track.info)) else { return Ok(()) };
        self.picture_zero.follow(stamp);
        let is_first = self.first_pts.is_none();
        let first = *self.first_pts.get_or_insert(stamp.pts);
        let mut time = ticks_of(stamp.pts.0.saturating_sub(first.0), PICTURE_TICKS_HZ);
        if let Some(mut before) = self.newest.take() {
            // A millisecond apart at least: Matroska's clock is no finer.
            time = time.max(before.time + u64::from(PICTURE_TICKS_HZ / 1000));
            before.ticks = u32::try_from(time - before.time).unwrap_or(u32::MAX);
            self.fragment.pictures.push(before);
            self.write_if_due(time, key)?;
        }
        self.newest = Some(Sample { time, ticks: ticks_of(frame, PICTURE_TICKS_HZ) as u32, key, data });
        self.counts.frames += 1;
        self.counts.end_ns = self.counts.end_ns.max(ns_of(time, PICTURE_TICKS_HZ) + frame);
        if is_first {
            for unit in std::mem::take(&mut self.held) {
                self.place_sound(&unit)?;
            }
        }
        Ok(())
    }

    /// Writes the fragment in front of a picture at `time` if it is long enough.
    fn write_if_due(&mut self, time: u64, key: bool) -> Result<(), RecordError> {
        let Some(first) = self.fragment.pictures.first() else { return Ok(()) };
        let lasts = Duration::from_nanos(ns_of(time - first.time, PICTURE_TICKS_HZ));
        let waits_for_sound = self.layout.is_none() && self.expected.sound && self.tracks.sound.is_none();
        if waits_for_sound {
            let held = bytes_of(self.fragment.pictures.iter().map(|sample| &sample.data));
            if lasts < FIRST_SOUND && held < MAX_HELD_BYTES {
                return Ok(());
            }
            tracing::warn!("{}: no sound came in time, so the file has none", self.disk.path().display());
        }
        let is_av1 = self.tracks.pictures.as_ref().is_some_and(|track| track.info.codec == VideoCodec::Av1);
        let longest = if is_av1 && !self.matroska { AV1_FRAGMENT } else { FRAGMENT };
        if key || lasts >= longest { self.write() } else { Ok(()) }
    }

    /// Takes the next packet of sound.
    pub fn sound(&mut self, unit: &AccessUnit) -> Result<(), RecordError> {
        if self.layout.as_ref().is_some_and(|layout| !layout.has_sound()) {
            self.counts.sound_skipped += 1;
            return Ok(());
        }
        if self.expected.pictures && self.first_pts.is_none() {
            return self.hold(unit);
        }
        self.place_sound(unit)
    }

    /// Keeps sound until the first picture says where the file begins.
    fn hold(&mut self, unit: &AccessUnit) -> Result<(), RecordError> {
        self.held.push_back(unit.clone());
        if self.expected.policy == QueuePolicy::NewestWins {
            while self.held.len() > MAX_HELD_PACKETS {
                self.held.pop_front();
                self.counts.sound_skipped += 1;
            }
        }
        if bytes_of(self.held.iter().map(|unit| &unit.data)) > MAX_HELD_BYTES {
            return Err(self.mux(format!("no key frame came while {} MiB of sound waited for it", MAX_HELD_BYTES >> 20)));
        }
        Ok(())
    }

    fn place_sound(&mut self, unit: &AccessUnit) -> Result<(), RecordError> {
        let Some(track) = &self.tracks.sound else { return Ok(()) };
        let ticks_hz = track.ticks_hz();
        let ticks = track.packet_ticks(&unit.data).ok_or_else(|| self.mux("a packet of sound cannot be read"))?;
        let sound_zero = self.sound_zero.follow(unit.stamp);
        let first = i128::from(self.first_pts.get_or_insert(unit.stamp.pts).0);
        // Alone, sound lies on its own time line.
        let zero = self.picture_zero.0.unwrap_or(sound_zero);
        let wanted_ns = i128::from(unit.stamp.pts.0) + sound_zero - zero - first;
        let wanted = (wanted_ns * i128::from(ticks_hz) + 500_000_000).div_euclid(1_000_000_000);
        // A decoder's first samples lie in front of the time line's zero, which the container makes up for. An encoder's first
        // packet, whose stamp is that of the first sample behind them, begins that much earlier.
        let lead = if unit.stamp.frame_id == 0 { 0 } else { i128::from(track.skip) };
        let wanted = if wanted < 0 { wanted } else { wanted + lead };
        let tremble = i128::from(ticks_hz / 1000 * TREMBLE_MS);
        let time = match self.sound_end {
            Some(end) if (wanted - i128::from(end)).abs() <= tremble => Some(end),
            Some(end) if wanted < i128::from(end) => None,
            _ => u64::try_from(wanted).ok(),
        };
        let Some(time) = time else {
            self.counts.sound_skipped += 1;
            return Ok(());
        };
        self.fragment.sound.push(Sample { time, ticks, key: true, data: unit.data.clone() });
        let end = time + u64::from(ticks);
        self.sound_end = Some(end);
        self.counts.sound_packets += 1;
        self.counts.end_ns = self.counts.end_ns.max(ns_of(end, ticks_hz));
        self.write_sound_if_due(ticks_hz)
    }

    /// Pictures say when a fragment ends. Where none come, or none come any more, the sound goes on alone.
    fn write_sound_if_due(&mut self, ticks_hz: u32) -> Result<(), RecordError> {
        let longest = match (self.expected.pictures, &self.layout) {
            (false, _) => FRAGMENT,
            (true, Some(_)) => 2 * FRAGMENT,
            // Readers of Matroska take the first block for the start of the file, so that is a picture.
            (true, None) => LONGEST_START,
        };
        let [Some(first), Some(last)] = [self.fragment.sound.first(), self.fragment.sound.last()] else { return Ok(()) };
        if ns_of(last.time - first.time, ticks_hz) < longest.as_nanos() as u64 {
            return Ok(());
        }
        let pictures = std::mem::take(&mut self.fragment.pictures);
        let outcome = self.write();
        self.fragment.pictures = pictures;
        outcome
    }

    /// Writes what there is, behind the header.
    fn write(&mut self) -> Result<(), RecordError> {
        let layout = match &mut self.layout {
            Some(layout) => layout,
            none => {
                let tracks = self.tracks.clone();
                let (layout, header) = if self.matroska {
                    let (matroska, header) = Matroska::new(tracks);
                    (Layout::Matroska(matroska), header)
                } else {
                    let (mp4, header) = Mp4::new(tracks);
                    (Layout::Mp4(mp4), header)
                };
                self.disk.append(&header)?;
                none.insert(layout)
            }
        };
        let fragment = std::mem::take(&mut self.fragment);
        if fragment.is_empty() { Ok(()) } else { self.disk.append(&layout.fragment(&fragment)) }
    }

    /// Writes what is left and says what the file holds; `None` if that is nothing, and the file is gone.
    pub fn finish(&mut self) -> Result<Option<Counts>, RecordError> {
        self.fragment.pictures.extend(self.newest.take());
        if self.counts.frames + self.counts.sound_packets == 0 {
            self.disk.remove();
            return Ok(None);
        }
        self.write()?;
        let Some(layout) = &self.layout else { return Ok(None) };
        self.disk.close(&layout.length(self.counts.end_ns))?;
        Ok(Some(self.counts))
    }
}
