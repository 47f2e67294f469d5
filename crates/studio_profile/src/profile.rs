//! What is known of a headset.

use crate::{eye::EyeFov, level};
use bevy::prelude::*;
use core::fmt;
use serde::{Deserialize, Serialize};
use studio_frame::prelude::*;

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Origin {
    /// A page or a document that says so.
    Source(String),
    /// Nobody says so: why it was taken nevertheless.
    Estimate(String),
    /// Nothing was said.
    #[default]
    Unstated,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(source) => formatter.write_str(source),
            Self::Estimate(why) => write!(formatter, "estimate: {why}"),
            Self::Unstated => formatter.write_str("neither source nor estimate"),
        }
    }
}

/// A value, and where it comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub origin: Origin,
    /// What else is to be said of it.
    pub note: String,
}

impl<T> Sourced<T> {
    /// A value that nothing is said of.
    pub const fn unstated(value: T) -> Self {
        Self { value, origin: Origin::Unstated, note: String::new() }
    }
}

impl<T> core::ops::Deref for Sourced<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// How the picture for a headset covers the sphere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Reflect, Serialize, Deserialize)]
pub enum ProfileProjection {
    /// The whole sphere in longitude and latitude.
    #[default]
    Equirectangular,
    /// The front half of the sphere in longitude and latitude: VR180.
    HalfEquirectangular,
    /// Six faces in three columns and two rows: right, left, up / down, front, back.
    CubeMap,
    /// A flat picture for each eye, with the headset's own field of view around the camera's direction.
    Rectilinear,
}

/// A profile of a coding standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CodecProfile {
    /// H.264 Constrained Baseline or Baseline.
    Baseline,
    /// H.264, H.265 or AV1 Main.
    #[default]
    Main,
    /// H.265 Main 10.
    Main10,
    /// H.264 or AV1 High.
    High,
}

/// What a headset decodes in hardware.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodecSupport {
    /// The standard.
    pub codec: VideoCodec,
    /// Its profile.
    pub profile: CodecProfile,
    /// Its level, as the standard writes it: `5.2`.
    pub level: String,
    /// Width and height in pixels of the largest picture, both eyes together.
    pub max_px: (u32, u32),
    /// Frames a second of the largest picture.
    pub max_fps: f32,
}

/// A headset as a viewer of streams.
#[derive(Asset, TypePath, Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeadsetProfile {
    /// Name in files and links: small letters, digits and `-`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Who makes it.
    pub vendor: String,
    /// Width and height of one eye's panel in pixels.
    pub panel_px: Sourced<(u32, u32)>,
    /// Width and height in pixels that one eye is best rendered at.
    pub render_px: Sourced<(u32, u32)>,
    /// What the left eye sees.
    pub left_fov: Sourced<EyeFov>,
    /// What the right eye sees.
    pub right_fov: Sourced<EyeFov>,
    /// Refresh rates in Hz.
    pub refresh_hz: Sourced<Vec<f32>>,
    /// Smallest and largest distance between the eyes in metres.
    pub ipd_m: Sourced<(f32, f32)>,
    /// What it decodes.
    pub codecs: Vec<Sourced<CodecSupport>>,
    /// Most bits a second that it takes in.
    pub bitrate_max_bps: Sourced<u32>,
    /// The projection that serves it best.
    pub projection: Sourced<ProfileProjection>,
    /// Where it wants the eyes' pictures.
    pub stereo: Sourced<StereoLayout>,
    /// What the file said besides, by name, as JSON: for other tools, of no meaning here.
    pub extra: Vec<(String, String)>,
}

/// A value that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: &'static str,
    /// Which of the field's entries, where it is a list.
    pub entry: Option<usize>,
    /// What is wrong, with the range.
    pub message: String,
}

impl HeadsetProfile {
    /// What profiles' file names end with.
    pub const EXTENSION: &'static str = "headset.ron";
    /// The version that is read.
    pub const VERSION: u32 = 1;
    /// The most bytes that a file may have.
    pub const MAX_BYTES: usize = 256 << 10;
    /// The most codecs, and the most refresh rates.
    pub const MAX_ENTRIES: usize = 16;
    /// The fields with a source, in the order of files.
    pub const SOURCED_FIELDS: [&'static str; 10] = [
        "panel_px",
        "render_px",
        "left_fov",
        "right_fov",
        "refresh_hz",
        "ipd_m",
        "codecs",
        "bitrate_max_bps",
        "projection",
        "stereo",
    ];

    /// Where each value comes from, with the field's name, and the entry's number in lists.
    pub fn origins(&self) -> Vec<(String, &Origin, &str)> {
        let mut origins = vec![
            ("panel_px".to_owned(), &self.panel_px.origin, self.panel_px.note.as_str()),
            ("render_px".to_owned(), &self.render_px.origin, self.render_px.note.as_str()),
            ("left_fov".to_owned(), &self.left_fov.origin, self.left_fov.note.as_str()),
            ("right_fov".to_owned(), &self.right_fov.origin, self.right_fov.note.as_str()),
            ("refresh_hz".to_owned(), &self.refresh_hz.origin, self.refresh_hz.note.as_str()),
            ("ipd_m".to_owned(), &self.ipd_m.origin, self.ipd_m.note.as_str()),
        ];
        for (index, codec) in self.codecs.iter().enumerate() {
            origins.push((format!("codecs[{index}]"), &codec.origin, codec.note.as_str()));
        }
        origins.extend([
            ("bitrate_max_bps".to_owned(), &self.bitrate_max_bps.origin, self.bitrate_max_bps.note.as_str()),
            ("projection".to_owned(), &self.projection.origin, self.projection.note.as_str()),
            ("stereo".to_owned(), &self.stereo.origin, self.stereo.note.as_str()),
        ]);
        origins
    }

    /// Everything that is out of its range; numbers that are none are in no range.
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut say = |field, entry, message| faults.push(Fault { field, entry, message });
        let id_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if self.id.is_empty() || self.id.len() > 64 || !self.id.chars().all(id_letter) {
            let shown: String = self.id.chars().take(80).collect();
            say("id", None, format!("is “{shown}”: 1 to 64 small letters, digits and “-”"));
        }
        for (field, words) in [("name", &self.name), ("vendor", &self.vendor)] {
            if words.trim().is_empty() || words.chars().count() > 100 || words.chars().any(char::is_control) {
                say(field, None, "must have 1 to 100 letters in one line".to_owned());
            }
        }
        for (field, (width, height)) in [("panel_px", *self.panel_px), ("render_px", *self.render_px)] {
            if ![width, height].iter().all(|side| (16..=16_384).contains(side)) {
                say(field, None, format!("is {width}×{height}: both sides must be 16 to 16384 pixels"));
            }
        }
        for (field, fov) in [("left_fov", &*self.left_fov), ("right_fov", &*self.right_fov)] {
            if let Err(message) = fov.check() {
                say(field, None, message);
            }
        }
        if self.refresh_hz.is_empty() || self.refresh_hz.len() > Self::MAX_ENTRIES {
            say("refresh_hz", None, format!("has {} rates: 1 to {}", self.refresh_hz.len(), Self::MAX_ENTRIES));
        }
        if let Some(rate) = self.refresh_hz.iter().find(|rate| !(10.0..=1000.0).contains(*rate)) {
            say("refresh_hz", None, format!("has {rate}: rates must be 10 to 1000 Hz"));
        }
        let (least, most) = *self.ipd_m;
        if !(0.03..=0.1).contains(&least) || !(0.03..=0.1).contains(&most) || least > most {
            say("ipd_m", None, format!("is {least} to {most}: 0.03 to 0.1 metres, the smaller one first"));
        }
        if self.codecs.is_empty() || self.codecs.len() > Self::MAX_ENTRIES {
            say("codecs", None, format!("has {} entries: 1 to {}", self.codecs.len(), Self::MAX_ENTRIES));
        }
        for (index, codec) in self.codecs.iter().take(Self::MAX_ENTRIES).enumerate() {
            if let Err(message) = level::check(codec) {
                say("codecs", Some(index), message);
            }
        }
        if !(100_000..=2_000_000_000).contains(&*self.bitrate_max_bps) {
            let rate = *self.bitrate_max_bps;
            say("bitrate_max_bps", None, format!("is {rate}: 100000 to 2000000000 bits a second"));
        }
        faults
    }

    /// The highest refresh rate in Hz.
    pub fn max_refresh_hz(&self) -> f32 {
        self.refresh_hz.iter().copied().fold(0.0, f32::max)
    }

    /// Pixels a degree in the middle of an eye's view, across and down, where one eye is rendered as recommended: what a
    /// picture needs to look sharp. The two eyes' mean.
    pub fn px_per_deg(&self) -> Vec2 {
        let (width, height) = *self.render_px;
        let of = |fov: &EyeFov| {
            let tangents = fov.tangents();
            let spread = Vec2::new(tangents.left + tangents.right, tangents.up + tangents.down).max(Vec2::splat(1e-3));
            UVec2::new(width, height).as_vec2() / spread * 1_f32.to_radians()
        };
        (of(&self.left_fov) + of(&self.right_fov)) / 2.0
    }
}
