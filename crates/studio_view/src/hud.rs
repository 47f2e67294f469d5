//! The head-up display: where the latency goes, what the network brings, what was generated.

use crate::{
    input::{StreamInput, StreamInputStats},
    stats::ViewStats,
};
use bevy::prelude::*;
use bevy_egui::{EguiContexts, egui};
use studio_frame::prelude::*;
use studio_graph::prelude::*;
use studio_media::nodes::AudioOutput;
use studio_stream::subscribe::StreamQuality;
use studio_vision::nodes::{FrameSynthesis, SynthesisCounts};

/// Whether the display is shown.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct HudVisible(pub bool);

impl Default for HudVisible {
    fn default() -> Self {
        Self(true)
    }
}

/// Draws the display over the view.
pub(crate) fn draw_hud(
    mut contexts: EguiContexts,
    visible: Res<HudVisible>,
    ledger: Res<LatencyLedger>,
    stats: Res<ViewStats>,
    inputs: Query<(&StreamInput, &StreamInputStats, &NodeStatus)>,
    outputs: Query<(&AudioOutput, &NodeStatus)>,
    synthesis: Query<&FrameSynthesis>,
    counts: Res<SynthesisCounts>,
) -> Result {
    if !visible.0 {
        return Ok(());
    }
    let counters = stats.get();
    egui::Window::new("Stream").anchor(egui::Align2::LEFT_TOP, [8.0, 8.0]).resizable(false).show(contexts.ctx_mut()?, |ui| {
        egui::Grid::new("stream").num_columns(2).striped(true).show(ui, |ui| {
            let mut row = |name: &str, value: String| {
                ui.label(name);
                ui.monospace(value);
                ui.end_row();
            };
            for (settings, input, status) in &inputs {
                row("connection", input.connection.clone());
                if let Some(error) = status.error() {
                    row("error", error.to_owned());
                }
                if input.renditions.len() > 1 {
                    row("quality", quality(settings, input));
                }
                row("bit rate", format!("{:.2} Mbit/s", input.bitrate_bps / 1e6));
                row("lost tiles", format!("{} of {}", input.lost_tiles, input.tiles));
                row("groups skipped", format!("{} · key frames asked for {}", input.groups_skipped, input.key_frame_requests));
                row("held", format!("{:.0} ms · round trip {:.0} ms", input.target_delay_ms, input.round_trip_ms));
                if let Some(offset_ms) = input.clock_offset_ms {
                    row("clock", format!("{offset_ms:+.1} ms, {:+.0} ppm", input.clock_drift_ppm));
                }
                if !input.sound.is_empty() {
                    row("sound", format!("{} ({} lost)", input.sound, input.audio_units_lost));
                }
            }
            for (output, status) in &outputs {
                row("volume", volume(output, status));
            }
            row("received", format!("{:.1} frames/s", counters.shown_hz()));
            row("drawn", format!("{:.1} frames/s", counters.drawn_hz(counts.generated())));
            for node in &synthesis {
                row("generated", format!("{} ({:?})", counts.generated(), node.mode));
            }
            row("never drawn", counters.skipped.to_string());
        });
        ui.separator();
        egui::Grid::new("ledger").num_columns(3).striped(true).show(ui, |ui| {
            for heading in ["stage", "p50 ms", "p95 ms"] {
                ui.strong(heading);
            }
            ui.end_row();
            for stage in ledger.summary() {
                ui.label(stage.stage.0);
                ui.monospace(format!("{:6.1}", stage.p50_ms));
                ui.monospace(format!("{:6.1}", stage.p95_ms));
                ui.end_row();
            }
        });
        ui.separator();
        ui.small("drag or arrows: look · wheel: zoom · G: generation · V: quality · P: pause · M: mute · Page Up/Down: volume");
        ui.small("H: this · F: full screen · R: ahead · Q: quit");
    });
    Ok(())
}

/// Which rendition is received, and who chose it.
fn quality(settings: &StreamInput, input: &StreamInputStats) -> String {
    let of = input.renditions.len();
    let chosen = match &settings.quality {
        StreamQuality::Auto => "automatic".to_owned(),
        StreamQuality::Low => "the lowest".to_owned(),
        StreamQuality::High => "the highest".to_owned(),
        StreamQuality::Named(name) if input.renditions.contains(name) => "by hand".to_owned(),
        StreamQuality::Named(name) => format!("there is no {name}, so automatic"),
    };
    format!("{} · {chosen}, of {of}", input.rendition)
}

/// How loud it is, or why nothing is heard.
fn volume(output: &AudioOutput, status: &NodeStatus) -> String {
    match (status.error(), output.mute) {
        (Some(error), _) => error.to_owned(),
        (None, true) => "muted".to_owned(),
        (None, false) => format!("{:+.0} dB", output.gain_db),
    }
}
