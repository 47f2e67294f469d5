//! The `Disparity` node.

use super::disparity_network::{DisparityNetworkState, run_disparity_network};
use crate::{
    disparity::{DepthPass, DepthSettings, DisparityError, DisparitySettings, EyePart, StereoCameras, read_stereo_rig},
    network::{Network, NetworkChoice, Provided, VisionProvider},
    rig::Rig,
};
use bevy::prelude::*;
use std::path::Path;
use studio_frame::prelude::*;
use studio_gpu::{prelude::*, rgba::RgbaPass};
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_ml::{ModelSettings, PairTask};

/// Finds how far away everything in a stereo picture is. Takes two pictures, or one with both eyes in it.
///
/// `depth` is a picture of the distances from the left eye that a backdrop takes, coded as its default, `Inverse`, with the same
/// `near_m` and 0 for `far_m`. `preview` shows them in colours. `picture` is what they belong to: the frame as it came or, with a
/// calibration, the left eye's picture rectified.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct Disparity {
    /// How the eyes' pictures are matched.
    pub matching: DisparitySettings,
    /// Where the eyes' pictures lie in the frames, against what the frames say: files often say nothing.
    pub layout: Option<StereoLayout>,
    /// How the eyes' pictures cover the sphere, against what the frames say.
    pub projection: Option<PictureProjection>,
    /// How the two cameras stand to each other, where there is no calibration.
    pub cameras: StereoCameras,
    /// The distance of the cameras in metres where there is no calibration, 0.001 to 100.
    #[reflect(@0.001..=100.0_f32)]
    pub baseline_m: f32,
    /// The distance in metres that is white in the picture of distances, 0.01 to 1000; what is nearer is white too.
    #[reflect(@0.01..=1000.0_f32)]
    pub near_m: f32,
    /// A calibration of the two cameras, by which their pictures are rectified: a `.rig.ron` file of two lenses, the left one first,
    /// or an OpenCV stereo calibration in YAML or JSON (`M1`, `D1`, `M2`, `D2`, `R`, `T` and the picture's size). Empty: none.
    #[reflect(@InputPath)]
    pub calibration: String,
    /// The length in metres of what an OpenCV calibration's `T` counts, 0.000001 to 1000: the unit of its board's squares.
    #[reflect(@0.000_001..=1000.0_f32)]
    pub calibration_unit_m: f32,
    /// Who finds the disparities.
    pub provider: VisionProvider,
    /// A neural network that finds them, an ONNX file run by ONNX Runtime: see the documentation of vision for what fits. Empty: none.
    #[reflect(@InputPath)]
    pub model: String,
    /// How the network takes its pictures, where its file does not say.
    pub model_settings: ModelSettings,
}

impl Default for Disparity {
    fn default() -> Self {
        Self {
            matching: DisparitySettings::default(),
            layout: None,
            projection: None,
            cameras: StereoCameras::default(),
            baseline_m: 0.064,
            near_m: 0.3,
            calibration: String::new(),
            calibration_unit_m: 1.0,
            provider: VisionProvider::default(),
            model: String::new(),
            model_settings: ModelSettings::default(),
        }
    }
}

impl NodeKind for Disparity {
    const DISPLAY_NAME: &'static str = "Disparity";
    const CATEGORY: &'static str = "Analyse";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("left", DataType::VIDEO_FRAME),
            PinSpec::input("right", DataType::VIDEO_FRAME),
            PinSpec::output("depth", DataType::VIDEO_FRAME),
            PinSpec::output("preview", DataType::VIDEO_FRAME),
            PinSpec::output("picture", DataType::VIDEO_FRAME),
        ]
    }
}

impl Disparity {
    /// The calibration, if one is named.
    pub(super) fn rig(&self) -> Result<Option<Rig>, DisparityError> {
        let path = Path::new(&self.calibration);
        let named = !self.calibration.is_empty();
        named.then(|| read_stereo_rig(path, f64::from(self.calibration_unit_m))).transpose()
    }

    pub(super) fn depth_settings(&self) -> DepthSettings {
        DepthSettings {
            matching: self.matching,
            cameras: self.cameras,
            baseline_m: f64::from(self.baseline_m),
            near_m: self.near_m,
        }
    }
}

/// What comes in, read as the settings say.
pub(super) struct Feeds<'a> {
    pub(super) eyes: [EyePart<'a>; 2],
    pub(super) projection: PictureProjection,
    /// Where the eyes lie in the left frame.
    pub(super) stereo: StereoLayout,
}

impl Feeds<'_> {
    /// Sizes of the frames, and the parts of them.
    pub(super) fn frames(&self) -> [(UVec2, Rect); 2] {
        self.eyes.map(|(picture, part)| (picture.size, part))
    }
}

/// The parts of a frame that show the left and the right eye.
fn eye_parts(layout: StereoLayout) -> Option<[Rect; 2]> {
    let part = |x0, y0, x1, y1| Rect { min: Vec2::new(x0, y0), max: Vec2::new(x1, y1) };
    match layout {
        StereoLayout::Mono => None,
        StereoLayout::TopBottom => Some([part(0.0, 0.0, 1.0, 0.5), part(0.0, 0.5, 1.0, 1.0)]),
        StereoLayout::LeftRight => Some([part(0.0, 0.0, 0.5, 1.0), part(0.5, 0.0, 1.0, 1.0)]),
    }
}

/// The eyes' pictures: two frames, or the two parts of the first.
fn eyes<'a>(
    left: &'a GpuFrame,
    right: Option<&'a GpuFrame>,
    layout: Option<StereoLayout>,
) -> Result<[EyePart<'a>; 2], DisparityError> {
    let parts_of = |frame: &GpuFrame| eye_parts(layout.unwrap_or(frame.stereo));
    match (right, parts_of(left)) {
        (None, Some([first, second])) => Ok([(left.picture.as_ref(), first), (left.picture.as_ref(), second)]),
        (None, None) => Err(DisparityError::Geometry(
            "the frame shows one eye only: connect the other eye's picture to “right”, or set the layout if both are in it"
                .to_owned(),
        )),
        // A stereo picture on either input means that eye's own part of it.
        (Some(right), first) => {
            let of_left = first.map_or(RgbaPass::WHOLE, |parts| parts[0]);
            let of_right = parts_of(right).map_or(RgbaPass::WHOLE, |parts| parts[1]);
            Ok([(left.picture.as_ref(), of_left), (right.picture.as_ref(), of_right)])
        }
    }
}

pub(super) struct DisparityState {
    pass: DepthPass,
    wanted: Disparity,
    frames: [(UVec2, Rect); 2],
    projection: PictureProjection,
}

pub(super) fn run_disparity(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<Disparity>>,
    waker: Res<StudioWaker>,
    reports: Res<FailureReport>,
    mut states: Local<NodeStates<DisparityState>>,
    mut networks: Local<NodeStates<Network>>,
    mut network_states: Local<NodeStates<DisparityNetworkState>>,
    mut gpu: GpuContext,
) -> Result {
    let left = run.input("left")?;
    if run.is_awaited("right") {
        return Ok(());
    }
    let wanted = settings.of(run.node);
    let eyes = eyes(left, run.input("right").ok(), wanted.layout)?;
    let projection = wanted.projection.unwrap_or(left.projection);
    let stereo = wanted.layout.unwrap_or(left.stereo);
    let feeds = Feeds { eyes, projection, stereo };
    let frames = feeds.frames();
    let choice = NetworkChoice::of(wanted.provider, &wanted.model, wanted.model_settings, PairTask::Disparity)?;
    match Network::provide(&mut networks, &gpu, run.node, choice, &reports)? {
        Provided::Network(network) => {
            return run_disparity_network(&run, &wanted, &feeds, &network, &mut network_states, &mut gpu, &waker);
        }
        Provided::Nobody => return Ok(()),
        Provided::Classical => network_states.retain(|node| node != run.node),
    }
    let state = states.get_or_make(
        &gpu,
        run.node,
        |state| state.wanted == wanted && state.frames == frames && state.projection == projection,
        || {
            let (rig, depth) = (wanted.rig()?, wanted.depth_settings());
            let pass = DepthPass::new(gpu.device(), gpu.queue(), frames, projection, rig.as_ref(), &depth)?;
            Ok(DisparityState { pass, wanted: wanted.clone(), frames, projection })
        },
    )?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    let [left_eye, right_eye] = feeds.eyes;
    state.pass.encode(device, queue, encoder, left_eye, right_eye)?;
    let made = |picture: &std::sync::Arc<GpuPicture>| GpuFrame {
        picture: picture.clone(),
        stamp: left.stamp,
        projection: state.pass.projection(),
        stereo: StereoLayout::Mono,
    };
    run.set_output("depth", made(state.pass.depth_picture()))?;
    run.set_output("preview", made(state.pass.colored_picture()))?;
    let as_it_came = || GpuFrame { projection, stereo, ..left.clone() };
    run.set_output("picture", state.pass.rectified_picture().map_or_else(as_it_came, made))?;
    Ok(())
}
