//! Stages that change while they are shown.

use super::*;
use studio_scene::stage::*;

const ROOT: &str = r#"#usda 1.0
(
    metersPerUnit = 1
    subLayers = [@./shapes.usda@]
)
over "World"
{
    over "Stays"
    {
        custom string note = "from the root"
    }
}
"#;

fn shapes(moved_x: f64, last: &str) -> String {
    format!(
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "World"
{{
    def Cube "Stays"
    {{
    }}
    def Cube "Moves"
    {{
        double3 xformOp:translate = ({moved_x}, 0, 0)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }}
    def Sphere "{last}"
    {{
    }}
}}
"#
    )
}

/// Something that is not ours.
#[derive(Component, Debug, PartialEq)]
struct Mine(u32);

fn drain<M: Message>(app: &mut App) -> Vec<M> {
    app.world_mut().resource_mut::<Messages<M>>().drain().collect()
}

#[test]
fn a_saved_layer_changes_what_changed_and_nothing_else() {
    let folder = folder(&[("root.usda", ROOT), ("shapes.usda", &shapes(1.0, "Goes"))]);
    let mut app = app(folder.path());
    let root = show(&mut app, "root.usda");
    let [world, stays, moves, goes] =
        ["/World", "/World/Stays", "/World/Moves", "/World/Goes"].map(|path| prim(&app, root, path));
    app.world_mut().entity_mut(stays).insert((Mine(1), Transform::from_xyz(0.0, 7.0, 0.0)));
    app.world_mut().entity_mut(moves).insert(Mine(2));
    let mesh = app.world().get::<Mesh3d>(moves).expect("a mesh").clone();
    drain::<UsdPrimChanged>(&mut app);
    drain::<UsdPrimAdded>(&mut app);

    write(folder.path(), "shapes.usda", &shapes(4.0, "Comes"));
    let mut messages = (Vec::new(), Vec::new(), Vec::new());
    run_until(&mut app, "the saved layer", |world| {
        messages.0.extend(world.resource_mut::<Messages<UsdPrimAdded>>().drain());
        messages.1.extend(world.resource_mut::<Messages<UsdPrimChanged>>().drain());
        messages.2.extend(world.resource_mut::<Messages<UsdPrimRemoved>>().drain());
        world.get::<UsdStageEntities>(root).is_some_and(|entities| entities.entity("/World/Comes").is_some())
    });
    app.update();
    messages.1.extend(drain::<UsdPrimChanged>(&mut app));
    assert_eq!(["/World", "/World/Stays", "/World/Moves"].map(|path| prim(&app, root, path)), [world, stays, moves]);
    assert_eq!(app.world().get::<Mine>(stays), Some(&Mine(1)));
    assert_eq!(app.world().get::<Mine>(moves), Some(&Mine(2)));
    // What someone did to a prim that did not change is left alone.
    assert_eq!(app.world().get::<Transform>(stays).expect("a transform").translation.y, 7.0);
    assert_eq!(place(&app, moves), Vec3::new(4.0, 0.0, 0.0));
    assert_eq!(app.world().get::<Mesh3d>(moves), Some(&mesh), "the mesh did not change");
    assert!(app.world().get_entity(goes).is_err());
    assert_eq!(messages.0.iter().map(|message| &*message.path).collect::<Vec<_>>(), ["/World/Comes"]);
    assert_eq!(messages.1.iter().map(|message| &*message.path).collect::<Vec<_>>(), ["/World/Moves"]);
    assert_eq!(messages.2.iter().map(|message| &*message.path).collect::<Vec<_>>(), ["/World/Goes"]);
}

#[test]
fn a_broken_layer_leaves_the_stage_as_it_was_and_says_where_it_broke() {
    let folder = folder(&[("root.usda", ROOT), ("shapes.usda", &shapes(1.0, "Last"))]);
    let mut app = app(folder.path());
    let root = show(&mut app, "root.usda");
    let moves = prim(&app, root, "/World/Moves");
    write(folder.path(), "shapes.usda", "#usda 1.0\ndef Xform \"World\"\n{\n    def Cube \"Moves\" {{{ oh no\n}\n");
    run_until(&mut app, "the error", |world| matches!(world.get(root), Some(UsdStageStatus::Failed { .. })));
    let Some(UsdStageStatus::Failed { error }) = app.world().get::<UsdStageStatus>(root) else { unreachable!() };
    assert!(error.contains("shapes.usda:4"), "{error}");
    assert_eq!(prim(&app, root, "/World/Moves"), moves);

    write(folder.path(), "shapes.usda", &shapes(9.0, "Last"));
    run_until(&mut app, "the mended layer", |world| world.get::<UsdStageStatus>(root) == Some(&UsdStageStatus::Ready));
    app.update();
    assert_eq!(place(&app, moves), Vec3::new(9.0, 0.0, 0.0));
}

#[test]
fn a_root_layer_that_is_no_usd_fails_with_the_reason() {
    let folder = folder(&[("bad.usda", "#usda 1.0\ndef Xform \"World\"\n{\n    int x = \n}\n")]);
    let mut app = app(folder.path());
    let stage: Handle<UsdStage> = app.world().resource::<AssetServer>().load("bad.usda");
    let root = app.world_mut().spawn(UsdStageRoot(stage)).id();
    run_until(&mut app, "the error", |world| matches!(world.get(root), Some(UsdStageStatus::Failed { .. })));
    let Some(UsdStageStatus::Failed { error }) = app.world().get::<UsdStageStatus>(root) else { unreachable!() };
    assert!(error.contains("bad.usda:"), "{error}");
}

const VARIANTS: &str = r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "Thing" (
    variants = {
        string shape = "box"
    }
    prepend variantSets = "shape"
)
{
    variantSet "shape" = {
        "box" {
            def Cube "Box"
            {
            }
        }
        "ball" {
            def Sphere "Ball"
            {
            }
        }
    }
    def Xform "Always"
    {
    }
}
"#;

fn ask(app: &mut App, root: Entity, change: UsdChange) {
    app.world_mut().write_message(UsdRequest { root, change });
}

fn has(world: &World, root: Entity, path: &str) -> bool {
    world.get::<UsdStageEntities>(root).is_some_and(|entities| entities.entity(path).is_some())
}

#[test]
fn a_variant_can_be_chosen_while_the_stage_is_shown_and_holds_when_a_layer_is_saved() {
    let folder = folder(&[("thing.usda", VARIANTS)]);
    let mut app = app(folder.path());
    let root = show(&mut app, "thing.usda");
    let always = prim(&app, root, "/Thing/Always");
    assert!(has(app.world(), root, "/Thing/Box"));
    let (thing, set) = ("/Thing".to_owned(), "shape".to_owned());
    ask(&mut app, root, UsdChange::SelectVariant { prim: thing.clone(), set, variant: "ball".to_owned() });
    run_until(&mut app, "the variant", |world| has(world, root, "/Thing/Ball"));
    assert!(!has(app.world(), root, "/Thing/Box"));
    assert_eq!(prim(&app, root, "/Thing/Always"), always);
    let variants = app.world().get::<UsdVariants>(prim(&app, root, "/Thing")).expect("variants");
    assert_eq!(variants.0[0].selection, "ball");
    assert_eq!(variants.0[0].variants, ["box", "ball"]);

    write(folder.path(), "thing.usda", &VARIANTS.replace("\"Always\"", "\"Since\""));
    run_until(&mut app, "the saved layer", |world| has(world, root, "/Thing/Since"));
    assert!(has(app.world(), root, "/Thing/Ball") && !has(app.world(), root, "/Thing/Box"));

    // What is on offer can be asked for, nothing else.
    let (set, variant) = ("no such set".to_owned(), "x".to_owned());
    ask(&mut app, root, UsdChange::SelectVariant { prim: thing, set, variant });
    run_until(&mut app, "the error", |world| matches!(world.get(root), Some(UsdStageStatus::Failed { .. })));
    assert!(has(app.world(), root, "/Thing/Ball"));
}

#[test]
fn payloads_come_and_go_and_layers_are_muted() {
    let folder = folder(&[
        (
            "root.usda",
            "#usda 1.0\n(\n    subLayers = [@./more.usda@]\n)\ndef Xform \"Heavy\" (\n    payload = @./heavy.usda@</In>\n)\n{\n}\n",
        ),
        ("heavy.usda", "#usda 1.0\ndef Xform \"In\"\n{\n    def Cube \"Box\"\n    {\n    }\n}\n"),
        ("more.usda", "#usda 1.0\ndef Xform \"More\"\n{\n}\n"),
    ]);
    let mut app = app(folder.path());
    let root = show_with(&mut app, "root.usda", |settings| settings.payloads = UsdPayloads::None);
    let heavy = prim(&app, root, "/Heavy");
    assert!(!has(app.world(), root, "/Heavy/Box"));
    assert_eq!(app.world().get::<UsdPrimInfo>(heavy).expect("what it is").payload, Some(false));
    ask(&mut app, root, UsdChange::LoadPayload { prim: "/Heavy".to_owned() });
    run_until(&mut app, "the payload", |world| has(world, root, "/Heavy/Box"));
    assert_eq!(app.world().get::<UsdPrimInfo>(heavy).expect("what it is").payload, Some(true));
    ask(&mut app, root, UsdChange::UnloadPayload { prim: "/Heavy".to_owned() });
    run_until(&mut app, "the payload to go", |world| !has(world, root, "/Heavy/Box"));

    ask(&mut app, root, UsdChange::MuteLayer { layer: "more.usda".to_owned(), muted: true });
    run_until(&mut app, "the muted layer", |world| !has(world, root, "/More"));
    ask(&mut app, root, UsdChange::MuteLayer { layer: "more.usda".to_owned(), muted: false });
    run_until(&mut app, "the layer", |world| has(world, root, "/More"));

    ask(&mut app, root, UsdChange::SetMask { prims: vec!["/More".to_owned()] });
    run_until(&mut app, "the mask", |world| !has(world, root, "/Heavy"));
    assert_eq!(prim(&app, root, "/More"), prim(&app, root, "/More"));
}

#[test]
fn stages_that_refer_to_each_other_can_be_loaded_again() {
    let text = |name: &str, other: &str, size: u32| {
        format!("#usda 1.0\n(\n    subLayers = [@./{other}.usda@]\n)\ndef Cube \"{name}\"\n{{\n    double size = {size}\n}}\n")
    };
    let folder = folder(&[("a.usda", &text("A", "b", 1)), ("b.usda", &text("B", "a", 1))]);
    let mut app = app(folder.path());
    let (a, b) = (show(&mut app, "a.usda"), show(&mut app, "b.usda"));
    write(folder.path(), "a.usda", &text("Since", "b", 1));
    run_until(&mut app, "the saved layer", |world| has(world, a, "/Since"));
    assert!(has(app.world(), b, "/B"));
}
