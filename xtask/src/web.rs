//! The browser viewer: its page is built from `web/` by npm, and committed where the studio takes it from, so that building the
//! studio needs no npm. A check says when the two differ.

use crate::{
    process::{Job, Runner},
    project::Project,
    setup,
    summary::{Outcome, Summary},
};
use std::{fs, path::Path, time::Duration};

/// Where the page lies that the studio is built with.
const BUILT: &str = "crates/studio_stream/web/dist";
/// Where a check builds it, below `web/`.
const CHECKED: &str = "out/page";
/// The page's parts.
const PARTS: [&str; 4] = ["index.html", "viewer.js", "worker.js", "viewer.css"];
/// The largest page, all parts together.
const MAX_BYTES: u64 = 300_000;
/// The oldest Node that builds and tests it: that of Debian 12.
const OLDEST_NODE: u32 = 18;

/// A question to a program.
const ASK: Duration = Duration::from_secs(30);
/// Download and installation of the npm packages, 70 MB.
const INSTALL: Duration = Duration::from_secs(10 * 60);
const BUILD: Duration = Duration::from_secs(3 * 60);
const STUDIO: Duration = Duration::from_secs(90 * 60);
const TESTS: Duration = Duration::from_secs(15 * 60);

/// Builds the page; with `check`, says whether the committed one is what the sources give.
pub fn build(runner: &Runner, project: &Project, check: bool) -> Summary {
    let mut summary = Summary::new(runner.dry_run);
    let ready = prepare(runner, project, &mut summary);
    summary.step("page", || if ready { page(runner, project, check).into() } else { not_ready() });
    summary
}

/// Checks the page, its own logic, and the page in a browser that watches a studio.
pub fn test(runner: &Runner, project: &Project) -> Summary {
    let mut summary = Summary::new(runner.dry_run);
    steps(runner, project, &mut summary);
    summary
}

/// The steps of `test`, for a longer run of which they are a part.
pub fn steps(runner: &Runner, project: &Project, summary: &mut Summary) {
    let ready = prepare(runner, project, summary);
    let step = |summary: &mut Summary, name, run: &dyn Fn() -> Result<(), String>| {
        summary.step(name, || if ready { run().into() } else { not_ready() });
    };
    step(summary, "page", &|| page(runner, project, true));
    step(summary, "page tests", &|| runner.run(&npm("run --silent test", TESTS)));
    step(summary, "browser tests", &|| {
        runner.run(&Job::new("cargo build --package neural_studio --bin neural-studio", STUDIO))?;
        runner.run(&Job::new("cargo build --package studio_stream --example hostile_relay", STUDIO))?;
        let shots = project.root.join("out/web");
        let [studio, relay] = ["neural-studio", "examples/hostile_relay"].map(|name| program(runner, project, "dev", name));
        let job = npm("run --silent test:browser", TESTS).env("NEURAL_STUDIO", studio?).env("NEURAL_STUDIO_RELAY", relay?);
        runner.run(&job.env("NEURAL_STUDIO_SHOTS", shots.to_string_lossy()))
    });
}

fn not_ready() -> Outcome {
    Outcome::Skipped("its tools are not there".into())
}

/// An npm command on the page's sources.
pub(crate) fn npm(line: &str, limit: Duration) -> Job {
    Job::new(&format!("npm --prefix web {line}"), limit)
}

/// Gets Node, npm, Chromium and the npm packages. Whether they are all there.
pub(crate) fn prepare(runner: &Runner, project: &Project, summary: &mut Summary) -> bool {
    summary.step("page tools", || tools(runner, project).into()) == &Outcome::Passed
}

fn tools(runner: &Runner, project: &Project) -> Result<(), String> {
    let node = runner.ask(&Job::new("node --version", ASK)).map(|answer| answer.text);
    let mut missing = Vec::new();
    if node.is_none() {
        missing.push("nodejs");
    }
    // Other Node packages than Debian's bring npm along.
    if runner.ask(&Job::new("npm --version", ASK)).is_none() {
        missing.push("npm");
    }
    if runner.ask(&Job::new("chromium --version", ASK)).is_none() {
        missing.push("chromium");
    }
    if !missing.is_empty() {
        println!("Missing: {}, for the browser viewer and its tests.", missing.join(", "));
        setup::install(runner, &missing)?;
    }
    if let Some(major) = node.as_deref().and_then(major).filter(|major| *major < OLDEST_NODE) {
        return Err(format!("Node {major} is too old for the page's tools: {OLDEST_NODE} is the oldest that works"));
    }
    let (lock, installed) =
        (project.root.join("web/package-lock.json"), project.root.join("web/node_modules/.package-lock.json"));
    if is_newer(&installed, &lock) {
        return Ok(());
    }
    runner.run(&npm("ci --no-audit --no-fund --ignore-scripts", INSTALL))
}

/// The first number of `v20.1.2`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Whether a file is there and was written after another.
fn is_newer(file: &Path, than: &Path) -> bool {
    let written = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    written(file).is_some_and(|file| written(than).is_some_and(|than| file >= than))
}

/// Type-checks and builds the page, and looks at its size.
fn page(runner: &Runner, project: &Project, check: bool) -> Result<(), String> {
    runner.run(&npm("run --silent check", BUILD))?;
    let out = if check { project.root.join("web").join(CHECKED) } else { project.root.join(BUILT) };
    runner.run(&npm("run --silent build -- --out", BUILD).args([out.to_string_lossy()]))?;
    if runner.dry_run {
        return Ok(());
    }
    let read = |folder: &Path, part: &str| {
        let path = folder.join(part);
        fs::read(&path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
    };
    let mut bytes = 0;
    for part in PARTS {
        let made = read(&out, part)?;
        bytes += made.len() as u64;
        if check && made != read(&project.root.join(BUILT), part)? {
            return Err(format!("{BUILT}/{part} is not what web/ gives: `cargo xtask web` builds it, then commit it"));
        }
    }
    println!("The page has {bytes} bytes.");
    if bytes > MAX_BYTES {
        return Err(format!("the page has {bytes} bytes, more than {MAX_BYTES}"));
    }
    Ok(())
}

/// Where cargo put a program that it built with a profile.
pub(crate) fn program(runner: &Runner, project: &Project, profile: &str, name: &str) -> Result<String, String> {
    let target = match (&project.target_dir, std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty())) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => project.root.join(folder),
        (None, None) => project.root.join("target"),
    };
    // The profile `dev` has a folder of another name.
    let program =
        target.join(if profile == "dev" { "debug" } else { profile }).join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if runner.dry_run || program.is_file() {
        return Ok(program.to_string_lossy().into_owned());
    }
    Err(format!("{name} was built, but not to `{}`", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_version_is_understood() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.1"), None);
        assert_eq!(major(""), None);
    }

    #[test]
    fn a_file_that_is_not_there_is_not_newer() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(is_newer(&here, &here));
        assert!(!is_newer(Path::new("no such file"), &here) && !is_newer(&here, Path::new("no such file")));
    }

    #[test]
    fn the_committed_page_is_small() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(BUILT);
        let bytes: u64 = PARTS.iter().map(|part| fs::metadata(folder.join(part)).unwrap().len()).sum();
        assert!((10_000..MAX_BYTES).contains(&bytes), "{bytes} bytes");
    }
}
