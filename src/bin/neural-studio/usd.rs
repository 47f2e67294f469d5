//! `neural-studio usd`: what is in a USD file, the same in another format, and how it looks.

use crate::{
    Failure,
    blueprint::registry_app,
    report::{complain, say},
};
use bevy::prelude::AppTypeRegistry;
use clap::{Args, Subcommand};
use neural_studio::studio_graph::blueprint::{
    Blueprint,
    file::{BlueprintFormats, move_paths},
    problem,
    write::write,
};
use neural_studio::studio_usd::{
    extract::{ExtractOptions, Extracted},
    host::StageHost,
    open::{FolderSource, Issue, IssueSeverity, OpenOptions, OpenReport, Payloads},
    snapshot::{Prim, StageSnapshot, UpAxis, VariantSet},
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

pub mod look;

#[derive(Args)]
#[command(after_help = "Examples:
  neural-studio usd info scene.usda
  neural-studio usd convert scene.usda scene.usdz
  neural-studio usd blueprint scene.usda --store live.blueprint.ron
  neural-studio usd view scene.usdz
  neural-studio usd view scene.usda --camera /World/Camera --screenshot scene.png --headless")]
pub struct UsdArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say what is in a scene, and everything that is wrong with it, with layers and lines
    Info(InfoArgs),
    /// Write a scene as one file without references: .usda is text, .usdc binary, .usdz a package with its textures
    Convert(ConvertArgs),
    /// The blueprint that is kept in a scene: print it, write it to a file, or put one there
    Blueprint(BlueprintArgs),
    /// Look at a scene: in a window, or as a picture
    View(look::ViewArgs),
}

/// A scene on disk.
#[derive(Args, Clone, Debug)]
struct SceneFile {
    /// The scene: .usda, .usdc, .usd or .usdz
    file: PathBuf,
    /// The folder that all its layers and textures lie in; nothing outside of it is read (default: the scene's own)
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
    /// Leave payloads out
    #[arg(long)]
    no_payloads: bool,
}

#[derive(Args)]
struct InfoArgs {
    #[command(flatten)]
    scene: SceneFile,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ConvertArgs {
    #[command(flatten)]
    scene: SceneFile,
    /// The file to write; its extension says the format
    output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    overwrite: bool,
}

#[derive(Args)]
struct BlueprintArgs {
    /// The scene: .usda, .usdc, .usd or .usdz
    file: PathBuf,
    /// Put this blueprint into the scene, in place of the one that is there; the layer is written anew, so comments in it are lost
    #[arg(long, value_name = "BLUEPRINT")]
    store: Option<PathBuf>,
    /// Write the scene's blueprint to this file rather than print it
    #[arg(long, value_name = "BLUEPRINT", conflicts_with = "store")]
    output: Option<PathBuf>,
    /// Write over a file that is there
    #[arg(long, requires = "output")]
    overwrite: bool,
}

pub fn run(args: UsdArgs) -> Result<(), Failure> {
    match args.command {
        Command::Info(args) => info(&args),
        Command::Convert(args) => convert(&args),
        Command::Blueprint(args) => blueprint(&args),
        Command::View(args) => look::run(args),
    }
}

impl SceneFile {
    fn open(&self) -> Result<StageHost, Failure> {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", self.file.display());
        let (source, layer) = match &self.root {
            None => FolderSource::of_file(&self.file)?,
            Some(root) => {
                let (folder, file) = (root.canonicalize(), self.file.canonicalize());
                let (folder, file) = (folder.map_err(|error| named(&error))?, file.map_err(|error| named(&error))?);
                let layer = file.strip_prefix(&folder).map_err(|_| named(&format!("it is not within {}", root.display())))?;
                (FolderSource::new(&folder)?, layer.to_string_lossy().replace('\\', "/"))
            }
        };
        let load_payloads = if self.no_payloads { Payloads::None } else { Payloads::All };
        Ok(StageHost::open(Arc::new(source), &layer, &OpenOptions { load_payloads, ..OpenOptions::default() })?)
    }
}

fn info(args: &InfoArgs) -> Result<(), Failure> {
    let host = args.scene.open()?;
    let report = host.report()?;
    let Extracted { snapshot, issues } = host.extract(&ExtractOptions::default())?;
    let issues: Vec<Issue> = report.issues.iter().cloned().chain(issues).collect();
    match args.json {
        true => say(&serde_json::to_string_pretty(&json(&snapshot, &report, &issues))?),
        false => say_info(&args.scene.file, &snapshot, &report, &issues),
    }
    Ok(())
}

/// All prims, those that instances share among them.
fn prims(snapshot: &StageSnapshot) -> impl Iterator<Item = &Prim> {
    // A prototype that was read again, for what its instances hand down, has the same prims.
    let prototypes = snapshot.prototypes.iter().filter(|prototype| prototype.base.is_none());
    snapshot.prims.iter().chain(prototypes.flat_map(|prototype| &prototype.prims))
}

const fn axis(snapshot: &StageSnapshot) -> &'static str {
    match snapshot.up_axis {
        UpAxis::Y => "Y",
        UpAxis::Z => "Z",
    }
}

const fn severity(issue: &Issue) -> &'static str {
    match issue.severity {
        IssueSeverity::Note => "note",
        IssueSeverity::Warning => "warning",
        IssueSeverity::Error => "error",
    }
}

fn json(snapshot: &StageSnapshot, report: &OpenReport, issues: &[Issue]) -> serde_json::Value {
    let statistics = snapshot.statistics();
    let bounds = snapshot.world_bound(snapshot.default_time()).map(|bounds| [bounds.min.to_array(), bounds.max.to_array()]);
    let variants = prims(snapshot).flat_map(|prim| {
        let of = |set: &VariantSet| {
            serde_json::json!({"prim": prim.path, "set": set.name, "variants": set.variants, "selection": set.selection})
        };
        prim.variant_sets.iter().map(of).collect::<Vec<_>>()
    });
    let issue = |issue: &Issue| {
        serde_json::json!({
            "severity": severity(issue), "layer": issue.layer, "line": issue.line, "prim": issue.prim, "message": issue.message,
        })
    };
    serde_json::json!({
        "root_layer": snapshot.root_layer,
        "layers": report.layers,
        "missing": report.missing,
        "default_prim": snapshot.default_prim,
        "up_axis": axis(snapshot),
        "meters_per_unit": snapshot.meters_per_unit,
        "time_codes_per_second": snapshot.time_codes_per_second,
        "start_time_code": snapshot.start_time_code,
        "end_time_code": snapshot.end_time_code,
        "prims": statistics.prims,
        "types": statistics.types,
        "instances": statistics.instances,
        "mesh_points": statistics.mesh_points,
        "animated_attributes": statistics.animated_attributes,
        "bounds": bounds,
        "variants": variants.collect::<Vec<_>>(),
        "issues": issues.iter().map(issue).collect::<Vec<_>>(),
    })
}

fn say_info(file: &Path, snapshot: &StageSnapshot, report: &OpenReport, issues: &[Issue]) {
    let line = |name: &str, value: String| say(&format!("  {name:<14} {value}"));
    let statistics = snapshot.statistics();
    say(&file.display().to_string());
    let unit = match snapshot.meters_per_unit {
        1.0 => "metres".to_owned(),
        0.01 => "centimetres".to_owned(),
        0.001 => "millimetres".to_owned(),
        meters => format!("{meters} m a unit"),
    };
    line("space", format!("{} up, {unit}", axis(snapshot)));
    if let Some(bounds) = snapshot.world_bound(snapshot.default_time()) {
        let size = (bounds.max - bounds.min) * snapshot.meters_per_unit;
        line("size", format!("{:.3} × {:.3} × {:.3} m", size.x, size.y, size.z));
    }
    if let Some(prim) = &snapshot.default_prim {
        line("default prim", prim.clone());
    }
    if statistics.animated_attributes > 0 {
        let (start, end, rate) = (snapshot.start_time_code, snapshot.end_time_code, snapshot.time_codes_per_second);
        let seconds = (end - start) / rate;
        let count = statistics.animated_attributes;
        line("time", format!("{start} to {end} at {rate} a second ({seconds:.1} s), {count} animated attributes"));
    }
    let instances = if statistics.instances > 0 { format!(", {} instances", statistics.instances) } else { String::new() };
    line("prims", format!("{}{instances}, {} mesh points", statistics.prims, statistics.mesh_points));
    let mut types: Vec<_> = statistics.types.iter().collect();
    types.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    for (name, count) in types {
        line("", format!("{count:>6} {}", if name.is_empty() { "without a type" } else { name }));
    }
    for (index, layer) in report.layers.iter().enumerate() {
        line(if index == 0 { "layers" } else { "" }, layer.clone());
    }
    let sets = prims(snapshot).flat_map(|prim| prim.variant_sets.iter().map(move |set| (prim, set)));
    for (index, (prim, set)) in sets.enumerate() {
        let chosen = if set.selection.is_empty() { "none chosen" } else { set.selection.as_str() };
        let words = format!("{} {}: {chosen}, of {}", prim.path, set.name, set.variants.join(", "));
        line(if index == 0 { "variants" } else { "" }, words);
    }
    let count = |severity: IssueSeverity| issues.iter().filter(|issue| issue.severity == severity).count();
    let (errors, warnings) = (count(IssueSeverity::Error), count(IssueSeverity::Warning));
    line("issues", format!("errors: {errors}, warnings: {warnings}, notes: {}", count(IssueSeverity::Note)));
    issues.iter().for_each(|issue| say(&format!("{}: {issue}", severity(issue))));
}

fn convert(args: &ConvertArgs) -> Result<(), Failure> {
    let output = &args.output;
    if output.exists() && !args.overwrite {
        return Err(format!("{} is there already; --overwrite writes over it", output.display()).into());
    }
    let host = args.scene.open()?;
    let report = host.report()?;
    report.issues.iter().for_each(|issue| complain(&format!("{}: {issue}", severity(issue))));
    for (path, reason) in host.write_flattened(output)? {
        complain(&format!("{path} is left out: {reason}"));
    }
    let bytes = std::fs::metadata(output).map(|file| file.len()).unwrap_or_default();
    say(&format!("{} → {}: {} prims, {:.1} kB", args.scene.file.display(), output.display(), report.prims, bytes as f64 / 1e3));
    Ok(())
}

fn blueprint(args: &BlueprintArgs) -> Result<(), Failure> {
    let app = registry_app();
    let formats = app.world().resource::<BlueprintFormats>();
    // Paths in it lead to the same files from where it comes to lie.
    let read = |file: &Path, to: &Path| {
        let (mut blueprint, problems) = formats.read(file)?;
        if !problems.is_empty() {
            complain(&problem::list_of_file(&problems, file));
        }
        if problem::has_errors(&problems) {
            return Err(Failure::from(format!("{} has errors", file.display())));
        }
        let (from, to) = (std::path::absolute(file)?, std::path::absolute(to)?);
        if let (Some(from), Some(to)) = (from.parent(), to.parent())
            && from != to
        {
            move_paths(&mut blueprint, &app.world().resource::<AppTypeRegistry>().read(), from, to);
        }
        Ok(blueprint)
    };
    let counts = |blueprint: &Blueprint| format!("{} nodes, {} links", blueprint.nodes.len(), blueprint.links.len());
    if let Some(file) = &args.store {
        if !args.file.is_file() {
            return Err(format!("{} is no file", args.file.display()).into());
        }
        let blueprint = read(file, &args.file)?;
        formats.write(&args.file, &blueprint)?;
        say(&format!("{} → {}: {}", file.display(), args.file.display(), counts(&blueprint)));
        return Ok(());
    }
    let blueprint = read(&args.file, args.output.as_ref().unwrap_or(&args.file))?;
    let Some(output) = &args.output else {
        say(write(&blueprint).trim_end());
        return Ok(());
    };
    if output.exists() && !args.overwrite {
        return Err(format!("{} is there already; --overwrite writes over it", output.display()).into());
    }
    formats.write(output, &blueprint)?;
    say(&format!("{} → {}: {}", args.file.display(), output.display(), counts(&blueprint)));
    Ok(())
}
