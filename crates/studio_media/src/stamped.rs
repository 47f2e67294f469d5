//! A pipeline that takes buffers with stamps in at one end and gives buffers with the same stamps out at the other.
//!
//! Codecs know nothing of stamps, but they carry time stamps through unharmed. So each buffer gets a time of its own, one
//! nominal frame after the one before it, and the stamp waits in a list until that time comes out.

use crate::{
    runtime::{self, RuntimeError},
    sample,
};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_frame::prelude::*;

/// Buffers that may wait in front of a codec.
pub(crate) const QUEUED: u64 = 2;

/// Called with each buffer that comes out, its stamp, and how long it was on its way.
pub(crate) type OnSample = Arc<dyn Fn(&gst::Sample, FrameStamp, Duration) -> Result<(), String> + Send + Sync>;

#[derive(Default)]
struct State {
    /// What is on its way: time in the pipeline, stamp, when it went in.
    pending: VecDeque<(gst::ClockTime, FrameStamp, Instant)>,
    failure: Option<String>,
    ended: bool,
    lost: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// How many later buffers may come out before an earlier one.
    reorder: usize,
}

impl Shared {
    fn fail(&self, reason: String) {
        self.state.lock().failure.get_or_insert(reason);
        self.changed.notify_all();
    }

    /// Finds the stamp of a time, and gives up those that were passed over.
    fn take(&self, time: gst::ClockTime) -> Option<(FrameStamp, Duration)> {
        let mut state = self.state.lock();
        // Encoders with a coarser clock round times; nominal frames are much further apart than this.
        let near = |other: gst::ClockTime| other.nseconds().abs_diff(time.nseconds()) < 100_000;
        let place = state.pending.iter().position(|(key, ..)| near(*key))?;
        let (_, stamp, since) = state.pending.remove(place)?;
        let passed_over = state.pending.iter().take_while(|(key, ..)| *key < time).count();
        for _ in self.reorder..passed_over {
            state.pending.pop_front();
            state.lost += 1;
        }
        drop(state);
        self.changed.notify_all();
        Some((stamp, since.elapsed()))
    }
}

/// What is between the ends.
pub(crate) struct Layout {
    /// What goes in.
    pub input: gst::Caps,
    /// Elements in order.
    pub middle: Vec<gst::Element>,
    /// What comes out.
    pub output: gst::Caps,
    /// Nominal frames a second.
    pub rate_hz: f32,
    /// How many later buffers may come out before an earlier one.
    pub reorder: usize,
    /// Whether the oldest waiting buffer makes room for a new one.
    pub newest_wins: bool,
}

/// A running pipeline; dropping it stops it.
pub(crate) struct Stamped {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    shared: Arc<Shared>,
    rate: gst::Fraction,
    next_index: Mutex<u64>,
}

impl Stamped {
    pub fn start(layout: Layout, on_sample: OnSample) -> Result<Self, RuntimeError> {
        let pipeline = gst::Pipeline::new();
        let shared = Arc::new(Shared { reorder: layout.reorder, ..Shared::default() });
        let source = gst_app::AppSrc::builder()
            .caps(&layout.input)
            .format(gst::Format::Time)
            .max_buffers(QUEUED)
            .max_bytes(0)
            .leaky_type(if layout.newest_wins { gst_app::AppLeakyType::Downstream } else { gst_app::AppLeakyType::None })
            .build();
        let sink = gst_app::AppSink::builder().caps(&layout.output).sync(false).max_buffers(2).build();
        sink.set_callbacks(callbacks(&shared, on_sample));
        sample::accept_padded_rows(sink.upcast_ref());
        let mut elements = vec![source.clone().upcast::<gst::Element>()];
        elements.extend(layout.middle);
        elements.push(sink.upcast());
        runtime::chain(&pipeline, &elements)?;
        if let Some(bus) = pipeline.bus() {
            let shared = shared.clone();
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Error(error) => shared.fail(runtime::describe(error)),
                    gst::MessageView::Eos(_) => {
                        shared.state.lock().ended = true;
                        shared.changed.notify_all();
                    }
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
        let stamped = Self { pipeline, source, shared, rate: sample::rate_fraction(layout.rate_hz), next_index: Mutex::new(0) };
        stamped
            .pipeline
            .set_state(gst::State::Playing)
            .map_err(|error| RuntimeError::Link(stamped.failure().unwrap_or_else(|| error.to_string())))?;
        Ok(stamped)
    }

    /// The end that buffers go in at.
    pub fn source(&self) -> &gst_app::AppSrc {
        &self.source
    }

    /// Why the pipeline stopped, if it did.
    pub fn failure(&self) -> Option<String> {
        self.shared.state.lock().failure.clone()
    }

    /// Buffers that went in and did not come out although later ones did.
    pub fn lost(&self) -> u64 {
        self.shared.state.lock().lost
    }

    /// Whether another buffer would have to wait or to push one out.
    pub fn is_full(&self) -> bool {
        self.source.current_level_buffers() >= QUEUED
    }

    /// Puts a buffer in. With `wait`, waits for room until the pipeline fails.
    pub fn push(&self, mut buffer: gst::Buffer, stamp: FrameStamp, wait: bool) -> Result<(), String> {
        let mut index = self.next_index.lock();
        let (numer, denom) = (self.rate.numer().max(1) as u64, self.rate.denom().max(1) as u64);
        let time_of = |index: u64| {
            gst::ClockTime::from_nseconds((u128::from(index) * u128::from(denom) * 1_000_000_000 / u128::from(numer)) as u64)
        };
        let time = time_of(*index);
        if let Some(target) = buffer.get_mut() {
            target.set_pts(time);
            target.set_dts(time);
            target.set_duration(time_of(*index + 1) - time);
        }
        {
            let mut state = self.shared.state.lock();
            loop {
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                if !wait || !self.is_full() {
                    break;
                }
                // Room is made without a word; outputs wake this up sooner.
                self.shared.changed.wait_for(&mut state, Duration::from_millis(2));
            }
            state.pending.push_back((time, stamp, Instant::now()));
        }
        *index += 1;
        match self.source.push_buffer(buffer) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.shared.state.lock().pending.pop_back();
                Err(self.failure().unwrap_or_else(|| format!("the pipeline takes no more ({error})")))
            }
        }
    }

    /// Lets everything that went in come out; at most `timeout`.
    pub fn drain(&self, timeout: Duration) -> Result<(), String> {
        if *self.next_index.lock() == 0 {
            return Ok(());
        }
        self.source.end_of_stream().map_err(|error| error.to_string())?;
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.state.lock();
        loop {
            if let Some(failure) = &state.failure {
                return Err(failure.clone());
            }
            if state.ended {
                return Ok(());
            }
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                return Err(format!("it did not finish within {} s", timeout.as_secs()));
            }
        }
    }
}

impl Drop for Stamped {
    fn drop(&mut self) {
        if self.pipeline.set_state(gst::State::Null).is_err() {
            tracing::warn!("a codec pipeline did not stop cleanly");
        }
    }
}

fn callbacks(shared: &Arc<Shared>, on_sample: OnSample) -> gst_app::AppSinkCallbacks {
    let shared = shared.clone();
    gst_app::AppSinkCallbacks::builder()
        .new_sample(move |sink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let pts = sample.buffer().and_then(gst::BufferRef::pts);
            // x264enc shifts times by 1000 hours and the segment with them; running time is what went in.
            let segment = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>());
            let running = segment.and_then(|segment| segment.to_running_time(pts));
            let Some((stamp, took)) = running.and_then(|running| shared.take(running)) else {
                tracing::debug!("a codec gave a buffer with the unknown time {running:?}");
                return Ok(gst::FlowSuccess::Ok);
            };
            on_sample(&sample, stamp, took).map_err(|reason| {
                shared.fail(reason);
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        })
        .build()
}
