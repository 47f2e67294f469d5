//! A rig that moves, and what lies below it.

use super::*;
use crate::{
    nodes::{RollingShutter, Stitch},
    rig::{PreparedRig, Rig, YawPitchRoll},
    stabilise::{
        Level, Smoothing,
        testing::{shaken, sphere_grey},
    },
    stitch::{NadirFill, StitchSettings},
};
use bevy::math::DVec2;

const RIG: UVec2 = UVec2::new(1024, 512);
const OUT: UVec2 = UVec2::new(512, 256);

fn rig() -> Rig {
    Rig::dual_fisheye(RIG.to_array(), 200.0)
}

/// What a rig on a path sees of the textured sphere, read row by row for so long around a moment.
fn film(rig: &PreparedRig, path: impl Fn(f64) -> DQuat, middle_s: f64, readout_s: f64) -> VideoFrame {
    let rows: Vec<DQuat> =
        (0..RIG.y).map(|row| path(middle_s + ((f64::from(row) + 0.5) / f64::from(RIG.y) - 0.5) * readout_s)).collect();
    crate::flow::testing::grey_frame(RIG, |pixel| {
        let lens = &rig.lenses[usize::from(pixel.x >= RIG.x / 2)];
        let direction = lens.direction(pixel.as_dvec2() + 0.5).expect("a direction");
        sphere_grey(rows[pixel.y as usize] * direction)
    })
}

/// The sphere as it is, seen by a camera that looks there.
fn truth(world_from_view: DQuat) -> VideoFrame {
    let angles = |pixel: UVec2| {
        ((pixel.as_dvec2() + 0.5) / OUT.as_dvec2() - 0.5) * DVec2::new(core::f64::consts::TAU, core::f64::consts::PI)
    };
    crate::flow::testing::grey_frame(OUT, |pixel| {
        let at = angles(pixel);
        sphere_grey(world_from_view * DVec3::new(at.y.cos() * at.x.sin(), at.y.sin(), at.y.cos() * at.x.cos()))
    })
}

#[test]
fn a_log_steadies_the_stitch_and_puts_its_rows_right() {
    const READOUT_S: f64 = 0.03;
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("clip.gcsv");
    let path = |time_s: f64| shaken(1.5 * time_s, 0.0);
    std::fs::write(&log, gcsv(path, 3.0)).expect("written");
    let prepared = PreparedRig::new(&rig()).expect("valid");
    let frames: Vec<VideoFrame> = (0..8).map(|index| film(&prepared, path, f64::from(index) / 30.0 + 0.5, READOUT_S)).collect();
    let plain = Stitch { settings: StitchSettings::equirectangular(OUT.x, OUT.y), ..default() };
    let mut steady = Stitch { imu_log: log.display().to_string(), stabilise: Some(Smoothing::Lock), ..plain.clone() };
    steady.imu.offset_ms = 500.0;
    let shutter = RollingShutter { readout_ms: Some(READOUT_S as f32 * 1e3), ..default() };
    let still: Vec<VideoFrame> = vec![film(&prepared, |_| path(0.5), 0.0, 0.0)];
    let runs = [(plain.clone(), &frames), (steady.clone(), &frames), (Stitch { shutter, ..steady }, &frames), (plain, &still)];
    let errors = runs.map(|(settings, frames)| {
        let mut studio = Studio::new(StudioClock::Offline, Path::new("."));
        let rig = studio.app.world_mut().resource_mut::<Assets<Rig>>().add(rig());
        let feed = studio.node(Feed);
        let stitch = studio.node(Stitch { rig, ..settings });
        studio.link((feed, "frame"), (stitch, "picture 1"));
        let expected = truth(path(0.5));
        let mut sum = 0.0;
        for (frame, index) in frames.iter().zip(0..) {
            studio.feed(feed, frame, index, PictureProjection::Rectilinear { fov_deg: 90.0 });
            assert_eq!(studio.error(stitch), None);
            let (id, picture) = studio.picture(stitch, "picture").expect("a picture");
            assert_eq!(id, index);
            sum += difference(&picture, &expected);
        }
        sum / frames.len() as f64
    });
    let [shaken, steadied, straightened, still] = errors;
    println!(
        "code values beside the sphere: shaken {shaken:.2}, steadied {steadied:.2}, rows put right {straightened:.2}, of a rig at rest {still:.2}"
    );
    assert!(shaken > 2.0 * steadied && steadied > 2.0 * straightened && straightened < 2.5 * still, "{errors:?}");
}

#[test]
fn the_nadir_is_covered_whatever_the_orientation() {
    let folder = tempfile::tempdir().expect("a folder");
    let logo = folder.path().join("logo.png");
    // Red ahead, green behind, a hole in the middle.
    let picture = image::RgbaImage::from_fn(64, 64, |x, y| {
        let hole = DVec2::new(f64::from(x) - 31.5, f64::from(y) - 31.5).length() < 8.0;
        image::Rgba(if y < 32 { [255, 0, 0, 255] } else { [0, 255, 0, 255] }.map(|value: u8| if hole { 0 } else { value }))
    });
    picture.save(&logo).expect("written");
    let prepared = PreparedRig::new(&rig()).expect("valid");
    let frame = film(&prepared, |_| DQuat::IDENTITY, 0.0, 0.0);
    for (tilt, orientation) in [
        (YawPitchRoll::default(), YawPitchRoll::default()),
        (YawPitchRoll::new(0.0, 8.0, -5.0), YawPitchRoll::new(30.0, -50.0, 20.0)),
    ] {
        let mut studio = Studio::new(StudioClock::Offline, Path::new("."));
        let rig = studio.app.world_mut().resource_mut::<Assets<Rig>>().add(rig());
        let feed = studio.node(Feed);
        let settings = StitchSettings { orientation, ..StitchSettings::equirectangular(OUT.x, OUT.y) };
        let base = Stitch { rig, settings, level: Level::Angles(tilt), ..default() };
        let plain = studio.node(base.clone());
        let blur = studio.node(Stitch { nadir: NadirFill::Blur { radius_deg: 25.0 }, ..base.clone() });
        let nadir_picture = logo.display().to_string();
        let shown = studio.node(Stitch { nadir: NadirFill::Picture { radius_deg: 25.0 }, nadir_picture, ..base.clone() });
        let missing = studio.node(Stitch { nadir: NadirFill::Picture { radius_deg: 25.0 }, ..base });
        for node in [plain, blur, shown, missing] {
            studio.link((feed, "frame"), (node, "picture 1"));
        }
        studio.feed(feed, &frame, 0, PictureProjection::Rectilinear { fov_deg: 90.0 });
        studio.app.update();
        assert!(studio.error(missing).is_some_and(|error| error.contains("nadir_picture is empty")));
        for node in [plain, blur, shown] {
            assert_eq!(studio.error(node), None);
        }
        let [plain, blur, shown] = [plain, blur, shown].map(|node| studio.picture(node, "picture").expect("a picture").1);
        if let Some(folder) = std::env::var_os("STUDIO_TEST_PICTURES") {
            for (name, frame) in [("plain", &plain), ("blur", &blur), ("logo", &shown)] {
                let path = Path::new(&folder).join(format!("nadir_{name}_{}.png", orientation.pitch_deg));
                image::save_buffer(path, &frame.planes[0].data, OUT.x, OUT.y, image::ColorType::Rgba8).expect("written");
            }
        }
        let level_from_view = orientation.matrix();
        for index in 0..OUT.element_product() {
            let pixel = UVec2::new(index % OUT.x, index / OUT.x);
            let at =
                ((pixel.as_dvec2() + 0.5) / OUT.as_dvec2() - 0.5) * DVec2::new(core::f64::consts::TAU, core::f64::consts::PI);
            let level = level_from_view * DVec3::new(at.y.cos() * at.x.sin(), at.y.sin(), at.y.cos() * at.x.cos());
            let from_down = level.angle_between(DVec3::Y).to_degrees();
            let color = |frame: &VideoFrame| {
                let start = 4 * index as usize;
                <[u8; 3]>::try_from(&frame.planes[0].data[start..start + 3]).expect("three channels")
            };
            if from_down > 26.0 {
                assert_eq!((color(&plain), color(&plain)), (color(&blur), color(&shown)), "{pixel} is none of the patch");
            } else if (10.0..24.0).contains(&from_down) && level.z.abs() > 0.1 {
                let expected = if level.z > 0.0 { [255, 0, 0] } else { [0, 255, 0] };
                assert_eq!(color(&shown), expected, "{pixel}: {from_down}° from down, {level}");
            } else if from_down < 4.0 {
                assert_eq!(color(&shown), color(&blur), "{pixel}: the hole shows what is filled in");
            }
        }
        assert!(difference(&plain, &blur) > 0.1, "something was covered");
    }
}

#[test]
fn a_rig_that_hangs_askew_is_levelled_by_gravity_or_by_clicks() {
    let prepared = PreparedRig::new(&rig()).expect("valid");
    let tilt = YawPitchRoll::new(0.0, 14.0, 9.0);
    // The world's way down and its horizon, in the frame of a rig that is tilted so.
    let world_from_rig = DQuat::from_mat3(&tilt.matrix()).inverse();
    let frame = film(&prepared, |_| world_from_rig, 0.0, 0.0);
    let click = |heading_deg: f64| {
        let seen = world_from_rig.inverse() * (YawPitchRoll::new(heading_deg, 0.0, 0.0).matrix() * DVec3::Z);
        [seen.x.atan2(seen.z).to_degrees(), -seen.y.asin().to_degrees()]
    };
    let down = (world_from_rig.inverse() * DVec3::Y * 9.81).to_array();
    let mut studio = Studio::new(StudioClock::Offline, Path::new("."));
    let rig = studio.app.world_mut().resource_mut::<Assets<Rig>>().add(rig());
    let feed = studio.node(Feed);
    let base = Stitch { rig, settings: StitchSettings::equirectangular(OUT.x, OUT.y), ..default() };
    let levels = [Level::default(), Level::Down(down), Level::Horizon([10.0, 100.0, 230.0].map(click).to_vec())];
    let nodes = levels.map(|level| studio.node(Stitch { level, ..base.clone() }));
    let refused = studio.node(Stitch { level: Level::Horizon(vec![[5.0, 5.0]]), ..base });
    nodes.iter().chain([&refused]).for_each(|node| studio.link((feed, "frame"), (*node, "picture 1")));
    studio.feed(feed, &frame, 0, PictureProjection::Rectilinear { fov_deg: 90.0 });
    studio.app.update();
    assert!(studio.error(refused).is_some_and(|error| error.contains("level is Horizon")));
    let [askew, gravity, clicks] = nodes.map(|node| studio.picture(node, "picture").expect("a picture").1);
    // Level pictures differ from the world by a heading alone, which leaves the poles where they are: the rows around them show.
    let level = crate::stabilise::level_from_gravity(DVec3::from_array(down)).expect("a direction");
    let expected = truth(world_from_rig * DQuat::from_mat3(&level.matrix()));
    let [askew, gravity, clicks] = [&askew, &gravity, &clicks].map(|picture| difference(picture, &expected));
    let tilted = (world_from_rig * (level.matrix() * DVec3::Y)).angle_between(DVec3::Y).to_degrees();
    println!("beside the level sphere: askew {askew:.2}, by gravity {gravity:.2}, by three clicks {clicks:.2} code values");
    assert!(tilted < 1e-6 && askew > 8.0 * gravity && (gravity - clicks).abs() < 0.1, "{askew} {gravity} {clicks}");
}
