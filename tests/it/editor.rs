//! The editor under a real X server, by mouse and keyboard: what a newcomer does.

use bevy::{app::AppExit, prelude::*};
use neural_studio::{
    app::app_in,
    prelude::*,
    studio_editor::{
        canvas::Screen,
        document::Document,
        session::SessionFolder,
        shown::{ShownGraph, ShownNode},
    },
    studio_graph::blueprint::{read::read, write::write},
};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Set in the process that runs the editor: the folder that it works in.
const WORK: &str = "STUDIO_TEST_EDITOR";
const SIZE: UVec2 = UVec2::new(1600, 900);
const NAME: &str = "editor::the_live_360_graph_is_built_by_mouse_and_keyboard";

/// An X server of its own.
struct Display(Child, String);

impl Display {
    fn start() -> Option<Self> {
        let size = format!("{}x{}x24", SIZE.x, SIZE.y);
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut number = String::new();
        let out = server.stdout.take()?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut number).ok()?;
        Some(Self(server, format!(":{}", number.trim())))
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

/// What the window shows now, for the hand that works it.
#[derive(Clone, Default)]
struct Seen {
    frame: u64,
    screen: Option<Screen>,
    nodes: Vec<ShownNode>,
    frames_of: HashMap<String, u64>,
    failed: Vec<String>,
    text: String,
    undo: usize,
    redo: usize,
    dirty: bool,
    picking: bool,
    asking: bool,
    selected: Option<String>,
}

type Shared = Arc<Mutex<Seen>>;

fn look(
    editor: Res<Editor>,
    document: Option<Res<Document>>,
    shown: Res<ShownGraph>,
    nodes: Query<&NodeStatus>,
    seen: Res<SeenByHand>,
) {
    let Some(document) = document else { return };
    let mut seen = seen.0.lock().expect("no panic before");
    seen.frame += 1;
    seen.screen = Some(editor.canvas.screen());
    seen.nodes.clone_from(&shown.nodes);
    seen.frames_of.clear();
    seen.failed.clear();
    for node in &shown.nodes {
        match nodes.get(node.entity) {
            Ok(NodeStatus::Running { frames }) => drop(seen.frames_of.insert(node.name.clone(), *frames)),
            Ok(NodeStatus::Failed { error, .. }) => seen.failed.push(format!("{}: {error}", node.name)),
            _ => {}
        }
    }
    seen.text = write(document.blueprint());
    (seen.undo, seen.redo, seen.dirty) = (document.undo_names().count(), document.redo_names().count(), document.is_dirty());
    (seen.picking, seen.asking) = (editor.is_picking(), editor.is_asking());
    seen.selected = editor.selection.last().map(str::to_owned);
}

#[derive(Resource)]
struct SeenByHand(Shared);

/// A hand on mouse and keyboard.
struct Hand(Shared);

impl Hand {
    fn do_it(&self, arguments: &[&str]) {
        let done = Command::new("xdotool").args(arguments).status().expect("xdotool runs");
        assert!(done.success(), "xdotool {arguments:?}");
        self.settle();
    }

    /// Waits until what was done has been drawn.
    fn settle(&self) {
        let before = self.seen().frame;
        self.wait("the next frames", |seen| (seen.frame > before + 2).then_some(()));
    }

    fn seen(&self) -> Seen {
        self.0.lock().expect("no panic before").clone()
    }

    fn wait<T>(&self, what: &str, found: impl Fn(&Seen) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            let seen = self.seen();
            if let Some(found) = found(&seen) {
                return found;
            }
            let state =
                || format!("selected {:?}, failed {:?}, picking {}\n{}", seen.selected, seen.failed, seen.picking, seen.text);
            assert!(start.elapsed() < Duration::from_secs(60), "waited for {what} in vain: {}", state());
            std::thread::sleep(Duration::from_millis(15));
        }
    }

    /// Presses keys as a person does: what is held goes down before and up after.
    fn key(&self, keys: &str) {
        let mut keys: Vec<&str> = keys.split('+').collect();
        let last = keys.pop().unwrap_or_default();
        keys.iter().for_each(|held| self.do_it(&["keydown", held]));
        self.do_it(&["key", last]);
        keys.iter().rev().for_each(|held| self.do_it(&["keyup", held]));
    }

    fn type_text(&self, text: &str) {
        self.do_it(&["type", "--delay", "5", text]);
    }

    fn point(&self, at: (f32, f32)) {
        self.do_it(&["mousemove", &(at.0 as i32).to_string(), &(at.1 as i32).to_string()]);
    }

    fn click(&self, at: (f32, f32)) {
        self.point(at);
        self.do_it(&["click", "1"]);
    }

    fn drag(&self, from: (f32, f32), to: (f32, f32)) {
        self.point(from);
        self.do_it(&["mousedown", "1"]);
        self.point(((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0));
        self.point(to);
        self.do_it(&["mouseup", "1"]);
    }

    /// A place of the canvas, from its upper left corner.
    fn on_canvas(&self, x: f32, y: f32) -> (f32, f32) {
        let rect = self.seen().screen.expect("a canvas").rect;
        (rect.min.x + x, rect.min.y + y)
    }

    fn pin(&self, node: &str, direction: PinDirection, pin: &str) -> (f32, f32) {
        self.wait(&format!("the pin {node}.{pin}"), |seen| {
            let shown = seen.nodes.iter().find(|shown| shown.name == node)?;
            let at = seen.screen?.to_screen(shown.pin_at(direction, shown.pin_named(direction, pin)?));
            Some((at.x, at.y))
        })
    }

    /// Tab, a few letters, Enter, under the pointer; then a name.
    fn add(&self, typed: &str, name: &str, x: f32, y: f32) {
        let count = self.seen().nodes.len();
        self.point(self.on_canvas(x, y));
        self.key("Tab");
        self.choose(typed);
        self.wait("the new node", |seen| (seen.nodes.len() == count + 1 && seen.selected.is_some()).then_some(()));
        self.rename(name);
    }

    fn choose(&self, typed: &str) {
        self.wait("the list", |seen| seen.picking.then_some(()));
        self.type_text(typed);
        self.key("Return");
        self.wait("the list to close", |seen| (!seen.picking).then_some(()));
    }

    fn rename(&self, name: &str) {
        self.key("F2");
        self.wait("the question", |seen| seen.asking.then_some(()));
        self.key("ctrl+a");
        self.type_text(name);
        self.key("Return");
        self.wait("the name", |seen| (seen.selected.as_deref() == Some(name) && !seen.asking).then_some(()));
    }

    fn select(&self, name: &str) {
        self.select_in(name, name);
    }

    fn select_in(&self, typed: &str, name: &str) {
        self.key("ctrl+f");
        self.choose(typed);
        self.wait("the selection", |seen| (seen.selected.as_deref() == Some(name)).then_some(()));
    }

    fn link(&self, from: (&str, &str), to: (&str, &str)) {
        self.drag(self.pin(from.0, PinDirection::Output, from.1), self.pin(to.0, PinDirection::Input, to.1));
        self.has(&format!("\"{}.{} -> {}.{}\"", from.0, from.1, to.0, to.1));
    }

    fn has(&self, text: &str) {
        self.wait(&format!("{text} in the blueprint"), |seen| seen.text.contains(text).then_some(()));
    }

    /// Enter, the first setting, Enter.
    fn first_setting(&self, value: &str, expect: &str) {
        self.key("Return");
        self.settle();
        self.key("ctrl+a");
        self.type_text(value);
        self.key("Return");
        self.has(expect);
        self.key("alt+1");
    }
}

/// Builds the graph, saves, takes everything back, does it again, opens the file again.
fn work(hand: &Hand, folder: &Path) {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let file = folder.join("mine.blueprint.ron");
    hand.wait("the window", |seen| seen.screen.filter(|screen| screen.rect.width() > 300.0).map(drop));
    hand.do_it(&["search", "--sync", "--name", "Neural Studio", "windowfocus"]);
    hand.key("Escape");
    hand.click(hand.on_canvas(400.0, 300.0));
    for _ in 0..2 {
        hand.key("minus");
    }
    hand.add("video file", "clip", 60.0, 80.0);
    hand.first_setting(&assets.join("clips/gear360_sway.mp4").display().to_string(), "gear360_sway.mp4");
    hand.add("stitch", "stitch", 220.0, 80.0);
    hand.first_setting(&assets.join("rigs/gear360.rig.ron").display().to_string(), "gear360.rig.ron");
    hand.add("latency", "mark", 380.0, 80.0);
    hand.add("optical", "flow", 540.0, 220.0);
    // A wire let go over the empty canvas asks for a node that fits.
    hand.drag(hand.pin("mark", PinDirection::Output, "frame"), hand.on_canvas(560.0, 80.0));
    hand.choose("video encoder");
    hand.rename("encoder");
    hand.has("\"mark.frame -> encoder.frame\"");
    hand.add("webtransport", "stream", 740.0, 80.0);
    hand.add("recorder", "recorder", 740.0, 240.0);
    hand.first_setting(&folder.join("mine.mp4").display().to_string(), "mine.mp4");
    // A link without the mouse.
    hand.select("mark");
    hand.key("l");
    hand.choose("mark flow frame");
    hand.has("\"mark.frame -> flow.frame\"");
    hand.key("Home");
    hand.link(("stitch", "picture"), ("mark", "frame"));
    hand.link(("flow", "motion"), ("encoder", "motion"));
    hand.link(("flow", "motion"), ("stream", "motion"));
    hand.link(("encoder", "packets"), ("stream", "packets"));
    hand.link(("encoder", "packets"), ("recorder", "packets"));
    // A wrong one: packets are no pictures.
    let before = hand.seen().text;
    hand.drag(hand.pin("encoder", PinDirection::Output, "packets"), hand.pin("mark", PinDirection::Input, "frame"));
    assert_eq!(hand.seen().text, before, "packets do not fit a frame");
    hand.link(("clip", "frame"), ("stitch", "picture 1"));
    hand.wait("frames in the recorder", |seen| seen.frames_of.get("recorder").filter(|frames| **frames > 1).map(drop));
    hand.key("ctrl+s");
    hand.wait("the file", |seen| (!seen.dirty).then_some(()));
    let saved = std::fs::read_to_string(&file).expect("it was saved");
    assert_same_graph(&saved, &assets);
    // All of it in a subgraph, looked into, found in it, and taken back.
    hand.key("ctrl+a");
    hand.key("ctrl+g");
    hand.has("subgraphs: {");
    hand.key("Next");
    hand.wait("the inside", |seen| seen.nodes.iter().any(|node| node.name == "mark").then_some(()));
    hand.key("Prior");
    hand.wait("the outside", |seen| (seen.nodes.len() == 1).then_some(()));
    hand.select_in("group/flow", "flow");
    hand.key("Prior");
    hand.key("ctrl+z");
    hand.wait("the group to be gone", |seen| (!seen.text.contains("subgraphs") && seen.nodes.len() == 7).then_some(()));
    hand.click(hand.on_canvas(300.0, 400.0));
    hand.key("Home");
    // A kind that only this program knows: in the list, on the canvas, in the inspector, in the file, with nothing done for it.
    hand.add("tint", "own", 60.0, 300.0);
    hand.first_setting("0.5", "\"own\": (kind: \"Tint\"");
    hand.has("rgb: (0.5");
    hand.key("Delete");
    hand.wait("the node to be gone", |seen| (seen.nodes.len() == 7).then_some(()));
    let steps = hand.seen().undo;
    assert!(steps >= 20, "only {steps} steps");
    while hand.seen().undo > 0 {
        let left = hand.seen().undo;
        hand.key("ctrl+z");
        hand.wait("the step to be taken back", |seen| (seen.undo < left).then_some(()));
    }
    assert!(hand.seen().nodes.is_empty(), "undone to the empty canvas");
    while hand.seen().redo > 0 {
        let left = hand.seen().redo;
        hand.key("ctrl+shift+z");
        hand.wait("the step to be done again", |seen| (seen.redo < left).then_some(()));
    }
    let own = |text: &str| text.contains("\"own\"");
    assert!(!own(&hand.seen().text));
    assert_eq!(hand.seen().text, saved, "the same file again");
    assert!(!hand.seen().dirty);
    hand.key("ctrl+n");
    hand.wait("an empty document", |seen| (seen.nodes.is_empty() && seen.undo == 0).then_some(()));
    hand.key("ctrl+shift+o");
    hand.choose("mine");
    hand.wait("the file to be open", |seen| (seen.nodes.len() == 7).then_some(()));
    assert_eq!(hand.seen().text, saved, "what was saved is what is opened");
    // The window goes with it, so nothing is waited for.
    let quit = Command::new("xdotool").args(["keydown", "ctrl", "sleep", "0.5", "key", "q"]).status();
    assert!(quit.is_ok_and(|status| status.success()));
}

/// The graph is that of the demo, whatever stands where.
fn assert_same_graph(saved: &str, assets: &Path) {
    let demo = std::fs::read_to_string(assets.join("live360.blueprint.ron")).expect("the demo's blueprint");
    let parts = |text: &str| {
        let (blueprint, problems) = read(text);
        assert_eq!(problems, []);
        let mut nodes: Vec<(String, String)> = blueprint.nodes.into_iter().map(|node| (node.name, node.kind)).collect();
        let mut links: Vec<String> = blueprint.links.into_iter().map(|link| link.link.to_string()).collect();
        nodes.sort();
        links.sort();
        (nodes, links)
    };
    assert_eq!(parts(saved), parts(&demo));
}

#[test]
fn the_live_360_graph_is_built_by_mouse_and_keyboard() {
    if let Some(folder) = std::env::var_os(WORK) {
        return edit(PathBuf::from(folder));
    }
    let _alone = crate::alone();
    let (Some(display), true) = (Display::start(), Command::new("xdotool").arg("version").output().is_ok()) else {
        println!("skipped: Xvfb or xdotool is absent; `cargo xtask setup` installs them");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let program = std::env::current_exe().expect("this test");
    let out = Command::new(program)
        .args(["--exact", NAME, "--nocapture"])
        .env(WORK, folder.path())
        .env("DISPLAY", &display.1)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
}

/// Runs the editor on this thread and the hand on another.
fn edit(folder: PathBuf) {
    let window = AppWindow::Kept { title: "Neural Studio".to_owned(), size: SIZE };
    let mut app = app_in(window, &folder).expect("a Vulkan adapter (software will do)");
    let shared = Shared::default();
    let hand = Hand(shared.clone());
    let file = folder.join("mine.blueprint.ron");
    let session = SessionFolder(Some(folder.join("session")));
    app.add_plugins(StudioEditorPlugin { file: Some(file), session, ..default() })
        .insert_resource(SeenByHand(shared))
        .add_systems(Last, look);
    app.add_plugins(crate::custom_node::add_tint);
    let worker = std::thread::spawn(move || {
        // A hand that fails must not leave the window open for ever.
        let failure = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&hand, &folder)));
        if failure.is_err() {
            std::process::exit(1);
        }
    });
    assert_eq!(app.run(), AppExit::Success);
    worker.join().expect("the hand is done");
}
