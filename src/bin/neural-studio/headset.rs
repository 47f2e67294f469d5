//! The headset of `neural-studio view` and `run`, and what streams that say it wrongly are.

use crate::{Failure, report::say};
use bevy::prelude::*;
use clap::Args;
use neural_studio::{
    app::app_with_headset,
    prelude::*,
    studio_xr::{HeadsetBackground, HeadsetLayers},
};
use std::path::{Path, PathBuf};

#[derive(Args, Clone, Debug)]
pub struct HeadsetArgs {
    /// Show the stream in a headset, through OpenXR; the window shows it too. Without a headset, only the window does
    #[arg(long)]
    pub xr: bool,
    /// Write what the headset's runtime says and gets into this file, as JSON lines
    #[arg(long, requires = "xr")]
    xr_log: Option<PathBuf>,
    /// Show this USD scene in the headset too, around the viewer and before the picture
    #[arg(long, requires = "xr")]
    xr_scene: Option<PathBuf>,
    /// Show the room beside flat pictures and behind half a sphere, in headsets that can
    #[arg(long, requires = "xr")]
    xr_passthrough: bool,
    /// How pictures reach the headset: as they are where its compositor takes them, or always drawn for each eye
    #[arg(long, value_enum, default_value = "auto", requires = "xr")]
    xr_layers: XrLayers,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum XrLayers {
    Auto,
    EyeViews,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// The whole sphere
    Equirectangular,
    /// Its front half
    HalfEquirectangular,
    /// Six faces in three columns and two rows
    CubeMap,
    /// A flat picture
    Flat,
}

impl From<Projection> for PictureProjection {
    fn from(projection: Projection) -> Self {
        match projection {
            Projection::Equirectangular => Self::Equirectangular,
            Projection::HalfEquirectangular => Self::HalfEquirectangular,
            Projection::CubeMap => Self::CubeMap,
            Projection::Flat => Self::Rectilinear { fov_deg: 60.0 },
        }
    }
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stereo {
    /// One picture for both eyes
    Mono,
    /// The left eye's above the right eye's
    TopBottom,
    /// The left eye's to the left
    LeftRight,
}

impl From<Stereo> for StereoLayout {
    fn from(stereo: Stereo) -> Self {
        match stereo {
            Stereo::Mono => Self::Mono,
            Stereo::TopBottom => Self::TopBottom,
            Stereo::LeftRight => Self::LeftRight,
        }
    }
}

/// An app for a headset, if there is one.
pub fn app(window: AppWindow, args: &HeadsetArgs) -> Result<App, Failure> {
    let headset = open_headset(HeadsetOptions { log: args.xr_log.clone(), ..default() })?;
    Ok(app_with_headset(window, headset, args.xr_scene.as_deref().map(folder_of))?)
}

/// Shows what a node makes in the headset, and the scene beside it.
pub fn show(world: &mut World, source: Entity, args: &HeadsetArgs) -> Result<(), Failure> {
    let layers = match args.xr_layers {
        XrLayers::Auto => HeadsetLayers::Auto,
        XrLayers::EyeViews => HeadsetLayers::EyeViews,
    };
    if let Some(path) = &args.xr_scene {
        show_scene(world, path)?;
    }
    let background = if args.xr_passthrough { HeadsetBackground::Passthrough } else { HeadsetBackground::Opaque };
    let output = world.spawn(HeadsetOutput { layers, background, ..default() }).id();
    world.flush();
    connect(world, source, "frame", output, "frame")?;
    Ok(())
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Shows a USD scene around someone who stands at its origin.
fn show_scene(world: &mut World, path: &Path) -> Result<(), Failure> {
    const EYE_HEIGHT_M: f32 = 1.6;
    std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| format!("{} is not the name of a file", path.display()))?.to_owned();
    let stage = world.resource::<AssetServer>().load(name);
    world.spawn(UsdStageRoot(stage));
    world.spawn((HeadsetScene::default(), Transform::from_xyz(0.0, EYE_HEIGHT_M, 0.0)));
    Ok(())
}

/// Looks for the headset, and says what it found.
pub fn open_headset(options: HeadsetOptions) -> Result<Headset, Failure> {
    let named = options.log.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let headset = Headset::open(options).map_err(|error| format!("the headset's log {named} cannot be written: {error}"))?;
    let status = headset.status();
    match status.error {
        Some(error) => say(&format!("no headset: {error}. Going on without")),
        None => say(&format!("headset: {} by {}", status.headset, status.runtime)),
    }
    Ok(headset)
}
