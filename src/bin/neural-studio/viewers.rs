//! `--viewer-report`: what the viewers of the running streams said, as a file.

use crate::{Failure, report::complain};
use bevy::{app::AppExit, prelude::*};
use neural_studio::studio_stream::{nodes::ViewerReports, publish::ViewerLog, report};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How often the file is written while the streams run: a program that is killed leaves a report, too.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Resource)]
struct ReportFile {
    path: PathBuf,
    written_at: Instant,
}

/// Reads the option: what a report is written as is told by the file's ending.
pub fn report_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("json" | "csv") => Ok(path),
        _ => Err(format!("`{text}` is no file for a report: its name ends in .json or .csv")),
    }
}

/// Has the reports of all streams written into `path`, from time to time and at the end.
pub fn write_reports(app: &mut App, path: PathBuf) {
    app.insert_resource(ReportFile { path, written_at: Instant::now() }).add_systems(Last, write_sometimes);
}

fn write_sometimes(world: &mut World) {
    let leaving = world.get_resource::<Messages<AppExit>>().is_some_and(|exits| !exits.is_empty());
    if leaving || world.get_resource::<ReportFile>().is_some_and(|file| file.written_at.elapsed() >= EVERY) {
        write_now(world);
    }
}

/// Writes them as they are now. Nothing is written where no stream runs: what was written before stays.
pub fn write_now(world: &mut World) {
    let logs: Vec<ViewerLog> = world.query::<&ViewerReports>().iter(world).map(ViewerReports::log).collect();
    let Some(mut file) = world.get_resource_mut::<ReportFile>() else { return };
    file.written_at = Instant::now();
    for (index, log) in logs.iter().enumerate() {
        if let Err(error) = write(&numbered(&file.path, index), log) {
            complain(&error.to_string());
        }
    }
}

/// The first stream's file has the name that was given, others' a number before the ending.
fn numbered(path: &Path, index: usize) -> PathBuf {
    let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
    if index == 0 { path.to_owned() } else { path.with_extension(format!("{}.{ending}", index + 1)) }
}

fn write(path: &Path, log: &ViewerLog) -> Result<(), Failure> {
    let text = match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => report::to_csv(log),
        _ => report::to_json(log).to_string(),
    };
    std::fs::write(path, text).map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    let (columns, rows) = log.gaze.size();
    let picture = path.with_extension("gaze.png");
    let Some(map) = image::RgbaImage::from_raw(columns as u32, rows as u32, log.gaze.to_rgba()) else { return Ok(()) };
    // Large enough to look at.
    let map = image::imageops::resize(&map, columns as u32 * 8, rows as u32 * 8, image::imageops::FilterType::Triangle);
    map.save(&picture).map_err(|error| format!("{} cannot be written: {error}", picture.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_apart() {
        assert!(report_path("out/viewers.txt").is_err_and(|error| error.contains(".csv")));
        let path = report_path("out/viewers.json").expect("fine");
        assert_eq!((numbered(&path, 0), numbered(&path, 1)), (path.clone(), PathBuf::from("out/viewers.2.json")));
    }
}
