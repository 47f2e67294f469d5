//! The profiles there are: those that come with the program, and those of its user, which go before.

use crate::{
    profile::HeadsetProfile,
    read::{self, ProfileError},
};
use bevy::{
    asset::{AssetLoader, LoadContext, io::Reader},
    prelude::*,
};
use directories::ProjectDirs;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};
use studio_graph::blueprint::{Problem, problem};

/// The files that come with the program, so that it works without them.
const BUILT_IN: [&str; 16] = [
    include_str!("../../../headsets/bigscreen-beyond-2.headset.ron"),
    include_str!("../../../headsets/galaxy-xr.headset.ron"),
    include_str!("../../../headsets/generic-360.headset.ron"),
    include_str!("../../../headsets/generic-flat.headset.ron"),
    include_str!("../../../headsets/generic-vr180.headset.ron"),
    include_str!("../../../headsets/pico-4.headset.ron"),
    include_str!("../../../headsets/pico-4-ultra.headset.ron"),
    include_str!("../../../headsets/psvr2.headset.ron"),
    include_str!("../../../headsets/quest-2.headset.ron"),
    include_str!("../../../headsets/quest-3.headset.ron"),
    include_str!("../../../headsets/quest-3s.headset.ron"),
    include_str!("../../../headsets/quest-pro.headset.ron"),
    include_str!("../../../headsets/steam-frame.headset.ron"),
    include_str!("../../../headsets/valve-index.headset.ron"),
    include_str!("../../../headsets/vision-pro.headset.ron"),
    include_str!("../../../headsets/vive-focus-vision.headset.ron"),
];

/// The profiles that come with the program, by their files' names.
pub fn built_in() -> Vec<HeadsetProfile> {
    BUILT_IN.iter().filter_map(|text| read::read(text).0).collect()
}

/// Where a profile of the library comes from. Later ones go before earlier ones of the same id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProfilePlace {
    /// It comes with the program.
    BuiltIn,
    /// An asset of the app.
    Asset,
    /// A file of the user's folder.
    File(PathBuf),
}

/// A profile of the library.
#[derive(Clone, Debug, PartialEq)]
pub struct LibraryEntry {
    /// The profile.
    pub profile: HeadsetProfile,
    /// Where it comes from.
    pub place: ProfilePlace,
}

/// Every profile there is, by id.
///
/// The user's folder is looked at once a second, so that a saved file is there at once. A file that has faults is told of in
/// the log once, and what it said before stays.
#[derive(Resource, Clone, Debug)]
pub struct HeadsetLibrary {
    built_in: BTreeMap<String, HeadsetProfile>,
    assets: BTreeMap<AssetId<HeadsetProfile>, HeadsetProfile>,
    files: BTreeMap<PathBuf, FileEntry>,
    folder: Option<PathBuf>,
    looked_at: Option<Instant>,
    /// Grows whenever a profile came, changed or went.
    generation: u64,
}

#[derive(Clone, Debug)]
struct FileEntry {
    modified: Option<SystemTime>,
    profile: Option<HeadsetProfile>,
    faults: Option<String>,
}

impl Default for HeadsetLibrary {
    /// The built-in profiles, and those of the user's own folder.
    fn default() -> Self {
        Self::with_folder(Self::user_folder())
    }
}

impl HeadsetLibrary {
    const PAUSE: Duration = Duration::from_secs(1);
    /// The most files of a folder that are read.
    const MOST_FILES: usize = 500;

    /// The folder of the user's own profiles; none where the system has no such place.
    pub fn user_folder() -> Option<PathBuf> {
        ProjectDirs::from("", "", "neural-studio").map(|folders| folders.data_dir().join("headsets"))
    }

    /// The built-in profiles, and those of a folder, if one is given. The folder need not be there.
    pub fn with_folder(folder: Option<PathBuf>) -> Self {
        let built_in = built_in().into_iter().map(|profile| (profile.id.clone(), profile)).collect();
        let mut library =
            Self { built_in, assets: BTreeMap::new(), files: BTreeMap::new(), folder, looked_at: None, generation: 1 };
        library.refresh();
        library
    }

    /// Grows whenever a profile came, changed or went.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Every profile, by id.
    pub fn entries(&self) -> BTreeMap<&str, (&HeadsetProfile, ProfilePlace)> {
        let mut all: BTreeMap<&str, (&HeadsetProfile, ProfilePlace)> =
            self.built_in.iter().map(|(id, profile)| (id.as_str(), (profile, ProfilePlace::BuiltIn))).collect();
        all.extend(self.assets.values().map(|profile| (profile.id.as_str(), (profile, ProfilePlace::Asset))));
        for (path, entry) in &self.files {
            if let Some(profile) = &entry.profile {
                all.insert(&profile.id, (profile, ProfilePlace::File(path.clone())));
            }
        }
        all
    }

    /// The profile of this id.
    pub fn get(&self, id: &str) -> Option<&HeadsetProfile> {
        let files = self.files.values().rev().filter_map(|entry| entry.profile.as_ref());
        let assets = self.assets.values().rev();
        files.chain(assets).find(|profile| profile.id == id).or_else(|| self.built_in.get(id))
    }

    /// What is wrong with files of the user's folder, each fault with file and line.
    pub fn faults(&self) -> impl Iterator<Item = &str> {
        self.files.values().filter_map(|entry| entry.faults.as_deref())
    }

    /// What to say where there is no profile of this id.
    pub fn no_such(&self, id: &str) -> String {
        let entries = self.entries();
        let shown: String = id.chars().take(60).collect();
        let like = problem::most_like(&shown, entries.keys().copied());
        let ids = || entries.keys().copied().collect::<Vec<_>>().join(", ");
        let way_out = like.map_or_else(|| format!("there are {}", ids()), |like| format!("did you mean “{like}”?"));
        format!("there is no headset profile “{shown}”: {way_out}")
    }

    /// Reads the folder's files that are new or were saved since, and forgets those that are gone.
    pub fn refresh(&mut self) {
        self.looked_at = Some(Instant::now());
        let Some(folder) = &self.folder else { return };
        let listing = std::fs::read_dir(folder).into_iter().flatten().flatten().take(Self::MOST_FILES);
        let mut paths: Vec<PathBuf> = listing.map(|entry| entry.path()).filter(|path| is_profile(path)).collect();
        paths.sort();
        let before = self.files.len();
        self.files.retain(|path, _| paths.contains(path));
        let mut changed = self.files.len() != before;
        for path in paths {
            let modified = std::fs::metadata(&path).and_then(|data| data.modified()).ok();
            if self.files.get(&path).is_some_and(|present| present.modified == modified) {
                continue;
            }
            let last = self.files.remove(&path).and_then(|present| present.profile);
            let entry = match read::read_file(&path) {
                Ok((profile, warnings)) => {
                    if !warnings.is_empty() {
                        warn!("the headset profile is read, but:\n{}", problem::list_of_file(&warnings, &path));
                    }
                    FileEntry { modified, profile: Some(profile), faults: None }
                }
                Err(error) => {
                    error!("the headset profile cannot be used; what it said before stays:\n{error}");
                    FileEntry { modified, profile: last, faults: Some(error.to_string()) }
                }
            };
            self.files.insert(path, entry);
            changed = true;
        }
        self.generation += u64::from(changed);
    }
}

/// Whether a file may be a profile, by its name.
fn is_profile(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".ron") || name.ends_with(".json")
}

/// Why an asset is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileLoadError {
    /// It could not be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// It has faults.
    #[error("{}", problem::list(.0))]
    Faults(Vec<Problem>),
    /// It is no text.
    #[error("it is no text in UTF-8")]
    NoText,
}

/// Loads profiles through the asset server: `.headset.ron` and `.headset.json`.
#[derive(TypePath, Default)]
pub struct ProfileLoader;

impl AssetLoader for ProfileLoader {
    type Asset = HeadsetProfile;
    type Settings = ();
    type Error = ProfileLoadError;

    async fn load(
        &self,
        reader: &mut dyn Reader,
        _: &(),
        context: &mut LoadContext<'_>,
    ) -> Result<HeadsetProfile, ProfileLoadError> {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).await?;
        let text = String::from_utf8(bytes).map_err(|_| ProfileLoadError::NoText)?;
        let (profile, problems) = read::read(&text);
        let Some(profile) = profile else { return Err(ProfileLoadError::Faults(problems)) };
        if !problems.is_empty() {
            warn!("{}:\n{}", context.path(), problem::list(&problems));
        }
        Ok(profile)
    }

    fn extensions(&self) -> &[&str] {
        &[HeadsetProfile::EXTENSION, "headset.json"]
    }
}

/// Reads a profile from a file: see [`read::read_file`].
///
/// # Errors
/// As [`read::read_file`].
pub fn check_file(path: &Path) -> Result<(HeadsetProfile, Vec<Problem>), ProfileError> {
    read::read_file(path)
}

pub(crate) fn plugin(app: &mut App) {
    app.init_resource::<HeadsetLibrary>().add_systems(PreUpdate, follow_folder);
    if app.world().contains_resource::<AssetServer>() {
        app.init_asset::<HeadsetProfile>().init_asset_loader::<ProfileLoader>().add_systems(PreUpdate, follow_assets);
    }
}

/// Looks at the user's folder now and then.
fn follow_folder(mut library: ResMut<HeadsetLibrary>) {
    let due = library.folder.is_some() && library.looked_at.is_none_or(|last| last.elapsed() >= HeadsetLibrary::PAUSE);
    if !due {
        return;
    }
    let before = library.generation;
    let library_now = library.bypass_change_detection();
    library_now.refresh();
    if library_now.generation != before {
        library.set_changed();
    }
}

/// Takes loaded profiles into the library, and what became of them.
fn follow_assets(
    mut events: MessageReader<AssetEvent<HeadsetProfile>>,
    assets: Res<Assets<HeadsetProfile>>,
    mut library: ResMut<HeadsetLibrary>,
) {
    for event in events.read() {
        match event {
            AssetEvent::Added { id } | AssetEvent::Modified { id } => {
                if let Some(profile) = assets.get(*id) {
                    library.assets.insert(*id, profile.clone());
                    library.generation += 1;
                }
            }
            AssetEvent::Removed { id } => {
                library.assets.remove(id);
                library.generation += 1;
            }
            AssetEvent::Unused { .. } | AssetEvent::LoadedWithDependencies { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_profile_is_read_without_a_word_and_says_where_each_value_comes_from() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../headsets");
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder").flatten().filter(|entry| is_profile(&entry.path())) {
            let path = entry.path();
            let (profile, problems) = read::read_file(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(problems.is_empty(), "{}", problem::list_of_file(&problems, &path));
            let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
            assert_eq!(name, format!("{}.{}", profile.id, HeadsetProfile::EXTENSION));
            for (field, origin, _) in profile.origins() {
                assert!(*origin != crate::profile::Origin::Unstated, "{name}: {field}");
            }
            ids.push(profile.id);
        }
        ids.sort();
        let built_in: Vec<String> = built_in().into_iter().map(|profile| profile.id).collect();
        assert_eq!(ids, built_in, "the program brings exactly the files of the folder");
        for id in [
            "quest-2",
            "quest-3",
            "quest-3s",
            "quest-pro",
            "pico-4",
            "pico-4-ultra",
            "vision-pro",
            "galaxy-xr",
            "steam-frame",
            "valve-index",
            "bigscreen-beyond-2",
            "vive-focus-vision",
            "psvr2",
            "generic-360",
            "generic-vr180",
            "generic-flat",
        ] {
            assert!(ids.iter().any(|known| known == id), "{id} is missing");
        }
    }

    #[test]
    fn a_user_s_profile_goes_before_the_one_that_comes_with_the_program_and_is_read_again_when_saved() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mine.headset.ron");
        let text = BUILT_IN.iter().find(|text| text.contains("\"quest-3\"")).expect("shipped");
        let mut library = HeadsetLibrary::with_folder(Some(folder.path().to_owned()));
        assert_eq!(library.get("quest-3").expect("shipped").name, "Meta Quest 3");
        std::fs::write(&path, text.replace("Meta Quest 3", "My Quest")).expect("written");
        let before = library.generation();
        library.refresh();
        assert!(library.generation() > before);
        assert_eq!(library.get("quest-3").expect("mine").name, "My Quest");
        assert_eq!(library.entries()["quest-3"].1, ProfilePlace::File(path.clone()));
        // A faulty version changes nothing but is told, with its line.
        std::fs::write(&path, text.replace("(1680, 1760)", "(1680, 99999)")).expect("written");
        let file = std::fs::File::options().write(true).open(&path).expect("open");
        file.set_modified(SystemTime::now() + Duration::from_secs(5)).expect("set");
        library.refresh();
        assert_eq!(library.get("quest-3").expect("mine").name, "My Quest");
        let fault = library.faults().next().expect("told").to_owned();
        assert!(fault.contains("mine.headset.ron:8:16: error: render_px is 1680×99999"), "{fault}");
        std::fs::remove_file(&path).expect("removed");
        library.refresh();
        assert_eq!(library.get("quest-3").expect("shipped").name, "Meta Quest 3");
        assert!(library.no_such("qest-3").contains("did you mean “quest-3”?"), "{}", library.no_such("qest-3"));
    }

    #[test]
    fn a_profile_loaded_as_an_asset_is_in_the_library_and_follows_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = BUILT_IN.iter().find(|text| text.contains("\"quest-3\"")).expect("shipped");
        let write = |name: &str| {
            let text = text.replace("\"quest-3\"", "\"stage-left\"").replace("Meta Quest 3", name);
            std::fs::write(folder.path().join("a.headset.ron"), text).expect("written");
        };
        write("First");
        let mut app = App::new();
        let assets = AssetPlugin { file_path: folder.path().display().to_string(), ..default() };
        app.add_plugins((MinimalPlugins, assets)).insert_resource(HeadsetLibrary::with_folder(None));
        plugin(&mut app);
        let handle: Handle<HeadsetProfile> = app.world().resource::<AssetServer>().load("a.headset.ron");
        let wait = |app: &mut App, name: &str| {
            for _ in 0..2000 {
                app.update();
                if app.world().resource::<HeadsetLibrary>().get("stage-left").is_some_and(|profile| profile.name == name) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            panic!("{name} did not come");
        };
        wait(&mut app, "First");
        write("Second");
        app.world().resource::<AssetServer>().reload("a.headset.ron");
        wait(&mut app, "Second");
        drop(handle);
    }
}
