//! The one door to the project: `cargo xtask setup`, `demo`, `test`, `web`, `web-test`, `xr-test`, `ci` and `bench`.
//!
//! It compiles in seconds on a machine that has nothing but Rust, says what else the project needs and why, installs it
//! where it can, and runs every check under a time limit so that nothing ever hangs a CI machine.

#![allow(clippy::print_stdout, reason = "a command-line program talks on stdout")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests"))]

mod bench;
mod checks;
mod cli;
mod latency;
mod output;
mod packages;
mod process;
mod project;
mod python;
mod setup;
mod summary;
mod table;
mod web;
mod xr;

use crate::{
    cli::{Cli, Command},
    process::Runner,
    project::Project,
    summary::{Outcome, Summary},
};
use std::{process::ExitCode, time::Instant};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let cli = match cli::parse(&args) {
        Ok(cli) => cli,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    let project = match Project::find() {
        Ok(project) => project,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    run(&cli, &project)
}

fn run(cli: &Cli, project: &Project) -> ExitCode {
    let runner = Runner::new(project, cli.dry_run);
    match &cli.command {
        Command::Help(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Command::Setup { check } => {
            let started = Instant::now();
            let outcome = setup::run(&runner, packages::Group::ALL, *check);
            println!("set-up: {} ({})", outcome.describe(), summary::elapsed(started.elapsed()));
            exit_code(!matches!(outcome, Outcome::Failed(_)))
        }
        Command::Demo { args } => checks::demo(&runner, project, args),
        Command::Test => finish(checks::test(&runner, project)),
        Command::Ci => finish(checks::ci(&runner, project)),
        Command::Web { check } => finish(web::build(&runner, project, *check)),
        Command::WebTest => finish(web::test(&runner, project)),
        Command::XrTest => finish(xr::test(&runner, project)),
        Command::Bench(options) => finish(bench::run(&runner, project, options)),
    }
}

fn finish(summary: Summary) -> ExitCode {
    println!("{summary}");
    exit_code(summary.failed() == 0)
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
