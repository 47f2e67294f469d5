//! What small texts become.

use super::*;
use crate::snapshot::*;
use glam::{DMat4, DVec3, Vec2, Vec3, Vec4};
use proptest::prelude::*;

fn open(text: &str) -> Extracted {
    try_open(text).unwrap()
}

fn try_open(text: &str) -> Result<Extracted, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stage.usda");
    std::fs::write(&path, format!("#usda 1.0\n{text}")).unwrap();
    let stage = Stage::open(path.to_str().unwrap()).map_err(|error| format!("{error:#}"))?;
    Ok(extract(&stage, &ExtractOptions::default()))
}

fn prim<'a>(extracted: &'a Extracted, path: &str) -> &'a Prim {
    extracted.snapshot.prim(path).unwrap_or_else(|| panic!("no {path}"))
}

fn mesh<'a>(extracted: &'a Extracted, path: &str) -> &'a Mesh {
    match &prim(extracted, path).data {
        PrimData::Mesh(mesh) => mesh,
        other => panic!("{path} is no mesh but {other:?}"),
    }
}

fn said(extracted: &Extracted, what: &str) -> bool {
    extracted.issues.iter().any(|issue| issue.message.contains(what))
}

#[test]
fn a_stage_that_says_nothing_has_the_schemas_fallbacks() {
    let snapshot = open("def Xform \"A\"\n{\n}\n").snapshot;
    assert_eq!(snapshot.up_axis, UpAxis::Y);
    assert_eq!((snapshot.meters_per_unit, snapshot.time_codes_per_second, snapshot.frames_per_second), (0.01, 24.0, 24.0));
    let snapshot = open("(\n framesPerSecond = 30\n upAxis = \"Z\"\n metersPerUnit = 1\n startTimeCode = 3\n)\n").snapshot;
    assert_eq!((snapshot.time_codes_per_second, snapshot.meters_per_unit, snapshot.start_time_code), (30.0, 1.0, 3.0));
    assert_eq!(snapshot.up_axis, UpAxis::Z);
}

#[test]
fn only_active_defined_prims_that_are_no_classes_are_there() {
    let extracted = open(
        "def \"A\"\n{\n def \"Off\" (active = false)\n {\n  def \"Below\"\n  {\n  }\n }\n over \"Over\"\n {\n }\n}\nclass \"C\"\n{\n def \"In\"\n {\n }\n}\n",
    );
    let paths: Vec<&str> = extracted.snapshot.prims.iter().map(|prim| prim.path.as_str()).collect();
    assert_eq!(paths, ["/A"]);
}

#[test]
fn purposes_are_inherited_and_visibility_is_each_prims_own() {
    let extracted = open(
        "def Xform \"A\"\n{\n uniform token purpose = \"proxy\"\n token visibility = \"invisible\"\n def Cube \"B\"\n {\n }\n def Cube \"C\"\n {\n  uniform token purpose = \"render\"\n }\n}\n",
    );
    assert_eq!(prim(&extracted, "/A/B").purpose, Purpose::Proxy);
    assert_eq!(prim(&extracted, "/A/C").purpose, Purpose::Render);
    assert_eq!(prim(&extracted, "/A").visible.at(0.0), Some(false));
    assert_eq!(prim(&extracted, "/A/B").visible.at(0.0), Some(true));
}

#[test]
fn every_kind_of_transform_operation_is_read_in_every_precision() {
    let extracted = open(
        "def Xform \"A\"\n{\n half3 xformOp:translate = (1, 2, 3)\n float3 xformOp:translate:pivot = (0, 1, 0)\n double xformOp:rotateX = 90\n \
         half xformOp:rotateZ:x = 90\n float3 xformOp:rotateZYX = (0, 0, 90)\n float3 xformOp:scale = (2, 2, 2)\n double xformOp:scaleY = 3\n \
         double xformOp:translateZ:up = 5\n quath xformOp:orient = (0.7071068, 0, 0, 0.7071068)\n \
         matrix4d xformOp:transform = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (7, 8, 9, 1))\n \
         uniform token[] xformOpOrder = [\"xformOp:translate\", \"xformOp:translate:pivot\", \"xformOp:rotateX\", \"!invert!xformOp:translate:pivot\", \
         \"xformOp:rotateZ:x\", \"xformOp:rotateZYX\", \"xformOp:scale\", \"xformOp:scaleY\", \"xformOp:translateZ:up\", \"xformOp:orient\", \"xformOp:transform\"]\n}\n",
    );
    assert!(extracted.issues.is_empty(), "{:?}", extracted.issues);
    let xform = prim(&extracted, "/A").xform.as_ref().unwrap();
    assert_eq!(xform.ops.len(), 11);
    let quarter = std::f64::consts::FRAC_PI_2;
    let expected = DMat4::from_translation(DVec3::new(1.0, 2.0, 3.0))
        * DMat4::from_translation(DVec3::Y)
        * DMat4::from_rotation_x(quarter)
        * DMat4::from_translation(-DVec3::Y)
        * DMat4::from_rotation_z(quarter)
        * DMat4::from_rotation_z(quarter)
        * DMat4::from_scale(DVec3::new(2.0, 6.0, 2.0))
        * DMat4::from_translation(DVec3::Z * 5.0)
        * DMat4::from_rotation_z(quarter)
        * DMat4::from_translation(DVec3::new(7.0, 8.0, 9.0));
    let found = xform.parent_from_prim(0.0);
    assert!(found.abs_diff_eq(expected, 2e-2), "{found} {expected}");
}

#[test]
fn operations_move_on_their_own_samples_and_resetting_drops_what_is_before() {
    let extracted = open(
        "def Xform \"A\"\n{\n double3 xformOp:translate = (9, 9, 9)\n double3 xformOp:translate.timeSamples = { 0: (0, 0, 0), 10: (10, 0, 0) }\n \
         float xformOp:rotateY = 45\n uniform token[] xformOpOrder = [\"xformOp:rotateY\", \"!resetXformStack!\", \"xformOp:translate\", \"xformOp:gone\"]\n}\n",
    );
    let xform = prim(&extracted, "/A").xform.as_ref().unwrap();
    assert!(xform.resets_stack && xform.is_animated());
    assert_eq!(xform.ops.len(), 1);
    assert!(xform.parent_from_prim(2.5).w_axis.truncate().abs_diff_eq(DVec3::X * 2.5, 1e-12));
    assert_eq!(prim(&extracted, "/A").animated_attributes, ["xformOp:translate"]);
    assert!(said(&extracted, "xformOp:gone"));
}

const QUAD: &str = "point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]\n int[] faceVertexCounts = [4]\n int[] faceVertexIndices = [0, 1, 2, 3]\n";

#[test]
fn primvars_keep_their_indices_interpolation_and_order() {
    let extracted = open(&format!(
        "def Mesh \"M\"\n{{\n {QUAD} uniform token orientation = \"leftHanded\"\n normal3f[] normals = [(0, 0, 1)]\n \
         normal3f[] primvars:normals = [(0, 1, 0)] (interpolation = \"uniform\")\n \
         texCoord2f[] primvars:st = [(0, 0), (1, 1)] (interpolation = \"faceVarying\")\n int[] primvars:st:indices = [0, 1, 1, 0]\n \
         float2[] primvars:lightmap = [(0, 0), (1, 0), (1, 1), (0, 1)] (interpolation = \"vertex\")\n \
         color3f[] primvars:displayColor = [(1, 0, 0)]\n}}\n"
    ));
    let mesh = mesh(&extracted, "/M");
    assert!(mesh.left_handed && !mesh.double_sided);
    assert_eq!(
        mesh.subdivision,
        Subdivision { face_varying_linear_interpolation: "cornersPlus1".to_owned(), ..Subdivision::default() }
    );
    let normals = mesh.normals.as_ref().unwrap();
    assert_eq!((normals.interpolation, normals.values.default.as_deref()), (Interpolation::Uniform, Some(&[Vec3::Y][..])));
    let names: Vec<&str> = mesh.uvs.iter().map(|uv| uv.name.as_str()).collect();
    assert_eq!(names, ["lightmap", "st"]);
    assert_eq!(mesh.uvs[1].indices.as_ref().unwrap().default, Some(vec![0, 1, 1, 0]));
    assert_eq!(mesh.display_color.as_ref().unwrap().interpolation, Interpolation::Constant);
}

#[test]
fn constant_primvars_are_inherited_but_no_others() {
    let extracted = open(&format!(
        "def Xform \"A\"\n{{\n color3f[] primvars:displayColor = [(1, 0, 0)]\n float[] primvars:displayOpacity = [0.5] (interpolation = \"vertex\")\n \
         def Xform \"B\"\n {{\n  def Mesh \"M\"\n  {{\n {QUAD}  }}\n  def Sphere \"S\"\n  {{\n   color3f[] primvars:displayColor = [(0, 1, 0)]\n  }}\n }}\n}}\n"
    ));
    let mesh = mesh(&extracted, "/A/B/M");
    assert_eq!(mesh.display_color.as_ref().unwrap().values.default, Some(vec![Vec3::X]));
    assert!(mesh.display_opacity.is_none());
    let PrimData::Shape(shape) = &prim(&extracted, "/A/B/S").data else { panic!() };
    assert_eq!(shape.display_color, Some(Vec3::Y));
}

#[test]
fn wrong_types_lengths_and_indices_are_noted_and_fall_back() {
    let extracted = open(
        "def Mesh \"M\"\n{\n string[] points = [\"a\"]\n int[] faceVertexCounts = [3, 3]\n int[] faceVertexIndices = [0, 1, 7]\n \
         token subdivisionScheme = \"cubist\"\n float3[] extent = [(0, 0, 0)]\n \
         texCoord2f[] primvars:st = [(0, 0)]\n int[] primvars:st:indices = [5]\n}\ndef Sphere \"S\"\n{\n string radius = \"big\"\n}\n\
         def Cube \"C\"\n{\n int[] faceVertexCounts = [-1]\n token visibility = \"invisible\"\n double size = 3\n}\n",
    );
    let mesh = mesh(&extracted, "/M");
    assert_eq!(mesh.points.default, Some(Vec::new()));
    assert_eq!(mesh.subdivision.scheme, SubdivisionScheme::CatmullClark);
    assert!(!mesh.extent.is_some());
    for what in [
        "`points` should be",
        "asks for 6 corners",
        "goes up to 7",
        "cubist",
        "`extent` should be two points",
        "goes up to 5",
        "`radius` should be a number",
    ] {
        assert!(said(&extracted, what), "{what}: {:?}", extracted.issues);
    }
    assert!(extracted.issues.iter().all(|issue| !issue.prim.is_empty() && issue.layer.ends_with("stage.usda")));
    let PrimData::Shape(Shape { kind: ShapeKind::Sphere { radius }, .. }) = &prim(&extracted, "/S").data else { panic!() };
    assert_eq!(radius.at(0.0), Some(1.0));
}

#[test]
fn subsets_carry_their_faces_and_their_own_materials() {
    let extracted = open(&format!(
        "def Material \"Red\"\n{{\n}}\ndef Material \"Blue\"\n{{\n}}\ndef Mesh \"M\" (prepend apiSchemas = [\"MaterialBindingAPI\"])\n{{\n {QUAD} rel material:binding = </Red>\n \
         def GeomSubset \"Part\" (prepend apiSchemas = [\"MaterialBindingAPI\"])\n {{\n  uniform token elementType = \"face\"\n  uniform token familyName = \"materialBind\"\n  int[] indices = [0]\n  rel material:binding = </Blue>\n }}\n}}\n"
    ));
    let part = &mesh(&extracted, "/M").subsets[0];
    assert_eq!((part.path.as_str(), part.family.as_str(), &part.faces[..]), ("/M/Part", "materialBind", &[0][..]));
    assert_eq!(part.material.as_deref(), Some("/Blue"));
    assert_eq!(prim(&extracted, "/M").material.as_deref(), Some("/Red"));
}

#[test]
fn bindings_follow_strength_purpose_and_collections() {
    let extracted = open(
        "def Material \"Red\"\n{\n}\ndef Material \"Blue\"\n{\n}\ndef Material \"Green\"\n{\n}\n\
         def Xform \"A\" (prepend apiSchemas = [\"MaterialBindingAPI\", \"CollectionAPI:some\"])\n{\n rel material:binding = </Red>\n \
         uniform token collection:some:expansionRule = \"expandPrims\"\n rel collection:some:includes = </A/InCollection>\n \
         rel material:binding:collection:some = [</A.collection:some>, </Green>]\n \
         def Cube \"Inherits\"\n {\n }\n def Cube \"Own\"\n {\n  rel material:binding = </Blue>\n }\n def Cube \"InCollection\"\n {\n }\n \
         def Cube \"Preview\"\n {\n  rel material:binding = </Red>\n  rel material:binding:preview = </Blue>\n }\n}\n\
         def Xform \"S\"\n{\n rel material:binding = </Red> (bindMaterialAs = \"strongerThanDescendants\")\n def Cube \"Own\"\n {\n  rel material:binding = </Blue>\n }\n}\n",
    );
    let bound = |path: &str| prim(&extracted, path).material.clone().unwrap_or_default();
    assert_eq!(bound("/A/Inherits"), "/Red");
    assert_eq!(bound("/A/Own"), "/Blue");
    assert_eq!(bound("/A/InCollection"), "/Green");
    assert_eq!(bound("/A/Preview"), "/Blue");
    assert_eq!(bound("/S/Own"), "/Red");
}

fn material<'a>(extracted: &'a Extracted, path: &str) -> &'a Material {
    match &prim(extracted, path).data {
        PrimData::Material(material) => material,
        other => panic!("{path} is no material but {other:?}"),
    }
}

#[test]
fn preview_surfaces_are_read_through_node_graphs_and_interfaces() {
    let extracted = open(
        "def Material \"M\"\n{\n color3f inputs:tint = (0.1, 0.2, 0.3)\n token outputs:surface.connect = </M/S.outputs:surface>\n \
         token inputs:uvs = \"map1\"\n\
         def Shader \"S\"\n {\n  uniform token info:id = \"UsdPreviewSurface\"\n  color3f inputs:emissiveColor.connect = </M.inputs:tint>\n  \
         color3f inputs:diffuseColor.connect = </M/G.outputs:color>\n  float inputs:metallic.connect = </M/G/T.outputs:b>\n  float inputs:roughness = 0.25\n  \
         float inputs:opacity.connect = </M/P.outputs:result>\n  float inputs:opacityThreshold = 0.5\n  token outputs:surface\n }\n \
         def Shader \"P\"\n {\n  uniform token info:id = \"UsdPrimvarReader_float\"\n  string inputs:varname = \"fade\"\n  float inputs:fallback = 0.75\n  float outputs:result\n }\n \
         def NodeGraph \"G\"\n {\n  color3f outputs:color.connect = </M/G/T.outputs:rgb>\n  \
         def Shader \"T\"\n  {\n   uniform token info:id = \"UsdUVTexture\"\n   asset inputs:file = @./wood.png@\n   token inputs:wrapS = \"repeat\"\n   token inputs:wrapT = \"mirror\"\n   \
         token inputs:sourceColorSpace = \"sRGB\"\n   float4 inputs:scale = (2, 2, 2, 1)\n   float4 inputs:bias = (-1, -1, -1, 0)\n   float2 inputs:st.connect = </M/G/X.outputs:result>\n   float3 outputs:rgb\n   float outputs:b\n  }\n  \
         def Shader \"X\"\n  {\n   uniform token info:id = \"UsdTransform2d\"\n   float inputs:rotation = 90\n   float2 inputs:scale = (2, 3)\n   float2 inputs:translation = (0.5, 0)\n   float2 inputs:in.connect = </M/G/R.outputs:result>\n   float2 outputs:result\n  }\n  \
         def Shader \"R\"\n  {\n   uniform token info:id = \"UsdPrimvarReader_float2\"\n   string inputs:varname.connect = </M.inputs:uvs>\n   float2 outputs:result\n  }\n }\n}\n",
    );
    let surface = material(&extracted, "/M").surface.as_ref().unwrap();
    assert_eq!(surface.emissive_color.value, Vec3::new(0.1, 0.2, 0.3));
    assert_eq!((surface.roughness.value, surface.opacity_threshold, surface.ior), (0.25, 0.5, 1.5));
    let Some(InputSource::Texture(texture)) = &surface.diffuse_color.source else { panic!("{surface:?}") };
    assert_eq!((texture.authored.as_str(), texture.channels), ("./wood.png", TextureChannels::Rgb));
    assert_eq!(
        (texture.wrap_s, texture.wrap_t, texture.color_space),
        (TextureWrap::Repeat, TextureWrap::Mirror, TextureColorSpace::Srgb)
    );
    assert_eq!((texture.scale, texture.bias), (Vec4::new(2.0, 2.0, 2.0, 1.0), Vec4::new(-1.0, -1.0, -1.0, 0.0)));
    assert_eq!(texture.uv_primvar, "map1");
    let transform = UvTransform { scale: Vec2::new(2.0, 3.0), rotation_deg: 90.0, translation: Vec2::new(0.5, 0.0) };
    assert_eq!(texture.uv_transform, transform);
    assert!(matches!(&surface.metallic.source, Some(InputSource::Texture(texture)) if texture.channels == TextureChannels::B));
    let expected = InputSource::Primvar { name: "fade".to_owned(), fallback: Vec4::new(0.75, 0.75, 0.75, 1.0) };
    assert_eq!(surface.opacity.source, Some(expected));
    assert!(material(&extracted, "/M").left_out.is_empty(), "{:?}", material(&extracted, "/M").left_out);
}

#[test]
fn connections_in_circles_end_and_unknown_surfaces_are_named() {
    let extracted = open(
        "def Material \"Circle\"\n{\n color3f inputs:a.connect = </Circle.inputs:b>\n color3f inputs:b.connect = </Circle.inputs:a>\n \
         token outputs:surface.connect = </Circle/S.outputs:surface>\n def Shader \"S\"\n {\n  uniform token info:id = \"UsdPreviewSurface\"\n  color3f inputs:diffuseColor.connect = </Circle.inputs:a>\n  token outputs:surface\n }\n}\n\
         def Material \"Other\"\n{\n token outputs:surface.connect = </Other/S.outputs:out>\n def Shader \"S\"\n {\n  uniform token info:id = \"PxrSurface\"\n  token outputs:out\n }\n}\n",
    );
    assert!(said(&extracted, "in a circle"));
    assert_eq!(material(&extracted, "/Circle").surface.as_ref().unwrap().diffuse_color.value, Vec3::splat(0.18));
    let other = material(&extracted, "/Other");
    assert!(other.surface.is_none() && other.left_out[0].contains("PxrSurface"), "{other:?}");
}

#[test]
fn materialx_surfaces_keep_their_constants_and_images() {
    let extracted = open(
        "def Material \"M\"\n{\n token outputs:mtlx:surface.connect = </M/S.outputs:out>\n def Shader \"S\"\n {\n  uniform token info:id = \"ND_standard_surface_surfaceshader\"\n  \
         float inputs:base = 0.5\n  color3f inputs:base_color.connect = </M/I.outputs:out>\n  float inputs:metalness = 1\n  float inputs:subsurface = 0.3\n  vector3f inputs:normal.connect = </M/N.outputs:out>\n  token outputs:out\n }\n \
         def Shader \"I\"\n {\n  uniform token info:id = \"ND_tiledimage_color3\"\n  asset inputs:file = @brass.jpg@ (colorSpace = \"srgb_texture\")\n  float2 inputs:uvtiling = (4, 2)\n  color3f outputs:out\n }\n \
         def Shader \"N\"\n {\n  uniform token info:id = \"ND_normalmap\"\n  vector3f inputs:in.connect = </M/J.outputs:out>\n  vector3f outputs:out\n }\n \
         def Shader \"J\"\n {\n  uniform token info:id = \"ND_image_vector3\"\n  asset inputs:file = @normal.png@\n  vector3f outputs:out\n }\n}\n",
    );
    let material = material(&extracted, "/M");
    let surface = material.surface.as_ref().unwrap();
    let Some(InputSource::Texture(texture)) = &surface.diffuse_color.source else { panic!("{material:?}") };
    assert_eq!((texture.color_space, texture.scale), (TextureColorSpace::Srgb, Vec4::new(0.5, 0.5, 0.5, 1.0)));
    assert_eq!((texture.uv_transform.scale, texture.wrap_s), (Vec2::new(4.0, 2.0), TextureWrap::Repeat));
    assert_eq!((surface.metallic.value, surface.roughness.value), (1.0, 0.2));
    assert_eq!(surface.normal.as_ref().unwrap().authored, "normal.png");
    assert!(material.left_out.iter().any(|what| what.contains("subsurface")), "{:?}", material.left_out);
}

#[test]
fn cameras_have_every_attribute_and_fallback() {
    let extracted = open(
        "def Camera \"A\"\n{\n}\ndef Camera \"B\"\n{\n token projection = \"orthographic\"\n uniform token stereoRole = \"left\"\n float exposure = 2\n float horizontalApertureOffset = 1.5\n \
         float focalLength.timeSamples = { 1: 20, 3: 40 }\n float2 clippingRange = (0.5, 9)\n double shutter:open = -0.25\n double shutter:close = 0.25\n}\n",
    );
    let PrimData::Camera(camera) = &prim(&extracted, "/A").data else { panic!() };
    assert_eq!((camera.focal_length.at(0.0), camera.clipping_range.at(0.0)), (Some(50.0), Some(Vec2::new(1.0, 1_000_000.0))));
    assert_eq!((camera.horizontal_aperture.at(0.0), camera.vertical_aperture.at(0.0)), (Some(20.955), Some(15.2908)));
    let PrimData::Camera(camera) = &prim(&extracted, "/B").data else { panic!() };
    assert!(camera.orthographic && camera.stereo_role == StereoRole::Left);
    assert_eq!((camera.focal_length.at(2.0), camera.shutter, camera.exposure.at(0.0)), (Some(30.0), (-0.25, 0.25), Some(2.0)));
}

#[test]
fn instancers_leave_out_hidden_copies_and_survive_circles() {
    let extracted = open(
        "def PointInstancer \"P\" (inactiveIds = [30])\n{\n rel prototypes = [</P/Ball>, </P/Inner>]\n int[] protoIndices = [0, 0, 0, 1, 9]\n int64[] ids = [10, 20, 30, 40, 50]\n int64[] invisibleIds = [20]\n \
         point3f[] positions = [(0, 0, 0), (1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)]\n float3[] scales = [(2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]\n def Sphere \"Ball\"\n {\n }\n \
         def PointInstancer \"Inner\"\n {\n  rel prototypes = </P>\n  int[] protoIndices = [0]\n  point3f[] positions = [(0, 0, 0)]\n }\n}\n",
    );
    let PrimData::PointInstancer(instancer) = &prim(&extracted, "/P").data else { panic!() };
    assert_eq!(instancer.prototypes, ["/P/Ball", "/P/Inner"]);
    assert_eq!(instancer.inactive_ids, [30]);
    let there: Vec<usize> = instancer.copies(0.0).into_iter().map(|copy| copy.prototype).collect();
    assert_eq!(there, [0, 1]);
    assert!(said(&extracted, "goes up to 9"));
    assert_eq!(extracted.snapshot.world_bound(0.0), Some(Bounds { min: DVec3::splat(-2.0), max: DVec3::splat(2.0) }));
}

#[test]
fn hermite_curves_become_bezier_curves_and_nurbs_polylines() {
    let extracted = open(
        "def HermiteCurves \"H\"\n{\n int[] curveVertexCounts = [2]\n point3f[] points = [(0, 0, 0), (3, 0, 0)]\n vector3f[] tangents = [(0, 3, 0), (0, -3, 0)]\n}\n\
         def NurbsCurves \"N\"\n{\n int[] curveVertexCounts = [3]\n int[] order = [3]\n double[] knots = [0, 0, 0, 1, 1, 1]\n point3f[] points = [(0, 0, 0), (1, 2, 0), (2, 0, 0)]\n float[] widths = [0, 1, 0] (interpolation = \"vertex\")\n}\n\
         def NurbsCurves \"Bad\"\n{\n int[] curveVertexCounts = [2]\n int[] order = [9]\n double[] knots = [0]\n point3f[] points = [(0, 0, 0), (1, 2, 0)]\n}\n",
    );
    let curves = |path: &str| match &prim(&extracted, path).data {
        PrimData::Curves(curves) => curves.clone(),
        other => panic!("{other:?}"),
    };
    let hermite = curves("/H");
    assert_eq!(hermite.points.default.as_deref(), Some(&[Vec3::ZERO, Vec3::Y, Vec3::new(3.0, 1.0, 0.0), Vec3::X * 3.0][..]));
    assert_eq!((&hermite.curve_vertex_counts[..], hermite.cubic, hermite.basis), (&[4][..], true, CurveBasis::Bezier));
    let nurbs = curves("/N");
    let points = nurbs.points.default.as_ref().unwrap();
    let middle = points[points.len() / 2];
    assert!(middle.abs_diff_eq(Vec3::new(1.0, 1.0, 0.0), 1e-6), "{middle}");
    assert_eq!(nurbs.widths.as_ref().unwrap().values.default.as_ref().unwrap().len(), points.len());
    assert!(!nurbs.cubic);
    assert_eq!(curves("/Bad").points.default.as_ref().unwrap().len(), 2);
    assert!(said(&extracted, "is no NURBS curve"));
}

#[test]
fn curves_that_ask_for_more_points_than_there_are_get_no_more() {
    let counts = vec!["2000000000"; 500].join(", ");
    for kind in ["NurbsCurves", "HermiteCurves", "BasisCurves"] {
        let extracted = open(&format!(
            "def {kind} \"C\"\n{{\n int[] curveVertexCounts = [{counts}]\n point3f[] points = [(0, 0, 0), (1, 0, 0), (2, 0, 0)]\n}}\n"
        ));
        let PrimData::Curves(curves) = &prim(&extracted, "/C").data else { panic!() };
        assert!(curves.points.default.as_ref().unwrap().len() <= 3, "{kind}");
        assert!(said(&extracted, "but there are 3"));
    }
}

#[test]
fn patches_and_tetrahedra_become_meshes() {
    let extracted = open(
        "def NurbsPatch \"P\"\n{\n int uVertexCount = 2\n int vVertexCount = 2\n int uOrder = 2\n int vOrder = 2\n double[] uKnots = [0, 0, 1, 1]\n double[] vKnots = [0, 0, 1, 1]\n \
         point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 5)]\n}\n\
         def TetMesh \"T\"\n{\n point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]\n int4[] tetVertexIndices = [(0, 1, 2, 3), (1, 2, 3, 4)]\n}\n",
    );
    let patch = mesh(&extracted, "/P");
    assert_eq!(patch.points.default.as_ref().unwrap()[3], Vec3::new(1.0, 1.0, 5.0));
    assert_eq!(patch.face_vertex_indices.default, Some(vec![0, 1, 3, 2]));
    // Two tetrahedra share one face of their eight.
    assert_eq!(mesh(&extracted, "/T").face_vertex_counts.default, Some(vec![3; 6]));
}

#[test]
fn unknown_schemas_keep_attributes_relationships_and_metadata() {
    let extracted = open(
        "def SpatialAudio \"A\" (customData = {\n dictionary studio = {\n  int level = 3\n }\n})\n{\n uniform asset filePath = @song.wav@\n double gain.timeSamples = { 1: 0.5, 2: 1 }\n \
         custom int[] mine = [1, 2]\n rel link = </A>\n float2 place = (1, 2)\n token choice.connect = </A.other>\n}\n",
    );
    let prim = prim(&extracted, "/A");
    assert!(matches!(prim.data, PrimData::Unknown));
    let attribute = |name: &str| prim.attributes.iter().find(|attribute| attribute.name == name).unwrap();
    assert_eq!(attribute("gain").value.samples, [(1.0, AttributeValue::Double(0.5)), (2.0, AttributeValue::Double(1.0))]);
    assert!(attribute("mine").is_custom);
    assert_eq!(attribute("mine").value.default, Some(AttributeValue::Array { width: 1, numbers: vec![1.0, 2.0] }));
    assert_eq!(attribute("place").value.default, Some(AttributeValue::Numbers(vec![1.0, 2.0])));
    assert_eq!(attribute("choice").connections, ["/A.other"]);
    assert!(matches!(attribute("filePath").value.default, Some(AttributeValue::Asset { .. })));
    assert_eq!(prim.relationships, [("link".to_owned(), vec!["/A".to_owned()])]);
    assert_eq!(prim.metadata.get("customData:studio:level"), Some(&AttributeValue::Int(3)));
}

#[test]
fn variant_sets_say_what_they_offer_and_what_is_chosen() {
    let extracted = open(
        "def Xform \"A\" (variants = {\n string look = \"red\"\n}\nprepend variantSets = \"look\")\n{\n variantSet \"look\" = {\n  \"blue\" {\n   def Cube \"B\"\n   {\n   }\n  }\n  \"red\" {\n   def Cube \"R\"\n   {\n   }\n  }\n }\n}\n",
    );
    let set = &prim(&extracted, "/A").variant_sets[0];
    assert_eq!((set.name.as_str(), set.selection.as_str()), ("look", "red"));
    assert_eq!(set.variants, ["blue", "red"]);
    assert!(extracted.snapshot.prim("/A/R").is_some() && extracted.snapshot.prim("/A/B").is_none());
}

#[test]
fn a_stage_of_more_prims_than_allowed_is_cut_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stage.usda");
    std::fs::write(&path, "#usda 1.0\ndef \"A\"\n{\n def \"B\"\n {\n }\n def \"C\"\n {\n }\n}\n").unwrap();
    let extracted = extract(&Stage::open(path.to_str().unwrap()).unwrap(), &ExtractOptions { max_prims: 2 });
    assert_eq!(extracted.snapshot.prims.len(), 2);
    assert!(said(&extracted, "more than 2 prims"));
}

/// An attribute of a name that some schema reads, with a value that may be of the wrong type or length.
fn attribute() -> impl Strategy<Value = String> {
    const NAMES: [&str; 34] = [
        "points",
        "faceVertexCounts",
        "faceVertexIndices",
        "holeIndices",
        "extent",
        "normals",
        "primvars:st",
        "primvars:st:indices",
        "primvars:displayColor",
        "primvars:normals",
        "curveVertexCounts",
        "order",
        "knots",
        "widths",
        "positions",
        "protoIndices",
        "orientations",
        "ids",
        "xformOp:translate",
        "xformOp:orient",
        "xformOp:rotateXYZ",
        "xformOpOrder",
        "joints",
        "bindTransforms",
        "restTransforms",
        "primvars:skel:jointIndices",
        "primvars:skel:jointWeights",
        "radius",
        "inputs:intensity",
        "tetVertexIndices",
        "uVertexCount",
        "uOrder",
        "tangents",
        "offsets",
    ];
    const VALUES: [(&str, &str); 16] = [
        ("int", "-3"),
        ("int[]", "[0, 1, 2, -1, 2147483647]"),
        ("int[]", "[]"),
        ("int[]", "[4, 3, 3]"),
        ("float", "1e30"),
        ("double", "0"),
        ("float[]", "[0, 1, nan, inf]"),
        ("point3f[]", "[(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)]"),
        ("float2[]", "[(0, 1)]"),
        ("token[]", "[\"xformOp:translate\", \"!invert!xformOp:orient\", \"xformOp:rotateXYZ\", \"!resetXformStack!\"]"),
        ("token[]", "[\"a/b\", \"a\", \"\", \"a\"]"),
        ("quath[]", "[(0, 0, 0, 0)]"),
        ("double3", "(1, nan, 3)"),
        ("int4[]", "[(0, 1, 2, 9), (-1, 0, 0, 0)]"),
        ("matrix4d[]", "[((0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0))]"),
        ("double[]", "[0, 0, 1, 1]"),
    ];
    (prop::sample::select(&NAMES[..]), prop::sample::select(&VALUES[..]), any::<bool>(), 0_usize..5).prop_map(
        |(name, (type_name, value), is_sampled, interpolation)| {
            let interpolation = ["constant", "uniform", "varying", "faceVarying", "none"][interpolation];
            match is_sampled {
                true => format!("  {type_name} {name}.timeSamples = {{ 0: {value}, 1.5: {value} }}\n"),
                false => format!("  {type_name} {name} = {value} (\n   interpolation = \"{interpolation}\"\n  )\n"),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_scene_makes_it_panic(
        prims in prop::collection::vec((0_usize..16, prop::collection::vec(attribute(), 0..8)), 1..6),
        time in -2.0_f64..3.0,
    ) {
        const TYPES: [&str; 16] = [
            "Mesh", "Xform", "Sphere", "BasisCurves", "NurbsCurves", "HermiteCurves", "NurbsPatch", "TetMesh", "Points", "PointInstancer",
            "Skeleton", "SkelAnimation", "BlendShape", "SkelRoot", "SphereLight", "Camera",
        ];
        let mut text = String::from("def Xform \"Root\"\n{\n");
        for (place, (kind, attributes)) in prims.iter().enumerate() {
            let mut seen = std::collections::HashSet::new();
            let attributes = attributes.iter().filter(|line| seen.insert(line.split_whitespace().nth(1).map(|name| name.trim_end_matches(".timeSamples").to_owned())));
            let attributes: String = attributes.cloned().collect();
            text.push_str(&format!(" def {} \"P{place}\"\n {{\n{attributes}  rel prototypes = [</Root>, </Root/P0>]\n  rel skel:skeleton = </Root/P0>\n }}\n", TYPES[*kind]));
        }
        text.push_str("}\n");
        // Some values are no text that the parser reads; those are not what is tested here.
        let Ok(extracted) = try_open(&text) else { return Ok(()) };
        prop_assert_eq!(extracted.snapshot.statistics().prims, prims.len() as u64 + 1);
        let _ = extracted.snapshot.world_bound(time);
        for prim in &extracted.snapshot.prims {
            let _ = prim.xform.as_ref().map(|xform| xform.parent_from_prim(time));
        }
    }
}
