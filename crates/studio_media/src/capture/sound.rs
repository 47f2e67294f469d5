//! The sound of a video file, beside its pictures in the same pipeline.

use super::{
    CaptureClock,
    pipeline::{Playback, Progress},
    supervisor::Feed,
};
use crate::{audio, runtime::RuntimeError};
use gstreamer as gst;
use gstreamer::prelude::*;
use parking_lot::Mutex;
use std::{sync::Arc, thread};
use studio_frame::{
    prelude::*,
    queue::{ReceiveError, Sent},
};

/// Blocks that wait live for a reader who is late: two seconds at most, half of one usually.
const LATE_BLOCKS: usize = 50;
/// How often the thread in between looks for a block.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Where a file's sound goes. Nothing is built, and nothing decoded, before a sound track appears.
pub(crate) struct SoundBranch {
    feed: Arc<Feed<AudioBlock>>,
    playback: Playback,
    /// The first element behind the decoder.
    tail: Mutex<Option<gst::Element>>,
}

impl SoundBranch {
    pub fn new(feed: Arc<Feed<AudioBlock>>, playback: &Playback) -> Arc<Self> {
        Arc::new(Self { feed, playback: playback.clone(), tail: Mutex::default() })
    }

    /// Links a track of raw sound, unless another one is linked already.
    pub fn link(&self, pipeline: &gst::Pipeline, pad: &gst::Pad) -> Result<(), RuntimeError> {
        let failed = |reason: String| RuntimeError::Link(format!("a track of sound: {reason}"));
        let mut tail = self.tail.lock();
        let first = match &*tail {
            Some(first) => first,
            None => {
                let (first, last) = audio::build_tail(pipeline, &self.playback, &self.feed, &Arc::<Progress>::default(), 1.0)?;
                // From the end, so that nothing comes to an element that is not ready.
                for element in [&last, &first] {
                    element.sync_state_with_parent().map_err(|error| failed(error.to_string()))?;
                }
                tail.insert(first)
            }
        };
        match first.static_pad("sink").filter(|sink| !sink.is_linked()) {
            Some(sink) => pad.link(&sink).map(drop).map_err(|error| failed(error.to_string())),
            None => Ok(()),
        }
    }
}

/// Live, a reader that does not take its blocks loses the oldest ones, on a thread of its own: it never holds the pipeline, and
/// so the pictures, back. Offline the reader is waited for.
pub(super) fn decouple(clock: CaptureClock, sink: audio::AudioSink) -> audio::AudioSink {
    if clock == CaptureClock::Offline {
        return sink;
    }
    let (sender, receiver) = queue(LATE_BLOCKS, QueuePolicy::NewestWins);
    let carry = move || {
        loop {
            let goes_on = match receiver.recv_timeout(LOOK) {
                Ok(block) => sink(block),
                Err(ReceiveError::Empty) => true,
                Err(ReceiveError::Closed) => false,
            };
            if !goes_on {
                return;
            }
        }
    };
    if let Err(error) = thread::Builder::new().name("sound".into()).spawn(carry) {
        tracing::warn!("the sound of a video file is not played: no thread: {error}");
    }
    Box::new(move |block| sender.send(block) != Sent::Closed)
}
