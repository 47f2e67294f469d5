//! Formulas and keys that move settings.

use crate::{editor::Frame, theme::Colors};
use bevy_egui::egui;
use studio_graph::{blueprint::BlueprintNode, clock::StudioTime, prelude::*};

/// The drivers of a field, below its widget. `set` takes a path and what drives it from now on.
pub(super) fn show(
    ui: &mut egui::Ui,
    frame: &mut Frame,
    node: &BlueprintNode,
    field: &str,
    set: &mut dyn FnMut(String, Option<Driver>),
) {
    let of_field = |path: &str| path == field || path.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']));
    for driven in node.drivers.iter().filter(|driven| of_field(&driven.path)) {
        let key = format!("{}\u{1}{}\u{1}driver", node.name, driven.path);
        ui.horizontal(|ui| {
            if ui.small_button("−").on_hover_text("No longer drive it").clicked() {
                set(driven.path.clone(), None);
            }
            let part = driven.path[field.len()..].trim_start_matches('.');
            ui.weak(if part.is_empty() { "ƒ" } else { part });
            if let Driver::Expression(formula) = &driven.driver
                && let Some(typed) = frame.editor.drafts.line(ui, &key, formula, "a formula of t, the time in seconds")
            {
                set(driven.path.clone(), Some(Driver::Expression(typed)));
            }
        });
        if let Driver::Keys { keys, between, repeat } = &driven.driver {
            let now = frame.world.resource::<StudioTime>().seconds();
            if let Some(changed) = keyed(ui, &key, keys, *between, *repeat, now) {
                set(driven.path.clone(), Some(changed));
            }
        }
    }
}

fn keyed(ui: &mut egui::Ui, id: &str, keys: &[(f64, f64)], between: Interpolation, repeat: bool, now: f64) -> Option<Driver> {
    let (mut keys, mut between, mut repeat) = (keys.to_vec(), between, repeat);
    let before = (keys.clone(), between, repeat);
    curve(ui, &keys, between, now);
    let mut removed = None;
    let count = keys.len();
    for (place, (time, value)) in keys.iter_mut().enumerate() {
        ui.horizontal(|ui| {
            if ui.add_enabled(count > 1, egui::Button::new("−").small()).clicked() {
                removed = Some(place);
            }
            ui.add(egui::DragValue::new(time).suffix(" s").speed(0.05));
            let speed = value.abs().max(1.0) / 100.0;
            ui.add(egui::DragValue::new(value).speed(speed));
        });
    }
    if let Some(place) = removed {
        keys.remove(place);
    }
    ui.horizontal(|ui| {
        if ui.small_button("+").on_hover_text("A key at the present time").clicked() {
            let value = keys.last().map(|(_, value)| *value).unwrap_or_default();
            keys.retain(|(time, _)| (time - now).abs() > 1e-3);
            keys.push((now, value));
        }
        egui::ComboBox::from_id_salt(id).selected_text(format!("{between:?}")).width(80.0).show_ui(ui, |ui| {
            for kind in [Interpolation::Linear, Interpolation::Smooth, Interpolation::Step] {
                ui.selectable_value(&mut between, kind, format!("{kind:?}"));
            }
        });
        ui.checkbox(&mut repeat, "repeat");
    });
    if (&keys, between, repeat) == (&before.0, before.1, before.2) {
        return None;
    }
    keys.sort_by(|one, other| one.0.total_cmp(&other.0));
    keys.dedup_by(|one, other| one.0 == other.0);
    Some(Driver::Keys { keys, between, repeat })
}

/// The curve that the keys make, and where the present is.
fn curve(ui: &mut egui::Ui, keys: &[(f64, f64)], between: Interpolation, now: f64) {
    const POINTS: usize = 80;
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
    let colors = Colors::of(ui);
    let (rect, _) = ui.allocate_exact_size(egui::vec2(ui.available_width().min(260.0), 54.0), egui::Sense::hover());
    ui.painter().rect_filled(rect, 3, colors.canvas);
    let (low, high) = keys.iter().fold((f64::MAX, f64::MIN), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    let (length, height) = ((last.0 - first.0).max(1e-6), (high - low).max(1e-6));
    let inner = rect.shrink(5.0);
    let at = |time: f64, value: f64| {
        let x = ((time - first.0) / length) as f32;
        let y = ((value - low) / height) as f32;
        egui::pos2(inner.left() + x * inner.width(), inner.bottom() - y * inner.height())
    };
    let driver = Driver::Keys { keys: keys.to_vec(), between, repeat: false };
    let points: Vec<egui::Pos2> = (0..=POINTS)
        .filter_map(|step| {
            let time = first.0 + length * step as f64 / POINTS as f64;
            Some(at(time, driver.value_at(time)?))
        })
        .collect();
    ui.painter().line(points, egui::Stroke::new(1.5, colors.viewed));
    for (time, value) in keys {
        ui.painter().circle_filled(at(*time, *value), 3.0, colors.text);
    }
    if (first.0..=last.0).contains(&now) {
        ui.painter().vline(at(now, low).x, inner.y_range(), egui::Stroke::new(1.0, colors.selection));
    }
}
