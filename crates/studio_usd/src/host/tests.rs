use super::*;
use crate::open::{Budget, FolderSource, MemorySource, tests::memory};
use std::fs;

const ROOT: &str = "#usda 1.0\n(\n  defaultPrim = \"W\"\n  subLayers = [@sub.usda@]\n)\ndef Xform \"W\" (\n  variants = { string v = \"a\" }\n  prepend variantSets = \"v\"\n)\n{\n  double x = 1\n  rel r = </W/C>\n  def Cube \"C\" {}\n  def Scope \"S\" {}\n  variantSet \"v\" = {\n    \"a\" { def Sphere \"A\" {} }\n    \"b\" { def Cone \"B\" {} }\n  }\n}\ndef \"P\" (payload = @pay.usda@</Q>) {}\n";
const SUB: &str = "#usda 1.0\ndef \"FromSub\" { double y = 2 }\n";
const PAY: &str = "#usda 1.0\ndef Cylinder \"Q\" { def Cube \"Inner\" {} }\n";

fn source() -> Arc<MemorySource> {
    memory(&[("root.usda", ROOT), ("sub.usda", SUB), ("pay.usda", PAY)])
}

fn host() -> StageHost {
    StageHost::open(source(), "root.usda", &OpenOptions::default()).unwrap()
}

/// Everything that a stage says: its layers as text, and its prims. New prims and properties of one parent may come in another order.
fn all_of(host: &StageHost) -> Vec<String> {
    let mut all = Vec::new();
    for layer in [EditLayer::Session, EditLayer::Root] {
        let text = host.export_layer(&layer).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::trim).collect();
        lines.sort_unstable();
        all.push(lines.join("\n"));
    }
    let mut prims: Vec<_> = host.extract(&ExtractOptions::default()).unwrap().snapshot.prims;
    prims.iter_mut().for_each(|prim| prim.attributes.sort_by(|a, b| a.name.cmp(&b.name)));
    let prims = prims.iter().map(|prim| {
        format!(
            "{} {} {:?} {:?} {:?} {:?}",
            prim.path, prim.type_name, prim.variant_sets, prim.attributes, prim.relationships, prim.data
        )
    });
    let mut prims: Vec<_> = prims.collect();
    prims.sort_unstable();
    all.extend(prims);
    all
}

fn prims(host: &StageHost) -> Vec<String> {
    host.extract(&ExtractOptions::default())
        .unwrap()
        .snapshot
        .prims
        .into_iter()
        .map(|prim| format!("{} {}", prim.path, prim.type_name))
        .collect()
}

fn double(value: f64) -> StageValue {
    StageValue::Double(Number(value))
}

fn set_x(value: f64) -> StageEdit {
    StageEdit::SetAttribute { path: "/W.x".into(), type_name: "double".into(), value: double(value), time: None }
}

fn many_edits() -> Vec<StageEdit> {
    vec![
        StageEdit::DefinePrim { path: "/W/New".into(), type_name: "Mesh".into() },
        StageEdit::SetAttribute {
            path: "/W/New.points".into(),
            type_name: "point3f[]".into(),
            value: StageValue::Vec3fVec(vec![[Number(0.1), Number(f64::INFINITY), Number(-0.0)]]),
            time: None,
        },
        StageEdit::SetAttribute { path: "/W.x".into(), type_name: "double".into(), value: double(3.0), time: Some(24.0) },
        StageEdit::SetAttribute { path: "/W.x".into(), type_name: "double".into(), value: double(4.0), time: Some(48.0) },
        StageEdit::SetRelationship { path: "/W.r".into(), targets: Some(vec!["/W/S".into()]) },
        StageEdit::SetConnections {
            path: "/W/New.inputs:a".into(),
            type_name: "color3f".into(),
            targets: Some(vec!["/W.x".into()]),
        },
        StageEdit::SetVariant(VariantChoice { prim: "/W".into(), set: "v".into(), variant: "b".into() }),
        StageEdit::SetActive { path: "/W/S".into(), is_active: false },
        StageEdit::SetMetadata { path: "/W".into(), key: "customData:studio:id".into(), value: Some(StageValue::Int(7)) },
        StageEdit::SetMetadata { path: "/W/New".into(), key: "kind".into(), value: Some(StageValue::Token("component".into())) },
    ]
}

#[test]
fn several_edits_are_one_change_that_says_what_it_touched() {
    let host = host();
    let change = host.edit(&EditLayer::Session, many_edits()).unwrap();
    assert_eq!(change.revision, 1);
    assert!(change.resynced.iter().any(|path| path == "/W" || path == "/W/New"), "{change:?}");
    assert_eq!(change.layers.len(), 1, "{change:?}");
    assert_eq!(host.take_changes(), [change]);
    let found = prims(&host);
    assert!(found.contains(&"/W/New Mesh".to_owned()) && found.contains(&"/W/B Cone".to_owned()), "{found:?}");
    let value = host.edit(&EditLayer::Session, vec![set_x(9.0)]).unwrap();
    assert_eq!((value.paths, value.resynced), (vec!["/W.x".to_owned()], vec![]));
    assert_eq!(host.unsaved_layers().unwrap(), Vec::<String>::new(), "the session layer is nobody's file");
}

#[test]
fn edits_are_made_all_or_none() {
    let host = host();
    let before = all_of(&host);
    let bad = [
        StageEdit::SetRelationship { path: "/W.x".into(), targets: Some(vec![]) },
        StageEdit::MovePrim { path: "/Nobody".into(), to: "/Else".into() },
        StageEdit::DefinePrim { path: "no path".into(), type_name: String::new() },
        StageEdit::DefinePrim { path: "/a/../b".into(), type_name: String::new() },
        StageEdit::SetAttribute { path: "/W".into(), type_name: "double".into(), value: double(1.0), time: None },
        StageEdit::RemovePrim { path: "/".into() },
        StageEdit::SetRelationship { path: "/W.r".into(), targets: Some(vec!["/W}".into()]) },
        StageEdit::SetMetadata {
            path: "/W".into(),
            key: "primChildren".into(),
            value: Some(StageValue::TokenVec(vec!["C}".into()])),
        },
        StageEdit::SetMetadata { path: "/W".into(), key: "primChildren".into(), value: None },
        StageEdit::SetMetadata { path: "/".into(), key: "defaultPrim".into(), value: Some(StageValue::Token("W}".into())) },
        StageEdit::SetAttribute { path: "/W.x".into(), type_name: "double".into(), value: double(1.0), time: Some(f64::NAN) },
    ];
    for edit in bad {
        let mut edits = many_edits();
        edits.push(edit.clone());
        let error = host.edit(&EditLayer::Root, edits).expect_err(&format!("{edit:?}"));
        assert!(matches!(error, UsdError::Edit { .. }), "{edit:?}: {error}");
        assert_eq!(all_of(&host), before, "{edit:?}");
    }
    let nowhere = host.edit(&EditLayer::Layer("nowhere.usda".into()), vec![set_x(1.0)]);
    assert!(matches!(nowhere, Err(UsdError::NotFound { .. })));
    assert_eq!(host.undo().unwrap(), None);
}

#[test]
fn changes_are_taken_back_and_made_again() {
    let host = host();
    let start = all_of(&host);
    host.edit(&EditLayer::Session, many_edits()).unwrap();
    let first = all_of(&host);
    host.edit(&EditLayer::Root, vec![set_x(5.0), StageEdit::RemovePrim { path: "/W/C".into() }]).unwrap();
    let second = all_of(&host);
    assert_ne!(first, second);
    for _ in 0..2 {
        assert!(host.undo().unwrap().is_some());
        assert_eq!(all_of(&host), first);
        assert!(host.undo().unwrap().is_some());
        assert_eq!(all_of(&host), start);
        assert_eq!(host.undo().unwrap(), None);
        assert!(host.redo().unwrap().is_some());
        assert_eq!(all_of(&host), first);
        assert!(host.redo().unwrap().is_some());
        assert_eq!(all_of(&host), second);
        assert_eq!(host.redo().unwrap(), None);
    }
    host.undo().unwrap();
    host.edit(&EditLayer::Session, vec![set_x(8.0)]).unwrap();
    assert_eq!(host.redo().unwrap(), None, "a new change ends what could be made again");
}

#[test]
fn a_prim_is_moved_and_what_points_at_it_follows() {
    let host = host();
    host.edit(&EditLayer::Root, vec![StageEdit::MovePrim { path: "/W/C".into(), to: "/W/S/Moved".into() }]).unwrap();
    let found = prims(&host);
    assert!(found.contains(&"/W/S/Moved Cube".to_owned()) && !found.contains(&"/W/C Cube".to_owned()), "{found:?}");
    assert!(host.export_layer(&EditLayer::Root).unwrap().contains("</W/S/Moved>"));
    host.undo().unwrap();
    assert!(prims(&host).contains(&"/W/C Cube".to_owned()));
}

#[test]
fn a_diff_goes_through_json_to_another_stage_and_gives_the_same() {
    let (here, there) = (host(), host());
    here.edit(&EditLayer::Session, many_edits()).unwrap();
    here.edit(&EditLayer::Root, vec![set_x(5.0), StageEdit::RemovePrim { path: "/W/C".into() }]).unwrap();
    here.edit(&EditLayer::Root, vec![StageEdit::MovePrim { path: "/W/S".into(), to: "/W/T".into() }]).unwrap();
    here.undo().unwrap();
    let diff = here.diff_since(0).unwrap();
    let sent = serde_json::to_string(&diff).unwrap();
    let received: StageDiff = serde_json::from_str(&sent).unwrap();
    assert_eq!(received, diff);
    let outcome = there.apply(&received, ConflictPolicy::Theirs).unwrap();
    assert_eq!(outcome.conflicts, []);
    assert!(!outcome.change.is_empty());
    assert_eq!(all_of(&there), all_of(&here));
    let again = there.apply(&received, ConflictPolicy::Theirs).unwrap();
    assert!(again.change.is_empty() && again.conflicts.is_empty(), "{again:?}");
    // Only what is new.
    let mark = here.edit(&EditLayer::Root, vec![set_x(6.0)]).unwrap().revision;
    let newer = here.diff_since(mark - 1).unwrap();
    assert_eq!(newer.edits_len(), 1);
    assert!(here.diff_since(newer.revision()).unwrap().is_empty());
    there.apply(&newer, ConflictPolicy::Theirs).unwrap();
    assert_eq!(all_of(&there), all_of(&here));
    there.undo().unwrap();
    assert_ne!(all_of(&there), all_of(&here));
}

#[test]
fn what_both_sides_edited_is_named_and_the_rule_decides() {
    for (policy, wins) in [(ConflictPolicy::Theirs, "x = 5"), (ConflictPolicy::Ours, "x = 6")] {
        let (here, there) = (host(), host());
        here.edit(&EditLayer::Root, vec![set_x(5.0)]).unwrap();
        there.edit(&EditLayer::Root, vec![set_x(6.0)]).unwrap();
        let outcome = there.apply(&here.diff_since(0).unwrap(), policy).unwrap();
        assert_eq!(outcome.conflicts.len(), 1, "{outcome:?}");
        assert_eq!((outcome.conflicts[0].path.as_str(), outcome.conflicts[0].field.as_str()), ("/W.x", "default"));
        assert!(there.export_layer(&EditLayer::Root).unwrap().contains(wins), "{policy:?}");
    }
    let other = StageHost::open(memory(&[("other.usda", "#usda 1.0\n")]), "other.usda", &OpenOptions::default()).unwrap();
    let here = host();
    here.edit(&EditLayer::Root, vec![set_x(5.0)]).unwrap();
    let diff = here.diff_since(0).unwrap();
    assert!(matches!(other.apply(&diff, ConflictPolicy::Theirs), Err(UsdError::Diff { .. })));
    let newer: StageDiff =
        serde_json::from_str(&serde_json::to_string(&diff).unwrap().replacen("\"version\":1", "\"version\":2", 1)).unwrap();
    assert!(matches!(here.apply(&newer, ConflictPolicy::Theirs), Err(UsdError::Diff { .. })));
}

#[test]
fn payloads_masks_variants_and_mutes_change_while_the_stage_lives() {
    let host = host();
    host.edit(&EditLayer::Session, vec![set_x(9.0)]).unwrap();
    assert!(prims(&host).contains(&"/P/Inner Cube".to_owned()));
    host.unload("/P").unwrap();
    assert!(!prims(&host).contains(&"/P/Inner Cube".to_owned()));
    host.load("/P").unwrap();
    assert!(prims(&host).contains(&"/P/Inner Cube".to_owned()));
    host.select_variant("/W", "v", "b").unwrap();
    assert!(prims(&host).contains(&"/W/B Cone".to_owned()));
    host.mute_layer("sub.usda", true).unwrap();
    assert!(!prims(&host).contains(&"/FromSub ".to_owned()));
    host.mute_layer("sub.usda", false).unwrap();
    assert!(prims(&host).contains(&"/FromSub ".to_owned()));
    host.set_mask(&["/W".into()]).unwrap();
    let masked = prims(&host);
    assert!(masked.iter().all(|prim| prim.starts_with("/W")) && masked.contains(&"/W/B Cone".to_owned()), "{masked:?}");
    host.set_mask(&[]).unwrap();
    assert!(prims(&host).contains(&"/P/Inner Cube".to_owned()));
    assert!(host.export_layer(&EditLayer::Session).unwrap().contains("x = 9"), "edits outlive a new mask");
    assert!(host.mute_layer("root.usda", true).is_err());
    assert!(host.load("nonsense").is_err());
}

#[test]
fn a_layer_that_changed_is_read_again_and_edits_of_others_stay() {
    let source = source();
    let host = StageHost::open(source.clone(), "root.usda", &OpenOptions::default()).unwrap();
    host.edit(&EditLayer::Root, vec![set_x(5.0)]).unwrap();
    host.edit(
        &EditLayer::Layer("sub.usda".into()),
        vec![StageEdit::DefinePrim { path: "/Lost".into(), type_name: "Cube".into() }],
    )
    .unwrap();
    assert_eq!(host.unsaved_layers().unwrap(), ["root.usda", "sub.usda"]);
    source.insert("sub.usda", b"#usda 1.0\ndef Sphere \"Fresh\" {}\n".to_vec());
    let outcome = host.reload(&["sub.usda".into()]).unwrap();
    assert_eq!(outcome.dropped_edits, ["sub.usda"]);
    let found = prims(&host);
    assert!(found.contains(&"/Fresh Sphere".to_owned()) && !found.iter().any(|prim| prim.starts_with("/Lost")), "{found:?}");
    assert!(host.export_layer(&EditLayer::Root).unwrap().contains("x = 5"));
    assert_eq!(host.unsaved_layers().unwrap(), ["root.usda"]);
    // A file that is half written does no harm.
    let before = all_of(&host);
    let broken = host.replace_layer("root.usda", b"#usda 1.0\ndef \"W\" {\n".to_vec()).unwrap_err();
    assert_eq!((broken.layer(), broken.line().is_some()), ("root.usda", true));
    assert_eq!(all_of(&host), before);
    assert_eq!(host.unsaved_layers().unwrap(), ["root.usda"]);
    host.replace_layer("sub.usda", b"#usda 1.0\ndef Cone \"Bytes\" {}\n".to_vec()).unwrap();
    assert!(prims(&host).contains(&"/Bytes Cone".to_owned()));
}

#[test]
fn saving_writes_the_edited_layers_and_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("root.usda", ROOT), ("sub.usda", SUB), ("pay.usda", PAY)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let source = Arc::new(FolderSource::new(folder.path()).unwrap());
    let host = StageHost::open(source, "root.usda", &OpenOptions::default()).unwrap();
    host.edit(
        &EditLayer::Layer("sub.usda".into()),
        vec![StageEdit::DefinePrim { path: "/Saved".into(), type_name: "Cube".into() }],
    )
    .unwrap();
    assert_eq!(host.save().unwrap(), ["sub.usda"]);
    assert_eq!(host.unsaved_layers().unwrap(), Vec::<String>::new());
    assert!(fs::read_to_string(folder.path().join("sub.usda")).unwrap().contains("def Cube \"Saved\""));
    assert_eq!(fs::read_to_string(folder.path().join("root.usda")).unwrap(), ROOT, "what was not edited is not written");
    for name in ["copy.usda", "copy.usdc"] {
        host.save_layer_as(&EditLayer::Root, &folder.path().join(name)).unwrap();
        let again = StageHost::open(Arc::new(FolderSource::new(folder.path()).unwrap()), name, &OpenOptions::default()).unwrap();
        assert_eq!(prims(&again), prims(&host), "{name}");
    }
    assert!(matches!(host.save_layer_as(&EditLayer::Root, &folder.path().join("copy.txt")), Err(UsdError::Save { .. })));
    let left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_string_lossy().starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[test]
fn a_stage_is_written_as_one_file_of_any_format() {
    let folder = tempfile::tempdir().unwrap();
    let host = host();
    let shader = "/W/New/Tex";
    host.edit(
        &EditLayer::Session,
        vec![
            set_x(9.0),
            StageEdit::DefinePrim { path: "/W/New".into(), type_name: "Scope".into() },
            StageEdit::DefinePrim { path: shader.into(), type_name: "Shader".into() },
            StageEdit::SetAttribute {
                path: format!("{shader}.inputs:file"),
                type_name: "asset".into(),
                value: StageValue::AssetPath("nowhere.png".into()),
                time: None,
            },
        ],
    )
    .unwrap();
    for name in ["one.usda", "one.usdc", "one.usd", "one.usdz"] {
        let left_out = host.write_flattened(&folder.path().join(name)).unwrap();
        let expected = if name == "one.usdz" { 1 } else { 0 };
        assert_eq!(left_out.len(), expected, "{name}: {left_out:?}");
        let again = StageHost::open(Arc::new(FolderSource::new(folder.path()).unwrap()), name, &OpenOptions::default()).unwrap();
        let (mut found, mut before) = (prims(&again), prims(&host));
        found.sort_unstable();
        before.sort_unstable();
        assert_eq!(found, before, "{name}");
        assert_eq!(again.report().unwrap().layers.len(), 1, "{name}");
        let x = again.extract(&ExtractOptions::default()).unwrap().snapshot;
        let x = x.prim("/W").unwrap().attributes.iter().find(|attribute| attribute.name == "x").unwrap().value.default.clone();
        assert_eq!(x, Some(crate::snapshot::AttributeValue::Double(9.0)), "{name}");
    }
    for name in ["one.obj", "one", "missing folder/one.usda"] {
        let error = host.write_flattened(&folder.path().join(name)).unwrap_err();
        assert!(matches!(error, UsdError::Save { .. }), "{name}: {error}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    assert!(host.is_alive());
}

/// In a process of its own, for the limit on the size of files stays.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_the_file_as_it_was() {
    const FOLDER: &str = "STUDIO_USD_FULL_DISK";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let folder = Path::new(&folder);
        let host = StageHost::open(Arc::new(FolderSource::new(folder).unwrap()), "root.usda", &OpenOptions::default()).unwrap();
        let points = StageValue::DoubleVec((0..20_000).map(|number| Number(f64::from(number) / 7.0)).collect());
        host.edit(
            &EditLayer::Root,
            vec![StageEdit::SetAttribute { path: "/W.many".into(), type_name: "double[]".into(), value: points, time: None }],
        )
        .unwrap();
        let error = host.save().unwrap_err();
        assert!(matches!(error, UsdError::Save { .. }), "{error}");
        assert_eq!(host.unsaved_layers().unwrap(), ["root.usda"]);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("root.usda", ROOT), ("sub.usda", SUB), ("pay.usda", PAY)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let program = std::env::current_exe().unwrap();
    let test = "host::tests::a_full_disk_leaves_the_file_as_it_was";
    // Files of 64 KiB at most; the signal that says so is not for us.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" --exact \"$1\" --nocapture";
    let done = std::process::Command::new("bash")
        .args(["-c", script])
        .arg(program)
        .arg(test)
        .env(FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(done.status.success(), "{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert_eq!(fs::read_to_string(folder.path().join("root.usda")).unwrap(), ROOT);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3, "what is not whole is not left behind");
}

#[test]
fn a_panic_is_the_error_of_its_request_and_the_end_of_the_stage() {
    let host = host();
    let first = host.request(|_| -> Result<(), UsdError> { panic!("on purpose") });
    assert!(matches!(&first, Err(UsdError::Panicked { message, .. }) if message == "on purpose"), "{first:?}");
    for _ in 0..3 {
        let later = host.report();
        assert!(
            matches!(&later, Err(UsdError::HostGone { reason: Some(reason), .. }) if reason.contains("on purpose")),
            "{later:?}"
        );
    }
    assert!(!host.is_alive());
}

#[test]
fn a_request_that_does_not_end_is_given_up() {
    let options =
        OpenOptions { budget: Budget { open_time: Duration::from_millis(500), ..Budget::default() }, ..OpenOptions::default() };
    let host = StageHost::open(source(), "root.usda", &options).unwrap();
    let (go_on, wait) = mpsc::sync_channel::<()>(1);
    let late = host.request(move |_| {
        _ = wait.recv();
        Ok(())
    });
    assert!(matches!(late, Err(UsdError::TimedOut { .. })), "{late:?}");
    drop(go_on);
    assert!(!host.is_alive());
}

#[test]
fn a_stage_is_asked_from_many_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<StageHost>();
    let host = host();
    thread::scope(|scope| {
        for thread in 0..4 {
            let host = &host;
            scope.spawn(move || {
                for step in 0..5 {
                    let path = format!("/W/T{thread}_{step}");
                    host.edit(&EditLayer::Session, vec![StageEdit::DefinePrim { path, type_name: "Cube".into() }]).unwrap();
                    host.extract(&ExtractOptions::default()).unwrap();
                }
            });
        }
    });
    assert_eq!(prims(&host).iter().filter(|prim| prim.starts_with("/W/T")).count(), 20);
}

#[test]
fn every_kind_of_value_goes_through_json() {
    let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.1, -0.0, 1e300];
    for number in numbers {
        let text = serde_json::to_string(&Number(number)).unwrap();
        assert_eq!(serde_json::from_str::<Number>(&text).unwrap(), Number(number), "{text}");
    }
    let text = "#usda 1.0\n(\n  subLayers = [@a.usda@ (offset = 2)]\n  customLayerData = { double3 a = (1, 2, 3) dictionary d = { string[] s = [\"x\"] } }\n  relocates = { </A/B>: </A/C> }\n)\ndef Xform \"W\" (\n  prepend references = [@c.usda@</W> (offset = 1; scale = 2), </Class>]\n  payload = @p.usda@\n  delete inherits = </Class>\n  variants = { string v = \"x\" }\n) {\n  matrix4d m = ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,0,0,1))\n  half3[] h = [(1,2,3)]\n  quatf q = (1,0,0,0)\n  uchar c = 7\n  int4 i = (1,2,3,4)\n  timecode t = 5\n  asset[] a = [@x@]\n  float3 p.timeSamples = { 1: (1,2,3), 2: None }\n  token[] k = [\"a\"]\n  float f.spline = { bezier, 1: 2; pre (1, 2); post curve (1, 2), }\n}\n";
    let data = openusd::usda::parse(text).unwrap();
    let mut seen = 0;
    for (path, spec) in data.iter() {
        for (key, value) in spec.fields.iter().map(|(key, value)| (key.as_str(), value)) {
            let plain = StageValue::from_usd(value).unwrap_or_else(|| panic!("{path} {key}: {value:?}"));
            let text = serde_json::to_string(&plain).unwrap();
            let again: StageValue = serde_json::from_str(&text).unwrap();
            assert_eq!(&again.to_usd(), value, "{path} {key}: {text}");
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
