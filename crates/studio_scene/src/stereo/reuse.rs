//! Shadow maps that stay as they are while nothing in them moves.
//!
//! Bevy draws every shadow map in every frame: six for a point light, one for a spot light, and some for each camera and
//! directional light. Most scenes' lights and objects rest most of the time, and then a map that is drawn again is the same map.
//! Here each layer of the textures of shadow maps remembers what was drawn into it: by which view, with which matrices, after
//! which change of the objects that cast shadows. Where that is what would be drawn, drawing it is left out.
//!
//! The maps of directional lights follow the camera, so a head that turns would have them drawn in every frame. They are made a
//! little larger than the camera needs ([`ShadowReuse::slack`]) and stay where they are until it has left them; before that, a map
//! whose camera has used up half of the slack moves with it, one map a frame, so that no frame has to draw them all.

use super::rig::RigCamera;
use bevy::{
    camera::visibility::RenderLayers,
    core_pipeline::{Core3d, schedule::RootNonCameraView},
    ecs::{schedule::ScheduleLabel as _, system::SystemParam},
    light::NotShadowCaster,
    mesh::{morph::MeshMorphWeights, skinning::SkinnedMesh},
    pbr::{LightEntity, PendingShadowQueues, ShadowView, ViewLightEntities, ViewShadowBindings},
    platform::collections::HashMap,
    prelude::*,
    render::{
        Extract, ExtractSchedule, Render, RenderApp, RenderSystems,
        camera::SortedCameras,
        occlusion_culling::OcclusionCulling,
        render_resource::{PipelineCache, TextureId},
        sync_world::RenderEntity,
        view::{ExtractedView, RetainedViewEntity},
    },
};

/// Frames after the last change in which shadow maps are still drawn: meshes and materials reach the GPU a frame or two later.
const SETTLING_FRAMES: u32 = 4;

/// Whether shadow maps in which nothing moves are kept from frame to frame.
#[derive(Resource, Clone, Debug, PartialEq, Reflect)]
#[reflect(Resource, Default)]
pub struct ShadowReuse {
    /// Whether they are kept. Turn it off where a material of your own moves vertices on the GPU, which nobody can see from
    /// outside.
    pub enabled: bool,
    /// By what share the maps of directional lights are larger than the cameras of rigs need, 0 to 1: more lets the head turn
    /// farther before they are drawn anew, and makes their texels larger by the same share.
    pub slack: f32,
}

impl Default for ShadowReuse {
    fn default() -> Self {
        Self { enabled: true, slack: 0.25 }
    }
}

/// Counts changes of what casts shadows.
#[derive(Resource, Clone, Copy, Default)]
struct CasterChanges(u64);

/// What may change a shadow.
#[derive(SystemParam)]
struct Casters<'w, 's> {
    changed: Query<
        'w,
        's,
        (),
        (
            With<Mesh3d>,
            Or<(
                Changed<Mesh3d>,
                Changed<GlobalTransform>,
                Changed<InheritedVisibility>,
                Changed<MeshMaterial3d<StandardMaterial>>,
                Changed<MeshMorphWeights>,
                Changed<RenderLayers>,
                Changed<NotShadowCaster>,
            )>,
        ),
    >,
    /// Nobody knows what materials of other kinds do.
    unknown: Query<'w, 's, (), (With<Mesh3d>, Without<MeshMaterial3d<StandardMaterial>>, Without<NotShadowCaster>)>,
    skins: Query<'w, 's, &'static SkinnedMesh>,
    moved: Query<'w, 's, (), Changed<GlobalTransform>>,
    gone: RemovedComponents<'w, 's, Mesh3d>,
    casting: RemovedComponents<'w, 's, NotShadowCaster>,
    meshes: MessageReader<'w, 's, AssetEvent<Mesh>>,
    materials: MessageReader<'w, 's, AssetEvent<StandardMaterial>>,
    images: MessageReader<'w, 's, AssetEvent<Image>>,
}

impl Casters<'_, '_> {
    fn have_changed(&mut self) -> bool {
        let gone = self.gone.read().count() + self.casting.read().count();
        // The messages are read to their end, whatever the first says.
        let assets = self.meshes.read().count() + self.materials.read().count() + self.images.read().count();
        gone + assets > 0
            || !self.changed.is_empty()
            || !self.unknown.is_empty()
            || self.skins.iter().any(|skin| skin.joints.iter().any(|joint| self.moved.contains(*joint)))
    }
}

fn note_changes(mut casters: Casters, mut changes: ResMut<CasterChanges>) {
    if casters.have_changed() {
        changes.0 += 1;
    }
}

/// A layer of a texture of shadow maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Layer {
    /// One of those that the cameras' cascades share.
    Cascade(TextureId, usize),
    /// That of a lamp, or of a side of it.
    Lamp(RetainedViewEntity),
}

/// What a shadow map shows.
#[derive(Clone, PartialEq)]
struct Drawn {
    view: RetainedViewEntity,
    world_from_view: GlobalTransform,
    clip_from_view: Mat4,
    size: UVec4,
    layers: RenderLayers,
    changes: u64,
    /// Where a lamp's layer lies: its light's number, the textures of both kinds, and how many spot lights there are.
    place: Option<(String, [TextureId; 2], usize)>,
}

/// In the render world: what each layer shows.
#[derive(Resource, Default)]
struct DrawnLayers {
    enabled: bool,
    changes: u64,
    frames_since_change: u32,
    drawn: HashMap<Layer, Drawn>,
    /// Cameras whose shadow maps may be kept.
    cameras: Vec<Entity>,
}

impl DrawnLayers {
    /// Whether a layer must be drawn; notes that it is.
    fn take(&mut self, layer: Layer, new: Drawn, may_stay: bool) -> bool {
        if may_stay && self.drawn.get(&layer) == Some(&new) {
            return false;
        }
        self.drawn.insert(layer, new);
        true
    }
}

fn extract_changes(
    changes: Extract<Res<CasterChanges>>,
    reuse: Extract<Res<ShadowReuse>>,
    cameras: Extract<Query<RenderEntity, With<RigCamera>>>,
    mut layers: ResMut<DrawnLayers>,
) {
    layers.enabled = reuse.enabled;
    layers.frames_since_change = if layers.changes == changes.0 { layers.frames_since_change.saturating_add(1) } else { 0 };
    layers.changes = changes.0;
    layers.cameras.clear();
    layers.cameras.extend(cameras.iter());
}

/// Leaves out the views whose layers show already what they would draw.
fn leave_out_drawn(
    mut layers: ResMut<DrawnLayers>,
    sorted: Res<SortedCameras>,
    mut cameras: Query<(&mut ViewLightEntities, &ViewShadowBindings)>,
    views: Query<(&ShadowView, &ExtractedView, Option<&RenderLayers>, Has<OcclusionCulling>)>,
    lamps: Query<(Entity, &LightEntity, Has<RootNonCameraView>), With<ShadowView>>,
    pipelines: Res<PipelineCache>,
    pending: Res<PendingShadowQueues>,
    mut commands: Commands,
) {
    let layers = &mut *layers;
    // What is not there yet leaves a hole in the map that must not stay.
    let complete = pipelines.waiting_pipelines().next().is_none()
        && pending.values().all(|queues| queues.current_frame.is_empty() && queues.prev_frame.is_empty());
    if !complete {
        layers.frames_since_change = 0;
    }
    let settled = layers.enabled && layers.frames_since_change >= SETTLING_FRAMES;
    let changes = if settled { layers.changes } else { u64::MAX };
    let drawn = |(_, view, render_layers, _): &(&ShadowView, &ExtractedView, Option<&RenderLayers>, bool)| Drawn {
        view: view.retained_view_entity,
        world_from_view: view.world_from_view,
        clip_from_view: view.clip_from_view,
        size: view.viewport,
        layers: render_layers.cloned().unwrap_or_default(),
        changes,
        place: None,
    };
    let mut used: Vec<Layer> = Vec::new();
    let mut textures = None;
    for camera in &sorted.0 {
        let Ok((mut lights, bindings)) = cameras.get_mut(camera.entity) else { continue };
        let may_stay = settled && layers.cameras.contains(&camera.entity);
        let texture = bindings.directional_light_depth_texture.id();
        textures = Some([texture, bindings.point_light_depth_texture.id()]);
        let mut index = 0;
        lights.lights.retain(|light| {
            let layer = Layer::Cascade(texture, index);
            index += 1;
            used.push(layer);
            views.get(*light).map_or(true, |view| layers.take(layer, drawn(&view), may_stay && !view.3))
        });
    }
    let spots = lamps.iter().filter(|(_, light, _)| matches!(light, LightEntity::Spot { .. })).count();
    for (lamp, light, runs) in &lamps {
        // Views of cascades are their cameras'.
        let (false, Ok(view)) = (matches!(light, LightEntity::Directional { .. }), views.get(lamp)) else { continue };
        let layer = Layer::Lamp(view.1.retained_view_entity);
        used.push(layer);
        let place = textures.map(|textures| (view.0.pass_name.clone(), textures, spots));
        let draws = layers.take(layer, Drawn { place, ..drawn(&view) }, settled && textures.is_some() && !view.3);
        if draws && !runs {
            commands.entity(lamp).insert(RootNonCameraView(Core3d.intern()));
        } else if !draws && runs {
            commands.entity(lamp).remove::<RootNonCameraView>();
        }
    }
    layers.drawn.retain(|layer, _| used.contains(layer));
}

pub(super) fn plugin(app: &mut App) {
    app.register_type::<ShadowReuse>()
        .init_resource::<ShadowReuse>()
        .init_resource::<CasterChanges>()
        .add_systems(Last, note_changes);
    super::cascades::plugin(app);
    let Some(render_app) = app.get_sub_app_mut(RenderApp) else { return };
    render_app
        .init_resource::<DrawnLayers>()
        .add_systems(ExtractSchedule, extract_changes)
        .add_systems(Render, leave_out_drawn.in_set(RenderSystems::PrepareBindGroups));
}
