//! Stages in which something moves.

use super::*;
use bevy::time::TimeUpdateStrategy;
use studio_graph::clock::StudioTime;
use studio_scene::stage::*;

const MOVING: &str = r#"#usda 1.0
(
    metersPerUnit = 1
    startTimeCode = 0
    endTimeCode = 48
    timeCodesPerSecond = 24
)
def Xform "Moves"
{
    double3 xformOp:translate.timeSamples = {
        0: (0, 0, 0),
        48: (48, 0, 0),
    }
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
def Xform "Blinks"
{
    token visibility.timeSamples = {
        0: "inherited",
        10: "invisible",
    }
}
def Cube "Grows"
{
    double size.timeSamples = {
        0: 1,
        10: 3,
    }
}
"#;

fn step(app: &mut App, millis: u64) {
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::from_millis(millis)));
    app.update();
}

fn largest(app: &App, entity: Entity) -> f32 {
    let mesh = app.world().get::<Mesh3d>(entity).expect("a mesh");
    let mesh = app.world().resource::<Assets<Mesh>>().get(mesh).expect("it is there");
    let points = mesh.attribute(Mesh::ATTRIBUTE_POSITION).and_then(|points| points.as_float3()).expect("points");
    points.iter().map(|point| point[0]).fold(0.0, f32::max)
}

#[test]
fn time_codes_follow_the_clock_and_move_what_is_animated() {
    let folder = folder(&[("moving.usda", MOVING)]);
    let mut app = app(folder.path());
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    let root = show(&mut app, "moving.usda");
    let [moves, blinks, grows] = ["/Moves", "/Blinks", "/Grows"].map(|path| prim(&app, root, path));
    assert_eq!(place(&app, moves), Vec3::ZERO);
    // Bevy's clock goes on by at most a quarter of a second a frame.
    step(&mut app, 250);
    step(&mut app, 250);
    let time = *app.world().get::<UsdTime>(root).expect("a time");
    assert!((time.time_code - 12.0).abs() < 1e-6, "{time:?}");
    assert!((place(&app, moves).x - 12.0).abs() < 1e-4);
    assert_eq!(app.world().get::<Visibility>(blinks), Some(&Visibility::Hidden));
    assert!((largest(&app, grows) - 1.5).abs() < 1e-5);

    // Set by hand, paused.
    *app.world_mut().get_mut::<UsdTime>(root).expect("a time") = UsdTime { time_code: 5.0, playing: false, ..UsdTime::default() };
    step(&mut app, 500);
    assert!((place(&app, moves).x - 5.0).abs() < 1e-4);
    assert_eq!(app.world().get::<Visibility>(blinks), Some(&Visibility::Inherited));
    assert!((largest(&app, grows) - 1.0).abs() < 1e-5);

    // Around the end.
    *app.world_mut().get_mut::<UsdTime>(root).expect("a time") = UsdTime { time_code: 47.0, rate: 2.0, ..UsdTime::default() };
    step(&mut app, 250);
    assert!((place(&app, moves).x - 11.0).abs() < 1e-4);
}

#[test]
fn time_is_not_marked_as_changed_where_nothing_moves() {
    #[derive(Resource, Default)]
    struct Changes(u32);
    let folder = folder(&[("still.usda", "#usda 1.0\ndef Cube \"Box\"\n{\n}\n")]);
    let mut app = app(folder.path());
    app.init_resource::<Changes>().add_systems(
        Last,
        |times: Query<(), Changed<UsdTime>>, transforms: Query<(), Changed<Transform>>, mut changes: ResMut<Changes>| {
            changes.0 += times.iter().count() as u32 + transforms.iter().count() as u32;
        },
    );
    show(&mut app, "still.usda");
    app.update();
    app.world_mut().resource_mut::<Changes>().0 = 0;
    for _ in 0..10 {
        step(&mut app, 16);
    }
    assert_eq!(app.world().resource::<Changes>().0, 0);
}

#[test]
fn a_stage_follows_the_studio_where_there_is_one() {
    let folder = folder(&[("moving.usda", MOVING)]);
    let mut app = app(folder.path());
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    let mut studio = StudioTime::default();
    studio.note_frame(studio_frame::stamp::MediaTime::from_micros(10_000_000));
    app.insert_resource(studio);
    let root = show(&mut app, "moving.usda");
    app.world_mut().resource_mut::<StudioTime>().note_frame(studio_frame::stamp::MediaTime::from_micros(11_000_000));
    app.update();
    app.update();
    let time = *app.world().get::<UsdTime>(root).expect("a time");
    assert!((time.time_code - 24.0).abs() < 1e-6, "{time:?}");
}

#[test]
fn the_animated_files_of_the_corpus_move() {
    let Some(corpus) = corpus() else { return };
    let mut app = app(&corpus);
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    for name in ["AnimatedTriangle", "BoxAnimated", "RiggedSimple"] {
        let root = show(&mut app, &format!("test_assets/USDZ/{name}/{name}.usdz"));
        let places = |app: &mut App| -> Vec<Mat4> {
            let mut query = app.world_mut().query_filtered::<(Entity, &GlobalTransform), Or<(With<UsdPrim>, With<UsdJoint>)>>();
            let mut places: Vec<(Entity, Mat4)> =
                query.iter(app.world()).map(|(entity, place)| (entity, place.to_matrix())).collect();
            places.sort_by_key(|(entity, _)| *entity);
            places.into_iter().map(|(_, place)| place).collect()
        };
        let before = places(&mut app);
        let (first, last) = app.world().get::<UsdStageEntities>(root).expect("shown").animated_range().expect("something moves");
        app.world_mut().get_mut::<UsdTime>(root).expect("a time").time_code = first + (last - first) / 3.0;
        app.update();
        app.update();
        assert_ne!(before, places(&mut app), "{name} stands still");
        if name == "RiggedSimple" {
            let mut skins = app.world_mut().query::<&bevy::mesh::skinning::SkinnedMesh>();
            let joints: Vec<Vec<Entity>> = skins.iter(app.world()).map(|skin| skin.joints.clone()).collect();
            assert!(!joints.is_empty() && joints.iter().flatten().all(|joint| app.world().get::<UsdJoint>(*joint).is_some()));
        }
        app.world_mut().despawn(root);
    }
}

#[test]
fn points_that_move_move_in_the_mesh_that_is_there() {
    let folder = folder(&[(
        "wave.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
    startTimeCode = 0
    endTimeCode = 10
)
def Mesh "Wave"
{
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0, 1, 2]
    point3f[] points.timeSamples = {
        0: [(0, 0, 0), (1, 0, 0), (0, 1, 0)],
        10: [(0, 0, 0), (3, 0, 0), (0, 1, 0)],
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    app.insert_resource(TimeUpdateStrategy::ManualDuration(Duration::ZERO));
    let root = show(&mut app, "wave.usda");
    let wave = prim(&app, root, "/Wave");
    let handle = app.world().get::<Mesh3d>(wave).expect("a mesh").0.clone();
    // What someone else has put on the mesh stays only where the mesh is not made anew.
    let mut meshes = app.world_mut().resource_mut::<Assets<Mesh>>();
    meshes.get_mut(&handle).expect("it is there").insert_attribute(Mesh::ATTRIBUTE_UV_1, vec![[0.5, 0.5]; 3]);
    *app.world_mut().get_mut::<UsdTime>(root).expect("a time") = UsdTime { time_code: 5.0, playing: false, ..UsdTime::default() };
    step(&mut app, 0);
    assert!((largest(&app, wave) - 2.0).abs() < 1e-5);
    let mesh = app.world().resource::<Assets<Mesh>>().get(&handle).expect("it is there");
    assert!(mesh.contains_attribute(Mesh::ATTRIBUTE_UV_1), "the mesh was made anew");
}
