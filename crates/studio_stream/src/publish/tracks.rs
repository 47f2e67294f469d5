//! The broadcast: its catalog, the renditions of the picture, the sound, the motion tracks.

use super::{
    PublishError, PublisherConfig, PublisherStats,
    video::{MAX_RENDITIONS, Renditions, Video, Written},
};
use crate::{
    catalog::{AudioTrack, MotionTracks, StreamCatalog, VideoTrack},
    wire::unit::{MAX_AUDIO_UNIT_BYTES, encode_unit},
};
use bytes::Bytes;
use core::time::Duration;
use hang::catalog::{Catalog, PRIORITY};
use moq_net::{Timescale, Timestamp, broadcast, cache, origin, track};
use parking_lot::Mutex;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};
use studio_frame::prelude::*;
use tokio::sync::Notify;

/// Bytes that all cached groups may take; the newest group of a track is kept whatever it takes.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// How long a group that nobody reads is kept.
const CACHE_EXPIRY: Duration = Duration::from_secs(3);
/// Motion fields waiting to be coded.
const MOTION_QUEUE: usize = 2;
/// Tracks that a field's tiles are spread over. The protocol keeps 64 datagrams a track for readers that lag.
const TILE_TRACKS: usize = 2;
/// The coarse copy is small and fills gaps in what is shown next, so it goes before the video.
const COARSE_PRIORITY: u8 = PRIORITY.video + 10;

struct State {
    catalog: StreamCatalog,
    catalog_track: track::Producer,
    generation: u32,
    renditions: [Option<Rendition>; MAX_RENDITIONS],
    audio: Option<track::Producer>,
}

struct Rendition {
    described: VideoTrack,
    video: Video,
}

impl State {
    /// Lists the renditions: the first is the one that viewers begin with, and those that show the sphere in another way than it
    /// does cannot stand in for it.
    fn list_renditions(&mut self) {
        let described = || self.renditions.iter().flatten().map(|rendition| &rendition.described);
        let preferred = described().next().map(|track| track.info.clone());
        let listed =
            described().filter(|track| preferred.as_ref().is_some_and(|preferred| shows_the_same(&track.info, preferred)));
        self.catalog.renditions = listed.cloned().collect();
    }
}

#[derive(Default)]
struct Counters {
    access_units: AtomicU64,
    access_units_dropped: AtomicU64,
    access_unit_bytes: AtomicU64,
    groups: AtomicU64,
    audio_units: AtomicU64,
    audio_unit_bytes: AtomicU64,
    motion_fields: AtomicU64,
    motion_tiles: AtomicU64,
}

/// The tracks of one published stream.
pub(super) struct Tracks {
    origin: origin::Producer,
    broadcast: broadcast::Producer,
    started: Instant,
    max_age: Duration,
    state: Mutex<State>,
    tiles: Mutex<Vec<track::Producer>>,
    coarse: track::Producer,
    motion_in: QueueSender<MotionField>,
    motion_out: QueueReceiver<MotionField>,
    motion_ready: Arc<Notify>,
    renditions: Arc<Renditions>,
    runtime: tokio::runtime::Handle,
    counters: Counters,
}

fn tile_track(index: usize) -> String {
    format!("motion.{index}")
}

const COARSE_TRACK: &str = "motion.coarse";

fn add(counter: &AtomicU64, value: usize) {
    counter.fetch_add(value as u64, Ordering::Relaxed);
}

pub(super) fn timestamp(micros: u64) -> Result<Timestamp, moq_net::Error> {
    Timestamp::from_micros(micros).map_err(|_| moq_net::Error::TimestampMismatch)
}

impl Tracks {
    /// Makes and announces the broadcast. Runs inside of the publisher's runtime.
    pub(super) fn create(config: &PublisherConfig) -> Result<Self, PublishError> {
        let mut settings = origin::Config::default();
        settings.pool = cache::Pool::new(cache::Config::default().with_capacity(CACHE_BYTES).with_expiry(CACHE_EXPIRY));
        let (origin, driver) = origin::Producer::new(settings);
        tokio::spawn(moq_net::time::run(driver));
        let broadcast = origin.create_broadcast(config.name.as_str())?;
        let catalog_track = broadcast.create_track(Catalog::DEFAULT_NAME, Catalog::default_track_info())?;
        let motion_info = track::Info::default().with_timescale(Timescale::MICRO).with_max_age(config.max_age);
        let tiles = (0..TILE_TRACKS)
            .map(|index| broadcast.create_track(tile_track(index), motion_info.clone()))
            .collect::<Result<_, _>>()?;
        let coarse = broadcast.create_track(COARSE_TRACK, motion_info.with_priority(COARSE_PRIORITY))?;
        let (motion_in, motion_out) = queue(MOTION_QUEUE, QueuePolicy::NewestWins);
        let motion_ready = Arc::new(Notify::new());
        let wake = motion_ready.clone();
        motion_out.on_send(move || wake.notify_one());
        // Not a secret, only different from the session before: the standard library's hash keys are random.
        let catalog = StreamCatalog { session: RandomState::new().hash_one(UnixTime::now()), ..Default::default() };
        let tracks = Self {
            origin,
            broadcast,
            started: Instant::now(),
            max_age: config.max_age,
            state: Mutex::new(State { catalog, catalog_track, generation: 0, renditions: Default::default(), audio: None }),
            tiles: Mutex::new(tiles),
            coarse,
            motion_in,
            motion_out,
            motion_ready,
            renditions: Arc::default(),
            runtime: tokio::runtime::Handle::current(),
            counters: Counters::default(),
        };
        tracks.write_catalog(&tracks.state.lock())?;
        tracks.broadcast.announce(origin::Route::default())?;
        Ok(tracks)
    }

    pub(super) fn origin(&self) -> ServedOrigin {
        ServedOrigin { origin: self.origin.consume(), renditions: self.renditions.clone() }
    }

    pub(super) fn renditions(&self) -> &Renditions {
        &self.renditions
    }

    fn write_catalog(&self, state: &State) -> Result<(), PublishError> {
        let json = state.catalog.to_json()?;
        let now = timestamp(self.started.elapsed().as_micros() as u64)?;
        state.catalog_track.clone().write_frame(now, Bytes::from(json))?;
        Ok(())
    }

    pub(super) fn set_stream_info(&self, rendition: usize, info: StreamInfo) -> Result<(), PublishError> {
        let key_frames = self.renditions.key_frames(rendition).ok_or(PublishError::NoRendition(rendition))?.clone();
        let mut state = self.state.lock();
        let known = state.renditions[rendition].as_ref().map(|rendition| &rendition.described);
        if known.is_some_and(|known| known.info == info) {
            return Ok(());
        }
        if let Some(first) = state.renditions[..rendition].iter().flatten().next()
            && !shows_the_same(&info, &first.described.info)
        {
            return Err(PublishError::RenditionsDiffer(rendition));
        }
        // What a decoder does not care about changes on the same track.
        let same = known.filter(|known| {
            StreamInfo { bitrate_bps: info.bitrate_bps, frame_rate_hz: info.frame_rate_hz, ..known.info.clone() } == info
        });
        let track = same.map_or_else(|| format!("video.{}", state.generation), |known| known.track.clone());
        let same_decoder = same.is_some();
        let described = VideoTrack { track: track.clone(), info };
        // Refused before anything is changed.
        StreamCatalog { renditions: vec![described.clone()], ..Default::default() }.to_json()?;
        if same_decoder && let Some(present) = &mut state.renditions[rendition] {
            present.described = described;
        } else {
            let video =
                Video::create(&self.broadcast, track.clone(), self.track_info(PRIORITY.video), key_frames, &self.runtime)?;
            state.generation += 1;
            self.renditions.set_track(rendition, Some(&track));
            if let Some(old) = state.renditions[rendition].replace(Rendition { described, video }) {
                old.video.finish();
            }
        }
        state.list_renditions();
        self.write_catalog(&state)
    }

    pub(super) fn remove_rendition(&self, rendition: usize) -> Result<(), PublishError> {
        let mut state = self.state.lock();
        let Some(old) = state.renditions.get_mut(rendition).and_then(Option::take) else { return Ok(()) };
        self.renditions.set_track(rendition, None);
        state.list_renditions();
        // First the catalog, then the end: viewers know where to go on.
        let written = self.write_catalog(&state);
        old.video.finish();
        written
    }

    pub(super) fn send_access_unit(&self, rendition: usize, unit: &AccessUnit) -> Result<(), PublishError> {
        let mut state = self.state.lock();
        let slot = state.renditions.get_mut(rendition).ok_or(PublishError::NoRendition(rendition))?;
        let written = slot.as_mut().ok_or(PublishError::NotDescribed)?.video.send(unit);
        drop(state);
        match written {
            Ok(Written::Bytes { bytes, begins_group }) => {
                add(&self.counters.access_units, 1);
                add(&self.counters.access_unit_bytes, bytes);
                add(&self.counters.groups, begins_group.into());
                Ok(())
            }
            Ok(Written::Dropped) => {
                add(&self.counters.access_units_dropped, 1);
                Ok(())
            }
            Err(error) => {
                add(&self.counters.access_units_dropped, 1);
                Err(error)
            }
        }
    }

    pub(super) fn is_watched(&self, rendition: usize) -> bool {
        self.state.lock().renditions.get(rendition).is_some_and(|slot| slot.as_ref().is_some_and(|slot| slot.video.is_watched()))
    }

    fn track_info(&self, priority: u8) -> track::Info {
        track::Info::default().with_timescale(Timescale::MICRO).with_max_age(self.max_age).with_priority(priority)
    }

    pub(super) fn set_audio_info(&self, info: AudioStreamInfo) -> Result<(), PublishError> {
        let mut state = self.state.lock();
        let known = state.catalog.audio.as_ref().map(|audio| &audio.info);
        if known == Some(&info) {
            return Ok(());
        }
        let same_decoder = known.is_some_and(|known| AudioStreamInfo { bitrate_bps: info.bitrate_bps, ..known.clone() } == info);
        let before = state.catalog.clone();
        let track = match &before.audio {
            Some(audio) if same_decoder => audio.track.clone(),
            _ => format!("audio.{}", state.generation),
        };
        state.catalog.audio = Some(AudioTrack { track: track.clone(), info });
        if let Err(error) = state.catalog.to_json() {
            state.catalog = before;
            return Err(error.into());
        }
        if !same_decoder {
            let producer = self.broadcast.create_track(track, self.track_info(PRIORITY.audio))?;
            state.generation += 1;
            if let Some(old) = state.audio.replace(producer) {
                // An error says that the track ended by itself.
                let _ = old.finish();
            }
        }
        self.write_catalog(&state)
    }

    /// Each unit is a group of its own: decoding may start at any, and one that is lost on the way holds up no other.
    pub(super) fn send_audio(&self, unit: &AccessUnit) -> Result<(), PublishError> {
        if unit.data.len() > MAX_AUDIO_UNIT_BYTES {
            return Err(PublishError::AudioUnitTooLarge(unit.data.len()));
        }
        let frame = encode_unit(unit, UnixTime::now());
        let bytes = frame.len();
        let mut state = self.state.lock();
        let track = state.audio.as_mut().ok_or(PublishError::NotDescribed)?;
        track.write_frame(timestamp(unit.stamp.pts.as_micros())?, frame)?;
        drop(state);
        add(&self.counters.audio_units, 1);
        add(&self.counters.audio_unit_bytes, bytes);
        Ok(())
    }

    pub(super) fn send_motion(&self, field: MotionField) {
        self.motion_in.send(field);
    }

    /// The next motion field to code.
    pub(super) async fn next_motion(&self) -> MotionField {
        loop {
            let ready = self.motion_ready.notified();
            if let Ok(field) = self.motion_out.try_recv() {
                return field;
            }
            ready.await;
        }
    }

    /// Puts a coded field on its tracks: `tiles` as datagrams, `coarse` as a group of its own.
    pub(super) fn write_motion(&self, field: &MotionField, tiles: Vec<Bytes>, coarse: Bytes) -> Result<(), PublishError> {
        let pts = timestamp(field.stamp.pts.as_micros())?;
        self.describe_motion(field)?;
        add(&self.counters.motion_tiles, tiles.len());
        {
            let mut tracks = self.tiles.lock();
            let count = tracks.len();
            for (index, tile) in tiles.into_iter().enumerate() {
                tracks[index % count].append_datagram(pts, tile)?;
            }
        }
        self.coarse.clone().write_frame(pts, coarse)?;
        add(&self.counters.motion_fields, 1);
        Ok(())
    }

    fn describe_motion(&self, field: &MotionField) -> Result<(), PublishError> {
        let motion = MotionTracks {
            tiles: (0..TILE_TRACKS).map(tile_track).collect(),
            coarse: COARSE_TRACK.into(),
            grid: field.grid,
            picture_size: field.picture_size,
        };
        let mut state = self.state.lock();
        if state.catalog.motion.as_ref() != Some(&motion) {
            state.catalog.motion = Some(motion);
            self.write_catalog(&state)?;
        }
        Ok(())
    }

    /// Adds what is counted here.
    pub(super) fn stats(&self) -> PublisherStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PublisherStats {
            access_units: read(&self.counters.access_units),
            access_units_dropped: read(&self.counters.access_units_dropped),
            access_unit_bytes: read(&self.counters.access_unit_bytes),
            groups: read(&self.counters.groups),
            audio_units: read(&self.counters.audio_units),
            audio_unit_bytes: read(&self.counters.audio_unit_bytes),
            motion_fields: read(&self.counters.motion_fields),
            motion_fields_dropped: self.motion_in.dropped(),
            motion_tiles: read(&self.counters.motion_tiles),
            ..Default::default()
        }
    }

    /// Ends the tracks and the broadcast.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        for rendition in state.renditions.iter_mut().filter_map(Option::take) {
            rendition.video.finish();
        }
        if let Some(audio) = state.audio.take() {
            let _ = audio.finish();
        }
        drop(state);
        self.broadcast.close();
    }
}

/// Whether one picture may be shown for the other.
fn shows_the_same(one: &StreamInfo, other: &StreamInfo) -> bool {
    (one.projection, one.stereo, one.color) == (other.projection, other.stereo, other.color)
}

/// What the server needs of the tracks: the broadcasts to announce to viewers, and whom to tell that one joined.
#[derive(Clone)]
pub(super) struct ServedOrigin {
    pub(super) origin: origin::Consumer,
    pub(super) renditions: Arc<Renditions>,
}
