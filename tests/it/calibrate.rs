//! `neural-studio calibrate`, as people use it: print a board, film it, calibrate; film the ground, refine a rig.

use crate::programs::{program, run};
use bevy::math::{DMat3, DVec2, DVec3};
use neural_studio::studio_vision::{
    lens::{Lens, LensModel},
    rig::{Orientation, PreparedRig, Rig, RigLens, RigPicture, YawPitchRoll},
};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs the program; what it said.
fn succeed(arguments: &[&str]) -> String {
    let output = run(program(arguments), LIMIT);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}

/// Runs the program, which refuses; its words.
fn refused(arguments: &[&str]) -> String {
    let output = run(program(arguments), LIMIT);
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_str().expect("UTF-8").to_owned()
}

/// Between its pixels.
fn sample(picture: &image::GrayImage, at: DVec2) -> Option<f64> {
    let (low, part) = ((at - 0.5).floor(), (at - 0.5).fract_gl());
    let inside =
        low.cmpge(DVec2::ZERO).all() && low.x + 1.0 < f64::from(picture.width()) && low.y + 1.0 < f64::from(picture.height());
    let pixel = |dx: f64, dy: f64| f64::from(picture.get_pixel((low.x + dx) as u32, (low.y + dy) as u32)[0]);
    inside.then(|| {
        let [above, below] = [0.0, 1.0].map(|dy| pixel(0.0, dy) + (pixel(1.0, dy) - pixel(0.0, dy)) * part.x);
        above + (below - above) * part.y
    })
}

/// What a lens sees of a printed sheet that is turned by `turn` and has its middle at `middle`, in metres of the lens's frame.
fn film(
    lens: &Lens,
    size: [u32; 2],
    sheet: &image::GrayImage,
    sheet_px_per_m: f64,
    turn: DMat3,
    middle: DVec3,
) -> image::GrayImage {
    let rig = Rig {
        name: "camera".into(),
        pictures: vec![RigPicture { size_px: size }],
        lenses: vec![RigLens::new("camera", 0, lens.clone())],
    };
    let prepared = PreparedRig::new(&rig).expect("a good lens");
    let normal = turn * DVec3::Z;
    let sheet_middle = DVec2::new(f64::from(sheet.width()), f64::from(sheet.height())) / 2.0;
    let seen = |pixel: DVec2| {
        let ray = prepared.lenses[0].direction(pixel)?;
        let place = turn.transpose() * (ray * (normal.dot(middle) / normal.dot(ray)) - middle);
        sample(sheet, place.truncate() * sheet_px_per_m + sheet_middle)
    };
    image::GrayImage::from_fn(size[0], size[1], |x, y| {
        let pixel = DVec2::new(f64::from(x), f64::from(y));
        let samples = [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]];
        let sum: f64 = samples.iter().map(|part| seen(pixel + DVec2::from_array(*part)).unwrap_or(120.0)).sum();
        image::Luma([(sum / 4.0).round() as u8])
    })
}

#[test]
fn a_printed_board_that_is_filmed_gives_the_lens() {
    let folder = tempfile::tempdir().expect("a folder");
    let (board_png, clip, lens_ron) =
        (path(folder.path(), "board.png"), path(folder.path(), "clip.mp4"), path(folder.path(), "lens.rig.ron"));
    let board = ["--board", "charuco:8x6", "--square-mm", "30", "--marker-mm", "22"];
    let said = succeed(&[&["calibrate", "board"], &board[..], &["--dpi", "150", "-o", &board_png]].concat());
    assert!(said.contains("240.0×180.0 mm"), "{said}");
    let sheet = image::open(&board_png).expect("the board").to_luma8();

    let size = [640, 480];
    let model = LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] };
    let truth = Lens::ideal(model, 60.0, 640.0, [322.0, 238.0]);
    let (px_per_m, frames) = (150.0 / 0.0254, 32);
    let mut encoder = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "640x480", "-r", "8", "-i", "-"])
        .args(["-c:v", "libx264", "-crf", "8", "-pix_fmt", "yuv420p", &clip])
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg");
    let mut pipe = encoder.stdin.take().expect("piped");
    for frame in 0..frames {
        let turned = f64::from(frame) / f64::from(frames) * std::f64::consts::TAU;
        let turn = DMat3::from_rotation_x(0.5 * turned.sin())
            * DMat3::from_rotation_y(0.5 * (1.7 * turned).cos())
            * DMat3::from_rotation_z(0.2 * (0.6 * turned).sin());
        let middle = DVec3::new(0.08 * (2.0 * turned).cos(), 0.06 * (3.0 * turned).sin(), 0.42 + 0.06 * turned.cos());
        pipe.write_all(film(&truth, size, &sheet, px_per_m, turn, middle).as_raw()).expect("ffmpeg listens");
    }
    drop(pipe);
    assert!(encoder.wait().expect("ffmpeg").success());

    let said = succeed(&[&["calibrate", "lens", &clip], &board[..], &["--model", "pinhole", "-o", &lens_ron]].concat());
    println!("{said}");
    assert!(said.contains("sharpest of 32 frames"), "{said}");
    let found = Rig::read(Path::new(&lens_ron)).expect("a rig").lenses.remove(0).lens;
    for side in 0..2 {
        let off = found.focal_px[side] / truth.focal_px[side] - 1.0;
        assert!(off.abs() < 0.004, "focal length {:?} of {:?}", found.focal_px, truth.focal_px);
        assert!(
            (found.center_px[side] - truth.center_px[side]).abs() < 2.0,
            "centre {:?} of {:?}",
            found.center_px,
            truth.center_px
        );
    }

    // To be looked at.
    if let Some(kept) = std::env::var_os("NEURAL_STUDIO_TEST_PICTURES") {
        std::fs::copy(&clip, Path::new(&kept).join("board.mp4")).expect("a folder");
    }
    // Another dictionary, a board that is not described in full, an output over the input, and a clip that was cut off.
    let mut other = [&["calibrate", "lens", &clip], &board[..], &["--dictionary", "5x5_50", "-o"]].concat();
    let other_ron = path(folder.path(), "other.ron");
    other.push(&other_ron);
    let other = refused(&other);
    assert!(other.contains("clip.mp4") && !Path::new(&other_ron).exists(), "{other}");
    let none = refused(&["calibrate", "board", "--board", "charuco:8x6", "-o", &path(folder.path(), "x.svg")]);
    assert!(none.contains("--marker-mm"), "{none}");
    let same = refused(&[&["calibrate", "lens", &clip], &board[..], &["-o", &clip]].concat());
    assert!(same.contains("name another file"), "{same}");
    let cut = path(folder.path(), "cut.mp4");
    std::fs::write(&cut, &std::fs::read(&clip).expect("the clip")[..4000]).expect("room");
    let cut_words = refused(&[&["calibrate", "lens", &cut], &board[..], &["-o", &lens_ron]].concat());
    assert!(cut_words.contains("cut.mp4"), "{cut_words}");
}

/// A floor of soft blobs of several sizes, as worn concrete is.
fn floor(side: u32) -> image::GrayImage {
    let hash = |x: i64, y: i64, seed: u64| {
        let mut value = (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ (y as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F)
            ^ seed.wrapping_mul(0x1656_67B1_9E37_79F9);
        value = (value ^ (value >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((value ^ (value >> 32)) & 0xffff) as f64 / 65_535.0
    };
    let noise = |at: DVec2, seed: u64| {
        let (low, part) = (at.floor(), at.fract_gl());
        let part = part * part * (3.0 - 2.0 * part);
        let corner = |dx: i64, dy: i64| hash(low.x as i64 + dx, low.y as i64 + dy, seed);
        let [above, below] = [0, 1].map(|dy| corner(0, dy) + (corner(1, dy) - corner(0, dy)) * part.x);
        above + (below - above) * part.y
    };
    image::GrayImage::from_fn(side, side, |x, y| {
        let at = DVec2::new(f64::from(x), f64::from(y));
        let sum: f64 = [(48.0, 1.0), (19.0, 0.8), (8.0, 0.5)]
            .iter()
            .zip(1..)
            .map(|((size, share), seed)| share * noise(at / *size, seed))
            .sum();
        image::Luma([(sum / 2.3 * 255.0).round() as u8])
    })
}

#[test]
fn cameras_that_look_at_the_ground_are_turned_to_where_they_look() {
    let folder = tempfile::tempdir().expect("a folder");
    let (size, height_m) = ([480, 480], 1.5);
    let model = LensModel::BrownConrady { k: [0.0; 6], p: [0.0; 2] };
    let lens = |name: &str, picture: u32, across_m: f64, angles: YawPitchRoll| {
        let mut lens = RigLens::new(name, picture, Lens::ideal(model, 90.0, 480.0, [240.0; 2]));
        (lens.orientation, lens.translation_m) = (Orientation::Angles(angles), [across_m, 0.0, 0.0]);
        lens
    };
    let pictures = vec![RigPicture { size_px: size }; 2];
    let truth = Rig {
        name: "mast".into(),
        pictures: pictures.clone(),
        lenses: vec![
            lens("left", 0, -0.25, YawPitchRoll::new(0.0, -60.0, 0.0)),
            lens("right", 1, 0.25, YawPitchRoll::new(4.0, -58.0, 2.0)),
        ],
    };
    let start = Rig {
        name: "mast".into(),
        pictures,
        lenses: vec![truth.lenses[0].clone(), lens("right", 1, 0.25, YawPitchRoll::new(5.2, -59.1, 1.0))],
    };
    let ground = floor(2400);
    let prepared = PreparedRig::new(&truth).expect("a good rig");
    let mut files = Vec::new();
    for (index, lens) in prepared.lenses.iter().enumerate() {
        let picture = image::GrayImage::from_fn(size[0], size[1], |x, y| {
            let ray = lens.direction(DVec2::new(f64::from(x), f64::from(y)) + 0.5).expect("inside");
            // The rig's y points down.
            let place = (ray.y > 0.05).then(|| lens.position_m() + ray * (height_m - lens.position_m().y) / ray.y);
            let seen = place.and_then(|place| sample(&ground, DVec2::new(place.x, place.z) * 300.0 + DVec2::new(1200.0, 600.0)));
            image::Luma([seen.unwrap_or(0.0).round() as u8])
        });
        files.push(path(folder.path(), &format!("{index}.png")));
        picture.save(&files[index]).expect("room");
    }
    let [start_ron, refined_ron] = ["start.rig.ron", "refined.rig.ron"].map(|name| path(folder.path(), name));
    std::fs::write(&start_ron, start.to_ron().expect("RON")).expect("room");
    let apart_deg = |rig: &Rig| {
        let turns = [&truth, rig].map(|rig| rig.lenses[1].orientation.rig_from_lens());
        let (_, angle) = bevy::math::DQuat::from_mat3(&(turns[0].transpose() * turns[1])).to_axis_angle();
        angle.to_degrees().min(360.0 - angle.to_degrees())
    };
    let rig = |surface: &[&str], output: &str| {
        let arguments = [&["calibrate", "rig", &start_ron, &files[0], &files[1], "-o", output], surface].concat();
        let said = succeed(&arguments);
        println!("{said}");
        apart_deg(&Rig::read(Path::new(output)).expect("a rig"))
    };
    let plane = rig(&["--surface", "plane", "--distance-m", "1.5"], &refined_ron);
    println!("the right camera was {:.2}° off and is {plane:.3}°", apart_deg(&start));
    assert!(plane < 0.1, "{plane}°");

    let no_distance = refused(&[
        "calibrate",
        "rig",
        &start_ron,
        &files[0],
        &files[1],
        "-o",
        &path(folder.path(), "x.ron"),
        "--surface",
        "plane",
    ]);
    assert!(no_distance.contains("--distance-m"), "{no_distance}");
}
