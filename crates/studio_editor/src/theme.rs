//! Colours of the editor, light and dark.

use bevy_egui::egui::{self, Color32};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The colours that the canvas paints with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colors {
    pub dark: bool,
    pub canvas: Color32,
    pub grid: Color32,
    pub node: Color32,
    pub frozen: Color32,
    pub edge: Color32,
    pub hovered: Color32,
    pub shadow: Color32,
    pub text: Color32,
    pub weak: Color32,
    pub title: Color32,
    pub title_weak: Color32,
    pub frame: Color32,
    pub frame_edge: Color32,
    pub selection: Color32,
    pub viewed: Color32,
    pub bead: Color32,
    pub good: Color32,
    pub warning: Color32,
    pub error: Color32,
}

impl Colors {
    /// The colours of the present theme.
    pub(crate) fn of(ui: &egui::Ui) -> Self {
        let dark = ui.visuals().dark_mode;
        let pick = |on_dark: [u8; 3], on_light: [u8; 3]| {
            let [r, g, b] = if dark { on_dark } else { on_light };
            Color32::from_rgb(r, g, b)
        };
        Self {
            dark,
            canvas: pick([27, 29, 33], [228, 230, 234]),
            grid: pick([37, 39, 44], [214, 217, 222]),
            node: pick([47, 50, 56], [250, 250, 252]),
            frozen: pick([42, 56, 72], [222, 236, 250]),
            edge: pick([78, 82, 90], [160, 164, 172]),
            hovered: pick([150, 156, 168], [90, 96, 108]),
            shadow: if dark { Color32::from_black_alpha(90) } else { Color32::from_black_alpha(30) },
            text: pick([222, 224, 228], [36, 38, 44]),
            weak: pick([148, 152, 160], [104, 108, 118]),
            title: pick([248, 248, 250], [20, 22, 26]),
            title_weak: pick([214, 218, 226], [52, 56, 64]),
            frame: if dark {
                Color32::from_rgba_unmultiplied(110, 120, 150, 34)
            } else {
                Color32::from_rgba_unmultiplied(90, 110, 160, 34)
            },
            frame_edge: pick([88, 96, 118], [150, 160, 186]),
            selection: pick([255, 176, 46], [214, 116, 0]),
            viewed: pick([96, 200, 255], [0, 110, 190]),
            bead: pick([255, 255, 255], [20, 22, 26]),
            good: pick([96, 208, 120], [30, 140, 60]),
            warning: pick([240, 190, 70], [186, 124, 0]),
            error: pick([255, 104, 96], [200, 30, 30]),
        }
    }
}

/// The colour of a category's titles: the same for one name always, whoever brings it.
pub(crate) fn category_color(category: &str, dark: bool) -> Color32 {
    let hue = match category {
        "Input" => 0.36,
        "Output" => 0.02,
        "Encode" => 0.08,
        "Vision" => 0.56,
        "View" => 0.50,
        "Picture" => 0.62,
        "Colour" => 0.80,
        "Compose" => 0.72,
        "Audio" => 0.14,
        "unknown" => 0.0,
        other => {
            let mut hasher = DefaultHasher::new();
            other.hash(&mut hasher);
            (hasher.finish() % 97) as f32 / 97.0
        }
    };
    let saturation = if category == "unknown" {
        0.0
    } else if dark {
        0.55
    } else {
        0.32
    };
    let value = if dark { 0.44 } else { 0.9 };
    egui::ecolor::HsvaGamma { h: hue, s: saturation, v: value, a: 1.0 }.into()
}

/// Sets the interface's look.
pub(crate) fn apply(ctx: &egui::Context, light: bool, scale: f32) {
    let theme = if light { egui::Theme::Light } else { egui::Theme::Dark };
    if ctx.theme() != theme {
        ctx.set_theme(theme);
    }
    // Egui's own weak words are too faint to read at a glance.
    let weak = if light { Color32::from_gray(96) } else { Color32::from_gray(158) };
    if ctx.style_of(theme).visuals.weak_text_color != Some(weak) {
        ctx.style_mut_of(theme, |style| {
            style.visuals.weak_text_color = Some(weak);
            style.visuals.override_text_color = None;
            style.visuals.widgets.noninteractive.fg_stroke.color =
                if light { Color32::from_gray(40) } else { Color32::from_gray(205) };
        });
    }
    if (ctx.zoom_factor() - scale).abs() > 1e-3 {
        ctx.set_zoom_factor(scale);
    }
}
