//! Files that nobody wrote by hand: no panic, no hang, no unbounded memory, and what is written is read again.

use super::*;
use std::time::{Duration, Instant};

/// Files with everything in them that a file may have.
const SEEDS: [&str; 3] = [CHAIN, subgraphs::NESTED, RICH];

const RICH: &str = r#"(
    version: 1,
    name: "Rich",
    nodes: {
        "wave": (kind: "Oscillator", at: (-1e3, 0.5), settings: (wave: Saw, high: 2.5e1)),
        "sum": (kind: "Math", exposed: ["a_else", "formula"], settings: (formula: "a + b * sin(t)"), drivers: {
            "b_else": Expression("20 + 10 * sin(PI / 2 * t)"),
            "c_else": Keys(keys: [(0, 1), (4.0, 3)], between: Smooth, repeat: true),
        }),
        "clip": (kind: "Source", exposed: ["rate_hz"], bypass: true, freeze: true, join: Latest, settings: (
            shape: Square(turn_deg: 45.0), limit: Some(3), source: r"C:\clips\ä.mp4", // a comment
        )),
        "storm": (kind: "ParticleStorm", settings: { "wind speed": [Gale(9), {"x": 'y'}, /* inner */ ()], "calm": None }),
        "part": (kind: "Subgraph", values: {"own.rate_hz": 3.5}, settings: (definition: "part")),
        "file": (kind: "Subgraph", settings: (file: "no such file.blueprint.ron", definition: "x")),
    },
    links: ["wave.value -> sum.a", "sum.value -> clip.rate_hz", "part.out -> storm.anything", "storm.more -> file.in"],
    notes: [(text: "two\nlines \u{1F600}", at: (0, 0), size: (200, 80.25))],
    parameters: {"speed": "part.pace", "a b": "clip.shape"},
    subgraphs: {"part": (
        nodes: {"own": (kind: "Source"), "out": (kind: "SubgraphOutput")},
        links: ["own.frame 1 -> out.value"],
        parameters: {"pace": "own.rate_hz"},
    )},
)
"#;

thread_local! {
    /// Making an app for every case would take most of the time.
    static KINDS: App = app();
}

/// What holds for every text.
fn holds_for(text: &str) {
    let start = Instant::now();
    let problems = KINDS.with(|app| problems_of(app, text));
    let (blueprint, faults) = read(text);
    let written = write::write(&blueprint);
    let (again, faults_again) = read(&written);
    assert_eq!(write::write(&again), written, "what is written is read as it was written, from:\n{text}");
    if !has_errors(&faults) {
        assert_eq!(faults_again, [], "{written}\n--- from:\n{text}");
    }
    if !has_errors(&faults) {
        let (joined, faults) = parts::GraphParts::of(&blueprint).join();
        assert_eq!(faults, [], "taken apart and put together, from:\n{text}");
        assert!(joined == blueprint, "taken apart and put together it is another one, from:\n{text}");
    }
    if !has_errors(&problems) {
        assert!(again == blueprint, "{written}\n--- from:\n{text}");
        let mut app = app();
        let root =
            spawn(app.world_mut(), &blueprint, None).unwrap_or_else(|problems| panic!("{}\n{text}", problem::list(&problems)));
        app.update();
        let captured = capture::capture(app.world(), root).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let rewritten = write::write(&captured);
        let (reread, faults) = read(&rewritten);
        assert_eq!((write::write(&reread), faults), (rewritten, vec![]), "from:\n{text}");
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?} for:\n{text}", start.elapsed());
}

/// Words, numbers, texts and signs of a file.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut quoted = false;
    for letter in text.chars() {
        let joins = |last: &String| {
            let before = last.chars().next_back().unwrap_or(' ');
            quoted
                || (letter.is_alphanumeric() && (before.is_alphanumeric() || before == '_'))
                || (letter == ' ' && before == ' ')
        };
        match tokens.last_mut().filter(|last| joins(last)) {
            Some(last) => last.push(letter),
            None => tokens.push(letter.to_string()),
        }
        quoted ^= letter == '"';
    }
    tokens
}

/// What may become of a token.
#[derive(Clone, Debug)]
enum Change {
    Delete(usize),
    Double(usize),
    Swap(usize, usize),
    Replace(usize, String),
    Insert(usize, String),
    CutOff(usize),
}

fn strange() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("1e400".to_owned()),
        Just("-1".to_owned()),
        Just("99999999999999999999999999".to_owned()),
        Just("-0.0".to_owned()),
        Just("NaN".to_owned()),
        Just("inf".to_owned()),
        Just("0x_ff".to_owned()),
        Just("\"\"".to_owned()),
        Just("r#\"raw \"text\" \"#".to_owned()),
        Just("'\\u{0}'".to_owned()),
        Just("\"\\u{202e}\\n\"".to_owned()),
        Just("// a comment\n".to_owned()),
        Just("/* a comment */".to_owned()),
        Just("#![enable(implicit_some)]".to_owned()),
        Just("Some(None)".to_owned()),
        Just("()".to_owned()),
        Just("\u{feff}".to_owned()),
        (1_usize..200).prop_map(|depth| "(".repeat(depth)),
        (1_usize..300).prop_map(|depth| format!("{}1{}", "[".repeat(depth), "]".repeat(depth))),
        (1_usize..300).prop_map(|depth| format!("{}1{}", "Some(".repeat(depth), ")".repeat(depth))),
        (1_usize..3000).prop_map(|length| format!("\"{}\"", "x".repeat(length))),
        (1_usize..250).prop_map(|depth| format!("Expression(\"{}t{}\")", "(".repeat(depth), ")".repeat(depth))),
        "[-+*/^(). a-dt0-9]{0,30}".prop_map(|formula| format!("Expression(\"{formula}\")")),
        "[-+*/^()a-z0-9 .]{0,30}".prop_map(|words| format!("\"{words}\"")),
        "\\PC{0,20}",
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let at = 0_usize..4000;
    prop_oneof![
        3 => at.clone().prop_map(Change::Delete),
        3 => at.clone().prop_map(Change::Double),
        3 => (at.clone(), at.clone()).prop_map(|(one, two)| Change::Swap(one, two)),
        5 => (at.clone(), strange()).prop_map(|(at, token)| Change::Replace(at, token)),
        2 => (at.clone(), strange()).prop_map(|(at, token)| Change::Insert(at, token)),
        1 => at.prop_map(Change::CutOff),
    ]
}

fn mutated() -> impl Strategy<Value = String> {
    (0..SEEDS.len(), prop::collection::vec(change(), 1..6)).prop_map(|(seed, changes)| {
        let mut tokens = tokens(SEEDS[seed]);
        for change in changes {
            let count = tokens.len().max(1);
            if tokens.is_empty() {
                break;
            }
            match change {
                Change::Delete(at) => drop(tokens.remove(at % count)),
                Change::Double(at) => tokens.insert(at % count, tokens[at % count].clone()),
                Change::Swap(one, two) => tokens.swap(one % count, two % count),
                Change::Replace(at, token) => tokens[at % count] = token,
                Change::Insert(at, token) => tokens.insert(at % count, token),
                Change::CutOff(at) => tokens.truncate(at % count),
            }
        }
        tokens.concat()
    })
}

#[test]
fn the_seeds_are_right() {
    for seed in SEEDS {
        assert_eq!(tokens(seed).concat(), seed);
        let problems = KINDS.with(|app| problems_of(app, seed));
        assert!(!has_errors(&problems), "{}", problem::list(&problems));
        holds_for(seed);
    }
}

proptest! {
    #[test]
    fn bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        holds_for(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn changed_files(text in mutated()) {
        holds_for(&text);
    }
}

/// Files of many parts, all of them wrong: time and memory must grow with the file and not with its square.
#[test]
fn many_faults_take_no_longer_than_many_nodes() {
    const MANY: usize = 4_000;
    let all = |part: &dyn Fn(usize) -> String| (0..MANY).map(part).collect::<String>();
    let node = |index: usize| format!("\"n{index}\": (kind: \"Effect\"),");
    for (what, text) in [
        (
            "unknown kinds",
            format!("(version: 1, nodes: {{ {} }})", all(&|index| format!("\"n{index}\": (kind: \"Efect{index}\"),"))),
        ),
        (
            "links to nowhere",
            format!("(version: 1, nodes: {{ {} }}, links: [ {} ])", all(&node), all(&|index| format!("\"x{index}.a -> y.b\","))),
        ),
        (
            "one input fed by all",
            format!(
                "(version: 1, nodes: {{ {} }}, links: [ {} ])",
                all(&node),
                all(&|index| format!("\"n{index}.frame -> n0.frame\","))
            ),
        ),
        (
            "one ring",
            format!(
                "(version: 1, nodes: {{ {} }}, links: [ {} ])",
                all(&node),
                all(&|index| format!("\"n{index}.frame -> n{}.frame\",", (index + 1) % MANY))
            ),
        ),
        (
            "parameters of nothing",
            format!(
                "(version: 1, nodes: {{ {} }}, parameters: {{ {} }})",
                all(&node),
                all(&|index| format!("\"p{index}\": \"no.x\","))
            ),
        ),
        (
            "parameters of the last",
            format!(
                "(version: 1, nodes: {{ {} }}, parameters: {{ {} }})",
                all(&node),
                all(&|index| format!("\"p{index}\": \"n3999.x\","))
            ),
        ),
        (
            "parameters of each other",
            format!(
                "(version: 1, nodes: {{}}, parameters: {{ {} }})",
                all(&|index| format!("\"p{index}\": \"p{}\",", index + 1))
            ),
        ),
        (
            "missing settings",
            format!(
                "(version: 1, nodes: {{ {} }})",
                all(&|index| format!("\"n{index}\": (kind: \"Source\", settings: (x{index}: 1)),"))
            ),
        ),
        (
            "settings of one node",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Source\", settings: ( {} )) }})",
                all(&|index| format!("x{index}: 1,"))
            ),
        ),
        (
            "settings of a placeholder",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Sourc\", settings: ( {} )) }})",
                all(&|index| format!("x{index}: 1,"))
            ),
        ),
        (
            "pins of a placeholder",
            format!(
                "(version: 1, nodes: {{ {} \"p\": (kind: \"Sourc\") }}, links: [ {} ])",
                all(&node),
                all(&|index| format!("\"p.x{index} -> n{index}.frame\","))
            ),
        ),
        (
            "missing files",
            format!(
                "(version: 1, nodes: {{ {} }})",
                all(&|index| format!("\"n{index}\": (kind: \"Subgraph\", settings: (file: \"{index}.ron\")),"))
            ),
        ),
        (
            "missing graphs",
            format!(
                "(version: 1, nodes: {{ {} }})",
                all(&|index| format!("\"n{index}\": (kind: \"Subgraph\", settings: (definition: \"{index}\")),"))
            ),
        ),
        (
            "unnamed exposed settings",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Source\", exposed: [ {} ]) }})",
                all(&|index| format!("\"x{index}\","))
            ),
        ),
        (
            "the same exposed setting",
            format!("(version: 1, nodes: {{ \"n\": (kind: \"Source\", exposed: [ {} ]) }})", all(&|_| "\"rate_hz\",".to_owned())),
        ),
        (
            "drivers of nothing",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Source\", drivers: {{ {} }}) }})",
                all(&|index| format!("\"x{index}\": Expression(\"t\"),"))
            ),
        ),
        (
            "drivers of one number",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Source\", drivers: {{ {} }}) }})",
                all(&|_| "\"rate_hz\": Expression(\"t\"),".to_owned())
            ),
        ),
        (
            "values of nothing",
            format!(
                "(version: 1, nodes: {{ \"n\": (kind: \"Subgraph\", settings: (definition: \"g\"), values: {{ {} }}) }}, subgraphs: {{ \"g\": (nodes: {{ \"s\": (kind: \"Source\") }}) }})",
                all(&|index| format!("\"s.x{index}\": 1,"))
            ),
        ),
        (
            "pins of one name",
            format!(
                "(version: 1, subgraphs: {{ \"g\": (nodes: {{ {} }}) }})",
                all(&|index| format!("\"s{index}\": (kind: \"SubgraphInput\", settings: (name: \"s\")),"))
            ),
        ),
        (
            "pins of many names",
            format!(
                "(version: 1, subgraphs: {{ \"g\": (nodes: {{ {} }}) }})",
                all(&|index| format!("\"s{index}\": (kind: \"SubgraphInput\"),"))
            ),
        ),
        (
            "nodes of one graph",
            format!(
                "(version: 1, nodes: {{ {} }}, subgraphs: {{ \"g\": (nodes: {{ {} }}) }})",
                all(&|index| format!("\"n{index}\": (kind: \"Subgraph\", settings: (definition: \"g\")),")),
                (0..50).map(|index| format!("\"s{index}\": (kind: \"Effect\"),")).collect::<String>()
            ),
        ),
        ("names of one letter", format!("(version: 1, nodes: {{ {} }})", all(&|_| "\"n\": (kind: \"Effect\"),".to_owned()))),
        ("blanks", format!("(version: 1, name: \"{}\"{})", " ".repeat(MANY * 50), " ".repeat(MANY * 50))),
        ("brackets", format!("(version: 1, nodes: {{ \"a\": {} }})", "(".repeat(MANY * 10))),
        ("comments", format!("(version: 1, {})", "/* */".repeat(MANY * 10))),
    ] {
        let start = Instant::now();
        let problems = KINDS.with(|app| problems_of(app, &text));
        let checked = start.elapsed();
        let said = problem::list(&problems).len();
        let written = write::write(&read(&text).0).len();
        println!(
            "{what}: {} bytes, {} problems of {said} bytes, checked in {checked:.0?}, in all {:.0?}",
            text.len(),
            problems.len(),
            start.elapsed()
        );
        assert!(said < 40_000_000 && written < 20 * text.len() + 1000, "{what}: {said}");
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
    }
}

#[test]
fn places_are_found_in_one_long_line_too() {
    let nodes: String = (0..60_000).map(|index| format!("\"ä{index}\": (kind: \"Effect\", at: ({index}, 0)),")).collect();
    let text = format!("(version: 1,\n  nodes: {{ {nodes} }})");
    let start = Instant::now();
    let (blueprint, problems) = read(&text);
    println!("{} bytes on one line: read in {:.0?}", text.len(), start.elapsed());
    assert_eq!((blueprint.nodes.len(), problems), (60_000, vec![]));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    let at = text.lines().nth(1).expect("two lines").find("(kind: \"Effect\", at: (59999").expect("it is there");
    let letters = text.lines().nth(1).expect("two lines")[..at].chars().count() as u32;
    let place = blueprint.nodes[59_999].place;
    assert_eq!((place.line, place.column), (2, letters + 1));
}
