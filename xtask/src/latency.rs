//! The part of `bench` that watches one studio with every viewer there is: the desktop's, the page in a headless Chromium, and the
//! stock Media over QUIC player in the same Chromium. `bench_latency` of `studio_media` measures WebRTC likewise.

use crate::{
    bench::{Record, record},
    process::{Job, Runner},
    project::Project,
    summary::Summary,
    web,
};
use std::time::Duration;

/// What `--only` knows it by.
pub const NAME: &str = "latency of viewers";

const BUILD: Duration = Duration::from_secs(90 * 60);
const MEASURE: Duration = Duration::from_secs(15 * 60);

/// Gets what the browser needs, and builds the studio. Whether it is all there.
pub fn prepare(runner: &Runner, project: &Project, profile: &str, summary: &mut Summary) -> bool {
    web::prepare(runner, project, summary)
        && summary.step("build the studio", || {
            let line = format!("cargo build --profile {profile} --package neural_studio --bin neural-studio");
            runner.run(&Job::new(&line, BUILD)).into()
        }) == &crate::summary::Outcome::Passed
}

/// Measures, one viewer after the other.
pub fn measure(runner: &Runner, project: &Project, profile: &str) -> Result<Vec<Record>, String> {
    let studio = web::program(runner, project, profile, "neural-studio")?;
    let mut records = Vec::new();
    let job = web::npm("run --silent bench", MEASURE).env("NEURAL_STUDIO", studio);
    runner.run_with(&job, |line| records.extend(record(line)))?;
    if records.is_empty() && !runner.dry_run { Err("it measured nothing".into()) } else { Ok(records) }
}
