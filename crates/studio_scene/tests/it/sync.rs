//! A stage, its entities and the graph keep in step.

use super::{app_with, folder, place, prim, run_until, show, stage, write};
use bevy::{
    asset::{AssetPlugin, UnapprovedPathMode},
    prelude::*,
    transform::TransformPlugin,
};
use std::{net::Ipv4Addr, time::Instant};
use studio_graph::{
    blueprint::{read::read, spawn::spawn},
    prelude::*,
    status::NodeStatus,
};
use studio_scene::{
    look::{UsdCamera, UsdLight},
    stage::{UsdPlugin, UsdRequest, UsdStageEntities, UsdTime},
    sync::{
        SyncDirection, UsdShare, UsdSync, UsdSyncPlugin, UsdSyncReport,
        blueprint::{BLUEPRINT_SCOPE, blueprint_in, store_blueprint},
        nodes::{PrimNodes, SceneCamera, SceneLight, SceneModel, SceneOf, UsdScene},
    },
};
use studio_usd::{
    extract::ExtractOptions,
    host::{EditLayer, Number, StageEdit, StageValue},
    snapshot::XformOpValue,
};

const SCENE: &str = r#"#usda 1.0
(
    defaultPrim = "World"
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "World"
{
    def Xform "Rig"
    {
        double3 xformOp:translate = (1, 2, 3)
        float3 xformOp:rotateXYZ = (0, 90, 0)
        float3 xformOp:scale = (2, 2, 2)
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:rotateXYZ", "xformOp:scale"]

        def Cube "Box"
        {
        }
    }

    def Xform "Pivoted"
    {
        double3 xformOp:translate = (5, 0, 0)
        float3 xformOp:translate:pivot = (1, 0, 0)
        float xformOp:rotateZ = 90
        uniform token[] xformOpOrder = ["xformOp:translate", "xformOp:translate:pivot", "xformOp:rotateZ", "!invert!xformOp:translate:pivot"]
    }

    def Camera "Camera"
    {
        float focalLength = 35
        double3 xformOp:translate = (0, 1, 8)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }

    def SphereLight "Lamp"
    {
        float inputs:intensity = 30
        double3 xformOp:translate = (0, 4, 0)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }

    def Xform "Slider"
    {
        double3 xformOp:translate.timeSamples = {
            0: (0, 0, 0),
            10: (10, 0, 0),
        }
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
"#;

fn app(folder: &std::path::Path) -> App {
    app_with(folder, (GraphPlugin, UsdSyncPlugin))
}

fn shown(layers: &[(&str, &str)]) -> (tempfile::TempDir, App, Entity) {
    let folder = folder(layers);
    let mut app = app(folder.path());
    let root = show(&mut app, "scene.usda");
    app.world_mut().entity_mut(root).insert((UsdSync::default(), UsdTime { playing: false, ..default() }));
    app.update();
    (folder, app, root)
}

fn transform(app: &App, entity: Entity) -> Transform {
    *app.world().get::<Transform>(entity).expect("a transform")
}

fn edits(app: &App, root: Entity) -> u64 {
    app.world().get::<UsdSyncReport>(root).expect("a report").edits
}

fn translate(path: &str, to: [f64; 3]) -> StageEdit {
    StageEdit::SetAttribute {
        path: format!("{path}.xformOp:translate"),
        type_name: "double3".to_owned(),
        value: StageValue::Vec3d(to.map(Number)),
        time: None,
    }
}

#[test]
fn a_moved_entity_edits_its_prim_in_the_same_update_by_its_own_operations() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let wanted = Transform {
        translation: Vec3::new(-1.0, 0.5, 7.25),
        rotation: Quat::from_euler(EulerRot::ZYX, 0.3, -0.7, 1.1),
        scale: Vec3::new(2.0, 3.0, 0.5),
    };
    *app.world_mut().get_mut::<Transform>(rig).expect("it has one") = wanted;
    app.update();
    let now = stage(&app, root).host().transforms(vec!["/World/Rig".to_owned()]).expect("the stage answers");
    let xform = now[0].clone().expect("a transform");
    let names: Vec<&str> = xform.ops.iter().map(|op| op.name.as_str()).collect();
    assert_eq!(names, ["xformOp:translate", "xformOp:rotateXYZ", "xformOp:scale"]);
    let composed = xform.parent_from_prim(0.0).as_mat4();
    assert!(composed.abs_diff_eq(wanted.to_matrix(), 1e-4), "{composed} {}", wanted.to_matrix());
    assert_eq!(transform(&app, rig), wanted, "no echo");
    assert_eq!(edits(&app, root), 1);
}

#[test]
fn what_is_dragged_keeps_its_pivot() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let pivoted = prim(&app, root, "/World/Pivoted");
    app.world_mut().get_mut::<Transform>(pivoted).expect("it has one").translation += Vec3::new(0.0, 2.0, 0.0);
    app.update();
    let now = stage(&app, root).host().transforms(vec!["/World/Pivoted".to_owned()]).expect("the stage answers");
    let xform = now[0].clone().expect("a transform");
    assert_eq!(xform.ops.len(), 4, "its operations stay: {xform:?}");
    let XformOpValue::Translate(translate) = &xform.ops[0].value else { panic!("{xform:?}") };
    let translate = translate.at(0.0).expect("a value");
    assert!(translate.abs_diff_eq(bevy::math::DVec3::new(5.0, 2.0, 0.0), 1e-5), "{translate}");
}

#[test]
fn an_edited_prim_moves_its_entity_in_the_same_update_and_nothing_else() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let host = stage(&app, root).host().clone();
    host.edit(&EditLayer::Session, vec![translate("/World/Rig", [9.0, 8.0, 7.0])]).expect("an edit");
    app.update();
    assert_eq!(transform(&app, rig).translation, Vec3::new(9.0, 8.0, 7.0));
    assert_eq!(place(&app, prim(&app, root, "/World/Rig/Box")), Vec3::new(9.0, 8.0, 7.0), "what is below it has followed");
    assert_eq!(edits(&app, root), 0, "no echo");
    // Taken back, it is where it was.
    host.undo().expect("an answer").expect("a change");
    app.update();
    assert_eq!(transform(&app, rig).translation, Vec3::new(1.0, 2.0, 3.0));
}

#[test]
fn an_entity_that_moves_often_does_not_drift_and_is_written_once_a_move() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let start = transform(&app, rig);
    for step in 0..200_i32 {
        let turn = Quat::from_rotation_y(0.05 * step as f32);
        let mut now = app.world_mut().get_mut::<Transform>(rig).expect("it has one");
        now.rotation = (start.rotation * turn).normalize();
        now.translation = start.translation + Vec3::X * (step % 7) as f32;
        app.update();
    }
    *app.world_mut().get_mut::<Transform>(rig).expect("it has one") = start;
    app.update();
    for _ in 0..20 {
        app.update();
    }
    assert_eq!(transform(&app, rig), start);
    let now = stage(&app, root).host().transforms(vec!["/World/Rig".to_owned()]).expect("the stage answers");
    let composed = now[0].clone().expect("a transform").parent_from_prim(0.0).as_mat4();
    assert!(composed.abs_diff_eq(start.to_matrix(), 1e-5), "{composed}");
    assert!(edits(&app, root) <= 201, "{}", edits(&app, root));
}

#[test]
fn where_both_move_in_one_update_the_entity_holds() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let host = stage(&app, root).host().clone();
    host.edit(&EditLayer::Session, vec![translate("/World/Rig", [9.0, 8.0, 7.0])]).expect("an edit");
    app.world_mut().get_mut::<Transform>(rig).expect("it has one").translation = Vec3::new(-4.0, 0.0, 0.0);
    app.update();
    assert_eq!(transform(&app, rig).translation, Vec3::new(-4.0, 0.0, 0.0));
    let now = host.transforms(vec!["/World/Rig".to_owned()]).expect("the stage answers");
    let composed = now[0].clone().expect("a transform").parent_from_prim(0.0);
    assert!(composed.w_axis.truncate().abs_diff_eq(bevy::math::DVec3::new(-4.0, 0.0, 0.0), 1e-6), "{composed}");
}

#[test]
fn a_stronger_layer_holds_its_prim_and_says_so() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let host = stage(&app, root).host().clone();
    host.edit(&EditLayer::Session, vec![translate("/World/Rig", [9.0, 8.0, 7.0])]).expect("an edit");
    app.update();
    app.world_mut().get_mut::<UsdSync>(root).expect("it is kept in step").edit_layer = EditLayer::Root;
    app.world_mut().get_mut::<Transform>(rig).expect("it has one").translation = Vec3::ZERO;
    app.update();
    assert_eq!(transform(&app, rig).translation, Vec3::new(9.0, 8.0, 7.0), "the composed stage holds");
    let report = app.world().get::<UsdSyncReport>(root).expect("a report");
    assert!(report.messages.iter().any(|message| message.contains("/World/Rig") && message.contains("stronger")), "{report:?}");
}

#[test]
fn a_sample_is_written_where_a_prim_moves_over_time() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let slider = prim(&app, root, "/World/Slider");
    app.world_mut().get_mut::<UsdTime>(root).expect("a time").time_code = 5.0;
    app.update();
    assert_eq!(transform(&app, slider).translation, Vec3::new(5.0, 0.0, 0.0));
    assert_eq!(edits(&app, root), 0, "what plays is no edit");
    app.world_mut().get_mut::<Transform>(slider).expect("it has one").translation = Vec3::new(5.0, 3.0, 0.0);
    app.update();
    let at = |app: &App, time: f64| {
        let now = stage(app, root).host().transforms(vec!["/World/Slider".to_owned()]).expect("the stage answers");
        now[0].clone().expect("a transform").parent_from_prim(time).w_axis.truncate()
    };
    assert!(at(&app, 5.0).abs_diff_eq(bevy::math::DVec3::new(5.0, 3.0, 0.0), 1e-6));
    app.world_mut().get_mut::<UsdTime>(root).expect("a time").time_code = 10.0;
    app.update();
    assert!(transform(&app, slider).translation.abs_diff_eq(at(&app, 10.0).as_vec3(), 1e-5));
}

#[test]
fn who_follows_nobody_is_left_alone() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    app.world_mut().get_mut::<UsdSync>(root).expect("it is kept in step").direction = SyncDirection::ToStage;
    let host = stage(&app, root).host().clone();
    host.edit(&EditLayer::Session, vec![translate("/World/Rig", [9.0, 8.0, 7.0])]).expect("an edit");
    app.update();
    assert_eq!(transform(&app, prim(&app, root, "/World/Rig")).translation, Vec3::new(1.0, 2.0, 3.0));
}

#[test]
fn an_edit_of_anything_else_is_shown_and_entities_stay() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let rig = prim(&app, root, "/World/Rig");
    let host = stage(&app, root).host().clone();
    let edits = vec![
        StageEdit::DefinePrim { path: "/World/New".to_owned(), type_name: "Xform".to_owned() },
        translate("/World/Rig", [0.0, 0.0, 1.0]),
    ];
    host.edit(&EditLayer::Session, edits).expect("an edit");
    run_until(&mut app, "the new prim", |world| {
        world.get::<UsdStageEntities>(root).is_some_and(|shown| shown.entity("/World/New").is_some())
    });
    assert_eq!(prim(&app, root, "/World/Rig"), rig);
    assert_eq!(transform(&app, rig).translation, Vec3::new(0.0, 0.0, 1.0));
}

#[test]
fn edited_lights_cameras_and_visibility_are_shown_in_the_same_update_without_taking_the_stage_apart() {
    let (_folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let [lamp, camera, rig] = ["/World/Lamp", "/World/Camera", "/World/Rig"].map(|path| prim(&app, root, path));
    let host = stage(&app, root).host().clone();
    let float = |path: &str, value: f64| StageEdit::SetAttribute {
        path: path.to_owned(),
        type_name: "float".to_owned(),
        value: StageValue::Float(Number(value)),
        time: None,
    };
    let visible = |value: &str| StageEdit::SetAttribute {
        path: "/World/Rig.visibility".to_owned(),
        type_name: "token".to_owned(),
        value: StageValue::Token(value.to_owned()),
        time: None,
    };
    let says = |app: &App| {
        let light = app.world().get::<UsdLight>(lamp).expect("a light").light.intensity.at(0.0);
        let lens = app.world().get::<UsdCamera>(camera).expect("a camera").camera.focal_length.at(0.0);
        (light, lens, *app.world().get::<Visibility>(rig).expect("it has one"))
    };
    let before = app.world().get::<PointLight>(lamp).expect("Bevy's").intensity;
    let edits = vec![
        float("/World/Lamp.inputs:intensity", 60.0),
        float("/World/Camera.focalLength", 85.0),
        visible("invisible"),
        translate("/World/Rig", [0.0, 0.0, 1.0]),
    ];
    host.edit(&EditLayer::Session, edits).expect("edits");
    app.update();
    assert_eq!(says(&app), (Some(60.0), Some(85.0), Visibility::Hidden));
    assert_eq!(transform(&app, rig).translation, Vec3::new(0.0, 0.0, 1.0));
    assert!(app.world().resource::<Messages<UsdRequest>>().is_empty(), "the stage is not taken apart");
    app.update();
    assert!((app.world().get::<PointLight>(lamp).expect("Bevy's").intensity / before - 2.0).abs() < 1e-4);
    host.undo().expect("it is taken back");
    app.update();
    assert_eq!(says(&app), (Some(30.0), Some(35.0), Visibility::Inherited));
    assert!(app.world().resource::<Messages<UsdRequest>>().is_empty());
    // What was edited in place holds, and goes, where the stage is taken apart later for something else.
    host.edit(&EditLayer::Session, vec![visible("invisible"), float("/World/Lamp.inputs:intensity", 90.0)]).expect("edits");
    app.update();
    let new = |name: &str| StageEdit::DefinePrim { path: format!("/World/{name}"), type_name: "Xform".to_owned() };
    host.edit(&EditLayer::Session, vec![new("One")]).expect("an edit");
    let is_there = |app: &mut App, path: &str| {
        run_until(app, path, |world| world.get::<UsdStageEntities>(root).is_some_and(|shown| shown.entity(path).is_some()));
    };
    is_there(&mut app, "/World/One");
    assert_eq!(says(&app), (Some(90.0), Some(35.0), Visibility::Hidden));
    host.edit(&EditLayer::Session, vec![float("/World/Lamp.inputs:intensity", 120.0)]).expect("an edit");
    app.update();
    assert_eq!(says(&app).0, Some(120.0));
    let back = vec![new("Two"), visible("inherited"), float("/World/Lamp.inputs:intensity", 90.0)];
    host.edit(&EditLayer::Session, back).expect("an edit");
    is_there(&mut app, "/World/Two");
    assert_eq!(says(&app), (Some(90.0), Some(35.0), Visibility::Inherited));
}

#[test]
fn edits_outlive_a_saved_layer_and_the_file_wins_where_it_says_something_new() {
    let (folder, mut app, root) = shown(&[("scene.usda", SCENE)]);
    let (rig, camera) = (prim(&app, root, "/World/Rig"), prim(&app, root, "/World/Camera"));
    app.world_mut().get_mut::<UsdSync>(root).expect("it is kept in step").edit_layer = EditLayer::Root;
    app.world_mut().get_mut::<Transform>(rig).expect("it has one").translation = Vec3::new(0.0, 9.0, 0.0);
    app.world_mut().get_mut::<Transform>(camera).expect("it has one").translation = Vec3::new(0.0, 1.0, 20.0);
    app.update();
    // Somebody saves the file: the camera is elsewhere, the rig as it was.
    write(folder.path(), "scene.usda", &SCENE.replace("(0, 1, 8)", "(0, 1, 5)"));
    run_until(&mut app, "the saved layer", |world| {
        world.get::<Transform>(camera).is_some_and(|now| now.translation == Vec3::new(0.0, 1.0, 5.0))
    });
    assert_eq!(transform(&app, rig).translation, Vec3::new(0.0, 9.0, 0.0), "the edit of the rig stays");
    assert_eq!(prim(&app, root, "/World/Rig"), rig);
}

#[test]
fn edits_reach_another_process_and_come_back_from_it() {
    let files = folder(&[("scene.usda", SCENE)]);
    let mut apps = [app(files.path()), app(files.path())];
    let roots = [0, 1].map(|side| show(&mut apps[side], "scene.usda"));
    let listening = UsdShare::listen((Ipv4Addr::LOCALHOST, 0).into(), "a long token").expect("a port");
    let address = listening.address();
    apps[0].world_mut().entity_mut(roots[0]).insert(listening);
    let stranger = UsdShare::connect(address, "another token").expect("it tries");
    apps[1].world_mut().entity_mut(roots[1]).insert(UsdShare::connect(address, "a long token").expect("it tries"));
    let rigs = [0, 1].map(|side| prim(&apps[side], roots[side], "/World/Rig"));
    let wait = |apps: &mut [App; 2], what: &str, mut is_so: Box<dyn FnMut(&[App; 2]) -> bool>| {
        let start = Instant::now();
        while !is_so(apps) {
            assert!(start.elapsed().as_secs() < 30, "waited too long for: {what}");
            apps.iter_mut().for_each(App::update);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    // Edited before the other is there, it arrives all the same.
    apps[0].world_mut().get_mut::<Transform>(rigs[0]).expect("it has one").translation = Vec3::new(3.0, 3.0, 3.0);
    wait(&mut apps, "the first edit", Box::new(move |apps| transform(&apps[1], rigs[1]).translation == Vec3::splat(3.0)));
    apps[1].world_mut().get_mut::<Transform>(rigs[1]).expect("it has one").translation = Vec3::new(-1.0, 0.0, 0.0);
    wait(&mut apps, "the answer", Box::new(move |apps| transform(&apps[0], rigs[0]).translation == Vec3::new(-1.0, 0.0, 0.0)));
    let before = [0, 1].map(|side| stage(&apps[side], roots[side]).host().revision());
    for _ in 0..50 {
        apps.iter_mut().for_each(App::update);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let after = [0, 1].map(|side| stage(&apps[side], roots[side]).host().revision());
    assert_eq!(before, after, "nothing goes round in circles");
    assert_eq!(apps[0].world().get::<UsdShare>(roots[0]).expect("it listens").peers(), 1, "the stranger was not let in");
    drop(stranger);
}

#[test]
fn a_blueprint_lives_in_the_stage_and_comes_back_identical() {
    let (_folder, app, root) = shown(&[("scene.usda", SCENE)]);
    let text = include_str!("../../../../tests/it/every_kind.blueprint.ron");
    let (blueprint, problems) = read(text);
    assert_eq!(problems, []);
    let host = stage(&app, root).host().clone();
    store_blueprint(&host, &EditLayer::Root, BLUEPRINT_SCOPE, &blueprint).expect("it is written");
    // Written down and read by another.
    let written = host.export_layer(&EditLayer::Root).expect("a layer");
    let other = folder(&[("scene.usda", &written)]);
    let mut second = self::app(other.path());
    let second_root = show(&mut second, "scene.usda");
    let snapshot = stage(&second, second_root).host().extract(&ExtractOptions::default()).expect("a stage").snapshot;
    let (again, problems) = blueprint_in(&snapshot, BLUEPRINT_SCOPE).expect("it is there");
    assert_eq!(problems, []);
    assert!(again == blueprint, "{again:#?}\n{blueprint:#?}");
    // In place of the old one, not on top of it.
    store_blueprint(&host, &EditLayer::Root, BLUEPRINT_SCOPE, &Blueprint::default()).expect("it is written");
    let snapshot = host.extract(&ExtractOptions::default()).expect("a stage").snapshot;
    let (empty, _) = blueprint_in(&snapshot, BLUEPRINT_SCOPE).expect("it is there");
    assert!(empty.nodes.is_empty() && empty.links.is_empty());
}

#[test]
fn a_scene_node_takes_a_file_by_its_absolute_path_and_nothing_outside_of_its_folder() {
    let scene = "#usda 1.0\n(\n    subLayers = [@./look.usda@, @../outside.usda@]\n)\n\ndef Xform \"World\"\n{\n}\n";
    let adds = |name: &str| format!("#usda 1.0\n\nover \"World\"\n{{\n    def Cube \"{name}\"\n    {{\n    }}\n}}\n");
    let files = folder(&[("outside.usda", &adds("Secret"))]);
    let inner = files.path().join("inner");
    std::fs::create_dir(&inner).expect("made");
    write(&inner, "scene.usda", scene);
    write(&inner, "look.usda", &adds("Box"));
    let elsewhere = folder(&[]);
    let assets = AssetPlugin {
        file_path: elsewhere.path().display().to_string(),
        unapproved_path_mode: UnapprovedPathMode::Allow,
        ..default()
    };
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, assets, TransformPlugin, UsdPlugin, GraphPlugin, UsdSyncPlugin));
    app.finish();
    app.cleanup();
    let source = inner.join("scene.usda").display().to_string();
    let node = app.world_mut().spawn(UsdScene { source, ..default() }).id();
    run_until(&mut app, "the scene", |world| {
        let error = world.get::<NodeStatus>(node).and_then(NodeStatus::error).map(str::to_owned);
        assert_eq!(error, None);
        let root = world.get::<SceneOf>(node).map(|scene| scene.root);
        root.and_then(|root| world.get::<UsdStageEntities>(root)).is_some_and(|shown| shown.entity("/World/Box").is_some())
    });
    let root = app.world().get::<SceneOf>(node).expect("a scene").root;
    let shown = app.world().get::<UsdStageEntities>(root).expect("a stage");
    assert!(shown.entity("/World/Secret").is_none(), "a layer outside of the folder was read");
}

#[test]
fn prims_become_nodes_and_both_sides_follow_each_other() {
    let files = folder(&[("scene.usda", SCENE)]);
    let mut app = app(files.path());
    let blueprint = r#"(version: 1, nodes: {
        "scene": (kind: "UsdScene", settings: (source: "scene.usda", playing: false, prim_nodes: CamerasAndLights)),
        "rig": (kind: "SceneModel", settings: (prim: "/World/Rig")),
        "ghost": (kind: "SceneModel", settings: (prim: "/World/Ghost")),
    }, links: ["scene.scene -> rig.scene", "scene.scene -> ghost.scene"])"#;
    let (blueprint, _) = read(blueprint);
    spawn(app.world_mut(), &blueprint, None).unwrap_or_else(|problems| panic!("{problems:?}"));
    let mut cameras = app.world_mut().query::<&SceneCamera>();
    run_until(&mut app, "nodes of prims", |world| cameras.iter(world).any(|camera| camera.focal_length == 35.0));
    let world = app.world_mut();
    let scene = world.query::<(&UsdScene, &SceneOf)>().single(world).expect("one scene").1.root;
    let lights = world.query::<&SceneLight>().iter(world).map(|light| light.intensity).collect::<Vec<_>>();
    assert_eq!(lights, [30.0]);
    let (rig, model) = world
        .query::<(Entity, &SceneModel)>()
        .iter(world)
        .find(|(_, model)| model.prim == "/World/Rig")
        .map(|(node, model)| (node, model.clone()))
        .expect("a node");
    assert_eq!(model.place.translation, Vec3::new(1.0, 2.0, 3.0), "a new node takes the place of its prim");
    assert!(model.place.rotation_deg.abs_diff_eq(Vec3::new(0.0, 90.0, 0.0), 0.1), "{}", model.place.rotation_deg);
    let ghost = world
        .query::<(&SceneModel, &NodeStatus)>()
        .iter(world)
        .find(|(model, _)| model.prim == "/World/Ghost")
        .and_then(|(_, status)| status.error().map(str::to_owned));
    assert!(ghost.is_some_and(|error| error.contains("/World/Ghost")));

    // From the node to the prim, in one update.
    world.get_mut::<SceneModel>(rig).expect("its settings").place.translation = Vec3::new(0.0, 7.0, 0.0);
    app.update();
    let entity = prim(&app, scene, "/World/Rig");
    assert_eq!(transform(&app, entity).translation, Vec3::new(0.0, 7.0, 0.0));
    let host = stage(&app, scene).host().clone();
    let composed = host.transforms(vec!["/World/Rig".to_owned()]).expect("an answer")[0].clone().expect("a transform");
    assert!(composed.parent_from_prim(0.0).w_axis.truncate().abs_diff_eq(bevy::math::DVec3::new(0.0, 7.0, 0.0), 1e-6));
    // From the prim to the node.
    host.edit(&EditLayer::Session, vec![translate("/World/Rig", [4.0, 0.0, 0.0])]).expect("an edit");
    app.update();
    assert_eq!(app.world().get::<SceneModel>(rig).expect("its settings").place.translation, Vec3::new(4.0, 0.0, 0.0));
    // A light's brightness.
    let world = app.world_mut();
    let lamp = world.query_filtered::<Entity, With<SceneLight>>().single(world).expect("one lamp");
    world.get_mut::<SceneLight>(lamp).expect("its settings").intensity = 55.0;
    app.update();
    let shown = prim(&app, scene, "/World/Lamp");
    assert_eq!(app.world().get::<UsdLight>(shown).expect("a light").light.intensity.at(0.0), Some(55.0), "in the same update");
    let says = host.extract(&ExtractOptions::default()).expect("a stage").snapshot;
    let studio_usd::snapshot::PrimData::Light(light) = &says.prim("/World/Lamp").expect("a lamp").data else {
        panic!("no light")
    };
    assert_eq!(light.intensity.at(0.0), Some(55.0));
    // With the node, the scene goes.
    let world = app.world_mut();
    let node = world.query_filtered::<Entity, With<UsdScene>>().single(world).expect("one scene");
    world.entity_mut(node).despawn();
    app.update();
    assert!(app.world().get_entity(scene).is_err());
    assert_eq!(PrimNodes::default(), PrimNodes::None);
}
