//! Where things are: the checkout, the build folder, the programs to run.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The checkout, and where its builds go.
#[derive(Debug)]
pub struct Project {
    /// The checkout's root.
    pub root: PathBuf,
    /// The build folder to hand to cargo; `None` leaves it to cargo's own rules.
    pub target_dir: Option<PathBuf>,
}

impl Project {
    /// Finds the checkout this program was built from, and decides where builds go.
    ///
    /// # Errors
    /// When the checkout is no longer where it was when this program was built.
    pub fn find() -> Result<Self, String> {
        // `cargo run` sets the variable; the folder of the build is for a program that is started by hand.
        let manifest_dir =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest_dir.parent().map(Path::to_path_buf).unwrap_or_default();
        if !root.join("Cargo.toml").is_file() {
            return Err(format!("no checkout at `{}`; start this as `cargo xtask` inside of one", root.display()));
        }
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let target_dir =
            target_dir(set("CARGO_TARGET_DIR").is_some(), is_ci(), set("XDG_CACHE_HOME").map(PathBuf::from), env::home_dir());
        Ok(Self { root, target_dir })
    }

    /// A folder for what can be made again, outside of the checkout; `None` where there is no home.
    pub fn cache_dir() -> Option<PathBuf> {
        cache_dir(env::var_os("XDG_CACHE_HOME").map(PathBuf::from), env::home_dir())
    }

    /// The names of the examples of the root package, sorted; bench programs are not among them.
    ///
    /// # Errors
    /// When the folder exists but cannot be read.
    pub fn examples(&self) -> io::Result<Vec<String>> {
        let names = programs_in(&self.root.join("examples"))?;
        Ok(names.into_iter().filter(|name| !name.starts_with("bench_")).collect())
    }

    /// The stage benches, as `(crate, example)`: `crates/*/examples/bench_*.rs`, sorted.
    ///
    /// # Errors
    /// When a folder exists but cannot be read.
    pub fn stage_benches(&self) -> io::Result<Vec<(String, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("crates"))? {
            let entry = entry?;
            let package = entry.file_name().to_string_lossy().into_owned();
            let names = programs_in(&entry.path().join("examples"))?;
            found.extend(names.into_iter().filter(|name| name.starts_with("bench_")).map(|name| (package.clone(), name)));
        }
        found.sort();
        Ok(found)
    }

    /// The names of the whole pipeline's bench programs in `benches/`, sorted.
    ///
    /// # Errors
    /// When the folder exists but cannot be read.
    pub fn pipeline_benches(&self) -> io::Result<Vec<String>> {
        programs_in(&self.root.join("benches"))
    }
}

/// Whether this runs on a CI machine, as they all say it.
pub fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// A CI machine often starts with a new checkout each time: a build folder outside of it makes the next run quick.
fn target_dir(already_set: bool, ci: bool, cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    if already_set || !ci {
        return None;
    }
    Some(cache_dir(cache_home, home)?.join("target"))
}

/// The project's folder for what can be made again, by the XDG Base Directory Specification.
fn cache_dir(cache_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let cache = cache_home.filter(|path| path.is_absolute()).or_else(|| home.map(|home| home.join(".cache")))?;
    Some(cache.join("neural-studio"))
}

/// Cargo's rule for programs in a folder: `NAME.rs`, or `NAME/main.rs`.
fn programs_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(io::Error::new(error.kind(), format!("cannot read `{}`: {error}", folder.display()))),
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_program = path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let Some(name) = path.file_stem().filter(|_| is_program) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_go_to_the_cache_only_on_a_ci_machine_that_has_not_chosen() {
        let cache = || Some(PathBuf::from("/cache"));
        let home = || Some(PathBuf::from("/home/me"));
        assert_eq!(target_dir(false, true, cache(), home()), Some(PathBuf::from("/cache/neural-studio/target")));
        assert_eq!(target_dir(false, true, None, home()), Some(PathBuf::from("/home/me/.cache/neural-studio/target")));
        assert_eq!(
            target_dir(false, true, Some("relative".into()), home()),
            Some(PathBuf::from("/home/me/.cache/neural-studio/target"))
        );
        assert_eq!(target_dir(false, true, None, None), None);
        assert_eq!(target_dir(true, true, cache(), home()), None);
        assert_eq!(target_dir(false, false, cache(), home()), None);
    }

    #[test]
    fn the_checkout_is_found() {
        let project = Project::find().unwrap();
        assert!(project.root.join("xtask/src/project.rs").is_file());
        assert_eq!(programs_in(&project.root.join("no such folder")).unwrap(), Vec::<String>::new());
        assert_eq!(programs_in(&project.root.join("Cargo.toml")).unwrap(), Vec::<String>::new());
        assert!(programs_in(&project.root.join("xtask/src")).unwrap().contains(&"cli".to_owned()));
    }
}
