//! Files that were changed at random: never a panic, never a hang, memory within the budget. `PROPTEST_CASES` asks for more of them.

use super::{packages::Zip, *};
use crate::{extract::ExtractOptions, host::StageHost};
use openusd::{sdf::FileFormat as _, usda, usdc::UsdcFileFormat};
use proptest::prelude::*;
use std::{sync::LazyLock, time::Duration};

/// Small files of all kinds, from the corpus where it is there.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let text = "#usda 1.0\n(\n  defaultPrim = \"W\"\n  subLayers = [@b.usda@ (offset = 2)]\n  customLayerData = { double3 a = (1, 2, 3) dictionary d = { string s = \"x\\n\" } }\n)\n\
        def Xform \"W\" (\n  kind = \"component\"\n  prepend references = [@./c.usdc@</W>, </Class>]\n  prepend apiSchemas = [\"A\"]\n  variants = { string v = \"x\" }\n  prepend variantSets = \"v\"\n) {\n\
        matrix4d xformOp:transform = ((1,0,0,0),(0,1,0,0),(0,0,1,0),(0,0,0,1))\n  uniform token[] xformOpOrder = [\"xformOp:transform\"]\n  uint[] u = [1, 2]\n\
        point3f[] points = [(0,0,0), (1,0,0), (1,1,0)]\n  float3 p.timeSamples = { 1: (1,2,3), 2: (2,3,4) }\n  double s.spline = { bezier, 1: 2; pre (1, 2); post curve (1, 2), }\n\
        rel r = [</W>, </Class>]\n  color3f c.connect = </W.x>\n  string[] names = [\"a\", \"b\"]\n  asset t = @t.png@\n\
        variantSet \"v\" = { \"x\" { def Sphere \"S\" {} } \"y\" {} }\n}\nclass \"Class\" { half h = 1.5 quatf q = (1,0,0,0) }\n";
    let mut files = vec![("root.usda".to_owned(), text.as_bytes().to_vec())];
    let without =
        text.replace("uint[] u = [1, 2]", "").replace("double s.spline = { bezier, 1: 2; pre (1, 2); post curve (1, 2), }", "");
    let mut bytes = std::io::Cursor::new(Vec::new());
    UsdcFileFormat.write(&usda::parse(&without).unwrap(), &mut bytes).unwrap();
    files.push(("root.usdc".to_owned(), bytes.clone().into_inner()));
    let package = Zip::new().file("a.usdc", &bytes.into_inner()).file("t.png", b"png").finish();
    files.push(("root.usdz".to_owned(), package));
    if let Some(folder) = corpus() {
        let mut pending = vec![folder];
        let mut found = Vec::new();
        while let Some(folder) = pending.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_owned();
                if path.is_dir() {
                    pending.push(path);
                } else if ["usda", "usdc", "usd", "usdz"].contains(&extension.as_str())
                    && entry.metadata().is_ok_and(|entry| entry.len() < 30_000)
                {
                    found.push((format!("root.{extension}"), path));
                }
            }
        }
        found.sort();
        files.extend(found.into_iter().map(|(name, path)| (name, std::fs::read(path).unwrap())));
    }
    files
});

#[derive(Clone, Debug)]
enum Harm {
    Set(prop::sample::Index, u8),
    Number(prop::sample::Index, u64),
    Cut(prop::sample::Index),
    Remove(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, u8, u8),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = any::<prop::sample::Index>;
    let text = prop::sample::select(vec![
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "'",
        "\"\"\"",
        "@",
        "<",
        ">",
        "/*",
        "#",
        ",",
        "=",
        "-",
        "inf",
        "def \"X\" {",
        "1e999",
        ".",
        "\\",
        "\n",
        "None",
    ]);
    let number = prop::sample::select(vec![
        0,
        1,
        8,
        255,
        u64::from(u32::MAX),
        1 << 31,
        1 << 40,
        1 << 47,
        1 << 48,
        1 << 61,
        1 << 62,
        1 << 63,
        u64::MAX,
        u64::MAX - 7,
    ]);
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Harm::Set(at, byte)),
        2 => (at(), number).prop_map(|(at, number)| Harm::Number(at, number)),
        1 => at().prop_map(Harm::Cut),
        1 => (at(), any::<u8>()).prop_map(|(at, length)| Harm::Remove(at, length)),
        3 => (at(), text).prop_map(|(at, text)| Harm::Insert(at, text.as_bytes().to_vec())),
        1 => (at(), any::<u8>(), any::<u8>()).prop_map(|(at, length, times)| Harm::Repeat(at, length, times)),
    ]
}

fn apply(bytes: &mut Vec<u8>, harm: &Harm) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match harm {
        Harm::Set(at, byte) => bytes[at.index(length)] = *byte,
        Harm::Number(at, number) => {
            let at = at.index(length);
            for (slot, byte) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                *slot = byte;
            }
        }
        Harm::Cut(at) => bytes.truncate(at.index(length)),
        Harm::Remove(at, count) => {
            let at = at.index(length);
            bytes.drain(at..(at + usize::from(*count)).min(length));
        }
        Harm::Insert(at, text) => {
            let at = at.index(length);
            bytes.splice(at..at, text.iter().copied());
        }
        Harm::Repeat(at, count, times) => {
            let at = at.index(length);
            let part = bytes[at..(at + usize::from(*count)).min(length)].to_vec();
            let many: Vec<u8> = part.iter().copied().cycle().take(part.len() * usize::from(*times)).collect();
            bytes.splice(at..at, many);
        }
    }
}

fn budget() -> Budget {
    Budget {
        decompressed_bytes: 8 << 20,
        prims: 5_000,
        open_time: Duration::from_secs(20),
        stack_bytes: 32 << 20,
        ..Budget::untrusted()
    }
}

/// Opens and extracts; panics of the composer and time-outs are failures.
fn survive(name: &str, bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let options = OpenOptions { budget: budget(), ..OpenOptions::default() };
    let source = MemorySource::new([(name, bytes)]);
    let done = StageHost::open(Arc::new(source), name, &options).and_then(|host| host.extract(&ExtractOptions::default()));
    match done {
        Err(error @ (UsdError::Panicked { .. } | UsdError::TimedOut { .. } | UsdError::HostGone { .. })) => {
            Err(TestCaseError::fail(error.to_string()))
        }
        Err(error) if error.to_string().is_empty() => Err(TestCaseError::fail("an error without a message")),
        _ => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 200 }, ..ProptestConfig::default() })]

    #[test]
    fn no_damaged_file_ends_or_stops_the_program(file in any::<prop::sample::Index>(), harms in prop::collection::vec(harm(), 1..6)) {
        let (name, bytes) = &FILES[file.index(FILES.len())];
        let mut bytes = bytes.clone();
        for harm in &harms {
            apply(&mut bytes, harm);
        }
        survive(name, bytes)?;
    }

    #[test]
    fn no_damaged_binary_layer_ends_or_stops_the_program(harms in prop::collection::vec(harm(), 1..4), is_packed in any::<bool>()) {
        let (name, bytes) = &FILES[1 + usize::from(is_packed)];
        let mut bytes = bytes.clone();
        for harm in &harms {
            apply(&mut bytes, harm);
        }
        survive(name, bytes)?;
    }

    #[test]
    fn no_text_at_all_does(text in "(#usda 1.0\n)?([(){}\\[\\]\"'@<>#=,;:./\\\\ a-z0-9\n-]|def|over|class|rel|float3|timeSamples|None|\"\"\"|variantSet|dictionary){0,80}") {
        survive("root.usda", text.into_bytes())?;
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_opens() {
    for (name, bytes) in FILES.iter().take(3) {
        for end in (0..bytes.len()).step_by(7) {
            survive(name, bytes[..end].to_vec()).unwrap_or_else(|error| panic!("{name} cut at {end}: {error}"));
        }
    }
}

#[test]
fn whole_files_are_fine() {
    for (name, bytes) in FILES.iter().take(3) {
        let done = open_stage(Arc::new(MemorySource::new([(name.as_str(), bytes.clone())])), name, &OpenOptions::default());
        done.map(drop).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// What ends in a brace that was never opened is its own parent to `openusd`, which would climb until the stack is full.
#[test]
fn paths_that_close_what_they_never_opened_are_refused() {
    let bodies = [
        "def \"W\" (references = </W}>) {}",
        "def \"W\" (references = @./root.usda@</W}B>) {}",
        "def \"W\" (inherits = </W}>) {}",
        "def \"W\" (specializes = </W[}>) {}",
        "def \"W\" (relocates = { </W/A}>: </W/B> }) {}",
        "def \"W\" { rel r = </W}> }",
        "def \"W\" { rel r = [</W}.x>] }",
        "def \"W\" { double d.connect = </W}B.x> }",
        "def \"W\" (primChildren = [\"A}\"]) {}",
        "def \"W\" (customData = { dictionary d = { string s = \"x\" } }\n properties = [\"A}\"]) {}",
    ];
    let root = "#usda 1.0\n(\n defaultPrim = \"W}\"\n)\ndef \"W\" (references = @./root.usda@) {}\n".to_owned();
    let texts = bodies.iter().map(|body| format!("#usda 1.0\n{body}\n")).chain([root]);
    for text in texts {
        let error = StageHost::open(memory(&[("root.usda", &text)]), "root.usda", &OpenOptions::default()).map(drop).unwrap_err();
        assert!(matches!(error, UsdError::Parse { line: Some(_), .. }), "{text}{error}");
    }
}

/// As above, of layers without a line to name: every token becomes one that closes a brace.
#[test]
fn names_in_binary_layers_that_close_what_they_never_opened_are_refused() {
    let (name, bytes) = &FILES[1];
    for word in ["Class", "points"] {
        let place = bytes.windows(word.len()).position(|window| window == word.as_bytes()).expect(word);
        for brace in [b'}', b'{', b'[', b']'] {
            let mut bytes = bytes.clone();
            bytes[place + word.len() - 1] = brace;
            let source = Arc::new(MemorySource::new([(name.as_str(), bytes)]));
            let error = StageHost::open(source, name, &OpenOptions::default()).map(drop).unwrap_err();
            assert!(matches!(error, UsdError::Parse { .. }), "{word} {}: {error}", char::from(brace));
        }
    }
}

/// Ten thousand brackets, which the parser would go into one by one.
#[test]
fn brackets_within_brackets_are_refused_with_their_line() {
    let dictionaries = format!("#usda 1.0\n(\ncustomLayerData = {}\n)\n", "{ dictionary a = ".repeat(10_000));
    let prims = format!("#usda 1.0\n{}", "def \"A\" {\n".repeat(10_000));
    let lists = format!("#usda 1.0\n(\n a = {}\n)\n", "[".repeat(100_000));
    for text in [dictionaries, prims, lists] {
        let error = open_stage(memory(&[("root.usda", &text)]), "root.usda", &OpenOptions::default()).map(drop).unwrap_err();
        assert!(matches!(error, UsdError::OverBudget { line: Some(_), .. }), "{error}");
    }
}
