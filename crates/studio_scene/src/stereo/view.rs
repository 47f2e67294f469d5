//! The `SceneView` node: its cameras in the main world, its pictures in the render world.

use super::{
    camera::film_camera,
    frustum::EyeFrustum,
    lens_rig::FilmedRig,
    pace::Pace,
    plan::{CameraPlan, px_per_rad},
    resample::{Assembly, LensMap, ResamplePass},
    rig::{Eye, EyeView, RigCamera, StereoRig},
    settings::{SceneProjection, SceneView, StereoPacking},
    shadows::SharesShadowsOf,
    targets::SceneTargets,
    viewpoint::{LinkedCameras, Viewpoints},
};
use crate::look::StageView;
use bevy::{
    camera::{Exposure, Hdr},
    ecs::entity::EntityHashMap,
    prelude::*,
    render::{Extract, renderer::RenderDevice, texture::ManualTextureViews},
};
use core::f32::consts::{PI, TAU};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};
use studio_frame::prelude::*;
use studio_gpu::prelude::*;
use studio_graph::{prelude::*, wake::StudioWaker};
use studio_vision::rig::Rig;

/// What a node's cameras and pictures were made for.
#[derive(Clone, PartialEq)]
struct MadeFor {
    settings: SceneView,
    viewpoint: Entity,
    frustum: EyeFrustum,
    stereo: Option<StereoRig>,
    ev100: f32,
    far_m: f32,
    sees_stage: bool,
}

/// What the render world needs to put a node's pictures together.
pub(super) struct Filming {
    targets: SceneTargets,
    assembly: Option<Assembly>,
    /// Size of each picture that goes out where an assembly makes it.
    sizes: Vec<UVec2>,
    maps: Vec<LensMap>,
    shape: (PictureProjection, StereoLayout),
    samples: u32,
}

/// The cameras of each node.
#[derive(Resource, Default)]
pub(super) struct SceneViews(EntityHashMap<SceneCameras>);

/// A node's cameras.
struct SceneCameras {
    made_for: MadeFor,
    cameras: Vec<Entity>,
    filming: Arc<Filming>,
    pace: Pace,
}

/// Cameras of different nodes lie apart, so that none comes between two that share shadow maps.
static NEXT_ORDER: AtomicU32 = AtomicU32::new(1);
const ORDERS_OF_A_NODE: isize = 4096;

/// Why a scene view has no picture.
#[derive(Debug, thiserror::Error)]
enum SceneViewError {
    #[error(
        "no entity of the scene is called “{0}”: give the name of a camera in it, or its path, or nothing for the first camera"
    )]
    NoViewpoint(String),
    #[error("the size {0}×{1} is too small: both sides must be at least 2 pixels")]
    Size(u32, u32),
    #[error("no rig is loaded: give the scene view a rig file (.rig.ron, .pto, .ptv, …), and look above for why it did not load")]
    NoRig,
    #[error(transparent)]
    Rig(#[from] studio_vision::rig::RigError),
    #[error(transparent)]
    Target(#[from] super::targets::TargetError),
}

/// Makes, changes and removes the cameras of nodes.
pub(super) fn make_cameras(
    nodes: Query<(Entity, &SceneView)>,
    mut scene_views: ResMut<SceneViews>,
    viewpoints: Viewpoints,
    linked: LinkedCameras,
    rigs: Option<Res<Assets<Rig>>>,
    device: Option<Res<RenderDevice>>,
    views: Option<ResMut<ManualTextureViews>>,
    mut failed: Local<EntityHashMap<(SceneView, String)>>,
    mut rig_events: MessageReader<AssetEvent<Rig>>,
    reports: Res<FailureReport>,
    mut commands: Commands,
) {
    let (Some(device), Some(mut views)) = (device, views) else { return };
    scene_views.0.retain(|node, present| {
        let stays = nodes.contains(*node);
        if !stays {
            failed.remove(node);
            dismiss(present, &mut views, &mut commands);
        }
        stays
    });
    let new_device = device.is_changed() && !device.is_added();
    let rigs_changed = rig_events.read().count() > 0;
    for (node, settings) in &nodes {
        let present = scene_views.0.get(&node);
        let made_for = match find(node, settings, present, &viewpoints, &linked) {
            Ok(made_for) => made_for,
            // What is looked for may come with a stage.
            Err(SceneViewError::NoViewpoint(_)) if viewpoints.are_coming() => continue,
            Err(error) => {
                fail(node, settings, &error, &mut failed, &reports);
                continue;
            }
        };
        let filmed_rig = matches!(settings.projection, SceneProjection::Lenses { .. });
        let stays = present.is_some_and(|present| present.made_for == made_for) && !new_device && !(filmed_rig && rigs_changed);
        if stays {
            continue;
        }
        if failed.get(&node).is_some_and(|(tried, _)| tried == settings) && !rigs_changed && !new_device && present.is_none() {
            continue;
        }
        match prepare(device.wgpu_device(), &mut views, &made_for, rigs.as_deref()) {
            Ok(filming) => {
                failed.remove(&node);
                if let Some(present) = present {
                    dismiss(present, &mut views, &mut commands);
                }
                let cameras = spawn_cameras(node, &made_for, &filming, &mut commands);
                let pace = present.map(|present| present.pace).unwrap_or_default();
                scene_views.0.insert(node, SceneCameras { made_for, cameras, filming: Arc::new(filming), pace });
                let mut node = commands.entity(node);
                // A still that sets the pace came before the cameras, and no other comes.
                node.queue(|mut node: EntityWorldMut| {
                    if let Some(mut settings) = node.get_mut::<SceneView>() {
                        settings.set_changed();
                    }
                });
            }
            Err(error) => fail(node, settings, &error, &mut failed, &reports),
        }
    }
}

/// Reports a failure once for the settings that it came with.
fn fail(
    node: Entity,
    settings: &SceneView,
    error: &SceneViewError,
    failed: &mut EntityHashMap<(SceneView, String)>,
    reports: &FailureReport,
) {
    let now = (settings.clone(), error.to_string());
    if failed.get(&node) != Some(&now) {
        reports.failure(node, error);
        failed.insert(node, now);
    }
}

fn dismiss(present: &SceneCameras, views: &mut ManualTextureViews, commands: &mut Commands) {
    present.filming.targets.release(views);
    present.cameras.iter().for_each(|camera| commands.entity(*camera).try_despawn());
}

fn find(
    node: Entity,
    settings: &SceneView,
    present: Option<&SceneCameras>,
    viewpoints: &Viewpoints,
    linked: &LinkedCameras,
) -> Result<MadeFor, SceneViewError> {
    let before = present.map(|present| present.made_for.viewpoint);
    if settings.size.min_element() < 2 {
        return Err(SceneViewError::Size(settings.size.x, settings.size.y));
    }
    let (name, found) = match linked.of(node) {
        Some((prim, Some(entity))) => (prim, viewpoints.at(entity)),
        Some((prim, None)) => (prim, viewpoints.find(prim, before)),
        None => (settings.camera.as_str(), viewpoints.find(&settings.camera, before)),
    };
    let found = found.ok_or_else(|| SceneViewError::NoViewpoint(name.to_owned()))?;
    Ok(MadeFor {
        settings: settings.clone(),
        viewpoint: found.entity,
        frustum: found.frustum,
        stereo: found.stereo,
        ev100: found.ev100,
        far_m: found.far_m,
        sees_stage: found.sees_stage,
    })
}

impl MadeFor {
    /// The eyes of flat stereo, each in a part of `size` pixels.
    fn eyes(&self, size: UVec2) -> [(EyeFrustum, f32); 2] {
        let aspect = size.x as f32 / size.y.max(1) as f32;
        let rig = self.stereo.clone().unwrap_or_else(|| {
            let frustum = self.frustum.with_aspect(aspect);
            let convergence = self.settings.convergence_m;
            StereoRig {
                ipd_m: self.settings.ipd_m,
                convergence_m: (convergence > 0.0).then_some(convergence),
                view: EyeView::Frusta { left_eye: frustum, right_eye: frustum },
                ..default()
            }
        });
        [Eye::Left, Eye::Right].map(|eye| (rig.frustum(eye), rig.offset_m(eye)))
    }

    fn ipd_m(&self) -> f32 {
        self.stereo.as_ref().map_or(self.settings.ipd_m, |rig| rig.ipd_m).clamp(0.0, 10.0)
    }
}

fn prepare(
    device: &wgpu::Device,
    views: &mut ManualTextureViews,
    made_for: &MadeFor,
    rigs: Option<&Assets<Rig>>,
) -> Result<Filming, SceneViewError> {
    let SceneView { size, strips, samples, density, .. } = made_for.settings;
    let density = if density.is_finite() { density.clamp(0.25, 4.0) } else { 1.0 };
    let mut maps = Vec::new();
    let mut sizes = vec![size];
    let mut fov = made_for.frustum.with_aspect(size.x as f32 / size.y as f32);
    let (plan, assembly) = match &made_for.settings.projection {
        SceneProjection::Flat => (CameraPlan::flat(fov, size), None),
        SceneProjection::StereoFlat { packing } => {
            let part = match packing {
                StereoPacking::SideBySide => UVec2::new((size.x / 2).max(1), size.y),
                StereoPacking::TopBottom => UVec2::new(size.x, (size.y / 2).max(1)),
                StereoPacking::TwoPictures => size,
            };
            let eyes = made_for.eyes(part);
            fov = eyes[0].0;
            (CameraPlan::stereo(eyes, part), (*packing != StereoPacking::TwoPictures).then_some(Assembly::Flat))
        }
        SceneProjection::Equirect360Mono => {
            let plan = CameraPlan::cubes(&[Vec3::ZERO], px_per_rad(size.x, TAU) * density, |_, _| true);
            (plan, Some(Assembly::Cube { longitude: TAU }))
        }
        SceneProjection::Equirect360Stereo => {
            let strips = strips.clamp(4, super::plan::MAX_STRIPS);
            let plan = CameraPlan::strips(TAU, strips, made_for.ipd_m(), px_per_rad(size.x, TAU) * density);
            (plan, Some(Assembly::Strips { longitude: TAU, strips }))
        }
        SceneProjection::Vr180Stereo => {
            let strips = (strips.clamp(4, super::plan::MAX_STRIPS) / 2).max(4);
            let plan = CameraPlan::strips(PI, strips, made_for.ipd_m(), px_per_rad(size.x / 2, PI) * density);
            (plan, Some(Assembly::Strips { longitude: PI, strips }))
        }
        SceneProjection::Lenses { rig, .. } => {
            let rig = rigs.and_then(|rigs| rigs.get(rig)).ok_or(SceneViewError::NoRig)?;
            let FilmedRig { plan, pictures } = FilmedRig::new(rig, size.x, density)?;
            maps = pictures.into_iter().map(|picture| picture.map).collect();
            sizes = maps.iter().map(|map| map.size).collect();
            (plan, Some(Assembly::Lenses))
        }
    };
    let fov_deg = (fov.right.atan() - fov.left.atan()).to_degrees();
    let targets = SceneTargets::new(device, views, Arc::new(plan), assembly.is_none())?;
    Ok(Filming { targets, assembly, sizes, maps, shape: made_for.settings.shape(fov_deg), samples })
}

fn spawn_cameras(node: Entity, made_for: &MadeFor, filming: &Filming, commands: &mut Commands) -> Vec<Entity> {
    let first = NEXT_ORDER.fetch_add(1, Ordering::Relaxed) as isize * -ORDERS_OF_A_NODE;
    let settings = &made_for.settings;
    let near_m = if settings.near_m.is_finite() { settings.near_m.clamp(0.001, 10.0) } else { 0.05 };
    let mut entities: Vec<Entity> = Vec::new();
    for (index, camera) in filming.targets.plan.cameras.iter().enumerate() {
        let Some(target) = filming.targets.of_camera(index) else { continue };
        let projection = camera.projection(near_m, made_for.far_m);
        let mut entity = commands.spawn((
            film_camera(projection, target, first + index as isize, &settings.look),
            settings.look.components(),
            Exposure { ev100: made_for.ev100 },
            RigCamera { rig: made_for.viewpoint, pose: camera.pose },
            camera.eye,
            FilmsFor(node),
        ));
        if settings.look.hdr {
            entity.insert(Hdr);
        }
        settings.look.shade(&mut entity);
        if made_for.sees_stage {
            entity.insert(StageView);
        }
        if let Some(leader) = camera.shares_with.and_then(|leader| entities.get(leader)) {
            entity.insert(SharesShadowsOf(*leader));
        }
        entities.push(entity.id());
    }
    entities
}

/// Calls for pictures where a node's own pace says so, and has cameras sleep whose node does not run.
pub(super) fn call_for_pictures(
    nodes: Query<(&SceneView, &CameraCue)>,
    mut scene_views: ResMut<SceneViews>,
    mut cameras: Query<&mut Camera>,
    links: GraphLinks,
    clock: Res<StudioClock>,
    waker: Res<StudioWaker>,
    mut time: ResMut<StudioTime>,
) {
    let now = Instant::now();
    for (node, present) in &mut scene_views.0 {
        let (node, Ok((settings, cue))) = (*node, nodes.get(*node)) else { continue };
        let runs = links.runs(node);
        for camera in &present.cameras {
            if let Ok(mut camera) = cameras.get_mut(*camera)
                && camera.is_active != runs
            {
                camera.is_active = runs;
            }
        }
        if !runs || links.source(node, "pace").is_some() {
            continue;
        }
        let (stamp, next) = present.pace.due(*clock, settings.fps, now);
        if let Some(stamp) = stamp
            && cue.call(stamp)
        {
            present.pace.taken();
            time.note_frame(stamp.pts);
        }
        if let Some(next) = next {
            waker.wake_at(next);
        }
    }
}

/// What each node films, in the render world.
#[derive(Resource, Default)]
pub(super) struct FilmingNodes(EntityHashMap<Arc<Filming>>);

pub(super) fn extract_filming(views: Extract<Res<SceneViews>>, mut known: ResMut<FilmingNodes>) {
    known.0.clear();
    known.0.extend(views.0.iter().map(|(node, present)| (*node, present.filming.clone())));
}

/// A node's passes, for what they were made.
pub(super) struct SceneViewState {
    filming: Arc<Filming>,
    passes: Vec<(ResamplePass, Arc<GpuPicture>)>,
}

impl SceneViewState {
    fn new(gpu: &GpuContext, filming: &Arc<Filming>) -> Result<Self> {
        let (device, queue) = (gpu.device(), gpu.queue());
        let mut passes = Vec::new();
        if let Some(assembly) = filming.assembly {
            for (index, size) in filming.sizes.iter().enumerate() {
                let (plan, layout) = (&filming.targets.plan, filming.shape.1);
                let pass =
                    ResamplePass::new(device, queue, plan, assembly, layout, (*size, filming.samples), filming.maps.get(index));
                passes.push((pass, Arc::new(GpuPicture::rgba(device, "scene view", *size)?)));
            }
        }
        Ok(Self { filming: filming.clone(), passes })
    }
}

pub(super) fn run_scene_view(
    In(run): In<GpuNodeRun>,
    nodes: Res<FilmingNodes>,
    mut states: Local<NodeStates<SceneViewState>>,
    mut gpu: GpuContext,
) -> Result {
    // Without cameras yet, the main world has said why.
    let Some(filming) = nodes.0.get(&run.node) else { return Ok(()) };
    let paced = run.input("pace").ok().map(|frame| frame.stamp);
    let stamp = paced.or(run.cue).unwrap_or_default();
    let (projection, stereo) = filming.shape;
    let put = |(_, pin): &(std::borrow::Cow<'static, str>, PinFrame), picture: &Arc<GpuPicture>| {
        pin.set(GpuFrame { picture: picture.clone(), stamp, projection, stereo });
    };
    if filming.assembly.is_none() {
        run.outputs.iter().zip(&filming.targets.direct).for_each(|(pin, picture)| put(pin, picture));
        return Ok(());
    }
    let fits = |state: &SceneViewState| Arc::ptr_eq(&state.filming, filming);
    let state = states.get_or_make(&gpu, run.node, fits, || SceneViewState::new(&gpu, filming))?;
    let (device, _, encoder) = gpu.device_and_encoder();
    for (pin, (pass, picture)) in run.outputs.iter().zip(&state.passes) {
        pass.encode(device, encoder, &filming.targets.arrays, picture);
        put(pin, picture);
    }
    Ok(())
}
