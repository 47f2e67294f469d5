//! Where the time goes, how loud it is, what was dropped, what the encoders make.

use super::{sound, viewers};
use crate::{editor::Frame, theme::Colors};
use bevy::prelude::*;
use bevy_egui::egui::{self, Stroke};
use std::time::{Duration, Instant};
use studio_frame::prelude::*;
use studio_graph::{blueprint::spawn::children, prelude::*};
use studio_stream::nodes::WebTransportStatus;

/// Bytes a second of an encoder, over about a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    at: Instant,
    bytes: u64,
    bits_per_second: f64,
}

/// Where the time goes, what was dropped, what the encoders make.
pub(super) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let colors = Colors::of(ui);
    egui::ScrollArea::vertical().id_salt("figures").auto_shrink([false, false]).show(ui, |ui| {
        let stages = frame.world.get_resource::<LatencyLedger>().map(LatencyLedger::summary).unwrap_or_default();
        ui.strong("Latency");
        if stages.is_empty() {
            ui.weak("No frame has passed yet.");
        }
        let longest = stages.iter().map(|stage| stage.p95_ms).fold(1.0, f32::max);
        for stage in &stages {
            let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), 17.0), egui::Sense::hover());
            let (bar, end) = (
                rect.with_max_x(rect.left() + rect.width() * stage.p50_ms / longest),
                rect.left() + rect.width() * stage.p95_ms / longest,
            );
            ui.painter().rect_filled(bar, 2, colors.viewed.gamma_multiply(0.45));
            ui.painter().vline(end.min(rect.right() - 1.0), rect.y_range(), Stroke::new(1.5, colors.selection));
            let font = egui::FontId::proportional(12.0);
            let words = format!("{:.1} / {:.1} ms", stage.p50_ms, stage.p95_ms);
            ui.painter().text(
                rect.left_center() + egui::vec2(4.0, 0.0),
                egui::Align2::LEFT_CENTER,
                stage.stage.0,
                font.clone(),
                colors.text,
            );
            ui.painter().text(rect.right_center() - egui::vec2(4.0, 0.0), egui::Align2::RIGHT_CENTER, words, font, colors.text);
            response.on_hover_text(format!(
                "{}: {} frames\np50 {:.2} ms (bar), p95 {:.2} ms (line), at most {:.2} ms",
                stage.stage.0, stage.count, stage.p50_ms, stage.p95_ms, stage.max_ms
            ));
        }
        ui.add_space(6.0);
        sound::show(ui, frame, &colors);
        let mut shown = false;
        for node in frame.shown.nodes.iter() {
            let Some(output) = node.outputs.iter().find(|pin| pin.data_type == DataType::PACKET) else { continue };
            let Some(stats) = frame.world.get::<PacketBus>(output.entity).map(PacketBus::stats) else { continue };
            if !core::mem::replace(&mut shown, true) {
                ui.strong("Encoders");
            }
            let rate = rate(&mut frame.editor.live.rates, output.entity, stats.bytes);
            ui.horizontal_wrapped(|ui| {
                ui.label(&node.name);
                ui.weak(format!("{} frames, {:.2} Mbit/s", stats.items, rate / 1e6));
                if stats.dropped > 0 {
                    ui.colored_label(colors.warning, format!("{} dropped", stats.dropped));
                } else {
                    ui.weak("none dropped");
                }
            });
        }
        for node in frame.shown.nodes.iter() {
            // Some nodes have an output inside.
            let mut outputs = core::iter::once(node.entity).chain(children(frame.world, node.entity));
            let found = outputs.find_map(|output| Some((output, frame.world.get::<WebTransportStatus>(output)?)));
            let Some((output, status @ WebTransportStatus { viewer_link: Some(link), stats, .. })) = found else { continue };
            let rate = rate(&mut frame.editor.live.rates, output, stats.access_unit_bytes + stats.audio_unit_bytes);
            let count = if stats.sessions == 1 { "1 viewer".to_owned() } else { format!("{} viewers", stats.sessions) };
            ui.horizontal_wrapped(|ui| {
                ui.strong(&node.name);
                ui.weak(format!("{count}, {:.2} Mbit/s each", rate / 1e6));
            });
            if ui
                .add(egui::Label::new(egui::RichText::new(link).small().monospace()).wrap().sense(egui::Sense::click()))
                .on_hover_text("The viewers' link: click to copy")
                .clicked()
            {
                ui.ctx().copy_text(link.clone());
            }
            viewers::show(ui, frame, output, status, &colors);
        }
        if let Some(copies) = frame.world.get_resource::<CopyCounters>() {
            let [cpu, upload, readback] = copies.mean_per_frame();
            ui.weak(format!("Copies a frame: CPU {cpu:.2}, upload {upload:.2}, readback {readback:.2}"));
        }
    });
    ui.ctx().request_repaint_after(Duration::from_millis(500));
}

fn rate(rates: &mut Vec<(Entity, Rate)>, entity: Entity, bytes: u64) -> f64 {
    let now = Instant::now();
    let Some((_, rate)) = rates.iter_mut().find(|(of, _)| *of == entity) else {
        rates.push((entity, Rate { at: now, bytes, bits_per_second: 0.0 }));
        return 0.0;
    };
    let seconds = (now - rate.at).as_secs_f64();
    if seconds >= 1.0 {
        rate.bits_per_second = bytes.saturating_sub(rate.bytes) as f64 * 8.0 / seconds;
        (rate.at, rate.bytes) = (now, bytes);
    }
    rate.bits_per_second
}
