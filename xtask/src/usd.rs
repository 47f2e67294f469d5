//! usd-core: the independent reader that tests compare our USD files with, in a virtual environment of its own.

use crate::{
    process::{Job, Runner},
    project::{self, Project},
};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

/// The variable that hands the environment's Python to the tests. Set by hand, it is taken as it is.
pub const PYTHON: &str = "NEURAL_STUDIO_USD_PYTHON";
/// What is installed: a version that is known to agree with the tests.
const PACKAGE: &str = "usd-core==26.11";
/// A folder for each version, so that an older checkout keeps its own.
const FOLDER: &str = "python-usd-core-26.11";

/// A question to a program.
const ASK: Duration = Duration::from_secs(60);
/// Download and installation: 30 MB.
const INSTALL: Duration = Duration::from_secs(10 * 60);

/// The Python to hand to the tests, if there is one that has usd-core.
pub fn python(runner: &Runner) -> Option<PathBuf> {
    match env::var_os(PYTHON).filter(|python| !python.is_empty()) {
        Some(chosen) => Some(chosen.into()),
        None => python_in(&Project::cache_dir()?.join(FOLDER)).filter(|python| works(runner, python)),
    }
}

/// Makes the environment; with `check`, only looks. Without a network the tests that need it are skipped, but not on a CI machine.
///
/// # Errors
/// On a CI machine, when it cannot be made.
pub fn set_up(runner: &Runner, check: bool) -> Result<(), String> {
    if python(runner).is_some() {
        println!("{PACKAGE} is there.");
        return Ok(());
    }
    println!("Missing: {PACKAGE}, which reads what we write, for the tests.");
    let result = if check { Err("`cargo xtask setup` installs it".to_owned()) } else { install(runner) };
    match result {
        Ok(()) => Ok(()),
        Err(why) if project::is_ci() => Err(format!("{PACKAGE} is missing ({why})")),
        Err(why) => {
            println!("Tests that compare with it are skipped ({why}).");
            Ok(())
        }
    }
}

fn install(runner: &Runner) -> Result<(), String> {
    let folder = Project::cache_dir().ok_or("there is no home folder to put it in")?.join(FOLDER);
    let python = if cfg!(windows) { "python" } else { "python3" };
    // One that is half made is made anew.
    runner.run(&Job::new(&format!("{python} -m venv --clear"), INSTALL).args([folder.to_string_lossy()]))?;
    let Some(python) = python_in(&folder) else {
        return if runner.dry_run { Ok(()) } else { Err(format!("no Python came to be in `{}`", folder.display())) };
    };
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", PACKAGE];
    runner.run(&Job::program(&python, INSTALL).args(pip))?;
    if runner.dry_run || works(runner, &python) { Ok(()) } else { Err("it is installed but cannot be imported".to_owned()) }
}

fn python_in(folder: &Path) -> Option<PathBuf> {
    [folder.join("bin").join("python"), folder.join("Scripts").join("python.exe")].into_iter().find(|python| python.exists())
}

fn works(runner: &Runner, python: &Path) -> bool {
    runner.ask(&Job::program(python, ASK).args(["-c", "from pxr import Usd, UsdValidation"])).is_some_and(|answer| answer.good)
}
