//! Sound files and streams.

use super::{AudioCapture, AudioFileInput, AudioSink, AudioSource, pipeline::play_sound, settings::gain_factor};
use crate::{
    capture::{CaptureClock, CaptureError, file::uri_of, pipeline::Playback, supervisor::Shared},
    runtime,
};
use gstreamer as gst;
use gstreamer::prelude::*;

impl AudioSource for AudioFileInput {
    fn start(&self, clock: CaptureClock, sink: AudioSink) -> Result<AudioCapture, CaptureError> {
        runtime::init()?;
        if self.source.is_empty() {
            return Err(CaptureError::NothingChosen("sound file"));
        }
        let gain = gain_factor(self.gain_db)?;
        let (uri, local) = uri_of(&self.source)?;
        let playback = Playback::between(self.start_s, self.end_s, self.repeat, local)?;
        let session = move |feed: &_| {
            let pipeline = gst::Pipeline::new();
            let decoder = runtime::make("uridecodebin")?;
            decoder.set_property("uri", &uri);
            runtime::chain(&pipeline, std::slice::from_ref(&decoder))?;
            play_sound(feed, pipeline, &decoder, gain, &playback)
        };
        AudioCapture::spawn(Shared::new(&self.source), clock, sink, Box::new(session))
    }
}
