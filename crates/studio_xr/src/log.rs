//! The event log: what the runtime said and what was handed to it, one JSON object a line. For support, and for tests.

use parking_lot::Mutex;
use serde::Serialize;
use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::Instant,
};

/// One event.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// A runtime with a headset was found.
    Connected { runtime: String, headset: String, equirect2: bool, gaze: bool, blend_modes: Vec<String>, eye_px: [u32; 2] },
    /// There is no headset, or no more; whether it is tried again.
    Lost { error: String, again: bool },
    /// The session is in another state.
    State { state: String },
    /// A frame of the display, as it was handed to the compositor.
    Frame(FrameEvent),
    /// The view was turned to where the head looks.
    Recentred { yaw_deg: f32 },
    /// The head is not tracked any more, or again.
    Tracking { tracked: bool },
    /// A button of a controller had this meaning.
    Wish { wish: String },
    /// The controllers are these now, by the names of their profiles; empty where there is none.
    Controllers { left: String, right: String },
    /// The session is over.
    Ended { frames: u64, with_picture: u64, repeated: u64 },
}

/// One frame of the display.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FrameEvent {
    pub number: u64,
    /// When it is seen, in nanoseconds of the runtime's clock.
    pub display_ns: i64,
    pub period_ns: i64,
    /// Whether the runtime wants to have it drawn.
    pub should_render: bool,
    /// What was handed over, from the back to the front.
    pub layers: Vec<&'static str>,
    /// The places of the eyes, in metres.
    pub eyes_m: [[f32; 3]; 2],
    /// Where the head looks, in degrees to the right and up.
    pub head_deg: [f32; 2],
    /// The number of the picture that is seen.
    pub picture: Option<u64>,
    /// Whether that picture is seen for the first time.
    pub fresh: bool,
    /// How old it will be when it is seen, in milliseconds.
    pub age_ms: Option<f32>,
}

#[derive(Serialize)]
struct Line<'a> {
    ms: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// Frames that are logged one by one; after them, one in [`SPARSE`] is.
const DENSE: u64 = 2_000;
const SPARSE: u64 = 100;

struct Open {
    file: File,
    broken: bool,
}

/// Where events go. Clones write into the same file; without one, nothing is written.
#[derive(Clone)]
pub(crate) struct XrLog {
    started: Instant,
    open: Option<Arc<Mutex<Open>>>,
}

impl XrLog {
    pub fn none() -> Self {
        Self { started: Instant::now(), open: None }
    }

    pub fn create(path: &Path) -> io::Result<Self> {
        let open = Open { file: File::create(path)?, broken: false };
        Ok(Self { started: Instant::now(), open: Some(Arc::new(Mutex::new(open))) })
    }

    pub fn write(&self, event: Event) {
        let Some(open) = &self.open else { return };
        if let Event::Frame(frame) = &event
            && frame.number > DENSE
            && !frame.number.is_multiple_of(SPARSE)
        {
            return;
        }
        let line = Line { ms: self.started.elapsed().as_millis() as u64, event: &event };
        let mut open = open.lock();
        if open.broken {
            return;
        }
        // One write a line: what is there when the program ends abruptly can be read.
        let written = serde_json::to_string(&line).map_err(io::Error::other).and_then(|text| writeln!(open.file, "{text}"));
        if let Err(error) = written {
            bevy::log::warn!("the headset's event log ends here: {error}");
            open.broken = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_lines_of_json_and_a_long_session_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let log = XrLog::create(&path).unwrap();
        log.write(Event::State { state: "READY".to_owned() });
        for number in 1..=3_000 {
            log.write(Event::Frame(FrameEvent { number, ..FrameEvent::default() }));
        }
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["event"], &lines[0]["state"]), (&"state".into(), &"READY".into()));
        assert_eq!(lines.len(), 1 + 2_000 + 10);
        assert_eq!(lines[1]["event"], "frame");
    }
}
