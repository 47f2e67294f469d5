//! `neural-studio calibrate`.

mod board;
mod clip;

use crate::{Failure, report::say};
use bevy::math::DVec3;
use clap::{Args, Subcommand, ValueEnum};
use neural_studio::studio_vision::{
    calibrate::{
        BoardModel, BundleSettings, ControlPoint, Free, GrayPicture, Prior, RefineSettings, Residuals, Surface, adjust,
        calibrate_lens, draw_lens, draw_refinement, refine_rig,
    },
    rig::{PreparedRig, Rig},
    stitch::{StMap, StitchSettings},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The most pictures that are taken, and the largest file of one.
const MOST_PICTURES: usize = 500;
const LARGEST_FILE_BYTES: u64 = 512 << 20;

#[derive(Args)]
pub struct CalibrateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find a lens's model from pictures or a clip of a board
    Lens(LensArgs),
    /// Write a board to print, as SVG or PNG in its true size
    Board(board::PrintArgs),
    /// Refine a rig from what its overlapping pictures have in common
    Rig(RigArgs),
    /// Write an STMap of a rig's lens as EXR, for compositing programs
    StMap(StMapArgs),
}

#[derive(Args)]
struct LensArgs {
    /// Pictures of the board (PNG, JPEG, …), all from the lens and mode that are calibrated, tilted differently; ten to twenty are best.
    /// Or a clip (MP4, MOV, MKV, …) in which the board is moved slowly: its sharpest and most different pictures are taken
    #[arg(required = true)]
    pictures: Vec<PathBuf>,
    #[command(flatten)]
    board: board::BoardArgs,
    /// The lens model
    #[arg(long, value_enum, default_value_t = Model::Fisheye)]
    model: Model,
    /// The rig file to write, with this lens alone
    #[arg(short, long, value_name = "lens.rig.ron")]
    output: PathBuf,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    /// Kannala and Brandt's, k1 to k4
    Fisheye,
    /// Brown and Conrady's, k1, k2, p1, p2, k3
    Pinhole,
}

#[derive(Args)]
struct Reports {
    /// Write what was found, as JSON or as a page, after the file's ending
    #[arg(long, value_name = "report.html|report.json")]
    report: Option<PathBuf>,
    /// Write a picture of the residuals (PNG)
    #[arg(long, value_name = "residuals.png")]
    residuals: Option<PathBuf>,
}

#[derive(Args)]
struct RigArgs {
    /// The rig to start from: .rig.ron, Hugin's .pto, stitchEm's .ptv, Kalibr's camchain.yaml
    rig: PathBuf,
    /// One picture of each of the rig's cameras, of the same moment, in the rig's order. None: the control points of the .pto or .ptv
    pictures: Vec<PathBuf>,
    /// The rig file to write
    #[arg(short, long, value_name = "refined.rig.ron")]
    output: PathBuf,
    /// What may change besides directions
    #[arg(long, value_enum, value_delimiter = ',')]
    free: Vec<FreePart>,
    /// Where what overlapping lenses see is taken to be. Distant scenes: infinity. A room around lenses that stand apart: sphere, whose radius
    /// is --distance-m. Cameras that look down at the ground, as around a car or a drone: plane, --distance-m away from the rig's origin.
    /// Left out: a sphere with --distance-m, else infinity
    #[arg(long, value_enum)]
    surface: Option<SurfaceKind>,
    /// How far away what is seen is, in metres from the rig's origin
    #[arg(long)]
    distance_m: Option<f64>,
    /// The direction from the rig's origin straight to the plane: right, down, ahead. Down, as the ground is, if left out
    #[arg(long, value_name = "0,1,0", value_parser = parse_normal, allow_hyphen_values = true)]
    plane_normal: Option<DVec3>,
    /// How far the rig's directions may be off
    #[arg(long, default_value_t = 5.0)]
    search_deg: f64,
    /// How far matches may disagree, which is what parallax makes of them
    #[arg(long, default_value_t = 0.75)]
    agree_deg: f64,
    /// The lens that keeps its direction, counted from 0
    #[arg(long, default_value_t = 0)]
    anchor: usize,
    #[command(flatten)]
    reports: Reports,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SurfaceKind {
    /// Infinitely far away
    Infinity,
    /// A sphere around the rig's origin
    Sphere,
    /// A plane, such as the ground
    Plane,
}

impl RigArgs {
    fn surface(&self) -> Result<Surface, Failure> {
        let kind = self.surface.unwrap_or(if self.distance_m.is_some() { SurfaceKind::Sphere } else { SurfaceKind::Infinity });
        if kind != SurfaceKind::Plane && self.plane_normal.is_some() {
            return Err("--plane-normal belongs to --surface plane".into());
        }
        let distance_m = || self.distance_m.ok_or("--surface sphere and plane need --distance-m: how far away it is");
        Ok(match kind {
            SurfaceKind::Infinity if self.distance_m.is_some() => return Err("--surface infinity has no --distance-m".into()),
            SurfaceKind::Infinity => Surface::Infinity,
            SurfaceKind::Sphere => Surface::Sphere { radius_m: distance_m()? },
            SurfaceKind::Plane => {
                let normal = self.plane_normal.unwrap_or(DVec3::Y);
                Surface::Plane { normal, distance_m: distance_m()? }
            }
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FreePart {
    /// Focal lengths
    Focal,
    /// Principal points
    Center,
    /// Distortion coefficients
    Distortion,
    /// Where lenses stand; needs --distance-m
    Translation,
}

#[derive(Args)]
struct StMapArgs {
    /// The rig
    rig: PathBuf,
    /// The lens, counted from 0
    #[arg(long, default_value_t = 0)]
    lens: usize,
    /// Width and height of the whole sphere that the map makes
    #[arg(long, value_name = "4096x2048", value_parser = parse_size, default_value = "4096x2048")]
    size: [u32; 2],
    /// The EXR file to write
    #[arg(short, long, value_name = "map.exr")]
    output: PathBuf,
}

fn parse_size(text: &str) -> Result<[u32; 2], String> {
    let sides = text.split_once(['x', '×']).and_then(|(across, down)| Some([across.parse().ok()?, down.parse().ok()?]));
    sides.ok_or_else(|| format!("`{text}` must be two whole numbers with an x between them, as 9x6"))
}

fn parse_normal(text: &str) -> Result<DVec3, String> {
    let parts: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let normal = parts.and_then(|parts| DVec3::from_array(parts.try_into().ok()?).try_normalize());
    normal.ok_or_else(|| format!("`{text}` must be three numbers with commas between them that are not all 0, as 0,1,0"))
}

pub fn run(args: CalibrateArgs) -> Result<(), Failure> {
    match args.command {
        Command::Lens(args) => lens(&args),
        Command::Board(args) => board::print(&args),
        Command::Rig(args) => rig(&args),
        Command::StMap(args) => st_map(&args),
    }
}

fn lens(args: &LensArgs) -> Result<(), Failure> {
    check_outputs(&[Some(&args.output), args.reports.report.as_ref(), args.reports.residuals.as_ref()], &args.pictures)?;
    let board = args.board.board()?;
    let mut pictures = Vec::new();
    for path in &args.pictures {
        if clip::is_clip(path) {
            pictures.extend(clip::read(path)?);
        } else {
            pictures.extend(read_pictures(std::slice::from_ref(path))?);
        }
        check_count(pictures.len())?;
    }
    let model = match args.model {
        Model::Fisheye => BoardModel::Fisheye,
        Model::Pinhole => BoardModel::Pinhole,
    };
    let found = calibrate_lens(&pictures, &board, model, &mut |line| say(line))?;
    for view in &found.views {
        let what = if view.left_out.is_empty() { format!("RMS {:.3} px", view.residuals.rms_px) } else { view.left_out.clone() };
        say(&format!("  {}: {} corners, {what}", view.name, view.corners));
    }
    let [fx, fy, cx, cy] = found.sigma_px;
    say(&format!("{:?}", found.rig.lenses[0].lens));
    say(&format!(
        "RMS {:.3} px over {} corners; focal lengths ± {fx:.2} and {fy:.2} px, centre ± {cx:.2} and {cy:.2} px; seen to {:.1}° from the axis",
        found.residuals.rms_px, found.residuals.count, found.seen_deg
    ));
    write(&args.output, found.rig.to_ron()?.as_bytes())?;
    args.reports.write(&found.to_json(), |picture| found.to_html(picture), || Ok(draw_lens(&found)))
}

fn rig(args: &RigArgs) -> Result<(), Failure> {
    let inputs: Vec<PathBuf> = args.pictures.iter().chain([&args.rig]).cloned().collect();
    check_outputs(&[Some(&args.output), args.reports.report.as_ref(), args.reports.residuals.as_ref()], &inputs)?;
    let rig = Rig::read(&args.rig)?;
    let is_free = |part| args.free.contains(&part);
    let free = Free {
        focal: is_free(FreePart::Focal),
        center: is_free(FreePart::Center),
        distortion: is_free(FreePart::Distortion),
        translation: is_free(FreePart::Translation),
    };
    let surface = args.surface()?;
    if args.pictures.is_empty() {
        return rig_from_points(args, &rig, free, surface);
    }
    let pictures = read_pictures(&args.pictures)?;
    let (search_deg, agree_deg, anchor) = (args.search_deg, args.agree_deg, args.anchor);
    let settings = RefineSettings { free, surface, search_deg, agree_deg, anchor, ..RefineSettings::default() };
    let refined = refine_rig(&rig, &pictures, &settings, &mut |line| say(line))?;
    for warning in &refined.warnings {
        say(&format!("warning: {warning}"));
    }
    for lens in &refined.lenses {
        let [before, after] = lens.residuals;
        let sigma = lens.sigma_deg.map_or_else(String::new, |sigma| format!(" ± {sigma:.3}°"));
        say(&format!(
            "  {}: {} matches, RMS {:.2} px, was {:.2} px; turned {:.3}°{sigma}",
            lens.name, lens.matches, after.rms_px, before.rms_px, lens.turned_deg
        ));
    }
    say_residuals("fitted", refined.fitted);
    say_residuals("held out", refined.held_out);
    let [before, after] = refined.overlap;
    say(&format!(
        "overlaps: luma differs by {:.2}, was {:.2}; with exposure matched {:.2}, was {:.2} of 255",
        after.luma, before.luma, after.luma_matched, before.luma_matched
    ));
    write(&args.output, refined.rig.to_ron()?.as_bytes())?;
    let draw = || Ok(draw_refinement(&refined, &pictures)?);
    args.reports.write(&refined.to_json(), |picture| refined.to_html(picture), draw)
}

/// Refines a rig from the control points that its project has.
fn rig_from_points(args: &RigArgs, rig: &Rig, free: Free, surface: Surface) -> Result<(), Failure> {
    if args.reports.report.is_some() || args.reports.residuals.is_some() {
        return Err("--report and --residuals show pictures: give one for each of the rig's cameras".into());
    }
    let (file, text) = (args.rig.display().to_string(), fs::read_to_string(&args.rig)?);
    let points = match args.rig.extension().and_then(|ending| ending.to_str()) {
        Some("pto") => ControlPoint::from_pto(&file, &text),
        Some("ptv" | "json") => ControlPoint::from_ptv(&file, &text),
        _ => Ok(Vec::new()),
    };
    let points = match points {
        Ok(points) if !points.is_empty() => points,
        Ok(_) => return Err(format!("{file} has no control points: give one picture for each of the rig's cameras").into()),
        Err(error) => return Err(format!("{error}: give one picture for each of the rig's cameras").into()),
    };
    say(&format!("{} control points of {file}: adjusting", points.len()));
    // People place control points within pixels; what lies near is off by more.
    let prior = Prior { point_px: 2.0, ..Prior::default() };
    let settings = BundleSettings { free, surface, anchor: args.anchor, robust_px: Some(4.0), prior: Some(prior) };
    let adjusted = adjust(rig, &points, &settings)?;
    let residuals = [rig, &adjusted.rig].map(|rig| -> Result<Residuals, Failure> {
        let prepared = PreparedRig::new(rig)?;
        Ok(Residuals::of(points.iter().map(|point| point.residual_px(&prepared, &surface))))
    });
    let [before, after] = residuals;
    say_residuals("control points", [before?, after?]);
    for (lens, sigma) in adjusted.rig.lenses.iter().zip(&adjusted.angle_sigma_deg) {
        say(&format!("  {}: direction ± {sigma:.3}°", lens.name));
    }
    write(&args.output, adjusted.rig.to_ron()?.as_bytes())
}

fn say_residuals(what: &str, [before, after]: [Residuals; 2]) {
    say(&format!(
        "{what}: {} matches, median {:.2} px, was {:.2}; RMS {:.2} px, was {:.2}",
        after.count, after.median_px, before.median_px, after.rms_px, before.rms_px
    ));
}

fn st_map(args: &StMapArgs) -> Result<(), Failure> {
    check_outputs(&[Some(&args.output)], std::slice::from_ref(&args.rig))?;
    let rig = Rig::read(&args.rig)?;
    let settings = StitchSettings::equirectangular(args.size[0], args.size[1]);
    let map = StMap::of_lens(&rig, args.lens, &settings)?;
    write(&args.output, &map.to_exr()?)
}

impl Reports {
    fn write(
        &self,
        json: &serde_json::Value,
        html: impl FnOnce(Option<&str>) -> String,
        draw: impl FnOnce() -> Result<image::RgbImage, Failure>,
    ) -> Result<(), Failure> {
        if let Some(path) = &self.residuals {
            draw()?.save(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
            say(&format!("wrote {}", path.display()));
        }
        let Some(path) = &self.report else { return Ok(()) };
        let is_page = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"));
        // The page finds its picture beside itself, or where it is.
        let picture = self.residuals.as_ref().map(|picture| {
            let beside = picture.parent() == path.parent();
            picture
                .file_name()
                .filter(|_| beside)
                .map_or_else(|| picture.display().to_string(), |name| name.to_string_lossy().into_owned())
        });
        let text = if is_page { html(picture.as_deref()) } else { serde_json::to_string_pretty(json)? + "\n" };
        write(path, text.as_bytes())
    }
}

/// Refuses outputs that would replace what is read, and each other.
fn check_outputs(outputs: &[Option<&PathBuf>], inputs: &[PathBuf]) -> Result<(), Failure> {
    let place = |path: &Path| {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::canonicalize(path)
            .or_else(|_| Ok::<_, std::io::Error>(fs::canonicalize(folder)?.join(path.file_name().unwrap_or_default())))
    };
    let mut taken: Vec<PathBuf> = inputs.iter().filter_map(|input| place(input).ok()).collect();
    for output in outputs.iter().flatten() {
        let output_place = place(output).map_err(|error| format!("cannot write {}: {error}", output.display()))?;
        if taken.contains(&output_place) {
            return Err(format!("{} is read or written already: name another file", output.display()).into());
        }
        taken.push(output_place);
    }
    Ok(())
}

fn check_count(pictures: usize) -> Result<(), Failure> {
    if pictures > MOST_PICTURES {
        return Err(format!("{pictures} pictures: at most {MOST_PICTURES} are taken").into());
    }
    Ok(())
}

fn read_pictures(paths: &[PathBuf]) -> Result<Vec<GrayPicture>, Failure> {
    check_count(paths.len())?;
    let read = |path: &PathBuf| -> Result<GrayPicture, Failure> {
        let fail = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let bytes = fs::metadata(path).map_err(|error| fail(&error))?.len();
        if bytes > LARGEST_FILE_BYTES {
            return Err(fail(&format!("{bytes} bytes are too many for a picture")).into());
        }
        let mut reader = image::ImageReader::open(path)?.with_guessed_format()?;
        let mut limits = image::Limits::default();
        limits.max_alloc = Some(2 << 30);
        reader.limits(limits);
        let picture = reader.decode().map_err(|error| fail(&error))?;
        Ok(GrayPicture::new(&path.display().to_string(), &picture)?)
    };
    paths.iter().map(read).collect()
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    fs::write(path, bytes).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}
