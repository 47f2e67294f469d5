//! Files of cases in `web/test/vectors`: what is worked out here, read by the page's tests too.
//!
//! `NEURAL_STUDIO_BLESS=1 cargo test -p studio_stream --lib vectors` writes them.

use serde_json::Value;
use std::{env, fs, path::Path};

/// The same chance each time (xorshift), from 0 to 1.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Thousandths: text is exact then.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// Checks that the file `name` holds these cases, or with `NEURAL_STUDIO_BLESS` writes it. Returns its text.
pub(crate) fn check_vectors(name: &str, cases: &[Value]) -> String {
    let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
    let json = format!("{{\"cases\":[\n{}\n]}}\n", lines.join(",\n"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/test/vectors").join(name);
    if env::var_os("NEURAL_STUDIO_BLESS").is_some() {
        fs::write(&path, &json).expect("written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(there == json, "{} is old: NEURAL_STUDIO_BLESS=1 cargo test -p studio_stream --lib vectors", path.display());
    json
}
