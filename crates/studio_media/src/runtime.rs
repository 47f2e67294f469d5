//! Starting GStreamer and making its elements.

use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::OnceLock;

/// Why GStreamer cannot do what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuntimeError {
    /// The library did not start.
    #[error("GStreamer does not start: {0}; install it (Debian: libgstreamer1.0-0 gstreamer1.0-plugins-base)")]
    Init(String),
    /// An element is in no installed plugin.
    #[error("GStreamer has no element `{element}`; install the Debian package {package}")]
    MissingElement {
        /// Name of the element.
        element: String,
        /// Debian package that has it.
        package: &'static str,
    },
    /// A description of elements in GStreamer's launch syntax is wrong.
    #[error("`{description}` is no GStreamer description: {reason}; try it with gst-launch-1.0")]
    Description {
        /// What was given.
        description: String,
        /// What GStreamer says.
        reason: String,
    },
    /// Two elements that should fit together do not.
    #[error("GStreamer cannot link {0}")]
    Link(String),
}

/// Starts GStreamer, once for the whole program. Later calls return what the first one did.
///
/// GStreamer's own log stays silent unless `GST_DEBUG` is set: every failure is reported through the errors of this
/// crate.
pub fn init() -> Result<(), RuntimeError> {
    static STARTED: OnceLock<Result<(), RuntimeError>> = OnceLock::new();
    STARTED
        .get_or_init(|| {
            gst::init().map_err(|error| RuntimeError::Init(error.to_string()))?;
            if std::env::var_os("GST_DEBUG").is_none() {
                gst::log::set_default_threshold(gst::DebugLevel::None);
            }
            ["appsrc", "appsink", "videoconvert"].into_iter().try_for_each(require)
        })
        .clone()
}

/// The Debian package whose plugins hold an element.
pub(crate) fn package_of(element: &str) -> &'static str {
    match element {
        "x264enc" => "gstreamer1.0-plugins-ugly",
        "mp4mux" | "matroskamux" | "aacparse" | "videoflip" | "v4l2src" | "jpegdec" | "vp8enc" | "vp9enc" | "pulsesink" => {
            "gstreamer1.0-plugins-good"
        }
        "alsasink" => "gstreamer1.0-alsa",
        "appsrc" | "appsink" | "videoconvert" | "videoscale" | "videorate" | "uridecodebin" | "decodebin" | "audioconvert"
        | "audioresample" | "opusenc" | "opusdec" | "audiomixer" => "gstreamer1.0-plugins-base",
        name if name.starts_with("avdec_") || name.starts_with("avenc_") => "gstreamer1.0-libav",
        name if name.starts_with("vaapi") => "gstreamer1.0-vaapi",
        name if name.starts_with("pipewire") => "gstreamer1.0-pipewire",
        _ => "gstreamer1.0-plugins-bad",
    }
}

/// Whether an element is installed.
pub(crate) fn has(element: &str) -> bool {
    gst::ElementFactory::find(element).is_some()
}

fn require(element: &str) -> Result<(), RuntimeError> {
    if has(element) { Ok(()) } else { Err(missing(element)) }
}

pub(crate) fn missing(element: &str) -> RuntimeError {
    RuntimeError::MissingElement { element: element.into(), package: package_of(element) }
}

/// Makes an element by name.
pub(crate) fn make(element: &str) -> Result<gst::Element, RuntimeError> {
    gst::ElementFactory::make(element).build().map_err(|_| missing(element))
}

/// Adds elements to a pipeline and links them in order.
pub(crate) fn chain(pipeline: &gst::Pipeline, elements: &[gst::Element]) -> Result<(), RuntimeError> {
    pipeline.add_many(elements).map_err(|error| RuntimeError::Link(error.to_string()))?;
    gst::Element::link_many(elements).map_err(|error| RuntimeError::Link(error.to_string()))
}

/// Sets a property from its text form if the element has it and reads the text; says whether it did.
///
/// Encoders of different makers name and spell the same things differently, and versions add and drop them.
pub(crate) fn set_if_present(element: &gst::Element, name: &str, value: &str) -> bool {
    let Some(property) = element.find_property(name) else { return false };
    if !property.flags().contains(gst::glib::ParamFlags::WRITABLE) {
        return false;
    }
    let Ok(value) = gst::glib::Value::deserialize_with_pspec(value, &property) else { return false };
    element.set_property_from_value(name, &value);
    true
}

/// Whether a property may be set while the element runs.
pub(crate) fn is_live_changeable(element: &gst::Element, name: &str) -> bool {
    // GST_PARAM_MUTABLE_PLAYING, gstreamer/gst/gstparamspecs.h: a user flag of the property.
    element.find_property(name).is_some_and(|property| property.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING))
}

/// An error message of the bus, in words: which element, what happened, and its details.
pub(crate) fn describe(error: &gst::message::Error) -> String {
    let element = error.src().map(|source| source.name().to_string()).unwrap_or_default();
    match error
        .debug()
        .as_deref()
        .and_then(|debug| debug.lines().last().map(str::trim).filter(|line| !line.is_empty() && line.len() < 300))
    {
        Some(detail) => format!("{} ({element}: {detail})", error.error()),
        None => format!("{} ({element})", error.error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_element_names_its_package() {
        init().unwrap();
        let error = make("avdec_of_tomorrow").unwrap_err();
        assert!(error.to_string().contains("gstreamer1.0-libav"), "{error}");
    }

    #[test]
    fn unknown_properties_and_values_are_left_alone() {
        init().unwrap();
        let element = make("videoconvert").unwrap();
        assert!(!set_if_present(&element, "no-such-property", "1"));
        assert!(!set_if_present(&element, "n-threads", "many"));
        assert!(set_if_present(&element, "n-threads", "2"));
    }
}
