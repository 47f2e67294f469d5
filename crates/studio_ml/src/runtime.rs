//! The library of ONNX Runtime: where it is found, and that it is opened once.

use crate::ModelError;
use ort::{
    AsPointer,
    environment::Environment,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
};
use parking_lot::Mutex;
use std::{
    env,
    ffi::CStr,
    fs,
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
    let environment = builder.with_name("neural-studio").with_telemetry(false).build().map_err(|error| error.to_string())?;
    limit_memory(&environment)?;
    Ok(environment)
}

/// What all models together take for their numbers, at most; what a model asks for beyond it is an error of its run.
const MOST_BYTES: usize = 4 << 30;
/// The memory grows by what is asked for, and not by powers of two.
const SAME_AS_REQUESTED: i32 = 1;
/// The library's own choice.
const DEFAULT: i32 = -1;

/// Gives the environment the one allocator that sessions use, with a limit: a file from a stranger may ask for anything.
#[allow(unsafe_code, reason = "the bindings have no safe way to register an allocator")]
fn limit_memory(environment: &Environment) -> Result<(), String> {
    let place = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default);
    let place = place.map_err(|error| error.to_string())?;
    let api = ort::api();
    let said = |status: ort::sys::OrtStatusPtr| {
        if status.0.is_null() {
            return Ok(());
        }
        // SAFETY: a status that is not null is an error that is ours until we release it, and its message is a C string that lives as long.
        let words = unsafe {
            let words = CStr::from_ptr((api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
            (api.ReleaseStatus)(status.0);
            words
        };
        Err(format!("its memory cannot be limited: {words}"))
    };
    let mut settings = std::ptr::null_mut();
    // SAFETY: the library is open; `settings` is a valid place for the pointer that it makes.
    said(unsafe { (api.CreateArenaCfg)(MOST_BYTES, SAME_AS_REQUESTED, DEFAULT, DEFAULT, &mut settings) })?;
    // SAFETY: environment, place and settings live through the call, which copies what it needs; nobody else uses the environment yet.
    let registered = unsafe { (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), place.ptr(), settings) };
    // SAFETY: the settings were made above and are released once.
    unsafe { (api.ReleaseArenaCfg)(settings) };
    said(registered)
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
