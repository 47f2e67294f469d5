mod formats;

use super::*;
use crate::lens::LensModel;
use bevy::math::{DVec2, DVec3};
use std::{fs, path::PathBuf};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/fisheye");

fn data(path: &str) -> Option<String> {
    let path = PathBuf::from(DATA).join(path);
    let text = fs::read_to_string(&path).ok();
    if text.is_none() {
        println!("skipped: {} absent", path.display());
    }
    text
}

fn dual() -> Rig {
    Rig::dual_fisheye([2560, 1280], 195.0)
}

fn refusal(change: impl FnOnce(&mut Rig)) -> String {
    let mut rig = dual();
    change(&mut rig);
    rig.validate().expect_err("refused").to_string()
}

#[test]
fn angles_turn_right_up_and_clockwise() {
    let looks = |yaw, pitch| YawPitchRoll::new(yaw, pitch, 0.0).matrix() * DVec3::Z;
    assert!(looks(90.0, 0.0).distance(DVec3::X) < 1e-12);
    assert!(looks(0.0, 90.0).distance(DVec3::NEG_Y) < 1e-12);
    let right_hand_side = YawPitchRoll::new(0.0, 0.0, 90.0).matrix() * DVec3::X;
    assert!(right_hand_side.distance(DVec3::Y) < 1e-12, "clockwise: the right side goes down");
}

#[test]
fn angles_come_back_from_their_rotation() {
    for angles in [YawPitchRoll::new(25.0, -40.0, 170.0), YawPitchRoll::new(-170.0, 80.0, -3.0), YawPitchRoll::default()] {
        let back = YawPitchRoll::from_matrix(angles.matrix());
        let error = [back.yaw_deg - angles.yaw_deg, back.pitch_deg - angles.pitch_deg, back.roll_deg - angles.roll_deg];
        assert!(error.iter().all(|degrees| degrees.abs() < 1e-9), "{angles:?} became {back:?}");
    }
}

#[test]
fn a_rig_survives_its_text_file() {
    let mut rig = dual();
    rig.lenses[0].lens.model = LensModel::KannalaBrandt { k: [0.01, -0.002, 0.0003, 0.0] };
    rig.lenses[1].orientation = Orientation::Quaternion([0.0, 1.0, 0.0, 0.0]);
    rig.lenses[1].vignetting = Some(Vignetting { coefficients: [-0.1, 0.02, 0.0], radius_px: 640.0 });
    rig.lenses[1].exposure = Exposure { gain_ev: -0.25, white_balance: [1.02, 1.0, 0.98] };
    let text = rig.to_ron().expect("serialisable");
    assert_eq!(Rig::from_ron("test.rig.ron", &text).expect("readable"), rig);
}

#[test]
fn shipped_rigs_are_valid() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/rigs"));
    let files: Vec<_> = fs::read_dir(folder).expect("the folder exists").filter_map(|entry| Some(entry.ok()?.path())).collect();
    assert!(!files.is_empty());
    for file in files {
        Rig::read(&file).expect("a shipped rig is valid");
    }
}

#[test]
fn refusals_name_the_lens_and_the_field() {
    assert!(refusal(|rig| rig.lenses.clear()).contains("0 lenses"));
    assert!(refusal(|rig| rig.lenses = vec![rig.lenses[0].clone(); 17]).contains("17 lenses: it must have 1 to 16"));
    assert!(refusal(|rig| rig.pictures[0].size_px[0] = 0).contains("picture 0"));
    assert!(refusal(|rig| rig.lenses[1].picture = 3).contains("lens 1 (“back”): picture is 3"));
    assert!(refusal(|rig| rig.lenses[1].lens.focal_px[0] = f64::NAN).contains("lens 1 (“back”): focal_px[0] is NaN"));
    assert!(refusal(|rig| rig.lenses[0].region = Some(PixelRect { min: [0.0; 2], max: [5000.0, 10.0] })).contains("region"));
    assert!(refusal(|rig| rig.lenses[0].crop = Crop::Circle { center_px: [9e9, 0.0], radius_px: 3.0 }).contains("crop"));
    assert!(refusal(|rig| rig.lenses[0].crop = Crop::Circle { center_px: [f64::NAN, 0.0], radius_px: 3.0 }).contains("crop"));
    assert!(refusal(|rig| rig.lenses[0].orientation = Orientation::Quaternion([0.0; 4])).contains("orientation"));
    assert!(refusal(|rig| rig.lenses[0].exposure.gain_ev = f64::INFINITY).contains("exposure.gain_ev"));
    assert!(refusal(|rig| rig.lenses[0].exposure.white_balance[2] = 0.0).contains("white_balance"));
    let dark = Vignetting { coefficients: [-2.0, 0.0, 0.0], radius_px: 640.0 };
    assert!(refusal(|rig| rig.lenses[0].vignetting = Some(dark)).contains("vignetting"));
    assert!(refusal(|rig| rig.lenses[0].translation_m[1] = f64::NAN).contains("translation_m"));
}

#[test]
fn hostile_files_are_refused_with_a_reason() {
    let refuse = |file: &str, bytes: &[u8]| Rig::from_bytes(file, bytes).expect_err("refused").to_string();
    assert!(refuse("a.rig.ron", &vec![b' '; MAX_FILE_BYTES + 1]).contains("larger than"));
    assert!(refuse("a.rig.ron", &[0xFF, 0xFE, 0, 1]).contains("not text"));
    assert!(refuse("a.rig.ron", b"(\n  name: \"x\",\n  pictures: 7\n)").contains("a.rig.ron, line 3"));
    assert!(refuse("a.rig.ron", "(".repeat(100_000).as_bytes()).contains("a.rig.ron"));
    assert!(refuse("a.pto", b"p f2 w100 h100\n").contains("no image line"));
    assert!(refuse("a.pto", b"\ni w100 h100 f2 vNaNana n\"x\"").contains("a.pto, line 2"));
    assert!(refuse("a.pto", b"i w100 h100 f2 v=3 n\"x\"").contains("line 1"));
    assert!(refuse("a.pto", b"i w100 h100 f2 vnan n\"x").contains("line 1"));
    assert!(refuse("a.pto", b"i w100 h100 f4 v90 n\"x\"").contains("f4"));
    assert!(refuse("a.pto", b"i w100 h100 f0 v200 n\"x\"").contains("v200"));
    assert!(refuse("a.pto", b"i w1e9 h100 f2 v180 n\"x\"").contains("size"));
    assert!(refuse("a.pto", b"i w100 h100 f2 v180 S1,2,3 n\"x\"").contains("four numbers"));
    assert!(refuse("a.pto", "i w9 h9 f2 v180 n\"x\"\n".repeat(17).as_bytes()).contains("line 17"));
}

#[test]
fn pto_lines_mean_what_hugin_means() {
    let text = "# hugin\np f2 w100 h50 v360\ni w1000 h800 f0 v90 Eev10 Er1 Eb1 r3 p2 y1 a0.01 b-0.02 c0.03 d5 e-4 Va1 Vb-0.3 Vc0.1 Vd0 S10,900,20,700 n\"left eye.jpg\"\n\
                i w1000 h800 f=0 v=0 Eev12 Er2 Eb0.5 r0 p0 y-90 a=0 b=0 c=0 d=0 e=0 Vb=0 Vc=0 Vd=0 n\"right.jpg\"\n";
    let rig = Rig::from_pto("rig.pto", text).expect("readable");
    assert_eq!((rig.pictures.len(), rig.lenses.len()), (2, 2));
    let [left, right] = [&rig.lenses[0], &rig.lenses[1]];
    assert_eq!(left.lens.center_px, [505.0, 396.0]);
    assert!((left.lens.focal_px[0] - 500.0).abs() < 1e-9, "a 90° picture of 1000 pixels");
    let radial = left.lens.radial.expect("distorted");
    assert_eq!((radial.a, radial.b, radial.c, radial.reference_px), (0.01, -0.02, 0.03, 400.0));
    assert_eq!((right.lens.clone(), right.vignetting), (left.lens.clone(), left.vignetting), "linked");
    assert_eq!(left.orientation, Orientation::Angles(YawPitchRoll::new(1.0, 2.0, 3.0)));
    assert_eq!(left.crop, Crop::Rectangle(PixelRect { min: [10.0, 20.0], max: [900.0, 700.0] }));
    assert_eq!((left.exposure.gain_ev, right.exposure.gain_ev), (-1.0, 1.0), "the darker exposure is brightened");
    assert_eq!(right.exposure.white_balance, [0.5, 1.0, 2.0]);
}

#[test]
fn control_points_of_a_real_project_agree() {
    // Hugin placed these pairs in both lenses of one camera; had an angle's sign or order been wrong, they would miss by
    // tens of degrees.
    let Some(text) = data("gear360_pto/gear360video2560.pto") else { return };
    let rig = Rig::from_pto("gear360video2560.pto", &text).expect("readable");
    assert_eq!((rig.pictures.len(), rig.lenses.len()), (1, 2), "two lenses in one picture");
    let prepared = PreparedRig::new(&rig).expect("valid");
    let mut angles: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("c n0 N1 "))
        .map(|line| {
            let value =
                |name: char| line.split(' ').find_map(|word| word.strip_prefix(name)?.parse::<f64>().ok()).expect("a number");
            let half = DVec2::splat(0.5);
            let a = prepared.lenses[0].direction(DVec2::new(value('x'), value('y')) + half).expect("a direction");
            let b = prepared.lenses[1].direction(DVec2::new(value('X'), value('Y')) + half).expect("a direction");
            a.angle_between(b).to_degrees()
        })
        .collect();
    angles.sort_by(f64::total_cmp);
    let median = angles[angles.len() / 2];
    println!(
        "gear360video2560.pto: {} control points, median {median:.2}°, largest {:.2}°",
        angles.len(),
        angles[angles.len() - 1]
    );
    assert!(median < 1.5, "{angles:.2?}");
}

#[test]
fn every_real_pto_is_read() {
    for file in ["gear360sm-c200", "gear360sm-r210", "gear360video2560", "gear360video3840", "gear360video4096"] {
        let Some(text) = data(&format!("gear360_pto/{file}.pto")) else { return };
        let rig = Rig::from_pto(file, &text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let turned = PreparedRig::new(&rig).expect("valid");
        let axis = |lens: usize| turned.lenses[lens].direction(turned.lenses[lens].projector.center()).expect("seen");
        assert!(axis(0).angle_between(axis(1)).to_degrees() > 165.0, "{file}: the lenses look apart");
    }
}

#[test]
fn opencv_yaml_of_four_cameras() {
    let mut texts = Vec::new();
    for name in ["front", "right", "back", "left"] {
        let Some(text) = data(&format!("surround_view_4cam/{name}.yaml")) else { return };
        texts.push((name, text));
    }
    let cameras: Vec<_> = (0..4)
        .map(|index| OpenCvCamera {
            file: texts[index].0,
            text: &texts[index].1,
            model: OpenCvModel::Auto,
            orientation: YawPitchRoll::new(90.0 * index as f64, -30.0, 0.0),
        })
        .collect();
    let rig = Rig::from_opencv("car", &cameras).expect("readable");
    assert_eq!(rig.pictures, vec![RigPicture { size_px: [960, 640] }; 4]);
    let LensModel::KannalaBrandt { k } = rig.lenses[0].lens.model else { panic!("a fisheye") };
    assert_eq!(k[0], -4.373_560_159_870_408e-2);
    assert_eq!(rig.lenses[0].lens.focal_px, [302.453_059_832_293, 320.746_185_943_923_25]);
    assert_eq!(rig.lenses[0].lens.center_px[0], 496.640_014_631_634_6 + 0.5);
    assert!(PreparedRig::new(&rig).expect("valid").lenses.iter().all(|lens| lens.projector.max_angle().to_degrees() > 80.0));
}

#[test]
fn opencv_json_and_its_errors() {
    let read = |text: &str, model| {
        Rig::from_opencv("rig", &[OpenCvCamera { file: "cam.json", text, model, orientation: YawPitchRoll::default() }])
    };
    let pinhole = r#"{"image_width": 1280, "image_height": 720, "camera_matrix": {"rows": 3, "cols": 3, "data": [800, 0, 640, 0, 810, 360, 0, 0, 1]},
        "distortion_model": "plumb_bob", "distortion_coefficients": [[-0.2, 0.05, 0.001, -0.002, 0.01]]}"#;
    let rig = read(pinhole, OpenCvModel::Auto).expect("readable");
    assert_eq!(rig.lenses[0].lens.model, LensModel::BrownConrady { k: [-0.2, 0.05, 0.01, 0.0, 0.0, 0.0], p: [0.001, -0.002] });
    let refuse = |text: &str| read(text, OpenCvModel::Auto).expect_err("refused").to_string();
    assert!(refuse("{\"camera_matrix\": [1,\n2,").contains("line 2"));
    assert!(refuse("{}").contains("no camera matrix"));
    assert!(refuse(&pinhole.replace("[800,", "[null,")).contains("instead of 9"));
    assert!(refuse(&pinhole.replace("800", "0")).contains("focal_px"));
    assert!(refuse(&pinhole.replace("image_width", "width")).contains("picture size"));
    assert!(refuse(&pinhole.replace("-0.2, 0.05,", "")).contains("3 distortion coefficients"));
    assert!(read(pinhole, OpenCvModel::Fisheye).expect_err("refused").to_string().contains("the fisheye model has 4"));
    assert!(refuse("camera_matrix: !!opencv-matrix\n   data: [ 1., x ]\n").contains("cam.json, line 2"));
    assert!(refuse("   data: [ 1. ]\n").contains("line 1"));
}

#[test]
fn an_edge_distance_is_in_degrees_of_the_crop() {
    let rig = PreparedRig::new(&dual()).expect("valid");
    let lens = &rig.lenses[0];
    for theta_deg in [0.0, 60.0, 97.0, 99.0, 120.0] {
        let theta = f64::to_radians(theta_deg);
        let sample = lens.sample(DVec3::new(theta.sin(), 0.0, theta.cos()), None).expect("a direction");
        let expected = (97.5 - theta_deg).min(if theta_deg == 0.0 { 97.5 } else { f64::MAX });
        assert!((sample.edge_deg - expected).abs() < 1e-6, "{theta_deg}°: {}", sample.edge_deg);
    }
}
