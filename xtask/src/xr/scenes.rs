//! What is played: a studio streams, a runtime runs, a viewer watches, and things go wrong.

use super::{
    events::Events,
    footage, pixels,
    place::{MANIFEST, Place},
    process::Background,
    reports::Reports,
    screen,
};
use crate::{process::Runner, project::Project};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

type Scene = fn(&Stage) -> Result<(), String>;

/// All scenes, with their names.
pub(super) const ALL: [(&str, Scene); 11] = [
    ("headset: a session", session),
    ("headset: eye views", eye_views),
    ("headset: pixels of equirect2", pixels::equirect2),
    ("headset: pixels of half a sphere", pixels::half_sphere),
    ("headset: pixels of a projection", pixels::projection),
    ("headset: pixels of a quad", pixels::quad),
    ("headset: pixels of a scene before it", pixels::scene),
    ("headset: real footage", footage::scene),
    ("headset: another program before it", hidden),
    ("headset: runtime killed", runtime_killed),
    ("headset: no runtime", no_runtime),
];

/// Something that comes at once on a quick machine.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// A viewer's whole run.
pub(super) const RUN: Duration = Duration::from_secs(120);

/// A scene's folders and programs.
pub(super) struct Stage<'a> {
    place: &'a Place,
    runner: &'a Runner,
    studio: PathBuf,
    /// What the programs say, and the viewer's log.
    out: PathBuf,
    /// The folder that runtime and viewer share, as they see it: short, because it holds a socket.
    run: PathBuf,
}

impl<'a> Stage<'a> {
    pub fn new(place: &'a Place, runner: &'a Runner, project: &Project, studio: &str, name: &str) -> Result<Self, String> {
        let run = PathBuf::from(format!("/run/ns-xr-{}", std::process::id()));
        let folder = name.rsplit(": ").next().unwrap_or(name).replace(' ', "-");
        let stage = Self { place, runner, studio: PathBuf::from(studio), out: project.root.join("out/xr").join(folder), run };
        for folder in [&stage.out, &stage.run_outside()] {
            let _gone = fs::remove_dir_all(folder);
            fs::create_dir_all(folder).map_err(|error| format!("`{}` cannot be made: {error}", folder.display()))?;
        }
        Ok(stage)
    }

    pub const fn runner(&self) -> &Runner {
        self.runner
    }

    /// Where what is said and made is left.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The folder that runtime and viewer share, as the test sees it.
    pub fn run_outside(&self) -> PathBuf {
        match self.place {
            Place::System => std::env::temp_dir().join(self.run.file_name().unwrap_or_default()),
            Place::Folder(_) => self.place.outside(&self.run),
        }
    }

    /// The same, as they see it.
    pub fn run_inside(&self) -> PathBuf {
        match self.place {
            Place::System => self.run_outside(),
            Place::Folder(_) => self.run.clone(),
        }
    }

    fn programs(&self) -> &Path {
        self.studio.parent().unwrap_or(Path::new("/"))
    }

    /// A command on a program that finds the runtime.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.place.command(self.programs(), program);
        command
            .env("XDG_RUNTIME_DIR", self.run_inside())
            .env("XR_RUNTIME_JSON", Path::new("/").join(MANIFEST))
            .env("HOME", self.run_inside())
            .env("NO_COLOR", "1")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
        command
    }

    /// Starts a studio that streams the test pattern with its motion. Returns it with the viewers' link.
    fn studio(&self) -> Result<(Background, String), String> {
        self.studio_of(BLUEPRINT)
    }

    /// Starts a studio that runs a blueprint. Returns it with the viewers' link.
    pub fn studio_of(&self, text: &str) -> Result<(Background, String), String> {
        let blueprint = self.out.join("test.blueprint.ron");
        fs::write(&blueprint, text).map_err(|error| format!("`{}`: {error}", blueprint.display()))?;
        let (blueprint, reports) = (blueprint.to_string_lossy(), self.reports());
        self.studio_with(&["run", &blueprint, "--headless", "--viewer-report", &reports.to_string_lossy()])
    }

    /// Where a studio that runs a blueprint leaves what its viewers report.
    fn reports(&self) -> PathBuf {
        self.out.join("viewers.json")
    }

    /// Starts a studio with these arguments. Returns it with the viewers' link.
    pub fn studio_with(&self, arguments: &[&str]) -> Result<(Background, String), String> {
        let mut command = Command::new(&self.studio);
        command.args(arguments).env("NO_COLOR", "1");
        let mut studio = Background::start("studio", command, &self.out)?;
        let said = self.out.join("studio.log");
        let link = studio.until("a link", SOON, || {
            let said = fs::read_to_string(&said).ok()?;
            let (_, after) = said.split_once("watch: neural-studio view '")?;
            Some(after.split_once('\'')?.0.to_owned())
        })?;
        Ok((studio, link))
    }

    /// Starts Monado with its simulated headset. It composes nothing, but keeps OpenXR's rules.
    fn monado(&self) -> Result<Background, String> {
        self.start_monado(&[("XRT_COMPOSITOR_NULL", "1")])
    }

    /// Starts Monado with its main compositor, in a window of the display server that runs.
    pub fn composing_monado(&self) -> Result<Background, String> {
        self.start_monado(&[("XRT_COMPOSITOR_FORCE_WAYLAND", "1"), ("WAYLAND_DISPLAY", screen::NAME)])
    }

    fn start_monado(&self, settings: &[(&str, &str)]) -> Result<Background, String> {
        // One that was killed leaves its socket.
        let socket = self.run_outside().join("monado_comp_ipc");
        for left in [&socket, &self.run_outside().join("monado.pid")] {
            let _gone = fs::remove_file(left);
        }
        let mut command = self.command("monado-service");
        command
            .envs(settings.iter().copied())
            .env("SIMULATED_ENABLE", "1")
            .env("SIMULATED_LEFT", "simple")
            .env("SIMULATED_RIGHT", "simple")
            .env("XRT_NO_STDIN", "1");
        let mut monado = Background::start("monado", command, &self.out)?;
        monado.until("Monado's socket", SOON, || socket.exists().then_some(()))?;
        Ok(monado)
    }

    /// Starts a viewer of a link with a headset.
    pub fn viewer(&self, link: &str, arguments: &[&str]) -> Result<Background, String> {
        self.named_viewer("viewer", "events.jsonl", link, arguments)
    }

    fn named_viewer(&self, name: &'static str, log: &str, link: &str, arguments: &[&str]) -> Result<Background, String> {
        let program = self.place.programs(self.programs()).join(self.studio.file_name().unwrap_or_default());
        let mut command = self.command(&program.to_string_lossy());
        command.args(["view", link, "--headless", "--xr", "--xr-log"]).arg(self.run_inside().join(log)).args(arguments);
        Background::start(name, command, &self.out)
    }

    /// The viewer's log so far.
    pub fn events(&self) -> Events {
        Events::read(&self.run_outside().join("events.jsonl"))
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Kept for whoever looks for what went wrong.
        let _copied = fs::copy(self.run_outside().join("events.jsonl"), self.out.join("events.jsonl"));
        let _gone = fs::remove_dir_all(self.run_outside());
    }
}

/// The test pattern with its motion, on a free port. Monado without a compositor shows 20 frames a second: every second one is to be
/// generated.
const BLUEPRINT: &str = r#"(version: 1, nodes: {
    "source": (kind: "TestPatternInput", settings: (size: (640, 320), rate_hz: 10.0)),
    "colour": (kind: "ColorConvert"),
    "flow": (kind: "OpticalFlow", settings: (cell_px: 16)),
    "encoder": (kind: "VideoEncoder", settings: (bitrate_bps: 4000000, frame_rate_hz: 10.0, codec: H264)),
    "stream": (kind: "WebTransportOutput", settings: (bind: "127.0.0.1:0")),
}, links: [
    "source.frame -> colour.frame", "colour.frame -> encoder.frame", "colour.frame -> flow.frame",
    "encoder.packets -> stream.packets", "flow.motion -> stream.motion",
])
"#;

/// A session from its beginning to its end: states in order, eyes apart, the head moves, the sphere goes to the compositor as it is,
/// and the studio is told where the head looks.
fn session(stage: &Stage) -> Result<(), String> {
    let (mut studio, link) = stage.studio()?;
    let _monado = stage.monado()?;
    stage.viewer(&link, &["--projection", "equirectangular", "--seconds", "6"])?.finish(RUN)?;
    let events = stage.events();
    events.check_states()?;
    let layers = events.check_frames(10)?;
    let controllers = events.of("controllers").next_back().map(|event| event["left"].to_string()).unwrap_or_default();
    if !controllers.contains("simple_controller") {
        return Err(format!("the left hand's controller was taken for {controllers:?}"));
    }
    println!("{} frames with a picture, layers: {}", events.with_picture().count(), layers.join(", "));
    let wanted = ["equirect2", "panel"];
    if layers != wanted {
        return Err(format!("the layers were {layers:?}, not {wanted:?}"));
    }
    let reports = studio.until("the viewer's reports", SOON, || Reports::after_the_end(&stage.reports()))?;
    println!("The studio was told {} times where the head looked.", reports.check(&events)?);
    Ok(())
}

/// The same, drawn for each eye, from a picture for each eye.
fn eye_views(stage: &Stage) -> Result<(), String> {
    let (_studio, link) = stage.studio()?;
    let _monado = stage.monado()?;
    let arguments = ["--projection", "equirectangular", "--stereo", "left-right", "--xr-layers", "eye-views", "--seconds", "4"];
    stage.viewer(&link, &arguments)?.finish(RUN)?;
    let events = stage.events();
    events.check_states()?;
    let layers = events.check_frames(5)?;
    let wanted = ["panel", "projection"];
    if layers != wanted { Err(format!("the layers were {layers:?}, not {wanted:?}")) } else { Ok(()) }
}

/// Another program takes the headset: the runtime wants no pictures of ours any more, and our frames go on without layers. When it is
/// gone, the pictures are seen again.
fn hidden(stage: &Stage) -> Result<(), String> {
    let (_studio, link) = stage.studio()?;
    let _monado = stage.monado()?;
    let mut viewer = stage.viewer(&link, &["--projection", "equirectangular"])?;
    viewer.until("pictures in the headset", SOON, || (stage.events().with_picture().count() > 3).then_some(()))?;
    let other = stage.named_viewer("other", "other.jsonl", &link, &[])?;
    viewer.until("frames that nobody sees", SOON, || (stage.events().unseen_after_picture() > 3).then_some(()))?;
    other.kill();
    viewer.until("pictures in the headset again", SOON, || (stage.events().frames_after("state") > 3).then_some(()))?;
    viewer.kill();
    Ok(())
}

/// The runtime is killed while someone watches, and comes back: the viewer goes on, says so, and is in the headset again.
fn runtime_killed(stage: &Stage) -> Result<(), String> {
    let (_studio, link) = stage.studio()?;
    let monado = stage.monado()?;
    let mut viewer = stage.viewer(&link, &["--projection", "equirectangular", "--stereo", "top-bottom"])?;
    viewer.until("pictures in the headset", SOON, || (stage.events().with_picture().count() > 5).then_some(()))?;
    monado.kill();
    viewer.until("word of the loss", SOON, || stage.events().of("lost").next().map(drop))?;
    let _monado = stage.monado()?;
    viewer.until("the headset's return", SOON, || (stage.events().of("connected").count() == 2).then_some(()))?;
    viewer.until("pictures in the headset again", SOON, || (stage.events().frames_after("connected") > 5).then_some(()))?;
    viewer.kill();
    Ok(())
}

/// Without a runtime the viewer says so, and shows the stream without.
fn no_runtime(stage: &Stage) -> Result<(), String> {
    let (_studio, link) = stage.studio()?;
    let picture = stage.run_inside().join("view.png");
    let said = stage.viewer(&link, &["--seconds", "2", "--picture", &picture.to_string_lossy()])?.finish(RUN)?;
    if !said.contains("no headset: no OpenXR runtime answers") {
        return Err(format!("it did not say that there is no runtime:\n{said}"));
    }
    if stage.events().of("lost").count() != 1 {
        return Err("the log has no word of it".to_owned());
    }
    let picture = stage.run_outside().join("view.png");
    if picture.is_file() { Ok(()) } else { Err("no picture was shown".to_owned()) }
}
