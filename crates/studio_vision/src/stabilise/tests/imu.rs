//! Logs and the attitude that they give.

use super::super::{
    Axes, ComplementaryFilter, ImuLog, ImuLogError, RotationTrack, attitude, estimate_offset, level_from_gravity,
    level_from_horizon,
    testing::{shaken, track_of},
};
use crate::{flow::testing::shared_data, rig::YawPitchRoll};
use bevy::math::{DMat3, DQuat, DVec3};
use proptest::prelude::*;
use std::fmt::Write as _;

/// A log in Gyroflow's format of a rig on such a path, in degrees a second and thousandths of gravity.
fn gcsv(path: impl Fn(f64) -> DQuat, duration_s: f64, bias: DVec3) -> String {
    let mut text = String::from(
        "GYROFLOW IMU LOG\nversion,1.3\nid,test\norientation,XYZ\nframe_readout_time,15.23\ntscale,0.001\ngscale,0.017453292519943295\n\
         ascale,0.001\nt,gx,gy,gz,ax,ay,az\n",
    );
    for ms in (0..(duration_s * 1e3) as u32).step_by(5) {
        let time_s = f64::from(ms) / 1e3;
        let (before, now, after) = (path(time_s - 5e-4), path(time_s), path(time_s + 5e-4));
        let rate = (before.inverse() * after).to_scaled_axis() / 1e-3 + bias;
        let up = now.inverse() * DVec3::NEG_Y * 1000.0;
        let imu = |rig: DVec3| DVec3::new(rig.x, -rig.y, -rig.z);
        let (rate, up) = (imu(rate) * 180.0 / core::f64::consts::PI, imu(up));
        writeln!(text, "{ms},{},{},{},{},{},{}", rate.x, rate.y, rate.z, up.x, up.y, up.z).expect("a string");
    }
    text
}

#[test]
fn a_gyroflow_log_gives_the_path_that_it_was_made_of() {
    let path = |time_s: f64| shaken(time_s, 10.0);
    let log = ImuLog::from_bytes("test.gcsv", gcsv(path, 8.0, DVec3::ZERO).as_bytes(), None).expect("a log");
    assert_eq!((log.samples.len(), log.readout_ms), (1600, Some(15.23)));
    let track = attitude(&log, ComplementaryFilter { pull_hz: 0.0, bias_pull: 0.0 });
    // Heading counts from the start, where the filter takes the shortest way up.
    let start = path(0.0) * track.at(0.0).inverse();
    let worst = track.iter().map(|(time_s, found)| (start * found).angle_between(path(time_s)).to_degrees()).fold(0.0, f64::max);
    println!("integrated over 8 s: {worst:.4}° off at most");
    assert!(worst < 0.05, "{worst}°");
}

#[test]
fn gravity_holds_the_horizon_against_a_biased_gyroscope() {
    let path = |time_s: f64| shaken(time_s, 0.0);
    // Two degrees a second of bias tilt the horizon by 60° in 30 s.
    let bias = DVec3::new(2_f64.to_radians(), 0.0, 2_f64.to_radians());
    let log = ImuLog::from_bytes("test.gcsv", gcsv(path, 60.0, bias).as_bytes(), None).expect("a log");
    let tilt = |filter| {
        let track = attitude(&log, filter);
        let tilts = track
            .iter()
            .skip(track.len() / 2)
            .map(|(time_s, found)| (found.inverse() * DVec3::Y).angle_between(path(time_s).inverse() * DVec3::Y).to_degrees());
        tilts.fold(0.0, f64::max)
    };
    let (held, free) = (tilt(ComplementaryFilter::default()), tilt(ComplementaryFilter { pull_hz: 0.0, bias_pull: 0.0 }));
    println!("horizon off by at most {held:.2}° in the second half minute, {free:.1}° without gravity");
    assert!(held < 1.0 && free > 30.0, "{held}° {free}°");
}

#[test]
fn a_phones_log_integrates_to_the_attitude_that_it_carries() {
    let Some(path) = shared_data("stabilisation/stitchem/imu_data.phone.txt") else { return };
    let log = ImuLog::read(&path, None).expect("a phone's log");
    assert_eq!(log.samples.len(), 400);
    let track = attitude(&log, ComplementaryFilter::default());
    // Ten to eighteen are the rows of the phone's own rotation to east, north and up, from accelerometer and compass.
    let text = std::fs::read_to_string(&path).expect("text");
    let own: Vec<DMat3> = text
        .lines()
        .map(|line| {
            let numbers: Vec<f64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
            DMat3::from_cols_slice(&numbers[10..19]).transpose()
        })
        .collect();
    let flip = DMat3::from_diagonal(DVec3::new(1.0, -1.0, -1.0));
    let first = track.at(0.0);
    let errors: Vec<[f64; 2]> = track
        .iter()
        .zip(&own)
        .map(|((_, found), own_now)| {
            let turned = DQuat::from_mat3(&(flip * own[0].transpose() * *own_now * flip));
            let whole = (first.inverse() * found).angle_between(turned).to_degrees();
            let down = flip * own_now.transpose() * DVec3::NEG_Z;
            [whole, (found.inverse() * DVec3::Y).angle_between(down).to_degrees()]
        })
        .collect();
    let mean = |which: usize| errors.iter().map(|error| error[which]).sum::<f64>() / errors.len() as f64;
    let most = |which: usize| errors.iter().map(|error| error[which]).fold(0.0, f64::max);
    println!(
        "phone, 8 s, a turn of 34°: {:.2}° from its own attitude on average, {:.2}° at most; the horizon {:.2}° and {:.2}°",
        mean(0),
        most(0),
        mean(1),
        most(1)
    );
    // Its own attitude trembles with the compass.
    assert!(mean(0) < 3.5 && most(0) < 10.0 && mean(1) < 1.5, "{:?}", (mean(0), most(0), mean(1)));
}

#[test]
fn the_time_of_a_log_is_found_by_its_turns() {
    let path = |time_s: f64| shaken(time_s, 0.0);
    let track = track_of(path, 12.0, 200.0);
    let turns: Vec<([f64; 2], DVec3)> = (0..120)
        .map(|frame| {
            let times = [frame, frame + 1].map(|frame| f64::from(frame) / 30.0);
            let [from, to] = times.map(|time_s| path(time_s + 1.237));
            // As coarse as a motion field is.
            let turn = ((from.inverse() * to).to_scaled_axis() * 2000.0).round() / 2000.0;
            (times, turn)
        })
        .collect();
    let found = estimate_offset(&track, &turns, 3.0).expect("both turn");
    println!("offset {:.4} s for 1.237 s, correlation {:.3}", found.offset_s, found.correlation);
    assert!((found.offset_s - 1.237).abs() < 2e-3 && found.correlation > 0.95, "{found:?}");
    assert_eq!(estimate_offset(&RotationTrack::default(), &turns, 3.0), None, "nothing turned");
}

#[test]
fn levels_from_gravity_and_from_horizons() {
    for tilt in [YawPitchRoll::new(0.0, 12.0, -7.0), YawPitchRoll::new(40.0, -25.0, 50.0), YawPitchRoll::default()] {
        let rig_from_world = tilt.matrix();
        let down = rig_from_world * DVec3::Y;
        let level = level_from_gravity(down * 9.81).expect("a direction");
        assert!((level.matrix() * DVec3::Y).angle_between(down).to_degrees() < 1e-6, "{tilt:?} {level:?}");
        let horizon = |heading: f64| rig_from_world * DVec3::new(heading.sin(), 0.0, heading.cos());
        let clicks = [0.3, 1.4, 3.9].map(horizon);
        let level = level_from_horizon(&clicks).expect("a plane");
        assert!((level.matrix() * DVec3::Y).angle_between(down).to_degrees() < 1e-6, "{tilt:?} {level:?}");
    }
    assert_eq!(level_from_gravity(DVec3::ZERO), None);
    assert_eq!(level_from_horizon(&[DVec3::Z, DVec3::Z * 2.0]), None, "two clicks on one place");
    assert!(level_from_gravity(DVec3::NEG_Y).is_some(), "upside down");
}

#[test]
fn bad_logs_are_refused_in_words() {
    let refuse = |text: &str| ImuLog::from_bytes("my.gcsv", text.as_bytes(), None).expect_err("refused").to_string();
    let head = "GYROFLOW IMU LOG\nversion,1.3\norientation,XYZ\ntscale,0.001\ngscale,1\nascale,1\nt,gx,gy,gz,ax,ay,az\n";
    assert!(refuse("").contains("no IMU log"));
    assert!(refuse("one two three").contains("no IMU log"));
    assert!(refuse("GYROFLOW IMU LOG\nversion,1.3\n").contains("column names"));
    assert!(refuse(&head.replace("tscale,0.001", "tscale,often")).contains("line 4: tscale is “often”"));
    assert!(refuse(&head.replace("tscale,0.001\n", "")).contains("tscale"));
    assert!(refuse(&head.replace("XYZ", "XXZ")).contains("“XXZ”"));
    assert!(refuse(&head.replace("gx,gy,gz", "gx,gz,gy")).contains("side by side"));
    assert!(refuse(&format!("{head}0,1,2,3,4,5,6\n1,1,2,x,4,5,6\n")).contains("my.gcsv, line 9: “x” is no number"));
    assert!(refuse(&format!("{head}0,1,2,3,4,5,6\n1,1,2\n")).contains("line 9: there are 3 numbers: 7"));
    assert!(refuse(&format!("{head}5,1,2,3,4,5,6\n4,1,2,3,4,5,6\n")).contains("line 9: time does not go on"));
    assert!(refuse(&format!("{head}5,1,2,3,4,5,6\n6,1e9,2,3,4,5,6\n")).contains("no sensor measures"));
    assert!(refuse(&format!("{head}5,1,2,3,4,5,6\n")).contains("fewer than two"));
    assert!(matches!("XY".parse::<Axes>(), Err(ImuLogError::Axes(_))));
    assert!(matches!(ImuLog::read("no/such.gcsv".as_ref(), None), Err(ImuLogError::Io { .. })));
    assert!(ImuLog::read("/dev/zero".as_ref(), None).expect_err("refused").to_string().contains("no regular file"));
}

proptest! {
    #[test]
    fn no_bytes_bring_the_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..400), rows in "[-0-9.,eE+naif \n]{0,300}") {
        ImuLog::from_bytes("noise", &bytes, None).ok();
        let text = format!("GYROFLOW IMU LOG\norientation,yXz\ntscale,1\ngscale,1\nascale,1\nt,gx,gy,gz,ax,ay,az\n{rows}");
        if let Ok(log) = ImuLog::from_bytes("noise.gcsv", text.as_bytes(), None) {
            prop_assert!(attitude(&log, ComplementaryFilter::default()).iter().all(|(_, rotation)| rotation.is_finite()));
        }
    }
}
