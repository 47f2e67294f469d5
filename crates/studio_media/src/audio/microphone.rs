//! Microphones and other inputs of sound cards.

use super::{AudioCapture, AudioSink, AudioSource, MicrophoneInput, pipeline::play_sound, settings::gain_factor};
use crate::{
    capture::{
        CaptureClock, CaptureError,
        camera::{DESCRIPTION, find_devices, parse},
        pipeline::Playback,
        supervisor::Shared,
    },
    runtime,
};
use gstreamer as gst;
use gstreamer::prelude::*;

/// The class of the devices that are microphones.
const MICROPHONES: &str = "Audio/Source";

/// The names of the microphones that GStreamer's device monitor finds, in its order. Takes up to a second.
///
/// # Errors
/// GStreamer does not start.
pub fn list_microphones() -> Result<Vec<String>, CaptureError> {
    runtime::init()?;
    Ok(find_devices(MICROPHONES).into_iter().map(|(device, _)| device.name).collect())
}

/// Makes the element of a microphone. Looked for anew at every try, because a device that was plugged in again is another.
fn open(wanted: &str) -> Result<gst::Element, CaptureError> {
    if let Some(description) = wanted.strip_prefix(DESCRIPTION) {
        return Ok(parse(description.trim())?);
    }
    let mut devices = find_devices(MICROPHONES);
    let place = match wanted {
        "" => (!devices.is_empty()).then_some(0),
        _ => devices
            .iter()
            .position(|(device, _)| device.name == wanted)
            .or_else(|| wanted.parse().ok().filter(|index| *index < devices.len())),
    };
    let Some(place) = place else {
        let present = devices.into_iter().map(|(device, _)| device.name).collect();
        return Err(CaptureError::NoMicrophone { wanted: wanted.into(), present });
    };
    let (_, device) = devices.swap_remove(place);
    let lost = |reason: String| CaptureError::Lost { source_name: wanted.into(), reason };
    device.create_element(None).map_err(|error| lost(error.to_string()))
}

impl AudioSource for MicrophoneInput {
    fn start(&self, clock: CaptureClock, sink: AudioSink) -> Result<AudioCapture, CaptureError> {
        runtime::init()?;
        let gain = gain_factor(self.gain_db)?;
        if let Some(description) = self.device.strip_prefix(DESCRIPTION) {
            // Tried once, so that a wrong description is told at once.
            parse(description.trim())?;
        }
        let device = self.device.clone();
        let session = move |feed: &_| {
            let pipeline = gst::Pipeline::new();
            let decoder = runtime::make("decodebin")?;
            runtime::chain(&pipeline, &[open(&device)?, decoder.clone()])?;
            play_sound(feed, pipeline, &decoder, gain, &Playback { device: true, ..Playback::default() })
        };
        let name = if self.device.is_empty() { "microphone" } else { &self.device };
        AudioCapture::spawn(Shared::new(name), clock, sink, Box::new(session))
    }
}
