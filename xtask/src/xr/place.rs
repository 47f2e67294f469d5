//! Where Monado runs: Debian has it from 13 on. On an older Debian, a folder with a Debian 13 in it does.

use crate::{
    process::{Job, Runner},
    project::Project,
    setup,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// What the runtime is made of. On Debian 13 this is all that is missing.
const RUNTIME: [&str; 4] = ["monado-service", "libopenxr1-monado", "libopenxr-loader1", "weston"];
/// What the viewer itself needs, in a folder that has nothing.
const VIEWER: [&str; 8] = [
    "mesa-vulkan-drivers",
    "libasound2t64",
    "libudev1",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-libav",
    "libgstreamer-plugins-base1.0-0",
];
/// The folder in the cache: another list of packages is another folder.
const FOLDER: &str = "debian-13-monado-1";
/// What tells that a folder is complete.
pub(super) const MANIFEST: &str = "usr/share/openxr/1/openxr_monado.json";

/// A question to a program.
const ASK: Duration = Duration::from_secs(30);
/// Download and installation, 600 MB.
const INSTALL: Duration = Duration::from_secs(20 * 60);

/// Why there is no runtime.
pub(super) enum Unready {
    /// This machine cannot have one.
    Skip(String),
    /// It could, but something went wrong.
    Fail(String),
}

/// Where programs find the runtime.
pub(super) enum Place {
    /// The system itself.
    System,
    /// A folder with a Debian 13 in it.
    Folder(PathBuf),
}

impl Place {
    /// Finds the runtime, or installs it.
    pub fn prepare(runner: &Runner) -> Result<Self, Unready> {
        let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        if cfg!(not(target_os = "linux")) || value(&os_release, "ID") != Some("debian") {
            return Err(Unready::Skip("Monado is installed on Debian alone".to_owned()));
        }
        let version = value(&os_release, "VERSION_ID").and_then(|version| version.parse::<u32>().ok());
        if version.is_none_or(|version| version >= 13) {
            let there = Path::new("/").join(MANIFEST).exists();
            let missing = if there { Ok(()) } else { setup::install(runner, &RUNTIME) };
            return missing.map(|()| Self::System).map_err(Unready::Fail);
        }
        let cache = Project::cache_dir().ok_or_else(|| Unready::Skip("there is no home folder for a Debian 13".to_owned()))?;
        let folder = cache.join(FOLDER);
        let is_root = runner.ask(&Job::new("id -u", ASK)).is_some_and(|answer| answer.text.trim() == "0");
        if !is_root {
            let why = "before Debian 13, Monado needs a folder with a Debian 13 in it, which root alone can make and enter: run it as \
                       root, or on Debian 13";
            return Err(Unready::Skip(why.to_owned()));
        }
        // Some containers do not let even root mount anything.
        if !runner.ask(&Job::new("unshare --mount true", ASK)).is_some_and(|answer| answer.good) {
            return Err(Unready::Skip("this machine does not let root mount folders (unshare --mount)".to_owned()));
        }
        if folder.join(MANIFEST).exists() {
            println!("Monado is there, in `{}`.", folder.display());
            return Ok(Self::Folder(folder));
        }
        match make(runner, &folder) {
            Ok(()) => Ok(Self::Folder(folder)),
            // A Debian mirror that does not answer is no fault of what is tested.
            Err(why) => Err(Unready::Skip(format!("Monado could not be installed: {why}"))),
        }
    }

    /// A command on a program there. `programs` is a folder outside that is seen as [`programs`](Self::programs).
    pub fn command(&self, programs: &Path, program: &str) -> Command {
        match self {
            Self::System => Command::new(program),
            Self::Folder(folder) => {
                // Mounted for this process alone, which becomes the program: killing it kills the program, and nothing stays mounted.
                let script = "root=$0; programs=$1; shift; mount --bind /proc \"$root/proc\" && mount --rbind /dev \"$root/dev\" \
                              && mount --bind \"$programs\" \"$root/programs\" && exec chroot \"$root\" \"$@\"";
                let mut command = Command::new("unshare");
                command.args(["--mount", "sh", "-c", script]).arg(folder).arg(programs).arg(program);
                command
            }
        }
    }

    /// Where the folder that was handed to [`command`](Self::command) is seen.
    pub fn programs(&self, programs: &Path) -> PathBuf {
        match self {
            Self::System => programs.to_owned(),
            Self::Folder(_) => PathBuf::from("/programs"),
        }
    }

    /// A path that is seen there, as it is seen from outside.
    pub fn outside(&self, path: &Path) -> PathBuf {
        match self {
            Self::System => path.to_owned(),
            Self::Folder(folder) => folder.join(path.strip_prefix("/").unwrap_or(path)),
        }
    }
}

/// Makes the folder. One that is half made is made anew.
fn make(runner: &Runner, folder: &Path) -> Result<(), String> {
    println!("Missing: Monado, an OpenXR runtime with a simulated headset. It goes into a Debian 13 in `{}`.", folder.display());
    if runner.ask(&Job::new("debootstrap --version", ASK)).is_none() {
        setup::install(runner, &["debootstrap"])?;
    }
    let partial = folder.with_extension("partial");
    if partial.exists() && !runner.dry_run {
        fs::remove_dir_all(&partial).map_err(|error| format!("`{}` cannot be removed: {error}", partial.display()))?;
    }
    let there = partial.to_string_lossy().into_owned();
    runner.run(&Job::new("debootstrap --variant=minbase trixie", INSTALL).args([there.clone()]))?;
    let script = "mount --bind /proc \"$0/proc\" && mount --rbind /dev \"$0/dev\" && exec chroot \"$0\" \"$@\"";
    let install = Job::new("unshare --mount sh -c", INSTALL).args([script.to_owned(), there.clone()]);
    let apt = ["apt-get", "-o", "APT::Sandbox::User=root", "install", "--yes", "--no-install-recommends"];
    runner.run(&install.args(apt).args(RUNTIME).args(VIEWER).env("DEBIAN_FRONTEND", "noninteractive"))?;
    runner.run(&Job::new("mkdir -p", ASK).args([format!("{there}/programs")]))?;
    runner.run(&Job::new("mv", ASK).args([there, folder.to_string_lossy().into_owned()]))?;
    if runner.dry_run || folder.join(MANIFEST).exists() {
        return Ok(());
    }
    Err(format!("there is no {MANIFEST} in `{}`", folder.display()))
}

/// A value of os-release(5).
fn value<'a>(os_release: &'a str, key: &str) -> Option<&'a str> {
    os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).map(|value| value.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_is_read() {
        let text = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID=\"12\"\nID=debian\n";
        assert_eq!((value(text, "ID"), value(text, "VERSION_ID"), value(text, "VERSION")), (Some("debian"), Some("12"), None));
    }

    #[test]
    fn a_path_in_the_folder_is_seen_from_outside() {
        let place = Place::Folder(PathBuf::from("/cache/debian"));
        assert_eq!(place.outside(Path::new("/run/x")), PathBuf::from("/cache/debian/run/x"));
        assert_eq!(Place::System.outside(Path::new("/run/x")), PathBuf::from("/run/x"));
    }
}
