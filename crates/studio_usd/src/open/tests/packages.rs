use super::*;

/// A zip archive of stored files, as bytes.
pub(super) struct Zip {
    bytes: Vec<u8>,
    directory: Vec<u8>,
    count: u16,
}

impl Zip {
    pub(super) fn new() -> Self {
        Self { bytes: Vec::new(), directory: Vec::new(), count: 0 }
    }

    pub(super) fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name, content, 0, 0, content.len() as u32)
    }

    fn entry(mut self, name: &str, content: &[u8], flags: u16, method: u16, size: u32) -> Self {
        let start = self.bytes.len() as u32;
        let common = |out: &mut Vec<u8>| {
            for field in [20, flags, method, 0, 0] {
                out.extend(u16::to_le_bytes(field));
            }
            for field in [0, content.len() as u32, size] {
                out.extend(u32::to_le_bytes(field));
            }
            out.extend(u16::to_le_bytes(name.len() as u16));
            out.extend([0, 0]);
        };
        self.bytes.extend(b"PK\x03\x04");
        common(&mut self.bytes);
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(content);
        self.directory.extend(b"PK\x01\x02\x14\x00");
        common(&mut self.directory);
        self.directory.extend([0; 10]);
        self.directory.extend(start.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.count += 1;
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let start = self.bytes.len() as u32;
        self.bytes.extend(&self.directory);
        self.bytes.extend(b"PK\x05\x06\0\0\0\0");
        self.bytes.extend([self.count.to_le_bytes(), self.count.to_le_bytes()].concat());
        self.bytes.extend((self.directory.len() as u32).to_le_bytes());
        self.bytes.extend(start.to_le_bytes());
        self.bytes.extend([0, 0]);
        self.bytes
    }
}

fn open(package: Vec<u8>) -> Result<OpenedStage, UsdError> {
    open_stage(Arc::new(MemorySource::new([("p.usdz", package)])), "p.usdz", &OpenOptions::default())
}

#[test]
fn a_package_opens_with_the_layers_textures_and_packages_in_it() {
    let inner = Zip::new().file("in.usda", b"#usda 1.0\n(defaultPrim = \"I\")\ndef Sphere \"I\" {}\n").finish();
    let root = b"#usda 1.0\ndef \"A\" (references = @geo/cube.usda@) {\n  asset t = @tex/a.png@\n}\ndef \"B\" (references = @in.usdz@) {}\n";
    let cube = b"#usda 1.0\n(defaultPrim = \"C\")\ndef Cube \"C\" { asset t = @../tex/a.png@ }\n";
    let package =
        Zip::new().file("root.usda", root).file("geo/cube.usda", cube).file("tex/a.png", b"png").file("in.usdz", &inner).finish();
    let opened = open(package).unwrap();
    assert_eq!(opened.report.issues, []);
    let type_of = |path: &str| opened.stage.prim(path).type_name().unwrap().map(|name| name.to_string());
    assert_eq!((type_of("/A").as_deref(), type_of("/B").as_deref()), (Some("Cube"), Some("Sphere")));
    let asset = opened.stage.attribute("/A.t").get::<openusd::sdf::Value>().unwrap();
    let Some(openusd::sdf::Value::AssetPath(asset)) = asset else { panic!("{asset:?}") };
    assert_eq!(asset.resolved_path(), Some("p.usdz[tex/a.png]"));
    assert_eq!(&*opened.store.bytes("p.usdz[tex/a.png]").unwrap().unwrap(), b"png");
}

#[test]
fn packages_that_lead_out_of_themselves_are_refused() {
    for name in [
        "../evil.usda",
        "/etc/evil.usda",
        "a/../../evil.usda",
        r"C:\evil.usda",
        "a\\..\\b.usda",
        "./a.usda",
        "a//b.usda",
        "a[b].usda",
    ] {
        let package = Zip::new().file("root.usda", b"#usda 1.0\n").file(name, b"x").finish();
        let error = open(package).map(drop).expect_err(name);
        assert_eq!(error.layer(), "p.usdz", "{name}: {error}");
    }
    let root = b"#usda 1.0\ndef \"A\" (references = @../../outside.usda@) {}\n";
    let opened = open(Zip::new().file("root.usda", root).finish()).unwrap();
    assert_eq!(opened.report.issues.len(), 1);
    assert!(opened.report.issues[0].message.contains("leads out"), "{}", opened.report.issues[0]);
}

#[test]
fn packages_that_are_not_as_the_standard_says_are_refused() {
    let root = b"#usda 1.0\n".as_slice();
    let cases = [
        ("compressed", Zip::new().entry("root.usda", root, 0, 8, root.len() as u32).finish()),
        ("encrypted", Zip::new().entry("root.usda", root, 1, 0, root.len() as u32).finish()),
        ("compressed", Zip::new().entry("root.usda", root, 0, 0, 5_000).finish()),
        ("twice", Zip::new().file("root.usda", root).file("root.usda", root).finish()),
        ("first file", Zip::new().file("readme.txt", root).file("root.usda", root).finish()),
        ("empty", Zip::new().finish()),
        ("no package", b"PK".to_vec()),
    ];
    for (word, package) in cases {
        let error = open(package).map(drop).expect_err(word);
        assert!(error.to_string().contains(word) && error.layer() == "p.usdz", "{word}: {error}");
    }
    // Offsets beyond the file.
    let mut package = Zip::new().file("root.usda", root).finish();
    let end = package.len();
    package[end - 6..end - 2].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    assert!(open(package).is_err());
}
