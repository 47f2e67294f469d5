//! What a stage costs: loading 10,000 prims, a frame in which nothing changes, one in which all of them move, one edit both ways.
//!
//! Prints one JSON object a line. `cargo run --release -p studio_scene --example bench_stage`

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use bevy::{asset::AssetPlugin, camera::CameraPlugin, prelude::*, transform::TransformPlugin};
use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};
use studio_graph::prelude::GraphPlugin;
use studio_scene::{
    stage::{UsdPlugin, UsdPrim, UsdStage, UsdStageEntities, UsdStageRoot, UsdStageStatus, UsdTime},
    sync::{UsdSync, UsdSyncPlugin},
};
use studio_usd::host::{EditLayer, Number, StageEdit, StageValue};

const GROUPS: usize = 100;
const PRIMS_A_GROUP: usize = 99;
const UPDATES: usize = 2000;
const EDITS: usize = 100;
/// The bar: what a stage may cost a frame when nothing changes.
const MOST_IDLE_MS: f64 = 0.2;

fn stage(animated: bool) -> String {
    let mut text = String::from("#usda 1.0\n(\n    startTimeCode = 0\n    endTimeCode = 100\n)\n");
    for group in 0..GROUPS {
        let _ = writeln!(text, "def Xform \"Group{group}\"\n{{");
        for prim in 0..PRIMS_A_GROUP {
            let at = |height: f64| format!("({prim}, {height}, {group})");
            let translate = if animated {
                format!("double3 xformOp:translate.timeSamples = {{ 0: {}, 100: {} }}", at(0.0), at(10.0))
            } else {
                format!("double3 xformOp:translate = {}", at(0.0))
            };
            let _ = writeln!(
                text,
                "    def Cube \"Cube{prim}\"\n    {{\n        {translate}\n        \
                 uniform token[] xformOpOrder = [\"xformOp:translate\"]\n    }}"
            );
        }
        text.push_str("}\n");
    }
    text
}

fn app(folder: &Path) -> App {
    app_with(folder, |_| {})
}

fn app_with(folder: &Path, add: impl FnOnce(&mut App)) -> App {
    let mut app = App::new();
    let assets = AssetPlugin { file_path: folder.display().to_string(), ..default() };
    app.add_plugins((MinimalPlugins, assets, TransformPlugin, CameraPlugin, UsdPlugin));
    add(&mut app);
    app.finish();
    app.cleanup();
    app
}

fn show(app: &mut App, path: &'static str) -> (Entity, Duration, Duration) {
    let start = Instant::now();
    let stage = app.world().resource::<AssetServer>().load(path);
    let root = app.world_mut().spawn(UsdStageRoot(stage)).id();
    let mut longest = Duration::ZERO;
    loop {
        let frame = Instant::now();
        app.update();
        longest = longest.max(frame.elapsed());
        match app.world().get::<UsdStageStatus>(root) {
            Some(UsdStageStatus::Ready) => return (root, start.elapsed(), longest),
            Some(UsdStageStatus::Failed { error }) => panic!("{error}"),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Milliseconds of updates: the median and the 95th percentile.
fn measure(mut update: impl FnMut()) -> (f64, f64) {
    for _ in 0..100 {
        update();
    }
    let mut times: Vec<f64> = (0..UPDATES)
        .map(|_| {
            let start = Instant::now();
            update();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("still.usda"), stage(false)).expect("a file");
    std::fs::write(folder.path().join("moving.usda"), stage(true)).expect("a file");

    let mut empty = app(folder.path());
    let (empty_p50, empty_p95) = measure(|| empty.update());
    println!("{}", serde_json::json!({ "name": "app without a stage", "p50_ms": empty_p50, "p95_ms": empty_p95 }));

    let mut still = app(folder.path());
    let (_, load, longest) = show(&mut still, "still.usda");
    let prims = still.world_mut().query::<&UsdPrim>().iter(still.world()).count();
    println!(
        "{}",
        serde_json::json!({
            "name": format!("stage of {prims} prims from file to entities"),
            "p50_ms": load.as_secs_f64() * 1e3,
            "longest_frame_ms": longest.as_secs_f64() * 1e3,
            "passed": load < Duration::from_secs(2),
        })
    );
    let (still_p50, still_p95) = measure(|| still.update());
    println!(
        "{}",
        serde_json::json!({
            "name": format!("stage of {prims} prims, nothing changes"),
            "p50_ms": still_p50,
            "p95_ms": still_p95,
            "more_than_without_ms": still_p50 - empty_p50,
            "passed": still_p50 - empty_p50 < MOST_IDLE_MS,
        })
    );

    let mut moving = app(folder.path());
    let (root, ..) = show(&mut moving, "moving.usda");
    moving.world_mut().get_mut::<UsdTime>(root).expect("a time").playing = false;
    let (paused_p50, paused_p95) = measure(|| moving.update());
    println!(
        "{}",
        serde_json::json!({
            "name": format!("animated stage of {prims} prims, paused"),
            "p50_ms": paused_p50,
            "p95_ms": paused_p95,
            "more_than_without_ms": paused_p50 - empty_p50,
            "passed": paused_p50 - empty_p50 < MOST_IDLE_MS,
        })
    );
    let mut code = 0.0;
    let (moving_p50, moving_p95) = measure(|| {
        code = (code + 0.5) % 100.0;
        moving.world_mut().get_mut::<UsdTime>(root).expect("a time").time_code = code;
        moving.update();
    });
    println!(
        "{}",
        serde_json::json!({ "name": format!("animated stage of {prims} prims, all move"), "p50_ms": moving_p50, "p95_ms": moving_p95 })
    );
    sync(folder.path());
}

/// One edit on one side, and the other side in the same update.
fn sync(folder: &Path) {
    let path = "/Group50/Cube50";
    let mut app = app_with(folder, |app| {
        app.add_plugins((GraphPlugin, UsdSyncPlugin));
    });
    let (root, ..) = show(&mut app, "still.usda");
    app.world_mut().entity_mut(root).insert((UsdSync::default(), UsdTime { playing: false, ..default() }));
    for _ in 0..10 {
        app.update();
    }
    let cube = app.world().get::<UsdStageEntities>(root).and_then(|shown| shown.entity(path)).expect("a prim");
    let stage = app.world().get::<UsdStageRoot>(root).expect("a root").0.clone();
    let host = app.world().resource::<Assets<UsdStage>>().get(&stage).expect("a stage").host().clone();
    let (mut to_stage, mut to_entity) = (Vec::new(), Vec::new());
    for edit in 0..EDITS {
        let height = 1.0 + edit as f32;
        app.world_mut().get_mut::<Transform>(cube).expect("a transform").translation.y = height;
        let start = Instant::now();
        app.update();
        to_stage.push(start.elapsed().as_secs_f64() * 1e3);
        let xform = host.transforms(vec![path.to_owned()]).expect("the stage answers").remove(0).expect("a transform");
        let found = xform.parent_from_prim(0.0).w_axis.y;
        assert!((found - f64::from(height)).abs() < 1e-4, "{found} {height}");

        let value = StageValue::Vec3d([50.0, -f64::from(height), 50.0].map(Number));
        let place = StageEdit::SetAttribute {
            path: format!("{path}.xformOp:translate"),
            type_name: "double3".to_owned(),
            value,
            time: None,
        };
        host.edit(&EditLayer::Session, vec![place]).expect("it is edited");
        let start = Instant::now();
        app.update();
        to_entity.push(start.elapsed().as_secs_f64() * 1e3);
        let found = app.world().get::<Transform>(cube).expect("a transform").translation.y;
        assert!((found + height).abs() < 1e-4, "{found} {height}");
    }
    for (name, mut times) in [("a moved entity is in the stage", to_stage), ("an edited prim has moved its entity", to_entity)] {
        times.sort_by(f64::total_cmp);
        let (p50, p95) = (times[times.len() / 2], times[times.len() * 95 / 100]);
        println!("{}", serde_json::json!({ "name": format!("{name} in the same update"), "p50_ms": p50, "p95_ms": p95 }));
    }
}
