//! A display server without a screen (weston), in which Monado's main compositor has its window, and photographs of it.

use super::{
    process::Background,
    scenes::{RUN, SOON, Stage},
};
use crate::process::Job;
use std::{fs, path::PathBuf, time::Duration};

/// The name that programs find the display server by.
pub(super) const NAME: &str = "wl-xr";

/// The size that Monado gives its window for the simulated headset, whatever the display's, in pixels. Both eyes are side by side in it.
pub(super) const WINDOW: [usize; 2] = [640, 360];

/// The display server. The window fills it.
pub(super) struct Screen<'a> {
    stage: &'a Stage<'a>,
    _weston: Background,
}

impl<'a> Screen<'a> {
    /// Starts the display server.
    pub fn start(stage: &'a Stage) -> Result<Self, String> {
        let mut command = stage.command("weston");
        command.args(["--backend=headless", "--renderer=pixman", "--shell=kiosk", "--idle-time=0", "--no-config"]);
        // Only with `--debug` may it be photographed.
        command.args([
            "--debug",
            &format!("--socket={NAME}"),
            &format!("--width={}", WINDOW[0]),
            &format!("--height={}", WINDOW[1]),
        ]);
        let mut weston = Background::start("weston", command, stage.out())?;
        let socket = stage.run_outside().join(NAME);
        weston.until("weston's socket", SOON, || socket.exists().then_some(()))?;
        Ok(Self { stage, _weston: weston })
    }

    /// Takes a photograph, which is left as `headset.png`. Returns it as RGB.
    pub fn photograph(&self) -> Result<Vec<u8>, String> {
        let stage = self.stage;
        for old in self.taken() {
            let _gone = fs::remove_file(old);
        }
        // It writes into the folder it is started in.
        let script = format!("cd '{}' && exec weston-screenshooter", stage.run_inside().display());
        let mut command = stage.command("sh");
        command.args(["-c", &script]).env("WAYLAND_DISPLAY", NAME);
        Background::start("screenshooter", command, stage.out())?.finish(RUN)?;
        let taken = self.taken().pop().ok_or("no photograph was taken")?;
        let (png, rgb) = (stage.out().join("headset.png"), stage.out().join("headset.rgb"));
        fs::copy(&taken, &png).map_err(|error| error.to_string())?;
        let (from, to) = (format!("location={}", png.display()), format!("location={}", rgb.display()));
        let parts =
            [from.as_str(), "!", "pngdec", "!", "videoconvert", "!", "video/x-raw,format=RGB", "!", "filesink", to.as_str()];
        stage.runner().run(&Job::new("gst-launch-1.0 -q filesrc", Duration::from_secs(60)).args(parts))?;
        let bytes = fs::read(&rgb).map_err(|error| format!("`{}`: {error}", rgb.display()))?;
        let wanted = WINDOW[0] * WINDOW[1] * 3;
        if bytes.len() == wanted { Ok(bytes) } else { Err(format!("the photograph has {} bytes, not {wanted}", bytes.len())) }
    }

    fn taken(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.stage.run_outside()).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|end| end == "png")).collect()
    }
}
