//! Cameras. One camera is opened once, however many nodes show it.

use super::{
    CameraInput, Capture, CaptureClock, CaptureError, CaptureSource, CaptureStatus, PictureSettings,
    pipeline::{self, Playback},
    supervisor::{FrameSink, Shared, Supervisor},
};
use crate::{
    runtime::{self, RuntimeError},
    sample,
};
use bevy::math::UVec2;
use gstreamer as gst;
use gstreamer::prelude::*;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Weak},
};
use studio_frame::{prelude::*, queue::Sent};

/// The prefix of a camera that is given as a GStreamer description.
pub(crate) const DESCRIPTION: &str = "gst:";
/// The class of the devices that are cameras.
const CAMERAS: &str = "Video/Source";

/// A camera that GStreamer finds on this machine.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraDevice {
    /// The name to choose it by. Cameras of the same name are told apart by a number behind it.
    pub name: String,
    /// What runs it, such as `v4l2deviceprovider` or `pipewiredeviceprovider`.
    pub provider: String,
    /// The sizes, rates and formats it offers, each as GStreamer caps.
    pub modes: Vec<String>,
}

/// The devices of a class such as `Video/Source`, with names that differ.
pub(crate) fn find_devices(class: &str) -> Vec<(CameraDevice, gst::Device)> {
    let monitor = gst::DeviceMonitor::new();
    monitor.add_filter(Some(class), None);
    let mut found: Vec<(CameraDevice, gst::Device)> = Vec::new();
    if monitor.start().is_err() {
        return found;
    }
    for device in monitor.devices() {
        let shown = device.display_name();
        let same =
            found.iter().filter(|(camera, _)| camera.name == *shown || camera.name.starts_with(&format!("{shown} ("))).count();
        let name = if same == 0 { shown.to_string() } else { format!("{shown} ({})", same + 1) };
        let provider = device.property::<Option<gst::glib::GString>>("name").unwrap_or_default().to_string();
        let modes = device.caps().map(|caps| caps.iter().map(|structure| structure.to_string()).collect()).unwrap_or_default();
        found.push((CameraDevice { name, provider, modes }, device));
    }
    monitor.stop();
    found
}

/// The cameras that GStreamer's device monitor finds, in its order. Takes up to a second.
///
/// # Errors
/// GStreamer does not start.
pub fn list_cameras() -> Result<Vec<CameraDevice>, CaptureError> {
    runtime::init()?;
    Ok(find_devices(CAMERAS).into_iter().map(|(camera, _)| camera).collect())
}

/// How a camera is opened.
#[derive(Clone)]
enum Opener {
    Device(gst::Device),
    Description(String),
}

impl Opener {
    /// Finds the camera that was asked for; also returns its name, by which it is known to be open already.
    fn find(wanted: &str) -> Result<(String, Self), CaptureError> {
        if let Some(description) = wanted.strip_prefix(DESCRIPTION) {
            let description = description.trim().to_owned();
            // Try it once, so that a wrong description is told at once.
            parse(&description)?;
            return Ok((format!("{DESCRIPTION}{description}"), Self::Description(description)));
        }
        let mut devices = find_devices(CAMERAS);
        let place = match wanted {
            "" => (!devices.is_empty()).then_some(0),
            _ => devices
                .iter()
                .position(|(camera, _)| camera.name == wanted)
                .or_else(|| wanted.parse().ok().filter(|index| *index < devices.len())),
        };
        let Some(place) = place else {
            let present = devices.into_iter().map(|(camera, _)| camera.name).collect();
            return Err(CaptureError::NoCamera { wanted: wanted.into(), present });
        };
        let (camera, device) = devices.swap_remove(place);
        Ok((camera.name, Self::Device(device)))
    }

    /// Makes the camera's element, and what its caps are narrowed to for the wished size and rate.
    fn make(&self, name: &str, picture: &PictureSettings) -> Result<(gst::Element, Option<gst::Caps>), CaptureError> {
        let lost = |reason: String| CaptureError::Lost { source_name: name.into(), reason };
        match self {
            Self::Description(description) => Ok((parse(description)?, None)),
            Self::Device(device) => {
                let element = device.create_element(None).map_err(|error| lost(error.to_string()))?;
                let wish = device.caps().map(|caps| wished_modes(&caps, picture)).filter(|caps| !caps.is_empty());
                Ok((element, wish))
            }
        }
    }
}

pub(crate) fn parse(description: &str) -> Result<gst::Element, RuntimeError> {
    let refuse = |reason: String| RuntimeError::Description { description: description.into(), reason };
    // Caps may not end a description; an element that passes everything on may.
    let bin = gst::parse::bin_from_description(&format!("{description} ! identity"), true)
        .map_err(|error| refuse(error.to_string()))?;
    if bin.static_pad("src").is_none() {
        return Err(refuse("it has no open output".into()));
    }
    Ok(bin.upcast())
}

/// The modes of a camera that have the wished size and rate; empty if none has.
fn wished_modes(modes: &gst::Caps, picture: &PictureSettings) -> gst::Caps {
    let mut wish = gst::Structure::builder("any");
    if let Some(size) = picture.size {
        let native = if picture.rotation.swaps_sides() { UVec2::new(size.y, size.x) } else { size };
        wish = wish.field("width", native.x as i32).field("height", native.y as i32);
    }
    if let Some(rate_hz) = picture.rate_hz {
        wish = wish.field("framerate", sample::rate_fraction(rate_hz));
    }
    let wish = wish.build();
    let mut kinds: Vec<String> = modes.iter().map(|mode| mode.name().to_string()).collect();
    kinds.dedup();
    let mut wanted = gst::Caps::new_empty();
    if let Some(target) = wanted.get_mut() {
        for kind in kinds {
            let mut structure = wish.clone();
            structure.set_name(kind.as_str());
            target.append_structure(structure);
        }
    }
    modes.intersect_with_mode(&wanted, gst::CapsIntersectMode::First)
}

/// One subscriber's queue; its place in the list is its identity.
type Subscribers = Arc<Mutex<Vec<(u64, QueueSender<VideoFrame>)>>>;

/// Closes the subscribers' queues when the camera's thread ends.
struct FanOut(Subscribers);

impl Drop for FanOut {
    fn drop(&mut self) {
        self.0.lock().clear();
    }
}

/// An open camera. The last node that shows it closes it.
struct SharedCamera {
    picture: PictureSettings,
    shared: Arc<Shared>,
    subscribers: Subscribers,
    _supervisor: Supervisor,
}

impl SharedCamera {
    /// Whether it runs or is going to be tried again.
    fn is_alive(&self) -> bool {
        !matches!(self.shared.status(), CaptureStatus::EndOfStream | CaptureStatus::Failed { retry_at: None, .. })
    }
}

/// One node's share of a camera.
struct Subscription {
    camera: Arc<SharedCamera>,
    id: u64,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.camera.subscribers.lock().retain(|(id, _)| *id != self.id);
    }
}

#[derive(Default)]
struct Registry {
    open: HashMap<String, Weak<SharedCamera>>,
    next_id: u64,
}

static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(Mutex::default);

fn open(name: &str, opener: Opener, picture: PictureSettings) -> Result<SharedCamera, CaptureError> {
    let shared = Shared::new(name);
    let subscribers = Subscribers::default();
    let fan_out = FanOut(subscribers.clone());
    let sink: FrameSink = Box::new(move |frame: VideoFrame| {
        let targets = &fan_out.0;
        // Sent outside of the lock: a subscriber that waits for every frame must not keep others from leaving.
        let queues: Vec<_> = targets.lock().clone();
        for (id, queue) in queues {
            if queue.send(frame.clone()) == Sent::Closed {
                targets.lock().retain(|(other, _)| *other != id);
            }
        }
        true
    });
    let owned_name = name.to_owned();
    let session = move |feed: &_| {
        let pipeline = gst::Pipeline::new();
        let (source, wish) = opener.make(&owned_name, &picture)?;
        let mut elements = vec![source];
        if let Some(wish) = wish {
            let filter = runtime::make("capsfilter")?;
            filter.set_property("caps", &wish);
            elements.push(filter);
        }
        let decoder = runtime::make("decodebin")?;
        elements.push(decoder.clone());
        runtime::chain(&pipeline, &elements)?;
        pipeline::play(feed, pipeline, &decoder, &picture, &Playback { device: true, ..Playback::default() }, None)
    };
    let supervisor = Supervisor::spawn(shared.clone(), CaptureClock::Live, sink, Box::new(session))?;
    Ok(SharedCamera { picture, shared, subscribers, _supervisor: supervisor })
}

impl CaptureSource for CameraInput {
    /// Offline, every frame is delivered too, which holds up the other nodes that show this camera.
    fn start(&self, clock: CaptureClock) -> Result<Capture, CaptureError> {
        runtime::init()?;
        self.picture.check().map_err(CaptureError::Setting)?;
        let mut registry = REGISTRY.lock();
        // A camera that is open may not be listed any more by providers that hide busy devices.
        let alive =
            |registry: &Registry, name: &str| registry.open.get(name).and_then(Weak::upgrade).filter(|camera| camera.is_alive());
        let known = alive(&registry, &self.device).map(|camera| (self.device.clone(), camera));
        let (name, camera) = match known {
            Some(known) => known,
            None => {
                let (name, opener) = Opener::find(&self.device)?;
                let camera = match alive(&registry, &name) {
                    Some(camera) => camera,
                    None => Arc::new(open(&name, opener, self.picture)?),
                };
                (name, camera)
            }
        };
        if camera.picture != self.picture {
            return Err(CaptureError::CameraSettings(name));
        }
        registry.open.retain(|_, camera| camera.strong_count() > 0);
        registry.open.insert(name, Arc::downgrade(&camera));
        registry.next_id += 1;
        let id = registry.next_id;
        let (sender, frames) = clock.queue();
        camera.subscribers.lock().push((id, sender));
        let shared = camera.shared.clone();
        Ok(Capture::new(frames, shared, Subscription { camera, id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_modes_are_narrowed_to_the_wish() {
        runtime::init().unwrap();
        let modes: gst::Caps = "video/x-raw,format=YUY2,width=640,height=480,framerate={30/1,15/1}; \
             image/jpeg,width=1920,height=1080,framerate=30/1; video/x-raw,format=YUY2,width=1920,height=1080,framerate=5/1"
            .parse()
            .unwrap();
        let wish = |x, y, rate_hz| {
            wished_modes(&modes, &PictureSettings { size: Some(UVec2::new(x, y)), rate_hz, ..Default::default() })
        };
        assert!(wish(1920, 1080, Some(30.0)).to_string().starts_with("image/jpeg"));
        assert_eq!(wish(1920, 1080, None).size(), 2);
        assert!(wish(800, 600, None).is_empty(), "no such mode: the pictures are scaled instead");
    }
}
