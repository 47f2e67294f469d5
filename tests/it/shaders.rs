//! Every shader is what the GPU drivers will be given: it must parse and validate as it lies in its file.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::path::Path;

/// Files stand for themselves, so what two of them need is in both.
#[test]
fn what_shaders_share_is_the_same_in_each() {
    let shared = |file: &str| {
        let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders").join(file)).expect("readable");
        let from = source.find("fn sample_cubic").expect("it reads by splines");
        let to = source[from..].find("\n}\n").expect("a whole function");
        source[from..from + to].to_owned()
    };
    assert_eq!(shared("stitch.wgsl"), shared("stitch_stmap.wgsl"));
}

#[test]
fn every_shader_validates_and_names_its_entry_points() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder of the shaders") {
        let path = entry.expect("a file").path();
        let source = std::fs::read_to_string(&path).expect("readable");
        let module = naga::front::wgsl::parse_str(&source)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&source, &path)));
        Validator::new(ValidationFlags::all(), Capabilities::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&source, &path.display().to_string())));
        let head: String = source.lines().take_while(|line| line.starts_with("//") || line.is_empty()).collect();
        for entry_point in &module.entry_points {
            assert!(
                head.contains(&entry_point.name),
                "{}: the head does not name the entry point {}",
                path.display(),
                entry_point.name
            );
        }
        count += 1;
    }
    assert!(count >= 6, "only {count} shaders found");
}
