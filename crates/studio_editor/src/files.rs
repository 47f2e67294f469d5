//! Choosing files.

use bevy_egui::egui;
use egui_file_dialog::{DialogState, FileDialog};
use std::path::{Path, PathBuf};

/// What a file is chosen for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Purpose {
    /// A blueprint to open.
    Open,
    /// Where the blueprint is saved.
    SaveAs,
    /// A setting of a node.
    Setting { node: String, field: String },
}

/// The dialog in which files are chosen.
#[derive(Default)]
pub(crate) struct Files {
    dialog: Option<(FileDialog, Purpose)>,
    folder: Option<PathBuf>,
}

impl core::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Files")
            .field("purpose", &self.dialog.as_ref().map(|(_, purpose)| purpose))
            .finish_non_exhaustive()
    }
}

impl Files {
    fn dialog(&self, near: Option<&Path>) -> FileDialog {
        let beside = near.and_then(Path::parent).map(Path::to_owned);
        let here = || std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let folder = self.folder.clone().or(beside).unwrap_or_else(here);
        FileDialog::new().initial_directory(folder).default_size([720.0, 420.0]).anchor(egui::Align2::CENTER_CENTER, [0.0, 0.0])
    }

    /// Lets a file be chosen that is there. `near` is a file in whose folder the search starts.
    pub fn open(&mut self, purpose: Purpose, near: Option<&Path>, endings: &[&'static str]) {
        let mut dialog = self.dialog(near);
        if !endings.is_empty() {
            dialog = dialog.add_file_filter_extensions("Suitable files", endings.to_vec()).default_file_filter("Suitable files");
        }
        dialog.pick_file();
        self.dialog = Some((dialog, purpose));
    }

    /// Lets a place be chosen where a file is written.
    pub fn save(&mut self, purpose: Purpose, near: Option<&Path>, name: &str) {
        let mut dialog = self.dialog(near).default_file_name(name);
        dialog.save_file();
        self.dialog = Some((dialog, purpose));
    }

    /// Whether the dialog is open.
    pub const fn is_open(&self) -> bool {
        self.dialog.is_some()
    }

    /// Draws the dialog. Returns what was chosen.
    pub fn show(&mut self, ctx: &egui::Context) -> Option<(Purpose, PathBuf)> {
        let (dialog, _) = self.dialog.as_mut()?;
        dialog.update(ctx);
        match dialog.state() {
            DialogState::Open => None,
            DialogState::Picked(path) => {
                let path = path.clone();
                self.folder = path.parent().map(Path::to_owned);
                self.dialog.take().map(|(_, purpose)| (purpose, path))
            }
            _ => {
                self.dialog = None;
                None
            }
        }
    }
}
