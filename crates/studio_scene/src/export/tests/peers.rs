//! Our files as usd-core and Blender see them.

use super::*;
use serde_json::Value as Json;
use std::{path::PathBuf, process::Command};

/// The Python that has usd-core; without it, and where nobody asked for it, tests have nothing to compare with.
pub(super) fn usd_python() -> Option<PathBuf> {
    let python = std::env::var_os("NEURAL_STUDIO_USD_PYTHON").filter(|python| !python.is_empty()).map(PathBuf::from);
    if python.is_none() {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        assert!(!ci, "usd-core is absent: `cargo xtask test` installs it and sets NEURAL_STUDIO_USD_PYTHON");
        println!("skipped: usd-core absent");
    }
    python
}

pub(super) fn run(python: &Path, script: &str, args: &[&Path]) -> Json {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/usd").join(script);
    let output = Command::new(python).arg(script).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    // Programs that are libraries too talk before they answer.
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap()
}

fn prim<'a>(found: &'a Json, path: &str) -> &'a Json {
    found["prims"].as_array().unwrap().iter().find(|prim| prim["path"] == path).unwrap_or_else(|| panic!("no {path}"))
}

fn numbers(json: &Json) -> Vec<f64> {
    json.as_array().unwrap_or_else(|| panic!("{json} is no array")).iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn what_we_export_is_what_usd_core_reads_without_a_warning() {
    let Some(python) = usd_python() else { return };
    let (world, entities) = sample();
    let scene = UsdExport::scene().export(&world).unwrap();
    assert_eq!(scene.notes, Vec::<String>::new());
    let folder = tempfile::tempdir().unwrap();
    for name in ["scene.usda", "scene.usdc", "scene.usdz"] {
        let file = folder.path().join(name);
        scene.write(&file).unwrap();
        let found = run(&python, "check.py", &[&file]);
        assert_eq!(found["problems"], serde_json::json!([]), "{name}");
        assert_eq!(found["default_prim"], "/World");
        assert_eq!((&found["up_axis"], &found["meters_per_unit"]), (&"Y".into(), &1.0.into()));
        for entity in &entities {
            let path = &scene.paths[entity];
            let ours = world_from(&world, *entity).to_cols_array();
            let theirs = numbers(&prim(&found, path)["matrix"]);
            assert!(ours.iter().zip(&theirs).all(|(a, b)| close(f64::from(*a), *b, 1e-5)), "{name} {path}: {ours:?} {theirs:?}");
        }
        compare_meshes(&found, &world, &scene, &entities);
        compare_looks(&found);
        compare_lights(&found);
        compare_cameras(&found);
    }
}

fn compare_meshes(found: &Json, world: &World, scene: &ExportedScene, entities: &[Entity]) {
    let meshes = world.resource::<Assets<Mesh>>();
    for entity in entities.iter().filter(|entity| world.get::<Mesh3d>(**entity).is_some()) {
        let mesh = meshes.get(&world.get::<Mesh3d>(*entity).unwrap().0).unwrap();
        let Some(VertexAttributeValues::Float32x3(points)) = mesh.attribute(Mesh::ATTRIBUTE_POSITION) else { panic!() };
        let matrix = world_from(world, *entity);
        let corners: Vec<Vec3> = points.iter().map(|point| matrix.transform_point3(Vec3::from_array(*point))).collect();
        let told = prim(found, &scene.paths[entity]);
        if world.get::<Visibility>(*entity) == Some(&Visibility::Hidden) {
            assert_eq!(told["visible"], false);
            continue;
        }
        // usd-core takes the box around the turned box, which is the points' own where nothing is turned.
        let box_of = |least: bool| corners.iter().copied().reduce(|a, b| if least { a.min(b) } else { a.max(b) }).unwrap();
        let bounds = numbers(&told["bounds"]);
        let (min, max) = (box_of(true), box_of(false));
        for (axis, bound) in bounds.iter().take(3).enumerate() {
            assert!(*bound <= f64::from(min[axis]) + 1e-4, "{bounds:?} {min} {max}");
        }
        for (axis, bound) in bounds.iter().skip(3).enumerate() {
            assert!(*bound >= f64::from(max[axis]) - 1e-4, "{bounds:?} {min} {max}");
        }
    }
    let ground = prim(found, "/World/Ground");
    assert_eq!(ground["type"], "Mesh");
    let bounds = numbers(&ground["bounds"]);
    assert!(bounds.iter().zip([-2.0, -1.0, -1.0, 2.0, -0.5, 1.0]).all(|(a, b)| close(*a, b, 1e-4)), "{bounds:?}");
    assert_eq!(
        (&ground["mesh"]["points"], &ground["mesh"]["faces"], &ground["mesh"]["double_sided"]),
        (&4.into(), &2.into(), &true.into())
    );
    assert_eq!(ground["mesh"]["st"], serde_json::json!([[0.0, 1.0], [1.0, 1.0], [1.0, 0.25], [0.0, 0.25]]));
    let types = &ground["mesh"]["types"];
    for (name, type_name) in [
        ("points", "point3f[]"),
        ("normals", "normal3f[]"),
        ("extent", "float3[]"),
        ("primvars:st", "texCoord2f[]"),
        ("primvars:displayColor", "color3f[]"),
        ("primvars:displayOpacity", "float[]"),
    ] {
        assert_eq!(types[name], type_name);
    }
    // Three cubes are instances of one.
    let cubes = ["/World/St_hle_1/Cube", "/World/St_hle_1/Cube_1", "/World/St_hle_1/Cube_2"].map(|path| prim(found, path));
    assert!(cubes.iter().all(|cube| cube["instance"] == true && cube["material"] == "/World/Materials/Cube_Material"));
    assert_eq!(prim(found, "/World/St_hle_1/Cube_2/Mesh")["mesh"]["points"], 24);
    assert_eq!(prim(found, "/World/St_hle_1")["display_name"], "Stühle 1");
    assert!(found["prims"].as_array().unwrap().iter().all(|prim| !prim["path"].as_str().unwrap().contains("Gizmo")));
}

fn compare_looks(found: &Json) {
    let inputs = &prim(found, "/World/Materials/Cube_Material")["surface"]["inputs"];
    let number = |name: &str, value: f64| assert!(close(inputs[name].as_f64().unwrap(), value, 1e-6), "{name}: {}", inputs[name]);
    number("metallic", 1.0);
    number("roughness", 0.25);
    number("opacity", f64::from(0.6_f32));
    number("clearcoat", 0.5);
    number("clearcoatRoughness", 0.125);
    // 0.16 · 0.75² is reflected head on: (ior - 1) / (ior + 1) is 0.3.
    number("ior", 1.3 / 0.7);
    let color = numbers(&inputs["diffuseColor"]);
    assert!(color.iter().zip([0.1, 0.2, 0.3]).all(|(a, b)| close(*a, b, 1e-6)), "{color:?}");

    let inputs = &prim(found, "/World/Materials/Ground_Material")["surface"]["inputs"];
    let texture = |name: &str, output: &str| {
        assert_eq!((&inputs[name]["id"], &inputs[name]["output"]), (&"UsdUVTexture".into(), &output.into()), "{name}");
        assert_eq!(inputs[name]["inputs"]["file"]["found"], true, "{name}");
        inputs[name]["inputs"].clone()
    };
    let base = texture("diffuseColor", "rgb");
    assert_eq!((&base["wrapS"], &base["wrapT"], &base["sourceColorSpace"]), (&"repeat".into(), &"clamp".into(), &"sRGB".into()));
    assert!(numbers(&base["scale"]).iter().zip([0.5, 1.0, 1.0, 0.9]).all(|(a, b)| close(*a, b, 1e-6)));
    assert_eq!((&base["st"]["id"], &base["st"]["inputs"]["in"]["inputs"]["varname"]), (&"UsdTransform2d".into(), &"st".into()));
    assert_eq!(texture("opacity", "a")["file"], base["file"]);
    assert_eq!(texture("emissiveColor", "rgb")["file"], base["file"], "the same picture is written once");
    assert_eq!(texture("roughness", "g")["sourceColorSpace"], "raw");
    assert_eq!(numbers(&texture("metallic", "b")["scale"]), [1.0, 0.5, 0.75, 1.0]);
    texture("occlusion", "r");
    let normal = texture("normal", "rgb");
    assert_eq!((numbers(&normal["scale"]), numbers(&normal["bias"])), (vec![2.0, 2.0, 2.0, 1.0], vec![-1.0, -1.0, -1.0, 0.0]));
    assert!(close(inputs["opacityThreshold"].as_f64().unwrap(), 0.4, 1e-6));
}

fn compare_lights(found: &Json) {
    let value = |path: &str, name: &str| prim(found, path)["light"][name].as_f64().unwrap_or_else(|| panic!("{path} {name}"));
    let types =
        ["Sun", "Lamp", "Spot", "Panel"].map(|name| prim(found, &format!("/World/{name}"))["type"].as_str().unwrap().to_owned());
    assert_eq!(types, ["DistantLight", "SphereLight", "SphereLight", "RectLight"]);
    assert!(close(value("/World/Sun", "inputs:intensity"), 10_000.0, 1e-6));
    // A surface of 1 m² gives off π times its luminance.
    assert!(close(value("/World/Lamp", "inputs:intensity") * f64::from(PI), 800.0, 1e-6));
    assert!(close(value("/World/Lamp", "inputs:radius"), 0.05, 1e-6));
    assert!(close(value("/World/Spot", "inputs:intensity") * f64::from(PI), 5000.0, 1e-6));
    assert!(close(value("/World/Spot", "inputs:shaping:cone:angle").to_radians(), 0.5, 1e-6));
    assert!(close(value("/World/Spot", "inputs:shaping:cone:softness"), 0.4, 1e-6));
    assert!(close(value("/World/Panel", "inputs:width") * value("/World/Panel", "inputs:height"), 1.0, 1e-6));
    assert_eq!(prim(found, "/World/Sun")["light"]["inputs:shadow:enable"], true);
    assert_eq!(prim(found, "/World/Lamp")["light"]["inputs:shadow:enable"], false);
}

fn compare_cameras(found: &Json) {
    let window = |name: &str| numbers(&prim(found, &format!("/World/{name}"))["window"]);
    let half = f64::from((0.8_f32 / 2.0).tan());
    let expected =
        [("View", [-half * 1.5, -half, half * 1.5, half]), ("Plan", [-3.0, -1.0, 5.0, 3.0]), ("Eye", [-0.9, -1.0, 1.1, 0.8])];
    for (name, expected) in expected {
        let window = window(name);
        assert!(window.iter().zip(expected).all(|(a, b)| close(*a, b, 1e-5)), "{name}: {window:?} {expected:?}");
    }
    let clipping = |name: &str| numbers(&prim(found, &format!("/World/{name}"))["camera"]["clippingRange"]);
    assert!(clipping("View").iter().zip([0.2, 200.0]).all(|(a, b)| close(*a, b, 1e-6)));
    assert!(clipping("Plan").iter().zip([0.5, 50.0]).all(|(a, b)| close(*a, b, 1e-6)));
    assert!(clipping("Eye").iter().zip([0.05, 500.0]).all(|(a, b)| close(*a, b, 1e-6)));
}

/// Runs only where `NEURAL_STUDIO_BPY_PYTHON` names a Python with Blender's `bpy`.
#[test]
fn blender_reads_what_we_export_and_we_read_what_it_exports() {
    let Some(python) = std::env::var_os("NEURAL_STUDIO_BPY_PYTHON").map(PathBuf::from) else {
        println!("skipped: bpy absent");
        return;
    };
    let (world, entities) = sample();
    let scene = UsdExport::scene().export(&world).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in ["scene.usda", "scene.usdc", "scene.usdz"] {
        let (file, back) = (folder.path().join(name), folder.path().join("blender.usdc"));
        scene.write(&file).unwrap();
        let found = run(&python, "blender.py", &[&file, &back]);
        // Blender has Z up: what was Y is Z, what was Z is -Y.
        let z_up = Mat4::from_rotation_x(PI / 2.0);
        for entity in &entities {
            let name = scene.paths[entity].rsplit('/').next().unwrap();
            let ours = (z_up * world_from(&world, *entity)).to_cols_array();
            let theirs =
                found["objects"].as_array().unwrap().iter().filter(|object| object["path"] == name || object["name"] == name);
            let matches = theirs
                .clone()
                .any(|object| ours.iter().zip(numbers(&object["matrix"])).all(|(a, b)| close(f64::from(*a), b, 1e-4)));
            assert!(matches, "{name}: {ours:?} is not among {:?}", theirs.collect::<Vec<_>>());
        }
        let extracted = extract(&openusd_stage(&back), &ExtractOptions::default());
        let stage = &extracted.snapshot;
        assert_eq!(stage.up_axis, snapshot::UpAxis::Z);
        // Everything is where it was, in Blender's axes.
        for entity in &entities {
            let name = scene.paths[entity].rsplit('/').next().unwrap();
            let Some(index) = stage.prims.iter().position(|prim| prim.name == name) else { continue };
            let place = (z_up * world_from(&world, *entity)).w_axis.as_dvec4();
            let theirs = stage_from(stage, index).w_axis;
            assert!(place.abs_diff_eq(theirs, 1e-4), "{name}: {place} {theirs}");
        }
        let came_back = |name: &str| stage.prims.iter().any(|prim| prim.name == name);
        for name in ["Ground", "Cube", "Cube_1", "Cube_2", "Lamp", "Spot", "Panel", "Sun", "View", "Eye"] {
            assert!(
                came_back(name),
                "{name} did not come back: {:?}",
                stage.prims.iter().map(|prim| &prim.path).collect::<Vec<_>>()
            );
        }
        let is_ground = |prim: &snapshot::Prim| matches!(&prim.data, PrimData::Mesh(mesh) if mesh.points.at(0.0).is_some_and(|points| points.len() == 4));
        let ground = stage.prims.iter().position(is_ground).unwrap();
        assert!(stage.prims[ground].material.is_some());
        let matrix = (z_up * world_from(&world, entities[0])).as_dmat4();
        assert!(matrix.abs_diff_eq(stage_from(stage, ground), 1e-4));
    }
}

fn stage_from(stage: &StageSnapshot, index: usize) -> bevy::math::DMat4 {
    let prim = &stage.prims[index];
    let own = prim.xform.as_ref().map(|xform| xform.parent_from_prim(0.0)).unwrap_or_default();
    prim.parent.map_or(own, |parent| stage_from(stage, parent) * own)
}
