//! Prims as nodes.

use super::SceneOf;
use crate::{
    look::{UsdCamera, UsdLight},
    stage::{UsdStage, UsdStageEntities, UsdStageRoot},
    sync::{UsdSync, UsdSyncReport, UsdSyncSystems},
};
use bevy::{ecs::component::Mutable, prelude::*};
use studio_graph::{pin::PinOf, prelude::*};
use studio_usd::host::{Number, StageEdit, StageValue};

/// Where a prim is, to its parent prim, in the stage's units.
#[derive(Reflect, Clone, Copy, Debug, PartialEq)]
pub struct ScenePlace {
    /// Where it is, in units of the stage.
    pub translation: Vec3,
    /// How it is turned about X, then Y, then Z, in degrees.
    pub rotation_deg: Vec3,
    /// How large it is.
    pub scale: Vec3,
}

impl Default for ScenePlace {
    fn default() -> Self {
        Self { translation: Vec3::ZERO, rotation_deg: Vec3::ZERO, scale: Vec3::ONE }
    }
}

impl From<&Transform> for ScenePlace {
    fn from(transform: &Transform) -> Self {
        let (z, y, x) = transform.rotation.to_euler(EulerRot::ZYX);
        let rotation_deg = Vec3::new(x, y, z).map(f32::to_degrees);
        Self { translation: transform.translation, rotation_deg, scale: transform.scale }
    }
}

impl From<&ScenePlace> for Transform {
    fn from(place: &ScenePlace) -> Self {
        let [x, y, z] = place.rotation_deg.map(f32::to_radians).to_array();
        Self { translation: place.translation, rotation: Quat::from_euler(EulerRot::ZYX, z, y, x), scale: place.scale }
    }
}

impl ScenePlace {
    /// Whether both mean the same, as near as it can be seen: turns have many names.
    fn is_near(&self, transform: &Transform) -> bool {
        let own = Transform::from(self);
        let largest = own.translation.abs().max_element().max(1.0);
        own.translation.abs_diff_eq(transform.translation, 1e-5 * largest)
            && own.rotation.angle_between(transform.rotation) < 1e-3
            && own.scale.abs_diff_eq(transform.scale, 1e-5 * own.scale.abs().max_element().max(1.0))
    }
}

/// A model of a scene: a mesh, or a group with all below it.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct SceneModel {
    /// The prim's path, such as `/World/Car`.
    pub prim: String,
    /// Where it is.
    pub place: ScenePlace,
}

/// A camera of a scene.
#[derive(Component, Reflect, Clone, Debug, Default, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct SceneCamera {
    /// The prim's path, such as `/World/Camera`.
    pub prim: String,
    /// Where it is. It looks along -Z.
    pub place: ScenePlace,
    /// Focal length, in tenths of a unit of the stage; 0 leaves it as the stage says.
    #[reflect(@0.0..=10000.0_f32)]
    pub focal_length: f32,
}

/// A light of a scene.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct SceneLight {
    /// The prim's path, such as `/World/Lamp`.
    pub prim: String,
    /// Where it is. It shines along -Z.
    pub place: ScenePlace,
    /// Its intensity; below 0 leaves it as the stage says.
    #[reflect(@-1.0..=1e9_f32)]
    pub intensity: f32,
    /// Stops on top: brightness is multiplied by two to their power.
    #[reflect(@-32.0..=32.0_f32)]
    pub exposure: f32,
    /// Its colour.
    pub color: LinearRgba,
}

impl Default for SceneLight {
    fn default() -> Self {
        Self { prim: String::new(), place: ScenePlace::default(), intensity: -1.0, exposure: 0.0, color: LinearRgba::WHITE }
    }
}

/// What the kinds have in common.
trait PrimNode: NodeKind + Component<Mutability = Mutable> {
    fn prim(&self) -> &str;
    fn place(&self) -> &ScenePlace;
    fn place_mut(&mut self) -> &mut ScenePlace;
    /// Whether nothing is set yet.
    fn is_new(&self) -> bool;
    /// The edits that give the prim what else the node says, where it differs.
    fn edits(&self, camera: Option<&UsdCamera>, light: Option<&UsdLight>) -> Vec<StageEdit>;
    /// Takes over what else the prim says.
    fn take(&mut self, camera: Option<&UsdCamera>, light: Option<&UsdLight>);
}

macro_rules! prim_node {
    ($kind:ty, $name:literal, $output:literal, $data:expr) => {
        impl NodeKind for $kind {
            const DISPLAY_NAME: &'static str = $name;
            const CATEGORY: &'static str = "Scene";

            fn pins(&self) -> Vec<PinSpec> {
                vec![PinSpec::input("scene", DataType::SCENE), PinSpec::output($output, $data)]
            }
        }
    };
}

prim_node!(SceneModel, "Scene model", "model", DataType::MESH);
prim_node!(SceneCamera, "Scene camera", "camera", DataType::CAMERA);
prim_node!(SceneLight, "Scene light", "light", DataType::LIGHT);

impl PrimNode for SceneModel {
    fn prim(&self) -> &str {
        &self.prim
    }

    fn place(&self) -> &ScenePlace {
        &self.place
    }

    fn place_mut(&mut self) -> &mut ScenePlace {
        &mut self.place
    }

    fn is_new(&self) -> bool {
        self.place == ScenePlace::default()
    }

    fn edits(&self, _: Option<&UsdCamera>, _: Option<&UsdLight>) -> Vec<StageEdit> {
        Vec::new()
    }

    fn take(&mut self, _: Option<&UsdCamera>, _: Option<&UsdLight>) {}
}

fn set_float(prim: &str, attribute: &str, value: f32) -> StageEdit {
    StageEdit::SetAttribute {
        path: format!("{prim}.{attribute}"),
        type_name: "float".to_owned(),
        value: StageValue::Float(Number(f64::from(value))),
        time: None,
    }
}

impl PrimNode for SceneCamera {
    fn prim(&self) -> &str {
        &self.prim
    }

    fn place(&self) -> &ScenePlace {
        &self.place
    }

    fn place_mut(&mut self) -> &mut ScenePlace {
        &mut self.place
    }

    fn is_new(&self) -> bool {
        self.place == ScenePlace::default() && self.focal_length == 0.0
    }

    fn edits(&self, camera: Option<&UsdCamera>, _: Option<&UsdLight>) -> Vec<StageEdit> {
        let Some(camera) = camera.filter(|_| self.focal_length > 0.0) else { return Vec::new() };
        let is = camera.camera.focal_length.at(camera.time);
        if is == Some(self.focal_length) { Vec::new() } else { vec![set_float(&self.prim, "focalLength", self.focal_length)] }
    }

    fn take(&mut self, camera: Option<&UsdCamera>, _: Option<&UsdLight>) {
        if let Some(focal_length) = camera.and_then(|camera| camera.camera.focal_length.at(camera.time)) {
            self.focal_length = focal_length;
        }
    }
}

impl PrimNode for SceneLight {
    fn prim(&self) -> &str {
        &self.prim
    }

    fn place(&self) -> &ScenePlace {
        &self.place
    }

    fn place_mut(&mut self) -> &mut ScenePlace {
        &mut self.place
    }

    fn is_new(&self) -> bool {
        *self == Self { prim: self.prim.clone(), ..Self::default() }
    }

    fn edits(&self, _: Option<&UsdCamera>, light: Option<&UsdLight>) -> Vec<StageEdit> {
        let Some(light) = light.filter(|_| self.intensity >= 0.0) else { return Vec::new() };
        let time = light.options.time;
        let mut edits = Vec::new();
        if light.light.intensity.at(time) != Some(self.intensity) {
            edits.push(set_float(&self.prim, "inputs:intensity", self.intensity));
        }
        if light.light.exposure.at(time) != Some(self.exposure) {
            edits.push(set_float(&self.prim, "inputs:exposure", self.exposure));
        }
        let color = self.color.to_vec3();
        if light.light.color.at(time) != Some(color) {
            edits.push(StageEdit::SetAttribute {
                path: format!("{}.inputs:color", self.prim),
                type_name: "color3f".to_owned(),
                value: StageValue::Vec3f(color.to_array().map(|part| Number(f64::from(part)))),
                time: None,
            });
        }
        edits
    }

    fn take(&mut self, _: Option<&UsdCamera>, light: Option<&UsdLight>) {
        let Some(light) = light else { return };
        let time = light.options.time;
        self.intensity = light.light.intensity.at(time).unwrap_or(self.intensity);
        self.exposure = light.light.exposure.at(time).unwrap_or(self.exposure);
        if let Some(color) = light.light.color.at(time) {
            self.color = LinearRgba::rgb(color.x, color.y, color.z);
        }
    }
}

/// What a node has settled with its prim: only what either side changes from here on is passed on.
#[derive(Component)]
struct Settled<K: PrimNode> {
    prim: String,
    entity: Entity,
    /// `None` if the node has yet to tell its prim everything.
    settings: Option<K>,
}

pub(super) fn add(app: &mut App) {
    add_kind::<SceneModel>(app);
    add_kind::<SceneCamera>(app);
    add_kind::<SceneLight>(app);
}

fn add_kind<K: PrimNode + Clone + PartialEq>(app: &mut App) {
    app.register_node::<K>().add_systems(
        PostUpdate,
        (from_nodes::<K>.before(UsdSyncSystems::Receive), to_nodes::<K>.after(UsdSyncSystems::Push).before(UsdSyncSystems::Send))
            .run_if(any_with_component::<K>),
    );
}

/// The root that a node's scene is shown below.
fn scene_of(graph: &CompiledGraph, owners: &Query<&PinOf>, scenes: &Query<&SceneOf>, node: Entity) -> Option<Entity> {
    // Whether somebody takes what the node delivers does not matter: it stands for something that is there.
    let owner = owners.get(graph.node(node)?.input("scene")?).ok()?.0;
    scenes.get(owner).ok().map(|scene| scene.root)
}

/// Passes on what was changed on nodes.
fn from_nodes<K: PrimNode + Clone + PartialEq>(
    mut nodes: Query<(Entity, &K, Option<&mut Settled<K>>), Changed<K>>,
    mut transforms: Query<(&mut Transform, Option<&UsdCamera>, Option<&UsdLight>)>,
    roots: Query<(&UsdStageRoot, &UsdSync)>,
    stages: Res<Assets<UsdStage>>,
    parents: Query<&ChildOf>,
    mut reports: Query<&mut UsdSyncReport>,
) {
    for (_, node, settled) in &mut nodes {
        let Some(mut settled) = settled.filter(|settled| settled.prim == node.prim()) else { continue };
        if settled.settings.as_ref() == Some(node) {
            continue;
        }
        let Ok((mut transform, camera, light)) = transforms.get_mut(settled.entity) else { continue };
        if !node.place().is_near(&transform) {
            *transform = Transform::from(node.place());
        }
        let edits = node.edits(camera, light);
        settled.settings = Some(node.clone());
        if edits.is_empty() {
            continue;
        }
        let Some(root) = parents.iter_ancestors(settled.entity).find(|above| roots.contains(*above)) else { continue };
        let Ok((stage, sync)) = roots.get(root) else { continue };
        let Some(stage) = stages.get(&stage.0) else { continue };
        if let Err(error) = stage.host().edit(&sync.edit_layer, edits)
            && let Ok(mut report) = reports.get_mut(root)
        {
            report.say(format!("{}: what was set on its node cannot be written to the stage: {error}", node.prim()));
        }
    }
}

/// Finds the prims of nodes, and brings nodes up to date with them.
fn to_nodes<K: PrimNode + Clone + PartialEq>(
    mut nodes: Query<(Entity, &mut K, Option<&mut Settled<K>>, &mut NodeStatus)>,
    roots: Query<&UsdStageEntities>,
    mut prims: Query<(Ref<Transform>, Option<Ref<UsdCamera>>, Option<Ref<UsdLight>>)>,
    graph: Res<CompiledGraph>,
    owners: Query<&PinOf>,
    scenes: Query<&SceneOf>,
    mut commands: Commands,
) {
    for (entity, mut node, settled, mut status) in &mut nodes {
        let is_there = settled.as_ref().is_some_and(|settled| settled.prim == node.prim() && prims.contains(settled.entity));
        if !is_there {
            let Some(shown) = scene_of(&graph, &owners, &scenes, entity).and_then(|root| roots.get(root).ok()) else { continue };
            let Some(prim) = shown.entity(node.prim()) else {
                if status.error().is_none() {
                    status.fail(format!("the scene has no prim “{}”", node.prim()));
                }
                continue;
            };
            let Ok((transform, camera, light)) = prims.get(prim) else { continue };
            let settings = node.is_new().then(|| {
                let mut settings = node.clone();
                *settings.place_mut() = ScenePlace::from(&*transform);
                settings.take(camera.as_deref(), light.as_deref());
                settings
            });
            // A node with settings of its own passes them on with the next update.
            match &settings {
                Some(settings) => *node = settings.clone(),
                None => node.set_changed(),
            }
            commands.entity(entity).insert(Settled { prim: node.prim().to_owned(), entity: prim, settings });
            status.count_frame();
            continue;
        }
        let Some(mut settled) = settled else { continue };
        let Ok((transform, camera, light)) = prims.get_mut(settled.entity) else { continue };
        let is_changed = transform.is_changed()
            || camera.as_ref().is_some_and(|camera| camera.is_changed())
            || light.as_ref().is_some_and(|light| light.is_changed());
        if !is_changed {
            continue;
        }
        let mut now = node.clone();
        if !now.place().is_near(&transform) {
            *now.place_mut() = ScenePlace::from(&*transform);
        }
        now.take(camera.as_deref(), light.as_deref());
        if now != *node {
            settled.settings = Some(now.clone());
            *node = now;
        }
    }
}
