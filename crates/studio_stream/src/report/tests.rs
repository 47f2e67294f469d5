use super::*;
use core::time::Duration;
use proptest::prelude::*;

fn full() -> ViewerReport {
    ViewerReport {
        viewer: Some(ViewerInfo { kind: ViewerKind::Browser, name: "Chromium 156, Linux".into() }),
        session: Some("00c0ffee00c0ffee".into()),
        video: Some("video.0".into()),
        latency_ms: Some(Percentiles { p50: 84.5, p95: 120.25 }),
        clock_offset_ms: Some(-3.5),
        round_trip_ms: Some(60.0),
        display_hz: Some(60.0),
        decoded_hz: Some(30.0),
        generated_hz: Some(30.0),
        repeated_hz: Some(0.0),
        decode_ms: Some(4.0),
        target_delay_ms: Some(35.0),
        received_bps: Some(4e6),
        pictures: Some(900),
        pictures_lost: Some(3),
        groups_skipped: Some(1),
        tiles: Some(3000),
        tiles_lost: Some(7),
        garbage: Some(0),
        key_frame_requests: Some(2),
        wanted_bps: Some(3.5e6),
        gaze: vec![GazeSample { ms_before_report: 100.0, yaw_deg: -12.25, pitch_deg: 3.0 }, GazeSample::default()],
        ..Default::default()
    }
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let json = full().to_json().expect("sound");
    let read = ViewerReport::parse(&json).expect("its own text");
    assert_eq!(ViewerReport { version: None, ..read }, full());
    let text = String::from_utf8(json).expect("JSON");
    for key in ["\"keyFrameRequests\":2", "\"kind\":\"browser\"", "\"gaze\":[[100.0,-12.25,3.0]", "\"latencyMs\":{\"p50\":84.5"] {
        assert!(text.contains(key), "{key} in {text}");
    }
}

#[test]
fn only_the_version_is_needed_and_unknown_keys_do_no_harm() {
    let report =
        ViewerReport::parse(br#"{"version":1,"future":{"a":[1]},"decodeMs":null,"gaze":null,"viewer":{"kind":"openxr"}}"#);
    let report = report.expect("sound");
    assert_eq!((report.decode_ms, report.viewer.map(|viewer| viewer.kind)), (None, Some(ViewerKind::OpenXr)));
}

#[test]
fn what_cannot_be_is_garbage_and_says_what() {
    let many = format!(r#"{{"version":1,"gaze":[{}]}}"#, vec!["[0,0,0]"; MAX_GAZE_SAMPLES + 1].join(","));
    for (json, word) in [
        ("{}", "version"),
        (r#"{"version":2}"#, "version 2"),
        (r#"{"version":1,"displayHz":-1}"#, "displayHz"),
        (r#"{"version":1,"displayHz":1e999}"#, "out of range"),
        (r#"{"version":1,"wantedBps":1e13}"#, "wantedBps"),
        (r#"{"version":1,"pictures":-4}"#, "invalid value"),
        (r#"{"version":1,"latencyMs":{"p50":1}}"#, "p95"),
        (r#"{"version":1,"gaze":[[0,181,0]]}"#, "yaw"),
        (r#"{"version":1,"gaze":[[0,0,-91]]}"#, "pitch"),
        (r#"{"version":1,"gaze":[[-1,0,0]]}"#, "time"),
        (r#"{"version":1,"viewer":{"kind":"toaster"}}"#, "toaster"),
        (r#"{"version":1,"session":"not hexadecimal"}"#, "session"),
        (many.as_str(), "gaze"),
        ("[1,", "cannot be read"),
    ] {
        let error = ViewerReport::parse(json.as_bytes()).expect_err(json).to_string();
        assert!(error.contains(word), "{json}: {error}");
    }
    let large = format!(r#"{{"version":1,"x":"{}"}}"#, "x".repeat(MAX_REPORT_BYTES));
    assert!(matches!(ViewerReport::parse(large.as_bytes()), Err(ReportError::TooLarge(_))));
}

#[test]
fn names_are_words_and_nothing_else() {
    let name = format!("a\\u0007b\\u202ec\\n{}", "é".repeat(200));
    let report = ViewerReport::parse(format!(r#"{{"version":1,"viewer":{{"kind":"desktop","name":"{name}"}}}}"#).as_bytes());
    let name = report.expect("sound").viewer.expect("named").name;
    assert!(name.starts_with("abcé") && name.chars().count() == MAX_NAME_CHARS, "{name}");
}

#[test]
fn viewers_are_told_apart_by_their_broadcasts() {
    let id = ViewerId::random();
    assert_ne!(id, ViewerId::random());
    assert_eq!(ViewerId::of_broadcast(&id.broadcast()), Some(id));
    for wrong in ["viewers/", "viewers/00C0FFEE00C0FFEE", "viewers/00c0ffee00c0ffee0", "live", "viewers/+0c0ffee00c0ffee"] {
        assert_eq!(ViewerId::of_broadcast(wrong), None, "{wrong}");
    }
}

#[test]
fn a_look_weighs_the_same_wherever_it_goes() {
    for (yaw_deg, pitch_deg) in [(0.0, 0.0), (180.0, 40.0), (-180.0, -89.0), (13.0, 90.0), (77.0, -90.0)] {
        let mut map = GazeMap::new(128, 64);
        map.add(&GazeSample { ms_before_report: 0.0, yaw_deg, pitch_deg });
        assert!((map.total() - 1.0).abs() < 1e-3, "{yaw_deg}, {pitch_deg}: {}", map.total());
        let (yaw, pitch) = map.peak_deg().expect("something is there");
        assert!((pitch - pitch_deg).abs() < 3.0, "{pitch} for {pitch_deg}");
        if pitch_deg.abs() < 80.0 {
            assert!((yaw - yaw_deg + 540.0).rem_euclid(360.0) - 180.0 < 3.0, "{yaw} for {yaw_deg}");
        }
    }
    let mut map = GazeMap::new(128, 64);
    (0..10).for_each(|_| map.add(&GazeSample::default()));
    map.decay(Duration::from_secs(10), Duration::from_secs(10));
    assert!((map.total() - 5.0).abs() < 0.01 && map.samples() == 10, "{}", map.total());
    let rgba = map.to_rgba();
    assert_eq!(rgba.len(), 128 * 64 * 4);
    let middle = (32 * 128 + 64) * 4;
    assert!(rgba[middle] > 200 && rgba[middle + 2] < 50, "the most is red: {:?}", &rgba[middle..middle + 4]);
}

proptest! {
    /// Whatever comes, it is read or refused; what is read is in its ranges, and can be written and read again.
    #[test]
    fn anything_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = ViewerReport::parse(&bytes);
    }

    #[test]
    fn any_numbers_are_read_or_refused(
        latency in any::<f64>(), hz in any::<f64>(), count in any::<u64>(),
        gaze in proptest::collection::vec((-1e3..1e3_f64, -200.0..200.0_f64, -100.0..100.0_f64), 0..80),
    ) {
        let gaze: Vec<String> = gaze.iter().map(|(ms, yaw, pitch)| format!("[{ms:e},{yaw:e},{pitch:e}]")).collect();
        let json = format!(
            r#"{{"version":1,"latencyMs":{{"p50":{latency:e},"p95":{hz:e}}},"displayHz":{hz:e},"pictures":{count},"gaze":[{}]}}"#,
            gaze.join(","),
        );
        if let Ok(report) = ViewerReport::parse(json.as_bytes()) {
            prop_assert!(report.gaze.len() <= MAX_GAZE_SAMPLES && report.display_hz.is_none_or(f64::is_finite));
            let again = ViewerReport::parse(&report.to_json().expect("in its ranges")).expect("its own text");
            prop_assert_eq!(again.pictures, report.pictures);
            let mut map = GazeMap::new(32, 16);
            report.gaze.iter().for_each(|sample| map.add(sample));
            prop_assert!(map.total().is_finite());
        }
    }
}
