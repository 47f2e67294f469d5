//! The `Stitch` node.

use crate::{
    rig::{Rig, RigLoader},
    stitch::{StMap, StMapPass, StitchPass, StitchSettings},
};
use bevy::{
    platform::collections::HashMap,
    prelude::*,
    render::{Extract, ExtractSchedule, RenderApp},
};
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Makes one picture of the sphere from the pictures of a rig. The map from lenses to picture is worked out once; a frame
/// then costs one resample and a blend.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Stitch {
    /// The rig that the pictures come from.
    pub rig: Handle<Rig>,
    /// How many pictures the rig delivers, 1 to 16: the node has an input for each.
    #[reflect(@1..=16_u32)]
    pub pictures: u32,
    /// What to make of them.
    pub settings: StitchSettings,
    /// An STMap, a PNG of 16 bits a channel: where it is set, it says for each pixel which point of the first picture to
    /// show, and rig and settings have no say. Empty: none.
    #[reflect(@InputPath)]
    pub st_map: String,
}

impl Default for Stitch {
    fn default() -> Self {
        Self { rig: Handle::default(), pictures: 1, settings: StitchSettings::default(), st_map: String::new() }
    }
}

impl NodeKind for Stitch {
    const DISPLAY_NAME: &'static str = "Stitch";
    const CATEGORY: &'static str = "Spatial";

    fn pins(&self) -> Vec<PinSpec> {
        let input = |number| PinSpec::input(format!("picture {number}"), DataType::VIDEO_FRAME);
        let pictures = self.pictures.clamp(1, crate::rig::MAX_LENSES as u32);
        (1..=pictures).map(input).chain([PinSpec::output("picture", DataType::VIDEO_FRAME)]).collect()
    }
}

/// Why a stitch node has no picture yet.
#[derive(Debug, thiserror::Error)]
enum StitchNodeError {
    #[error("no rig is loaded: give the stitch a rig file (.rig.ron or .pto), and look above for why it did not load")]
    NoRig,
    #[error("the STMap {path} cannot be read: {reason}")]
    StMapFile { path: String, reason: String },
}

/// The loaded rigs, in the render world.
#[derive(Resource, Default)]
struct Rigs(HashMap<AssetId<Rig>, Arc<Rig>>);

pub(super) fn add_stitch(app: &mut App) {
    app.init_asset::<Rig>().init_asset_loader::<RigLoader>().add_gpu_node::<Stitch, _>(run_stitch);
    if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
        render_app.init_resource::<Rigs>().add_systems(ExtractSchedule, extract_rigs);
    }
}

fn extract_rigs(assets: Extract<Res<Assets<Rig>>>, mut rigs: ResMut<Rigs>) {
    if !assets.is_changed() && rigs.0.len() == assets.len() {
        return;
    }
    rigs.0.retain(|id, _| assets.contains(*id));
    for (id, rig) in assets.iter() {
        // Only a rig that really changed may replace the one that maps were built from.
        if rigs.0.get(&id).is_none_or(|present| **present != *rig) {
            rigs.0.insert(id, Arc::new(rig.clone()));
        }
    }
}

/// What turns pictures into one: a map worked out from a rig, or one that was given.
enum StitchState {
    Rig { pass: Box<StitchPass>, rig: Arc<Rig>, settings: StitchSettings, output: Arc<GpuPicture> },
    Map { pass: StMapPass, path: String, output: Arc<GpuPicture> },
}

impl StitchState {
    fn fits(&self, wanted: &Stitch, rig: Option<&Arc<Rig>>) -> bool {
        match self {
            Self::Rig { rig: present, settings, .. } => {
                wanted.st_map.is_empty()
                    && rig.is_some_and(|rig| Arc::ptr_eq(present, rig))
                    && settings.size_px == wanted.settings.size_px
            }
            Self::Map { path, .. } => *path == wanted.st_map,
        }
    }

    fn make(gpu: &GpuContext, wanted: &Stitch, rig: Option<&Arc<Rig>>) -> Result<Self> {
        let (device, queue) = (gpu.device(), gpu.queue());
        if wanted.st_map.is_empty() {
            let rig = rig.ok_or(StitchNodeError::NoRig)?;
            let pass = Box::new(StitchPass::new(device, queue, rig, &wanted.settings)?);
            let output = Arc::new(pass.output_picture(device, "stitch")?);
            return Ok(Self::Rig { pass, rig: rig.clone(), settings: wanted.settings.clone(), output });
        }
        let path = wanted.st_map.clone();
        let bytes =
            std::fs::read(&path).map_err(|error| StitchNodeError::StMapFile { path: path.clone(), reason: error.to_string() })?;
        let pass = StMapPass::new(device, queue, &StMap::from_png(&path, &bytes)?)?;
        let output = Arc::new(pass.output_picture(device, "stitch")?);
        Ok(Self::Map { pass, path, output })
    }
}

fn run_stitch(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Stitch>>,
    rigs: Res<Rigs>,
    mut states: Local<NodeStates<StitchState>>,
    mut gpu: GpuContext,
) -> Result {
    let wanted = settings.of(run.node);
    let rig = rigs.0.get(&wanted.rig.id());
    let state = states.get_or_make(&gpu, run.node, |state| state.fits(&wanted, rig), || StitchState::make(&gpu, &wanted, rig))?;
    let frames: Vec<&GpuFrame> = run.frames().collect();
    // The first picture's stamp: a rig's cameras are joined to one moment before the node runs.
    let Some(first) = frames.first() else { return Ok(()) };
    let (device, queue, encoder) = gpu.device_and_encoder();
    let output = match state {
        StitchState::Rig { pass, settings, output, .. } => {
            if *settings != wanted.settings {
                pass.set_settings(device, queue, &wanted.settings)?;
                settings.clone_from(&wanted.settings);
            }
            let pictures: Vec<&GpuPicture> = frames.iter().map(|frame| frame.picture.as_ref()).collect();
            pass.encode(device, queue, encoder, &pictures, output, None)?;
            output
        }
        StitchState::Map { pass, output, .. } => {
            pass.encode(device, queue, encoder, &first.picture, output, None)?;
            output
        }
    };
    let projection = wanted.settings.view.projection().unwrap_or(PictureProjection::Rectilinear { fov_deg: 90.0 });
    run.set_output("picture", GpuFrame { picture: output.clone(), stamp: first.stamp, projection, stereo: StereoLayout::Mono })?;
    Ok(())
}
