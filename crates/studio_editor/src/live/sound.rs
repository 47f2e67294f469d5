//! The mixers' strips: how loud each input is, its gain, and whether it is silenced.

use crate::{edit, editor::Frame, shown::ShownNode, theme::Colors};
use bevy::prelude::*;
use bevy_egui::egui::{self, Stroke};
use core::time::Duration;
use studio_frame::prelude::*;
use studio_graph::blueprint::settings::text_of;
use studio_media::{
    audio::{AudioMeters, MixerChannel},
    nodes::AudioMixer,
};

/// Least level that a meter shows, in dBFS.
const FLOOR_DBFS: f32 = -60.0;
/// From here on a meter warns.
const LOUD_DBFS: f32 = -9.0;
/// From here on it is too loud.
const HOT_DBFS: f32 = -2.0;

/// What the user did to a strip.
#[derive(Default)]
struct Turned {
    mute: Option<bool>,
    gain_db: Option<f32>,
    done: bool,
}

pub(super) fn show(ui: &mut egui::Ui, frame: &mut Frame, colors: &Colors) {
    let mixers: Vec<ShownNode> =
        frame.shown.nodes.iter().filter(|node| frame.world.get::<AudioMixer>(node.entity).is_some()).cloned().collect();
    for node in mixers {
        let world = &frame.world;
        let (Some(mixer), Some(meters)) = (world.get::<AudioMixer>(node.entity), world.get::<AudioMeters>(node.entity)) else {
            continue;
        };
        let (mut mixer, meters) = (mixer.clone(), meters.clone());
        ui.strong(&node.name);
        let mut sealed = false;
        for (place, pin) in node.inputs.iter().enumerate().take(mixer.inputs as usize) {
            let channel = mixer.channels.get(place).copied().unwrap_or_default();
            let meter = meters.inputs.get(place).copied().unwrap_or_default();
            let note = if meter.late_ms > 0.0 {
                format!("{:.0} ms too late: raise “latency_ms” of the mixer", meter.late_ms)
            } else {
                let delay = channel.delay_ms;
                if delay > 0.0 { format!("{} delayed by {delay:.0} ms", pin.name) } else { pin.name.clone() }
            };
            let feeds = frame.shown.links.iter().find(|link| link.link.to == (node.name.clone(), pin.name.clone()));
            let name = feeds.map_or("–", |link| link.link.from.0.as_str()).to_owned();
            let turned = strip(ui, colors, &name, meter.level, meter.late_ms > 0.0, channel.mute, channel.gain_db);
            turned.0.on_hover_text(format!("{note}\n{}", level_words(meter.level)));
            let turned = turned.1;
            sealed |= turned.done;
            if turned.mute.is_none() && turned.gain_db.is_none() {
                continue;
            }
            if mixer.channels.len() <= place {
                mixer.channels.resize(place + 1, MixerChannel::default());
            }
            let channel = &mut mixer.channels[place];
            channel.mute = turned.mute.unwrap_or(channel.mute);
            channel.gain_db = turned.gain_db.unwrap_or(channel.gain_db);
            change(frame, &node.name, "channels", &mixer.channels);
        }
        let output = strip(ui, colors, "output", meters.output, meters.limited, mixer.mute, mixer.gain_db);
        let limited = if meters.limited { "\nthe limiter works: lower a gain" } else { "" };
        output.0.on_hover_text(format!("{}{limited}", level_words(meters.output)));
        sealed |= output.1.done;
        if let Some(mute) = output.1.mute {
            change(frame, &node.name, "mute", &mute);
        }
        if let Some(gain_db) = output.1.gain_db {
            change(frame, &node.name, "gain_db", &gain_db);
        }
        if sealed {
            frame.document.seal();
        }
        ui.add_space(6.0);
    }
}

fn change(frame: &mut Frame, node: &str, field: &str, value: &dyn PartialReflect) {
    let registry = frame.world.resource::<AppTypeRegistry>().clone();
    let text = text_of(&registry.read(), value);
    match text {
        Ok(text) => {
            let step = format!("Set {node}.{field}");
            frame.edit(step, Some(format!("set {node}.{field}")), |blueprint| {
                edit::set_setting(blueprint, node, field, Some(text))
            });
        }
        Err(error) => frame.complain(error),
    }
}

/// One strip: mute, meter with its name, gain.
fn strip(
    ui: &mut egui::Ui,
    colors: &Colors,
    name: &str,
    level: AudioLevel,
    warns: bool,
    mute: bool,
    gain_db: f32,
) -> (egui::Response, Turned) {
    let mut turned = Turned::default();
    let response = ui.horizontal(|ui| {
        let words = egui::RichText::new("M").color(if mute { colors.error } else { colors.text });
        if ui.add(egui::Button::new(words).small().selected(mute)).on_hover_text("Mute").clicked() {
            (turned.mute, turned.done) = (Some(!mute), true);
        }
        let room = egui::vec2((ui.available_width() - 76.0).max(60.0), 17.0);
        let (rect, response) = ui.allocate_exact_size(room, egui::Sense::hover());
        meter(ui, rect, colors, name, level, warns);
        let mut gain = gain_db;
        let drag = ui.add(egui::DragValue::new(&mut gain).range(-100.0..=20.0).speed(0.2).max_decimals(1).suffix(" dB"));
        turned.done |= drag.drag_stopped() || drag.lost_focus();
        if drag.on_hover_text("Gain: drag, or click and type").changed() {
            turned.gain_db = Some(gain);
        }
        response
    });
    (response.inner, turned)
}

/// A bar up to the mean level, a line at the peak, over a scale from -60 to 0 dBFS.
fn meter(ui: &egui::Ui, rect: egui::Rect, colors: &Colors, name: &str, level: AudioLevel, warns: bool) {
    let place = |dbfs: f32| rect.left() + rect.width() * ((dbfs - FLOOR_DBFS) / -FLOOR_DBFS).clamp(0.0, 1.0);
    let painter = ui.painter();
    painter.rect_filled(rect, 2, colors.grid);
    for (from, to, color) in
        [(FLOOR_DBFS, LOUD_DBFS, colors.good), (LOUD_DBFS, HOT_DBFS, colors.warning), (HOT_DBFS, 0.0, colors.error)]
    {
        let end = level.rms_dbfs.min(to);
        if end > from {
            painter.rect_filled(rect.with_min_x(place(from)).with_max_x(place(end)), 0, color.gamma_multiply(0.6));
        }
    }
    if level.peak_dbfs > FLOOR_DBFS {
        let color = match level.peak_dbfs {
            peak if peak > HOT_DBFS => colors.error,
            peak if peak > LOUD_DBFS => colors.warning,
            _ => colors.good,
        };
        painter.vline(place(level.peak_dbfs).min(rect.right() - 1.0), rect.y_range(), Stroke::new(2.0, color));
    }
    let color = if warns { colors.error } else { colors.text };
    let font = egui::FontId::proportional(12.0);
    painter.text(rect.left_center() + egui::vec2(4.0, 0.0), egui::Align2::LEFT_CENTER, name, font.clone(), color);
    let words = if level.peak_dbfs > AudioLevel::SILENT_DBFS { format!("{:.0}", level.peak_dbfs) } else { "silent".to_owned() };
    painter.text(rect.right_center() - egui::vec2(4.0, 0.0), egui::Align2::RIGHT_CENTER, words, font, colors.text);
    if level.peak_dbfs > AudioLevel::SILENT_DBFS {
        ui.ctx().request_repaint_after(Duration::from_millis(50));
    }
}

fn level_words(level: AudioLevel) -> String {
    if level.peak_dbfs <= AudioLevel::SILENT_DBFS {
        return "silent".to_owned();
    }
    format!("peak {:.1} dBFS (line), mean {:.1} dBFS (bar)", level.peak_dbfs, level.rms_dbfs)
}
