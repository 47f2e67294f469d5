//! Steps, how they ended, and the table at the end.

use crate::{output::TestCounts, table};
use std::{
    fmt,
    time::{Duration, Instant},
};

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is well.
    Passed,
    /// It failed, and why.
    Failed(String),
    /// It was not run, and why.
    Skipped(String),
}

impl Outcome {
    /// In words.
    pub fn describe(&self) -> String {
        match self {
            Self::Passed => "passed".into(),
            Self::Failed(why) => format!("failed: {why}"),
            Self::Skipped(why) => format!("skipped: {why}"),
        }
    }
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(why) => Self::Failed(why),
        }
    }
}

#[derive(Debug)]
struct Step {
    name: String,
    outcome: Outcome,
    duration: Duration,
    counts: Option<TestCounts>,
}

impl Step {
    /// Passed, failed, skipped: a step that counts tests stands for them, any other for itself. One that failed without
    /// a failed test (it did not compile, it took too long) counts as one failure of its own.
    fn tally(&self) -> [u64; 3] {
        let counts = self.counts.clone().unwrap_or_default();
        let (passed, failed, skipped) = (counts.passed, counts.failed + counts.crashed, counts.ignored);
        match &self.outcome {
            Outcome::Passed => [passed + u64::from(self.counts.is_none()), failed, skipped],
            Outcome::Failed(_) => [passed, failed.max(1), skipped],
            Outcome::Skipped(_) => [passed, failed, skipped + 1],
        }
    }

    fn detail(&self) -> String {
        let tests = self.counts.as_ref().filter(|counts| counts.programs > 0).map(|counts| {
            let more = |count: u64, word: &str| if count == 0 { String::new() } else { format!(", {count} {word}") };
            let (failed, ignored, crashed) =
                (more(counts.failed, "failed"), more(counts.ignored, "ignored"), more(counts.crashed, "crashed"));
            format!("{} passed{failed}{ignored}{crashed}", counts.passed)
        });
        let why = match &self.outcome {
            Outcome::Passed => None,
            Outcome::Failed(why) | Outcome::Skipped(why) => Some(why.clone()),
        };
        [tests, why].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

/// The steps of a run so far. Displayed, it is the table at the end and the line that counts.
#[derive(Debug, Default)]
pub struct Summary {
    steps: Vec<Step>,
    dry_run: bool,
}

impl Summary {
    /// No steps yet. In a dry run only their names are said, as nothing has an end worth telling.
    pub fn new(dry_run: bool) -> Self {
        Self { steps: Vec::new(), dry_run }
    }

    /// Runs a step: says that it begins, how it ended and how long it took.
    pub fn step(&mut self, name: impl Into<String>, work: impl FnOnce() -> Outcome) -> &Outcome {
        self.counted_step(name, || (work(), None))
    }

    /// Runs a step that counts tests.
    pub fn counted_step(&mut self, name: impl Into<String>, work: impl FnOnce() -> (Outcome, Option<TestCounts>)) -> &Outcome {
        let name = name.into();
        println!("\n==> {name}");
        let started = Instant::now();
        let (outcome, counts) = work();
        let duration = started.elapsed();
        if !self.dry_run {
            println!("<== {name}: {} ({})", outcome.describe(), elapsed(duration));
        }
        self.push(name, outcome, duration, counts)
    }

    fn push(&mut self, name: String, outcome: Outcome, duration: Duration, counts: Option<TestCounts>) -> &Outcome {
        self.steps.push(Step { name, outcome, duration, counts });
        &self.steps[self.steps.len() - 1].outcome
    }

    /// How many tests and steps passed, failed, and were skipped.
    fn tally(&self) -> [u64; 3] {
        self.steps.iter().map(Step::tally).fold([0; 3], |sum, step| std::array::from_fn(|index| sum[index] + step[index]))
    }

    /// How many tests and steps failed.
    pub fn failed(&self) -> u64 {
        self.tally()[1]
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.dry_run {
            return write!(f, "\nA dry run: nothing was run.");
        }
        let row = |step: &Step| {
            let result = match step.outcome {
                Outcome::Passed => "passed",
                Outcome::Failed(_) => "FAILED",
                Outcome::Skipped(_) => "skipped",
            };
            vec![step.name.clone(), result.to_owned(), elapsed(step.duration), step.detail()]
        };
        let rows: Vec<_> = self.steps.iter().map(row).collect();
        writeln!(f, "\n{}\n", table::render(&["step", "result", "time", "detail"], &rows))?;
        let counts = self.steps.iter().filter_map(|step| step.counts.as_ref());
        let targets =
            |counts: &TestCounts| counts.targets.iter().map(|target| format!("cargo test {target}")).collect::<Vec<_>>();
        let failures: Vec<_> = counts.flat_map(|counts| counts.failures.iter().cloned().chain(targets(counts))).collect();
        if !failures.is_empty() {
            writeln!(f, "Failed:")?;
            for name in failures {
                writeln!(f, "  {name}")?;
            }
            writeln!(f)?;
        }
        let [passed, failed, skipped] = self.tally();
        write!(f, "{passed} passed, {failed} failed")?;
        if skipped > 0 {
            write!(f, ", {skipped} skipped")?;
        }
        Ok(())
    }
}

/// A duration as a person would say it.
pub fn elapsed(duration: Duration) -> String {
    match duration.as_secs() {
        0..60 => format!("{:.1} s", duration.as_secs_f32()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(steps: Vec<(Outcome, Option<TestCounts>)>) -> Summary {
        let mut summary = Summary::default();
        for (index, (outcome, counts)) in steps.into_iter().enumerate() {
            summary.push(format!("step {index}"), outcome, Duration::from_secs(index as u64), counts);
        }
        summary
    }

    fn last_line(summary: &Summary) -> String {
        summary.to_string().lines().last().unwrap().to_owned()
    }

    #[test]
    fn the_last_line_counts_tests_and_steps() {
        let tests = TestCounts { passed: 40, failed: 0, ignored: 2, programs: 3, ..Default::default() };
        let good = summary(vec![(Outcome::Passed, None), (Outcome::Passed, Some(tests.clone()))]);
        assert_eq!(last_line(&good), "41 passed, 0 failed, 2 skipped");
        assert_eq!(last_line(&summary(vec![(Outcome::Passed, None)])), "1 passed, 0 failed");
    }

    #[test]
    fn failed_tests_are_counted_once_and_named() {
        let failed = || Outcome::Failed("exit code 101".into());
        let tests = TestCounts {
            passed: 4,
            failed: 2,
            crashed: 1,
            programs: 1,
            failures: vec!["a::b".into(), "c".into()],
            targets: vec!["-p d --lib".into()],
            ..Default::default()
        };
        let bad = summary(vec![(failed(), Some(tests)), (failed(), None), (Outcome::Skipped("no build".into()), None)]);
        assert_eq!((last_line(&bad).as_str(), bad.failed()), ("4 passed, 4 failed, 1 skipped", 4));
        let text = bad.to_string();
        assert!(
            text.contains("  a::b\n")
                && text.contains("  cargo test -p d --lib\n")
                && text.contains("no build")
                && text.contains("1 crashed")
        );
    }

    #[test]
    fn a_test_run_that_does_not_compile_is_a_failure() {
        let bad = summary(vec![(Outcome::Failed("exit code 101".into()), Some(TestCounts::default()))]);
        assert_eq!(last_line(&bad), "0 passed, 1 failed");
    }

    #[test]
    fn durations_are_said_as_people_do() {
        let said = |seconds| elapsed(Duration::from_secs_f32(seconds));
        assert_eq!([said(0.25), said(59.9), said(61.0), said(7260.0)], ["0.2 s", "59.9 s", "1 min 1 s", "2 h 1 min"]);
    }
}
