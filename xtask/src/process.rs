//! Running other programs: streamed, under a time limit, whole process trees at a time.

use crate::{project::Project, summary::elapsed};
use std::{
    collections::BTreeSet,
    env, fmt, fs,
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

/// How often a running program is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long after its end a program's output is waited for: something it left running may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(3);
/// A program silent for so long is said to be still running, so that a log shows life.
const SILENCE: Duration = Duration::from_secs(60);

/// A program to run.
#[derive(Clone, Debug)]
pub struct Job {
    program: String,
    args: Vec<String>,
    envs: Vec<(&'static str, String)>,
    limit: Duration,
}

impl Job {
    /// A program and its arguments, separated by spaces. It is killed when it runs longer than `limit`.
    pub fn new(line: &str, limit: Duration) -> Self {
        let mut words = line.split(' ').map(str::to_owned);
        Self { program: words.next().unwrap_or_default(), args: words.collect(), envs: Vec::new(), limit }
    }

    /// A program at a path, which may have spaces in it.
    pub fn program(path: &Path, limit: Duration) -> Self {
        Self { program: path.to_string_lossy().into_owned(), args: Vec::new(), envs: Vec::new(), limit }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: Into<String>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.envs.push((name, value.into()));
        self
    }
}

impl fmt::Display for Job {
    /// As one would type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=,+@%".contains(char);
        let quoted = |word: &str| {
            if !word.is_empty() && word.chars().all(is_plain) {
                word.to_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        };
        for (name, value) in &self.envs {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

/// Runs jobs in the checkout.
#[derive(Debug)]
pub struct Runner {
    root: PathBuf,
    target_dir: Option<PathBuf>,
    /// Print jobs instead of running them.
    pub dry_run: bool,
}

impl Runner {
    /// A runner of jobs in `project`.
    pub fn new(project: &Project, dry_run: bool) -> Self {
        Self { root: project.root.clone(), target_dir: project.target_dir.clone(), dry_run }
    }

    /// Runs a job and shows its output as it comes.
    ///
    /// # Errors
    /// Why it did not end well: not found, exit code, signal, time limit.
    pub fn run(&self, job: &Job) -> Result<(), String> {
        self.run_with(job, |_| ())
    }

    /// Runs a job, shows its output as it comes, and hands each line to `on_line`; lines of standard output and standard error
    /// keep their order among themselves, not with one another.
    ///
    /// # Errors
    /// Why it did not end well: not found, exit code, signal, time limit.
    pub fn run_with(&self, job: &Job, on_line: impl FnMut(&str)) -> Result<(), String> {
        if !self.announce(job) {
            return Ok(());
        }
        let mut command = self.command(job);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| not_started(job, &error))?;
        let lines = read_lines(&mut child);
        let status = follow(&mut child, &lines, job.limit, on_line)?;
        judge(status)
    }

    /// Runs a job that has the terminal to itself, without a time limit: whoever sits there can end it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run_interactive(&self, job: &Job) -> Result<Option<i32>, String> {
        if !self.announce(job) {
            return Ok(Some(0));
        }
        self.command(job).status().map(|status| status.code()).map_err(|error| not_started(job, &error))
    }

    /// Asks a program that changes nothing, in a dry run too; returns its standard output, also when it exits with a
    /// code that is not 0. `None` when there is no such program or it takes longer than its limit.
    pub fn ask(&self, job: &Job) -> Option<Answer> {
        let mut command = self.command(job);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let lines = read_lines(&mut child);
        let mut text = String::new();
        let status = wait(&mut child, &lines, job.limit, |line| text.push_str(&line.text)).ok()?;
        Some(Answer { good: status.success(), text })
    }

    fn announce(&self, job: &Job) -> bool {
        println!("$ {job}");
        !self.dry_run
    }

    fn command(&self, job: &Job) -> Command {
        let mut command = Command::new(&job.program);
        command.args(&job.args).current_dir(&self.root);
        // What `cargo run` told this program about this program must not reach the others: Bevy, for one, looks for
        // assets beside CARGO_MANIFEST_DIR.
        let of_cargo = |name: &str| {
            name == "CARGO_CRATE_NAME"
                || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|start| name.starts_with(start))
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_cargo)) {
            command.env_remove(name);
        }
        if let Some(target_dir) = &self.target_dir {
            command.env("CARGO_TARGET_DIR", target_dir);
        }
        // Cargo sees a pipe; the lines end up on a terminal all the same.
        if std::io::stdout().is_terminal() && env::var_os("CARGO_TERM_COLOR").is_none() && env::var_os("NO_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command.envs(job.envs.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it exited with 0.
    pub good: bool,
    /// Its standard output.
    pub text: String,
}

#[derive(Debug)]
struct Line {
    text: String,
    is_error: bool,
}

fn not_started(job: &Job, error: &std::io::Error) -> String {
    format!("cannot start `{}`: {error}", job.program)
}

fn judge(status: ExitStatus) -> Result<(), String> {
    match status.code() {
        Some(0) => Ok(()),
        Some(code) => Err(format!("exit code {code}")),
        None => Err(format!("{status}")),
    }
}

/// Reads the child's pipes, each in a thread; the channel is disconnected when both have ended.
fn read_lines(child: &mut Child) -> Receiver<Line> {
    fn pump(pipe: impl Read, is_error: bool, lines: &SyncSender<Line>) {
        let mut reader = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            bytes.clear();
            if lines.send(Line { text, is_error }).is_err() {
                break;
            }
        }
    }
    let (sender, receiver) = sync_channel(256);
    if let Some(pipe) = child.stdout.take() {
        let sender = sender.clone();
        thread::spawn(move || pump(pipe, false, &sender));
    }
    if let Some(pipe) = child.stderr.take() {
        thread::spawn(move || pump(pipe, true, &sender));
    }
    receiver
}

/// Waits for the child's end and shows its lines.
fn follow(
    child: &mut Child,
    lines: &Receiver<Line>,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<ExitStatus, String> {
    wait(child, lines, limit, |line| {
        let text = line.text.trim_end_matches(['\r', '\n']);
        // A closed terminal is no reason to stop: what counts is the exit code.
        let _shown = if line.is_error { writeln!(std::io::stderr(), "{text}") } else { writeln!(std::io::stdout(), "{text}") };
        on_line(text);
    })
}

fn wait(child: &mut Child, lines: &Receiver<Line>, limit: Duration, mut on_line: impl FnMut(Line)) -> Result<ExitStatus, String> {
    let started = Instant::now();
    let mut last_sign = started;
    let mut ended: Option<(ExitStatus, Instant)> = None;
    let mut pipes_open = true;
    loop {
        if pipes_open {
            match lines.recv_timeout(POLL) {
                Ok(line) => {
                    last_sign = Instant::now();
                    on_line(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => pipes_open = false,
            }
        } else {
            thread::sleep(POLL);
        }
        if let Some((status, at)) = ended {
            if !pipes_open || at.elapsed() > DRAIN {
                return Ok(status);
            }
            continue;
        }
        if let Some(status) = child.try_wait().map_err(|error| format!("cannot wait for it: {error}"))? {
            ended = Some((status, Instant::now()));
        } else if started.elapsed() > limit {
            kill_tree(child);
            return Err(format!("stopped: it took longer than {}", elapsed(limit)));
        } else if last_sign.elapsed() > SILENCE {
            last_sign = Instant::now();
            println!("... still running, {} of at most {}", elapsed(started.elapsed()), elapsed(limit));
        }
    }
}

/// Kills a child and everything it started. Where there is no `/proc`, the child alone.
fn kill_tree(child: &mut Child) {
    // Stopped first, looked at again, then killed: a process that runs could start another behind our back.
    let mut tree = BTreeSet::from([child.id()]);
    let mut fresh = tree.clone();
    while !fresh.is_empty() {
        signal("STOP", &fresh);
        let parents = parents();
        fresh =
            parents.iter().filter(|(pid, parent)| tree.contains(parent) && !tree.contains(pid)).map(|(pid, _)| *pid).collect();
        tree.extend(&fresh);
    }
    signal("KILL", &tree);
    // Both fail only when it is gone already.
    let _killed = child.kill();
    let _reaped = child.wait();
}

/// Sends a signal with the shell's own `kill`, which is there on the barest machine.
fn signal(name: &str, pids: &BTreeSet<u32>) {
    let pids = pids.iter().map(ToString::to_string);
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"kill -s "$@""#, "sh", name]).args(pids).stdout(Stdio::null()).stderr(Stdio::null());
    // It says nothing but that a process has ended meanwhile.
    let _status = shell.status();
}

/// Every process with its parent, from `/proc/PID/stat`.
fn parents() -> Vec<(u32, u32)> {
    let of_entry = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        Some((pid, parent_in_stat(&fs::read_to_string(entry.path().join("stat")).ok()?)?))
    };
    fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of_entry).collect()
}

/// The parent in `PID (NAME) STATE PARENT …` (proc(5)); the name may hold spaces and parentheses.
fn parent_in_stat(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn runner(dry_run: bool) -> Runner {
        Runner { root: PathBuf::from(env!("CARGO_MANIFEST_DIR")), target_dir: None, dry_run }
    }

    fn shell(script: &str, limit: Duration) -> Job {
        Job::new("sh -c", limit).args([script])
    }

    #[test]
    fn jobs_are_shown_as_one_would_type_them() {
        let job = Job::new("cargo doc --no-deps", LONG).env("RUSTDOCFLAGS", "-D warnings").args(["it's"]);
        assert_eq!(job.to_string(), r"RUSTDOCFLAGS='-D warnings' cargo doc --no-deps 'it'\''s'");
    }

    #[test]
    fn lines_and_exit_codes_come_back() {
        let mut lines = Vec::new();
        let result = runner(false)
            .run_with(&shell("echo one; echo to stderr >&2; printf two; exit 3", LONG), |line| lines.push(line.to_owned()));
        lines.sort();
        assert_eq!((result.unwrap_err().as_str(), lines.join(", ").as_str()), ("exit code 3", "one, to stderr, two"));
        assert!(runner(false).run(&Job::new("no-such-program", LONG)).unwrap_err().contains("no-such-program"));
    }

    #[test]
    fn a_dry_run_runs_nothing() {
        assert_eq!(runner(true).run(&shell("exit 3", LONG)), Ok(()));
        assert_eq!(runner(true).run_interactive(&shell("exit 3", LONG)), Ok(Some(0)));
    }

    #[test]
    fn asking_tells_answers_from_absence() {
        let answer = runner(true).ask(&shell("echo yes; exit 1", LONG)).unwrap();
        assert_eq!((answer.good, answer.text.as_str()), (false, "yes\n"));
        assert!(runner(true).ask(&Job::new("no-such-program", LONG)).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_time_limit_ends_the_whole_tree() {
        let started = Instant::now();
        let mut lines = Vec::new();
        // A grandchild that would hold the pipe open for long.
        let job = shell("sh -c 'echo $$; sleep 300; true'; true", Duration::from_millis(500));
        let error = runner(false).run_with(&job, |line| lines.push(line.to_owned())).unwrap_err();
        assert!(error.contains("longer than 0.5 s"), "{error}");
        assert!(started.elapsed() < LONG);
        let grandchild: u32 = lines[0].parse().unwrap();
        // Killed, it vanishes or waits as a zombie for its new parent; it no longer runs.
        let is_gone = || fs::read_to_string(format!("/proc/{grandchild}/stat")).map_or(true, |stat| stat.contains(") Z "));
        let deadline = Instant::now() + LONG;
        while !is_gone() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        assert!(is_gone());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_job_leaves_running_does_not_hang_us() {
        let started = Instant::now();
        assert_eq!(runner(false).run(&shell("sleep 30 & echo done", Duration::from_secs(25))), Ok(()));
        assert!(started.elapsed() < Duration::from_secs(15));
    }

    #[test]
    fn names_of_processes_may_hold_anything() {
        assert_eq!(parent_in_stat("12 (a) b (c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_in_stat("12"), None);
    }
}
