//! Opens a composed stage of 10 000 prims: references, a variant for each, transforms. One JSON object a line, as `cargo xtask bench` reads them.
//!
//! ```sh
//! cargo run --release -p studio_usd --example bench_open             # usd-core beside it where NEURAL_STUDIO_USD_PYTHON names a Python that has it
//! ```
//!
//! `open` is reading, checking and composing all prims; `extract` is everything after that, to plain data. usd-core's time is that of
//! `Usd.Stage.Open` and one traversal, in the same run on the same file, without the start of Python.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use serde_json::json;
use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use studio_usd::{
    extract::{ExtractOptions, extract},
    open::{FolderSource, OpenOptions, open_stage},
};

/// Things that are referred to; each comes to ten prims.
const THINGS: usize = 1_000;
const RUNS: usize = 11;
/// What opening and extracting together have to stay below.
const LIMIT_MS: f64 = 2_000.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    write_stage(folder.path())?;
    let mut opens = Vec::new();
    let mut extracts = Vec::new();
    let mut both = Vec::new();
    let mut prims = 0;
    for _ in 0..RUNS {
        let source = Arc::new(FolderSource::new(folder.path())?);
        let started = Instant::now();
        let opened = open_stage(source, "root.usda", &OpenOptions::default())?;
        opens.push(started.elapsed());
        prims = opened.report.prims;
        let started = Instant::now();
        let extracted = extract(&opened.stage, &ExtractOptions::default());
        extracts.push(started.elapsed());
        both.extend(opens.last().zip(extracts.last()).map(|(open, extract)| *open + *extract));
        assert_eq!(extracted.snapshot.prims.len(), prims, "everything that is composed is extracted");
    }
    let (p50, p95) = percentiles(&mut opens);
    println!("{}", json!({ "name": "usd open, 10 000 prims", "p50_ms": p50, "p95_ms": p95, "prims": prims, "runs": RUNS }));
    let (p50, p95) = percentiles(&mut extracts);
    println!("{}", json!({ "name": "usd extract, 10 000 prims", "p50_ms": p50, "p95_ms": p95, "prims": prims, "runs": RUNS }));
    let (p50, p95) = percentiles(&mut both);
    println!(
        "{}",
        json!({ "name": "usd open and extract, 10 000 prims", "p50_ms": p50, "p95_ms": p95, "passed": p95 < LIMIT_MS, "prims": prims, "runs": RUNS })
    );
    match usd_core(&folder.path().join("root.usda")) {
        Some(mut times) => {
            let (p50, p95) = percentiles(&mut times);
            println!(
                "{}",
                json!({ "name": "usd-core open and traverse, the same file", "p50_ms": p50, "p95_ms": p95, "runs": times.len() })
            );
        }
        None => eprintln!("usd-core left out: NEURAL_STUDIO_USD_PYTHON names no Python that has it"),
    }
    Ok(())
}

/// A root that refers to a thousand things in groups, by two kinds of thing with three variants each.
fn write_stage(folder: &Path) -> std::io::Result<()> {
    for (name, shape) in [("round", "Sphere"), ("square", "Cube")] {
        let mut text = String::from(
            "#usda 1.0\n(\n    defaultPrim = \"Thing\"\n    upAxis = \"Y\"\n    metersPerUnit = 1\n)\n\ndef Xform \"Thing\" (\n    prepend variantSets = \"size\"\n    variants = {\n        string size = \"medium\"\n    }\n)\n{\n",
        );
        for part in 0..8 {
            let _ = write!(
                text,
                "    def {shape} \"Part{part}\"\n    {{\n        double3 xformOp:translate = ({part}, 0, 0)\n        float3 xformOp:rotateXYZ = (0, {part}, 0)\n        uniform token[] xformOpOrder = [\"xformOp:translate\", \"xformOp:rotateXYZ\"]\n    }}\n"
            );
        }
        text += "    variantSet \"size\" = {\n";
        for (variant, size) in [("small", 0.5), ("medium", 1.0), ("large", 2.0)] {
            let _ = write!(
                text,
                "        \"{variant}\" {{\n            def Xform \"Mark\"\n            {{\n                double3 xformOp:scale = ({size}, {size}, {size})\n                uniform token[] xformOpOrder = [\"xformOp:scale\"]\n            }}\n        }}\n"
            );
        }
        text += "    }\n}\n";
        fs::write(folder.join(format!("{name}.usda")), text)?;
    }
    let mut text = String::from(
        "#usda 1.0\n(\n    defaultPrim = \"World\"\n    upAxis = \"Y\"\n    metersPerUnit = 1\n)\n\ndef Xform \"World\"\n{\n",
    );
    for thing in 0..THINGS {
        let (kind, size) = (["round", "square"][thing % 2], ["small", "medium", "large"][thing % 3]);
        let _ = write!(
            text,
            "    def \"Thing{thing}\" (\n        prepend references = @./{kind}.usda@\n        variants = {{\n            string size = \"{size}\"\n        }}\n    )\n    {{\n        double3 xformOp:translate = ({}, 0, {})\n        uniform token[] xformOpOrder = [\"xformOp:translate\"]\n    }}\n",
            thing % 32,
            thing / 32
        );
    }
    text += "}\n";
    fs::write(folder.join("root.usda"), text)
}

/// The median and the 95th percentile, in milliseconds.
fn percentiles(times: &mut [Duration]) -> (f64, f64) {
    times.sort();
    let at = |part: f64| {
        times
            .get(((times.len() - 1) as f64 * part).round() as usize)
            .map_or(f64::NAN, |time| (time.as_secs_f64() * 1e5).round() / 1e2)
    };
    (at(0.5), at(0.95))
}

/// What usd-core takes for the same, each time in a new process, for it keeps layers.
fn usd_core(file: &Path) -> Option<Vec<Duration>> {
    const PROGRAM: &str = "import sys, time\nfrom pxr import Usd\nstart = time.perf_counter()\nstage = Usd.Stage.Open(sys.argv[1])\ncount = sum(1 for _ in stage.Traverse())\nprint(time.perf_counter() - start, count)\n";
    let python = std::env::var_os("NEURAL_STUDIO_USD_PYTHON")?;
    (0..RUNS)
        .map(|_| {
            let done = Command::new(&python).args(["-c", PROGRAM]).arg(file).output().ok()?;
            let text = String::from_utf8(done.stdout).ok()?;
            text.split_whitespace().next()?.parse().ok().map(Duration::from_secs_f64)
        })
        .collect()
}
