//! `demo`, `test` and `ci`.

use crate::{
    output::TestCounts,
    packages::Group,
    process::{Job, Runner},
    project::Project,
    python::{ONNX_RUNTIME, USD},
    setup,
    summary::{Outcome, Summary},
    web, xr,
};
use std::{process::ExitCode, time::Duration};

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// What the first build on a small machine may take; Bevy alone is several hundred crates.
const BUILD: Duration = minutes(90);
const TESTS: Duration = minutes(30);
const PROGRAM: Duration = minutes(3);
const QUICK: Duration = minutes(5);

/// Frames that each example renders before it ends.
const EXAMPLE_FRAMES: u32 = 60;
/// How long the demo runs as a check.
const DEMO_SECONDS: u32 = 10;

const RUN_DEMO: &str = "cargo run --package neural_studio --bin neural-studio -- demo";

/// Sets up, builds and runs the demo; the exit code is the program's own.
pub fn demo(runner: &Runner, project: &Project, args: &[String]) -> ExitCode {
    if let Outcome::Failed(why) = setup::run(runner, Group::DEMO, false) {
        eprintln!("error: the machine is not ready for the demo: {why}");
        return ExitCode::FAILURE;
    }
    if let Some(target_dir) = &project.target_dir {
        println!("Builds go to {}.", target_dir.display());
    }
    match runner.run_interactive(&Job::new(RUN_DEMO, BUILD).args(args.iter().cloned())) {
        Ok(Some(0)) => ExitCode::SUCCESS,
        Ok(Some(code)) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Ok(None) => {
            eprintln!("error: the demo was ended by a signal");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Checks everything.
pub fn test(runner: &Runner, project: &Project) -> Summary {
    let mut summary = Summary::new(runner.dry_run);
    let job = |line: &str, limit| Outcome::from(runner.run(&Job::new(line, limit)));
    if let Some(target_dir) = &project.target_dir {
        println!("Builds go to {}.", target_dir.display());
    }
    summary.step("set-up", || setup::run(runner, Group::ALL, false));
    summary.step("format", || job("cargo fmt --all --check", QUICK));
    summary.step("clippy", || job("cargo clippy --workspace --all-targets -- -D warnings", BUILD));
    summary.step("docs", || {
        runner.run(&Job::new("cargo doc --workspace --no-deps", BUILD).env("RUSTDOCFLAGS", "-D warnings")).into()
    });
    let built = summary.step("build tests", || job("cargo test --workspace --no-run", BUILD)) == &Outcome::Passed;
    summary.counted_step("tests", || if built { tests(runner) } else { (not_built(), None) });
    // The same selection of packages as in the runs below, so that those find everything built.
    let built = summary.step("build programs", || job("cargo build --package neural_studio --bins --examples", BUILD))
        == &Outcome::Passed;
    examples(runner, project, built, &mut summary);
    let demo = || job(&format!("{RUN_DEMO} --seconds {DEMO_SECONDS} --headless"), PROGRAM);
    summary.step("demo", || if built { demo() } else { not_built() });
    web::steps(runner, project, &mut summary);
    xr::steps(runner, project, &mut summary);
    summary
}

/// Checks everything, and the dependency policy.
pub fn ci(runner: &Runner, project: &Project) -> Summary {
    let mut summary = test(runner, project);
    summary.step("dependencies", || {
        let there = runner.ask(&Job::new("cargo deny --version", QUICK)).is_some_and(|answer| answer.good);
        if !there && !runner.dry_run {
            return Outcome::Skipped("cargo-deny is not installed (`cargo install --locked cargo-deny`)".into());
        }
        runner.run(&Job::new("cargo deny check", QUICK)).into()
    });
    summary
}

fn not_built() -> Outcome {
    Outcome::Skipped("it did not build".into())
}

fn tests(runner: &Runner) -> (Outcome, Option<TestCounts>) {
    let mut counts = TestCounts::default();
    let mut job = Job::new("cargo test --workspace --no-fail-fast", TESTS);
    for environment in [USD, ONNX_RUNTIME] {
        if let Some(python) = environment.python(runner) {
            job = job.env(environment.variable, python.to_string_lossy());
        }
    }
    let result = runner.run_with(&job, |line| counts.read_line(line));
    counts.close();
    (result.into(), Some(counts))
}

fn examples(runner: &Runner, project: &Project, built: bool, summary: &mut Summary) {
    let names = match project.examples() {
        Ok(names) => names,
        Err(error) => {
            summary.step("examples", || Outcome::Failed(error.to_string()));
            return;
        }
    };
    for name in names {
        let line = format!("cargo run --package neural_studio --example {name} -- --frames {EXAMPLE_FRAMES} --headless");
        let job = Job::new(&line, PROGRAM).env("NEURAL_STUDIO_FRAMES", EXAMPLE_FRAMES.to_string());
        summary.step(format!("example {name}"), || if built { runner.run(&job).into() } else { not_built() });
    }
}
