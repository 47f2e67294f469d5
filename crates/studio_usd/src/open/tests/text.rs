use super::{open, *};
use openusd::sdf::Value;

fn layer(head: &str, body: &str) -> String {
    let head = if head.is_empty() { String::new() } else { format!("(\n    {head}\n)\n") };
    format!("#usda 1.0\n{head}def \"P\"\n{{\n    {body}\n}}\n")
}

fn value(text: &str, path: &str) -> Option<Value> {
    let opened = open(&[("root.usda", text)]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    opened.stage.attribute(path).get::<Value>().unwrap()
}

/// What usd-core 26.11 said to each of these, by `Sdf.Layer.ImportFromString`.
#[test]
fn layers_are_refused_where_pixar_s_parser_refuses_them() {
    let heads = [
        "framesPerSecond = 0",
        "framesPerSecond = -1",
        "framesPerSecond = \"a\"",
        "framesPerSecond = nan",
        "metersPerUnit = \"x\"",
        "upAxis = 1",
        "defaultPrim = 5",
        "startTimeCode = \"a\"",
        "owner = 5",
        "colorManagementSystem = 5",
        "customLayerData = { double3 x = (1,2) }",
    ];
    for head in heads {
        let error = open(&[("root.usda", &layer(head, ""))]).map(|_| ()).expect_err(head);
        assert_eq!((error.layer(), error.line()), ("root.usda", Some(3)), "{head}: {error}");
    }
    let bodies = [
        "float x = (1,2)",
        "float3 x = (1,2)",
        "def \"a b\" {}",
        "def \"1a\" {}",
        "string s = \"a\nb\"",
        "int x = 99999999999",
        "uchar x = 300",
        "float3[] x = [(1,2,3),(1,2)]",
        "token x = abc",
        "rel r = <a b>",
        "def \"b\" {}\n def \"b\" {}",
        "matrix4d m = ((1,0,0,0),(0,1,0,0),(0,0,1,0))",
        "float x ( interpolation = 5 )",
        "def \"x\" (kind = 5) {}",
        "def \"x\" (references = @a.usda@</a{v=b}>) {}",
        "color3f c.timeSamples = {1: (1,2)}",
        "color3f c.timeSamples = {1: 5}",
        "float x = \"1\"",
        "int x = true",
        "int x = 0x10",
        "int64 i = 9223372036854775808",
        "float x = +5",
        "variantSet \"a\" = { \"b\" {} \"c d\" {} }",
        "def \"x\" (inherits = </a/b.c>) {}",
    ];
    let mut let_through = Vec::new();
    for body in bodies {
        match open(&[("root.usda", &layer("", body))]) {
            Ok(_) => let_through.push(body),
            Err(error) => assert!(error.line().is_some_and(|line| (4..=6).contains(&line)), "{body}: {error}"),
        }
    }
    // A plus sign in front of a number is taken; nothing is lost by it.
    assert_eq!(let_through, ["float x = +5"]);
}

#[test]
fn layers_open_where_pixar_s_parser_opens_them() {
    let heads = [
        "framesPerSecond = inf",
        "timeCodesPerSecond = 0",
        "timeCodesPerSecond = -1",
        "metersPerUnit = 0",
        "metersPerUnit = .5",
        "metersPerUnit = 5.",
        "upAxis = \"Q\"",
        "defaultPrim = \"\"",
        "framePrecision = 1.5",
        "unknownThing = {int a = 1}",
    ];
    for head in heads {
        open(&[("root.usda", &layer(head, ""))]).map(drop).unwrap_or_else(|error| panic!("{head}: {error}"));
    }
    let bodies = [
        "uint[] x = [1,2]",
        "uint64[] x = [18446744073709551615]",
        "float x = .5",
        "float x = 5.",
        "float x = 1.e5",
        "float x = -.5",
        "float x = 1e400",
        "float x = nan",
        "half h = 100000",
        "pathExpression e = \"//a\"",
        "// it's a comment\n float x=1",
        "float x = 1 // don't",
        "string s = \"a\\\"b\\n\"",
        "def \"ü\" {}",
        "double x.timeSamples = {1: inf, 2: -inf}",
        "bool b = true",
        "bool b = 2",
        "bool b = \"yes\"",
        "int x = 1.5",
        "opaque x",
        "group g",
        "float x = None",
        "int[] x = []",
        "float x.connect = </a.b>",
        "asset a = @@@a@b@@@",
        "float x = 1 (unknown = 5)",
        "def \"x\" (active = 5) {}",
        "def \"x\" (foo = 5) {}",
        "float x = 1;float y = 2",
        "double3 xformOp:translate = (1,2,3,)",
        "float[] x = [1,2,]",
        "string s = 'a'",
        "timecode t = 5",
        "string[] s=[\"a\"]",
        "float x:y = 1",
        "double x.spline = { bezier, 1: 2; pre (1, 2); post held, }",
    ];
    let mut refused = Vec::new();
    for body in bodies {
        if let Err(error) = open(&[("root.usda", &layer("", body))]) {
            refused.push(format!("{body}: {error}"));
        }
    }
    // `openusd` reads the flag itself, as a word alone.
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(refused[0].starts_with("def \"x\" (active = 5)"), "{refused:#?}");
}

#[test]
fn values_that_openusd_cannot_read_arrive_all_the_same() {
    let text = layer(
        "",
        "uint[] u = [1, 4294967295]\n    uint64 big = 18446744073709551615\n    float a = .5\n    float b = 5.\n    float c = 1.e2\n    \
         int d = 1.9\n    bool e = 2\n    string f = \"say \\\"hi\\\"\\tnow\\n\"\n    pathExpression g = \"//x\" // don't mind\n    float h = 7",
    );
    assert_eq!(value(&text, "/P.u"), Some(Value::Int64Vec(vec![1, 4_294_967_295])));
    assert_eq!(value(&text, "/P.big"), Some(Value::Uint64(u64::MAX)));
    assert_eq!(value(&text, "/P.a"), Some(Value::Float(0.5)));
    assert_eq!(value(&text, "/P.b"), Some(Value::Float(5.0)));
    assert_eq!(value(&text, "/P.c"), Some(Value::Float(100.0)));
    assert_eq!(value(&text, "/P.d"), Some(Value::Int(1)));
    assert_eq!(value(&text, "/P.e"), Some(Value::Bool(true)));
    assert_eq!(value(&text, "/P.f"), Some(Value::String("say \"hi\"\tnow\n".into())));
    assert_eq!(value(&text, "/P.g"), Some(Value::String("//x".into())));
    assert_eq!(value(&text, "/P.h"), Some(Value::Float(7.0)));
}

#[test]
fn what_was_read_as_another_type_is_noted_with_its_line() {
    let opened = open(&[("root.usda", &layer("", "uint[] u = [1]"))]).unwrap();
    let note = opened.report.issues.iter().find(|issue| issue.severity == IssueSeverity::Note).unwrap();
    assert_eq!((note.layer.as_str(), note.line), ("root.usda", Some(4)));
    assert!(note.message.contains("uint[]") && note.message.contains("int64[]"), "{note}");
}

#[test]
fn errors_in_layers_below_name_that_layer_and_its_line_and_the_rest_stays() {
    let root = "#usda 1.0\ndef \"Good\" {}\ndef \"Bad\" (references = @sub/bad.usda@) {}\n";
    let opened = open(&[("root.usda", root), ("sub/bad.usda", "#usda 1.0\n\ndef \"X\" {\n  float3 v = (1, 2)\n}\n")]).unwrap();
    let issue = &opened.report.issues[0];
    assert_eq!((issue.severity, issue.layer.as_str(), issue.line), (IssueSeverity::Error, "sub/bad.usda", Some(4)), "{issue}");
    assert!(issue.message.contains("3 numbers"), "{issue}");
    assert_eq!(opened.report.prims, 2);
}

#[test]
fn files_that_are_not_there_are_reported_where_they_are_named() {
    let root = "#usda 1.0\n(\n  subLayers = [\n    @gone_a.usda@,\n  ]\n)\ndef \"A\" {\n  def \"B\" (\n    references = @dir/gone_b.usda@\n  ) {}\n}\n";
    let opened = open(&[("root.usda", root)]).unwrap();
    let mut found: Vec<_> = opened.report.issues.iter().map(|issue| (issue.line, issue.prim.as_str())).collect();
    found.sort();
    assert_eq!(found, [(Some(4), ""), (Some(9), "/A/B")]);
    assert_eq!(opened.report.missing, ["dir/gone_b.usda", "gone_a.usda"]);
}

#[test]
fn escapes_are_worked_in_as_pixar_s_parser_does() {
    assert_eq!(super::super::text::unescape(r#"a\tb\\n\x41\101\"\q"#), "a\tb\\nAA\"q");
}

/// `openusd` climbs from these until its stack ends, which no program survives.
#[test]
fn paths_that_lead_above_the_root_are_refused_on_their_line() {
    for body in [
        "rel r = <../../..>",
        "rel r = </P/../../..>",
        "float x.connect = <../../../..>",
        "def \"C\" (inherits = <../../../x>) {}",
        "rel r = <//P>",
    ] {
        let error = open(&[("root.usda", &layer("", body))]).map(|_| ()).expect_err(body);
        assert_eq!(error.line(), Some(4), "{body}: {error}");
    }
    open(&[("root.usda", &layer("", "rel r = <../P.x>\n    float x.connect = <.y>"))]).map(drop).unwrap();
}
