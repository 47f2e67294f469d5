//! What outlives the program: preferences, recent files, and copies of unsaved work.

use crate::document::Document;
use bevy::prelude::*;
use directories::ProjectDirs;
use serde::{Deserialize, Serialize};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use studio_graph::blueprint::{file::write_whole, write::write};

/// What the user chose, kept from one run to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Whether the interface is light instead of dark.
    pub light: bool,
    /// How large the interface is drawn; 1 is its own size.
    pub scale: f32,
    /// Whether dragged nodes keep to the grid.
    pub snap: bool,
    /// Whether nodes show small pictures of what they make.
    pub thumbnails: bool,
    /// Whether the overview of the canvas is shown.
    pub minimap: bool,
    /// Whether the tour was seen.
    pub tour_seen: bool,
    /// Files that were opened, the latest first.
    pub recent: Vec<PathBuf>,
}

impl Default for Preferences {
    fn default() -> Self {
        Self { light: false, scale: 1.0, snap: true, thumbnails: true, minimap: true, tour_seen: false, recent: Vec::new() }
    }
}

impl Preferences {
    /// Smallest and largest scale of the interface.
    pub const SCALES: core::ops::RangeInclusive<f32> = 0.5..=3.0;
    const MAX_RECENT: usize = 12;

    /// Puts a file at the head of the recent ones.
    pub fn add_recent(&mut self, path: &Path) {
        self.recent.retain(|recent| recent != path);
        self.recent.insert(0, path.to_owned());
        self.recent.truncate(Self::MAX_RECENT);
    }
}

/// Where preferences and copies of unsaved work are kept.
#[derive(Resource, Clone, Debug)]
pub struct SessionFolder(pub Option<PathBuf>);

impl Default for SessionFolder {
    /// The user's own folder for such things, if the system has one.
    fn default() -> Self {
        Self(ProjectDirs::from("", "", "neural-studio").map(|folders| folders.data_dir().to_owned()))
    }
}

/// A copy of unsaved work that was found at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The copy.
    pub copy: PathBuf,
    /// The file that it is of, if it had one.
    pub of: Option<PathBuf>,
}

/// Keeps preferences and copies of unsaved work.
#[derive(Resource)]
pub struct Session {
    /// What the user chose.
    pub preferences: Preferences,
    stored: Preferences,
    folder: Option<PathBuf>,
    kept: Option<(PathBuf, u64)>,
    checked: Instant,
}

impl Session {
    /// How often unsaved work is copied.
    pub const AUTOSAVE_INTERVAL: Duration = Duration::from_secs(10);
    const HEAD: &str = "// A copy of unsaved work of: ";

    /// Reads the preferences of a folder; defaults where there are none or they are broken.
    pub fn new(folder: Option<PathBuf>) -> Self {
        let file = folder.as_deref().map(|folder| folder.join("preferences.ron"));
        let text = file.as_deref().and_then(|file| std::fs::read_to_string(file).ok());
        let mut preferences: Preferences = text.and_then(|text| ron::from_str(&text).ok()).unwrap_or_default();
        if !Preferences::SCALES.contains(&preferences.scale) {
            preferences.scale = 1.0;
        }
        preferences.recent.truncate(Preferences::MAX_RECENT);
        Self { stored: preferences.clone(), preferences, folder, kept: None, checked: Instant::now() }
    }

    /// Writes preferences that changed, and a copy of unsaved work now and then. Returns what went wrong.
    pub fn keep(&mut self, document: &Document) -> Result<(), crate::document::DocumentError> {
        if self.checked.elapsed() < Self::AUTOSAVE_INTERVAL {
            return Ok(());
        }
        self.keep_now(document)
    }

    /// As [`keep`](Self::keep), at once.
    pub fn keep_now(&mut self, document: &Document) -> Result<(), crate::document::DocumentError> {
        self.checked = Instant::now();
        let Some(folder) = self.folder.clone() else { return Ok(()) };
        if self.preferences != self.stored {
            let text = ron::ser::to_string_pretty(&self.preferences, ron::ser::PrettyConfig::default()).unwrap_or_default();
            write_whole(&folder.join("preferences.ron"), &text)?;
            self.stored = self.preferences.clone();
        }
        let copy = folder.join("unsaved").join(format!("{:016x}.blueprint.ron", name_of(document.path())));
        if self.kept.as_ref().is_some_and(|(kept, _)| *kept != copy) {
            self.forget();
        }
        if !document.is_dirty() {
            self.forget();
        } else if self.kept.as_ref().is_none_or(|(_, revision)| *revision != document.revision()) {
            let of = document.path().map(|path| path.display().to_string()).unwrap_or_default();
            write_whole(&copy, &format!("{}{}\n{}", Self::HEAD, of.replace(['\n', '\r'], " "), write(document.blueprint())))?;
            self.kept = Some((copy, document.revision()));
        }
        Ok(())
    }

    /// Removes the copy of work that is saved now, or that nobody wants.
    pub fn forget(&mut self) {
        if let Some((copy, _)) = self.kept.take()
            && let Err(error) = std::fs::remove_file(&copy)
        {
            debug!("{} could not be removed: {error}", copy.display());
        }
    }

    /// Copies of work that a run before this one did not save.
    pub fn left_over(&self) -> Vec<Kept> {
        let Some(folder) = &self.folder else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(folder.join("unsaved")) else { return Vec::new() };
        let mut found: Vec<(std::time::SystemTime, Kept)> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".blueprint.ron"))
            .filter_map(|entry| {
                let copy = entry.path();
                let text = std::fs::read_to_string(&copy).ok()?;
                let of = text.lines().next()?.strip_prefix(Self::HEAD)?.trim();
                let of = (!of.is_empty()).then(|| PathBuf::from(of));
                Some((entry.metadata().ok()?.modified().ok()?, Kept { copy, of }))
            })
            .collect();
        found.sort_by_key(|(at, _)| core::cmp::Reverse(*at));
        found.into_iter().map(|(_, kept)| kept).collect()
    }
}

fn name_of(path: Option<&Path>) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use studio_graph::GraphPlugin;

    #[test]
    fn unsaved_work_is_found_again_and_saved_work_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut app = App::new();
        app.add_plugins(GraphPlugin);
        let world = app.world_mut();
        let mut document = Document::new(world);
        let mut session = Session::new(Some(folder.path().to_owned()));
        session.preferences.add_recent(Path::new("/a"));
        session.keep_now(&document).expect("it can be written");
        assert_eq!(session.left_over(), []);
        let note = |blueprint: &mut studio_graph::prelude::Blueprint| {
            crate::edit::add_note(blueprint, "mine", Rect::new(0.0, 0.0, 9.0, 9.0))
        };
        document.edit(world, "Add a frame", None, note).expect("a frame is always right");
        session.keep_now(&document).expect("it can be written");
        // As after a crash: another session of the same folder.
        let found = Session::new(Some(folder.path().to_owned()));
        assert_eq!(found.preferences.recent, [PathBuf::from("/a")]);
        let left = found.left_over();
        assert_eq!(left.len(), 1);
        let mut again = Document::new(world);
        again.recover(world, &left[0].copy, left[0].of.clone()).expect("it is right");
        assert!(again.is_dirty() && again.blueprint().notes[0].text == "mine");
        document.save(world, &folder.path().join("mine.blueprint.ron")).expect("it can be written");
        session.keep_now(&document).expect("it can be written");
        assert_eq!(found.left_over(), []);
    }
}
