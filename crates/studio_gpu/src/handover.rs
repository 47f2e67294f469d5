//! The newest of something, handed from one producer to any number of consumers: [`Handover`].
//!
//! Frames on pins go through it. Generic over what threads share and lock with, so that the tests run this very code under a
//! model checker, through every order in which threads can meet.

use core::ops::Deref;
use parking_lot::Mutex;
use std::sync::{
    Arc,
    atomic::{Ordering, fence},
};

/// What threads share and lock with.
pub trait Primitives {
    /// A value with several owners.
    type Shared<T>: Clone + Deref<Target = T>;
    /// A value behind a lock.
    type Lock<T>;

    /// Gives a value several owners.
    fn share<T>(value: T) -> Self::Shared<T>;
    /// How many owners a value has. What owners did before they let go of it has happened when this returns.
    fn owners<T>(shared: &Self::Shared<T>) -> usize;
    /// Puts a value behind a lock.
    fn lock<T>(value: T) -> Self::Lock<T>;
    /// Works on a value while no other thread does.
    fn with<T, R>(lock: &Self::Lock<T>, work: impl FnOnce(&mut T) -> R) -> R;
}

/// The primitives of real threads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threads;

impl Primitives for Threads {
    type Shared<T> = Arc<T>;
    type Lock<T> = Mutex<T>;

    fn share<T>(value: T) -> Arc<T> {
        Arc::new(value)
    }

    fn owners<T>(shared: &Arc<T>) -> usize {
        let owners = Arc::strong_count(shared);
        // Counting is relaxed, letting go is a release: this makes the pair that `Arc` itself makes before it drops its value.
        fence(Ordering::Acquire);
        owners
    }

    fn lock<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    fn with<T, R>(lock: &Mutex<T>, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut lock.lock())
    }
}

struct State<B, M, P: Primitives> {
    ring: Vec<P::Shared<B>>,
    newest: Option<(P::Shared<B>, M)>,
}

/// Which buffers may be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Those that nobody holds and that are not the newest: a consumer may ask for the newest at any time.
    Spare,
    /// The newest too, if nobody holds it: for a producer that publishes again before any consumer can ask, or whose writes
    /// come after the consumers' reads in any case, as on one GPU queue.
    Newest,
}

/// The newest value with what is known of it, and the few buffers that values are made in.
///
/// - A consumer always gets the newest value that was published, whole.
/// - A buffer is written again only when nobody holds it.
/// - A producer never waits for a consumer: when all buffers are held, it gets none and drops what it had.
pub struct Handover<B, M, P: Primitives = Threads>(P::Lock<State<B, M, P>>);

impl<B, M: Clone, P: Primitives> Default for Handover<B, M, P> {
    fn default() -> Self {
        Self(P::lock(State { ring: Vec::new(), newest: None }))
    }
}

impl<B, M: Clone, P: Primitives> Handover<B, M, P> {
    /// A buffer to write the next value in: one that may be written again, or a new one while there are fewer than `most`. None
    /// if all are held. Buffers that no longer fit are let go of.
    ///
    /// # Errors
    /// What `make` says.
    pub fn claim<E>(
        &self,
        most: usize,
        reuse: Reuse,
        fits: impl Fn(&B) -> bool,
        make: impl FnOnce() -> Result<B, E>,
    ) -> Result<Option<P::Shared<B>>, E> {
        P::with(&self.0, |state| {
            state.ring.retain(|buffer| fits(buffer));
            let free = state.ring.iter().find(|buffer| {
                let is_newest = state.newest.as_ref().is_some_and(|(newest, _)| core::ptr::eq::<B>(&**newest, &***buffer));
                let here = 1 + usize::from(is_newest);
                (reuse == Reuse::Newest || !is_newest) && P::owners(buffer) == here
            });
            if let Some(free) = free {
                return Ok(Some(free.clone()));
            }
            if state.ring.len() >= most {
                return Ok(None);
            }
            let buffer = P::share(make()?);
            state.ring.push(buffer.clone());
            Ok(Some(buffer))
        })
    }

    /// Makes a value the newest. It may be in a claimed buffer, or in one of another's.
    pub fn publish(&self, buffer: P::Shared<B>, meta: M) {
        // What was the newest is let go of outside of the lock: dropping it may take a while.
        let before = P::with(&self.0, |state| state.newest.replace((buffer, meta)));
        drop(before);
    }

    /// The newest value, if there is one yet. It stays as it is for as long as it is held.
    pub fn newest(&self) -> Option<(P::Shared<B>, M)> {
        P::with(&self.0, |state| state.newest.clone())
    }

    /// What is known of the newest value.
    pub fn meta(&self) -> Option<M> {
        P::with(&self.0, |state| state.newest.as_ref().map(|(_, meta)| meta.clone()))
    }

    /// Lets go of the newest value and of all buffers.
    pub fn clear(&self) {
        let before = P::with(&self.0, |state| (core::mem::take(&mut state.ring), state.newest.take()));
        drop(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loom::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// The primitives of the model checker.
    struct Model;

    impl Primitives for Model {
        type Shared<T> = loom::sync::Arc<T>;
        type Lock<T> = loom::sync::Mutex<T>;

        fn share<T>(value: T) -> Self::Shared<T> {
            loom::sync::Arc::new(value)
        }

        fn owners<T>(shared: &Self::Shared<T>) -> usize {
            let owners = loom::sync::Arc::strong_count(shared);
            loom::sync::atomic::fence(Ordering::Acquire);
            owners
        }

        fn lock<T>(value: T) -> Self::Lock<T> {
            loom::sync::Mutex::new(value)
        }

        fn with<T, R>(lock: &Self::Lock<T>, work: impl FnOnce(&mut T) -> R) -> R {
            work(&mut lock.lock().expect("no thread panicked"))
        }
    }

    /// A picture of two pixels that are written one after the other, without any order of their own: one that is torn shows.
    type Picture = [AtomicUsize; 2];
    type Frames = Handover<Picture, usize, Model>;

    fn blank() -> Result<Picture, ()> {
        Ok([AtomicUsize::new(0), AtomicUsize::new(0)])
    }

    /// Writes frame `number`; says whether there was a buffer for it.
    fn produce(frames: &Frames, number: usize, most: usize, reuse: Reuse) -> bool {
        let Some(buffer) = frames.claim(most, reuse, |_| true, blank).expect("made") else { return false };
        buffer.iter().for_each(|pixel| pixel.store(number, Relaxed));
        frames.publish(buffer, number);
        true
    }

    fn assert_whole(buffer: &Picture, number: usize) {
        let pixels = [buffer[0].load(Relaxed), buffer[1].load(Relaxed)];
        assert_eq!(pixels, [number, number], "a torn or overwritten frame");
    }

    fn model(check: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    #[test]
    fn consumers_see_whole_frames_in_order_and_the_newest_in_the_end() {
        model(|| {
            let frames = loom::sync::Arc::new(Frames::default());
            let consumer = {
                let frames = frames.clone();
                loom::thread::spawn(move || {
                    let mut last = 0;
                    for _ in 0..2 {
                        let Some((buffer, number)) = frames.newest() else { continue };
                        assert!(number >= last, "time went back");
                        last = number;
                        assert_whole(&buffer, number);
                    }
                })
            };
            for number in 1..=3 {
                assert!(produce(&frames, number, 3, Reuse::Spare), "with one consumer, three buffers are always enough");
            }
            consumer.join().expect("joined");
            assert_eq!(frames.meta(), Some(3));
        });
    }

    #[test]
    fn a_held_frame_stays_as_it_is_and_holds_the_producer_up_in_no_order_of_events() {
        model(|| {
            let frames = loom::sync::Arc::new(Frames::default());
            assert!(produce(&frames, 1, 2, Reuse::Spare));
            let held = frames.newest().expect("published");
            let producer = {
                let frames = frames.clone();
                loom::thread::spawn(move || {
                    // The first finds the second buffer; then one is held and one is the newest, and the rest is dropped.
                    [2, 3].map(|number| produce(&frames, number, 2, Reuse::Spare))
                })
            };
            assert_whole(&held.0, 1);
            loom::thread::yield_now();
            assert_whole(&held.0, 1);
            assert_eq!(producer.join().expect("joined"), [true, false]);
            let newest = frames.newest().expect("published");
            assert_whole(&newest.0, 2);
            drop(newest);
            drop(held);
            assert!(produce(&frames, 4, 2, Reuse::Spare), "a frame let go of is a buffer again");
        });
    }

    #[test]
    #[should_panic(expected = "a torn or overwritten frame")]
    fn the_model_finds_the_fault_where_the_newest_is_written_while_consumers_may_ask_for_it() {
        model(|| {
            let frames = loom::sync::Arc::new(Frames::default());
            assert!(produce(&frames, 1, 1, Reuse::Newest));
            let producer = {
                let frames = frames.clone();
                loom::thread::spawn(move || produce(&frames, 2, 1, Reuse::Newest))
            };
            if let Some((buffer, number)) = frames.newest() {
                assert_whole(&buffer, number);
            }
            producer.join().expect("joined");
        });
    }
}
