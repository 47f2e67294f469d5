//! `bench`: runs the bench programs one at a time and prints one table.
//!
//! A bench program prints one JSON object a line for each thing measured: `name` is what, `p50_ms` and `p95_ms` how long (or
//! `gpu_ms` and `wall_ms`, each an object with `p50` and `p95`; the GPU's own clock goes before the wall's), `passed` (optional)
//! whether its own limit was kept; every other field is shown as it is. Other lines are for people.

use crate::{
    cli::BenchOptions,
    latency,
    output::TestCounts,
    packages::Group,
    process::{Job, Runner},
    project::Project,
    python::{ONNX_RUNTIME, OPENCV},
    setup,
    summary::{Outcome, Summary},
    table,
};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

const BUILD: Duration = Duration::from_secs(2 * 60 * 60);
const PROGRAM: Duration = Duration::from_secs(20 * 60);
const PEERS: &str = "ffmpeg v360";
/// The program that compares with OpenCV.
const VISION: &str = "bench_vision";
const PEER: Duration = Duration::from_secs(3 * 60);

pub(crate) type Record = Map<String, Value>;

#[derive(Debug)]
struct Program {
    name: String,
    build: String,
    run: String,
}

/// Measures everything that `options` leave, and prints the table.
pub fn run(runner: &Runner, project: &Project, options: &BenchOptions) -> Summary {
    let mut summary = Summary::new(runner.dry_run);
    if !options.gpu {
        summary.step("set-up", || setup::run(runner, Group::ALL, false));
    }
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| name.contains(only));
    let has_peers = !options.gpu && is_wanted(PEERS);
    let programs = match programs(project, options) {
        Ok(mut programs) => {
            programs.retain(|program| is_wanted(&program.name));
            programs
        }
        Err(error) => {
            summary.step("bench programs", || Outcome::Failed(error));
            return summary;
        }
    };
    let has_viewers = !options.gpu && is_wanted(latency::NAME);
    if programs.is_empty() && !has_peers && !has_viewers {
        summary.step("bench programs", || Outcome::Failed("there are none of that name".into()));
    }
    if !options.gpu && programs.iter().any(|program| program.name == VISION) {
        summary.step("OpenCV", || OPENCV.set_up(runner, false).into());
        summary.step("ONNX Runtime", || ONNX_RUNTIME.set_up(runner, false).into());
    }
    // All builds come first: a compiler beside a measurement would spoil it.
    let built: Vec<bool> = programs
        .iter()
        .map(|program| {
            summary.step(format!("build {}", program.name), || runner.run(&Job::new(&program.build, BUILD)).into())
                == &Outcome::Passed
        })
        .collect();
    let viewers_ready = has_viewers && latency::prepare(runner, project, &options.profile, &mut summary);
    let mut records = Vec::new();
    for (program, built) in programs.iter().zip(built) {
        summary.counted_step(program.name.clone(), || match built {
            true => measure(runner, program, &options.args, &mut records),
            false => (Outcome::Skipped("it did not build".into()), None),
        });
    }
    if has_peers {
        summary.step(PEERS, || match v360(runner) {
            Ok(measured) => {
                records.extend(measured);
                Outcome::Passed
            }
            Err(why) => Outcome::Skipped(why),
        });
    }
    if has_viewers {
        summary.step(latency::NAME, || {
            if !viewers_ready {
                return Outcome::Skipped("its tools are not there".into());
            }
            match latency::measure(runner, project, &options.profile) {
                Ok(measured) => {
                    records.extend(measured);
                    Outcome::Passed
                }
                Err(error) => Outcome::Failed(error),
            }
        });
    }
    if !records.is_empty() {
        println!("\n{}", render(&records));
        summary.step("records", || write(&project.root.join("out"), &records).into());
    }
    summary
}

fn programs(project: &Project, options: &BenchOptions) -> Result<Vec<Program>, String> {
    let profile = &options.profile;
    let mut found = Vec::new();
    for (package, example) in project.stage_benches().map_err(|error| error.to_string())? {
        let manifest = project.root.join("crates").join(&package).join("Cargo.toml");
        let manifest = fs::read_to_string(&manifest).map_err(|error| format!("cannot read `{}`: {error}", manifest.display()))?;
        if options.gpu && needs_gstreamer(&manifest) {
            continue;
        }
        let select = format!("--profile {profile} --package {package} --example {example}");
        found.push(Program { name: example, build: format!("cargo build {select}"), run: format!("cargo run --quiet {select}") });
    }
    let pipeline = if options.gpu { Vec::new() } else { project.pipeline_benches().map_err(|error| error.to_string())? };
    for name in pipeline {
        let select = format!("cargo bench --profile {profile} --package neural_studio --bench {name}");
        found.push(Program { build: format!("{select} --no-run"), run: select, name });
    }
    Ok(found)
}

/// Whether a crate's manifest lists GStreamer, or the crate that wraps it, among its own dependencies.
fn needs_gstreamer(manifest: &str) -> bool {
    manifest.lines().any(|line| line.starts_with("gstreamer") || line.starts_with("studio_media"))
}

fn measure(runner: &Runner, program: &Program, args: &[String], records: &mut Vec<Record>) -> (Outcome, Option<TestCounts>) {
    let mut job = Job::new(&program.run, PROGRAM);
    if program.name == VISION
        && let Some(python) = OPENCV.python(runner)
    {
        job = job.env(OPENCV.variable, python.to_string_lossy());
    }
    if !args.is_empty() {
        job = job.args(["--"]).args(args.iter().cloned());
    }
    let first = records.len();
    let result = runner.run_with(&job, |line| records.extend(record(line)));
    let counts = count(&records[first..]);
    let outcome = match result {
        Ok(()) if counts.failed > 0 => Outcome::Failed("over its own limit".into()),
        Ok(()) if counts.programs == 0 && !runner.dry_run => Outcome::Failed("it measured nothing".into()),
        other => other.into(),
    };
    (outcome, Some(counts))
}

fn count(records: &[Record]) -> TestCounts {
    let over = |record: &&Record| record.get("passed") == Some(&Value::Bool(false));
    let failures: Vec<_> = records.iter().filter(over).map(|record| text(record.get("name"))).collect();
    let failed = failures.len() as u64;
    TestCounts {
        passed: records.len() as u64 - failed,
        failed,
        programs: u64::from(!records.is_empty()),
        failures,
        ..Default::default()
    }
}

/// The record in a line of output, if it is one.
pub(crate) fn record(line: &str) -> Option<Record> {
    match serde_json::from_str(line.trim()).ok()? {
        Value::Object(record) if record.get("name").is_some_and(Value::is_string) => Some(record),
        _ => None,
    }
}

/// A value as a person reads it: numbers to at most three decimals, lists of two numbers as a size.
fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => match number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) {
            Some(number) => format!("{number:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
            None => number.to_string(),
        },
        Some(Value::Array(items)) => items.iter().map(|item| text(Some(item))).collect::<Vec<_>>().join("x"),
        Some(other) => other.to_string(),
    }
}

/// The fields of a record with those of the objects in it, as `outer.inner`.
fn flatten(record: &Record) -> Vec<(String, &Value)> {
    let fields = record.iter().flat_map(|(key, value)| match value {
        Value::Object(inner) => inner.iter().map(|(name, value)| (format!("{key}.{name}"), value)).collect(),
        _ => vec![(key.clone(), value)],
    });
    fields.collect()
}

fn render(records: &[Record]) -> String {
    let row = |record: &Record| {
        let mut fields = flatten(record);
        let mut take = |keys: &[&str]| {
            let index = keys.iter().find_map(|key| fields.iter().position(|(name, _)| name == key))?;
            Some(fields.remove(index).1)
        };
        let name = text(take(&["name"]));
        let p50_ms = text(take(&["p50_ms", "gpu_ms.p50", "wall_ms.p50"]));
        let p95_ms = text(take(&["p95_ms", "gpu_ms.p95", "wall_ms.p95"]));
        let limit = match take(&["passed"]).and_then(Value::as_bool) {
            Some(true) => "kept",
            Some(false) => "OVER",
            None => "",
        };
        let others: Vec<_> = fields.iter().map(|(key, value)| format!("{key} {}", text(Some(value)))).collect();
        vec![name, p50_ms, p95_ms, limit.to_owned(), others.join(", ")]
    };
    table::render(&["what", "p50 ms", "p95 ms", "limit", "more"], &records.iter().map(row).collect::<Vec<_>>())
}

fn write(folder: &Path, records: &[Record]) -> Result<(), String> {
    let path = folder.join("bench.jsonl");
    let lines: String = records.iter().map(|record| format!("{}\n", Value::Object(record.clone()))).collect();
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, lines))
        .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
    println!("Kept in {}.", path.display());
    Ok(())
}

/// The peer of the stitch: ffmpeg's v360 filter at the sizes of our own bench, on one thread and on all.
fn v360(runner: &Runner) -> Result<Vec<Record>, String> {
    const FEW: u32 = 10;
    const MANY: u32 = 40;
    if runner.ask(&Job::new("ffmpeg -version", PEER)).is_none() {
        return Err("ffmpeg is not installed".into());
    }
    let time = |threads: u32, frames: u32| {
        let job = Job::new("ffmpeg -nostdin -v error -f lavfi -i nullsrc=s=2560x1280:r=30,format=yuv420p", PEER)
            .args(["-frames:v", &frames.to_string(), "-filter_threads", &threads.to_string()])
            .args(["-vf", "v360=dfisheye:equirect:ih_fov=190:iv_fov=190:w=3840:h=1920:interp=linear", "-f", "null", "-"]);
        let started = Instant::now();
        runner.run(&job).map(|()| started.elapsed())
    };
    let measured = [(1, "one thread"), (0, "all threads")].map(|(threads, label)| {
        // What start-up and the map cost is in both runs, and falls out.
        let frame_ms =
            (time(threads, MANY)?.as_secs_f64() - time(threads, FEW)?.as_secs_f64()).max(0.0) * 1e3 / f64::from(MANY - FEW);
        let name = format!("peer: ffmpeg v360 2560x1280 -> 3840x1920, {label}");
        Ok(Record::from_iter([("name".to_owned(), json!(name)), ("mean_ms".to_owned(), json!(frame_ms))]))
    });
    if runner.dry_run { Ok(Vec::new()) } else { measured.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_from_other_lines() {
        assert!(record(r#"{"name": "stitch", "p50_ms": 7.25}"#).is_some());
        for line in ["", "name: stitch", "{}", r#"{"name": 3}"#, r#"["name"]"#, r#"{"name": "cut"#] {
            assert!(record(line).is_none(), "{line}");
        }
    }

    #[test]
    fn the_table_shows_every_field() {
        let lines = [
            r#"{"name": "stitch", "size": [3840, 1920], "p50_ms": 51.23456, "p95_ms": 60, "passed": true, "adapter": "llvmpipe"}"#,
            r#"{"name": "flow", "wall_ms": {"p50": 4.75}, "gpu_ms": {"p50": 3.5}, "passed": false}"#,
        ];
        let records: Vec<_> = lines.iter().filter_map(|line| record(line)).collect();
        let table = render(&records);
        for cell in
            ["stitch", "51.235", "60", "kept", "size 3840x1920", "adapter llvmpipe", "flow", "3.5 ", "OVER", "wall_ms.p50 4.75"]
        {
            assert!(table.contains(cell), "{cell} is not in\n{table}");
        }
        let counts = count(&records);
        assert_eq!((counts.passed, counts.failed, counts.failures), (1, 1, vec!["flow".to_owned()]));
    }

    #[test]
    fn gstreamer_is_seen_in_a_manifest() {
        assert!(needs_gstreamer("[dependencies]\ngstreamer-app.workspace = true\n"));
        assert!(needs_gstreamer("[dependencies]\nstudio_media.workspace = true\n"));
        assert!(!needs_gstreamer("[dependencies]\nstudio_gpu.workspace = true\ndescription = \"no gstreamer\"\n"));
    }
}
