//! What a viewer tells the studio of itself.
//!
//! A viewer publishes a broadcast of its own on the session that it watches with: `viewers/ID`, where [`ViewerId`] is chance.
//! Its track [`REPORT_TRACK`] has one group a report, and each group one frame of JSON, at most [`MAX_REPORT_BYTES`]. A report
//! is due once a second, and at once when the viewer wants a key frame. Everything in it may be missing but `version`, keys
//! that are not known are passed over, and a value that cannot be makes the report garbage: the studio counts it and waits for
//! the next one.
//!
//! | key | what it says |
//! |---|---|
//! | `version` | 1 |
//! | `viewer` | `kind`: `desktop`, `browser` or `openxr`; `name`, for people |
//! | `session` | the catalog's session number, in its spelling |
//! | `video` | the track that is played |
//! | `latencyMs` | `p50` and `p95` of the age of pictures when they are drawn, from capture on, the clocks' difference taken out |
//! | `clockOffsetMs` | the viewer's clock less the studio's |
//! | `roundTripMs` | the network's round trip |
//! | `displayHz`, `decodedHz`, `generatedHz`, `repeatedHz` | pictures drawn, decoded, made and drawn twice, in a second |
//! | `decodeMs` | the 95th percentile of what decoding takes |
//! | `targetDelayMs` | how long pictures are held to be shown evenly |
//! | `receivedBps` | bits received a second |
//! | `pictures`, `picturesLost`, `groupsSkipped`, `tiles`, `tilesLost`, `garbage` | counts since the session began |
//! | `keyFrameRequests` | a counter; where it rises, a key frame is asked for |
//! | `wantedBps` | the bit rate that the viewer believes it can take |
//! | `gaze` | where the middle of the view looked: at most [`MAX_GAZE_SAMPLES`] of `[msBeforeReport, yawDeg, pitchDeg]` |

mod export;
mod gaze;
mod id;

pub use export::{to_csv, to_json};
pub use gaze::{GazeMap, SPLAT_DEG};
pub use id::{VIEWERS_PREFIX, ViewerId};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeTuple};

/// The track that reports come on.
pub const REPORT_TRACK: &str = "report.json";
/// Largest report read, in bytes.
pub const MAX_REPORT_BYTES: usize = 16 * 1024;
/// Directions in one report at most.
pub const MAX_GAZE_SAMPLES: usize = 64;
/// Longest name of a viewer, in characters.
pub const MAX_NAME_CHARS: usize = 80;
/// The version of the reports.
pub const VERSION: u32 = 1;
/// Longest name of a track, in bytes: as in the catalog.
const MAX_TRACK_NAME_BYTES: usize = 64;
/// Longest time that is believed, in milliseconds: an hour.
const MAX_MS: f64 = 3_600_000.0;
/// Clocks may differ by all of history.
const MAX_CLOCK_MS: f64 = 1e13;
/// Fastest display or decoder.
const MAX_HZ: f64 = 10_000.0;
/// Highest bit rate.
const MAX_BPS: f64 = 1e12;

/// Why a report is garbage.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Too large to be one.
    #[error("a report of {0} bytes is larger than {MAX_REPORT_BYTES}")]
    TooLarge(usize),
    /// Not JSON, or of other types.
    #[error("the report cannot be read: {0}")]
    Format(#[from] serde_json::Error),
    /// A later report than is understood here.
    #[error("version {0} of the reports is not understood here; viewer and studio need the same release")]
    Version(u32),
    /// A value outside of its range.
    #[error("`{0}` in the report is out of range")]
    Range(&'static str),
}

/// What shows the stream.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum ViewerKind {
    /// The viewer of the studio, in a window or headless.
    #[default]
    Desktop,
    /// The page.
    Browser,
    /// A headset.
    OpenXr,
}

impl ViewerKind {
    /// The kind as reports spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Browser => "browser",
            Self::OpenXr => "openxr",
        }
    }
}

/// Who watches.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct ViewerInfo {
    /// What shows the stream.
    pub kind: ViewerKind,
    /// A name for people, such as `Chromium 156, Linux`; at most [`MAX_NAME_CHARS`] characters.
    #[serde(default)]
    pub name: String,
}

/// Two percentiles of a time.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// What 19 of 20 do not exceed.
    pub p95: f64,
}

/// A direction that was looked in.
#[derive(Deserialize, Clone, Copy, Debug, Default, PartialEq)]
#[serde(from = "(f64, f64, f64)")]
pub struct GazeSample {
    /// How long before the report, in milliseconds.
    pub ms_before_report: f64,
    /// To the right from the picture's middle, -180 to 180.
    pub yaw_deg: f64,
    /// Up from the horizon, -90 to 90.
    pub pitch_deg: f64,
}

impl From<(f64, f64, f64)> for GazeSample {
    fn from((ms_before_report, yaw_deg, pitch_deg): (f64, f64, f64)) -> Self {
        Self { ms_before_report, yaw_deg, pitch_deg }
    }
}

impl Serialize for GazeSample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(3)?;
        for value in [self.ms_before_report, self.yaw_deg, self.pitch_deg] {
            // A hundredth of a degree is far finer than anybody looks.
            tuple.serialize_element(&((value * 100.0).round() / 100.0))?;
        }
        tuple.end()
    }
}

/// What a viewer says of itself: see the [module](self) for each value.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the table above describes them, with their names on the wire")]
pub struct ViewerReport {
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer: Option<ViewerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decoded_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generated_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeated_hz: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decode_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_delay_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_bps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pictures_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_skipped: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiles_lost: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_frame_requests: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted_bps: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_none")]
    pub gaze: Vec<GazeSample>,
}

/// Scripts write `null` for what they do not know.
fn null_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<GazeSample>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl ViewerReport {
    /// Reads a report.
    ///
    /// # Errors
    /// It is too large, no JSON, of another version, or a value is outside of its range.
    pub fn parse(json: &[u8]) -> Result<Self, ReportError> {
        if json.len() > MAX_REPORT_BYTES {
            return Err(ReportError::TooLarge(json.len()));
        }
        let mut report: Self = serde_json::from_slice(json)?;
        match report.version {
            Some(VERSION) => {}
            Some(other) => return Err(ReportError::Version(other)),
            None => return Err(ReportError::Range("version")),
        }
        report.check()?;
        if let Some(viewer) = &mut report.viewer {
            viewer.name = clean(&viewer.name);
        }
        Ok(report)
    }

    /// Writes a report.
    ///
    /// # Errors
    /// A value is outside of its range.
    pub fn to_json(&self) -> Result<Vec<u8>, ReportError> {
        self.check()?;
        let mut report = self.clone();
        report.version = Some(VERSION);
        if let Some(viewer) = &mut report.viewer {
            viewer.name = clean(&viewer.name);
        }
        let json = serde_json::to_vec(&report)?;
        if json.len() > MAX_REPORT_BYTES { Err(ReportError::TooLarge(json.len())) } else { Ok(json) }
    }

    fn check(&self) -> Result<(), ReportError> {
        let within = |name, value: Option<f64>, lowest: f64, highest: f64| match value {
            // Not a number is in no range.
            Some(value) if !(lowest..=highest).contains(&value) => Err(ReportError::Range(name)),
            _ => Ok(()),
        };
        let latency = self.latency_ms;
        // Where the clocks' difference is not known well, a picture may seem to be drawn before it was captured.
        within("latencyMs.p50", latency.map(|latency| latency.p50), -MAX_MS, MAX_MS)?;
        within("latencyMs.p95", latency.map(|latency| latency.p95), -MAX_MS, MAX_MS)?;
        within("clockOffsetMs", self.clock_offset_ms, -MAX_CLOCK_MS, MAX_CLOCK_MS)?;
        within("roundTripMs", self.round_trip_ms, 0.0, MAX_MS)?;
        within("displayHz", self.display_hz, 0.0, MAX_HZ)?;
        within("decodedHz", self.decoded_hz, 0.0, MAX_HZ)?;
        within("generatedHz", self.generated_hz, 0.0, MAX_HZ)?;
        within("repeatedHz", self.repeated_hz, 0.0, MAX_HZ)?;
        within("decodeMs", self.decode_ms, 0.0, MAX_MS)?;
        within("targetDelayMs", self.target_delay_ms, 0.0, MAX_MS)?;
        within("receivedBps", self.received_bps, 0.0, MAX_BPS)?;
        within("wantedBps", self.wanted_bps, 0.0, MAX_BPS)?;
        if self.gaze.len() > MAX_GAZE_SAMPLES {
            return Err(ReportError::Range("gaze"));
        }
        for sample in &self.gaze {
            within("gaze: time", Some(sample.ms_before_report), 0.0, MAX_MS)?;
            within("gaze: yaw", Some(sample.yaw_deg), -180.0, 180.0)?;
            within("gaze: pitch", Some(sample.pitch_deg), -90.0, 90.0)?;
        }
        if self
            .session
            .as_ref()
            .is_some_and(|session| session.len() > 16 || !session.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(ReportError::Range("session"));
        }
        if self.video.as_ref().is_some_and(|name| name.len() > MAX_TRACK_NAME_BYTES || name.chars().any(char::is_control)) {
            return Err(ReportError::Range("video"));
        }
        Ok(())
    }
}

/// A stranger's words as they may be shown: no control characters, none that turn the direction of writing, not too long.
fn clean(name: &str) -> String {
    let turns = |letter| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().filter(|letter| !letter.is_control() && !turns(*letter)).take(MAX_NAME_CHARS).collect()
}

#[cfg(test)]
mod tests;
