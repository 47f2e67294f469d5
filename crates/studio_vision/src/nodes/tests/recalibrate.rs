//! A rig that is calibrated anew while its pictures are on air.

use super::*;
use crate::{
    nodes::Stitch,
    rig::{Orientation, PreparedRig, Rig, YawPitchRoll},
    stabilise::testing::sphere_grey,
    stitch::{StitchExposure, StitchSettings, between},
};

const RIG: UVec2 = UVec2::new(1024, 512);
const OUT: UVec2 = UVec2::new(1024, 512);

fn rig() -> Rig {
    Rig::dual_fisheye(RIG.to_array(), 200.0)
}

/// The same rig as somebody else calibrated it.
fn other() -> Rig {
    let mut rig = rig();
    rig.lenses[0].orientation = Orientation::Angles(YawPitchRoll::new(4.0, 3.0, -6.0));
    rig.lenses[1].lens.center_px[0] += 6.0;
    rig.lenses[1].lens.focal_px = rig.lenses[1].lens.focal_px.map(|focal| focal * 1.02);
    rig
}

/// A rig of one lens: nothing lies between it and one of two.
fn single() -> Rig {
    let mut rig = rig();
    rig.lenses.truncate(1);
    rig
}

fn filmed() -> VideoFrame {
    let prepared = PreparedRig::new(&rig()).expect("valid");
    crate::flow::testing::grey_frame(RIG, |pixel| {
        let lens = &prepared.lenses[usize::from(pixel.x >= RIG.x / 2)];
        0.15 + 0.85 * sphere_grey(lens.direction(pixel.as_dvec2() + 0.5).expect("a direction"))
    })
}

/// Runs a stitch whose rig's file is written anew after some pictures; the largest difference of consecutive pictures, that of the first and
/// the last, and the darkest picture's mean.
fn change(clock: StudioClock, next: &Rig, recalibrate_s: f32) -> (f64, f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("live.rig.ron");
    std::fs::write(&file, rig().to_ron().expect("written down")).expect("written");
    let mut studio = Studio::new(clock, folder.path());
    let handle: Handle<Rig> = studio.app.world().resource::<AssetServer>().load("live.rig.ron");
    let until = |studio: &mut Studio, what: &str, so: &dyn Fn(&Rig) -> bool| {
        let start = std::time::Instant::now();
        while !studio.app.world().resource::<Assets<Rig>>().get(&handle).is_some_and(so) {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            studio.app.update();
        }
    };
    until(&mut studio, "the rig loads", &|_| true);
    let feed = studio.node(Feed);
    // Gains would go on to follow what the lenses then see of the same.
    let settings = StitchSettings { exposure: StitchExposure::Fixed, ..StitchSettings::equirectangular(OUT.x, OUT.y) };
    let stitch = studio.node(Stitch { rig: handle.clone(), settings, recalibrate_s, ..default() });
    studio.link((feed, "frame"), (stitch, "picture 1"));
    let frame = filmed();
    let mut pictures: Vec<VideoFrame> = Vec::new();
    let mut show = |studio: &mut Studio, index: u64| {
        studio.feed(feed, &frame, index, PictureProjection::Rectilinear { fov_deg: 90.0 });
        assert_eq!(studio.error(stitch), None);
        let mut shown = studio.picture(stitch, "picture");
        // Live, the GPU may be behind: the picture comes with a later update.
        while shown.as_ref().is_none_or(|(id, _)| *id != index) {
            studio.app.update();
            shown = studio.picture(stitch, "picture");
        }
        pictures.extend(shown.map(|(_, picture)| picture));
    };
    (0..3).for_each(|index| show(&mut studio, index));
    std::fs::write(&file, next.to_ron().expect("written down")).expect("written");
    studio.app.world().resource::<AssetServer>().reload("live.rig.ron");
    until(&mut studio, "the rig is read again", &|rig| rig == next);
    // As long as the change takes, and what is still being worked out after it.
    (3..50).for_each(|index| show(&mut studio, index));
    let step = pictures.windows(2).map(|pair| difference(&pair[0], &pair[1])).fold(0.0, f64::max);
    let whole = difference(&pictures[0], &pictures[pictures.len() - 1]);
    let mean = |frame: &VideoFrame| {
        frame.planes[0].data.iter().map(|value| f64::from(*value)).sum::<f64>() / frame.planes[0].data.len() as f64
    };
    let darkest = pictures.iter().map(mean).fold(f64::MAX, f64::min);
    assert_eq!(difference(&pictures[45], &pictures[46]), 0.0, "it has arrived");
    (step, whole, darkest)
}

#[test]
fn the_picture_glides_to_a_new_calibration() {
    let (jump, whole, _) = change(StudioClock::Offline, &other(), 0.0);
    let (step, glided, darkest) = change(StudioClock::Offline, &other(), 1.0);
    let (live_step, live_whole, _) = change(StudioClock::Live, &other(), 1.0);
    println!("a jump of {jump:.2} code values becomes steps of {step:.2}, live {live_step:.2}; darkest picture {darkest:.0}");
    assert!(
        (whole - glided).abs() < 0.01 && (whole - live_whole).abs() < 0.01,
        "all arrive at the same: {whole} {glided} {live_whole}"
    );
    assert!(jump > 4.0 * step && jump > 1.5 * live_step, "{jump} {step} {live_step}");
    assert!(darkest > 60.0, "no picture is black: {darkest}");
}

#[test]
fn pictures_of_another_kind_of_rig_fade_in() {
    let (jump, whole, _) = change(StudioClock::Offline, &single(), 0.0);
    let (step, faded, _) = change(StudioClock::Offline, &single(), 1.0);
    println!("a jump of {jump:.2} code values becomes steps of {step:.2}");
    assert!((whole - faded).abs() < 0.01, "{whole} {faded}");
    assert!(jump > 10.0 * step, "{jump} {step}");
}

#[test]
fn what_lies_between_two_calibrations() {
    let (from, to) = (rig(), other());
    let at = |part: f64| between(&from, &to, part).expect("of one kind");
    let turn = |rig: &Rig| DQuat::from_mat3(&rig.lenses[0].orientation.rig_from_lens());
    let whole = turn(&from).angle_between(turn(&to));
    assert!((turn(&at(0.25)).angle_between(turn(&from)) - whole / 4.0).abs() < 1e-9, "slerp");
    assert!((at(0.5).lenses[1].lens.center_px[0] - from.lenses[1].lens.center_px[0] - 3.0).abs() < 1e-9);
    assert!(PreparedRig::new(&at(0.3)).is_ok());
    assert_eq!(between(&from, &single(), 0.5), None, "another number of lenses");
}
