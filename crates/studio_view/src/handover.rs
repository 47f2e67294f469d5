//! One decoder follows another, and their pictures stay in order.
//!
//! Another rendition needs another decoder. The new one may have its first picture while the old one is still at its last: the
//! new one's wait for these.

use crate::playing::Decoded;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    thread,
};
use studio_frame::prelude::*;
use studio_media::decode::VideoDecoder;

/// Pictures that wait at most: an old decoder that takes longer than that is not waited for.
const WAITING: usize = 6;

struct State {
    next: u64,
    /// Decoders that are not over, oldest first.
    open: BTreeSet<u64>,
    waiting: Vec<(u64, Decoded)>,
    /// Frames that later ones refer to and that were shown already.
    decode_only: VecDeque<u64>,
}

/// Frames that are decoded and not shown, at most.
const DECODE_ONLY: usize = 64;

/// Lets the pictures of the oldest decoder through. Clones share it.
#[derive(Clone)]
pub(crate) struct DecoderGate {
    state: Arc<Mutex<State>>,
    frames: QueueSender<Decoded>,
}

impl DecoderGate {
    pub fn new(frames: QueueSender<Decoded>) -> Self {
        let state = State { next: 0, open: BTreeSet::new(), waiting: Vec::new(), decode_only: VecDeque::new() };
        Self { state: Arc::new(Mutex::new(state)), frames }
    }

    /// A number for a decoder that comes after those before.
    pub fn next_turn(&self) -> u64 {
        let mut state = self.state.lock();
        state.next += 1;
        let turn = state.next;
        state.open.insert(turn);
        turn
    }

    /// Notes a frame that is about to be decoded again, and is not to be shown again.
    pub fn decode_only(&self, frame_id: u64) {
        let mut state = self.state.lock();
        if state.decode_only.len() == DECODE_ONLY {
            state.decode_only.pop_front();
        }
        state.decode_only.push_back(frame_id);
    }

    /// Takes a picture of a decoder.
    pub fn send(&self, turn: u64, decoded: Decoded) {
        let mut state = self.state.lock();
        if !state.open.contains(&turn) {
            return;
        }
        let newest = state.open.last() == Some(&turn);
        let frame_id = decoded.frame.stamp.frame_id;
        if newest && let Some(at) = state.decode_only.iter().position(|only| *only == frame_id) {
            state.decode_only.remove(at);
            return;
        }
        state.waiting.push((turn, decoded));
        if state.waiting.len() > WAITING {
            // What takes so long is not shown any more.
            state.open.pop_first();
        }
        self.let_through(&mut state);
    }

    /// Notes that a decoder has no more pictures.
    pub fn over(&self, turn: u64) {
        let mut state = self.state.lock();
        state.open.remove(&turn);
        self.let_through(&mut state);
    }

    fn let_through(&self, state: &mut State) {
        let first = state.open.first().copied().unwrap_or(u64::MAX);
        let held = core::mem::take(&mut state.waiting);
        for (turn, decoded) in held {
            if turn <= first {
                self.frames.send(decoded);
            } else {
                state.waiting.push((turn, decoded));
            }
        }
    }
}

/// Decoders that still have pictures, each on a thread that waits for them.
#[derive(Default)]
pub(crate) struct Retired(Vec<thread::JoinHandle<()>>);

impl Retired {
    /// Waits for the last pictures of a decoder, elsewhere.
    pub fn finish(&mut self, decoder: VideoDecoder, turn: u64, gate: &DecoderGate) {
        self.0.retain(|thread| !thread.is_finished());
        let over = gate.clone();
        let finish = move || {
            decoder.finish();
            over.over(turn);
        };
        match thread::Builder::new().name("old decoder".to_owned()).spawn(finish) {
            Ok(thread) => self.0.push(thread),
            // The decoder went with the thread that was to be.
            Err(_) => gate.over(turn),
        }
    }
}

impl Drop for Retired {
    fn drop(&mut self) {
        for thread in self.0.drain(..) {
            if thread.join().is_err() {
                bevy::log::error!("a decoder ended in a panic");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bevy::prelude::*;
    use std::time::Instant;

    fn decoded(frame_id: u64) -> Decoded {
        let stamp = FrameStamp { frame_id, ..default() };
        let plane = Plane { data: bytes::Bytes::from(vec![0; 64]), stride: 16 };
        let frame =
            VideoFrame { stamp, format: PixelFormat::Rgba8, size: UVec2::splat(4), color: default(), planes: vec![plane] };
        Decoded { frame, session: 1, ready_at: Instant::now() }
    }

    #[test]
    fn the_new_decoders_pictures_wait_for_the_old_ones_but_not_for_ever() {
        let (frames_in, frames) = queue(32, QueuePolicy::NewestWins);
        let gate = DecoderGate::new(frames_in);
        let seen =
            || core::iter::from_fn(|| frames.try_recv().ok()).map(|decoded| decoded.frame.stamp.frame_id).collect::<Vec<_>>();
        let (old, new) = (gate.next_turn(), gate.next_turn());
        for (turn, frame_id) in [(old, 1), (new, 4), (old, 2), (new, 5), (old, 3)] {
            gate.send(turn, decoded(frame_id));
        }
        assert_eq!(seen(), [1, 2, 3]);
        gate.over(old);
        gate.send(old, decoded(9));
        assert_eq!(seen(), [4, 5]);
        let newest = gate.next_turn();
        gate.decode_only(5);
        gate.send(newest, decoded(5));
        (10..30).for_each(|frame_id| gate.send(newest, decoded(frame_id)));
        assert_eq!(seen(), (10..30).collect::<Vec<_>>());
        gate.send(new, decoded(6));
        assert_eq!(seen(), [0_u64; 0], "what comes after that is late");
    }
}
