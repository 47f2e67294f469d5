//! The renditions of the picture: each a track of its own, with its own groups and key frames.

use super::{PublishError, tracks::timestamp};
use crate::wire::unit::{MAX_UNIT_BYTES, encode_unit};
use core::time::Duration;
use moq_net::{broadcast, group, track};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use studio_frame::prelude::*;

/// Renditions of one picture at most.
pub const MAX_RENDITIONS: usize = 4;
/// A group longer than this gets a key frame asked for: late joiners must catch up with all of it.
const LONG_GROUP_FRAMES: usize = 600;
/// Likewise by size; the protocol's own limit is twice this.
const LONG_GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Key frames are not asked for more often than this.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(250);

/// Asks for key frames, not too often.
#[derive(Default)]
pub(super) struct KeyFrames(Mutex<(bool, Option<Instant>)>);

impl KeyFrames {
    pub(super) fn request(&self) {
        self.0.lock().0 = true;
    }

    pub(super) fn take(&self) -> bool {
        let mut state = self.0.lock();
        let (wanted, last) = &mut *state;
        let now = Instant::now();
        let take = *wanted && last.is_none_or(|last| now - last >= KEY_FRAME_INTERVAL);
        if take {
            (*wanted, *last) = (false, Some(now));
        }
        take
    }
}

/// Which track carries which rendition, and the wishes of those who watch it. Shared by the tracks and the sessions.
#[derive(Default)]
pub(super) struct Renditions {
    key_frames: [Arc<KeyFrames>; MAX_RENDITIONS],
    tracks: Mutex<[Option<Arc<str>>; MAX_RENDITIONS]>,
}

impl Renditions {
    pub(super) fn key_frames(&self, rendition: usize) -> Option<&Arc<KeyFrames>> {
        self.key_frames.get(rendition)
    }

    pub(super) fn set_track(&self, rendition: usize, track: Option<&str>) {
        if let Some(slot) = self.tracks.lock().get_mut(rendition) {
            *slot = track.map(Arc::from);
        }
    }

    /// The rendition that a viewer means: that on the track it names or, where it names none, the one that is preferred.
    /// Viewers may name anything: what is no track, or is one no more, is no rendition.
    pub(super) fn meant(&self, track: Option<&str>) -> Option<usize> {
        let tracks = self.tracks.lock();
        match track {
            Some(name) => tracks.iter().position(|track| track.as_deref() == Some(name)),
            None => tracks.iter().position(Option::is_some),
        }
    }

    /// Asks for a key frame of the rendition that a viewer means.
    pub(super) fn request_key_frame(&self, track: Option<&str>) {
        if let Some(key_frames) = self.meant(track).and_then(|rendition| self.key_frames(rendition)) {
            key_frames.request();
        }
    }
}

struct Group {
    producer: group::Producer,
    frames: usize,
    bytes: usize,
}

/// What became of a coded picture.
pub(super) enum Written {
    /// It was published: so many bytes, as the first of a group or not.
    Bytes { bytes: usize, begins_group: bool },
    /// There was no key frame in front of it.
    Dropped,
}

/// One rendition's track.
pub(super) struct Video {
    track: track::Producer,
    group: Option<Group>,
    key_frames: Arc<KeyFrames>,
}

impl Video {
    /// Makes the track `name`. Whoever comes to it when nobody was there gets a key frame made. Runs inside of the publisher's
    /// runtime.
    pub(super) fn create(
        broadcast: &broadcast::Producer,
        name: String,
        info: track::Info,
        key_frames: Arc<KeyFrames>,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, PublishError> {
        let track = broadcast.create_track(name, info)?;
        let (demand, wished) = (track.demand(), key_frames.clone());
        // Ends with the track.
        runtime.spawn(async move {
            while demand.used().await.is_ok() {
                wished.request();
                if demand.unused().await.is_err() {
                    return;
                }
            }
        });
        key_frames.request();
        Ok(Self { track, group: None, key_frames })
    }

    /// Whether anybody receives it.
    pub(super) fn is_watched(&self) -> bool {
        self.track.is_used()
    }

    pub(super) fn send(&mut self, unit: &AccessUnit) -> Result<Written, PublishError> {
        if unit.data.len() > MAX_UNIT_BYTES {
            return Err(PublishError::UnitTooLarge(unit.data.len()));
        }
        let frame = encode_unit(unit, UnixTime::now());
        if unit.key_frame {
            if let Some(old) = self.group.take() {
                // The group may have been evicted already; then nobody waits for its end.
                let _ = old.producer.finish();
            }
            self.group = Some(Group { producer: self.track.append_group()?, frames: 0, bytes: 0 });
        }
        let Some(group) = &mut self.group else {
            self.key_frames.request();
            return Ok(Written::Dropped);
        };
        let bytes = frame.len();
        if let Err(error) = group.producer.write_frame(timestamp(unit.stamp.pts.as_micros())?, frame) {
            // Without this unit the rest of the group cannot be decoded.
            self.group = None;
            self.key_frames.request();
            return Err(error.into());
        }
        group.frames += 1;
        group.bytes += bytes;
        if group.frames >= LONG_GROUP_FRAMES || group.bytes >= LONG_GROUP_BYTES {
            self.key_frames.request();
        }
        Ok(Written::Bytes { bytes, begins_group: unit.key_frame })
    }

    pub(super) fn finish(self) {
        // Errors say that the track ended by itself.
        if let Some(group) = self.group {
            let _ = group.producer.finish();
        }
        let _ = self.track.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_joining_viewers_asks_for_one_key_frame() {
        let key_frames = KeyFrames::default();
        assert!(!key_frames.take());
        (0..100).for_each(|_| key_frames.request());
        assert!(key_frames.take());
        key_frames.request();
        assert!(!key_frames.take(), "not so soon after the one before");
        std::thread::sleep(KEY_FRAME_INTERVAL);
        assert!(key_frames.take(), "but not forgotten");
    }

    #[test]
    fn a_wish_reaches_the_rendition_that_the_viewer_names_and_no_other() {
        let renditions = Renditions::default();
        assert_eq!(renditions.meant(None), None);
        renditions.set_track(1, Some("video.3"));
        renditions.set_track(2, Some("video.1"));
        renditions.set_track(MAX_RENDITIONS, Some("video.9"));
        let meant = [None, Some("video.1"), Some("video.3"), Some("video.9"), Some(""), Some("../../x")]
            .map(|track| renditions.meant(track));
        assert_eq!(meant, [Some(1), Some(2), Some(1), None, None, None]);
        renditions.request_key_frame(Some("video.1"));
        renditions.request_key_frame(Some("nothing"));
        let taken: Vec<_> = (0..MAX_RENDITIONS).map(|at| renditions.key_frames(at).is_some_and(|wishes| wishes.take())).collect();
        assert_eq!(taken, [false, false, true, false]);
    }
}
