//! Widgets for reflected values.

use bevy::{
    asset::ReflectHandle,
    platform::collections::HashMap,
    prelude::*,
    reflect::{
        GetTypeRegistration, ReflectMut, TypeInfo, TypeRegistry,
        attributes::CustomAttributes,
        enums::{DynamicEnum, DynamicVariant, VariantInfo},
        structs::DynamicStruct,
        tuple::DynamicTuple,
    },
};
use bevy_egui::egui;
use core::any::TypeId;
use studio_graph::blueprint::settings::{number, range};

/// Texts that are being typed: by what they are of. They take effect with Enter, or when the field is left.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    typed: HashMap<String, String>,
    /// Whether the next widget gets the keys.
    pub focus: bool,
}

impl Drafts {
    /// Gives a widget the keys if it is the one that shall have them.
    fn focus(&mut self, response: &egui::Response) {
        if core::mem::take(&mut self.focus) {
            response.request_focus();
        }
    }

    /// A line of text. Returns what was typed, once it counts.
    pub fn line(&mut self, ui: &mut egui::Ui, key: &str, current: &str, hint: &str) -> Option<String> {
        let mut text = self.typed.get(key).cloned().unwrap_or_else(|| current.to_owned());
        let room = ui.available_width().max(60.0);
        let response = ui.add(egui::TextEdit::singleline(&mut text).id_salt(key).hint_text(hint).desired_width(room));
        self.focus(&response);
        if response.changed() {
            self.typed.insert(key.to_owned(), text);
        }
        if response.lost_focus() {
            return self.typed.remove(key).filter(|typed| typed != current);
        }
        None
    }
}

/// What was done to a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    /// It is another now.
    pub changed: bool,
    /// A drag ended: what follows is a step of its own.
    pub done: bool,
}

impl Outcome {
    fn of(response: &egui::Response) -> Self {
        Self { changed: response.changed(), done: response.drag_stopped() || response.lost_focus() }
    }

    pub fn join(&mut self, other: Self) {
        self.changed |= other.changed;
        self.done |= other.done;
    }
}

/// What widgets need to know of where a value is.
pub(super) struct Field<'a> {
    pub registry: &'a TypeRegistry,
    pub attributes: Option<&'a CustomAttributes>,
    /// The name with its unit, such as `duration_ms`.
    pub name: &'a str,
    /// Node and path, to tell drafts apart.
    pub key: String,
}

impl<'a> Field<'a> {
    fn inner(&self, name: &'a str, attributes: Option<&'a CustomAttributes>, part: &str) -> Field<'a> {
        Field { registry: self.registry, attributes, name, key: format!("{}.{part}", self.key) }
    }
}

const UNITS: &[(&str, &str)] = &[
    ("_deg", "°"),
    ("_ms", " ms"),
    ("_us", " µs"),
    ("_hz", " Hz"),
    ("_bps", " bit/s"),
    ("_db", " dB"),
    ("_ev", " EV"),
    ("_px", " px"),
    ("_mm", " mm"),
    ("_frames", " frames"),
    ("_bytes", " bytes"),
    ("_k", " K"),
    ("_s", " s"),
    ("_m", " m"),
];

/// A field's name for people, and its unit.
pub(super) fn label_of(name: &str) -> (String, &'static str) {
    let unit = UNITS.iter().find(|(ending, _)| name.ends_with(ending));
    let stem = unit.map_or(name, |(ending, _)| &name[..name.len() - ending.len()]);
    let words = stem.replace('_', " ");
    let mut letters = words.chars();
    let label = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
    (label, unit.map_or("", |(_, sign)| sign))
}

/// A widget for a value. Types that have none are shown as text.
pub(super) fn value(ui: &mut egui::Ui, drafts: &mut Drafts, field: &Field, value: &mut dyn PartialReflect) -> Outcome {
    if number(value).is_some() {
        return numeric(ui, drafts, field, value);
    }
    if let Some(flag) = value.try_downcast_mut::<bool>() {
        let response = ui.checkbox(flag, "");
        drafts.focus(&response);
        return Outcome::of(&response);
    }
    if let Some(text) = value.try_downcast_mut::<String>() {
        let typed = drafts.line(ui, &field.key, text, "");
        let changed = typed.is_some();
        if let Some(typed) = typed {
            *text = typed;
        }
        return Outcome { changed, done: changed };
    }
    if let Some(outcome) = color(ui, value) {
        return outcome;
    }
    let type_id = value.get_represented_type_info().map(TypeInfo::type_id);
    if type_id.is_some_and(|id| field.registry.get(id).is_some_and(|known| known.contains::<ReflectHandle>())) {
        ui.weak("an asset");
        return Outcome::default();
    }
    match value.reflect_mut() {
        ReflectMut::Struct(_) => structure(ui, drafts, field, value),
        ReflectMut::Enum(_) => enumeration(ui, drafts, field, value),
        ReflectMut::List(_) => list(ui, drafts, field, value),
        ReflectMut::Array(array) => {
            let mut outcome = Outcome::default();
            // A few numbers lie side by side.
            let layout = if array.len() <= 3 {
                egui::Layout::left_to_right(egui::Align::Min)
            } else {
                egui::Layout::top_down(egui::Align::Min)
            };
            ui.with_layout(layout, |ui| {
                for place in 0..array.len() {
                    let Some(item) = array.get_mut(place) else { continue };
                    outcome.join(self::value(ui, drafts, &field.inner(field.name, field.attributes, &place.to_string()), item));
                }
            });
            outcome
        }
        ReflectMut::Tuple(tuple) => {
            let mut outcome = Outcome::default();
            ui.vertical(|ui| {
                for place in 0..tuple.field_len() {
                    let Some(item) = tuple.field_mut(place) else { continue };
                    outcome.join(self::value(ui, drafts, &field.inner(field.name, field.attributes, &place.to_string()), item));
                }
            });
            outcome
        }
        ReflectMut::TupleStruct(shape) if shape.field_len() == 1 => match shape.field_mut(0) {
            Some(inner) => self::value(ui, drafts, &field.inner(field.name, field.attributes, "0"), inner),
            None => Outcome::default(),
        },
        _ => {
            ui.weak(format!("{value:?}"));
            Outcome::default()
        }
    }
}

fn numeric(ui: &mut egui::Ui, drafts: &mut Drafts, field: &Field, value: &mut dyn PartialReflect) -> Outcome {
    let allowed = field.attributes.and_then(range);
    let (_, unit) = label_of(field.name);
    macro_rules! first_of {
        ($($number:ty, $whole:literal);*) => {
            $(if let Some(number) = value.try_downcast_mut::<$number>() {
                let low = allowed.map_or(<$number>::MIN, |(low, _)| low as $number);
                let high = allowed.map_or(<$number>::MAX, |(_, high)| high as $number);
                // A slider where its whole way makes sense, a number to drag where it would be too coarse.
                let span = allowed.map_or(f64::INFINITY, |(low, high)| high - low);
                let response = if span <= 1000.0 {
                    let slider = egui::Slider::new(number, low..=high).suffix(unit).clamping(egui::SliderClamping::Always);
                    ui.add(if $whole { slider.integer() } else { slider })
                } else {
                    let speed = if $whole { (*number as f64).abs().max(10.0) / 100.0 } else { (*number as f64).abs().max(1.0) / 100.0 };
                    ui.add(egui::DragValue::new(number).range(low..=high).suffix(unit).speed(speed))
                };
                drafts.focus(&response);
                return Outcome::of(&response);
            })*
        };
    }
    first_of!(f32, false; f64, false; u8, true; u16, true; u32, true; u64, true; usize, true; i8, true; i16, true; i32, true; i64, true; isize, true);
    Outcome::default()
}

fn color(ui: &mut egui::Ui, value: &mut dyn PartialReflect) -> Option<Outcome> {
    let linear = |color: LinearRgba| [color.red, color.green, color.blue, color.alpha];
    if let Some(color) = value.try_downcast_mut::<LinearRgba>() {
        let mut rgba = egui::Rgba::from_rgba_unmultiplied(color.red, color.green, color.blue, color.alpha).to_rgba_unmultiplied();
        let response = ui.color_edit_button_rgba_unmultiplied(&mut rgba);
        if response.changed() {
            let [red, green, blue, alpha] = rgba;
            *color = LinearRgba { red, green, blue, alpha };
        }
        return Some(Outcome::of(&response));
    }
    if let Some(color) = value.try_downcast_mut::<Srgba>() {
        let mut rgba = linear(LinearRgba::from(*color));
        let response = ui.color_edit_button_rgba_unmultiplied(&mut rgba);
        if response.changed() {
            let [red, green, blue, alpha] = rgba;
            *color = LinearRgba { red, green, blue, alpha }.into();
        }
        return Some(Outcome::of(&response));
    }
    if let Some(color) = value.try_downcast_mut::<Color>() {
        let mut rgba = linear(color.to_linear());
        let response = ui.color_edit_button_rgba_unmultiplied(&mut rgba);
        if response.changed() {
            let [red, green, blue, alpha] = rgba;
            *color = LinearRgba { red, green, blue, alpha }.into();
        }
        return Some(Outcome::of(&response));
    }
    None
}

fn structure(ui: &mut egui::Ui, drafts: &mut Drafts, field: &Field, value: &mut dyn PartialReflect) -> Outcome {
    let info = value.get_represented_type_info();
    let ReflectMut::Struct(shape) = value.reflect_mut() else { return Outcome::default() };
    let mut outcome = Outcome::default();
    // Vectors lie side by side, everything else one below the other.
    let letters = (0..shape.field_len()).all(|place| shape.name_at(place).is_some_and(|name| name.len() == 1));
    if letters {
        ui.horizontal(|ui| {
            for place in 0..shape.field_len() {
                let part = shape.name_at(place).unwrap_or_default().to_owned();
                let Some(item) = shape.field_at_mut(place) else { continue };
                ui.weak(&part);
                let inner =
                    Field { registry: field.registry, attributes: None, name: field.name, key: format!("{}.{part}", field.key) };
                outcome.join(self::value(ui, drafts, &inner, item));
            }
        });
        return outcome;
    }
    let info = match info {
        Some(TypeInfo::Struct(info)) => Some(info),
        _ => None,
    };
    ui.vertical(|ui| {
        for place in 0..shape.field_len() {
            let part = shape.name_at(place).unwrap_or_default().to_owned();
            let named = info.and_then(|info| info.field(&part));
            let Some(item) = shape.field_at_mut(place) else { continue };
            ui.horizontal(|ui| {
                let label = ui.label(label_of(&part).0);
                if let Some(docs) = named.and_then(|named| named.docs()) {
                    label.on_hover_text(docs.trim());
                }
                let inner = field.inner(&part, named.map(|named| named.custom_attributes()), &part);
                let inner = Field { registry: inner.registry, attributes: inner.attributes, name: &part, key: inner.key };
                outcome.join(self::value(ui, drafts, &inner, item));
            });
        }
    });
    outcome
}

/// A variant with the defaults of what it holds.
fn fresh_variant(registry: &TypeRegistry, variant: &VariantInfo) -> Option<DynamicEnum> {
    let default_of = |id: TypeId| -> Option<Box<dyn PartialReflect>> {
        let registration = registry.get(id)?;
        Some(registration.data::<ReflectDefault>()?.default().into_partial_reflect())
    };
    let held = match variant {
        VariantInfo::Unit(_) => DynamicVariant::Unit,
        VariantInfo::Tuple(tuple) => {
            let mut values = DynamicTuple::default();
            for field in tuple.iter() {
                values.insert_boxed(default_of(field.type_id())?);
            }
            DynamicVariant::Tuple(values)
        }
        VariantInfo::Struct(shape) => {
            let mut values = DynamicStruct::default();
            for field in shape.iter() {
                values.insert_boxed(field.name(), default_of(field.type_id())?);
            }
            DynamicVariant::Struct(values)
        }
    };
    Some(DynamicEnum::new(variant.name(), held))
}

fn enumeration(ui: &mut egui::Ui, drafts: &mut Drafts, field: &Field, value: &mut dyn PartialReflect) -> Outcome {
    let Some(TypeInfo::Enum(info)) = value.get_represented_type_info() else { return Outcome::default() };
    let optional = info.type_path_table().ident() == Some("Option");
    let ReflectMut::Enum(current) = value.reflect_mut() else { return Outcome::default() };
    let now = current.variant_name().to_owned();
    let mut outcome = Outcome::default();
    let mut chosen = None;
    ui.vertical(|ui| {
        ui.horizontal(|ui| {
            if optional {
                let mut there = now == "Some";
                if ui.checkbox(&mut there, "").changed() {
                    chosen = Some(if there { "Some" } else { "None" }.to_owned());
                }
            } else {
                let spaced = |name: &str| {
                    let mut words = String::new();
                    for letter in name.chars() {
                        if letter.is_uppercase() && !words.is_empty() && !words.ends_with(|last: char| last.is_uppercase()) {
                            words.push(' ');
                            words.extend(letter.to_lowercase());
                        } else {
                            words.push(letter);
                        }
                    }
                    words
                };
                let combo = egui::ComboBox::from_id_salt(&field.key).selected_text(spaced(&now)).show_ui(ui, |ui| {
                    for variant in info.iter() {
                        let docs = variant.docs().unwrap_or_default().trim();
                        let response = ui.selectable_label(variant.name() == now, spaced(variant.name()));
                        let response = if docs.is_empty() { response } else { response.on_hover_text(docs) };
                        if response.clicked() && variant.name() != now {
                            chosen = Some(variant.name().to_owned());
                        }
                    }
                });
                drafts.focus(&combo.response);
            }
            // What one option holds stands beside it.
            if current.field_len() == 1 {
                let name = current.name_at(0).unwrap_or(field.name).to_owned();
                if let Some(held) = current.field_at_mut(0) {
                    let inner = Field {
                        registry: field.registry,
                        attributes: field.attributes,
                        name: &name,
                        key: format!("{}.{now}", field.key),
                    };
                    outcome.join(self::value(ui, drafts, &inner, held));
                }
            }
        });
        if current.field_len() > 1 {
            for place in 0..current.field_len() {
                let name = current.name_at(place).unwrap_or_default().to_owned();
                let Some(held) = current.field_at_mut(place) else { continue };
                ui.horizontal(|ui| {
                    ui.label(label_of(&name).0);
                    let inner = Field {
                        registry: field.registry,
                        attributes: None,
                        name: &name,
                        key: format!("{}.{now}.{name}", field.key),
                    };
                    outcome.join(self::value(ui, drafts, &inner, held));
                });
            }
        }
    });
    let fresh = chosen.and_then(|chosen| fresh_variant(field.registry, info.variant(&chosen)?));
    if let Some(fresh) = fresh {
        outcome.changed |= value.try_apply(&fresh).is_ok();
        outcome.done = true;
    }
    outcome
}

fn list(ui: &mut egui::Ui, drafts: &mut Drafts, field: &Field, value: &mut dyn PartialReflect) -> Outcome {
    let item_type = match value.get_represented_type_info() {
        Some(TypeInfo::List(info)) => Some(info.item_ty().id()),
        _ => None,
    };
    let ReflectMut::List(list) = value.reflect_mut() else { return Outcome::default() };
    let mut outcome = Outcome::default();
    let mut removed = None;
    ui.vertical(|ui| {
        for place in 0..list.len() {
            let Some(item) = list.get_mut(place) else { continue };
            ui.horizontal(|ui| {
                if ui.small_button("−").on_hover_text("Remove").clicked() {
                    removed = Some(place);
                }
                outcome.join(self::value(ui, drafts, &field.inner(field.name, field.attributes, &place.to_string()), item));
            });
        }
        if ui.small_button("+").on_hover_text("Add one").clicked() {
            let fresh = item_type.and_then(|id| Some(field.registry.get(id)?.data::<ReflectDefault>()?.default()));
            if let Some(fresh) = fresh {
                list.push(fresh.into_partial_reflect());
                outcome = Outcome { changed: true, done: true };
            }
        }
    });
    if let Some(place) = removed {
        list.remove(place);
        outcome = Outcome { changed: true, done: true };
    }
    outcome
}

/// Types whose defaults lists and options need; every number and string has one.
pub(crate) fn register_defaults(app: &mut App) {
    fn with_default<T: GetTypeRegistration + Default + Reflect + TypePath>(app: &mut App) {
        app.register_type::<T>().register_type_data::<T, ReflectDefault>();
    }
    with_default::<f32>(app);
    with_default::<f64>(app);
    with_default::<u32>(app);
    with_default::<u64>(app);
    with_default::<i32>(app);
    with_default::<bool>(app);
    with_default::<String>(app);
    with_default::<UVec2>(app);
    with_default::<Vec2>(app);
    with_default::<Vec3>(app);
}

#[cfg(test)]
mod tests {
    use super::label_of;

    #[test]
    fn names_become_words_and_units() {
        assert_eq!(label_of("yaw_deg"), ("Yaw".to_owned(), "°"));
        assert_eq!(label_of("key_frame_interval_frames"), ("Key frame interval".to_owned(), " frames"));
        assert_eq!(label_of("bitrate_bps"), ("Bitrate".to_owned(), " bit/s"));
        assert_eq!(label_of("source"), ("Source".to_owned(), ""));
        assert_eq!(label_of("start_s"), ("Start".to_owned(), " s"));
    }
}
