//! What the viewer's program wants of the renditions, and which one it gets.

use super::quality::{Offer, QualityChooser, QualityRoom, StreamQuality};
use crate::catalog::VideoTrack;
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc};
use studio_frame::prelude::*;
use tokio::sync::Notify;

/// Tracks that cannot be decoded and are remembered.
const UNDECODABLE: usize = 64;

/// A session so old has named all its renditions, in seconds.
const NAMED_AFTER_S: f64 = 3.0;

/// The rendition that is received.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendition {
    /// Its track's name.
    pub track: String,
    /// What is on it.
    pub info: Arc<StreamInfo>,
    /// How many renditions there are to choose from.
    pub of: usize,
}

#[derive(Default)]
struct State {
    wanted: StreamQuality,
    /// Whether it was said that what is wanted by name is not there.
    is_missing: bool,
    wanted_px: Option<f64>,
    undecodable: BTreeSet<String>,
    /// The track to receive: that which is received, or is gone over to.
    target: Option<String>,
    received: Option<Rendition>,
    offered: Vec<VideoTrack>,
}

/// Shared by the subscriber's thread and its owner.
#[derive(Default)]
pub(super) struct Selection {
    state: Mutex<State>,
    changed: Notify,
}

impl Selection {
    pub(super) fn new(wanted: StreamQuality) -> Self {
        Self { state: Mutex::new(State { wanted, ..State::default() }), changed: Notify::new() }
    }

    pub(super) fn set_wanted(&self, wanted: StreamQuality) {
        let mut state = self.state.lock();
        if state.wanted != wanted {
            (state.wanted, state.is_missing) = (wanted, false);
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(super) fn set_wanted_px(&self, wanted_px: Option<f64>) {
        self.state.lock().wanted_px = wanted_px.filter(|px| *px > 0.0);
    }

    pub(super) fn cannot_decode(&self, track: &str) {
        let mut state = self.state.lock();
        if state.undecodable.len() < UNDECODABLE && state.undecodable.insert(track.to_owned()) {
            drop(state);
            self.changed.notify_one();
        }
    }

    pub(super) fn received(&self) -> Option<Rendition> {
        self.state.lock().received.clone()
    }

    pub(super) fn offered(&self) -> Vec<VideoTrack> {
        self.state.lock().offered.clone()
    }

    pub(super) fn target(&self) -> Option<String> {
        self.state.lock().target.clone()
    }

    /// Waits until something else is wanted.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Another session: its tracks have other names.
    pub(super) fn restart(&self) {
        let mut state = self.state.lock();
        (state.target, state.received) = (None, None);
        state.undecodable.clear();
        state.offered.clear();
    }

    /// Chooses the track to receive of those that are offered, without those in `over`.
    pub(super) fn choose(
        &self,
        chooser: &mut QualityChooser,
        offered: &[VideoTrack],
        over: &BTreeSet<String>,
        wanted_bps: Option<f64>,
        now_s: f64,
    ) -> Option<String> {
        let mut state = self.state.lock();
        let preferred = offered.first().map_or("", |video| video.track.as_str());
        let there = || offered.iter().filter(|video| !over.contains(&video.track));
        // If none can be decoded, that of the first says why.
        let any = there().any(|video| !state.undecodable.contains(&video.track));
        let offers: Vec<Offer<'_>> = there()
            .filter(|video| !any || !state.undecodable.contains(&video.track))
            .map(|video| Offer { track: &video.track, bitrate_bps: f64::from(video.info.bitrate_bps), size: video.info.size })
            .collect();
        let room = QualityRoom { wanted_bps, wanted_px: state.wanted_px.unwrap_or(f64::INFINITY) };
        let target = chooser.choose(&state.wanted, &offers, preferred, room, now_s);
        if let StreamQuality::Named(name) = &state.wanted
            && !state.is_missing
            && now_s > NAMED_AFTER_S
            && !offers.is_empty()
            && !offers.iter().any(|offer| offer.is_named(name))
        {
            let there: Vec<String> = offers.iter().map(|offer| format!("{}x{}", offer.size.x, offer.size.y)).collect();
            tracing::warn!(
                "the stream has no rendition “{name:.40}”, so the one that fits best is received: there are {}",
                there.join(", ")
            );
            state.is_missing = true;
        }
        state.target.clone_from(&target);
        state.offered = offered.to_vec();
        target
    }

    /// Notes what is received.
    pub(super) fn note(&self, track: Option<&str>) {
        let mut state = self.state.lock();
        let of = state.offered.len();
        let found = track.and_then(|name| state.offered.iter().find(|video| video.track == name));
        let received = found.map(|video| Rendition { track: video.track.clone(), info: Arc::new(video.info.clone()), of });
        if received.is_some() || track.is_none() {
            state.received = received;
        }
    }
}
