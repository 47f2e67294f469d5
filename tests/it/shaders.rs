//! Every shader is what the GPU drivers will be given: it must parse and validate as it lies in its file.

use naga::valid::{Capabilities, ValidationFlags, Validator};
use std::path::Path;

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
