//! The library of ONNX Runtime: where it is found, and that it is opened once.

use crate::ModelError;
use ort::environment::Environment;
use parking_lot::Mutex;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The variable that names the library. Set, nothing else is tried.
pub const VARIABLE: &str = "ORT_DYLIB_PATH";
/// Folders of the program's cache that begin so hold a Python environment with ONNX Runtime, as `cargo xtask setup` makes it.
const CACHED: &str = "python-onnxruntime-";

static OPENED: Mutex<Option<Environment>> = Mutex::new(None);

/// Opens the library, if it is not open.
///
/// A failure is not kept: a library that was installed meanwhile is found the next time.
///
/// # Errors
/// [`ModelError::NoRuntime`], with where it was looked for.
pub(crate) fn environment() -> Result<Environment, ModelError> {
    let mut opened = OPENED.lock();
    if let Some(environment) = opened.as_ref() {
        return Ok(environment.clone());
    }
    let mut searched = Vec::new();
    for candidate in candidates() {
        if candidate.is_absolute() && !candidate.is_file() {
            searched.push(format!("no file `{}`", candidate.display()));
            continue;
        }
        match open(&candidate) {
            Ok(environment) => {
                tracing::info!("ONNX Runtime: {}", candidate.display());
                *opened = Some(environment.clone());
                return Ok(environment);
            }
            Err(why) => searched.push(why),
        }
    }
    Err(ModelError::NoRuntime { searched: searched.join("; ") })
}

/// Says why models cannot be run, if they cannot.
///
/// # Errors
/// [`ModelError::NoRuntime`], with where the library was looked for.
pub fn check() -> Result<(), ModelError> {
    environment().map(|_| ())
}

fn open(library: &Path) -> Result<Environment, String> {
    // Never by way of ort's own search, which panics where there is nothing.
    let builder = ort::init_from(library).map_err(|error| error.to_string())?;
    builder.with_name("neural-studio").with_telemetry(false).build().map_err(|error| error.to_string())
}

/// The file name of the library, as systems install it.
fn file_name() -> &'static str {
    if cfg!(windows) {
        "onnxruntime.dll"
    } else if cfg!(target_os = "macos") {
        "libonnxruntime.dylib"
    } else {
        "libonnxruntime.so"
    }
}

/// Where the library may be, the best first: named by the variable; beside the program; in the cache; where the system looks.
fn candidates() -> Vec<PathBuf> {
    if let Some(named) = env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        let named = PathBuf::from(named);
        // A path from the working directory, as everywhere else; a bare name is for the system to find.
        let is_bare = named.parent().is_none_or(|parent| parent.as_os_str().is_empty());
        return vec![if is_bare { named } else { std::path::absolute(&named).unwrap_or(named) }];
    }
    let mut found = Vec::new();
    let beside = env::current_exe().ok().and_then(|program| Some(program.parent()?.join(file_name())));
    found.extend(beside.filter(|library| library.is_file()));
    found.extend(in_cache());
    found.push(file_name().into());
    found
}

/// What `cargo xtask setup` installed: the newest by name.
fn in_cache() -> Option<PathBuf> {
    let cache = directories::BaseDirs::new()?.cache_dir().join("neural-studio");
    let folders = fs::read_dir(cache).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<_> =
        folders.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(CACHED))).collect();
    folders.sort();
    folders.iter().rev().find_map(|folder| in_environment(folder))
}

/// The library in a Python environment.
fn in_environment(folder: &Path) -> Option<PathBuf> {
    let mut packages = vec![folder.join("Lib").join("site-packages")];
    let versions = fs::read_dir(folder.join("lib")).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    packages.extend(versions.map(|version| version.join("site-packages")));
    packages.iter().find_map(|packages| {
        let files = fs::read_dir(packages.join("onnxruntime").join("capi")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        // The wheel's library carries its version: libonnxruntime.so.1.31.1, libonnxruntime.1.31.1.dylib.
        let is_library = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if cfg!(windows) {
                name == file_name()
            } else if cfg!(target_os = "macos") {
                name.starts_with("libonnxruntime.") && name.ends_with(".dylib")
            } else {
                name.starts_with("libonnxruntime.so")
            }
        };
        files.into_iter().find(is_library)
    })
}
