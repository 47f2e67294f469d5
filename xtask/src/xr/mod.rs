//! The headset viewer against a real OpenXR runtime: Monado, which has a simulated headset for machines without one.

mod events;
mod footage;
mod pixels;
mod place;
mod process;
mod reports;
mod scenes;
mod screen;

use crate::{
    process::{Job, Runner},
    project::Project,
    summary::{Outcome, Summary},
    web,
};
use place::{Place, Unready};
use std::time::Duration;

const BUILD: Duration = Duration::from_secs(90 * 60);

/// Gets Monado, then watches a studio's stream with it.
pub fn test(runner: &Runner, project: &Project) -> Summary {
    let mut summary = Summary::new(runner.dry_run);
    steps(runner, project, &mut summary);
    summary
}

/// The steps of `test`, for a longer run of which they are a part.
pub fn steps(runner: &Runner, project: &Project, summary: &mut Summary) {
    let mut place = None;
    summary.step("headset runtime", || match Place::prepare(runner) {
        Ok(found) => {
            place = Some(found);
            Outcome::Passed
        }
        Err(Unready::Skip(why)) => Outcome::Skipped(why),
        Err(Unready::Fail(why)) => Outcome::Failed(why),
    });
    let Some(place) = place else { return };
    let mut studio = None;
    summary.step("headset viewer", || {
        let built = runner.run(&Job::new("cargo build --package neural_studio --bin neural-studio", BUILD));
        built.and_then(|()| web::program(runner, project, "dev", "neural-studio")).map(|program| studio = Some(program)).into()
    });
    let Some(studio) = studio else { return };
    for (name, scene) in scenes::ALL {
        summary.step(name, || {
            if runner.dry_run {
                return Outcome::Passed;
            }
            scenes::Stage::new(&place, runner, project, &studio, name).and_then(|stage| scene(&stage)).into()
        });
    }
}
