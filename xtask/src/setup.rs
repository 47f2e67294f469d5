//! Finding and installing what the machine lacks.

use crate::{
    packages::{self, ELEMENTS, Group, Package},
    process::{Job, Runner},
    python::{ONNX_RUNTIME, USD},
    summary::Outcome,
    table,
};
use std::{fs, path::Path, time::Duration};

/// A question to a program.
const ASK: Duration = Duration::from_secs(30);
/// Download and installation.
const INSTALL: Duration = Duration::from_secs(20 * 60);

/// Makes sure that the machine has what `groups` need; with `check`, only looks. Says what it finds.
pub fn run(runner: &Runner, groups: &[Group], check: bool) -> Outcome {
    let mut problems = Vec::new();
    let mut note = |result: Result<(), String>| problems.extend(result.err());
    note(system_packages(runner, groups, check));
    if groups.contains(&Group::Test) {
        note(rust_components(runner, check));
        note(USD.set_up(runner, check));
        note(ONNX_RUNTIME.set_up(runner, check));
    }
    if groups.contains(&Group::Run) && !runner.dry_run {
        note(gstreamer_elements(runner));
        note(vulkan(runner));
    }
    if problems.is_empty() { Outcome::Passed } else { Outcome::Failed(problems.join("; ")) }
}

fn system_packages(runner: &Runner, groups: &[Group], check: bool) -> Result<(), String> {
    let wanted: Vec<&Package> = packages::of_groups(groups).collect();
    let os_release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let query = Job::new("dpkg-query -W -f", ASK)
        .args(["${Package} ${db:Status-Status}\n"])
        .args(wanted.iter().map(|package| package.name));
    let known = packages::is_debian(&os_release).then(|| runner.ask(&query)).flatten();
    let Some(answer) = known else {
        println!("This is not Debian or its kin. Install what corresponds to these Debian packages:\n\n{}\n", listing(&wanted));
        return libraries(runner, groups);
    };
    let missing = packages::missing(wanted.iter().copied(), &answer.text);
    if missing.is_empty() {
        println!("All {} Debian packages are installed.", wanted.len());
        return Ok(());
    }
    println!("Missing:\n\n{}\n", listing(&missing));
    if check {
        return Err(format!("{} Debian packages are missing; `cargo xtask setup` installs them", missing.len()));
    }
    install(runner, &missing.iter().map(|package| package.name).collect::<Vec<_>>())
}

fn listing(packages: &[&Package]) -> String {
    let rows: Vec<_> = packages.iter().map(|package| vec![package.name.to_owned(), package.why.to_owned()]).collect();
    table::render(&["package", "what for"], &rows)
}

/// Installs Debian packages by their names.
///
/// # Errors
/// What went wrong, and what to do by hand.
pub fn install(runner: &Runner, names: &[&str]) -> Result<(), String> {
    let by_hand = || format!("install them as root: apt-get install {}", names.join(" "));
    let is_root = runner.ask(&Job::new("id -u", ASK)).is_some_and(|answer| answer.text.trim() == "0");
    if !is_root && runner.ask(&Job::new("sudo -V", ASK)).is_none() {
        return Err(format!("you are not root and there is no sudo; {}", by_hand()));
    }
    // `env` carries the variable through sudo, which clears the environment.
    let apt = |line: &str| {
        let prefix = if is_root { "" } else { "sudo " };
        Job::new(&format!("{prefix}env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 {line}"), INSTALL)
    };
    // Without fresh lists the installation may still work: it decides.
    if let Err(error) = runner.run(&apt("update")) {
        println!("The package lists could not be refreshed ({error}); trying with the ones there are.");
    }
    let job = apt("install --yes --no-install-recommends").args(names.iter().copied());
    runner.run(&job).map_err(|error| format!("apt-get failed ({error}); {}", by_hand()))
}

/// Where packages cannot be asked for, the libraries to link with can.
fn libraries(runner: &Runner, groups: &[Group]) -> Result<(), String> {
    if !groups.contains(&Group::Build) || runner.dry_run {
        return Ok(());
    }
    let found = |name: &str| runner.ask(&Job::new("pkg-config --exists", ASK).args([name])).is_some_and(|answer| answer.good);
    let mut wanted = vec!["gstreamer-1.0", "gstreamer-app-1.0", "gstreamer-video-1.0"];
    if cfg!(target_os = "linux") {
        wanted.push("libudev");
    }
    let missing: Vec<_> = wanted.into_iter().filter(|name| !found(name)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("pkg-config does not find {}", missing.join(", "))) }
}

/// rustfmt and clippy; a minimal toolchain comes without them.
fn rust_components(runner: &Runner, check: bool) -> Result<(), String> {
    let there = |line: &str| runner.ask(&Job::new(line, ASK)).is_some_and(|answer| answer.good);
    let missing: Vec<_> = [("rustfmt", "cargo fmt --version"), ("clippy", "cargo clippy --version")]
        .into_iter()
        .filter_map(|(component, line)| (!there(line)).then_some(component))
        .collect();
    if missing.is_empty() {
        println!("rustfmt and clippy are there.");
        return Ok(());
    }
    let names = missing.join(" ");
    println!("Missing: {names}, for the format and lint checks.");
    if check {
        return Err(format!("{names} missing; `cargo xtask setup` installs it"));
    }
    let job = Job::new("rustup component add", INSTALL).args(missing);
    runner.run(&job).map_err(|error| format!("could not add {names} ({error}); install it with your Rust toolchain"))
}

/// A distribution may leave elements out of its packages.
fn gstreamer_elements(runner: &Runner) -> Result<(), String> {
    let there = |name: &str| runner.ask(&Job::new("gst-inspect-1.0 --exists", ASK).args([name])).map(|answer| answer.good);
    let mut missing = Vec::new();
    for element in ELEMENTS {
        match there(element.name) {
            Some(true) => {}
            Some(false) => missing.push(format!("{} (Debian: {})", element.name, element.package)),
            None => return Err("gst-inspect-1.0 cannot be run (Debian: gstreamer1.0-tools)".into()),
        }
    }
    if missing.is_empty() {
        println!("GStreamer has the elements we need.");
        return Ok(());
    }
    Err(format!("GStreamer lacks {}", missing.join(", ")))
}

fn vulkan(runner: &Runner) -> Result<(), String> {
    let Some(answer) = runner.ask(&Job::new("vulkaninfo --summary", ASK)) else {
        // macOS has Metal and Windows Direct3D: there the studio does without Vulkan.
        return if cfg!(target_os = "linux") { Err("vulkaninfo cannot be run (Debian: vulkan-tools)".into()) } else { Ok(()) };
    };
    let adapters = packages::vulkan_adapters(&answer.text);
    if adapters.is_empty() {
        let chosen = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find(|name| std::env::var_os(name).is_some());
        let hint = match chosen {
            Some(name) => format!("{name} is set: does it name a driver that is there?"),
            None if Path::new("/dev/dri").exists() => {
                "is the GPU's Vulkan driver installed, and may you open /dev/dri/renderD*?".into()
            }
            None => "mesa-vulkan-drivers has one that needs no GPU".into(),
        };
        return Err(format!("no Vulkan adapter; {hint}"));
    }
    println!("Vulkan: {}.", adapters.join(", "));
    Ok(())
}
