//! A stage as a node.

use super::{SceneCamera, SceneLight, SceneModel};
use crate::{
    stage::{UsdLoadSettings, UsdPayloads, UsdPrimInfo, UsdStageEntities, UsdStageReady, UsdStageRoot, UsdStageStatus, UsdTime},
    sync::{UsdSync, UsdSyncSystems},
};
use bevy::{asset::AssetPath, platform::collections::HashSet, prelude::*};
use std::path::{Component, Path, PathBuf};
use studio_graph::{
    blueprint::{
        asset::BlueprintFolder,
        spawn::{CanvasPosition, InBlueprint},
    },
    prelude::*,
    registry::InputPath,
    schedule::StudioSystems,
};
use studio_usd::host::EditLayer;

/// A USD scene: loads a stage, shows it, plays it, and follows its files when they change.
#[derive(Component, Reflect, Clone, Debug, PartialEq)]
#[reflect(Component, Default, Node)]
pub struct UsdScene {
    /// The root layer: a `.usd`, `.usda`, `.usdc` or `.usdz` file.
    #[reflect(@InputPath)]
    pub source: String,
    /// Whether payloads are loaded.
    pub load_payloads: bool,
    /// How often surfaces are refined; each level has four times the faces.
    #[reflect(@0..=5_u8)]
    pub refine_level: u8,
    /// Whether time goes on.
    pub playing: bool,
    /// Whether it begins again at its end.
    pub looping: bool,
    /// How fast it plays; 1 is its own speed.
    #[reflect(@-16.0..=16.0_f32)]
    pub rate: f32,
    /// The layer that edits are made in.
    pub edit_layer: SceneLayer,
    /// Which prims become nodes of their own when the scene is loaded.
    pub prim_nodes: PrimNodes,
}

/// The layer that edits of a scene are made in.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SceneLayer {
    /// One that is stronger than all others and in no file.
    #[default]
    Session,
    /// The root layer.
    Root,
}

/// Which prims become nodes of their own.
#[derive(Reflect, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PrimNodes {
    /// None but those that somebody makes.
    #[default]
    None,
    /// Cameras and lights.
    CamerasAndLights,
    /// These, and every mesh that is not part of an instance.
    All,
}

/// The most nodes that a scene makes of its prims.
const MOST_NODES: usize = 500;

impl Default for UsdScene {
    fn default() -> Self {
        Self {
            source: String::new(),
            load_payloads: true,
            refine_level: 0,
            playing: true,
            looping: true,
            rate: 1.0,
            edit_layer: SceneLayer::Session,
            prim_nodes: PrimNodes::None,
        }
    }
}

impl NodeKind for UsdScene {
    const DISPLAY_NAME: &'static str = "USD scene";
    const CATEGORY: &'static str = "Scene";

    fn pins(&self) -> Vec<PinSpec> {
        vec![PinSpec::output("scene", DataType::SCENE)]
    }
}

/// The root entity that a [`UsdScene`] node shows its stage below; despawned with the node.
#[derive(Component, Clone, Debug)]
#[component(on_remove = remove_scene)]
pub struct SceneOf {
    /// The entity with [`UsdStageRoot`].
    pub root: Entity,
    opened: (String, bool, u8),
    made_nodes: bool,
}

fn remove_scene(mut world: bevy::ecs::world::DeferredWorld, context: bevy::ecs::lifecycle::HookContext) {
    let Some(root) = world.get::<SceneOf>(context.entity).map(|scene| scene.root) else { return };
    world.commands().entity(root).try_despawn();
}

pub(super) fn add(app: &mut App) {
    app.register_node::<UsdScene>()
        .add_systems(Update, open_scenes.in_set(StudioSystems::Capture))
        .add_systems(PostUpdate, (report_scenes, make_nodes).after(UsdSyncSystems::Send).run_if(any_with_component::<UsdScene>));
}

/// Loads the stages of scenes whose settings changed.
fn open_scenes(
    mut scenes: Query<(Entity, &UsdScene, Option<&mut SceneOf>, &mut NodeStatus), Changed<UsdScene>>,
    mut roots: Query<(&mut UsdSync, Option<&mut UsdTime>)>,
    assets: Option<Res<AssetServer>>,
    folder: Option<Res<BlueprintFolder>>,
    mut commands: Commands,
) {
    for (node, scene, shown, mut status) in &mut scenes {
        let opened = (scene.source.clone(), scene.load_payloads, scene.refine_level);
        let edit_layer = match scene.edit_layer {
            SceneLayer::Session => EditLayer::Session,
            SceneLayer::Root => EditLayer::Root,
        };
        if let Some(shown) = shown.as_ref().filter(|shown| shown.opened == opened) {
            if let Ok((mut sync, time)) = roots.get_mut(shown.root) {
                sync.set_if_neq(UsdSync { edit_layer, ..sync.clone() });
                if let Some(mut time) = time {
                    let now = UsdTime { time_code: time.time_code, ..play(scene) };
                    time.set_if_neq(now);
                }
            }
            continue;
        }
        commands.entity(node).remove::<SceneOf>();
        let Some(assets) = &assets else {
            status.fail("there is no asset server to load scenes with; add Bevy's AssetPlugin".to_owned());
            continue;
        };
        if scene.source.is_empty() {
            continue;
        }
        let (load_payloads, refine_level) = (scene.load_payloads, scene.refine_level.min(UsdLoadSettings::MAX_REFINE_LEVEL));
        let settings = move |settings: &mut UsdLoadSettings| {
            settings.payloads = if load_payloads { UsdPayloads::All } else { UsdPayloads::None };
            settings.refine_level = refine_level;
        };
        // A file of the asset folder may refer to all of that folder, another one to what is below its own.
        let file = straight(Path::new(&scene.source));
        let folder = folder.as_ref().and_then(|folder| folder.0.as_deref()).map(straight);
        let below = folder.and_then(|folder| file.strip_prefix(folder).ok().map(Path::to_owned)).unwrap_or(file);
        let path = AssetPath::from_path_buf(below);
        let stage = assets.load_builder().with_settings(settings).load(path);
        let root =
            commands.spawn((UsdStageRoot(stage), UsdSync { edit_layer, ..default() }, Name::new(scene.source.clone()))).id();
        commands.entity(node).insert(SceneOf { root, opened, made_nodes: false });
    }
}

/// An absolute path without `..`, which no asset path may have; another path as it is.
fn straight(path: &Path) -> PathBuf {
    if !path.is_absolute() {
        return path.to_owned();
    }
    let mut straight = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = straight.pop(),
            Component::CurDir => {}
            part => straight.push(part),
        }
    }
    straight
}

fn play(scene: &UsdScene) -> UsdTime {
    UsdTime { playing: scene.playing, looping: scene.looping, rate: f64::from(scene.rate), ..default() }
}

/// Says on each scene how its stage fares.
fn report_scenes(
    mut scenes: Query<(&SceneOf, &UsdScene, &mut NodeStatus)>,
    roots: Query<Ref<UsdStageStatus>>,
    mut times: Query<&mut UsdTime, Added<UsdTime>>,
) {
    for (shown, scene, mut status) in &mut scenes {
        if let Ok(mut time) = times.get_mut(shown.root) {
            let now = UsdTime { time_code: time.time_code, ..play(scene) };
            time.set_if_neq(now);
        }
        let Ok(stage) = roots.get(shown.root) else { continue };
        if !stage.is_changed() {
            continue;
        }
        match &*stage {
            UsdStageStatus::Loading => {}
            UsdStageStatus::Ready => status.count_frame(),
            UsdStageStatus::Failed { error } => status.fail(error.clone()),
        }
    }
}

/// Makes nodes of prims, as far as there are none yet.
fn make_nodes(
    mut ready: MessageReader<UsdStageReady>,
    mut scenes: Query<(Entity, &UsdScene, &mut SceneOf, Option<&InBlueprint>, Option<&CanvasPosition>)>,
    roots: Query<&UsdStageEntities>,
    prims: Query<&UsdPrimInfo, Without<crate::stage::UsdInstanceProxy>>,
    models: Query<(&SceneModel, Option<&InBlueprint>)>,
    cameras: Query<(&SceneCamera, Option<&InBlueprint>)>,
    lights: Query<(&SceneLight, Option<&InBlueprint>)>,
    mut commands: Commands,
) {
    let ready: HashSet<Entity> = ready.read().map(|ready| ready.root).collect();
    if ready.is_empty() && scenes.iter().all(|(_, scene, shown, ..)| shown.made_nodes || scene.prim_nodes == PrimNodes::None) {
        return;
    }
    for (node, scene, mut shown, inside, at) in &mut scenes {
        let Ok(entities) = roots.get(shown.root) else { continue };
        if scene.prim_nodes == PrimNodes::None || (shown.made_nodes && !ready.contains(&shown.root)) {
            continue;
        }
        shown.made_nodes = true;
        let here = inside.map(|inside| inside.0);
        let among = |there: Option<&InBlueprint>| there.map(|there| there.0) == here;
        let mut known: HashSet<String> = HashSet::default();
        known.extend(models.iter().filter(|(_, there)| among(*there)).map(|(model, _)| model.prim.clone()));
        known.extend(cameras.iter().filter(|(_, there)| among(*there)).map(|(camera, _)| camera.prim.clone()));
        known.extend(lights.iter().filter(|(_, there)| among(*there)).map(|(light, _)| light.prim.clone()));
        let at = at.map_or(Vec2::ZERO, |at| at.0);
        let mut made = 0;
        for (path, entity) in entities.prims() {
            let Ok(info) = prims.get(entity) else { continue };
            let is_light = info.type_name.ends_with("Light") || info.type_name == "DomeLight_1";
            let is_wanted =
                is_light || info.type_name == "Camera" || (info.type_name == "Mesh" && scene.prim_nodes == PrimNodes::All);
            if !is_wanted || known.contains(path) {
                continue;
            }
            if made == MOST_NODES {
                warn!(
                    "{}: it has more prims than {MOST_NODES} that could be nodes; make nodes of the rest by hand",
                    scene.source
                );
                break;
            }
            let prim = path.to_owned();
            let place = CanvasPosition(at + Vec2::new(260.0, 110.0 * made as f32));
            let mut made_node = commands.spawn((Name::new(path.trim_start_matches('/').replace('/', " ")), place));
            if is_light {
                made_node.insert(SceneLight { prim, ..default() });
            } else if info.type_name == "Camera" {
                made_node.insert(SceneCamera { prim, ..default() });
            } else {
                made_node.insert(SceneModel { prim, ..default() });
            }
            if let Some(inside) = inside {
                made_node.insert(InBlueprint(inside.0));
            }
            let made_node = made_node.id();
            commands.connect(node, "scene", made_node, "scene");
            made += 1;
        }
    }
}
