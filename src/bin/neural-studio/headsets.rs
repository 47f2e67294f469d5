//! `neural-studio headsets`.

use crate::{Failure, report::say};
use clap::{Args, Subcommand};
use neural_studio::studio_graph::blueprint::problem::list_of_file;
use neural_studio::studio_profile::{
    eye::EyeFov,
    library::{HeadsetLibrary, ProfilePlace},
    plan::{PlanRequest, StreamPlan},
    profile::HeadsetProfile,
    read::read_file,
};
use std::path::PathBuf;

#[derive(Args)]
pub struct HeadsetsArgs {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// List the headset profiles there are (the same as no word at all)
    List,
    /// Print everything known of a headset, each value with its source
    Show {
        /// The profile's id, as the list has it
        id: String,
    },
    /// Say everything that is wrong with a profile, with lines
    Check {
        /// A profile, `.headset.ron` or the JSON of other tools
        file: PathBuf,
    },
}

pub fn run(args: HeadsetsArgs) -> Result<(), Failure> {
    match args.command.unwrap_or(Command::List) {
        Command::List => list(),
        Command::Show { id } => {
            let library = HeadsetLibrary::default();
            let profile = library.get(&id).ok_or_else(|| library.no_such(&id))?;
            show(profile);
            Ok(())
        }
        Command::Check { file } => {
            let (profile, warnings) = read_file(&file)?;
            if !warnings.is_empty() {
                say(&list_of_file(&warnings, &file));
            }
            let (plan, name) = (planned(&profile), &profile.name);
            say(&format!("{}: {name}, no errors, warnings: {}; it gets {plan}", file.display(), warnings.len()));
            Ok(())
        }
    }
}

fn list() -> Result<(), Failure> {
    let library = HeadsetLibrary::default();
    for (id, (profile, place)) in library.entries() {
        let from = match place {
            ProfilePlace::File(path) => format!("  ({})", path.display()),
            ProfilePlace::BuiltIn | ProfilePlace::Asset => String::new(),
        };
        say(&format!("{id:<20} {:<20} {}{from}", profile.name, planned(profile)));
    }
    if let Some(folder) = HeadsetLibrary::user_folder() {
        say(&format!("your own go into {}", folder.display()));
    }
    match library.faults().collect::<Vec<_>>() {
        faults if faults.is_empty() => Ok(()),
        faults => Err(faults.join("\n").into()),
    }
}

/// The stream that a profile gets, in a line.
fn planned(profile: &HeadsetProfile) -> String {
    match profile.plan(&PlanRequest::default()) {
        Ok(StreamPlan { size, fps, codec, level, bitrate_bps, projection, stereo, .. }) => {
            let megabits = f64::from(bitrate_bps) / 1e6;
            format!("{}×{} at {fps} fps, {codec:?} {level}, {megabits:.1} Mbit/s, {projection:?} {stereo:?}", size.x, size.y)
        }
        Err(error) => error.to_string(),
    }
}

fn show(profile: &HeadsetProfile) {
    say(&format!("{} ({}) by {}", profile.name, profile.id, profile.vendor));
    let pixels = |(width, height): (u32, u32)| format!("{width}×{height}");
    let fov = |eye: EyeFov| {
        let EyeFov { left_deg, right_deg, up_deg, down_deg } = eye;
        format!("{left_deg}° left, {right_deg}° right, {up_deg}° up, {down_deg}° down")
    };
    let rates: Vec<String> = profile.refresh_hz.iter().map(ToString::to_string).collect();
    let ipd_mm = |ipd_m: f32| (ipd_m * 1e4).round() / 10.0;
    let values = [
        ("panel_px", pixels(*profile.panel_px)),
        ("render_px", pixels(*profile.render_px)),
        ("left_fov", fov(profile.left_fov.value)),
        ("right_fov", fov(profile.right_fov.value)),
        ("refresh_hz", format!("{} Hz", rates.join(", "))),
        ("ipd_m", format!("{} to {} mm", ipd_mm(profile.ipd_m.0), ipd_mm(profile.ipd_m.1))),
        ("bitrate_max_bps", format!("{:.1} Mbit/s", f64::from(*profile.bitrate_max_bps) / 1e6)),
        ("projection", format!("{:?}", *profile.projection)),
        ("stereo", format!("{:?}", *profile.stereo)),
    ];
    let codecs = profile.codecs.iter().enumerate().map(|(index, codec)| {
        let (width, height) = codec.max_px;
        let words = format!("{:?} {:?} {} to {width}×{height} at {}", codec.codec, codec.profile, codec.level, codec.max_fps);
        (format!("codecs[{index}]"), words)
    });
    let values: Vec<(String, String)> =
        values.into_iter().map(|(field, value)| (field.to_owned(), value)).chain(codecs).collect();
    for (field, origin, note) in profile.origins() {
        let value = values.iter().find(|(name, _)| *name == field).map(|(_, value)| value.as_str()).unwrap_or_default();
        let note = if note.is_empty() { String::new() } else { format!("; {note}") };
        say(&format!("  {field:<16} {value}\n  {:<16} {origin}{note}", ""));
    }
    let density = profile.px_per_deg();
    say(&format!("  {:.1} by {:.1} pixels a degree in the middle", density.x, density.y));
    say(&format!("  gets {}", planned(profile)));
    for (name, value) in &profile.extra {
        say(&format!("  {name}: {value} (kept)"));
    }
}
