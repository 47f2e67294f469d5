//! Who watches a stream, how it fares there, and where they look.

use crate::{editor::Frame, theme::Colors};
use bevy::prelude::*;
use bevy_egui::egui;
use std::time::{Duration, Instant};
use studio_stream::{
    nodes::{ViewerReports, WebTransportStatus},
    publish::ViewerStatus,
};

/// Viewers that are listed.
const LISTED: usize = 32;
/// How often the heat map is drawn anew.
const MAP_EVERY: Duration = Duration::from_millis(500);

/// A heat map as a texture, and since when.
#[derive(Clone)]
struct Map {
    texture: egui::TextureHandle,
    made_at: Instant,
    looks: f64,
}

/// The viewers of an output, one line each, and the map of where they look.
pub(super) fn show(ui: &mut egui::Ui, frame: &Frame, output: Entity, status: &WebTransportStatus, colors: &Colors) {
    for limit_bps in status.bitrate_limits_bps.into_iter().flatten() {
        ui.colored_label(colors.warning, format!("held to {:.2} Mbit/s for the slowest viewer", f64::from(limit_bps) / 1e6));
    }
    if status.viewers.is_empty() {
        return;
    }
    for viewer in status.viewers.iter().take(LISTED) {
        line(ui, viewer, colors);
    }
    if status.viewers.len() > LISTED {
        ui.weak(format!("and {} more", status.viewers.len() - LISTED));
    }
    if let Some(reports) = frame.world.get::<ViewerReports>(output) {
        map(ui, reports, output);
    }
}

/// Two lines: who it is, and how it fares.
fn line(ui: &mut egui::Ui, viewer: &ViewerStatus, colors: &Colors) {
    let lost = share(viewer.path.packets_lost, viewer.path.packets_sent);
    let Some(report) = &viewer.report else {
        ui.label(viewer.address.to_string()).on_hover_text("It does not report how it fares.");
        ui.weak(format!("{lost} lost"));
        return;
    };
    let kind = report.viewer.as_ref().map_or("viewer", |info| info.kind.name());
    let name = report.viewer.as_ref().map_or("", |info| info.name.as_str());
    let number = |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
    let words = [
        ("name", name.to_owned()),
        ("address", viewer.address.to_string()),
        ("round trip", format!("{} ms", number(report.round_trip_ms, 0))),
        ("clock", format!("{} ms off", number(report.clock_offset_ms, 1))),
        ("pictures held", format!("{} ms", number(report.target_delay_ms, 0))),
        ("decoding, p95", format!("{} ms", number(report.decode_ms, 1))),
        ("generated", format!("{} a second", number(report.generated_hz, 1))),
        ("pictures lost", report.pictures_lost.unwrap_or(0).to_string()),
        ("groups skipped", report.groups_skipped.unwrap_or(0).to_string()),
        ("tiles lost", share(report.tiles_lost.unwrap_or(0), report.tiles.unwrap_or(0))),
        ("key frames asked for", report.key_frame_requests.unwrap_or(0).to_string()),
        ("could take", format!("{} Mbit/s", number(report.wanted_bps.map(|bps| bps / 1e6), 2))),
    ];
    let words = words.map(|(what, value)| format!("{what}: {value}")).join("\n");
    // A stranger's words: as text, and no wider than there is room.
    ui.add(egui::Label::new(format!("{kind}  {name}")).truncate()).on_hover_text(&words);
    let latency = report.latency_ms.map_or("–".to_owned(), |latency| format!("{:.0} / {:.0}", latency.p50, latency.p95));
    let rates = format!("{} Hz  {} Mbit/s", number(report.display_hz, 0), number(report.received_bps.map(|bps| bps / 1e6), 2));
    let many_lost = viewer.path.packets_lost * 50 > viewer.path.packets_sent;
    ui.horizontal(|ui| {
        ui.weak(format!("{latency} ms")).on_hover_text("Latency, p50 / p95");
        if many_lost {
            ui.colored_label(colors.warning, format!("{lost} lost"))
        } else {
            ui.weak(format!("{lost} lost"))
        };
        ui.weak(rates);
    });
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// Where viewers look, as the whole sphere: left is behind to the left, the middle is ahead.
fn map(ui: &mut egui::Ui, reports: &ViewerReports, output: Entity) {
    let id = egui::Id::new(("gaze", output));
    let old = ui.data(|data| data.get_temp::<Map>(id));
    let map = match old {
        Some(map) if map.made_at.elapsed() < MAP_EVERY => map,
        old => {
            let gaze = reports.gaze();
            let (columns, rows) = gaze.size();
            let image = egui::ColorImage::from_rgba_unmultiplied([columns, rows], &gaze.to_rgba());
            let texture = match old {
                Some(Map { mut texture, .. }) => {
                    texture.set(image, egui::TextureOptions::LINEAR);
                    texture
                }
                None => ui.ctx().load_texture("gaze", image, egui::TextureOptions::LINEAR),
            };
            let map = Map { texture, made_at: Instant::now(), looks: gaze.total() };
            ui.data_mut(|data| data.insert_temp(id, map.clone()));
            map
        }
    };
    if map.looks < 0.01 {
        ui.weak("Nobody says where they look.");
        return;
    }
    let width = ui.available_width().min(280.0);
    let (rect, response) = ui.allocate_exact_size(egui::vec2(width, width / 2.0), egui::Sense::hover());
    let whole = egui::Rect::from_min_max(egui::Pos2::ZERO, egui::pos2(1.0, 1.0));
    ui.painter().rect_filled(rect, 2, egui::Color32::BLACK);
    ui.painter().image(map.texture.id(), rect, whole, egui::Color32::WHITE);
    let line = egui::Stroke::new(1.0, egui::Color32::from_white_alpha(60));
    ui.painter().hline(rect.x_range(), rect.center().y, line);
    ui.painter().vline(rect.center().x, rect.y_range(), line);
    response.on_hover_text(
        "Where viewers look: the whole sphere, ahead in the middle; red is most.\nA look counts half after ten seconds.",
    );
}
