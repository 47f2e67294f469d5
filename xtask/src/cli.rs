//! The command line.

/// What `cargo xtask --help` prints.
pub const USAGE: &str = "\
The one door to the project.

Usage: cargo xtask [--dry-run] COMMAND

Commands:
  setup    find what the machine lacks, say what for, and install it (Debian and its kin)
  demo     set up, build and run the demo: recording, stitch, flow, encode, WebTransport, viewer
  test     set up and check everything: format, lints, docs, tests, examples, a short demo
  web      build the browser viewer's page, which the studio is built with
  web-test check the page, and watch a studio with it in Chromium
  xr-test  watch a studio with a simulated headset, on Monado
  ci       test, and the dependency policy (cargo deny)
  bench    measure, and print one table
  help     print this, or `help COMMAND` for one command

Options:
  -n, --dry-run    print the commands instead of running them
  -h, --help       print this, or a command's own help

Exit code: 0 when all is well, 1 when something failed, 2 for a wrong command line.";

const SETUP_HELP: &str = "\
Find what the machine lacks, say what it is for, and install it. Doing it again changes nothing.

Debian and its kin: packages are installed with apt-get, through sudo unless you are root. Elsewhere the list is printed
for you to install. Then rustfmt, clippy, the GStreamer elements and a Vulkan adapter are looked for.

Usage: cargo xtask setup [--check]

Options:
      --check    install nothing; exit with 1 when something is missing";

const DEMO_HELP: &str = "\
Set up, build and run the demo: a real dual-fisheye recording goes through stitch, flow, encoder and WebTransport to a
viewer, in a window where there is a display. It ends with `q` or after --seconds, prints where the time went and leaves
the recording, a picture and the table in out/.

Usage: cargo xtask demo [ARGS...]

ARGS go to `neural-studio demo`, for instance --seconds 20 or --headless;
`cargo xtask demo -- --help` prints the program's own help.";

const TEST_HELP: &str = "\
Set up and check everything: format, clippy, docs, tests, every example, a short demo without a window.
Every step has a time limit; a failing step does not stop the others. The last line counts tests and steps:
`N passed, N failed, N skipped`.

With CI=true and no CARGO_TARGET_DIR, builds go to ${XDG_CACHE_HOME:-~/.cache}/neural-studio/target so that the next run
is quick.

Usage: cargo xtask test";

const WEB_HELP: &str = "\
Build the browser viewer's page from web/ by npm, into the folder that the studio takes it from when it is built. The built
page is committed, so that building the studio needs no npm: commit it with the sources.

Node, npm and Chromium are installed where they are missing (Debian and its kin), npm packages by web/package-lock.json.

Usage: cargo xtask web [--check]

Options:
      --check    change nothing; exit with 1 when the committed page is not what the sources give";

const WEB_TEST_HELP: &str = "\
Check that the committed page is what the sources give, test its logic, then build the studio and watch its streams with the
page in a headless Chromium: pictures, order, rate, quality, generated frames, reconnection, refusals, a headset, a phone.
Pictures of the page are left in out/web. NEURAL_STUDIO_CHROMIUM names another Chromium or Chrome.

Usage: cargo xtask web-test";

const XR_TEST_HELP: &str = "\
Watch a studio's stream with a simulated headset, through a real OpenXR runtime (Monado): the session's states, layers, two eyes, a
runtime that is killed and comes back, none at all. What the programs said is left in out/xr.

Debian 13 has Monado; its packages are installed where they are missing. On Debian 12, a Debian 13 is put into a folder in
${XDG_CACHE_HOME:-~/.cache}/neural-studio (debootstrap, chroot), which root alone can do: without root it is skipped.

Usage: cargo xtask xr-test";

const CI_HELP: &str = "\
All of `cargo xtask test`, then `cargo deny check` (licences, advisories, sources) where cargo-deny is installed.

Usage: cargo xtask ci";

const BENCH_HELP: &str = "\
Build every bench program first, then run one at a time with the machine to itself, and print one table: the programs
crates/*/examples/bench_*.rs (stages by themselves), then the whole pipeline's in benches/, then peers (ffmpeg) for
comparison. Every record is also kept in out/bench.jsonl. A record over its own limit counts as failed.

Usage: cargo xtask bench [[--only] NAME] [--gpu] [--profile NAME] [-- ARGS...]

NAME leaves only the programs whose name contains it: `cargo xtask bench vision`. `cargo xtask bench latency` compares how old
pictures are when they are seen: on the desktop, in Chromium, through GStreamer's WebRTC, and in the stock MoQ player.

Options:
      --gpu             only the programs that need nothing but a GPU: no set-up, no GStreamer, no peers
      --profile NAME    cargo profile [default: release]
  ARGS                  go to every bench program";

/// A parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Cli {
    /// Print the commands, run nothing.
    pub dry_run: bool,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Print a help text.
    Help(&'static str),
    /// Install or, with `check`, only report what is missing.
    Setup {
        /// Report, do not install.
        check: bool,
    },
    /// Run the demo with these arguments.
    Demo {
        /// Passed on to the program.
        args: Vec<String>,
    },
    /// Check everything.
    Test,
    /// Build the browser viewer's page or, with `check`, only say whether the committed one is the right one.
    Web {
        /// Report, do not change.
        check: bool,
    },
    /// Check the browser viewer.
    WebTest,
    /// Check the headset viewer.
    XrTest,
    /// Check everything, and the dependency policy.
    Ci,
    /// Measure.
    Bench(BenchOptions),
}

/// What to measure.
#[derive(Debug, PartialEq, Eq)]
pub struct BenchOptions {
    /// Only what needs nothing but a GPU.
    pub gpu: bool,
    /// Only programs whose name contains this.
    pub only: Option<String>,
    /// The cargo profile.
    pub profile: String,
    /// Passed on to every program.
    pub args: Vec<String>,
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// A sentence that names the argument that is not understood, or the missing command.
pub fn parse(args: &[String]) -> Result<Cli, String> {
    let mut dry_run = false;
    let mut rest = args.iter().map(String::as_str);
    let name = loop {
        match rest.next() {
            Some("-n" | "--dry-run") => dry_run = true,
            Some("-h" | "--help") => return Ok(Cli { dry_run, command: Command::Help(USAGE) }),
            Some(name) => break name,
            None => return Err("no command given".into()),
        }
    };
    let mut rest: Vec<&str> = rest.collect();
    // The demo's own flags are the program's business: only a leading flag of ours is taken out there.
    let ours = if name == "demo" { rest.len().min(1) } else { rest.iter().position(|arg| *arg == "--").unwrap_or(rest.len()) };
    let before = rest.len();
    let mut index = 0;
    rest.retain(|arg| {
        index += 1;
        index > ours || !matches!(*arg, "-n" | "--dry-run")
    });
    dry_run |= rest.len() < before;
    let command = if name == "help" { help(&rest)? } else { command(name, &rest)? };
    Ok(Cli { dry_run, command })
}

fn help(rest: &[&str]) -> Result<Command, String> {
    match rest {
        [] => Ok(Command::Help(USAGE)),
        [name] => help_of(name).map(Command::Help).ok_or_else(|| format!("no such command: `{name}`")),
        [_, extra, ..] => Err(format!("`help` takes one command, not also `{extra}`")),
    }
}

fn help_of(name: &str) -> Option<&'static str> {
    match name {
        "setup" => Some(SETUP_HELP),
        "demo" => Some(DEMO_HELP),
        "test" => Some(TEST_HELP),
        "web" => Some(WEB_HELP),
        "web-test" => Some(WEB_TEST_HELP),
        "xr-test" => Some(XR_TEST_HELP),
        "ci" => Some(CI_HELP),
        "bench" => Some(BENCH_HELP),
        "help" => Some(USAGE),
        _ => None,
    }
}

fn command(name: &str, rest: &[&str]) -> Result<Command, String> {
    let help = help_of(name).ok_or_else(|| format!("no such command: `{name}`"))?;
    if matches!(rest.first(), Some(&"-h" | &"--help")) {
        return Ok(Command::Help(help));
    }
    match name {
        "setup" => match rest {
            [] => Ok(Command::Setup { check: false }),
            ["--check"] => Ok(Command::Setup { check: true }),
            [extra, ..] => Err(unknown(name, extra)),
        },
        "web" => match rest {
            [] => Ok(Command::Web { check: false }),
            ["--check"] => Ok(Command::Web { check: true }),
            [extra, ..] => Err(unknown(name, extra)),
        },
        "demo" => {
            let args = rest.strip_prefix(&["--"]).unwrap_or(rest);
            Ok(Command::Demo { args: args.iter().map(ToString::to_string).collect() })
        }
        "bench" => bench(rest),
        _ => match rest {
            [] => Ok(match name {
                "ci" => Command::Ci,
                "web-test" => Command::WebTest,
                "xr-test" => Command::XrTest,
                _ => Command::Test,
            }),
            [extra, ..] => Err(unknown(name, extra)),
        },
    }
}

fn bench(rest: &[&str]) -> Result<Command, String> {
    let mut options = BenchOptions { gpu: false, only: None, profile: "release".into(), args: Vec::new() };
    let mut rest = rest.iter();
    while let Some(&arg) = rest.next() {
        match arg {
            "--gpu" => options.gpu = true,
            "--only" | "--profile" => {
                let value = rest.next().ok_or_else(|| format!("`bench {arg}` needs a name after it"))?.to_string();
                if arg == "--only" { options.only = Some(value) } else { options.profile = value }
            }
            "--" => {
                options.args = rest.map(ToString::to_string).collect();
                break;
            }
            name if options.only.is_none() && !name.starts_with('-') => options.only = Some(name.to_owned()),
            extra => return Err(unknown("bench", extra)),
        }
    }
    Ok(Command::Bench(options))
}

fn unknown(name: &str, extra: &str) -> String {
    format!("`{name}` does not know `{extra}` (`cargo xtask {name} --help` says what it knows)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn every_command_has_a_help_text() {
        for name in ["setup", "demo", "test", "web", "web-test", "xr-test", "ci", "bench"] {
            assert!(USAGE.contains(&format!("\n  {name} ")), "{name} is not in the usage");
            let by_flag = parsed(&format!("{name} --help")).unwrap().command;
            assert_eq!(by_flag, parsed(&format!("help {name}")).unwrap().command);
            assert!(matches!(by_flag, Command::Help(text) if text.contains(&format!("cargo xtask {name}"))));
        }
    }

    #[test]
    fn what_is_not_known_is_named() {
        assert!(parsed("").is_err());
        for (line, name) in [
            ("tset", "tset"),
            ("test --fast", "--fast"),
            ("setup now", "now"),
            ("bench --profile", "--profile"),
            ("bench --only", "--only"),
            ("bench flow stitch", "stitch"),
            ("help me", "me"),
            ("-x", "-x"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(name), "{line}: {error}");
        }
    }

    #[test]
    fn a_dry_run_may_be_asked_for_before_or_after_the_command() {
        for line in ["--dry-run test", "test --dry-run", "-n test"] {
            assert_eq!(parsed(line), Ok(Cli { dry_run: true, command: Command::Test }));
        }
        assert!(!parsed("bench -- --dry-run").unwrap().dry_run);
    }

    #[test]
    fn demo_passes_its_arguments_on() {
        let demo = |args: &[&str]| Command::Demo { args: args.iter().map(ToString::to_string).collect() };
        assert_eq!(parsed("demo --seconds 3 --headless").unwrap().command, demo(&["--seconds", "3", "--headless"]));
        assert_eq!(parsed("demo -- --help").unwrap().command, demo(&["--help"]));
        let cli = parsed("demo --dry-run --seconds 3").unwrap();
        assert_eq!((cli.dry_run, cli.command), (true, demo(&["--seconds", "3"])));
    }

    #[test]
    fn bench_options() {
        let Command::Bench(options) = parsed("bench --gpu stitch --profile dev -- --size 8k").unwrap().command else {
            panic!("not bench")
        };
        assert_eq!(options.args, ["--size", "8k"]);
        assert_eq!((options.gpu, options.only.as_deref(), options.profile.as_str()), (true, Some("stitch"), "dev"));
    }
}
