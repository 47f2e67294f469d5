use super::{open, *};
use std::fs;

const CUBE: &str = "#usda 1.0\n(\n  defaultPrim = \"C\"\n)\ndef Cube \"C\" {}\n";

#[test]
fn nothing_outside_of_the_folder_is_read() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.usda"), CUBE).unwrap();
    let root = outside.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("inside.usda"), CUBE).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(outside.path().join("secret.usda"), root.join("link.usda")).unwrap();
    let absolute = outside.path().join("secret.usda");
    let text = format!(
        "#usda 1.0\ndef \"A\" (references = @inside.usda@) {{}}\ndef \"B\" (references = @../secret.usda@) {{}}\ndef \"C\" (references = @link.usda@) {{}}\ndef \"D\" (references = @{}@) {{}}\ndef \"E\" (references = @file:///etc/passwd@) {{}}\n",
        absolute.display()
    );
    fs::write(root.join("root.usda"), text).unwrap();
    let source = Arc::new(FolderSource::new(&root).unwrap());
    let opened = open_stage(source.clone(), "root.usda", &OpenOptions::default()).unwrap();
    let type_of = |path: &str| opened.stage.prim(path).type_name().unwrap().map(|name| name.to_string());
    assert_eq!(type_of("/A").as_deref(), Some("Cube"));
    for (path, line) in [("/B", 3), ("/C", 4), ("/D", 5), ("/E", 6)] {
        assert_eq!(type_of(path), None, "{path}");
        let issue =
            opened.report.issues.iter().find(|issue| issue.prim == path).unwrap_or_else(|| panic!("{path} is not reported"));
        assert_eq!(issue.line, Some(line), "{issue}");
    }
    assert!(matches!(source.read("../secret.usda"), Err(UsdError::OutsideRoot { .. })));
    assert_eq!(source.file("../secret.usda"), None);
    #[cfg(unix)]
    assert_eq!(source.file("link.usda"), None);
}

#[test]
fn layers_that_are_not_here_yet_are_named_and_the_stage_opens_once_they_are() {
    let source = MemorySource::pending();
    source.insert("root.usda", b"#usda 1.0\n(\n  subLayers = [@a.usda@]\n)\ndef \"R\" (references = @b.usda@) {}\n".to_vec());
    let mut rounds = 0;
    let opened = loop {
        rounds += 1;
        assert!(rounds < 5, "the same layers are asked for again and again");
        match open_stage(Arc::new(source.clone()), "root.usda", &OpenOptions::default()) {
            Ok(opened) => break opened,
            Err(UsdError::LayersPending { layers }) => {
                for layer in layers {
                    match layer.as_str() {
                        "a.usda" => source.insert(layer, b"#usda 1.0\ndef \"S\" (references = @c.usda@) {}\n".to_vec()),
                        "b.usda" => source.insert(layer, CUBE.as_bytes().to_vec()),
                        _ => source.set_absent(layer),
                    }
                }
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(opened.stage.prim("/R").type_name().unwrap().as_deref(), Some("Cube"));
    assert_eq!(opened.report.missing, ["c.usda"]);
    assert_eq!(opened.report.layers, ["root.usda", "a.usda", "b.usda"]);
}

#[test]
fn a_layer_says_what_it_refers_to_without_being_opened() {
    let text = "#usda 1.0\n(\n  subLayers = [@a.usda@, @../out.usda@]\n)\ndef \"P\" (\n  references = [@d/b.usd@</X>, </Own>]\n  payload = @c.usdz@\n  clips = {\n    dictionary default = {\n      string templateAssetPath = \"clips/c.###.usda\"\n      double templateStartTime = 8\n      double templateEndTime = 10\n      double templateStride = 1\n      asset manifestAssetPath = @clips/manifest.usda@\n    }\n  }\n) {\n  asset inputs:file = @t/wood.png@\n  variantSet \"v\" = {\n    \"x\" (references = @in_variant.usda@) { asset a = @e.usdz[t.png]@ }\n  }\n}\n";
    let found = scan_references(text.as_bytes(), "s/root.usda").unwrap();
    assert_eq!(
        found,
        [
            "out.usda",
            "s/a.usda",
            "s/c.usdz",
            "s/clips/c.008.usda",
            "s/clips/c.009.usda",
            "s/clips/c.010.usda",
            "s/clips/manifest.usda",
            "s/d/b.usd",
            "s/in_variant.usda",
        ]
    );
    assert_eq!(scan_assets(text.as_bytes(), "s/root.usda").unwrap(), ["s/e.usdz", "s/t/wood.png"]);
    let all = scan_layer(text.as_bytes(), "s/root.usda", &Budget::default()).unwrap();
    let of_variant = all.iter().find(|reference| reference.written == "in_variant.usda").unwrap();
    assert_eq!((of_variant.prim.as_str(), of_variant.line, of_variant.kind), ("/P{v=x}", Some(20), ReferenceKind::Reference));
}

#[test]
fn a_binary_layer_says_the_same() {
    use openusd::{sdf::FileFormat as _, usda, usdc::UsdcFileFormat};
    let text = "#usda 1.0\n(\n  defaultPrim = \"P\"\n  subLayers = [@a.usda@]\n)\ndef \"P\" (\n  prepend references = [@d/b.usd@</X>]\n  payload = @c.usdz@\n) {\n  asset inputs:file = @t/wood.png@\n  asset[] inputs:more = [@t/a.png@, @t/b.png@]\n}\n";
    let data = usda::parse(text).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    UsdcFileFormat.write(&data, &mut bytes).unwrap();
    let bytes = bytes.into_inner();
    assert_eq!(scan_references(&bytes, "root.usdc").unwrap(), scan_references(text.as_bytes(), "root.usda").unwrap());
    assert_eq!(scan_assets(&bytes, "root.usdc").unwrap(), ["t/a.png", "t/b.png", "t/wood.png"]);
}

#[test]
fn variants_are_chosen_when_the_stage_is_opened() {
    let text = "#usda 1.0\ndef \"P\" (\n  variants = { string size = \"small\" }\n  prepend variantSets = \"size\"\n) {\n  variantSet \"size\" = {\n    \"small\" { def Cube \"S\" {} }\n    \"large\" { def Sphere \"L\" {} }\n  }\n}\n";
    let choice = VariantChoice { prim: "/P".into(), set: "size".into(), variant: "large".into() };
    let options = OpenOptions { variants: vec![choice], ..OpenOptions::default() };
    let opened = open_stage(memory(&[("root.usda", text)]), "root.usda", &options).unwrap();
    let names: Vec<_> = opened.stage.prim("/P").child_names().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["L"]);
}

#[test]
fn payloads_masks_and_muted_layers_are_as_asked_for() {
    let root = "#usda 1.0\n(\n  subLayers = [@d/over.usda@]\n)\ndef \"A\" (payload = @cube.usda@) {}\ndef \"B\" (payload = @cube.usda@) {}\ndef \"C\" {}\n";
    let files = [("d/root.usda", root), ("d/cube.usda", CUBE), ("d/d/over.usda", "#usda 1.0\ndef \"FromSub\" {}\n")];
    let open = |options: OpenOptions| open_stage(memory(&files), "d/root.usda", &options).unwrap();
    let type_of = |opened: &OpenedStage, path: &str| opened.stage.prim(path).type_name().unwrap().map(|name| name.to_string());
    let all = open(OpenOptions::default());
    assert_eq!((type_of(&all, "/A"), all.report.prims), (Some("Cube".into()), 4));
    let none = open(OpenOptions { load_payloads: Payloads::None, ..OpenOptions::default() });
    assert_eq!(type_of(&none, "/A"), None);
    let some = open(OpenOptions { load_payloads: Payloads::Of(vec!["/B".into()]), ..OpenOptions::default() });
    assert_eq!((type_of(&some, "/A"), type_of(&some, "/B")), (None, Some("Cube".into())));
    let masked = open(OpenOptions { mask: vec!["/B".into()], ..OpenOptions::default() });
    assert_eq!(masked.report.prims, 1);
    let muted = open(OpenOptions { muted_layers: vec!["d/d/over.usda".into()], ..OpenOptions::default() });
    assert_eq!(muted.report.prims, 3);
}

#[test]
fn a_root_that_is_not_there_or_no_layer_says_so() {
    assert!(matches!(open(&[]).map(drop), Err(UsdError::NotFound { layer }) if layer == "root.usda"));
    let escape = open_stage(memory(&[]), "../x.usda", &OpenOptions::default()).map(drop);
    assert!(matches!(escape, Err(UsdError::OutsideRoot { .. })));
    let picture = open_stage(memory(&[("a.png", "x")]), "a.png", &OpenOptions::default()).map(drop).unwrap_err();
    assert!(picture.to_string().contains(".usda"), "{picture}");
}

/// Each as a field of its own, within a dictionary and within samples; the file is by usd-core 26.11.
#[test]
fn empty_arrays_of_strings_and_assets_open_from_binary_layers() {
    use openusd::sdf::Value;
    let bytes = include_bytes!("../../../tests/fixtures/empty_arrays.usdc");
    let source = Arc::new(MemorySource::new([("root.usdc", bytes.to_vec())]));
    let opened = open_stage(source, "root.usdc", &OpenOptions::default()).unwrap();
    let get = |path: &str| opened.stage.attribute(path).get::<Value>().unwrap();
    let is_empty = |value: Option<Value>| matches!(value, Some(Value::TokenVec(tokens)) if tokens.is_empty());
    assert!(is_empty(get("/P.a")) && is_empty(get("/P.s")) && is_empty(get("/P.k")));
    assert_eq!(get("/P.z"), Some(Value::Int(5)));
    assert!(matches!(get("/P.b"), Some(Value::AssetPathVec(assets)) if assets.len() == 1));
    let samples = opened.stage.time_samples("/P.t").unwrap().unwrap();
    assert_eq!(samples[0], (1.0, Value::TokenVec(Vec::new())));
    assert_eq!(samples[1], (2.0, Value::StringVec(vec!["x".into()])));
    let custom = opened.stage.prim("/P").custom_data().unwrap();
    assert!(matches!(custom, Some(Value::Dictionary(custom)) if custom.get("after") == Some(&Value::Int(7))));
}
