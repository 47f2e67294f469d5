//! What the user may set on a source of pictures.

use bevy::prelude::*;
use serde::{Deserialize, Serialize};
use studio_graph::registry::InputPath;

/// How far pictures are turned, clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Rotation {
    /// As they come.
    #[default]
    None,
    /// A quarter turn: width and height change places.
    Deg90,
    /// Upside down.
    Deg180,
    /// A quarter turn the other way: width and height change places.
    Deg270,
}

impl Rotation {
    /// Whether width and height change places.
    pub const fn swaps_sides(self) -> bool {
        matches!(self, Self::Deg90 | Self::Deg270)
    }
}

/// How pictures are mirrored, after they are turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum Flip {
    /// Not at all.
    #[default]
    None,
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}

/// What every source can do to its pictures. The default leaves them as they come, which costs nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default)]
pub struct PictureSettings {
    /// Width and height of the delivered pictures in pixels, after turning; `None`: as they come.
    pub size: Option<UVec2>,
    /// Frames a second, more than 0 and at most 1000; `None`: as they come.
    pub rate_hz: Option<f32>,
    /// Turn.
    pub rotation: Rotation,
    /// Mirror image.
    pub flip: Flip,
}

/// The largest width or height of a picture, in pixels.
pub const MAX_SIDE_PX: u32 = 16_384;

impl PictureSettings {
    /// Says which value is out of range, and its range.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(size) = self.size {
            check_size(size)?;
        }
        self.rate_hz.map_or(Ok(()), check_rate)
    }
}

pub(crate) fn check_size(size: UVec2) -> Result<(), String> {
    if size.min_element() >= 2 && size.max_element() <= MAX_SIDE_PX {
        return Ok(());
    }
    Err(format!("size {}×{} is out of range: width and height go from 2 to {MAX_SIDE_PX} pixels", size.x, size.y))
}

pub(crate) fn check_rate(rate_hz: f32) -> Result<(), String> {
    if rate_hz > 0.0 && rate_hz <= 1000.0 {
        return Ok(());
    }
    Err(format!("rate {rate_hz} is out of range: it goes from above 0 to 1000 frames a second"))
}

/// Plays a video file or URL: anything that GStreamer decodes. Its first track of sound is played with it if something is
/// linked to `audio`; a reader of it who is late live loses sound and never holds the pictures back.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct VideoFileInput {
    /// A path, or an address such as `https://…`, `rtsp://…` or `srt://…`.
    #[reflect(@InputPath)]
    pub source: String,
    /// Start again at the in point when the out point is reached; time stamps go on.
    pub repeat: bool,
    /// In point, in seconds from the start of the file.
    pub start_s: f64,
    /// Out point, in seconds from the start of the file; `None`: the end of the file.
    pub end_s: Option<f64>,
    /// Size, rate, turn and mirror image of the pictures.
    pub picture: PictureSettings,
}

/// Shows a camera. However many nodes show it, it is opened once, and all see the same frames.
#[derive(Component, Clone, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct CameraInput {
    /// The camera's name as [`list_cameras`](super::list_cameras) gives it, its place in that list (`0`, `1`, …), or `gst:` and a
    /// GStreamer description such as `gst:videotestsrc is-live=true`. Empty: the first camera.
    pub device: String,
    /// Size, rate, turn and mirror image of the pictures. The camera is asked for this size and rate; if it has another,
    /// its pictures are converted.
    pub picture: PictureSettings,
}

/// Shows a picture (PNG or JPEG), or a numbered sequence of them.
#[derive(Component, Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct StillInput {
    /// A file; a folder or a pattern with `*`, whose files are shown in the order of their numbers; or a pattern with a
    /// number in it, such as `frame_%04d.png`.
    #[reflect(@InputPath)]
    pub path: String,
    /// Start a sequence again when it ends. A single picture is always shown on.
    pub repeat: bool,
    /// Size, rate (30 unless set), turn and mirror image of the pictures.
    pub picture: PictureSettings,
}

impl Default for StillInput {
    fn default() -> Self {
        Self { path: String::new(), repeat: true, picture: default() }
    }
}

/// Draws colour bars, moving shapes, a readable frame counter and the machine-readable mark.
#[derive(Component, Clone, Debug, PartialEq, Reflect, Serialize, Deserialize)]
#[reflect(Component, Default)]
#[serde(default)]
pub struct TestPatternInput {
    /// Width and height in pixels, even numbers; the mark needs at least 256×16.
    pub size: UVec2,
    /// Frames a second, more than 0 and at most 1000.
    pub rate_hz: f32,
    /// How many frames to draw; `None`: no end.
    pub frames: Option<u64>,
    /// Whiten the whole picture but the mark in the frame that begins each second: the sight of a clap, whose sound the
    /// tone input makes.
    pub flash: bool,
}

impl Default for TestPatternInput {
    fn default() -> Self {
        Self { size: UVec2::new(1280, 640), rate_hz: 30.0, frames: None, flash: false }
    }
}
