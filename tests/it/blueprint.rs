//! Blueprints, as people run them and programs change them.

use crate::{
    programs::{program, run},
    tap::{self, Tap},
};
use bevy::prelude::*;
use neural_studio::{
    prelude::*,
    studio_graph::blueprint::{read::read, write::write},
};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn shipped() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/live360.blueprint.ron")
}

#[test]
fn the_shipped_blueprint_is_right_and_written_as_the_studio_writes() {
    let text = fs::read_to_string(shipped()).expect("it is shipped");
    let (blueprint, problems) = read(&text);
    assert_eq!(problems, []);
    assert_eq!(write(&blueprint), text);
    let output = run(program(&["check", &shipped().display().to_string()]), Duration::from_secs(30));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("7 nodes, 8 links, no errors, warnings: 0"), "{said}");
    let output = run(program(&["graph", &shipped().display().to_string(), "--dot"]), Duration::from_secs(30));
    let dot = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && dot.starts_with("digraph \"Live 360\"") && dot.matches(" -> ").count() == 8, "{dot}");
}

#[test]
fn the_node_reference_is_up_to_date() {
    let output = run(program(&["nodes", "--markdown"]), Duration::from_secs(30));
    let now = String::from_utf8_lossy(&output.stdout).into_owned();
    let written = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/nodes.md")).unwrap_or_default();
    assert!(now == written, "docs/nodes.md is old: `cargo run -- nodes --markdown > docs/nodes.md`");
    let json = run(program(&["nodes", "--json"]), Duration::from_secs(30));
    let schema: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(schema["$defs"]["Stitch"]["properties"]["pictures"]["maximum"], 16);
    let names = schema["$defs"].as_object().expect("kinds").keys();
    names.for_each(|name| assert!(now.contains(&format!("(`{name}`)")), "{name} is not in the reference"));
}

#[test]
fn check_names_every_fault_and_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("wrong.blueprint.ron");
    let text = fs::read_to_string(shipped()).expect("it is shipped").replace("clip.frame", "clap.frame");
    fs::write(
        &file,
        text.replace("repeat: true", "repeat: 7").replace("mark.frame -> flow.frame", "encoder.packets -> flow.frame"),
    )
    .expect("written");
    let output = run(program(&["check", &file.display().to_string()]), Duration::from_secs(30));
    let said = String::from_utf8_lossy(&output.stdout);
    for expected in [
        "wrong.blueprint.ron:7:21: error: node “clip”, setting “repeat”: Expected boolean",
        "names no node of this blueprint: “clap”; did you mean “clip”?",
        "packet does not fit video frame",
        "warning: node “clip”, setting “source”: there is no file",
        "warning: there is no file “rigs/gear360.rig.ron” in the blueprint's folder",
    ] {
        assert!(said.contains(expected), "not said: {expected}\n{said}");
    }
    assert!(!output.status.success());
    let refused = run(program(&["run", &file.display().to_string(), "--headless"]), Duration::from_secs(30));
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("has errors, so it does not run"));
}

#[test]
fn a_scene_with_a_blueprint_in_it_is_a_blueprint() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (scene, other) = (folder.path().join("scene.usda"), folder.path().join("parts/live.blueprint.ron"));
    fs::copy(root.join("assets/scenes/stage.usda"), &scene).expect("copied");
    let usd = |arguments: &[&str]| {
        let scene = scene.display().to_string();
        run(program(&[&["usd", "blueprint", scene.as_str()], arguments].concat()), Duration::from_secs(30))
    };
    let none = usd(&[]);
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(!none.status.success() && said.contains("scene.usda") && said.contains("--store"), "{said}");

    // What lies in another folder is found from the scene's.
    fs::create_dir(folder.path().join("parts")).expect("made");
    fs::copy(root.join("assets/stills/gear360.jpg"), folder.path().join("parts/still.jpg")).expect("copied");
    let text = r#"(version: 1, name: "In the scene", nodes: {
        "still": (kind: "StillInput", settings: (path: "still.jpg")),
        "turn": (kind: "CameraMove"),
        "turned": (kind: "Transform2d", bypass: true),
    }, links: ["still.frame -> turned.frame"])"#;
    fs::write(&other, text).expect("written");
    let stored = usd(&["--store", &other.display().to_string()]);
    assert!(stored.status.success(), "{}", String::from_utf8_lossy(&stored.stderr));
    let (blueprint, problems) = read(&String::from_utf8_lossy(&usd(&[]).stdout));
    assert_eq!(problems, []);
    assert_eq!(blueprint.nodes.len(), 3);
    assert_eq!(blueprint.nodes[0].settings[0].value, "\"parts/still.jpg\"");
    let back = usd(&["--output", &folder.path().join("parts/again.blueprint.ron").display().to_string()]);
    assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    let again = fs::read_to_string(folder.path().join("parts/again.blueprint.ron")).expect("written");
    assert_eq!(read(&again).0, read(text).0);

    let checked = run(program(&["check", &scene.display().to_string()]), Duration::from_secs(30));
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success() && said.contains("3 nodes, 1 links, no errors"), "{said}");
    let ran = run(program(&["run", &scene.display().to_string(), "--headless", "--seconds", "3"]), Duration::from_secs(60));
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success() && said.contains("Still input"), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    // The rest of the scene is still there.
    assert!(fs::read_to_string(&scene).expect("it is there").contains("def Mesh \"Panel\""));
}

#[test]
fn subgraphs_of_other_files_and_values_on_wires_run() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("parts")).expect("made");
    let part = r#"(version: 1, nodes: {
        "in": (kind: "SubgraphInput"),
        "pace": (kind: "SubgraphInput", settings: (data_type: "scalar")),
        "drift": (kind: "CameraMove", exposed: ["duration_s"]),
        "out": (kind: "SubgraphOutput"),
    }, links: ["in.value -> drift.frame", "pace.value -> drift.duration_s", "drift.frame -> out.value"], parameters: {"again": "drift.repeat"})"#;
    fs::write(folder.path().join("parts/eye.blueprint.ron"), part).expect("written");
    let file = folder.path().join("top.blueprint.ron");
    let top = r#"(version: 1, nodes: {
        "bars": (kind: "TestPatternInput"),
        "wave": (kind: "Oscillator", settings: (low: 2.0, high: 12.0)),
        "eye": (kind: "Subgraph", settings: (file: "parts/eye.blueprint.ron")),
        "window": (kind: "WindowOutput"),
    }, links: ["bars.frame -> eye.in", "wave.value -> eye.pace", "eye.out -> window.frame"])"#;
    fs::write(&file, top).expect("written");
    let name = file.display().to_string();
    let checked = run(program(&["check", &name]), Duration::from_secs(30));
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let picture = run(program(&["graph", &name, "--dot"]), Duration::from_secs(30));
    assert!(String::from_utf8_lossy(&picture.stdout).contains("subgraph cluster_n2 {"));
    let arguments =
        ["run", &name, "--headless", "--seconds", "3", "--set", "eye.again=false", "--set", "eye/drift.size=(320, 160)"];
    let output = run(program(&arguments), Duration::from_secs(60));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let runs = |node: &str| said.lines().any(|line| line.starts_with(node) && line.ends_with("runs"));
    assert!(output.status.success() && ["bars", "wave", "eye", "eye/drift", "window"].into_iter().all(runs), "{said}");
    fs::write(&file, top.replace("\"eye\": (", "\"sum\": (kind: \"Math\", settings: (formula: \"a + speed\")), \"eye\": ("))
        .expect("written");
    let checked = run(program(&["check", &name]), Duration::from_secs(30));
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(!checked.status.success() && said.contains("node “sum”") && said.contains("unknown name “speed”"), "{said}");
    fs::write(folder.path().join("parts/eye.blueprint.ron"), part.replace("CameraMove\"", "CameraMove\", settings: (pace: 1)"))
        .expect("written");
    let checked = run(program(&["check", &name]), Duration::from_secs(30));
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        !checked.status.success() && said.contains("parts/eye.blueprint.ron:4:") && said.contains("no setting “pace”"),
        "{said}"
    );
}

#[test]
fn an_offline_run_keeps_every_frame_and_ends_by_itself() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x160:rate=25:duration=1.6", "-c:v", "libx264", "-y"])
        .arg(folder.path().join("clip.mp4"))
        .status();
    assert!(made.expect("ffmpeg").success());
    let file = folder.path().join("copy.blueprint.ron");
    let recording = folder.path().join("copy.mp4");
    let text = r#"(version: 1, nodes: {
        "clip": (kind: "VideoFileInput", settings: (source: "clip.mp4")),
        "rgba": (kind: "ColorConvert"),
        "encoder": (kind: "VideoEncoder", settings: (frame_rate_hz: 25.0)),
        "recorder": (kind: "Recorder", settings: (overwrite: true)),
    }, links: ["clip.frame -> rgba.frame", "rgba.frame -> encoder.frame", "encoder.packets -> recorder.packets"])"#;
    fs::write(&file, text).expect("written");
    let setting = format!("recorder.path={}", recording.display());
    let arguments = ["run", &file.display().to_string(), "--headless", "--offline", "--set", &setting];
    let output = run(program(&arguments), Duration::from_secs(60));
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let probe = Command::new("ffprobe")
        .args(["-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"])
        .arg(&recording)
        .output()
        .expect("ffprobe");
    assert_eq!(String::from_utf8_lossy(&probe.stdout).trim(), "40", "{said}");
}

#[test]
fn saving_the_file_changes_the_running_graph_and_a_wrong_file_does_not_stop_it() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("live.blueprint.ron");
    let text = |extra: &str, size: &str| {
        format!(
            r#"(version: 1, nodes: {{
                "bars": (kind: "TestPatternInput", settings: (size: {size})), {extra}
                "rgba": (kind: "ColorConvert"),
                "encoder": (kind: "VideoEncoder"),
                "recorder": (kind: "Recorder", settings: (path: "{}", overwrite: true)),
            }}, links: ["bars.frame -> rgba.frame", "rgba.frame -> encoder.frame", "encoder.packets -> recorder.packets"])"#,
            folder.path().join("live.mp4").display()
        )
    };
    fs::write(&file, text("", "(320, 160)")).expect("written");
    let log = folder.path().join("log");
    let child = program(&["run", &file.display().to_string(), "--headless", "--seconds", "9"])
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&log).expect("a file"))
        .spawn()
        .expect("it starts");
    let wait_for = |words: &str| {
        let start = Instant::now();
        while !fs::read_to_string(&log).is_ok_and(|said| said.contains(words)) {
            assert!(
                start.elapsed() < Duration::from_secs(8),
                "not said: {words}\n{}",
                fs::read_to_string(&log).unwrap_or_default()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    std::thread::sleep(Duration::from_secs(2));
    fs::write(&file, text("", "(320, 160) oops")).expect("written");
    wait_for("was saved: loading it again");
    wait_for("Expected comma");
    std::thread::sleep(Duration::from_millis(1100));
    fs::write(&file, text("\"later\": (kind: \"ColorConvert\"),", "(320, 160)")).expect("written");
    std::thread::sleep(Duration::from_millis(500));
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", fs::read_to_string(&log).unwrap_or_default());
    assert!(said.contains("later"), "the node that was added is there: {said}");
    let frames = |node: &str| -> u64 {
        let line = said.lines().find(|line| line.starts_with(node)).unwrap_or_default();
        line.split_whitespace().rev().nth(1).and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    assert!(frames("recorder") > 120, "what did not change ran on: {said}");
}

#[test]
fn bypass_freeze_and_demand_hold_on_the_gpu() {
    let mut app = tap::app();
    let pictures = tap::Shared::default();
    let world = app.world_mut();
    let bars = world.spawn(TestPatternInput { size: UVec2::new(64, 32), ..default() }).id();
    let rgba = world.spawn(ColorConvert).id();
    let mark = world.spawn(LatencyMark::default()).id();
    let unused = world.spawn(ColorConvert).id();
    let tap = world.spawn(Tap { pictures: pictures.clone() }).id();
    world.flush();
    connect(world, bars, "frame", rgba, "frame").expect("links");
    connect(world, bars, "frame", unused, "frame").expect("links");
    connect(world, rgba, "frame", mark, "frame").expect("links");
    connect(world, mark, "frame", tap, "frame").expect("links");
    let count = |app: &App, node: Entity| match app.world().get::<NodeStatus>(node) {
        Some(NodeStatus::Running { frames }) => *frames,
        _ => 0,
    };
    let run_until = |app: &mut App, what: &str, mut done: Box<dyn FnMut(&App) -> bool>| {
        let start = Instant::now();
        while !done(app) {
            assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come about");
            app.update();
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    run_until(&mut app, "frames", Box::new(move |app| count(app, tap) > 3));
    assert_eq!(count(&app, unused), 0, "nothing takes what it makes");
    app.world_mut().entity_mut(mark).insert(Freeze);
    app.update();
    app.update();
    let (held, before) = (count(&app, mark), count(&app, tap));
    for _ in 0..30 {
        app.update();
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((count(&app, mark), count(&app, tap)), (held, before), "a frozen node holds, and nothing new comes behind it");
    app.world_mut().entity_mut(mark).remove::<Freeze>().insert(Bypass);
    run_until(&mut app, "frames past the bypassed node", Box::new(move |app| count(app, tap) > before + 3));
    assert_eq!(count(&app, mark), held);
    app.world_mut().entity_mut(mark).remove::<Bypass>();
    run_until(&mut app, "frames through the node again", Box::new(move |app| count(app, mark) > held + 3));
}
