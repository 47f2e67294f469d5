//! What is below a root.

use super::*;
use bevy::{math::DMat4, platform::collections::HashSet};
use studio_scene::stage::*;
use studio_usd::snapshot::AttributeValue;

#[test]
fn a_stage_stands_upright_in_metres() {
    let folder = folder(&[(
        "up.usda",
        r#"#usda 1.0
(
    upAxis = "Z"
    metersPerUnit = 0.01
)
def Xform "World"
{
    def Cube "Box"
    {
        double3 xformOp:translate = (100, 200, 300)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "up.usda");
    let space = *app.world().get::<UsdStageSpace>(root).expect("axis and unit");
    assert_eq!(space.meters_per_unit, 0.01);
    let bevy = place(&app, prim(&app, root, "/World/Box"));
    assert!(bevy.abs_diff_eq(Vec3::new(1.0, 3.0, -2.0), 1e-5), "{bevy}");
}

#[test]
fn a_root_stands_where_its_transform_was() {
    let folder = folder(&[("one.usda", "#usda 1.0\n(\n    metersPerUnit = 0.5\n)\ndef Cube \"Box\"\n{\n}\n")]);
    let mut app = app(folder.path());
    let stage: Handle<UsdStage> = app.world().resource::<AssetServer>().load("one.usda");
    let root = app.world_mut().spawn((UsdStageRoot(stage), Transform::from_xyz(1.0, 2.0, 3.0))).id();
    run_until(&mut app, "the stage", |world| world.get::<UsdStageStatus>(root) == Some(&UsdStageStatus::Ready));
    let transform = *app.world().get::<Transform>(root).expect("a transform");
    assert_eq!(transform.translation, Vec3::new(1.0, 2.0, 3.0));
    assert_eq!(transform.scale, Vec3::splat(0.5));
}

const INSTANCES: &str = r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "Source"
{
    def Cube "Shape"
    {
    }
}
def Xform "A" (
    instanceable = true
    references = </Source>
)
{
}
def Xform "B" (
    instanceable = true
    references = </Source>
)
{
    double3 xformOp:translate = (5, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
}
def Xform "C" (
    instanceable = true
    references = </Source>
)
{
}
"#;

#[test]
fn instances_share_one_mesh_and_one_material() {
    let folder = folder(&[("instances.usda", INSTANCES)]);
    let mut app = app(folder.path());
    let root = show(&mut app, "instances.usda");
    let shapes: Vec<Entity> = ["/A/Shape", "/B/Shape", "/C/Shape"].map(|path| prim(&app, root, path)).to_vec();
    let meshes: HashSet<_> = shapes.iter().map(|shape| app.world().get::<Mesh3d>(*shape).expect("a mesh").id()).collect();
    let materials: HashSet<_> = shapes
        .iter()
        .map(|shape| app.world().get::<MeshMaterial3d<StandardMaterial>>(*shape).expect("a material").id())
        .collect();
    assert_eq!((meshes.len(), materials.len()), (1, 1));
    assert!(shapes.iter().all(|shape| app.world().get::<UsdInstanceProxy>(*shape).is_some()));
    assert_eq!(place(&app, shapes[1]), Vec3::new(5.0, 0.0, 0.0));
    // The source itself, and one for all instances.
    assert_eq!(app.world().resource::<Assets<Mesh>>().len(), 2);
}

#[test]
fn a_point_instancer_draws_its_copies_and_not_its_prototypes() {
    let folder = folder(&[(
        "points.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def PointInstancer "Many"
{
    rel prototypes = [</Many/Protos/Box>, </Many/Protos/Group>]
    int[] protoIndices = [0, 1, 0, 1]
    point3f[] positions = [(0, 0, 0), (10, 0, 0), (20, 0, 0), (30, 0, 0)]
    int64[] invisibleIds = [3]
    def Scope "Protos"
    {
        def Cube "Box"
        {
        }
        def Xform "Group"
        {
            double3 xformOp:translate = (0, 1, 0)
            uniform token[] xformOpOrder = ["xformOp:translate"]
            def Sphere "Ball"
            {
            }
        }
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "points.usda");
    assert!(app.world().get::<Mesh3d>(prim(&app, root, "/Many/Protos/Box")).is_none());
    let mut copies = app.world_mut().query::<&UsdPointInstance>();
    let mut indices: Vec<usize> = copies.iter(app.world()).map(|copy| copy.index).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2]);
    let mut drawn = app.world_mut().query::<(&Mesh3d, &GlobalTransform)>();
    let places: Vec<(AssetId<Mesh>, Vec3)> =
        drawn.iter(app.world()).map(|(mesh, place)| (mesh.id(), place.translation())).collect();
    assert_eq!(places.len(), 3);
    assert!(places.iter().any(|(_, place)| *place == Vec3::new(10.0, 1.0, 0.0)), "{places:?}");
    assert_eq!(places.iter().map(|(mesh, _)| *mesh).collect::<HashSet<_>>().len(), 2);
}

#[test]
fn a_sheared_prim_and_what_is_below_it_are_exactly_where_the_file_says() {
    let folder = folder(&[(
        "shear.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "Sheared"
{
    matrix4d xformOp:transform = ((1, 0, 0, 0), (0.5, 1, 0, 0), (0, 0.25, 2, 0), (3, 4, 5, 1))
    uniform token[] xformOpOrder = ["xformOp:transform"]
    def Xform "Below"
    {
        double3 xformOp:translate = (1, 2, 3)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "shear.usda");
    let exact = DMat4::from_cols_array(&[1.0, 0.0, 0.0, 0.0, 0.5, 1.0, 0.0, 0.0, 0.0, 0.25, 2.0, 0.0, 3.0, 4.0, 5.0, 1.0]);
    let sheared = prim(&app, root, "/Sheared");
    assert_eq!(app.world().get::<UsdSheared>(sheared).expect("the exact matrix").parent_from_prim, exact);
    let global = app.world().get::<GlobalTransform>(sheared).expect("a place").to_matrix();
    assert!(global.abs_diff_eq(exact.as_mat4(), 1e-5), "{global}");
    let below = place(&app, prim(&app, root, "/Sheared/Below"));
    assert!(below.abs_diff_eq(exact.transform_point3(bevy::math::DVec3::new(1.0, 2.0, 3.0)).as_vec3(), 1e-5), "{below}");
}

#[test]
fn a_prim_that_resets_its_stack_is_placed_by_itself() {
    let folder = folder(&[(
        "reset.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "Moved"
{
    double3 xformOp:translate = (100, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Xform "Alone"
    {
        double3 xformOp:translate = (0, 1, 0)
        uniform token[] xformOpOrder = ["!resetXformStack!", "xformOp:translate"]
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "reset.usda");
    assert_eq!(place(&app, prim(&app, root, "/Moved/Alone")), Vec3::Y);
}

#[test]
fn unknown_schemas_stay_with_their_attributes() {
    let folder = folder(&[(
        "unknown.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def StudioGadget "Gadget" (
    customData = {
        string owner = "me"
    }
)
{
    custom double gain = 2.5
    custom string label = "left"
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "unknown.usda");
    let gadget = prim(&app, root, "/Gadget");
    assert_eq!(app.world().get::<UsdPrimInfo>(gadget).expect("what it is").type_name, "StudioGadget");
    let attributes = app.world().get::<UsdAttributes>(gadget).expect("its attributes");
    let gain = attributes.attributes.iter().find(|attribute| attribute.name == "gain").expect("gain");
    assert_eq!(gain.value.held_at(0.0), Some(&AttributeValue::Double(2.5)));
    assert!(attributes.metadata.iter().any(|(name, _)| name == "customData:owner"), "{:?}", attributes.metadata);
}

#[test]
fn what_is_hidden_or_for_another_purpose_is_not_seen() {
    let folder = folder(&[(
        "hidden.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "Hidden"
{
    token visibility = "invisible"
    def Cube "Below"
    {
    }
}
def Cube "Guide"
{
    uniform token purpose = "guide"
}
def Cube "Seen"
{
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "hidden.usda");
    let visibility = |app: &App, path: &str| *app.world().get::<Visibility>(prim(app, root, path)).expect("visibility");
    assert_eq!(visibility(&app, "/Hidden"), Visibility::Hidden);
    assert_eq!(visibility(&app, "/Hidden/Below"), Visibility::Inherited);
    assert!(app.world().get::<Mesh3d>(prim(&app, root, "/Guide")).is_none());
    assert!(app.world().get::<Mesh3d>(prim(&app, root, "/Seen")).is_some());
    let mut app = super::app(folder.path());
    let root = show_with(&mut app, "hidden.usda", |settings| settings.purposes.guide = true);
    assert!(app.world().get::<Mesh3d>(prim(&app, root, "/Guide")).is_some());
}

#[test]
fn subsets_are_drawn_with_their_own_materials() {
    let folder = folder(&[(
        "subsets.usda",
        r#"#usda 1.0
(
    metersPerUnit = 1
)
def Xform "World"
{
    def Mesh "Quads"
    {
        int[] faceVertexCounts = [4, 4]
        int[] faceVertexIndices = [0, 1, 4, 3, 1, 2, 5, 4]
        point3f[] points = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (0, 1, 0), (1, 1, 0), (2, 1, 0)]
        uniform token subdivisionScheme = "none"
        def GeomSubset "Left" (
            prepend apiSchemas = ["MaterialBindingAPI"]
        )
        {
            uniform token elementType = "face"
            uniform token familyName = "materialBind"
            int[] indices = [0]
            rel material:binding = </World/Red>
        }
    }
    def Material "Red"
    {
        token outputs:surface.connect = </World/Red/Surface.outputs:surface>
        def Shader "Surface"
        {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (1, 0, 0)
            token outputs:surface
        }
    }
}
"#,
    )]);
    let mut app = app(folder.path());
    let root = show(&mut app, "subsets.usda");
    let (mesh, left) = (prim(&app, root, "/World/Quads"), prim(&app, root, "/World/Quads/Left"));
    let color = |app: &App, entity: Entity| {
        let material = app.world().get::<MeshMaterial3d<StandardMaterial>>(entity).expect("a material");
        app.world().resource::<Assets<StandardMaterial>>().get(material).expect("it is there").base_color.to_linear()
    };
    assert_eq!(color(&app, left).red, 1.0);
    assert_eq!(color(&app, left).green, 0.0);
    assert_ne!(app.world().get::<Mesh3d>(mesh), app.world().get::<Mesh3d>(left));
    assert_eq!(color(&app, mesh).red, color(&app, mesh).green);
}

const INHERITING: &str = r#"#usda 1.0
(
    metersPerUnit = 1
)
def Scope "Looks"
{
    def Material "Red"
    {
        token outputs:surface.connect = </Looks/Red/Surface.outputs:surface>
        def Shader "Surface"
        {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (1, 0, 0)
            token outputs:surface
        }
    }
    def Material "Blue"
    {
        token outputs:surface.connect = </Looks/Blue/Surface.outputs:surface>
        def Shader "Surface"
        {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (0, 0, 1)
            token outputs:surface
        }
    }
}
class Xform "Source"
{
    def Cube "Plain"
    {
    }
    def Cube "Own" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {
        rel material:binding = </Source/Looks/Own>
    }
    def Scope "Looks"
    {
        def Material "Own"
        {
            token outputs:surface.connect = </Source/Looks/Own/Surface.outputs:surface>
            def Shader "Surface"
            {
                uniform token info:id = "UsdPreviewSurface"
                color3f inputs:diffuseColor = (0, 1, 0)
                token outputs:surface
            }
        }
    }
}
def Xform "A" (
    instanceable = true
    prepend apiSchemas = ["MaterialBindingAPI"]
    references = </Source>
)
{
    rel material:binding = </Looks/Red>
}
def Xform "Group" (
    prepend apiSchemas = ["MaterialBindingAPI"]
)
{
    rel material:binding = </Looks/Blue>
    def Xform "B" (
        instanceable = true
        references = </Source>
    )
    {
        token visibility = "invisible"
    }
}
def Xform "C" (
    instanceable = true
    references = </Source>
)
{
    uniform token purpose = "guide"
}
def PointInstancer "Many" (
    prepend apiSchemas = ["MaterialBindingAPI"]
)
{
    rel material:binding = </Looks/Blue>
    rel prototypes = [</Many/Proto>]
    int[] protoIndices = [0]
    point3f[] positions = [(9, 0, 0)]
    def Xform "Proto" (
        instanceable = true
        references = </Source>
    )
    {
    }
}
"#;

#[test]
fn what_an_instance_says_holds_for_the_prims_that_it_shares() {
    let folder = folder(&[("inheriting.usda", INHERITING)]);
    let mut app = app(folder.path());
    let root = show(&mut app, "inheriting.usda");
    let color = |app: &App, entity: Entity| {
        let material = app.world().get::<MeshMaterial3d<StandardMaterial>>(entity).expect("a material");
        let material = app.world().resource::<Assets<StandardMaterial>>().get(material).expect("it is there");
        material.base_color.to_linear().to_vec3()
    };
    let colors = ["/A/Plain", "/Group/B/Plain", "/A/Own", "/Group/B/Own"].map(|path| color(&app, prim(&app, root, path)));
    assert_eq!(colors, [Vec3::X, Vec3::Z, Vec3::Y, Vec3::Y]);
    // Colours alone need no other geometry.
    let mesh = |path: &str| app.world().get::<Mesh3d>(prim(&app, root, path)).map(|mesh| mesh.0.id());
    assert_eq!(mesh("/A/Plain"), mesh("/Group/B/Plain"));
    assert!(mesh("/A/Plain").is_some());
    // Guides are not for an audience.
    assert_eq!(mesh("/C/Plain"), None);
    assert_eq!(app.world().get::<Visibility>(prim(&app, root, "/Group/B")), Some(&Visibility::Hidden));
    // The copy of an instancer.
    let mut copies = app.world_mut().query_filtered::<(Entity, &GlobalTransform), With<Mesh3d>>();
    let copied: Vec<Entity> =
        copies.iter(app.world()).filter(|(_, place)| place.translation().x == 9.0).map(|(entity, _)| entity).collect();
    let mut copied: Vec<Vec3> = copied.into_iter().map(|entity| color(&app, entity)).collect();
    copied.sort_by(|a, b| a.y.total_cmp(&b.y));
    assert_eq!(copied, [Vec3::Z, Vec3::Y]);
}

const ROUND: &str = r#"#usda 1.0
(
    defaultPrim = "World"
    metersPerUnit = 0.01
    upAxis = "Z"
)
def Xform "World" (
    kind = "group"
)
{
    double3 xformOp:translate = (0, 0, 10)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Scope "Things"
    {
        def Mesh "Tile"
        {
            uniform token subdivisionScheme = "none"
            int[] faceVertexCounts = [4]
            int[] faceVertexIndices = [0, 1, 2, 3]
            point3f[] points = [(0, 0, 0), (10, 0, 0), (10, 10, 0), (0, 10, 0)]
            float3 xformOp:rotateXYZ = (0, 30, 45)
            uniform token[] xformOpOrder = ["xformOp:rotateXYZ"]
            def Xform "Hook"
            {
                double3 xformOp:translate = (1, 2, 3)
                uniform token[] xformOpOrder = ["xformOp:translate"]
            }
        }
        def Cube "Sheared"
        {
            matrix4d xformOp:transform = ( (1, 0, 0, 0), (0.5, 1, 0, 0), (0, 0, 1, 0), (4, 5, 6, 1) )
            uniform token[] xformOpOrder = ["xformOp:transform"]
        }
    }
    def Camera "Camera"
    {
        float focalLength = 35
        float horizontalAperture = 36
        float verticalAperture = 24
        float horizontalApertureOffset = 1.5
        float2 clippingRange = (0.5, 2000)
        float fStop = 2.8
        float focusDistance = 120
        float exposure = 1
        token stereoRole = "left"
        double3 xformOp:translate = (0, -100, 20)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
    def DomeLight "Sky"
    {
        float inputs:intensity = 0.5
        color3f inputs:color = (0.5, 0.75, 1)
    }
    def DiskLight "Lamp" (
        prepend apiSchemas = ["ShapingAPI"]
    )
    {
        float inputs:radius = 12
        float inputs:exposure = 4
        float inputs:shaping:cone:angle = 40
        bool inputs:enableColorTemperature = 1
        float inputs:colorTemperature = 3200
        double3 xformOp:translate = (0, 0, 200)
        uniform token[] xformOpOrder = ["xformOp:translate"]
    }
}
def Sphere "Materials"
{
}
"#;

/// Every prim with its place in the world, and what lights and cameras say.
fn described(app: &mut App) -> Vec<(String, Mat4, String)> {
    use studio_scene::look::{UsdCamera, UsdLight};
    let mut prims = app.world_mut().query::<(&UsdPrim, &GlobalTransform, Option<&UsdLight>, Option<&UsdCamera>)>();
    let mut all: Vec<(String, Mat4, String)> = prims
        .iter(app.world())
        .map(|(prim, place, light, camera)| {
            let says = format!("{:?} {:?}", light.map(|light| &light.light), camera.map(|camera| &camera.camera));
            (prim.path.to_string(), place.to_matrix(), says)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn a_stage_that_is_exported_comes_back_as_it_was() {
    use studio_scene::export::UsdExport;
    let folder = folder(&[("first.usda", ROUND)]);
    let mut first = app(folder.path());
    let root = show(&mut first, "first.usda");
    let scene = UsdExport::subtree(root).export(first.world()).expect("it is exported");
    for name in ["again.usda", "again.usdc"] {
        scene.write(folder.path().join(name)).expect("it is written");
        let mut second = app(folder.path());
        let again = show(&mut second, name);
        assert_eq!(
            first.world().get::<UsdStageSpace>(root).expect("a space"),
            second.world().get::<UsdStageSpace>(again).expect("a space")
        );
        // Materials have a scope of their own beside the prim of that name.
        let before = described(&mut first);
        let mut after = described(&mut second);
        after.retain(|(path, ..)| !path.starts_with("/Materials_") && !path.starts_with("/Prototypes"));
        let paths = |all: &[(String, Mat4, String)]| all.iter().map(|(path, ..)| path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&before), paths(&after), "{name}");
        for ((path, place, says), (_, place_again, says_again)) in before.iter().zip(&after) {
            assert!(place.abs_diff_eq(*place_again, 1e-4), "{name}: {path}: {place} {place_again}");
            assert_eq!(says, says_again, "{name}: {path}");
        }
        let kind = &second.world().get::<UsdPrimInfo>(prim(&second, again, "/World")).expect("it says").kind;
        assert_eq!(kind, "group");
        assert!(second.world().get::<Mesh3d>(prim(&second, again, "/World/Things/Tile")).is_some());
        assert!(second.world().get::<Mesh3d>(prim(&second, again, "/Materials")).is_some());
    }
}
