//! Programs that run beside each other in a scene, each with its output in a file.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How often a program or a file is looked at.
const POLL: Duration = Duration::from_millis(50);

/// A program in the background. It is killed when this is dropped.
pub(super) struct Background {
    name: &'static str,
    child: Child,
    said: PathBuf,
}

impl Background {
    /// Starts a program. What it says goes into a file in `folder`.
    pub fn start(name: &'static str, mut command: Command, folder: &Path) -> Result<Self, String> {
        let said = folder.join(format!("{name}.log"));
        let file =
            File::options().create(true).append(true).open(&said).map_err(|error| format!("{}: {error}", said.display()))?;
        let twin = file.try_clone().map_err(|error| error.to_string())?;
        command.stdin(Stdio::null()).stdout(file).stderr(twin);
        let child = command.spawn().map_err(|error| format!("{name} cannot be started: {error}"))?;
        Ok(Self { name, child, said })
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read(&self.said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until `look` finds something, as long as the program runs.
    pub fn until<T>(&mut self, what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, String> {
        let started = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                // What it did last may have been what was waited for.
                return look().ok_or_else(|| format!("{} ended with {status} before {what}:\n{}", self.name, self.tail()));
            }
            if started.elapsed() > limit {
                return Err(format!("waited {} s for {what}; {} said:\n{}", limit.as_secs(), self.name, self.tail()));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for its end, which must be a good one.
    pub fn finish(mut self, limit: Duration) -> Result<String, String> {
        let started = Instant::now();
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? {
                break status;
            }
            if started.elapsed() > limit {
                return Err(format!("{} has not ended after {} s:\n{}", self.name, limit.as_secs(), self.tail()));
            }
            thread::sleep(POLL);
        };
        if status.success() { Ok(self.said()) } else { Err(format!("{} ended with {status}:\n{}", self.name, self.tail())) }
    }

    /// Kills it at once, as a crash would.
    pub fn kill(mut self) {
        self.end();
    }

    fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<_> = said.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn end(&mut self) {
        // Both fail only when it is gone already.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.end();
    }
}
