//! The sound of a stream input: decoded, held as long as the pictures take, handed on.
//!
//! Sound is decoded and ready long before the picture that was captured with it is. So the delay of the pictures, from
//! capture to where they leave the stream input, is measured, and each block of sound leaves when it is as old. A median
//! makes one late picture no reason to move the sound, and what remains is followed so slowly that the output's own buffer
//! takes it without a crackle.

use crate::receive::{LOOK_AROUND, ReceiverState};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use studio_frame::{prelude::*, queue::ReceiveError};
use studio_graph::prelude::*;
use studio_media::audio::AudioDecoder;
use studio_stream::subscribe::{ReceivedSound, Subscriber};

/// Pictures that the delay is taken from: half a second of them.
const WINDOW: usize = 15;
/// Decoded blocks that may be held; the newest win.
const BLOCKS: usize = 128;
/// How far the hold follows the pictures' delay with one block: a twentieth of the length of Opus' blocks.
const FOLLOW_NS: i64 = 1_000_000;
/// A delay that differs by more is another one, and taken at once.
const JUMP_NS: i64 = 100_000_000;
/// The longest hold that is believed: beyond, the publisher's clock runs ahead of its own pictures.
const LONGEST: Duration = Duration::from_secs(5);
/// How long sound waits for the first picture to learn the delay from.
const FIRST_PICTURE: Duration = Duration::from_millis(500);
/// How often a waiting block looks whether it is still to be held.
const LOOK: Duration = Duration::from_millis(20);

/// How old pictures are when they are shown; written with each picture, read with each block of sound. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct PictureDelay(Arc<Mutex<DelayState>>);

#[derive(Default)]
struct DelayState {
    /// The latest ones, in nanoseconds. Negative where the publisher's clock is ahead of this machine's.
    recent: VecDeque<i64>,
    expected: bool,
}

impl PictureDelay {
    /// Says that pictures come, though none was shown yet.
    pub fn expect(&self) {
        self.0.lock().expected = true;
    }

    /// Forgets what was measured: another session is another clock.
    pub fn restart(&self) {
        self.0.lock().recent.clear();
    }

    /// Notes that a picture is shown `ahead` from now.
    pub fn note(&self, captured_at: UnixTime, ahead: Duration) {
        let shown = UnixTime::now().0.saturating_add(ahead.as_nanos() as u64);
        let mut state = self.0.lock();
        if state.recent.len() == WINDOW {
            state.recent.pop_front();
        }
        state.recent.push_back(shown.wrapping_sub(captured_at.0) as i64);
    }

    /// The median of the latest delays, in nanoseconds; none before the first picture.
    pub fn median_ns(&self) -> Option<i64> {
        let mut sorted: Vec<i64> = self.0.lock().recent.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }

    fn is_awaited(&self) -> bool {
        let state = self.0.lock();
        state.expected && state.recent.is_empty()
    }
}

/// The delay that sound is held for, following that of the pictures.
#[derive(Default)]
struct Hold(Option<i64>);

impl Hold {
    /// One step towards the pictures' delay.
    fn follow(&mut self, target_ns: i64) -> i64 {
        let present = self.0.unwrap_or(target_ns);
        let missing = target_ns.saturating_sub(present);
        let next = if missing.saturating_abs() > JUMP_NS { target_ns } else { present + missing.clamp(-FOLLOW_NS, FOLLOW_NS) };
        *self.0.insert(next)
    }
}

struct Decoded {
    block: AudioBlock,
    since: Instant,
}

/// Starts the threads that decode a stream's sound and hand it on; they end when `stop` is set.
///
/// # Errors
/// A thread cannot be started.
pub(crate) fn start(
    subscriber: Arc<Subscriber>,
    bus: AudioBus,
    delay: PictureDelay,
    state: Arc<Mutex<ReceiverState>>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<[JoinHandle<()>; 2]> {
    let (blocks_in, blocks) = queue(BLOCKS, QueuePolicy::NewestWins);
    let (stopped, reset) = (stop.clone(), delay.clone());
    let mut decoding = Decoding { blocks: blocks_in, delay: reset, state, decoder: None, session: None };
    let decode = move || {
        while !stopped.load(Ordering::Acquire) {
            match subscriber.audio().recv_timeout(LOOK_AROUND) {
                Ok(received) => decoding.take(&received),
                Err(ReceiveError::Empty) => {}
                Err(ReceiveError::Closed) => return,
            }
        }
    };
    let decoder = thread::Builder::new().name("stream sound".to_owned()).spawn(decode)?;
    let release =
        thread::Builder::new().name("stream sound out".to_owned()).spawn(move || release(&blocks, &bus, &delay, &stop))?;
    Ok([decoder, release])
}

struct Decoding {
    blocks: QueueSender<Decoded>,
    delay: PictureDelay,
    state: Arc<Mutex<ReceiverState>>,
    /// `None` in it: this sound cannot be decoded.
    decoder: Option<(Option<AudioDecoder>, Arc<AudioStreamInfo>)>,
    session: Option<u64>,
}

impl Decoding {
    fn take(&mut self, received: &ReceivedSound) {
        if self.session.replace(received.session).is_some_and(|session| session != received.session) {
            self.decoder = None;
            self.delay.restart();
        }
        // A new bit rate alone needs no new decoder.
        let same = |present: &AudioStreamInfo| {
            AudioStreamInfo { bitrate_bps: received.info.bitrate_bps, ..present.clone() } == *received.info
        };
        if self.decoder.as_ref().is_none_or(|(_, present)| !same(present)) {
            // What the old one still holds is let out first.
            if let Some((Some(old), _)) = self.decoder.take() {
                old.finish();
            }
            self.decoder = Some((self.open(&received.info), received.info.clone()));
        }
        let Some((Some(decoder), _)) = &self.decoder else { return };
        if let Err(error) = decoder.push(&received.unit) {
            self.say(error.to_string());
            self.decoder = Some((None, received.info.clone()));
        }
    }

    fn open(&self, info: &AudioStreamInfo) -> Option<AudioDecoder> {
        let blocks = self.blocks.clone();
        let hold = move |block: AudioBlock| {
            blocks.send(Decoded { block, since: Instant::now() });
        };
        // The thread has nothing else to do than to wait, and the subscriber's queue is bounded.
        match AudioDecoder::new(info, QueuePolicy::Block, hold) {
            Ok(decoder) => {
                let AudioFormat { rate_hz, channels } = info.format;
                self.state.lock().sound =
                    format!("{:?}, {:.1} kHz, {channels} channels", info.codec, f64::from(rate_hz) / 1000.0);
                Some(decoder)
            }
            Err(error) => {
                self.say(error.to_string());
                None
            }
        }
    }

    /// Pictures go on without sound, so this is no failure of the node.
    fn say(&self, error: String) {
        bevy::log::warn!("{error}");
        self.state.lock().sound = error;
    }
}

/// Hands blocks on when they are as old as the pictures.
fn release(blocks: &QueueReceiver<Decoded>, bus: &AudioBus, delay: &PictureDelay, stop: &AtomicBool) {
    let mut hold = Hold::default();
    while !stop.load(Ordering::Acquire) {
        let Decoded { block, since } = match blocks.recv_timeout(LOOK_AROUND) {
            Ok(decoded) => decoded,
            Err(ReceiveError::Empty) => continue,
            Err(ReceiveError::Closed) => return,
        };
        while delay.is_awaited() && since.elapsed() < FIRST_PICTURE && !stop.load(Ordering::Acquire) {
            thread::sleep(LOOK / 4);
        }
        if let Some(target_ns) = delay.median_ns() {
            let age_ns = hold.follow(target_ns);
            while let Some(wait) = wait(block.stamp.captured_at, age_ns, UnixTime::now()) {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                thread::sleep(wait.min(LOOK));
            }
        }
        bus.set_info(block.format());
        bus.publish(&block);
    }
}

/// How long it is until what was captured then is so old; none if it is.
fn wait(captured_at: UnixTime, age_ns: i64, now: UnixTime) -> Option<Duration> {
    let due = i128::from(captured_at.0) + i128::from(age_ns);
    let wait = u64::try_from(due - i128::from(now.0)).ok().filter(|wait| *wait > 0).map(Duration::from_nanos)?;
    (wait <= LONGEST).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn one_late_picture_does_not_move_the_sound() {
        let delay = PictureDelay::default();
        assert_eq!(delay.median_ns(), None);
        for late_ms in [80, 80, 900, 81, 79, 80, 10, 80] {
            delay.note(UnixTime(UnixTime::now().0 - late_ms * 1_000_000), Duration::ZERO);
        }
        let median = delay.median_ns().expect("pictures came");
        assert!((79 * MS..90 * MS).contains(&median), "{median} ns");
        // A publisher whose clock is ahead.
        delay.restart();
        delay.note(UnixTime(UnixTime::now().0 + 3_000_000_000), Duration::from_millis(15));
        let median = delay.median_ns().expect("pictures came");
        assert!((-2_986 * MS..-2_900 * MS).contains(&median), "{median} ns");
    }

    #[test]
    fn the_hold_follows_slowly_and_jumps_where_all_is_new() {
        let mut hold = Hold::default();
        assert_eq!(hold.follow(80 * MS), 80 * MS, "the first is taken as it is");
        assert_eq!((hold.follow(100 * MS), hold.follow(100 * MS)), (81 * MS, 82 * MS));
        assert_eq!(hold.follow(1000 * MS), 1000 * MS);
        assert_eq!(hold.follow(i64::MIN), i64::MIN, "whatever a stranger's stamps say");
    }

    #[test]
    fn a_stamp_of_the_far_future_holds_nothing_up() {
        let now = UnixTime(10_000_000_000);
        assert_eq!(wait(UnixTime(9_900_000_000), 150 * MS, now), Some(Duration::from_millis(50)));
        assert_eq!(wait(UnixTime(9_900_000_000), 100 * MS, now), None);
        assert_eq!(wait(UnixTime(u64::MAX), i64::MAX, now), None);
        assert_eq!(wait(UnixTime(0), i64::MIN, now), None);
    }
}
