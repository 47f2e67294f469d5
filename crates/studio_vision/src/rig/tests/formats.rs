//! Files of other programs, real and hostile.

use super::{data, *};
use proptest::prelude::*;

const RIGS: [(&str, usize); 8] = [
    ("AQ1610012338_pano.ptv", 4),
    ("AQ1610012338_pano_undistorted_fisheye.ptv", 4),
    ("H3PRO6_ref.ptv", 6),
    ("Rafting.ptv", 5),
    ("calibrated_pano_definition.json", 6),
    ("calibration_AQ1610012338_artificial_keypoints_ref.ptv", 4),
    ("calibration_louvre_ref.ptv", 6),
    ("orah4i_artificial_keypoints.ptv", 4),
];

fn read(file: &str, text: &str) -> Result<Rig, RigError> {
    Rig::from_bytes(file, text.as_bytes())
}

fn refuse(file: &str, text: &str) -> String {
    read(file, text).expect_err("refused").to_string()
}

#[test]
fn every_real_ptv_is_read() {
    for (file, lenses) in RIGS {
        let Some(text) = data(&format!("stitchem_rigs/{file}")) else { return };
        let rig = read(file, &text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(rig.lenses.len(), lenses, "{file}");
        PreparedRig::new(&rig).expect("valid");
    }
}

#[test]
fn a_ptv_means_what_stitchem_means() {
    let Some(text) = data("stitchem_rigs/calibration_AQ1610012338_ref.ptv") else { return };
    let rig = read("orah.ptv", &text).expect("readable");
    let lens = &rig.lenses[0];
    assert_eq!(lens.lens.model, LensModel::Stereographic);
    assert_eq!(lens.lens.center_px, [954.0 + 2.59258, 744.0 + 1.40576]);
    assert_eq!(lens.crop, Crop::Circle { center_px: [954.0, 744.0], radius_px: 1031.0 });
    // r = tan(θ/2) of 45° with the radial polynomial in it, by hand: 0.41421 · (1 − a − b − c + c r + b r² + a r³).
    let r = (45_f64.to_radians() / 2.0).tan();
    let [a, b, c] = [0.247_723, -0.632_887, -0.010_178_6];
    let expected = 1070.69 * r * (1.0 - a - b - c + r * (c + r * (b + r * a)));
    let projector = crate::lens::LensProjector::new(&lens.lens).expect("valid");
    let pixel = projector.project(DVec3::new(1.0, 0.0, 1.0)).expect("seen");
    assert!((pixel.x - lens.lens.center_px[0] - expected).abs() < 1e-9, "{pixel}");
    // The way from the rig to the camera is a turn and then a shift: the camera stands where it becomes the origin.
    let stands = DVec3::from_array(lens.translation_m);
    let back = lens.orientation.rig_from_lens().transpose() * stands;
    assert!(back.distance(DVec3::new(0.009_306_08, -0.000_379_372, 0.032_816)) < 1e-12);
}

#[test]
fn fields_of_a_ptv_are_read_by_name() {
    let text = r#"{"pano": {"inputs": [
        {"reader_config": "a/b.mp4", "width": 1000, "height": 800, "proj": "rectilinear", "ev": [0, 0, 0.5, 3, 9, 0.7], "red_corr": 2,
         "vign_a": 2, "vign_b": -0.2, "geometries": {"horizontalFov": 90, "distort_b": 0.1, "yaw": 10, "pitch": 20, "roll": 30}},
        {"reader_config": "a/b.mp4", "width": 1000, "height": 800, "proj": "ff_fisheye", "crop_left": 100, "crop_right": 900,
         "geometries": [0, 0, {"horizontalFocal": 300, "center_x": -2}]}]}}"#;
    let rig = read("x.ptv", text).expect("readable");
    assert_eq!((rig.pictures.len(), rig.lenses[1].picture), (1, 0), "one file is one picture");
    let [first, second] = [&rig.lenses[0], &rig.lenses[1]];
    assert!((first.lens.focal_px[0] - 500.0).abs() < 1e-9);
    assert_eq!(first.lens.radial.map(|radial| radial.reference_px), Some(400.0), "without meter distortion");
    assert_eq!(first.orientation, Orientation::Angles(YawPitchRoll::new(10.0, 20.0, 30.0)));
    assert_eq!((first.exposure.gain_ev, first.exposure.white_balance), (-0.5, [0.5, 1.0, 1.0]));
    assert_eq!(first.vignetting.map(|vignetting| vignetting.coefficients), Some([-0.1, 0.0, 0.0]));
    assert_eq!((second.lens.focal_px, second.lens.center_px), ([300.0; 2], [498.0, 400.0]));
    assert_eq!(second.crop, Crop::Rectangle(PixelRect { min: [100.0, 0.0], max: [900.0, 800.0] }));
    assert!(
        refuse("x.ptv", &text.replace("\"ff_fisheye\"", "\"equirectangular\""))
            .contains("input 1: the lens type `equirectangular`")
    );
    assert!(refuse("x.ptv", &text.replace("distort_b", "distort_tau1")).contains("input 0: `distort_tau1` is not 0"));
    assert!(refuse("x.ptv", &text.replace(": 300", ": \"300\"")).contains("input 1: `horizontalFocal` is \"300\""));
    assert!(refuse("x.ptv", &text.replace("\"crop_left\": 100", "\"crop_left\": 900")).contains("input 1: the crop"));
    assert!(refuse("x.ptv", &text.replace("\"horizontalFov\": 90, ", "")).contains("input 0: neither"));
    assert!(refuse("x.ptv", &text.replace("\"vign_a\": 2", "\"vign_a\": 0")).contains("`vign_a` is 0"));
    assert!(refuse("x.ptv", "{\"inputs\": []}").contains("0 inputs"));
    assert!(refuse("x.ptv", "{}").contains("no .ptv project"));
    assert!(refuse("x.ptv", &"[".repeat(100_000)).contains("recursion"));
}

#[test]
fn every_real_gyroflow_profile_is_read() {
    let Ok(files) = fs::read_dir(PathBuf::from(DATA).join("gyroflow_profiles")) else { return println!("skipped: no profiles") };
    let mut found = 0;
    for file in files.filter_map(|entry| Some(entry.ok()?.path())) {
        let rig = Rig::read(&file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((rig.lenses.len(), rig.pictures.len()), (1, 1));
        assert!(matches!(rig.lenses[0].lens.model, LensModel::KannalaBrandt { .. }), "{}", file.display());
        found += 1;
    }
    assert!(found >= 6, "{found} profiles");
}

#[test]
fn gyroflow_refusals_say_why() {
    let text = r#"{"name": "lens", "calib_dimension": {"w": 100, "h": 50}, "fisheye_params": {"camera_matrix": [[40, 0, 49.5], [0, 40, 24.5], [0, 0, 1]],
        "distortion_coeffs": [0.1, 0, 0, 0]}}"#;
    let rig = read("x.json", text).expect("readable");
    assert_eq!((rig.lenses[0].lens.center_px, rig.pictures[0].size_px), ([50.0, 25.0], [100, 50]));
    let with = |field: &str| refuse("x.json", &text.replacen('{', &format!("{{{field}, "), 1));
    assert!(with(r#""distortion_model": "sony""#).contains("`sony` is not supported"));
    assert!(with(r#""digital_lens": "gopro_superview""#).contains("gopro_superview"));
    assert!(with(r#""input_horizontal_stretch": 1.33"#).contains("stretch"));
    assert!(refuse("x.json", &text.replace("[0.1, 0, 0, 0]", "[0.1]")).contains("1 distortion coefficients"));
    assert!(refuse("x.json", &text.replace("\"w\": 100", "\"w\": -1")).contains("picture size"));
}

const CHAIN: &str = "cam0:\n  camera_model: pinhole\n  distortion_coeffs: [0.1, 0.01, 0.0, 0.0]\n  distortion_model: equidistant\n  intrinsics: [400.0, 401.0, 319.5,\n    239.5]\n  resolution: [640, 480]\n  rostopic: /cam0\ncam1:\n  T_cn_cnm1:\n  - [0.0, 0.0, -1.0, 0.5]\n  - [0.0, 1.0, 0.0, 0.0]\n  - [1.0, 0.0, 0.0, 0.25]\n  - [0.0, 0.0, 0.0, 1.0]\n  camera_model: pinhole\n  distortion_coeffs: [-0.2, 0.05, 0.001, -0.002]\n  distortion_model: radtan\n  intrinsics: [500.0, 500.0, 320.0, 240.0]\n  resolution: [640, 480]\n";

#[test]
fn a_kalibr_chain_becomes_a_rig() {
    let rig = read("camchain.yaml", CHAIN).expect("readable");
    assert_eq!(rig.lenses[0].lens.model, LensModel::KannalaBrandt { k: [0.1, 0.01, 0.0, 0.0] });
    assert_eq!(rig.lenses[0].lens.center_px, [320.0, 240.0], "the first pixel's centre is at a half");
    assert_eq!(rig.lenses[1].lens.model, LensModel::BrownConrady { k: [-0.2, 0.05, 0.0, 0.0, 0.0, 0.0], p: [0.001, -0.002] });
    // p₁ = T p₀: what lies along the second camera's axis, z₁, is x₀, and its centre is where T gives zero.
    let second = &rig.lenses[1];
    assert!((second.orientation.rig_from_lens() * DVec3::Z).distance(DVec3::X) < 1e-12);
    assert!(DVec3::from_array(second.translation_m).distance(DVec3::new(-0.25, 0.0, 0.5)) < 1e-12);
    assert!(refuse("c.yaml", &CHAIN.replace("cam1:", "cam2:")).contains("line 9"));
    assert!(refuse("c.yaml", &CHAIN.replace("239.5", "x")).contains("line 5"));
    assert!(refuse("c.yaml", &CHAIN.replace("equidistant", "fov")).contains("cam0: the model `pinhole-fov` is not supported"));
    assert!(refuse("c.yaml", &CHAIN.replace("-1.0, 0.5", "-0.9, 0.5")).contains("cam1: `T_cn_cnm1` is no rigid transform"));
    assert!(refuse("c.yaml", &CHAIN.replace("T_cn_cnm1", "T_cam_imu")).contains("cam1: no `T_cn_cnm1`"));
    assert!(refuse("c.yaml", &CHAIN.replace("[640, 480]", "[640, 0.5]")).contains("resolution"));
}

#[test]
fn an_omni_camera_becomes_a_fisheye_within_a_tenth_of_a_pixel() {
    let chain = "cam0:\n  camera_model: omni\n  distortion_model: radtan\n  distortion_coeffs: [-0.05, 0.01, 0.0, 0.0]\n  intrinsics: [1.2, 700.0, 702.0, 639.5, 479.5]\n  resolution: [1280, 960]\n";
    let rig = read("omni.yaml", chain).expect("readable");
    let projector = crate::lens::LensProjector::new(&rig.lenses[0].lens).expect("valid");
    for step in 0..=40 {
        let theta = f64::from(step) * 2.0_f64.to_radians();
        let m = theta.sin() / (theta.cos() + 1.2);
        let expected = 640.0 + 700.0 * m * (1.0 + m * m * (-0.05 + 0.01 * m * m));
        if expected < 1280.0 {
            let pixel = projector.project(DVec3::new(theta.sin(), 0.0, theta.cos())).expect("seen");
            assert!((pixel.x - expected).abs() < 0.1, "{theta}: {} for {expected}", pixel.x);
        }
    }
    assert!(refuse("omni.yaml", &chain.replace("0.01, 0.0, 0.0", "0.01, 0.01, 0.0")).contains("tangential"));
    assert!(refuse("omni.yaml", &chain.replace("[1.2,", "[-1.2,")).contains("ξ"));
}

#[test]
fn opencv_files_are_read_as_one_camera() {
    let Some(text) = data("surround_view_4cam/left.yaml") else { return };
    assert_eq!(read("left.yaml", &text).expect("readable").lenses.len(), 1);
    assert!(refuse("x.json", "{\"a\": 1}").contains("no camera matrix"));
    assert!(refuse("x.yml", "a: 1\n").contains("no camera matrix"));
}

proptest! {
    /// Whatever is done to a file: an answer, no panic.
    #[test]
    fn spoiled_files_are_refused_or_read(at in 0_usize..4000, with in "[\\[\\]{}:,\"0-9eE.a-z \n-]{0,6}", cut in 0_usize..12, kind in 0_usize..4) {
        let ptv = r#"{"pano": {"inputs": [{"reader_config": "a", "width": 100, "height": 80, "proj": "circular_fisheye_opt", "ev": [0, 0, 0.5],
            "crop_left": -5, "crop_right": 105, "crop_top": -15, "crop_bottom": 95, "vign_a": 1, "vign_b": -0.1, "useMeterDistortion": true,
            "geometries": [0, 0, {"horizontalFocal": 60, "distort_a": 0.2, "distort_b": -0.6, "yaw": 10, "translation_x": 0.1}]}]}}"#;
        let profile = r#"{"calib_dimension": {"w": 100, "h": 50}, "fisheye_params": {"camera_matrix": [[40, 0, 49.5], [0, 40, 24.5], [0, 0, 1]],
            "distortion_coeffs": [0.1, 0, 0, 0]}}"#;
        let omni = "cam0:\n  camera_model: omni\n  distortion_model: none\n  intrinsics: [1.2, 700.0, 702.0, 639.5, 479.5]\n  resolution: [1280, 960]\n";
        let (file, text) = [("x.ptv", ptv), ("x.json", profile), ("x.yaml", CHAIN), ("x.yml", omni)][kind];
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Err(error) = Rig::from_bytes(file, &bytes) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
