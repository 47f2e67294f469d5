//! The `Stitch` node.

use crate::{
    rig::{Rig, RigLoader},
    stitch::{StitchPass, StitchSettings},
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
}

impl Default for Stitch {
    fn default() -> Self {
        Self { rig: Handle::default(), pictures: 1, settings: StitchSettings::default() }
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

struct StitchState {
    pass: StitchPass,
    rig: Arc<Rig>,
    settings: StitchSettings,
    output: Arc<GpuPicture>,
}

fn run_stitch(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Stitch>>,
    rigs: Res<Rigs>,
    mut states: Local<NodeStates<StitchState>>,
    mut gpu: GpuContext,
) -> Result {
    let wanted = settings.of(run.node);
    let rig = rigs.0.get(&wanted.rig.id()).ok_or(StitchNodeError::NoRig)?;
    let settings = wanted.settings;
    let fits = |state: &StitchState| Arc::ptr_eq(&state.rig, rig) && state.settings.size_px == settings.size_px;
    let state = states.get_or_make(&gpu, run.node, fits, || {
        let pass = StitchPass::new(gpu.device(), gpu.queue(), rig, &settings)?;
        let output = Arc::new(pass.output_picture(gpu.device(), "stitch")?);
        Ok(StitchState { pass, rig: rig.clone(), settings: settings.clone(), output })
    })?;
    let frames: Vec<&GpuFrame> = run.frames().collect();
    let pictures: Vec<&GpuPicture> = frames.iter().map(|frame| frame.picture.as_ref()).collect();
    let (device, queue, encoder) = gpu.device_and_encoder();
    if state.settings != settings {
        state.pass.set_settings(device, queue, &settings)?;
        state.settings = settings;
    }
    state.pass.encode(device, queue, encoder, &pictures, &state.output, None)?;
    // The first picture's stamp: a rig's cameras are joined to one moment before the node runs.
    let Some(stamp) = frames.first().map(|frame| frame.stamp) else { return Ok(()) };
    let projection = state.settings.view.projection().unwrap_or(PictureProjection::Rectilinear { fov_deg: 90.0 });
    run.set_output("picture", GpuFrame { picture: state.output.clone(), stamp, projection, stereo: StereoLayout::Mono })?;
    Ok(())
}
