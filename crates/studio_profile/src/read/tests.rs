//! Both forms of profiles, well and badly written.

use super::*;
use crate::profile::{Origin, ProfileProjection};
use proptest::prelude::*;
use studio_frame::prelude::*;
use studio_graph::blueprint::problem::list;

const QUEST_3: &str = include_str!("../../../../headsets/quest-3.headset.ron");

/// The problems of a text that must be refused, one a line.
fn refused(text: &str) -> String {
    let (profile, problems) = read(text);
    assert!(profile.is_none(), "taken: {text}");
    assert!(problems.iter().all(|problem| problem.place.line > 0), "a problem without a line: {problems:?}");
    list(&problems)
}

fn taken(text: &str) -> (HeadsetProfile, String) {
    let (profile, problems) = read(text);
    let problems = list(&problems);
    (profile.unwrap_or_else(|| panic!("refused: {problems}\n{text}")), problems)
}

#[test]
fn faults_say_line_field_and_range() {
    for (from, to, says) in [
        ("(1680, 1760)", "(1680, 99999)", "8:16: error: render_px is 1680×99999: both sides must be 16 to 16384 pixels"),
        ("(2064, 2208)", "(2064, -1)", "7:"),
        ("left_deg: 55.0", "left_deg: NaN", "left_fov has left_deg NaN: 1 to 85 degrees"),
        ("left_deg: 55.0", "left_deg: 1e39", "left_fov has left_deg inf: 1 to 85 degrees"),
        ("[72, 90, 120]", "[72, 1e30]", "refresh_hz has"),
        ("[72, 90, 120]", "\"fast\"", "error: refresh_hz:"),
        ("(0.053, 0.075)", "(53, 75)", "ipd_m is 53 to 75: 0.03 to 0.1 metres"),
        ("level: \"6.1\"", "level: \"9.9\"", "codecs[1] has level “9.9”"),
        (
            "level: \"6.1\"",
            "level: \"5.1\"",
            "codecs[1] has level 5.1, which does not allow 8192×4320 at 60 frames a second: that takes level 6.1",
        ),
        ("profile: Main10", "profile: High", "codecs[1] has profile High, which H265 has not: Main or Main10"),
        ("200_000_000", "99999999999999999999", "error: bitrate_max_bps:"),
        ("value: HalfEquirectangular", "value: Round", "error: projection:"),
        ("render_px:", "rendr_px:", "a profile has no `rendr_px`: did you mean `render_px`?"),
        ("version: 1", "version: 7", "version 7 is not read here: this release knows 1"),
        ("id: \"quest-3\"", "id: \"../etc\"", "id is “../etc”: 1 to 64 small letters"),
        ("    stereo:", "    stereo: (value: Mono, estimate: \"a\"),\n    stereo:", "`stereo` stands here twice"),
    ] {
        let text = QUEST_3.replacen(from, to, 1);
        assert_ne!(text, QUEST_3, "{from} is not there");
        let said = refused(&text);
        assert!(said.contains(says), "{to}: {said}");
    }
    // Every fault is told, not only the first.
    let many = QUEST_3.replacen("(1680, 1760)", "\"wide\"", 1).replacen("[72, 90, 120]", "true", 1);
    let said = refused(&many);
    assert!(said.contains("render_px:") && said.contains("refresh_hz:"), "{said}");
    // A value without an origin is taken, with a word.
    let unsaid = QUEST_3.replacen(", estimate: \"what players of VR180 expect\"", "", 1);
    assert_ne!(unsaid, QUEST_3);
    let (profile, said) = taken(&unsaid);
    assert_eq!(profile.stereo.origin, Origin::Unstated);
    assert!(said.contains("stereo says not where it comes from"), "{said}");
}

#[test]
fn the_form_of_other_tools_is_read_in_many_spellings() {
    let whole = r#"{
        "id": "quest3", "name": "Quest 3", "eyeWidth": 2064, "eyeHeight": 2208,
        "fovLeft": 55, "fovRight": 41, "fovUp": 46, "fovDown": 50,
        "ipd": 0.063, "codec": "hevc", "bitrate": 80000000, "framerate": 72,
        "stereoFormat": "side-by-side", "embedDepthMap": false
    }"#;
    let (profile, said) = taken(whole);
    assert_eq!((profile.id.as_str(), profile.name.as_str(), *profile.render_px), ("quest3", "Quest 3", (2064, 2208)));
    assert_eq!((profile.left_fov.left_deg, profile.left_fov.right_deg, profile.right_fov.left_deg), (55.0, 41.0, 41.0));
    assert_eq!((*profile.ipd_m, *profile.bitrate_max_bps), ((0.063, 0.063), 80_000_000));
    assert_eq!((profile.codecs[0].codec, *profile.stereo), (VideoCodec::H265, StereoLayout::LeftRight));
    assert_eq!(*profile.refresh_hz, [72.0]);
    assert_eq!(profile.extra, [("embedDepthMap".to_owned(), "false".to_owned())]);
    assert_eq!(said, "", "nothing to say");
    // The same in other words gives the same.
    for (from, to) in [
        ("\"eyeWidth\": 2064, \"eyeHeight\": 2208", "\"eye\": {\"width\": 2064, \"height\": 2208}"),
        ("\"eyeWidth\": 2064, \"eyeHeight\": 2208", "\"resolution\": \"2064x2208\""),
        ("\"eyeWidth\": 2064, \"eyeHeight\": 2208", "\"eye_width\": \"2064\", \"eye_height\": \"2208\""),
        (
            "\"fovLeft\": 55, \"fovRight\": 41, \"fovUp\": 46, \"fovDown\": 50",
            "\"fov\": {\"left\": 55, \"right\": 41, \"up\": 46, \"down\": 50}",
        ),
        (
            "\"fovLeft\": 55, \"fovRight\": 41, \"fovUp\": 46, \"fovDown\": 50",
            "\"fov\": {\"left\": -55, \"right\": 41, \"top\": 46, \"bottom\": -50}, \"fovUnit\": \"deg\"",
        ),
        ("\"ipd\": 0.063", "\"ipd\": \"63 mm\""),
        ("\"ipd\": 0.063", "\"ipdMm\": 63"),
        ("\"ipd\": 0.063", "\"ipd\": {\"min\": 0.063, \"max\": 0.063}"),
        ("\"codec\": \"hevc\"", "\"codecs\": [\"H.265\"]"),
        ("\"codec\": \"hevc\"", "\"videoCodec\": \"hvc1.1.6.L153.B0\""),
        ("\"bitrate\": 80000000", "\"bitrate\": \"80M\""),
        ("\"bitrate\": 80000000", "\"bitrateMbps\": 80"),
        ("\"bitrate\": 80000000", "\"maxBitrate\": \"80000 kbps\""),
        ("\"framerate\": 72", "\"refreshRates\": [72]"),
        ("\"side-by-side\"", "\"SBS\""),
    ] {
        let text = whole.replacen(from, to, 1);
        assert_ne!(text, whole, "{from} is not there");
        let (mut other, said) = taken(&text);
        other.extra.clear();
        let same = HeadsetProfile { extra: Vec::new(), ..profile.clone() };
        let close = (other.ipd_m.0 - same.ipd_m.0).abs() < 1e-6;
        other.ipd_m = same.ipd_m.clone();
        assert!(close && other == same, "{to}: {said}\n{other:#?}\n{same:#?}");
    }
    let (profile, said) =
        taken(&whole.replace("55", "0.95993").replace("41", "0.71558").replace("46", "0.80285").replace("50", "0.87266"));
    assert!((profile.left_fov.left_deg - 55.0).abs() < 0.01, "{profile:?}");
    assert!(
        said.contains("3:9: warning: fovDown and its kin are small: they are read as radians")
            || said.contains("read as radians"),
        "{said}"
    );
    let (profile, said) = taken(&whole.replace("\"embedDepthMap\": false", "\"embedDepthMap\": true,\n\"strap\": \"elite\""));
    assert!(said.contains("6:1: warning: strap: it is not known here; it is kept"), "{said}");
    assert!(said.contains("embedDepthMap: no depth is sent yet"), "{said}");
    assert!(profile.extra.contains(&("strap".to_owned(), "\"elite\"".to_owned())), "{:?}", profile.extra);
    assert_eq!(*profile.projection, ProfileProjection::Rectilinear);
}

#[test]
fn faults_in_the_form_of_other_tools_say_their_line() {
    let base = "{\n\"id\": \"a\",\n\"eyeWidth\": 1000,\n\"eyeHeight\": 1000,\n\"fov\": 90,\n\"codec\": \"h264\"\n}";
    taken(base);
    for (from, to, says) in [
        ("1000,\n\"eyeHeight\"", "1e300,\n\"eyeHeight\"", "3:1: error: eyeWidth is 1e+300: it must be a whole number of pixels"),
        ("1000,\n\"eyeHeight\"", "{},\n\"eyeHeight\"", "`eyeWidth` and `eyeHeight` are missing"),
        ("1000,\n\"eyeHeight\"", "true,\n\"eyeHeight\"", "3:1: error: eyeWidth is true: it must be a number"),
        ("\"fov\": 90", "\"fov\": 400", "5:1: error: left_fov has left_deg 200: 1 to 85 degrees"),
        ("\"h264\"", "\"theora\"", "6:1: error: codec is \"theora\": it must be h264, h265 (hevc) or av1"),
        ("\"h264\"", "", "7:1: error: this is no JSON"),
        ("\"id\": \"a\"", "\"id\": []", "2:1: error: id is []: it must be words"),
    ] {
        let text = base.replacen(from, to, 1);
        assert_ne!(text, base, "{from} is not there");
        let said = refused(&text);
        assert!(said.contains(says), "{to}: {said}");
    }
    let deep = format!("{{\"id\": \"a\", \"x\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(refused(&deep).contains("recursion limit"), "{}", refused(&deep));
    let deep = format!("(version: 1, id: {}1{})", "[".repeat(5000), "]".repeat(5000));
    refused(&deep);
    let huge = " ".repeat(HeadsetProfile::MAX_BYTES + 1);
    assert!(read(&huge).0.is_none());
}

proptest! {
    #[test]
    fn nothing_that_a_file_may_say_brings_the_reader_down(text in any::<String>(), at in 0..QUEST_3.len(), cut in 0..40_usize) {
        read(&text);
        read(&format!("({text}"));
        read(&format!("{{\"id\": {text}"));
        // A good file with a piece cut out and another put in.
        let (start, end) = (QUEST_3.floor_char_boundary(at), QUEST_3.floor_char_boundary((at + cut).min(QUEST_3.len())));
        let (profile, problems) = read(&format!("{}{text}{}", &QUEST_3[..start], &QUEST_3[end..]));
        if let Some(profile) = profile {
            prop_assert!(profile.faults().is_empty(), "{:?}", profile.faults());
        } else {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn no_json_value_brings_the_reader_down(
        key in prop::sample::select(vec!["id", "eyeWidth", "fov", "fovLeft", "ipd", "bitrate", "framerate", "codec", "stereoFormat"]),
        value in prop::sample::select(vec!["null", "-0", "1e308", "-1e308", "\"NaN\"", "\"inf\"", "[]", "{}", "[[[]]]", "\"\\u0000\"", "\"63 mm\"", "18446744073709551616", "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"]),
    ) {
        let text = format!("{{\"id\": \"a\", \"eyeWidth\": 1000, \"eyeHeight\": 1000, \"{key}\": {value}}}");
        if let (Some(profile), _) = read(&text) {
            prop_assert!(profile.faults().is_empty(), "{:?}", profile.faults());
        }
    }
}
