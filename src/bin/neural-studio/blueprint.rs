//! `neural-studio run`, `check`, `graph` and `nodes`: blueprints from the command line, from files of their own and from USD scenes.

use crate::{
    Failure,
    headset::open_headset,
    report::{complain, say, say_links},
};
use bevy::{app::AppExit, asset::AssetPlugin, prelude::*};
use clap::Args;
use neural_studio::{
    app::{app_in, app_with_headset},
    prelude::*,
    studio_graph::{
        blueprint::{
            Severity,
            asset::{BlueprintFolder, BlueprintRoot, BlueprintState},
            check, dot,
            file::BlueprintFormats,
            overrides::{BlueprintOverrides, Override},
            problem,
            spawn::descendants,
        },
        data_type::DataTypes,
        link::node_label,
        reference,
        registry::kinds,
        schema,
        value::is_source,
    },
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The blueprint: a .blueprint.ron file, or a USD scene that has one in it. While it runs, saving the file changes the running graph
    file: PathBuf,
    /// A setting to use instead of the file's: node.field=value; may be given several times
    #[arg(long = "set", value_name = "NODE.FIELD=VALUE")]
    settings: Vec<Override>,
    /// How long to run, in seconds (default: until the window is closed or Ctrl-C; offline until every source has ended)
    #[arg(long)]
    seconds: Option<f32>,
    /// Open no window, even where there is a display
    #[arg(long)]
    headless: bool,
    /// Take every frame and drop none, however long that takes
    #[arg(long)]
    offline: bool,
    /// Write what the viewers of the streams reported, at the end and every ten seconds: a .json or .csv file, and beside it
    /// where they looked as FILE.gaze.png
    #[arg(long, value_name = "FILE", value_parser = crate::viewers::report_path)]
    viewer_report: Option<PathBuf>,
    /// Open the headset, through OpenXR, for the blueprint's headset output
    #[arg(long)]
    xr: bool,
}

#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// The blueprint: a .blueprint.ron file, or a USD scene that has one in it
    file: PathBuf,
}

#[derive(Args, Clone, Debug)]
pub struct GraphArgs {
    /// The blueprint: a .blueprint.ron file, or a USD scene that has one in it
    file: PathBuf,
    /// Print it in Graphviz's DOT language, for `dot -Tsvg`
    #[arg(long, required = true)]
    dot: bool,
}

#[derive(Args, Clone, Debug)]
pub struct NodesArgs {
    /// Print the kinds as JSON Schema 2020-12, with pins, ranges, units, documentation and defaults
    #[arg(long)]
    json: bool,
    /// Print the same for people, as Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// An app that knows every kind of node and opens no GPU: for looking things up.
pub fn registry_app() -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, AssetPlugin::default(), NeuralStudioPlugins));
    app
}

/// `neural-studio check FILE`: every problem with its line, `file:line:column: …`.
pub fn check_file(args: FileArgs) -> Result<(), Failure> {
    let app = registry_app();
    let (blueprint, mut problems) = app.world().resource::<BlueprintFormats>().read(&args.file)?;
    let registry = app.world().resource::<AppTypeRegistry>().read();
    problems.extend(check::check(&blueprint, &registry, app.world().resource::<DataTypes>(), args.file.parent()));
    if !problems.is_empty() {
        say(&problem::list_of_file(&problems, &args.file));
    }
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let (nodes, links, warnings) = (blueprint.nodes.len(), blueprint.links.len(), problems.len() - errors);
    if errors > 0 {
        return Err(format!("{}: errors: {errors}, warnings: {warnings}", args.file.display()).into());
    }
    let subgraphs = match blueprint.subgraphs.len() {
        0 => String::new(),
        count => format!("{count} subgraphs, "),
    };
    say(&format!("{}: {nodes} nodes, {links} links, {subgraphs}no errors, warnings: {warnings}", args.file.display()));
    Ok(())
}

/// `neural-studio graph FILE --dot`.
pub fn graph(args: GraphArgs) -> Result<(), Failure> {
    let app = registry_app();
    let (blueprint, problems) = app.world().resource::<BlueprintFormats>().read(&args.file)?;
    if !problems.is_empty() {
        complain(&problem::list_of_file(&problems, &args.file));
    }
    let registry = app.world().resource::<AppTypeRegistry>().read();
    say(dot::dot(&blueprint, &registry, app.world().resource::<DataTypes>(), args.file.parent()).trim_end());
    if problem::has_errors(&problems) { Err(format!("{} has errors", args.file.display()).into()) } else { Ok(()) }
}

/// `neural-studio nodes`: the kinds there are.
pub fn nodes(args: NodesArgs) -> Result<(), Failure> {
    let app = registry_app();
    let registry = app.world().resource::<AppTypeRegistry>().read();
    if args.json {
        let schema = schema::schema(&registry, app.world().resource::<DataTypes>());
        say(&serde_json::to_string_pretty(&schema)?);
        return Ok(());
    }
    if args.markdown {
        say(reference::markdown(&registry, app.world().resource::<DataTypes>()).trim_end());
        return Ok(());
    }
    let mut kinds = kinds(&registry);
    kinds.sort_by_key(|kind| (kind.node.category, kind.name));
    let mut category = "";
    for kind in kinds {
        if kind.node.category != category {
            category = kind.node.category;
            say(category);
        }
        say(&format!("  {:<20} {}", kind.name, kind.summary()));
    }
    Ok(())
}

/// The file that is run, as it was last seen.
#[derive(Resource)]
struct RunningFile {
    file: PathBuf,
    modified: Option<SystemTime>,
    looked_at: Instant,
    root: Entity,
    started: Instant,
    seconds: Option<f32>,
    offline: bool,
}

/// `neural-studio run FILE`.
pub fn run(args: RunArgs) -> Result<(), Failure> {
    // What is wrong with the file is said before a GPU or a window is opened.
    let blueprint = {
        let app = registry_app();
        let registry = app.world().resource::<AppTypeRegistry>().read();
        let (read, mut problems) = app.world().resource::<BlueprintFormats>().read(&args.file)?;
        let mut blueprint = read.clone();
        for given in &args.settings {
            given.apply(&mut blueprint, &registry)?;
        }
        problems.extend(check::check(&blueprint, &registry, app.world().resource::<DataTypes>(), args.file.parent()));
        if problem::has_errors(&problems) {
            complain(&problem::list_of_file(&problems, &args.file));
            return Err(format!("{} has errors, so it does not run", args.file.display()).into());
        }
        read
    };
    let file = args.file.canonicalize()?;
    let Some(folder) = file.parent() else {
        return Err(format!("{} is no file", args.file.display()).into());
    };
    let window = if args.headless { AppWindow::None } else { AppWindow::where_possible("Neural Studio") };
    let mut app = if args.xr {
        app_with_headset(window, open_headset(HeadsetOptions::default())?, Some(folder))?
    } else {
        app_in(window, folder)?
    };
    if args.offline {
        app.insert_resource(StudioClock::Offline);
    }
    app.insert_resource(BlueprintFolder(Some(folder.to_owned())));
    let handle = app.world_mut().resource_mut::<Assets<Blueprint>>().add(blueprint);
    let root = app.world_mut().spawn((BlueprintRoot(handle), BlueprintOverrides(args.settings))).id();
    app.insert_resource(RunningFile {
        modified: modified(&file),
        file,
        looked_at: Instant::now(),
        root,
        started: Instant::now(),
        seconds: args.seconds,
        offline: args.offline,
    });
    if let Some(path) = args.viewer_report {
        crate::viewers::write_reports(&mut app, path);
    }
    app.add_systems(Update, (follow_file, say_streams, stop_when_done).chain().in_set(StudioSystems::Report));
    match app.run() {
        AppExit::Success => Ok(()),
        AppExit::Error(_) => Err("the blueprint did not run: see the messages above".into()),
    }
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).and_then(|data| data.modified()).ok()
}

/// Reads the file again when it was saved.
fn follow_file(
    mut running: ResMut<RunningFile>,
    formats: Res<BlueprintFormats>,
    mut blueprints: ResMut<Assets<Blueprint>>,
    roots: Query<&BlueprintRoot>,
) {
    const PAUSE: Duration = Duration::from_millis(300);
    if running.looked_at.elapsed() < PAUSE {
        return;
    }
    running.looked_at = Instant::now();
    let now = modified(&running.file);
    if now.is_none() || now == running.modified {
        return;
    }
    running.modified = now;
    info!("{} was saved: loading it again", running.file.display());
    let (blueprint, problems) = match formats.read(&running.file) {
        Ok(read) => read,
        Err(error) => return complain(&format!("{error}; what ran before runs on")),
    };
    if !problems.is_empty() {
        complain(&problem::list_of_file(&problems, &running.file));
    }
    if !problem::has_errors(&problems)
        && let Ok(root) = roots.get(running.root)
        && let Some(mut current) = blueprints.get_mut(&root.0)
    {
        *current = blueprint;
    }
}

/// Says where viewers find the streams.
fn say_streams(outputs: Query<&WebTransportStatus, Changed<WebTransportStatus>>, mut said: Local<Vec<String>>) {
    for (status, link) in outputs.iter().filter_map(|status| Some((status, status.viewer_link.as_ref()?))) {
        if !said.contains(link) {
            say_links(status);
            said.push(link.clone());
        }
    }
}

/// Ends when the time is up, when every source of an offline run has ended, or when nothing can run at all.
fn stop_when_done(world: &mut World) {
    let Some(running) = world.get_resource::<RunningFile>() else { return };
    let (root, elapsed, offline) = (running.root, running.started.elapsed(), running.offline);
    let time_is_up = running.seconds.is_some_and(|seconds| elapsed.as_secs_f32() >= seconds);
    match world.get::<BlueprintState>(root) {
        Some(BlueprintState::Spawned(_)) => {}
        Some(BlueprintState::Refused(_)) => {
            world.write_message(AppExit::error());
            return;
        }
        None => return,
    }
    let nodes = descendants(world, root);
    let statuses: Vec<&NodeStatus> = nodes.iter().filter_map(|node| world.get::<NodeStatus>(*node)).collect();
    let ended = offline && statuses.contains(&&NodeStatus::Ended) && !sources_left(world, &nodes);
    if !(time_is_up || ended) {
        return;
    }
    let mut lines = vec![format!("{:<20} {:<20} {:>9}  state", "node", "kind", "frames")];
    for node in &nodes {
        let name = node_label(world, *node);
        let kind = world.get::<studio_graph::registry::NodeName>(*node).map(|kind| kind.0.to_string());
        let (frames, state) = match world.get::<NodeStatus>(*node) {
            Some(NodeStatus::Running { frames }) => (frames.to_string(), "runs".to_owned()),
            Some(NodeStatus::Ended) => (String::new(), "ended".to_owned()),
            Some(NodeStatus::Failed { error, .. }) => (String::new(), format!("failed: {error}")),
            Some(NodeStatus::Idle) | None => (String::new(), "idle".to_owned()),
        };
        lines.push(format!("{name:<20} {:<20} {frames:>9}  {state}", kind.unwrap_or_default()));
    }
    say(&lines.join("\n"));
    let any_failed = nodes.iter().any(|node| matches!(world.get::<NodeStatus>(*node), Some(NodeStatus::Failed { .. })));
    crate::viewers::write_now(world);
    // Despawning the nodes closes recordings and streams.
    world.despawn(root);
    world.write_message(if any_failed { AppExit::error() } else { AppExit::Success });
}

/// Whether a source still delivers.
fn sources_left(world: &World, nodes: &[Entity]) -> bool {
    let graph = world.resource::<CompiledGraph>();
    nodes.iter().any(|node| {
        graph.runs(*node)
            && is_source(world, *node)
            && !matches!(world.get::<NodeStatus>(*node), Some(NodeStatus::Ended | NodeStatus::Failed { .. }))
    })
}
