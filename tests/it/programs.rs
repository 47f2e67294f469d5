//! The program as people start it.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

/// The program, without a display.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neural-studio"));
    command.args(arguments).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").stdin(Stdio::null());
    command
}

/// Runs to the end; fails the test when that takes longer than `limit`.
pub fn run(mut command: Command, limit: Duration) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let id = child.id();
    // A thread reads what it says: a full pipe would stop the program.
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || sender.send(child.wait_with_output()).ok());
    if let Ok(output) = receiver.recv_timeout(limit) {
        return output.expect("output");
    }
    Command::new("kill").args(["-9", &id.to_string()]).status().ok();
    let stderr = receiver.recv().expect("output").map(|output| output.stderr).unwrap_or_default();
    panic!("{command:?} did not end within {limit:?}: {}", String::from_utf8_lossy(&stderr));
}

/// Starts a demo without a viewer and waits for its link.
pub fn serve(out: &Path, arguments: &[&str]) -> (Child, String) {
    let mut command = program(&["demo", "--no-view", "--out"]);
    let mut child =
        command.arg(out).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let link = lines.find_map(|line| Some(line.ok()?.split_once('\'')?.1.trim_end_matches('\'').to_owned())).expect("the link");
    // Whatever else it says must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, link)
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

#[test]
fn the_demo_streams_and_reports() {
    let _alone = crate::alone();
    let out = tempfile::tempdir().expect("a folder");
    let mut command = program(&["demo", "--headless", "--seconds", "8", "--out"]);
    command.arg(out.path());
    let output = run(command, Duration::from_secs(90));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    let report = json(&out.path().join("report.json"));
    let viewer = &report["viewer"];
    let number = |value: &serde_json::Value| value.as_f64().unwrap_or_else(|| panic!("no number in {report}"));
    assert!(number(&viewer["shown"]) >= 60.0, "{viewer}");
    assert_eq!(number(&viewer["out_of_order"]), 0.0, "{viewer}");
    assert_eq!(number(&viewer["marks_wrong"]), 0.0, "{viewer}");
    assert!(number(&viewer["marks_read"]) >= number(&viewer["decoded"]) * 0.99, "{viewer}");
    assert!(number(&viewer["generated"]) > 0.0, "{viewer}");
    let copies: Vec<f64> = report["studio"]["copies_per_frame"].as_array().expect("copies").iter().map(number).collect();
    assert!(copies[0] == 0.0 && (copies[1] - 1.0).abs() < 0.02 && copies[2] <= 1.0, "copies a frame: {copies:?}");
    let picture = image::open(out.path().join("viewer.png")).expect("the viewer's picture").to_luma8();
    let mean = picture.iter().map(|value| u64::from(*value)).sum::<u64>() / picture.len() as u64;
    assert!((20..235).contains(&mean), "the viewer's picture is {mean} on average");
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-count_frames", "-show_streams", "-of", "json"])
        .arg(out.path().join("demo.mp4"))
        .output()
        .expect("ffprobe");
    let probed = String::from_utf8_lossy(&probed.stdout).to_lowercase();
    assert!(probed.contains("spherical") && probed.contains("equirectangular"), "{probed}");
}

#[test]
fn a_viewer_records_and_takes_pictures() {
    let _alone = crate::alone();
    let out = tempfile::tempdir().expect("a folder");
    let (mut studio, link) = serve(out.path(), &["--token", "let me in"]);
    let mut command = program(&["view", &link, "--headless", "--seconds", "3", "--generate", "side-by-side", "--out"]);
    command.arg(out.path().join("views")).arg("--record").arg(out.path().join("received.mkv"));
    let output = run(command, Duration::from_secs(60));
    let wrong = link.replace("let", "set");
    let refused = run(program(&["view", &wrong, "--headless", "--patience", "20"]), Duration::from_secs(60));
    studio.kill().ok();
    studio.wait().ok();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(out.path().join("views/view_0001.png").is_file());
    assert!(std::fs::metadata(out.path().join("received.mkv")).is_ok_and(|file| file.len() > 100_000));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("token"), "{said}");
}

#[test]
fn a_recording_survives_kill_9() {
    let _alone = crate::alone();
    let out = tempfile::tempdir().expect("a folder");
    let (mut studio, _link) = serve(out.path(), &[]);
    std::thread::sleep(Duration::from_secs(6));
    // SIGKILL: no chance to finish anything.
    studio.kill().expect("it runs");
    studio.wait().expect("it ends");
    let file = out.path().join("demo.mp4");
    let mut decoder = Command::new("ffmpeg");
    decoder.args(["-v", "error", "-i"]).arg(&file).args(["-f", "framemd5", "-"]);
    let output = run(decoder, Duration::from_secs(60));
    let frames = String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    println!("{frames} frames play after kill -9 ({complaints})");
    assert!(frames >= 45, "only {frames} frames play: {complaints}");
}

#[test]
fn bad_input_is_named_and_ends_the_program() {
    let _alone = crate::alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(folder.path().join("empty.mp4"), "").expect("written");
    std::fs::write(folder.path().join("noise.mp4"), b"this is no film".repeat(100)).expect("written");
    std::fs::write(
        folder.path().join("nan.rig.ron"),
        include_str!("../../assets/rigs/gear360.rig.ron")
            .replacen("center_px: (", "center_px: (NaN, ", 1)
            .replacen("NaN, ", "NaN/*", 1),
    )
    .expect("written");
    let busy = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let busy_at = busy.local_addr().expect("bound").to_string();
    let out = path("out");
    let demo = |arguments: &[&str]| {
        let mut command = program(&["demo", "--no-view", "--seconds", "5", "--out", &out]);
        command.args(arguments);
        command
    };
    let no_gpu = {
        let mut command = demo(&[]);
        command.env("VK_DRIVER_FILES", "/nonexistent.json").env("VK_ICD_FILENAMES", "/nonexistent.json");
        command
    };
    let cases: Vec<(&str, Command, Vec<String>)> = vec![
        ("missing file", demo(&["--source", &path("none.mp4")]), vec!["none.mp4".into(), "no such file".into()]),
        ("empty file", demo(&["--source", &path("empty.mp4")]), vec!["empty.mp4".into(), "empty".into()]),
        ("not a film", demo(&["--source", &path("noise.mp4")]), vec!["noise.mp4".into()]),
        ("missing rig", demo(&["--rig", &path("none.rig.ron")]), vec!["none.rig.ron".into()]),
        ("broken rig", demo(&["--rig", &path("nan.rig.ron")]), vec!["nan.rig.ron".into()]),
        ("port in use", demo(&["--bind", &busy_at]), vec!["in use".into(), busy.local_addr().expect("bound").port().to_string()]),
        ("picture too large", demo(&["--width", "65536"]), vec!["65536".into()]),
        ("no adapter", no_gpu, vec!["no Vulkan adapter".into(), "mesa-vulkan-drivers".into()]),
        ("no link", program(&["view", "http://nowhere"]), vec!["https".into()]),
        (
            "nobody there",
            program(&["view", "https://127.0.0.1:9/live", "--headless", "--patience", "3"]),
            vec!["no picture came".into()],
        ),
    ];
    for (name, command, expected) in cases {
        let output = run(command, Duration::from_secs(60));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{name}: it succeeded");
        for part in expected {
            assert!(said.contains(&part), "{name}: “{part}” is not in: {said}");
        }
        assert!(!said.contains("panicked"), "{name}: {said}");
    }
}

#[test]
fn help_names_every_command() {
    let mut output = String::new();
    let mut child = program(&["--help"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdout.take().expect("piped").read_to_string(&mut output).expect("text");
    assert!(child.wait().expect("it ends").success());
    for command in ["demo", "view", "cameras"] {
        assert!(output.contains(command), "{command} is not in {output}");
    }
}
