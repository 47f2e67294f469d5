//! The `Stitch` node.

mod motion;
mod state;

use crate::{
    rig::{Rig, RigLoader},
    stabilise::{ImuMounting, Level, ReadoutDirection, Smoothing},
    stitch::{NadirFill, StitchSettings},
};
use bevy::{
    platform::collections::HashMap,
    prelude::*,
    render::{Extract, ExtractSchedule, RenderApp},
};
use serde::{Deserialize, Serialize};
use state::StitchState;
use std::sync::Arc;
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::prelude::*;

/// Makes one picture of the sphere from the pictures of a rig. The map from lenses to picture is worked out once; a frame
/// then costs one resample and a blend.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Stitch {
    /// The rig that the pictures come from. When it is calibrated anew, the picture glides to the new calibration.
    pub rig: Handle<Rig>,
    /// How many pictures the rig delivers, 1 to 16: the node has an input for each.
    #[reflect(@1..=16_u32)]
    pub pictures: u32,
    /// What to make of them.
    pub settings: StitchSettings,
    /// An STMap, an EXR or a PNG of 16 bits a channel: where it is set, it says for each pixel which point of the first picture to
    /// show, and rig and settings have no say. Empty: none.
    #[reflect(@InputPath)]
    pub st_map: String,
    /// How the rig hangs: what levels its horizon. `settings.orientation` then looks around in the level picture.
    pub level: Level,
    /// How long the picture takes from one calibration of the rig to the next, in seconds, 0 to 30.
    #[reflect(@0.0..=30.0_f32)]
    pub recalibrate_s: f32,
    /// A log of an IMU on the rig: Gyroflow's `.gcsv`, or a phone's in columns. The picture is turned against the rig's turns, and its rows
    /// are put right, within the same resample. Empty: none.
    #[reflect(@InputPath)]
    pub imu_log: String,
    /// How the log belongs to the pictures.
    pub imu: ImuMounting,
    /// With a log: which of the rig's turns the picture follows. `None` follows all of them.
    pub stabilise: Option<Smoothing>,
    /// With a log: whether the horizon is level however the rig tilts.
    pub level_horizon: bool,
    /// With a log: how the sensors are read.
    pub shutter: RollingShutter,
    /// What covers the cone below the rig, whatever the orientation; for whole spheres.
    pub nadir: NadirFill,
    /// The picture that `nadir` shows.
    #[reflect(@InputPath)]
    pub nadir_picture: String,
}

/// How a rig's sensors are read, all at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Reflect, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RollingShutter {
    /// From the first row to the last, in milliseconds, 0 (all rows at once) to 200; `None` is as the log says, or 0.
    pub readout_ms: Option<f32>,
    /// Which row or column is first.
    pub direction: ReadoutDirection,
}

impl Default for Stitch {
    fn default() -> Self {
        Self {
            rig: Handle::default(),
            pictures: 1,
            settings: StitchSettings::default(),
            st_map: String::new(),
            level: Level::default(),
            recalibrate_s: 1.0,
            imu_log: String::new(),
            imu: ImuMounting::default(),
            stabilise: Some(Smoothing::default()),
            level_horizon: false,
            shutter: RollingShutter::default(),
            nadir: NadirFill::None,
            nadir_picture: String::new(),
        }
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
    #[error("no rig is loaded: give the stitch a rig file (.rig.ron, .pto, .ptv, …), and look above for why it did not load")]
    NoRig,
    #[error("the STMap {path} cannot be read: {reason}")]
    StMapFile { path: String, reason: String },
    #[error("the nadir's picture {path} cannot be read: {reason}")]
    NadirPicture { path: String, reason: String },
    #[error("{setting} {reason}")]
    Setting { setting: &'static str, reason: String },
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

fn run_stitch(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Stitch>>,
    rigs: Res<Rigs>,
    report: Res<FailureReport>,
    mut states: Local<NodeStates<StitchState>>,
    mut gpu: GpuContext,
) -> Result {
    let wanted = settings.of(run.node);
    let rig = rigs.0.get(&wanted.rig.id());
    let state = states.get_or_make(&gpu, run.node, |state| state.fits(&wanted), || StitchState::make(&gpu, &wanted, rig))?;
    let frames: Vec<&GpuFrame> = run.frames().collect();
    // The first picture's stamp: a rig's cameras are joined to one moment before the node runs.
    let Some(first) = frames.first() else { return Ok(()) };
    let live = *gpu.clock == StudioClock::Live;
    let (device, queue, encoder) = gpu.device_and_encoder();
    let output = match state {
        StitchState::Rig(stitch) => {
            stitch.follow(device, queue, &wanted, rig, first.stamp, live)?;
            let pictures: Vec<&GpuPicture> = frames.iter().map(|frame| frame.picture.as_ref()).collect();
            if !live && stitch.is_measured() {
                // What was measured in the frame before counts for this one, however long it takes.
                device.poll(wgpu::PollType::wait_indefinitely())?;
            }
            let (output, measurement) = stitch.draw(device, queue, encoder, &pictures, first.stamp)?;
            if let Some(words) = stitch.news_of_lenses() {
                report.warning(run.node, words);
            }
            if let Some(measurement) = measurement {
                gpu.after_submit(move || measurement.deliver());
            }
            output
        }
        StitchState::Map { pass, output, .. } => {
            pass.encode(device, queue, encoder, &first.picture, output, None)?;
            output.clone()
        }
    };
    let projection = wanted.settings.view.projection().unwrap_or(PictureProjection::Rectilinear { fov_deg: 90.0 });
    run.set_output("picture", GpuFrame { picture: output, stamp: first.stamp, projection, stereo: StereoLayout::Mono })?;
    Ok(())
}
