//! The `neural-studio` program.

mod blueprint;
mod calibrate;
mod cameras;
mod demo;
mod edit;
mod headset;
mod headsets;
mod report;
mod usd;
mod view;
mod viewers;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Live 360° from camera to viewer.
#[derive(Parser)]
#[command(name = "neural-studio", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Stream a fisheye recording as live 360° to a viewer beside it, and print what it took
    Demo(demo::DemoArgs),
    /// Watch a stream: in a window, or headless into files
    View(view::ViewArgs),
    /// List the cameras that can be captured
    Cameras,
    /// Find lens models from boards, and refine rigs from their pictures
    Calibrate(calibrate::CalibrateArgs),
    /// List, show and check headset profiles
    Headsets(headsets::HeadsetsArgs),
    /// Look into USD scenes, convert and show them
    Usd(usd::UsdArgs),
    /// Draw, run and watch a blueprint
    Edit(edit::EditArgs),
    /// Run a blueprint
    Run(blueprint::RunArgs),
    /// Say everything that is wrong with a blueprint, with lines
    Check(blueprint::FileArgs),
    /// Print a blueprint's graph
    Graph(blueprint::GraphArgs),
    /// List the kinds of nodes
    Nodes(blueprint::NodesArgs),
}

/// Why the program could not go on.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::View(args) => view::run(args),
        Command::Cameras => cameras::run(),
        Command::Calibrate(args) => calibrate::run(args),
        Command::Headsets(args) => headsets::run(args),
        Command::Usd(args) => usd::run(args),
        Command::Edit(args) => edit::run(args),
        Command::Run(args) => blueprint::run(args),
        Command::Check(args) => blueprint::check_file(args),
        Command::Graph(args) => blueprint::graph(args),
        Command::Nodes(args) => blueprint::nodes(args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
