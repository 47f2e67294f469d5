//! How much a viewer believes it can take.
//!
//! What tells is delay before loss: a path that is full makes everything wait, long before it drops. So of each second the
//! fastest quarter of the units is looked at (chance losses hit single units and delay those only), and by how much it is slower
//! than the fastest of the last half minute: the queue. A queue, groups that had to be skipped, or a decoder that is behind lower
//! the rate to 85 % of what came; from then on a second without raises it by 8 %. A viewer that never had to lower it, or that is
//! far above what comes again, has no opinion: an encoder that makes little of a simple picture says nothing of the path. That is
//! the shape of the delay-based controllers for interactive media (Google Congestion Control, draft-ietf-rmcat-gcc-02; RFC 8298),
//! with thresholds of whole milliseconds instead of a filter, since units and not packets are seen here.

use std::collections::VecDeque;

/// Queueing that is too much.
const QUEUE_HIGH_MS: f64 = 60.0;
/// Queueing up to which there may be room for more.
const QUEUE_LOW_MS: f64 = 25.0;
/// What is left of the bits that came when it was too much.
const DOWN: f64 = 0.85;
/// How the rate rises in a second.
const UP: f64 = 1.08;
/// So many times what comes are no limit any more.
const NO_LIMIT: f64 = 4.0;
/// After it was lowered, the queue gets so long to empty.
const PATIENCE_S: f64 = 1.5;
/// Seconds that the fastest unit is remembered.
const BASELINE_SECONDS: usize = 30;
/// Units of a second that are looked at, at most.
const UNITS: usize = 1024;
/// Coded pictures that wait for the decoder, beyond which it is behind.
const DECODER_BEHIND: u64 = 12;
/// The least that is ever said.
const LEAST_BPS: f64 = 50_000.0;

/// What was seen since the last estimate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Bits received a second.
    pub(super) received_bps: f64,
    /// Groups that were skipped or broke off, so far.
    pub(super) groups_skipped: u64,
    /// Coded pictures that wait for the decoder.
    pub(super) waiting: u64,
}

/// Estimates it once a second.
#[derive(Default)]
pub(super) struct WantedRate {
    delays_ms: Vec<f64>,
    fastest_ms: VecDeque<f64>,
    wanted_bps: Option<f64>,
    lowered_at_s: Option<f64>,
    queue_ms: f64,
    groups_skipped: u64,
    seconds: u32,
}

impl WantedRate {
    /// Notes a unit's time on the way; the clocks' difference may be in it.
    pub(super) fn note(&mut self, delay_ms: f64) {
        if self.delays_ms.len() < UNITS {
            self.delays_ms.push(delay_ms);
        }
    }

    /// How long the units of the last second waited on the way.
    pub(super) fn queue_ms(&self) -> f64 {
        self.queue_ms
    }

    /// The estimate as it is.
    pub(super) fn wanted_bps(&self) -> Option<f64> {
        self.wanted_bps
    }

    /// The estimate, once a second, `now_s` by one steady clock. None where there is no reason to believe in a limit.
    pub(super) fn update(&mut self, seen: Seen, now_s: f64) -> Option<f64> {
        let skipped = seen.groups_skipped > self.groups_skipped;
        self.groups_skipped = seen.groups_skipped;
        self.delays_ms.sort_unstable_by(f64::total_cmp);
        let quarter = self.delays_ms.get(self.delays_ms.len() / 4).copied();
        let fastest = self.delays_ms.first().copied();
        self.delays_ms.clear();
        let (Some(quarter), Some(fastest)) = (quarter, fastest) else { return self.wanted_bps };
        if self.fastest_ms.len() == BASELINE_SECONDS {
            self.fastest_ms.pop_front();
        }
        self.fastest_ms.push_back(fastest);
        let baseline = self.fastest_ms.iter().copied().fold(f64::INFINITY, f64::min);
        let queue_ms = quarter - baseline;
        self.queue_ms = queue_ms;
        self.seconds += 1;
        // A late joiner's first seconds bring the past.
        if self.seconds <= 2 {
            return None;
        }
        let wanted = self.wanted_bps.unwrap_or(seen.received_bps);
        let waits = self.lowered_at_s.is_some_and(|at_s| now_s - at_s < PATIENCE_S);
        let behind = seen.waiting > DECODER_BEHIND;
        if (skipped || behind || queue_ms > QUEUE_HIGH_MS) && !waits {
            self.lowered_at_s = Some(now_s);
            self.wanted_bps = Some(wanted.min(seen.received_bps * DOWN).max(LEAST_BPS));
        } else if self.wanted_bps.is_some() && queue_ms < QUEUE_LOW_MS && !skipped && !behind && !waits {
            self.wanted_bps = Some(wanted * UP).filter(|wanted| *wanted < seen.received_bps * NO_LIMIT);
        }
        self.wanted_bps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{Chance, check_vectors, rounded};
    use serde_json::json;

    /// Seconds of a path that carries `carries_bps`, with a sender that follows what is wanted.
    fn run(rate: &mut WantedRate, seconds: core::ops::Range<u32>, carries_bps: f64, queue_ms: &mut f64, sends: &mut f64) {
        for second in seconds {
            *queue_ms = (*queue_ms + (*sends / carries_bps - 1.0) * 1000.0).clamp(0.0, 400.0);
            for unit in 0..30 {
                rate.note(40.0 + *queue_ms + if unit % 7 == 0 { 80.0 } else { 0.0 });
            }
            let seen = Seen { received_bps: sends.min(carries_bps), ..Default::default() };
            *sends = rate.update(seen, f64::from(second)).unwrap_or(8e6).min(8e6);
        }
    }

    #[test]
    fn a_path_that_becomes_narrow_is_followed_down_and_up_again() {
        let mut rate = WantedRate::default();
        let (mut queue_ms, mut sends) = (0.0, 4e6);
        run(&mut rate, 0..10, 20e6, &mut queue_ms, &mut sends);
        assert!(sends == 8e6, "there is room for all: {sends}");
        run(&mut rate, 10..25, 2e6, &mut queue_ms, &mut sends);
        assert!((1e6..2.4e6).contains(&sends) && queue_ms < 150.0, "{sends} with a queue of {queue_ms} ms");
        run(&mut rate, 25..60, 20e6, &mut queue_ms, &mut sends);
        assert!(sends > 6e6, "and back: {sends}");
    }

    #[test]
    fn chance_losses_alone_are_no_reason() {
        let mut rate = WantedRate::default();
        let (mut queue_ms, mut sends) = (0.0, 4e6);
        run(&mut rate, 0..30, 1e9, &mut queue_ms, &mut sends);
        assert!(rate.wanted_bps.is_none(), "{:?}", rate.wanted_bps);
    }

    #[test]
    fn a_decoder_that_is_behind_and_skipped_groups_lower_it() {
        for seen in [Seen { waiting: 40, ..Default::default() }, Seen { groups_skipped: 1, ..Default::default() }] {
            let mut rate = WantedRate::default();
            let mut wanted = None;
            for second in 0..4 {
                rate.note(40.0);
                let now = if second == 3 { seen } else { Seen::default() };
                wanted = rate.update(Seen { received_bps: 4e6, ..now }, f64::from(second));
            }
            assert_eq!(wanted, Some(4e6 * DOWN));
        }
    }

    #[test]
    fn the_vectors_are_what_is_estimated_here() {
        let mut chance = Chance(0x0a11_0f17);
        let mut case = |name: &str, seconds: u32, of: &mut dyn FnMut(u32, &mut Chance) -> (Vec<f64>, Seen)| {
            let (mut rate, mut steps) = (WantedRate::default(), Vec::new());
            for second in 0..seconds {
                let (delays_ms, seen) = of(second, &mut chance);
                let delays_ms: Vec<f64> = delays_ms.into_iter().map(rounded).collect();
                delays_ms.iter().for_each(|delay_ms| rate.note(*delay_ms));
                let Seen { received_bps, groups_skipped, waiting } = seen;
                // A little more and less than a second, as timers have it.
                let now_s = rounded(50.0 + f64::from(second) * 1.01);
                let wanted_bps = rate.update(seen, now_s);
                steps.push(json!([now_s, delays_ms, received_bps, groups_skipped, waiting, wanted_bps]));
            }
            json!({ "name": name, "steps": steps })
        };
        let even = |count: u32, base_ms: f64, chance: &mut Chance| (0..count).map(|_| base_ms + chance.next() * 6.0).collect();
        let (mut queue_ms, mut sends_bps) = (0.0, 4e6);
        let cases = [
            case("an even path", 8, &mut |_, chance| (even(30, 40.0, chance), Seen { received_bps: 4e6, ..Default::default() })),
            case("chance losses", 8, &mut |_, chance| {
                let late = |index: usize, delay_ms: f64| if index.is_multiple_of(5) { delay_ms + 90.0 } else { delay_ms };
                let delays: Vec<f64> = even(30, 40.0, chance);
                (
                    delays.into_iter().enumerate().map(|(index, ms)| late(index, ms)).collect(),
                    Seen { received_bps: 4e6, ..Default::default() },
                )
            }),
            case("narrow for 8 s", 40, &mut |second, chance| {
                let carries_bps = if (6..14).contains(&second) { 1.5e6 } else { 20e6 };
                queue_ms = rounded((queue_ms + (sends_bps / carries_bps - 1.0) * 700.0_f64).clamp(0.0, 400.0));
                let received_bps = rounded(f64::min(sends_bps, carries_bps));
                // The studio follows with the second after.
                sends_bps = if (7..16).contains(&second) { 1.2e6 } else { 4e6 };
                (even(30, 35.0 + queue_ms, chance), Seen { received_bps, ..Default::default() })
            }),
            case("groups that are skipped, a decoder that is behind", 16, &mut |second, chance| {
                let groups_skipped = u64::from(second / 5);
                let waiting = if second == 13 { 40 } else { 2 };
                (even(15, 20.0, chance), Seen { received_bps: 3e6, groups_skipped, waiting })
            }),
            case("nothing comes for a while", 14, &mut |second, chance| {
                let silent = (5..9).contains(&second);
                let received_bps = if silent { 0.0 } else { 2e6 };
                let late_ms = if second == 9 { 120.0 } else { 0.0 };
                let delays = if silent { Vec::new() } else { even(30, 30.0 + late_ms, chance) };
                (delays, Seen { received_bps, groups_skipped: u64::from(second > 8), ..Default::default() })
            }),
            case("the fastest of half a minute ago counts no more", 50, &mut |second, chance| {
                let base_ms = if second < 5 { 30.0 } else { 130.0 };
                (even(4, base_ms, chance), Seen { received_bps: 1e6, ..Default::default() })
            }),
            case("almost nothing", 6, &mut |second, chance| {
                (even(2, if second < 3 { 10.0 } else { 500.0 }, chance), Seen { received_bps: 9_000.0, ..Default::default() })
            }),
        ];
        let json = check_vectors("rate.json", &cases);
        for wanted in [",null]", ",50000.0]"] {
            assert!(json.contains(wanted), "{wanted}");
        }
    }
}
