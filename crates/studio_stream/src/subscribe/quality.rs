//! Which rendition of a stream a viewer receives.
//!
//! Chosen anew once a second. A rendition that makes more than the viewer believes that it can take is left at once, for the
//! largest that it can; one that shows the view no more than the next smaller would, likewise. The next larger one is taken
//! when it has fitted for a while with room to spare. One that had to be left is tried again later, each time later than the
//! time before: who goes up and down each minute sees that. The page chooses by the same rules, held to them by
//! `web/test/vectors/quality.json`.

use bevy::prelude::*;
use core::{convert::Infallible, str::FromStr};
use std::collections::BTreeMap;

/// A larger rendition is only taken when so many times its bit rate fit.
const ROOM: f64 = 1.25;
/// Seconds for which it must have fitted.
const CALM_S: u32 = 8;
/// Seconds until a rendition that did not fit is tried again: the first time, and at most.
const AGAIN_S: [f64; 2] = [15.0, 240.0];
/// A rendition that fails within so many times that wait of its last failure is waited for twice as long.
const SOON: f64 = 4.0;
/// A picture that is so many times as wide as the view needs is more than enough.
const WASTE: f64 = 1.5;

/// What a viewer wants of the renditions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Reflect)]
#[reflect(Default)]
pub enum StreamQuality {
    /// The largest that the path and the decoder can take and that the view has use for.
    #[default]
    Auto,
    /// The one with the lowest bit rate.
    Low,
    /// The one with the highest bit rate.
    High,
    /// The one of this size, such as `1280x640`, or on the track of this name. Where there is none: as `Auto`.
    Named(String),
}

impl FromStr for StreamQuality {
    type Err = Infallible;

    /// `auto`, `low`, `high`; any other word may be a rendition's name: which there are, the stream tells.
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "auto" => Self::Auto,
            "low" => Self::Low,
            "high" => Self::High,
            name => Self::Named(name.to_owned()),
        })
    }
}

/// A rendition that is offered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offer<'a> {
    /// Its track's name.
    pub track: &'a str,
    /// The bit rate that it has at present.
    pub bitrate_bps: f64,
    /// Its pictures' size in pixels.
    pub size: UVec2,
}

impl Offer<'_> {
    pub(super) fn is_named(&self, name: &str) -> bool {
        self.track == name
            || name
                .split_once(['x', '×'])
                .is_some_and(|(width, height)| width.parse() == Ok(self.size.x) && height.parse() == Ok(self.size.y))
    }
}

/// What the choice depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityRoom {
    /// What the viewer believes that it can take, in bits a second; none where nothing says that it is little.
    pub wanted_bps: Option<f64>,
    /// Pixels across that the view needs of the whole picture; infinite where that is not known.
    pub wanted_px: f64,
}

#[derive(Clone, Copy, Debug)]
struct Failure {
    at_s: f64,
    wait_s: f64,
}

/// Chooses among renditions.
#[derive(Clone, Debug, Default)]
pub struct QualityChooser {
    chosen: Option<String>,
    calm_s: u32,
    failures: BTreeMap<String, Failure>,
}

impl QualityChooser {
    /// Another stream: nothing is known of its renditions.
    pub fn restart(&mut self) {
        *self = Self::default();
    }

    /// The track to receive, of those `offered`; none if there are none. To be asked once a second, `now_s` by one steady clock,
    /// and whenever what is offered changes. `preferred` is the studio's own choice, to begin with.
    pub fn choose(
        &mut self,
        wanted: &StreamQuality,
        offered: &[Offer<'_>],
        preferred: &str,
        room: QualityRoom,
        now_s: f64,
    ) -> Option<String> {
        let mut order = offered.to_vec();
        order.sort_by(|a, b| a.bitrate_bps.total_cmp(&b.bitrate_bps).then(a.size.x.cmp(&b.size.x)));
        self.failures.retain(|track, _| order.iter().any(|offer| offer.track == *track));
        let by_hand = match wanted {
            StreamQuality::Auto => None,
            StreamQuality::Low => order.first(),
            StreamQuality::High => order.last(),
            StreamQuality::Named(name) => order.iter().find(|offer| offer.is_named(name)),
        };
        let chosen = match by_hand {
            Some(offer) => {
                self.calm_s = 0;
                Some(offer.track)
            }
            None => self.automatic(&order, preferred, room, now_s),
        };
        self.chosen = chosen.map(str::to_owned);
        self.chosen.clone()
    }

    fn automatic<'a>(
        &mut self,
        order: &[Offer<'a>],
        preferred: &str,
        QualityRoom { wanted_bps, wanted_px }: QualityRoom,
        now_s: f64,
    ) -> Option<&'a str> {
        let place = |track: &str| order.iter().position(|offer| offer.track == track);
        // One that is gone says nothing of the others.
        let present = self.chosen.as_deref().and_then(place);
        let mut at = present.or_else(|| place(preferred)).or(order.len().checked_sub(1))?;
        if let Some(wanted_bps) = wanted_bps
            && at > 0
            && wanted_bps < order[at].bitrate_bps
        {
            self.note_failure(order[at].track, now_s);
            while at > 0 && order[at].bitrate_bps > wanted_bps {
                at -= 1;
            }
            self.calm_s = 0;
            return Some(order[at].track);
        }
        if at > 0 && f64::from(order[at - 1].size.x) >= wanted_px * WASTE {
            while at > 0 && f64::from(order[at - 1].size.x) >= wanted_px * WASTE {
                at -= 1;
            }
            self.calm_s = 0;
            return Some(order[at].track);
        }
        let better = order.get(at + 1).is_some_and(|next| {
            let useful = f64::from(order[at].size.x) < wanted_px;
            let fits = wanted_bps.is_none_or(|wanted_bps| next.bitrate_bps * ROOM < wanted_bps);
            let again = self.failures.get(next.track).is_none_or(|failure| now_s - failure.at_s > failure.wait_s);
            useful && fits && again
        });
        self.calm_s = if better { self.calm_s + 1 } else { 0 };
        if self.calm_s >= CALM_S {
            self.calm_s = 0;
            at += 1;
        }
        Some(order[at].track)
    }

    fn note_failure(&mut self, track: &str, now_s: f64) {
        let [first_s, most_s] = AGAIN_S;
        let before = self.failures.get(track).filter(|before| now_s - before.at_s < before.wait_s * SOON);
        let wait_s = before.map_or(first_s, |before| (before.wait_s * 2.0).min(most_s));
        self.failures.insert(track.to_owned(), Failure { at_s: now_s, wait_s });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::check_vectors;
    use serde_json::{Value, json};

    const LADDER: [(&str, f64, u32); 3] = [("video.0", 8e6, 3840), ("video.1", 3e6, 1920), ("video.2", 1e6, 960)];

    fn offers(ladder: &[(&'static str, f64, u32)]) -> Vec<Offer<'static>> {
        ladder
            .iter()
            .map(|(track, bitrate_bps, x)| Offer { track, bitrate_bps: *bitrate_bps, size: UVec2::new(*x, x / 2) })
            .collect()
    }

    struct Case {
        chooser: QualityChooser,
        wanted: StreamQuality,
        preferred: &'static str,
        now_s: f64,
        ladders: Vec<Value>,
        steps: Vec<Value>,
        chosen: Vec<String>,
    }

    impl Case {
        fn new(preferred: &'static str, wanted: StreamQuality) -> Self {
            Self {
                chooser: QualityChooser::default(),
                wanted,
                preferred,
                now_s: 100.0,
                ladders: Vec::new(),
                steps: Vec::new(),
                chosen: Vec::new(),
            }
        }

        /// So many seconds under one condition.
        fn seconds(
            &mut self,
            seconds: u32,
            ladder: &[(&'static str, f64, u32)],
            wanted_bps: Option<f64>,
            wanted_px: f64,
        ) -> &mut Self {
            for _ in 0..seconds {
                let offered = offers(ladder);
                let room = QualityRoom { wanted_bps, wanted_px };
                let chosen = self.chooser.choose(&self.wanted, &offered, self.preferred, room, self.now_s);
                let tracks =
                    json!(offered.iter().map(|offer| (offer.track, offer.bitrate_bps, offer.size.x)).collect::<Vec<_>>());
                let ladder = self.ladders.iter().position(|known| *known == tracks).unwrap_or_else(|| {
                    self.ladders.push(tracks);
                    self.ladders.len() - 1
                });
                let wanted_px = wanted_px.is_finite().then_some(wanted_px);
                self.steps.push(json!([self.now_s, ladder, wanted_bps, wanted_px, chosen]));
                self.chosen.push(chosen.unwrap_or_default());
                self.now_s += 1.0;
            }
            self
        }

        fn finish(&self, name: &str) -> Value {
            json!({ "name": name, "preferred": self.preferred, "ladders": self.ladders, "steps": self.steps })
        }

        /// How long each one was received.
        fn runs(&self) -> Vec<(&str, usize)> {
            self.chosen.chunk_by(|a, b| a == b).map(|run| (run[0].as_str(), run.len())).collect()
        }
    }

    #[test]
    fn the_vectors_are_what_is_chosen_here() {
        let auto = || StreamQuality::Auto;
        let all = f64::INFINITY;
        let mut wide = Case::new("video.0", auto());
        wide.seconds(20, &LADDER, None, all);
        assert_eq!(wide.runs(), [("video.0", 20)]);

        let mut narrow = Case::new("video.0", auto());
        narrow.seconds(5, &LADDER, None, all).seconds(1, &LADDER, Some(3.4e6), all).seconds(60, &LADDER, None, all);
        assert_eq!(
            narrow.runs(),
            [("video.0", 5), ("video.1", 15 + 8), ("video.0", 38)],
            "tried again after 15 s, and 8 of calm"
        );

        let mut again = Case::new("video.0", auto());
        for _ in 0..4 {
            // It never fits: each try is later than the one before.
            again.seconds(2, &LADDER, Some(3.4e6), all).seconds(138, &LADDER, None, all);
        }
        let mut flapping = Case::new("video.0", auto());
        for _ in 0..200 {
            let low = flapping.chosen.last().is_some_and(|chosen| chosen == "video.0");
            flapping.seconds(1, &LADDER[..2], low.then_some(3.4e6), all);
        }
        let tries: Vec<usize> =
            flapping.runs().iter().filter(|(track, _)| *track == "video.1").map(|(_, seconds)| *seconds).collect();
        assert!(tries.len() <= 5 && tries[..tries.len() - 1].is_sorted_by(|a, b| a < b), "{tries:?}");

        let mut steps = Case::new("video.0", auto());
        steps.seconds(2, &LADDER, Some(0.5e6), all).seconds(30, &LADDER, Some(2e6), all).seconds(30, &LADDER, Some(4e6), all);
        assert_eq!(steps.runs(), [("video.2", 32 + 7), ("video.1", 23)], "one step up, with room; the largest has none");

        let mut phone = Case::new("video.0", auto());
        phone.seconds(5, &LADDER, None, 600.0).seconds(20, &LADDER, None, 1500.0).seconds(20, &LADDER, None, 2000.0);
        assert_eq!(phone.runs(), [("video.2", 5 + 7), ("video.1", 13 + 7), ("video.0", 13)], "no more than is seen");

        let mut gone = Case::new("video.1", auto());
        gone.seconds(3, &LADDER, Some(1.5e6), all)
            .seconds(3, &LADDER[..2], Some(1.5e6), all)
            .seconds(3, &LADDER[..1], None, all)
            .seconds(2, &[], None, all)
            .seconds(3, &LADDER, None, all);
        assert_eq!(gone.runs(), [("video.2", 3), ("video.1", 3), ("video.0", 3), ("", 2), ("video.1", 3)]);

        let mut alike = Case::new("b", auto());
        let same: [(&str, f64, u32); 3] = [("c", 2e6, 1920), ("a", 2e6, 1280), ("b", 0.0, 1280)];
        alike.seconds(12, &same, None, all).seconds(12, &same, Some(1e6), all);
        let cases = [
            wide.finish("there is room for all"),
            narrow.finish("narrow for a second"),
            again.finish("narrow again and again"),
            flapping.finish("the largest never fits"),
            steps.finish("very narrow, then wider"),
            phone.finish("a small view that grows"),
            gone.finish("renditions come and go"),
            alike.finish("equal bit rates, and one that is not known"),
        ];
        check_vectors("quality.json", &cases);
    }

    #[test]
    fn by_hand_it_is_what_was_asked_for_and_nothing_that_is_not_there() {
        let room = QualityRoom { wanted_bps: Some(0.5e6), wanted_px: 100.0 };
        let chosen = |wanted: StreamQuality| {
            QualityChooser::default().choose(&wanted, &offers(&LADDER), "video.0", room, 0.0).unwrap_or_default()
        };
        let named = |name: &str| StreamQuality::Named(name.into());
        assert_eq!([chosen(StreamQuality::High), chosen(StreamQuality::Low)], ["video.0", "video.2"]);
        assert_eq!([chosen(named("1920x960")), chosen(named("video.0"))], ["video.1", "video.0"]);
        assert_eq!([chosen(named("x")), chosen(named("../../etc"))], ["video.2", "video.2"], "as automatic");
    }
}
