//! The `EyeView` node: both eyes' pictures for one headset.

use super::pass::EyesPass;
use crate::{eye::EyeFov, profile::ProfileProjection};
use bevy::{
    prelude::*,
    render::{Extract, ExtractSchedule, RenderApp},
};
use studio_frame::prelude::*;
use studio_gpu::{picture::GpuPicture, pool::PoolError, prelude::*};
use studio_graph::prelude::*;

/// Makes both eyes' pictures for one kind of viewer out of a picture of the sphere or a flat one: in the projection, the size and
/// the layout that the viewer wants. A stereo picture gives each eye its own; of a mono one, both see the same.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct EyeView {
    /// Width and height of the picture that goes out in pixels, both eyes in it.
    pub size: UVec2,
    /// How each eye's picture covers the sphere.
    pub projection: ProfileProjection,
    /// Where the eyes' pictures lie.
    pub stereo: StereoLayout,
    /// What the left eye sees, for flat pictures.
    pub left_fov: EyeFov,
    /// What the right eye sees, for flat pictures.
    pub right_fov: EyeFov,
    /// Looking direction, degrees to the right.
    pub yaw_deg: f32,
    /// Looking direction, degrees up, from -90 to 90.
    #[reflect(@-90.0..=90.0_f32)]
    pub pitch_deg: f32,
    /// How far the view is tilted to the right, in degrees.
    pub roll_deg: f32,
}

impl Default for EyeView {
    fn default() -> Self {
        Self {
            size: UVec2::new(1280, 640),
            projection: ProfileProjection::HalfEquirectangular,
            stereo: StereoLayout::LeftRight,
            left_fov: EyeFov::default(),
            right_fov: EyeFov::default(),
            yaw_deg: 0.0,
            pitch_deg: 0.0,
            roll_deg: 0.0,
        }
    }
}

impl NodeKind for EyeView {
    const DISPLAY_NAME: &'static str = "Eye view";
    const CATEGORY: &'static str = "View";

    fn pins(&self) -> Vec<PinSpec> {
        vec![
            PinSpec::input("frame", DataType::VIDEO_FRAME),
            PinSpec::input("motion", DataType::MOTION_FIELD),
            PinSpec::output("eyes", DataType::VIDEO_FRAME),
            PinSpec::output("motion", DataType::MOTION_FIELD),
        ]
    }

    fn check(&self) -> Result<(), String> {
        if ![self.size.x, self.size.y].iter().all(|side| (2..=16_384).contains(side)) {
            return Err(format!("size is {}×{}: both sides must be 2 to 16384 pixels", self.size.x, self.size.y));
        }
        self.left_fov.check().map_err(|reason| format!("left_fov {reason}"))?;
        self.right_fov.check().map_err(|reason| format!("right_fov {reason}"))
    }
}

impl EyeView {
    /// The turn from the view to the source's own directions.
    pub fn rotation(&self) -> Quat {
        let [yaw, pitch, roll] = [self.yaw_deg, self.pitch_deg, self.roll_deg].map(f32::to_radians);
        Quat::from_euler(EulerRot::YXZ, -yaw, pitch, -roll)
    }

    /// How the picture that goes out covers the sphere.
    pub fn picture_projection(&self) -> PictureProjection {
        match self.projection {
            ProfileProjection::Equirectangular => PictureProjection::Equirectangular,
            ProfileProjection::HalfEquirectangular => PictureProjection::HalfEquirectangular,
            ProfileProjection::CubeMap => PictureProjection::CubeMap,
            ProfileProjection::Rectilinear => PictureProjection::OffAxis {
                left: self.left_fov.tangents().to_array(),
                right: self.right_fov.tangents().to_array(),
            },
        }
    }
}

/// The passes of the nodes that run.
#[derive(Resource, Default)]
pub(super) struct EyePasses(NodeStates<EyesPass>);

/// How many frames found every texture of their node held by somebody, and were dropped.
#[derive(Resource, Clone, Default)]
pub struct EyeViewDrops(std::sync::Arc<std::sync::atomic::AtomicU64>);

impl EyeViewDrops {
    /// Frames dropped since the start.
    pub fn count(&self) -> u64 {
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}

/// Pictures of one node: the newest, the one before it that is still encoded or shown, the one that is drawn, and one for
/// whoever is slow.
const MOST_PICTURES: usize = 4;

pub(super) fn add_eye_view(app: &mut App) {
    app.init_resource::<EyeViewDrops>().add_gpu_node::<EyeView, _>(run_eye_view);
    let drops = app.world().resource::<EyeViewDrops>().clone();
    if let Some(render_app) = app.get_sub_app_mut(RenderApp) {
        render_app.init_resource::<EyePasses>().insert_resource(drops).add_systems(ExtractSchedule, let_go_of_passes);
    }
    app.add_systems(Update, let_go_of_pictures.after(StudioSystems::Compile));
}

/// What does not run keeps nothing on the GPU.
fn let_go_of_passes(graph: Extract<Res<CompiledGraph>>, mut passes: ResMut<EyePasses>) {
    if graph.is_changed() {
        passes.0.retain(|node| graph.runs(node));
    }
}

/// What does not run keeps no picture on its pin: it would be an old one when it runs again.
fn let_go_of_pictures(
    graph: Res<CompiledGraph>,
    views: Query<(Entity, &Pins, Has<Freeze>), With<EyeView>>,
    frames: Query<&PinFrame>,
) {
    if !graph.is_changed() {
        return;
    }
    for (node, pins, frozen) in &views {
        if !frozen && !graph.runs(node) {
            frames.iter_many(pins.iter()).for_each(PinFrame::clear);
        }
    }
}

fn run_eye_view(
    In(run): In<GpuNodeRun>,
    settings: Res<NodeSettings<EyeView>>,
    pool: Res<TexturePool>,
    drops: Res<EyeViewDrops>,
    mut passes: ResMut<EyePasses>,
    mut template: Local<Option<(u64, EyesPass)>>,
    mut gpu: GpuContext,
) -> Result {
    let frame = run.input("frame")?.clone();
    let view = settings.of(run.node);
    let (device, size) = (gpu.device().clone(), view.size.max(UVec2::splat(2)));
    let fits = |picture: &GpuPicture| picture.size == size && picture.is_pooled_on(&device);
    let make = || -> Result<GpuPicture, PoolError> { pool.rgba(&device, "eye view", size) };
    let Some(target) = run.output("eyes")?.target(MOST_PICTURES, fits, make)? else {
        drops.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        return Ok(());
    };
    let epoch = gpu.epoch();
    let pass = passes.0.get_or_make(
        &gpu,
        run.node,
        |_| true,
        || {
            // The shader is compiled once, however many nodes there are.
            if template.as_ref().is_none_or(|(of, _)| *of != epoch) {
                *template = Some((epoch, EyesPass::new(&device)));
            }
            Ok(template.as_ref().map_or_else(|| EyesPass::new(&device), |(_, pass)| pass.for_another(&device)))
        },
    )?;
    let (device, queue, encoder) = gpu.device_and_encoder();
    pass.encode(device, queue, encoder, &view, &frame, &target);
    let (projection, stereo) = (view.picture_projection(), view.stereo);
    run.set_output("eyes", GpuFrame { picture: target, stamp: frame.stamp, projection, stereo })?;
    Ok(())
}
