//! What comes from Python's package index, each package in a virtual environment of its own: what tests and benches compare us with, and ONNX
//! Runtime.

use crate::{
    process::{Job, Runner},
    project::{self, Project},
};
use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

/// usd-core, the independent reader that tests compare our USD files with (30 MB).
pub const USD: Environment = Environment {
    variable: "NEURAL_STUDIO_USD_PYTHON",
    package: "usd-core==26.11",
    folder: "python-usd-core-26.11",
    check: "from pxr import Usd, UsdValidation",
    purpose: "reads what we write, for the tests",
};

/// OpenCV with its contributed modules, the peer of flow and disparity in `bench_vision` (80 MB).
pub const OPENCV: Environment = Environment {
    variable: "NEURAL_STUDIO_OPENCV_PYTHON",
    package: "opencv-contrib-python-headless==5.0.0.93",
    folder: "python-opencv-5.0.0.93",
    check: "import cv2; cv2.optflow.createOptFlow_DeepFlow",
    purpose: "is what the vision bench compares with",
};

/// ONNX Runtime: the library that runs models, found here by the program, and its own Python, which tests compare with (25 MB).
pub const ONNX_RUNTIME: Environment = Environment {
    variable: "NEURAL_STUDIO_ONNXRUNTIME_PYTHON",
    package: "onnxruntime==1.32.0",
    folder: "python-onnxruntime-1.32.0",
    check: "import onnxruntime",
    purpose: "runs neural networks",
};

/// A package and where it goes.
#[derive(Debug)]
pub struct Environment {
    /// The variable that hands the environment's Python to a program. Set by hand, it is taken as it is.
    pub variable: &'static str,
    /// What is installed: a version that is known to agree with us.
    package: &'static str,
    /// A folder for each version, so that an older checkout keeps its own.
    folder: &'static str,
    /// A line of Python that fails where the package does not work.
    check: &'static str,
    /// What the package does for us.
    purpose: &'static str,
}

/// A question to a program.
const ASK: Duration = Duration::from_secs(60);
/// Download and installation.
const INSTALL: Duration = Duration::from_secs(10 * 60);

impl Environment {
    /// The Python to hand on, if there is one that has the package.
    pub fn python(&self, runner: &Runner) -> Option<PathBuf> {
        match env::var_os(self.variable).filter(|python| !python.is_empty()) {
            Some(chosen) => Some(chosen.into()),
            None => python_in(&Project::cache_dir()?.join(self.folder)).filter(|python| self.works(runner, python)),
        }
    }

    /// Makes the environment; with `check`, only looks. Without a network what needs it is skipped, but not on a CI machine.
    ///
    /// # Errors
    /// On a CI machine, when it cannot be made.
    pub fn set_up(&self, runner: &Runner, check: bool) -> Result<(), String> {
        let Self { package, purpose, .. } = self;
        if self.python(runner).is_some() {
            println!("{package} is there.");
            return Ok(());
        }
        println!("Missing: {package}, which {purpose}.");
        let result = if check { Err("a run without --check installs it".to_owned()) } else { self.install(runner) };
        match result {
            Ok(()) => Ok(()),
            Err(why) if project::is_ci() => Err(format!("{package} is missing ({why})")),
            Err(why) => {
                println!("What needs it is skipped ({why}).");
                Ok(())
            }
        }
    }

    fn install(&self, runner: &Runner) -> Result<(), String> {
        let folder = Project::cache_dir().ok_or("there is no home folder to put it in")?.join(self.folder);
        let python = if cfg!(windows) { "python" } else { "python3" };
        // One that is half made is made anew.
        runner.run(&Job::new(&format!("{python} -m venv --clear"), INSTALL).args([folder.to_string_lossy()]))?;
        let Some(python) = python_in(&folder) else {
            return if runner.dry_run { Ok(()) } else { Err(format!("no Python came to be in `{}`", folder.display())) };
        };
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", self.package];
        runner.run(&Job::program(&python, INSTALL).args(pip))?;
        if runner.dry_run || self.works(runner, &python) { Ok(()) } else { Err("it is installed but does not work".to_owned()) }
    }

    fn works(&self, runner: &Runner, python: &Path) -> bool {
        runner.ask(&Job::program(python, ASK).args(["-c", self.check])).is_some_and(|answer| answer.good)
    }
}

fn python_in(folder: &Path) -> Option<PathBuf> {
    [folder.join("bin").join("python"), folder.join("Scripts").join("python.exe")].into_iter().find(|python| python.exists())
}
