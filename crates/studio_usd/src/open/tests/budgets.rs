use super::{packages::Zip, *};
use std::time::{Duration, Instant};

const CUBE: &str = "#usda 1.0\n(\n  defaultPrim = \"C\"\n)\ndef Cube \"C\" {}\n";

fn refused(files: &[(&str, &str)], budget: Budget) -> (String, String) {
    let options = OpenOptions { budget, ..OpenOptions::default() };
    let error = open_stage(memory(files), "root.usda", &options).map(|opened| opened.report).unwrap_err();
    match &error {
        UsdError::OverBudget { budget, .. } => ((*budget).to_owned(), error.to_string()),
        error => panic!("{error}"),
    }
}

#[test]
fn every_budget_is_kept_and_says_which_one_to_raise() {
    let two = "#usda 1.0\ndef \"A\" (references = @cube.usda@) {}\ndef \"B\" { def \"C\" { def \"D\" {} } }\n";
    let files = [("root.usda", two), ("cube.usda", CUBE)];
    let default = Budget::default;
    let cases = [
        ("layer_bytes", Budget { layer_bytes: 20, ..default() }),
        ("total_bytes", Budget { total_bytes: 100, ..default() }),
        ("layers", Budget { layers: 2, ..default() }),
        ("prims", Budget { prims: 3, ..default() }),
        ("namespace_depth", Budget { namespace_depth: 2, ..default() }),
        ("arcs_per_prim", Budget { arcs_per_prim: 1, ..default() }),
        ("arc_depth", Budget { arc_depth: 0, ..default() }),
        ("nesting", Budget { nesting: 0, namespace_depth: 2, ..default() }),
    ];
    for (name, budget) in cases {
        let files = if name == "nesting" {
            vec![("root.usda", "#usda 1.0\n(customLayerData = { dictionary a = { dictionary b = {} } })\n")]
        } else {
            files.to_vec()
        };
        let (found, message) = refused(&files, budget);
        assert_eq!(found, name, "{message}");
        assert!(message.contains(&format!("Budget::{name}")), "{message}");
    }
    let long = [("root.usda", "#usda 1.0\ndef \"A\" {\n\n  int[] x = [1, 2, 3, 4]\n}\n")];
    let (found, message) = refused(&long, Budget { array_elements: 3, ..default() });
    assert_eq!(found, "array_elements");
    assert!(message.starts_with("root.usda:4: "), "{message}");
    let options = OpenOptions::default();
    open_stage(memory(&files), "root.usda", &options).map(drop).unwrap();
}

#[test]
fn packages_within_packages_end_somewhere() {
    let mut package = Zip::new().file("a.usda", b"#usda 1.0\n").finish();
    for _ in 0..6 {
        package = Zip::new().file("p.usdz", &package).finish();
    }
    let source = Arc::new(MemorySource::new([("p.usdz", package)]));
    let error = open_stage(source, "p.usdz", &OpenOptions::default()).map(drop).unwrap_err();
    assert!(matches!(error, UsdError::OverBudget { budget: "package_depth", .. }), "{error}");
    let many = Zip::new().file("a.usda", b"#usda 1.0\n").file("b.usda", b"").finish();
    let options = OpenOptions { budget: Budget { package_entries: 1, ..Budget::default() }, ..OpenOptions::default() };
    let error = open_stage(Arc::new(MemorySource::new([("p.usdz", many)])), "p.usdz", &options).map(drop).unwrap_err();
    assert!(matches!(error, UsdError::OverBudget { budget: "package_entries", .. }), "{error}");
}

/// Thirty lines that ask for 2³⁰ places; with the count in front of composition it takes no time.
#[test]
fn references_that_double_with_each_step_are_refused_at_once() {
    let mut text = String::from("#usda 1.0\n");
    for step in 0..30 {
        for name in ["A", "B"] {
            text += &format!("def \"{name}{step}\" (references = [</A{0}>, </B{0}>]) {{}}\n", step + 1);
        }
    }
    text += "def \"A30\" {}\ndef \"B30\" {}\n";
    let started = Instant::now();
    let (found, _) = refused(&[("root.usda", &text)], Budget::default());
    assert_eq!(found, "arcs_per_prim");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn references_that_double_over_layers_and_sublayers_are_refused_as_well() {
    let mut files = Vec::new();
    for step in 0..30 {
        for name in ["a", "b"] {
            let over = format!("#usda 1.0\nover \"P\" (references = [@a{0}.usda@</P>, @b{0}.usda@</P>]) {{}}\n", step + 1);
            files.push((format!("{name}{step}_over.usda"), over));
            files.push((
                format!("{name}{step}.usda"),
                format!("#usda 1.0\n(\n  subLayers = [@{name}{step}_over.usda@]\n)\ndef \"P\" {{}}\n"),
            ));
        }
    }
    files.push(("root.usda".into(), "#usda 1.0\ndef \"R\" (references = @a0.usda@</P>) {}\n".into()));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (found, _) = refused(&files, Budget { arcs_per_prim: 1_000, ..Budget::default() });
    assert_eq!(found, "arcs_per_prim");
}

/// Two children in each step that refer to the next step: 2³⁰ prims, composed one by one until there are too many.
#[test]
fn prims_that_double_with_each_step_end_at_the_budget() {
    let mut text = String::from("#usda 1.0\n");
    for step in 0..30 {
        text += &format!(
            "def \"P{step}\" {{\n  def \"L\" (references = </P{0}>) {{}}\n  def \"R\" (references = </P{0}>) {{}}\n}}\n",
            step + 1
        );
    }
    let (found, _) = refused(&[("root.usda", &text)], Budget { prims: 500, ..Budget::default() });
    assert_eq!(found, "prims");
}

#[test]
fn the_caller_has_an_answer_in_time_whatever_the_file_is() {
    let mut text = String::from("#usda 1.0\n");
    for step in 0..30 {
        text += &format!(
            "def \"P{step}\" {{\n  def \"L\" (references = </P{0}>) {{}}\n  def \"R\" (references = </P{0}>) {{}}\n}}\n",
            step + 1
        );
    }
    let options =
        OpenOptions { budget: Budget { open_time: Duration::from_millis(300), ..Budget::default() }, ..OpenOptions::default() };
    let started = Instant::now();
    let error = crate::host::StageHost::open(memory(&[("root.usda", &text)]), "root.usda", &options).map(drop).unwrap_err();
    assert!(matches!(error, UsdError::TimedOut { .. }), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
