//! Rolling shutters: what the map says against where each row's moment was.

use crate::{
    rig::{PreparedRig, Rig},
    stabilise::{
        ReadoutDirection, RowMotion,
        testing::{shaken, track_of},
    },
    stitch::{StitchMap, StitchSettings},
};
use bevy::math::{DQuat, DVec2, DVec3};
use core::f64::consts::{PI, TAU};

const MIDDLE_S: f64 = 1.3;
const READOUT_S: f64 = 0.02;

/// Quick shakes on top of a turn of 60° a second.
fn path(time_s: f64) -> DQuat {
    shaken(2.0 * time_s, 30.0)
}

/// The mean and the largest angle in degrees between what a stitched pixel shows and what it should show.
fn errors(direction: ReadoutDirection, corrected: bool) -> [f64; 2] {
    let rig = PreparedRig::new(&Rig::dual_fisheye([2048, 1024], 200.0)).expect("valid");
    let settings = StitchSettings::equirectangular(512, 256);
    let rows = RowMotion::new(&track_of(path, 3.0, 1000.0), MIDDLE_S, READOUT_S, direction);
    let map = StitchMap::with_rows(&rig, &settings, corrected.then_some(&rows)).expect("valid");
    let (mut sum, mut most, mut count) = (0.0, 0.0_f64, 0);
    map.visit(|lens, pixel, uv| {
        let lens = &rig.lenses[lens];
        let place = uv * rig.pictures[0].as_dvec2();
        if lens.edge_deg(place) < 1.0 {
            return;
        }
        let part = match direction {
            ReadoutDirection::TopToBottom => uv.y,
            ReadoutDirection::BottomToTop => 1.0 - uv.y,
            ReadoutDirection::LeftToRight => uv.x,
            ReadoutDirection::RightToLeft => 1.0 - uv.x,
        };
        let shown = path(MIDDLE_S + (part - 0.5) * READOUT_S) * lens.direction(place).expect("a direction");
        let at = (pixel / DVec2::new(512.0, 256.0) - 0.5) * DVec2::new(TAU, PI);
        let wanted = path(MIDDLE_S) * DVec3::new(at.y.cos() * at.x.sin(), at.y.sin(), at.y.cos() * at.x.cos());
        let error = shown.angle_between(wanted).to_degrees();
        (sum, most, count) = (sum + error, most.max(error), count + 1);
    });
    [sum / f64::from(count), most]
}

#[test]
fn each_row_is_put_where_the_rig_looked_at_its_moment() {
    for direction in [
        ReadoutDirection::TopToBottom,
        ReadoutDirection::BottomToTop,
        ReadoutDirection::LeftToRight,
        ReadoutDirection::RightToLeft,
    ] {
        let (before, after) = (errors(direction, false), errors(direction, true));
        println!(
            "{direction:?}: {:.4}° on average, {:.4}° at most become {:.5}° and {:.5}° (×{:.0})",
            before[0],
            before[1],
            after[0],
            after[1],
            before[0] / after[0]
        );
        assert!(before[0] > 20.0 * after[0] && before[1] > 20.0 * after[1], "{direction:?}: {before:?} {after:?}");
    }
}
