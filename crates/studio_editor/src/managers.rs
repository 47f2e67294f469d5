//! Managers: kinds of nodes, devices and files, to be dragged onto the canvas.

use crate::{
    canvas::NewNode,
    editor::Frame,
    picker::score,
    theme::{Colors, category_color},
};
use bevy::prelude::*;
use bevy_egui::egui;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use studio_graph::registry::kinds;
use studio_media::capture::list_cameras;

/// Devices and files as they were found last; looked for on a thread, because devices take their time to answer.
#[derive(Resource, Clone, Default)]
pub(crate) struct Found(Arc<Mutex<State>>);

struct State {
    cameras: Result<Vec<String>, String>,
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
    at: Option<Instant>,
    busy: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { cameras: Ok(Vec::new()), files: Vec::new(), folder: None, at: None, busy: false }
    }
}

/// Files that the studio can take in, with the kind of node that does.
const FILES: &[(&str, &[&str], &str, &str)] = &[
    ("Video file", &["mp4", "mkv", "mov", "webm", "ts", "avi", "m4v"], "VideoFileInput", "source"),
    ("Still", &["png", "jpg", "jpeg"], "StillInput", "path"),
    ("Audio file", &["wav", "flac", "ogg", "opus", "mp3", "m4a", "aac"], "AudioFileInput", "source"),
];

impl Found {
    const AGE: Duration = Duration::from_secs(5);
    const MAX_FILES: usize = 500;

    /// Looks again if what is known is old or of another folder.
    fn refresh(&self, folder: Option<&Path>) {
        let mut state = self.0.lock();
        let current = state.folder.as_deref() == folder && state.at.is_some_and(|at| at.elapsed() < Self::AGE);
        if state.busy || current {
            return;
        }
        state.busy = true;
        let (found, folder) = (self.clone(), folder.map(Path::to_owned));
        let look = move || {
            let cameras = list_cameras().map(|cameras| cameras.into_iter().map(|camera| camera.name).collect());
            let mut files = Vec::new();
            if let Some(folder) = &folder {
                look_for_files(folder, 3, &mut files);
            }
            files.sort();
            let mut state = found.0.lock();
            state.cameras = cameras.map_err(|error| error.to_string());
            (state.files, state.folder) = (files, folder);
            (state.at, state.busy) = (Some(Instant::now()), false);
        };
        if let Err(error) = std::thread::Builder::new().name("managers".to_owned()).spawn(look) {
            state.busy = false;
            state.at = Some(Instant::now());
            state.cameras = Err(error.to_string());
        }
    }
}

fn kind_of_file(path: &Path) -> Option<(&'static str, &'static str, &'static str)> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    FILES
        .iter()
        .find(|(_, endings, ..)| endings.contains(&ending.as_str()))
        .map(|(label, _, kind, field)| (*label, *kind, *field))
}

fn look_for_files(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if files.len() == Found::MAX_FILES {
            return;
        }
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 && !hidden => look_for_files(&path, depth - 1, files),
            Ok(kind) if kind.is_file() && kind_of_file(&path).is_some() => files.push(path),
            _ => {}
        }
    }
}

/// The node that takes a file in, if there is one.
pub(crate) fn node_of_file(frame: &Frame, path: &Path) -> Option<NewNode> {
    let (label, kind, field) = kind_of_file(path)?;
    let registry = frame.world.resource::<AppTypeRegistry>().read();
    studio_graph::registry::kind_named(&registry, kind)?;
    let base = frame.document.path().and_then(Path::parent);
    let shown = base.and_then(|base| path.strip_prefix(base).ok()).unwrap_or(path);
    let stem = path.file_stem().map_or_else(|| label.to_owned(), |stem| stem.to_string_lossy().into_owned());
    let settings = vec![(field.to_owned(), format!("{:?}", shown.display().to_string()))];
    Some(NewNode { kind: kind.to_owned(), label: stem, settings })
}

/// A row that can be dragged onto the canvas, or clicked to go there by itself.
fn row(ui: &mut egui::Ui, frame: &mut Frame, node: NewNode, name: &str, docs: &str, category: &str) {
    let colors = Colors::of(ui);
    let height = ui.spacing().interact_size.y;
    let (rect, response) = ui.allocate_exact_size(egui::vec2(ui.available_width(), height), egui::Sense::click_and_drag());
    if response.hovered() {
        ui.painter().rect_filled(rect, 3, ui.visuals().widgets.hovered.weak_bg_fill);
    }
    let chip = egui::Rect::from_center_size(rect.left_center() + egui::vec2(9.0, 0.0), egui::vec2(8.0, 8.0));
    ui.painter().rect_filled(chip, 2, category_color(category, colors.dark));
    let mut job =
        egui::text::LayoutJob::simple_singleline(name.to_owned(), egui::TextStyle::Body.resolve(ui.style()), colors.text);
    job.wrap = egui::text::TextWrapping::truncate_at_width(rect.width() - 24.0);
    let galley = ui.painter().layout_job(job);
    ui.painter().galley(rect.left_center() + egui::vec2(20.0, -galley.size().y / 2.0), galley, colors.text);
    response.dnd_set_drag_payload(node.clone());
    if response.dragged() {
        ui.ctx().set_cursor_icon(egui::CursorIcon::Grabbing);
    }
    let response = response.on_hover_ui(|ui| {
        ui.set_max_width(380.0);
        ui.label(docs);
        ui.weak("Drag onto the canvas, or double-click.");
    });
    if response.double_clicked() {
        let at = frame.editor.canvas.view.center;
        frame.add_node(&node, at, None);
    }
}

pub(crate) fn show(ui: &mut egui::Ui, frame: &mut Frame) {
    let found = frame.world.get_resource_or_init::<Found>().clone();
    let folder = frame.document.path().and_then(Path::parent).map(Path::to_owned).or_else(|| std::env::current_dir().ok());
    found.refresh(folder.as_deref());
    let search = egui::TextEdit::singleline(&mut frame.editor.managers_search).hint_text("Search").desired_width(f32::INFINITY);
    ui.add(search);
    let typed = frame.editor.managers_search.clone();
    let wanted = |name: &str| score(name, &typed).is_some();
    egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        let mut categories: BTreeMap<String, Vec<(NewNode, String, String)>> = BTreeMap::new();
        {
            let registry = frame.world.resource::<AppTypeRegistry>().read();
            for kind in kinds(&registry) {
                let name = kind.node.display_name.to_owned();
                if wanted(&name) || wanted(kind.node.category) {
                    let node = NewNode { kind: kind.name.to_owned(), label: name.clone(), settings: Vec::new() };
                    categories.entry(kind.node.category.to_owned()).or_default().push((node, name, kind.docs()));
                }
            }
        }
        for (category, nodes) in categories {
            egui::CollapsingHeader::new(&category).id_salt(format!("category {category}")).default_open(true).show(ui, |ui| {
                for (node, name, docs) in nodes {
                    row(ui, frame, node, &name, &docs, &category);
                }
            });
        }
        devices(ui, frame, &found, &wanted);
        files(ui, frame, &found, folder.as_deref(), &wanted);
    });
}

fn devices(ui: &mut egui::Ui, frame: &mut Frame, found: &Found, wanted: &dyn Fn(&str) -> bool) {
    let cameras = match &found.0.lock().cameras {
        Ok(cameras) => Ok(cameras.clone()),
        Err(error) => Err(error.clone()),
    };
    egui::CollapsingHeader::new("Devices").id_salt("devices").default_open(true).show(ui, |ui| match cameras {
        Ok(cameras) if cameras.is_empty() => drop(ui.weak("No camera is plugged in.")),
        Ok(cameras) => {
            for name in cameras.iter().filter(|name| wanted(name)) {
                let settings = vec![("device".to_owned(), format!("{name:?}"))];
                let node = NewNode { kind: "CameraInput".to_owned(), label: name.clone(), settings };
                row(ui, frame, node, name, "A camera that is plugged in.", "Input");
            }
        }
        Err(error) => drop(ui.weak(error)),
    });
}

fn files(ui: &mut egui::Ui, frame: &mut Frame, found: &Found, folder: Option<&Path>, wanted: &dyn Fn(&str) -> bool) {
    let files = found.0.lock().files.clone();
    egui::CollapsingHeader::new("Files").id_salt("files").default_open(true).show(ui, |ui| {
        if files.is_empty() {
            ui.weak("No pictures, clips or sounds beside the blueprint.");
        }
        for path in files {
            let shown = folder.and_then(|folder| path.strip_prefix(folder).ok()).unwrap_or(&path).display().to_string();
            if !wanted(&shown) {
                continue;
            }
            if let Some(node) = node_of_file(frame, &path) {
                row(ui, frame, node, &shown, &path.display().to_string(), "Input");
            }
        }
    });
}
