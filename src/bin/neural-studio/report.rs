//! What the program says: lines, the table of figures, and the same as JSON.

use neural_studio::{
    studio_frame::ledger::{LatencyLedger, StageSummary},
    studio_stream::{nodes::WebTransportStatus, qr::terminal_code, viewer_link::ViewerLink},
};
use serde::{Deserialize, Serialize};
use std::{
    io::{IsTerminal as _, Write as _},
    path::Path,
};

/// Prints a line. A closed pipe is not an error worth dying of.
pub fn say(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Prints an error.
pub fn complain(error: &str) {
    drop(writeln!(std::io::stderr(), "neural-studio: {error}"));
}

/// Says where a stream can be watched. A terminal also gets a code for phones, where the link is one that they can reach.
pub fn say_links(status: &WebTransportStatus) {
    let Some(link) = &status.viewer_link else { return };
    say(&format!("watch: neural-studio view '{link}'"));
    let Some(page) = &status.page_link else { return };
    say(&format!("in a browser: {page}"));
    let reachable = link.parse::<ViewerLink>().is_ok_and(|link| !link.is_loopback());
    if let Some(code) = terminal_code(page).filter(|_| reachable && std::io::stdout().is_terminal()) {
        say(code.trim_end());
    }
}

/// One stage's durations.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StageFigures {
    /// The stage.
    pub stage: String,
    /// Frames.
    pub count: u64,
    /// Median in milliseconds.
    pub p50_ms: f32,
    /// 95th percentile in milliseconds.
    pub p95_ms: f32,
}

impl From<StageSummary> for StageFigures {
    fn from(summary: StageSummary) -> Self {
        Self { stage: summary.stage.0.to_owned(), count: summary.count, p50_ms: summary.p50_ms, p95_ms: summary.p95_ms }
    }
}

/// The stages of a ledger.
pub fn stages(ledger: &LatencyLedger) -> Vec<StageFigures> {
    ledger.summary().into_iter().map(StageFigures::from).collect()
}

/// What a viewer reports when it ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ViewerReport {
    /// The stages on the viewer's side.
    pub stages: Vec<StageFigures>,
    /// Access units received.
    pub received: u64,
    /// Pictures decoded.
    pub decoded: u64,
    /// Received pictures drawn.
    pub shown: u64,
    /// Received pictures never drawn.
    pub never_shown: u64,
    /// Pictures whose number did not grow.
    pub out_of_order: u64,
    /// Pictures generated and drawn.
    pub generated: u64,
    /// Pictures that lacked the motion to be generated.
    pub without_motion: u64,
    /// Marks read that agreed with the packet's stamp.
    pub marks_read: u64,
    /// Marks read that did not.
    pub marks_wrong: u64,
    /// Received pictures drawn a second.
    pub shown_hz: f32,
    /// All pictures drawn a second.
    pub drawn_hz: f32,
    /// Bits received a second.
    pub bitrate_bps: f64,
    /// Motion tiles received or known to be lost.
    pub tiles: u64,
    /// Motion tiles lost.
    pub lost_tiles: u64,
    /// Units of sound received.
    pub audio_units: u64,
    /// Units of sound that came too late.
    pub audio_units_lost: u64,
    /// Times the viewer connected again.
    pub reconnects: u64,
    /// Resident memory in the first and the last minute, in MiB.
    pub resident_mib: Option<[f32; 2]>,
}

/// What the studio's side of a demo reports.
#[derive(Clone, Debug, Serialize)]
pub struct StudioReport {
    /// The GPU.
    pub adapter: String,
    /// The quality preset.
    pub quality: neural_studio::quality::Quality,
    /// How long the stream ran.
    pub seconds: f32,
    /// The stages on the studio's side.
    pub stages: Vec<StageFigures>,
    /// Frames that the source captured.
    pub captured: u64,
    /// Frames dropped before the graph because newer ones came.
    pub dropped: u64,
    /// Access units encoded.
    pub encoded: u64,
    /// Bits encoded a second.
    pub bitrate_bps: f64,
    /// Mean copies of a frame: system memory, upload, readback.
    pub copies_per_frame: [f32; 3],
    /// The recording.
    pub recording: String,
    /// Resident memory when streaming began and at the end, in MiB.
    pub resident_mib: Option<[f32; 2]>,
}

/// Both sides.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// The studio's side.
    pub studio: StudioReport,
    /// The viewer's side.
    pub viewer: ViewerReport,
}

impl DemoReport {
    /// The table that people read.
    pub fn table(&self) -> String {
        let Self { studio, viewer } = self;
        let mut lines = vec![
            String::new(),
            format!(
                "{} · preset {} · {} · {:.1} s",
                studio.adapter, studio.quality.name, studio.quality.picture_size, studio.seconds
            ),
            String::new(),
            format!("{:<24}{:>9}{:>11}{:>11}", "stage", "frames", "p50 ms", "p95 ms"),
        ];
        let mut rows = |side: &str, stages: &[StageFigures]| {
            lines.push(format!("  {side}"));
            lines.extend(stages.iter().map(|figures| {
                format!("{:<24}{:>9}{:>11.2}{:>11.2}", figures.stage, figures.count, figures.p50_ms, figures.p95_ms)
            }));
        };
        rows("studio", &studio.stages);
        rows("viewer", &viewer.stages);
        let copies = studio.copies_per_frame;
        lines.extend([
            String::new(),
            format!("frames      captured {} · dropped {} · encoded {}", studio.captured, studio.dropped, studio.encoded),
            format!(
                "            received {} · decoded {} · shown {} · never shown {} · out of order {}",
                viewer.received, viewer.decoded, viewer.shown, viewer.never_shown, viewer.out_of_order
            ),
            format!(
                "            generated {} · without motion {} · shown {:.1} Hz, drawn {:.1} Hz",
                viewer.generated, viewer.without_motion, viewer.shown_hz, viewer.drawn_hz
            ),
            format!(
                "bit rate    encoded {:.2} Mbit/s · received {:.2} Mbit/s",
                studio.bitrate_bps / 1e6,
                viewer.bitrate_bps / 1e6
            ),
            format!("motion      tiles {} · lost {}", viewer.tiles, viewer.lost_tiles),
            format!("copies      CPU {:.2} · upload {:.2} · readback {:.2} a frame", copies[0], copies[1], copies[2]),
            format!("marks       read {} · wrong {}", viewer.marks_read, viewer.marks_wrong),
        ]);
        if let Some(glass) = viewer.stages.iter().find(|stage| stage.stage == "glass to glass") {
            lines.push(format!(
                "glass to glass, from the mark in the picture: p50 {:.1} ms, p95 {:.1} ms",
                glass.p50_ms, glass.p95_ms
            ));
        }
        lines.join("\n")
    }
}

/// Writes a value as JSON.
///
/// # Errors
/// Says which file could not be written, and why.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), crate::Failure> {
    let json = serde_json::to_string_pretty(value)?;
    std::fs::write(path, json).map_err(|error| format!("{} cannot be written: {error}", path.display()).into())
}

/// Resident memory of this program in MiB, where the system tells.
pub fn resident_mib() -> Option<f32> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib: f32 =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
