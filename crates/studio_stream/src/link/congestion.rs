//! Congestion control for live media: it listens to delay, and to loss only where there is very much of it.
//!
//! Radio loses packets by chance, and jitter lets them overtake each other. A control that takes each loss for a full path (Cubic,
//! Reno) falls to some hundred kilobits a second at 1 %, and BBR as QUIC's libraries have it still slows down for a round trip
//! after each. But a path that is full makes packets wait before it loses any. So the window follows the queue: the fastest packet
//! of a round trip against the fastest of the last ten seconds. That is the principle of TCP Vegas (Brakmo, Peterson, 1995), with
//! the filters of LEDBAT (RFC 6817 §3.4.2, base delay) and a target between the two: the encoder behind this window is told by the
//! viewers to lower its rate at much the same queue.

use core::time::Duration;
use std::{any::Any, collections::VecDeque, sync::Arc, time::Instant};
use wtransport::quinn::congestion::{Controller, ControllerFactory};

/// The queue that is aimed at is this, or this share of the fastest round trip where that is longer.
const QUEUE: Duration = Duration::from_millis(50);
const QUEUE_SHARE: f64 = 0.5;
/// Beyond this share of lost bytes in some round trips the path is full, whatever the delay: its queue is a short one.
const LOSS_SHARE: f64 = 0.15;
/// Loss is looked at over so many bytes at least: few packets say little.
const LOSS_BYTES: u64 = 48 * 1200;
/// How long the fastest round trip counts.
const BASE: Duration = Duration::from_secs(10);
/// Packets in flight that are always allowed. Few, or a narrow path with a short queue loses what exceeds the two for ever.
const LEAST_PACKETS: u64 = 4;
/// Those at the start, a key frame of a small stream, and where a path has to be got to know again.
const FIRST_PACKETS: u64 = 48;
const AGAIN_PACKETS: u64 = 12;
/// A round trip lasts at least this long here, so that it has some packets.
const LEAST_ROUND: Duration = Duration::from_millis(10);
const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// Packets whose time of sending is remembered.
const SENT_KEPT: usize = 8192;
/// How the window changes in a round trip: where too much waits or is lost, where very much waits, where neither is so. The first is
/// enough to empty a queue now and then: one that is always there would be taken for the path.
const DOWN: f64 = 0.8;
const DOWN_AT_MOST: f64 = 0.5;
const UP: f64 = 1.15;
/// And where the queue is less than a quarter of what is aimed at: a path that has become wide again is soon in use.
const UP_WHERE_FREE: f64 = 1.5;
const UP_AT_FIRST: f64 = 2.0;

/// The window of one connection.
#[derive(Clone, Debug)]
struct LiveControl {
    mtu: u64,
    window: u64,
    /// The fastest round trips of this and the last half of [`BASE`].
    base: [Option<Duration>; 2],
    base_since: Instant,
    round_since: Instant,
    round_fastest: Option<Duration>,
    sent: u64,
    lost: u64,
    /// Bytes whose fate this round told, and those of them that were lost.
    told: u64,
    round_lost: u64,
    /// Whether too much was lost when it was looked at last.
    lossy: bool,
    /// Numbers of the packets on their way, when they left, and their bytes.
    sent_at: VecDeque<(u64, Instant, u64)>,
    /// Whether the window, and not the sender, ended what was sent in this round.
    window_limited: bool,
    /// Until the first sign of a full path.
    at_first: bool,
}

/// Makes [`LiveControl`]s.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LiveControlFactory;

impl ControllerFactory for LiveControlFactory {
    fn build(self: Arc<Self>, now: Instant, current_mtu: u16) -> Box<dyn Controller> {
        Box::new(LiveControl::new(now, current_mtu))
    }
}

impl LiveControl {
    fn new(now: Instant, mtu: u16) -> Self {
        let mtu = u64::from(mtu);
        Self {
            mtu,
            window: FIRST_PACKETS * mtu,
            base: [None; 2],
            base_since: now,
            round_since: now,
            round_fastest: None,
            sent: 0,
            lost: 0,
            told: 0,
            round_lost: 0,
            lossy: false,
            sent_at: VecDeque::new(),
            window_limited: false,
            at_first: true,
        }
    }

    fn fastest(&self) -> Option<Duration> {
        self.base.iter().flatten().min().copied()
    }

    fn note(&mut self, round_trip: Duration, now: Instant) {
        if now.saturating_duration_since(self.base_since) > BASE / 2 {
            self.base = [None, self.base[0]];
            self.base_since = now;
        }
        let sooner = |known: Option<Duration>| Some(known.map_or(round_trip, |known| known.min(round_trip)));
        self.base[0] = sooner(self.base[0]);
        self.round_fastest = sooner(self.round_fastest);
    }

    /// A round trip is over: the window follows what it told.
    fn end_round(&mut self, now: Instant) {
        let (Some(fastest), Some(round)) = (self.fastest(), self.round_fastest) else { return };
        if now.saturating_duration_since(self.round_since) < round.max(LEAST_ROUND) {
            return;
        }
        let target = QUEUE.max(fastest.mul_f64(QUEUE_SHARE));
        let queue = round.saturating_sub(fastest);
        let looked_at_loss = self.sent >= LOSS_BYTES;
        if looked_at_loss {
            self.lossy = self.lost as f64 > self.sent as f64 * LOSS_SHARE;
        }
        let full = looked_at_loss && self.lossy;
        // A window that holds nothing back is not what makes others wait; and a busy machine answers late, too. But where so much
        // is lost, the window may well be so large that a full path never fills it: what is lost is sent again and again. What
        // came through says how much there is room for.
        if full || (self.window_limited && queue > target) {
            self.at_first = false;
            if full {
                self.scale(DOWN);
                let lasted = now.saturating_duration_since(self.round_since).max(LEAST_ROUND);
                let came = self.told.saturating_sub(self.round_lost);
                let room = came as f64 * (fastest + target).as_secs_f64() / lasted.as_secs_f64();
                self.window = self.window.min(room as u64);
                self.scale(1.0);
            } else {
                // The window that would have waited no longer than is aimed at (FAST TCP: Wei, Jin, Low, Hegde, 2006).
                self.scale(((fastest + target).as_secs_f64() / round.as_secs_f64()).clamp(DOWN_AT_MOST, DOWN));
            }
        } else if self.window_limited && !self.lossy {
            self.scale(if self.at_first {
                UP_AT_FIRST
            } else if queue < target / 4 {
                UP_WHERE_FREE
            } else {
                UP
            });
        }
        if looked_at_loss {
            (self.sent, self.lost) = (0, 0);
        }
        (self.round_since, self.round_fastest, self.window_limited) = (now, None, false);
        (self.told, self.round_lost) = (0, 0);
    }

    fn scale(&mut self, by: f64) {
        self.window = ((self.window as f64 * by) as u64).clamp(LEAST_PACKETS * self.mtu, MOST_BYTES);
    }
}

impl Controller for LiveControl {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.sent += bytes;
        if self.sent_at.back().is_some_and(|(last, ..)| *last >= last_packet_number) {
            // Numbers begin anew with each of the handshake's steps.
            self.sent_at.clear();
        }
        if self.sent_at.len() == SENT_KEPT {
            self.sent_at.pop_front();
        }
        self.sent_at.push_back((last_packet_number, now, bytes));
    }

    fn on_end_acks(&mut self, now: Instant, _in_flight: u64, app_limited: bool, largest: Option<u64>) {
        self.window_limited |= !app_limited;
        let Some(largest) = largest else { return };
        let at = self.sent_at.partition_point(|(number, ..)| *number < largest);
        if let Some((_, sent, _)) = self.sent_at.get(at).copied().filter(|(number, ..)| *number == largest) {
            self.told += self.sent_at.drain(..=at).map(|(.., bytes)| bytes).sum::<u64>();
            self.note(now.saturating_duration_since(sent), now);
            self.end_round(now);
        }
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, persistent: bool, lost_bytes: u64) {
        self.lost += lost_bytes;
        self.round_lost += lost_bytes;
        if persistent {
            // Nothing came through for a while. What was known of the path is old.
            self.at_first = true;
            self.window = AGAIN_PACKETS * self.mtu;
            (self.sent, self.lost, self.lossy) = (0, 0, false);
        }
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.mtu = u64::from(new_mtu);
        self.scale(1.0);
    }

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        FIRST_PACKETS * self.mtu
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1200;

    /// Seconds of a sender that always has something, over a path of `rate_bps` and 60 ms with a queue of 300 ms; every
    /// `lost_every`th packet is lost. Returns what came through in bits a second, and the mean queue of the last third.
    fn run(control: &mut LiveControl, start: Instant, seconds: u64, rate_bps: f64, lost_every: u64) -> (f64, Duration) {
        let (mut busy, mut number, mut in_flight, mut delivered) = (start, 0_u64, 0_u64, 0_u64);
        let (settled, mut queues) = (start + Duration::from_secs(seconds) * 2 / 3, Vec::new());
        let mut flying: VecDeque<(u64, Instant)> = VecDeque::new();
        let mut now = start;
        while now < start + Duration::from_secs(seconds) {
            now += Duration::from_millis(1);
            while let Some((packet, _)) = flying.front().copied().filter(|(_, back)| *back <= now) {
                flying.pop_front();
                in_flight -= PACKET;
                if packet.is_multiple_of(lost_every) {
                    control.on_congestion_event(now, now, false, PACKET);
                } else {
                    delivered += PACKET;
                    control.on_end_acks(now, in_flight, false, Some(packet));
                }
            }
            while in_flight + PACKET <= control.window() {
                number += 1;
                control.on_sent(now, PACKET, number);
                busy = busy.max(now) + Duration::from_secs_f64(PACKET as f64 * 8.0 / rate_bps);
                if now >= settled {
                    queues.push(busy - now);
                }
                flying.push_back((number, busy + Duration::from_millis(60)));
                in_flight += PACKET;
            }
        }
        (delivered as f64 * 8.0 / seconds as f64, queues.iter().sum::<Duration>() / queues.len() as u32)
    }

    #[test]
    fn chance_losses_leave_the_path_in_use_and_a_queue_does_not_grow() {
        for (lost_every, least) in [(u64::MAX, 0.8), (50, 0.8), (20, 0.75)] {
            let start = Instant::now();
            let mut control = LiveControl::new(start, 1200);
            let (bps, queue) = run(&mut control, start, 20, 10e6, lost_every);
            assert!(bps > 10e6 * least, "{bps} bit/s of 10 million, one in {lost_every} lost");
            assert!(queue < Duration::from_millis(120), "{queue:?}, one in {lost_every} lost");
        }
    }

    #[test]
    fn a_path_that_becomes_narrow_has_a_short_queue_soon() {
        let start = Instant::now();
        let mut control = LiveControl::new(start, 1200);
        run(&mut control, start, 5, 20e6, u64::MAX);
        let (_, queue) = run(&mut control, start + Duration::from_secs(5), 12, 0.8e6, u64::MAX);
        assert!(queue < Duration::from_millis(120), "{queue:?}");
    }

    #[test]
    fn a_path_that_loses_every_fourth_packet_is_full() {
        let start = Instant::now();
        let mut control = LiveControl::new(start, 1200);
        run(&mut control, start, 5, 50e6, 4);
        assert_eq!(control.window(), LEAST_PACKETS * PACKET);
    }

    #[test]
    fn a_connection_that_broke_off_begins_anew() {
        let start = Instant::now();
        let mut control = LiveControl::new(start, 1200);
        run(&mut control, start, 5, 50e6, u64::MAX);
        control.on_congestion_event(start, start, true, PACKET);
        assert!(control.window() < control.initial_window());
    }
}
