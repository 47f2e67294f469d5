//! A link made lossy and slow on purpose, to see what a real network does to a stream.

use bytes::Bytes;
use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::time::{Instant, Sleep};
use web_transport_trait::{Stats, poll};

/// What a [`Conditioned`] link does to what passes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Share of the datagrams lost, 0 to 1, in each direction. Streams lose nothing: QUIC would send it again.
    pub datagram_loss: f32,
    /// Time added to everything received, at most [`Conditions::MAX_DELAY`].
    pub delay: Duration,
    /// Which datagrams are lost: the same seed loses the same ones.
    pub seed: u64,
}

/// Why conditions cannot be met.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ConditionsError {
    /// Not a share.
    #[error("datagram loss {0} is not a share between 0 and 1; write 5 % as 0.05")]
    Loss(f32),
    /// Too long.
    #[error("a delay of {0:?} is longer than {max:?}", max = Conditions::MAX_DELAY)]
    Delay(Duration),
}

impl Conditions {
    /// The longest delay that can be added.
    pub const MAX_DELAY: Duration = Duration::from_secs(10);

    /// Whether anything is done at all.
    pub fn is_clear(&self) -> bool {
        self.datagram_loss == 0.0 && self.delay.is_zero()
    }

    /// Checks the ranges.
    pub fn validate(&self) -> Result<(), ConditionsError> {
        if !(0.0..=1.0).contains(&self.datagram_loss) {
            return Err(ConditionsError::Loss(self.datagram_loss));
        }
        if self.delay > Self::MAX_DELAY {
            return Err(ConditionsError::Delay(self.delay));
        }
        Ok(())
    }
}

/// Datagrams held back at most; more are lost, as in a router.
const HELD_DATAGRAMS: usize = 4096;
/// Bytes of one stream held back before the sender has to wait.
const HELD_STREAM_BYTES: usize = 1024 * 1024;
/// Largest piece read from a stream at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Decides about datagrams, by the splitmix64 generator (Steele, Lea, Flood 2014).
struct Dice {
    state: u64,
    loss: f32,
}

impl Dice {
    fn loses(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper 24 bits are what an f32 holds exactly.
        ((mixed >> 40) as f32) < self.loss * (1 << 24) as f32
    }
}

/// Items that become visible a while after they came.
struct Held<T> {
    items: VecDeque<(Instant, T)>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<T> Held<T> {
    fn new() -> Self {
        Self { items: VecDeque::new(), timer: None }
    }

    fn hold(&mut self, item: T, delay: Duration) {
        self.items.push_back((Instant::now() + delay, item));
    }

    /// Ready when the first item is due; pending with a timer, or without one if nothing is held.
    fn poll_due(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(&(due, _)) = self.items.front() else { return Poll::Pending };
        if due <= Instant::now() {
            return Poll::Ready(());
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if timer.deadline() != due {
            timer.as_mut().reset(due);
        }
        timer.as_mut().poll(cx)
    }
}

/// A link whose datagrams get lost and whose received data comes late.
pub struct Conditioned<S> {
    inner: S,
    conditions: Conditions,
    dice: Arc<Mutex<Dice>>,
    datagrams: Held<Bytes>,
}

impl<S> Conditioned<S> {
    /// Puts `inner` under `conditions`. Clones of the link share one sequence of losses.
    pub fn new(inner: S, conditions: Conditions) -> Result<Self, ConditionsError> {
        conditions.validate()?;
        let dice = Dice { state: conditions.seed, loss: conditions.datagram_loss };
        Ok(Self { inner, conditions, dice: Arc::new(Mutex::new(dice)), datagrams: Held::new() })
    }
}

impl<S: Clone> Clone for Conditioned<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), conditions: self.conditions, dice: self.dice.clone(), datagrams: Held::new() }
    }
}

impl<S: poll::Session> poll::Session for Conditioned<S> {
    type SendStream = S::SendStream;
    type RecvStream = ConditionedRecv<S::RecvStream>;
    type Error = S::Error;

    fn poll_accept_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<Self::RecvStream, S::Error>> {
        let delay = self.conditions.delay;
        self.inner.poll_accept_uni(cx).map_ok(|recv| ConditionedRecv::new(recv, delay))
    }

    fn poll_accept_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<poll::BiStreams<Self>, S::Error>> {
        let delay = self.conditions.delay;
        self.inner.poll_accept_bi(cx).map_ok(|(send, recv)| (send, ConditionedRecv::new(recv, delay)))
    }

    fn poll_open_uni(&mut self, cx: &mut Context<'_>) -> Poll<Result<S::SendStream, S::Error>> {
        self.inner.poll_open_uni(cx)
    }

    fn poll_open_bi(&mut self, cx: &mut Context<'_>) -> Poll<Result<poll::BiStreams<Self>, S::Error>> {
        let delay = self.conditions.delay;
        self.inner.poll_open_bi(cx).map_ok(|(send, recv)| (send, ConditionedRecv::new(recv, delay)))
    }

    fn poll_send_datagram(&mut self, cx: &mut Context<'_>, payload: &[u8]) -> Poll<Result<(), S::Error>> {
        if self.dice.lock().loses() { Poll::Ready(Ok(())) } else { self.inner.poll_send_datagram(cx, payload) }
    }

    fn poll_recv_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, S::Error>> {
        while let Poll::Ready(datagram) = self.inner.poll_recv_datagram(cx) {
            let datagram = datagram?;
            if self.dice.lock().loses() || self.datagrams.items.len() >= HELD_DATAGRAMS {
                continue;
            }
            if self.conditions.delay.is_zero() {
                return Poll::Ready(Ok(datagram));
            }
            self.datagrams.hold(datagram, self.conditions.delay);
        }
        ready!(self.datagrams.poll_due(cx));
        self.datagrams.items.pop_front().map_or(Poll::Pending, |(_, datagram)| Poll::Ready(Ok(datagram)))
    }

    fn max_datagram_size(&self) -> usize {
        self.inner.max_datagram_size()
    }

    fn protocol(&self) -> Option<&str> {
        self.inner.protocol()
    }

    fn close(&mut self, code: u32, reason: &str) {
        self.inner.close(code, reason);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<S::Error> {
        self.inner.poll_closed(cx)
    }

    fn stats(&self) -> impl Stats {
        self.inner.stats()
    }
}

/// An incoming stream whose bytes come late.
pub struct ConditionedRecv<R: poll::RecvStream> {
    inner: R,
    delay: Duration,
    /// What was read and is not due yet; the last entry may be the end.
    held: Held<Result<Option<Bytes>, R::Error>>,
    held_bytes: usize,
    ended: bool,
}

impl<R: poll::RecvStream> ConditionedRecv<R> {
    fn new(inner: R, delay: Duration) -> Self {
        Self { inner, delay, held: Held::new(), held_bytes: 0, ended: false }
    }
}

impl<R: poll::RecvStream> poll::RecvStream for ConditionedRecv<R> {
    type Error = R::Error;

    fn poll_read(&mut self, cx: &mut Context<'_>, dst: &mut [u8]) -> Poll<Result<Option<usize>, R::Error>> {
        if self.delay.is_zero() {
            return self.inner.poll_read(cx, dst);
        }
        let chunk = ready!(self.poll_read_chunk(cx, dst.len()))?;
        Poll::Ready(Ok(chunk.map(|chunk| {
            dst[..chunk.len()].copy_from_slice(&chunk);
            chunk.len()
        })))
    }

    fn poll_read_chunk(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Option<Bytes>, R::Error>> {
        if self.delay.is_zero() {
            return self.inner.poll_read_chunk(cx, max);
        }
        if max == 0 {
            return Poll::Ready(Ok(Some(Bytes::new())));
        }
        while !self.ended && self.held_bytes < HELD_STREAM_BYTES {
            let Poll::Ready(piece) = self.inner.poll_read_chunk(cx, PIECE_BYTES) else { break };
            self.ended = !matches!(piece, Ok(Some(_)));
            self.held_bytes += piece.as_ref().map_or(0, |piece| piece.as_ref().map_or(0, Bytes::len));
            self.held.hold(piece, self.delay);
        }
        if self.held.items.is_empty() {
            // Only after the end was handed out: until then something is held or the inner stream wakes us.
            return if self.ended { Poll::Ready(Ok(None)) } else { Poll::Pending };
        }
        ready!(self.held.poll_due(cx));
        let Some((due, piece)) = self.held.items.pop_front() else { return Poll::Pending };
        Poll::Ready(piece.map(|piece| {
            piece.map(|mut piece| {
                let rest = piece.split_off(max.min(piece.len()));
                self.held_bytes -= piece.len();
                if !rest.is_empty() {
                    self.held.items.push_front((due, Ok(Some(rest))));
                }
                piece
            })
        }))
    }

    fn stop(&mut self, code: u32) {
        self.inner.stop(code);
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), R::Error>> {
        self.inner.poll_closed(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_loses_the_same_datagrams_and_about_the_share_asked_for() {
        let lost = |seed| {
            let mut dice = Dice { state: seed, loss: 0.05 };
            (0..20_000).map(|_| dice.loses()).collect::<Vec<_>>()
        };
        assert_eq!(lost(7), lost(7));
        assert_ne!(lost(7), lost(8));
        let count = lost(7).into_iter().filter(|lost| *lost).count();
        assert!((900..1100).contains(&count), "{count} of 20000 lost, 1000 asked for");
        assert!(!Dice { state: 1, loss: 0.0 }.loses() && Dice { state: 1, loss: 1.0 }.loses());
    }

    #[test]
    fn senseless_conditions_are_refused() {
        for loss in [-0.1, 1.5, f32::NAN] {
            assert!(Conditions { datagram_loss: loss, ..Default::default() }.validate().is_err());
        }
        assert!(Conditions { delay: Duration::from_secs(60), ..Default::default() }.validate().is_err());
    }
}
